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
//! * A remedy on a line that is not broken breaks it for a moment: that is ours, no incident ([`Commands::shield`]).
//! * A diagnosis asks the layers ([`Checks::ask_all`](super::checks::Checks::ask_all)) and is done when the last answer came, or
//!   after [`ASKED_MOST`].
//! * A reboot is done when the next boot says so.

use super::checks::{ASKED_MOST, CONFIRM};
use super::outage::{Cause, LineState, Turn};
use super::promise::commanded::Asked;
use super::promise::{self, Promise};
use super::{Judge, programme};
use crate::action::{Action, Level, Repair};
use crate::check::{Ask, Said};
use crate::config::Role;
use crate::observation::{CommandRefused, Commanded, Observation, Part, RemedyId, Signature};
use crate::speed::{SpeedEnded, SpeedOutcome, TestId};
use linekeeper_contract::message::{
    Arguments, COMMAND_RESULT_SCHEMA, CommandName, CommandOutcome, CommandResult, CommandState, Domain,
    Message, Outcome, Reason,
};
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Commands remembered. 24: with a validity of minutes that is more than [`RATE`] lets in; at most some 20 kB of snapshot.
pub const JOURNAL: usize = 24;
/// Commands, repeated and refused ones too, that are looked at in [`RATE_WINDOW`].
///
/// 20: one every half a minute; a person who looks into one gateway gives five. Each costs up to three answers of half
/// a kilobyte on flash.
pub const RATE: usize = 20;
/// See [`RATE`].
pub const RATE_WINDOW: Span = Span::minutes(10);
/// So many more are told that they are too many; the rest gets no answer.
const TOLD_TOO_MANY: usize = 10;
/// How long a command is valid that does not say. Five minutes: orders are about now.
pub const VALID_DEFAULT: Span = Span::minutes(5);
/// The longest validity that is taken. A day: what was ordered yesterday was ordered about yesterday's line.
pub const VALID_MOST: Span = Span::days(1);
/// Answers' bodies are kept up to so many bytes in all, the latest; beyond, a repeated command gets its answer without.
const BODIES: usize = 4 * 1024;
/// Words of others (a driver, the reader of commands) are kept in an answer up to so many bytes.
const WORDS: usize = 160;
/// How far in the future a re-check may be ordered, seconds. A complaint that was handled three months ago is another.
pub const DELAY_S: std::ops::RangeInclusive<u64> = 60..=90 * 86_400;

/// The journal, and what hangs on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commands {
    journal: VecDeque<Entry>,
    /// When commands came.
    arrivals: VecDeque<Mono>,
    /// The remedy in course that was ordered on a line that was not broken.
    on_whole_line: Option<RemedyId>,
    /// The break of the line that is taken for that remedy's doing.
    #[serde(skip)]
    shielded: Option<Cause>,
    /// Places in the journal whose answer is due.
    #[serde(skip)]
    owed: Vec<String>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: Option<CommandName>,
    #[serde(default)]
    arguments: Arguments,
    /// It is not begun after that, by our own clock.
    until: Mono,
    /// The same by civil time, where it said so.
    expires: Option<Wall>,
    doing: Doing,
    /// The last answer.
    last: CommandResult,
}

/// What a command waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Doing {
    /// Its turn, or nothing any more.
    Nothing,
    /// This remedy's end.
    Remedy(RemedyId),
    /// The end of these tests.
    Tests(Vec<TestId>, Vec<Value>),
    /// What the layers answer that were asked at that moment.
    Checks(Mono),
}

impl Entry {
    fn waits(&self) -> bool {
        self.last.state == CommandState::Accepted
    }

    fn overdue(&self, now: Mono, wall: Option<Wall>) -> bool {
        now >= self.until || wall.zip(self.expires).is_some_and(|(wall, expires)| wall >= expires)
    }
}

impl Commands {
    fn find(&mut self, id: &str) -> Option<&mut Entry> {
        self.journal.iter_mut().find(|e| e.last.command_id == id)
    }

