//! The observer interface of a simulation.

use super::report::Delivery;
use super::world::Trouble;
use linekeeper_contract::message::Critical;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::observation::Observation;
use serde_json::Value;

/// A moment, on the clock of the world and on that of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Since the start of the simulation.
    pub world: Span,
    /// On the agent's clock, which stops while the gateway is off.
    pub agent: Mono,
}

/// Observes a simulation. Every method has an empty default.
pub trait Spectator {
    /// The process starts, with this snapshot.
    fn on_start(&mut self, _at: Moment, _snapshot: Option<&Value>) {}
    /// The judge is about to receive this observation.
    fn on_observation(&mut self, _at: Moment, _saw: &Observation) {}
    /// The judge ordered this action.
    fn on_action(&mut self, _at: Moment, _action: &Action) {}
    /// The judge's state is saved now, together with the messages of this step.
    fn on_save(&mut self, _at: Moment, _judge: &Judge, _messages: &[Critical]) {}
    /// A fault of the world starts (`true`) or ends (`false`).
    fn on_fault(&mut self, _at: Moment, _trouble: &Trouble, _begins: bool) {}
    /// A message reached the platform.
    fn on_delivery(&mut self, _delivery: &Delivery) {}
}

/// Observes nothing.
impl Spectator for () {}
