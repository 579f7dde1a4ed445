//! What each rung has done for this line: the ladder learns from it.
//!
//! Policy, in prose:
//!
//! * A rung that was carried out is counted by the fault domain it was taken for: it healed, or the line stayed dead. What
//!   could not be carried out, or was cut short, teaches nothing.
//! * Misses count once in an incident: the second renewal in one night of a dead concentrator is no second proof.
//! * A rung is *proven* while it healed more often than it missed since it last healed. Proven rungs come first, those
//!   with the larger share of successes before the others; all else keeps the configured order. A reboot is never moved up,
//!   however often it healed: it takes the customer's own network down for minutes, so the gentler rungs go before it until
//!   they are known to be futile.
//! * A rung that missed in [`FUTILE`] incidents in a row is *futile* and left out. Lines change: after [`RETRY_AFTER`]
//!   incidents without it, or [`RETRY_DAYS`], it has one more try.
//!
//! `remedies.learning = false` leaves the ladder as it is configured; the record is kept all the same.

use linekeeper_contract::message::Domain;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use serde::{Deserialize, Serialize};

/// Incidents in a row in which a rung missed that make it futile. Six: a rung that heals every second time misses six
/// times in a row once in 64 lines, one that heals every third time once in eleven, and then it has its retries; six
/// futile restarts are what a line costs its customer to be learnt.
pub const FUTILE: u32 = 6;
/// Incidents without a futile rung after which it is tried again: it costs then a tenth of what it cost before.
pub const RETRY_AFTER: u32 = 9;
/// After so long it is tried again however few the incidents: modems and concentrators are changed meanwhile.
pub const RETRY_DAYS: Span = Span::days(30);
/// Records kept: every rung in every domain in which any makes sense are fewer than 36.
const RECORDS: usize = 36;

/// What one rung has done in one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// For what.
    pub domain: Domain,
    /// Which.
    pub rung: Rung,
    /// How often it was tried; misses once in an incident.
    pub tried: u32,
    /// How often the line came back by it.
    pub healed: u32,
    /// Misses since it last healed.
    pub missed: u32,
    /// From its beginning to the line's return, smoothed over the last four or so; milliseconds.
    pub heal_ms: u64,
    /// When it was last tried.
    pub last: Mono,
    /// Incidents since then in which it was left out.
    pub skipped: u32,
}

/// All records of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Records(Vec<Record>);

impl Record {
    /// Tried first.
    pub const fn proven(&self) -> bool {
        self.healed > self.missed
    }

    /// Left out at `now`.
    pub fn futile(&self, now: Mono) -> bool {
        self.missed >= FUTILE && self.skipped < RETRY_AFTER && now.since(self.last) < RETRY_DAYS
    }
}

impl Records {
    /// What is known of a rung.
    pub fn of(&self, domain: Domain, rung: Rung) -> Option<&Record> {
        self.0.iter().find(|r| r.domain == domain && r.rung == rung)
    }

    /// All that is known.
    pub fn all(&self) -> &[Record] {
        &self.0
    }

    fn entry(&mut self, now: Mono, domain: Domain, rung: Rung) -> &mut Record {
        let at = match self.0.iter().position(|r| r.domain == domain && r.rung == rung) {
            Some(at) => at,
            None => {
                if self.0.len() >= RECORDS {
                    self.0.remove(0);
                }
                self.0.push(Record {
                    domain,
                    rung,
                    tried: 0,
                    healed: 0,
                    missed: 0,
                    heal_ms: 0,
                    last: now,
                    skipped: 0,
                });
                self.0.len() - 1
            }
        };
        &mut self.0[at]
    }

    /// It healed, `took` after its beginning.
    pub fn healed(&mut self, now: Mono, domain: Domain, rung: Rung, took: Span) {
        let record = self.entry(now, domain, rung);
        record.tried = record.tried.saturating_add(1);
        record.healed = record.healed.saturating_add(1);
        record.heal_ms = match record.healed {
            1 => took.0,
            _ => record.heal_ms - record.heal_ms / 4 + took.0 / 4,
        };
        (record.missed, record.skipped, record.last) = (0, 0, now);
    }

