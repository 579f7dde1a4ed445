//! The follow-up callbacks: each once and none early, whatever happens to the gateway and its clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use linekeeper_contract::message::{Callback, CallbackState, Dimension, Message, Severity};
use linekeeper_contract::units::{LocalTime, Mono, Span, Wall};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::config::{Config, Places, read};
use linekeeper_judge::ledger::Tally;
use linekeeper_judge::observation::{Memory, Observation, Started};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DUE: [(&str, Span); 3] = [("24h", Span::hours(24)), ("7d", Span::days(7)), ("30d", Span::days(30))];
const TRUST: Span = linekeeper_judge::programme::TRUST_AFTER;

fn config(installed: &str, more: Value) -> Config {
    let mut tree = json!({
        "device": { "id": "gw-1", "installed": installed, "language": "en" },
        "probe": { "targets": [{ "host": "198.51.100.1", "role": "anchor" }] },
        // Echoes are never answered here; nothing is to be done about it.
        "remedies": { "driver": "none", "ladder": [] },
        "callback": { "after": "1 d" },
    });
    for (key, value) in more.as_object().unwrap() {
        tree[key] = value.clone();
    }
    read(&tree, &Places::default()).expect("a good configuration")
}

/// A gateway in the world: true time, its own clock, what is on its flash.
struct Gateway {
    config: Config,
    judge: Judge,
    /// Own clock.
    mono: u64,
    /// True civil time.
    wall: i64,
    boots: u32,
    flash: Option<Value>,
    /// Each follow-up that was asked for, with the true time of it.
    called: Vec<(i64, Callback)>,
}

impl Gateway {
    fn new(config: Config, wall: i64) -> Gateway {
        let judge = Judge::new(config.clone());
        Gateway { config, judge, mono: 1_000, wall, boots: 0, flash: None, called: Vec::new() }
    }

