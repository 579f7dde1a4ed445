//! Each default has a test of its purpose that fails when the default gets worse. `tests/mutations/run` checks that.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::{Keeper, config};
use linekeeper_contract::message::{CallbackState, EventName, Message, Outcome};
use linekeeper_contract::units::{Permille, Rate, Span};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::Action;
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::TargetId;
use linekeeper_proving::simulate::{Report, Simulation, Trouble, World, run};
use serde_json::json;

/// The defaults, with a driver that does things.
fn defaults() -> Config {
    config(json!({}))
}

fn live(world: &World, until: Span) -> Report {
    run(&defaults(), world, 1, until, &mut ())
}

fn opened(report: &Report) -> usize {
    let opens = |m: &Message| matches!(m, Message::Event(e) if e.event == EventName::IncidentOpened);
    report.delivered.iter().filter(|d| !d.repeated && opens(&d.message.message)).count()
}

/// Upstream breaks: when each begins, and for how long.
fn breaks(at: &[(u64, u64)]) -> World {
    at.iter().fold(World::quiet(), |world, (from, lasts)| {
        world.with_trouble(Span::seconds(*from), Span::seconds(*lasts), Trouble::Upstream)
    })
}

#[test]
fn breaks_two_minutes_apart_share_an_incident_and_ten_minutes_apart_do_not() {
    assert_eq!(opened(&live(&breaks(&[(600, 10), (730, 10)]), Span::hours(1))), 1);
    assert_eq!(opened(&live(&breaks(&[(600, 10), (1_210, 10)]), Span::hours(1))), 2);
}

#[test]
fn five_breaks_within_the_hold_down_are_flapping_and_four_are_not() {
    let calls = |n: u64| {
        let at: Vec<(u64, u64)> = (0..n).map(|i| (600 + 60 * i, 6)).collect();
        live(&breaks(&at), Span::hours(1)).requests.into_values().map(|r| r.name).collect::<Vec<_>>()
    };
    assert_eq!(calls(4), [""; 0]);
    assert_eq!(calls(5), ["flapping"]);
}

#[test]
fn phone_call_traffic_vetoes_an_outage_without_echo_replies() {
    // 100 kbit/s: a call. Every target is dead.
    let all = (0..4).fold(World::quiet(), |world, target| {
        world.with_trouble(Span::minutes(10), Span::minutes(10), Trouble::DeadTarget(target))
    });
    let used = all.clone().with_trouble(Span::minutes(9), Span::minutes(12), Trouble::Uses(Rate(100_000)));
    assert_eq!(opened(&live(&used, Span::hours(1))), 0);
    assert_eq!(opened(&live(&all, Span::hours(1))), 1, "with nothing but silence it is");
}

#[test]
fn outage_under_a_minute_requests_no_callback() {
    assert!(live(&breaks(&[(600, 50)]), Span::hours(1)).requests.is_empty());
    assert_eq!(live(&breaks(&[(600, 70)]), Span::hours(1)).requests.len(), 1);
}

#[test]
fn missing_receipt_is_requested_again_within_minutes() {
    let mut world = breaks(&[(600, 1_200)]).with_trouble(Span::ZERO, Span::hours(1), Trouble::ReceiptsLost);
    world.failover = true;
    let report = live(&world, Span::seconds(600 + 600));
    let requested = |m: &Message| matches!(m, Message::Callback(c) if c.state == CallbackState::Requested);
    let times = report.delivered.iter().filter(|d| !d.repeated && requested(&d.message.message)).count();
    assert!((3..=5).contains(&times), "asked {times} times in nine minutes");
}

#[test]
fn recovery_five_seconds_after_a_restart_is_credited_to_it() {
    let dead = World::quiet().with_trouble(Span::minutes(10), Span::minutes(10), Trouble::Access);
    let began = |report: &Report| report.remedies.iter().find(|r| r.1 == Rung::RestartInterface).unwrap().0;
    let began = began(&live(&dead, Span::minutes(15)));
    // Three seconds it takes, and five more.
    let until = Span(began.0 + 8_000 - Span::minutes(10).0);
    let report =
        live(&World::quiet().with_trouble(Span::minutes(10), until, Trouble::Access), Span::hours(1));
    assert_eq!(
        report.outcomes.get(&(Rung::RestartInterface, Outcome::Healed)),
        Some(&1),
        "{:?}",
        report.outcomes
    );
}

