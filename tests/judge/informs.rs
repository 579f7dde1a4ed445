//! Informational incidents: unusual usage and gateway warnings. They are published once, request a callback only where
//! configured, and never interfere with the line's incident.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::{Keeper, config};
use linekeeper_contract::message::{
    Callback, CallbackState, Dimension, Event, EventName, Finding, Message, Severity,
};
use linekeeper_contract::units::{Mono, Rate, Span};
use linekeeper_contract::vocabulary::Reading;
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::check::DeviceSeen;
use linekeeper_judge::observation::{Counted, Link, Memory, Observation, Receipt, ReceiptState, Started};
use linekeeper_judge::usage::Usual;
use linekeeper_proving::simulate::{Simulation, Trouble, World};
use serde_json::json;

fn started(boot: u32, memory: Memory) -> Observation {
    Observation::Started(Started {
        boot_id: format!("boot-{boot}"),
        uptime: Span::seconds(10),
        memory,
        watermark: 0,
        beat: None,
        taken: None,
    })
}

/// A gateway that only reports its health, once a minute.
struct Gateway {
    judge: Judge,
    now: Mono,
    messages: Vec<Message>,
    notes: Vec<String>,
}

impl Gateway {
    fn new(over: serde_json::Value) -> Gateway {
        let judge = Judge::new(config(over));
        let mut gateway = Gateway { judge, now: Mono(60_000), messages: Vec::new(), notes: Vec::new() };
        gateway.step(&started(1, Memory::None));
        gateway
    }

    fn step(&mut self, saw: &Observation) {
        for action in self.judge.step(self.now, saw) {
            match action {
                Action::Publish(critical) => self.messages.push(critical.message),
                Action::Note { text, .. } => self.notes.push(text),
                _ => {}
            }
        }
    }

    /// So many readings, a minute apart.
    fn reads(&mut self, times: u32, seen: &DeviceSeen) {
        for _ in 0..times {
            self.now = self.now + Span::minutes(1);
            self.step(&Observation::DeviceSeen(seen.clone()));
        }
    }

    fn events(&self) -> Vec<&Event> {
        let events = self.messages.iter().filter_map(|m| match m {
            Message::Event(e) => Some(&**e),
            Message::Callback(_) | Message::CommandResult(_) => None,
        });
        events.filter(|e| e.incident.about.is_some()).collect()
    }

    fn told(&self) -> Vec<(EventName, &str)> {
        self.events().iter().map(|e| (e.event, e.incident.about.as_deref().unwrap())).collect()
    }

    fn callbacks(&self) -> Vec<&Callback> {
        let callbacks = self.messages.iter().filter_map(|m| match m {
            Message::Callback(c) => Some(&**c),
            Message::Event(_) | Message::CommandResult(_) => None,
        });
        callbacks.collect()
    }

    fn states(&self) -> Vec<CallbackState> {
        self.callbacks().iter().map(|c| c.state).collect()
    }
}

fn flash(share: u16) -> DeviceSeen {
    DeviceSeen { flash_free: Some(share), ..DeviceSeen::default() }
}

#[test]
fn warning_is_published_once_and_requests_no_callback_by_default() {
    use EventName::{IncidentClosed, IncidentOpened};
    let mut gateway = Gateway::new(json!({}));
    gateway.reads(60, &flash(40));
    gateway.reads(1, &flash(200));
    assert_eq!(gateway.told(), [(IncidentOpened, "flash"), (IncidentClosed, "flash")]);
    assert_eq!(gateway.callbacks(), Vec::<&Callback>::new());
    let event = gateway.events()[0];
    assert_eq!((event.incident.finding, event.incident.fault_domain.as_str()), (Finding::Device, "device"));
    assert!(event.why.contains("4 % of the flash are free"), "{}", event.why);
    // The same again within six hours is for log and status.
    gateway.reads(10, &flash(40));
    gateway.reads(1, &flash(200));
    assert_eq!(gateway.told().len(), 2);
    assert_eq!(gateway.notes.iter().filter(|n| *n == "this gateway: 4 % of the flash are free").count(), 2);
    gateway.reads(360, &flash(200));
    gateway.reads(10, &flash(40));
    assert_eq!(gateway.told().len(), 3);
    assert_eq!(gateway.judge.status(gateway.now).warnings.len(), 1);
}