    fn step(&mut self, saw: &Observation) {
        let actions = self.judge.step(Mono(self.mono), saw);
        for action in &actions {
            match action {
                Action::Save => self.flash = Some(self.judge.snapshot().unwrap()),
                Action::Publish(critical) => {
                    if let Message::Callback(c) = &critical.message
                        && c.trigger.dimension == Dimension::Time
                    {
                        assert!(
                            matches!(actions[0], Action::Save),
                            "what was called is on flash before it is sent"
                        );
                        // Without a receipt it is asked for again, by the same id.
                        if self.called.iter().all(|(_, known)| known.id != c.id) {
                            self.called.push((self.wall, (**c).clone()));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Off for so long, then a new boot with what is on flash, or without.
    fn boot(&mut self, off: Span, remembers: bool) {
        self.boots += 1;
        self.wall += off.0 as i64;
        // Our clock goes on from the snapshot: it does not know how long the gateway was off.
        self.mono += 1_000;
        let kept = if remembers { self.flash.clone() } else { None };
        let memory = match (&kept, self.boots) {
            (Some(_), _) => Memory::Restored,
            (None, 1) => Memory::None,
            (None, _) => Memory::Lost,
        };
        self.judge = match &kept {
            Some(snapshot) => Judge::restore(self.config.clone(), snapshot).unwrap(),
            None => Judge::new(self.config.clone()),
        };
        let boot_id = format!("boot-{}", self.boots);
        self.step(&Observation::Started(Started {
            boot_id,
            uptime: Span::seconds(10),
            memory,
            watermark: self.called.len() as u64 * 100,
            beat: None,
            taken: None,
        }));
    }

    /// NTP answers, or the kernel tells a date that nobody vouches for.
    fn clock(&mut self, wall: i64, synced: bool) {
        self.step(&Observation::ClockSet { wall: Wall(wall), synced });
    }

    fn pass(&mut self, span: Span) {
        let end = self.mono + span.0;
        while self.mono < end {
            // As the daemon does: at the latest when the judge asks to be woken, else in larger steps than that.
            let wake = self.judge.next_deadline().0.max(self.mono + 60_000).min(end);
            self.wall += (wake - self.mono) as i64;
            self.mono = wake;
            self.step(&Observation::Ticked);
        }
    }

    fn names(&self) -> Vec<&str> {
        self.called.iter().map(|(_, c)| c.trigger.name.as_str()).collect()
    }
}

fn at(text: &str) -> i64 {
    LocalTime::parse(text).unwrap().wall.0
}

#[test]
fn follow_up_calls_come_on_their_day_with_a_summary() {
    let installed = "2026-11-20T09:00:00+08:00";
    let mut gateway = Gateway::new(config(installed, json!({})), at(installed));
    gateway.boot(Span::ZERO, true);
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::days(31));
    assert_eq!(gateway.names(), ["24h", "7d", "30d"]);
    for ((when, callback), (_, after)) in gateway.called.iter().zip(DUE) {
        let late = when - (at(installed) + after.0 as i64);
        assert!((0..=120_000).contains(&late), "{late} ms late");
        assert_eq!((callback.state, callback.severity), (CallbackState::Requested, Severity::Routine));
        let summary = &callback.evidence.samples[0];
        assert_eq!(summary["installed"], LocalTime::parse(installed).unwrap().to_string());
        assert_eq!(summary["after_s"], after.whole_seconds());
        assert!(summary["late_s"].as_i64().unwrap() <= 120, "{summary}");
    }
    let (_, first) = &gateway.called[0];
    // A day of the books, give or take the minute that a step takes here.
    let total: Tally = serde_json::from_value(first.evidence.samples[0]["availability"].clone()).unwrap();
    assert!((86_400_000..86_600_000).contains(&total.elapsed_ms()), "{total:?}");
    let due = LocalTime::parse("2026-11-21T09:00:00+08:00").unwrap();
    assert_eq!(first.evidence.samples[0]["due"], due.to_string());
    assert_eq!(
        (first.issues[0].kind.as_str(), first.issues[0].code.as_str()),
        ("follow_up", "programme.24h")
    );
    assert!(first.issues[0].description.starts_with("Follow-up call 24 hours after the installation"));
}

#[test]
fn untrusted_clock_triggers_no_follow_up() {
    let installed = "2026-11-20T09:00:00+08:00";
    for date in ["1970-01-01T00:00:00Z", "2040-01-01T00:00:00Z"] {
        let mut gateway = Gateway::new(config(installed, json!({})), at(installed));
        gateway.boot(Span::ZERO, true);
        gateway.clock(at(date), false);
        gateway.pass(Span::hours(30 * 24 + 12));
        assert_eq!(gateway.names(), Vec::<&str>::new(), "{date}");
        // At last it is set.
        gateway.clock(gateway.wall, true);
        gateway.pass(Span::minutes(5));
        assert_eq!(
            gateway.names(),
            ["30d"],
            "the others were due before a first start that remembers nothing"
        );
    }
}

#[test]
fn follow_up_due_during_downtime_comes_late_and_is_marked_late() {
    let installed = "2026-03-28T12:00:00+01:00";
    let mut gateway = Gateway::new(config(installed, json!({})), at(installed));
    gateway.boot(Span::ZERO, true);
    gateway.clock(gateway.wall, true);
    // Until the first snapshot is on flash.
    gateway.pass(Span::hours(4));
    // Off for two months, over the change to summer time; the clock is behind at the boot.
    gateway.boot(Span::days(60), true);
    gateway.clock(at("1970-01-01T00:00:10Z"), false);
    gateway.pass(Span::minutes(10));
    assert_eq!(gateway.names(), Vec::<&str>::new());
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::minutes(5));
    assert_eq!(gateway.names(), ["24h", "7d", "30d"]);
    let late = gateway.called[0].1.evidence.samples[0]["late_s"].as_i64().unwrap();
    assert!((59 * 86_400..60 * 86_400).contains(&late), "{late} s");
}

#[test]
fn lost_state_does_not_repeat_a_follow_up() {
    let installed = "2026-11-20T09:00:00+08:00";
    let mut gateway = Gateway::new(config(installed, json!({})), at(installed));
    gateway.boot(Span::ZERO, true);
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::days(10));
    assert_eq!(gateway.names(), ["24h", "7d"]);
    gateway.boot(Span::hours(1), false);
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::days(25));
    assert_eq!(gateway.names(), ["24h", "7d", "30d"]);
}

#[test]
fn state_lost_right_after_a_follow_up_does_not_repeat_it() {
    let installed = "2026-11-20T09:00:00+08:00";
    let mut gateway = Gateway::new(config(installed, json!({})), at(installed));
    gateway.boot(Span::ZERO, true);
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::hours(25));
    assert_eq!(gateway.names(), ["24h"]);
    gateway.boot(Span::minutes(5), false);
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::hours(20));
    assert_eq!(gateway.names(), ["24h"]);
    gateway.pass(Span::days(6));
    assert_eq!(gateway.names(), ["24h", "7d"], "what is due later is asked for");
}

