//! The verbs of the command line and their exit codes.

use crate::config_text::{self, Format};
use linekeeper_judge::config::{self, Config};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// sysexits(3).
mod exit {
    /// The command was used wrongly.
    pub const USAGE: u8 = 64;
    /// The input data was wrong.
    pub const DATA: u8 = 65;
    /// An input file is not there or not readable.
    pub const NO_INPUT: u8 = 66;
    /// Something that is needed is not to be had.
    pub const UNAVAILABLE: u8 = 69;
    /// Output could not be written.
    pub const IO: u8 = 74;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 78;
}

const HELP: &str = "\
linekeeper watches a broadband line from the gateway, repairs what it can, and asks the operator to call the
customer when it cannot.

Usage: linekeeper VERB [OPTIONS]

  run        watch the line (the daemon)
  check      say whether a configuration is right, and every fault in it
  diagnose   ask every layer of the line now, and say where the fault lies
  status     how the line does, as the running daemon sees it
  callback   ask the operator to call (the customer asks)
  speedtest  measure how fast the line is, now
  replay     decide a recorded trace again and print the actions
  simulate   live through years of simulated lines and say how good the judgement was (built with `toml`)
  backtest   judge a log of a real line, and say what would have been found on it (built with `toml`)

  linekeeper VERB --help says more; linekeeper --version says which.
";

const RUN_HELP: &str = "\
Watches the line until it is told to end.

