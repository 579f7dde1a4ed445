//! When the incident is handed over: somebody is asked to call the customer.
//!
//! Policy, in prose:
//!
//! * Nothing is left to try, and the break lasted for `callback.after`. While a notice of the operator's holds nothing is
//!   tried, so that is not waited for; after it the spread is.
//! * Not in the moment in which the link is whole again, for the line is about to come back. One that comes and goes does not
//!   put it off: it is called while it is away.
//! * Nobody is called while somebody wants the interface down.
//! * An incident has one callback. One that the customer asked for before we were at the end of the ladder becomes the
//!   incident's; one that was withdrawn when the line healed stands up again when it breaks again within the hold-down.

use super::callback::change::{CallWanted, Change};
use super::checks::layers::{CONFIRM, CONFIRMED};
use super::concern::{Concern, Quiet, until};
use super::context::{Context, Facts};
use super::incident::issue;
use super::incident::open::Incident;
use super::ladder::timing::link_settles;
use super::outage::line::Cause;
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use crate::config::Config;
use crate::observation::Observation;
use linekeeper_contract::message::{CallbackState, Dimension, Evidence, Finding, Severity, Trigger};
use linekeeper_contract::units::Mono;

/// The handing over of the incident. It keeps nothing: what was called for stands with the incident.
#[derive(Debug, Clone, Default)]
pub struct Handover;

impl Concern for Handover {
    fn new(_config: &Config) -> Handover {
        Handover
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        if let Signal::HandOver = signal {
            call(cx, out);
        }
    }

    #[inline]
    fn advance(&mut self, cx: &Context<'_>, _seen: &Observation, out: &mut Outbox) {
        if let Some((incident, since)) = cx.facts.broken() {
            hand_over(cx, incident, since, out);
        }
    }

    fn deadline(&self, cx: &Context<'_>) -> Option<Mono> {
        let (incident, since) = cx.facts.broken()?;
        let idle = cx.facts.remedy.is_none() && cx.facts.lasts(incident);
        let calls = idle && handed_over(&cx.facts, incident) && may_call(&cx.facts, incident);
        calls.then(|| calls_from(cx, since))
    }

    fn quiet_until(&self, cx: &Context<'_>, _quiet: Quiet) -> Option<Mono> {
        until(self.deadline(cx))
    }

    fn save(&self, _parts: &mut Parts) {}

    fn load(&mut self, _kept: &Kept<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// Hands the incident over when nothing is left to try and it has lasted.
fn hand_over(cx: &Context<'_>, incident: &Incident, since: Mono, out: &mut Outbox) {
    let ripe = cx.now >= calls_from(cx, since);
    let idle = cx.facts.remedy.is_none() && cx.facts.lasts(incident);
    if ripe && idle && handed_over(&cx.facts, incident) && may_call(&cx.facts, incident) {
        call(cx, out);
    }
}

/// Whether nothing is tried any more before somebody is told.
fn handed_over(facts: &Facts, incident: &Incident) -> bool {
    facts.area.covers.is_some() || incident.exhausted && !facts.area.waits
}

/// Whether a callback for this incident may still be asked for.
fn may_call(facts: &Facts, incident: &Incident) -> bool {
    if facts.is_taken_down() {
        return false;
    }
    match &incident.callback {
        None => true,
        Some(id) => facts.callback(id).is_some_and(|c| match c.state {
            CallbackState::Withdrawn => true,
            CallbackState::Covered => !facts.area.waits,
            _ => false,
        }),
    }
}

/// When somebody may be called about a break that began at `since`.
fn calls_from(cx: &Context<'_>, since: Mono) -> Mono {
    let from = since + cx.config.callback.after;
    link_settles(&cx.facts.line, since).map_or(from, |settled| from.max(settled))
}

/// Asks the platform to call the customer about the present incident.
fn call(cx: &Context<'_>, out: &mut Outbox) {
    let Some(incident) = cx.facts.incident.as_deref() else { return };
    if !may_call(&cx.facts, incident) {
        return;
    }
    let issue = issue(&cx.config, incident);
    let finding = incident.finding;
    let patience = cx.config.outage.patience;
    let rule = match (finding, incident.cause) {
        (Finding::Flapping, _) => format!(
            "{} breaks of at least {patience} that followed each other within {}",
            incident.long_breaks, cx.config.outage.hold_down
        ),
        (Finding::NoNames | Finding::Portal, _) => {
            format!("wrong {CONFIRMED} times in a row, {CONFIRM} apart at first")
        }
        (Finding::Outage, Cause::Silence) => {
            format!("every target silent for {patience} and in a whole round after it, and nothing came in")
        }
        (_, cause) => cause.words().to_string(),
    };
    let evidence = Evidence {
        finding: Some(finding),
        fault_domain: incident.domain,
        facts: incident.facts.clone(),
        samples: Vec::new(),
        rule,
        recorder: cx.recording(incident),
    };
    let trigger = Trigger { dimension: Dimension::Data, name: finding.as_str().into() };
    let remedies = incident.remedies.clone();
    // The customer asked before we were at the end of the ladder: it stays one callback.
    let mut callbacks = cx.facts.callbacks.iter();
    let asked = callbacks.find(|c| c.is_live() && c.incident_id.as_ref() == Some(&incident.id));
    let (callback_id, change) = match (&incident.callback, asked) {
        (None, Some(asked)) => (asked.callback_id.clone(), Change::Joined { issue, evidence, remedies }),
        // Healed, withdrawn, and broken again within the hold-down: the same callback stands up again.
        (Some(known), _) => {
            let covered_by = cx.facts.area.covers.clone();
            (known.clone(), Change::Anew { covered_by, trigger, issue, evidence, remedies })
        }
        (None, None) => {
            let callback_id = out.callback_id(cx);
            out.signal(Signal::CallWanted(Box::new(CallWanted {
                callback_id: callback_id.clone(),
                trigger,
                severity: Severity::Urgent,
                issue,
                evidence,
                opened: cx.mended(&incident.opened),
                opened_at: incident.opened_at,
                incident_id: Some(incident.id.clone()),
                remedies,
            })));
            out.signal(Signal::IncidentCalled { callback_id });
            return;
        }
    };
    out.signal(Signal::CallChanged { callback_id: callback_id.clone(), change: Box::new(change) });
    if incident.callback.is_none() {
        out.signal(Signal::IncidentCalled { callback_id });
    }
}
