//! Records the trace: each observation before the judge sees it, and the judge's actions after.
//!
//! After a crash the last line of `trace.jsonl` is the observation that caused it. `linekeeper replay trace.jsonl` prints what
//! `actions.jsonl` holds, byte for byte.

use linekeeper_contract::json;
use linekeeper_contract::units::Mono;
use linekeeper_judge::action::{Action, Done};
use linekeeper_judge::observation::{Entry, Observation};
use linekeeper_proving::replay::Header;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A segment's size at which the next begins. 16 MiB: about seven hours of quiet watching; replayed in a second.
pub const SEGMENT: u64 = 16 << 20;
/// Older segments kept. Four: more than a day in all, 80 MiB at most (the actions are a tenth of the trace).
pub const KEPT: u32 = 4;

/// Writes a trace into a directory, in segments that each replay by themselves.
#[derive(Debug)]
pub struct Recorder {
    dir: PathBuf,
    trace: File,
    actions: File,
    written: u64,
    /// Kept so that a line costs no allocation.
    line: Vec<u8>,
}

impl Recorder {
    /// Begins a segment.
    ///
    /// # Errors
    /// In words: what could not be done, to which file, why, and what to try.
    pub fn begin(dir: &Path, header: &Header) -> Result<Recorder, String> {
        fs::create_dir_all(dir).map_err(|e| trouble("create", dir, &e))?;
        for name in ["trace", "actions"] {
            let path = |n: u32| match n {
                0 => dir.join(format!("{name}.jsonl")),
                n => dir.join(format!("{name}.{n}.jsonl")),
            };
            for n in (0..KEPT).rev() {
                if path(n).exists() {
                    fs::rename(path(n), path(n + 1)).map_err(|e| trouble("rename", &path(n), &e))?;
                }
            }
        }
        let create = |name: &str| {
            let path = dir.join(name);
            File::create(&path).map_err(|e| trouble("create", &path, &e))
        };
        let mut recorder = Recorder {
            dir: dir.to_path_buf(),
            trace: create("trace.jsonl")?,
            actions: create("actions.jsonl")?,
            written: 0,
            line: Vec::new(),
        };
        recorder.trace_line(header)?;
        Ok(recorder)
    }

    /// Writes an observation down, before it is judged.
    ///
    /// # Errors
    /// In words; the recorder is of no use any more then.
    pub fn saw(&mut self, at: Mono, observation: &Observation) -> Result<(), String> {
        self.trace_line(&Entry { at, observation: observation.clone() })
    }

    /// Writes down what the judge made of it.
    ///
    /// # Errors
    /// As [`Recorder::saw`].
    pub fn did(&mut self, at: Mono, actions: &[Action]) -> Result<(), String> {
        for action in actions {
            encode(&mut self.line, &Done { at, action: action.clone() })?;
            let path = self.dir.join("actions.jsonl");
            self.actions.write_all(&self.line).map_err(|e| trouble("write", &path, &e))?;
        }
        Ok(())
    }

    /// Whether the next segment should begin.
    pub fn is_full(&self) -> bool {
        self.written >= SEGMENT
    }

    fn trace_line(&mut self, line: &impl Serialize) -> Result<(), String> {
        encode(&mut self.line, line)?;
        self.written += self.line.len() as u64;
        let path = self.dir.join("trace.jsonl");
        self.trace.write_all(&self.line).map_err(|e| trouble("write", &path, &e))
    }
}

fn encode(buffer: &mut Vec<u8>, line: &impl Serialize) -> Result<(), String> {
    buffer.clear();
    json::write_to(buffer, line).map_err(|e| format!("cannot write the trace as JSON: {e}"))?;
    buffer.push(b'\n');
    Ok(())
}

fn trouble(what: &str, path: &Path, e: &std::io::Error) -> String {
    format!(
        "recording ends: cannot {what} {}: {e}; free space or give --record another directory",
        path.display()
    )
}
