//! A log that was read.

use crate::simulate::World;
use linekeeper_contract::units::{LocalTime, Span, Wall};
use linekeeper_judge::config::Config;
use serde_json::Value;

/// A silence must last for so many tenths of the log's step to be one: one lost ping is a lost ping, three in a row are
/// a silence.
pub(super) const STEPS: u64 = 25;
/// Faults told of one log, at most: a wrong separator is wrong on each line.
pub(super) const FAULTS_REPORTED: usize = 20;

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Speed tests.
    Speeds,
    /// Pings.
    Pings,
    /// Up and down.
    States,
    /// Traffic.
    Usage,
    /// A trace of our own.
    Trace,
}

impl Kind {
    /// As reports name it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Speeds => "speeds",
            Kind::Pings => "pings",
            Kind::States => "states",
            Kind::Usage => "usage",
            Kind::Trace => "trace",
        }
    }
}

/// One row, its values in thousandths; `None`: empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Milliseconds since 1970 (of a trace: of the agent's clock).
    pub at: i64,
    /// kbit/s down, microseconds, 0 or 1, thousandths of a share.
    pub first: Option<u64>,
    /// kbit/s up.
    pub second: Option<u64>,
    /// Whom, for pings.
    pub target: u32,
}

/// A log, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// What it holds.
    pub kind: Kind,
    /// Rows in it.
    pub rows: usize,
    /// Its first moment.
    pub from: Wall,
    /// From its first to its last moment.
    pub lasts: Span,
    /// The middle of the times from row to row.
    pub step: Span,
    /// Its holes: when from its beginning, and how long.
    pub holes: Vec<(Span, Span)>,
    /// Lost pings, failed tests, or moments without a line.
    pub bad: usize,
    /// What there is to draw: when, and what in thousandths (kbit/s, microseconds, 0 or 1).
    pub points: Vec<(Span, Option<u64>)>,
    /// The configuration that a trace was recorded with.
    pub config: Option<Value>,
    pub(super) world: World,
}

impl Log {
    /// How much of the time between two moments the log knows.
    pub fn watched(&self, from: Span, until: Span) -> Span {
        let hidden = |(at, length): &(Span, Span)| {
            let end = (*at + *length).min(until);
            end.0.saturating_sub(from.0.max(at.0))
        };
        Span(until.0.saturating_sub(from.0).saturating_sub(self.holes.iter().map(hidden).sum()))
    }

    /// The world of this log, and what must change in a configuration to judge by it, in words.
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
