//! Processes in the lab's namespaces.

use crate::clock;
use crate::error::Error;
use rustix::process::{Pid, Signal, kill_process};
use std::process::Child;
use std::time::Duration;

/// A child process in the lab; it is killed and reaped on drop.
#[derive(Debug)]
pub struct Process(pub(super) Child);

impl Process {
    /// Its id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// The child itself, for its piped standard output or error.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Sends SIGTERM, waits up to `patience`, then kills it. Returns whether it ended by itself.
    pub fn stop(&mut self, patience: Duration) -> bool {
        let _ = signal(self.0.id(), Signal::TERM);
        let went = clock::wait_until(patience, || !self.is_alive());
        self.kill();
        went
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process by its id.
pub(super) fn signal(id: u32, signal: Signal) -> Result<(), Error> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::new("sending a signal", "no such process id"))?;
    kill_process(pid, signal).map_err(|e| Error::new(format!("sending {signal:?} to process {id}"), e))
}
