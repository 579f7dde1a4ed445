//! Compares the judge with a reference model: random histories are drawn, the model derives from the drawn breaks what
//! must, may and must not be declared, and the judge is checked against that at each step.
//!
//! The model knows nothing of suspicions, rounds or windows. It knows who answered when, what came in when, and the four
//! sentences of the rule: a silence of everybody that lasts is declared within a bound; one shorter than the patience,
//! one that somebody breaks, and one over which traffic comes, never are; the end is told soon, and not before it;
//! nothing is done about what is not declared. Nor is `simulate` in it: the driver below is its own, so that a fault
//! of the simulator cannot hide one of the judge.
//!
//! Each seed gives its own stream of histories. A failure prints its seed and the smallest history that still fails.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::{config, seeds};
use crate::common::proof;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::check::{Ask, Checked, Reply, Said};
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::{
    Counted, Link, Memory, Observation, Obstacle, ProbeId, RemedyId, RemedyResult, Started, TargetId,
};
use linekeeper_judge::outage::LineState;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestError, TestRunner};
use serde_json::json;
use std::collections::BTreeMap;

/// Streams, and histories of each.
fn streams() -> u64 {
    proof(50, 200)
}
const CASES: u32 = 6;
/// Targets of the configuration, two of each role.
const TARGETS: usize = 4;
/// When the agent starts on its own clock: an hour, so that no grace after a boot is in the way.
const START: u64 = 3_600_000;
/// The first break comes after so long.
const CALM: u64 = 60_000;
/// The sensor gives an echo up.
const GIVEN_UP: u64 = 5_000;
/// Limits of an echo, as the rule has them: at least, and beyond the usual round trip.
const QUICKEST: u64 = 100;
const BEYOND: u64 = 52;
/// What is left, after some twenty round trips, of the half by which the first one might have been wrong (RFC 6298).
const LEARNT: u64 = 20;
/// Breaks at least this long are counted.
const HICCUP: u64 = 1_000;
/// Two rounds while the line is down, and one while it is suspected.
const DOWN_ROUND: u64 = 500;
/// A bad target is out of the rotation for so long after it answers again, at most: it is asked once a minute, then
/// three times, 5 s apart.
const BENCHED: u64 = 80_000;

/// What befalls the line for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Everything beyond the first router is lost; with the router too, if so said.
    Cut { gateway: bool },
    /// These targets do not answer (a bit each); what the customer does passes.
    Deaf { targets: u8 },
    /// No carrier.
    Unplugged,
}

#[derive(Debug, Clone, Copy)]
struct Episode {
    /// After the last one.
    pause: u64,
    lasts: u64,
    kind: Kind,
    /// What comes in meanwhile if it can, bit/s.
    traffic: u64,
}

#[derive(Debug, Clone)]
struct History {
    patience: u64,
    interval: u64,
    /// Round trips, milliseconds.
    rtt: [u64; TARGETS],
    /// Ticks and readings come so much late.
    late: u64,
    counters: bool,
    /// The first router answers echoes.
    gateway: bool,
    episodes: Vec<Episode>,
}

/// When an episode begins and ends.
type Stretch = (u64, u64);

/// The reference model: who answers when.
struct Truth {
    /// Of each target, and of the gateway: when it does not answer.
    deaf: [Vec<Stretch>; TARGETS + 1],
    /// When nobody answers; touching stretches joined.
    silent: Vec<Stretch>,
    /// When so much comes in, bit/s.
    traffic: Vec<(Stretch, u64)>,
    unplugged: Vec<Stretch>,
    end: u64,
}

impl Truth {
    fn of(history: &History) -> Truth {
        let mut truth = Truth {
            deaf: Default::default(),
            silent: Vec::new(),
            traffic: Vec::new(),
            unplugged: Vec::new(),
            end: 0,
        };
        let mut at = START + CALM;
        for episode in &history.episodes {
            at += episode.pause;
            let stretch = (at, at + episode.lasts);
            let (targets, gateway) = match episode.kind {
                Kind::Cut { gateway } => (0b1111, gateway),
                Kind::Deaf { targets } => (targets, false),
                Kind::Unplugged => (0b1111, true),
            };
            for (target, deaf) in truth.deaf.iter_mut().enumerate() {
                if if target == TARGETS { gateway } else { targets & (1 << target) != 0 } {
                    deaf.push(stretch);
                }
            }
            if targets == 0b1111 {
                truth.silent.push(stretch);
            }
            if let Kind::Deaf { .. } = episode.kind {
                truth.traffic.push((stretch, episode.traffic));
            }
            if episode.kind == Kind::Unplugged {
                truth.unplugged.push(stretch);
            }
            at = stretch.1;
        }
        if !history.gateway {
            truth.deaf[TARGETS] = vec![(0, u64::MAX)];
        }
        truth.end = at + 30_000;
        truth
    }

