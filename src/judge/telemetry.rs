//! What is told of the line in ordinary times: one summary an hour, routine.
//!
//! Policy, in prose:
//!
//! * A summary covers [`Telemetry::every`](crate::config::Telemetry::every) of watching. Its end is shifted by a phase
//!   hashed from the device id, so that a fleet does not report in the same second.
//! * It is routine: kept in memory, sent when nothing critical waits, dropped first. What a life of the process had
//!   not yet told when it died is not told; the next summary's `since` shows the gap.
//! * Round-trip times are kept in a histogram of [`PER_OCTAVE`] steps an octave, so a percentile is off by at most 9 %.
//! * Only the configured groups of fields are in it.

use super::concern::{Concern, Quiet, Skipped, until};
use super::context::Context;
use super::outage::line::LineState;
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::text::phase;
use crate::action::Action;
use crate::config::{Config, Group};
use crate::observation::Observation;
use crate::speed::{SpeedEnded, SpeedOutcome};
use linekeeper_contract::message::{self, TELEMETRY_SCHEMA, VerdictSummary};
use linekeeper_contract::units::{Mono, Rate, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Steps of the histogram an octave.
pub const PER_OCTAVE: u32 = 8;
/// Speed tests told in one summary: twice what a suspicion makes in an hour.
pub const TESTS: usize = 8;

/// The summary in the making.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Telemetry {
    /// Since when it covers.
    since: Mono,
    /// The latest observation.
    seen: Mono,
    /// When it is due.
    due: Option<Mono>,
    number: u64,
    up: Span,
    down: Span,
    unknown: Span,
    /// The count of disconnects when it began.
    disconnects: u64,
    answered: u32,
    lost: u32,
    least_us: u32,
    most_us: u32,
    /// Round trips by step; see [`step_of`].
    histogram: Histogram,
    rx_bytes: u64,
    tx_bytes: u64,
    rx_most: u64,
    tx_most: u64,
    tests: Vec<message::SpeedSummary>,
}

/// How many round trips there were of each step, in the order of steps: of an hour there are some ten, and each answer looks for
/// its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<u16, u32>", into = "BTreeMap<u16, u32>")]
struct Histogram(Vec<(u16, u32)>);

impl From<BTreeMap<u16, u32>> for Histogram {
    fn from(map: BTreeMap<u16, u32>) -> Histogram {
        Histogram(map.into_iter().collect())
    }
}

impl From<Histogram> for BTreeMap<u16, u32> {
    fn from(histogram: Histogram) -> BTreeMap<u16, u32> {
        histogram.0.into_iter().collect()
    }
}

impl Histogram {
    #[cold]
    fn insert(&mut self, at: usize, step: u16, times: u32) {
        self.0.insert(at, (step, times));
    }

    fn add(&mut self, step: u16, times: u32) {
        let at = self.0.partition_point(|(other, _)| *other < step);
        match self.0.get_mut(at) {
            Some((other, count)) if *other == step => *count = count.saturating_add(times),
            Some(_) | None => self.insert(at, step, times),
        }
    }
}

/// The step of the histogram that holds a round trip: octave times [`PER_OCTAVE`], and the eighth of the octave.
fn step_of(us: u32) -> u16 {
    let us = us.max(PER_OCTAVE);
    let octave = us.ilog2();
    let part = (us >> (octave - PER_OCTAVE.ilog2())) & (PER_OCTAVE - 1);
    (octave * PER_OCTAVE + part) as u16
}

/// The middle of a step, microseconds.
fn middle(step: u16) -> u32 {
    let (octave, part) = (u32::from(step) / PER_OCTAVE, u32::from(step) % PER_OCTAVE);
    let width = 1u64 << (octave - PER_OCTAVE.ilog2());
    u32::try_from(u64::from(PER_OCTAVE + part) * width + width / 2).unwrap_or(u32::MAX)
}

impl Telemetry {
    fn begin(&mut self, now: Mono, every: Span, device_id: &str, disconnects: u64) {
        let number = self.number;
        // To the next of the moments that lie a whole number of intervals after the device's own phase.
        let every_ms = every.0.max(1);
        let into = (now.0 % every_ms + every_ms - phase(device_id) % every_ms) % every_ms;
        *self = Telemetry { since: now, seen: now, number, disconnects, ..Telemetry::default() };
        self.due = Some(now + Span(every.0 - into));
    }