#[test]
fn configured_warning_requests_one_callback_and_withdraws_it_when_over() {
    use CallbackState::{Received, Requested, Withdrawn};
    for (language, words) in [
        ("en", "The gateway's storage is nearly full: only 4 % is free."),
        ("zh-CN", "网关存储空间快满了：只剩 4 %。"),
    ] {
        let device = json!({ "id": "gw-0001", "customer": "CUST1001", "language": language });
        let mut gateway = Gateway::new(json!({ "device": device, "callback": { "warnings": ["flash"] } }));
        gateway.reads(30, &flash(40));
        assert_eq!(gateway.states(), [Requested]);
        let call = gateway.callbacks()[0].clone();
        assert_eq!((call.trigger.dimension, call.trigger.name.as_str()), (Dimension::Data, "device_warning"));
        assert_eq!((call.severity, call.issues.len()), (Severity::Low, 1));
        assert_eq!((call.issues[0].kind.as_str(), call.issues[0].code.as_str()), ("device", "device.flash"));
        assert_eq!(call.issues[0].description, words);
        assert_eq!(call.evidence.finding, Some(Finding::Device));
        assert_eq!(call.evidence.facts[0].detail, "4 % of the flash are free");
        assert!(call.evidence.rule.contains("5 readings in a row"), "{}", call.evidence.rule);
        assert_eq!(call.incident_id.as_deref(), Some(gateway.events()[0].incident.id.as_str()));
        let receipt = Receipt {
            callback_id: call.callback_id,
            state: ReceiptState::Received,
            reason: None,
            satisfaction_score: None,
            issue_types: Vec::new(),
            resolved_by: None,
        };
        gateway.step(&Observation::ReceiptCame(receipt));
        gateway.reads(1, &flash(200));
        assert_eq!(gateway.states(), [Requested, Received, Withdrawn]);
        let ended = gateway.callbacks()[2].clone();
        assert_eq!((ended.resolution.by.as_deref(), ended.severity), (Some("itself"), Severity::Low));
    }
}

#[test]
fn open_warning_does_not_delay_a_customer_request() {
    let mut gateway = Gateway::new(json!({ "callback": { "warnings": ["flash", "cpu", "memory"] } }));
    gateway.reads(10, &flash(40));
    gateway.step(&Observation::CallbackAsked { reason: "the till is offline".into() });
    let triggers =
        |g: &Gateway| -> Vec<String> { g.callbacks().iter().map(|c| c.trigger.name.clone()).collect() };
    assert_eq!(triggers(&gateway), ["device_warning", "customer"]);
    let asked = gateway.callbacks()[1].callback_id.clone();
    assert_eq!(
        gateway.judge.asked_callback(),
        Some(asked.as_str()),
        "that is the one the customer is told of"
    );
    // Two at a time: the places are for incidents.
    let bad = DeviceSeen { cpu: Some(1_000), memory_free: Some(10), ..flash(40) };
    gateway.reads(10, &bad);
    assert_eq!(triggers(&gateway).len(), 3);
    assert_eq!(gateway.told().len(), 3, "the third is told all the same");
}

#[test]
fn slow_port_and_frequent_restarts_raise_warnings() {
    let mut gateway =
        Gateway::new(json!({ "callback": { "warnings": ["port_errors", "port_speed", "restarts"] } }));
    let port = |mbit: u64| Link {
        present: true,
        admin_up: true,
        carrier: true,
        addresses: Vec::new(),
        gateway: None,
        default_route: false,
        speed: Some(Rate(mbit * 1_000_000)),
        half_duplex: false,
    };
    gateway.step(&Observation::LinkSeen(port(1_000)));
    gateway.step(&Observation::LinkSeen(port(100)));
    for _ in 0..5 {
        let counted =
            Counted { over: Span::seconds(60), rx_unicast: 5_000, rx_errors: 100, ..Counted::default() };
        gateway.step(&Observation::Counted(counted));
        gateway.reads(1, &DeviceSeen::default());
    }
    let about = |g: &Gateway| -> Vec<String> { g.told().iter().map(|t| t.1.to_string()).collect() };
    assert_eq!(about(&gateway), ["port_errors", "port_speed"]);
    assert!(gateway.events().iter().all(|e| e.incident.fault_domain.as_str() == "link"));
    let said = gateway.callbacks()[1].issues[0].description.clone();
    assert!(said.contains("100 Mbit/s / 1 Gbit/s"), "{said}");
    // Three power cuts in a day, over snapshots.
    for boot in 2..=4 {
        let snapshot = gateway.judge.snapshot().unwrap();
        gateway.judge = Judge::restore(gateway.judge.config().clone(), &snapshot).unwrap();
        gateway.now = gateway.now + Span::hours(2);
        gateway.step(&started(boot, Memory::Restored));
        gateway.reads(6, &DeviceSeen::default());
        assert_eq!(about(&gateway).len(), if boot == 4 { 3 } else { 2 }, "boot {boot}");
    }
    assert_eq!(about(&gateway)[2], "restarts");
    gateway.now = gateway.now + Span::days(1);
    gateway.reads(1, &DeviceSeen::default());
    assert_eq!(gateway.told().last().unwrap(), &(EventName::IncidentClosed, "restarts"));
}