    /// Whether one more command may be looked at now; `None`: not even told that it is one too many.
    fn arrives(&mut self, now: Mono) -> Option<bool> {
        while self.arrivals.front().is_some_and(|at| now.since(*at) >= RATE_WINDOW) {
            self.arrivals.pop_front();
        }
        if self.arrivals.len() >= RATE + TOLD_TOO_MANY {
            return None;
        }
        self.arrivals.push_back(now);
        Some(self.arrivals.len() <= RATE)
    }

    /// Makes room for one; `false`: all that is remembered must still be.
    fn room(&mut self, now: Mono) -> bool {
        if self.journal.len() < JOURNAL {
            return true;
        }
        let over = |e: &Entry| e.last.state.is_end() && now >= e.until;
        let Some(at) = self.journal.iter().position(over) else { return false };
        self.journal.remove(at);
        true
    }

    /// Keeps the bodies of the latest answers only.
    fn slim(&mut self) {
        let mut bytes = 0;
        for entry in self.journal.iter_mut().rev().filter(|e| !e.last.result.is_null()) {
            bytes += entry.last.result.to_string().len();
            if bytes > BODIES && entry.last.state.is_end() {
                entry.last.result = Value::Null;
                entry.last.detail.push_str(" (what was found is not kept any more)");
            }
        }
    }

    /// When time must pass at the latest.
    pub(super) fn wake(&self) -> Option<Mono> {
        let asked = |e: &Entry| match e.doing {
            Doing::Checks(since) => Some(since + ASKED_MOST),
            Doing::Nothing | Doing::Remedy(_) | Doing::Tests(..) => None,
        };
        let waits = self.journal.iter().filter(|e| e.waits()).map(|e| e.until);
        waits.chain(self.journal.iter().filter_map(asked)).min()
    }

    /// No command waits or is in course, and none is to be answered.
    pub(super) fn is_idle(&self) -> bool {
        let over = |e: &Entry| !e.waits() && e.doing == Doing::Nothing;
        self.owed.is_empty() && self.on_whole_line.is_none() && self.journal.iter().all(over)
    }

    /// Whether this remedy was ordered on a line that was not broken: whether it helped then says nothing about the rung.
    pub(super) fn was_on_whole_line(&self, remedy: RemedyId) -> bool {
        self.on_whole_line == Some(remedy)
    }

    /// While a remedy runs that was ordered on a whole line, the line breaks by our own doing. Gives back what concerns
    /// an incident all the same.
    pub(super) fn shield(&mut self, turn: Turn) -> Option<Turn> {
        match (self.on_whole_line, &turn) {
            (Some(_), Turn::Broke { cause, .. }) => {
                self.shielded = Some(*cause);
                None
            }
            (Some(_), Turn::Returned { .. }) if self.shielded.take().is_some() => None,
            _ => Some(turn),
        }
    }

    /// A new life: what was in course in the last one.
    pub(super) fn started(&mut self) {
        self.shielded = None;
        self.owed.clear();
    }

    /// What becomes of the tests that were ordered; `promise` knows whether they still run.
    pub(super) fn tests(
        &mut self,
        scene: &promise::Scene<'_>,
        wall: Option<Wall>,
        promise: &mut Promise,
        saw: &Observation,
        turns: &mut Vec<promise::Turn>,
    ) {
        for entry in &mut self.journal {
            if let (Doing::Tests(tests, found), Observation::SpeedEnded(ended)) = (&mut entry.doing, saw)
                && tests.contains(&ended.test)
            {
                found.push(told(ended));
            }
            if let Doing::Tests(tests, found) = &mut entry.doing
                && !tests.iter().any(|t| promise.runs(*t))
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
                self.owed.push(entry.last.command_id.clone());
            }
            let waits = entry.waits() && entry.name == Some(CommandName::Speedtest);
            if !waits || entry.overdue(scene.now, wall) {
                continue;
            }
            match promise.commanded(scene, entry.arguments.direction, turns) {
                Asked::Began(tests) => {
                    entry.doing = Doing::Tests(tests, Vec::new());
                    entry.last.state = CommandState::Started;
                    entry.last.detail = "the line is measured".into();
                }
                Asked::NotNow(why) => {
                    entry.last.detail = format!("waits: {why}");
                    continue;
                }
                Asked::Never(reason, why) => {
                    entry.last.state = CommandState::Refused;
                    entry.last.reason = Some(reason);
                    entry.last.detail = why;
                }
            }
            self.owed.push(entry.last.command_id.clone());
        }
    }
}

