//! netifd's state of the WAN interface in the judge: an interface taken down by hand stays down, a misconfigured one is not
//! restarted in vain, and a pending one gets the usual remedies.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::config;
use linekeeper_contract::message::{Domain, EventName, Message};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::Judge;
use linekeeper_judge::action::{Action, Level};
use linekeeper_judge::observation::{Interface, Link, Memory, Observation, RemedyResult, Started};
use linekeeper_judge::outage::LineState;
use serde_json::json;

struct Line {
    judge: Judge,
    now: Mono,
    did: Vec<Action>,
    answers: bool,
}

fn link(admin_up: bool, addressed: bool) -> Observation {
    let addresses = if addressed { vec!["192.0.2.2".parse().unwrap()] } else { Vec::new() };
    Observation::LinkSeen(Link {
        present: true,
        admin_up,
        carrier: admin_up,
        addresses,
        gateway: addressed.then(|| "192.0.2.1".parse().unwrap()),
        default_route: addressed,
        speed: None,
        half_duplex: false,
    })
}

fn is(is: Interface) -> Observation {
    Observation::InterfaceSeen { name: "wan".into(), is }
}

impl Line {
    /// A line that has been up for a minute.
    fn up() -> Line {
        let config =
            config(json!({ "remedies": { "ladder": ["renew", "restart-interface", "restart-network"] } }));
        let mut line = Line { judge: Judge::new(config), now: Mono(100_000), did: Vec::new(), answers: true };
        line.tell(started(Memory::None));
        line.tell(link(true, true));
        line.tell(is(Interface::Up));
        line.pass(Span::minutes(1));
        assert_eq!(line.judge.line_state(), LineState::Up);
        line.did.clear();
        line
    }

    fn tell(&mut self, saw: Observation) {
        let mut waiting = vec![saw];
        while let Some(saw) = waiting.pop() {
            for action in self.judge.step(self.now, &saw) {
                if let (Action::Probe { probe, target }, true) = (&action, self.answers) {
                    waiting.push(Observation::EchoAnswered { probe: *probe, target: *target, rtt_us: 900 });
                }
                self.did.push(action);
            }
        }
    }

    fn pass(&mut self, span: Span) {
        let end = self.now + span;
        loop {
            let wake = self.judge.next_deadline().max(self.now + Span::millis(1));
            if wake > end {
                self.now = end;
                return;
            }
            self.now = wake;
            self.tell(Observation::Ticked);
        }
    }

    /// It breaks: no answers, and this is seen of its link.
    fn breaks(&mut self, seen: Observation) {
        self.answers = false;
        self.tell(seen);
        self.pass(Span::seconds(1));
        assert_eq!(self.judge.line_state(), LineState::Down);
    }

    fn repairs(&self) -> Vec<Rung> {
        let repair = |a: &Action| if let Action::Repair(r) = a { Some(r.rung) } else { None };
        self.did.iter().filter_map(repair).collect()
    }

    fn callbacks(&self) -> usize {
        let calls =
            |a: &&Action| matches!(a, Action::Publish(c) if matches!(c.message, Message::Callback(_)));
        self.did.iter().filter(calls).count()
    }

    fn events(&self, name: EventName) -> Vec<String> {
        let event = |a: &Action| match a {
            Action::Publish(c) => match &c.message {
                Message::Event(e) if e.event == name => Some(e.why.clone()),
                _ => None,
            },
            _ => None,
        };
        self.did.iter().filter_map(event).collect()
    }

    fn says(&self, words: &str) -> usize {
        let says = |a: &&Action| matches!(a, Action::Note { text, .. } if text.contains(words));
        self.did.iter().filter(says).count()
    }
}

fn started(memory: Memory) -> Observation {
    Observation::Started(Started {
        boot_id: "boot-1".into(),
        uptime: Span::hours(1),
        memory,
        watermark: 0,
        beat: None,
        taken: None,
    })
}

#[test]
fn interface_taken_down_by_hand_stays_down_without_a_callback() {
    let mut line = Line::up();
    line.breaks(link(false, false));
    line.tell(is(Interface::TakenDown));
    line.pass(Span::hours(3));
    assert_eq!((line.repairs(), line.callbacks()), (vec![], 0));
    assert_eq!(line.says("wan was taken down by somebody: nothing is tried"), 1);
    let told = line.events(EventName::IncidentUpdated);
    assert!(matches!(&told[..], [why] if why.contains("somebody took the interface down")), "{told:?}");
    let status = line.judge.status(line.now);
    assert_eq!(status.interface, Some(("wan".into(), Interface::TakenDown)));
    // Taken up by whoever took it down, it waits for an answer that does not come: that is a fault again.
    line.tell(is(Interface::Pending));
    line.tell(link(true, false));
    line.pass(Span::seconds(9));
    assert_eq!(line.repairs(), [], "who took it up waits for it himself");
    line.pass(Span::minutes(1));
    assert_eq!(line.repairs().first(), Some(&Rung::Renew));
}

