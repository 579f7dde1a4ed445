//! The truth: what the line, the gateway and the platform do, whatever the agent believes.

use linekeeper_contract::units::{Permille, Rate, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::check::AreaNotice;
use linekeeper_judge::observation::Memory;
use std::collections::BTreeMap;

/// A line with its gateway and platform, and what befalls them. Times count from the start of the simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// Civil time at the start. `None`: the clock is never set.
    pub clock: Option<Wall>,
    /// How long the kernel has been up when the agent starts.
    pub uptime: Span,
    /// Round-trip time of the far targets in microseconds; the last holds for all further ones.
    pub rtt_us: Vec<u32>,
    /// Round-trip time of the gateway in microseconds.
    pub gateway_rtt_us: u32,
    /// Up to this much is added to each round trip, uniformly.
    pub jitter_us: u32,
    /// Up to this much later than wanted come ticks and counters, uniformly: a router has other things to do.
    pub late: Span,
    /// What comes in when nobody uses the line: stray packets of 100 bytes.
    pub stray: Rate,
    /// Whether counters are read at all.
    pub counters: bool,
    /// What the line gives towards the customer and from the customer, at the IP layer.
    pub rates: (Rate, Rate),
    /// What the port negotiates, where it is told.
    pub port: Option<Rate>,
    /// Speeds that were once measured on a real line, in the order of time: the next one answers a test. Empty: the
    /// line gives what [`World::rates`] and its troubles say.
    pub recorded: Vec<Recorded>,
    /// Nobody can be asked about the layers: a log knows nothing of them.
    pub unasked: bool,
    /// Messages find another way out while the line is down (a mobile modem beside it).
    pub failover: bool,
    /// Rungs that this gateway cannot carry out, and what the driver says of it.
    pub cannot: BTreeMap<Rung, String>,
    /// What befalls it.
    pub faults: Vec<Fault>,
    /// How the platform behaves.
    pub platform: Platform,
}

/// One thing that befalls the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: Span,
    /// For how long. `None`: until a remedy heals it.
    pub lasts: Option<Span>,
    /// The rungs that end it, at the end of their action.
    pub healed_by: Vec<Rung>,
    /// What.
    pub trouble: Trouble,
}

/// A speed that was measured once. No rate: that direction's test failed, or was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// When.
    pub at: Span,
    /// Towards the customer.
    pub download: Option<Rate>,
    /// From the customer.
    pub upload: Option<Rate>,
}

/// What may befall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Everything beyond the operator's first router is lost, without a word.
    Upstream,
    /// The operator's first router is silent: no echoes, no traffic, no DHCP.
    Access,
    /// No carrier on the WAN device.
    Carrier,
    /// The address and the default route are lost and not given back.
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
    /// A login page answers in the web's place.
    Portal,
    /// The speed test's and the web probe's server is dead.
    ServerDead,
    /// Each round trip is lost with this chance.
    Loss(Permille),
    /// Losses come in bursts (Gilbert and Elliott): inside one, nine of ten are lost.
    Bursts {
        /// The share that is lost over all.
        loss: Permille,
        /// Mean length of a burst.
        mean: Span,
    },
    /// Short breaks beyond the gateway, over and over.
    Breaks {
        /// Each so long.
        length: Span,
        /// From beginning to beginning.
        every: Span,
    },
    /// Each round trip beyond the operator's first router takes so much longer (a detour, a congested exchange).
    Delay(Span),
    /// The same from that router on: the customer's own access is slow.
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
    /// The customer takes in as much, and the line carries it without a queue.
    Uses(Rate),
    /// The port negotiates this rate, and the line gives no more.
    Port(Rate),
    /// The line gives only this share of [`World::rates`].
    Slow(Permille),
    /// The other way out of [`World::failover`] is dead.
    BackupLost,
    /// The broker is away.
    BrokerAway,
    /// The platform's receipts do not arrive.
    ReceiptsLost,
    /// The platform refuses what it is asked.
    ReceiptsRefused,
    /// The gateway has no power.
    PowerCut,
    /// The agent is killed, and started again after the fault has lasted, with this much of its memory.
    Killed(Memory),
    /// Nobody runs the agent: the gateway is suspended or overloaded. Sensors keep nothing for it.
    Frozen,
    /// Somebody sets the clock.
    ClockSet {
        /// To this.
        to: Wall,
        /// Whether it is to be trusted.
        synced: bool,
    },
    /// Somebody works on the gateway: why.
    HandsOff(String),
    /// The operator's notice for an area; it ends with the fault.
    Notice(AreaNotice),
    /// The customer asks to be called.
    Asks(String),
}

/// How the platform behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// From the line's return to the connection with the broker.
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
    /// It takes the address away, and none is given while it lasts.
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
    /// A quiet line: 20 ms to the far targets, 3 ms to the gateway, a prompt platform, nothing befalls.
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
            counters: true,
            rates: (Rate(100_000_000), Rate(20_000_000)),
            port: None,
            recorded: Vec::new(),
            unasked: false,
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

    /// The same, and this befalls it for a while.
    #[must_use]
    pub fn with(self, at: Span, lasts: Span, trouble: Trouble) -> World {
        self.with_fault(Fault { at, lasts: Some(lasts), healed_by: Vec::new(), trouble })
    }

    /// The same, and this befalls it until one of the rungs heals it (none of them: for good).
    #[must_use]
    pub fn until_healed(self, at: Span, trouble: Trouble, healed_by: &[Rung]) -> World {
        self.with_fault(Fault { at, lasts: None, healed_by: healed_by.to_vec(), trouble })
    }

    /// The same with one more fault.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> World {
        self.faults.push(fault);
        self
    }
}
