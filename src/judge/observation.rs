//! The input of the judge: one fact from one sensor.
//!
//! An observation carries no time of its own. The daemon stamps it with its one clock when it enters the judge, and the trace
//! keeps that time stamp. Observation names are in the past tense.

use crate::check::{AreaNotice, Checked, DeviceSeen};
use crate::speed::SpeedEnded;
use linekeeper_contract::json;
use linekeeper_contract::message::{Command, Reason};
use linekeeper_contract::units::{Mono, Rate, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// An index into `Config::probe.targets`, or [`TargetId::GATEWAY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetId(pub u8);

impl TargetId {
    /// The default gateway of the line, whatever its address is now.
    pub const GATEWAY: TargetId = TargetId(u8::MAX);
}

/// Numbers the echo requests of one process, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProbeId(pub u64);

/// Numbers the remedies of one device; stable over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemedyId(pub u64);

json::tagged! {
    /// One fact from one sensor.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Observation = "Observation" by "saw" {
        /// The process started. The first observation of each life.
        Started(Started),
        /// Time passed: the moment returned by `Judge::next_deadline` has come.
        Ticked,
        /// The relation of civil time to our own clock became known, or changed by more than a second.
        ClockSet {
            /// Civil time at this moment.
            wall: Wall,
            /// Whether the kernel's clock is disciplined by NTP (or an operator's hook says so).
            synced: bool,
        },
        /// An echo reply arrived, perhaps late.
        EchoAnswered {
            /// Which request it answers.
            probe: ProbeId,
            /// The target.
            target: TargetId,
            /// Round-trip time (RFC 2681) in microseconds.
            rtt_us: u32,
        },
        /// The sensor gave up on an echo: no reply arrived within its own time limit (`sense::echo::LIMIT`).
        EchoLost {
            /// Which request.
            probe: ProbeId,
            /// The target.
            target: TargetId,
        },
        /// An echo request was not sent. This says nothing about the target.
        EchoNotSent {
            /// Which request.
            probe: ProbeId,
            /// The target.
            target: TargetId,
            /// The reason.
            obstacle: Obstacle,
        },
        /// The state of the WAN device: reported at the start and on each change.
        LinkSeen(Link),
        /// The state of the WAN interface according to OpenWrt's netifd: reported at the start and on each change.
        InterfaceSeen {
            /// OpenWrt's name of it.
            name: String,
            /// Its state.
            is: Interface,
        },
        /// The change of the WAN device's counters since the last reading. A counter reset is reported as `reset`, not as traffic.
        Counted(Counted),
        /// A remedy ended.
        RemedyEnded {
            /// Which one.
            remedy: RemedyId,
            /// Its result.
            result: RemedyResult,
            /// The driver's report, for people.
            detail: String,
        },
        /// The broker took over responsibility for a critical message (PUBACK with a success code).
        Acknowledged {
            /// Its number, as in `Critical::number`.
            number: u64,
        },
        /// A critical message was dropped because the broker rejected it.
        GivenUp {
            /// Its number, as in `Critical::number`.
            number: u64,
        },
        /// The connection to the broker was opened or lost.
        BrokerSeen {
            /// Connected or not.
            connected: bool,
        },
        /// The platform answered a callback.
        ReceiptCame(Receipt),
        /// A command from the platform arrived.
        Commanded(Box<Commanded>),
        /// A message on the command topic is not a valid command, but its id could be read.
        CommandRefused(CommandRefused),
        /// The customer requested a callback.
        CallbackAsked {
            /// In the customer's words; may be empty.
            reason: String,
        },
        /// A sensor or actuator failed, or works again. The daemon continues with the others.
        PartSeen {
            /// Which part: `echo`, `link`, `interface`, `counters`, `store`, `outbox`, …
            part: Part,
            /// `None`: it works. `Some`: what is wrong, for people.
            trouble: Option<String>,
        },
        /// A speed test ended.
        SpeedEnded(SpeedEnded),
        /// A check of one layer ended.
        Checked(Checked),
        /// The gateway's own readings.
        DeviceSeen(DeviceSeen),
        /// Somebody started or stopped working on this gateway (a firmware upgrade runs, an administrator is logged in).
        HandsOffSeen {
            /// `Some`: why remedies are not allowed now. `None`: nobody works on it.
            why: Option<String>,
        },
        /// The operator's notice for this gateway's area arrived, changed or was withdrawn (`None`).
        AreaNoticed {
            /// The notice that applies now.
            notice: Option<AreaNotice>,
        },
        /// The process was asked to terminate.
        Stopping,
    }
}

