//! The availability ledger: each millisecond is charged once, to the line being up or to the cause of its being down, in
//! total, per day and per month.
//!
//! Policy, in prose:
//!
//! * Time with the line up is `up`. Time with the line down is charged to the *line*, except to *our remedies* while one
//!   runs that interrupts the line itself ([`interrupts`]), and to *our tests* while a speed test loads the line. The
//!   settling time after a remedy is charged to the line: the remedy's own work is over.
//! * Unobserved time is `unknown`: before the first answer of a run, in a gap, and between two runs of the process, also
//!   inside an open break. For the time after a run's last snapshot the heartbeat has the last state.
//! * A power cut is charged to *power*: the boot, and the time switched off as far as it is certain. Off time is not on
//!   the monotonic clock; it is charged once civil time is known before and after ([`super::lives`]). Our own reboot is
//!   charged to remedies.
//! * Time is charged when the state changes. So a break is charged from its first evidence although it is declared seconds
//!   later, and a step without a change does no work.
//! * A day begins at midnight in the configured offset, by the last clock that was set (`synced`). Before the first such
//!   setting, days are counted on the monotonic clock. When the clock is set they are moved by whole days, so that the
//!   present one becomes today. (One day may then contain some hours of the day before it.) After a boot, until NTP
//!   answers, our clock continues from the setting of the last run: it is behind by the time switched off, which is
//!   hours, where the kernel's own may be behind by years.
//! * Availability is `up` divided by all observed time: `up`, line, remedies, tests. Power and `unknown` count neither for
//!   nor against the line.
//!
//! The parts always add up: `up` and all causes are the time since the ledger began, to the millisecond.

use crate::observation::Charge;
use crate::outage::line::LineState;
use linekeeper_contract::json;
use linekeeper_contract::units::{LocalTime, Mono, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Days kept: any calendar month in days, and a few more for late retrieval. With [`MONTHS`] they take at most
/// 2.7 kB of memory, and in the snapshot about 0.9 kB, 3.6 kB when every cause is in every day.
pub const DAYS: usize = 35;
/// Months kept: the present one and the twelve before it, for a comparison with the same month of last year.
pub const MONTHS: usize = 13;
/// A day.
const DAY: i128 = 86_400_000;
/// A state that lasted longer is charged to the days of this span only: all months that are kept.
const BACK: i128 = 400 * DAY;

impl Charge {
    const ALL: usize = 6;

    const fn line(self) -> LineState {
        match self {
            Charge::Up => LineState::Up,
            Charge::Line | Charge::Remedies | Charge::Tests => LineState::Down,
            Charge::Power | Charge::Unknown => LineState::Unknown,
        }
    }
}

/// Whether the line is away by our own doing while a rung is carried out. A renewal takes nothing away, and
/// another resolver neither.
pub const fn interrupts(rung: Rung) -> bool {
    match rung {
        Rung::Renew | Rung::OtherResolver => false,
        Rung::RestartInterface | Rung::RestartNetwork | Rung::PowerModem | Rung::Reboot => true,
    }
}

/// Milliseconds by [`Charge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Account([u64; Charge::ALL]);

impl Account {
    fn charge(&mut self, charge: Charge, ms: u64) {
        let at = &mut self.0[charge as usize];
        *at = at.saturating_add(ms);
    }

    fn add(&mut self, other: &Account) {
        for (at, more) in self.0.iter_mut().zip(other.0) {
            *at = at.saturating_add(more);
        }
    }

    fn told(&self) -> Tally {
        let [up, line, remedies, tests, power, unknown] = self.0;
        let watched = [up, line, remedies, tests].iter().map(|n| u128::from(*n)).sum::<u128>();
        let ppm = (u128::from(up) * 1_000_000).checked_div(watched);
        Tally {
            available_ppm: ppm.and_then(|n| u32::try_from(n).ok()),
            up_ms: up,
            line_ms: line,
            remedies_ms: remedies,
            tests_ms: tests,
            power_ms: power,
            unknown_ms: unknown,
        }
    }
}

/// A day or a month: its number, and what was charged in it. In JSON one list without its last zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Page {
    number: i64,
    account: Account,
}

impl Serialize for Page {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let used = self.account.0.iter().rposition(|n| *n > 0).map_or(0, |at| at + 1);
        s.collect_seq(
            std::iter::once(i128::from(self.number))
                .chain(self.account.0.iter().take(used).map(|n| i128::from(*n))),
        )
    }
}

