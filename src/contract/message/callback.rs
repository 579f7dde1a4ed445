//! Topic `callback`: the request that the platform call the customer, and each change of it.

use super::incident::Remedy;
use crate::recording::Recording;
use crate::stamp::Stamp;
use crate::vocabulary::{Domain, Finding};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Schema name of [`Callback`].
pub const CALLBACK_SCHEMA: &str = "linekeeper.callback.v1";

/// The request that the platform call the customer, and each change of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// [`CALLBACK_SCHEMA`].
    pub schema: String,
    /// `<device>/<callback>`, and `/<revision>` from the second message on.
    pub id: String,
    /// `CB<date>-<number>`, unique on the device.
    pub callback_id: String,
    /// Which gateway.
    pub device_id: String,
    /// The operator's opaque reference to the customer.
    pub customer_id: Option<String>,
    /// The operator's name for the part of the network.
    pub area: Option<String>,
    /// Where it stands.
    pub state: CallbackState,
    /// The operator's notice (its number) that held for the area when this was said: the disturbance is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered_by: Option<String>,
    /// When this message's fact was.
    pub time: Stamp,
    /// How soon the customer should hear.
    pub severity: Severity,
    /// What set it off.
    pub trigger: Trigger,
    /// What is wrong, to be read to the customer.
    pub issues: Vec<Issue>,
    /// When it began; for an incident, when the line went.
    pub opened: Stamp,
    /// The incident it belongs to.
    pub incident_id: Option<String>,
    /// What shows it.
    pub evidence: Evidence,
    /// What was tried.
    pub remedies: Vec<Remedy>,
    /// How it ended.
    pub resolution: Resolution,
    /// 1 to 5, as the platform reported it back.
    pub satisfaction_score: Option<u8>,
    /// What the call found it to be about, as the platform reported it back; absent while it did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issue_types: Vec<String>,
}

/// The life of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackState {
    /// Nobody need call: a notice for the area covers it. A state of its own and not a mark on `requested`, because
    /// who does not know the mark would call all the same.
    Covered,
    /// Asked for; the platform has not answered yet.
    Requested,
    /// The platform has it (its receipt came).
    Received,
    /// A call is planned.
    Scheduled,
    /// The customer was called.
    Closed,
    /// The line healed before anyone called.
    Withdrawn,
    /// The platform does not want it.
    Refused,
}

/// How soon the customer should hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// When somebody talks to the customer anyway: it informs.
    Low,
    /// When it suits.
    Routine,
    /// Now: the business stands still.
    Urgent,
}

/// What set a callback off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Time, event or data.
    pub dimension: Dimension,
    /// Data: `outage`, `flapping`, `no_names`, `portal`, `speed`, `high_latency`, `loss`, `usage`, `device_warning`.
    /// Event: `customer`, `recheck`. Time: the due time, like `24h`.
    pub name: String,
}

/// The three dimensions of triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// A due date.
    Time,
    /// Somebody asked.
    Event,
    /// A finding.
    Data,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// `disconnect`, `speed`, `quality`, `service` (the line works, the internet does not), `request`, `follow_up`,
    /// `usage`, `device`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `outage.access`, `no_names.name`, `portal.portal`, `speed.download`, `speed.upload`, `speed.port`,
    /// `high_latency.upstream`, `loss.access`, `customer.asked`, `programme.24h`, `usage.much_sent`, `device.flash`: stable, for machines.
    pub code: String,
    /// In the configured language, to be read aloud.
    pub description: String,
}

/// What carries a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was found; `null` when nothing was (the customer asked).
    pub finding: Option<Finding>,
    /// Where.
    pub fault_domain: Domain,
    /// What was seen, in order.
    pub facts: Vec<Fact>,
    /// Measurements, where the finding rests on any.
    pub samples: Vec<Value>,
    /// The rule by which it was judged, in English.
    pub rule: String,
    /// The flight recorder's part: the minute before the break and the minute after it, so far as it was over then.
    #[serde(default)]
    pub recorder: Option<Box<Recording>>,
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// When.
    pub at: Stamp,
    /// A stable name: `echo.silent`, `link.no_carrier`.
    pub name: String,
    /// Of what: a target's host, a device.
    pub subject: String,
    /// In words, English.
    pub detail: String,
}

/// How a callback's cause ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Open or resolved.
    pub state: ResolutionState,
    /// The remedy that healed it, `itself`, whom the platform's receipt named, or `platform`.
    pub by: Option<String>,
    /// Seconds from `opened` to the resolution.
    pub resolution_time_s: Option<u64>,
}

/// Whether the cause is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolutionState {
    /// Not yet.
    Open,
    /// Gone.
    Resolved,
}
