//! Logs of real lines, as worlds: what somebody else once measured, or what an agent of our own recorded.
//!
//! | first line | what it is | what it becomes |
//! |---|---|---|
//! | `time,download_mbps,upload_mbps,latency_ms` | speed tests; an empty rate is a failed one | the next logged test answers the one that the judge asks for |
//! | `time,target,rtt_ms` | pings; an empty time is a lost one | the line is silent from the last ping before a lost one until that one |
//! | `time,up` | states: 1 or 0, empty where nobody knows; each holds until the next row | the line is silent while it is down |
//! | `time,value[,label]` | traffic as a share of an unknown most | what the customer takes in, in parts of 10 Mbit/s |
//! | `{"schema":"linekeeper.trace.v1",…` | a trace of our own | echoes as pings, tests as tests, lost carriers and addresses |
//!
//! Times are RFC 3339, or seconds since 1970. What is far longer than the log's usual step is a hole: nobody looked, and
//! the agent is not there either. A log is read as a whole or not at all.

use super::world::{Fault, Recorded, Trouble, World};
use crate::replay::{Fault as Wrong, Header, TRACE_SCHEMA};
use linekeeper_contract::json;
use linekeeper_contract::units::{LocalTime, Mono, Rate, Span, Wall};
use linekeeper_contract::vocabulary::Direction;
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::{Entry, Observation, Obstacle, TargetId};
use linekeeper_judge::speed::SpeedOutcome;
use serde_json::Value;

/// A silence must last for so many tenths of the log's step to be one: one lost ping is a lost ping, three in a row are
/// a silence.
const STEPS: u64 = 25;
/// Speed tests are hours apart by nature: less is no hole.
const TEST_HOLE: Span = Span::hours(3);
/// In a trace of our own, as in the judge: five seconds without anything is a hole.
const TRACE_HOLE: Span = Span::seconds(5);
/// Of a trace: traffic below this is our own and stray.
const USED: Rate = Rate(50_000);
/// Faults told of one log, at most: a wrong separator is wrong on each line.
const TOLD: usize = 20;
/// What a share of 1 means in bit/s, where a log has no unit.
const WHOLE: u64 = 10_000_000;

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Speed tests.
    Speeds,
    /// Pings.
    Pings,
    /// Up and down.
    States,
    /// Traffic.
    Usage,
    /// A trace of our own.
    Trace,
}

impl Kind {
    /// As reports name it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Speeds => "speeds",
            Kind::Pings => "pings",
            Kind::States => "states",
            Kind::Usage => "usage",
            Kind::Trace => "trace",
        }
    }
}

/// One row, its values in thousandths; `None`: empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    /// Milliseconds since 1970 (of a trace: of the agent's clock).
    at: i64,
    /// kbit/s down, microseconds, 0 or 1, thousandths of a share.
    first: Option<u64>,
    /// kbit/s up.
    second: Option<u64>,
    /// Whom, for pings.
    target: u32,
}

/// A log, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// What it holds.
    pub kind: Kind,
    /// Rows in it.
    pub rows: usize,
    /// Its first moment.
    pub from: Wall,
    /// From its first to its last moment.
    pub lasts: Span,
    /// The middle of the times from row to row.
    pub step: Span,
    /// Its holes: when from its beginning, and how long.
    pub holes: Vec<(Span, Span)>,
    /// Lost pings, failed tests, or moments without a line.
    pub bad: usize,
    /// What there is to draw: when, and what in thousandths (kbit/s, microseconds, 0 or 1).
    pub points: Vec<(Span, Option<u64>)>,
    /// The configuration that a trace was recorded with.
    pub config: Option<Value>,
    world: World,
}

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    /// What is wrong, with line and column; at most the first twenty faults.
    pub fn read(text: &str) -> Result<Log, Vec<Wrong>> {
        if text.starts_with('{') { trace(text) } else { csv(text) }
    }

    /// How much of the time between two moments the log knows.
    pub fn watched(&self, from: Span, until: Span) -> Span {
        let hidden = |(at, length): &(Span, Span)| {
            let end = (*at + *length).min(until);
            end.0.saturating_sub(from.0.max(at.0))
        };
        Span(until.0.saturating_sub(from.0).saturating_sub(self.holes.iter().map(hidden).sum()))
    }

    /// The world of this log, and what must change in a configuration to judge by it, in words.
    ///
    /// A log with one ping a minute cannot show a silence of two seconds: the patience is raised to what it can show.
    pub fn world(&self, config: &mut Config) -> (World, Option<String>) {
        let least = Span(self.step.0 * STEPS / 10);
        let mut words = None;
        if matches!(self.kind, Kind::Pings | Kind::Trace) && config.outage.patience < least {
            words = Some(format!(
                "the log has a ping each {}, so the patience is raised from {} to {least}",
                self.step, config.outage.patience
            ));
            config.outage.patience = least;
            config.outage.hold_down = config.outage.hold_down.max(least.times(2));
        }
        (self.world.clone(), words)
    }
}

