//! The connection to a real broker, through a proxy that can be cut, and to fake ones that misbehave.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a trial that cannot go on fails by it"
)]

use crate::common::messages::{callback, event};
use crate::common::trial::{Test, on_a_runtime};
use crate::common::{messages, wire};
use linekeeper::act::mqtt::{self, ConnectionParts, Mqtt, Routine};
use linekeeper::act::outbox::{Known, Outbox};
use linekeeper_contract::message::{Critical, Fact, Message, Stamp};
use linekeeper_contract::units::{LocalTime, Mono, Span, Wall};
use linekeeper_judge::config;
use linekeeper_judge::observation::{Observation, Receipt, ReceiptState};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// Far above what anything here takes, on any machine.
const LONG: Duration = Duration::from_secs(60);
pub(super) const ID: &str = "gw-0001";
pub(super) const BOOT: &str = "this-boot";

const MOSQUITTO: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];
const OPENSSL: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub", "openssl"];

pub fn tests() -> Vec<Test> {
    macro_rules! trial {
        ($name:ident, $needs:expr) => {
            Test::here(stringify!($name), || on_a_runtime($name())).needs($needs)
        };
    }
    vec![
        trial!(state_is_published_at_connect_change_will_and_end, MOSQUITTO),
        trial!(broker_that_starts_later_receives_all_messages_in_order, MOSQUITTO),
        trial!(restarted_broker_receives_all_messages_in_order, MOSQUITTO),
        trial!(valid_receipts_are_reported_and_invalid_ones_logged, MOSQUITTO),
        trial!(receipt_that_was_not_processed_is_redelivered, MOSQUITTO),
        trial!(area_notices_are_received_on_every_level, MOSQUITTO),
        trial!(notice_withdrawn_while_disconnected_ends, MOSQUITTO),
        trial!(oversized_message_goes_shortened, MOSQUITTO),
        trial!(unauthorised_message_does_not_block_others, MOSQUITTO),
        trial!(summaries_are_sent_last_and_the_oldest_is_dropped, MOSQUITTO),
        trial!(second_broker_is_used_when_the_first_fails, MOSQUITTO),
        trial!(messages_without_subscribers_are_counted_as_unheard, MOSQUITTO),
        trial!(reconnects_are_spread_and_urgent_ones_are_early, MOSQUITTO),
        trial!(connection_lost_with_the_line_is_replaced, MOSQUITTO),
        trial!(refused_connections_are_explained_in_the_log, MOSQUITTO),
        trial!(broker_that_never_acknowledges_is_disconnected, &[]),
        trial!(message_blamed_by_the_broker_does_not_stop_the_others, &[]),
        trial!(summaries_expire_and_are_marked_late, &[]),
        trial!(server_that_is_no_broker_is_explained_in_the_log, &[]),
        trial!(tls_accepts_valid_and_explains_invalid_certificates, OPENSSL),
        trial!(tls_below_the_configured_version_is_refused, OPENSSL),
    ]
}

// ---- a broker of our own ----

struct Mosquitto {
    process: Child,
    port: u16,
    room: tempfile::TempDir,
}

impl Mosquitto {
    /// `{room}` in `more` is its directory.
    fn start(more: &str) -> Mosquitto {
        Mosquitto::start_with(more, tempfile::tempdir().unwrap(), free_port())
    }

    fn start_with(more: &str, room: tempfile::TempDir, port: u16) -> Mosquitto {
        let more = more.replace("{room}", &room.path().display().to_string());
        let anonymous = if more.contains("allow_anonymous") { "" } else { "allow_anonymous true" };
        let text = format!("user root\nlistener {port} 127.0.0.1\n{anonymous}\n{more}\n");
        let file = room.path().join("mosquitto.conf");
        fs::write(&file, text).unwrap();
        let program =
            if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let process = Command::new(program)
            .arg("-c")
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let broker = Mosquitto { process, port, room };
        for _ in 0..6_000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return broker;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("mosquitto does not listen");
    }

