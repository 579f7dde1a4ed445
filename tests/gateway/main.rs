//! The daemon's senses, hands and connection, each by itself against the real thing.

mod access;
mod broker;
mod chaos;
#[path = "../common/mod.rs"]
mod common;
mod flash;
mod hooks;
mod hostile;
mod manners;
mod outbox;
mod remedy;
mod sense;

use common::trial::Program;
use std::process::ExitCode;

fn main() -> ExitCode {
    // They mostly wait.
    Program::with_parallel_tests(6)
        .module("access", access::tests)
        .module("sense", sense::tests)
        .module("broker", broker::tests)
        .module("manners", manners::tests)
        .module("hooks", hooks::tests)
        .module("hostile", hostile::tests)
        .module("outbox", outbox::tests)
        .module("remedy", remedy::tests)
        .module("flash", flash::tests)
        .module("chaos", chaos::tests)
        .part(chaos::PART, chaos::live)
        .part(outbox::WRITER, outbox::write_until_killed)
        .run()
}
