//! `linekeeper simulate`: worlds, seeds, as many side by side as there are cores, and the tables of what came of them.

use super::table::table;
use super::{Failure, ParseText};
use crate::simulate::Simulation;
use crate::simulate::plan::{Plan, YEAR};
use crate::simulate::tally::{Spread, Tally};
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::config::{self, Faults};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

/// The worlds that come with the program, as they lie in `config/worlds`.
pub const SHIPPED: &[(&str, &str)] = &[
    ("healthy", include_str!("../../../config/worlds/healthy.toml")),
    ("typical-fibre", include_str!("../../../config/worlds/typical-fibre.toml")),
    ("bad-dsl", include_str!("../../../config/worlds/bad-dsl.toml")),
    ("pppoe-redial", include_str!("../../../config/worlds/pppoe-redial.toml")),
    ("lossy-radio", include_str!("../../../config/worlds/lossy-radio.toml")),
    ("busy-shop", include_str!("../../../config/worlds/busy-shop.toml")),
    ("flapping-line", include_str!("../../../config/worlds/flapping-line.toml")),
    ("dying-modem", include_str!("../../../config/worlds/dying-modem.toml")),
    ("bad-wiring", include_str!("../../../config/worlds/bad-wiring.toml")),
    ("area-outages", include_str!("../../../config/worlds/area-outages.toml")),
    ("power-cuts", include_str!("../../../config/worlds/power-cuts.toml")),
    ("wrong-clock", include_str!("../../../config/worlds/wrong-clock.toml")),
];

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files, or names of [`SHIPPED`] worlds; all of those if none is given.
    pub worlds: Vec<String>,
    /// How long each seed lasts, years.
    pub years: u32,
    /// How many seeds each world has: 1 to this.
    pub seeds: u32,
    /// Every moment is lived through, also those in which nothing can happen.
    pub full: bool,
}

/// One world and what came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The file's name without its end, or the shipped one's.
    pub name: String,
    /// What it is.
    pub about: String,
    /// The sums over its seeds.
    pub tally: Tally,
}

fn load(world: &str, parse: ParseText) -> Result<(String, Plan), Failure> {
    let shipped = SHIPPED.iter().find(|(name, _)| *name == world);
    let path = Path::new(world);
    let (text, name) = match shipped.filter(|_| !path.exists()) {
        Some((name, text)) => (text.to_string(), name.to_string()),
        None => {
            let text = std::fs::read_to_string(path).map_err(|e| {
                let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
                Failure::NoInput(format!(
                    "cannot read the world {world}: {e}; name a file, or one of {}",
                    names.join(", ")
                ))
            })?;
            let name = path.file_stem().map_or(world.into(), |stem| stem.to_string_lossy().into_owned());
            (text, name)
        }
    };
    let wrong = |faults: Faults| Failure::Wrong(format!("world {world}: {faults}").trim_end().to_string());
    if text.len() > config::bounds::LARGEST_TEXT {
        return Err(Failure::Wrong(format!(
            "world {world}: has {} bytes, at most {} are read",
            text.len(),
            config::bounds::LARGEST_TEXT
        )));
    }
    let (tree, places) = parse(path, &text).map_err(wrong)?;
    Ok((name, Plan::read(&tree, &places).map_err(wrong)?))
}

/// One seed of one world.
pub fn one(plan: &Plan, seed: u64, lasts: Span, full: bool) -> Tally {
    let world = plan.world(seed, lasts);
    let mut simulation = Simulation::new(&plan.config, &world, seed).forgetting();
    if !full {
        simulation = simulation.resting();
    }
    simulation.run(lasts, &mut ());
    let mut tally = Tally::default();
    tally.take(&plan.config, seed, &simulation.into_report(), lasts);
    tally
}

