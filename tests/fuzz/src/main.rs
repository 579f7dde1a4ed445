//! libFuzzer over the parser that `LINEKEEPER_FUZZ` names. One program for all of them, so that one build does.
#![no_main]

#[path = "../targets.rs"]
mod targets;

use std::sync::OnceLock;

static PARSE: OnceLock<fn(&[u8])> = OnceLock::new();

fn choose() {
    let wanted = std::env::var("LINEKEEPER_FUZZ").unwrap_or_default();
    match targets::TARGETS.iter().find(|(name, _)| *name == wanted) {
        Some((_, parse)) => drop(PARSE.set(*parse)),
        None => {
            let names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            eprintln!("LINEKEEPER_FUZZ is {wanted:?}, expected one of: {}", names.join(" "));
            std::process::exit(64);
        }
    }
}

libfuzzer_sys::fuzz_target!(init: choose(), |bytes: &[u8]| {
    if let Some(parse) = PARSE.get() {
        parse(bytes);
    }
});
