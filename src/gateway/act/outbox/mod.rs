//! The queue of critical messages on flash: first in, first out, limited in bytes, and safe against a power cut.
//!
//! One append-only file of lines, each with its own checksum. A message is on flash before [`Outbox::append`] returns. The
//! line that records its delivery is not synced: if a power cut loses it, the message is only sent once more under the
//! same id.
//!
//! ```text
//! 5ab29a3c mark 0 17 2 0 0 0 0.16-17  highest place so far; given up: events, callbacks, refused, damaged; what waits
//! 1d0f6b77 put 0 18 event {…}    a message: its place (life and number), topic, content
//! 77aa0c12 done 0 18 event       the broker has it
//! 90be11d4 drop 0 19 event       it was dropped for want of room
//! 3344ff01 refused 0 20 event    the broker would not have it
//! ```
//!
//! A file written anew begins and ends with the mark, so that damage in one place leaves a copy. After damage what the
//! mark lists, or the row of numbers from it to the last that the snapshot knows, and no line speaks of is lost: it is counted,
//! unless the snapshot has it. A lost `done` sends its message once more, a lost `drop` brings its message back.
//!
//! What is certain: a message for which [`Outbox::append`] returned `Ok` is sent until the broker has it, also after a death
//! at any moment, and given up only where that is counted ([`Dropped`]). Before that it is in the snapshot of its step, and
//! stays in the next ones while it cannot be written here ([`Outbox::unwritten`]). While neither can be written a message is
//! sent from memory, and what the broker has not got when the process dies is lost without a count: flash never learned of it.
//!
//! Only one process may use it at a time; the daemon's socket guarantees that.

mod damage;
mod record;

pub use self::record::{Dropped, Place};

use self::damage::{Mentioned, gaps, take_from_missing};
use self::record::{Leaving, Record, encode_line, is_event, parse_line};
use super::durable;
use linekeeper_contract::json;
use linekeeper_contract::message::Critical;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

const FILE: &str = "outbox.log";

/// Dead bytes below which the file is not rewritten.
///
/// 16 KiB: about a dozen messages. Rewriting costs at least one flash page for each file system block that lives; a
/// smaller bound would rewrite after every third message, a larger one would keep more than the smallest permitted
/// outbox in dead lines.
const DEAD_BEFORE_REWRITE: u64 = 16 * 1024;

/// So many bytes of messages that could not be written here go with the snapshot: about a dozen. More would let the snapshot fail
/// as well on a flash that is nearly full, and it has more to remember than messages.
const CARRIED: usize = 16 * 1024;

/// The longest file that is read whole: live and dead lines of the largest outbox that can be configured (16 MB), and
/// some more. What is beyond was not written by us.
const LONGEST: u64 = 48 << 20;

#[derive(Debug)]
struct Entry {
    /// Its line in the file, checksum and line end included.
    line: Vec<u8>,
    event: bool,
    on_flash: bool,
}

/// The queue.
#[derive(Debug)]
pub struct Outbox {
    path: PathBuf,
    limit: u64,
    entries: BTreeMap<Place, Entry>,
    /// Bytes of all lines in `entries`.
    live: u64,
    /// The highest number ever put in the life that lasts.
    highest: Place,
    dropped: Dropped,
    disk: Disk,
    /// Lines about what left, to be written with the next message. Empty while the disk fails: then all is rewritten.
    owed: Vec<u8>,
    /// Writes and bytes since the start.
    wear: (u64, u64),
    new: Arc<Notify>,
}

#[derive(Debug)]
enum Disk {
    /// All is written; the file is `length` bytes long.
    Works { file: File, length: u64 },
    /// Something could not be written; the words say what.
    Fails(String),
}

