//! The pure crates stay pure: what a crate does not depend on it cannot touch.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::BTreeSet;
use std::process::Command;

/// The crates that `package` depends on, outside of tests and build scripts.
fn dependencies(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let mut tree = Command::new(cargo);
    tree.args(["tree", "--locked", "--edges", "normal", "--depth", "1", "--prefix", "none"]);
    tree.args(["--format", "{p}", "--all-features", "--target", "all", "--package", package]);
    let out = tree.current_dir(crate::common::repository_path("")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let names = text.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned());
    names.filter(|name| !name.is_empty() && name != package).collect()
}

#[test]
fn the_pure_crates_depend_on_serde_and_each_other_alone() {
    let expected: [(&str, &[&str]); 3] = [
        ("linekeeper-contract", &["serde", "serde_json"]),
        ("linekeeper-judge", &["linekeeper-contract", "serde", "serde_json"]),
        ("linekeeper-proving", &["linekeeper-contract", "linekeeper-judge", "serde", "serde_json"]),
    ];
    for (package, allowed) in expected {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| name.to_string()).collect();
        assert_eq!(dependencies(package), allowed, "{package}");
    }
    // A question that always gives the same answer would pass everything above.
    assert!(dependencies("linekeeper").contains("tokio"));
}
