//! What tests may cost: bytes in any 24 hours and in any 31 days.
//!
//! Policy, in prose:
//!
//! * The most that a round of tests can cost is taken from the budget before it begins and is on flash before the first
//!   byte is sent; what was not spent is given back when its end is told. A death in the middle therefore counts the
//!   whole, and no death lets anything be spent twice.
//! * Time is our own clock, which stands still while the gateway is off: neither a set clock nor a reboot makes a new
//!   day. Any 24 hours of civil time hold at most 24 of ours, so no calendar day and no calendar month is overrun.
//! * Bytes are kept by the hour for the day and by the day for the month, and count until the last of their hour (or
//!   day) is out of the window: never too little.

use linekeeper_contract::units::{Bytes, Mono, Span};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The short window.
pub const DAY: Span = Span::days(1);
/// The long one: the longest calendar month.
pub const MONTH: Span = Span::days(31);

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// What was spent, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// By the hour, for [`DAY`]: at most 25.
    hours: VecDeque<(u64, u64)>,
    /// By the day, for [`MONTH`]: at most 32.
    days: VecDeque<(u64, u64)>,
}

/// Bytes that were taken and may be partly given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// When.
    pub at: Mono,
    /// How many.
    pub bytes: Bytes,
}

fn add(windows: &mut VecDeque<(u64, u64)>, place: u64, bytes: u64) {
    match windows.iter_mut().find(|(at, _)| *at == place) {
        Some((_, spent)) => *spent = spent.saturating_add(bytes),
        None => windows.push_back((place, bytes)),
    }
}

/// When what was spent in a place of `unit` does not count any more.
fn ends(place: u64, unit: u64, window: Span) -> u64 {
    place.saturating_add(1).saturating_mul(unit).saturating_add(window.0)
}

fn sum(windows: &VecDeque<(u64, u64)>, unit: u64, window: Span, now: Mono) -> u64 {
    let counts = |place: u64| ends(place, unit, window) > now.0;
    windows.iter().filter(|(place, _)| counts(*place)).fold(0, |n: u64, (_, spent)| n.saturating_add(*spent))
}

impl Budget {
    /// Takes bytes before they are spent.
    pub fn reserve(&mut self, now: Mono, bytes: Bytes) -> Reserve {
        let (hour, day) = (now.0 / HOUR_MS, now.0 / DAY_MS);
        self.hours.retain(|(at, _)| ends(*at, HOUR_MS, DAY) > now.0);
        self.days.retain(|(at, _)| ends(*at, DAY_MS, MONTH) > now.0);
        add(&mut self.hours, hour, bytes.0);
        add(&mut self.days, day, bytes.0);
        Reserve { at: now, bytes }
    }

    /// It is over and cost that much: the difference is given back, or added.
    pub fn settle(&mut self, reserve: Reserve, cost: Bytes) {
        for (windows, unit) in [(&mut self.hours, HOUR_MS), (&mut self.days, DAY_MS)] {
            if let Some((_, spent)) = windows.iter_mut().find(|(at, _)| *at == reserve.at.0 / unit) {
                *spent = spent.saturating_sub(reserve.bytes.0).saturating_add(cost.0);
            }
        }
    }

    /// Spent in the last day, with what is reserved.
    pub fn day(&self, now: Mono) -> Bytes {
        Bytes(sum(&self.hours, HOUR_MS, DAY, now))
    }

    /// Spent in the last month, with what is reserved.
    pub fn month(&self, now: Mono) -> Bytes {
        Bytes(sum(&self.days, DAY_MS, MONTH, now))
    }

    /// What is free of both.
    pub fn free(&self, now: Mono, day: Bytes, month: Bytes) -> Bytes {
        let left = |limit: Bytes, spent: Bytes| limit.0.saturating_sub(spent.0);
        Bytes(left(day, self.day(now)).min(left(month, self.month(now))))
    }

    /// When so many bytes will be free, at the latest a month from now.
    pub fn frees(&self, now: Mono, need: Bytes, day: Bytes, month: Bytes) -> Mono {
        let hours = self.hours.iter().map(|(at, _)| ends(*at, HOUR_MS, DAY));
        let days = self.days.iter().map(|(at, _)| ends(*at, DAY_MS, MONTH));
        let mut moments: Vec<u64> = hours.chain(days).filter(|at| *at > now.0).collect();
        moments.sort_unstable();
        let enough = |at: &u64| self.free(Mono(*at), day, month) >= need;
        moments.into_iter().find(enough).map_or(now + MONTH, Mono)
    }
}
