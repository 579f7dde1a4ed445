//! Isolates the lab: separate user, mount, network and process namespaces that end with their first process.
//!
//! The program starts itself again through `unshare`. Inside it is process 1: when it ends, for whatever reason, the
//! kernel ends every process in there and takes namespaces and mounts away. It ends too when the pipe to the program
//! outside closes, so not even `kill -9` outside leaves anything behind.

use crate::error::Error;
use std::ffi::OsString;
use std::io::Read;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use tokio::signal::unix::{SignalKind, signal};

/// Environment variable of the inner process. It is honoured only by a process with id 1.
const MARK: &str = "LINEKEEPER_LAB_ENCLOSED";

/// The options of `unshare` besides the user namespace.
const WALLS: [&str; 6] = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Additional options for root of a user namespace.
const AS_USER: [&str; 2] = ["--user", "--map-root-user"];

/// The result of [`enter`].
#[derive(Debug)]
pub enum Entered {
    /// This process is inside the enclosure.
    Inside,
    /// The inner process ended with this exit code (128 + n: by signal n).
    Ended(u8),
    /// Namespaces are not available here, with the reason.
    Refused(String),
}

/// Enters the enclosure: outside, runs this same program with the same arguments inside and waits for its end;
/// inside, prepares the environment and returns.
///
/// # Errors
/// The program cannot be restarted, or the environment cannot be prepared.
pub fn enter() -> Result<Entered, Error> {
    if std::env::var_os(MARK).is_some() && std::process::id() == 1 {
        watch_the_pipe();
        furnish()?;
        return Ok(Entered::Inside);
    }
    let options = match allowed() {
        Ok(options) => options,
        Err(why) => return Ok(Entered::Refused(why)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new("starting the lab", e))?;
    runtime.block_on(run_inside(&options)).map(Entered::Ended)
}

/// For a benchmark's `main`: `None` inside the enclosure, where it goes on; else its exit code, the measuring being done
/// (or refused, which is said) by then.
pub fn measured_elsewhere() -> Option<ExitCode> {
    match enter() {
        Ok(Entered::Inside) => None,
        Ok(Entered::Ended(code)) => Some(ExitCode::from(code)),
        Ok(Entered::Refused(why)) => {
            eprintln!("not measured: {why}");
            Some(ExitCode::FAILURE)
        }
        Err(e) => {
            eprintln!("{e}");
            Some(ExitCode::FAILURE)
        }
    }
}

/// Finds options with which `unshare` works on this machine.
fn allowed() -> Result<Vec<&'static str>, String> {
    let with_user: Vec<_> = AS_USER.iter().chain(&WALLS).copied().collect();
    let ways = if rustix::process::geteuid().is_root() {
        vec![WALLS.to_vec(), with_user] // root in a container is often allowed only the second
    } else {
        vec![with_user]
    };
    let mut why = String::new();
    for way in ways {
        match Command::new("unshare").args(&way).arg("true").stdin(Stdio::null()).output() {
            Ok(out) if out.status.success() => return Ok(way),
            Ok(out) => why = String::from_utf8_lossy(&out.stderr).trim().to_owned(),
            Err(e) => why = format!("unshare (of util-linux) cannot be run: {e}"),
        }
    }
    Err(format!(
        "the lab needs user, network, mount and process namespaces, and this system refuses them: {why}. Try as \
         root, or allow them (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, \
         user.max_user_namespaces above 0; in a container: --privileged)"
    ))
}

async fn run_inside(options: &[&str]) -> Result<u8, Error> {
    let wrong = |e| Error::new("starting the lab inside its namespaces", e);
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Not `/proc/self/exe`: to `unshare` that is `unshare`.
    let program = std::env::current_exe().map_err(wrong)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(wrong)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(wrong)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(wrong)?;
    let mut child = tokio::process::Command::new("unshare")
        .args(options)
        .arg(program)
        .args(arguments)
        .env(MARK, "1")
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(wrong)?;
    let pipe = child.stdin.take();
    let number = tokio::select! {
        status = child.wait() => return Ok(code(status.map_err(wrong)?)),
        _ = interrupted.recv() => 2,
        _ = terminated.recv() => 15,
        _ = hung_up.recv() => 1,
    };
    // `unshare` dies, --kill-child kills its child, and with process 1 everything inside ends. Closing the pipe is a second
    // way to end it.
    drop(pipe);
    child.kill().await.map_err(|e| Error::new("ending the lab", e))?;
    Ok(128 + number)
}

fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|n| 128 + n)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Ends this process, and with it the enclosure, when the program outside ends.
fn watch_the_pipe() {
    std::thread::spawn(|| {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(1..)) {}
        std::process::exit(130);
    });
}

/// Mounts a private `/run` for the namespace names and all files, and brings the loopback device up.
fn furnish() -> Result<(), Error> {
    super::run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=0755", "linekeeper-lab", "/run"]))?;
    std::fs::create_dir_all(super::world::NAMES).map_err(|e| Error::new("making /run/netns", e))?;
    super::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    Ok(())
}
