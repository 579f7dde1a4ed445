//! A world in course: what it is made of.

use crate::simulate::line::Line;
use crate::simulate::platform::Wire;
use crate::simulate::random::Random;
use crate::simulate::report::Report;
use crate::simulate::spectator::Moment;
use crate::simulate::world::{Trouble, World};
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::check::Checked;
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::{
    Link, Memory, Observation, Obstacle, ProbeId, Receipt, RemedyId, RemedyResult, TargetId,
};
use linekeeper_judge::outage::LineState;
use linekeeper_judge::speed::{SpeedEnded, TestId};
use linekeeper_judge::usage::Usual;
use serde_json::Value;
use std::collections::VecDeque;

/// Time between two readings of the counters.
pub(super) const COUNTED_EVERY: u64 = 1_000;
/// From power to the agent's start.
pub(super) const BOOT: u64 = 20_000;
/// How long the gateway is off in a reboot, the shutdown not counted.
pub(super) const REBOOT_OFF: u64 = 15_000;
/// A DHCP exchange.
pub(super) const LEASE: u64 = 1_500;
/// From the line's return to an answer of the time server.
pub(super) const TIME_SERVER: u64 = 5_000;
/// A declaration this soon after the line's return still belongs to the break.
pub(super) const AFTERGLOW: u64 = 1_000;

/// An echo on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Echo {
    pub(super) at: u64,
    pub(super) sent: u64,
    pub(super) probe: ProbeId,
    pub(super) target: TargetId,
    pub(super) end: End,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Answered(u32),
    GivenUp,
    NotSent(Obstacle),
}

/// What happens seldom.
#[derive(Debug)]
pub(super) enum Rare {
    Begin(usize),
    End(usize),
    Beat(usize, bool),
    /// A step of a remedy, for the life in which it began.
    AdminDown(u64),
    AdminUp(u64),
    Unpower,
    Repower,
    Lease,
    Over(u64, RemedyId, Rung, RemedyResult, String),
    GoDown(u64),
    MakeSafe,
    Connect(u64),
    Drop(u64),
    Arrive(u64, u64, u64),
    Acknowledge(u64, u64),
    Receipt(Receipt),
    Call(String),
    Measured(u64, Box<SpeedEnded>),
    Checked(u64, Box<Checked>),
    Start(Memory),
    Boot,
    Thaw,
    TimeServer(u64),
}

/// A world in course.
pub struct Simulation {
    pub(super) config: Config,
    pub(super) world: World,
    pub(super) random: Random,
    /// Milliseconds since the start.
    pub(super) now: u64,
    /// How far the agent's clock is behind `now` plus the uptime at the start.
    pub(super) behind: u64,
    pub(super) judge: Option<Judge>,
    /// The room for what a step gives.
    pub(super) actions: Vec<Action>,
    pub(super) life: u64,
    pub(super) saved: Option<Judge>,
    /// How often each rung was taken, as it stands on flash beside the snapshot.
    pub(super) taken: Option<Vec<(Rung, u32)>>,
    /// What the line usually carries, in the same way.
    pub(super) usual: Usual,
    pub(super) saved_at: u64,
    pub(super) powered: bool,
    pub(super) boot_began: i64,
    pub(super) frozen_until: u64,
    pub(super) stalled: Vec<Observation>,
    pub(super) wake_at: u64,
    pub(super) counted_at: u64,
    pub(super) counted_last: u64,
    pub(super) replies: u64,
    pub(super) echoes: VecDeque<Echo>,
    /// Latest first.
    pub(super) rare: Vec<(u64, Rare)>,
    pub(super) line: Line,
    pub(super) link: Link,
    pub(super) lasting: Vec<usize>,
    pub(super) leasing: bool,
    /// The speed test in course: from, until, bytes a millisecond in and out.
    pub(super) test: Option<(TestId, u64, u64, u64, u64)>,
    /// The logged tests that answered last, down and up.
    pub(super) answered: (Option<Span>, Option<Span>),
    /// What our own tests moved since the last reading of the counters, in and out.
    pub(super) tested: (u64, u64),
    pub(super) wire: Wire,
    /// The kernel's civil time is this much ahead of the truth.
    pub(super) clock_off: i64,
    pub(super) believed: LineState,
    /// When round trips last took longer, and more was last lost, than was promised.
    pub(super) slow_at: Option<u64>,
    pub(super) lossy_at: Option<u64>,
    pub(super) whole: bool,
    /// A remedy took the line down, and it has not been whole since.
    pub(super) ours: bool,
    pub(super) ours_since: Option<u64>,
    /// Whether time may be passed over, and when that is looked at next.
    pub(super) rests: bool,
    pub(super) rest_at: u64,
    pub(super) keeps_deliveries: bool,
    pub(super) report: Report,
}

