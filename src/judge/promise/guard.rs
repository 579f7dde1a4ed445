//! Is the line quiet? And did the customer just show what it can do? From the WAN device's counters.
//!
//! Policy, in prose:
//!
//! * A test waits until the mean of `speed.quiet.window` is at most `speed.quiet.share` of the promise in both
//!   directions. Without counters nobody knows, and there is no test.
//! * While our own test runs the counters are ours, so what they held before and meanwhile is forgotten.
//! * The line has shown a rate when the mean of 10 s reaches it, or each of two windows of 1 s in a row. One alone
//!   shows nothing: a driver that reads its hardware late gives two seconds' bytes in one.

use crate::observation::Counted;
use linekeeper_contract::units::{Mono, Rate, Span};
use linekeeper_contract::vocabulary::Direction;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The long window of a proof.
const LONG: Span = Span::seconds(10);
/// Windows kept: a minute of readings, the longest `speed.quiet.window`.
const KEPT: usize = 64;
/// The longest reading that is one window of a short proof.
const SHORT_MOST: Span = Span::millis(1_500);
/// The shortest: below that a late reading weighs too much.
const SHORT_LEAST: Span = Span::millis(800);
/// The header of Ethernet, which the device counts and the IP layer does not.
const HEADER: u64 = 14;
/// Bytes that acknowledge are at most this part of those that they acknowledge: 40 to 74 bytes for one or two packets
/// of 1500.
const ACKNOWLEDGE: u64 = 20;
/// The customer uses the line in earnest: as much of the promise goes the way that our test leaves free.
const EARNEST: u64 = 300;
/// For so many windows in a row.
const EARNEST_WINDOWS: u8 = 2;

/// A reading: when it ended, how long it was, IP-layer bytes in and out.
type Window = (u64, u64, u64, u64);

/// The last readings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    windows: VecDeque<Window>,
    earnest: u8,
}

fn rate(bytes: u64, over: u64) -> Rate {
    Rate((u128::from(bytes) * 8_000 / u128::from(over.max(1))).min(u128::from(u64::MAX)) as u64)
}

fn bytes(window: &Window, direction: Direction) -> u64 {
    match direction {
        Direction::Download => window.2,
        Direction::Upload => window.3,
    }
}

impl Guard {
    /// Knows nothing any more.
    pub fn forget(&mut self) {
        self.windows.clear();
        self.earnest = 0;
    }

    /// What was read, was read so much later.
    pub fn rested(&mut self, by: Span) {
        self.windows.iter_mut().for_each(|w| w.0 = w.0.saturating_add(by.0));
    }

    /// Takes in a reading. `keep`: the longest window that anybody will ask for.
    pub fn counted(&mut self, now: Mono, counted: &Counted, keep: Span) {
        if counted.reset || counted.over == Span::ZERO {
            self.windows.clear();
            return;
        }
        let rx = counted.rx_bytes.saturating_sub(counted.rx_unicast.saturating_mul(HEADER));
        let tx = counted.tx_bytes.saturating_sub(counted.tx_packets.saturating_mul(HEADER));
        self.windows.push_back((now.0, counted.over.0, rx, tx));
        let keep = keep.max(LONG);
        while self.windows.len() > KEPT || self.windows.front().is_some_and(|w| now.since(Mono(w.0)) > keep) {
            self.windows.pop_front();
        }
    }

    /// The mean of both directions over the last `window`; none when it is not wholly known.
    fn mean(&self, now: Mono, window: Span) -> Option<(Rate, Rate)> {
        let from = now - window;
        let mut sum = (0u64, 0u64, 0u64);
        for w in self.windows.iter().rev().take_while(|w| w.0 > from.0) {
            sum = (sum.0.saturating_add(w.1), sum.1.saturating_add(w.2), sum.2.saturating_add(w.3));
        }
        // Readings are some milliseconds late, and the first began before the window did.
        let whole = sum.0.saturating_mul(10) >= window.0.saturating_mul(9);
        whole.then(|| (rate(sum.1, sum.0), rate(sum.2, sum.0)))
    }

    /// Whether both directions are at or below these rates. `None`: not known.
    pub fn quiet(&self, now: Mono, window: Span, most: (Rate, Rate)) -> Option<bool> {
        self.mean(now, window).map(|(down, up)| down <= most.0 && up <= most.1)
    }

    /// Whether every reading of the last `window` is above these rates in one direction (`true`), or none is: what goes
    /// on like that stays busy, or quiet. `None`: some are, or not all of it is known.
    pub fn evenly_busy(&self, now: Mono, window: Span, most: (Rate, Rate)) -> Option<bool> {
        self.mean(now, window)?;
        let from = now - window;
        let last = || self.windows.iter().rev().take_while(|w| w.0 > from.0);
        let busy = |w: &Window| rate(w.2, w.1) > most.0 || rate(w.3, w.1) > most.1;
        if last().all(busy) { Some(true) } else { (!last().any(busy)).then_some(false) }
    }

    /// The rate that the line has shown just now in one direction, if it is at least `bar`.
    pub fn shown(&self, now: Mono, direction: Direction, bar: Rate) -> Option<Rate> {
        let last = self.windows.iter().rev().take(2);
        let single = |w: &Window| (SHORT_LEAST.0..=SHORT_MOST.0).contains(&w.1);
        let low = last
            .clone()
            .map(|w| if single(w) { rate(bytes(w, direction), w.1) } else { Rate(0) })
            .min()
            .filter(|low| last.len() == 2 && *low >= bar);
        let mean = self.mean(now, LONG).map(|(down, up)| match direction {
            Direction::Download => down,
            Direction::Upload => up,
        });
        low.max(mean.filter(|mean| *mean >= bar))
    }

    /// While our own test runs: whether the customer began to use the line in earnest, seen by the direction that the
    /// test leaves free (`sold` there). The other one is the engine's to tell, who knows its own bytes.
    pub fn earnest(&mut self, counted: &Counted, test: Direction, sold: Rate) -> bool {
        let (own, other) = match test {
            Direction::Download => (counted.rx_bytes, counted.tx_bytes),
            Direction::Upload => (counted.tx_bytes, counted.rx_bytes),
        };
        let customer = rate(other.saturating_sub(own / ACKNOWLEDGE), counted.over.0);
        let much =
            !counted.reset && u128::from(customer.0) * 1_000 > u128::from(sold.0) * u128::from(EARNEST);
        self.earnest = if much { self.earnest.saturating_add(1) } else { 0 };
        self.earnest >= EARNEST_WINDOWS
    }
}
