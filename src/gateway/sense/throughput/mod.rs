//! How fast the line is: a download from, or an upload to, a web server of the operator's.
//!
//! The server's address names a directory with two objects: `download`, a file of at least 1 MB (better 100 MB; it is
//! fetched again when it ends), and `upload`, which takes a POST and throws it away. Any web server can be one; nginx:
//!
//! ```text
//! # truncate -s 100M /srv/speed/download
//! server {
//!     listen 80;
//!     listen [::]:80;
//!     server_name speed.isp.example;
//!     root /srv/speed;
//!     default_type application/octet-stream;
//!     sendfile on;
//!     access_log off;
//!     location = /upload { client_max_body_size 0; return 204; }
//! }
//! ```
//!
//! (nginx answers 204 before the body comes and then discards it, for 30 s, `lingering_time`.)
//!
//! **How.** One to eight TCP connections, bound to the WAN device, as many as the rate needs. Every 100 ms the device's
//! counters and TCP's own (`TCP_INFO`) are read together; [`figures`] makes of them what the line carried, what of it was
//! ours and what the customer's, the best sustained second, and what limited it. Before and during the test a TCP handshake
//! now and then tells the round-trip time; it waits in the same queue as everything else.
//!
//! **What it costs.** It stops as soon as a sustained second shows that the line is good enough, and never takes more
//! seconds or bytes than it was given, whatever the server does. What was received is discarded in the kernel, what is
//! sent comes out of the page cache: a plain test copies nothing. By https every byte is decrypted here and copied: on a
//! router's processor that is most often the limit, and then said so ([`Limit::GatewayCpu`](linekeeper_contract::vocabulary::Limit)).
//! Measure by http where the operator's own network lies between.

pub(super) mod cpu;
mod figures;
pub mod head;
mod stream;
mod tcp;

pub use head::Url;
pub(in crate::sense) use head::{HEAD_MOST, Response, response};
pub(in crate::sense) use stream::connect_tcp;

use crate::clock;
use crate::sense::counters::{self, Totals};
use crate::sense::netlink::{Kernel, Question, RTM_NEWLINK};
use figures::{Aside, ETHERNET, Own, Sample, Setting};
use linekeeper_contract::units::{Bytes, Rate, Span};
use linekeeper_contract::vocabulary::{Direction, SpeedFailure};
use linekeeper_judge::speed::{SpeedEnded, SpeedOrder, SpeedOutcome};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stream::{Body, Books, First, Plan, Trouble};
use tcp::{Diag, TcpNow};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};

/// Time between two samples.
const SAMPLE: Duration = Duration::from_millis(100);

/// Connections at most. More than eight win nothing on one line and look like an attack to the server.
pub const CONNECTIONS_MOST: u8 = 8;

/// Redirections that are followed.
const REDIRECTS: u32 = 2;

/// How long a name may take to resolve: two attempts of a stub resolver's 5 s would be the whole test.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

/// No payload for so long, and the server counts as dead.
///
/// 3 s: longer than any land line's queue; TCP has sent everything again three times by then.
const SILENCE: Duration = Duration::from_secs(3);

/// Connections that may break before the test is given up. One can be bad luck, three are the server.
const BREAKS: u32 = 3;

/// Handshakes before the test, and the most time that they may take together.
const IDLE_ROUNDS: usize = 5;
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// Time between two handshakes under load. At four in a second they are 10 kbit/s.
const LOADED_EVERY: Duration = Duration::from_millis(250);

/// Handshakes that are remembered: those of four minutes.
const ROUNDS_MOST: usize = 1000;

/// What the payload is at least multiplied with, in hundredths, for what it costs at the IP layer with headers (3.6 % at
/// 1448 bytes) and acknowledgements (up to 3.6 %, one for each second segment and more).
const OVERHEAD: u64 = 107;

/// Of the bytes that are left, this time's worth is left to what is under way when the test ends: a line's queue, and a
/// sample that comes late.
const UNDER_WAY: Duration = Duration::from_millis(200);

/// An upload within its bytes is over when all but this have arrived: the last segments, bytes.
const LEFTOVER: u64 = 64 * 1024;

/// The customer's part of the last second has to stay above [`SpeedOrder::gives_way`] for so long: together two seconds, in
/// which a page is loaded and a film is not.
const IN_EARNEST: Duration = Duration::from_secs(1);

