//! The record of a callback: everything the agent needs, from the request to the satisfaction survey.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::{Keeper, config};
use linekeeper_contract::message::{Callback, CallbackState, Message};
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::observation::{Memory, Observation, Receipt, ReceiptState, Started};
use linekeeper_proving::simulate::{Trouble, World, run};
use serde_json::{Value, json};

/// An outage that no remedy fixes: a callback is requested, and the outage ends by itself.
fn outage() -> Vec<Value> {
    let mut world = World::quiet().with_trouble(Span::minutes(5), Span::minutes(20), Trouble::Access);
    world.failover = true;
    let mut keeper = Keeper::default();
    run(&config(json!({})), &world, 1, Span::hours(1), &mut keeper);
    let callback = |(_, action): &(_, Action)| match action {
        Action::Publish(m) => match &m.message {
            Message::Callback(c) => Some(serde_json::to_value(c).unwrap()),
            _ => None,
        },
        _ => None,
    };
    keeper.acted.iter().filter_map(callback).collect()
}

#[test]
fn callback_record_has_everything_the_agent_needs() {
    let all = outage();
    let first = &all[0];
    let keys = [
        "schema",
        "id",
        "callback_id",
        "device_id",
        "customer_id",
        "area",
        "state",
        "severity",
        "trigger",
        "issues",
        "opened",
        "evidence",
        "remedies",
        "resolution",
        "satisfaction_score",
        "incident_id",
        "time",
    ];
    for key in keys {
        assert!(first.get(key).is_some(), "{key} is missing in {first}");
    }
    let id = first["callback_id"].as_str().unwrap();
    let (day, number) = id.strip_prefix("CB").unwrap().split_once('-').unwrap();
    assert!(day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit()), "{id}");
    assert!(number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()), "{id}");
    assert_eq!((&first["customer_id"], &first["area"]), (&json!("CUST1001"), &json!("north-3/olt-7")));
    assert_eq!((&first["severity"], &first["state"]), (&json!("urgent"), &json!("requested")));
    assert_eq!(first["trigger"], json!({ "dimension": "data", "name": "outage" }));
    for key in ["type", "code", "description"] {
        assert!(first["issues"][0][key].as_str().is_some_and(|text| !text.is_empty()), "{first}");
    }
    for key in ["finding", "fault_domain", "facts", "samples", "rule", "recorder"] {
        assert!(first["evidence"].get(key).is_some(), "{key} is missing in {}", first["evidence"]);
    }
    for key in ["wall", "synced", "boot_id", "uptime_ms"] {
        assert!(first["opened"].get(key).is_some(), "{key}");
    }
    let remedy = &first["remedies"][0];
    assert!(
        remedy["name"].is_string() && remedy["took_ms"].is_u64() && remedy["outcome"] == "no_effect",
        "{remedy}"
    );
    assert_eq!(first["resolution"], json!({ "state": "open", "by": null, "resolution_time_s": null }));
    // The record stays the same to its end, with who resolved it and after how long.
    let last = all.last().unwrap();
    assert_eq!((&last["callback_id"], &last["state"]), (&first["callback_id"], &json!("withdrawn")));
    let resolution = &last["resolution"];
    assert_eq!((&resolution["state"], &resolution["by"]), (&json!("resolved"), &json!("itself")));
    assert!((1_190..1_230).contains(&resolution["resolution_time_s"].as_u64().unwrap()), "{resolution}");
}

/// A gateway whose customer asked for a call.
struct Asked {
    judge: Judge,
    now: Mono,
    last: Vec<Callback>,
    /// Their numbers.
    numbers: Vec<u64>,
}

impl Asked {
    fn new() -> Asked {
        let judge = Judge::new(config(json!({})));
        let mut asked = Asked { judge, now: Mono(1_000), last: Vec::new(), numbers: Vec::new() };
        asked.step(&Observation::Started(Started {
            boot_id: "boot-1".into(),
            uptime: Span::seconds(1),
            memory: Memory::None,
            watermark: 0,
            beat: None,
            taken: None,
        }));
        // 2023-10-01T00:00:00Z
        asked.step(&Observation::ClockSet { wall: Wall(1_696_118_400_000), synced: true });
        asked.step(&Observation::CallbackAsked { reason: "no internet at the till".into() });
        asked
    }

    fn step(&mut self, saw: &Observation) {
        for action in self.judge.step(self.now, saw) {
            if let Action::Publish(m) = action
                && let Message::Callback(c) = m.message
                // No echo is answered here; the line's own callback is not tested.
                && self.last.first().is_none_or(|first| first.callback_id == c.callback_id)
            {
                self.last.push(*c);
                self.numbers.push(m.number);
            }
        }
    }

    fn wait(&mut self, span: Span) {
        let end = self.now + span;
        while self.judge.next_deadline() <= end {
            self.now = self.now.max(self.judge.next_deadline());
            self.step(&Observation::Ticked);
        }
        self.now = end;
        self.step(&Observation::Ticked);
    }

