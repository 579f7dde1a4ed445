//! Everything at once: brokers killed, connections cut within a packet, agents killed, full flash, torn and damaged
//! files. What the judge said must come to an independent subscriber: all of it, in order, with one effect each; what was
//! given up by policy is counted exactly.
//!
//! The agent is a process of its own, killed by SIGKILL: the real judge, store, outbox and connection, wired as
//! `run::Daemon` does it (snapshot, then outbox, then the wire), on virtual time so that an incident takes no minutes. The
//! broker is Debian's mosquitto, the way to it a proxy that cuts after a given byte, the flash a small tmpfs, or where the power
//! is cut a disk that keeps only what was flushed.
//!
//! Each round stands alone, drawn from its own number: `LINEKEEPER_CHAOS_ROUND=17 cargo test --test gateway chaos` plays one. `LINEKEEPER_CHAOS_ROUNDS=2000` plays more, `LINEKEEPER_CHAOS_SEED` others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a trial that cannot go on fails by it"
)]

mod agent;
mod disk;
mod ledger;
mod way;

use crate::common::trial::Test;
use crate::common::{proof, world};
use agent::{Life, Step};
use disk::Disk;
use ledger::Ledger;
use linekeeper::act::outbox::Dropped;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use way::{Broker, Cut, Ear, Proxy};

/// More than two thousand rounds take.
const FULL: Duration = Duration::from_secs(1_200);
/// Rounds are played in so many rows beside each other, each with a broker and a flash of its own.
const ROWS: u64 = 4;
const SEED: u64 = 20_261_120;
/// The flash of one row, KiB: some snapshots, an outbox twice, damaged copies of it.
const FLASH_KIB: u64 = 2_048;
/// An outbox for all that a round can say, and one for some few messages.
const WIDE: u64 = 1 << 20;
const NARROW: u64 = 16_000;

pub use agent::{PART, main as live};

pub fn tests() -> Vec<Test> {
    vec![
        Test::private(
            "no_message_is_lost_under_combined_faults",
            &["mosquitto", "mount", "umount", "mkfs.ext4"],
            rounds,
        )
        .longer(FULL),
    ]
}

/// Plays the rounds in rows beside each other.
fn rounds() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seed = number("LINEKEEPER_CHAOS_SEED").unwrap_or(SEED);
    let (first, last) = match number("LINEKEEPER_CHAOS_ROUND") {
        Some(one) => (one, one + 1),
        None => (0, number("LINEKEEPER_CHAOS_ROUNDS").unwrap_or(proof(120, 600))),
    };
    let rows = ROWS.min(last - first);
    let play = |row| {
        let mut stage = Stage::set(row);
        for round in (first + row..last).step_by(usize::try_from(rows).unwrap()) {
            stage.play(seed, round);
        }
        stage.tally
    };
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let rows: Vec<_> = (0..rows).map(|row| scope.spawn(move || play(row))).collect();
        for row in rows {
            match row.join() {
                Ok(tally) => total.add(&tally),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    println!("seed {seed}, {total:?}");
    total.must_have_met_everything();
}

/// What may go wrong in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Theme {
    /// The broker and the way: nothing may be lost.
    Way,
    /// The same, and the power is cut: what was not flushed is gone. Nothing may be lost.
    Power,
    /// Broker and way, and the flash is full for a while: what only memory held dies with the process, and no id of it is given
    /// to anything else.
    FullFlash,
    /// The same, and bytes of the outbox change while nobody looks: whole lines are lost, and counted.
    Damage,
    /// An outbox for some few messages and no way out: what gives way is counted.
    Narrow,
    /// All of these but power cuts and the narrow outbox at once.
    All,
}

const THEMES: [Theme; 6] =
    [Theme::Way, Theme::Power, Theme::FullFlash, Theme::Damage, Theme::Narrow, Theme::All];

