//! Private networks for tests. They are invisible outside and disappear with the test.

#![allow(dead_code, reason = "each integration test uses a part of it")]

use linekeeper_lab::Entered;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread::JoinHandle;

/// Set in the process inside the namespaces.
const INSIDE: &str = "LINEKEEPER_TEST_INSIDE";

/// The options of `unshare` for new user, mount, network and process namespaces.
fn flags() -> Vec<&'static str> {
    let mut flags = vec!["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if !rustix::process::geteuid().is_root() {
        flags.extend(["--user", "--map-root-user"]);
    }
    flags
}

/// Why private namespaces are not available; `None` if they are.
pub fn private_unavailable() -> Option<String> {
    match Command::new("unshare").args(flags()).arg("true").output() {
        Ok(tried) if tried.status.success() => None,
        Ok(tried) => {
            Some(format!("namespaces are not available: {}", String::from_utf8_lossy(&tried.stderr).trim()))
        }
        Err(error) => Some(format!("namespaces are not available: unshare: {error}")),
    }
}

/// Replaces this process by one inside private namespaces, and returns there.
///
/// # Errors
/// Why they are not available.
pub fn enter_private() -> Result<Entered, String> {
    if std::env::var_os(INSIDE).is_some() {
        // Network namespaces are named in /run/netns; a private /run keeps them apart from the machine's.
        run("mount -t tmpfs tmpfs /run").and_then(|_| run("ip link set lo up"))?;
        return Ok(Entered::Inside);
    }
    let program = std::env::current_exe().map_err(|error| format!("this test program: {error}"))?;
    let error = Command::new("unshare")
        .args(flags())
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(format!("cannot start unshare: {error}"))
}

/// Runs a command, split at spaces, and returns its output.
///
/// # Errors
/// The command and its error output.
pub fn run(command: &str) -> Result<String, String> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or("an empty command")?;
    let output = Command::new(program).args(words).output().map_err(|error| format!("{command}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A network namespace; removed when it is dropped.
pub struct Net {
    name: String,
}

impl Net {
    /// Creates one. The name must be unique among the tests, because they run in parallel.
    pub fn new(name: &str) -> Net {
        run(&format!("ip netns add {name}")).unwrap();
        let net = Net { name: name.to_owned() };
        net.run("ip link set lo up");
        net
    }

    /// Runs a command in it and returns its output; panics if the command fails.
    pub fn run(&self, command: &str) -> String {
        run(&format!("nsenter --net=/run/netns/{} {command}", self.name)).unwrap()
    }

    /// Writes a value below /proc/sys/net in it.
    pub fn set(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/net/{key}");
        let value = value.to_owned();
        self.thread(move || std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")))
            .join()
            .unwrap();
    }

    /// Runs `work` in a new thread; its sockets and child processes belong to this namespace.
    pub fn thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }

    /// Runs `work` in this namespace on a runtime like the daemon's, and waits for it.
    pub fn block_on<F: Future>(&self, work: impl FnOnce() -> F + Send + 'static) -> F::Output
    where
        F::Output: Send + 'static,
    {
        let done = self.thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work())
        });
        match done.join() {
            Ok(output) => output,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = run(&format!("ip netns delete {}", self.name));
    }
}

/// Connects two namespaces with a veth pair and brings both ends up.
pub fn cable((a, a_name): (&Net, &str), (b, b_name): (&Net, &str)) {
    run(&format!("ip link add {a_name} netns {} type veth peer name {b_name} netns {}", a.name, b.name))
        .unwrap();
    a.run(&format!("ip link set dev {a_name} up"));
    b.run(&format!("ip link set dev {b_name} up"));
}
