//! Commands of the platform: which are obeyed, how far each is, and what is answered.
//!
//! Policy, in prose:
//!
//! * One id is one command. Its journal is in the snapshot that is written before anything is done: the same id again,
//!   by the same connection, another one, or in another life, is not done again and gets the same answer. A command is
//!   forgotten only when it is over and its validity too; while no place is free of such, others are refused.
//! * What is over after its time is not begun. By civil time where that is trusted; else by the time since it came, for
//!   as long as it was to be valid, or as the broker says it still is ([`VALID_DEFAULT`] where nobody says). A command
//!   that waited here is held against both again before it is begun. (How long it lay in a connection that stalls
//!   nobody can say without a date: at most one and a half keep-alives, then the broker takes it back.)
//! * A retained command is refused: brokers give it to each new connection, years after.
//! * Commands that are not on `commands.allow` are refused. With `commands.key`, `remedy` and `reboot` must be signed;
//!   and whatever bears a wrong signature is refused.
//! * At most [`RATE`] in [`RATE_WINDOW`], whatever they are: each answer is a write to flash.
//! * A command goes through the same doors as our own decisions: a remedy uses the ladder's budget and one at a time,
//!   a speed test the promise's budget and its guard, and waits for both until its time is over.
//! * A remedy on a line that is not broken breaks it for a moment: that is ours, no incident.
//! * A diagnosis asks the layers ([`Checks::ask_all`](super::checks::Checks::ask_all)) and is done when the last answer came, or
//!   after [`ASKED_MOST`].
//! * A reboot is done when the next boot says so.

mod admission;
mod answers;
pub mod journal;

pub use journal::*;

use super::checks::layers::ASKED_MOST;
use super::concern::{Concern, Quiet, until};
use super::context::{Context, Facts, Orders};
use super::outage::line::{LineState, Turn};
use super::outbox::Outbox;
use super::promise::commanded::Asked;
use super::signal::{RemedyEnd, Signal};
use super::snapshot::{Kept, Parts};
use super::status::Status;
use crate::action::Level;
use crate::config::Config;
use crate::observation::{CommandRefused, Commanded, Observation, RemedyId};
use crate::speed::SpeedEnded;
use journal::{Doing, Entry, brief};
use linekeeper_contract::message::{
    Arguments, COMMAND_RESULT_SCHEMA, CommandName, CommandOutcome, CommandResult, CommandState, Message,
    Outcome, Reason,
};
use linekeeper_contract::units::{LocalTime, Mono, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use serde_json::{Value, json};

/// The platform's commands.
#[derive(Debug, Clone, Default)]
pub struct Orderly {
    commands: Commands,
    /// Who is answered as soon as the status is known.
    waits: Vec<(String, Answer)>,
    /// The speed test that ended in this step.
    ended: Option<SpeedEnded>,
    /// This life is about to end.
    stopping: bool,
}

/// What is answered by the status.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// How the line does.
    Check,
    /// What is known of a fault, by the layers that were asked then; and in which words.
    Diagnosis(Mono, &'static str),
}

impl Concern for Orderly {
    fn new(_config: &Config) -> Orderly {
        Orderly::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::SpeedEnded(ended) if !self.commands.is_idle() => self.ended = Some(ended.clone()),
            Observation::Commanded(came) => self.commanded(cx, came, out),
            Observation::CommandRefused(came) => self.command_refused(cx, came, out),
            _ => {}
        }
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        match signal {
            Signal::LifeResumed => self.resumed(cx, out),
            Signal::LineTurned(turn) => self.line_turned(turn),
            Signal::RemedyEnding(end) => self.remedy_over(cx, end, out),
            Signal::LayersAsked { command_id } => self.layers_asked(cx, command_id, out),
            Signal::StatusGiven(status) => self.answer_by(cx, status, out),
            Signal::OrderedTestsDue => self.tests(cx, out),
            Signal::TestsAnswered { command_id, asked } => self.tests_answered(command_id, asked),
            Signal::RecheckAnswered { command_id, due } => self.recheck_answered(cx, command_id, due, out),
            Signal::RungRefused { command_id, why } => {
                self.refused(cx, command_id, Reason::Budget, why.clone(), out);
            }
            Signal::RungTaken { command_id, remedy, rung, on_whole_line } => {
                self.taken(cx, command_id, *remedy, *rung, *on_whole_line, out);
            }
            Signal::ContinueCommands => self.take_next(cx, out),
            _ => {}
        }
    }

    #[inline]
    fn advance(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        if !self.commands.is_empty() {
            self.go_on(cx, seen, out);
        }
    }

    fn publish_facts(&mut self, facts: &mut Facts) {
        let commands = &self.commands;
        facts.orders = Orders {
            are_over: commands.is_idle(),
            on_whole_line: commands.on_whole_line,
            broke_it: commands.on_whole_line.is_some() && commands.shielded.is_some(),
        };
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        if self.commands.is_empty() { None } else { self.commands.wake() }
    }

    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
        match quiet {
            Quiet::Watched if !self.commands.is_idle() => None,
            Quiet::Watched | Quiet::Passed { .. } => until(self.deadline(cx)),
        }
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("commands", &self.commands);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.commands = kept.get("commands")?;
        Ok(())
    }
}

