//! The verb `replay`: a recorded trace is decided again.

use super::args::{Args, failed};
use super::exit;
use super::help::REPLAY_HELP;
use std::process::ExitCode;

pub(super) fn replay(words: &[String]) -> ExitCode {
    use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
    let words = match Args::read(words, REPLAY_HELP, &[], &[], 1) {
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
        let done = match replay.process_line(&text) {
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
