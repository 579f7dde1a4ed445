//! The life of a callback, the request that the platform call the customer. An incident has at most one.
//!
//! `requested → received → (scheduled) → closed`, or `withdrawn` when the line recovered before anyone called, or
//! `refused`. While an operator's notice is in force for the area, the state is `covered` instead of `requested`; when the
//! notice ends before the incident does, the same callback is requested. `received` needs the platform's receipt: the
//! broker's acknowledgement only starts the wait for it. A missing receipt, or a request that the broker rejects, makes us
//! publish again with the same id, so that the platform recognises it. What a `closed` receipt says about the call
//! (satisfaction, what it was about, who resolved it) is stored. What comes in a later receipt is added.

use crate::observation::{Receipt, ReceiptState};
use linekeeper_contract::message::{self, CallbackState};
use linekeeper_contract::units::{Mono, Span};
use serde::{Deserialize, Serialize};

/// Callbacks remembered at a time. Eight: one of the present incident, one of the customer, and those of the last
/// incidents whose receipts may still come.
pub const CALLBACKS: usize = 8;
/// Issues in one callback. Eight sentences are more than anybody reads aloud; a button that is pressed again and again
/// must not grow the message.
pub const ISSUES: usize = 8;
/// The same words of the customer's within this time are the same request: an impatient finger. Later they are news.
pub const ASKED_ANEW: Span = Span::minutes(5);
/// The longest wait between two requests without a receipt.
pub const ASK_AGAIN_MOST: Span = Span::hours(1);

/// A callback and what is needed to publish it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// As it was last published. A repeated request is this, byte for byte.
    pub last: message::Callback,
    /// Sequence number of the last publication.
    pub number: u64,
    /// Counts the changes, starting at 1.
    pub revision: u32,
    /// When it was opened, on our own clock.
    pub opened_at: Mono,
    /// When it last changed.
    #[serde(default)]
    pub changed_at: Mono,
    /// When to publish again without a receipt. Set from the broker's acknowledgement on.
    pub again: Option<Mono>,
    /// How often it was published again.
    pub repeats: u32,
    /// The changes that the platform's receipts made lately.
    #[serde(default, skip_serializing_if = "Receipts::is_empty")]
    pub receipts: Receipts,
}

/// The most changes by receipts of one callback in an hour.
///
/// 12: received, scheduled and scheduled anew a few times, closed, and a survey are eight at most. Each change is written to flash
/// and published, so a platform that never ends would wear out the one and push events out of the outbox.
pub const RECEIPTS_PER_HOUR: u16 = 12;

/// The changes in the hour that began with the first of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts {
    /// When that hour began.
    since: Mono,
    /// Changes since then, and one for all that were left out.
    count: u16,
}

impl Receipts {
    fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Counts one more. Whether it may be applied, and whether it is the first that may not.
    pub fn take(&mut self, now: Mono) -> (bool, bool) {
        if now.since(self.since) >= Span::hours(1) {
            *self = Receipts { since: now, count: 0 };
        }
        let first_beyond = self.count == RECEIPTS_PER_HOUR;
        self.count = (self.count + 1).min(RECEIPTS_PER_HOUR + 1);
        (self.count <= RECEIPTS_PER_HOUR, first_beyond)
    }
}

impl Callback {
    /// Whether a call may still come.
    pub fn is_live(&self) -> bool {
        is_live(self.last.state)
    }

    /// The broker acknowledged or rejected it: starts the wait for the receipt.
    pub fn acknowledged(&mut self, now: Mono, number: u64, wait: Span) {
        if self.number == number && self.last.state == CallbackState::Requested {
            let wait =
                wait.times(1u64.checked_shl(self.repeats.min(32)).unwrap_or(u64::MAX)).min(ASK_AGAIN_MOST);
            self.again = Some(now + wait);
        }
    }
}

/// What other concerns see of a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its id.
    pub callback_id: String,
    /// Its incident.
    pub incident_id: Option<String>,
    /// Its state.
    pub state: CallbackState,
    /// How urgent it is.
    pub severity: message::Severity,
}

impl Live {
    /// Whether a call may still come.
    pub fn is_live(&self) -> bool {
        is_live(self.state)
    }
}

fn is_live(state: CallbackState) -> bool {
    match state {
        CallbackState::Requested | CallbackState::Received | CallbackState::Scheduled => true,
        CallbackState::Covered
        | CallbackState::Closed
        | CallbackState::Withdrawn
        | CallbackState::Refused => false,
    }
}

/// Whether a receipt says something new about the call.
pub fn adds(last: &message::Callback, receipt: &Receipt) -> bool {
    let score = receipt.satisfaction_score.is_some() && receipt.satisfaction_score != last.satisfaction_score;
    score || !receipt.issue_types.is_empty() && receipt.issue_types != last.issue_types
}

/// The state after a receipt, or why it changes nothing.
///
/// Receipts are delivered at least once and may be late: one that says nothing new changes nothing.
pub fn after(state: CallbackState, receipt: ReceiptState) -> Result<CallbackState, &'static str> {
    use CallbackState as C;
    use ReceiptState as R;
    match (state, receipt) {
        (C::Requested, R::Received) => Ok(C::Received),
        (C::Requested | C::Received, R::Scheduled) => Ok(C::Scheduled),
        (C::Requested | C::Received | C::Scheduled, R::Closed) => Ok(C::Closed),
        (C::Requested | C::Received | C::Scheduled, R::Refused) => Ok(C::Refused),
        // The platform called although the line had recovered: the callback is closed.
        (C::Withdrawn, R::Closed) => Ok(C::Closed),
        // The platform called without a request. Other receipts for a covered callback mean nothing.
        (C::Covered, R::Closed) => Ok(C::Closed),
        (C::Covered, R::Received | R::Scheduled | R::Refused) => Err("the callback is covered by a notice"),
        (C::Received | C::Scheduled, R::Received) | (C::Scheduled, R::Scheduled) => {
            Err("it says nothing new")
        }
        (C::Closed, R::Received | R::Scheduled | R::Closed | R::Refused) => Err("the callback is closed"),
        (C::Withdrawn, R::Received | R::Scheduled | R::Refused) => Err("the callback was withdrawn"),
        (C::Refused, R::Received | R::Scheduled | R::Closed | R::Refused) => Err("the callback was refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_receipt_in_every_state() {
        use CallbackState as C;
        use ReceiptState as R;
        let table = [
            (C::Covered, [None, None, Some(C::Closed), None]),
            (C::Requested, [Some(C::Received), Some(C::Scheduled), Some(C::Closed), Some(C::Refused)]),
            (C::Received, [None, Some(C::Scheduled), Some(C::Closed), Some(C::Refused)]),
            (C::Scheduled, [None, None, Some(C::Closed), Some(C::Refused)]),
            (C::Closed, [None, None, None, None]),
            (C::Withdrawn, [None, None, Some(C::Closed), None]),
            (C::Refused, [None, None, None, None]),
        ];
        for (state, wanted) in table {
            for (receipt, want) in [R::Received, R::Scheduled, R::Closed, R::Refused].into_iter().zip(wanted)
            {
                assert_eq!(after(state, receipt).ok(), want, "{state:?} {receipt:?}");
            }
        }
    }
}
