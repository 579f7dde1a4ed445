//! Limits how often DHCP servers and PPPoE concentrators are asked: a token bucket with a minimum spacing.

use crate::clock;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The least time between two checks.
///
/// 10 s: two checks can differ only after a remedy and its settling time, which take longer.
pub const SPACING: Duration = Duration::from_secs(10);

/// The most questions in a burst, repetitions included: three checks of two questions.
pub const BURST: u32 = 6;

/// After a burst, one question per this time.
pub const REFILL: Duration = Duration::from_secs(200);

/// The most questions within any hour: 24.
///
/// A client that follows RFC 2131 strictly (at most 64 s apart) sends 58 in an hour of outage; busybox's `udhcpc` as
/// OpenWrt starts it sends one every few seconds. So ours are not noticeable beside the real client, and far below the
/// limit of any access node (a few per second and customer).
pub const HOURLY: u32 = BURST + (3_600 / REFILL.as_secs()) as u32;

/// Limits the questions to one kind of server. There is one gate per kind for the life of the process; its state is not
/// stored.
#[derive(Debug, Default)]
pub struct Gate(Mutex<State>);

/// A gate for each kind of server that is asked for an offer.
#[derive(Debug, Default)]
pub struct Gates {
    /// To DHCP servers.
    pub dhcp: Gate,
    /// To PPPoE concentrators.
    pub pppoe: Gate,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    /// When the last check began.
    checked: Option<Duration>,
    /// When the bucket will be full again, at one question per [`REFILL`] (GCRA's theoretical arrival time). Time since
    /// the boot, so a process starts with a full burst.
    full_at: Duration,
}

impl Gate {
    /// Takes a question for a new check.
    ///
    /// # Errors
    /// Why no check may start now, and how long to wait.
    pub(super) fn begin(&self) -> Result<(), String> {
        self.with_state(|state| state.begin(clock::since_boot()))
    }

    /// Takes another question for a running check; false if there is none left.
    pub(super) fn take_one_more(&self) -> bool {
        self.with_state(|state| state.take(clock::since_boot()))
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn begin(&mut self, now: Duration) -> Result<(), String> {
        let ago = self.checked.map(|at| now.saturating_sub(at));
        let fresh = ago.is_some_and(|ago| ago < SPACING);
        if fresh || !self.take(now) {
            let ago = ago.unwrap_or_default().as_secs();
            let left =
                if fresh { SPACING.as_secs().saturating_sub(ago) } else { self.wait(now).as_secs() + 1 };
            return Err(format!(
                "asked {ago} s ago; the next may be in {left} s (not more than {HOURLY} an hour)"
            ));
        }
        self.checked = Some(now);
        Ok(())
    }

    fn take(&mut self, now: Duration) -> bool {
        let free = self.wait(now) == Duration::ZERO;
        if free {
            self.full_at = self.full_at.max(now).saturating_add(REFILL);
        }
        free
    }

    /// The time until the next question is allowed.
    fn wait(&self, now: Duration) -> Duration {
        self.full_at.saturating_sub(now).saturating_sub(REFILL * (BURST - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checks_keep_their_spacing_and_the_refusal_says_so() {
        let mut state = State::default();
        let at = |s: u64| Duration::from_secs(1_000 + s);
        assert_eq!(state.begin(at(0)), Ok(()));
        let refused = state.begin(at(4)).unwrap_err();
        assert_eq!(refused, "asked 4 s ago; the next may be in 6 s (not more than 24 an hour)");
        assert_eq!(state.begin(at(10)), Ok(()));
    }

    #[test]
    fn continuous_asking_stays_within_the_hourly_limit() {
        let mut state = State::default();
        let (mut asked, mut checks) = (0, 0);
        for second in 0..3_600 {
            let now = Duration::from_secs(50_000 + second);
            if state.begin(now).is_ok() {
                (asked, checks) = (asked + 1, checks + 1);
                asked += u32::from(state.take(now));
            }
        }
        assert!((HOURLY - 1..=HOURLY).contains(&asked), "{asked} questions");
        assert!(checks >= 18, "a check at least every {REFILL:?}, not {checks} in an hour");
    }

    proptest! {
        #[test]
        fn any_hour_stays_within_the_limit(steps in proptest::collection::vec((0u64..700, any::<bool>()), 1..300)) {
            let mut state = State::default();
            let mut now = Duration::from_secs(5);
            let mut asked: Vec<Duration> = Vec::new();
            let mut begun: Vec<Duration> = Vec::new();
            for (step, begin) in steps {
                now += Duration::from_secs(step);
                let went = if begin { state.begin(now).is_ok() } else { state.take(now) };
                if went && begin {
                    begun.push(now);
                }
                if went {
                    asked.push(now);
                }
            }
            for from in &asked {
                let hour = *from..*from + Duration::from_secs(3_600);
                let count = asked.iter().filter(|at| hour.contains(at)).count();
                prop_assert!(count <= HOURLY as usize, "{count} in an hour");
            }
            prop_assert!(begun.windows(2).all(|two| two[1] - two[0] >= SPACING));
        }
    }
}
