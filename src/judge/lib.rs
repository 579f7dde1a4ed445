//! The judge: takes in observations and says what to do about them. Pure: no IO, no clock, no randomness, no async.
//!
//! Equal histories give equal actions, so a recorded trace replays to the same decisions, and the live run, replay,
//! the simulator and the golden tests are one loop.
//!
//! A judge is its configuration, a small shared core, and a list of concerns ([`concerns`]) that are asked in a fixed order.
//! What a concern is, and how it speaks to the others, stands in [`concern`].

pub mod action;
mod agent;
mod ahead;
pub mod area;
mod aside;
mod books;
pub mod callback;
pub mod check;
pub mod checks;
mod clock;
pub mod command;
mod concern;
mod concerns;
pub mod config;
mod context;
mod core;
pub mod device;
pub mod diagnosis;
pub mod flight;
mod handover;
pub mod incident;
pub mod inform;
mod interface;
mod keep;
mod ladder;
mod numbers;
pub mod observation;
pub mod outage;
mod outbox;
pub mod programme;
pub mod promise;
pub mod quality;
mod service;
mod signal;
mod snapshot;
pub mod speed;
mod status;
pub mod telemetry;
mod text;
pub mod usage;
mod words;

pub use books::lives::SAVE_EVERY;
pub use books::{ledger, lives};
pub use keep::SNAPSHOT_VERSION;
pub use ladder::record;
pub use status::{CallbackStatus, RungStatus, Status, TargetStatus};

use self::core::Core;
use crate::action::Action;
use crate::config::Config;
use crate::observation::{Beat, Observation};
use ahead::Ahead;
use concern::{Concern, Rest};
use concerns::{ALL, Concerns, KEEPERS};
use flight::recorder::Flight;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use outage::line::LineState;
use outbox::Outbox;
use serde_json::Value;
use usage::Usual;

/// The judge and all it knows.
#[derive(Debug, Clone)]
pub struct Judge {
    core: Core,
    concerns: Concerns,
    /// What this step has given so far.
    out: Outbox,
    /// What the last step worked out ahead.
    ahead: Option<Ahead>,
}

impl Judge {
    /// A judge that knows nothing yet.
    pub fn new(config: Config) -> Judge {
        let concerns = Concerns::new(&config);
        let mut judge = Judge {
            core: Core::new(config, Flight::default()),
            concerns,
            out: Outbox::default(),
            ahead: None,
        };
        judge.concerns.show(&mut judge.core.shared.facts);
        judge
    }

    /// All that must survive, as JSON. The flight recorder is in it only while our own reboot is in course.
    ///
    /// # Errors
    /// In words, should it not be writable as JSON. No value of the state is known for which that happens.
    pub fn snapshot(&self) -> Result<Value, String> {
        self.written(self.core.shared.facts.remedy.is_some_and(|r| r.rung == Rung::Reboot), false)
    }

    /// The same with the flight recorder: all that decides what comes out. A trace begins with it.
    ///
    /// # Errors
    /// As [`Judge::snapshot`].
    pub fn whole(&self) -> Result<Value, String> {
        self.written(true, true)
    }

    fn written(&self, flight: bool, usual: bool) -> Result<Value, String> {
        let usual = Some(self.usual()).filter(|known| usual && !known.is_empty());
        keep::write(&self.core, &self.concerns, &self.out.numbers, flight, usual)
    }

    /// A judge that goes on from a snapshot.
    ///
    /// # Errors
    /// In words, when it is not a snapshot of this version.
    pub fn restore(config: Config, snapshot: &Value) -> Result<Judge, String> {
        let mut judge = Judge::new(config);
        let usual = keep::read(snapshot, &mut judge.core, &mut judge.concerns, &mut judge.out.numbers)?;
        judge.know(usual);
        judge.concerns.show(&mut judge.core.shared.facts);
        Ok(judge)
    }

    /// Takes in one observation and says what to do about it, in order.
    ///
    /// `now` is when it was observed and must never run backwards. Equal histories give equal actions: nothing else
    /// is read. [`Action::Save`] stands before everything that must not happen unremembered.
    pub fn step(&mut self, now: Mono, saw: &Observation) -> Vec<Action> {
        let mut out = Vec::new();
        self.step_into(now, saw, &mut out);
        out
    }

    /// The same into a list of the caller's, which is emptied first: who makes many steps need not allocate for each.
    pub fn step_into(&mut self, now: Mono, saw: &Observation, out: &mut Vec<Action>) {
        out.clear();
        std::mem::swap(self.out.actions(), out);
        self.steps(now, saw);
        std::mem::swap(self.out.actions(), out);
    }

