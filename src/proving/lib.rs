//! Runs the judge in virtual time.
//!
//! [`simulate`] runs it against simulated lines, [`backtest`] against logs of real lines, and [`replay`] repeats a recorded
//! trace. Nothing here reads a clock or the network: equal input gives equal output on every machine. The caller supplies the
//! parser for configuration text ([`ParseText`]), so that this crate does not depend on TOML.

pub mod backtest;
mod files;
pub mod replay;
pub mod simulate;
mod table;

pub use files::{Failure, ParseText};
