//! Accuracy, cost and rate of the speed test: real TCP in namespaces, compared with iperf3 in the same run.
//!
//! `benches/figures speed` (some fifteen minutes). Prints `figure NAME VALUE UNIT`:
//!
//! - `speed.error_pct`: relative error of the measured line rate against the shaped one, at the IP layer: the median over 10/2, 50/10, 100/20 and
//!   500/100 Mbit/s in both directions, and the worst;
//! - `speed.busy_error_pct`: the same at 50 Mbit/s with 5, 20 and 40 Mbit/s of customer UDP and TCP traffic;
//! - `speed.kept_mb`: bytes needed to decide that a line of 50 Mbit/s keeps a promise of 45;
//! - `speed.cpu_ratio`: CPU seconds per gigabyte received, ours divided by iperf3's, unshaped, in consecutive pairs;
//! - `speed.rate_ratio`: the unshaped rate, ours divided by iperf3's (4 connections);
//! - `speed.at_500.…`: both at 500 Mbit/s in single packets; there `.alone.cpu_ratio` has the receiver on the first core and
//!   the virtual network on the second;
//! - `speed.verdicts_right`: number of right verdicts of the real agent, kept and broken.
//!
//! **How CPU is counted.** User and system time of the receiving process (`times`). The kernel charges the work of a veth pair to
//! the process that sent the packet or happened to run. So the transmission of our acknowledgements, and of the data that
//! they release at the server, counts as ours, and the same holds for iperf3. On a router the hardware and its driver do
//! that work. With receive packet steering (RPS) to the second core and both programs on the first, only the programs' own
//! work remains.
//!
//! The arguments `iperf3`, `accuracy` and `verdicts` select a part. A part whose program (iperf3, tc, taskset) is missing is
//! named and skipped; with `LINEKEEPER_REQUIRE_ALL=1` that is an error. A part that ran and gave no figure is always an
//! error.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark ends where it cannot measure"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::agent_binary;
use common::line::{Customer, IP_LAYER, Kind, Line, Test, is_installed, mbit};
use linekeeper::run::socket::{Request, ask};
use linekeeper_contract::vocabulary::Direction;
use linekeeper_lab::agent::{self, Agent};
use linekeeper_lab::clock;
use linekeeper_lab::enclosure::measured_elsewhere;
use linekeeper_lab::world::{ANCHOR, Host, WAN, World};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Pairs with iperf3.
const PAIRS: usize = 5;
/// Runs of each test on a shaped line.
const RUNS: usize = 5;
/// Number of verdicts of each kind.
const VERDICTS: usize = 20;
/// Limit of tests per verdict: four confirm a slow line, and a busy machine may spoil some.
const TESTS_MOST: usize = 9;

fn main() -> ExitCode {
    if let Some(code) = measured_elsewhere() {
        return code;
    }
    let mut line = Line::new();
    line.serve();
    println!("test server: {}", line.server_name);
    let chosen = |part: &str| {
        let mut words = std::env::args().skip(1).filter(|w| !w.starts_with('-')).peekable();
        words.peek().is_none() || words.any(|w| w == part)
    };
    if !PARTS.iter().any(|(part, ..)| chosen(part)) {
        eprintln!("benches/speed: not measured: there is no such part; there are iperf3, accuracy, verdicts");
        return ExitCode::FAILURE;
    }
    let mut lacking = Lacking::default();
    for (part, program, figures, run) in PARTS {
        if !chosen(part) {
        } else if is_installed(program) {
            run(&line, &mut lacking);
        } else {
            lacking.left_out(figures, &format!("{program} is not installed"));
        }
    }
    lacking.exit_code()
}

