//! How long a critical message takes from the call that writes it to flash to the output of an independent subscriber, and
//! how fast messages are delivered that were stored while the broker was away.
//!
//! `benches/figures delivery`. Needs mosquitto and mosquitto_sub. It uses the agent's own outbox and connection, on this
//! machine's disk and loopback. A WAN adds one round trip.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark ends where it cannot measure"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::messages::{self, callback, event};
use linekeeper::act::mqtt::{self, ConnectionParts, Mqtt};
use linekeeper::act::outbox::{Known, Outbox};
use linekeeper_contract::message::{Critical, Stamp};
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_judge::config::{Broker, Mqtt as To};
use linekeeper_judge::observation::Observation;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Messages sent one after the other while connected. The 99th percentile of 1000 depends on ten of them.
const ONLINE: u64 = 1_000;
/// Messages stored while the broker is away: a day with an incident every nine seconds.
const STORED: u64 = 10_000;
/// Outbox size: room for all of them.
const ROOM: u64 = 64 << 20;
const BOOT: &str = "this-boot";

fn clock_us() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap() * 1_000_000 + u64::try_from(t.tv_nsec).unwrap() / 1_000
}

struct Clock;

impl mqtt::Clock for Clock {
    fn now(&self) -> Mono {
        Mono(clock_us() / 1_000)
    }
    fn stamp(&self) -> Stamp {
        messages::stamp(BOOT, clock_us() / 1_000)
    }
    fn boot_at(&self) -> Option<Wall> {
        None
    }
}

/// A process that is killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn broker(room: &std::path::Path, port: u16) -> Option<Process> {
    let file = room.join("mosquitto.conf");
    let text =
        format!("user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\n");
    std::fs::write(&file, text).unwrap();
    let program = ["/usr/sbin/mosquitto", "mosquitto"].into_iter().find_map(|program| {
        Command::new(program).arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    })?;
    let process = Process(program);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(process)
}

/// Starts an independent subscriber. The channel receives each of its lines, one event or callback, with the time.
fn subscriber(port: u16) -> Option<(Process, mpsc::Receiver<(u64, String)>)> {
    let mut child = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", "5", "-q", "1"])
        .args(["-t", "linekeeper/v1/+/event", "-t", "linekeeper/v1/+/callback", "-t", "probe", "-F", "%t %p"])
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (into, came) = mpsc::channel(100_000);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if into.blocking_send((clock_us(), line)).is_err() {
                return;
            }
        }
    });
    Some((Process(child), came))
}

fn id(line: &str) -> Option<String> {
    let (topic, body) = line.split_once(' ')?;
    (topic != "probe").then(|| serde_json::from_str::<Value>(body).ok())??["id"].as_str().map(str::to_owned)
}

fn start(
    outbox: &Arc<Mutex<Outbox>>,
    port: u16,
) -> (Mqtt, mpsc::Receiver<Observation>, watch::Sender<Value>) {
    let to = To {
        brokers: vec![Broker { host: "127.0.0.1".into(), port, tls: false }],
        ca: None,
        client: None,
        login: None,
        keep_alive: Span::seconds(30),
        reconnect: Span::seconds(1),
        session: Span::days(1),
        tls: linekeeper_judge::config::TlsVersion::V12,
    };
    let (state, body) = watch::channel(json!({ "line": "up" }));
    let (saw, seen) = mpsc::channel(100_000);
    let mqtt = Mqtt::start(ConnectionParts {
        mqtt: to,
        device_id: "gw-0001".into(),
        area: None,
        offset_minutes: 480,
        outbox: Arc::clone(outbox),
        state: body,
        routine: Arc::default(),
        privacy: Default::default(),
        command_key: None,
        desired: None,
        reported: watch::channel(serde_json::Value::Null).1,
        saw,
        clock: Arc::new(Clock),
    });
    (mqtt, seen, state)
}

