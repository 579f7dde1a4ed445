//! The wiring: sensors, judge, actors, the one clock, recorder, status socket, shutdown. The only place that names both
//! sides.

pub mod desired;
pub mod diagnose;
pub mod heartbeat;
pub mod log;
pub mod recorder;
pub mod show;
pub mod socket;
pub mod speedtest;
pub mod watchdog;

use crate::act::hook::Hook;
use crate::act::mqtt;
use crate::act::outbox::{Known, Outbox};
use crate::act::remedy::Driver;
use crate::act::store::{self, Store};
use crate::clock::{self, Clock};
use crate::config_text::{self, Format};
use crate::netifd::Netifd;
use crate::privacy::Privacy;
use crate::sense::access::Gates;
use crate::sense::check::carry_out;
use crate::sense::link::LinkFacts;
use crate::sense::throughput::{self, Stop};
use crate::sense::{counters, device, echo, interface, link};
use desired::{Desk, Next};
use heartbeat::Heartbeat;
use linekeeper_contract::json;
use linekeeper_contract::message::{Critical, Message, Stamp};
use linekeeper_contract::units::{Bytes, LocalTime, Mono, Span, Wall};
use linekeeper_contract::vocabulary::{Rung, SpeedFailure};
use linekeeper_judge::Judge;
use linekeeper_judge::action::{Action, Level, Repair};
use linekeeper_judge::check::{Ask, CheckOrder, Checked, Reply, Said};
use linekeeper_judge::config::{self, Config, Places};
use linekeeper_judge::observation::{Memory, Observation, Obstacle, Part, ProbeId, Started, TargetId};
use linekeeper_judge::outage::LineState;
use linekeeper_judge::speed::{SpeedEnded, SpeedOrder, SpeedOutcome, TestId};
use linekeeper_judge::usage::Usual;
use linekeeper_proving::replay::{Header, TRACE_SCHEMA};
use recorder::Recorder;
use serde::Deserialize;
use serde_json::{Value, json};
use socket::Request;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};
use watchdog::Watchdog;

/// Observations waiting to be judged. Sensors together tell some twenty a second at most; a second's worth of them
/// waits while a flash write takes its time.
const WAITING: usize = 64;
/// Checks carried out at a time: each layer twice. More would ask the same again before the answer came.
const CHECKS: usize = 2 * Ask::ALL.len();
/// How long we wait for a remedy in course when we are told to end: procd kills after 5 s.
const LAST_REMEDY: Span = Span::seconds(2);

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration's file, read again on SIGHUP.
    pub config: PathBuf,
    /// Watch and say, do nothing.
    pub dry_run: bool,
    /// Where to keep the trace.
    pub record: Option<PathBuf>,
}

/// Watches the line until SIGTERM or SIGINT. On SIGHUP the configuration is read again: a wrong one is refused with every
/// fault in the log, a right one is put in force with all that is known.
///
/// # Errors
/// In words, when not even the runtime can be made, or when another linekeeper is at work. Everything else is said in the
/// log and lived with.
pub fn run(tree: Value, config: Config, options: Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: the kernel gives no event queue: {e}"))?;
    let result = runtime.block_on(async {
        let mut process = Process::begin()?;
        let desk = Desk::open(tree, &config, options.dry_run || config.mqtt.is_none());
        let mut past = Past { desk, asked: None, judge: None, routine: Arc::default() };
        loop {
            // Another configuration is put in force by beginning anew.
            match Daemon::start(past, &options)?.watch(&mut process).await? {
                Some(next) => past = next,
                None => return Ok(()),
            }
        }
    });
    // A name lookup may hold a thread for as long as the resolver takes; it is of no use any more.
    runtime.shutdown_background();
    result
}

/// What belongs to the process, and outlives a life under one configuration: a signal that comes between two is not lost.
struct Process {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    watchdog: Watchdog,
}

impl Process {
    fn begin() -> Result<Process, String> {
        let listen = |kind| signal(kind).map_err(|e| format!("cannot listen for signals: {e}"));
        // The one that would end us first: a reload may follow the start at once.
        let hangup = listen(SignalKind::hangup())?;
        Ok(Process {
            hangup,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            watchdog: Watchdog::start(watchdog::LOOK),
        })
    }
}