impl Orderly {
    /// What becomes of the commands in course.
    fn go_on(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        self.ended = None;
        self.stopping = matches!(seen, Observation::Stopping);
        for id in std::mem::take(&mut self.commands.owed) {
            self.tell(cx, &id, out);
        }
        self.diagnosed(cx, out);
        self.expire(cx, out);
        // Our own reboot is over when the line is back.
        if let Some(remedy) = self.commands.on_whole_line
            && self.ordered(remedy).is_none()
            && cx.facts.line.state == LineState::Up
        {
            out.signal(Signal::EndRemedy { outcome: Outcome::NoEffect });
            out.signal(Signal::ContinueCommands);
        } else {
            self.take_next(cx, out);
        }
    }

    /// A command came.
    fn commanded(&mut self, cx: &Context<'_>, came: &Commanded, out: &mut Outbox) {
        let command = &came.command;
        let (id, correlation) = (&command.id, &came.correlation);
        let who = Who { id, name: Some(command.command), correlation };
        if self.is_known(cx, who, out) {
            return;
        }
        let (until, expires) = match admission::weigh(cx, came) {
            Ok(valid) => valid,
            Err((reason, why)) => {
                self.refuse(cx, who, reason, &why, out);
                return;
            }
        };
        if !self.commands.room(cx.now) {
            let why = format!("{JOURNAL} commands that are still valid are remembered already");
            self.refuse(cx, who, Reason::TooMany, &why, out);
            return;
        }
        let last = answer(cx, who, CommandState::Accepted, None, String::new(), out);
        self.commands.journal.push_back(Entry {
            name: who.name,
            arguments: command.arguments,
            until,
            expires,
            doing: Doing::Nothing,
            last,
        });
        out.save();
        self.begin_at_once(cx, id, out);
    }

    /// Something came as a command that is none.
    fn command_refused(&mut self, cx: &Context<'_>, came: &CommandRefused, out: &mut Outbox) {
        let who = Who { id: &came.id, name: None, correlation: &came.correlation };
        if !self.is_known(cx, who, out) {
            self.refuse(cx, who, came.reason, brief(&came.detail), out);
        }
    }

