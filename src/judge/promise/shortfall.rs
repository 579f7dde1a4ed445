//! The incident about the promise.

use linekeeper_contract::message::{Domain, Stamp};
use linekeeper_contract::units::Mono;
use linekeeper_contract::vocabulary::Direction;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What something is short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The port negotiated less than was sold.
    Port,
    /// The line is slow towards the customer.
    Download,
    /// The line is slow from the customer.
    Upload,
}

impl Cause {
    /// A slow line, one way.
    pub fn of(direction: Direction) -> Cause {
        match direction {
            Direction::Download => Cause::Download,
            Direction::Upload => Cause::Upload,
        }
    }

    /// As messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Port => "port",
            Cause::Download => "download",
            Cause::Upload => "upload",
        }
    }
}

/// The incident about the promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// Its id.
    pub id: String,
    /// What is short.
    pub causes: BTreeSet<Cause>,
    /// When it was found.
    pub opened: Stamp,
    /// The same on our own clock.
    pub opened_at: Mono,
    /// Its callback.
    pub callback: Option<String>,
}

impl Shortfall {
    /// A port below the promise explains a short rate.
    pub fn domain(&self) -> Domain {
        if self.causes.contains(&Cause::Port) { Domain::Link } else { Domain::Unknown }
    }
}