type Part = (&'static str, &'static str, &'static str, fn(&Line, &mut Lacking));

/// Each part, the program that it needs, its figures, and what runs it.
const PARTS: [Part; 3] = [
    ("iperf3", "iperf3", "speed.cpu_ratio and speed.rate_ratio", beside_iperf3),
    ("accuracy", "tc", "speed.error_pct, speed.busy_error_pct and speed.kept_mb", accuracy),
    ("verdicts", "tc", "speed.verdicts_right", verdicts),
];

/// The figures that were not measured.
#[derive(Default)]
struct Lacking {
    /// A required program is missing on this machine.
    left_out: usize,
    /// The part ran without a result.
    failed: usize,
}

impl Lacking {
    fn left_out(&mut self, figures: &str, why: &str) {
        eprintln!("benches/speed: {figures} not measured: {why}");
        self.left_out += 1;
    }

    fn failed(&mut self, figures: &str, why: &str) {
        eprintln!("benches/speed: {figures} not measured: {why}");
        self.failed += 1;
    }

    fn exit_code(&self) -> ExitCode {
        let required = std::env::var("LINEKEEPER_REQUIRE_ALL").is_ok_and(|value| value == "1");
        if self.failed > 0 {
            eprintln!("benches/speed: {} figures could not be measured", self.failed);
            return ExitCode::FAILURE;
        }
        if required && self.left_out > 0 {
            eprintln!("benches/speed: LINEKEEPER_REQUIRE_ALL is set, and figures were left out");
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}

/// The real agent judges lines that keep their promise and lines with 60 % of it, by its own tests. The hours between them
/// are skipped.
fn verdicts(line: &Line, lacking: &mut Lacking) {
    let world = &line.world;
    let (mut right, mut judged) = (0, 0);
    for n in 0..VERDICTS {
        let sold = [10, 20, 50, 100, 200][n % 5];
        let kept = n % 2 == 0;
        let direction = if n < VERDICTS / 2 { Direction::Download } else { Direction::Upload };
        let rate = if kept { sold } else { sold * 6 / 10 };
        world.shape(mbit(rate), mbit(rate)).expect("a shaped line");
        let _ = std::fs::remove_dir_all(world.directory().join("agent"));
        let configuration = agent::configuration(world)
            + &format!(
                "[promise]\n{} = {{ normal = \"{sold} Mbit/s\" }}\n[speed]\nservers = [\"http://{ANCHOR}/\"]\nseconds = \"3 s\"\nper_day = 48\n",
                direction.as_str()
            );
        let keeper = Agent::start(world, Path::new(agent_binary()), &configuration).expect("the agent");
        let (verdict, tests) = verdict(&keeper);
        let wanted = if kept { "kept" } else { "broken" };
        right += usize::from(verdict == wanted);
        judged += usize::from(["kept", "broken", "inconclusive"].contains(&verdict.as_str()));
        eprintln!("{direction:?}, {rate} of {sold} Mbit/s: {verdict} after {tests} tests");
    }
    world.unshape().expect("the line unshaped");
    if judged < VERDICTS {
        lacking
            .failed("speed.verdicts_right", &format!("the daemon judged only {judged} of {VERDICTS} lines"));
        return;
    }
    println!("figure speed.verdicts_right {right} of_{VERDICTS}");
}

/// What the agent says in the end, and after how many tests.
fn verdict(keeper: &Agent) -> (String, usize) {
    let status = || ask(&keeper.socket(), &Request::Status).unwrap_or_default();
    clock::wait_until(Duration::from_secs(20), || status()["status"]["line"] == "up");
    let mut said = String::new();
    for n in 1..=TESTS_MOST {
        let ended = keeper.count_in_trace("speed_ended");
        if ask(&keeper.socket(), &Request::Hasten).is_err()
            || !clock::wait_until(Duration::from_secs(60), || keeper.count_in_trace("speed_ended") > ended)
        {
            return (format!("no test was made; {}", keeper.log()), n);
        }
        let verdict = status()["status"]["promise"]["directions"][0]["verdict"].clone();
        said = verdict["verdict"].as_str().unwrap_or_default().to_owned();
        if said != "inconclusive" {
            return (said, n);
        }
    }
    (said, TESTS_MOST)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// Prints the figure of `runs` runs. A busy machine may spoil some of them, but not half.
fn print(lacking: &mut Lacking, name: &str, values: &[f64], runs: usize, unit: &str, worst: bool) {
    let values = sorted(values);
    if values.len() * 2 <= runs {
        lacking.failed(name, &format!("only {} of {runs} runs gave a result", values.len()));
        return;
    }
    let (median, last) = (values[values.len() / 2], values[values.len() - 1]);
    if values.len() < runs {
        println!("{name}: {} of {runs} runs gave a result", values.len());
    }
    println!("figure {name} {median:.3} {unit}");
    if worst {
        println!("figure {name}.worst {last:.3} {unit}");
    }
}

fn accuracy(line: &Line, lacking: &mut Lacking) {
    let off = |got: f64, wanted: f64| ((got - wanted) / wanted * 100.0).abs();
    let (mut errors, mut kept, mut busy) = (Vec::new(), Vec::new(), Vec::new());
    for (down, up) in [(10, 2), (50, 10), (100, 20), (500, 100)] {
        line.world.shape(mbit(down), mbit(up)).expect("a shaped line");
        for (direction, rate) in [(Direction::Download, down), (Direction::Upload, up)] {
            let mut here = Vec::new();
            for _ in 0..RUNS {
                match line.test(Test::of(direction)).figures() {
                    Ok(f) => {
                        let error = off(f.line.0 as f64, rate as f64 * 1e6 * IP_LAYER);
                        errors.push(error);
                        here.push(error);
                        eprintln!("{direction:?} at {rate} Mbit/s: {} {:?}", f.line, f.limit);
                    }
                    Err(why) => eprintln!("{direction:?} at {rate} Mbit/s: {why}"),
                }
            }
            print(lacking, &format!("speed.error_pct.{}_{rate}", direction.as_str()), &here, RUNS, "%", true);
        }
    }
    line.world.shape(mbit(50), mbit(10)).expect("a shaped line");
    for _ in 0..RUNS {
        let mut test = Test::of(Direction::Download);
        test.enough = Some(mbit(45));
        let run = line.test(test);
        if run.figures().is_ok_and(|f| f.stopped_early) {
            kept.push(run.ended.cost.0 as f64 / 1e6);
        }
    }
    for customer in [5, 20, 40] {
        for kind in [Kind::Udp, Kind::Tcp] {
            let _traffic = Customer::start(&line.world, kind, Direction::Download, mbit(customer));
            std::thread::sleep(Duration::from_millis(500));
            match line.test(Test::of(Direction::Download)).figures() {
                Ok(f) => busy.push(off(f.line.0 as f64, 50e6 * IP_LAYER)),
                Err(why) => eprintln!("beside {customer} Mbit/s of {kind:?}: {why}"),
            }
        }
    }
    // Four lines in both directions; three rates of two kinds.
    print(lacking, "speed.error_pct", &errors, 8 * RUNS, "%", true);
    print(lacking, "speed.busy_error_pct", &busy, 6, "%", true);
    print(lacking, "speed.kept_mb", &kept, RUNS, "MB", true);
}

/// Seconds of processor, bytes received, seconds.
type Cost = (f64, f64, f64);

fn beside_iperf3(line: &Line, lacking: &mut Lacking) {
    let world = &line.world;
    let mut server = Command::new("iperf3");
    server.args(["-s", "-p", "5201"]).stdin(Stdio::null()).stdout(Stdio::null());
    let _server = world.spawn_in(Host::Anchor, &mut server).expect("iperf3's server");
    let there = || world.run_in(Host::Anchor, || std::net::TcpStream::connect((ANCHOR, 5201)).is_ok());
    assert!(
        clock::wait_until(Duration::from_secs(20), || there().unwrap_or(false)),
        "iperf3 does not listen"
    );
    for (name, rate, alone) in [
        ("speed", None, false),
        ("speed.at_500", Some(mbit(500)), false),
        ("speed.at_500.alone", Some(mbit(500)), true),
    ] {
        if let Some(rate) = rate {
            world.shape(rate, rate).expect("a shaped line");
        }
        if alone && !steer(world) {
            lacking
                .left_out(name, "it needs taskset, a second core, and a kernel with receive packet steering");
            continue;
        }
        let (mut cpu, mut rates) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            let (ours, theirs) = if pair % 2 == 0 {
                let ours = ours(world, alone);
                (ours, iperf3(world, alone))
            } else {
                let theirs = iperf3(world, alone);
                (ours(world, alone), theirs)
            };
            let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
            let per = |c: Cost| (c.0 / (c.1 / 1e9), c.1 * 8.0 / c.2 / 1e6);
            let ((our_cpu, our_rate), (their_cpu, their_rate)) = (per(ours), per(theirs));
            eprintln!(
                "{name}: ours {our_cpu:.3} s/GB at {our_rate:.0} Mbit/s, iperf3's {their_cpu:.3} s/GB at {their_rate:.0} Mbit/s"
            );
            cpu.push(our_cpu / their_cpu);
            rates.push(our_rate / their_rate);
        }
        print(lacking, &format!("{name}.cpu_ratio"), &cpu, PAIRS, "ratio", false);
        print(lacking, &format!("{name}.rate_ratio"), &rates, PAIRS, "ratio", false);
    }
    world.unshape().expect("the line unshaped");
}

/// Lets the second core carry what arrives at each end of the line, and with it the way through the world.
fn steer(world: &World) -> bool {
    if !is_installed("taskset") || std::thread::available_parallelism().is_ok_and(|n| n.get() < 2) {
        return false;
    }
    // sysfs shows the devices of whoever mounted it.
    [(Host::Gateway, WAN), (Host::Access, "subscriber")].into_iter().all(|(host, device)| {
        let write =
            format!("mount -t sysfs sysfs /sys && echo 2 >/sys/class/net/{device}/queues/rx-0/rps_cpus");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &write]);
        world.exec_in(host, &mut command).is_ok_and(|out| out.status.success())
    })
}

/// User and system time of a command's process, as `times` of the shell tells of its children; on the first core, if it is
/// to be alone.
fn timed(world: &World, alone: bool, words: &[&str]) -> Option<(f64, Value)> {
    let mut command = Command::new(if alone { "taskset" } else { "sh" });
    if alone {
        command.args(["1", "sh"]);
    }
    command.args(["-c", "\"$@\"; times >&2", "sh"]).args(words);
    let out = world.exec_in(Host::Gateway, &mut command).ok()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    // The second line is of the children: `0m0.12s 0m0.34s`.
    let children = said.lines().last()?;
    let seconds = children.split_whitespace().filter_map(|t| {
        let (minutes, seconds) = t.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    });
    Some((seconds.sum(), serde_json::from_slice(&out.stdout).ok()?))
}

fn ours(world: &World, alone: bool) -> Option<Cost> {
    let url = format!("http://{ANCHOR}/");
    let (cpu, said) = timed(
        world,
        alone,
        &[
            agent_binary(),
            "speedtest",
            "--server",
            &url,
            "--json",
            "--download-only",
            "--megabytes",
            "100000",
        ],
    )?;
    let test = &said["tests"][0];
    let (seconds, found) = (test["took"].as_f64()? / 1e3, &test["outcome"]);
    // Payload, as iperf3 counts.
    let payload = found["own_payload"].as_f64()? / found["own"].as_f64()?;
    Some((cpu, found["line_mean"].as_f64()? * payload * seconds / 8.0, seconds))
}

fn iperf3(world: &World, alone: bool) -> Option<Cost> {
    let host = ANCHOR.to_string();
    let (cpu, said) = timed(world, alone, &["iperf3", "-c", &host, "-R", "-P", "4", "-t", "8", "-J"])?;
    let end = &said["end"]["sum_received"];
    Some((cpu, end["bytes"].as_f64()?, end["seconds"].as_f64()?))
}