impl Simulation {
    /// A world before its first moment.
    pub fn new(config: &Config, world: &World, seed: u64) -> Simulation {
        let mut simulation = Simulation {
            config: config.clone(),
            world: world.clone(),
            random: Random::new(seed),
            now: 0,
            behind: 0,
            judge: None,
            actions: Vec::new(),
            life: 0,
            saved: None,
            taken: None,
            usual: Usual::default(),
            saved_at: 0,
            powered: true,
            boot_began: -(world.uptime.0 as i64),
            frozen_until: 0,
            stalled: Vec::new(),
            wake_at: u64::MAX,
            counted_at: u64::MAX,
            counted_last: 0,
            replies: 0,
            echoes: VecDeque::new(),
            rare: Vec::new(),
            line: Line::new(world.port),
            link: Link::default(),
            lasting: Vec::new(),
            leasing: false,
            test: None,
            answered: (None, None),
            tested: (0, 0),
            wire: Wire::default(),
            clock_off: 0,
            believed: LineState::Unknown,
            slow_at: None,
            lossy_at: None,
            whole: true,
            ours: false,
            ours_since: None,
            rests: false,
            rest_at: 0,
            keeps_deliveries: true,
            report: Report { boots: 1, ..Report::default() },
        };
        let begins = world.faults.iter().enumerate().map(|(place, fault)| (fault.at.0, Rare::Begin(place)));
        simulation.rare = begins.collect();
        // Latest first, and among equals the first of the list last, so that it comes first.
        simulation.rare.reverse();
        simulation.rare.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        simulation.rare.push((0, Rare::Start(Memory::None)));
        simulation
    }

    /// Passes over the time in which nothing can happen, as the judge allows it ([`Judge::rests`]): the echoes of
    /// a whole rotation come and go like those of the last one. What is passed over is told in
    /// [`Report::skipped`]; spectators see nothing of it.
    #[must_use]
    pub fn resting(mut self) -> Simulation {
        self.rests = true;
        self
    }

    /// Keeps no messages: [`Report::delivered`] stays empty. A year of a bad line has thousands.
    #[must_use]
    pub fn forgetting(mut self) -> Simulation {
        self.keeps_deliveries = false;
        self
    }

    /// What came of it so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The judge, while the process lives.
    pub fn judge(&self) -> Option<&Judge> {
        self.judge.as_ref()
    }

    /// The present moment.
    pub fn moment(&self) -> Moment {
        Moment { world: Span(self.now), agent: self.mono() }
    }

    pub(super) fn mono(&self) -> Mono {
        Mono((self.now + self.world.uptime.0).saturating_sub(self.behind))
    }

    pub(super) fn schedule(&mut self, at: u64, rare: Rare) {
        // Latest first; among equals, the later scheduled further to the front, so that it comes later.
        let place = self.rare.partition_point(|(other, _)| *other > at);
        self.rare.insert(place, (at, rare));
    }

    pub(super) fn after(&mut self, wait: u64, rare: Rare) {
        self.schedule(self.now + wait, rare);
    }

    pub(super) fn lasts(&self, which: impl Fn(&Trouble) -> bool) -> bool {
        self.lasting.iter().any(|&place| which(&self.world.faults[place].trouble))
    }

    pub(super) fn true_wall(&self) -> Option<Wall> {
        self.world.clock.map(|w| Wall(w.0 + self.now as i64))
    }

    /// What was last saved, as it lies on flash.
    pub(super) fn snapshot(&mut self) -> Option<Value> {
        let snapshot = self.saved.as_ref()?.snapshot().ok()?;
        self.report.largest_snapshot = self.report.largest_snapshot.max(snapshot.to_string().len());
        Some(snapshot)
    }
}
