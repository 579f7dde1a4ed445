//! The snapshot on flash: written whole or not at all.
//!
//! The first line names the format and carries a checksum of the second, which is JSON: a half-written or bit-rotten
//! file is told from a good one before it is believed.
//!
//! Flash wears by what is written. So a snapshot that differs little from the one in `state.json` is written beside it, in
//! `state.delta`, as what has changed ([`super::pack`]); it begins with the checksum of the other. When that would
//! save too little, `state.json` is written anew, and a delta from the one before it is worth nothing.

use super::frame::{decode, encode};
use super::{durable, pack};
use linekeeper_contract::json;
use linekeeper_contract::message::Critical;
use linekeeper_contract::units::Mono;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::observation::Memory;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The version of [`Snapshot`] that this code writes, and the only one it reads.
pub const VERSION: u32 = 1;

const FILE: &str = "state.json";
const FORMAT: &str = "linekeeper.state.v1";
/// What has changed since [`FILE`] was written.
const DELTA_FILE: &str = "state.delta";
const DELTA_FORMAT: &str = "linekeeper.state-delta.v1";
/// A snapshot is written whole when its delta is not smaller by this.
const WORTH: usize = 3;
/// A snapshot up to this is written whole: flash and file systems take no less than a page of 4 KiB anyway.
const PAGE: usize = 4 << 10;
/// The length of a checksum in hexadecimal: with it begins a delta's body.
const SUM: usize = 8;
/// How often each rung was taken: apart, because losing the one must not cost the other.
const TAKEN_FILE: &str = "taken.json";
const TAKEN_FORMAT: &str = "linekeeper.taken.v1";
/// The largest such file that is read, in bytes: ours has some two hundred.
const TAKEN_LARGEST: u64 = 4 << 10;

/// What the line usually carries: apart, because it is as large as the snapshot and changes once a day.
const USUAL_FILE: &str = "usual.json";
const USUAL_FORMAT: &str = "linekeeper.usual.v1";
/// The largest such file that is read, in bytes: ours has at most some 4 300.
const USUAL_LARGEST: u64 = 16 << 10;

/// The largest snapshot that is read, in bytes.
///
/// The judge's state is some kilobytes and the messages beside it are those of one step; a file beyond this is not
/// ours, and reading it could take the memory that the gateway needs.
const LARGEST: u64 = 4 << 20;

/// What is kept over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`VERSION`].
    pub version: u32,
    /// The kernel's boot id when it was written.
    pub boot_id: String,
    /// Our clock's reading at that boot.
    pub base: Mono,
    /// Our clock's reading when it was written.
    pub saved_at: Mono,
    /// The judge's own snapshot, of which this file knows nothing.
    pub judge: Value,
    /// The messages of the step that asked for this snapshot, behind those that the outbox could not write yet: given to the
    /// outbox again at every start.
    pub messages: Vec<Critical>,
}

/// What [`Store::open`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The last snapshot, if it could be read.
    pub kept: Option<Snapshot>,
    /// The same as the judge is told it.
    pub memory: Memory,
    /// How often each rung was taken within 24 hours when that was last written, if it could be read.
    pub taken: Option<Vec<(Rung, u32)>>,
    /// What the line usually carries, if it could be read.
    pub usual: Option<Value>,
    /// What was wrong, one sentence each, for the log.
    pub troubles: Vec<String>,
}

/// Where snapshots are kept.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    delta_path: PathBuf,
    /// The checksum of what stands in [`FILE`], where that is known to be good.
    base: Option<u32>,
    taken_path: PathBuf,
    /// What stands there; `None`: nothing that is known to be right.
    taken: Option<Vec<(Rung, u32)>>,
    usual_path: PathBuf,
    /// What stands there; empty: nothing.
    usual: Value,
    writes: u64,
    bytes: u64,
}

