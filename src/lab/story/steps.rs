//! The steps of the acts: inject a fault, end it, wait, show messages, and print the table at the end.

use super::act::Act;
use super::words::{
    describe_callback, describe_event, describe_state, format_duration, is_marked_late, reports_outage,
    state_name,
};
use crate::agent::Agent;
use crate::broker::Broker;
use crate::clock;
use crate::error::Error;
use crate::platform::{Platform, Received};
use crate::stage::{Row, Speaker, Stage};
use crate::world::{Host, World};
use linekeeper_contract::message::{Domain, EventName, Message};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

/// Timeout for steps that normally take two or three seconds; a machine that compiles at the same time is slow.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);
/// How often the wait for a message checks whether the agent is still alive.
const ALIVE_CHECK: Duration = Duration::from_millis(250);
/// How many of the agent's last log lines are shown when an act fails.
const LOG_LINES: usize = 12;

pub(super) struct Story {
    pub(super) stage: Stage,
    // Fields are dropped in this order: the agent first, so that nothing of it is left in the namespaces.
    pub(super) agent: Agent,
    pub(super) platform: Platform,
    pub(super) _broker: Broker,
    pub(super) world: World,
    /// The index of the next message of the platform to show.
    pub(super) place: usize,
    pub(super) rows: Vec<Row>,
}

impl Story {
    /// Shows `linekeeper status` and checks it.
    pub(super) fn check_status(
        &self,
        act: &mut Act,
        holds: impl Fn(&Value) -> bool,
        what: &str,
    ) -> Result<(), Error> {
        // Exit code 1 says that the line is down; the text is the same kind of text.
        let ask = |json: bool| {
            let mut command = Command::new(self.world.program());
            command.arg("status").arg("--socket").arg(self.agent.socket()).args(json.then_some("--json"));
            self.world.exec_in(Host::Gateway, &mut command)
        };
        let (json, text) = (ask(true)?, ask(false)?);
        let data: Value = serde_json::from_slice(&json.stdout).unwrap_or(Value::Null);
        let expected = i32::from(data["status"]["line"] != "up");
        // What people see must be there, whatever the state of the line: a command that fails shows nothing.
        for (command, out) in [("linekeeper status --json", &json), ("linekeeper status", &text)] {
            let errors = String::from_utf8_lossy(&out.stderr);
            let worked = out.status.code() == Some(expected)
                && errors.is_empty()
                && !out.stdout.trim_ascii().is_empty();
            act.require(worked, &format!("`{command}` fails ({}): {}", out.status, errors.trim()));
        }
        let text = String::from_utf8_lossy(&text.stdout);
        act.require(holds(&data["status"]), &format!("`linekeeper status` does not report that {what}"));
        self.stage.quote("linekeeper status", &text, &data);
        Ok(())
    }

    /// Injects a fault and records when.
    pub(super) fn break_line(
        &mut self,
        act: &mut Act,
        words: &str,
        fault: impl Fn(&World) -> Result<(), Error>,
    ) -> Result<(), Error> {
        act.at = clock::uptime();
        fault(&self.world)?;
        self.stage.say(Speaker::World, words, &Value::Null);
        Ok(())
    }

    pub(super) fn mend_line(
        &mut self,
        words: &str,
        mend: impl Fn(&World) -> Result<(), Error>,
    ) -> Result<(), Error> {
        mend(&self.world)?;
        self.stage.say(Speaker::World, words, &Value::Null);
        Ok(())
    }

    /// Waits until the agent reports that the line is down and that the fault lies in one of `domains`.
    pub(super) fn expect_outage(&mut self, act: &mut Act, domains: &[Domain]) {
        if !self.watch_until(act, TIMEOUT, reports_outage) {
            act.require(false, "the outage was not reported");
            return;
        }
        let Some(message) = act.messages.iter().find(|r| reports_outage(r)) else { return };
        let Some(Message::Event(event)) = message.message() else { return };
        // A new incident carries the time of its declaration. A reopened one carries the time of the break, so there only
        // the arrival shows when the outage was declared.
        let declared = match event.event {
            EventName::IncidentOpened => Duration::from_millis(event.time.uptime_ms),
            _ => message.at,
        };
        act.seen_after = Some(declared.saturating_sub(act.at));
        let domain = event.incident.fault_domain;
        act.require(
            domains.contains(&domain),
            &format!("the fault was located in {}, not in {}", domain.as_str(), domains[0].as_str()),
        );
    }

