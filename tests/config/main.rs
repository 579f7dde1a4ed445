//! Configuration and command line.

mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod config_words;
mod desired;
mod options;
mod walls;
