//! The operator's program that is run when an incident, a remedy or a callback changes.
//!
//! It runs once per change, one at a time and in order, so that two runs never work against each other. Each run has a
//! time limit, at which its whole process group is killed. Changes wait in a bounded queue; overflow is dropped, counted
//! and logged. Nothing in the daemon waits for the program.

use crate::program::{Environment, RunResult, Termination, run_with_environment};
use linekeeper_contract::json;
use linekeeper_contract::message::{CallbackState, EventName, Message, Outcome};
use linekeeper_judge::config::{HookOn, Hooks};
use linekeeper_judge::observation::{Observation, Part};
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

/// Events that may wait for the program.
///
/// 32: an incident with all its remedies and its callback makes about twenty. At some kilobytes each that is 100 kB at
/// most; and at ten seconds each, what waits behind 32 is five minutes old.
pub const WAITING: usize = 32;

/// Ids of messages remembered, so that a callback that is asked for again under the same id is no new event.
///
/// Eight, as many as there are callbacks at a time.
const REMEMBERED: usize = 8;

/// Where OpenWrt keeps programs, and every other Linux too.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the program.
#[derive(Debug)]
pub struct Hook {
    on: Vec<HookOn>,
    waiting: mpsc::Sender<(Box<Message>, String)>,
    report: mpsc::Sender<Observation>,
    seen: VecDeque<String>,
    dropped: u64,
    told: u64,
    task: JoinHandle<()>,
}

impl Hook {
    /// Begins to wait for changes. What the program does or cannot do goes to `report`.
    pub fn start(hooks: &Hooks, device_id: &str, report: mpsc::Sender<Observation>) -> Hook {
        let (waiting, queue) = mpsc::channel(WAITING);
        let runner = Runner {
            hooks: hooks.clone(),
            device_id: device_id.to_owned(),
            report: report.clone(),
            trouble: None,
        };
        let task = tokio::spawn(runner.work(queue));
        Hook {
            on: hooks.on.clone(),
            waiting,
            report,
            seen: VecDeque::with_capacity(REMEMBERED),
            dropped: 0,
            told: 0,
            task,
        }
    }

    /// Something was said to the platform, about the line on `device`. Returns at once.
    pub fn notify(&mut self, message: &Message, device: &str) {
        if kind(message).is_none_or(|kind| !self.on.contains(&kind))
            || self.seen.iter().any(|id| id == message.id())
        {
            return;
        }
        // Nothing else is said again.
        if kind(message) == Some(HookOn::Callback) {
            if self.seen.len() >= REMEMBERED {
                self.seen.pop_front();
            }
            self.seen.push_back(message.id().to_owned());
        }
        if self.waiting.try_send((Box::new(message.clone()), device.to_owned())).is_err() {
            self.dropped += 1;
            // Once, and then at each doubling: a flood must not become one in the log.
            if self.dropped >= self.told.saturating_mul(2).max(1) {
                self.told = self.dropped;
                let n = self.dropped;
                let trouble = format!(
                    "the hook is too slow: {n} changes were not told to it, {WAITING} wait; make it end sooner \
                     (start what takes long in the background)"
                );
                warn!("{trouble}");
                // Full is the runner's queue too, sometimes: the log has it.
                let seen = Observation::PartSeen { part: Part::Hook, trouble: Some(trouble) };
                let _ = self.report.try_send(seen);
            }
        }
    }

    /// How many changes found no place in the queue.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // The program that runs goes with it: its group is killed.
        self.task.abort();
    }
}

/// `None`: not for hooks. What the platform ordered it knows by itself.
const fn kind(message: &Message) -> Option<HookOn> {
    let kind = match message {
        Message::CommandResult(_) => return None,
        Message::Callback(_) => HookOn::Callback,
        Message::Event(event) => match event.event {
            EventName::IncidentOpened | EventName::IncidentUpdated | EventName::IncidentClosed => {
                HookOn::Incident
            }
            EventName::RemedyBegun | EventName::RemedyEnded => HookOn::Remedy,
        },
    };
    Some(kind)
}

struct Runner {
    hooks: Hooks,
    device_id: String,
    report: mpsc::Sender<Observation>,
    trouble: Option<String>,
}

