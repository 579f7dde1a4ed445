//! Lines over months of virtual time: what the judge must never do, how fast it must react, and what it must publish.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::{Keeper, Referee, config, refereed};
use crate::common::proof;
use linekeeper_contract::message::{CallbackState, Event, EventName, IncidentState, Message, Outcome};
use linekeeper_contract::units::{LocalTime, Permille, Rate, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::Memory;
use linekeeper_judge::outage::LineState;
use linekeeper_proving::simulate::random::Random;
use linekeeper_proving::simulate::{Fault, Report, Simulation, Trouble, World, run};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const ALWAYS: Span = Span::days(4_000);

fn always(trouble: Trouble) -> World {
    World::quiet().with_trouble(Span::ZERO, ALWAYS, trouble)
}

const ALL_RUNGS: [&str; 6] =
    ["renew", "other-resolver", "restart-interface", "restart-network", "power-modem", "reboot"];

fn full_ladder() -> Config {
    config(json!({ "remedies": { "ladder": ALL_RUNGS } }))
}

fn events(report: &Report) -> Vec<&Event> {
    report
        .delivered
        .iter()
        .filter(|d| !d.repeated)
        .filter_map(|d| match &d.message.message {
            Message::Event(e) => Some(&**e),
            Message::Callback(_) | Message::CommandResult(_) => None,
        })
        .collect()
}

/// No outage, no remedy, no callback, and no busy loop.
fn nothing_happened(report: &Report) {
    assert_eq!(report.false_breaks, [], "declared down while whole");
    assert!(report.breaks.iter().all(|b| b.declared.is_none()), "{:?}", report.breaks);
    assert_eq!(report.remedies, []);
    assert_eq!(report.callbacks, BTreeMap::new());
    assert_eq!(report.delivered, []);
    assert_eq!(report.stalls, 0);
}

// ---- what is no outage ----

#[test]
fn month_of_20_percent_random_loss_is_no_outage() {
    let report = run(&config(json!({})), &always(Trouble::Loss(Permille(200))), 1, Span::days(30), &mut ());
    nothing_happened(&report);
    assert!(report.probes > 7_000_000, "suspicions were raised: {}", report.probes);
    // What the log would hold: a lossy line must not fill it.
    assert!(report.notes[1] + report.notes[2] < 30 * 50, "{:?}", report.notes);
}

#[test]
fn month_of_20_percent_bursty_loss_is_no_outage() {
    let bursts = Trouble::Bursts { loss: Permille(200), mean: Span::millis(120) };
    let report = run(&config(json!({})), &always(bursts), 2, Span::days(30), &mut ());
    nothing_happened(&report);
    assert!(report.notes[1] + report.notes[2] < 30 * 50, "{:?}", report.notes);
}

#[test]
fn two_second_breaks_every_minute_are_counted_without_remedies() {
    let breaks = Trouble::Breaks { length: Span::seconds(2), every: Span::millis(60_017) };
    let mut simulation = Simulation::new(&config(json!({})), &always(breaks), 3);
    simulation.run(Span::days(1), &mut ());
    nothing_happened(simulation.report());
    assert!(simulation.report().breaks.len() > 1_400);
    let counted = simulation.judge().unwrap().status(simulation.moment().agent).disconnects;
    assert!((1_380..=1_440).contains(&counted), "{counted} of 1440 counted");
}

#[test]
fn one_dead_target_of_four_is_marked_bad() {
    let world = World::quiet().with_trouble(Span::minutes(10), ALWAYS, Trouble::DeadTarget(2));
    let mut keeper = Keeper::default();
    let mut simulation = Simulation::new(&config(json!({})), &world, 4);
    simulation.run(Span::hours(6), &mut keeper);
    nothing_happened(simulation.report());
    let status = simulation.judge().unwrap().status(simulation.moment().agent);
    let bad: Vec<&str> = status.targets.iter().filter(|t| t.bad).map(|t| t.host.as_str()).collect();
    assert_eq!(bad, ["203.0.113.53"]);
    let told: Vec<&str> = keeper.notes().map(|(_, n)| n).filter(|n| n.contains("bad target")).collect();
    assert_eq!(told.len(), 1, "said once: {told:?}");
}

#[test]
fn target_dead_from_the_start_is_marked_bad() {
    let report = run(&config(json!({})), &always(Trouble::DeadTarget(0)), 5, Span::hours(6), &mut ());
    nothing_happened(&report);
}

#[test]
fn router_that_filters_echoes_is_no_fault() {
    let report = run(&config(json!({})), &always(Trouble::GatewayFilters), 6, Span::days(1), &mut ());
    nothing_happened(&report);
}

#[test]
fn customer_load_is_no_outage() {
    let mut world = World::quiet();
    for hour in 0..24 {
        // An hour's half, full, from moments that fall everywhere in the second.
        world = world.with_trouble(Span(hour * 3_600_137 + 60_000), Span::minutes(30), Trouble::Load);
    }
    let report = run(&config(json!({})), &world, 7, Span::days(1), &mut ());
    nothing_happened(&report);
}

#[test]
fn start_under_customer_load_is_no_outage() {
    let mut world = always(Trouble::Load);
    for i in 0..300 {
        let at = Span(60_000 + i * 60_137);
        world = world.with_trouble(at, Span::seconds(2), Trouble::Killed(Memory::Restored));
    }
    let report = run(&config(json!({})), &world, 7, Span::hours(6), &mut ());
    nothing_happened(&report);
    assert_eq!(report.lives, 301);
}

#[test]
fn customer_load_is_no_outage_with_the_shortest_patience() {
    let mut world = World::quiet();
    for i in 0..200 {
        world = world.with_trouble(Span(i * 120_137 + 60_000), Span::seconds(60), Trouble::Load);
    }
    let impatient = config(json!({ "outage": { "patience": "500 ms" } }));
    let report = run(&impatient, &world, 7, Span::hours(7), &mut ());
    nothing_happened(&report);
    // And silence is still found, within two windows.
    let world = phases(50, Span::seconds(8), &Trouble::Upstream);
    let (report, _) = refereed(&impatient, &world, 9, Span::hours(7));
    let (_, worst) = spread(report.breaks.iter().map(|b| b.detection().unwrap()).collect());
    assert!(worst <= Span::millis(2_700), "{worst}");
}

#[test]
fn silence_is_declared_without_counters() {
    let mut world = phases(50, Span::seconds(15), &Trouble::Upstream);
    world.counters = false;
    let (report, _) = refereed(&config(json!({})), &world, 9, Span::hours(7));
    let (_, worst) = spread(report.breaks.iter().map(|b| b.detection().unwrap()).collect());
    assert!(worst <= Span::seconds(3), "{worst}");
}

#[test]
fn bouncing_carrier_does_not_delay_remedies_forever() {
    let mut world = World::quiet().with_trouble(Span::minutes(5), Span::minutes(10), Trouble::Access);
    for i in 0..100 {
        world =
            world.with_trouble(Span::minutes(5) + Span::seconds(i * 6), Span::seconds(3), Trouble::Carrier);
    }
    let (report, _) = refereed(&config(json!({})), &world, 9, Span::hours(1));
    let first = report.remedies.first().map(|r| r.0).unwrap();
    assert!(first < Span::minutes(5) + Span::seconds(40), "{first}");
    assert_eq!(report.callbacks.len(), 1);
}

#[test]
fn bouncing_carrier_does_not_delay_the_callback() {
    // Whole for three seconds in each six, but nothing passes: less than a link is given to settle.
    let ladder = config(json!({ "remedies": { "ladder": ["renew", "restart-interface"] } }));
    let mut world = World::quiet().with_trouble(Span::minutes(5), Span::minutes(30), Trouble::Upstream);
    for n in 0..200 {
        world =
            world.with_trouble(Span::minutes(5) + Span::seconds(6 * n), Span::seconds(3), Trouble::Carrier);
    }
    let (report, _) = refereed(&ladder, &world, 9, Span::minutes(30));
    let asked: Vec<Span> = report.requests.values().map(|r| r.at).collect();
    assert_eq!(asked.len(), 1);
    assert!(asked[0] < Span::minutes(5) + Span::minutes(3), "{asked:?}");
}

#[test]
fn no_remedy_at_the_moment_the_carrier_returns() {
    for seconds in [3, 6, 9] {
        let world = World::quiet().with_trouble(Span::minutes(5), Span::seconds(seconds), Trouble::Carrier);
        let (report, _) = refereed(&config(json!({})), &world, 9, Span::hours(1));
        assert_eq!(report.remedies, [], "after {seconds} s");
    }
}

/// The echoes of a full line are late or lost: what tells that it is back is the traffic, a reading or two later.
#[test]
fn no_callback_at_the_moment_the_carrier_returns_to_a_loaded_line() {
    let ladder = config(json!({ "remedies": { "ladder": ["renew", "restart-interface", "power-modem"] } }));
    for seed in 1..=20 {
        let away = Span::millis(62_000 + 1_730 * seed);
        let world = World::quiet().with_trouble(Span::minutes(5), away, Trouble::Carrier).with_trouble(
            Span::minutes(4),
            Span::minutes(20),
            Trouble::Load,
        );
        let (report, _) = refereed(&ladder, &world, seed, Span::hours(1));
        let restored = report.breaks.first().and_then(|b| b.restored);
        assert!(restored.is_some(), "seed {seed}: {:?}", report.breaks);
        assert_eq!(report.callbacks.len(), 0, "seed {seed}: {:?} {:?}", report.breaks, report.requests);
    }
}

/// A modem that starts, or trains anew, takes the carrier away and brings it back by itself: whoever cuts its power meanwhile
/// lets it begin once more.
#[test]
fn no_remedy_while_the_modem_may_be_booting() {
    let ladder = config(json!({ "remedies": { "ladder": ["restart-interface", "power-modem", "reboot"] } }));
    let begun = |trouble: Trouble, lasts: Span| {
        let world = World::quiet().with_fault(Fault {
            at: Span::minutes(5),
            lasts: Some(lasts),
            healed_by: vec![Rung::PowerModem],
            trouble,
        });
        let (report, referee) = refereed(&ladder, &world, 9, Span::hours(2));
        let told = referee.keeper.notes().filter(|(_, n)| n.starts_with("the modem may be starting")).count();
        let begun = report.remedies.iter().map(|(at, rung)| (at.0 / 1_000 - 300, *rung)).collect::<Vec<_>>();
        (begun, report.callbacks.len(), told)
    };
    for seconds in [25, 90, 170] {
        let restart = vec![(10, Rung::RestartInterface)];
        assert_eq!(begun(Trouble::Carrier, Span::seconds(seconds)), (restart, 0, 1), "{seconds} s");
    }
    let both = vec![(10, Rung::RestartInterface), (180, Rung::PowerModem)];
    assert_eq!(begun(Trouble::Carrier, Span::hours(1)), (both, 0, 1), "what hangs is helped");
    // With a carrier nothing tells of a start.
    let (access, _, told) = begun(Trouble::Access, Span::hours(1));
    assert!(access[1].0 < 30 && access[1].1 == Rung::PowerModem && told == 0, "{access:?}");
    // A cut cable: told to the platform when nothing is left.
    let world = World::quiet().with_trouble(Span::minutes(5), Span::hours(1), Trouble::Carrier);
    let (report, _) = refereed(&ladder, &world, 9, Span::hours(2));
    let rungs: Vec<Rung> = report.remedies.iter().take(3).map(|(_, rung)| *rung).collect();
    assert_eq!(rungs, [Rung::RestartInterface, Rung::PowerModem, Rung::Reboot]);
    assert_eq!(report.callbacks.len(), 1);
}

#[test]
fn pass_due_while_the_line_is_up_does_not_busy_loop() {
    // Handed over, back, and broken again within the hold-down, after the next pass was due. The referee looks.
    let world = World::quiet()
        .with_trouble(Span::minutes(5), Span::seconds(50), Trouble::Access)
        .with_trouble(Span::minutes(8), Span::seconds(30), Trouble::Carrier);
    let soon = config(json!({ "remedies": { "again": "1 min" } }));
    let (report, _) = refereed(&soon, &world, 9, Span::hours(1));
    assert_eq!(report.remedies.iter().filter(|(_, r)| *r == Rung::RestartInterface).count(), 2);
}

#[test]
fn missing_address_is_no_outage_while_echoes_are_answered() {
    let world = phases(100, Span::seconds(20), &Trouble::Unseen);
    let report = run(&config(json!({})), &world, 8, Span::hours(13), &mut ());
    nothing_happened(&report);
    let from_the_start = run(&config(json!({})), &always(Trouble::Unseen), 8, Span::hours(1), &mut ());
    nothing_happened(&from_the_start);
}

#[test]
fn break_shorter_than_patience_is_not_declared() {
    let mut random = Random::new(0x5eed);
    for case in 0..400 {
        let patience = [500, 1_000, 2_000, 5_000][random.below(4) as usize];
        let interval = [100, 500, 1_000][random.below(3) as usize];
        let rtt = 1 + random.below(400);
        let mut world = World::quiet();
        world.rtt_us = (0..4).map(|_| 1_000 * (1 + random.below(rtt))).collect();
        world.jitter_us = 0;
        world.late = Span(u64::from(random.below(5)));
        let mut at = 20_000;
        for _ in 0..20 {
            let longest = patience - 1;
            let length = if random.chance(500) { longest } else { 1 + random.below(longest) };
            world = world.with_trouble(Span(at), Span(u64::from(length)), Trouble::Upstream);
            at += u64::from(length) + 8_000 + u64::from(random.below(4_000));
        }
        let over = json!({
            "outage": { "patience": format!("{patience} ms") },
            "probe": { "interval": format!("{interval} ms") },
        });
        let report = run(&config(over), &world, case, Span(at), &mut ());
        assert!(
            report.breaks.iter().all(|b| b.declared.is_none()) && report.false_breaks.is_empty(),
            "case {case}: patience {patience}, interval {interval}, rtt {:?}: {:?}",
            world.rtt_us,
            report.breaks.iter().find(|b| b.declared.is_some())
        );
    }
}

/// The echoes of the round that decides are waited for, all of them: what is near is given up sooner than what is far away
/// is answered. So a break just shorter than the patience, after which one target stays away longer, is no outage.
#[test]
fn break_shorter_than_patience_is_not_declared_when_a_near_target_stays_silent() {
    let mut random = Random::new(0xdec1de);
    for seed in 1..=100 {
        let patience = 2_000;
        let mut world = World::quiet();
        // Target 0 near, the others beyond the sea; all within the patience.
        world.rtt_us = vec![5_000; 4];
        (1..4).for_each(|far| world.rtt_us[far] = 1_000 * (450 + random.below(300)));
        world.jitter_us = 0;
        let mut at = 30_000;
        for _ in 0..10 {
            let length = patience - 1 - random.below(400);
            world = world.with_trouble(Span(at), Span(u64::from(length)), Trouble::Upstream);
            world = world.with_trouble(Span(at), Span(u64::from(patience + 1_500)), Trouble::DeadTarget(0));
            at += 60_000 + u64::from(random.below(4_000));
        }
        let report = run(&config(json!({})), &world, seed, Span(at), &mut ());
        let declared = report.breaks.iter().find(|b| b.declared.is_some());
        assert!(
            declared.is_none() && report.false_breaks.is_empty(),
            "seed {seed}, round trips {:?}: {declared:?} {:?}",
            world.rtt_us,
            report.false_breaks
        );
    }
}

// ---- how fast ----

/// Median and worst.
fn spread(mut spans: Vec<Span>) -> (Span, Span) {
    spans.sort();
    (spans[spans.len() / 2], spans[spans.len() - 1])
}

/// `n` breaks of `length`, each at another phase of seconds and intervals, further apart than the hold-down.
fn phases(n: u64, length: Span, trouble: &Trouble) -> World {
    (0..n).fold(World::quiet(), |world, i| {
        world.with_trouble(Span(60_000 + i * 420_000 + (i * 7) % 1_501), length, trouble.clone())
    })
}

#[test]
fn silence_beyond_the_router_is_declared_and_ended_in_time() {
    let world = phases(250, Span::seconds(15), &Trouble::Upstream);
    let (report, _) = refereed(&config(json!({})), &world, 9, Span::days(2));
    assert_eq!(report.breaks.len(), 250);
    let (median, worst) = spread(report.breaks.iter().map(|b| b.detection().unwrap()).collect());
    assert!(median <= Span::millis(2_600) && worst <= Span::seconds(4), "declared: {median}, {worst}");
    assert!(worst >= Span::seconds(2), "before its patience: {worst}");
    let (median, worst) = spread(report.breaks.iter().map(|b| b.restoration().unwrap()).collect());
    assert!(worst <= Span::millis(1_500), "restored: {median}, {worst}");
    assert_eq!(report.remedies, [], "nothing on this side can mend it");
    assert_eq!(report.callbacks.len(), 0, "over before anybody could be called");
    assert_eq!(events(&report).iter().filter(|e| e.event == EventName::IncidentClosed).count(), 250);
}

#[test]
fn lost_carrier_is_declared_at_once() {
    let world = phases(100, Span::seconds(4), &Trouble::Carrier);
    let (report, _) = refereed(&config(json!({})), &world, 10, Span::days(1));
    assert_eq!(report.breaks.len(), 100);
    let (_, worst) = spread(report.breaks.iter().map(|b| b.detection().unwrap()).collect());
    assert!(worst <= Span::millis(10), "{worst}");
    let (_, worst) = spread(report.breaks.iter().map(|b| b.restoration().unwrap()).collect());
    assert!(worst <= Span::millis(1_500), "{worst}");
    assert_eq!(report.remedies, [], "a cable that is plugged in again mends itself");
}

#[test]
fn wedged_interface_recovers_within_ten_seconds() {
    let mut world =
        World::quiet().until_healed(Span::minutes(5), Trouble::Address, &[Rung::RestartInterface]);
    world.cannot.insert(Rung::Renew, "no DHCP client runs".into());
    let (report, _) = refereed(&config(json!({})), &world, 11, Span::minutes(20));
    let back = report.breaks[0].restored.unwrap().0 - report.breaks[0].broke.0;
    assert!(back <= 10_000, "{back} ms");
    let wanted =
        BTreeMap::from([((Rung::Renew, Outcome::Failed), 1), ((Rung::RestartInterface, Outcome::Healed), 1)]);
    assert_eq!(report.outcomes, wanted);
    assert_eq!(report.callbacks.len(), 0);
}

// ---- what nobody saw ----

#[test]
fn observation_gap_is_unknown_and_no_outage() {
    // Asleep over a whole outage: nothing may be said of it.
    let world = World::quiet()
        .with_trouble(Span::minutes(5), Span::minutes(10), Trouble::Frozen)
        .with_trouble(Span::minutes(6), Span::minutes(4), Trouble::Upstream);
    let report = run(&config(json!({})), &world, 12, Span::hours(1), &mut ());
    nothing_happened(&report);
    // Asleep, and the line is dead on waking: told from then on.
    let world = World::quiet()
        .with_trouble(Span::minutes(5), Span::minutes(10), Trouble::Frozen)
        .with_trouble(Span::minutes(14), Span::minutes(4), Trouble::Upstream);
    let (report, _) = refereed(&config(json!({})), &world, 13, Span::hours(1));
    let opened = events(&report)[0];
    assert!(opened.incident.opened.uptime_ms >= (60 + 15) * 60_000, "{:?}", opened.incident.opened);
    assert!(opened.incident.opened.uptime_ms <= (60 + 15) * 60_000 + 5_000, "{:?}", opened.incident.opened);
}

#[test]
fn slow_observation_without_counters_is_no_gap() {
    let slow = config(json!({ "probe": { "interval": "1 min", "gateway": false } }));
    let mut world = World::quiet();
    world.counters = false;
    let mut keeper = Keeper::default();
    let report = run(&slow, &world, 14, Span::hours(6), &mut keeper);
    nothing_happened(&report);
    let gaps = keeper.notes().filter(|(_, n)| n.contains("nobody watched")).count();
    assert_eq!(gaps, 0);
}

#[test]
fn line_has_a_grace_period_after_boot() {
    let booted = |dead: Span| {
        let mut world = World::quiet().with_trouble(Span::ZERO, dead, Trouble::Carrier);
        world.uptime = Span::seconds(20);
        run(&config(json!({})), &world, 15, Span::minutes(10), &mut ())
    };
    nothing_happened(&booted(Span::seconds(95)));
    // A district that boots together does not ask as if it were about to decide: five echoes twice a second.
    let mut world = World::quiet().with_trouble(Span::ZERO, Span::minutes(5), Trouble::Upstream);
    world.uptime = Span::seconds(20);
    let report = run(&config(json!({})), &world, 15, Span::seconds(99), &mut ());
    assert!(report.probes <= 99 * 10 + 10, "{} echoes in 99 s", report.probes);
    let report = booted(Span::minutes(5));
    let declared = report.breaks[0].declared.unwrap();
    assert!((Span::seconds(100)..Span::seconds(104)).contains(&declared), "{declared}");
}

#[test]
fn power_cut_is_no_outage() {
    let world = World::quiet().with_trouble(Span::hours(3), Span::minutes(20), Trouble::PowerCut);
    let (report, _) = refereed(&config(json!({})), &world, 16, Span::hours(5));
    assert_eq!((report.boots, report.lives), (2, 2));
    assert_eq!(report.delivered, []);
    assert_eq!(report.remedies, []);
}

// ---- one loop: equal histories, equal actions ----

/// A day on which much befalls, drawn from `seed`; over well before the end.
fn busy_world(seed: u64) -> World {
    let mut random = Random::new(seed);
    let mut world = World::quiet();
    world.rtt_us = vec![20_000, 31_000, 80_000, 9_000];
    world.platform.calls = random.chance(500).then_some(Span::minutes(7));
    let rungs = [
        vec![],
        vec![Rung::Renew],
        vec![Rung::RestartInterface, Rung::Reboot],
        vec![Rung::PowerModem],
        vec![Rung::Reboot],
        vec![Rung::RestartNetwork],
        vec![Rung::OtherResolver],
    ];
    for _ in 0..4 + random.below(12) {
        let at = Span(60_000 + u64::from(random.below(6 * 3_600_000)));
        let length = match random.below(4) {
            0 => 100 + random.below(3_000),
            1 => 3_000 + random.below(60_000),
            2 => 60_000 + random.below(600_000),
            _ => 600_000 + random.below(5_400_000),
        };
        let trouble = match random.below(28) {
            0 | 1 => Trouble::Upstream,
            2 | 3 => Trouble::Access,
            4 => Trouble::Carrier,
            5 | 6 => Trouble::Address,
            7 => Trouble::Loss(Permille(400)),
            8 => Trouble::Breaks { length: Span::seconds(4), every: Span::seconds(50) },
            9 => Trouble::Load,
            10 => Trouble::BrokerAway,
            11 => Trouble::ReceiptsLost,
            12 => Trouble::ReceiptsRefused,
            13 => Trouble::PowerCut,
            14 => Trouble::Killed(Memory::Restored),
            15 => Trouble::Asks("it is slow".into()),
            16 | 17 => Trouble::Frozen,
            18 => Trouble::DeadTarget(1),
            19 => Trouble::NamesForged,
            20..=22 => Trouble::NamesDead,
            23 => Trouble::Portal,
            24 => Trouble::Route,
            25 => Trouble::DhcpRefuses,
            26 => Trouble::HandsOff("sysupgrade runs".into()),
            _ => Trouble::ClockSet { to: Wall(1_164_000_000_000), synced: random.chance(500) },
        };
        let healed_by = rungs[random.below(7) as usize].clone();
        world = world.with_fault(Fault { at, lasts: Some(Span(u64::from(length))), healed_by, trouble });
    }
    world
}

/// Whether the customer joined this callback.
fn asked(report: &Report, id: &str) -> bool {
    let joined = |code: &String| code == "customer.asked";
    calls(report).iter().any(|(callback, _, codes)| callback == id && codes.iter().any(joined))
}

#[test]
fn invariants_hold_and_incidents_end_under_random_faults() {
    let ladders = [full_ladder(), config(json!({})), config(json!({ "outage": { "hold_down": "30 s" } }))];
    let mut seen = BTreeSet::new();
    for seed in 0..proof(60, 150) {
        let config = &ladders[(seed % 3) as usize];
        let world = busy_world(seed);
        let mut referee = Referee::new(config);
        let mut simulation = Simulation::new(config, &world, seed);
        simulation.run(Span::hours(14), &mut referee);
        let report = simulation.report();
        assert_eq!(report.stalls, 0, "seed {seed}: {world:?}");
        assert!(report.largest_snapshot < 65_536, "seed {seed}: {}", report.largest_snapshot);
        let judge = simulation.judge().unwrap();
        let status = judge.status(simulation.moment().agent);
        assert_eq!(status.line, LineState::Up, "seed {seed}");
        assert_eq!(status.incident, None, "seed {seed}: an incident never ended");
        for callback in &status.callbacks {
            let live = matches!(
                callback.state,
                CallbackState::Requested | CallbackState::Received | CallbackState::Scheduled
            );
            // What the customer asked for ends with the call, not with the line.
            let ended = !live || callback.trigger == "customer" || asked(report, &callback.callback_id);
            assert!(ended, "seed {seed}: callback {callback:?} never ended");
        }
        assert_eq!(report.false_breaks, [], "seed {seed}: {world:?}");
        // Nothing is lost: all that was published came, in the order of its numbers.
        let numbers: Vec<u64> =
            report.delivered.iter().filter(|d| !d.repeated).map(|d| d.message.number).collect();
        assert!(numbers.windows(2).all(|w| w[0] < w[1]), "seed {seed}: out of order");
        let published = referee.keeper.done.iter().filter(|d| matches!(d.action, Action::Publish(_))).count();
        assert_eq!(numbers.len(), published, "seed {seed}");
        seen.extend(report.outcomes.keys().copied());
        seen.extend(report.callbacks.values().map(|_| (Rung::Renew, Outcome::Healed)));
    }
    // The short version has too few worlds for each of them.
    for rung in Rung::ALL.into_iter().filter(|_| proof(false, true)) {
        for outcome in [Outcome::Healed, Outcome::NoEffect] {
            assert!(seen.contains(&(rung, outcome)), "no world showed {rung:?} {outcome:?}");
        }
    }
}

#[test]
fn equal_inputs_give_equal_actions() {
    for seed in [3, 17] {
        let (config, world) = (full_ladder(), busy_world(seed));
        let (mut one, mut other) = (Keeper::default(), Keeper::default());
        run(&config, &world, 5, Span::hours(8), &mut one);
        run(&config, &world, 5, Span::hours(8), &mut other);
        assert!(one.done == other.done && one.lives == other.lives);
        // And told again without any world.
        let mut again = Vec::new();
        for (snapshot, entries) in &one.lives {
            let mut judge = match snapshot {
                Some(snapshot) => Judge::restore(config.clone(), snapshot).unwrap(),
                None => Judge::new(config.clone()),
            };
            for entry in entries {
                again.extend(judge.step(entry.at, &entry.observation));
            }
        }
        let done: Vec<Action> = one.done.iter().map(|d| d.action.clone()).collect();
        assert!(again == done);
    }
}

#[test]
fn restoring_a_snapshot_at_any_step_changes_no_decision() {
    for seed in proof(&[17][..], &[3, 17, 40]).iter().copied() {
        let (config, world) = (full_ladder(), busy_world(seed));
        let mut keeper = Keeper::default();
        run(&config, &world, 5, Span::hours(3), &mut keeper);
        let mut random = Random::new(seed);
        for (snapshot, entries) in &keeper.lives {
            let mut plain = match snapshot {
                Some(snapshot) => Judge::restore(config.clone(), snapshot).unwrap(),
                None => Judge::new(config.clone()),
            };
            let mut interrupted = plain.clone();
            for entry in entries {
                if random.chance(100) {
                    // With the flight recorder: without it what was decided is the same, and its part of an incident is shorter.
                    let text = interrupted.full_snapshot().unwrap().to_string();
                    let snapshot = serde_json::from_str(&text).unwrap();
                    interrupted = Judge::restore(config.clone(), &snapshot).unwrap();
                }
                let (a, b) = (
                    plain.step(entry.at, &entry.observation),
                    interrupted.step(entry.at, &entry.observation),
                );
                assert_eq!(a, b, "seed {seed} at {:?}", entry.at);
                assert_eq!(plain.next_deadline(), interrupted.next_deadline());
            }
        }
    }
}

/// Most steps ask few parts of the judge. They decide what a step decides that asks all of them, to the byte.
#[test]
fn stepping_every_concern_changes_no_decision() {
    let sold = json!({
        "promise": { "download": { "normal": "90 Mbit/s" }, "upload": { "normal": "18 Mbit/s" } },
        "speed": { "servers": ["http://a.example/", "http://b.example/"] },
        "device": { "installed": "2026-11-19T21:30:00Z" },
        "programme": { "after": ["3 h", "6 h"] },
    });
    for seed in 40..proof(50, 70) {
        let config = if seed % 2 == 0 { config(sold.clone()) } else { full_ladder() };
        let mut world = busy_world(seed);
        world = world.with_trouble(Span::minutes(100), Span::minutes(9), Trouble::Uses(Rate(95_000_000)));
        world = world.with_trouble(Span::minutes(200), Span::minutes(90), Trouble::Slow(Permille(300)));
        let mut keeper = Keeper::default();
        run(&config, &world, seed, Span::hours(8), &mut keeper);
        for (snapshot, entries) in &keeper.lives {
            let mut plain = match snapshot {
                Some(snapshot) => Judge::restore(config.clone(), snapshot).unwrap(),
                None => Judge::new(config.clone()),
            };
            let mut thorough = plain.clone();
            for (n, entry) in entries.iter().enumerate() {
                let (a, b) =
                    (plain.step(entry.at, &entry.observation), thorough.step(entry.at, &entry.observation));
                assert_eq!(a, b, "seed {seed} at {:?}: {:?}", entry.at, entry.observation);
                thorough.end_quiet_period();
                assert_eq!(plain.next_deadline(), thorough.next_deadline(), "seed {seed} at {:?}", entry.at);
                if n % 10_000 == 0 {
                    assert_eq!(
                        plain.full_snapshot(),
                        thorough.full_snapshot(),
                        "seed {seed} at {:?}",
                        entry.at
                    );
                }
            }
            assert_eq!(plain.full_snapshot(), thorough.full_snapshot(), "seed {seed}");
        }
    }
}

// ---- the ladder's limits ----

#[test]
fn budgets_hold_over_any_day_across_restarts_and_reboots() {
    // A line that wedges every twenty minutes, on a gateway that loses its power and whose agent is killed.
    let mut world = World::quiet();
    for i in 0..3 * 72 {
        let at = Span::minutes(20).times(i) + Span::seconds(90);
        let healed_by = [Rung::Renew, Rung::RestartInterface, Rung::Reboot].to_vec();
        let lasts = Some(Span::minutes(15));
        world = world.with_fault(Fault { at, lasts, healed_by, trouble: Trouble::Address });
        if i % 7 == 3 {
            world = world.with_trouble(
                at + Span::seconds(3),
                Span::seconds(5),
                Trouble::Killed(Memory::Restored),
            );
        }
        if i % 11 == 5 {
            world = world.with_trouble(at + Span::seconds(4), Span::minutes(2), Trouble::PowerCut);
        }
    }
    // The referee counts.
    let (report, _) = refereed(&full_ladder(), &world, 20, Span::days(3));
    let taken = |rung| report.remedies.iter().filter(|(_, r)| *r == rung).count();
    assert!(taken(Rung::Renew) >= 60, "{}", taken(Rung::Renew));
    assert!(taken(Rung::RestartInterface) >= 12, "{}", taken(Rung::RestartInterface));
    assert!(report.boots > 15 && report.lives > 30);
}

#[test]
fn unsuccessful_ladder_backs_off_increasingly() {
    let world = World::quiet().with_trouble(Span::minutes(5), Span::days(7), Trouble::Access);
    let (report, _) = refereed(&config(json!({})), &world, 21, Span::days(8));
    let taken = |rung| report.remedies.iter().filter(|(_, r)| *r == rung).count();
    assert_eq!(taken(Rung::Reboot) + taken(Rung::PowerModem), 0, "not configured");
    // Passes at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 55.5 ... h, and no more than an incident may have.
    assert_eq!(taken(Rung::RestartInterface), 6, "{:?}", report.remedies);
    assert!((7..=12).contains(&taken(Rung::Renew)), "{:?}", report.remedies);
    assert_eq!(report.callbacks.into_values().collect::<Vec<_>>(), [CallbackState::Withdrawn]);
}

#[test]
fn reboot_that_did_not_help_is_not_repeated() {
    let world = (0..5).fold(World::quiet(), |world, day| {
        world.with_trouble(Span::days(day) + Span::hours(1), Span::hours(6), Trouble::Access)
    });
    let (report, _) = refereed(&full_ladder(), &world, 22, Span::days(5));
    let reboots = report.remedies.iter().filter(|(_, r)| *r == Rung::Reboot).count();
    assert_eq!((reboots, report.boots), (1, 2));
    // One that helped is taken for the next incident too.
    let world = (0..5).fold(World::quiet(), |world, day| {
        world.until_healed(Span::days(day * 2) + Span::hours(1), Trouble::Access, &[Rung::Reboot])
    });
    let (report, _) = refereed(&full_ladder(), &world, 23, Span::days(10));
    assert_eq!(report.outcomes.get(&(Rung::Reboot, Outcome::Healed)), Some(&5));
}

#[test]
fn ladder_continues_after_its_reboot() {
    let world = World::quiet().with_trouble(Span::minutes(5), Span::minutes(30), Trouble::Access);
    let order = config(json!({ "remedies": { "ladder": ["reboot", "restart-interface"] } }));
    let (report, _) = refereed(&order, &world, 24, Span::hours(1));
    let rungs: Vec<Rung> = report.remedies.iter().map(|(_, r)| *r).collect();
    assert_eq!(rungs[..2], [Rung::Reboot, Rung::RestartInterface]);
    assert_eq!(report.outcomes.get(&(Rung::Reboot, Outcome::NoEffect)), Some(&1));
    assert_eq!(report.boots, 2);
    let incidents: BTreeSet<&str> = events(&report).iter().map(|e| e.incident.id.as_str()).collect();
    assert_eq!(incidents.len(), 1, "one incident over the reboot: {incidents:?}");
}

#[test]
fn interrupted_remedy_is_made_safe() {
    // The agent dies while the interface is down, and comes back five seconds later.
    let mut world = World::quiet()
        .with_trouble(Span::minutes(5), Span::minutes(20), Trouble::Access)
        .with_trouble(Span(303_400), Span::seconds(5), Trouble::Killed(Memory::Restored));
    world.cannot.insert(Rung::Renew, "no DHCP client runs".into());
    let (report, referee) = refereed(&config(json!({})), &world, 25, Span::hours(1));
    assert_eq!(referee.made_safe, 1);
    assert_eq!(report.outcomes.get(&(Rung::RestartInterface, Outcome::Interrupted)), Some(&1));
    assert!(report.breaks.last().unwrap().returned.is_some(), "the interface stayed down");
    assert!(report.breaks.last().unwrap().restored.is_some());
}

// ---- callbacks ----

/// The callback's messages as the platform got them: state, message id, when.
fn callback_messages(report: &Report) -> Vec<(CallbackState, &str, Span)> {
    report
        .delivered
        .iter()
        .filter(|d| !d.repeated)
        .filter_map(|d| match &d.message.message {
            Message::Callback(c) => Some((c.state, c.id.as_str(), d.at)),
            Message::Event(_) | Message::CommandResult(_) => None,
        })
        .collect()
}

/// On a cable segment broadcasts go on while everything beyond it is dead.
#[test]
fn broadcasts_of_the_segment_neither_hide_nor_end_an_outage() {
    let mut world = outage_with_a_way_out();
    // 120 frames a second.
    world.noise = Rate(57_600);
    let (report, _) = refereed(&config(json!({})), &world, 39, Span::hours(2));
    let detection = report.breaks[0].detection().unwrap();
    assert!(detection <= Span::seconds(4), "{detection}");
    assert_eq!((report.breaks.len(), report.false_breaks.len()), (1, 0));
    let closed: Vec<_> =
        events(&report).into_iter().filter(|e| e.event == EventName::IncidentClosed).collect();
    assert_eq!(closed.len(), 1, "noise does not end it");
    assert!(closed[0].incident.down_ms >= Span::minutes(39).0, "{:?}", closed[0].incident);
    assert_eq!(report.callbacks.len(), 1);
}

/// The line is silent upstream and the broker is reached all the same: by the failover of the world.
fn outage_with_a_way_out() -> World {
    let mut world = World::quiet().with_trouble(Span::minutes(5), Span::minutes(40), Trouble::Upstream);
    world.failover = true;
    world
}

#[test]
fn callback_without_receipt_is_sent_again_with_the_same_id() {
    use CallbackState::{Received, Requested, Withdrawn};
    let world =
        outage_with_a_way_out().with_trouble(Span::minutes(1), Span::minutes(15), Trouble::ReceiptsLost);
    let (report, _) = refereed(&config(json!({})), &world, 30, Span::hours(2));
    let got = callback_messages(&report);
    let states: Vec<CallbackState> = got.iter().map(|m| m.0).collect();
    // Asked at 6 min, then 1, 2, 4 and 8 minutes later; the platform answers again from minute 16 on.
    assert_eq!(states, [Requested, Requested, Requested, Requested, Requested, Received, Withdrawn]);
    assert!(got[..5].iter().all(|m| m.1 == got[0].1), "one id: {got:?}");
    let waits: Vec<u64> = got[..5].windows(2).map(|w| (w[1].2.0 - w[0].2.0) / 60_000).collect();
    assert_eq!(waits, [1, 2, 4, 8]);
    assert_eq!(report.callbacks.len(), 1);
}

#[test]
fn refused_callback_is_not_sent_again() {
    let world =
        outage_with_a_way_out().with_trouble(Span::minutes(1), Span::hours(3), Trouble::ReceiptsRefused);
    let (report, _) = refereed(&config(json!({})), &world, 31, Span::hours(4));
    let states: Vec<CallbackState> = callback_messages(&report).iter().map(|m| m.0).collect();
    assert_eq!(states, [CallbackState::Requested, CallbackState::Refused]);
}

#[test]
fn completed_callback_stays_closed() {
    let mut world = outage_with_a_way_out();
    world.platform.calls = Some(Span::minutes(10));
    let (report, _) = refereed(&config(json!({})), &world, 32, Span::hours(4));
    let states: Vec<CallbackState> = callback_messages(&report).iter().map(|m| m.0).collect();
    assert_eq!(states, [CallbackState::Requested, CallbackState::Received, CallbackState::Closed]);
}

#[test]
fn withdrawn_callback_is_reopened_by_a_break_within_the_hold_down() {
    use CallbackState::{Received, Requested, Withdrawn};
    let mut world = World::quiet()
        .with_trouble(Span::minutes(5), Span::minutes(3), Trouble::Upstream)
        .with_trouble(Span::minutes(10), Span::minutes(3), Trouble::Upstream);
    world.failover = true;
    let (report, _) = refereed(&config(json!({})), &world, 33, Span::hours(2));
    let got = callback_messages(&report);
    let states: Vec<CallbackState> = got.iter().map(|m| m.0).collect();
    assert_eq!(states, [Requested, Received, Withdrawn, Requested, Received, Withdrawn]);
    let ids: BTreeSet<&str> = got.iter().map(|m| m.1).collect();
    assert_eq!(ids.len(), 6, "each change has its own id");
    assert_eq!(report.callbacks.len(), 1, "one callback: {:?}", report.callbacks);
}

#[test]
fn customer_request_is_sent_at_once_and_the_incident_joins_it() {
    let asks = Trouble::Asks("nothing works".into());
    let world = outage_with_a_way_out().with_trouble(Span(330_000), Span::ZERO, asks);
    let (report, referee) = refereed(&config(json!({})), &world, 34, Span::hours(2));
    assert_eq!(report.callbacks.len(), 1, "one incident, one callback: {:?}", report.callbacks);
    let last = report
        .delivered
        .iter()
        .filter_map(|d| match &d.message.message {
            Message::Callback(c) => Some(c),
            Message::Event(_) | Message::CommandResult(_) => None,
        })
        .next_back()
        .unwrap();
    let codes: Vec<&str> = last.issues.iter().map(|i| i.code.as_str()).collect();
    assert_eq!(codes, ["customer.asked", "outage.upstream"]);
    assert_eq!(last.state, CallbackState::Received, "who asks is called, healed or not");
    assert_eq!(serde_json::to_value(last.resolution.state).unwrap(), "resolved");
    let first = referee.keeper.acted.iter().find_map(|(at, a)| match a {
        Action::Publish(c) if c.message.topic() == "callback" => Some(at.world),
        _ => None,
    });
    assert_eq!(first, Some(Span(330_000)));
}

/// The callbacks' messages: which, its state, the codes of its issues.
fn calls(report: &Report) -> Vec<(String, CallbackState, Vec<String>)> {
    let delivered = report.delivered.iter().filter(|d| !d.repeated);
    delivered
        .filter_map(|d| match &d.message.message {
            Message::Callback(c) => {
                let codes = c.issues.iter().map(|i| i.code.clone()).collect();
                Some((c.callback_id.clone(), c.state, codes))
            }
            Message::Event(_) | Message::CommandResult(_) => None,
        })
        .collect()
}

#[test]
fn each_new_customer_request_reaches_the_platform() {
    use CallbackState::{Received, Requested};
    let asks =
        |world: World, at: Span, why: &str| world.with_trouble(at, Span::ZERO, Trouble::Asks(why.into()));
    let world = asks(World::quiet(), Span::minutes(10), "it is slow");
    // An impatient finger, then news, then the same long after.
    let world = asks(world, Span::minutes(11), "it is slow");
    let world = asks(world, Span::minutes(30), "nothing works");
    let world = asks(world, Span::minutes(90), "nothing works");
    let (report, _) = refereed(&config(json!({})), &world, 35, Span::hours(2));
    let got = calls(&report);
    assert_eq!(report.callbacks.len(), 1, "{:?}", report.callbacks);
    let states: Vec<CallbackState> = got.iter().map(|c| c.1).collect();
    assert_eq!(states, [Requested, Received, Received, Received]);
    let asked: Vec<usize> = got.iter().map(|c| c.2.len()).collect();
    assert_eq!(asked, [1, 1, 2, 2], "{got:?}");
}

#[test]
fn customer_request_is_not_merged_into_a_follow_up() {
    let world = World::quiet();
    let begins = world.clock.unwrap();
    let installed = LocalTime { wall: Wall(begins.0 - 23 * 3_600_000), offset_minutes: 0 }.to_string();
    let device = json!({ "id": "gw-0001", "customer": "CUST1001", "installed": installed });
    let world = world.with_trouble(Span::hours(3), Span::ZERO, Trouble::Asks("it is slow".into()));
    let (report, _) = refereed(&config(json!({ "device": device })), &world, 36, Span::hours(5));
    assert_eq!(report.callbacks.len(), 2, "{:?}", report.callbacks);
    let got = calls(&report);
    let (first, last) = (&got[0], &got[got.len() - 1]);
    assert_ne!(first.0, last.0);
    assert_eq!(last.2, ["customer.asked"]);
    assert!(first.2.iter().all(|code| code != "customer.asked"), "{got:?}");
}

#[test]
fn customer_request_during_an_outage_survives_the_recovery() {
    use CallbackState::{Received, Requested};
    let asks = Trouble::Asks("what about the line?".into());
    let world = outage_with_a_way_out().with_trouble(Span::minutes(20), Span::ZERO, asks);
    let (report, _) = refereed(&config(json!({})), &world, 37, Span::hours(2));
    let got = calls(&report);
    let states: Vec<CallbackState> = got.iter().map(|c| c.1).collect();
    assert_eq!(states, [Requested, Received, Received, Received], "{got:?}");
    assert_eq!(got[2].2, ["outage.upstream", "customer.asked"]);
}

#[test]
fn customer_text_follows_the_fault() {
    // Beyond the access at first; then the operator's first router dies as well, and more is tried.
    let world = outage_with_a_way_out().with_trouble(Span::minutes(15), Span::minutes(30), Trouble::Access);
    let (report, _) = refereed(&full_ladder(), &world, 38, Span::hours(2));
    let told: Vec<String> = calls(&report).into_iter().map(|c| c.2[0].clone()).collect();
    let first_of_gateway = told.iter().position(|code| code == "outage.gateway");
    assert_eq!(told[0], "outage.upstream", "{told:?}");
    assert!(first_of_gateway.is_some(), "{told:?}");
    assert_eq!(report.callbacks.len(), 1, "still one callback: {:?}", report.callbacks);
    let texts: Vec<&str> = report
        .delivered
        .iter()
        .filter_map(|d| match &d.message.message {
            Message::Callback(c) => Some(c.issues[0].description.as_str()),
            Message::Event(_) | Message::CommandResult(_) => None,
        })
        .collect();
    assert!(
        texts
            .iter()
            .any(|t| t
                .contains("; tried without success: renewed the address once, restarted the interface once")),
        "{texts:?}"
    );
}

#[test]
fn lost_state_repeats_no_id_and_keeps_sequence_numbers_rising() {
    let mut world = World::quiet();
    for i in 0..6 {
        let at = Span::minutes(5 + i * 20);
        world = world.with_trouble(at, Span::minutes(3), Trouble::Upstream);
        let memory = if i % 2 == 0 { Memory::Lost } else { Memory::None };
        world = world.with_trouble(at + Span::minutes(10), Span::seconds(2), Trouble::Killed(memory));
    }
    let (report, _) = refereed(&config(json!({})), &world, 35, Span::hours(3));
    let opened: Vec<&str> = events(&report)
        .iter()
        .filter(|e| e.event == EventName::IncidentOpened)
        .map(|e| e.incident.id.as_str())
        .collect();
    assert_eq!(opened.len(), 6);
    assert_eq!(opened.iter().collect::<BTreeSet<_>>().len(), 6, "{opened:?}");
    assert_eq!(report.callbacks.len(), 6, "{:?}", report.callbacks);
    let ids: BTreeSet<&str> = report.delivered.iter().map(|d| d.message.message.id()).collect();
    assert_eq!(ids.len(), report.delivered.len());
}

#[test]
fn messages_queue_in_order_with_their_own_time() {
    let world = World::quiet()
        .with_trouble(Span::minutes(4), Span::hours(1), Trouble::BrokerAway)
        .with_trouble(Span::minutes(5), Span::minutes(3), Trouble::Upstream)
        .with_trouble(Span::minutes(30), Span::seconds(3), Trouble::Killed(Memory::Restored));
    let (report, _) = refereed(&config(json!({})), &world, 36, Span::hours(2));
    let names: Vec<_> = events(&report).iter().map(|e| (e.event, e.incident.state)).collect();
    assert_eq!(
        names,
        [
            (EventName::IncidentOpened, IncidentState::Open),
            (EventName::IncidentClosed, IncidentState::Closed)
        ]
    );
    let first = &report.delivered[0];
    assert!(first.at >= Span::minutes(64) && first.published < Span::minutes(6), "{first:?}");
    assert_eq!(report.waiting, 0);
}
