//! What may be told of quality.

use linekeeper_contract::message;
use serde::{Deserialize, Serialize};

/// What may be told of quality now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Round trips, in microseconds; absent where none was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<MeasureStatus>,
    /// Losses, in permille; absent where none was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<MeasureStatus>,
    /// Round trips under the load of the last speed tests, each way that was tested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaded: Vec<LoadedStatus>,
}

/// One measure in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureStatus {
    /// What was promised: microseconds, or permille.
    pub limit: u32,
    /// How it stands.
    pub standing: Standing,
    /// The last window: the 95th percentile (rounded up to a tenth of the limit), or the share that was lost.
    pub last: Option<u32>,
    /// How long ago it ended, milliseconds.
    pub last_ms_ago: Option<u64>,
    /// Windows that failed.
    pub failing: usize,
    /// Of so many.
    pub windows: usize,
    /// The incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<message::Incident>,
}

/// How a measure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As was promised.
    Kept,
    /// Worse: it is an incident.
    Broken,
    /// Too few windows yet.
    Unknown,
}

/// One test's round trips in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedStatus {
    /// Which way it went.
    pub direction: linekeeper_contract::vocabulary::Direction,
    /// How long ago, milliseconds.
    pub ms_ago: u64,
    /// Before it, microseconds.
    pub idle_us: Option<u32>,
    /// Under its load, microseconds.
    pub loaded_us: u32,
}