    fn answers(&self, target: TargetId, sent: u64, back: u64) -> bool {
        let place = if target == TargetId::GATEWAY { TARGETS } else { usize::from(target.0) };
        !self.deaf[place].iter().any(|(from, to)| *from <= back && sent < *to)
    }

    fn is_unplugged(&self, at: u64) -> bool {
        self.unplugged.iter().any(|(from, to)| *from <= at && at < *to)
    }

    /// Bits that came in from one moment to another, times a thousand.
    fn came(&self, from: u64, to: u64) -> u64 {
        let part =
            |((begins, ends), rate): &(Stretch, u64)| to.min(*ends).saturating_sub(from.max(*begins)) * rate;
        self.traffic.iter().map(part).sum()
    }
}

fn history() -> impl Strategy<Value = History> {
    let patience = prop::sample::select(vec![500u64, 1_000, 2_000, 2_000, 2_000, 5_000]);
    let interval = prop::sample::select(vec![200u64, 500, 500, 500, 1_000]);
    let rtt = prop::array::uniform4(prop_oneof![3 => 2u64..60, 1 => 60u64..400]);
    (patience, interval, rtt, 0u64..4, any::<[bool; 4]>()).prop_flat_map(
        |(patience, interval, rtt, late, [quiet, blind, a, b])| {
            let kind = prop_oneof![
                4 => any::<bool>().prop_map(|gateway| Kind::Cut { gateway }),
                // All of one role, all but one, one, and all of them: filtered, not cut.
                3 => prop::sample::select(vec![0b0011u8, 0b1100, 0b0111, 0b1011, 0b1101, 0b1110, 0b0001, 0b0100])
                    .prop_map(|targets| Kind::Deaf { targets }),
                2 => Just(Kind::Deaf { targets: 0b1111 }),
                1 => Just(Kind::Unplugged),
            ];
            // Shorter than the patience, just shorter, and longer.
            let lasts = prop_oneof![
                3 => 1u64..patience,
                3 => patience - 60..patience,
                4 => patience + 3_000..patience + 40_000,
            ];
            let traffic = prop::sample::select(vec![0u64, 2_000, 100_000, 4_000_000]);
            let pause = prop_oneof![3 => 12_000u64..30_000, 1 => 150_000u64..200_000];
            let episode = (pause, lasts, kind, traffic)
                .prop_map(|(pause, lasts, kind, traffic)| Episode { pause, lasts, kind, traffic });
            prop::collection::vec(episode, 1..9).prop_map(move |episodes| History {
                patience,
                interval,
                rtt,
                late,
                counters: !(quiet && blind),
                gateway: a || b,
                episodes,
            })
        },
    )
}

fn configured(history: &History) -> Config {
    config(json!({
        "outage": { "patience": format!("{} ms", history.patience) },
        "probe": { "interval": format!("{} ms", history.interval) },
    }))
}

/// What the judge said and did.
#[derive(Debug, Default)]
struct Heard {
    /// Each change of the line's state.
    turns: Vec<(u64, LineState)>,
    /// Whether the line was taken for up when echoes went out, and to whom: sent, target, answered.
    asked: Vec<(u64, TargetId, bool)>,
    /// Remedies begun.
    repairs: Vec<u64>,
    /// Ends of readings, with their beginnings.
    windows: Vec<Stretch>,
    disconnects: u64,
}

enum Event {
    Back(ProbeId, TargetId, u64),
    GivenUp(ProbeId, TargetId),
    Unsent(ProbeId, TargetId),
    Plug(bool),
    Checked(Checked),
    Done(RemedyId),
    Read,
}

fn link(carrier: bool) -> Link {
    let there = carrier.then(|| "198.51.100.1".parse().unwrap());
    Link {
        present: true,
        admin_up: true,
        carrier,
        addresses: if carrier { vec!["198.51.100.77".parse().unwrap()] } else { Vec::new() },
        gateway: there,
        default_route: carrier,
        speed: None,
        half_duplex: false,
    }
}

