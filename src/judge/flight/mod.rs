//! The part of the flight recorder ([`recorder`]) that is attached to an incident.
//!
//! Policy, in prose:
//!
//! * The part is extracted one minute after the incident's first break, or before our own reboot: after it the monotonic
//!   clock that labels the samples starts anew.
//! * The recorder itself is shared by all concerns and filled before any of them runs.

pub mod recorder;

pub use recorder::*;

use super::concern::{Concern, Quiet, until};
use super::context::{Context, Facts};
use super::incident::open::Incident;
use super::outbox::Outbox;
use super::snapshot::{Kept, Parts};
use crate::config::Config;
use crate::observation::Observation;
use linekeeper_contract::recording::Recording;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use std::sync::Arc;

/// How long after an incident opened its recording is extracted, with a second to spare.
const RECORDED: Span = Span::seconds(AFTER + 1);

/// The recording of the present incident, once it is extracted.
#[derive(Debug, Clone, Default)]
pub struct IncidentRecording {
    part: Option<Arc<(String, Recording)>>,
}

impl Concern for IncidentRecording {
    fn new(_config: &Config) -> IncidentRecording {
        IncidentRecording::default()
    }

    #[inline]
    fn advance(&mut self, cx: &Context<'_>, _seen: &Observation, _out: &mut Outbox) {
        match cx.facts.incident.as_deref() {
            Some(incident) => self.cut(cx, incident),
            // Its incident is over.
            None if self.part.is_some() => self.part = None,
            None => {}
        }
    }

    fn publish_facts(&mut self, facts: &mut Facts) {
        match (&facts.cut, &self.part) {
            (None, None) => {}
            (Some(shown), Some(part)) if Arc::ptr_eq(shown, part) => {}
            _ => facts.cut.clone_from(&self.part),
        }
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        None
    }

    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
        // The extraction is due at a certain time.
        let waits = |i: &Incident| cx.now.since(i.opened_at) <= RECORDED && !self.is_of(i);
        match quiet {
            Quiet::Passed { .. } if cx.facts.incident.as_deref().is_some_and(waits) => None,
            Quiet::Watched | Quiet::Passed { .. } => until(self.deadline(cx)),
        }
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("cut", &self.part.as_deref());
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.part = kept.get::<Option<(String, Recording)>>("cut")?.map(Arc::new);
        Ok(())
    }
}

impl IncidentRecording {
    fn cut(&mut self, cx: &Context<'_>, incident: &Incident) {
        let reboots = cx.facts.remedy.is_some_and(|r| r.rung == Rung::Reboot);
        let over = reboots || cx.now.0 / 1_000 >= incident.opened_at.0 / 1_000 + AFTER;
        if over
            && !self.is_of(incident)
            && let Some(recording) = cx.flight.around(incident.opened_at, |at| cx.stamp(at))
        {
            self.part = Some(Arc::new((incident.id.clone(), recording)));
        }
    }

    fn is_of(&self, incident: &Incident) -> bool {
        self.part.as_ref().is_some_and(|part| part.0 == incident.id)
    }
}
