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
//! a file of their own of some 4 kB, which changes once a day, at the end of it ([`Judge::usual`]); the snapshot has the 48
//! bytes of the present day alone.

use super::inform::{Call, Told};
use super::outage::LineState;
use super::{Judge, words};
use crate::config;
use crate::observation::Observation;
use linekeeper_contract::message::{Domain, Evidence, Fact, Finding, Issue};
use linekeeper_contract::units::{Mono, Rate, Span};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

/// What traffic is averaged over. Five minutes: bursts within it, a page or a photograph, are nobody's concern, and what
/// other people's logs of traffic have.
pub const WINDOW: Span = Span::minutes(5);
/// So much of a window must be seen. Four minutes: a speed test of 30 s and a restart of this program leave that.
pub const ENOUGH: Span = Span::minutes(4);
/// So many of an hour's twelve windows must be there for the hour to be remembered.
const WINDOWS: u32 = 9;
/// Weeks remembered: the last four outweigh those before them, so that a new habit is the usual one after a month.
pub const WEEKS: usize = crate::config::usage::WEEKS;
/// A week that lies further back says nothing of today: the gateway was in a drawer.
const WEEKS_BACK: i64 = 26;
/// Hours of a week.
const HOURS: usize = 168;
/// So many MADs from the median are unusual: 4.05 standard deviations of a Gaussian one.
const MADS: u64 = 6;
/// Too little is less than this part of the median.
const LOW_PART: u64 = 16;
/// An hour is busy from this part of the busiest one's median on.
const BUSY_PART: u64 = 4;
/// How long too little must last: a lunch break, and a meeting, are over.
pub const LOW_LASTS: Span = Span::hours(1);
/// Each kind of notice is told once in this at most.
pub const NOTICE_EVERY: Span = Span::days(1);
/// After so many notices of a kind within [`NOTICES_WITHIN`] it is silent for [`MUTE`].
pub const NOTICES: usize = 3;
/// See [`NOTICES`]. A week and the day that ends it.
const NOTICES_WITHIN: Span = Span::days(8);
/// See [`NOTICES`]. After four weeks they are four of the six that are remembered.
pub const MUTE: Span = Span::days(28);
/// After so many windows that show nothing, what was told of is no longer seen: an hour.
const UNSEEN: u32 = 12;

/// Rates below this are one step: 1 kbit/s.
const LEAST_OCTAVE: u32 = 10;
/// Steps an octave.
const PER_OCTAVE: u32 = 8;

/// A rate as one byte: 0 is none, then 1 and eighths of octaves from 1 kbit/s up.
fn code(bps: u64) -> u8 {
    let bps = bps.max(1 << LEAST_OCTAVE);
    let octave = bps.ilog2();
    let part = (bps >> (octave - PER_OCTAVE.ilog2())) as u32 & (PER_OCTAVE - 1);
    u8::try_from((octave - LEAST_OCTAVE) * PER_OCTAVE + part + 1).unwrap_or(u8::MAX)
}

/// The middle of a step, bit/s.
fn rate(code: u8) -> u64 {
    let steps = u32::from(code.max(1)) - 1;
    let (octave, part) = (steps / PER_OCTAVE + LEAST_OCTAVE, steps % PER_OCTAVE);
    let width = 1u64 << (octave - PER_OCTAVE.ilog2());
    u64::from(PER_OCTAVE + part) * width + width / 2
}

/// Bytes of codes; hexadecimal digits in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Codes<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Default for Codes<N> {
    fn default() -> Self {
        Codes(Box::new([0; N]))
    }
}

impl<const N: usize> Serialize for Codes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
        let text: String = self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Codes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = crate::config::hex::<N>(&text)
            .ok_or_else(|| D::Error::custom(format!("not {} hexadecimal digits", 2 * N)))?;
        Ok(Codes(Box::new(bytes)))
    }
}

/// One week, by hour from Monday 0 h.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Week {
    /// Weeks since that of 1970-01-01.
    week: i64,
    received: Codes<HOURS>,
    sent: Codes<HOURS>,
}

/// What this line carries at which hour of the week, up to the end of yesterday.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    weeks: Vec<Week>,
}

/// The hours of the present day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Today {
    /// Days since 1970-01-01.
    day: i64,
    received: Codes<24>,
    sent: Codes<24>,
}

