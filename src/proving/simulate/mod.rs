//! A seeded world in virtual time: lines, faults, remedies, platforms, power cuts, around the same judge that runs on
//! the gateway.
//!
//! The judge is driven as the live runner drives it: echoes come back after their round trip or are given up, ticks
//! and counters come a little late, remedies take their time, the outbox waits for the broker, a killed process
//! begins again from its last snapshot. Equal seeds give equal months.

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
