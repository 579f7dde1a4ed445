//! What the tests in the lab's enclosure share: a world, Debian's mosquitto as the broker, and mosquitto_sub as an
//! independent subscriber whose output counts as what the platform received.

#![allow(dead_code, reason = "each test program uses its part")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

pub use super::trial::{Outcome, Test, must};
use super::{agent_binary, proof};
use libtest_mimic::Failed;
use linekeeper::clock::Clock;
use linekeeper_lab::platform::ROOT;
use linekeeper_lab::world::{Host, PLATFORM, Process, World, ip};
use linekeeper_lab::{agent, clock};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Timeout for steps that take milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The directory for the files of agents and broker. It is on the enclosure's own `/run` and outlives the world.
pub const KEPT: &str = "/run/linekeeper-field";
/// Length of the outage in which a DHCP server's requests are counted: the time of a burst, or
/// `LINEKEEPER_OUTAGE_SECONDS`.
pub fn outage_duration() -> Duration {
    let asked = std::env::var("LINEKEEPER_OUTAGE_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(asked.unwrap_or_else(|| proof(75, 300)))
}

/// The messages of all subscribers of this test.
static RECEIVED: Mutex<Vec<MqttMessage>> = Mutex::new(Vec::new());
/// The agents of this test are configured to send unmasked addresses.
static SENDS_ADDRESSES: AtomicBool = AtomicBool::new(false);

/// Declares that the gateways of this test send unmasked addresses, so that only their logs are checked for them.
pub fn addresses_are_sent() {
    SENDS_ADDRESSES.store(true, Ordering::Relaxed);
}

/// The addresses in a text, except loopback. The search is independent of the one in the program under test.
pub fn addresses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in text.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '-'))) {
        let word = word.trim_matches(['.', ':', '-']);
        for part in word.split('-').chain([word.rsplit_once(':').map_or("", |(host, _)| host)]) {
            if part.parse::<IpAddr>().is_ok_and(|ip| !ip.is_loopback() && !ip.is_unspecified()) {
                found.push(part.to_owned());
            }
        }
        for between in [':', '-'] {
            let pairs: Vec<&str> = word.split(between).collect();
            if pairs.len() == 6 && pairs.iter().all(|p| p.len() == 2 && u8::from_str_radix(p, 16).is_ok()) {
                found.push(word.to_owned());
            }
        }
    }
    found
}

/// Whether messages of this kind come from a gateway and not from the platform.
pub fn is_from_gateway(kind: &str) -> bool {
    ["state", "event", "callback", "telemetry", "command/result", "config/reported"].contains(&kind)
}

/// Customer data in the messages and logs of gateways. Addresses in `configured` belong to the operator and are allowed.
pub fn leaks(heard: &[MqttMessage], logs: &str, configured: &str, references: &[&str]) -> Vec<String> {
    let theirs = |text: &str| -> Vec<String> {
        let mut found = addresses(text);
        found.retain(|address| !configured.contains(address.as_str()));
        found.extend(references.iter().filter(|r| text.contains(**r)).map(|r| (*r).to_owned()));
        found
    };
    let mut all = Vec::new();
    for message in heard.iter().filter(|h| is_from_gateway(&h.kind)) {
        let mut json = message.json.clone();
        if message.kind == "callback" {
            // The only field that may contain it.
            json["customer_id"] = Value::Null;
        }
        let found = theirs(&json.to_string());
        all.extend(found.iter().map(|what| format!("{what} in a message: {}", brief(message))));
    }
    for line in logs.lines() {
        all.extend(theirs(line).iter().map(|what| format!("{what} in the log: {line}")));
    }
    all
}

