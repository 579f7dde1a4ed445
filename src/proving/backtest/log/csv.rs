//! Reads logs in CSV. The first line decides which kind of log it is.

use super::model::{FAULTS_REPORTED, Kind, Log, Row};
use super::world::{build, median};
use crate::replay::LineError;
use linekeeper_contract::units::{LocalTime, Span};

/// The next comma-separated field and its column, from 1.
fn fields(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut column = 1;
    line.split(',').map(move |field| {
        let at = column;
        column += field.chars().count() + 1;
        (at, field.trim())
    })
}

/// Parses a decimal number of at most `most` into thousandths.
fn thousandths(text: &str, most: u64) -> Result<u64, String> {
    let wrong = || format!("must be a number of 0 to {most}, or empty, is {text:.40?}");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 12 || !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let fraction = fraction.bytes().chain(*b"000").take(3).fold(0, |n, d| n * 10 + u64::from(d - b'0'));
    let n = whole * 1_000 + fraction;
    if n > most * 1_000 { Err(wrong()) } else { Ok(n) }
}

fn time(text: &str) -> Result<i64, String> {
    let seconds = text.bytes().next().is_some_and(|b| b.is_ascii_digit()) && !text.contains('-');
    if seconds {
        // Seconds until the year 2286.
        return thousandths(text, 9_999_999_999).map(|ms| ms as i64).map_err(|_| {
            format!("must be RFC 3339 or seconds since 1970, is {text:.40?}; milliseconds are not accepted")
        });
    }
    LocalTime::parse(text).map(|t| t.wall.0).map_err(|why| format!("must be a time: {text:.40?} is {why}"))
}

pub(super) fn read(text: &str) -> Result<Log, Vec<LineError>> {
    let whole = |line: usize, column: usize, what: String| vec![LineError { line, column, what }];
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.split('\n').map(|l| l.strip_suffix('\r').unwrap_or(l)).enumerate();
    let head = lines.next().map_or("", |(_, head)| head);
    let names: Vec<&str> = fields(head).map(|(_, name)| name).collect();
    let kind = match names[..] {
        ["time", "download_mbps", ..] => Kind::Speeds,
        ["time", "target", "rtt_ms"] => Kind::Pings,
        ["time", "up"] => Kind::States,
        ["time", "value"] | ["time", "value", "label"] => Kind::Usage,
        _ => {
            let what = format!(
                "the first line must be time,download_mbps,upload_mbps,latency_ms or time,target,rtt_ms or time,up or \
                 time,value, or a trace's header, is {head:.60?}"
            );
            return Err(whole(1, 1, what));
        }
    };
    let known = ["time", "download_mbps", "upload_mbps", "latency_ms"];
    if kind == Kind::Speeds && !names.iter().zip(known).all(|(name, known)| *name == known) || names.len() > 4
    {
        return Err(whole(1, 1, format!("the columns of speeds are {}, in this order", known.join(","))));
    }
    let mut wrong: Vec<LineError> = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut targets: Vec<&str> = Vec::new();
    let mut latencies: Vec<u64> = Vec::new();
    for (at, line) in lines {
        if line.is_empty() {
            continue;
        }
        let mut report = |column: usize, what: String| wrong.push(LineError { line: at + 1, column, what });
        let n = line.split(',').count();
        if n != names.len() {
            report(1, format!("has {n} fields, the first line has {}", names.len()));
        } else {
            let mut row = Row { at: 0, first: None, second: None, target: 0 };
            for ((column, field), name) in fields(line).zip(&names) {
                let optional =
                    |most: u64| if field.is_empty() { Ok(None) } else { thousandths(field, most).map(Some) };
                let read = match *name {
                    "time" => time(field).map(|ms| row.at = ms),
                    "download_mbps" => optional(1_000_000).map(|n| row.first = n),
                    "upload_mbps" => optional(1_000_000).map(|n| row.second = n),
                    "latency_ms" => optional(60_000).map(|n| latencies.extend(n)),
                    "rtt_ms" => optional(60_000).map(|n| row.first = n),
                    "value" => optional(1_000_000).map(|n| row.first = n),
                    "up" => match field {
                        "" => Ok(None),
                        "1" | "true" | "up" => Ok(Some(1)),
                        "0" | "false" | "down" => Ok(Some(0)),
                        other => Err(format!("must be 1 or 0, or empty, is {other:.40?}")),
                    }
                    .map(|up| row.first = up),
                    "target" if targets.len() < 256 || targets.contains(&field) => {
                        let known = targets.iter().position(|t| *t == field);
                        if known.is_none() {
                            targets.push(field);
                        }
                        row.target = known.unwrap_or(targets.len() - 1) as u32;
                        Ok(())
                    }
                    "target" => Err("is one of more than 256 targets".into()),
                    _ => Ok(()),
                };
                if let Err(what) = read {
                    report(column, format!("{name} {what}"));
                }
            }
            if let Some(last) = rows.last().filter(|last| row.at < last.at) {
                report(1, format!("time runs backwards by {}", Span((last.at - row.at).unsigned_abs())));
            }
            rows.push(row);
        }
        if wrong.len() >= FAULTS_REPORTED {
            return Err(wrong);
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if rows.len() < 2 {
        return Err(whole(1, 1, "has fewer than two rows, too few to judge".into()));
    }
    let mut log = build(kind, &rows);
    latencies.sort_unstable();
    let rtt = latencies.get(latencies.len() / 2).copied().or_else(|| match kind {
        Kind::Pings => median(rows.iter().filter_map(|r| r.first).collect()),
        _ => None,
    });
    if let Some(rtt) = rtt {
        log.world.rtt_us = vec![u32::try_from(rtt).unwrap_or(u32::MAX).max(1)];
        log.world.gateway_rtt_us = log.world.rtt_us[0] / 4;
        log.world.jitter_us = 0;
    }
    log.world.clock = Some(log.from);
    Ok(log)
}
