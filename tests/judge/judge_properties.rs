//! Properties under random input: the judge does not panic, its memory is bounded, and remedies stay within their lists.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::config;
use linekeeper_contract::message::{Arguments, Command, CommandName, Reason};
use linekeeper_contract::units::{Bytes, LocalTime, Mono, Permille, Rate, Span, Wall};
use linekeeper_contract::vocabulary::{Direction, Limit, Rung, SpeedFailure};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::check::{AreaNotice, Ask, CheckId, Checked, Reply, Said};
use linekeeper_judge::diagnosis::makes_sense;
use linekeeper_judge::ledger::{DAYS, MONTHS};
use linekeeper_judge::observation::{
    Beat, Charge, CommandRefused, Commanded, Counted, Link, Memory, Observation, Obstacle, Part, ProbeId,
    Receipt, ReceiptState, RemedyId, RemedyResult, Signature, Started, TargetId,
};
use linekeeper_judge::speed::{Confidence, Figures, SpeedEnded, SpeedOutcome, TestId};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

const SAID: [Said; 5] = [Said::Answered, Said::Refused, Said::Forged, Said::Silent, Said::NotChecked];

/// Small numbers mostly, so that they meet; huge ones sometimes.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..60, 1 => 0u64..100_000, 1 => any::<u64>()]
}

fn said() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z ]{0,20}", 1 => Just("客户".repeat(5_000))]
}

fn target() -> impl Strategy<Value = TargetId> {
    prop_oneof![6 => (0u8..4).prop_map(TargetId), 2 => Just(TargetId::GATEWAY), 1 => any::<u8>().prop_map(TargetId)]
}

fn link() -> impl Strategy<Value = Link> {
    (any::<[bool; 5]>(), 0usize..40).prop_map(|([present, admin_up, carrier, route, gateway], n)| Link {
        present: present || n < 20,
        admin_up: admin_up || n < 20,
        carrier,
        addresses: vec!["198.51.100.7".parse().unwrap(); if n > 30 { 500 } else { n.min(1) }],
        gateway: gateway.then(|| "198.51.100.1".parse().unwrap()),
        default_route: route,
        speed: (n % 3 > 0).then_some(Rate(n as u64 * 10_000_000)),
        half_duplex: n % 5 == 1,
    })
}

/// The end of a test, perhaps of one that was asked for.
fn speed_ended() -> impl Strategy<Value = SpeedEnded> {
    let figures = (any::<u64>(), 0usize..6, any::<bool>()).prop_map(|(line, limit, stopped_early)| {
        SpeedOutcome::Measured(Figures {
            line: Rate(if limit < 4 { line % 100_000_000 } else { line }),
            line_mean: Rate(line),
            own: Rate(line),
            customer: Rate(0),
            own_payload: Rate(line),
            spread: Permille(20),
            confidence: Confidence::Low,
            limit: [
                Limit::Line,
                Limit::Customer,
                Limit::Server,
                Limit::Window,
                Limit::GatewayCpu,
                Limit::Unknown,
            ][limit],
            stopped_early,
            connections: 1,
            idle_rtt_us: None,
            loaded_rtt_us: None,
            rpm: None,
        })
    });
    let failure = (0usize..7, said(), prop::option::of(number())).prop_map(|(reason, detail, wait)| {
        SpeedOutcome::Failed {
            reason: [
                SpeedFailure::ServerUnreachable,
                SpeedFailure::ServerAnswer,
                SpeedFailure::ServerCertificate,
                SpeedFailure::ServerBusy,
                SpeedFailure::CustomerBusy,
                SpeedFailure::Local,
                SpeedFailure::Aborted,
            ][reason],
            detail,
            retry_after: wait.map(Span),
        }
    });
    (number(), any::<u8>(), any::<bool>(), number(), number(), prop_oneof![figures, failure]).prop_map(
        |(test, server, up, cost, took, outcome)| SpeedEnded {
            test: TestId(test % 8),
            server,
            direction: Direction::ALL[usize::from(up)],
            cost: Bytes(cost),
            took: Span(took),
            outcome,
        },
    )
}

/// A command, mostly one that could be meant, sometimes one that came before.
fn commanded() -> impl Strategy<Value = Commanded> {
    let arguments =
        (prop::option::of(0usize..4), prop::option::of(any::<bool>()), prop::option::of(number()));
    let times = (prop::option::of(number()), prop::option::of(any::<i64>()), prop::option::of(number()));
    (0u64..80, 0usize..6, arguments, times, 0usize..4, any::<bool>()).prop_map(
        |(id, name, (rung, up, delay_s), (valid_s, expires, left), signature, retained)| Commanded {
            command: Command {
                schema: None,
                id: format!("C{id}"),
                device_id: None,
                command: CommandName::ALL[name],
                arguments: Arguments {
                    rung: rung.map(|r| Rung::ALL[r]),
                    direction: up.map(|up| Direction::ALL[usize::from(up)]),
                    delay_s: delay_s.map(|s| s.saturating_mul(10)),
                },
                issued: None,
                expires: expires.map(|wall| LocalTime { wall: Wall(wall), offset_minutes: 0 }),
                valid_s,
                signature: None,
            },
            signature: [Signature::Absent, Signature::Unchecked, Signature::Good, Signature::Bad][signature],
            retained: retained && id % 3 == 0,
            broker_left: left.map(|s| Span(s.saturating_mul(1_000))),
            correlation: None,
        },
    )
}

