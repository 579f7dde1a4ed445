//! Errors of the lab itself.

use std::fmt;

/// An error of the lab itself, in words: what was being done, and why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// An error of `doing`, because of `why`.
    pub fn new(doing: impl fmt::Display, why: impl fmt::Display) -> Error {
        Error(format!("{doing}: {why}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