impl Outbox {
    /// Opens the queue in `directory`, at most `limit` bytes of waiting messages. `known` is what the snapshot has: what died
    /// between snapshot and outbox, and what damage took from the file, is taken in from it, in the same write, so that no
    /// death can come between.
    ///
    /// Never fails: what can be read is kept, what cannot is told (one sentence each, for the log), and without a disk
    /// the queue lives in memory.
    pub fn open(directory: &Path, limit: u64, known: Known<'_>) -> (Outbox, Vec<String>) {
        let path = directory.join(FILE);
        let mut outbox = Outbox {
            path: path.clone(),
            limit,
            entries: BTreeMap::new(),
            live: 0,
            highest: Place { life: 0, number: 0 },
            dropped: Dropped::default(),
            disk: Disk::Fails("not written yet".into()),
            owed: Vec::new(),
            wear: (0, 0),
            new: Arc::new(Notify::new()),
        };
        let mut troubles = Vec::new();
        durable::clear_temporary(&path);
        let mut clean = false;
        let mut damage = None;
        let mut missing = Vec::new();
        let mut length = 0;
        match durable::read_bounded(&path, LONGEST) {
            Ok(None) => {}
            Ok(Some((content, longer))) => {
                length = content.len() as u64;
                let mut told = Mentioned::default();
                let bad = outbox.replay(&content, &mut told);
                clean = bad == 0 && !longer && content.last().is_none_or(|b| *b == b'\n');
                if !clean {
                    missing = outbox.missing(&told, known.given);
                    damage = Some((content, bad, longer));
                }
            }
            Err(e) => {
                let where_now = durable::set_aside(&path);
                troubles
                    .push(format!("{}; {where_now}", durable::words("cannot read the outbox", &path, &e)));
            }
        }
        let recovered = outbox.entries.len();
        let lost = outbox.merge_snapshot(known.messages, &mut missing, &mut troubles);
        if let Some((_, bad, longer)) = &damage {
            let trouble = format!(
                "the outbox {} was damaged: {bad} of its lines cannot be read{}, {recovered} waiting messages were \
                 recovered, {lost} are lost and counted",
                path.display(),
                if *longer { " and it is longer than an outbox gets" } else { "" },
            );
            troubles.insert(0, trouble);
        }
        // The limit may have been lowered since.
        let before = outbox.entries.len();
        outbox.make_room();
        let opened = if clean && before == outbox.entries.len() && outbox.live + DEAD_BEFORE_REWRITE >= length
        {
            outbox.open_file(length).and_then(|()| outbox.write_tail(true))
        } else {
            outbox.rewrite()
        };
        if let Err(why) = opened {
            troubles.push(format!("{why}. Until then waiting messages are kept in memory only"));
            outbox.disk = Disk::Fails(why);
        }
        // Only now: on a flash that is nearly full the messages come first.
        if let (Some((content, ..)), Some(trouble)) = (damage, troubles.first_mut()) {
            let copy = durable::copy_aside(&path, &content);
            let _ = write!(trouble, "; {copy}");
        }
        (outbox, troubles)
    }

    /// Adds messages. Those with numbers that were already put are passed over.
    ///
    /// When this returns `Ok`, all that waits survives a power cut.
    ///
    /// # Errors
    /// In words, when they are in memory only; the disk is tried again with each later call. They will be sent
    /// all the same.
    pub fn append(&mut self, messages: &[Critical]) -> Result<(), String> {
        let mut fresh = false;
        for message in messages {
            let place = Place { life: self.highest.life, number: message.number };
            if place > self.highest {
                self.put(place, message)?;
                fresh = true;
            }
        }
        if fresh {
            self.make_room();
            self.new.notify_one();
        }
        self.write_out(true)
    }

    /// Adds a message in memory; it is not on flash yet.
    fn put(&mut self, place: Place, message: &Critical) -> Result<(), String> {
        let json = json::write(message)
            .map_err(|e| format!("message {} cannot be written as JSON: {e}", message.number))?;
        let topic = message.message.topic();
        let line = encode_line(&format!("put {} {} {topic} {json}", place.life, place.number));
        self.live += line.len() as u64;
        self.highest = self.highest.max(place);
        self.entries.insert(place, Entry { line, event: is_event(topic), on_flash: false });
        Ok(())
    }

    /// The oldest messages that wait in memory only, to be kept with the snapshot: one that the snapshot had, because a death
    /// came between it and this file, must not be lost with the next snapshot while this file cannot be written.
    pub fn unwritten(&self) -> Vec<Critical> {
        let mut room = CARRIED;
        let unwritten = self.entries.iter().filter(|(_, entry)| !entry.on_flash);
        let carried = unwritten.map_while(|(place, entry)| {
            room = room.checked_sub(entry.line.len())?;
            self.get(*place)
        });
        carried.collect()
    }

