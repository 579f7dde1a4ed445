//! Informational incidents: unusual usage and warnings about the gateway. They are independent of the line's incident.
//!
//! Policy, in prose:
//!
//! * Opening and closing are published once each, as events. They contain no downtime and cause no remedy. The status does
//!   not list them among the ended incidents, where a week of them would hide an outage.
//! * A callback is requested only where that is configured. Its severity is `low`: it can wait until somebody talks to the
//!   customer anyway. A warning's callback is withdrawn when the warning ends before anyone called. That of unusual usage
//!   is not: a data leak still matters after it has ended.
//! * At most [`LIVE`] such callbacks are live at a time, and none is opened while an operator's notice is in force for the
//!   area. The event is published in any case.

use super::callback::change::{CallWanted, Change};
use super::context::Context;
use super::outbox::{News, Outbox};
use super::signal::Signal;
use crate::action::Level;
use linekeeper_contract::message::{
    self, Dimension, Domain, EventName, Evidence, Finding, IncidentState, Issue, Severity, Stamp, Trigger,
};
use linekeeper_contract::units::Mono;
use serde::{Deserialize, Serialize};

/// Callbacks of severity `low` that may be live at a time: most of the eight remembered ones are for incidents and for
/// the customer.
pub const LIVE: usize = 2;

/// An open informational incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its id.
    id: String,
    /// What it is.
    finding: Finding,
    /// The fault domain.
    domain: Domain,
    /// What it is about.
    about: String,
    /// When it was found.
    opened: Stamp,
    /// The same on the monotonic clock.
    opened_at: Mono,
    /// Its callback.
    callback: Option<String>,
}

/// The callback to request for it.
#[derive(Debug)]
pub struct Call {
    /// The trigger's name.
    pub trigger: &'static str,
    /// What to say to the customer.
    pub issue: Issue,
    /// The evidence.
    pub evidence: Evidence,
}

/// Opens an informational incident, and requests its callback if one is given and allowed now.
pub fn open(
    cx: &Context<'_>,
    out: &mut Outbox,
    finding: Finding,
    domain: Domain,
    about: &str,
    why: &str,
    call: Option<Call>,
) -> Told {
    let mut told = Told {
        id: out.incident_id(cx, cx.now),
        finding,
        domain,
        about: about.into(),
        opened: cx.stamp(cx.now),
        opened_at: cx.now,
        callback: None,
    };
    let why = format!("{about}: {why}");
    out.announce(cx, public(cx, &told), News::new(EventName::IncidentOpened, cx.now, &why));
    let Some(Call { trigger, issue, evidence }) = call else { return told };
    let low = cx.facts.callbacks.iter().filter(|c| c.is_live() && c.severity == Severity::Low);
    if low.count() >= LIVE || cx.facts.area.covers.is_some() {
        out.note(Level::Info, format!("incident {}: told, and nobody is asked to call for now", told.id));
        return told;
    }
    let callback_id = out.callback_id(cx);
    out.signal(Signal::CallWanted(Box::new(CallWanted {
        callback_id: callback_id.clone(),
        trigger: Trigger { dimension: Dimension::Data, name: trigger.into() },
        severity: Severity::Low,
        issue,
        evidence,
        opened: told.opened.clone(),
        opened_at: cx.now,
        incident_id: Some(told.id.clone()),
        remedies: Vec::new(),
    })));
    told.callback = Some(callback_id);
    told
}

/// Closes the incident, and resolves its callback.
pub fn close(cx: &Context<'_>, out: &mut Outbox, told: Told, why: &str) {
    let closed = Some(cx.stamp(cx.now));
    let public = message::Incident { state: IncidentState::Closed, closed, ..public(cx, &told) };
    let length = cx.now.since(told.opened_at);
    let why = format!("{}: {why} after {length}", told.about);
    out.announce(cx, public, News::new(EventName::IncidentClosed, cx.now, &why));
    let Some(callback_id) = told.callback else { return };
    let withdraw = told.finding != Finding::Usage;
    let change = Box::new(Change::Over { seconds: length.whole_seconds(), withdraw });
    out.signal(Signal::CallChanged { callback_id, change });
}

fn public(cx: &Context<'_>, told: &Told) -> message::Incident {
    message::Incident {
        id: told.id.clone(),
        finding: told.finding,
        about: Some(told.about.clone()),
        fault_domain: told.domain,
        state: IncidentState::Open,
        opened: cx.mended(&told.opened),
        closed: None,
        breaks: 0,
        down_ms: 0,
    }
}
