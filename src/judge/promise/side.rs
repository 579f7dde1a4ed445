//! One direction of the line: its results and what they amount to.

use super::rule::{self, BUSY_HOURS, Judged, Reason, Sample, Source, Verdict};
use super::sequential::Score;
use super::server::{self, Tally};
use super::{bnetza, ctu, fcc, share};
use crate::config::{Promise, Rates, Rule};
use linekeeper_contract::units::{Mono, Rate, Span};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Quarters of a day, and one more for tests of which the hour is not known.
const QUARTERS: usize = 5;
/// How long a result speaks for a line that is not suspected: two days without any, and nobody knows.
pub const FRESH: Span = Span::days(2);
/// For how long after its last test a suspicion runs on into the next quarter: three tests may fail.
const RUNS_ON: Span = Span::hours(2);
/// Results by the hour are halved when there are so many: about a month's.
const HOURS_MOST: u16 = 300;

/// One direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// What is to be shown; results by another bar are void.
    bar: Option<Rate>,
    /// The last conclusive results, the latest last.
    pub samples: Vec<Sample>,
    /// Short and good results by hour of day.
    hours: BTreeMap<u8, (u16, u16)>,
    /// Evidence that it is broken, by quarter of the day.
    scores: [Score; QUARTERS],
    /// The quarter in which a suspicion runs, and its last test.
    runs_in: Option<(u8, Mono)>,
    /// Evidence that it is kept again.
    back: Score,
    /// The quarters in which it was short since it is broken, as bits.
    quarters: u8,
    /// Shown to be broken, and not yet to be kept again.
    pub broken: bool,
    /// Results of each server since the suspicion began.
    run: Tally,
    /// Why the last attempt showed nothing.
    pub void: Option<(Mono, Reason)>,
    /// When anything conclusive was known last, or watching began.
    pub heard: Option<Mono>,
    /// The next test out of turn.
    pub soon: Option<Mono>,
}

/// What a result changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The promise is broken.
    Broke,
    /// It is kept again.
    Back,
    /// This server alone is low.
    FaultyServer(usize),
}

/// By what one direction is judged now.
#[derive(Debug, Clone, Copy)]
pub struct Law<'a> {
    /// The rule and its threshold.
    pub promise: &'a Promise,
    /// The contract numbers.
    pub rates: &'a Rates,
    /// Servers that count as there.
    pub servers: usize,
    /// Now.
    pub now: Mono,
}

/// Results kept: as many as the rule looks at, and enough to show.
fn kept(rule: Rule) -> usize {
    match rule {
        Rule::Sequential => 16,
        // Three days of ten, and what failed to make up a day between them.
        Rule::Bnetza2021 => 48,
        // A lasting deviation: 70 min, one each 3.5 min, and a recurring one: 90 min.
        Rule::Ctu2021 => 32,
        Rule::Fcc8080 => 48,
        Rule::Share { of, .. } => (of as usize).max(16),
    }
}

fn quarter(sample: &Sample) -> usize {
    sample.hour().map_or(QUARTERS - 1, |h| usize::from(h / 6))
}

/// The quarter of a moment of civil time.
pub fn quarter_of(local: Option<i64>) -> usize {
    local.map_or(QUARTERS - 1, |s| (s.div_euclid(21_600).rem_euclid(4)) as usize)
}

impl Side {
    /// Begins anew when something else was sold.
    pub fn sold(&mut self, bar: Option<Rate>) {
        if self.bar != bar {
            *self = Side { bar, ..Side::default() };
        }
    }

    /// What was found so far counts no more, but for whether it is broken: that is for new results to end.
    pub fn begin_anew(&mut self) {
        *self = Side { bar: self.bar, broken: self.broken, ..Side::default() };
    }

