//! The request that the platform call the customer. One per incident at most.
//!
//! `requested → received → (scheduled) → closed`, or `withdrawn` when the line healed before anyone called, or
//! `refused`. While a notice of the operator's holds for the area it is `covered` instead of requested; when the notice
//! ends before the incident does, the same callback is requested. `received` needs the platform's receipt: the broker's acknowledgement only starts the wait for it. A
//! receipt that does not come makes us ask again, with the same id, so that the platform can tell; so does a broker that would
//! not have the request. What `closed` says of the
//! call (satisfaction, what it was about, by whom it was resolved) is kept, and what of it comes only later is taken in too.

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

/// A callback in course.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// As it was last published; what is asked again is this, letter for letter.
    pub last: message::Callback,
    /// Number of the last publication.
    pub number: u64,
    /// Counts the changes, from 1.
    pub revision: u32,
    /// When it was opened, on our own clock.
    pub opened_at: Mono,
    /// When it last changed.
    #[serde(default)]
    pub changed_at: Mono,
    /// Without a receipt: when to ask again (known from the broker's acknowledgement on).
    pub again: Option<Mono>,
    /// How often it was asked again.
    pub repeats: u32,
}

impl Callback {
    /// Whether somebody may still be about to call.
    pub fn is_live(&self) -> bool {
        is_live(self.last.state)
    }

    /// The broker has it: from now on the receipt is awaited. (Or it would not have it: none will come.)
    pub fn acknowledged(&mut self, now: Mono, number: u64, wait: Span) {
        if self.number == number && self.last.state == CallbackState::Requested {
            let wait =
                wait.times(1u64.checked_shl(self.repeats.min(32)).unwrap_or(u64::MAX)).min(ASK_AGAIN_MOST);
            self.again = Some(now + wait);
        }
    }
}

/// What the other concerns may know of a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its id.
    pub callback_id: String,
    /// Its incident.
    pub incident_id: Option<String>,
    /// Where it stands.
    pub state: CallbackState,
    /// How urgent it is.
    pub severity: message::Severity,
}

impl Live {
    /// Whether somebody may still be about to call.
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

/// Whether a receipt says something of the call that is not known yet.
pub fn adds(last: &message::Callback, receipt: &Receipt) -> bool {
    let score = receipt.satisfaction_score.is_some() && receipt.satisfaction_score != last.satisfaction_score;
    score || !receipt.issue_types.is_empty() && receipt.issue_types != last.issue_types
}

/// The state after a receipt, or why it changes nothing.
///
/// Receipts come at least once and may come late: one that says what is known already, or less, changes nothing.
pub fn after(state: CallbackState, receipt: ReceiptState) -> Result<CallbackState, &'static str> {
    use CallbackState as C;
    use ReceiptState as R;
    match (state, receipt) {
        (C::Requested, R::Received) => Ok(C::Received),
        (C::Requested | C::Received, R::Scheduled) => Ok(C::Scheduled),
        (C::Requested | C::Received | C::Scheduled, R::Closed) => Ok(C::Closed),
        (C::Requested | C::Received | C::Scheduled, R::Refused) => Ok(C::Refused),
        // The platform called although the line had healed: then it is closed all the same.
        (C::Withdrawn, R::Closed) => Ok(C::Closed),
        // It called although nobody asked for it; with anything else it says nothing that must be known.
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