/// A server and how to trust it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The directory.
    pub url: Url,
    /// For https: the authority to trust, instead of the system's.
    pub ca: Option<PathBuf>,
}

/// The WAN device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name; the connections are bound to it.
    pub name: String,
    /// The kernel's number for it.
    pub index: u32,
}

/// How a test goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Since its beginning.
    pub took: Span,
    /// Of the last second: all of the line, our part, the customer's.
    pub line: Rate,
    /// Our part.
    pub own: Rate,
    /// The customer's.
    pub customer: Rate,
    /// What it has cost so far.
    pub cost: Bytes,
    /// Connections that are open.
    pub connections: u8,
}

/// Whether a test is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// On.
    #[default]
    No,
    /// End: the customer needs the line.
    CustomerBusy,
    /// End: for any other reason.
    Aborted,
}

fn gave_way() -> Trouble {
    Trouble::new(SpeedFailure::CustomerBusy, "the customer began to use the line: the test gave way")
}

impl Stop {
    fn trouble(self) -> Option<Trouble> {
        match self {
            Stop::No => None,
            Stop::CustomerBusy => Some(gave_way()),
            Stop::Aborted => Some(Trouble::new(SpeedFailure::Aborted, "the test was told to end")),
        }
    }
}

/// Carries out a test and says how it ended. Dropped, it ends at once and leaves nothing.
///
/// Tells its progress ten times a second to who has room for it. Ends when `stop` says so; when the sender of `stop` is gone,
/// nobody can.
pub async fn measure(
    order: &SpeedOrder,
    server: &Server,
    device: &Device,
    progress: mpsc::Sender<Progress>,
    stop: watch::Receiver<Stop>,
) -> SpeedEnded {
    let began = clock::since_boot();
    let mut test = Test {
        order,
        device,
        began,
        progress,
        gauge: Gauge::new(device.index),
        samples: Vec::new(),
        aside: Aside::default(),
        cost: 0,
    };
    let limit: Duration = order.seconds_most.into();
    let mut stopped = stop.clone();
    let preparing = test.prepare(server);
    let plan = tokio::select! {
        prepared = timeout(limit, preparing) => prepared.unwrap_or_else(|_| {
            Err(Trouble::new(SpeedFailure::ServerUnreachable, format!("{} was not ready within {}", server.url, order.seconds_most)))
        }),
        trouble = told(&mut stopped) => Err(trouble),
    };
    let outcome = match plan {
        Ok(plan) => test.run(plan, stop).await,
        Err(trouble) => Err(trouble),
    };
    let outcome = match outcome {
        Ok(figures) => SpeedOutcome::Measured(figures),
        Err(Trouble { reason, detail, retry_after }) => SpeedOutcome::Failed { reason, detail, retry_after },
    };
    let took = clock::since_boot().saturating_sub(began);
    SpeedEnded {
        test: order.test,
        server: order.server,
        direction: order.direction,
        cost: Bytes(test.cost),
        took: Span(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        outcome,
    }
}

/// Waits until `stop` says so.
async fn told(stop: &mut watch::Receiver<Stop>) -> Trouble {
    loop {
        let now = *stop.borrow_and_update();
        if let Some(trouble) = now.trouble() {
            return trouble;
        }
        if stop.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

struct Test<'a> {
    order: &'a SpeedOrder,
    device: &'a Device,
    began: Duration,
    progress: mpsc::Sender<Progress>,
    gauge: Gauge,
    samples: Vec<Sample>,
    aside: Aside,
    cost: u64,
}

impl Test<'_> {
    /// Finds the server, looks whether it is one, and measures the idle round trip.
    async fn prepare(&mut self, server: &Server) -> Result<Arc<Plan>, Trouble> {
        let upload = self.order.direction == Direction::Upload;
        if self.device.index == 0 || self.device.name.is_empty() {
            return Err(Trouble::new(SpeedFailure::Local, "there is no WAN device"));
        }
        let mut url = server.url.object(if upload { "upload" } else { "download" });
        let mut redirects = 0;
        loop {
            let plan = Arc::new(Plan {
                address: resolve(&url, &self.device.name).await?,
                device: self.device.name.clone(),
                tls: if url.tls { Some(stream::trust(server.ca.as_deref())?) } else { None },
                body: if upload { Body::noise(!url.tls) } else { Body::none() },
                announced: self.order.bytes_most.0.max(1),
                books: Mutex::new(Books {
                    payload_most: self.order.bytes_most.0 * 100 / OVERHEAD,
                    ..Books::default()
                }),
                url: url.clone(),
            });
            match stream::knock(&plan, upload).await? {
                First::Good => {
                    self.idle(&plan).await;
                    return Ok(plan);
                }
                First::Redirect(to) => {
                    redirects += 1;
                    if redirects > REDIRECTS {
                        return Err(Trouble::new(
                            SpeedFailure::ServerAnswer,
                            format!(
                                "{} redirects more than {REDIRECTS} times, at last to {to:?}",
                                server.url
                            ),
                        ));
                    }
                    url = url.redirected(&to).map_err(|why| {
                        Trouble::new(
                            SpeedFailure::ServerAnswer,
                            format!("{url} redirects where we do not follow: {why}"),
                        )
                    })?;
                }
            }
        }
    }

    async fn idle(&mut self, plan: &Plan) {
        let rounds = async {
            for _ in 0..IDLE_ROUNDS {
                if let Some(us) = round_trip(&mut self.gauge.diag, plan.address, self.device).await {
                    self.aside.idle_us.push(us);
                }
            }
        };
        let _ = timeout(IDLE_LIMIT, rounds).await;
    }

    async fn run(
        &mut self,
        plan: Arc<Plan>,
        mut stop: watch::Receiver<Stop>,
    ) -> Result<linekeeper_judge::speed::Figures, Trouble> {
        let order = self.order;
        let limit: Duration = order.seconds_most.into();
        let mut setting = Setting {
            direction: order.direction,
            link_header: self.gauge.link_header()?,
            headers: if plan.address.is_ipv6() { 72 } else { 52 },
            kernel: true,
        };
        let mut workers: JoinSet<Result<(), Trouble>> = JoinSet::new();
        let mut pings: JoinSet<()> = JoinSet::new();
        let (ping, mut loaded) = mpsc::channel(8);
        pings.spawn(ping_on(plan.address, self.device.clone(), ping));
        let mut tick = tokio::time::interval(SAMPLE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut breaks = 0;
        let mut first_trouble = None;
        let mut moved = (0, clock::since_boot());
        let mut customer_since = None;
        let mut wanted = order.enough.map_or(1, |enough| connections_for(enough.0 as f64));
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                Some(us) = loaded.recv() => {
                    if self.aside.loaded_us.len() < ROUNDS_MOST {
                        self.aside.loaded_us.push(us);
                    }
                    continue;
                }
                Some(ended) = workers.join_next(), if !workers.is_empty() => match ended {
                    // The bytes are used up: one last sample tells how it was.
                    Ok(Ok(())) => {
                        self.sample(&plan, &mut setting)?;
                        break;
                    }
                    Ok(Err(trouble)) => {
                        breaks += 1;
                        let first = first_trouble.get_or_insert(trouble).clone();
                        // Who asks us to come later means it, unless others go on: then it is that many and no more.
                        if breaks >= BREAKS || workers.is_empty() && self.samples.last().is_none_or(|s| s.own.payload == 0) {
                            self.sample(&plan, &mut setting)?;
                            return Err(first);
                        }
                        wanted = wanted.min(u8::try_from(workers.len()).unwrap_or(CONNECTIONS_MOST).max(1));
                        continue;
                    }
                    Err(e) => return Err(Trouble::new(SpeedFailure::Local, format!("a connection's work ended: {e}"))),
                },
                trouble = told(&mut stop) => {
                    self.sample(&plan, &mut setting)?;
                    return Err(trouble);
                }
            }
            self.sample(&plan, &mut setting)?;
            let Some(last) = self.samples.last() else { continue };
            let (now, payload) = (last.at, last.own.payload);
            if payload > moved.0 {
                moved = (payload, now);
            } else if now.saturating_sub(moved.1) >= SILENCE {
                return Err(first_trouble.unwrap_or_else(|| {
                    let words = format!("{} fell silent after {payload} bytes", plan.url);
                    Trouble::new(SpeedFailure::ServerUnreachable, words)
                }));
            }
            let open = u8::try_from(workers.len()).unwrap_or(CONNECTIONS_MOST);
            if let Some((rates, over)) = figures::last_second(&self.samples, &setting) {
                self.tell(&rates, now, open);
                let theirs = order.gives_way.is_some_and(|most| rates.customer > most.0 as f64);
                if !theirs || over < figures::WINDOW_LEAST {
                    customer_since = None;
                } else if now.saturating_sub(*customer_since.get_or_insert(now)) >= IN_EARNEST {
                    return Err(gave_way());
                }
                if breaks == 0 {
                    wanted = wanted.max(connections_for(self.recent(&setting).max(rates.own)));
                }
                // What is under way when we hang up still arrives.
                let reserve = (rates.own / 8.0 * UNDER_WAY.as_secs_f64()) as u64;
                let most = order.bytes_most.0;
                let reserve = reserve.min(most / 4);
                let mut books = plan.books();
                books.payload_most = (most - reserve) * 100 / OVERHEAD;
                // An upload has given all it may to its sockets; it is over when that has arrived.
                let all = books.payload >= books.payload_most && payload + LEFTOVER >= books.payload;
                if self.cost + reserve >= most || all {
                    break;
                }
            }
            if let Some(enough) = order.enough
                && figures::shows(&self.samples, &setting, enough)
            {
                self.aside.stopped_early = true;
                break;
            }
            if now.saturating_sub(self.began) + SAMPLE > limit {
                break;
            }
            for _ in open..wanted.min(open + 2).min(CONNECTIONS_MOST) {
                let plan = plan.clone();
                match order.direction {
                    Direction::Download => workers.spawn(stream::download(plan)),
                    Direction::Upload => workers.spawn(stream::upload(plan)),
                };
            }
            self.aside.connections =
                self.aside.connections.max(u8::try_from(workers.len()).unwrap_or(CONNECTIONS_MOST));
        }
        // Not one byte more than is needed.
        workers.shutdown().await;
        pings.shutdown().await;
        while let Ok(us) = loaded.try_recv() {
            self.aside.loaded_us.push(us);
        }
        figures::figures(&self.samples, &setting, &self.aside).ok_or_else(|| {
            first_trouble.unwrap_or_else(|| {
                Trouble::new(
                    SpeedFailure::ServerUnreachable,
                    format!("no bytes passed to or from {} in time", plan.url),
                )
            })
        })
    }

    /// Our own rate over the last 300 ms, bit/s.
    fn recent(&self, setting: &Setting) -> f64 {
        let from = self.samples.len().saturating_sub(4);
        figures::last_second(&self.samples[from..], setting).map_or(0.0, |(rates, _)| rates.own)
    }

    fn sample(&mut self, plan: &Plan, setting: &mut Setting) -> Result<(), Trouble> {
        let sample = self.gauge.sample(plan, setting)?;
        self.aside.window = self.aside.window.max(self.gauge.window);
        self.cost = sample.own.cost;
        self.samples.push(sample);
        Ok(())
    }

    fn tell(&self, rates: &figures::Rates, now: Duration, connections: u8) {
        let rate = |r: f64| Rate(r.max(0.0) as u64);
        let took = now.saturating_sub(self.began).as_millis();
        // Who has no room has not looked at the last one yet.
        let _ = self.progress.try_send(Progress {
            took: Span(u64::try_from(took).unwrap_or(u64::MAX)),
            line: rate(rates.line),
            own: rate(rates.own),
            customer: rate(rates.customer),
            cost: Bytes(self.cost),
            connections,
        });
    }
}

