//! The loop: the next thing that happens, told to the judge, and what the judge wants done, done.

use super::layers::look;
use super::line::{Fate, Line};
use super::platform::{Answer, Receipts, Waiting, Wire};
use super::random::Random;
use super::report::{Break, Report, Request};
use super::spectator::{Moment, Spectator};
use super::world::{Recorded, Trouble, World};
use linekeeper_contract::message::{CallbackState, Critical, EventName, Finding, Message};
use linekeeper_contract::units::{Bytes, Mono, Permille, Rate, Span, Wall};
use linekeeper_contract::vocabulary::{Direction, Limit, Rung, SpeedFailure};
use linekeeper_judge::Judge;
use linekeeper_judge::action::{Action, Level, Repair};
use linekeeper_judge::check::{AreaNotice, Checked};
use linekeeper_judge::config::{Config, Driver};
use linekeeper_judge::observation::{
    Counted, Link, Memory, Observation, Obstacle, ProbeId, Receipt, ReceiptState, RemedyId, RemedyResult,
    Started, TargetId,
};
use linekeeper_judge::outage::{self, LineState};
use linekeeper_judge::promise::rule;
use linekeeper_judge::speed::{Confidence, Figures, SpeedEnded, SpeedOrder, SpeedOutcome, TestId};
use linekeeper_judge::usage::Usual;
use serde_json::Value;
use std::collections::VecDeque;

/// When the sensor gives an echo up.
const GIVEN_UP: u64 = 5_000;
/// Time between two readings of the counters.
const COUNTED_EVERY: u64 = 1_000;
/// Bytes of an echo reply as a device counts them: 60 at the IP layer and the Ethernet header.
const REPLY_BYTES: u64 = 74;
/// Bytes of a stray packet.
const STRAY_BYTES: u64 = 100;
/// From power to the agent's start.
const BOOT: u64 = 20_000;
/// How long the gateway is off in a reboot, the shutdown not counted.
const REBOOT_OFF: u64 = 15_000;
/// From `reboot` to the end of our process.
const SHUTDOWN: u64 = 3_000;
/// After so long a speed test has shown that the line gives enough.
const ENOUGH_AFTER: u64 = 3_000;
/// A DHCP exchange.
const LEASE: u64 = 1_500;
/// From one DHCP attempt to the next.
const LEASE_AGAIN: u64 = 3_000;
/// How long `restart-interface` keeps the interface down, and takes in all.
const DOWN: u64 = 1_000;
const RESTART: u64 = 3_000;
/// The same for all of the networking.
const NETWORK_DOWN: u64 = 5_000;
const NETWORK_RESTART: u64 = 12_000;
/// Until names are asked of another resolver.
const RESOLVER: u64 = 300;
/// How long the modem's power is off as the driver sees it, and until the modem is back in service.
const POWER_OFF: u64 = 10_000;
const MODEM_BACK: u64 = 40_000;
/// After how long without the line the broker's connection breaks.
const DROPPED: u64 = 2_000;
/// From the line's return to an answer of the time server.
const TIME_SERVER: u64 = 5_000;
/// No time is passed over that would end closer than this before something is due: what is due at a moment is looked
/// at on the way to it.
const BEFORE: u64 = 2_000;
/// After something happened no time is passed over until whole readings of the counters have shown it.
const SEEN: u64 = 2_500;
/// From one look whether time may be passed over to the next.
const LOOK_AGAIN: u64 = 1_000;
/// How long a logged test takes that failed.
const LOGGED_FAILS: u64 = 1_000;
/// A logged speed test answers one that is asked for so long before it, at most: two days, the longest that a result
/// speaks for the line.
const LOGGED_LATER: u64 = 2 * 86_400_000;
/// A line that was worse than promised until so long ago is called so rightly: what is judged are windows of some minutes,
/// and over it is when as many of them are fine.
const QUALITY_GLOW: u64 = 300_000;
/// A declaration this soon after the line's return still belongs to the break.
const AFTERGLOW: u64 = 1_000;

/// An echo on its way.
#[derive(Debug, Clone, Copy)]
struct Echo {
    at: u64,
    sent: u64,
    probe: ProbeId,
    target: TargetId,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Answered(u32),
    GivenUp,
    NotSent(Obstacle),
}

/// What happens seldom.
#[derive(Debug)]
enum Rare {
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
    config: Config,
    world: World,
    random: Random,
    /// Milliseconds since the start.
    now: u64,
    /// How far the agent's clock is behind `now` plus the uptime at the start.
    behind: u64,
    judge: Option<Judge>,
    /// The room for what a step gives.
    actions: Vec<Action>,
    life: u64,
    saved: Option<Judge>,
    /// How often each rung was taken, as it stands on flash beside the snapshot.
    taken: Option<Vec<(Rung, u32)>>,
    /// What the line usually carries, in the same way.
    usual: Usual,
    saved_at: u64,
    powered: bool,
    boot_began: i64,
    frozen_until: u64,
    stalled: Vec<Observation>,
    wake_at: u64,
    counted_at: u64,
    counted_last: u64,
    replies: u64,
    echoes: VecDeque<Echo>,
    /// Latest first.
    rare: Vec<(u64, Rare)>,
    line: Line,
    link: Link,
    lasting: Vec<usize>,
    leasing: bool,
    /// The speed test in course: from, until, bytes a millisecond in and out.
    test: Option<(TestId, u64, u64, u64, u64)>,
    /// The logged tests that answered last, down and up.
    answered: (Option<Span>, Option<Span>),
    /// What our own tests moved since the last reading of the counters, in and out.
    tested: (u64, u64),
    wire: Wire,
    /// The kernel's civil time is this much ahead of the truth.
    clock_off: i64,
    believed: LineState,
    /// When round trips last took longer, and more was last lost, than was promised.
    slow_at: Option<u64>,
    lossy_at: Option<u64>,
    whole: bool,
    /// A remedy took the line down, and it has not been whole since.
    ours: bool,
    ours_since: Option<u64>,
    /// Whether time may be passed over, and when that is looked at next.
    rests: bool,
    rest_at: u64,
    keeps_deliveries: bool,
    report: Report,
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

