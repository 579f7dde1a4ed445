//! Rule `fcc-80-80`: the United States' test of subsidised lines (FCC DA 18-710 and FCC 19-104).
//!
//! Policy, in prose:
//!
//! * One test an hour, 18 to 24 h by the line's own clock, on seven days: 42 tests. A second one in the same hour does
//!   not count.
//! * The promise is kept when at least 80 % of them reach at least 80 % of the rate that was sold.
//! * It is said as soon as the tests that are still to come cannot change it: 34 good ones keep it, 9 short ones break
//!   it.
//! * Of the round trips in the same hours 95 % take at most 100 ms. That is told beside it: a slow answer is no short
//!   rate.

use super::rule::{BUSY_HOURS, Judged, Reason, Sample, Verdict};
use crate::config::Rates;
use linekeeper_contract::units::{Mono, Permille, Rate, Span};
use serde::{Deserialize, Serialize};

/// What a test has to reach, of the rate that was sold.
pub const OF_RATE: Permille = Permille(800);
/// How many of the tests have to.
pub const OF_TESTS: Permille = Permille(800);
/// How many of the round trips have to be quick.
pub const OF_ROUND_TRIPS: Permille = Permille(950);
/// What quick is, microseconds.
pub const QUICK_US: u32 = 100_000;
/// Tests in a week.
pub const TESTS: usize = 42;
/// How long back they may lie: seven evenings lie within eight days.
pub const WEEK: Span = Span::days(8);

/// The rate that was sold: the normal one, else the one that was advertised.
pub fn sold(rates: &Rates) -> Option<Rate> {
    rates.normal.or(rates.maximum).or(rates.minimum)
}

/// Judges the last 42 evening tests; `sold` is what was sold.
pub fn judge(samples: &[Sample], sold: Rate, now: Mono) -> Judged {
    let bar = super::rule::part(sold, OF_RATE);
    let mut taken: Vec<usize> = Vec::new();
    let mut last = None;
    for (at, sample) in samples.iter().enumerate() {
        let (Some(hour), Some(day)) = (sample.hour(), sample.day()) else { continue };
        let counts = sample.server().is_some() && BUSY_HOURS.contains(&hour) && now.since(sample.at) <= WEEK;
        if counts && last != Some((day, hour)) {
            taken.push(at);
            last = Some((day, hour));
        }
    }
    let from = taken.len().saturating_sub(TESTS);
    let taken = &taken[from..];
    let short: Vec<usize> = taken.iter().copied().filter(|&at| samples[at].line < bar).collect();
    let good = taken.len() - short.len();
    let needed = TESTS * usize::from(OF_TESTS.0);
    let verdict = if (TESTS - short.len()) * 1_000 < needed {
        Verdict::Broken
    } else if good * 1_000 >= needed {
        Verdict::Kept
    } else if samples.last().is_some_and(|s| s.local.is_none()) {
        Verdict::Inconclusive(Reason::Clock)
    } else {
        Verdict::Inconclusive(Reason::TooFew)
    };
    let words = format!(
        "{good} of {} tests from 18 to 24 h reach {bar} ({OF_RATE} of {sold}); {OF_TESTS} of {TESTS} must",
        taken.len()
    );
    let carried = if verdict == Verdict::Kept { taken.to_vec() } else { short };
    Judged { verdict, carried, required: None, words }
}

/// Round trips of a week's evenings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrips {
    /// Those of at most [`QUICK_US`].
    pub quick: u32,
    /// The others.
    pub slow: u32,
}

impl RoundTrips {
    /// Counts one. After a week's worth at 2 Hz the past counts half.
    pub fn take(&mut self, rtt_us: u32) {
        *(if rtt_us <= QUICK_US { &mut self.quick } else { &mut self.slow }) += 1;
        if self.quick + self.slow >= 400_000 {
            (self.quick, self.slow) = (self.quick / 2, self.slow / 2);
        }
    }

    /// Whether enough of them are quick; none before a thousand, an hour's at the slowest probing.
    pub fn kept(&self) -> Option<bool> {
        let all = u64::from(self.quick) + u64::from(self.slow);
        (all >= 1_000).then(|| u64::from(self.quick) * 1_000 >= all * u64::from(OF_ROUND_TRIPS.0))
    }
}
