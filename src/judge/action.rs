//! The output: what the judge wants done. Nothing else comes out of it. Names are in the imperative.

use crate::check::CheckOrder;
use crate::observation::{ProbeId, RemedyId, TargetId};
use crate::speed::{SpeedOrder, TestId};
use linekeeper_contract::json;
use linekeeper_contract::message::{Critical, Incident, Telemetry};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

json::tagged! {
    /// One thing to do, in the order given.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Action = "Action" by "do" {
        /// Send one echo request and tell what became of it.
        Probe {
            /// Its number, to be given back.
            probe: ProbeId,
            /// Whom to ask.
            target: TargetId,
        },
        /// Carry out a remedy and tell how it ended.
        Repair(Repair),
        /// Put back what an interrupted remedy may have left broken (an interface that is down). Harmless when nothing is.
        MakeSafe {
            /// The remedy that was interrupted.
            rung: Rung,
        },
        /// Carry out a speed test and tell how it ended.
        MeasureSpeed(SpeedOrder),
        /// End a speed test now. What it cost is told all the same.
        AbortSpeed {
            /// Which.
            test: TestId,
        },
        /// Ask one layer of the line and tell what came back.
        Check(CheckOrder),
        /// Hand a message to the outbox, durably.
        Publish(Box<Critical>),
        /// Hand a routine summary over; it may be lost.
        Report(Box<Telemetry>),
        /// Write the snapshot to flash before going on with what follows.
        ///
        /// The runner writes the messages of the same step beside it, so that a death between snapshot and outbox loses
        /// neither.
        Save,
        /// Tell the log why: one line for each decision.
        Note {
            /// How much it matters.
            level: Level,
            /// The decision and its reason, for people.
            text: String,
        },
    }
}

/// A remedy to carry out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Its number, to be given back.
    pub remedy: RemedyId,
    /// What to do.
    pub rung: Rung,
    /// For which incident, as it is now. `None`: the platform ordered it, and there is none.
    pub incident: Option<Box<Incident>>,
    /// How long it may take before it is ended by force.
    pub limit: Span,
    /// For [`Rung::OtherResolver`]: one that was seen to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<IpAddr>,
}

impl Action {
    /// The message, if it hands one to the outbox.
    pub fn published(&self) -> Option<&Critical> {
        match self {
            Action::Publish(critical) => Some(critical),
            _ => None,
        }
    }
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Of use when looking for the cause of something.
    Debug,
    /// A decision in the ordinary course.
    Info,
    /// Something is wrong with the line or with us.
    Warn,
}

/// One action and the moment of the step that gave it: a line of `actions.jsonl` and of `linekeeper replay`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When.
    pub at: Mono,
    /// What.
    pub action: Action,
}