    /// Passes over time in which nothing can happen, if this is such a moment.
    fn rest(&mut self, until: u64) {
        self.rest_at = self.now + LOOK_AGAIN;
        let rare = self.rare.last().map_or(u64::MAX, |(at, _)| *at);
        let awake = self.frozen_until <= self.now && self.stalled.is_empty() && self.test.is_none();
        if !awake || !self.line.calm() {
            return;
        }
        let now = self.mono();
        let Some(judge) = &mut self.judge else { return };
        let Some((due, step)) = judge.rests(now) else { return };
        let end = rare.min(until).min(self.now + due.since(now).0).saturating_sub(BEFORE);
        let by = end.saturating_sub(self.now) / step.0 * step.0;
        if by == 0 {
            return;
        }
        judge.rested(now, Span(by));
        self.now += by;
        self.rest_at = self.now + LOOK_AGAIN;
        self.wake_at = self.wake_at.saturating_add(by);
        self.counted_at = self.counted_at.saturating_add(by);
        self.counted_last += by;
        self.echoes.iter_mut().for_each(|e| (e.at, e.sent) = (e.at + by, e.sent + by));
        self.line.rested(by);
        let asked = |every: Span| every.falls_in(Mono(self.now - by), Span(by));
        let gateway = if self.config.probe.gateway { asked(outage::GATEWAY_EVERY) } else { 0 };
        self.report.probes += asked(self.config.probe.interval) + gateway;
        self.report.skipped += Span(by);
    }

    /// Lets the world run until `until`.
    pub fn run(&mut self, until: Span, spectator: &mut impl Spectator) {
        loop {
            if self.rests && self.now >= self.rest_at {
                self.rest(until.0);
            }
            let rare = self.rare.last().map_or(u64::MAX, |(at, _)| *at);
            let (mut echo, mut counted, mut wake) = (u64::MAX, u64::MAX, u64::MAX);
            if self.judge.is_some() {
                echo = self.echoes.front().map_or(u64::MAX, |e| e.at.max(self.frozen_until));
                counted = self.counted_at.max(self.frozen_until);
                wake = self.wake_at.max(self.frozen_until);
            }
            let at = rare.min(echo).min(counted).min(wake);
            if at > until.0 {
                self.now = self.now.max(until.0);
                return;
            }
            self.now = self.now.max(at);
            if rare == at {
                if let Some((_, rare)) = self.rare.pop() {
                    self.rest_at = self.now + SEEN;
                    self.happen(rare, spectator);
                }
            } else if echo == at {
                if let Some(echo) = self.echoes.pop_front() {
                    self.come_back(echo, spectator);
                }
            } else if counted == at {
                self.count(spectator);
            } else {
                self.tell(&Observation::Ticked, spectator);
            }
        }
    }

    /// What came of it so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What came of it.
    pub fn into_report(mut self) -> Report {
        self.report.waiting = self.wire.outbox.len();
        self.snapshot();
        self.report
    }

    /// The judge, while the process lives.
    pub fn judge(&self) -> Option<&Judge> {
        self.judge.as_ref()
    }

    /// The present moment.
    pub fn moment(&self) -> Moment {
        Moment { world: Span(self.now), agent: self.mono() }
    }

    fn mono(&self) -> Mono {
        Mono((self.now + self.world.uptime.0).saturating_sub(self.behind))
    }

    fn schedule(&mut self, at: u64, rare: Rare) {
        // Latest first; among equals, the later scheduled further to the front, so that it comes later.
        let place = self.rare.partition_point(|(other, _)| *other > at);
        self.rare.insert(place, (at, rare));
    }

    fn after(&mut self, wait: u64, rare: Rare) {
        self.schedule(self.now + wait, rare);
    }

    // ---- the judge's side ----

    fn tell(&mut self, saw: &Observation, spectator: &mut impl Spectator) {
        if self.now < self.frozen_until {
            self.stalled.push(saw.clone());
            return;
        }
        let at = self.moment();
        let Some(judge) = &mut self.judge else { return };
        spectator.saw(at, saw);
        let mut actions = std::mem::take(&mut self.actions);
        judge.step_into(at.agent, saw, &mut actions);
        self.report.observations += 1;
        let wake = judge.wake();
        let line = judge.line();
        if matches!(actions.first(), Some(Action::Save)) {
            let messages: Vec<Critical> = actions.iter().filter_map(Action::published).cloned().collect();
            spectator.saves(at, judge, &messages);
        }
        if wake <= at.agent {
            self.report.stalls += 1;
        }
        let late = if self.world.late.0 > 0 { self.random.below(self.world.late.0 as u32 + 1) } else { 0 };
        self.wake_at = self.now + wake.since(at.agent).0.max(1) + u64::from(late);
        if line != self.believed {
            self.believe(line);
        }
        for action in actions.drain(..) {
            spectator.does(at, &action);
            self.act(action);
        }
        self.actions = actions;
    }

