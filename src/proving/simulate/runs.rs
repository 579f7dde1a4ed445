//! `linekeeper simulate`: worlds, seeds, as many side by side as there are cores.

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
