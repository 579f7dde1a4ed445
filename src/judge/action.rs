//! The output of the judge: the actions it wants performed. Action names are in the imperative.

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
    /// One action. Actions are performed in the order given.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Action = "Action" by "do" {
        /// Send one echo request and report its result.
        Probe {
            /// Its number, which the report must contain.
            probe: ProbeId,
            /// The target.
            target: TargetId,
        },
        /// Carry out a remedy and report its result.
        Repair(Repair),
        /// Undo what an interrupted remedy may have left behind (an interface that is down). Harmless if there is nothing to undo.
        MakeSafe {
            /// The remedy that was interrupted.
            rung: Rung,
        },
        /// Carry out a speed test and report its result.
        MeasureSpeed(SpeedOrder),
        /// End a speed test now. The traffic it used is still reported.
        AbortSpeed {
            /// Which.
            test: TestId,
        },
        /// Check one layer of the line and report the result.
        Check(CheckOrder),
        /// Put a message into the durable outbox.
        Publish(Box<Critical>),
        /// Send a routine summary; it may be lost.
        Report(Box<Telemetry>),
        /// Write the snapshot to flash before performing the actions that follow.
        ///
        /// The runner writes the messages of the same step with it, so that a crash between snapshot and outbox loses
        /// neither.
        Save,
        /// Write a line to the log: one for each decision.
        Note {
            /// Its severity.
            level: Level,
            /// The decision and its reason, for people.
            text: String,
        },
    }
}

/// A remedy to carry out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Its number, which the report must contain.
    pub remedy: RemedyId,
    /// Which rung.
    pub rung: Rung,
    /// The incident it is for, in its present state. `None`: the platform ordered the remedy and there is no incident.
    pub incident: Option<Box<Incident>>,
    /// How long it may run before it is killed.
    pub limit: Span,
    /// For [`Rung::OtherResolver`]: a DNS server that is known to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<IpAddr>,
}

impl Action {
    /// The message, if the action publishes one.
    pub fn published(&self) -> Option<&Critical> {
        match self {
            Action::Publish(critical) => Some(critical),
            _ => None,
        }
    }
}

/// The severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Helps to find the cause of a problem.
    Debug,
    /// A routine decision.
    Info,
    /// Something is wrong with the line or with the daemon.
    Warn,
}

/// One action with the time of its step: a line of `actions.jsonl` and of `linekeeper replay`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When.
    pub at: Mono,
    /// What.
    pub action: Action,
}