    /// Whether this id was answered already, and is again; or is one too many.
    fn is_known(&mut self, cx: &Context<'_>, who: Who<'_>, out: &mut Outbox) -> bool {
        let id = who.id;
        let Some(looked_at) = self.commands.arrives(cx.now) else {
            out.note(Level::Debug, format!("command {id:?} is passed over: too many came"));
            return true;
        };
        let Some(entry) = self.commands.find(id) else {
            if !looked_at {
                let why = format!(
                    "more than {RATE} commands came within {RATE_WINDOW}; give it again with another id"
                );
                self.refuse(cx, who, Reason::TooMany, &why, out);
            }
            return !looked_at;
        };
        if !looked_at {
            // It has its answer, and no other.
            out.note(Level::Debug, format!("command {id:?} came again and is passed over: too many came"));
            return true;
        }
        let mut again = entry.last.clone();
        again.correlation.clone_from(who.correlation);
        out.note(Level::Info, format!("command {id} came again and gets the same answer"));
        out.publish(Message::CommandResult(Box::new(again)));
        true
    }

    /// Says no, and remembers it as long as there is room.
    fn refuse(&mut self, cx: &Context<'_>, who: Who<'_>, reason: Reason, why: &str, out: &mut Outbox) {
        let state = if reason == Reason::Expired { CommandState::Expired } else { CommandState::Refused };
        let last = answer(cx, who, state, Some(reason), why.to_string(), out);
        out.note(Level::Warn, format!("command {:?} is {}: {why}", who.id, state.as_str()));
        if self.commands.room(cx.now) {
            let (doing, arguments) = (Doing::Nothing, Arguments::default());
            let (name, last) = (who.name, last.clone());
            let entry = Entry { name, arguments, until: cx.now, expires: None, doing, last };
            self.commands.journal.push_back(entry);
        }
        out.publish(Message::CommandResult(Box::new(last)));
    }

    /// Publishes how far a command is now.
    fn tell(&mut self, cx: &Context<'_>, id: &str, out: &mut Outbox) {
        let Some(entry) = self.commands.find(id) else { return };
        let state = entry.last.state;
        entry.last.time = cx.stamp(cx.now);
        entry.last.id = answer_id(cx, id, state, out);
        if state == CommandState::Started {
            entry.last.started_boot_id = Some(cx.clock.boot_id.clone());
        }
        let last = entry.last.clone();
        let level = if last.reason.is_some() { Level::Warn } else { Level::Info };
        let detail = if last.detail.is_empty() { String::new() } else { format!(": {}", last.detail) };
        out.note(level, format!("command {id} is {}{detail}", state.as_str()));
        out.publish(Message::CommandResult(Box::new(last)));
        self.commands.slim();
    }

    /// It is over.
    fn done(
        &mut self,
        cx: &Context<'_>,
        id: &str,
        outcome: Result<&str, (Reason, &str)>,
        result: Value,
        out: &mut Outbox,
    ) {
        let Some(entry) = self.commands.find(id) else { return };
        entry.doing = Doing::Nothing;
        entry.last.state = CommandState::Done;
        entry.last.started_boot_id.get_or_insert_with(|| cx.clock.boot_id.clone());
        entry.last.result = result;
        match outcome {
            Ok(words) => {
                (entry.last.outcome, entry.last.reason) = (Some(CommandOutcome::Ok), None);
                entry.last.detail = words.to_string();
            }
            Err((reason, words)) => {
                (entry.last.outcome, entry.last.reason) = (Some(CommandOutcome::Failed), Some(reason));
                entry.last.detail = words.to_string();
            }
        }
        self.tell(cx, id, out);
    }

    /// What needs no time is done at once; of the rest it is said that it was accepted.
    fn begin_at_once(&mut self, cx: &Context<'_>, id: &str, out: &mut Outbox) {
        let Some(entry) = self.commands.find(id) else { return };
        let command_id = id.to_owned();
        match entry.name {
            Some(CommandName::Check) => {
                self.waits.push((command_id, Answer::Check));
                out.signal(Signal::StatusWanted);
            }
            Some(CommandName::Diagnose) => {
                out.signal(Signal::LayersWanted);
                out.signal(Signal::LayersAsked { command_id });
            }
            Some(CommandName::Programme) => {
                let delay = Span(entry.arguments.delay_s.unwrap_or_default().saturating_mul(1_000));
                out.signal(Signal::RecheckOrdered { command_id, delay });
            }
            Some(CommandName::Speedtest | CommandName::Remedy | CommandName::Reboot) => {
                self.tell(cx, id, out);
            }
            None => {}
        }
    }

