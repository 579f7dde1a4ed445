//! The platform's commands in the judge: a command id is executed once, whatever the broker, the clock, the line and the
//! gateway do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::config;
use linekeeper_contract::message::{
    Arguments, Command, CommandName, CommandOutcome, CommandResult, CommandState, Dimension, Message, Reason,
};
use linekeeper_contract::units::{Bytes, LocalTime, Mono, Permille, Rate, Span, Wall};
use linekeeper_contract::vocabulary::{Limit, Rung, SpeedFailure};
use linekeeper_judge::Judge;
use linekeeper_judge::action::{Action, Repair};
use linekeeper_judge::check::{Ask, CheckOrder, Checked, Reply, Said};
use linekeeper_judge::checks::ASKED_MOST;
use linekeeper_judge::command::{JOURNAL, RATE, RATE_WINDOW, VALID_DEFAULT};
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::{
    CommandRefused, Commanded, Counted, Link, Memory, Observation, Part, ProbeId, RemedyResult, Signature,
    Started, TargetId,
};
use linekeeper_judge::outage::LineState;
use linekeeper_judge::speed::{Confidence, Figures, SpeedEnded, SpeedOrder, SpeedOutcome};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ALL: [&str; 6] = ["check", "speedtest", "diagnose", "remedy", "reboot", "programme"];
/// 2026-11-20T02:32:07Z.
const DATE: i64 = 1_795_141_927_000;

/// A gateway whose line answers as long as `answers` says so.
struct Gateway {
    config: Config,
    judge: Judge,
    now: u64,
    answers: bool,
    boots: u32,
    flash: Option<Value>,
    results: Vec<CommandResult>,
    /// What was asked for, each once: without a receipt it is asked again by the same id.
    callbacks: Vec<(Dimension, String)>,
    called: BTreeSet<String>,
    /// Checks that the judge ordered.
    checks: Vec<CheckOrder>,
    incidents: usize,
    repairs: Vec<Repair>,
    tests: Vec<SpeedOrder>,
    asked: Vec<(ProbeId, TargetId)>,
}

fn up() -> Link {
    Link {
        present: true,
        admin_up: true,
        carrier: true,
        addresses: vec!["198.51.100.7".parse().unwrap()],
        gateway: Some("198.51.100.1".parse().unwrap()),
        default_route: true,
        speed: None,
        half_duplex: false,
    }
}

fn all(over: Value) -> Config {
    let mut tree = json!({
        "commands": { "allow": ALL },
        "remedies": { "ladder": ["renew", "restart-interface"] },
    });
    for (key, value) in over.as_object().unwrap() {
        tree[key] = value.clone();
    }
    config(tree)
}

impl Gateway {
    fn new(config: Config) -> Gateway {
        let mut gateway = Gateway {
            judge: Judge::new(config.clone()),
            config,
            now: 1_000,
            answers: true,
            boots: 0,
            flash: None,
            results: Vec::new(),
            callbacks: Vec::new(),
            called: BTreeSet::new(),
            incidents: 0,
            repairs: Vec::new(),
            tests: Vec::new(),
            asked: Vec::new(),
            checks: Vec::new(),
        };
        gateway.boot(Span::seconds(600));
        gateway
    }

    /// With a line that has been up long enough for speed tests, and trusted civil time.
    fn settled(config: Config) -> Gateway {
        let mut gateway = Gateway::new(config);
        gateway.clock(DATE);
        gateway.pass(Span::minutes(8));
        assert_eq!(gateway.judge.line_state(), LineState::Up);
        gateway
    }

    fn clock(&mut self, wall: i64) {
        self.see(Observation::ClockSet { wall: Wall(wall), synced: true });
    }

    fn see(&mut self, saw: Observation) {
        let actions = self.judge.step(Mono(self.now), &saw);
        let saved = matches!(actions.first(), Some(Action::Save));
        if saved {
            self.flash = Some(self.judge.snapshot().unwrap());
        }
        for action in actions {
            match action {
                Action::Publish(critical) => {
                    assert!(saved, "a reply is on flash before it is published");
                    match critical.message {
                        Message::CommandResult(result) => self.results.push(*result),
                        Message::Callback(c) => {
                            if !self.called.insert(c.callback_id.clone()) {
                                continue;
                            }
                            self.callbacks.push((c.trigger.dimension, c.trigger.name.clone()));
                        }
                        Message::Event(e) => {
                            self.incidents += usize::from(
                                e.event == linekeeper_contract::message::EventName::IncidentOpened,
                            );
                        }
                    }
                }
                Action::Repair(repair) => {
                    assert!(saved, "an action is on flash before it is taken");
                    self.repairs.push(repair);
                }
                Action::MeasureSpeed(order) => self.tests.push(order),
                Action::Probe { probe, target } => self.asked.push((probe, target)),
                Action::Check(order) => self.checks.push(order),
                _ => {}
            }
        }
    }

