//! The outbox under what flash and power do to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a trial that cannot go on fails by it"
)]

use crate::common::messages::{callback, event};
use crate::common::trial::{Test, here, play};
use crate::common::world;
use linekeeper::act::outbox::{Dropped, Known, Outbox};
use linekeeper_contract::message::Critical;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const ROOM: u64 = 1 << 20;
/// Tells the writer where its outbox is.
const PLACE: &str = "LINEKEEPER_OUTBOX_TEST_PLACE";

/// The part of a process that puts and delivers without end.
pub const WRITER: &str = "outbox-writer";

pub fn tests() -> Vec<Test> {
    let mut tests = here![
        messages_leave_in_order_and_each_number_is_stored_once,
        tail_torn_at_any_byte_loses_no_complete_message,
        random_damage_loses_only_the_damaged_lines,
        damaged_messages_are_counted_or_restored_from_the_snapshot,
        full_outbox_drops_events_before_callbacks_and_counts_them,
        dead_lines_are_cleared_and_the_highest_number_stays,
        messages_of_an_earlier_life_are_sent_first,
        process_killed_at_any_moment_loses_nothing,
        foreign_files_are_set_aside,
    ];
    tests.push(Test::private("full", &["mount"], || on_a_small_disk(on_a_full_disk)));
    tests.push(Test::private("read-only", &["mount"], || on_a_small_disk(on_a_read_only_disk)));
    tests
}

fn numbers(outbox: &Outbox) -> Vec<u64> {
    all(outbox).iter().map(|m| m.number).collect()
}

fn all(outbox: &Outbox) -> Vec<Critical> {
    let mut at = None;
    let mut found = Vec::new();
    while let Some((place, message)) = outbox.after(at) {
        found.push(message);
        at = Some(place);
    }
    found
}

fn deliver(outbox: &mut Outbox, number: u64) {
    let mut at = None;
    while let Some((place, message)) = outbox.after(at) {
        if message.number == number {
            outbox.acknowledge(place);
            return;
        }
        at = Some(place);
    }
    panic!("{number} does not wait");
}

fn open(directory: &Path) -> Outbox {
    let (outbox, troubles) = Outbox::open(directory, ROOM, Known::default());
    assert_eq!(troubles, [""; 0]);
    outbox
}

fn asides(directory: &Path) -> usize {
    fs::read_dir(directory)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("set-aside"))
        .count()
}

fn messages_leave_in_order_and_each_number_is_stored_once() {
    let room = tempfile::tempdir().unwrap();
    let messages = [event(1, "b", 0, 10), callback(2, "b", 0, 10), event(3, "b", 0, 10)];
    let mut outbox = open(room.path());
    outbox.append(&messages).unwrap();
    outbox.append(&messages).unwrap();
    outbox.append(&messages[1..2]).unwrap();
    assert_eq!(all(&outbox), messages);
    assert_eq!(outbox.wear().0, 2, "one for the file, one for the messages, none for what was known");
    deliver(&mut outbox, 1);
    drop(outbox);

    let mut outbox = open(room.path());
    assert_eq!(all(&outbox), messages[1..]);
    for n in [2, 3] {
        deliver(&mut outbox, n);
    }
    drop(outbox);

    let mut outbox = open(room.path());
    assert_eq!((outbox.len(), outbox.bytes(), outbox.highest_number()), (0, 0, 3));
    outbox.append(&messages).unwrap();
    assert!(outbox.is_empty(), "the snapshot's messages of before are known");
}

