//! Judges latency and packet loss against the promise.
//!
//! Policy, in prose:
//!
//! * Only what was promised is judged: without `promise.latency` or `promise.loss` there is no such finding. What is
//!   too much differs between fibre and satellite, and the operator who sold the line knows which it is.
//! * Only echoes of the regular rotation over the far targets count. Those sent on suspicion follow a loss, and losses come
//!   in bursts: they would overstate the loss. A late reply counts as late, not as lost. An echo is lost when the sensor
//!   gave it up after five seconds.
//! * Echoes that somebody else may have disturbed do not count. An echo is put aside for [`HOLD`], and forgotten if from [`CALM`]
//!   before it was sent until then the customer used more of the line than a speed test would bear
//!   (`speed.quiet.share` of the highest promised rate, or of the most that was seen where no rate was sold), or our own
//!   test or remedy ran, the line was not up, or the counters told nothing. Without counters nothing is judged.
//! * The line is as good as its best target shows: loss or delay on the line affects all of them. Of the
//!   losses the worst target's do not count where there are two or more (many routers answer echoes when they have time),
//!   of the round trips the target with the shortest is taken: an anchor, where the operator has one.
//! * It is judged in windows. One for round trips lasts [`WINDOW`] at least, and until each target in rotation answered
//!   [`ANSWERS`] times: the 95th percentile of so many stands on the second longest of the best one's. One for losses lasts
//!   [`WINDOW`] at least, and until a line just at its limit would have lost an echo: at 1 % these are 100 echoes.
//! * A window *fails* when the percentile, or the share lost, is above the promise. It is *fine* at
//!   [`FINE_LATENCY`] of the promised round trip or below, at [`FINE_LOSS`] of the promised loss or below. Between them it is
//!   neither, so a line at its limit does not open and close findings.
//! * When [`ENOUGH`] of the last [`WINDOWS`] windows failed it is a finding, when as many were fine it is over. A line that
//!   loses half of what it may fails in 9 windows of 100, thus in eight of ten once in 5 million; a single window, or a
//!   burst of less than six minutes, never suffices.
//! * It is an incident of its own beside the line's. No remedy is tried: neither a renewal nor a restart shortens a path or
//!   repairs a cable, and both would interrupt a working line. A callback is requested if windows still fail
//!   `callback.quality` after the first of them began, unless an operator's notice is in force. It is withdrawn when the
//!   incident ends.
//! * The fault domain comes from the operator's first router in the same windows. If it is slow or loses as well: `access`.
//!   If it answers well: `upstream`. If it does not answer, or was asked too seldom: `unknown`.
//! * The behaviour of a loaded line is no finding (every line delays then), but the round-trip times under load of the last
//!   speed test are reported with it.
//!
//! Memory: [`YOUNG`] echoes of 24 bytes, twice [`WINDOWS`] windows of 40, and for each target 66 bytes of round trips and
//! 4 of losses: 3.1 kB with three targets, 4.3 kB with sixteen. Nothing is allocated for an echo.

pub mod measure;
pub mod policy;
pub mod status;

pub use measure::Measure;
pub use policy::*;
pub use status::{LoadedStatus, MeasureStatus, Standing, Status};

use super::aside;
use super::callback::change::CallWanted;
use super::concern::{Concern, NEVER, Quiet, Skipped};
use super::context::Context;
use super::outage::line::LineState;
use super::outbox::{News, Outbox};
use super::promise::policy::{Promise, UP_FOR, quiet_most};
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::words;
use crate::action::Level;
use crate::config::Config;
use crate::observation::{Counted, Observation};
use crate::speed::SpeedOutcome;
use linekeeper_contract::message::{self, Dimension, EventName, Evidence, Fact, Issue, Severity, Trigger};
use linekeeper_contract::units::{LocalTime, Mono, Permille, Span};
use policy::{Class, Judged, Loaded, Poor, Window};
use serde_json::{Value, json};

/// The line's quality.
#[derive(Debug, Clone, Default)]
pub struct LineQuality {
    quality: Quality,
}

impl Concern for LineQuality {
    fn new(_config: &Config) -> LineQuality {
        LineQuality::default()
    }

