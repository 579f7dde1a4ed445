//! A shaped line with a speed server beyond it and a customer behind the gateway, for tests and benchmarks.
#![allow(dead_code, reason = "each test and benchmark uses a part of it")]

use super::agent_binary;
pub use super::trial::is_installed;
use linekeeper::sense::throughput::{Progress, Server, Stop, Url, WanDevice, measure};
use linekeeper_contract::units::{Bytes, Rate, Span};
use linekeeper_contract::vocabulary::Direction;
use linekeeper_judge::speed::{Figures, SpeedEnded, SpeedOrder, SpeedOutcome, TestId};
use linekeeper_lab::speed_server::Manner;
use linekeeper_lab::world::{ANCHOR, Host, LAN_HOST, Process, WAN, WORLD, World, ip};
use linekeeper_lab::{Error, clock};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The share of `tbf`'s rate that is left to the IP layer with full packets.
pub const IP_LAYER: f64 = 1500.0 / 1514.0;
const PORT: u16 = 80;

pub const fn mbit(n: u64) -> Rate {
    Rate(n * 1_000_000)
}

pub struct Line {
    pub world: Arc<World>,
    server: Option<Process>,
    pub server_name: &'static str,
}

impl Line {
    pub fn new() -> Line {
        let world = World::build(Path::new(agent_binary())).expect("the world");
        Line { world: Arc::new(world), server: None, server_name: "none" }
    }

    /// nginx if it is installed, else the lab's own.
    pub fn serve(&mut self) {
        self.server = None;
        if is_installed("nginx") {
            self.server = Some(self.nginx("", PORT));
            self.server_name = "nginx";
        } else {
            self.misbehave(Manner::Good);
            self.server_name = "the lab's server";
        }
        self.wait_for_server();
    }

    pub fn wait_for_server(&self) {
        let place = SocketAddr::new(ANCHOR.into(), PORT);
        let there = || self.world.run_in(Host::Anchor, || TcpStream::connect(place).is_ok()).unwrap_or(false);
        assert!(clock::wait_until(Duration::from_secs(20), there), "the test server does not listen");
    }

    pub fn nginx(&self, extra: &str, port: u16) -> Process {
        let home = self.world.directory().join(format!("nginx-{port}"));
        let root = home.join("root");
        std::fs::create_dir_all(&root).expect("nginx's directory");
        let file = std::fs::File::create(root.join("download")).expect("the object");
        file.set_len(100_000_000).expect("the object's length");
        let text = format!(
            "daemon off; master_process off; pid {h}/pid; error_log {h}/error.log; user root;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; default_type application/octet-stream; sendfile on; client_body_temp_path {h}/body;\n\
             proxy_temp_path {h}/p; fastcgi_temp_path {h}/f; uwsgi_temp_path {h}/u; scgi_temp_path {h}/s;\n\
             server {{ listen {port} {ssl}; listen [::]:{port} {ssl}; root {h}/root; {extra}\n\
             location = /upload {{ client_max_body_size 0; return 204; }} }} }}\n",
            h = home.display(),
            ssl = if extra.contains("ssl_certificate") { "ssl" } else { "" },
        );
        let config = home.join("nginx.conf");
        std::fs::write(&config, text).expect("nginx.conf");
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).stdin(Stdio::null()).stderr(Stdio::null());
        self.world.spawn_in(Host::Anchor, &mut command).expect("nginx")
    }

    /// The lab's server in this manner.
    pub fn misbehave(&mut self, manner: Manner) {
        self.server = None;
        let place = format!("0.0.0.0:{PORT}");
        let mut command = Command::new(agent_binary());
        command.args(["lab", "speed-server", "--listen", &place, "--manner", manner.as_str()]);
        self.server = Some(self.world.spawn_in(Host::Anchor, &mut command).expect("the lab's server"));
        self.server_name = "the lab's server";
        self.wait_for_server();
    }

    pub fn silence(&mut self) {
        self.server = None;
    }

    pub fn device(&self) -> WanDevice {
        let said = ip(Host::Gateway, &["-o", "link", "show", "dev", WAN]).expect("the WAN device");
        let index = said.split(':').next().and_then(|n| n.trim().parse().ok()).expect("its index");
        WanDevice { name: WAN.to_owned(), index, interface: None }
    }

    pub fn test(&self, test: Test) -> Run {
        self.test_beside(test, None)
    }

    /// Notes at each progress how much of the customer's has arrived.
    pub fn test_beside(&self, test: Test, customer: Option<&Customer>) -> Run {
        let device = self.device();
        let order = SpeedOrder {
            test: TestId(7),
            server: 0,
            direction: test.direction,
            enough: test.enough,
            seconds_most: test.seconds,
            bytes_most: test.bytes,
            gives_way: test.gives_way,
        };
        let url = test.url.clone().unwrap_or_else(|| format!("http://{ANCHOR}/"));
        let server = Server { url: Url::parse(&url).expect("a URL"), ca: test.ca.clone() };
        let run = self.world.run_in(Host::Gateway, move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let run = runtime.block_on(async {
                let (progress, mut told) = mpsc::channel::<Progress>(16);
                let (go, stop) = watch::channel(Stop::No);
                let watching = async {
                    let mut seen = Vec::new();
                    while let Some(progress) = told.recv().await {
                        if test.stop_after.is_some_and(|after| progress.took >= after) {
                            let _ = go.send(Stop::Aborted);
                        }
                        seen.push((progress, clock::uptime(), customer.map_or(0.0, Customer::arrived)));
                    }
                    seen
                };
                let (ended, progress) =
                    tokio::join!(measure(&order, &server, &device, progress, stop), watching);
                Run { ended, progress }
            });
            runtime.shutdown_background();
            run
        });
        run.expect("the gateway")
    }
}

