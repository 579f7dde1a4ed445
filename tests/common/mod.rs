//! What the test programs share. Everything that depends on where the tests are built stands here and nowhere else: the
//! program under test, files of the repository, the numbers of a proof.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test program uses its part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails loudly")]

pub mod field;
pub mod judge;
pub mod line;
pub mod messages;
pub mod quiet;
pub mod trial;
pub mod validator;
pub mod wire;
pub mod world;

use std::path::PathBuf;

/// The program under test. It plays the servers of the demo world too.
pub fn agent_binary() -> &'static str {
    env!("CARGO_BIN_EXE_linekeeper-agent")
}

/// Where a file of the repository is.
pub fn repository_path(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The text of a file of the repository.
pub fn repository_text(path: &str) -> String {
    std::fs::read_to_string(repository_path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The version of the program under test.
pub fn agent_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The quick number of a proof, or with `LINEKEEPER_PROOF=full` the one that takes its time.
pub fn proof<T>(quick: T, full: T) -> T {
    match std::env::var("LINEKEEPER_PROOF").as_deref() {
        Ok("full") => full,
        Ok("") | Err(_) => quick,
        Ok(other) => panic!("LINEKEEPER_PROOF is full or not set, not {other:?}"),
    }
}
