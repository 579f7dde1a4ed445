//! Brings the WAN up again when a restart ends between `down` and `up`.

use std::ffi::OsString;
use std::process::{Command, Stdio};

/// Runs `argv`, which sends `up`, when it is dropped while armed: the task ended between `down` and `up`.
pub struct UpAgain {
    argv: Vec<OsString>,
}

impl UpAgain {
    /// Armed, with the command that sends `up`.
    pub fn by(argv: impl IntoIterator<Item = impl Into<OsString>>) -> UpAgain {
        UpAgain { argv: argv.into_iter().map(Into::into).collect() }
    }

    /// The WAN is up, or was made sure of.
    pub fn disarm(mut self) {
        self.argv.clear();
    }
}

impl Drop for UpAgain {
    fn drop(&mut self) {
        if let Some((program, arguments)) = self.argv.split_first() {
            // Not waited for: there is nobody left to wait.
            let _ = Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
        }
    }
}