    fn layers_asked(&mut self, cx: &Context<'_>, id: &str, out: &mut Outbox) {
        if !cx.facts.layers.asks() {
            let answer = Answer::Diagnosis(cx.now, "looked; nothing could be asked now");
            self.waits.push((id.to_owned(), answer));
            out.signal(Signal::StatusWanted);
        } else if let Some(entry) = self.commands.find(id) {
            entry.doing = Doing::Checks(cx.now);
            entry.last.state = CommandState::Started;
            entry.last.detail = "the layers are asked".into();
            self.tell(cx, id, out);
        }
    }

    fn answer_by(&mut self, cx: &Context<'_>, status: &Status, out: &mut Outbox) {
        for (id, answer) in std::mem::take(&mut self.waits) {
            let (words, found) = match answer {
                Answer::Check => ("looked", answers::brief_check(status)),
                Answer::Diagnosis(since, words) => (words, answers::what_is_known(cx, status, since)),
            };
            self.done(cx, &id, Ok(words), found, out);
        }
    }

    fn recheck_answered(
        &mut self,
        cx: &Context<'_>,
        id: &str,
        due: &Result<Option<Wall>, &'static str>,
        out: &mut Outbox,
    ) {
        match due {
            Ok(due) => {
                let offset_minutes = cx.offset();
                let due = due.map(|wall| LocalTime { wall, offset_minutes });
                self.done(cx, id, Ok("it will be called"), json!({ "due": due }), out);
            }
            Err(why) => self.done(cx, id, Err((Reason::TooMany, why)), Value::Null, out),
        }
    }

    /// A new life began, perhaps by our own reboot.
    fn resumed(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        self.commands.started();
        let asked = |e: &Entry| matches!(e.doing, Doing::Checks(_)).then(|| e.last.command_id.clone());
        let asked: Vec<String> = self.commands.journal.iter().filter_map(asked).collect();
        for id in asked {
            let why = "the process ended while the layers were asked";
            self.done(cx, &id, Err((Reason::Interrupted, why)), Value::Null, out);
        }
        if !cx.facts.life.rebooted {
            return;
        }
        let running = cx.facts.remedy.filter(|r| r.rung == Rung::Reboot);
        if let Some(id) = running.and_then(|running| self.ordered(running.remedy)) {
            self.done(cx, &id, Ok("the gateway rebooted"), Value::Null, out);
        }
    }

    /// While a remedy runs that was ordered on a whole line, the line breaks by our own doing.
    fn line_turned(&mut self, turn: &Turn) {
        match (self.commands.on_whole_line, turn) {
            (Some(_), Turn::Broke { cause, .. }) => self.commands.shielded = Some(*cause),
            (Some(_), Turn::Returned { .. }) => self.commands.shielded = None,
            _ => {}
        }
    }

    /// The command that a remedy belongs to.
    fn ordered(&self, remedy: RemedyId) -> Option<String> {
        let entry = self.commands.journal.iter().find(|e| e.doing == Doing::Remedy(remedy))?;
        Some(entry.last.command_id.clone())
    }