fn observation() -> impl Strategy<Value = Observation> {
    let id = || prop_oneof![Just("CB00000000-001".to_string()), "[A-Z0-9-]{0,18}", said()];
    prop_oneof![
        2 => (number(), number(), number(), 0u8..3).prop_map(|(boot, uptime, watermark, m)| {
            Observation::Started(Started {
                boot_id: format!("boot-{}", boot % 5),
                uptime: Span(uptime),
                memory: [Memory::None, Memory::Restored, Memory::Lost][usize::from(m)],
                watermark: watermark % 1_000_000,
                taken: (boot % 2 == 0).then(|| vec![(Rung::Renew, uptime as u32), (Rung::Reboot, boot as u32)]),
                beat: (boot % 3 == 0).then_some(Beat { at: Mono(uptime), charge: Charge::Line, since: Mono(boot) }),
            })
        }),
        10 => Just(Observation::Ticked),
        2 => (any::<i64>(), any::<bool>()).prop_map(|(w, synced)| Observation::ClockSet { wall: Wall(w), synced }),
        20 => (number(), target(), any::<u32>()).prop_map(|(p, target, rtt_us)| Observation::EchoAnswered {
            probe: ProbeId(p), target, rtt_us
        }),
        5 => (number(), target()).prop_map(|(p, target)| Observation::EchoLost { probe: ProbeId(p), target }),
        4 => (number(), target(), 0usize..4).prop_map(|(p, target, o)| Observation::EchoNotSent {
            probe: ProbeId(p),
            target,
            obstacle: [Obstacle::NoWay, Obstacle::NoAddress, Obstacle::NotAllowed, Obstacle::Busy][o],
        }),
        6 => link().prop_map(Observation::LinkSeen),
        6 => (number(), number(), number(), any::<bool>()).prop_map(|(a, b, c, reset)| Observation::Counted(Counted {
            over: Span(a), rx_bytes: b, tx_bytes: c, rx_unicast: a, rx_proof: (a % 3 > 0).then_some(b), tx_packets: b, rx_errors: c, reset
        })),
        6 => (number(), 0usize..5, said()).prop_map(|(r, result, detail)| Observation::RemedyEnded {
            remedy: RemedyId(r),
            result: [
                RemedyResult::Done,
                RemedyResult::Pretended,
                RemedyResult::Failed,
                RemedyResult::Overran,
                RemedyResult::Unsupported,
            ][result],
            detail,
        }),
        4 => number().prop_map(|number| Observation::Acknowledged { number }),
        1 => number().prop_map(|number| Observation::GivenUp { number }),
        1 => any::<bool>().prop_map(|connected| Observation::BrokerSeen { connected }),
        4 => (id(), 0usize..4, any::<Option<u8>>()).prop_map(|(callback_id, s, score)| {
            Observation::ReceiptCame(Receipt {
                callback_id,
                state: [
                    ReceiptState::Received, ReceiptState::Scheduled, ReceiptState::Closed, ReceiptState::Refused,
                ][s],
                reason: None,
                satisfaction_score: score,
                issue_types: Vec::new(),
                resolved_by: None,
            })
        }),
        2 => said().prop_map(|reason| Observation::CallbackAsked { reason }),
        2 => (any::<bool>(), said()).prop_map(|(works, text)| Observation::PartSeen {
            part: Part::Echo,
            trouble: (!works).then_some(text),
        }),
        6 => (number(), 0usize..5, prop::collection::vec((said(), 0usize..5, any::<bool>()), 0..10)).prop_map(
            |(check, ask, replies)| Observation::Checked(Checked {
                check: CheckId(check % 12),
                ask: Ask::ALL[ask],
                replies: replies
                    .into_iter()
                    .map(|(detail, said, independent)| Reply {
                        whom: if independent { detail.clone() } else { "192.0.2.53 udp".into() },
                        said: SAID[said],
                        took_us: None,
                        independent,
                        detail,
                    })
                    .collect(),
            })
        ),
        2 => prop::option::of(said()).prop_map(|why| Observation::HandsOffSeen { why }),
        2 => (prop::option::of((said(), number(), number(), any::<bool>())), any::<bool>()).prop_map(|(n, ours)| {
            Observation::AreaNoticed {
                notice: n.map(|(text, issued, expires, ended)| AreaNotice {
                    id: text.clone(),
                    area: if ours { "north-3".into() } else { text.clone() },
                    issued,
                    expires,
                    ended,
                    text,
                }),
            }
        }),
        4 => speed_ended().prop_map(Observation::SpeedEnded),
        6 => commanded().prop_map(|c| Observation::Commanded(Box::new(c))),
        1 => (number(), said()).prop_map(|(n, detail)| Observation::CommandRefused(CommandRefused {
            id: format!("C{n}"),
            correlation: None,
            reason: Reason::Malformed,
            detail,
        })),
        1 => Just(Observation::Stopping),
    ]
}