/// Days since 1970-01-01 (a Thursday) as a week and a day in it, Monday 0.
fn week_of(day: i64) -> (i64, usize) {
    (day.saturating_add(3).div_euclid(7), day.saturating_add(3).rem_euclid(7) as usize)
}

fn median(sorted: &[u64]) -> u64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => sorted
            .get(middle.wrapping_sub(1))
            .copied()
            .unwrap_or(0)
            .midpoint(sorted.get(middle).copied().unwrap_or(0)),
        _ => sorted.get(middle).copied().unwrap_or(0),
    }
}

/// What is usual in one hour of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Season {
    /// bit/s.
    median: u64,
    /// Median of the distances from it, bit/s.
    mad: u64,
    /// Weeks that it rests on.
    weeks: usize,
}

impl Usual {
    /// Nothing was learnt yet.
    pub fn is_empty(&self) -> bool {
        self.weeks.is_empty()
    }

    /// Enters a day that is over.
    fn enter(&mut self, today: &Today) {
        let (week, day) = week_of(today.day);
        // A week of the future was made by a wrong clock.
        self.weeks.retain(|w| w.week <= week && week - w.week <= WEEKS_BACK);
        if self.weeks.last().is_none_or(|last| last.week != week) {
            self.weeks.push(Week { week, ..Week::default() });
        }
        let over = self.weeks.len().saturating_sub(WEEKS);
        self.weeks.drain(..over);
        let Some(row) = self.weeks.last_mut() else { return };
        for (row, of) in [(&mut row.received, &today.received), (&mut row.sent, &today.sent)] {
            for (known, seen) in row.0[day * 24..day * 24 + 24].iter_mut().zip(of.0.iter()) {
                if *seen != 0 {
                    *known = *seen;
                }
            }
        }
    }

    /// What is usual in an hour of the week; none if fewer than `least` weeks know it.
    fn season(&self, way: Way, hour: usize, least: u32) -> Option<Season> {
        let codes = self.weeks.iter().filter_map(|w| way.of(&w.received, &w.sent).0.get(hour));
        let mut rates = [0; WEEKS];
        let mut weeks = 0;
        for known in codes.filter(|c| **c != 0).take(WEEKS) {
            rates[weeks] = rate(*known);
            weeks += 1;
        }
        if weeks == 0 || weeks < least as usize {
            return None;
        }
        let rates = &mut rates[..weeks];
        rates.sort_unstable();
        let middle = median(rates);
        rates.iter_mut().for_each(|r| *r = r.abs_diff(middle));
        rates.sort_unstable();
        Some(Season { median: middle, mad: median(rates), weeks })
    }

    /// Those of the hours beside it.
    fn beside(&self, way: Way, hour: usize, least: u32) -> impl Iterator<Item = Season> {
        [HOURS - 1, 1].into_iter().filter_map(move |by| self.season(way, (hour + by) % HOURS, least))
    }

    /// The median of the busiest hour, coming in.
    fn busiest(&self, least: u32) -> u64 {
        (0..HOURS)
            .filter_map(|hour| self.season(Way::Received, hour, least))
            .map(|s| s.median)
            .max()
            .unwrap_or(0)
    }

