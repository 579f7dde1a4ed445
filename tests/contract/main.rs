//! What goes over the wire: messages against their schemas, and a fleet at a real broker.

#[path = "../common/mod.rs"]
mod common;
mod contract;
mod fleet;
mod schemas;

use common::trial::Program;
use std::process::ExitCode;

fn main() -> ExitCode {
    // They mostly wait.
    Program::with_parallel_tests(4)
        .module("schemas", schemas::tests)
        .module("fleet", fleet::tests)
        .module("contract", contract::tests)
        .run()
}
