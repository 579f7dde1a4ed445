//! The ladder itself: which rung is next, and how often each was taken. The policy stands in [`super`].

use super::record::Records;
use crate::config::Remedies;
use crate::diagnosis::{fits, makes_sense};
use crate::observation::{RemedyId, RemedyResult};
use linekeeper_contract::message::Domain;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::{Protocol, Rung};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The longest wait between two passes over the same incident: once a day somebody may have mended something.
pub const AGAIN_MOST: Span = Span::days(1);
/// How long after a remedy's limit we wait for word of its end before we take it for failed.
pub const WORD_LATE: Span = Span::seconds(5);
/// How long a carrier (or the device) may be away before anything is done about it. Ten seconds: a cable that is plugged
/// in again and a port that negotiates anew are back within five, and a restart in between only makes it longer.
pub const CARRIER_PATIENCE: Span = Span::seconds(10);
/// How long after the link is whole again it is left alone: a DHCP client asks at 0 and 4 s, and echoes must return.
pub const LINK_SETTLE: Span = Span::seconds(5);
/// The longest that a link which comes and goes can put remedies off.
pub const LINK_PATIENCE_MOST: Span = Span::seconds(30);
/// A boot so short ago may have been our own remedy. Half an hour: a reboot and the outage that it did not mend are
/// within it many times.
pub const FRESH_BOOT: Span = Span::minutes(30);
/// The window of the budgets.
const DAY: Span = Span::days(1);
/// Uses remembered for the budgets: six rungs, at most 100 a day each.
const USES: usize = 600;

/// What is being done now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its number.
    pub remedy: RemedyId,
    /// What.
    pub rung: Rung,
    /// For a fault where.
    #[serde(default = "unknown")]
    pub domain: Domain,
    /// Since when.
    pub began: Mono,
    /// Once carried out: until when the line has to come back.
    pub settles: Option<Mono>,
    /// What the driver said.
    pub detail: String,
    /// The process died in the middle of it; what it left was put right since, and has its time to settle.
    #[serde(default)]
    pub interrupted: bool,
}

const fn unknown() -> Domain {
    Domain::Unknown
}

/// What has been done about the present incident, and how often in the last day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// The remedy in course.
    pub running: Option<Running>,
    tried: Vec<Rung>,
    rebooted: bool,
    reboot_failed: bool,
    pass: u32,
    again: Option<Mono>,
    uses: VecDeque<(Rung, Mono)>,
    remedies: u64,
    /// How often each rung was taken in this incident.
    #[serde(default)]
    of_incident: [u32; Rung::ALL.len()],
    /// Rungs that missed in this incident, and where the fault lay.
    #[serde(default)]
    missed: Vec<(Domain, Rung)>,
    /// Rungs that were left out of this incident as futile.
    #[serde(default)]
    skipped: Vec<(Domain, Rung)>,
    /// Every budget counts as spent until then.
    #[serde(default)]
    spent: Option<Mono>,
    /// No reboot until then.
    #[serde(default)]
    reboot_barred: Option<Mono>,
    /// Nothing is left but what waits until then for a modem that may be starting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Mono>,
    /// What each rung did for this line.
    #[serde(default)]
    pub records: Records,
}

/// What holds when the next rung is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Where the fault lies.
    pub domain: Domain,
    /// How the line gets its address.
    pub protocol: Protocol,
    /// Somebody works on the gateway.
    pub hands_off: bool,
    /// A resolver is known that answers.
    pub resolver: bool,
    /// What is written to flash is there after a reboot, as far as is known.
    pub stored: bool,
    /// Until when the modem may be starting.
    pub starts: Option<Mono>,
}

/// What the ladder says when asked for the next rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Take this one.
    Take(Rung),
    /// One is in course.
    Busy,
    /// None is left; perhaps at the given time.
    Exhausted(Option<Mono>),
    /// There would be this one, but somebody works on the gateway.
    HandsOff(Rung),
    /// There would be this one, but the modem may be starting: not before then.
    Waits(Rung, Mono),
    /// Nothing is left for this incident but what never helped on this line.
    Futile,
    /// The memory was lost: until then nothing is taken.
    Forgotten(Mono),
}

impl Ladder {
    /// What inhibited it is over: the ladder begins anew, within its budgets.
    pub fn afresh(&mut self) {
        self.tried.clear();
        self.again = None;
    }

    /// A new incident begins.
    pub fn open(&mut self) {
        self.tried.clear();
        self.rebooted = false;
        self.pass = 0;
        self.again = None;
        self.of_incident = Default::default();
        self.missed.clear();
        self.skipped.clear();
        self.waits = None;
    }

