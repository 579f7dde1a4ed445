//! The verbs that a build without the feature `toml` does not have.

use super::args::{ANY, failed};
use super::exit;
use super::help::{BACKTEST_HELP, SIMULATE_HELP};
use std::process::ExitCode;

pub(super) fn simulate(_: &[String]) -> ExitCode {
    let _ = (SIMULATE_HELP, ANY);
    without("simulate", "toml")
}

pub(super) fn backtest(_: &[String]) -> ExitCode {
    let _ = BACKTEST_HELP;
    without("backtest", "toml")
}

fn without(verb: &str, feature: &str) -> ExitCode {
    failed(
        exit::UNAVAILABLE,
        format!("{verb} is not in this build: it was made without the feature `{feature}`"),
    )
}
