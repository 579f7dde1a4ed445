//! A small real internet in network namespaces: for the demo (`linekeeper lab`), for tests and for benches.
//!
//! ```text
//!   lan ── gw ══ access ── isp ── core ─┬─ anchor    198.51.100.1
//!          ║    (bridge)  (DHCP)        ├─ world     203.0.113.53
//!          ║                            ├─ world2    192.0.2.80
//!          ╚═══════ backup ═════════════┴─ platform  198.18.250.10 (broker)
//! ```
//!
//! [`enclosure`] gives a place where nothing can leak from, [`world`] builds the network and breaks it, [`broker`] and
//! [`platform`] are the far end of the messages, [`story`] plays a minute of faults with the real agent.

use std::fmt;
use std::process::{Command, Output};

pub mod agent;
pub mod broker;
pub mod clock;
pub mod dhcp;
pub mod dns_server;
pub mod echo;
pub mod enclosure;
pub mod platform;
pub mod pppoe;
pub mod speed_server;
pub mod stage;
pub mod story;
pub mod verb;
pub mod web_server;
pub mod world;

pub use enclosure::{Entered, enter};

/// What went wrong in the lab itself, in words: what was being done, and why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// `doing` failed because of `why`.
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
