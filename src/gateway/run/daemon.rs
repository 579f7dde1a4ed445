//! The loop under one configuration: it feeds observations to the judge and has the actions carried out.

use super::desired::{Desk, Next};
use super::heartbeat::Heartbeat;
use super::process::Process;
use super::recorder::Recorder;
use super::socket;
use super::watchdog;
use crate::act::hook::Hook;
use crate::act::mqtt;
use crate::act::outbox::Outbox;
use crate::act::store::Store;
use crate::clock::Clock;
use crate::config_text::{self, Format};
use crate::sense::access::Gates;
use crate::sense::link::LinkFacts;
use crate::sense::throughput::Stop;
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::config::{self, Config, Places};
use linekeeper_judge::observation::{Observation, Part, ProbeId, TargetId};
use linekeeper_judge::outage::LineState;
use linekeeper_judge::speed::TestId;
use linekeeper_proving::replay::{Header, TRACE_SCHEMA};
use serde_json::Value;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

/// How long a shutdown waits for a running remedy: procd kills after 5 s.
const LAST_REMEDY: Span = Span::seconds(2);

/// One leap. Less than what the judge takes for a gap in our watching: to it the ticks come late and nothing else.
#[cfg(feature = "lab")]
const LEAP: Span = Span::seconds(4);

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration's file, read again on SIGHUP.
    pub config: PathBuf,
    /// Watch and log, but act on nothing.
    pub dry_run: bool,
    /// Where to keep the trace.
    pub record: Option<PathBuf>,
}

/// What survives a change of the configuration in the same process.
pub(super) struct Past {
    pub(super) desk: Desk,
    /// The status socket, once it is open.
    pub(super) asked: Option<mpsc::Receiver<socket::Asked>>,
    /// What the judge knew, all of it.
    pub(super) judge: Option<Value>,
    /// Summaries that wait for the broker.
    pub(super) routine: Arc<Mutex<mqtt::Routine>>,
}

pub(super) struct Daemon {
    pub(super) desk: Desk,
    /// What the platform wants configured.
    pub(super) wanted: watch::Receiver<Vec<u8>>,
    pub(super) reported: watch::Sender<Value>,
    /// Another configuration is to be put in force.
    pub(super) restart: bool,
    pub(super) judge: Judge,
    pub(super) tree: Value,
    pub(super) clock: Clock,
    pub(super) began: Mono,
    pub(super) line: LineState,
    pub(super) dry_run: bool,
    /// The configuration's file.
    pub(super) file: PathBuf,
    pub(super) record: Option<PathBuf>,
    pub(super) recorder: Option<Recorder>,
    /// Holds the store's directory against another daemon.
    pub(super) _lock: Option<std::fs::File>,
    pub(super) store: Option<Store>,
    pub(super) store_trouble: Option<String>,
    pub(super) outbox: Option<Arc<Mutex<Outbox>>>,
    pub(super) outbox_trouble: Option<String>,
    pub(super) link: watch::Receiver<LinkFacts>,
    pub(super) probes: mpsc::Sender<(ProbeId, TargetId)>,
    /// Whether the line is in doubt, for the counters.
    pub(super) doubt: watch::Sender<bool>,
    pub(super) report: mpsc::Sender<Observation>,
    pub(super) reports: mpsc::Receiver<Observation>,
    /// What we ourselves saw while acting, judged before anything else.
    pub(super) own: VecDeque<Observation>,
    pub(super) asked: Option<mpsc::Receiver<socket::Asked>>,
    pub(super) state: watch::Sender<Value>,
    pub(super) mqtt: Option<mqtt::Mqtt>,
    pub(super) routine: Arc<Mutex<mqtt::Routine>>,
    pub(super) repair: Option<(Rung, JoinHandle<()>)>,
    /// The speed test in course, and how to end it.
    pub(super) speed: Option<(TestId, watch::Sender<Stop>)>,
    /// Echo requests without a result yet.
    pub(super) echoes_in_flight: usize,
    /// In the lab: time may be skipped until then.
    pub(super) leap_until: Option<Mono>,
    /// The checks in course; they end with us.
    pub(super) checks: JoinSet<()>,
    /// What bounds them.
    pub(super) gates: Arc<Gates>,
    pub(super) heartbeat: Option<Heartbeat>,
    pub(super) hook: Option<Hook>,
}

