//! What is judged of quality.

use linekeeper_contract::message::Finding;
use serde::{Deserialize, Serialize};

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Round trips.
    Latency,
    /// Losses.
    Loss,
}

impl Measure {
    /// Both.
    pub const ALL: [Measure; 2] = [Measure::Latency, Measure::Loss];

    /// What is found when it is bad.
    pub const fn finding(self) -> Finding {
        match self {
            Measure::Latency => Finding::HighLatency,
            Measure::Loss => Finding::Loss,
        }
    }
}
