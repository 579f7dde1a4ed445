//! Topic `event`: a change in an incident or a remedy.

use super::incident::{Incident, Remedy};
use crate::recording::Recording;
use crate::stamp::Stamp;
use serde::{Deserialize, Serialize};

/// Schema name of [`Event`].
pub const EVENT_SCHEMA: &str = "linekeeper.event.v1";

/// A change in an incident or a remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// [`EVENT_SCHEMA`].
    pub schema: String,
    /// Message id, stable over retries and reboots.
    pub id: String,
    /// The gateway's id.
    pub device_id: String,
    /// When it happened (not when it was sent).
    pub time: Stamp,
    /// What happened.
    pub event: EventName,
    /// The reason for the decision, in English, for engineers.
    pub why: String,
    /// The incident after this change.
    pub incident: Incident,
    /// The remedy that started or ended; `null` for changes of the incident itself.
    pub remedy: Option<Remedy>,
    /// With `incident_closed`: the flight recorder's data around the incident's first break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder: Option<Box<Recording>>,
}

/// What an [`Event`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventName {
    /// A new incident.
    IncidentOpened,
    /// Its finding or fault domain was revised, or it broke again within the hold-down.
    IncidentUpdated,
    /// The condition is over. A new break within the hold-down reopens the incident.
    IncidentClosed,
    /// A remedy is about to start.
    RemedyBegun,
    /// A remedy has ended and its effect is known.
    RemedyEnded,
}
