//! `linekeeper backtest`: a logged line as the world, and what would have been found on it.

use super::table::table;
use super::{Failure, ParseText, plot};
use crate::simulate::log::{Kind, Log};
use crate::simulate::{Moment, Report, Simulation, Spectator};
use linekeeper_contract::message::{CallbackState, EventName, Message};
use linekeeper_contract::units::{LocalTime, Rate, Span, Wall};
use linekeeper_judge::action::Action;
use linekeeper_judge::config::{Config, Places, read};
use linekeeper_judge::observation::Observation;
use linekeeper_judge::speed::SpeedOutcome;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The largest log that is read: a trace of four months of our own.
const LARGEST: u64 = 1 << 30;
/// Incidents shown of one log; `--json` has all.
const SHOWN: usize = 40;

/// What to judge, and by what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The log.
    pub log: PathBuf,
    /// The configuration; without one the defaults, and of a trace its own.
    pub config: Option<PathBuf>,
    /// Another one, beside it.
    pub against: Option<PathBuf>,
    /// What was sold, down and up, where the configuration does not say it.
    pub promise: Option<(Rate, Option<Rate>)>,
    /// Where to draw it.
    pub plot: Option<PathBuf>,
}

/// What was found by one configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// Its file, or where else it is from.
    pub config: String,
    /// What had to be changed to judge this log.
    pub changed: Option<String>,
    /// In the order of their beginning.
    pub incidents: Vec<Found>,
    /// Time without a line in them, the log's holes not counted.
    pub down_ms: Span,
    /// Speed tests asked for and answered, as moments since the log's beginning.
    pub tests: Vec<Span>,
    /// Their bytes.
    pub test_bytes: u64,
    /// Remedies that would have been tried.
    pub remedies: usize,
    /// Breaks shorter than the patience.
    pub hiccups: u64,
}

/// An incident.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// What it is.
    pub finding: &'static str,
    /// Of unusual usage: which way.
    pub about: Option<String>,
    /// Where it lies.
    pub domain: &'static str,
    /// Since the log's beginning.
    pub begins_ms: Span,
    /// The same, of its end; none if the log ends before.
    pub ends_ms: Option<Span>,
    /// When it was known.
    pub known_ms: Span,
    /// Breaks in it.
    pub breaks: u32,
    /// Why it was opened.
    pub evidence: String,
    /// Its callback and what became of it.
    pub callback: Option<(String, CallbackState)>,
    /// What the operator would have been told.
    pub told: Option<String>,
}

/// Collects incidents.
#[derive(Default)]
struct Watcher {
    clock: i64,
    found: Vec<Found>,
    tests: Vec<Span>,
    hiccups: u64,
}

impl Watcher {
    fn since(&self, stamp: &linekeeper_contract::message::Stamp) -> Option<Span> {
        stamp.wall.map(|t| Span((t.wall.0 - self.clock).max(0) as u64))
    }
}

