//! The follow-up callbacks that every new installation gets: by default 24 hours, 7 days and 30 days after it.
//!
//! Policy, in prose:
//!
//! * Due dates are compared with civil time, and only while that is trusted: at boot the date is behind by hours to years.
//!   A clock that was just set is trusted after [`TRUST_AFTER`]: the first NTP answer is often corrected by the next.
//! * Each due date fires once. The completed calls are kept with their installation, in the snapshot that is written with
//!   the message. Another installation date starts another programme.
//! * A gateway that was off when a callback was due requests it once it is on again and knows the time, however late, and
//!   states how late it is.
//! * A gateway without a past (a first start, or lost state) cannot tell which calls were made. A call that was due more
//!   than [`UNKNOWN_PAST`] before it first knew the time is dropped: calling a customer twice, or about last year's
//!   installation, is worse than not calling.
//! * The callback carries a summary of the line since the installation, so that the agent has something to talk about.

use super::callback::change::CallWanted;
use super::concern::{Concern, Quiet, until};
use super::context::Context;
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::status::{DueStatus, Status};
use super::words;
use crate::action::Level;
use crate::config::Config;
use crate::observation::{Memory, Observation, Started};
use linekeeper_contract::message::{Dimension, Domain, Evidence, Issue, Severity, Trigger};
use linekeeper_contract::units::{LocalTime, Mono, Span, Wall};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long civil time must have been trusted before due dates are checked. A minute: NTP clients step once, and
/// correct that step within seconds.
pub const TRUST_AFTER: Span = Span::minutes(1);
/// How long ago a callback may have been due if a gateway without state is to request it. A day: an installer
/// who sets the date and plugs the gateway in on the next morning loses none.
pub const UNKNOWN_PAST: Span = Span::days(1);

/// By how much the installation date may be corrected and still be the same installation. A day: people mistake the
/// hour; nobody installs two lines on one gateway within a day.
pub const SAME_INSTALLATION: Span = Span::days(1);

/// The completed calls of the programme.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Programme {
    /// The installation that `called` is about.
    installed: Option<Wall>,
    /// The due times (after the installation) that were called, or that are not to be.
    called: Vec<Span>,
    /// Since when civil time has been trusted without a break in this life.
    trusted: Option<Mono>,
    /// It is not known what an earlier life called.
    forgetful: bool,
    /// And there was one: its memory is damaged, or the outbox has had messages.
    lived: bool,
    /// What the platform ordered beside it.
    rechecks: Vec<Recheck>,
}

/// Re-checks that may be ordered at a time. Eight: who has that many complaints needs a visit.
pub const RECHECKS: usize = 8;

/// A callback that the platform ordered for later: a complaint was handled, and somebody is to ask whether it is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recheck {
    /// The command that ordered it.
    command: String,
    /// When it was ordered, by our own clock.
    ordered: Mono,
    /// How long after that it is due.
    delay: Span,
    /// The civil time at which it is due, once that is known.
    due: Option<Wall>,
}

/// As messages write a due time: `24h`, `7d`, `90min`. Whole units only; one day is 24 hours, as people say it.
pub fn name(after: Span) -> String {
    let (day, hour, minute) = (Span::days(1).0, Span::hours(1).0, Span::minutes(1).0);
    match after.0 {
        ms if ms % day == 0 && ms > day => format!("{}d", ms / day),
        ms if ms % hour == 0 => format!("{}h", ms / hour),
        ms if ms % minute == 0 => format!("{}min", ms / minute),
        ms => format!("{}s", ms / 1_000),
    }
}

fn due(installed: Wall, after: Span) -> Wall {
    Wall(installed.0.saturating_add(i64::try_from(after.0).unwrap_or(i64::MAX)))
}

impl Programme {
    /// Whether there is anything to call for, now or later.
    fn is_wanted(&self, config: &Config) -> bool {
        config.device.installed.is_some() || !self.rechecks.is_empty()
    }

