//! The actors: they carry out the judge's actions.
//!
//! Nothing in here decides. Results go back to the judge as observations.

pub mod durable;
pub mod frame;
pub mod hook;
pub mod mqtt;
pub mod outbox;
pub mod pack;
pub mod remedy;
pub mod store;
