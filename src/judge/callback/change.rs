//! The requests that other concerns make about callbacks: open one, or change one.

use linekeeper_contract::message::{Evidence, Fact, Issue, Remedy, Severity, Stamp, Trigger};
use linekeeper_contract::units::Mono;

/// A request to open a callback.
#[derive(Debug, Clone)]
pub struct CallWanted {
    /// The id it gets.
    pub callback_id: String,
    /// What triggered it.
    pub trigger: Trigger,
    /// How urgent it is.
    pub severity: Severity,
    /// What to say to the customer.
    pub issue: Issue,
    /// The evidence.
    pub evidence: Evidence,
    /// When the trouble began.
    pub opened: Stamp,
    /// The same on the monotonic clock.
    pub opened_at: Mono,
    /// Its incident.
    pub incident_id: Option<String>,
    /// What was tried.
    pub remedies: Vec<Remedy>,
}

/// A change of a callback.
#[derive(Debug, Clone)]
pub enum Change {
    /// The fault was located elsewhere, or more remedies were tried. Applies to a live callback, and only if it is news.
    Current {
        /// What to say to the customer now.
        issue: Issue,
        /// The line is flapping: a higher count of breaks alone is no news.
        flapping: bool,
        /// The evidence.
        facts: Vec<Fact>,
        /// The fault domain.
        domain: linekeeper_contract::message::Domain,
        /// What was tried.
        remedies: Vec<Remedy>,
    },
    /// The customer asked first; the callback becomes the incident's as well.
    Joined {
        /// What to say to the customer in addition.
        issue: Issue,
        /// The evidence.
        evidence: Evidence,
        /// What was tried.
        remedies: Vec<Remedy>,
    },
    /// It was withdrawn and is requested again.
    Anew {
        /// The operator's notice in force.
        covered_by: Option<String>,
        /// What triggered it.
        trigger: Trigger,
        /// What to say to the customer.
        issue: Issue,
        /// The evidence.
        evidence: Evidence,
        /// What was tried.
        remedies: Vec<Remedy>,
    },
    /// The issues or the evidence changed. Applies to a live callback.
    Shown {
        /// What to say to the customer.
        issues: Vec<Issue>,
        /// The evidence.
        evidence: Evidence,
    },
    /// The operator's notice is in force. Applies to a live callback.
    Covered {
        /// The notice.
        notice: String,
    },
    /// The line's incident ended. Applies to a live or covered callback.
    Healed {
        /// When.
        ended: Mono,
        /// What ended it.
        by: String,
        /// What was tried.
        remedies: Vec<Remedy>,
    },
    /// Another incident ended by itself. Applies to a live callback.
    Over {
        /// How long it lasted.
        seconds: u64,
        /// The call is no longer needed.
        withdraw: bool,
    },
}