    fn receipt(
        &mut self,
        after: Span,
        state: ReceiptState,
        score: Option<u8>,
        types: &[&str],
        by: Option<&str>,
    ) {
        self.now = self.now + after;
        let receipt = Receipt {
            callback_id: self.last[0].callback_id.clone(),
            state,
            reason: None,
            satisfaction_score: score,
            issue_types: types.iter().map(|t| (*t).to_string()).collect(),
            resolved_by: by.map(str::to_string),
        };
        self.step(&Observation::ReceiptCame(receipt));
    }
}

#[test]
fn platform_reports_are_stored_and_republished() {
    let mut asked = Asked::new();
    assert_eq!(asked.last[0].callback_id, "CB20231001-001");
    asked.receipt(Span::seconds(1), ReceiptState::Received, None, &[], None);
    asked.receipt(Span::minutes(1), ReceiptState::Scheduled, None, &[], None);
    asked.receipt(Span::minutes(9), ReceiptState::Closed, Some(4), &["slow", "wifi"], Some("agent-7"));
    let states: Vec<CallbackState> = asked.last.iter().map(|c| c.state).collect();
    use CallbackState::{Closed, Received, Requested, Scheduled};
    assert_eq!(states, [Requested, Received, Scheduled, Closed]);
    let closed = asked.last[3].clone();
    assert_eq!(closed.satisfaction_score, Some(4));
    assert_eq!(closed.issue_types, ["slow", "wifi"]);
    assert_eq!(closed.resolution.by.as_deref(), Some("agent-7"));
    assert_eq!(closed.resolution.resolution_time_s, Some(601));
    // Once more changes nothing.
    asked.receipt(Span::seconds(1), ReceiptState::Closed, Some(4), &["slow", "wifi"], Some("agent-7"));
    assert_eq!(asked.last.len(), 4);
    // Over a reboot it is still there, for status and platform.
    let snapshot = asked.judge.snapshot().unwrap();
    let judge = Judge::restore(config(json!({})), &snapshot).unwrap();
    let told = judge.status(asked.now).callbacks.remove(0);
    assert_eq!(
        (told.satisfaction_score, told.issue_types),
        (Some(4), vec!["slow".to_string(), "wifi".into()])
    );
    assert_eq!(told.resolved, Some(("agent-7".into(), 601)));
}

/// A platform, or somebody in its place, that sends another survey every two milliseconds.
#[test]
fn receipts_change_a_callback_a_limited_number_of_times_an_hour() {
    let mut asked = Asked::new();
    asked.receipt(Span::seconds(1), ReceiptState::Received, None, &[], None);
    for n in 0..2_000u64 {
        asked.receipt(Span::millis(2), ReceiptState::Closed, Some((n % 5 + 1) as u8), &[], None);
    }
    // The request itself, and twelve changes.
    assert_eq!(asked.last.len(), 13);
    let before = asked.last.last().unwrap().satisfaction_score;
    asked.wait(Span::hours(1));
    asked.receipt(Span::seconds(1), ReceiptState::Closed, before.map(|score| score % 5 + 1), &[], None);
    assert_eq!(asked.last.len(), 14, "later it is heard again");
}

#[test]
fn rejected_request_is_published_again() {
    let mut asked = Asked::new();
    let wait = config(json!({})).callback.receipt;
    for repeats in 0..10 {
        let again = wait.times(1 << repeats).min(Span::hours(1));
        // Numbers of others mean nothing to it.
        asked.step(&Observation::GivenUp { number: 1_000 });
        asked.step(&Observation::GivenUp { number: asked.numbers[repeats] });
        asked.wait(Span(again.0 - 1));
        assert_eq!(asked.last.len(), repeats + 1, "not before {again}");
        asked.wait(Span::millis(1));
        assert_eq!(asked.last.len(), repeats + 2, "after {again}");
    }
    assert!(asked.last.iter().all(|c| *c == asked.last[0]), "the same, letter for letter");
    // The state it reached meanwhile is kept.
    asked.receipt(Span::seconds(1), ReceiptState::Closed, None, &[], None);
    let said = asked.last.len();
    asked.step(&Observation::GivenUp { number: *asked.numbers.last().unwrap() });
    asked.wait(Span::hours(2));
    assert_eq!(asked.last.len(), said);
}

#[test]
fn late_survey_is_recorded_once() {
    let mut asked = Asked::new();
    asked.receipt(Span::seconds(1), ReceiptState::Closed, None, &[], None);
    assert_eq!(asked.last[1].resolution.by.as_deref(), Some("platform"));
    let resolution = asked.last[1].resolution.clone();
    asked.receipt(Span::days(1), ReceiptState::Closed, Some(2), &[], None);
    asked.receipt(Span::days(1), ReceiptState::Closed, Some(2), &[], None);
    asked.receipt(Span::days(1), ReceiptState::Received, Some(5), &[], None);
    assert_eq!(asked.last.len(), 3, "{:?}", asked.last);
    let last = &asked.last[2];
    assert_eq!((last.state, last.satisfaction_score), (CallbackState::Closed, Some(2)));
    assert_eq!(last.resolution, resolution, "it was resolved when it was");
    let ids: std::collections::BTreeSet<&str> = asked.last.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(ids.len(), 3, "each change has an id of its own");
}
