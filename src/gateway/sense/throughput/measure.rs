//! Runs one speed test: finds the server, takes samples, decides when to stop, computes the figures.

use super::connection::{First, knock, trust};
use super::download::download;
use super::figures;
use super::gauge::Gauge;
use super::latency::{ping_on, round_trip};
use super::plan::{Body, Books, OVERHEAD, Plan, Trouble};
use super::rates::{self, Aside, Rates, Sample, Setting};
use super::upload::upload;
use crate::clock;
use crate::sense::http::Url;
use crate::sense::wan::{WanDevice, connect_tcp};
use linekeeper_contract::units::{Bytes, Rate, Span};
use linekeeper_contract::vocabulary::{Direction, SpeedFailure};
use linekeeper_judge::speed::{Figures, SpeedEnded, SpeedOrder, SpeedOutcome};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};

/// Time between two samples.
const SAMPLE: Duration = Duration::from_millis(100);

/// The most connections. More than eight gain nothing on one line and look like an attack to the server.
pub const CONNECTIONS_MOST: u8 = 8;

/// The most redirects that are followed.
const REDIRECTS: u32 = 2;

/// How long a name may take to resolve: two attempts of a stub resolver at 5 s each would take the whole test.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

/// How long without payload before the server counts as dead.
///
/// 3 s: longer than the queue of any fixed line, and TCP has retransmitted three times by then.
const SILENCE: Duration = Duration::from_secs(3);

/// The number of broken connections at which the test is given up. One may be chance; three are the server's fault.
const BREAKS: u32 = 3;

/// Handshakes before the test, and the most time for all of them.
const IDLE_ROUNDS: usize = 5;
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// The most handshakes that are recorded: those of four minutes.
const ROUNDS_MOST: usize = 1000;

/// The bytes of this time are reserved for what is in flight when the test ends: the line's queue, and a late sample.
const IN_FLIGHT_RESERVE: Duration = Duration::from_millis(200);

/// An upload that has used its bytes is complete when all but this have arrived, bytes: the last segments.
const UPLOAD_TAIL: u64 = 64 * 1024;

/// How long the customer's rate of the last second has to stay above [`SpeedOrder::gives_way`]: two seconds in total, within
/// which a page load ends and a video does not.
const CUSTOMER_BUSY_FOR: Duration = Duration::from_secs(1);

/// A server and how to trust it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The directory with the objects `download` and `upload`.
    pub url: Url,
    /// For https: a file with the CA certificates to trust instead of the system's.
    pub ca: Option<PathBuf>,
}

/// The progress of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Time since its start.
    pub took: Span,
    /// The line's rate over the last second.
    pub line: Rate,
    /// The test's part of it.
    pub own: Rate,
    /// The customer's part of it.
    pub customer: Rate,
    /// Bytes used so far, both directions.
    pub cost: Bytes,
    /// Open connections.
    pub connections: u8,
}

/// Whether a test has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// It continues.
    #[default]
    No,
    /// It stops: the customer needs the line.
    CustomerBusy,
    /// It stops for any other reason.
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

