//! What goes over the wire: the critical messages, typed. Topics and transport are `act::mqtt`'s.
//!
//! Readers ignore fields they do not know; a change that an old reader would misread gets a new schema name. Compatible
//! is: a new field, an optional one that stays away, a new word in an enumeration. `config/schemas` says the same for
//! machines, and `tests/schemas.rs` holds both against each other.

use crate::json;
use crate::recording::Recording;
use crate::units::{Bytes, LocalTime, Rate, Wall};
use crate::vocabulary::{Direction, Limit, Rung, SpeedFailure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// When something was, said so that it can be corrected later: gateways boot with a wrong date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Civil time; `null` while it is not known at all.
    pub wall: Option<LocalTime>,
    /// Whether `wall` comes from a clock that was set.
    pub synced: bool,
    /// The boot in which it was.
    pub boot_id: String,
    /// Milliseconds from that boot to the moment.
    pub uptime_ms: u64,
}

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

/// Schema name of [`Event`].
pub const EVENT_SCHEMA: &str = "linekeeper.event.v1";
/// Schema name of [`Callback`].
pub const CALLBACK_SCHEMA: &str = "linekeeper.callback.v1";
/// Schema name of [`Telemetry`].
pub const TELEMETRY_SCHEMA: &str = "linekeeper.telemetry.v1";
/// Schema name of the retained `state`.
pub const STATE_SCHEMA: &str = "linekeeper.state.v1";
/// Schema name of [`Command`].
pub const COMMAND_SCHEMA: &str = "linekeeper.command.v1";
/// Schema name of [`CommandResult`].
pub const COMMAND_RESULT_SCHEMA: &str = "linekeeper.command-result.v1";
/// Schema name of [`DesiredConfig`].
pub const CONFIG_DESIRED_SCHEMA: &str = "linekeeper.config-desired.v1";
/// Schema name of [`ReportedConfig`].
pub const CONFIG_REPORTED_SCHEMA: &str = "linekeeper.config-reported.v1";

/// Schema name of an operator's notice for an area ([`linekeeper_judge::check::AreaNotice`]).
pub const NOTICE_SCHEMA: &str = "linekeeper.notice.v1";

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

/// A detected condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nothing comes through.
    Outage,
    /// Many short outages.
    Flapping,
    /// Slower than was promised.
    ShortRate,
    /// The line carries packets, but names are not resolved.
    NoNames,
    /// The line carries packets, but somebody in between answers in the web's place.
    Portal,
    /// The gateway itself is about to fail.
    Device,
    /// Round trips take longer than was promised.
    HighLatency,
    /// More is lost than was promised.
    Loss,
    /// Far more, or far less, traffic than at this hour of other weeks.
    Usage,
}

impl Finding {
    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Finding::Outage => "outage",
            Finding::Flapping => "flapping",
            Finding::ShortRate => "short_rate",
            Finding::NoNames => "no_names",
            Finding::Portal => "portal",
            Finding::Device => "device",
            Finding::HighLatency => "high_latency",
            Finding::Loss => "loss",
            Finding::Usage => "usage",
        }
    }

    /// Of a line that carries packets, and no internet for the customer.
    pub const fn is_of_service(self) -> bool {
        match self {
            Finding::NoNames | Finding::Portal => true,
            Finding::Outage
            | Finding::Flapping
            | Finding::ShortRate
            | Finding::Device
            | Finding::HighLatency
            | Finding::Loss
            | Finding::Usage => false,
        }
    }
}

/// Where the fault lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// This gateway itself.
    Device,
    /// The customer's own network.
    Lan,
    /// Cable, carrier, modem.
    Link,
    /// DHCP or PPPoE: no address, no route.
    Access,
    /// The operator's first router does not answer.
    Gateway,
    /// Beyond the operator's first router.
    Upstream,
    /// The resolvers (DNS).
    Name,
    /// A login page, or a filter, in between.
    Portal,
    /// The test server alone.
    Server,
    /// Not determined.
    Unknown,
}

impl Domain {
    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Domain::Device => "device",
            Domain::Lan => "lan",
            Domain::Link => "link",
            Domain::Access => "access",
            Domain::Gateway => "gateway",
            Domain::Upstream => "upstream",
            Domain::Name => "name",
            Domain::Portal => "portal",
            Domain::Server => "server",
            Domain::Unknown => "unknown",
        }
    }
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

/// The summary of an hour (or as configured): routine. Groups of fields that are not configured are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// [`TELEMETRY_SCHEMA`].
    pub schema: String,
    /// Stable over retries.
    pub id: String,
    /// Which gateway.
    pub device_id: String,
    /// Since when it covers.
    pub since: Stamp,
    /// Until when.
    pub time: Stamp,
    /// Group `line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineSummary>,
    /// Group `echo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<EchoSummary>,
    /// Group `traffic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficSummary>,
    /// Group `speed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<SpeedReport>,
}

/// How long the line was in which state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineSummary {
    /// Milliseconds up.
    pub up_ms: u64,
    /// Milliseconds down.
    pub down_ms: u64,
    /// Milliseconds in which it was not known.
    pub unknown_ms: u64,
    /// Breaks shorter than the patience.
    pub disconnects: u64,
}

