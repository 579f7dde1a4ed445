//! The lines of the outbox's file: how they are written, and how they are read back.

use crate::act::durable;
use linekeeper_contract::json;
use linekeeper_contract::message::Critical;

/// Where a message stands in the order of this device.
///
/// Numbers rise over the device's life; when the snapshot that counts them is lost, a new life begins and they start
/// again, behind what still waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// How often the numbers began anew.
    pub life: u32,
    /// [`Critical::number`].
    pub number: u64,
}

impl Place {
    pub(super) fn next(self) -> Option<Place> {
        Some(Place { number: self.number.checked_add(1)?, ..self })
    }
}

/// What was given up, since the outbox was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Events and command results, for want of room.
    pub events: u64,
    /// Callbacks, for want of room.
    pub callbacks: u64,
    /// Messages that the broker would not take.
    pub refused: u64,
    /// Messages whose lines in the file could not be read any more. One that had been delivered is among them only when the
    /// line that said so is lost too, or when flash never learned of it at all: where lines are gone at the end, the numbers
    /// that only memory had are gone alike.
    pub damaged: u64,
}

/// Why a message leaves the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    Delivered,
    Dropped,
    Refused,
}

/// What a line says.
pub(super) enum Record {
    Mark { place: Place, dropped: Dropped, waited: Vec<(Place, Place)> },
    Put { place: Place, event: bool, message: Box<Critical> },
    Left { place: Place, how: Leaving, event: bool },
}

/// What goes before a callback goes.
pub(super) fn is_event(topic: &str) -> bool {
    topic != "callback"
}

/// A line with its checksum and its end.
pub(super) fn encode_line(body: &str) -> Vec<u8> {
    format!("{:08x} {body}\n", durable::crc32(body.as_bytes())).into_bytes()
}

/// Reads what a mark says of the waiting messages.
pub(super) fn parse_runs(text: &str) -> Option<Vec<(Place, Place)>> {
    if text == "-" {
        return Some(Vec::new());
    }
    let row = |text: &str| {
        let (life, numbers) = text.split_once('.')?;
        let (first, last) = numbers.split_once('-')?;
        let life = life.parse().ok()?;
        let place = |number: &str| Some(Place { life, number: number.parse().ok()? });
        Some((place(first)?, place(last)?))
    };
    text.split(',').map(row).collect()
}

/// Reads a line without its end; `None` if it is not exactly one of ours.
pub(super) fn parse_line(text: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(text).ok()?;
    let (sum, body) = text.split_once(' ')?;
    // Compared as text, so that nothing but what we wrote is taken.
    if sum != format!("{:08x}", durable::crc32(body.as_bytes())) {
        return None;
    }
    let mut words = body.splitn(4, ' ');
    let word = words.next()?;
    let place = Place { life: words.next()?.parse().ok()?, number: words.next()?.parse().ok()? };
    let rest = words.next()?;
    let left = |how| Some(Record::Left { place, how, event: is_event(rest) });
    match word {
        "put" => {
            let (topic, json) = rest.split_once(' ')?;
            let message = Box::new(json::read(json.as_bytes()).ok()?);
            Some(Record::Put { place, event: is_event(topic), message })
        }
        "mark" => {
            let mut words = rest.split(' ');
            let mut next = || words.next()?.parse().ok();
            let dropped = Dropped { events: next()?, callbacks: next()?, refused: next()?, damaged: next()? };
            Some(Record::Mark { place, dropped, waited: parse_runs(words.next()?)? })
        }
        "done" => left(Leaving::Delivered),
        "drop" => left(Leaving::Dropped),
        "refused" => left(Leaving::Refused),
        _ => None,
    }
}
