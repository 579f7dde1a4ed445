//! What the verbs that read and write files have in common: the parser that the caller gives, and how they fail.

use linekeeper_judge::config::{Faults, Places};
use serde_json::Value;
use std::fmt;
use std::path::Path;

/// Parses the text of a configuration or a world: its file's name says in which language it is written, or its first
/// character does. Given by the caller, as reading TOML takes a library that the judgement does without.
pub type ParseText = fn(&Path, &str) -> Result<(Value, Places), Faults>;

/// Why a verb of the proving ground gave nothing, for its exit code.
#[derive(Debug)]
pub enum Failure {
    /// A file is not there or not readable.
    NoInput(String),
    /// A configuration or a world is there and not what it should be.
    Wrong(String),
    /// A log is there and not what it should be.
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
