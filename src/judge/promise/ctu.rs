//! Rule `ctu-2021`: Czechia's lasting and recurring deviations (general authorisation of the CTU, 2021).
//!
//! Policy, in prose:
//!
//! * The normal rate is at least 60 %, the minimum at least 30 % of the one that was advertised, whatever the contract
//!   says below that.
//! * A drop lasts from its first test below the normal rate to its last, with none at or above it between. A test
//!   speaks for [`APART`] at most: a longer silence ends the drop.
//! * A deviation is lasting when a drop lasts for more than 70 min; it is recurring when three drops of at least
//!   3.5 min each lie within 90 min.
//! * Below the minimum counts as an outage: two tests in a row, for one says more about the moment than the line.
//! * It is over when 90 min passed with tests and without any below the normal rate.

use super::rule::{Judged, MINIMUM_OF_MAXIMUM, NORMAL_OF_MAXIMUM, Reason, Sample, Verdict, part};
use crate::config::Rates;
use linekeeper_contract::units::{Mono, Rate, Span};

/// A drop longer than this is lasting.
pub const LASTING: Span = Span::minutes(70);
/// A drop of at least this counts towards a recurring deviation.
pub const DROP: Span = Span::seconds(210);
/// As many drops make a recurring deviation.
pub const DROPS: usize = 3;
/// Within so long.
pub const WITHIN: Span = Span::minutes(90);
/// For how long a test speaks. While the line is suspected there is one each 3.5 min; three of them may fail.
pub const APART: Span = Span::minutes(15);
/// For how long what was found holds until it is shown to be over.
const RECENT: Span = Span::hours(24);

/// What the line has to give most of the time.
pub fn normal(rates: &Rates) -> Option<Rate> {
    rates.normal.max(rates.maximum.map(|m| part(m, NORMAL_OF_MAXIMUM))).or(rates.minimum)
}

/// What it has to give at least.
pub fn minimum(rates: &Rates) -> Option<Rate> {
    rates.minimum.max(rates.maximum.map(|m| part(m, MINIMUM_OF_MAXIMUM)))
}

/// The drops below `normal`, each by the places of its first and its last test.
fn drops(samples: &[Sample], normal: Rate) -> Vec<(usize, usize)> {
    let mut drops: Vec<(usize, usize)> = Vec::new();
    let mut falling: Option<(usize, usize)> = None;
    for (at, sample) in samples.iter().enumerate() {
        if sample.line >= normal {
            drops.extend(falling.take());
            continue;
        }
        falling = match falling {
            Some((first, last)) if sample.at.since(samples[last].at) <= APART => Some((first, at)),
            other => {
                drops.extend(other);
                Some((at, at))
            }
        };
    }
    drops.extend(falling);
    drops
}

/// Judges the last day's tests.
pub fn judge(samples: &[Sample], rates: &Rates, now: Mono) -> Judged {
    let nothing = Judged {
        verdict: Verdict::Inconclusive(Reason::TooFew),
        carried: Vec::new(),
        required: None,
        words: "no deviation is shown yet".into(),
    };
    let Some(normal) = normal(rates) else { return nothing };
    let from = samples.iter().position(|s| now.since(s.at) <= RECENT).unwrap_or(samples.len());
    let recent = &samples[from..];
    let Some(last) = recent.last() else { return nothing };
    let clean_since = recent.iter().rfind(|s| s.line < normal).map(|s| s.at);
    let clean = match clean_since {
        None => true,
        Some(low) => last.at.since(low) > WITHIN,
    };
    if clean {
        let words = format!("no test of the last {WITHIN} is below the normal {normal}");
        let carried = (from..samples.len()).filter(|&at| clean_since.is_none_or(|low| samples[at].at > low));
        return Judged { verdict: Verdict::Kept, carried: carried.collect(), required: None, words };
    }
    let broken = |first: usize, last: usize, required: Rate, words: String| {
        let low = |at: &usize| samples[*at].line < required;
        Judged {
            verdict: Verdict::Broken,
            carried: (from + first..=from + last).filter(low).collect(),
            required: Some(required),
            words,
        }
    };
    if let Some(minimum) = minimum(rates) {
        let both = |pair: &[Sample]| pair.iter().all(|s| s.line < minimum);
        if let Some(at) = recent.windows(2).rposition(both) {
            return broken(
                at,
                at + 1,
                minimum,
                format!("two tests in a row are below the minimum {minimum}: an outage"),
            );
        }
    }
    let drops = drops(recent, normal);
    let length = |&(first, last): &(usize, usize)| recent[last].at.since(recent[first].at);
    if let Some(drop) = drops.iter().rfind(|drop| length(drop) > LASTING) {
        let words = format!("a lasting deviation: below the normal {normal} for {}", length(drop));
        return broken(drop.0, drop.1, normal, words);
    }
    let long: Vec<(usize, usize)> = drops.into_iter().filter(|drop| length(drop) >= DROP).collect();
    let near = |drops: &[(usize, usize)]| match (drops.first(), drops.last()) {
        (Some(first), Some(last)) => recent[last.1].at.since(recent[first.0].at) <= WITHIN,
        _ => false,
    };
    if let Some(three) = long.windows(DROPS).rfind(|three| near(three)) {
        let words = format!("a recurring deviation: {DROPS} drops below the normal {normal} within {WITHIN}");
        return broken(three[0].0, three[DROPS - 1].1, normal, words);
    }
    nothing
}
