//! The words that configuration, messages and the judge share: rungs, protocols, directions, readings.

use serde::{Deserialize, Serialize};

/// The repair actions, from the gentlest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Ask the DHCP server to renew the lease.
    Renew,
    /// Let names be asked of another resolver, one that answers.
    OtherResolver,
    /// Take the WAN interface down and up, its DHCP client with it.
    RestartInterface,
    /// Restart all of the gateway's networking, the customer's side with it.
    RestartNetwork,
    /// Cut the modem's power for some seconds.
    PowerModem,
    /// Reboot the gateway.
    Reboot,
}

impl Rung {
    /// All rungs, from the gentlest.
    pub const ALL: [Rung; 6] = [
        Rung::Renew,
        Rung::OtherResolver,
        Rung::RestartInterface,
        Rung::RestartNetwork,
        Rung::PowerModem,
        Rung::Reboot,
    ];

    /// As configuration and messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Rung::Renew => "renew",
            Rung::OtherResolver => "other-resolver",
            Rung::RestartInterface => "restart-interface",
            Rung::RestartNetwork => "restart-network",
            Rung::PowerModem => "power-modem",
            Rung::Reboot => "reboot",
        }
    }

    /// Whether somebody at work on this gateway would be disturbed by it.
    ///
    /// All but `renew`: a renewal is what the DHCP client does by itself at half of its lease, takes nothing down and
    /// writes nothing. The others take away the way by which the administrator is logged in or the firmware comes, or
    /// change the settings that are being worked on.
    pub const fn disturbs(self) -> bool {
        match self {
            Rung::Renew => false,
            Rung::OtherResolver
            | Rung::RestartInterface
            | Rung::RestartNetwork
            | Rung::PowerModem
            | Rung::Reboot => true,
        }
    }
}

/// How a line gets its address: which of the access network's machines may be asked, and which remedies there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Protocol {
    /// `dhcp`: leased from a DHCP server.
    #[default]
    Dhcp,
    /// `pppoe`: from a concentrator, over a session.
    Pppoe,
    /// `static`: by hand. Nobody gives it.
    Static,
}

/// Which way the data goes, seen from the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards the customer.
    Download,
    /// From the customer.
    Upload,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::Download, Direction::Upload];

    /// As configuration and messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Download => "download",
            Direction::Upload => "upload",
        }
    }
}

/// What kept the rate from being higher. Anything but the line makes a low result inconclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The line: it was full.
    Line,
    /// The customer's own traffic, which made the test give way.
    Customer,
    /// The test server sent or took no more.
    Server,
    /// The receive window or send buffer (TCP_INFO).
    Window,
    /// This gateway's processor, software interrupts included.
    GatewayCpu,
    /// Not determined.
    Unknown,
}

/// Why a test has no figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeedFailure {
    /// The server's name is not known, it refuses, is silent, or breaks off.
    ServerUnreachable,
    /// It answered otherwise than a speed server does: an error, a page, too little, a redirect too many.
    ServerAnswer,
    /// Its certificate is not to be trusted.
    ServerCertificate,
    /// It asks to come later (429, 503). Not a low result.
    ServerBusy,
    /// The line was in use by the customer, who comes first.
    CustomerBusy,
    /// Something here: no rights, no device, no memory.
    Local,
    /// It was told to end.
    Aborted,
}

/// What the gateway is warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// Processor in use.
    Cpu,
    /// Memory that is available.
    Memory,
    /// Flash that is free.
    Flash,
    /// The hottest sensor.
    Temperature,
    /// Connection tracking table in use.
    Conntrack,
    /// Share of the received packets that were damaged.
    PortErrors,
    /// The port's rate, as a share of its highest.
    PortSpeed,
    /// Restarts within a day that nobody ordered.
    Restarts,
    /// The port carries one direction at a time: 1, or 0.
    PortDuplex,
}

impl Reading {
    /// All. A snapshot keeps them by their places: a new one comes last.
    pub const ALL: [Reading; 9] = [
        Reading::Cpu,
        Reading::Memory,
        Reading::Flash,
        Reading::Temperature,
        Reading::Conntrack,
        Reading::PortErrors,
        Reading::PortSpeed,
        Reading::Restarts,
        Reading::PortDuplex,
    ];

    /// As configuration and messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Reading::Cpu => "cpu",
            Reading::Memory => "memory",
            Reading::Flash => "flash",
            Reading::Temperature => "temperature",
            Reading::Conntrack => "conntrack",
            Reading::PortErrors => "port_errors",
            Reading::PortSpeed => "port_speed",
            Reading::Restarts => "restarts",
            Reading::PortDuplex => "port_duplex",
        }
    }
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