/// Checks at the end of every test that no customer data has left a gateway or is in its log.
pub fn nothing_leaked() -> Outcome {
    let heard = RECEIVED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut configured = configurations(Path::new(KEPT));
    let references: Vec<String> = configured
        .lines()
        .filter_map(|line| Some(line.strip_prefix("customer = \"")?.strip_suffix('"')?.to_owned()))
        .collect();
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    for desired in heard.iter().filter(|h| h.kind == "config/desired") {
        configured += &desired.json.to_string();
    }
    let logs: String = logs(Path::new(KEPT))
        .iter()
        .filter(|log| log.file_name() == Some("agent.log".as_ref()))
        .map(|log| read(log))
        .collect();
    let messages = if SENDS_ADDRESSES.load(Ordering::Relaxed) { &[] } else { &heard[..] };
    let leaks = leaks(messages, &logs, &configured, &references);
    must(leaks.is_empty(), || format!("customer data leaked:\n{}", leaks.join("\n")))
}

/// All configuration files below a directory, concatenated.
fn configurations(directory: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all += &configurations(&path);
        } else if path.extension().is_some_and(|e| e == "toml") {
            all += &read(&path);
        }
    }
    all
}

/// Prints the ends of all logs of a failed test, because its world is gone afterwards.
pub fn print_logs() {
    for log in logs(Path::new(KEPT)) {
        let text = read(&log);
        let lines: Vec<&str> = text.lines().collect();
        println!("--- {} (end of {} lines)", log.display(), lines.len());
        for line in &lines[lines.len().saturating_sub(40)..] {
            println!("{line}");
        }
    }
}

fn logs(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(logs(&path));
        } else if path.extension().is_some_and(|e| e == "log")
            && path.file_name() != Some("outbox.log".as_ref())
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The content of a file that may still be written and may end in the middle of a character.
pub fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

pub fn signal(id: u32, signal: Signal) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id");
    // The process may already have ended.
    let _ = kill_process(pid, signal);
}

