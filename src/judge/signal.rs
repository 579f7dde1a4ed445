//! The messages between concerns. A signal is delivered in the step in which it is sent.

use super::callback::change::{CallWanted, Change};
use super::diagnosis::Placed;
use super::outage::line::{Cause, Turn};
use super::promise::commanded::Asked;
use super::status::Status;
use crate::observation::RemedyId;
use linekeeper_contract::message::{self, Fact, Finding, Outcome, VerdictSummary};
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_contract::vocabulary::{Direction, Rung};

/// An event or a request. If only one concern is meant to act on it, the comment names it.
#[derive(Debug, Clone)]
pub enum Signal {
    // ---- the line
    /// Something about the line changed (to the line itself, which handles it).
    LineTurned(Turn),
    /// The line went down.
    LineBroke {
        /// When the first evidence was seen.
        since: Mono,
        /// How it shows.
        cause: Cause,
        /// The evidence from the line itself.
        facts: Vec<Fact>,
    },
    /// The line is up again.
    LineReturned {
        /// When it was first proven.
        at: Mono,
    },
    /// The line was not watched for a while.
    Unwatched {
        /// How long.
        gap: Span,
    },
    /// A commanded remedy broke the line, the remedy is over, and the line is still down (to the line).
    BreakStays {
        /// How it shows.
        cause: Cause,
    },

    // ---- the incident
    /// An incident opened.
    IncidentOpened,
    /// The incident is broken again.
    IncidentReopened {
        /// The rung that ended its last break.
        healed_by: Option<Rung>,
    },
    /// New evidence for an incident that is broken.
    Evidence(Fact),
    /// The incident's break ended (to the incident itself, after the remedy in progress ends).
    BreakEnded {
        /// When that was first proven.
        at: Mono,
        /// The remedy that was in progress.
        healed_by: Option<Rung>,
    },
    /// The service incident ended (to the incident itself, after the remedy in progress ends).
    ServiceEnded {
        /// The remedy that was in progress.
        healed_by: Option<Rung>,
    },
    /// The line is flapping: request a callback (to the handover).
    HandOver,
    /// The incident has a callback: a new one, or one that existed already (to the incident).
    IncidentCalled {
        /// Its id.
        callback_id: String,
    },
    /// An incident besides the line's own ended.
    EndedAside(Box<message::Incident>),

    // ---- names and the web
    /// A service fault is confirmed: the line is up, but names or the web do not work.
    ServiceBroke {
        /// The finding.
        finding: Finding,
        /// Its fault domain.
        placed: Placed,
        /// When it began.
        since: Mono,
        /// The evidence.
        facts: Vec<Fact>,
    },
    /// The finding changed: what looked like a DNS fault is a login page, or the other way round.
    ServiceRevised {
        /// The new finding.
        finding: Finding,
        /// Its fault domain.
        placed: Placed,
    },
    /// The service is back.
    ServiceReturned,

    // ---- remedies
    /// A remedy begins for the incident.
    RemedyBegins {
        /// Which.
        rung: Rung,
        /// The reason, for people.
        why: String,
    },
    /// The remedy was carried out; its effect is not known yet.
    RemedyCarriedOut,
    /// The effect of the remedy in progress is known (to the ladder).
    EndRemedy {
        /// Its outcome.
        outcome: Outcome,
    },
    /// A remedy is ending. Sent before [`Signal::RemedyEnded`], so that the command that ordered it is answered first.
    RemedyEnding(RemedyEnd),
    /// A remedy is over.
    RemedyEnded(RemedyEnd),
    /// A remedy is over and the line is up (to the incident).
    LineUpAfterRemedy {
        /// When the line was first proven up.
        at: Mono,
    },
    /// Take the next rung (to the ladder itself).
    NextRung,
    /// The ladder has no rung left for now, or must wait for people. The text is the reason, for people.
    LadderExhausted(String),
    /// Whether the ladder waits for the results of the layer checks (to the checks).
    AnswersAwaited(bool),
    /// The remedy in progress was begun by an earlier life of the process (to the ladder itself).
    RemedyOutlived,

    // ---- what people do
    /// Nobody works on the gateway any more: remedies are allowed again.
    HandsFree,
    /// netifd reports a different state of the interface.
    InterfaceChanged {
        /// The new state, as evidence.
        fact: Option<Fact>,
        /// Whether somebody took the interface down.
        taken_down: bool,
    },
    /// An operator's notice now covers this area.
    AreaNoticed {
        /// Its id.
        notice: String,
    },
    /// The notice no longer applies.
    AreaCleared,
    /// Nothing waits because of the notice any more.
    AreaSettled,

    // ---- callbacks
    /// Request a callback (to the callbacks).
    CallWanted(Box<CallWanted>),
    /// Change a callback (to the callbacks).
    CallChanged {
        /// Which.
        callback_id: String,
        /// How.
        change: Box<Change>,
    },

    /// A warning began or ended (to the device, which handles one at a time, because each may change the number of live
    /// callbacks).
    WarningTurned,
    /// Unusual usage began or ended (to the usage, in the same way).
    UsageTurned,

    // ---- commands
    /// The ladder has taken over from the last life: its commands and callbacks continue.
    LifeResumed,
    /// A command orders a rung (to the ladder).
    RungOrdered {
        /// By which command.
        command_id: String,
        /// Which.
        rung: Rung,
    },
    /// The ordered rung is refused (to the commands).
    RungRefused {
        /// By which command it was ordered.
        command_id: String,
        /// Why.
        why: String,
    },
    /// The ordered rung is taken (to the commands).
    RungTaken {
        /// By which command it was ordered.
        command_id: String,
        /// Its number.
        remedy: RemedyId,
        /// Which.
        rung: Rung,
        /// The line was up when the rung was taken.
        on_whole_line: bool,
    },
    /// Continue with the next command (to the commands themselves).
    ContinueCommands,
    /// Check every layer that can be checked right now (to the checks).
    LayersWanted,
    /// Those checks have started (to the commands).
    LayersAsked {
        /// The command that asked for them.
        command_id: String,
    },
    /// Ordered speed tests may begin, or are over (to the commands).
    OrderedTestsDue,
    /// A command orders a speed test (to the promise).
    TestsOrdered {
        /// By which command.
        command_id: String,
        /// The direction. `None`: each direction that was sold.
        direction: Option<Direction>,
    },
    /// The answer to an ordered speed test (to the commands).
    TestsAnswered {
        /// The command.
        command_id: String,
        /// The answer.
        asked: Asked,
    },
    /// Continue with the next event of the promise (to the promise itself).
    ContinuePromise,
    /// A command orders a re-check (to the programme).
    RecheckOrdered {
        /// By which command.
        command_id: String,
        /// How long from now.
        delay: Span,
    },
    /// The answer to an ordered re-check (to the commands).
    RecheckAnswered {
        /// The command.
        command_id: String,
        /// When it is due, if civil time is known; or why it is refused.
        due: Result<Option<Wall>, &'static str>,
    },

    /// Requests the verdicts on the promise (to the promise).
    VerdictsWanted,
    /// The verdicts; empty if nothing was sold.
    VerdictsGiven(Vec<VerdictSummary>),

    // ---- the status
    /// Requests the status. The sender gets [`Signal::StatusGiven`] next.
    StatusWanted,
    /// The status at this moment.
    StatusGiven(Box<Status>),
}

/// A remedy that is over.
#[derive(Debug, Clone)]
pub struct RemedyEnd {
    /// Its number.
    pub remedy: RemedyId,
    /// Which.
    pub rung: Rung,
    /// Its outcome.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Span,
    /// The driver's report, for people.
    pub detail: String,
}
