//! `linekeeper lab …`: the story, and the parts that it starts as processes of their own.

use crate::lab::dhcp::{client, server};
use crate::lab::stage::Voice;
use crate::lab::{Entered, Error, broker, enter, speed_server, story};
use std::path::PathBuf;
use std::process::ExitCode;

/// sysexits: the command was used wrongly.
const USAGE: u8 = 64;
/// sysexits: something that we need is not to be had here.
const UNAVAILABLE: u8 = 69;
/// sysexits: the lab itself failed.
const SOFTWARE: u8 = 70;

/// How to use it.
pub const HELP: &str = "\
Plays a minute of a broadband line's life: a small internet in network namespaces, real faults, the real agent,
a broker and a stand-in for the callback platform. Nothing outside is touched, nothing stays.

Usage: linekeeper lab [--json] [--keep DIR]

  --json      one JSON object per event on standard output, nothing else there
  --keep DIR  leave the agent's configuration, trace and log in DIR
  --agent P   run program P instead of this one as the agent

Needs iproute2 and util-linux, and root or the right to make user namespaces.
Exit code: 0 if every act went as told, 1 if one did not, 69 if this system refuses namespaces.
";

/// What came of `linekeeper lab`.
#[derive(Debug)]
pub enum Played {
    /// It came to its end, with this exit code.
    Ended(ExitCode),
    /// No namespaces are to be had here; why, in words. The story can be told in the simulator instead.
    Refused(String),
}

/// Runs `linekeeper lab` with the words that follow `lab`.
pub fn play(words: &[String]) -> Played {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = |result: Result<(), Error>| {
        Played::Ended(match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => complain(&e),
        })
    };
    match words.as_slice() {
        ["dhcp-server", "--device", device, rest @ ..] => {
            let seconds = match rest {
                ["--lease", seconds] => seconds.parse().ok(),
                [] => Some(server::LEASE_SECONDS),
                _ => None,
            };
            match seconds {
                Some(seconds) => ended(block_on(server::serve(device, seconds))),
                None => misused("dhcp-server takes --device NAME and --lease SECONDS"),
            }
        }
        ["dhcp-client", "--device", device] => ended(block_on(client::keep(device, None))),
        ["dhcp-client", "--device", device, "--pidfile", file] => {
            ended(block_on(client::keep(device, Some(file.as_ref()))))
        }
        ["broker"] => ended(broker::serve()),
        ["speed-server", "--listen", place, rest @ ..] => {
            let manner = match rest {
                ["--manner", manner] => speed_server::Manner::named(manner),
                [] => Some(speed_server::Manner::Good),
                _ => None,
            };
            match (place.parse(), manner) {
                (Ok(place), Some(manner)) => ended(speed_server::serve(place, manner)),
                _ => misused(
                    "speed-server takes --listen ADDRESS:PORT and --manner NAME (see its documentation)",
                ),
            }
        }
        ["-h" | "--help"] => {
            print!("{HELP}");
            Played::Ended(ExitCode::SUCCESS)
        }
        options => match Options::read(options) {
            Ok(options) => perform(&options),
            Err(word) => misused(&word),
        },
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    json: bool,
    keep: Option<PathBuf>,
    agent: Option<PathBuf>,
}

impl Options {
    fn read(words: &[&str]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().map(PathBuf::from).ok_or(format!("{word} needs a value"));
            match *word {
                "--json" => options.json = true,
                "--keep" => options.keep = Some(value()?),
                "--agent" => options.agent = Some(value()?),
                _ => return Err(format!("{word} is not known to lab")),
            }
        }
        Ok(options)
    }
}

fn perform(options: &Options) -> Played {
    match enter() {
        Ok(Entered::Inside) => {}
        Ok(Entered::Ended(code)) => return Played::Ended(ExitCode::from(code)),
        Ok(Entered::Refused(why)) => return Played::Refused(why),
        Err(e) => return Played::Ended(complain(&e)),
    }
    let voice = if options.json { Voice::Json } else { Voice::for_people() };
    let told = story::tell(voice, options.keep.as_deref(), options.agent.as_deref());
    Played::Ended(match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => complain(&e),
    })
}

/// The exit code for a refused lab when there is nothing else to do.
pub fn refused(why: &str) -> ExitCode {
    eprintln!("linekeeper lab: {why}");
    ExitCode::from(UNAVAILABLE)
}

fn misused(why: &str) -> Played {
    eprintln!("linekeeper lab: {why}\n\n{HELP}");
    Played::Ended(ExitCode::from(USAGE))
}

fn complain(e: &Error) -> ExitCode {
    eprintln!("linekeeper lab: {e}");
    ExitCode::from(SOFTWARE)
}

fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Error::new("starting", e))?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_lab_does_not_know_are_refused() {
        assert_eq!(Options::read(&["--fast"]), Err("--fast is not known to lab".to_owned()));
        assert_eq!(Options::read(&["--keep"]), Err("--keep needs a value".to_owned()));
        let options = Options::read(&["--json", "--keep", "/tmp/x"]).unwrap();
        assert!(options.json && options.keep == Some("/tmp/x".into()));
    }
}
