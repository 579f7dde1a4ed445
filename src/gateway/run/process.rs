//! What belongs to the process, and outlives a life under one configuration.

use super::watchdog::{self, Watchdog};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What belongs to the process, and outlives a life under one configuration: a signal that comes between two is not lost.
pub(super) struct Process {
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
    pub(super) hangup: Signal,
    pub(super) watchdog: Watchdog,
}

impl Process {
    pub(super) fn begin() -> Result<Process, String> {
        let listen = |kind| signal(kind).map_err(|e| format!("cannot listen for signals: {e}"));
        // The one that would end us first: a reload may follow the start at once.
        let hangup = listen(SignalKind::hangup())?;
        Ok(Process {
            hangup,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            watchdog: Watchdog::start(watchdog::LOOK),
        })
    }
}
