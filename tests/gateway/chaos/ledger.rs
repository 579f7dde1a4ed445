//! The books: what the judge said, what of it lay on flash at each death, what came.
//!
//! Reads the outbox's file by itself, not by the outbox's code.

use super::outbox_file;
use super::way::Heard;
use linekeeper::act::outbox::Dropped;
use linekeeper::act::store;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A message's content as a number; that it came late is not content.
pub fn sum(message: &Value) -> u32 {
    let mut message = message.clone();
    if let Some(fields) = message.as_object_mut() {
        fields.remove("late");
    }
    crc32fast::hash(message.to_string().as_bytes())
}

/// Life of the numbers, and number.
type Place = (u32, u64);

/// One message that was said.
#[derive(Debug)]
struct Said {
    /// Its place in the order in which the judge said them.
    order: usize,
    callback: bool,
    sum: u32,
    /// The outbox had it on flash, by its own word or as found there.
    kept: bool,
    /// Only memory had it when the process was killed.
    gone: bool,
    /// Its line was damaged while nothing else had it.
    spoiled: bool,
}

/// The books of one round.
#[derive(Debug, Default)]
pub struct Ledger {
    said: BTreeMap<String, Said>,
    /// What ever had a line in the file.
    written: BTreeSet<Place>,
    /// What the outbox must count as damaged.
    damaged: BTreeSet<Place>,
    /// Numbers that were given and of which flash never learned, where lines are gone: the outbox may count them too.
    unknown: BTreeSet<Place>,
}

/// What they say in the end.
#[derive(Debug, Default)]
pub struct Books {
    pub came: u64,
    pub repeated: u64,
    pub dropped: u64,
    pub damaged: u64,
}