impl Daemon {
    /// Watches until it is told to end, or (`Some`) until another configuration is to be put in force.
    pub(super) async fn watch(mut self, process: &mut Process) -> Result<Option<Past>, String> {
        let mut turn = tokio::time::interval(watchdog::TURN);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            process.watchdog.turned();
            while let Some(observation) = self.own.pop_front() {
                self.step(observation);
            }
            if self.restart && !self.judge.is_acting() {
                return Ok(Some(self.end_for_restart().await));
            }
            let wake = self.judge.next_deadline();
            let leap = self.may_leap();
            let trial = self.desk.deadline();
            tokio::select! {
                biased;
                _ = process.terminate.recv() => break,
                _ = process.interrupt.recv() => break,
                Some(()) = process.hangup.recv() => self.reload(),
                () = self.clock.sleep_until(trial.unwrap_or_default()), if trial.is_some() => {
                    self.desk.failed();
                    return Ok(Some(self.end_for_restart().await));
                }
                // While it may not be looked at, the next tick asks again.
                Ok(()) = self.wanted.changed(), if self.desk.may_look(self.clock.now()) => {
                    let payload = self.wanted.borrow_and_update().clone();
                    let next = self.desk.came(self.clock.now(), &payload);
                    self.apply_next(next);
                }
                Some(observation) = self.reports.recv() => self.step(observation),
                Some((request, answer)) = next_request(&mut self.asked) => {
                    let reply = self.answer_request(request);
                    // The asker may have gone away; that is its business.
                    let _ = answer.send(reply);
                }
                () = sleep_or_leap(&self.clock, wake, leap) => self.step(Observation::Ticked),
                // Nothing happens, and the watchdog is to see that we live.
                _ = turn.tick() => {}
            }
        }
        let socket = self.asked.is_some().then(|| self.judge.config().socket.clone());
        self.shut_down("stopped").await;
        if let Some(socket) = socket {
            // Else it is another's.
            let _ = std::fs::remove_file(socket);
        }
        info!("linekeeper ends");
        Ok(None)
    }

    /// Shuts down, and returns what the next configuration continues with.
    pub(super) async fn end_for_restart(self) -> Past {
        info!("beginning anew with another configuration");
        self.shut_down("another configuration").await
    }

    /// Reads the configuration again; another one is put in force as soon as nothing is in course.
    pub(super) fn reload(&mut self) {
        match self.reread() {
            Ok(Some((tree, config))) => {
                info!("the configuration in {} has changed", self.file.display());
                let idle = self.dry_run || config.mqtt.is_none();
                self.desk.renew(tree, &config, idle);
                self.restart = true;
            }
            Ok(None) => info!("the configuration in {} is the one in force", self.file.display()),
            Err(why) => {
                // A line of the log each.
                for line in why.lines() {
                    warn!("{line}");
                }
                warn!("the configuration in {} is refused; the old one stays in force", self.file.display());
            }
        }
    }

    /// What stands in the configuration's file, if that is another one.
    pub(super) fn reread(&self) -> Result<Option<(Value, Config)>, String> {
        let text = std::fs::read_to_string(&self.file)
            .map_err(|e| format!("cannot read the configuration {}: {e}", self.file.display()))?;
        let read = config_text::load_tree(&text, Format::detect(&self.file, &text));
        let (mut tree, mut config) = read.map_err(|faults| faults.to_string())?;
        // Messages wait in the one, people ask at the other.
        let now = self.judge.config();
        for (section, key, then, now) in [
            ("store", "directory", &config.store.directory, &now.store.directory),
            ("status", "socket", &config.socket, &now.socket),
        ] {
            if then != now {
                warn!("{section}.{key} is taken at a start only: it stays {}", now.display());
                tree[section][key] = now.to_string_lossy().into();
            }
        }
        if config.store.directory != now.store.directory || config.socket != now.socket {
            config = config::read(&tree, &Places::none()).map_err(|faults| faults.to_string())?;
        }
        let old = config::read(self.desk.own(), &Places::none()).map_err(|faults| faults.to_string())?;
        Ok((old != config).then_some((tree, config)))
    }

    /// Applies what the desired configuration asks for next.
    pub(super) fn apply_next(&mut self, next: Next) {
        if next == Next::Nothing {
            return;
        }
        self.restart |= next == Next::Restart;
        let report = self.desk.report(&self.judge.config().device.id);
        self.reported.send_replace(report);
    }

    /// The trial was passed: restrictions that held during the trial are lifted.
    pub(super) fn accept_trial(&mut self) {
        let restored = self.desk.in_force().and_then(|(tree, config)| {
            let mut judge = Judge::restore(config, &self.judge.snapshot()?)?;
            judge.restore_usual(self.judge.usual().clone());
            Ok((tree, judge))
        });
        match restored {
            Ok((tree, judge)) => {
                (self.tree, self.judge) = (tree, judge);
                self.begin_recording();
            }
            // The next start puts it right.
            Err(why) => warn!("the configuration stays as on trial: {why}"),
        }
        self.apply_next(Next::Report);
    }

    /// Ends in order: memory on flash, no interface left down, the platform told.
    pub(super) async fn shut_down(mut self, why: &str) -> Past {
        self.step(Observation::Stopping);
        if let Some((_, stop)) = self.speed.take() {
            let _ = stop.send(Stop::Aborted);
        }
        if let Some((rung, mut repair)) = self.repair.take()
            && tokio::time::timeout(LAST_REMEDY.into(), &mut repair).await.is_err()
        {
            repair.abort();
            let said = self.driver().make_safe(rung).await;
            warn!("{} was cut short by our end: {said}", rung.as_str());
        }
        if let Some(mqtt) = self.mqtt.take() {
            mqtt.end(why).await;
        }
        self.drain_reports();
        if let Some(heartbeat) = self.heartbeat.take() {
            heartbeat.end();
        }
        Past {
            desk: self.desk,
            asked: self.asked,
            judge: self.judge.full_snapshot().ok(),
            routine: self.routine,
        }
    }

    /// What came meanwhile: the broker was told that receipts and commands are here. What is said to it is sent by the
    /// next life, and what is begun counts as interrupted.
    pub(super) fn drain_reports(&mut self) {
        while let Ok(observation) = self.reports.try_recv() {
            let now = self.clock.now();
            let mut actions = self.judge.step(now, &observation);
            actions.retain(|a| matches!(a, Action::Save | Action::Publish(_) | Action::Note { .. }));
            self.perform(now, actions);
        }
    }

    pub(super) fn step(&mut self, observation: Observation) {
        let now = self.clock.now();
        match &observation {
            Observation::EchoAnswered { .. }
            | Observation::EchoLost { .. }
            | Observation::EchoNotSent { .. } => {
                self.echoes_in_flight = self.echoes_in_flight.saturating_sub(1);
            }
            Observation::SpeedEnded(ended) => {
                self.speed.take_if(|(test, _)| *test == ended.test);
                // What was lost in its queue is not waited for.
                self.echoes_in_flight = 0;
            }
            _ => {}
        }
        if let Some(recorder) = &mut self.recorder
            && let Err(why) = recorder.saw(now, &observation)
        {
            self.stop_recording(why);
        }
        let actions = self.judge.step(now, &observation);
        if let Some(recorder) = &mut self.recorder
            && let Err(why) = recorder.did(now, &actions)
        {
            self.stop_recording(why);
        }
        if self.desk.saw(&observation) == Next::Report {
            self.accept_trial();
        }
        let clock_set = matches!(observation, Observation::ClockSet { synced: true, .. });
        let told = actions.iter().any(|a| !matches!(a, Action::Probe { .. }));
        self.perform(now, actions);
        let doubted = self.judge.is_line_doubted();
        self.doubt.send_if_modified(|old| std::mem::replace(old, doubted) != doubted);
        let line = self.judge.line_state();
        let returned = self.line != LineState::Up && line == LineState::Up;
        if told || line != self.line {
            self.line = line;
            self.update_state();
        }
        // With the right date a certificate may be valid that was not yet.
        if (returned || clock_set)
            && let Some(mqtt) = &self.mqtt
        {
            mqtt.nudge();
        }
        if self.recorder.as_ref().is_some_and(Recorder::is_full) {
            self.begin_recording();
        }
        if let Some(heartbeat) = self.heartbeat.as_mut().filter(|h| h.is_due(now)) {
            heartbeat.beat(self.judge.beat(now));
        }
    }

    /// Whether nothing is under way that takes real time, and the lab does not want to wait.
    pub(super) fn may_leap(&self) -> bool {
        self.leap_until.is_some_and(|end| self.clock.now() < end)
            && self.echoes_in_flight == 0
            && self.speed.is_none()
            && self.repair.as_ref().is_none_or(|(_, task)| task.is_finished())
    }

    pub(super) fn update_state(&mut self) {
        let mut doc = self.judge.state_summary();
        doc["version"] = env!("CARGO_PKG_VERSION").into();
        doc["capabilities"] = capabilities(self.judge.config()).into();
        self.state.send_if_modified(|old| {
            let changed = *old != doc;
            *old = doc;
            changed
        });
    }

    pub(super) fn begin_recording(&mut self) {
        let Some(dir) = &self.record else { return };
        let header = self.judge.full_snapshot().map(|snapshot| Header {
            schema: TRACE_SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            config: self.tree.clone(),
            snapshot: Some(snapshot),
        });
        match header.and_then(|header| Recorder::begin(dir, &header)) {
            Ok(recorder) => self.recorder = Some(recorder),
            Err(why) => self.stop_recording(why),
        }
    }

    pub(super) fn stop_recording(&mut self, why: String) {
        self.recorder = None;
        self.record = None;
        self.own.push_back(Observation::PartSeen { part: Part::Recorder, trouble: Some(why) });
    }
}