impl Store {
    /// Reads the last snapshot in `directory`. Never fails: what cannot be read is set aside and told.
    pub fn open(directory: &Path) -> (Store, Opened) {
        let path = directory.join(FILE);
        let delta_path = directory.join(DELTA_FILE);
        let mut base = None;
        let mut troubles = Vec::new();
        if let Err(why) = durable::make_directory(directory) {
            troubles.push(format!("{why}. Without it nothing is remembered over a restart"));
        }
        durable::clear_temporary(&path);
        durable::clear_temporary(&delta_path);
        let (kept, memory) = match durable::read_bounded(&path, LARGEST) {
            Ok(None) => (None, Memory::None),
            Ok(Some((content, longer))) => {
                let read = if longer {
                    Err(format!("it is larger than {LARGEST} bytes"))
                } else {
                    latest(&content, &delta_path)
                };
                match read {
                    Ok((kept, sum)) => {
                        base = Some(sum);
                        (Some(kept), Memory::Restored)
                    }
                    Err(why) => {
                        // What has changed since cannot be told from it either.
                        let _ = std::fs::remove_file(&delta_path);
                        let where_now = durable::set_aside(&path);
                        troubles.push(format!(
                            "the snapshot {} cannot be used: {why}; {where_now}. Starting without it",
                            path.display()
                        ));
                        (None, Memory::Lost)
                    }
                }
            }
            Err(e) => {
                let where_now = durable::set_aside(&path);
                troubles
                    .push(format!("{}; {where_now}", durable::words("cannot read the snapshot", &path, &e)));
                (None, Memory::Lost)
            }
        };
        let taken_path = directory.join(TAKEN_FILE);
        durable::clear_temporary(&taken_path);
        let taken = match durable::read_bounded(&taken_path, TAKEN_LARGEST) {
            Ok(None) => None,
            Ok(Some((content, _))) => match decode(TAKEN_FORMAT, &content).and_then(parse_taken) {
                Ok(taken) => Some(taken),
                Err(why) => {
                    let words = format!("{} cannot be used: {why}", taken_path.display());
                    troubles.push(format!("the record of remedies {words}"));
                    None
                }
            },
            Err(e) => {
                troubles.push(durable::words("cannot read the record of remedies", &taken_path, &e));
                None
            }
        };
        let usual_path = directory.join(USUAL_FILE);
        durable::clear_temporary(&usual_path);
        let usual: Option<Value> = match durable::read_bounded(&usual_path, USUAL_LARGEST) {
            Ok(None) => None,
            Ok(Some((content, _))) => decode(USUAL_FORMAT, &content)
                .and_then(|body| json::read(body).map_err(|e| format!("its content is no such record: {e}")))
                .map_err(|why| {
                    let words = format!("{} cannot be used: {why}", usual_path.display());
                    troubles.push(format!("what is usual on this line is learnt anew: {words}"));
                })
                .ok(),
            Err(e) => {
                troubles.push(durable::words("cannot read what is usual on this line", &usual_path, &e));
                None
            }
        };
        let known = usual.clone().unwrap_or_default();
        let store = Store {
            path,
            delta_path,
            base,
            taken_path,
            taken: taken.clone(),
            usual_path,
            usual: known,
            writes: 0,
            bytes: 0,
        };
        (store, Opened { kept, memory, taken, usual, troubles })
    }

    /// Writes what the line usually carries, as the judge has it, where that is not what stands there already. `None`: nothing is
    /// known yet.
    ///
    /// # Errors
    /// As [`Store::save`].
    pub fn save_usual(&mut self, usual: Option<Value>) -> Result<(), String> {
        let Some(usual) = usual.filter(|usual| self.usual != *usual) else { return Ok(()) };
        let content = json::write(&usual)
            .map(|body| encode(USUAL_FORMAT, body.as_bytes()))
            .map_err(|e| format!("cannot write what is usual on this line as JSON: {e}"))?;
        durable::replace(&self.usual_path, &content)?;
        self.writes += 1;
        self.bytes += content.len() as u64;
        self.usual = usual;
        Ok(())
    }