    /// A new process after a reboot.
    fn boot(&mut self, uptime: Span) {
        self.boots += 1;
        self.start(format!("boot-{}", self.boots), uptime);
    }

    /// A new process that resumes from flash.
    fn start(&mut self, boot_id: String, uptime: Span) {
        self.asked.clear();
        let memory = if self.flash.is_some() { Memory::Restored } else { Memory::None };
        self.judge = match &self.flash {
            Some(snapshot) => Judge::restore(self.config.clone(), snapshot).unwrap(),
            None => Judge::new(self.config.clone()),
        };
        self.now += 1_000;
        self.see(Observation::Started(Started {
            boot_id,
            uptime,
            memory,
            watermark: 0,
            beat: None,
            taken: None,
        }));
        self.see(Observation::LinkSeen(up()));
    }

    fn restart(&mut self) {
        self.start(format!("boot-{}", self.boots), Span::seconds(900));
    }

    fn pass(&mut self, span: Span) {
        let end = self.now + span.0;
        let mut counted = self.now;
        while self.now < end {
            self.now = self.judge.next_deadline().0.max(self.now + 1).min(end).min(counted + 1_000);
            if self.now >= counted + 1_000 {
                counted = self.now;
                self.see(Observation::Counted(Counted {
                    over: Span::seconds(1),
                    rx_bytes: 300,
                    tx_bytes: 300,
                    rx_unicast: 3,
                    rx_proof: None,
                    tx_packets: 3,
                    rx_errors: 0,
                    reset: false,
                }));
            }
            self.see(Observation::Ticked);
            for (probe, target) in std::mem::take(&mut self.asked) {
                if self.answers {
                    self.see(Observation::EchoAnswered { probe, target, rtt_us: 9_000 });
                } else {
                    self.see(Observation::EchoLost { probe, target });
                }
            }
        }
    }

    fn order(&mut self, command: Commanded) -> Vec<CommandResult> {
        let before = self.results.len();
        self.see(Observation::Commanded(Box::new(command)));
        self.results[before..].to_vec()
    }

    /// Answers the checks that were ordered.
    fn reply(&mut self, said: impl Fn(Ask) -> Said) {
        for order in std::mem::take(&mut self.checks) {
            let reply = Reply {
                whom: "198.51.100.1".into(),
                said: said(order.ask),
                took_us: Some(900),
                independent: false,
                detail: "as it is".into(),
            };
            self.now += 10;
            self.see(Observation::Checked(Checked {
                check: order.check,
                ask: order.ask,
                replies: vec![reply],
            }));
        }
    }

    fn states(&self, id: &str) -> Vec<CommandState> {
        self.results.iter().filter(|r| r.command_id == id).map(|r| r.state).collect()
    }

    fn last(&self) -> &CommandResult {
        self.results.last().unwrap()
    }
}

fn command(id: &str, name: CommandName) -> Commanded {
    Commanded {
        command: Command {
            schema: None,
            id: id.into(),
            device_id: None,
            command: name,
            arguments: Arguments::default(),
            issued: None,
            expires: None,
            valid_s: None,
            signature: None,
        },
        signature: Signature::Unchecked,
        retained: false,
        broker_left: None,
        correlation: None,
    }
}

fn remedy(id: &str, rung: Rung) -> Commanded {
    let mut command = command(id, CommandName::Remedy);
    command.command.arguments.rung = Some(rung);
    command
}

fn utc(wall: i64) -> Option<LocalTime> {
    Some(LocalTime { wall: Wall(wall), offset_minutes: 0 })
}

use CommandState::{Accepted, Done, Expired, Refused};

#[test]
fn check_command_returns_the_line_state_at_once() {
    let mut gateway = Gateway::settled(all(json!({})));
    let mut check = command("C1", CommandName::Check);
    check.correlation = Some("0aff".into());
    let said = gateway.order(check);
    assert_eq!(said.len(), 1);
    let result = &said[0];
    assert_eq!((result.state, result.outcome), (Done, Some(CommandOutcome::Ok)));
    assert_eq!(result.correlation.as_deref(), Some("0aff"), "it is given back");
    assert_eq!(result.result["line"], "up");
    assert_eq!(result.time.boot_id, "boot-1");
}

/// What a diagnosis says of a layer.
fn layer(result: &CommandResult, name: &str) -> String {
    let rows = result.result["layers"].as_array().unwrap();
    let row = rows.iter().find(|row| row["layer"] == name);
    row.map_or("absent".into(), |row| row["said"].as_str().unwrap().to_string())
}

