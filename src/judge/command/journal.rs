//! The journal of commands: the last commands with their state and reply.

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
/// So many more are refused with a reply; the rest gets none.
pub(super) const TOLD_TOO_MANY: usize = 10;
/// Validity of a command that states none. Five minutes: commands are about now.
pub const VALID_DEFAULT: Span = Span::minutes(5);
/// The longest validity accepted. A day: yesterday's command was about yesterday's line.
pub const VALID_MOST: Span = Span::days(1);
/// Bytes of result bodies kept in all, the latest first. Beyond that a repeated command gets its reply without the body.
pub(super) const BODIES: usize = 4 * 1024;
/// Bytes kept of foreign texts (from a driver, or the command parser) in a reply.
pub(super) const WORDS: usize = 160;
/// How far in the future a re-check may be ordered, seconds. After three months a complaint is a new one.
pub const DELAY_S: std::ops::RangeInclusive<u64> = 60..=90 * 86_400;

/// The journal and what belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commands {
    pub(super) journal: VecDeque<Entry>,
    /// Arrival times of the last commands.
    pub(super) arrivals: VecDeque<Mono>,
    /// The running remedy that was commanded on a working line.
    pub(super) on_whole_line: Option<RemedyId>,
    /// The break that is attributed to that remedy.
    #[serde(skip)]
    pub(super) shielded: Option<Cause>,
    /// Ids of the commands whose state must be published.
    #[serde(skip)]
    pub(super) owed: Vec<String>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: Option<CommandName>,
    #[serde(default)]
    pub(super) arguments: Arguments,
    /// Latest start, on the monotonic clock.
    pub(super) until: Mono,
    /// Latest start in civil time, if the command states one.
    pub(super) expires: Option<Wall>,
    pub(super) doing: Doing,
    /// The last reply.
    pub(super) last: CommandResult,
}

/// What a command waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Doing {
    /// Its turn, or nothing because it ended.
    Nothing,
    /// The end of this remedy.
    Remedy(RemedyId),
    /// The end of these tests.
    Tests(Vec<TestId>, Vec<Value>),
    /// The results of the checks started at this time.
    Checks(Mono),
}

impl Entry {
    pub(super) fn is_waiting(&self) -> bool {
        self.last.state == CommandState::Accepted
    }

    pub(super) fn is_overdue(&self, now: Mono, wall: Option<Wall>) -> bool {
        now >= self.until || wall.zip(self.expires).is_some_and(|(wall, expires)| wall >= expires)
    }
}

impl Commands {
    pub(super) fn find(&mut self, id: &str) -> Option<&mut Entry> {
        self.journal.iter_mut().find(|e| e.last.command_id == id)
    }

    /// Counts an arrival. Returns whether it is within [`RATE`]; `None` if it does not even get a refusal.
    pub(super) fn admit_arrival(&mut self, now: Mono) -> Option<bool> {
        while self.arrivals.front().is_some_and(|at| now.since(*at) >= RATE_WINDOW) {
            self.arrivals.pop_front();
        }
        if self.arrivals.len() >= RATE + TOLD_TOO_MANY {
            return None;
        }
        self.arrivals.push_back(now);
        Some(self.arrivals.len() <= RATE)
    }

    /// Makes room for one entry. Returns `false` if every entry must still be remembered.
    pub(super) fn make_room(&mut self, now: Mono) -> bool {
        if self.journal.len() < JOURNAL {
            return true;
        }
        let over = |e: &Entry| e.last.state.is_end() && now >= e.until;
        let Some(at) = self.journal.iter().position(over) else { return false };
        self.journal.remove(at);
        true
    }

    /// Drops the result bodies of all but the latest replies.
    pub(super) fn drop_old_results(&mut self) {
        let mut bytes = 0;
        for entry in self.journal.iter_mut().rev().filter(|e| !e.last.result.is_null()) {
            bytes += entry.last.result.to_string().len();
            if bytes > BODIES && entry.last.state.is_end() {
                entry.last.result = Value::Null;
                entry.last.detail.push_str(" (what was found is not kept any more)");
            }
        }
    }

    /// The next time at which a command expires or a check times out.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let asked = |e: &Entry| match e.doing {
            Doing::Checks(since) => Some(since + ASKED_MOST),
            Doing::Nothing | Doing::Remedy(_) | Doing::Tests(..) => None,
        };
        let waits = self.journal.iter().filter(|e| e.is_waiting()).map(|e| e.until);
        waits.chain(self.journal.iter().filter_map(asked)).min()
    }

    /// No command is waiting, running or owed a reply.
    pub(super) fn is_idle(&self) -> bool {
        let over = |e: &Entry| !e.is_waiting() && e.doing == Doing::Nothing;
        self.owed.is_empty() && self.on_whole_line.is_none() && self.journal.iter().all(over)
    }

    /// No command is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.journal.is_empty()
    }

    /// Resets what does not outlive a process.
    pub(super) fn started(&mut self) {
        self.shielded = None;
        self.owed.clear();
    }
}

/// Cuts a foreign text to [`WORDS`] bytes.
pub(super) fn shorten(text: &str) -> &str {
    beginning(text, WORDS)
}