/// How this life of the process started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The kernel's boot id.
    pub boot_id: String,
    /// How long the kernel has been up.
    pub uptime: Span,
    /// The snapshot that was found on flash.
    pub memory: Memory,
    /// The highest message number that the outbox ever accepted, 0 if none. Numbering continues above it even if the snapshot
    /// is lost. Otherwise the outbox would mistake new messages for known ones.
    pub watermark: u64,
    /// The last heartbeat of an earlier life in the same boot, if one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat: Option<Beat>,
    /// How often each rung had been taken within 24 hours when a rung was last taken. This comes from a separate record beside
    /// the snapshot. `None`: there is no such record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Vec<(Rung, u32)>>,
}

/// The heartbeat that the process leaves in memory once a minute. The next life in the same boot reads from it how
/// long this one lived and what state the line was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// When.
    pub at: Mono,
    /// What the time was charged to.
    pub charge: Charge,
    /// Since when.
    pub since: Mono,
}

/// The snapshot that a new life found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// There was no snapshot: a first start.
    None,
    /// The snapshot was read.
    Restored,
    /// There was one, but it could not be read; it was set aside.
    Lost,
}

/// Why an echo request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// The kernel cannot reach the target: no address, no route, device down.
    NoWay,
    /// The target's address is not known (no default gateway, name not resolved).
    NoAddress,
    /// The process may not send echoes (no raw and no datagram ICMP socket).
    NotAllowed,
    /// Anything else: buffers full, too many outstanding.
    Busy,
}

/// The state of the WAN device according to the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Link {
    /// The device exists.
    pub present: bool,
    /// It is administratively up (IFF_UP).
    pub admin_up: bool,
    /// It has a carrier (IFF_LOWER_UP).
    pub carrier: bool,
    /// Global-scope addresses on it.
    pub addresses: Vec<IpAddr>,
    /// Next hop of the default route through it (the lowest metric), if there is one.
    pub gateway: Option<IpAddr>,
    /// A default route through it exists (point-to-point lines have one without a next hop).
    pub default_route: bool,
    /// The negotiated rate of its port, if the driver reports one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Rate>,
    /// The port negotiated half duplex. Only meaningful if the rate is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub half_duplex: bool,
}

/// The state of an interface according to netifd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// It is configured. netifd also says so if the line behind it is dead, and for a static address without a cable.
    Up,
    /// It waits for a reply (DHCP, PPP), without a time limit.
    Pending,
    /// It is down for lack of a carrier and comes up by itself when there is one.
    Waiting,
    /// Somebody called `ifdown`, or it is configured not to start by itself. It stays down until `ifup`.
    TakenDown,
    /// Its device is missing.
    NoDevice,
    /// "Up", but nothing runs its protocol: the handler is not installed.
    NoProtocol,
    /// netifd rejects its settings; contains netifd's error code.
    Refused(String),
    /// netifd has no such interface (it is disabled), or netifd is not running.
    Gone,
}

impl Interface {
    /// A predicate for people, to be written after the interface's name.
    pub fn words(&self) -> String {
        match self {
            Interface::Up => "is up".into(),
            Interface::Pending => "waits for an answer".into(),
            Interface::Waiting => "is down and waits for its carrier".into(),
            Interface::TakenDown => "was taken down by somebody".into(),
            Interface::NoDevice => "has no device".into(),
            Interface::NoProtocol => {
                "has a protocol for which there is no handler; install the package that brings it (ppp-mod-pppoe)"
                    .into()
            }
            Interface::Refused(code) => format!("has settings that netifd refuses ({code})"),
            Interface::Gone => "is not there: disabled, or netifd does not run".into(),
        }
    }