pub struct Test {
    pub direction: Direction,
    pub enough: Option<Rate>,
    pub seconds: Span,
    pub bytes: Bytes,
    pub url: Option<String>,
    pub ca: Option<std::path::PathBuf>,
    pub stop_after: Option<Span>,
    pub gives_way: Option<Rate>,
}

impl Test {
    pub fn of(direction: Direction) -> Test {
        Test {
            direction,
            enough: None,
            seconds: Span::seconds(6),
            bytes: Bytes(2_000_000_000),
            url: None,
            ca: None,
            stop_after: None,
            gives_way: None,
        }
    }
}

pub struct Run {
    pub ended: SpeedEnded,
    /// With when, and what of the customer's had arrived then.
    pub progress: Vec<(Progress, Duration, f64)>,
}

impl Run {
    pub fn figures(&self) -> Result<&Figures, String> {
        match &self.ended.outcome {
            SpeedOutcome::Measured(figures) => Ok(figures),
            SpeedOutcome::Failed { reason, detail, .. } => Err(format!("{reason:?}: {detail}")),
        }
    }

    /// The customer's rate from the third second on, bit/s: as the daemon reported it, and as it arrived.
    pub fn customer(&self) -> (f64, f64) {
        let told: Vec<f64> = self
            .progress
            .iter()
            .filter(|p| p.0.took >= Span::seconds(3))
            .map(|p| p.0.customer.0 as f64)
            .collect();
        // Each report covers the second before it.
        let mut later = self.progress.iter().filter(|p| p.0.took >= Span::millis(2_500));
        let truth = match (later.next(), self.progress.last()) {
            (Some(a), Some(b)) => (b.2 - a.2) * 8.0 / b.1.saturating_sub(a.1).as_secs_f64().max(1e-3),
            _ => 0.0,
        };
        (told.iter().sum::<f64>() / told.len().max(1) as f64, truth)
    }
}

/// How a customer's traffic goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Udp,
    Tcp,
}

/// Traffic of the customer's until it is dropped.
pub struct Customer {
    end: Arc<AtomicBool>,
    /// Payload that came to its end.
    arrived: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<Result<(), Error>>>,
    kind: Kind,
}

