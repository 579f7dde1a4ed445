//! What the judge knows of the promise, and when it tests. The policy stands in [`super`].

use super::budget::{Budget, Reserve};
use super::enough::enough;
use super::guard::Guard;
use super::rule::{self, Reason, Sample, Source, Verdict};
use super::server::{self, Server};
use super::shortfall::{Cause, Shortfall};
use super::side::{Change, Law, Side};
use super::{bnetza, ctu, fcc};
use crate::action::Level;
use crate::config::{Config, Rates, Rule};
use crate::observation::{Counted, Link};
use crate::speed::{SpeedEnded, SpeedOrder, SpeedOutcome, TestId};
use crate::text::short;
use linekeeper_contract::units::{Bytes, Mono, Rate, Span};
use linekeeper_contract::vocabulary::{Direction, Limit, SpeedFailure};
use serde::{Deserialize, Serialize};

/// From one test to the next while the line is suspected, in the mean. 20 min: the three further tests that a finding
/// needs take an hour, so that with the wait for the first one it is about the two hours that were found on real logs; a
/// jam of some minutes is over before the second. On those logs 20, 30 and 60 min found the same.
pub const SOON: Span = Span::minutes(20);
/// The same while all that lacks is another server's word.
pub const CONFIRM: Span = Span::minutes(6);
/// The same while it is broken and nothing shows its return, at least: whole tests are dear, and it is no more than a
/// quiet line may cost.
pub const BROKEN: Span = Span::hours(1);
/// The same under `ctu-2021`, whose drops are counted from 3.5 min.
pub const SOON_CTU: Span = Span::seconds(210);
/// How long a round waits for a quiet line. An hour: half of a default slot.
pub const POSTPONE: Span = Span::hours(1);
/// After so long without anything conclusive the line is tested although it is in use: twice a day for ten seconds,
/// and once in one or two hours while it is suspected.
pub const UNHEARD: Span = Span::hours(12);
/// No round sooner than this after the last one (Bundesnetzagentur: at least 5 min apart; under `ctu-2021` less).
pub const APART: Span = Span::minutes(5);
/// How long after our start there is no test: the customer's own devices have waited too.
pub const SETTLE: Span = Span::minutes(5);
/// For how long the line must be up before a test.
pub const UP_FOR: Span = Span::minutes(2);
/// How long after its time limit we wait for word of a test's end.
pub const WORD_LATE: Span = Span::seconds(30);
/// How long after our own test its queues may still be felt.
pub const AFTERGLOW: Span = Span::seconds(3);
/// The shortest test: the ramp alone takes 2 s.
pub const SHORTEST: Span = Span::seconds(3);
/// The part of a day's budget that one round may take: four are needed for a finding.
pub(super) const ROUNDS: u64 = 4;
/// How long a port must be below the promise before that is a finding: negotiation takes some seconds.
pub const PORT_FOR: Span = Span::seconds(10);
/// How much of the ordered time a test must have taken to be called short, in tenths.
pub(super) const FULL_TENTHS: u64 = 8;

/// What the judge knows of the promise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    pub(super) download: Side,
    pub(super) upload: Side,
    pub(super) servers: Vec<Server>,
    pub(super) budget: Budget,
    pub(super) guard: Guard,
    pub(super) running: Option<Running>,
    /// The next quiet round.
    pub(super) due: Option<Mono>,
    /// The slot it lies in began then.
    pub(super) slot: Mono,
    /// Rounds so far, for the hash.
    pub(super) round: u64,
    pub(super) tests: u64,
    /// What the last whole round cost.
    pub(super) cost: Option<Bytes>,
    pub(super) started: Mono,
    pub(super) ended: Option<Mono>,
    pub(super) forced: Option<Mono>,
    pub(super) round_trips: fcc::RoundTrips,
    pub(super) port: Port,
    pub(super) wake: Option<Mono>,
    /// The incident about it, while there is one.
    pub shortfall: Option<Shortfall>,
}

