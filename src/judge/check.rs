//! Checks of one layer of the line: what is asked, and what came back. The judge orders them when a fault has to be
//! placed; `linekeeper diagnose` carries out all of them.

use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Protocol;
use serde::{Deserialize, Serialize};

/// Numbers the checks of one device; stable over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckId(pub u64);

/// What is asked, from near to far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The default gateway's link-layer address, by ARP (RFC 826) or neighbour discovery (RFC 4861): is there a
    /// machine at all?
    Neighbour,
    /// A DHCPDISCOVER (RFC 2131) whose OFFER is only looked at: would there be a lease?
    Dhcp,
    /// A PADI (RFC 2516) whose PADO is only looked at: is there an access concentrator?
    Pppoe,
    /// A name that exists and one that does not, of each configured resolver and of an independent one.
    Name,
    /// A small web page whose answer is known: is somebody in between?
    Web,
}

impl Ask {
    /// All, from near to far.
    pub const ALL: [Ask; 5] = [Ask::Neighbour, Ask::Dhcp, Ask::Pppoe, Ask::Name, Ask::Web];

    /// Whether there is such a layer on a line that gets its address this way.
    pub const fn is_of(self, protocol: Protocol) -> bool {
        match (self, protocol) {
            (Ask::Name | Ask::Web, _) => true,
            // At the other end of a session nobody has a link-layer address.
            (Ask::Neighbour, Protocol::Dhcp | Protocol::Static) => true,
            (Ask::Dhcp, Protocol::Dhcp) | (Ask::Pppoe, Protocol::Pppoe) => true,
            (Ask::Neighbour | Ask::Dhcp, Protocol::Pppoe) => false,
            (Ask::Pppoe, Protocol::Dhcp) | (Ask::Dhcp | Ask::Pppoe, Protocol::Static) => false,
        }
    }

    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Ask::Neighbour => "neighbour",
            Ask::Dhcp => "dhcp",
            Ask::Pppoe => "pppoe",
            Ask::Name => "name",
            Ask::Web => "web",
        }
    }
}

/// A check to carry out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOrder {
    /// Its number, to be given back.
    pub check: CheckId,
    /// What to ask.
    pub ask: Ask,
    /// How long it may take in all.
    pub limit: Span,
}

/// A check came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Its number.
    pub check: CheckId,
    /// What was asked.
    pub ask: Ask,
    /// What came back: at least one entry, one for each that was asked or that answered, at most [`REPLIES`].
    pub replies: Vec<Reply>,
}

/// Replies kept of one check: three resolvers, each by two transports, are six; more than eight DHCP servers on one
/// line tell no more than eight.
pub const REPLIES: usize = 8;

/// What one of those asked did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Who: an address, a concentrator's name, a URL.
    pub whom: String,
    /// What it did.
    pub said: Said,
    /// From the question to the answer, microseconds; absent where none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u32>,
    /// It is not one that the line's configuration names (the independent resolver).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub independent: bool,
    /// In words, English: the link-layer address, the offered lease, the status line, why it was not asked.
    pub detail: String,
}

/// What came back. What was not asked is not known, and not bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The answer that was to be expected.
    Answered,
    /// An answer that says no: a NAK, an error tag, SERVFAIL or REFUSED, a reset.
    Refused,
    /// An answer that somebody in between made up: an address for a name that does not exist, a login page.
    Forged,
    /// Nothing within the limit.
    Silent,
    /// It was not asked, or could not be.
    NotChecked,
}

impl Said {
    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Said::Answered => "answered",
            Said::Refused => "refused",
            Said::Forged => "forged",
            Said::Silent => "silent",
            Said::NotChecked => "not_checked",
        }
    }
}

/// How the gateway itself does. What a gateway does not tell is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeviceSeen {
    /// Share of all cores' time that was not idle since the last reading, per mille.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u16>,
    /// Load average of one minute, thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<u32>,
    /// Share of the memory that is available, per mille.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_free: Option<u16>,
    /// Share of the flash (the store's file system) that is free, per mille.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_free: Option<u16>,
    /// The hottest sensor, thousandths of a degree Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<i32>,
    /// Share of the connection tracking table in use, per mille.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conntrack: Option<u16>,
}

/// The operator says that an area is out of service, or that it is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaNotice {
    /// The operator's number of the disturbance.
    pub id: String,
    /// The area as its topic names it.
    pub area: String,
    /// When it was issued; seconds since 1970.
    pub issued: u64,
    /// Until when it holds at most; seconds since 1970.
    pub expires: u64,
    /// It is over before its time.
    #[serde(default)]
    pub ended: bool,
    /// For people.
    #[serde(default)]
    pub text: String,
}
