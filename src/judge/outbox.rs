//! What concerns want done, in the order in which they say it.
//!
//! What a concern says after a signal comes after all that the signal brings about: what is said while a signal waits to be
//! delivered waits behind it, and messages are numbered when their turn comes.

use super::context::Context;
use super::numbers::Numbers;
use super::signal::Signal;
use crate::action::{Action, Level};
use linekeeper_contract::message::{self, Critical, EVENT_SCHEMA, EventName, Message};
use linekeeper_contract::recording::Recording;
use linekeeper_contract::units::Mono;
use std::collections::VecDeque;
use std::fmt::Write;

/// Something that waits for a signal to be delivered, or is one.
#[derive(Debug, Clone)]
enum Item {
    Action(Action),
    Publish(Message),
    Signal(Signal),
}

/// What this step has given so far.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    actions: Vec<Action>,
    waiting: VecDeque<Item>,
    save: bool,
    disturbed: bool,
    /// What new things are called.
    pub numbers: Numbers,
}

impl Outbox {
    /// Something to do.
    pub fn push(&mut self, action: Action) {
        if self.waiting.is_empty() {
            self.actions.push(action);
        } else {
            self.waiting.push_back(Item::Action(action));
        }
    }

    /// A line for the log.
    pub fn note(&mut self, level: Level, text: String) {
        self.push(Action::Note { level, text });
    }

    /// A message to the platform.
    pub fn publish(&mut self, message: Message) {
        if self.waiting.is_empty() {
            self.publish_numbered(message);
        } else {
            self.waiting.push_back(Item::Publish(message));
        }
    }

    /// The same, telling its number. To be used by who gives no signal before it: it does not wait for any.
    pub fn publish_numbered(&mut self, mut message: Message) -> u64 {
        self.numbers.messages += 1;
        self.save = true;
        let number = self.numbers.messages;
        if let Message::Event(event) = &mut message {
            // Writing to a String does not fail.
            let _ = write!(event.id, "{number}");
        }
        self.actions.push(Action::Publish(Box::new(Critical { number, message })));
        number
    }

    /// Tells the other concerns. They hear it when the one that speaks has ended.
    pub fn signal(&mut self, signal: Signal) {
        self.waiting.push_back(Item::Signal(signal));
    }

    /// This step must be on flash before it is acted upon.
    pub fn save(&mut self) {
        self.save = true;
    }

    /// What the concern said of quiet time holds no more.
    pub fn disturb(&mut self) {
        self.disturbed = true;
    }

    /// What the ids of this life's messages begin with.
    pub fn message_id(&self, cx: &Context<'_>) -> String {
        format!("{}/{}", cx.config.device.id, self.numbers.memory)
    }

    /// A new incident's id.
    pub fn incident_id(&mut self, cx: &Context<'_>, at: Mono) -> String {
        self.numbers.incident_id(&cx.clock, at, cx.offset())
    }

    /// A new callback's id.
    pub fn callback_id(&mut self, cx: &Context<'_>) -> String {
        self.numbers.callback_id(&cx.clock, cx.now, cx.offset())
    }

    /// Publishes what became of an incident.
    pub fn announce(&mut self, cx: &Context<'_>, incident: message::Incident, news: News<'_>) {
        let News { name, at, why, remedy, recorder } = news;
        let level = match name {
            EventName::IncidentOpened => Level::Warn,
            _ => Level::Info,
        };
        let word = match name {
            EventName::IncidentOpened => "opened",
            EventName::IncidentUpdated => "updated",
            EventName::IncidentClosed => "closed",
            EventName::RemedyBegun => "remedy begun",
            EventName::RemedyEnded => "remedy ended",
        };
        self.note(level, format!("incident {} {word}: {why}", incident.id));
        let event = message::Event {
            schema: EVENT_SCHEMA.into(),
            // Its number follows.
            id: format!("{}/E", self.message_id(cx)),
            device_id: cx.config.device.id.clone(),
            time: cx.stamp(at),
            event: name,
            why: why.to_string(),
            incident,
            remedy,
            recorder,
        };
        self.publish(Message::Event(Box::new(event)));
    }

    /// How much was said so far.
    pub fn said(&self) -> usize {
        self.actions.len() + self.waiting.len()
    }

    pub(super) fn actions(&mut self) -> &mut Vec<Action> {
        &mut self.actions
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn is_disturbed(&self) -> bool {
        self.disturbed
    }

    pub(super) fn take_disturbed(&mut self) -> bool {
        std::mem::take(&mut self.disturbed)
    }

    pub(super) fn is_saving(&self) -> bool {
        self.save
    }

    pub(super) fn take_save(&mut self) -> bool {
        std::mem::take(&mut self.save)
    }

    /// The next signal, once all that was said before it is given.
    pub(super) fn next_signal(&mut self) -> Option<Signal> {
        loop {
            match self.waiting.pop_front()? {
                Item::Action(action) => self.actions.push(action),
                Item::Publish(message) => {
                    self.publish_numbered(message);
                }
                Item::Signal(signal) => return Some(signal),
            }
        }
    }

    /// Puts aside what waits, while a signal is delivered.
    pub(super) fn put_aside(&mut self) -> Waiting {
        Waiting(std::mem::take(&mut self.waiting))
    }

    /// Goes on with what was put aside.
    pub(super) fn go_on(&mut self, with: Waiting) {
        self.waiting = with.0;
    }
}

/// What waits for a signal to be delivered.
#[derive(Debug)]
pub(super) struct Waiting(VecDeque<Item>);

/// What became of an incident.
#[derive(Debug)]
pub struct News<'a> {
    /// Of which kind.
    pub name: EventName,
    /// When.
    pub at: Mono,
    /// In words.
    pub why: &'a str,
    /// The remedy that it is about.
    pub remedy: Option<message::Remedy>,
    /// The flight recorder's part.
    pub recorder: Option<Box<Recording>>,
}

impl<'a> News<'a> {
    /// What needs no more than words.
    pub fn new(name: EventName, at: Mono, why: &'a str) -> News<'a> {
        News { name, at, why, remedy: None, recorder: None }
    }
}