    /// Takes in a conclusive result.
    pub fn take(&mut self, sample: Sample, law: &Law<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.samples.len() >= kept(law.promise.rule) {
            self.samples.remove(0);
        }
        self.samples.push(sample);
        self.heard = Some(sample.at);
        self.void = None;
        self.count(&sample);
        if let Source::Server(at) = sample.source {
            let at = usize::from(at);
            if self.run.len() <= at {
                self.run.resize(at + 1, (0, 0));
            }
            let tally = &mut self.run[at];
            *(if sample.short { &mut tally.0 } else { &mut tally.1 }) += 1;
        }
        let quarter = quarter(&sample);
        // A suspicion goes on over the end of its quarter: what is short after it belongs to it. What is good does not
        // excuse what was before.
        let runs_in = if sample.short { self.runs_in(sample.at) } else { None };
        let quarter = runs_in.unwrap_or(quarter);
        self.scores[quarter].take(sample.short);
        self.runs_in = self.scores[quarter].any().then_some((quarter as u8, sample.at));
        if !self.suspected() && !self.broken {
            self.run.clear();
        }
        if let Some(faulty) = server::alone(&self.run).filter(|_| !self.broken && law.servers > 1) {
            self.strike_out(faulty, law.now);
            changes.push(Change::FaultyServer(faulty));
        }
        let verdict = self.weigh(&sample, quarter, law);
        match (self.broken, verdict) {
            (false, Verdict::Broken) => {
                self.broken = true;
                self.back = Score::default();
                self.quarters = 0;
                for sample in self.samples.iter().rev().take_while(|s| s.short) {
                    self.quarters |= 1 << self::quarter(sample);
                }
                self.quarters |= 1 << quarter;
                changes.push(Change::Broke);
            }
            (true, Verdict::Kept) => {
                self.broken = false;
                self.scores = Default::default();
                self.back = Score::default();
                self.run.clear();
                changes.push(Change::Back);
            }
            _ => {}
        }
        changes
    }

    /// The rule's word after the newest sample.
    fn weigh(&mut self, sample: &Sample, quarter: usize, law: &Law<'_>) -> Verdict {
        if law.promise.rule != Rule::Sequential {
            return self.judged(law).verdict;
        }
        if !self.broken {
            let found = self.scores.iter().any(|s| s.0 >= super::sequential::FINDING);
            let confirmed = law.servers < 2 || server::confirmed(&self.run);
            return if found && confirmed { Verdict::Broken } else { Verdict::Inconclusive(Reason::TooFew) };
        }
        if sample.short {
            self.quarters |= 1 << quarter;
        }
        let counts = self.quarters & (1 << quarter) != 0;
        if counts && self.back.take_back(sample.short) { Verdict::Kept } else { Verdict::Broken }
    }

    /// What a rule that looks at a list of tests says.
    fn judged(&self, law: &Law<'_>) -> Judged {
        let mut judged = match law.promise.rule {
            Rule::Sequential => return self.sequential(law),
            Rule::Bnetza2021 => bnetza::judge(&self.samples, law.rates),
            Rule::Ctu2021 => ctu::judge(&self.samples, law.rates, law.now),
            Rule::Fcc8080 => match fcc::sold(law.rates) {
                Some(sold) => fcc::judge(&self.samples, sold, law.now),
                None => return self.sequential(law),
            },
            Rule::Share { short, of } => share::judge(&self.samples, short, of),
        };
        if judged.verdict == Verdict::Broken && law.servers > 1 {
            // Of few results one has to be another server's, of more than three two.
            let wanted = if judged.carried.len() > 3 { 2 } else { 1 };
            let mut by_server: BTreeMap<Option<u8>, usize> = BTreeMap::new();
            for &at in &judged.carried {
                *by_server.entry(self.samples[at].server()).or_default() += 1;
            }
            if by_server.values().filter(|n| **n >= wanted).count() < 2 {
                judged.verdict = Verdict::Inconclusive(Reason::Unconfirmed);
            }
        }
        judged
    }

    fn sequential(&self, law: &Law<'_>) -> Judged {
        let score = self.scores.iter().max().copied().unwrap_or_default().0;
        let decimal = |n: u32| format!("{}.{:02}", n / 1_000, n % 1_000 / 10);
        let full = decimal(super::sequential::FINDING);
        let mut words = format!("the score is {} of {full}", decimal(score));
        if self.broken {
            words += &format!(", that for \"kept again\" {}", decimal(self.back.0));
        }
        let fresh = self.samples.last().is_some_and(|s| law.now.since(s.at) <= FRESH);
        let verdict = if self.broken {
            Verdict::Broken
        } else if score >= super::sequential::FINDING {
            Verdict::Inconclusive(Reason::Unconfirmed)
        } else if score == 0 && fresh {
            Verdict::Kept
        } else {
            Verdict::Inconclusive(Reason::TooFew)
        };
        let short = verdict != Verdict::Kept;
        let carried = (0..self.samples.len()).filter(|&at| self.samples[at].short == short).collect();
        Judged { verdict, carried, required: None, words }
    }