#[test]
fn diagnosis_checks_the_layers_and_returns_their_results() {
    let mut gateway = Gateway::settled(all(json!({})));
    gateway.checks.clear();
    let said = gateway.order(command("C1", CommandName::Diagnose));
    assert_eq!(gateway.states("C1"), [CommandState::Started]);
    assert_eq!(said[0].detail, "the layers are asked");
    let asked: Vec<Ask> = gateway.checks.iter().map(|c| c.ask).collect();
    assert_eq!(asked, [Ask::Neighbour, Ask::Dhcp, Ask::Name, Ask::Web]);
    // The same again while it is asked is not asked again.
    gateway.order(command("C1", CommandName::Diagnose));
    assert_eq!(gateway.checks.len(), 4);
    gateway.reply(|ask| if ask == Ask::Name { Said::Forged } else { Said::Answered });
    let done = gateway.last().clone();
    assert_eq!((done.state, done.outcome, done.detail.as_str()), (Done, Some(CommandOutcome::Ok), "asked"));
    for (name, wanted) in [
        ("link", "answered"),
        ("neighbour", "answered"),
        ("dhcp", "answered"),
        ("pppoe", "absent"),
        ("name", "forged"),
        ("web", "answered"),
        ("gateway", "answered"),
        ("anchor", "answered"),
        ("world", "answered"),
    ] {
        assert_eq!(layer(&done, name), wanted, "{name} in {}", done.result);
    }
    assert_eq!(done.result["fault_domain"], Value::Null, "once is not confirmed");
    let text = serde_json::to_string(&gateway.results).unwrap();
    assert!(!text.contains("198.51.100.7"), "the customer's address must not be in the result: {text}");
    // A second one just then goes by the same answers.
    gateway.order(command("C2", CommandName::Diagnose));
    assert_eq!(gateway.states("C2"), [Done]);
    assert_eq!(layer(gateway.last(), "dhcp"), "answered");
}

#[test]
fn diagnosis_times_out_and_rate_limits_access_checks() {
    let mut gateway = Gateway::settled(all(json!({})));
    gateway.checks.clear();
    gateway.order(command("C0", CommandName::Diagnose));
    gateway.pass(ASKED_MOST + Span::seconds(1));
    let done = gateway.last().clone();
    assert_eq!((done.command_id.as_str(), done.state), ("C0", Done));
    assert_eq!((layer(&done, "dhcp").as_str(), layer(&done, "link").as_str()), ("not_checked", "answered"));
    let mut access = gateway.checks.iter().filter(|c| c.ask == Ask::Dhcp).count();
    for n in 1..12 {
        gateway.pass(Span::minutes(3));
        gateway.checks.clear();
        gateway.order(command(&format!("C{n}"), CommandName::Diagnose));
        access += gateway.checks.iter().filter(|c| c.ask == Ask::Dhcp).count();
        gateway.reply(|_| Said::Answered);
        assert_eq!(gateway.last().state, Done);
    }
    assert_eq!(access, 3, "half of an hour's questions are kept for a break");
}

#[test]
fn diagnosis_interrupted_by_a_crash_reports_it() {
    let mut gateway = Gateway::settled(all(json!({})));
    gateway.order(command("C1", CommandName::Diagnose));
    assert_eq!(gateway.states("C1"), [CommandState::Started]);
    gateway.restart();
    let done = gateway.last().clone();
    assert_eq!((done.state, done.outcome), (Done, Some(CommandOutcome::Failed)));
    assert_eq!(done.reason, Some(Reason::Interrupted));
    // Without a carrier nobody can be asked: what is known is the answer.
    gateway.pass(Span::seconds(30));
    assert_eq!(gateway.judge.line_state(), LineState::Up);
    let mut link = up();
    link.carrier = false;
    gateway.see(Observation::LinkSeen(link));
    gateway.checks.clear();
    gateway.order(command("C2", CommandName::Diagnose));
    assert_eq!((gateway.last().state, gateway.checks.len()), (Done, 0));
    assert_eq!(layer(gateway.last(), "link"), "no_carrier");
    assert_eq!(gateway.last().result["fault_domain"], "link");
}

#[test]
fn diagnosis_of_a_broken_line_names_domain_and_facts() {
    let mut gateway = Gateway::settled(all(json!({})));
    gateway.answers = false;
    gateway.pass(Span::seconds(20));
    assert_eq!(gateway.judge.line_state(), LineState::Down);
    gateway.order(command("C1", CommandName::Diagnose));
    gateway.reply(|_| Said::Silent);
    gateway.pass(ASKED_MOST + Span::seconds(1));
    assert_eq!(*gateway.states("C1").last().unwrap(), Done);
    let found = &gateway.results.iter().rfind(|r| r.command_id == "C1").unwrap().result;
    assert!(found["fault_domain"].is_string() && found["facts"].as_array().unwrap().len() > 3, "{found}");
}