impl<'de> Deserialize<'de> for Page {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Page, D::Error> {
        use serde::de::Error;
        let numbers: Vec<i128> = Vec::deserialize(d)?;
        let wrong = || D::Error::custom("not a day's or a month's account");
        let (first, rest) = numbers.split_first().ok_or_else(wrong)?;
        let mut account = Account::default();
        if rest.len() > account.0.len() {
            return Err(wrong());
        }
        for (at, n) in account.0.iter_mut().zip(rest) {
            *at = u64::try_from(*n).map_err(|_| wrong())?;
        }
        Ok(Page { number: i64::try_from(*first).map_err(|_| wrong())?, account })
    }
}

/// Pages in the order of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Book(Vec<Page>);

impl Book {
    /// Keeps at most `most` pages, the latest.
    fn add(&mut self, number: i64, account: &Account, most: usize) {
        match self.0.binary_search_by_key(&number, |page| page.number) {
            Ok(at) => self.0[at].account.add(account),
            Err(0) if self.0.len() >= most => {}
            Err(at) => {
                self.0.insert(at, Page { number, account: *account });
                if self.0.len() > most {
                    self.0.remove(0);
                }
            }
        }
    }

    /// What was charged to days that are yet to come was charged by a wrong clock.
    fn until(&mut self, today: i64, most: usize) {
        while let Some(page) = self.0.pop_if(|page| page.number > today) {
            self.add(today, &page.account, most);
        }
    }
}

/// The books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// When they began; before that nothing is charged.
    began: Option<Mono>,
    /// What stands, and since when: not charged yet.
    standing: Charge,
    at: Mono,
    /// What was charged in all.
    total: [u64; Charge::ALL],
    /// Charged time that our own clock did not count: switched off.
    outside: u64,
    /// Civil time less our own, milliseconds, by the last clock that was set.
    ahead: Option<i64>,
    days: Book,
    months: Book,
}

/// Time by cause, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// `up_ms` by what was watched (up, line, remedies, tests), parts per million; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_ppm: Option<u32>,
    /// The line was up.
    pub up_ms: u64,
    /// The line was down.
    pub line_ms: u64,
    /// Down while a remedy of ours took the line away.
    pub remedies_ms: u64,
    /// Down while a speed test of ours filled it.
    pub tests_ms: u64,
    /// The gateway had no power.
    pub power_ms: u64,
    /// Nobody watched.
    pub unknown_ms: u64,
}

impl Tally {
    /// All of it.
    pub fn elapsed_ms(&self) -> u64 {
        [self.up_ms, self.line_ms, self.remedies_ms, self.tests_ms, self.power_ms, self.unknown_ms]
            .iter()
            .fold(0, |all, ms| all.saturating_add(*ms))
    }
}

/// A day or a month in [`Availability`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// `2026-11-20` or `2026-11`; absent for a day of our own clock while no clock was ever set.
    pub date: Option<String>,
    /// What was charged in it.
    pub tally: Tally,
}

/// One object: the date first, then the tally's entries.
impl Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error, SerializeMap};
        let tally = json::to_tree(&self.tally).map_err(S::Error::custom)?;
        let mut map = s.serialize_map(None)?;
        if let Some(date) = &self.date {
            map.serialize_entry("date", date)?;
        }
        for (key, value) in tally.as_object().into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Period, D::Error> {
        let tree = Value::deserialize(from)?;
        Ok(Period {
            date: tree.get("date").and_then(Value::as_str).map(str::to_owned),
            tally: json::from_tree(&tree).map_err(serde::de::Error::custom)?,
        })
    }
}

/// What the books say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    /// Since they began.
    pub total: Tally,
    /// The last [`DAYS`] days in which anything was charged, the present one last.
    pub days: Vec<Period>,
    /// The last [`MONTHS`] such months; none before the clock was first set.
    pub months: Vec<Period>,
}

impl Ledger {
    /// What stands now and since when, for the heartbeat.
    pub fn standing(&self) -> (Charge, Mono) {
        (self.standing, self.at)
    }

    /// The books begin, if they have not.
    pub fn open(&mut self, now: Mono) {
        if self.began.is_none() {
            (self.began, self.at) = (Some(now), now);
        }
    }

    /// A new life found what the last one kept: what stood then stood until `from` at the least; from then on it is
    /// charged to `charge`, and from `now` on nothing is known.
    pub fn charge(&mut self, until: Mono, charge: Charge, offset_minutes: i16) {
        self.turn(until, charge, offset_minutes);
    }

    /// The line stands like this from `since` on; `ours`: by our own doing, if it is down.
    pub fn stand(
        &mut self,
        now: Mono,
        line: LineState,
        since: Mono,
        ours: Option<Charge>,
        offset_minutes: i16,
    ) {
        let charge = match line {
            LineState::Up => Charge::Up,
            LineState::Unknown => Charge::Unknown,
            LineState::Down => ours.unwrap_or(Charge::Line),
        };
        if charge == self.standing {
            return;
        }
        let at = if self.standing.line() == line { now } else { since.min(now) };
        self.turn(at, charge, offset_minutes);
    }

