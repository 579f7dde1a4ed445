//! The speed promise inside the complete judge, in the simulator: our own tests cause no outage, an outage is not mistaken
//! for a test, and both kinds of incident coexist.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test's way to fail")]

use crate::common::judge::{Keeper, config, notice};
use linekeeper_contract::message::{Callback, CallbackState, Event, EventName, Finding, Message};
use linekeeper_contract::units::{Permille, Span};
use linekeeper_judge::action::Action;
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::Memory;
use linekeeper_proving::simulate::{Report, Simulation, Trouble, World};
use serde_json::{Value, json};

fn sold(over: Value) -> Config {
    let mut tree = json!({
        "promise": { "download": { "normal": "90 Mbit/s", "maximum": "100 Mbit/s" }, "upload": { "normal": "18 Mbit/s" } },
        "speed": { "servers": ["http://a.example/", "http://b.example/"] },
    });
    for (section, values) in over.as_object().unwrap() {
        let table = tree.as_object_mut().unwrap().entry(section).or_insert(json!({}));
        table.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
    }
    config(tree)
}

struct Told {
    keeper: Keeper,
    report: Report,
}

impl Told {
    fn of(config: &Config, world: &World, until: Span) -> Told {
        let mut keeper = Keeper::default();
        let mut simulation = Simulation::new(config, world, 1);
        simulation.run(until, &mut keeper);
        let report = simulation.into_report();
        assert_eq!(report.stalls, 0);
        assert!(report.largest_snapshot <= 32_768, "a snapshot of {} bytes", report.largest_snapshot);
        Told { keeper, report }
    }
    fn messages(&self) -> impl Iterator<Item = &Message> {
        self.keeper.done.iter().filter_map(|d| match &d.action {
            Action::Publish(c) => Some(&c.message),
            _ => None,
        })
    }
    fn events(&self, name: EventName, finding: Finding) -> Vec<&Event> {
        let wanted = |e: &&Event| e.event == name && e.incident.finding == finding;
        self.messages()
            .filter_map(|m| if let Message::Event(e) = m { Some(&**e) } else { None })
            .filter(wanted)
            .collect()
    }
    fn callbacks(&self, trigger: &str) -> Vec<&Callback> {
        let callbacks = self.messages().filter_map(|m| match m {
            Message::Callback(c) => Some(&**c),
            Message::Event(_) | Message::CommandResult(_) => None,
        });
        callbacks.filter(|c| c.trigger.name == trigger).collect()
    }
    /// Moments of the world, in ms, at which tests began.
    fn tests(&self) -> Vec<u64> {
        let began =
            |a: &&(linekeeper_proving::simulate::Moment, Action)| matches!(a.1, Action::MeasureSpeed(_));
        self.keeper.acted.iter().filter(began).map(|a| a.0.world.0).collect()
    }
}

/// A test fills the line: echoes take 1.2 s or are lost, seven of ten, and that is nothing to anyone.
#[test]
fn own_speed_tests_cause_no_outage_disconnect_or_bad_target() {
    let config = sold(json!({ "speed": { "servers": ["http://a.example/"], "per_day": 48, "seconds": "30 s",
        "budget": { "day": "50 GB", "month": "900 GB" } } }));
    // Short in truth, so that every test takes its whole time.
    let world = World::quiet().with_trouble(Span::ZERO, Span::days(9), Trouble::Slow(Permille(500)));
    let mut keeper = Keeper::default();
    let mut simulation = Simulation::new(&config, &world, 1);
    simulation.run(Span::hours(18), &mut keeper);
    let status = simulation.judge().unwrap().status(simulation.moment().agent);
    assert_eq!(status.disconnects, 0);
    assert!(status.rtt_us.unwrap() < 30_000, "{:?}: a full queue teaches no round trip", status.rtt_us);
    assert!(status.targets.iter().all(|t| !t.bad));
    let promise = status.promise.unwrap();
    assert_eq!(promise.directions.len(), 2);
    assert!(promise.next_test_ms.is_some() && promise.day.0 < promise.day.1);
    let told = Told { keeper, report: simulation.into_report() };
    assert!(told.tests().len() >= 20, "{}", told.tests().len());
    assert_eq!(told.report.false_breaks, []);
    assert!(told.events(EventName::IncidentOpened, Finding::Outage).is_empty());
    let words =
        |n: &str| n.contains("bad target") || n.contains("a break of") || n.contains("echoes are silent");
    assert_eq!(told.keeper.notes().map(|(_, n)| n).find(|n| words(n)), None);
}

/// The line breaks in the middle of a test: it is found as soon as ever, and the test is ended.
#[test]
fn outage_during_a_speed_test_is_declared_as_fast_as_usual() {
    let config =
        sold(json!({ "speed": { "servers": ["http://a.example/"], "per_day": 48, "seconds": "30 s" } }));
    let slow = World::quiet().with_trouble(Span::ZERO, Span::days(9), Trouble::Slow(Permille(500)));
    let first = Told::of(&config, &slow, Span::hours(2)).tests()[0];
    let broke = Span(first + 8_000);
    let told =
        Told::of(&config, &slow.with_trouble(broke, Span::minutes(1), Trouble::Upstream), Span::hours(2));
    let breaks: Vec<_> = told.report.breaks.iter().filter(|b| b.broke == broke).collect();
    assert!(breaks[0].detection().unwrap() <= Span::millis(5_000), "{:?}", breaks[0].detection());
    assert!(told.keeper.done.iter().any(|d| matches!(d.action, Action::AbortSpeed { .. })));
    assert_eq!(told.report.false_breaks, []);
}

