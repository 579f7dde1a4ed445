//! The messages between gateway and platform, one module for each topic.
//!
//! Callbacks, events and command results are critical: they are numbered, stored until they are acknowledged, and
//! identified by their id. The other messages are routine or retained. The gateway's MQTT client owns topics and transport.
//!
//! Compatibility: readers ignore fields they do not know. Compatible changes are a new field, an optional field that is
//! omitted, and a new value of an enumeration. A change that an old reader would misread gets a new schema name.
//! `config/schemas` describes the same messages as JSON Schema; the tests compare both.

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
    signed_configuration,
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

/// A message that must not be lost, with its sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Critical {
    /// Sequence number: increases by one with each message over the lifetime of the device. The outbox uses it to skip
    /// messages that it already has.
    pub number: u64,
    /// The message itself.
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

/// The `schema` field selects the variant.
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
    /// The stable id; the platform drops repeated messages by it.
    pub fn id(&self) -> &str {
        match self {
            Message::Callback(c) => &c.id,
            Message::Event(e) => &e.id,
            Message::CommandResult(r) => &r.id,
        }
    }

    /// The end of its topic, after `linekeeper/v1/<device-id>/`.
    pub fn topic(&self) -> &'static str {
        match self {
            Message::Callback(_) => "callback",
            Message::Event(_) => "event",
            Message::CommandResult(_) => "command/result",
        }
    }

    /// When the reported fact happened.
    pub fn time(&self) -> &Stamp {
        match self {
            Message::Callback(c) => &c.time,
            Message::Event(e) => &e.time,
            Message::CommandResult(r) => &r.time,
        }
    }
}