#[test]
fn one_or_two_lost_echoes_do_not_mark_a_target_bad() {
    let world = World::quiet().with_trouble(Span::ZERO, Span::hours(1), Trouble::Loss(Permille(50)));
    let mut simulation = Simulation::new(&defaults(), &world, 1);
    for second in 60..1_800 {
        simulation.run(Span::seconds(second), &mut ());
        let status = simulation.judge().unwrap().status(simulation.moment().agent);
        let bad = status.targets.iter().filter(|t| t.bad).count();
        assert!(bad <= 1, "{bad} bad targets at {second} s on a line that loses 5 %");
    }
}

#[test]
fn ten_second_observation_gap_is_reported_and_is_no_outage() {
    let world = World::quiet().with_trouble(Span::minutes(10), Span::seconds(10), Trouble::Frozen);
    let mut keeper = Keeper::default();
    let report = run(&defaults(), &world, 1, Span::hours(1), &mut keeper);
    assert!(keeper.notes().any(|(_, text)| text.starts_with("nobody watched for")));
    assert_eq!(opened(&report), 0);
}

#[test]
fn no_rung_exceeds_its_daily_budget() {
    // Wedged again and again, each time for a restart to heal: six a day.
    let world = (0..72 * 2).fold(World::quiet(), |world, i| {
        world.until_healed(
            Span::minutes(20).times(i) + Span::minutes(5),
            Trouble::Address,
            &[Rung::RestartInterface],
        )
    });
    let report = live(&world, Span::days(2));
    let taken: Vec<Span> = report
        .remedies
        .iter()
        .filter(|(_, rung)| *rung == Rung::RestartInterface)
        .map(|(at, _)| *at)
        .collect();
    let day = |at: &Span| taken.iter().filter(|t| **t >= *at && t.0 < at.0 + Span::days(1).0).count();
    assert_eq!(taken.iter().map(day).max(), Some(6), "{taken:?}");
}

/// 50 ms, and a loss of `loss`, were promised.
fn promised(loss: &str) -> Config {
    config(json!({ "promise": { "latency": "50 ms", "loss": loss } }))
}

fn closed_at(report: &Report) -> Option<Span> {
    let closes = |m: &Message| matches!(m, Message::Event(e) if e.event == EventName::IncidentClosed);
    report.delivered.iter().find(|d| closes(&d.message.message)).map(|d| d.published)
}

#[test]
fn twenty_minutes_of_loss_request_no_callback() {
    let lossy = |minutes| {
        let world = World::quiet().with_trouble(
            Span::minutes(10),
            Span::minutes(minutes),
            Trouble::Loss(Permille(200)),
        );
        run(&promised("1 %"), &world, 1, Span::hours(2), &mut ())
    };
    assert_eq!((opened(&lossy(20)), lossy(20).requests.len()), (1, 0));
    assert_eq!(lossy(50).requests.len(), 1);
}

#[test]
fn one_burst_of_losses_is_no_finding() {
    let world =
        World::quiet().with_trouble(Span::minutes(10), Span::seconds(350), Trouble::Loss(Permille(500)));
    assert_eq!(opened(&run(&promised("1 %"), &world, 1, Span::hours(1), &mut ())), 0);
}

#[test]
fn line_just_below_its_limit_has_not_recovered() {
    // 17 % where a fifth may be lost: no longer failing, and not fine.
    let lossy = World::quiet()
        .with_trouble(Span::minutes(10), Span::minutes(60), Trouble::Loss(Permille(400)))
        .with_trouble(Span::minutes(70), Span::minutes(60), Trouble::Loss(Permille(170)));
    let report = run(&promised("20 %"), &lossy, 1, Span::hours(3), &mut ());
    assert!(closed_at(&report).unwrap() > Span::minutes(130), "{:?}", closed_at(&report));
    // 46 to 48 ms where 50 may be taken, then 30 to 32.
    let late =
        |from, lasts, ms| (Span::minutes(from), Span::minutes(lasts), Trouble::Delay(Span::millis(ms)));
    let late = [late(10, 60, 60), late(70, 60, 26), late(130, 60, 10)];
    let late =
        late.into_iter().fold(World::quiet(), |world, (at, lasts, what)| world.with_trouble(at, lasts, what));
    let report = run(&promised("20 %"), &late, 1, Span::hours(3), &mut ());
    let closed = closed_at(&report).unwrap();
    assert!((Span::minutes(130)..Span::minutes(160)).contains(&closed), "{closed}");
}

#[test]
fn echo_is_sent_every_half_second() {
    let mut keeper = Keeper::default();
    run(&defaults(), &World::quiet(), 1, Span::minutes(10), &mut keeper);
    let far = |a: &Action| matches!(a, Action::Probe { target, .. } if *target != TargetId::GATEWAY);
    let asked = keeper.done.iter().filter(|d| far(&d.action)).count();
    assert!((1_150..1_250).contains(&asked), "{asked} in ten minutes");
}
