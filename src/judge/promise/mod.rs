//! Judges the speed of the line against the promise, from a few cheap tests and from the customer's own traffic.
//!
//! Policy, in prose:
//!
//! * Each direction is judged by the configured rule (`sequential`, `bnetza-2021`, `ctu-2021`, `fcc-80-80`, `share`;
//!   a file each). One test alone never breaks the promise.
//! * A result at or above the required rate ([`enough`]) is good, whatever limited it. One below counts as short only if the
//!   line was the bottleneck for most of the ordered time. Otherwise it is inconclusive: its reason is recorded and no
//!   score changes.
//! * What the customer's own traffic shows ([`guard`]) counts like a test, at most once where a test would have been,
//!   and takes its place.
//! * Tests are spread over the day: it is divided into as many slots as there are to be rounds, and where in its slot a
//!   round lies comes from a hash of device and round (RFC 3432's random start without randomness). Slots grow until
//!   two thirds of the budgets pay for them; the rest is for suspected shortfalls.
//! * While a quarter of the day is suspected, or broken, tests come sooner ([`SOON`], [`BROKEN`]), at another server if
//!   there is one.
//! * No test without counters, on a metered line, while the port is below the promise, in an incident or its hold-down,
//!   during a remedy, soon after a start or a return of the line, or while the line is in use: it waits up to
//!   [`POSTPONE`] for quiet, then the round is given up with reason "cross traffic". A line without a
//!   result for [`UNHEARD`] (while it is suspected, for [`POSTPONE`]) is tested anyway: a customer who always loads a slow
//!   line would otherwise never get a finding.
//! * A running test is aborted when the line breaks, a remedy begins, or the customer begins to use the line
//!   heavily: in the direction that is tested, with what would have kept the test from beginning (the engine is told
//!   how much that is, for only it knows its own bytes); in the other, with [`guard`]'s share. A test that runs although
//!   the line is in use is never aborted. A test whose end is never reported is given up.
//! * [`budget`] counts what a test costs, [`server`] chooses its server.
//!
//! Policy for the incident and its callback:
//!
//! * A speed below the promise is an incident of its own, independent of an outage. One incident at a time: a second direction, or
//!   the port, joins it. It ends when every direction and the port keep the promise again.
//! * No remedy makes a line faster, so the callback is requested at once; the finding took hours of tests. It is routine:
//!   the line works. It is withdrawn when the speed recovers before anyone called.
//! * The evidence can be checked by an operator: each test behind the verdict, the rule's text, the share of the promise,
//!   and the busy hours separate from the others.

pub mod bnetza;
pub mod budget;
pub mod commanded;
pub mod ctu;
pub mod enough;
pub mod fcc;
pub mod guard;
pub mod policy;
mod rounds;
pub mod rule;
pub mod sequential;
pub mod server;
pub mod share;
pub mod shortfall;
pub mod side;
pub mod status;

pub use policy::*;
pub use shortfall::{Cause, Shortfall};
pub use status::{ResultStatus, ServerStatus, SideStatus, Status};

use super::aside;
use super::callback::change::{CallWanted, Change};
use super::concern::{Concern, Quiet, Skipped, until};
use super::context::{Context, Facts, Tests};
use super::outage::line::LineState;
use super::outbox::{News, Outbox};
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::words;
use crate::action::{Action, Level};
use crate::config::{Config, Rule};
use crate::observation::{Memory, Observation};
use linekeeper_contract::message::{
    self, Dimension, Domain, EventName, Evidence, Fact, Finding, Issue, Severity, Trigger, VerdictSummary,
};
use linekeeper_contract::units::{LocalTime, Mono, Rate, Wall};
use linekeeper_contract::vocabulary::Direction;
use rule::{Sample, Source, Verdict};
use serde_json::{Value, json};
use side::reference;
use std::collections::BTreeSet;

/// Tests shown in a callback, of each direction: the last ones that carry the verdict.
const SHOWN: usize = 12;
/// Results shown in the status: all that any rule keeps, for whoever plots them.
const LAST: usize = 48;

/// The rates that were sold.
#[derive(Debug, Clone, Default)]
pub struct SpeedPromise {
    promise: Promise,
    /// What is to be done or said of this step.
    turns: Vec<Turn>,
    /// This life was not asked to end.
    goes_on: bool,
    /// When something was due before this step.
    moments: (Option<Mono>, Option<Mono>, bool),
}

