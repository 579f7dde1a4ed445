//! Quantities with their units.
//!
//! Values are typed from the configuration reader to the message: no bare numbers in between. Only operators that make
//! sense exist: `Mono + Span` is a `Mono`, and two `Mono` cannot be added. Arithmetic saturates instead of overflowing.
//! Each type prints itself in the notation that people use.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A moment on the agent's own monotonic clock, in milliseconds.
///
/// The clock counts the time in which the gateway ran, without the time it was switched off. After a restart of the process
/// or a reboot it continues from the last snapshot, so moments stored on flash stay comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(pub u64);

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub u64);

/// A moment of civil time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub i64);

/// A data rate in bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub u64);

/// An amount of data in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A share in thousandths, from 0 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permille(pub u16);

impl Mono {
    /// The time since `earlier`; zero if `earlier` is in fact later.
    pub fn since(self, earlier: Mono) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Mono {
    type Output = Mono;
    fn add(self, span: Span) -> Mono {
        Mono(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Mono {
    type Output = Mono;
    fn sub(self, span: Span) -> Mono {
        Mono(self.0.saturating_sub(span.0))
    }
}

impl Span {
    /// Zero.
    pub const ZERO: Span = Span(0);
    /// How many multiples of this span lie in the interval from `from` (exclusive) to `from + by` (inclusive).
    ///
    /// Splitting an interval does not change the sum, so a periodic action is counted equally often in many short intervals
    /// and in one long one.
    pub fn falls_in(self, from: Mono, by: Span) -> u64 {
        let every = self.0.max(1);
        (from + by).0 / every - from.0 / every
    }
    /// `n` milliseconds.
    pub const fn millis(n: u64) -> Span {
        Span(n)
    }
    /// `n` seconds.
    pub const fn seconds(n: u64) -> Span {
        Span(n * 1_000)
    }
    /// `n` minutes.
    pub const fn minutes(n: u64) -> Span {
        Span(n * 60_000)
    }
    /// `n` hours.
    pub const fn hours(n: u64) -> Span {
        Span(n * 3_600_000)
    }
    /// `n` days of 24 hours.
    pub const fn days(n: u64) -> Span {
        Span(n * 86_400_000)
    }
    /// `n` times as long, at most `u64::MAX` milliseconds.
    pub fn times(self, n: u64) -> Span {
        Span(self.0.saturating_mul(n))
    }
    /// Whole seconds, rounded down.
    pub fn whole_seconds(self) -> u64 {
        self.0 / 1_000
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Span) {
        *self = *self + other;
    }
}

impl From<Span> for std::time::Duration {
    fn from(span: Span) -> Self {
        std::time::Duration::from_millis(span.0)
    }
}

/// In the two largest units: `"340 ms"`, `"2.4 s"`, `"5 min"`, `"1 h 20 min"`, `"3 d 4 h"`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        let two =
            |f: &mut fmt::Formatter<'_>, (big, big_unit): (u64, &str), (small, small_unit): (u64, &str)| {
                if small == 0 {
                    write!(f, "{big} {big_unit}")
                } else {
                    write!(f, "{big} {big_unit} {small} {small_unit}")
                }
            };
        match ms {
            0..1_000 => write!(f, "{ms} ms"),
            1_000..60_000 => {
                let (whole, tenth) = (ms / 1_000, ms % 1_000 / 100);
                if tenth == 0 { write!(f, "{whole} s") } else { write!(f, "{whole}.{tenth} s") }
            }
            60_000..3_600_000 => two(f, (ms / 60_000, "min"), (ms % 60_000 / 1_000, "s")),
            3_600_000..86_400_000 => two(f, (ms / 3_600_000, "h"), (ms % 3_600_000 / 60_000, "min")),
            _ => two(f, (ms / 86_400_000, "d"), (ms % 86_400_000 / 3_600_000, "h")),
        }
    }
}

/// With a decimal prefix, as in contracts: `"64 kbit/s"`, `"100 Mbit/s"`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s"])
    }
}

