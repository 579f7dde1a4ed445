//! The gateway itself: does it do badly?
//!
//! Policy, in prose:
//!
//! * A reading that is at or beyond `failing` in `health.readings` readings in a row makes a warning; the first at
//!   `recovering` or better ends it; between the two all stays as it is. What is not told says nothing.
//! * The port's errors are the share of what came in damaged, over as many readings as it takes to have
//!   [`PORT_PACKETS`] packets. Its rate is held against the highest that it ever negotiated: a gigabit port that comes up
//!   with 100 Mbit/s has lost a pair of wires. A lower rate that stays for [`PORT_ACCEPTED`] is taken for another modem's.
//!   One that carries one direction at a time has a fault, or a partner that was told not to negotiate: no other reason is left.
//!   Where the rate is below what was sold it is a finding of the promise, and not told twice.
//! * [`RESTARTS`] restarts within a day that nobody ordered, of the gateway or of this program, are a warning that ends when a
//!   day passed without one. A gateway that is switched off every night restarts once a day.
//! * A warning is told in the log and in `status`, and to the platform as an incident that informs, once for its life; the
//!   same again within [`AGAIN`] goes to log and status alone. Nobody is called for it but where `callback.warnings`
//!   says so. It changes nothing else: what it warns of has not happened yet.

pub use super::status::Warning;

use super::books::lives::Ending;
use super::concern::{Concern, NEVER, Quiet};
use super::context::Context;
use super::inform::{self, Call, Told};
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::status::Status;
use super::words;
use crate::action::Level;
use crate::check::DeviceSeen;
use crate::config::{Config, Health, Limits};
use crate::observation::Observation;
use linekeeper_contract::message::{Evidence, Fact, Finding, Issue};
use linekeeper_contract::units::{Millicelsius, Mono, Permille, Rate, Span};
use linekeeper_contract::vocabulary::Reading;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt::Display;

/// Packets in which the port's errors are counted: one damaged in a thousand is the least that is told apart.
pub const PORT_PACKETS: u64 = 1_000;
/// A port that negotiates less for so long belongs to another modem: a week, in which somebody looks at the cable.
pub const PORT_ACCEPTED: Span = Span::days(7);
/// So many restarts within a day that nobody ordered: one is a cleaner, two are a thunderstorm.
pub const RESTARTS: i32 = 3;
/// In which they fall.
const RESTARTS_WITHIN: Span = Span::days(1);
/// So many of them are remembered: a gateway that restarts every minute is warned of all the same.
const RESTARTS_KEPT: usize = 8;
/// A warning that comes again within this is not told to the platform again: four a day of each kind at most.
pub const AGAIN: Span = Span::hours(6);

/// What is remembered of the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// One for each of [`Reading::ALL`]; fewer in snapshots of older versions.
    gauges: Vec<Gauge>,
    /// Packets received since the last share of errors, and those of them that were damaged.
    port: (u64, u64),
    /// The port's rate, and the highest it ever had.
    speed: Option<(Rate, Rate)>,
    /// Since when it is lower than that.
    slower: Option<Mono>,
    /// Restarts that nobody ordered.
    restarts: Vec<Mono>,
}

/// One reading's history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Gauge {
    /// Readings in a row at or beyond `failing`.
    beyond: u32,
    /// Since when it is warned of.
    since: Option<Mono>,
    /// The last reading, in its own unit.
    last: i32,
    /// The incident that tells of it.
    open: Option<Told>,
    /// When it was last told to the platform.
    told: Option<Mono>,
}

/// All that is read at one moment.
struct Readings<'a> {
    seen: &'a DeviceSeen,
    port_errors: Option<u16>,
    port_speed: Option<u16>,
    half_duplex: Option<bool>,
    restarts: Option<i32>,
}