    /// Hours of the week that are known from so many weeks.
    fn known(&self, least: u32) -> usize {
        (0..HOURS).filter(|hour| self.season(Way::Received, *hour, least).is_some()).count()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Received,
    Sent,
}

impl Way {
    /// What belongs to it.
    fn of<T>(self, received: T, sent: T) -> T {
        match self {
            Way::Received => received,
            Way::Sent => sent,
        }
    }
}

/// The kinds of unusual usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Too much comes in.
    MuchReceived,
    /// Too much goes out.
    MuchSent,
    /// Hardly anything comes in where much does.
    LittleReceived,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::MuchReceived, Kind::MuchSent, Kind::LittleReceived];

    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::MuchReceived => "much_received",
            Kind::MuchSent => "much_sent",
            Kind::LittleReceived => "little_received",
        }
    }

    /// What people are told.
    pub const fn words(self) -> &'static str {
        match self {
            Kind::MuchReceived => "far more is received than usual at this hour",
            Kind::MuchSent => "far more is sent than usual at this hour",
            Kind::LittleReceived => "hardly anything is received at an hour that is usually busy",
        }
    }

    const fn way(self) -> Way {
        match self {
            Kind::MuchReceived | Kind::LittleReceived => Way::Received,
            Kind::MuchSent => Way::Sent,
        }
    }

    /// Windows in a row that show it: those that it fills, and one on both ends that it fills in part.
    fn windows(self, policy: &config::Usage) -> u32 {
        let lasts = match self {
            Kind::MuchReceived | Kind::MuchSent => policy.lasts,
            Kind::LittleReceived => policy.lasts.max(LOW_LASTS),
        };
        u32::try_from(lasts.0.div_ceil(WINDOW.0)).unwrap_or(u32::MAX).saturating_add(2)
    }

    /// Whether a rate shows it in this hour: then the limit, and what is usual.
    fn shown(self, usual: &Usual, hour: usize, policy: &config::Usage, rate: u64) -> Option<(u64, Season)> {
        // The most common cases first, for the sake of who simulates years: a limit is above `least`.
        if matches!(self, Kind::MuchReceived | Kind::MuchSent) && rate <= policy.least.0 {
            return None;
        }
        let own = usual.season(self.way(), hour, policy.weeks)?;
        let beside = || usual.beside(self.way(), hour, policy.weeks);
        let limit = match self {
            Kind::MuchReceived | Kind::MuchSent => {
                let over = |limit: &u64| rate > *limit;
                let limit = Some(much(&own, policy)).filter(over)?;
                Some(beside().map(|s| much(&s, policy)).fold(limit, u64::max)).filter(over)
            }
            Kind::LittleReceived if own.median < policy.least.0 || rate >= little(&own) => None,
            Kind::LittleReceived => {
                // Looked for last: it takes all hours of the week.
                let busy = (usual.busiest(policy.weeks) / BUSY_PART).max(policy.least.0);
                let if_busy = |s: Season| if s.median >= busy { little(&s) } else { 0 };
                Some(beside().map(if_busy).fold(if_busy(own), u64::min)).filter(|limit| rate < *limit)
            }
        }?;
        Some((limit, own))
    }
}

fn much(season: &Season, policy: &config::Usage) -> u64 {
    let varies = MADS.saturating_mul(season.mad);
    let times = season.median.saturating_mul(u64::from(policy.factor).saturating_sub(1));
    season.median.saturating_add(varies.max(times).max(policy.least.0))
}

fn little(season: &Season) -> u64 {
    let varies = MADS.saturating_mul(season.mad);
    (season.median / LOW_PART).min(season.median.saturating_sub(varies))
}

/// How one kind stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Course {
    /// Windows in a row that show it.
    beyond: u32,
    /// The sum of their rates.
    sum: u64,
    /// Windows in a row that do not.
    calm: u32,
    /// It was told of and lasts.
    open: Option<Told>,
    /// When it was last told of, the latest last.
    told: Vec<Mono>,
    /// It was told so often that it is not told before this.
    muted: Option<Mono>,
}

impl Course {
    /// It is not told before this.
    fn silent_until(&self) -> Option<Mono> {
        let told = self.told.last().map(|at| *at + NOTICE_EVERY);
        told.max(self.muted)
    }
}

/// All that is remembered of usage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// When the window began.
    began: Mono,
    /// Milliseconds of it that were seen, bytes received and sent in them.
    window: (u64, u64, u64),
    /// The hour (since 1970, local) that is being added up.
    hour: i64,
    /// Its windows, and the sums of their rates.
    sums: (u32, u64, u64),
    today: Today,
    /// Windows in a row that show nothing.
    unseen: u32,
    courses: [Course; 3],
    /// Kept apart from the snapshot; see the module.
    #[serde(skip)]
    usual: Usual,
}

/// What came of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is unusual for long enough.
    Began {
        /// What.
        kind: Kind,
        /// The mean rate since it began.
        rate: Rate,
        /// What is usual at this hour.
        usual: Rate,
        /// The limit.
        limit: Rate,
        /// On how many weeks that rests.
        weeks: usize,
        /// Windows that show it.
        windows: u32,
    },
    /// It is as usual again.
    Ended(Kind),
    /// It is no longer known how it is.
    Lost(Kind),
}

/// What passed over the line in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// For so long.
    pub over: Span,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

/// What may be told of usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the week's 168 hours so many are known well enough to speak of.
    pub hours_known: usize,
    /// What is unusual now.
    pub unusual: Vec<Kind>,
}

