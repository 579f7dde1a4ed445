//! The result of a simulation.

use linekeeper_contract::message::{CallbackState, Critical, Outcome};
use linekeeper_contract::units::{Bytes, Span};
use linekeeper_contract::vocabulary::Rung;
use std::collections::BTreeMap;

/// The result of a simulation: counts, and the messages in the order of their delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Observations that the judge received.
    pub observations: u64,
    /// Echo requests, including those in skipped time.
    pub probes: u64,
    /// Time that was skipped because nothing could happen ([`Judge::skippable_until`](linekeeper_judge::Judge::skippable_until)).
    pub skipped: Span,
    /// Downtime caused by remedies alone.
    pub self_inflicted: Span,
    /// Speed tests that ended, and the bytes they transferred.
    pub tests: (u64, Bytes),
    /// Messages handed to the outbox.
    pub published: u64,
    /// Requested calls, by callback id.
    pub requests: BTreeMap<String, Request>,
    /// Starts of the process.
    pub lives: u32,
    /// Boots of the gateway, including the first.
    pub boots: u32,
    /// True breaks of the line, and what the agent declared.
    pub breaks: Vec<Break>,
    /// Moments at which the line was declared down although it was intact.
    pub false_breaks: Vec<Span>,
    /// Started remedies: when and which.
    pub remedies: Vec<(Span, Rung)>,
    /// Ended remedies, by rung and outcome.
    pub outcomes: BTreeMap<(Rung, Outcome), u32>,
    /// The last published state of each callback, by id.
    pub callbacks: BTreeMap<String, CallbackState>,
    /// Messages that reached the platform, in order, including repetitions.
    pub delivered: Vec<Delivery>,
    /// Messages left in the outbox.
    pub waiting: usize,
    /// Telemetry summaries sent.
    pub summaries: u64,
    /// Answered echoes that these summaries report.
    pub summed: u64,
    /// Saved snapshots.
    pub saves: u64,
    /// The largest snapshot, bytes of JSON.
    pub largest_snapshot: usize,
    /// Steps after which the judge asked to be woken at once or in the past.
    pub stalls: u64,
    /// Notes by level: debug, info, warn.
    pub notes: [u64; 3],
}

/// A requested call, compared with the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// When it was first requested.
    pub at: Span,
    /// The name of its trigger.
    pub name: String,
    /// Its statement was true when it was requested.
    pub right: bool,
    /// When it first reached the platform.
    pub arrived: Option<Span>,
    /// Its statement was no longer true when it arrived there.
    pub late: bool,
}

/// A true break of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// Caused by the gateway itself: there was no fault when it began.
    pub own: bool,
    /// The agent did not run for at least a part of it.
    pub unwatched: bool,
    /// When the line broke.
    pub broke: Span,
    /// When the line was declared down.
    pub declared: Option<Span>,
    /// When the line was intact again.
    pub returned: Option<Span>,
    /// When the return was declared.
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

/// A message that reached the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// When it arrived.
    pub at: Span,
    /// When it was handed to the outbox.
    pub published: Span,
    /// It had arrived before: the first acknowledgement was lost.
    pub repeated: bool,
    /// The message.
    pub message: Critical,
}
