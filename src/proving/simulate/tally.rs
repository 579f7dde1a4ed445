//! What came of many simulated line-years, in figures for operators.
//!
//! What each figure means:
//!
//! * An *outage* is a true break of the line of at least the patience that was no remedy's doing and in which the agent
//!   ran; it is *found* when the line was declared down in it. A declaration while the line was whole is *false*.
//! * *To detect* is from the break to the declaration, *to mend* from the break to the line's return.
//! * An outage is *healed without a call* when no callback was asked for between its break and its return.
//! * A callback is *right* when what it says was so when it was asked for, else *false*; *late* when it reached the
//!   platform after that was over; *withdrawn* when nobody need call any more.
//! * *Self-inflicted* is the time without a line by nothing but a remedy's doing.
//! * *Probe bytes* are both ways as Ethernet counts them; *flash writes* are snapshots and messages.

use super::report::Report;
use linekeeper_contract::message::{CallbackState, Outcome};
use linekeeper_contract::units::{Bytes, Span};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::config::Config;
use serde::Serialize;
use std::collections::BTreeMap;

/// An echo and its reply, as Ethernet counts them.
const ECHO_BYTES: u64 = 148;
/// Outages longer than this are counted apart: the ones that must be found.
pub const LONG: Span = Span::seconds(10);

/// Sums over runs of one world.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Runs.
    pub seeds: u64,
    /// Simulated time in all.
    pub time: Span,
    /// The part of it that was passed over, being quiet.
    pub skipped: Span,
    /// Outages, and how many of them were found.
    pub outages: (u64, u64),
    /// The same of those longer than [`LONG`].
    pub long: (u64, u64),
    /// Seeds in which one of those was missed.
    pub missed_by: Vec<u64>,
    /// Breaks shorter than the patience.
    pub short: u64,
    /// Declared down while it was whole.
    pub false_outages: u64,
    /// From break to declaration, milliseconds.
    detect: Vec<u64>,
    /// From break to return, milliseconds.
    mend: Vec<u64>,
    /// Outages that ended without a call being asked for.
    pub uncalled: u64,
    /// Calls asked for, and what became of them.
    pub calls: Calls,
    /// Remedies begun.
    pub remedies: BTreeMap<Rung, u64>,
    /// Those after which the line came back.
    pub healed: u64,
    /// Time without a line by the remedies' doing.
    pub self_inflicted: Span,
    /// Speed tests and their bytes.
    pub tests: (u64, Bytes),
    /// Echoes.
    pub probes: u64,
    /// Snapshots and messages written.
    pub flash: u64,
    /// Observations that the judge was given.
    pub observations: u64,
    /// The largest snapshot.
    pub snapshot: usize,
    /// Steps after which the judge asked to be woken at once: each would be a daemon that spins.
    pub stalls: u64,
}

/// Calls asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// What they say was so.
    pub right: u64,
    /// It was not.
    #[serde(rename = "false")]
    pub wrong: u64,
    /// Of the right ones: it was over when the platform had it.
    pub late: u64,
    /// Nobody need call.
    pub withdrawn: u64,
}

