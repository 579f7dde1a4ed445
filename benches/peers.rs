//! The same line, the same fault, the same minute: linekeeper beside the peers that this machine has.
//!
//! `benches/figures peers`. Peers are looked for on PATH; what is missing is said and left out. Prints
//! `figure NAME VALUE UNIT`, the median of the runs and the worst:
//!
//! - `peers.declared_s` and `peers.dpinger.declared_s`: from silence beyond the gateway to the event in the platform's
//!   hands, and to dpinger's alarm, as pfSense runs it (an echo each 500 ms, alarm at 20 % of a minute's lost);
//! - `peers.rate_error_pct` and `peers.iperf3.rate_error_pct`: how far the rate told is from the shaped one, of `linekeeper
//!   speedtest` (at the IP layer) and iperf3 (of the payload, as each tells it), 100/20 Mbit/s, one after the other.
//!
//! mwan3 is not driven: it is OpenWrt's scripts on uci, netifd and nftables, and detects by ping(8) from them. On a router
//! that has it, take the uplink away behind the modem and read `logread -e mwan3`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark ends where it cannot measure"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::agent_binary;
use common::line::{IP_LAYER, Line, is_installed, mbit};
use linekeeper_contract::message::{EventName, Message};
use linekeeper_lab::agent::{self, Agent};
use linekeeper_lab::broker::Broker;
use linekeeper_lab::clock;
use linekeeper_lab::enclosure::measured_elsewhere;
use linekeeper_lab::platform::{Platform, Receipts};
use linekeeper_lab::world::{ANCHOR, Host, Process, World};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Outages. dpinger looks back over a minute: each has to be forgotten before the next.
const OUTAGES: usize = 3;
/// Rates each way.
const RATES: usize = 3;
/// What takes longer is told as this.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if let Some(code) = measured_elsewhere() {
        return code;
    }
    if is_installed("mwan3") {
        println!("mwan3 is here and is not driven: it needs OpenWrt around it");
    } else {
        println!("mwan3 is not on PATH: left out");
    }
    if is_installed("iperf3") && is_installed("tc") {
        rates();
    } else {
        println!("iperf3 or tc is not on PATH: rates are left out");
    }
    outages();
    ExitCode::SUCCESS
}

fn print(name: &str, mut values: Vec<f64>, unit: &str) {
    values.sort_by(f64::total_cmp);
    match values.last() {
        Some(worst) => {
            println!("figure {name} {:.3} {unit}", values[values.len() / 2]);
            println!("figure {name}.worst {worst:.3} {unit}");
        }
        None => println!("{name} was not measured"),
    }
}

fn rates() {
    let mut line = Line::new();
    line.serve();
    let world = &line.world;
    let mut server = Command::new("iperf3");
    server.args(["-s", "-p", "5201"]).stdin(Stdio::null()).stdout(Stdio::null());
    let _server = world.spawn_in(Host::Anchor, &mut server).expect("iperf3's server");
    let there = || world.within(Host::Anchor, || std::net::TcpStream::connect((ANCHOR, 5201)).is_ok());
    assert!(clock::wait_until(PATIENCE, || there().unwrap_or(false)), "iperf3 does not listen");
    world.shape(mbit(100), mbit(20)).expect("a shaped line");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RATES {
        for (upload, shaped) in [(false, 100e6), (true, 20e6)] {
            if let Some(rate) = our_rate(world, upload) {
                ours.push(off(rate, shaped * IP_LAYER));
            }
            if let Some(rate) = iperf3_rate(world, upload) {
                theirs.push(off(rate, shaped * IP_LAYER));
            }
        }
    }
    print("peers.rate_error_pct", ours, "%");
    print("peers.iperf3.rate_error_pct", theirs, "%");
}

fn off(got: f64, wanted: f64) -> f64 {
    ((got - wanted) / wanted * 100.0).abs()
}

fn run(world: &World, words: &[&str]) -> Option<Value> {
    let out = world.exec_in(Host::Gateway, Command::new(words[0]).args(&words[1..])).ok()?;
    serde_json::from_slice(&out.stdout).ok()
}

fn our_rate(world: &World, upload: bool) -> Option<f64> {
    let url = format!("http://{ANCHOR}/");
    let only = if upload { "--upload-only" } else { "--download-only" };
    let said = run(world, &[agent_binary(), "speedtest", "--server", &url, "--json", only])?;
    said["tests"][0]["outcome"]["line"].as_f64()
}

fn iperf3_rate(world: &World, upload: bool) -> Option<f64> {
    let host = ANCHOR.to_string();
    let mut words = vec!["iperf3", "-c", &host, "-P", "4", "-t", "8", "-J"];
    if !upload {
        words.push("-R");
    }
    run(world, &words)?["end"]["sum_received"]["bits_per_second"].as_f64()
}

fn outages() {
    let world = World::build(Path::new(agent_binary())).expect("the world");
    let _broker = Broker::start(&world).expect("the broker");
    let platform =
        Platform::start(Some(Host::Platform), Broker::address(), Receipts::Received).expect("the platform");
    let configuration = agent::configuration(&world).replace("flapping = 20\n", "flapping = 100\n");
    let _agent = Agent::start(&world, Path::new(agent_binary()), &configuration).expect("the agent");
    let is_up = |state: &Value| state.get("line").and_then(Value::as_str) == Some("up");
    platform.wait_for(0, PATIENCE, |r| r.kind == "state" && is_up(&r.json)).expect("the line is seen up");
    let alarm = world.directory().join("dpinger-alarm");
    let dpinger = is_installed("dpinger").then(|| dpinger(&world, &alarm));
    if dpinger.is_none() {
        println!("dpinger is not on PATH: left out");
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for n in 0..OUTAGES {
        // Its window has to be full of answers first, and ours must not be at the same phase each time.
        let apart = if dpinger.is_some() { 65_000 } else { 3_000 };
        std::thread::sleep(Duration::from_millis(apart + 137 * n as u64));
        let _ = std::fs::remove_file(&alarm);
        let place = platform.place();
        let at = clock::uptime();
        world.silence_upstream().expect("the fault");
        let seen = platform.wait_for(place, PATIENCE, |r| {
            let opened =
                |name: EventName| name == EventName::IncidentOpened || name == EventName::IncidentUpdated;
            matches!(r.message(), Some(Message::Event(e)) if opened(e.event) && !r.repeated)
        });
        ours.push(seen.map_or(PATIENCE, |s| s.at.saturating_sub(at)).as_secs_f64());
        if dpinger.is_some() {
            clock::wait_until(PATIENCE, || alarm.exists());
            theirs.push(clock::uptime().saturating_sub(at).as_secs_f64());
        }
        world.restore_upstream().expect("the fault's end");
    }
    print("peers.declared_s", ours, "s");
    if dpinger.is_some() {
        print("peers.dpinger.declared_s", theirs, "s");
    }
}

/// It runs a command at each change, with the target and `1` for an alarm.
fn dpinger(world: &World, alarm: &Path) -> Process {
    let script = world.directory().join("dpinger-alert");
    let text = format!("#!/bin/sh\n[ \"$2\" = 1 ] && : >'{}'\n", alarm.display());
    std::fs::write(&script, text).expect("dpinger's script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("dpinger's script");
    let mut command = Command::new("dpinger");
    command.args(["-f", "-s", "500", "-l", "2000", "-t", "60000", "-D", "500", "-L", "20", "-C"]);
    command.arg(&script).arg(ANCHOR.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
    world.spawn_in(Host::Gateway, &mut command).expect("dpinger")
}
