//! How the last run of the process ended: a crash, a restart, a reboot by us or by others, or a power cut; and how long the
//! line was unobserved.
//!
//! | the kernel's boot | what came before | it was |
//! |---|---|---|
//! | the same | a request to stop | `restarted` |
//! | the same | nothing | `crashed`: the process died |
//! | another | our own remedy `reboot` was running | `rebooted_by_us` |
//! | another | a request to stop | `rebooted`: somebody ordered it |
//! | another | nothing | `power_cut` |
//!
//! A kernel crash and a watchdog reset leave as little trace as a power cut, and count as one: neither is the line's
//! fault.
//!
//! The end of the last run is known from the snapshot, which is written to flash at least every [`SAVE_EVERY`], and within
//! the same boot from the heartbeat in memory ([`crate::observation::Beat`]). So the downtime after a crash is known to
//! within [`BEAT_EVERY`], and after a power cut, once the clock is set, to within [`SAVE_EVERY`]. A finer resolution would
//! wear out flash: twelve writes a day are half of what is allowed for everything.

use super::ledger::Ledger;
use crate::observation::{Beat, Charge, Memory};
use linekeeper_contract::units::{Mono, Span, Wall};
use serde::{Deserialize, Serialize};

/// How often the snapshot is stored when nothing happens: what a power cut may cost is three hours of the budgets'
/// window, for eight flash writes a day of a page each.
pub const SAVE_EVERY: Span = Span::hours(3);
/// How often the heartbeat is written to memory. One minute: a crash is known to that, and a file of a hundred bytes on
/// a tmpfs costs nothing that could be measured.
pub const BEAT_EVERY: Span = Span::minutes(1);
/// A gateway that was off for longer was in storage, or a clock was wrong: that time is not charged.
const AWAY_MOST: Span = Span::days(366);

/// How the last run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// No earlier run is remembered.
    NotKnown,
    /// It was asked to stop, and was started again in the same boot.
    Restarted,
    /// The process died by itself or was killed.
    Crashed,
    /// Our own remedy.
    RebootedByUs,
    /// The gateway was rebooted in order, by somebody else.
    Rebooted,
    /// The gateway lost its power (or its kernel crashed).
    PowerCut,
}

impl Ending {
    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Ending::NotKnown => "not_known",
            Ending::Restarted => "restarted",
            Ending::Crashed => "crashed",
            Ending::RebootedByUs => "rebooted_by_us",
            Ending::Rebooted => "rebooted",
            Ending::PowerCut => "power_cut",
        }
    }

    /// What the log and people are told.
    pub const fn words(self) -> &'static str {
        match self {
            Ending::NotKnown => "nothing is known of the last life",
            Ending::Restarted => "the service was restarted",
            Ending::Crashed => "the process died unasked",
            Ending::RebootedByUs => "the gateway was rebooted by us",
            Ending::Rebooted => "the gateway was rebooted in order, not by us",
            Ending::PowerCut => "the gateway lost its power without warning",
        }
    }

    const fn charge(self) -> Charge {
        match self {
            Ending::RebootedByUs => Charge::Remedies,
            Ending::PowerCut => Charge::Power,
            Ending::NotKnown | Ending::Restarted | Ending::Crashed | Ending::Rebooted => Charge::Unknown,
        }
    }
}

/// How the present life began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// How the last one ended.
    pub how: Ending,
    /// Nobody watched for at least so long, milliseconds.
    pub away_least_ms: u64,
    /// And for at most so long; absent while that is not known: after a boot, until the clock is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_most_ms: Option<u64>,
}

/// How often lives ended unasked, since the memory began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unasked {
    /// Of this program alone.
    pub crashes: u32,
    /// Of the gateway.
    pub power_cuts: u32,
}

/// What is remembered of lives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lives {
    /// This life was asked to end.
    stopping: bool,
    /// How often lives ended unasked.
    #[serde(default)]
    pub unasked: Unasked,
    /// How this life began.
    pub beginning: Option<Beginning>,
    /// Another boot: when the last life was surely alive, in civil time, and when this boot began.
    waits: Option<(Wall, Mono)>,
}