impl Concern for SpeedPromise {
    fn new(_config: &Config) -> SpeedPromise {
        SpeedPromise::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, _out: &mut Outbox) {
        if matches!(seen, Observation::Started(_)) && cx.facts.life.other_servers {
            self.promise.servers_changed();
        }
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        match signal {
            Signal::TestsOrdered { command_id, direction } => {
                let asked = self.promise.commanded(&scene(cx, self.goes_on), *direction, &mut self.turns);
                out.signal(Signal::TestsAnswered { command_id: command_id.clone(), asked });
            }
            Signal::ContinuePromise => self.go_on(cx, out),
            Signal::VerdictsWanted => out.signal(Signal::VerdictsGiven(self.verdicts(cx))),
            Signal::AreaSettled => self.make_up_for_notice(cx, out),
            _ => {}
        }
    }

    fn advance(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        let passing = matches!(
            seen,
            Observation::Ticked | Observation::EchoAnswered { .. } | Observation::EchoLost { .. }
        );
        let orders = !cx.facts.orders.are_over;
        let promise = &mut self.promise;
        // Most steps of a line in trouble: nothing is due, nothing that was seen concerns it.
        if passing && !orders && promise.is_idle(cx.now, &cx.config) && !promise.is_due(cx.now, &cx.config) {
            return;
        }
        self.moments = promise.moments();
        // Who is asked to end begins nothing and lets nothing go on.
        self.goes_on = !matches!(seen, Observation::Stopping);
        let (scene, turns) = (scene(cx, self.goes_on), &mut self.turns);
        match seen {
            Observation::Started(started) => {
                // A wiped memory is told by an outbox that has seen messages.
                let lost = match started.memory {
                    Memory::Lost => true,
                    Memory::None => started.watermark > 0,
                    Memory::Restored => false,
                };
                promise.started(cx.now, &cx.config, lost, turns);
            }
            Observation::Counted(counted) => promise.counted(&scene, counted, turns),
            Observation::EchoAnswered { rtt_us, .. } => promise.answered(&scene, *rtt_us),
            Observation::LinkSeen(link) => promise.link_seen(link),
            Observation::SpeedEnded(ended) => promise.ended(&scene, ended, turns),
            _ => {}
        }
        if orders {
            out.signal(Signal::OrderedTestsDue);
            out.signal(Signal::ContinuePromise);
        } else {
            self.go_on(cx, out);
        }
    }

    fn publish_facts(&mut self, facts: &mut Facts) {
        let promise = &self.promise;
        let running = promise.running.as_ref();
        let running = running.map(|r| (r.order.test, r.rest.first().map(|(order, _)| order.test)));
        facts.tests = Tests { running, ended: promise.ended, port_is_short: promise.port_is_short() };
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        self.promise.wake()
    }

    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
        let (promise, deadline) = (&self.promise, self.deadline(cx));
        match quiet {
            Quiet::Watched if promise.is_idle(cx.now, &cx.config) => {
                until(deadline.into_iter().chain(promise.wanted()).min())
            }
            Quiet::Passed { .. } if promise.rests(cx.now, &cx.config, cx.facts.incident.is_some()) => {
                until(deadline)
            }
            Quiet::Watched | Quiet::Passed { .. } => None,
        }
    }

    fn wants_routine(seen: &Observation) -> bool {
        matches!(seen, Observation::Counted(_))
    }

    fn catch_up(&mut self, _cx: &Context<'_>, skipped: &Skipped<'_>) {
        self.promise.rested(skipped.by);
    }

    fn fill_status(&self, cx: &Context<'_>, status: &mut super::status::Status) {
        if Promise::sold(&cx.config).is_some() {
            let incident = self.promise.shortfall.as_ref().map(|s| public_shortfall(cx, s));
            status.promise = Some(self.promise.status(cx.now, &cx.config, incident));
        }
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("promise", &self.promise);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.promise = kept.get("promise")?;
        Ok(())
    }
}

/// The rest of the world. `goes_on`: this life was not asked to end.
fn scene<'a>(cx: &Context<'a>, goes_on: bool) -> Scene<'a> {
    let line = &cx.facts.line;
    let quiet = goes_on && cx.facts.incident.is_none() && cx.facts.remedy.is_none();
    Scene {
        now: cx.now,
        config: &cx.shared.config,
        local: cx.local(cx.now),
        free: quiet && line.state == LineState::Up && cx.now.since(line.since) >= UP_FOR,
        calm: quiet && line.state != LineState::Down,
    }
}

