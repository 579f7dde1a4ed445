//! Labels: what moment to print on a message.
//!
//! Decisions never look at civil time. It is only an observation that labels what is sent.

use linekeeper_contract::message::Stamp;
use linekeeper_contract::units::{LocalTime, Mono, Span, Wall};

/// What is known of boot and civil time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clock {
    /// The present boot.
    pub boot_id: String,
    /// Our clock at that boot's beginning.
    pub(super) boot_at: Mono,
    /// Civil time at one moment, and whether it is to be trusted.
    pub(super) clock: Option<(Wall, Mono, bool)>,
}

impl Clock {
    /// A new life of the process.
    pub fn started(&mut self, now: Mono, boot_id: &str, uptime: Span) {
        self.boot_id = boot_id.to_string();
        self.boot_at = now - uptime;
        self.clock = None;
    }

    /// Civil time became known.
    pub fn set(&mut self, now: Mono, wall: Wall, synced: bool) {
        self.clock = Some((wall, now, synced));
    }

    /// Whether civil time can be trusted.
    pub fn synced(&self) -> bool {
        self.clock.is_some_and(|(_, _, synced)| synced)
    }

    /// Civil time at a moment of the present boot, if it is to be trusted.
    pub fn trusted(&self, at: Mono) -> Option<Wall> {
        if self.synced() { self.wall(at) } else { None }
    }

    /// The label of a moment of the present boot.
    pub fn stamp(&self, at: Mono, offset_minutes: i16) -> Stamp {
        Stamp {
            wall: self.wall(at).map(|wall| LocalTime { wall, offset_minutes }),
            synced: self.synced(),
            boot_id: self.boot_id.clone(),
            uptime_ms: at.since(self.boot_at).0,
        }
    }

    /// Mends a label that was made in this boot before the clock was set.
    pub fn mend(&self, stamp: &mut Stamp, offset_minutes: i16) {
        if !stamp.synced && stamp.boot_id == self.boot_id && self.clock.is_some() {
            *stamp = self.stamp(self.boot_at + Span(stamp.uptime_ms), offset_minutes);
        }
    }

    fn wall(&self, at: Mono) -> Option<Wall> {
        let (wall, then, _) = self.clock?;
        let ahead = i128::from(at.0) - i128::from(then.0);
        let ahead = ahead.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        Some(Wall(wall.0.saturating_add(ahead)))
    }

    /// Our own clock at a civil time; `None` while civil time is not known, or for one before our clock began.
    pub fn at(&self, wall: Wall) -> Option<Mono> {
        let (known, then, _) = self.clock?;
        let at = i128::from(then.0) + i128::from(wall.0) - i128::from(known.0);
        Some(Mono(u64::try_from(at.max(0)).unwrap_or(u64::MAX)))
    }

    /// The day of a moment, as ids write it: `20261120`.
    pub fn day(&self, at: Mono, offset_minutes: i16) -> String {
        match self.wall(at) {
            Some(wall) => {
                let (y, m, d) = LocalTime { wall, offset_minutes }.date();
                format!("{y:04}{m:02}{d:02}")
            }
            None => "00000000".into(),
        }
    }
}
