//! The loop: what happens next, and whether time can be passed over.

use super::state::{BOOT, REBOOT_OFF, Rare, Simulation, TIME_SERVER};
use crate::simulate::report::Report;
use crate::simulate::spectator::Spectator;
use crate::simulate::world::{Trouble, World};
use linekeeper_contract::units::{Bytes, Mono, Span};
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::{Observation, ReceiptState, RemedyResult};
use linekeeper_judge::outage;

/// No time is passed over that would end closer than this before something is due: what is due at a moment is looked
/// at on the way to it.
const BEFORE: u64 = 2_000;
/// After something happened no time is passed over until whole readings of the counters have shown it.
const SEEN: u64 = 2_500;
/// From one look whether time may be passed over to the next.
const LOOK_AGAIN: u64 = 1_000;

impl Simulation {
    /// Lets the world run until `until`.
    pub fn run(&mut self, until: Span, spectator: &mut impl Spectator) {
        loop {
            if self.rests && self.now >= self.rest_at {
                self.rest(until.0);
            }
            let rare = self.rare.last().map_or(u64::MAX, |(at, _)| *at);
            let (mut echo, mut counted, mut wake) = (u64::MAX, u64::MAX, u64::MAX);
            if self.judge.is_some() {
                echo = self.echoes.front().map_or(u64::MAX, |e| e.at.max(self.frozen_until));
                counted = self.counted_at.max(self.frozen_until);
                wake = self.wake_at.max(self.frozen_until);
            }
            let at = rare.min(echo).min(counted).min(wake);
            if at > until.0 {
                self.now = self.now.max(until.0);
                return;
            }
            self.now = self.now.max(at);
            if rare == at {
                if let Some((_, rare)) = self.rare.pop() {
                    self.rest_at = self.now + SEEN;
                    self.happen(rare, spectator);
                }
            } else if echo == at {
                if let Some(echo) = self.echoes.pop_front() {
                    self.come_back(echo, spectator);
                }
            } else if counted == at {
                self.count(spectator);
            } else {
                self.tell(&Observation::Ticked, spectator);
            }
        }
    }

    /// Passes over time in which nothing can happen, if this is such a moment.
    pub(super) fn rest(&mut self, until: u64) {
        self.rest_at = self.now + LOOK_AGAIN;
        let rare = self.rare.last().map_or(u64::MAX, |(at, _)| *at);
        let awake = self.frozen_until <= self.now && self.stalled.is_empty() && self.test.is_none();
        if !awake || !self.line.calm() {
            return;
        }
        let now = self.mono();
        let Some(judge) = &mut self.judge else { return };
        let Some((due, step)) = judge.rests(now) else { return };
        let end = rare.min(until).min(self.now + due.since(now).0).saturating_sub(BEFORE);
        let by = end.saturating_sub(self.now) / step.0 * step.0;
        if by == 0 {
            return;
        }
        judge.rested(now, Span(by));
        self.now += by;
        self.rest_at = self.now + LOOK_AGAIN;
        self.wake_at = self.wake_at.saturating_add(by);
        self.counted_at = self.counted_at.saturating_add(by);
        self.counted_last += by;
        self.echoes.iter_mut().for_each(|e| (e.at, e.sent) = (e.at + by, e.sent + by));
        self.line.rested(by);
        let asked = |every: Span| every.falls_in(Mono(self.now - by), Span(by));
        let gateway = if self.config.probe.gateway { asked(outage::GATEWAY_EVERY) } else { 0 };
        self.report.probes += asked(self.config.probe.interval) + gateway;
        self.report.skipped += Span(by);
    }

    /// What came of it.
    pub fn into_report(mut self) -> Report {
        self.report.waiting = self.wire.outbox.len();
        self.snapshot();
        self.report
    }

