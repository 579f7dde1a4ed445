//! Messages that the broker refuses, or that seem to break the connection: when to retry them, and when to give up.

use super::connection::{Connection, WINDOW};
use super::ended::{Fault, Lost};
use super::keeper::Keeper;
use crate::act::outbox::{Place, lock};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::observation::Observation;
use tracing::{debug, info, warn};

/// How often the broker may refuse one message because of its content, before we give it up.
pub(super) const REFUSALS: u32 = 5;

/// How often the broker may refuse one message for the broker's own reasons (rights, quota), before it is given up.
/// With the waits between, that leaves about 16 h to repair the broker.
pub(super) const REFUSALS_BY_RIGHTS: u32 = 100;

/// The wait after a message's first refusal. It doubles up to [`REFUSED_LONGEST`]; other messages continue meanwhile.
pub(super) const REFUSED_FIRST: Span = Span::seconds(10);

pub(super) const REFUSED_LONGEST: Span = Span::minutes(10);

/// After this many connections in a row that the broker closed without one acknowledgement, messages go one at a time.
/// After as many closed with the same single message in flight, that message goes behind the others.
pub(super) const SUSPICIOUS: u32 = 3;

/// The failed attempts of one message.
#[derive(Debug, Default)]
pub(super) struct Trial {
    pub(super) refusals: u32,
    /// Connections lost while it alone was in flight.
    pub(super) alone: u32,
    pub(super) not_before: Mono,
}

impl Keeper {
    /// The broker refused a message: it is retried later, behind the others, and finally given up.
    pub(super) fn record_refusal(&mut self, place: Place, why: &str, by_rights: bool) {
        let now = self.parts.clock.now();
        let trial = self.trials.entry(place).or_default();
        trial.refusals += 1;
        let refusals = trial.refusals;
        if refusals >= if by_rights { REFUSALS_BY_RIGHTS } else { REFUSALS } {
            let id = self.id_of(place);
            self.give_up(place, &id, &format!("the broker refused it {refusals} times, last with {why}"));
            return;
        }
        let wait = REFUSED_FIRST.times(1 << (refusals - 1).min(20)).min(REFUSED_LONGEST);
        trial.not_before = now + wait;
        let text = format!("the broker refused message {}: {why}", place.number);
        if refusals == 1 {
            warn!("{text}; trying it again in {wait}, others go on");
        } else {
            debug!("{text} ({refusals} times); trying it again in {wait}");
        }
    }

    pub(super) fn id_of(&self, place: Place) -> String {
        lock(&self.parts.outbox).get(place).map_or_else(String::new, |c| c.message.id().to_owned())
    }

    pub(super) fn give_up(&mut self, place: Place, id: &str, why: &str) {
        warn!("message {} ({id}) is given up: {why}. It is counted as refused in the state", place.number);
        self.trials.remove(&place);
        let mut outbox = lock(&self.parts.outbox);
        if outbox.is_current(place) {
            self.given_up.push(place.number);
        }
        outbox.give_up(place);
    }

    /// After a crash before this report, the next start requests its callbacks again by itself.
    pub(super) async fn report_given_up(&mut self) {
        for number in std::mem::take(&mut self.given_up) {
            self.report(Observation::GivenUp { number }).await;
        }
    }

    /// Looks for a message that may have caused the loss of a connection.
    ///
    /// A broker that has no answer for a message may just close the connection, again and again. So after some
    /// connections without any acknowledgement messages go out one at a time, and one with which the connection is lost
    /// again and again goes behind the others. It is given up only when the broker says that it is at fault.
    pub(super) fn suspect_messages(&mut self, connection: &Connection, lost: &Lost) {
        let Lost::Broken(why, fault) = lost else { return };
        let under_way: Vec<Place> = connection.messages().collect();
        if connection.up.is_none() || under_way.is_empty() || matches!(fault, Fault::Other | Fault::TakenOver)
        {
            return;
        }
        if let [place] = under_way[..] {
            let others_wait = lock(&self.parts.outbox).len() > 1;
            let trial = self.trials.entry(place).or_default();
            trial.alone = trial.alone.saturating_add(1);
            if *fault == Fault::Message {
                self.record_refusal(place, why, false);
            } else if trial.alone >= SUSPICIOUS && others_wait {
                let wait = REFUSED_FIRST.times(1 << (trial.alone - SUSPICIOUS).min(20)).min(REFUSED_LONGEST);
                trial.not_before = self.parts.clock.now() + wait;
                info!("message {} goes behind the others for {wait}: connections end with it", place.number);
            }
        }
        if !connection.acknowledged {
            self.fruitless_connections = self.fruitless_connections.saturating_add(1);
        }
        if *fault == Fault::Message || self.fruitless_connections >= SUSPICIOUS {
            self.single_sends_left = 2 * WINDOW;
        }
    }
}
