//! Golden scenarios: a committed trace must give exactly the committed actions.
//!
//! `tests/golden/<name>/` holds `why.md` (one sentence), `config.json`, `trace.jsonl` and `actions.jsonl`.
//! `LINEKEEPER_GOLDEN=write cargo test --test judge golden` regenerates them from the scenarios below. Each scenario
//! also asserts its essential results, so that regenerated files cannot silently be wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::{Keeper, config, tree};
use crate::common::repository_path;
use linekeeper_contract::message::{CallbackState, Event, EventName, Finding, Message, Outcome, Severity};
use linekeeper_contract::units::{Bytes, Mono, Permille, Rate, Span, Wall};
use linekeeper_contract::vocabulary::{Limit, Rung};
use linekeeper_judge::Judge;
use linekeeper_judge::action::{Action, Done};
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::{Counted, Link, Memory, Observation, Receipt, ReceiptState, Started};
use linekeeper_judge::speed::{Confidence, Figures, SpeedEnded, SpeedOutcome};
use linekeeper_proving::replay::{Header, Replay, TRACE_SCHEMA};
use linekeeper_proving::simulate::{Moment, Spectator, Trouble, World, run};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// The largest trace that is committed.
const LARGEST: usize = 300 * 1024;

struct Scenario {
    name: &'static str,
    why: &'static str,
    config: Value,
    world: World,
    /// Played in another way than by the simulator, whose every second would not fit.
    play: Option<fn(&Config, Span) -> Keeper>,
    until: Span,
    essence: fn(&Told),
}

/// What was told to the platform.
struct Told {
    messages: Vec<Message>,
    done: Vec<Done>,
}

impl Told {
    fn events(&self, name: EventName) -> Vec<&Event> {
        self.messages
            .iter()
            .filter_map(|m| match m {
                Message::Event(e) if e.event == name => Some(&**e),
                _ => None,
            })
            .collect()
    }
    fn outcomes(&self) -> Vec<(Rung, Outcome)> {
        let ended = self.events(EventName::RemedyEnded);
        ended.iter().map(|e| e.remedy.as_ref().unwrap()).map(|r| (r.name, r.outcome.unwrap())).collect()
    }
    fn callbacks(&self) -> Vec<(CallbackState, &str)> {
        self.messages
            .iter()
            .filter_map(|m| match m {
                Message::Callback(c) => Some((c.state, c.id.as_str())),
                Message::Event(_) | Message::CommandResult(_) => None,
            })
            .collect()
    }
    fn states(&self) -> Vec<CallbackState> {
        self.callbacks().iter().map(|c| c.0).collect()
    }
    /// Incidents opened and closed.
    fn incidents(&self) -> (usize, usize) {
        (self.events(EventName::IncidentOpened).len(), self.events(EventName::IncidentClosed).len())
    }
    fn repairs(&self) -> usize {
        self.done.iter().filter(|d| matches!(d.action, Action::Repair(_))).count()
    }
}

