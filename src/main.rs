//! The verbs of the command line and their exit codes.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "lab")]
    {
        use linekeeper::lab::verb::{Played, play, refused};
        let words: Vec<String> = std::env::args().skip(1).collect();
        if words.first().is_some_and(|verb| verb == "lab") {
            return match play(&words[1..]) {
                Played::Ended(code) => code,
                Played::Refused(why) => refused(&why),
            };
        }
    }
    ExitCode::SUCCESS
}
