//! What the judge says and does about the promise: tests ordered, the incident, its callback, the status.
//!
//! Policy, in prose:
//!
//! * Short of the promise is an incident of its own, beside an outage's. One incident at a time: a second direction, or
//!   the port, joins it. It is over when nothing is short any more.
//! * No rung mends a short line, so the callback is asked for at once; it took hours of tests to get here. It is routine:
//!   the line works. It is withdrawn when the line is back before anyone called.
//! * The evidence is what an operator can check: each test that carries the verdict, the rule's text, the share of the
//!   promise, and the busy hours apart from the others.

use super::rule::{self, Sample, Source, Verdict};
use super::side::reference;
use super::{Cause, Promise, Scene, Turn, UP_FOR, rates};
use crate::action::{Action, Level};
use crate::config::Rule;
use crate::observation::{Memory, Observation};
use crate::outage::LineState;
use crate::{Judge, words};
use linekeeper_contract::message::{
    self, Dimension, Domain, EventName, Evidence, Fact, Finding, IncidentState, Issue, Severity, Stamp,
    Trigger,
};
use linekeeper_contract::units::{Bytes, LocalTime, Mono, Permille, Rate, Wall};
use linekeeper_contract::vocabulary::Direction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Tests shown in a callback, of each direction: the last ones that carry the verdict.
const SHOWN: usize = 12;
/// Results shown in the status: all that any rule keeps, for whoever plots them.
const LAST: usize = 48;

/// The incident about the promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// Its id.
    pub id: String,
    /// What is short.
    pub causes: BTreeSet<Cause>,
    /// When it was found.
    pub opened: Stamp,
    /// The same on our own clock.
    pub opened_at: Mono,
    /// Its callback.
    pub callback: Option<String>,
}

impl Shortfall {
    /// A port below the promise explains a short rate.
    fn domain(&self) -> Domain {
        if self.causes.contains(&Cause::Port) { Domain::Link } else { Domain::Unknown }
    }
}

/// What may be told of the promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// By which rule it is judged.
    pub rule: String,
    /// Each direction in which something was sold.
    pub directions: Vec<SideStatus>,
    /// Spent in the last 24 hours (with what is reserved), and the most that may be.
    pub day: (Bytes, Bytes),
    /// The same for 31 days.
    pub month: (Bytes, Bytes),
    /// Milliseconds until the next test is due; 0: it waits for a quiet line.
    pub next_test_ms: Option<u64>,
    /// The test in course.
    pub running: Option<Direction>,
    /// The test servers.
    pub servers: Vec<ServerStatus>,
    /// The port's negotiated rate, where it is known and below the promise.
    pub port: Option<Rate>,
    /// Whether 95 % of the evening's round trips take at most 100 ms (rule `fcc-80-80`).
    pub round_trips_kept: Option<bool>,
    /// The incident.
    pub incident: Option<message::Incident>,
}

/// One direction in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideStatus {
    /// Which.
    pub direction: Direction,
    /// The verdict.
    pub verdict: Verdict,
    /// How it came about.
    pub why: String,
    /// A test that reaches it shows all that the rule asks of one.
    pub enough: Rate,
    /// The last results, the latest last.
    pub last: Vec<ResultStatus>,
    /// Short results and all, 18 to 24 h.
    pub busy_hours: (u16, u16),
    /// Short results and all, in the other hours.
    pub other_hours: (u16, u16),
}

/// One result in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultStatus {
    /// How long ago it was.
    pub ms_ago: u64,
    /// The line's best sustained second, or at least that.
    pub line: Rate,
    /// The share of the normal rate.
    pub share: Permille,
    /// The server; none: the customer's own traffic showed it.
    pub server: Option<String>,
    /// Below what is to be shown.
    pub short: bool,
}

/// One test server in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its URL.
    pub url: String,
    /// Milliseconds until it may be asked.
    pub waits_ms: u64,
    /// It alone gives low results.
    pub faulty: bool,
    /// What it last did wrong.
    pub trouble: Option<String>,
}

