//! Logs of real lines, as worlds: what somebody else once measured, or what an agent of our own recorded.
//!
//! | first line | what it is | what it becomes |
//! |---|---|---|
//! | `time,download_mbps,upload_mbps,latency_ms` | speed tests; an empty rate is a failed one | the next logged test answers the one that the judge asks for |
//! | `time,target,rtt_ms` | pings; an empty time is a lost one | the line is silent from the last ping before a lost one until that one |
//! | `time,up` | states: 1 or 0, empty where nobody knows; each holds until the next row | the line is silent while it is down |
//! | `time,value[,label]` | traffic as a share of an unknown most | what the customer takes in, in parts of 10 Mbit/s |
//! | `{"schema":"linekeeper.trace.v1",…` | a trace of our own | echoes as pings, tests as tests, lost carriers and addresses |
//!
//! Times are RFC 3339, or seconds since 1970. What is far longer than the log's usual step is a hole: nobody looked, and
//! the agent is not there either. A log is read as a whole or not at all.

mod csv;
mod model;
mod trace;
mod world;

pub use model::{Kind, Log};

use crate::replay::Fault;

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    /// What is wrong, with line and column; at most the first twenty faults.
    pub fn read(text: &str) -> Result<Log, Vec<Fault>> {
        if text.starts_with('{') { trace::read(text) } else { csv::read(text) }
    }
}
