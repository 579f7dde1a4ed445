//! The gateway itself: does it do badly?
//!
//! A reading that is at or beyond `failing` in `health.readings` readings in a row makes a warning; the first at
//! `recovering` or better ends it; between the two all stays as it is. A warning is told in the log and in `status`, and
//! changes nothing else: what it warns of has not happened yet.

use super::Judge;
use crate::action::Level;
use crate::check::DeviceSeen;
use crate::config::{Health, Limits};
use crate::observation::Observation;
use crate::units::{Millicelsius, Mono, Permille};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// What is remembered of the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// One for each of [`Reading::ALL`].
    gauges: [Gauge; 5],
}

/// A warning that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// `cpu`, `memory`, `flash`, `temperature`, `conntrack`.
    pub name: String,
    /// For people, with the last reading.
    pub text: String,
    /// For how long, milliseconds.
    pub since_ms: u64,
}

/// One reading's history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Gauge {
    /// Readings in a row at or beyond `failing`.
    beyond: u32,
    /// Since when it is warned of.
    since: Option<Mono>,
    /// The last reading, in its own unit.
    last: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Cpu,
    Memory,
    Flash,
    Temperature,
    Conntrack,
}

impl Reading {
    const ALL: [Reading; 5] =
        [Reading::Cpu, Reading::Memory, Reading::Flash, Reading::Temperature, Reading::Conntrack];

    const fn name(self) -> &'static str {
        match self {
            Reading::Cpu => "cpu",
            Reading::Memory => "memory",
            Reading::Flash => "flash",
            Reading::Temperature => "temperature",
            Reading::Conntrack => "conntrack",
        }
    }

    /// Its value, where there is one, and its limits, so turned that more is worse.
    fn of(self, seen: &DeviceSeen, policy: &Health) -> (Option<i32>, Limits<i32>) {
        let share = |value: Option<u16>, limits: Limits<Permille>| {
            let number = |share: Permille| i32::from(share.0);
            let limits = Limits { failing: number(limits.failing), recovering: number(limits.recovering) };
            (value.map(i32::from), limits)
        };
        match self {
            Reading::Cpu => share(seen.cpu, policy.cpu),
            Reading::Memory => share(seen.memory_free, policy.memory),
            Reading::Flash => share(seen.flash_free, policy.flash),
            Reading::Conntrack => share(seen.conntrack, policy.conntrack),
            Reading::Temperature => {
                let Limits { failing, recovering } = policy.temperature;
                (seen.temperature, Limits { failing: failing.0, recovering: recovering.0 })
            }
        }
    }

    /// What a value says to people.
    fn words(self, value: i32) -> String {
        let share = Permille(u16::try_from(value).unwrap_or(0));
        let of: &dyn Display = match self {
            Reading::Temperature => &Millicelsius(value),
            Reading::Cpu | Reading::Memory | Reading::Flash | Reading::Conntrack => &share,
        };
        match self {
            Reading::Cpu => format!("{of} of the processor are in use"),
            Reading::Memory => format!("{of} of the memory are available"),
            Reading::Flash => format!("{of} of the flash are free"),
            Reading::Temperature => format!("the hottest sensor shows {of}"),
            Reading::Conntrack => format!("{of} of the connection table are in use"),
        }
    }
}

impl State {
    /// Takes a reading in; says what began (true) and what ended.
    fn seen(&mut self, now: Mono, seen: &DeviceSeen, policy: &Health) -> Vec<(bool, String)> {
        let mut turns = Vec::new();
        for (reading, gauge) in Reading::ALL.into_iter().zip(&mut self.gauges) {
            // What is not told now says nothing: neither that it is bad nor that it is well.
            let (Some(value), limits) = reading.of(seen, policy) else { continue };
            gauge.last = value;
            // Of memory and flash less is worse.
            let rising = limits.failing > limits.recovering;
            let beyond = |limit: i32| if rising { value >= limit } else { value <= limit };
            if beyond(limits.failing) {
                gauge.beyond = gauge.beyond.saturating_add(1);
            } else {
                gauge.beyond = 0;
            }
            let well = value == limits.recovering || !beyond(limits.recovering);
            match gauge.since {
                None if gauge.beyond >= policy.readings => {
                    gauge.since = Some(now);
                    turns.push((true, reading.words(value)));
                }
                Some(_) if well => {
                    gauge.since = None;
                    turns.push((false, reading.words(value)));
                }
                Some(_) | None => {}
            }
        }
        turns
    }