    #[inline]
    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::Started(_) => self.quality.started(cx.now),
            Observation::SpeedEnded(ended) => {
                if let SpeedOutcome::Measured(figures) = &ended.outcome {
                    self.quality.tested(cx.now, ended.direction, figures);
                }
            }
            Observation::EchoAnswered { target, rtt_us, .. } => {
                if let Some(sent) = cx.facts.line.steady.filter(|_| is_promised(&cx.config)) {
                    self.quality.saw(sent, *target, Some(*rtt_us));
                }
            }
            Observation::EchoLost { target, .. } => {
                if let Some(sent) = cx.facts.line.steady.filter(|_| is_promised(&cx.config)) {
                    self.quality.saw(sent, *target, None);
                }
            }
            Observation::Counted(counted) => self.weigh(cx, counted, out),
            _ => {}
        }
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        None
    }

    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
        let may = match quiet {
            // It takes in each echo; when something comes of one it says so.
            Quiet::Watched => true,
            Quiet::Passed { longest_us } => !is_promised(&cx.config) || self.quality.rests(longest_us),
        };
        may.then_some(NEVER)
    }

    fn wants_routine(seen: &Observation) -> bool {
        matches!(
            seen,
            Observation::EchoAnswered { .. } | Observation::EchoLost { .. } | Observation::Counted(_)
        )
    }

    fn catch_up(&mut self, _cx: &Context<'_>, skipped: &Skipped<'_>) {
        self.quality.rested(skipped.by);
    }

    fn fill_status(&self, cx: &Context<'_>, into: &mut super::status::Status) {
        into.quality = self.status(cx);
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("quality", &self.quality);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.quality = kept.get("quality")?;
        Ok(())
    }
}

/// The limits that were promised, as they are judged: microseconds, permille.
fn promised(config: &Config, measure: Measure) -> Option<u64> {
    match measure {
        Measure::Latency => config.promise.latency.map(|span| span.0 * 1_000),
        Measure::Loss => config.promise.loss.map(|share| share.0.into()),
    }
}

/// Whether anything of it was promised.
fn is_promised(config: &Config) -> bool {
    config.promise.latency.is_some() || config.promise.loss.is_some()
}

fn public_poor(cx: &Context<'_>, measure: Measure, poor: &Poor) -> message::Incident {
    aside::public(cx, &poor.id, measure.finding(), poor.domain, &poor.opened)
}

impl Window {
    /// Microseconds, or permille.
    fn value(&self, measure: Measure, limit: u64) -> u64 {
        match measure {
            Measure::Latency => u64::from(self.bad) * limit / 10,
            Measure::Loss => u64::from(self.bad) * 1_000 / u64::from(self.of.max(1)),
        }
    }
}

impl Judged {
    /// The figure that the failing windows show: the middle one of their percentiles, or their losses together.
    fn figure(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Latency => {
                let mut all: Vec<u64> = self.failing().map(|w| w.value(measure, self.limit)).collect();
                all.sort_unstable();
                all.get(all.len() / 2).copied().unwrap_or_default()
            }
            Measure::Loss => {
                let sum = |of: fn(&Window) -> u32| self.failing().map(of).fold(0, |n, m| n + u64::from(m));
                sum(|w| w.bad) * 1_000 / sum(|w| w.of).max(1)
            }
        }
    }
}

impl Measure {
    /// A figure or a limit in words: `"52 ms"`, `"1.5 %"`.
    fn words(self, value: u64) -> String {
        match self {
            Measure::Latency => Span(value / 1_000).to_string(),
            Measure::Loss => Permille(u16::try_from(value).unwrap_or(1_000)).to_string(),
        }
    }

    /// What the figure is.
    const fn what(self) -> &'static str {
        match self {
            Measure::Latency => "the 95th percentile of round trips",
            Measure::Loss => "the share of echoes lost",
        }
    }
}

impl LineQuality {
    /// Weighs what the counters show together with the echoes.
    fn weigh(&mut self, cx: &Context<'_>, counted: &Counted, out: &mut Outbox) {
        let (facts, config) = (&cx.facts, &cx.config);
        if !is_promised(config) && !self.quality.is_open() {
            return;
        }
        let line = &facts.line;
        let broken = facts.broken().is_some_and(|(i, _)| !i.finding.is_of_service());
        let settled = line.state == LineState::Up && cx.now.since(line.since) >= UP_FOR;
        let told = !counted.reset && counted.over > Span::ZERO;
        let scene = Scene {
            now: cx.now,
            fit: settled && !broken && !line.loaded && facts.remedy.is_none(),
            traffic: line.traffic.filter(|_| told),
            quiet: Promise::sold(config).map(|_| quiet_most(config)),
            quiet_share: config.speed.quiet.share,
            targets: line.in_rotation,
            latency: config.promise.latency,
            loss: config.promise.loss,
            lasts: config.callback.quality,
        };
        let mut turns = Vec::new();
        self.quality.counted(&scene, &mut turns);
        if !turns.is_empty() {
            out.disturb();
        }
        for turn in turns {
            match turn {
                Turn::Found(measure) => self.poor(cx, measure, out),
                Turn::Lasts(measure) => self.call(cx, measure, out),
                Turn::Over(measure) => self.good_again(cx, measure, out),
            }
        }
    }

