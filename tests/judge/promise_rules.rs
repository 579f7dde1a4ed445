//! The promise rules at their boundaries, with cases computed by hand, and the run lengths of the sequential rule.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test's way to fail")]

use linekeeper_contract::units::{Bytes, Mono, Permille, Rate, Span};
use linekeeper_contract::vocabulary::Direction;
use linekeeper_judge::config::{Promise, Rates, Rule};
use linekeeper_judge::observation::Counted;
use linekeeper_judge::promise::budget::Budget;
use linekeeper_judge::promise::enough::enough;
use linekeeper_judge::promise::fcc::RoundTrips;
use linekeeper_judge::promise::guard::Guard;
use linekeeper_judge::promise::rule::{Reason, Sample, Source, Verdict};
use linekeeper_judge::promise::sequential::{FINDING, GOOD, SHORT, Score};
use linekeeper_judge::promise::server::{Server, choose};
use linekeeper_judge::promise::side::{Change, Law, Side};
use linekeeper_judge::promise::{bnetza, ctu, fcc, share};
use linekeeper_proving::simulate::random::Random;
use std::collections::BTreeMap;

const MBIT: u64 = 1_000_000;
const TOO_FEW: Verdict = Verdict::Inconclusive(Reason::TooFew);

fn rates(minimum: u64, normal: u64, maximum: u64) -> Rates {
    let rate = |n: u64| (n > 0).then_some(Rate(n * MBIT));
    Rates { minimum: rate(minimum), normal: rate(normal), maximum: rate(maximum) }
}

/// A test `seconds` after a midnight, of so many bit/s.
fn at(seconds: u64, line: u64) -> Sample {
    let source = Source::Server(0);
    Sample {
        at: Mono(1_000_000_000 + seconds * 1_000),
        local: Some(seconds as i64),
        line: Rate(line),
        source,
        short: false,
    }
}

fn now(seconds: u64) -> Mono {
    at(seconds, 0).at
}

// ---- what is to be shown ----

#[test]
fn required_speed_under_each_rule() {
    let share = Rule::Share { short: 4, of: 6 };
    for (rule, threshold, sold, want) in [
        (Rule::Sequential, 800, rates(0, 90, 0), Some(72_000_000)),
        (Rule::Sequential, 800, rates(60, 90, 100), Some(72_000_000)),
        // Never below the minimum, whatever the threshold.
        (Rule::Sequential, 800, rates(80, 90, 100), Some(80_000_000)),
        (Rule::Sequential, 1_000, rates(0, 90, 0), Some(90_000_000)),
        // "Up to 100" is normally 60.
        (Rule::Sequential, 800, rates(0, 0, 100), Some(48_000_000)),
        (Rule::Sequential, 800, rates(50, 0, 0), Some(50_000_000)),
        (Rule::Sequential, 800, rates(0, 0, 0), None),
        (share, 500, rates(0, 90, 0), Some(45_000_000)),
        // The threshold is not these rules'.
        (Rule::Bnetza2021, 10, rates(50, 80, 100), Some(90_000_000)),
        (Rule::Bnetza2021, 10, rates(50, 95, 100), Some(95_000_000)),
        (Rule::Bnetza2021, 10, rates(50, 80, 0), Some(80_000_000)),
        (Rule::Ctu2021, 10, rates(0, 50, 100), Some(60_000_000)),
        (Rule::Ctu2021, 10, rates(0, 70, 100), Some(70_000_000)),
        (Rule::Fcc8080, 10, rates(0, 0, 100), Some(80_000_000)),
        (Rule::Fcc8080, 10, rates(0, 50, 100), Some(40_000_000)),
    ] {
        let promise = Promise { rule, threshold: Permille(threshold), ..Promise::default() };
        assert_eq!(enough(&promise, &sold), want.map(Rate), "{rule:?} {threshold} {sold:?}");
    }
    // Rounded up: 80 % of 64001 bit/s is reached at 51201.
    let odd = Rates { normal: Some(Rate(64_001)), ..Rates::default() };
    assert_eq!(enough(&Promise::default(), &odd), Some(Rate(51_201)));
}

