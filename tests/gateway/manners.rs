//! Brokers of other people, each with manners that MQTT 5 allows or that were reported: one fake broker whose manners are
//! data.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a trial that cannot go on fails by it"
)]

use super::broker::{Agent, BOOT, id_of, monotonic_ms, now_event, plain, publish, to};
use crate::common::messages::callback;
use crate::common::trial::{Test, on_a_runtime};
use crate::common::validator::{self, Case};
use crate::common::{proof, wire};
use linekeeper_contract::message::{Critical, Fact, Message, Stamp};
use linekeeper_judge::observation::{Observation, Part};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

pub fn tests() -> Vec<Test> {
    macro_rules! trial {
        ($name:ident) => {
            Test::here(stringify!($name), || on_a_runtime($name()))
        };
    }
    vec![
        trial!(keep_alive_of_zero_asks_for_no_pings),
        trial!(keep_alive_of_the_server_is_kept),
        trial!(broker_without_retained_messages_is_connected_to),
        trial!(broker_with_few_filters_a_packet_gets_all_subscriptions),
        trial!(slow_acknowledgements_get_through),
        trial!(packet_ids_are_unique_with_any_receive_maximum),
        trial!(small_packets_carry_every_critical_message),
        trial!(broker_without_room_for_anything_is_said_once),
        trial!(broker_that_closes_on_a_large_connect_gets_a_shorter_will),
        trial!(properties_of_any_size_and_kind_do_no_harm),
        trial!(second_gateway_with_the_same_id_gets_its_turn),
        trial!(password_file_that_others_may_change_is_refused),
    ]
}

/// What the broker does.
#[derive(Clone)]
struct Manners {
    /// The properties of its CONNACK.
    connack: Vec<u8>,
    /// It refuses a retained will with this code.
    refuse_retained_will: Option<u8>,
    /// It closes the connection of a larger CONNECT, with this code in CONNACK or without one.
    largest_connect: Option<(usize, Option<u8>)>,
    /// It ends the connection when a larger packet comes.
    largest: usize,
    /// It ends the connection when a SUBSCRIBE has more filters.
    filters: usize,
    /// How late it acknowledges.
    suback_after: Duration,
    puback_after: Duration,
    /// It ends the connection with this code when the first message comes.
    ends_with: Option<u8>,
    /// Properties of its PUBACK: reason string, user properties.
    puback: Vec<u8>,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners {
            connack: Vec::new(),
            refuse_retained_will: None,
            largest_connect: None,
            largest: usize::MAX,
            filters: usize::MAX,
            suback_after: Duration::ZERO,
            puback_after: Duration::ZERO,
            ends_with: None,
            puback: Vec::new(),
        }
    }
}

/// What it saw.
#[derive(Default)]
struct Seen {
    connections: usize,
    accepted: usize,
    pings: usize,
    filters: BTreeSet<String>,
    /// Topic, retain flag and payload of each message.
    messages: Vec<(String, bool, Value)>,
    /// How often a packet id was used twice at once.
    used_twice: usize,
    largest: usize,
}

#[derive(Clone)]
struct Broker {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Broker {
    fn start(manners: Manners) -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let broker = Broker { port: listener.local_addr().unwrap().port(), seen: Arc::default() };
        let seen = Arc::clone(&broker.seen);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (manners, seen) = (manners.clone(), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let _ = serve(&manners, &seen, socket.try_clone().unwrap());
                    let _ = socket.shutdown(Shutdown::Both);
                });
            }
        });
        broker
    }

    fn see<T>(&self, what: impl FnOnce(&Seen) -> T) -> T {
        what(&self.seen.lock().unwrap())
    }

    async fn until(&self, agent: &Agent, what: &str, holds: impl Fn(&Seen) -> bool) {
        let began = monotonic_ms();
        while !self.see(&holds) {
            let seen = self.see(|s| (s.connections, s.filters.clone(), s.messages.len()));
            assert!(monotonic_ms() - began < 120_000, "{what}: {seen:?}; log:\n{}", agent.log.text());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn field(packet: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]))
}

/// A number of variable length, and how many bytes it has.
fn variable(bytes: &[u8]) -> (usize, usize) {
    let (mut value, mut at) = (0, 0);
    loop {
        value |= usize::from(bytes[at] & 127) << (7 * at);
        at += 1;
        if bytes[at - 1] < 128 {
            return (value, at);
        }
    }
}