    fn believe(&mut self, line: LineState) {
        self.believed = line;
        let now = Span(self.now);
        let last = self.report.breaks.last_mut();
        match line {
            LineState::Down => {
                let fits = |b: &&mut Break| b.returned.is_none_or(|r| r.0 + AFTERGLOW >= now.0);
                match last.filter(fits) {
                    Some(b) => b.declared = b.declared.or(Some(now)),
                    None => self.report.false_breaks.push(now),
                }
            }
            LineState::Up => {
                if let Some(b) = last.filter(|b| b.declared.is_some()) {
                    b.restored = b.restored.or(Some(now));
                }
            }
            LineState::Unknown => {}
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Probe { probe, target } => self.probe(probe, target),
            Action::Repair(repair) => self.repair(&repair),
            Action::MakeSafe { .. } => self.after(1, Rare::MakeSafe),
            Action::Report(told) => {
                self.report.summaries += 1;
                self.report.summed += told.echo.map_or(0, |echo| u64::from(echo.answered));
            }
            Action::Check(order) => {
                let (took, checked) = look(&self.line, &self.world, &order);
                self.after(took, Rare::Checked(self.life, Box::new(checked)));
            }
            Action::MeasureSpeed(order) => self.measure(&order),
            Action::AbortSpeed { test } => self.abort(test),
            Action::Publish(message) => {
                self.report.published += 1;
                match &message.message {
                    Message::Callback(c) => {
                        if c.state == CallbackState::Requested
                            && !self.report.requests.contains_key(&c.callback_id)
                        {
                            let (name, right) =
                                (c.trigger.name.clone(), self.is_so(&c.trigger.name, AFTERGLOW));
                            let at = Span(self.now);
                            let request = Request { at, name, right, arrived: None, late: false };
                            self.report.requests.insert(c.callback_id.clone(), request);
                        }
                        self.report.callbacks.insert(c.callback_id.clone(), c.state);
                    }
                    Message::Event(e) => {
                        if let (EventName::RemedyEnded, Some(remedy)) = (e.event, &e.remedy)
                            && let Some(outcome) = remedy.outcome
                        {
                            *self.report.outcomes.entry((remedy.name, outcome)).or_default() += 1;
                        }
                    }
                    Message::CommandResult(_) => {}
                }
                // The outbox knows by the number what it already has.
                if message.number > self.wire.watermark {
                    self.wire.watermark = message.number;
                    let published = Span(self.now);
                    self.wire.outbox.push_back(Waiting { message: *message, published });
                    self.pump();
                }
            }
            Action::Save => {
                self.report.saves += 1;
                // Written out when a life begins with it: in a bad year thousands are never read.
                self.saved.clone_from(&self.judge);
                self.saved_at = self.mono().0;
                self.taken = self.judge.as_ref().and_then(|judge| judge.taken(self.mono()));
                if let Some(judge) = self.judge.as_ref().filter(|judge| *judge.usual() != self.usual) {
                    self.usual.clone_from(judge.usual());
                }
                if self.keeps_deliveries {
                    self.snapshot();
                }
            }
            Action::Note { level, .. } => {
                self.report.notes[match level {
                    Level::Debug => 0,
                    Level::Info => 1,
                    Level::Warn => 2,
                }] += 1;
            }
        }
    }

    /// What was last saved, as it lies on flash.
    fn snapshot(&mut self) -> Option<Value> {
        let snapshot = self.saved.as_ref()?.snapshot().ok()?;
        self.report.largest_snapshot = self.report.largest_snapshot.max(snapshot.to_string().len());
        Some(snapshot)
    }

    fn probe(&mut self, probe: ProbeId, target: TargetId) {
        self.report.probes += 1;
        let (at, end) = match self.line.fate(self.now, target, &self.world, &mut self.random) {
            Fate::Returns(rtt_us) => (self.now + u64::from(rtt_us.div_ceil(1_000)), End::Answered(rtt_us)),
            Fate::Vanishes => (self.now + GIVEN_UP, End::GivenUp),
            Fate::NoWay => (self.now, End::NotSent(Obstacle::NoWay)),
            Fate::NoAddress => (self.now, End::NotSent(Obstacle::NoAddress)),
        };
        self.fly(Echo { at, sent: self.now, probe, target, end });
    }

    /// A test that measures the line as it is when it begins: what it is worth in the end is the engine's own tests' part.
    fn measure(&mut self, order: &SpeedOrder) {
        let full = match order.direction {
            Direction::Download => self.world.rates.0,
            Direction::Upload => self.world.rates.1,
        };
        let gives = Rate(full.0 * u64::from(self.line.gives) / 1_000);
        let line = match self.recorded(order.direction) {
            Ok(recorded) => recorded.unwrap_or(self.line.port.map_or(gives, |port| gives.min(port))),
            Err((reason, why)) => {
                let outcome = SpeedOutcome::Failed { reason, detail: why.into(), retry_after: None };
                let SpeedOrder { test, server, direction, .. } = *order;
                let (cost, took) = (Bytes(0), Span(LOGGED_FAILS));
                let ended = SpeedEnded { test, server, direction, cost, took, outcome };
                self.after(LOGGED_FAILS, Rare::Measured(self.life, Box::new(ended)));
                return;
            }
        };
        let per_ms = (line.0 / 8_000).max(1);
        let enough = order.enough.is_some_and(|enough| line >= enough);
        let most = if enough { ENOUGH_AFTER.min(order.seconds_most.0) } else { order.seconds_most.0 };
        let took = most.min(order.bytes_most.0 / per_ms);
        let (rx, tx) = match order.direction {
            Direction::Download => (per_ms, per_ms / 40),
            Direction::Upload => (per_ms / 40, per_ms),
        };
        self.add_tested();
        self.test = Some((order.test, self.now, self.now + took, rx, tx));
        self.line.testing = true;
        let customer = self.line.load;
        if self.line.server_dead {
            let outcome = SpeedOutcome::Failed {
                reason: SpeedFailure::ServerUnreachable,
                detail: "the server does not answer".into(),
                retry_after: None,
            };
            let (test, server, direction) = (order.test, order.server, order.direction);
            let ended =
                SpeedEnded { test, server, direction, cost: Bytes(0), took: Span::seconds(5), outcome };
            self.after(5_000, Rare::Measured(self.life, Box::new(ended)));
            return;
        }
        let figures = Figures {
            line,
            line_mean: line,
            own: line,
            customer: Rate(0),
            own_payload: line,
            spread: Permille(20),
            confidence: Confidence::High,
            limit: if customer && !enough { Limit::Customer } else { Limit::Line },
            stopped_early: enough,
            connections: 4,
            idle_rtt_us: None,
            loaded_rtt_us: None,
            rpm: None,
        };
        let ended = SpeedEnded {
            test: order.test,
            server: order.server,
            direction: order.direction,
            cost: Bytes((rx + tx) * took),
            took: Span(took),
            outcome: SpeedOutcome::Measured(figures),
        };
        self.after(took, Rare::Measured(self.life, Box::new(ended)));
    }