// ---- sequential ----

fn found(tests: &str) -> bool {
    let mut score = Score::default();
    tests.chars().fold(false, |_, c| score.take(c == 's'))
}

#[test]
fn sequential_rule_at_its_boundaries() {
    // 4 × 1.54 = 6.16; 3 × 1.54 = 4.62 < 5.25.
    for (tests, want) in [
        ("s", false),
        ("sss", false),
        ("ssss", true),
        ("ssgss", false),            // 3.08 - 1.04 + 3.08 = 5.12
        ("ssgsss", true),            // 6.66
        ("sgsgsgsgs", false),        // 5 × 1.54 - 4 × 1.04 = 3.54
        ("sgsgsgsgsgsgsgs", false),  // 8 × 1.54 - 7 × 1.04 = 5.04
        ("sgsgsgsgsgsgsgsgs", true), // 9 × 1.54 - 8 × 1.04 = 5.54
        ("ggggggggssss", true),      // the floor: a good past buys nothing
        ("sggss", false),
    ] {
        assert_eq!(found(tests), want, "{tests}");
    }
    let mut back = Score::default();
    let steps: Vec<bool> = "gggggg".chars().map(|_| back.take_back(false)).collect();
    assert_eq!(steps, [false, false, false, false, false, true], "5 × 1.04 = 5.20 < 5.25");
    back.take_back(true);
    assert_eq!(back, Score(6 * GOOD - SHORT));
}

/// The mean number of tests until a finding when each is short with probability `p`: the Markov chain over the scores
/// that can be reached, solved exactly.
fn run_length(p: f64) -> f64 {
    let mut places = BTreeMap::from([(0u32, 0usize)]);
    let mut todo = vec![0u32];
    while let Some(score) = todo.pop() {
        for next in [score + SHORT, score.saturating_sub(GOOD)] {
            let n = places.len();
            if next < FINDING && !places.contains_key(&next) {
                places.insert(next, n);
                todo.push(next);
            }
        }
    }
    // E[s] - p E[s + short] - (1 - p) E[s - good] = 1.
    let n = places.len();
    let mut m = vec![vec![0.0; n + 1]; n];
    for (score, &row) in &places {
        m[row][row] += 1.0;
        m[row][n] = 1.0;
        for (next, chance) in [(score + SHORT, p), (score.saturating_sub(GOOD), 1.0 - p)] {
            if let Some(&column) = places.get(&next) {
                m[row][column] -= chance;
            }
        }
    }
    for column in 0..n {
        let pivot = (column..n).max_by(|a, b| m[*a][column].abs().total_cmp(&m[*b][column].abs())).unwrap();
        m.swap(column, pivot);
        for row in 0..n {
            let factor = m[row][column] / m[column][column];
            if row != column && factor != 0.0 {
                let by: Vec<f64> = m[column].iter().map(|v| factor * v).collect();
                m[row].iter_mut().zip(by).for_each(|(v, by)| *v -= by);
            }
        }
    }
    m[0][n] / m[0][0]
}

/// The same, by the implementation.
fn simulated(p: u64, runs: u64) -> f64 {
    let mut random = Random::new(p);
    let mut tests = 0u64;
    for _ in 0..runs {
        let mut score = Score::default();
        loop {
            tests += 1;
            if score.take(random.chance(p as u16)) {
                break;
            }
        }
    }
    tests as f64 / runs as f64
}

#[test]
fn sequential_rule_run_lengths_match_the_markov_chain() {
    // p0, p1, and tests of which half are from either.
    for (permille, runs, about) in [(150, 6_000, 1070.1), (700, 20_000, 7.3), (425, 20_000, 22.9)] {
        let exact = run_length(permille as f64 / 1_000.0);
        let is = simulated(permille, runs);
        assert!((exact - about).abs() < 0.06, "the documentation says {about}, it is {exact}");
        assert!((is / exact - 1.0).abs() < 0.05, "p = {permille} ‰: {is} instead of {exact}");
    }
}