fn scenarios() -> Vec<Scenario> {
    use CallbackState::{Received, Refused, Requested, Withdrawn};
    let s = Span::seconds;
    // Slow probing and a short hold-down keep the traces small.
    let small = || {
        json!({
            "probe": { "interval": "2 s" },
            "outage": { "hold_down": "10 s" },
            "callback": { "after": "10 s", "receipt": "5 s" },
            "remedies": { "limit": { "power-modem": "30 s" }, "settle": { "renew": "2 s", "restart-interface": "3 s" } },
        })
    };
    let with = |key: &str, value: Value| {
        let mut tree = small();
        let table = tree.as_object_mut().unwrap().entry(key).or_insert(json!({}));
        table.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        tree
    };
    let dead_upstream = |length| {
        let mut world = World::quiet().with_trouble(s(20), length, Trouble::Upstream);
        world.failover = true;
        world
    };
    vec![
        Scenario {
            name: "01-healed-by-renew",
            why: "A silent access router that wakes up on a renewed lease is healed by the gentlest rung, without a callback.",
            config: small(),
            world: World::quiet().until_healed(s(20), Trouble::Access, &[Rung::Renew]),
            play: None,
            until: s(45),
            essence: |t| {
                assert_eq!(t.incidents(), (1, 1));
                assert_eq!(t.outcomes(), [(Rung::Renew, Outcome::Healed)]);
                assert_eq!(t.states(), []);
            },
        },
        Scenario {
            name: "02-healed-by-restart",
            why: "A lost address comes back with a restarted interface after the renewal could not be carried out.",
            config: small(),
            world: {
                let mut world =
                    World::quiet().until_healed(s(20), Trouble::Address, &[Rung::RestartInterface]);
                world.cannot.insert(Rung::Renew, "no DHCP client runs".into());
                world
            },
            play: None,
            until: s(45),
            essence: |t| {
                assert_eq!(t.incidents(), (1, 1));
                let wanted = [(Rung::Renew, Outcome::Failed), (Rung::RestartInterface, Outcome::Healed)];
                assert_eq!(t.outcomes(), wanted);
                assert_eq!(t.states(), []);
            },
        },
        Scenario {
            name: "03-not-healed",
            why: "A dead access is handed over once, after both rungs showed no effect, and withdrawn when it returns by itself.",
            config: small(),
            world: {
                let mut world = World::quiet().with_trouble(s(20), s(30), Trouble::Access);
                world.failover = true;
                world
            },
            play: None,
            until: s(75),
            essence: |t| {
                assert_eq!(t.incidents(), (1, 1));
                let wanted = [(Rung::Renew, Outcome::NoEffect), (Rung::RestartInterface, Outcome::NoEffect)];
                assert_eq!(t.outcomes(), wanted);
                assert_eq!(t.states(), [Requested, Received, Withdrawn]);
            },
        },
        Scenario {
            name: "04-flapping",
            why: "Three breaks within each other's hold-down are one flapping incident with one callback, closed when the line holds.",
            config: with("outage", json!({ "hold_down": "15 s", "flapping": 3 })),
            world: (0..3)
                .fold(World::quiet(), |w, i| w.with_trouble(s(20 + i * 14), s(5), Trouble::Upstream)),
            play: None,
            until: s(80),
            essence: |t| {
                let last = t.events(EventName::IncidentClosed).pop().unwrap();
                assert_eq!((last.incident.finding, last.incident.breaks), (Finding::Flapping, 3));
                assert_eq!(t.events(EventName::IncidentOpened).len(), 1);
                assert_eq!(t.states(), [Requested, Received, Withdrawn]);
                assert_eq!(t.repairs(), 0);
            },
        },
        Scenario {
            name: "05-reboot-in-the-ladder",
            why: "The gateway reboots as its own remedy in the middle of the ladder, and the next life knows it: one incident, healed by reboot.",
            config: with(
                "remedies",
                json!({
                    "ladder": ["renew", "reboot", "restart-interface"],
                    "settle": { "renew": "2 s", "reboot": "1 min" },
                }),
            ),
            world: World::quiet().until_healed(s(20), Trouble::Access, &[Rung::Reboot]),
            play: None,
            until: s(110),
            essence: |t| {
                assert_eq!(t.incidents(), (1, 1));
                let wanted = [(Rung::Renew, Outcome::NoEffect), (Rung::Reboot, Outcome::Healed)];
                assert_eq!(t.outcomes(), wanted);
                let boots = |e: &Event| e.time.boot_id.clone();
                let opened = boots(t.events(EventName::IncidentOpened)[0]);
                assert_ne!(opened, boots(t.events(EventName::IncidentClosed)[0]));
                assert_eq!(t.states(), []);
            },
        },
        Scenario {
            name: "06-clock-back-twenty-years",
            why: "A clock that is set back by twenty years in the middle of an outage changes labels and no decision.",
            config: small(),
            world: {
                // 2006-11-20T00:00:00Z
                let to = Wall(1_163_980_800_000);
                dead_upstream(s(30)).with_trouble(s(30), Span::ZERO, Trouble::ClockSet { to, synced: false })
            },
            play: None,
            until: s(70),
            essence: |t| {
                assert_eq!(t.incidents(), (1, 1));
                let closed = t.events(EventName::IncidentClosed)[0];
                assert!((28_000..33_000).contains(&closed.incident.down_ms), "{}", closed.incident.down_ms);
                let wall = closed.time.wall.unwrap().to_string();
                assert!(wall.starts_with("2006-11-20") && !closed.time.synced, "{wall}");
                let opened = closed.incident.opened.wall.unwrap().to_string();
                assert!(opened.starts_with("2026-11-20"), "{opened}");
                assert_eq!(t.states(), [Requested, Received, Withdrawn]);
            },
        },
        Scenario {
            name: "07-receipt-lost",
            why: "A receipt that does not come is asked for again under the same id until it comes.",
            config: small(),
            world: dead_upstream(s(40)).with_trouble(s(10), s(30), Trouble::ReceiptsLost),
            play: None,
            until: s(80),
            essence: |t| {
                let calls = t.callbacks();
                assert_eq!(t.states(), [Requested, Requested, Requested, Received, Withdrawn]);
                assert!(calls[1].1 == calls[0].1 && calls[2].1 == calls[0].1 && calls[3].1 != calls[0].1);
            },
        },
        Scenario {
            name: "08-receipt-refused",
            why: "A refused callback is neither asked for again nor withdrawn.",
            config: small(),
            world: dead_upstream(s(40)).with_trouble(s(10), Span::hours(1), Trouble::ReceiptsRefused),
            play: None,
            until: s(80),
            essence: |t| {
                assert_eq!(t.states(), [Requested, Refused]);
                assert_eq!(t.incidents(), (1, 1));
            },
        },
        Scenario {
            name: "09-hiccup",
            why: "A break of 1.6 seconds and a cable that is plugged in again within three are not acted on.",
            config: json!({ "outage": { "hold_down": "10 s" } }),
            world: World::quiet().with_trouble(s(20), Span::millis(1_600), Trouble::Upstream).with_trouble(
                s(30),
                s(3),
                Trouble::Carrier,
            ),
            play: None,
            until: s(50),
            essence: |t| {
                assert_eq!(t.incidents(), (1, 1), "the carrier's");
                assert_eq!((t.repairs(), t.states()), (0, vec![]));
                let counted = t.done.iter().any(
                    |d| matches!(&d.action, Action::Note { text, .. } if text.contains("counted, not acted on")),
                );
                assert!(counted);
            },
        },
        Scenario {
            name: "10-short-of-the-promise",
            why: "A line at two fifths of its normal rate is found after four tests and handed over once, with the tests that show it.",
            config: promised(),
            world: World::quiet(),
            play: Some(|config, until| sparsely(config, until, (0, 0), |_| 400)),
            until: Span::hours(4),
            essence: |t| {
                let opened = t.events(EventName::IncidentOpened);
                assert_eq!((opened.len(), opened[0].incident.finding), (1, Finding::ShortRate));
                assert_eq!(t.states(), [Requested, Received]);
                let Some(Message::Callback(c)) =
                    t.messages.iter().find(|m| matches!(m, Message::Callback(_)))
                else {
                    panic!("a callback")
                };
                assert_eq!((c.trigger.name.as_str(), c.issues[0].code.as_str()), ("speed", "speed.download"));
                assert_eq!(c.evidence.samples.len(), 4);
                assert_eq!(c.evidence.samples[0]["line_bps"], 36_000_000);
                assert_eq!(c.evidence.samples[0]["server"], "http://speed.example/");
                assert!(c.evidence.rule.starts_with("sequential (download)"), "{}", c.evidence.rule);
                let fact =
                    |name: &str| c.evidence.facts.iter().find(|f| f.name == name).unwrap().detail.clone();
                assert!(
                    fact("speed.share").contains("40 % of the agreed 90 Mbit/s"),
                    "{}",
                    fact("speed.share")
                );
                assert!(fact("speed.busy_hours").starts_with("18 to 24 h: "));
            },
        },
        Scenario {
            name: "11-back-at-the-promise",
            why: "A line that is short for two hours and a half and then keeps its promise has its callback withdrawn after six good tests.",
            config: promised(),
            world: World::quiet(),
            play: Some(|config, until| {
                sparsely(config, until, (0, 0), |at| if at < Span::minutes(150) { 400 } else { 990 })
            }),
            until: Span::minutes(390),
            essence: |t| {
                assert_eq!(t.incidents(), (1, 1));
                assert_eq!(t.states(), [Requested, Received, Withdrawn]);
                assert_eq!(t.repairs(), 0);
            },
        },
        Scenario {
            name: "12-busy-line",
            why: "A line that the customer uses is not tested, nothing is concluded, and nobody is called.",
            config: promised(),
            world: World::quiet(),
            play: Some(|config, until| sparsely(config, until, (30, 1), |_| 400)),
            until: Span::minutes(110),
            essence: |t| {
                assert_eq!((t.incidents(), t.states()), ((0, 0), vec![]));
                assert!(!t.done.iter().any(|d| matches!(d.action, Action::MeasureSpeed(_))));
                let said = |d: &Done| matches!(&d.action, Action::Note { text, .. } if text == "download: nothing is shown, the customer uses the line");
                assert!(t.done.iter().any(said));
            },
        },
        Scenario {
            name: "13-lossy",
            why: "A line that loses every fifth echo for ten minutes is found, handed over once it has lasted, and withdrawn when it is whole again.",
            config: json!({
                "probe": {
                    "targets": [{ "host": "198.51.100.10", "role": "anchor" }], "interval": "1 s", "gateway": false,
                },
                "promise": { "loss": "10 %" },
                "callback": { "quality": "9 min", "receipt": "1 h" },
            }),
            world: World::quiet(),
            play: Some(lossily),
            until: Span::seconds(1_350),
            essence: |t| {
                let opened = t.events(EventName::IncidentOpened);
                assert_eq!((opened.len(), opened[0].incident.finding), (1, Finding::Loss));
                assert_eq!(t.incidents(), (1, 1));
                assert_eq!(t.states(), [Requested, Received, Withdrawn]);
                assert_eq!(t.repairs(), 0);
                let Some(Message::Callback(c)) =
                    t.messages.iter().find(|m| matches!(m, Message::Callback(_)))
                else {
                    panic!("a callback")
                };
                assert_eq!((c.trigger.name.as_str(), c.issues[0].code.as_str()), ("loss", "loss.unknown"));
                assert!(
                    c.evidence.rule.ends_with("10 % was promised; above it in 9 of the last 9 windows"),
                    "{}",
                    c.evidence.rule
                );
            },
        },
        Scenario {
            name: "14-unusual-usage",
            why: "Far more than is usual on a Wednesday night, sent for an hour, is told once and asked about once, and nothing is done.",
            config: json!({
                "probe": promised()["probe"],
                "usage": { "callback": true },
                "callback": { "receipt": "1 h" },
            }),
            world: World::quiet(),
            play: Some(a_night),
            until: Span::minutes(100),
            essence: |t| {
                assert_eq!((t.incidents(), t.repairs()), ((1, 1), 0));
                let opened = &t.events(EventName::IncidentOpened)[0].incident;
                assert_eq!((opened.finding, opened.about.as_deref()), (Finding::Usage, Some("much_sent")));
                assert_eq!((opened.breaks, opened.down_ms), (0, 0));
                // It is over before anybody called, and was unusual all the same.
                assert_eq!(t.states(), [Requested, Received, Received]);
                let Some(Message::Callback(c)) =
                    t.messages.iter().rev().find(|m| matches!(m, Message::Callback(_)))
                else {
                    panic!("a callback")
                };
                assert_eq!((c.severity, c.trigger.name.as_str()), (Severity::Low, "usage"));
                assert_eq!(c.issues[0].code, "usage.much_sent");
                assert!(c.issues[0].description.contains("data leak"), "{}", c.issues[0].description);
                assert_eq!(c.evidence.samples[0]["weeks"], 3);
                assert_eq!(c.resolution.by.as_deref(), Some("itself"));
            },
        },
    ]
}

