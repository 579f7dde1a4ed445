//! The echoes that are under way, and those that are silent.

use crate::observation::{ProbeId, TargetId};
use linekeeper_contract::units::{Mono, Span};
use serde::{Deserialize, Serialize};

/// After this an echo is forgotten even if the sensor never told its end.
pub(super) const FORGET: Span = Span::seconds(10);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flight {
    pub(super) probe: ProbeId,
    pub(super) target: TargetId,
    pub(super) sent: Mono,
    /// Its silence was weighed: a miss of its target, or part of a break of the line.
    pub(super) weighed: bool,
    /// Of the steady rotation: not asked because something was silent.
    #[serde(default)]
    pub(super) steady: bool,
}

/// Silent echoes in the order of sending, and how many of them are to be weighed still: on a lossy line there are a hundred,
/// and almost always none to weigh.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Flight>", into = "Vec<Flight>")]
pub(super) struct Silent {
    pub(super) flights: Vec<Flight>,
    pub(super) unweighed: usize,
}

impl From<Vec<Flight>> for Silent {
    fn from(flights: Vec<Flight>) -> Silent {
        let unweighed = flights.iter().filter(|f| !f.weighed).count();
        Silent { flights, unweighed }
    }
}

impl From<Silent> for Vec<Flight> {
    fn from(silent: Silent) -> Vec<Flight> {
        silent.flights
    }
}

impl Silent {
    pub(super) fn insert(&mut self, flight: Flight) {
        self.unweighed += usize::from(!flight.weighed);
        let at = self.flights.partition_point(|f| f.sent <= flight.sent);
        self.flights.insert(at, flight);
    }

    pub(super) fn take(&mut self, probe: ProbeId) -> Option<Flight> {
        let at = self.flights.iter().rposition(|f| f.probe == probe)?;
        let flight = self.flights.remove(at);
        self.unweighed -= usize::from(!flight.weighed);
        Some(flight)
    }

    /// The place of the first that is to be weighed: looked for from the end, where they almost always are.
    pub(super) fn first_unweighed(&self) -> usize {
        let places = self.flights.iter().enumerate().rev().filter(|(_, f)| !f.weighed);
        places.take(self.unweighed).last().map_or(self.flights.len(), |(at, _)| at)
    }

    /// Those that were sent before `now` need not be weighed.
    pub(super) fn excuse(&mut self, now: Mono) {
        if self.unweighed > 0 {
            let excused = self.flights.iter_mut().filter(|f| !f.weighed && f.sent < now);
            self.unweighed -= excused.map(|f| f.weighed = true).count();
        }
    }

    /// Forgets what was sent so long ago.
    pub(super) fn forget(&mut self, now: Mono) {
        if self.flights.first().is_some_and(|f| now.since(f.sent) >= FORGET) {
            let old = self.flights.iter().take_while(|f| now.since(f.sent) >= FORGET).count();
            self.unweighed -= self.flights.drain(..old).filter(|f| !f.weighed).count();
        }
    }
}
