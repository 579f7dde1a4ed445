//! The simulation loop.
//!
//! The loop takes the next event, passes it to the judge as an observation and carries out the resulting actions. `state`
//! holds the data; every other module adds the methods of one subject to it.

mod broker;
mod faults;
mod judging;
mod process;
mod remedies;
mod sensors;
mod speed;
mod state;
mod truth;
mod turn;

pub use state::Simulation;
pub use turn::run;
