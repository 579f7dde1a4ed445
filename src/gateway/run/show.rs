//! What people see of the daemon's answers.

use linekeeper_contract::json;
use linekeeper_contract::message::{CallbackState, IncidentState, Outcome};
use linekeeper_contract::units::{Permille, Rate, Span};
use linekeeper_judge::ledger::{Availability, Period, Tally};
use linekeeper_judge::lives::{Ending, Unasked};
use linekeeper_judge::observation::Interface;
use linekeeper_judge::outage::LineState;
use linekeeper_judge::promise::rule::Verdict;
use linekeeper_judge::quality::{MeasureStatus, Standing};
use linekeeper_judge::{RungStatus, Status};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;

/// What the daemon answers to `status`.
#[derive(Debug, Deserialize, serde::Serialize)]
pub struct Answer {
    /// Which gateway.
    pub device_id: String,
    /// Which linekeeper.
    pub version: String,
    /// How long it runs, milliseconds.
    pub running_ms: u64,
    /// Whether there is a broker to tell.
    pub mqtt: bool,
    /// Messages that wait for the broker.
    pub waiting: usize,
    /// Messages given up for want of room, since the outbox was made.
    pub dropped: u64,
    /// The judge's view.
    pub status: Status,
}

/// Words and a small table.
///
/// # Errors
/// When the answer is not one of a daemon of this version.
pub fn status(answer: &Value) -> Result<String, String> {
    let a = json::from_tree::<Answer>(answer).map_err(|e| {
        format!("the daemon's answer is not readable: {e}; are both of one version? try --json")
    })?;
    let mut t = String::new();
    let s = &a.status;
    let line = match s.line {
        LineState::Up => "UP",
        LineState::Down => "DOWN",
        LineState::Unknown => "UNKNOWN",
    };
    let _ = write!(t, "{} · line {line} for {}", a.device_id, Span(s.since_ms));
    if let (Some(rtt), LineState::Up) = (s.rtt_us, s.line) {
        let _ = write!(t, " · round trip {}", millis(rtt));
    }
    if let Some((rx, tx)) = s.traffic_bps {
        let _ = write!(t, " · {} in, {} out", Rate(rx), Rate(tx));
    }
    let broker = match (a.mqtt, s.broker) {
        (false, _) => "no broker configured",
        (true, true) => "broker connected",
        (true, false) => "broker not connected",
    };
    let clock = if s.clock_synced { "clock set" } else { "clock not set" };
    let _ = write!(t, "\nlinekeeper {} running for {} · {broker} · {clock}", a.version, Span(a.running_ms));
    match s.beginning {
        None => {}
        Some(b) if matches!(b.how, Ending::NotKnown | Ending::Restarted) => {}
        Some(b) => {
            let _ = write!(t, " · before: {}", b.how.words());
        }
    }
    match a.waiting {
        0 => {}
        1 => t += " · 1 message waits",
        n => {
            let _ = write!(t, " · {n} messages wait");
        }
    }
    if a.dropped > 0 {
        let _ = write!(t, " · {} messages given up", a.dropped);
    }
    match s.disconnects {
        0 => {}
        1 => t += " · 1 short break, not acted on",
        n => {
            let _ = write!(t, " · {n} short breaks, not acted on");
        }
    }
    t += "\n\n";
    let mut rows = vec![["target".to_string(), "role".into(), "round trip".into(), "last answer".into()]];
    for target in &s.targets {
        let answered = match (target.answered_ms_ago, target.bad) {
            (Some(ms), false) => format!("{} ago", Span(ms)),
            (Some(ms), true) => format!("{} ago, out of rotation", Span(ms)),
            (None, _) => "never".into(),
        };
        rows.push([
            target.host.clone(),
            target.role.clone(),
            target.rtt_us.map_or("–".into(), millis),
            answered,
        ]);
    }
    table(&mut t, &rows);
    if let Some(p) = &s.promise {
        promise(&mut t, p);
    }
    if let Some(q) = &s.quality {
        quality(&mut t, q);
    }
    if let Some(a) = &s.availability {
        availability(&mut t, a);
    }
    if let Some(i) = &s.incident {
        let finding = i.finding.as_str().replace('_', " ");
        let state = match i.state {
            IncidentState::Open => "open",
            IncidentState::Closed => "over",
        };
        let breaks = if i.breaks == 1 { "1 break".to_string() } else { format!("{} breaks", i.breaks) };
        let _ = write!(
            t,
            "\n{} {state}: {finding}, fault domain {}, {breaks}, {} without a line\n",
            i.id,
            i.fault_domain.as_str(),
            Span(i.down_ms)
        );
        for r in &s.remedies {
            let what = match r.outcome {
                None => "in progress".to_string(),
                Some(outcome) => {
                    let outcome = match outcome {
                        Outcome::Healed => "healed it",
                        Outcome::NoEffect => "no effect",
                        Outcome::Failed => "failed",
                        Outcome::Pretended => "only said",
                        Outcome::Interrupted => "interrupted",
                    };
                    format!("{outcome} after {}", Span(r.took_ms.unwrap_or_default()))
                }
            };
            let detail = if r.detail.is_empty() { String::new() } else { format!(" ({})", r.detail) };
            let _ = writeln!(t, "  {:<18} {what}{detail}", r.name.as_str());
        }
    }
    if !s.recent.is_empty() {
        t += "\nbefore:\n";
        for i in s.recent.iter().rev() {
            let opened = i.opened.wall.map_or("at an unknown time".to_string(), |w| w.to_string());
            let _ = writeln!(
                t,
                "  {} {opened}, {}, {} without a line",
                i.id,
                i.fault_domain.as_str(),
                Span(i.down_ms)
            );
        }
    }
    for c in &s.callbacks {
        let _ = write!(t, "\ncallback {} {}: {}\n", c.callback_id, state_words(c.state), c.description);
        let mut more = Vec::new();
        if let Some((by, seconds)) = &c.resolved {
            more.push(format!("resolved by {by} after {}", Span(seconds.saturating_mul(1_000))));
        }
        if let Some(score) = c.satisfaction_score {
            more.push(format!("satisfaction {score} of 5"));
        }
        if !c.issue_types.is_empty() {
            more.push(format!("it was about {}", c.issue_types.join(", ")));
        }
        if !more.is_empty() {
            let _ = writeln!(t, "  {}", more.join("; "));
        }
    }
    if !s.programme.is_empty() {
        let each: Vec<String> = s
            .programme
            .iter()
            .map(|d| if d.done { format!("{} done", d.name) } else { format!("{} due {}", d.name, d.due) })
            .collect();
        let _ = writeln!(t, "\nfollow-up calls: {}", each.join(", "));
    }
    if !s.budgets.is_empty() {
        t += "\nremedies in the last 24 h: ";
        let each: Vec<String> =
            s.budgets.iter().map(|(r, n, most)| format!("{} {n} of {most}", r.as_str())).collect();
        t += &each.join(", ");
        t.push('\n');
    }
    for warning in &s.warnings {
        let _ = writeln!(t, "\nwarning: {}, for {}", warning.text, Span(warning.since_ms));
    }
    for kind in s.usage.iter().flat_map(|usage| &usage.unusual) {
        let _ = writeln!(t, "\nunusual usage: {}", kind.words());
    }
    let Unasked { crashes, power_cuts } = s.unasked;
    if crashes > 0 || power_cuts > 0 {
        let _ =
            writeln!(t, "\nunexpected restarts: {power_cuts} of this gateway, {crashes} of linekeeper alone");
    }
    let record = |r: &&RungStatus| r.tried > 0;
    if s.rungs.iter().any(|r| record(&r)) {
        t += "\nwhat remedies did for this line:\n";
        for r in s.rungs.iter().filter(record) {
            let took = r.heal_ms.map_or(String::new(), |ms| format!(", in about {}", Span(ms)));
            let left_out = if r.left_out { "; left out, it never helped" } else { "" };
            let _ = writeln!(
                t,
                "  {:<18} fault domain {}: healed {} of {}{took}{left_out}",
                r.rung.as_str(),
                r.domain.as_str(),
                r.healed,
                r.tried
            );
        }
    }
    if let Some(notice) = &s.notice {
        let _ = writeln!(t, "\nthe operator's notice holds for this area: {notice}");
    }
    if let Some((name, is)) = s.interface.as_ref().filter(|(_, is)| *is != Interface::Up) {
        let _ = writeln!(t, "\nnetifd: {name} {}", is.words());
    }
    if let Some(why) = &s.hands_off {
        let _ = writeln!(t, "\nnothing that disturbs is done now: {why}");
    }
    for trouble in s.troubles.values() {
        let _ = writeln!(t, "\ntrouble: {trouble}");
    }
    Ok(t)
}

