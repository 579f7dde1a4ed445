//! The agent as a process of its own, and the hand that leads it.
//!
//! It reads steps from its standard input, a word a line, and answers on standard output: `put NUMBER CLASS KEPT SUM ID` for
//! each message when it was given to the outbox (`KEPT`: `flash`, or `memory` when the outbox could not write), `up` when it has
//! started, `did UPTIME` after each step, `how` and the outbox's own words when it is asked. At the end of its input it ends in order.

use super::ledger::Ledger;
use super::way;
use crate::common::judge::link;
use crate::common::trial::play;
use linekeeper::act::mqtt::{self, ConnectionParts, Mqtt};
use linekeeper::act::outbox::{Dropped, Known, Outbox};
use linekeeper::act::store::{Snapshot, Store, VERSION};
use linekeeper::privacy::Privacy;
use linekeeper_contract::message::{Critical, Reason, Stamp};
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::check::{Checked, Reply, Said};
use linekeeper_judge::config::{self, Config, Places};
use linekeeper_judge::observation::{
    CommandRefused, Memory, Observation, Part, Receipt, ReceiptState, Started,
};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitCode, Stdio};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The part that this process plays.
pub const PART: &str = "chaos-agent";
/// Where the agent's home is; set for the child.
const HOME: &str = "LINEKEEPER_CHAOS_HOME";
/// Its outbox's limit, the port to the broker, its device id, its boot id, the kernel's uptime in milliseconds.
const ARGUMENTS: &str = "LINEKEEPER_CHAOS_ARGUMENTS";

/// What the agent is told to live through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The line's carrier goes and comes: an incident with its callback and withdrawal.
    Incident,
    /// The customer asks to be called, and is.
    Asked,
    /// A command that is none is refused.
    Refused,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Step::Incident => "incident",
            Step::Asked => "asked",
            Step::Refused => "refused",
        }
    }
}

// ---- outside ----

/// How long a step may take at most, by the agent's own clock.
pub const LONGEST_STEP_MS: u64 = 200_000;

/// A running agent.
pub struct Life {
    process: Child,
    orders: Option<ChildStdin>,
    said: std_mpsc::Receiver<String>,
    log: PathBuf,
    /// The kernel's uptime when it said so last, by its own virtual clock.
    pub uptime: u64,
    is_up: bool,
}

