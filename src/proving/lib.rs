//! Virtual time around the judge: recorded traces are replayed, worlds that never were are simulated, and logs of real
//! lines are judged as if they happened now.

pub mod backtest;
mod files;
pub mod replay;
pub mod simulate;
mod table;

pub use files::{Failure, ParseText};
