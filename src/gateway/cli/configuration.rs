//! Where the verbs find the configuration.

use super::args::failed;
use super::exit;
use crate::config_text::{self, Format};
use linekeeper_judge::config::Config;
use std::path::Path;
use std::process::ExitCode;

/// The configuration where none is named: what people write, or what OpenWrt's init script makes of UCI.
pub(super) fn default_path() -> &'static str {
    const WRITTEN: &str = "/etc/linekeeper.toml";
    const MADE: &str = "/var/run/linekeeper/config.json";
    if !Path::new(WRITTEN).exists() && Path::new(MADE).exists() { MADE } else { WRITTEN }
}

/// The text of a configuration file.
pub(super) fn read(path: &Path) -> Result<String, ExitCode> {
    std::fs::read_to_string(path).map_err(|e| {
        failed(
            exit::NO_INPUT,
            format!("cannot read the configuration {}: {e}; name one with --config", path.display()),
        )
    })
}

/// Reads a configuration file: the tree as it was written, and what the code trusts.
pub(super) fn load(path: &Path) -> Result<(serde_json::Value, Config), ExitCode> {
    let text = read(path)?;
    config_text::load_tree(&text, Format::detect(path, &text)).map_err(|faults| {
        eprint!("{faults}");
        ExitCode::from(exit::CONFIG)
    })
}
