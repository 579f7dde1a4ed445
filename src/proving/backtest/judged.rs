//! What was found on a log by one configuration.

use crate::simulate::{Moment, Spectator};
use linekeeper_contract::message::{CallbackState, EventName, Message, Stamp};
use linekeeper_contract::units::Span;
use linekeeper_judge::action::Action;
use linekeeper_judge::observation::Observation;
use linekeeper_judge::speed::SpeedOutcome;
use serde::Serialize;

/// What was found by one configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// Its file, or where else it is from.
    pub config: String,
    /// What had to be changed to judge this log.
    pub changed: Option<String>,
    /// In the order of their beginning.
    pub incidents: Vec<Found>,
    /// Time without a line in them, the log's holes not counted.
    pub down_ms: Span,
    /// Speed tests asked for and answered, as moments since the log's beginning.
    pub tests: Vec<Span>,
    /// Their bytes.
    pub test_bytes: u64,
    /// Remedies that would have been tried.
    pub remedies: usize,
    /// Breaks shorter than the patience.
    pub hiccups: u64,
}

/// An incident.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// What it is.
    pub finding: &'static str,
    /// Of unusual usage: which way.
    pub about: Option<String>,
    /// Where it lies.
    pub domain: &'static str,
    /// Since the log's beginning.
    pub begins_ms: Span,
    /// The same, of its end; none if the log ends before.
    pub ends_ms: Option<Span>,
    /// When it was known.
    pub known_ms: Span,
    /// Breaks in it.
    pub breaks: u32,
    /// Why it was opened.
    pub evidence: String,
    /// Its callback and what became of it.
    pub callback: Option<(String, CallbackState)>,
    /// What the operator would have been told.
    pub told: Option<String>,
}

impl Found {
    /// Nothing came through; not merely slow, late or lossy.
    pub(super) fn is_without_line(&self) -> bool {
        matches!(self.finding, "outage" | "flapping")
    }
}

/// Collects incidents.
#[derive(Default)]
pub(super) struct Watcher {
    pub clock: i64,
    pub found: Vec<Found>,
    pub tests: Vec<Span>,
    pub hiccups: u64,
}

impl Watcher {
    fn since(&self, stamp: &Stamp) -> Option<Span> {
        stamp.wall.map(|t| Span((t.wall.0 - self.clock).max(0) as u64))
    }
}

impl Spectator for Watcher {
    fn saw(&mut self, at: Moment, saw: &Observation) {
        if let Observation::SpeedEnded(ended) = saw
            && matches!(ended.outcome, SpeedOutcome::Measured(_))
        {
            self.tests.push(at.world);
        }
    }
    fn does(&mut self, at: Moment, action: &Action) {
        match action {
            Action::Note { text, .. } if text.contains(": counted, not acted on") => self.hiccups += 1,
            Action::Publish(critical) => match &critical.message {
                Message::Event(e) => {
                    let incident = &e.incident;
                    let begins = self.since(&incident.opened).unwrap_or(at.world);
                    let ends = incident.closed.as_ref().map(|s| self.since(s).unwrap_or(at.world));
                    if let Some(found) = self.found.iter_mut().find(|f| f.id == incident.id) {
                        (found.finding, found.domain) =
                            (incident.finding.name(), incident.fault_domain.name());
                        (found.ends_ms, found.breaks) = (ends, incident.breaks);
                    } else if e.event == EventName::IncidentOpened {
                        self.found.push(Found {
                            id: incident.id.clone(),
                            finding: incident.finding.name(),
                            about: incident.about.clone(),
                            domain: incident.fault_domain.name(),
                            begins_ms: begins,
                            ends_ms: ends,
                            known_ms: at.world,
                            breaks: incident.breaks,
                            evidence: e.why.clone(),
                            callback: None,
                            told: None,
                        });
                    }
                }
                Message::Callback(c) => {
                    let of = self.found.iter_mut().find(|f| Some(&f.id) == c.incident_id.as_ref());
                    if let Some(found) = of {
                        found.callback = Some((c.callback_id.clone(), c.state));
                        found.told = c.issues.last().map(|i| i.description.clone());
                    }
                }
                // A log gives no orders.
                Message::CommandResult(_) => {}
            },
            _ => {}
        }
    }
}