#[test]
fn changed_hour_keeps_the_installation_and_changed_date_starts_another() {
    let mut gateway =
        Gateway::new(config("2026-11-20T09:00:00+08:00", json!({})), at("2026-11-20T09:00:00+08:00"));
    gateway.boot(Span::ZERO, true);
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::days(2));
    assert_eq!(gateway.names(), ["24h"]);
    gateway.config = config("2026-11-20T17:00:00+08:00", json!({}));
    gateway.boot(Span::minutes(1), true);
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::hours(1));
    assert_eq!(gateway.names(), ["24h"]);
    // The next customer gets a programme of his own.
    let moved = LocalTime { wall: Wall(gateway.wall), offset_minutes: 480 }.to_string();
    gateway.config = config(&moved, json!({}));
    gateway.boot(Span::minutes(1), true);
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::days(8));
    assert_eq!(gateway.names(), ["24h", "24h", "7d"]);
}

#[test]
fn changed_or_disabled_programme_is_followed() {
    let installed = "2026-11-20T09:00:00+08:00";
    let more = json!({ "programme": { "after": ["90 min", "2 d"] } });
    let mut gateway = Gateway::new(config(installed, more), at(installed));
    gateway.boot(Span::ZERO, true);
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::days(3));
    assert_eq!(gateway.names(), ["90min", "2d"]);

    let mut gateway = Gateway::new(config(installed, json!({ "programme": { "after": [] } })), at(installed));
    gateway.boot(Span::ZERO, true);
    gateway.clock(gateway.wall, true);
    gateway.pass(Span::days(40));
    assert!(gateway.called.is_empty());
}

/// What may happen to a gateway.
#[derive(Debug, Clone)]
enum Happening {
    Passes(Span),
    /// Off for so long.
    PowerCut(Span),
    /// The kernel tells a wrong date, not synced.
    WrongClock(i64),
    /// NTP answers, wrong by so many milliseconds at first.
    Synced(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (1u64..72 * 60).prop_map(|m| Happening::Passes(Span::minutes(m))),
        2 => (0u64..60 * 24 * 60).prop_map(|m| Happening::PowerCut(Span::minutes(m))),
        1 => prop_oneof![Just(0i64), Just(at("2040-01-01T00:00:00Z"))].prop_map(Happening::WrongClock),
        3 => (-900i64..900).prop_map(Happening::Synced),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::proof(80, 300), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_follow_up_comes_once_and_never_early(
        zone in prop_oneof![Just("Z"), Just("+08:00"), Just("-03:30"), Just("+05:45")],
        life in proptest::collection::vec(happening(), 1..40),
    ) {
        let installed = format!("2026-03-20T09:00:00{zone}");
        let mut gateway = Gateway::new(config(&installed, json!({})), at(&installed));
        gateway.boot(Span::ZERO, true);
        let mut trusted = false;
        for happening in life {
            match happening {
                Happening::Passes(span) => gateway.pass(span),
                Happening::PowerCut(off) => {
                    gateway.boot(off, true);
                    trusted = false;
                }
                Happening::WrongClock(wall) => {
                    gateway.clock(wall, false);
                    trusted = false;
                }
                Happening::Synced(off_ms) => {
                    gateway.clock(gateway.wall + off_ms, true);
                    trusted = true;
                }
            }
        }
        // In the end it knows the time for long enough: everything that was due has come.
        if !trusted {
            gateway.clock(gateway.wall, true);
        }
        gateway.pass(TRUST + Span::minutes(3));
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        for (when, callback) in &gateway.called {
            *times.entry(callback.trigger.name.as_str()).or_default() += 1;
            let (_, after) = DUE.iter().find(|(name, _)| *name == callback.trigger.name).unwrap();
            let early = at(&installed) + after.0 as i64 - when;
            prop_assert!(early <= 1_000, "{} ms early", early);
        }
        prop_assert!(times.values().all(|n| *n == 1), "{times:?}");
        // A gateway that never knew the time until now passes over what it cannot know of; else all that is due came.
        let first_known = gateway.called.first().map(|(when, _)| *when);
        for (name, after) in DUE {
            let due = at(&installed) + after.0 as i64;
            let came = times.contains_key(name);
            if due + 300_000 < gateway.wall && first_known.is_some_and(|first| first < due) {
                prop_assert!(came, "{name} was due and did not come");
            }
        }
    }
}
