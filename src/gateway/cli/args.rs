//! Parses the arguments of a verb, and prints results and errors.

use super::exit;
use super::help::HELP;
use std::fmt::Display;
use std::process::ExitCode;

/// As many plain words as are given.
pub(super) const ANY: usize = usize::MAX;

/// What a verb was given: `--name`, `--name value`, and words.
pub(super) struct Args<'a> {
    pub(super) flags: Vec<&'a str>,
    pub(super) values: Vec<(&'a str, &'a str)>,
    pub(super) plain: Vec<&'a str>,
}

impl<'a> Args<'a> {
    /// Reads them; `None`: help was asked for or they are wrong, and the exit code says which.
    pub(super) fn read(
        words: &'a [String],
        help: &str,
        flags: &[&str],
        values: &[&str],
        plain: usize,
    ) -> Result<Args<'a>, ExitCode> {
        let mut read = Args { flags: Vec::new(), values: Vec::new(), plain: Vec::new() };
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

    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// A whole number at `--name`.
    #[cfg(feature = "toml")]
    pub(super) fn number(&self, name: &str, default: u32, most: u32) -> Result<u32, ExitCode> {
        let Some(text) = self.value(name) else { return Ok(default) };
        match text.parse::<u32>() {
            Ok(n) if (1..=most).contains(&n) => Ok(n),
            _ => Err(misused(format!("{name} is a whole number of 1 to {most}, is {text:?}"))),
        }
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.values.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }
}

pub(super) fn misused(what: String) -> ExitCode {
    eprint!("linekeeper: {what}\n\n{HELP}");
    ExitCode::from(exit::USAGE)
}

pub(super) fn failed(code: u8, what: impl Display) -> ExitCode {
    eprintln!("linekeeper: {what}");
    ExitCode::from(code)
}

/// Prints to standard output. A reader that has gone away (`| head`) is no failure of ours.
pub(super) fn print(text: &str) -> ExitCode {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => failed(exit::IO, format!("cannot write to standard output: {e}")),
    }
}
