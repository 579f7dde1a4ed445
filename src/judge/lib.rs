//! The judge: takes in observations and says what to do about them. Pure: no IO, no clock, no randomness, no async.
//!
//! Equal histories give equal actions, so a recorded trace replays to the same decisions, and the live run, replay,
//! the simulator and the golden tests are one loop.

pub mod action;
pub mod area;
mod books;
pub mod callback;
pub mod check;
pub mod checks;
pub mod command;
pub mod config;
pub mod dates;
pub mod device;
pub mod diagnosis;
pub mod flight;
pub mod incident;
pub mod inform;
pub mod ladder;
pub mod ledger;
pub mod lives;
pub mod observation;
pub mod outage;
pub mod programme;
pub mod promise;
pub mod quality;
pub mod record;
mod service;
pub mod speed;
pub mod telemetry;
pub mod usage;
mod words;

use crate::action::{Action, Level, Repair};
use crate::check::{Ask, Checked};
use crate::config::Config;
use crate::observation::{
    Interface, Memory, Observation, Part, Receipt, ReceiptState, RemedyResult, Started, TargetId,
};
use crate::speed::SpeedOutcome;
use area::{Area, Change};
use callback::Callback;
use checks::Checks;
use command::Commands;
use dates::Dates;
use flight::{Cut, Flight};
use incident::Incident;
use ladder::{Circumstances, Ladder, Next};
use ledger::Ledger;
use linekeeper_contract::json;
use linekeeper_contract::message::{
    self, CALLBACK_SCHEMA, CallbackState, Critical, Dimension, Domain, EVENT_SCHEMA, EventName, Evidence,
    Fact, Finding, IncidentState, Issue, Message, Outcome, Resolution, ResolutionState, Severity, Stamp,
    Trigger,
};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use lives::Lives;
use outage::{Cause, LineState, Turn, Watch};
use programme::Programme;
use promise::Promise;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// The snapshot's version. A reader refuses others rather than to misread them.
pub const SNAPSHOT_VERSION: u32 = 1;
/// How often the snapshot is stored when nothing happens: what a power cut may cost is three hours of the budgets'
/// window, for eight flash writes a day of a page each.
pub const SAVE_EVERY: Span = Span::hours(3);
/// Ended incidents kept for `status`.
const RECENT: usize = 8;
/// How long back the gateway's last answer may lie to show it alive: ten down rounds.
const GATEWAY_RECENT: Span = Span::seconds(5);

/// How long after an incident opened its part of the flight recorder is cut out, with a second to spare.
const RECORDED: Span = Span::seconds(flight::AFTER + 1);

/// The code of an issue that the customer raised.
const ASKED: &str = "customer.asked";

/// What others say is kept up to this many bytes: a driver's last line, a customer's sentence or two.
const SAID: usize = 400;

/// The beginning of what others say.
fn short(text: &str) -> &str {
    let end = (0..=SAID.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

/// The judge and all it knows.
#[derive(Debug, Clone)]
pub struct Judge {
    config: Config,
    state: State,
    /// What this step has given so far.
    out: Vec<Action>,
    /// This step must be on flash before it is acted upon.
    save: bool,
    /// Not in the state: see there.
    flight: Flight,
    /// What the last step worked out ahead.
    ahead: Option<Ahead>,
}

/// A line that is up, and nothing on foot: until then the ordinary course of watching (echoes, counters, ticks) changes
/// nothing but what the watch, the flight recorder, the summary, the guard of the speed tests, the usage and the count of the
/// port's errors keep. So a step in that time asks no other part, which is most of what a year's steps would cost.
///
/// It is worked out from the state at the end of a whole step ([`Judge::look_ahead`]), and void as soon as anything else
/// comes in or the line turns. It is no part of the state: a judge without it decides the same.
#[derive(Debug, Clone, Copy)]
struct Ahead {
    /// Until when.
    until: Mono,
    /// [`Judge::due`], which does not change meanwhile.
    due: Mono,
}

/// All that outlives a step. What a new life may not rely on is dropped by [`Watch::started`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    dates: Dates,
    watch: Watch,
    ladder: Ladder,
    incident: Option<Incident>,
    callbacks: Vec<Callback>,
    recent: VecDeque<message::Incident>,
    troubles: BTreeMap<Part, String>,
    broker: bool,
    #[serde(default)]
    promise: Promise,
    #[serde(default)]
    programme: Programme,
    #[serde(default)]
    telemetry: telemetry::Telemetry,
    #[serde(default)]
    device: device::State,
    #[serde(default)]
    checks: Checks,
    #[serde(default)]
    area: Area,
    /// Why nothing may be done to the gateway now.
    #[serde(default)]
    hands_off: Option<String>,
    /// OpenWrt's name of the WAN's interface, and how netifd sees it.
    #[serde(default)]
    interface: Option<(String, Interface)>,
    /// When somebody took the interface up that had been taken down by hand.
    #[serde(default)]
    taken_up: Option<Mono>,
    #[serde(default)]
    commands: Commands,
    /// The hosts that `watch` is about, and the servers that `promise` is about: the configuration may change between two
    /// lives. Empty in snapshots of older versions.
    #[serde(default)]
    asked: (Vec<String>, Vec<String>),
    messages: u64,
    /// Keeps message ids of one life apart from those of others.
    memory: String,
    saved: Mono,
    #[serde(default)]
    ledger: Ledger,
    #[serde(default)]
    lives: Lives,
    #[serde(default)]
    cut: Cut,
    #[serde(default)]
    quality: quality::Quality,
    #[serde(default)]
    usage: usage::Usage,
}

/// What `restore()` takes, when its version is ours.
#[derive(Debug, Deserialize)]
struct Snapshot {
    state: State,
    #[serde(default)]
    flight: Option<Flight>,
    #[serde(default)]
    usual: Option<usage::Usual>,
}

/// What `snapshot()` gives: the same, lent.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    state: &'a State,
    #[serde(skip_serializing_if = "Option::is_none")]
    flight: Option<&'a Flight>,
    /// Only in what a trace begins with: on flash it is kept apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    usual: Option<&'a usage::Usual>,
}

/// What people and the platform may know of the line now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Up, down or unknown.
    pub line: LineState,
    /// For how long, in milliseconds.
    pub since_ms: u64,
    /// Round-trip time of the nearest far target, microseconds.
    pub rtt_us: Option<u32>,
    /// Incoming and outgoing bit/s of the last second.
    pub traffic_bps: Option<(u64, u64)>,
    /// What is asked, and how it does.
    pub targets: Vec<TargetStatus>,
    /// Breaks shorter than the patience.
    pub disconnects: u64,
    /// The incident in course or in its hold-down.
    pub incident: Option<message::Incident>,
    /// What was tried in it.
    pub remedies: Vec<message::Remedy>,
    /// Ended ones, the latest last.
    pub recent: Vec<message::Incident>,
    /// Callbacks remembered.
    pub callbacks: Vec<CallbackStatus>,
    /// How often each rung of the ladder was taken in the last 24 hours, and how often it may be.
    pub budgets: Vec<(Rung, usize, u32)>,
    /// What each rung of the ladder has done for this line, by fault domain.
    #[serde(default)]
    pub rungs: Vec<RungStatus>,
    /// The operator's notice that holds for this area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Why nothing that disturbs is done to the gateway now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hands_off: Option<String>,
    /// OpenWrt's name of the WAN's interface, and how netifd sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<(String, Interface)>,
    /// Parts of the agent that do not work.
    pub troubles: BTreeMap<Part, String>,
    /// Whether the line is as fast as was sold; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<promise::Status>,
    /// Whether round trips are as short, and losses as few, as was promised; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<quality::Status>,
    /// The follow-up callbacks of the installation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programme: Vec<programme::DueStatus>,
    /// What the gateway itself does badly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<device::Warning>,
    /// How the traffic goes with the hour; absent where that is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<usage::Status>,
    /// How often lives ended unasked.
    #[serde(default)]
    pub unasked: lives::Unasked,
    /// Whether the broker is connected.
    pub broker: bool,
    /// Whether civil time is trusted.
    pub clock_synced: bool,
    /// Time by what kept the line from being up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<ledger::Availability>,
    /// How this life of the process began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beginning: Option<lives::Beginning>,
}

/// One rung's record in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RungStatus {
    /// Which.
    pub rung: Rung,
    /// For faults where.
    pub domain: Domain,
    /// How often it was tried (misses once in an incident), and how often the line came back by it.
    pub tried: u32,
    /// See `tried`.
    pub healed: u32,
    /// How long that takes, milliseconds; absent while it never healed.
    pub heal_ms: Option<u64>,
    /// It is left out because it never helped.
    pub left_out: bool,
}

/// One target in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// As configured; `gateway` for the default gateway.
    pub host: String,
    /// `anchor`, `world` or `gateway`.
    pub role: String,
    /// Smoothed round-trip time, microseconds; absent while it never answered.
    pub rtt_us: Option<u32>,
    /// Milliseconds since its last answer.
    pub answered_ms_ago: Option<u64>,
    /// Left the rotation because it alone is silent.
    pub bad: bool,
}

/// One callback in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackStatus {
    /// Its id.
    pub callback_id: String,
    /// Where it stands.
    pub state: CallbackState,
    /// What set it off.
    pub trigger: String,
    /// The sentence for the customer.
    pub description: String,
    /// By whom it was resolved, and after how many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<(String, u64)>,
    /// 1 to 5, as the platform reported it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satisfaction_score: Option<u8>,
    /// What the call found it to be about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issue_types: Vec<String>,
}