/// The control of the one above: without netifd's word a device that is switched off is switched on again.
#[test]
fn interface_is_brought_up_after_ten_seconds_without_netifd_state() {
    let mut line = Line::up();
    line.breaks(link(false, false));
    line.pass(Span::seconds(8));
    assert_eq!(line.repairs(), []);
    line.pass(Span::seconds(4));
    assert_eq!(line.repairs(), [Rung::RestartInterface]);
}

#[test]
fn interface_state_may_precede_the_break_and_must_be_repeated_after_a_restart() {
    let mut line = Line::up();
    line.tell(is(Interface::TakenDown));
    line.breaks(link(false, false));
    line.pass(Span::minutes(5));
    assert_eq!((line.repairs(), line.callbacks()), (vec![], 0));
    // A new life does not know who did what meanwhile.
    let kept = line.judge.snapshot().unwrap();
    line.judge = Judge::restore(line.judge.config().clone(), &kept).unwrap();
    line.tell(started(Memory::Restored));
    line.tell(link(false, false));
    assert_eq!(line.judge.status(line.now).interface, None);
    line.tell(is(Interface::TakenDown));
    line.pass(Span::minutes(5));
    assert_eq!(line.repairs(), []);
}

#[test]
fn misconfigured_interface_is_a_gateway_fault_and_requests_a_callback() {
    for state in [Interface::NoProtocol, Interface::Refused("INVALID_ADDRESS".into())] {
        let mut line = Line::up();
        line.breaks(link(true, false));
        line.tell(is(state.clone()));
        line.pass(Span::minutes(5));
        assert_eq!(line.repairs(), [], "{state:?}");
        assert_eq!(line.callbacks(), 1, "{state:?}");
        assert_eq!(line.judge.status(line.now).incident.unwrap().fault_domain, Domain::Device);
    }
}

#[test]
fn pending_interface_gets_the_usual_remedies() {
    for state in [Interface::Pending, Interface::Waiting, Interface::NoDevice, Interface::Gone, Interface::Up]
    {
        let mut line = Line::up();
        line.breaks(link(true, false));
        line.tell(is(state.clone()));
        line.pass(Span::minutes(1));
        assert_eq!(line.repairs().first(), Some(&Rung::Renew), "{state:?}");
        let fact = format!("interface.{}", state.name());
        let facts = serde_json::to_string(&line.judge.snapshot().unwrap()).unwrap();
        assert!(facts.contains(&fact), "no fact {fact}");
    }
}

/// Our own restart takes it down too.
#[test]
fn interface_taken_down_by_our_restart_is_not_manual() {
    let mut line = Line::up();
    line.breaks(link(true, false));
    let mut ended = 0;
    for _ in 0..100 {
        line.pass(Span::seconds(1));
        let last = line
            .did
            .iter()
            .rev()
            .find_map(|a| if let Action::Repair(r) = a { Some(r.clone()) } else { None });
        let Some(repair) = last.filter(|r| r.remedy.0 > ended) else { continue };
        ended = repair.remedy.0;
        if repair.rung == Rung::RestartInterface {
            line.tell(is(Interface::TakenDown));
            line.tell(Observation::RemedyEnded {
                remedy: repair.remedy,
                result: RemedyResult::Done,
                detail: "took wan down and up".into(),
            });
            line.tell(is(Interface::Pending));
            break;
        }
        let result = RemedyResult::Failed;
        line.tell(Observation::RemedyEnded { remedy: repair.remedy, result, detail: "no client".into() });
    }
    line.pass(Span::minutes(5));
    assert_eq!(line.says("taken down by somebody"), 0);
    assert!(line.repairs().contains(&Rung::RestartNetwork), "the ladder goes on: {:?}", line.repairs());
}

/// Whether the last life died between down and up is forgotten with the rest.
#[test]
fn start_without_state_brings_the_interface_up_first() {
    for (memory, safe) in [(Memory::Lost, 1), (Memory::Restored, 0), (Memory::None, 0)] {
        let mut line = Line::up();
        line.tell(started(memory));
        let made = line.did.iter().filter(|a| matches!(a, Action::MakeSafe { rung: Rung::RestartInterface }));
        assert_eq!(made.count(), safe, "{memory:?}");
    }
}

#[test]
fn interface_up_is_not_logged() {
    let mut line = Line::up();
    line.tell(is(Interface::Pending));
    line.tell(is(Interface::Up));
    line.tell(is(Interface::Up));
    let loud = |a: &&Action| matches!(a, Action::Note { level, text } if *level != Level::Debug && text.contains("netifd"));
    assert_eq!(line.did.iter().filter(loud).count(), 1);
}
