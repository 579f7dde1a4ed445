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
    /// Stable over retries and reboots.
    pub id: String,
    /// Which gateway.
    pub device_id: String,
    /// When it happened (not when it was sent).
    pub time: Stamp,
    /// What happened.
    pub event: EventName,
    /// Why it was decided so, in English, for engineers.
    pub why: String,
    /// The incident it belongs to, as it is now.
    pub incident: Incident,
    /// The remedy that began or ended.
    pub remedy: Option<Remedy>,
    /// With `incident_closed`: what the flight recorder has of the incident's first break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder: Option<Box<Recording>>,
}

/// The kinds of [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventName {
    /// A new incident.
    IncidentOpened,
    /// Its finding or fault domain was revised, or it broke again within the hold-down.
    IncidentUpdated,
    /// The line is back.
    IncidentClosed,
    /// A remedy is about to be carried out.
    RemedyBegun,
    /// A remedy's effect is known.
    RemedyEnded,
}
