//! linekeeper watches a broadband line from the gateway, repairs what a gateway can repair, and asks the operator to
//! call the customer when it cannot.
//!
//! ```text
//!  sense ──Observation──▶ run ──▶ judge ──▶ run ──Action──▶ act
//!    ▲                     │  (pure: no IO, no clock,        │
//!    │                     ▼   no randomness, no async)      │
//!    └── Action::Probe    recorder (trace.jsonl)            └── outcomes come back as Observations
//! ```
//!
//! The judge is a crate of its own (`linekeeper-judge`). This crate holds everything that touches the outside world.

pub mod act;
pub mod cli;
pub mod clock;
pub mod config_text;
pub mod crash;
pub mod netifd;
pub mod privacy;
pub mod program;
pub mod run;
pub mod sense;
pub mod trust;
pub mod upgrade;
