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

use super::Judge;
use crate::action::Level;
use linekeeper_contract::message::{
    self, CallbackState, Dimension, Domain, EventName, Evidence, Finding, IncidentState, Issue, Resolution,
    ResolutionState, Severity, Stamp, Trigger,
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

impl Judge {
    /// Opens an incident that informs, and asks for its callback where one is wanted and may be.
    pub(super) fn inform(
        &mut self,
        now: Mono,
        finding: Finding,
        domain: Domain,
        about: &str,
        why: &str,
        call: Option<Call>,
    ) -> Told {
        let offset = self.offset();
        let id = self.state.dates.incident_id(now, offset);
        let opened = self.stamp(now);
        let mut told = Told {
            id,
            finding,
            domain,
            about: about.into(),
            opened: opened.clone(),
            opened_at: now,
            callback: None,
        };
        let public = self.public_told(&told);
        self.announce(EventName::IncidentOpened, now, &format!("{about}: {why}"), public, None);
        let Some(Call { trigger, issue, evidence }) = call else { return told };
        let low = |c: &&super::Callback| c.is_live() && c.last.severity == Severity::Low;
        if self.state.callbacks.iter().filter(low).count() >= LIVE || self.state.area.covers().is_some() {
            self.note(
                Level::Info,
                format!("incident {}: told, and nobody is asked to call for now", told.id),
            );
            return told;
        }
        let trigger = Trigger { dimension: Dimension::Data, name: trigger.into() };
        let incident_id = Some(told.id.clone());
        let id = self.open_callback(
            now,
            trigger,
            Severity::Low,
            issue,
            evidence,
            opened,
            now,
            incident_id,
            Vec::new(),
        );
        told.callback = Some(id);
        told
    }

    /// Closes it.
    pub(super) fn informed(&mut self, now: Mono, told: Told, why: &str) {
        let mut public = self.public_told(&told);
        (public.state, public.closed) = (IncidentState::Closed, Some(self.stamp(now)));
        let length = now.since(told.opened_at);
        self.announce(
            EventName::IncidentClosed,
            now,
            &format!("{}: {why} after {length}", told.about),
            public,
            None,
        );
        let Some(id) = told.callback else { return };
        let Some(callback) = self.state.callbacks.iter().find(|c| c.last.callback_id == id) else { return };
        if !callback.is_live() {
            return;
        }
        let seconds = length.whole_seconds();
        self.change(now, &id, |c| {
            if told.finding != Finding::Usage {
                c.state = CallbackState::Withdrawn;
            }
            c.resolution = Resolution {
                state: ResolutionState::Resolved,
                by: Some("itself".into()),
                resolution_time_s: Some(seconds),
            };
        });
    }

    fn public_told(&self, told: &Told) -> message::Incident {
        let mut opened = told.opened.clone();
        self.state.dates.mend(&mut opened, self.offset());
        message::Incident {
            id: told.id.clone(),
            finding: told.finding,
            about: Some(told.about.clone()),
            fault_domain: told.domain,
            state: IncidentState::Open,
            opened,
            closed: None,
            breaks: 0,
            down_ms: 0,
        }
    }
}
