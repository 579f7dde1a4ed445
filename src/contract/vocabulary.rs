//! The vocabulary that configuration, messages and the judge share: rungs, findings, fault domains, commands, protocols,
//! directions, readings.
//!
//! Each word is an enum with the one spelling that configuration and messages use.

use serde::{Deserialize, Serialize};

/// The rungs of the remedy ladder: the repair actions, the gentlest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Ask the DHCP server to renew the lease.
    Renew,
    /// Switch to another DNS resolver, one that answers.
    OtherResolver,
    /// Take the WAN interface down and up, together with its DHCP client.
    RestartInterface,
    /// Restart all networking of the gateway, the customer's side included.
    RestartNetwork,
    /// Switch the modem's power off for some seconds.
    PowerModem,
    /// Reboot the gateway.
    Reboot,
}

impl Rung {
    /// All rungs, the gentlest first.
    pub const ALL: [Rung; 6] = [
        Rung::Renew,
        Rung::OtherResolver,
        Rung::RestartInterface,
        Rung::RestartNetwork,
        Rung::PowerModem,
        Rung::Reboot,
    ];

    /// Its spelling in configuration and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rung::Renew => "renew",
            Rung::OtherResolver => "other-resolver",
            Rung::RestartInterface => "restart-interface",
            Rung::RestartNetwork => "restart-network",
            Rung::PowerModem => "power-modem",
            Rung::Reboot => "reboot",
        }
    }

    /// Whether it would disturb a person who is working on the gateway.
    ///
    /// All but `renew` do. A renewal is what the DHCP client does by itself after half of its lease; it takes nothing down
    /// and writes nothing. The others cut the connection of the administrator's session or of the firmware download, or
    /// change settings that may be under edit.
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

/// How the line gets its address. This decides which servers of the access network can be checked and which remedies
/// exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Protocol {
    /// `dhcp`: from a DHCP server.
    #[default]
    Dhcp,
    /// `pppoe`: from a concentrator, over a PPPoE session.
    Pppoe,
    /// `static`: configured by hand.
    Static,
}

/// The direction of data, seen from the customer.
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

    /// Its spelling in configuration and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::Download => "download",
            Direction::Upload => "upload",
        }
    }
}

/// What limited the rate of a speed test. A low result is conclusive only if the line was the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The line was full.
    Line,
    /// The customer's own traffic: the test gave way to it.
    Customer,
    /// The test server could not send or accept more.
    Server,
    /// The receive window or send buffer (TCP_INFO).
    Window,
    /// This gateway's processor, software interrupts included.
    GatewayCpu,
    /// Not determined.
    Unknown,
}

/// Why a speed test has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeedFailure {
    /// The server's name does not resolve, or the server refuses, does not answer or disconnects.
    ServerUnreachable,
    /// The server did not answer like a speed server: an error, a web page, too little data, too many redirects.
    ServerAnswer,
    /// The server's certificate is not trusted.
    ServerCertificate,
    /// The server asks to retry later (429, 503). This is not a low result.
    ServerBusy,
    /// The customer was using the line and has priority.
    CustomerBusy,
    /// A local problem: no permission, no device, no memory.
    Local,
    /// The test was aborted on request.
    Aborted,
}

/// The readings of the gateway that have warning thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// Processor usage.
    Cpu,
    /// Available memory.
    Memory,
    /// Free flash.
    Flash,
    /// Temperature of the hottest sensor.
    Temperature,
    /// Usage of the connection tracking table.
    Conntrack,
    /// Share of damaged packets among those received.
    PortErrors,
    /// The port's rate as a share of its maximum.
    PortSpeed,
    /// Unexpected restarts within a day.
    Restarts,
    /// 1 if the port runs at half duplex, else 0.
    PortDuplex,
}

impl Reading {
    /// All readings. Snapshots store them by index: append new ones at the end.
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

    /// Its spelling in configuration and messages.
    pub const fn as_str(self) -> &'static str {
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

    /// The fault domain of a warning about this reading.
    pub const fn domain(self) -> Domain {
        match self {
            Reading::PortErrors | Reading::PortSpeed | Reading::PortDuplex => Domain::Link,
            Reading::Cpu
            | Reading::Memory
            | Reading::Flash
            | Reading::Temperature
            | Reading::Conntrack
            | Reading::Restarts => Domain::Device,
        }
    }
}

/// Declares the findings, each with its spelling.
macro_rules! findings {
    ($($(#[$doc:meta])* $finding:ident $word:literal,)*) => {
        /// A detected condition.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Finding {
            $($(#[$doc])* #[serde(rename = $word)] $finding,)*
        }

        impl Finding {
            /// All of them.
            pub const ALL: &[Finding] = &[$(Finding::$finding),*];

            /// Its spelling in messages.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Finding::$finding => $word,)*
                }
            }
        }
    };
}

findings! {
    /// The line carries nothing.
    Outage "outage",
    /// Many short outages.
    Flapping "flapping",
    /// Slower than the contracted rate.
    ShortRate "short_rate",
    /// The line works, but names are not resolved.
    NoNames "no_names",
    /// The line works, but a portal or filter answers in place of the web.
    Portal "portal",
    /// The gateway itself is about to fail.
    Device "device",
    /// Round trips take longer than agreed.
    HighLatency "high_latency",
    /// More packets are lost than agreed.
    Loss "loss",
    /// Far more or far less traffic than at the same hour of other weeks.
    Usage "usage",
}

impl Finding {
    /// Whether it means that the line carries packets but the customer has no internet service.
    pub const fn is_of_service(self) -> bool {
        matches!(self, Finding::NoNames | Finding::Portal)
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
    /// The cable, the carrier or the modem.
    Link,
    /// DHCP or PPPoE: no address, no route.
    Access,
    /// The operator's first router (the default gateway) does not answer.
    Gateway,
    /// Beyond the operator's first router.
    Upstream,
    /// The DNS resolvers.
    Name,
    /// A login page or a filter between gateway and internet.
    Portal,
    /// Only the test server.
    Server,
    /// Not determined.
    Unknown,
}

impl Domain {
    /// Its spelling in messages.
    pub const fn as_str(self) -> &'static str {
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

/// The commands that the platform can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandName {
    /// Report the state of the line.
    Check,
    /// Run a speed test, within the budgets.
    Speedtest,
    /// Locate a fault and report the evidence.
    Diagnose,
    /// Carry out one rung of the ladder, within its budget.
    Remedy,
    /// Reboot the gateway, within that rung's budget.
    Reboot,
    /// Request a follow-up callback after a delay, for instance to ask whether a handled complaint is settled.
    Programme,
}

impl CommandName {
    /// All commands.
    pub const ALL: [CommandName; 6] = [
        CommandName::Check,
        CommandName::Speedtest,
        CommandName::Diagnose,
        CommandName::Remedy,
        CommandName::Reboot,
        CommandName::Programme,
    ];

    /// Its spelling in configuration and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            CommandName::Check => "check",
            CommandName::Speedtest => "speedtest",
            CommandName::Diagnose => "diagnose",
            CommandName::Remedy => "remedy",
            CommandName::Reboot => "reboot",
            CommandName::Programme => "programme",
        }
    }

    /// Whether it interrupts the customer's service.
    pub const fn is_destructive(self) -> bool {
        matches!(self, CommandName::Remedy | CommandName::Reboot)
    }
}