    /// What the log says of a test that begins now; `None`: this line is not a logged one. Each logged test answers once:
    /// a low one that answered three times would be three low ones.
    fn recorded(&mut self, direction: Direction) -> Result<Option<Rate>, (SpeedFailure, &'static str)> {
        let log = &self.world.recorded;
        if log.is_empty() {
            return Ok(None);
        }
        let rate = |r: &Recorded| match direction {
            Direction::Download => r.download,
            Direction::Upload => r.upload,
        };
        let from = log.partition_point(|r| r.at.0 < self.now);
        let near = log[from..].iter().take_while(|r| r.at.0 - self.now <= LOGGED_LATER);
        // A row of the other direction alone is no answer; one without any is a test that failed.
        let mut answers = near.filter(|r| rate(r).is_some() || (r.download, r.upload) == (None, None));
        let next = answers.next().ok_or((SpeedFailure::Local, "the log has no test here"))?;
        let answered = match direction {
            Direction::Download => &mut self.answered.0,
            Direction::Upload => &mut self.answered.1,
        };
        if answered.replace(next.at) == Some(next.at) {
            return Err((SpeedFailure::Local, "the log has no other test yet"));
        }
        rate(next).map(Some).ok_or((SpeedFailure::ServerUnreachable, "the logged test failed"))
    }

    fn abort(&mut self, test: TestId) {
        let Some((_, from, until, rx, tx)) = self.test.filter(|t| t.0 == test && self.now < t.2) else {
            return;
        };
        self.test = Some((test, from, self.now, rx, tx));
        self.add_tested();
        let life = self.life;
        let at = self.rare.iter().position(|(at, rare)| {
            *at == until && matches!(rare, Rare::Measured(of, ended) if *of == life && ended.test == test)
        });
        let Some((_, Rare::Measured(_, mut ended))) = at.map(|at| self.rare.remove(at)) else { return };
        let took = self.now - from;
        (ended.cost, ended.took) = (Bytes((rx + tx) * took), Span(took));
        ended.outcome = SpeedOutcome::Failed {
            reason: SpeedFailure::Aborted,
            detail: "it was told to end".into(),
            retry_after: None,
        };
        self.after(1, Rare::Measured(life, ended));
    }

    /// Adds up what our own test moved since the last reading of the counters, or since it began.
    fn add_tested(&mut self) {
        let Some((_, from, until, rx, tx)) = self.test else { return };
        let overlap = until.min(self.now).saturating_sub(from.max(self.counted_last));
        if self.now >= until {
            self.test = None;
        }
        if self.line.far() {
            self.tested = (self.tested.0 + rx * overlap, self.tested.1 + tx * overlap);
        }
    }

    fn fly(&mut self, echo: Echo) {
        let place = self.echoes.iter().rposition(|e| e.at <= echo.at).map_or(0, |p| p + 1);
        self.echoes.insert(place, echo);
    }

    fn come_back(&mut self, echo: Echo, spectator: &mut impl Spectator) {
        let Echo { sent, probe, target, end, .. } = echo;
        let saw = match end {
            End::Answered(_) if !self.line.held(sent, target) => {
                // It was on the line when the line broke.
                self.fly(Echo { at: sent + GIVEN_UP, end: End::GivenUp, ..echo });
                return;
            }
            End::Answered(rtt_us) => {
                self.replies += 1;
                Observation::EchoAnswered { probe, target, rtt_us }
            }
            End::GivenUp => Observation::EchoLost { probe, target },
            End::NotSent(obstacle) => Observation::EchoNotSent { probe, target, obstacle },
        };
        self.tell(&saw, spectator);
    }

    fn count(&mut self, spectator: &mut impl Spectator) {
        let over = self.now - self.counted_last;
        self.add_tested();
        let (test_rx, test_tx) = std::mem::take(&mut self.tested);
        self.counted_last = self.now;
        let late = if self.world.late.0 > 0 { self.random.below(self.world.late.0 as u32 + 1) } else { 0 };
        self.counted_at = self.now + COUNTED_EVERY + u64::from(late);
        let replies = std::mem::take(&mut self.replies);
        let customer = self.line.take_carried(self.now);
        let stray = if self.line.far() { self.world.stray.0 * over / 8_000 } else { 0 };
        let packets =
            replies + customer / 1_400 + stray / STRAY_BYTES + (test_rx.max(test_tx)).div_ceil(1_514);
        let counted = Counted {
            over: Span(over),
            rx_bytes: replies * REPLY_BYTES + customer + stray + test_rx,
            tx_bytes: replies * REPLY_BYTES + customer / 20 + test_tx,
            rx_unicast: packets,
            tx_packets: packets.max(1),
            rx_errors: 0,
            reset: false,
        };
        self.tell(&Observation::Counted(counted), spectator);
    }

