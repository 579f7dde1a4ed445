//! An extract of the flight recorder, as sent with an incident.
//!
//! The recorder keeps one entry a second. Runs of equal numbers are compressed, because most seconds of a line are alike.

use crate::json;
use crate::stamp::Stamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An extract of the flight recorder: columns with one entry a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The time of the first entry.
    pub from: Stamp,
    /// Index, from 0, of the second in which the line broke.
    pub broke: u32,
    /// One letter a second: `u` up, `d` down, `?` unknown, `-` not watched.
    pub line: String,
    /// One letter a second: `+` intact, `x` faulty (device, carrier, address or route), `-` not watched.
    pub link: String,
    /// What the gateway itself does, one letter a second: `r` a remedy runs, `t` a speed test runs, `.` neither.
    pub ours: String,
    /// Echo requests sent. (In all columns of numbers a run of equal numbers is written once, as `[number, times]`.)
    pub asked: Vec<Run>,
    /// Replies received.
    pub answered: Vec<Run>,
    /// Echo requests that got no reply or could not be sent.
    pub lost: Vec<Run>,
    /// Longest round trip of the replies, microseconds; 0: no reply.
    pub rtt_us: Vec<Run>,
    /// Received, kbit/s.
    pub rx_kbps: Vec<Run>,
    /// Sent, kbit/s.
    pub tx_kbps: Vec<Run>,
}

/// A number and the count of consecutive seconds that have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The number.
    pub n: u32,
    /// The count of seconds.
    pub times: u32,
}

/// A number that occurs once is written alone.
impl Serialize for Run {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.times {
            1 => s.serialize_u32(self.n),
            times => (self.n, times).serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Run, D::Error> {
        use serde::de::Error;
        let tree = Value::deserialize(d)?;
        let (n, times) = match tree {
            Value::Array(_) => json::from_tree(&tree).map_err(D::Error::custom)?,
            _ => (json::from_tree(&tree).map_err(D::Error::custom)?, 1),
        };
        Ok(Run { n, times })
    }
}
