//! Runs a program that may misbehave, with bounds on its run time, its output and its leftover processes.

use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio::time::timeout;

/// How much of a program's output is kept, bytes. The end is kept, because the reason for a failure comes last.
///
/// 4 KiB: about fifty lines, and small compared with the evidence in a message.
pub const OUTPUT_KEPT: usize = 4 * 1024;

/// How much output is kept of a program whose answer is parsed, bytes.
///
/// 256 KiB: netifd's status of an interface with a thousand routes.
pub const ANSWER_KEPT: usize = 256 * 1024;

/// How long the pipe is still read after the program has ended.
///
/// 100 ms: what the program itself wrote is in the pipe already, and a background process that holds the pipe open must
/// not delay us.
const DRAIN_AFTER_EXIT: Duration = Duration::from_millis(100);

/// How long to wait for a killed program. Only one that is stuck in the kernel takes longer; it is no longer waited for.
const REAP_LIMIT: Duration = Duration::from_secs(1);

/// How a program ended.
#[derive(Debug)]
pub enum Termination {
    /// By itself, or by a signal from elsewhere.
    Exited(ExitStatus),
    /// We killed it and its process group at the time limit.
    TimedOut,
    /// It could not be started; why.
    NotStarted(String),
}

/// The result of running a program.
#[derive(Debug)]
pub struct RunResult {
    /// How it ended.
    pub termination: Termination,
    /// The last [`OUTPUT_KEPT`] bytes (for [`run_for_answer`]: [`ANSWER_KEPT`]) of standard output and standard error, trimmed,
    /// without control characters.
    pub output: String,
}

impl RunResult {
    /// Whether the program exited with code 0.
    pub fn succeeded(&self) -> bool {
        matches!(&self.termination, Termination::Exited(status) if status.success())
    }

    /// Why the program failed, with the last line of its output.
    pub fn failure(&self, limit: Duration) -> String {
        let why = match &self.termination {
            Termination::NotStarted(why) => return why.clone(),
            Termination::TimedOut => {
                format!(
                    "did not end within {} and was killed",
                    linekeeper_contract::units::Span(millis(limit))
                )
            }
            Termination::Exited(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with exit code {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended in an unknown way".to_owned(),
            },
        };
        match self.output.lines().rfind(|line| !line.trim().is_empty()) {
            Some(line) => format!("{why}: {}", line.trim()),
            None => why,
        }
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// Runs `argv` in its own process group with `input` on standard input, and waits at most `limit`.
///
/// Dropping the future kills the group. A background process that the program leaves behind on purpose survives, but its
/// inherited outputs are closed.
pub async fn run<A: AsRef<OsStr>>(
    argv: &[A],
    input: &[u8],
    env: &[(&str, &str)],
    limit: Duration,
) -> RunResult {
    run_with_environment(argv, input, env, Environment::Inherited, limit).await
}

/// The same as [`run`] without input, for a program whose output is parsed: [`ANSWER_KEPT`] bytes are kept.
pub async fn run_for_answer<A: AsRef<OsStr>>(argv: &[A], limit: Duration) -> RunResult {
    run_with_output_limit(argv, b"", &[], Environment::Inherited, limit, ANSWER_KEPT).await
}

/// Which environment a program gets beside the variables passed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// It inherits ours.
    Inherited,
    /// It gets only the variables passed to it.
    Cleared,
}

/// The same as [`run`], with the choice of the inherited environment.
pub async fn run_with_environment<A: AsRef<OsStr>>(
    argv: &[A],
    input: &[u8],
    env: &[(&str, &str)],
    environment: Environment,
    limit: Duration,
) -> RunResult {
    run_with_output_limit(argv, input, env, environment, limit, OUTPUT_KEPT).await
}

async fn run_with_output_limit<A: AsRef<OsStr>>(
    argv: &[A],
    input: &[u8],
    env: &[(&str, &str)],
    environment: Environment,
    limit: Duration,
    most: usize,
) -> RunResult {
    let Some((program, arguments)) = argv.split_first() else {
        return not_started("no command is configured".into());
    };
    let program = program.as_ref();
    let mut command = Command::new(program);
    if environment == Environment::Cleared {
        command.env_clear();
    }
    command
        .args(arguments)
        .envs(env.iter().copied())
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .process_group(0)
        .kill_on_drop(true);
    // One pipe for both outputs keeps their order.
    let piped = std::io::pipe().and_then(|(from, into)| {
        command.stdout(into.try_clone()?).stderr(into);
        Receiver::from_owned_fd(from.into())
    });
    let output_pipe = match piped {
        Ok(pipe) => pipe,
        Err(e) => return not_started(format!("cannot run {}: no pipe: {e}", program.display())),
    };
    let spawned = command.spawn();
    // It holds our copies of the pipe's write end.
    drop(command);
    let mut child = match spawned {
        Ok(child) => child,
        Err(e) => return not_started(cannot_run(program, &e)),
    };
    let group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));

    let tail = Tail { kept: Mutex::default(), most };
    let stdin = child.stdin.take();
    let talk = async {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program may ignore its input.
                let _ = stdin.write_all(input).await;
            }
        };
        tokio::join!(feed, tail.drain(output_pipe));
    };
    let waited = timeout(limit, async {
        let mut talk = std::pin::pin!(talk);
        tokio::select! {
            status = child.wait() => {
                let _ = timeout(DRAIN_AFTER_EXIT, talk).await;
                status
            }
            () = &mut talk => child.wait().await,
        }
    })
    .await;
    let termination = match waited {
        Ok(Ok(status)) => {
            group.spare();
            Termination::Exited(status)
        }
        Ok(Err(e)) => Termination::NotStarted(format!("cannot wait for {}: {e}", program.display())),
        Err(_) => {
            drop(group);
            let _ = timeout(REAP_LIMIT, child.wait()).await;
            Termination::TimedOut
        }
    };
    RunResult { termination, output: tail.text() }
}

fn not_started(why: String) -> RunResult {
    RunResult { termination: Termination::NotStarted(why), output: String::new() }
}

/// Why a program cannot be started, and what to try.
pub fn cannot_run(program: &OsStr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "install it, or correct its path in the configuration",
        io::ErrorKind::PermissionDenied => "make it executable (chmod +x)",
        _ if error.raw_os_error() == Some(libc::ENOEXEC) => {
            "its first line must name its interpreter (#!/bin/sh)"
        }
        _ => "try to run it by hand",
    };
    format!("cannot run {}: {error}; {advice}", program.display())
}

/// Kills a process group when dropped, unless it was spared.
struct Group(Option<Pid>);

impl Group {
    fn spare(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The last `most` bytes of the output.
struct Tail {
    kept: Mutex<Vec<u8>>,
    most: usize,
}

impl Tail {
    async fn drain(&self, mut from: Receiver) {
        let mut buffer = [0; 1024];
        while let Ok(read) = from.read(&mut buffer).await {
            if read == 0 {
                return;
            }
            let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            kept.extend_from_slice(&buffer[..read]);
            let excess = kept.len().saturating_sub(self.most);
            kept.drain(..excess);
        }
    }

    fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        let clean: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        clean.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn run_for_answer_keeps_the_complete_answer_and_run_only_the_end() {
        let argv = ["sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo 0123456789; i=$((i + 1)); done"];
        let limit = Duration::from_secs(60);
        assert_eq!(run_for_answer(&argv, limit).await.output.len(), 2_000 * 11 - 1);
        assert!(run(&argv, b"", &[], limit).await.output.len() <= OUTPUT_KEPT);
    }
}
