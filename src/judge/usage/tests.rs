//! Weeks of traffic, and what is told of them.

use super::policy::*;
use super::status::Kind;
use super::usual::{Today, Usual, WEEKS, code, rate, week_of};
use crate::config;
use crate::inform::Told;
use linekeeper_contract::json;
use linekeeper_contract::message::Stamp;
use linekeeper_contract::units::{Mono, Span};

const MBIT: u64 = 1_000_000;
/// Monday 2026-11-02, 0 h.
const MONDAY: i64 = 1_793_577_600;

/// A line watched in windows, and what is told of it.
struct Watched {
    usage: Usage,
    now: Mono,
    told: Vec<(Kind, bool, i64)>,
    policy: config::Usage,
}

fn told(kind: Kind) -> Told {
    let told = serde_json::json!({
        "id": "IN1", "finding": "usage", "domain": "unknown", "about": kind.name(), "opened_at": 0, "callback": null,
        "opened": Stamp { wall: None, synced: false, boot_id: "b".into(), uptime_ms: 0 },
    });
    json::from_tree(&told).unwrap_or_else(|e| unreachable!("{e}"))
}

impl Watched {
    fn new() -> Watched {
        let policy = config::Usage::default();
        Watched { usage: Usage::default(), now: Mono(3_600_000), told: Vec::new(), policy }
    }

    fn local(&self) -> i64 {
        MONDAY + self.now.0 as i64 / 1_000 - 3_600
    }

    /// One window with these rates; `None`: nothing of it was seen.
    fn window(&mut self, rates: Option<(u64, u64)>) {
        self.now = self.now + WINDOW;
        let bytes = |bps: u64| bps * WINDOW.0 / 8_000;
        let passed = rates.map(|(rx, tx)| Passed { over: WINDOW, received: bytes(rx), sent: bytes(tx) });
        let (now, local) = (self.now, self.local());
        for turn in self.usage.passed(now, Some(local), passed, &self.policy) {
            match turn {
                Turn::Began { kind, .. } => {
                    self.usage.told(now, kind, told(kind));
                    self.told.push((kind, true, local));
                }
                Turn::Ended(kind) | Turn::Lost(kind) => {
                    self.usage.courses[kind as usize].open = None;
                    self.told.push((kind, false, local));
                }
            }
        }
    }

    /// Watches until `until` after the Monday of the beginning, with the rates of each moment.
    fn until(&mut self, until: Span, mut rates: impl FnMut(i64) -> (u64, u64)) {
        while self.now.0 - 3_600_000 < until.0 {
            let at = self.local() - MONDAY;
            self.window(Some(rates(at)));
        }
    }

    fn begun(&self) -> Vec<(Kind, i64)> {
        let begun = self.told.iter().filter(|(_, begun, _)| *begun);
        begun.map(|(kind, _, at)| (*kind, (*at - MONDAY) / 60)).collect()
    }
}

/// A small business: 20 Mbit/s down and 4 up from 9 to 18 h on working days, next to nothing else.
fn office(at: i64) -> (u64, u64) {
    let (day, hour) = (at / 86_400 % 7, at % 86_400 / 3_600);
    if day < 5 && (9..18).contains(&hour) { (20 * MBIT, 4 * MBIT) } else { (300_000, 100_000) }
}

const WEEK: Span = Span::days(7);

#[test]
fn a_rate_is_known_within_six_per_cent() {
    for bps in [1_024, 1_500, 99_999, MBIT, 7_654_321, 1_000 * MBIT, 1 << 40] {
        let known = rate(code(bps));
        assert!(known.abs_diff(bps) * 16 <= bps, "{bps} is known as {known}");
        assert_eq!(code(known), code(bps));
    }
    assert_eq!((code(0), code(1_023)), (1, 1));
    assert_eq!(code(u64::MAX), u8::MAX);
}

#[test]
fn five_times_the_usual_for_an_hour_at_night_is_told_once() {
    let mut line = Watched::new();
    let loud = |at: i64| {
        let (rx, tx) = office(at);
        let night = at >= 4 * 604_800 + 2 * 86_400 + 7_200;
        if night && at < 4 * 604_800 + 2 * 86_400 + 10_800 { (rx * 5, tx * 50) } else { (rx, tx) }
    };
    line.until(Span(5 * WEEK.0), loud);
    // 0.3 Mbit/s × 5 are above by 1.2 Mbit/s; both directions, once each, after 25 minutes, and over by four o'clock.
    let at = 4 * 10_080 + 2 * 1_440 + 120 + 25;
    assert_eq!(line.begun(), [(Kind::MuchReceived, at), (Kind::MuchSent, at)]);
    assert_eq!(line.told.len(), 4);
    assert!(line.told.iter().filter(|t| !t.1).all(|t| (t.2 - MONDAY) / 60 <= at + 60), "{:?}", line.told);
}

#[test]
fn the_monday_rush_is_usual_and_so_is_one_that_begins_early() {
    let mut line = Watched::new();
    line.until(Span(5 * WEEK.0), |at| office(if at > 4 * 604_800 { at + 1_800 } else { at }));
    assert_eq!(line.told, []);
}

