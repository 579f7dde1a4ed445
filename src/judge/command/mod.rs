//! The platform's commands: which ones are executed, how far each has got, and what is replied.
//!
//! Policy, in prose:
//!
//! * A command id is executed once. The journal is in the snapshot, which is written before anything is done. The same id
//!   again gets the same reply, whether it comes over the same connection, another one, or after a restart. A command is
//!   forgotten only when it has ended and its validity has passed. While the journal is full of valid commands, new ones
//!   are refused.
//! * An expired command is not started. Expiry goes by civil time where that is trusted. Otherwise it goes by the time
//!   since arrival: the stated validity, or what the broker says is left of it ([`VALID_DEFAULT`] if neither is given). A
//!   command that waited here is checked against both again before it starts. (How long it lay in a stalled connection
//!   is unknown without a date: at most one and a half keep-alives, then the broker takes it back.)
//! * A retained command is refused: brokers deliver it to every new connection, even years later.
//! * Commands that are not in `commands.allow` are refused. With `commands.key`, `remedy` and `reboot` must be signed.
//!   A wrong signature is always refused.
//! * At most [`RATE`] commands per [`RATE_WINDOW`] are handled, whatever they are: each reply is a write to flash.
//! * A command is subject to the same limits as our own decisions. A remedy uses the ladder's budget, and only one runs at
//!   a time. A speed test uses the promise's budget and guard. Both wait until they may start or expire.
//! * A remedy on a working line interrupts it for a moment. We caused that, so it is no incident.
//! * A diagnosis checks the layers ([`Checks::ask_all`](super::checks::Checks::ask_all)). It is done when the last result
//!   is in, or after [`ASKED_MOST`].
//! * A reboot is done when the next boot confirms it.

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
use journal::{Doing, Entry, shorten};
use linekeeper_contract::message::{
    Arguments, COMMAND_RESULT_SCHEMA, CommandName, CommandOutcome, CommandResult, CommandState, Message,
    Outcome, Reason,
};
use linekeeper_contract::units::{LocalTime, Mono, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use serde_json::{Value, json};

/// The platform's commands.
#[derive(Debug, Clone, Default)]
pub struct PlatformCommands {
    commands: Commands,
    /// Commands that are answered as soon as the status is known.
    waits: Vec<(String, Answer)>,
    /// The speed test that ended in this step.
    ended: Option<SpeedEnded>,
    /// The process is about to end.
    stopping: bool,
}

/// A reply that is made from the status.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// The state of the line.
    Check,
    /// What is known of a fault, from the checks started at that time; and the reply's detail text.
    Diagnosis(Mono, &'static str),
}

impl Concern for PlatformCommands {
    fn new(_config: &Config) -> PlatformCommands {
        PlatformCommands::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::SpeedEnded(ended) if !self.commands.is_idle() => self.ended = Some(ended.clone()),
            Observation::Commanded(came) => self.receive_command(cx, came, out),
            Observation::CommandRefused(came) => self.receive_invalid_command(cx, came, out),
            _ => {}
        }
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        match signal {
            Signal::LifeResumed => self.resume(cx, out),
            Signal::LineTurned(turn) => self.update_shield(turn),
            Signal::RemedyEnding(end) => self.finish_remedy(cx, end, out),
            Signal::LayersAsked { command_id } => self.start_diagnosis(cx, command_id, out),
            Signal::StatusGiven(status) => self.reply_with_status(cx, status, out),
            Signal::OrderedTestsDue => self.advance_speed_tests(cx, out),
            Signal::TestsAnswered { command_id, asked } => self.record_test_reply(command_id, asked),
            Signal::RecheckAnswered { command_id, due } => {
                self.record_recheck_reply(cx, command_id, due, out)
            }
            Signal::RungRefused { command_id, why } => {
                self.refuse_waiting(cx, command_id, Reason::Budget, why.clone(), out);
            }
            Signal::RungTaken { command_id, remedy, rung, on_whole_line } => {
                self.start_remedy(cx, command_id, *remedy, *rung, *on_whole_line, out);
            }
            Signal::ContinueCommands => self.start_next_remedy(cx, out),
            _ => {}
        }
    }

    #[inline]
    fn advance(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        if !self.commands.is_empty() {
            self.advance_commands(cx, seen, out);
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
        if self.commands.is_empty() { None } else { self.commands.next_deadline() }
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

impl PlatformCommands {
    /// Advances the commands in progress.
    fn advance_commands(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        self.ended = None;
        self.stopping = matches!(seen, Observation::Stopping);
        for id in std::mem::take(&mut self.commands.owed) {
            self.publish_state(cx, &id, out);
        }
        self.finish_diagnoses(cx, out);
        self.expire_waiting(cx, out);
        // Our own reboot is over when the line is back.
        if let Some(remedy) = self.commands.on_whole_line
            && self.command_of_remedy(remedy).is_none()
            && cx.facts.line.state == LineState::Up
        {
            out.signal(Signal::EndRemedy { outcome: Outcome::NoEffect });
            out.signal(Signal::ContinueCommands);
        } else {
            self.start_next_remedy(cx, out);
        }
    }

    /// Handles a command that arrived.
    fn receive_command(&mut self, cx: &Context<'_>, came: &Commanded, out: &mut Outbox) {
        let command = &came.command;
        let (id, correlation) = (&command.id, &came.correlation);
        let who = Who { id, name: Some(command.command), correlation };
        if self.was_handled(cx, who, out) {
            return;
        }
        let (until, expires) = match admission::admit(cx, came) {
            Ok(valid) => valid,
            Err((reason, why)) => {
                self.refuse(cx, who, reason, &why, out);
                return;
            }
        };
        if !self.commands.make_room(cx.now) {
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

    /// Handles a message on the command topic that is no valid command.
    fn receive_invalid_command(&mut self, cx: &Context<'_>, came: &CommandRefused, out: &mut Outbox) {
        let who = Who { id: &came.id, name: None, correlation: &came.correlation };
        if !self.was_handled(cx, who, out) {
            self.refuse(cx, who, came.reason, shorten(&came.detail), out);
        }
    }

    /// Returns true if the command needs no further handling: a repeated id (its reply is sent again), or one over the rate
    /// limit.
    fn was_handled(&mut self, cx: &Context<'_>, who: Who<'_>, out: &mut Outbox) -> bool {
        let id = who.id;
        let Some(looked_at) = self.commands.admit_arrival(cx.now) else {
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
            // It has its reply already and gets no second, different one.
            out.note(Level::Debug, format!("command {id:?} came again and is passed over: too many came"));
            return true;
        }
        let mut again = entry.last.clone();
        again.correlation.clone_from(who.correlation);
        out.note(Level::Info, format!("command {id} came again and gets the same answer"));
        out.publish(Message::CommandResult(Box::new(again)));
        true
    }

    /// Refuses a command, and remembers the refusal if the journal has room.
    fn refuse(&mut self, cx: &Context<'_>, who: Who<'_>, reason: Reason, why: &str, out: &mut Outbox) {
        let state = if reason == Reason::Expired { CommandState::Expired } else { CommandState::Refused };
        let last = answer(cx, who, state, Some(reason), why.to_string(), out);
        out.note(Level::Warn, format!("command {:?} is {}: {why}", who.id, state.as_str()));
        if self.commands.make_room(cx.now) {
            let (doing, arguments) = (Doing::Nothing, Arguments::default());
            let (name, last) = (who.name, last.clone());
            let entry = Entry { name, arguments, until: cx.now, expires: None, doing, last };
            self.commands.journal.push_back(entry);
        }
        out.publish(Message::CommandResult(Box::new(last)));
    }

    /// Publishes the present state of a command.
    fn publish_state(&mut self, cx: &Context<'_>, id: &str, out: &mut Outbox) {
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
        self.commands.drop_old_results();
    }

    /// Ends a command and publishes its result.
    fn finish(
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
        self.publish_state(cx, id, out);
    }

    /// Starts what needs no waiting at once; of the rest it publishes that it was accepted.
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
                self.publish_state(cx, id, out);
            }
            None => {}
        }
    }

    fn start_diagnosis(&mut self, cx: &Context<'_>, id: &str, out: &mut Outbox) {
        if !cx.facts.layers.asks() {
            let answer = Answer::Diagnosis(cx.now, "looked; nothing could be asked now");
            self.waits.push((id.to_owned(), answer));
            out.signal(Signal::StatusWanted);
        } else if let Some(entry) = self.commands.find(id) {
            entry.doing = Doing::Checks(cx.now);
            entry.last.state = CommandState::Started;
            entry.last.detail = "the layers are asked".into();
            self.publish_state(cx, id, out);
        }
    }

    fn reply_with_status(&mut self, cx: &Context<'_>, status: &Status, out: &mut Outbox) {
        for (id, answer) in std::mem::take(&mut self.waits) {
            let (words, found) = match answer {
                Answer::Check => ("looked", answers::check_result(status)),
                Answer::Diagnosis(since, words) => (words, answers::diagnosis_result(cx, status, since)),
            };
            self.finish(cx, &id, Ok(words), found, out);
        }
    }

    fn record_recheck_reply(
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
                self.finish(cx, id, Ok("it will be called"), json!({ "due": due }), out);
            }
            Err(why) => self.finish(cx, id, Err((Reason::TooMany, why)), Value::Null, out),
        }
    }

    /// Ends the commands that the last process left unfinished, and the reboot that succeeded.
    fn resume(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        self.commands.started();
        let asked = |e: &Entry| matches!(e.doing, Doing::Checks(_)).then(|| e.last.command_id.clone());
        let asked: Vec<String> = self.commands.journal.iter().filter_map(asked).collect();
        for id in asked {
            let why = "the process ended while the layers were asked";
            self.finish(cx, &id, Err((Reason::Interrupted, why)), Value::Null, out);
        }
        if !cx.facts.life.rebooted {
            return;
        }
        let running = cx.facts.remedy.filter(|r| r.rung == Rung::Reboot);
        if let Some(id) = running.and_then(|running| self.command_of_remedy(running.remedy)) {
            self.finish(cx, &id, Ok("the gateway rebooted"), Value::Null, out);
        }
    }

    /// While a commanded remedy runs on a working line, a break is our own doing.
    fn update_shield(&mut self, turn: &Turn) {
        match (self.commands.on_whole_line, turn) {
            (Some(_), Turn::Broke { cause, .. }) => self.commands.shielded = Some(*cause),
            (Some(_), Turn::Returned { .. }) => self.commands.shielded = None,
            _ => {}
        }
    }

    /// The id of the command that a remedy belongs to.
    fn command_of_remedy(&self, remedy: RemedyId) -> Option<String> {
        let entry = self.commands.journal.iter().find(|e| e.doing == Doing::Remedy(remedy))?;
        Some(entry.last.command_id.clone())
    }

    /// A remedy ended, whether it was commanded or not.
    fn finish_remedy(&mut self, cx: &Context<'_>, end: &RemedyEnd, out: &mut Outbox) {
        let line = cx.facts.line.state;
        if self.commands.on_whole_line == Some(end.remedy) {
            self.commands.on_whole_line = None;
            if let (Some(cause), LineState::Down) = (self.commands.shielded.take(), line) {
                out.signal(Signal::BreakStays { cause });
            }
        }
        let Some(id) = self.command_of_remedy(end.remedy) else { return };
        let result = json!({ "outcome": end.outcome, "line": line });
        let detail = shorten(&end.detail);
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
        self.finish(cx, &id, outcome, result, out);
    }

    /// Advances the commanded speed tests.
    fn advance_speed_tests(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let (ended, wall) = (self.ended.take(), cx.wall());
        let runs = |test| cx.facts.tests.running.is_some_and(|(now, next)| now == test || next == Some(test));
        for entry in &mut self.commands.journal {
            if let (Doing::Tests(tests, found), Some(ended)) = (&mut entry.doing, &ended)
                && tests.contains(&ended.test)
            {
                found.push(answers::test_result(ended));
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
            let waits = entry.is_waiting() && entry.name == Some(CommandName::Speedtest);
            if waits && !entry.is_overdue(cx.now, wall) {
                let command_id = entry.last.command_id.clone();
                out.signal(Signal::TestsOrdered { command_id, direction: entry.arguments.direction });
            }
        }
    }

    fn record_test_reply(&mut self, id: &str, asked: &Asked) {
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

    /// Answers the diagnoses whose checks are complete or timed out.
    fn finish_diagnoses(&mut self, cx: &Context<'_>, out: &mut Outbox) {
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

    /// Expires the commands that could not be started in time.
    fn expire_waiting(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let wall = cx.wall();
        let mut expired = Vec::new();
        for entry in &mut self.commands.journal {
            if !entry.is_waiting() || !entry.is_overdue(cx.now, wall) {
                continue;
            }
            let waited = std::mem::take(&mut entry.last.detail);
            entry.last.state = CommandState::Expired;
            entry.last.reason = Some(Reason::Expired);
            entry.last.detail = format!("its time was over before it could be begun; {waited}");
            expired.push(entry.last.command_id.clone());
        }
        for id in expired {
            self.publish_state(cx, &id, out);
        }
    }

    /// Starts the next remedy: one at a time, in order of arrival, and not while the process is ending.
    fn start_next_remedy(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        if self.stopping || cx.facts.remedy.is_some() {
            return;
        }
        let next = self.commands.journal.iter().find_map(|e| match (e.is_waiting(), e.name) {
            (true, Some(CommandName::Remedy)) => Some((e.last.command_id.clone(), e.arguments.rung?)),
            (true, Some(CommandName::Reboot)) => Some((e.last.command_id.clone(), Rung::Reboot)),
            _ => None,
        });
        let Some((command_id, rung)) = next else { return };
        if let Some(why) = cx.facts.hands_off.as_ref().filter(|_| rung.disturbs()) {
            self.refuse_waiting(cx, &command_id, Reason::HandsOff, why.clone(), out);
        } else if rung == Rung::Reboot && !cx.facts.stored {
            // Without a journal on flash the command would be forgotten, delivered again, and executed again.
            let why = "what was done could not be remembered: the store cannot be written".to_owned();
            self.refuse_waiting(cx, &command_id, Reason::Unsupported, why, out);
        } else {
            out.signal(Signal::RungOrdered { command_id, rung });
        }
    }

    fn refuse_waiting(&mut self, cx: &Context<'_>, id: &str, reason: Reason, why: String, out: &mut Outbox) {
        if let Some(entry) = self.commands.find(id) {
            entry.last.state = CommandState::Refused;
            entry.last.reason = Some(reason);
            entry.last.detail = why;
        }
        self.publish_state(cx, id, out);
    }

    fn start_remedy(
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
        self.publish_state(cx, id, out);
        out.save();
    }
}

/// A command's id and name, and the correlation data of its reply.
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