/// Runs them all; `progress` is told how many of how many runs are done.
///
/// # Errors
/// A world cannot be read or is wrong.
pub fn simulate(
    options: &Options,
    parse: ParseText,
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<Outcome>, Failure> {
    let all: Vec<String> = SHIPPED.iter().map(|(name, _)| name.to_string()).collect();
    let chosen = if options.worlds.is_empty() { &all } else { &options.worlds };
    let worlds = chosen.iter().map(|world| load(world, parse)).collect::<Result<Vec<_>, _>>()?;
    let lasts = YEAR.times(u64::from(options.years));
    let jobs: VecDeque<(usize, u64)> =
        (1..=u64::from(options.seeds)).flat_map(|seed| (0..worlds.len()).map(move |at| (at, seed))).collect();
    let of = jobs.len();
    let jobs = Mutex::new(jobs);
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let mut tallies: Vec<Tally> = worlds.iter().map(|_| Tally::default()).collect();
    let cores = thread::available_parallelism().map_or(1, |n| n.get()).min(of.max(1));
    thread::scope(|scope| {
        let (told, heard) = mpsc::channel();
        for _ in 0..cores {
            let (told, worlds, next) = (told.clone(), &worlds, &next);
            scope.spawn(move || {
                while let Some((at, seed)) = next() {
                    let Some((_, plan)) = worlds.get(at) else { break };
                    if told.send((at, one(plan, seed, lasts, options.full))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(told);
        for (done, (at, tally)) in heard.iter().enumerate() {
            if let Some(sum) = tallies.get_mut(at) {
                sum.add(tally);
            }
            progress(done + 1, of);
        }
    });
    let outcome = |((name, plan), tally): ((String, Plan), Tally)| Outcome { name, about: plan.about, tally };
    Ok(worlds.into_iter().zip(tallies).map(outcome).collect())
}

fn years(tally: &Tally) -> f64 {
    tally.time.0 as f64 / YEAR.0 as f64
}

/// A figure for each line-year: whole where it is large.
fn each(n: u64, years: f64) -> String {
    let n = n as f64 / years.max(f64::MIN_POSITIVE);
    if n == 0.0 {
        "0".into()
    } else if n < 10.0 {
        format!("{n:.1}")
    } else {
        format!("{n:.0}")
    }
}

fn share((all, found): (u64, u64)) -> String {
    if all == 0 { "-".into() } else { format!("{:.2} %", found as f64 * 100.0 / all as f64) }
}

fn spread(s: Spread) -> String {
    if s.worst_ms == Span::ZERO {
        "-".into()
    } else {
        format!("{} / {} / {}", s.median_ms, s.p95_ms, s.worst_ms)
    }
}

/// The tables, for people.
pub fn show(outcomes: &[Outcome]) -> String {
    let mut found = Vec::new();
    let mut done = Vec::new();
    let mut sum = Tally::default();
    for Outcome { name, tally, .. } in outcomes {
        let y = years(tally);
        found.push(vec![
            name.clone(),
            format!("{y:.0}"),
            each(tally.outages.0, y),
            share(tally.outages),
            share(tally.long),
            tally.false_outages.to_string(),
            spread(tally.to_detect()),
            spread(tally.to_mend()),
        ]);
        let calls = tally.calls;
        let reboots = tally.remedies.get(&Rung::Reboot).copied().unwrap_or(0);
        done.push(vec![
            name.clone(),
            share((tally.outages.0, tally.uncalled)),
            each(calls.right, y),
            calls.wrong.to_string(),
            each(calls.late, y),
            each(calls.withdrawn, y),
            each(tally.remedies.values().sum(), y),
            each(tally.healed, y),
            each(reboots, y),
            each(tally.self_inflicted.whole_seconds(), y),
            each(tally.tests.1.0 / 1_000_000_000, y),
            each(tally.probe_bytes().0 / 1_000_000_000, y),
            format!("{:.1}", tally.flash as f64 / (y * 365.0)),
        ]);
        sum.add(tally.clone());
    }
    let mut text = table(
        &[
            "world",
            "years",
            "outages/y",
            "found",
            "> 10 s found",
            "false",
            "to detect (median / p95 / worst)",
            "to mend (median / p95 / worst)",
        ],
        &found,
    );
    text.push('\n');
    text += &table(
        &[
            "world",
            "no call",
            "calls right/y",
            "false",
            "late/y",
            "withdrawn/y",
            "remedies/y",
            "healed/y",
            "reboots/y",
            "own s/y",
            "tests GB/y",
            "probes GB/y",
            "flash/day",
        ],
        &done,
    );
    let whole = sum.time.0.max(1) as f64;
    text += &format!(
        "\n{:.0} line-years, {:.0} million observations judged; {:.1} % of the time was quiet and passed over\n",
        years(&sum),
        sum.observations as f64 / 1e6,
        sum.skipped.0 as f64 * 100.0 / whole
    );
    let missed: Vec<String> = outcomes
        .iter()
        .filter(|o| !o.tally.missed_by.is_empty())
        .map(|o| format!("{} (seeds {:?})", o.name, o.tally.missed_by))
        .collect();
    if !missed.is_empty() {
        text += &format!("missed outages longer than 10 s: {}\n", missed.join(", "));
    }
    if sum.stalls > 0 {
        text += &format!("the judge asked {} times to be woken at once: a daemon would spin\n", sum.stalls);
    }
    text
}

/// The same for programs; sums over all line-years, none divided.
pub fn json(outcomes: &[Outcome]) -> Value {
    let world = |o: &Outcome| {
        let t = &o.tally;
        json!({
            "name": o.name,
            "about": o.about,
            "years": years(t),
            "skipped_ms": t.skipped,
            "seeds": t.seeds,
            "outages": { "true": t.outages.0, "found": t.outages.1, "false": t.false_outages, "short_breaks": t.short },
            "outages_longer_than_10_s": { "true": t.long.0, "found": t.long.1, "missed_in_seeds": t.missed_by },
            "to_detect": t.to_detect(),
            "to_mend": t.to_mend(),
            "healed_without_call": t.uncalled,
            "callbacks": t.calls,
            "remedies": t.remedies,
            "remedies_healed": t.healed,
            "self_inflicted_ms": t.self_inflicted,
            "tests": t.tests.0,
            "test_bytes": t.tests.1,
            "probe_bytes": t.probe_bytes(),
            "flash_writes": t.flash,
            "observations": t.observations,
            "largest_snapshot_bytes": t.snapshot,
            "stalls": t.stalls,
        })
    };
    json!({ "schema": "linekeeper.simulation.v1", "worlds": outcomes.iter().map(world).collect::<Vec<_>>() })
}
