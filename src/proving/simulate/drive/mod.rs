//! The loop: the next thing that happens, told to the judge, and what the judge wants done, done.

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