#[test]
fn repeated_command_id_gets_the_same_reply_across_restarts() {
    let mut gateway = Gateway::settled(all(json!({})));
    let first = gateway.order(remedy("C1", Rung::Renew));
    assert_eq!(gateway.states("C1"), [Accepted, CommandState::Started]);
    assert_eq!(first[1].started_boot_id.as_deref(), Some("boot-1"));
    // In course: again what was said last.
    let again = gateway.order(remedy("C1", Rung::Renew));
    assert_eq!(again, std::slice::from_ref(&first[1]));
    assert_eq!(gateway.repairs.len(), 1, "it is not done again");
    let remedy_id = gateway.repairs[0].remedy;
    gateway.see(Observation::RemedyEnded {
        remedy: remedy_id,
        result: RemedyResult::Done,
        detail: "asked".into(),
    });
    gateway.pass(Span::seconds(30));
    let done = gateway.last().clone();
    assert_eq!((done.state, done.outcome), (Done, Some(CommandOutcome::Ok)), "{done:?}");
    for life in ["same", "restart", "reboot"] {
        match life {
            "restart" => gateway.restart(),
            "reboot" => gateway.boot(Span::seconds(20)),
            _ => {}
        }
        let mut repeated = remedy("C1", Rung::Renew);
        repeated.correlation = Some("07".into());
        let mut again = gateway.order(repeated);
        assert_eq!(again[0].correlation.take().as_deref(), Some("07"), "its own correlation");
        assert_eq!(again, std::slice::from_ref(&done), "{life}");
    }
    gateway.pass(Span::minutes(1));
    assert_eq!(gateway.repairs.len(), 1);
}

#[test]
fn disallowed_or_invalid_command_is_refused_with_a_reason() {
    let mut gateway = Gateway::settled(config(json!({})));
    for name in [CommandName::Remedy, CommandName::Reboot] {
        let said = gateway.order(command(&format!("C-{}", name.as_str()), name));
        assert_eq!((said[0].state, said[0].reason), (Refused, Some(Reason::NotAllowed)), "by default");
    }
    let mut gateway = Gateway::settled(all(json!({})));
    let mut retained = command("R1", CommandName::Check);
    retained.retained = true;
    let mut other = command("R2", CommandName::Check);
    other.command.device_id = Some("gw-0002".into());
    let mut late = command("R3", CommandName::Programme);
    late.command.arguments.delay_s = Some(91 * 86_400);
    let mut forever = command("R4", CommandName::Check);
    forever.command.valid_s = Some(86_401);
    let rung = command("R5", CommandName::Remedy);
    let power = remedy("R6", Rung::PowerModem);
    for (order, reason, word) in [
        (retained, Reason::Retained, "without the retain flag"),
        (other, Reason::OtherDevice, "another gateway"),
        (late, Reason::Malformed, "delay_s"),
        (forever, Reason::Malformed, "longer than 1 d"),
        (rung, Reason::Malformed, "rung"),
        (power, Reason::NotAllowed, "remedies.ladder"),
    ] {
        let said = gateway.order(order.clone());
        assert_eq!((said[0].state, said[0].reason), (Refused, Some(reason)), "{said:?}");
        assert!(said[0].detail.contains(word), "{said:?}");
        assert_eq!(gateway.order(order), said, "again the same");
    }
    gateway.see(Observation::CommandRefused(CommandRefused {
        id: "R7".into(),
        correlation: Some("aa".into()),
        reason: Reason::TooLarge,
        detail: "it has 5000 bytes".into(),
    }));
    let last = gateway.last();
    assert_eq!((last.state, last.reason, last.command), (Refused, Some(Reason::TooLarge), None));
    assert_eq!(gateway.repairs.len() + gateway.tests.len(), 0);
}

#[test]
fn disruptive_commands_need_a_signature_when_a_key_is_set() {
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let mut gateway = Gateway::settled(all(json!({ "commands": { "allow": ALL, "key": key } })));
    let signed = |id: &str, name, signature| {
        let mut order = command(id, name);
        order.signature = signature;
        order.command.expires = utc(DATE + 3_600_000);
        order
    };
    for (order, state, reason) in [
        (signed("S1", CommandName::Reboot, Signature::Absent), Refused, Some(Reason::Unsigned)),
        (signed("S2", CommandName::Reboot, Signature::Bad), Refused, Some(Reason::BadSignature)),
        (signed("S3", CommandName::Check, Signature::Bad), Refused, Some(Reason::BadSignature)),
        (signed("S4", CommandName::Check, Signature::Absent), Done, None),
        (signed("S5", CommandName::Check, Signature::Good), Done, None),
    ] {
        let said = gateway.order(order);
        assert_eq!((said[0].state, said[0].reason), (state, reason), "{said:?}");
    }
    let mut endless = signed("S6", CommandName::Reboot, Signature::Good);
    endless.command.expires = None;
    assert_eq!(gateway.order(endless)[0].reason, Some(Reason::Malformed), "a signature without an end");
    assert!(gateway.repairs.is_empty());
    gateway.order(signed("S7", CommandName::Reboot, Signature::Good));
    assert_eq!(gateway.repairs.len(), 1);
}