Usage: linekeeper run [--config FILE] [--dry-run] [--record DIR] [--verbose]

  --config FILE  the configuration, TOML or JSON (default /etc/linekeeper.toml, or what
                 OpenWrt's init script made of UCI)
  --dry-run      watch and say what would be done: no remedy, no message, nothing on flash
  --record DIR   keep what is seen and decided in DIR (trace.jsonl, actions.jsonl; at most 160 MiB)
  --verbose      log each detail

On SIGHUP the configuration is read again: a wrong one is refused, every fault in the log; a right one is put in force
and nothing that is known is lost. store.directory and status.socket are taken at a start only.

Logs go to standard error. Exit code 0 when told to end, 78 for a wrong configuration.
";

const CHECK_HELP: &str = "\
Says whether a configuration is right, and every fault in it at once.

Usage: linekeeper check FILE [--json]

  --json  for programs: whether it is `right`, and its `faults`, each with `path`, `words` and `line`

Exit code 0 if it is right, 78 if it is not, 66 if the file cannot be read.
";

const STATUS_HELP: &str = "\
Says how the line does, as the running daemon sees it.

Usage: linekeeper status [--json] [--socket PATH]

Exit code 0 if the line is up, 1 if it is down or unknown, 69 if no daemon answers.
";

const CALLBACK_HELP: &str = "\
Asks the operator to call: the customer wants it.

Usage: linekeeper callback [--reason TEXT] [--json] [--socket PATH]

Exit code 0 if a callback is under way now, 69 if none is: no daemon answers, or it can tell nobody.
";

const DIAGNOSE_HELP: &str = "\
Asks every layer of the line, now, and says where the fault lies and what to do. Needs no daemon; takes some seconds and
some kilobytes.

Usage: linekeeper diagnose [--config FILE] [--json]

  --config FILE  the configuration, TOML or JSON (default /etc/linekeeper.toml, or what
                 OpenWrt's init script made of UCI)

Echoes, ARP and DHCP need root or CAP_NET_RAW; what cannot be asked is said.
Exit code 0 if the line has no fault, 1 if it has one or that could not be told, 69 if nothing could be asked.
";

const SPEEDTEST_HELP: &str = "\
Measures how fast the line is, now, each way for 12 s. Needs no daemon.

Usage: linekeeper speedtest [--server URL] [--config FILE] [--device NAME] [--ca FILE]
                            [--download-only | --upload-only] [--megabytes N] [--json]

  --server URL     a web server's directory with the objects `download` and `upload`
  --config FILE    take server, device and promise from there (default /etc/linekeeper.toml if there is one)
  --device NAME    the WAN device (default: the one with the default route)
  --ca FILE        for https: the authority to trust instead of the system's
  --megabytes N    each way may cost so much at most (default 1500)

Exit code 0 if the line is as promised (or nothing was promised), 1 if it is below, 69 if that could not be told.
";

const REPLAY_HELP: &str = "\
Decides a recorded trace again and prints the actions, one JSON object a line: the same bytes as the actions.jsonl
that was recorded beside it.

Usage: linekeeper replay TRACE

Exit code 0 at the end of the trace, 65 where a line is not one of a trace.
";

const SIMULATE_HELP: &str = "\
Lives through years of simulated lines, and says what was found, missed, mended and asked for.

Usage: linekeeper simulate [WORLD...] [--years N] [--seeds N] [--full] [--json]

  WORLD      a world's description (TOML, see config/worlds), or the name of one that comes with the program
             (default: all of those)
  --years N  how long each seed lasts, 1 to 100 (default 1)
  --seeds N  how many seeds each world has, 1 to 10000 (default 10)
  --full     live through the quiet times too, second by second (about ten times as long; the same outcome)

Exit code 0 at the end, 66 if a world cannot be read, 78 if one is wrong.
";

const BACKTEST_HELP: &str = "\
Judges logs of real lines as if they happened now, and says what would have been found and what it would have cost.

Usage: linekeeper backtest LOG... [--config FILE] [--against FILE] [--promise DOWN[/UP]] [--plot FILE.svg] [--json]

  LOG              CSV with a first line of time,download_mbps,upload_mbps,latency_ms or time,target,rtt_ms or time,up
                   or time,value (times RFC 3339 or seconds since 1970), or a trace.jsonl of `run --record`
  --config FILE    judge by this configuration (default: the defaults; for a trace, its own)
  --against FILE   judge by this one as well, side by side
  --promise 50/10  what was sold, Mbit/s down and up, instead of what the configurations say
  --plot FILE.svg  draw the log with what was found (of one log)

Exit code 0 at the end, 65 if a log is wrong (with line and column), 66 if a file cannot be read, 78 if a
configuration is wrong.
";

/// Runs the verb that the process was given.
pub fn main() -> ExitCode {
    crate::crash::tell();
    let mut words: Vec<String> = Vec::new();
    for word in std::env::args_os().skip(1) {
        match word.into_string() {
            Ok(word) => words.push(word),
            Err(word) => return misused(format!("{} is not UTF-8", word.to_string_lossy())),
        }
    }
    let Some((verb, rest)) = words.split_first() else {
        return misused("no verb".to_string());
    };
    match verb.as_str() {
        "run" => run(rest),
        "check" => check(rest),
        "status" => status(rest),
        "callback" => callback(rest),
        "diagnose" => diagnose(rest),
        "speedtest" => speedtest(rest),
        "replay" => replay(rest),
        "simulate" => simulate(rest),
        "backtest" => backtest(rest),
        "-h" | "--help" | "help" => print(HELP),
        "-V" | "--version" => print(concat!("linekeeper ", env!("CARGO_PKG_VERSION"), "\n")),
        other => misused(format!("{other:?} is not a verb")),
    }
}

/// As many plain words as are given.
const ANY: usize = usize::MAX;

/// What a verb was given: `--name`, `--name value`, and words.
struct Words<'a> {
    flags: Vec<&'a str>,
    values: Vec<(&'a str, &'a str)>,
    plain: Vec<&'a str>,
}

impl<'a> Words<'a> {
    /// Reads them; `None`: help was asked for or they are wrong, and the exit code says which.
    fn read(
        words: &'a [String],
        help: &str,
        flags: &[&str],
        values: &[&str],
        plain: usize,
    ) -> Result<Words<'a>, ExitCode> {
        let mut read = Words { flags: Vec::new(), values: Vec::new(), plain: Vec::new() };
        let mut words = words.iter().map(String::as_str);
        let wrong = |what: String| {
            eprint!("linekeeper: {what}\n\n{help}");
            ExitCode::from(exit::USAGE)
        };
        while let Some(word) = words.next() {
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) if word.starts_with("--") => (name, Some(value)),
                _ => (word, None),
            };
            if name == "-h" || name == "--help" {
                return Err(print(help));
            } else if flags.contains(&name) && inline.is_none() {
                read.flags.push(name);
            } else if values.contains(&name) {
                match inline.or_else(|| words.next()) {
                    Some(value) => read.values.push((name, value)),
                    None => return Err(wrong(format!("{name} needs a value"))),
                }
            } else if word.starts_with('-') && word.len() > 1 {
                return Err(wrong(format!("{word} is not known here")));
            } else {
                read.plain.push(word);
            }
        }
        if read.plain.len() != plain && plain != ANY {
            let wanted = match plain {
                0 => "nothing more is wanted".to_string(),
                1 => "one word is wanted".to_string(),
                n => format!("{n} words are wanted"),
            };
            return Err(wrong(format!("{wanted} after the verb, {} given", read.plain.len())));
        }
        Ok(read)
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// A whole number at `--name`.
    #[cfg(feature = "toml")]
    fn number(&self, name: &str, default: u32, most: u32) -> Result<u32, ExitCode> {
        let Some(text) = self.value(name) else { return Ok(default) };
        match text.parse::<u32>() {
            Ok(n) if (1..=most).contains(&n) => Ok(n),
            _ => Err(misused(format!("{name} is a whole number of 1 to {most}, is {text:?}"))),
        }
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.values.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }
}

