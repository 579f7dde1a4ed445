//! Quantities as people write them: a decimal number and its unit, `"100 Mbit/s"`, `"5 s"`, `"0.5 %"`.

use super::pattern::Pattern;
use linekeeper_contract::units::{Bytes, Millicelsius, Permille, Rate, Span};
use std::fmt;

/// A kind of quantity, and the units it is written in.
pub trait Quantity: Copy + Ord + fmt::Display {
    /// What a text of it looks like.
    const PATTERN: Pattern;
    /// Units and their size in the finest step that is kept.
    const UNITS: &[(&str, u64)];
    /// The units in words.
    const UNITS_IN_WORDS: &str;
    /// How it is written.
    const EXAMPLE: &str;
    /// That many of the finest step; `None` if the type cannot hold it.
    fn of(steps: u64) -> Option<Self>;
}

impl Quantity for Span {
    const PATTERN: Pattern = Pattern::Time;
    const UNITS: &[(&str, u64)] =
        &[("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    const UNITS_IN_WORDS: &str = "ms, s, min, h and d";
    const EXAMPLE: &str = "500 ms";
    fn of(steps: u64) -> Option<Self> {
        Some(Span(steps))
    }
}

impl Quantity for Rate {
    const PATTERN: Pattern = Pattern::Rate;
    const UNITS: &[(&str, u64)] =
        &[("bit/s", 1), ("kbit/s", 1_000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000)];
    const UNITS_IN_WORDS: &str = "bit/s, kbit/s, Mbit/s and Gbit/s";
    const EXAMPLE: &str = "100 Mbit/s";
    fn of(steps: u64) -> Option<Self> {
        Some(Rate(steps))
    }
}

impl Quantity for Bytes {
    const PATTERN: Pattern = Pattern::Size;
    const UNITS: &[(&str, u64)] = &[("B", 1), ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
    const UNITS_IN_WORDS: &str = "B, kB, MB and GB, in powers of 1000";
    const EXAMPLE: &str = "256 kB";
    fn of(steps: u64) -> Option<Self> {
        Some(Bytes(steps))
    }
}

impl Quantity for Permille {
    const PATTERN: Pattern = Pattern::Share;
    const UNITS: &[(&str, u64)] = &[("%", 10)];
    const UNITS_IN_WORDS: &str = "%, in steps of 0.1 %";
    const EXAMPLE: &str = "0.5 %";
    fn of(steps: u64) -> Option<Self> {
        u16::try_from(steps).ok().map(Permille)
    }
}

impl Quantity for Millicelsius {
    const PATTERN: Pattern = Pattern::Temperature;
    const UNITS: &[(&str, u64)] = &[("°C", 1_000), ("C", 1_000)];
    const UNITS_IN_WORDS: &str = "°C or C";
    const EXAMPLE: &str = "95 °C";
    fn of(steps: u64) -> Option<Self> {
        i32::try_from(steps).ok().map(Millicelsius)
    }
}

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Does not begin with a decimal number.
    NotANumber,
    /// A number alone.
    NoUnit,
    /// A number and something else.
    UnknownUnit,
    /// Not a whole number of the finest steps.
    TooFine,
    /// Below zero, or more than can be counted.
    OutOfRange,
}

impl Refusal {
    /// What to try, to be added to what must be and what is.
    pub fn advice<Q: Quantity>(self) -> String {
        match self {
            Refusal::NotANumber => format!(": write it like \"{}\"", Q::EXAMPLE),
            Refusal::NoUnit => format!(": name the unit, as in \"{}\"", Q::EXAMPLE),
            Refusal::UnknownUnit => format!(": the units are {}", Q::UNITS_IN_WORDS),
            Refusal::TooFine => format!(": too fine; the units are {}", Q::UNITS_IN_WORDS),
            Refusal::OutOfRange => String::new(),
        }
    }
}

/// More digits than this, before or after the point, are no quantity: 10^12 of the largest unit still fits in `u128`.
const DIGITS: usize = 12;

/// Reads a decimal number and its unit; spaces around both are free, the unit's case is not (`mbit` is not `Mbit`).
pub fn parse<Q: Quantity>(text: &str) -> Result<Q, Refusal> {
    steps(text, Q::UNITS).and_then(|steps| Q::of(steps).ok_or(Refusal::OutOfRange))
}

/// How many of the finest step; not generic, so that a router has it once.
fn steps(text: &str, units: &[(&str, u64)]) -> Result<u64, Refusal> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => {
            let (fraction, rest) = split_digits(after);
            if fraction.is_empty() {
                return Err(Refusal::NotANumber);
            }
            (fraction, rest)
        }
        None => ("", rest),
    };
    if whole.is_empty() {
        return Err(Refusal::NotANumber);
    }
    let unit = rest.trim_start();
    if unit.is_empty() {
        return Err(Refusal::NoUnit);
    }
    let (_, size) = units.iter().find(|(name, _)| *name == unit).ok_or(Refusal::UnknownUnit)?;
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > DIGITS {
        return Err(Refusal::TooFine);
    }
    if whole.len() > DIGITS {
        return Err(Refusal::OutOfRange);
    }
    let digits = |text: &str| text.bytes().fold(0u128, |n, d| n * 10 + u128::from(d - b'0'));
    let parts = 10u128.pow(fraction.len() as u32);
    let scaled = (digits(whole) * parts + digits(fraction)) * u128::from(*size);
    if !scaled.is_multiple_of(parts) {
        return Err(Refusal::TooFine);
    }
    let steps = scaled / parts;
    if negative && steps > 0 {
        return Err(Refusal::OutOfRange);
    }
    u64::try_from(steps).map_err(|_| Refusal::OutOfRange)
}