    /// A remedy is over, whoever wanted it.
    fn remedy_over(&mut self, cx: &Context<'_>, end: &RemedyEnd, out: &mut Outbox) {
        let line = cx.facts.line.state;
        if self.commands.on_whole_line == Some(end.remedy) {
            self.commands.on_whole_line = None;
            if let (Some(cause), LineState::Down) = (self.commands.shielded.take(), line) {
                out.signal(Signal::BreakStays { cause });
            }
        }
        let Some(id) = self.ordered(end.remedy) else { return };
        let result = json!({ "outcome": end.outcome, "line": line });
        let detail = brief(&end.detail);
        let words =
            |what: &str| if detail.is_empty() { what.to_string() } else { format!("{what}: {detail}") };
        let outcome = match end.outcome {
            Outcome::NoEffect if end.rung == Rung::Reboot => {
                Err((Reason::Failed, words("the gateway did not go down")))
            }
            Outcome::Healed | Outcome::NoEffect if line == LineState::Up => {
                Ok(words("carried out, the line is up"))
            }
            Outcome::Healed | Outcome::NoEffect => Ok(words("carried out, the line is not up")),
            Outcome::Failed => Err((Reason::Failed, words("it could not be carried out"))),
            Outcome::Pretended => {
                Err((Reason::Unsupported, words("this gateway only says what it would do")))
            }
            Outcome::Interrupted => Err((Reason::Interrupted, words("it was interrupted"))),
        };
        let outcome = outcome.as_deref().map_err(|(reason, why)| (*reason, why.as_str()));
        self.done(cx, &id, outcome, result, out);
    }

    /// What becomes of the tests that were ordered.
    fn tests(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let (ended, wall) = (self.ended.take(), cx.wall());
        let runs = |test| cx.facts.tests.running.is_some_and(|(now, next)| now == test || next == Some(test));
        for entry in &mut self.commands.journal {
            if let (Doing::Tests(tests, found), Some(ended)) = (&mut entry.doing, &ended)
                && tests.contains(&ended.test)
            {
                found.push(answers::of_test(ended));
            }
            if let Doing::Tests(tests, found) = &mut entry.doing
                && !tests.iter().any(|t| runs(*t))
            {
                let measured = found.iter().any(|f| f["outcome"] == "measured");
                let found = std::mem::take(found);
                let all = found.len() == tests.len();
                entry.doing = Doing::Nothing;
                entry.last.result = json!({ "tests": found });
                entry.last.state = CommandState::Done;
                entry.last.outcome = Some(if measured { CommandOutcome::Ok } else { CommandOutcome::Failed });
                entry.last.reason = (!measured).then_some(Reason::Failed);
                entry.last.detail = match (measured, all) {
                    (true, true) => "measured".into(),
                    (true, false) => "measured in part: the rest was given up".into(),
                    (false, _) => "nothing was measured".into(),
                };
                self.commands.owed.push(entry.last.command_id.clone());
            }
            let waits = entry.waits() && entry.name == Some(CommandName::Speedtest);
            if waits && !entry.overdue(cx.now, wall) {
                let command_id = entry.last.command_id.clone();
                out.signal(Signal::TestsOrdered { command_id, direction: entry.arguments.direction });
            }
        }
    }

    fn tests_answered(&mut self, id: &str, asked: &Asked) {
        let Some(entry) = self.commands.find(id) else { return };
        match asked {
            Asked::Began(tests) => {
                entry.doing = Doing::Tests(tests.clone(), Vec::new());
                entry.last.state = CommandState::Started;
                entry.last.detail = "the line is measured".into();
            }
            Asked::NotNow(why) => {
                entry.last.detail = format!("waits: {why}");
                return;
            }
            Asked::Never(reason, why) => {
                entry.last.state = CommandState::Refused;
                entry.last.reason = Some(*reason);
                entry.last.detail.clone_from(why);
            }
        }
        self.commands.owed.push(id.to_owned());
    }

    /// Answers the diagnoses whose layers have answered, or did not in time.
    fn diagnosed(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let asks = cx.facts.layers.asks();
        let over = |e: &Entry| match e.doing {
            Doing::Checks(since) if !asks || cx.now >= since + ASKED_MOST => {
                Some((e.last.command_id.clone(), Answer::Diagnosis(since, "asked")))
            }
            Doing::Checks(_) | Doing::Nothing | Doing::Remedy(_) | Doing::Tests(..) => None,
        };
        self.waits.extend(self.commands.journal.iter().filter_map(over));
        if !self.waits.is_empty() {
            out.signal(Signal::StatusWanted);
        }
    }

