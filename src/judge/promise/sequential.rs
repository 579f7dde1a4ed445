//! Rule `sequential`: as few tests as can be, at a known rate of false alarms.
//!
//! Policy, in prose:
//!
//! * Each test is short (below the threshold) or not. On a line that keeps its promise 15 % of the tests are short
//!   all the same; on one that does not, 70 %.
//! * A score weighs the two: a short test adds ln(0.70/0.15), another one ln(0.30/0.85), which is negative. It never
//!   falls below 0. That is Wald's sequential probability ratio test begun again each time it accepts the line, which
//!   is Page's CUSUM.
//! * At ln(0.95/0.005) the promise is broken: four short tests in a row, or more with good ones between. Never one.
//! * Each quarter of the day has its own score, so that a good night does not excuse a bad evening.
//! * The way back is the same test with its sides changed, over the quarters that were short: six good tests in a row.
//!
//! # Where the numbers are from
//! p0 = 0.15, p1 = 0.70, α = 0.005, β = 0.05. The figures hold for independent tests. Tests soon after a short one measure the
//! same dip again, so on real lines a finding comes sooner than they say. Where each test is short with the chance p, independently, a finding comes in the mean after so many tests
//! (Markov chain, exact): p 0.05: 115 000; 0.08: 15 600; 0.15: 1070; 0.425: 22.9; 0.70: 7.3; 1: 4.
//! In thousandths, as integers: logarithms may differ between machines.

use serde::{Deserialize, Serialize};

/// What a short test adds: ln(0.70/0.15), in thousandths.
pub const SHORT: u32 = 1_540;
/// What a good one takes: -ln(0.30/0.85), in thousandths.
pub const GOOD: u32 = 1_040;
/// From here on it is a finding: ln((1-β)/α), in thousandths.
pub const FINDING: u32 = 5_250;

/// The evidence for one of two sides, in thousandths of a natural logarithm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Score(pub u32);

impl Score {
    /// Weighs one test towards "broken". Tells whether that is now shown.
    pub fn take(&mut self, short: bool) -> bool {
        self.0 = if short { self.0.saturating_add(SHORT) } else { self.0.saturating_sub(GOOD) };
        self.0 >= FINDING
    }

    /// Weighs one test towards "kept again". Tells whether that is now shown.
    pub fn take_back(&mut self, short: bool) -> bool {
        self.0 = if short { self.0.saturating_sub(SHORT) } else { self.0.saturating_add(GOOD) };
        self.0 >= FINDING
    }

    /// There is some evidence.
    pub fn any(self) -> bool {
        self.0 > 0
    }
}