impl Ledger {
    /// Takes in a line of the agent.
    pub fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let ["put", _, topic, kept, sum, id] = words[..] else { panic!("the agent says {line:?}") };
        let kept = kept == "flash";
        if kept {
            // The outbox's word: all that waits is on flash.
            self.said.values_mut().filter(|s| !s.gone).for_each(|s| s.kept = true);
        }
        self.insert(id, topic == "callback", u32::from_str_radix(sum, 16).unwrap(), kept);
    }

    fn insert(&mut self, id: &str, callback: bool, sum: u32, kept: bool) {
        let order = self.said.len();
        let said = self.said.entry(id.to_owned()).or_insert(Said {
            order,
            callback,
            sum,
            kept,
            gone: false,
            spoiled: false,
        });
        assert_eq!(said.sum, sum, "{id} was said twice with different contents");
        said.kept |= kept;
    }

    /// Different messages that were said and are not gone with a process.
    pub fn said(&self) -> usize {
        self.said.values().filter(|s| !s.gone).count()
    }

    /// The agent is dead: what lies on flash is known from now on, and what only memory had is gone. Says how many.
    pub fn died(&mut self, home: &Path, came: &[Heard]) -> u64 {
        let file = File::read(home);
        let (_, snapshot) = snapshot(home);
        self.written.extend(file.put.keys());
        let live = file.live();
        let waits = live.values().map(|m| (*m, true));
        // What the snapshot has is safe as long as that is the last one, and in the outbox if that can be written then.
        let on_flash: Vec<(&Value, bool)> = waits.chain(snapshot.values().map(|m| (m, false))).collect();
        let mut ids = BTreeSet::new();
        for (message, kept) in on_flash {
            let id = id_of(message);
            ids.insert(id.to_owned());
            self.insert(id, message["callback_id"].is_string(), sum(message), kept);
        }
        ids.extend(came.iter().map(|h| h.id().to_owned()));
        let mut gone = 0;
        for (id, said) in &mut self.said {
            if !said.kept && !said.gone && !ids.contains(id) {
                said.gone = true;
                gone += 1;
            }
        }
        gone
    }

    /// Changes some bytes of the outbox's file, and works out what is lost by it. One of the marks is spared: without both
    /// the counts begin anew.
    pub fn damage(&mut self, home: &Path, random: &mut fastrand::Rng) -> Option<String> {
        let whole = fs::read(outbox_file(home)).ok().filter(|c| !c.is_empty())?;
        let before = File::parse(&whole);
        let (given, kept) = snapshot(home);
        for _ in 0..20 {
            let mut content = whole.clone();
            let mut hit = Vec::new();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..content.len());
                content[at] ^= random.u8(1..);
                hit.push(at);
            }
            let after = File::parse(&content);
            if before.marks > 0 && after.marks == 0 {
                continue;
            }
            let live = before.live();
            let mut lost = Vec::new();
            // Beyond that nothing tells that there was anything: the snapshot is an old one. (Nor that there was what an
            // earlier damage took, if no life could write its count since.)
            let last = after.last.max((after.life, given));
            self.damaged.retain(|place| *place <= last);
            for place in before.put.keys() {
                let speaks = after.put.contains_key(place) || after.left.contains(place);
                let known = place.0 == before.life && kept.contains_key(&place.1);
                if !speaks && !known {
                    if *place <= last {
                        self.damaged.insert(*place);
                    }
                    if let Some(message) = live.get(place) {
                        self.said.get_mut(id_of(message)).expect("found at the death").spoiled = true;
                        lost.push(place.1);
                    }
                }
            }
            fs::write(outbox_file(home), content).unwrap();
            return Some(format!("outbox damaged at {hit:?} of {}: {lost:?} are lost", whole.len()));
        }
        None
    }

    /// Before the next life begins: which numbers it will miss, if lines of the file are gone. One whose line was damaged
    /// and told by another to be delivered may have lost that one too now; and there are those of which flash never learned.
    pub fn begins(&mut self, home: &Path) {
        let file = File::read(home);
        if file.bad == 0 || file.last.1 == 0 {
            return;
        }
        let (given, kept) = snapshot(home);
        let last = file.last.max((file.life, given));
        for number in file.marked.1 + 1..=last.1 {
            let place = (file.life, number);
            let speaks = file.put.contains_key(&place) || file.left.contains(&place);
            if !speaks && !kept.contains_key(&number) {
                let books = if self.written.contains(&place) { &mut self.damaged } else { &mut self.unknown };
                books.insert(place);
            }
        }
    }

    /// Holds what came against what was said, and what is missing against what was counted. `full`: the flash was full for
    /// a while.
    pub fn make_up(&mut self, came: &[Heard], counted: Dropped, full: bool) -> Books {
        let mut books = Books::default();
        let mut first: BTreeMap<&str, &Heard> = BTreeMap::new();
        let mut things: BTreeMap<&str, (&Value, &str)> = BTreeMap::new();
        let mut opened: BTreeMap<&str, &str> = BTreeMap::new();
        let mut last = None;
        for heard in came.iter().filter(|h| h.is_critical()) {
            let id = heard.id();
            if let Some(earlier) = first.get(id) {
                assert_eq!(sum(&earlier.body), sum(&heard.body), "{id} came with two contents");
                books.repeated += 1;
                continue;
            }
            first.insert(id, heard);
            books.came += 1;
            // One name is one thing: all that is said of a callback or an incident is of what was opened at one moment.
            let callback = heard.body["callback_id"].as_str().map(|name| (name, &heard.body["opened"]));
            let incident = &heard.body["incident"];
            let incident = incident["id"].as_str().map(|name| (name, &incident["opened"]));
            for (name, opened) in callback.into_iter().chain(incident) {
                let (before, by) = *things.entry(name).or_insert((opened, id));
                assert_eq!(before, opened, "{name} is two things, by {by} and by {id}");
            }
            // And it is asked for once: what comes after that is a revision, and says so.
            if let Some((name, _)) = callback
                && id.ends_with(name)
            {
                let by = opened.insert(name, id);
                assert_eq!(by, None, "callback {name} was opened by two messages, the second is {id}");
            }
            // One that was said and sent in the last moment of a life is in no book.
            let Some(said) = self.said.get(id) else { continue };
            assert_eq!(said.sum, sum(&heard.body), "{id} was said with another content");
            assert!(last < Some(said.order), "{id} came behind one that was said after it");
            last = Some(said.order);
        }
        let missing: Vec<(&String, &Said)> =
            self.said.iter().filter(|(id, _)| !first.contains_key(id.as_str())).collect();
        let dropped: Vec<_> = missing.iter().filter(|(_, s)| !s.gone && !s.spoiled).collect();
        let callbacks = dropped.iter().filter(|(_, s)| s.callback).count() as u64;
        let events = dropped.len() as u64 - callbacks;
        books.dropped = dropped.len() as u64;
        assert_eq!(
            (counted.events, counted.callbacks, counted.refused),
            (events, callbacks, 0),
            "events, callbacks and refused as counted, and as missing: {dropped:?}"
        );
        let (least, most) = (self.damaged.len(), self.damaged.len() + self.unknown.len());
        books.damaged = missing.iter().filter(|(_, s)| s.spoiled).count() as u64;
        assert!(full || self.unknown.is_empty(), "flash learned of everything but {:?}", self.unknown);
        assert!(
            (least as u64..=most as u64).contains(&counted.damaged),
            "{} counted as damaged; {:?} are, and {:?} may be; missing: {missing:?}",
            counted.damaged,
            self.damaged,
            self.unknown
        );
        books
    }
}

