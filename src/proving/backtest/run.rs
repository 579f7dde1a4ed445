//! `linekeeper backtest`: reads a log and the configurations, and runs the judge on the log.

use super::judged::{Found, Judged, Watcher};
use super::log::{Kind, Log};
use super::plot;
use crate::files::{Failure, ParseText};
use crate::simulate::{Report, Simulation};
use linekeeper_contract::units::{Rate, Span};
use linekeeper_judge::config::{Config, Places, read};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The largest accepted log, bytes: a trace of four months.
const LARGEST: u64 = 1 << 30;

/// The log and the configurations to run on it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The log.
    pub log: PathBuf,
    /// The configuration; `None`: the one in the trace, or the defaults.
    pub config: Option<PathBuf>,
    /// A second configuration for comparison.
    pub against: Option<PathBuf>,
    /// The contracted rates, down and up, if the configuration does not contain them.
    pub promise: Option<(Rate, Option<Rate>)>,
    /// Where to write the SVG plot.
    pub plot: Option<PathBuf>,
}

fn text(path: &Path, what: &str) -> Result<String, Failure> {
    let fail =
        |e: &dyn std::fmt::Display| Failure::NoInput(format!("cannot read {what} {}: {e}", path.display()));
    let size = std::fs::metadata(path).map_err(|e| fail(&e))?.len();
    if size > LARGEST {
        return Err(fail(&format!("it has {size} bytes, at most {LARGEST} are read")));
    }
    let bytes = std::fs::read(path).map_err(|e| fail(&e))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let before = &e.as_bytes()[..at];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = at - before.iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1) + 1;
        Failure::Data(format!("{what} {}: line {line}, column {column}: not UTF-8", path.display()))
    })
}

/// Reads a log.
///
/// # Errors
/// The log cannot be read or is invalid; all faults are listed with line and column.
pub fn load(path: &Path) -> Result<Log, Failure> {
    Log::read(&text(path, "the log")?).map_err(|faults| {
        let list: Vec<String> = faults.iter().map(|f| format!("  - {f}")).collect();
        Failure::Data(format!("log {} refused:\n{}", path.display(), list.join("\n")))
    })
}

/// The default configuration for a log: only targets and servers are set.
fn defaults() -> Value {
    json!({
        "device": { "id": "backtest", "language": "en" },
        "probe": { "targets": [
            { "host": "198.51.100.10", "role": "anchor" },
            { "host": "203.0.113.53", "role": "world" },
        ] },
        "speed": { "servers": ["http://speed.isp.example/"] },
    })
}

fn config(
    parse: ParseText,
    path: Option<&Path>,
    log: &Log,
    promise: Option<(Rate, Option<Rate>)>,
) -> Result<(String, Config), Failure> {
    let wrong =
        |faults: linekeeper_judge::config::Faults| Failure::Wrong(faults.to_string().trim_end().to_string());
    let (name, mut config) = match (path, &log.config) {
        (Some(path), _) => {
            let text = text(path, "the configuration")?;
            (path.display().to_string(), {
                let (tree, places) = parse(path, &text).map_err(wrong)?;
                read(&tree, &places).map_err(wrong)?
            })
        }
        (None, Some(tree)) => {
            ("the trace's configuration".into(), read(tree, &Places::none()).map_err(wrong)?)
        }
        (None, None) => ("the defaults".into(), read(&defaults(), &Places::none()).map_err(wrong)?),
    };
    if let Some((down, up)) = promise {
        config.promise.download.normal = Some(down);
        config.promise.upload.normal = up;
    }
    if log.kind == Kind::Speeds {
        let nothing = config.promise.download.highest().or(config.promise.upload.highest()).is_none();
        if nothing {
            return Err(Failure::Wrong(format!(
                "{name}: no contracted rate is known, so no speed can be too low; pass --promise DOWN[/UP] in Mbit/s or set \
                 [promise]"
            )));
        }
        if config.speed.servers.is_empty() {
            config.speed.servers.push("http://log.example/".into());
        }
    }
    Ok((name, config))
}

fn judge(name: String, mut config: Config, log: &Log) -> Judged {
    let (world, changed) = log.world(&mut config);
    let mut watcher = Watcher { clock: world.clock.map_or(0, |w| w.0), ..Watcher::default() };
    let mut simulation = Simulation::new(&config, &world, 1).without_deliveries().skipping_quiet_time();
    simulation.run(log.lasts, &mut watcher);
    let report: Report = simulation.into_report();
    let mut incidents = watcher.found;
    incidents.sort_by_key(|f| f.begins_ms);
    let length = |f: &Found| log.watched(f.begins_ms, f.ends_ms.unwrap_or(log.lasts)).0;
    let down = incidents.iter().filter(|f| f.is_without_line()).map(length).sum();
    Judged {
        config: name,
        changed,
        down_ms: Span(down),
        incidents,
        tests: watcher.tests,
        test_bytes: report.tests.1.0,
        remedies: report.remedies.len(),
        hiccups: watcher.hiccups,
    }
}

/// Runs the judge on a log with one configuration, or with two.
///
/// # Errors
/// A file cannot be read or is invalid, or the plot cannot be written.
pub fn backtest(options: &Options, parse: ParseText) -> Result<(Log, Vec<Judged>), Failure> {
    let log = load(&options.log)?;
    let mut judged = Vec::new();
    let (name, one) = config(parse, options.config.as_deref(), &log, options.promise)?;
    judged.push(judge(name, one, &log));
    if let Some(path) = &options.against {
        let (name, other) = config(parse, Some(path), &log, options.promise)?;
        judged.push(judge(name, other, &log));
    }
    if let Some(path) = &options.plot {
        let title = options.log.display().to_string();
        std::fs::write(path, plot::svg(&title, &log, &judged, options.promise))
            .map_err(|e| Failure::NoOutput(format!("cannot write {}: {e}", path.display())))?;
    }
    Ok((log, judged))
}
