//! The flight recorder: the recording of an incident, its survival of our own reboot, and that it costs no flash.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::{Keeper, config, tree};
use linekeeper_contract::message::{Callback, CallbackState, EventName, Message};
use linekeeper_contract::recording::{Recording, Run};
use linekeeper_contract::units::{Mono, Permille, Span};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::flight::{AFTER, BEFORE, Flight, KEPT, Seen};
use linekeeper_judge::observation::Memory;
use linekeeper_judge::outage::LineState;
use linekeeper_proving::replay::{Header, Replay, TRACE_SCHEMA};
use linekeeper_proving::simulate::{Simulation, Trouble, World, run};
use serde_json::json;

fn s(n: u64) -> Span {
    Span::seconds(n)
}

fn played(over: serde_json::Value, world: &World, until: Span) -> Keeper {
    let mut keeper = Keeper::default();
    run(&config(over), world, 1, until, &mut keeper);
    keeper
}

fn callbacks(keeper: &Keeper) -> Vec<Callback> {
    let said = keeper.done.iter().filter_map(|d| match &d.action {
        Action::Publish(c) => match &c.message {
            Message::Callback(c) => Some((**c).clone()),
            Message::Event(_) | Message::CommandResult(_) => None,
        },
        _ => None,
    });
    said.collect()
}

fn closed(keeper: &Keeper) -> Option<Recording> {
    keeper.done.iter().find_map(|d| match &d.action {
        Action::Publish(c) => match &c.message {
            Message::Event(e) if e.event == EventName::IncidentClosed => e.recorder.as_deref().cloned(),
            _ => None,
        },
        _ => None,
    })
}

/// Columns are as long as each other; gives the length.
#[track_caller]
fn whole(r: &Recording) -> usize {
    let n = r.line.len();
    assert_eq!((r.link.len(), r.ours.len()), (n, n));
    for runs in [&r.asked, &r.answered, &r.lost, &r.rtt_us, &r.rx_kbps, &r.tx_kbps] {
        assert_eq!(runs.iter().map(|run| run.times as usize).sum::<usize>(), n);
    }
    n
}

fn at(runs: &[Run], second: u32) -> u32 {
    let mut left = second;
    for run in runs {
        if left < run.times {
            return run.n;
        }
        left -= run.times;
    }
    panic!("no second {second}");
}

#[test]
fn callback_contains_the_minute_before_and_after_the_break() {
    let over = json!({ "callback": { "after": "2 min" } });
    let mut world = World::quiet().with_trouble(s(100), Span::minutes(5), Trouble::Upstream);
    world.failover = true;
    let keeper = played(over, &world, Span::minutes(10));
    let calls = callbacks(&keeper);
    assert_eq!(calls[0].state, CallbackState::Requested);
    let r = calls[0].evidence.recorder.as_deref().unwrap();
    assert_eq!(whole(r) as u64, BEFORE + AFTER);
    assert_eq!(u64::from(r.broke), BEFORE);
    // Up, in doubt for two seconds, down.
    assert!(r.line.starts_with(&"u".repeat(60)) && r.line.ends_with(&"d".repeat(55)), "{}", r.line);
    assert!(r.link.chars().all(|c| c == '+') && r.ours.chars().all(|c| c == '.'));
    let (before, after) = (r.broke - 5, r.broke + 30);
    assert!(at(&r.answered, before) > 0 && at(&r.rtt_us, before) >= 20_000);
    assert!(at(&r.asked, after) > 0 && at(&r.rtt_us, after) < 20_000, "only the gateway answers");
    // The changes of the same callback do not carry it again: the platform has it.
    assert!(calls.len() > 1 && calls[1..].iter().all(|c| c.evidence.recorder.is_none()));
    let size = serde_json::to_string(r).unwrap().len();
    assert!(size < 4_000, "{size} bytes");
}