impl Life {
    pub fn start(
        home: &Path,
        limit: u64,
        port: u16,
        device: &str,
        (boot, uptime): (&str, u64),
        log: &Path,
    ) -> Life {
        let errors = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut process = play(PART)
            .env(HOME, home)
            .env(ARGUMENTS, format!("{limit} {port} {device} {boot} {uptime}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (into, said) = std_mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if into.send(line).is_err() {
                    return;
                }
            }
        });
        let orders = process.stdin.take();
        Life { process, orders, said, log: log.to_owned(), uptime, is_up: false }
    }

    /// Gives it all these steps at once.
    pub fn ask(&mut self, steps: &[Step]) {
        let text: String = steps.iter().map(|s| format!("{}\n", s.word())).collect();
        self.orders.as_mut().unwrap().write_all(text.as_bytes()).expect("the agent lives");
    }

    fn line(&self) -> String {
        match self.said.recv_timeout(Duration::from_millis(way::LONG_MS)) {
            Ok(line) => line,
            Err(e) => panic!("the agent says nothing ({e}); see {}", self.log.display()),
        }
    }

    /// Takes in a line; whether it ends a step.
    fn heard(&mut self, line: &str, ledger: &mut Ledger) -> bool {
        if line == "up" {
            self.is_up = true;
            return false;
        }
        match line.strip_prefix("did ") {
            Some(uptime) => {
                self.uptime = uptime.parse().unwrap();
                true
            }
            None => {
                ledger.note(line);
                false
            }
        }
    }

    /// Waits until it is there: its first snapshot is written, if it can be.
    pub fn await_start(&mut self, ledger: &mut Ledger) {
        while !self.is_up {
            let line = self.line();
            self.heard(&line, ledger);
        }
    }

    /// Waits until so many steps are done.
    pub fn await_steps(&mut self, steps: usize, ledger: &mut Ledger) {
        let mut done = 0;
        while done < steps {
            let line = self.line();
            done += usize::from(self.heard(&line, ledger));
        }
    }

    /// SIGKILL, or an end in order. What it had said by then goes into the books; gives back the uptime that it cannot have
    /// lived beyond.
    pub fn end(mut self, in_order: bool, ledger: &mut Ledger) -> u64 {
        if in_order {
            drop(self.orders.take());
        } else {
            let _ = self.process.kill();
        }
        let ended = self.process.wait().unwrap();
        assert!(ended.success() || !in_order, "it ends well; see {}", self.log.display());
        // Its standard output is closed.
        let lines: Vec<String> = self.said.iter().collect();
        for line in lines {
            self.heard(&line, ledger);
        }
        self.uptime + LONGEST_STEP_MS
    }

    /// Waits until nothing waits in its outbox and its flash can be written; gives what it counted as given up.
    pub fn drain(&mut self, ledger: &mut Ledger) -> Dropped {
        let mut dropped = Dropped::default();
        way::wait(&format!("the outbox is empty, see {}", self.log.display()), || {
            self.orders.as_mut().unwrap().write_all(b"how\n").expect("the agent lives");
            let how = loop {
                let line = self.line();
                if let Some(how) = line.strip_prefix("how ") {
                    break how.to_owned();
                }
                self.heard(&line, ledger);
            };
            let numbers: Vec<u64> = how.split(' ').map(|n| n.parse().unwrap()).collect();
            let [waiting, trouble, events, callbacks, refused, damaged] = numbers[..] else {
                panic!("the agent says {how:?}")
            };
            dropped = Dropped { events, callbacks, refused, damaged };
            (waiting, trouble) == (0, 0)
        });
        dropped
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// ---- inside ----

pub fn main() -> ExitCode {
    let home = PathBuf::from(std::env::var_os(HOME).unwrap());
    let words = std::env::var(ARGUMENTS).unwrap();
    let words: Vec<&str> = words.split(' ').collect();
    let [limit, port, device, boot, uptime] = words[..] else { return ExitCode::from(64) };
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let boot = (boot, Span(uptime.parse().unwrap()));
    runtime.block_on(live(&home, limit.parse().unwrap(), port.parse().unwrap(), device, boot));
    // The thread at standard input is of no use any more.
    ExitCode::SUCCESS
}

struct Clock {
    boot_id: String,
}

impl mqtt::Clock for Clock {
    fn now(&self) -> Mono {
        Mono(way::monotonic_ms())
    }
    fn stamp(&self) -> Stamp {
        Stamp { wall: None, synced: false, boot_id: self.boot_id.clone(), uptime_ms: 0 }
    }
    fn boot_at(&self) -> Option<Wall> {
        None
    }
}

/// What `run::Daemon` is to the judge, without sensors and on virtual time.
struct Deputy {
    judge: Judge,
    store: Store,
    store_trouble: Option<String>,
    outbox: Arc<Mutex<Outbox>>,
    outbox_trouble: Option<String>,
    now: Mono,
    base: Mono,
    boot_id: String,
    line_up: bool,
    /// Answers to come, in order.
    coming: VecDeque<(Mono, Observation)>,
    /// Numbers the commands, apart from those of other lives.
    commands: u32,
}

fn configuration(device: &str) -> Config {
    let tree = json!({
        "device": { "id": device, "customer": "CUST1001" },
        "line": { "device": "eth1" },
        "probe": { "targets": [{ "host": "198.51.100.10", "role": "anchor" }], "grace": "0 s", "interval": "5 s" },
        "outage": { "patience": "500 ms", "hold_down": "10 s" },
        "callback": { "after": "0 s", "receipt": "1 h" },
        "remedies": { "driver": "none", "ladder": [] },
        // What comes is held against what was said, to the letter.
        "privacy": { "addresses": "full" },
    });
    match config::read(&tree, &Places::default()) {
        Ok(config) => config,
        Err(faults) => panic!("{faults}"),
    }
}

impl Deputy {
    fn step(&mut self, observation: &Observation) {
        let mut own = VecDeque::new();
        self.perform(observation, &mut own);
        while let Some(observation) = own.pop_front() {
            self.perform(&observation, &mut own);
        }
    }

    fn perform(&mut self, observation: &Observation, own: &mut VecDeque<Observation>) {
        let actions = self.judge.step(self.now, observation);
        let messages: Vec<Critical> = actions.iter().filter_map(Action::published).cloned().collect();
        for action in actions {
            match action {
                Action::Probe { probe, target } => {
                    let answer = if self.line_up {
                        (10, Observation::EchoAnswered { probe, target, rtt_us: 10_000 })
                    } else {
                        (2_000, Observation::EchoLost { probe, target })
                    };
                    self.coming.push_back((self.now + Span::millis(answer.0), answer.1));
                    self.coming.make_contiguous().sort_by_key(|(at, _)| *at);
                }
                Action::Check(order) => {
                    let reply = Reply {
                        whom: order.ask.name().into(),
                        said: Said::NotChecked,
                        took_us: None,
                        independent: false,
                        detail: "not here".into(),
                    };
                    let checked = Checked { check: order.check, ask: order.ask, replies: vec![reply] };
                    own.push_back(Observation::Checked(checked));
                }
                Action::Save => self.save(&messages, own),
                Action::Publish(critical) => self.publish(&critical, own),
                Action::Note { text, .. } => tracing::debug!("judge: {text}"),
                Action::Repair(_)
                | Action::MakeSafe { .. }
                | Action::MeasureSpeed(_)
                | Action::AbortSpeed { .. }
                | Action::Report(_) => {}
            }
        }
    }

    fn save(&mut self, messages: &[Critical], own: &mut VecDeque<Observation>) {
        let kept = Snapshot {
            version: VERSION,
            boot_id: self.boot_id.clone(),
            base: self.base,
            saved_at: self.now,
            judge: self.judge.snapshot().unwrap(),
            messages: [self.outbox.lock().unwrap().unwritten(), messages.to_vec()].concat(),
        };
        let trouble = self.store.save(&kept).err();
        if trouble != self.store_trouble {
            self.store_trouble.clone_from(&trouble);
            own.push_front(Observation::PartSeen { part: Part::Store, trouble });
        }
    }

    fn publish(&mut self, critical: &Critical, own: &mut VecDeque<Observation>) {
        let trouble = self.outbox.lock().unwrap().append(std::slice::from_ref(critical)).err();
        let kept = if trouble.is_none() { "flash" } else { "memory" };
        let message = &critical.message;
        say(&format!(
            "put {} {} {kept} {:08x} {}",
            critical.number,
            message.topic(),
            super::ledger::sum(&serde_json::to_value(message).unwrap()),
            message.id()
        ));
        if trouble != self.outbox_trouble {
            self.outbox_trouble.clone_from(&trouble);
            own.push_back(Observation::PartSeen { part: Part::Outbox, trouble });
        }
    }

    fn advance(&mut self, by: Span) {
        let end = self.now + by;
        loop {
            let answer = self.coming.front().map(|(at, _)| *at);
            let next = answer.map_or(self.judge.next_deadline(), |at| at.min(self.judge.next_deadline()));
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            let observation = match answer {
                Some(at) if at <= self.now => self.coming.pop_front().map(|(_, o)| o),
                _ => None,
            };
            self.step(&observation.unwrap_or(Observation::Ticked));
        }
        self.now = end;
    }

    fn take(&mut self, order: &str) {
        // Far enough from the last for the limits on commands.
        self.now = self.now + Span::minutes(2);
        match order {
            "incident" => {
                self.line_up = false;
                self.step(&link(false));
                self.advance(Span::seconds(5));
                self.line_up = true;
                self.step(&link(true));
                self.advance(Span::seconds(40));
            }
            "asked" => {
                self.step(&Observation::CallbackAsked { reason: "it is slow".into() });
                if let Some(callback_id) = self.judge.asked_callback().map(str::to_owned) {
                    self.step(&Observation::ReceiptCame(Receipt {
                        callback_id,
                        state: ReceiptState::Closed,
                        reason: None,
                        satisfaction_score: Some(4),
                        issue_types: Vec::new(),
                        resolved_by: None,
                    }));
                }
            }
            "refused" => {
                self.commands += 1;
                let id = format!("{}-{}-{}", self.boot_id, std::process::id(), self.commands);
                self.step(&Observation::CommandRefused(CommandRefused {
                    id,
                    correlation: None,
                    reason: Reason::Malformed,
                    detail: "it is none".into(),
                }));
            }
            other => panic!("an order {other:?}"),
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // One write: a death leaves whole lines.
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).expect("somebody listens");
}

async fn live(home: &Path, limit: u64, port: u16, device: &str, (boot_id, uptime): (&str, Span)) {
    let config = configuration(device);
    let (store, found) = Store::open(home);
    let mut memory = found.memory;
    let kept = found.kept;
    // As our own clock does it, on virtual time: it goes on within a boot, whether the snapshot knows of that or not.
    let base = match &kept {
        Some(k) if k.boot_id == boot_id && k.base + uptime >= k.saved_at => k.base,
        Some(k) => k.saved_at,
        None => Mono(0),
    };
    let now = base + uptime;
    let judge = match kept.as_ref().map(|k| Judge::restore(config.clone(), &k.judge)) {
        Some(Ok(judge)) => judge,
        Some(Err(why)) => {
            memory = Memory::Lost;
            tracing::warn!("{why}");
            Judge::new(config.clone())
        }
        None => Judge::new(config.clone()),
    };
    let known = Known {
        given: judge.last_message_number(),
        messages: kept.as_ref().map_or(&[], |kept| kept.messages.as_slice()),
    };
    let (outbox, troubles) = Outbox::open(home, limit, known);
    for trouble in found.troubles.iter().chain(&troubles) {
        tracing::warn!("{trouble}");
    }
    let watermark = outbox.highest_number();
    let outbox = Arc::new(Mutex::new(outbox));
    let mut deputy = Deputy {
        judge,
        store,
        store_trouble: None,
        outbox: Arc::clone(&outbox),
        outbox_trouble: None,
        now,
        base,
        boot_id: boot_id.into(),
        line_up: true,
        coming: VecDeque::new(),
        commands: 0,
    };
    deputy.step(&Observation::Started(Started {
        boot_id: boot_id.into(),
        uptime,
        memory,
        watermark,
        beat: None,
        taken: found.taken,
    }));
    deputy.step(&link(true));
    deputy.advance(Span::seconds(20));
    say("up");
    let (_state, states) = watch::channel(json!({ "version": "0.1.0", "line": "up" }));
    let (into, mut saw) = mpsc::channel(64);
    let mqtt = Mqtt::start(ConnectionParts {
        mqtt: config::Mqtt {
            brokers: vec![config::Broker { host: "127.0.0.1".into(), port, tls: false }],
            ca: None,
            client: None,
            login: None,
            tls: config::TlsVersion::V12,
            keep_alive: Span::seconds(30),
            // Short, so that no round waits long for its turn.
            reconnect: Span::millis(40),
            session: Span::days(1),
        },
        device_id: device.into(),
        area: None,
        offset_minutes: 480,
        outbox: Arc::clone(&outbox),
        state: states,
        routine: Arc::default(),
        command_key: None,
        desired: None,
        reported: watch::channel(Value::Null).1,
        privacy: Privacy::new(&config),
        saw: into,
        clock: Arc::new(Clock { boot_id: boot_id.into() }),
    });
    let (orders, mut order) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if orders.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        tokio::select! {
            Some(observation) = saw.recv() => deputy.step(&observation),
            order = order.recv() => match order.as_deref() {
                None => break,
                Some("how") => {
                    let mut outbox = outbox.lock().unwrap();
                    let trouble = u32::from(outbox.retry().is_err());
                    let Dropped { events, callbacks, refused, damaged } = outbox.dropped();
                    say(&format!("how {} {trouble} {events} {callbacks} {refused} {damaged}", outbox.len()));
                }
                Some(order) => {
                    deputy.take(order);
                    say(&format!("did {}", deputy.now.since(deputy.base).0));
                }
            }
        }
        // As between the steps of the daemon: the connection has its turn.
        tokio::task::yield_now().await;
    }
    deputy.step(&Observation::Stopping);
    mqtt.end("stopped").await;
}
