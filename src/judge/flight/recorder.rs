//! The flight recorder: one sample a second for the last 15 minutes, in memory; and the recording attached to an incident.
//!
//! It is filled from observations alone, so a replayed trace gives the same recording. [`KEPT`] samples of 16 bytes are
//! 14 400 bytes. The usual snapshot does not contain it (that would be some hundred kilobytes of flash a day). The snapshot
//! of a trace does, and so does that of our own reboot, so that the next process still knows what happened before.
//!
//! An incident gets the minute before its first break and the minute after it ([`Recording`]), as columns with one entry a
//! second. The recording is extracted when the second minute is over; if it is needed earlier, it ends early.

use crate::outage::line::LineState;
use linekeeper_contract::message::Stamp;
use linekeeper_contract::recording::{Recording, Run};
use linekeeper_contract::units::{Mono, Span};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Seconds kept: a quarter of an hour. The ladder's first pass and the wait for a callback fit in.
pub const KEPT: usize = 900;
/// Seconds recorded before and after an incident's first break. A minute before shows what led to it (a loaded line, rising
/// round-trip times, losses); a minute after shows how it went on, and what the first remedies did.
pub const BEFORE: u64 = 60;
/// See [`BEFORE`].
pub const AFTER: u64 = 60;

/// One second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sample {
    /// [`LINE`] and the flags below.
    flags: u8,
    /// Echoes sent.
    asked: u8,
    /// Echo replies received.
    answered: u8,
    /// Echoes given up or not sent.
    lost: u8,
    /// The longest round-trip time, microseconds.
    rtt_us: u32,
    /// Received and sent, kbit/s.
    rx_kbps: u32,
    tx_kbps: u32,
}

const _: () = assert!(size_of::<Sample>() == 16, "what the documentation says of the memory");

/// Bits of the line's state: 0 unknown, 1 up, 2 down.
const LINE: u8 = 0b11;
/// The link is whole.
const LINK: u8 = 0b100;
/// A remedy is running.
const REMEDY: u8 = 0b1000;
/// Our own speed test is running.
const TEST: u8 = 0b1_0000;
/// This second was observed.
const WATCHED: u8 = 0b10_0000;

/// The state at the end of a second.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The line.
    pub line: LineState,
    /// The link is whole.
    pub link: bool,
    /// A remedy is running.
    pub remedy: bool,
    /// Our own speed test is running.
    pub test: bool,
}

/// The recorder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flight {
    /// Completed seconds, oldest first; the last is the one before `second`.
    past: VecDeque<Sample>,
    /// The present second of the monotonic clock, and its sample so far.
    second: u64,
    now: Sample,
}

impl Flight {
    /// Advances to `now`. A second that ended is completed with the state `seen`.
    #[inline]
    pub fn passes(&mut self, now: Mono, seen: impl FnOnce() -> Seen) {
        let second = now.0 / 1_000;
        if second != self.second {
            self.end_second(second, seen());
        }
    }

    #[inline(never)]
    fn end_second(&mut self, second: u64, seen: Seen) {
        if self.second > 0 {
            self.now.flags = WATCHED
                | match seen.line {
                    LineState::Unknown => 0,
                    LineState::Up => 1,
                    LineState::Down => 2,
                }
                | if seen.link { LINK } else { 0 }
                | if seen.remedy { REMEDY } else { 0 }
                | if seen.test { TEST } else { 0 };
            self.push();
            // In trouble the judge runs at least twice a second. With slow probing the state of the last second is repeated.
            let missed = second.saturating_sub(self.second + 1);
            if missed > 0 {
                let stood = if missed <= 5 { self.past.back().map_or(0, |s| s.flags) } else { 0 };
                let missed = missed.min(KEPT as u64) as usize;
                let room = KEPT - missed;
                self.past.drain(..self.past.len().saturating_sub(room));
                self.past.extend(std::iter::repeat_n(Sample { flags: stood, ..Sample::default() }, missed));
            }
        }
        self.second = second;
    }

    fn push(&mut self) {
        if self.past.capacity() < KEPT {
            self.past.reserve_exact(KEPT - self.past.len());
        }
        if self.past.len() >= KEPT {
            self.past.pop_front();
        }
        self.past.push_back(std::mem::take(&mut self.now));
    }

    /// Echoes were sent.
    pub fn asked(&mut self, n: usize) {
        self.now.asked = self.now.asked.saturating_add(u8::try_from(n).unwrap_or(u8::MAX));
    }

    /// An echo reply was received.
    pub fn answered(&mut self, rtt_us: u32) {
        self.now.answered = self.now.answered.saturating_add(1);
        self.now.rtt_us = self.now.rtt_us.max(rtt_us);
    }

    /// An echo was given up, or not sent.
    pub fn lost(&mut self) {
        self.now.lost = self.now.lost.saturating_add(1);
    }

