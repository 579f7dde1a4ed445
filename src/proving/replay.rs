//! Replays a recorded trace: the same observations give the same actions again.
//!
//! A trace is a file of JSON lines. The first line is the [`Header`] with the configuration as written and the snapshot from
//! which the judge was restored. Every other line is an [`Entry`]. Each further header starts a new life of the process.

use linekeeper_contract::json;
use linekeeper_judge::Judge;
use linekeeper_judge::action::Done;
use linekeeper_judge::config::{Places, read};
use linekeeper_judge::observation::Entry;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Schema name of the first line.
pub const TRACE_SCHEMA: &str = "linekeeper.trace.v1";

/// The first line of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`TRACE_SCHEMA`].
    pub schema: String,
    /// The version of linekeeper that wrote it.
    pub version: String,
    /// The configuration, as the tree of its text.
    pub config: Value,
    /// The snapshot from which the judge was restored; `None` for an empty memory.
    pub snapshot: Option<Value>,
}

/// An error in one line of a trace or log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// Line number, from 1.
    pub line: usize,
    /// Column, from 1; the first if the error concerns the whole line.
    pub column: usize,
    /// What is wrong and what was expected.
    pub what: String,
}

impl std::fmt::Display for LineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column.max(1), self.what)
    }
}

/// A replay in progress.
#[derive(Debug, Default)]
pub struct Replay {
    judge: Option<Judge>,
    line: usize,
    last: Option<linekeeper_contract::units::Mono>,
}

impl Replay {
    /// A replay before the first line.
    pub fn new() -> Replay {
        Replay::default()
    }

    /// Processes one line and returns the actions of its step.
    ///
    /// # Errors
    /// What is wrong with the line. The replay can continue with the next line, but its actions then differ from the
    /// recorded ones.
    pub fn process_line(&mut self, text: &str) -> Result<Vec<Done>, LineError> {
        self.line += 1;
        let line = self.line;
        let fault = |column: usize, what: String| LineError { line, column, what };
        if self.judge.is_none() || text.starts_with("{\"schema\":") {
            let header: Header = json::read(text.as_bytes()).map_err(|e| {
                fault(
                    e.column(),
                    format!("not the header of a trace ({TRACE_SCHEMA}): {}", e.without_position()),
                )
            })?;
            if header.schema != TRACE_SCHEMA {
                return Err(fault(
                    12,
                    format!("the schema is {:?}, this program reads {TRACE_SCHEMA}", header.schema),
                ));
            }
            let config =
                read(&header.config, &Places::none()).map_err(|faults| fault(1, faults.to_string()))?;
            self.last = None;
            self.judge = Some(match &header.snapshot {
                Some(snapshot) => Judge::restore(config, snapshot).map_err(|why| fault(1, why))?,
                None => Judge::new(config),
            });
            return Ok(Vec::new());
        }
        let entry: Entry = json::read(text.as_bytes())
            .map_err(|e| fault(e.column(), format!("not an entry of a trace: {}", e.without_position())))?;
        if let Some(last) = self.last.filter(|last| entry.at < *last) {
            return Err(fault(1, format!("time runs backwards: {} ms after {} ms", entry.at.0, last.0)));
        }
        self.last = Some(entry.at);
        let Some(judge) = &mut self.judge else { return Ok(Vec::new()) };
        let actions = judge.step(entry.at, &entry.observation);
        Ok(actions.into_iter().map(|action| Done { at: entry.at, action }).collect())
    }

    /// The judge in its present state; `None` before the first header.
    pub fn judge(&self) -> Option<&Judge> {
        self.judge.as_ref()
    }
}
