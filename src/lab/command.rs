//! Runs commands.

use crate::error::Error;
use std::process::{Command, Output};

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be run, or ends otherwise than with 0: its standard error is in the words.
pub fn run(command: &mut Command) -> Result<Output, Error> {
    let out = command.output().map_err(|e| Error::new(format!("running {command:?}"), e))?;
    if out.status.success() {
        Ok(out)
    } else {
        let said = String::from_utf8_lossy(&out.stderr);
        Err(Error::new(format!("{command:?} ended with {}", out.status), said.trim()))
    }
}
