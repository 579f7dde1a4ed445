//! Rule `bnetza-2021`: Germany's proof (general ruling of the Bundesnetzagentur in force since 2021-12-13).
//!
//! Policy, in prose:
//!
//! * A measuring day has ten tests, at least 5 min apart, and at least 3 h between the fifth and the sixth.
//! * Three measuring days within 14 days, with at least one day between any two of them, make a campaign. The last
//!   three that fit are judged, so that each further day gives a new verdict.
//! * The promise is broken if, in one direction, any of these holds:
//!   1. 90 % of the maximum is not reached at least once on at least 2 of the 3 days;
//!   2. the normal rate is not reached in 90 % of the 30 tests;
//!   3. on at least 2 of the 3 days a test falls below the minimum.
//! * A number that was not sold breaks nothing. Without a date there are no days, and no verdict.
//!
//! The regulator's own proof is made with its own program on a wired computer; this one says what that would find.

use super::rule::{Judged, Reason, Sample, Verdict, part};
use crate::config::Rates;
use linekeeper_contract::units::{Mono, Permille, Rate, Span};

/// What has to be reached now and then, of the maximum.
pub const OF_MAXIMUM: Permille = Permille(900);
/// In how many of the tests the normal rate has to be reached.
pub const OF_TESTS: Permille = Permille(900);
/// Tests on a measuring day.
pub const TESTS: usize = 10;
/// Measuring days of a campaign.
pub const DAYS: usize = 3;
/// Within so many days, the first and the last counted.
pub const WITHIN_DAYS: i64 = 14;
/// Least time between two tests.
pub const APART: Span = Span::minutes(5);
/// Least time between the fifth test and the sixth.
pub const PAUSE: Span = Span::hours(3);
/// Tests before the pause.
pub const BEFORE_PAUSE: usize = 5;

/// The tests of one day that count, by their place: at most ten, each far enough from the one before.
pub fn counted(samples: &[Sample], day: i64) -> Vec<usize> {
    let mut taken: Vec<usize> = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        let fits = taken.last().is_none_or(|&before| {
            let apart = if taken.len() == BEFORE_PAUSE { PAUSE } else { APART };
            sample.at.since(samples[before].at) >= apart
        });
        if sample.day() == Some(day) && sample.server().is_some() && taken.len() < TESTS && fits {
            taken.push(at);
        }
    }
    taken
}

/// The last measuring days that make a campaign, the latest first.
fn campaign(samples: &[Sample]) -> Vec<(i64, Vec<usize>)> {
    let mut days: Vec<i64> = samples.iter().filter_map(Sample::day).collect();
    days.sort_unstable();
    days.dedup();
    let mut taken: Vec<(i64, Vec<usize>)> = Vec::new();
    for day in days.into_iter().rev() {
        let free = taken.last().is_none_or(|(later, _)| later - day >= 2);
        let within = taken.first().is_none_or(|(last, _)| last - day < WITHIN_DAYS);
        if taken.len() == DAYS || !within {
            break;
        }
        let tests = counted(samples, day);
        if free && tests.len() == TESTS {
            taken.push((day, tests));
        }
    }
    taken
}

/// When the next test may be at the earliest: ten on a day, none on the day after a measuring day.
///
/// `local` is civil time at the line in seconds, as if it were UTC.
pub fn earliest(samples: &[Sample], now: Mono, local: i64) -> Mono {
    let today = local.div_euclid(86_400);
    let day_after = |days: i64| now + Span(((today + days) * 86_400 - local).max(0) as u64 * 1_000);
    let full = |day: i64| counted(samples, day).len() == TESTS;
    if full(today) {
        return day_after(2);
    }
    if full(today - 1) {
        return day_after(1);
    }
    let tests = counted(samples, today);
    let Some(&last) = tests.last() else { return now };
    let apart = if tests.len() == BEFORE_PAUSE { PAUSE } else { APART };
    (samples[last].at + apart).max(now)
}

/// Judges the last campaign.
pub fn judge(samples: &[Sample], rates: &Rates) -> Judged {
    let days = campaign(samples);
    if days.len() < DAYS {
        let (verdict, words) = if samples.last().is_some_and(|s| s.local.is_none()) {
            (Verdict::Inconclusive(Reason::Clock), "the date is not known".to_string())
        } else {
            let words = format!("{} of {DAYS} measuring days are complete", days.len());
            (Verdict::Inconclusive(Reason::TooFew), words)
        };
        return Judged { verdict, carried: Vec::new(), required: None, words };
    }
    let mut places: Vec<usize> = days.iter().flat_map(|(_, tests)| tests.iter().copied()).collect();
    places.sort_unstable();
    let days_with = |holds: &dyn Fn(&Sample) -> bool| {
        days.iter().filter(|(_, tests)| tests.iter().any(|&at| holds(&samples[at]))).count()
    };
    let mut faults = Vec::new();
    let mut carried = Vec::new();
    // The lowest of the rates that were not reached says most about the line.
    let mut required: Option<Rate> = None;
    let mut below = |rate: Rate| {
        required = Some(required.map_or(rate, |lowest| lowest.min(rate)));
        carried.extend(places.iter().copied().filter(|&at| samples[at].line < rate));
    };
    if let Some(maximum) = rates.maximum {
        let bar = part(maximum, OF_MAXIMUM);
        let reached = days_with(&|s| s.line >= bar);
        if DAYS - reached >= 2 {
            faults.push(format!(
                "{OF_MAXIMUM} of the maximum, {bar}, were reached on {reached} of {DAYS} days"
            ));
            below(bar);
        }
    }
    if let Some(normal) = rates.normal {
        let reached = places.iter().filter(|&&at| samples[at].line >= normal).count();
        if reached * 1_000 < places.len() * usize::from(OF_TESTS.0) {
            faults.push(format!("the normal {normal} was reached in {reached} of {} tests", places.len()));
            below(normal);
        }
    }
    if let Some(minimum) = rates.minimum {
        let fell = days_with(&|s| s.line < minimum);
        if fell >= 2 {
            faults.push(format!("the line fell below the minimum {minimum} on {fell} of {DAYS} days"));
            below(minimum);
        }
    }
    if faults.is_empty() {
        let words = format!("{} tests on {DAYS} days reach what was sold", places.len());
        return Judged { verdict: Verdict::Kept, carried: places, required: None, words };
    }
    carried.sort_unstable();
    carried.dedup();
    Judged { verdict: Verdict::Broken, carried, required, words: faults.join("; ") }
}
