//! Unusual usage: much more, or much less, traffic than this line carries at this hour of the week.
//!
//! Policy, in prose:
//!
//! * It informs: no remedy follows, no other finding rests on it, it is told as an incident of its own that leaves the
//!   line's alone. Whether the platform is asked to call is `usage.callback`, by default not.
//! * The customer's traffic is looked at in windows of [`WINDOW`], each direction by itself. What passes while our own
//!   speed test fills the line, while a remedy runs or while the line is not up is not in them, and a window of which
//!   less than [`ENOUGH`] was seen is none: a gap in our watching is not usage.
//! * Each hour is remembered as its mean rate, in its place in the week (local time, by a clock that is trusted), for
//!   [`WEEKS`] weeks. What is usual in an hour is the median of its weeks, and how much that varies is the median of their
//!   distances from it (MAD). A public holiday or one odd week moves neither.
//! * An hour speaks once it has `usage.weeks` weeks. Three by default: a median of three withstands one odd week, one
//!   of two does not; and a month would let a leak run for a month.
//! * *Too much* is more than the median by six MADs (four standard deviations, were it Gaussian), by `usage.factor`
//!   times the median and by `usage.least`, whichever is the most; and more than that of the hours beside it: who comes an
//!   hour early, and summer time, are not unusual. It counts when it is so in each window of `usage.lasts`, and of one more
//!   on both ends, which it fills in part: fifteen minutes are shown by five windows, and known after 20 to 25 minutes.
//!   A download of ten minutes is in four windows at most.
//! * *Too little* is a sixteenth of the median, and less than it by six MADs, coming in, for [`LOW_LASTS`], in an hour
//!   that is busy, as those beside it are: its median is a quarter of the busiest hour's or more. It finds the business
//!   whose network is dead behind a line that is up. A shop that closes for a day looks the same, so it is told and
//!   nobody is ever called for it.
//! * Each of the three is told once a day at most ([`NOTICE_EVERY`]), and after [`NOTICES`] within a week not for [`MUTE`]:
//!   what is so often so is usual, and by then the greater part of the memory knows it. A new customer, a new habit, a week
//!   of holidays cost three lines each.
//!
//! Memory: a rate is one byte (eighths of an octave, so within 6 %), thus [`WEEKS`] × 2 × 168 = 2016 bytes. On flash they are
//! a file of their own of some 4 kB, which changes once a day, at the end of it (`Judge::usual`); the snapshot has the 48
//! bytes of the present day alone.

pub mod policy;
pub mod status;
#[cfg(test)]
mod tests;
pub mod usual;

pub use policy::*;
pub use status::{Kind, Status};
pub use usual::{Usual, WEEKS};

use super::concern::{Concern, NEVER, Quiet, Skipped};
use super::context::Context;
use super::inform::{self, Call};
use super::outage::line::LineState;
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::words;
use crate::config::Config;
use crate::observation::{Counted, Observation};
use linekeeper_contract::message::{Domain, Evidence, Fact, Finding, Issue};
use linekeeper_contract::units::{Mono, Span};
use serde_json::json;
use std::collections::VecDeque;

/// The customer's usage.
#[derive(Debug, Clone, Default)]
pub struct UnusualUsage {
    usage: Usage,
    /// What began and ended in this step, and is not told yet.
    turns: VecDeque<Turn>,
}

impl Concern for UnusualUsage {
    fn new(_config: &Config) -> UnusualUsage {
        UnusualUsage::default()
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        if let Signal::UsageTurned = signal
            && let Some(turn) = self.turns.pop_front()
        {
            match turn {
                Turn::Began { .. } => self.unusual(cx, turn, out),
                Turn::Ended(kind) => self.as_usual(cx, kind, "as usual again", out),
                Turn::Lost(kind) => {
                    self.as_usual(cx, kind, "not seen any more: the line could not be watched", out);
                }
            }
        }
    }