/// Plays minutes with few observations: one target is asked each second, and of what is asked for ten minutes
/// every fifth echo is lost; the counters are read each four seconds, and nobody uses the line.
fn lossily(config: &Config, until: Span) -> Keeper {
    let mut keeper = Keeper::default();
    let mut judge = Judge::new(config.clone());
    let began = Span::hours(1);
    let mut now = Mono(began.0);
    let started = Started {
        boot_id: "boot-1".into(),
        uptime: began,
        memory: Memory::None,
        watermark: 0,
        beat: None,
        taken: None,
    };
    let link = Link {
        present: true,
        admin_up: true,
        carrier: true,
        addresses: vec!["198.51.100.77".parse().unwrap()],
        gateway: None,
        default_route: true,
        speed: None,
        half_duplex: false,
    };
    // 2026-11-20T00:00:00Z
    let clock = Observation::ClockSet { wall: Wall(1_795_132_800_000), synced: true };
    let counters = |now: Mono| {
        let counted = Counted { over: Span::seconds(4), tx_packets: 4, ..Counted::default() };
        (now + Span::seconds(4), Observation::Counted(counted))
    };
    let mut coming = vec![
        (now, Observation::Started(started)),
        (now, clock),
        (now, Observation::LinkSeen(link)),
        counters(now),
    ];
    let moment = |now: Mono| Moment { world: Span(now.0 - began.0), agent: now };
    keeper.on_start(moment(now), None);
    let mut asked = 0;
    while now.0 - began.0 < until.0 {
        coming.sort_by_key(|(at, _)| *at);
        let (at, saw) = match coming.first() {
            Some((at, _)) if *at <= judge.next_deadline() => coming.remove(0),
            _ => (judge.next_deadline(), Observation::Ticked),
        };
        now = at.max(now);
        if matches!(saw, Observation::Counted(_)) {
            coming.push(counters(now));
        }
        keeper.on_observation(moment(now), &saw);
        for action in judge.step(now, &saw) {
            keeper.on_action(moment(now), &action);
            match action {
                Action::Probe { probe, target } => {
                    asked += 1;
                    let lossy = (Span::seconds(130)..Span::minutes(12)).contains(&moment(now).world);
                    coming.push(if lossy && asked % 5 == 0 {
                        (now + Span::seconds(5), Observation::EchoLost { probe, target })
                    } else {
                        let rtt_us = 20_000;
                        (now + Span::millis(20), Observation::EchoAnswered { probe, target, rtt_us })
                    });
                }
                Action::Publish(message) => {
                    let acknowledged = Observation::Acknowledged { number: message.number };
                    coming.push((now + Span::millis(40), acknowledged));
                    if let Message::Callback(c) = &message.message
                        && c.state == CallbackState::Requested
                    {
                        let receipt = Receipt {
                            callback_id: c.callback_id.clone(),
                            state: ReceiptState::Received,
                            reason: None,
                            satisfaction_score: None,
                            issue_types: Vec::new(),
                            resolved_by: None,
                        };
                        coming.push((now + Span::millis(500), Observation::ReceiptCame(receipt)));
                    }
                }
                _ => {}
            }
        }
    }
    keeper
}

