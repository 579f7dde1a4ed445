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

/// For what takes two or three seconds when all is well: machines that compile beside us are slow.
pub(super) const SOON: Duration = Duration::from_secs(20);
/// How often we look whether the agent still lives while we wait for its words.
const LOOK: Duration = Duration::from_millis(250);
/// How many of the agent's last log lines are shown when an act fails.
const LOG_LINES: usize = 12;

pub(super) struct Story {
    pub(super) stage: Stage,
    // Dropped in this order: the agent first, so that nothing of its is left in the namespaces.
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
        let ask = |json: bool| {
            let mut command = Command::new(self.world.program());
            command.arg("status").arg("--socket").arg(self.agent.socket()).args(json.then_some("--json"));
            let out = self.world.exec_in(Host::Gateway, &mut command)?;
            Ok::<_, Error>(String::from_utf8_lossy(&out.stdout).into_owned())
        };
        let data = serde_json::from_str(&ask(true)?).unwrap_or(Value::Null);
        act.require(holds(&data["status"]), &format!("`linekeeper status` does not say that {what}"));
        self.stage.quote("linekeeper status", &ask(false)?, &data);
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
        if !self.watch_until(act, SOON, reports_outage) {
            act.require(false, "the outage was not seen");
            return;
        }
        let Some(message) = act.messages.iter().find(|r| reports_outage(r)) else { return };
        let Some(Message::Event(event)) = message.message() else { return };
        // A new incident is stamped when it was declared; one that opens again, when the line went: there only the
        // arrival tells when we knew.
        let known = match event.event {
            EventName::IncidentOpened => Duration::from_millis(event.time.uptime_ms),
            _ => message.at,
        };
        act.seen_after = Some(known.saturating_sub(act.at));
        let domain = event.incident.fault_domain;
        act.require(
            domains.contains(&domain),
            &format!("the fault was placed in {}, not in {}", domain.as_str(), domains[0].as_str()),
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
            let Some(next) = self.platform.wait_for(self.place, left.min(LOOK), |_| true) else {
                // A dead agent says nothing more; its last words are heard before we look.
                if left <= LOOK || !self.agent.process().is_alive() {
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
            self.stage.say(Speaker::Platform, "the same again, dropped by its id", &data);
            return;
        }
        let delay = received.delay();
        let arrival = match delay {
            _ if act.leapt => "on leapt time".to_owned(),
            Some(delay) if is_marked_late(received) => {
                format!("{} after the fact, marked as late", format_duration(delay))
            }
            Some(delay) => format!("{} after the fact", format_duration(delay)),
            None => "without a time".to_owned(),
        };
        match received.message() {
            Some(Message::Event(event)) => {
                self.stage.say(Speaker::Gateway, &describe_event(&event, act), &data);
                let name = serde_json::to_value(event.event).ok();
                let name = name.as_ref().and_then(Value::as_str).unwrap_or_default().replace('_', " ");
                self.stage.say(Speaker::Platform, &format!("has \"{name}\", {arrival}"), &Value::Null);
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
                self.stage.say(Speaker::Platform, &format!("has a message on {}", received.topic), &data);
            }
        }
    }

    /// Adds the act's row to the table and shows what went wrong.
    pub(super) fn finish_act(&mut self, act: Act) {
        for fault in &act.faults {
            self.stage.say(Speaker::World, &format!("NOT AS TOLD: {fault}"), &Value::Null);
        }
        if !act.faults.is_empty() {
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
        let as_told = act.faults.is_empty();
        self.rows.push(Row {
            cells: [
                act.title.to_owned(),
                act.broke.to_owned(),
                act.seen_after.map_or("-".to_owned(), format_duration),
                if tried.is_empty() { "-".to_owned() } else { tried.join(", ") },
                if as_told { act.outcome } else { format!("NOT AS TOLD: {}", act.faults.join("; ")) },
                received.join(", "),
            ],
            as_told,
        });
    }

    pub(super) fn print_summary(&self) -> bool {
        self.stage.table(["act", "broke", "seen", "tried", "outcome", "platform received"], &self.rows);
        let failed = self.rows.iter().filter(|row| !row.as_told).count();
        let words = match failed {
            0 => "every act went as told".to_owned(),
            n => format!("{n} of {} acts did not go as told", self.rows.len()),
        };
        self.stage.end(&words, failed == 0);
        failed == 0
    }
}
