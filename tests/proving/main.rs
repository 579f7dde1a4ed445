//! Tests of the judge in virtual time: simulated worlds, the demo's story, logs of real lines.

mod backtest;
#[path = "../common/mod.rs"]
mod common;
mod simulate;
mod story;

use common::trial::Program;
use std::process::ExitCode;

fn main() -> ExitCode {
    // These tests compute, so there are only as many in parallel as a small machine has cores.
    Program::with_parallel_tests(2)
        .module("backtest", backtest::tests)
        .module("simulate", simulate::tests)
        .module("story", story::tests)
        .run()
}
