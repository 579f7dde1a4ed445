//! The outbox, the broker and the platform behind it.

use super::report::Delivery;
use linekeeper_contract::message::{CallbackState, Critical, Message};
use linekeeper_contract::units::Span;
use linekeeper_judge::observation::{Receipt, ReceiptState};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A message in the outbox.
#[derive(Debug)]
pub(super) struct Waiting {
    pub message: Critical,
    pub published: Span,
}

/// The outbox, the connection to the broker, and the platform.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// The outbox. It is durable: it survives the process.
    pub outbox: VecDeque<Waiting>,
    /// The highest message number that was accepted.
    pub watermark: u64,
    /// The client is connected to the broker.
    pub connected: bool,
    /// The number of the connection. Messages in flight on an older one are lost.
    pub session: u64,
    /// How many messages of the outbox were sent on this connection.
    pub sent: usize,
    seen: BTreeSet<u64>,
    /// The platform's callbacks, by id, with their state.
    book: BTreeMap<String, CallbackState>,
    /// Receipts that the broker stores while the gateway is offline.
    pub kept: VecDeque<Receipt>,
}

/// How the platform answers a message.
pub(super) enum Answer {
    Nothing,
    Receive(String),
    Refuse(String),
}

impl Wire {
    /// Delivers a message to the platform.
    pub fn arrive(&mut self, at: Span, waiting: Waiting, receipts: Receipts) -> (Delivery, Answer) {
        let repeated = !self.seen.insert(waiting.message.number);
        let mut answer = Answer::Nothing;
        if let Message::Callback(callback) = &waiting.message.message {
            let id = callback.callback_id.clone();
            if callback.state == CallbackState::Requested {
                match receipts {
                    Receipts::Lost => {}
                    Receipts::Sent => answer = Answer::Receive(id.clone()),
                    Receipts::Refused => answer = Answer::Refuse(id.clone()),
                }
            }
            self.book.insert(id, callback.state);
        }
        let delivery = Delivery { at, published: waiting.published, repeated, message: waiting.message };
        (delivery, answer)
    }

    /// The receipt for a call made now, if the callback is still open.
    pub fn call(&mut self, id: &str) -> Option<Receipt> {
        match self.book.get(id)? {
            CallbackState::Requested | CallbackState::Received | CallbackState::Scheduled => Some(Receipt {
                callback_id: id.into(),
                state: ReceiptState::Closed,
                reason: None,
                satisfaction_score: Some(4),
                issue_types: Vec::new(),
                resolved_by: None,
            }),
            CallbackState::Covered
            | CallbackState::Closed
            | CallbackState::Withdrawn
            | CallbackState::Refused => None,
        }
    }
}

/// How the platform answers requests at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receipts {
    Sent,
    Lost,
    Refused,
}
