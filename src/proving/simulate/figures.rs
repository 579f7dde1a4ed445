//! Prints the results of simulated worlds: tables for people, JSON for programs.

use super::plan::YEAR;
use super::runs::Outcome;
use super::tally::{Spread, Tally};
use crate::table::table;
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use serde_json::{Value, json};

fn line_years(tally: &Tally) -> f64 {
    tally.time.0 as f64 / YEAR.0 as f64
}

/// A count per line-year, without decimals from 10 on.
fn per_year(n: u64, years: f64) -> String {
    let n = n as f64 / years.max(f64::MIN_POSITIVE);
    if n == 0.0 {
        "0".into()
    } else if n < 10.0 {
        format!("{n:.1}")
    } else {
        format!("{n:.0}")
    }
}

fn percentage((all, found): (u64, u64)) -> String {
    if all == 0 { "-".into() } else { format!("{:.2} %", found as f64 * 100.0 / all as f64) }
}

fn format_spread(s: Spread) -> String {
    if s.worst_ms == Span::ZERO {
        "-".into()
    } else {
        format!("{} / {} / {}", s.median_ms, s.p95_ms, s.worst_ms)
    }
}

/// The results as text tables.
pub fn show(outcomes: &[Outcome]) -> String {
    let mut found = Vec::new();
    let mut done = Vec::new();
    let mut sum = Tally::default();
    for Outcome { name, tally, .. } in outcomes {
        let y = line_years(tally);
        found.push(vec![
            name.clone(),
            format!("{y:.0}"),
            per_year(tally.outages.0, y),
            percentage(tally.outages),
            percentage(tally.long),
            tally.false_outages.to_string(),
            format_spread(tally.to_detect()),
            format_spread(tally.to_mend()),
        ]);
        let calls = tally.calls;
        let reboots = tally.remedies.get(&Rung::Reboot).copied().unwrap_or(0);
        done.push(vec![
            name.clone(),
            percentage((tally.outages.0, tally.uncalled)),
            per_year(calls.right, y),
            calls.wrong.to_string(),
            per_year(calls.late, y),
            per_year(calls.withdrawn, y),
            per_year(tally.remedies.values().sum(), y),
            per_year(tally.healed, y),
            per_year(reboots, y),
            per_year(tally.self_inflicted.whole_seconds(), y),
            per_year(tally.tests.1.0 / 1_000_000_000, y),
            per_year(tally.probe_bytes().0 / 1_000_000_000, y),
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
        "\n{:.0} line-years, {:.0} million observations judged; {:.1} % of the time was quiet and was skipped\n",
        line_years(&sum),
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
        text += &format!(
            "the judge asked {} times to be woken at once, which would make a daemon spin\n",
            sum.stalls
        );
    }
    text
}

/// The results as JSON: sums over all line-years, not divided by them.
pub fn json(outcomes: &[Outcome]) -> Value {
    let world = |o: &Outcome| {
        let t = &o.tally;
        json!({
            "name": o.name,
            "about": o.about,
            "years": line_years(t),
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