    /// Charges what stood, and lets something else stand from `at` on, or from where it was charged last.
    fn turn(&mut self, at: Mono, charge: Charge, offset_minutes: i16) {
        if self.began.is_none() || charge == self.standing {
            return;
        }
        let at = at.max(self.at);
        self.book(at, offset_minutes);
        self.standing = charge;
    }

    /// Charges what stands until `to`.
    fn book(&mut self, to: Mono, offset_minutes: i16) {
        let (from, charge) = (self.at, self.standing);
        self.at = to;
        let ahead = i128::from(self.ahead.unwrap_or(0)) + i128::from(offset_minutes) * 60_000;
        self.spread(charge, i128::from(from.0) + ahead, i128::from(to.0) + ahead);
    }

    /// Charges a stretch of local time.
    fn spread(&mut self, charge: Charge, from: i128, to: i128) {
        let length = (to - from).clamp(0, i128::from(u64::MAX)) as u64;
        let all = &mut self.total[charge as usize];
        *all = all.saturating_add(length);
        let mut from = from.max(to - BACK);
        while from < to {
            let day = from.div_euclid(DAY);
            let end = to.min((day + 1) * DAY);
            let mut account = Account::default();
            account.charge(charge, (end - from) as u64);
            // Our clock has 64 bits of milliseconds: its days are far inside an i64.
            let day = day as i64;
            self.days.add(day, &account, DAYS);
            if self.ahead.is_some() {
                self.months.add(month(day), &account, MONTHS);
            }
            from = end;
        }
    }

    /// Civil time, when it is to be trusted.
    pub fn set(&mut self, now: Mono, wall: Wall, offset_minutes: i16) {
        let ahead = i128::from(wall.0) - i128::from(now.0);
        let ahead = ahead.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        let offset = i128::from(offset_minutes) * 60_000;
        let day = |ahead: i64| (i128::from(now.0) + i128::from(ahead) + offset).div_euclid(DAY) as i64;
        let today = day(ahead);
        if self.ahead.is_none() {
            let moved = today - day(0);
            for page in &mut self.days.0 {
                page.number += moved;
                self.months.add(month(page.number), &page.account, MONTHS);
            }
        }
        self.ahead = Some(ahead);
        self.days.until(today, DAYS);
        self.months.until(month(today), MONTHS);
    }

    /// Civil time of a moment, by the last clock that was set.
    pub fn wall(&self, at: Mono) -> Option<Wall> {
        let wall = i128::from(at.0) + i128::from(self.ahead?);
        i64::try_from(wall).ok().map(Wall)
    }

    /// Charges time that our own clock did not count: from `from` on, `unknown` of it to nothing that is known, then
    /// `sure` of it to `charge`.
    pub fn away(&mut self, from: Wall, unknown: Span, sure: Span, charge: Charge, offset_minutes: i16) {
        if self.began.is_none() {
            return;
        }
        let from = i128::from(from.0) + i128::from(offset_minutes) * 60_000;
        let turn = from + i128::from(unknown.0);
        self.spread(Charge::Unknown, from, turn);
        self.spread(charge, turn, turn + i128::from(sure.0));
        self.outside = self.outside.saturating_add(unknown.0).saturating_add(sure.0);
    }

    /// How long the books have been kept, switched-off time included: what all charges add up to.
    pub fn kept_for(&self, now: Mono) -> Span {
        self.began.map_or(Span::ZERO, |began| now.since(began) + Span(self.outside))
    }

    /// What the books say at `now`.
    pub fn told(&self, now: Mono, offset_minutes: i16) -> Option<Availability> {
        self.began?;
        let mut books = self.clone();
        books.book(now.max(self.at), offset_minutes);
        let dated = books.ahead.is_some();
        let period = |page: &Page, date: Option<String>| Period { date, tally: page.account.told() };
        Some(Availability {
            total: Account(books.total).told(),
            days: books
                .days
                .0
                .iter()
                .map(|page| {
                    let (y, m, d) = date(page.number);
                    period(page, dated.then(|| format!("{y:04}-{m:02}-{d:02}")))
                })
                .collect(),
            months: books
                .months
                .0
                .iter()
                .map(|page| {
                    let (y, m) = (page.number.div_euclid(12), page.number.rem_euclid(12) + 1);
                    period(page, Some(format!("{y:04}-{m:02}")))
                })
                .collect(),
        })
    }
}

/// Year, month and day of a day's number.
fn date(day: i64) -> (i64, u32, u32) {
    LocalTime { wall: Wall(day.saturating_mul(86_400_000)), offset_minutes: 0 }.date()
}

/// The number of a day's month.
fn month(day: i64) -> i64 {
    let (y, m, _) = date(day);
    y * 12 + i64::from(m) - 1
}