    /// Writes how often each rung was taken in the last 24 hours, where that is not what stands there already. `None`: that is
    /// not known, and nothing may stand there.
    ///
    /// # Errors
    /// As [`Store::save`]; but then nothing stands there any more, because it would be too little.
    pub fn save_taken(&mut self, taken: Option<&[(Rung, u32)]>) -> Result<(), String> {
        let Some(taken) = taken else {
            self.taken = None;
            return match std::fs::remove_file(&self.taken_path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(durable::words("cannot remove the record of remedies", &self.taken_path, &e))
                }
                Ok(()) | Err(_) => Ok(()),
            };
        };
        if self.taken.as_deref() == Some(taken) {
            return Ok(());
        }
        self.taken = None;
        let written = json::write(taken)
            .map(|body| encode(TAKEN_FORMAT, body.as_bytes()))
            .map_err(|e| format!("cannot write the record of remedies as JSON: {e}"))
            .and_then(|content| durable::replace(&self.taken_path, &content).map(|_| content.len()));
        match written {
            Ok(length) => {
                self.writes += 1;
                self.bytes += length as u64;
                self.taken = Some(taken.to_vec());
                Ok(())
            }
            Err(why) => {
                // Not even removed, and later restored to: then the flash can be written no more, snapshot included.
                let _ = std::fs::remove_file(&self.taken_path);
                Err(why)
            }
        }
    }

    /// Writes a snapshot in the place of the last one. When this returns `Ok`, it survives a power cut.
    ///
    /// # Errors
    /// Says what could not be done, where, why, and what to try. The last snapshot is then still there.
    pub fn save(&mut self, kept: &Snapshot) -> Result<(), String> {
        let json =
            json::write(kept).map_err(|e| format!("cannot write the snapshot as JSON: {e}"))?.into_bytes();
        let content = match self.delta(&json) {
            Some(delta) => {
                durable::replace(&self.delta_path, &delta)?;
                delta
            }
            None => {
                let content = encode(FORMAT, &json);
                self.base = None;
                durable::replace(&self.path, &content)?;
                self.base = Some(durable::crc32(&json));
                // Of another base, so worth nothing; whether it goes or stays.
                let _ = std::fs::remove_file(&self.delta_path);
                content
            }
        };
        self.writes += 1;
        self.bytes += content.len() as u64;
        Ok(())
    }

    /// What has changed since the snapshot in [`FILE`], if that is there and the change is small.
    fn delta(&self, json: &[u8]) -> Option<Vec<u8>> {
        let base = self.base.filter(|_| json.len() > PAGE)?;
        let (content, _) = durable::read_bounded(&self.path, LARGEST).ok()??;
        let known = decode(FORMAT, &content).ok().filter(|known| durable::crc32(known) == base)?;
        let mut body = format!("{base:08x}").into_bytes();
        body.extend(pack::pack(known, json));
        (body.len() * WORTH <= json.len()).then(|| encode(DELTA_FORMAT, &body))
    }

    /// How often and how many bytes were written since the start: flash wears.
    pub fn wear(&self) -> (u64, u64) {
        (self.writes, self.bytes)
    }
}

/// What lies in `directory`, if it can be read, and nothing is changed there: for who looks on while the daemon runs.
pub fn look(directory: &Path) -> Option<Snapshot> {
    let (content, _) = durable::read_bounded(&directory.join(FILE), LARGEST).ok()??;
    latest(&content, &directory.join(DELTA_FILE)).ok().map(|(kept, _)| kept)
}

/// The latest snapshot by the content of [`FILE`] and by what has changed since, and the checksum of the former.
fn latest(content: &[u8], delta: &Path) -> Result<(Snapshot, u32), String> {
    let json = decode(FORMAT, content)?;
    let base = durable::crc32(json);
    let read = durable::read_bounded(delta, LARGEST);
    let read = read.map_err(|e| durable::words("cannot read what has changed since:", delta, &e))?;
    let Some((delta, _)) = read else { return Ok((parse(json)?, base)) };
    // Without it this one is too old to go by: what was spent since is not in it.
    let since = |why: &str| format!("what has changed since cannot be used: {why}");
    let most = usize::try_from(LARGEST).unwrap_or(usize::MAX);
    let body = decode(DELTA_FORMAT, &delta).map_err(|why| since(&why))?;
    let (of, packed) = body.split_at_checked(SUM).ok_or_else(|| since("it is too short"))?;
    if of != format!("{base:08x}").as_bytes() {
        // Left behind by a death between a whole snapshot and its removal.
        return Ok((parse(json)?, base));
    }
    let json = pack::unpack(json, packed, most).map_err(since)?;
    Ok((parse(&json).map_err(|why| since(&why))?, base))
}

fn parse_taken(json: &[u8]) -> Result<Vec<(Rung, u32)>, String> {
    json::read(json).map_err(|e| format!("its content is not as expected: {e}"))
}

