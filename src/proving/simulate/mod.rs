//! Simulates a line in virtual time, around the same judge that runs on the gateway.
//!
//! A [`World`] says what is true: the line, its faults, the gateway, the platform. A [`Simulation`] runs it and drives the
//! judge as the live daemon does: echo replies arrive after their round trip or time out, ticks and counters arrive a little
//! late, remedies take time, the outbox waits for the broker, and a killed process restarts from its last snapshot. All
//! chance comes from a seed, so equal seeds give equal runs.
//!
//! [`plan`] reads the description of a world, [`runs`] runs many seeds in parallel, [`tally`] sums up the results and
//! [`figures`] prints them.

mod drive;
pub mod figures;
mod layers;
mod line;
pub mod plan;
mod platform;
pub mod random;
mod report;
pub mod runs;
mod spectator;
pub mod story;
pub mod tally;
mod world;

pub use drive::{Simulation, run};
pub use report::{Break, Delivery, Report, Request};
pub use spectator::{Moment, Spectator};
pub use world::{Fault, Platform, Recorded, Trouble, World};