fn law(promise: &Promise, now: Mono, servers: usize) -> Law<'_> {
    Law { promise, rates: &promise.download, servers, now }
}

fn taken(side: &mut Side, promise: &Promise, n: u64, short: bool, server: u8, servers: usize) -> Vec<Change> {
    let line = if short { 10 * MBIT } else { 90 * MBIT };
    let sample = Sample { source: Source::Server(server), short, local: None, ..at(n * 1_800, line) };
    side.take(sample, &law(promise, sample.at, servers))
}

/// The whole side, with its quarters and the way back, meets the chain too: an unknown hour is one quarter.
#[test]
fn one_direction_is_found_as_fast_as_the_markov_chain_says() {
    let promise = Promise { download: rates(0, 90, 0), ..Promise::default() };
    let mut random = Random::new(7);
    let (mut tests, runs) = (0, 4_000);
    for _ in 0..runs {
        let mut side = Side::default();
        for n in 1.. {
            tests += 1;
            if taken(&mut side, &promise, n, random.chance(700), 0, 1) == [Change::Broke] {
                break;
            }
        }
    }
    let (is, exact) = (f64::from(tests) / f64::from(runs), run_length(0.7));
    assert!((is / exact - 1.0).abs() < 0.05, "{is} instead of {exact}");
}

#[test]
fn one_low_test_is_no_finding_under_any_rule() {
    let sold = rates(50, 80, 100);
    let low = [at(20 * 3_600, MBIT)];
    assert!(!found("s"));
    assert_eq!(bnetza::judge(&low, &sold).verdict, TOO_FEW);
    assert_eq!(ctu::judge(&low, &sold, low[0].at).verdict, TOO_FEW);
    assert_eq!(fcc::judge(&low, Rate(80 * MBIT), low[0].at).verdict, TOO_FEW);
    assert_eq!(share::judge(&[Sample { short: true, ..low[0] }], 2, 2).verdict, TOO_FEW);
}

#[test]
fn good_nights_do_not_outweigh_bad_evenings() {
    let promise = Promise { download: rates(0, 90, 0), ..Promise::default() };
    let mut side = Side::default();
    let mut broke = Vec::new();
    // Each day: two short tests in the evening, eight good ones in the other hours.
    for day in 0..10u64 {
        for hour in [1, 4, 7, 9, 11, 13, 15, 17, 19, 22] {
            let short = hour >= 18;
            let s = Sample { short, ..at(day * 86_400 + hour * 3_600, if short { MBIT } else { 90 * MBIT }) };
            if side.take(s, &law(&promise, s.at, 1)).contains(&Change::Broke) {
                broke.push(day);
            }
        }
    }
    assert_eq!(broke, [1], "the fourth short evening test");
    assert!(side.broken, "good nights do not mend it");
    assert_eq!(side.by_hours(), ((20, 20), (0, 80)));
    // Six good evening tests do.
    for n in 0..6u64 {
        let s = at(10 * 86_400 + (18 * 60 + n * 30) * 60, 90 * MBIT);
        let changes = side.take(s, &law(&promise, s.at, 1));
        assert_eq!(changes == [Change::Back], n == 5, "{n}");
    }
    assert_eq!(side.verdict(&law(&promise, now(11 * 86_400), 1)).verdict, Verdict::Kept);
    // And it grows stale.
    assert_eq!(side.verdict(&law(&promise, now(14 * 86_400), 1)).verdict, TOO_FEW);
}

