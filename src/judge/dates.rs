//! Labels: what moment to print on a message, and what to call a new incident or callback.
//!
//! Decisions never look at civil time. It is only an observation that labels what is sent.

use linekeeper_contract::message::Stamp;
use linekeeper_contract::units::{LocalTime, Mono, Span, Wall};
use serde::{Deserialize, Serialize};

/// Numbers passed over when a life ended unasked.
///
/// Its last step may have called something by a number and never got that to flash; from the next step on a life knows that
/// its snapshots fail, and numbers in a series of its own. One step opens at most the twelve of the programme, eight
/// re-checks and a handful of findings.
const UNKNOWN: u64 = 32;

/// What is known of boot and civil time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dates {
    /// The present boot.
    pub boot_id: String,
    /// Our clock at that boot's beginning.
    boot_at: Mono,
    /// Civil time at one moment, and whether it is to be trusted.
    clock: Option<(Wall, Mono, bool)>,
    /// Not empty once a snapshot was lost or could not be written: keeps new ids apart from those that flash does not know.
    series: String,
    incidents: u64,
    callbacks: u64,
}

impl Dates {
    /// A new life of the process.
    pub fn started(&mut self, now: Mono, boot_id: &str, uptime: Span) {
        self.boot_id = boot_id.to_string();
        self.boot_at = now - uptime;
        self.clock = None;
    }

    /// The numbering begins anew and must not meet the old one.
    pub fn forgot(&mut self, boot_id: &str, now: Mono) {
        let mixed = super::outage::phase(boot_id) ^ now.0;
        self.series = format!("{:04x}-", (mixed ^ (mixed >> 16) ^ (mixed >> 32)) & 0xffff);
    }

    /// The last life ended unasked: what its last step opened may not be in the snapshot.
    pub fn pass_over(&mut self) {
        self.incidents = self.incidents.saturating_add(UNKNOWN);
        self.callbacks = self.callbacks.saturating_add(UNKNOWN);
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

    fn day(&self, at: Mono, offset_minutes: i16) -> String {
        match self.wall(at) {
            Some(wall) => {
                let (y, m, d) = LocalTime { wall, offset_minutes }.date();
                format!("{y:04}{m:02}{d:02}")
            }
            None => "00000000".into(),
        }
    }

    /// A new incident's id: `IN20261120-001`. The number never repeats, whatever the date does.
    pub fn incident_id(&mut self, at: Mono, offset_minutes: i16) -> String {
        self.incidents += 1;
        format!("IN{}-{}{:03}", self.day(at, offset_minutes), self.series, self.incidents)
    }

    /// A new callback's id: `CB20261120-001`.
    pub fn callback_id(&mut self, at: Mono, offset_minutes: i16) -> String {
        self.callbacks += 1;
        format!("CB{}-{}{:03}", self.day(at, offset_minutes), self.series, self.callbacks)
    }

    /// What the ids of this memory begin with, to keep event numbers apart too.
    pub fn series(&self) -> &str {
        &self.series
    }
}