fn tail_torn_at_any_byte_loses_no_complete_message() {
    let room = tempfile::tempdir().unwrap();
    let mut outbox = open(room.path());
    let messages =
        [event(1, "b", 0, 10), callback(2, "b", 0, 30), event(3, "b", 0, 0), callback(4, "b", 0, 0)];
    outbox.append(&messages).unwrap();
    deliver(&mut outbox, 2);
    drop(outbox);
    let whole = fs::read(room.path().join("outbox.log")).unwrap();

    for cut in 0..=whole.len() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("outbox.log");
        fs::write(&path, &whole[..cut]).unwrap();
        // A line is whole if all but its end is there.
        let written: Vec<&[u8]> = whole[..cut].split(|b| *b == b'\n').collect();
        let lines = |word: &str| {
            let whole_lines: Vec<&[u8]> = whole.split(|b| *b == b'\n').collect();
            written
                .iter()
                .filter(|l| {
                    whole_lines.contains(l) && l.get(9..).is_some_and(|l| l.starts_with(word.as_bytes()))
                })
                .count() as u64
        };
        let put = if cut == 0 { 0 } else { lines("put ") };
        let mut expected: Vec<u64> = (1..=put).collect();
        if put == 4 && lines("done ") == 1 {
            expected.remove(1);
        }
        let (mut outbox, troubles) = Outbox::open(room.path(), ROOM, Known::default());
        assert_eq!(numbers(&outbox), expected, "cut at {cut}");
        let torn = cut > 0 && whole[cut - 1] != b'\n';
        assert_eq!(troubles.len(), usize::from(torn), "cut at {cut}: {troubles:?}");
        assert_eq!(asides(room.path()), usize::from(torn), "cut at {cut}");
        // It goes on from there, and what it writes then is whole.
        let rest: Vec<Critical> = (put + 1..=5).map(|n| event(n, "b", 0, 5)).collect();
        outbox.append(&rest).unwrap();
        expected.extend(put + 1..=5);
        drop(outbox);
        assert_eq!(numbers(&open(room.path())), expected, "cut at {cut}, afterwards");
    }
}

fn random_damage_loses_only_the_damaged_lines() {
    let room = tempfile::tempdir().unwrap();
    let mut outbox = open(room.path());
    outbox.append(&(1..=20).map(|n| event(n, "b", 0, 40)).collect::<Vec<_>>()).unwrap();
    drop(outbox);
    let whole = fs::read(room.path().join("outbox.log")).unwrap();
    let mut random = fastrand::Rng::with_seed(20_261_120);
    for round in 0..300 {
        let mut damaged = whole.clone();
        let mut hit = Vec::new();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..damaged.len());
            let old = damaged[at];
            damaged[at] = random.u8(..);
            if damaged[at] != old {
                hit.push(at);
            }
        }
        // The lines of the original in which no byte changed; a changed line end spoils both its neighbours.
        let mut start = 0;
        let mut expected = Vec::new();
        for (n, line) in whole.split_inclusive(|b| *b == b'\n').enumerate() {
            let end = start + line.len();
            let spoiled = hit.iter().any(|at| (start.saturating_sub(1)..end).contains(at));
            // Two marks come first.
            if n > 1 && !spoiled {
                expected.push(n as u64 - 1);
            }
            start = end;
        }
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("outbox.log"), &damaged).unwrap();
        let (outbox, troubles) = Outbox::open(room.path(), ROOM, Known::default());
        let found = numbers(&outbox);
        // The last line's end is no loss at all, so there may be one more.
        assert!(
            expected.iter().all(|n| found.contains(n)),
            "round {round}: {found:?} lacks some of {expected:?}"
        );
        assert_eq!(troubles.is_empty(), hit.is_empty(), "round {round}: {troubles:?}");
        for message in all(&outbox) {
            assert_eq!(message, event(message.number, "b", 0, 40), "round {round}: never a changed one");
        }
        drop(outbox);
        assert_eq!(numbers(&open(room.path())), found, "round {round}: rewritten whole");

        // The snapshot shows what is missing at the end, too.
        fs::write(room.path().join("outbox.log"), &damaged).unwrap();
        let (outbox, _) = Outbox::open(room.path(), ROOM, Known { given: 20, messages: &[] });
        let lost = 20 - found.len() as u64;
        assert_eq!(outbox.dropped().damaged, lost, "round {round}: each that is lost is counted");
        drop(outbox);
        assert_eq!(open(room.path()).dropped().damaged, lost, "round {round}: also after a restart");
    }
}

