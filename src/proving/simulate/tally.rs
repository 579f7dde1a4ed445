//! Sums up the results of many simulated line-years, as figures for operators.
//!
//! What each figure means:
//!
//! * An *outage* is a true break of the line that lasts at least the patience, was not caused by a remedy, and during which
//!   the agent ran. It is *found* if the line was declared down during it. A declaration while the line is intact is *false*.
//! * *To detect* is from the break to the declaration, *to mend* from the break to the line's return.
//! * An outage is *healed without a call* if no callback was requested between its break and its return.
//! * A callback is *right* if its statement was true when it was requested, else *false*. It is *late* if the problem was over
//!   when it reached the platform, and *withdrawn* if no call is needed any more.
//! * *Self-inflicted* is the downtime caused by remedies alone.
//! * *Probe bytes* count both directions at the Ethernet layer; *flash writes* are snapshots and messages.

use super::report::Report;
use linekeeper_contract::message::{CallbackState, Outcome};
use linekeeper_contract::units::{Bytes, Span};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::config::Config;
use serde::Serialize;
use std::collections::BTreeMap;

/// Bytes of an echo request and its reply at the Ethernet layer.
const ECHO_BYTES: u64 = 148;
/// Outages longer than this are counted separately: they must be found.
pub const LONG: Span = Span::seconds(10);

/// Sums over the runs of one world.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Number of runs.
    pub seeds: u64,
    /// Total simulated time.
    pub time: Span,
    /// The part of it that was quiet and skipped.
    pub skipped: Span,
    /// Outages, and how many of them were found.
    pub outages: (u64, u64),
    /// The same for outages longer than [`LONG`].
    pub long: (u64, u64),
    /// Seeds in which such an outage was missed.
    pub missed_by: Vec<u64>,
    /// Breaks shorter than the patience.
    pub short: u64,
    /// Declarations of an outage while the line was intact.
    pub false_outages: u64,
    /// From break to declaration, milliseconds.
    detect: Vec<u64>,
    /// From break to return, milliseconds.
    mend: Vec<u64>,
    /// Outages that ended before a call was requested.
    pub uncalled: u64,
    /// Requested calls, and whether they were right.
    pub calls: Calls,
    /// Started remedies.
    pub remedies: BTreeMap<Rung, u64>,
    /// Remedies after which the line returned.
    pub healed: u64,
    /// Downtime caused by remedies.
    pub self_inflicted: Span,
    /// Speed tests and their bytes.
    pub tests: (u64, Bytes),
    /// Echo requests.
    pub probes: u64,
    /// Snapshots and messages written to flash.
    pub flash: u64,
    /// Observations that the judge received.
    pub observations: u64,
    /// The largest snapshot, bytes.
    pub snapshot: usize,
    /// Steps after which the judge asked to be woken at once. Each of them would make the daemon spin.
    pub stalls: u64,
}

/// Requested calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// Their statement was true.
    pub right: u64,
    /// Their statement was false.
    #[serde(rename = "false")]
    pub wrong: u64,
    /// Of the right ones: the problem was over when the request arrived.
    pub late: u64,
    /// Withdrawn by the gateway.
    pub withdrawn: u64,
}

impl Tally {
    /// Adds one run of the given duration.
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

    /// Adds the runs of another tally.
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

    /// Bytes of all echo requests and replies.
    pub fn probe_bytes(&self) -> Bytes {
        Bytes(self.probes.saturating_mul(ECHO_BYTES))
    }
}

/// Median, 95th percentile and maximum of durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The median.
    pub median_ms: Span,
    /// The 95th percentile.
    pub p95_ms: Span,
    /// The maximum.
    pub worst_ms: Span,
}

impl Spread {
    fn of(values: &[u64]) -> Spread {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        // Nearest rank: the smallest value that at least this percentage of the values do not exceed.
        let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1));
        let at = |percent: usize| Span(rank(percent).copied().unwrap_or_default());
        Spread { median_ms: at(50), p95_ms: at(95), worst_ms: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_use_the_nearest_rank() {
        let of = |n: u64| Spread::of(&(1..=n).rev().collect::<Vec<_>>());
        let ms = |s: Spread| (s.median_ms.0, s.p95_ms.0, s.worst_ms.0);
        assert_eq!(ms(of(0)), (0, 0, 0));
        assert_eq!(ms(of(1)), (1, 1, 1));
        assert_eq!(ms(of(100)), (50, 95, 100));
        assert_eq!(ms(of(20)), (10, 19, 20));
    }
}
