//! The journal of commands.

use crate::checks::layers::ASKED_MOST;
use crate::observation::RemedyId;
use crate::outage::line::Cause;
use crate::speed::TestId;
use crate::text::beginning;
use linekeeper_contract::message::{Arguments, CommandName, CommandResult, CommandState};
use linekeeper_contract::units::{Mono, Span, Wall};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;

/// Commands remembered. 24: with a validity of minutes that is more than [`RATE`] lets in; at most some 20 kB of snapshot.
pub const JOURNAL: usize = 24;
/// Commands, repeated and refused ones too, that are looked at in [`RATE_WINDOW`].
///
/// 20: one every half a minute; a person who looks into one gateway gives five. Each costs up to three answers of half
/// a kilobyte on flash.
pub const RATE: usize = 20;
/// See [`RATE`].
pub const RATE_WINDOW: Span = Span::minutes(10);
/// So many more are told that they are too many; the rest gets no answer.
pub(super) const TOLD_TOO_MANY: usize = 10;
/// How long a command is valid that does not say. Five minutes: orders are about now.
pub const VALID_DEFAULT: Span = Span::minutes(5);
/// The longest validity that is taken. A day: what was ordered yesterday was ordered about yesterday's line.
pub const VALID_MOST: Span = Span::days(1);
/// Answers' bodies are kept up to so many bytes in all, the latest; beyond, a repeated command gets its answer without.
pub(super) const BODIES: usize = 4 * 1024;
/// Words of others (a driver, the reader of commands) are kept in an answer up to so many bytes.
pub(super) const WORDS: usize = 160;
/// How far in the future a re-check may be ordered, seconds. A complaint that was handled three months ago is another.
pub const DELAY_S: std::ops::RangeInclusive<u64> = 60..=90 * 86_400;

/// The journal, and what hangs on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commands {
    pub(super) journal: VecDeque<Entry>,
    /// When commands came.
    pub(super) arrivals: VecDeque<Mono>,
    /// The remedy in course that was ordered on a line that was not broken.
    pub(super) on_whole_line: Option<RemedyId>,
    /// The break of the line that is taken for that remedy's doing.
    #[serde(skip)]
    pub(super) shielded: Option<Cause>,
    /// Places in the journal whose answer is due.
    #[serde(skip)]
    pub(super) owed: Vec<String>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: Option<CommandName>,
    #[serde(default)]
    pub(super) arguments: Arguments,
    /// It is not begun after that, by our own clock.
    pub(super) until: Mono,
    /// The same by civil time, where it said so.
    pub(super) expires: Option<Wall>,
    pub(super) doing: Doing,
    /// The last answer.
    pub(super) last: CommandResult,
}

/// What a command waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Doing {
    /// Its turn, or nothing any more.
    Nothing,
    /// This remedy's end.
    Remedy(RemedyId),
    /// The end of these tests.
    Tests(Vec<TestId>, Vec<Value>),
    /// What the layers answer that were asked at that moment.
    Checks(Mono),
}

impl Entry {
    pub(super) fn waits(&self) -> bool {
        self.last.state == CommandState::Accepted
    }

    pub(super) fn overdue(&self, now: Mono, wall: Option<Wall>) -> bool {
        now >= self.until || wall.zip(self.expires).is_some_and(|(wall, expires)| wall >= expires)
    }
}

impl Commands {
    pub(super) fn find(&mut self, id: &str) -> Option<&mut Entry> {
        self.journal.iter_mut().find(|e| e.last.command_id == id)
    }

    /// Whether one more command may be looked at now; `None`: not even told that it is one too many.
    pub(super) fn arrives(&mut self, now: Mono) -> Option<bool> {
        while self.arrivals.front().is_some_and(|at| now.since(*at) >= RATE_WINDOW) {
            self.arrivals.pop_front();
        }
        if self.arrivals.len() >= RATE + TOLD_TOO_MANY {
            return None;
        }
        self.arrivals.push_back(now);
        Some(self.arrivals.len() <= RATE)
    }

    /// Makes room for one; `false`: all that is remembered must still be.
    pub(super) fn room(&mut self, now: Mono) -> bool {
        if self.journal.len() < JOURNAL {
            return true;
        }
        let over = |e: &Entry| e.last.state.is_end() && now >= e.until;
        let Some(at) = self.journal.iter().position(over) else { return false };
        self.journal.remove(at);
        true
    }

    /// Keeps the bodies of the latest answers only.
    pub(super) fn slim(&mut self) {
        let mut bytes = 0;
        for entry in self.journal.iter_mut().rev().filter(|e| !e.last.result.is_null()) {
            bytes += entry.last.result.to_string().len();
            if bytes > BODIES && entry.last.state.is_end() {
                entry.last.result = Value::Null;
                entry.last.detail.push_str(" (what was found is not kept any more)");
            }
        }
    }

    /// When time must pass at the latest.
    pub(super) fn wake(&self) -> Option<Mono> {
        let asked = |e: &Entry| match e.doing {
            Doing::Checks(since) => Some(since + ASKED_MOST),
            Doing::Nothing | Doing::Remedy(_) | Doing::Tests(..) => None,
        };
        let waits = self.journal.iter().filter(|e| e.waits()).map(|e| e.until);
        waits.chain(self.journal.iter().filter_map(asked)).min()
    }

    /// No command waits or is in course, and none is to be answered.
    pub(super) fn is_idle(&self) -> bool {
        let over = |e: &Entry| !e.waits() && e.doing == Doing::Nothing;
        self.owed.is_empty() && self.on_whole_line.is_none() && self.journal.iter().all(over)
    }

    /// No command is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.journal.is_empty()
    }

    /// A new life: what was in course in the last one.
    pub(super) fn started(&mut self) {
        self.shielded = None;
        self.owed.clear();
    }
}

/// The beginning of what others say.
pub(super) fn brief(text: &str) -> &str {
    beginning(text, WORDS)
}
