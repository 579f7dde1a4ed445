//! A part of the flight recorder, as it goes with an incident.

use crate::json;
use crate::stamp::Stamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A part of the flight recorder, as columns with one entry a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The first second.
    pub from: Stamp,
    /// Which entry, counted from 0, is the second in which the line broke.
    pub broke: u32,
    /// One letter a second: `u` up, `d` down, `?` not known, `-` not watched.
    pub line: String,
    /// One letter a second: `+` whole, `x` faulty (device, carrier, address or route), `-` not watched.
    pub link: String,
    /// One letter a second: `r` a remedy of ours is carried out, `t` a speed test of ours runs, `.` neither.
    pub ours: String,
    /// Echoes sent. (All numbers: runs of equal ones are written once, as `[number, times]`.)
    pub asked: Vec<Run>,
    /// Answers that came.
    pub answered: Vec<Run>,
    /// Echoes given up or not sent.
    pub lost: Vec<Run>,
    /// The longest round trip of an answer that came, microseconds; 0: none came.
    pub rtt_us: Vec<Run>,
    /// Received, kbit/s.
    pub rx_kbps: Vec<Run>,
    /// Sent, kbit/s.
    pub tx_kbps: Vec<Run>,
}

/// A number, and in how many seconds in a row it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The number.
    pub n: u32,
    /// In so many seconds.
    pub times: u32,
}

/// One that stands once is written as itself.
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