/// What the judge knows of a reading.
trait Judged {
    /// Its value, where there is one, and its limits.
    fn value_and_limits(self, readings: &Readings<'_>, policy: &Health) -> (Option<i32>, Limits<i32>);
    /// What a value says to people.
    fn describe(self, value: i32) -> String;
    /// The value alone, for [`words::warning`].
    fn figure(self, value: i32) -> String;
}

impl Judged for Reading {
    fn value_and_limits(self, readings: &Readings<'_>, policy: &Health) -> (Option<i32>, Limits<i32>) {
        let seen = readings.seen;
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
            Reading::PortErrors => share(readings.port_errors, policy.port_errors),
            // As fast as it ever was, or not.
            Reading::PortSpeed => {
                let whole = Limits { failing: Permille(999), recovering: Permille(1_000) };
                share(readings.port_speed, whole)
            }
            Reading::PortDuplex => {
                (readings.half_duplex.map(i32::from), Limits { failing: 1, recovering: 0 })
            }
            Reading::Restarts => (readings.restarts, Limits { failing: RESTARTS, recovering: 0 }),
            Reading::Temperature => {
                let Limits { failing, recovering } = policy.temperature;
                (seen.temperature, Limits { failing: failing.0, recovering: recovering.0 })
            }
        }
    }

    fn describe(self, value: i32) -> String {
        let share = Permille(u16::try_from(value).unwrap_or(0));
        let of: &dyn Display = match self {
            Reading::Temperature => &Millicelsius(value),
            Reading::PortDuplex | Reading::Restarts => &value,
            Reading::Cpu
            | Reading::Memory
            | Reading::Flash
            | Reading::Conntrack
            | Reading::PortErrors
            | Reading::PortSpeed => &share,
        };
        match self {
            Reading::Cpu => format!("{of} of the processor are in use"),
            Reading::Memory => format!("{of} of the memory are available"),
            Reading::Flash => format!("{of} of the flash are free"),
            Reading::Temperature => format!("the hottest sensor shows {of}"),
            Reading::Conntrack => format!("{of} of the connection table are in use"),
            Reading::PortErrors => format!("{of} of the packets come in damaged on the WAN port"),
            Reading::PortSpeed => format!("the WAN port runs at {of} of the highest rate it had"),
            Reading::PortDuplex if value == 0 => "the WAN port runs at full duplex".to_owned(),
            Reading::PortDuplex => "the WAN port negotiated half duplex".to_owned(),
            Reading::Restarts => format!("{of} restarts in a day that nobody ordered"),
        }
    }

    fn figure(self, value: i32) -> String {
        match self {
            Reading::Temperature => Millicelsius(value).to_string(),
            Reading::PortDuplex | Reading::Restarts => value.to_string(),
            Reading::Cpu
            | Reading::Memory
            | Reading::Flash
            | Reading::Conntrack
            | Reading::PortErrors
            | Reading::PortSpeed => Permille(u16::try_from(value).unwrap_or(0)).to_string(),
        }
    }
}

/// A warning began or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Turn {
    begins: bool,
    reading: Reading,
    value: i32,
}

impl State {
    /// Takes what was read in; says what began and what ended.
    fn seen(&mut self, now: Mono, readings: &Readings<'_>, policy: &Health) -> Vec<Turn> {
        let mut turns = Vec::new();
        self.gauges.resize(Reading::ALL.len(), Gauge::default());
        for (reading, gauge) in Reading::ALL.into_iter().zip(&mut self.gauges) {
            // What is not told now says nothing: neither that it is bad nor that it is well.
            let (Some(value), limits) = reading.value_and_limits(readings, policy) else { continue };
            gauge.last = value;
            // Of memory, flash and the port's rate less is worse.
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
                    turns.push(Turn { begins: true, reading, value });
                }
                Some(_) if well => {
                    gauge.since = None;
                    turns.push(Turn { begins: false, reading, value });
                }
                Some(_) | None => {}
            }
        }
        turns
    }

    /// The share of damaged packets since it was last told, where there were enough to tell.
    fn port_errors(&mut self) -> Option<u16> {
        let (packets, errors) = self.port;
        let all = packets.saturating_add(errors);
        if all < PORT_PACKETS {
            return None;
        }
        self.port = (0, 0);
        u16::try_from(u128::from(errors) * 1_000 / u128::from(all)).ok()
    }

    /// The port negotiated.
    fn negotiated(&mut self, now: Mono, is: Rate) {
        let best = self.speed.map_or(is, |(_, best)| best.max(is));
        self.slower = (is < best).then(|| self.slower.unwrap_or(now));
        self.speed = Some((is, best));
    }

    /// Its rate as a share of its highest.
    fn port_speed(&mut self, now: Mono) -> Option<u16> {
        if self.slower.is_some_and(|since| now.since(since) >= PORT_ACCEPTED) {
            self.speed = self.speed.map(|(is, _)| (is, is));
            self.slower = None;
        }
        let (is, best) = self.speed.filter(|(_, best)| best.0 > 0)?;
        u16::try_from(u128::from(is.0) * 1_000 / u128::from(best.0)).ok()
    }

    fn restarts(&mut self, now: Mono) -> i32 {
        self.restarts.retain(|at| now.since(*at) < RESTARTS_WITHIN);
        i32::try_from(self.restarts.len()).unwrap_or(i32::MAX)
    }

    /// What is warned of now.
    pub fn warnings(&self, now: Mono) -> Vec<Warning> {
        Reading::ALL
            .into_iter()
            .zip(&self.gauges)
            .filter_map(|(reading, gauge)| {
                let since = gauge.since?;
                let text = reading.describe(gauge.last);
                Some(Warning { name: reading.as_str().to_owned(), text, since_ms: now.since(since).0 })
            })
            .collect()
    }
}

