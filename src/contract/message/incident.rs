//! Incidents and remedies, as events and callbacks contain them.

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
    /// For the findings `device` and `usage`: which warning (`flash`, `port_speed`) or which deviation (`much_sent`). A
    /// stable word for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Where the fault lies, as known now.
    pub fault_domain: Domain,
    /// Open or closed.
    pub state: IncidentState,
    /// When the line broke, or when the condition began.
    pub opened: Stamp,
    /// When the line returned for good; `null` while the incident is open.
    pub closed: Option<Stamp>,
    /// Number of breaks in this incident.
    pub breaks: u32,
    /// Total downtime so far, milliseconds.
    pub down_ms: u64,
}

/// Whether an incident is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// The condition lasts.
    Open,
    /// The condition is over. A new break within the hold-down reopens the incident.
    Closed,
}

/// A remedy as the platform sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// The repair action.
    pub name: Rung,
    /// When it started.
    pub began: Stamp,
    /// Milliseconds from its start until its effect was known; `null` while it runs.
    pub took_ms: Option<u64>,
    /// Its result; `null` while it runs.
    pub outcome: Option<Outcome>,
    /// The driver's own words.
    pub detail: String,
}

/// The result of a remedy, measured by the same probes that detected the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The line returned while the remedy ran or during its settling time.
    Healed,
    /// It was carried out; the line stayed down.
    NoEffect,
    /// It could not be carried out.
    Failed,
    /// Reported only, not carried out (`driver = "none"`).
    Pretended,
    /// The process or the gateway ended while it ran.
    Interrupted,
}
