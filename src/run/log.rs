//! The log: one line for each decision, on standard error, where procd and journald take it.
//!
//! Logs are kept, copied and sent on by people who have nothing to do with the customer. So no line above `debug` has an
//! address that is not the operator's own ([`crate::privacy`]), whoever writes it.

use crate::config::Config;
use crate::privacy::Privacy;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// What holds now. `None`: no configuration is in force yet, and every address is masked.
static PRIVACY: Mutex<Option<Privacy>> = Mutex::new(None);

/// Begins to write it.
pub fn begin(verbose: bool) {
    let level = if verbose { Level::DEBUG } else { Level::INFO };
    // procd and journald add the time and the name; escapes would show as such in `logread`.
    tracing_subscriber::fmt()
        .with_writer(Door)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .with_max_level(level)
        .init();
}

/// Another configuration is in force: its hosts are the operator's.
pub(super) fn follow(config: &Config) {
    *PRIVACY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Privacy::new(config));
}

struct Door;

impl MakeWriter<'_> for Door {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { masked: true }
    }

    fn make_writer_for(&self, about: &Metadata<'_>) -> Line {
        Line { masked: *about.level() < Level::DEBUG }
    }
}

/// Writes whole lines, as the subscriber gives them.
struct Line {
    masked: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut to = io::stderr().lock();
        if self.masked {
            let privacy = PRIVACY.lock().unwrap_or_else(PoisonError::into_inner);
            let text = String::from_utf8_lossy(line);
            to.write_all(privacy.as_ref().unwrap_or(&Privacy::default()).masked(&text).as_bytes())?;
        } else {
            to.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
