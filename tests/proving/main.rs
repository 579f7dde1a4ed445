//! Virtual time around the judge: simulated worlds, the demo's story, logs of other people.

mod backtest;
#[path = "../common/mod.rs"]
mod common;
mod simulate;
mod story;

use common::trial::Program;
use std::process::ExitCode;

fn main() -> ExitCode {
    // They compute: as many as there are cores here.
    Program::with_parallel_tests(2)
        .module("backtest", backtest::tests)
        .module("simulate", simulate::tests)
        .module("story", story::tests)
        .run()
}