impl Judge {
    /// A judge that knows nothing yet.
    pub fn new(config: Config) -> Judge {
        let watch = Watch::new(&config);
        let state = State {
            dates: Dates::default(),
            watch,
            ladder: Ladder::default(),
            incident: None,
            callbacks: Vec::new(),
            recent: VecDeque::new(),
            troubles: BTreeMap::new(),
            broker: false,
            promise: Promise::new(),
            programme: Programme::default(),
            telemetry: telemetry::Telemetry::default(),
            device: device::State::default(),
            checks: Checks::default(),
            area: Area::default(),
            hands_off: None,
            interface: None,
            taken_up: None,
            commands: Commands::default(),
            asked: Default::default(),
            messages: 0,
            memory: String::new(),
            saved: Mono(0),
            ledger: Ledger::default(),
            lives: Lives::default(),
            cut: Cut::default(),
            quality: quality::Quality::default(),
            usage: usage::Usage::default(),
        };
        Judge { config, state, out: Vec::new(), save: false, flight: Flight::default(), ahead: None }
    }

    /// All that must survive, as JSON. The flight recorder is in it only while our own reboot is in course.
    ///
    /// # Errors
    /// In words, should it not be writable as JSON. No value of `State` is known for which that happens.
    pub fn snapshot(&self) -> Result<Value, String> {
        self.written(self.state.ladder.running.as_ref().is_some_and(|r| r.rung == Rung::Reboot), false)
    }

    /// The same with the flight recorder: all that decides what comes out. A trace begins with it.
    ///
    /// # Errors
    /// As [`Judge::snapshot`].
    pub fn whole(&self) -> Result<Value, String> {
        self.written(true, true)
    }

    fn written(&self, flight: bool, usual: bool) -> Result<Value, String> {
        let flight = (flight && !self.flight.is_empty()).then_some(&self.flight);
        let usual = (usual && !self.usual().is_empty()).then(|| self.usual());
        json::to_tree(&Written { version: SNAPSHOT_VERSION, state: &self.state, flight, usual })
            .map_err(|e| format!("cannot write the judge's state as JSON: {e}"))
    }

    /// A judge that goes on from a snapshot.
    ///
    /// # Errors
    /// In words, when it is not a snapshot of this version.
    pub fn restore(config: Config, snapshot: &Value) -> Result<Judge, String> {
        match snapshot.get("version").and_then(Value::as_u64) {
            Some(v) if v == u64::from(SNAPSHOT_VERSION) => {}
            Some(v) => {
                return Err(format!("the snapshot has version {v}, this program reads {SNAPSHOT_VERSION}"));
            }
            None => return Err("the snapshot has no version".into()),
        }
        let snapshot = json::from_tree::<Snapshot>(snapshot)
            .map_err(|e| format!("the snapshot is not readable: {e}"))?;
        let flight = snapshot.flight.unwrap_or_default();
        let mut judge =
            Judge { config, state: snapshot.state, out: Vec::new(), save: false, flight, ahead: None };
        judge.know(snapshot.usual.unwrap_or_default());
        Ok(judge)
    }

    /// Takes in one observation and says what to do about it, in order.
    ///
    /// `now` is when it was observed and must never run backwards. Equal histories give equal actions: nothing else
    /// is read. [`Action::Save`] stands before everything that must not happen unremembered.
    pub fn step(&mut self, now: Mono, saw: &Observation) -> Vec<Action> {
        let mut out = Vec::new();
        self.step_into(now, saw, &mut out);
        out
    }

    /// The same into a list of the caller's, which is emptied first: who makes many steps need not allocate for each.
    pub fn step_into(&mut self, now: Mono, saw: &Observation, out: &mut Vec<Action>) {
        out.clear();
        std::mem::swap(&mut self.out, out);
        self.steps(now, saw);
        std::mem::swap(&mut self.out, out);
    }

    fn steps(&mut self, now: Mono, saw: &Observation) {
        let mut turns = Vec::new();
        let line = self.state.watch.line;
        let ordinary = self.is_ordinary(now, saw);
        self.flies(now, saw);
        // A check's answer came that may place a fault.
        let mut placed = false;
        if let Observation::Started(started) = saw {
            self.started(now, started);
        } else if let Some(gap) = self.state.watch.gap(now) {
            self.ahead = None;
            self.unwatched(now, gap);
            self.note(
                Level::Warn,
                format!("nobody watched for {gap} (suspended or overloaded): the line is unknown"),
            );
        }
        self.state.watch.loaded = self.state.promise.loads(now);
        match saw {
            Observation::Started(_) | Observation::Ticked => {}
            Observation::SpeedEnded(ended) => {
                if let SpeedOutcome::Measured(figures) = &ended.outcome {
                    self.state.quality.tested(now, ended.direction, figures);
                }
            }
            Observation::DeviceSeen(_) => {}
            Observation::Checked(checked) => placed = self.checked(now, checked),
            Observation::InterfaceSeen { name, is } => self.interface_seen(now, name, is),
            Observation::HandsOffSeen { why } => self.hands_off(why.as_deref().map(short)),
            Observation::AreaNoticed { notice } => {
                let device = &self.config.device;
                let us = (device.id.as_str(), device.area.as_deref());
                let wall = self.state.dates.trusted(now);
                let change = self.state.area.noticed(now, notice.as_ref(), us, wall);
                self.area_changed(now, change);
            }
            Observation::ClockSet { wall, synced } => {
                self.state.dates.set(now, *wall, *synced);
                self.state.programme.clock_set(now, *synced);
                self.dated(now, *wall, *synced);
                let wall = self.state.dates.trusted(now);
                let change = self.state.area.weigh(now, &self.config.device.id, wall);
                self.area_changed(now, change);
            }
            Observation::EchoAnswered { probe, target, rtt_us } => {
                let steady = self.state.watch.answered(now, *probe, *target, *rtt_us, &mut turns);
                if let Some(sent) = steady.filter(|_| self.judges_quality()) {
                    self.state.quality.saw(sent, *target, Some(*rtt_us));
                }
            }
            Observation::EchoLost { probe, target } => {
                let steady = self.state.watch.lost(*probe);
                if let Some(sent) = steady.filter(|_| self.judges_quality()) {
                    self.state.quality.saw(sent, *target, None);
                }
            }
            Observation::EchoNotSent { probe, target: _, obstacle } => {
                self.state.watch.not_sent(*probe, *obstacle)
            }
            Observation::LinkSeen(link) => self.state.watch.link_seen(now, link),
            Observation::Counted(counted) => {
                self.state.watch.counted(now, counted, &self.config, &mut turns);
                self.weigh_quality(now, counted);
            }
            Observation::RemedyEnded { remedy, result, detail } => {
                let policy = &self.config.remedies;
                let detail = short(detail);
                match self.state.ladder.ended(now, *remedy, *result, detail, policy) {
                    Some(true) => {
                        self.note(
                            Level::Info,
                            format!("remedy carried out: {detail}; the line may settle now"),
                        );
                        self.state.checks.prove(now);
                    }
                    Some(false) => {
                        let outcome = match result {
                            RemedyResult::Pretended => Outcome::Pretended,
                            _ => Outcome::Failed,
                        };
                        self.conclude(now, outcome);
                    }
                    None => {}
                }
                if self.state.watch.line == LineState::Up {
                    let at = self.state.watch.since;
                    self.returned(now, at);
                }
            }
            Observation::Acknowledged { number } => {
                let wait = self.config.callback.receipt;
                self.state.callbacks.iter_mut().for_each(|c| c.acknowledged(now, *number, wait));
            }
            Observation::GivenUp { number } => self.given_up(now, *number),
            Observation::BrokerSeen { connected } => self.state.broker = *connected,
            Observation::ReceiptCame(receipt) => self.receipt(now, receipt),
            Observation::Commanded(came) => self.commanded(now, came),
            Observation::CommandRefused(came) => self.command_refused(now, came),
            Observation::CallbackAsked { reason } => self.asked(now, short(reason)),
            Observation::PartSeen { part, trouble } => self.part(now, *part, trouble.as_deref().map(short)),
            Observation::Stopping => {
                self.save = true;
                self.state.lives.stopping();
                self.note(Level::Info, "asked to end".into());
            }
        }
        let asked = self.out.len();
        self.state.watch.advance(now, &self.config, &mut self.out, &mut turns);
        self.flight.asked(self.out.len() - asked);
        if ordinary && turns.is_empty() && self.stays_ordinary(now) {
            self.goes_on(now, saw);
            return;
        }
        for turn in turns {
            if let Some(turn) = self.state.commands.shield(turn) {
                self.turn(now, turn);
            }
        }
        let of_access = |c: &Checked| matches!(c.ask, Ask::Neighbour | Ask::Dhcp | Ask::Pppoe);
        // What the kernel says of the link is not placed by an answer, nor is a link that just became whole: an address,
        // or the line itself, may be on its way.
        let mended = self.state.watch.link_mended;
        let settled = mended.is_none_or(|at| now.since(at) >= ladder::LINK_SETTLE);
        let shown = placed && settled && self.state.watch.link_fault().is_none();
        self.revise(now, shown && matches!(saw, Observation::Checked(c) if of_access(c)));
        if placed {
            self.serve(now);
        }
        self.hold(now);
        if self.state.area.waits() {
            let change = self.state.area.advance(now, &self.config.device.id);
            self.area_changed(now, change);
            if !self.state.area.waits() {
                self.make_up_for_notice(now);
            }
        }
        self.climb(now);
        self.cut(now);
        self.escalate(now);
        self.look(now);
        self.promised(now, saw);
        self.follow_up(now);
        self.re_check(now);
        self.summarise(now, saw, line);
        self.device(now, saw);
        self.used(now, saw);
        self.ask_again(now);
        self.obey(now, saw);
        self.charge(now);
        if now.since(self.state.saved) >= SAVE_EVERY {
            self.save = true;
        }
        if std::mem::take(&mut self.save) {
            self.state.saved = now;
            self.out.insert(0, Action::Save);
        }
        self.ahead = self.look_ahead(now);
    }

    /// Whether it is of the ordinary course, at a time for which that was worked out ahead.
    fn is_ordinary(&self, now: Mono, saw: &Observation) -> bool {
        let routine = matches!(
            saw,
            Observation::Ticked
                | Observation::EchoAnswered { .. }
                | Observation::EchoLost { .. }
                | Observation::Counted(_)
        );
        routine && self.ahead.is_some_and(|ahead| now < ahead.until)
    }