    fn advance(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::Started(_) if !cx.config.usage.enabled => {
                for kind in Kind::ALL {
                    self.as_usual(cx, kind, "usage is not looked at any more", out);
                }
            }
            Observation::Counted(counted) if cx.config.usage.enabled => self.counted(cx, counted, out),
            _ => {}
        }
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        None
    }

    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
        match quiet {
            Quiet::Watched => Some(NEVER),
            Quiet::Passed { .. } => {
                self.usage.rests(cx.now, cx.local(cx.now), cx.facts.line.traffic, &cx.config.usage)
            }
        }
    }

    fn wants_routine(seen: &Observation) -> bool {
        matches!(seen, Observation::Counted(_))
    }

    fn catch_up(&mut self, cx: &Context<'_>, skipped: &Skipped<'_>) {
        let Some((received, sent)) = cx.facts.line.traffic.filter(|_| cx.config.usage.enabled) else {
            return;
        };
        let (mut at, end) = (skipped.from, skipped.from + skipped.by);
        while at < end {
            let left = WINDOW.0 - at.0 % WINDOW.0;
            let over = Span(left.min(end.since(at).0));
            at = at + over;
            let bytes = |bps: u64| bps.saturating_mul(over.0) / 8_000;
            let passed = Some(Passed { over, received: bytes(received), sent: bytes(sent) });
            // It says nothing new: that was asked before ([`Usage::rests`]).
            let _ = self.usage.passed(at, cx.local(at), passed, &cx.config.usage);
        }
    }

    fn fill_status(&self, cx: &Context<'_>, status: &mut super::status::Status) {
        let policy = &cx.config.usage;
        status.usage = policy.enabled.then(|| Status {
            hours_known: self.usage.usual.known(policy.weeks),
            unusual: Kind::ALL
                .into_iter()
                .zip(&self.usage.courses)
                .filter_map(|(kind, course)| course.open.as_ref().map(|_| kind))
                .collect(),
        });
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("usage", &self.usage);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.usage = kept.get("usage")?;
        Ok(())
    }
}

impl UnusualUsage {
    /// What this line carries at which hour of the week, as it is to be kept apart from the snapshot. It changes once a
    /// day.
    pub fn usual(&self) -> &Usual {
        &self.usage.usual
    }

    /// What an earlier life learnt, before this one begins.
    pub fn know(&mut self, usual: Usual) {
        self.usage.usual = usual;
    }

    /// The counters moved.
    fn counted(&mut self, cx: &Context<'_>, counted: &Counted, out: &mut Outbox) {
        let line = &cx.facts.line;
        // The line was up all the while, and nothing of our own was on it.
        let up = line.state == LineState::Up && cx.now.since(line.since) >= counted.over;
        let own = cx.is_loaded() || cx.facts.remedy.is_some();
        let customers = up && !own && !counted.reset && counted.over > Span::ZERO;
        let passed = customers.then_some(Passed {
            over: counted.over,
            received: counted.rx_bytes,
            sent: counted.tx_bytes,
        });
        let turns = self.usage.passed(cx.now, cx.local(cx.now), passed, &cx.config.usage);
        turns.iter().for_each(|_| out.signal(Signal::UsageTurned));
        self.turns.extend(turns);
    }

    fn unusual(&mut self, cx: &Context<'_>, turn: Turn, out: &mut Outbox) {
        let Turn::Began { kind, rate, usual, limit, weeks, windows } = turn else { return };
        let shown = WINDOW.times(u64::from(windows));
        let (moved, beyond) = match kind {
            Kind::MuchReceived => ("came in", "above"),
            Kind::MuchSent => ("went out", "above"),
            Kind::LittleReceived => ("came in", "below"),
        };
        let detail = format!(
            "{rate} {moved} over the last {shown}; usual in this hour of the week is {usual} (median of {weeks} weeks), and \
             each window was {beyond} {limit}"
        );
        let lasts = WINDOW.times(u64::from(windows.saturating_sub(2)));
        let call = (cx.config.usage.callback && kind != Kind::LittleReceived).then(|| Call {
            trigger: "usage",
            issue: Issue {
                kind: "usage".into(),
                code: format!("usage.{}", kind.name()),
                description: words::usage(cx.config.device.language, kind, rate, usual, lasts),
            },
            evidence: Evidence {
                finding: Some(Finding::Usage),
                fault_domain: Domain::Unknown,
                facts: vec![Fact {
                    at: cx.stamp(cx.now),
                    name: format!("usage.{}", kind.name()),
                    subject: "wan".into(),
                    detail: detail.clone(),
                }],
                samples: vec![json!({
                    "kind": kind.name(),
                    "rate_bps": rate,
                    "usual_bps": usual,
                    "limit_bps": limit,
                    "weeks": weeks,
                    "shown_s": shown.whole_seconds(),
                })],
                rule: format!(
                    "beyond the limit in {windows} windows of {WINDOW} in a row; the limit lies {MADS} MADs, {} times and {} from \
                     the median, whichever is the most, and beyond those of the hours beside",
                    cx.config.usage.factor, cx.config.usage.least
                ),
                recorder: None,
            },
        });
        let told = inform::open(cx, out, Finding::Usage, Domain::Unknown, kind.name(), &detail, call);
        self.usage.told(cx.now, kind, told);
    }

    fn as_usual(&mut self, cx: &Context<'_>, kind: Kind, why: &str, out: &mut Outbox) {
        if let Some(told) = self.usage.courses[kind as usize].open.take() {
            inform::close(cx, out, told, why);
        }
    }
}
