//! The verbs of the command line and their exit codes.

mod args;
mod configuration;
mod daemon;
mod exit;
mod help;
mod line;
#[cfg(feature = "toml")]
mod proving;
mod replay;
#[cfg(not(feature = "toml"))]
mod without;

use self::args::{misused, print};
use self::daemon::{callback, check, run, status};
use self::help::HELP;
use self::line::{diagnose, speedtest};
#[cfg(feature = "toml")]
use self::proving::{backtest, simulate};
use self::replay::replay;
#[cfg(not(feature = "toml"))]
use self::without::{backtest, simulate};
use std::process::ExitCode;

/// Where OpenWrt's package keeps what explains the options.
const EXPLAINED: &str = "/usr/share/linekeeper/explained";

/// Prints every option with its default and its meaning, or where that stands.
fn explain_options() -> ExitCode {
    match std::fs::read_to_string(EXPLAINED) {
        Ok(text) => print(&text),
        Err(_) => print(
            "config/options.md in the sources explains every option; on OpenWrt this prints /usr/share/linekeeper/explained.\n",
        ),
    }
}

/// Runs the verb that the process was given.
pub fn main() -> ExitCode {
    crate::crash::install_handlers();
    let mut words: Vec<String> = Vec::new();
    for word in std::env::args_os().skip(1) {
        match word.into_string() {
            Ok(word) => words.push(word),
            Err(word) => return misused(format!("{} is not UTF-8", word.to_string_lossy())),
        }
    }
    let Some((verb, rest)) = words.split_first() else {
        return misused("no verb".to_string());
    };
    match verb.as_str() {
        "run" => run(rest),
        "check" => check(rest),
        "status" => status(rest),
        "callback" => callback(rest),
        "diagnose" => diagnose(rest),
        "speedtest" => speedtest(rest),
        "replay" => replay(rest),
        "simulate" => simulate(rest),
        "backtest" => backtest(rest),
        "help" if rest.first().is_some_and(|topic| topic == "options") => explain_options(),
        "-h" | "--help" | "help" => print(HELP),
        "-V" | "--version" => print(concat!("linekeeper ", env!("CARGO_PKG_VERSION"), "\n")),
        other => misused(format!("{other:?} is not a verb")),
    }
}
