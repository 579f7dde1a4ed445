//! What goes over the wire: the critical messages, typed. Topics and transport are `act::mqtt`'s.
//!
//! Readers ignore fields they do not know; a change that an old reader would misread gets a new schema name. Compatible
//! is: a new field, an optional one that stays away, a new word in an enumeration. `config/schemas` says the same for
//! machines, and `tests/schemas.rs` holds both against each other.

mod callback;
mod command;
mod config;
mod event;
mod incident;
mod telemetry;

pub use crate::stamp::{Stamp, correct_stamps};
pub use crate::vocabulary::{CommandName, Domain, Finding};
pub use callback::{
    CALLBACK_SCHEMA, Callback, CallbackState, Dimension, Evidence, Fact, Issue, Resolution, ResolutionState,
    Severity, Trigger,
};
pub use command::{
    Arguments, COMMAND_RESULT_SCHEMA, COMMAND_SCHEMA, Command, CommandOutcome, CommandResult, CommandState,
    Reason, signed_text,
};
pub use config::{
    CONFIG_DESIRED_SCHEMA, CONFIG_REPORTED_SCHEMA, ConfigState, DesiredConfig, Rejected, ReportedConfig,
};
pub use event::{EVENT_SCHEMA, Event, EventName};
pub use incident::{Incident, IncidentState, Outcome, Remedy};
pub use telemetry::{
    EchoSummary, LineSummary, SpeedReport, SpeedSummary, TELEMETRY_SCHEMA, Telemetry, TrafficSummary,
    VerdictSummary,
};

use crate::json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Schema name of the retained `state`.
pub const STATE_SCHEMA: &str = "linekeeper.state.v1";
/// Schema name of an operator's notice for an area.
pub const NOTICE_SCHEMA: &str = "linekeeper.notice.v1";

/// A message that must not be lost, with its place in the order of this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Critical {
    /// Rises by one from message to message over the device's whole life; the outbox tells by it what it already has.
    pub number: u64,
    /// What it says.
    pub message: Message,
}

/// The critical messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Message {
    /// Topic `callback`.
    Callback(Box<Callback>),
    /// Topic `event`.
    Event(Box<Event>),
    /// Topic `command/result`.
    CommandResult(Box<CommandResult>),
}

/// Told by its schema.
impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Message, D::Error> {
        let tree = Value::deserialize(from)?;
        let read = match tree.get("schema").and_then(Value::as_str) {
            Some(CALLBACK_SCHEMA) => json::from_tree(&tree).map(Message::Callback),
            Some(EVENT_SCHEMA) => json::from_tree(&tree).map(Message::Event),
            Some(COMMAND_RESULT_SCHEMA) => json::from_tree(&tree).map(Message::CommandResult),
            _ => Err(serde::de::Error::custom("the schema is none of a critical message")),
        };
        read.map_err(serde::de::Error::custom)
    }
}

impl Message {
    /// The stable id by which the platform tells repetitions.
    pub fn id(&self) -> &str {
        match self {
            Message::Callback(c) => &c.id,
            Message::Event(e) => &e.id,
            Message::CommandResult(r) => &r.id,
        }
    }

    /// The last part of the topic it goes to.
    pub fn topic(&self) -> &'static str {
        match self {
            Message::Callback(_) => "callback",
            Message::Event(_) => "event",
            Message::CommandResult(_) => "command/result",
        }
    }

    /// When its fact was.
    pub fn time(&self) -> &Stamp {
        match self {
            Message::Callback(c) => &c.time,
            Message::Event(e) => &e.time,
            Message::CommandResult(r) => &r.time,
        }
    }
}
