//! The judge: takes in observations and decides what to do about them. Pure: no IO, no clock, no randomness, no async.
//!
//! The same observations always give the same actions. A recorded trace therefore replays to the same decisions, and the
//! daemon, replay, the simulator and the golden tests all drive the same code.
//!
//! A judge consists of its configuration, a small shared core, and a list of concerns ([`concerns`]) that run in a fixed
//! order. [`concern`] explains what a concern is and how concerns exchange information.

pub mod action;
mod agent;
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
mod quiet;
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
use concern::{Concern, Skipped};
use concerns::{ALL, Concerns, ROUTINE};
use flight::recorder::Flight;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use outage::line::LineState;
use outbox::Outbox;
use quiet::QuietPeriod;
use serde_json::Value;
use usage::Usual;

/// The judge with its complete state.
#[derive(Debug, Clone)]
pub struct Judge {
    core: Core,
    concerns: Concerns,
    /// The output of the step in progress.
    out: Outbox,
    /// The quiet period that the last full step found, if any.
    quiet: Option<QuietPeriod>,
}

impl Judge {
    /// A judge without any history.
    pub fn new(config: Config) -> Judge {
        let concerns = Concerns::new(&config);
        let mut judge = Judge {
            core: Core::new(config, Flight::default()),
            concerns,
            out: Outbox::default(),
            quiet: None,
        };
        judge.concerns.publish_facts(&mut judge.core.shared.facts);
        judge
    }

    /// The state that must survive a restart, as JSON, with the flight recorder only during a reboot that we ordered.
    ///
    /// # Errors
    /// A description, if the state cannot be written as JSON. No state is known for which that happens.
    pub fn snapshot(&self) -> Result<Value, String> {
        self.to_snapshot(self.core.shared.facts.remedy.is_some_and(|r| r.rung == Rung::Reboot), false)
    }

    /// The snapshot with the flight recorder and the usual traffic, with which a trace begins.
    ///
    /// # Errors
    /// As [`Judge::snapshot`].
    pub fn full_snapshot(&self) -> Result<Value, String> {
        self.to_snapshot(true, true)
    }

    fn to_snapshot(&self, flight: bool, usual: bool) -> Result<Value, String> {
        let usual = Some(self.usual()).filter(|known| usual && !known.is_empty());
        keep::write(&self.core, &self.concerns, &self.out.numbers, flight, usual)
    }

    /// A judge that continues from a snapshot.
    ///
    /// # Errors
    /// A description, if it is not a snapshot of this version.
    pub fn restore(config: Config, snapshot: &Value) -> Result<Judge, String> {
        let mut judge = Judge::new(config);
        let usual = keep::read(snapshot, &mut judge.core, &mut judge.concerns, &mut judge.out.numbers)?;
        judge.restore_usual(usual);
        judge.concerns.publish_facts(&mut judge.core.shared.facts);
        Ok(judge)
    }

    /// Takes in one observation and returns the actions to perform, in order.
    ///
    /// `now` is the time of the observation and must never run backwards. Nothing else is read, so the same observations
    /// always give the same actions. [`Action::Save`] comes before every action that must not happen unless the snapshot
    /// remembers it.
    pub fn step(&mut self, now: Mono, seen: &Observation) -> Vec<Action> {
        let mut out = Vec::new();
        self.step_into(now, seen, &mut out);
        out
    }

    /// [`Judge::step`] into the caller's list, which is cleared first: no allocation for each step.
    pub fn step_into(&mut self, now: Mono, seen: &Observation, out: &mut Vec<Action>) {
        out.clear();
        std::mem::swap(self.out.actions(), out);
        self.run_step(now, seen);
        std::mem::swap(self.out.actions(), out);
    }

    fn run_step(&mut self, now: Mono, seen: &Observation) {
        let routine = quiet::is_routine(seen);
        let in_quiet = routine && self.quiet.is_some_and(|quiet| now < quiet.until);
        let Judge { core, concerns, out, .. } = self;
        core.observe(now, seen, out);
        if routine {
            concerns.observe::<ROUTINE>(core, now, seen, out);
        } else {
            concerns.observe::<ALL>(core, now, seen, out);
        }
        // The line is judged first, because the other concerns decide on its state.
        let sent = concerns.line.judge(&core.context(now), in_quiet, out);
        core.shared.flight.asked(sent);
        concerns.line.publish_facts(&mut core.shared.facts);
        if in_quiet && !out.is_waiting() && !out.is_disturbed() && quiet::is_line_still_quiet(core, now) {
            let before = out.entry_count();
            concerns.advance::<ROUTINE>(core, now, seen, out);
            if out.entry_count() != before || out.is_saving() {
                out.disturb();
            }
            self.end_step(now);
            return;
        }
        if in_quiet {
            concerns.line.end_quiet_period();
            concerns.line.publish_facts(&mut core.shared.facts);
        }
        concerns.deliver(core, now, out);
        concerns.advance::<ALL>(core, now, seen, out);
        concerns.end_step(core, now);
        if now.since(core.shared.facts.saved) >= SAVE_EVERY {
            out.save();
        }
        self.end_step(now);
        self.quiet = QuietPeriod::compute(&self.core, &self.concerns, now);
    }

