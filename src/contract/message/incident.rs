//! Incidents and remedies, as events and callbacks carry them.

use crate::stamp::Stamp;
use crate::vocabulary::{Domain, Finding, Rung};
use serde::{Deserialize, Serialize};

/// An incident as the platform sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// `IN<date>-<number>`, unique on the device.
    pub id: String,
    /// What was found.
    pub finding: Finding,
    /// Of `device` and `usage`: which warning (`flash`, `port_speed`), which way (`much_sent`). Stable, for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Where the fault lies, as far as is known now.
    pub fault_domain: Domain,
    /// Open or closed.
    pub state: IncidentState,
    /// When the line went.
    pub opened: Stamp,
    /// When it came back for good.
    pub closed: Option<Stamp>,
    /// How often the line broke within it.
    pub breaks: u32,
    /// Milliseconds without a line so far.
    pub down_ms: u64,
}

/// Whether an incident still lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// It lasts.
    Open,
    /// It is over; a new break within the hold-down opens it again.
    Closed,
}

/// A remedy as the platform sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// What was done.
    pub name: Rung,
    /// When it began.
    pub began: Stamp,
    /// Milliseconds from its beginning until its effect was known; `null` while it lasts.
    pub took_ms: Option<u64>,
    /// What came of it; `null` while it lasts.
    pub outcome: Option<Outcome>,
    /// What the driver said.
    pub detail: String,
}

/// What came of a remedy, shown by the same probes that showed the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The line came back while it ran or settled.
    Healed,
    /// It was carried out and the line stayed dead.
    NoEffect,
    /// It could not be carried out.
    Failed,
    /// Only said, not done (`driver = "none"`).
    Pretended,
    /// The process or the gateway died in the middle of it.
    Interrupted,
}
