//! What `simulate` and `backtest` share about files: the parser supplied by the caller, and the kinds of failure.

use linekeeper_judge::config::{Faults, Places};
use serde_json::Value;
use std::fmt;
use std::path::Path;

/// Parses the text of a configuration or a world. The file name or the first character decides the language (TOML or
/// JSON). The caller supplies the function, so that this crate does not depend on a TOML library.
pub type ParseText = fn(&Path, &str) -> Result<(Value, Places), Faults>;

/// Why `simulate` or `backtest` has no result. The variant decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// A file is missing or not readable.
    NoInput(String),
    /// A configuration or a world is invalid.
    Wrong(String),
    /// A log is invalid.
    Data(String),
    /// A file cannot be written.
    NoOutput(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoInput(words)
            | Failure::Wrong(words)
            | Failure::Data(words)
            | Failure::NoOutput(words) => f.write_str(words),
        }
    }
}