/// Every tenth message is a callback, the others are events.
fn message(n: u64) -> Critical {
    let ms = clock_us() / 1_000;
    if n.is_multiple_of(10) { callback(n, BOOT, ms, 1_200) } else { event(n, BOOT, ms, 400) }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure())
}

async fn measure() -> ExitCode {
    let room = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(mosquitto) = broker(room.path(), port) else {
        eprintln!(
            "benches/delivery: not measured: mosquitto is not installed (Debian: mosquitto, mosquitto-clients)"
        );
        return ExitCode::FAILURE;
    };
    let told = |text: &str| {
        Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-r", "-t", "probe", "-m", text])
            .status()
    };
    if told("subscribed").is_err() {
        eprintln!(
            "benches/delivery: not measured: mosquitto_pub is not installed (Debian: mosquitto-clients)"
        );
        return ExitCode::FAILURE;
    }
    let (sub, mut came) = subscriber(port).expect("mosquitto_sub");
    came.recv().await.expect("subscribed");

    let store = room.path().join("store");
    let (outbox, troubles) = Outbox::open(&store, ROOM, Known::default());
    assert!(troubles.is_empty(), "{troubles:?}");
    let outbox = Arc::new(Mutex::new(outbox));
    let (mqtt, mut seen, _state) = start(&outbox, port);
    while seen.recv().await.expect("the connection lives") != (Observation::BrokerSeen { connected: true }) {}
    tokio::spawn(async move { while seen.recv().await.is_some() {} });

    let mut took = Vec::new();
    for n in 1..=ONLINE {
        let message = message(n);
        let wanted = message.message.id().to_owned();
        let began = clock_us();
        outbox.lock().unwrap().append(&[message]).unwrap();
        let arrived = loop {
            let (at, line) = came.recv().await.expect("the subscriber lives");
            if id(&line).is_some_and(|id| id == wanted) {
                break at;
            }
        };
        took.push(arrived.saturating_sub(began));
    }
    took.sort_unstable();
    let ms = |us: u64| us as f64 / 1_000.0;
    let at = |share: usize| took[(took.len() * share).div_ceil(100).max(1) - 1];
    println!("figure delivery.median_ms {:.2} ms", ms(at(50)));
    println!("figure delivery.p99_ms {:.2} ms", ms(at(99)));
    println!("figure delivery.worst_ms {:.2} ms", ms(at(100)));

    // The broker is away; messages are stored meanwhile.
    drop(mosquitto);
    drop((sub, came));
    let began = clock_us();
    for n in ONLINE + 1..=ONLINE + STORED {
        let batch = [message(n)];
        outbox.lock().unwrap().append(&batch).unwrap();
    }
    println!("figure delivery.kept_per_s {:.0} 1/s", STORED as f64 / ((clock_us() - began) as f64 / 1e6));
    let bytes = outbox.lock().unwrap().bytes();
    let _mosquitto = broker(room.path(), port).expect("mosquitto again");
    told("subscribed").unwrap();
    let (_sub, mut came) = subscriber(port).expect("mosquitto_sub");
    // Measured from the first message on: the reconnect depends on a waiting time, not on speed.
    let (mut first, mut count, mut last_number) = (None, 0u64, ONLINE);
    while count < STORED {
        let (at, line) = came.recv().await.expect("the subscriber lives");
        let Some(id) = id(&line) else { continue };
        let number: u64 = id.rsplit('/').next().unwrap().parse().unwrap();
        if number > last_number {
            assert_eq!(number, last_number + 1, "in order, none missing");
            last_number = number;
            count += 1;
            first.get_or_insert(at);
        }
    }
    let seconds = (clock_us() - first.unwrap()) as f64 / 1e6;
    println!("figure delivery.drain_s {seconds:.2} s");
    println!("figure delivery.drain_per_s {:.0} 1/s", STORED as f64 / seconds);
    println!("figure delivery.stored_mb {:.1} MB", bytes as f64 / 1e6);
    mqtt.end("measured").await;
    ExitCode::SUCCESS
}
