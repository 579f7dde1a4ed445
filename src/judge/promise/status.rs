//! What may be told of the promise.

use super::rule::Verdict;
use linekeeper_contract::message;
use linekeeper_contract::units::{Bytes, Permille, Rate};
use linekeeper_contract::vocabulary::Direction;
use serde::{Deserialize, Serialize};

/// What may be told of the promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// By which rule it is judged.
    pub rule: String,
    /// Each direction in which something was sold.
    pub directions: Vec<SideStatus>,
    /// Spent in the last 24 hours (with what is reserved), and the most that may be.
    pub day: (Bytes, Bytes),
    /// The same for 31 days.
    pub month: (Bytes, Bytes),
    /// Milliseconds until the next test is due; 0: it waits for a quiet line.
    pub next_test_ms: Option<u64>,
    /// The test in course.
    pub running: Option<Direction>,
    /// The test servers.
    pub servers: Vec<ServerStatus>,
    /// The port's negotiated rate, where it is known and below the promise.
    pub port: Option<Rate>,
    /// Whether 95 % of the evening's round trips take at most 100 ms (rule `fcc-80-80`).
    pub round_trips_kept: Option<bool>,
    /// The incident.
    pub incident: Option<message::Incident>,
}

/// One direction in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideStatus {
    /// Which.
    pub direction: Direction,
    /// The verdict.
    pub verdict: Verdict,
    /// How it came about.
    pub why: String,
    /// A test that reaches it shows all that the rule asks of one.
    pub enough: Rate,
    /// The last results, the latest last.
    pub last: Vec<ResultStatus>,
    /// Short results and all, 18 to 24 h.
    pub busy_hours: (u16, u16),
    /// Short results and all, in the other hours.
    pub other_hours: (u16, u16),
}

/// One result in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultStatus {
    /// How long ago it was.
    pub ms_ago: u64,
    /// The line's best sustained second, or at least that.
    pub line: Rate,
    /// The share of the normal rate.
    pub share: Permille,
    /// The server; none: the customer's own traffic showed it.
    pub server: Option<String>,
    /// Below what is to be shown.
    pub short: bool,
}

/// One test server in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its URL.
    pub url: String,
    /// Milliseconds until it may be asked.
    pub waits_ms: u64,
    /// It alone gives low results.
    pub faulty: bool,
    /// What it last did wrong.
    pub trouble: Option<String>,
}