    /// The line broke again in the same incident.
    pub fn reopen(&mut self, healed_by: Option<Rung>) {
        if let Some(rung) = healed_by {
            self.tried.retain(|r| *r != rung);
        }
    }

    /// What was done before is not known but for how often each rung was `taken`: so often it counts as taken now. Without
    /// even that every budget counts as spent for its whole window.
    pub fn forgot(&mut self, now: Mono, taken: Option<&[(Rung, u32)]>) {
        let Some(taken) = taken else {
            self.spent = Some(now + DAY);
            return;
        };
        self.uses.clear();
        for rung in Rung::ALL {
            let times = taken.iter().filter(|(r, _)| *r == rung).map(|(_, n)| *n).max().unwrap_or(0);
            let most = USES / Rung::ALL.len();
            self.uses.extend(std::iter::repeat_n((rung, now), most.min(times as usize)));
        }
        self.reboot_barred = Some(now + DAY);
    }

    /// How often each rung was taken in the last 24 hours, where it was. `None`: that is not known.
    pub fn rungs_taken(&self, now: Mono) -> Option<Vec<(Rung, u32)>> {
        if self.is_forgotten(now) {
            return None;
        }
        let times = |rung| u32::try_from(self.used(now, rung)).unwrap_or(u32::MAX);
        Some(Rung::ALL.into_iter().map(|rung| (rung, times(rung))).filter(|(_, times)| *times > 0).collect())
    }

    /// The gateway booted a moment ago, and nothing tells why.
    pub fn booted_unexplained(&mut self, now: Mono) {
        self.reboot_barred = Some(now + DAY);
    }

    /// What to do next.
    pub fn next(&mut self, now: Mono, of: &Circumstances, policy: &Remedies) -> Next {
        if self.running.is_some() {
            return Next::Busy;
        }
        self.waits = None;
        while self.uses.front().is_some_and(|(_, at)| now.since(*at) >= DAY) {
            self.uses.pop_front();
        }
        if self.again.is_some_and(|at| now >= at) {
            self.tried.clear();
            self.again = None;
            self.pass += 1;
        }
        self.spent = self.spent.filter(|until| now < *until);
        let sensible = |rung: &Rung| {
            makes_sense(of.domain, *rung)
                && fits(of.protocol, *rung)
                && (of.resolver || *rung != Rung::OtherResolver)
                && (of.stored || *rung != Rung::Reboot)
        };
        let mut rungs: Vec<Rung> = policy.ladder.iter().copied().filter(sensible).collect();
        if rungs.is_empty() {
            return Next::Exhausted(None);
        }
        if let Some(until) = self.spent {
            return Next::Forgotten(until);
        }
        self.reboot_barred = self.reboot_barred.filter(|until| now < *until);
        if policy.learning {
            let all = rungs.clone();
            self.records.order(now, of.domain, &mut rungs);
            // What was left out once stays left out of this incident, also when its next try has come due by it.
            rungs.retain(|&rung| !self.skipped.contains(&(of.domain, rung)));
            for rung in all.into_iter().filter(|rung| !rungs.contains(rung)) {
                if !self.skipped.contains(&(of.domain, rung)) && !self.missed.contains(&(of.domain, rung)) {
                    self.skipped.push((of.domain, rung));
                    self.records.skipped(of.domain, rung);
                }
            }
        }
        let free = |rung: Rung| {
            let barred =
                rung == Rung::Reboot && (self.rebooted || self.reboot_failed || self.reboot_barred.is_some());
            !self.tried.contains(&rung) && self.over_budget(now, rung, policy, true).is_none() && !barred
        };
        let starts = of.starts.filter(|at| now < *at);
        let (mut held, mut early) = (None, None);
        for rung in rungs.iter().copied().filter(|&rung| free(rung)) {
            if let Some(at) = starts
                && matches!(rung, Rung::PowerModem | Rung::Reboot)
            {
                early = early.or(Some((rung, at)));
                continue;
            }
            if !of.hands_off || !rung.disturbs() {
                return Next::Take(rung);
            }
            held = held.or(Some(rung));
        }
        if let Some(rung) = held {
            return Next::HandsOff(rung);
        }
        if let Some((rung, at)) = early {
            self.waits = Some(at);
            return Next::Waits(rung, at);
        }
        if rungs.is_empty() {
            return Next::Futile;
        }
        if self.again.is_none() {
            let left = |rung: Rung| self.of_incident[rung as usize] < policy.limits(rung).per_incident;
            if !rungs.iter().any(|&rung| left(rung)) {
                // However long it lasts: its budgets are spent.
                return Next::Exhausted(None);
            }
            let wait =
                policy.again.times(1u64.checked_shl(self.pass.min(32)).unwrap_or(u64::MAX)).min(AGAIN_MOST);
            self.again = Some(now + wait);
        }
        Next::Exhausted(self.again)
    }

