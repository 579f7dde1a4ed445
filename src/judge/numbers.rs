//! What incidents, callbacks and messages are called. No number is given twice, whatever is forgotten.

use super::clock::Clock;
use super::text::phase;
use linekeeper_contract::units::Mono;

/// Numbers passed over when a life ended unasked.
///
/// Its last step may have called something by a number and never got that to flash; from the next step on a life knows that
/// its snapshots fail, and numbers in a series of its own. One step opens at most the twelve of the programme, eight
/// re-checks and a handful of findings.
const UNKNOWN: u64 = 32;

/// The numbers that were given last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Not empty once a snapshot was lost or could not be written: keeps new ids apart from those that flash does not know.
    pub(super) series: String,
    pub(super) incidents: u64,
    pub(super) callbacks: u64,
    /// Of the last message.
    pub(super) messages: u64,
    /// Keeps message ids of one life apart from those of others.
    pub(super) memory: String,
}

impl Numbers {
    /// A new life of the process. The ids of its messages are of this life alone: the snapshot may be older than what was sent
    /// last (the flash was full), and goes on with numbers that were given then. `watermark`: up to it they surely were.
    pub fn started(&mut self, now: Mono, boot_id: &str, watermark: u64) {
        self.messages = self.messages.max(watermark);
        self.memory = format!("{:08x}", phase(&format!("{boot_id} {}", now.0)) as u32);
    }

    /// The numbering begins anew and must not meet the old one.
    pub fn forgot(&mut self, boot_id: &str, now: Mono) {
        let mixed = phase(boot_id) ^ now.0;
        self.series = format!("{:04x}-", (mixed ^ (mixed >> 16) ^ (mixed >> 32)) & 0xffff);
    }

    /// The last life ended unasked: what its last step opened may not be in the snapshot.
    pub fn pass_over(&mut self) {
        self.incidents = self.incidents.saturating_add(UNKNOWN);
        self.callbacks = self.callbacks.saturating_add(UNKNOWN);
    }

    /// A new incident's id: `IN20261120-001`. The number never repeats, whatever the date does.
    pub fn incident_id(&mut self, clock: &Clock, at: Mono, offset_minutes: i16) -> String {
        self.incidents += 1;
        format!("IN{}-{}{:03}", clock.day(at, offset_minutes), self.series, self.incidents)
    }

    /// A new callback's id: `CB20261120-001`.
    pub fn callback_id(&mut self, clock: &Clock, at: Mono, offset_minutes: i16) -> String {
        self.callbacks += 1;
        format!("CB{}-{}{:03}", clock.day(at, offset_minutes), self.series, self.callbacks)
    }
}
