//! How a thousand gateways reconnect to a broker that was away: spread over time, or all at once.
//!
//! `benches/figures reconnect`. It runs the agent's real connection code a thousand times in one process, against
//! mosquitto on loopback. The longest wait (`mqtt.reconnect`) is 30 s here instead of 5 min, so that the run takes three
//! minutes; only shares are compared. After a long absence a gateway is at a random point of its wait, so the first second
//! should have twice the mean, falling to zero at the longest wait. After a restart of 3 s all gateways are in their first
//! wait, which is at most 30 s too.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark ends where it cannot measure"
)]

use linekeeper::act::mqtt::{self, ConnectionParts, Mqtt};
use linekeeper::act::outbox::{Known, Outbox};
use linekeeper_contract::message::Stamp;
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_judge::config::{Broker, Mqtt as To};
use linekeeper_judge::observation::Observation;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

const GATEWAYS: usize = 1_000;
const CAP: Span = Span::seconds(30);
/// How long the broker is away: restarted, and so long that every wait has its cap and has gone round once more.
const AWAY: [(&str, Duration); 2] = [("restart", Duration::from_secs(3)), ("long", Duration::from_secs(75))];
/// The most that one second may carry, in mean shares.
const SHARES: f64 = 3.0;

fn clock_ms() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap() * 1_000 + u64::try_from(t.tv_nsec).unwrap() / 1_000_000
}

struct Clock;

impl mqtt::Clock for Clock {
    fn now(&self) -> Mono {
        Mono(clock_ms())
    }
    fn stamp(&self) -> Stamp {
        Stamp { wall: None, synced: false, boot_id: "b".into(), uptime_ms: clock_ms() }
    }
    fn boot_at(&self) -> Option<Wall> {
        None
    }
}

/// Ends with us, whatever happens.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn broker(room: &Path, port: u16) -> Option<Process> {
    let file = room.join("mosquitto.conf");
    std::fs::write(&file, format!("user root\nlistener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
    let process = ["/usr/sbin/mosquitto", "mosquitto"].into_iter().find_map(|program| {
        Command::new(program).arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    })?;
    let process = Process(process);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(process)
}

fn main() -> ExitCode {
    // A socket and two files each.
    let hard = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard });
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(measure())
}

async fn measure() -> ExitCode {
    let room = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(mosquitto) = broker(room.path(), port) else {
        eprintln!("benches/reconnect: not measured: mosquitto is not installed (Debian: mosquitto)");
        return ExitCode::FAILURE;
    };
    let (into, mut came) = mpsc::channel(GATEWAYS * 4);
    let mut gateways = Vec::new();
    for n in 0..GATEWAYS {
        let (outbox, _) = Outbox::open(&room.path().join(n.to_string()), 16_000, Known::default());
        let (state, body) = watch::channel(json!({}));
        let (saw, mut seen) = mpsc::channel(64);
        let mqtt = Mqtt::start(ConnectionParts {
            mqtt: To {
                brokers: vec![Broker { host: "127.0.0.1".into(), port, tls: false }],
                ca: None,
                client: None,
                login: None,
                keep_alive: Span::seconds(30),
                reconnect: CAP,
                session: Span::days(1),
                tls: linekeeper_judge::config::TlsVersion::V12,
            },
            device_id: format!("gw-{n:04}"),
            area: None,
            offset_minutes: 0,
            outbox: Arc::new(Mutex::new(outbox)),
            state: body,
            routine: Arc::default(),
            privacy: Default::default(),
            command_key: None,
            desired: None,
            reported: watch::channel(serde_json::Value::Null).1,
            saw,
            clock: Arc::new(Clock),
        });
        let into = into.clone();
        tokio::spawn(async move {
            while let Some(observation) = seen.recv().await {
                if let Observation::BrokerSeen { connected } = observation {
                    let _ = into.send((clock_ms(), connected)).await;
                }
            }
        });
        gateways.push((mqtt, state));
    }
    let mut up = 0usize;
    while up < GATEWAYS {
        up += usize::from(came.recv().await.expect("gateways").1);
    }
    let mut mosquitto = mosquitto;
    let mut herd = false;
    for (name, away) in AWAY {
        println!("{GATEWAYS} gateways are connected; the broker goes for {} s", away.as_secs());
        drop(mosquitto);
        tokio::time::sleep(away).await;
        // What was said before it was gone: each lost it once.
        while came.try_recv().is_ok() {}
        let began = clock_ms();
        mosquitto = broker(room.path(), port).expect("mosquitto again");
        herd |= returned(name, began, &mut came).await > SHARES;
    }
    if herd {
        println!("more than {SHARES} shares in one second: a herd");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Waits until all are back; gives the worst second in mean shares.
async fn returned(name: &str, began: u64, came: &mut mpsc::Receiver<(u64, bool)>) -> f64 {
    let mut seconds = vec![0usize; usize::try_from(CAP.whole_seconds()).unwrap() + 15];
    let mut back = 0;
    while back < GATEWAYS {
        let (at, connected) = came.recv().await.expect("gateways");
        if connected && at >= began {
            back += 1;
            let second = usize::try_from((at - began) / 1_000).unwrap().min(seconds.len() - 1);
            seconds[second] += 1;
        }
    }
    let share = GATEWAYS as f64 / CAP.whole_seconds() as f64;
    for (second, count) in seconds.iter().enumerate().filter(|(_, count)| **count > 0) {
        println!("{second:>3} s {count:>4} {}", "#".repeat(count.div_ceil(2)));
    }
    let worst = *seconds.iter().max().unwrap() as f64 / share;
    println!("figure reconnect.{name}.worst_shares {worst:.2} of the mean second");
    println!("figure reconnect.{name}.all_s {:.1} s", (clock_ms() - began) as f64 / 1_000.0);
    worst
}