/// Runs a command in `host` and returns its output. It must succeed.
pub fn exec(world: &World, host: Host, words: &[&str]) -> Result<String, Failed> {
    let out = world.exec_in(host, Command::new(words[0]).args(&words[1..]))?;
    let said = String::from_utf8_lossy(&out.stderr);
    must(out.status.success(), || format!("{words:?} in {}: {}", host.name(), said.trim()))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Writes to `/proc/sys/KEY` in `host`.
pub fn sysctl(world: &World, host: Host, key: &str, value: &str) -> Outcome {
    let path = format!("/proc/sys/{key}");
    Ok(world.run_in(host, || fs::write(path, value))??)
}

pub fn build() -> Result<World, Failed> {
    Ok(World::build(Path::new(agent_binary()))?)
}

/// Replaces a part of a configuration, which must exist.
pub fn edit(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the configuration has no {from:?}");
    text.replace(from, to)
}

/// Debian's mosquitto in the platform's namespace. Its sessions survive a restart.
pub struct Mosquitto {
    process: Option<Process>,
    file: PathBuf,
}

impl Mosquitto {
    pub fn start(world: &World) -> Result<Mosquitto, Failed> {
        Mosquitto::with(world, "allow_anonymous true\n")
    }

    /// Starts it with additional lines in its configuration.
    pub fn with(world: &World, lines: &str) -> Result<Mosquitto, Failed> {
        let directory = Path::new(KEPT).join("mosquitto");
        fs::create_dir_all(&directory)?;
        let file = directory.join("mosquitto.conf");
        let mut broker = Mosquitto { process: None, file };
        broker.configure(lines)?;
        broker.up(world)?;
        Ok(broker)
    }

    /// Writes its configuration, for the next [`Mosquitto::up`].
    pub fn configure(&self, lines: &str) -> Outcome {
        let directory = self.file.parent().unwrap().display().to_string();
        let text = format!(
            "user root\nlistener 1883 0.0.0.0\npersistence true\npersistence_location {directory}/\n\
             log_dest file {directory}/mosquitto.log\nlog_type all\nmax_queued_messages 0\n{lines}"
        );
        Ok(fs::write(&self.file, text)?)
    }

    pub fn up(&mut self, world: &World) -> Outcome {
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(&self.file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(world.spawn_in(Host::Platform, &mut command)?);
        let listens = || std::net::TcpStream::connect((PLATFORM, 1883)).is_ok();
        let ready = world.run_in(Host::Platform, || clock::wait_until(PATIENCE, listens))?;
        must(ready, || "mosquitto does not come to listen".into())
    }

    /// Stops it with SIGTERM, so that it saves its sessions.
    pub fn down(&mut self) -> Outcome {
        let mut process = self.process.take().ok_or("mosquitto does not run")?;
        must(process.stop(PATIENCE), || "mosquitto does not end".into())
    }

    /// Suspends the process: its connections stay open, and it acknowledges nothing.
    pub fn freeze(&self) {
        signal(self.process.as_ref().unwrap().id(), Signal::STOP);
    }

    pub fn thaw(&self) {
        signal(self.process.as_ref().unwrap().id(), Signal::CONT);
    }
}

/// One message as mosquitto_sub received it.
#[derive(Debug, Clone)]
pub struct MqttMessage {
    /// When, by the lab's clock, as mosquitto_sub stamped it.
    pub at: Duration,
    pub retained: bool,
    pub device: String,
    /// `state`, `event`, `callback`, …
    pub kind: String,
    pub json: Value,
}

impl MqttMessage {
    /// A string in it.
    pub fn text(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn id(&self) -> &str {
        self.text("/id")
    }

    pub fn is_event(&self, name: &str) -> bool {
        self.kind == "event" && self.text("/event") == name
    }

    pub fn is_callback(&self, state: &str) -> bool {
        self.kind == "callback" && self.text("/state") == state
    }
}

/// A subscriber (mosquitto_sub) to all topics, whose session survives a restart of the broker.
pub struct Subscriber {
    messages: Arc<Mutex<Vec<MqttMessage>>>,
    process: Process,
}

impl Subscriber {
    pub fn start(world: &World) -> Result<Subscriber, Failed> {
        Subscriber::with(world, &[])
    }

    /// Starts it with additional arguments for mosquitto_sub and mosquitto_pub.
    pub fn with(world: &World, login: &[&str]) -> Result<Subscriber, Failed> {
        let host = PLATFORM.to_string();
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", &host, "-V", "5", "-c", "-i", "subscriber", "-x", "3600", "-q", "1"]).args(login);
        command.args(["-t", &format!("{ROOT}/#"), "-F", "%U %r %t %p"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = world.spawn_in(Host::Platform, &mut command)?;
        let output = process.child().stdout.take().expect("a pipe");
        let messages = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&messages);
        let epoch = Clock::start(None);
        let boot = Duration::from_millis(u64::try_from(epoch.wall().0)?).saturating_sub(clock::uptime());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(heard) = parse(&line, boot) {
                    RECEIVED.lock().unwrap_or_else(PoisonError::into_inner).push(heard.clone());
                    into.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
                }
            }
        });
        let subscriber = Subscriber { messages, process };
        let topic = format!("{ROOT}/nobody/hello");
        let mut hello = vec!["mosquitto_pub", "-h", &host, "-t", &topic, "-m", "{}"];
        hello.extend(login);
        let listens = clock::wait_until(PATIENCE, || {
            exec(world, Host::Platform, &hello).is_ok()
                && subscriber.wait(0, Duration::from_millis(200), |h| h.kind == "hello").is_some()
        });
        must(listens, || "mosquitto_sub receives nothing".into())?;
        Ok(subscriber)
    }

    /// The number of messages so far, which is the index of the next one.
    pub fn place(&self) -> usize {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The messages from index `place` on.
    pub fn received(&self, place: usize) -> Vec<MqttMessage> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)[place..].to_vec()
    }

    /// The events and callbacks from index `place` on.
    pub fn critical(&self, place: usize) -> Vec<MqttMessage> {
        let mut all = self.received(place);
        all.retain(|h| matches!(h.kind.as_str(), "event" | "callback"));
        all
    }

    /// Waits for the first message from index `place` on that is `wanted`.
    pub fn wait(
        &self,
        place: usize,
        patience: Duration,
        wanted: impl Fn(&MqttMessage) -> bool,
    ) -> Option<MqttMessage> {
        let mut found = None;
        clock::wait_until(patience, || {
            found = self.received(place).into_iter().find(&wanted);
            found.is_some()
        });
        found
    }

    /// The same, but fails with the list of received messages.
    pub fn expect(
        &self,
        what: &str,
        place: usize,
        patience: Duration,
        wanted: impl Fn(&MqttMessage) -> bool,
    ) -> Result<MqttMessage, Failed> {
        self.wait(place, patience, wanted).ok_or_else(|| {
            let came: String = self.received(place).iter().map(|h| format!("\n  {}", brief(h))).collect();
            format!("{what} did not arrive within {} s; received:{came}", patience.as_secs()).into()
        })
    }
}

