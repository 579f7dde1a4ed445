//! The trait of a concern: one part of the judge, with its policy, its state and its tests in one folder.
//!
//! A concern gets the observation and a read-only [`Context`]. It puts the actions it wants into the [`Outbox`]. It informs
//! the other concerns with a [`Signal`] or with a fact ([`Concern::publish_facts`]). No concern reads or writes the state of
//! another.
//!
//! Each step runs all concerns in the order of the list ([`super::concerns`]). First each takes in the observation
//! ([`Concern::observe`]). Then the line is judged, and each concern decides ([`Concern::advance`]). At the end each records
//! the result of the step ([`Concern::end_step`]). Signals are delivered in between, as soon as the concern that sent them
//! returns.

use super::context::{Context, Facts};
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::status::Status;
use crate::config::Config;
use crate::observation::Observation;
use linekeeper_contract::units::{Mono, Span};

/// A time that never comes.
pub const NEVER: Mono = Mono(u64::MAX);

/// The kinds of quiet period in which a concern need not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// Only routine observations arrive (echo replies, lost echoes, counters, ticks) and the line stays up. Only the concerns
    /// that record them ([`Concern::wants_routine`]) run.
    Watched,
    /// For simulators: nothing is observed at all. The line does not change, and every target answers as usual. Afterwards
    /// [`Concern::catch_up`] accounts for the skipped time.
    Passed {
        /// Upper limit of the usual round-trip time of the best far target, microseconds.
        longest_us: Option<u64>,
    },
}

/// Time that was skipped.
#[derive(Debug)]
pub struct Skipped<'a> {
    /// When it began.
    pub from: Mono,
    /// How long it was.
    pub by: Span,
    /// The targets of the quiet rotation: the usual round-trip time in microseconds, and the interval between two echoes.
    pub asked: &'a [(u32, Span)],
}

/// One part of the judge.
pub trait Concern {
    /// The state before the first observation.
    fn new(config: &Config) -> Self
    where
        Self: Sized;

    /// Takes in an observation. Routine observations arrive only if the concern records them ([`Concern::wants_routine`]).
    fn observe(&mut self, _cx: &Context<'_>, _seen: &Observation, _out: &mut Outbox) {}

    /// Handles a signal, from itself or another concern.
    fn on_signal(&mut self, _cx: &Context<'_>, _signal: &Signal, _out: &mut Outbox) {}

    /// Decides what to do now. `seen`: the observation of this step.
    fn advance(&mut self, _cx: &Context<'_>, _seen: &Observation, _out: &mut Outbox) {}

    /// Records the result of the step. All decisions of the step have been made.
    fn end_step(&mut self, _cx: &Context<'_>) {}

    /// Writes what the other concerns may know of it into the facts. Called after every call that may have changed it.
    fn publish_facts(&mut self, _facts: &mut Facts) {}

    /// When it must run again at the latest, even if nothing is observed.
    fn deadline(&self, cx: &Context<'_>) -> Option<Mono>;

    /// Until when it need not run: not later than its deadline. `None`: the next observation may matter to it.
    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono>;

    /// Which routine observations (echo replies, lost echoes, counters, ticks) it takes in. In a quiet period it gets only
    /// these.
    fn wants_routine(_seen: &Observation) -> bool
    where
        Self: Sized,
    {
        false
    }

    /// Accounts for time that was skipped.
    fn catch_up(&mut self, _cx: &Context<'_>, _skipped: &Skipped<'_>) {}

    /// Adds its part of the status for people and the platform.
    fn fill_status(&self, _cx: &Context<'_>, _status: &mut Status) {}

    /// Writes its parts of the snapshot.
    fn save(&self, parts: &mut Parts);

    /// Reads its parts of the snapshot.
    ///
    /// # Errors
    /// A description, if a part is missing or not readable.
    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String>;
}

/// [`Concern::quiet_until`] of a concern that need not run before its deadline.
pub fn until(deadline: Option<Mono>) -> Option<Mono> {
    Some(deadline.unwrap_or(NEVER))
}