/// Plays a night on a line that three weeks know at 0.3 Mbit/s: ten minutes as usual, an hour of 20 Mbit/s that go out, and as
/// usual again.
fn a_night(config: &Config, until: Span) -> Keeper {
    let mut keeper = Keeper::default();
    let mut judge = Judge::new(config.clone());
    let began = Span::hours(1);
    let mut now = Mono(began.0);
    let started = Started {
        boot_id: "boot-1".into(),
        uptime: began,
        memory: Memory::None,
        watermark: 0,
        beat: None,
        taken: None,
    };
    let link = Link {
        present: true,
        admin_up: true,
        carrier: true,
        addresses: vec!["198.51.100.77".parse().unwrap()],
        gateway: None,
        default_route: true,
        speed: None,
        half_duplex: false,
    };
    // Wednesday, 2026-11-25T02:00:00Z, in the week 2969 since that of 1970-01-01.
    let clock = Observation::ClockSet { wall: Wall(1_795_572_000_000), synced: true };
    let week = |week: u32| json!({ "week": week, "received": "42".repeat(168), "sent": "42".repeat(168) });
    let usual = serde_json::from_value(json!({ "weeks": [week(2_966), week(2_967), week(2_968)] })).unwrap();
    let mut coming = VecDeque::from([
        (now, Observation::Started(started)),
        (now, clock),
        (now, Observation::LinkSeen(link)),
    ]);
    let moment = |now: Mono| Moment { world: Span(now.0 - began.0), agent: now };
    judge.restore_usual(usual);
    keeper.on_start(moment(now), Some(&judge.full_snapshot().unwrap()));
    while now.0 - began.0 < until.0 {
        let (at, saw) = coming.pop_front().unwrap_or_else(|| {
            let next = now + Span::millis(4_900);
            let passed = Span(next.0 - began.0);
            let out = if passed > Span::minutes(10) && passed <= Span::minutes(70) { 20_000 } else { 300 };
            let over = next.since(now);
            let bytes = |kbit: u64| kbit * over.0 / 8;
            let counted = Counted {
                over,
                rx_bytes: bytes(300),
                tx_bytes: bytes(out),
                rx_unicast: bytes(300) / 1_000,
                tx_packets: bytes(out) / 1_000,
                ..Counted::default()
            };
            (next, Observation::Counted(counted))
        });
        now = at.max(now);
        keeper.on_observation(moment(now), &saw);
        for action in judge.step(now, &saw) {
            keeper.on_action(moment(now), &action);
            match action {
                Action::Probe { probe, target } => {
                    let answered = Observation::EchoAnswered { probe, target, rtt_us: 20_000 };
                    coming.push_back((now + Span::millis(20), answered));
                }
                Action::Publish(message) => {
                    let at = now + Span::millis(40);
                    coming.push_back((at, Observation::Acknowledged { number: message.number }));
                    if let Message::Callback(c) = &message.message
                        && c.state == CallbackState::Requested
                    {
                        let receipt = Receipt {
                            callback_id: c.callback_id.clone(),
                            state: ReceiptState::Received,
                            reason: None,
                            satisfaction_score: None,
                            issue_types: Vec::new(),
                            resolved_by: None,
                        };
                        coming.push_back((now + Span::millis(500), Observation::ReceiptCame(receipt)));
                    }
                }
                _ => {}
            }
        }
    }
    keeper
}

