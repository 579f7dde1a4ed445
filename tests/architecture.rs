//! The walls between the parts, checked by a machine: what each part of `src` may not mention, and why.
//!
//! The compiler checks some of it (`--no-default-features`) and clippy some (`.clippy.toml`); this checks the rest, and
//! proves itself by breaking each wall on purpose.

#[path = "architecture/scan.rs"]
mod scan;

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The parts without IO, clock, randomness and async.
const CORE: &[&str] = &[
    "judge",
    "replay",
    "simulate",
    "units",
    "observation",
    "action",
    "message",
    "config",
    "speed",
    "check",
    "json",
    "privacy",
];

/// What something may not mention, and why.
struct Wall {
    why: &'static str,
    /// Paths, with all below them.
    paths: &'static [&'static str],
    methods: &'static [&'static str],
    macros: &'static [&'static str],
    words: &'static [&'static str],
}

const NOTHING: Wall = Wall { why: "", paths: &[], methods: &[], macros: &[], words: &[] };

const CORE_WALLS: &[Wall] = &[
    Wall {
        why: "the core is told the time; a clock read inside it makes a replay differ from what happened",
        paths: &[
            "std::time::Instant",
            "std::time::SystemTime",
            "std::time::UNIX_EPOCH",
            "crate::clock",
            "rustix",
            "libc",
        ],
        methods: &["elapsed"],
        ..NOTHING
    },
    Wall {
        why: "the core does no IO: it must run in a simulator, a test and a replay without touching the world",
        paths: &[
            "std::fs",
            "std::io",
            "std::env",
            "std::process",
            "std::os",
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
            "std::net::ToSocketAddrs",
            "std::net::Incoming",
            "pnet",
            "sysinfo",
            "surge_ping",
            "rumqttc",
            "rustls",
            "netlink_sys",
            "netlink_packet_core",
            "netlink_packet_route",
            "tracing",
            "tracing_subscriber",
        ],
        methods: &[
            "exists",
            "try_exists",
            "is_file",
            "is_dir",
            "is_symlink",
            "canonicalize",
            "read_dir",
            "read_link",
            "metadata",
            "symlink_metadata",
            "to_socket_addrs",
        ],
        macros: &["print", "println", "eprint", "eprintln", "dbg"],
        ..NOTHING
    },
    Wall {
        why: "the core neither waits nor runs beside itself: equal histories must give equal actions",
        paths: &["tokio", "std::thread", "std::sync::mpsc", "std::future", "std::task"],
        macros: &["thread_local"],
        words: &["async", "await"],
        ..NOTHING
    },
    Wall {
        why: "the core has no randomness, also not that of a hash map's order",
        paths: &[
            "rand",
            "fastrand",
            "std::collections::HashMap",
            "std::collections::HashSet",
            "std::collections::hash_map",
            "std::collections::hash_set",
            "std::hash::RandomState",
            "std::hash::DefaultHasher",
        ],
        ..NOTHING
    },
    Wall {
        why: "the core knows nothing of those who use it",
        paths: &["crate::sense", "crate::act", "crate::run", "crate::lab", "crate::ground"],
        ..NOTHING
    },
];

const SENSE_WALL: Wall = Wall {
    why: "a sensor tells what it saw; what it means is the judge's, what follows is act's: no threshold hides in sense",
    paths: &["crate::judge", "crate::act", "crate::run", "crate::lab"],
    ..NOTHING
};

const ACT_WALL: Wall = Wall {
    why: "act knows how and not why: what it did comes back as an observation, not by a look at the judge or a sensor",
    paths: &["crate::judge", "crate::sense", "crate::run", "crate::lab"],
    ..NOTHING
};

/// `netifd`, `program` and `trust` are used by sensors and actors alike.
const SHARED_WALL: Wall = Wall {
    why: "what sensors and actors both use belongs to neither, and decides nothing",
    paths: &["crate::judge", "crate::sense", "crate::act", "crate::run", "crate::lab"],
    ..NOTHING
};

const GROUND_WALL: Wall = Wall {
    why: "the proving ground has files, threads and tables around the core; nothing in it is part of a running daemon",
    paths: &["crate::sense", "crate::act", "crate::run", "crate::lab", "tokio"],
    ..NOTHING
};

