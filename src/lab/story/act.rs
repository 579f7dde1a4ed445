//! The record of one act.

use crate::platform::Received;
use linekeeper_contract::message::{Callback, Event, Message};
use std::time::Duration;

/// The record of one act.
#[derive(Debug, Default)]
pub(super) struct Act {
    pub(super) title: &'static str,
    pub(super) fault: &'static str,
    /// When the fault was injected.
    pub(super) at: Duration,
    pub(super) seen_after: Option<Duration>,
    pub(super) messages: Vec<Received>,
    pub(super) outcome: String,
    /// The agent's clock has jumped ahead, so its stamps cannot be compared with the lab's clock.
    pub(super) clock_jumped: bool,
    /// What was missing or unexpected; empty if the act succeeded.
    pub(super) failures: Vec<String>,
}

impl Act {
    pub(super) fn events(&self) -> Vec<Event> {
        let all = self.messages.iter().filter(|m| !m.repeated).filter_map(|m| match m.message() {
            Some(Message::Event(event)) => Some(*event),
            _ => None,
        });
        all.collect()
    }

    pub(super) fn callbacks(&self) -> Vec<Callback> {
        let all = self.messages.iter().filter(|m| !m.repeated).filter_map(|m| match m.message() {
            Some(Message::Callback(callback)) => Some(*callback),
            _ => None,
        });
        all.collect()
    }

    pub(super) fn require(&mut self, holds: bool, what: &str) {
        if !holds {
            self.failures.push(what.to_owned());
        }
    }
}