    /// Worse than was promised.
    fn poor(&mut self, cx: &Context<'_>, measure: Measure, out: &mut Outbox) {
        let judged = self.quality.of(measure);
        let Some(opened_at) = judged.failing().map(|w| w.began).min() else { return };
        let domain = judged.domain(measure);
        let why = format!("{}; fault domain {}", self.why_poor(measure), domain.as_str());
        let id = out.incident_id(cx, opened_at);
        let opened = cx.stamp(opened_at);
        let poor = Poor { id, domain, opened, opened_at, callback: None };
        let public = public_poor(cx, measure, &poor);
        self.quality.of_mut(measure).poor = Some(poor);
        out.announce(cx, public, News::new(EventName::IncidentOpened, cx.now, &why));
        if cx.now.since(opened_at) >= cx.config.callback.quality {
            self.call(cx, measure, out);
        }
    }

    /// It is over.
    fn good_again(&mut self, cx: &Context<'_>, measure: Measure, out: &mut Outbox) {
        let Some(poor) = self.quality.of_mut(measure).poor.take() else { return };
        let judged = self.quality.of(measure);
        let why = match judged.windows.back() {
            Some(last) => format!(
                "{} is {} in the last window, {} of {} were fine",
                measure.what(),
                measure.words(last.value(measure, judged.limit)),
                judged.count(Class::Fine),
                judged.windows.len()
            ),
            None => "it is not promised any more, or differently".into(),
        };
        let public = public_poor(cx, measure, &poor);
        aside::close(cx, out, public, &why, poor.callback, poor.opened_at);
    }

    fn why_poor(&self, measure: Measure) -> String {
        let judged = self.quality.of(measure);
        format!(
            "{} is {}, {} was promised; above it in {} of the last {} windows",
            measure.what(),
            measure.words(judged.figure(measure)),
            measure.words(judged.limit),
            judged.count(Class::Failing),
            judged.windows.len()
        )
    }

    /// Asks for the customer to be called about it.
    fn call(&mut self, cx: &Context<'_>, measure: Measure, out: &mut Outbox) {
        let Some(poor) = self.quality.of(measure).poor.clone() else { return };
        if cx.facts.area.waits {
            out.note(Level::Debug, format!("incident {}: a notice holds, no callback now", poor.id));
            return;
        }
        let judged = self.quality.of(measure);
        let (figure, limit) = (measure.words(judged.figure(measure)), measure.words(judged.limit));
        let finding = measure.finding();
        let issue = Issue {
            kind: "quality".into(),
            code: format!("{}.{}", finding.as_str(), poor.domain.as_str()),
            description: words::quality(cx.config.device.language, measure, &figure, &limit),
        };
        let evidence = Evidence {
            finding: Some(finding),
            fault_domain: poor.domain,
            facts: self.facts(cx, measure),
            samples: judged.windows.iter().map(|w| self.sample(cx, measure, w)).collect(),
            rule: self.why_poor(measure),
            recorder: None,
        };
        let trigger = Trigger { dimension: Dimension::Data, name: finding.as_str().into() };
        let callback_id = out.callback_id(cx);
        out.signal(Signal::CallWanted(Box::new(CallWanted {
            callback_id: callback_id.clone(),
            trigger,
            severity: Severity::Routine,
            issue,
            evidence,
            opened: poor.opened,
            opened_at: poor.opened_at,
            incident_id: Some(poor.id),
            remedies: Vec::new(),
        })));
        if let Some(poor) = &mut self.quality.of_mut(measure).poor {
            poor.callback = Some(callback_id);
        }
    }