    /// Whether it is so still, after the watch has seen it.
    fn stays_ordinary(&self, now: Mono) -> bool {
        let watch = &self.state.watch;
        // Checks look at a silence that lasts.
        let suspected = watch.suspected().is_some_and(|since| now.since(since) >= checks::SUSPECTED_FOR);
        self.ahead.is_some() && watch.line == LineState::Up && !suspected
    }

    /// What is left to do of an ordinary step.
    fn goes_on(&mut self, now: Mono, saw: &Observation) {
        if matches!(saw, Observation::Counted(_)) {
            let (before, said) = (self.state.promise.moments(), self.out.len());
            self.promised(now, saw);
            if self.state.promise.moments() != before || self.out.len() != said || self.save {
                self.ahead = None;
            }
        }
        self.summarise(now, saw, LineState::Up);
        if matches!(saw, Observation::Counted(_)) {
            let said = self.out.len();
            self.device(now, saw);
            self.used(now, saw);
            if self.out.len() != said {
                self.ahead = None;
            }
        }
        if std::mem::take(&mut self.save) {
            self.state.saved = now;
            self.out.insert(0, Action::Save);
        }
    }

    /// Works out until when the ordinary course changes nothing else. A new part of the judge that acts upon ordinary
    /// observations, or by the time alone, belongs here or in [`Judge::goes_on`]. (Quality has each of them: it voids this when
    /// something comes of one.)
    fn look_ahead(&self, now: Mono) -> Option<Ahead> {
        let state = &self.state;
        let on_foot = state.watch.line != LineState::Up
            || state.watch.loaded
            || state.incident.is_some()
            || state.ladder.running.is_some()
            || state.area.waits()
            || !state.commands.is_idle()
            || !state.promise.is_idle(now, &self.config);
        if on_foot {
            return None;
        }
        let due = self.due();
        let others = [state.promise.wanted(), state.programme.settles(now, &self.config)];
        let until = others.into_iter().flatten().fold(due, Mono::min);
        (until > now).then_some(Ahead { until, due })
    }

    /// For tests: what was worked out ahead is worked out anew, so that the next step asks every part.
    pub fn look_everywhere(&mut self) {
        self.ahead = None;
    }

    /// When a [`Observation::Ticked`] is wanted at the latest.
    pub fn wake(&self) -> Mono {
        let due = self.ahead.map_or_else(|| self.due(), |ahead| ahead.due);
        self.state.watch.wake(&self.config).min(due)
    }

    /// When something is to be done that time alone brings, beside the watching of the line.
    fn due(&self) -> Mono {
        let checks = &self.state.checks;
        let checks = match self.state.watch.line {
            LineState::Up => Some(checks.quiet_until()),
            LineState::Down | LineState::Unknown => checks.overdue(),
        };
        checks.into_iter().fold(self.due_beside_checks(), Mono::min)
    }

    fn due_beside_checks(&self) -> Mono {
        let state = &self.state;
        let mut at = state.saved + SAVE_EVERY;
        let mut sooner = |m: Mono| at = at.min(m);
        state.area.wake().into_iter().for_each(&mut sooner);
        if state.ladder.running.is_some() {
            // Nothing else is decided about the incident meanwhile.
            state.ladder.wake(&self.config.remedies).into_iter().for_each(&mut sooner);
        } else if let Some(incident) = &state.incident {
            match incident.broken {
                Some(since) if self.acts(incident) => {
                    let ripe = self.ripe(since);
                    let waits = state.area.waits();
                    let awaited = state.checks.awaited;
                    let ripe = if awaited { ripe + checks::PLACE_MOST } else { ripe };
                    let ripe = state.ladder.waits.map_or(ripe, |at| at.max(ripe));
                    if !incident.exhausted && !waits {
                        sooner(ripe);
                    }
                    // The next pass may have become due while the line was up.
                    let again = state.ladder.wake(&self.config.remedies).filter(|_| !waits);
                    again.map(|at| at.max(ripe)).into_iter().for_each(&mut sooner);
                    if let Some((_, shows)) = incident.revision {
                        sooner(shows + incident::REVISE_AFTER);
                    }
                    if self.handed_over(incident) && self.may_call(incident) {
                        sooner(self.calls_from(since));
                    }
                }
                Some(_) => {}
                None => {
                    if let Some(returned) = incident.returned {
                        sooner(returned + self.config.outage.hold_down);
                    }
                }
            }
        }
        state.promise.wake().into_iter().for_each(&mut sooner);
        let due = state.programme.wake(&self.config, |wall| state.dates.at(wall));
        due.into_iter().chain(self.summary_due()).for_each(&mut sooner);
        state.commands.wake().into_iter().for_each(&mut sooner);
        for c in &state.callbacks {
            if c.last.state == CallbackState::Requested {
                c.again.into_iter().for_each(&mut sooner);
            }
        }
        at
    }

    /// For simulators: until when a whole line changes nothing here but how late it is, and in which steps of time
    /// that may be passed over with [`rested`](Judge::rested). `None`: what is seen next may matter.
    ///
    /// That holds where the line is up for a while, nothing is suspected, no remedy runs, no test runs or waits for
    /// a quiet line, and the customer's traffic proves nothing; it ends where something is due: a test, the end of
    /// a hold-down, a repetition, a snapshot. A part of the judge that learns from what a quiet line shows must refuse
    /// it here.
    pub fn rests(&self, now: Mono) -> Option<(Mono, Span)> {
        let state = &self.state;
        let broken = state.incident.as_ref().is_some_and(|i| i.broken.is_some());
        let settled = now.since(state.watch.since) > promise::UP_FOR;
        let held = state.incident.is_some();
        let rests = state.promise.rests(now, &self.config, held);
        // The flight recorder's part is cut out at its moment.
        let records = |i: &Incident| now.since(i.opened_at) <= RECORDED && state.cut.of(&i.id).is_none();
        let records = state.incident.as_ref().is_some_and(records);
        if broken || !settled || state.ladder.running.is_some() || !rests || records || !self.quality_rests()
        {
            return None;
        }
        let step = state.watch.rotation(&self.config)?;
        let due = if state.checks.rests() { self.due_beside_checks() } else { self.due() };
        let due = due.min(self.usage_rests(now)?);
        Some((due, step)).filter(|(until, _)| *until > now)
    }

    /// So much time has passed as [`rests`](Judge::rests) allows. (The flight recorder has no more than that
    /// nobody watched meanwhile.)
    pub fn rested(&mut self, from: Mono, by: Span) {
        self.ahead = None;
        let watch = &self.state.watch;
        if self.config.telemetry.every.is_some() {
            self.state.telemetry.rested(from, by, watch.asked(&self.config), watch.traffic);
        }
        self.usage_rested(from, by);
        self.state.checks.rested(from + by, &self.config);
        self.state.watch.rested(by);
        self.state.promise.rested(by);
        self.state.quality.rested(by);
    }

    fn note(&mut self, level: Level, text: String) {
        self.out.push(Action::Note { level, text });
    }

    fn offset(&self) -> i16 {
        self.config.offset_minutes()
    }

    fn stamp(&self, at: Mono) -> Stamp {
        self.state.dates.stamp(at, self.offset())
    }

    fn started(&mut self, now: Mono, started: &Started) {
        self.look_anew();
        let rebooted = self.state.dates.boot_id != started.boot_id;
        // The outbox knows of messages that the snapshot does not: it is an older one.
        let stale = started.memory == Memory::Restored && started.watermark > self.state.messages;
        let wiped = started.memory == Memory::None && started.watermark > 0;
        let lost = started.memory == Memory::Lost || wiped || stale;
        self.state.dates.started(now, &started.boot_id, started.uptime);
        if started.memory == Memory::Restored && !self.state.lives.asked_to_end() {
            self.state.dates.pass_over();
        }
        self.lived(now, started, rebooted);
        self.state.messages = self.state.messages.max(started.watermark);
        // Of this life alone: the snapshot may be older than what was sent last (the flash was full), and goes on with
        // numbers that were given then.
        self.state.memory =
            format!("{:08x}", outage::phase(&format!("{} {}", started.boot_id, now.0)) as u32);
        self.state.saved = now;
        self.save = true;
        // Messages without a memory of them: what was numbered must not come again.
        if wiped || stale {
            self.state.dates.forgot(&started.boot_id, now);
        }
        match started.memory {
            Memory::None => self.note(Level::Info, "first start: nothing is remembered".into()),
            Memory::Restored => self.note(Level::Info, "started; what was known is remembered".into()),
            Memory::Lost => {
                self.state.dates.forgot(&started.boot_id, now);
                self.note(Level::Warn, "started; the memory could not be read and begins anew".into());
            }
        }
        self.reconfigured();
        self.state.watch.started(now, started.uptime, &self.config);
        self.state.programme.started(started);
        self.state.quality.started(now);
        self.state.checks.started(now, lost, self.config.name.every);
        self.state.hands_off = None;
        self.state.interface = None;
        let taken = started.taken.as_deref();
        if lost || started.memory == Memory::None && taken.is_some() {
            self.state.ladder.forgot(now, taken);
            let text = match taken {
                Some(_) => {
                    "what was done to the line is known by its own record: within the budgets, but no reboot for a day"
                }
                None => "what was done to the line before is not known: no remedy for a day",
            };
            self.note(Level::Warn, text.into());
        } else if started.memory == Memory::None && started.uptime < ladder::FRESH_BOOT {
            self.state.ladder.booted_unexplained(now);
        }
        if lost && self.config.remedies.ladder.contains(&Rung::RestartInterface) {
            // Whether we died between down and up is forgotten too.
            self.out.push(Action::MakeSafe { rung: Rung::RestartInterface });
        }
        self.state.broker = false;
        self.state.troubles.clear();
        let receipt = self.config.callback.receipt;
        for c in &mut self.state.callbacks {
            // The acknowledgement may have died with the last life.
            if c.last.state == CallbackState::Requested && c.again.is_none() {
                c.again = Some(now + receipt);
            }
        }
        self.commands_started(now, rebooted);
        let settle = self.config.remedies.limits(Rung::Reboot).settle;
        if let Some(running) = &mut self.state.ladder.running {
            let rung = running.rung;
            if rung == Rung::Reboot && rebooted {
                running.settles = Some(now + settle);
                running.detail = "the gateway rebooted".into();
                self.note(
                    Level::Info,
                    format!("this boot is our own remedy; the line has {settle} to come back"),
                );
            } else {
                // It stays in course until it settled: should we die again, the next life makes it safe again.
                running.settles = Some(now + self.config.remedies.limits(rung).settle);
                running.interrupted = true;
                running.detail = "cut short by the end of the process, then put right".into();
                self.out.push(Action::MakeSafe { rung });
                self.note(
                    Level::Warn,
                    format!("{} was interrupted: putting the interface right", rung.name()),
                );
                if rung == Rung::Reboot {
                    // The gateway did not go down: nothing settles.
                    self.conclude(now, Outcome::Interrupted);
                }
            }
        }
    }

