//! The cost of watching an idle line: two minutes of the real agent on a quiet line, with all sensors and default probing,
//! connected to a broker by TLS with client certificates.
//!
//! `benches/figures idle` measures the router's x86-64 build, which `LINEKEEPER_BINARY` names. Without that variable the bench's
//! own program is measured (release profile, glibc).
//!
//! `LINEKEEPER_BENCH_SECONDS` changes the duration (at least 120 for figures to be published). The measurement is external:
//! /proc, the kernel's ICMP counters, and the interface counters. Needs mosquitto and openssl.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark ends where it cannot measure"
)]

use linekeeper_lab::enclosure::measured_elsewhere;
use linekeeper_lab::world::{ANCHOR, Host, PLATFORM, Process, WAN, WORLD, WORLD2, World, ip};
use linekeeper_lab::{clock, run};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// The benchmark's own program, which also provides the servers of the world.
const PROGRAM: &str = env!("CARGO_BIN_EXE_linekeeper-agent");
/// Seconds. Two minutes have twelve keep-alives and gateway echoes, so that one more or less makes little difference.
const QUIET: u64 = 120;
/// An echo or its answer at the IP layer (RFC 792: 20 of header, 8 of ICMP, and ours carry 32).
const ECHO: f64 = 60.0;
/// Time for the start, including the first checks of resolver and web page, which must not count as idle.
const SETTLED: Duration = Duration::from_secs(15);
/// Timeout for all other steps.
const PATIENCE: Duration = Duration::from_secs(60);
/// MQTT's port with TLS.
const TLS_PORT: u16 = 8883;

fn main() -> ExitCode {
    let binary = std::env::var_os("LINEKEEPER_BINARY").map_or_else(|| PathBuf::from(PROGRAM), PathBuf::from);
    let binary = match fs::canonicalize(&binary) {
        Ok(binary) => binary,
        Err(e) => {
            eprintln!("not measured: LINEKEEPER_BINARY {}: {e}; build it first", binary.display());
            return ExitCode::FAILURE;
        }
    };
    let quiet = match std::env::var("LINEKEEPER_BENCH_SECONDS").map(|n| n.parse::<u64>()) {
        Ok(Ok(seconds @ 1..)) => seconds,
        Ok(_) => {
            eprintln!(
                "benches/idle: not measured: LINEKEEPER_BENCH_SECONDS must be a number of seconds above 0"
            );
            return ExitCode::FAILURE;
        }
        Err(_) => QUIET,
    };
    if let Some(code) = measured_elsewhere() {
        return code;
    }
    let world = World::build(Path::new(PROGRAM)).expect("the world");
    let directory = world.directory().join("idle");
    let _broker = broker(&world, &directory.join("mosquitto"));
    let _resolver = part(
        &world,
        Host::Anchor,
        (ANCHOR.into(), 53),
        "dns-server",
        &["--manner", "alive", "--address", &WORLD2.to_string()],
    );
    let _page = part(&world, Host::World2, (WORLD2.into(), 80), "web-server", &["--manner", "good"]);
    let file = directory.join("agent.json");
    fs::write(&file, configuration(&directory).to_string()).expect("the configuration");
    let log = File::create(directory.join("agent.log")).expect("a log");
    let mut command = Command::new(&binary);
    command.arg("run").arg("--config").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let agent = world.spawn_in(Host::Gateway, &mut command).expect("the agent");
    let said = || fs::read_to_string(directory.join("agent.log")).unwrap_or_default();
    let ready = || {
        let mut status = Command::new(&binary);
        status.arg("status").arg("--socket").arg(directory.join("socket")).stdin(Stdio::null());
        let up = status.output().is_ok_and(|out| out.status.success());
        up && said().contains("connected to the broker")
    };
    assert!(clock::wait_until(PATIENCE, ready), "the line is not up, or no broker is reached: {}", said());
    std::thread::sleep(SETTLED);

    let id = agent.id();
    let (before, traffic, echoes) = (Spent::read(id), passed(), echoes(&world));
    let began = clock::uptime();
    std::thread::sleep(Duration::from_secs(quiet));
    let seconds = clock::since(began).as_secs_f64();
    let (after, traffic_after, echoes_after) = (Spent::read(id), passed(), self::echoes(&world));
    let mb_day = |bytes: f64| bytes / seconds * 86_400.0 / 1e6;

    println!("{} over {seconds:.0} s on a quiet line, connected to a broker by TLS", binary.display());
    println!("figure idle.cpu_pct {:.4} %", (after.cpu_s - before.cpu_s) / seconds * 100.0);
    println!("figure idle.rss_mb {:.2} MB", after.peak_kb as f64 * 1_024.0 / 1e6);
    println!("figure idle.threads {} 1", after.threads);
    println!("figure idle.wakeups_s {:.2} 1/s", (after.switches - before.switches) as f64 / seconds);
    println!("figure idle.probe_mb_day {:.2} MB", mb_day((echoes_after - echoes) as f64 * ECHO));
    println!("figure idle.sent_mb_day {:.2} MB", mb_day((traffic_after.0 - traffic.0) as f64));
    println!("figure idle.received_mb_day {:.2} MB", mb_day((traffic_after.1 - traffic.1) as f64));
    ExitCode::SUCCESS
}

