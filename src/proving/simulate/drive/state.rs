//! The state of a simulation, its queue of events and its clocks. All times are in milliseconds.

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
/// From power-on to the start of the agent.
pub(super) const BOOT: u64 = 20_000;
/// How long the gateway is off during a reboot, without the shutdown.
pub(super) const REBOOT_OFF: u64 = 15_000;
/// Duration of a DHCP exchange.
pub(super) const LEASE: u64 = 1_500;
/// From the return of the line to an answer of the time server.
pub(super) const TIME_SERVER: u64 = 5_000;
/// A declaration this soon after the line's return still belongs to the break.
pub(super) const AFTERGLOW: u64 = 1_000;

/// An echo request in flight.
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

/// The scheduled events, all but echoes, counters and ticks. A number named life or session makes events of an earlier
/// process or connection void.
#[derive(Debug)]
pub(super) enum Event {
    Begin(usize),
    End(usize),
    Beat(usize, bool),
    /// A step of a remedy, for the life in which it started.
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

/// A simulation in progress.
pub struct Simulation {
    pub(super) config: Config,
    pub(super) world: World,
    pub(super) random: Random,
    /// Milliseconds since the start.
    pub(super) now: u64,
    /// How far the agent's clock is behind `now` plus the uptime at the start.
    pub(super) clock_lag: u64,
    pub(super) judge: Option<Judge>,
    /// Buffer for the actions of a step.
    pub(super) actions: Vec<Action>,
    pub(super) life: u64,
    pub(super) saved_judge: Option<Judge>,
    /// How often each rung was taken, as stored on flash beside the snapshot.
    pub(super) rungs_taken: Option<Vec<(Rung, u32)>>,
    /// The usual traffic of the line, stored in the same way.
    pub(super) usual_traffic: Usual,
    pub(super) saved_at: u64,
    pub(super) powered: bool,
    pub(super) booted_at: i64,
    pub(super) frozen_until: u64,
    pub(super) held_back: Vec<Observation>,
    pub(super) wake_at: u64,
    pub(super) counted_at: u64,
    pub(super) counted_last: u64,
    pub(super) replies_received: u64,
    pub(super) echoes: VecDeque<Echo>,
    /// Latest first.
    pub(super) events: Vec<(u64, Event)>,
    pub(super) line: Line,
    pub(super) link: Link,
    pub(super) active_faults: Vec<usize>,
    pub(super) lease_pending: bool,
    /// The running speed test: start, end, bytes per millisecond in and out.
    pub(super) speed_test: Option<(TestId, u64, u64, u64, u64)>,
    /// The logged tests that answered last, down and up.
    pub(super) answered_tests: (Option<Span>, Option<Span>),
    /// Bytes of our own tests since the last reading of the counters, in and out.
    pub(super) test_bytes: (u64, u64),
    pub(super) wire: Wire,
    /// How far the kernel's civil time is ahead of the truth.
    pub(super) clock_error: i64,
    pub(super) line_state: LineState,
    /// When the latency and the loss last exceeded the agreed limits.
    pub(super) last_slow_at: Option<u64>,
    pub(super) last_lossy_at: Option<u64>,
    pub(super) intact: bool,
    /// A remedy took the line down, and it has not been intact since.
    pub(super) down_by_remedy: bool,
    pub(super) down_by_remedy_since: Option<u64>,
    /// Whether quiet time is skipped, and when the next check for it is due.
    pub(super) skips_quiet_time: bool,
    pub(super) next_skip_check_at: u64,
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
            clock_lag: 0,
            judge: None,
            actions: Vec::new(),
            life: 0,
            saved_judge: None,
            rungs_taken: None,
            usual_traffic: Usual::default(),
            saved_at: 0,
            powered: true,
            booted_at: -(world.uptime.0 as i64),
            frozen_until: 0,
            held_back: Vec::new(),
            wake_at: u64::MAX,
            counted_at: u64::MAX,
            counted_last: 0,
            replies_received: 0,
            echoes: VecDeque::new(),
            events: Vec::new(),
            line: Line::new(world.port),
            link: Link::default(),
            active_faults: Vec::new(),
            lease_pending: false,
            speed_test: None,
            answered_tests: (None, None),
            test_bytes: (0, 0),
            wire: Wire::default(),
            clock_error: 0,
            line_state: LineState::Unknown,
            last_slow_at: None,
            last_lossy_at: None,
            intact: true,
            down_by_remedy: false,
            down_by_remedy_since: None,
            skips_quiet_time: false,
            next_skip_check_at: 0,
            keeps_deliveries: true,
            report: Report { boots: 1, ..Report::default() },
        };
        let begins = world.faults.iter().enumerate().map(|(place, fault)| (fault.at.0, Event::Begin(place)));
        simulation.events = begins.collect();
        // Latest first, and among equals the first of the list last, so that it comes first.
        simulation.events.reverse();
        simulation.events.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        simulation.events.push((0, Event::Start(Memory::None)));
        simulation
    }

    /// Skips time in which nothing can happen, as far as the judge allows it ([`Judge::skippable_until`]): the echoes of a whole
    /// rotation then pass like those of the last one. [`Report::skipped`] counts the skipped time; spectators see nothing
    /// of it.
    #[must_use]
    pub fn skipping_quiet_time(mut self) -> Simulation {
        self.skips_quiet_time = true;
        self
    }

    /// Stores no messages: [`Report::delivered`] stays empty. A year of a bad line has thousands of them.
    #[must_use]
    pub fn without_deliveries(mut self) -> Simulation {
        self.keeps_deliveries = false;
        self
    }

    /// The result so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The judge, while the process lives.
    pub fn judge(&self) -> Option<&Judge> {
        self.judge.as_ref()
    }

    /// The present moment.
    pub fn moment(&self) -> Moment {
        Moment { world: Span(self.now), agent: self.agent_time() }
    }

    pub(super) fn agent_time(&self) -> Mono {
        Mono((self.now + self.world.uptime.0).saturating_sub(self.clock_lag))
    }

    pub(super) fn schedule_at(&mut self, at: u64, event: Event) {
        // Latest first; among equals, the later scheduled further to the front, so that it comes later.
        let place = self.events.partition_point(|(other, _)| *other > at);
        self.events.insert(place, (at, event));
    }

    pub(super) fn schedule_after(&mut self, wait: u64, event: Event) {
        self.schedule_at(self.now + wait, event);
    }

    pub(super) fn has_fault(&self, which: impl Fn(&Trouble) -> bool) -> bool {
        self.active_faults.iter().any(|&place| which(&self.world.faults[place].trouble))
    }

    pub(super) fn true_wall(&self) -> Option<Wall> {
        self.world.clock.map(|w| Wall(w.0 + self.now as i64))
    }

    /// The last saved state as a snapshot, as stored on flash.
    pub(super) fn write_snapshot(&mut self) -> Option<Value> {
        let snapshot = self.saved_judge.as_ref()?.snapshot().ok()?;
        self.report.largest_snapshot = self.report.largest_snapshot.max(snapshot.to_string().len());
        Some(snapshot)
    }
}
