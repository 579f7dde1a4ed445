//! The whole daemon in the demo's world: namespaces, real packets, Debian's broker.

#[path = "../common/mod.rs"]
mod common;
mod fault_live;
mod gateway;
mod kill;
mod lab;
mod names;
mod no_alarm;
mod outage;
mod platform;
mod promise_live;
mod replay;
mod restart;
mod speed;
mod trouble;

use common::trial::Program;
use std::process::ExitCode;

fn main() -> ExitCode {
    // These tests wait for real time; each uses the processor for a fraction of a second only.
    Program::with_parallel_tests(12)
        .module("fault_live", fault_live::tests)
        .module("no_alarm", no_alarm::tests)
        .module("kill", kill::tests)
        .module("restart", restart::tests)
        .module("outage", outage::tests)
        .module("platform", platform::tests)
        .module("trouble", trouble::tests)
        .module("gateway", gateway::tests)
        .module("replay", replay::tests)
        .module("names", names::tests)
        .module("lab", lab::tests)
        .module("promise_live", promise_live::tests)
        .module("speed", speed::tests)
        .run()
}