    fn part(&mut self, now: Mono, part: Part, trouble: Option<&str>) {
        let before = self.state.troubles.get(&part).map(String::as_str);
        if before == trouble {
            return;
        }
        match trouble {
            Some(text) => {
                if part == Part::Store && before.is_none() {
                    // The next life may go on from the snapshot that is there: what it opens must not be called as ours is.
                    let boot_id = self.state.dates.boot_id.clone();
                    self.state.dates.forgot(&boot_id, now);
                }
                self.note(Level::Warn, text.to_string());
                self.state.troubles.insert(part, text.to_string());
            }
            None => {
                self.note(Level::Info, format!("{part:?} works again").to_lowercase());
                self.state.troubles.remove(&part);
            }
        }
    }

    fn turn(&mut self, now: Mono, turn: Turn) {
        match turn {
            Turn::Broke { since, cause } => self.broke(now, since, cause),
            Turn::Returned { at } => {
                self.state.checks.returned(now, outage::phase(&self.config.device.id));
                self.returned(now, at);
            }
            Turn::Hiccup { length } => {
                let patience = self.config.outage.patience;
                self.note(
                    Level::Info,
                    format!("a break of {length}: counted, not acted on (patience {patience})"),
                );
            }
            Turn::BadTarget { target, bad } => {
                let host = self.host(target);
                let text = if bad {
                    format!(
                        "{host} alone stays silent: a bad target, out of rotation and asked every {}",
                        outage::BENCH_RETRY
                    )
                } else {
                    format!("{host} answers again: back in rotation")
                };
                self.note(Level::Info, text);
            }
            Turn::Vetoed { rate } => {
                self.note(
                    Level::Info,
                    format!("echoes are silent but {rate} come in: the line carries traffic, no outage"),
                );
            }
        }
    }

    fn host(&self, target: TargetId) -> &str {
        match self.config.probe.targets.get(usize::from(target.0)) {
            Some(t) => &t.host,
            None => "gateway",
        }
    }

    fn broke(&mut self, now: Mono, since: Mono, cause: Cause) {
        let placed = self.place(now, since);
        let domain = placed.domain;
        let facts = self.facts(since, cause);
        let why = match cause {
            Cause::Silence => format!(
                "nothing answers since {} and nothing comes in; fault domain {} ({})",
                now.since(since),
                domain.name(),
                placed.words()
            ),
            _ => format!("{}; fault domain {}", cause.words(), domain.name()),
        };
        match &mut self.state.incident {
            Some(incident) if incident.broken.is_some() && incident.finding.is_of_service() => {
                incident.finding = Finding::Outage;
                incident.broken = Some(since);
                incident.cause = cause;
                incident.exhausted = false;
                incident.breaks += 1;
                incident.domain = domain;
                facts.into_iter().for_each(|fact| incident.note_fact(fact));
                let why = format!("the line broke as well: {why}");
                self.event(now, EventName::IncidentUpdated, now, &why, None);
            }
            Some(incident) if incident.broken.is_some() => {
                let text = format!("still down: {why}");
                self.note(Level::Info, text);
            }
            Some(incident) => {
                incident.broken = Some(since);
                incident.cause = cause;
                incident.closed = None;
                incident.exhausted = false;
                incident.breaks += 1;
                incident.revision = None;
                incident.domain = domain;
                let healed_by = incident.healed_by.take();
                for fact in facts {
                    incident.note_fact(fact);
                }
                self.state.ladder.reopen(healed_by);
                let why = format!("broke again: {why}");
                self.event(now, EventName::IncidentUpdated, now, &why, None);
            }
            None => {
                let offset = self.offset();
                let incident = Incident {
                    id: self.state.dates.incident_id(since, offset),
                    finding: Finding::Outage,
                    domain,
                    revision: None,
                    opened: self.stamp(since),
                    opened_at: since,
                    broken: Some(since),
                    cause,
                    returned: None,
                    closed: None,
                    breaks: 1,
                    long_breaks: 0,
                    down: Span::ZERO,
                    facts,
                    remedies: Vec::new(),
                    healed_by: None,
                    callback: None,
                    exhausted: false,
                };
                self.state.incident = Some(incident);
                self.state.ladder.open();
                self.event(now, EventName::IncidentOpened, now, &why, None);
            }
        }
    }

    /// What is seen of the line now.
    fn facts(&self, since: Mono, cause: Cause) -> Vec<Fact> {
        let watch = &self.state.watch;
        let mut facts = Vec::new();
        let mut fact = |at: Mono, name: &str, subject: &str, detail: String| {
            facts.push(Fact { at: self.stamp(at), name: name.into(), subject: subject.into(), detail });
        };
        let device = self.config.line.device.as_deref().unwrap_or("wan");
        let (name, words) = match watch.link_fault() {
            None => ("link.up", "carrier, address and default route are there"),
            Some(Cause::NoDevice) => ("link.no_device", Cause::NoDevice.words()),
            Some(Cause::AdminDown) => ("link.admin_down", Cause::AdminDown.words()),
            Some(Cause::NoCarrier) => ("link.no_carrier", Cause::NoCarrier.words()),
            Some(Cause::NoAddress) => ("link.no_address", Cause::NoAddress.words()),
            Some(Cause::NoRoute) => ("link.no_route", Cause::NoRoute.words()),
            Some(Cause::Silence) => ("link.up", Cause::Silence.words()),
        };
        fact(since, name, device, words.into());
        if cause == Cause::Silence {
            if self.config.probe.gateway {
                let (name, words) = match (watch.gateway_answered_since(since), watch.gateway_answers()) {
                    (true, _) => ("gateway.answers", "the operator's first router answers echoes"),
                    (false, true) => {
                        ("gateway.silent", "the operator's first router stopped answering echoes")
                    }
                    (false, false) => {
                        ("gateway.never_answered", "the operator's first router never answered echoes")
                    }
                };
                fact(since, name, "gateway", words.into());
            }
            for (target, state) in self.config.probe.targets.iter().zip(&watch.targets) {
                let detail = match state.answered {
                    Some(at) => format!(
                        "{} target; last answered {} before the silence",
                        target.role.name(),
                        since.since(at)
                    ),
                    None => format!("{} target; never answered", target.role.name()),
                };
                fact(since, "echo.silent", &target.host, detail);
            }
            if let Some((rx, _)) = watch.traffic {
                let rate = linekeeper_contract::units::Rate(rx);
                fact(since, "counters.quiet", device, format!("{rate} came in during the last second"));
            }
        }
        facts.extend(self.interface_fact(since));
        for ask in [Ask::Neighbour, Ask::Dhcp, Ask::Pppoe] {
            if let Some(verdict) = self.state.checks.since(ask, since) {
                facts.push(self.check_fact(ask, verdict));
            }
        }
        facts
    }

    fn returned(&mut self, now: Mono, at: Mono) {
        // While a remedy is being carried out the line may come and go by our own doing.
        if self.state.ladder.running.as_ref().is_some_and(|r| r.settles.is_none()) {
            return;
        }
        let Some(incident) = &self.state.incident else {
            self.note(Level::Info, "the line is up".into());
            return;
        };
        if incident.finding.is_of_service() {
            return;
        }
        let Some(since) = incident.broken else { return };
        let running = self.state.ladder.running.as_ref().map(|r| (r.rung, r.interrupted));
        let healed_by = running.map(|(rung, _)| rung);
        if let Some((_, interrupted)) = running {
            self.conclude(now, if interrupted { Outcome::Interrupted } else { Outcome::Healed });
        }
        let flapping_at = self.config.outage.flapping;
        let patience = self.config.outage.patience;
        let closed = self.stamp(at);
        let Some(incident) = &mut self.state.incident else { return };
        let length = at.since(since);
        incident.down += length;
        incident.broken = None;
        incident.returned = Some(now);
        incident.healed_by = healed_by;
        incident.revision = None;
        incident.long_breaks += u32::from(length >= patience);
        let by = healed_by.map_or("came back by itself".to_string(), |r| format!("healed by {}", r.name()));
        if incident.long_breaks >= flapping_at {
            let first = incident.finding != Finding::Flapping;
            incident.finding = Finding::Flapping;
            let why = format!(
                "{by} after {length}; {} breaks in this incident: the line is flapping",
                incident.breaks
            );
            self.event(now, EventName::IncidentUpdated, at, &why, None);
            if first {
                self.call(now);
            }
            return;
        }
        incident.closed = Some(closed);
        let why = format!("{by} after {length}");
        self.event(now, EventName::IncidentClosed, at, &why, None);
        self.withdraw(now, healed_by);
    }

