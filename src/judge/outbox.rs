//! Collects the actions and signals of one step, in order.
//!
//! What a concern adds after a signal comes after everything that the signal causes. An action or message that is added while
//! a signal waits for delivery is therefore queued behind it, and messages get their number when they leave the queue.

use super::context::Context;
use super::numbers::Numbers;
use super::signal::Signal;
use crate::action::{Action, Level};
use linekeeper_contract::message::{self, Critical, EVENT_SCHEMA, EventName, Message};
use linekeeper_contract::recording::Recording;
use linekeeper_contract::units::Mono;
use std::collections::VecDeque;
use std::fmt::Write;

/// An entry of the queue: a signal, or something added behind one.
#[derive(Debug, Clone)]
enum Item {
    Action(Action),
    Publish(Message),
    Signal(Signal),
}

/// The output of the step so far.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    actions: Vec<Action>,
    waiting: VecDeque<Item>,
    save: bool,
    disturbed: bool,
    /// Numbers of messages, incidents and callbacks.
    pub numbers: Numbers,
}

impl Outbox {
    /// Adds an action.
    pub fn push(&mut self, action: Action) {
        if self.waiting.is_empty() {
            self.actions.push(action);
        } else {
            self.waiting.push_back(Item::Action(action));
        }
    }

    /// Adds a line for the log.
    pub fn note(&mut self, level: Level, text: String) {
        self.push(Action::Note { level, text });
    }

    /// Adds a message to the platform.
    pub fn publish(&mut self, message: Message) {
        if self.waiting.is_empty() {
            self.publish_numbered(message);
        } else {
            self.waiting.push_back(Item::Publish(message));
        }
    }

    /// Adds a message and returns its number. It does not wait for queued signals, so call it before sending any.
    pub fn publish_numbered(&mut self, mut message: Message) -> u64 {
        self.numbers.messages += 1;
        self.save = true;
        let number = self.numbers.messages;
        if let Message::Event(event) = &mut message {
            // Writing to a String cannot fail.
            let _ = write!(event.id, "{number}");
        }
        self.actions.push(Action::Publish(Box::new(Critical { number, message })));
        number
    }

    /// Sends a signal to the other concerns. They get it when the sending concern returns.
    pub fn signal(&mut self, signal: Signal) {
        self.waiting.push_back(Item::Signal(signal));
    }

    /// Requires that the snapshot is on flash before the actions of this step are performed.
    pub fn save(&mut self) {
        self.save = true;
    }

    /// Ends the quiet period: the concern's last answer about it is no longer true.
    pub fn disturb(&mut self) {
        self.disturbed = true;
    }

    /// The prefix of the ids of this life's messages.
    pub fn message_id(&self, cx: &Context<'_>) -> String {
        format!("{}/{}", cx.config.device.id, self.numbers.memory)
    }

    /// The id of a new incident.
    pub fn incident_id(&mut self, cx: &Context<'_>, at: Mono) -> String {
        self.numbers.incident_id(&cx.clock, at, cx.offset())
    }

    /// The id of a new callback.
    pub fn callback_id(&mut self, cx: &Context<'_>) -> String {
        self.numbers.callback_id(&cx.clock, cx.now, cx.offset())
    }

    /// Publishes an event of an incident.
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
            // The number is appended later.
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

    /// How many actions and queued entries there are so far.
    pub fn entry_count(&self) -> usize {
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

    /// Moves the queue up to the next signal into the output, and returns that signal.
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

    /// Sets the queue aside while a signal is delivered.
    pub(super) fn set_aside(&mut self) -> Waiting {
        Waiting(std::mem::take(&mut self.waiting))
    }

    /// Restores the queue that was set aside.
    pub(super) fn restore(&mut self, queue: Waiting) {
        self.waiting = queue.0;
    }
}

/// The queue that was set aside.
#[derive(Debug)]
pub(super) struct Waiting(VecDeque<Item>);

/// An event of an incident to publish.
#[derive(Debug)]
pub struct News<'a> {
    /// The kind of event.
    pub name: EventName,
    /// When.
    pub at: Mono,
    /// The reason, for people.
    pub why: &'a str,
    /// The remedy it concerns.
    pub remedy: Option<message::Remedy>,
    /// The recording of the flight recorder.
    pub recorder: Option<Box<Recording>>,
}

impl<'a> News<'a> {
    /// An event without a remedy and without a recording.
    pub fn new(name: EventName, at: Mono, why: &'a str) -> News<'a> {
        News { name, at, why, remedy: None, recorder: None }
    }
}