/// Round trips (RFC 2681) to all targets together, and what was lost (RFC 7680).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoSummary {
    /// Echoes answered.
    pub answered: u32,
    /// Echoes given up.
    pub lost: u32,
    /// The shortest, microseconds.
    pub least_us: Option<u32>,
    /// The median, microseconds, within 9 %.
    pub median_us: Option<u32>,
    /// 95 % were no longer, microseconds, within 9 %.
    pub p95_us: Option<u32>,
    /// The longest, microseconds.
    pub most_us: Option<u32>,
}

/// What the WAN device carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficSummary {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// The busiest reading interval received, bit/s.
    pub rx_most: Rate,
    /// The busiest reading interval sent, bit/s.
    pub tx_most: Rate,
}

/// Speed tests, and what they show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedReport {
    /// Those that ended in the interval; at most 8.
    pub tests: Vec<SpeedSummary>,
    /// How the promise stands at its end, each direction in which something was sold.
    pub verdicts: Vec<VerdictSummary>,
}

/// One speed test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedSummary {
    /// Which way.
    pub direction: Direction,
    /// At which server: its URL.
    pub server: String,
    /// The line's best sustained second, bit/s at the IP layer; absent when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Rate>,
    /// What kept the rate from being higher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// The median round trip before it, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_rtt_us: Option<u32>,
    /// The same under its load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_rtt_us: Option<u32>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<SpeedFailure>,
    /// What it cost, bytes both ways.
    pub cost: Bytes,
}

/// How the promise stands in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictSummary {
    /// Which.
    pub direction: Direction,
    /// `kept`, `broken` or `inconclusive`.
    pub verdict: String,
    /// Why it is inconclusive, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

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

/// What may be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandName {
    /// Say how the line does.
    Check,
    /// Measure how fast it is, within the budgets.
    Speedtest,
    /// Say where a fault lies, and what shows it.
    Diagnose,
    /// Take one rung of the ladder, within its budget.
    Remedy,
    /// Reboot the gateway, within that rung's budget.
    Reboot,
    /// Ask for a callback some time from now: a complaint was handled, and somebody shall ask whether it is well.
    Programme,
}

impl CommandName {
    /// All.
    pub const ALL: [CommandName; 6] = [
        CommandName::Check,
        CommandName::Speedtest,
        CommandName::Diagnose,
        CommandName::Remedy,
        CommandName::Reboot,
        CommandName::Programme,
    ];

    /// As configuration and messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            CommandName::Check => "check",
            CommandName::Speedtest => "speedtest",
            CommandName::Diagnose => "diagnose",
            CommandName::Remedy => "remedy",
            CommandName::Reboot => "reboot",
            CommandName::Programme => "programme",
        }
    }

    /// It interrupts the customer.
    pub const fn is_destructive(self) -> bool {
        matches!(self, CommandName::Remedy | CommandName::Reboot)
    }
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

/// The configuration that the platform wants, on topic `config/desired` (retained).
///
/// `config` is laid over the gateway's own configuration as a JSON Merge Patch (RFC 7396): what it does not name stays,
/// `null` brings the default back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredConfig {
    /// [`CONFIG_DESIRED_SCHEMA`]; may be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The platform's name for it: 1 to 64 visible ASCII characters.
    pub version: String,
    /// Sections and keys as in the configuration file.
    pub config: Value,
}

/// What became of it, on topic `config/reported` (retained).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedConfig {
    /// [`CONFIG_REPORTED_SCHEMA`].
    pub schema: String,
    /// Which gateway.
    pub device_id: String,
    /// The version in force; `null`: the gateway's own configuration alone.
    pub version: Option<String>,
    /// The version that was last desired, where its name could be read.
    pub desired: Option<String>,
    /// What became of it.
    pub state: ConfigState,
    /// What of it is not in force, and why.
    pub rejected: Vec<Rejected>,
    /// Why it was returned from or refused, in words.
    pub reason: Option<String>,
}

/// What became of a desired configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigState {
    /// None is desired: the gateway's own configuration holds.
    Local,
    /// It is in force on trial.
    Trying,
    /// It is in force for good.
    Applied,
    /// It was tried, did not prove itself, and the last good one is in force again.
    Returned,
    /// Nothing of it can be put in force; what was in force stays.
    Refused,
}

/// One key that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rejected {
    /// Its path, as `linekeeper check` writes it.
    pub key: String,
    /// Why not.
    pub reason: String,
}

/// Corrects every [`Stamp`] inside `message` that was made before the clock was set in the same boot.
///
/// `boot_at` is the civil time at which that boot began, as known now. Stamps of other boots stay as they are and
/// stay marked: for them it cannot be known.
pub fn correct_stamps(message: &mut Value, boot_id: &str, boot_at: Wall, offset_minutes: i16) {
    match message {
        Value::Object(map) => {
            let uncorrected = map.get("synced") == Some(&Value::Bool(false))
                && map.get("boot_id").and_then(Value::as_str) == Some(boot_id);
            if let (true, Some(uptime)) = (uncorrected, map.get("uptime_ms").and_then(Value::as_i64)) {
                let at = LocalTime { wall: Wall(boot_at.0.saturating_add(uptime)), offset_minutes };
                map.insert("wall".into(), Value::String(at.to_string()));
                map.insert("synced".into(), Value::Bool(true));
                return;
            }
            for value in map.values_mut() {
                correct_stamps(value, boot_id, boot_at, offset_minutes);
            }
        }
        Value::Array(list) => {
            for value in list {
                correct_stamps(value, boot_id, boot_at, offset_minutes);
            }
        }
        _ => {}
    }
}