    fn restart(mut self, more: &str) -> Mosquitto {
        self.kill();
        let room = std::mem::replace(&mut self.room, tempfile::tempdir().unwrap());
        Mosquitto::start_with(more, room, self.port)
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn publish(&self, topic: &str, payload: &str, more: &[&str]) {
        let mut pub_ = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-V", "5", "-q", "1", "-t", topic])
            // It takes nothing from standard input only when told so.
            .arg(if payload.is_empty() { "-n" } else { "-s" })
            .args(more)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        pub_.stdin.take().unwrap().write_all(payload.as_bytes()).unwrap();
        assert!(pub_.wait().unwrap().success());
    }

    /// Everything below `linekeeper/`, as the platform sees it. Returns when it is subscribed.
    async fn watch(&self) -> Platform {
        self.publish("probe", "subscribed", &["-r"]);
        let mut process = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-V", "5", "-q", "1"])
            .args(["-t", "linekeeper/#", "-t", "probe", "-F", "%r %t %p"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (into, came) = mpsc::channel(10_000);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if into.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        let mut platform = Platform { process, came, early: Vec::new() };
        loop {
            let line = platform.line().await;
            if line.contains("subscribed") {
                return platform;
            }
            platform.early.push(line);
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below the ports that the kernel gives out by itself, which other trials may get in the meantime.
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

struct Platform {
    process: Child,
    came: mpsc::Receiver<String>,
    /// What was retained before it subscribed.
    early: Vec<String>,
}

#[derive(Debug)]
struct Came {
    retained: bool,
    topic: String,
    body: Value,
}

impl Platform {
    async fn line(&mut self) -> String {
        timeout(LONG, self.came.recv()).await.expect("something comes").expect("mosquitto_sub lives")
    }

    async fn next(&mut self) -> Came {
        let line = if self.early.is_empty() { self.line().await } else { self.early.remove(0) };
        let mut parts = line.splitn(3, ' ');
        let retained = parts.next() == Some("1");
        let topic = parts.next().unwrap().strip_prefix("linekeeper/v1/gw-0001/").unwrap_or("?").to_owned();
        Came { retained, topic, body: serde_json::from_str(parts.next().unwrap()).unwrap_or_default() }
    }

    /// The next on `topic`; what comes on others is passed over.
    async fn on(&mut self, topic: &str) -> Value {
        loop {
            let came = self.next().await;
            if came.topic == topic {
                return came.body;
            }
        }
    }

    async fn state(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let state = self.on("state").await;
            if wanted(&state) {
                return state;
            }
        }
    }

    /// The ids of events and callbacks until `last` came, repetitions and all.
    async fn ids_until(&mut self, last: &str) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.last().map(String::as_str) != Some(last) {
            let came = self.next().await;
            if came.topic == "event" || came.topic == "callback" {
                ids.push(came.body["id"].as_str().unwrap().to_owned());
            }
        }
        ids
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// ---- what stands between ----

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    Closed,
    /// Takes everything and passes nothing on, as a line that went.
    Silent,
}

struct Proxy {
    port: u16,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    way: Way,
    accepted: usize,
    sockets: Vec<TcpStream>,
}

impl Proxy {
    fn start(to: u16, way: Way) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Mutex::new(Inner { way, accepted: 0, sockets: Vec::new() }));
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut inner = shared.lock().unwrap();
                if inner.way == Way::Closed {
                    continue;
                }
                inner.accepted += 1;
                let Ok(far) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], to))) else { continue };
                for socket in [&near, &far] {
                    inner.sockets.push(socket.try_clone().unwrap());
                }
                let (near_again, far_again) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                for (from, to) in [(near, far), (far_again, near_again)] {
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || pass(from, to, &shared));
                }
            }
        });
        Proxy { port, inner }
    }

    fn set(&self, way: Way) {
        self.inner.lock().unwrap().way = way;
    }

    /// Ends all connections without a word of MQTT.
    fn cut(&self) {
        for socket in self.inner.lock().unwrap().sockets.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn accepted(&self) -> usize {
        self.inner.lock().unwrap().accepted
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Mutex<Inner>) {
    let mut buffer = [0; 4096];
    while let Ok(n) = from.read(&mut buffer) {
        let silent = shared.lock().unwrap().way == Way::Silent;
        if n == 0 || (!silent && to.write_all(&buffer[..n]).is_err()) {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

// ---- the agent's side ----

struct Clock {
    boot_at: Option<Wall>,
}

pub(super) fn monotonic_ms() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap() * 1_000 + u64::try_from(t.tv_nsec).unwrap() / 1_000_000
}

impl mqtt::Clock for Clock {
    fn now(&self) -> Mono {
        Mono(monotonic_ms())
    }
    fn stamp(&self) -> Stamp {
        messages::stamp(BOOT, monotonic_ms())
    }
    fn boot_at(&self) -> Option<Wall> {
        self.boot_at
    }
}

#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    pub(super) async fn wait_for(&self, part: &str) {
        for _ in 0..6_000 {
            if self.text().contains(part) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{part:?} is not said in:\n{}", self.text());
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) struct Agent {
    mqtt: Mqtt,
    pub(super) outbox: Arc<Mutex<Outbox>>,
    routine: Arc<Mutex<Routine>>,
    pub(super) saw: mpsc::Receiver<Observation>,
    state: watch::Sender<Value>,
    pub(super) log: Log,
    _logging: tracing::subscriber::DefaultGuard,
    _room: tempfile::TempDir,
}

pub(super) fn plain(port: u16) -> config::Broker {
    config::Broker { host: "127.0.0.1".into(), port, tls: false }
}

pub(super) fn to(brokers: &[config::Broker]) -> config::Mqtt {
    config::Mqtt {
        brokers: brokers.to_vec(),
        ca: None,
        client: None,
        login: None,
        tls: config::TlsVersion::V12,
        keep_alive: Span::seconds(30),
        // Short, so that no trial waits long for its turn.
        reconnect: Span::seconds(1),
        session: Span::days(1),
    }
}

impl Agent {
    pub(super) fn start(mqtt: config::Mqtt) -> Agent {
        Agent::start_at(mqtt, None)
    }

    pub(super) fn start_at(mqtt: config::Mqtt, boot_at: Option<Wall>) -> Agent {
        Agent::start_in(mqtt, boot_at, None)
    }

    pub(super) fn start_in(mqtt: config::Mqtt, boot_at: Option<Wall>, area: Option<&str>) -> Agent {
        let log = Log::default();
        let into = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || into.clone())
            .finish();
        let logging = tracing::subscriber::set_default(subscriber);
        let room = tempfile::tempdir().unwrap();
        let (outbox, troubles) = Outbox::open(room.path(), 1 << 20, Known::default());
        assert_eq!(troubles, [""; 0]);
        let outbox = Arc::new(Mutex::new(outbox));
        let (state, body) =
            watch::channel(json!({"version": "0.1.0", "capabilities": ["callback"], "line": "up"}));
        let (into, saw) = mpsc::channel(1_000);
        let routine: Arc<Mutex<Routine>> = Arc::default();
        let mqtt = Mqtt::start(ConnectionParts {
            mqtt,
            device_id: ID.into(),
            area: area.map(str::to_owned),
            offset_minutes: 480,
            outbox: Arc::clone(&outbox),
            state: body,
            routine: Arc::clone(&routine),
            privacy: Default::default(),
            command_key: None,
            desired: None,
            reported: watch::channel(Value::Null).1,
            saw: into,
            clock: Arc::new(Clock { boot_at }),
        });
        Agent { mqtt, outbox, routine, saw, state, log, _logging: logging, _room: room }
    }

    pub(super) fn append(&self, messages: &[Critical]) {
        self.outbox.lock().unwrap().append(messages).unwrap();
    }

    pub(super) fn waiting(&self) -> usize {
        self.outbox.lock().unwrap().len()
    }

    pub(super) async fn saw(&mut self) -> Observation {
        match timeout(LONG, self.saw.recv()).await {
            Ok(Some(observation)) => observation,
            other => panic!("no observation: {other:?}; log:\n{}", self.log.text()),
        }
    }

    pub(super) async fn connected(&mut self) {
        while self.saw().await != (Observation::BrokerSeen { connected: true }) {}
    }

    /// The numbers acknowledged until `last` was.
    pub(super) async fn acknowledged_until(&mut self, last: u64) -> Vec<u64> {
        self.told_until(last).await.0
    }

    /// The numbers acknowledged until `last` was, and those given up meanwhile.
    pub(super) async fn told_until(&mut self, last: u64) -> (Vec<u64>, Vec<u64>) {
        let (mut taken, mut given_up) = (Vec::new(), Vec::new());
        while taken.last() != Some(&last) {
            match self.saw().await {
                Observation::Acknowledged { number } => taken.push(number),
                Observation::GivenUp { number } => given_up.push(number),
                _ => {}
            }
        }
        (taken, given_up)
    }
}

pub(super) fn now_event(n: u64, padding: usize) -> Critical {
    event(n, BOOT, monotonic_ms(), padding)
}

pub(super) fn id_of(n: u64) -> String {
    format!("gw-0001/IN20261120-001/{n}")
}

/// Without the repetitions, which may follow a broken connection; a repetition is told by its id alone.
fn first_of_each(ids: &[String]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for id in ids {
        if !seen.contains(id) {
            seen.push(id.clone());
        }
    }
    seen
}

// ---- trials ----

async fn state_is_published_at_connect_change_will_and_end() {
    let broker = Mosquitto::start("");
    let proxy = Proxy::start(broker.port, Way::Open);
    let mut platform = broker.watch().await;
    let mut agent = Agent::start(to(&[plain(proxy.port)]));
    agent.connected().await;

    let birth = platform.on("state").await;
    assert_eq!(birth["schema"], "linekeeper.state.v1");
    assert_eq!((&birth["online"], &birth["boot_id"]), (&json!(true), &json!(BOOT)));
    assert_eq!((&birth["device_id"], &birth["line"]), (&json!(ID), &json!("up")));
    assert_eq!(
        birth["dropped"],
        json!({"events": 0, "callbacks": 0, "refused": 0, "damaged": 0, "telemetry": 0, "unheard": 0})
    );
    assert!(birth["time"]["uptime_ms"].is_u64() && birth["id"].is_string() && birth["version"].is_string());

    // The connection is lost without a word: the broker tells it, with the birth's own ids.
    proxy.cut();
    let will = platform.on("state").await;
    assert_eq!((&will["online"], &will["reason"]), (&json!(false), &json!("connection lost")));
    assert_eq!((&will["boot_id"], &will["session_id"]), (&birth["boot_id"], &birth["session_id"]));
    // How the line is then nobody knows: what was so at the connection is no last word.
    assert_eq!((&will["line"], &will["incident_id"]), (&json!("unknown"), &Value::Null));
    assert_eq!(will["schema"], "linekeeper.state.v1");
    assert_eq!(agent.saw().await, Observation::BrokerSeen { connected: false });
    agent.connected().await;
    let again = platform.on("state").await;
    assert_eq!(again["online"], true);
    assert_ne!(again["session_id"], birth["session_id"]);
    assert_ne!(again["id"], birth["id"]);

    // Many changes at once become one state, the last; it is retained.
    for n in 0..50 {
        agent.state.send_replace(json!({ "line": n }));
    }
    let state = platform.state(|s| s["line"] == 49).await;
    assert_eq!(state["session_id"], again["session_id"]);
    let mut late = broker.watch().await;
    let retained = late.next().await;
    assert!(retained.retained && retained.body["line"] == 49, "{retained:?}");

    agent.mqtt.end("the gateway restarts").await;
    let goodbye = platform.on("state").await;
    assert_eq!((&goodbye["online"], &goodbye["reason"]), (&json!(false), &json!("the gateway restarts")));
    assert_eq!(goodbye["session_id"], again["session_id"]);
    // Nothing after it: the will is not sent after a proper DISCONNECT.
    broker.publish("linekeeper/v1/gw-0001/mark", "{}", &[]);
    assert_eq!(platform.next().await.topic, "mark");
    let states = agent.log.text().matches("connected to the broker").count();
    assert_eq!(states, 2, "{}", agent.log.text());
}

async fn broker_that_starts_later_receives_all_messages_in_order() {
    let broker = Mosquitto::start("");
    let proxy = Proxy::start(broker.port, Way::Closed);
    let mut platform = broker.watch().await;
    let boot_at = Wall(1_795_000_000_000);
    let mut agent = Agent::start_at(to(&[plain(proxy.port)]), Some(boot_at));
    let moment = monotonic_ms();
    agent.append(&[event(1, "boot-before", 5_000, 10), callback(2, BOOT, moment.saturating_sub(60_000), 10)]);
    let rest: Vec<Critical> = (3..=60).map(|n| now_event(n, 10)).collect();
    agent.append(&rest);
    agent.log.wait_for("cannot connect to the broker").await;
    let said = agent.log.text();
    assert!(said.contains("next attempt in"), "{said}");
    proxy.set(Way::Open);
    agent.append(&[now_event(61, 10)]);

    let first = platform.on("event").await;
    assert_eq!((&first["id"], &first["late"]), (&json!(id_of(1)), &json!(true)));
    assert_eq!(first["time"]["wall"], Value::Null, "of another boot nothing is known");
    let second = platform.on("callback").await;
    assert_eq!(second["late"], true);
    let wall = LocalTime { wall: Wall(boot_at.0 + moment as i64 - 60_000), offset_minutes: 480 };
    assert_eq!(second["time"]["wall"], wall.to_string());
    assert_eq!(second["time"]["synced"], true);
    let ids = platform.ids_until(&id_of(61)).await;
    assert_eq!(ids, (3..=61).map(id_of).collect::<Vec<_>>());
    assert_eq!(agent.acknowledged_until(61).await, (1..=61).collect::<Vec<_>>());
    assert_eq!(agent.waiting(), 0);
    agent.append(&[now_event(62, 10)]);
    let fresh = platform.on("event").await;
    assert!(fresh.get("late").is_none() && fresh["time"]["synced"] == true, "{fresh}");
}

async fn restarted_broker_receives_all_messages_in_order() {
    let mut broker = Mosquitto::start("");
    let proxy = Proxy::start(broker.port, Way::Open);
    let mut agent = Agent::start(to(&[plain(proxy.port)]));
    agent.connected().await;
    let mut acknowledged = Vec::new();
    let mut ids = Vec::new();
    let mut last = 0;
    for _ in 0..3 {
        let mut platform = broker.watch().await;
        proxy.set(Way::Open);
        let before = last;
        last += 40;
        agent.append(&(before + 1..=last).map(|n| now_event(n, 200)).collect::<Vec<_>>());
        ids.extend(platform.ids_until(&id_of(before + 15)).await);
        // In the middle of the row, and more come while it is away.
        proxy.set(Way::Closed);
        broker.kill();
        proxy.cut();
        last += 10;
        agent.append(&(last - 9..=last).map(|n| now_event(n, 200)).collect::<Vec<_>>());
        drop(platform);
        broker = broker.restart("");
        let mut platform = broker.watch().await;
        proxy.set(Way::Open);
        ids.extend(platform.ids_until(&id_of(last)).await);
        acknowledged.extend(agent.acknowledged_until(last).await);
    }
    // What the broker had acknowledged when it died may never have reached the watcher; everything else has.
    let seen = first_of_each(&ids);
    let mut sorted = seen.clone();
    sorted.sort_by_key(|id| id.rsplit('/').next().unwrap().parse::<u64>().unwrap());
    assert_eq!(seen, sorted, "in order");
    assert_eq!(acknowledged, (1..=last).collect::<Vec<_>>(), "each number once, in order");
    assert_eq!(agent.waiting(), 0);
}

async fn valid_receipts_are_reported_and_invalid_ones_logged() {
    let broker = Mosquitto::start("");
    let mut agent = Agent::start(to(&[plain(broker.port)]));
    let topic = "linekeeper/v1/gw-0001/callback/receipt";
    broker.publish(topic, r#"{"callback_id":"CB-OLD","state":"closed"}"#, &["-r"]);
    agent.connected().await;
    agent.log.wait_for("retained receipt").await;
    let huge = format!(r#"{{"callback_id":"CB1","state":"closed","more":"{}"}}"#, "x".repeat(10_000));
    let beyond = format!(r#"{{"callback_id":"CB1","state":"closed","more":"{}"}}"#, "x".repeat(100_000));
    for bad in
        ["not json", "[]", r#"{"callback_id":"CB1","state":"closed","satisfaction_score":9}"#, &huge, &beyond]
    {
        broker.publish(topic, bad, &[]);
    }
    let good = r#"{"schema":"linekeeper.receipt.v1","callback_id":"CB1","state":"closed","satisfaction_score":5,"x":{}}"#;
    broker.publish(topic, good, &[]);
    let receipt = Receipt {
        callback_id: "CB1".into(),
        state: ReceiptState::Closed,
        reason: None,
        satisfaction_score: Some(5),
        issue_types: Vec::new(),
        resolved_by: None,
    };
    assert_eq!(agent.saw().await, Observation::ReceiptCame(receipt));
    let said = agent.log.text();
    for part in [
        "it is not JSON",
        "a list, expected",
        "satisfaction_score is 9, expected 1 to 5",
        "at most 8192",
        topic,
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert_eq!(
        said.matches("connected to the broker").count(),
        1,
        "no bad receipt costs the connection:\n{said}"
    );
}

fn notice(area: &str, id: &str, expires: u64) -> String {
    json!({
        "schema": "linekeeper.notice.v1", "id": id, "area": area, "issued": 1_795_141_927u64, "expires": expires,
        "text": "Fibre cut", "crew": { "unknown": ["fields"] },
    })
    .to_string()
}

impl Agent {
    /// The id of the notice that is told next, passing other observations over.
    async fn noticed(&mut self) -> Option<String> {
        loop {
            if let Observation::AreaNoticed { notice } = self.saw().await {
                return notice.map(|n| n.id);
            }
        }
    }
}

async fn area_notices_are_received_on_every_level() {
    let broker = Mosquitto::start("");
    let topic = |area: &str| format!("linekeeper/v1/area/{area}/notice");
    let hour = 1_795_145_527;
    broker.publish(&topic("north-3"), &notice("north-3", "wide", hour), &["-r"]);
    let mut agent = Agent::start_in(to(&[plain(broker.port)]), None, Some("north-3/olt-7"));
    assert_eq!(agent.noticed().await.as_deref(), Some("wide"), "what was there before we came");
    broker.publish(&topic("north-3/olt-7"), &notice("north-3/olt-7", "near", hour + 600), &["-r"]);
    assert_eq!(agent.noticed().await.as_deref(), Some("near"), "the one that holds longest");
    // Neighbours are none of ours, and what is wrong is told and changes nothing.
    for other in ["north-3/olt-8", "north-33", "north", "north-3/olt-7/pon-1"] {
        broker.publish(&topic(other), &notice(other, "other", hour + 9_999), &["-r"]);
    }
    broker.publish(&topic("north-3"), "{", &[]);
    agent.log.wait_for("notice on linekeeper/v1/area/north-3/notice refused: it is not JSON").await;
    broker.publish(&topic("north-3"), &notice("north-4", "wrong", hour + 9_999), &[]);
    agent.log.wait_for("area is \"north-4\", expected that of its topic, \"north-3\"").await;
    // An empty one takes it back; not retained counts too.
    broker.publish(&topic("north-3/olt-7"), "", &["-r"]);
    assert_eq!(agent.noticed().await.as_deref(), Some("wide"));
    let ended = notice("north-3", "wide", hour).replace("\"area\"", "\"ended\":true,\"area\"");
    broker.publish(&topic("north-3"), &ended, &[]);
    assert_eq!(agent.noticed().await, None);
    // Receipts come as ever beside.
    let receipt = r#"{"callback_id":"CB9","state":"received"}"#;
    broker.publish("linekeeper/v1/gw-0001/callback/receipt", receipt, &[]);
    while !matches!(agent.saw().await, Observation::ReceiptCame(r) if r.callback_id == "CB9") {}
    let said = agent.log.text();
    assert_eq!(
        said.matches("connected to the broker").count(),
        1,
        "no bad notice costs the connection:\n{said}"
    );
    agent.mqtt.end("done").await;
}

async fn notice_withdrawn_while_disconnected_ends() {
    let broker = Mosquitto::start("");
    let topic = "linekeeper/v1/area/north-3/notice";
    // A life before this one may know of a notice: that there is none is said too.
    let mut agent = Agent::start_in(to(&[plain(broker.port)]), None, Some("north-3"));
    assert_eq!(agent.noticed().await, None);
    broker.publish(topic, &notice("north-3", "D1", 1_795_145_527), &["-r"]);
    assert_eq!(agent.noticed().await.as_deref(), Some("D1"));
    // The broker comes back without it, as if somebody had cleared it while we were away.
    let _broker = broker.restart("");
    assert_eq!(agent.noticed().await, None);
    agent.mqtt.end("done").await;
}

/// The runner does not listen (it is stopping): the broker keeps the receipt for the next start.
async fn receipt_that_was_not_processed_is_redelivered() {
    let broker = Mosquitto::start("");
    let mut agent = Agent::start(to(&[plain(broker.port)]));
    agent.connected().await;
    let mut platform = broker.watch().await;
    let topic = "linekeeper/v1/gw-0001/callback/receipt";
    agent.saw.close();
    broker.publish(topic, r#"{"callback_id":"CB1","state":"received"}"#, &[]);
    platform.on("callback/receipt").await;
    // In order behind the receipt: when this was answered, the receipt was handled.
    agent.state.send_replace(json!({"line": "after"}));
    platform.state(|s| s["line"] == "after").await;
    agent.mqtt.end("stopped").await;
    let mut again = Agent::start(to(&[plain(broker.port)]));
    loop {
        if let Observation::ReceiptCame(receipt) = again.saw().await {
            assert_eq!(receipt.callback_id, "CB1");
            return;
        }
    }
}

async fn oversized_message_goes_shortened() {
    let broker = Mosquitto::start("max_packet_size 4000");
    let mut platform = broker.watch().await;
    let mut agent = Agent::start(to(&[plain(broker.port)]));
    agent.append(&[now_event(1, 10), now_event(2, 10_000), now_event(3, 10), now_event(4, 2_000)]);
    assert_eq!(platform.ids_until(&id_of(4)).await, [1, 2, 3, 4].map(id_of));
    assert_eq!(agent.told_until(4).await, (vec![1, 2, 3, 4], vec![]));
    // What matters of a callback is the call: it goes without the evidence that makes it too large.
    let mut large = callback(5, BOOT, monotonic_ms(), 10);
    if let Message::Callback(callback) = &mut large.message {
        let fact = Fact {
            at: messages::stamp(BOOT, 1),
            name: "echo.silent".into(),
            subject: "198.51.100.1".into(),
            detail: "x".repeat(400),
        };
        callback.evidence.facts = vec![fact; 20];
    }
    agent.append(&[large]);
    let came = platform.on("callback").await;
    assert_eq!((&came["callback_id"], &came["evidence"]["facts"]), (&json!("CB20261120-001"), &json!([])));
    assert_eq!(agent.acknowledged_until(5).await, [5]);
    assert_eq!(agent.waiting(), 0);
    let said = agent.log.text();
    assert!(said.contains("gw-0001/IN20261120-001/2 has ") && said.contains("it goes shortened"), "{said}");
}

async fn unauthorised_message_does_not_block_others() {
    let acl = "acl_file {room}/acl";
    let room = tempfile::tempdir().unwrap();
    fs::write(
        room.path().join("acl"),
        "topic readwrite probe\ntopic read linekeeper/#\ntopic write linekeeper/v1/gw-0001/callback\n\
         topic write linekeeper/v1/gw-0001/state\n",
    )
    .unwrap();
    let broker = Mosquitto::start_with(acl, room, free_port());
    let mut platform = broker.watch().await;
    let mut agent = Agent::start(to(&[plain(broker.port)]));
    let events: Vec<Critical> = (1..=30).map(|n| now_event(n, 10)).collect();
    agent.append(&events);
    agent.append(&[callback(31, BOOT, monotonic_ms(), 10)]);
    assert_eq!(platform.on("callback").await["id"], "gw-0001/CB20261120-001/31");
    assert_eq!(agent.acknowledged_until(31).await, [31]);
    assert_eq!(agent.waiting(), 30, "they wait for the broker to be mended");
    let said = agent.log.text();
    assert!(said.contains("the broker refused message 1: NotAuthorized"), "{said}");
    // The next refused round comes after the first wait, and is not told again.
    agent.log.wait_for("(2 times)").await;
    assert_eq!(agent.log.text().matches("refused message 1: NotAuthorized; trying").count(), 1);
}

async fn summaries_are_sent_last_and_the_oldest_is_dropped() {
    let broker = Mosquitto::start("");
    let proxy = Proxy::start(broker.port, Way::Closed);
    let mut platform = broker.watch().await;
    let mut agent = Agent::start(to(&[plain(proxy.port)]));
    for n in 1..=60 {
        agent.routine.lock().unwrap().push(messages::telemetry(n, BOOT, n * 1_000));
    }
    agent.append(&[now_event(1, 10), now_event(2, 10)]);
    proxy.set(Way::Open);
    agent.connected().await;
    let mut topics = Vec::new();
    let mut told = Vec::new();
    while told.last().map(String::as_str) != Some("gw-0001/T60") {
        let came = platform.next().await;
        if came.topic == "state" {
            assert_eq!(came.body["dropped"]["telemetry"], 12, "48 are kept");
            continue;
        }
        assert!(!came.retained);
        if came.topic == "telemetry" {
            assert_eq!(came.body["schema"], "linekeeper.telemetry.v1");
            assert!(came.body.get("speed").is_none(), "what is not configured is not there");
            told.push(came.body["id"].as_str().unwrap().to_owned());
        }
        topics.push(came.topic);
    }
    assert_eq!(topics[..3], ["event", "event", "telemetry"], "routine waits for what is critical");
    assert_eq!(told, (13..=60).map(|n| format!("gw-0001/T{n}")).collect::<Vec<_>>());
    // One at a time goes on.
    agent.routine.lock().unwrap().push(messages::telemetry(61, BOOT, 1));
    assert_eq!(platform.on("telemetry").await["id"], "gw-0001/T61");
}

async fn second_broker_is_used_when_the_first_fails() {
    let broker = Mosquitto::start("");
    let mut agent = Agent::start(to(&[plain(free_port()), plain(broker.port)]));
    agent.connected().await;
    let said = agent.log.text();
    assert!(said.contains("nobody listens there; is the broker running"), "{said}");

    // And after the first one dies, with what was not told yet, in order.
    let (mut first, second) = (Mosquitto::start(""), Mosquitto::start(""));
    let mut platform = second.watch().await;
    let mut agent = Agent::start(to(&[plain(first.port), plain(second.port)]));
    agent.connected().await;
    agent.append(&[now_event(1, 10)]);
    assert_eq!(agent.acknowledged_until(1).await, [1]);
    first.kill();
    agent.append(&[now_event(2, 10), now_event(3, 10)]);
    assert_eq!(platform.ids_until(&id_of(3)).await, [2, 3].map(id_of));
    assert_eq!(agent.acknowledged_until(3).await, [2, 3]);
}

async fn messages_without_subscribers_are_counted_as_unheard() {
    let broker = Mosquitto::start("");
    let mut agent = Agent::start(to(&[plain(broker.port)]));
    agent.connected().await;
    agent.append(&[now_event(1, 10), now_event(2, 10)]);
    agent.acknowledged_until(2).await;
    let said = agent.log.text();
    let told = said
        .lines()
        .filter(|l| l.contains("WARN") && l.contains("nobody listens to linekeeper/v1/gw-0001/#"));
    assert_eq!(told.count(), 1, "{said}");
    let mut platform = broker.watch().await;
    agent.state.send_replace(json!({ "line": "down" }));
    let state = platform.state(|s| s["line"] == "down").await;
    assert_eq!(state["dropped"]["unheard"], 2);
}

/// A broker's restart is met by a fleet spread over half a minute, unless there is something critical to say.
async fn reconnects_are_spread_and_urgent_ones_are_early() {
    let mut broker = Mosquitto::start("");
    let mut agent = Agent::start(config::Mqtt { reconnect: Span::minutes(5), ..to(&[plain(broker.port)]) });
    agent.connected().await;
    let mut longest = 0;
    for n in 1..=8 {
        broker.kill();
        while agent.saw().await != (Observation::BrokerSeen { connected: false }) {}
        agent.log.wait_for("next attempt in").await;
        broker = broker.restart("");
        let began = monotonic_ms();
        agent.append(&[now_event(n, 10)]);
        assert_eq!(agent.acknowledged_until(n).await, [n]);
        longest = longest.max(monotonic_ms() - began);
    }
    // 4 s and what a busy machine adds; without hurry one of eight takes longer.
    assert!(longest <= 14_000, "{longest} ms");
    let said = agent.log.text();
    let waits: Vec<f64> = said
        .lines()
        .filter_map(|l| l.split("lost the broker").nth(1)?.split("next attempt in ").nth(1))
        .map(|wait| match wait.trim().strip_suffix(" ms") {
            Some(ms) => ms.parse::<f64>().unwrap() / 1_000.0,
            // Connections that end soon are no good ones: the waits grow.
            None if wait.contains("min") => 60.0,
            None => wait.trim().trim_end_matches(" s").parse().unwrap(),
        })
        .collect();
    assert_eq!(waits.len(), 8, "{said}");
    assert!(waits.iter().any(|w| *w > 4.0), "eight of eight below 4 of 30 s: {waits:?}");
}

async fn summaries_expire_and_are_marked_late() {
    /// The whole packet, and its payload.
    type Got = Vec<(Vec<u8>, Value)>;
    let got: Arc<Mutex<Got>> = Arc::default();
    let into = Arc::clone(&got);
    let port = fake_broker(move |_, packet, socket| {
        if packet[0] >> 4 == 1 {
            return socket.write_all(&CONNACK).is_ok();
        }
        if let Some((topic, id, payload)) = publish(packet) {
            if topic.ends_with("telemetry") {
                into.lock().unwrap().push((packet.to_vec(), serde_json::from_str(&payload).unwrap()));
            }
            return socket.write_all(&[0x40, 2, id[0], id[1]]).is_ok();
        }
        true
    });
    let mut agent = Agent::start(to(&[plain(port)]));
    agent.connected().await;
    for summary in [messages::telemetry(1, "a boot before", 1), messages::telemetry(2, BOOT, monotonic_ms())]
    {
        agent.routine.lock().unwrap().push(summary);
    }
    let came = || got.lock().unwrap().len();
    timeout(LONG, async {
        while came() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("both come");
    let got = got.lock().unwrap();
    assert_eq!((&got[0].1["late"], &got[1].1["late"]), (&json!(true), &Value::Null));
    // Message Expiry Interval: property 2, two days of seconds.
    assert!(got.iter().all(|(packet, _)| packet.windows(5).any(|w| w == [2, 0, 2, 0xa3, 0])));
}

async fn connection_lost_with_the_line_is_replaced() {
    let broker = Mosquitto::start("");
    let proxy = Proxy::start(broker.port, Way::Open);
    let mut agent = Agent::start(to(&[plain(proxy.port)]));
    agent.connected().await;
    // The birth is answered, so nothing is owed: a nudge changes nothing.
    agent.append(&[now_event(1, 10)]);
    assert_eq!(agent.acknowledged_until(1).await, [1]);
    agent.mqtt.nudge();
    agent.append(&[now_event(2, 10)]);
    assert_eq!(agent.acknowledged_until(2).await, [2]);
    assert_eq!(proxy.accepted(), 1);

    proxy.set(Way::Silent);
    agent.append(&[now_event(3, 10)]);
    sleep(Duration::from_millis(1_200)).await;
    proxy.set(Way::Open);
    agent.mqtt.nudge();
    assert_eq!(agent.acknowledged_until(3).await, [3]);
    assert_eq!(proxy.accepted(), 2);
    // It was the nudge, not the patience with the broker.
    let said = agent.log.text();
    assert!(!said.contains("were not acknowledged"), "{said}");
}

async fn refused_connections_are_explained_in_the_log() {
    let broker = Mosquitto::start("allow_anonymous false");
    let mut mqtt = to(&[plain(broker.port)]);
    let agent = Agent::start(mqtt.clone());
    agent.log.wait_for("it refused us (NotAuthorized); check the broker's access list").await;
    agent.log.wait_for("it refused us").await;
    drop(agent);
    mqtt.login = Some(("gw".into(), "/nowhere/password".into()));
    let agent = Agent::start(mqtt);
    agent.log.wait_for("the password file /nowhere/password cannot be read").await;
    // Repeated at debug, said once.
    for _ in 0..500 {
        if agent.log.text().matches("DEBUG").count() > 3 {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let said = agent.log.text();
    assert_eq!(
        said.lines().filter(|l| l.contains(" INFO ") && l.contains("cannot connect")).count(),
        1,
        "{said}"
    );
}

// ---- brokers that misbehave ----

/// Accepts MQTT connections and hands each packet to `answer`: connection (from 1), packet, where to answer. Ends the
/// connection when that says `false`.
fn fake_broker(answer: impl Fn(usize, &[u8], &mut TcpStream) -> bool + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for (n, socket) in listener.incoming().map_while(Result::ok).enumerate() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let mut socket = socket;
                while let Some(packet) = wire::packet(&mut socket) {
                    if !answer(n + 1, &packet, &mut socket) {
                        let _ = socket.shutdown(Shutdown::Both);
                        return;
                    }
                }
            });
        }
    });
    port
}

const CONNACK: [u8; 5] = [0x20, 3, 0, 0, 0];

/// Topic, packet id and payload, if it is a PUBLISH with QoS 1.
pub(super) fn publish(packet: &[u8]) -> Option<(String, [u8; 2], String)> {
    if packet[0] >> 4 != 3 {
        return None;
    }
    let topic = usize::from(u16::from_be_bytes([packet[1], packet[2]]));
    let id = [packet[3 + topic], packet[4 + topic]];
    let properties = usize::from(packet[5 + topic]);
    let text = |from: usize, to: usize| String::from_utf8(packet[from..to].to_vec()).unwrap();
    Some((text(3, 3 + topic), id, text(6 + topic + properties, packet.len())))
}

async fn broker_that_never_acknowledges_is_disconnected() {
    let got: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
    let into = Arc::clone(&got);
    let port = fake_broker(move |connection, packet, socket| {
        if packet[0] >> 4 == 1 {
            return socket.write_all(&CONNACK).is_ok();
        }
        if let Some((topic, id, payload)) = publish(packet) {
            if topic.ends_with("event") {
                let body: Value = serde_json::from_str(&payload).unwrap();
                into.lock().unwrap().push((connection, body["id"].as_str().unwrap().to_owned()));
            }
            // The third connection is good.
            if connection == 3 {
                return socket.write_all(&[0x40, 2, id[0], id[1]]).is_ok();
            }
        }
        true
    });
    let mut agent = Agent::start(to(&[plain(port)]));
    let began = monotonic_ms();
    agent.append(&[now_event(1, 10), now_event(2, 10)]);
    assert_eq!(agent.acknowledged_until(2).await, [1, 2]);
    let took = monotonic_ms() - began;
    assert!(took >= 8_000, "twice the patience of 4 s: {took} ms");
    let expected: Vec<_> = (1..=3).flat_map(|c| [(c, id_of(1)), (c, id_of(2))]).collect();
    assert_eq!(*got.lock().unwrap(), expected);
    assert!(agent.log.text().contains("were not acknowledged within 4 s"), "{}", agent.log.text());
}

async fn message_blamed_by_the_broker_does_not_stop_the_others() {
    // Ends with DISCONNECT "packet too large" for numbers 3 and 5, although it named no limit. The second time without
    // properties, as mosquitto does: that reason does not get through rumqttc.
    let port = fake_broker(move |_, packet, socket| {
        if packet[0] >> 4 == 1 {
            return socket.write_all(&CONNACK).is_ok();
        }
        let Some((_, id, payload)) = publish(packet) else { return true };
        let body: Value = serde_json::from_str(&payload).unwrap();
        if body["id"] == id_of(3) {
            return socket.write_all(&[0xe0, 2, 0x95, 0]).is_ok();
        }
        if body["id"] == id_of(5) {
            let _ = socket.write_all(&[0xe0, 1, 0x95]);
            return false;
        }
        socket.write_all(&[0x40, 2, id[0], id[1]]).is_ok()
    });
    let mut agent = Agent::start(to(&[plain(port)]));
    agent.append(&(1..=8).map(|n| now_event(n, 10)).collect::<Vec<_>>());
    let mut numbers = Vec::new();
    let began = monotonic_ms();
    while numbers.len() < 6 {
        assert!(monotonic_ms() - began < 120_000, "only {numbers:?}; log:\n{}", agent.log.text());
        match agent.saw().await {
            Observation::Acknowledged { number } if !numbers.contains(&number) => numbers.push(number),
            _ => {}
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 4, 6, 7, 8]);
    assert_eq!(agent.waiting(), 2, "neither is given up so soon");
    assert!(agent.log.text().contains("does not take a message (PacketTooLarge)"), "{}", agent.log.text());
}

async fn server_that_is_no_broker_is_explained_in_the_log() {
    // Talks first, as SSH and SMTP do, and in no MQTT.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
            let _ = socket.read(&mut [0; 1024]);
        }
    });
    let agent = Agent::start(to(&[plain(port)]));
    agent.log.wait_for("cannot connect to the broker mqtt://127.0.0.1:").await;
    drop(agent);
    let mut mqtt = to(&[config::Broker { host: "no-such-host.invalid".into(), port: 1, tls: false }]);
    mqtt.reconnect = Span::seconds(60);
    let agent = Agent::start(mqtt);
    agent.log.wait_for("mqtt://no-such-host.invalid:1: ").await;
}

// ---- TLS ----

/// An authority and certificates of the kinds that go wrong.
fn certificates(room: &Path) {
    let script = r#"
set -e
ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout $1.key -out $1.pem -subj "/CN=$1" \
    -addext basicConstraints=critical,CA:TRUE; }
leaf() { # name, authority, alternative name, first and last day
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj "/CN=$1"
    printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$3" > $1.ext
    : > index.txt
    openssl ca -batch -notext -config ca.cnf -cert $2.pem -keyfile $2.key -in $1.csr -out $1.pem -extfile $1.ext \
        -startdate $4 -enddate $5
}
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\nunique_subject=no\nrand_serial=yes\n[p]\ncommonName=supplied\n' > ca.cnf
ca ours; ca theirs
long=20200101000000Z; past=20210101000000Z; future=20490101000000Z
leaf good ours IP:127.0.0.1 $long $future
leaf name ours DNS:broker.isp.example $long $future
leaf old ours IP:127.0.0.1 $long $past
leaf device ours DNS:gw-0001 $long $future
"#;
    let done = Command::new("sh").args(["-c", script]).current_dir(room).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

async fn tls_accepts_valid_and_explains_invalid_certificates() {
    let files = tempfile::tempdir().unwrap();
    certificates(files.path());
    let file = |name: &str| files.path().join(name);
    let broker = |certificate: &str| {
        let at = files.path().display();
        Mosquitto::start(&format!(
            "cafile {at}/ours.pem\ncertfile {at}/{certificate}.pem\nkeyfile {at}/{certificate}.key\n\
             require_certificate true\n"
        ))
    };
    let agent_for = |broker: &Mosquitto, ca: &str, client: bool| {
        let mut mqtt = to(&[config::Broker { host: "127.0.0.1".into(), port: broker.port, tls: true }]);
        mqtt.ca = Some(file(ca));
        mqtt.client = client.then(|| (file("device.pem"), file("device.key")));
        Agent::start(mqtt)
    };
    let good = broker("good");
    let mut agent = agent_for(&good, "ours.pem", true);
    agent.append(&[now_event(1, 3_000)]);
    assert_eq!(agent.acknowledged_until(1).await, [1]);
    drop(agent);

    let agent = agent_for(&good, "theirs.pem", true);
    agent.log.wait_for("from another authority than the one in mqtt.ca").await;
    drop(agent);
    let agent = agent_for(&good, "ours.pem", false);
    agent.log.wait_for("cannot connect to the broker mqtts://").await;
    let said = agent.log.text();
    assert!(said.contains("ertificate"), "{said}");
    drop(agent);
    let other_name = broker("name");
    let agent = agent_for(&other_name, "ours.pem", true);
    agent.log.wait_for("must be a name in the certificate").await;
    drop(agent);

    // It goes on trying: when the broker's certificate is renewed, it connects.
    let mut expired = broker("old");
    let mut agent = agent_for(&expired, "ours.pem", true);
    agent.log.wait_for("certificate has expired").await;
    expired.kill();
    fs::copy(file("good.pem"), file("old.pem")).unwrap();
    fs::copy(file("good.key"), file("old.key")).unwrap();
    let at = files.path().display();
    let _renewed = expired.restart(&format!(
        "cafile {at}/ours.pem\ncertfile {at}/old.pem\nkeyfile {at}/old.key\nrequire_certificate true\n"
    ));
    agent.connected().await;
}

async fn tls_below_the_configured_version_is_refused() {
    let files = tempfile::tempdir().unwrap();
    certificates(files.path());
    let port = free_port();
    let file = |name: &str| files.path().join(name);
    // mosquitto's own setting is a minimum: this server speaks 1.2 and nothing else.
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-tls1_2", "-accept", &port.to_string()])
        .args(["-cert".as_ref(), file("good.pem").as_os_str(), "-key".as_ref(), file("good.key").as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for oldest in [config::TlsVersion::V13, config::TlsVersion::V12] {
        let mut mqtt = to(&[config::Broker { host: "127.0.0.1".into(), port, tls: true }]);
        mqtt.ca = Some(file("ours.pem"));
        mqtt.tls = oldest;
        let agent = Agent::start(mqtt);
        match oldest {
            config::TlsVersion::V13 => {
                agent.log.wait_for("speaks no version of TLS that we accept (mqtt.tls is the oldest)").await;
            }
            // It came through, to one that is no broker.
            config::TlsVersion::V12 => {
                agent.log.wait_for("no answer within 10 s").await;
                assert!(!agent.log.text().contains("TLS that we accept"), "{}", agent.log.text());
            }
        }
    }
    let _ = server.kill();
    let _ = server.wait();
}