/// Whether the line is as fast as was sold.
fn promise(t: &mut String, p: &linekeeper_judge::promise::Status) {
    let _ = writeln!(t, "\npromise, by rule {}", p.rule);
    for d in &p.directions {
        let verdict = match d.verdict {
            Verdict::Kept => "kept".to_string(),
            Verdict::Broken => "BROKEN".into(),
            Verdict::Inconclusive(reason) => format!("inconclusive, {}", reason.words()),
        };
        let (busy, other) = (d.busy_hours, d.other_hours);
        let last = match d.last.last() {
            Some(r) => {
                let by = if r.server.is_some() { "a test" } else { "the customer's own traffic" };
                format!("; last {} ({}) by {by} {} ago", r.line, r.share, Span(r.ms_ago))
            }
            None => String::new(),
        };
        let _ = writeln!(t, "  {:<9} {verdict}{last}", d.direction.as_str());
        let _ = writeln!(
            t,
            "            short: {} of {} from 18 to 24 h, {} of {} in the other hours; {} is to be shown",
            busy.0, busy.1, other.0, other.1, d.enough
        );
    }
    let next = match (p.running, p.next_test_ms) {
        (Some(direction), _) => format!("{} is being tested", direction.as_str()),
        (None, Some(0)) => "a test waits for a quiet line".into(),
        (None, Some(ms)) => format!("next test in {}", Span(ms)),
        (None, None) => "no tests".into(),
    };
    let _ = writeln!(
        t,
        "  {next}; spent {} of {} in 24 h, {} of {} in 31 days",
        p.day.0, p.day.1, p.month.0, p.month.1
    );
    for server in &p.servers {
        if let Some(trouble) = &server.trouble {
            let _ = writeln!(t, "  {}: {trouble}", server.url);
        }
    }
    if let Some(port) = p.port {
        let _ = writeln!(t, "  the port negotiated only {port}");
    }
    if let Some(i) = &p.incident {
        let _ = writeln!(t, "  {} open: short rate, fault domain {}", i.id, i.fault_domain.as_str());
    }
}