    /// The message that comes next after `place`; the first one after `None`.
    pub fn after(&self, place: Option<Place>) -> Option<(Place, Critical)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = place.map_or(Unbounded, Excluded);
        // Each line was written by us or passed its checksum and was read once already.
        self.entries.range((from, Unbounded)).find_map(|(place, _)| Some((*place, self.get(*place)?)))
    }

    /// The message at `place`, if it still waits.
    pub fn get(&self, place: Place) -> Option<Critical> {
        let entry = self.entries.get(&place)?;
        match parse_line(entry.line.strip_suffix(b"\n")?)? {
            Record::Put { message, .. } => Some(*message),
            Record::Mark { .. } | Record::Left { .. } => None,
        }
    }

    /// Whether this number was given by the judge that lives now. One that was put before the snapshot was lost means
    /// nothing to it.
    pub fn is_current(&self, place: Place) -> bool {
        place.life == self.highest.life
    }

    /// Whether this message still waits.
    pub fn contains(&self, place: Place) -> bool {
        self.entries.contains_key(&place)
    }

    /// Removes a message that the broker acknowledged.
    pub fn acknowledge(&mut self, place: Place) {
        self.remove(place, Leaving::Delivered);
    }

    /// Gives up a message that the broker refuses, and counts it.
    pub fn give_up(&mut self, place: Place) {
        self.remove(place, Leaving::Refused);
    }

    /// Tries the disk again, if it failed. For a slow timer; harmless otherwise.
    ///
    /// # Errors
    /// As [`Outbox::append`].
    pub fn retry(&mut self) -> Result<(), String> {
        self.write_out(true)
    }

    /// What is wrong with the disk, in words; `None`: all that waits is on flash.
    pub fn trouble(&self) -> Option<&str> {
        match &self.disk {
            Disk::Works { .. } => None,
            Disk::Fails(why) => Some(why),
        }
    }

    /// Waiting messages.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of the waiting messages, as they count against the limit.
    pub fn bytes(&self) -> u64 {
        self.live
    }

    /// What was given up since the outbox was created; kept over restarts.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// The highest number ever put in the life that lasts.
    pub fn highest_number(&self) -> u64 {
        self.highest.number
    }

    /// How often and how many bytes were written since the start: flash wears.
    pub fn wear(&self) -> (u64, u64) {
        self.wear
    }

    /// Is notified when a message was added.
    pub fn new_messages(&self) -> Arc<Notify> {
        Arc::clone(&self.new)
    }

    fn remove(&mut self, place: Place, how: Leaving) {
        let Some(entry) = self.entries.remove(&place) else { return };
        self.live -= entry.line.len() as u64;
        match (how, entry.event) {
            (Leaving::Delivered, _) => {}
            (Leaving::Refused, _) => add(&mut self.dropped.refused),
            (Leaving::Dropped, true) => add(&mut self.dropped.events),
            (Leaving::Dropped, false) => add(&mut self.dropped.callbacks),
        }
        let word = match how {
            Leaving::Delivered => "done",
            Leaving::Dropped => "drop",
            Leaving::Refused => "refused",
        };
        let class = if entry.event { "event" } else { "callback" };
        self.queue_line(encode_line(&format!("{word} {} {} {class}", place.life, place.number)));
        if how != Leaving::Dropped && self.trouble().is_none() {
            let _ = self.write_out(false);
        }
    }

    fn queue_line(&mut self, line: Vec<u8>) {
        if self.trouble().is_none() {
            self.owed.extend(line);
        }
    }

    fn mark(&self) -> Vec<u8> {
        let Place { life, number } = self.highest;
        let Dropped { events, callbacks, refused, damaged } = self.dropped;
        let mut runs: Vec<(Place, Place)> = Vec::new();
        for place in self.entries.keys() {
            match runs.last_mut() {
                Some((_, last)) if last.next() == Some(*place) => *last = *place,
                _ => runs.push((*place, *place)),
            }
        }
        let runs: Vec<String> = runs
            .iter()
            .map(|(first, last)| format!("{}.{}-{}", first.life, first.number, last.number))
            .collect();
        let waits = if runs.is_empty() { "-".to_owned() } else { runs.join(",") };
        encode_line(&format!("mark {life} {number} {events} {callbacks} {refused} {damaged} {waits}"))
    }

    /// The ranges of places that damage removed from the file. The judge has assigned numbers up to `given`.
    fn missing(&mut self, told: &Mentioned, given: u64) -> Vec<(Place, Place)> {
        let mut missing = Vec::new();
        for (first, last) in &told.waited {
            gaps(&told.seen, *first, *last, &mut missing);
        }
        let life = self.highest.life;
        let first = match told.mark {
            Some(mark) if mark.life == life => mark.next(),
            Some(_) => Some(Place { life, number: 1 }),
            // Without a mark only what lies between two lines can be told.
            None => told.seen.range(Place { life, number: 0 }..).next().copied(),
        };
        let Some(first) = first else { return missing };
        // Lines at the end may be gone with all that spoke of them.
        self.highest.number = self.highest.number.max(given);
        gaps(&told.seen, first, self.highest, &mut missing);
        missing
    }

    /// Adds messages that only the snapshot has, and counts those that neither has. Returns that count.
    fn merge_snapshot(
        &mut self,
        messages: &[Critical],
        missing: &mut Vec<(Place, Place)>,
        troubles: &mut Vec<String>,
    ) -> u64 {
        for message in messages {
            let place = Place { life: self.highest.life, number: message.number };
            if (take_from_missing(missing, place) || place > self.highest)
                && let Err(why) = self.put(place, message)
            {
                troubles.push(why);
            }
        }
        let lost = missing.iter().fold(0, |sum: u64, (first, last)| {
            sum.saturating_add(last.number - first.number).saturating_add(1)
        });
        self.dropped.damaged = self.dropped.damaged.saturating_add(lost);
        lost
    }

    /// Drops messages until the limit is met: the oldest event first, callbacks only when no event is left.
    fn make_room(&mut self) {
        while self.live > self.limit {
            let oldest_event = self.entries.iter().find(|(_, e)| e.event).map(|(p, _)| *p);
            let Some(place) = oldest_event.or_else(|| self.entries.keys().next().copied()) else { return };
            tracing::warn!(
                "the outbox is full: message {} is dropped; raise store.outbox or look why the broker is not reached",
                place.number
            );
            self.remove(place, Leaving::Dropped);
        }
    }

    /// Writes what is not on flash yet: owed lines and new messages, in one write.
    fn write_out(&mut self, durably: bool) -> Result<(), String> {
        let failed_before = self.trouble().map(str::to_owned);
        let outcome = if failed_before.is_some() {
            // Whether the tail of the file is whole is not known: only a rewrite makes it so.
            self.rewrite()
        } else {
            self.write_tail(durably)
        };
        self.record_outcome(outcome, failed_before)
    }

    /// What follows from an attempt to write.
    fn record_outcome(
        &mut self,
        outcome: Result<(), String>,
        failed_before: Option<String>,
    ) -> Result<(), String> {
        match (outcome, failed_before) {
            (Ok(()), Some(_)) => {
                tracing::info!("the outbox {} can be written again", self.path.display());
                Ok(())
            }
            (Ok(()), None) => Ok(()),
            (Err(why), before) => {
                let why = format!("{why}. {} messages wait in memory only", self.entries.len());
                if before.is_none() {
                    tracing::warn!("{why}");
                }
                self.disk = Disk::Fails(why.clone());
                self.owed.clear();
                Err(why)
            }
        }
    }

    fn write_tail(&mut self, durably: bool) -> Result<(), String> {
        let Disk::Works { file, length } = &mut self.disk else {
            return Err("the outbox is not open".into());
        };
        let mut tail = std::mem::take(&mut self.owed);
        // New messages are at the end, so the search from there ends at the first that is on flash.
        let first_new =
            self.entries.iter().rev().take_while(|(_, e)| !e.on_flash).last().map(|(place, _)| *place);
        if let Some(first) = first_new {
            for entry in self.entries.range_mut(first..).map(|(_, e)| e) {
                tail.extend_from_slice(&entry.line);
            }
        }
        if tail.is_empty() {
            return Ok(());
        }
        let written = file
            .seek(SeekFrom::Start(*length))
            .and_then(|_| file.write_all(&tail))
            .and_then(|()| if durably { file.sync_data() } else { Ok(()) });
        if let Err(e) = written {
            // Everything not known to be on flash is written anew; a dead line too many does no harm.
            let _ = file.set_len(*length);
            return Err(durable::words("cannot write the outbox", &self.path, &e));
        }
        *length += tail.len() as u64;
        self.wear.0 += 1;
        self.wear.1 += tail.len() as u64;
        let dead = length.saturating_sub(self.live);
        let half = *length / 2;
        if let Some(first) = first_new {
            self.entries.range_mut(first..).for_each(|(_, e)| e.on_flash = true);
        }
        if dead > DEAD_BEFORE_REWRITE && dead > half {
            // All is written already; that the file stays long is no trouble to anyone but the disk.
            if let Err(why) = self.rewrite() {
                tracing::debug!("the outbox was not shortened: {why}");
            }
        }
        Ok(())
    }

    /// Writes the whole file anew between two marks: they hold what must survive although no message does.
    fn rewrite(&mut self) -> Result<(), String> {
        let mut content = self.mark();
        for entry in self.entries.values() {
            content.extend_from_slice(&entry.line);
        }
        content.extend(self.mark());
        let file = durable::replace(&self.path, &content)?;
        self.owed.clear();
        self.entries.values_mut().for_each(|e| e.on_flash = true);
        self.wear.0 += 1;
        self.wear.1 += content.len() as u64;
        self.disk = Disk::Works { file, length: content.len() as u64 };
        Ok(())
    }

    /// Goes on with a file that was read whole.
    fn open_file(&mut self, length: u64) -> Result<(), String> {
        match File::options().read(true).write(true).open(&self.path) {
            Ok(file) => {
                self.disk = Disk::Works { file, length };
                Ok(())
            }
            Err(e) => Err(durable::words("cannot write the outbox", &self.path, &e)),
        }
    }

    /// Takes in what the file says; returns how many lines it could not read.
    fn replay(&mut self, content: &[u8], told: &mut Mentioned) -> usize {
        let mut bad = 0;
        let content = content.strip_suffix(b"\n").unwrap_or(content);
        if content.is_empty() {
            return 0;
        }
        for text in content.split(|b| *b == b'\n') {
            let Some(record) = parse_line(text) else {
                bad += 1;
                continue;
            };
            let (Record::Mark { place, .. } | Record::Put { place, .. } | Record::Left { place, .. }) =
                record;
            self.highest = self.highest.max(place);
            if !matches!(record, Record::Mark { .. }) {
                told.seen.insert(place);
            }
            match record {
                Record::Mark { dropped, waited, .. } => {
                    self.dropped = dropped;
                    told.mark = Some(place);
                    told.waited = waited;
                }
                Record::Put { event, .. } => {
                    let mut line = text.to_vec();
                    line.push(b'\n');
                    self.live += line.len() as u64;
                    if let Some(twice) = self.entries.insert(place, Entry { line, event, on_flash: true }) {
                        self.live -= twice.line.len() as u64;
                    }
                }
                Record::Left { how, event, .. } => {
                    if let Some(entry) = self.entries.remove(&place) {
                        self.live -= entry.line.len() as u64;
                    }
                    match (how, event) {
                        (Leaving::Delivered, _) => {}
                        (Leaving::Refused, _) => add(&mut self.dropped.refused),
                        (Leaving::Dropped, true) => add(&mut self.dropped.events),
                        (Leaving::Dropped, false) => add(&mut self.dropped.callbacks),
                    }
                }
            }
        }
        bad
    }
}

/// What the snapshot has of the messages: the last number that the judge gave, and those of the step that it was made in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// 0 if there is no snapshot.
    pub given: u64,
    /// In the order of their numbers.
    pub messages: &'a [Critical],
}

/// Counts one more.
fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// Locks the outbox. The daemon has one thread, and a panic ends it: a poisoned lock does not occur.
pub(crate) fn lock(outbox: &Mutex<Outbox>) -> MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}
