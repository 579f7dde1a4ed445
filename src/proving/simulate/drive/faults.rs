//! Faults: how they start, how they end, and how the line follows.

use super::state::{BOOT, Event, LEASE, Simulation};
use crate::simulate::report::Break;
use crate::simulate::spectator::Spectator;
use crate::simulate::world::Trouble;
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::check::AreaNotice;
use linekeeper_judge::observation::Observation;

/// Time from one DHCP attempt to the next, milliseconds.
const LEASE_AGAIN: u64 = 3_000;
/// How long the broker connection survives without the line, milliseconds.
const DROPPED: u64 = 2_000;

impl Simulation {
    pub(super) fn begin_fault(&mut self, place: usize, spectator: &mut impl Spectator) {
        let fault = self.world.faults[place].clone();
        spectator.on_fault(self.moment(), &fault.trouble, true);
        match &fault.trouble {
            Trouble::ClockSet { to, synced } => {
                let truth = self.true_wall().map_or(0, |w| w.0);
                self.clock_error = to.0 - truth;
                self.observe_clock(*synced, spectator);
                return;
            }
            Trouble::Asks(reason) => {
                self.observe(&Observation::CallbackAsked { reason: reason.clone() }, spectator);
                return;
            }
            Trouble::HandsOff(why) => {
                self.observe(&Observation::HandsOffSeen { why: Some(why.clone()) }, spectator);
            }
            Trouble::Notice(notice) => {
                self.observe(&Observation::AreaNoticed { notice: Some(notice.clone()) }, spectator);
            }
            Trouble::Killed(_) => self.end_process(),
            Trouble::PowerCut => {
                self.end_process();
                self.powered = false;
                self.line.change(self.now, |l| (l.admin_up, l.leased) = (false, false));
            }
            Trouble::Frozen => {
                if let Some(b) = self.report.breaks.last_mut().filter(|b| b.returned.is_none()) {
                    b.unwatched = true;
                }
                self.frozen_until = self.now + fault.lasts.map_or(0, |l| l.0);
                self.schedule_at(self.frozen_until, Event::Thaw);
            }
            Trouble::Breaks { .. } => self.schedule_after(0, Event::Beat(place, true)),
            _ => {}
        }
        self.active_faults.push(place);
        if let Some(lasts) = fault.lasts {
            self.schedule_after(lasts.0, Event::End(place));
        }
        self.apply_faults(spectator);
    }

    pub(super) fn end_fault(&mut self, place: usize, spectator: &mut impl Spectator) {
        let Some(at) = self.active_faults.iter().position(|&p| p == place) else { return };
        self.active_faults.remove(at);
        let trouble = self.world.faults[place].trouble.clone();
        spectator.on_fault(self.moment(), &trouble, false);
        match trouble {
            Trouble::Killed(memory) => self.schedule_after(1, Event::Start(memory)),
            Trouble::PowerCut => {
                self.powered = true;
                self.schedule_after(BOOT, Event::Boot);
            }
            Trouble::Breaks { .. } => self.line.change(self.now, |l| l.beat = false),
            Trouble::HandsOff(_) => self.observe(&Observation::HandsOffSeen { why: None }, spectator),
            Trouble::Notice(notice) => {
                let notice = Some(AreaNotice { ended: true, ..notice });
                self.observe(&Observation::AreaNoticed { notice }, spectator);
            }
            _ => {}
        }
        self.apply_faults(spectator);
    }

    pub(super) fn apply_faults(&mut self, spectator: &mut impl Spectator) {
        self.note_quality();
        let faults = &self.world.faults;
        self.line.apply_faults(
            self.now,
            self.world.port,
            self.active_faults.iter().map(|&place| &faults[place].trouble),
        );
        self.follow_line_change(spectator);
        if self.wire.connected && self.has_fault(|t| *t == Trouble::BrokerAway) {
            self.schedule_after(1, Event::Drop(self.wire.session));
        } else if self.wire.connected && !self.has_uplink() {
            self.schedule_after(DROPPED, Event::Drop(self.wire.session));
        } else {
            self.connect_broker();
        }
    }

    pub(super) fn switch_repeated_break(&mut self, place: usize, on: bool, spectator: &mut impl Spectator) {
        if !self.active_faults.contains(&place) {
            return;
        }
        let Trouble::Breaks { length, every } = self.world.faults[place].trouble else { return };
        self.line.change(self.now, |l| l.beat = on);
        if on {
            self.schedule_after(length.0, Event::Beat(place, false));
            self.schedule_after(every.0.max(length.0 + 1), Event::Beat(place, true));
        }
        self.follow_line_change(spectator);
    }

    pub(super) fn end_faults_healed_by(&mut self, rung: Rung, spectator: &mut impl Spectator) {
        let healed: Vec<usize> = self
            .active_faults
            .iter()
            .copied()
            .filter(|&p| self.world.faults[p].healed_by.contains(&rung))
            .collect();
        for place in healed {
            self.end_fault(place, spectator);
        }
        if !self.line.leased && !self.has_fault(Trouble::takes_address) && self.line.can_lease() {
            self.line.change(self.now, |l| l.leased = true);
            self.follow_line_change(spectator);
        }
    }

    pub(super) fn bring_interface_up(&mut self, spectator: &mut impl Spectator) {
        self.line.change(self.now, |l| l.admin_up = true);
        self.follow_line_change(spectator);
    }

    pub(super) fn try_lease(&mut self, spectator: &mut impl Spectator) {
        self.lease_pending = false;
        if self.line.leased || !self.powered {
            return;
        }
        if self.line.can_lease() && !self.has_fault(Trouble::takes_address) {
            self.line.change(self.now, |l| l.leased = true);
            self.follow_line_change(spectator);
        } else {
            self.lease_pending = true;
            self.schedule_after(LEASE_AGAIN, Event::Lease);
        }
    }

    /// Updates the records of breaks after a change of the line, and reports the change as the kernel would.
    pub(super) fn follow_line_change(&mut self, spectator: &mut impl Spectator) {
        let whole = self.line.reaches_internet();
        let faulted = self.is_faulted();
        let now = self.now;
        if let Some(since) = self.down_by_remedy_since.take() {
            self.report.self_inflicted += Span(now - since);
        }
        self.down_by_remedy &= !whole;
        if self.down_by_remedy && !faulted {
            self.down_by_remedy_since = Some(now);
        }
        if whole != self.intact {
            self.intact = whole;
            let now = Span(now);
            if whole {
                if let Some(b) = self.report.breaks.last_mut() {
                    b.returned = Some(now);
                }
                // Messages that were lost meanwhile are sent again.
                self.wire.sent = 0;
                self.connect_broker();
                self.send_outbox();
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
                    self.schedule_after(DROPPED, Event::Drop(self.wire.session));
                }
            }
        }
        if !self.line.leased && self.line.admin_up && !self.lease_pending {
            self.lease_pending = true;
            self.schedule_after(LEASE, Event::Lease);
        }
        let link = self.line.link();
        if link != self.link {
            self.link = link.clone();
            self.observe(&Observation::LinkSeen(link), spectator);
        }
    }

    /// Whether a fault that the gateway did not cause blocks the data flow.
    pub(super) fn is_faulted(&self) -> bool {
        self.line.is_faulted() || self.has_fault(|t| matches!(t, Trouble::Address | Trouble::PowerCut))
    }
}