fn damaged_messages_are_counted_or_restored_from_the_snapshot() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("outbox.log");
    let messages: Vec<Critical> = (1..=9).map(|n| event(n, "b", 0, 10)).collect();
    let mut outbox = open(room.path());
    outbox.append(&messages).unwrap();
    for n in [1, 2, 4] {
        deliver(&mut outbox, n);
    }
    drop(outbox);
    let spoil = |numbers: &[u64]| {
        let mut text = fs::read_to_string(&path).unwrap();
        for n in numbers {
            text = text.replace(&format!(" put 0 {n} "), &format!(" pot 0 {n} "));
        }
        fs::write(&path, text).unwrap();
    };
    let snapshot = |from: usize| Known { given: 9, messages: &messages[from..] };
    // Delivered, waiting, waiting, and the last, of which the snapshot knows.
    spoil(&[2, 3, 7, 9]);
    let (outbox, troubles) = Outbox::open(room.path(), ROOM, snapshot(7));
    assert!(troubles[0].contains("2 are lost"), "{troubles:?}");
    assert_eq!((numbers(&outbox), outbox.dropped().damaged), (vec![5, 6, 8, 9], 2));
    drop(outbox);

    // Written anew since: the marks tell, not the row of numbers. The snapshot gives 8 back, into its place.
    spoil(&[5, 8]);
    let (outbox, _) = Outbox::open(room.path(), ROOM, snapshot(7));
    assert_eq!((numbers(&outbox), outbox.dropped().damaged), (vec![6, 8, 9], 3));
    drop(outbox);
    let mut outbox = open(room.path());
    assert_eq!((numbers(&outbox), outbox.dropped().damaged), (vec![6, 8, 9], 3), "on flash too");

    // The last line, and a snapshot of later, with no messages: that there was one is known by its number, in this life
    // and not only when the next message comes. A known message is not taken for it.
    outbox.append(&[event(10, "b", 0, 10), event(11, "b", 0, 10)]).unwrap();
    drop(outbox);
    spoil(&[11]);
    let later = Known { given: 11, messages: &[] };
    let (outbox, _) = Outbox::open(room.path(), ROOM, later);
    assert_eq!((numbers(&outbox), outbox.dropped().damaged), (vec![6, 8, 9, 10], 4));
    drop(outbox);
    let (mut outbox, troubles) = Outbox::open(room.path(), ROOM, later);
    assert_eq!((troubles.len(), outbox.dropped().damaged, outbox.highest_number()), (0, 4, 11));
    outbox.append(&[event(11, "b", 0, 10), event(12, "b", 0, 10)]).unwrap();
    assert_eq!(numbers(&outbox), [6, 8, 9, 10, 12]);
    for n in [10, 12] {
        deliver(&mut outbox, n);
    }
    drop(outbox);
    spoil(&[6]);
    let (mut outbox, _) = Outbox::open(room.path(), ROOM, Known::default());
    assert_eq!((numbers(&outbox), outbox.dropped().damaged), (vec![8, 9], 5));

    // Either mark will do.
    outbox.append(&[event(13, "b", 0, 10)]).unwrap();
    deliver(&mut outbox, 13);
    drop(outbox);
    for (mark, part) in [(0, "first"), (1, "last")] {
        let text = fs::read_to_string(&path).unwrap();
        let at = text.match_indices(" mark ").nth(mark).unwrap().0;
        let damaged = format!("{} bark {}", &text[..at], &text[at + 6..]);
        fs::write(&path, &damaged).unwrap();
        let (outbox, troubles) = Outbox::open(room.path(), ROOM, Known::default());
        assert_eq!(troubles.len(), 1);
        assert_eq!((numbers(&outbox), outbox.dropped().damaged), (vec![8, 9], 5), "without the {part}");
        drop(outbox);
        fs::write(&path, &text).unwrap();
    }
}