fn misused(what: String) -> ExitCode {
    eprint!("linekeeper: {what}\n\n{HELP}");
    ExitCode::from(exit::USAGE)
}

fn failed(code: u8, what: impl Display) -> ExitCode {
    eprintln!("linekeeper: {what}");
    ExitCode::from(code)
}

/// Prints to standard output. A reader that has gone away (`| head`) is no failure of ours.
fn print(text: &str) -> ExitCode {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => failed(exit::IO, format!("cannot write to standard output: {e}")),
    }
}

/// The text of a configuration file.
fn read(path: &Path) -> Result<String, ExitCode> {
    std::fs::read_to_string(path).map_err(|e| {
        failed(
            exit::NO_INPUT,
            format!("cannot read the configuration {}: {e}; name one with --config", path.display()),
        )
    })
}

/// Reads a configuration file: the tree as it was written, and what the code trusts.
fn load(path: &Path) -> Result<(serde_json::Value, Config), ExitCode> {
    let text = read(path)?;
    config_text::load_tree(&text, Format::of(path, &text)).map_err(|faults| {
        eprint!("{faults}");
        ExitCode::from(exit::CONFIG)
    })
}

fn check(words: &[String]) -> ExitCode {
    let words = match Words::read(words, CHECK_HELP, &["--json"], &[], 1) {
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
    let faults = match config_text::load_tree(&text, Format::of(path, &text)) {
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

fn replay(words: &[String]) -> ExitCode {
    use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
    let words = match Words::read(words, REPLAY_HELP, &[], &[], 1) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let path = words.plain[0];
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) => return failed(exit::NO_INPUT, format!("cannot read the trace {path}: {e}")),
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut replay = linekeeper_proving::replay::Replay::new();
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) => return failed(exit::NO_INPUT, format!("cannot read the trace {path}: {e}")),
        }
        let whole = line.pop_if(|b| *b == b'\n').is_some();
        let text = String::from_utf8_lossy(&line);
        let done = match replay.line(&text) {
            Ok(done) => done,
            // The process died while it wrote this line: what it saw last was not judged.
            Err(fault) if !whole => {
                let _ = out.flush();
                return failed(
                    exit::DATA,
                    format!("{path}: the last line is cut off ({fault}); replayed up to it"),
                );
            }
            Err(fault) => {
                let _ = out.flush();
                return failed(exit::DATA, format!("{path}: {fault}"));
            }
        };
        for done in done {
            line.clear();
            let written =
                linekeeper_contract::json::write_to(&mut line, &done).map_err(std::io::Error::other);
            line.push(b'\n');
            match written.and_then(|()| out.write_all(&line)) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
                Err(e) => return failed(exit::IO, format!("cannot write to standard output: {e}")),
            }
        }
    }
    match out.flush() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => failed(exit::IO, format!("cannot write to standard output: {e}")),
    }
}