    /// A break that lies elsewhere than was thought, for long enough, is said to.
    /// What a check has `placed` is said at once: it is an answer, and no passing impression.
    fn revise(&mut self, now: Mono, placed: bool) {
        if self.state.ladder.running.is_some() || self.state.watch.line != LineState::Down {
            // What shows while a remedy runs may be our own doing, and does not count.
            if let Some(incident) = &mut self.state.incident {
                incident.revision = None;
            }
            return;
        }
        let Some(since) = self.state.incident.as_ref().and_then(|i| i.broken) else { return };
        let place = self.place(now, since);
        let (shows, link) = (place.domain, self.state.watch.link_fault());
        let Some(incident) = &mut self.state.incident else { return };
        if shows == incident.domain || shows == Domain::Unknown && !placed {
            incident.revision = None;
            return;
        }
        // An address that our own restart gave up, and that nobody gives again, is the same fault as before.
        let lost = matches!(link, Some(Cause::NoAddress | Cause::NoRoute));
        let ours = incident.remedies.iter().any(|r| r.name.disturbs());
        if lost && ours && incident.cause == Cause::Silence && incident.domain != Domain::Unknown {
            incident.revision = None;
            return;
        }
        if placed {
            incident.revision = Some((shows, now - incident::REVISE_AFTER));
        }
        match incident.revision {
            Some((domain, from)) if domain == shows => {
                if now.since(from) < incident::REVISE_AFTER && !placed {
                    return;
                }
                let was = std::mem::replace(&mut incident.domain, shows);
                incident.revision = None;
                incident.exhausted = false;
                let detail = format!("was {}, is {}: {}", was.name(), shows.name(), place.words());
                let fact = Fact {
                    at: self.stamp(now),
                    name: "domain.revised".into(),
                    subject: shows.name().into(),
                    detail: detail.clone(),
                };
                if let Some(incident) = &mut self.state.incident {
                    incident.note_fact(fact);
                }
                self.event(
                    now,
                    EventName::IncidentUpdated,
                    now,
                    &format!("fault domain revised: {detail}"),
                    None,
                );
                self.keep_current(now);
            }
            Some(_) | None => incident.revision = Some((shows, now)),
        }
    }

    /// Lets an incident go when the line held for the hold-down.
    fn hold(&mut self, now: Mono) {
        let Some(incident) = &self.state.incident else { return };
        let held = incident.broken.is_none()
            && incident.returned.is_some_and(|at| now.since(at) >= self.config.outage.hold_down);
        if held {
            self.let_go(now);
        }
    }

    /// Ends an incident for good.
    fn let_go(&mut self, now: Mono) {
        let Some(incident) = &self.state.incident else { return };
        if incident.closed.is_none() {
            let at = incident.returned.unwrap_or(now);
            let closed = self.stamp(at);
            let healed_by = incident.healed_by;
            if let Some(incident) = &mut self.state.incident {
                incident.closed = Some(closed);
            }
            let why = format!("the line held for {}", self.config.outage.hold_down);
            self.event(now, EventName::IncidentClosed, now, &why, None);
            self.withdraw(now, healed_by);
        }
        if let Some(public) = self.public(now) {
            self.remember(public);
        }
        self.state.incident = None;
        self.save = true;
    }

    /// Keeps an ended incident for `status`.
    fn remember(&mut self, ended: message::Incident) {
        if self.state.recent.len() >= RECENT {
            self.state.recent.pop_front();
        }
        self.state.recent.push_back(ended);
    }

    /// When a link that became whole again in a break that began at `since` is taken for settled.
    fn link_settles(&self, since: Mono) -> Option<Mono> {
        let watch = &self.state.watch;
        let mended = watch.link_mended.filter(|at| *at > since && watch.link_fault_since().is_none());
        mended.map(|at| at + ladder::LINK_SETTLE)
    }

    /// When a break that began at `since` may be worked on.
    fn ripe(&self, since: Mono) -> Mono {
        if self.state.watch.line == LineState::Up {
            // Of the service: it is confirmed.
            return since;
        }
        let ripe = since + self.config.outage.patience;
        let link = match self.state.watch.link_fault_since() {
            Some((cause, from)) if cause.at_once() => from + ladder::CARRIER_PATIENCE,
            Some(_) => ripe,
            None => self.link_settles(since).unwrap_or(ripe),
        };
        // Who took it up just now waits for it himself.
        let taken_up = self.state.taken_up.map_or(ripe, |at| at + ladder::CARRIER_PATIENCE);
        ripe.max(link.min(ripe + ladder::LINK_PATIENCE_MOST)).max(taken_up)
    }

    /// Drives the ladder.
    fn climb(&mut self, now: Mono) {
        // Each turn of the loop takes a rung or ends one; the ladder is finite.
        loop {
            if let Some(running) = &self.state.ladder.running {
                let limit = self.config.remedies.limits(running.rung).limit;
                let of_service = self.state.incident.as_ref().is_some_and(|i| i.finding.is_of_service());
                match running.settles {
                    // A resolver cannot be proven on a line that broke meanwhile.
                    Some(_) if running.rung == Rung::OtherResolver && !of_service => {
                        self.conclude(now, Outcome::Interrupted);
                    }
                    Some(at) if now >= at && running.interrupted => self.conclude(now, Outcome::Interrupted),
                    Some(at) if now >= at => self.conclude(now, Outcome::NoEffect),
                    None if now >= running.began + limit + ladder::WORD_LATE => {
                        self.conclude(now, Outcome::Failed)
                    }
                    Some(_) | None => return,
                }
                if self.state.watch.line == LineState::Up {
                    let at = self.state.watch.since;
                    self.returned(now, at);
                }
            }
            let Some(incident) = &self.state.incident else { return };
            let Some(since) = incident.broken else { return };
            let domain = incident.domain;
            let (ripe, acts) = (self.ripe(since), self.acts(incident));
            self.state.checks.awaited = false;
            if !acts || now < ripe || self.state.area.waits() {
                return;
            }
            if let Some(why) = self.left_alone() {
                let Some(incident) = &mut self.state.incident else { return };
                if !std::mem::replace(&mut incident.exhausted, true) {
                    self.note(Level::Info, why);
                }
                return;
            }
            if now < ripe + checks::PLACE_MOST && self.state.checks.places_soon(now, &self.check_scene(now)) {
                self.state.checks.awaited = true;
                return;
            }
            let circumstances = Circumstances {
                domain,
                protocol: self.config.line.protocol,
                hands_off: self.state.hands_off.is_some(),
                resolver: self.resolver().is_some(),
                stored: !self.state.troubles.contains_key(&Part::Store),
                starts: self.modem_starts(since),
            };
            let waited = self.state.ladder.waits;
            let text = match self.state.ladder.next(now, &circumstances, &self.config.remedies) {
                Next::Busy => return,
                Next::Take(rung) => {
                    self.take(now, rung);
                    if self.state.ladder.running.as_ref().is_some_and(|r| r.settles.is_none()) {
                        return;
                    }
                    continue;
                }
                Next::Exhausted(Some(at)) => {
                    format!("no remedy is left for now; the next pass in {}", at.since(now))
                }
                Next::Exhausted(None) => {
                    format!("fault domain {}: nothing on this side can mend it", domain.name())
                }
                Next::HandsOff(rung) => {
                    let why = self.state.hands_off.as_deref().unwrap_or_default();
                    format!("{} would be next, but somebody works on the gateway: {why}", rung.name())
                }
                Next::Waits(rung, at) => {
                    if waited.is_none() {
                        let text = format!(
                            "the modem may be starting, and would be back by itself: {} in {} if it is not",
                            rung.name(),
                            at.since(now)
                        );
                        self.note(Level::Info, text);
                    }
                    return;
                }
                Next::Futile => format!(
                    "fault domain {}: what could be tried never helped on this line and is left out",
                    domain.name()
                ),
                Next::Forgotten(until) => {
                    format!("what was done before is not known: no remedy for another {}", until.since(now))
                }
            };
            let Some(incident) = &mut self.state.incident else { return };
            if !incident.exhausted {
                incident.exhausted = true;
                self.note(Level::Info, text);
            }
            return;
        }
    }

    /// Until when the modem may be starting, in a break that began at `since`: it takes the carrier away meanwhile.
    fn modem_starts(&self, since: Mono) -> Option<Mono> {
        let settle = self.config.remedies.limits(Rung::PowerModem).settle;
        let watch = &self.state.watch;
        let until = match (watch.link_fault_since(), watch.carrier_back) {
            (Some((Cause::NoCarrier, from)), _) => from + settle,
            (_, Some(back)) if back > since => back + ladder::LINK_SETTLE,
            (Some(_), _) | (None, _) => return None,
        };
        Some(until.min(since + settle + ladder::LINK_SETTLE))
    }

    /// Whether the incident's fault lasts now, as far as is known.
    fn acts(&self, incident: &Incident) -> bool {
        let shows = if incident.finding.is_of_service() { LineState::Up } else { LineState::Down };
        incident.broken.is_some() && self.state.watch.line == shows
    }

    /// A resolver that was seen to answer.
    fn resolver(&self) -> Option<IpAddr> {
        self.state.checks.since(Ask::Name, self.state.watch.since)?.resolver
    }

    fn hands_off(&mut self, why: Option<&str>) {
        if self.state.hands_off.as_deref() == why {
            return;
        }
        match why {
            Some(why) => {
                self.note(Level::Info, format!("nothing that disturbs is done to the gateway now: {why}"));
            }
            None => {
                self.note(Level::Info, "nobody works on the gateway any more".into());
                if let Some(incident) = &mut self.state.incident {
                    incident.exhausted = false;
                }
            }
        }
        self.state.hands_off = why.map(str::to_string);
    }

    fn interface_seen(&mut self, now: Mono, name: &str, is: &Interface) {
        let was = self.state.interface.replace((short(name).to_string(), is.clone())).map(|(_, was)| was);
        if was == Some(Interface::TakenDown) && *is != Interface::TakenDown {
            self.state.taken_up = Some(now);
        }
        // While we take it down and up ourselves, that it is down says nothing.
        if was.as_ref() == Some(is) || self.state.ladder.running.as_ref().is_some_and(|r| r.settles.is_none())
        {
            return;
        }
        let level = if *is == Interface::Up { Level::Debug } else { Level::Info };
        self.note(level, format!("netifd: {name} {}", is.words()));
        let fact = self.interface_fact(now);
        let left_alone = self.left_alone().is_some();
        let Some(incident) = self.state.incident.as_mut().filter(|i| i.broken.is_some()) else { return };
        fact.into_iter().for_each(|fact| incident.note_fact(fact));
        if !left_alone {
            incident.exhausted = false;
        }
        if *is == Interface::TakenDown {
            let why = "somebody took the interface down: nothing is tried and nobody is called until it is taken up";
            self.event(now, EventName::IncidentUpdated, now, why, None);
        }
    }

