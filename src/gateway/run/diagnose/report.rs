//! What people and programs get to see of a diagnosis.

use super::facts::{Echo, Facts};
use super::verdict::Verdict;
use linekeeper_contract::message::Domain;
use linekeeper_contract::units::{Millicelsius, Permille};
use linekeeper_judge::check::{Ask, DeviceSeen, Reply, Said};
use linekeeper_judge::config::Config;
use linekeeper_judge::device::beyond;
use linekeeper_judge::observation::{Interface, Link, Obstacle};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Layer, what was asked, what came back, verdict.
pub(super) type Row = [String; 4];

pub(super) fn rows(facts: &Facts, config: &Config) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut row = |layer: &str, asked: String, came: String, verdict: &str| {
        rows.push([layer.to_owned(), asked, came, verdict.to_owned()]);
    };
    let bad = beyond(&facts.seen, &config.health);
    let mut came = describe_device(&facts.seen);
    if let Some(why) = &facts.hands_off {
        let _ = write!(came, "; {why}");
    }
    row("device", "this gateway".into(), came, if bad.is_empty() { "ok" } else { "warning" });
    let link = &facts.link;
    let name = if facts.device.is_empty() { "WAN device".to_owned() } else { facts.device.clone() };
    let ok = |good: bool| if good { "ok" } else { "missing" };
    let state = match link {
        Link { present: false, .. } => "not there".to_owned(),
        Link { admin_up: false, .. } => "switched off".to_owned(),
        Link { carrier: false, .. } => "no carrier".to_owned(),
        Link { speed: Some(speed), half_duplex: true, .. } => format!("carrier, {speed}, half duplex"),
        Link { speed: Some(speed), .. } => format!("carrier, {speed}"),
        _ => "carrier".to_owned(),
    };
    match &facts.interface {
        Some(Ok((name, is))) => {
            let verdict = if *is == Interface::Up { "ok" } else { "missing" };
            row("interface", format!("netifd: {name}"), is.words(), verdict);
        }
        Some(Err(why)) => row("interface", "netifd".into(), why.clone(), "not checked"),
        None => {}
    }
    let verdict = match link.present && link.admin_up && link.carrier {
        true if link.half_duplex => "warning",
        whole => ok(whole),
    };
    row("link", name, state, verdict);
    if link.present {
        let addresses: Vec<String> = link.addresses.iter().map(ToString::to_string).collect();
        let words = if addresses.is_empty() { "none".to_owned() } else { addresses.join(", ") };
        row("address", "the kernel".into(), words, ok(!link.addresses.is_empty()));
        let words = match (link.default_route, link.gateway) {
            (true, Some(gateway)) => format!("default by {gateway}"),
            (true, None) => "default, point to point".to_owned(),
            (false, _) => "none".to_owned(),
        };
        row("route", "the kernel".into(), words, ok(link.default_route));
    }
    let mut checked = |ask: Ask, asked: &dyn Fn(&Reply) -> String| {
        for reply in facts.replies(ask) {
            let mut came = reply.detail.clone();
            if let Some(us) = reply.took_us {
                let _ = write!(came, " ({})", millis(us));
            }
            row(ask.name(), asked(reply), came, verdict_word(reply.said));
        }
    };
    checked(Ask::Neighbour, &|reply| reply.whom.clone());
    checked(Ask::Dhcp, &|reply| reply.whom.clone());
    checked(Ask::Pppoe, &|reply| reply.whom.clone());
    let mut echoed = |host: String, role: &str, echo: Echo| {
        let (came, verdict) = match echo {
            Echo::Answered(us) => (millis(us), "ok"),
            Echo::Silent => ("no answer".to_owned(), "silent"),
            Echo::NotSent(obstacle) => (obstacle_text(obstacle).to_owned(), "not checked"),
        };
        rows.push([role.to_owned(), format!("echo to {host}"), came, verdict.to_owned()]);
    };
    if let (Some(echo), Some(address)) = (facts.gateway, link.gateway) {
        echoed(address.to_string(), "gateway", echo);
    }
    for (host, role, echo) in &facts.targets {
        echoed(host.clone(), role.name(), *echo);
    }
    for ask in [Ask::Name, Ask::Web] {
        for reply in facts.replies(ask) {
            let mut came = reply.detail.clone();
            if let Some(us) = reply.took_us {
                let _ = write!(came, " ({})", millis(us));
            }
            let by = if reply.independent { " (independent)" } else { "" };
            rows.push([
                ask.name().to_owned(),
                format!("{}{by}", reply.whom),
                came,
                verdict_word(reply.said).to_owned(),
            ]);
        }
    }
    rows
}

const fn verdict_word(said: Said) -> &'static str {
    match said {
        Said::Answered => "ok",
        Said::Refused => "refused",
        Said::Forged => "forged",
        Said::Silent => "silent",
        Said::NotChecked => "not checked",
    }
}