fn full_outbox_drops_events_before_callbacks_and_counts_them() {
    let room = tempfile::tempdir().unwrap();
    let size = |m: &Critical| {
        let room = tempfile::tempdir().unwrap();
        let mut outbox = open(room.path());
        outbox.append(std::slice::from_ref(m)).unwrap();
        outbox.bytes()
    };
    let (e, c) = (size(&event(10, "b", 0, 100)), size(&callback(10, "b", 0, 100)));
    // Room for two of each; all numbers have two digits, so all events and all callbacks are of one size.
    let limit = 2 * e + 2 * c;
    let (mut outbox, _) = Outbox::open(room.path(), limit, Known::default());
    let of = |kinds: &str, from: u64| -> Vec<Critical> {
        let make = |(n, k): (usize, char)| match k {
            'e' => event(from + n as u64, "b", 0, 100),
            _ => callback(from + n as u64, "b", 0, 100),
        };
        kinds.chars().enumerate().map(make).collect()
    };
    outbox.append(&of("ecec", 10)).unwrap();
    assert_eq!(numbers(&outbox), [10, 11, 12, 13]);
    outbox.append(&of("e", 14)).unwrap();
    assert_eq!(numbers(&outbox), [11, 12, 13, 14], "the oldest event");
    assert!((e..2 * e).contains(&c), "a callback takes the place of one event or two: {e} {c}");
    outbox.append(&of("c", 15)).unwrap();
    assert_eq!(numbers(&outbox), [11, 13, 15], "each event before any callback");
    outbox.append(&of("c", 16)).unwrap();
    assert_eq!(numbers(&outbox), [13, 15, 16], "then the oldest callback");
    outbox.append(&of("e", 17)).unwrap();
    assert_eq!(numbers(&outbox), [13, 15, 16], "an event that only callbacks could make room for");
    outbox.append(&[callback(18, "b", 0, 5_000)]).unwrap();
    assert!(outbox.is_empty(), "what is larger than the outbox");
    drop(outbox);
    let (outbox, _) = Outbox::open(room.path(), limit, Known::default());
    let Dropped { events, callbacks, .. } = outbox.dropped();
    assert_eq!((events, callbacks), (4, 5), "also after a restart");
}

fn dead_lines_are_cleared_and_the_highest_number_stays() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("outbox.log");
    let mut outbox = open(room.path());
    let mut largest = 0;
    for n in 1..=400 {
        outbox.append(&[event(n, "b", 0, 500)]).unwrap();
        deliver(&mut outbox, n);
        largest = largest.max(fs::metadata(&path).unwrap().len());
    }
    assert!(largest < 20_000, "{largest}");
    let (writes, bytes) = outbox.wear();
    assert!((800..880).contains(&writes), "{writes}");
    assert!(bytes < 400 * 1_500, "{bytes}");
    drop(outbox);
    let mut outbox = open(room.path());
    assert_eq!(outbox.highest_number(), 400);
    outbox.append(&[event(399, "b", 0, 0), event(400, "b", 0, 0), event(401, "b", 0, 0)]).unwrap();
    assert_eq!(numbers(&outbox), [401]);
}

/// A file in which the numbers began anew, as earlier versions wrote it when the snapshot was lost.
fn messages_of_an_earlier_life_are_sent_first() {
    let room = tempfile::tempdir().unwrap();
    let mut outbox = open(room.path());
    outbox.append(&[event(1, "old", 0, 0), event(2, "old", 0, 0), event(3, "old", 0, 0)]).unwrap();
    drop(outbox);
    let mark = "mark 1 0 0 0 0 0 0.1-3";
    let mut file = fs::File::options().append(true).open(room.path().join("outbox.log")).unwrap();
    writeln!(file, "{:08x} {mark}", linekeeper::act::durable::crc32(mark.as_bytes())).unwrap();
    let mut outbox = open(room.path());
    outbox.append(&[event(1, "new", 0, 0), event(2, "new", 0, 0)]).unwrap();
    assert_eq!(numbers(&outbox), [1, 2, 3, 1, 2]);
    let (first, _) = outbox.after(None).unwrap();
    assert!(!outbox.is_current(first));
    outbox.acknowledge(first);
    drop(outbox);
    let outbox = open(room.path());
    assert_eq!(numbers(&outbox), [2, 3, 1, 2]);
    assert_eq!(outbox.highest_number(), 2);
    assert!(outbox.is_current(
        outbox.after(None).map(|(p, _)| linekeeper::act::outbox::Place { life: 1, ..p }).unwrap()
    ));
}