/// What a new life knows of the last.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// What was found on flash.
    pub memory: Memory,
    /// The kernel booted since.
    pub rebooted: bool,
    /// A remedy `reboot` was in course.
    pub by_us: bool,
    /// When the snapshot was made.
    pub saved: Mono,
    /// How long the kernel has been up.
    pub uptime: Span,
    /// The heartbeat of the same boot.
    pub beat: Option<&'a Beat>,
    /// In which local days are counted.
    pub offset_minutes: i16,
}

impl Lives {
    /// Asked to end.
    pub fn stopping(&mut self) {
        self.stopping = true;
    }

    /// Whether the last life was asked to end, as far as the snapshot knows; to be asked before [`Lives::started`].
    pub fn asked_to_end(&self) -> bool {
        self.stopping
    }

    /// A new life: charges what lies between, and says how the last ended.
    pub fn started(&mut self, now: Mono, found: Found<'_>, ledger: &mut Ledger) -> Beginning {
        let asked = std::mem::take(&mut self.stopping);
        let Found { memory, rebooted, by_us, saved, uptime, beat, offset_minutes } = found;
        ledger.open(now);
        self.waits = None;
        let how = match (memory, rebooted, by_us, asked) {
            (Memory::None | Memory::Lost, ..) => Ending::NotKnown,
            (Memory::Restored, false, _, true) => Ending::Restarted,
            (Memory::Restored, false, _, false) => Ending::Crashed,
            (Memory::Restored, true, true, _) => Ending::RebootedByUs,
            (Memory::Restored, true, false, true) => Ending::Rebooted,
            (Memory::Restored, true, false, false) => Ending::PowerCut,
        };
        match how {
            Ending::Crashed => self.unasked.crashes = self.unasked.crashes.saturating_add(1),
            Ending::PowerCut => self.unasked.power_cuts = self.unasked.power_cuts.saturating_add(1),
            Ending::NotKnown | Ending::Restarted | Ending::RebootedByUs | Ending::Rebooted => {}
        }
        let mut lived = saved.min(now);
        if let (Ending::Crashed, Some(beat)) = (how, beat) {
            // What stood at the last heartbeat stood since then; between it and the snapshot nothing is remembered.
            let beaten = beat.at.clamp(lived, now);
            if beat.since > lived {
                ledger.charge(lived, Charge::Unknown, offset_minutes);
            }
            ledger.charge(beat.since.clamp(lived, beaten), beat.charge, offset_minutes);
            lived = beaten;
        }
        ledger.charge(lived, how.charge(), offset_minutes);
        // From now on this life watches, and knows nothing yet.
        ledger.charge(now, Charge::Unknown, offset_minutes);
        let gone = now.since(lived).0;
        let (least, most) = match how {
            Ending::NotKnown => (0, None),
            Ending::Restarted => (gone, Some(gone)),
            Ending::Crashed => {
                let doubt = if beat.is_some() { BEAT_EVERY } else { SAVE_EVERY };
                (gone.saturating_sub(doubt.0), Some(gone))
            }
            Ending::RebootedByUs | Ending::Rebooted | Ending::PowerCut => {
                let booted = now - uptime;
                self.waits = ledger.wall(saved).map(|wall| (wall, booted));
                (now.since(booted).0, None)
            }
        };
        let beginning = Beginning { how, away_least_ms: least, away_most_ms: most };
        self.beginning = Some(beginning);
        beginning
    }

    /// Civil time is known: so is for how long the gateway was off. Says so, the first time.
    pub fn set(
        &mut self,
        now: Mono,
        wall: Wall,
        offset_minutes: i16,
        ledger: &mut Ledger,
    ) -> Option<Beginning> {
        let (lived, booted) = self.waits.take()?;
        let beginning = self.beginning.as_mut()?;
        let booted_at = i128::from(wall.0) - i128::from(now.since(booted).0);
        let off = u64::try_from(booted_at - i128::from(lived.0)).unwrap_or(0);
        if off > AWAY_MOST.0 {
            return None;
        }
        // Had it lived for longer than this after its last snapshot, there would be another one.
        let doubt = if beginning.how == Ending::PowerCut { SAVE_EVERY.0.min(off) } else { 0 };
        let sure = off - doubt;
        ledger.away(lived, Span(doubt), Span(sure), beginning.how.charge(), offset_minutes);
        let boot = beginning.away_least_ms;
        beginning.away_least_ms = boot.saturating_add(sure);
        beginning.away_most_ms = Some(boot.saturating_add(off));
        Some(*beginning)
    }
}
