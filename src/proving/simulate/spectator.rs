//! Who looks on while a world runs.

use super::report::Delivery;
use super::world::Trouble;
use linekeeper_contract::message::Critical;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::observation::Observation;
use serde_json::Value;

/// A moment, on the world's clock and on the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Since the start of the simulation.
    pub world: Span,
    /// The agent's clock, which stands still while the gateway is off.
    pub agent: Mono,
}

/// Looks on. Every method may be left out.
pub trait Spectator {
    /// A life of the process begins, with this memory.
    fn begins(&mut self, _at: Moment, _snapshot: Option<&Value>) {}
    /// The judge is about to be told this.
    fn saw(&mut self, _at: Moment, _saw: &Observation) {}
    /// The judge wants this done.
    fn does(&mut self, _at: Moment, _action: &Action) {}
    /// The judge's state is to be kept now, with the messages of this step.
    fn saves(&mut self, _at: Moment, _judge: &Judge, _messages: &[Critical]) {}
    /// Something befell the world, or ended (`false`).
    fn befalls(&mut self, _at: Moment, _trouble: &Trouble, _begins: bool) {}
    /// A message reached the platform.
    fn delivered(&mut self, _delivery: &Delivery) {}
}

/// Looks at nothing.
impl Spectator for () {}
