//! The heartbeat: once a minute, the time and the state of the line are written to a file in memory.
//!
//! A file beside the status socket: it is there after a crash, and gone (or of another boot) after a power cut. It is only
//! written where the directory lies in memory: once a minute would be more than a flash should bear.

use linekeeper_contract::json;
use linekeeper_contract::units::Mono;
use linekeeper_judge::lives::BEAT_EVERY;
use linekeeper_judge::observation::{Beat, Charge};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use tracing::debug;

/// The largest file that is read: ours has some hundred bytes.
const LARGEST: u64 = 4 * 1024;
/// `f_type` of the file systems that live in memory (statfs(2)): tmpfs and ramfs.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    boot_id: String,
    at: Mono,
    charge: Charge,
    since: Mono,
}

/// Writes the heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    path: PathBuf,
    boot_id: String,
    next: Mono,
}

impl Heartbeat {
    /// The heartbeat of the process whose status socket is `socket`, in the present boot, and the last one that a life
    /// before it left, if it is of the same boot. `None`: its directory does not lie in memory.
    pub fn start(socket: &Path, boot_id: &str) -> (Option<Heartbeat>, Option<Beat>) {
        let path = socket.with_extension("alive");
        let found = crate::act::durable::read_bounded(&path, LARGEST).ok().flatten();
        let found = found.and_then(|(content, _)| json::read::<Kept>(&content).ok());
        // Without an id of the boot there is no telling whether it was this one.
        let beat = found
            .filter(|kept| !boot_id.is_empty() && kept.boot_id == boot_id)
            .map(|Kept { at, charge, since, .. }| Beat { at, charge, since });
        let directory = path.parent().unwrap_or(Path::new("/"));
        if !in_memory(directory) {
            debug!("no heartbeat: {} does not lie in memory", directory.display());
            return (None, beat);
        }
        (Some(Heartbeat { path, boot_id: boot_id.to_string(), next: Mono(0) }), beat)
    }

    /// Whether it is time for one.
    pub fn is_due(&self, now: Mono) -> bool {
        now >= self.next
    }

    /// Writes one. Write errors are ignored: only less is known after a crash.
    pub fn beat(&mut self, beat: Beat) {
        self.next = beat.at + BEAT_EVERY;
        let new = self.path.with_extension("alive.new");
        let written = json::write(&Kept {
            boot_id: self.boot_id.clone(),
            at: beat.at,
            charge: beat.charge,
            since: beat.since,
        })
        .map_err(std::io::Error::other)
        .and_then(|content| fs::write(&new, content))
        .and_then(|()| fs::rename(&new, &self.path));
        if let Err(e) = written {
            debug!("no heartbeat in {}: {e}", self.path.display());
        }
    }

    /// The process ends in order: the snapshot says so.
    pub fn end(self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn in_memory(directory: &Path) -> bool {
    // The type's width differs between platforms, its value does not.
    rustix::fs::statfs(directory)
        .is_ok_and(|of| IN_MEMORY.contains(&(of.f_type as u64 & u64::from(u32::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linekeeper_judge::observation::Charge;

    #[test]
    fn a_life_finds_the_heartbeat_of_the_one_before_in_the_same_boot_only() {
        let room = tempfile::tempdir().unwrap();
        let socket = room.path().join("linekeeper.sock");
        let beat = Beat { at: Mono(90_000), charge: Charge::Up, since: Mono(5) };
        let mut heart =
            Heartbeat { path: socket.with_extension("alive"), boot_id: "a".into(), next: Mono(0) };
        assert!(heart.is_due(Mono(1)));
        heart.beat(beat.clone());
        assert!(!heart.is_due(Mono(149_999)) && heart.is_due(Mono(150_000)));
        assert_eq!(Heartbeat::start(&socket, "a").1, Some(beat));
        assert_eq!(Heartbeat::start(&socket, "b").1, None);
        assert_eq!(Heartbeat::start(&socket, "").1, None);
        heart.end();
        assert_eq!(Heartbeat::start(&socket, "a").1, None);
    }

    #[test]
    fn rubbish_and_directories_in_its_place_are_no_heartbeat() {
        let room = tempfile::tempdir().unwrap();
        let socket = room.path().join("s.sock");
        fs::write(socket.with_extension("alive"), "{").unwrap();
        assert_eq!(Heartbeat::start(&socket, "a").1, None);
        fs::remove_file(socket.with_extension("alive")).unwrap();
        fs::create_dir(socket.with_extension("alive")).unwrap();
        assert_eq!(Heartbeat::start(&socket, "a").1, None);
    }

    #[test]
    fn only_memory_is_written_to_every_minute() {
        assert!(in_memory(Path::new("/dev/shm")) || !Path::new("/dev/shm").exists());
        assert!(!in_memory(Path::new("/proc")) && !in_memory(Path::new("/does/not/exist")));
    }
}
