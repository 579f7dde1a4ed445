//! The verbs `simulate` and `backtest`: the judge decides about simulated years, and about logs of real lines.

use super::args::{ANY, Args, failed, misused, print};
use super::exit;
use super::help::{BACKTEST_HELP, SIMULATE_HELP};
use crate::config_text;
use std::path::PathBuf;
use std::process::ExitCode;

fn ground_failed(failure: &linekeeper_proving::Failure) -> ExitCode {
    use linekeeper_proving::Failure;
    let code = match failure {
        Failure::NoInput(_) => exit::NO_INPUT,
        Failure::Wrong(_) => exit::CONFIG,
        Failure::Data(_) => exit::DATA,
        Failure::NoOutput(_) => exit::IO,
    };
    failed(code, failure)
}

pub(super) fn simulate(words: &[String]) -> ExitCode {
    use linekeeper_proving::simulate::figures::{json, show};
    use linekeeper_proving::simulate::runs::{Options, simulate};
    use std::io::IsTerminal;
    let words = match Args::read(words, SIMULATE_HELP, &["--json", "--full"], &["--years", "--seeds"], ANY) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let (years, seeds) = match (words.number("--years", 1, 100), words.number("--seeds", 10, 10_000)) {
        (Ok(years), Ok(seeds)) => (years, seeds),
        (Err(code), _) | (_, Err(code)) => return code,
    };
    let worlds = words.plain.iter().map(|w| w.to_string()).collect();
    let terminal = std::io::stderr().is_terminal();
    let progress = |done: usize, of: usize| {
        if terminal {
            let done_years = done * years as usize;
            eprint!(
                "\r{done_years} of {} line-years{}",
                of * years as usize,
                if done == of { "\r\x1b[K" } else { "" }
            );
        }
    };
    match simulate(
        &Options { worlds, years, seeds, full: words.has("--full") },
        config_text::parse_tree,
        progress,
    ) {
        Ok(outcomes) if words.has("--json") => print(&format!("{}\n", json(&outcomes))),
        Ok(outcomes) => print(&show(&outcomes)),
        Err(failure) => ground_failed(&failure),
    }
}

/// `50/10` in Mbit/s.
fn promise(
    text: &str,
) -> Option<(linekeeper_contract::units::Rate, Option<linekeeper_contract::units::Rate>)> {
    let rate = |text: &str| {
        let n = text.parse::<f64>().ok().filter(|n| (0.064..=100_000.0).contains(n))?;
        Some(linekeeper_contract::units::Rate((n * 1e6).round() as u64))
    };
    match text.split_once('/') {
        Some((down, up)) => Some((rate(down)?, Some(rate(up)?))),
        None => Some((rate(text)?, None)),
    }
}

pub(super) fn backtest(words: &[String]) -> ExitCode {
    use linekeeper_proving::backtest::{Options, backtest, json, show};
    let values = ["--config", "--against", "--promise", "--plot"];
    let words = match Args::read(words, BACKTEST_HELP, &["--json"], &values, ANY) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let sold = match words.value("--promise").map(|text| (text, promise(text))) {
        None => None,
        Some((_, Some(sold))) => Some(sold),
        Some((text, None)) => {
            return misused(format!("--promise is DOWN or DOWN/UP in Mbit/s, 0.064 to 100000, is {text:?}"));
        }
    };
    let plot = words.value("--plot").map(PathBuf::from);
    match words.plain.len() {
        0 => return misused("no log is named".into()),
        1 => {}
        n if plot.is_some() => return misused(format!("--plot draws one log, {n} are named")),
        _ => {}
    }
    let mut text = String::new();
    for (at, log) in words.plain.iter().enumerate() {
        let options = Options {
            log: PathBuf::from(log),
            config: words.value("--config").map(PathBuf::from),
            against: words.value("--against").map(PathBuf::from),
            promise: sold,
            plot: plot.clone(),
        };
        match backtest(&options, config_text::parse_tree) {
            Ok((log, judged)) if words.has("--json") => {
                text += &format!("{}\n", json(&options.log, &log, &judged));
            }
            Ok((log, judged)) => {
                text += if at > 0 { "\n" } else { "" };
                text += &show(&options.log, &log, &judged);
            }
            Err(failure) => {
                print(&text);
                return ground_failed(&failure);
            }
        }
    }
    print(&text)
}
