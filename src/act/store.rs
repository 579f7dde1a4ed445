//! The snapshot on flash: one file, written whole or not at all.
//!
//! The first line names the format and carries a checksum of the second, which is JSON: a half-written or bit-rotten
//! file is told from a good one before it is believed.

use super::durable;
use crate::message::Critical;
use crate::observation::Memory;
use crate::units::Mono;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of [`Kept`] that this code writes, and the only one it reads.
pub const VERSION: u32 = 1;

const FILE: &str = "state.json";
const FORMAT: &str = "linekeeper.state.v1";

/// The largest snapshot that is read, in bytes.
///
/// The judge's state is some kilobytes and the messages beside it are those of one step; a file beyond this is not
/// ours, and reading it could take the memory that the gateway needs.
const LARGEST: u64 = 4 << 20;

/// What is kept over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// [`VERSION`].
    pub version: u32,
    /// The kernel's boot id when it was written.
    pub boot_id: String,
    /// Our clock's reading at that boot.
    pub base: Mono,
    /// Our clock's reading when it was written.
    pub saved_at: Mono,
    /// The judge's own snapshot, of which this file knows nothing.
    pub judge: serde_json::Value,
    /// The messages of the step that asked for this snapshot: appended to the outbox again at every start.
    pub messages: Vec<Critical>,
}

/// What [`Store::open`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The last snapshot, if it could be read.
    pub kept: Option<Kept>,
    /// The same as the judge is told it.
    pub memory: Memory,
    /// What was wrong, one sentence each, for the log.
    pub troubles: Vec<String>,
}

/// Where snapshots are kept.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    writes: u64,
    bytes: u64,
}

impl Store {
    /// Reads the last snapshot in `directory`. Never fails: what cannot be read is set aside and told.
    pub fn open(directory: &Path) -> (Store, Found) {
        let path = directory.join(FILE);
        let mut troubles = Vec::new();
        if let Err(why) = durable::make_directory(directory) {
            troubles.push(format!("{why}. Without it nothing is remembered over a restart"));
        }
        durable::clear_temporary(&path);
        let (kept, memory) = match durable::read_bounded(&path, LARGEST) {
            Ok(None) => (None, Memory::None),
            Ok(Some((content, longer))) => {
                let read =
                    if longer { Err(format!("it is larger than {LARGEST} bytes")) } else { decode(&content) };
                match read {
                    Ok(kept) => (Some(kept), Memory::Restored),
                    Err(why) => {
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
        (Store { path, writes: 0, bytes: 0 }, Found { kept, memory, troubles })
    }

    /// Writes a snapshot in the place of the last one. When this returns `Ok`, it survives a power cut.
    ///
    /// # Errors
    /// Says what could not be done, where, why, and what to try. The last snapshot is then still there.
    pub fn save(&mut self, kept: &Kept) -> Result<(), String> {
        let content = encode(kept).map_err(|e| format!("cannot write the snapshot as JSON: {e}"))?;
        durable::replace(&self.path, &content)?;
        self.writes += 1;
        self.bytes += content.len() as u64;
        Ok(())
    }

    /// How often and how many bytes were written since the start: flash wears.
    pub fn wear(&self) -> (u64, u64) {
        (self.writes, self.bytes)
    }
}

fn encode(kept: &Kept) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_string(kept)?;
    Ok(format!("{FORMAT} {:08x}\n{body}\n", crc32fast::hash(body.as_bytes())).into_bytes())
}

/// Strict: anything but exactly what [`encode`] writes is refused, in words that continue "cannot be used:".
fn decode(content: &[u8]) -> Result<Kept, String> {
    if content.is_empty() {
        return Err("it is empty".into());
    }
    let end = content.iter().position(|b| *b == b'\n').ok_or("its first line has no end")?;
    let head = std::str::from_utf8(&content[..end]).map_err(|_| "its first line is not text")?;
    let (format, sum) = head.split_once(' ').ok_or("its first line has no checksum")?;
    if format != FORMAT {
        return Err(format!("its format is {:.40?}, this version reads {FORMAT:?}", format));
    }
    let body = &content[end + 1..];
    let body = body.strip_suffix(b"\n").ok_or("it ends in the middle")?;
    if sum != format!("{:08x}", crc32fast::hash(body)) {
        return Err("its checksum does not fit its content".into());
    }
    let kept: Kept =
        serde_json::from_slice(body).map_err(|e| format!("its content is not as expected: {e}"))?;
    if kept.version != VERSION {
        return Err(format!("its version is {}, this version reads {VERSION}", kept.version));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn sample(n: u64) -> Kept {
        Kept {
            version: VERSION,
            boot_id: "b".into(),
            base: Mono(5),
            saved_at: Mono(n),
            judge: serde_json::json!({"line": "up", "n": n}),
            messages: Vec::new(),
        }
    }

    #[test]
    fn the_last_snapshot_comes_back() {
        let room = tempfile::tempdir().unwrap();
        let (mut store, found) = Store::open(&room.path().join("deep/er"));
        assert_eq!(found, Found { kept: None, memory: Memory::None, troubles: vec![] });
        store.save(&sample(1)).unwrap();
        store.save(&sample(2)).unwrap();
        assert_eq!(store.wear().0, 2);
        assert!(store.wear().1 > 100);
        let (_, found) = Store::open(&room.path().join("deep/er"));
        assert_eq!(found, Found { kept: Some(sample(2)), memory: Memory::Restored, troubles: vec![] });
    }

    #[test]
    fn a_cut_at_any_byte_or_a_flipped_bit_is_never_believed() {
        let whole = encode(&sample(1)).unwrap();
        for at in 0..whole.len() {
            assert!(decode(&whole[..at]).is_err(), "cut at {at}");
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            assert!(decode(&flipped).is_err(), "flipped at {at}");
        }
        assert_eq!(decode(&whole).unwrap(), sample(1));
    }

    #[test]
    fn what_cannot_be_used_is_set_aside_and_told() {
        let room = tempfile::tempdir().unwrap();
        let mut foreign = sample(1);
        foreign.version = 9;
        let other_format =
            String::from_utf8(encode(&sample(1)).unwrap()).unwrap().replace("state.v1", "state.v7");
        for (content, why) in [
            (b"".to_vec(), "empty"),
            (b"\xff\xfe\x00rubbish".to_vec(), "first line"),
            (encode(&foreign).unwrap(), "version is 9"),
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
