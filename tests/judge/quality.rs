//! Latency and loss against the promise: lines in virtual time, and the windows in isolation.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::{Keeper, config, notice, tree};
use linekeeper_contract::message::{
    Callback, CallbackState, Domain, Event, EventName, Finding, IncidentState, Message,
};
use linekeeper_contract::units::{Mono, Permille, Rate, Span};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::config::{Config, Places, read};
use linekeeper_judge::observation::{Memory, Observation, Started, TargetId};
use linekeeper_judge::quality::{Measure, Quality, Scene, Standing, Turn};
use linekeeper_proving::simulate::random::Random;
use linekeeper_proving::simulate::{Report, Simulation, Trouble, World, run};
use serde_json::{Value, json};

const ALWAYS: Span = Span::days(400);

/// 50 ms and 1 % were promised.
fn promised() -> Config {
    config(json!({ "promise": { "latency": "50 ms", "loss": "1 %" } }))
}

fn minutes(n: u64) -> Span {
    Span::minutes(n)
}

/// From the tenth minute on, for so long.
fn befallen(lasts: Span, trouble: Trouble) -> World {
    World::quiet().with_trouble(minutes(10), lasts, trouble)
}

fn events(report: &Report) -> Vec<&Event> {
    let new = report.delivered.iter().filter(|d| !d.repeated);
    new.filter_map(|d| match &d.message.message {
        Message::Event(e) => Some(&**e),
        Message::Callback(_) | Message::CommandResult(_) => None,
    })
    .collect()
}

fn callbacks(report: &Report) -> Vec<&Callback> {
    let new = report.delivered.iter().filter(|d| !d.repeated);
    new.filter_map(|d| match &d.message.message {
        Message::Callback(c) => Some(&**c),
        Message::Event(_) | Message::CommandResult(_) => None,
    })
    .collect()
}

/// What was found, where, and how it ended.
fn told(report: &Report) -> Vec<(EventName, Finding, Domain)> {
    events(report).iter().map(|e| (e.event, e.incident.finding, e.incident.fault_domain)).collect()
}

fn nothing_happened(report: &Report) {
    assert_eq!(told(report), []);
    assert!(report.requests.is_empty());
    assert_eq!(report.remedies, []);
    assert_eq!(report.false_breaks, []);
    assert_eq!(report.stalls, 0);
}

#[test]
fn lossy_line_is_reported_and_called_about_once_and_withdrawn() {
    let world = befallen(Span::hours(2), Trouble::Loss(Permille(50)));
    let report = run(&promised(), &world, 1, Span::hours(4), &mut ());
    let wanted = [
        (EventName::IncidentOpened, Finding::Loss, Domain::Access),
        (EventName::IncidentClosed, Finding::Loss, Domain::Access),
    ];
    assert_eq!(told(&report), wanted);
    assert_eq!((report.false_breaks.len(), report.remedies.len()), (0, 0));
    let calls = callbacks(&report);
    let states: Vec<CallbackState> = calls.iter().map(|c| c.state).collect();
    assert_eq!(states, [CallbackState::Requested, CallbackState::Received, CallbackState::Withdrawn]);
    assert!(report.requests.values().all(|r| r.right && r.name == "loss"));
    let asked = calls[0];
    assert_eq!((asked.issues[0].kind.as_str(), asked.issues[0].code.as_str()), ("quality", "loss.access"));
    assert_eq!(asked.evidence.finding, Some(Finding::Loss));
    assert_eq!(asked.evidence.samples.len(), 10);
    assert!(asked.evidence.samples[0]["loss_permille"].as_u64().is_some(), "{}", asked.evidence.samples[0]);
    assert!(asked.evidence.rule.contains("1 % was promised"), "{}", asked.evidence.rule);
    assert!(asked.evidence.facts.iter().any(|f| f.name == "gateway.quality"));
    let closed = events(&report)[1];
    assert_eq!(closed.incident.state, IncidentState::Closed);
    assert_eq!(asked.incident_id.as_ref(), Some(&closed.incident.id));
    // Not before it lasted for half an hour, and told long before that.
    let at = |n: usize| report.delivered.iter().filter(|d| !d.repeated).nth(n).unwrap().published;
    assert!(at(0) < minutes(32), "told at {}", at(0));
    assert!((minutes(39)..minutes(48)).contains(&at(1)), "called at {}", at(1));
}