impl Usage {
    /// So much passed until `now`, of the customer's own (`None`: it says nothing). `local`: seconds since 1970 of local time,
    /// where the clock is trusted.
    pub fn passed(
        &mut self,
        now: Mono,
        local: Option<i64>,
        passed: Option<Passed>,
        policy: &config::Usage,
    ) -> Vec<Turn> {
        let mut turns = Vec::new();
        // Windows end at whole multiples of our own clock, so that it matters to nobody when the counters are read.
        let windows = (now.0 / WINDOW.0).saturating_sub(self.began.0 / WINDOW.0);
        if windows > 1 {
            // Nobody counted meanwhile.
            self.window = (0, 0, 0);
        }
        if let Some(Passed { over, received, sent }) = passed {
            let (seen, rx, tx) = &mut self.window;
            *seen = seen.saturating_add(over.0);
            *rx = rx.saturating_add(received);
            *tx = tx.saturating_add(sent);
        }
        if windows == 0 {
            return turns;
        }
        let (seen, rx, tx) = std::mem::take(&mut self.window);
        self.began = now;
        let (Some(local), true) = (local, seen >= ENOUGH.0) else {
            self.show_nothing(&mut turns);
            return turns;
        };
        let bps =
            |bytes: u64| u64::try_from(u128::from(bytes) * 8_000 / u128::from(seen)).unwrap_or(u64::MAX);
        let (received, sent) = (bps(rx), bps(tx));
        self.judge(now, local, received, sent, policy, &mut turns);
        self.learn(local, received, sent);
        turns
    }

    fn show_nothing(&mut self, turns: &mut Vec<Turn>) {
        self.unseen = self.unseen.saturating_add(1);
        for (kind, course) in Kind::ALL.into_iter().zip(&mut self.courses) {
            (course.beyond, course.sum, course.calm) = (0, 0, 0);
            if self.unseen >= UNSEEN && course.open.is_some() {
                turns.push(Turn::Lost(kind));
            }
        }
    }

    fn judge(
        &mut self,
        now: Mono,
        local: i64,
        received: u64,
        sent: u64,
        policy: &config::Usage,
        turns: &mut Vec<Turn>,
    ) {
        self.unseen = 0;
        let hour = hour_of_week(local);
        for (kind, course) in Kind::ALL.into_iter().zip(&mut self.courses) {
            let rate = kind.way().of(received, sent);
            let Some((limit, season)) = kind.shown(&self.usual, hour, policy, rate) else {
                (course.beyond, course.sum) = (0, 0);
                course.calm = course.calm.saturating_add(1);
                if course.open.is_some() && course.calm >= kind.windows(policy) {
                    turns.push(Turn::Ended(kind));
                }
                continue;
            };
            course.beyond = course.beyond.saturating_add(1);
            course.sum = course.sum.saturating_add(rate);
            course.calm = 0;
            let lasts = course.beyond >= kind.windows(policy);
            let silent = course.silent_until().is_some_and(|until| now < until);
            if lasts && course.open.is_none() && !silent {
                turns.push(Turn::Began {
                    kind,
                    rate: Rate(course.sum / u64::from(course.beyond)),
                    usual: Rate(season.median),
                    limit: Rate(limit),
                    weeks: season.weeks,
                    windows: course.beyond,
                });
            }
        }
    }

    fn learn(&mut self, local: i64, received: u64, sent: u64) {
        let hour = local.div_euclid(3_600);
        if hour != self.hour {
            self.end_hour();
            self.hour = hour;
        }
        let (windows, rx, tx) = &mut self.sums;
        *windows += 1;
        *rx = rx.saturating_add(received);
        *tx = tx.saturating_add(sent);
    }

    fn end_hour(&mut self) {
        let (windows, rx, tx) = std::mem::take(&mut self.sums);
        let (day, hour) = (self.hour.div_euclid(24), self.hour.rem_euclid(24) as usize);
        if day != self.today.day {
            let before = std::mem::take(&mut self.today);
            if before.received.0.iter().any(|code| *code != 0) {
                self.usual.enter(&before);
            }
            self.today.day = day;
        }
        if windows >= WINDOWS {
            self.today.received.0[hour] = code(rx / u64::from(windows));
            self.today.sent.0[hour] = code(tx / u64::from(windows));
        }
    }