    fn facts(&self, cx: &Context<'_>, measure: Measure) -> Vec<Fact> {
        let quality = &self.quality;
        let judged = quality.of(measure);
        let mut facts = Vec::new();
        let mut fact = |at: Mono, name: &str, subject: &str, detail: String| {
            facts.push(Fact { at: cx.stamp(at), name: name.into(), subject: subject.into(), detail });
        };
        let sum = |of: fn(&Window) -> u32| judged.failing().map(of).fold(0, |n: u64, m| n + u64::from(m));
        let (answered, lost) = (sum(|w| w.gateway.answered.into()), sum(|w| w.gateway.lost.into()));
        let (name, asked, detail) = match measure {
            Measure::Latency => {
                let late = sum(|w| w.gateway.late.into());
                (
                    "latency.p95",
                    "answers",
                    format!("{late} of its {answered} answers took longer than was promised"),
                )
            }
            Measure::Loss => {
                let asked = answered + lost;
                (
                    "loss.share",
                    "echoes",
                    format!("{lost} of {asked} echoes to it were lost in the same windows"),
                )
            }
        };
        let of = sum(|w| w.of);
        fact(
            cx.now,
            name,
            "line",
            format!("{}; in {of} {asked} of the failing windows", self.why_poor(measure)),
        );
        let detail = if answered == 0 { "it answers no echoes".to_string() } else { detail };
        fact(cx.now, "gateway.quality", "gateway", detail);
        for loaded in quality.loaded_status(cx.now) {
            let idle = loaded.idle_us.map_or(String::new(), |us| format!(", {} ms before it", us / 1_000));
            let detail = format!("{} ms under the load of our own test{idle}", loaded.loaded_us / 1_000);
            fact(cx.now - Span(loaded.ms_ago), "latency.loaded", loaded.direction.as_str(), detail);
        }
        facts
    }

    fn sample(&self, cx: &Context<'_>, measure: Measure, window: &Window) -> Value {
        let offset_minutes = cx.offset();
        let at = |at: Mono| {
            let wall = cx.clock.trusted(at)?;
            Some(LocalTime { wall, offset_minutes })
        };
        let (from, to) = (at(window.began), at(window.ended));
        let value = window.value(measure, self.quality.of(measure).limit);
        let failing = window.class == Class::Failing;
        match measure {
            Measure::Latency => {
                json!({ "from": from, "to": to, "p95_us": value, "answers": window.of, "failing": failing })
            }
            Measure::Loss => {
                json!({ "from": from, "to": to, "lost": window.bad, "asked": window.of, "loss_permille": value, "failing": failing })
            }
        }
    }

    /// What may be told of it now; `None` where nothing was promised.
    fn status(&self, cx: &Context<'_>) -> Option<Status> {
        let quality = &self.quality;
        let measure = |measure: Measure| {
            let limit = promised(&cx.config, measure)?;
            let judged = quality.of(measure);
            let last = judged.windows.back();
            let value = |w: &Window| u32::try_from(w.value(measure, judged.limit)).unwrap_or(u32::MAX);
            Some(MeasureStatus {
                limit: u32::try_from(limit).unwrap_or(u32::MAX),
                standing: match (&judged.poor, judged.windows.len() < WINDOWS) {
                    (Some(_), _) => Standing::Broken,
                    (None, true) => Standing::Unknown,
                    (None, false) => Standing::Kept,
                },
                last: last.map(value),
                last_ms_ago: last.map(|w| cx.now.since(w.ended).0),
                failing: judged.count(Class::Failing),
                windows: judged.windows.len(),
                incident: judged.poor.as_ref().map(|poor| public_poor(cx, measure, poor)),
            })
        };
        let (latency, loss) = (measure(Measure::Latency), measure(Measure::Loss));
        if latency.is_none() && loss.is_none() {
            return None;
        }
        Some(Status { latency, loss, loaded: quality.loaded_status(cx.now) })
    }
}

impl Quality {
    fn is_open(&self) -> bool {
        self.latency.poor.is_some() || self.loss.poor.is_some()
    }

    fn loaded_status(&self, now: Mono) -> Vec<LoadedStatus> {
        use linekeeper_contract::vocabulary::Direction;
        let told = |(direction, loaded): (Direction, Option<Loaded>)| {
            let Loaded { at, idle_us, loaded_us } = loaded?;
            Some(LoadedStatus { direction, ms_ago: now.since(at).0, idle_us, loaded_us })
        };
        [(Direction::Download, self.loaded.0), (Direction::Upload, self.loaded.1)]
            .into_iter()
            .filter_map(told)
            .collect()
    }
}