#[test]
fn command_expires_by_date_when_the_clock_is_trusted() {
    let mut gateway = Gateway::settled(all(json!({})));
    let wall = DATE + 8 * 60_000;
    let mut past = command("E1", CommandName::Check);
    past.command.expires = utc(wall - 1);
    assert_eq!(gateway.order(past)[0].state, Expired);
    let mut by_length = command("E2", CommandName::Check);
    (by_length.command.issued, by_length.command.valid_s) = (utc(wall - 61_000), Some(60));
    assert_eq!(gateway.order(by_length)[0].state, Expired);
    let mut fresh = command("E3", CommandName::Check);
    (fresh.command.issued, fresh.command.valid_s) = (utc(wall - 50_000), Some(60));
    assert_eq!(gateway.order(fresh)[0].state, Done);
    let mut by_broker = command("E4", CommandName::Check);
    by_broker.broker_left = Some(Span::ZERO);
    assert_eq!(gateway.order(by_broker)[0].state, Expired);
}

#[test]
fn command_expires_by_age_until_the_clock_is_trusted() {
    // Remedies wait while another one runs: time enough for what is tested here.
    let busy = || {
        let mut gateway = Gateway::new(all(json!({})));
        gateway.see(Observation::ClockSet { wall: Wall(0), synced: false });
        gateway.pass(Span::minutes(3));
        gateway.order(remedy("BUSY", Rung::RestartInterface));
        assert_eq!(gateway.repairs.len(), 1);
        gateway
    };
    // In 1970 every expiry lies far ahead, and still it is not for ever.
    let mut gateway = busy();
    let mut order = remedy("A1", Rung::Renew);
    (order.command.issued, order.command.expires) = (utc(DATE), utc(DATE + 5_000));
    gateway.order(order);
    assert_eq!(gateway.states("A1"), [Accepted]);
    gateway.pass(Span::seconds(6));
    assert_eq!(gateway.states("A1"), [Accepted, Expired]);
    assert_eq!(gateway.repairs.len(), 1);
    // Neither issued nor length: the default.
    let mut gateway = busy();
    let mut order = remedy("A2", Rung::Renew);
    order.command.expires = utc(DATE + 86_400_000);
    gateway.order(order);
    gateway.see(Observation::RemedyEnded {
        remedy: gateway.repairs[0].remedy,
        result: RemedyResult::Done,
        detail: String::new(),
    });
    assert!(VALID_DEFAULT > Span::minutes(1));
    gateway.pass(Span::seconds(20));
    assert_eq!(gateway.states("A2"), [Accepted, CommandState::Started], "the other is over");
    // The clock is set while it waits, and shows that its time is long over.
    let mut gateway = busy();
    let mut order = remedy("A3", Rung::Renew);
    order.command.expires = utc(DATE);
    gateway.order(order);
    assert_eq!(gateway.states("A3"), [Accepted]);
    gateway.clock(DATE + 60_000);
    assert_eq!(gateway.states("A3"), [Accepted, Expired]);
}

#[test]
fn commanded_remedy_on_a_healthy_line_opens_no_incident_and_uses_the_budget() {
    let mut gateway = Gateway::settled(all(json!({
        "remedies": { "ladder": ["renew", "restart-interface"], "per_day": { "restart-interface": 1 } },
    })));
    gateway.order(remedy("C1", Rung::RestartInterface));
    let repair = gateway.repairs[0].clone();
    assert_eq!((repair.rung, repair.incident.is_none()), (Rung::RestartInterface, true));
    // It takes the line down, as it must.
    gateway.see(Observation::LinkSeen(Link { admin_up: false, carrier: false, ..up() }));
    gateway.answers = false;
    gateway.pass(Span::seconds(4));
    assert_eq!(gateway.judge.line_state(), LineState::Down);
    gateway.see(Observation::LinkSeen(up()));
    gateway.see(Observation::RemedyEnded {
        remedy: repair.remedy,
        result: RemedyResult::Done,
        detail: "down and up".into(),
    });
    gateway.answers = true;
    gateway.pass(Span::minutes(1));
    assert_eq!(gateway.incidents, 0, "it was ours");
    let done = gateway.last();
    assert_eq!((done.state, done.outcome), (Done, Some(CommandOutcome::Ok)));
    assert_eq!(done.result["line"], "up");
    let said = gateway.order(remedy("C2", Rung::RestartInterface));
    assert_eq!(said.last().unwrap().reason, Some(Reason::Budget), "{said:?}");
    assert_eq!(gateway.repairs.len(), 1);
}

#[test]
fn line_that_stays_down_after_a_commanded_remedy_opens_an_incident() {
    let mut gateway = Gateway::settled(all(json!({})));
    gateway.order(remedy("C1", Rung::RestartInterface));
    let ordered = gateway.repairs[0].remedy;
    gateway.answers = false;
    gateway.pass(Span::seconds(5));
    assert_eq!((gateway.judge.line_state(), gateway.incidents), (LineState::Down, 0));
    gateway.see(Observation::RemedyEnded {
        remedy: ordered,
        result: RemedyResult::Done,
        detail: String::new(),
    });
    gateway.pass(Span::seconds(30));
    assert_eq!(gateway.incidents, 1);
    let done = gateway.results.iter().find(|r| r.state == Done).unwrap();
    assert_eq!(done.result["line"], "down");
    assert!(gateway.repairs.len() > 1, "and the ladder is at it");
}

