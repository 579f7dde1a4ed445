//! What other concerns ask of callbacks.

use linekeeper_contract::message::{Evidence, Fact, Issue, Remedy, Severity, Stamp, Trigger};
use linekeeper_contract::units::Mono;

/// A callback that is wanted.
#[derive(Debug, Clone)]
pub struct CallWanted {
    /// What it is to be called.
    pub callback_id: String,
    /// What sets it off.
    pub trigger: Trigger,
    /// How urgent it is.
    pub severity: Severity,
    /// What the customer is to be told.
    pub issue: Issue,
    /// What shows it.
    pub evidence: Evidence,
    /// When what it is about began.
    pub opened: Stamp,
    /// The same on our own clock.
    pub opened_at: Mono,
    /// Its incident.
    pub incident_id: Option<String>,
    /// What was tried.
    pub remedies: Vec<Remedy>,
}

/// What is to change of a callback.
#[derive(Debug, Clone)]
pub enum Change {
    /// Its incident lies elsewhere, or more was tried. Only of one that is live, and only where that is news.
    Current {
        /// What the customer is to be told now.
        issue: Issue,
        /// A count of breaks alone is no news.
        flapping: bool,
        /// What shows it.
        facts: Vec<Fact>,
        /// Where it lies.
        domain: linekeeper_contract::message::Domain,
        /// What was tried.
        remedies: Vec<Remedy>,
    },
    /// The customer asked before anybody else did: it becomes the incident's.
    Joined {
        /// What the customer is to be told beside.
        issue: Issue,
        /// What shows it.
        evidence: Evidence,
        /// What was tried.
        remedies: Vec<Remedy>,
    },
    /// It was withdrawn, and is asked for again.
    Anew {
        /// The operator's notice that holds.
        covered_by: Option<String>,
        /// What sets it off.
        trigger: Trigger,
        /// What the customer is to be told.
        issue: Issue,
        /// What shows it.
        evidence: Evidence,
        /// What was tried.
        remedies: Vec<Remedy>,
    },
    /// Something else is wrong, or shows it. Only of one that is live.
    Shown {
        /// What the customer is to be told.
        issues: Vec<Issue>,
        /// What shows it.
        evidence: Evidence,
    },
    /// The operator's notice holds. Only of one that is live.
    Covered {
        /// The notice.
        notice: String,
    },
    /// The line's incident is over. Only of one that is live or covered.
    Healed {
        /// When.
        ended: Mono,
        /// By what.
        by: String,
        /// What was tried.
        remedies: Vec<Remedy>,
    },
    /// Another incident is over by itself. Only of one that is live.
    Over {
        /// After so many seconds.
        seconds: u64,
        /// Nobody need call any more.
        withdraw: bool,
    },
}
