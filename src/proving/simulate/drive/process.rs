//! The life of the process and of the gateway: start, boot, end, clock.

use super::state::{BOOT, COUNTED_EVERY, REBOOT_OFF, Rare, Simulation, TIME_SERVER};
use crate::simulate::spectator::Spectator;
use linekeeper_contract::units::{Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::Judge;
use linekeeper_judge::observation::{Memory, Observation, Started};
use linekeeper_judge::outage::LineState;
use linekeeper_judge::usage::Usual;

impl Simulation {
    pub(super) fn die(&mut self) {
        if let Some(b) = self.report.breaks.last_mut().filter(|b| b.returned.is_none()) {
            b.unwatched = true;
        }
        self.judge = None;
        self.life += 1;
        self.echoes.clear();
        self.stalled.clear();
        self.replies = 0;
        self.wire.connected = false;
        self.wire.session += 1;
        self.wire.sent = 0;
        self.believed = LineState::Unknown;
    }

    pub(super) fn boot(&mut self, spectator: &mut impl Spectator) {
        if !self.powered || self.judge.is_some() {
            return;
        }
        self.report.boots += 1;
        self.boot_began = self.now as i64 - BOOT as i64;
        // The clock of our own goes on from the snapshot; the time before it and the boot are all that is counted.
        let mono = self.saved_at + BOOT;
        self.behind = (self.now + self.world.uptime.0).saturating_sub(mono);
        self.heal(Rung::Reboot, spectator);
        self.line.change(self.now, |l| l.admin_up = true);
        // A gateway without a battery begins where it was switched off, at best.
        if self.true_wall().is_some() {
            self.clock_off -= (REBOOT_OFF + BOOT) as i64;
        }
        self.start_process(Memory::Restored, false, spectator);
    }

    pub(super) fn start(&mut self, memory: Memory, spectator: &mut impl Spectator) {
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
            self.saved = None;
        }
        let saved = self.snapshot();
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
            self.usual = Usual::default();
        }
        judge.know(self.usual.clone());
        self.judge = Some(judge);
        self.report.lives += 1;
        self.counted_last = self.now;
        self.counted_at = if self.world.counters { self.now + COUNTED_EVERY } else { u64::MAX };
        self.line.take_carried(self.now);
        spectator.begins(self.moment(), saved.as_ref());
        let uptime = Span((self.now as i64 - self.boot_began).max(0) as u64);
        let boot_id = format!("5eed0000-0000-4000-8000-{:012}", self.report.boots);
        let watermark = self.wire.watermark;
        // Where the snapshot is lost, the record beside it is lost with every second.
        let taken = match memory {
            Memory::Restored => self.taken.clone(),
            Memory::Lost if self.report.lives % 2 == 1 => self.taken.clone(),
            Memory::Lost | Memory::None => None,
        };
        self.taken.clone_from(&taken);
        self.tell(
            &Observation::Started(Started { boot_id, uptime, memory, watermark, beat: None, taken }),
            spectator,
        );
        self.link = self.line.link();
        self.tell(&Observation::LinkSeen(self.link.clone()), spectator);
        self.line_changed(spectator);
        self.tell_time(clock_known, spectator);
        if !clock_known {
            self.after(TIME_SERVER, Rare::TimeServer(self.life));
        }
        self.reach_broker();
    }

    pub(super) fn tell_time(&mut self, synced: bool, spectator: &mut impl Spectator) {
        if let Some(wall) = self.true_wall() {
            let wall = Wall(wall.0 + self.clock_off);
            self.tell(&Observation::ClockSet { wall, synced }, spectator);
        }
    }
}