#[test]
fn low_results_of_one_server_are_no_finding() {
    let promise = Promise { download: rates(0, 90, 0), ..Promise::default() };
    let mut side = Side::default();
    for (n, (short, server)) in [(true, 0), (false, 1), (true, 0), (false, 1)].into_iter().enumerate() {
        assert_eq!(taken(&mut side, &promise, n as u64, short, server, 2), []);
    }
    assert_eq!(taken(&mut side, &promise, 5, true, 0, 2), [Change::FaultyServer(0)]);
    assert!(!side.suspected(), "what it said is struck out");
    assert!(side.samples.iter().all(|s| !s.short));
    // Without a second server to ask, four are four; with one that has not confirmed, they are not.
    let mut alone = Side::default();
    let all: Vec<_> = (0..4).map(|n| taken(&mut alone, &promise, n, true, 0, 1)).collect();
    assert_eq!(all[3], [Change::Broke]);
    let mut unconfirmed = Side::default();
    assert!((0..6).all(|n| taken(&mut unconfirmed, &promise, n, true, 0, 2).is_empty()));
    let verdict = unconfirmed.verdict(&law(&promise, now(6 * 1_800), 2)).verdict;
    assert_eq!(verdict, Verdict::Inconclusive(Reason::Unconfirmed));
    assert_eq!(taken(&mut unconfirmed, &promise, 6, true, 1, 2), []);
    assert_eq!(taken(&mut unconfirmed, &promise, 7, true, 1, 2), []);
    assert_eq!(taken(&mut unconfirmed, &promise, 8, true, 1, 2), [Change::Broke], "three of each");
}

// ---- bnetza-2021 ----

/// Ten tests of a day, an hour apart, three and a half hours between the fifth and the sixth.
fn day(day: u64, lines: [u64; 10]) -> Vec<Sample> {
    let time = |n: u64| day * 86_400 + 8 * 3_600 + n * 3_600 + if n >= 5 { 9_000 } else { 0 };
    (0..10).map(|n| at(time(n), lines[n as usize] * MBIT / 10)).collect()
}

/// Tenths of Mbit/s: `usual`, but for the first ones.
fn lines<const N: usize>(usual: u64, first: [u64; N]) -> [u64; 10] {
    std::array::from_fn(|n| first.get(n).copied().unwrap_or(usual))
}

#[test]
fn bnetza_rule_at_its_boundaries() {
    let sold = rates(50, 80, 100);
    let judge = |days: &[(u64, [u64; 10])]| {
        let samples: Vec<Sample> = days.iter().flat_map(|(d, l)| day(*d, *l)).collect();
        bnetza::judge(&samples, &sold).verdict
    };
    let good = lines(800, [900]);
    assert_eq!(judge(&[(0, good), (2, good), (4, good)]), Verdict::Kept);
    // 1. 90 % of the maximum once on two of three days; a bit less is not reached.
    let never = lines(800, [899]);
    assert_eq!(judge(&[(0, good), (2, good), (4, never)]), Verdict::Kept);
    assert_eq!(judge(&[(0, good), (2, never), (4, never)]), Verdict::Broken);
    // 2. The normal rate in 27 of 30.
    let three = lines(800, [900, 799, 799, 799]);
    let one = lines(800, [900, 799]);
    assert_eq!(judge(&[(0, three), (2, good), (4, good)]), Verdict::Kept);
    assert_eq!(judge(&[(0, three), (2, one), (4, good)]), Verdict::Broken);
    // 3. Below the minimum on two days; at it is not below.
    let fell = lines(800, [900, 499]);
    let fell_twice = lines(800, [900, 499, 499]);
    let at_it = lines(800, [900, 500]);
    assert_eq!(judge(&[(0, fell_twice), (2, good), (4, good)]), Verdict::Kept);
    assert_eq!(judge(&[(0, fell), (2, at_it), (4, good)]), Verdict::Kept);
    assert_eq!(judge(&[(0, fell), (2, good), (4, fell)]), Verdict::Broken);
    // What was not sold breaks nothing.
    let bad: Vec<Sample> = [0, 2, 4].iter().flat_map(|d| day(*d, [1; 10])).collect();
    assert_eq!(bnetza::judge(&bad, &rates(0, 0, 100)).verdict, Verdict::Broken);
    assert_eq!(bnetza::judge(&bad, &Rates::default()).verdict, Verdict::Kept);
    // The days: at least one between, within fourteen.
    assert_eq!(judge(&[(0, never), (1, never), (2, never)]), TOO_FEW);
    assert_eq!(judge(&[(0, never), (7, never), (13, never)]), Verdict::Broken);
    assert_eq!(judge(&[(0, never), (7, never), (14, never)]), TOO_FEW);
    // The last campaign counts.
    assert_eq!(judge(&[(0, never), (2, never), (4, good), (6, good), (8, good)]), Verdict::Kept);
}