/// How much time passes before it.
fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![10 => 0u64..700, 3 => 0u64..8_000, 2 => 0u64..4_000_000, 1 => any::<u64>().prop_map(|n| n >> 3)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_input_breaks_no_invariant(
        story in prop::collection::vec((pause(), observation(), 0u8..40), 1..250),
        first in observation(),
        rule in prop::sample::select(vec!["sequential", "bnetza-2021", "ctu-2021", "fcc-80-80", "share"]),
    ) {
        let mut tree = json!({
            "remedies": { "ladder": [
                "renew", "other-resolver", "restart-interface", "restart-network", "power-modem", "reboot",
            ] },
            "commands": { "allow": ["check", "speedtest", "diagnose", "remedy", "reboot", "programme"] },
            "outage": { "hold_down": "30 s" },
            "promise": {
                "download": { "minimum": "10 Mbit/s", "normal": "50 Mbit/s", "maximum": "100 Mbit/s" },
                "upload": { "normal": "5 Mbit/s" },
                "rule": rule, "share": { "short": 2, "of": 2 },
            },
            "speed": { "servers": ["http://a.example/", "http://b.example/"], "per_day": 48 },
        });
        if rule != "share" {
            tree["promise"].as_object_mut().unwrap().remove("share");
        }
        let config = config(tree);
        let slow = SpeedOutcome::Measured(Figures {
            line: Rate(1_000_000),
            line_mean: Rate(1_000_000),
            own: Rate(1_000_000),
            customer: Rate(0),
            own_payload: Rate(1_000_000),
            spread: Permille(20),
            confidence: Confidence::High,
            limit: Limit::Line,
            stopped_early: false,
            connections: 1,
            idle_rtt_us: None,
            loaded_rtt_us: None,
            rpm: None,
        });
        let mut judge = Judge::new(config.clone());
        let mut now = Mono(1);
        let mut told: Vec<Observation> = Vec::new();
        // Rungs that the platform ordered: these need not make sense.
        let mut ordered = BTreeSet::new();
        for (pause, saw, repeat) in std::iter::once((0, first, 0)).chain(story) {
            now = now + Span(pause);
            // Sometimes what was asked is answered, else nothing would ever be up.
            for saw in told.drain(..).chain([saw]) {
                if let Observation::Commanded(c) = &saw {
                    ordered.extend(c.command.arguments.rung);
                    ordered.extend((c.command.command == CommandName::Reboot).then_some(Rung::Reboot));
                }
                for action in judge.step(now, &saw) {
                    if let Action::Repair(repair) = &action {
                        // Without one it is an order of the platform's.
                        let domain = repair.incident.as_ref().map(|i| i.fault_domain);
                        let ordered = ordered.contains(&repair.rung);
                        prop_assert!(
                            ordered || domain.is_some_and(|d| makes_sense(d, repair.rung)),
                            "{:?} in {:?}", repair.rung, domain
                        );
                    }
                }
                prop_assert!(judge.next_deadline() > now || now.0 > u64::MAX / 2, "wake {:?} at {now:?}", judge.next_deadline());
            }
            if repeat < 20 {
                for _ in 0..repeat {
                    let wake = judge.next_deadline().min(now + Span::seconds(3)).max(now);
                    now = wake;
                    for action in judge.step(now, &Observation::Ticked) {
                        match action {
                            Action::Probe { probe, target } if repeat % 2 == 0 => {
                                told.push(Observation::EchoAnswered { probe, target, rtt_us: 20_000 });
                            }
                            Action::MeasureSpeed(order) if repeat % 3 == 0 => {
                                told.push(Observation::SpeedEnded(SpeedEnded {
                                    test: order.test,
                                    server: order.server,
                                    direction: order.direction,
                                    cost: order.bytes_most,
                                    took: order.seconds_most,
                                    outcome: slow.clone(),
                                }));
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        let snapshot = judge.snapshot().unwrap();
        let size = snapshot.to_string().len();
        // Most of it is a link with 500 addresses, callbacks with long reasons, and a full journal of commands.
        prop_assert!(size <= 98_304, "a snapshot of {size} bytes");
        let restored = Judge::restore(config, &snapshot).unwrap();
        prop_assert_eq!(restored.snapshot().unwrap(), snapshot);
        let status = judge.status(now);
        // Its books add up, whatever came.
        if let Some(books) = status.availability {
            prop_assert_eq!(books.total.elapsed_ms(), judge.kept_for(now).0);
            prop_assert!(books.days.len() <= DAYS && books.months.len() <= MONTHS);
        }
    }
}

#[test]
fn every_remedy_has_a_cause() {
    use linekeeper_contract::message::Domain;
    for rung in Rung::ALL {
        assert!(!makes_sense(Domain::Upstream, rung) && !makes_sense(Domain::Lan, rung));
    }
    assert!(!makes_sense(Domain::Link, Rung::Renew) && !makes_sense(Domain::Unknown, Rung::Reboot));
}
