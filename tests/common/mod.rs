//! What the test programs share: the program under test, files of the repository, and the sizes of the long tests.
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

/// The program under test. It also provides the servers of the demo's world.
pub fn agent_binary() -> &'static str {
    env!("CARGO_BIN_EXE_linekeeper-agent")
}

/// The path of a file in the repository.
pub fn repository_path(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The content of a file in the repository.
pub fn repository_text(path: &str) -> String {
    std::fs::read_to_string(repository_path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The version of the program under test.
pub fn agent_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// `quick`, or `full` with `LINEKEEPER_PROOF=full`.
pub fn proof<T>(quick: T, full: T) -> T {
    match std::env::var("LINEKEEPER_PROOF").as_deref() {
        Ok("full") => full,
        Ok("") | Err(_) => quick,
        Ok(other) => panic!("LINEKEEPER_PROOF is full or not set, not {other:?}"),
    }
}
