//! What may be told of usage.

use serde::{Deserialize, Serialize};

/// The kinds of unusual usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Too much comes in.
    MuchReceived,
    /// Too much goes out.
    MuchSent,
    /// Hardly anything comes in where much does.
    LittleReceived,
}

impl Kind {
    /// All.
    pub const ALL: [Kind; 3] = [Kind::MuchReceived, Kind::MuchSent, Kind::LittleReceived];

    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::MuchReceived => "much_received",
            Kind::MuchSent => "much_sent",
            Kind::LittleReceived => "little_received",
        }
    }

    /// What people are told.
    pub const fn words(self) -> &'static str {
        match self {
            Kind::MuchReceived => "far more is received than usual at this hour",
            Kind::MuchSent => "far more is sent than usual at this hour",
            Kind::LittleReceived => "hardly anything is received at an hour that is usually busy",
        }
    }
}

/// What may be told of usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the week's 168 hours so many are known well enough to speak of.
    pub hours_known: usize,
    /// What is unusual now.
    pub unusual: Vec<Kind>,
}