    /// A new life: trust in the clock begins anew.
    pub fn started(&mut self, started: &Started) {
        self.trusted = None;
        self.forgetful |= started.memory != Memory::Restored;
        self.lived |=
            started.memory == Memory::Lost || started.memory != Memory::Restored && started.watermark > 0;
    }

    /// Civil time was told.
    pub fn clock_set(&mut self, now: Mono, synced: bool) {
        self.trusted = if synced { self.trusted.or(Some(now)) } else { None };
    }

    /// The due times whose moment has come, at civil time `wall`, and those that are passed over because it is not known
    /// whether they were called.
    fn ripe(&mut self, now: Mono, wall: Wall, config: &Config) -> (Vec<Span>, Vec<Span>) {
        let none = (Vec::new(), Vec::new());
        let Some(installed) = config.device.installed.map(|t| t.wall) else { return none };
        if self.trusted.is_none_or(|since| now.since(since) < TRUST_AFTER) {
            return none;
        }
        if self.installed != Some(installed) {
            let same = self.installed.is_some_and(|was| was.0.abs_diff(installed.0) < SAME_INSTALLATION.0);
            if !same {
                self.called.clear();
                self.forgetful = true;
            }
            self.installed = Some(installed);
        }
        let open = config.programme.after.iter().copied();
        let open: Vec<Span> =
            open.filter(|after| !self.called.contains(after) && due(installed, *after) <= wall).collect();
        let unknown = Wall(wall.0.saturating_sub(UNKNOWN_PAST.0 as i64));
        let forgetful = std::mem::take(&mut self.forgetful);
        // Who lived and forgot may have called already: a customer who is called twice is worse served than one who is not.
        let lived = std::mem::take(&mut self.lived);
        let (over, ripe): (Vec<Span>, Vec<Span>) =
            open.iter().partition(|after| forgetful && (lived || due(installed, **after) < unknown));
        self.called.extend(open);
        (ripe, over)
    }

    /// Orders a callback in `delay`. Gives back when that is, where civil time (`wall`) is trusted.
    ///
    /// # Errors
    /// When there are [`RECHECKS`] already.
    pub(super) fn recheck(
        &mut self,
        now: Mono,
        wall: Option<Wall>,
        command: &str,
        delay: Span,
    ) -> Result<Option<Wall>, &'static str> {
        if self.rechecks.len() >= RECHECKS {
            return Err("eight re-checks are ordered already");
        }
        let due = wall.map(|wall| due(wall, delay));
        self.rechecks.push(Recheck { command: command.to_string(), ordered: now, delay, due });
        Ok(due)
    }

    /// Takes out what the platform ordered for now or earlier.
    ///
    /// Our own clock stands still while the gateway is off, so by it nothing is early; civil time, where it is trusted
    /// for [`TRUST_AFTER`], says what came due meanwhile.
    pub(super) fn rechecks_due(&mut self, now: Mono, wall: Option<Wall>) -> Vec<Recheck> {
        let trusted = self.trusted.is_some_and(|since| now.since(since) >= TRUST_AFTER);
        let wall = wall.filter(|_| trusted);
        for ordered in self.rechecks.iter_mut().filter(|r| r.due.is_none()) {
            let ago = i64::try_from(now.since(ordered.ordered).0).unwrap_or(i64::MAX);
            ordered.due = wall.map(|wall| due(Wall(wall.0.saturating_sub(ago)), ordered.delay));
        }
        let ripe = |r: &mut Recheck| {
            now >= r.ordered + r.delay || wall.zip(r.due).is_some_and(|(wall, due)| wall >= due)
        };
        self.rechecks.extract_if(.., ripe).collect()
    }

    /// When the next due date may have come, `wall_at` telling our own clock's moment of a civil time.
    pub fn wake(&self, config: &Config, wall_at: impl Fn(Wall) -> Option<Mono>) -> Option<Mono> {
        let ordered = self.rechecks.iter().map(|r| {
            let trusted = self.trusted.map(|since| since + TRUST_AFTER);
            let by_date = r.due.and_then(&wall_at).zip(trusted).map(|(at, trusted)| at.max(trusted));
            by_date.into_iter().chain([r.ordered + r.delay]).min().unwrap_or(r.ordered)
        });
        self.next(config, &wall_at).into_iter().chain(ordered).min()
    }

    /// When it will have looked at everything that time alone does not bring: with re-checks ordered never, with a clock
    /// that was just set when it is trusted.
    pub(super) fn settles(&self, now: Mono, config: &Config) -> Option<Mono> {
        if !self.rechecks.is_empty() {
            return Some(now);
        }
        let trusted = self.trusted? + TRUST_AFTER;
        config.device.installed.map(|_| trusted).filter(|at| *at > now)
    }

    fn next(&self, config: &Config, wall_at: impl Fn(Wall) -> Option<Mono>) -> Option<Mono> {
        let installed = config.device.installed?.wall;
        let trusted = self.trusted? + TRUST_AFTER;
        let known = self.installed == Some(installed);
        let next = config.programme.after.iter().filter(|a| !known || !self.called.contains(a)).min()?;
        Some(wall_at(due(installed, *next))?.max(trusted))
    }

    /// The due dates and whether they are done.
    pub fn status(&self, config: &Config) -> Vec<DueStatus> {
        let Some(installed) = config.device.installed else { return Vec::new() };
        let known = self.installed == Some(installed.wall);
        let offset_minutes = installed.offset_minutes;
        config
            .programme
            .after
            .iter()
            .map(|after| DueStatus {
                name: name(*after),
                due: LocalTime { wall: due(installed.wall, *after), offset_minutes },
                done: known && self.called.contains(after),
            })
            .collect()
    }
}

