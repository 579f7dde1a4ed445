//! What a concern is: one part of the judge, with its policy, its state and its tests in one folder.
//!
//! A concern sees the observation, and the rest through one read-only [`Context`]. What it wants done it puts into the
//! [`Outbox`]; what the other concerns should know it gives as a [`Signal`], or as a fact ([`Concern::show`]). None reads or
//! writes another's state.
//!
//! In each step every concern is asked in the order of the list ([`super::concerns`]): first it takes the observation in
//! ([`Concern::observe`]), then, the line having been judged, it decides ([`Concern::advance`]), then it enters in its books
//! how things stand ([`Concern::close`]). Signals are delivered in between, as soon as who gave them has ended.

use super::context::{Context, Facts};
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::status::Status;
use crate::config::Config;
use crate::observation::Observation;
use linekeeper_contract::units::{Mono, Span};

/// It never comes.
pub const NEVER: Mono = Mono(u64::MAX);

/// In which kind of quiet time a concern may be passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// The ordinary course of watching: echoes are answered or lost, counters come, time passes, and the line stays up. Only
    /// concerns that keep something of such an observation ([`Concern::keeps`]) are asked.
    Watched,
    /// For simulators: nothing is observed at all; the line is as it is, and whoever is asked answers as ever. What that
    /// changes is caught up with [`Concern::rested`].
    Passed {
        /// The longest that the round trip of the best far target usually takes, microseconds.
        longest_us: Option<u64>,
    },
}

/// A time that was passed over.
#[derive(Debug)]
pub struct Rest<'a> {
    /// From when.
    pub from: Mono,
    /// For how long.
    pub by: Span,
    /// Whom the quiet rotation asked: the usual round trip, microseconds, and from one question to the next.
    pub asked: &'a [(u32, Span)],
}

/// One part of the judge.
pub trait Concern {
    /// It knows nothing yet.
    fn new(config: &Config) -> Self
    where
        Self: Sized;

    /// Takes an observation in: one of the ordinary course only if it keeps something of it ([`Concern::keeps`]).
    fn observe(&mut self, _cx: &Context<'_>, _seen: &Observation, _out: &mut Outbox) {}

    /// Another concern has something to tell.
    fn hear(&mut self, _cx: &Context<'_>, _signal: &Signal, _out: &mut Outbox) {}

    /// Decides what is to be done now. `seen`: what this step observed.
    fn advance(&mut self, _cx: &Context<'_>, _seen: &Observation, _out: &mut Outbox) {}

    /// All is decided in this step: enters how things stand.
    fn close(&mut self, _cx: &Context<'_>) {}

    /// Puts what the others may know of it into the facts. Called whenever it was asked.
    fn show(&mut self, _facts: &mut Facts) {}

    /// When it must be asked again at the latest, though nothing is observed.
    fn deadline(&self, cx: &Context<'_>) -> Option<Mono>;

    /// Until when it may be passed over: not later than its deadline. `None`: what is observed next may matter to it.
    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono>;

    /// Which ordinary observations (echoes answered or lost, counters, ticks) it takes in: in quiet time it is asked with these
    /// alone.
    fn keeps(_seen: &Observation) -> bool
    where
        Self: Sized,
    {
        false
    }

    /// So much time was passed over: catches up with it.
    fn rested(&mut self, _cx: &Context<'_>, _rest: &Rest<'_>) {}

    /// Adds what people and the platform may know of it.
    fn fill_status(&self, _cx: &Context<'_>, _status: &mut Status) {}

    /// Writes its parts of the snapshot.
    fn save(&self, parts: &mut Parts);

    /// Reads them.
    ///
    /// # Errors
    /// In words, where they are missing or not readable.
    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String>;
}

/// The answer of who may be passed over until its deadline.
pub fn until(deadline: Option<Mono>) -> Option<Mono> {
    Some(deadline.unwrap_or(NEVER))
}
