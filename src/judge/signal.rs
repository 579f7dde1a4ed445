//! What concerns tell each other. A signal is delivered in the step in which it is given.

use super::callback::change::{CallWanted, Change};
use super::diagnosis::Placed;
use super::outage::line::{Cause, Turn};
use super::promise::commanded::Asked;
use super::status::Status;
use crate::observation::RemedyId;
use linekeeper_contract::message::{self, Fact, Finding, Outcome, VerdictSummary};
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_contract::vocabulary::{Direction, Rung};

/// What happened, or is wanted. Where one concern alone is meant to hear it, it is named.
#[derive(Debug, Clone)]
pub enum Signal {
    // ---- the line
    /// Something about the line changed (to the line itself, which says what).
    LineTurned(Turn),
    /// The line went down.
    LineBroke {
        /// The first evidence.
        since: Mono,
        /// How it shows.
        cause: Cause,
        /// What the line itself shows.
        facts: Vec<Fact>,
    },
    /// The line is up again.
    LineReturned {
        /// First proven then.
        at: Mono,
    },
    /// Nobody watched.
    Unwatched {
        /// For so long.
        gap: Span,
    },
    /// The line broke by a remedy that was ordered, and is not back although that is over (to the line).
    BreakStays {
        /// How it shows.
        cause: Cause,
    },

    // ---- the incident
    /// An incident opened.
    IncidentOpened,
    /// It is broken again.
    IncidentReopened {
        /// The rung that had ended its last break.
        healed_by: Option<Rung>,
    },
    /// Something was seen that belongs to an incident that is broken.
    Evidence(Fact),
    /// The incident's break ended (to the incident itself, once the remedy in course is over).
    BreakEnded {
        /// First proven then.
        at: Mono,
        /// The remedy that was in course.
        healed_by: Option<Rung>,
    },
    /// The incident of the service ended (to the incident itself, once the remedy in course is over).
    ServiceEnded {
        /// The remedy that was in course.
        healed_by: Option<Rung>,
    },
    /// The line is flapping: somebody is to be called (to the handover).
    HandOver,
    /// A callback was asked for, or found, for the incident (to the incident).
    IncidentCalled {
        /// Its id.
        callback_id: String,
    },
    /// An incident that stood beside the line's own is over.
    EndedAside(Box<message::Incident>),

    // ---- names and the web
    /// It is confirmed that there is no service.
    ServiceBroke {
        /// What is found.
        finding: Finding,
        /// Where it lies.
        placed: Placed,
        /// Since when.
        since: Mono,
        /// What shows it.
        facts: Vec<Fact>,
    },
    /// Names that seemed dead stand behind a login page, or the other way round.
    ServiceRevised {
        /// What is found.
        finding: Finding,
        /// Where it lies.
        placed: Placed,
    },
    /// The service is back.
    ServiceReturned,

    // ---- remedies
    /// A remedy begins in the incident.
    RemedyBegins {
        /// Which.
        rung: Rung,
        /// Why, in words.
        why: String,
    },
    /// It was carried out; its effect is not known yet.
    RemedyCarriedOut,
    /// The effect of the remedy in course is known (to the ladder).
    EndRemedy {
        /// What became of it.
        outcome: Outcome,
    },
    /// A remedy is over: who ordered it is answered first.
    RemedyEnding(RemedyEnd),
    /// A remedy is over.
    RemedyEnded(RemedyEnd),
    /// A remedy is over and the line is up (to the incident).
    LineStands {
        /// First proven then.
        at: Mono,
    },
    /// The ladder goes on (to itself).
    NextRung,
    /// The ladder has come to its end for now, or must wait for people: why, in words.
    LadderExhausted(String),
    /// The ladder waits for what the layers answer (to the checks).
    AnswersAwaited(bool),
    /// The remedy in course was begun by another life (to the ladder itself).
    RemedyOutlived,

    // ---- what people do
    /// Nobody works on the gateway any more.
    HandsFree,
    /// netifd sees the interface differently.
    InterfaceChanged {
        /// How.
        fact: Option<Fact>,
        /// What to say if it was taken down.
        taken_down: bool,
    },
    /// The operator's notice begins to hold for this area.
    AreaNoticed {
        /// Its id.
        notice: String,
    },
    /// The notice holds no more.
    AreaCleared,
    /// Nothing waits for the notice any more.
    AreaSettled,

    // ---- callbacks
    /// A callback is asked for (to the callbacks).
    CallWanted(Box<CallWanted>),
    /// A callback is to be changed (to the callbacks).
    CallChanged {
        /// Which.
        callback_id: String,
        /// How.
        change: Box<Change>,
    },

    /// A warning began or ended (to the device, which tells one after the other: how many callbacks live may change).
    WarningTurned,
    /// Unusual usage began or ended (to the usage, in the same way).
    UsageTurned,

    // ---- commands
    /// Another life is known by the ladder: commands and callbacks of the last one go on.
    LifeResumed,
    /// A rung is ordered (to the ladder).
    RungOrdered {
        /// By which command.
        command_id: String,
        /// Which.
        rung: Rung,
    },
    /// It is not taken (to the commands).
    RungRefused {
        /// By which command it was ordered.
        command_id: String,
        /// Why.
        why: String,
    },
    /// It is taken (to the commands).
    RungTaken {
        /// By which command it was ordered.
        command_id: String,
        /// Its number.
        remedy: RemedyId,
        /// Which.
        rung: Rung,
        /// The line was not broken.
        on_whole_line: bool,
    },
    /// The commands go on (to themselves).
    OrdersGoOn,
    /// Each layer is to be asked that can be asked now (to the checks).
    LayersWanted,
    /// They were asked (to the commands).
    LayersAsked {
        /// The command that wanted it.
        command_id: String,
    },
    /// Speed tests that were ordered may begin, or are over (to the commands).
    OrderedTestsDue,
    /// A speed test is ordered (to the promise).
    TestsOrdered {
        /// By which command.
        command_id: String,
        /// Of one direction or of each that was sold.
        direction: Option<Direction>,
    },
    /// What becomes of it (to the commands).
    TestsAnswered {
        /// The command.
        command_id: String,
        /// What becomes of it.
        asked: Asked,
    },
    /// The promise goes on (to itself).
    PromiseGoesOn,
    /// A re-check is ordered (to the programme).
    RecheckOrdered {
        /// By which command.
        command_id: String,
        /// In how long.
        delay: Span,
    },
    /// What becomes of it (to the commands).
    RecheckAnswered {
        /// The command.
        command_id: String,
        /// When it is due, where that can be told.
        due: Result<Option<Wall>, &'static str>,
    },

    /// How the promise is judged is asked (of the promise).
    VerdictsWanted,
    /// How it is judged; none where nothing was sold.
    VerdictsGiven(Vec<VerdictSummary>),

    // ---- the status
    /// Who gives this hears the status next.
    StatusWanted,
    /// The status, as it stands now.
    StatusGiven(Box<Status>),
}

/// A remedy that is over.
#[derive(Debug, Clone)]
pub struct RemedyEnd {
    /// Its number.
    pub remedy: RemedyId,
    /// Which.
    pub rung: Rung,
    /// What became of it.
    pub outcome: Outcome,
    /// From its beginning until now.
    pub took: Span,
    /// What the driver said.
    pub detail: String,
}
