//! Whether the statement of a callback is true.

use super::state::{AFTERGLOW, Simulation};
use crate::simulate::report::Break;
use linekeeper_contract::message::Finding;
use linekeeper_contract::units::{Rate, Span};
use linekeeper_contract::vocabulary::Direction;
use linekeeper_judge::promise::enough::enough;

/// How long after its end a report of bad quality still counts as true, milliseconds. The judge evaluates windows of some
/// minutes, and quality has recovered only when equally many of them are good.
const QUALITY_GLOW: u64 = 300_000;

impl Simulation {
    /// Records when the line was last worse than agreed.
    pub(super) fn note_quality(&mut self) {
        let promise = &self.config.promise;
        if promise.latency.is_some_and(|most| self.line.usual_rtt_us(&self.world) > most.0 * 1_000) {
            self.last_slow_at = Some(self.now);
        }
        if promise.loss.is_some_and(|most| self.line.loss_share() > most.0) {
            self.last_lossy_at = Some(self.now);
        }
    }

    /// Whether the statement of a callback is true, or was true up to `glow` milliseconds ago.
    pub(super) fn is_true(&self, name: &str, glow: u64) -> bool {
        let worse = |at: Option<u64>, now: bool| now || at.is_some_and(|at| at + QUALITY_GLOW >= self.now);
        let promise = &self.config.promise;
        if name == Finding::HighLatency.as_str() {
            let now =
                promise.latency.is_some_and(|most| self.line.usual_rtt_us(&self.world) > most.0 * 1_000);
            return worse(self.last_slow_at, now);
        }
        if name == Finding::Loss.as_str() {
            return worse(
                self.last_lossy_at,
                promise.loss.is_some_and(|most| self.line.loss_share() > most.0),
            );
        }
        if name == Finding::Outage.as_str() {
            // If the line recovers at this very moment, the callback is withdrawn at the next.
            let late = |b: &Break| b.returned.is_none_or(|at| at.0 + glow >= self.now);
            self.report.breaks.last().is_some_and(|b| !b.own && late(b))
        } else if name == Finding::Flapping.as_str() {
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
        } else if name == Finding::ShortRate.as_str() {
            let slow = |direction: Direction, full: Rate| {
                let promise = &self.config.promise;
                let rates = match direction {
                    Direction::Download => &promise.download,
                    Direction::Upload => &promise.upload,
                };
                let line_rate = Rate(full.0 * u64::from(self.line.rate_share) / 1_000);
                enough(promise, rates).is_some_and(|bar| line_rate < bar)
            };
            let (down, up) = self.world.rates;
            let sold = self.config.promise.download.highest().max(self.config.promise.upload.highest());
            let port = self.line.port.is_some_and(|port| sold.is_some_and(|sold| port < sold));
            // For a recorded line the log is the truth.
            port || !self.world.recorded.is_empty()
                || slow(Direction::Download, down)
                || slow(Direction::Upload, up)
        } else {
            true
        }
    }
}
