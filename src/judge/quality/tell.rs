//! What the judge says and does about quality: the incident beside the line's, its callback, the status.

use super::{Class, Judged, Loaded, Measure, Poor, Quality, Scene, Turn, WINDOWS, Window};
use crate::action::Level;
use crate::observation::Counted;
use crate::outage::LineState;
use crate::promise::{Promise, UP_FOR, quiet_most};
use crate::{Judge, words};
use linekeeper_contract::message::{
    self, Dimension, EventName, Evidence, Fact, IncidentState, Issue, Severity, Trigger,
};
use linekeeper_contract::units::{LocalTime, Mono, Permille, Span};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What may be told of quality now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Round trips, in microseconds; absent where none was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<MeasureStatus>,
    /// Losses, in permille; absent where none was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<MeasureStatus>,
    /// Round trips under the load of the last speed tests, each way that was tested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaded: Vec<LoadedStatus>,
}

/// One measure in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureStatus {
    /// What was promised: microseconds, or permille.
    pub limit: u32,
    /// How it stands.
    pub standing: Standing,
    /// The last window: the 95th percentile (rounded up to a tenth of the limit), or the share that was lost.
    pub last: Option<u32>,
    /// How long ago it ended, milliseconds.
    pub last_ms_ago: Option<u64>,
    /// Windows that failed.
    pub failing: usize,
    /// Of so many.
    pub windows: usize,
    /// The incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<message::Incident>,
}

/// How a measure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As was promised.
    Kept,
    /// Worse: it is an incident.
    Broken,
    /// Too few windows yet.
    Unknown,
}

/// One test's round trips in [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedStatus {
    /// Which way it went.
    pub direction: linekeeper_contract::vocabulary::Direction,
    /// How long ago, milliseconds.
    pub ms_ago: u64,
    /// Before it, microseconds.
    pub idle_us: Option<u32>,
    /// Under its load, microseconds.
    pub loaded_us: u32,
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

impl Judge {
    /// The limits that were promised, as they are judged: microseconds, permille.
    fn promised_quality(&self, measure: Measure) -> Option<u64> {
        match measure {
            Measure::Latency => self.config.promise.latency.map(|span| span.0 * 1_000),
            Measure::Loss => self.config.promise.loss.map(|share| share.0.into()),
        }
    }

    /// Whether anything of it was promised.
    pub(crate) fn judges_quality(&self) -> bool {
        Measure::ALL.into_iter().any(|measure| self.promised_quality(measure).is_some())
    }

    /// Weighs what the counters show together with the echoes.
    pub(crate) fn weigh_quality(&mut self, now: Mono, counted: &Counted) {
        let (state, config) = (&self.state, &self.config);
        if !self.judges_quality() && !state.quality.is_open() {
            return;
        }
        let watch = &state.watch;
        let broken =
            state.incident.as_ref().is_some_and(|i| i.broken.is_some() && !i.finding.is_of_service());
        let settled = watch.line == LineState::Up && now.since(watch.since) >= UP_FOR;
        let told = !counted.reset && counted.over > Span::ZERO;
        let scene = Scene {
            now,
            fit: settled && !broken && !watch.loaded && state.ladder.running.is_none(),
            traffic: watch.traffic.filter(|_| told),
            quiet: Promise::sold(config).map(|_| quiet_most(config)),
            quiet_share: config.speed.quiet.share,
            targets: watch.in_rotation(),
            latency: config.promise.latency,
            loss: config.promise.loss,
            lasts: config.callback.quality,
        };
        let mut turns = Vec::new();
        self.state.quality.counted(&scene, &mut turns);
        if !turns.is_empty() {
            self.ahead = None;
        }
        for turn in turns {
            match turn {
                Turn::Found(measure) => self.poor(now, measure),
                Turn::Lasts(measure) => self.call_about_quality(now, measure),
                Turn::Over(measure) => self.good_again(now, measure),
            }
        }
    }

    /// Nothing would come of a quiet line here.
    pub(crate) fn quality_rests(&self) -> bool {
        !self.judges_quality() || self.state.quality.rests(self.state.watch.longest_us())
    }

    /// Worse than was promised.
    fn poor(&mut self, now: Mono, measure: Measure) {
        let judged = self.state.quality.of(measure);
        let Some(opened_at) = judged.failing().map(|w| w.began).min() else { return };
        let domain = judged.domain(measure);
        let why = format!("{}; fault domain {}", self.why_poor(measure), domain.name());
        let offset = self.offset();
        let id = self.state.dates.incident_id(opened_at, offset);
        let opened = self.stamp(opened_at);
        let poor = Poor { id, domain, opened, opened_at, callback: None };
        let public = self.public_poor(measure, &poor);
        self.state.quality.of_mut(measure).poor = Some(poor);
        self.announce(EventName::IncidentOpened, now, &why, public, None);
        if now.since(opened_at) >= self.config.callback.quality {
            self.call_about_quality(now, measure);
        }
    }

