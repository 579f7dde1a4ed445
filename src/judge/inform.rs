//! Incidents that inform: unusual usage, and warnings of the gateway. They stand beside the line's own incident.
//!
//! Policy, in prose:
//!
//! * Opened and closed, each once, as events: the platform sees them. No time without a line is in them, no rung is taken
//!   for them, and they are not among the ended incidents of the status, where a week of them would hide an outage.
//! * A callback is asked for only where that is configured. Its severity is `low`: it is for when somebody talks to the
//!   customer anyway. A warning's is withdrawn when it is over before anyone called; that of unusual usage is not: a leak
//!   that has ended was one all the same.
//! * At most [`LIVE`] such callbacks live at a time, and none is begun while the operator's notice holds for the area: the
//!   event says it all the same.

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

/// Callbacks of severity `low` that may live at a time: of the eight that are remembered, most are for incidents and for
/// the customer.
pub const LIVE: usize = 2;

/// An incident that was told, and lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its id.
    id: String,
    /// What it is.
    finding: Finding,
    /// Where it lies.
    domain: Domain,
    /// What it is about.
    about: String,
    /// When it was found.
    opened: Stamp,
    /// The same on our own clock.
    opened_at: Mono,
    /// Its callback.
    callback: Option<String>,
}

/// The callback that is wanted for it.
#[derive(Debug)]
pub struct Call {
    /// The trigger's name.
    pub trigger: &'static str,
    /// What the customer is to be told.
    pub issue: Issue,
    /// What shows it.
    pub evidence: Evidence,
}

/// Opens an incident that informs, and asks for its callback where one is wanted and may be.
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

/// Closes it.
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
