//! What a line carries at which hour of the week: weeks of hours, a byte each.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Weeks remembered: the last four outweigh those before them, so that a new habit is the usual one after a month.
pub const WEEKS: usize = crate::config::usage::WEEKS;
/// A week that lies further back says nothing of today: the gateway was in a drawer.
pub(super) const WEEKS_BACK: i64 = 26;
/// Hours of a week.
pub(super) const HOURS: usize = 168;

/// Rates below this are one step: 1 kbit/s.
pub(super) const LEAST_OCTAVE: u32 = 10;
/// Steps an octave.
pub(super) const PER_OCTAVE: u32 = 8;

/// A rate as one byte: 0 is none, then 1 and eighths of octaves from 1 kbit/s up.
pub(super) fn code(bps: u64) -> u8 {
    let bps = bps.max(1 << LEAST_OCTAVE);
    let octave = bps.ilog2();
    let part = (bps >> (octave - PER_OCTAVE.ilog2())) as u32 & (PER_OCTAVE - 1);
    u8::try_from((octave - LEAST_OCTAVE) * PER_OCTAVE + part + 1).unwrap_or(u8::MAX)
}

/// The middle of a step, bit/s.
pub(super) fn rate(code: u8) -> u64 {
    let steps = u32::from(code.max(1)) - 1;
    let (octave, part) = (steps / PER_OCTAVE + LEAST_OCTAVE, steps % PER_OCTAVE);
    let width = 1u64 << (octave - PER_OCTAVE.ilog2());
    u64::from(PER_OCTAVE + part) * width + width / 2
}

/// Bytes of codes; hexadecimal digits in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Codes<const N: usize>(pub(super) Box<[u8; N]>);

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
pub(super) struct Week {
    /// Weeks since that of 1970-01-01.
    pub(super) week: i64,
    pub(super) received: Codes<HOURS>,
    pub(super) sent: Codes<HOURS>,
}

/// What this line carries at which hour of the week, up to the end of yesterday.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    pub(super) weeks: Vec<Week>,
}

/// The hours of the present day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Today {
    /// Days since 1970-01-01.
    pub(super) day: i64,
    pub(super) received: Codes<24>,
    pub(super) sent: Codes<24>,
}

/// Days since 1970-01-01 (a Thursday) as a week and a day in it, Monday 0.
pub(super) fn week_of(day: i64) -> (i64, usize) {
    (day.saturating_add(3).div_euclid(7), day.saturating_add(3).rem_euclid(7) as usize)
}

pub(super) fn median(sorted: &[u64]) -> u64 {
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
pub(super) struct Season {
    /// bit/s.
    pub(super) median: u64,
    /// Median of the distances from it, bit/s.
    pub(super) mad: u64,
    /// Weeks that it rests on.
    pub(super) weeks: usize,
}

impl Usual {
    /// Nothing was learnt yet.
    pub fn is_empty(&self) -> bool {
        self.weeks.is_empty()
    }

    /// Enters a day that is over.
    pub(super) fn enter(&mut self, today: &Today) {
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
    pub(super) fn season(&self, way: Way, hour: usize, least: u32) -> Option<Season> {
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
    pub(super) fn beside(&self, way: Way, hour: usize, least: u32) -> impl Iterator<Item = Season> {
        [HOURS - 1, 1].into_iter().filter_map(move |by| self.season(way, (hour + by) % HOURS, least))
    }

    /// The median of the busiest hour, coming in.
    pub(super) fn busiest(&self, least: u32) -> u64 {
        (0..HOURS)
            .filter_map(|hour| self.season(Way::Received, hour, least))
            .map(|s| s.median)
            .max()
            .unwrap_or(0)
    }

    /// Hours of the week that are known from so many weeks.
    pub(super) fn known(&self, least: u32) -> usize {
        (0..HOURS).filter(|hour| self.season(Way::Received, *hour, least).is_some()).count()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Received,
    Sent,
}

impl Way {
    /// What belongs to it.
    pub(super) fn of<T>(self, received: T, sent: T) -> T {
        match self {
            Way::Received => received,
            Way::Sent => sent,
        }
    }
}