    /// It was carried out and the line stayed dead; `first`: for the first time in this incident.
    pub fn missed(&mut self, now: Mono, domain: Domain, rung: Rung, first: bool) {
        let record = self.entry(now, domain, rung);
        if first {
            record.tried = record.tried.saturating_add(1);
            record.missed = record.missed.saturating_add(1);
        }
        (record.skipped, record.last) = (0, now);
    }

    /// An incident came to the ladder's end without it.
    pub fn skipped(&mut self, domain: Domain, rung: Rung) {
        if let Some(record) = self.0.iter_mut().find(|r| r.domain == domain && r.rung == rung) {
            record.skipped = record.skipped.saturating_add(1);
        }
    }

    /// A ladder as its record on this line has it: proven rungs first, futile ones left out.
    pub fn order(&self, now: Mono, domain: Domain, rungs: &mut Vec<Rung>) {
        rungs.retain(|&rung| !self.of(domain, rung).is_some_and(|r| r.futile(now)));
        let first = |rung: Rung| self.of(domain, rung).filter(|r| r.proven() && rung != Rung::Reboot);
        // Stable: equals keep the configured order.
        rungs.sort_by(|&a, &b| match (first(a), first(b)) {
            (Some(a), Some(b)) => {
                let (a_share, b_share) =
                    (u64::from(a.healed) * u64::from(b.tried), u64::from(b.healed) * u64::from(a.tried));
                b_share.cmp(&a_share)
            }
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => std::cmp::Ordering::Equal,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Mono = Mono(1_000);

    fn ladder(records: &Records, now: Mono) -> Vec<Rung> {
        let mut rungs = vec![Rung::Renew, Rung::RestartInterface, Rung::RestartNetwork, Rung::Reboot];
        records.order(now, Domain::Access, &mut rungs);
        rungs
    }

    #[test]
    fn what_healed_comes_first_but_never_a_reboot() {
        let mut records = Records::default();
        records.missed(AT, Domain::Access, Rung::Renew, true);
        records.healed(AT, Domain::Access, Rung::RestartNetwork, Span::seconds(9));
        records.healed(AT, Domain::Access, Rung::Reboot, Span::seconds(90));
        records.healed(AT, Domain::Gateway, Rung::RestartInterface, Span::seconds(5));
        let wanted = [Rung::RestartNetwork, Rung::Renew, Rung::RestartInterface, Rung::Reboot];
        assert_eq!(ladder(&records, AT), wanted);
        // One miss as often as it healed, and it has its old place.
        records.missed(AT, Domain::Access, Rung::RestartNetwork, true);
        assert_eq!(ladder(&records, AT)[0], Rung::Renew);
    }

    #[test]
    fn what_never_helped_is_left_out_and_has_its_retries() {
        let mut records = Records::default();
        for incident in 0..FUTILE {
            assert!(ladder(&records, AT).contains(&Rung::Renew), "after {incident}");
            records.missed(AT, Domain::Access, Rung::Renew, true);
            // The second time in one incident is no second proof.
            records.missed(AT, Domain::Access, Rung::Renew, false);
        }
        assert!(!ladder(&records, AT).contains(&Rung::Renew));
        assert!(ladder(&records, AT + RETRY_DAYS).contains(&Rung::Renew));
        (0..RETRY_AFTER).for_each(|_| records.skipped(Domain::Access, Rung::Renew));
        assert!(ladder(&records, AT).contains(&Rung::Renew));
        records.missed(AT, Domain::Access, Rung::Renew, true);
        assert!(!ladder(&records, AT).contains(&Rung::Renew), "missed again");
        records.healed(AT, Domain::Access, Rung::Renew, Span::seconds(3));
        assert_eq!(ladder(&records, AT)[0], Rung::Renew);
    }

    #[test]
    fn there_is_no_end_of_records() {
        let mut records = Records::default();
        let domains = [Domain::Access, Domain::Gateway, Domain::Link, Domain::Unknown, Domain::Device];
        for domain in domains.into_iter().chain([Domain::Name, Domain::Lan, Domain::Portal]) {
            for rung in Rung::ALL {
                records.missed(AT, domain, rung, true);
            }
        }
        assert_eq!(records.all().len(), RECORDS);
    }
}