/// A callback that is due now.
#[derive(Debug, Clone)]
enum Call {
    /// Of the programme, so long after the installation.
    Due(Wall, Span),
    /// Ordered by the platform.
    Ordered(Recheck),
}

/// The programme's concern.
#[derive(Debug, Clone, Default)]
pub struct FollowUps {
    programme: Programme,
    /// What is called for as soon as the status is known.
    calls: Vec<Call>,
}

impl Concern for FollowUps {
    fn new(_config: &Config) -> FollowUps {
        FollowUps::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, _out: &mut Outbox) {
        match seen {
            Observation::Started(started) => self.programme.started(started),
            Observation::ClockSet { synced, .. } => self.programme.clock_set(cx.now, *synced),
            _ => {}
        }
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        match signal {
            Signal::RecheckOrdered { command_id, delay } => {
                let due = self.programme.recheck(cx.now, cx.wall(), command_id, *delay);
                out.signal(Signal::RecheckAnswered { command_id: command_id.clone(), due });
            }
            Signal::StatusGiven(status) => {
                for call in std::mem::take(&mut self.calls) {
                    match call {
                        Call::Due(wall, after) => call_as_due(cx, status, wall, after, out),
                        Call::Ordered(ordered) => call_to_recheck(cx, status, &ordered, out),
                    }
                }
            }
            _ => {}
        }
    }

    #[inline]
    fn advance(&mut self, cx: &Context<'_>, _seen: &Observation, out: &mut Outbox) {
        if self.programme.is_wanted(&cx.config) {
            self.call(cx, out);
        }
    }

    fn deadline(&self, cx: &Context<'_>) -> Option<Mono> {
        if !self.programme.is_wanted(&cx.config) {
            return None;
        }
        self.programme.wake(&cx.config, |wall| cx.clock.at(wall))
    }

    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
        let settles = match quiet {
            Quiet::Watched => self.programme.settles(cx.now, &cx.config),
            Quiet::Passed { .. } => None,
        };
        until(self.deadline(cx).into_iter().chain(settles).min())
    }

    fn fill_status(&self, cx: &Context<'_>, status: &mut Status) {
        status.programme = self.programme.status(&cx.config);
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("programme", &self.programme);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.programme = kept.get("programme")?;
        Ok(())
    }
}

