//! What may be told of the line, of which each concern fills in its part.

use super::books::ledger::Availability;
use super::books::lives::{Beginning, Unasked};
use super::outage::line::LineState;
use super::promise::status as promise;
use super::quality::status as quality;
use super::usage::status as usage;
use crate::observation::{Interface, Part};
use linekeeper_contract::message::{self, CallbackState, Domain};
use linekeeper_contract::units::LocalTime;
use linekeeper_contract::vocabulary::Rung;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What people and the platform may know of the line now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Up, down or unknown.
    pub line: LineState,
    /// For how long, in milliseconds.
    pub since_ms: u64,
    /// Round-trip time of the nearest far target, microseconds.
    pub rtt_us: Option<u32>,
    /// Incoming and outgoing bit/s of the last second.
    pub traffic_bps: Option<(u64, u64)>,
    /// What is asked, and how it does.
    pub targets: Vec<TargetStatus>,
    /// Breaks shorter than the patience.
    pub disconnects: u64,
    /// The incident in course or in its hold-down.
    pub incident: Option<message::Incident>,
    /// What was tried in it.
    pub remedies: Vec<message::Remedy>,
    /// Ended ones, the latest last.
    pub recent: Vec<message::Incident>,
    /// Callbacks remembered.
    pub callbacks: Vec<CallbackStatus>,
    /// How often each rung of the ladder was taken in the last 24 hours, and how often it may be.
    pub budgets: Vec<(Rung, usize, u32)>,
    /// What each rung of the ladder has done for this line, by fault domain.
    #[serde(default)]
    pub rungs: Vec<RungStatus>,
    /// The operator's notice that holds for this area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Why nothing that disturbs is done to the gateway now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hands_off: Option<String>,
    /// OpenWrt's name of the WAN's interface, and how netifd sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<(String, Interface)>,
    /// Parts of the agent that do not work.
    pub troubles: BTreeMap<Part, String>,
    /// Whether the line is as fast as was sold; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<promise::Status>,
    /// Whether round trips are as short, and losses as few, as was promised; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<quality::Status>,
    /// The follow-up callbacks of the installation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programme: Vec<DueStatus>,
    /// What is not as it should be, apart from the line's own state: the gateway's readings, and findings without a part of
    /// their own here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// How the traffic goes with the hour; absent where that is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<usage::Status>,
    /// How often lives ended unasked.
    #[serde(default)]
    pub unasked: Unasked,
    /// Whether the broker is connected.
    pub broker: bool,
    /// Whether civil time is trusted.
    pub clock_synced: bool,
    /// Time by what kept the line from being up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<Availability>,
    /// How this life of the process began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beginning: Option<Beginning>,
}

impl Status {
    /// Of whom nothing is known.
    pub(super) fn blank() -> Status {
        Status {
            line: LineState::Unknown,
            since_ms: 0,
            rtt_us: None,
            traffic_bps: None,
            targets: Vec::new(),
            disconnects: 0,
            incident: None,
            remedies: Vec::new(),
            recent: Vec::new(),
            callbacks: Vec::new(),
            budgets: Vec::new(),
            rungs: Vec::new(),
            notice: None,
            hands_off: None,
            interface: None,
            troubles: BTreeMap::new(),
            promise: None,
            quality: None,
            programme: Vec::new(),
            warnings: Vec::new(),
            usage: None,
            unasked: Unasked::default(),
            broker: false,
            clock_synced: false,
            availability: None,
            beginning: None,
        }
    }
}

/// One rung's record in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RungStatus {
    /// Which.
    pub rung: Rung,
    /// For faults where.
    pub domain: Domain,
    /// How often it was tried (misses once in an incident), and how often the line came back by it.
    pub tried: u32,
    /// See `tried`.
    pub healed: u32,
    /// How long that takes, milliseconds; absent while it never healed.
    pub heal_ms: Option<u64>,
    /// It is left out because it never helped.
    pub left_out: bool,
}

/// One target in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// As configured; `gateway` for the default gateway.
    pub host: String,
    /// `anchor`, `world` or `gateway`.
    pub role: String,
    /// Smoothed round-trip time, microseconds; absent while it never answered.
    pub rtt_us: Option<u32>,
    /// Milliseconds since its last answer.
    pub answered_ms_ago: Option<u64>,
    /// Left the rotation because it alone is silent.
    pub bad: bool,
}

/// One callback in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackStatus {
    /// Its id.
    pub callback_id: String,
    /// Where it stands.
    pub state: CallbackState,
    /// What set it off.
    pub trigger: String,
    /// The sentence for the customer.
    pub description: String,
    /// By whom it was resolved, and after how many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<(String, u64)>,
    /// 1 to 5, as the platform reported it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satisfaction_score: Option<u8>,
    /// What the call found it to be about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issue_types: Vec<String>,
}

/// One due date of the programme in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueStatus {
    /// Its name: `24h`, `7d`.
    pub name: String,
    /// When it is due.
    pub due: LocalTime,
    /// It was called, or passed over.
    pub done: bool,
}

/// A warning that holds, in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The reading, as `cpu` or `memory`, or the finding.
    pub name: String,
    /// For people, with the last reading.
    pub text: String,
    /// For how long, milliseconds.
    pub since_ms: u64,
}
