//! Builds a world from the rows of a log.

use super::model::{Kind, Log, Row, STEPS};
use crate::simulate::{Fault, Recorded, Trouble, World};
use linekeeper_contract::units::{Rate, Span, Wall};

/// The shortest hole between speed tests, which normally are hours apart.
const TEST_HOLE: Span = Span::hours(3);
/// The shortest hole in a trace: five seconds without an observation, as in the judge.
const TRACE_HOLE: Span = Span::seconds(5);
/// The rate in bit/s of a share of 1, in logs without a unit.
const WHOLE: u64 = 10_000_000;

pub(super) fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Builds a log from rows that are sorted by time.
pub(super) fn build(kind: Kind, rows: &[Row]) -> Log {
    let begin = rows.first().map_or(0, |r| r.at);
    let at = |row: &Row| Span((row.at - begin).unsigned_abs());
    let lasts = rows.last().map_or(Span::ZERO, at);
    // Rows of the same moment belong to different targets and do not count as steps.
    let steps = rows.windows(2).map(|w| (w[1].at - w[0].at).unsigned_abs()).filter(|ms| *ms > 0);
    let step = Span(median(steps.collect()).unwrap_or(1_000).max(1));
    let hole = match kind {
        Kind::Speeds => Span(step.0 * STEPS / 10).max(TEST_HOLE),
        Kind::Trace => TRACE_HOLE,
        Kind::Pings | Kind::Usage => Span(step.0 * STEPS / 10),
        // A state holds until the next one.
        Kind::States => Span(u64::MAX),
    };
    // How much time on both sides of a hole still counts as watched.
    let rim = match kind {
        Kind::Speeds => Span(hole.0 / 3),
        _ => step,
    };
    let mut world = World { layers_unchecked: true, ..World::quiet() };
    let mut holes = Vec::new();
    let mut silent: Vec<(Span, Span)> = Vec::new();
    let mut troubles: Vec<(Span, Span, Trouble)> = Vec::new();
    let mut bad = 0;
    for (place, row) in rows.iter().enumerate() {
        let now = at(row);
        let before = place.checked_sub(1).and_then(|p| rows.get(p)).map_or(now, at);
        let next = rows.get(place + 1).map_or(now, at);
        let gap = Span(now.0 - before.0);
        if gap > hole {
            let begins = if kind == Kind::Speeds { before + rim } else { before };
            let ends = Span(now.0 - rim.0.min(gap.0 / 2));
            holes.push((begins, Span(ends.0.saturating_sub(begins.0))));
        }
        match kind {
            Kind::Speeds => {
                let rate = |kbit: Option<u64>| kbit.map(|n| Rate(n * 1_000));
                bad += usize::from(row.first.is_none() && row.second.is_none());
                world.recorded.push(Recorded {
                    at: now,
                    download: rate(row.first),
                    upload: rate(row.second),
                });
            }
            Kind::Pings | Kind::Trace if row.first.is_none() => {
                bad += 1;
                // If another target answered at that time, only this target is silent.
                let near = |r: &&Row| (r.at - row.at).unsigned_abs() < step.0;
                let around = rows[..place]
                    .iter()
                    .rev()
                    .take_while(near)
                    .chain(rows[place + 1..].iter().take_while(near));
                if !around.into_iter().any(|r| r.first.is_some() && r.target != row.target) {
                    silent.push((if gap > hole { Span(now.0 - rim.0.min(gap.0 / 2)) } else { before }, now));
                }
            }
            Kind::Pings | Kind::Trace => {}
            Kind::States => match row.first {
                Some(0) => {
                    bad += 1;
                    silent.push((now, next));
                }
                Some(_) => {}
                None => holes.push((now, Span(next.0 - now.0))),
            },
            Kind::Usage => {
                let rate = Rate(row.first.unwrap_or(0) * WHOLE / 1_000);
                if next.0 - now.0 <= hole.0 && rate.0 > 0 {
                    troubles.push((now, next, Trouble::Uses(rate)));
                }
            }
        }
    }
    // Adjacent silences are one.
    for (from, until) in silent {
        match troubles.last_mut() {
            Some((_, end, Trouble::Upstream)) if from <= *end => *end = until.max(*end),
            _ => troubles.push((from, until, Trouble::Upstream)),
        }
    }
    troubles.extend(holes.iter().map(|(from, length)| (*from, *from + *length, Trouble::Frozen)));
    if matches!(kind, Kind::Pings | Kind::States | Kind::Trace) {
        // The log does not contain the operator's first router.
        troubles.push((Span::ZERO, lasts, Trouble::GatewayFilters));
    }
    troubles.retain(|(from, until, _)| from < until);
    troubles.sort_by_key(|(from, _, _)| *from);
    let fault = |(from, until, trouble): (Span, Span, Trouble)| Fault {
        at: from,
        lasts: Some(Span(until.0 - from.0)),
        healed_by: Vec::new(),
        trouble,
    };
    world.faults = troubles.into_iter().map(fault).collect();
    world.clock = None;
    Log {
        kind,
        rows: rows.len(),
        from: Wall(begin),
        lasts,
        step,
        holes,
        bad,
        points: rows.iter().map(|row| (at(row), row.first)).collect(),
        config: None,
        world,
    }
}