#[test]
fn short_incident_contains_the_samples_recorded_so_far() {
    let world = World::quiet().with_trouble(s(60), s(30), Trouble::Loss(Permille(300))).until_healed(
        s(100),
        Trouble::Address,
        &[Rung::RestartInterface],
    );
    let keeper = played(json!({ "outage": { "hold_down": "10 s" } }), &world, s(300));
    let r = closed(&keeper).unwrap();
    let n = whole(&r);
    assert!(n > BEFORE as usize && n < 90, "{n} s");
    assert!(r.link[r.broke as usize..].contains('x'), "{}", r.link);
    assert!(r.ours.contains('r'), "{}", r.ours);
    assert!((0..r.broke).any(|second| at(&r.lost, second) > 0), "the losses that came before: {:?}", r.lost);
}

#[test]
fn recording_survives_our_own_reboot_and_is_in_no_other_snapshot() {
    let over = json!({
        "remedies": { "ladder": ["renew", "reboot"], "settle": { "renew": "2 s", "reboot": "1 min" } },
        "outage": { "hold_down": "10 s" },
        "callback": { "after": "3 min" },
    });
    let mut world = World::quiet().with_trouble(s(100), Span::minutes(8), Trouble::Access);
    world.failover = true;
    let keeper = played(over, &world, Span::minutes(9));
    let first = &callbacks(&keeper)[0];
    let facts: Vec<&str> = first.evidence.facts.iter().map(|f| f.name.as_str()).collect();
    assert!(facts.contains(&"gateway.rebooted") && facts.contains(&"recorder.kept"), "{facts:?}");
    let r = first.evidence.recorder.as_deref().unwrap();
    assert!(r.broke >= 59 && r.line.starts_with("uuuuuuuuu"), "{r:?}");
    assert_eq!(r.from.boot_id, first.opened.boot_id, "labelled by the clock of its own boot");
    // The life after the reboot began with it; the first one, and one killed later, without.
    let with: Vec<bool> = keeper
        .lives
        .iter()
        .map(|(snapshot, _)| snapshot.as_ref().is_some_and(|s| s.get("flight").is_some()))
        .collect();
    assert_eq!(with, [false, true]);
    let snapshot = keeper.lives[1].0.as_ref().unwrap();
    assert!(snapshot.to_string().len() < 65_536, "{} bytes", snapshot.to_string().len());
    let killed = World::quiet().with_trouble(s(100), s(10), Trouble::Killed(Memory::Restored));
    let keeper = played(json!({}), &killed, s(200));
    assert!(keeper.lives[1].0.as_ref().unwrap().get("flight").is_none());
}

#[test]
fn trace_started_midway_replays_to_the_same_recording() {
    struct Half {
        header: Option<Header>,
        trace: String,
        done: Vec<linekeeper_judge::action::Done>,
    }
    impl linekeeper_proving::simulate::Spectator for Half {
        fn on_observation(
            &mut self,
            at: linekeeper_proving::simulate::Moment,
            saw: &linekeeper_judge::observation::Observation,
        ) {
            if self.header.is_some() {
                let entry = linekeeper_judge::observation::Entry { at: at.agent, observation: saw.clone() };
                self.trace += &(serde_json::to_string(&entry).unwrap() + "\n");
            }
        }
        fn on_action(&mut self, at: linekeeper_proving::simulate::Moment, action: &Action) {
            if self.header.is_some() {
                self.done.push(linekeeper_judge::action::Done { at: at.agent, action: action.clone() });
            }
        }
    }
    // The segment begins 20 s before the break: what was before is in its header.
    let mut world = World::quiet().with_trouble(s(100), s(100), Trouble::Upstream);
    world.failover = true;
    let written = json!({ "callback": { "after": "30 s" } });
    let mut simulation = Simulation::new(&config(written.clone()), &world, 1);
    let mut half = Half { header: None, trace: String::new(), done: Vec::new() };
    simulation.run(s(80), &mut half);
    let snapshot = simulation.judge().unwrap().full_snapshot().unwrap();
    half.header = Some(Header {
        schema: TRACE_SCHEMA.into(),
        version: "test".into(),
        config: tree(written),
        snapshot: Some(snapshot),
    });
    simulation.run(s(300), &mut half);
    let mut replay = Replay::new();
    let mut done =
        replay.process_line(&serde_json::to_string(half.header.as_ref().unwrap()).unwrap()).unwrap();
    for line in half.trace.lines() {
        done.extend(replay.process_line(line).unwrap());
    }
    assert_eq!(done, half.done);
    let recorded = done.iter().any(|d| serde_json::to_string(d).unwrap().contains("\"rx_kbps\""));
    assert!(recorded, "it would not show otherwise");
}

