//! Prints the findings on a log: tables for people, JSON for programs.

use super::judged::{Found, Judged};
use super::log::{Kind, Log};
use crate::table::table;
use linekeeper_contract::message::CallbackState;
use linekeeper_contract::units::{Bytes, Span};
use serde_json::{Value, json};
use std::path::Path;

/// Most incidents listed for one log; `--json` lists all.
const SHOWN: usize = 40;

/// The findings as text tables.
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
        log.kind.as_str(),
        log.rows,
        log.moment(Span::ZERO),
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
        ("downtime", |j| j.down_ms.to_string()),
        ("short of the promise", |j| count(j, |f| f.finding == "short_rate")),
        ("unusual usage", |j| count(j, |f| f.finding == "usage")),
        ("callbacks", |j| count(j, |f| f.callback.is_some())),
        ("withdrawn", |j| {
            count(j, |f| f.callback.as_ref().is_some_and(|(_, state)| *state == CallbackState::Withdrawn))
        }),
        ("short breaks, not acted on", |j| j.hiccups.to_string()),
        ("remedies tried", |j| j.remedies.to_string()),
        ("speed tests", |j| format!("{} ({})", j.tests.len(), Bytes(j.test_bytes))),
    ];
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|(name, of)| std::iter::once(name.to_string()).chain(judged.iter().map(of)).collect())
        .collect();
    text + &table(&heads, &rows)
}

fn count(judged: &Judged, which: impl Fn(&Found) -> bool) -> String {
    judged.incidents.iter().filter(|f| which(f)).count().to_string()
}

fn row(log: &Log, f: &Found) -> Vec<String> {
    let callback = f.callback.as_ref().map_or("-".into(), |(_, state)| format!("{state:?}").to_lowercase());
    let place = f.about.as_deref().unwrap_or(f.domain);
    vec![
        format!("{} {} ({place})", f.id, f.finding),
        log.moment(f.begins_ms),
        Span(f.known_ms.0.saturating_sub(f.begins_ms.0)).to_string(),
        f.ends_ms.map_or("open".into(), |at| log.moment(at)),
        log.watched(f.begins_ms, f.ends_ms.unwrap_or(log.lasts)).to_string(),
        f.breaks.to_string(),
        callback,
    ]
}

/// The findings as JSON.
pub fn json(path: &Path, log: &Log, judged: &[Judged]) -> Value {
    json!({
        "schema": "linekeeper.backtest.v1",
        "log": path.display().to_string(),
        "kind": log.kind.as_str(),
        "rows": log.rows,
        "bad": log.bad,
        "from_ms": log.from,
        "lasts_ms": log.lasts,
        "step_ms": log.step,
        "holes": log.holes,
        "judged": judged,
    })
}
