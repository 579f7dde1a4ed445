//! What goes over the wire: the critical messages, typed. Topics and transport are `act::mqtt`'s.
//!
//! Readers ignore fields they do not know; a change that an old reader would misread gets a new schema name.

use crate::action::Rung;
use crate::judge::flight::Recording;
use crate::speed::{Direction, Limit, SpeedFailure};
use crate::units::{Bytes, LocalTime, Rate, Wall};
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Message {
    /// Topic `callback`. (First: it is told from an event by its `callback_id`.)
    Callback(Box<Callback>),
    /// Topic `event`.
    Event(Box<Event>),
}

impl Message {
    /// The stable id by which the platform tells repetitions.
    pub fn id(&self) -> &str {
        match self {
            Message::Callback(c) => &c.id,
            Message::Event(e) => &e.id,
        }
    }

    /// The last part of the topic it goes to.
    pub fn topic(&self) -> &'static str {
        match self {
            Message::Callback(_) => "callback",
            Message::Event(_) => "event",
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

/// Schema name of an operator's notice for an area ([`crate::check::AreaNotice`]).
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
        }
    }

    /// Of a line that carries packets, and no internet for the customer.
    pub const fn is_of_service(self) -> bool {
        match self {
            Finding::NoNames | Finding::Portal => true,
            Finding::Outage | Finding::Flapping | Finding::ShortRate | Finding::Device => false,
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
    /// `outage`, `flapping`, `no_names`, `portal`, `speed`, `customer`.
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
    /// `disconnect`, `speed`, `service` (the line works, the internet does not), `request`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `outage.access`, `no_names.name`, `portal.portal`, `speed.download`, `speed.upload`, `speed.port`, `customer.asked`: stable, for machines.
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
    /// The remedy that healed it, `itself`, or `platform`.
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
