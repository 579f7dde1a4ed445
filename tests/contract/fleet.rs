//! The broker's set-up that `config/mosquitto` ships: a gateway reaches its own topics and no others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a trial that cannot go on fails by it"
)]

use crate::common::repository_path;
use crate::common::trial::Test;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Far above what anything here takes, on any machine.
const LONG: Duration = Duration::from_secs(60);
const NEEDS: [&str; 4] = ["mosquitto", "mosquitto_pub", "mosquitto_sub", "openssl"];

pub fn tests() -> Vec<Test> {
    vec![
        Test::here("a gateway publishes only to its own topics", gateway_publishes_only_to_its_own_topics)
            .needs(&NEEDS),
        Test::here("a gateway receives only its own topics", gateway_receives_only_its_own_topics)
            .needs(&NEEDS),
        Test::here("a gateway cannot take over another's session", gateway_cannot_take_over_another_session)
            .needs(&NEEDS),
        Test::here("unknown clients are rejected", unknown_clients_are_rejected).needs(&NEEDS),
    ]
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).map(|p| p.join(name)).find(|p| p.exists())
}

/// The shipped set-up in a room of its own, with its port changed and certificates for two gateways.
struct Fleet {
    broker: Child,
    /// For gateways, and for the platform.
    ports: [u16; 2],
    room: tempfile::TempDir,
}

impl Fleet {
    fn start() -> Fleet {
        let room = tempfile::tempdir().unwrap();
        let shipped = repository_path("config/mosquitto");
        for name in ["mosquitto.conf", "acl", "make-certificates"] {
            fs::copy(shipped.join(name), room.path().join(name)).unwrap();
        }
        certificates(room.path(), &["gw-0001", "gw-0002"]);
        // Both held until both are known: else they might be one.
        let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = held.each_ref().map(|l| l.local_addr().unwrap().port());
        drop(held);
        let file = room.path().join("mosquitto.conf");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("listener 8883\n") && text.contains("listener 8884 127.0.0.1\n"));
        let text = text
            .replace("listener 8883\n", &format!("listener {} 127.0.0.1\n", ports[0]))
            .replace("listener 8884 ", &format!("listener {} ", ports[1]));
        fs::write(&file, format!("user root\n{text}")).unwrap();
        let broker = Command::new(program("mosquitto").unwrap())
            .args(["-c", "mosquitto.conf"])
            .current_dir(room.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(room.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let fleet = Fleet { broker, ports, room };
        for _ in 0..6_000 {
            if ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
                return fleet;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("mosquitto does not listen: {}", fs::read_to_string(fleet.room.path().join("log")).unwrap());
    }

    fn client(&self, what: &str, who: &str) -> Command {
        let at = self.room.path().join("certificates");
        let mut command = Command::new(program(what).unwrap());
        let port = self.ports[usize::from(who == "platform")];
        command
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", "5", "-q", "1"])
            .arg("--cafile")
            .arg(at.join("ca.pem"));
        if who != "nobody" {
            command.arg("--cert").arg(at.join(format!("{who}.pem")));
            command.arg("--key").arg(at.join(format!("{who}.key")));
        }
        command
    }

    /// Publishes, and says whether the broker took it.
    fn publishes(&self, who: &str, topic: &str, payload: &str) -> bool {
        let done = self.client("mosquitto_pub", who).args(["-t", topic, "-m", payload]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).to_lowercase();
        assert!(said.is_empty() || said.contains("not authori"), "{said}");
        done.status.success() && said.is_empty()
    }

    /// Hears `filters` as `who`; returns when it is subscribed.
    fn hears(&self, who: &str, filters: &[&str]) -> Ear {
        // What is retained comes at once: then it is subscribed.
        assert!(
            self.client("mosquitto_pub", "platform")
                .args(["-r", "-t", PROBE, "-m", "x"])
                .status()
                .unwrap()
                .success()
        );
        let mut command = self.client("mosquitto_sub", who);
        for filter in filters {
            command.args(["-t", filter]);
        }
        let mut process =
            command.args(["-F", "%t"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (into, came) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if into.send(line).is_err() {
                    return;
                }
            }
        });
        let ear = Ear { process, came };
        while ear.line() != PROBE {}
        ear
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
    }
}

struct Ear {
    process: Child,
    came: Receiver<String>,
}

impl Ear {
    fn line(&self) -> String {
        self.came.recv_timeout(LONG).expect("something comes")
    }