    /// Time passed, with the line as it was until now.
    fn pass(&mut self, now: Mono, line: LineState) {
        let span = now.since(self.seen);
        self.seen = now;
        match line {
            LineState::Up => self.up += span,
            LineState::Down => self.down += span,
            LineState::Unknown => self.unknown += span,
        }
    }

    fn saw(&mut self, saw: &Observation, servers: &[String]) {
        match saw {
            Observation::EchoAnswered { rtt_us, .. } => {
                self.least_us = if self.answered == 0 { *rtt_us } else { self.least_us.min(*rtt_us) };
                self.most_us = self.most_us.max(*rtt_us);
                self.answered += 1;
                self.histogram.add(step_of(*rtt_us), 1);
            }
            Observation::EchoLost { .. } => self.lost += 1,
            Observation::Counted(counted) if !counted.reset && counted.over.0 > 0 => {
                self.rx_bytes = self.rx_bytes.saturating_add(counted.rx_bytes);
                self.tx_bytes = self.tx_bytes.saturating_add(counted.tx_bytes);
                let bps = |bytes: u64| bytes.saturating_mul(8_000) / counted.over.0;
                self.rx_most = self.rx_most.max(bps(counted.rx_bytes));
                self.tx_most = self.tx_most.max(bps(counted.tx_bytes));
            }
            Observation::SpeedEnded(ended) => self.tested(ended, servers),
            _ => {}
        }
    }

    #[cold]
    fn tested(&mut self, ended: &SpeedEnded, servers: &[String]) {
        if self.tests.len() < TESTS {
            self.tests.push(summary(ended, servers));
        }
    }

    /// For simulators: so much time passed in which `each` of these targets answered in its usual time, and the line
    /// carried this many bit/s. What the summary tells then is what it would have told, but for the extremes.
    pub(super) fn rested(
        &mut self,
        from: Mono,
        by: Span,
        each: impl Iterator<Item = (u32, Span)>,
        traffic: Option<(u64, u64)>,
    ) {
        for (rtt_us, every) in each {
            let asked = u32::try_from(every.falls_in(from, by)).unwrap_or(u32::MAX);
            self.answered = self.answered.saturating_add(asked);
            self.histogram.add(step_of(rtt_us), asked);
        }
        let bytes = |bps: u64| bps.saturating_mul(by.0) / 8_000;
        let (rx, tx) = traffic.unwrap_or_default();
        self.rx_bytes = self.rx_bytes.saturating_add(bytes(rx));
        self.tx_bytes = self.tx_bytes.saturating_add(bytes(tx));
    }

    /// The round trip that this share (per cent) of the answers did not exceed.
    fn percentile(&self, share: u64) -> Option<u32> {
        let all: u64 = self.histogram.0.iter().map(|(_, n)| u64::from(*n)).sum();
        let rank = (all * share).div_ceil(100).max(1);
        let mut passed = 0;
        for (step, count) in &self.histogram.0 {
            passed += u64::from(*count);
            if passed >= rank {
                return Some(middle(*step).clamp(self.least_us, self.most_us));
            }
        }
        None
    }
}

fn summary(ended: &SpeedEnded, servers: &[String]) -> message::SpeedSummary {
    let (figures, failed) = match &ended.outcome {
        SpeedOutcome::Measured(figures) => (Some(figures), None),
        SpeedOutcome::Failed { reason, .. } => (None, Some(*reason)),
    };
    message::SpeedSummary {
        direction: ended.direction,
        server: servers.get(usize::from(ended.server)).cloned().unwrap_or_default(),
        line: figures.map(|f| f.line),
        limit: figures.map(|f| f.limit),
        idle_rtt_us: figures.and_then(|f| f.idle_rtt_us),
        loaded_rtt_us: figures.and_then(|f| f.loaded_rtt_us),
        failed,
        cost: ended.cost,
    }
}

/// The summaries.
#[derive(Debug, Clone, Default)]
pub struct Summaries {
    telemetry: Telemetry,
    /// One is given as soon as the verdicts of the promise are known.
    ripe: bool,
}

impl Concern for Summaries {
    fn new(_config: &Config) -> Summaries {
        Summaries::default()
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        if let Signal::VerdictsGiven(verdicts) = signal
            && std::mem::take(&mut self.ripe)
        {
            let report = report(cx, &self.telemetry, verdicts, out);
            out.push(Action::Report(Box::new(report)));
            self.telemetry.number += 1;
            self.begin(cx);
        }
    }