/// What one reading alone shows at or beyond its failing limit, in words.
pub fn beyond(seen: &DeviceSeen, policy: &Health) -> Vec<String> {
    let readings = Readings { seen, port_errors: None, port_speed: None, half_duplex: None, restarts: None };
    let turns = State::default().seen(Mono(0), &readings, &Health { readings: 1, ..*policy });
    turns.into_iter().map(|turn| turn.reading.describe(turn.value)).collect()
}

/// The gateway itself.
#[derive(Debug, Clone, Default)]
pub struct Device {
    device: State,
    /// What began and ended in this step, and is not told yet.
    turns: VecDeque<Turn>,
}

impl Concern for Device {
    fn new(_config: &Config) -> Device {
        Device::default()
    }

    fn observe(&mut self, _cx: &Context<'_>, seen: &Observation, _out: &mut Outbox) {
        if matches!(seen, Observation::Started(_)) {
            self.device.look_anew();
        }
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        if let Signal::WarningTurned = signal
            && let Some(turn) = self.turns.pop_front()
        {
            self.turned(cx, &turn, out);
        }
    }

    fn advance(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::Started(_) => {
                let how = cx.facts.beginning.map(|b| b.how);
                if matches!(how, Some(Ending::Crashed | Ending::PowerCut)) {
                    let restarts = &mut self.device.restarts;
                    let over = (restarts.len() + 1).saturating_sub(RESTARTS_KEPT);
                    restarts.drain(..over);
                    restarts.push(cx.now);
                }
            }
            Observation::LinkSeen(link) => {
                if let Some(speed) = link.speed.filter(|_| link.carrier) {
                    self.device.negotiated(cx.now, speed);
                }
            }
            Observation::Counted(counted) if !counted.reset => {
                let (packets, errors) = &mut self.device.port;
                *packets = packets.saturating_add(counted.rx_unicast);
                *errors = errors.saturating_add(counted.rx_errors);
            }
            Observation::DeviceSeen(seen) => self.read(cx, seen, out),
            _ => {}
        }
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        None
    }

    fn quiet_until(&self, _cx: &Context<'_>, _quiet: Quiet) -> Option<Mono> {
        Some(NEVER)
    }

    fn wants_routine(seen: &Observation) -> bool {
        matches!(seen, Observation::Counted(_))
    }

    fn fill_status(&self, cx: &Context<'_>, status: &mut Status) {
        status.warnings = self.device.warnings(cx.now);
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("device", &self.device);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.device = kept.get("device")?;
        Ok(())
    }
}

impl State {
    /// A new life: what the last one saw does not join what this one sees.
    fn look_anew(&mut self) {
        self.port = (0, 0);
        for gauge in &mut self.gauges {
            gauge.beyond = 0;
        }
    }
}

