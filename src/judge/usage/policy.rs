//! How unusual usage is told from usual. The policy stands in [`super`].

use super::status::Kind;
use super::usual::{Season, Today, Usual, Way, code, week_of};
use crate::config;
use crate::inform::Told;
use linekeeper_contract::units::{Mono, Rate, Span};
use serde::{Deserialize, Serialize};

/// What traffic is averaged over. Five minutes: bursts within it, a page or a photograph, are nobody's concern, and what
/// other people's logs of traffic have.
pub const WINDOW: Span = Span::minutes(5);
/// So much of a window must be seen. Four minutes: a speed test of 30 s and a restart of this program leave that.
pub const ENOUGH: Span = Span::minutes(4);
/// So many of an hour's twelve windows must be there for the hour to be remembered.
pub(super) const WINDOWS: u32 = 9;
/// So many MADs from the median are unusual: 4.05 standard deviations of a Gaussian one.
pub(super) const MADS: u64 = 6;
/// Too little is less than this part of the median.
pub(super) const LOW_PART: u64 = 16;
/// An hour is busy from this part of the busiest one's median on.
pub(super) const BUSY_PART: u64 = 4;
/// How long too little must last: a lunch break, and a meeting, are over.
pub const LOW_LASTS: Span = Span::hours(1);
/// Each kind of notice is told once in this at most.
pub const NOTICE_EVERY: Span = Span::days(1);
/// After so many notices of a kind within [`NOTICES_WITHIN`] it is silent for [`MUTE`].
pub const NOTICES: usize = 3;
/// See [`NOTICES`]. A week and the day that ends it.
pub(super) const NOTICES_WITHIN: Span = Span::days(8);
/// See [`NOTICES`]. After four weeks they are four of the six that are remembered.
pub const MUTE: Span = Span::days(28);
/// After so many windows that show nothing, what was told of is no longer seen: an hour.
pub(super) const UNSEEN: u32 = 12;

impl Kind {
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

pub(super) fn much(season: &Season, policy: &config::Usage) -> u64 {
    let varies = MADS.saturating_mul(season.mad);
    let times = season.median.saturating_mul(u64::from(policy.factor).saturating_sub(1));
    season.median.saturating_add(varies.max(times).max(policy.least.0))
}

pub(super) fn little(season: &Season) -> u64 {
    let varies = MADS.saturating_mul(season.mad);
    (season.median / LOW_PART).min(season.median.saturating_sub(varies))
}

/// How one kind stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Course {
    /// Windows in a row that show it.
    pub(super) beyond: u32,
    /// The sum of their rates.
    pub(super) sum: u64,
    /// Windows in a row that do not.
    pub(super) calm: u32,
    /// It was told of and lasts.
    pub(super) open: Option<Told>,
    /// When it was last told of, the latest last.
    pub(super) told: Vec<Mono>,
    /// It was told so often that it is not told before this.
    pub(super) muted: Option<Mono>,
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
    pub(super) began: Mono,
    /// Milliseconds of it that were seen, bytes received and sent in them.
    pub(super) window: (u64, u64, u64),
    /// The hour (since 1970, local) that is being added up.
    pub(super) hour: i64,
    /// Its windows, and the sums of their rates.
    pub(super) sums: (u32, u64, u64),
    pub(super) today: Today,
    /// Windows in a row that show nothing.
    pub(super) unseen: u32,
    pub(super) courses: [Course; 3],
    /// Kept apart from the snapshot; see the module.
    #[serde(skip)]
    pub(super) usual: Usual,
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
    pub(super) fn told(&mut self, now: Mono, kind: Kind, told: Told) {
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

pub(super) fn hour_of_week(local: i64) -> usize {
    let (_, day) = week_of(local.div_euclid(86_400));
    day * 24 + local.rem_euclid(86_400).div_euclid(3_600) as usize
}