/// The configuration of a gateway in the field: all sensors, all defaults.
fn configuration(directory: &Path) -> Value {
    let certificates = directory.join("mosquitto/certificates");
    json!({
        "device": { "id": "gw-0001", "customer": "CUST1001", "area": "north-3/olt-7", "language": "zh-CN" },
        "line": { "device": WAN },
        "promise": {
            "download": { "minimum": "60 Mbit/s", "normal": "90 Mbit/s", "maximum": "100 Mbit/s" },
            "upload": { "normal": "18 Mbit/s", "maximum": "20 Mbit/s" },
        },
        "probe": { "targets": [
            { "host": ANCHOR.to_string(), "role": "anchor" },
            { "host": WORLD.to_string(), "role": "world" },
            { "host": WORLD2.to_string(), "role": "world" },
        ] },
        "speed": { "servers": [format!("http://{WORLD2}/")] },
        "name": { "resolvers": [ANCHOR.to_string()], "exists": "www.isp.example" },
        "web": { "url": format!("http://{WORLD2}/204") },
        "mqtt": {
            "broker": format!("mqtts://{PLATFORM}:{TLS_PORT}"),
            "ca": certificates.join("ca.pem"),
            "certificate": certificates.join("gw-0001.pem"),
            "key": certificates.join("gw-0001.key"),
        },
        "store": { "directory": directory.join("store") },
        "status": { "socket": directory.join("socket") },
    })
}

/// Debian's mosquitto with the certificates that `config/mosquitto` makes.
fn broker(world: &World, room: &Path) -> Process {
    fs::create_dir_all(room).expect("a directory");
    let maker = room.join("make-certificates");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/mosquitto/make-certificates"), &maker)
        .expect("a copy");
    run(Command::new("sh").arg(&maker).args(["--name", &PLATFORM.to_string(), "gw-0001"]))
        .expect("certificates");
    let settings = format!(
        "user root\nlistener {TLS_PORT} 0.0.0.0\ncafile certificates/ca.pem\ncertfile certificates/broker.pem\n\
         keyfile certificates/broker.key\nrequire_certificate true\nuse_identity_as_username true\n"
    );
    fs::write(room.join("settings"), settings).expect("its settings");
    // Debian installs it in /usr/sbin.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("mosquitto");
    command.args(["-c", "settings"]).current_dir(room).env("PATH", path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = world.spawn_in(Host::Platform, &mut command).expect("mosquitto, of Debian");
    listens(world, Host::Platform, (PLATFORM.into(), TLS_PORT));
    process
}

type Place = (std::net::IpAddr, u16);

/// Starts a server of the world from the benchmark's own program.
fn part(world: &World, host: Host, place: Place, name: &str, words: &[&str]) -> Process {
    let mut command = Command::new(PROGRAM);
    command.args(["lab", name, "--listen", &format!("{}:{}", place.0, place.1)]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let process = world.spawn_in(host, &mut command).expect(name);
    listens(world, host, place);
    process
}

fn listens(world: &World, host: Host, place: Place) {
    let listens = || TcpStream::connect(place).is_ok();
    let ready = world.run_in(host, || clock::wait_until(PATIENCE, listens)).expect("the namespace");
    assert!(ready, "nothing listens at {place:?}");
}

struct Spent {
    cpu_s: f64,
    /// KiB (the kernel writes kB).
    peak_kb: u64,
    threads: usize,
    switches: u64,
}

impl Spent {
    /// By /proc/PID/schedstat (nanoseconds on a processor) and /proc/PID/status.
    fn read(id: u32) -> Spent {
        let mut cpu_ns = 0;
        let (mut switches, mut threads) = (0, 0);
        for task in fs::read_dir(format!("/proc/{id}/task")).expect("the agent's threads") {
            let path = task.expect("a thread").path();
            let stat = fs::read_to_string(path.join("schedstat")).expect("schedstat");
            cpu_ns += stat.split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("nanoseconds");
            switches += line(&path.join("status"), "voluntary_ctxt_switches:");
            threads += 1;
        }
        let peak_kb = line(Path::new(&format!("/proc/{id}/status")), "VmHWM:");
        Spent { cpu_s: cpu_ns as f64 / 1e9, peak_kb, threads, switches }
    }
}

fn line(path: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(path).expect("a status file");
    let line = text.lines().find_map(|l| l.strip_prefix(name)).expect("its line");
    line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
}

/// Echo requests sent and replies received by the gateway, from the kernel's counters. Only the agent sends any.
fn echoes(world: &World) -> u64 {
    let read = || fs::read_to_string("/proc/thread-self/net/snmp").expect("the kernel's counts");
    let text = world.run_in(Host::Gateway, read).expect("the namespace");
    let mut icmp = text.lines().filter_map(|l| l.strip_prefix("Icmp: "));
    let (names, counts) = (icmp.next().expect("names"), icmp.next().expect("counts"));
    let count = |wanted: &str| {
        let at = names.split(' ').position(|name| name == wanted).expect(wanted);
        counts.split(' ').nth(at).and_then(|n| n.parse::<u64>().ok()).expect(wanted)
    };
    count("OutEchos") + count("InEchoReps")
}

/// All bytes sent and received over the WAN device, at the Ethernet layer.
fn passed() -> (u64, u64) {
    let text = ip(Host::Gateway, &["-s", "-j", "link", "show", WAN]).expect("ip");
    let links: Value = serde_json::from_str(&text).expect("ip's JSON");
    let bytes = |way: &str| links[0]["stats64"][way]["bytes"].as_u64().expect("a count");
    (bytes("tx"), bytes("rx"))
}