impl Device {
    fn read(&mut self, cx: &Context<'_>, seen: &DeviceSeen, out: &mut Outbox) {
        let link = cx.facts.line.link.filter(|link| link.carrier && link.speed.is_some());
        let device = &mut self.device;
        let readings = Readings {
            seen,
            half_duplex: link.map(|link| link.half_duplex),
            port_errors: device.port_errors(),
            port_speed: device.port_speed(cx.now),
            restarts: Some(device.restarts(cx.now)),
        };
        let readings = match cx.facts.tests.port_is_short {
            true => Readings { port_speed: None, ..readings },
            false => readings,
        };
        self.turns.extend(device.seen(cx.now, &readings, &cx.config.health));
        self.turns.iter().for_each(|_| out.signal(Signal::WarningTurned));
    }

    fn turned(&mut self, cx: &Context<'_>, turn: &Turn, out: &mut Outbox) {
        let said = turn.reading.describe(turn.value);
        if turn.begins {
            out.note(Level::Warn, format!("this gateway: {said}"));
            self.warn(cx, turn.reading, turn.value, &said, out);
        } else {
            out.note(Level::Info, format!("this gateway: {said}, well again"));
            if let Some(told) = self.device.gauges[turn.reading as usize].open.take() {
                inform::close(cx, out, told, &format!("{said}, well again"));
            }
        }
    }