#[test]
fn bnetza_rule_reports_the_rate_of_the_clause_that_is_broken() {
    let judge = |each: [u64; 10]| {
        let samples: Vec<Sample> = [0, 2, 4].iter().flat_map(|d| day(*d, each)).collect();
        let judged = bnetza::judge(&samples, &rates(50, 80, 100));
        assert_eq!(judged.verdict, Verdict::Broken);
        let required = judged.required.unwrap();
        assert!(judged.carried.iter().any(|at| samples[*at].line < required), "{}", judged.words);
        required
    };
    // Always the normal rate, never 90 % of the maximum.
    assert_eq!(judge(lines(820, [])), Rate(90 * MBIT));
    // The normal rate is not reached either.
    assert_eq!(judge(lines(700, [])), Rate(80 * MBIT));
    assert_eq!(judge(lines(820, [900, 450])), Rate(50 * MBIT));
}

#[test]
fn ctu_rule_reports_the_rate_of_the_clause_that_is_broken() {
    let judge = |tests: &[(u64, u64)]| {
        let samples: Vec<Sample> = tests.iter().map(|(s, line)| at(*s, line * MBIT)).collect();
        let judged = ctu::judge(&samples, &rates(30, 60, 100), now(tests.last().unwrap().0));
        assert_eq!(judged.verdict, Verdict::Broken, "{}", judged.words);
        let required = judged.required.unwrap();
        assert!(judged.carried.iter().all(|at| samples[*at].line < required), "{}", judged.words);
        required
    };
    assert_eq!(judge(&[(0, 20), (600, 20)]), Rate(30 * MBIT));
    let lasting: Vec<(u64, u64)> = (0..9).map(|n| (n * 600, 50)).collect();
    assert_eq!(judge(&lasting), Rate(60 * MBIT));
}

#[test]
fn bnetza_day_needs_ten_tests_and_pauses() {
    let sold = rates(50, 80, 100);
    let others: Vec<Sample> = [2, 4].iter().flat_map(|d| day(*d, [100; 10])).collect();
    let verdict = |first: &[Sample]| bnetza::judge(&[first, &others].concat(), &sold).verdict;
    // The sixth so long after the fifth, all others 5 min apart.
    let with = |apart: u64, pause: u64| -> Vec<Sample> {
        (0..10).map(|n| at(3_600 + n * apart + if n >= 5 { pause - apart } else { 0 }, 10 * MBIT)).collect()
    };
    assert_eq!(verdict(&with(300, 10_800)), Verdict::Broken);
    assert_eq!(verdict(&with(300, 10_799)), TOO_FEW);
    assert_eq!(verdict(&with(299, 10_800)), TOO_FEW);
    assert_eq!(verdict(&with(300, 10_800)[..9]), TOO_FEW);
    let counters: Vec<Sample> =
        with(300, 10_800).iter().map(|s| Sample { source: Source::Counters, ..*s }).collect();
    assert_eq!(verdict(&counters), TOO_FEW, "they must be tests");
    let dateless: Vec<Sample> = others.iter().map(|s| Sample { local: None, ..*s }).collect();
    assert_eq!(bnetza::judge(&dateless, &sold).verdict, Verdict::Inconclusive(Reason::Clock));
    // When the next one may be.
    let when =
        |tests: &[Sample], s: u64| bnetza::earliest(tests, now(s), s as i64).since(now(s)).whole_seconds();
    let today = with(300, 10_800);
    assert_eq!(when(&[], 3_600), 0);
    assert_eq!(when(&today[..4], 4_600), 200, "5 min after the fourth at 4500");
    assert_eq!(when(&today[..5], 4_900), 10_700, "3 h after the fifth at 4800");
    assert_eq!(when(&today, 20_000), 2 * 86_400 - 20_000, "the day after tomorrow");
    assert_eq!(when(&today, 86_400 + 100), 86_400 - 100, "tomorrow");
}

