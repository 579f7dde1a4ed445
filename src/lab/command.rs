//! Runs external commands.

use crate::error::Error;
use std::process::{Command, Output};

/// Runs a command to its end.
///
/// # Errors
/// The command cannot be started, or its exit code is not 0; the error contains its standard error.
pub fn run(command: &mut Command) -> Result<Output, Error> {
    let out = command.output().map_err(|e| Error::new(format!("running {command:?}"), e))?;
    if out.status.success() {
        Ok(out)
    } else {
        let said = String::from_utf8_lossy(&out.stderr);
        Err(Error::new(format!("{command:?} ended with {}", out.status), said.trim()))
    }
}