fn public_shortfall(cx: &Context<'_>, shortfall: &Shortfall) -> message::Incident {
    aside::public(cx, &shortfall.id, Finding::ShortRate, shortfall.domain(), &shortfall.opened)
}

/// One result, as evidence.
fn sample(cx: &Context<'_>, direction: Direction, sample: &Sample, agreed: Rate, short: bool) -> Value {
    let offset_minutes = cx.offset();
    let at = sample.local.map(|local| {
        let wall = Wall((local - i64::from(offset_minutes) * 60) * 1_000);
        LocalTime { wall, offset_minutes }
    });
    let server = match sample.source {
        Source::Server(at) => cx.config.speed.servers.get(usize::from(at)).cloned(),
        Source::Counters => None,
    };
    json!({
        "direction": direction,
        "at": at,
        "line_bps": sample.line,
        "share_permille": rule::share(sample.line, agreed),
        "server": server,
        "short": short,
    })
}

impl Promise {
    /// What may be told of it now.
    fn status(&self, now: Mono, config: &Config, incident: Option<message::Incident>) -> Status {
        let url = |at: u8| config.speed.servers.get(usize::from(at)).cloned();
        let directions = Direction::ALL.into_iter().filter_map(|direction| {
            let judged = self.verdict(now, config, direction)?;
            let side = self.side(direction);
            let (busy_hours, other_hours) = side.by_hours();
            let usual = reference(rates(config, direction)).unwrap_or_default();
            let from = side.samples.len().saturating_sub(LAST);
            let result = |s: &Sample| ResultStatus {
                ms_ago: now.since(s.at).0,
                line: s.line,
                share: rule::share(s.line, usual),
                server: s.server().and_then(url),
                short: s.short,
            };
            Some(SideStatus {
                direction,
                verdict: judged.verdict,
                why: judged.words,
                enough: side.bar().unwrap_or_default(),
                last: side.samples[from..].iter().map(result).collect(),
                busy_hours,
                other_hours,
            })
        });
        let servers = self.servers.iter().zip(&config.speed.servers).map(|(s, url)| ServerStatus {
            url: url.clone(),
            waits_ms: s.free().since(now).0,
            faulty: s.faulty.is_some_and(|until| now < until),
            trouble: s.trouble.clone(),
        });
        Status {
            rule: config.promise.rule.name().into(),
            directions: directions.collect(),
            day: (self.budget.day(now), config.speed.budget.day),
            month: (self.budget.month(now), config.speed.budget.month),
            next_test_ms: self.wanted().map(|at| at.since(now).0),
            running: self.running.as_ref().map(|r| r.order.direction),
            servers: servers.collect(),
            port: self.port.speed.filter(|_| self.port.found),
            round_trips_kept: self.round_trips.kept(),
            incident,
        }
    }
}

impl SpeedPromise {
    /// A test runs, or is about to.
    pub fn is_running(&self) -> bool {
        self.promise.is_running()
    }

    fn verdicts(&self, cx: &Context<'_>) -> Vec<VerdictSummary> {
        if Promise::sold(&cx.config).is_none() {
            return Vec::new();
        }
        let verdict = |direction| {
            let (verdict, reason) = match self.promise.verdict(cx.now, &cx.config, direction)?.verdict {
                Verdict::Kept => ("kept", None),
                Verdict::Broken => ("broken", None),
                Verdict::Inconclusive(reason) => ("inconclusive", Some(reason.words().to_string())),
            };
            Some(VerdictSummary { direction, verdict: verdict.into(), reason })
        };
        Direction::ALL.into_iter().filter_map(verdict).collect()
    }