    fn end_step(&mut self, now: Mono) {
        if self.out.take_save() {
            self.core.shared.facts.saved = now;
            self.out.actions().insert(0, Action::Save);
        }
        if self.out.take_disturbed() {
            self.quiet = None;
        }
    }

    /// For tests: ends the quiet period, so that the next step runs every concern.
    pub fn end_quiet_period(&mut self) {
        self.quiet = None;
    }

    /// When the next [`Observation::Ticked`] is due at the latest, if nothing else is observed before.
    pub fn next_deadline(&self) -> Mono {
        let due = self.quiet.map_or_else(|| quiet::next_due(&self.core, &self.concerns), |quiet| quiet.due);
        self.concerns.line.next_question(&self.core.shared.config).min(due)
    }

    /// For simulators: until when observations of an intact line change nothing but timestamps, and the step of time in which
    /// that period may be skipped with [`skip`](Judge::skip). `None`: the next observation may matter.
    ///
    /// The line must have been up for a while, with no suspicion, no remedy in progress, no test running or waiting for a
    /// quiet line, and no customer traffic that proves anything. The period ends where something is due.
    pub fn skippable_until(&self, now: Mono) -> Option<(Mono, Span)> {
        quiet::skippable_until(&self.core, &self.concerns, now)
    }

    /// Skips the time `by` from `from` on, as [`skippable_until`](Judge::skippable_until) allows.
    pub fn skip(&mut self, from: Mono, by: Span) {
        self.quiet = None;
        let Judge { core, concerns, .. } = self;
        core.now = from + by;
        let asked = concerns.line.asked(&core.shared.config);
        concerns.catch_up(&core.context(from + by), &Skipped { from, by, asked: &asked });
        concerns.publish_facts(&mut core.shared.facts);
    }

    /// Whether the line is up, as far as is known.
    pub fn line_state(&self) -> LineState {
        self.core.shared.facts.line.state
    }

    /// Whether the line is down or silent now: the time to count which packets prove something.
    pub fn is_line_doubted(&self) -> bool {
        self.concerns.line.is_doubted()
    }

    /// How often each rung was taken in the last 24 hours (rungs that were not taken are left out). The caller stores it beside
    /// the snapshot and returns it with [`Started::taken`](crate::observation::Started::taken). `None`: unknown; store nothing.
    pub fn rungs_taken(&self, now: Mono) -> Option<Vec<(Rung, u32)>> {
        self.concerns.remedies.rungs_taken(now)
    }

    /// The number of the last message. Messages are numbered without gaps.
    pub fn last_message_number(&self) -> u64 {
        self.out.numbers.messages
    }

    /// The id of the live callback that the customer asked for or joined.
    pub fn asked_callback(&self) -> Option<&str> {
        self.concerns.callbacks.asked_callback()
    }

    /// What the heartbeat records for the next life in the same boot.
    pub fn beat(&self, now: Mono) -> Beat {
        self.concerns.books.beat(now)
    }

    /// How long the availability ledger has been kept.
    pub fn kept_for(&self, now: Mono) -> Span {
        self.concerns.books.kept_for(now)
    }

    /// The usual traffic by hour of the week. It changes once a day and is stored apart from the snapshot.
    pub fn usual(&self) -> &Usual {
        self.concerns.usage.usual()
    }

    /// Restores the usual traffic that an earlier life learnt, before this life starts.
    pub fn restore_usual(&mut self, usual: Usual) {
        self.concerns.usage.know(usual);
    }

    /// A remedy or a speed test is in progress: not the moment to restart the daemon.
    pub fn is_acting(&self) -> bool {
        self.core.shared.facts.remedy.is_some() || self.concerns.promise.is_running()
    }

    /// The line's part of the retained `state` message: only what changes seldom.
    pub fn state_summary(&self) -> Value {
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

    /// The configuration of this judge.
    pub fn config(&self) -> &Config {
        &self.core.shared.config
    }

    /// The status of the line now.
    pub fn status(&self, now: Mono) -> Status {
        self.concerns.status(&self.core.context(now))
    }
}
