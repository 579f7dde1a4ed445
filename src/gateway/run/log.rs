//! The log: one line for each decision, on standard error or, with `--syslog`, at the system's log.
//!
//! procd gives everything on standard error the priority `daemon.err`, so OpenWrt's init script chooses the system's log, where
//! each line has its own priority (RFC 3164). They add the time and the name; escapes would show as such in `logread`. There are
//! no spans in this program.
//!
//! Logs are kept, copied and sent on by people who have nothing to do with the customer. So no line above `debug` has an
//! address that is not the operator's own ([`crate::privacy`]), whoever writes it. What others say (brokers, servers, files)
//! reaches the log in places, so control characters are written as escapes: nobody else can begin a line. Each place in the
//! program writes a limited number of lines per hour ([`LINES_PER_HOUR`]).

use crate::clock;
use crate::privacy::Privacy;
use linekeeper_judge::config::Config;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What holds now. `None`: no configuration is in force yet, and every address is masked.
static PRIVACY: Mutex<Option<Privacy>> = Mutex::new(None);

/// The most lines per hour from one place in the program, above `debug`.
///
/// 600: a line that breaks every minute still shows each step of each break. A flood of the same line, which somebody else
/// can cause, stays below 100 kB an hour.
const LINES_PER_HOUR: u32 = 600;

/// Where syslogd, logd or journald listen.
const SYSLOG: &str = "/dev/log";
/// The facility `daemon` (RFC 3164, 4.1.1).
const FACILITY: u8 = 3;

/// Begins to write it, to the system's log if asked to. To be called once.
pub fn begin(verbose: bool, syslog: bool) {
    let most = if verbose { Level::DEBUG } else { Level::INFO };
    let socket = syslog.then(UnixDatagram::unbound).and_then(Result::ok);
    // A full log must not stop the daemon.
    let socket = socket.filter(|socket| socket.set_nonblocking(true).is_ok());
    let write = move |level: Level, line: &str| {
        if let Some(socket) = &socket
            && socket.send_to(syslog_line(level, line).as_bytes(), SYSLOG).is_ok()
        {
            return;
        }
        // Who cannot write a log has nowhere to say so.
        let line = format!("{:>5} {line}\n", level.as_str());
        let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), line.as_bytes());
    };
    let _ = tracing::subscriber::set_global_default(Log::new(most, Box::new(write)));
}

/// A line as the system's log wants it.
fn syslog_line(level: Level, line: &str) -> String {
    let severity = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    };
    format!("<{}>linekeeper[{}]: {line}", FACILITY * 8 + severity, std::process::id())
}

/// The text with control characters as escapes.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
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
    write: Box<Sink>,
    /// For each place in the program the beginning of its hour, and the lines since then.
    lines: Mutex<BTreeMap<Place, (Duration, u32)>>,
}

type Sink = dyn Fn(Level, &str) + Send + Sync;
/// File and line.
type Place = (Option<&'static str>, Option<u32>);

impl Log {
    fn new(most: Level, write: Box<Sink>) -> Log {
        Log { most, write, lines: Mutex::new(BTreeMap::new()) }
    }

    /// Whether one more line of this place may be written, and how many were left out in its hour before.
    fn may_write(&self, place: Place) -> (bool, u32) {
        let now = clock::since_boot();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, count) = lines.entry(place).or_insert((now, 0));
        let mut left_out = 0;
        if now.saturating_sub(*begun) >= Duration::from_secs(3_600) {
            left_out = count.saturating_sub(LINES_PER_HOUR);
            (*begun, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        (*count <= LINES_PER_HOUR, left_out)
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.most))
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let level = *metadata.level();
        let mut line = Line(String::new());
        event.record(&mut line);
        let line = printable(&line.0);
        // A level is the greater the less it matters.
        if level >= Level::DEBUG {
            (self.write)(level, &line);
            return;
        }
        let (may, left_out) = self.may_write((metadata.file(), metadata.line()));
        if left_out > 0 {
            (self.write)(level, &format!("{left_out} more lines like the next one were left out"));
        }
        if may {
            let privacy = PRIVACY.lock().unwrap_or_else(PoisonError::into_inner);
            (self.write)(level, &privacy.as_ref().unwrap_or(&Privacy::default()).mask_addresses(&line));
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
        let space = if self.0.is_empty() { "" } else { " " };
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name => write!(self.0, "{space}{name}={value:?}"),
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
        let write =
            |level: Level, line: &str| *SEEN.lock().unwrap() += &format!("{:>5} {line}\n", level.as_str());
        let log = Log::new(Level::DEBUG, Box::new(write));
        tracing::subscriber::with_default(log, || {
            warn!("the \"line\" is {}: 线路", "down");
            trace!("not told");
            info!(tries = 3, of = "x", "done");
            info!("asked 198.51.100.7");
            debug!("asked 198.51.100.7");
            warn!("the broker said: {}", "no\n WARN forged\x1b[2J\u{9b}");
        });
        let seen = SEEN.lock().unwrap();
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines[..2], [" WARN the \"line\" is down: 线路", " INFO done tries=3 of=\"x\""]);
        assert!(lines[2].starts_with(" INFO asked ") && !lines[2].contains("198.51.100.7"), "{}", lines[2]);
        assert_eq!(lines[3], "DEBUG asked 198.51.100.7");
        assert_eq!(lines[4..], [r" WARN the broker said: no\n WARN forged\u{1b}[2J\u{9b}"]);
    }

    #[test]
    fn each_place_writes_a_limited_number_of_lines() {
        static COUNT: Mutex<u32> = Mutex::new(0);
        let log = Log::new(Level::INFO, Box::new(|_, _| *COUNT.lock().unwrap() += 1));
        tracing::subscriber::with_default(log, || {
            for n in 0..30_000 {
                warn!("an unknown receipt, {n}");
            }
            warn!("another line");
        });
        assert_eq!(*COUNT.lock().unwrap(), LINES_PER_HOUR + 1);
    }

    #[test]
    fn lines_for_the_system_have_their_priority() {
        let id = std::process::id();
        let expected = [(Level::ERROR, 27), (Level::WARN, 28), (Level::INFO, 30), (Level::DEBUG, 31)];
        for (level, priority) in expected {
            assert_eq!(syslog_line(level, "done"), format!("<{priority}>linekeeper[{id}]: done"));
        }
    }
}