    // ---- the world's side ----

    fn happen(&mut self, rare: Rare, spectator: &mut impl Spectator) {
        match rare {
            Rare::Begin(place) => self.begin(place, spectator),
            Rare::End(place) => self.end(place, spectator),
            Rare::Beat(place, on) => self.beat(place, on, spectator),
            Rare::AdminDown(life) => {
                if life == self.life {
                    self.ours = true;
                    self.line.change(self.now, |l| (l.admin_up, l.leased) = (false, false));
                    self.line_changed(spectator);
                }
            }
            Rare::AdminUp(life) => {
                if life == self.life {
                    self.admin_up(spectator);
                }
            }
            Rare::MakeSafe => self.admin_up(spectator),
            Rare::Unpower => {
                self.ours = true;
                self.line.change(self.now, |l| l.unpowered = true);
                self.line_changed(spectator);
            }
            Rare::Repower => {
                self.line.change(self.now, |l| l.unpowered = false);
                self.line_changed(spectator);
            }
            Rare::Lease => self.lease(spectator),
            Rare::Measured(life, ended) => {
                self.line.testing = false;
                let (tests, bytes) = self.report.tests;
                self.report.tests = (tests + 1, Bytes(bytes.0.saturating_add(ended.cost.0)));
                if life == self.life {
                    self.tell(&Observation::SpeedEnded(*ended), spectator);
                }
            }
            Rare::Checked(life, checked) => {
                if life == self.life {
                    self.tell(&Observation::Checked(*checked), spectator);
                }
            }
            Rare::Over(life, remedy, rung, result, detail) => {
                if life == self.life {
                    if result == RemedyResult::Done {
                        self.heal(rung, spectator);
                    }
                    self.tell(&Observation::RemedyEnded { remedy, result, detail }, spectator);
                }
            }
            Rare::GoDown(life) => {
                if life == self.life && self.judge.is_some() {
                    self.tell(&Observation::Stopping, spectator);
                    self.ours = true;
                    self.die();
                    self.line.change(self.now, |l| (l.admin_up, l.leased) = (false, false));
                    self.line_changed(spectator);
                    self.after(REBOOT_OFF + BOOT, Rare::Boot);
                }
            }
            Rare::Boot => self.boot(spectator),
            Rare::Start(memory) => self.start(memory, spectator),
            Rare::Thaw => {
                for saw in std::mem::take(&mut self.stalled) {
                    self.tell(&saw, spectator);
                }
            }
            Rare::TimeServer(life) => {
                if life != self.life {
                } else if self.line.far() {
                    self.clock_off = 0;
                    self.tell_time(true, spectator);
                } else {
                    self.after(TIME_SERVER, Rare::TimeServer(life));
                }
            }
            Rare::Connect(session) => {
                let away = self.lasts(|t| *t == Trouble::BrokerAway);
                if session == self.wire.session && self.judge.is_some() && self.way_out() && !away {
                    self.wire.connected = true;
                    self.wire.sent = 0;
                    self.tell(&Observation::BrokerSeen { connected: true }, spectator);
                    while let Some(receipt) = self.wire.kept.pop_front() {
                        self.tell(&Observation::ReceiptCame(receipt), spectator);
                    }
                    self.pump();
                }
            }
            Rare::Drop(session) => {
                let away = self.lasts(|t| *t == Trouble::BrokerAway);
                if session == self.wire.session && self.wire.connected && (!self.way_out() || away) {
                    self.wire.connected = false;
                    self.wire.session += 1;
                    self.tell(&Observation::BrokerSeen { connected: false }, spectator);
                    self.reach_broker();
                }
            }
            Rare::Arrive(session, number, sent) => self.arrive(session, number, sent, spectator),
            Rare::Acknowledge(session, number) => {
                let here = session == self.wire.session && self.way_out();
                if here && self.wire.outbox.front().is_some_and(|w| w.message.number == number) {
                    self.wire.outbox.pop_front();
                    self.wire.sent -= 1;
                    self.tell(&Observation::Acknowledged { number }, spectator);
                }
            }
            Rare::Receipt(receipt) => {
                if receipt.state == ReceiptState::Received
                    && let Some(calls) = self.world.platform.calls
                {
                    self.after(calls.0, Rare::Call(receipt.callback_id.clone()));
                }
                self.give_receipt(receipt, spectator);
            }
            Rare::Call(id) => {
                if let Some(receipt) = self.wire.call(&id) {
                    self.give_receipt(receipt, spectator);
                }
            }
        }
    }

    fn give_receipt(&mut self, receipt: Receipt, spectator: &mut impl Spectator) {
        if self.wire.connected && self.way_out() && self.judge.is_some() {
            self.tell(&Observation::ReceiptCame(receipt), spectator);
        } else {
            self.wire.kept.push_back(receipt);
        }
    }

    fn lasts(&self, which: impl Fn(&Trouble) -> bool) -> bool {
        self.lasting.iter().any(|&place| which(&self.world.faults[place].trouble))
    }