/// How many connections a rate needs.
///
/// One fills a slow line; each further one makes a single loss (which halves a connection's rate) matter less and lifts the
/// limit of one window. Counts as speed tests of providers have them: 1 to 8.
fn connections_for(rate: f64) -> u8 {
    match rate / 1e6 {
        r if r < 4.0 => 1,
        r if r < 20.0 => 2,
        r if r < 80.0 => 3,
        r if r < 200.0 => 4,
        r if r < 500.0 => 6,
        _ => CONNECTIONS_MOST,
    }
}

/// Where the server is: the first of its addresses that accepts a connection over the device.
async fn resolve(url: &Url, device: &str) -> Result<SocketAddr, Trouble> {
    let unknown = |why: String| {
        Trouble::new(SpeedFailure::ServerUnreachable, format!("looking up {}: {why}", url.host))
    };
    let addresses: Vec<SocketAddr> = match url.host.parse() {
        Ok(address) => vec![SocketAddr::new(address, url.port)],
        Err(_) => {
            match timeout(RESOLVE_LIMIT, tokio::net::lookup_host((url.host.as_str(), url.port))).await {
                Ok(Ok(found)) => found.take(ADDRESSES_MOST).collect(),
                Ok(Err(e)) => return Err(unknown(e.to_string())),
                Err(_) => return Err(unknown("no answer within 5 s".into())),
            }
        }
    };
    let mut last = None;
    for address in &addresses {
        if addresses.len() == 1 {
            return Ok(*address);
        }
        match stream::connect_tcp(*address, device).await {
            Ok(_) => return Ok(*address),
            Err(e) => last = Some(format!("{e} at {address}")),
        }
    }
    Err(unknown(last.unwrap_or_else(|| "it has no address".into())))
}