    /// Tells the platform of a warning that began.
    fn warn(&mut self, cx: &Context<'_>, reading: Reading, value: i32, said: &str, out: &mut Outbox) {
        let gauge = &self.device.gauges[reading as usize];
        if gauge.told.is_some_and(|at| cx.now.since(at) < AGAIN) {
            return;
        }
        let code = format!("device.{}", reading.as_str());
        let figure = match (reading, self.device.speed) {
            (Reading::PortSpeed, Some((is, best))) => format!("{is} / {best}"),
            _ => reading.figure(value),
        };
        let call = cx.config.callback.warnings.contains(&reading).then(|| Call {
            trigger: "device_warning",
            issue: Issue {
                kind: "device".into(),
                code: code.clone(),
                description: words::warning(cx.config.device.language, reading, &figure),
            },
            evidence: Evidence {
                finding: Some(Finding::Device),
                fault_domain: reading.domain(),
                facts: vec![Fact {
                    at: cx.stamp(cx.now),
                    name: code,
                    subject: "gateway".into(),
                    detail: said.into(),
                }],
                samples: Vec::new(),
                rule: format!(
                    "at its limit or beyond it in {} readings in a row, {} apart",
                    cx.config.health.readings, cx.config.health.every
                ),
                recorder: None,
            },
        });
        let told = inform::open(cx, out, Finding::Device, reading.domain(), reading.as_str(), said, call);
        let gauge = &mut self.device.gauges[reading as usize];
        (gauge.open, gauge.told) = (Some(told), Some(cx.now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(share: u16) -> DeviceSeen {
        DeviceSeen { cpu: Some(share), ..DeviceSeen::default() }
    }

    fn read(state: &mut State, at: u64, seen: &DeviceSeen, policy: &Health) -> Vec<Turn> {
        let (port_errors, port_speed) = (state.port_errors(), state.port_speed(Mono(at)));
        let restarts = Some(state.restarts(Mono(at)));
        state.seen(Mono(at), &Readings { seen, port_errors, port_speed, half_duplex: None, restarts }, policy)
    }

    /// What began (true) and ended, by name.
    fn named(turns: &[Turn]) -> Vec<(bool, &'static str)> {
        turns.iter().map(|t| (t.begins, t.reading.as_str())).collect()
    }

    #[test]
    fn a_port_that_damages_packets_is_told_from_a_thousand_on() {
        let (mut state, policy) = (State::default(), Health { readings: 1, ..Health::default() });
        let seen = DeviceSeen::default();
        state.port = (900, 50);
        assert_eq!(read(&mut state, 1, &seen, &policy), []);
        state.port = (state.port.0 + 90, state.port.1);
        assert_eq!(named(&read(&mut state, 2, &seen, &policy)), [(true, "port_errors")]);
        assert_eq!(state.warnings(Mono(2))[0].text, "4.8 % of the packets come in damaged on the WAN port");
        // Between the limits it stays; too few packets say nothing.
        state.port = (995, 5);
        assert_eq!(read(&mut state, 3, &seen, &policy), []);
        state.port = (0, 9);
        assert_eq!(read(&mut state, 4, &seen, &policy), []);
        state.port = (2_000, 0);
        assert_eq!(named(&read(&mut state, 5, &seen, &policy)), [(false, "port_errors")]);
    }

    #[test]
    fn a_port_is_held_against_the_best_it_ever_did_for_a_week() {
        let (mut state, policy) = (State::default(), Health { readings: 2, ..Health::default() });
        let seen = DeviceSeen::default();
        let (fast, slow) = (Rate(1_000_000_000), Rate(100_000_000));
        state.negotiated(Mono(0), slow);
        assert_eq!(read(&mut state, 1, &seen, &policy), []);
        state.negotiated(Mono(2), fast);
        state.negotiated(Mono(3), slow);
        assert_eq!(read(&mut state, 4, &seen, &policy), []);
        let turns = read(&mut state, 5, &seen, &policy);
        assert_eq!(named(&turns), [(true, "port_speed")]);
        assert_eq!(turns[0].value, 100);
        state.negotiated(Mono(6), fast);
        assert_eq!(named(&read(&mut state, 7, &seen, &policy)), [(false, "port_speed")]);
        // Another modem.
        state.negotiated(Mono(10), slow);
        let week = PORT_ACCEPTED.0;
        read(&mut state, 11, &seen, &policy);
        assert_eq!(named(&read(&mut state, week, &seen, &policy)), [(true, "port_speed")]);
        assert_eq!(named(&read(&mut state, week + 10, &seen, &policy)), [(false, "port_speed")]);
    }

    #[test]
    fn three_restarts_in_a_day_are_a_warning_until_a_day_passed() {
        let (mut state, policy) = (State::default(), Health { readings: 1, ..Health::default() });
        let seen = DeviceSeen::default();
        let hour = 3_600_000;
        state.restarts = vec![Mono(0), Mono(2 * hour)];
        assert_eq!(read(&mut state, 3 * hour, &seen, &policy), []);
        state.restarts.push(Mono(4 * hour));
        assert_eq!(named(&read(&mut state, 5 * hour, &seen, &policy)), [(true, "restarts")]);
        assert_eq!(read(&mut state, 27 * hour, &seen, &policy), [], "one of a day is left");
        assert_eq!(named(&read(&mut state, 28 * hour, &seen, &policy)), [(false, "restarts")]);
    }

    #[test]
    fn the_state_of_an_older_version_is_read() {
        let old = r#"{"gauges":[{"beyond":1,"since":5,"last":990},{"beyond":0,"since":null,"last":500}]}"#;
        let mut state: State = linekeeper_contract::json::read(old.as_bytes()).unwrap_or_default();
        assert_eq!(state.warnings(Mono(65)).len(), 1);
        assert_eq!(named(&read(&mut state, 70, &cpu(100), &Health::default())), [(false, "cpu")]);
    }

    #[test]
    fn a_warning_needs_readings_in_a_row_and_ends_at_its_own_limit() {
        let (mut state, policy) = (State::default(), Health::default());
        let mut turns = Vec::new();
        // Four, a pause, five; wavering between the limits; well.
        let readings =
            [990, 990, 990, 990, 940, 950, 960, 970, 980, 1_000, 990, 900, 949, 801, 960, 800, 990];
        for (n, share) in readings.into_iter().enumerate() {
            for turn in read(&mut state, n as u64, &cpu(share), &policy) {
                turns.push((n, turn.begins));
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
            let turns = read(&mut state, 5, &seen, &policy);
            turns.iter().map(|t| format!("{} {}", t.begins, t.reading.describe(t.value))).collect::<Vec<_>>()
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
        let words: Vec<String> =
            read(&mut state, 1, &hot, &policy).iter().map(|t| t.reading.describe(t.value)).collect();
        assert_eq!(words, ["the hottest sensor shows 95.5 °C", "100 % of the connection table are in use"]);
        assert_eq!(beyond(&hot, &Health::default()), words);
    }
}