impl Spectator for Watcher {
    fn saw(&mut self, at: Moment, saw: &Observation) {
        if let Observation::SpeedEnded(ended) = saw
            && matches!(ended.outcome, SpeedOutcome::Measured(_))
        {
            self.tests.push(at.world);
        }
    }
    fn does(&mut self, at: Moment, action: &Action) {
        match action {
            Action::Note { text, .. } if text.contains(": counted, not acted on") => self.hiccups += 1,
            Action::Publish(critical) => match &critical.message {
                Message::Event(e) => {
                    let incident = &e.incident;
                    let begins = self.since(&incident.opened).unwrap_or(at.world);
                    let ends = incident.closed.as_ref().map(|s| self.since(s).unwrap_or(at.world));
                    if let Some(found) = self.found.iter_mut().find(|f| f.id == incident.id) {
                        (found.finding, found.domain) =
                            (incident.finding.name(), incident.fault_domain.name());
                        (found.ends_ms, found.breaks) = (ends, incident.breaks);
                    } else if e.event == EventName::IncidentOpened {
                        self.found.push(Found {
                            id: incident.id.clone(),
                            finding: incident.finding.name(),
                            about: incident.about.clone(),
                            domain: incident.fault_domain.name(),
                            begins_ms: begins,
                            ends_ms: ends,
                            known_ms: at.world,
                            breaks: incident.breaks,
                            evidence: e.why.clone(),
                            callback: None,
                            told: None,
                        });
                    }
                }
                Message::Callback(c) => {
                    let of = self.found.iter_mut().find(|f| Some(&f.id) == c.incident_id.as_ref());
                    if let Some(found) = of {
                        found.callback = Some((c.callback_id.clone(), c.state));
                        found.told = c.issues.last().map(|i| i.description.clone());
                    }
                }
                // A log gives no orders.
                Message::CommandResult(_) => {}
            },
            _ => {}
        }
    }
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
/// It cannot be read, or is wrong: then with every fault, line and column.
pub fn load(path: &Path) -> Result<Log, Failure> {
    Log::read(&text(path, "the log")?).map_err(|faults| {
        let list: Vec<String> = faults.iter().map(|f| format!("  - {f}")).collect();
        Failure::Data(format!("log {} refused:\n{}", path.display(), list.join("\n")))
    })
}

/// The default configuration of a log: what a gateway has that was told no more than its targets and servers.
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
        (None, Some(tree)) => ("the trace's own".into(), read(tree, &Places::none()).map_err(wrong)?),
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
                "{name}: nothing was sold, so no speed can be short of it; say what was with --promise DOWN[/UP] in Mbit/s, or \
                 in [promise]"
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
    let mut simulation = Simulation::new(&config, &world, 1).forgetting().resting();
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

/// Judges a log by one configuration, or by two.
///
/// # Errors
/// A file cannot be read or is wrong, or the picture cannot be written.
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

/// `2026-11-20 10:32:07`
pub(super) fn moment(log: &Log, at: Span) -> String {
    let ms = log.from.0.saturating_add(at.0 as i64);
    let (y, m, d) = LocalTime { wall: Wall(ms), offset_minutes: 0 }.date();
    let s = ms.div_euclid(1_000).rem_euclid(86_400);
    format!("{y:04}-{m:02}-{d:02} {:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
}

/// For people.
pub fn show(path: &Path, log: &Log, judged: &[Judged]) -> String {
    let hole: u64 = log.holes.iter().map(|(_, length)| length.0).sum();
    let bad = match log.kind {
        Kind::Speeds => "failed",
        Kind::Pings | Kind::Trace => "lost",
        Kind::States => "down",
        Kind::Usage => "bad",
    };
    let mut text = format!(
        "{}: {}, {} rows from {} over {}, one each {}; {} {bad}; {} holes, {} in all\n",
        path.display(),
        log.kind.name(),
        log.rows,
        moment(log, Span::ZERO),
        log.lasts,
        log.step,
        log.bad,
        log.holes.len(),
        Span(hole)
    );
    for j in judged {
        text += &format!("\nby {}", j.config);
        if let Some(changed) = &j.changed {
            text += &format!(" ({changed})");
        }
        text += ":\n";
        let rows: Vec<Vec<String>> = j.incidents.iter().take(SHOWN).map(|f| row(log, f)).collect();
        if rows.is_empty() {
            text += "  nothing found\n";
        } else {
            text += &table(
                &["incident", "begins", "known after", "ends", "watched", "breaks", "callback"],
                &rows,
            );
        }
        if j.incidents.len() > SHOWN {
            text += &format!("… and {} more (--json has them all)\n", j.incidents.len() - SHOWN);
        }
        for f in j.incidents.iter().filter(|f| !f.is_without_line() || f.callback.is_some()).take(SHOWN / 4) {
            text += &format!("{}: {}\n", f.id, f.evidence);
            if let Some(told) = &f.told {
                text += &format!("  callback: {told}\n");
            }
        }
    }
    text.push('\n');
    let heads: Vec<&str> = std::iter::once("").chain(judged.iter().map(|j| j.config.as_str())).collect();
    type Figure = fn(&Judged) -> String;
    let figures: [(&str, Figure); 9] = [
        ("outages and flapping", |j| count(j, Found::is_without_line)),
        ("without a line", |j| j.down_ms.to_string()),
        ("short of the promise", |j| count(j, |f| f.finding == "short_rate")),
        ("unusual usage", |j| count(j, |f| f.finding == "usage")),
        ("callbacks", |j| count(j, |f| f.callback.is_some())),
        ("withdrawn", |j| {
            count(j, |f| f.callback.as_ref().is_some_and(|(_, state)| *state == CallbackState::Withdrawn))
        }),
        ("short breaks, not acted on", |j| j.hiccups.to_string()),
        ("remedies tried", |j| j.remedies.to_string()),
        ("speed tests", |j| {
            format!("{} ({})", j.tests.len(), linekeeper_contract::units::Bytes(j.test_bytes))
        }),
    ];
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|(name, of)| std::iter::once(name.to_string()).chain(judged.iter().map(of)).collect())
        .collect();
    text + &table(&heads, &rows)
}

impl Found {
    /// Nothing came through; not merely slow, late or lossy.
    fn is_without_line(&self) -> bool {
        matches!(self.finding, "outage" | "flapping")
    }
}

fn count(judged: &Judged, which: impl Fn(&Found) -> bool) -> String {
    judged.incidents.iter().filter(|f| which(f)).count().to_string()
}

fn row(log: &Log, f: &Found) -> Vec<String> {
    let callback = f.callback.as_ref().map_or("-".into(), |(_, state)| format!("{state:?}").to_lowercase());
    let place = f.about.as_deref().unwrap_or(f.domain);
    vec![
        format!("{} {} ({place})", f.id, f.finding),
        moment(log, f.begins_ms),
        Span(f.known_ms.0.saturating_sub(f.begins_ms.0)).to_string(),
        f.ends_ms.map_or("open".into(), |at| moment(log, at)),
        log.watched(f.begins_ms, f.ends_ms.unwrap_or(log.lasts)).to_string(),
        f.breaks.to_string(),
        callback,
    ]
}

/// For programs.
pub fn json(path: &Path, log: &Log, judged: &[Judged]) -> Value {
    json!({
        "schema": "linekeeper.backtest.v1",
        "log": path.display().to_string(),
        "kind": log.kind.name(),
        "rows": log.rows,
        "bad": log.bad,
        "from_ms": log.from,
        "lasts_ms": log.lasts,
        "step_ms": log.step,
        "holes": log.holes,
        "judged": judged,
    })
}