fn written(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = length > 127;
        bytes.push((length % 128) as u8 | if more { 128 } else { 0 });
        length /= 128;
        if !more {
            return bytes;
        }
    }
}

fn packet(kind: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    [&[kind][..], &written(body.len()), &body].concat()
}

/// `None` ends the connection.
fn serve(manners: &Manners, seen: &Mutex<Seen>, mut socket: TcpStream) -> Option<()> {
    seen.lock().unwrap().connections += 1;
    let in_use: Arc<Mutex<BTreeSet<[u8; 2]>>> = Arc::default();
    let late = |after: Duration, answer: Vec<u8>, id: [u8; 2], to: &TcpStream| {
        let (mut to, in_use) = (to.try_clone().unwrap(), Arc::clone(&in_use));
        std::thread::spawn(move || {
            std::thread::sleep(after);
            in_use.lock().unwrap().remove(&id);
            let _ = to.write_all(&answer);
        });
    };
    while let Some(got) = wire::packet(&mut socket) {
        let size = got.len();
        let take_id = |id: [u8; 2]| {
            if !in_use.lock().unwrap().insert(id) {
                seen.lock().unwrap().used_twice += 1;
            }
        };
        match got[0] >> 4 {
            1 => {
                // `got` has no length: fixed header, name of the protocol, version, flags.
                let flags = got[8];
                if let (Some(code), true) = (manners.refuse_retained_will, flags & 0x20 != 0) {
                    socket.write_all(&packet(0x20, &[&[0, code, 0]])).ok()?;
                    return None;
                }
                if let Some((most, code)) = manners.largest_connect
                    && size > most
                {
                    if let Some(code) = code {
                        socket.write_all(&packet(0x20, &[&[0, code, 0]])).ok()?;
                    }
                    return None;
                }
                seen.lock().unwrap().accepted += 1;
                let properties = &manners.connack;
                socket.write_all(&packet(0x20, &[&[0, 0], &written(properties.len()), properties])).ok()?;
            }
            3 => {
                if size > manners.largest {
                    socket.write_all(&[0xe0, 2, 0x95, 0]).ok()?;
                    return None;
                }
                if let Some(code) = manners.ends_with {
                    socket.write_all(&[0xe0, 2, code, 0]).ok()?;
                    return None;
                }
                let (topic, id, payload) = publish(&got)?;
                take_id(id);
                {
                    let mut seen = seen.lock().unwrap();
                    seen.largest = seen.largest.max(size);
                    let body = serde_json::from_str(&payload).expect("JSON");
                    seen.messages.push((topic, got[0] & 1 == 1, body));
                }
                let answer = if manners.puback.is_empty() {
                    packet(0x40, &[&id])
                } else {
                    packet(0x40, &[&id, &[0], &written(manners.puback.len()), &manners.puback])
                };
                late(manners.puback_after, answer, id, &socket);
            }
            8 => {
                let id = [got[1], got[2]];
                take_id(id);
                let (properties, bytes) = variable(&got[3..]);
                let mut at = 3 + bytes + properties;
                let mut topics = Vec::new();
                while at < size {
                    let length = field(&got, at);
                    topics.push(String::from_utf8(got[at + 2..at + 2 + length].to_vec()).unwrap());
                    at += 2 + length + 1;
                }
                if topics.len() > manners.filters {
                    return None;
                }
                let codes = vec![1; topics.len()];
                seen.lock().unwrap().filters.extend(topics);
                late(manners.suback_after, packet(0x90, &[&id, &[0], &codes]), id, &socket);
            }
            12 => {
                seen.lock().unwrap().pings += 1;
                socket.write_all(&[0xd0, 0]).ok()?;
            }
            _ => return None,
        }
    }
    None
}

async fn keep_alive_of_zero_asks_for_no_pings() {
    let broker = Broker::start(Manners { connack: vec![0x13, 0, 0], ..Manners::default() });
    let mut agent = Agent::start(to(&[plain(broker.port)]));
    agent.append(&[now_event(1, 10)]);
    assert_eq!(agent.acknowledged_until(1).await, [1]);
    // The library would have sent thousands by now.
    sleep(Duration::from_secs(2)).await;
    agent.append(&[now_event(2, 10)]);
    assert_eq!(agent.acknowledged_until(2).await, [2]);
    let (connections, pings) = broker.see(|s| (s.connections, s.pings));
    assert_eq!(connections, 1, "{}", agent.log.text());
    assert!(pings <= 1, "{pings} pings");
}