#[test]
fn bursty_20_percent_loss_is_a_loss_finding_and_no_outage() {
    let bursts = Trouble::Bursts { loss: Permille(200), mean: Span::millis(150) };
    let report = run(&promised(), &befallen(Span::hours(1), bursts), 2, Span::hours(2), &mut ());
    let found: Vec<Finding> = events(&report).iter().map(|e| e.incident.finding).collect();
    assert_eq!(found, [Finding::Loss, Finding::Loss]);
    assert_eq!(report.false_breaks, []);
    assert_eq!(report.remedies, []);
    let share = |c: &Callback| c.evidence.samples.iter().map(|s| s["loss_permille"].as_u64().unwrap()).max();
    let most = share(callbacks(&report)[0]).unwrap();
    assert!((120..330).contains(&most), "of a fifth the worst window shows {most} of a thousand");
}

#[test]
fn no_finding_without_a_promise() {
    let world = befallen(Span::hours(3), Trouble::Loss(Permille(200)));
    let world = world.with_trouble(Span::ZERO, ALWAYS, Trouble::Delay(Span::millis(800)));
    let mut simulation = Simulation::new(&config(json!({})), &world, 3);
    simulation.run(Span::hours(4), &mut ());
    assert_eq!(simulation.judge().unwrap().status(simulation.moment().agent).quality, None);
    nothing_happened(simulation.report());
}

#[test]
fn ten_days_at_half_the_loss_limit_are_no_finding() {
    let world = World::quiet().with_trouble(Span::ZERO, ALWAYS, Trouble::Loss(Permille(5)));
    nothing_happened(&run(&promised(), &world, 4, Span::days(10), &mut ()));
}

#[test]
fn high_latency_is_located_by_the_first_router() {
    let long = Span::millis(60);
    let placed = |world: World| {
        let report = run(&promised(), &world, 5, Span::hours(3), &mut ());
        assert!(report.requests.values().all(|r| r.right), "{:?}", report.requests);
        let calls = callbacks(&report);
        assert_eq!(calls[0].trigger.name, "high_latency");
        assert_eq!(calls.last().unwrap().state, CallbackState::Withdrawn);
        told(&report)
    };
    let wanted = |domain| {
        [EventName::IncidentOpened, EventName::IncidentClosed]
            .map(|name| (name, Finding::HighLatency, domain))
    };
    let hour = Span::hours(1);
    assert_eq!(placed(befallen(hour, Trouble::Delay(long))), wanted(Domain::Upstream));
    assert_eq!(placed(befallen(hour, Trouble::AccessDelay(long))), wanted(Domain::Access));
    let mute = befallen(hour, Trouble::Delay(long)).with_trouble(Span::ZERO, ALWAYS, Trouble::GatewayFilters);
    assert_eq!(placed(mute), wanted(Domain::Unknown));
}

/// Of 20 to 60 ms one in five is above 50: the median is not.
#[test]
fn latency_promise_applies_to_the_percentile() {
    let mut world = World::quiet();
    world.jitter_us = 40_000;
    let report = run(&promised(), &world, 6, Span::hours(1), &mut ());
    assert_eq!(told(&report).len(), 1);
    assert_eq!(told(&report)[0].1, Finding::HighLatency);
    world.jitter_us = 20_000;
    nothing_happened(&run(&promised(), &world, 6, Span::hours(1), &mut ()));
}

/// A far target of 180 ms beside anchors of 20: the line is the anchors'.
#[test]
fn line_latency_is_that_of_the_best_target() {
    let mut world = World::quiet();
    world.rtt_us = vec![20_000, 90_000, 180_000];
    nothing_happened(&run(&promised(), &world, 7, Span::hours(2), &mut ()));
}

#[test]
fn customer_load_and_own_tests_are_no_quality_finding() {
    let mut world = World::quiet();
    for hour in 0..24 {
        // Half of each hour, full: a second and more in the queue, most echoes lost.
        world = world.with_trouble(Span(hour * 3_600_137 + 60_000), minutes(30), Trouble::Load);
    }
    nothing_happened(&run(&promised(), &world, 8, Span::days(1), &mut ()));
    let sold = config(json!({
        "promise": { "download": { "normal": "90 Mbit/s" }, "latency": "50 ms", "loss": "1 %" },
        "speed": { "servers": ["http://speed.example/"], "per_day": 48 },
    }));
    let report = run(&sold, &world, 8, Span::days(1), &mut ());
    assert!(report.tests.0 > 10, "{} tests", report.tests.0);
    nothing_happened(&report);
}

