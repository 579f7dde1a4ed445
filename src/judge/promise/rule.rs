//! What every rule of promise reads, and what it says.

use crate::config::Rates;
use linekeeper_contract::units::{Mono, Permille, Rate};
use serde::{Deserialize, Serialize};

/// What a line that was sold by a maximum alone has to give "normally", of that maximum: 60 % (Czech CTU, 2021). A
/// promise "up to" that may never be kept is none.
pub const NORMAL_OF_MAXIMUM: Permille = Permille(600);
/// What it has to give at least, of the maximum: 30 % (Czech CTU, 2021).
pub const MINIMUM_OF_MAXIMUM: Permille = Permille(300);
/// The hours in which everybody is at home, 18 to 24 by the line's own clock (FCC, DA 18-710).
pub const BUSY_HOURS: std::ops::Range<u8> = 18..24;

/// Is the line as fast as was sold?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Kept,
    /// It is not, and the samples show it.
    Broken,
    /// It cannot be said.
    Inconclusive(Reason),
}

/// Why it cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not enough tests yet.
    TooFew,
    /// The customer uses the line.
    CrossTraffic,
    /// This gateway's processor is at its limit.
    GatewayCpu,
    /// The test server is at its limit, away, or busy.
    Server,
    /// The test's own windows and buffers held it back.
    Window,
    /// Low results come from one test server only, and the other one has not confirmed them.
    Unconfirmed,
    /// The port negotiated less than the promise: that is a finding of its own.
    Port,
    /// The byte budget is spent.
    Budget,
    /// The rule counts days, and the date is not known.
    Clock,
    /// Something on this gateway keeps tests from being made.
    Local,
    /// What held the test back could not be told.
    Unknown,
}

impl Reason {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Reason::TooFew => "too few tests yet",
            Reason::CrossTraffic => "the customer uses the line",
            Reason::GatewayCpu => "the gateway's processor is at its limit",
            Reason::Server => "the test server is at its limit or away",
            Reason::Window => "the test's own buffers held it back",
            Reason::Unconfirmed => "low on one test server only",
            Reason::Port => "the port negotiated less than the promise",
            Reason::Budget => "the byte budget is spent",
            Reason::Clock => "the date is not known",
            Reason::Local => "no test can be made on this gateway",
            Reason::Unknown => "what held the test back could not be told",
        }
    }
}

/// What showed a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A test at this place in `Config::speed.servers`.
    Server(u8),
    /// The customer's own traffic, in the interface's counters: no test was needed.
    Counters,
}

/// A conclusive result in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Row", from = "Row")]
pub struct Sample {
    /// When it was known.
    pub at: Mono,
    /// Seconds of civil time at the line, as if it were UTC; none while the clock is not set.
    pub local: Option<i64>,
    /// The line's best sustained second, or at least that where the test ended early.
    pub line: Rate,
    /// What showed it.
    pub source: Source,
    /// Below what is to be shown ([`enough`]).
    pub short: bool,
}

/// A sample on flash: short, because many are kept and flash wears.
type Row = (u64, Option<i64>, u64, u8);

const COUNTERS: u8 = 0x40;
const SHORT: u8 = 0x80;

impl From<Sample> for Row {
    fn from(s: Sample) -> Row {
        let source = match s.source {
            Source::Server(at) => at & 0x3f,
            Source::Counters => COUNTERS,
        };
        (s.at.0, s.local, s.line.0, source | if s.short { SHORT } else { 0 })
    }
}

impl From<Row> for Sample {
    fn from((at, local, line, code): Row) -> Sample {
        let source = if code & COUNTERS != 0 { Source::Counters } else { Source::Server(code & 0x3f) };
        Sample { at: Mono(at), local, line: Rate(line), source, short: code & SHORT != 0 }
    }
}

impl Sample {
    /// The hour of the day at the line.
    pub fn hour(&self) -> Option<u8> {
        self.local.map(|s| (s.div_euclid(3_600).rem_euclid(24)) as u8)
    }

    /// The day at the line, counted from 1970-01-01.
    pub fn day(&self) -> Option<i64> {
        self.local.map(|s| s.div_euclid(86_400))
    }

    /// The server that was asked.
    pub fn server(&self) -> Option<u8> {
        match self.source {
            Source::Server(at) => Some(at),
            Source::Counters => None,
        }
    }
}

/// `share` of `rate`, rounded up: to reach 80 % is to be at or above it.
pub fn part(rate: Rate, share: Permille) -> Rate {
    Rate((u128::from(rate.0) * u128::from(share.0)).div_ceil(1_000) as u64)
}

/// The share that `rate` is of `of`, rounded down; at most 1000 ‰... of what it is a share of.
pub fn share(rate: Rate, of: Rate) -> Permille {
    Permille((u128::from(rate.0) * 1_000 / u128::from(of.0.max(1))).min(1_000) as u16)
}

/// The rate that the line has to give most of the time; where only a maximum (or only a minimum) was sold, what
/// follows from that.
pub fn normal(rates: &Rates) -> Option<Rate> {
    rates.normal.or_else(|| rates.maximum.map(|m| part(m, NORMAL_OF_MAXIMUM))).or(rates.minimum)
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Which of the samples carry it, by their place.
    pub carried: Vec<usize>,
    /// Of a broken promise: the rate that the rule's own clause asks for, and that the samples which carry it are below.
    /// `None`: the rule has no clauses; the samples are those that are [`Sample::short`] of the normal rate.
    pub required: Option<Rate>,
    /// How it came about, in English, for engineers.
    pub words: String,
}