async fn keep_alive_of_the_server_is_kept() {
    let broker = Broker::start(Manners { connack: vec![0x13, 0, 1], ..Manners::default() });
    let mut agent = Agent::start(to(&[plain(broker.port)]));
    agent.connected().await;
    broker.until(&agent, "three pings", |s| s.pings >= 3).await;
    assert_eq!(broker.see(|s| s.connections), 1, "{}", agent.log.text());
}

async fn broker_without_retained_messages_is_connected_to() {
    let manners = [
        // It refuses the will.
        (Manners { refuse_retained_will: Some(0x9a), ..Manners::default() }, 2),
        (Manners { refuse_retained_will: Some(0x9a), connack: vec![0x25, 0], ..Manners::default() }, 2),
        // It takes the will, and says that it keeps nothing.
        (Manners { connack: vec![0x25, 0], ..Manners::default() }, 1),
    ];
    for (manners, connections) in manners {
        let retains = manners.connack.is_empty();
        let broker = Broker::start(manners);
        let mut agent = Agent::start(to(&[plain(broker.port)]));
        agent.append(&[now_event(1, 10)]);
        assert_eq!(agent.acknowledged_until(1).await, [1]);
        broker.until(&agent, "the state", |s| s.messages.iter().any(|m| m.0.ends_with("/state"))).await;
        assert_eq!(broker.see(|s| s.connections), connections);
        assert!(!broker.see(|s| s.messages.iter().any(|m| m.1)), "nothing is retained");
        let said = agent.log.text().matches("keeps no retained messages").count();
        assert_eq!(said, 1, "{retains}: {}", agent.log.text());
    }
}

async fn broker_with_few_filters_a_packet_gets_all_subscriptions() {
    // One filter for each level of the area, and our own.
    let area = "a/b/c/d/e/f/g/h/i";
    for filters in [8, 3, 1] {
        let broker = Broker::start(Manners { filters, ..Manners::default() });
        let mut agent = Agent::start_in(to(&[plain(broker.port)]), None, Some(area));
        broker.until(&agent, "all filters", |s| s.filters.len() >= 11).await;
        agent.append(&[now_event(1, 10)]);
        assert_eq!(agent.acknowledged_until(1).await, [1]);
        let (connections, accepted) = broker.see(|s| (s.connections, s.accepted));
        // 8 at once, else it is found by halves.
        let expected = match filters {
            8 => 1,
            3 => 3,
            _ => 4,
        };
        assert_eq!((connections, accepted), (expected, expected), "{filters}: {}", agent.log.text());
    }
}

/// Waits until the messages 1 to `count` are acknowledged, in any order.
async fn all_acknowledged(agent: &mut Agent, count: u64) {
    let mut taken = BTreeSet::new();
    while taken != (1..=count).collect() {
        match tokio::time::timeout(Duration::from_secs(150), agent.saw.recv()).await {
            Ok(Some(Observation::Acknowledged { number })) => taken.insert(number),
            Ok(Some(Observation::GivenUp { number })) => panic!("{number} is given up: {}", agent.log.text()),
            Ok(Some(_)) => continue,
            other => panic!("{other:?}; {taken:?}; log:\n{}", agent.log.text()),
        };
    }
}

async fn slow_acknowledgements_get_through() {
    for (after, count) in proof(&[(5_u64, 24_u64)][..], &[(5, 24), (20, 4)]).iter().copied() {
        let broker =
            Broker::start(Manners { puback_after: Duration::from_secs(after), ..Manners::default() });
        let mut agent = Agent::start(to(&[plain(broker.port)]));
        agent.append(&(1..=count).map(|n| now_event(n, 10)).collect::<Vec<_>>());
        let began = monotonic_ms();
        all_acknowledged(&mut agent, count).await;
        let took = (monotonic_ms() - began) / 1_000;
        let sent = broker.see(|s| s.messages.iter().filter(|m| m.0.ends_with("/event")).count());
        println!("acknowledged after {after} s each: {count} messages in {took} s, sent {sent} times");
        println!("figure delivery.slow_ack_s {took} s");
        assert!(took <= 150, "{took} s");
        assert!(sent <= 2 * count as usize + 16, "{sent} for {count}");
        assert_eq!(agent.waiting(), 0);
    }
}