const CLOCK_WALL: Wall = Wall {
    why: "time enters in one place, src/clock.rs; everything else is told",
    paths: &[
        "std::time::Instant::now",
        "std::time::SystemTime::now",
        "std::time::UNIX_EPOCH",
        "std::time::SystemTime::UNIX_EPOCH",
        "tokio::time::Instant::now",
        "rustix::time::clock_gettime",
        "rustix::time::clock_gettime_dynamic",
        "libc::clock_gettime",
        "libc::gettimeofday",
        "libc::time",
    ],
    methods: &["elapsed"],
    ..NOTHING
};

const UNSAFE_WALL: Wall = Wall {
    why: "what the compiler cannot check stands in few places, src/clock.rs, src/crash.rs and src/sense/access/wire.rs, with \
          its argument",
    words: &["unsafe"],
    ..NOTHING
};

/// Seen under qemu with rustix 1.1.6 and libc 0.2.191: rustix takes `time_t` for 64 bits wide on 32-bit musl, libc's
/// `clock_gettime` there writes 32, and what comes back is half rubbish. libc's own types agree with its own functions.
const TIMESPEC_WALL: Wall = Wall {
    why: "rustix reads times wrongly on 32-bit MIPS with musl, silently; use std, or libc in src/clock.rs",
    paths: &[
        "rustix::time",
        "rustix::thread::nanosleep",
        "rustix::thread::clock_nanosleep_absolute",
        "rustix::thread::clock_nanosleep_relative",
        "rustix::thread::futex",
        "rustix::event::poll",
        "rustix::event::epoll",
        "rustix::fs::stat",
        "rustix::fs::fstat",
        "rustix::fs::lstat",
        "rustix::fs::statat",
        "rustix::fs::futimens",
        "rustix::fs::utimensat",
        "rustix::net::sockopt::socket_timeout",
        "rustix::net::sockopt::set_socket_timeout",
    ],
    ..NOTHING
};

/// 655 of the router's 3296 KiB were one type's reader several times over, before there was one way.
const JSON_WALL: Wall = Wall {
    why: "each reader and writer of JSON is code of its own for every type; src/json.rs has the one that a router pays for",
    paths: &[
        "serde_json::from_reader",
        "serde_json::from_slice",
        "serde_json::from_str",
        "serde_json::from_value",
        "serde_json::to_string",
        "serde_json::to_string_pretty",
        "serde_json::to_value",
        "serde_json::to_vec",
        "serde_json::to_vec_pretty",
        "serde_json::to_writer",
        "serde_json::to_writer_pretty",
    ],
    ..NOTHING
};

/// The module of a file below `src`: `judge/outage.rs` is `["judge", "outage"]`.
fn module(file: &str) -> Vec<&str> {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let mut parts: Vec<&str> = stem.split('/').collect();
    if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
        parts.pop();
    }
    parts
}

/// Everything that `file` (below `src`) mentions and may not, in words.
fn offences(file: &str, source: &str) -> Vec<String> {
    let module = module(file);
    let part = module.first().copied().unwrap_or("");
    let said = scan::mentions(source, &module);
    let mut walls: Vec<&Wall> = Vec::new();
    if CORE.contains(&part) {
        walls.extend(CORE_WALLS);
    }
    match part {
        "sense" => walls.push(&SENSE_WALL),
        "act" => walls.push(&ACT_WALL),
        "ground" => walls.push(&GROUND_WALL),
        "netifd" | "program" | "trust" => walls.push(&SHARED_WALL),
        _ => {}
    }
    if file != "clock.rs" {
        walls.push(&CLOCK_WALL);
    }
    if !matches!(file, "clock.rs" | "crash.rs" | "sense/access/wire.rs") {
        walls.push(&UNSAFE_WALL);
    }
    if part != "lab" {
        walls.push(&TIMESPEC_WALL);
    }
    // What is in no router's build may; `config::text` reads a tree of its own, that refuses a key given twice.
    if !matches!(part, "json" | "lab" | "ground" | "simulate") && file != "config/text.rs" {
        walls.push(&JSON_WALL);
    }
    let mut found = Vec::new();
    for wall in walls {
        let mut tell = |line: usize, what: &str| {
            found.push(format!("src/{file}:{line} mentions `{what}`: {}", wall.why));
        };
        for (path, line) in &said.paths {
            if wall.paths.iter().any(|banned| reaches(path, banned)) {
                tell(*line, path);
            }
        }
        for (mentioned, banned) in
            [(&said.methods, wall.methods), (&said.macros, wall.macros), (&said.words, wall.words)]
        {
            for (name, line) in mentioned.iter().filter(|(name, _)| banned.contains(&name.as_str())) {
                tell(*line, name);
            }
        }
    }
    let names = |part: &str| said.paths.iter().find(|(path, _)| reaches(path, &format!("crate::{part}")));
    if !matches!(part, "run" | "lab" | "sense" | "act")
        && let (Some(_), Some((_, line))) = (names("sense"), names("act"))
    {
        found.push(format!(
            "src/{file}:{line} mentions both `crate::sense` and `crate::act`: src/run.rs wires them together, and so \
             they can be told apart everywhere else"
        ));
    }
    for (module, features, line) in &said.modules {
        if module == "lab" && part.is_empty() && !features.iter().any(|f| f == "lab") {
            found.push(format!(
                "src/{file}:{line} has `mod lab` without #[cfg(feature = \"lab\")]: the demo world is never in a \
                 router's build"
            ));
        }
    }
    found
}