impl Tally {
    /// Takes in one run of so long.
    pub fn take(&mut self, config: &Config, seed: u64, report: &Report, lasted: Span) {
        self.seeds += 1;
        self.time += lasted;
        self.skipped += report.skipped;
        let patience = config.outage.patience;
        let mut missed = false;
        for b in report.breaks.iter().filter(|b| !b.own && !b.unwatched) {
            let Some(returned) = b.returned else { continue };
            let length = Span(returned.0 - b.broke.0);
            if length < patience {
                self.short += 1;
                continue;
            }
            let found = u64::from(b.declared.is_some());
            self.outages = (self.outages.0 + 1, self.outages.1 + found);
            if length > LONG {
                self.long = (self.long.0 + 1, self.long.1 + found);
                missed |= found == 0;
            }
            self.detect.extend(b.detection().map(|d| d.0));
            self.mend.push(length.0);
            let called = report.requests.values().any(|r| r.at >= b.broke && r.at <= returned);
            self.uncalled += u64::from(!called);
        }
        if missed {
            self.missed_by.push(seed);
        }
        self.false_outages += report.false_breaks.len() as u64;
        for (id, request) in &report.requests {
            let calls = &mut self.calls;
            *(if request.right { &mut calls.right } else { &mut calls.wrong }) += 1;
            calls.late += u64::from(request.right && request.late);
            calls.withdrawn += u64::from(report.callbacks.get(id) == Some(&CallbackState::Withdrawn));
        }
        for (_, rung) in &report.remedies {
            *self.remedies.entry(*rung).or_default() += 1;
        }
        let healed = report.outcomes.iter().filter(|((_, outcome), _)| *outcome == Outcome::Healed);
        self.healed += healed.map(|(_, n)| u64::from(*n)).sum::<u64>();
        self.self_inflicted += report.self_inflicted;
        let (tests, bytes) = report.tests;
        self.tests = (self.tests.0 + tests, Bytes(self.tests.1.0.saturating_add(bytes.0)));
        self.probes += report.probes;
        self.flash += report.saves + report.published;
        self.observations += report.observations;
        self.snapshot = self.snapshot.max(report.largest_snapshot);
        self.stalls += report.stalls;
    }

    /// Adds another one's runs.
    pub fn add(&mut self, other: Tally) {
        self.seeds += other.seeds;
        self.time += other.time;
        self.skipped += other.skipped;
        let pair = |a: &mut (u64, u64), b: (u64, u64)| *a = (a.0 + b.0, a.1 + b.1);
        pair(&mut self.outages, other.outages);
        pair(&mut self.long, other.long);
        self.missed_by.extend(other.missed_by);
        self.missed_by.sort_unstable();
        self.short += other.short;
        self.false_outages += other.false_outages;
        self.detect.extend(other.detect);
        self.mend.extend(other.mend);
        self.uncalled += other.uncalled;
        self.calls.right += other.calls.right;
        self.calls.wrong += other.calls.wrong;
        self.calls.late += other.calls.late;
        self.calls.withdrawn += other.calls.withdrawn;
        for (rung, n) in other.remedies {
            *self.remedies.entry(rung).or_default() += n;
        }
        self.healed += other.healed;
        self.self_inflicted += other.self_inflicted;
        self.tests = (self.tests.0 + other.tests.0, Bytes(self.tests.1.0.saturating_add(other.tests.1.0)));
        self.probes += other.probes;
        self.flash += other.flash;
        self.observations += other.observations;
        self.snapshot = self.snapshot.max(other.snapshot);
        self.stalls += other.stalls;
    }

    /// From break to declaration.
    pub fn to_detect(&self) -> Spread {
        Spread::of(&self.detect)
    }

    /// From break to return.
    pub fn to_mend(&self) -> Spread {
        Spread::of(&self.mend)
    }

    /// Bytes of all echoes.
    pub fn probe_bytes(&self) -> Bytes {
        Bytes(self.probes.saturating_mul(ECHO_BYTES))
    }
}

/// The middle, what 95 % stay within, and the worst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Half are no longer.
    pub median_ms: Span,
    /// 95 % are no longer.
    pub p95_ms: Span,
    /// None is longer.
    pub worst_ms: Span,
}

impl Spread {
    fn of(values: &[u64]) -> Spread {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        // The nearest rank: the smallest of them that so many of a hundred do not exceed.
        let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1));
        let at = |percent: usize| Span(rank(percent).copied().unwrap_or_default());
        Spread { median_ms: at(50), p95_ms: at(95), worst_ms: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_by_the_nearest_rank() {
        let of = |n: u64| Spread::of(&(1..=n).rev().collect::<Vec<_>>());
        let ms = |s: Spread| (s.median_ms.0, s.p95_ms.0, s.worst_ms.0);
        assert_eq!(ms(of(0)), (0, 0, 0));
        assert_eq!(ms(of(1)), (1, 1, 1));
        assert_eq!(ms(of(100)), (50, 95, 100));
        assert_eq!(ms(of(20)), (10, 19, 20));
    }
}
