//! Measures flash writes on a quiet day. The judge runs in virtual time; the real store and the real outbox write its
//! snapshots and messages to a real file system. The kernel counts the bytes.
#![allow(dead_code, reason = "the test and the bench use their parts")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement fails loudly")]

use linekeeper::act::outbox::{Known, Outbox};
use linekeeper::act::store::{self, Store};
use linekeeper_contract::message::Critical;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::config::{Config, Places, read};
use linekeeper_proving::simulate::{Moment, Simulation, Spectator, World};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// Days before the measurement: the snapshot then contains the statistics of all days and the maximum number of results.
const BEFORE: u64 = 40;
/// Days that are measured.
const COUNTED: u64 = 10;
/// The smallest unit of a flash write: a page of the larger NAND chips and a block of most file systems.
const PAGE: u64 = 4_096;

/// The flash writes of a quiet day.
#[derive(Debug, Clone, Copy)]
pub struct Day {
    /// Number of writes and appends to files, each with its flush.
    pub writes: f64,
    /// Data passed to the kernel, KiB.
    pub given_kib: f64,
    /// The same, each write rounded up to whole pages, KiB.
    pub kib: f64,
    /// The largest snapshot, bytes.
    pub snapshot: u64,
}

/// A line with a contracted rate, ten speed tests a day and a broker.
fn config(directory: &std::path::Path) -> Config {
    let tree = json!({
        "device": { "id": "gw-0001", "customer": "CUST1001", "area": "north-3/olt-7", "installed": "2026-11-20T09:00:00+08:00" },
        "line": { "device": "eth1" },
        "promise": {
            "download": { "minimum": "60 Mbit/s", "normal": "90 Mbit/s", "maximum": "100 Mbit/s" },
            "upload": { "normal": "18 Mbit/s", "maximum": "20 Mbit/s" },
        },
        "speed": { "servers": ["http://a.example/", "http://b.example/"] },
        "probe": { "targets": [
            { "host": "198.51.100.10", "role": "anchor" },
            { "host": "198.51.100.11", "role": "anchor" },
            { "host": "203.0.113.53", "role": "world" },
            { "host": "203.0.113.54", "role": "world" },
        ] },
        "remedies": { "driver": "openwrt", "ladder": ["renew", "restart-interface", "reboot"] },
        "mqtt": { "broker": "mqtts://broker.isp.example", "ca": "/etc/linekeeper/ca.pem" },
        "store": { "directory": directory },
    });
    read(&tree, &Places::default()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A platform that calls the customer of the new line and closes the callbacks.
fn world() -> World {
    let mut world = World::quiet();
    world.platform.calls = Some(Span::minutes(20));
    world
}

struct Flash {
    store: Store,
    outbox: Outbox,
    directory: PathBuf,
    counts: bool,
    writes: u64,
    given: u64,
    pages: u64,
    snapshot: u64,
}

/// Bytes that this thread has passed to write(2) so far.
fn bytes_written() -> u64 {
    let io = fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}

impl Flash {
    /// Runs `write` and counts its writes, as reported by store and outbox, and its bytes.
    fn count(&mut self, write: impl FnOnce(&mut Flash)) {
        let wear = |flash: &Flash| flash.store.wear().0 + flash.outbox.wear().0;
        let (bytes, writes) = (bytes_written(), wear(self));
        write(self);
        let (bytes, writes) = (bytes_written() - bytes, wear(self) - writes);
        assert_eq!(
            bytes > 0,
            writes > 0,
            "{bytes} bytes in {writes} writes: store or outbox miscounts its writes"
        );
        if self.counts {
            self.writes += writes;
            self.given += bytes;
            // Of several writes in one step, all but the largest count as one page each.
            self.pages += (bytes.div_ceil(PAGE)).max(writes) + writes.saturating_sub(1);
        }
    }
}

impl Spectator for Flash {
    fn on_save(&mut self, at: Moment, judge: &Judge, messages: &[Critical]) {
        let now: Mono = at.agent;
        let taken = judge.rungs_taken(now);
        self.count(|flash| flash.store.save_taken(taken.as_deref()).unwrap());
        let kept = store::Snapshot {
            version: store::VERSION,
            boot_id: "0b3f6c1e-5e0f-4c55-9a46-2f5a4a1f0a11".into(),
            base: Mono(0),
            saved_at: now,
            judge: judge.snapshot().unwrap(),
            messages: messages.to_vec(),
        };
        self.count(|flash| flash.store.save(&kept).unwrap());
        let size = serde_json::to_vec(&kept).unwrap().len() as u64;
        self.snapshot = self.snapshot.max(size);
    }

    fn on_action(&mut self, _at: Moment, action: &Action) {
        if let Action::Publish(message) = action {
            self.count(|flash| flash.outbox.append(std::slice::from_ref(message)).unwrap());
            while let Some((place, _)) = self.outbox.after(None) {
                self.outbox.acknowledge(place);
            }
        }
    }
}

/// Runs some quiet weeks and measures their last days.
pub fn day() -> Day {
    let room = tempfile::tempdir().unwrap();
    let config = config(room.path());
    let (store, _) = Store::open(room.path());
    let (outbox, _) = Outbox::open(room.path(), config.store.outbox.0, Known::default());
    let directory = room.path().to_owned();
    let mut flash =
        Flash { store, outbox, directory, counts: false, writes: 0, given: 0, pages: 0, snapshot: 0 };
    let mut simulation = Simulation::new(&config, &world(), 1);
    simulation.run(Span::days(BEFORE), &mut flash);
    flash.counts = true;
    simulation.run(Span::days(BEFORE + COUNTED), &mut flash);
    assert_eq!(simulation.report().breaks, [], "a quiet line");
    let of_day = |n: u64| n as f64 / COUNTED as f64;
    Day {
        writes: of_day(flash.writes),
        given_kib: of_day(flash.given) / 1_024.0,
        kib: of_day(flash.pages * PAGE) / 1_024.0,
        snapshot: flash.snapshot,
    }
}
