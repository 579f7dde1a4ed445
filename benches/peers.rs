//! Compares linekeeper with the peers installed on this machine, on the same line with the same faults at the same time.
//!
//! `benches/figures peers`. The peers are dpinger, mwan3track and iperf3. A missing one is named and skipped; with
//! `LINEKEEPER_REQUIRE_ALL=1` it is an error. Without any peer the benchmark fails.
//! Prints `figure NAME VALUE UNIT`, the median of the runs and the worst:
//!
//! - `peers.declared_s`, `peers.dpinger.declared_s`, `peers.mwan3.declared_s`: from silence beyond the gateway to the event
//!   in the platform's hands, to dpinger's alarm as pfSense runs it (an echo each 500 ms, alarm at 20 % of a minute's lost),
//!   and to mwan3track's `disconnected`; `peers.mwan3.disconnecting_s` is its first sign;
//! - `peers.restored_s`, `peers.dpinger.restored_s`, `peers.mwan3.restored_s`: the same from the end of the silence;
//! - `peers.rate_error_pct` and `peers.iperf3.rate_error_pct`: how far the measured rate is from the shaped one, of `linekeeper
//!   speedtest` (at the IP layer) and iperf3 (of the payload, as each reports it), 100/20 Mbit/s, one after the other.
//!
//! **mwan3track** is the script of OpenWrt's mwan3 that detects. It is looked for on PATH, or `LINEKEEPER_MWAN3TRACK` names
//! it: `…/usr/sbin/mwan3track`, with `…/lib/mwan3/common.sh` beside it as in the package. The script runs unchanged but for
//! the paths of what it includes and calls. busybox ash runs it; what it needs of uci, netifd, ubus and hotplug are
//! stand-ins. The settings are the shipped ones, with four targets of this line in the place of the four public resolvers.
//! Policy routing, which mwan3 does after a detection, is not part of the figure.

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
use linekeeper_lab::world::{ANCHOR, Host, Process, WAN, WORLD, WORLD2, World};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Outages. dpinger looks back over a minute: each has to be forgotten before the next.
const OUTAGES: usize = 3;
/// Rates each way.
const RATES: usize = 3;
/// What takes longer is not measured. mwan3track takes two minutes.
const PATIENCE: Duration = Duration::from_secs(240);
/// The fourth target of mwan3track: the first router beyond the operator's access router.
const CORE: &str = "198.18.200.2";

/// A figure, or why it was not measured.
type Measured<T> = Result<T, String>;