    fn begin(&mut self, place: usize, spectator: &mut impl Spectator) {
        let fault = self.world.faults[place].clone();
        spectator.befalls(self.moment(), &fault.trouble, true);
        match &fault.trouble {
            Trouble::ClockSet { to, synced } => {
                let truth = self.true_wall().map_or(0, |w| w.0);
                self.clock_off = to.0 - truth;
                self.tell_time(*synced, spectator);
                return;
            }
            Trouble::Asks(reason) => {
                self.tell(&Observation::CallbackAsked { reason: reason.clone() }, spectator);
                return;
            }
            Trouble::HandsOff(why) => {
                self.tell(&Observation::HandsOffSeen { why: Some(why.clone()) }, spectator);
            }
            Trouble::Notice(notice) => {
                self.tell(&Observation::AreaNoticed { notice: Some(notice.clone()) }, spectator);
            }
            Trouble::Killed(_) => self.die(),
            Trouble::PowerCut => {
                self.die();
                self.powered = false;
                self.line.change(self.now, |l| (l.admin_up, l.leased) = (false, false));
            }
            Trouble::Frozen => {
                if let Some(b) = self.report.breaks.last_mut().filter(|b| b.returned.is_none()) {
                    b.unwatched = true;
                }
                self.frozen_until = self.now + fault.lasts.map_or(0, |l| l.0);
                self.schedule(self.frozen_until, Rare::Thaw);
            }
            Trouble::Breaks { .. } => self.after(0, Rare::Beat(place, true)),
            _ => {}
        }
        self.lasting.push(place);
        if let Some(lasts) = fault.lasts {
            self.after(lasts.0, Rare::End(place));
        }
        self.settle(spectator);
    }

    fn end(&mut self, place: usize, spectator: &mut impl Spectator) {
        let Some(at) = self.lasting.iter().position(|&p| p == place) else { return };
        self.lasting.remove(at);
        let trouble = self.world.faults[place].trouble.clone();
        spectator.befalls(self.moment(), &trouble, false);
        match trouble {
            Trouble::Killed(memory) => self.after(1, Rare::Start(memory)),
            Trouble::PowerCut => {
                self.powered = true;
                self.after(BOOT, Rare::Boot);
            }
            Trouble::Breaks { .. } => self.line.change(self.now, |l| l.beat = false),
            Trouble::HandsOff(_) => self.tell(&Observation::HandsOffSeen { why: None }, spectator),
            Trouble::Notice(notice) => {
                let notice = Some(AreaNotice { ended: true, ..notice });
                self.tell(&Observation::AreaNoticed { notice }, spectator);
            }
            _ => {}
        }
        self.settle(spectator);
    }

    fn settle(&mut self, spectator: &mut impl Spectator) {
        self.note_quality();
        let faults = &self.world.faults;
        self.line.settle(self.now, self.world.port, self.lasting.iter().map(|&place| &faults[place].trouble));
        self.line_changed(spectator);
        if self.wire.connected && self.lasts(|t| *t == Trouble::BrokerAway) {
            self.after(1, Rare::Drop(self.wire.session));
        } else if self.wire.connected && !self.way_out() {
            self.after(DROPPED, Rare::Drop(self.wire.session));
        } else {
            self.reach_broker();
        }
    }

    fn beat(&mut self, place: usize, on: bool, spectator: &mut impl Spectator) {
        if !self.lasting.contains(&place) {
            return;
        }
        let Trouble::Breaks { length, every } = self.world.faults[place].trouble else { return };
        self.line.change(self.now, |l| l.beat = on);
        if on {
            self.after(length.0, Rare::Beat(place, false));
            self.after(every.0.max(length.0 + 1), Rare::Beat(place, true));
        }
        self.line_changed(spectator);
    }

    fn heal(&mut self, rung: Rung, spectator: &mut impl Spectator) {
        let healed: Vec<usize> = self
            .lasting
            .iter()
            .copied()
            .filter(|&p| self.world.faults[p].healed_by.contains(&rung))
            .collect();
        for place in healed {
            self.end(place, spectator);
        }
        if !self.line.leased && !self.lasts(Trouble::takes_address) && self.line.may_lease() {
            self.line.change(self.now, |l| l.leased = true);
            self.line_changed(spectator);
        }
    }

    fn admin_up(&mut self, spectator: &mut impl Spectator) {
        self.line.change(self.now, |l| l.admin_up = true);
        self.line_changed(spectator);
    }

    fn lease(&mut self, spectator: &mut impl Spectator) {
        self.leasing = false;
        if self.line.leased || !self.powered {
            return;
        }
        if self.line.may_lease() && !self.lasts(Trouble::takes_address) {
            self.line.change(self.now, |l| l.leased = true);
            self.line_changed(spectator);
        } else {
            self.leasing = true;
            self.after(LEASE_AGAIN, Rare::Lease);
        }
    }

    /// Tells what the kernel tells of a change, and what follows from it.
    fn line_changed(&mut self, spectator: &mut impl Spectator) {
        let whole = self.line.far();
        let faulted = self.faulted();
        let now = self.now;
        if let Some(since) = self.ours_since.take() {
            self.report.self_inflicted += Span(now - since);
        }
        self.ours &= !whole;
        if self.ours && !faulted {
            self.ours_since = Some(now);
        }
        if whole != self.whole {
            self.whole = whole;
            let now = Span(now);
            if whole {
                if let Some(b) = self.report.breaks.last_mut() {
                    b.returned = Some(now);
                }
                // What was lost meanwhile goes out again.
                self.wire.sent = 0;
                self.reach_broker();
                self.pump();
            } else {
                self.report.breaks.push(Break {
                    own: !faulted,
                    unwatched: self.judge.is_none() || self.frozen_until > self.now,
                    broke: now,
                    declared: None,
                    returned: None,
                    restored: None,
                });
                if self.wire.connected {
                    self.after(DROPPED, Rare::Drop(self.wire.session));
                }
            }
        }
        if !self.line.leased && self.line.admin_up && !self.leasing {
            self.leasing = true;
            self.after(LEASE, Rare::Lease);
        }
        let link = self.line.link();
        if link != self.link {
            self.link = link.clone();
            self.tell(&Observation::LinkSeen(link), spectator);
        }
    }

    /// Something that is not the gateway's own doing keeps data from passing.
    fn faulted(&self) -> bool {
        self.line.faulted() || self.lasts(|t| matches!(t, Trouble::Address | Trouble::PowerCut))
    }