    /// It is over.
    fn good_again(&mut self, now: Mono, measure: Measure) {
        let Some(poor) = self.state.quality.of_mut(measure).poor.take() else { return };
        let judged = self.state.quality.of(measure);
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
        let public = self.public_poor(measure, &poor);
        self.end_aside(now, &why, public, poor.callback.as_deref(), poor.opened_at);
    }

    fn why_poor(&self, measure: Measure) -> String {
        let judged = self.state.quality.of(measure);
        format!(
            "{} is {}, {} was promised; above it in {} of the last {} windows",
            measure.what(),
            measure.words(judged.figure(measure)),
            measure.words(judged.limit),
            judged.count(Class::Failing),
            judged.windows.len()
        )
    }

    fn public_poor(&self, measure: Measure, poor: &Poor) -> message::Incident {
        let mut opened = poor.opened.clone();
        self.state.dates.mend(&mut opened, self.offset());
        message::Incident {
            id: poor.id.clone(),
            finding: measure.finding(),
            about: None,
            fault_domain: poor.domain,
            state: IncidentState::Open,
            opened,
            closed: None,
            breaks: 0,
            down_ms: 0,
        }
    }

    /// Asks for the customer to be called about it.
    fn call_about_quality(&mut self, now: Mono, measure: Measure) {
        let Some(poor) = self.state.quality.of(measure).poor.clone() else { return };
        if self.state.area.waits() {
            self.note(Level::Debug, format!("incident {}: a notice holds, no callback now", poor.id));
            return;
        }
        let judged = self.state.quality.of(measure);
        let (figure, limit) = (measure.words(judged.figure(measure)), measure.words(judged.limit));
        let finding = measure.finding();
        let issue = Issue {
            kind: "quality".into(),
            code: format!("{}.{}", finding.name(), poor.domain.name()),
            description: words::quality(self.config.device.language, measure, &figure, &limit),
        };
        let evidence = Evidence {
            finding: Some(finding),
            fault_domain: poor.domain,
            facts: self.quality_facts(now, measure),
            samples: judged.windows.iter().map(|w| self.quality_sample(measure, w)).collect(),
            rule: self.why_poor(measure),
            recorder: None,
        };
        let trigger = Trigger { dimension: Dimension::Data, name: finding.name().into() };
        let id = self.open_callback(
            now,
            trigger,
            Severity::Routine,
            issue,
            evidence,
            poor.opened,
            poor.opened_at,
            Some(poor.id),
            Vec::new(),
        );
        if let Some(poor) = &mut self.state.quality.of_mut(measure).poor {
            poor.callback = Some(id);
        }
    }

    fn quality_facts(&self, now: Mono, measure: Measure) -> Vec<Fact> {
        let quality = &self.state.quality;
        let judged = quality.of(measure);
        let mut facts = Vec::new();
        let mut fact = |at: Mono, name: &str, subject: &str, detail: String| {
            facts.push(Fact { at: self.stamp(at), name: name.into(), subject: subject.into(), detail });
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
            now,
            name,
            "line",
            format!("{}; in {of} {asked} of the failing windows", self.why_poor(measure)),
        );
        let detail = if answered == 0 { "it answers no echoes".to_string() } else { detail };
        fact(now, "gateway.quality", "gateway", detail);
        for loaded in quality.loaded_status(now) {
            let idle = loaded.idle_us.map_or(String::new(), |us| format!(", {} ms before it", us / 1_000));
            let detail = format!("{} ms under the load of our own test{idle}", loaded.loaded_us / 1_000);
            fact(now - Span(loaded.ms_ago), "latency.loaded", loaded.direction.name(), detail);
        }
        facts
    }

    fn quality_sample(&self, measure: Measure, window: &Window) -> Value {
        let offset_minutes = self.offset();
        let at = |at: Mono| {
            let wall = self.state.dates.trusted(at)?;
            Some(LocalTime { wall, offset_minutes })
        };
        let (from, to) = (at(window.began), at(window.ended));
        let value = window.value(measure, self.state.quality.of(measure).limit);
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
    pub(crate) fn quality_status(&self, now: Mono) -> Option<Status> {
        let quality = &self.state.quality;
        let measure = |measure: Measure| {
            let limit = self.promised_quality(measure)?;
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
                last_ms_ago: last.map(|w| now.since(w.ended).0),
                failing: judged.count(Class::Failing),
                windows: judged.windows.len(),
                incident: judged.poor.as_ref().map(|poor| self.public_poor(measure, poor)),
            })
        };
        let (latency, loss) = (measure(Measure::Latency), measure(Measure::Loss));
        if latency.is_none() && loss.is_none() {
            return None;
        }
        Some(Status { latency, loss, loaded: quality.loaded_status(now) })
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
