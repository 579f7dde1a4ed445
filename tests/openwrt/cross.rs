//! What says how routers are built says the same everywhere: the script, the containers' file, the checks and the tables.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::trial::{Test, here};
use crate::common::{repository_path, repository_text};
use std::collections::BTreeSet;
use std::process::Command;

pub fn tests() -> Vec<Test> {
    here![
        all_tables_list_the_five_targets,
        ci_builds_and_verifies_them_all,
        scripts_refuse_unknown_targets,
        router_builds_use_the_small_profile,
        containerfile_builds_what_the_script_builds,
    ]
}

/// `cross/targets`: name and triple.
fn targets() -> Vec<(String, String)> {
    let text = repository_text("cross/targets");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let targets = lines.map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [name, triple] => (name.to_owned(), triple.to_owned()),
        _ => panic!("cross/targets: {line:?} is no name and triple"),
    });
    targets.collect()
}

/// The word after `option` in the command that begins with `program`, its lines joined.
fn option(text: &str, program: &str, option: &str) -> String {
    let begin = text.find(program).unwrap_or_else(|| panic!("there is no {program:?}"));
    let joined = text[begin..].replace("\\\n", " ").replace("#   ", " ");
    let command = joined.lines().next().unwrap();
    let mut words = command.split_whitespace();
    words.find(|word| *word == option).unwrap_or_else(|| panic!("{command:?} has no {option}"));
    words.next().unwrap_or_else(|| panic!("{command:?} ends with {option}")).to_owned()
}

fn all_tables_list_the_five_targets() {
    let targets = targets();
    assert_eq!(targets.len(), 5);
    let cross = repository_text("cross/README.md");
    for (name, triple) in &targets {
        assert!(cross.contains(&format!("| `{name}` | {triple} |")), "cross/README.md: {name}");
        assert!(cross.contains(&format!("\n| {name} (")), "cross/README.md has no size of {name}");
    }
}

fn ci_builds_and_verifies_them_all() {
    let ci = repository_text(".ci/run");
    for command in ["cross/build all", "cross/verify all"] {
        assert!(ci.lines().any(|line| !line.trim().starts_with('#') && line.contains(command)), "{command}");
    }
}

fn scripts_refuse_unknown_targets() {
    for script in ["build", "qemu"] {
        let path = repository_path("cross").join(script);
        let out = Command::new("bash").arg(path).arg("sparc").output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{script}: {said}");
        assert!(said.contains("unknown target sparc"), "{script}: {said}");
        assert!(targets().iter().all(|(name, _)| said.contains(name.as_str())), "{script}: {said}");
    }
}

/// What a router gets, as the size budget and the panic-free unwinding tables stand on it.
fn router_builds_use_the_small_profile() {
    let cargo: toml::Table = repository_text("Cargo.toml").parse().unwrap();
    let router = &cargo["profile"]["router"];
    assert_eq!(router["opt-level"].as_str(), Some("z"));
    assert_eq!(router["lto"].as_str(), Some("fat"));
    assert_eq!(router["codegen-units"].as_integer(), Some(1));
    assert_eq!(router["panic"].as_str(), Some("abort"));
}

/// No container is run here: what the `cross` tool would refuse or build otherwise is found by reading.
fn containerfile_builds_what_the_script_builds() {
    let text = repository_text("cross/Cross.toml");
    let file: toml::Table = text.parse().expect("Cross.toml is TOML");
    let keys: BTreeSet<&str> = file.keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["build"]), "what holds for all targets stands in [build]");
    let build = file["build"].as_table().unwrap();
    // The keys that `cross` knows there.
    let known = ["build-std", "default-target", "dockerfile", "env", "pre-build", "xargo", "zig"];
    assert!(build.keys().all(|key| known.contains(&key.as_str())), "{build:?}");
    let script = repository_text("cross/build");
    let crates = build["build-std"].as_array().unwrap();
    let crates: Vec<&str> = crates.iter().map(|name| name.as_str().unwrap()).collect();
    assert!(script.contains(&format!("-Zbuild-std={} ", crates.join(","))), "{crates:?}");
    let passed: Vec<_> = build["env"]["passthrough"].as_array().unwrap().iter().map(|v| v.as_str()).collect();
    assert_eq!(passed, [Some("RUSTFLAGS")]);
    for word in ["--profile", "-p"] {
        let (ours, theirs) =
            (option(&script, "cargo zigbuild", word), option(&text, "cross +nightly build", word));
        assert_eq!(ours, theirs, "{word}");
    }
    assert!(script.contains("--no-default-features") && text.contains("--no-default-features"));
    let named = option(&text, "cross +nightly build", "--target");
    assert!(targets().iter().any(|(_, triple)| *triple == named), "{named}");
}