/// What one life under a configuration leaves to the next in the same process.
struct Past {
    desk: Desk,
    /// The status socket, once it is open.
    asked: Option<mpsc::Receiver<socket::Asked>>,
    /// What the judge knew, all of it.
    judge: Option<Value>,
    /// Summaries that wait for the broker.
    routine: Arc<Mutex<mqtt::Routine>>,
}

struct Daemon {
    desk: Desk,
    /// What the platform wants configured.
    wanted: watch::Receiver<Vec<u8>>,
    reported: watch::Sender<Value>,
    /// Another configuration is to be put in force.
    restart: bool,
    judge: Judge,
    tree: Value,
    clock: Clock,
    began: Mono,
    line: LineState,
    dry_run: bool,
    /// The configuration's file.
    file: PathBuf,
    record: Option<PathBuf>,
    recorder: Option<Recorder>,
    store: Option<Store>,
    store_trouble: Option<String>,
    outbox: Option<Arc<Mutex<Outbox>>>,
    outbox_trouble: Option<String>,
    link: watch::Receiver<LinkFacts>,
    probes: mpsc::Sender<(ProbeId, TargetId)>,
    report: mpsc::Sender<Observation>,
    reports: mpsc::Receiver<Observation>,
    /// What we ourselves saw while acting, judged before anything else.
    own: VecDeque<Observation>,
    asked: Option<mpsc::Receiver<socket::Asked>>,
    state: watch::Sender<Value>,
    mqtt: Option<mqtt::Mqtt>,
    routine: Arc<Mutex<mqtt::Routine>>,
    repair: Option<(Rung, JoinHandle<()>)>,
    /// The speed test in course, and how to end it.
    speed: Option<(TestId, watch::Sender<Stop>)>,
    /// Echoes on their way.
    flying: usize,
    /// Lets time leap until then, in the lab.
    hasty: Option<Mono>,
    /// The checks in course; they end with us.
    checks: JoinSet<()>,
    /// What bounds them.
    gates: Arc<Gates>,
    heartbeat: Option<Heartbeat>,
    hook: Option<Hook>,
}

