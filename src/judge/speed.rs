//! What a speed test is and what it found: the words between the sensor, the judge and the platform.
//!
//! Rates are at the IP layer (headers of IP and above count, those of Ethernet do not), as RFC 9097 has its
//! "IP-layer capacity", unless a name says `payload`.

use linekeeper_contract::json;
use linekeeper_contract::units::{Bytes, Permille, Rate, Span};
use linekeeper_contract::vocabulary::{Direction, Limit, SpeedFailure};
use serde::{Deserialize, Serialize};

/// Numbers the speed tests of one device; stable over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TestId(pub u64);

/// A test to carry out, in one direction. Decided by the judge, so that what tests cost is decided in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedOrder {
    /// Its number, to be given back.
    pub test: TestId,
    /// A place in `Config::speed.servers`.
    pub server: u8,
    /// Which way.
    pub direction: Direction,
    /// At this line rate, sustained, the promise is kept and the test may stop. `None`: measure to the end.
    pub enough: Option<Rate>,
    /// The test ends at the latest after this.
    pub seconds_most: Span,
    /// It ends at the latest when this many bytes (own, both ways, at the IP layer) have passed.
    pub bytes_most: Bytes,
    /// The customer comes first: it ends when more than this of the direction is theirs and stays so. `None`: goes on
    /// beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives_way: Option<Rate>,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedEnded {
    /// Which.
    pub test: TestId,
    /// At which server.
    pub server: u8,
    /// Which way.
    pub direction: Direction,
    /// What it cost: own bytes in both directions at the IP layer. Told also for a test that failed.
    pub cost: Bytes,
    /// How long it took.
    pub took: Span,
    /// What it found.
    pub outcome: SpeedOutcome,
}

json::tagged! {
    /// What a test found.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum SpeedOutcome = "SpeedOutcome" by "outcome" {
        /// It has figures.
        Measured(Figures),
        /// It has none.
        Failed {
            /// The kind of failure.
            reason: SpeedFailure,
            /// In words: what was being done, to what, why it failed.
            detail: String,
            /// When the server says to come again (Retry-After).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            retry_after: Option<Span>,
        },
    }
}

/// The figures of one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Best sustained second of the line: our own and the customer's traffic together. This is held against the
    /// promise, so that the customer's own use counts for the line and not against it.
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
    /// How far the figure is to be trusted.
    pub confidence: Confidence,
    /// What kept the rate from being higher.
    pub limit: Limit,
    /// Whether it stopped early because enough was shown.
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

/// How far a figure is to be trusted.
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
