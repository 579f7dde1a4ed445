//! The clock of the lab: time since boot.
//!
//! The agent stamps its messages with the same kernel's uptime, so the time of a fault, the agent's stamp and the
//! arrival at the platform can be compared.

pub use linekeeper::clock::since_boot as uptime;
use std::time::Duration;

/// The time since `earlier`; zero if `earlier` is in fact later.
pub fn since(earlier: Duration) -> Duration {
    uptime().saturating_sub(earlier)
}

/// Polls `condition` every 20 ms until it holds or `patience` is over. Returns whether it held.
pub fn wait_until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let began = uptime();
    loop {
        if condition() {
            return true;
        }
        if since(began) >= patience {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// Polling interval: short compared with the quickest reaction shown (a lost carrier, some 100 ms), long compared with the
/// cost of one poll (up to starting a process).
const POLL: Duration = Duration::from_millis(20);
