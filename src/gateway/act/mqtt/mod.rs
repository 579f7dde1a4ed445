//! The connection to the broker: one task owns it, and nothing that it was given is lost with it.
//!
//! The outbox is the queue. What rumqttc keeps of it in memory is thrown away with each connection: every attempt gets
//! a client of its own, and on every CONNACK the subscription is made and all that is not acknowledged is sent again,
//! in order. A message leaves the outbox when the broker acknowledged it (PUBACK), and the platform tells
//! repetitions by their id.
//!
//! A dead connection is noticed by the acknowledgement that does not come ([`ACK_LIMIT`]), long before the keep-alive
//! does. Waits between attempts are uniform between nothing and their cap (full jitter), so that a fleet does not come
//! back as a herd.

pub mod command;
pub mod notice;
pub mod receipt;
pub mod tls;

use self::notice::Notices;
use super::outbox::{Dropped, Outbox, Place};
use crate::privacy::Privacy;
use linekeeper_contract::json;
use linekeeper_contract::message::{Message, STATE_SCHEMA, Stamp, Telemetry, correct_stamps};
use linekeeper_contract::units::{Mono, Span, Wall};
use linekeeper_judge::config::{self, Broker};
use linekeeper_judge::observation::Observation;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, DisconnectReasonCode, Filter, LastWill, LastWillProperties, PubAck,
    PubAckReason, Publish, PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{self, QoS};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, StateError};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

/// How long an acknowledgement may take, counted from the last sign of progress, before the connection is made anew.
///
/// 4 s: a loaded land line answers within 2 s, a satellite within 1 s. When the WAN died and traffic goes another way by
/// now, this is what is left of the 5 s in which critical messages are promised; TCP would go on resending for 15 min.
pub const ACK_LIMIT: Span = Span::seconds(4);

/// How many messages may be unacknowledged at once.
///
/// 16: with 2 kB each that is 1.3 Mbit/s over a round trip of 200 ms, and after an outage of a week the queue is gone
/// in seconds; more would only repeat more after a broken connection.
const WINDOW: usize = 16;

/// rumqttc's own limit, above [`WINDOW`] so that the state and the subscription never wait for messages. It reserves
/// memory for each.
const IN_FLIGHT: u16 = 20;

/// Places in rumqttc's request channel: all that may be under way at once, so that it is never full.
const REQUESTS: usize = 32;

/// Events that may wait for the owner. When it is behind, reading from the socket stops.
const EVENTS: usize = 64;

/// The largest packet that we accept. A receipt has at most [`receipt::LARGEST_RECEIPT`]; the broker is told, and does
/// not send what is larger.
const LARGEST_INCOMING: u32 = 32 * 1024;

/// How many receipts the broker may have under way to us.
const RECEIVE_MAXIMUM: u16 = 10;

/// The largest message that is sent when the broker names no limit of its own. Ours are some kilobytes.
const LARGEST_OUTGOING: usize = 1 << 20;

/// Everything of a PUBLISH packet beside topic and payload: headers, packet id, properties. At most this.
const OVERHEAD: usize = 64;

/// For DNS, TCP, TLS and CONNACK together. A slow router's TLS handshake takes about a second; a lost SYN costs 1, 3
/// and 7 s.
const CONNECT_LIMIT: Span = Span::seconds(10);

/// A connection that lasted this long was a good one: the waits begin again. Longer than [`ACK_LIMIT`], so that a
/// broker that accepts and never acknowledges is not asked every ten seconds by a whole fleet.
const GOOD_CONNECTION: Span = Span::seconds(15);

/// The cap of the first wait of a life that has not reached a broker yet; caps double with each failure.
const FIRST_WAIT: Span = Span::seconds(1);

/// The cap of the first wait after a connection was lost on a line that is up. The broker was probably restarted, and the whole
/// fleet lost it in the same second: a million gateways spread over half a minute are 33 000 connections a second, which a
/// cluster bears.
const LOST_WAIT: Span = Span::seconds(30);

/// The same while something critical waits: within the 5 s that are promised for it. Few of a fleet have such news at once.
const URGENT_WAIT: Span = Span::seconds(4);

/// When the line came back: the cap of the wait, and the age from which an unanswered message shows that the connection
/// died with the line.
const NUDGED: Span = Span::seconds(1);

/// The state is published at most once in this time.
const STATE_PACE: Span = Span::seconds(1);

/// A message sent later than this after its fact is marked `late`: the promise is 5 s.
const LATE_AFTER: Span = Span::seconds(5);

/// A summary sent later than this after its end is marked `late`: by then the next one is due, by default.
const SUMMARY_LATE_AFTER: Span = Span::hours(1);

/// How long the broker may keep a summary for a reader that is away: as long as we would.
const SUMMARY_EXPIRES: Span = Span::days(2);

/// How long saying goodbye may take.
const END_WITHIN: Duration = Duration::from_secs(1);

/// How often the broker may refuse one message for what it is, before it is given up.
const REFUSALS: u32 = 5;

/// How often the broker may refuse one message for the broker's own reasons (rights, quota), before it is given up.
/// With the waits between, that is about 16 h in which somebody can mend the broker.
const REFUSALS_BY_RIGHTS: u32 = 100;

/// The wait after a message's first refusal; it doubles up to [`REFUSED_LONGEST`]. Others go on meanwhile.
const REFUSED_FIRST: Span = Span::seconds(10);
const REFUSED_LONGEST: Span = Span::minutes(10);

/// As many connections in a row closed by the broker without one acknowledgement bring messages out one at a time, and
/// as many closed with the same single message under way send it behind the others.
const SUSPICIOUS: u32 = 3;

/// How often a disk that could not be written is tried again.
const DISK_AGAIN: Span = Span::minutes(1);

/// Routine summaries that wait in memory: two days of them at one an hour. The oldest gives way, and is counted.
const SUMMARIES: usize = 48;

/// Routine summaries on their way: in memory only, the oldest dropped when there are too many.
#[derive(Debug, Default)]
pub struct Routine {
    waiting: VecDeque<Telemetry>,
    dropped: u64,
    new: Arc<Notify>,
}