/// Whether `path` is `banned`, or below it, or a glob that brings it in.
fn reaches(path: &str, banned: &str) -> bool {
    let below = |path: &str, of: &str| {
        path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    below(path, banned) || path.strip_suffix("::*").is_some_and(|opened| below(banned, opened))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `dir`, as paths below `src`.
fn files(dir: &Path, below: &str, out: &mut Vec<(String, String)>) -> Result<(), Failed> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            files(&path, &format!("{below}{name}/"), out)?;
        } else if name.ends_with(".rs") {
            out.push((format!("{below}{name}"), std::fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

fn sources() -> Result<Vec<(String, String)>, Failed> {
    let mut all = Vec::new();
    files(&root().join("src"), "", &mut all)?;
    all.sort();
    Ok(all)
}

fn the_walls_stand() -> Result<(), Failed> {
    let found: Vec<String> = sources()?.iter().flat_map(|(file, source)| offences(file, source)).collect();
    if found.is_empty() { Ok(()) } else { Err(format!("\n{}", found.join("\n")).into()) }
}

/// A part that was renamed would otherwise be checked by nobody.
fn every_part_is_known() -> Result<(), Failed> {
    const OTHERS: &[&str] =
        &["sense", "act", "run", "lab", "ground", "netifd", "program", "trust", "clock", "crash", ""];
    for (file, _) in sources()? {
        let module = module(&file);
        let part = module.first().copied().unwrap_or("");
        if !CORE.contains(&part) && !OTHERS.contains(&part) {
            return Err(format!(
                "src/{file} belongs to no part that tests/architecture.rs knows: put it into one, or name it here and say \
                 what it may not mention"
            )
            .into());
        }
    }
    Ok(())
}

/// Each wall broken on purpose, in every way that comes to mind.
fn each_broken_wall_is_seen() -> Result<(), Failed> {
    for (file, source, mentioned) in [
        // The clock.
        ("judge/outage.rs", "fn f() { let t = std::time::Instant::now(); }", "std::time::Instant::now"),
        ("judge/mod.rs", "use std::time::Instant;", "std::time::Instant"),
        ("judge/mod.rs", "use std::time::{Duration, SystemTime};", "std::time::SystemTime"),
        (
            "judge/mod.rs",
            "use std::{fmt, time::{self}};\nfn f() { time::Instant::now(); }",
            "std::time::Instant::now",
        ),
        ("judge/mod.rs", "use std::time as t;\ntype T = t::SystemTime;", "std::time::SystemTime"),
        ("judge/mod.rs", "use std as s;\ntype T = s::time::SystemTime;", "std::time::SystemTime"),
        ("judge/mod.rs", "use ::std::time::*;", "std::time::*"),
        ("judge/mod.rs", "fn f(t: T) { t.elapsed(); }", "elapsed"),
        ("judge/mod.rs", "use crate::clock::Clock;", "crate::clock::Clock"),
        ("units.rs", "use super::clock;", "crate::clock"),
        ("judge/deep/er.rs", "type C = super::super::super::clock::Clock;", "crate::clock::Clock"),
        ("run.rs", "fn f() { std::time::SystemTime::now(); }", "std::time::SystemTime::now"),
        ("sense/echo.rs", "use std::time::Instant;\nfn f() { Instant::now(); }", "std::time::Instant::now"),
        ("act/mqtt.rs", "use tokio::time::Instant as I;\nfn f() { I::now(); }", "tokio::time::Instant::now"),
        ("lab/mod.rs", "fn f() { rustix::time::clock_gettime(id); }", "rustix::time::clock_gettime"),
        ("main.rs", "fn f() { started.elapsed(); }", "elapsed"),
        // JSON.
        ("judge/mod.rs", "fn f() { serde_json::to_value(x); }", "serde_json::to_value"),
        ("act/store.rs", "use serde_json::{Value, from_slice};", "serde_json::from_slice"),
        // IO.
        ("config/read.rs", "use std::fs;", "std::fs"),
        ("config/read.rs", "fn f() { std::fs::read(p); }", "std::fs::read"),
        ("config/mod.rs", "use std::{collections::BTreeMap, io::{self, Read}};", "std::io"),
        ("config/mod.rs", "fn f() { std::env::var(\"X\"); }", "std::env::var"),
        ("replay.rs", "use std::process::Command;", "std::process::Command"),
        ("message.rs", "use std::net::{IpAddr, UdpSocket};", "std::net::UdpSocket"),
        ("message.rs", "use std::net::ToSocketAddrs as _;", "std::net::ToSocketAddrs"),
        ("simulate/mod.rs", "fn f() { println!(\"x\"); }", "println"),
        ("simulate/mod.rs", "fn f() { std::eprintln!(\"x\"); }", "eprintln"),
        ("config/read.rs", "fn f(p: &Path) { p.exists(); }", "exists"),
        ("judge/mod.rs", "use std::*;", "std::*"),
        ("judge/mod.rs", "fn f() { tracing::info!(\"x\"); }", "tracing::info"),
        // Waiting.
        ("judge/mod.rs", "use tokio::sync::mpsc;", "tokio::sync::mpsc"),
        ("judge/mod.rs", "async fn f() {}", "async"),
        ("simulate/world.rs", "fn f() { std::thread::sleep(d); }", "std::thread::sleep"),
        // Randomness.
        ("simulate/world.rs", "fn f() { fastrand::u8(..); }", "fastrand::u8"),
        ("simulate/world.rs", "use rand::Rng;", "rand::Rng"),
        ("action.rs", "use std::collections::{BTreeMap, HashMap};", "std::collections::HashMap"),
        ("action.rs", "type S = std::collections::HashSet<u8>;", "std::collections::HashSet"),
        ("action.rs", "use std::collections::hash_map::Entry;", "std::collections::hash_map::Entry"),
        // Who knows whom.
        ("judge/mod.rs", "use crate::sense::echo;", "crate::sense::echo"),
        ("observation.rs", "use crate::{act, units};", "crate::act"),
        ("sense/echo.rs", "use crate::judge::Outage;", "crate::judge::Outage"),
        ("sense/echo.rs", "use super::super::judge;", "crate::judge"),
        ("sense.rs", "use crate::act::outbox;", "crate::act::outbox"),
        ("sense/echo.rs", "use crate::*;", "crate::*"),
        ("sense/echo.rs", "mod tests { use super::super::super::judge; }", "crate::judge"),
        ("act/remedy/linux.rs", "use crate::{units::Span, judge::Line};", "crate::judge::Line"),
        ("act/outbox.rs", "fn f() { crate::sense::link::look(); }", "crate::sense::link::look"),
        ("act/outbox.rs", "use crate as c;\nfn f() { c::sense::link::look(); }", "crate::sense::link::look"),
        ("ground/simulate.rs", "use crate::run::show;", "crate::run::show"),
        ("replay.rs", "use crate::ground::simulate;", "crate::ground::simulate"),
        ("main.rs", "use linekeeper::sense;\nuse linekeeper::act;", "crate::sense` and `crate::act"),
        ("status.rs", "fn f() { crate::act::a(); crate::sense::b(); }", "crate::sense` and `crate::act"),
        ("lib.rs", "#[cfg(feature = \"daemon\")]\npub mod run;\npub mod lab;", "mod lab"),
        ("lib.rs", "#[cfg(feature = \"daemon\")]\npub mod lab;", "mod lab"),
        // Unsafe.
        ("judge/mod.rs", "fn f() { unsafe { g() } }", "unsafe"),
        ("sense/access/dhcp.rs", "fn f() { unsafe { g() } }", "unsafe"),
        ("sense/access/wire.rs", "fn f() { std::time::SystemTime::now(); }", "std::time::SystemTime::now"),
        ("sense/echo.rs", "unsafe extern \"C\" { fn g(); }", "unsafe"),
        ("main.rs", "fn f() { let x = unsafe { g() }; }", "unsafe"),
        // What is wrong on a router.
        ("clock.rs", "use rustix::time::{ClockId, clock_gettime};", "rustix::time::clock_gettime"),
        ("act/store.rs", "use rustix::fs;\nfn f() { fs::stat(p); }", "rustix::fs::stat"),
        // Behind what looks like a comment or a string and is none.
        ("judge/mod.rs", "const A: &str = \"// \"; use std::fs;", "std::fs"),
        ("judge/mod.rs", "const A: &str = r#\"\" /* \"#; use std::fs;", "std::fs"),
        ("judge/mod.rs", "const A: char = '\"'; use std::fs; const B: char = '\"';", "std::fs"),
        ("judge/mod.rs", "const A: char = '\\''; use std::fs; // '", "std::fs"),
        ("judge/mod.rs", "fn f<'a>(x: &'a str) { std::fs::read(x) }", "std::fs::read"),
        ("judge/mod.rs", "/* a /* nested */ comment */ use std::fs;", "std::fs"),
        ("judge/mod.rs", "macro_rules! m { () => { std::fs::read(x) } }", "std::fs::read"),
    ] {
        let found = offences(file, source);
        if !found.iter().any(|words| words.contains(&format!("`{mentioned}"))) {
            return Err(
                format!("src/{file} with {source:?} must offend by {mentioned}, found {found:?}").into()
            );
        }
    }
    let found = offences("judge/mod.rs", "// one\n/* two\n three */\nuse std::fs;\n");
    if !found.iter().any(|words| words.starts_with("src/judge/mod.rs:4 ")) {
        return Err(format!("the line must be right: {found:?}").into());
    }
    Ok(())
}

/// What is allowed is not seen as an offence.
fn what_is_lawful_passes() -> Result<(), Failed> {
    for (file, source) in [
        ("judge/mod.rs", "/// See [`crate::sense`]. unsafe, std::fs\n//! tokio\n/* std::io */ fn f() {}"),
        (
            "judge/mod.rs",
            "const A: &str = \"std::fs \\\" unsafe\"; const B: &str = r##\"async \"# tokio\"##;",
        ),
        ("judge/mod.rs", "use std::time::Duration;\nuse std::collections::{BTreeMap, BTreeSet};"),
        ("observation.rs", "use std::net::{IpAddr, Ipv4Addr};"),
        ("config/mod.rs", "use std::path::{Path, PathBuf};\npub mod read;\npub use read::read;"),
        ("config/toml.rs", "use ::toml::de::DeTable;"),
        ("judge/mod.rs", "fn f<'a>(x: &'a str, y: std::ops::Range<u8>) { for i in 0..exists {} }"),
        ("units.rs", "mod tests { use super::*; }"),
        (
            "judge/outage.rs",
            "use super::{incident, ladder};\nuse crate::units::Mono;\nmod tests { use super::*; }",
        ),
        ("crash.rs", "fn f() { unsafe { g() } }"),
        ("clock.rs", "fn f() { unsafe { g() }; std::time::SystemTime::now(); }"),
        ("sense/access/wire.rs", "fn f() { unsafe { g() } }"),
        ("act/store.rs", "use rustix::process::{Signal, kill_process};\nuse rustix::fs::fsync;"),
        ("sense/echo.rs", "use crate::observation::Observation;\nuse tokio::time::sleep;\nuse super::link;"),
        ("act/mqtt.rs", "use crate::message::Critical;\nuse rumqttc::v5::AsyncClient;\nuse std::fs;"),
        ("run.rs", "use crate::{act, clock, judge, sense};"),
        ("lab/mod.rs", "use crate::{act, sense};"),
        ("main.rs", "use linekeeper::sense;"),
        (
            "lib.rs",
            "#[cfg(feature = \"daemon\")]\npub mod act;\n#[cfg(feature = \"lab\")]\npub mod lab;\npub mod judge;",
        ),
        ("lib.rs", "#[cfg(all(feature = \"daemon\", feature = \"lab\"))]\n/// The demo world.\npub mod lab;"),
    ] {
        let found = offences(file, source);
        if !found.is_empty() {
            return Err(format!("src/{file} with {source:?} is lawful, found {found:?}").into());
        }
    }
    Ok(())
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// The core stands on serde and serde_json alone.
fn the_core_has_two_dependencies() -> Result<(), Failed> {
    const ALLOWED: &[&str] = &[
        "linekeeper",
        "serde",
        "serde_core",
        "serde_json", // serde_json's own:
        "itoa",
        "memchr",
        "ryu",
        "zmij", // the derive macro's, which do not get into the program:
        "serde_derive",
        "proc-macro2",
        "quote",
        "syn",
        "unicode-ident",
    ];
    let tree = cargo()
        .args([
            "tree",
            "--edges",
            "normal",
            "--no-default-features",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--locked",
        ])
        .output()?;
    if !tree.status.success() {
        return Err(format!("cargo tree failed: {}", String::from_utf8_lossy(&tree.stderr)).into());
    }
    let listed = String::from_utf8(tree.stdout)?;
    let names: Vec<&str> =
        listed.lines().filter_map(|line| line.split(' ').next()).filter(|n| !n.is_empty()).collect();
    if !names.contains(&"serde_json") {
        return Err(format!("cargo tree listed no serde_json: {listed}").into());
    }
    match names.iter().find(|name| !ALLOWED.contains(name)) {
        None => Ok(()),
        Some(stray) => Err(format!(
            "without default features the crate depends on {stray}: the core is to build on serde and serde_json alone, \
             so that everything which touches the world is behind the feature `daemon`"
        )
        .into()),
    }
}

/// Clippy refuses what `.clippy.toml` forbids: a misspelt path there would be silent.
fn clippys_bans_are_alive() -> Result<(), Failed> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    for lint in ["disallowed_methods = \"deny\"", "disallowed_types = \"deny\""] {
        if !manifest.contains(lint) {
            return Err(format!("Cargo.toml does not say {lint}: clippy's bans would only warn").into());
        }
    }
    let project = tempfile::tempdir()?;
    std::fs::create_dir(project.path().join("src"))?;
    std::fs::write(
        project.path().join("Cargo.toml"),
        "[package]\nname = \"offender\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
    )?;
    let banned = [
        ("std::time::Instant::now", "pub fn a() -> std::time::Instant { std::time::Instant::now() }"),
        (
            "std::time::SystemTime::now",
            "pub fn b() -> std::time::SystemTime { std::time::SystemTime::now() }",
        ),
        (
            "std::time::Instant::elapsed",
            "pub fn c(t: std::time::Instant) -> std::time::Duration { t.elapsed() }",
        ),
        (
            "std::time::SystemTime::elapsed",
            "pub fn d(t: std::time::SystemTime) -> bool { t.elapsed().is_ok() }",
        ),
        ("std::collections::HashMap", "pub type E = std::collections::HashMap<u8, u8>;"),
        ("std::collections::HashSet", "pub type F = std::collections::HashSet<u8>;"),
    ];
    let source: Vec<&str> = banned.iter().map(|(_, code)| *code).collect();
    std::fs::write(project.path().join("src/lib.rs"), source.join("\n"))?;
    let clippy = cargo()
        .current_dir(project.path())
        .env("CLIPPY_CONF_DIR", root())
        .env("CARGO_TARGET_DIR", project.path().join("target"))
        .args(["clippy", "--quiet", "--offline", "--", "-D", "clippy::disallowed_methods", "-D"])
        .arg("clippy::disallowed_types")
        .output()?;
    let words = String::from_utf8_lossy(&clippy.stderr);
    for (path, _) in banned {
        if !words.contains(&format!("`{path}`")) {
            return Err(
                format!("clippy lets {path} pass: .clippy.toml is to forbid it. It said:\n{words}").into()
            );
        }
    }
    if clippy.status.success() { Err("clippy only warned".into()) } else { Ok(()) }
}

/// `trial`, or where what it needs is missing, the words of what is missing and an ignored trial. With
/// `LINEKEEPER_REQUIRE_ALL=1` a missing part is a failure.
fn needing(args: &[&str], name: &str, trial: fn() -> Result<(), Failed>) -> Trial {
    let there = cargo().args(args).output().is_ok_and(|output| output.status.success());
    if there {
        return Trial::test(name, trial);
    }
    let missing = format!("{name}: `cargo {}` does not run here", args.join(" "));
    if std::env::var("LINEKEEPER_REQUIRE_ALL").is_ok_and(|v| v == "1") {
        return Trial::test(name, move || Err(missing.into()));
    }
    eprintln!("ignored: {missing}");
    Trial::test(name, || Ok(())).with_ignored_flag(true)
}

fn main() -> ExitCode {
    let trials = vec![
        Trial::test("the_walls_stand", the_walls_stand),
        Trial::test("every_part_is_known", every_part_is_known),
        Trial::test("each_broken_wall_is_seen", each_broken_wall_is_seen),
        Trial::test("what_is_lawful_passes", what_is_lawful_passes),
        needing(&["--version"], "the_core_has_two_dependencies", the_core_has_two_dependencies),
        needing(&["clippy", "--version"], "clippys_bans_are_alive", clippys_bans_are_alive),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
