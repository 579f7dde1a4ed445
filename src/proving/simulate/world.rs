//! The truth of a simulation: what line, gateway and platform really do, whatever the agent believes.

use linekeeper_contract::units::{Permille, Rate, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::check::AreaNotice;
use linekeeper_judge::observation::Memory;
use std::collections::BTreeMap;

/// A line with its gateway, its platform and their faults. Times count from the start of the simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// Civil time at the start. `None`: the clock is never set.
    pub clock: Option<Wall>,
    /// How long the kernel has been up when the agent starts.
    pub uptime: Span,
    /// Round-trip times of the far targets, microseconds; the last one applies to all further targets.
    pub rtt_us: Vec<u32>,
    /// Round-trip time of the gateway in microseconds.
    pub gateway_rtt_us: u32,
    /// Jitter: up to this much is added to each round trip, uniformly distributed, microseconds.
    pub jitter_us: u32,
    /// Ticks and counters arrive late by up to this much, uniformly distributed: a router has other work to do.
    pub late: Span,
    /// Stray traffic received when nobody uses the line, in packets of 100 bytes.
    pub stray: Rate,
    /// Broadcasts of a shared segment, such as ARP, which arrive also while everything beyond it is dead.
    pub noise: Rate,
    /// Whether the counters are read.
    pub counters: bool,
    /// Download and upload rate of the line, at the IP layer.
    pub rates: (Rate, Rate),
    /// The negotiated rate of the port, if the kernel reports it.
    pub port: Option<Rate>,
    /// Speeds measured on a real line, in the order of time: the next one is the result of a test. Empty: the rates follow
    /// from [`World::rates`] and the faults.
    pub recorded: Vec<Recorded>,
    /// The layers cannot be checked, because the world comes from a log.
    pub layers_unchecked: bool,
    /// Messages have a second uplink while the line is down (a mobile modem).
    pub failover: bool,
    /// Rungs that this gateway cannot carry out, and the error of the driver.
    pub cannot: BTreeMap<Rung, String>,
    /// The faults, in any order.
    pub faults: Vec<Fault>,
    /// How the platform behaves.
    pub platform: Platform,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When it starts.
    pub at: Span,
    /// Its duration; `None`: until a remedy heals it.
    pub lasts: Option<Span>,
    /// The rungs that heal it, at the end of their action.
    pub healed_by: Vec<Rung>,
    /// What happens.
    pub trouble: Trouble,
}

/// One logged speed. A missing rate means that the test in that direction failed or was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// When it was measured.
    pub at: Span,
    /// Towards the customer.
    pub download: Option<Rate>,
    /// From the customer.
    pub upload: Option<Rate>,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Everything beyond the operator's first router is lost silently.
    Upstream,
    /// The operator's first router is silent: no echoes, no traffic, no DHCP.
    Access,
    /// No carrier on the WAN device.
    Carrier,
    /// The address and the default route are lost and not assigned again.
    Address,
    /// The same, and the DHCP server is silent.
    DhcpSilent,
    /// The same, and the DHCP server refuses.
    DhcpRefuses,
    /// The same, and the PPPoE concentrator is silent.
    PppoeSilent,
    /// The same, and the PPPoE concentrator refuses.
    PppoeRefuses,
    /// The default route is lost; the address stays.
    Route,
    /// The configured resolvers are silent.
    NamesDead,
    /// They answer for names that do not exist.
    NamesForged,
    /// A login page answers in place of the web.
    Portal,
    /// The server of speed tests and web checks is down.
    ServerDead,
    /// Each round trip is lost with this chance.
    Loss(Permille),
    /// Losses come in bursts (Gilbert and Elliott): inside one, nine of ten are lost.
    Bursts {
        /// The overall share of lost round trips.
        loss: Permille,
        /// The mean length of a burst.
        mean: Span,
    },
    /// Short breaks beyond the gateway, over and over.
    Breaks {
        /// Length of each break.
        length: Span,
        /// Time from the start of one break to the start of the next.
        every: Span,
    },
    /// Round trips beyond the operator's first router take this much longer (a detour, a congested exchange).
    Delay(Span),
    /// All round trips take this much longer: the customer's own access is slow.
    AccessDelay(Span),
    /// One far target (its place in the configuration) does not answer.
    DeadTarget(u8),
    /// The operator's first router does not answer echoes. Traffic passes.
    GatewayFilters,
    /// The kernel shows no address and no route on the device that is watched, and the line works all the same: PPPoE
    /// runs over it, or the wrong device was configured.
    Unseen,
    /// The customer fills the line: queues of more than a second, most echoes lost, counters high.
    Load,
    /// The customer downloads at this rate, and no queue builds up.
    Uses(Rate),
    /// The port negotiates this rate, which also limits the line.
    Port(Rate),
    /// The line delivers only this share of [`World::rates`].
    Slow(Permille),
    /// The second uplink of [`World::failover`] is down.
    BackupLost,
    /// The broker is not reachable.
    BrokerAway,
    /// The platform's receipts do not arrive.
    ReceiptsLost,
    /// The platform refuses all requests.
    ReceiptsRefused,
    /// The gateway has no power.
    PowerCut,
    /// The agent is killed and restarted at the end of the fault, with this much of its memory.
    Killed(Memory),
    /// The agent does not run: the gateway is suspended or overloaded.
    Frozen,
    /// Somebody sets the clock.
    ClockSet {
        /// To this.
        to: Wall,
        /// Whether it is to be trusted.
        synced: bool,
    },
    /// Somebody is working on the gateway, with the reason.
    HandsOff(String),
    /// The operator's notice for an area; it ends with the fault.
    Notice(AreaNotice),
    /// The customer asks to be called.
    Asks(String),
}