    pub(super) fn happen(&mut self, rare: Rare, spectator: &mut impl Spectator) {
        match rare {
            Rare::Begin(place) => self.begin(place, spectator),
            Rare::End(place) => self.end(place, spectator),
            Rare::Beat(place, on) => self.beat(place, on, spectator),
            Rare::AdminDown(life) => {
                if life == self.life {
                    self.ours = true;
                    self.line.change(self.now, |l| (l.admin_up, l.leased) = (false, false));
                    self.line_changed(spectator);
                }
            }
            Rare::AdminUp(life) => {
                if life == self.life {
                    self.admin_up(spectator);
                }
            }
            Rare::MakeSafe => self.admin_up(spectator),
            Rare::Unpower => {
                self.ours = true;
                self.line.change(self.now, |l| l.unpowered = true);
                self.line_changed(spectator);
            }
            Rare::Repower => {
                self.line.change(self.now, |l| l.unpowered = false);
                self.line_changed(spectator);
            }
            Rare::Lease => self.lease(spectator),
            Rare::Measured(life, ended) => {
                self.line.testing = false;
                let (tests, bytes) = self.report.tests;
                self.report.tests = (tests + 1, Bytes(bytes.0.saturating_add(ended.cost.0)));
                if life == self.life {
                    self.tell(&Observation::SpeedEnded(*ended), spectator);
                }
            }
            Rare::Checked(life, checked) => {
                if life == self.life {
                    self.tell(&Observation::Checked(*checked), spectator);
                }
            }
            Rare::Over(life, remedy, rung, result, detail) => {
                if life == self.life {
                    if result == RemedyResult::Done {
                        self.heal(rung, spectator);
                    }
                    self.tell(&Observation::RemedyEnded { remedy, result, detail }, spectator);
                }
            }
            Rare::GoDown(life) => {
                if life == self.life && self.judge.is_some() {
                    self.tell(&Observation::Stopping, spectator);
                    self.ours = true;
                    self.die();
                    self.line.change(self.now, |l| (l.admin_up, l.leased) = (false, false));
                    self.line_changed(spectator);
                    self.after(REBOOT_OFF + BOOT, Rare::Boot);
                }
            }
            Rare::Boot => self.boot(spectator),
            Rare::Start(memory) => self.start(memory, spectator),
            Rare::Thaw => {
                for saw in std::mem::take(&mut self.stalled) {
                    self.tell(&saw, spectator);
                }
            }
            Rare::TimeServer(life) => {
                if life != self.life {
                } else if self.line.far() {
                    self.clock_off = 0;
                    self.tell_time(true, spectator);
                } else {
                    self.after(TIME_SERVER, Rare::TimeServer(life));
                }
            }
            Rare::Connect(session) => {
                let away = self.lasts(|t| *t == Trouble::BrokerAway);
                if session == self.wire.session && self.judge.is_some() && self.way_out() && !away {
                    self.wire.connected = true;
                    self.wire.sent = 0;
                    self.tell(&Observation::BrokerSeen { connected: true }, spectator);
                    while let Some(receipt) = self.wire.kept.pop_front() {
                        self.tell(&Observation::ReceiptCame(receipt), spectator);
                    }
                    self.pump();
                }
            }
            Rare::Drop(session) => {
                let away = self.lasts(|t| *t == Trouble::BrokerAway);
                if session == self.wire.session && self.wire.connected && (!self.way_out() || away) {
                    self.wire.connected = false;
                    self.wire.session += 1;
                    self.tell(&Observation::BrokerSeen { connected: false }, spectator);
                    self.reach_broker();
                }
            }
            Rare::Arrive(session, number, sent) => self.arrive(session, number, sent, spectator),
            Rare::Acknowledge(session, number) => {
                let here = session == self.wire.session && self.way_out();
                if here && self.wire.outbox.front().is_some_and(|w| w.message.number == number) {
                    self.wire.outbox.pop_front();
                    self.wire.sent -= 1;
                    self.tell(&Observation::Acknowledged { number }, spectator);
                }
            }
            Rare::Receipt(receipt) => {
                if receipt.state == ReceiptState::Received
                    && let Some(calls) = self.world.platform.calls
                {
                    self.after(calls.0, Rare::Call(receipt.callback_id.clone()));
                }
                self.give_receipt(receipt, spectator);
            }
            Rare::Call(id) => {
                if let Some(receipt) = self.wire.call(&id) {
                    self.give_receipt(receipt, spectator);
                }
            }
        }
    }
}

/// Runs a world from its start until `until` and tells what came of it.
pub fn run(config: &Config, world: &World, seed: u64, until: Span, spectator: &mut impl Spectator) -> Report {
    let mut simulation = Simulation::new(config, world, seed);
    simulation.run(until, spectator);
    simulation.into_report()
}