// ---- ctu-2021 ----

#[test]
fn ctu_rule_at_its_boundaries() {
    // Normal 60 of 100 whatever the contract says, minimum 30.
    let sold = rates(0, 50, 100);
    let judge = |tests: &[(u64, u64)]| {
        let samples: Vec<Sample> = tests.iter().map(|(s, l)| at(36_000 + s, l * MBIT)).collect();
        let end = samples.last().unwrap().at;
        ctu::judge(&samples, &sold, end).verdict
    };
    let drop = |from: u64, to: u64| -> Vec<(u64, u64)> {
        let mut tests: Vec<_> = (from..to).step_by(210).map(|s| (s, 59)).collect();
        tests.push((to, 59));
        tests
    };
    // Lasting: more than 70 min.
    assert_eq!(judge(&drop(0, 4_200)), TOO_FEW);
    assert_eq!(judge(&drop(0, 4_201)), Verdict::Broken);
    let at_normal: Vec<_> = drop(0, 4_300).into_iter().map(|(s, _)| (s, 60)).collect();
    assert_eq!(judge(&at_normal), Verdict::Kept, "at it is not below");
    let mut broken_off = drop(0, 4_300);
    broken_off[10].1 = 60;
    assert_eq!(judge(&broken_off), TOO_FEW);
    // A test speaks for a quarter of an hour at most.
    let sparse = |apart: u64| (0..7).map(|n| (n * apart, 59)).collect::<Vec<_>>();
    assert_eq!(judge(&sparse(900)), Verdict::Broken);
    assert_eq!(judge(&sparse(901)), TOO_FEW);
    // Recurring: three of 3.5 min within 90 min, with a good one between each.
    let three = |length: u64, last_ends: u64| {
        vec![
            (0, 59),
            (length, 59),
            (1_000, 60),
            (1_100, 59),
            (1_100 + length, 59),
            (2_000, 60),
            (last_ends - length, 59),
            (last_ends, 59),
        ]
    };
    assert_eq!(judge(&three(210, 5_400)), Verdict::Broken);
    assert_eq!(judge(&three(209, 5_400)), TOO_FEW);
    assert_eq!(judge(&three(210, 5_401)), TOO_FEW);
    let mut two = three(210, 5_400);
    two.truncate(5);
    assert_eq!(judge(&two), TOO_FEW);
    // Below the minimum is an outage: two in a row.
    assert_eq!(judge(&[(0, 29)]), TOO_FEW);
    assert_eq!(judge(&[(0, 29), (210, 29)]), Verdict::Broken);
    assert_eq!(judge(&[(0, 29), (210, 30)]), TOO_FEW);
    assert_eq!(judge(&[(0, 29), (210, 60), (420, 29)]), TOO_FEW);
    // Over: 90 min without.
    assert_eq!(judge(&[(0, 29), (210, 29), (5_610, 60)]), Verdict::Broken);
    assert_eq!(judge(&[(0, 29), (210, 29), (5_611, 60)]), Verdict::Kept);
}

// ---- fcc-80-80 ----

/// One test an hour from 18 to 24 h, `short` of them short, the short ones first.
fn evenings(n: u64, short: u64) -> Vec<Sample> {
    let time = |i: u64| (i / 6) * 86_400 + (18 + i % 6) * 3_600 + 60;
    (0..n).map(|i| at(time(i), if i < short { 79_999_999 } else { 80 * MBIT })).collect()
}