/// How the platform behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// From the return of the line to the connection with the broker.
    pub connects: Span,
    /// From sending a message to its arrival at the platform.
    pub travels: Span,
    /// From sending a message to the broker's acknowledgement.
    pub acknowledges: Span,
    /// From a request's arrival to the receipt.
    pub receipt: Span,
    /// From a receipt to the call that closes the callback. `None`: nobody ever calls.
    pub calls: Option<Span>,
}

impl Trouble {
    /// Whether it takes the address away and prevents a new one.
    pub(super) fn takes_address(&self) -> bool {
        matches!(
            self,
            Trouble::Address
                | Trouble::DhcpSilent
                | Trouble::DhcpRefuses
                | Trouble::PppoeSilent
                | Trouble::PppoeRefuses
        )
    }
}

impl World {
    /// A quiet line: 20 ms to the far targets, 3 ms to the gateway, a prompt platform, no faults.
    pub fn quiet() -> World {
        World {
            // 2026-11-20T00:00:00Z
            clock: Some(Wall(1_795_132_800_000)),
            uptime: Span::hours(1),
            rtt_us: vec![20_000],
            gateway_rtt_us: 3_000,
            jitter_us: 2_000,
            late: Span::millis(2),
            stray: Rate(2_000),
            noise: Rate(0),
            counters: true,
            rates: (Rate(100_000_000), Rate(20_000_000)),
            port: None,
            recorded: Vec::new(),
            layers_unchecked: false,
            failover: false,
            cannot: BTreeMap::new(),
            faults: Vec::new(),
            platform: Platform {
                connects: Span::millis(800),
                travels: Span::millis(30),
                acknowledges: Span::millis(40),
                receipt: Span::millis(500),
                calls: None,
            },
        }
    }

    /// Adds a fault of a fixed duration.
    #[must_use]
    pub fn with_trouble(self, at: Span, lasts: Span, trouble: Trouble) -> World {
        self.with_fault(Fault { at, lasts: Some(lasts), healed_by: Vec::new(), trouble })
    }

    /// Adds a fault that lasts until one of the rungs heals it (no rungs: forever).
    #[must_use]
    pub fn until_healed(self, at: Span, trouble: Trouble, healed_by: &[Rung]) -> World {
        self.with_fault(Fault { at, lasts: None, healed_by: healed_by.to_vec(), trouble })
    }

    /// Adds a fault.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> World {
        self.faults.push(fault);
        self
    }
}