/// What happened in all.
#[derive(Debug, Clone, Default)]
struct Tally {
    rounds: u64,
    themes: BTreeMap<Theme, u64>,
    said: u64,
    came: u64,
    /// Messages that came more than once, under the same id.
    repeated: u64,
    broker_kills: u64,
    agent_kills: u64,
    /// Ends in order.
    agent_ends: u64,
    power_cuts: u64,
    cuts: u64,
    cuts_within: u64,
    full: u64,
    torn: u64,
    damaged_files: u64,
    dropped: u64,
    damaged: u64,
    gone_with_memory: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.rounds += other.rounds;
        for (theme, n) in &other.themes {
            *self.themes.entry(*theme).or_default() += n;
        }
        for (mine, theirs) in [
            (&mut self.said, other.said),
            (&mut self.came, other.came),
            (&mut self.repeated, other.repeated),
            (&mut self.broker_kills, other.broker_kills),
            (&mut self.agent_kills, other.agent_kills),
            (&mut self.agent_ends, other.agent_ends),
            (&mut self.power_cuts, other.power_cuts),
            (&mut self.cuts, other.cuts),
            (&mut self.cuts_within, other.cuts_within),
            (&mut self.full, other.full),
            (&mut self.torn, other.torn),
            (&mut self.damaged_files, other.damaged_files),
            (&mut self.dropped, other.dropped),
            (&mut self.damaged, other.damaged),
            (&mut self.gone_with_memory, other.gone_with_memory),
        ] {
            *mine += theirs;
        }
    }

    /// A run of some length in which something never happened shows nothing about it.
    fn must_have_met_everything(&self) {
        if self.rounds < 100 {
            return;
        }
        for (what, n) in [
            ("kill of the broker", self.broker_kills),
            ("kill of the agent", self.agent_kills),
            ("end of the agent in order", self.agent_ends),
            ("power cut", self.power_cuts),
            ("cut within a packet", self.cuts_within),
            ("full flash", self.full),
            ("torn file", self.torn),
            ("damaged file", self.damaged_files),
            ("dropped message", self.dropped),
            ("damaged message", self.damaged),
            ("message that died with memory", self.gone_with_memory),
            ("repetition", self.repeated),
        ] {
            assert!(n > 0, "not one {what} in {} rounds", self.rounds);
        }
    }
}

/// What the rounds of one row share.
struct Stage {
    broker: Broker,
    proxy: Proxy,
    ear: Ear,
    flash: PathBuf,
    disk: Disk,
    _room: tempfile::TempDir,
    tally: Tally,
}

impl Stage {
    fn set(row: u64) -> Stage {
        let room = tempfile::tempdir().unwrap();
        let flash = room.path().join("flash");
        fs::create_dir(&flash).unwrap();
        world::run(&format!("mount -t tmpfs -o size={FLASH_KIB}k none {}", flash.display())).unwrap();
        let disk = Disk::new(room.path()).unwrap_or_else(|why| panic!("a disk to cut the power of: {why}"));
        let broker = Broker::start(room.path(), 20_000 + u16::try_from(row).unwrap());
        let ear = Ear::listen(broker.port);
        let proxy = Proxy::start(broker.port);
        Stage { broker, proxy, ear, flash, disk, _room: room, tally: Tally::default() }
    }

    /// One round; a failure says which and how to play it again.
    fn play(&mut self, seed: u64, round: u64) {
        let theme = THEMES[usize::try_from(round).unwrap() % THEMES.len()];
        let random = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(round));
        let began = way::monotonic_ms();
        let device = format!("gw-{round}");
        let on = if theme == Theme::Power { &self.disk.place } else { &self.flash };
        let home = on.join(&device);
        fs::create_dir(&home).unwrap();
        // It was there long before.
        fs::File::open(on).unwrap().sync_all().unwrap();
        let place = self.ear.place();
        let mut play = Play {
            theme,
            random,
            log: self._room.path().join(format!("{device}.log")),
            home,
            device,
            life: None,
            boots: 0,
            booted: true,
            uptime: 0,
            ledger: Ledger::default(),
            deeds: Vec::new(),
            place,
            stage: self,
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play.all()));
        if let Err(why) = outcome {
            let said = fs::read_to_string(&play.log).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            println!(
                "round {round} ({theme:?}) of seed {seed} failed; again:\n  LINEKEEPER_CHAOS_SEED={seed} \
                 LINEKEEPER_CHAOS_ROUND={round} cargo test --test gateway chaos\nwhat was done:\n  {}\n\
                 the end of the agent's log:\n  {}",
                play.deeds.join("\n  "),
                lines[lines.len().saturating_sub(60)..].join("\n  ")
            );
            std::panic::resume_unwind(why);
        }
        let home = play.home.clone();
        drop(play);
        fs::remove_dir_all(home).unwrap();
        self.tally.rounds += 1;
        *self.tally.themes.entry(theme).or_default() += 1;
        let took = way::monotonic_ms() - began;
        if took > 5_000 {
            println!("round {round} ({theme:?}) took {took} ms");
        }
    }
}

