//! What came of a simulated time.

use linekeeper_contract::message::{CallbackState, Critical, Outcome};
use linekeeper_contract::units::{Bytes, Span};
use linekeeper_contract::vocabulary::Rung;
use std::collections::BTreeMap;

/// What came of it, in figures and in the order in which the platform learnt it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Observations given to the judge.
    pub observations: u64,
    /// Echoes asked for, those that were passed over included.
    pub probes: u64,
    /// Time that was passed over while nothing could happen ([`Judge::rests`](linekeeper_judge::Judge::rests)).
    pub skipped: Span,
    /// Time without a line by nothing but the remedies' doing.
    pub self_inflicted: Span,
    /// Speed tests that came to an end, and the bytes that they moved.
    pub tests: (u64, Bytes),
    /// Messages handed to the outbox.
    pub published: u64,
    /// Calls that were asked for, by the callback's id.
    pub requests: BTreeMap<String, Request>,
    /// Lives of the process.
    pub lives: u32,
    /// Boots of the gateway, the first included.
    pub boots: u32,
    /// True breaks of the line as the agent could have seen them, and what it made of them.
    pub breaks: Vec<Break>,
    /// Moments at which the line was declared down and was in truth whole.
    pub false_breaks: Vec<Span>,
    /// Remedies begun: when and which.
    pub remedies: Vec<(Span, Rung)>,
    /// Remedies ended, by rung and outcome.
    pub outcomes: BTreeMap<(Rung, Outcome), u32>,
    /// Callbacks by id, in their last published state.
    pub callbacks: BTreeMap<String, CallbackState>,
    /// What reached the platform, in order, repetitions included.
    pub delivered: Vec<Delivery>,
    /// Messages that still wait in the outbox.
    pub waiting: usize,
    /// Routine summaries handed over.
    pub summaries: u64,
    /// Echoes that they tell were answered.
    pub summed: u64,
    /// Snapshots written.
    pub saves: u64,
    /// The largest of them, bytes of JSON.
    pub largest_snapshot: usize,
    /// Steps after which the judge asked to be woken at once or in the past.
    pub stalls: u64,
    /// Notes by level: debug, info, warn.
    pub notes: [u64; 3],
}

/// A call that was asked for, held against the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// When it was first asked for.
    pub at: Span,
    /// What set it off.
    pub name: String,
    /// It was so.
    pub right: bool,
    /// When it first reached the platform.
    pub arrived: Option<Span>,
    /// It was not so any more when it arrived there.
    pub late: bool,
}

/// A true break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// Of the gateway's own doing: nothing was wrong when it began.
    pub own: bool,
    /// Nobody could watch, for a part of it at least: the agent did not run.
    pub unwatched: bool,
    /// When the line broke.
    pub broke: Span,
    /// When the line was declared down.
    pub declared: Option<Span>,
    /// When the line was whole again.
    pub returned: Option<Span>,
    /// When that was declared.
    pub restored: Option<Span>,
}

impl Break {
    /// From the break to its declaration.
    pub fn detection(&self) -> Option<Span> {
        Some(Span(self.declared?.0 - self.broke.0))
    }

    /// From the line's return to its declaration.
    pub fn restoration(&self) -> Option<Span> {
        Some(Span(self.restored?.0.saturating_sub(self.returned?.0)))
    }
}

/// A message at the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// When it came.
    pub at: Span,
    /// When it was handed to the outbox.
    pub published: Span,
    /// It had come before: the first acknowledgement was lost.
    pub repeated: bool,
    /// What.
    pub message: Critical,
}