    /// Shows messages until one is `wanted`; returns whether it arrived within `patience`.
    pub(super) fn watch_until(
        &mut self,
        act: &mut Act,
        patience: Duration,
        wanted: impl Fn(&Received) -> bool,
    ) -> bool {
        let began = clock::uptime();
        loop {
            let left = patience.saturating_sub(clock::since(began));
            let Some(next) = self.platform.wait_for(self.place, left.min(ALIVE_CHECK), |_| true) else {
                // A dead agent sends nothing more. This checks only after all its messages have been read.
                if left <= ALIVE_CHECK || !self.agent.process().is_alive() {
                    return false;
                }
                continue;
            };
            self.place = next.place + 1;
            self.show_message(act, &next);
            let found = !next.repeated && wanted(&next);
            act.messages.push(next);
            if found {
                return true;
            }
        }
    }

    /// Waits for `length` and shows the messages that arrive meanwhile.
    pub(super) fn show_for(&mut self, act: &mut Act, length: Duration) {
        self.watch_until(act, length, |_| false);
    }

    pub(super) fn show_message(&self, act: &Act, received: &Received) {
        let data = json!({ "topic": received.topic, "message": received.json });
        if received.repeated {
            self.stage.say(Speaker::Platform, "repeated message, dropped by its id", &data);
            return;
        }
        let delay = received.delay();
        let arrival = match delay {
            _ if act.clock_jumped => "time skipped".to_owned(),
            Some(delay) if is_marked_late(received) => {
                format!("{} after the fact, marked late", format_duration(delay))
            }
            Some(delay) => format!("{} after the fact", format_duration(delay)),
            None => "without a time".to_owned(),
        };
        match received.message() {
            Some(Message::Event(event)) => {
                self.stage.say(Speaker::Gateway, &describe_event(&event, act), &data);
                let name = serde_json::to_value(event.event).ok();
                let name = name.as_ref().and_then(Value::as_str).unwrap_or_default().replace('_', " ");
                self.stage.say(Speaker::Platform, &format!("received \"{name}\", {arrival}"), &Value::Null);
            }
            Some(Message::Callback(callback)) => {
                for line in describe_callback(&callback, &arrival) {
                    self.stage.say(Speaker::Platform, &line, &data);
                }
            }
            Some(Message::CommandResult(result)) => {
                let words = format!("command {} is {}, {arrival}", result.command_id, result.state.as_str());
                self.stage.say(Speaker::Platform, &words, &data);
            }
            None if received.kind == "state" => {
                self.stage.say(Speaker::Platform, &describe_state(received), &data);
            }
            None => {
                self.stage.say(
                    Speaker::Platform,
                    &format!("received a message on {}", received.topic),
                    &data,
                );
            }
        }
    }

    /// Adds the act's row to the table and shows what went wrong.
    pub(super) fn finish_act(&mut self, act: Act) {
        for failure in &act.failures {
            self.stage.say(Speaker::World, &format!("UNEXPECTED: {failure}"), &Value::Null);
        }
        if !act.failures.is_empty() {
            let log = self.agent.log();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                eprintln!("agent: {line}");
            }
        }
        let mut tried: Vec<String> = Vec::new();
        for remedy in
            act.events().into_iter().filter(|e| e.event == EventName::RemedyEnded).filter_map(|e| e.remedy)
        {
            let outcome = remedy.outcome.and_then(|o| serde_json::to_value(o).ok());
            let outcome = outcome.as_ref().and_then(Value::as_str).unwrap_or("?").replace('_', " ");
            tried.push(format!("{}: {outcome}", remedy.name.as_str()));
        }
        let events = act.events().len();
        let mut received = vec![match events {
            0 => "no event".to_owned(),
            1 => "1 event".to_owned(),
            n => format!("{n} events"),
        }];
        let states: Vec<String> = act.callbacks().iter().map(|c| state_name(c.state)).collect();
        if !states.is_empty() {
            received.push(format!("callback {}", states.join(", ")));
        }
        let as_expected = act.failures.is_empty();
        self.rows.push(Row {
            cells: [
                act.title.to_owned(),
                act.fault.to_owned(),
                act.seen_after.map_or("-".to_owned(), format_duration),
                if tried.is_empty() { "-".to_owned() } else { tried.join(", ") },
                if as_expected { act.outcome } else { format!("UNEXPECTED: {}", act.failures.join("; ")) },
                received.join(", "),
            ],
            as_expected,
        });
    }

    pub(super) fn print_summary(&self) -> bool {
        self.stage.table(["act", "broke", "seen", "tried", "outcome", "platform received"], &self.rows);
        let failed = self.rows.iter().filter(|row| !row.as_expected).count();
        let words = match failed {
            0 => "all acts went as expected".to_owned(),
            n => format!("{n} of {} acts did not go as expected", self.rows.len()),
        };
        self.stage.end(&words, failed == 0);
        failed == 0
    }
}