/// One round.
struct Play<'a> {
    stage: &'a mut Stage,
    theme: Theme,
    random: fastrand::Rng,
    device: String,
    home: PathBuf,
    log: PathBuf,
    life: Option<Life>,
    boots: u32,
    /// The next life begins with a boot.
    booted: bool,
    /// Of the present boot, milliseconds.
    uptime: u64,
    ledger: Ledger,
    /// For the report of a failure.
    deeds: Vec<String>,
    /// Where in the ear this round begins.
    place: usize,
}

impl Play<'_> {
    fn did(&mut self, what: impl Into<String>) {
        self.deeds.push(what.into());
    }

    fn all(&mut self) {
        self.way(self.theme != Theme::Narrow);
        self.live();
        for _ in 0..self.random.u32(2..5) {
            self.turn();
        }
        self.end();
    }

    fn way(&mut self, open: bool) {
        self.did(if open { "way open" } else { "way closed" });
        self.stage.proxy.open(open);
    }

    /// Starts the agent if it is dead.
    fn live(&mut self) {
        if self.life.is_some() {
            return;
        }
        // A death may be a power cut, or the process alone.
        let booted = std::mem::take(&mut self.booted);
        if self.random.bool() || booted {
            self.boots += 1;
            self.uptime = 10_000;
        }
        let limit = if self.theme == Theme::Narrow { NARROW } else { WIDE };
        let boot = format!("boot-{}-{}", self.device, self.boots);
        self.ledger.begins(&self.home);
        let kernel = (boot.as_str(), self.uptime);
        let life = Life::start(&self.home, limit, self.stage.proxy.port, &self.device, kernel, &self.log);
        self.did(format!("started in {boot}"));
        let life = self.life.insert(life);
        if self.random.bool() {
            life.await_start(&mut self.ledger);
        }
    }

    fn steps(&mut self, most: usize) -> Vec<Step> {
        (0..self.random.usize(1..=most))
            .map(|_| match self.random.u32(..8) {
                0 => Step::Incident,
                1 | 2 => Step::Asked,
                _ => Step::Refused,
            })
            .collect()
    }

    fn turn(&mut self) {
        let theme = self.theme;
        let fills = matches!(theme, Theme::FullFlash | Theme::All) && self.random.u32(..3) > 0;
        if theme != Theme::Narrow {
            match self.random.u32(..4) {
                0 => self.way(false),
                1 => self.cut_connections(),
                _ => self.way(true),
            }
        }
        if fills {
            self.fill();
        }
        let mut steps = self.steps(if theme == Theme::Narrow { 14 } else { 8 });
        if fills && self.random.bool() {
            // Something is opened before anybody knows that it cannot be remembered.
            steps.insert(0, Step::Asked);
        }
        self.did(format!("{steps:?}"));
        let life = self.life.as_mut().unwrap();
        life.ask(&steps);
        let kills_agent = self.random.u32(..10) < 7;
        let kills_broker = theme != Theme::Narrow && self.random.u32(..4) == 0;
        // So many steps are awaited, the rest is under way.
        let awaited = if kills_agent { self.random.usize(0..=steps.len()) } else { steps.len() };
        let (ledger, life) = (&mut self.ledger, self.life.as_mut().unwrap());
        life.await_steps(awaited, ledger);
        if kills_broker {
            self.kill_broker();
        }
        if kills_agent {
            for _ in 0..self.random.u32(..60_000) {
                std::hint::spin_loop();
            }
            self.end_agent(false);
            self.while_dead();
        } else if self.random.bool() {
            self.end_agent(true);
        }
        if fills && self.random.bool() {
            // The new life begins with it.
            self.live();
        }
        self.empty();
        self.live();
    }

    fn cut_connections(&mut self) {
        let cuts: Vec<Cut> = (0..self.random.usize(1..3))
            .map(|_| match self.random.u32(..3) {
                0 => Cut { up: usize::MAX, down: self.random.usize(1..80) },
                1 => Cut { up: self.random.usize(1..700), down: usize::MAX },
                _ => Cut { up: self.random.usize(700..20_000), down: usize::MAX },
            })
            .collect();
        self.did(format!("{cuts:?}"));
        self.stage.tally.cuts += cuts.len() as u64;
        self.stage.proxy.open(true);
        self.stage.proxy.cut_next(cuts);
        // The connection that is there ends too, so that the cuts have something to cut.
        self.stage.proxy.cut_now();
    }

    fn kill_broker(&mut self) {
        self.did("broker killed and started");
        let open = self.stage.proxy.is_open();
        self.stage.proxy.open(false);
        self.stage.broker.kill();
        // All that it acknowledged was in the ear's socket before: read to its end.
        self.stage.ear.finish();
        self.stage.broker.up();
        self.stage.ear.listen_again(self.stage.broker.port);
        self.stage.proxy.open(open);
        self.stage.tally.broker_kills += 1;
    }

    fn end_agent(&mut self, in_order: bool) {
        self.did(if in_order { "agent ended" } else { "agent killed" });
        let life = self.life.take().unwrap();
        self.uptime = life.end(in_order, &mut self.ledger);
        if !in_order && self.theme == Theme::Power && self.random.bool() {
            self.did("by the power");
            self.stage.disk.cut();
            self.booted = true;
            self.stage.tally.power_cuts += 1;
        }
        let came = self.came();
        let gone = self.ledger.died(&self.home, &came);
        if in_order {
            self.stage.tally.agent_ends += 1;
        } else {
            self.stage.tally.agent_kills += 1;
        }
        self.stage.tally.gone_with_memory += gone;
        if gone > 0 {
            self.did(format!("{gone} were in memory only"));
        }
    }

    /// What flash and power do between two lives.
    fn while_dead(&mut self) {
        let damages = matches!(self.theme, Theme::Damage | Theme::All) && self.random.u32(..3) > 0;
        if self.random.u32(..3) == 0
            && let Some(what) = ledger::tear(&self.home, &mut self.random)
        {
            self.did(what);
            self.stage.tally.torn += 1;
        }
        if damages && let Some(what) = self.ledger.damage(&self.home, &mut self.random) {
            self.did(what);
            self.stage.tally.damaged_files += 1;
        }
    }

    fn ballast(&self) -> PathBuf {
        self.stage.flash.join("ballast")
    }

    /// Fills the flash but for some KiB, so that writes end in their middle.
    fn fill(&mut self) {
        let left = [0, 0, 4, 12, 40][self.random.usize(..5)] * 1024;
        self.did(format!("flash full but for {left} bytes"));
        let mut file = fs::File::create(self.ballast()).unwrap();
        let mut length = 0;
        while let Ok(n) = file.write(&[1; 4096]) {
            length += n as u64;
        }
        file.set_len(length.saturating_sub(left)).unwrap();
        self.stage.tally.full += 1;
    }

    fn empty(&mut self) {
        if fs::remove_file(self.ballast()).is_ok() {
            self.did("flash empty again");
        }
    }

    fn came(&self) -> Vec<way::Heard> {
        self.stage.ear.heard(self.place, &self.device)
    }

    /// All is well again: what waits comes, and the books are made up.
    fn end(&mut self) {
        let life = self.life.as_mut().unwrap();
        life.ask(&[Step::Refused]);
        life.await_steps(1, &mut self.ledger);
        self.way(true);
        let counted = self.life.as_mut().unwrap().drain(&mut self.ledger);
        self.did("drained");
        // What the platform is told of it.
        let Dropped { events, callbacks, refused, damaged } = counted;
        let told =
            json!({ "events": events, "callbacks": callbacks, "refused": refused, "damaged": damaged });
        self.stage.ear.hears_count(self.place, &self.device, &told);
        self.stage.ear.catch_up();
        let came = self.came();
        self.life.take().unwrap().end(false, &mut self.ledger);
        let tally = &mut self.stage.tally;
        tally.said += self.ledger.said() as u64;
        let full = matches!(self.theme, Theme::FullFlash | Theme::All);
        let books = self.ledger.make_up(&came, counted, full);
        tally.came += books.came;
        tally.repeated += books.repeated;
        tally.dropped += books.dropped;
        tally.damaged += books.damaged;
        tally.cuts_within += self.stage.proxy.cut_within();
        if matches!(self.theme, Theme::Way | Theme::Power) {
            assert_eq!(
                books.came,
                self.ledger.said() as u64,
                "without a fault of the flash everything comes"
            );
        }
    }
}

/// Where the pieces of a home are.
fn outbox_file(home: &Path) -> PathBuf {
    home.join("outbox.log")
}