/// Addresses of a name that are tried: two of each family.
const ADDRESSES_MOST: usize = 4;

/// One TCP handshake: how long it took, as the kernel has it if it tells, microseconds.
async fn round_trip(diag: &mut Option<Diag>, to: SocketAddr, device: &Device) -> Option<u32> {
    let before = clock::since_boot();
    let stream = stream::connect_tcp(to, &device.name).await.ok()?;
    let took = clock::since_boot().saturating_sub(before);
    let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    let asked = diag.as_mut().and_then(|diag| diag.ask(stream.local_addr().ok()?, to, device.index).ok());
    match asked {
        Some(now) if now.rtt_us > 0 => Some(now.rtt_us),
        _ => u32::try_from(took.as_micros()).ok(),
    }
}

/// Goes on to measure the round trip until nobody listens.
async fn ping_on(to: SocketAddr, device: Device, told: mpsc::Sender<u32>) {
    let mut diag = Diag::connect().ok();
    let mut tick = tokio::time::interval(LOADED_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is at once, and the line not yet loaded.
    tick.tick().await;
    loop {
        tick.tick().await;
        if let Some(us) = round_trip(&mut diag, to, &device).await
            && told.send(us).await.is_err()
        {
            return;
        }
    }
}

/// What is known of one connection.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    now: TcpNow,
    /// The largest segment so far, bytes of payload.
    mss: u32,
    /// Payload that arrived, by its segments, of which nearly all are full. TCP's own count of bytes stands still behind a
    /// loss and leaps when the gap is filled; segments are counted when they come.
    by_segments: u64,
}

