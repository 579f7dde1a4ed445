//! The clock as messages are labelled by it.

use crate::act::mqtt;
use crate::clock::Clock;
use linekeeper_contract::message::Stamp;
use linekeeper_contract::units::{LocalTime, Mono, Wall};

/// The clock as messages are labelled by it.
pub(super) struct Labels {
    pub(super) clock: Clock,
    pub(super) offset_minutes: i16,
}

impl mqtt::Clock for Labels {
    fn now(&self) -> Mono {
        self.clock.now()
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            wall: Some(LocalTime { wall: self.clock.wall(), offset_minutes: self.offset_minutes }),
            synced: self.clock.synced(),
            boot_id: self.clock.boot_id().to_string(),
            uptime_ms: self.clock.uptime().0,
        }
    }

    fn boot_at(&self) -> Option<Wall> {
        let boot_at = self.clock.wall().0.saturating_sub_unsigned(self.clock.uptime().0);
        self.clock.synced().then_some(Wall(boot_at))
    }
}