#[test]
fn fcc_rule_at_its_boundaries() {
    let judge = |samples: &[Sample]| fcc::judge(samples, Rate(100 * MBIT), now(7 * 86_400)).verdict;
    // 80 % of 42 is 33.6: 34 have to be good.
    assert_eq!(judge(&evenings(42, 8)), Verdict::Kept);
    assert_eq!(judge(&evenings(42, 9)), Verdict::Broken);
    // As soon as it cannot change any more.
    assert_eq!(judge(&evenings(34, 0)), Verdict::Kept);
    assert_eq!(judge(&evenings(33, 0)), TOO_FEW);
    assert_eq!(judge(&evenings(9, 9)), Verdict::Broken);
    assert_eq!(judge(&evenings(8, 8)), TOO_FEW);
    // Only evenings, once an hour, of a week.
    let shift = |by: i64| -> Vec<Sample> {
        evenings(9, 9).iter().map(|s| Sample { local: s.local.map(|l| l + by), ..*s }).collect()
    };
    assert_eq!(judge(&shift(-61)), TOO_FEW, "the first of each evening is at 17:59");
    let hour: Vec<Sample> = (0..9).map(|n| at(18 * 3_600 + n * 300, MBIT)).collect();
    assert_eq!(judge(&hour), TOO_FEW);
    assert_eq!(fcc::judge(&evenings(42, 42), Rate(100 * MBIT), now(30 * 86_400)).verdict, TOO_FEW);
    // Round trips: 95 % within 100 ms.
    let trips = |quick: u32, slow: u32| {
        let mut trips = RoundTrips::default();
        (0..quick).for_each(|_| trips.take(100_000));
        (0..slow).for_each(|_| trips.take(100_001));
        trips.kept()
    };
    assert_eq!((trips(950, 50), trips(949, 51), trips(949, 50)), (Some(true), Some(false), None));
}

// ---- share ----

#[test]
fn share_rule_at_its_boundaries() {
    let judge = |tests: &str| {
        let samples: Vec<Sample> = tests.chars().map(|c| Sample { short: c == 's', ..at(0, 0) }).collect();
        share::judge(&samples, 4, 6).verdict
    };
    for (tests, want) in [
        ("sss", TOO_FEW),
        ("ssss", Verdict::Broken),
        ("ggg", Verdict::Kept), // at most three of six can be short
        ("gg", TOO_FEW),
        ("ssgsgg", Verdict::Kept),
        ("ssgsgs", Verdict::Broken),
        ("ssggss", Verdict::Broken),
        ("ssggssg", Verdict::Kept), // the first is forgotten
        ("ssssgggg", Verdict::Kept),
    ] {
        assert_eq!(judge(tests), want, "{tests}");
    }
}

// ---- budget, guard, servers ----

#[test]
fn budget_uses_the_monotonic_clock_and_never_undercounts() {
    let hour = |h: u64| Mono(h * 3_600_000 + 1_800_000);
    let (day, month) = (Bytes(1_000), Bytes(1_500));
    let mut budget = Budget::default();
    let first = budget.reserve(hour(0), Bytes(600));
    assert_eq!(budget.free(hour(0), day, month), Bytes(400));
    budget.settle(first, Bytes(100));
    assert_eq!((budget.day(hour(0)), budget.free(hour(0), day, month)), (Bytes(100), Bytes(900)));
    let second = budget.reserve(hour(1), Bytes(900));
    assert_eq!(budget.free(hour(1), day, month), Bytes(0));
    // It cost more than it was allowed to: that counts.
    budget.settle(second, Bytes(950));
    assert_eq!(budget.day(hour(1)), Bytes(1_050));
    // 24 h after the first hour's last moment its bytes are free again.
    assert_eq!(budget.frees(hour(2), Bytes(50), day, month), Mono(25 * 3_600_000));
    assert_eq!(budget.day(Mono(25 * 3_600_000 - 1)), Bytes(1_050));
    assert_eq!(budget.day(Mono(25 * 3_600_000)), Bytes(950));
    // The month's part.
    budget.reserve(hour(48), Bytes(400));
    assert_eq!(budget.free(hour(48), day, month), Bytes(50));
    assert_eq!(budget.frees(hour(48), Bytes(500), day, month), Mono(32 * 86_400_000));
}