    /// The number of the remedy that is taken next.
    pub fn next_remedy(&self) -> RemedyId {
        RemedyId(self.remedies + 1)
    }

    /// Takes a rung; gives its number.
    pub fn take(&mut self, now: Mono, rung: Rung, domain: Domain) -> RemedyId {
        self.remedies += 1;
        let remedy = RemedyId(self.remedies);
        self.tried.push(rung);
        if self.uses.len() >= USES {
            self.uses.pop_front();
        }
        self.uses.push_back((rung, now));
        let taken = &mut self.of_incident[rung as usize];
        *taken = taken.saturating_add(1);
        self.rebooted |= rung == Rung::Reboot;
        self.running = Some(Running {
            remedy,
            rung,
            domain,
            began: now,
            settles: None,
            detail: String::new(),
            interrupted: false,
        });
        remedy
    }

    /// The driver told the end. Gives back whether the line now has time to settle; `false`: it is over without effect.
    pub fn ended(
        &mut self,
        now: Mono,
        remedy: RemedyId,
        result: RemedyResult,
        detail: &str,
        policy: &Remedies,
    ) -> Option<bool> {
        let running = self.running.as_mut().filter(|r| r.remedy == remedy && r.settles.is_none())?;
        running.detail = detail.to_string();
        match result {
            RemedyResult::Done => {
                running.settles = Some(now + policy.limits(running.rung).settle);
                Some(true)
            }
            RemedyResult::Pretended
            | RemedyResult::Failed
            | RemedyResult::Overran
            | RemedyResult::Unsupported => Some(false),
        }
    }

    /// Ends what is running, and remembers whether it helped; `None`: it was not carried out, so that is not known.
    pub fn finish(&mut self, now: Mono, helped: Option<bool>) -> Option<Running> {
        let running = self.running.take()?;
        let (domain, rung) = (running.domain, running.rung);
        match helped {
            Some(true) => self.records.healed(now, domain, rung, now.since(running.began)),
            Some(false) => {
                let first = !self.missed.contains(&(domain, rung));
                self.records.missed(now, domain, rung, first);
                if first {
                    self.missed.push((domain, rung));
                }
            }
            None => {}
        }
        if let (Rung::Reboot, Some(helped)) = (rung, helped) {
            self.reboot_failed = !helped;
        }
        Some(running)
    }

    /// A death of ours in the middle of it says nothing about a rung: it may be taken again in the same pass, within its
    /// budget. A reboot may not.
    pub fn forgive(&mut self, rung: Rung) {
        if rung != Rung::Reboot {
            self.tried.retain(|r| *r != rung);
        }
    }

    /// How many uses of a rung lie in the last 24 hours.
    pub fn used(&self, now: Mono, rung: Rung) -> usize {
        self.uses.iter().filter(|(r, at)| *r == rung && now.since(*at) < DAY).count()
    }

    /// Which budget of a rung is spent: how often it was taken of how many times, and in what. `broken`: in an incident in
    /// course, which has a budget of its own.
    fn over_budget(
        &self,
        now: Mono,
        rung: Rung,
        policy: &Remedies,
        broken: bool,
    ) -> Option<(u32, u32, &'static str)> {
        let limits = policy.limits(rung);
        let today = u32::try_from(self.used(now, rung)).unwrap_or(u32::MAX);
        let here = self.of_incident[rung as usize];
        if today >= limits.per_day {
            Some((today, limits.per_day, "today"))
        } else if broken && here >= limits.per_incident {
            Some((here, limits.per_incident, "in this incident"))
        } else {
            None
        }
    }

    /// Why a rung may not be taken by order, where its budgets are spent.
    pub fn refuses(&self, now: Mono, rung: Rung, policy: &Remedies, broken: bool) -> Option<String> {
        let name = rung.as_str();
        if self.is_forgotten(now) {
            return Some(format!(
                "what was done today is not known, so {name} counts as taken as often as it may be"
            ));
        }
        let (taken, most, within) = self.over_budget(now, rung, policy, broken)?;
        Some(format!("{name} was taken {taken} of {most} times {within}"))
    }

    /// Whether every budget counts as spent, because what was done is not known.
    pub fn is_forgotten(&self, now: Mono) -> bool {
        self.spent.is_some_and(|until| now < until)
    }

    /// When time must pass at the latest.
    pub fn wake(&self, policy: &Remedies) -> Option<Mono> {
        match &self.running {
            Some(Running { settles: Some(at), .. }) => Some(*at),
            Some(r) => Some(r.began + policy.limits(r.rung).limit + WORD_LATE),
            None => self.again.into_iter().chain(self.spent).min(),
        }
    }
}