    /// What is warned of now.
    pub fn warnings(&self, now: Mono) -> Vec<Warning> {
        Reading::ALL
            .into_iter()
            .zip(&self.gauges)
            .filter_map(|(reading, gauge)| {
                let since = gauge.since?;
                let text = reading.words(gauge.last);
                Some(Warning { name: reading.name().to_owned(), text, since_ms: now.since(since).0 })
            })
            .collect()
    }
}

/// What one reading alone shows at or beyond its failing limit, in words.
pub fn beyond(seen: &DeviceSeen, policy: &Health) -> Vec<String> {
    let turns = State::default().seen(Mono(0), seen, &Health { readings: 1, ..*policy });
    turns.into_iter().map(|(_, words)| words).collect()
}

impl Judge {
    /// A new life: what the last one saw does not join what this one sees.
    pub(super) fn look_anew(&mut self) {
        for gauge in &mut self.state.device.gauges {
            gauge.beyond = 0;
        }
    }

    /// What the gateway says of itself.
    pub(super) fn device(&mut self, now: Mono, saw: &Observation) {
        if let Observation::DeviceSeen(seen) = saw {
            for (begins, words) in self.state.device.seen(now, seen, &self.config.health) {
                let (level, again) = if begins { (Level::Warn, "") } else { (Level::Info, ", well again") };
                self.note(level, format!("this gateway: {words}{again}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(share: u16) -> DeviceSeen {
        DeviceSeen { cpu: Some(share), ..DeviceSeen::default() }
    }

    #[test]
    fn a_warning_needs_readings_in_a_row_and_ends_at_its_own_limit() {
        let (mut state, policy) = (State::default(), Health::default());
        let mut turns = Vec::new();
        // Four, a pause, five; wavering between the limits; well.
        let readings =
            [990, 990, 990, 990, 940, 950, 960, 970, 980, 1_000, 990, 900, 949, 801, 960, 800, 990];
        for (n, share) in readings.into_iter().enumerate() {
            for turn in state.seen(Mono(n as u64), &cpu(share), &policy) {
                turns.push((n, turn.0));
            }
            assert_eq!(state.warnings(Mono(n as u64)).len(), usize::from((9..15).contains(&n)), "{n}");
        }
        assert_eq!(turns, [(9, true), (15, false)]);
    }

    #[test]
    fn of_memory_and_flash_less_is_worse() {
        let (mut state, policy) = (State::default(), Health { readings: 1, ..Health::default() });
        let mut seen = |memory, flash| {
            let seen = DeviceSeen { memory_free: memory, flash_free: flash, ..DeviceSeen::default() };
            let turns = state.seen(Mono(5), &seen, &policy);
            turns.into_iter().map(|(begins, words)| format!("{begins} {words}")).collect::<Vec<_>>()
        };
        assert_eq!(seen(Some(81), Some(51)), Vec::<String>::new());
        let bad = ["true 8 % of the memory are available", "true 5 % of the flash are free"];
        assert_eq!(seen(Some(80), Some(50)), bad);
        assert_eq!(seen(Some(149), None), Vec::<String>::new());
        assert_eq!(seen(Some(150), Some(99)), ["false 15 % of the memory are available"]);
        let warnings = state.warnings(Mono(65));
        assert_eq!((warnings.len(), warnings[0].name.as_str(), warnings[0].since_ms), (1, "flash", 60));
    }

    #[test]
    fn heat_and_connections() {
        let (mut state, policy) = (State::default(), Health { readings: 1, ..Health::default() });
        let hot = DeviceSeen { temperature: Some(95_500), conntrack: Some(1_000), ..DeviceSeen::default() };
        let words: Vec<String> = state.seen(Mono(1), &hot, &policy).into_iter().map(|(_, w)| w).collect();
        assert_eq!(words, ["the hottest sensor shows 95.5 °C", "100 % of the connection table are in use"]);
        assert_eq!(beyond(&hot, &Health::default()), words);
    }
}