fn count(guard: &mut Guard, second: u64, down: u64, up: u64) {
    // Packets of 1514 bytes, 1500 of them at the IP layer.
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
    guard.counted(Mono(second * 1_000), &counted, Span::seconds(10));
}

#[test]
fn counters_prove_the_speed_and_show_when_the_line_is_quiet() {
    let quiet = |guard: &Guard, s: u64| {
        guard.quiet(Mono(s * 1_000), Span::seconds(10), (Rate(9 * MBIT), Rate(2 * MBIT)))
    };
    let shown =
        |guard: &Guard, s: u64| guard.shown(Mono(s * 1_000), Direction::Download, Rate(72 * MBIT - 12_000));
    let mut guard = Guard::default();
    (1..=8).for_each(|s| count(&mut guard, s, 1, 1));
    assert_eq!(quiet(&guard, 8), None, "eight of ten seconds");
    count(&mut guard, 9, 1, 1);
    assert_eq!(quiet(&guard, 9), Some(true));
    count(&mut guard, 10, 1, 30);
    assert_eq!(quiet(&guard, 10), Some(false), "the other direction");
    // One window alone is a late reading; two in a row are not.
    count(&mut guard, 11, 72, 0);
    assert_eq!(shown(&guard, 11), None);
    count(&mut guard, 12, 71, 0);
    assert_eq!(shown(&guard, 12), None);
    count(&mut guard, 13, 72, 0);
    count(&mut guard, 14, 73, 0);
    assert!(shown(&guard, 14).is_some());
    // Late readings: nothing, then two seconds' bytes in one, over and over, of 60 Mbit/s in truth.
    let mut late = Guard::default();
    for s in 1..60 {
        count(&mut late, s, if s % 2 == 0 { 120 } else { 0 }, 0);
        assert_eq!(shown(&late, s), None, "{s}");
    }
    // Ten seconds whose mean is enough.
    let mut long = Guard::default();
    for s in 1..=20 {
        count(&mut long, s, if s % 2 == 0 { 140 } else { 6 }, 0);
    }
    assert!(shown(&long, 20).is_some());
    // A reset says nothing.
    long.counted(
        Mono(21_000),
        &Counted { over: Span::seconds(1), reset: true, ..Counted::default() },
        Span::seconds(10),
    );
    assert_eq!((shown(&long, 21), quiet(&long, 21)), (None, None));
}

#[test]
fn retry_after_of_a_server_is_respected() {
    let mut servers = vec![Server::default(), Server::default()];
    assert_eq!(choose(&servers, Mono(0), false), Ok(0));
    servers[0].later(Mono(0), Some(Span::minutes(30)));
    assert_eq!(choose(&servers, Mono(1_799_999), false), Ok(1));
    assert_eq!(choose(&servers, Mono(1_800_000), false), Ok(0));
    servers[1].later(Mono(0), Some(Span::hours(2)));
    assert_eq!(choose(&servers, Mono(1_000), false), Err(Mono(1_800_000)));
    // Neither at once nor in a year.
    servers[0].later(Mono(0), Some(Span::ZERO));
    assert_eq!(servers[0].free(), Mono(60_000));
    servers[0].later(Mono(0), Some(Span::days(365)));
    assert_eq!(servers[0].free(), Mono(86_400_000));
    // Failures: 10, 20, 40 min, and after three it does not count as there; until it works.
    let mut failing = Server::default();
    for minutes in [10, 20, 40] {
        assert!(failing.there(Mono(0)));
        failing.failed(Mono(0), "refuses");
        assert_eq!(failing.free(), Mono(minutes * 60_000));
    }
    assert!(!failing.there(Mono(0)));
    failing.worked();
    assert!(failing.there(Mono(0)) && failing.free() == Mono(0));
    // In doubt, the one that was not asked for longest.
    let mut turns = vec![Server { used: Some(Mono(5)), ..Server::default() }, Server::default()];
    assert_eq!(choose(&turns, Mono(10), true), Ok(1));
    turns[1].used = Some(Mono(9));
    assert_eq!(choose(&turns, Mono(10), true), Ok(0));
}