/// Speed was sold, and there is one server. Slow probing keeps the traces small.
fn promised() -> Value {
    json!({
        "probe": {
            "targets": [{ "host": "198.51.100.10", "role": "anchor" }], "interval": "1 min", "gateway": false,
        },
        "promise": { "download": { "normal": "90 Mbit/s" } },
        "speed": { "servers": ["http://speed.example/"], "per_day": 48 },
        "callback": { "receipt": "1 h" },
    })
}

/// Plays hours with as few observations as the judge needs: echoes are answered, the counters are read when a test is
/// due (the customer's Mbit/s in and out), tests find the line at so many thousandths of 90 Mbit/s.
fn sparsely(config: &Config, until: Span, customer: (u64, u64), line: fn(Span) -> u64) -> Keeper {
    let mut keeper = Keeper::default();
    let mut judge = Judge::new(config.clone());
    let began = Span::hours(1);
    let mut now = Mono(began.0);
    let started = Started {
        boot_id: "boot-1".into(),
        uptime: began,
        memory: Memory::None,
        watermark: 0,
        beat: None,
        taken: None,
    };
    let link = Link {
        present: true,
        admin_up: true,
        carrier: true,
        addresses: vec!["198.51.100.77".parse().unwrap()],
        gateway: None,
        default_route: true,
        speed: None,
        half_duplex: false,
    };
    // 2026-11-19T23:35:00Z: all that follows the first test lies in the first quarter of a day.
    let clock = Observation::ClockSet { wall: Wall(1_795_131_300_000), synced: true };
    let mut coming = VecDeque::from([
        (now, Observation::Started(started)),
        (now, clock),
        (now, Observation::LinkSeen(link)),
    ]);
    let moment = |now: Mono| Moment { world: Span(now.0 - began.0), agent: now };
    keeper.on_start(moment(now), None);
    let mut counted = now;
    while now.0 - began.0 < until.0 {
        let (at, saw) = match coming.pop_front() {
            Some(next) => next,
            None => {
                // Ticks may be late, but not so late that nobody watched.
                let next = now + Span::millis(4_900);
                let due =
                    judge.status(now).promise.and_then(|p| p.next_test_ms).is_some_and(|ms| ms < 15_000);
                if due {
                    let over = next.since(counted).min(Span::millis(4_900));
                    counted = next;
                    let packets = |mbit: u64| mbit * over.0 / 12;
                    let windows = Counted {
                        over,
                        rx_bytes: packets(customer.0) * 1_514,
                        tx_bytes: packets(customer.1) * 1_514,
                        rx_unicast: packets(customer.0),
                        tx_packets: packets(customer.1),
                        ..Counted::default()
                    };
                    (next, Observation::Counted(windows))
                } else {
                    counted = next;
                    (next, Observation::Ticked)
                }
            }
        };
        now = at.max(now);
        keeper.on_observation(moment(now), &saw);
        for action in judge.step(now, &saw) {
            keeper.on_action(moment(now), &action);
            match action {
                Action::Probe { probe, target } => {
                    coming.push_back((
                        now + Span::millis(20),
                        Observation::EchoAnswered { probe, target, rtt_us: 20_000 },
                    ));
                }
                Action::MeasureSpeed(order) => {
                    let rate = Rate(90_000 * line(moment(now).world));
                    let enough = order.enough.is_some_and(|enough| rate >= enough);
                    let took = if enough { Span::seconds(3) } else { order.seconds_most };
                    let figures = Figures {
                        line: rate,
                        line_mean: rate,
                        own: rate,
                        customer: Rate(0),
                        own_payload: Rate(rate.0 / 100 * 96),
                        spread: Permille(20),
                        confidence: Confidence::High,
                        limit: Limit::Line,
                        stopped_early: enough,
                        connections: 4,
                        idle_rtt_us: Some(20_000),
                        loaded_rtt_us: Some(80_000),
                        rpm: Some(750),
                    };
                    let ended = SpeedEnded {
                        test: order.test,
                        server: order.server,
                        direction: order.direction,
                        cost: Bytes(rate.0 / 8_000 * took.0),
                        took,
                        outcome: SpeedOutcome::Measured(figures),
                    };
                    // Time passes in steps below the gap that would make the line unknown.
                    for s in (4_000..took.0).step_by(4_000) {
                        coming.push_back((now + Span(s), Observation::Ticked));
                    }
                    coming.push_back((now + took, Observation::SpeedEnded(ended)));
                }
                Action::Publish(message) => {
                    let at = now + Span::millis(40);
                    coming.push_back((at, Observation::Acknowledged { number: message.number }));
                    if let Message::Callback(c) = &message.message
                        && c.state == CallbackState::Requested
                    {
                        let receipt = Receipt {
                            callback_id: c.callback_id.clone(),
                            state: ReceiptState::Received,
                            reason: None,
                            satisfaction_score: None,
                            issue_types: Vec::new(),
                            resolved_by: None,
                        };
                        coming.push_back((now + Span::millis(500), Observation::ReceiptCame(receipt)));
                    }
                }
                _ => {}
            }
        }
    }
    keeper
}