const fn obstacle_text(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::NoWay => "not sent: no way there",
        Obstacle::NoAddress => "not sent: its address is not known",
        Obstacle::NotAllowed => "not sent: needs root or CAP_NET_RAW",
        Obstacle::Busy => "not sent: the kernel's buffers are full",
    }
}

fn describe_device(seen: &DeviceSeen) -> String {
    let mut words = Vec::new();
    let mut share = |value: Option<u16>, what: &str| {
        words.extend(value.map(|value| format!("{what} {}", Permille(value))));
    };
    share(seen.cpu, "processor");
    share(seen.memory_free, "memory free");
    share(seen.flash_free, "flash free");
    share(seen.conntrack, "connections");
    words.extend(seen.temperature.map(|value| Millicelsius(value).to_string()));
    words.join(", ")
}

fn millis(us: u32) -> String {
    match us {
        0..1_000 => format!("0.{:02} ms", us / 10),
        _ => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
    }
}

/// What the daemon thinks, in a line.
fn daemon_summary(answer: &Value) -> String {
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
    let mut words = format!("the daemon runs: line {}", text("/status/line").unwrap_or("unknown"));
    if let Some(id) = text("/status/incident/id") {
        let domain = text("/status/incident/fault_domain").unwrap_or("unknown");
        let state = text("/status/incident/state").unwrap_or("open");
        let _ = write!(words, ", {id} {state} (fault domain {domain})");
    }
    words
}

fn conclusion(verdict: &Verdict) -> String {
    match verdict.domain {
        None => format!("No fault found: {}. What to do: {}.", verdict.carried_by, verdict.advice),
        Some(Domain::Unknown) => {
            format!(
                "Where the fault lies is not known: {}. What to do: {}.",
                verdict.carried_by, verdict.advice
            )
        }
        Some(domain) => {
            format!(
                "The fault: {} ({}). What to do: {}.",
                domain.as_str(),
                verdict.carried_by,
                verdict.advice
            )
        }
    }
}

pub(super) fn to_text(
    config: &Config,
    facts: &Facts,
    rows: &[Row],
    verdict: &Verdict,
    daemon: Option<&Value>,
) -> String {
    let device = if facts.device.is_empty() { "no WAN device" } else { &facts.device };
    let daemon = daemon.map_or("no daemon runs".to_owned(), daemon_summary);
    let mut text = format!("{} · {device} · {daemon}\n\n", config.device.id);
    let mut all = vec![["layer", "asked", "came back", "verdict"].map(str::to_owned)];
    all.extend_from_slice(rows);
    crate::run::show::table(&mut text, &all);
    let _ = writeln!(text, "\n{}", conclusion(verdict));
    text
}

pub(super) fn to_json(
    config: &Config,
    facts: &Facts,
    rows: &[Row],
    verdict: &Verdict,
    daemon: Option<&Value>,
) -> Value {
    let layers: Vec<Value> = rows
        .iter()
        .map(|[layer, asked, came, verdict]| {
            json!({ "layer": layer, "asked": asked, "came_back": came, "verdict": verdict })
        })
        .collect();
    json!({
        "schema": "linekeeper.diagnose.v1",
        "device_id": config.device.id,
        "device": facts.device,
        "layers": layers,
        "checks": facts.checks,
        "gateway": facts.seen,
        "fault_domain": verdict.domain,
        "carried_by": verdict.carried_by,
        "advice": verdict.advice,
        "daemon": daemon.and_then(|answer| answer.pointer("/status")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::samples::link;
    use super::*;

    #[test]
    fn half_duplex_is_said_of_a_link_that_is_there() {
        let config = crate::config_text::load_text(
            r#"{"device":{"id":"gw-0001"},"probe":{"targets":[{"host":"198.51.100.1","role":"anchor"}]}}"#,
            crate::config_text::Format::Json,
        )
        .unwrap();
        let row = |facts: &Facts| rows(facts, &config).into_iter().find(|row| row[0] == "link").unwrap();
        let rate = Some(linekeeper_contract::units::Rate(100_000_000));
        let full = row(&link(|l| l.speed = rate));
        assert_eq!((full[2].as_str(), full[3].as_str()), ("carrier, 100 Mbit/s", "ok"));
        let half = row(&link(|l| (l.speed, l.half_duplex) = (rate, true)));
        assert_eq!((half[2].as_str(), half[3].as_str()), ("carrier, 100 Mbit/s, half duplex", "warning"));
        let gone = row(&link(|l| (l.speed, l.half_duplex, l.carrier) = (rate, true, false)));
        assert_eq!((gone[2].as_str(), gone[3].as_str()), ("no carrier", "missing"));
    }
}
