//! Simulated lines (seeded, in virtual time) with the speed promise: the verdict is correct and the budget holds.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test's way to fail")]

use crate::common::judge::config;
use linekeeper_contract::units::{Bytes, Mono, Permille, Rate, Span};
use linekeeper_contract::vocabulary::{Direction, Limit, SpeedFailure};
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::{Counted, Link};
use linekeeper_judge::promise::rule::{Reason, Verdict};
use linekeeper_judge::promise::{Cause, Promise, Scene, Turn};
use linekeeper_judge::speed::{Confidence, Figures, SpeedEnded, SpeedOrder, SpeedOutcome, TestId};
use linekeeper_proving::simulate::random::Random;
use serde_json::{Value, json};

const MBIT: u64 = 1_000_000;

fn sold(over: Value) -> Config {
    let mut tree = json!({
        "promise": {
            "download": { "minimum": "60 Mbit/s", "normal": "90 Mbit/s", "maximum": "100 Mbit/s" },
            "upload": { "normal": "18 Mbit/s", "maximum": "20 Mbit/s" },
        },
        "speed": { "servers": ["http://a.example/", "http://b.example/"] },
    });
    for (section, values) in over.as_object().unwrap() {
        let table = tree.as_object_mut().unwrap().entry(section).or_insert(json!({}));
        table.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
    }
    config(tree)
}

/// What befalls a test: the line's rate of what was sold, per mille, and what held it back; or a failure.
type Fate = Result<(u64, Limit), (SpeedFailure, Option<Span>)>;

/// What a test meets, by the order and the hour of day.
type Measured = Box<dyn FnMut(&mut Random, &SpeedOrder, u64) -> Fate>;

/// A line, the gateway on it, and the promise that judges it.
struct World {
    config: Config,
    promise: Promise,
    random: Random,
    now: Mono,
    /// Mbit/s of the customer's, both ways.
    customer: (u64, u64),
    free: bool,
    fate: Measured,
    /// What was in truth spent, and when.
    spent: Vec<(Mono, u64)>,
    orders: Vec<(Mono, SpeedOrder)>,
    told: Vec<(Mono, Turn)>,
    /// Chance that the process is killed during a test, per mille.
    killed: u16,
    kills: u32,
}

impl World {
    fn new(
        config: Config,
        seed: u64,
        fate: impl FnMut(&mut Random, &SpeedOrder, u64) -> Fate + 'static,
    ) -> World {
        let now = Mono(1_000_000_000);
        let mut promise = Promise::new();
        promise.started(now, &config, false, &mut Vec::new());
        World {
            config,
            promise,
            random: Random::new(seed),
            now,
            customer: (0, 0),
            free: true,
            fate: Box::new(fate),
            spent: Vec::new(),
            orders: Vec::new(),
            told: Vec::new(),
            killed: 0,
            kills: 0,
        }
    }

