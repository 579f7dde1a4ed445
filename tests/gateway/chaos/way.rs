//! The way to the platform: a broker that can be killed, a proxy that cuts, and the ear at the other end.

use serde_json::Value;
use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Far above what anything here takes, on any machine.
pub const LONG_MS: u64 = 120_000;

pub fn monotonic_ms() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap() * 1_000 + u64::try_from(t.tv_nsec).unwrap() / 1_000_000
}

/// Waits until `done`; says what was waited for when it does not come.
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let began = monotonic_ms();
    while !done() {
        assert!(monotonic_ms() - began < LONG_MS, "{what}: not within {LONG_MS} ms");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Debian's mosquitto, which hands a message to its subscriber's socket before it acknowledges it.
pub struct Broker {
    process: Child,
    file: PathBuf,
    pub port: u16,
}

impl Broker {
    /// The network is this test's own: `port` lies below those that the kernel gives to connections.
    pub fn start(room: &Path, port: u16) -> Broker {
        let file = room.join("mosquitto.conf");
        let text = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_inflight_messages 0\n\
             max_queued_messages 0\nset_tcp_nodelay true\n"
        );
        fs::write(&file, text).unwrap();
        let process = Broker::spawn(&file);
        let broker = Broker { process, file, port };
        broker.listens();
        broker
    }

    fn spawn(file: &Path) -> Child {
        Command::new("mosquitto")
            .arg("-c")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn listens(&self) {
        wait("mosquitto listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub fn up(&mut self) {
        self.process = Broker::spawn(&self.file);
        self.listens();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// After how many bytes a connection is cut, to the broker and from it.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    pub up: usize,
    pub down: usize,
}

const NEVER: Cut = Cut { up: usize::MAX, down: usize::MAX };

/// What stands between agent and broker.
pub struct Proxy {
    pub port: u16,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    open: bool,
    cuts: VecDeque<Cut>,
    sockets: Vec<TcpStream>,
    within: u64,
}

impl Proxy {
    pub fn start(to: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner: Arc<Mutex<Inner>> = Arc::default();
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut inner = shared.lock().unwrap();
                if !inner.open {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let cut = inner.cuts.pop_front().unwrap_or(NEVER);
                inner.sockets.clear();
                for socket in [&near, &far] {
                    let _ = socket.set_nodelay(true);
                    inner.sockets.push(socket.try_clone().unwrap());
                }
                let (near_again, far_again) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                for (from, to, budget) in [(near, far, cut.up), (far_again, near_again, cut.down)] {
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || pass(from, to, budget, &shared));
                }
            }
        });
        Proxy { port, inner }
    }

    /// Closed: connections are ended, and none is taken.
    pub fn open(&self, open: bool) {
        let mut inner = self.inner.lock().unwrap();
        inner.open = open;
        inner.cuts.clear();
        drop(inner);
        if !open {
            self.cut_now();
        }
    }

    pub fn is_open(&self) -> bool {
        self.inner.lock().unwrap().open
    }

    /// The next connections are cut so.
    pub fn cut_next(&self, cuts: Vec<Cut>) {
        self.inner.lock().unwrap().cuts = cuts.into();
    }

    /// Ends the connection without a word of MQTT.
    pub fn cut_now(&self) {
        for socket in self.inner.lock().unwrap().sockets.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// How many connections were cut at their byte, since this was asked last.
    pub fn cut_within(&self) -> u64 {
        std::mem::take(&mut self.inner.lock().unwrap().within)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut budget: usize, shared: &Mutex<Inner>) {
    let mut buffer = [0; 4096];
    while let Ok(n) = from.read(&mut buffer) {
        let passes = n.min(budget);
        budget -= passes;
        if n == 0 || to.write_all(&buffer[..passes]).is_err() {
            break;
        }
        if passes < n {
            shared.lock().unwrap().within += 1;
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// One message as the platform got it.
#[derive(Debug, Clone)]
pub struct Heard {
    pub device: String,
    /// `state`, `event`, `callback`, `command/result`, …
    pub kind: String,
    pub body: Value,
}

impl Heard {
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_default()
    }

    pub fn is_critical(&self) -> bool {
        matches!(self.kind.as_str(), "event" | "callback" | "command/result")
    }
}

/// A subscriber to everything, in MQTT 5 of its own: it shares no code with what it judges. What the broker wrote into its
/// socket before it died is read to the end.
pub struct Ear {
    heard: Arc<Mutex<Vec<Heard>>>,
    reading: Option<JoinHandle<()>>,
    socket: TcpStream,
    pongs: Arc<AtomicUsize>,
}

impl Ear {
    pub fn listen(port: u16) -> Ear {
        let heard = Arc::default();
        let (socket, pongs) = Ear::subscribe(port);
        let reading = Some(Ear::read(&socket, &heard, &pongs));
        Ear { heard, reading, socket, pongs }
    }

    pub fn listen_again(&mut self, port: u16) {
        (self.socket, self.pongs) = Ear::subscribe(port);
        self.reading = Some(Ear::read(&self.socket, &self.heard, &self.pongs));
    }

    /// Returns when the subscription holds.
    fn subscribe(port: u16) -> (TcpStream, Arc<AtomicUsize>) {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // Clean start, no keep-alive, no properties, client id "ear".
        socket.write_all(b"\x10\x10\0\x04MQTT\x05\x02\0\0\0\0\x03ear").unwrap();
        // Packet 1: linekeeper/# at QoS 1, but not what was retained before.
        socket.write_all(b"\x82\x12\0\x01\0\0\x0clinekeeper/#\x21").unwrap();
        loop {
            let packet = crate::common::wire::packet(&mut socket).expect("the broker answers");
            if packet[0] >> 4 == 9 {
                assert_eq!(packet.last(), Some(&1), "subscribed at QoS 1");
                return (socket, Arc::default());
            }
        }
    }

    fn read(socket: &TcpStream, into: &Arc<Mutex<Vec<Heard>>>, pongs: &Arc<AtomicUsize>) -> JoinHandle<()> {
        let (mut socket, into, pongs) = (socket.try_clone().unwrap(), Arc::clone(into), Arc::clone(pongs));
        std::thread::spawn(move || {
            while let Some(packet) = crate::common::wire::packet(&mut socket) {
                match packet[0] >> 4 {
                    3 => {
                        let (heard, id) = published(&packet);
                        // Kept before it is acknowledged.
                        into.lock().unwrap().extend(heard);
                        if let Some(id) = id {
                            let _ = socket.write_all(&[0x40, 2, id[0], id[1]]);
                        }
                    }
                    13 => {
                        pongs.fetch_add(1, Ordering::SeqCst);
                    }
                    _ => {}
                }
            }
        })
    }

    /// Waits until all is read that the broker has acknowledged so far: its answer to a ping comes behind that.
    pub fn catch_up(&mut self) {
        let before = self.pongs.load(Ordering::SeqCst);
        self.socket.write_all(&[0xc0, 0]).expect("the broker lives");
        wait("the broker's answer to a ping", || self.pongs.load(Ordering::SeqCst) > before);
    }

    /// Waits until all that the broker sent is read; the broker is dead.
    pub fn finish(&mut self) {
        self.reading.take().unwrap().join().unwrap();
    }

    pub fn place(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    pub fn heard(&self, place: usize, device: &str) -> Vec<Heard> {
        self.heard.lock().unwrap()[place..].iter().filter(|h| h.device == device).cloned().collect()
    }

    /// Waits until the device's state counts what is given up as `counted`.
    pub fn hears_count(&self, place: usize, device: &str, counted: &Value) {
        wait(&format!("{device} says in its state that it gave up {counted}"), || {
            let heard = self.heard(place, device);
            let state = heard.iter().rfind(|h| h.kind == "state" && h.body["online"] == true);
            state.is_some_and(|h| {
                counted.as_object().unwrap().iter().all(|(what, n)| h.body["dropped"][what] == *n)
            })
        });
    }
}

/// What a PUBLISH carries, and its packet id.
fn published(packet: &[u8]) -> (Option<Heard>, Option<[u8; 2]>) {
    let topic_end = 3 + usize::from(u16::from_be_bytes([packet[1], packet[2]]));
    let topic = std::str::from_utf8(&packet[3..topic_end]).unwrap();
    let mut at = topic_end;
    let mut id = None;
    if packet[0] & 0b110 != 0 {
        id = Some([packet[at], packet[at + 1]]);
        at += 2;
    }
    // Ours have less than 128 bytes of properties.
    assert!(packet[at] < 128, "the properties of {topic}");
    at += 1 + usize::from(packet[at]);
    let heard =
        topic.strip_prefix("linekeeper/v1/").and_then(|t| t.split_once('/')).map(|(device, kind)| Heard {
            device: device.to_owned(),
            kind: kind.to_owned(),
            body: serde_json::from_slice(&packet[at..]).expect("whole messages are JSON"),
        });
    (heard, id)
}