impl Routine {
    /// Takes one in.
    pub fn push(&mut self, summary: Telemetry) {
        if self.waiting.len() >= SUMMARIES {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(summary);
        self.new.notify_one();
    }
}

/// The clock, as this part needs it.
pub trait Time: Send + Sync {
    /// Our monotonic clock.
    fn now(&self) -> Mono;
    /// This moment, as messages tell it.
    fn stamp(&self) -> Stamp;
    /// The civil time at which this boot began, if it is known.
    fn boot_at(&self) -> Option<Wall>;
}

/// What the connection is made of.
pub struct Wiring {
    /// Where to.
    pub mqtt: config::Mqtt,
    /// Part of every topic, and the client id.
    pub device_id: String,
    /// The operator's name for this part of the network, whose notices are listened for.
    pub area: Option<String>,
    /// The offset in which corrected times are shown.
    pub offset_minutes: i16,
    /// What waits to be sent.
    pub outbox: Arc<Mutex<Outbox>>,
    /// The body of the retained state; schema, ids, time, `online` and `dropped` are added here.
    pub state: watch::Receiver<Value>,
    /// Routine summaries.
    pub routine: Arc<Mutex<Routine>>,
    /// The key by which commands are signed, if there is one.
    pub command_key: Option<[u8; 32]>,
    /// Where what comes on `config/desired` goes, unread; only the latest counts. `None`: it is not asked for.
    pub desired: Option<watch::Sender<Vec<u8>>>,
    /// The body of the retained `config/reported`; ids and time are added here. Null: nothing to report.
    pub reported: watch::Receiver<Value>,
    /// Where observations go.
    pub saw: mpsc::Sender<Observation>,
    /// What of all that may leave the gateway.
    pub privacy: Privacy,
    /// The clock.
    pub time: Arc<dyn Time>,
}

/// The running connection.
#[derive(Debug)]
pub struct Mqtt {
    nudge: Arc<Notify>,
    stop: watch::Sender<Option<String>>,
    task: JoinHandle<()>,
}

impl Mqtt {
    /// Begins to connect, and goes on for ever. A broker that is not there yet is normal.
    pub fn start(wiring: Wiring) -> Mqtt {
        let nudge = Arc::new(Notify::new());
        let new = lock(&wiring.outbox).new_messages();
        let summary = Arc::clone(&routine(&wiring.routine).new);
        let (stop, stopped) = watch::channel(None);
        let keeper = Keeper {
            root: format!("linekeeper/v1/{}/", wiring.device_id),
            new,
            summary,
            notices: Notices::new(wiring.area.as_deref()),
            wiring,
            nudge: Arc::clone(&nudge),
            stopped,
            failures: 0,
            stood: false,
            unheard: 0,
            turn: 0,
            last_failure: None,
            last_refusal: None,
            trials: BTreeMap::new(),
            barren: 0,
            careful: 0,
            given_up: Vec::new(),
            telling: None,
            states: 0,
            disk_again: Mono(0),
            report_again: Mono(0),
        };
        Mqtt { nudge, stop, task: tokio::spawn(keeper.run()) }
    }

    /// The line came back: connects within a second, and does not trust a connection that owes answers.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Says goodbye (`online: false` with the reason) if connected, and ends. Takes at most a second.
    pub async fn end(self, reason: &str) {
        let Mqtt { stop, mut task, .. } = self;
        let _ = stop.send(Some(reason.to_owned()));
        if timeout(END_WITHIN, &mut task).await.is_err() {
            debug!("the broker did not let us go within {END_WITHIN:?}");
            task.abort();
        }
    }
}

fn lock(outbox: &Mutex<Outbox>) -> MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}

fn routine(summaries: &Mutex<Routine>) -> MutexGuard<'_, Routine> {
    summaries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the largest pieces of evidence out of a message until it has at most `most` bytes; whether it has.
fn shorten(value: &mut Value, most: usize) -> bool {
    let pieces = ["/evidence/recorder", "/recorder", "/evidence/samples", "/evidence/facts"];
    for piece in pieces {
        match value.pointer_mut(piece) {
            Some(Value::Array(entries)) => entries.clear(),
            Some(other) => *other = Value::Null,
            None => continue,
        }
        if value.to_string().len() <= most {
            return true;
        }
    }
    false
}

/// How one connection, or one attempt, ended.
enum Lost {
    /// We were asked to end, and did.
    Stopped,
    /// The line came back while it was in doubt: the next attempt follows at once.
    Nudged,
    /// Anything else, in words.
    Broken(String, Fault),
}

/// Where a lost connection may have had its cause.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// The broker says that it was a message.
    Message,
    /// The broker closed the connection without a reason that reached us: a message is possible. (rumqttc loses the
    /// reason of a DISCONNECT without properties, which is how mosquitto sends it.)
    Closed,
    /// The way, the broker's own life, or we.
    Other,
}

/// What is known of a message that did not go through at once.
#[derive(Debug, Default)]
struct Trial {
    refusals: u32,
    /// Connections lost while it alone was under way.
    alone: u32,
    not_before: Mono,
}

/// The owner of all that outlives a connection.
struct Keeper {
    wiring: Wiring,
    root: String,
    new: Arc<Notify>,
    /// A routine summary came.
    summary: Arc<Notify>,
    nudge: Arc<Notify>,
    stopped: watch::Receiver<Option<String>>,
    /// Failed rounds in a row.
    failures: u32,
    /// A broker was reached in this life: what is lost now it lost for many.
    stood: bool,
    /// Critical messages that the broker took although nobody listens.
    unheard: u64,
    /// Which broker is next.
    turn: usize,
    /// Told once, until it changes.
    last_failure: Option<String>,
    last_refusal: Option<String>,
    /// Bounded by the outbox: entries of messages that left it are removed.
    trials: BTreeMap<Place, Trial>,
    /// Connections in a row lost with messages under way and none acknowledged.
    barren: u32,
    /// As many acknowledgements are waited for one at a time.
    careful: usize,
    /// Numbers of messages that were given up, until that is told. At most what the outbox held.
    given_up: Vec<u64>,
    /// Id of the routine summary under way.
    telling: Option<String>,
    /// Numbers the states.
    states: u32,
    disk_again: Mono,
    notices: Notices,
    /// The broker refused the report on the configuration: not before.
    report_again: Mono,
}