/// The configuration where none is named: what people write, or what OpenWrt's init script makes of UCI.
fn usual() -> &'static str {
    const WRITTEN: &str = "/etc/linekeeper.toml";
    const MADE: &str = "/var/run/linekeeper/config.json";
    if !Path::new(WRITTEN).exists() && Path::new(MADE).exists() { MADE } else { WRITTEN }
}

fn run(words: &[String]) -> ExitCode {
    let words = match Words::read(words, RUN_HELP, &["--dry-run", "--verbose"], &["--config", "--record"], 0)
    {
        Ok(words) => words,
        Err(code) => return code,
    };
    let file = Path::new(words.value("--config").unwrap_or(usual()));
    let (tree, config) = match load(file) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    crate::run::log::begin(words.has("--verbose"));
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

fn ask(words: &Words<'_>, request: &crate::run::socket::Request) -> Result<serde_json::Value, ExitCode> {
    let socket = Path::new(words.value("--socket").unwrap_or(config::bounds::SOCKET_DEFAULT));
    crate::run::socket::ask(socket, request).map_err(|why| failed(exit::UNAVAILABLE, why))
}

fn status(words: &[String]) -> ExitCode {
    use crate::run::{show, socket::Request};
    let words = match Words::read(words, STATUS_HELP, &["--json"], &["--socket"], 0) {
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

fn diagnose(words: &[String]) -> ExitCode {
    let words = match Words::read(words, DIAGNOSE_HELP, &["--json"], &["--config"], 0) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let config = match load(Path::new(words.value("--config").unwrap_or(usual()))) {
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

fn callback(words: &[String]) -> ExitCode {
    use crate::run::{show, socket::Request};
    let words = match Words::read(words, CALLBACK_HELP, &["--json"], &["--reason", "--socket"], 0) {
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

fn speedtest(words: &[String]) -> ExitCode {
    use crate::run::speedtest::{BYTES, Options, Verdict, speedtest};
    use linekeeper_contract::units::Bytes;
    use linekeeper_contract::vocabulary::Direction;
    let flags = ["--json", "--download-only", "--upload-only"];
    let words = match Words::read(
        words,
        SPEEDTEST_HELP,
        &flags,
        &["--server", "--config", "--device", "--ca", "--megabytes"],
        0,
    ) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let file = words.value("--config").or_else(|| Path::new(usual()).exists().then_some(usual()));
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

#[cfg(feature = "toml")]
fn ground_failed(failure: &linekeeper_proving::Failure) -> ExitCode {
    use linekeeper_proving::Failure;
    let code = match failure {
        Failure::NoInput(_) => exit::NO_INPUT,
        Failure::Wrong(_) => exit::CONFIG,
        Failure::Data(_) => exit::DATA,
        Failure::NoOutput(_) => exit::IO,
    };
    failed(code, failure)
}

#[cfg(feature = "toml")]
fn simulate(words: &[String]) -> ExitCode {
    use linekeeper_proving::simulate::figures::{json, show};
    use linekeeper_proving::simulate::runs::{Options, simulate};
    use std::io::IsTerminal;
    let words = match Words::read(words, SIMULATE_HELP, &["--json", "--full"], &["--years", "--seeds"], ANY) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let (years, seeds) = match (words.number("--years", 1, 100), words.number("--seeds", 10, 10_000)) {
        (Ok(years), Ok(seeds)) => (years, seeds),
        (Err(code), _) | (_, Err(code)) => return code,
    };
    let worlds = words.plain.iter().map(|w| w.to_string()).collect();
    let terminal = std::io::stderr().is_terminal();
    let progress = |done: usize, of: usize| {
        if terminal {
            let done_years = done * years as usize;
            eprint!(
                "\r{done_years} of {} line-years{}",
                of * years as usize,
                if done == of { "\r\x1b[K" } else { "" }
            );
        }
    };
    match simulate(
        &Options { worlds, years, seeds, full: words.has("--full") },
        config_text::parse_tree,
        progress,
    ) {
        Ok(outcomes) if words.has("--json") => print(&format!("{}\n", json(&outcomes))),
        Ok(outcomes) => print(&show(&outcomes)),
        Err(failure) => ground_failed(&failure),
    }
}

/// `50/10` in Mbit/s.
#[cfg(feature = "toml")]
fn promise(
    text: &str,
) -> Option<(linekeeper_contract::units::Rate, Option<linekeeper_contract::units::Rate>)> {
    let rate = |text: &str| {
        let n = text.parse::<f64>().ok().filter(|n| (0.064..=100_000.0).contains(n))?;
        Some(linekeeper_contract::units::Rate((n * 1e6).round() as u64))
    };
    match text.split_once('/') {
        Some((down, up)) => Some((rate(down)?, Some(rate(up)?))),
        None => Some((rate(text)?, None)),
    }
}

#[cfg(feature = "toml")]
fn backtest(words: &[String]) -> ExitCode {
    use linekeeper_proving::backtest::{Options, backtest, json, show};
    let values = ["--config", "--against", "--promise", "--plot"];
    let words = match Words::read(words, BACKTEST_HELP, &["--json"], &values, ANY) {
        Ok(words) => words,
        Err(code) => return code,
    };
    let sold = match words.value("--promise").map(|text| (text, promise(text))) {
        None => None,
        Some((_, Some(sold))) => Some(sold),
        Some((text, None)) => {
            return misused(format!("--promise is DOWN or DOWN/UP in Mbit/s, 0.064 to 100000, is {text:?}"));
        }
    };
    let plot = words.value("--plot").map(PathBuf::from);
    match words.plain.len() {
        0 => return misused("no log is named".into()),
        1 => {}
        n if plot.is_some() => return misused(format!("--plot draws one log, {n} are named")),
        _ => {}
    }
    let mut text = String::new();
    for (at, log) in words.plain.iter().enumerate() {
        let options = Options {
            log: PathBuf::from(log),
            config: words.value("--config").map(PathBuf::from),
            against: words.value("--against").map(PathBuf::from),
            promise: sold,
            plot: plot.clone(),
        };
        match backtest(&options, config_text::parse_tree) {
            Ok((log, judged)) if words.has("--json") => {
                text += &format!("{}\n", json(&options.log, &log, &judged));
            }
            Ok((log, judged)) => {
                text += if at > 0 { "\n" } else { "" };
                text += &show(&options.log, &log, &judged);
            }
            Err(failure) => {
                print(&text);
                return ground_failed(&failure);
            }
        }
    }
    print(&text)
}

#[cfg(not(feature = "toml"))]
fn backtest(_: &[String]) -> ExitCode {
    let _ = BACKTEST_HELP;
    without("backtest", "toml")
}

#[cfg(not(feature = "toml"))]
fn simulate(_: &[String]) -> ExitCode {
    let _ = (SIMULATE_HELP, ANY);
    without("simulate", "toml")
}

#[cfg(not(feature = "toml"))]
fn without(verb: &str, feature: &str) -> ExitCode {
    failed(
        exit::UNAVAILABLE,
        format!("{verb} is not in this build: it was made without the feature `{feature}`"),
    )
}