#[test]
fn outages_do_not_count_as_loss() {
    let world = (0..20).fold(World::quiet(), |world, i| {
        world.with_trouble(minutes(10 + 15 * i), minutes(3), Trouble::Upstream)
    });
    let report = run(&promised(), &world, 9, Span::hours(6), &mut ());
    assert!(events(&report).iter().all(|e| e.incident.finding != Finding::Loss), "{:?}", told(&report));
}

/// Each a half of all echoes for all but six minutes, thirteen minutes apart.
#[test]
fn loss_under_six_minutes_is_no_finding() {
    let world = (0..70).fold(World::quiet(), |world, i| {
        world.with_trouble(minutes(10 + 20 * i), Span::seconds(350), Trouble::Loss(Permille(500)))
    });
    for seed in 1..=3 {
        let report = run(&promised(), &world, seed, Span::days(1), &mut ());
        assert_eq!(told(&report), [], "seed {seed}");
        assert!(report.requests.is_empty());
    }
}

/// While it lasts for hours in which nothing can be seen, nobody is called: what is called about was seen to last.
#[test]
fn quality_of_a_busy_line_requests_no_callback() {
    let world = befallen(minutes(22), Trouble::Loss(Permille(200)));
    let world = world.with_trouble(minutes(31), Span::hours(2), Trouble::Uses(Rate(30_000_000)));
    let sold = config(json!({
        "promise": { "download": { "normal": "90 Mbit/s" }, "loss": "1 %" },
    }));
    let report = run(&sold, &world, 1, minutes(150), &mut ());
    assert_eq!(told(&report).len(), 1, "{:?}", told(&report));
    assert!(report.requests.is_empty());
}

#[test]
fn area_notice_holds_back_the_quality_callback() {
    // 2026-11-20T00:00:00Z, and a day.
    let notice = notice(1_795_132_800, 1_795_132_800 + 86_400);
    let world = befallen(Span::hours(2), Trouble::Loss(Permille(200)));
    let world = world.with_trouble(minutes(5), Span::hours(3), Trouble::Notice(notice));
    let report = run(&promised(), &world, 1, Span::hours(2), &mut ());
    assert_eq!(told(&report).len(), 1);
    assert!(report.requests.is_empty());
}

/// What the status says, before, while and after.
#[test]
fn status_reports_the_quality() {
    let world = befallen(Span::hours(1), Trouble::Delay(Span::millis(60)));
    let mut simulation = Simulation::new(&promised(), &world, 1);
    let mut standing = |at: Span| {
        simulation.run(at, &mut ());
        simulation.judge().unwrap().status(simulation.moment().agent).quality.unwrap()
    };
    assert_eq!(standing(minutes(5)).latency.unwrap().standing, Standing::Unknown);
    let broken = standing(minutes(40));
    let (latency, loss) = (broken.latency.unwrap(), broken.loss.unwrap());
    assert_eq!((latency.standing, latency.limit), (Standing::Broken, 50_000));
    assert_eq!(latency.incident.unwrap().finding, Finding::HighLatency);
    // 80 to 82 ms, rounded up to tenths of the limit.
    assert_eq!(latency.last, Some(85_000));
    assert_eq!((loss.standing, loss.limit, loss.last, loss.failing), (Standing::Kept, 10, Some(0), 0));
    let kept = standing(Span::hours(2)).latency.unwrap();
    assert_eq!((kept.standing, kept.last, kept.incident), (Standing::Kept, Some(25_000), None));
}

/// Killed again and again, with its memory: one incident and one callback all the same.
#[test]
fn quality_state_survives_a_restart() {
    let mut world = befallen(Span::hours(2), Trouble::Loss(Permille(200)));
    for i in 0..4 {
        world = world.with_trouble(minutes(30 + 25 * i), Span::seconds(2), Trouble::Killed(Memory::Restored));
    }
    let report = run(&promised(), &world, 1, Span::hours(4), &mut ());
    assert_eq!(report.lives, 5);
    let found: Vec<Finding> = events(&report).iter().map(|e| e.incident.finding).collect();
    assert_eq!(found, [Finding::Loss, Finding::Loss]);
    assert_eq!(report.requests.len(), 1);
}