/// The second process: puts and delivers without end, and says what is durable.
pub fn write_until_killed() -> ExitCode {
    let Some(directory) = std::env::var_os(PLACE).map(PathBuf::from) else { return ExitCode::FAILURE };
    let (mut outbox, _) = Outbox::open(&directory, ROOM, Known::default());
    let mut said = std::io::stdout();
    for n in outbox.highest_number() + 1.. {
        if outbox.append(&[event(n, "b", 0, usize::try_from(n % 700).unwrap_or(0))]).is_err() {
            return ExitCode::FAILURE;
        }
        if said.write_all(format!("{n}\n").as_bytes()).and_then(|()| said.flush()).is_err() {
            return ExitCode::FAILURE;
        }
        // Every third stays, so that rewrites have something to carry.
        let leaves = n % 3 != 0 || outbox.len() > 40;
        if let Some((place, _)) = outbox.after(None).filter(|_| leaves) {
            outbox.acknowledge(place);
        }
    }
    ExitCode::SUCCESS
}

fn process_killed_at_any_moment_loses_nothing() {
    let mut random = fastrand::Rng::with_seed(7);
    let room = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..24 {
        let mut writer = play(WRITER).env(PLACE, room.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(writer.stdout.take().unwrap()).lines();
        let until = last + random.u64(1..60);
        while last < until {
            last = said.next().unwrap().unwrap().parse().unwrap();
        }
        // Spreads the moment of death over the writer's steps.
        for _ in 0..random.u32(..20_000) {
            std::hint::spin_loop();
        }
        writer.kill().unwrap();
        for line in said.map_while(Result::ok) {
            last = line.parse().unwrap();
        }
        writer.wait().unwrap();
        let (outbox, _) = Outbox::open(room.path(), ROOM, Known::default());
        let found = numbers(&outbox);
        assert!(
            outbox.highest_number() >= last,
            "round {round}: {last} was durable, {} is the highest",
            outbox.highest_number()
        );
        // It delivers from the front, so what is left is a row without holes.
        let first = found.first().copied().unwrap_or(outbox.highest_number() + 1);
        assert_eq!(found, (first..=outbox.highest_number()).collect::<Vec<_>>(), "round {round}");
        last = outbox.highest_number();
    }
    assert!(asides(room.path()) <= 3);
}

fn foreign_files_are_set_aside() {
    for content in [&b"\0\0\0\0"[..], b"hello\n", b"\n\n\n", &[0xff; 100_000]] {
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("outbox.log"), content).unwrap();
        let (mut outbox, troubles) = Outbox::open(room.path(), ROOM, Known::default());
        assert!(troubles[0].contains("damaged") && troubles[0].contains("set-aside-1"), "{troubles:?}");
        outbox.append(&[event(1, "b", 0, 0)]).unwrap();
        assert_eq!(numbers(&open(room.path())), [1]);
    }
    let room = tempfile::tempdir().unwrap();
    fs::create_dir(room.path().join("outbox.log")).unwrap();
    let (mut outbox, troubles) = Outbox::open(room.path(), ROOM, Known::default());
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    outbox.append(&[event(1, "b", 0, 0)]).unwrap();
    assert_eq!(numbers(&open(room.path())), [1]);
}

// The rest runs in a mount namespace of its own, which dies with its process.

/// Gives a room of 256 KiB.
fn on_a_small_disk(test: fn(&Path)) {
    let room = tempfile::tempdir().unwrap();
    world::run(&format!("mount -t tmpfs -o size=256k none {}", room.path().display())).unwrap();
    test(room.path());
    world::run(&format!("umount {}", room.path().display())).unwrap();
}

