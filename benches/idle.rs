//! What watching costs while nothing happens: two minutes of the real agent on a quiet line, connected to a broker.
//!
//! `cargo bench --features lab --bench idle`; `LINEKEEPER_BENCH_SECONDS` changes for how long (120 at least for figures
//! that are to be told). Measured from outside, in /proc and on the interface. The profile and
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

/// Seconds. Two minutes: twelve keep-alives and echoes to the gateway, so that one more or less does not show.
const QUIET: u64 = 120;
/// An echo and its answer at the IP layer (RFC 792: 20 of header, 8 of ICMP, and ours carry 32).
const EXCHANGE: f64 = 120.0;
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

    let asked = std::env::var("LINEKEEPER_BENCH_SECONDS").ok().and_then(|n| n.parse().ok());
    let id = agent.process().id();
    let (before, traffic, echoes) = (Spent::read(id), passed(), echoes(&agent));
    let began = clock::uptime();
    std::thread::sleep(Duration::from_secs(asked.unwrap_or(QUIET)));
    let seconds = clock::since(began).as_secs_f64();
    let (after, traffic_after, echoes_after) = (Spent::read(id), passed(), self::echoes(&agent));
    let mb_day = |bytes: f64| bytes / seconds * 86_400.0 / 1e6;

    println!("over {seconds:.0} s on a quiet line, connected to a broker, with the trace recorded");
    println!("figure idle.cpu_pct {:.4} %", (after.cpu_s - before.cpu_s) / seconds * 100.0);
    println!("figure idle.rss_mb {:.2} MB", after.peak_kb as f64 / 1_000.0);
    println!("figure idle.wakeups_s {:.2} 1/s", (after.switches - before.switches) as f64 / seconds);
    println!("figure idle.probe_mb_day {:.2} MB", mb_day((echoes_after - echoes) as f64 * EXCHANGE));
    println!("figure idle.sent_mb_day {:.2} MB", mb_day((traffic_after.0 - traffic.0) as f64));
    println!("figure idle.received_mb_day {:.2} MB", mb_day((traffic_after.1 - traffic.1) as f64));
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

/// Echoes that came to an end, by the agent's own trace.
fn echoes(agent: &Agent) -> usize {
    agent.traced("\"echo_answered\"") + agent.traced("\"echo_lost\"")
}

/// Bytes that left and that came over the WAN device, everything that is not probing included; Ethernet.
fn passed() -> (u64, u64) {
    let text = ip(Host::Gateway, &["-s", "-j", "link", "show", WAN]).expect("ip");
    let links: Value = serde_json::from_str(&text).expect("ip's JSON");
    let bytes = |way: &str| links[0]["stats64"][way]["bytes"].as_u64().expect("a count");
    (bytes("tx"), bytes("rx"))
}