impl FollowUps {
    /// Asks for what is due.
    fn call(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let wall = cx.wall();
        if let Some(wall) = wall {
            let (ripe, over) = self.programme.ripe(cx.now, wall, &cx.config);
            for after in over {
                out.save();
                let text = format!(
                    "the callback due {after} after the installation is passed over: it was due over {UNKNOWN_PAST} ago, and \
                     whether it was called is not known here"
                );
                out.note(Level::Warn, text);
            }
            self.calls.extend(ripe.into_iter().map(|after| Call::Due(wall, after)));
        }
        for ordered in self.programme.rechecks_due(cx.now, wall) {
            out.save();
            self.calls.push(Call::Ordered(ordered));
        }
        if !self.calls.is_empty() {
            out.signal(Signal::StatusWanted);
        }
    }
}

/// Asks for the callback that the platform ordered.
fn call_to_recheck(cx: &Context<'_>, status: &Status, ordered: &Recheck, out: &mut Outbox) {
    let broken = cx.facts.broken().is_some();
    let issue = Issue {
        kind: "follow_up".into(),
        code: "programme.recheck".into(),
        description: words::recheck(cx.config.device.language, broken),
    };
    let about = json!({ "command_id": ordered.command, "after_s": ordered.delay.whole_seconds() });
    let rule = format!("the platform ordered a re-check in {}", ordered.delay);
    let trigger = Trigger { dimension: Dimension::Event, name: "recheck".into() };
    call(cx, trigger, issue, summary(status, about), rule, out);
}

fn call_as_due(cx: &Context<'_>, status: &Status, wall: Wall, after: Span, out: &mut Outbox) {
    let Some(installed) = cx.config.device.installed else { return };
    let name = name(after);
    let due = due(installed.wall, after);
    let late_s = wall.0.saturating_sub(due.0) / 1_000;
    let about = json!({
        "installed": installed,
        "due": LocalTime { wall: due, offset_minutes: installed.offset_minutes },
        "after_s": after.whole_seconds(),
        "late_s": late_s,
    });
    let broken = cx.facts.broken().is_some();
    let issue = Issue {
        kind: "follow_up".into(),
        code: format!("programme.{name}"),
        description: words::follow_up(cx.config.device.language, &name, broken),
    };
    let trigger = Trigger { dimension: Dimension::Time, name };
    call(cx, trigger, issue, summary(status, about), format!("due {after} after the installation"), out);
}

fn call(cx: &Context<'_>, trigger: Trigger, issue: Issue, summary: Value, rule: String, out: &mut Outbox) {
    let incident = cx.facts.broken().map(|(incident, _)| incident);
    let evidence = Evidence {
        finding: incident.map(|i| i.finding),
        fault_domain: incident.map_or(Domain::Unknown, |i| i.domain),
        facts: Vec::new(),
        samples: vec![summary],
        rule,
        recorder: None,
    };
    let callback_id = out.callback_id(cx);
    out.signal(Signal::CallWanted(Box::new(CallWanted {
        callback_id,
        trigger,
        severity: Severity::Routine,
        issue,
        evidence,
        opened: cx.stamp(cx.now),
        opened_at: cx.now,
        incident_id: None,
        remedies: Vec::new(),
    })));
}

/// What the agent may tell of the line, added to what the call is `about`.
fn summary(status: &Status, mut about: Value) -> Value {
    let speed = status.promise.as_ref().map(|p| {
        let directions = p.directions.iter().map(|d| {
            json!({
                "direction": d.direction.as_str(),
                "verdict": d.verdict,
                "why": d.why,
                "busy_hours": { "short": d.busy_hours.0, "of": d.busy_hours.1 },
                "other_hours": { "short": d.other_hours.0, "of": d.other_hours.1 },
            })
        });
        json!({ "rule": p.rule, "directions": directions.collect::<Vec<_>>() })
    });
    about["line"] = json!(status.line);
    about["availability"] = json!(status.availability.as_ref().map(|a| &a.total));
    about["disconnects"] = json!(status.disconnects);
    about["remedies"] = json!(status.rungs);
    about["incidents"] = json!(status.recent);
    about["speed"] = json!(speed);
    about
}