impl Daemon {
    fn start(past: Past, options: &Options) -> Result<Daemon, String> {
        let Past { mut desk, asked, judge: known, routine } = past;
        let (tree, mut config) = desk.in_force()?;
        log::follow(&config);
        let asks_netifd = config.asks_netifd();
        if options.dry_run {
            config.remedies.driver = config::Driver::None;
            config.mqtt = None;
        }
        // First of all: two at one store would write over each other's messages.
        let asked = match asked.map_or_else(|| socket::listen(&config.socket), Ok) {
            Ok(asked) => Some(asked),
            Err(socket::Deaf::Another(why)) if !options.dry_run => return Err(why),
            Err(socket::Deaf::Another(why) | socket::Deaf::Trouble(why)) => {
                warn!("{why}; `linekeeper status` will not work");
                None
            }
        };
        let (store, found) = if options.dry_run {
            let found = store::Found {
                kept: None,
                memory: Memory::None,
                taken: None,
                usual: None,
                troubles: Vec::new(),
            };
            (None, found)
        } else {
            let (store, found) = Store::open(&config.store.directory);
            (Some(store), found)
        };
        for trouble in &found.troubles {
            warn!("{trouble}");
        }
        let mut memory = found.memory;
        let clock = Clock::start(found.kept.as_ref().map(|k| clock::Kept {
            boot_id: k.boot_id.clone(),
            base: k.base,
            saved_at: k.saved_at,
        }));
        let mut restored = None;
        if let Some(known) = known.as_ref().or(found.kept.as_ref().map(|k| &k.judge)) {
            match Judge::restore(config.clone(), known) {
                Ok(judge) => {
                    restored = Some(judge);
                    memory = Memory::Restored;
                }
                Err(why) => {
                    warn!("{why}; the judge begins anew");
                    memory = Memory::Lost;
                }
            }
        }
        let mut judge = restored.unwrap_or_else(|| Judge::new(config.clone()));
        // On flash it is a day older than what the last life of this process knew.
        if let Some(usual) = found.usual.filter(|_| judge.usual().is_empty()) {
            match Usual::deserialize(usual) {
                Ok(usual) => judge.know(usual),
                Err(e) => {
                    warn!("what is usual on this line is learnt anew: its record is not as expected: {e}")
                }
            }
        }
        let outbox = match (&config.mqtt, options.dry_run) {
            (Some(_), false) => {
                let known = Known {
                    given: judge.given(),
                    messages: found.kept.as_ref().map_or(&[], |kept| kept.messages.as_slice()),
                };
                let (outbox, troubles) = Outbox::open(&config.store.directory, config.store.outbox.0, known);
                for trouble in troubles {
                    warn!("{trouble}");
                }
                Some(Arc::new(Mutex::new(outbox)))
            }
            _ => None,
        };
        let (report, reports) = mpsc::channel(WAITING);
        let (port, device) = (config.line.port.clone(), config.line.device.clone());
        let link = if asks_netifd {
            let name = config.line.interface.clone();
            let named = interface::spawn(Netifd::default(), name, device.clone(), report.clone());
            link::spawn_named(port, device, named, report.clone())
        } else {
            link::spawn_over(port, device, report.clone())
        };
        let probes = echo::spawn(config.probe.targets.clone(), link.clone(), report.clone());
        counters::spawn(link.clone(), report.clone(), clock.clone());
        let roots = device::Roots::default();
        device::spawn(config.health.every, config.store.directory.clone(), roots, report.clone());
        tokio::spawn(clock::watch(clock.clone(), report.clone()));
        let (state, states) = watch::channel(json!({}));
        let (reported, reports_out) = watch::channel(desk.report(&config.device.id));
        let (want, wanted) = watch::channel(Vec::new());
        let now = clock.now();
        let (heartbeat, beat) =
            if options.dry_run { (None, None) } else { Heartbeat::start(&config.socket, clock.boot_id()) };
        desk.begin(now);
        let mut daemon = Daemon {
            desk,
            wanted,
            reported,
            restart: false,
            judge,
            tree,
            began: now,
            line: LineState::Unknown,
            dry_run: options.dry_run,
            file: options.config.clone(),
            record: options.record.clone(),
            recorder: None,
            store,
            store_trouble: None,
            outbox,
            outbox_trouble: None,
            link,
            probes,
            report,
            reports,
            own: VecDeque::new(),
            asked,
            state,
            mqtt: None,
            routine,
            repair: None,
            speed: None,
            flying: 0,
            hasty: None,
            checks: JoinSet::new(),
            gates: Arc::default(),
            heartbeat,
            hook: None,
            clock,
        };
        if let (Some(hooks), false) = (&config.hooks, options.dry_run) {
            daemon.hook = Some(Hook::start(hooks, &config.device.id, daemon.report.clone()));
        }
        daemon.begin_recording();
        let watermark = daemon.outbox.as_ref().map_or(0, |o| lock(o).highest_number());
        daemon.step(Observation::Started(Started {
            boot_id: daemon.clock.boot_id().to_string(),
            uptime: daemon.clock.uptime(),
            memory,
            watermark,
            beat,
            taken: found.taken,
        }));
        daemon.tell_state();
        if let (Some(mqtt), Some(outbox)) = (&config.mqtt, &daemon.outbox) {
            let offset_minutes = config.offset_minutes();
            daemon.mqtt = Some(mqtt::Mqtt::start(mqtt::Wiring {
                mqtt: mqtt.clone(),
                device_id: config.device.id.clone(),
                area: config.device.area.clone(),
                offset_minutes,
                outbox: Arc::clone(outbox),
                state: states,
                routine: Arc::clone(&daemon.routine),
                command_key: config.commands.key,
                desired: daemon.desk.accepts().then_some(want),
                reported: reports_out,
                privacy: Privacy::new(&config),
                saw: daemon.report.clone(),
                time: Arc::new(Labels { clock: daemon.clock.clone(), offset_minutes }),
            }));
        }
        info!("linekeeper {} watches for {}", env!("CARGO_PKG_VERSION"), config.device.id);
        Ok(daemon)
    }

