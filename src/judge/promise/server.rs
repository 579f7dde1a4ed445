//! Test servers: which one is asked, and when not.
//!
//! Policy, in prose:
//!
//! * In quiet times the first one of the list is asked that may be. While the line is suspected, and always under a
//!   rule that counts tests, the one that was not asked for longest: so a low result is confirmed, or not, elsewhere.
//! * A server that asks us to come later (429, 503) is left alone for as long as it says, between [`WAIT_LEAST`] and
//!   [`WAIT_MOST`]. That is no low result.
//! * One that fails, or that is at its own limit, is asked again after [`RETRY`], doubled each time up to a day. After
//!   [`FAILURES`] in a row it is not counted as there.
//! * One that alone gives low results ([`alone`]) is faulty: its results are struck out and it rests for a day, doubled
//!   each time until it gives a good one.

use linekeeper_contract::units::{Mono, Span};
use serde::{Deserialize, Serialize};

/// How long a server that says "later" without saying when is left alone: time for a herd to pass.
pub const LATER: Span = Span::minutes(15);
/// The shortest wait that is believed.
pub const WAIT_LEAST: Span = Span::minutes(1);
/// The longest: a server that says "in a year" is asked tomorrow.
pub const WAIT_MOST: Span = Span::days(1);
/// The first wait after a failure.
pub const RETRY: Span = Span::minutes(10);
/// Failures in a row after which a server does not count as there.
pub const FAILURES: u8 = 3;
/// How long a faulty server rests the first time, and at most.
pub const REST: Span = Span::days(1);
/// See [`REST`]. Sixteen days: a server that was mended is used again within the month.
pub const REST_MOST: Span = Span::days(16);
/// Low results of each of two servers that confirm each other. Three: on a good line, where one test in twenty is low,
/// a faulty server finds such company once in 8000 suspicions; two would be once in 400.
const COMPANY: u16 = 3;
/// Low results of one server, in one suspicion, of which at most one in five is good: three in a row, as a target that
/// misses three echoes is a bad one.
const ALONE: u16 = 3;

/// What is known of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// It is not asked before.
    pub not_before: Option<Mono>,
    /// Failures in a row.
    pub failures: u8,
    /// It alone gave low results, and rests until then.
    pub faulty: Option<Mono>,
    /// Rests since its last good result.
    pub rests: u8,
    /// When it was asked last.
    pub used: Option<Mono>,
    /// What it last did wrong, for people.
    pub trouble: Option<String>,
}

impl Server {
    /// When it may be asked.
    pub fn free(&self) -> Mono {
        self.not_before.max(self.faulty).unwrap_or(Mono(0))
    }

    /// Counts as there, although it may have to be waited for.
    pub fn there(&self, now: Mono) -> bool {
        self.failures < FAILURES && self.faulty.is_none_or(|until| now >= until)
    }

    /// It gave a result.
    pub fn worked(&mut self) {
        (self.failures, self.not_before, self.trouble) = (0, None, None);
    }

    /// It alone gives low results. Tells for how long it rests.
    pub fn rest(&mut self, now: Mono) -> Span {
        let rest = REST.times(1 << self.rests.min(8)).min(REST_MOST);
        self.rests = self.rests.saturating_add(1);
        self.faulty = Some(now + rest);
        self.trouble = Some("it alone gives low results".into());
        rest
    }

    /// It wants to be asked later.
    pub fn later(&mut self, now: Mono, wait: Option<Span>) {
        let wait = wait.unwrap_or(LATER).clamp(WAIT_LEAST, WAIT_MOST);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + wait);
        self.trouble = Some(format!("asks to come again in {wait}"));
    }

    /// It failed.
    pub fn failed(&mut self, now: Mono, why: &str) {
        let wait = RETRY.times(1 << self.failures.min(8)).min(WAIT_MOST);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + wait);
        self.trouble = Some(why.to_string());
    }
}

/// The server to ask at `now`, or when there will be one.
///
/// # Errors
/// When the first of them may be asked.
pub fn choose(servers: &[Server], now: Mono, change: bool) -> Result<u8, Mono> {
    let free = servers.iter().enumerate().filter(|(_, s)| now >= s.free());
    let chosen = if change { free.min_by_key(|(_, s)| s.used) } else { free.min_by_key(|(at, _)| *at) };
    match chosen {
        Some((at, _)) => Ok(at as u8),
        None => Err(servers.iter().map(Server::free).min().unwrap_or(now + WAIT_MOST)),
    }
}

/// Short and good results of each server in one suspicion.
pub type Tally = Vec<(u16, u16)>;

/// The server that alone gives low results, if there is one: the others gave at least two good ones, and twice as many
/// as low ones.
pub fn alone(tally: &Tally) -> Option<usize> {
    let all = tally.iter().fold((0, 0), |sum, t| (sum.0 + t.0, sum.1 + t.1));
    tally.iter().position(|&(short, good)| {
        let (others_short, others_good) = (all.0 - short, all.1 - good);
        short >= ALONE && good * 4 <= short && others_good >= 2 && others_good >= 2 * others_short
    })
}

/// Whether low results come from two servers, often enough from each, and more often than good ones.
pub fn confirmed(tally: &Tally) -> bool {
    tally.iter().filter(|(short, good)| *short >= COMPANY && short > good).count() >= 2
}