/// With a decimal prefix: `"15 MB"`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, &["B", "kB", "MB", "GB", "TB"])
    }
}

/// As a percentage: `"80 %"`, `"2.5 %"`.
impl fmt::Display for Permille {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, tenth) = (self.0 / 10, self.0 % 10);
        if tenth == 0 { write!(f, "{whole} %") } else { write!(f, "{whole}.{tenth} %") }
    }
}

/// Writes `n` with the largest decimal prefix that leaves at least 1, and with one decimal unless that is zero.
fn scaled(f: &mut fmt::Formatter<'_>, n: u64, units: &[&str]) -> fmt::Result {
    let mut scale = 1u64;
    let mut unit = 0;
    while unit + 1 < units.len() && n / scale >= 1_000 {
        scale *= 1_000;
        unit += 1;
    }
    let name = units[unit];
    let (whole, tenth) = (n / scale, n % scale * 10 / scale);
    if tenth == 0 { write!(f, "{whole} {name}") } else { write!(f, "{whole}.{tenth} {name}") }
}

/// A moment of civil time with its UTC offset, written and read as RFC 3339 with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// The moment.
    pub wall: Wall,
    /// Minutes east of UTC, -1439 to 1439.
    pub offset_minutes: i16,
}

/// The years 1 to 9999, in milliseconds since 1970: the range of RFC 3339.
const FIRST_YEAR_MS: i64 = -62_135_596_800_000;
const LAST_YEAR_MS: i64 = 253_402_300_799_999;

impl LocalTime {
    /// The calendar date at its UTC offset: year, month (1 to 12), day (1 to 31).
    pub fn date(self) -> (i64, u32, u32) {
        let day = self.local_ms().div_euclid(86_400_000);
        // Howard Hinnant's civil_from_days: the year starts in March, so that the leap day comes last.
        let z = day + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let d = (doy - (153 * mp + 2) / 5 + 1) as u32;
        let m = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
        (yoe + era * 400 + i64::from(m <= 2), m, d)
    }

    fn local_ms(self) -> i64 {
        self.wall.0.saturating_add(i64::from(self.offset_minutes) * 60_000).clamp(FIRST_YEAR_MS, LAST_YEAR_MS)
    }

    /// Parses RFC 3339: `2026-11-20T10:32:07+08:00`, with an optional fraction, `Z` for UTC.
    ///
    /// # Errors
    /// What does not conform to RFC 3339, in words.
    pub fn parse(text: &str) -> Result<LocalTime, &'static str> {
        const SHAPE: &str = "not a date like 2026-11-20T09:00:00+08:00";
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Result<i64, &'static str> {
            let digits = bytes.get(from..to).ok_or(SHAPE)?;
            if !digits.iter().all(u8::is_ascii_digit) {
                return Err(SHAPE);
            }
            Ok(digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
        };
        let mark = |at: usize, want: &[u8]| {
            bytes.get(at).is_some_and(|b| want.contains(b)).then_some(()).ok_or(SHAPE)
        };
        mark(4, b"-")?;
        mark(7, b"-")?;
        mark(10, b"Tt ")?;
        mark(13, b":")?;
        mark(16, b":")?;
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let mut at = 19;
        let mut millis = 0;
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            let from = at;
            let mut scale = 100;
            while let Some(d) = bytes.get(at).filter(|b| b.is_ascii_digit()) {
                millis += i64::from(d - b'0') * scale;
                scale /= 10;
                at += 1;
            }
            if at == from {
                return Err(SHAPE);
            }
        }
        let offset_minutes = match bytes.get(at) {
            Some(b'Z' | b'z') if bytes.len() == at + 1 => 0,
            Some(sign @ (b'+' | b'-')) if bytes.len() == at + 6 => {
                mark(at + 3, b":")?;
                let (h, m) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
                if h > 23 || m > 59 {
                    return Err("an offset outside -23:59 to +23:59");
                }
                let minutes = (h * 60 + m) as i16;
                if *sign == b'-' { -minutes } else { minutes }
            }
            _ => return Err(SHAPE),
        };
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_in_month = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return Err("a month outside 1 to 12"),
        };
        if year < 1 || day < 1 || day > days_in_month {
            return Err("a day that its month does not have");
        }
        // 60 is a leap second. It counts as the next second, as in POSIX.
        if hour > 23 || minute > 59 || second > 60 {
            return Err("a time of day outside 00:00:00 to 23:59:60");
        }
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let era = y.div_euclid(400);
        let yoe = y.rem_euclid(400);
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + (153 * m + 2) / 5 + day - 1;
        let days = era * 146_097 + doe - 719_468;
        let local = ((days * 24 + hour) * 60 + minute) * 60 + second;
        let wall = Wall((local - i64::from(offset_minutes) * 60) * 1_000 + millis);
        Ok(LocalTime { wall, offset_minutes })
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let ms = self.local_ms().rem_euclid(86_400_000);
        let (h, m, s, milli) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{milli:03}")?;
        match self.offset_minutes {
            0 => write!(f, "Z"),
            o => write!(f, "{}{:02}:{:02}", if o < 0 { '-' } else { '+' }, o.abs() / 60, o.abs() % 60),
        }
    }
}

