//! The table of options and what is made from it: the samples, UCI's `options`, LuCI's form with its translation, and the
//! reference document. Each generated file must be as the table says:
//!
//! ```text
//! LINEKEEPER_WRITE=1 cargo test --test config options
//! ```
//!
//! writes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod luci;
mod reference;
mod table;
mod toml;
mod uci;

use crate::common::repository_path;
use linekeeper_judge::config::options::Form;

/// The file of this name is `text`; it is made so where the generated files are written anew.
#[track_caller]
fn generated(name: &str, text: &str) {
    let path = repository_path(name);
    if std::env::var_os("LINEKEEPER_WRITE").is_some_and(|v| v == "1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(text.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| there.lines().count().min(text.lines().count()));
    assert!(
        there == text,
        "{name} is not what the table of options says, from line {} on:\n- {}\n+ {}\n\
         LINEKEEPER_WRITE=1 cargo test --test config options writes it",
        line + 1,
        there.lines().nth(line).unwrap_or_default(),
        text.lines().nth(line).unwrap_or_default(),
    );
}

#[test]
fn sample_is_generated() {
    generated("config/linekeeper.toml", &toml::sample());
}

#[test]
fn reference_is_generated() {
    generated("config/options.md", &reference::document());
}

#[test]
fn uci_options_are_generated() {
    generated("openwrt/linekeeper/files/options", &uci::options());
}

#[test]
fn uci_file_is_generated() {
    generated("openwrt/linekeeper/files/linekeeper.config", &uci::file());
}

#[test]
fn luci_form_is_generated() {
    let app = "openwrt/luci-app-linekeeper";
    generated(&format!("{app}/htdocs/luci-static/resources/linekeeper/options.js"), &luci::form());
    generated(&format!("{app}/po/zh_Hans/linekeeper-options.po"), &luci::translation());
    generated(&format!("{app}/po/templates/linekeeper-options.pot"), &luci::template());
}

/// What a form would show without, or with the wrong, words.
#[test]
fn every_entry_is_complete() {
    let mut seen = 0;
    for option in table::all().iter().flat_map(|section| section.options()) {
        let name = option.path();
        let (title, title_zh) = option.titles();
        let [_, help_zh] = option.help();
        let labelled = option.is_absent() || matches!(option.entry.form, Form::Targets(_));
        assert!(labelled || !title.is_empty() && !title_zh.is_empty(), "{name} has no title");
        assert!(
            option.words().len() == option.labels().len(),
            "{name} has another number of labels than words"
        );
        assert!(
            option.default().is_some() || option.example().is_some(),
            "{name} has neither a default nor an example"
        );
        for text in [option.entry.help, help_zh] {
            assert!(!text.contains(['<', '>', '&', '\\']), "{name}: LuCI takes its words for HTML: {text}");
        }
        seen += 1;
    }
    assert!(seen > 120, "{seen} options");
}
