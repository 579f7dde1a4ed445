//! Describes messages in words, and recognizes them.

use super::act::Act;
use crate::agent::DEVICE;
use crate::platform::Received;
use linekeeper_contract::message::{
    Callback, CallbackState, Event, EventName, Finding, IncidentState, Message, ResolutionState,
};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;

/// How many facts of a callback's evidence are shown.
const FACTS: usize = 5;

/// Whether a state message reports online; `None` if it reports in an unknown state.
pub(super) fn is_online(received: &Received) -> Option<bool> {
    if received.device != DEVICE {
        return None;
    }
    match (&received.json["online"], received.json["state"].as_str()) {
        (Value::Bool(online), _) => Some(*online),
        (_, Some("online")) => Some(true),
        (_, Some("offline")) => Some(false),
        _ => None,
    }
}

pub(super) fn event_is(received: &Received, name: EventName) -> bool {
    matches!(received.message(), Some(Message::Event(event)) if event.event == name)
}

pub(super) fn callback_is(received: &Received, state: CallbackState) -> bool {
    matches!(received.message(), Some(Message::Callback(callback)) if callback.state == state)
}

/// Whether it reports a break: a new incident, or one that reopens within its hold-down.
pub(super) fn reports_outage(received: &Received) -> bool {
    let Some(Message::Event(event)) = received.message() else { return false };
    matches!(event.event, EventName::IncidentOpened | EventName::IncidentUpdated)
        && event.incident.state == IncidentState::Open
}

/// Whether the agent marked the message as late.
pub(super) fn is_marked_late(received: &Received) -> bool {
    received.json["late"] == true
}

/// Whether it reports a fact before `moment` and arrived after it.
pub(super) fn is_late(received: &Received, moment: Duration) -> bool {
    received.message().is_some()
        && received
            .delay()
            .is_some_and(|delay| received.at >= moment && received.at.saturating_sub(delay) < moment)
}

/// Describes the retained state: online or not, and the state of the line.
pub(super) fn describe_state(received: &Received) -> String {
    let online = match is_online(received) {
        Some(true) => "online",
        Some(false) => "offline",
        None => "in an unknown state",
    };
    let mut words = format!("{} is {online}", received.device);
    let field = |name: &str| received.json[name].as_str();
    if let Some(reason) = field("reason") {
        let _ = write!(words, " ({reason})");
    }
    if let (Some(true), Some(line)) = (is_online(received), field("line")) {
        let _ = write!(words, ", its line is {line}");
        if let (true, Some(domain)) = (line != "up", field("fault_domain")) {
            let _ = write!(words, " ({domain})");
        }
    }
    words
}

pub(super) fn describe_event(event: &Event, act: &Act) -> String {
    match event.event {
        EventName::IncidentOpened if event.incident.finding == Finding::ShortRate => {
            format!("the promise is BROKEN: {}", event.why)
        }
        EventName::IncidentClosed if event.incident.finding == Finding::ShortRate => {
            format!("the promise is KEPT: {}", event.why)
        }
        EventName::IncidentOpened => {
            let after = Duration::from_millis(event.time.uptime_ms).saturating_sub(act.at);
            format!("the line is DOWN, declared {} after the break: {}", format_duration(after), event.why)
        }
        EventName::IncidentUpdated => format!("{} ({})", event.why, event.incident.id),
        EventName::IncidentClosed => format!("the line is UP: {}", event.why),
        EventName::RemedyBegun => {
            let name = event.remedy.as_ref().map_or("remedy", |r| r.name.as_str());
            format!("tries {name}: {}", event.why)
        }
        EventName::RemedyEnded => event.why.clone(),
    }
}

pub(super) fn describe_callback(callback: &Callback, arrival: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let id = &callback.callback_id;
    match callback.state {
        CallbackState::Requested => {
            let say = callback.issues.first().map_or("", |issue| issue.description.as_str());
            lines.push(format!("callback {id} REQUESTED, {arrival}"));
            lines.push(format!("· text for the customer: \u{201c}{say}\u{201d}"));
            let facts = &callback.evidence.facts;
            // The latest facts: the incident of a callback may contain older breaks.
            for fact in &facts[facts.len().saturating_sub(FACTS)..] {
                lines.push(format!("· evidence: {} {}: {}", fact.name, fact.subject, fact.detail));
            }
            lines.push(format!("answers {id} with the receipt \"received\""));
        }
        CallbackState::Withdrawn => {
            let by = match (callback.resolution.state, &callback.resolution.by) {
                (ResolutionState::Resolved, Some(by)) => format!(" (resolved by {by})"),
                _ => String::new(),
            };
            lines.push(format!("callback {id} WITHDRAWN: no call is needed{by}"));
        }
        other => lines.push(format!("callback {id} {}", state_name(other))),
    }
    lines
}

pub(super) fn state_name(state: CallbackState) -> String {
    let name = serde_json::to_value(state).ok();
    name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn format_duration(length: Duration) -> String {
    linekeeper_contract::units::Span(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)).to_string()
}
