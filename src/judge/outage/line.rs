//! The line, as the other concerns see it.

use crate::observation::{Link, TargetId};
use linekeeper_contract::units::{Mono, Rate, Span};
use serde::{Deserialize, Serialize};

/// How long back the gateway's last answer may lie to show it alive: ten down rounds.
const GATEWAY_RECENT: Span = Span::seconds(5);

/// Whether the line carries anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// Not (or not any more) known.
    Unknown,
    /// Answers come.
    Up,
    /// Nothing comes.
    Down,
}

/// A change that concerns the incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// The line went down; the first evidence was at `since`.
    Broke {
        /// When the first unanswered echo was sent, or the carrier went.
        since: Mono,
        /// How it shows.
        cause: Cause,
    },
    /// The line is up, first proven at `at`.
    Returned {
        /// When the first answer came.
        at: Mono,
    },
    /// A short break ended: a disconnect, counted and not acted on.
    Hiccup {
        /// From the first silent echo to the first that was answered.
        length: Span,
    },
    /// One target alone stays silent and is out of the rotation, or answers again and returns to it.
    BadTarget {
        /// Which.
        target: TargetId,
        /// Leaves or returns.
        bad: bool,
    },
    /// Echoes are silent, but this much comes in: no outage.
    Vetoed {
        /// Incoming traffic.
        rate: Rate,
    },
}

/// How a break shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The device is gone.
    NoDevice,
    /// It was taken down by somebody.
    AdminDown,
    /// No carrier.
    NoCarrier,
    /// No address.
    NoAddress,
    /// No default route.
    NoRoute,
    /// Echoes are not answered.
    Silence,
}

impl Cause {
    /// What the link itself says, if it says anything is wrong.
    pub fn of(link: &Link) -> Option<Cause> {
        if !link.present {
            Some(Cause::NoDevice)
        } else if !link.admin_up {
            Some(Cause::AdminDown)
        } else if !link.carrier {
            Some(Cause::NoCarrier)
        } else if link.addresses.is_empty() {
            Some(Cause::NoAddress)
        } else if !link.default_route {
            Some(Cause::NoRoute)
        } else {
            None
        }
    }

    /// Whether it counts at once (nothing can pass), or may be a renumbering that passes.
    pub const fn at_once(self) -> bool {
        matches!(self, Cause::NoDevice | Cause::AdminDown | Cause::NoCarrier)
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Cause::NoDevice => "the WAN device is gone",
            Cause::AdminDown => "the WAN device was taken down",
            Cause::NoCarrier => "no carrier",
            Cause::NoAddress => "no address",
            Cause::NoRoute => "no default route",
            Cause::Silence => "no echo is answered",
        }
    }
}

/// What the default gateway does with echoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayEcho {
    /// It answers them while all beyond it is silent.
    Answers,
    /// It used to, and does not.
    Stopped,
    /// It never did: it may filter them.
    Never,
}

/// What the other concerns may know of the line.
#[derive(Debug, Clone)]
pub struct Line {
    /// The verdict.
    pub state: LineState,
    /// Since when.
    pub since: Mono,
    /// Since when it is silent without being declared down.
    pub suspected: Option<Mono>,
    /// What the link says is wrong, and since when. What an answer to a later echo disproved is no fault.
    pub fault: Option<(Cause, Mono)>,
    /// When a fault of the link last ended.
    pub link_mended: Option<Mono>,
    /// When a carrier that was away last came back.
    pub carrier_back: Option<Mono>,
    /// The last that was told of the link.
    pub link: Option<LinkFacts>,
    /// The gateway is known to answer echoes at all.
    pub gateway_answers: bool,
    /// When the echo was sent that the gateway last answered.
    pub gateway_answered: Option<Mono>,
    /// Incoming and outgoing bit/s of the last counter window.
    pub traffic: Option<(u64, u64)>,
    /// Disconnects shorter than the patience since the first start.
    pub disconnects: u64,
    /// Our own speed test fills the line, or just did.
    pub loaded: bool,
    /// Far targets in the rotation.
    pub in_rotation: u32,
    /// The echo that is observed now belongs to the steady rotation and was sent then.
    pub steady: Option<Mono>,
}

/// What the kernel says of the link. (How many addresses, not which: a customer's address is nobody's business here.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkFacts {
    /// The device is there.
    pub present: bool,
    /// It is taken up.
    pub admin_up: bool,
    /// It has a carrier.
    pub carrier: bool,
    /// How many addresses it has.
    pub addresses: usize,
    /// The default route is there.
    pub default_route: bool,
    /// The default gateway is known.
    pub gateway: bool,
    /// The negotiated rate.
    pub speed: Option<Rate>,
    /// It carries one direction at a time.
    pub half_duplex: bool,
}

impl LinkFacts {
    /// What matters of a link.
    pub fn of(link: &Link) -> LinkFacts {
        LinkFacts {
            present: link.present,
            admin_up: link.admin_up,
            carrier: link.carrier,
            addresses: link.addresses.len(),
            default_route: link.default_route,
            gateway: link.gateway.is_some(),
            speed: link.speed,
            half_duplex: link.half_duplex,
        }
    }
}

impl Line {
    /// Nothing is known.
    pub const UNKNOWN: Line = Line {
        state: LineState::Unknown,
        since: Mono(0),
        suspected: None,
        fault: None,
        link_mended: None,
        carrier_back: None,
        link: None,
        gateway_answers: false,
        gateway_answered: None,
        traffic: None,
        disconnects: 0,
        loaded: false,
        in_rotation: 0,
        steady: None,
    };

    /// What the link says is wrong, if anything.
    pub fn link_fault(&self) -> Option<Cause> {
        self.fault.map(|(cause, _)| cause)
    }

    /// Whether the gateway answered an echo that was sent at `from` or later.
    pub fn gateway_answered_since(&self, from: Mono) -> bool {
        self.gateway_answered.is_some_and(|sent| sent >= from)
    }

    /// What the gateway did with echoes since `since`.
    pub fn gateway_echo(&self, now: Mono, since: Mono) -> GatewayEcho {
        if self.gateway_answered_since(since.max(now - GATEWAY_RECENT)) {
            GatewayEcho::Answers
        } else if self.gateway_answers {
            GatewayEcho::Stopped
        } else {
            GatewayEcho::Never
        }
    }

    /// When the last fault of the link ended, in a break that began at `since`, if the link is whole now.
    pub fn link_whole_since(&self, since: Mono) -> Option<Mono> {
        self.link_mended.filter(|at| *at > since && self.fault.is_none())
    }
}