    /// Watches until it is told to end, or (`Some`) until another configuration is to be put in force.
    async fn watch(mut self, process: &mut Process) -> Result<Option<Past>, String> {
        let mut turn = tokio::time::interval(watchdog::TURN);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            process.watchdog.turned();
            while let Some(observation) = self.own.pop_front() {
                self.step(observation);
            }
            if self.restart && !self.judge.is_acting() {
                return Ok(Some(self.begin_anew().await));
            }
            let wake = self.judge.wake();
            let leap = self.leaps_over_waiting();
            let trial = self.desk.deadline();
            tokio::select! {
                biased;
                _ = process.terminate.recv() => break,
                _ = process.interrupt.recv() => break,
                Some(()) = process.hangup.recv() => self.reload(),
                () = self.clock.sleep_until(trial.unwrap_or_default()), if trial.is_some() => {
                    self.desk.failed();
                    return Ok(Some(self.begin_anew().await));
                }
                // While it may not be looked at, the next tick asks again.
                Ok(()) = self.wanted.changed(), if self.desk.may_look(self.clock.now()) => {
                    let payload = self.wanted.borrow_and_update().clone();
                    let next = self.desk.came(self.clock.now(), &payload);
                    self.next(next);
                }
                Some(observation) = self.reports.recv() => self.step(observation),
                Some((request, answer)) = asked(&mut self.asked) => {
                    let reply = self.answer(request);
                    // The asker may have gone away; that is its business.
                    let _ = answer.send(reply);
                }
                () = waited(&self.clock, wake, leap) => self.step(Observation::Ticked),
                // Nothing happens, and the watchdog is to see that we live.
                _ = turn.tick() => {}
            }
        }
        let socket = self.asked.is_some().then(|| self.judge.config().socket.clone());
        self.end("stopped").await;
        if let Some(socket) = socket {
            // Else it is another's.
            let _ = std::fs::remove_file(socket);
        }
        info!("linekeeper ends");
        Ok(None)
    }

    /// Ends in order, and leaves what the next life in this process goes on with.
    async fn begin_anew(self) -> Past {
        info!("beginning anew with another configuration");
        self.end("another configuration").await
    }

    /// Reads the configuration again; another one is put in force as soon as nothing is in course.
    fn reload(&mut self) {
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
    fn reread(&self) -> Result<Option<(Value, Config)>, String> {
        let text = std::fs::read_to_string(&self.file)
            .map_err(|e| format!("cannot read the configuration {}: {e}", self.file.display()))?;
        let read = config_text::load_tree(&text, Format::of(&self.file, &text));
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

    /// What follows from something about the desired configuration.
    fn next(&mut self, next: Next) {
        if next == Next::Nothing {
            return;
        }
        self.restart |= next == Next::Restart;
        let report = self.desk.report(&self.judge.config().device.id);
        self.reported.send_replace(report);
    }

    /// The trial was passed: what was held back on trial holds from now.
    fn trust(&mut self) {
        let restored = self.desk.in_force().and_then(|(tree, config)| {
            let mut judge = Judge::restore(config, &self.judge.snapshot()?)?;
            judge.know(self.judge.usual().clone());
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
        self.next(Next::Report);
    }

    /// Ends in order: memory on flash, no interface left down, the platform told.
    async fn end(mut self, why: &str) -> Past {
        self.step(Observation::Stopping);
        if let Some((_, stop)) = self.speed.take() {
            let _ = stop.send(Stop::Aborted);
        }
        if let Some((rung, mut repair)) = self.repair.take()
            && tokio::time::timeout(LAST_REMEDY.into(), &mut repair).await.is_err()
        {
            repair.abort();
            let said = self.driver().make_safe(rung).await;
            warn!("{} was cut short by our end: {said}", rung.name());
        }
        if let Some(mqtt) = self.mqtt.take() {
            mqtt.end(why).await;
        }
        self.take_in_last();
        if let Some(heartbeat) = self.heartbeat.take() {
            heartbeat.end();
        }
        Past { desk: self.desk, asked: self.asked, judge: self.judge.whole().ok(), routine: self.routine }
    }

    /// What came meanwhile: the broker was told that receipts and commands are here. What is said to it is sent by the
    /// next life, and what is begun counts as interrupted.
    fn take_in_last(&mut self) {
        while let Ok(observation) = self.reports.try_recv() {
            let now = self.clock.now();
            let mut actions = self.judge.step(now, &observation);
            actions.retain(|a| matches!(a, Action::Save | Action::Publish(_) | Action::Note { .. }));
            self.perform(now, actions);
        }
    }

    fn step(&mut self, observation: Observation) {
        let now = self.clock.now();
        match &observation {
            Observation::EchoAnswered { .. }
            | Observation::EchoLost { .. }
            | Observation::EchoNotSent { .. } => {
                self.flying = self.flying.saturating_sub(1);
            }
            Observation::SpeedEnded(ended) => {
                self.speed.take_if(|(test, _)| *test == ended.test);
                // What was lost in its queue is not waited for.
                self.flying = 0;
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
            self.trust();
        }
        let clock_set = matches!(observation, Observation::ClockSet { synced: true, .. });
        let told = actions.iter().any(|a| !matches!(a, Action::Probe { .. }));
        self.perform(now, actions);
        let line = self.judge.line();
        let returned = self.line != LineState::Up && line == LineState::Up;
        if told || line != self.line {
            self.line = line;
            self.tell_state();
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

    fn perform(&mut self, now: Mono, actions: Vec<Action>) {
        let messages: Vec<Critical> = actions.iter().filter_map(Action::published).cloned().collect();
        for action in actions {
            match action {
                Action::Probe { probe, target } => {
                    self.flying += 1;
                    if self.probes.try_send((probe, target)).is_err() {
                        self.own.push_back(Observation::EchoNotSent {
                            probe,
                            target,
                            obstacle: Obstacle::Busy,
                        });
                    }
                }
                Action::Repair(repair) => self.repair(repair),
                Action::MakeSafe { rung } => {
                    let driver = self.driver();
                    tokio::spawn(async move {
                        let said = driver.make_safe(rung).await;
                        info!("after an interrupted {}: {said}", rung.name());
                    });
                }
                Action::Check(order) => self.check(order),
                Action::MeasureSpeed(order) => self.measure(order),
                Action::AbortSpeed { test } => {
                    if let Some((running, stop)) = &self.speed
                        && *running == test
                    {
                        // Why, the judge has said already.
                        let _ = stop.send(Stop::Aborted);
                    }
                }
                Action::Publish(critical) => self.publish(&critical),
                Action::Report(summary) => {
                    self.routine.lock().unwrap_or_else(PoisonError::into_inner).push(*summary);
                }
                Action::Save => self.save(now, &messages),
                Action::Note { level, text } => match level {
                    Level::Debug => debug!("{text}"),
                    Level::Info => info!("{text}"),
                    Level::Warn => warn!("{text}"),
                },
            }
        }
    }

    /// Whether nothing is under way that takes real time, and the lab does not want to wait.
    fn leaps_over_waiting(&self) -> bool {
        self.hasty.is_some_and(|end| self.clock.now() < end)
            && self.flying == 0
            && self.speed.is_none()
            && self.repair.as_ref().is_none_or(|(_, task)| task.is_finished())
    }

    fn publish(&mut self, critical: &Critical) {
        if self.dry_run
            && let Message::Callback(c) = &critical.message
        {
            info!("dry run: would ask for callback {} ({:?})", c.callback_id, c.state);
        }
        if let Some(hook) = &mut self.hook {
            let configured = self.judge.config().line.device.as_deref();
            hook.tell(&critical.message, configured.unwrap_or(&self.link.borrow().name));
        }
        let Some(outbox) = &self.outbox else { return };
        let result = lock(outbox).append(std::slice::from_ref(critical));
        self.outbox_result(result);
    }

    fn outbox_result(&mut self, result: Result<(), String>) {
        let trouble = result.err();
        if trouble != self.outbox_trouble {
            self.outbox_trouble = trouble.clone();
            self.own.push_back(Observation::PartSeen { part: Part::Outbox, trouble });
        }
    }

    fn save(&mut self, now: Mono, messages: &[Critical]) {
        let Some(store) = &mut self.store else { return };
        // Before the snapshot: what is on flash may tell of a remedy that was not taken, never the other way round.
        let taken = store.keep_taken(self.judge.taken(now).as_deref());
        let usual = self.judge.usual();
        let usual = store.keep_usual((!usual.is_empty()).then(|| json!(usual)));
        let mut unwritten = self.outbox.as_ref().map_or_else(Vec::new, |o| lock(o).unwritten());
        unwritten.extend_from_slice(messages);
        let result = self.judge.snapshot().and_then(|judge| {
            store.save(&store::Kept {
                version: store::VERSION,
                boot_id: self.clock.boot_id().to_string(),
                base: self.clock.base(),
                saved_at: now,
                judge,
                messages: unwritten,
            })
        });
        let trouble = result.and(taken).and(usual).err();
        if trouble != self.store_trouble {
            self.store_trouble = trouble.clone();
            // Before anything else: from now on the judge calls nothing by a number that the next life may use.
            self.own.push_front(Observation::PartSeen { part: Part::Store, trouble });
        }
    }

    fn driver(&self) -> Driver {
        let name = self.judge.config().line.device.clone();
        let name = name.unwrap_or_else(|| self.link.borrow().name.clone());
        Driver::new(&self.judge.config().remedies, &name)
    }

    fn repair(&mut self, repair: Repair) {
        let driver = self.driver();
        let report = self.report.clone();
        let (remedy, rung) = (repair.remedy, repair.rung);
        let task = tokio::spawn(async move {
            let (result, detail) = driver.repair(&repair).await;
            // The loop has ended: nobody is interested any more.
            let _ = report.send(Observation::RemedyEnded { remedy, result, detail }).await;
        });
        self.repair = Some((rung, task));
    }

    /// Asks one layer beside everything else; what came back is an observation.
    fn check(&mut self, order: CheckOrder) {
        while self.checks.try_join_next().is_some() {}
        if self.checks.len() >= CHECKS {
            let reply = Reply {
                whom: order.ask.name().to_string(),
                said: Said::NotChecked,
                took_us: None,
                independent: false,
                detail: "too many checks at once".into(),
            };
            let checked = Checked { check: order.check, ask: order.ask, replies: vec![reply] };
            self.own.push_back(Observation::Checked(checked));
            return;
        }
        let facts = self.link.borrow().clone();
        let device = throughput::Device { name: facts.name.clone(), index: facts.index };
        let config = self.judge.config().clone();
        let (report, gates) = (self.report.clone(), Arc::clone(&self.gates));
        self.checks.spawn(async move {
            let checked = carry_out(&order, &device, &facts, &config, &gates).await;
            let _ = report.send(Observation::Checked(checked)).await;
        });
    }

    /// Carries a speed test out beside everything else; its end comes back as an observation.
    fn measure(&mut self, order: SpeedOrder) {
        self.hasty = None;
        let server = self.judge.config().speed.servers.get(usize::from(order.server));
        let url =
            server.map_or(Err("no such server is configured".to_string()), |s| throughput::Url::parse(s));
        let url = match url {
            Ok(url) => url,
            Err(detail) => {
                let outcome = SpeedOutcome::Failed { reason: SpeedFailure::Local, detail, retry_after: None };
                self.own.push_back(Observation::SpeedEnded(SpeedEnded {
                    test: order.test,
                    server: order.server,
                    direction: order.direction,
                    cost: Bytes(0),
                    took: Span::ZERO,
                    outcome,
                }));
                return;
            }
        };
        let facts = self.link.borrow();
        let device = throughput::Device { name: facts.name.clone(), index: facts.index };
        drop(facts);
        let (stop, stopped) = watch::channel(Stop::No);
        self.speed = Some((order.test, stop));
        let report = self.report.clone();
        tokio::spawn(async move {
            let server = throughput::Server { url, ca: None };
            // Nobody watches its progress here.
            let (progress, _) = mpsc::channel(1);
            let ended = throughput::measure(&order, &server, &device, progress, stopped).await;
            let _ = report.send(Observation::SpeedEnded(ended)).await;
        });
    }

    fn tell_state(&mut self) {
        let mut doc = self.judge.brief();
        doc["version"] = env!("CARGO_PKG_VERSION").into();
        doc["capabilities"] = capabilities(self.judge.config()).into();
        self.state.send_if_modified(|old| {
            let changed = *old != doc;
            *old = doc;
            changed
        });
    }

    fn answer(&mut self, request: Request) -> Value {
        match request {
            Request::Status => self.status(),
            Request::Callback { reason } => {
                // What people type must not grow without bound into every message.
                let reason: String = reason.chars().filter(|c| !c.is_control()).take(REASON_MOST).collect();
                self.step(Observation::CallbackAsked { reason });
                let id = self.judge.asked_callback().map(str::to_string);
                // Without a way to the platform nobody will call, and whoever asked must know.
                let told = self.outbox.is_some() || self.hook.is_some();
                json!({ "callback_id": id, "told": told })
            }
            #[cfg(feature = "lab")]
            Request::Wedge => {
                let _dog = Watchdog::start(WEDGED_LOOK);
                loop {
                    std::thread::park();
                }
            }
            #[cfg(feature = "lab")]
            Request::Hasten => {
                self.hasty = Some(self.clock.now() + HASTE_MOST);
                json!({ "hastens": true })
            }
        }
    }

    fn status(&self) -> Value {
        let now = self.clock.now();
        let (waiting, dropped) = self.outbox.as_ref().map_or((0, 0), |o| {
            let outbox = lock(o);
            let d = outbox.dropped();
            (outbox.len(), d.events + d.callbacks + d.refused + d.damaged)
        });
        let answer = show::Answer {
            device_id: self.judge.config().device.id.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            running_ms: now.since(self.began).0,
            mqtt: self.judge.config().mqtt.is_some(),
            waiting,
            dropped,
            status: self.judge.status(now),
        };
        json::to_tree(&answer).unwrap_or_else(|e| json!({"error": format!("cannot write the status: {e}")}))
    }

    fn begin_recording(&mut self) {
        let Some(dir) = &self.record else { return };
        let header = self.judge.whole().map(|snapshot| Header {
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

    fn stop_recording(&mut self, why: String) {
        self.recorder = None;
        self.record = None;
        self.own.push_back(Observation::PartSeen { part: Part::Recorder, trouble: Some(why) });
    }
}

/// The clock as messages are labelled by it.
struct Labels {
    clock: Clock,
    offset_minutes: i16,
}

impl mqtt::Time for Labels {
    fn now(&self) -> Mono {
        self.clock.now()
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            wall: Some(LocalTime { wall: self.clock.wall(), offset_minutes: self.offset_minutes }),
            synced: self.clock.synced(),
            boot_id: self.clock.boot_id().to_string(),
            uptime_ms: self.clock.uptime().0,
        }
    }

    fn boot_at(&self) -> Option<Wall> {
        let boot_at = self.clock.wall().0.saturating_sub_unsigned(self.clock.uptime().0);
        self.clock.synced().then_some(Wall(boot_at))
    }
}

/// The longest reason that is passed on, in characters: some sentences.
const REASON_MOST: usize = 500;

/// The lab leaps over at most so much of waiting for one test: the longest pace that a schedule has, and more.
#[cfg(feature = "lab")]
const HASTE_MOST: Span = Span::days(2);
/// How often the watchdog looks at a loop that was wedged on purpose.
#[cfg(feature = "lab")]
const WEDGED_LOOK: std::time::Duration = std::time::Duration::from_millis(100);
/// One leap. Less than what the judge takes for a gap in our watching: to it the ticks come late and nothing else.
#[cfg(feature = "lab")]
const LEAP: Span = Span::seconds(4);
/// Waits for `wake`; or leaps ahead.
async fn waited(clock: &Clock, wake: Mono, leap: bool) {
    #[cfg(feature = "lab")]
    if leap {
        // Whom else there is something to do for has its turn first.
        tokio::task::yield_now().await;
        clock.leap(LEAP);
        return;
    }
    let _ = leap;
    clock.sleep_until(wake).await;
}

async fn asked(receiver: &mut Option<mpsc::Receiver<socket::Asked>>) -> Option<socket::Asked> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

/// What the platform may expect of this gateway: `remedy.<rung>` that it would take by itself, `command.<name>` that it
/// obeys, `speedtest` where it tests by itself, `desired` where it takes configurations.
fn capabilities(config: &Config) -> Vec<String> {
    let acts = !matches!(config.remedies.driver, config::Driver::None);
    let rungs = config.remedies.ladder.iter().filter(|_| acts).map(|r| format!("remedy.{}", r.name()));
    let commands = config.commands.allow.iter().map(|c| format!("command.{}", c.name()));
    let mut all: Vec<String> = rungs.chain(commands).collect();
    all.extend((!config.speed.servers.is_empty()).then(|| "speedtest".into()));
    all.extend(config.desired.accept.then(|| "desired".into()));
    all
}

/// The outbox is used by one thread; a panic while it was held cannot be survived anyway.
fn lock(outbox: &Mutex<Outbox>) -> std::sync::MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}
