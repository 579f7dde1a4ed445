//! The availability ledger: what time is charged to, that it adds up, and how a new process distinguishes a power cut from
//! a crash, a restart and a reboot.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::config;
use linekeeper_contract::message::Message;
use linekeeper_contract::units::{LocalTime, Mono, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::ledger::{Availability, DAYS, Ledger, MONTHS, Tally, interrupts};
use linekeeper_judge::lives::{BEAT_EVERY, Beginning, Ending};
use linekeeper_judge::observation::{Beat, Charge, Link, Memory, Observation, Started};
use linekeeper_judge::outage::LineState;
use linekeeper_judge::{Judge, SAVE_EVERY, Status};
use linekeeper_proving::simulate::{Simulation, Spectator, Trouble, World};
use proptest::prelude::*;
use serde_json::{Value, json};

struct Nobody;
impl Spectator for Nobody {}

/// A world under the judge until then: the books, and what the judge's status says beside.
fn after(over: Value, world: &World, until: Span) -> (Tally, Status) {
    let mut simulation = Simulation::new(&config(over), world, 1);
    simulation.run(until, &mut Nobody);
    let now = simulation.moment().agent;
    let judge = simulation.judge().unwrap();
    let status = judge.status(now);
    let books = status.availability.clone().unwrap();
    assert_eq!(books.total.elapsed_ms(), judge.kept_for(now).0, "they add up");
    let summed = |periods: &[linekeeper_judge::ledger::Period]| -> u64 {
        periods.iter().map(|p| p.tally.elapsed_ms()).sum()
    };
    assert_eq!(summed(&books.days), books.total.elapsed_ms(), "the days add up to all");
    (books.total, status)
}

fn s(n: u64) -> Span {
    Span::seconds(n)
}

/// Equal but for what echoes and counters leave open.
#[track_caller]
fn about(ms: u64, seconds: u64) {
    assert!(ms.abs_diff(seconds * 1_000) <= 2_000, "{ms} ms, not about {seconds} s");
}

#[test]
fn break_is_charged_to_the_line_from_its_first_evidence() {
    let world = World::quiet().with_trouble(s(100), s(30), Trouble::Upstream);
    let (books, _) = after(json!({}), &world, s(600));
    about(books.line_ms, 30);
    assert_eq!((books.remedies_ms, books.tests_ms, books.power_ms), (0, 0, 0));
    // Until the first answer nothing is known.
    assert!(books.unknown_ms < 1_500, "{books:?}");
    assert_eq!(books.elapsed_ms(), 600_000);
    let watched = books.up_ms + books.line_ms;
    assert_eq!(u64::from(books.available_ppm.unwrap()), books.up_ms * 1_000_000 / watched);
}

#[test]
fn undeclared_short_break_is_no_unavailability() {
    let world = World::quiet().with_trouble(s(100), Span::millis(1_600), Trouble::Upstream);
    let (books, status) = after(json!({}), &world, s(300));
    assert_eq!(books.line_ms, 0, "{books:?}");
    assert_eq!(status.disconnects, 1);
}

#[test]
fn time_of_our_own_restart_is_not_charged_to_the_line() {
    // The simulator's restart takes 3 s; a renewal takes nothing away and is the line's time.
    let over = json!({ "remedies": { "ladder": ["renew", "restart-interface"] } });
    let world = World::quiet().with_trouble(s(100), s(60), Trouble::Access);
    let (books, status) = after(over, &world, s(400));
    let restarts = status.remedies.iter().filter(|r| r.name == Rung::RestartInterface).count().max(1) as u64;
    assert_eq!(books.remedies_ms, restarts * 3_000, "{books:?}");
    about(books.line_ms + books.remedies_ms, 60);
    assert!(!interrupts(Rung::Renew) && interrupts(Rung::RestartInterface) && interrupts(Rung::Reboot));
}

#[test]
fn gap_inside_an_open_break_is_unknown() {
    let world = World::quiet().with_trouble(s(100), s(100), Trouble::Upstream).with_trouble(
        s(120),
        s(40),
        Trouble::Frozen,
    );
    let (books, _) = after(json!({}), &world, s(400));
    // The gap, and until the silence is shown anew.
    assert!((40_000..48_000).contains(&books.unknown_ms), "{books:?}");
    assert!((52_000..62_000).contains(&books.line_ms), "{books:?}");
    assert_eq!(books.elapsed_ms(), 400_000);
}

#[test]
fn killed_process_leaves_unknown_time_and_is_reported_as_a_crash() {
    let killed = |at, lasts| World::quiet().with_trouble(s(at), s(lasts), Trouble::Killed(Memory::Restored));
    let (books, status) = after(json!({}), &killed(100, 50), s(400));
    let Beginning { how, away_least_ms, away_most_ms } = status.beginning.unwrap();
    assert_eq!(how, Ending::Crashed);
    // The simulator leaves no heartbeat: all since the snapshot may be part of it.
    assert_eq!(away_least_ms, 0);
    assert!((50_000..160_000).contains(&away_most_ms.unwrap()), "{away_most_ms:?}");
    assert!(books.unknown_ms >= 50_000 && books.line_ms == 0, "{books:?}");
    assert_eq!(books.elapsed_ms(), 400_000);
}

#[test]
fn power_cut_is_neither_line_downtime_nor_a_crash() {
    let over = json!({ "outage": { "hold_down": "10 s" } });
    let off = Span::hours(7);
    let world = World::quiet().with_trouble(Span::hours(4), off, Trouble::PowerCut);
    let (books, status) = after(over, &world, Span::hours(12));
    let Beginning { how, away_least_ms, away_most_ms } = status.beginning.unwrap();
    assert_eq!(how, Ending::PowerCut);
    let gone = off.0 + 20_000;
    assert!(
        away_least_ms <= gone && gone <= away_most_ms.unwrap(),
        "{away_least_ms} {away_most_ms:?} {gone}"
    );
    assert_eq!(away_most_ms.unwrap() - away_least_ms, SAVE_EVERY.0, "as exact as the flash allows");
    assert_eq!(books.line_ms, 0, "{books:?}");
    assert!(books.power_ms >= off.0 - SAVE_EVERY.0 && books.power_ms <= gone, "{books:?}");
    // What was seen after the last snapshot was forgotten with the power: the time is there all the same.
    assert_eq!(books.elapsed_ms(), Span::hours(12).0, "{books:?}");
}

#[test]
fn power_cut_during_an_outage_is_in_its_evidence() {
    let over = json!({ "callback": { "after": "2 min" }, "outage": { "hold_down": "10 s" } });
    struct Facts(Vec<String>);
    impl Spectator for Facts {
        fn on_action(
            &mut self,
            _: linekeeper_proving::simulate::Moment,
            action: &linekeeper_judge::action::Action,
        ) {
            if let linekeeper_judge::action::Action::Publish(critical) = action
                && let Message::Callback(c) = &critical.message
            {
                self.0.extend(c.evidence.facts.iter().map(|f| f.name.clone()));
            }
        }
    }
    let mut world = World::quiet().with_trouble(s(100), Span::hours(1), Trouble::Upstream).with_trouble(
        s(130),
        s(60),
        Trouble::PowerCut,
    );
    world.failover = true;
    let mut facts = Facts(Vec::new());
    let mut simulation = Simulation::new(&config(over), &world, 1);
    simulation.run(Span::minutes(20), &mut facts);
    assert!(facts.0.iter().any(|name| name == "gateway.power_cut"), "{:?}", facts.0);
}

#[test]
fn our_own_reboot_is_recorded_as_a_remedy() {
    let over = json!({
        "remedies": { "ladder": ["reboot"], "settle": { "reboot": "1 min" } },
        "outage": { "hold_down": "10 s" },
    });
    let world = World::quiet().until_healed(s(100), Trouble::Access, &[Rung::Reboot]);
    let (books, status) = after(over, &world, s(600));
    assert_eq!(status.beginning.unwrap().how, Ending::RebootedByUs);
    assert_eq!(books.power_ms, 0);
    // 3 s to go down, 15 s off, 20 s of boot, then the line is back.
    assert!((30_000..45_000).contains(&books.remedies_ms), "{books:?}");
    assert!(books.line_ms < 5_000, "{books:?}");
}

// ---- lives, by hand ----

struct Hand {
    judge: Judge,
    config: linekeeper_judge::config::Config,
    now: Mono,
}

impl Hand {
    fn new(over: Value) -> Hand {
        let config = config(over);
        Hand { judge: Judge::new(config.clone()), config, now: Mono(3_600_000) }
    }
    fn start(&mut self, boot_id: &str, uptime: Span, memory: Memory, beat: Option<Beat>) -> Vec<String> {
        let boot_id = boot_id.to_string();
        self.saw(&Observation::Started(Started { boot_id, uptime, memory, watermark: 0, beat, taken: None }))
    }
    fn saw(&mut self, saw: &Observation) -> Vec<String> {
        let mut notes = Vec::new();
        for action in self.judge.step(self.now, saw) {
            if let linekeeper_judge::action::Action::Note { text, .. } = action {
                notes.push(text);
            }
        }
        notes
    }
    /// Time passes with every echo answered.
    fn runs(&mut self, length: Span) {
        let until = self.now + length;
        while self.now < until {
            let mut echoes = Vec::new();
            for action in self.judge.step(self.now, &Observation::Ticked) {
                if let linekeeper_judge::action::Action::Probe { probe, target } = action {
                    echoes.push(Observation::EchoAnswered { probe, target, rtt_us: 20_000 });
                }
            }
            for echo in echoes {
                self.saw(&echo);
            }
            self.now = self.judge.next_deadline().max(self.now + Span(1)).min(until);
        }
    }
    /// The process ends without a word, and its successor goes on from the snapshot.
    fn dies(&mut self, snapshot: &Value) {
        self.judge = Judge::restore(self.config.clone(), snapshot).unwrap();
    }
    fn books(&self) -> Availability {
        self.judge.status(self.now).availability.unwrap()
    }
    fn began(&self) -> Beginning {
        self.judge.status(self.now).beginning.unwrap()
    }
}

#[test]
fn heartbeat_covers_the_time_after_the_last_snapshot() {
    let mut hand = Hand::new(json!({}));
    hand.start("a", Span::hours(1), Memory::None, None);
    let link: Link = serde_json::from_value(json!({
        "present": true, "admin_up": true, "carrier": true, "addresses": ["198.51.100.7"], "gateway": null,
        "default_route": true,
    }))
    .unwrap();
    hand.saw(&Observation::LinkSeen(link));
    hand.runs(Span::minutes(1));
    let snapshot = hand.judge.snapshot().unwrap();
    hand.runs(Span::minutes(90));
    let beat = hand.judge.beat(hand.now);
    assert_eq!(beat.charge, Charge::Up);
    let up = hand.books().total.up_ms;
    // Dead for ten minutes.
    hand.dies(&snapshot);
    hand.now = hand.now + Span::minutes(10);
    let mut blind = Hand { judge: hand.judge.clone(), config: hand.config.clone(), now: hand.now };
    let notes = hand.start("a", Span::hours(3), Memory::Restored, Some(beat));
    assert!(
        notes.iter().any(|n| n.contains("died unasked") && n.contains("9 min at least and 10 min")),
        "{notes:?}"
    );
    assert_eq!(hand.books().total.up_ms, up);
    assert_eq!(hand.began().away_most_ms, Some(600_000));
    assert_eq!(hand.began().away_least_ms, 600_000 - BEAT_EVERY.0);
    // Without it, all since the snapshot's last writing (at the start) is unknown.
    blind.start("a", Span::hours(3), Memory::Restored, None);
    assert_eq!(blind.books().total.up_ms, 0);
    assert_eq!(blind.books().total.unknown_ms - hand.books().total.unknown_ms, up);
    assert_eq!(blind.began().how, Ending::Crashed);
}

#[test]
fn heartbeat_with_invalid_times_is_harmless() {
    for (at, since) in [(0, 0), (u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX)] {
        let mut hand = Hand::new(json!({}));
        hand.start("a", Span::hours(1), Memory::None, None);
        let snapshot = hand.judge.snapshot().unwrap();
        hand.dies(&snapshot);
        hand.now = hand.now + s(100);
        let beat = Beat { at: Mono(at), charge: Charge::Line, since: Mono(since) };
        hand.start("a", Span::hours(1), Memory::Restored, Some(beat));
        assert_eq!(hand.books().total.elapsed_ms(), 100_000);
    }
}

#[test]
fn every_way_a_process_ends_is_distinguished() {
    for (boot, asked, how) in [
        ("a", true, Ending::Restarted),
        ("a", false, Ending::Crashed),
        ("b", true, Ending::Rebooted),
        ("b", false, Ending::PowerCut),
    ] {
        let mut hand = Hand::new(json!({}));
        hand.start("a", Span::hours(1), Memory::None, None);
        assert_eq!(hand.began().how, Ending::NotKnown);
        hand.runs(s(10));
        if asked {
            hand.saw(&Observation::Stopping);
        }
        let snapshot = hand.judge.snapshot().unwrap();
        hand.dies(&snapshot);
        hand.now = hand.now + s(20);
        hand.start(boot, s(20), Memory::Restored, None);
        assert_eq!(hand.began().how, how, "{boot} {asked}");
        assert_eq!(hand.judge.state_summary()["began"], how.name());
        // It is said of each life anew.
        let snapshot = hand.judge.snapshot().unwrap();
        hand.dies(&snapshot);
        hand.start(boot, s(20), Memory::Restored, None);
        assert_eq!(hand.began().how, Ending::Crashed);
    }
}

#[test]
fn orderly_reboot_is_dated_to_the_second_once_the_clock_is_set() {
    let wall = LocalTime::parse("2026-11-20T22:00:00+08:00").unwrap().wall;
    let over = json!({ "device": { "installed": "2026-11-20T09:00:00+08:00" } });
    let mut hand = Hand::new(over);
    hand.start("a", Span::hours(1), Memory::None, None);
    hand.saw(&Observation::ClockSet { wall, synced: true });
    hand.runs(s(60));
    hand.saw(&Observation::Stopping);
    let snapshot = hand.judge.snapshot().unwrap();
    hand.dies(&snapshot);
    // Off for three hours, over midnight; then a boot of 20 s and NTP after 30 s more.
    hand.now = hand.now + s(20);
    hand.start("b", s(20), Memory::Restored, None);
    hand.saw(&Observation::ClockSet { wall: Wall(1_000), synced: false });
    assert_eq!(hand.began().away_most_ms, None);
    hand.runs(s(30));
    let notes = hand.saw(&Observation::ClockSet {
        wall: Wall(wall.0 + 60_000 + Span::hours(3).0 as i64 + 50_000),
        synced: true,
    });
    assert!(notes.iter().any(|n| n.contains("nobody watched for 3 h")), "{notes:?}");
    assert_eq!(hand.began().away_most_ms, Some(Span::hours(3).0 + 20_000));
    assert_eq!(hand.began().away_least_ms, Span::hours(3).0 + 20_000);
    let books = hand.books();
    assert_eq!(books.total.elapsed_ms(), Span::hours(3).0 + 110_000);
    // 22:01 to midnight is the first day's, the rest the next one's.
    let dates: Vec<_> = books.days.iter().map(|d| d.date.clone().unwrap()).collect();
    assert_eq!(dates, ["2026-11-20", "2026-11-21"]);
    // The boot too, by the setting of the old clock, and the second until the first answer.
    let first = books.days[0].tally.elapsed_ms() - Span::hours(2).0;
    assert!((20_000..22_000).contains(&first), "{first}");
    // Told once.
    assert!(hand.saw(&Observation::ClockSet { wall, synced: true }).is_empty());
}

// ---- the books alone ----

fn stand(books: &mut Ledger, at: u64, line: LineState) {
    books.stand(Mono(at), line, Mono(at), None, 0);
}

#[test]
fn days_end_at_midnight_in_the_configured_time_offset() {
    let noon = LocalTime::parse("2026-11-20T12:00:00+08:00").unwrap();
    let mut books = Ledger::default();
    books.open(Mono(0));
    books.set(Mono(0), noon.wall, 480);
    books.stand(Mono(0), LineState::Up, Mono(0), None, 480);
    let told = books.told(Mono(36 * 3_600_000), 480).unwrap();
    let days: Vec<(String, u64)> =
        told.days.iter().map(|d| (d.date.clone().unwrap(), d.tally.up_ms / 3_600_000)).collect();
    let wanted = [("2026-11-20".to_string(), 12), ("2026-11-21".to_string(), 24)];
    assert_eq!(days, wanted);
    assert_eq!(told.months.len(), 1);
    assert_eq!(told.months[0].date.as_deref(), Some("2026-11"));
    assert_eq!(told.total.available_ppm, Some(1_000_000));
}

#[test]
fn days_before_the_clock_is_set_get_their_dates_later() {
    let mut books = Ledger::default();
    books.open(Mono(0));
    let day = Span::days(1).0;
    stand(&mut books, 1_000, LineState::Up);
    stand(&mut books, 2 * day + 5_000, LineState::Down);
    stand(&mut books, 2 * day + 9_000, LineState::Up);
    let told = books.told(Mono(2 * day + 10_000), 0).unwrap();
    assert!(told.days.len() == 3 && told.days.iter().all(|d| d.date.is_none()) && told.months.is_empty());
    let wall = LocalTime::parse("2026-12-01T06:00:00Z").unwrap().wall;
    books.set(Mono(2 * day + 10_000), wall, 0);
    let told = books.told(Mono(2 * day + 10_000), 0).unwrap();
    let days: Vec<_> = told.days.iter().map(|d| (d.date.clone().unwrap(), d.tally.line_ms)).collect();
    let wanted = [("2026-11-29", 0), ("2026-11-30", 0), ("2026-12-01", 4_000)];
    assert_eq!(days, wanted.map(|(d, n)| (d.to_string(), n)));
    assert_eq!(
        told.months.iter().map(|m| m.date.clone().unwrap()).collect::<Vec<_>>(),
        ["2026-11", "2026-12"]
    );
}

#[test]
fn clock_that_ran_ahead_leaves_no_future_days() {
    let day = Span::days(1).0;
    let mut books = Ledger::default();
    books.open(Mono(0));
    let right = LocalTime::parse("2026-11-20T00:00:00Z").unwrap().wall;
    books.set(Mono(0), Wall(right.0 + 20 * 365 * day as i64), 0);
    stand(&mut books, 0, LineState::Up);
    stand(&mut books, 1_000, LineState::Down);
    books.set(Mono(2_000), Wall(right.0 + 2_000), 0);
    let told = books.told(Mono(3_000), 0).unwrap();
    assert_eq!(told.days.len(), 1, "{:?}", told.days);
    assert_eq!(told.days[0].date.as_deref(), Some("2026-11-20"));
    assert_eq!((told.days[0].tally.up_ms, told.days[0].tally.line_ms), (1_000, 2_000));
    assert_eq!(told.months.len(), 1);
}

#[test]
fn ledger_size_is_bounded_over_years() {
    let mut books = Ledger::default();
    books.open(Mono(0));
    books.set(Mono(0), Wall(1_795_132_800_000), 0);
    let mut now = 0;
    for n in 0..3_000u64 {
        stand(&mut books, now, [LineState::Up, LineState::Down, LineState::Unknown][n as usize % 3]);
        now += Span::hours(7).0 + n;
    }
    let told = books.told(Mono(now), 0).unwrap();
    assert_eq!((told.days.len(), told.months.len()), (DAYS, MONTHS));
    assert_eq!(told.total.elapsed_ms(), now);
    let kept = serde_json::to_string(&books).unwrap();
    assert!(kept.len() < 3_600, "{} bytes", kept.len());
    let again: Ledger = serde_json::from_str(&kept).unwrap();
    assert_eq!(again, books);
    // Ten years in one piece: the last days and months are there, and all of it in the total.
    let mut books = Ledger::default();
    books.open(Mono(0));
    books.set(Mono(0), Wall(1_795_132_800_000), 0);
    stand(&mut books, 0, LineState::Up);
    let told = books.told(Mono(Span::days(3_650).0), 0).unwrap();
    assert_eq!((told.days.len(), told.months.len()), (DAYS, MONTHS));
    assert_eq!(told.total.up_ms, Span::days(3_650).0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands for however long, and whatever the clock does: all parts add up to the time that passed.
    #[test]
    fn ledger_parts_add_up_to_the_total(
        story in prop::collection::vec((0u64..40_000_000, 0u8..6, 0u64..60_000, any::<i32>(), 0u64..9_000_000), 1..80),
        offset in -720i16..840,
    ) {
        let mut books = Ledger::default();
        let mut now = Mono(777);
        books.open(now);
        let (began, mut off) = (now, 0);
        for (pause, what, back, clock, away) in story {
            now = now + Span(pause);
            match what {
                0 => stand(&mut books, now.0, LineState::Unknown),
                1 => books.stand(now, LineState::Down, now - Span(back), None, offset),
                2 => books.stand(now, LineState::Up, now - Span(back), None, offset),
                3 => books.stand(now, LineState::Down, now, Some(Charge::Remedies), offset),
                4 => books.set(now, Wall(1_795_132_800_000 + i64::from(clock) * 1_000), offset),
                _ => {
                    books.away(Wall(i64::from(clock) * 1_000), Span(away / 3), Span(away), Charge::Power, offset);
                    off += away + away / 3;
                }
            }
            let told = books.told(now, offset).unwrap();
            prop_assert_eq!(told.total.elapsed_ms(), now.since(began).0 + off);
            prop_assert_eq!(books.kept_for(now).0, now.since(began).0 + off);
            prop_assert!(told.days.len() <= DAYS && told.months.len() <= MONTHS);
        }
        let again: Ledger = serde_json::from_str(&serde_json::to_string(&books).unwrap()).unwrap();
        prop_assert_eq!(again, books);
    }
}
