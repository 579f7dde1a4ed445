//! What watching costs while nothing happens: two minutes of the real agent on a quiet line, connected to a broker.
//!
//! `cargo bench --features lab --bench idle`. Measured from outside, in /proc and on the interface. The profile and
//! the C library are the bench's own (release, glibc): `idle.rss_mb` of the router profile with musl is lower.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark ends where it cannot measure"
)]

use linekeeper::lab::agent::{self, Agent};
use linekeeper::lab::broker::Broker;
use linekeeper::lab::clock;
use linekeeper::lab::enclosure::measured_elsewhere;
use linekeeper::lab::platform::{Platform, Receipts};
use linekeeper::lab::world::{Host, WAN, World, ip};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Two minutes: twelve keep-alives and echoes to the gateway, so that one more or less does not show.
const QUIET: Duration = Duration::from_secs(120);
/// What starting needs: it must not count as idling.
const SETTLED: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    if let Some(code) = measured_elsewhere() {
        return code;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_linekeeper"));
    let world = World::build(program).expect("the world");
    let _broker = Broker::start(&world).expect("the broker");
    let platform =
        Platform::start(Some(Host::Platform), Broker::address(), Receipts::Received).expect("the platform");
    let mut agent = Agent::start(&world, program, &agent::configuration(&world)).expect("the agent");
    let up = |r: &linekeeper::lab::platform::Received| r.json["line"] == "up";
    platform.wait_for(0, Duration::from_secs(30), up).expect("the line is seen up");
    std::thread::sleep(SETTLED);

    let id = agent.process().id();
    let (before, traffic) = (Spent::read(id), sent(&world));
    let began = clock::uptime();
    std::thread::sleep(QUIET);
    let seconds = clock::since(began).as_secs_f64();
    let (after, traffic_after) = (Spent::read(id), sent(&world));

    println!("figure idle.cpu_pct {:.4} %", (after.cpu_s - before.cpu_s) / seconds * 100.0);
    println!("figure idle.rss_mb {:.2} MB", after.peak_kb as f64 / 1_000.0);
    println!("figure idle.wakeups_s {:.2} 1/s", (after.switches - before.switches) as f64 / seconds);
    println!("figure idle.sent_mb_day {:.2} MB", (traffic_after - traffic) as f64 / seconds * 86_400.0 / 1e6);
    ExitCode::SUCCESS
}

struct Spent {
    cpu_s: f64,
    peak_kb: u64,
    switches: u64,
}

impl Spent {
    /// By /proc/PID/schedstat (nanoseconds on a processor) and /proc/PID/status.
    fn read(id: u32) -> Spent {
        let mut cpu_ns = 0;
        let mut switches = 0;
        for task in fs::read_dir(format!("/proc/{id}/task")).expect("the agent's threads") {
            let path = task.expect("a thread").path();
            let stat = fs::read_to_string(path.join("schedstat")).expect("schedstat");
            cpu_ns += stat.split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("nanoseconds");
            switches += line(&path.join("status"), "voluntary_ctxt_switches:");
        }
        let peak_kb = line(Path::new(&format!("/proc/{id}/status")), "VmHWM:");
        Spent { cpu_s: cpu_ns as f64 / 1e9, peak_kb, switches }
    }
}

fn line(path: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(path).expect("a status file");
    let line = text.lines().find_map(|l| l.strip_prefix(name)).expect("its line");
    line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
}

/// Bytes that left over the WAN device.
fn sent(_world: &World) -> u64 {
    let text = ip(Host::Gateway, &["-s", "-j", "link", "show", WAN]).expect("ip");
    let links: Value = serde_json::from_str(&text).expect("ip's JSON");
    links[0]["stats64"]["tx"]["bytes"].as_u64().expect("a count")
}