/// A round of tests in course.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) order: SpeedOrder,
    pub(super) reserve: Reserve,
    pub(super) began: Mono,
    /// The other direction's, still to come.
    pub(super) rest: Vec<(SpeedOrder, Reserve)>,
    pub(super) spent: Bytes,
    /// On a line in use: the customer does not end it.
    pub(super) forced: bool,
    pub(super) aborted: Option<Reason>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Port {
    pub(super) speed: Option<Rate>,
    /// It differs from what was found since then.
    pub(super) since: Option<Mono>,
    pub(super) found: bool,
}

/// What is to be done or said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Begin a test. `reserved`: bytes were taken from the budget, which must be on flash first.
    Measure {
        /// Which.
        order: SpeedOrder,
        /// The first one of its round.
        reserved: bool,
    },
    /// End a test.
    Abort(TestId),
    /// Short of the promise.
    Short(Cause),
    /// At the promise again.
    Back(Cause),
    /// For the log.
    Note(Level, String),
}

/// The rest of the judge's world, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// Now.
    pub now: Mono,
    /// The configuration.
    pub config: &'a Config,
    /// Seconds of civil time at the line, as if it were UTC, once the clock is set.
    pub local: Option<i64>,
    /// The line is up for [`UP_FOR`], there is no incident and no remedy.
    pub free: bool,
    /// The line is not down, there is no incident and no remedy: a running test may go on.
    pub calm: bool,
}

/// The contract numbers of one direction.
pub fn rates(config: &Config, direction: Direction) -> &Rates {
    match direction {
        Direction::Download => &config.promise.download,
        Direction::Upload => &config.promise.upload,
    }
}

pub(super) fn bar(config: &Config, direction: Direction) -> Option<Rate> {
    enough(&config.promise, rates(config, direction))
}

/// There is something to test, somewhere to test it, and leave to do it.
pub(super) fn active(config: &Config) -> bool {
    let sold = || Direction::ALL.into_iter().any(|d| bar(config, d).is_some());
    !config.speed.servers.is_empty() && !config.line.metered && sold()
}

/// The rates up to which the line is quiet, towards and from the customer.
pub fn quiet_most(config: &Config) -> (Rate, Rate) {
    let highest = |d| rates(config, d).highest();
    let sold = |d: Direction, other: Direction| highest(d).or(highest(other)).unwrap_or_default();
    let share = config.speed.quiet.share;
    (
        rule::part(sold(Direction::Download, Direction::Upload), share),
        rule::part(sold(Direction::Upload, Direction::Download), share),
    )
}

/// A number that differs from device to device and from round to round, below `below`.
pub(super) fn scatter(config: &Config, round: u64, below: Span) -> Span {
    // splitmix64's last steps: neighbours in the round become strangers.
    let mut h = crate::text::phase(&config.device.id).wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Span((h ^ (h >> 31)) % below.0.max(1))
}

impl Promise {
    /// Knows nothing yet.
    pub fn new() -> Promise {
        Promise::default()
    }