#[test]
fn ten_minutes_of_a_big_download_are_not_told_wherever_they_begin() {
    let mut line = Watched::new();
    line.until(Span(4 * WEEK.0), office);
    for minute in 0..24 * 60_u64 {
        // In the window in which it begins and in that in which it ends it fills a part.
        let first = minute % 5;
        let parts = [5 - first, 5, first];
        for part in parts {
            line.window(Some((300_000 + 90 * MBIT * part / 5, 100_000)));
        }
        line.window(Some((300_000, 100_000)));
    }
    assert_eq!(line.told, []);
}

#[test]
fn nothing_is_said_before_three_weeks_and_nothing_of_what_nobody_saw() {
    let mut line = Watched::new();
    // A big night in the third week, before anything is known of a third one.
    line.until(
        Span(3 * WEEK.0),
        |at| {
            if at > 2 * 604_800 + 80_000 { (90 * MBIT, 90 * MBIT) } else { office(at) }
        },
    );
    assert_eq!(line.told, []);
    line.until(Span(3 * WEEK.0 + 3_600_000), office);
    // Four windows of a flood with a hole after each.
    for _ in 0..20 {
        (0..4).for_each(|_| line.window(Some((90 * MBIT, 100_000))));
        line.window(None);
    }
    assert_eq!(line.told, []);
    (0..5).for_each(|_| line.window(Some((90 * MBIT, 100_000))));
    assert_eq!(line.begun().len(), 1);
    // An hour without seeing anything ends it.
    (0..UNSEEN).for_each(|_| line.window(None));
    assert_eq!(line.told.len(), 2);
}

#[test]
fn a_learnt_week_survives_a_reboot_in_its_two_parts() {
    let mut line = Watched::new();
    line.until(Span(4 * WEEK.0 + 7_200_000), office);
    let usual = json::write(&line.usage.usual).unwrap_or_default();
    let rest = json::write(&line.usage).unwrap_or_default();
    assert!(usual.len() < 4_400 && rest.len() < 800, "{} and {} bytes", usual.len(), rest.len());
    assert!(!rest.contains("usual"), "{rest}");
    let mut usage: Usage = json::read(rest.as_bytes()).unwrap_or_default();
    usage.usual = json::read(usual.as_bytes()).unwrap_or_default();
    assert_eq!(usage, line.usage);
    line.usage = usage;
    (0..5).for_each(|_| line.window(Some((300_000, 30 * MBIT))));
    assert_eq!(line.begun().len(), 1);
}

#[test]
fn a_business_without_traffic_in_its_busy_hours_is_told_and_a_quiet_lunch_is_not() {
    let quiet = |from: i64, until: i64| {
        let mut line = Watched::new();
        line.until(Span(5 * WEEK.0), |at| {
            let day = 4 * 604_800 + 86_400;
            if at >= day + from && at < day + until { (10_000, 10_000) } else { office(at) }
        });
        line.begun()
    };
    // From 10 to 17 h: known after an hour and ten minutes.
    assert_eq!(quiet(36_000, 61_200), [(Kind::LittleReceived, 4 * 10_080 + 1_440 + 600 + 70)]);
    assert_eq!(quiet(43_200, 46_800), []);
    assert_eq!(quiet(0, 32_400), [], "nobody is there at night");
    // The first hour of business and the last are not missed: who comes later, or goes earlier, may.
    assert_eq!(quiet(32_400, 36_000), []);
}

#[test]
fn a_new_habit_is_told_three_times_and_then_is_the_usual_one() {
    let mut line = Watched::new();
    line.until(Span(12 * WEEK.0), |at| {
        let (rx, tx) = office(at);
        // From the sixth week on: a backup of three hours each night.
        let backs_up = at > 5 * 604_800 && (1..4).contains(&(at % 86_400 / 3_600));
        if backs_up { (rx, tx + 40 * MBIT) } else { (rx, tx) }
    });
    let begun = line.begun();
    assert_eq!(begun.len(), NOTICES, "{begun:?}");
    assert!(begun.windows(2).all(|w| w[1].1 - w[0].1 >= 1_440), "{begun:?}");
}

#[test]
fn weeks_of_ordinary_noise_say_nothing() {
    // Each window between a third and three times the hour's own rate, each day between half and twice.
    for seed in 1..=20_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = move |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let mut line = Watched::new();
        let mut day = (0, 100);
        line.until(Span(12 * WEEK.0), |at| {
            if at / 86_400 != day.0 {
                day = (at / 86_400, 50 + below(150));
            }
            let (rx, tx) = office(at);
            let noise = if below(2) == 0 { 33 + below(67) } else { 100 + below(200) };
            (rx * noise / 100 * day.1 / 100, tx * noise / 100 * day.1 / 100)
        });
        assert_eq!(line.told, [], "seed {seed}");
    }
}

#[test]
fn a_clock_that_was_years_ahead_leaves_no_week_of_the_future() {
    let mut usual = Usual::default();
    let day = |day: i64| {
        let mut today = Today { day, ..Today::default() };
        today.received.0[5] = code(MBIT);
        today
    };
    usual.enter(&day(30_000));
    usual.enter(&day(20_000));
    usual.enter(&day(20_007));
    assert_eq!(
        usual.weeks.iter().map(|w| w.week).collect::<Vec<_>>(),
        [week_of(20_000).0, week_of(20_007).0]
    );
    for week in 0..100 {
        usual.enter(&day(20_014 + 7 * week));
        assert!(usual.weeks.len() <= WEEKS);
    }
    usual.enter(&day(i64::MAX));
    usual.enter(&day(i64::MIN));
    assert_eq!(usual.weeks.len(), 1);
}