    /// Midnight was when our clock began.
    fn with<T>(&mut self, f: impl FnOnce(&mut Promise, &Scene<'_>, &mut Vec<Turn>) -> T) -> T {
        let scene = Scene {
            now: self.now,
            config: &self.config,
            local: Some((self.now.0 / 1_000) as i64),
            free: self.free,
            calm: self.free,
        };
        let mut turns = Vec::new();
        let t = f(&mut self.promise, &scene, &mut turns);
        f_advance(&mut self.promise, &scene, &mut turns);
        for turn in turns {
            self.told.push((self.now, turn));
        }
        t
    }

    fn hour(&self) -> u64 {
        self.now.0 / 3_600_000 % 24
    }

    fn count(&mut self, down: u64, up: u64) {
        let packets = |mbit: u64| mbit * MBIT / 8 / 1_500;
        let counted = Counted {
            over: Span::seconds(1),
            rx_bytes: packets(down) * 1_514,
            tx_bytes: packets(up) * 1_514,
            rx_unicast: packets(down),
            rx_proof: None,
            tx_packets: packets(up),
            rx_errors: 0,
            reset: false,
        };
        self.with(|p, scene, turns| p.counted(scene, &counted, turns));
    }

    /// Lets time pass; what nobody would look at is left out.
    fn run(&mut self, until: Mono) {
        let mut seen = self.told.len();
        while self.now < until {
            // Just before the promise wants to be woken, so that the counters' last seconds are known; and now and
            // then, as a live line would.
            let next = self.promise.wake().unwrap_or(until).min(self.now + Span::minutes(10)).min(until);
            self.now = (next - Span::seconds(11)).max(self.now + Span::seconds(1));
            for _ in 0..14 {
                let (down, up) = self.customer;
                self.count(down, up);
                self.now = self.now + Span::seconds(1);
                if self.measured(&mut seen) {
                    break;
                }
            }
        }
    }

    /// Carries out the tests that were ordered since `seen`.
    fn measured(&mut self, seen: &mut usize) -> bool {
        let mut any = false;
        while *seen < self.told.len() {
            let turn = self.told[*seen].1.clone();
            *seen += 1;
            if let Turn::Measure { order, reserved } = turn {
                any = true;
                let snapshot = reserved.then(|| serde_json::to_string(&self.promise).unwrap());
                self.measure(&order, snapshot);
            }
        }
        any
    }

    fn measure(&mut self, order: &SpeedOrder, snapshot: Option<String>) {
        assert!(order.seconds_most >= Span::seconds(3), "{order:?}");
        self.orders.push((self.now, order.clone()));
        let full = match order.direction {
            Direction::Download => 90 * MBIT,
            Direction::Upload => 18 * MBIT,
        };
        let hour = self.hour();
        let fate = (self.fate)(&mut self.random, order, hour);
        let line = Rate(full * fate.as_ref().map_or(1_000, |f| f.0) / 1_000);
        let enough = fate.is_ok() && order.enough.is_some_and(|e| line >= e);
        let took = if enough { Span::seconds(3) } else { order.seconds_most };
        let cost =
            if fate.is_ok() { (line.0 / 8_000 * took.0 * 103 / 100).min(order.bytes_most.0) } else { 2_000 };
        if let Some(snapshot) = snapshot.filter(|_| self.random.chance(self.killed)) {
            // Killed when all was spent and nothing told: what is on flash is what was saved before the test.
            self.kills += 1;
            self.spent.push((self.now, order.bytes_most.0));
            self.now = self.now + took + Span::seconds(20);
            self.promise = serde_json::from_str(&snapshot).unwrap();
            let (now, config) = (self.now, self.config.clone());
            self.promise.started(now, &config, false, &mut Vec::new());
            return;
        }
        self.spent.push((self.now, cost));
        self.now = self.now + took;
        let outcome = match fate {
            Ok((_, limit)) => SpeedOutcome::Measured(figures(line, limit, enough)),
            Err((reason, retry_after)) => {
                SpeedOutcome::Failed { reason, detail: "so it was".into(), retry_after }
            }
        };
        let ended = SpeedEnded {
            test: order.test,
            server: order.server,
            direction: order.direction,
            cost: Bytes(cost),
            took,
            outcome,
        };
        self.with(|p, scene, turns| p.ended(scene, &ended, turns));
    }

    fn verdict(&self, direction: Direction) -> Verdict {
        self.promise.verdict(self.now, &self.config, direction).unwrap().verdict
    }

    fn found(&self) -> Vec<Cause> {
        self.told.iter().filter_map(|(_, t)| if let Turn::Short(c) = t { Some(*c) } else { None }).collect()
    }

    /// No 24 hours and no 31 days cost more than was allowed.
    fn within_budget(&self) {
        for (window, most) in
            [(Span::days(1), self.config.speed.budget.day), (Span::days(31), self.config.speed.budget.month)]
        {
            for (at, _) in &self.spent {
                let within = |s: &&(Mono, u64)| s.0 <= *at && at.since(s.0) < window;
                let sum: u64 = self.spent.iter().filter(within).map(|s| s.1).sum();
                assert!(sum <= most.0, "{} spent in {window}, {most} allowed", Bytes(sum));
            }
        }
    }
}

fn f_advance(promise: &mut Promise, scene: &Scene<'_>, turns: &mut Vec<Turn>) {
    promise.advance(scene, turns);
    assert!(promise.wake().is_none_or(|at| at > scene.now), "wants to be woken in the past");
}

fn figures(line: Rate, limit: Limit, stopped_early: bool) -> Figures {
    Figures {
        line,
        line_mean: line,
        own: line,
        customer: Rate(0),
        own_payload: line,
        spread: Permille(20),
        confidence: Confidence::High,
        limit,
        stopped_early,
        connections: 4,
        idle_rtt_us: None,
        loaded_rtt_us: None,
        rpm: None,
    }
}

fn days(n: u64) -> Mono {
    Mono(1_000_000_000) + Span::days(n)
}

/// One in twenty is low on a line that keeps its promise.
fn noisy(random: &mut Random) -> Fate {
    Ok((
        if random.chance(50) {
            300 + u64::from(random.below(450))
        } else {
            950 + u64::from(random.below(50))
        },
        Limit::Line,
    ))
}

/// Seven of ten are low on one that does not.
fn slow(random: &mut Random) -> Fate {
    Ok((if random.chance(700) { 300 + u64::from(random.below(400)) } else { 820 }, Limit::Line))
}

#[test]
fn hundred_simulated_lines_are_all_judged_correctly() {
    let all = Direction::ALL;
    for seed in 0..20 {
        let one = json!({ "speed": { "servers": ["http://a.example/"] } });
        let servers = |two: bool| if two { json!({}) } else { one.clone() };
        let two = seed % 2 == 0;

        let mut kept = World::new(sold(servers(two)), seed, |r, _, _| noisy(r));
        kept.run(days(14));
        assert_eq!(kept.found(), [], "seed {seed}: kept");
        assert!(all.iter().all(|d| kept.verdict(*d) != Verdict::Broken));
        let verdicts = kept.told.len();
        assert!(verdicts > 100, "it was tested");

        let mut busy = World::new(sold(servers(two)), seed, |_, _, _| Ok((400, Limit::Customer)));
        busy.customer = (30, 5);
        busy.run(days(4));
        assert_eq!(busy.found(), [], "seed {seed}: busy");
        for d in all {
            assert_eq!(busy.verdict(d), Verdict::Inconclusive(Reason::CrossTraffic), "seed {seed}");
        }
        assert!(busy.orders.len() <= 2 * 9, "{} tests on a line in use", busy.orders.len());

        let mut short = World::new(sold(servers(two)), seed, |r, o, _| match o.direction {
            Direction::Download => slow(r),
            Direction::Upload => Ok((990, Limit::Line)),
        });
        short.run(days(3));
        assert_eq!(short.found(), [Cause::Download], "seed {seed}: short");
        assert_eq!(short.verdict(Direction::Download), Verdict::Broken);
        assert_eq!(short.verdict(Direction::Upload), Verdict::Kept);

        let mut weak = World::new(sold(servers(two)), seed, |_, _, _| Ok((350, Limit::GatewayCpu)));
        weak.run(days(4));
        assert_eq!(weak.found(), [], "seed {seed}: weak");
        for d in all {
            assert_eq!(weak.verdict(d), Verdict::Inconclusive(Reason::GatewayCpu), "seed {seed}");
        }

        let mut bad = World::new(sold(json!({})), seed, |r, o, _| match o.server {
            0 => Ok((300, Limit::Line)),
            _ => noisy(r),
        });
        bad.run(days(7));
        assert_eq!(bad.found(), [], "seed {seed}: bad server");
        assert!(all.iter().all(|d| bad.verdict(*d) != Verdict::Broken));
        let faulty = |(_, t): &(Mono, Turn)| matches!(t, Turn::Note(_, text) if text.contains("fault domain server: http://a.example/"));
        assert!(bad.told.iter().any(faulty), "seed {seed}");

        for world in [kept, busy, short, weak, bad] {
            world.within_budget();
        }
    }
}

#[test]
fn slow_line_and_its_recovery_are_each_found_within_a_morning() {
    let mut delays = Vec::new();
    for seed in 0..20 {
        let cut = days(2) + Span::hours(3) + Span::minutes(seed * 37);
        let mend = cut + Span::days(2);
        let mut world = World::new(sold(json!({})), seed, |_, _, _| Ok((990, Limit::Line)));
        world.run(cut);
        world.fate = Box::new(|_, _, _| Ok((400, Limit::Line)));
        world.run(mend);
        let mut found: Vec<_> = world
            .told
            .iter()
            .filter(|(_, t)| matches!(t, Turn::Short(_)))
            .map(|(at, _)| at.since(cut))
            .collect();
        assert_eq!(found.len(), 2, "both directions");
        delays.push(found.remove(0));
        world.fate = Box::new(|_, _, _| Ok((990, Limit::Line)));
        world.run(mend + Span::days(2));
        let back: Vec<_> = world
            .told
            .iter()
            .filter(|(_, t)| matches!(t, Turn::Back(_)))
            .map(|(at, _)| at.since(mend))
            .collect();
        assert_eq!(back.len(), 2);
        assert!(back.iter().all(|d| *d < Span::days(1)), "{back:?}");
        world.within_budget();
    }
    delays.sort_unstable();
    assert!(delays[10] <= Span::hours(4), "in the median after {}", delays[10]);
    assert!(delays[19] <= Span::hours(8), "at worst after {}", delays[19]);
}

#[test]
fn quiet_day_spreads_ten_rounds_over_all_hours() {
    let mut world = World::new(sold(json!({})), 1, |_, _, _| Ok((990, Limit::Line)));
    world.run(days(30));
    let per_day = world.orders.len() as u64 / 2 / 30;
    assert!((9..=10).contains(&per_day), "{per_day} rounds a day");
    let mut hours = [0; 24];
    for (at, order) in &world.orders {
        hours[(at.0 / 3_600_000 % 24) as usize] += 1;
        assert_eq!(order.server, 0, "the preferred one");
    }
    // 600 tests: 25 an hour in the mean.
    assert!(hours.iter().all(|n| (8..=50).contains(n)), "{hours:?}");
    // Another device tests at other times.
    let mut other =
        World::new(sold(json!({ "device": { "id": "gw-0002" } })), 1, |_, _, _| Ok((990, Limit::Line)));
    other.run(days(3));
    let minutes = |w: &World| w.orders.iter().take(40).map(|(at, _)| at.0 / 60_000).collect::<Vec<_>>();
    let (a, b) = (minutes(&world), minutes(&other));
    assert!(a.iter().filter(|m| b.contains(m)).count() < 4);
}

#[test]
fn data_budget_holds_across_kills_and_on_a_too_fast_line() {
    for seed in 0..10 {
        let small = json!({ "speed": {
            "servers": ["http://a.example/", "http://b.example/"],
            "budget": { "day": "150 MB", "month": "2 GB" }, "per_day": 48,
        } });
        let mut world =
            World::new(sold(small), seed, |r, _, _| if r.chance(500) { slow(r) } else { noisy(r) });
        world.killed = 200;
        world.run(days(70));
        assert!(world.kills > 5, "{} kills", world.kills);
        assert!(world.orders.len() > 60, "{} tests", world.orders.len());
        world.within_budget();
    }
    // A gigabit on the default budget: tests get shorter and rarer, and are still made.
    let fast =
        json!({ "promise": { "download": { "normal": "1 Gbit/s" }, "upload": { "normal": "1 Gbit/s" } } });
    let mut world = World::new(sold(fast), 1, |_, _, _| Ok((11_500, Limit::Line)));
    world.run(days(40));
    assert!(world.orders.len() > 40, "{} tests", world.orders.len());
    world.within_budget();
}

#[test]
fn lost_state_counts_todays_budget_as_spent() {
    let config = sold(json!({}));
    let mut world = World::new(config.clone(), 1, |_, _, _| Ok((990, Limit::Line)));
    world.promise = Promise::new();
    world.promise.started(world.now, &config, true, &mut Vec::new());
    world.run(days(1));
    assert_eq!(world.orders, []);
    world.run(days(3));
    assert!(world.orders.len() >= 10);
}

#[test]
fn busy_server_is_retried_when_it_asks() {
    let one = json!({ "speed": { "servers": ["http://a.example/"] } });
    let mut world = World::new(sold(one), 1, |_, _, _| Err((SpeedFailure::ServerBusy, Some(Span::hours(3)))));
    world.run(days(2));
    let moments: Vec<Mono> = world.orders.iter().map(|o| o.0).collect();
    assert!(moments.len() > 5);
    assert!(moments.windows(2).all(|m| m[1].since(m[0]) >= Span::hours(3)), "{moments:?}");
    assert_eq!(world.found(), []);
    assert_eq!(world.verdict(Direction::Download), Verdict::Inconclusive(Reason::Server));
    // The other one is asked at once, nearly.
    let mut two = World::new(sold(json!({})), 1, |_, o, _| match o.server {
        0 => Err((SpeedFailure::ServerBusy, Some(Span::hours(12)))),
        _ => Ok((990, Limit::Line)),
    });
    two.run(days(1));
    assert_eq!(two.orders[0].1.server, 0);
    assert_eq!(two.orders[1].1.server, 1);
    assert!(two.orders[1].0.since(two.orders[0].0) < Span::minutes(15));
    assert_eq!(two.verdict(Direction::Download), Verdict::Kept);
}

#[test]
fn customer_traffic_proves_the_speed_and_saves_a_test() {
    let mut world = World::new(sold(json!({})), 1, |_, _, _| panic!("no test is needed"));
    // More than 80 % of the normal rate, each way.
    world.customer = (80, 16);
    world.run(days(2));
    assert_eq!(world.orders, []);
    for direction in Direction::ALL {
        assert_eq!(world.verdict(direction), Verdict::Kept);
    }
    let said =
        |(_, t): &&(Mono, Turn)| matches!(t, Turn::Note(_, text) if text.contains("no test is needed"));
    assert_eq!(world.told.iter().filter(said).count() / 2 / 2, 10, "as often as there would be a test");
    // Also where there may be no test at all.
    let mut metered =
        World::new(sold(json!({ "line": { "metered": true } })), 1, |_, _, _| panic!("metered"));
    metered.run(days(2));
    assert_eq!(metered.verdict(Direction::Download), Verdict::Inconclusive(Reason::TooFew));
    metered.customer = (80, 16);
    metered.run(days(3));
    assert_eq!(metered.verdict(Direction::Download), Verdict::Kept);
}

#[test]
fn slow_line_that_is_always_loaded_is_found_eventually() {
    let mut world = World::new(sold(json!({})), 1, |_, _, _| Ok((400, Limit::Line)));
    world.customer = (30, 6);
    world.run(days(4));
    assert!(world.found().contains(&Cause::Download));
    assert!(world.orders.len() < 40, "{} tests on a line in use", world.orders.len());
}

#[test]
fn port_slower_than_the_promise_is_found_at_once_without_tests() {
    let mut world = World::new(sold(json!({})), 1, |_, _, _| panic!("no test says more than the port"));
    let link = |mbit: u64| Link { carrier: true, speed: Some(Rate(mbit * MBIT)), ..Link::default() };
    let see = |world: &mut World, mbit| {
        world.with(|p, _, _| p.link_seen(&link(mbit)));
        world.run(world.now + Span::seconds(9));
    };
    see(&mut world, 1_000);
    see(&mut world, 10);
    world.run(world.now + Span::seconds(2));
    assert_eq!(world.found(), [Cause::Port]);
    assert_eq!(world.verdict(Direction::Download), Verdict::Inconclusive(Reason::Port));
    world.run(days(2));
    assert_eq!(world.found(), [Cause::Port]);
    see(&mut world, 1_000);
    world.run(world.now + Span::minutes(1));
    assert!(world.told.iter().any(|(_, t)| *t == Turn::Back(Cause::Port)));
    // A port that negotiates anew is not below anything yet.
    let mut flaps = World::new(sold(json!({})), 1, |_, _, _| Ok((990, Limit::Line)));
    for _ in 0..20 {
        flaps.with(|p, _, _| p.link_seen(&link(10)));
        flaps.now = flaps.now + Span::seconds(4);
        flaps.with(|p, _, _| p.link_seen(&link(1_000)));
    }
    assert_eq!(flaps.found(), []);
}

/// The first order of a world, with nothing done about it.
fn ordered(world: &mut World) -> SpeedOrder {
    loop {
        world.count(0, 0);
        let found = world.told.iter().find_map(|(_, t)| match t {
            Turn::Measure { order, .. } => Some(order.clone()),
            _ => None,
        });
        if let Some(order) = found {
            return order;
        }
        world.now = world.now + Span::seconds(1);
    }
}

fn aborted(world: &World) -> Option<TestId> {
    world.told.iter().find_map(|(_, t)| if let Turn::Abort(id) = t { Some(*id) } else { None })
}

#[test]
fn speed_test_stops_for_customer_traffic_and_outages() {
    // 90 Mbit/s in and its acknowledgements out are our own; 8 Mbit/s out beside them are not.
    let mut own = World::new(sold(json!({})), 1, |_, _, _| panic!());
    let order = ordered(&mut own);
    for _ in 0..9 {
        own.now = own.now + Span::seconds(1);
        own.count(90, 3);
    }
    assert_eq!(aborted(&own), None);
    own.now = own.now + Span::seconds(1);
    own.count(90, 12);
    assert_eq!(aborted(&own), None, "one window");
    own.now = own.now + Span::seconds(1);
    own.count(90, 12);
    assert_eq!(aborted(&own), Some(order.test));

    let mut broken = World::new(sold(json!({})), 1, |_, _, _| panic!());
    let order = ordered(&mut broken);
    broken.free = false;
    broken.count(0, 0);
    assert_eq!(aborted(&broken), Some(order.test));
    assert_eq!(broken.told.iter().filter(|(_, t)| matches!(t, Turn::Abort(_))).count(), 1);
}

#[test]
fn endless_speed_test_is_aborted_and_stays_charged() {
    let mut world = World::new(sold(json!({})), 1, |_, _, _| panic!());
    let order = ordered(&mut world);
    let deadline = world.promise.wake().unwrap();
    assert_eq!(deadline.since(world.now), order.seconds_most + Span::seconds(30));
    world.now = deadline;
    world.count(0, 0);
    assert_eq!(aborted(&world), Some(order.test));
    assert!(!world.promise.loads(world.now + Span::seconds(3)));
    // Its word, late: nothing more.
    let late = SpeedEnded {
        test: order.test,
        server: order.server,
        direction: order.direction,
        cost: order.bytes_most,
        took: order.seconds_most,
        outcome: SpeedOutcome::Measured(figures(Rate(MBIT), Limit::Line, false)),
    };
    world.with(|p, scene, turns| p.ended(scene, &late, turns));
    assert_eq!(world.verdict(order.direction), Verdict::Inconclusive(Reason::Local));
}

#[test]
fn no_speed_test_in_an_incident_without_counters_or_on_a_busy_line() {
    let mut incident = World::new(sold(json!({})), 1, |_, _, _| panic!());
    incident.free = false;
    incident.run(days(2));
    // Without counters nobody knows whether the line is in use.
    let mut blind = World::new(sold(json!({})), 1, |_, _, _| panic!());
    for _ in 0..2_000 {
        blind.now = blind.now + Span::minutes(2);
        blind.with(|_, _, _| ());
    }
    assert_eq!(blind.verdict(Direction::Download), Verdict::Inconclusive(Reason::Local));
    // A low result that took too short a time shows nothing.
    let mut waits = World::new(sold(json!({})), 1, |_, _, _| Ok((990, Limit::Line)));
    waits.customer = (30, 0);
    let busy_until = days(0) + Span::hours(4);
    waits.run(busy_until);
    assert_eq!(waits.orders, []);
    waits.customer = (0, 0);
    waits.run(busy_until + Span::hours(4));
    assert!(!waits.orders.is_empty());
}

#[test]
fn regulator_rules_get_the_tests_they_need() {
    let with = |rule: &str, budget: &str| {
        sold(
            json!({ "promise": { "rule": rule }, "speed": { "budget": { "day": budget, "month": "90 GB" } } }),
        )
    };
    for (rule, budget, within) in
        [("bnetza-2021", "3 GB", 9), ("fcc-80-80", "2 GB", 8), ("ctu-2021", "5 GB", 1), ("share", "2 GB", 2)]
    {
        let mut good = World::new(with(rule, budget), 3, |_, _, _| Ok((1_100, Limit::Line)));
        good.run(days(within));
        assert_eq!(good.verdict(Direction::Download), Verdict::Kept, "{rule}");
        assert_eq!(good.found(), [], "{rule}");
        good.within_budget();
        let mut short = World::new(with(rule, budget), 3, |_, _, _| Ok((400, Limit::Line)));
        short.run(days(within));
        assert_eq!(short.verdict(Direction::Download), Verdict::Broken, "{rule}");
        assert!(short.found().contains(&Cause::Download), "{rule}");
        short.fate = Box::new(|_, _, _| Ok((1_100, Limit::Line)));
        short.run(days(within * 2 + 2));
        assert_eq!(short.verdict(Direction::Download), Verdict::Kept, "{rule}: back");
        short.within_budget();
    }
}