/// One connection.
struct Connection {
    client: AsyncClient,
    events: mpsc::Receiver<Result<Event, ConnectionError>>,
    session: String,
    /// When the attempt began, and when CONNACK came.
    began: Mono,
    up: Option<Mono>,
    /// In the order given to the client; those without a packet id are not sent yet.
    given: VecDeque<Sent>,
    sent: BTreeMap<u16, Sent>,
    progress: Mono,
    acknowledged: bool,
    window: usize,
    largest: usize,
    /// The broker keeps retained messages.
    retain: bool,
    cursor: Option<Place>,
    state_due: bool,
    reported_due: bool,
    state_at: Option<Mono>,
    dropped: Dropped,
    _polling: Polling,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    what: What,
    at: Mono,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    /// The retained state.
    State,
    /// The retained report on the configuration.
    Report,
    /// The first of the routine summaries.
    Routine,
    /// A message of the outbox.
    Critical(Place),
}

impl What {
    fn place(self) -> Option<Place> {
        match self {
            What::Critical(place) => Some(place),
            What::State | What::Report | What::Routine => None,
        }
    }
}

impl Connection {
    fn under_way(&self) -> impl Iterator<Item = &Sent> {
        self.sent.values().chain(&self.given)
    }

    fn has(&self, place: Place) -> bool {
        self.under_way().any(|s| s.what == What::Critical(place))
    }

    fn messages(&self) -> impl Iterator<Item = Place> {
        self.under_way().filter_map(|s| s.what.place())
    }

    /// When the patience with the broker ends.
    fn ack_deadline(&self) -> Option<Mono> {
        let oldest = self.under_way().map(|s| s.at).min()?;
        Some(oldest.max(self.progress) + ACK_LIMIT)
    }
}