#[test]
fn remedy_commanded_during_an_outage_belongs_to_the_incident() {
    let mut gateway =
        Gateway::settled(all(json!({ "remedies": { "ladder": ["renew", "restart-interface"] } })));
    gateway.answers = false;
    // Nobody answers a check here, and the ladder waits a while for one that could place the fault.
    gateway.pass(Span::seconds(20));
    // The ladder's own first rung runs: the order waits for it.
    assert_eq!(gateway.repairs.len(), 1);
    gateway.order(remedy("C1", Rung::Renew));
    assert_eq!(gateway.states("C1"), [Accepted]);
    let failed = |gateway: &mut Gateway, at: usize| {
        let remedy = gateway.repairs[at].remedy;
        gateway.see(Observation::RemedyEnded { remedy, result: RemedyResult::Failed, detail: "no".into() });
    };
    while gateway.states("C1") == [Accepted] {
        let at = gateway.repairs.len() - 1;
        failed(&mut gateway, at);
    }
    let repair = gateway.repairs.last().unwrap().clone();
    assert_eq!(repair.rung, Rung::Renew);
    assert!(repair.incident.is_some());
    let at = gateway.repairs.len() - 1;
    failed(&mut gateway, at);
    let done = gateway.results.iter().find(|r| r.state == Done).unwrap();
    assert_eq!((done.outcome, done.reason), (Some(CommandOutcome::Failed), Some(Reason::Failed)));
}

#[test]
fn commanded_remedy_respects_the_incident_budget() {
    let budget = json!({ "ladder": ["renew", "restart-interface"], "per_incident": { "renew": 1 } });
    let mut gateway = Gateway::settled(all(json!({ "remedies": budget })));
    gateway.answers = false;
    gateway.pass(Span::seconds(20));
    assert_eq!(gateway.repairs[0].rung, Rung::Renew);
    gateway.order(remedy("C1", Rung::Renew));
    while gateway.states("C1") == [Accepted] {
        let remedy = gateway.repairs.last().unwrap().remedy;
        gateway.see(Observation::RemedyEnded { remedy, result: RemedyResult::Failed, detail: "no".into() });
    }
    assert_eq!(gateway.states("C1"), [Accepted, Refused]);
    let last = gateway.results.iter().rfind(|r| r.command_id == "C1").unwrap();
    assert_eq!(last.reason, Some(Reason::Budget));
    assert!(last.detail.contains("1 of 1 times in this incident"), "{}", last.detail);
    assert_eq!(gateway.repairs.iter().filter(|r| r.rung == Rung::Renew).count(), 1);
}

#[test]
fn commanded_reboot_is_refused_without_persistent_state() {
    let mut gateway = Gateway::settled(all(json!({})));
    gateway.see(Observation::PartSeen { part: Part::Store, trouble: Some("the flash is full".into()) });
    let said = gateway.order(command("B1", CommandName::Reboot));
    assert_eq!(said.last().unwrap().reason, Some(Reason::Unsupported), "{said:?}");
    assert!(gateway.repairs.is_empty());
}

#[test]
fn commanded_reboot_is_done_once_the_next_boot_confirms_it() {
    let mut gateway = Gateway::settled(all(json!({})));
    let said = gateway.order(command("B1", CommandName::Reboot));
    assert_eq!(gateway.states("B1"), [Accepted, CommandState::Started]);
    assert_eq!(said[1].started_boot_id.as_deref(), Some("boot-1"));
    assert_eq!(gateway.repairs[0].rung, Rung::Reboot);
    let before = gateway.results.len();
    gateway.boot(Span::seconds(25));
    let done = &gateway.results[before];
    assert_eq!((done.state, done.outcome), (Done, Some(CommandOutcome::Ok)));
    assert_eq!(done.started_boot_id.as_deref(), Some("boot-1"));
    assert_eq!(done.time.boot_id, "boot-2");
    // The broker gives it once more, and the gateway does not go down again.
    gateway.order(command("B1", CommandName::Reboot));
    gateway.pass(Span::minutes(10));
    assert_eq!((gateway.repairs.len(), gateway.incidents), (1, 0));
    let said = gateway.order(command("B2", CommandName::Reboot));
    assert_eq!(said.last().unwrap().reason, Some(Reason::Budget), "one a day: {said:?}");
}

#[test]
fn commanded_reboot_that_did_not_happen_is_reported_failed() {
    // The process alone ended.
    let mut gateway = Gateway::settled(all(json!({})));
    gateway.order(command("B1", CommandName::Reboot));
    gateway.restart();
    let last = gateway.last();
    assert_eq!((last.state, last.outcome), (Done, Some(CommandOutcome::Failed)));
    assert_eq!(last.reason, Some(Reason::Interrupted));
    // The command said that all is well, and nothing happened.
    let mut gateway = Gateway::settled(all(json!({})));
    gateway.order(command("B1", CommandName::Reboot));
    let remedy = gateway.repairs[0].remedy;
    gateway.see(Observation::RemedyEnded { remedy, result: RemedyResult::Done, detail: String::new() });
    gateway.pass(Span::minutes(5));
    let last = gateway.last();
    assert_eq!(
        (last.state, last.outcome, last.reason),
        (Done, Some(CommandOutcome::Failed), Some(Reason::Failed))
    );
}