fn main() -> ExitCode {
    if let Some(code) = measured_elsewhere() {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("benches/peers: not measured: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Measured<()> {
    let mwan3 = mwan3track()?;
    let dpinger = is_installed("dpinger");
    let iperf3 = is_installed("iperf3") && is_installed("tc");
    let mut missing = Vec::new();
    for (there, words) in [
        (dpinger, "dpinger is not on PATH"),
        (mwan3.is_some(), "mwan3track (with busybox) is not on PATH, and LINEKEEPER_MWAN3TRACK names none"),
        (iperf3, "iperf3 or tc is not on PATH"),
    ] {
        if !there {
            println!("{words}: skipped");
            missing.push(words);
        }
    }
    if missing.len() == 3 {
        return Err("no peer is installed".into());
    }
    if !missing.is_empty() && std::env::var("LINEKEEPER_REQUIRE_ALL").is_ok_and(|value| value == "1") {
        return Err(format!("LINEKEEPER_REQUIRE_ALL is set, and {}", missing.join("; ")));
    }
    if iperf3 {
        rates()?;
    }
    if dpinger || mwan3.is_some() {
        outages(dpinger, mwan3.as_deref())?;
    }
    Ok(())
}

/// Where mwan3track is. An error where it is named and is not there.
fn mwan3track() -> Measured<Option<PathBuf>> {
    if let Some(named) = std::env::var_os("LINEKEEPER_MWAN3TRACK").map(PathBuf::from) {
        if !named.is_file() {
            return Err(format!("LINEKEEPER_MWAN3TRACK names {}, which is not a file", named.display()));
        }
        if !is_installed("busybox") {
            return Err("mwan3track needs busybox, which is not on PATH".into());
        }
        return Ok(Some(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|d| d.join("mwan3track")).find(|file| file.is_file());
    Ok(found.filter(|_| is_installed("busybox")))
}

fn print(name: &str, mut values: Vec<f64>, unit: &str) {
    values.sort_by(f64::total_cmp);
    let worst = values[values.len() - 1];
    println!("figure {name} {:.3} {unit}", values[values.len() / 2]);
    println!("figure {name}.worst {worst:.3} {unit}");
}

fn rates() -> Measured<()> {
    let mut line = Line::new();
    line.serve();
    let world = &line.world;
    let mut server = Command::new("iperf3");
    server.args(["-s", "-p", "5201"]).stdin(Stdio::null()).stdout(Stdio::null());
    let _server = world.spawn_in(Host::Anchor, &mut server).expect("iperf3's server");
    let there = || world.run_in(Host::Anchor, || std::net::TcpStream::connect((ANCHOR, 5201)).is_ok());
    assert!(clock::wait_until(PATIENCE, || there().unwrap_or(false)), "iperf3 does not listen");
    world.shape(mbit(100), mbit(20)).expect("a shaped line");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RATES {
        for (upload, shaped) in [(false, 100e6), (true, 20e6)] {
            let rate = our_rate(world, upload).ok_or("linekeeper speedtest gave no rate")?;
            ours.push(off(rate, shaped * IP_LAYER));
            let rate = iperf3_rate(world, upload).ok_or("iperf3 gave no rate")?;
            theirs.push(off(rate, shaped * IP_LAYER));
        }
    }
    print("peers.rate_error_pct", ours, "%");
    print("peers.iperf3.rate_error_pct", theirs, "%");
    Ok(())
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

fn outages(dpinger: bool, mwan3: Option<&Path>) -> Measured<()> {
    let world = World::build(Path::new(agent_binary())).expect("the world");
    let _broker = Broker::start(&world).expect("the broker");
    let platform =
        Platform::start(Some(Host::Platform), Broker::address(), Receipts::Received).expect("the platform");
    let configuration = agent::configuration(&world).replace("flapping = 20\n", "flapping = 100\n");
    let _agent = Agent::start(&world, Path::new(agent_binary()), &configuration).expect("the agent");
    let is_up = |state: &Value| state.get("line").and_then(Value::as_str) == Some("up");
    platform.wait_for(0, PATIENCE, |r| r.kind == "state" && is_up(&r.json)).expect("the line is seen up");
    let mut peers = Vec::new();
    if dpinger {
        peers.push(start_dpinger(&world)?);
    }
    if let Some(script) = mwan3 {
        peers.push(start_mwan3track(&world, script)?);
    }
    let mut ours = [Vec::new(), Vec::new()];
    for n in 0..OUTAGES {
        // dpinger's window has to be full of answers first, and ours must not be at the same phase each time.
        let apart = if dpinger { 65_000 } else { 3_000 };
        std::thread::sleep(Duration::from_millis(apart + 137 * n as u64));
        for (step, fault) in [World::silence_upstream, World::restore_upstream].into_iter().enumerate() {
            let written: Vec<usize> = peers.iter().map(|peer| peer.actions().len()).collect();
            let place = platform.place();
            let at = clock::uptime();
            fault(&world).map_err(|e| e.to_string())?;
            let wanted: &[EventName] = match step {
                0 => &[EventName::IncidentOpened, EventName::IncidentUpdated],
                _ => &[EventName::IncidentClosed],
            };
            let seen = platform.wait_for(place, PATIENCE, |r| {
                matches!(r.message(), Some(Message::Event(e)) if wanted.contains(&e.event) && !r.repeated)
            });
            let seen = seen.ok_or_else(|| format!("linekeeper reported none of {wanted:?}"))?;
            ours[step].push(seen.at.saturating_sub(at).as_secs_f64());
            for (peer, written) in peers.iter_mut().zip(written) {
                peer.wait(step, written, at)?;
            }
        }
    }
    let [declared, restored] = ours;
    print("peers.declared_s", declared, "s");
    print("peers.restored_s", restored, "s");
    for peer in peers {
        for (figure, times) in peer.times {
            print(&format!("peers.{}.{figure}", peer.name), times, "s");
        }
    }
    Ok(())
}

/// A peer at work. It writes each of its actions with the uptime to a file.
struct Peer {
    name: &'static str,
    _process: Process,
    file: PathBuf,
    log: PathBuf,
    /// Which action ends which figure: first of the silence, then of its end.
    figures: [&'static [(&'static str, &'static str)]; 2],
    times: Vec<(&'static str, Vec<f64>)>,
}

impl Peer {
    fn actions(&self) -> Vec<(Duration, String)> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let action = |line: &str| {
            let (uptime, action) = line.split_once(' ')?;
            Some((Duration::try_from_secs_f64(uptime.parse().ok()?).ok()?, action.to_owned()))
        };
        text.lines().filter_map(action).collect()
    }

    /// Waits for the actions that follow a fault made at `at`, after so many that were written before.
    fn wait(&mut self, step: usize, written: usize, at: Duration) -> Measured<()> {
        for (figure, wanted) in self.figures[step] {
            let find = || self.actions().into_iter().skip(written).find(|(_, action)| action == wanted);
            if !clock::wait_until(PATIENCE, || find().is_some()) {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                return Err(format!("{} did not report {wanted} within {PATIENCE:?}\n{log}", self.name));
            }
            let took = find().map_or(PATIENCE, |(uptime, _)| uptime.saturating_sub(at)).as_secs_f64();
            eprintln!("{}: {wanted} after {took:.1} s", self.name);
            match self.times.iter_mut().find(|(name, _)| name == figure) {
                Some((_, times)) => times.push(took),
                None => self.times.push((figure, vec![took])),
            }
        }
        Ok(())
    }
}

fn write(file: &Path, text: &str) -> Measured<()> {
    std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}

fn write_script(file: &Path, text: &str) -> Measured<()> {
    write(file, &format!("#!/bin/sh\n{text}"))?;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))
        .map_err(|e| format!("{}: {e}", file.display()))
}

/// The lines of a script that writes what a peer does. Without any program: hotplug is called without a PATH.
fn writes_action(action: &str, file: &Path) -> String {
    format!("read -r uptime rest </proc/uptime\necho \"$uptime {action}\" >>'{}'\n", file.display())
}

/// It runs a command at each change, with the target and `1` for an alarm, `0` for its end.
fn start_dpinger(world: &World) -> Measured<Peer> {
    let [script, file, log] =
        ["alert", "actions", "log"].map(|n| world.directory().join(format!("dpinger-{n}")));
    write_script(&script, &writes_action("$2", &file))?;
    let mut command = Command::new("dpinger");
    command.args(["-f", "-s", "500", "-l", "2000", "-t", "60000", "-D", "500", "-L", "20", "-C"]);
    command.arg(&script).arg(ANCHOR.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
    let process = world.spawn_in(Host::Gateway, &mut command).map_err(|e| e.to_string())?;
    let figures: [&[_]; 2] = [&[("declared_s", "1")], &[("restored_s", "0")]];
    Ok(Peer { name: "dpinger", _process: process, file, log, figures, times: Vec::new() })
}

/// What mwan3track uses of OpenWrt's /lib/functions.sh: the shipped settings of `wan`, and four targets of this line.
const FUNCTIONS: &str = r#"config_load() { :; }
config_get() {
    case $3 in
    family) eval "$1=ipv4" ;;
    reliability) eval "$1=2" ;;
    *) eval "$1=\"\$4\"" ;;
    esac
}
config_get_bool() { eval "$1=\"\$4\""; }
config_list_foreach() { for target in TARGETS; do "$3" "$target"; done; }
uci_get_state() { echo 60; }
uci_toggle_state() { :; }
"#;

/// What it uses of /lib/functions/network.sh: the line is up, and this is its device.
const NETWORK: &str = r#"network_flush_cache() { :; }
network_is_up() { :; }
network_get_device() { eval "$1=DEVICE"; }
network_get_ipaddr() { eval "$1=$(ip -4 -o address show dev DEVICE | sed -n 's/.* inet \([0-9.]*\).*/\1/p')"; }
"#;

/// Copies the script with the paths of the stand-ins, and starts it as mwan3 does.
fn start_mwan3track(world: &World, script: &Path) -> Measured<Peer> {
    let directory = world.directory().join("mwan3");
    let path = |name: &str| directory.join(name);
    for name in ["bin", "run"] {
        std::fs::create_dir_all(path(name)).map_err(|e| format!("{}: {e}", path(name).display()))?;
    }
    let root = script.ancestors().nth(3).unwrap_or(Path::new("/"));
    let common = root.join("lib/mwan3/common.sh");
    let read = |file: &Path| std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()));
    let replace = |mut text: String, paths: &[(&str, PathBuf)]| {
        for (from, to) in paths {
            if !text.contains(from) {
                return Err(format!("{} does not use {from}: another version of mwan3?", script.display()));
            }
            text = text.replace(from, &to.display().to_string());
        }
        Ok(text)
    };
    let (actions, log) = (path("actions"), path("log"));
    let program = replace(
        read(script)?,
        &[
            ("/lib/functions.sh", path("functions.sh")),
            ("/lib/functions/network.sh", path("network.sh")),
            ("/lib/mwan3/common.sh", path("common.sh")),
            ("/sbin/hotplug-call", path("hotplug-call")),
        ],
    )?;
    write(&path("mwan3track"), &program)?;
    write(&path("common.sh"), &replace(read(&common)?, &[("/var/run", path("run"))])?)?;
    write(
        &path("functions.sh"),
        &FUNCTIONS.replace("TARGETS", &format!("{ANCHOR} {WORLD} {WORLD2} {CORE}")),
    )?;
    write(&path("network.sh"), &NETWORK.replace("DEVICE", WAN))?;
    write_script(&path("hotplug-call"), &writes_action("$ACTION", &actions))?;
    // Nobody is there.
    write_script(&path("bin/ubus"), "exit 4\n")?;
    write_script(&path("bin/logger"), &format!("echo \"$*\" >>'{}'\n", log.display()))?;
    let mut command = Command::new("busybox");
    command.arg("ash").arg(path("mwan3track")).arg("wan");
    let programs = format!("{}:{}", path("bin").display(), std::env::var("PATH").unwrap_or_default());
    command.env("PATH", programs).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = world.spawn_in(Host::Gateway, &mut command).map_err(|e| e.to_string())?;
    let figures: [&[_]; 2] = [
        &[("disconnecting_s", "disconnecting"), ("declared_s", "disconnected")],
        &[("restored_s", "connected")],
    ];
    let peer = Peer { name: "mwan3", _process: process, file: actions, log, figures, times: Vec::new() };
    let started = || peer.actions().iter().any(|(_, action)| action == "connected");
    if !clock::wait_until(Duration::from_secs(20), started) {
        let log = std::fs::read_to_string(&peer.log).unwrap_or_default();
        return Err(format!("{} did not start\n{log}", script.display()));
    }
    Ok(peer)
}