impl Promise {
    /// What may be told of it now.
    fn status(
        &self,
        now: Mono,
        config: &crate::config::Config,
        incident: Option<message::Incident>,
    ) -> Status {
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

impl Judge {
    /// Civil time at the line in seconds, as if it were UTC, when it can be trusted.
    pub(crate) fn local(&self, now: Mono) -> Option<i64> {
        let offset = i64::from(self.offset()) * 60_000;
        let wall = self.state.dates.trusted(now)?;
        Some(wall.0.saturating_add(offset).div_euclid(1_000))
    }

    /// What concerns the promise in this step, after all that concerns the line itself.
    pub(crate) fn promised(&mut self, now: Mono, saw: &Observation) {
        let passing = matches!(
            saw,
            Observation::Ticked | Observation::EchoAnswered { .. } | Observation::EchoLost { .. }
        );
        // Most steps of a line in trouble: nothing is due, nothing that was seen concerns it.
        if passing
            && self.state.commands.is_idle()
            && self.state.promise.is_idle(now, &self.config)
            && !self.state.promise.is_due(now, &self.config)
        {
            return;
        }
        let mut turns = Vec::new();
        let local = self.local(now);
        let watch = &self.state.watch;
        let quiet = self.state.incident.is_none() && self.state.ladder.running.is_none();
        // Who is asked to end begins nothing and lets nothing go on.
        let quiet = quiet && !matches!(saw, Observation::Stopping);
        let scene = Scene {
            now,
            config: &self.config,
            local,
            free: quiet && watch.line == LineState::Up && now.since(watch.since) >= UP_FOR,
            calm: quiet && watch.line != LineState::Down,
        };
        let wall = self.state.dates.trusted(now);
        let (promise, commands) = (&mut self.state.promise, &mut self.state.commands);
        match saw {
            Observation::Started(started) => {
                // A wiped memory is told by an outbox that has seen messages.
                let lost = match started.memory {
                    Memory::Lost => true,
                    Memory::None => started.watermark > 0,
                    Memory::Restored => false,
                };
                promise.started(now, &self.config, lost, &mut turns);
            }
            Observation::Counted(counted) => promise.counted(&scene, counted, &mut turns),
            Observation::EchoAnswered { rtt_us, .. } => promise.answered(&scene, *rtt_us),
            Observation::LinkSeen(link) => promise.link_seen(link),
            Observation::SpeedEnded(ended) => promise.ended(&scene, ended, &mut turns),
            _ => {}
        }
        commands.tests(&scene, wall, promise, saw, &mut turns);
        promise.advance(&scene, &mut turns);
        for turn in turns {
            match turn {
                Turn::Measure { order, reserved } => {
                    self.save |= reserved;
                    let text = format!(
                        "speed test {}: {} at server {}, at most {} and {}",
                        order.test.0,
                        order.direction.name(),
                        order.server,
                        order.seconds_most,
                        order.bytes_most
                    );
                    self.note(Level::Info, text);
                    self.out.push(Action::MeasureSpeed(order));
                }
                Turn::Abort(test) => self.out.push(Action::AbortSpeed { test }),
                Turn::Note(level, text) => self.note(level, text),
                Turn::Short(cause) => self.short(now, cause),
                Turn::Back(cause) => self.back(now, cause),
            }
        }
    }

    /// Something is short of the promise.
    fn short(&mut self, now: Mono, cause: Cause) {
        let why = self.why_short(now, cause);
        if let Some(shortfall) = &mut self.state.promise.shortfall {
            shortfall.causes.insert(cause);
            self.tell_shortfall(now, EventName::IncidentUpdated, &why);
            self.renew_callback(now);
            return;
        }
        let offset = self.offset();
        let id = self.state.dates.incident_id(now, offset);
        let opened = self.stamp(now);
        self.state.promise.shortfall =
            Some(Shortfall { id, causes: BTreeSet::from([cause]), opened, opened_at: now, callback: None });
        self.tell_shortfall(now, EventName::IncidentOpened, &why);
        self.call_about_speed(now);
    }

    /// Something is at the promise again.
    fn back(&mut self, now: Mono, cause: Cause) {
        let Some(shortfall) = &mut self.state.promise.shortfall else { return };
        if !shortfall.causes.remove(&cause) {
            return;
        }
        let why = format!("{}: at the promise again", cause.name());
        if !shortfall.causes.is_empty() {
            self.tell_shortfall(now, EventName::IncidentUpdated, &why);
            self.renew_callback(now);
            return;
        }
        let Some(shortfall) = self.state.promise.shortfall.take() else { return };
        let public = self.public_shortfall(&shortfall);
        self.end_aside(now, &why, public, shortfall.callback.as_deref(), shortfall.opened_at);
    }

    fn why_short(&self, now: Mono, cause: Cause) -> String {
        let direction = match cause {
            Cause::Port => {
                let speed = self.state.promise.port.speed.unwrap_or_default();
                let sold = Promise::sold(&self.config).unwrap_or_default();
                return format!("the port negotiated {speed}, {sold} were promised; fault domain link");
            }
            Cause::Download => Direction::Download,
            Cause::Upload => Direction::Upload,
        };
        let words =
            self.state.promise.verdict(now, &self.config, direction).map_or(String::new(), |j| j.words);
        format!(
            "{} is short of the promise by rule {}: {words}",
            direction.name(),
            self.config.promise.rule.name()
        )
    }

    fn public_shortfall(&self, shortfall: &Shortfall) -> message::Incident {
        let mut opened = shortfall.opened.clone();
        self.state.dates.mend(&mut opened, self.offset());
        message::Incident {
            id: shortfall.id.clone(),
            finding: Finding::ShortRate,
            about: None,
            fault_domain: shortfall.domain(),
            state: IncidentState::Open,
            opened,
            closed: None,
            breaks: 0,
            down_ms: 0,
        }
    }

    fn tell_shortfall(&mut self, now: Mono, name: EventName, why: &str) {
        let Some(shortfall) = &self.state.promise.shortfall else { return };
        let incident = self.public_shortfall(shortfall);
        self.announce(name, now, why, incident, None);
    }

    /// What is wrong, with the share of the promise that is left, and what shows it.
    fn shown(&self, now: Mono) -> (Vec<Issue>, Evidence) {
        let promise = &self.state.promise;
        let language = self.config.device.language;
        let (mut issues, mut facts, mut samples, mut rules) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let stamp = self.stamp(now);
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
                    let sold = Promise::sold(&self.config).unwrap_or_default();
                    let device = self.config.line.device.as_deref().unwrap_or("wan");
                    fact("link.speed", device, format!("negotiated {speed}, {sold} were promised"));
                    rules.push("the port's negotiated rate is below the highest promised one".to_string());
                    let description = words::short_port(language, speed, sold);
                    issues.push(Issue { kind: "speed".into(), code, description });
                    continue;
                }
                Cause::Download => Direction::Download,
                Cause::Upload => Direction::Upload,
            };
            let Some(judged) = promise.verdict(now, &self.config, direction) else { continue };
            let side = promise.side(direction);
            // Those that are short carry it; should a port hide them, the last ones do.
            let carried: Vec<usize> =
                judged.carried.iter().copied().filter(|&at| side.samples[at].short).collect();
            let median = side.median(&carried).unwrap_or_default();
            let usual = reference(rates(&self.config, direction)).unwrap_or_default();
            let share = rule::share(median, usual);
            let name = direction.name();
            let detail = format!(
                "the middle one of {} short results is {median}: {share} of the normal {usual}; {} had to be shown",
                carried.len(),
                side.bar().unwrap_or_default()
            );
            fact("speed.share", name, detail);
            let ((busy_short, busy), (other_short, other)) = side.by_hours();
            let detail = format!(
                "18 to 24 h: {busy_short} of {busy} results short; in the other hours: {other_short} of {other}"
            );
            fact("speed.busy_hours", name, detail);
            let asked: BTreeSet<u8> = carried.iter().filter_map(|&at| side.samples[at].server()).collect();
            for at in asked {
                if let Some(url) = self.config.speed.servers.get(usize::from(at)) {
                    fact("speed.server", url, format!("gave short {name} results"));
                }
            }
            for &at in &carried[carried.len().saturating_sub(SHOWN)..] {
                samples.push(self.sample(direction, &side.samples[at], usual));
            }
            let rule = self.config.promise.rule;
            let how = match rule {
                Rule::Sequential => format!(
                    "a test below {} adds 1.54 to a score, another one takes 1.04 from it, 5.25 is a finding; ",
                    side.bar().unwrap_or_default()
                ),
                // Their own words say it.
                Rule::Bnetza2021 | Rule::Ctu2021 | Rule::Fcc8080 | Rule::Share { .. } => String::new(),
            };
            rules.push(format!("{} ({name}): {how}{}", rule.name(), judged.words));
            let description = words::short_rate(language, direction, median, usual, share);
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

    fn sample(&self, direction: Direction, sample: &Sample, usual: Rate) -> Value {
        let offset_minutes = self.offset();
        let at = sample.local.map(|local| {
            let wall = Wall((local - i64::from(offset_minutes) * 60) * 1_000);
            LocalTime { wall, offset_minutes }
        });
        let server = match sample.source {
            Source::Server(at) => self.config.speed.servers.get(usize::from(at)).cloned(),
            Source::Counters => None,
        };
        json!({
            "direction": direction,
            "at": at,
            "line_bps": sample.line,
            "share_permille": rule::share(sample.line, usual),
            "server": server,
            "short": sample.short,
        })
    }

    /// The area's notice holds no more: the customer is told what was found meanwhile and is so still.
    pub(crate) fn make_up_for_notice(&mut self, now: Mono) {
        if self.state.promise.shortfall.as_ref().is_some_and(|s| s.callback.is_none()) {
            self.call_about_speed(now);
        }
    }

    fn call_about_speed(&mut self, now: Mono) {
        if self.state.area.waits() {
            self.note(Level::Info, "no callback about the speed while the area's notice holds".into());
            return;
        }
        let (mut issues, evidence) = self.shown(now);
        if issues.is_empty() {
            return;
        }
        let Some(shortfall) = &self.state.promise.shortfall else { return };
        let (opened, opened_at, incident) =
            (shortfall.opened.clone(), shortfall.opened_at, shortfall.id.clone());
        let trigger = Trigger { dimension: Dimension::Data, name: "speed".into() };
        let issue = issues.remove(0);
        let id = self.open_callback(
            now,
            trigger,
            Severity::Routine,
            issue,
            evidence,
            opened,
            opened_at,
            Some(incident),
            Vec::new(),
        );
        if let Some(shortfall) = &mut self.state.promise.shortfall {
            shortfall.callback = Some(id);
        }
    }

    /// What is wrong has changed: who is about to call should know.
    fn renew_callback(&mut self, now: Mono) {
        let Some(id) = self.state.promise.shortfall.as_ref().and_then(|s| s.callback.clone()) else { return };
        if !self.state.callbacks.iter().any(|c| c.last.callback_id == id && c.is_live()) {
            return;
        }
        let (issues, evidence) = self.shown(now);
        self.change(now, &id, |c| {
            c.issues = issues;
            c.evidence = evidence;
        });
    }

    /// What may be told of the promise now; `None` where nothing was sold.
    pub(crate) fn promise_status(&self, now: Mono) -> Option<Status> {
        Promise::sold(&self.config)?;
        let incident = self.state.promise.shortfall.as_ref().map(|s| self.public_shortfall(s));
        Some(self.state.promise.status(now, &self.config, incident))
    }
}
