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
//! Everything above the line below is the core: it builds alone, on serde and serde_json.

pub mod action;
pub mod check;
pub mod config;
pub mod json;
pub mod judge;
pub mod message;
pub mod observation;
pub mod privacy;
pub mod recording;
pub mod replay;
pub mod simulate;
pub mod speed;
pub mod units;
pub mod vocabulary;

// Below the line: what touches the world.
#[cfg(feature = "daemon")]
pub mod act;
#[cfg(feature = "daemon")]
pub mod clock;
#[cfg(feature = "daemon")]
pub mod crash;
// Reads what people write, and runs side by side: no part of a router's build, which has no `toml`.
#[cfg(feature = "toml")]
pub mod ground;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "daemon")]
pub mod netifd;
#[cfg(feature = "daemon")]
pub mod program;
#[cfg(feature = "daemon")]
pub mod run;
#[cfg(feature = "daemon")]
pub mod sense;
#[cfg(feature = "daemon")]
pub mod trust;