#[test]
fn slow_line_and_outage_are_two_incidents_with_a_callback_each() {
    let config = sold(json!({ "device": { "id": "gw-0001", "language": "zh-CN" } }));
    let outage = Span::hours(20);
    let mut world = World::quiet()
        .with_trouble(Span::hours(6), Span::hours(36), Trouble::Slow(Permille(450)))
        .with_trouble(outage, Span::minutes(10), Trouble::Upstream);
    world.failover = true;
    let told = Told::of(&config, &world, Span::days(4));
    let opened = told.events(EventName::IncidentOpened, Finding::ShortRate);
    assert_eq!(opened.len(), 1);
    assert_eq!(told.events(EventName::IncidentClosed, Finding::ShortRate).len(), 1);
    assert_eq!(told.events(EventName::IncidentOpened, Finding::Outage).len(), 1);
    assert_eq!(told.events(EventName::IncidentClosed, Finding::Outage).len(), 1);
    let speed = told.callbacks("speed");
    assert!(speed.iter().all(|c| c.callback_id == speed[0].callback_id), "one callback");
    assert_eq!(speed[0].state, CallbackState::Requested);
    assert_eq!(speed.last().unwrap().state, CallbackState::Withdrawn);
    let both = speed.iter().rfind(|c| c.issues.len() == 2).expect("both directions");
    let codes: Vec<&str> = both.issues.iter().map(|i| i.code.as_str()).collect();
    assert_eq!(codes, ["speed.download", "speed.upload"]);
    let zh = &both.issues[0].description;
    assert!(zh.starts_with("宽带下载比约定的慢") && zh.contains("约 45 兆") && zh.contains("五成"), "{zh}");
    assert!(both.evidence.samples.len() >= 8);
    let servers: Vec<_> = both.evidence.facts.iter().filter(|f| f.name == "speed.server").collect();
    assert_eq!(servers.len(), 4, "two servers, two directions");
    let outages = told.callbacks("outage");
    assert_eq!(outages.first().unwrap().state, CallbackState::Requested);
    assert_ne!(outages[0].callback_id, speed[0].callback_id);
    // No test in the outage, its hold-down, and until the line is up for a while.
    let quiet = outage.0 + 1_000..outage.0 + Span::minutes(15).0;
    assert_eq!(told.tests().into_iter().find(|at| quiet.contains(at)), None);
}

/// Found while the operator knows of an outage in the area: nobody is called before that is over, and then it is not forgotten.
#[test]
fn area_notice_defers_the_callback_about_a_slow_line() {
    // 2026-11-20T00:00:00Z, and some days: taken back after 40 hours.
    let notice = notice(1_795_132_800, 1_795_132_800 + 5 * 86_400);
    let slow = World::quiet().with_trouble(Span::ZERO, Span::days(9), Trouble::Slow(Permille(500)));
    let ends = Span::hours(40);
    let told = |world: &World| {
        let told = Told::of(&sold(json!({})), world, Span::days(3));
        assert_eq!(told.events(EventName::IncidentOpened, Finding::ShortRate).len(), 1);
        let requests: Vec<Span> = told.report.requests.values().map(|r| r.at).collect();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0]
    };
    assert!(told(&slow) < Span::hours(39), "without a notice it is found before");
    let noticed = slow.with_trouble(Span::minutes(5), ends, Trouble::Notice(notice));
    let at = told(&noticed);
    let over = Span::minutes(5) + ends;
    assert!(at >= over && at < over + Span::hours(1), "{at}");
}

#[test]
fn quiet_line_is_verified_with_few_bytes_and_little_flash() {
    let days = 3;
    let mut keeper = Keeper::default();
    let mut simulation = Simulation::new(&sold(json!({})), &World::quiet(), 1);
    simulation.run(Span::days(days), &mut keeper);
    let status = simulation.judge().unwrap().status(simulation.moment().agent);
    for side in status.promise.unwrap().directions {
        assert_eq!(side.verdict, linekeeper_judge::promise::rule::Verdict::Kept);
    }
    let report = simulation.into_report();
    assert!(report.saves <= 24 * days, "{} saves in {days} days", report.saves);
    assert!(report.largest_snapshot <= 8_192, "{} bytes", report.largest_snapshot);
    assert_eq!((report.false_breaks.len(), report.callbacks.len()), (0, 0));
}

/// Killed in a test, again and again, and its gateway cut from power: what was reserved stays spent, and it goes on.
#[test]
fn kill_during_a_speed_test_loses_no_budget_record() {
    let config = sold(json!({ "speed": { "servers": ["http://a.example/"], "per_day": 24 } }));
    let mut world = World::quiet().with_trouble(Span::ZERO, Span::days(9), Trouble::Slow(Permille(500)));
    let mut killed = 0;
    for _ in 0..5 {
        let tests = Told::of(&config, &world, Span::hours(12)).tests();
        let Some(at) = tests.into_iter().find(|at| *at > killed) else { break };
        killed = at;
        world = world.with_trouble(Span(at + 4_000), Span::seconds(5), Trouble::Killed(Memory::Restored));
    }
    let mut keeper = Keeper::default();
    let mut simulation = Simulation::new(&config, &world, 1);
    simulation.run(Span::hours(12), &mut keeper);
    let told = keeper.notes().filter(|(_, n)| n.contains("was interrupted")).count();
    assert_eq!(told, 5);
    let day = simulation.judge().unwrap().status(simulation.moment().agent).promise.unwrap().day;
    // Each round's reserve: 100 Mbit/s and 18 Mbit/s for 10 s, and 15 %.
    assert!(day.0.0 >= 5 * 169_000_000, "{} in five kills", day.0);
    assert!(day.0 <= day.1);
}