/// The judge written out and read back before each step that is a multiple of some number decides the same.
#[test]
fn restored_judge_decides_the_same() {
    let world = befallen(minutes(20), Trouble::Loss(Permille(200)));
    let world = world.with_trouble(minutes(12), minutes(25), Trouble::Delay(Span::millis(60)));
    let mut keeper = Keeper::default();
    run(&promised(), &world, 1, minutes(60), &mut keeper);
    let (mut one, mut other) = (Judge::new(promised()), Judge::new(promised()));
    let mut published = 0;
    for (n, entry) in keeper.entries().enumerate() {
        if n % 197 == 0 {
            other = Judge::restore(promised(), &other.full_snapshot().unwrap()).unwrap();
        }
        let done = one.step(entry.at, &entry.observation);
        assert_eq!(done, other.step(entry.at, &entry.observation), "entry {n}");
        published += done.iter().filter(|a| matches!(a, Action::Publish(_))).count();
    }
    assert!(published >= 4, "{published}");
}

/// What is no longer promised is over.
#[test]
fn incident_ends_when_its_promise_is_removed() {
    let world = befallen(Span::hours(2), Trouble::Loss(Permille(200)));
    let mut simulation = Simulation::new(&promised(), &world, 1);
    simulation.run(minutes(60), &mut ());
    let snapshot = simulation.judge().unwrap().snapshot().unwrap();
    let without = read(&tree(json!({ "promise": { "latency": "50 ms" } })), &Places::none()).unwrap();
    let mut judge = Judge::restore(without, &snapshot).unwrap();
    let mut now = simulation.moment().agent;
    let started = Observation::Started(Started {
        boot_id: "boot".into(),
        uptime: Span::hours(1),
        memory: Memory::Restored,
        watermark: 0,
        beat: None,
        taken: None,
    });
    let mut closed = Vec::new();
    let counted = linekeeper_judge::observation::Counted { over: Span::seconds(1), ..Default::default() };
    for saw in [started, Observation::Counted(counted), Observation::Counted(counted)] {
        now = now + Span::seconds(1);
        for action in judge.step(now, &saw) {
            if let Action::Publish(m) = action {
                closed.push(match m.message {
                    Message::Event(e) => format!("{:?} {:?}", e.event, e.incident.finding),
                    Message::Callback(c) => format!("{:?}", c.state),
                    Message::CommandResult(_) => String::new(),
                });
            }
        }
    }
    assert_eq!(closed, ["IncidentClosed Loss", "Withdrawn"]);
}

// ---- the windows by themselves ----

/// Feeds one echo of each target in each second, and the counters: nobody uses the line.
struct Windows {
    quality: Quality,
    now: Mono,
    targets: u8,
    scene: Scene,
    found: Vec<(Mono, Turn)>,
}

impl Windows {
    fn new(targets: u8, latency: Option<Span>, loss: Option<Permille>) -> Windows {
        let scene = Scene {
            now: Mono(0),
            fit: true,
            traffic: Some((2_000, 2_000)),
            quiet: None,
            quiet_share: Permille(100),
            targets: targets.into(),
            latency,
            loss,
            lasts: Span::minutes(30),
        };
        Windows { quality: Quality::default(), now: Mono(100_000), targets, scene, found: Vec::new() }
    }

    /// For so many seconds; what becomes of an echo in a second to a target.
    fn pass(&mut self, seconds: u64, mut fate: impl FnMut(u64, u8) -> Option<u32>) {
        for second in 0..seconds {
            for target in 0..self.targets {
                self.quality.saw(self.now, TargetId(target), fate(second, target));
            }
            self.now = self.now + Span::seconds(1);
            let mut turns = Vec::new();
            self.quality.counted(&Scene { now: self.now, ..self.scene }, &mut turns);
            self.found.extend(turns.into_iter().map(|turn| (self.now, turn)));
        }
    }

    fn is_found(&self, measure: Measure) -> bool {
        self.found.iter().any(|(_, turn)| *turn == Turn::Found(measure))
    }
}

/// Many routers answer echoes when they have time: what only one of them loses is not the line's.
#[test]
fn loss_at_one_target_only_is_no_finding() {
    for (targets, losing, found) in [(3, 1, false), (2, 1, false), (2, 2, true), (3, 3, true), (1, 1, true)] {
        let mut windows = Windows::new(targets, None, Some(Permille(10)));
        windows.pass(7_200, |second, target| (target >= losing || second % 5 > 0).then_some(20_000));
        assert_eq!(windows.is_found(Measure::Loss), found, "{losing} of {targets} lose a fifth");
    }
}

