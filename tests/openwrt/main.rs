//! What runs on OpenWrt: scripts, pages, remedies by netifd, builds.

#[path = "../common/mod.rs"]
mod common;
mod cross;
mod luci;
mod openwrt;
mod openwrt_remedy;

use common::trial::Program;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Scripts and browsers take the processor, netifd's stand-in waits.
    Program::with_parallel_tests(4)
        .module("openwrt", openwrt::tests)
        .module("openwrt_remedy", openwrt_remedy::tests)
        .module("luci", luci::tests)
        .module("cross", cross::tests)
        .part(openwrt_remedy::VICTIM, openwrt_remedy::repair_until_killed)
        .part(openwrt_remedy::LISTENING, openwrt_remedy::listen_until_killed)
        .run()
}