/// Lets the judge live through a history.
fn live(history: &History, truth: &Truth) -> Heard {
    let mut judge = Judge::new(configured(history));
    let mut said = Heard::default();
    let mut events: BTreeMap<(u64, u64), Event> = BTreeMap::new();
    let mut number = 0;
    let mut add = |events: &mut BTreeMap<(u64, u64), Event>, at: u64, event: Event| {
        number += 1;
        events.insert((at, number), event);
    };
    for (from, to) in &truth.unplugged {
        add(&mut events, *from, Event::Plug(false));
        add(&mut events, *to, Event::Plug(true));
    }
    if history.counters {
        add(&mut events, START + 1_000, Event::Read);
    }
    let (mut now, mut read, mut replies) = (START, START, 0);
    let started = Started {
        boot_id: "boot-1".into(),
        uptime: Span(START),
        memory: Memory::None,
        watermark: 0,
        beat: None,
        taken: None,
    };
    let mut told = vec![Observation::Started(started), Observation::LinkSeen(link(true))];
    while now < truth.end {
        for saw in told.drain(..) {
            let before = judge.line_state();
            let actions = judge.step(Mono(now), &saw);
            if judge.line_state() != before {
                said.turns.push((now, judge.line_state()));
            }
            for action in actions {
                match action {
                    Action::Probe { probe, target } => {
                        if truth.is_unplugged(now) {
                            said.asked.push((now, target, false));
                            add(&mut events, now, Event::Unsent(probe, target));
                            continue;
                        }
                        let rtt = history.rtt.get(usize::from(target.0)).copied().unwrap_or(3);
                        let answers = truth.answers(target, now, now + rtt);
                        said.asked.push((now, target, answers));
                        if answers {
                            add(&mut events, now + rtt, Event::Back(probe, target, rtt));
                        } else {
                            add(&mut events, now + GIVEN_UP, Event::GivenUp(probe, target));
                        }
                    }
                    Action::Repair(repair) => {
                        said.repairs.push(now);
                        add(&mut events, now + 500, Event::Done(repair.remedy));
                    }
                    Action::Check(order) => {
                        let whole = truth.answers(TargetId(0), now, now + 300);
                        let service = matches!(order.ask, Ask::Name | Ask::Web) && whole;
                        let reply = Reply {
                            whom: "192.0.2.53 udp".into(),
                            said: Said::Answered,
                            took_us: Some(300_000),
                            independent: false,
                            detail: String::new(),
                        };
                        let replies = if service { vec![reply] } else { Vec::new() };
                        let (check, ask) = (order.check, order.ask);
                        add(&mut events, now + 300, Event::Checked(Checked { check, ask, replies }));
                    }
                    _ => {}
                }
            }
        }
        let wake = judge.next_deadline().0.max(now) + history.late;
        let next = events.first_key_value().map(|((at, _), _)| *at);
        match next.filter(|at| *at <= wake) {
            Some(at) => {
                now = at;
                let (_, event) = events.pop_first().unwrap();
                told.push(match event {
                    Event::Back(probe, target, rtt) => {
                        replies += 1;
                        Observation::EchoAnswered { probe, target, rtt_us: rtt as u32 * 1_000 }
                    }
                    Event::GivenUp(probe, target) => Observation::EchoLost { probe, target },
                    Event::Unsent(probe, target) => {
                        Observation::EchoNotSent { probe, target, obstacle: Obstacle::NoWay }
                    }
                    Event::Plug(there) => Observation::LinkSeen(link(there)),
                    Event::Checked(checked) => Observation::Checked(checked),
                    Event::Done(remedy) => {
                        Observation::RemedyEnded { remedy, result: RemedyResult::Done, detail: String::new() }
                    }
                    Event::Read => {
                        let bytes = truth.came(read, now) / 8_000;
                        let packets = bytes.div_ceil(200) + replies;
                        let counted = Counted {
                            over: Span(now - read),
                            rx_bytes: bytes + replies * 60,
                            tx_bytes: bytes / 20 + replies * 60,
                            rx_unicast: packets,
                            rx_proof: Some(bytes.div_ceil(200)),
                            tx_packets: packets.max(1),
                            rx_errors: 0,
                            reset: false,
                        };
                        said.windows.push((read, now));
                        (read, replies) = (now, 0);
                        add(&mut events, now + 1_000 + history.late, Event::Read);
                        Observation::Counted(counted)
                    }
                });
            }
            None => {
                now = wake;
                told.push(Observation::Ticked);
            }
        }
    }
    said.disconnects = judge.status(Mono(now)).disconnects;
    said
}

/// The rule's own bounds for a history.
struct Bounds {
    /// The slowest round trip, and the longest limit of an echo.
    rtt: u64,
    limit: u64,
}

