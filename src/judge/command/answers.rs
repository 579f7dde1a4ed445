//! The result bodies of the replies to commands.

use super::journal::shorten;
use crate::check::{Ask, Said};
use crate::checks::layers::CONFIRM;
use crate::config::Role;
use crate::context::Context;
use crate::outage::evidence::of_line;
use crate::outage::line::{Cause, LineState};
use crate::service::reach;
use crate::speed::{SpeedEnded, SpeedOutcome};
use crate::status::{Status, TargetStatus};
use linekeeper_contract::message::Domain;
use linekeeper_contract::units::{Mono, Span};
use serde_json::{Value, json};

/// The result of one speed test.
pub(super) fn test_result(ended: &SpeedEnded) -> Value {
    let mut told = match &ended.outcome {
        SpeedOutcome::Measured(f) => json!({
            "outcome": "measured",
            "line_bps": f.line.0,
            "line_mean_bps": f.line_mean.0,
            "customer_bps": f.customer.0,
            "limit": f.limit,
            "confidence": f.confidence,
            "idle_rtt_us": f.idle_rtt_us,
            "loaded_rtt_us": f.loaded_rtt_us,
            "rpm": f.rpm,
        }),
        SpeedOutcome::Failed { reason, detail, .. } => {
            json!({ "outcome": "failed", "reason": reason, "detail": shorten(detail) })
        }
    };
    told["direction"] = json!(ended.direction);
    told["took_ms"] = json!(ended.took.0);
    told["cost_bytes"] = json!(ended.cost.0);
    told
}

/// The state of the line: the result of `check`.
pub(super) fn check_result(status: &Status) -> Value {
    json!({
        "line": status.line,
        "since_ms": status.since_ms,
        "rtt_us": status.rtt_us,
        "traffic_bps": status.traffic_bps,
        "disconnects": status.disconnects,
        "incident": status.incident,
        "remedies": status.remedies,
        "budgets": status.budgets,
        "troubles": status.troubles,
        "promise": status.promise.as_ref().map(|p| p.directions.iter().map(|d| json!({
            "direction": d.direction, "verdict": d.verdict, "why": d.why,
        })).collect::<Vec<_>>()),
        "clock_synced": status.clock_synced,
    })
}

/// The results of the checks started at `since` (or just before), and the state of the targets.
fn layers(cx: &Context<'_>, status: &Status, since: Mono) -> Value {
    let line = &cx.facts.line;
    let mut rows = Vec::new();
    let mut row = |layer: &str, said: &str| rows.push(json!({ "layer": layer, "said": said }));
    let link = match line.link_fault() {
        _ if line.link.is_none() => "not_checked",
        None => "answered",
        Some(Cause::NoDevice) => "no_device",
        Some(Cause::AdminDown) => "admin_down",
        Some(Cause::NoCarrier) => "no_carrier",
        Some(Cause::NoAddress) => "no_address",
        Some(Cause::NoRoute) => "no_route",
        Some(Cause::Silence) => "silent",
    };
    row("link", link);
    let protocol = cx.config.line.protocol;
    for ask in Ask::ALL {
        if ask.is_of(protocol) {
            let said = cx.facts.layers.since(ask, since - CONFIRM).map_or(Said::NotChecked, |v| v.said);
            row(ask.name(), said.name());
        }
    }
    let from = if line.state == LineState::Up { line.suspected.unwrap_or(line.since) } else { line.since };
    let answers = |answered: bool| if answered { "answered" } else { "silent" };
    if cx.config.probe.gateway {
        row("gateway", answers(line.gateway_answered_since(from)));
    }
    for role in [Role::Anchor, Role::World] {
        let of = status.targets.iter().filter(|t| t.role == role.name());
        let mut heard = of.map(|t| answered(cx, t).is_some_and(|at| at >= from)).peekable();
        if heard.peek().is_some() {
            row(role.name(), answers(heard.any(|heard| heard)));
        }
    }
    json!(rows)
}

/// The result of `diagnose`: where the fault is and the evidence, from the checks started at `since`.
pub(super) fn diagnosis_result(cx: &Context<'_>, status: &Status, since: Mono) -> Value {
    let (now, line) = (cx.now, &cx.facts.line);
    let mut found = check_result(status);
    found["layers"] = layers(cx, status, since);
    let broken = cx.facts.broken().map(|(incident, _)| incident);
    let facts = match (broken, line.link_fault()) {
        (Some(incident), _) => incident.facts.clone(),
        (None, Some(cause)) => {
            let targets = status.targets.iter().filter(|t| t.role != "gateway");
            let targets = targets.map(|t| (t.host.as_str(), t.role.as_str(), answered(cx, t)));
            let asks = [Ask::Neighbour, Ask::Dhcp, Ask::Pppoe].into_iter();
            let layers = asks.filter_map(|ask| Some(cx.check_fact(ask, cx.facts.layers.since(ask, now)?)));
            let shown = of_line(cx, now, cause, targets).into_iter();
            shown.chain(cx.interface_fact(now)).chain(layers).collect()
        }
        (None, None) => Vec::new(),
    };
    let open = broken.map(|i| i.domain);
    let placed = match line.state {
        LineState::Down => Some(cx.place(line.since)),
        LineState::Up => reach(cx).map(|(_, placed)| placed),
        LineState::Unknown => None,
    };
    found["fault_domain"] =
        json!(placed.as_ref().map(|p| p.domain).filter(|d| *d != Domain::Unknown).or(open));
    found["words"] = json!(placed.map(|p| p.words()));
    found["facts"] = json!(facts);
    found["link"] = json!(line.link.map(|l| json!({
        "present": l.present,
        "admin_up": l.admin_up,
        "carrier": l.carrier,
        "addresses": l.addresses,
        "default_route": l.default_route,
        "speed_bps": l.speed.map(|s| s.0),
        "half_duplex": l.half_duplex,
    })));
    found["targets"] = json!(status.targets);
    found
}

/// When a target last answered.
fn answered(cx: &Context<'_>, target: &TargetStatus) -> Option<Mono> {
    target.answered_ms_ago.map(|ms| cx.now - Span(ms))
}
