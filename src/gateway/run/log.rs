//! The log: one line for each decision, on standard error, where procd and journald take it.
//!
//! They add the time and the name; escapes would show as such in `logread`. There are no spans in this program.
//!
//! Logs are kept, copied and sent on by people who have nothing to do with the customer. So no line above `debug` has an
//! address that is not the operator's own ([`crate::privacy`]), whoever writes it.

use crate::privacy::Privacy;
use linekeeper_judge::config::Config;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What holds now. `None`: no configuration is in force yet, and every address is masked.
static PRIVACY: Mutex<Option<Privacy>> = Mutex::new(None);

/// Begins to write it. To be called once.
pub fn begin(verbose: bool) {
    let most = if verbose { Level::DEBUG } else { Level::INFO };
    // Who cannot write a log has nowhere to say so.
    let write = |line: &str| {
        let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), line.as_bytes());
    };
    let _ = tracing::subscriber::set_global_default(Log { most, write });
}

/// Another configuration is in force: its hosts are the operator's.
pub(super) fn follow(config: &Config) {
    *PRIVACY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Privacy::new(config));
}

/// Writes events of `most` and what matters more than it.
///
/// (tracing-subscriber does the same and much besides, which a router would carry for nothing: 38 KiB.)
struct Log {
    most: Level,
    write: fn(&str),
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.most))
    }

    fn event(&self, event: &Event<'_>) {
        let level = *event.metadata().level();
        let mut line = Line(format!("{:>5}", level.as_str()));
        event.record(&mut line);
        line.0.push('\n');
        // A level is the greater the less it matters.
        if level >= Level::DEBUG {
            (self.write)(&line.0);
        } else {
            let privacy = PRIVACY.lock().unwrap_or_else(PoisonError::into_inner);
            (self.write)(&privacy.as_ref().unwrap_or(&Privacy::default()).mask_addresses(&line.0));
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing into a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{debug, info, trace, warn};

    static SEEN: Mutex<String> = Mutex::new(String::new());

    #[test]
    fn an_event_is_a_line_without_foreign_addresses_above_debug() {
        let log = Log { most: Level::DEBUG, write: |line| SEEN.lock().unwrap().push_str(line) };
        tracing::subscriber::with_default(log, || {
            warn!("the \"line\" is {}: 线路", "down");
            trace!("not told");
            info!(tries = 3, of = "x", "done");
            info!("asked 198.51.100.7");
            debug!("asked 198.51.100.7");
        });
        let seen = SEEN.lock().unwrap();
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines[..2], [" WARN the \"line\" is down: 线路", " INFO done tries=3 of=\"x\""]);
        assert!(lines[2].starts_with(" INFO asked ") && !lines[2].contains("198.51.100.7"), "{}", lines[2]);
        assert_eq!(lines[3..], ["DEBUG asked 198.51.100.7"]);
    }
}