impl Known {
    fn learn(&mut self, now: TcpNow, direction: Direction) {
        let (segments, before, mss, bytes) = match direction {
            Direction::Download => {
                (now.data_segments_in, self.now.data_segments_in, now.mss_in, now.received)
            }
            Direction::Upload => (now.delivered, self.now.delivered, now.mss_out, now.acked),
        };
        self.mss = self.mss.max(mss);
        if self.now.headers == 0 || segments == 0 {
            // At first the kernel has not seen a full segment yet, and of an old one there is nothing else.
            self.by_segments = bytes;
        } else {
            self.by_segments += u64::from(segments.wrapping_sub(before)) * u64::from(self.mss);
        }
        self.now = now;
    }
}

/// Reads the device's counters and those of our connections.
struct Gauge {
    index: u32,
    kernel: Option<Kernel>,
    diag: Option<Diag>,
    /// What was last known of each connection, in the order of the books.
    known: Vec<Known>,
    /// The counters at the first sample.
    start: Option<Totals>,
    window: u32,
}

impl Gauge {
    fn new(index: u32) -> Gauge {
        Gauge { index, kernel: None, diag: Diag::connect().ok(), known: Vec::new(), start: None, window: 0 }
    }

    /// Link header in the device's counters, bytes: Ethernet has one, PPP and tunnels count from the IP header.
    fn link_header(&mut self) -> Result<u32, Trouble> {
        const ARPHRD_ETHER: u16 = 1;
        let mut kind = None;
        let mut asking = || -> io::Result<()> {
            Kernel::connect()?.ask_one(Question::Link(self.index), |message, body| {
                if message == RTM_NEWLINK && body.len() >= 4 {
                    kind = Some(u16::from_ne_bytes([body[2], body[3]]));
                }
            })
        };
        match (asking(), kind) {
            (Ok(()), Some(kind)) => Ok(if kind == ARPHRD_ETHER { ETHERNET } else { 0 }),
            (Ok(()), None) => {
                Err(Trouble::new(SpeedFailure::Local, "the kernel does not say what the WAN device is"))
            }
            (Err(e), _) => {
                Err(Trouble::new(SpeedFailure::Local, format!("asking the kernel about the WAN device: {e}")))
            }
        }
    }

