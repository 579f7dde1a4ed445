//! A full or failing flash keeps an old snapshot: ids issued after it must not be used again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::{config, link};
use linekeeper_contract::message::Message;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::{Memory, Observation, Part, Started};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

struct Life {
    judge: Judge,
    now: Mono,
    up: bool,
    flash: Value,
    /// The flash is full: whether the judge was told.
    full: Option<bool>,
    /// What was said: message ids with their content, and the ids of callbacks and incidents that were opened.
    said: BTreeMap<String, Message>,
    opened: BTreeSet<String>,
}

impl Life {
    fn begin(config: &Config, flash: Option<&Value>, now: u64, boot_id: &str) -> Life {
        let judge = flash.map_or_else(
            || Judge::new(config.clone()),
            |flash| Judge::restore(config.clone(), flash).unwrap(),
        );
        let memory = if flash.is_some() { Memory::Restored } else { Memory::None };
        let mut life = Life {
            judge,
            now: Mono(now),
            up: true,
            flash: Value::Null,
            full: None,
            said: BTreeMap::new(),
            opened: BTreeSet::new(),
        };
        // The outbox's file is as old as the snapshot: it knows no more.
        let started = Started {
            boot_id: boot_id.into(),
            uptime: Span::hours(1),
            memory,
            watermark: 0,
            beat: None,
            taken: None,
        };
        life.see(&Observation::Started(started));
        life.see(&link(true));
        life.pass(Span::seconds(60));
        life
    }

    fn see(&mut self, saw: &Observation) {
        let mut failed = false;
        for action in self.judge.step(self.now, saw) {
            match action {
                Action::Save if self.full.is_some() => failed = true,
                Action::Save => self.flash = self.judge.snapshot().unwrap(),
                Action::Probe { probe, target } if self.up => {
                    self.see(&Observation::EchoAnswered { probe, target, rtt_us: 9_000 });
                }
                Action::Probe { probe, target } => self.see(&Observation::EchoLost { probe, target }),
                Action::Publish(critical) => {
                    match &critical.message {
                        Message::Callback(c) => self.opened.insert(c.callback_id.clone()),
                        Message::Event(e) => self.opened.insert(e.incident.id.clone()),
                        Message::CommandResult(_) => false,
                    };
                    self.said.insert(critical.message.id().into(), critical.message);
                }
                _ => {}
            }
        }
        // As the runner does it: what the step said is said already.
        if failed && self.full == Some(false) {
            self.full = Some(true);
            let trouble = Some("the file system is full".into());
            self.see(&Observation::PartSeen { part: Part::Store, trouble });
        }
    }

    fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while self.judge.next_deadline() < end {
            self.now = self.now.max(self.judge.next_deadline());
            self.see(&Observation::Ticked);
        }
        self.now = end;
    }

    fn incident(&mut self) {
        self.up = false;
        self.see(&link(false));
        self.pass(Span::seconds(30));
        self.up = true;
        self.see(&link(true));
        self.pass(Span::seconds(60));
    }
}

#[test]
fn ids_issued_after_the_last_flash_write_are_not_reused() {
    let config = config(json!({
        "outage": { "patience": "500 ms", "hold_down": "10 s" }, "callback": { "after": "0 s" },
        "remedies": { "ladder": [] },
    }));
    let mut first = Life::begin(&config, None, 10_000, "boot-1");
    first.incident();
    assert!(first.said.len() >= 4 && first.opened.len() == 2, "{:?}", first.said.keys());
    let flash = first.flash.clone();
    // From here on nothing is written any more; the connection still sends.
    first.full = Some(false);
    first.incident();
    first.incident();
    assert!(first.said.len() >= 12 && first.opened.len() == 6, "{:?}", first.said.keys());

    for (boot_id, now) in [("boot-1", first.now.0 + 10_000), ("boot-2", first.now.0 + 10_000)] {
        let mut second = Life::begin(&config, Some(&flash), now, boot_id);
        second.incident();
        assert!(second.said.len() >= 4, "{:?}", second.said.keys());
        for (id, message) in &second.said {
            assert!(first.said.get(id).is_none_or(|m| m == message), "{id} is two messages");
        }
        let again: Vec<_> = second.opened.intersection(&first.opened).collect();
        assert!(again.is_empty(), "{again:?} were opened twice");
    }
}
