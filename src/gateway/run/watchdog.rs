//! Ends the process when the judge's loop hangs, so that its supervisor (procd) starts it again.
//!
//! Policy, in prose:
//!
//! * A separate thread checks every ten seconds whether the loop has turned since the last check. After twelve checks in a
//!   row without a turn it logs that the loop hangs and aborts the process. State is on flash before it is acted upon, so
//!   the next start continues the incident and undoes an interrupted remedy.
//! * Checks are counted, not time: after a suspended gateway or a stopped process continues, the count is still small.
//! * The hardware's watchdog is left to procd, which feeds it: a gateway must not reboot because we hang. procd's watchdog
//!   of services would do the same as this thread, but for a program run at each feeding and a ubus that must
//!   answer, else a healthy daemon is killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::thread;
use std::time::Duration;
use tracing::{error, warn};

/// How often the thread checks.
pub const LOOK: Duration = Duration::from_secs(10);
/// How many checks in a row without a turn end the process.
///
/// Two minutes in all: a flash file system that collects its garbage holds a write up for some ten seconds, and to be
/// ended for that would make a slow gateway worse.
const LOOKS: u32 = 12;
/// How often the loop turns though nothing happens: at least twice between two looks.
pub const TURN: Duration = Duration::from_secs(4);
/// How long the last words may take: what holds the loop may be the log.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The thread's stack. It sleeps, and once formats a line.
const STACK: usize = 64 * 1024;

/// Told of each turn.
#[derive(Debug)]
pub struct Watchdog {
    turned: Arc<AtomicBool>,
}

impl Watchdog {
    /// Begins to look, every `look`. Ends with the value. Where there is no thread to be had, that is said and lived with.
    pub fn start(look: Duration) -> Watchdog {
        let turned = Arc::new(AtomicBool::new(true));
        let watched = Arc::downgrade(&turned);
        let thread = thread::Builder::new().name("watchdog".into()).stack_size(STACK);
        if let Err(e) = thread.spawn(move || watch(&watched, look)) {
            warn!("no thread for the watchdog: {e}; a hanging loop will not be noticed");
        }
        Watchdog { turned }
    }

    /// The loop turned.
    pub fn turned(&self) {
        self.turned.store(true, Ordering::Relaxed);
    }
}

fn watch(turned: &Weak<AtomicBool>, look: Duration) {
    let mut silence = Silence::default();
    loop {
        thread::sleep(look);
        let Some(turned) = turned.upgrade() else { return };
        if silence.look(turned.swap(false, Ordering::Relaxed)) {
            abort_process(look * LOOKS);
        }
    }
}

/// Looks in a row without a turn.
#[derive(Debug, Default)]
struct Silence(u32);

impl Silence {
    /// One look; says whether it was one too many.
    fn look(&mut self, turned: bool) -> bool {
        self.0 = if turned { 0 } else { self.0 + 1 };
        self.0 >= LOOKS
    }
}

fn abort_process(silent: Duration) -> ! {
    // By another thread: should the loop hang in the log, we would hang there too.
    let (told, telling) = mpsc::channel();
    let words = thread::Builder::new().spawn(move || {
        let seconds = silent.as_secs_f64();
        error!("the loop has not turned for {seconds} s: ending at once, to be started again");
        let _ = told.send(());
    });
    if words.is_ok() {
        let _ = telling.recv_timeout(LAST_WORDS);
    }
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_checks_in_a_row_count() {
        let mut silence = Silence::default();
        for _ in 0..1_000 {
            assert!((1..LOOKS).all(|_| !silence.look(false)));
            assert!(!silence.look(true));
        }
        assert!((1..LOOKS).all(|_| !silence.look(false)));
        assert!(silence.look(false));
        assert!(TURN * 2 < LOOK, "an idle loop turns between two looks");
    }

    #[test]
    fn watchdog_does_not_fire_while_the_loop_turns() {
        let dog = Watchdog::start(Duration::from_millis(1));
        for _ in 0..50 {
            dog.turned();
            thread::sleep(Duration::from_millis(2));
        }
    }
}
