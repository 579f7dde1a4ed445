//! A stand-in for the operator's callback platform: receives every message, answers callbacks, and stores what arrived.
//!
//! It works with any MQTT 5 broker: the demo's own, or the mosquitto of the tests.

use crate::clock;
use crate::error::Error;
use crate::world::{Host, enter_namespace};
use linekeeper_contract::message::{Callback, CallbackState, Message, Stamp};
use linekeeper_judge::observation::{Receipt, ReceiptState};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Root of all topics.
pub const ROOT: &str = "linekeeper/v1";

/// Schema name of receipts.
pub const RECEIPT_SCHEMA: &str = "linekeeper.receipt.v1";

/// The most messages that are stored: a thousand times as many as a demo sends. Later ones are dropped.
const KEPT: usize = 50_000;

/// The largest accepted message, the same limit as that of the lab's broker.
const LARGEST: u32 = 256 * 1024;

/// How long connecting and subscribing may take in total.
const READY: Duration = Duration::from_secs(20);

/// Time between two attempts to connect. It is short because the lab is one machine.
const RECONNECT: Duration = Duration::from_millis(200);

/// How callbacks are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipts {
    /// With `received`, the normal answer.
    Received,
    /// Not at all: the platform is down behind a working broker.
    Silent,
    /// With `refused`, for this reason.
    Refused(String),
}

/// One received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its index in the order of arrival, from 0.
    pub place: usize,
    /// When it arrived, by [`clock::uptime`].
    pub at: Duration,
    /// The topic on which it was published.
    pub topic: String,
    /// The id of the sending device.
    pub device: String,
    /// The end of the topic: `state`, `event`, `callback`, `telemetry`, …
    pub kind: String,
    /// Its content; `null` if it is not JSON.
    pub json: Value,
    /// Whether the broker had retained it.
    pub retained: bool,
    /// Whether a message with the same id arrived before.
    pub repeated: bool,
}

impl Received {
    /// The typed message, if it is a critical one.
    pub fn message(&self) -> Option<Message> {
        if !matches!(self.kind.as_str(), "event" | "callback") {
            return None;
        }
        serde_json::from_value(self.json.clone()).ok()
    }

    /// The time from the reported fact to the arrival.
    pub fn delay(&self) -> Option<Duration> {
        let stamp: Stamp = serde_json::from_value(self.json.get("time")?.clone()).ok()?;
        Some(self.at.saturating_sub(Duration::from_millis(stamp.uptime_ms)))
    }
}