    /// Lets time pass, and does what came of this step.
    fn go_on(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        self.promise.advance(&scene(cx, self.goes_on), &mut self.turns);
        if self.promise.moments() != self.moments {
            out.disturb();
        }
        for turn in std::mem::take(&mut self.turns) {
            match turn {
                Turn::Measure { order, reserved } => {
                    if reserved {
                        out.save();
                    }
                    let text = format!(
                        "speed test {}: {} at server {}, at most {} and {}",
                        order.test.0,
                        order.direction.as_str(),
                        order.server,
                        order.seconds_most,
                        order.bytes_most
                    );
                    out.note(Level::Info, text);
                    out.push(Action::MeasureSpeed(order));
                }
                Turn::Abort(test) => out.push(Action::AbortSpeed { test }),
                Turn::Note(level, text) => out.note(level, text),
                Turn::Short(cause) => self.short(cx, cause, out),
                Turn::Back(cause) => self.back(cx, cause, out),
            }
        }
    }

    /// Something is short of the promise.
    fn short(&mut self, cx: &Context<'_>, cause: Cause, out: &mut Outbox) {
        let why = self.why_short(cx, cause);
        if let Some(shortfall) = &mut self.promise.shortfall {
            shortfall.causes.insert(cause);
            self.tell(cx, EventName::IncidentUpdated, &why, out);
            self.renew_callback(cx, out);
            return;
        }
        let id = out.incident_id(cx, cx.now);
        let opened = cx.stamp(cx.now);
        self.promise.shortfall = Some(Shortfall {
            id,
            causes: BTreeSet::from([cause]),
            opened,
            opened_at: cx.now,
            callback: None,
        });
        self.tell(cx, EventName::IncidentOpened, &why, out);
        self.call(cx, out);
    }

    /// Something is at the promise again.
    fn back(&mut self, cx: &Context<'_>, cause: Cause, out: &mut Outbox) {
        let Some(shortfall) = &mut self.promise.shortfall else { return };
        if !shortfall.causes.remove(&cause) {
            return;
        }
        let why = format!("{}: at the promise again", cause.name());
        if !shortfall.causes.is_empty() {
            self.tell(cx, EventName::IncidentUpdated, &why, out);
            self.renew_callback(cx, out);
            return;
        }
        let Some(shortfall) = self.promise.shortfall.take() else { return };
        let public = public_shortfall(cx, &shortfall);
        aside::close(cx, out, public, &why, shortfall.callback, shortfall.opened_at);
    }

    fn why_short(&self, cx: &Context<'_>, cause: Cause) -> String {
        let direction = match cause {
            Cause::Port => {
                let speed = self.promise.port.speed.unwrap_or_default();
                let sold = Promise::sold(&cx.config).unwrap_or_default();
                return format!("the port negotiated {speed}, {sold} were promised; fault domain link");
            }
            Cause::Download => Direction::Download,
            Cause::Upload => Direction::Upload,
        };
        let words = self.promise.verdict(cx.now, &cx.config, direction).map_or(String::new(), |j| j.words);
        format!(
            "{} is short of the promise by rule {}: {words}",
            direction.as_str(),
            cx.config.promise.rule.name()
        )
    }

    fn tell(&self, cx: &Context<'_>, name: EventName, why: &str, out: &mut Outbox) {
        let Some(shortfall) = &self.promise.shortfall else { return };
        out.announce(cx, public_shortfall(cx, shortfall), News::new(name, cx.now, why));
    }