impl Customer {
    pub fn start(world: &Arc<World>, kind: Kind, direction: Direction, rate: Rate) -> Customer {
        let (from, to, address) = match direction {
            Direction::Download => (Host::World, Host::Lan, LAN_HOST),
            Direction::Upload => (Host::Lan, Host::World, WORLD),
        };
        let end = Arc::new(AtomicBool::new(false));
        let arrived = Arc::new(AtomicUsize::new(0));
        let listening = Arc::new(AtomicBool::new(false));
        let sink = {
            let (world, end, arrived, listening) =
                (world.clone(), end.clone(), arrived.clone(), listening.clone());
            std::thread::spawn(move || {
                world.run_in(to, || swallow(kind, address, &end, &arrived, &listening))
            })
        };
        assert!(clock::wait_until(Duration::from_secs(10), || listening.load(Ordering::SeqCst)));
        let source = {
            let (world, end) = (world.clone(), end.clone());
            std::thread::spawn(move || world.run_in(from, || pour(kind, address, rate, &end)))
        };
        Customer { end, arrived, threads: vec![sink, source], kind }
    }

    /// Bytes at the IP layer that arrived so far.
    pub fn arrived(&self) -> f64 {
        self.arrived.load(Ordering::SeqCst) as f64
            * match self.kind {
                Kind::Udp => 1428.0 / 1400.0,
                Kind::Tcp => 1500.0 / 1448.0,
            }
    }
}

impl Drop for Customer {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One read from a socket of either kind, and one write.
type Reading = Box<dyn FnMut(&mut [u8]) -> std::io::Result<usize>>;
type Writing = Box<dyn FnMut(&[u8]) -> std::io::Result<usize>>;

const CUSTOMER_PORT: u16 = 5001;

fn swallow(kind: Kind, at: Ipv4Addr, end: &AtomicBool, arrived: &AtomicUsize, listening: &AtomicBool) {
    let mut room = vec![0; 65_536];
    let patience = Some(Duration::from_millis(100));
    let mut take = |mut read: Reading| {
        while !end.load(Ordering::SeqCst) {
            if let Ok(n) = read(&mut room) {
                arrived.fetch_add(n, Ordering::SeqCst);
            }
        }
    };
    match kind {
        Kind::Udp => {
            let socket = UdpSocket::bind((at, CUSTOMER_PORT)).expect("the customer's socket");
            socket.set_read_timeout(patience).expect("its timeout");
            listening.store(true, Ordering::SeqCst);
            take(Box::new(move |room| socket.recv(room)));
        }
        Kind::Tcp => {
            let listener = TcpListener::bind((at, CUSTOMER_PORT)).expect("the customer's socket");
            listening.store(true, Ordering::SeqCst);
            let (mut stream, _) = listener.accept().expect("the customer's connection");
            stream.set_read_timeout(patience).expect("its timeout");
            take(Box::new(move |room| stream.read(room)));
        }
    }
}

fn pour(kind: Kind, to: Ipv4Addr, rate: Rate, end: &AtomicBool) {
    let began = clock::uptime();
    let mut poured = 0u64;
    let mut pace = |mut write: Writing| {
        let packet = [7; 1400];
        while !end.load(Ordering::SeqCst) {
            // At the IP layer.
            let due = (clock::since(began).as_secs_f64() * rate.0 as f64 / 8.0) as u64;
            if due.saturating_sub(poured) > rate.0 / 8 / 5 {
                // Far behind schedule: do not catch up with a burst.
                poured = due;
            }
            while poured + 1428 <= due {
                match write(&packet) {
                    Ok(_) => poured += 1428,
                    Err(_) => break,
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    match kind {
        Kind::Udp => {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("the customer's socket");
            pace(Box::new(move |bytes| socket.send_to(bytes, (to, CUSTOMER_PORT))));
        }
        Kind::Tcp => {
            let mut stream = TcpStream::connect((to, CUSTOMER_PORT)).expect("the customer's connection");
            stream.set_nodelay(true).expect("its option");
            stream.set_write_timeout(Some(Duration::from_millis(100))).expect("its timeout");
            pace(Box::new(move |bytes| stream.write(bytes)));
        }
    }
}