fn seen() -> Seen {
    Seen { line: LineState::Up, link: true, remedy: false, test: false }
}

#[test]
fn recorder_keeps_fifteen_minutes() {
    let mut flight = Flight::default();
    for second in 1..5_000u64 {
        flight.passes(Mono(second * 1_000), seen);
        flight.answered(second as u32);
        flight.asked(700);
        (0..300).for_each(|_| flight.lost());
        flight.counted(s(1), second * 125, u64::MAX);
    }
    assert_eq!(flight.len(), KEPT);
    let stamp = |at: Mono| linekeeper_contract::message::Stamp {
        wall: None,
        synced: false,
        boot_id: String::new(),
        uptime_ms: at.0,
    };
    let r = flight.around(Mono(4_200_500), stamp).unwrap();
    assert_eq!((r.from.uptime_ms, whole(&r)), (4_140_000, 120));
    // In the second 4200, answer 4200 came and 4200 kbit/s were counted; what is too large stops at its most.
    assert_eq!((at(&r.rtt_us, r.broke), at(&r.rx_kbps, r.broke)), (4_200, 4_200));
    assert_eq!((at(&r.asked, 0), at(&r.lost, 0), at(&r.tx_kbps, 0)), (255, 255, u32::MAX));
    // Before what is kept, after what is over, and in between.
    assert_eq!(flight.around(Mono(1_000_000), stamp), None);
    assert_eq!(whole(&flight.around(Mono(4_999_500), stamp).unwrap()), 60);
    let again: Flight = serde_json::from_str(&serde_json::to_string(&flight).unwrap()).unwrap();
    assert_eq!(again, flight);
    assert!(serde_json::to_string(&flight).unwrap().len() < 29_500);
    for bad in ["\"past\":\"0\"", "\"past\":\"éé\"", "\"now\":\"\""] {
        let text = serde_json::to_string(&Flight::default()).unwrap();
        let (key, _) = bad.split_once(':').unwrap();
        let from = text.find(key).unwrap();
        let to = text[from..].find([',', '}']).unwrap() + from;
        let text = format!("{}{bad}{}", &text[..from], &text[to..]);
        assert!(serde_json::from_str::<Flight>(&text).is_err(), "{text}");
    }
}

#[test]
fn unobserved_seconds_are_marked_as_unobserved() {
    let mut flight = Flight::default();
    for second in (1..20).chain(22..40).chain(100..120) {
        flight.passes(Mono(second * 1_000), seen);
    }
    let stamp = |at: Mono| linekeeper_contract::message::Stamp {
        wall: None,
        synced: false,
        boot_id: String::new(),
        uptime_ms: at.0,
    };
    let r = flight.around(Mono(70_000), stamp).unwrap();
    // Seconds 10 to 118: ticks two seconds apart are no gap, a minute is.
    let wanted = format!("{}{}{}", "u".repeat(30), "-".repeat(60), "u".repeat(19));
    assert_eq!(r.line, wanted);
    assert_eq!(r.broke, 60);
    // A jump of a year is bounded.
    flight.passes(Mono(u64::MAX), seen);
    assert_eq!(flight.len(), KEPT);
}

#[test]
fn recorder_does_not_enlarge_the_snapshot_of_a_quiet_day() {
    let mut simulation = Simulation::new(&config(json!({})), &World::quiet(), 1);
    struct Nobody;
    impl linekeeper_proving::simulate::Spectator for Nobody {}
    simulation.run(Span::hours(24), &mut Nobody);
    let judge: &Judge = simulation.judge().unwrap();
    let (lean, whole) =
        (judge.snapshot().unwrap().to_string().len(), judge.full_snapshot().unwrap().to_string().len());
    assert!(lean < 6_000 && whole > lean + 28_000, "{lean} and {whole} bytes");
    println!("a snapshot has {lean} bytes, with the flight recorder {whole}");
    assert!(simulation.report().saves <= 13, "{} saves", simulation.report().saves);
}