/// A message in one line.
pub fn brief(h: &MqttMessage) -> String {
    let what = match h.kind.as_str() {
        "event" => format!("{} {}: {}", h.text("/event"), h.text("/incident/fault_domain"), h.text("/why")),
        "callback" => format!("{} {}", h.text("/state"), h.text("/callback_id")),
        "state" => format!("online {} line {}", h.json["online"], h.text("/line")),
        _ => String::new(),
    };
    format!("{:.3} {} {} {what} [{}]", h.at.as_secs_f64(), h.device, h.kind, h.id())
}

fn parse(line: &str, boot: Duration) -> Option<MqttMessage> {
    let mut words = line.splitn(4, ' ');
    let (at, retained, topic, payload) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (seconds, nanos) = at.split_once('.')?;
    let at = Duration::new(seconds.parse().ok()?, nanos.parse().ok()?).saturating_sub(boot);
    let (device, kind) = topic.strip_prefix(ROOT)?.strip_prefix('/')?.split_once('/')?;
    Some(MqttMessage {
        at,
        retained: retained == "1",
        device: device.to_owned(),
        kind: kind.to_owned(),
        json: serde_json::from_str(payload).unwrap_or_default(),
    })
}

/// The state that the broker keeps for `device` now, as a new mosquitto_sub gets it.
pub fn retained_state(world: &World, device: &str) -> Result<Value, Failed> {
    let host = PLATFORM.to_string();
    let topic = format!("{ROOT}/{device}/state");
    let text =
        exec(world, Host::Platform, &["mosquitto_sub", "-h", &host, "-t", &topic, "-C", "1", "-W", "10"])?;
    Ok(serde_json::from_str(&text)?)
}