    /// The verdict as it stands, with what carries it.
    pub fn verdict(&self, law: &Law<'_>) -> Judged {
        let mut judged = self.judged(law);
        if self.broken {
            // What was shown holds until the contrary is.
            judged.verdict = Verdict::Broken;
        }
        if let (Verdict::Inconclusive(Reason::TooFew), Some((_, reason))) = (judged.verdict, self.void) {
            judged.verdict = Verdict::Inconclusive(reason);
            judged.words = reason.words().into();
        }
        judged
    }

    /// There is some evidence that it is broken.
    pub fn suspected(&self) -> bool {
        self.scores.iter().any(|s| s.any())
    }

    /// There is, for this quarter of the day, or still from the one before.
    pub fn suspected_now(&self, now: Mono, local: Option<i64>) -> bool {
        self.scores.get(quarter_of(local)).is_some_and(|s| s.any()) || self.runs_in(now).is_some()
    }

    /// The quarter of a suspicion that still runs.
    fn runs_in(&self, now: Mono) -> Option<usize> {
        let (quarter, last) = self.runs_in?;
        (now.since(last) <= RUNS_ON).then_some(usize::from(quarter))
    }

    /// All that lacks is another server's word.
    pub fn found(&self) -> bool {
        self.scores.iter().any(|s| s.0 >= super::sequential::FINDING)
    }

    /// There is some evidence that it is kept again.
    pub fn returning(&self) -> bool {
        self.broken && self.back.any()
    }

    fn count(&mut self, sample: &Sample) {
        let Some(hour) = sample.hour() else { return };
        let cell = self.hours.entry(hour).or_default();
        *(if sample.short { &mut cell.0 } else { &mut cell.1 }) += 1;
        if self.hours.values().map(|(short, good)| short + good).sum::<u16>() > HOURS_MOST {
            self.hours.values_mut().for_each(|cell| *cell = (cell.0 / 2, cell.1 / 2));
            self.hours.retain(|_, cell| *cell != (0, 0));
        }
    }

    /// A server's low results were its own: they never happened.
    fn strike_out(&mut self, server: usize, now: Mono) {
        let its =
            |s: &Sample| s.short && s.server() == Some(server as u8) && now.since(s.at) <= Span::days(1);
        for sample in self.samples.iter().filter(|s| its(s)) {
            if let Some(cell) = sample.hour().and_then(|h| self.hours.get_mut(&h)) {
                cell.0 = cell.0.saturating_sub(1);
            }
        }
        self.samples.retain(|s| !its(s));
        self.scores = Default::default();
        self.run.clear();
    }

    /// Short and all results in the busy hours, and in the others.
    pub fn by_hours(&self) -> ((u16, u16), (u16, u16)) {
        let sum = |busy: bool| {
            let cells = self.hours.iter().filter(|(hour, _)| BUSY_HOURS.contains(hour) == busy);
            cells.fold((0, 0), |sum, (_, cell)| (sum.0 + cell.0, sum.1 + cell.0 + cell.1))
        };
        (sum(true), sum(false))
    }

    /// The middle of the rates that carry a verdict.
    pub fn median(&self, carried: &[usize]) -> Option<Rate> {
        let mut rates: VecDeque<Rate> =
            carried.iter().filter_map(|&at| Some(self.samples.get(at)?.line)).collect();
        rates.make_contiguous().sort_unstable();
        rates.get(rates.len().checked_sub(1)? / 2).copied()
    }

    /// What is to be shown.
    pub fn bar(&self) -> Option<Rate> {
        self.bar
    }
}

/// The rate that the results of one direction are compared with when they are told to people.
pub fn reference(rates: &Rates) -> Option<Rate> {
    rule::normal(rates)
}