    /// Bytes counted by the interface over a span of time.
    pub fn counted(&mut self, over: Span, rx_bytes: u64, tx_bytes: u64) {
        let kbps = |bytes: u64| {
            let kilobits = bytes.saturating_mul(8) / over.0.max(1);
            u32::try_from(kilobits).unwrap_or(u32::MAX)
        };
        (self.now.rx_kbps, self.now.tx_kbps) = (kbps(rx_bytes), kbps(tx_bytes));
    }

    /// The number of completed seconds kept.
    pub fn len(&self) -> usize {
        self.past.len()
    }

    /// Nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.past.is_empty()
    }

    /// The minute before `broke` and the minute after it, as far as they are kept.
    pub fn around(&self, broke: Mono, stamp: impl Fn(Mono) -> Stamp) -> Option<Recording> {
        let broke = broke.0 / 1_000;
        self.part(broke.saturating_sub(BEFORE), broke, broke + AFTER, stamp)
    }

    /// Seconds from `from` until before `to`, as far as they are kept.
    fn part(&self, from: u64, broke: u64, to: u64, stamp: impl Fn(Mono) -> Stamp) -> Option<Recording> {
        let first = self.second.saturating_sub(self.past.len() as u64);
        let (from, to) = (from.max(first), to.min(self.second));
        if from >= to {
            return None;
        }
        let kept = || self.past.iter().skip((from - first) as usize).take((to - from) as usize);
        let letters = |letter: fn(u8) -> char| kept().map(|s| letter(s.flags)).collect();
        let runs = |number: fn(&Sample) -> u32| {
            let mut runs: Vec<Run> = Vec::new();
            for n in kept().map(number) {
                match runs.last_mut() {
                    Some(run) if run.n == n => run.times += 1,
                    Some(_) | None => runs.push(Run { n, times: 1 }),
                }
            }
            runs
        };
        Some(Recording {
            from: stamp(Mono(from * 1_000)),
            broke: u32::try_from(broke.saturating_sub(from)).unwrap_or(0),
            line: letters(|f| match (f & WATCHED, f & LINE) {
                (0, _) => '-',
                (_, 1) => 'u',
                (_, 2) => 'd',
                _ => '?',
            }),
            link: letters(|f| match (f & WATCHED, f & LINK) {
                (0, _) => '-',
                (_, 0) => 'x',
                _ => '+',
            }),
            ours: letters(|f| match (f & REMEDY, f & TEST) {
                (0, 0) => '.',
                (0, _) => 't',
                _ => 'r',
            }),
            asked: runs(|s| s.asked.into()),
            answered: runs(|s| s.answered.into()),
            lost: runs(|s| s.lost.into()),
            rtt_us: runs(|s| s.rtt_us),
            rx_kbps: runs(|s| s.rx_kbps),
            tx_kbps: runs(|s| s.tx_kbps),
        })
    }
}

/// Its form in a snapshot: the present second, and 32 hexadecimal digits for each second.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    second: u64,
    now: String,
    past: String,
}

const DIGITS: usize = 32;

fn hex(sample: &Sample, into: &mut String) {
    use std::fmt::Write;
    let Sample { flags, asked, answered, lost, rtt_us, rx_kbps, tx_kbps } = sample;
    // Writing to a String does not fail.
    let _ =
        write!(into, "{flags:02x}{asked:02x}{answered:02x}{lost:02x}{rtt_us:08x}{rx_kbps:08x}{tx_kbps:08x}");
}

fn unhex(text: &str) -> Option<Sample> {
    let number = |from: usize, to: usize| u32::from_str_radix(text.get(from..to)?, 16).ok();
    let byte = |from: usize| u8::try_from(number(from, from + 2)?).ok();
    Some(Sample {
        flags: byte(0)?,
        asked: byte(2)?,
        answered: byte(4)?,
        lost: byte(6)?,
        rtt_us: number(8, 16)?,
        rx_kbps: number(16, 24)?,
        tx_kbps: number(24, 32)?,
    })
}

impl Serialize for Flight {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut past = String::with_capacity(self.past.len() * DIGITS);
        self.past.iter().for_each(|sample| hex(sample, &mut past));
        let mut now = String::with_capacity(DIGITS);
        hex(&self.now, &mut now);
        Written { second: self.second, now, past }.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Flight {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Flight, D::Error> {
        use serde::de::Error;
        let written = Written::deserialize(d)?;
        let wrong = || D::Error::custom("not a flight recorder's part");
        if !written.past.is_ascii()
            || !written.past.len().is_multiple_of(DIGITS)
            || written.past.len() > KEPT * DIGITS
        {
            return Err(wrong());
        }
        let mut past = VecDeque::with_capacity(KEPT);
        for at in (0..written.past.len()).step_by(DIGITS) {
            past.push_back(written.past.get(at..at + DIGITS).and_then(unhex).ok_or_else(wrong)?);
        }
        Ok(Flight { past, second: written.second, now: unhex(&written.now).ok_or_else(wrong)? })
    }
}