/// The ASCII digits that `text` begins with, and the rest.
fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, ms) in
            [("500 ms", 500), ("5 s", 5_000), ("2 min", 120_000), ("1 h", 3_600_000), ("1 d", 86_400_000)]
        {
            assert_eq!(parse(text), Ok(Span(ms)), "{text}");
        }
        for (text, bit) in [
            ("9600 bit/s", 9_600),
            ("64 kbit/s", 64_000),
            ("100 Mbit/s", 100_000_000),
            ("1 Gbit/s", 1_000_000_000),
            ("2.5 Mbit/s", 2_500_000),
        ] {
            assert_eq!(parse(text), Ok(Rate(bit)), "{text}");
        }
        for (text, bytes) in
            [("12 B", 12), ("256 kB", 256_000), ("1 MB", 1_000_000), ("20 GB", 20_000_000_000)]
        {
            assert_eq!(parse(text), Ok(Bytes(bytes)), "{text}");
        }
        for (text, permille) in [("1 %", 10), ("0.5 %", 5), ("100%", 1_000)] {
            assert_eq!(parse(text), Ok(Permille(permille)), "{text}");
        }
        for (text, thousandths) in [("95 °C", 95_000), ("72.5 C", 72_500)] {
            assert_eq!(parse(text), Ok(Millicelsius(thousandths)), "{text}");
        }
    }

    #[test]
    fn spaces_are_free_and_decimals_are_exact() {
        for text in ["1.5s", " 1.5  s ", "1500 ms", "01.50 s", "0.025 min"] {
            assert_eq!(parse(text), Ok(Span(1_500)), "{text}");
        }
        assert_eq!(parse("-0 s"), Ok(Span(0)));
        assert_eq!(parse("0.1 Gbit/s"), Ok(Rate(100_000_000)));
    }

    #[test]
    fn what_is_no_quantity_is_told_apart() {
        use Refusal::*;
        let nines = "9".repeat(100_000);
        for (text, why) in [
            ("", NotANumber),
            ("soon", NotANumber),
            ("NaN s", NotANumber),
            ("inf s", NotANumber),
            (".5 s", NotANumber),
            ("5. s", NotANumber),
            ("+5 s", NotANumber),
            ("５ s", NotANumber),
            ("5", NoUnit),
            ("5 sec", UnknownUnit),
            ("1e3 s", UnknownUnit),
            ("5 S", UnknownUnit),
            ("1,5 s", UnknownUnit),
            ("5 s s", UnknownUnit),
            ("0x10 s", UnknownUnit),
            ("0.5 ms", TooFine),
            ("0.3333333333333333333 d", TooFine),
            ("-5 s", OutOfRange),
            ("999999999999 d", OutOfRange),
            ("9999999999999999999999 d", OutOfRange),
            (&format!("{nines} s"), OutOfRange),
            (&format!("0.{nines} s"), TooFine),
            (&nines, NoUnit),
        ] {
            assert_eq!(parse::<Span>(text), Err(why), "{:.30}", text);
        }
        assert_eq!(parse::<Permille>("6553.6 %"), Err(OutOfRange));
        assert_eq!(parse::<Permille>("0.05 %"), Err(TooFine));
        assert_eq!(parse::<Rate>("100 MB/s"), Err(UnknownUnit));
        assert_eq!(parse::<Millicelsius>("95 F"), Err(UnknownUnit));
    }
}