/// Waits until `wake`, or in the lab skips ahead.
async fn sleep_or_leap(clock: &Clock, wake: Mono, leap: bool) {
    #[cfg(feature = "lab")]
    if leap {
        // Whom else there is something to do for has its turn first.
        tokio::task::yield_now().await;
        clock.advance(LEAP);
        return;
    }
    let _ = leap;
    clock.sleep_until(wake).await;
}

async fn next_request(receiver: &mut Option<mpsc::Receiver<socket::Asked>>) -> Option<socket::Asked> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

/// What the platform may expect of this gateway: `remedy.<rung>` that it would take by itself, `command.<name>` that it
/// obeys, `speedtest` where it tests by itself, `desired` where it takes configurations.
fn capabilities(config: &Config) -> Vec<String> {
    let acts = !matches!(config.remedies.driver, config::Driver::None);
    let rungs = config.remedies.ladder.iter().filter(|_| acts).map(|r| format!("remedy.{}", r.as_str()));
    let commands = config.commands.allow.iter().map(|c| format!("command.{}", c.as_str()));
    let mut all: Vec<String> = rungs.chain(commands).collect();
    all.extend((!config.speed.servers.is_empty()).then(|| "speedtest".into()));
    all.extend(config.desired.accept.then(|| "desired".into()));
    all
}
