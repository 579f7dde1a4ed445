//! The input: one fact, at one moment, from one sensor. Nothing else goes into the judge.
//!
//! An observation carries no time of its own: the one clock stamps it where it enters the judge, and the trace
//! keeps that stamp. Names are in the past tense.

use crate::check::{AreaNotice, Checked, DeviceSeen};
use crate::speed::SpeedEnded;
use linekeeper_contract::json;
use linekeeper_contract::message::{Command, Reason};
use linekeeper_contract::units::{Mono, Rate, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A place in `Config::probe.targets`, or [`TargetId::GATEWAY`].
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
        /// The process began to watch. The first observation of each life.
        Started(Started),
        /// Time passed: the moment asked for by `Judge::next_deadline` has come.
        Ticked,
        /// The relation of civil time to our own clock became known, or changed by more than a second.
        ClockSet {
            /// Civil time at this moment.
            wall: Wall,
            /// Whether the kernel's clock is disciplined by NTP (or told so by an operator's hook).
            synced: bool,
        },
        /// An echo reply came, perhaps late.
        EchoAnswered {
            /// Which request it answers.
            probe: ProbeId,
            /// Whom we asked.
            target: TargetId,
            /// Round-trip time (RFC 2681) in microseconds.
            rtt_us: u32,
        },
        /// The sensor gave an echo up: no answer came within its own limit (`sense::echo::LIMIT`).
        EchoLost {
            /// Which request.
            probe: ProbeId,
            /// Whom we asked.
            target: TargetId,
        },
        /// An echo request was not sent. Says nothing about the far end.
        EchoNotSent {
            /// Which request.
            probe: ProbeId,
            /// Whom we would have asked.
            target: TargetId,
            /// What kept us.
            obstacle: Obstacle,
        },
        /// The state of the WAN device, told at the start and on each change.
        LinkSeen(Link),
        /// How OpenWrt's netifd sees the WAN's interface, told at the start and on each change.
        InterfaceSeen {
            /// OpenWrt's name of it.
            name: String,
            /// How it stands.
            is: Interface,
        },
        /// What the WAN device's counters did since the last reading. A counter reset is told as `reset`, not as traffic.
        Counted(Counted),
        /// A remedy came to its end.
        RemedyEnded {
            /// Which one.
            remedy: RemedyId,
            /// How.
            result: RemedyResult,
            /// What the driver says of it: for people.
            detail: String,
        },
        /// The broker took over responsibility for a critical message (PUBACK with a success code).
        Acknowledged {
            /// Its number, as in `Critical::number`.
            number: u64,
        },
        /// A critical message was given up: the broker would not have it.
        GivenUp {
            /// Its number, as in `Critical::number`.
            number: u64,
        },
        /// The connection to the broker began or ended.
        BrokerSeen {
            /// Connected or not.
            connected: bool,
        },
        /// The platform answered a callback.
        ReceiptCame(Receipt),
        /// The platform gave a command.
        Commanded(Box<Commanded>),
        /// Something came as a command that is none, and its id could be read.
        CommandRefused(CommandRefused),
        /// The customer asked to be called.
        CallbackAsked {
            /// In the customer's words; may be empty.
            reason: String,
        },
        /// A sensor or actor cannot work, or works again. Watching goes on with what remains.
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
        /// How the gateway itself does.
        DeviceSeen(DeviceSeen),
        /// Somebody works on this gateway (a firmware upgrade runs, an administrator is logged in), or no more.
        HandsOffSeen {
            /// `Some`: why nothing may be done to it now. `None`: nobody does.
            why: Option<String>,
        },
        /// The operator's notice for this gateway's area came, changed or was taken back (`None`).
        AreaNoticed {
            /// What holds now.
            notice: Option<AreaNotice>,
        },
        /// The process was asked to end.
        Stopping,
    }
}

/// How this life of the process began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The kernel's boot id.
    pub boot_id: String,
    /// How long the kernel has been up.
    pub uptime: Span,
    /// What was found on flash.
    pub memory: Memory,
    /// The highest message number that the outbox has ever taken, 0 if none: numbering goes on above it even when the
    /// snapshot is lost, else the outbox would take new messages for known ones.
    pub watermark: u64,
    /// The last heartbeat of a life before this one in the same boot, where one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat: Option<Beat>,
    /// How often each rung had been taken within 24 hours when one was last taken, by a record of its own beside the
    /// snapshot. `None`: there is no such record either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Vec<(Rung, u32)>>,
}

/// What the process leaves in memory once a minute, so that its successor in the same boot knows how long it lived and
/// how the line stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// When.
    pub at: Mono,
    /// What time was charged to then.
    pub charge: Charge,
    /// Since when.
    pub since: Mono,
}

