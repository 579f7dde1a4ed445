//! Reads logs of real lines as worlds: measurements of other programs, or traces recorded by linekeeper.
//!
//! | first line | content | meaning in the simulation |
//! |---|---|---|
//! | `time,download_mbps,upload_mbps,latency_ms` | speed tests; an empty rate is a failed one | the next logged test is the result of the test that the judge orders |
//! | `time,target,rtt_ms` | pings; an empty time is a lost ping | the line is silent from the ping before a lost one until that one |
//! | `time,up` | states: 1 or 0, empty if unknown; each holds until the next row | the line is silent while it is down |
//! | `time,value[,label]` | traffic as a share of an unknown maximum | the customer's download, as a share of 10 Mbit/s |
//! | `{"schema":"linekeeper.trace.v1",…` | a trace of linekeeper | echoes as pings, tests as tests, lost carriers and addresses |
//!
//! Times are RFC 3339 or seconds since 1970. A gap far longer than the usual step of the log is a hole: nobody measured, so
//! the simulated agent does not run either. A log with any invalid row is refused completely.

mod csv;
mod model;
mod trace;
mod world;

pub use model::{Kind, Log};

use crate::replay::LineError;

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    /// The faults with line and column, at most the first twenty.
    pub fn read(text: &str) -> Result<Log, Vec<LineError>> {
        if text.starts_with('{') { trace::read(text) } else { csv::read(text) }
    }
}
