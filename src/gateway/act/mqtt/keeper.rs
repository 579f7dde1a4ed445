//! The task that owns the connection: it connects, waits, tries again, and keeps a connection as long as it lives.

use super::connection::{
    ACK_LIMIT, CONNECT_LIMIT, Connection, EVENTS, IN_FLIGHT, LARGEST_INCOMING, LARGEST_OUTGOING, Polling,
    RECEIVE_MAXIMUM, REQUESTS, WINDOW, What, name, poll,
};
use super::ended::{Fault, Lost, fault, words};
use super::notice::Notices;
use super::refusals::Trial;
use super::tls;
use super::wiring::Wiring;
use crate::act::outbox::{Dropped, Place, lock};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::config::Broker;
use linekeeper_judge::observation::Observation;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, LastWillProperties};
use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;
use tracing::{debug, info, warn};

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

/// How often a disk that could not be written is tried again.
const DISK_AGAIN: Span = Span::minutes(1);

/// The owner of all that outlives a connection.
pub(super) struct Keeper {
    pub(super) wiring: Wiring,
    pub(super) root: String,
    pub(super) new: Arc<Notify>,
    /// A routine summary came.
    pub(super) summary: Arc<Notify>,
    pub(super) nudge: Arc<Notify>,
    pub(super) stopped: watch::Receiver<Option<String>>,
    /// Failed rounds in a row.
    pub(super) failures: u32,
    /// A broker was reached in this life: what is lost now it lost for many.
    pub(super) stood: bool,
    /// Critical messages that the broker took although nobody listens.
    pub(super) unheard: u64,
    /// Which broker is next.
    pub(super) turn: usize,
    /// Told once, until it changes.
    pub(super) last_failure: Option<String>,
    pub(super) last_refusal: Option<String>,
    /// Bounded by the outbox: entries of messages that left it are removed.
    pub(super) trials: BTreeMap<Place, Trial>,
    /// Connections in a row lost with messages under way and none acknowledged.
    pub(super) barren: u32,
    /// As many acknowledgements are waited for one at a time.
    pub(super) careful: usize,
    /// Numbers of messages that were given up, until that is told. At most what the outbox held.
    pub(super) given_up: Vec<u64>,
    /// Id of the routine summary under way.
    pub(super) telling: Option<String>,
    /// Numbers the states.
    pub(super) states: u32,
    pub(super) disk_again: Mono,
    pub(super) notices: Notices,
    /// The broker refused the report on the configuration: not before.
    pub(super) report_again: Mono,
}

impl Keeper {
    pub(super) async fn run(mut self) {
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
    pub(super) fn cap(&self) -> Span {
        let first = match (self.stood, lock(&self.wiring.outbox).len()) {
            (false, _) => FIRST_WAIT,
            (true, 0) => LOST_WAIT,
            (true, _) => URGENT_WAIT,
        };
        first.times(1 << self.failures.min(20)).min(self.wiring.mqtt.reconnect)
    }

    pub(super) fn next_turn(&mut self, was_up: bool) {
        self.turn = if was_up { 0 } else { (self.turn + 1) % self.wiring.mqtt.brokers.len().max(1) };
        if self.turn == 0 {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// One line for what is new, none for what goes on.
    pub(super) fn failed(&mut self, broker: &Broker, was_up: bool, why: &str, wait: Span) {
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
    pub(super) async fn wait(&mut self, wait: Span) -> bool {
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
    pub(super) fn connect(&mut self, broker: &Broker) -> Result<Connection, String> {
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

    pub(super) fn options(&self, broker: &Broker) -> Result<MqttOptions, String> {
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
    pub(super) async fn keep(&mut self, broker: &Broker, connection: &mut Connection) -> Lost {
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

    pub(super) fn tend_disk(&mut self) {
        let now = self.wiring.time.now();
        let mut outbox = lock(&self.wiring.outbox);
        if outbox.trouble().is_some() && now >= self.disk_again {
            self.disk_again = now + DISK_AGAIN;
            // It tells the log by itself when it works again.
            let _ = outbox.retry();
        }
    }

    /// Tells the runner; `false` when it does not listen any more.
    pub(super) async fn tell(&self, observation: Observation) -> bool {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            sent = self.wiring.saw.send(observation) => sent.is_ok(),
            // The runner may have stopped listening before it asks us to end.
            _ = asked_to_end(&mut stopped) => false,
        }
    }

    /// Publishes that we are going, and goes. Its caller bounds how long that takes.
    pub(super) async fn goodbye(&mut self, connection: &mut Connection, reason: &str) {
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

/// Uniform between nothing and `cap`.
fn jitter(cap: Span) -> Span {
    Span(fastrand::u64(0..=cap.0))
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
}
