//! Start and end of the process, boots of the gateway, and its clock.

use super::state::{BOOT, COUNTED_EVERY, Event, REBOOT_OFF, Simulation, TIME_SERVER};
use crate::simulate::spectator::Spectator;
use linekeeper_contract::units::{Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::Judge;
use linekeeper_judge::observation::{Memory, Observation, Started};
use linekeeper_judge::outage::LineState;
use linekeeper_judge::usage::Usual;

impl Simulation {
    pub(super) fn end_process(&mut self) {
        if let Some(b) = self.report.breaks.last_mut().filter(|b| b.returned.is_none()) {
            b.unwatched = true;
        }
        self.judge = None;
        self.life += 1;
        self.echoes.clear();
        self.held_back.clear();
        self.replies_received = 0;
        self.wire.connected = false;
        self.wire.session += 1;
        self.wire.sent = 0;
        self.line_state = LineState::Unknown;
    }

    pub(super) fn boot_gateway(&mut self, spectator: &mut impl Spectator) {
        if !self.powered || self.judge.is_some() {
            return;
        }
        self.report.boots += 1;
        self.booted_at = self.now as i64 - BOOT as i64;
        // The agent's clock continues from the snapshot plus the time of the boot.
        let mono = self.saved_at + BOOT;
        self.clock_lag = (self.now + self.world.uptime.0).saturating_sub(mono);
        self.end_faults_healed_by(Rung::Reboot, spectator);
        self.line.change(self.now, |l| l.admin_up = true);
        // At best, a gateway without a battery clock resumes with the time at which it was switched off.
        if self.true_wall().is_some() {
            self.clock_error -= (REBOOT_OFF + BOOT) as i64;
        }
        self.start_process(Memory::Restored, false, spectator);
    }

    pub(super) fn start_if_powered(&mut self, memory: Memory, spectator: &mut impl Spectator) {
        if !self.powered || self.judge.is_some() {
            return;
        }
        self.start_process(memory, true, spectator);
    }

    pub(super) fn start_process(
        &mut self,
        memory: Memory,
        clock_known: bool,
        spectator: &mut impl Spectator,
    ) {
        if memory != Memory::Restored {
            self.saved_judge = None;
        }
        let saved = self.write_snapshot();
        let judge = match &saved {
            Some(snapshot) => Judge::restore(self.config.clone(), snapshot).ok(),
            None => None,
        };
        let memory = match (memory, judge.is_some()) {
            (Memory::Restored, false) => Memory::None,
            (other, _) => other,
        };
        let mut judge = judge.unwrap_or_else(|| Judge::new(self.config.clone()));
        if memory == Memory::None {
            self.usual_traffic = Usual::default();
        }
        judge.restore_usual(self.usual_traffic.clone());
        self.judge = Some(judge);
        self.report.lives += 1;
        self.counted_last = self.now;
        self.counted_at = if self.world.counters { self.now + COUNTED_EVERY } else { u64::MAX };
        self.line.take_customer_bytes(self.now);
        spectator.on_start(self.moment(), saved.as_ref());
        let uptime = Span((self.now as i64 - self.booted_at).max(0) as u64);
        let boot_id = format!("5eed0000-0000-4000-8000-{:012}", self.report.boots);
        let watermark = self.wire.watermark;
        // When the snapshot is lost, the record beside it is lost every second time.
        let taken = match memory {
            Memory::Restored => self.rungs_taken.clone(),
            Memory::Lost if self.report.lives % 2 == 1 => self.rungs_taken.clone(),
            Memory::Lost | Memory::None => None,
        };
        self.rungs_taken.clone_from(&taken);
        self.observe(
            &Observation::Started(Started { boot_id, uptime, memory, watermark, beat: None, taken }),
            spectator,
        );
        self.link = self.line.link();
        self.observe(&Observation::LinkSeen(self.link.clone()), spectator);
        self.follow_line_change(spectator);
        self.observe_clock(clock_known, spectator);
        if !clock_known {
            self.schedule_after(TIME_SERVER, Event::TimeServer(self.life));
        }
        self.connect_broker();
    }

    pub(super) fn observe_clock(&mut self, synced: bool, spectator: &mut impl Spectator) {
        if let Some(wall) = self.true_wall() {
            let wall = Wall(wall.0 + self.clock_error);
            self.observe(&Observation::ClockSet { wall, synced }, spectator);
        }
    }
}