    pub(super) fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Download => &self.download,
            Direction::Upload => &self.upload,
        }
    }

    pub(super) fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Download => &mut self.download,
            Direction::Upload => &mut self.upload,
        }
    }

    pub(super) fn law<'a>(&self, now: Mono, config: &'a Config, direction: Direction) -> Law<'a> {
        let servers = self.servers.iter().filter(|s| s.there(now)).count();
        Law { promise: &config.promise, rates: rates(config, direction), servers, now }
    }

    /// A new life of the process. `lost`: what was spent is not known any more.
    pub fn started(&mut self, now: Mono, config: &Config, lost: bool, turns: &mut Vec<Turn>) {
        self.started = now;
        self.guard.forget();
        self.ended = None;
        // A configuration that changed meanwhile.
        self.servers.resize(config.speed.servers.len(), Server::default());
        for direction in Direction::ALL {
            let was = self.side(direction).broken;
            self.side_mut(direction).sold(bar(config, direction));
            if was && !self.side(direction).broken {
                // Measured against another promise, or none: the old one's incident is over.
                turns.push(Turn::Back(Cause::of(direction)));
            }
            self.side_mut(direction).heard.get_or_insert(now);
        }
        if lost {
            // Nobody knows what today cost: as much as it may.
            self.budget.reserve(now, config.speed.budget.day);
        }
        if let Some(running) = self.running.take() {
            let test = running.order.test.0;
            let kept =
                running.rest.iter().fold(running.reserve.bytes.0, |n, (_, r)| n.saturating_add(r.bytes.0));
            turns.push(Turn::Note(
                Level::Info,
                format!("speed test {test} was interrupted: {} are taken for spent", Bytes(kept)),
            ));
        }
        if self.due.is_some_and(|due| due < now + SETTLE) {
            self.due = Some(now + SETTLE + scatter(config, self.round, SOON));
        }
        self.port = Port { found: self.port.found, ..Port::default() };
    }

    /// The port's rate is below what was sold, and that was found.
    pub fn port_is_short(&self) -> bool {
        self.port.found
    }

    /// Our own test fills the line, or just did: delays and losses say nothing.
    pub fn loads(&self, now: Mono) -> bool {
        self.running.is_some() || self.ended.is_some_and(|at| now.since(at) < AFTERGLOW)
    }

    /// No test runs or is still felt, nothing is about to be found of the port, and no round trip is looked at: until the
    /// next round is [wanted](Promise::wanted) only the counters change anything here.
    pub fn is_idle(&self, now: Mono, config: &Config) -> bool {
        !self.loads(now) && self.port.since.is_none() && config.promise.rule != Rule::Fcc8080
    }

    /// Whether time alone may do something now: a round is wanted, or none is planned yet.
    pub fn is_due(&self, now: Mono, config: &Config) -> bool {
        match self.wanted() {
            Some(wanted) => now >= wanted || !active(config) || self.port.found,
            None => active(config) && !self.port.found,
        }
    }

    /// What the counters may have changed of what is due.
    pub fn moments(&self) -> (Option<Mono>, Option<Mono>, bool) {
        (self.wanted(), self.wake, self.running.is_some())
    }

    /// A whole and quiet line changes nothing here until what [`wake`](Promise::wake) tells.
    ///
    /// `held`: an incident keeps it from testing, and its end is due as well.
    pub fn rests(&self, now: Mono, config: &Config, held: bool) -> bool {
        // Which looks at each round trip of an evening.
        if self.loads(now) || self.port.since.is_some() || config.promise.rule == Rule::Fcc8080 {
            return false;
        }
        let shows = |d| bar(config, d).is_some_and(|bar| self.guard.shown(now, d, bar).is_some());
        if Direction::ALL.into_iter().any(shows) {
            return false;
        }
        let Some(wanted) = self.wanted() else { return true };
        // Later it is to be seen of as long a time whether the line is quiet.
        let busy = self.guard.evenly_busy(now, config.speed.quiet.window, quiet_most(config));
        // A round that waits for quiet goes on waiting while the line is as busy as it is.
        let settled = now.since(self.started) > SETTLE && self.ended.is_none_or(|at| now.since(at) > APART);
        let waits = settled && (held || busy == Some(true));
        busy.is_some() && (wanted > now || waits)
    }

    /// So much time has passed in which the counters went on as before.
    pub fn rested(&mut self, by: Span) {
        self.guard.rested(by);
    }

    /// The counters moved.
    pub fn counted(&mut self, scene: &Scene<'_>, counted: &Counted, turns: &mut Vec<Turn>) {
        let Scene { now, config, .. } = *scene;
        if let Some(running) = &mut self.running {
            let test = running.order.direction;
            let other = match test {
                Direction::Download => Direction::Upload,
                Direction::Upload => Direction::Download,
            };
            let sold = rates(config, other).highest().or(rates(config, test).highest()).unwrap_or_default();
            let earnest = self.guard.earnest(counted, test, sold);
            if earnest && !running.forced && running.aborted.is_none() {
                running.aborted = Some(Reason::CrossTraffic);
                let id = running.order.test;
                turns.push(Turn::Abort(id));
                turns.push(Turn::Note(
                    Level::Info,
                    format!("speed test {} is ended: the customer uses the line", id.0),
                ));
            }
            return;
        }
        if self.loads(now) {
            return;
        }
        self.guard.counted(now, counted, config.speed.quiet.window);
        for direction in Direction::ALL {
            let Some(bar) = bar(config, direction) else { continue };
            // Without tests, as often as there would be one.
            let pace = if self.side(direction).suspected() || self.side(direction).broken {
                SOON
            } else {
                self.pace(config)
            };
            let side = self.side(direction);
            let due = side.samples.last().is_none_or(|s| now.since(s.at) >= pace);
            if !due || self.port.found {
                continue;
            }
            if let Some(line) = self.guard.shown(now, direction, bar) {
                let sample =
                    Sample { at: now, local: scene.local, line, source: Source::Counters, short: false };
                turns.push(Turn::Note(
                    Level::Info,
                    format!(
                        "{}: the customer's own traffic shows {line}, no test is needed",
                        direction.as_str()
                    ),
                ));
                self.take(scene, direction, sample, turns);
            }
        }
    }

    /// An echo came back.
    pub fn answered(&mut self, scene: &Scene<'_>, rtt_us: u32) {
        let busy = scene
            .local
            .is_some_and(|s| rule::BUSY_HOURS.contains(&((s.div_euclid(3_600).rem_euclid(24)) as u8)));
        if scene.config.promise.rule == Rule::Fcc8080 && busy && !self.loads(scene.now) {
            self.round_trips.take(rtt_us);
        }
    }

    /// The link changed.
    pub fn link_seen(&mut self, link: &Link) {
        if link.carrier {
            self.port.speed = link.speed;
        }
    }

    /// A test ended.
    pub fn ended(&mut self, scene: &Scene<'_>, ended: &SpeedEnded, turns: &mut Vec<Turn>) {
        let now = scene.now;
        let Some(mut running) = self.running.take_if(|r| r.order.test == ended.test) else {
            // Given up, of another life, or asked for by somebody else: it cost what it cost.
            if ended.test.0 > self.tests {
                self.budget.reserve(now, ended.cost);
            }
            turns.push(Turn::Note(
                Level::Debug,
                format!("speed test {} ended and is not awaited", ended.test.0),
            ));
            return;
        };
        self.budget.settle(running.reserve, ended.cost);
        running.spent = Bytes(running.spent.0.saturating_add(ended.cost.0));
        self.ended = Some(now);
        self.guard.forget();
        let direction = running.order.direction;
        let go_on = match self.read(scene, &running, ended, turns) {
            Ok(sample) => {
                self.take(scene, direction, sample, turns);
                true
            }
            Err((reason, server)) => {
                self.void(scene, direction, reason, server, turns);
                match reason {
                    // This direction only: the other one may be shown.
                    Reason::GatewayCpu | Reason::Window | Reason::Unknown => true,
                    Reason::TooFew => running.aborted.is_none(),
                    _ => false,
                }
            }
        };
        if go_on && scene.calm && !running.rest.is_empty() {
            let (order, reserve) = running.rest.remove(0);
            running = Running { order, reserve, began: now, ..running };
            turns.push(Turn::Measure { order: running.order.clone(), reserved: false });
            self.running = Some(running);
            return;
        }
        for (_, reserve) in &running.rest {
            self.budget.settle(*reserve, Bytes(0));
        }
        if go_on && running.rest.is_empty() {
            self.cost = Some(running.spent);
        }
    }

    /// What a result shows, or why nothing, and whether the server is to blame.
    pub(super) fn read(
        &mut self,
        scene: &Scene<'_>,
        running: &Running,
        ended: &SpeedEnded,
        turns: &mut Vec<Turn>,
    ) -> Result<Sample, (Reason, bool)> {
        let now = scene.now;
        let at = running.order.server;
        let Some(server) = self.servers.get_mut(usize::from(at)) else { return Err((Reason::Local, false)) };
        let figures = match &ended.outcome {
            SpeedOutcome::Measured(figures) => figures,
            SpeedOutcome::Failed { reason, detail, retry_after } => {
                let (name, detail) = (running.order.direction.as_str(), short(detail));
                turns.push(Turn::Note(Level::Info, format!("{name} test {}: {detail}", ended.test.0)));
                return Err(match reason {
                    SpeedFailure::ServerBusy => {
                        server.later(now, *retry_after);
                        (Reason::Server, true)
                    }
                    SpeedFailure::ServerUnreachable
                    | SpeedFailure::ServerAnswer
                    | SpeedFailure::ServerCertificate => {
                        server.failed(now, detail);
                        (Reason::Server, true)
                    }
                    SpeedFailure::CustomerBusy => (Reason::CrossTraffic, false),
                    SpeedFailure::Local => (Reason::Local, false),
                    SpeedFailure::Aborted => (running.aborted.unwrap_or(Reason::TooFew), false),
                });
            }
        };
        let Some(bar) = bar(scene.config, running.order.direction) else {
            return Err((Reason::Local, false));
        };
        let short = figures.line < bar;
        // The figure's own confidence is not asked: an unsteady line is full all the same, and the best second of a whole
        // test is what it can do.
        if short {
            let reason = match figures.limit {
                Limit::Line => None,
                Limit::Customer => Some(Reason::CrossTraffic),
                Limit::Server => Some(Reason::Server),
                Limit::Window => Some(Reason::Window),
                Limit::GatewayCpu => Some(Reason::GatewayCpu),
                Limit::Unknown => Some(Reason::Unknown),
            };
            let whole = ended.took.0.saturating_mul(10) >= running.order.seconds_most.0 * FULL_TENTHS
                && !figures.stopped_early;
            let reason = reason.or((!whole).then_some(Reason::TooFew));
            if let Some(reason) = reason {
                if reason == Reason::Server {
                    server.failed(now, "was at its own limit");
                    return Err((reason, true));
                }
                server.worked();
                return Err((reason, false));
            }
        }
        server.worked();
        Ok(Sample { at: now, local: scene.local, line: figures.line, source: Source::Server(at), short })
    }

    pub(super) fn take(
        &mut self,
        scene: &Scene<'_>,
        direction: Direction,
        sample: Sample,
        turns: &mut Vec<Turn>,
    ) {
        let Scene { now, config, .. } = *scene;
        let counts_tests = matches!(config.promise.rule, Rule::Bnetza2021 | Rule::Fcc8080);
        if sample.source == Source::Counters && counts_tests {
            self.side_mut(direction).heard = Some(now);
            return;
        }
        let good = sample.server().filter(|_| !sample.short);
        if let Some(server) = good.and_then(|at| self.servers.get_mut(usize::from(at))) {
            server.rests = 0;
        }
        let law = self.law(now, config, direction);
        let changes = self.side_mut(direction).take(sample, &law);
        let word = if sample.short { "short" } else { "good" };
        if let Source::Server(at) = sample.source {
            let bar = self.side(direction).bar().unwrap_or_default();
            let url = config.speed.servers.get(usize::from(at)).map_or("", String::as_str);
            turns.push(Turn::Note(
                Level::Info,
                format!("{}: {} at {url}, {word}: {bar} is to be shown", direction.as_str(), sample.line),
            ));
        }
        for change in changes {
            match change {
                Change::Broke => turns.push(Turn::Short(Cause::of(direction))),
                Change::Back => turns.push(Turn::Back(Cause::of(direction))),
                Change::FaultyServer(at) => {
                    let rest = self.servers.get_mut(at).map_or(server::REST, |server| server.rest(now));
                    let url = config.speed.servers.get(at).map_or("", String::as_str);
                    turns.push(Turn::Note(
                        Level::Warn,
                        format!(
                            "fault domain server: {url} alone gives low {} results, another server does not; it rests \
                             for {rest}",
                            direction.as_str(),
                        ),
                    ));
                }
            }
        }
        self.hurry(scene, direction);
    }

    pub(super) fn void(
        &mut self,
        scene: &Scene<'_>,
        direction: Direction,
        reason: Reason,
        server: bool,
        turns: &mut Vec<Turn>,
    ) {
        let Scene { now, config, .. } = *scene;
        self.side_mut(direction).void = Some((now, reason));
        turns.push(Turn::Note(
            Level::Info,
            format!("{}: nothing is shown, {}", direction.as_str(), reason.words()),
        ));
        self.hurry(scene, direction);
        let counts_tests = matches!(config.promise.rule, Rule::Bnetza2021 | Rule::Fcc8080);
        if server && !counts_tests {
            // Another server, or this one when it may be asked.
            let free = self.servers.iter().map(Server::free).min().unwrap_or(now);
            let at = free.max(now + APART);
            // Not in step with all the others that were told the same.
            let at = at + scatter(config, self.round ^ 0x5e, APART);
            let side = self.side_mut(direction);
            side.soon = Some(side.soon.map_or(at, |soon| soon.min(at)));
        }
    }

    /// Sets when the next test out of turn is to be.
    pub(super) fn hurry(&mut self, scene: &Scene<'_>, direction: Direction) {
        let Scene { now, config, .. } = *scene;
        let side = self.side(direction);
        let suspected = side.suspected_now(now, scene.local);
        let (broken, returning, found) = (side.broken, side.returning(), side.found());
        let pace = match (config.promise.rule, suspected, broken, returning) {
            // Their tests are counted and have their times.
            (Rule::Bnetza2021 | Rule::Fcc8080, _, _, _) => None,
            (Rule::Ctu2021, _, true, _) => Some(ctu::APART),
            (Rule::Ctu2021, true, false, _) => Some(SOON_CTU),
            (_, _, false, _) if found => Some(CONFIRM),
            (_, _, true, true) | (_, true, false, _) => Some(SOON),
            (_, _, true, false) => Some(BROKEN.max(self.pace(config))),
            (_, false, false, _) => None,
        };
        let round = self.round;
        self.side_mut(direction).soon = pace.map(|pace| {
            if config.promise.rule == Rule::Ctu2021 {
                return now + pace;
            }
            now + Span(pace.0 / 2) + scatter(config, round.wrapping_add(0x50_0000), pace)
        });
    }

    /// The length of a quiet slot.
    pub(super) fn pace(&self, config: &Config) -> Span {
        let day = Span::days(1).0;
        let slot = day / u64::from(config.speed.per_day.max(1));
        let pays = config.speed.budget.day.0.min(config.speed.budget.month.0 / 31).max(1);
        // A third of the budget is for suspicions.
        let dear =
            self.cost.map_or(0, |cost| u128::from(day) * u128::from(cost.0) * 3 / 2 / u128::from(pays));
        Span(slot.max(u64::try_from(dear).unwrap_or(u64::MAX)).min(FRESH_SLOT.0))
    }

    /// Plans the next quiet round.
    pub(super) fn plan(&mut self, scene: &Scene<'_>) {
        let Scene { now, config, local, .. } = *scene;
        self.round += 1;
        let jitter = |below: Span| scatter(config, self.round, below);
        let due = match (config.promise.rule, local) {
            (Rule::Bnetza2021, Some(local)) => {
                let first = Direction::ALL.into_iter().find(|d| bar(config, *d).is_some());
                let samples = first.map_or(&[][..], |d| &self.side(d).samples);
                let earliest = bnetza::earliest(samples, now, local);
                if earliest.since(now) > bnetza::PAUSE {
                    // Another day: between 1 and 7 h, so that ten tests with their pause end on it.
                    earliest + Span::hours(1) + jitter(Span::hours(6))
                } else {
                    earliest.max(now + Span::minutes(45)) + jitter(Span::minutes(30))
                }
            }
            (Rule::Fcc8080, Some(local)) => {
                let hour = local.div_euclid(3_600);
                // The next hour of an evening; not its last minutes, for the test may have to wait.
                let next = (hour + 1..hour + 26)
                    .find(|h| rule::BUSY_HOURS.contains(&(h.rem_euclid(24) as u8)))
                    .unwrap_or(hour + 24);
                now + Span((next * 3_600 - local).max(0) as u64 * 1_000) + jitter(Span::minutes(40))
            }
            _ => {
                let pace = self.pace(config);
                let mut slot = self.slot + pace;
                if slot + pace <= now {
                    slot = now;
                }
                self.slot = slot;
                (slot + jitter(pace)).max(now + APART)
            }
        };
        self.due = Some(due);
    }

    /// Lets time pass.
    pub fn advance(&mut self, scene: &Scene<'_>, turns: &mut Vec<Turn>) {
        self.watch_running(scene, turns);
        self.watch_port(scene, turns);
        self.begin(scene, turns);
        self.wake = self.next(scene);
    }

    pub(super) fn watch_running(&mut self, scene: &Scene<'_>, turns: &mut Vec<Turn>) {
        let now = scene.now;
        let Some(running) = &mut self.running else { return };
        let test = running.order.test;
        if now >= running.began + running.order.seconds_most + WORD_LATE {
            let (direction, rest) = (running.order.direction, std::mem::take(&mut running.rest));
            self.running = None;
            self.ended = Some(now);
            self.guard.forget();
            for (_, reserve) in rest {
                self.budget.settle(reserve, Bytes(0));
            }
            turns.push(Turn::Abort(test));
            let text = format!("speed test {} never ended: what it may have cost is taken for spent", test.0);
            turns.push(Turn::Note(Level::Warn, text));
            self.void(scene, direction, Reason::Local, false, turns);
        } else if !scene.calm && running.aborted.is_none() {
            running.aborted = Some(Reason::TooFew);
            turns.push(Turn::Abort(test));
            turns.push(Turn::Note(
                Level::Info,
                format!("speed test {} is ended: the line is not whole", test.0),
            ));
        }
    }

    /// The rate below which the port is below the promise.
    pub fn sold(config: &Config) -> Option<Rate> {
        config.promise.download.highest().max(config.promise.upload.highest())
    }

    pub(super) fn watch_port(&mut self, scene: &Scene<'_>, turns: &mut Vec<Turn>) {
        let (Some(speed), Some(sold)) = (self.port.speed, Promise::sold(scene.config)) else { return };
        let below = speed < sold;
        if below == self.port.found {
            self.port.since = None;
            return;
        }
        let since = *self.port.since.get_or_insert(scene.now);
        if scene.now.since(since) < PORT_FOR {
            return;
        }
        self.port.found = below;
        self.port.since = None;
        turns.push(if below { Turn::Short(Cause::Port) } else { Turn::Back(Cause::Port) });
    }

    /// When time must pass at the latest.
    pub(super) fn next(&self, scene: &Scene<'_>) -> Option<Mono> {
        let now = scene.now;
        let running = self.running.as_ref().map(|r| r.began + r.order.seconds_most + WORD_LATE);
        let round = match self.wanted() {
            // Waits for something that is told: quiet, a line, the end of a test; at most so long.
            Some(at) if now >= at => Some((at + POSTPONE).max(now + Span::minutes(1))),
            other => other,
        };
        let port = self.port.since.map(|since| since + PORT_FOR);
        let round = if running.is_some() { None } else { round };
        [running, round, port].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// When time must pass at the latest.
    pub fn wake(&self) -> Option<Mono> {
        self.wake
    }

    /// The verdict of one direction; `None` where nothing was sold.
    pub fn verdict(&self, now: Mono, config: &Config, direction: Direction) -> Option<rule::Judged> {
        bar(config, direction)?;
        let mut judged = self.side(direction).verdict(&self.law(now, config, direction));
        if self.port.found {
            judged.verdict = Verdict::Inconclusive(Reason::Port);
            judged.words = Reason::Port.words().into();
        }
        Some(judged)
    }
}

/// The longest slot: a result must not grow stale before the next one.
pub(super) const FRESH_SLOT: Span = Span::days(1);