    /// What netifd says of the interface.
    fn interface_fact(&self, at: Mono) -> Option<Fact> {
        let (name, is) = self.state.interface.as_ref()?;
        Some(Fact {
            at: self.stamp(at),
            name: format!("interface.{}", is.name()),
            subject: name.clone(),
            detail: format!("netifd: {name} {}", is.words()),
        })
    }

    /// Whether somebody wants the interface down. What somebody did by hand is no fault, and is not undone.
    fn is_taken_down(&self) -> bool {
        matches!(self.state.interface, Some((_, Interface::TakenDown)))
    }

    /// Why nothing is tried although the line is broken: it would be against somebody's will, or in vain.
    fn left_alone(&self) -> Option<String> {
        let (name, is) = self.state.interface.as_ref()?;
        (self.is_taken_down() || is.is_ill_set()).then(|| format!("{name} {}: nothing is tried", is.words()))
    }

    fn area_changed(&mut self, now: Mono, change: Change) {
        match change {
            Change::None => {}
            Change::Ignored(why) => self.note(Level::Info, why),
            Change::Began(why) => {
                self.save = true;
                self.note(Level::Warn, why);
                self.cover(now);
            }
            Change::Ended(why) => {
                self.save = true;
                self.note(Level::Warn, why);
                self.state.ladder.afresh();
                if let Some(incident) = &mut self.state.incident {
                    incident.exhausted = false;
                }
            }
        }
    }

    /// A callback about the line that was asked for before the operator knew.
    fn cover(&mut self, now: Mono) {
        let Some(notice) = self.state.area.covers().map(|n| n.id.clone()) else { return };
        let Some(id) = self.state.incident.as_ref().and_then(|i| i.callback.clone()) else { return };
        if !self.state.callbacks.iter().any(|c| c.last.callback_id == id && c.is_live()) {
            return;
        }
        self.change(now, &id, |c| {
            c.covered_by = Some(notice);
            // Who has it in hand already, or was asked by the customer, decides for himself.
            if c.state == CallbackState::Requested && c.trigger.dimension == Dimension::Data {
                c.state = CallbackState::Covered;
            }
        });
    }

    fn take(&mut self, now: Mono, rung: Rung) {
        let domain = self.state.incident.as_ref().map_or(Domain::Unknown, |i| i.domain);
        let remedy = self.state.ladder.take(now, rung, domain);
        self.state.checks.disturbed(now);
        let resolver = self.resolver().filter(|_| rung == Rung::OtherResolver);
        let limit = self.config.remedies.limits(rung).limit;
        let Some(public) = self.public(now) else { return };
        let record = message::Remedy {
            name: rung,
            began: self.stamp(now),
            took_ms: None,
            outcome: None,
            detail: String::new(),
        };
        if let Some(incident) = &mut self.state.incident {
            incident.note_remedy(record.clone());
        }
        let why = format!(
            "{} makes sense in fault domain {}; {} of {} today",
            rung.name(),
            public.fault_domain.name(),
            self.state.ladder.used(now, rung),
            self.config.remedies.limits(rung).per_day
        );
        self.event(now, EventName::RemedyBegun, now, &why, Some(record));
        let incident = Some(Box::new(public));
        self.out.push(Action::Repair(Repair { remedy, rung, incident, limit, resolver }));
    }

    /// The effect of the running remedy is known.
    fn conclude(&mut self, now: Mono, outcome: Outcome) {
        let helped = match outcome {
            Outcome::Healed => Some(true),
            Outcome::NoEffect => Some(false),
            Outcome::Failed | Outcome::Pretended | Outcome::Interrupted => None,
        };
        let ordered = self.state.ladder.running.as_ref().map(|r| r.remedy);
        let helped = helped.filter(|_| !ordered.is_some_and(|r| self.state.commands.was_on_whole_line(r)));
        let Some(running) = self.state.ladder.finish(now, helped) else { return };
        self.commanded_remedy_over(now, running.remedy, running.rung, outcome, &running.detail);
        if outcome == Outcome::Interrupted {
            self.state.ladder.forgive(running.rung);
        }
        let took = now.since(running.began);
        let Some(incident) = &mut self.state.incident else { return };
        let Some(record) =
            incident.remedies.iter_mut().rev().find(|r| r.name == running.rung && r.outcome.is_none())
        else {
            return;
        };
        record.took_ms = Some(took.0);
        record.outcome = Some(outcome);
        record.detail = running.detail;
        let record = record.clone();
        let what = match outcome {
            Outcome::Healed => "the line is back",
            Outcome::NoEffect => "the line stays dead",
            Outcome::Failed => "could not be carried out",
            Outcome::Pretended => "only said, not done",
            Outcome::Interrupted => "was interrupted",
        };
        let why = if record.detail.is_empty() {
            format!("{}: {what} after {took}", running.rung.name())
        } else {
            format!("{}: {what} after {took} ({})", running.rung.name(), record.detail)
        };
        self.event(now, EventName::RemedyEnded, now, &why, Some(record));
        if outcome != Outcome::Healed {
            self.keep_current(now);
        }
    }

    /// Whether nothing is tried any more before somebody is told: while a notice holds nothing is, and after it the spread
    /// is waited for.
    fn handed_over(&self, incident: &Incident) -> bool {
        match self.state.area.covers() {
            Some(_) => true,
            None => incident.exhausted && !self.state.area.waits(),
        }
    }

    /// Whether a callback for this incident may still be asked for.
    fn may_call(&self, incident: &Incident) -> bool {
        if self.is_taken_down() {
            return false;
        }
        match &incident.callback {
            None => true,
            Some(id) => self.state.callbacks.iter().find(|c| c.last.callback_id == *id).is_some_and(|c| {
                match c.last.state {
                    CallbackState::Withdrawn => true,
                    CallbackState::Covered => !self.state.area.waits(),
                    _ => false,
                }
            }),
        }
    }

    /// When somebody may be called about a break that began at `since`: not in the moment in which the link is whole again,
    /// for the line is about to come back. One that comes and goes does not put it off: it is called while it is away.
    fn calls_from(&self, since: Mono) -> Mono {
        let from = since + self.config.callback.after;
        self.link_settles(since).map_or(from, |settled| from.max(settled))
    }

    /// Hands the incident over when nothing is left to try and it has lasted.
    fn escalate(&mut self, now: Mono) {
        let Some(incident) = &self.state.incident else { return };
        let Some(since) = incident.broken else { return };
        let ripe = now >= self.calls_from(since);
        let idle = self.state.ladder.running.is_none() && self.acts(incident);
        if ripe && idle && self.handed_over(incident) && self.may_call(incident) {
            self.call(now);
        }
    }

    /// What is wrong, to be read aloud, as it stands now.
    fn issue(&self, incident: &Incident) -> Issue {
        let (finding, domain) = (incident.finding, incident.domain);
        let language = self.config.device.language;
        Issue {
            kind: if finding.is_of_service() { "service" } else { "disconnect" }.into(),
            code: format!("{}.{}", finding.name(), domain.name()),
            description: words::description(language, finding, domain, incident.breaks, &incident.remedies),
        }
    }

    /// Keeps what is read to the customer true: the fault may turn out to lie elsewhere, and more may be tried, after the
    /// callback was asked for.
    fn keep_current(&mut self, now: Mono) {
        let Some(incident) = self.state.incident.as_ref().filter(|i| i.broken.is_some()) else { return };
        let Some(callback) = incident
            .callback
            .as_ref()
            .and_then(|id| self.state.callbacks.iter().find(|c| c.last.callback_id == *id && c.is_live()))
        else {
            return;
        };
        let issue = self.issue(incident);
        let Some(place) = callback.last.issues.iter().position(|i| i.kind == issue.kind) else { return };
        let told = &callback.last.issues[place];
        // A flapping line's count of breaks alone is no news.
        if told.code == issue.code
            && (incident.finding == Finding::Flapping || told.description == issue.description)
        {
            return;
        }
        let id = callback.last.callback_id.clone();
        let (domain, facts, remedies) = (incident.domain, incident.facts.clone(), incident.remedies.clone());
        self.change(now, &id, |c| {
            c.issues[place] = issue;
            c.evidence.fault_domain = domain;
            c.evidence.facts = facts;
            c.remedies = remedies;
        });
    }

