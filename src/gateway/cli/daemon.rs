//! The verbs of the daemon: run it, check its configuration, ask it.

use super::args::{Args, failed, print};
use super::configuration::{default_path, load, read};
use super::exit;
use super::help::{CALLBACK_HELP, CHECK_HELP, RUN_HELP, STATUS_HELP};
use crate::config_text::{self, Format};
use linekeeper_judge::config;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) fn run(words: &[String]) -> ExitCode {
    let words = match Args::read(
        words,
        RUN_HELP,
        &["--dry-run", "--verbose", "--syslog"],
        &["--config", "--record"],
        0,
    ) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let file = Path::new(words.value("--config").unwrap_or(default_path()));
    let (tree, config) = match load(file) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    crate::run::log::begin(words.has("--verbose"), words.has("--syslog"));
    let options = crate::run::Options {
        config: file.to_path_buf(),
        dry_run: words.has("--dry-run"),
        record: words.value("--record").map(PathBuf::from),
    };
    match crate::run::run(tree, config, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(exit::UNAVAILABLE, why),
    }
}

pub(super) fn check(words: &[String]) -> ExitCode {
    let words = match Args::read(words, CHECK_HELP, &["--json"], &[], 1) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let path = Path::new(words.plain[0]);
    if words.flags.contains(&"--json") {
        return check_for_programs(path);
    }
    match load(path) {
        Ok((_, config)) => print(&format!("{}: right, for device {}\n", path.display(), config.device.id)),
        Err(code) => code,
    }
}

fn check_for_programs(path: &Path) -> ExitCode {
    let text = match read(path) {
        Ok(text) => text,
        Err(code) => return code,
    };
    let faults = match config_text::load_tree(&text, Format::detect(path, &text)) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0,
    };
    let told: Vec<serde_json::Value> = faults
        .iter()
        .map(|f| serde_json::json!({ "path": f.path, "words": f.words, "line": f.line }))
        .collect();
    let right = told.is_empty();
    match print(&format!("{}\n", serde_json::json!({ "right": right, "faults": told }))) {
        code if right => code,
        _ => ExitCode::from(exit::CONFIG),
    }
}

fn ask(words: &Args<'_>, request: &crate::run::socket::Request) -> Result<serde_json::Value, ExitCode> {
    let socket = Path::new(words.value("--socket").unwrap_or(config::bounds::SOCKET_DEFAULT));
    crate::run::socket::ask(socket, request).map_err(|why| failed(exit::UNAVAILABLE, why))
}

pub(super) fn status(words: &[String]) -> ExitCode {
    use crate::run::{show, socket::Request};
    let words = match Args::read(words, STATUS_HELP, &["--json"], &["--socket"], 0) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let answer = match ask(&words, &Request::Status) {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let code = if words.has("--json") {
        print(&format!("{answer}\n"))
    } else {
        match show::status(&answer) {
            Ok(text) => print(&text),
            Err(why) => return failed(exit::DATA, why),
        }
    };
    match answer.pointer("/status/line").and_then(serde_json::Value::as_str) {
        Some("up") => code,
        _ => ExitCode::from(1),
    }
}

pub(super) fn callback(words: &[String]) -> ExitCode {
    use crate::run::{show, socket::Request};
    let words = match Args::read(words, CALLBACK_HELP, &["--json"], &["--reason", "--socket"], 0) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let reason = words.value("--reason").unwrap_or_default().to_string();
    match ask(&words, &Request::Callback { reason }) {
        Ok(answer) => {
            let json = words.has("--json").then(|| format!("{answer}\n"));
            match (show::callback(&answer), json) {
                (Ok(text), json) => print(&json.unwrap_or(text)),
                (Err(why), json) => {
                    json.map(|json| print(&json));
                    failed(exit::UNAVAILABLE, why)
                }
            }
        }
        Err(code) => code,
    }
}