/// The next comma-separated field and its column, from 1.
fn fields(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut column = 1;
    line.split(',').map(move |field| {
        let at = column;
        column += field.chars().count() + 1;
        (at, field.trim())
    })
}

/// A decimal number in thousandths, at most `most`.
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
            format!("must be RFC 3339 or seconds since 1970, is {text:.40?}; milliseconds are not read")
        });
    }
    LocalTime::parse(text).map(|t| t.wall.0).map_err(|why| format!("must be a time: {text:.40?} is {why}"))
}

fn csv(text: &str) -> Result<Log, Vec<Wrong>> {
    let whole = |line: usize, column: usize, what: String| vec![Wrong { line, column, what }];
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
    let mut wrong: Vec<Wrong> = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut targets: Vec<&str> = Vec::new();
    let mut latencies: Vec<u64> = Vec::new();
    for (at, line) in lines {
        if line.is_empty() {
            continue;
        }
        let mut tell = |column: usize, what: String| wrong.push(Wrong { line: at + 1, column, what });
        let n = line.split(',').count();
        if n != names.len() {
            tell(1, format!("has {n} fields, the first line has {}", names.len()));
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
                    tell(column, format!("{name} {what}"));
                }
            }
            if let Some(last) = rows.last().filter(|last| row.at < last.at) {
                tell(1, format!("time runs back, by {}", Span((last.at - row.at).unsigned_abs())));
            }
            rows.push(row);
        }
        if wrong.len() >= TOLD {
            return Err(wrong);
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if rows.len() < 2 {
        return Err(whole(1, 1, "holds fewer than two rows: nothing can be judged by it".into()));
    }
    let mut log = log(kind, &rows);
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

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Rows in the order of time, as a world.
fn log(kind: Kind, rows: &[Row]) -> Log {
    let begin = rows.first().map_or(0, |r| r.at);
    let at = |row: &Row| Span((row.at - begin).unsigned_abs());
    let lasts = rows.last().map_or(Span::ZERO, at);
    // Several targets are asked at once: their common moments are no steps.
    let steps = rows.windows(2).map(|w| (w[1].at - w[0].at).unsigned_abs()).filter(|ms| *ms > 0);
    let step = Span(median(steps.collect()).unwrap_or(1_000).max(1));
    let hole = match kind {
        Kind::Speeds => Span(step.0 * STEPS / 10).max(TEST_HOLE),
        Kind::Trace => TRACE_HOLE,
        Kind::Pings | Kind::Usage => Span(step.0 * STEPS / 10),
        // A state holds until the next one.
        Kind::States => Span(u64::MAX),
    };
    // What is left of watching on both sides of a hole.
    let rim = match kind {
        Kind::Speeds => Span(hole.0 / 3),
        _ => step,
    };
    let mut world = World { unasked: true, ..World::quiet() };
    let mut holes = Vec::new();
    let mut silent: Vec<(Span, Span)> = Vec::new();
    let mut troubles: Vec<(Span, Span, Trouble)> = Vec::new();
    let mut bad = 0;
    for (place, row) in rows.iter().enumerate() {
        let now = at(row);
        let before = place.checked_sub(1).and_then(|p| rows.get(p)).map_or(now, at);
        let next = rows.get(place + 1).map_or(now, at);
        let gap = Span(now.0 - before.0);
        if gap > hole {
            let begins = if kind == Kind::Speeds { before + rim } else { before };
            let ends = Span(now.0 - rim.0.min(gap.0 / 2));
            holes.push((begins, Span(ends.0.saturating_sub(begins.0))));
        }
        match kind {
            Kind::Speeds => {
                let rate = |kbit: Option<u64>| kbit.map(|n| Rate(n * 1_000));
                bad += usize::from(row.first.is_none() && row.second.is_none());
                world.recorded.push(Recorded {
                    at: now,
                    download: rate(row.first),
                    upload: rate(row.second),
                });
            }
            Kind::Pings | Kind::Trace if row.first.is_none() => {
                bad += 1;
                // Somebody else answered just then: that is the target's silence.
                let near = |r: &&Row| (r.at - row.at).unsigned_abs() < step.0;
                let around = rows[..place]
                    .iter()
                    .rev()
                    .take_while(near)
                    .chain(rows[place + 1..].iter().take_while(near));
                if !around.into_iter().any(|r| r.first.is_some() && r.target != row.target) {
                    silent.push((if gap > hole { Span(now.0 - rim.0.min(gap.0 / 2)) } else { before }, now));
                }
            }
            Kind::Pings | Kind::Trace => {}
            Kind::States => match row.first {
                Some(0) => {
                    bad += 1;
                    silent.push((now, next));
                }
                Some(_) => {}
                None => holes.push((now, Span(next.0 - now.0))),
            },
            Kind::Usage => {
                let rate = Rate(row.first.unwrap_or(0) * WHOLE / 1_000);
                if next.0 - now.0 <= hole.0 && rate.0 > 0 {
                    troubles.push((now, next, Trouble::Uses(rate)));
                }
            }
        }
    }
    // Silences that touch are one.
    for (from, until) in silent {
        match troubles.last_mut() {
            Some((_, end, Trouble::Upstream)) if from <= *end => *end = until.max(*end),
            _ => troubles.push((from, until, Trouble::Upstream)),
        }
    }
    troubles.extend(holes.iter().map(|(from, length)| (*from, *from + *length, Trouble::Frozen)));
    if matches!(kind, Kind::Pings | Kind::States | Kind::Trace) {
        // The log knows nothing of the operator's first router.
        troubles.push((Span::ZERO, lasts, Trouble::GatewayFilters));
    }
    troubles.retain(|(from, until, _)| from < until);
    troubles.sort_by_key(|(from, _, _)| *from);
    let fault = |(from, until, trouble): (Span, Span, Trouble)| Fault {
        at: from,
        lasts: Some(Span(until.0 - from.0)),
        healed_by: Vec::new(),
        trouble,
    };
    world.faults = troubles.into_iter().map(fault).collect();
    world.clock = None;
    Log {
        kind,
        rows: rows.len(),
        from: Wall(begin),
        lasts,
        step,
        holes,
        bad,
        points: rows.iter().map(|row| (at(row), row.first)).collect(),
        config: None,
        world,
    }
}

/// A trace of our own. What the remedies of then did to the line is in it as the line's own doing.
fn trace(text: &str) -> Result<Log, Vec<Wrong>> {
    let mut rows: Vec<Row> = Vec::new();
    let mut speeds: Vec<(Mono, Direction, Option<Rate>)> = Vec::new();
    let mut links: Vec<(Mono, Option<Trouble>)> = Vec::new();
    let mut traffic: Vec<(u64, u64, u64)> = Vec::new();
    let mut config = None;
    let mut clock: Option<(Mono, Wall)> = None;
    let mut wrong = Vec::new();
    let mut last = Mono(0);
    let mut lines = text.split('\n').enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        if line.is_empty() && lines.peek().is_none() {
            break;
        }
        let mut tell = |column: usize, what: String| wrong.push(Wrong { line: at + 1, column, what });
        if line.starts_with("{\"schema\":") {
            match json::read::<Header>(line.as_bytes()) {
                Ok(header) if header.schema == TRACE_SCHEMA => config = Some(header.config),
                Ok(header) => {
                    tell(12, format!("the schema is {:?}, this program reads {TRACE_SCHEMA}", header.schema))
                }
                Err(e) => tell(e.column(), format!("not the header of a trace: {}", e.bare())),
            }
        } else {
            match json::read::<Entry>(line.as_bytes()) {
                Ok(entry) if entry.at < last => {
                    tell(1, format!("time runs back: {} after {}", entry.at.0, last.0))
                }
                Ok(entry) => {
                    last = entry.at;
                    taken(&entry, &mut rows, &mut speeds, &mut links, &mut traffic, &mut clock);
                }
                Err(e) => tell(e.column(), format!("not an entry of a trace: {}", e.bare())),
            }
        }
        if wrong.len() >= TOLD {
            return Err(wrong);
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if rows.len() < 2 {
        let what = "holds fewer than two echoes: nothing can be judged by it".into();
        return Err(vec![Wrong { line: 1, column: 1, what }]);
    }
    // They come back in another order than they were sent.
    rows.sort_by_key(|row| row.at);
    let begin = rows.first().map_or(0, |r| r.at);
    let since = |at: Mono| Span((at.0 as i64 - begin).max(0) as u64);
    let mut log = log(Kind::Trace, &rows);
    log.config = config;
    for (at, direction, rate) in speeds {
        let (mut download, mut upload) = (None, None);
        match direction {
            Direction::Download => download = rate,
            Direction::Upload => upload = rate,
        }
        log.world.recorded.push(Recorded { at: since(at), download, upload });
    }
    let ends = links.iter().skip(1).map(|(at, _)| since(*at)).chain([log.lasts]).collect::<Vec<_>>();
    for ((at, trouble), end) in links.into_iter().zip(ends) {
        let lasts = Span(end.0.saturating_sub(since(at).0));
        let (at, healed_by) = (since(at), Vec::new());
        log.world.faults.extend(trouble.map(|trouble| Fault { at, lasts: Some(lasts), healed_by, trouble }));
    }
    // Traffic by the minute.
    let mut minutes = std::collections::BTreeMap::<u64, (u64, u64)>::new();
    for (at, over, bytes) in traffic {
        let minute = minutes.entry(since(Mono(at)).0 / 60_000).or_default();
        *minute = (minute.0 + over, minute.1.saturating_add(bytes));
    }
    for (minute, (over, bytes)) in minutes {
        let rate = Rate((u128::from(bytes) * 8_000 / u128::from(over.max(1))).min(1 << 40) as u64);
        if rate >= USED {
            let (at, healed_by) = (Span::minutes(minute), Vec::new());
            let (lasts, trouble) = (Some(Span::minutes(1)), Trouble::Uses(rate));
            log.world.faults.push(Fault { at, lasts, healed_by, trouble });
        }
    }
    log.world.faults.sort_by_key(|f| f.at);
    let wall = clock.map(|(at, wall)| Wall(wall.0.saturating_add(begin).saturating_sub(at.0 as i64)));
    log.world.clock = wall;
    log.from = wall.unwrap_or(Wall(0));
    Ok(log)
}

fn taken(
    entry: &Entry,
    rows: &mut Vec<Row>,
    speeds: &mut Vec<(Mono, Direction, Option<Rate>)>,
    links: &mut Vec<(Mono, Option<Trouble>)>,
    traffic: &mut Vec<(u64, u64, u64)>,
    clock: &mut Option<(Mono, Wall)>,
) {
    /// When the sensor of then gave an echo up.
    const GIVEN_UP: i64 = 5_000;
    let at = i64::try_from(entry.at.0).unwrap_or(i64::MAX);
    let far = |target: &TargetId| *target != TargetId::GATEWAY;
    match &entry.observation {
        Observation::EchoAnswered { target, rtt_us, .. } if far(target) => {
            let (at, first) = (at - i64::from(*rtt_us) / 1_000, Some(u64::from(*rtt_us)));
            rows.push(Row { at: at.max(0), first, second: None, target: u32::from(target.0) });
        }
        Observation::EchoLost { target, .. } if far(target) => {
            rows.push(Row {
                at: (at - GIVEN_UP).max(0),
                first: None,
                second: None,
                target: u32::from(target.0),
            });
        }
        Observation::EchoNotSent { target, obstacle: Obstacle::NoWay, .. } if far(target) => {
            rows.push(Row { at, first: None, second: None, target: u32::from(target.0) });
        }
        Observation::LinkSeen(link) => {
            let trouble = if !link.present || !link.admin_up || !link.carrier {
                Some(Trouble::Carrier)
            } else if link.addresses.is_empty() || !link.default_route {
                Some(Trouble::Address)
            } else {
                None
            };
            links.push((entry.at, trouble));
        }
        Observation::Counted(counted) if !counted.reset => {
            traffic.push((entry.at.0, counted.over.0, counted.rx_bytes));
        }
        Observation::SpeedEnded(ended) => {
            let rate = match &ended.outcome {
                SpeedOutcome::Measured(figures) => Some(figures.line),
                SpeedOutcome::Failed { .. } => None,
            };
            speeds.push((entry.at - ended.took, ended.direction, rate));
        }
        Observation::ClockSet { wall, .. } if clock.is_none() => *clock = Some((entry.at, *wall)),
        _ => {}
    }
}