    /// The topics that came, until `last`.
    fn topics_until(&self, last: &str) -> Vec<String> {
        let mut topics = Vec::new();
        loop {
            let line = self.line();
            if line.starts_with("linekeeper/") {
                let end = line == last;
                topics.push(line);
                if end {
                    return topics;
                }
            }
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn certificates(room: &Path, devices: &[&str]) {
    // By its name it could not be run while another trial's child still holds the copy open for writing.
    let made = Command::new("sh").arg(room.join("make-certificates")).args(devices).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A retained message that everybody may hear.
const PROBE: &str = "linekeeper/v1/area/probe/notice";
const WRITES: [&str; 6] = ["state", "event", "callback", "telemetry", "command/result", "config/reported"];
const HEARS: [&str; 3] = ["callback/receipt", "command", "config/desired"];

fn gateway_publishes_only_to_its_own_topics() {
    let fleet = Fleet::start();
    let platform = fleet.hears("platform", &["linekeeper/v1/#"]);
    for topic in HEARS {
        assert!(!fleet.publishes("gw-0001", &format!("linekeeper/v1/gw-0001/{topic}"), "x"), "{topic}");
    }
    for topic in WRITES.iter().chain(&HEARS) {
        assert!(!fleet.publishes("gw-0001", &format!("linekeeper/v1/gw-0002/{topic}"), "x"), "{topic}");
    }
    for topic in ["linekeeper/v1/area/north-3/notice", "linekeeper/v1/gw-0001", "elsewhere", "$SYS/x"] {
        assert!(!fleet.publishes("gw-0001", topic, "x"), "{topic}");
    }
    for topic in WRITES {
        assert!(fleet.publishes("gw-0001", &format!("linekeeper/v1/gw-0001/{topic}"), "x"), "{topic}");
    }
    let wanted: Vec<String> = WRITES.iter().map(|t| format!("linekeeper/v1/gw-0001/{t}")).collect();
    assert_eq!(platform.topics_until(wanted.last().unwrap()), wanted);
}

fn gateway_receives_only_its_own_topics() {
    let fleet = Fleet::start();
    let nosy = fleet.hears("gw-0002", &["#"]);
    let last = "linekeeper/v1/gw-0002/config/desired";
    for device in ["gw-0001", "gw-0002"] {
        for topic in WRITES {
            assert!(fleet.publishes("platform", &format!("linekeeper/v1/{device}/{topic}"), "x"));
        }
    }
    assert!(fleet.publishes("platform", "linekeeper/v1/area/north-3/olt-7/notice", "x"));
    for device in ["gw-0001", "gw-0002"] {
        for topic in HEARS {
            assert!(fleet.publishes("platform", &format!("linekeeper/v1/{device}/{topic}"), "x"));
        }
    }
    let wanted: Vec<String> = ["linekeeper/v1/area/north-3/olt-7/notice".to_owned()]
        .into_iter()
        .chain(HEARS.iter().map(|t| format!("linekeeper/v1/gw-0002/{t}")))
        .collect();
    assert_eq!(nosy.topics_until(last), wanted);
}

fn gateway_cannot_take_over_another_session() {
    let fleet = Fleet::start();
    let own = fleet.hears("gw-0001", &["linekeeper/v1/gw-0001/command", PROBE]);
    let thief = fleet
        .client("mosquitto_pub", "gw-0002")
        .args(["-i", "gw-0001", "-t", "linekeeper/v1/gw-0002/event", "-m", "x"])
        .status();
    assert!(thief.unwrap().success(), "it is let in, as itself");
    assert!(fleet.publishes("platform", "linekeeper/v1/gw-0001/command", "x"));
    assert_eq!(own.topics_until("linekeeper/v1/gw-0001/command").len(), 1);
    let log = fs::read_to_string(fleet.room.path().join("log")).unwrap();
    assert!(log.contains("as gw-0002") && !log.contains("closing old connection"), "{log}");
}

fn unknown_clients_are_rejected() {
    let fleet = Fleet::start();
    let refused = |command: &mut Command| {
        let done = command.args(["-t", "linekeeper/v1/gw-0001/event", "-m", "x"]).output().unwrap();
        assert!(!done.status.success());
    };
    refused(&mut fleet.client("mosquitto_pub", "nobody"));
    // Another authority's gateway of the same name.
    let other = tempfile::tempdir().unwrap();
    fs::copy(fleet.room.path().join("make-certificates"), other.path().join("make-certificates")).unwrap();
    certificates(other.path(), &["gw-0001"]);
    let theirs = other.path().join("certificates");
    let mut stranger = fleet.client("mosquitto_pub", "nobody");
    stranger.arg("--cert").arg(theirs.join("gw-0001.pem")).arg("--key").arg(theirs.join("gw-0001.key"));
    refused(&mut stranger);
    assert!(fleet.publishes("gw-0001", "linekeeper/v1/gw-0001/event", "x"), "and the right one is");
}