    /// Keeps when the line last was worse than was promised.
    fn note_quality(&mut self) {
        let promise = &self.config.promise;
        if promise.latency.is_some_and(|most| self.line.takes(&self.world) > most.0 * 1_000) {
            self.slow_at = Some(self.now);
        }
        if promise.loss.is_some_and(|most| self.line.loses() > most.0) {
            self.lossy_at = Some(self.now);
        }
    }

    /// Whether what a callback says is so, or was until so long ago.
    fn is_so(&self, name: &str, glow: u64) -> bool {
        let worse = |at: Option<u64>, now: bool| now || at.is_some_and(|at| at + QUALITY_GLOW >= self.now);
        let promise = &self.config.promise;
        if name == Finding::HighLatency.name() {
            let now = promise.latency.is_some_and(|most| self.line.takes(&self.world) > most.0 * 1_000);
            return worse(self.slow_at, now);
        }
        if name == Finding::Loss.name() {
            return worse(self.lossy_at, promise.loss.is_some_and(|most| self.line.loses() > most.0));
        }
        if name == Finding::Outage.name() {
            // Healed in this very moment, it is withdrawn in the next.
            let late = |b: &Break| b.returned.is_none_or(|at| at.0 + glow >= self.now);
            self.report.breaks.last().is_some_and(|b| !b.own && late(b))
        } else if name == Finding::Flapping.name() {
            let outage = &self.config.outage;
            let (mut breaks, mut next) = (0, Span(self.now));
            for b in self.report.breaks.iter().rev().filter(|b| !b.own) {
                let returned = b.returned.unwrap_or(next);
                if next.0.saturating_sub(returned.0) > outage.hold_down.0 + AFTERGLOW {
                    break;
                }
                breaks += u32::from(returned.0 - b.broke.0 >= outage.patience.0);
                next = b.broke;
            }
            breaks >= outage.flapping
        } else if name == Finding::ShortRate.name() {
            let slow = |direction: Direction, full: Rate| {
                let promise = &self.config.promise;
                let rates = match direction {
                    Direction::Download => &promise.download,
                    Direction::Upload => &promise.upload,
                };
                let gives = Rate(full.0 * u64::from(self.line.gives) / 1_000);
                rule::enough(promise, rates).is_some_and(|bar| gives < bar)
            };
            let (down, up) = self.world.rates;
            let sold = self.config.promise.download.highest().max(self.config.promise.upload.highest());
            let port = self.line.port.is_some_and(|port| sold.is_some_and(|sold| port < sold));
            // A recorded line is its own truth.
            port || !self.world.recorded.is_empty()
                || slow(Direction::Download, down)
                || slow(Direction::Upload, up)
        } else {
            true
        }
    }

    fn die(&mut self) {
        if let Some(b) = self.report.breaks.last_mut().filter(|b| b.returned.is_none()) {
            b.unwatched = true;
        }
        self.judge = None;
        self.life += 1;
        self.echoes.clear();
        self.stalled.clear();
        self.replies = 0;
        self.wire.connected = false;
        self.wire.session += 1;
        self.wire.sent = 0;
        self.believed = LineState::Unknown;
    }

    fn boot(&mut self, spectator: &mut impl Spectator) {
        if !self.powered || self.judge.is_some() {
            return;
        }
        self.report.boots += 1;
        self.boot_began = self.now as i64 - BOOT as i64;
        // The clock of our own goes on from the snapshot; the time before it and the boot are all that is counted.
        let mono = self.saved_at + BOOT;
        self.behind = (self.now + self.world.uptime.0).saturating_sub(mono);
        self.heal(Rung::Reboot, spectator);
        self.line.change(self.now, |l| l.admin_up = true);
        // A gateway without a battery begins where it was switched off, at best.
        if self.true_wall().is_some() {
            self.clock_off -= (REBOOT_OFF + BOOT) as i64;
        }
        self.start_process(Memory::Restored, false, spectator);
    }

    fn start(&mut self, memory: Memory, spectator: &mut impl Spectator) {
        if !self.powered || self.judge.is_some() {
            return;
        }
        self.start_process(memory, true, spectator);
    }

    fn start_process(&mut self, memory: Memory, clock_known: bool, spectator: &mut impl Spectator) {
        if memory != Memory::Restored {
            self.saved = None;
        }
        let saved = self.snapshot();
        let judge = match &saved {
            Some(snapshot) => Judge::restore(self.config.clone(), snapshot).ok(),
            None => None,
        };
        let memory = match (memory, judge.is_some()) {
            (Memory::Restored, false) => Memory::None,
            (other, _) => other,
        };
        let mut judge = judge.unwrap_or_else(|| Judge::new(self.config.clone()));
        if memory == Memory::None {
            self.usual = Usual::default();
        }
        judge.know(self.usual.clone());
        self.judge = Some(judge);
        self.report.lives += 1;
        self.counted_last = self.now;
        self.counted_at = if self.world.counters { self.now + COUNTED_EVERY } else { u64::MAX };
        self.line.take_carried(self.now);
        spectator.begins(self.moment(), saved.as_ref());
        let uptime = Span((self.now as i64 - self.boot_began).max(0) as u64);
        let boot_id = format!("5eed0000-0000-4000-8000-{:012}", self.report.boots);
        let watermark = self.wire.watermark;
        // Where the snapshot is lost, the record beside it is lost with every second.
        let taken = match memory {
            Memory::Restored => self.taken.clone(),
            Memory::Lost if self.report.lives % 2 == 1 => self.taken.clone(),
            Memory::Lost | Memory::None => None,
        };
        self.taken.clone_from(&taken);
        self.tell(
            &Observation::Started(Started { boot_id, uptime, memory, watermark, beat: None, taken }),
            spectator,
        );
        self.link = self.line.link();
        self.tell(&Observation::LinkSeen(self.link.clone()), spectator);
        self.line_changed(spectator);
        self.tell_time(clock_known, spectator);
        if !clock_known {
            self.after(TIME_SERVER, Rare::TimeServer(self.life));
        }
        self.reach_broker();
    }

