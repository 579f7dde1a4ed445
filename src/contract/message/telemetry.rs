//! Topic `telemetry`: the routine summary of an hour (or of the configured interval).

use crate::stamp::Stamp;
use crate::units::{Bytes, Rate};
use crate::vocabulary::{Direction, Limit, SpeedFailure};
use serde::{Deserialize, Serialize};

/// Schema name of [`Telemetry`].
pub const TELEMETRY_SCHEMA: &str = "linekeeper.telemetry.v1";

/// The summary of one interval. Groups of fields that are not configured are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// [`TELEMETRY_SCHEMA`].
    pub schema: String,
    /// Message id, stable over retries.
    pub id: String,
    /// The gateway's id.
    pub device_id: String,
    /// Start of the interval.
    pub since: Stamp,
    /// End of the interval.
    pub time: Stamp,
    /// Group `line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineSummary>,
    /// Group `echo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<EchoSummary>,
    /// Group `traffic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficSummary>,
    /// Group `speed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<SpeedReport>,
}

/// How long the line was in each state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineSummary {
    /// Milliseconds up.
    pub up_ms: u64,
    /// Milliseconds down.
    pub down_ms: u64,
    /// Milliseconds in which the state was unknown.
    pub unknown_ms: u64,
    /// Breaks shorter than the configured patience.
    pub disconnects: u64,
}

/// Round-trip times (RFC 2681) and loss (RFC 7680), all targets together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoSummary {
    /// Echo requests that were answered.
    pub answered: u32,
    /// Echo requests without a reply.
    pub lost: u32,
    /// Shortest round trip, microseconds.
    pub least_us: Option<u32>,
    /// Median, microseconds, accurate to 9 %.
    pub median_us: Option<u32>,
    /// 95th percentile, microseconds, accurate to 9 %.
    pub p95_us: Option<u32>,
    /// Longest round trip, microseconds.
    pub most_us: Option<u32>,
}

/// Traffic of the WAN device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficSummary {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Highest receive rate of one reading interval, bit/s.
    pub rx_most: Rate,
    /// Highest send rate of one reading interval, bit/s.
    pub tx_most: Rate,
}

/// Speed tests and the verdicts based on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedReport {
    /// The tests that ended in the interval, at most 8.
    pub tests: Vec<SpeedSummary>,
    /// The verdict at the end of the interval, for each direction with a contracted rate.
    pub verdicts: Vec<VerdictSummary>,
}

/// One speed test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedSummary {
    /// The direction.
    pub direction: Direction,
    /// The server's URL.
    pub server: String,
    /// The rate of the line in the best sustained second, bit/s at the IP layer; absent when the test failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Rate>,
    /// What limited the rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Median round trip before the test, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_rtt_us: Option<u32>,
    /// Median round trip under the load of the test, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_rtt_us: Option<u32>,
    /// Why the test failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<SpeedFailure>,
    /// Bytes transferred, both directions.
    pub cost: Bytes,
}

/// Whether the contracted rate is kept in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictSummary {
    /// The direction.
    pub direction: Direction,
    /// `kept`, `broken` or `inconclusive`.
    pub verdict: String,
    /// Why it is inconclusive, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
