//! Reads traces recorded by linekeeper.

use super::model::{FAULTS_REPORTED, Kind, Log, Row};
use super::world::build;
use crate::replay::{Header, LineError, TRACE_SCHEMA};
use crate::simulate::{Fault, Recorded, Trouble};
use linekeeper_contract::json;
use linekeeper_contract::units::{Mono, Rate, Span, Wall};
use linekeeper_contract::vocabulary::Direction;
use linekeeper_judge::observation::{Entry, Observation, Obstacle, TargetId};
use linekeeper_judge::speed::SpeedOutcome;

/// Traffic below this rate is our own or stray.
const USED: Rate = Rate(50_000);

/// Reads a trace. The effects of the remedies that ran while it was recorded appear as faults of the line.
pub(super) fn read(text: &str) -> Result<Log, Vec<LineError>> {
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
        let mut report = |column: usize, what: String| wrong.push(LineError { line: at + 1, column, what });
        if line.starts_with("{\"schema\":") {
            match json::read::<Header>(line.as_bytes()) {
                Ok(header) if header.schema == TRACE_SCHEMA => config = Some(header.config),
                Ok(header) => report(
                    12,
                    format!("the schema is {:?}, this program reads {TRACE_SCHEMA}", header.schema),
                ),
                Err(e) => report(e.column(), format!("not the header of a trace: {}", e.without_position())),
            }
        } else {
            match json::read::<Entry>(line.as_bytes()) {
                Ok(entry) if entry.at < last => {
                    report(1, format!("time runs backwards: {} after {}", entry.at.0, last.0))
                }
                Ok(entry) => {
                    last = entry.at;
                    collect_entry(&entry, &mut rows, &mut speeds, &mut links, &mut traffic, &mut clock);
                }
                Err(e) => report(e.column(), format!("not an entry of a trace: {}", e.without_position())),
            }
        }
        if wrong.len() >= FAULTS_REPORTED {
            return Err(wrong);
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if rows.len() < 2 {
        let what = "has fewer than two echoes, too few to judge".into();
        return Err(vec![LineError { line: 1, column: 1, what }]);
    }
    // Replies arrive in another order than the requests were sent.
    rows.sort_by_key(|row| row.at);
    let begin = rows.first().map_or(0, |r| r.at);
    let since = |at: Mono| Span((at.0 as i64 - begin).max(0) as u64);
    let mut log = build(Kind::Trace, &rows);
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

fn collect_entry(
    entry: &Entry,
    rows: &mut Vec<Row>,
    speeds: &mut Vec<(Mono, Direction, Option<Rate>)>,
    links: &mut Vec<(Mono, Option<Trouble>)>,
    traffic: &mut Vec<(u64, u64, u64)>,
    clock: &mut Option<(Mono, Wall)>,
) {
    /// Timeout of the sensor that recorded the trace, milliseconds.
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