fn half_duplex(half: bool) -> Link {
    Link {
        present: true,
        carrier: true,
        speed: Some(Rate(100_000_000)),
        half_duplex: half,
        ..Link::default()
    }
}

#[test]
fn half_duplex_warning_lasts_until_the_port_is_full_duplex() {
    let mut gateway = Gateway::new(json!({}));
    let warnings = |g: &Gateway| -> Vec<String> {
        g.judge.status(g.now).warnings.into_iter().map(|w| format!("{}: {}", w.name, w.text)).collect()
    };
    // Of a port that is gone nothing is known, and one that renegotiates for a minute is no fault.
    gateway.step(&Observation::LinkSeen(Link { carrier: false, ..half_duplex(true) }));
    gateway.reads(6, &DeviceSeen::default());
    gateway.step(&Observation::LinkSeen(half_duplex(true)));
    gateway.reads(1, &DeviceSeen::default());
    gateway.step(&Observation::LinkSeen(half_duplex(false)));
    gateway.reads(1, &DeviceSeen::default());
    assert_eq!(warnings(&gateway), [""; 0]);
    gateway.step(&Observation::LinkSeen(half_duplex(true)));
    gateway.reads(5, &DeviceSeen::default());
    assert_eq!(warnings(&gateway), ["port_duplex: the WAN port negotiated half duplex"]);
    assert_eq!(gateway.told(), [(EventName::IncidentOpened, "port_duplex")]);
    assert_eq!(gateway.events()[0].incident.fault_domain.as_str(), "link");
    assert!(gateway.callbacks().is_empty(), "only where `callback.warnings` says so");
    gateway.step(&Observation::LinkSeen(half_duplex(false)));
    gateway.reads(1, &DeviceSeen::default());
    assert_eq!(warnings(&gateway), [""; 0]);
    assert_eq!(gateway.told().last().unwrap(), &(EventName::IncidentClosed, "port_duplex"));
}

#[test]
fn every_warning_has_texts_in_both_languages_and_can_request_a_callback() {
    for reading in Reading::ALL {
        for language in ["en", "zh-CN"] {
            let device = json!({ "id": "gw-0001", "language": language });
            let mut gateway =
                Gateway::new(json!({ "device": device, "callback": { "warnings": [reading.as_str()] } }));
            let bad = DeviceSeen {
                cpu: Some(1_000),
                load: None,
                memory_free: Some(0),
                flash_free: Some(0),
                temperature: Some(120_000),
                conntrack: Some(1_000),
            };
            if reading == Reading::PortDuplex {
                gateway.step(&Observation::LinkSeen(half_duplex(true)));
            }
            let readings = if matches!(reading, Reading::PortErrors | Reading::PortSpeed | Reading::Restarts)
            {
                // Seen in the test above.
                continue;
            } else {
                5
            };
            gateway.reads(readings, &bad);
            let calls = gateway.callbacks();
            assert_eq!(calls.len(), 1, "{reading:?}");
            let said = &calls[0].issues[0].description;
            let chinese = said.chars().any(|c| ('\u{4e00}'..'\u{9fff}').contains(&c));
            assert_eq!(chinese, language == "zh-CN", "{said}");
            assert_eq!(calls[0].issues[0].code, format!("device.{}", reading.as_str()));
        }
    }
}

/// The learned baseline is stored beside the snapshot, and a start that reads it keeps it.
#[test]
fn usage_baseline_survives_restarts_in_the_handover() {
    let usual: Usual = serde_json::from_value(json!({ "weeks": [
        { "week": 2966, "received": "42".repeat(168), "sent": "42".repeat(168) },
    ] }))
    .unwrap();
    let mut gateway = Gateway::new(json!({}));
    gateway.judge.restore_usual(usual.clone());
    let snapshot = gateway.judge.snapshot().unwrap();
    assert!(!snapshot.to_string().contains("4242"), "it is written apart");
    gateway.judge = Judge::restore(gateway.judge.config().clone(), &snapshot).unwrap();
    gateway.judge.restore_usual(usual.clone());
    gateway.step(&started(2, Memory::Restored));
    assert_eq!(*gateway.judge.usual(), usual, "also in the very step whose end saves it");
    // A trace begins with all of it.
    let whole = gateway.judge.full_snapshot().unwrap();
    let replayed = Judge::restore(gateway.judge.config().clone(), &whole).unwrap();
    assert_eq!(*replayed.usual(), usual);
}

