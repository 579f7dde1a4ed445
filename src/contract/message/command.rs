//! Topics `command` and `command/result`: commands of the platform and their progress.
//!
//! A command may be signed with Ed25519; [`signed_text`] gives the text that the signature covers.

use crate::stamp::Stamp;
use crate::units::LocalTime;
use crate::vocabulary::{CommandName, Direction, Rung};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Schema name of [`Command`].
pub const COMMAND_SCHEMA: &str = "linekeeper.command.v1";
/// Schema name of [`CommandResult`].
pub const COMMAND_RESULT_SCHEMA: &str = "linekeeper.command-result.v1";

/// A command of the platform, on topic `command`.
///
/// Each command has an id of its own. A message with an id that was seen before is a repetition and gets the same result.
/// Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// [`COMMAND_SCHEMA`]; may be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The platform's id of the command: 1 to 64 visible ASCII characters, never reused.
    pub id: String,
    /// The addressed gateway; absent: the gateway of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// What to do.
    pub command: CommandName,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Arguments,
    /// When it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<LocalTime>,
    /// The command must not be started after this time. Required for a signed command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<LocalTime>,
    /// The same as a duration from `issued`, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_s: Option<u64>,
    /// Ed25519 signature of [`signed_text`], 128 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// The arguments of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arguments {
    /// For `remedy`: the rung (`reboot` has a command of its own).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<Rung>,
    /// For `speedtest`: one direction; absent: each direction with a contracted rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// For `programme`: seconds from now until the call, from 60 seconds to 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_s: Option<u64>,
}

/// The text that a command's signature covers: schema, device id, command id, command, expiry and argument, each on its
/// own line, without a line end after the last. None of the parts can contain a line end.
///
/// `expires` is the text in the message, empty if absent. The argument is the name of the rung, the name of the direction,
/// or the delay in seconds, and empty if there is none.
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
            rung.map(|r| r.as_str().to_string()),
            direction.map(|d| d.as_str().to_string()),
            delay.map(|d| d.to_string()),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(","),
    };
    format!("{COMMAND_SCHEMA}\n{device_id}\n{id}\n{}\n{expires}\n{argument}", command.as_str())
}

/// The progress of a command, on topic `command/result`. A later state implies the earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// [`COMMAND_RESULT_SCHEMA`].
    pub schema: String,
    /// Message id, stable over retries and reboots. The result of a repeated command has the id of the first result.
    pub id: String,
    /// The gateway's id.
    pub device_id: String,
    /// The command's id.
    pub command_id: String,
    /// The command; `null` if it could not be read.
    pub command: Option<CommandName>,
    /// Its state.
    pub state: CommandState,
    /// When it reached this state.
    pub time: Stamp,
    /// The boot in which it was started.
    pub started_boot_id: Option<String>,
    /// With `done`: the outcome.
    pub outcome: Option<CommandOutcome>,
    /// Why it was refused, expired or failed, for machines.
    pub reason: Option<Reason>,
    /// The same in words, English.
    pub detail: String,
    /// The result; its form depends on the command.
    pub result: Value,
    /// The correlation data of the command's MQTT 5 properties, hexadecimal; the result carries it in its own properties too.
    pub correlation: Option<String>,
}

/// The states of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// It will be started as soon as possible.
    Accepted,
    /// It is running.
    Started,
    /// It has ended.
    Done,
    /// It will not be carried out.
    Refused,
    /// It expired before it could be started.
    Expired,
}

impl CommandState {
    /// As messages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            CommandState::Accepted => "accepted",
            CommandState::Started => "started",
            CommandState::Done => "done",
            CommandState::Refused => "refused",
            CommandState::Expired => "expired",
        }
    }

    /// Whether no further state follows.
    pub const fn is_end(self) -> bool {
        matches!(self, CommandState::Done | CommandState::Refused | CommandState::Expired)
    }
}

/// The outcome of a command that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// It was carried out.
    Ok,
    /// It was started and failed.
    Failed,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It does not match the schema.
    Malformed,
    /// It is larger than the limit for commands.
    TooLarge,
    /// It is addressed to another gateway.
    OtherDevice,
    /// The broker had retained it, so it may be old.
    Retained,
    /// The configuration does not allow it.
    NotAllowed,
    /// It is unsigned, and a signature is required.
    Unsigned,
    /// Its signature is wrong.
    BadSignature,
    /// It has expired.
    Expired,
    /// The rate limit for commands is exceeded.
    TooMany,
    /// The budget is exhausted.
    Budget,
    /// Somebody is working on the gateway.
    HandsOff,
    /// This gateway cannot do it.
    Unsupported,
    /// It was started and failed.
    Failed,
    /// The process or the gateway ended while it ran.
    Interrupted,
}