    fn sample(&mut self, plan: &Plan, setting: &mut Setting) -> Result<Sample, Trouble> {
        let local = |why: String| {
            Trouble::new(SpeedFailure::Local, format!("reading the counters of {}: {why}", plan.device))
        };
        let totals = counters::read(&mut self.kernel, self.index)
            .map_err(|e| local(e.to_string()))?
            .ok_or_else(|| local("the device has gone".into()))?;
        let at = clock::since_boot();
        let start = *self.start.get_or_insert(totals);
        let own = self.own(plan, setting);
        let (bytes, packets) = match setting.direction {
            Direction::Download => {
                (totals.rx_bytes.checked_sub(start.rx_bytes), totals.rx_packets.checked_sub(start.rx_packets))
            }
            Direction::Upload => {
                (totals.tx_bytes.checked_sub(start.tx_bytes), totals.tx_packets.checked_sub(start.tx_packets))
            }
        };
        let (Some(device_bytes), Some(device_packets)) = (bytes, packets) else {
            return Err(local("they went back: the device was made anew".into()));
        };
        Ok(Sample { at, device_bytes, device_packets, own, cpu: cpu::read() })
    }

    fn own(&mut self, plan: &Plan, setting: &mut Setting) -> Own {
        let books = plan.books();
        self.known.resize(books.ends.len(), Known::default());
        let mut asked = true;
        for (known, end) in self.known.iter_mut().zip(&books.ends) {
            if !end.open {
                continue;
            }
            // Gone in between (NotFound): what was known last stays.
            match self.diag.as_mut().map(|diag| diag.ask(end.local, end.remote, self.index)) {
                Some(Ok(now)) => known.learn(now, setting.direction),
                _ => asked &= known.now.headers != 0,
            }
        }
        if !asked && self.known.iter().all(|k| k.now.headers == 0) {
            setting.kernel = false;
        }
        if !setting.kernel {
            let headers = u64::from(setting.headers);
            let segments = books.payload / 1448;
            let wire = books.payload + segments * headers;
            return Own {
                payload: books.payload,
                passed: books.payload,
                segments,
                wire,
                delivered: wire,
                cost: books.payload * OVERHEAD / 100,
                ..Own::default()
            };
        }
        drop(books);
        let mut own = Own::default();
        for known in &self.known {
            let k = &known.now;
            let headers = u64::from(k.headers);
            if headers != 0 {
                setting.headers = k.headers;
            }
            let (arrived, passed, segments, mss) = match setting.direction {
                Direction::Download => (k.received, known.by_segments, u64::from(k.segments_in), k.mss_in),
                Direction::Upload => {
                    // Linux before 4.19 does not tell what was sent: what was acknowledged is near.
                    let sent = if k.sent == 0 { k.acked } else { k.sent };
                    let arrived = if k.delivered == 0 { k.acked } else { known.by_segments };
                    (arrived, sent, u64::from(k.segments_out), k.mss_out)
                }
            };
            let wire = passed + segments * headers;
            own.payload += arrived;
            own.passed += passed;
            own.segments += segments;
            own.wire += wire;
            own.delivered += arrived + arrived / u64::from(mss.max(1)) * headers;
            own.losses += match setting.direction {
                Direction::Download => u64::from(k.out_of_order),
                Direction::Upload => k.resent / u64::from(mss.max(1)),
            };
            own.cost += k.received
                + k.sent.max(k.acked)
                + (u64::from(k.segments_in) + u64::from(k.segments_out)) * headers;
            own.busy_us += k.busy_us;
            own.window_limited_us += k.window_limited_us;
            own.buffer_limited_us += k.buffer_limited_us;
            let window = match setting.direction {
                Direction::Download => k.our_window,
                Direction::Upload => k.peer_window,
            };
            self.window = self.window.max(window);
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_grow_with_the_rate() {
        let counts: Vec<u8> =
            [0.1, 10.0, 50.0, 100.0, 300.0, 1000.0].map(|m| connections_for(m * 1e6)).into();
        assert_eq!(counts, [1, 2, 3, 4, 6, 8]);
    }
}