#[test]
fn delay_at_one_target_only_is_no_finding() {
    for (late, found) in [(2, false), (3, true)] {
        let mut windows = Windows::new(3, Some(Span::millis(50)), None);
        windows.pass(3_600, |_, target| Some(if target < late { 80_000 } else { 20_000 }));
        assert_eq!(windows.is_found(Measure::Latency), found, "{late} of 3 are late");
    }
}

/// The promise itself is kept; a tenth of it more is not. (Round trips are counted in tenths of it.)
#[test]
fn line_at_its_limit_keeps_the_promise() {
    for (rtt_us, found) in [(50_000, false), (50_001, true)] {
        let mut windows = Windows::new(2, Some(Span::millis(50)), None);
        windows.pass(3_600, |_, _| Some(rtt_us));
        assert_eq!(windows.is_found(Measure::Latency), found, "{rtt_us} us");
    }
    // One in a hundred of each target, and a promise of one.
    for (every, found) in [(100, false), (50, true)] {
        let mut windows = Windows::new(1, None, Some(Permille(10)));
        windows.pass(14_400, |second, _| (second % every > 0).then_some(20_000));
        assert_eq!(windows.is_found(Measure::Loss), found, "each {every}th is lost");
    }
}

#[test]
fn busy_disturbed_or_uncounted_echoes_are_ignored() {
    type Spoil = fn(&mut Scene);
    let spoils: [(&str, Spoil); 4] = [
        ("in use", |s| s.quiet = Some((Rate(1_999), Rate(5_000)))),
        ("in use upwards", |s| s.quiet = Some((Rate(5_000), Rate(1_999)))),
        ("not fit", |s| s.fit = false),
        ("counters tell nothing", |s| s.traffic = None),
    ];
    for (what, spoil) in spoils {
        let mut windows = Windows::new(2, Some(Span::millis(50)), Some(Permille(10)));
        spoil(&mut windows.scene);
        windows.pass(7_200, |second, _| (second % 5 > 0).then_some(80_000));
        assert_eq!(windows.found, [], "{what}");
    }
    // Nor does what comes within seconds of it: every seventh second is spoilt.
    let mut windows = Windows::new(2, Some(Span::millis(50)), Some(Permille(10)));
    for second in 0..7_200 {
        windows.scene.fit = second % 7 > 0;
        windows.pass(1, |_, _| if second % 5 > 0 { Some(80_000) } else { None });
    }
    assert_eq!(windows.found, []);
}

/// Whatever comes in bursts of less than six minutes, twelve and more apart.
#[test]
fn random_disturbance_under_six_minutes_is_no_finding() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let limit = Permille([1, 5, 10, 50, 200][seed as usize % 5]);
        let mut windows = Windows::new(1 + (seed % 4) as u8, Some(Span::millis(50)), Some(limit));
        for _ in 0..30 {
            let (good, bad) = (1_500 + u64::from(random.below(1_500)), u64::from(random.below(354)));
            windows.pass(good, |_, _| Some(20_000));
            let chance = random.below(1_001) as u16;
            windows.pass(bad, |_, _| if random.chance(chance) { None } else { Some(500_000) });
        }
        assert_eq!(windows.found, [], "seed {seed}");
    }
}

/// What the policy says of its memory.
#[test]
fn quality_state_is_small() {
    let mut windows = Windows::new(16, Some(Span::millis(50)), Some(Permille(1)));
    // Written out at its largest: a window is full of losses and of round trips of all lengths.
    let mut random = Random::new(1);
    windows.scene.targets = 16;
    windows.pass(3_000, |_, _| (!random.chance(500)).then_some(random.below(300_000)));
    let size = serde_json::to_string(&windows.quality).unwrap().len();
    assert!(size < 8_192, "{size} bytes of JSON");
    let few = Windows::new(2, None, None);
    let size = serde_json::to_string(&few.quality).unwrap().len();
    assert!(size < 600, "{size} bytes of JSON of one that judges nothing");
    let value: Value = serde_json::to_value(&windows.quality).unwrap();
    assert_eq!(serde_json::from_value::<Quality>(value).unwrap(), windows.quality);
}
