//! Hostile bytes for every parser: the committed corpora, and some thousand deterministic mutations of them. What a longer
//! run finds is put into the corpora and fails here from then on.
//!
//! `LINEKEEPER_HOSTILE_ROUNDS` changes how many mutations of each there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

#[path = "../fuzz/targets.rs"]
mod targets;

use crate::common::trial::Test;
use crate::common::{repository_path, repository_text};
use linekeeper_proving::simulate::random::Random;
use std::collections::BTreeSet;
use targets::{TARGETS, Target};

/// Mutations of each target: some seconds in all on a slow machine.
const ROUNDS: usize = 3_000;
/// What parsers stumble over.
const WORDS: &[&str] = &[
    "\0",
    "\r\n",
    "\n\n",
    "\"",
    "{",
    "}",
    "[[",
    "]]",
    "=",
    ",",
    ":",
    "-1",
    "1e400",
    "NaN",
    "18446744073709551616",
    "9223372036854775808",
    "0.0000000000001",
    "\u{feff}",
    "\u{5ba2}",
    "null",
    "true",
    "2026-02-30T25:61:61+99:99",
    "Content-Length: 99999999999999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "HTTP/1.1 200 ",
    "\u{7f}",
    "..",
];

fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let n = bytes.len() as u32;
        let at = random.below(n + 1) as usize;
        match random.below(8) {
            0 if n > 0 => bytes[at.min(n as usize - 1)] ^= 1 << random.below(8),
            1 if n > 0 => bytes[at.min(n as usize - 1)] = random.below(256) as u8,
            2 => bytes.truncate(at),
            3 => {
                let word = WORDS[random.below(WORDS.len() as u32) as usize];
                bytes.splice(at..at, word.bytes());
            }
            4 => {
                // A piece of it again.
                let end = (at + random.below(64) as usize).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let end = (at + random.below(32) as usize).min(bytes.len());
                bytes.drain(at..end);
            }
            6 => {
                // The end of another one.
                let other = &others[random.below(others.len() as u32) as usize];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len() as u32 + 1) as usize..]);
            }
            _ if n >= 4 => {
                // A number at its end.
                let at = at.min(n as usize - 4);
                let value: u32 = [0, 1, u32::MAX, 0x7fff_ffff, 0xffff][random.below(5) as usize];
                bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            }
            _ => {}
        }
        bytes.truncate(64 * 1024);
    }
}

fn attack((name, parse): Target) {
    let folder = repository_path("tests/fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{name} has no corpus: {e}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(corpus.len() >= 3, "{name}: a corpus of {} files is none", corpus.len());
    let try_it = |bytes: &[u8], what: &str| {
        let outcome = std::panic::catch_unwind(|| parse(bytes));
        if outcome.is_err() {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)]).into_owned();
            panic!("{name} panics at {what}: {shown:?}; put it into {}", folder.display());
        }
    };
    for (bytes, file) in corpus.iter().zip(&files) {
        try_it(bytes, &file.display().to_string());
        // Cut off anywhere.
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 400) {
            try_it(&bytes[..end], &format!("the first {end} bytes of {}", file.display()));
        }
    }
    let rounds =
        std::env::var("LINEKEEPER_HOSTILE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    for round in 0..rounds {
        let mut random = Random::new(round as u64);
        let mut bytes = corpus[random.below(corpus.len() as u32) as usize].clone();
        mutate(&mut bytes, &corpus, &mut random);
        try_it(&bytes, &format!("mutation {round}"));
    }
}

/// `tests/fuzz/run` builds with `--locked`, and its lock file is its own: what we depend on must stand there.
fn lock_file_fits() {
    let read = |name: &str| repository_text(name).parse::<toml::Table>().unwrap();
    let (manifest, lock) = (read("src/gateway/Cargo.toml"), read("tests/fuzz/Cargo.lock"));
    let packages = lock["package"].as_array().unwrap();
    let ours = packages.iter().find(|p| p["name"].as_str() == Some("linekeeper")).unwrap();
    let locked = ours["dependencies"].as_array().unwrap().iter().filter_map(toml::Value::as_str);
    // A name that is there in two versions is followed by the version.
    let locked: BTreeSet<&str> = locked.filter_map(|d| d.split(' ').next()).collect();
    let wanted = manifest["dependencies"].as_table().unwrap();
    let gone: Vec<_> = locked.iter().filter(|d| !wanted.contains_key(**d)).collect();
    let always = wanted.iter().filter(|(_, of)| of.get("optional").is_none()).map(|(name, _)| name.as_str());
    let new: Vec<_> = always.filter(|name| !locked.contains(name)).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "tests/fuzz/Cargo.lock has {gone:?} still and {new:?} not yet: cargo metadata --manifest-path tests/fuzz/Cargo.toml"
    );
}

pub fn tests() -> Vec<Test> {
    let attacks = TARGETS.iter().map(|target| Test::here(target.0, || attack(*target)));
    attacks.chain([Test::here("fuzz_lock_file_matches_the_workspace", lock_file_fits)]).collect()
}