    /// What is told of it lasts from `now` on.
    fn told(&mut self, now: Mono, kind: Kind, told: Told) {
        let course = &mut self.courses[kind as usize];
        course.open = Some(told);
        course.told.retain(|at| now.since(*at) < NOTICES_WITHIN);
        course.told.push(now);
        if course.told.len() >= NOTICES {
            course.told.clear();
            course.muted = Some(now + MUTE);
        }
    }

    /// For simulators: until when traffic that stays as it is (`rates`: bit/s) comes to nothing. `None`: what comes next
    /// matters.
    pub fn rests(
        &self,
        now: Mono,
        local: Option<i64>,
        rates: Option<(u64, u64)>,
        policy: &config::Usage,
    ) -> Option<Mono> {
        let never = Mono(u64::MAX);
        let (Some(local), true) = (local, policy.enabled && !self.usual.is_empty()) else {
            return Some(never);
        };
        let (received, sent) = rates?;
        if now.0 / WINDOW.0 != self.began.0 / WINDOW.0 {
            // The counters that end a window have not come yet.
            return None;
        }
        let hour = hour_of_week(local);
        let shows = |hour: usize| {
            Kind::ALL.map(|k| k.shown(&self.usual, hour, policy, k.way().of(received, sent)).is_some())
        };
        let shown = shows(hour);
        // Another hour in which something else is shown is lived through from its begin, and with the day what is usual
        // changes.
        let same = (hour + 1..hour / 24 * 24 + 24).take_while(|later| shows(*later) == shown).count();
        let left = 3_600 - u64::try_from(local.rem_euclid(3_600)).unwrap_or(0) + 3_600 * same as u64;
        let mut until = now + Span::seconds(left);
        for ((kind, course), shown) in Kind::ALL.into_iter().zip(&self.courses).zip(shown) {
            if course.beyond > 0 || course.open.is_some() || shown {
                // The end of the window at which something may be told is lived through.
                let counted = if course.open.is_some() { course.calm } else { course.beyond };
                let more = kind.windows(policy).saturating_sub(counted).max(1);
                let window = Mono(now.0 - now.0 % WINDOW.0) + WINDOW.times(u64::from(more)) - Span(1);
                let silent = course.silent_until().filter(|_| course.open.is_none());
                until = until.min(silent.map_or(window, |at| at.max(window)));
            }
        }
        Some(until).filter(|until| *until > now)
    }
}

fn hour_of_week(local: i64) -> usize {
    let (_, day) = week_of(local.div_euclid(86_400));
    day * 24 + local.rem_euclid(86_400).div_euclid(3_600) as usize
}

impl Judge {
    /// What this line carries at which hour of the week, as it is to be kept apart from the snapshot. It changes once a
    /// day.
    pub fn usual(&self) -> &Usual {
        &self.state.usage.usual
    }

    /// For simulators: so much time passed in which the line carried what it carries.
    pub(super) fn usage_rested(&mut self, from: Mono, by: Span) {
        let Some((received, sent)) = self.state.watch.traffic.filter(|_| self.config.usage.enabled) else {
            return;
        };
        let (mut at, end) = (from, from + by);
        while at < end {
            let left = WINDOW.0 - at.0 % WINDOW.0;
            let over = Span(left.min(end.since(at).0));
            at = at + over;
            let bytes = |bps: u64| bps.saturating_mul(over.0) / 8_000;
            let passed = Some(Passed { over, received: bytes(received), sent: bytes(sent) });
            let local = self.local(at);
            // It says nothing new: that was asked before ([`Usage::rests`]).
            let _ = self.state.usage.passed(at, local, passed, &self.config.usage);
        }
    }

    /// For simulators: see [`Usage::rests`].
    pub(super) fn usage_rests(&self, now: Mono) -> Option<Mono> {
        self.state.usage.rests(now, self.local(now), self.state.watch.traffic, &self.config.usage)
    }

    /// What an earlier life learnt, before this one begins: it is no part of the snapshot on flash.
    pub fn know(&mut self, usual: Usual) {
        self.state.usage.usual = usual;
    }

    /// What may be told of usage; `None` where it is not looked at.
    pub(super) fn usage_status(&self) -> Option<Status> {
        let policy = &self.config.usage;
        policy.enabled.then(|| Status {
            hours_known: self.state.usage.usual.known(policy.weeks),
            unusual: Kind::ALL
                .into_iter()
                .zip(&self.state.usage.courses)
                .filter_map(|(kind, course)| course.open.as_ref().map(|_| kind))
                .collect(),
        })
    }