    fn advance(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        if cx.config.telemetry.every.is_none() {
            return;
        }
        if matches!(seen, Observation::Started(_)) || self.telemetry.due.is_none() {
            self.begin(cx);
            return;
        }
        // The line as it was until now.
        self.telemetry.pass(cx.now, cx.facts.was);
        self.telemetry.saw(seen, &cx.config.speed.servers);
        if self.telemetry.due.is_some_and(|due| cx.now >= due) {
            self.fall_due(out);
        }
    }

    fn deadline(&self, cx: &Context<'_>) -> Option<Mono> {
        self.telemetry.due.filter(|_| cx.config.telemetry.every.is_some())
    }

    fn quiet_until(&self, cx: &Context<'_>, _quiet: Quiet) -> Option<Mono> {
        until(self.deadline(cx))
    }

    fn wants_routine(_seen: &Observation) -> bool {
        true
    }

    fn catch_up(&mut self, cx: &Context<'_>, skipped: &Skipped<'_>) {
        if cx.config.telemetry.every.is_some() {
            self.telemetry.rested(
                skipped.from,
                skipped.by,
                skipped.asked.iter().copied(),
                cx.facts.line.traffic,
            );
        }
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("telemetry", &self.telemetry);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.telemetry = kept.get("telemetry")?;
        Ok(())
    }
}

impl Summaries {
    #[cold]
    fn fall_due(&mut self, out: &mut Outbox) {
        self.ripe = true;
        out.signal(Signal::VerdictsWanted);
    }

    #[cold]
    fn begin(&mut self, cx: &Context<'_>) {
        if let Some(every) = cx.config.telemetry.every {
            self.telemetry.begin(cx.now, every, &cx.config.device.id, cx.facts.line.disconnects);
        }
    }
}

fn report(cx: &Context<'_>, t: &Telemetry, verdicts: &[VerdictSummary], out: &Outbox) -> message::Telemetry {
    let has = |group: Group| cx.config.telemetry.fields.contains(&group);
    message::Telemetry {
        schema: TELEMETRY_SCHEMA.into(),
        id: format!("{}/T{}", out.message_id(cx), t.number),
        device_id: cx.config.device.id.clone(),
        since: cx.stamp(t.since),
        time: cx.stamp(cx.now),
        line: has(Group::Line).then(|| message::LineSummary {
            up_ms: t.up.0,
            down_ms: t.down.0,
            unknown_ms: t.unknown.0,
            disconnects: cx.facts.line.disconnects.saturating_sub(t.disconnects),
        }),
        echo: has(Group::Echo).then(|| message::EchoSummary {
            answered: t.answered,
            lost: t.lost,
            least_us: (t.answered > 0).then_some(t.least_us),
            median_us: t.percentile(50),
            p95_us: t.percentile(95),
            most_us: (t.answered > 0).then_some(t.most_us),
        }),
        traffic: has(Group::Traffic).then_some(message::TrafficSummary {
            rx_bytes: t.rx_bytes,
            tx_bytes: t.tx_bytes,
            rx_most: Rate(t.rx_most),
            tx_most: Rate(t.tx_most),
        }),
        speed: has(Group::Speed)
            .then(|| message::SpeedReport { tests: t.tests.clone(), verdicts: verdicts.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_holds_its_middle_and_is_narrow() {
        let mut last = 0;
        for us in (8..5_000_000u32).step_by(7) {
            let step = step_of(us);
            assert!(step >= last, "steps rise");
            last = step;
            let off = middle(step).abs_diff(us);
            assert!(u64::from(off) * 100 <= u64::from(us) * 9 + 100, "{us} is shown as {}", middle(step));
            assert_eq!(step_of(middle(step)), step);
        }
        assert_eq!(step_of(0), step_of(8));
        assert!(middle(step_of(u32::MAX)) > u32::MAX / 16 * 15);
    }

    #[test]
    fn percentiles_of_a_known_set() {
        let mut telemetry = Telemetry::default();
        for n in 1..=100u32 {
            telemetry.saw(
                &Observation::EchoAnswered {
                    probe: crate::observation::ProbeId(1),
                    target: crate::observation::TargetId(0),
                    rtt_us: n * 1_000,
                },
                &[],
            );
        }
        assert_eq!((telemetry.least_us, telemetry.most_us), (1_000, 100_000));
        let near = |share, wanted: u32| {
            let is = telemetry.percentile(share).unwrap_or_default();
            assert!(is.abs_diff(wanted) * 100 <= wanted * 9, "p{share} is {is}, not {wanted}");
        };
        near(50, 50_000);
        near(95, 95_000);
        assert_eq!(Telemetry::default().percentile(50), None);
    }
}