/// A shop with office hours, six weeks of it, whose night is disturbed once.
fn shop(loud: bool) -> World {
    let (day, hour) = (Span::days(1).0, Span::hours(1).0);
    let mut world = World::quiet();
    // It begins on a Friday, at midnight.
    for n in 0..42_u64 {
        if n % 7 == 1 || n % 7 == 2 {
            continue;
        }
        world = world.with_trouble(Span(n * day + 9 * hour), Span(9 * hour), Trouble::Uses(Rate(10_000_000)));
    }
    // Memory is kept over both.
    world = world.with_trouble(Span(20 * day + 3 * hour), Span::minutes(10), Trouble::PowerCut).with_trouble(
        Span(33 * day + 4 * hour),
        Span::seconds(2),
        Trouble::Killed(Memory::Restored),
    );
    if loud {
        world = world
            // A big download of ten minutes, and an hour of one, and the same beside an outage.
            .with_trouble(Span(35 * day + 2 * hour), Span::minutes(10), Trouble::Uses(Rate(50_000_000)))
            .with_trouble(Span(36 * day + 2 * hour), Span::hours(1), Trouble::Uses(Rate(50_000_000)))
            .with_trouble(Span(39 * day + 2 * hour), Span::minutes(100), Trouble::Uses(Rate(50_000_000)));
        for n in 0..10 {
            let at = Span(39 * day + 2 * hour + n * 600_000);
            world = world.with_trouble(at, Span::minutes(2), Trouble::Access);
        }
    }
    world
}

fn informed(world: &World) -> Vec<(EventName, Option<String>, u64)> {
    let config = config(json!({ "remedies": { "ladder": [] } }));
    let mut keeper = Keeper::default();
    let mut simulation = Simulation::new(&config, world, 1).without_deliveries().skipping_quiet_time();
    struct Only<'a>(&'a mut Keeper);
    impl linekeeper_proving::simulate::Spectator for Only<'_> {
        fn on_action(&mut self, at: linekeeper_proving::simulate::Moment, action: &Action) {
            if matches!(action, Action::Publish(_)) {
                self.0.on_action(at, action);
            }
        }
    }
    simulation.run(Span::days(42), &mut Only(&mut keeper));
    let event = |(at, action): &(linekeeper_proving::simulate::Moment, Action)| match action {
        Action::Publish(m) => match &m.message {
            Message::Event(e) if e.incident.finding == Finding::Usage => {
                Some((e.event, e.incident.about.clone(), at.world.0 / 60_000))
            }
            _ => None,
        },
        _ => None,
    };
    assert!(
        keeper.acted.iter().all(|(_, action)| {
            !matches!(action, Action::Publish(m) if matches!(&m.message, Message::Callback(c) if c.severity == Severity::Low))
        }),
        "it informs and calls nobody"
    );
    keeper.acted.iter().filter_map(event).collect()
}

#[test]
fn six_weeks_of_shop_traffic_with_a_power_cut_raise_no_warning() {
    assert_eq!(informed(&shop(false)), []);
}

#[test]
fn unusual_hour_at_night_warns_once_and_ten_minutes_or_an_outage_do_not() {
    let told = informed(&shop(true));
    let night = 36 * 1_440 + 2 * 60;
    // What comes in is acknowledged: that is far more than usual too.
    let names: Vec<(EventName, Option<&str>)> = told.iter().map(|t| (t.0, t.1.as_deref())).collect();
    use EventName::{IncidentClosed, IncidentOpened};
    let (received, sent) = (Some("much_received"), Some("much_sent"));
    let wanted = [
        (IncidentOpened, received),
        (IncidentOpened, sent),
        (IncidentClosed, received),
        (IncidentClosed, sent),
    ];
    assert_eq!(names, wanted);
    assert!(told[..2].iter().all(|t| (night + 20..=night + 31).contains(&t.2)), "{told:?}");
    assert!(told[2..].iter().all(|t| (night + 80..=night + 100).contains(&t.2)), "{told:?}");
}
