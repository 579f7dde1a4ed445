//! `linekeeper simulate`: runs worlds and seeds in parallel, one thread per core.

use super::drive::Simulation;
use super::plan::{Plan, YEAR};
use super::tally::Tally;
use crate::files::{Failure, ParseText};
use linekeeper_contract::units::Span;
use linekeeper_judge::config::{self, Faults};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

/// The worlds that ship with the program: name and text, from `config/worlds`.
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
    /// Files or names of [`SHIPPED`] worlds; empty: all shipped worlds.
    pub worlds: Vec<String>,
    /// Duration of each run, years.
    pub years: u32,
    /// Number of seeds per world; the seeds are 1 to this number.
    pub seeds: u32,
    /// Simulate every moment instead of skipping quiet time.
    pub full: bool,
}

/// One world and its result.
#[derive(Debug)]
pub struct Outcome {
    /// The file name without extension, or the name of the shipped world.
    pub name: String,
    /// Its description.
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

/// Runs one seed of one world.
pub fn run_seed(plan: &Plan, seed: u64, lasts: Span, full: bool) -> Tally {
    let world = plan.world(seed, lasts);
    let mut simulation = Simulation::new(&plan.config, &world, seed).without_deliveries();
    if !full {
        simulation = simulation.skipping_quiet_time();
    }
    simulation.run(lasts, &mut ());
    let mut tally = Tally::default();
    tally.take(&plan.config, seed, &simulation.into_report(), lasts);
    tally
}

/// Runs all worlds and seeds. `progress` receives the number of finished runs and the number of all runs.
///
/// # Errors
/// A world cannot be read or is invalid.
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
                    if told.send((at, run_seed(plan, seed, lasts, options.full))).is_err() {
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