impl Bounds {
    fn of(history: &History) -> Bounds {
        let rtt = history.rtt.iter().copied().max().unwrap();
        Bounds { rtt, limit: (rtt + BEYOND).max(QUICKEST) }
    }
}

fn holds(history: &History) -> Result<(), TestCaseError> {
    let truth = Truth::of(history);
    let said = live(history, &truth);
    let bounds = Bounds::of(history);
    let Bounds { rtt, limit } = bounds;
    let late = history.late;
    let told = || format!("{:?}", said.turns);
    prop_assert_eq!(said.turns.first().map(|t| t.1), Some(LineState::Up), "never up: {}", told());
    let first_up = said.turns[0].0;
    prop_assert!(first_up <= START + 2_000, "up after {}", first_up - START);
    prop_assert!(said.turns.iter().all(|t| t.1 != LineState::Unknown), "{}", told());

    // What is said must be so. An echo of the deciding round may be given up a moment after the end.
    for (at, state) in said.turns.iter().skip(1) {
        let silence = truth.silent.iter().rev().find(|(from, _)| from <= at);
        match state {
            LineState::Down => {
                let Some((from, to)) = silence else { panic!("down before anything was silent: {}", told()) };
                let unplugged = truth.unplugged.contains(&(*from, *to));
                if unplugged {
                    prop_assert_eq!(at, from, "an unplugged line is down at once: {}", told());
                    continue;
                }
                prop_assert!(*at <= to + limit + late, "declared at {at}, after the silence {from}..{to}");
                prop_assert!(
                    to - from >= history.patience,
                    "a break of {} at {from} was declared at {at}",
                    to - from
                );
                prop_assert!(*at >= from + history.patience, "declared {} after {from}", at - from);
                // No reading that began in the silence showed that the line carries.
                if history.counters {
                    let carries = |(begins, ends): &&Stretch| {
                        begins >= from && ends <= at && truth.came(*begins, *ends) / (ends - begins) >= 40_000
                    };
                    prop_assert_eq!(said.windows.iter().find(carries), None, "carried, declared at {}", at);
                }
            }
            LineState::Up => {
                // Somebody answered, twice; or five readings in a row showed traffic.
                let answered = said.asked.iter().filter(|(sent, target, answered)| {
                    *answered && *target != TargetId::GATEWAY && sent + 600 > at - late && sent < at
                });
                let traffic = history.counters && truth.came(at.saturating_sub(5_000), *at) / 5_000 >= 9_000;
                prop_assert!(answered.count() >= 2 || traffic, "up at {at} by nothing: {}", told());
            }
            LineState::Unknown => {}
        }
    }

    // What is so must be said.
    for (from, to) in &truth.silent {
        let down =
            said.turns.iter().find(|(at, s)| *s == LineState::Down && at >= from && *at <= to + limit + late);
        let up_before =
            said.turns.iter().rev().find(|(at, _)| at < from).is_some_and(|t| t.1 == LineState::Up);
        let unplugged = truth.unplugged.contains(&(*from, *to));
        let rate = truth.traffic.iter().find(|(s, _)| s.0 == *from).map_or(0, |(_, rate)| *rate);
        let counts = rate > 0 && history.counters;
        if unplugged {
            prop_assert!(down.is_some(), "unplugged at {from} and not declared");
        } else if to - from > history.patience + 2_900 && up_before && !(counts && rate >= 5_000) {
            let Some((at, _)) = down else { panic!("silent {from}..{to} and not declared: {}", told()) };
            // From the far echo in rotation that was the first to be missed. One that was sent before another that was
            // answered proves nothing.
            let life = said
                .asked
                .iter()
                .filter(|(sent, target, answered)| *answered && *target != TargetId::GATEWAY && sent < from);
            let life = life.map(|(sent, ..)| *sent).max().unwrap_or(0);
            let lost = said.asked.iter().filter(|(sent, target, answered)| {
                !answered
                    && *target != TargetId::GATEWAY
                    && *sent > life
                    && sent + rtt >= *from
                    && answerable(&truth, *target, *sent)
            });
            let missed = |(sent, target, _): &&(u64, TargetId, bool)| {
                sent + (history.rtt[usize::from(target.0)] + 50).max(QUICKEST)
            };
            let since = lost.min_by_key(missed).map_or(*from, |l| l.0);
            let decided = since + rtt + LEARNT + history.patience + limit + 3 * late;
            // The first reading that began in the silence is waited for.
            let read = said.windows.iter().find(|(begins, _)| *begins >= since).map_or(0, |w| w.1);
            let latest = if history.counters { decided.max(read + late + 1) } else { decided };
            // Right after a target was deaf, the rotation and what is known of round trips are not the usual ones.
            let usual = truth.deaf.iter().take(TARGETS).flatten().all(|(_, end)| end <= from || end >= to)
                && truth.deaf[..TARGETS].iter().flatten().all(|(_, end)| end + BENCHED <= *from || end >= to);
            let latest = if usual { latest } else { latest + 2_500 };
            prop_assert!(
                *at <= latest,
                "silent from {from} (seen {since}), declared {} ms late",
                at - latest
            );
        }
        // The end is told in time.
        if let Some((at, _)) = down
            && at < to
            && truth.end - to > 3_000
        {
            let up = said.turns.iter().find(|(up, s)| *s == LineState::Up && up >= at);
            let Some((up, _)) = up else { panic!("down at {at} and never up: {}", told()) };
            let latest = to + DOWN_ROUND + 2 * rtt + 4 * late + 2;
            prop_assert!(*up <= latest, "whole again at {to}, told {} ms late", up - latest);
        }
    }

    // Nothing is done about what is no outage. (One that is over is one until the next round is answered.)
    for at in &said.repairs {
        let seen = DOWN_ROUND + 2 * rtt + 4 * late + 2;
        let outage = truth.silent.iter().any(|(from, to)| {
            to - from >= history.patience && from + history.patience <= *at && *at <= to + seen
        });
        prop_assert!(outage, "a remedy at {at}; silent {:?}", truth.silent);
        let down = said.turns.iter().rev().find(|(turn, _)| turn <= at);
        prop_assert_eq!(down.map(|d| d.1), Some(LineState::Down), "a remedy at {} while up", at);
    }

    // Short breaks are counted, each once: from the first echo that was lost to the first that was answered.
    let short = |least: u64| {
        let breaks = truth.silent.iter().filter(|s| !truth.unplugged.contains(s));
        breaks.filter(move |(from, to)| to - from >= least && to - from < history.patience).count() as u64
    };
    let most = short(HICCUP.saturating_sub(rtt + history.interval + 300));
    let least = if truth.traffic.iter().any(|(_, rate)| *rate >= 5_000) {
        0
    } else {
        short(HICCUP + history.interval + rtt + 10)
    };
    // A silence that is not declared because traffic comes may be counted as well.
    let vetoed = truth.traffic.len() as u64;
    prop_assert!(
        (least..=most + vetoed).contains(&said.disconnects),
        "{} disconnects, {least} to {most} breaks; silent {:?}",
        said.disconnects,
        truth.silent
    );

    // Quiet is quiet: while the same targets answer for a minute, no more is asked than the interval says.
    let mut edges: Vec<u64> = truth.deaf[..TARGETS].iter().flatten().flat_map(|s| [s.0, s.1]).collect();
    edges.extend([first_up, truth.end]);
    edges.sort_unstable();
    edges.dedup();
    for pair in edges.windows(2) {
        let (from, to) = (pair[0] + 20_000, pair[1]);
        let silent = truth.silent.iter().any(|(begins, ends)| *begins < to && from < *ends);
        if to < from + 60_000 || silent {
            continue;
        }
        let asked = said
            .asked
            .iter()
            .filter(|(at, target, _)| (from..to).contains(at) && *target != TargetId::GATEWAY);
        let (asked, usual) = (asked.count() as u64, (to - from) / history.interval);
        // A bad target is asked apart: once a minute, or every five seconds while it comes back.
        prop_assert!(
            asked <= usual + usual / 20 + 16,
            "{asked} echoes from {from} to {to}, {usual} are usual"
        );
    }
    Ok(())
}

/// Whether this target answered in the minute before, as one in the rotation does.
fn answerable(truth: &Truth, target: TargetId, sent: u64) -> bool {
    truth.deaf[usize::from(target.0)]
        .iter()
        .all(|(from, to)| to + BENCHED <= sent || *from + 1_000 >= sent.saturating_sub(1_000))
}

#[test]
fn declared_line_state_matches_the_simulated_truth() {
    for seed in seeds(1..=streams()) {
        let config = ProptestConfig {
            cases: CASES,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(seed),
            ..ProptestConfig::default()
        };
        let done = TestRunner::new(config).run(&history(), |history| holds(&history));
        match done {
            Ok(()) => {}
            Err(TestError::Fail(why, smallest)) => {
                panic!("seed {seed}: {why}\nsmallest history: {smallest:#?}")
            }
            Err(TestError::Abort(why)) => panic!("seed {seed}: {why}"),
        }
    }
}