async fn packet_ids_are_unique_with_any_receive_maximum() {
    for most in [1, 2, 3, 8] {
        let broker = Broker::start(Manners {
            connack: vec![0x21, 0, most],
            filters: 2,
            suback_after: Duration::from_millis(300),
            puback_after: Duration::from_millis(20),
            ..Manners::default()
        });
        let mut agent = Agent::start_in(to(&[plain(broker.port)]), None, Some("a/b/c"));
        agent.append(&(1..=30).map(|n| now_event(n, 10)).collect::<Vec<_>>());
        all_acknowledged(&mut agent, 30).await;
        broker.until(&agent, "all filters", |s| s.filters.len() >= 5).await;
        assert_eq!(broker.see(|s| s.used_twice), 0, "Receive Maximum {most}");
    }
}

/// A callback with all the evidence that one may have.
fn large_callback(n: u64) -> Critical {
    let mut critical = callback(n, BOOT, monotonic_ms(), 300);
    let Message::Callback(c) = &mut critical.message else { unreachable!() };
    // As long as they are in the world.
    let boot_id = "03e8d1f2-5c1a-4b7e-9d27-6a1f0c9b4e55";
    c.time.boot_id = boot_id.into();
    c.opened.boot_id = boot_id.into();
    let at = Stamp { wall: None, synced: false, boot_id: boot_id.into(), uptime_ms: 1 };
    let fact =
        Fact { at, name: "echo.silent".into(), subject: "198.51.100.1".into(), detail: "z".repeat(100) };
    c.evidence.facts = vec![fact; 12];
    c.evidence.samples = vec![json!({"line_bps": 1}); 12];
    c.issues[0].description = "宽带中断：暂时没有从运营商网络获取到上网地址；".repeat(6);
    critical
}

async fn small_packets_carry_every_critical_message() {
    for most in [600_usize, 640, 1_024, 2_000] {
        let broker = Broker::start(Manners {
            connack: [&[0x27][..], &u32::try_from(most).unwrap().to_be_bytes()].concat(),
            largest_connect: Some((most, Some(0x95))),
            largest: most,
            ..Manners::default()
        });
        let mut agent = Agent::start(to(&[plain(broker.port)]));
        agent.append(&[large_callback(1), now_event(2, 2_000), large_callback(3)]);
        all_acknowledged(&mut agent, 3).await;
        broker.until(&agent, "the state", |s| s.messages.iter().any(|m| m.0.ends_with("/state"))).await;
        let (accepted, largest) = broker.see(|s| (s.accepted, s.largest));
        println!("packets of at most {most} bytes: the largest had {largest}, {accepted} connections");
        assert_eq!(accepted, 1, "{}", agent.log.text());
        let call =
            broker.see(|s| s.messages.iter().find(|m| m.2["id"] == "gw-0001/CB20261120-001/1").cloned());
        let call = call.expect("the callback").2;
        assert_eq!((&call["state"], &call["severity"]), (&json!("requested"), &json!("urgent")));
        assert_eq!(call["issues"][0]["code"], "outage.access");
        let described = call["issues"][0]["description"].as_str().unwrap().starts_with("宽带中断");
        assert!(described || call["shortened"] == true, "{call}");
        // With its Python package, the messages are also held against their schemas.
        if validator::python().is_some() {
            let messages = broker.see(|s| s.messages.clone());
            let critical = messages.into_iter().filter(|(topic, ..)| !topic.ends_with("/state"));
            let cases: Vec<_> = critical.map(|(topic, _, message)| Case::ours(topic, message)).collect();
            println!("{}", validator::validate(&cases).unwrap_or_else(|why| panic!("{why}")));
        }
    }
}

