//! The loop: picks and handles the next event, and skips quiet time.

use super::state::{BOOT, Event, REBOOT_OFF, Simulation, TIME_SERVER};
use crate::simulate::report::Report;
use crate::simulate::spectator::Spectator;
use crate::simulate::world::{Trouble, World};
use linekeeper_contract::units::{Bytes, Mono, Span};
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::{Observation, ReceiptState, RemedyResult};
use linekeeper_judge::outage;

/// A skip ends at least this long before the next event is due, so that the approach to it is simulated.
const BEFORE: u64 = 2_000;
/// No skip within this time after an event: complete readings of the counters must have shown its effect.
const SEEN: u64 = 2_500;
/// Time from one check for quiet time to the next.
const LOOK_AGAIN: u64 = 1_000;

impl Simulation {
    /// Runs the world until `until`, counted from the start of the simulation.
    pub fn run(&mut self, until: Span, spectator: &mut impl Spectator) {
        loop {
            if self.skips_quiet_time && self.now >= self.next_skip_check_at {
                self.skip_quiet_time(until.0);
            }
            let next_event = self.events.last().map_or(u64::MAX, |(at, _)| *at);
            let (mut echo, mut counted, mut wake) = (u64::MAX, u64::MAX, u64::MAX);
            if self.judge.is_some() {
                echo = self.echoes.front().map_or(u64::MAX, |e| e.at.max(self.frozen_until));
                counted = self.counted_at.max(self.frozen_until);
                wake = self.wake_at.max(self.frozen_until);
            }
            let at = next_event.min(echo).min(counted).min(wake);
            if at > until.0 {
                self.now = self.now.max(until.0);
                return;
            }
            self.now = self.now.max(at);
            if next_event == at {
                if let Some((_, event)) = self.events.pop() {
                    self.next_skip_check_at = self.now + SEEN;
                    self.handle_event(event, spectator);
                }
            } else if echo == at {
                if let Some(echo) = self.echoes.pop_front() {
                    self.finish_echo(echo, spectator);
                }
            } else if counted == at {
                self.read_counters(spectator);
            } else {
                self.observe(&Observation::Ticked, spectator);
            }
        }
    }

    /// Skips time in which nothing can happen, if now is such a time.
    pub(super) fn skip_quiet_time(&mut self, until: u64) {
        self.next_skip_check_at = self.now + LOOK_AGAIN;
        let next_event = self.events.last().map_or(u64::MAX, |(at, _)| *at);
        let awake = self.frozen_until <= self.now && self.held_back.is_empty() && self.speed_test.is_none();
        if !awake || !self.line.is_quiet() {
            return;
        }
        let now = self.agent_time();
        let Some(judge) = &mut self.judge else { return };
        let Some((due, step)) = judge.skippable_until(now) else { return };
        let end = next_event.min(until).min(self.now + due.since(now).0).saturating_sub(BEFORE);
        let by = end.saturating_sub(self.now) / step.0 * step.0;
        if by == 0 {
            return;
        }
        judge.skip(now, Span(by));
        self.now += by;
        self.next_skip_check_at = self.now + LOOK_AGAIN;
        self.wake_at = self.wake_at.saturating_add(by);
        self.counted_at = self.counted_at.saturating_add(by);
        self.counted_last += by;
        self.echoes.iter_mut().for_each(|e| (e.at, e.sent) = (e.at + by, e.sent + by));
        self.line.skip(by);
        let asked = |every: Span| every.falls_in(Mono(self.now - by), Span(by));
        let gateway = if self.config.probe.gateway { asked(outage::GATEWAY_EVERY) } else { 0 };
        self.report.probes += asked(self.config.probe.interval) + gateway;
        self.report.skipped += Span(by);
    }

    /// The final result.
    pub fn into_report(mut self) -> Report {
        self.report.waiting = self.wire.outbox.len();
        self.write_snapshot();
        self.report
    }

