//! Which repair, when, and how often.
//!
//! Policy, in prose:
//!
//! * A rung is taken only while the line is down for at least `outage.patience`, only if it makes sense in the fault
//!   domain, and only one at a time.
//! * A carrier that is away is left alone for [`CARRIER_PATIENCE`]: somebody plugs a cable in again, or a modem starts.
//!   A link that is whole again is left alone for [`LINK_SETTLE`]: the line is about to come back.
//! * After it the line has the rung's settle time to come back. If it does, the rung healed it; else the next rung
//!   follows. A rung that could not be carried out costs no settle time.
//! * Each rung is taken once in a pass. When none is left the incident is handed over; another pass comes after
//!   `remedies.again`, doubled with each pass, up to [`AGAIN_MOST`].
//! * A line that broke again after a rung healed it may be healed by it again at once.
//! * Each rung has a budget in any 24 hours, whatever the incidents.
//! * A reboot is taken once in an incident at most, and not at all on a line where the last one that was carried out did
//!   not help.
//!
//! All of it is in the snapshot: neither a crash nor our own reboot forgets what was tried.

use super::diagnosis::makes_sense;
use crate::action::Rung;
use crate::config::Remedies;
use crate::message::Domain;
use crate::observation::{RemedyId, RemedyResult};
use crate::units::{Mono, Span};
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
/// The window of the budgets.
const DAY: Span = Span::days(1);
/// Uses remembered for the budgets: four rungs, at most 100 a day each.
const USES: usize = 400;

/// What is being done now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its number.
    pub remedy: RemedyId,
    /// What.
    pub rung: Rung,
    /// Since when.
    pub began: Mono,
    /// Once carried out: until when the line has to come back.
    pub settles: Option<Mono>,
    /// What the driver said.
    pub detail: String,
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
}

impl Ladder {
    /// A new incident begins.
    pub fn open(&mut self) {
        self.tried.clear();
        self.rebooted = false;
        self.pass = 0;
        self.again = None;
    }

    /// The line broke again in the same incident.
    pub fn reopen(&mut self, healed_by: Option<Rung>) {
        if let Some(rung) = healed_by {
            self.tried.retain(|r| *r != rung);
        }
    }

    /// What to do next about a fault in `domain`.
    pub fn next(&mut self, now: Mono, domain: Domain, policy: &Remedies) -> Next {
        if self.running.is_some() {
            return Next::Busy;
        }
        while self.uses.front().is_some_and(|(_, at)| now.since(*at) >= DAY) {
            self.uses.pop_front();
        }
        if self.again.is_some_and(|at| now >= at) {
            self.tried.clear();
            self.again = None;
            self.pass += 1;
        }
        let sensible = || policy.ladder.iter().copied().filter(|r| makes_sense(domain, *r));
        let free = sensible().find(|&rung| {
            let used = self.uses.iter().filter(|(r, _)| *r == rung).count();
            let reboot_again = rung == Rung::Reboot && (self.rebooted || self.reboot_failed);
            !self.tried.contains(&rung) && used < policy.limits(rung).per_day as usize && !reboot_again
        });
        if let Some(rung) = free {
            return Next::Take(rung);
        }
        if self.again.is_none() && sensible().next().is_some() {
            let wait =
                policy.again.times(1u64.checked_shl(self.pass.min(32)).unwrap_or(u64::MAX)).min(AGAIN_MOST);
            self.again = Some(now + wait);
        }
        Next::Exhausted(self.again)
    }

    /// Takes a rung; gives its number.
    pub fn take(&mut self, now: Mono, rung: Rung) -> RemedyId {
        self.remedies += 1;
        let remedy = RemedyId(self.remedies);
        self.tried.push(rung);
        if self.uses.len() >= USES {
            self.uses.pop_front();
        }
        self.uses.push_back((rung, now));
        self.rebooted |= rung == Rung::Reboot;
        self.running = Some(Running { remedy, rung, began: now, settles: None, detail: String::new() });
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
    pub fn finish(&mut self, helped: Option<bool>) -> Option<Running> {
        let running = self.running.take()?;
        if let (Rung::Reboot, Some(helped)) = (running.rung, helped) {
            self.reboot_failed = !helped;
        }
        Some(running)
    }

    /// How many uses of a rung lie in the last 24 hours.
    pub fn used(&self, now: Mono, rung: Rung) -> usize {
        self.uses.iter().filter(|(r, at)| *r == rung && now.since(*at) < DAY).count()
    }

    /// When time must pass at the latest.
    pub fn wake(&self, policy: &Remedies) -> Option<Mono> {
        match &self.running {
            Some(Running { settles: Some(at), .. }) => Some(*at),
            Some(r) => Some(r.began + policy.limits(r.rung).limit + WORD_LATE),
            None => self.again,
        }
    }
}