/// Whether round trips are as short, and losses as few, as was promised.
fn quality(t: &mut String, q: &linekeeper_judge::quality::Status) {
    let share = |permille: u32| Permille(u16::try_from(permille).unwrap_or(u16::MAX)).to_string();
    type Words<'a> = &'a dyn Fn(u32) -> String;
    let measures: [(&str, &Option<MeasureStatus>, Words<'_>); 2] =
        [("latency", &q.latency, &millis), ("loss", &q.loss, &share)];
    t.push('\n');
    for (name, measure, words) in measures {
        let Some(m) = measure else { continue };
        let standing = match m.standing {
            Standing::Kept => "kept",
            Standing::Broken => "BROKEN",
            Standing::Unknown => "not known yet",
        };
        let last = match m.last.zip(m.last_ms_ago) {
            Some((last, ms)) => format!("; last {} {} ago", words(last), Span(ms)),
            None => String::new(),
        };
        let _ = writeln!(
            t,
            "{name:<9} {standing}{last}; above the promised {} in {} of {} windows",
            words(m.limit),
            m.failing,
            m.windows
        );
        if let Some(i) = &m.incident {
            let finding = i.finding.as_str().replace('_', " ");
            let _ = writeln!(t, "  {} open: {finding}, fault domain {}", i.id, i.fault_domain.as_str());
        }
    }
    for l in &q.loaded {
        let idle = l.idle_us.map_or(String::new(), |us| format!(", {} before it", millis(us)));
        let name = l.direction.as_str();
        let _ =
            writeln!(t, "{name} test {} ago: {} under its load{idle}", Span(l.ms_ago), millis(l.loaded_us));
    }
}

/// What kept the line from being up.
fn availability(t: &mut String, a: &Availability) {
    let named = |name: &str, of: &Tally| {
        let cell = |ms: u64| if ms == 0 { "–".to_string() } else { Span(ms).to_string() };
        let share = of.available_ppm.map_or("–".into(), |ppm| {
            // Never rounded up: a line that was away for a moment was not there for all of the time.
            format!("{}.{:03} %", ppm / 10_000, ppm % 10_000 / 10)
        });
        [
            name.to_string(),
            share,
            cell(of.line_ms),
            cell(of.remedies_ms),
            cell(of.tests_ms),
            cell(of.power_ms),
            cell(of.unknown_ms),
        ]
    };
    let head = ["", "available", "down", "our remedies", "our tests", "no power", "not watched"];
    let mut rows = vec![head.map(str::to_string)];
    let latest = |periods: &[Period], n: usize| -> Vec<Period> {
        periods.iter().rev().filter(|p| p.date.is_some()).take(n).cloned().collect()
    };
    for p in latest(&a.days, SHOWN_DAYS).iter().chain(&latest(&a.months, SHOWN_MONTHS)) {
        rows.push(named(p.date.as_deref().unwrap_or_default(), &p.tally));
    }
    rows.push(named("in all", &a.total));
    t.push('\n');
    table(t, &rows);
}

/// Days and months shown to people; `--json` has all.
const SHOWN_DAYS: usize = 3;
const SHOWN_MONTHS: usize = 2;

/// After `linekeeper callback`.
///
/// # Errors
/// Says why nobody will call: a script, a button or LuCI must not take that for a call.
pub fn callback(answer: &Value) -> Result<String, String> {
    match answer.get("callback_id").and_then(Value::as_str) {
        Some(id) if answer.get("told") == Some(&Value::Bool(false)) => Err(format!(
            "callback {id} is noted here, but nobody is told: no broker is configured, what waits for it cannot be kept, or \
             this is a dry run (see `linekeeper status`). Call the operator yourself."
        )),
        Some(id) => Ok(format!("callback {id} is under way: the operator will call\n")),
        None => Err("no callback was opened; see `linekeeper status`".into()),
    }
}

const fn state_words(state: CallbackState) -> &'static str {
    match state {
        CallbackState::Covered => "covered by a notice for the area",
        CallbackState::Requested => "requested, no receipt yet",
        CallbackState::Received => "received by the platform",
        CallbackState::Scheduled => "scheduled",
        CallbackState::Closed => "closed",
        CallbackState::Withdrawn => "withdrawn",
        CallbackState::Refused => "refused by the platform",
    }
}

/// `"9.8 ms"`, `"0.04 ms"`
fn millis(us: u32) -> String {
    match us {
        0..1_000 => format!("0.{:02} ms", us / 10),
        _ => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
    }
}

/// Columns as wide as their widest cell.
pub(super) fn table<const N: usize>(t: &mut String, rows: &[[String; N]]) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}   ");
        }
        t.push_str(line.trim_end());
        t.push('\n');
    }
}