async fn broker_without_room_for_anything_is_said_once() {
    let most = 200_u32;
    let broker = Broker::start(Manners {
        connack: [&[0x27][..], &most.to_be_bytes()].concat(),
        largest: most as usize,
        ..Manners::default()
    });
    let mut agent = Agent::start(to(&[plain(broker.port)]));
    agent.append(&[now_event(1, 10), now_event(2, 10)]);
    agent.connected().await;
    agent.log.wait_for("messages wait until the broker's limit is raised").await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(broker.see(|s| (s.connections, s.messages.len())), (1, 0), "{}", agent.log.text());
    assert_eq!(agent.waiting(), 2, "nothing is lost");
}

async fn broker_that_closes_on_a_large_connect_gets_a_shorter_will() {
    for code in [None, Some(0x95)] {
        let broker = Broker::start(Manners { largest_connect: Some((400, code)), ..Manners::default() });
        let mut agent = Agent::start(to(&[plain(broker.port)]));
        agent.append(&[now_event(1, 10)]);
        assert_eq!(agent.acknowledged_until(1).await, [1], "{code:?}");
        let connections = broker.see(|s| s.connections);
        assert!(connections <= 4, "{code:?}: {connections}");
    }
}

async fn properties_of_any_size_and_kind_do_no_harm() {
    let text = |property: u8, text: &[u8]| {
        [&[property][..], &u16::try_from(text.len()).unwrap().to_be_bytes(), text].concat()
    };
    let user = |name: &str, value: &[u8]| {
        let value = text(0, value).split_off(1);
        [text(0x26, name.as_bytes()), value].concat()
    };
    let nasty = b"\n2026-01-01 WARN forged \x1b[2J line";
    let long = "r".repeat(9_000);
    let connack = [
        // Topic alias maximum, session expiry, assigned client id, no wildcards, no shared subscriptions, no ids.
        vec![0x22, 0, 10, 0x11, 0, 0, 0, 60],
        text(0x12, b"another-name"),
        vec![0x28, 0, 0x2a, 0, 0x29, 0],
        text(0x1f, long.as_bytes()),
        user("a", nasty),
        user("b", long.as_bytes()),
        text(0x1a, b"response/information"),
        text(0x1c, b"other.broker.example:1883"),
    ]
    .concat();
    let puback = [text(0x1f, nasty), user("c", long.as_bytes())].concat();
    let broker = Broker::start(Manners { connack, puback, ..Manners::default() });
    let mut agent = Agent::start(to(&[plain(broker.port)]));
    agent.append(&(1..=20).map(|n| now_event(n, 10)).collect::<Vec<_>>());
    all_acknowledged(&mut agent, 20).await;
    assert_eq!(broker.see(|s| s.connections), 1, "{}", agent.log.text());
    assert!(!agent.log.text().contains("\u{1b}[2J"), "control characters in the log");
    let ids = broker.see(|s| s.messages.iter().filter(|m| m.2["id"] == id_of(1)).count());
    assert_eq!(ids, 1);
}

/// 0x8E after each connection: another gateway has the id. The session is left to it for a while, and the platform is told.
async fn second_gateway_with_the_same_id_gets_its_turn() {
    let broker = Broker::start(Manners { ends_with: Some(0x8e), ..Manners::default() });
    let mut agent = Agent::start(to(&[plain(broker.port)]));
    agent.append(&[now_event(1, 10)]);
    loop {
        if let Observation::PartSeen { part, trouble } = agent.saw().await {
            let trouble = trouble.expect("a trouble");
            assert_eq!(part, Part::Broker);
            assert!(trouble.contains("second gateway") && trouble.contains("gw-0001"), "{trouble}");
            break;
        }
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(broker.see(|s| s.connections), 1, "{}", agent.log.text());
    assert_eq!(agent.waiting(), 1);
}

async fn password_file_that_others_may_change_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("password");
    std::fs::write(&file, "secret\n").unwrap();
    let broker = Broker::start(Manners::default());
    let mut mqtt = to(&[plain(broker.port)]);
    mqtt.login = Some(("gw".into(), file.clone()));
    let allow = |mode: u32| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    allow(0o666);
    let mut agent = Agent::start(mqtt);
    agent.log.wait_for("can be written by others (mode 666): chmod 600 it").await;
    assert_eq!(broker.see(|s| s.connections), 0);
    // It is read anew with each attempt.
    allow(0o644);
    agent.connected().await;
    agent.log.wait_for("can be read by everybody (mode 644)").await;
}
