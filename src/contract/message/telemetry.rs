//! Topic `telemetry`: the summary of an hour.

use crate::stamp::Stamp;
use crate::units::{Bytes, Rate};
use crate::vocabulary::{Direction, Limit, SpeedFailure};
use serde::{Deserialize, Serialize};

/// Schema name of [`Telemetry`].
pub const TELEMETRY_SCHEMA: &str = "linekeeper.telemetry.v1";

/// The summary of an hour (or as configured): routine. Groups of fields that are not configured are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// [`TELEMETRY_SCHEMA`].
    pub schema: String,
    /// Stable over retries.
    pub id: String,
    /// Which gateway.
    pub device_id: String,
    /// Since when it covers.
    pub since: Stamp,
    /// Until when.
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

/// How long the line was in which state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineSummary {
    /// Milliseconds up.
    pub up_ms: u64,
    /// Milliseconds down.
    pub down_ms: u64,
    /// Milliseconds in which it was not known.
    pub unknown_ms: u64,
    /// Breaks shorter than the patience.
    pub disconnects: u64,
}

/// Round trips (RFC 2681) to all targets together, and what was lost (RFC 7680).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoSummary {
    /// Echoes answered.
    pub answered: u32,
    /// Echoes given up.
    pub lost: u32,
    /// The shortest, microseconds.
    pub least_us: Option<u32>,
    /// The median, microseconds, within 9 %.
    pub median_us: Option<u32>,
    /// 95 % were no longer, microseconds, within 9 %.
    pub p95_us: Option<u32>,
    /// The longest, microseconds.
    pub most_us: Option<u32>,
}

/// What the WAN device carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficSummary {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// The busiest reading interval received, bit/s.
    pub rx_most: Rate,
    /// The busiest reading interval sent, bit/s.
    pub tx_most: Rate,
}

/// Speed tests, and what they show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedReport {
    /// Those that ended in the interval; at most 8.
    pub tests: Vec<SpeedSummary>,
    /// How the promise stands at its end, each direction in which something was sold.
    pub verdicts: Vec<VerdictSummary>,
}

/// One speed test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedSummary {
    /// Which way.
    pub direction: Direction,
    /// At which server: its URL.
    pub server: String,
    /// The line's best sustained second, bit/s at the IP layer; absent when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Rate>,
    /// What kept the rate from being higher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// The median round trip before it, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_rtt_us: Option<u32>,
    /// The same under its load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_rtt_us: Option<u32>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<SpeedFailure>,
    /// What it cost, bytes both ways.
    pub cost: Bytes,
}

/// How the promise stands in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictSummary {
    /// Which.
    pub direction: Direction,
    /// `kept`, `broken` or `inconclusive`.
    pub verdict: String,
    /// Why it is inconclusive, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
