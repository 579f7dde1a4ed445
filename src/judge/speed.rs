//! Orders and results of speed tests, as exchanged between the sensor, the judge and the platform.
//!
//! Rates are at the IP layer (headers of IP and above count, those of Ethernet do not), as RFC 9097 has its
//! "IP-layer capacity", unless a name says `payload`.

use linekeeper_contract::json;
use linekeeper_contract::units::{Bytes, Permille, Rate, Span};
use linekeeper_contract::vocabulary::{Direction, Limit, SpeedFailure};
use serde::{Deserialize, Serialize};

/// Number of a speed test of this device; does not restart with the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TestId(pub u64);

/// A test to run, in one direction. The judge decides it, so that one place decides what tests cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedOrder {
    /// Its number, repeated in the result.
    pub test: TestId,
    /// An index into `Config::speed.servers`.
    pub server: u8,
    /// The direction.
    pub direction: Direction,
    /// When the line sustains this rate, the promise is kept and the test may stop. `None`: measure to the end.
    pub enough: Option<Rate>,
    /// The longest duration of the test.
    pub seconds_most: Span,
    /// The most bytes it may transfer (own traffic, both directions, at the IP layer).
    pub bytes_most: Bytes,
    /// It stops when the customer's traffic in this direction stays above this rate. `None`: it continues beside the
    /// customer's traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives_way: Option<Rate>,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedEnded {
    /// Number of the test.
    pub test: TestId,
    /// An index into `Config::speed.servers`.
    pub server: u8,
    /// The direction.
    pub direction: Direction,
    /// Own bytes in both directions at the IP layer. Also given for a failed test.
    pub cost: Bytes,
    /// How long it took.
    pub took: Span,
    /// The result.
    pub outcome: SpeedOutcome,
}

json::tagged! {
    /// The result of a test.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum SpeedOutcome = "SpeedOutcome" by "outcome" {
        /// It was measured.
        Measured(Figures),
        /// It failed.
        Failed {
            /// The kind of failure.
            reason: SpeedFailure,
            /// In words: what was being done, to what, why it failed.
            detail: String,
            /// The server's Retry-After.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            retry_after: Option<Span>,
        },
    }
}

/// The figures of one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Best sustained second of the line: our own and the customer's traffic together. This is compared with
    /// the promise, so that the customer's own use counts for the line and not against it.
    pub line: Rate,
    /// Mean of the line after the ramp.
    pub line_mean: Rate,
    /// Our own part of the best second.
    pub own: Rate,
    /// The customer's part of the best second (interface minus own).
    pub customer: Rate,
    /// Our own transport payload in the best second.
    pub own_payload: Rate,
    /// Spread of the 100 ms samples after the ramp: (90th − 10th percentile) / median.
    pub spread: Permille,
    /// How reliable the figure is.
    pub confidence: Confidence,
    /// What kept the rate from being higher.
    pub limit: Limit,
    /// Whether it stopped early because the promise was shown to be kept.
    pub stopped_early: bool,
    /// Parallel connections at the end.
    pub connections: u8,
    /// Round-trip time before the test, microseconds.
    pub idle_rtt_us: Option<u32>,
    /// Round-trip time under its load (median), microseconds.
    pub loaded_rtt_us: Option<u32>,
    /// Responsiveness under load in round trips per minute.
    pub rpm: Option<u32>,
}

/// How reliable a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Too short or too unsteady.
    Low,
    /// Steady for part of the time.
    Medium,
    /// Steady.
    High,
}
