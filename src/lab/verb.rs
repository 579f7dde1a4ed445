//! `linekeeper-lab lab …`: plays the story, or runs one of the servers that the story starts as separate processes. Where
//! namespaces are not available, the same story runs in the virtual time of the simulator.

use crate::dhcp::{client, server};
use crate::enclosure::{Entered, enter};
use crate::error::Error;
use crate::stage::{Speaker, Stage, Voice};
use crate::{broker, dns_server, pppoe, speed_server, story, web_server};
use linekeeper_proving::simulate::story as simulated;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// sysexits: wrong usage of the command.
const USAGE: u8 = 64;
/// sysexits: the lab itself failed.
const SOFTWARE: u8 = 70;

/// The help text.
pub const HELP: &str = "\
Plays a minute of a broadband line's life: a small internet in network namespaces, real faults, the real agent,
a broker and a stand-in for the callback platform. It changes nothing outside and leaves nothing behind.

Usage: linekeeper lab [--json] [--keep DIR]

  --json      print one JSON object per event and nothing else on standard output
  --keep DIR  copy the agent's configuration, trace and log to DIR
  --agent P   run program P instead of this one as the agent

Needs iproute2 and util-linux, and root or the right to create user namespaces. Without namespaces it says so and plays
the same story in virtual time.
Exit code: 0 if all acts went as expected, else 1.
";

/// `linekeeper-lab lab …` plays the demo or one of its parts; with any other verb it is the agent that the demo starts.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().as_deref() != Some("lab".as_ref()) {
        return linekeeper::cli::main();
    }
    match words.map(std::ffi::OsString::into_string).collect::<Result<Vec<_>, _>>() {
        Ok(words) => play(&words),
        Err(word) => usage_error(&format!("{} is not UTF-8", word.to_string_lossy())),
    }
}

/// Runs `linekeeper-lab lab` with the words that follow `lab`.
pub fn play(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = |result: Result<(), Error>| match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => report_error(&e),
    };
    match words.as_slice() {
        ["dhcp-server", "--device", device, rest @ ..] => {
            let (seconds, manner) = match rest {
                [] => (Some(server::LEASE_SECONDS), Some(server::Manner::Good)),
                ["--lease", seconds] => (seconds.parse().ok(), Some(server::Manner::Good)),
                ["--manner", manner] => (Some(server::LEASE_SECONDS), server::Manner::from_name(manner)),
                _ => (None, None),
            };
            match (seconds, manner) {
                (Some(seconds), Some(manner)) => ended(block_on(server::serve(device, seconds, manner))),
                _ => usage_error(
                    "dhcp-server takes --device NAME and --lease SECONDS or --manner good|refusing",
                ),
            }
        }
        ["pppoe-server", "--device", device, "--manner", manner] => match pppoe::Manner::from_name(manner) {
            Some(manner) => ended(block_on(pppoe::serve(device, manner))),
            None => usage_error("pppoe-server takes --device NAME and --manner good|silent|refusing"),
        },
        ["dhcp-client", "--device", device] => ended(block_on(client::keep(device, None))),
        ["dhcp-client", "--device", device, "--pidfile", file] => {
            ended(block_on(client::keep(device, Some(file.as_ref()))))
        }
        ["broker"] => ended(broker::serve()),
        ["dns-server", "--listen", place, "--manner", manner, "--address", address] => {
            match (place.parse(), dns_server::Manner::from_name(manner), address.parse()) {
                (Ok(place), Some(manner), Ok(address)) => ended(dns_server::serve(place, manner, address)),
                _ => usage_error("dns-server takes --listen ADDRESS:PORT --manner NAME --address ADDRESS"),
            }
        }
        ["web-server", "--listen", place, "--manner", manner] => {
            match (place.parse(), web_server::Manner::from_name(manner)) {
                (Ok(place), Some(manner)) => ended(web_server::serve(place, manner)),
                _ => usage_error("web-server takes --listen ADDRESS:PORT --manner NAME"),
            }
        }
        ["speed-server", "--listen", place, rest @ ..] => {
            let manner = match rest {
                ["--manner", manner] => speed_server::Manner::from_name(manner),
                [] => Some(speed_server::Manner::Good),
                _ => None,
            };
            match (place.parse(), manner) {
                (Ok(place), Some(manner)) => ended(speed_server::serve(place, manner)),
                _ => usage_error(
                    "speed-server takes --listen ADDRESS:PORT and --manner NAME (see its documentation)",
                ),
            }
        }
        ["-h" | "--help"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        options => match Options::read(options) {
            Ok(options) => perform(&options),
            Err(word) => usage_error(&word),
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
                _ => return Err(format!("lab has no option {word}")),
            }
        }
        Ok(options)
    }
}

fn perform(options: &Options) -> ExitCode {
    let voice = if options.json { Voice::Json } else { Voice::for_people() };
    let outcome = match enter() {
        Ok(Entered::Inside) => story::play(voice, options.keep.as_deref(), options.agent.as_deref()),
        Ok(Entered::Ended(code)) => return ExitCode::from(code),
        Ok(Entered::Refused(why)) => {
            eprintln!(
                "linekeeper lab: {why}\nPlaying the same story in the simulator's virtual time, without packets:"
            );
            return play_in_virtual_time(voice);
        }
        Err(e) => return report_error(&e),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => report_error(&e),
    }
}

/// Runs the story in virtual time, with the same judge and without packets.
fn play_in_virtual_time(voice: Voice) -> ExitCode {
    let mut stage = Stage::new(voice);
    let mut act = 0;
    let result = simulated::play(1, &mut |item| {
        stage.set_virtual_time(item.at_ms.into());
        if item.act != act {
            act = item.act;
            let title =
                simulated::ACTS.get(usize::from(act).saturating_sub(1)).map_or("", |(_, title)| title);
            stage.act(title);
        } else {
            let who = match item.voice {
                simulated::Voice::World => Speaker::World,
                simulated::Voice::Gateway => Speaker::Gateway,
                simulated::Voice::Platform => Speaker::Platform,
            };
            stage.say(who, &item.text, &Value::Null);
        }
    });
    match result {
        Ok(()) => {
            stage.end(
                "finished in virtual time; where namespaces are allowed, the demo uses real packets",
                true,
            );
            ExitCode::SUCCESS
        }
        Err(faults) => report_error(&Error::new("playing the story", faults)),
    }
}

fn usage_error(why: &str) -> ExitCode {
    eprintln!("linekeeper lab: {why}\n\n{HELP}");
    ExitCode::from(USAGE)
}

fn report_error(e: &Error) -> ExitCode {
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
    fn unknown_options_and_missing_values_are_refused() {
        assert_eq!(Options::read(&["--fast"]), Err("lab has no option --fast".to_owned()));
        assert_eq!(Options::read(&["--keep"]), Err("--keep needs a value".to_owned()));
        let options = Options::read(&["--json", "--keep", "/tmp/x"]).unwrap();
        assert!(options.json && options.keep == Some("/tmp/x".into()));
    }
}
