//! Virtual time around the judge: simulated worlds, the demo's story, logs of other people.

mod backtest;
#[path = "../common/mod.rs"]
mod common;
mod simulate;
mod story;