    /// Gives up what could not be begun in its time.
    fn expire(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let wall = cx.wall();
        let mut expired = Vec::new();
        for entry in &mut self.commands.journal {
            if !entry.waits() || !entry.overdue(cx.now, wall) {
                continue;
            }
            let waited = std::mem::take(&mut entry.last.detail);
            entry.last.state = CommandState::Expired;
            entry.last.reason = Some(Reason::Expired);
            entry.last.detail = format!("its time was over before it could be begun; {waited}");
            expired.push(entry.last.command_id.clone());
        }
        for id in expired {
            self.tell(cx, &id, out);
        }
    }

    /// One remedy at a time, in the order in which they came; not while we are about to end.
    fn take_next(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        if self.stopping || cx.facts.remedy.is_some() {
            return;
        }
        let next = self.commands.journal.iter().find_map(|e| match (e.waits(), e.name) {
            (true, Some(CommandName::Remedy)) => Some((e.last.command_id.clone(), e.arguments.rung?)),
            (true, Some(CommandName::Reboot)) => Some((e.last.command_id.clone(), Rung::Reboot)),
            _ => None,
        });
        let Some((command_id, rung)) = next else { return };
        if let Some(why) = cx.facts.hands_off.as_ref().filter(|_| rung.disturbs()) {
            self.refused(cx, &command_id, Reason::HandsOff, why.clone(), out);
        } else if rung == Rung::Reboot && !cx.facts.stored {
            // The order itself would be forgotten, come again, and be obeyed again.
            let why = "what was done could not be remembered: the store cannot be written".to_owned();
            self.refused(cx, &command_id, Reason::Unsupported, why, out);
        } else {
            out.signal(Signal::RungOrdered { command_id, rung });
        }
    }

    fn refused(&mut self, cx: &Context<'_>, id: &str, reason: Reason, why: String, out: &mut Outbox) {
        if let Some(entry) = self.commands.find(id) {
            entry.last.state = CommandState::Refused;
            entry.last.reason = Some(reason);
            entry.last.detail = why;
        }
        self.tell(cx, id, out);
    }

    fn taken(
        &mut self,
        cx: &Context<'_>,
        id: &str,
        remedy: RemedyId,
        rung: Rung,
        on_whole_line: bool,
        out: &mut Outbox,
    ) {
        if on_whole_line {
            self.commands.on_whole_line = Some(remedy);
        }
        if let Some(entry) = self.commands.find(id) {
            entry.last.state = CommandState::Started;
            entry.last.detail = format!("{} begins", rung.as_str());
            entry.doing = Doing::Remedy(remedy);
        }
        self.tell(cx, id, out);
        out.save();
    }
}

/// Which command, and whom its answer goes to.
#[derive(Debug, Clone, Copy)]
struct Who<'a> {
    id: &'a str,
    name: Option<CommandName>,
    correlation: &'a Option<String>,
}

fn answer(
    cx: &Context<'_>,
    who: Who<'_>,
    state: CommandState,
    reason: Option<Reason>,
    detail: String,
    out: &Outbox,
) -> CommandResult {
    CommandResult {
        schema: COMMAND_RESULT_SCHEMA.into(),
        id: answer_id(cx, who.id, state, out),
        device_id: cx.config.device.id.clone(),
        command_id: who.id.to_string(),
        command: who.name,
        state,
        time: cx.stamp(cx.now),
        started_boot_id: None,
        outcome: None,
        reason,
        detail,
        result: Value::Null,
        correlation: who.correlation.clone(),
    }
}

fn answer_id(cx: &Context<'_>, id: &str, state: CommandState, out: &Outbox) -> String {
    format!("{}/command/{id}/{}", out.message_id(cx), state.as_str())
}

const _: () = assert!(super::programme::RECHECKS <= JOURNAL);
