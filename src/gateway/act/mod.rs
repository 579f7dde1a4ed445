//! What carries actions out: each part knows how, none knows why.
//!
//! Nothing in here decides. What comes back from the world goes to the judge as an observation.

pub mod durable;
pub mod frame;
pub mod hook;
pub mod mqtt;
pub mod outbox;
pub mod pack;
pub mod remedy;
pub mod store;