    /// What is wrong, with the share of the promise that is left, and what shows it.
    fn shown(&self, cx: &Context<'_>) -> (Vec<Issue>, Evidence) {
        let promise = &self.promise;
        let language = cx.config.device.language;
        let (mut issues, mut facts, mut samples, mut rules) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let stamp = cx.stamp(cx.now);
        let mut fact = |name: &str, subject: &str, detail: String| {
            facts.push(Fact { at: stamp.clone(), name: name.into(), subject: subject.into(), detail });
        };
        let (causes, domain) = promise
            .shortfall
            .as_ref()
            .map_or((BTreeSet::new(), Domain::Unknown), |s| (s.causes.clone(), s.domain()));
        for cause in causes {
            let code = format!("speed.{}", cause.name());
            let direction = match cause {
                Cause::Port => {
                    let speed = promise.port.speed.unwrap_or_default();
                    let sold = Promise::sold(&cx.config).unwrap_or_default();
                    let device = cx.config.line.device.as_deref().unwrap_or("wan");
                    fact("link.speed", device, format!("negotiated {speed}, {sold} were promised"));
                    rules.push("the port's negotiated rate is below the highest promised one".to_string());
                    let description = words::short_port(language, speed, sold);
                    issues.push(Issue { kind: "speed".into(), code, description });
                    continue;
                }
                Cause::Download => Direction::Download,
                Cause::Upload => Direction::Upload,
            };
            let Some(judged) = promise.verdict(cx.now, &cx.config, direction) else { continue };
            let side = promise.side(direction);
            // Those below the rate of the clause that is broken carry it; should a port hide them, the last ones do.
            let is_below = |sample: &Sample| judged.required.map_or(sample.short, |rate| sample.line < rate);
            let carried: Vec<usize> =
                judged.carried.iter().copied().filter(|&at| is_below(&side.samples[at])).collect();
            let median = side.median(&carried).unwrap_or_default();
            let agreed =
                judged.required.or_else(|| reference(rates(&cx.config, direction))).unwrap_or_default();
            let share = rule::share(median, agreed);
            let name = direction.as_str();
            let detail = format!(
                "the median of {} short results is {median}: {share} of the agreed {agreed}; required were {}",
                carried.len(),
                judged.required.or(side.bar()).unwrap_or_default()
            );
            fact("speed.share", name, detail);
            let ((busy_short, busy), (other_short, other)) = side.by_hours();
            let detail = format!(
                "18 to 24 h: {busy_short} of {busy} results short; in the other hours: {other_short} of {other}"
            );
            fact("speed.busy_hours", name, detail);
            let asked: BTreeSet<u8> = carried.iter().filter_map(|&at| side.samples[at].server()).collect();
            for at in asked {
                if let Some(url) = cx.config.speed.servers.get(usize::from(at)) {
                    fact("speed.server", url, format!("gave short {name} results"));
                }
            }
            for &at in &carried[carried.len().saturating_sub(SHOWN)..] {
                let shown = &side.samples[at];
                samples.push(sample(cx, direction, shown, agreed, is_below(shown)));
            }
            let rule = cx.config.promise.rule;
            let how = match rule {
                Rule::Sequential => format!(
                    "a test below {} adds 1.54 to a score, another one takes 1.04 from it, 5.25 is a finding; ",
                    side.bar().unwrap_or_default()
                ),
                // Their own words say it.
                Rule::Bnetza2021 | Rule::Ctu2021 | Rule::Fcc8080 | Rule::Share { .. } => String::new(),
            };
            rules.push(format!("{} ({name}): {how}{}", rule.name(), judged.words));
            let description = words::short_rate(language, direction, median, agreed, share);
            issues.push(Issue { kind: "speed".into(), code, description });
        }
        let evidence = Evidence {
            finding: Some(Finding::ShortRate),
            fault_domain: domain,
            facts,
            samples,
            rule: rules.join("; "),
            recorder: None,
        };
        (issues, evidence)
    }

    /// The area's notice holds no more: the customer is told what was found meanwhile and is so still.
    fn make_up_for_notice(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        if self.promise.shortfall.as_ref().is_some_and(|s| s.callback.is_none()) {
            self.call(cx, out);
        }
    }

    fn call(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        if cx.facts.area.waits {
            out.note(Level::Info, "no callback about the speed while the area's notice holds".into());
            return;
        }
        let (mut issues, evidence) = self.shown(cx);
        if issues.is_empty() {
            return;
        }
        let Some(shortfall) = &self.promise.shortfall else { return };
        let (opened, opened_at, incident) =
            (shortfall.opened.clone(), shortfall.opened_at, shortfall.id.clone());
        let trigger = Trigger { dimension: Dimension::Data, name: "speed".into() };
        let issue = issues.remove(0);
        let callback_id = out.callback_id(cx);
        out.signal(Signal::CallWanted(Box::new(CallWanted {
            callback_id: callback_id.clone(),
            trigger,
            severity: Severity::Routine,
            issue,
            evidence,
            opened,
            opened_at,
            incident_id: Some(incident),
            remedies: Vec::new(),
        })));
        if let Some(shortfall) = &mut self.promise.shortfall {
            shortfall.callback = Some(callback_id);
        }
    }

    /// What is wrong has changed: who is about to call should know.
    fn renew_callback(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let Some(callback_id) = self.promise.shortfall.as_ref().and_then(|s| s.callback.clone()) else {
            return;
        };
        let (issues, evidence) = self.shown(cx);
        let change = Box::new(Change::Shown { issues, evidence });
        out.signal(Signal::CallChanged { callback_id, change });
    }
}