    fn steps(&mut self, now: Mono, saw: &Observation) {
        let ordinary = ahead::is_ordinary(saw);
        let quiet = ordinary && self.ahead.is_some_and(|ahead| now < ahead.until);
        let Judge { core, concerns, out, .. } = self;
        core.observe(now, saw, out);
        if ordinary {
            concerns.observe::<KEEPERS>(core, now, saw, out);
        } else {
            concerns.observe::<ALL>(core, now, saw, out);
        }
        // The line first: what the others decide rests on it.
        let sent = concerns.line.judge(&core.context(now), quiet, out);
        core.shared.flight.asked(sent);
        concerns.line.show(&mut core.shared.facts);
        if quiet && !out.is_waiting() && !out.is_disturbed() && ahead::goes_on(core, now) {
            let said = out.said();
            concerns.advance::<KEEPERS>(core, now, saw, out);
            if out.said() != said || out.is_saving() {
                out.disturb();
            }
            self.end_step(now);
            return;
        }
        if quiet {
            concerns.line.unquiet();
            concerns.line.show(&mut core.shared.facts);
        }
        concerns.deliver(core, now, out);
        concerns.advance::<ALL>(core, now, saw, out);
        concerns.close(core, now);
        if now.since(core.shared.facts.saved) >= SAVE_EVERY {
            out.save();
        }
        self.end_step(now);
        self.ahead = Ahead::look(&self.core, &self.concerns, now);
    }

    fn end_step(&mut self, now: Mono) {
        if self.out.take_save() {
            self.core.shared.facts.saved = now;
            self.out.actions().insert(0, Action::Save);
        }
        if self.out.take_disturbed() {
            self.ahead = None;
        }
    }

    /// For tests: what was worked out ahead is worked out anew, so that the next step asks every concern.
    pub fn look_everywhere(&mut self) {
        self.ahead = None;
    }

    /// When a [`Observation::Ticked`] is wanted at the latest.
    pub fn wake(&self) -> Mono {
        let due = self.ahead.map_or_else(|| ahead::due(&self.core, &self.concerns), |ahead| ahead.due);
        self.concerns.line.next_question(&self.core.shared.config).min(due)
    }

    /// For simulators: until when a whole line changes nothing here but how late it is, and in which steps of time
    /// that may be passed over with [`rested`](Judge::rested). `None`: what is seen next may matter.
    ///
    /// That holds where the line is up for a while, nothing is suspected, no remedy runs, no test runs or waits for
    /// a quiet line, and the customer's traffic proves nothing; it ends where something is due: a test, the end of
    /// a hold-down, a repetition, a snapshot.
    pub fn rests(&self, now: Mono) -> Option<(Mono, Span)> {
        ahead::passes_until(&self.core, &self.concerns, now)
    }

    /// So much time has passed as [`rests`](Judge::rests) allows. (The flight recorder has no more than that
    /// nobody watched meanwhile.)
    pub fn rested(&mut self, from: Mono, by: Span) {
        self.ahead = None;
        let Judge { core, concerns, .. } = self;
        core.now = from + by;
        let asked = concerns.line.asked(&core.shared.config);
        concerns.rested(&core.context(from + by), &Rest { from, by, asked: &asked });
        concerns.show(&mut core.shared.facts);
    }

    /// Whether the line carries anything, as far as is known.
    pub fn line(&self) -> LineState {
        self.core.shared.facts.line.state
    }

    /// How often each rung was taken in the last 24 hours, where it was: to be kept beside the snapshot, and given back with
    /// [`Started::taken`](crate::observation::Started::taken). `None`: that is not known, and nothing is to be kept.
    pub fn taken(&self, now: Mono) -> Option<Vec<(Rung, u32)>> {
        self.concerns.remedies.taken(now)
    }

    /// The number of the last message: all up to it were given.
    pub fn given(&self) -> u64 {
        self.out.numbers.messages
    }

    /// The callback in course that the customer asked for, or joined.
    pub fn asked_callback(&self) -> Option<&str> {
        self.concerns.callbacks.asked_callback()
    }

    /// What the heartbeat of this life tells the next one in the same boot.
    pub fn beat(&self, now: Mono) -> Beat {
        self.concerns.books.beat(now)
    }

    /// How long the books have been kept: what all their charges add up to.
    pub fn kept_for(&self, now: Mono) -> Span {
        self.concerns.books.kept_for(now)
    }

    /// What this line carries at which hour of the week, as it is to be kept apart from the snapshot. It changes once a
    /// day.
    pub fn usual(&self) -> &Usual {
        self.concerns.usage.usual()
    }

    /// What an earlier life learnt, before this one begins: it is no part of the snapshot on flash.
    pub fn know(&mut self, usual: Usual) {
        self.concerns.usage.know(usual);
    }

    /// Something is being done to the line: not the moment to begin anew.
    pub fn is_acting(&self) -> bool {
        self.core.shared.facts.remedy.is_some() || self.concerns.promise.is_running()
    }

    /// What the retained `state` message tells of the line: only what changes seldom.
    pub fn brief(&self) -> Value {
        let facts = &self.core.shared.facts;
        let incident = facts.incident.as_ref().filter(|i| i.closed.is_none());
        serde_json::json!({
            "line": facts.line.state,
            "incident_id": incident.map(|i| &i.id),
            "fault_domain": incident.filter(|i| i.broken.is_some()).map(|i| i.domain),
            "troubles": self.concerns.agent.troubles(),
            "began": facts.beginning.map(|b| b.how),
        })
    }

    /// The configuration it judges by.
    pub fn config(&self) -> &Config {
        &self.core.shared.config
    }

    /// What may be told of the line now.
    pub fn status(&self, now: Mono) -> Status {
        self.concerns.status(&self.core.context(now))
    }
}