    fn true_wall(&self) -> Option<Wall> {
        self.world.clock.map(|w| Wall(w.0 + self.now as i64))
    }

    fn tell_time(&mut self, synced: bool, spectator: &mut impl Spectator) {
        if let Some(wall) = self.true_wall() {
            let wall = Wall(wall.0 + self.clock_off);
            self.tell(&Observation::ClockSet { wall, synced }, spectator);
        }
    }

    // ---- remedies ----

    fn repair(&mut self, repair: &Repair) {
        let (life, remedy, rung) = (self.life, repair.remedy, repair.rung);
        self.report.remedies.push((Span(self.now), rung));
        let over = |result, detail: &str| Rare::Over(life, remedy, rung, result, detail.into());
        if self.config.remedies.driver == Driver::None {
            let rare = over(RemedyResult::Pretended, "driver is none");
            self.after(1, rare);
            return;
        }
        if let Some(why) = self.world.cannot.get(&rung) {
            let rare = over(RemedyResult::Failed, why);
            self.after(50, rare);
            return;
        }
        match rung {
            Rung::Renew => self.after(LEASE, over(RemedyResult::Done, "asked the DHCP server")),
            Rung::OtherResolver => self.after(RESOLVER, over(RemedyResult::Done, "asks another resolver")),
            Rung::RestartInterface => {
                self.after(1, Rare::AdminDown(life));
                self.after(DOWN, Rare::AdminUp(life));
                self.after(RESTART, over(RemedyResult::Done, "took the interface down and up"));
            }
            Rung::RestartNetwork => {
                self.after(1, Rare::AdminDown(life));
                self.after(NETWORK_DOWN, Rare::AdminUp(life));
                self.after(NETWORK_RESTART, over(RemedyResult::Done, "restarted all networking"));
            }
            Rung::PowerModem => {
                self.after(1, Rare::Unpower);
                self.after(POWER_OFF, over(RemedyResult::Done, "cut the modem's power"));
                self.after(MODEM_BACK, Rare::Repower);
            }
            Rung::Reboot => self.after(SHUTDOWN, Rare::GoDown(life)),
        }
    }

    // ---- broker and platform ----

    /// Messages can leave the house.
    fn way_out(&self) -> bool {
        self.backup() || self.line.far()
    }

    fn backup(&self) -> bool {
        self.world.failover && !self.lasts(|t| *t == Trouble::BackupLost)
    }

    fn reach_broker(&mut self) {
        let away = self.lasts(|t| *t == Trouble::BrokerAway);
        if self.judge.is_some() && !self.wire.connected && self.way_out() && !away {
            self.wire.session += 1;
            self.after(self.world.platform.connects.0, Rare::Connect(self.wire.session));
        }
    }

    fn pump(&mut self) {
        if !self.wire.connected || !self.way_out() {
            return;
        }
        let session = self.wire.session;
        while let Some(waiting) = self.wire.outbox.get(self.wire.sent) {
            let number = waiting.message.number;
            self.wire.sent += 1;
            self.after(self.world.platform.travels.0, Rare::Arrive(session, number, self.now));
            self.after(self.world.platform.acknowledges.0, Rare::Acknowledge(session, number));
        }
    }

    fn arrive(&mut self, session: u64, number: u64, sent: u64, spectator: &mut impl Spectator) {
        let held = self.backup() || self.line.held(sent, TargetId(0));
        if session != self.wire.session || !held {
            return;
        }
        let Some(waiting) = self.wire.outbox.iter().find(|w| w.message.number == number) else { return };
        let waiting = Waiting { message: waiting.message.clone(), published: waiting.published };
        let receipts = if self.lasts(|t| *t == Trouble::ReceiptsRefused) {
            Receipts::Refused
        } else if self.lasts(|t| *t == Trouble::ReceiptsLost) {
            Receipts::Lost
        } else {
            Receipts::Sent
        };
        let (delivery, answer) = self.wire.arrive(Span(self.now), waiting, receipts);
        spectator.delivered(&delivery);
        if let Message::Callback(c) = &delivery.message.message
            && let Some(name) = self.report.requests.get(&c.callback_id).map(|r| r.name.clone())
        {
            let so = self.is_so(&name, 0);
            if let Some(request) = self.report.requests.get_mut(&c.callback_id)
                && request.arrived.is_none()
            {
                (request.arrived, request.late) = (Some(delivery.at), !so);
            }
        }
        if self.keeps_deliveries {
            self.report.delivered.push(delivery);
        }
        let receipt = |id: String, state, reason: Option<&str>| {
            Rare::Receipt(Receipt {
                callback_id: id,
                state,
                reason: reason.map(str::to_string),
                satisfaction_score: None,
                issue_types: Vec::new(),
                resolved_by: None,
            })
        };
        let wait = self.world.platform.receipt.0;
        match answer {
            Answer::Nothing => {}
            Answer::Receive(id) => self.after(wait, receipt(id, ReceiptState::Received, None)),
            Answer::Refuse(id) => {
                self.after(wait, receipt(id, ReceiptState::Refused, Some("no agent for this area")));
            }
        }
    }
}

/// Runs a world from its start until `until` and tells what came of it.
pub fn run(config: &Config, world: &World, seed: u64, until: Span, spectator: &mut impl Spectator) -> Report {
    let mut simulation = Simulation::new(config, world, seed);
    simulation.run(until, spectator);
    simulation.into_report()
}