    /// The word used in the names of facts.
    pub const fn name(&self) -> &'static str {
        match self {
            Interface::Up => "up",
            Interface::Pending => "pending",
            Interface::Waiting => "waiting",
            Interface::TakenDown => "taken_down",
            Interface::NoDevice => "no_device",
            Interface::NoProtocol => "no_protocol",
            Interface::Refused(_) => "refused",
            Interface::Gone => "gone",
        }
    }

    /// It cannot work with its present settings, whatever remedy is tried.
    pub const fn is_ill_set(&self) -> bool {
        matches!(self, Interface::NoProtocol | Interface::Refused(_))
    }
}

/// Differences of the WAN device's counters over one reading interval (RFC 2863 names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Length of the interval.
    pub over: Span,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets received, without multicast and broadcast if the driver counts them separately.
    pub rx_unicast: u64,
    /// Received IP packets that prove that the line carries data: unicast for this gateway or through it, without ICMP and
    /// without what the first hop itself sends. A lower bound. `None`: not counted during the whole interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rx_proof: Option<u64>,
    /// Packets sent.
    pub tx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// The counters went backwards: the device was re-created, or they wrapped. All differences are 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// How a remedy ended. It does not say whether the remedy helped; the probes decide that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedyResult {
    /// Carried out.
    Done,
    /// Only logged, not carried out (`driver = "none"` or `--dry-run`).
    Pretended,
    /// Tried, and failed with an error.
    Failed,
    /// Killed at its time limit.
    Overran,
    /// This driver does not support the remedy here.
    Unsupported,
}

/// The platform's answer to a callback, from topic `callback/receipt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which callback.
    pub callback_id: String,
    /// Its state at the platform.
    pub state: ReceiptState,
    /// The reason, if the platform gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The customer's satisfaction, 1 to 5, with `closed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satisfaction_score: Option<u8>,
    /// The issues that the call identified, in the platform's own words, with `closed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issue_types: Vec<String>,
    /// Who resolved it: the platform's opaque id of a person or a team, with `closed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
}

/// What a receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// The platform received it.
    Received,
    /// A call is scheduled.
    Scheduled,
    /// The customer was called, and the callback is closed.
    Closed,
    /// The platform refuses it.
    Refused,
}

/// A command as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commanded {
    /// The command, without its signature, which was checked before.
    pub command: Command,
    /// The result of the signature check.
    pub signature: Signature,
    /// The broker delivered it as a retained message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retained: bool,
    /// Its remaining validity according to the broker (MQTT 5 message expiry interval, less the time it waited there).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_left: Option<Span>,
    /// Its correlation data, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
}

/// The result of checking a command's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// It has none.
    Absent,
    /// No key is configured to check it with.
    Unchecked,
    /// Valid: made with the configured key, over this command for this device.
    Good,
    /// Invalid: made with another key, or over something else.
    Bad,
}

/// A message on the command topic that is not a valid command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRefused {
    /// Its id.
    pub id: String,
    /// Its correlation data, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// Why.
    pub reason: Reason,
    /// The reason, for people.
    pub detail: String,
}

/// A part of the agent that can fail independently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Echo probes.
    Echo,
    /// Link events.
    Link,
    /// The interface's state according to netifd.
    Interface,
    /// Interface counters.
    Counters,
    /// The snapshot on flash.
    Store,
    /// The queue of messages on flash.
    Outbox,
    /// The trace.
    Recorder,
    /// Checks of the access network.
    Access,
    /// DNS queries.
    Name,
    /// The web probe.
    Web,
    /// The gateway's own readings.
    Device,
    /// The operator's hook programs that run on changes.
    Hook,
    /// The session at the platform's broker.
    Broker,
}

/// One line of a trace: an observation and the moment it entered the judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Mono,
    /// The observation. (Not flattened: serde's `flatten` loses error positions and costs a buffer per entry.)
    pub observation: Observation,
}

/// What a span of time is charged to in the availability ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// Nothing: the line is up.
    Up,
    /// The line.
    Line,
    /// A remedy of ours that takes the line down while it runs.
    Remedies,
    /// A speed test of ours.
    Tests,
    /// The gateway had no power.
    Power,
    /// The line was not watched.
    #[default]
    Unknown,
}