    pub(super) fn handle_event(&mut self, event: Event, spectator: &mut impl Spectator) {
        match event {
            Event::Begin(place) => self.begin_fault(place, spectator),
            Event::End(place) => self.end_fault(place, spectator),
            Event::Beat(place, on) => self.switch_repeated_break(place, on, spectator),
            Event::AdminDown(life) => {
                if life == self.life {
                    self.down_by_remedy = true;
                    self.line.change(self.now, |l| (l.admin_up, l.leased) = (false, false));
                    self.follow_line_change(spectator);
                }
            }
            Event::AdminUp(life) => {
                if life == self.life {
                    self.bring_interface_up(spectator);
                }
            }
            Event::MakeSafe => self.bring_interface_up(spectator),
            Event::Unpower => {
                self.down_by_remedy = true;
                self.line.change(self.now, |l| l.unpowered = true);
                self.follow_line_change(spectator);
            }
            Event::Repower => {
                self.line.change(self.now, |l| l.unpowered = false);
                self.follow_line_change(spectator);
            }
            Event::Lease => self.try_lease(spectator),
            Event::Measured(life, ended) => {
                self.line.testing = false;
                let (tests, bytes) = self.report.tests;
                self.report.tests = (tests + 1, Bytes(bytes.0.saturating_add(ended.cost.0)));
                if life == self.life {
                    self.observe(&Observation::SpeedEnded(*ended), spectator);
                }
            }
            Event::Checked(life, checked) => {
                if life == self.life {
                    self.observe(&Observation::Checked(*checked), spectator);
                }
            }
            Event::Over(life, remedy, rung, result, detail) => {
                if life == self.life {
                    if result == RemedyResult::Done {
                        self.end_faults_healed_by(rung, spectator);
                    }
                    self.observe(&Observation::RemedyEnded { remedy, result, detail }, spectator);
                }
            }
            Event::GoDown(life) => {
                if life == self.life && self.judge.is_some() {
                    self.observe(&Observation::Stopping, spectator);
                    self.down_by_remedy = true;
                    self.end_process();
                    self.line.change(self.now, |l| (l.admin_up, l.leased) = (false, false));
                    self.follow_line_change(spectator);
                    self.schedule_after(REBOOT_OFF + BOOT, Event::Boot);
                }
            }
            Event::Boot => self.boot_gateway(spectator),
            Event::Start(memory) => self.start_if_powered(memory, spectator),
            Event::Thaw => {
                for saw in std::mem::take(&mut self.held_back) {
                    self.observe(&saw, spectator);
                }
            }
            Event::TimeServer(life) => {
                if life != self.life {
                } else if self.line.reaches_internet() {
                    self.clock_error = 0;
                    self.observe_clock(true, spectator);
                } else {
                    self.schedule_after(TIME_SERVER, Event::TimeServer(life));
                }
            }
            Event::Connect(session) => {
                let away = self.has_fault(|t| *t == Trouble::BrokerAway);
                if session == self.wire.session && self.judge.is_some() && self.has_uplink() && !away {
                    self.wire.connected = true;
                    self.wire.sent = 0;
                    self.observe(&Observation::BrokerSeen { connected: true }, spectator);
                    while let Some(receipt) = self.wire.kept.pop_front() {
                        self.observe(&Observation::ReceiptCame(receipt), spectator);
                    }
                    self.send_outbox();
                }
            }
            Event::Drop(session) => {
                let away = self.has_fault(|t| *t == Trouble::BrokerAway);
                if session == self.wire.session && self.wire.connected && (!self.has_uplink() || away) {
                    self.wire.connected = false;
                    self.wire.session += 1;
                    self.observe(&Observation::BrokerSeen { connected: false }, spectator);
                    self.connect_broker();
                }
            }
            Event::Arrive(session, number, sent) => self.deliver(session, number, sent, spectator),
            Event::Acknowledge(session, number) => {
                let here = session == self.wire.session && self.has_uplink();
                if here && self.wire.outbox.front().is_some_and(|w| w.message.number == number) {
                    self.wire.outbox.pop_front();
                    self.wire.sent -= 1;
                    self.observe(&Observation::Acknowledged { number }, spectator);
                }
            }
            Event::Receipt(receipt) => {
                if receipt.state == ReceiptState::Received
                    && let Some(calls) = self.world.platform.calls
                {
                    self.schedule_after(calls.0, Event::Call(receipt.callback_id.clone()));
                }
                self.deliver_receipt(receipt, spectator);
            }
            Event::Call(id) => {
                if let Some(receipt) = self.wire.call(&id) {
                    self.deliver_receipt(receipt, spectator);
                }
            }
        }
    }
}

/// Runs a world from its start until `until` and returns the result.
pub fn run(config: &Config, world: &World, seed: u64, until: Span, spectator: &mut impl Spectator) -> Report {
    let mut simulation = Simulation::new(config, world, seed);
    simulation.run(until, spectator);
    simulation.into_report()
}