#[derive(Debug)]
struct State {
    received: Vec<Received>,
    ids: BTreeSet<String>,
    receipts: Receipts,
    subscribed: bool,
    ended: Option<String>,
    stop: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running stand-in, on a thread of its own. It disconnects when dropped.
#[derive(Debug)]
pub struct Platform {
    shared: Arc<Shared>,
    client: AsyncClient,
    thread: Option<JoinHandle<()>>,
}

impl Platform {
    /// Connects to `broker` from inside `host` (or from where we are), and returns once it is subscribed.
    ///
    /// # Errors
    /// It cannot connect or subscribe in time.
    pub fn start(host: Option<Host>, broker: SocketAddr, receipts: Receipts) -> Result<Platform, Error> {
        let mut options = MqttOptions::new("platform", broker.ip().to_string(), broker.port());
        options
            .set_keep_alive(Duration::from_secs(5))
            .set_clean_start(true)
            .set_max_packet_size(Some(LARGEST))
            // Without it, rumqttc keeps room for 65535.
            .set_outgoing_inflight_upper_limit(20);
        let (client, events) = AsyncClient::new(options, 64);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                received: Vec::new(),
                ids: BTreeSet::new(),
                receipts,
                subscribed: false,
                ended: None,
                stop: false,
            }),
            changed: Condvar::new(),
        });
        let thread = std::thread::spawn({
            let (shared, client) = (Arc::clone(&shared), client.clone());
            move || {
                let outcome = work(host, &shared, &client, events);
                shared.lock().ended = Some(outcome.err().map_or("stopped".to_owned(), |e| e.to_string()));
                shared.changed.notify_all();
            }
        });
        let platform = Platform { shared, client, thread: Some(thread) };
        let state = platform.shared.lock();
        let (state, _) = platform
            .shared
            .changed
            .wait_timeout_while(state, READY, |s| !s.subscribed && s.ended.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let (subscribed, ended) = (state.subscribed, state.ended.clone());
        drop(state);
        if subscribed {
            return Ok(platform);
        }
        let why =
            ended.unwrap_or_else(|| format!("no subscription at {broker} within {} s", READY.as_secs()));
        Err(Error::new("starting the platform's stand-in", why))
    }

    /// Sets how callbacks are answered from now on.
    pub fn answer_with(&self, receipts: Receipts) {
        self.shared.lock().receipts = receipts;
    }

    /// The number of received messages, which is the index of the next one.
    pub fn place(&self) -> usize {
        self.shared.lock().received.len()
    }

    /// The messages from index `place` on.
    pub fn received(&self, place: usize) -> Vec<Received> {
        self.shared.lock().received.get(place..).unwrap_or_default().to_vec()
    }

    /// Waits for the first message from index `place` on that `wanted` accepts; `None` if none arrived within `patience`.
    pub fn wait_for(
        &self,
        place: usize,
        patience: Duration,
        mut wanted: impl FnMut(&Received) -> bool,
    ) -> Option<Received> {
        let began = clock::uptime();
        let mut place = place;
        let mut state = self.shared.lock();
        loop {
            if let Some(found) = state.received.get(place..).unwrap_or_default().iter().find(|r| wanted(r)) {
                return Some(found.clone());
            }
            place = place.max(state.received.len());
            let left = patience.saturating_sub(clock::since(began));
            if left.is_zero() || state.ended.is_some() {
                return None;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends `device` a receipt for a callback.
    ///
    /// # Errors
    /// The send queue is full.
    pub fn send(&self, device: &str, receipt: &Receipt) -> Result<(), Error> {
        send(&self.client, device, receipt)
    }

    /// Publishes anything at QoS 1.
    ///
    /// # Errors
    /// The send queue is full.
    pub fn publish(&self, topic: &str, payload: Vec<u8>, retain: bool) -> Result<(), Error> {
        self.client
            .try_publish(topic, QoS::AtLeastOnce, retain, payload)
            .map_err(|e| Error::new(format!("publishing to {topic}"), e))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        let _ = self.client.try_disconnect();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn send(client: &AsyncClient, device: &str, receipt: &Receipt) -> Result<(), Error> {
    let wrong = |e: &dyn std::fmt::Display| Error::new(format!("sending a receipt to {device}"), e);
    let mut json = serde_json::to_value(receipt).map_err(|e| wrong(&e))?;
    json["schema"] = json!(RECEIPT_SCHEMA);
    let topic = format!("{ROOT}/{device}/callback/receipt");
    client.try_publish(topic, QoS::AtLeastOnce, false, json.to_string()).map_err(|e| wrong(&e))
}

fn work(
    host: Option<Host>,
    shared: &Shared,
    client: &AsyncClient,
    mut events: EventLoop,
) -> Result<(), Error> {
    if let Some(host) = host {
        enter_namespace(host)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Error::new("starting the platform's stand-in", e))?.block_on(async {
        loop {
            let event = events.poll().await;
            if shared.lock().stop {
                return;
            }
            match event {
                // Each time: a session that the broker lost has lost its subscriptions too.
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    let _ = client.try_subscribe(format!("{ROOT}/+/#"), QoS::AtLeastOnce);
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => {
                    shared.lock().subscribed = true;
                    shared.changed.notify_all();
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => take(shared, client, &publish),
                Ok(_) => {}
                Err(ConnectionError::RequestsDone) => return,
                Err(_) => tokio::time::sleep(RECONNECT).await,
            }
        }
    });
    Ok(())
}

fn take(shared: &Shared, client: &AsyncClient, publish: &Publish) {
    let at = clock::uptime();
    let topic = String::from_utf8_lossy(&publish.topic).into_owned();
    let Some((device, kind)) = topic.strip_prefix(ROOT).and_then(|t| t.strip_prefix('/')?.split_once('/'))
    else {
        return;
    };
    if kind == "callback/receipt" {
        return; // our own
    }
    let json: Value = serde_json::from_slice(&publish.payload).unwrap_or_default();
    let mut state = shared.lock();
    if state.received.len() >= KEPT {
        return;
    }
    // Only critical messages promise an id that is theirs alone.
    let repeated = matches!(kind, "event" | "callback")
        && json.get("id").and_then(Value::as_str).is_some_and(|id| !state.ids.insert(id.to_owned()));
    let received = Received {
        place: state.received.len(),
        at,
        device: device.to_owned(),
        kind: kind.to_owned(),
        json,
        retained: publish.retain,
        repeated,
        topic: topic.clone(),
    };
    // A repetition is answered too: it may have been sent because the first receipt was lost.
    if let Some(Message::Callback(callback)) = received.message()
        && let Some(receipt) = answer(&state.receipts, &callback)
    {
        // The channel holds 64 and is drained by this very task: it is full only while the broker is away, and
        // then the agent asks again.
        let _ = send(client, device, &receipt);
    }
    state.received.push(received);
    drop(state);
    shared.changed.notify_all();
}

/// The receipt for a callback; only requests get one.
fn answer(receipts: &Receipts, callback: &Callback) -> Option<Receipt> {
    if callback.state != CallbackState::Requested {
        return None;
    }
    let (state, reason) = match receipts {
        Receipts::Received => (ReceiptState::Received, None),
        Receipts::Refused(why) => (ReceiptState::Refused, Some(why.clone())),
        Receipts::Silent => return None,
    };
    Some(Receipt {
        callback_id: callback.callback_id.clone(),
        state,
        reason,
        satisfaction_score: None,
        issue_types: Vec::new(),
        resolved_by: None,
    })
}