    /// Asks the platform to call the customer about the present incident.
    fn call(&mut self, now: Mono) {
        let Some(incident) = &self.state.incident else { return };
        if !self.may_call(incident) {
            return;
        }
        let issue = self.issue(incident);
        let (finding, domain) = (incident.finding, incident.domain);
        let name = finding.name();
        let patience = self.config.outage.patience;
        let rule = match (finding, incident.cause) {
            (Finding::Flapping, _) => format!(
                "{} breaks of at least {patience} that followed each other within {}",
                incident.long_breaks, self.config.outage.hold_down
            ),
            (Finding::NoNames | Finding::Portal, _) => {
                format!("wrong {} times in a row, {} apart at first", checks::CONFIRMED, checks::CONFIRM)
            }
            (Finding::Outage, Cause::Silence) => {
                format!(
                    "every target silent for {patience} and in a whole round after it, and nothing came in"
                )
            }
            (_, cause) => cause.words().to_string(),
        };
        let evidence = Evidence {
            finding: Some(finding),
            fault_domain: domain,
            facts: incident.facts.clone(),
            samples: Vec::new(),
            rule,
            recorder: self.recording(),
        };
        let known = incident.callback.clone();
        // The customer asked before we were at the end of the ladder: it stays one callback.
        let asked = self.state.callbacks.iter().find(|c| {
            c.is_live() && c.last.incident_id.is_some() && c.last.incident_id.as_ref() == Some(&incident.id)
        });
        let asked = asked.map(|c| c.last.callback_id.clone());
        let mut opened = incident.opened.clone();
        let incident_id = incident.id.clone();
        let opened_at = incident.opened_at;
        let remedies = incident.remedies.clone();
        self.state.dates.mend(&mut opened, self.offset());
        if let (None, Some(id)) = (&known, asked) {
            self.change(now, &id, |c| {
                c.severity = Severity::Urgent;
                c.issues.push(issue);
                c.evidence = evidence;
                c.remedies = remedies;
            });
            if let Some(incident) = &mut self.state.incident {
                incident.callback = Some(id);
            }
            return;
        }
        let trigger = Trigger { dimension: Dimension::Data, name: name.into() };
        if let Some(id) = known {
            // Healed, withdrawn, and broken again within the hold-down: the same callback stands up again.
            let covered_by = self.state.area.covers().map(|n| n.id.clone());
            self.change(now, &id, |c| {
                c.state = match covered_by {
                    Some(_) => CallbackState::Covered,
                    None => CallbackState::Requested,
                };
                c.covered_by = covered_by;
                c.trigger = trigger;
                c.issues = vec![issue];
                c.evidence = evidence;
                c.remedies = remedies;
                c.resolution = Resolution { state: ResolutionState::Open, by: None, resolution_time_s: None };
            });
            return;
        }
        let id = self.open_callback(
            now,
            trigger,
            Severity::Urgent,
            issue,
            evidence,
            opened,
            opened_at,
            Some(incident_id),
            remedies,
        );
        if let Some(incident) = &mut self.state.incident {
            incident.callback = Some(id);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the message, named where it is made")]
    fn open_callback(
        &mut self,
        now: Mono,
        trigger: Trigger,
        severity: Severity,
        issue: Issue,
        evidence: Evidence,
        opened: Stamp,
        opened_at: Mono,
        incident_id: Option<String>,
        remedies: Vec<message::Remedy>,
    ) -> String {
        let offset = self.offset();
        let callback_id = self.state.dates.callback_id(now, offset);
        // Only what the line itself brings is covered: who asks to be called is called.
        let covered_by = self.state.area.covers().map(|n| n.id.clone());
        let about_line = trigger.dimension == Dimension::Data
            && self.state.incident.as_ref().is_some_and(|i| Some(&i.id) == incident_id.as_ref());
        let covered = about_line && covered_by.is_some();
        let state = if covered { CallbackState::Covered } else { CallbackState::Requested };
        let last = message::Callback {
            schema: CALLBACK_SCHEMA.into(),
            id: format!("{}/{}/{callback_id}", self.config.device.id, self.state.memory),
            callback_id: callback_id.clone(),
            device_id: self.config.device.id.clone(),
            customer_id: self.config.device.customer.clone(),
            area: self.config.device.area.clone(),
            state,
            covered_by,
            time: self.stamp(now),
            severity,
            trigger,
            issues: vec![issue],
            opened,
            incident_id,
            evidence,
            remedies,
            resolution: Resolution { state: ResolutionState::Open, by: None, resolution_time_s: None },
            satisfaction_score: None,
            issue_types: Vec::new(),
        };
        if self.state.callbacks.len() >= callback::CALLBACKS {
            // What is over; else what the platform has; only then one whose receipt is still awaited.
            let callbacks = &self.state.callbacks;
            let oldest = callbacks
                .iter()
                .position(|c| !c.is_live())
                .or_else(|| callbacks.iter().position(|c| c.last.state != CallbackState::Requested))
                .unwrap_or(0);
            let gone = self.state.callbacks.remove(oldest);
            self.note(Level::Info, format!("callback {} is forgotten: too many", gone.last.callback_id));
        }
        let number = self.publish(Message::Callback(Box::new(last.clone())));
        let word = if covered { "covered" } else { "requested" };
        // The customer's own words are for who calls, and not for the log.
        let what = match last.issues.first() {
            Some(issue) if issue.code != "customer.asked" => issue.description.as_str(),
            _ => "the customer asks to be called",
        };
        self.note(Level::Warn, format!("callback {callback_id} {word}: {what}"));
        self.state.callbacks.push(Callback {
            last,
            number,
            revision: 1,
            opened_at,
            changed_at: now,
            again: None,
            repeats: 0,
        });
        callback_id
    }

    /// Changes a callback and publishes the change.
    fn change(&mut self, now: Mono, id: &str, change: impl FnOnce(&mut message::Callback)) {
        let time = self.stamp(now);
        let prefix = format!("{}/{}", self.config.device.id, self.state.memory);
        let offset = self.offset();
        let Some(at) = self.state.callbacks.iter().position(|c| c.last.callback_id == id) else { return };
        let callback = &mut self.state.callbacks[at];
        change(&mut callback.last);
        callback.revision += 1;
        callback.changed_at = now;
        callback.again = None;
        callback.repeats = 0;
        callback.last.time = time;
        // The platform has it with the request.
        if callback.last.state != CallbackState::Requested {
            callback.last.evidence.recorder = None;
        }
        callback.last.id = format!("{prefix}/{id}/{}", callback.revision);
        self.state.dates.mend(&mut callback.last.opened, offset);
        let last = callback.last.clone();
        let state = last.state;
        let number = self.publish(Message::Callback(Box::new(last)));
        self.state.callbacks[at].number = number;
        self.note(
            Level::Info,
            format!("callback {id} is {state:?}").to_lowercase().replace(&id.to_lowercase(), id),
        );
    }

    fn withdraw(&mut self, now: Mono, healed_by: Option<Rung>) {
        let Some(incident) = &self.state.incident else { return };
        let Some(id) = incident.callback.clone() else { return };
        let Some(callback) = self.state.callbacks.iter().find(|c| c.last.callback_id == id) else { return };
        if !callback.is_live() && callback.last.state != CallbackState::Covered {
            return;
        }
        let remedies = incident.remedies.clone();
        let ended = incident.returned.unwrap_or(now);
        let seconds = ended.since(callback.opened_at).whole_seconds();
        let by = healed_by.map_or("itself", Rung::name).to_string();
        self.change(now, &id, |c| {
            // Who asked to be called is called, with the news that the line is back.
            let asked = c.issues.iter().any(|i| i.code == ASKED);
            if c.trigger.dimension == Dimension::Data && !asked {
                c.state = CallbackState::Withdrawn;
            }
            c.remedies = remedies;
            c.resolution = Resolution {
                state: ResolutionState::Resolved,
                by: Some(by),
                resolution_time_s: Some(seconds),
            };
        });
    }

    /// Closes an incident that stood beside the line's own, and withdraws its callback if nobody called yet.
    fn end_aside(
        &mut self,
        now: Mono,
        why: &str,
        public: message::Incident,
        callback: Option<&str>,
        opened_at: Mono,
    ) {
        let closed = Some(self.stamp(now));
        let public = message::Incident { state: IncidentState::Closed, closed, ..public };
        self.announce(EventName::IncidentClosed, now, why, public.clone(), None);
        self.remember(public);
        let Some(id) = callback else { return };
        if !self.state.callbacks.iter().any(|c| c.last.callback_id == id && c.is_live()) {
            return;
        }
        let seconds = now.since(opened_at).whole_seconds();
        self.change(now, id, |c| {
            c.state = CallbackState::Withdrawn;
            c.resolution = Resolution {
                state: ResolutionState::Resolved,
                by: Some("itself".into()),
                resolution_time_s: Some(seconds),
            };
        });
    }

    fn receipt(&mut self, now: Mono, receipt: &Receipt) {
        let id = &receipt.callback_id;
        let Some(callback) = self.state.callbacks.iter().find(|c| c.last.callback_id == *id) else {
            self.note(Level::Warn, format!("a receipt came for callback {id:?}, which is not known here"));
            return;
        };
        // The survey comes after the call.
        let late = callback.last.state == CallbackState::Closed
            && receipt.state == ReceiptState::Closed
            && callback::adds(&callback.last, receipt);
        let state = match callback::after(callback.last.state, receipt.state) {
            Ok(state) => state,
            Err(_) if late => CallbackState::Closed,
            Err(why) => {
                self.note(Level::Debug, format!("receipt {:?} for callback {id}: {why}", receipt.state));
                return;
            }
        };
        let seconds = now.since(callback.opened_at).whole_seconds();
        if receipt.state == ReceiptState::Refused {
            self.note(Level::Warn, format!("the platform refused callback {id}"));
            // An agent's words may name the customer.
            let reason = receipt.reason.as_deref().unwrap_or("no reason given");
            self.note(Level::Debug, format!("why callback {id} was refused: {reason}"));
        }
        self.change(now, id, |c| {
            c.state = state;
            c.satisfaction_score = receipt.satisfaction_score.or(c.satisfaction_score);
            if !receipt.issue_types.is_empty() {
                c.issue_types.clone_from(&receipt.issue_types);
            }
            if state == CallbackState::Closed && c.resolution.state == ResolutionState::Open {
                c.resolution = Resolution {
                    state: ResolutionState::Resolved,
                    by: Some(receipt.resolved_by.clone().unwrap_or_else(|| "platform".into())),
                    resolution_time_s: Some(seconds),
                };
            }
        });
    }

    /// The customer asks to be called. One call for it: a request joins what is under way for the same reason, and that is a
    /// request of theirs, or the callback of the break that they suffer from. A follow-up or a slow line's callback is about
    /// something else.
    fn asked(&mut self, now: Mono, reason: &str) {
        let description = words::asked(self.config.device.language, reason);
        let issue = Issue { kind: "request".into(), code: ASKED.into(), description };
        let incidents = self.state.incident.as_ref().filter(|i| i.broken.is_some());
        let incidents = incidents.and_then(|i| i.callback.as_ref());
        let joined = self.state.callbacks.iter().rev().find(|c| {
            c.is_live() && (c.last.trigger.name == "customer" || Some(&c.last.callback_id) == incidents)
        });
        if let Some(callback) = joined {
            let id = callback.last.callback_id.clone();
            let told = callback.last.issues.iter().any(|i| i.description == issue.description);
            if told && now.since(callback.changed_at) < callback::ASKED_ANEW {
                self.note(Level::Info, format!("the customer asks to be called, again: {id} says so"));
                return;
            }
            self.note(
                Level::Info,
                format!("the customer asks to be called: {id} is under way and says so now"),
            );
            self.change(now, &id, |c| {
                c.issues.retain(|i| i.description != issue.description);
                // The one that it was opened for stays, and the newest.
                if c.issues.len() >= callback::ISSUES {
                    c.issues.remove(1);
                }
                c.issues.push(issue);
            });
            return;
        }
        let broken = self.state.incident.as_ref().is_some_and(|i| i.broken.is_some());
        let severity = if broken { Severity::Urgent } else { Severity::Routine };
        let evidence = Evidence {
            finding: self.state.incident.as_ref().filter(|i| i.broken.is_some()).map(|i| i.finding),
            fault_domain: self.state.incident.as_ref().map_or(Domain::Unknown, |i| i.domain),
            facts: self.state.incident.as_ref().map_or_else(Vec::new, |i| i.facts.clone()),
            samples: Vec::new(),
            rule: "the customer asked".into(),
            recorder: None,
        };
        let remedies = self.state.incident.as_ref().map_or_else(Vec::new, |i| i.remedies.clone());
        let trigger = Trigger { dimension: Dimension::Event, name: "customer".into() };
        let opened = self.stamp(now);
        // An incident has one callback at most; a request after it had one is about the same and stands alone.
        let incident_id = self
            .state
            .incident
            .as_ref()
            .filter(|i| i.broken.is_some() && i.callback.is_none())
            .map(|i| i.id.clone());
        self.open_callback(now, trigger, severity, issue, evidence, opened, now, incident_id, remedies);
    }

    /// The broker would not have a message. A callback is asked for again all the same: somebody may mend the broker.
    fn given_up(&mut self, now: Mono, number: u64) {
        let wait = self.config.callback.receipt;
        let Some(callback) = self.state.callbacks.iter_mut().find(|c| c.number == number) else { return };
        callback.acknowledged(now, number, wait);
        if let Some(again) = callback.again {
            let text = format!(
                "the broker would not have callback {}: asking again in {}",
                callback.last.callback_id,
                again.since(now)
            );
            self.note(Level::Warn, text);
        }
    }

    /// Asks again where the platform's receipt did not come.
    fn ask_again(&mut self, now: Mono) {
        for at in 0..self.state.callbacks.len() {
            let callback = &mut self.state.callbacks[at];
            let due =
                callback.last.state == CallbackState::Requested && callback.again.is_some_and(|a| now >= a);
            if !due {
                continue;
            }
            callback.again = None;
            callback.repeats += 1;
            let last = callback.last.clone();
            let id = last.callback_id.clone();
            let number = self.publish(Message::Callback(Box::new(last)));
            self.state.callbacks[at].number = number;
            self.note(Level::Warn, format!("no receipt for callback {id} yet: asking again"));
        }
    }

    fn publish(&mut self, message: Message) -> u64 {
        self.state.messages += 1;
        self.save = true;
        let number = self.state.messages;
        self.out.push(Action::Publish(Box::new(Critical { number, message })));
        number
    }

    fn event(&mut self, now: Mono, name: EventName, at: Mono, why: &str, remedy: Option<message::Remedy>) {
        let Some(incident) = self.public(now) else { return };
        self.announce(name, at, why, incident, remedy);
    }

    /// Publishes what became of an incident.
    fn announce(
        &mut self,
        name: EventName,
        at: Mono,
        why: &str,
        incident: message::Incident,
        remedy: Option<message::Remedy>,
    ) {
        let number = self.state.messages + 1;
        let own = self.state.incident.as_ref().is_some_and(|i| i.id == incident.id);
        let recorder = if own && name == EventName::IncidentClosed { self.recording() } else { None };
        let event = message::Event {
            schema: EVENT_SCHEMA.into(),
            id: format!("{}/{}/E{number}", self.config.device.id, self.state.memory),
            device_id: self.config.device.id.clone(),
            time: self.stamp(at),
            event: name,
            why: why.to_string(),
            incident,
            remedy,
            recorder,
        };
        let level = match name {
            EventName::IncidentOpened => Level::Warn,
            _ => Level::Info,
        };
        let id = event.incident.id.clone();
        let word = match name {
            EventName::IncidentOpened => "opened",
            EventName::IncidentUpdated => "updated",
            EventName::IncidentClosed => "closed",
            EventName::RemedyBegun => "remedy begun",
            EventName::RemedyEnded => "remedy ended",
        };
        self.note(level, format!("incident {id} {word}: {why}"));
        self.publish(Message::Event(Box::new(event)));
    }

    /// The incident as the platform sees it.
    fn public(&self, now: Mono) -> Option<message::Incident> {
        let incident = self.state.incident.as_ref()?;
        let mut opened = incident.opened.clone();
        let mut closed = incident.closed.clone();
        self.state.dates.mend(&mut opened, self.offset());
        if let Some(stamp) = &mut closed {
            self.state.dates.mend(stamp, self.offset());
        }
        Some(message::Incident {
            id: incident.id.clone(),
            finding: incident.finding,
            about: None,
            fault_domain: incident.domain,
            state: if incident.closed.is_some() { IncidentState::Closed } else { IncidentState::Open },
            opened,
            closed,
            breaks: incident.breaks,
            down_ms: incident.down(now).0,
        })
    }

    /// Whether the line carries anything, as far as is known.
    pub fn line(&self) -> LineState {
        self.state.watch.line
    }

    /// How often each rung was taken in the last 24 hours, where it was: to be kept beside the snapshot, and given back with
    /// [`Started::taken`]. `None`: that is not known, and nothing is to be kept.
    pub fn taken(&self, now: Mono) -> Option<Vec<(Rung, u32)>> {
        self.state.ladder.taken(now)
    }

    /// The number of the last message: all up to it were given.
    pub fn given(&self) -> u64 {
        self.state.messages
    }

    /// The callback in course that the customer asked for, or joined.
    pub fn asked_callback(&self) -> Option<&str> {
        let asked = |c: &&Callback| c.is_live() && c.last.issues.iter().any(|i| i.code == ASKED);
        self.state.callbacks.iter().rev().find(asked).map(|c| c.last.callback_id.as_str())
    }

    /// What the retained `state` message tells of the line: only what changes seldom.
    pub fn brief(&self) -> Value {
        let incident = self.state.incident.as_ref().filter(|i| i.closed.is_none());
        serde_json::json!({
            "line": self.state.watch.line,
            "incident_id": incident.map(|i| &i.id),
            "fault_domain": incident.filter(|i| i.broken.is_some()).map(|i| i.domain),
            "troubles": self.state.troubles,
            "began": self.state.lives.beginning.map(|b| b.how),
        })
    }

    /// The configuration it judges by.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What may be told of the line now.
    pub fn status(&self, now: Mono) -> Status {
        let state = &self.state;
        let target = |host: &str, role: &str, t: &outage::TargetState| TargetStatus {
            host: host.into(),
            role: role.into(),
            rtt_us: (t.srtt_us > 0).then_some(t.srtt_us),
            answered_ms_ago: t.answered.map(|at| now.since(at).0),
            bad: t.benched.is_some(),
        };
        let mut targets: Vec<TargetStatus> = Vec::new();
        if self.config.probe.gateway {
            targets.push(target("gateway", "gateway", &state.watch.gateway));
        }
        for (t, s) in self.config.probe.targets.iter().zip(&state.watch.targets) {
            targets.push(target(&t.host, t.role.name(), s));
        }
        Status {
            line: state.watch.line,
            since_ms: now.since(state.watch.since).0,
            rtt_us: state.watch.rtt_us(),
            traffic_bps: state.watch.traffic,
            targets,
            disconnects: state.watch.hiccups,
            incident: self.public(now),
            remedies: state.incident.as_ref().map_or_else(Vec::new, |i| i.remedies.clone()),
            recent: state.recent.iter().cloned().collect(),
            callbacks: state
                .callbacks
                .iter()
                .map(|c| CallbackStatus {
                    callback_id: c.last.callback_id.clone(),
                    state: c.last.state,
                    trigger: c.last.trigger.name.clone(),
                    description: c.last.issues.first().map_or_else(String::new, |i| i.description.clone()),
                    resolved: c.last.resolution.by.clone().zip(c.last.resolution.resolution_time_s),
                    satisfaction_score: c.last.satisfaction_score,
                    issue_types: c.last.issue_types.clone(),
                })
                .collect(),
            budgets: self
                .config
                .remedies
                .ladder
                .iter()
                .map(|&r| (r, state.ladder.used(now, r), self.config.remedies.limits(r).per_day))
                .collect(),
            rungs: state
                .ladder
                .records
                .all()
                .iter()
                .map(|r| RungStatus {
                    rung: r.rung,
                    domain: r.domain,
                    tried: r.tried,
                    healed: r.healed,
                    heal_ms: (r.healed > 0).then_some(r.heal_ms),
                    left_out: self.config.remedies.learning && r.futile(now),
                })
                .collect(),
            notice: state.area.covers().map(|n| match n.text.is_empty() {
                true => n.id.clone(),
                false => format!("{}: {}", n.id, n.text),
            }),
            hands_off: state.hands_off.clone(),
            interface: state.interface.clone(),
            troubles: state.troubles.clone(),
            promise: self.promise_status(now),
            quality: self.quality_status(now),
            programme: state.programme.status(&self.config),
            warnings: state.device.warnings(now),
            usage: self.usage_status(),
            unasked: state.lives.unasked,
            broker: state.broker,
            clock_synced: state.dates.synced(),
            availability: state.ledger.told(now, self.offset()),
            beginning: state.lives.beginning,
        }
    }
}
