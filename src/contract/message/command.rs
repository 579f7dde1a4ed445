//! Topics `command` and `command/result`: what the platform orders, and how far it is.

use crate::stamp::Stamp;
use crate::units::LocalTime;
use crate::vocabulary::{CommandName, Direction, Rung};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Schema name of [`Command`].
pub const COMMAND_SCHEMA: &str = "linekeeper.command.v1";
/// Schema name of [`CommandResult`].
pub const COMMAND_RESULT_SCHEMA: &str = "linekeeper.command-result.v1";

/// An order of the platform, on topic `command`.
///
/// Each order has an id of its own; the same id again is the same order again and gets the same answer. Fields that are
/// not named here are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// [`COMMAND_SCHEMA`]; may be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The platform's number of the order: 1 to 64 visible ASCII characters, never used twice.
    pub id: String,
    /// For which gateway; absent: for that of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// What is to be done.
    pub command: CommandName,
    /// With what.
    #[serde(default)]
    pub arguments: Arguments,
    /// When it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<LocalTime>,
    /// From when on it must not be begun any more. A signed one must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<LocalTime>,
    /// The same as a length of time from `issued`, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_s: Option<u64>,
    /// Ed25519 over [`signed_text`], 128 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// What a command is to be done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arguments {
    /// `remedy`: which rung (`reboot` has a command of its own).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<Rung>,
    /// `speedtest`: one direction; absent: each in which something was sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// `programme`: in how many seconds, 60 to 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_s: Option<u64>,
}

/// The text that a command's signature is over: schema, device, command's id, command, expiry and argument, each on a
/// line of its own (the last without an end). None of them can hold a line end. `expires` as the message writes it, empty
/// if it has none; the argument is the rung's name, the direction's, the delay in seconds, or empty.
pub fn signed_text(
    device_id: &str,
    id: &str,
    command: CommandName,
    expires: &str,
    arguments: &Arguments,
) -> String {
    let argument = match (arguments.rung, arguments.direction, arguments.delay_s) {
        (None, None, None) => String::new(),
        (rung, direction, delay) => [
            rung.map(|r| r.name().to_string()),
            direction.map(|d| d.name().to_string()),
            delay.map(|d| d.to_string()),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(","),
    };
    format!("{COMMAND_SCHEMA}\n{device_id}\n{id}\n{}\n{expires}\n{argument}", command.name())
}

/// How far a command is, on topic `command/result`. A later state says the earlier ones too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// [`COMMAND_RESULT_SCHEMA`].
    pub schema: String,
    /// Stable over retries and reboots; an answer to a repeated command has the id of the first answer.
    pub id: String,
    /// Which gateway.
    pub device_id: String,
    /// Which command.
    pub command_id: String,
    /// What was ordered; `null` where that could not be read.
    pub command: Option<CommandName>,
    /// How far it is.
    pub state: CommandState,
    /// When it came to that.
    pub time: Stamp,
    /// The boot in which it was begun.
    pub started_boot_id: Option<String>,
    /// With `done`: what came of it.
    pub outcome: Option<CommandOutcome>,
    /// Why it was refused, expired or failed: for machines.
    pub reason: Option<Reason>,
    /// In words, English.
    pub detail: String,
    /// What was found, by command.
    pub result: Value,
    /// The correlation data of MQTT 5, hexadecimal; given back as such too.
    pub correlation: Option<String>,
}

/// The life of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// It will be begun as soon as that is possible.
    Accepted,
    /// It is being done.
    Started,
    /// It is over.
    Done,
    /// It will not be done.
    Refused,
    /// Its time was over before it could be begun.
    Expired,
}

impl CommandState {
    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            CommandState::Accepted => "accepted",
            CommandState::Started => "started",
            CommandState::Done => "done",
            CommandState::Refused => "refused",
            CommandState::Expired => "expired",
        }
    }

    /// Nothing follows.
    pub const fn is_end(self) -> bool {
        matches!(self, CommandState::Done | CommandState::Refused | CommandState::Expired)
    }
}

/// What came of a command that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// It was carried out.
    Ok,
    /// It was begun and could not be carried out.
    Failed,
}

/// Why a command was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not as the schema wants it.
    Malformed,
    /// Larger than a command may be.
    TooLarge,
    /// It names another gateway.
    OtherDevice,
    /// It was retained by the broker: it may be of long ago.
    Retained,
    /// The configuration does not allow it.
    NotAllowed,
    /// It must be signed, and is not.
    Unsigned,
    /// Its signature is wrong.
    BadSignature,
    /// Its time is over.
    Expired,
    /// Too many commands in too short a time.
    TooMany,
    /// The budget is spent.
    Budget,
    /// Somebody works on the gateway.
    HandsOff,
    /// It cannot be done here.
    Unsupported,
    /// It was begun and went wrong.
    Failed,
    /// The process or the gateway died in the middle of it.
    Interrupted,
}