    /// The counters moved.
    pub(super) fn used(&mut self, now: Mono, saw: &Observation) {
        let policy = &self.config.usage;
        if !policy.enabled {
            if let Observation::Started(_) = saw {
                for kind in Kind::ALL {
                    self.as_usual(now, kind, "usage is not looked at any more");
                }
            }
            return;
        }
        let Observation::Counted(counted) = saw else { return };
        // The line was up all the while, and nothing of our own was on it.
        let up = self.state.watch.line == LineState::Up && now.since(self.state.watch.since) >= counted.over;
        let own = self.state.promise.loads(now) || self.state.ladder.running.is_some();
        let customers = up && !own && !counted.reset && counted.over > Span::ZERO;
        let passed = customers.then_some(Passed {
            over: counted.over,
            received: counted.rx_bytes,
            sent: counted.tx_bytes,
        });
        let local = self.local(now);
        let turns = self.state.usage.passed(now, local, passed, policy);
        for turn in turns {
            match turn {
                Turn::Began { .. } => self.unusual(now, turn),
                Turn::Ended(kind) => self.as_usual(now, kind, "as usual again"),
                Turn::Lost(kind) => {
                    self.as_usual(now, kind, "not seen any more: the line could not be watched")
                }
            }
        }
    }

    fn unusual(&mut self, now: Mono, turn: Turn) {
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
        let call = (self.config.usage.callback && kind != Kind::LittleReceived).then(|| Call {
            trigger: "usage",
            issue: Issue {
                kind: "usage".into(),
                code: format!("usage.{}", kind.name()),
                description: words::usage(self.config.device.language, kind, rate, usual, lasts),
            },
            evidence: Evidence {
                finding: Some(Finding::Usage),
                fault_domain: Domain::Unknown,
                facts: vec![Fact {
                    at: self.stamp(now),
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
                    self.config.usage.factor, self.config.usage.least
                ),
                recorder: None,
            },
        });
        let told = self.inform(now, Finding::Usage, Domain::Unknown, kind.name(), &detail, call);
        self.state.usage.told(now, kind, told);
    }

    fn as_usual(&mut self, now: Mono, kind: Kind, why: &str) {
        if let Some(told) = self.state.usage.courses[kind as usize].open.take() {
            self.informed(now, told, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linekeeper_contract::json;
    use linekeeper_contract::message::Stamp;

    const MBIT: u64 = 1_000_000;
    /// Monday 2026-11-02, 0 h.
    const MONDAY: i64 = 1_793_577_600;

    /// A line watched in windows, and what is told of it.
    struct Watched {
        usage: Usage,
        now: Mono,
        told: Vec<(Kind, bool, i64)>,
        policy: config::Usage,
    }

    fn told(kind: Kind) -> Told {
        let told = serde_json::json!({
            "id": "IN1", "finding": "usage", "domain": "unknown", "about": kind.name(), "opened_at": 0, "callback": null,
            "opened": Stamp { wall: None, synced: false, boot_id: "b".into(), uptime_ms: 0 },
        });
        json::from_tree(&told).unwrap_or_else(|e| unreachable!("{e}"))
    }

    impl Watched {
        fn new() -> Watched {
            let policy = config::Usage::default();
            Watched { usage: Usage::default(), now: Mono(3_600_000), told: Vec::new(), policy }
        }

        fn local(&self) -> i64 {
            MONDAY + self.now.0 as i64 / 1_000 - 3_600
        }

        /// One window with these rates; `None`: nothing of it was seen.
        fn window(&mut self, rates: Option<(u64, u64)>) {
            self.now = self.now + WINDOW;
            let bytes = |bps: u64| bps * WINDOW.0 / 8_000;
            let passed = rates.map(|(rx, tx)| Passed { over: WINDOW, received: bytes(rx), sent: bytes(tx) });
            let (now, local) = (self.now, self.local());
            for turn in self.usage.passed(now, Some(local), passed, &self.policy) {
                match turn {
                    Turn::Began { kind, .. } => {
                        self.usage.told(now, kind, told(kind));
                        self.told.push((kind, true, local));
                    }
                    Turn::Ended(kind) | Turn::Lost(kind) => {
                        self.usage.courses[kind as usize].open = None;
                        self.told.push((kind, false, local));
                    }
                }
            }
        }

        /// Watches until `until` after the Monday of the beginning, with the rates of each moment.
        fn until(&mut self, until: Span, mut rates: impl FnMut(i64) -> (u64, u64)) {
            while self.now.0 - 3_600_000 < until.0 {
                let at = self.local() - MONDAY;
                self.window(Some(rates(at)));
            }
        }

        fn begun(&self) -> Vec<(Kind, i64)> {
            let begun = self.told.iter().filter(|(_, begun, _)| *begun);
            begun.map(|(kind, _, at)| (*kind, (*at - MONDAY) / 60)).collect()
        }
    }

    /// A small business: 20 Mbit/s down and 4 up from 9 to 18 h on working days, next to nothing else.
    fn office(at: i64) -> (u64, u64) {
        let (day, hour) = (at / 86_400 % 7, at % 86_400 / 3_600);
        if day < 5 && (9..18).contains(&hour) { (20 * MBIT, 4 * MBIT) } else { (300_000, 100_000) }
    }

    const WEEK: Span = Span::days(7);

    #[test]
    fn a_rate_is_known_within_six_per_cent() {
        for bps in [1_024, 1_500, 99_999, MBIT, 7_654_321, 1_000 * MBIT, 1 << 40] {
            let known = rate(code(bps));
            assert!(known.abs_diff(bps) * 16 <= bps, "{bps} is known as {known}");
            assert_eq!(code(known), code(bps));
        }
        assert_eq!((code(0), code(1_023)), (1, 1));
        assert_eq!(code(u64::MAX), u8::MAX);
    }

    #[test]
    fn five_times_the_usual_for_an_hour_at_night_is_told_once() {
        let mut line = Watched::new();
        let loud = |at: i64| {
            let (rx, tx) = office(at);
            let night = at >= 4 * 604_800 + 2 * 86_400 + 7_200;
            if night && at < 4 * 604_800 + 2 * 86_400 + 10_800 { (rx * 5, tx * 50) } else { (rx, tx) }
        };
        line.until(Span(5 * WEEK.0), loud);
        // 0.3 Mbit/s × 5 are above by 1.2 Mbit/s; both directions, once each, after 25 minutes, and over by four o'clock.
        let at = 4 * 10_080 + 2 * 1_440 + 120 + 25;
        assert_eq!(line.begun(), [(Kind::MuchReceived, at), (Kind::MuchSent, at)]);
        assert_eq!(line.told.len(), 4);
        assert!(line.told.iter().filter(|t| !t.1).all(|t| (t.2 - MONDAY) / 60 <= at + 60), "{:?}", line.told);
    }

    #[test]
    fn the_monday_rush_is_usual_and_so_is_one_that_begins_early() {
        let mut line = Watched::new();
        line.until(Span(5 * WEEK.0), |at| office(if at > 4 * 604_800 { at + 1_800 } else { at }));
        assert_eq!(line.told, []);
    }

    #[test]
    fn ten_minutes_of_a_big_download_are_not_told_wherever_they_begin() {
        let mut line = Watched::new();
        line.until(Span(4 * WEEK.0), office);
        for minute in 0..24 * 60_u64 {
            // In the window in which it begins and in that in which it ends it fills a part.
            let first = minute % 5;
            let parts = [5 - first, 5, first];
            for part in parts {
                line.window(Some((300_000 + 90 * MBIT * part / 5, 100_000)));
            }
            line.window(Some((300_000, 100_000)));
        }
        assert_eq!(line.told, []);
    }

    #[test]
    fn nothing_is_said_before_three_weeks_and_nothing_of_what_nobody_saw() {
        let mut line = Watched::new();
        // A big night in the third week, before anything is known of a third one.
        line.until(Span(3 * WEEK.0), |at| {
            if at > 2 * 604_800 + 80_000 { (90 * MBIT, 90 * MBIT) } else { office(at) }
        });
        assert_eq!(line.told, []);
        line.until(Span(3 * WEEK.0 + 3_600_000), office);
        // Four windows of a flood with a hole after each.
        for _ in 0..20 {
            (0..4).for_each(|_| line.window(Some((90 * MBIT, 100_000))));
            line.window(None);
        }
        assert_eq!(line.told, []);
        (0..5).for_each(|_| line.window(Some((90 * MBIT, 100_000))));
        assert_eq!(line.begun().len(), 1);
        // An hour without seeing anything ends it.
        (0..UNSEEN).for_each(|_| line.window(None));
        assert_eq!(line.told.len(), 2);
    }

    #[test]
    fn a_learnt_week_survives_a_reboot_in_its_two_parts() {
        let mut line = Watched::new();
        line.until(Span(4 * WEEK.0 + 7_200_000), office);
        let usual = json::write(&line.usage.usual).unwrap_or_default();
        let rest = json::write(&line.usage).unwrap_or_default();
        assert!(usual.len() < 4_400 && rest.len() < 800, "{} and {} bytes", usual.len(), rest.len());
        assert!(!rest.contains("usual"), "{rest}");
        let mut usage: Usage = json::read(rest.as_bytes()).unwrap_or_default();
        usage.usual = json::read(usual.as_bytes()).unwrap_or_default();
        assert_eq!(usage, line.usage);
        line.usage = usage;
        (0..5).for_each(|_| line.window(Some((300_000, 30 * MBIT))));
        assert_eq!(line.begun().len(), 1);
    }

    #[test]
    fn a_business_without_traffic_in_its_busy_hours_is_told_and_a_quiet_lunch_is_not() {
        let quiet = |from: i64, until: i64| {
            let mut line = Watched::new();
            line.until(Span(5 * WEEK.0), |at| {
                let day = 4 * 604_800 + 86_400;
                if at >= day + from && at < day + until { (10_000, 10_000) } else { office(at) }
            });
            line.begun()
        };
        // From 10 to 17 h: known after an hour and ten minutes.
        assert_eq!(quiet(36_000, 61_200), [(Kind::LittleReceived, 4 * 10_080 + 1_440 + 600 + 70)]);
        assert_eq!(quiet(43_200, 46_800), []);
        assert_eq!(quiet(0, 32_400), [], "nobody is there at night");
        // The first hour of business and the last are not missed: who comes later, or goes earlier, may.
        assert_eq!(quiet(32_400, 36_000), []);
    }

    #[test]
    fn a_new_habit_is_told_three_times_and_then_is_the_usual_one() {
        let mut line = Watched::new();
        line.until(Span(12 * WEEK.0), |at| {
            let (rx, tx) = office(at);
            // From the sixth week on: a backup of three hours each night.
            let backs_up = at > 5 * 604_800 && (1..4).contains(&(at % 86_400 / 3_600));
            if backs_up { (rx, tx + 40 * MBIT) } else { (rx, tx) }
        });
        let begun = line.begun();
        assert_eq!(begun.len(), NOTICES, "{begun:?}");
        assert!(begun.windows(2).all(|w| w[1].1 - w[0].1 >= 1_440), "{begun:?}");
    }

    #[test]
    fn weeks_of_ordinary_noise_say_nothing() {
        // Each window between a third and three times the hour's own rate, each day between half and twice.
        for seed in 1..=20_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut below = move |n: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % n
            };
            let mut line = Watched::new();
            let mut day = (0, 100);
            line.until(Span(12 * WEEK.0), |at| {
                if at / 86_400 != day.0 {
                    day = (at / 86_400, 50 + below(150));
                }
                let (rx, tx) = office(at);
                let noise = if below(2) == 0 { 33 + below(67) } else { 100 + below(200) };
                (rx * noise / 100 * day.1 / 100, tx * noise / 100 * day.1 / 100)
            });
            assert_eq!(line.told, [], "seed {seed}");
        }
    }

    #[test]
    fn a_clock_that_was_years_ahead_leaves_no_week_of_the_future() {
        let mut usual = Usual::default();
        let day = |day: i64| {
            let mut today = Today { day, ..Today::default() };
            today.received.0[5] = code(MBIT);
            today
        };
        usual.enter(&day(30_000));
        usual.enter(&day(20_000));
        usual.enter(&day(20_007));
        assert_eq!(
            usual.weeks.iter().map(|w| w.week).collect::<Vec<_>>(),
            [week_of(20_000).0, week_of(20_007).0]
        );
        for week in 0..100 {
            usual.enter(&day(20_014 + 7 * week));
            assert!(usual.weeks.len() <= WEEKS);
        }
        usual.enter(&day(i64::MAX));
        usual.enter(&day(i64::MIN));
        assert_eq!(usual.weeks.len(), 1);
    }
}