/// Cuts the file somewhere within the last write, as a power cut does. `None`: nothing of it is left to cut.
pub fn tear(home: &Path, random: &mut fastrand::Rng) -> Option<String> {
    let content = fs::read(outbox_file(home)).ok()?;
    // What the snapshot carries was being written when it was taken: of that, the last line.
    let (_, kept) = snapshot(home);
    let mut durable = content.iter().position(|b| *b == b'\n')? + 1;
    let mut end = 0;
    for line in content.split_inclusive(|b| *b == b'\n') {
        let begin = end;
        end += line.len();
        let place = match Line::parse(line.strip_suffix(b"\n").unwrap_or(line)) {
            Some(Line::Put(place, _) | Line::Dropped(place)) => place,
            _ => continue,
        };
        durable = if kept.contains_key(&place.1) { durable.max(begin) } else { end };
    }
    if durable >= content.len() {
        return None;
    }
    let at = random.usize(durable..content.len());
    fs::write(outbox_file(home), &content[..at]).unwrap();
    Some(format!("outbox torn at {at} of {}", content.len()))
}

fn id_of(message: &Value) -> &str {
    message["id"].as_str().expect("each message has an id")
}

/// The number that the snapshot was given last, and the messages that it carries by their numbers.
fn snapshot(home: &Path) -> (u64, BTreeMap<u64, Value>) {
    let Some(kept) = store::look(home) else { return (0, BTreeMap::new()) };
    let messages = kept.messages.iter().map(|m| (m.number, serde_json::to_value(&m.message).unwrap()));
    (kept.judge["state"]["messages"].as_u64().unwrap(), messages.collect())
}

enum Line {
    Mark(Place),
    Put(Place, Value),
    Dropped(Place),
    Left(Place),
}

impl Line {
    fn parse(text: &[u8]) -> Option<Line> {
        let text = std::str::from_utf8(text).ok()?;
        let (sum, body) = text.split_once(' ')?;
        if sum != format!("{:08x}", crc32fast::hash(body.as_bytes())) {
            return None;
        }
        let words: Vec<&str> = body.splitn(5, ' ').collect();
        let place = (words.get(1)?.parse().ok()?, words.get(2)?.parse().ok()?);
        match *words.first()? {
            "mark" => Some(Line::Mark(place)),
            "put" => {
                let content: Value = serde_json::from_str(words.get(4)?).ok()?;
                Some(Line::Put(place, content["message"].clone()))
            }
            "drop" => Some(Line::Dropped(place)),
            _ => Some(Line::Left(place)),
        }
    }
}

/// What an outbox's file says.
#[derive(Debug, Default)]
struct File {
    marks: usize,
    /// Lines that cannot be read, an unfinished one included.
    bad: usize,
    life: u32,
    /// The last mark's place.
    marked: Place,
    /// The highest place that any line names.
    last: Place,
    put: BTreeMap<Place, Value>,
    left: BTreeSet<Place>,
}

impl File {
    fn read(home: &Path) -> File {
        File::parse(&fs::read(outbox_file(home)).unwrap_or_default())
    }

    fn parse(content: &[u8]) -> File {
        let mut file = File::default();
        let whole = content.strip_suffix(b"\n");
        file.bad += usize::from(whole.is_none() && !content.is_empty());
        for line in whole.unwrap_or(content).split(|b| *b == b'\n') {
            let place = match Line::parse(line) {
                Some(Line::Mark(place)) => {
                    file.marks += 1;
                    file.marked = place;
                    place
                }
                Some(Line::Put(place, message)) => {
                    file.put.insert(place, message);
                    place
                }
                Some(Line::Left(place) | Line::Dropped(place)) => {
                    file.left.insert(place);
                    place
                }
                None => {
                    file.bad += 1;
                    continue;
                }
            };
            file.last = file.last.max(place);
            file.life = file.last.0;
        }
        file
    }

    /// What waits.
    fn live(&self) -> BTreeMap<Place, &Value> {
        self.put.iter().filter(|(place, _)| !self.left.contains(*place)).map(|(p, m)| (*p, m)).collect()
    }
}