impl Serialize for LocalTime {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LocalTime {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        LocalTime::parse(&text).map_err(|why| serde::de::Error::custom(format!("{why}: {text:?}")))
    }
}

/// A temperature in thousandths of a degree Celsius, the unit of the kernel's sensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millicelsius(pub i32);

impl fmt::Display for Millicelsius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, tenth) = (self.0.unsigned_abs() / 1_000, self.0.unsigned_abs() % 1_000 / 100);
        match tenth {
            0 => write!(f, "{sign}{whole} °C"),
            tenth => write!(f, "{sign}{whole}.{tenth} °C"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_prints_its_two_largest_units() {
        for (ms, text) in [
            (340, "340 ms"),
            (2_450, "2.4 s"),
            (5_000, "5 s"),
            (300_000, "5 min"),
            (65_000, "1 min 5 s"),
            (4_800_000, "1 h 20 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(Span(ms).to_string(), text);
        }
    }

    #[test]
    fn quantities_print_with_a_decimal_prefix_and_at_most_one_decimal() {
        assert_eq!(Rate(64_000).to_string(), "64 kbit/s");
        assert_eq!(Rate(2_500_000).to_string(), "2.5 Mbit/s");
        assert_eq!(Rate(999).to_string(), "999 bit/s");
        assert_eq!(Bytes(15_000_000).to_string(), "15 MB");
        assert_eq!(Permille(25).to_string(), "2.5 %");
        assert_eq!(Millicelsius(95_000).to_string(), "95 °C");
        assert_eq!(Millicelsius(-1_250).to_string(), "-1.2 °C");
    }

    #[test]
    fn parsed_date_prints_the_same_text() {
        for text in [
            "2026-11-20T10:32:07.000+08:00",
            "1970-01-01T00:00:00.000Z",
            "2000-02-29T23:59:59.999-03:30",
            "2038-01-19T03:14:08.000Z",
            "1999-12-31T23:59:59.001+14:00",
        ] {
            assert_eq!(LocalTime::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(LocalTime::parse("2026-11-20T02:32:07Z").unwrap().wall, Wall(1_795_141_927_000));
    }

    #[test]
    fn invalid_date_is_refused_with_the_reason() {
        for (text, why) in [
            ("tomorrow", "not a date"),
            ("2026-13-01T00:00:00Z", "a month"),
            ("2026-02-29T00:00:00Z", "a day that its month does not have"),
            ("2026-02-20T24:00:00Z", "a time of day"),
            ("2026-02-20T00:00:00", "not a date"),
            ("2026-02-20T00:00:00+25:00", "an offset"),
            ("2026-02-20T00:00:00.Z", "not a date"),
            ("２０２６-02-20T00:00:00Z", "not a date"),
        ] {
            let refused = LocalTime::parse(text).unwrap_err();
            assert!(refused.starts_with(why), "{text}: {refused}");
        }
    }
}