fn parse(json: &[u8]) -> Result<Snapshot, String> {
    let kept: Snapshot = json::read(json).map_err(|e| format!("its content is not as expected: {e}"))?;
    if kept.version != VERSION {
        return Err(format!("its version is {}, this version reads {VERSION}", kept.version));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn sample(n: u64) -> Snapshot {
        Snapshot {
            version: VERSION,
            boot_id: "b".into(),
            base: Mono(5),
            saved_at: Mono(n),
            judge: serde_json::json!({"line": "up", "n": n}),
            messages: Vec::new(),
        }
    }

    #[test]
    fn what_is_usual_is_written_when_it_changes_and_learnt_anew_when_it_rots() {
        let room = tempfile::tempdir().unwrap();
        let (mut store, found) = Store::open(room.path());
        assert_eq!(found.usual, None);
        store.save_usual(None).unwrap();
        assert_eq!(store.writes, 0, "nothing is known, nothing is written");
        let week = serde_json::json!({ "weeks": [{
            "week": 2966, "received": "42".repeat(168), "sent": "01".repeat(168),
        }] });
        let usual = week;
        store.save_usual(Some(usual.clone())).unwrap();
        store.save_usual(Some(usual.clone())).unwrap();
        assert_eq!(store.writes, 1);
        let (_, found) = Store::open(room.path());
        assert_eq!(found.usual, Some(usual));
        let path = room.path().join(USUAL_FILE);
        let content = std::fs::read_to_string(&path).unwrap();
        for wrong in [content.replace("4242", "4243"), content.replace("\"week\"", "\"weak\""), "x".into()] {
            std::fs::write(&path, wrong).unwrap();
            let (_, found) = Store::open(room.path());
            assert_eq!((found.usual, found.troubles.len()), (None, 1));
            assert!(found.troubles[0].contains("learnt anew"), "{}", found.troubles[0]);
        }
    }

    #[test]
    fn how_often_each_rung_was_taken_outlives_a_rotten_snapshot() {
        let room = tempfile::tempdir().unwrap();
        let (mut store, found) = Store::open(room.path());
        assert_eq!(found.taken, None);
        let taken = vec![(Rung::Renew, 3), (Rung::PowerModem, 1)];
        store.save(&sample(1)).unwrap();
        store.save_taken(Some(&taken)).unwrap();
        store.save_taken(Some(&taken)).unwrap();
        assert_eq!(store.wear().0, 2, "what stands there is not written again");
        fs::write(room.path().join(FILE), "rot").unwrap();
        let (_, found) = Store::open(room.path());
        assert_eq!((found.memory, found.taken), (Memory::Lost, Some(taken)));
        store.save_taken(None).unwrap();
        store.save_taken(None).unwrap();
        assert_eq!(Store::open(room.path()).1.taken, None);
        // Too little would be worse than nothing.
        fs::write(room.path().join(TAKEN_FILE), "rot").unwrap();
        let (mut store, found) = Store::open(room.path());
        assert_eq!((found.taken, found.troubles.len()), (None, 1));
        fs::remove_file(room.path().join(TAKEN_FILE)).unwrap();
        fs::create_dir(room.path().join(TAKEN_FILE)).unwrap();
        assert!(store.save_taken(Some(&[])).is_err());
    }

    fn whole(kept: &Snapshot) -> Vec<u8> {
        encode(FORMAT, json::write(kept).unwrap().as_bytes())
    }

    fn decode_snapshot(content: &[u8]) -> Result<Snapshot, String> {
        parse(decode(FORMAT, content)?)
    }

    /// A snapshot as large as one is, of which `n` alone changes.
    fn large(n: u64) -> Snapshot {
        let rows: Vec<_> =
            (0..300).map(|row| serde_json::json!({ "row": row, "spent": row * 7_919 })).collect();
        Snapshot { judge: serde_json::json!({ "rows": rows, "n": n }), ..sample(n) }
    }

    #[test]
    fn what_changed_little_is_written_beside_and_comes_back() {
        let room = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(room.path());
        store.save(&large(1)).unwrap();
        let first = store.wear().1;
        for n in 2..100 {
            store.save(&large(n)).unwrap();
            assert_eq!(look(room.path()), Some(large(n)));
        }
        assert_eq!(store.wear().0, 99);
        assert!(store.wear().1 < first * 2, "{first} bytes, then {} in all", store.wear().1);
        let (mut store, found) = Store::open(room.path());
        assert_eq!((found.kept, found.memory, found.troubles), (Some(large(99)), Memory::Restored, vec![]));
        // It goes on from there, and what is quite another one is written whole.
        store.save(&large(100)).unwrap();
        assert!(room.path().join(DELTA_FILE).exists());
        store.save(&sample(101)).unwrap();
        assert!(!room.path().join(DELTA_FILE).exists());
        assert_eq!(Store::open(room.path()).1.kept, Some(sample(101)));
    }

    #[test]
    fn a_delta_of_another_snapshot_is_passed_over_and_a_rotten_one_is_not() {
        let room = tempfile::tempdir().unwrap();
        let delta = room.path().join(DELTA_FILE);
        let (mut store, _) = Store::open(room.path());
        store.save(&large(1)).unwrap();
        store.save(&large(2)).unwrap();
        // A death between the new snapshot and the removal of the old delta.
        let old = fs::read(&delta).unwrap();
        store.save(&sample(3)).unwrap();
        fs::write(&delta, &old).unwrap();
        assert_eq!(Store::open(room.path()).1.kept, Some(sample(3)));
        // Anything wrong with the right one: to go by the older one alone would spend twice what was spent since.
        let (mut store, _) = Store::open(room.path());
        store.save(&large(4)).unwrap();
        store.save(&large(5)).unwrap();
        let good = fs::read(&delta).unwrap();
        for at in 0..good.len() {
            for rotten in [good[..at].to_vec(), {
                let mut g = good.clone();
                g[at] ^= 4;
                g
            }] {
                fs::write(&delta, &rotten).unwrap();
                assert!(look(room.path()).is_none(), "at {at}");
            }
        }
        let (_, found) = Store::open(room.path());
        assert_eq!((found.kept, found.memory), (None, Memory::Lost));
        assert!(found.troubles[0].contains("what has changed since cannot be used"), "{:?}", found.troubles);
        assert!(!delta.exists());
    }

    #[test]
    fn the_last_snapshot_comes_back() {
        let room = tempfile::tempdir().unwrap();
        let (mut store, found) = Store::open(&room.path().join("deep/er"));
        assert_eq!(
            found,
            Opened { kept: None, memory: Memory::None, taken: None, usual: None, troubles: vec![] }
        );
        store.save(&sample(1)).unwrap();
        store.save(&sample(2)).unwrap();
        assert_eq!(store.wear().0, 2);
        assert!(store.wear().1 > 100);
        let (_, found) = Store::open(&room.path().join("deep/er"));
        assert_eq!(
            found,
            Opened {
                kept: Some(sample(2)),
                memory: Memory::Restored,
                taken: None,
                usual: None,
                troubles: vec![]
            }
        );
    }

    #[test]
    fn a_cut_at_any_byte_or_a_flipped_bit_is_never_believed() {
        let whole = whole(&sample(1));
        for at in 0..whole.len() {
            assert!(decode_snapshot(&whole[..at]).is_err(), "cut at {at}");
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            assert!(decode_snapshot(&flipped).is_err(), "flipped at {at}");
        }
        assert_eq!(decode_snapshot(&whole).unwrap(), sample(1));
    }

    #[test]
    fn what_cannot_be_used_is_set_aside_and_told() {
        let room = tempfile::tempdir().unwrap();
        let mut foreign = sample(1);
        foreign.version = 9;
        let other_format = String::from_utf8(whole(&sample(1))).unwrap().replace("state.v1", "state.v7");
        for (content, why) in [
            (b"".to_vec(), "empty"),
            (b"\xff\xfe\x00rubbish".to_vec(), "first line"),
            (whole(&foreign), "version is 9"),
            (other_format.into_bytes(), "state.v7"),
        ] {
            fs::write(room.path().join(FILE), &content).unwrap();
            let (mut store, found) = Store::open(room.path());
            assert_eq!(found.memory, Memory::Lost);
            assert!(found.troubles[0].contains(why), "{:?}", found.troubles);
            assert!(found.troubles[0].contains("set-aside-"), "{:?}", found.troubles);
            store.save(&sample(3)).unwrap();
        }
        let aside = fs::read_dir(room.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("set-aside"))
            .count();
        assert_eq!(aside, 3);
    }

    #[test]
    fn a_directory_in_the_snapshots_place_or_a_stale_temporary_file_harms_nothing() {
        let room = tempfile::tempdir().unwrap();
        fs::create_dir(room.path().join(FILE)).unwrap();
        fs::write(room.path().join("state.json.new"), "half").unwrap();
        let (mut store, found) = Store::open(room.path());
        assert_eq!(found.memory, Memory::Lost);
        assert!(!room.path().join("state.json.new").exists());
        store.save(&sample(1)).unwrap();
        assert_eq!(Store::open(room.path()).1.kept, Some(sample(1)));
    }

    #[test]
    fn what_cannot_be_written_is_told_and_the_old_one_stays() {
        let room = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(room.path());
        store.save(&sample(1)).unwrap();
        // A directory with something in it in the place of the temporary file: writing cannot work, even for root.
        fs::create_dir_all(room.path().join("state.json.new/x")).unwrap();
        let said = store.save(&sample(2)).unwrap_err();
        assert!(said.contains("state.json"), "{said}");
        assert_eq!(Store::open(room.path()).1.kept, Some(sample(1)));
    }
}
