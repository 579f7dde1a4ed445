//! What came of a simulated time.

use crate::action::Rung;
use crate::message::{CallbackState, Critical, Outcome};
use crate::units::Span;
use std::collections::BTreeMap;

/// What came of it, in figures and in the order in which the platform learnt it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Observations given to the judge.
    pub observations: u64,
    /// Echoes asked for.
    pub probes: u64,
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
    /// Snapshots written.
    pub saves: u64,
    /// The largest of them, bytes of JSON.
    pub largest_snapshot: usize,
    /// Steps after which the judge asked to be woken at once or in the past.
    pub stalls: u64,
    /// Notes by level: debug, info, warn.
    pub notes: [u64; 3],
}

/// A true break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
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