/// Polling has a task of its own, because rumqttc's `poll` must not be cancelled while it connects.
struct Polling(JoinHandle<()>);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let broker =
                self.wiring.mqtt.brokers.get(self.turn).or(self.wiring.mqtt.brokers.first()).cloned();
            let Some(broker) = broker else {
                warn!("no broker is configured: messages stay in the outbox");
                return;
            };
            let (lost, up) = match self.connect(&broker) {
                Ok(mut connection) => {
                    let lost = self.keep(&broker, &mut connection).await;
                    self.autopsy(&connection, &lost);
                    self.tell_given_up().await;
                    (lost, connection.up)
                }
                Err(why) => (Lost::Broken(why, Fault::Other), None),
            };
            let now = self.wiring.time.now();
            self.notices.disconnected();
            if up.is_some() {
                self.tell(Observation::BrokerSeen { connected: false }).await;
            }
            self.tend_disk();
            let wait = match lost {
                Lost::Stopped => return,
                Lost::Nudged => {
                    self.failures = 0;
                    debug!("the line came back: the connection to {} is made anew", name(&broker));
                    jitter(NUDGED)
                }
                Lost::Broken(why, _) => {
                    if up.is_some_and(|up| now.since(up) >= GOOD_CONNECTION) {
                        self.failures = 0;
                    }
                    self.stood |= up.is_some();
                    let wait = jitter(self.cap());
                    self.failed(&broker, up.is_some(), &why, wait);
                    self.next_turn(up.is_some());
                    wait
                }
            };
            if !self.wait(wait).await {
                return;
            }
        }
    }

    /// The longest that may be waited now.
    fn cap(&self) -> Span {
        let first = match (self.stood, lock(&self.wiring.outbox).len()) {
            (false, _) => FIRST_WAIT,
            (true, 0) => LOST_WAIT,
            (true, _) => URGENT_WAIT,
        };
        first.times(1 << self.failures.min(20)).min(self.wiring.mqtt.reconnect)
    }

    fn next_turn(&mut self, was_up: bool) {
        self.turn = if was_up { 0 } else { (self.turn + 1) % self.wiring.mqtt.brokers.len().max(1) };
        if self.turn == 0 {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// One line for what is new, none for what goes on.
    fn failed(&mut self, broker: &Broker, was_up: bool, why: &str, wait: Span) {
        let what = if was_up { "lost the broker" } else { "cannot connect to the broker" };
        let text = format!("{what} {}: {why}", name(broker));
        if was_up || self.last_failure.as_ref() != Some(&text) {
            info!("{text}; next attempt in {wait}");
        } else {
            debug!("{text}; next attempt in {wait}");
        }
        self.last_failure = Some(text);
    }

    /// Waits for the next attempt; `false` when asked to end.
    async fn wait(&mut self, wait: Span) -> bool {
        let mut stopped = self.stopped.clone();
        let nudge = Arc::clone(&self.nudge);
        let new = Arc::clone(&self.new);
        let end = self.wiring.time.now() + wait;
        let mut hurried = wait <= NUDGED;
        let mut urgent = wait <= URGENT_WAIT;
        let mut over = std::pin::pin!(sleep(wait.into()));
        loop {
            tokio::select! {
                _ = asked_to_end(&mut stopped) => return false,
                () = &mut over => return true,
                () = nudge.notified() => {
                    self.failures = 0;
                    if !hurried {
                        hurried = true;
                        over.set(sleep(jitter(NUDGED).into()));
                    }
                }
                // Once a wait: what comes after it goes the same way.
                () = new.notified(), if !urgent && !hurried => {
                    urgent = true;
                    let left = end.since(self.wiring.time.now());
                    over.set(sleep(jitter(URGENT_WAIT).min(left).into()));
                }
            }
        }
    }

    /// A new client that begins to connect.
    fn connect(&mut self, broker: &Broker) -> Result<Connection, String> {
        let session = format!("{:016x}", fastrand::u64(..));
        let mut options = self.options(broker)?;
        let topic = format!("{}state", self.root);
        let mut will = self.state(&session, false);
        // When the broker will send it is not known here; its reader knows when it came.
        will["time"] = Value::Null;
        // Nor how the line is then: what was so at the connection must not stand as a dead gateway's last word.
        will["line"] = "unknown".into();
        for field in ["incident_id", "fault_domain"] {
            will[field] = Value::Null;
        }
        will["id"] = format!("{}/state/{session}/will", self.wiring.device_id).into();
        will["reason"] = "connection lost".into();
        let about = LastWillProperties {
            delay_interval: None,
            payload_format_indicator: Some(1),
            message_expiry_interval: None,
            content_type: Some("application/json".into()),
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        options.set_last_will(LastWill::new(topic, will.to_string(), QoS::AtLeastOnce, true, Some(about)));
        let (client, event_loop) = AsyncClient::new(options, REQUESTS);
        let (into, events) = mpsc::channel(EVENTS);
        let now = self.wiring.time.now();
        Ok(Connection {
            client,
            events,
            session,
            began: now,
            up: None,
            given: VecDeque::new(),
            sent: BTreeMap::new(),
            progress: now,
            acknowledged: false,
            window: WINDOW,
            largest: LARGEST_OUTGOING,
            retain: true,
            cursor: None,
            state_due: true,
            reported_due: true,
            state_at: None,
            dropped: Dropped::default(),
            _polling: Polling(tokio::spawn(poll(event_loop, into))),
        })
    }

    fn options(&self, broker: &Broker) -> Result<MqttOptions, String> {
        let mqtt = &self.wiring.mqtt;
        let mut options = MqttOptions::new(&self.wiring.device_id, &broker.host, broker.port);
        // rumqttc asserts at least 5 s, and the protocol has 16 bits.
        let keep_alive = mqtt.keep_alive.whole_seconds().clamp(5, u64::from(u16::MAX));
        options
            .set_keep_alive(Duration::from_secs(keep_alive))
            .set_clean_start(false)
            .set_manual_acks(true)
            .set_connection_timeout(CONNECT_LIMIT.whole_seconds())
            .set_session_expiry_interval(Some(
                u32::try_from(mqtt.session.whole_seconds()).unwrap_or(u32::MAX),
            ))
            .set_receive_maximum(Some(RECEIVE_MAXIMUM))
            .set_max_packet_size(Some(LARGEST_INCOMING))
            .set_outgoing_inflight_upper_limit(IN_FLIGHT);
        let mut network = NetworkOptions::new();
        // Messages are small and urgent.
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_LIMIT.whole_seconds());
        options.set_network_options(network);
        if let Some((user, file)) = &mqtt.login {
            let text = fs::read_to_string(file).map_err(|e| {
                format!(
                    "the password file {} cannot be read: {e}; check the path and who may read it",
                    file.display()
                )
            })?;
            options.set_credentials(user, text.lines().next().unwrap_or_default());
        }
        if broker.tls {
            let tls = tls::configuration(mqtt)?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        }
        Ok(options)
    }

    /// Lives as long as the connection does.
    async fn keep(&mut self, broker: &Broker, connection: &mut Connection) -> Lost {
        let mut stopped = self.stopped.clone();
        let nudge = Arc::clone(&self.nudge);
        let new = Arc::clone(&self.new);
        let summary = Arc::clone(&self.summary);
        let mut body_lives = true;
        let mut reported_lives = true;
        loop {
            let mut wake = None;
            if connection.up.is_some() {
                match self.send(connection) {
                    Ok(at) => wake = at,
                    Err(why) => return Lost::Broken(why, Fault::Other),
                }
            }
            let now = self.wiring.time.now();
            let wait = wake.map_or(DISK_AGAIN, |at| at.since(now)).min(DISK_AGAIN);
            tokio::select! {
                event = connection.events.recv() => match event {
                    None => return Lost::Broken("the connection's task ended".into(), Fault::Other),
                    Some(Err(error)) => return Lost::Broken(words(&error), fault(&error)),
                    Some(Ok(event)) => {
                        if let Err(why) = self.happened(broker, connection, event).await {
                            return Lost::Broken(why, Fault::Other);
                        }
                    }
                },
                reason = asked_to_end(&mut stopped) => {
                    self.goodbye(connection, &reason).await;
                    return Lost::Stopped;
                }
                () = nudge.notified() => {
                    let now = self.wiring.time.now();
                    let in_doubt = match connection.up {
                        None => now.since(connection.began) > NUDGED,
                        Some(_) => connection.under_way().any(|s| now.since(s.at) > NUDGED),
                    };
                    if in_doubt {
                        return Lost::Nudged;
                    }
                }
                changed = self.wiring.state.changed(), if body_lives => {
                    body_lives = changed.is_ok();
                    connection.state_due |= body_lives;
                }
                changed = self.wiring.reported.changed(), if reported_lives => {
                    reported_lives = changed.is_ok();
                    connection.reported_due |= reported_lives;
                }
                () = new.notified() => {}
                () = summary.notified() => {}
                () = sleep(wait.into()) => {}
            }
            let now = self.wiring.time.now();
            if connection.ack_deadline().is_some_and(|at| now >= at) {
                let n = connection.under_way().count();
                let why = format!("{n} messages were not acknowledged within {ACK_LIMIT}");
                return Lost::Broken(why, Fault::Other);
            }
            self.tend_disk();
            self.notices.settle(now);
            self.tell_notice().await;
            self.tell_given_up().await;
        }
    }

    fn tend_disk(&mut self) {
        let now = self.wiring.time.now();
        let mut outbox = lock(&self.wiring.outbox);
        if outbox.trouble().is_some() && now >= self.disk_again {
            self.disk_again = now + DISK_AGAIN;
            // It tells the log by itself when it works again.
            let _ = outbox.retry();
        }
    }

    /// Gives the client what may be sent now; says when there is something to do again.
    fn send(&mut self, connection: &mut Connection) -> Result<Option<Mono>, String> {
        let now = self.wiring.time.now();
        let mut wake = None;
        let mut wake_at = |at: Mono| wake = Some(wake.map_or(at, |w: Mono| w.min(at)));
        let dropped = lock(&self.wiring.outbox).dropped();
        connection.state_due |= dropped != connection.dropped;
        if connection.state_due {
            // One at a time, so that they cannot overtake each other on a second attempt.
            let busy = connection.under_way().any(|s| s.what == What::State);
            let ready = connection.state_at.map_or(now, |at| at + STATE_PACE);
            if !busy && now >= ready {
                let state = self.state(&connection.session, true);
                self.publish(connection, "state", &state, true, What::State)?;
                connection.state_due = false;
                connection.state_at = Some(now);
                connection.dropped = dropped;
            } else if !busy {
                wake_at(ready);
            }
        }
        // mosquitto closes the connection of whoever publishes what it may not: an access list that does not know the
        // report yet must not cost more than that.
        let may_report = now >= self.report_again;
        if connection.reported_due && !may_report {
            wake_at(self.report_again);
        } else if connection.reported_due && !connection.under_way().any(|s| s.what == What::Report) {
            connection.reported_due = false;
            if let Some(reported) = self.reported(&connection.session) {
                self.publish(connection, "config/reported", &reported, true, What::Report)?;
            }
        }
        let window = if self.careful > 0 { 1 } else { connection.window };
        while connection.messages().count() < window {
            let Some((place, message)) = self.next(connection, now) else { break };
            let mut value = match json::to_tree(&message) {
                Ok(value) => value,
                Err(e) => {
                    self.give_up(place, message.id(), &format!("it cannot be written as JSON: {e}"));
                    continue;
                }
            };
            let age = age(&self.wiring.time.stamp(), message.time());
            if age.is_none_or(|age| age > LATE_AFTER) {
                value["late"] = true.into();
            }
            self.leaves(message.topic(), &mut value);
            let around = self.root.len() + message.topic().len() + OVERHEAD;
            let mut size = value.to_string().len() + around;
            if size > connection.largest && shorten(&mut value, connection.largest.saturating_sub(around)) {
                info!(
                    "message {} has {size} bytes, the broker takes {}: it goes without its recording or evidence",
                    message.id(),
                    connection.largest
                );
                size = value.to_string().len() + around;
            }
            if size > connection.largest {
                let why = format!("it has {size} bytes, the broker takes {}", connection.largest);
                self.give_up(place, message.id(), &why);
                continue;
            }
            self.publish(connection, message.topic(), &value, false, What::Critical(place))?;
        }
        self.send_routine(connection)?;
        if let Some(at) = connection.ack_deadline() {
            wake_at(at);
        }
        if let Some(at) = self.notices.settles() {
            wake_at(at);
        }
        for trial in self.trials.values().filter(|t| t.not_before > now) {
            wake_at(trial.not_before);
        }
        if lock(&self.wiring.outbox).trouble().is_some() {
            wake_at(self.disk_again);
        }
        Ok(wake)
    }

    /// One routine summary at a time, and only while nothing critical is under way.
    fn send_routine(&mut self, connection: &mut Connection) -> Result<(), String> {
        if connection.under_way().any(|s| s.what != What::State) {
            return Ok(());
        }
        let now = self.wiring.time.stamp();
        let first = routine(&self.wiring.routine).waiting.front().and_then(|t| {
            let late = age(&now, &t.time).is_none_or(|age| age > SUMMARY_LATE_AFTER);
            Some((json::to_tree(t).ok()?, late))
        });
        let Some((mut value, late)) = first else { return Ok(()) };
        self.leaves("telemetry", &mut value);
        if late {
            value["late"] = true.into();
        }
        self.telling = value["id"].as_str().map(str::to_owned);
        self.publish(connection, "telemetry", &value, false, What::Routine)
    }

    /// The next message that may be sent: one whose wait is over, else the next in order.
    fn next(&mut self, connection: &mut Connection, now: Mono) -> Option<(Place, Message)> {
        let outbox = lock(&self.wiring.outbox);
        self.trials.retain(|place, _| outbox.holds(*place));
        let mut waiting = self.trials.iter().filter(|(_, t)| t.not_before > Mono(0) && t.not_before <= now);
        let due = waiting.find(|(place, _)| !connection.has(**place)).map(|(place, _)| *place);
        if let Some(place) = due {
            // Those behind the cursor were passed over; those before it come by themselves.
            if connection.cursor.is_some_and(|cursor| place <= cursor) {
                return outbox.get(place).map(|critical| (place, critical.message));
            }
        }
        loop {
            let (place, critical) = outbox.after(connection.cursor)?;
            connection.cursor = Some(place);
            let waits = self.trials.get(&place).is_some_and(|t| t.not_before > now);
            if !waits && !connection.has(place) {
                return Some((place, critical.message));
            }
        }
    }

    fn publish(
        &mut self,
        connection: &mut Connection,
        topic: &str,
        payload: &Value,
        retain: bool,
        what: What,
    ) -> Result<(), String> {
        let correlation = payload.get("correlation").and_then(Value::as_str).and_then(command::bytes);
        let about = PublishProperties {
            payload_format_indicator: Some(1),
            content_type: Some("application/json".into()),
            correlation_data: correlation.map(Into::into),
            message_expiry_interval: match what {
                What::Routine => u32::try_from(SUMMARY_EXPIRES.whole_seconds()).ok(),
                // Retained, or to be kept until it was heard.
                What::State | What::Report | What::Critical(_) => None,
            },
            ..PublishProperties::default()
        };
        connection
            .client
            .try_publish_with_properties(
                format!("{}{topic}", self.root),
                QoS::AtLeastOnce,
                retain && connection.retain,
                payload.to_string(),
                about,
            )
            .map_err(|_| "the client takes no more requests".to_owned())?;
        connection.given.push_back(Sent { what, at: self.wiring.time.now() });
        Ok(())
    }

    /// The retained state: the runner's body, and what only this side knows.
    fn state(&mut self, session: &str, online: bool) -> Value {
        let mut body = match self.wiring.state.borrow().clone() {
            Value::Object(fields) => Value::Object(fields),
            Value::Null => json!({}),
            other => json!({ "line": other }),
        };
        let stamp = self.wiring.time.stamp();
        let Dropped { events, callbacks, refused, damaged } = lock(&self.wiring.outbox).dropped();
        let summaries = routine(&self.wiring.routine).dropped;
        self.states = self.states.wrapping_add(1);
        body["schema"] = STATE_SCHEMA.into();
        body["id"] = format!("{}/state/{session}/{}", self.wiring.device_id, self.states).into();
        body["device_id"] = self.wiring.device_id.as_str().into();
        body["online"] = online.into();
        body["boot_id"] = stamp.boot_id.as_str().into();
        body["session_id"] = session.into();
        body["time"] = json::to_tree(&stamp).unwrap_or_default();
        body["dropped"] = json!({
            "events": events, "callbacks": callbacks, "refused": refused, "damaged": damaged, "telemetry": summaries,
            "unheard": self.unheard,
        });
        self.leaves("state", &mut body);
        body
    }

    /// The retained report on the configuration: the runner's body, and what only this side knows.
    fn reported(&mut self, session: &str) -> Option<Value> {
        let Value::Object(fields) = self.wiring.reported.borrow().clone() else { return None };
        let mut body = Value::Object(fields);
        self.states = self.states.wrapping_add(1);
        body["id"] = format!("{}/config/{session}/{}", self.wiring.device_id, self.states).into();
        body["time"] = json::to_tree(&self.wiring.time.stamp()).unwrap_or_default();
        self.leaves("config/reported", &mut body);
        Some(body)
    }

    /// The door through which every message goes: its dates are corrected as far as they can be, and what is nobody
    /// else's stays here.
    fn leaves(&self, topic: &str, message: &mut Value) {
        if let Some(boot_at) = self.wiring.time.boot_at() {
            let boot_id = self.wiring.time.stamp().boot_id;
            correct_stamps(message, &boot_id, boot_at, self.wiring.offset_minutes);
        }
        self.wiring.privacy.apply(topic, message);
    }

    async fn happened(
        &mut self,
        broker: &Broker,
        connection: &mut Connection,
        event: Event,
    ) -> Result<(), String> {
        match event {
            Event::Incoming(Incoming::ConnAck(connack)) => {
                self.connected(broker, connection, &connack).await?
            }
            Event::Incoming(Incoming::PubAck(puback)) => self.answered(connection, &puback).await,
            Event::Incoming(Incoming::Publish(publish)) => self.received(connection, &publish).await,
            Event::Incoming(Incoming::SubAck(suback)) => {
                let topics = self.subscriptions();
                for (topic, code) in topics.iter().zip(&suback.return_codes) {
                    if !matches!(code, SubscribeReasonCode::Success(_)) {
                        warn!(
                            "the broker does not let us subscribe to {topic} ({code:?}): what the platform says there \
                             will not come; check the broker's access list"
                        );
                    }
                }
                self.notices.subscribed(self.wiring.time.now());
            }
            Event::Outgoing(Outgoing::Publish(packet)) => {
                if let Some(sent) = connection.given.pop_front() {
                    connection.sent.insert(packet, sent);
                }
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
        Ok(())
    }

    async fn connected(
        &mut self,
        broker: &Broker,
        connection: &mut Connection,
        connack: &ConnAck,
    ) -> Result<(), String> {
        let now = self.wiring.time.now();
        connection.up = Some(now);
        connection.progress = now;
        if let Some(properties) = &connack.properties {
            if properties.max_qos == Some(0) {
                return Err(
                    "it takes messages at QoS 0 only, by which they may be lost; it must take QoS 1".into()
                );
            }
            if properties.retain_available == Some(0) && connection.retain {
                connection.retain = false;
                warn!("the broker keeps no retained messages: who subscribes late will not see the state");
            }
            if let Some(most) = properties.receive_max {
                // One place is the state's.
                connection.window = WINDOW.min(usize::from(most).saturating_sub(1)).max(1);
            }
            if let Some(most) = properties.max_packet_size {
                connection.largest = LARGEST_OUTGOING.min(usize::try_from(most).unwrap_or(usize::MAX));
            }
        }
        let waiting = lock(&self.wiring.outbox).len();
        info!(
            "connected to the broker {} ({}); {waiting} messages wait",
            name(broker),
            if connack.session_present { "it kept our session" } else { "a new session" }
        );
        self.last_failure = None;
        let filters = self.subscriptions().into_iter().map(|topic| Filter::new(topic, QoS::AtLeastOnce));
        connection
            .client
            .try_subscribe_many(filters)
            .map_err(|_| "the client takes no more requests".to_owned())?;
        self.tell(Observation::BrokerSeen { connected: true }).await;
        Ok(())
    }

    /// What we listen for, in one packet on every connection: the broker gives its answers in this order.
    fn subscriptions(&self) -> Vec<String> {
        let own = ["callback/receipt", "command", "config/desired"];
        let own = own.into_iter().filter(|t| *t != "config/desired" || self.wiring.desired.is_some());
        own.map(|topic| format!("{}{topic}", self.root)).chain(self.notices.topics()).collect()
    }

    async fn answered(&mut self, connection: &mut Connection, puback: &PubAck) {
        let Some(sent) = connection.sent.remove(&puback.pkid) else { return };
        connection.progress = self.wiring.time.now();
        if sent.what.place().is_some() {
            connection.acknowledged = true;
            self.barren = 0;
        }
        let taken = matches!(puback.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        match (sent.what, taken) {
            (What::Critical(place), true) => {
                if puback.reason == PubAckReason::NoMatchingSubscribers {
                    self.unheard += 1;
                    self.warn_once(format!(
                        "nobody listens to {}#: the broker takes messages and drops them. Has the platform's session expired? \
                         They are counted in the state as unheard",
                        self.root
                    ));
                }
                self.careful = self.careful.saturating_sub(1);
                self.trials.remove(&place);
                // Told first: a death between the two repeats the message, and the news of it.
                let number = lock(&self.wiring.outbox).is_current(place).then_some(place.number);
                let told = match number {
                    Some(number) => self.tell(Observation::Acknowledged { number }).await,
                    None => true,
                };
                if told {
                    lock(&self.wiring.outbox).done(place);
                }
            }
            (What::Critical(place), false) => {
                self.refused(place, &format!("{:?}", puback.reason), by_rights(puback.reason))
            }
            (What::State | What::Report, true) => {}
            (What::Routine, taken) => self.told_routine(taken, puback),
            (What::Report, false) => {
                self.report_again = self.wiring.time.now() + REFUSED_LONGEST;
                connection.reported_due = true;
                self.warn_once(format!(
                    "the broker refused {}config/reported ({:?}); check its access list. It is tried again in \
                     {REFUSED_LONGEST}",
                    self.root, puback.reason
                ));
            }
            (What::State, false) => {
                warn!("the broker refused {}state ({:?}); check its access list", self.root, puback.reason)
            }
        }
    }

    /// The broker has a routine summary, or does not want it: then it is lost, as routine may be.
    fn told_routine(&mut self, taken: bool, puback: &PubAck) {
        let mut summaries = routine(&self.wiring.routine);
        // It may have given way to newer ones meanwhile, and is counted then.
        if summaries.waiting.front().is_none_or(|t| Some(&t.id) != self.telling.as_ref()) {
            return;
        }
        summaries.waiting.pop_front();
        if !taken {
            summaries.dropped += 1;
            warn!("the broker refused {}telemetry ({:?}); check its access list", self.root, puback.reason);
        }
    }

    /// The broker answered a message with an error: later again, but not for ever, and not before the others.
    fn refused(&mut self, place: Place, why: &str, by_rights: bool) {
        let now = self.wiring.time.now();
        let trial = self.trials.entry(place).or_default();
        trial.refusals += 1;
        let refusals = trial.refusals;
        if refusals >= if by_rights { REFUSALS_BY_RIGHTS } else { REFUSALS } {
            let id = self.id_of(place);
            self.give_up(place, &id, &format!("the broker refused it {refusals} times, last with {why}"));
            return;
        }
        let wait = REFUSED_FIRST.times(1 << (refusals - 1).min(20)).min(REFUSED_LONGEST);
        trial.not_before = now + wait;
        let text = format!("the broker refused message {}: {why}", place.number);
        if refusals == 1 {
            warn!("{text}; trying it again in {wait}, others go on");
        } else {
            debug!("{text} ({refusals} times); trying it again in {wait}");
        }
    }

    fn id_of(&self, place: Place) -> String {
        lock(&self.wiring.outbox).get(place).map_or_else(String::new, |c| c.message.id().to_owned())
    }

    fn give_up(&mut self, place: Place, id: &str, why: &str) {
        warn!("message {} ({id}) is given up: {why}. It is counted as refused in the state", place.number);
        self.trials.remove(&place);
        let mut outbox = lock(&self.wiring.outbox);
        if outbox.is_current(place) {
            self.given_up.push(place.number);
        }
        outbox.refuse(place);
    }

    /// Should we die before, the next life asks for its callbacks again by itself.
    async fn tell_given_up(&mut self) {
        for number in std::mem::take(&mut self.given_up) {
            self.tell(Observation::GivenUp { number }).await;
        }
    }

    /// Looks for the message that a lost connection may have died of.
    ///
    /// A broker that has no answer for a message may just close the connection, again and again. So after some
    /// connections without any acknowledgement messages go out one at a time, and one with which the connection is lost
    /// again and again goes behind the others. It is given up only when the broker says that it is at fault.
    fn autopsy(&mut self, connection: &Connection, lost: &Lost) {
        let Lost::Broken(why, fault) = lost else { return };
        let under_way: Vec<Place> = connection.messages().collect();
        if connection.up.is_none() || under_way.is_empty() || *fault == Fault::Other {
            return;
        }
        if let [place] = under_way[..] {
            let others_wait = lock(&self.wiring.outbox).len() > 1;
            let trial = self.trials.entry(place).or_default();
            trial.alone = trial.alone.saturating_add(1);
            if *fault == Fault::Message {
                self.refused(place, why, false);
            } else if trial.alone >= SUSPICIOUS && others_wait {
                let wait = REFUSED_FIRST.times(1 << (trial.alone - SUSPICIOUS).min(20)).min(REFUSED_LONGEST);
                trial.not_before = self.wiring.time.now() + wait;
                info!("message {} goes behind the others for {wait}: connections end with it", place.number);
            }
        }
        if !connection.acknowledged {
            self.barren = self.barren.saturating_add(1);
        }
        if *fault == Fault::Message || self.barren >= SUSPICIOUS {
            self.careful = 2 * WINDOW;
        }
    }

    /// Tells which notice holds, when that changed.
    async fn tell_notice(&mut self) {
        if let Some(notice) = self.notices.news()
            && self.tell(Observation::AreaNoticed { notice: notice.clone() }).await
        {
            self.notices.told(notice);
        }
    }

    /// A receipt is acknowledged when the runner has it: what it had no time for comes again with the session.
    async fn received(&mut self, connection: &Connection, publish: &Publish) {
        if self.taken_in(publish).await && connection.client.try_ack(publish).is_err() {
            debug!("a receipt could not be acknowledged; the broker will send it again");
        }
    }

    /// Whether the message is done with.
    async fn taken_in(&mut self, publish: &Publish) -> bool {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if let Some(area) = self.notices.area_of(&topic).map(str::to_owned) {
            match self.notices.came(&area, &publish.payload) {
                Ok(()) => self.tell_notice().await,
                Err(why) => self.warn_once(format!("notice on {topic} refused: {why}")),
            }
            // What could not be told is told later: the broker keeps the notice anyway.
            return true;
        }
        match topic.strip_prefix(&self.root) {
            Some("callback/receipt") => {}
            Some("command") => return self.commanded(publish).await,
            Some("config/desired") => {
                // What it says is the runner's to read.
                if let Some(desired) = &self.wiring.desired {
                    desired.send_replace(publish.payload.to_vec());
                }
                return true;
            }
            _ => {
                debug!("a message on {topic:?}, which we did not ask for, is passed over");
                return true;
            }
        }
        let wrong = if publish.retain {
            format!(
                "a retained receipt on {topic} is passed over, it may be of long ago; the platform must publish \
                 receipts without the retain flag"
            )
        } else {
            match receipt::read(&publish.payload) {
                Ok(receipt) => return self.tell(Observation::ReceiptCame(receipt)).await,
                Err(why) => format!("receipt on {topic} refused: {why}"),
            }
        };
        self.warn_once(wrong);
        true
    }

    /// One line for what is new, none for what comes again.
    fn warn_once(&mut self, wrong: String) {
        if self.last_refusal.as_ref() == Some(&wrong) {
            debug!("{wrong}");
        } else {
            warn!("{wrong}");
            self.last_refusal = Some(wrong);
        }
    }

    /// A command goes to the judge, which keeps its journal; what is none is refused where it can be.
    async fn commanded(&mut self, publish: &Publish) -> bool {
        let properties = publish.properties.as_ref();
        let envelope = command::Envelope {
            retained: publish.retain,
            correlation: properties.and_then(|p| p.correlation_data.as_deref()),
            expiry_s: properties.and_then(|p| p.message_expiry_interval),
        };
        let key = self.wiring.command_key.as_ref();
        match command::read(&publish.payload, envelope, &self.wiring.device_id, key) {
            command::Read::Command(came) => self.tell(Observation::Commanded(came)).await,
            command::Read::Refused(refused) => self.tell(Observation::CommandRefused(refused)).await,
            command::Read::Unreadable(why) => {
                let size = publish.payload.len();
                self.warn_once(format!("a command of {size} bytes is passed over, for it {why}"));
                true
            }
        }
    }

    /// Tells the runner; `false` when it does not listen any more.
    async fn tell(&self, observation: Observation) -> bool {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            sent = self.wiring.saw.send(observation) => sent.is_ok(),
            // The runner may have stopped listening before it asks us to end.
            _ = asked_to_end(&mut stopped) => false,
        }
    }

    /// Publishes that we are going, and goes. Its caller bounds how long that takes.
    async fn goodbye(&mut self, connection: &mut Connection, reason: &str) {
        if connection.up.is_none() {
            return;
        }
        let mut state = self.state(&connection.session, false);
        state["reason"] = reason.into();
        if self.publish(connection, "state", &state, true, What::State).is_err() {
            return;
        }
        let mut asked = false;
        loop {
            // All states under way are answered in order, ours is the last.
            if !asked && !connection.under_way().any(|s| s.what == What::State) {
                asked = connection.client.try_disconnect().is_ok();
            }
            match connection.events.recv().await {
                Some(Ok(Event::Outgoing(Outgoing::Publish(packet)))) => {
                    if let Some(sent) = connection.given.pop_front() {
                        connection.sent.insert(packet, sent);
                    }
                }
                Some(Ok(Event::Incoming(Incoming::PubAck(puback)))) => {
                    self.answered(connection, &puback).await
                }
                Some(Ok(_)) => {}
                // The broker closes after our DISCONNECT.
                Some(Err(_)) | None => return,
            }
        }
    }
}

/// Comes back with the reason when we are to end: asked, or because nobody is left who could ask.
async fn asked_to_end(stopped: &mut watch::Receiver<Option<String>>) -> String {
    match stopped.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_default(),
        Err(_) => "the agent ended".to_owned(),
    }
}

async fn poll(mut event_loop: EventLoop, into: mpsc::Sender<Result<Event, ConnectionError>>) {
    loop {
        let event = event_loop.poll().await;
        let over = event.is_err();
        if over {
            // What was read together with the end still counts: mosquitto 2.0.11 says why it refuses a message and closes
            // the connection in the same breath. rumqttc would keep these events for its next connection.
            while let Some(read) = event_loop.state.events.pop_front() {
                if into.send(Ok(read)).await.is_err() {
                    return;
                }
            }
        }
        if into.send(event).await.is_err() || over {
            return;
        }
    }
}

/// Uniform between nothing and `cap`.
fn jitter(cap: Span) -> Span {
    Span(fastrand::u64(0..=cap.0))
}

fn name(broker: &Broker) -> String {
    let scheme = if broker.tls { "mqtts" } else { "mqtt" };
    format!("{scheme}://{}:{}", broker.host, broker.port)
}

/// How long ago `then` was; `None` when that was in another boot.
fn age(now: &Stamp, then: &Stamp) -> Option<Span> {
    (now.boot_id == then.boot_id).then(|| Span(now.uptime_ms.saturating_sub(then.uptime_ms)))
}

/// Whether the refusal is for the broker's reasons, not for what the message is.
fn by_rights(reason: PubAckReason) -> bool {
    matches!(
        reason,
        PubAckReason::NotAuthorized | PubAckReason::QuotaExceeded | PubAckReason::PacketIdentifierInUse
    )
}

/// Whether a message may have been the cause of this end.
fn fault(error: &ConnectionError) -> Fault {
    match error {
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code:
                DisconnectReasonCode::PacketTooLarge
                | DisconnectReasonCode::PayloadFormatInvalid
                | DisconnectReasonCode::TopicNameInvalid,
            ..
        }) => Fault::Message,
        ConnectionError::MqttState(StateError::ConnectionAborted) => Fault::Closed,
        ConnectionError::Io(e)
        | ConnectionError::MqttState(
            StateError::Io(e) | StateError::Deserialization(mqttbytes::Error::Io(e)),
        ) => match e.kind() {
            std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::BrokenPipe => Fault::Closed,
            _ => Fault::Other,
        },
        _ => Fault::Other,
    }
}