/// What a new life finds of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// There was no snapshot: a first start.
    None,
    /// The snapshot was read.
    Restored,
    /// There was one and it could not be read; it was set aside.
    Lost,
}

/// Why an echo request did not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// The kernel has no way to the target: no address, no route, device down.
    NoWay,
    /// The target's address is not known (no default gateway, name not resolved).
    NoAddress,
    /// We may not send echoes (no raw and no datagram ICMP socket).
    NotAllowed,
    /// Anything else: buffers full, too many outstanding.
    Busy,
}

/// The WAN device as the kernel shows it.
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
    /// The rate its port negotiated, where the driver tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Rate>,
    /// Of a port whose rate is known: it negotiated one direction at a time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub half_duplex: bool,
}

/// An interface as netifd sees it: what can be told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// It has what it needs. netifd says so also of a line that is dead behind it, and of a fixed address with the cable out.
    Up,
    /// It waits for an answer (DHCP, PPP), if need be for ever.
    Pending,
    /// It is down and would come up by itself: no carrier.
    Waiting,
    /// Somebody called `down`, or it is not to be taken up by itself: it stays so until `up`.
    TakenDown,
    /// Its device is missing.
    NoDevice,
    /// "Up", but nothing runs its protocol: the handler is not installed.
    NoProtocol,
    /// netifd refuses its settings; its code says why.
    Refused(String),
    /// netifd has no such interface (it is disabled), or does not run.
    Gone,
}

impl Interface {
    /// What it does, to follow its name.
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

    /// As facts name it.
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

    /// It cannot work as it is set up, whatever is done to it.
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
    /// Packets received, without multicast and broadcast where the driver tells them apart.
    pub rx_unicast: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// The counters went back: device re-created or wrapped. All differences are 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// How a remedy ended. Whether it helped is not its to say: the probes say that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedyResult {
    /// Carried out.
    Done,
    /// Carried out only in words (`driver = "none"` or `--dry-run`).
    Pretended,
    /// Tried, and an error came.
    Failed,
    /// Ended by us at its time limit.
    Overran,
    /// This driver has no such remedy here.
    Unsupported,
}

/// The platform's answer to a callback, from topic `callback/receipt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which callback.
    pub callback_id: String,
    /// Its state at the platform.
    pub state: ReceiptState,
    /// Why, where the platform says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The customer's satisfaction, 1 to 5, with `closed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satisfaction_score: Option<u8>,
    /// What the call found it to be about, in the platform's own words, with `closed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issue_types: Vec<String>,
    /// Who resolved it: the platform's opaque word for a person or a team, with `closed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
}

/// What a receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// The platform has it.
    Received,
    /// A call is planned.
    Scheduled,
    /// The customer was called and it is over.
    Closed,
    /// The platform does not want it.
    Refused,
}

/// A command as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commanded {
    /// What is ordered. Its signature was looked at and left out.
    pub command: Command,
    /// What its signature is worth.
    pub signature: Signature,
    /// The broker had kept it as retained.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retained: bool,
    /// For how long it is valid yet, as the broker says (MQTT 5 message expiry interval, less the time it waited there).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_left: Option<Span>,
    /// Its correlation data, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
}

/// What a command's signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// It has none.
    Absent,
    /// No key is configured to look at it with.
    Unchecked,
    /// By the configured key, over this command for this device.
    Good,
    /// Not by the configured key, or over something else.
    Bad,
}

/// What came as a command and is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRefused {
    /// Its id.
    pub id: String,
    /// Its correlation data, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// Why.
    pub reason: Reason,
    /// The same in words.
    pub detail: String,
}

/// A part of the agent that can fail by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Echo probes.
    Echo,
    /// Link events.
    Link,
    /// netifd's word on the interface.
    Interface,
    /// Interface counters.
    Counters,
    /// The snapshot on flash.
    Store,
    /// The queue of messages on flash.
    Outbox,
    /// The trace.
    Recorder,
    /// Questions to the access network.
    Access,
    /// Questions to resolvers.
    Name,
    /// The web probe.
    Web,
    /// The gateway's own readings.
    Device,
    /// The operator's programs that are run on changes.
    Hook,
}

/// One line of a trace: an observation and the moment it entered the judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Mono,
    /// What. (Not flattened: serde's `flatten` loses error positions and costs a buffer per entry.)
    pub observation: Observation,
}

/// What a moment is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// Nothing: the line carries traffic.
    Up,
    /// The line.
    Line,
    /// A remedy of ours that takes the line away while it lasts.
    Remedies,
    /// A speed test of ours.
    Tests,
    /// The gateway had no power.
    Power,
    /// Nobody watched.
    #[default]
    Unknown,
}
