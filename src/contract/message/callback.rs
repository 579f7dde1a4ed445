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
    /// Message id: `<device>/<callback>`, with `/<revision>` appended from the second message on.
    pub id: String,
    /// `CB<date>-<number>`, unique on the device.
    pub callback_id: String,
    /// The gateway's id.
    pub device_id: String,
    /// The operator's opaque reference to the customer.
    pub customer_id: Option<String>,
    /// The operator's name for this part of the network.
    pub area: Option<String>,
    /// Its state.
    pub state: CallbackState,
    /// The number of the operator's notice that was in force for the area: the disturbance is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered_by: Option<String>,
    /// When the reported change happened.
    pub time: Stamp,
    /// How soon the customer should be called.
    pub severity: Severity,
    /// What triggered it.
    pub trigger: Trigger,
    /// What is wrong, in words to read to the customer.
    pub issues: Vec<Issue>,
    /// When the problem began; for an incident, when the line broke.
    pub opened: Stamp,
    /// The incident it belongs to.
    pub incident_id: Option<String>,
    /// The evidence.
    pub evidence: Evidence,
    /// The remedies that were tried.
    pub remedies: Vec<Remedy>,
    /// Whether and how the problem ended.
    pub resolution: Resolution,
    /// The customer's score, 1 to 5, as reported by the platform.
    pub satisfaction_score: Option<u8>,
    /// The issue types that the call established, as reported by the platform; absent before that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issue_types: Vec<String>,
}

/// The states of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackState {
    /// No call is needed: a notice for the area covers the problem. This is a state of its own and not a flag on
    /// `requested`, because a reader that does not know the flag would call anyway.
    Covered,
    /// Requested; the platform has not answered yet.
    Requested,
    /// The platform has confirmed it with a receipt.
    Received,
    /// A call is scheduled.
    Scheduled,
    /// The customer was called.
    Closed,
    /// The line recovered before anyone called.
    Withdrawn,
    /// The platform refused it.
    Refused,
}

/// How soon the customer should be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// No call of its own: mention it at the next contact.
    Low,
    /// At a convenient time.
    Routine,
    /// Now: the customer's business is at a standstill.
    Urgent,
}

/// What triggered a callback.
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
    /// A due date of the programme.
    Time,
    /// Somebody asked for it.
    Event,
    /// A finding.
    Data,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// `disconnect`, `speed`, `quality`, `service` (the line works, the internet does not), `request`, `follow_up`,
    /// `usage`, `device`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `outage.access`, `no_names.name`, `portal.portal`, `speed.download`, `speed.upload`, `speed.port`,
    /// `high_latency.upstream`, `loss.access`, `customer.asked`, `programme.24h`, `usage.much_sent`, `device.flash`.
    /// A stable code for machines.
    pub code: String,
    /// In the configured language, to be read aloud to the customer.
    pub description: String,
}

/// What a finding is based on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The finding; `null` when there is none (the customer asked).
    pub finding: Option<Finding>,
    /// Where the fault lies.
    pub fault_domain: Domain,
    /// What was observed, in the order of time.
    pub facts: Vec<Fact>,
    /// The measurements, for findings that are based on measurements.
    pub samples: Vec<Value>,
    /// The rule that was applied, in English.
    pub rule: String,
    /// The flight recorder's data: the minute before the break and as much of the minute after it as had passed.
    #[serde(default)]
    pub recorder: Option<Box<Recording>>,
}

/// One observed fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// When it was observed.
    pub at: Stamp,
    /// A stable name: `echo.silent`, `link.no_carrier`.
    pub name: String,
    /// What it is about: a target's host, a network device.
    pub subject: String,
    /// In words, English.
    pub detail: String,
}

/// Whether and how the cause of a callback ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Open or resolved.
    pub state: ResolutionState,
    /// Who resolved it: the remedy's name, `itself`, the name in the platform's receipt, or `platform`.
    pub by: Option<String>,
    /// Seconds from `opened` to the resolution.
    pub resolution_time_s: Option<u64>,
}

/// Whether the cause is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolutionState {
    /// The cause is still there.
    Open,
    /// The cause is gone.
    Resolved,
}