/// Waits until the kept state of `device` is as wanted.
pub fn state_becomes(
    world: &World,
    device: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value, Failed> {
    let mut last = Value::Null;
    let came = clock::wait_until(PATIENCE, || {
        last = retained_state(world, device).unwrap_or_default();
        wanted(&last)
    });
    must(came, || format!("the retained state of {device} is not {what}: {last}"))?;
    Ok(last)
}

/// How to start an agent.
pub struct Plan {
    pub device: String,
    pub directory: PathBuf,
    pub configuration: String,
    /// Words before the program, as `setpriv …`.
    pub prefix: Vec<String>,
    pub record: Option<PathBuf>,
    /// Comes first in its `PATH`.
    pub programs: Option<PathBuf>,
}

impl Plan {
    /// The lab's configuration, in a directory of its own.
    pub fn new(world: &World, device: &str) -> Plan {
        let directory = Path::new(KEPT).join(device);
        let base = agent::configuration(world);
        let theirs = world.directory().join("agent").display().to_string();
        let configuration = edit(&base, &theirs, &directory.display().to_string());
        let configuration = edit(&configuration, agent::DEVICE, device);
        // No grace period, even if the machine has just booted.
        let configuration = edit(&configuration, "[probe]\n", "[probe]\ngrace = \"0 s\"\n");
        let record = Some(directory.join("record"));
        Plan { device: device.into(), directory, configuration, prefix: Vec::new(), record, programs: None }
    }

    /// Lowers the patience to half a second, for tests about what follows a declared outage.
    pub fn with_short_patience(self) -> Plan {
        self.edit("[outage]\n", "[outage]\npatience = \"500 ms\"\n")
    }

    pub fn edit(mut self, from: &str, to: &str) -> Plan {
        self.configuration = edit(&self.configuration, from, to);
        self
    }

    pub fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("linekeeper.sock")
    }

    pub fn log(&self) -> String {
        read(&self.directory.join("agent.log"))
    }

    /// Starts the agent. Its log is appended to that of earlier runs.
    pub fn start(&self, world: &World) -> Result<Process, Failed> {
        fs::create_dir_all(&self.directory)?;
        let file = self.directory.join("linekeeper.toml");
        fs::write(&file, &self.configuration)?;
        let log = File::options().create(true).append(true).open(self.directory.join("agent.log"))?;
        let mut words = self.prefix.clone();
        words.push(agent_binary().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("run").arg("--config").arg(&file);
        if let Some(record) = &self.record {
            command.arg("--record").arg(record);
        }
        if let Some(programs) = &self.programs {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", programs.display()));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(world.spawn_in(Host::Gateway, &mut command)?)
    }

    /// Waits until the log contains `word`.
    pub fn expect_log(&self, word: &str) -> Outcome {
        let came = clock::wait_until(PATIENCE, || self.log().contains(word));
        must(came, || format!("the log does not contain {word:?}"))
    }

    /// The output of `linekeeper status --json`; an error if no daemon answers.
    pub fn status(&self) -> Result<Value, Failed> {
        let out = Command::new(agent_binary())
            .args(["status", "--json", "--socket"])
            .arg(self.socket())
            .output()?;
        must(!out.stdout.is_empty(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
        Ok(serde_json::from_slice(&out.stdout)?)
    }

    /// Waits until the daemon reports this state of the line.
    pub fn expect_line(&self, wanted: &str) -> Outcome {
        let mut last = String::new();
        let came = clock::wait_until(PATIENCE, || {
            last = match self.status() {
                Ok(status) => {
                    status.pointer("/status/line").and_then(Value::as_str).unwrap_or_default().into()
                }
                Err(why) => why.message().unwrap_or_default().into(),
            };
            last == wanted
        });
        must(came, || format!("the line is not {wanted} but {last}"))
    }

    /// The recorded actions, except probes, checks, reports, notes and saves.
    pub fn effective_actions(&self) -> Vec<Value> {
        let text = read(&self.record.as_ref().expect("it records").join("actions.jsonl"));
        let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.filter(|v| {
            !matches!(v["action"]["do"].as_str(), Some("probe" | "check" | "report" | "note" | "save"))
        })
        .collect()
    }
}

/// Whether the WAN device is administratively up.
pub fn wan_is_up() -> bool {
    let shown = ip(Host::Gateway, &["-o", "link", "show", "dev", linekeeper_lab::world::WAN]);
    // `<BROADCAST,MULTICAST,UP,LOWER_UP>`
    shown.is_ok_and(|text| {
        text.split(['<', '>']).nth(1).is_some_and(|flags| flags.split(',').any(|flag| flag == "UP"))
    })
}

/// Prints a duration on a line of its own.
pub fn print_duration(what: &str, took: Duration) {
    println!("{what}: {:.3} s", took.as_secs_f64());
    let _ = std::io::stdout().flush();
}

impl Plan {
    /// How often `word` occurs in its trace so far.
    pub fn count_in_trace(&self, word: &str) -> usize {
        read(&self.record.as_ref().expect("it records").join("trace.jsonl")).matches(word).count()
    }
}

impl Plan {
    /// Waits until the hold-down is over, so that the next break opens a new incident with a new ladder.
    pub fn expect_incident_end(&self) -> Outcome {
        let over = clock::wait_until(PATIENCE * 2, || {
            self.status().is_ok_and(|s| s["status"]["incident"].is_null() && s["status"]["line"] == "up")
        });
        must(over, || "the incident does not end".into())
    }
}
