//! Processor time of the judge for a year of a line: `benches/figures judge`.
//!
//! Counters every second and an echo every second (`line_year`), or every half second as by default (the others), all
//! simulated on one core. A tenth of the year is simulated and multiplied; `LINEKEEPER_BENCH_DAYS` changes the number of days.
//!
//! With the argument `instructions` it only feeds the observations of such days to the judge: `benches/instructions` runs
//! that under callgrind and counts the instructions in [`decide`].

use linekeeper_contract::units::{Mono, Permille, Span};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::config::{Config, Places, read};
use linekeeper_judge::observation::Observation;
use linekeeper_proving::simulate::{Moment, Report, Simulation, Spectator, Trouble, World};
use serde_json::json;
use std::time::Duration;

/// CPU time of this process, from the kernel: other work on the machine does not count.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default();
    // Fields 14 and 15 of proc(5), in ticks of 10 ms.
    let ticks: u64 = after.split(' ').skip(11).take(2).map(|t| t.parse::<u64>().unwrap_or_default()).sum();
    Duration::from_millis(ticks * 10)
}

/// Peak memory of this process, kB: simulator and judge together.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

/// `sold`: with a promise that is tested ten times a day. `interval`: between echoes.
fn config(sold: bool, interval: &str) -> Config {
    let mut tree = json!({
        "device": { "id": "gw-0001" },
        "probe": { "interval": interval, "targets": [
            { "host": "198.51.100.10", "role": "anchor" },
            { "host": "198.51.100.11", "role": "anchor" },
            { "host": "203.0.113.53", "role": "world" },
            { "host": "203.0.113.54", "role": "world" },
        ] },
    });
    if sold {
        tree["promise"] = json!({
            "download": { "normal": "90 Mbit/s", "maximum": "100 Mbit/s" }, "upload": { "normal": "18 Mbit/s" }
        });
        tree["speed"] = json!({ "servers": ["http://a.example/", "http://b.example/"] });
    }
    match read(&tree, &Places::default()) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            std::process::exit(70);
        }
    }
}

fn watch(world: &World, days: u64, sold: bool, interval: &str) -> (Duration, Report, usize) {
    let config = config(sold, interval);
    let before = cpu();
    let mut simulation = Simulation::new(&config, world, 1);
    simulation.run(Span::days(days), &mut Quiet);
    let took = cpu().saturating_sub(before);
    let snapshot = simulation.judge().and_then(|j| j.snapshot().ok()).map_or(0, |s| s.to_string().len());
    (took, simulation.into_report(), snapshot)
}

/// Observes nothing.
struct Quiet;
impl Spectator for Quiet {}

/// Records the observations.
#[derive(Default)]
struct Keep(Vec<(Mono, Observation)>);
impl Spectator for Keep {
    fn on_observation(&mut self, at: Moment, saw: &Observation) {
        self.0.push((at.agent, saw.clone()));
    }
}

/// One step of the judge: what callgrind counts.
#[inline(never)]
fn decide(judge: &mut Judge, now: Mono, seen: &Observation, out: &mut Vec<Action>) {
    judge.step_into(now, seen, out);
}

/// Feeds the recorded observations of some days to the judge again.
fn instructions(days: u64) {
    let config = config(true, "500 ms");
    let mut seen = Keep::default();
    Simulation::new(&config, &World::quiet(), 1).run(Span::days(days), &mut seen);
    let mut judge = Judge::new(config);
    let mut out = Vec::new();
    for (now, observation) in &seen.0 {
        decide(&mut judge, *now, observation, &mut out);
    }
    println!("{} observations decided", seen.0.len());
}

fn main() {
    let days = std::env::var("LINEKEEPER_BENCH_DAYS").ok().and_then(|d| d.parse().ok()).unwrap_or(36);
    if std::env::args().any(|word| word == "instructions") {
        return instructions(days);
    }
    let year = |took: Duration| took.as_secs_f64() * 365.0 / days as f64;
    let (second, _, _) = watch(&World::quiet(), days, false, "1 s");
    let (quiet, report, snapshot) = watch(&World::quiet(), days, false, "500 ms");
    let (promised, _, _) = watch(&World::quiet(), days, true, "500 ms");
    let lossy = World::quiet().with_trouble(Span::ZERO, Span::days(days), Trouble::Loss(Permille(200)));
    let (lossy, _, _) = watch(&lossy, days, false, "500 ms");
    println!("{days} days watched, {} observations; CPU time of one core", report.observations);
    println!("figure judge.line_year_s {:.1} s", year(second));
    println!("figure judge.default_year_s {:.1} s", year(quiet));
    println!("figure judge.promised_year_s {:.1} s", year(promised));
    println!("figure judge.lossy_year_s {:.1} s", year(lossy));
    println!(
        "figure judge.observations_per_s {:.0} 1/s",
        report.observations as f64 / quiet.as_secs_f64().max(0.01)
    );
    println!("figure judge.snapshot_bytes {snapshot} B");
    println!("figure judge.memory_mb {:.1} MB", memory() as f64 / 1e3);
}
