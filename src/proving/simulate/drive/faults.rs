//! What befalls the line, and what it does to it.

use super::state::{BOOT, LEASE, Rare, Simulation};
use crate::simulate::report::Break;
use crate::simulate::spectator::Spectator;
use crate::simulate::world::Trouble;
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::check::AreaNotice;
use linekeeper_judge::observation::Observation;

/// From one DHCP attempt to the next.
const LEASE_AGAIN: u64 = 3_000;
/// After how long without the line the broker's connection breaks.
const DROPPED: u64 = 2_000;

impl Simulation {
    pub(super) fn begin(&mut self, place: usize, spectator: &mut impl Spectator) {
        let fault = self.world.faults[place].clone();
        spectator.befalls(self.moment(), &fault.trouble, true);
        match &fault.trouble {
            Trouble::ClockSet { to, synced } => {
                let truth = self.true_wall().map_or(0, |w| w.0);
                self.clock_off = to.0 - truth;
                self.tell_time(*synced, spectator);
                return;
            }
            Trouble::Asks(reason) => {
                self.tell(&Observation::CallbackAsked { reason: reason.clone() }, spectator);
                return;
            }
            Trouble::HandsOff(why) => {
                self.tell(&Observation::HandsOffSeen { why: Some(why.clone()) }, spectator);
            }
            Trouble::Notice(notice) => {
                self.tell(&Observation::AreaNoticed { notice: Some(notice.clone()) }, spectator);
            }
            Trouble::Killed(_) => self.die(),
            Trouble::PowerCut => {
                self.die();
                self.powered = false;
                self.line.change(self.now, |l| (l.admin_up, l.leased) = (false, false));
            }
            Trouble::Frozen => {
                if let Some(b) = self.report.breaks.last_mut().filter(|b| b.returned.is_none()) {
                    b.unwatched = true;
                }
                self.frozen_until = self.now + fault.lasts.map_or(0, |l| l.0);
                self.schedule(self.frozen_until, Rare::Thaw);
            }
            Trouble::Breaks { .. } => self.after(0, Rare::Beat(place, true)),
            _ => {}
        }
        self.lasting.push(place);
        if let Some(lasts) = fault.lasts {
            self.after(lasts.0, Rare::End(place));
        }
        self.settle(spectator);
    }

    pub(super) fn end(&mut self, place: usize, spectator: &mut impl Spectator) {
        let Some(at) = self.lasting.iter().position(|&p| p == place) else { return };
        self.lasting.remove(at);
        let trouble = self.world.faults[place].trouble.clone();
        spectator.befalls(self.moment(), &trouble, false);
        match trouble {
            Trouble::Killed(memory) => self.after(1, Rare::Start(memory)),
            Trouble::PowerCut => {
                self.powered = true;
                self.after(BOOT, Rare::Boot);
            }
            Trouble::Breaks { .. } => self.line.change(self.now, |l| l.beat = false),
            Trouble::HandsOff(_) => self.tell(&Observation::HandsOffSeen { why: None }, spectator),
            Trouble::Notice(notice) => {
                let notice = Some(AreaNotice { ended: true, ..notice });
                self.tell(&Observation::AreaNoticed { notice }, spectator);
            }
            _ => {}
        }
        self.settle(spectator);
    }

    pub(super) fn settle(&mut self, spectator: &mut impl Spectator) {
        self.note_quality();
        let faults = &self.world.faults;
        self.line.settle(self.now, self.world.port, self.lasting.iter().map(|&place| &faults[place].trouble));
        self.line_changed(spectator);
        if self.wire.connected && self.lasts(|t| *t == Trouble::BrokerAway) {
            self.after(1, Rare::Drop(self.wire.session));
        } else if self.wire.connected && !self.way_out() {
            self.after(DROPPED, Rare::Drop(self.wire.session));
        } else {
            self.reach_broker();
        }
    }

    pub(super) fn beat(&mut self, place: usize, on: bool, spectator: &mut impl Spectator) {
        if !self.lasting.contains(&place) {
            return;
        }
        let Trouble::Breaks { length, every } = self.world.faults[place].trouble else { return };
        self.line.change(self.now, |l| l.beat = on);
        if on {
            self.after(length.0, Rare::Beat(place, false));
            self.after(every.0.max(length.0 + 1), Rare::Beat(place, true));
        }
        self.line_changed(spectator);
    }

    pub(super) fn heal(&mut self, rung: Rung, spectator: &mut impl Spectator) {
        let healed: Vec<usize> = self
            .lasting
            .iter()
            .copied()
            .filter(|&p| self.world.faults[p].healed_by.contains(&rung))
            .collect();
        for place in healed {
            self.end(place, spectator);
        }
        if !self.line.leased && !self.lasts(Trouble::takes_address) && self.line.may_lease() {
            self.line.change(self.now, |l| l.leased = true);
            self.line_changed(spectator);
        }
    }

    pub(super) fn admin_up(&mut self, spectator: &mut impl Spectator) {
        self.line.change(self.now, |l| l.admin_up = true);
        self.line_changed(spectator);
    }

    pub(super) fn lease(&mut self, spectator: &mut impl Spectator) {
        self.leasing = false;
        if self.line.leased || !self.powered {
            return;
        }
        if self.line.may_lease() && !self.lasts(Trouble::takes_address) {
            self.line.change(self.now, |l| l.leased = true);
            self.line_changed(spectator);
        } else {
            self.leasing = true;
            self.after(LEASE_AGAIN, Rare::Lease);
        }
    }

    /// Tells what the kernel tells of a change, and what follows from it.
    pub(super) fn line_changed(&mut self, spectator: &mut impl Spectator) {
        let whole = self.line.far();
        let faulted = self.faulted();
        let now = self.now;
        if let Some(since) = self.ours_since.take() {
            self.report.self_inflicted += Span(now - since);
        }
        self.ours &= !whole;
        if self.ours && !faulted {
            self.ours_since = Some(now);
        }
        if whole != self.whole {
            self.whole = whole;
            let now = Span(now);
            if whole {
                if let Some(b) = self.report.breaks.last_mut() {
                    b.returned = Some(now);
                }
                // What was lost meanwhile goes out again.
                self.wire.sent = 0;
                self.reach_broker();
                self.pump();
            } else {
                self.report.breaks.push(Break {
                    own: !faulted,
                    unwatched: self.judge.is_none() || self.frozen_until > self.now,
                    broke: now,
                    declared: None,
                    returned: None,
                    restored: None,
                });
                if self.wire.connected {
                    self.after(DROPPED, Rare::Drop(self.wire.session));
                }
            }
        }
        if !self.line.leased && self.line.admin_up && !self.leasing {
            self.leasing = true;
            self.after(LEASE, Rare::Lease);
        }
        let link = self.line.link();
        if link != self.link {
            self.link = link.clone();
            self.tell(&Observation::LinkSeen(link), spectator);
        }
    }

    /// Something that is not the gateway's own doing keeps data from passing.
    pub(super) fn faulted(&self) -> bool {
        self.line.faulted() || self.lasts(|t| matches!(t, Trouble::Address | Trouble::PowerCut))
    }
}