fn folder(name: &str) -> PathBuf {
    repository_path("tests/golden").join(name)
}

fn line(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap() + "\n"
}

fn write(scenario: &Scenario) {
    let written = tree(scenario.config.clone());
    let config = config(scenario.config.clone());
    let keeper = match scenario.play {
        Some(play) => play(&config, scenario.until),
        None => {
            let mut keeper = Keeper::default();
            run(&config, &scenario.world, 1, scenario.until, &mut keeper);
            keeper
        }
    };
    let mut trace = String::new();
    for (snapshot, entries) in keeper.lives {
        trace += &line(&Header {
            schema: TRACE_SCHEMA.into(),
            version: "golden".into(),
            config: written.clone(),
            snapshot,
        });
        trace.extend(entries.iter().map(line));
    }
    assert!(trace.len() <= LARGEST, "{}: a trace of {} bytes", scenario.name, trace.len());
    let actions: String = keeper.done.iter().map(line).collect();
    let folder = folder(scenario.name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("why.md"), format!("{}\n", scenario.why)).unwrap();
    fs::write(folder.join("config.json"), serde_json::to_string_pretty(&written).unwrap() + "\n").unwrap();
    fs::write(folder.join("trace.jsonl"), trace).unwrap();
    fs::write(folder.join("actions.jsonl"), actions).unwrap();
}

