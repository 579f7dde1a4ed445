//! The incident in course, as every concern may see it.

use crate::outage::line::Cause;
use linekeeper_contract::message::{Domain, Fact, Finding, Remedy, Stamp};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use serde::{Deserialize, Serialize};

/// Facts kept with an incident: the first break's fifteen or so, and the latest revisions.
pub const FACTS: usize = 32;
/// Remedies kept with an incident, the latest: four rungs on eight passes, the first four of which are a day.
pub const REMEDIES: usize = 32;
/// How long another fault domain must hold before the incident's is revised.
pub const REVISE_AFTER: Span = Span::seconds(2);

/// An incident in course, or in its hold-down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: String,
    /// What it is.
    pub finding: Finding,
    /// Where it lies.
    pub domain: Domain,
    /// A differing domain, and since when it shows.
    pub revision: Option<(Domain, Mono)>,
    /// When the line went first.
    pub opened: Stamp,
    /// The same on our own clock.
    pub opened_at: Mono,
    /// `Some`: the line (of an incident of the service: the service) is broken since then. `None`: it is up.
    pub broken: Option<Mono>,
    /// How the present (or last) break showed first.
    pub cause: Cause,
    /// When the line came back last.
    pub returned: Option<Mono>,
    /// `Some`: closed.
    pub closed: Option<Stamp>,
    /// Breaks in it.
    pub breaks: u32,
    /// Breaks in it that were at least `patience` long.
    pub long_breaks: u32,
    /// Time without a line in the breaks that are over.
    pub down: Span,
    /// What was seen.
    pub facts: Vec<Fact>,
    /// What was tried.
    pub remedies: Vec<Remedy>,
    /// The rung that ended the last break, if one did.
    pub healed_by: Option<Rung>,
    /// Its callback, once there is one.
    pub callback: Option<String>,
    /// That it is handed over was already said.
    pub exhausted: bool,
}

impl Incident {
    /// Time without a line until `now`. A line without names is a line.
    pub fn down(&self, now: Mono) -> Span {
        let broken = self.broken.filter(|_| !self.finding.is_of_service());
        self.down + broken.map_or(Span::ZERO, |since| now.since(since))
    }

    /// Keeps a fact, the oldest of the later ones making room: the first break's facts carry the finding.
    pub fn note_fact(&mut self, fact: Fact) {
        if self.facts.len() >= FACTS {
            self.facts.remove(FACTS / 2);
        }
        self.facts.push(fact);
    }

    /// Keeps a remedy, the oldest making room.
    pub fn note_remedy(&mut self, remedy: Remedy) {
        if self.remedies.len() >= REMEDIES {
            self.remedies.remove(0);
        }
        self.remedies.push(remedy);
    }
}
