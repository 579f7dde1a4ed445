//! The verbs that measure the line without the daemon.

use super::args::{Args, failed, misused, print};
use super::configuration::{default_path, load};
use super::exit;
use super::help::{DIAGNOSE_HELP, SPEEDTEST_HELP};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) fn diagnose(words: &[String]) -> ExitCode {
    let words = match Args::read(words, DIAGNOSE_HELP, &["--json"], &["--config"], 0) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let config = match load(Path::new(words.value("--config").unwrap_or(default_path()))) {
        Ok((_, config)) => config,
        Err(code) => return code,
    };
    match crate::run::diagnose::diagnose(&config, words.has("--json")) {
        Err(why) => failed(exit::UNAVAILABLE, why),
        Ok((text, well)) => match (print(&text), well) {
            (code, true) => code,
            (_, false) => ExitCode::from(1),
        },
    }
}

pub(super) fn speedtest(words: &[String]) -> ExitCode {
    use crate::run::speedtest::{BYTES, Options, Verdict, speedtest};
    use linekeeper_contract::units::Bytes;
    use linekeeper_contract::vocabulary::Direction;
    let flags = ["--json", "--download-only", "--upload-only"];
    let words = match Args::read(
        words,
        SPEEDTEST_HELP,
        &flags,
        &["--server", "--config", "--device", "--ca", "--megabytes"],
        0,
    ) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let file =
        words.value("--config").or_else(|| Path::new(default_path()).exists().then_some(default_path()));
    let config = match file.map(|file| load(Path::new(file))) {
        Some(Ok((_, config))) => Some(config),
        Some(Err(code)) => return code,
        None => None,
    };
    let directions = match (words.has("--download-only"), words.has("--upload-only")) {
        (true, true) => {
            return misused("--download-only and --upload-only leave nothing to test".to_string());
        }
        (true, false) => vec![Direction::Download],
        (false, true) => vec![Direction::Upload],
        (false, false) => vec![Direction::Download, Direction::Upload],
    };
    let configured = config.as_ref().and_then(|c| c.speed.servers.first().cloned());
    let Some(server) = words.value("--server").map(str::to_owned).or(configured) else {
        return misused("no test server is known; name one with --server, or speed.servers".to_string());
    };
    let bytes = match words.value("--megabytes").map(|n| (n, n.parse::<u32>())) {
        None => BYTES,
        Some((_, Ok(n))) if n > 0 => Bytes(u64::from(n) * 1_000_000),
        Some((n, _)) => return misused(format!("--megabytes is 1 to {}, is {n:?}", u32::MAX)),
    };
    let device = words.value("--device").map(str::to_owned);
    let options = Options {
        server,
        ca: words.value("--ca").map(PathBuf::from),
        device: device.or_else(|| config.as_ref()?.line.device.clone()),
        directions,
        bytes,
        promise: config.map(|c| c.promise).unwrap_or_default(),
        json: words.has("--json"),
    };
    match speedtest(&options) {
        Err(why) => failed(exit::UNAVAILABLE, why),
        Ok((text, verdict)) => match (print(&text), verdict) {
            (code, Verdict::Kept) => code,
            (_, Verdict::Below) => ExitCode::from(1),
            (_, Verdict::Unmeasured) => ExitCode::from(exit::UNAVAILABLE),
        },
    }
}