/// The first line in which they differ, with what stands before it.
fn difference(wanted: &[&str], got: &[String]) -> Option<String> {
    let at = (0..wanted.len().max(got.len()))
        .find(|&i| wanted.get(i).copied() != got.get(i).map(String::as_str))?;
    let mut text = String::new();
    for (i, same) in wanted.iter().enumerate().take(at).skip(at.saturating_sub(3)) {
        let _ = writeln!(text, "  {:>5}   {same}", i + 1);
    }
    let _ = writeln!(text, "  {:>5} - {}", at + 1, wanted.get(at).unwrap_or(&"(the end)"));
    let _ = writeln!(text, "  {:>5} + {}", at + 1, got.get(at).map_or("(the end)", |g| g));
    Some(text)
}

fn check(scenario: &Scenario) {
    let folder = folder(scenario.name);
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).unwrap_or_else(|e| {
            panic!("{}: {e}; LINEKEEPER_GOLDEN=write makes it", path.display());
        })
    };
    let trace = read("trace.jsonl");
    assert!(trace.len() <= LARGEST, "a trace of {} bytes", trace.len());
    let config: Value = serde_json::from_str(&read("config.json")).unwrap();
    let header: Header = serde_json::from_str(trace.lines().next().unwrap()).unwrap();
    assert_eq!(header.config, config, "{}: config.json is not the trace's", scenario.name);
    assert_eq!(read("why.md").trim(), scenario.why);
    let mut replay = Replay::new();
    let mut done: Vec<Done> = Vec::new();
    for text in trace.lines() {
        match replay.process_line(text) {
            Ok(more) => done.extend(more),
            Err(fault) => panic!("{}: trace.jsonl: {fault}", scenario.name),
        }
    }
    let got: Vec<String> = done.iter().map(|d| line(d).trim_end().to_string()).collect();
    let wanted = read("actions.jsonl");
    if let Some(difference) = difference(&wanted.lines().collect::<Vec<_>>(), &got) {
        panic!("{}: {}\n{difference}", scenario.name, scenario.why);
    }
    let messages = done
        .iter()
        .filter_map(|d| match &d.action {
            Action::Publish(c) => Some(c.message.clone()),
            _ => None,
        })
        .collect();
    (scenario.essence)(&Told { messages, done });
}

#[test]
fn decisions_match_the_golden_files() {
    let writes = std::env::var("LINEKEEPER_GOLDEN").is_ok_and(|v| v == "write");
    for scenario in scenarios() {
        if writes {
            write(&scenario);
        }
        check(&scenario);
    }
}

#[test]
fn every_golden_folder_has_a_scenario() {
    let known: Vec<&str> = scenarios().iter().map(|s| s.name).collect();
    for entry in fs::read_dir(folder("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name.as_str()), "tests/golden/{name} has no scenario");
    }
}

#[test]
fn changed_decision_is_reported_with_its_position() {
    let told = difference(&["a", "b", "c"], &["a".into(), "x".into(), "c".into()]).unwrap();
    assert!(told.contains("2 - b") && told.contains("2 + x") && told.contains("1   a"), "{told}");
    assert_eq!(difference(&["a"], &["a".into()]), None);
}