fn sold() -> Config {
    all(json!({
        "promise": { "download": { "normal": "50 Mbit/s" }, "upload": { "normal": "10 Mbit/s" } },
        "speed": { "servers": ["http://speed.example/"], "budget": { "day": "200 MB", "month": "2 GB" } },
    }))
}

fn measured(order: &SpeedOrder, outcome: SpeedOutcome) -> Observation {
    Observation::SpeedEnded(SpeedEnded {
        test: order.test,
        server: order.server,
        direction: order.direction,
        cost: Bytes(10_000_000),
        took: Span::seconds(5),
        outcome,
    })
}

fn figures() -> SpeedOutcome {
    SpeedOutcome::Measured(Figures {
        line: Rate(60_000_000),
        line_mean: Rate(58_000_000),
        own: Rate(60_000_000),
        customer: Rate(0),
        own_payload: Rate(55_000_000),
        spread: Permille(10),
        confidence: Confidence::High,
        limit: Limit::Line,
        stopped_early: true,
        connections: 4,
        idle_rtt_us: Some(9_000),
        loaded_rtt_us: Some(20_000),
        rpm: None,
    })
}

#[test]
fn commanded_speed_test_obeys_guard_and_budget() {
    let mut gateway = Gateway::settled(sold());
    let own = gateway.tests.len();
    gateway.order(command("T1", CommandName::Speedtest));
    assert_eq!(gateway.states("T1"), [Accepted, CommandState::Started], "{:?}", gateway.last());
    assert_eq!(gateway.tests.len(), own + 1);
    let order = gateway.tests.last().unwrap().clone();
    gateway.pass(Span::seconds(5));
    gateway.see(measured(&order, figures()));
    let order = gateway.tests.last().unwrap().clone();
    gateway.pass(Span::seconds(5));
    let nothing = SpeedFailure::ServerUnreachable;
    let nothing = SpeedOutcome::Failed { reason: nothing, detail: "refused".into(), retry_after: None };
    gateway.see(measured(&order, nothing));
    let done = gateway.last().clone();
    assert_eq!((done.state, done.outcome), (Done, Some(CommandOutcome::Ok)), "{done:?}");
    assert_eq!(done.result["tests"][0]["line_bps"], 60_000_000);
    assert_eq!(done.result["tests"][1]["reason"], "server_unreachable");
    // Too soon after it: it waits, and its time passes.
    let mut soon = command("T2", CommandName::Speedtest);
    soon.command.valid_s = Some(60);
    gateway.order(soon);
    gateway.pass(Span::seconds(70));
    assert_eq!(gateway.states("T2"), [Accepted, Expired]);
    assert!(gateway.last().detail.contains("too soon"), "{:?}", gateway.last());
    // Again and again until the budget is spent, never beyond it.
    for n in 0..40 {
        let before = gateway.tests.len();
        let mut order = command(&format!("M{n}"), CommandName::Speedtest);
        order.command.valid_s = Some(1_200);
        gateway.order(order);
        for _ in 0..5 {
            gateway.pass(Span::minutes(4));
            for order in gateway.tests.split_off(before) {
                gateway.see(measured(&order, figures()));
            }
        }
        if gateway.last().reason == Some(Reason::Budget) {
            return;
        }
    }
    panic!("the budget never ended: {:?}", gateway.judge.status(Mono(gateway.now)).promise);
}

#[test]
fn impossible_speed_test_is_refused() {
    let mut gateway = Gateway::settled(all(json!({})));
    let said = gateway.order(command("T1", CommandName::Speedtest));
    assert_eq!(said.last().unwrap().reason, Some(Reason::Unsupported), "no server: {said:?}");
}

#[test]
fn speed_test_interrupted_by_a_restart_is_reported_failed() {
    let mut gateway = Gateway::settled(sold());
    gateway.order(command("T1", CommandName::Speedtest));
    assert_eq!(gateway.states("T1"), [Accepted, CommandState::Started]);
    gateway.restart();
    let last = gateway.last();
    assert_eq!((last.state, last.outcome), (Done, Some(CommandOutcome::Failed)), "{last:?}");
}