/// Why a connection ended, in words that follow "lost the broker:" or "cannot connect to the broker:".
fn words(error: &ConnectionError) -> String {
    if let Some(said) = tls::words(error) {
        return said;
    }
    match error {
        ConnectionError::Timeout(_) => {
            format!("no answer within {CONNECT_LIMIT}; check the line, the name and the firewall")
        }
        ConnectionError::Io(e)
        | ConnectionError::MqttState(
            StateError::Io(e) | StateError::Deserialization(mqttbytes::Error::Io(e)),
        ) => match e.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                "nobody listens there; is the broker running, is the port right?".into()
            }
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
                "the other side closed the connection".into()
            }
            _ => e.to_string(),
        },
        ConnectionError::ConnectionRefused(code) => {
            let advice = match code {
                ConnectReturnCode::BadUserNamePassword => "; check mqtt.username and mqtt.password_file",
                ConnectReturnCode::NotAuthorized => {
                    "; check the broker's access list, and certificate or login here"
                }
                ConnectReturnCode::ClientIdentifierNotValid | ConnectReturnCode::BadClientId => {
                    "; check device.id"
                }
                ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion => {
                    "; the broker must speak MQTT 5"
                }
                _ => "",
            };
            format!("it refused us ({code:?}){advice}")
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            let said = reason_string.as_ref().map_or_else(String::new, |s| format!(": {s:.200}"));
            match reason_code {
                DisconnectReasonCode::PacketTooLarge
                | DisconnectReasonCode::PayloadFormatInvalid
                | DisconnectReasonCode::TopicNameInvalid => {
                    format!("it does not take a message ({reason_code:?}{said})")
                }
                DisconnectReasonCode::SessionTakenOver => format!(
                    "another client took the session over{said}; is a second gateway using the same device.id?"
                ),
                _ => format!("it ended the connection ({reason_code:?}{said})"),
            }
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the other side closed the connection".into()
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            "it did not answer within the keep-alive".into()
        }
        ConnectionError::NotConnAck(_) => {
            "what answers there does not speak MQTT 5; is the port right?".into()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_over_all_of_their_cap() {
        let cap = Span::seconds(8);
        let waits: Vec<u64> = (0..400).map(|_| jitter(cap).0).collect();
        assert!(waits.iter().all(|w| *w <= cap.0));
        for eighth in 0..8 {
            assert!(waits.iter().any(|w| w / 1_001 == eighth), "none in eighth {eighth}");
        }
    }

    #[test]
    fn a_stamp_of_another_boot_has_no_age() {
        let stamp = |boot: &str, ms| Stamp { wall: None, synced: false, boot_id: boot.into(), uptime_ms: ms };
        assert_eq!(age(&stamp("a", 9_000), &stamp("a", 3_000)), Some(Span::seconds(6)));
        assert_eq!(age(&stamp("a", 3_000), &stamp("a", 9_000)), Some(Span::ZERO));
        assert_eq!(age(&stamp("a", 9_000), &stamp("b", 8_999)), None);
    }
}
