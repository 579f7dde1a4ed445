//! The findings of one configuration on a log.

use crate::simulate::{Moment, Spectator};
use linekeeper_contract::message::{CallbackState, EventName, Message, Stamp};
use linekeeper_contract::units::Span;
use linekeeper_judge::action::Action;
use linekeeper_judge::observation::Observation;
use linekeeper_judge::speed::SpeedOutcome;
use serde::Serialize;

/// The findings of one configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// The file of the configuration, or its other origin.
    pub config: String,
    /// What had to be changed in it for this log.
    pub changed: Option<String>,
    /// The incidents, sorted by their start.
    pub incidents: Vec<Found>,
    /// Total downtime, without the holes of the log.
    pub down_ms: Span,
    /// The speed tests with a result, as moments since the start of the log.
    pub tests: Vec<Span>,
    /// Bytes of these tests.
    pub test_bytes: u64,
    /// Number of remedies that would have been tried.
    pub remedies: usize,
    /// Breaks shorter than the patience.
    pub hiccups: u64,
}

/// One incident.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// The finding.
    pub finding: &'static str,
    /// For unusual usage: the kind of deviation.
    pub about: Option<String>,
    /// The fault domain.
    pub domain: &'static str,
    /// Its start, since the start of the log.
    pub begins_ms: Span,
    /// Its end, since the start of the log; `None` if the log ends first.
    pub ends_ms: Option<Span>,
    /// When it was declared, since the start of the log.
    pub known_ms: Span,
    /// Number of breaks.
    pub breaks: u32,
    /// Why it was opened.
    pub evidence: String,
    /// Its callback's id and last state.
    pub callback: Option<(String, CallbackState)>,
    /// The text of the callback.
    pub told: Option<String>,
}

impl Found {
    /// Whether the line was down, and not merely slow, late or lossy.
    pub(super) fn is_without_line(&self) -> bool {
        matches!(self.finding, "outage" | "flapping")
    }
}

/// Collects the incidents of a run.
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
    fn on_observation(&mut self, at: Moment, saw: &Observation) {
        if let Observation::SpeedEnded(ended) = saw
            && matches!(ended.outcome, SpeedOutcome::Measured(_))
        {
            self.tests.push(at.world);
        }
    }
    fn on_action(&mut self, at: Moment, action: &Action) {
        match action {
            Action::Note { text, .. } if text.contains(": counted, not acted on") => self.hiccups += 1,
            Action::Publish(critical) => match &critical.message {
                Message::Event(e) => {
                    let incident = &e.incident;
                    let begins = self.since(&incident.opened).unwrap_or(at.world);
                    let ends = incident.closed.as_ref().map(|s| self.since(s).unwrap_or(at.world));
                    if let Some(found) = self.found.iter_mut().find(|f| f.id == incident.id) {
                        (found.finding, found.domain) =
                            (incident.finding.as_str(), incident.fault_domain.as_str());
                        (found.ends_ms, found.breaks) = (ends, incident.breaks);
                    } else if e.event == EventName::IncidentOpened {
                        self.found.push(Found {
                            id: incident.id.clone(),
                            finding: incident.finding.as_str(),
                            about: incident.about.clone(),
                            domain: incident.fault_domain.as_str(),
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
                // A log contains no commands.
                Message::CommandResult(_) => {}
            },
            _ => {}
        }
    }
}