#[test]
fn re_check_is_called_once_when_due_even_after_downtime() {
    let mut gateway = Gateway::settled(all(json!({})));
    let mut order = command("P1", CommandName::Programme);
    order.command.arguments.delay_s = Some(7_200);
    let said = gateway.order(order.clone());
    assert_eq!(said[0].state, Done);
    let due = LocalTime { wall: Wall(DATE + 8 * 60_000 + 7_200_000), offset_minutes: 0 };
    assert_eq!(said[0].result["due"], due.to_string());
    gateway.order(order);
    gateway.pass(Span::minutes(118));
    assert_eq!(gateway.callbacks, []);
    gateway.pass(Span::minutes(3));
    assert_eq!(gateway.callbacks, [(Dimension::Event, "recheck".into())]);
    // Off for a day while the next one becomes due.
    let mut order = command("P2", CommandName::Programme);
    order.command.arguments.delay_s = Some(7_200);
    gateway.order(order);
    gateway.callbacks.clear();
    gateway.boot(Span::seconds(30));
    gateway.pass(Span::minutes(5));
    assert_eq!(gateway.callbacks, [], "the date is not known yet");
    gateway.clock(DATE + 86_400_000);
    gateway.pass(Span::minutes(2));
    assert_eq!(gateway.callbacks.len(), 1);
}

#[test]
fn commands_received_late_in_an_outage_expire_by_their_own_time() {
    let mut gateway = Gateway::settled(all(json!({})));
    gateway.answers = false;
    gateway.pass(Span::minutes(30));
    gateway.answers = true;
    gateway.pass(Span::minutes(1));
    // What the broker kept meanwhile comes now.
    let wall = DATE + 39 * 60_000;
    let repairs = gateway.repairs.len();
    let mut old = command("O1", CommandName::Reboot);
    (old.command.issued, old.command.expires) = (utc(wall - 1_500_000), utc(wall - 1_200_000));
    let mut held = command("O2", CommandName::Check);
    (held.command.issued, held.command.expires) = (utc(wall - 1_500_000), utc(wall + 60_000));
    gateway.order(old);
    gateway.order(held);
    assert_eq!((gateway.states("O1"), gateway.states("O2")), (vec![Expired], vec![Done]));
    assert_eq!(gateway.repairs.len(), repairs);
}

#[test]
fn command_flood_is_bounded_and_keeps_every_valid_id() {
    let mut gateway = Gateway::settled(all(json!({})));
    for n in 0..500 {
        gateway.order(command(&format!("F{n}"), CommandName::Check));
    }
    assert_eq!(gateway.results.iter().filter(|r| r.state == Done).count(), RATE);
    let many = gateway.results.iter().filter(|r| r.reason == Some(Reason::TooMany)).count();
    assert!((1..=RATE).contains(&many), "{many} were told");
    // A command that has its reply gets no second one for coming too often.
    let mut gateway = Gateway::settled(all(json!({})));
    for n in 0..RATE {
        gateway.order(command(&format!("F{n}"), CommandName::Check));
    }
    let told = gateway.states("F0");
    assert_eq!(gateway.order(command("F0", CommandName::Check)), []);
    assert_eq!(gateway.order(command("G0", CommandName::Check))[0].reason, Some(Reason::TooMany));
    assert_eq!(gateway.states("F0"), told);
    // Long-lived ones fill the journal; none of them may be forgotten while it is valid.
    let mut gateway = Gateway::settled(all(json!({})));
    let long = |n: usize| {
        let mut order = command(&format!("L{n}"), CommandName::Check);
        order.command.valid_s = Some(86_400);
        order
    };
    for n in 0..JOURNAL {
        gateway.pass(Span(RATE_WINDOW.0 / 10));
        assert_eq!(gateway.order(long(n))[0].state, Done, "{n}");
    }
    gateway.pass(RATE_WINDOW);
    assert_eq!(gateway.order(long(99))[0].reason, Some(Reason::TooMany));
    let again = gateway.order(long(0));
    assert_eq!(again[0].id, "gw-0001/".to_owned() + again[0].id.split_once('/').unwrap().1);
    assert_eq!(again[0].state, Done, "the first one is still known");
    assert!(gateway.flash.as_ref().unwrap().to_string().len() < 65_536);
    gateway.pass(Span::hours(24));
    assert_eq!(gateway.order(long(100))[0].state, Done, "their time is over");
}

#[test]
fn target_state_follows_the_host_when_the_target_list_changes() {
    let mut gateway = Gateway::settled(all(json!({})));
    let rtts = |gateway: &Gateway| -> Vec<(String, bool)> {
        let status = gateway.judge.status(Mono(gateway.now));
        status
            .targets
            .into_iter()
            .filter(|t| t.role != "gateway")
            .map(|t| (t.host, t.rtt_us.is_some()))
            .collect()
    };
    assert!(rtts(&gateway).iter().all(|(_, known)| *known));
    gateway.config = all(json!({ "probe": { "targets": [
        { "host": "192.0.2.77", "role": "world" },
        { "host": "198.51.100.11", "role": "anchor" },
    ] } }));
    gateway.see(Observation::Stopping);
    gateway.restart();
    assert_eq!(rtts(&gateway), [("192.0.2.77".into(), false), ("198.51.100.11".into(), true)]);
    gateway.pass(Span::minutes(1));
    assert_eq!((gateway.judge.line_state(), gateway.incidents), (LineState::Up, 0));
    assert_eq!(gateway.order(command("X", CommandName::Check))[0].state, Done);
}
