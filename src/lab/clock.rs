//! The one clock of the lab: time since boot.
//!
//! The agent stamps its messages with the same kernel's uptime, so a fault's moment, the agent's stamp and the
//! platform's arrival can be subtracted from each other.

pub use linekeeper::clock::since_boot as uptime;
use std::time::Duration;

/// How long ago `earlier` was; zero if it is in fact later.
pub fn since(earlier: Duration) -> Duration {
    uptime().saturating_sub(earlier)
}

/// Asks `condition` every 20 ms until it holds or `patience` is over. Says whether it came to hold.
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

/// Between two looks at a condition that nobody announces: short against the quickest reaction that is shown (a lost
/// carrier, some 100 ms), long against what a look costs (up to a process).
const POLL: Duration = Duration::from_millis(20);