/// Runs a test and returns its result. Dropping the future ends the test at once and leaves nothing behind.
///
/// Sends its progress ten times a second if `progress` has room. Ends when `stop` says so; without a sender of `stop`, it
/// cannot be stopped.
pub async fn measure(
    order: &SpeedOrder,
    server: &Server,
    device: &WanDevice,
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
        trouble = stop_requested(&mut stopped) => Err(trouble),
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
async fn stop_requested(stop: &mut watch::Receiver<Stop>) -> Trouble {
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
    device: &'a WanDevice,
    began: Duration,
    progress: mpsc::Sender<Progress>,
    gauge: Gauge,
    samples: Vec<Sample>,
    aside: Aside,
    cost: u64,
}

impl Test<'_> {
    /// Finds the server, follows redirects, checks its answer, and measures the idle round-trip time.
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
                tls: if url.tls { Some(trust(server.ca.as_deref())?) } else { None },
                body: if upload { Body::noise(!url.tls) } else { Body::none() },
                announced: self.order.bytes_most.0.max(1),
                books: Mutex::new(Books {
                    payload_most: self.order.bytes_most.0 * 100 / OVERHEAD,
                    ..Books::default()
                }),
                url: url.clone(),
            });
            match knock(&plan, upload).await? {
                First::Good => {
                    self.measure_idle_round_trip(&plan).await;
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
                            format!("{url} redirects to an unsupported address: {why}"),
                        )
                    })?;
                }
            }
        }
    }

    async fn measure_idle_round_trip(&mut self, plan: &Plan) {
        let rounds = async {
            for _ in 0..IDLE_ROUNDS {
                if let Some(us) = round_trip(&mut self.gauge.diag, plan.address, self.device).await {
                    self.aside.idle_us.push(us);
                }
            }
        };
        let _ = timeout(IDLE_LIMIT, rounds).await;
    }

    async fn run(&mut self, plan: Arc<Plan>, mut stop: watch::Receiver<Stop>) -> Result<Figures, Trouble> {
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
                    // The byte budget is used up: take one last sample.
                    Ok(Ok(())) => {
                        self.take_sample(&plan, &mut setting)?;
                        break;
                    }
                    Ok(Err(trouble)) => {
                        breaks += 1;
                        let first = first_trouble.get_or_insert(trouble).clone();
                        // A refusal ends the test, unless other connections carry on: then no further ones are opened.
                        if breaks >= BREAKS || workers.is_empty() && self.samples.last().is_none_or(|s| s.own.payload == 0) {
                            self.take_sample(&plan, &mut setting)?;
                            return Err(first);
                        }
                        wanted = wanted.min(u8::try_from(workers.len()).unwrap_or(CONNECTIONS_MOST).max(1));
                        continue;
                    }
                    Err(e) => return Err(Trouble::new(SpeedFailure::Local, format!("a connection's work ended: {e}"))),
                },
                trouble = stop_requested(&mut stop) => {
                    self.take_sample(&plan, &mut setting)?;
                    return Err(trouble);
                }
            }
            self.take_sample(&plan, &mut setting)?;
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
            if let Some((rates, over)) = rates::last_second(&self.samples, &setting) {
                self.report_progress(&rates, now, open);
                let theirs = order.gives_way.is_some_and(|most| rates.customer > most.0 as f64);
                if !theirs || over < rates::WINDOW_LEAST {
                    customer_since = None;
                } else if now.saturating_sub(*customer_since.get_or_insert(now)) >= CUSTOMER_BUSY_FOR {
                    return Err(gave_way());
                }
                if breaks == 0 {
                    wanted = wanted.max(connections_for(self.recent_own_rate(&setting).max(rates.own)));
                }
                // What is in flight when we close still arrives and counts.
                let reserve = (rates.own / 8.0 * IN_FLIGHT_RESERVE.as_secs_f64()) as u64;
                let most = order.bytes_most.0;
                let reserve = reserve.min(most / 4);
                let mut books = plan.books();
                books.payload_most = (most - reserve) * 100 / OVERHEAD;
                // An upload has written its whole budget to the sockets; it is complete when that has arrived.
                let all = books.payload >= books.payload_most && payload + UPLOAD_TAIL >= books.payload;
                if self.cost + reserve >= most || all {
                    break;
                }
            }
            if let Some(enough) = order.enough
                && rates::shows(&self.samples, &setting, enough)
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
                    Direction::Download => workers.spawn(download(plan)),
                    Direction::Upload => workers.spawn(upload(plan)),
                };
            }
            self.aside.connections =
                self.aside.connections.max(u8::try_from(workers.len()).unwrap_or(CONNECTIONS_MOST));
        }
        // Close the connections at once, to use no further bytes.
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

    /// The test's own rate over the last 300 ms, bit/s.
    fn recent_own_rate(&self, setting: &Setting) -> f64 {
        let from = self.samples.len().saturating_sub(4);
        rates::last_second(&self.samples[from..], setting).map_or(0.0, |(rates, _)| rates.own)
    }

    fn take_sample(&mut self, plan: &Plan, setting: &mut Setting) -> Result<(), Trouble> {
        let sample = self.gauge.take_sample(plan, setting)?;
        self.aside.window = self.aside.window.max(self.gauge.window);
        self.cost = sample.own.cost;
        self.samples.push(sample);
        Ok(())
    }

    fn report_progress(&self, rates: &Rates, now: Duration, connections: u8) {
        let rate = |r: f64| Rate(r.max(0.0) as u64);
        let took = now.saturating_sub(self.began).as_millis();
        // If there is no room, the receiver has not read the last one yet.
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
/// One fills a slow line. With each further one, a single loss (which halves a connection's rate) and the window of one
/// connection matter less. Providers' speed tests use as many: 1 to 8.
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

/// The server's address: the first that accepts a connection over the device.
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
        match connect_tcp(*address, device).await {
            Ok(_) => return Ok(*address),
            Err(e) => last = Some(format!("{e} at {address}")),
        }
    }
    Err(unknown(last.unwrap_or_else(|| "it has no address".into())))
}

/// The most addresses of a name that are tried: two of each family.
const ADDRESSES_MOST: usize = 4;

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