impl Runner {
    async fn work(mut self, mut queue: mpsc::Receiver<(Box<Message>, String)>) {
        while let Some((message, device)) = queue.recv().await {
            let json = match json::write(&message) {
                Ok(json) => json,
                Err(e) => {
                    warn!("the hook is not run: the event cannot be written as JSON: {e}");
                    continue;
                }
            };
            let variables = variables(&message, &device, &self.device_id);
            let env: Vec<(&str, &str)> = std::iter::once(("PATH", PATH))
                .chain(variables.iter().map(|(name, value)| (*name, value.as_str())))
                .collect();
            let limit = self.hooks.limit.into();
            let ran = run_with_environment(
                &[self.hooks.program.as_os_str()],
                json.as_bytes(),
                &env,
                Environment::Cleared,
                limit,
            )
            .await;
            self.ended(&message, &ran);
            let trouble = (!ran.succeeded()).then(|| self.words(&ran));
            // A hook that fails each time is told once; that it works again too.
            if trouble.is_some() != self.trouble.is_some() {
                let seen = Observation::PartSeen { part: Part::Hook, trouble: trouble.clone() };
                if self.report.send(seen).await.is_err() {
                    return;
                }
            }
            self.trouble = trouble;
        }
    }

    fn words(&self, ran: &RunResult) -> String {
        let why = ran.failure(self.hooks.limit.into());
        match ran.termination {
            Termination::NotStarted(_) => format!("the hook was not run: {why}"),
            Termination::TimedOut | Termination::Exited(_) => {
                format!("the hook {} {why}", self.hooks.program.display())
            }
        }
    }

    fn ended(&self, message: &Message, ran: &RunResult) {
        let id = message.id();
        if ran.succeeded() {
            let last = ran.output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing");
            debug!("the hook ran for {id}; it said: {}", last.trim());
        } else if self.trouble.is_some() {
            debug!("for {id}: {}", self.words(ran));
        }
        // The first failure is told to the judge, who says it in the log.
    }
}

/// The event in the environment's words. All are always there, so that a script need not ask whether.
fn variables(message: &Message, device: &str, device_id: &str) -> Vec<(&'static str, String)> {
    let (action, incident, finding, domain, remedy, outcome, callback) = match message {
        Message::CommandResult(_) => return Vec::new(),
        Message::Event(event) => {
            let action = match event.event {
                EventName::IncidentOpened => "opened",
                EventName::IncidentUpdated => "updated",
                EventName::IncidentClosed => "closed",
                EventName::RemedyBegun => "begun",
                EventName::RemedyEnded => "ended",
            };
            let remedy = event.remedy.as_ref();
            (
                action,
                Some(event.incident.id.as_str()),
                Some(event.incident.finding.as_str()),
                Some(event.incident.fault_domain.as_str()),
                remedy.map(|r| r.name.as_str()),
                remedy.and_then(|r| r.outcome).map(outcome_name),
                None,
            )
        }
        Message::Callback(callback) => {
            let action = match callback.state {
                CallbackState::Requested => "requested",
                CallbackState::Received => "received",
                CallbackState::Scheduled => "scheduled",
                CallbackState::Closed => "closed",
                CallbackState::Withdrawn => "withdrawn",
                CallbackState::Refused => "refused",
                CallbackState::Covered => "covered",
            };
            (
                action,
                callback.incident_id.as_deref(),
                callback.evidence.finding.map(|f| f.as_str()),
                Some(callback.evidence.fault_domain.as_str()),
                None,
                None,
                Some(callback.callback_id.as_str()),
            )
        }
    };
    let or_empty = |text: Option<&str>| text.unwrap_or_default().to_owned();
    vec![
        ("ACTION", action.to_owned()),
        ("INTERFACE", device.to_owned()),
        ("DEVICE", device.to_owned()),
        ("LINEKEEPER_EVENT", kind(message).map_or("", HookOn::name).to_owned()),
        ("LINEKEEPER_ID", message.id().to_owned()),
        ("LINEKEEPER_DEVICE_ID", device_id.to_owned()),
        ("LINEKEEPER_INCIDENT", or_empty(incident)),
        ("LINEKEEPER_FINDING", or_empty(finding)),
        ("LINEKEEPER_DOMAIN", or_empty(domain)),
        ("LINEKEEPER_REMEDY", or_empty(remedy)),
        ("LINEKEEPER_OUTCOME", or_empty(outcome)),
        ("LINEKEEPER_CALLBACK", or_empty(callback)),
    ]
}

const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Healed => "healed",
        Outcome::NoEffect => "no_effect",
        Outcome::Failed => "failed",
        Outcome::Pretended => "pretended",
        Outcome::Interrupted => "interrupted",
    }
}