fn on_a_full_disk(place: &Path) {
    let directory = place.join("store");
    let (mut outbox, troubles) = Outbox::open(&directory, ROOM, Known::default());
    assert_eq!(troubles, [""; 0]);
    outbox.append(&[event(1, "b", 0, 0)]).unwrap();
    let ballast = place.join("ballast");
    // Ends with an error, when nothing more goes in.
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write_all(&[1; 512]).is_ok() {}
    drop(file);
    let mut failed = String::new();
    let mut n = 1;
    while failed.is_empty() {
        n += 1;
        failed = outbox.append(&[event(n, "b", 0, 900)]).err().unwrap_or_default();
        assert!(n < 100, "the disk never got full");
    }
    assert!(failed.contains("full") && failed.contains("outbox.log"), "{failed}");
    assert!(outbox.trouble().is_some());
    assert_eq!(numbers(&outbox), (1..=n).collect::<Vec<_>>(), "in memory all of them");
    // What is on flash is still whole: another start finds what was written before.
    let (before, _) = Outbox::open(&directory, ROOM, Known::default());
    assert!(numbers(&before).starts_with(&[1]));
    let written = before.highest_number();
    drop(before);
    // The rest is for the snapshot to keep, as much as that may take: the oldest first.
    let few = outbox.unwritten();
    assert_eq!(few.iter().map(|m| m.number).collect::<Vec<_>>(), (written + 1..=n).collect::<Vec<_>>());
    assert!(!few.is_empty());
    for more in n + 1..n + 40 {
        assert!(outbox.append(&[event(more, "b", 0, 900)]).is_err());
    }
    let many = outbox.unwritten();
    assert!(many.starts_with(&few) && (9..20).contains(&many.len()), "{}", many.len());
    // Another life has them from there, also when it cannot write them either: then its snapshots keep them.
    let (next, _) = Outbox::open(&directory, ROOM, Known { given: n + 39, messages: &many });
    assert_eq!(numbers(&next), (1..=written + many.len() as u64).collect::<Vec<_>>());
    assert_eq!(next.unwritten(), many);
    drop(next);
    deliver(&mut outbox, 1);
    fs::remove_file(&ballast).unwrap();
    outbox.retry().unwrap();
    assert!(outbox.trouble().is_none() && outbox.unwritten().is_empty());
    drop(outbox);
    let (again, _) = Outbox::open(&directory, ROOM, Known::default());
    assert_eq!(numbers(&again), (2..n + 40).collect::<Vec<_>>());
}

fn on_a_read_only_disk(place: &Path) {
    let remount = |how: &str| {
        let done = Command::new("mount").args(["-o", how]).arg(place).status().unwrap();
        assert!(done.success());
    };
    let directory = place.join("store");
    Outbox::open(&directory, ROOM, Known::default()).0.append(&[event(1, "b", 0, 0)]).unwrap();
    remount("remount,bind,ro");
    let (mut outbox, troubles) = Outbox::open(&directory, ROOM, Known::default());
    assert!(troubles.len() == 1 && troubles[0].contains("read-only"), "{troubles:?}");
    assert!(outbox.append(&[event(2, "b", 0, 0)]).unwrap_err().contains("read-only"));
    assert_eq!(numbers(&outbox), [1, 2]);
    let (mut nowhere, troubles) = Outbox::open(&place.join("other"), ROOM, Known::default());
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    assert!(nowhere.append(&[event(1, "b", 0, 0)]).is_err());
    assert_eq!(numbers(&nowhere), [1]);
    let (mut store, found) = linekeeper::act::store::Store::open(&place.join("other"));
    assert_eq!(found.troubles.len(), 1, "{:?}", found.troubles);
    let kept = linekeeper::act::store::Snapshot {
        version: 1,
        boot_id: String::new(),
        base: linekeeper_contract::units::Mono(0),
        saved_at: linekeeper_contract::units::Mono(0),
        judge: serde_json::Value::Null,
        messages: Vec::new(),
    };
    assert!(store.save(&kept).unwrap_err().contains("read-only"));
    remount("remount,bind,rw");
    outbox.append(&[event(3, "b", 0, 0)]).unwrap();
    drop(outbox);
    assert_eq!(numbers(&Outbox::open(&directory, ROOM, Known::default()).0), [1, 2, 3]);
}
