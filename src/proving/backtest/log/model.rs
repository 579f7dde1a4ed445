//! The content of a log.

use crate::simulate::World;
use linekeeper_contract::units::{LocalTime, Span, Wall};
use linekeeper_judge::config::Config;
use serde_json::Value;

/// The shortest silence of the line, in tenths of the log's step: one lost ping is a lost ping, three in a row are a
/// silence.
pub(super) const STEPS: u64 = 25;
/// The most faults reported for one log: a wrong separator is a fault on every line.
pub(super) const FAULTS_REPORTED: usize = 20;

/// The kind of content of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Speed tests.
    Speeds,
    /// Pings.
    Pings,
    /// Up and down states.
    States,
    /// Traffic.
    Usage,
    /// A trace of linekeeper.
    Trace,
}

impl Kind {
    /// Its name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Speeds => "speeds",
            Kind::Pings => "pings",
            Kind::States => "states",
            Kind::Usage => "usage",
            Kind::Trace => "trace",
        }
    }
}

/// One row; the values are in thousandths, `None` if empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Milliseconds since 1970; for a trace, on the agent's clock.
    pub at: i64,
    /// By kind: download in kbit/s, round trip in microseconds, 0 or 1, a share in thousandths.
    pub first: Option<u64>,
    /// Upload in kbit/s.
    pub second: Option<u64>,
    /// For pings: the number of the target.
    pub target: u32,
}

/// A log that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The kind of its content.
    pub kind: Kind,
    /// Number of rows.
    pub rows: usize,
    /// Its first moment, civil time.
    pub from: Wall,
    /// From its first to its last moment.
    pub lasts: Span,
    /// The median time from row to row.
    pub step: Span,
    /// Its holes: start, from the start of the log, and length.
    pub holes: Vec<(Span, Span)>,
    /// Number of lost pings, failed tests, or rows with the line down.
    pub bad: usize,
    /// The points of the plot: time and value (kbit/s, microseconds, 0 or 1).
    pub points: Vec<(Span, Option<u64>)>,
    /// The configuration that a trace was recorded with.
    pub config: Option<Value>,
    pub(super) world: World,
}

impl Log {
    /// How much of the time between two moments the log covers.
    pub fn watched(&self, from: Span, until: Span) -> Span {
        let hidden = |(at, length): &(Span, Span)| {
            let end = (*at + *length).min(until);
            end.0.saturating_sub(from.0.max(at.0))
        };
        Span(until.0.saturating_sub(from.0).saturating_sub(self.holes.iter().map(hidden).sum()))
    }

    /// The world of this log, and a description of what had to be changed in the configuration.
    ///
    /// A log with one ping a minute cannot show a silence of two seconds: the patience is raised to what it can show.
    pub fn world(&self, config: &mut Config) -> (World, Option<String>) {
        let least = Span(self.step.0 * STEPS / 10);
        let mut words = None;
        if matches!(self.kind, Kind::Pings | Kind::Trace) && config.outage.patience < least {
            words = Some(format!(
                "the log has a ping each {}, so the patience is raised from {} to {least}",
                self.step, config.outage.patience
            ));
            config.outage.patience = least;
            config.outage.hold_down = config.outage.hold_down.max(least.times(2));
        }
        (self.world.clone(), words)
    }

    /// A moment of the log as a date and a time of day: `2026-11-20 10:32:07`.
    pub fn moment(&self, at: Span) -> String {
        let ms = self.from.0.saturating_add(at.0 as i64);
        let (y, m, d) = LocalTime { wall: Wall(ms), offset_minutes: 0 }.date();
        let s = ms.div_euclid(1_000).rem_euclid(86_400);
        format!("{y:04}-{m:02}-{d:02} {:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
    }
}