/// The beginning of what others say.
fn brief(text: &str) -> &str {
    let end = (0..=WORDS.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

/// What one test found, for the answer.
fn told(ended: &SpeedEnded) -> Value {
    let mut told = match &ended.outcome {
        SpeedOutcome::Measured(f) => json!({
            "outcome": "measured",
            "line_bps": f.line.0,
            "line_mean_bps": f.line_mean.0,
            "customer_bps": f.customer.0,
            "limit": f.limit,
            "confidence": f.confidence,
            "idle_rtt_us": f.idle_rtt_us,
            "loaded_rtt_us": f.loaded_rtt_us,
            "rpm": f.rpm,
        }),
        SpeedOutcome::Failed { reason, detail, .. } => {
            json!({ "outcome": "failed", "reason": reason, "detail": brief(detail) })
        }
    };
    told["direction"] = json!(ended.direction);
    told["took_ms"] = json!(ended.took.0);
    told["cost_bytes"] = json!(ended.cost.0);
    told
}

impl Judge {
    /// A command came.
    pub(super) fn commanded(&mut self, now: Mono, came: &Commanded) {
        let command = &came.command;
        let name = Some(command.command);
        let (id, correlation) = (&command.id, &came.correlation);
        if self.known(now, id, name, correlation) {
            return;
        }
        let refuse = match self.weigh(now, came) {
            Ok((until, expires)) => {
                if !self.state.commands.room(now) {
                    let why = format!("{JOURNAL} commands that are still valid are remembered already");
                    self.refuse(now, id, name, correlation, Reason::TooMany, &why);
                    return;
                }
                let last =
                    self.answer(now, id, name, correlation, CommandState::Accepted, None, String::new());
                self.state.commands.journal.push_back(Entry {
                    name,
                    arguments: command.arguments,
                    until,
                    expires,
                    doing: Doing::Nothing,
                    last,
                });
                self.save = true;
                self.begin_at_once(now, id);
                return;
            }
            Err(refuse) => refuse,
        };
        let (reason, why) = refuse;
        self.refuse(now, id, name, correlation, reason, &why);
    }

    /// Something came as a command that is none.
    pub(super) fn command_refused(&mut self, now: Mono, came: &CommandRefused) {
        if !self.known(now, &came.id, None, &came.correlation) {
            self.refuse(now, &came.id, None, &came.correlation, came.reason, brief(&came.detail));
        }
    }

    /// Whether this id was answered already, and is again; or is one too many.
    fn known(
        &mut self,
        now: Mono,
        id: &str,
        name: Option<CommandName>,
        correlation: &Option<String>,
    ) -> bool {
        let Some(looked_at) = self.state.commands.arrives(now) else {
            self.note(Level::Debug, format!("command {id:?} is passed over: too many came"));
            return true;
        };
        let Some(entry) = self.state.commands.find(id) else {
            if !looked_at {
                let why = format!(
                    "more than {RATE} commands came within {RATE_WINDOW}; give it again with another id"
                );
                self.refuse(now, id, name, correlation, Reason::TooMany, &why);
            }
            return !looked_at;
        };
        if !looked_at {
            // It has its answer, and no other.
            self.note(Level::Debug, format!("command {id:?} came again and is passed over: too many came"));
            return true;
        }
        let mut again = entry.last.clone();
        again.correlation.clone_from(correlation);
        self.note(Level::Info, format!("command {id} came again and gets the same answer"));
        self.publish(Message::CommandResult(Box::new(again)));
        true
    }

    /// Whether it may be obeyed, and until when.
    fn weigh(&self, now: Mono, came: &Commanded) -> Result<(Mono, Option<Wall>), (Reason, String)> {
        let command = &came.command;
        let name = command.command;
        if came.retained {
            let why = "it was retained by the broker and may be of long ago: commands are published without the retain \
                       flag";
            return Err((Reason::Retained, why.into()));
        }
        if command.device_id.as_ref().is_some_and(|d| *d != self.config.device.id) {
            return Err((Reason::OtherDevice, "it is for another gateway".into()));
        }
        if !self.config.commands.allow.contains(&name) {
            return Err((Reason::NotAllowed, format!("commands.allow does not have {}", name.name())));
        }
        match came.signature {
            Signature::Bad => {
                let why =
                    "its signature is not by commands.key over this device, id, command, expiry and argument";
                return Err((Reason::BadSignature, why.into()));
            }
            Signature::Good if command.expires.is_none() => {
                return Err((Reason::Malformed, "a signed command must have `expires`".into()));
            }
            Signature::Absent | Signature::Unchecked
                if name.is_destructive() && self.config.commands.key.is_some() =>
            {
                return Err((Reason::Unsigned, format!("{} must be signed here", name.name())));
            }
            Signature::Absent | Signature::Unchecked | Signature::Good => {}
        }
        let malformed = |why: &str| Err((Reason::Malformed, why.to_string()));
        match (name, command.arguments.rung, command.arguments.delay_s) {
            (CommandName::Remedy, None, _) => return malformed("remedy needs arguments.rung"),
            (CommandName::Remedy, Some(Rung::Reboot), _) => {
                return malformed("reboot is a command of its own");
            }
            (CommandName::Remedy, Some(rung), _) if !self.config.remedies.ladder.contains(&rung) => {
                return Err((Reason::NotAllowed, format!("{} is not on remedies.ladder", rung.name())));
            }
            (CommandName::Programme, _, None) => return malformed("programme needs arguments.delay_s"),
            (CommandName::Programme, _, Some(s)) if !DELAY_S.contains(&s) => {
                return malformed("arguments.delay_s must be 60 to 7776000 (90 days)");
            }
            _ => {}
        }
        self.valid(now, came)
    }

    /// Until when it may be begun.
    fn valid(&self, now: Mono, came: &Commanded) -> Result<(Mono, Option<Wall>), (Reason, String)> {
        let command = &came.command;
        let plus = |wall: Wall, s: u64| {
            Wall(wall.0.saturating_add(i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1_000)))
        };
        let issued = command.issued.map(|t| t.wall);
        let by_length = issued.zip(command.valid_s).map(|(at, s)| plus(at, s));
        let expires = command.expires.map(|t| t.wall).into_iter().chain(by_length).min();
        let between = |from: Wall, to: Wall| Span(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0));
        let length = command.valid_s.map(|s| Span(s.saturating_mul(1_000)));
        let length = length.into_iter().chain(issued.zip(expires).map(|(from, to)| between(from, to))).min();
        let left = match (self.state.dates.trusted(now), expires) {
            (Some(wall), Some(expires)) => between(wall, expires),
            // Nobody here knows the date, or it names none: its age is the time since it came.
            _ => length.unwrap_or(VALID_DEFAULT),
        };
        let left = came.broker_left.map_or(left, |b| b.min(left));
        if left == Span::ZERO {
            return Err((Reason::Expired, "it came after its time".into()));
        }
        if left > VALID_MOST {
            return Err((Reason::Malformed, format!("it is valid for longer than {VALID_MOST}")));
        }
        Ok((now + left, expires))
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the message, named where it is made")]
    fn answer(
        &self,
        now: Mono,
        id: &str,
        name: Option<CommandName>,
        correlation: &Option<String>,
        state: CommandState,
        reason: Option<Reason>,
        detail: String,
    ) -> CommandResult {
        CommandResult {
            schema: COMMAND_RESULT_SCHEMA.into(),
            id: self.answer_id(id, state),
            device_id: self.config.device.id.clone(),
            command_id: id.to_string(),
            command: name,
            state,
            time: self.stamp(now),
            started_boot_id: None,
            outcome: None,
            reason,
            detail,
            result: Value::Null,
            correlation: correlation.clone(),
        }
    }

    fn answer_id(&self, id: &str, state: CommandState) -> String {
        format!("{}/{}/command/{id}/{}", self.config.device.id, self.state.memory, state.name())
    }

    /// Says no, and remembers it as long as there is room.
    fn refuse(
        &mut self,
        now: Mono,
        id: &str,
        name: Option<CommandName>,
        correlation: &Option<String>,
        reason: Reason,
        why: &str,
    ) {
        let state = if reason == Reason::Expired { CommandState::Expired } else { CommandState::Refused };
        let last = self.answer(now, id, name, correlation, state, Some(reason), why.to_string());
        self.note(Level::Warn, format!("command {id:?} is {}: {why}", state.name()));
        if self.state.commands.room(now) {
            let (doing, arguments) = (Doing::Nothing, Arguments::default());
            let entry = Entry { name, arguments, until: now, expires: None, doing, last: last.clone() };
            self.state.commands.journal.push_back(entry);
        }
        self.publish(Message::CommandResult(Box::new(last)));
    }

    /// Publishes how far a command is now.
    fn tell(&mut self, now: Mono, id: &str) {
        let (time, boot_id) = (self.stamp(now), self.state.dates.boot_id.clone());
        let Some(state) = self.state.commands.find(id).map(|e| e.last.state) else { return };
        let answer_id = self.answer_id(id, state);
        let Some(entry) = self.state.commands.find(id) else { return };
        entry.last.time = time;
        entry.last.id = answer_id;
        if state == CommandState::Started {
            entry.last.started_boot_id = Some(boot_id);
        }
        let last = entry.last.clone();
        let level = if last.reason.is_some() { Level::Warn } else { Level::Info };
        let detail = if last.detail.is_empty() { String::new() } else { format!(": {}", last.detail) };
        self.note(level, format!("command {id} is {}{detail}", state.name()));
        self.publish(Message::CommandResult(Box::new(last)));
        self.state.commands.slim();
    }

    /// It is over.
    fn done(&mut self, now: Mono, id: &str, outcome: Result<&str, (Reason, &str)>, result: Value) {
        let boot_id = self.state.dates.boot_id.clone();
        let Some(entry) = self.state.commands.find(id) else { return };
        entry.doing = Doing::Nothing;
        entry.last.state = CommandState::Done;
        entry.last.started_boot_id.get_or_insert(boot_id);
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
        self.tell(now, id);
    }

    /// What needs no time is done at once; of the rest it is said that it was accepted.
    fn begin_at_once(&mut self, now: Mono, id: &str) {
        let Some(entry) = self.state.commands.find(id) else { return };
        let (name, arguments) = (entry.name, entry.arguments);
        match name {
            Some(CommandName::Check) => {
                let found = self.brief_check(now);
                self.done(now, id, Ok("looked"), found);
            }
            Some(CommandName::Diagnose) => {
                let scene = self.check_scene(now);
                self.state.checks.ask_all(now, &scene, &mut self.out);
                if !self.state.checks.asks() {
                    let found = self.what_is_known(now, now);
                    self.done(now, id, Ok("looked; nothing could be asked now"), found);
                } else if let Some(entry) = self.state.commands.find(id) {
                    entry.doing = Doing::Checks(now);
                    entry.last.state = CommandState::Started;
                    entry.last.detail = "the layers are asked".into();
                    self.tell(now, id);
                }
            }
            Some(CommandName::Programme) => {
                let delay = Span(arguments.delay_s.unwrap_or_default().saturating_mul(1_000));
                let wall = self.state.dates.trusted(now);
                match self.state.programme.recheck(now, wall, id, delay) {
                    Ok(due) => {
                        let offset_minutes = self.offset();
                        let due =
                            due.map(|wall| linekeeper_contract::units::LocalTime { wall, offset_minutes });
                        self.done(now, id, Ok("it will be called"), json!({ "due": due }));
                    }
                    Err(why) => self.done(now, id, Err((Reason::TooMany, why)), Value::Null),
                }
            }
            Some(CommandName::Speedtest | CommandName::Remedy | CommandName::Reboot) => self.tell(now, id),
            None => {}
        }
    }

    /// How the line does: what `check` answers.
    fn brief_check(&self, now: Mono) -> Value {
        let status = self.status(now);
        json!({
            "line": status.line,
            "since_ms": status.since_ms,
            "rtt_us": status.rtt_us,
            "traffic_bps": status.traffic_bps,
            "disconnects": status.disconnects,
            "incident": status.incident,
            "remedies": status.remedies,
            "budgets": status.budgets,
            "troubles": status.troubles,
            "promise": status.promise.map(|p| p.directions.into_iter().map(|d| json!({
                "direction": d.direction, "verdict": d.verdict, "why": d.why,
            })).collect::<Vec<_>>()),
            "clock_synced": status.clock_synced,
        })
    }

    /// What each layer answered that was asked at `since` (or just before), and what the targets do.
    fn layers(&self, since: Mono) -> Value {
        let watch = &self.state.watch;
        let mut rows = Vec::new();
        let mut row = |layer: &str, said: &str| rows.push(json!({ "layer": layer, "said": said }));
        let link = match watch.link_fault() {
            _ if watch.link.is_none() => "not_checked",
            None => "answered",
            Some(Cause::NoDevice) => "no_device",
            Some(Cause::AdminDown) => "admin_down",
            Some(Cause::NoCarrier) => "no_carrier",
            Some(Cause::NoAddress) => "no_address",
            Some(Cause::NoRoute) => "no_route",
            Some(Cause::Silence) => "silent",
        };
        row("link", link);
        let protocol = self.config.line.protocol;
        for ask in Ask::ALL {
            if ask.is_of(protocol) {
                let said = self.state.checks.since(ask, since - CONFIRM).map_or(Said::NotChecked, |v| v.said);
                row(ask.name(), said.name());
            }
        }
        let from =
            if watch.line == LineState::Up { watch.suspected().unwrap_or(watch.since) } else { watch.since };
        let answers = |answered: bool| if answered { "answered" } else { "silent" };
        if self.config.probe.gateway {
            row("gateway", answers(watch.gateway_answered_since(from)));
        }
        for role in [Role::Anchor, Role::World] {
            let of = self.config.probe.targets.iter().zip(&watch.targets).filter(|(t, _)| t.role == role);
            let mut heard = of.map(|(_, state)| state.answered.is_some_and(|at| at >= from)).peekable();
            if heard.peek().is_some() {
                row(role.name(), answers(heard.any(|heard| heard)));
            }
        }
        json!(rows)
    }

    /// What `diagnose` answers: where a fault lies and what shows it, by what the layers answered that were asked at `since`.
    fn what_is_known(&self, now: Mono, since: Mono) -> Value {
        let mut found = self.brief_check(now);
        found["layers"] = self.layers(since);
        let incident = self.state.incident.as_ref();
        let cause =
            incident.filter(|i| i.broken.is_some()).map(|i| i.cause).or(self.state.watch.link_fault());
        let facts = match (incident.filter(|i| i.broken.is_some()), cause) {
            (Some(incident), _) => incident.facts.clone(),
            (None, Some(cause)) => self.facts(now, cause),
            (None, None) => Vec::new(),
        };
        let open = incident.filter(|i| i.broken.is_some()).map(|i| i.domain);
        let placed = match self.state.watch.line {
            LineState::Down => Some(self.place(now, self.state.watch.since)),
            LineState::Up => self.reach().map(|(_, placed)| placed),
            LineState::Unknown => None,
        };
        found["fault_domain"] =
            json!(placed.as_ref().map(|p| p.domain).filter(|d| *d != Domain::Unknown).or(open));
        found["words"] = json!(placed.map(|p| p.words()));
        found["facts"] = json!(facts);
        found["link"] = json!(self.state.watch.link.as_ref().map(|l| json!({
            "present": l.present,
            "admin_up": l.admin_up,
            "carrier": l.carrier,
            // How many, not which: a customer's address is nobody's business here.
            "addresses": l.addresses.len(),
            "default_route": l.default_route,
            "speed_bps": l.speed.map(|s| s.0),
            "half_duplex": l.half_duplex,
        })));
        found["targets"] = json!(self.status(now).targets);
        found
    }

    /// A new life began, perhaps under another configuration than the last: what is known of a host or a server goes
    /// with it, and is not taken for another's.
    pub(super) fn reconfigured(&mut self) {
        let hosts: Vec<String> = self.config.probe.targets.iter().map(|t| t.host.clone()).collect();
        let servers = self.config.speed.servers.clone();
        let (old_hosts, old_servers) =
            std::mem::replace(&mut self.state.asked, (hosts.clone(), servers.clone()));
        if !old_hosts.is_empty() && old_hosts != hosts {
            self.state.watch.retarget(&old_hosts, &hosts);
        }
        if !old_servers.is_empty() && old_servers != servers {
            self.state.promise.servers_changed();
        }
    }

    /// Something is being done to the line: not the moment to begin anew.
    pub fn is_acting(&self) -> bool {
        self.state.ladder.running.is_some() || self.state.promise.is_running()
    }

    /// A new life began, perhaps by our own reboot. Before the ladder looks at it.
    pub(super) fn commands_started(&mut self, now: Mono, rebooted: bool) {
        self.state.commands.started();
        let asked = |e: &Entry| matches!(e.doing, Doing::Checks(_)).then(|| e.last.command_id.clone());
        let asked: Vec<String> = self.state.commands.journal.iter().filter_map(asked).collect();
        for id in asked {
            let why = "the process ended while the layers were asked";
            self.done(now, &id, Err((Reason::Interrupted, why)), Value::Null);
        }
        if !rebooted {
            return;
        }
        let running = self.state.ladder.running.as_ref().filter(|r| r.rung == Rung::Reboot).map(|r| r.remedy);
        let ordered = running.and_then(|remedy| self.ordered(remedy));
        if let Some(id) = ordered {
            self.done(now, &id, Ok("the gateway rebooted"), Value::Null);
        }
    }

    /// The command that a remedy belongs to.
    fn ordered(&self, remedy: RemedyId) -> Option<String> {
        let entry = self.state.commands.journal.iter().find(|e| e.doing == Doing::Remedy(remedy))?;
        Some(entry.last.command_id.clone())
    }

    /// A remedy is over, whoever wanted it.
    pub(super) fn commanded_remedy_over(
        &mut self,
        now: Mono,
        remedy: RemedyId,
        rung: Rung,
        outcome: Outcome,
        detail: &str,
    ) {
        if self.state.commands.on_whole_line == Some(remedy) {
            self.state.commands.on_whole_line = None;
            let cause = self.state.commands.shielded.take();
            // It did not come back after what we did to it: now it is a break like any other.
            if let (Some(cause), LineState::Down) = (cause, self.state.watch.line) {
                self.broke(now, now, cause);
            }
        }
        let Some(id) = self.ordered(remedy) else { return };
        let up = self.state.watch.line == LineState::Up;
        let result = json!({ "outcome": outcome, "line": self.state.watch.line });
        let detail = brief(detail);
        let words =
            |what: &str| if detail.is_empty() { what.to_string() } else { format!("{what}: {detail}") };
        match outcome {
            Outcome::NoEffect if rung == Rung::Reboot => {
                let why = words("the gateway did not go down");
                self.done(now, &id, Err((Reason::Failed, &why)), result);
            }
            Outcome::Healed | Outcome::NoEffect => {
                let words =
                    words(if up { "carried out, the line is up" } else { "carried out, the line is not up" });
                self.done(now, &id, Ok(&words), result);
            }
            Outcome::Failed => {
                let why = words("it could not be carried out");
                self.done(now, &id, Err((Reason::Failed, &why)), result);
            }
            Outcome::Pretended => {
                let why = words("this gateway only says what it would do");
                self.done(now, &id, Err((Reason::Unsupported, &why)), result);
            }
            Outcome::Interrupted => {
                let why = words("it was interrupted");
                self.done(now, &id, Err((Reason::Interrupted, &why)), result);
            }
        }
    }

    /// What becomes of the commands in course: after everything else in a step.
    pub(super) fn obey(&mut self, now: Mono, saw: &Observation) {
        for id in std::mem::take(&mut self.state.commands.owed) {
            self.tell(now, &id);
        }
        self.diagnosed(now);
        let wall = self.state.dates.trusted(now);
        let mut expired = Vec::new();
        for entry in &mut self.state.commands.journal {
            if !entry.waits() || !entry.overdue(now, wall) {
                continue;
            }
            let waited = std::mem::take(&mut entry.last.detail);
            entry.last.state = CommandState::Expired;
            entry.last.reason = Some(Reason::Expired);
            entry.last.detail = format!("its time was over before it could be begun; {waited}");
            expired.push(entry.last.command_id.clone());
        }
        for id in expired {
            self.tell(now, &id);
        }
        // Our own reboot is over when the line is back.
        if let Some(remedy) = self.state.commands.on_whole_line
            && self.ordered(remedy).is_none()
            && self.state.watch.line == LineState::Up
        {
            self.conclude(now, Outcome::NoEffect);
        }
        // One at a time, in the order in which they came; not while we are about to end.
        if matches!(saw, Observation::Stopping) || self.state.ladder.running.is_some() {
            return;
        }
        let next = self.state.commands.journal.iter().find_map(|e| match (e.waits(), e.name) {
            (true, Some(CommandName::Remedy)) => Some((e.last.command_id.clone(), e.arguments.rung?)),
            (true, Some(CommandName::Reboot)) => Some((e.last.command_id.clone(), Rung::Reboot)),
            _ => None,
        });
        if let Some((id, rung)) = next {
            self.take_as_ordered(now, &id, rung);
        }
    }

    /// Answers the diagnoses whose layers have answered, or did not in time.
    fn diagnosed(&mut self, now: Mono) {
        let asks = self.state.checks.asks();
        let over = |e: &Entry| match e.doing {
            Doing::Checks(since) if !asks || now >= since + ASKED_MOST => {
                Some((e.last.command_id.clone(), since))
            }
            Doing::Checks(_) | Doing::Nothing | Doing::Remedy(_) | Doing::Tests(..) => None,
        };
        let over: Vec<(String, Mono)> = self.state.commands.journal.iter().filter_map(over).collect();
        for (id, since) in over {
            let found = self.what_is_known(now, since);
            self.done(now, &id, Ok("asked"), found);
        }
    }

    fn take_as_ordered(&mut self, now: Mono, id: &str, rung: Rung) {
        let limits = *self.config.remedies.limits(rung);
        let broken = self.state.incident.as_ref().is_some_and(|i| i.broken.is_some());
        let spent = self.state.ladder.refuses(now, rung, &self.config.remedies, broken);
        let unwritten = rung == Rung::Reboot && self.state.troubles.contains_key(&Part::Store);
        let kept = if let Some(why) = self.state.hands_off.as_ref().filter(|_| rung.disturbs()) {
            Some((Reason::HandsOff, why.clone()))
        } else if unwritten {
            // The order itself would be forgotten, come again, and be obeyed again.
            let why = "what was done could not be remembered: the store cannot be written".to_owned();
            Some((Reason::Unsupported, why))
        } else {
            spent.map(|why| (Reason::Budget, why))
        };
        if let Some((reason, why)) = kept {
            if let Some(entry) = self.state.commands.find(id) {
                entry.last.state = CommandState::Refused;
                entry.last.reason = Some(reason);
                entry.last.detail = why;
            }
            self.tell(now, id);
            return;
        }
        if let Some(entry) = self.state.commands.find(id) {
            entry.last.state = CommandState::Started;
            entry.last.detail = format!("{} begins", rung.name());
        }
        if broken {
            // The message goes before the deed: a reboot may leave no time for it.
            self.tell(now, id);
            self.take(now, rung);
        } else {
            let remedy = self.state.ladder.take(now, rung, Domain::Unknown);
            self.state.commands.on_whole_line = Some(remedy);
            self.tell(now, id);
            let resolver = self.resolver().filter(|_| rung == Rung::OtherResolver);
            let limit = limits.limit;
            self.out.push(Action::Repair(Repair { remedy, rung, incident: None, limit, resolver }));
        }
        let remedy = self.state.ladder.running.as_ref().map(|r| r.remedy);
        if let (Some(remedy), Some(entry)) = (remedy, self.state.commands.find(id)) {
            entry.doing = Doing::Remedy(remedy);
        }
        self.save = true;
    }

    /// Asks for the callbacks that the platform ordered for now.
    pub(super) fn re_check(&mut self, now: Mono) {
        let wall = self.state.dates.trusted(now);
        for ordered in self.state.programme.rechecks_due(now, wall) {
            self.save = true;
            self.call_to_recheck(now, &ordered);
        }
    }
}

const _: () = assert!(programme::RECHECKS <= JOURNAL);
