//! The task that owns the connection. It connects, serves the connection until it is lost, waits, and tries again.

use super::connection::{
    AckPatience, CONNECT_LIMIT, Connection, EVENTS, IN_FLIGHT, LARGEST_INCOMING, LARGEST_OUTGOING, Manners,
    Polling, RECEIVE_MAXIMUM, REQUESTS, WINDOW, What, Will, name, poll,
};
use super::ended::{Fault, Lost, Unfit, describe_error, suspected_cause, unfit};
use super::notice::Notices;
use super::parts::ConnectionParts;
use super::refusals::{SUSPICIOUS, Trial};
use super::tls;
use crate::act::outbox::{Dropped, Place, lock};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::config::Broker;
use linekeeper_judge::observation::{Observation, Part};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, LastWillProperties};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, Incoming, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;
use tracing::{debug, info, warn};

/// A connection that lasted this long resets the waits. Longer than the wait for
/// an acknowledgement, so that a whole fleet does not
/// reconnect every ten seconds to a broker that accepts connections and never acknowledges.
const GOOD_CONNECTION: Span = Span::seconds(15);

/// The cap of the first wait while this process has not reached a broker yet. Caps double with each failure.
const FIRST_WAIT: Span = Span::seconds(1);

/// The cap of the first wait after a connection was lost on a line that is up. The broker was probably restarted, and the whole
/// fleet lost it in the same second: a million gateways spread over half a minute are 33 000 connections a second, which a
/// cluster bears.
const LOST_WAIT: Span = Span::seconds(30);

/// The same while a critical message waits: within the 5 s promised for it. Few gateways of a fleet have one at once.
const URGENT_WAIT: Span = Span::seconds(4);

/// When the line came back: the cap of the wait, and the age from which an unanswered message shows that the connection
/// died with the line.
const NUDGED: Span = Span::seconds(1);

/// The first wait after another client took the session over. It doubles with each time, up to [`TAKEN_LONGEST`]: two gateways
/// with one id would otherwise take it from each other several times a minute.
const TAKEN_WAIT: Span = Span::seconds(15);

/// Rare enough that each of the two gets its messages through in between.
const TAKEN_LONGEST: Span = Span::minutes(10);

/// A connection that lasted this long shows that nobody else wants the session any more: longer than [`TAKEN_LONGEST`].
const UNDISPUTED: Span = Span::minutes(20);

/// How often writing is retried after the disk failed.
const DISK_AGAIN: Span = Span::minutes(1);

/// The state that outlives a connection.
pub(super) struct Keeper {
    pub(super) parts: ConnectionParts,
    pub(super) root: String,
    pub(super) new: Arc<Notify>,
    /// A routine summary came.
    pub(super) summary: Arc<Notify>,
    pub(super) nudge: Arc<Notify>,
    pub(super) stopped: watch::Receiver<Option<String>>,
    /// Failed rounds in a row.
    pub(super) failures: u32,
    /// A broker was reached in this process: when it is lost, probably the whole fleet lost it.
    pub(super) reached_before: bool,
    /// Critical messages that the broker accepted although nobody subscribes.
    pub(super) unheard: u64,
    /// Index of the next broker in the configuration.
    pub(super) broker_index: usize,
    /// Logged once, until it changes.
    pub(super) last_failure: Option<String>,
    pub(super) last_refusal: Option<String>,
    /// Bounded by the outbox: entries of messages that left it are removed.
    pub(super) trials: BTreeMap<Place, Trial>,
    /// Connections in a row lost with messages under way and none acknowledged.
    pub(super) fruitless_connections: u32,
    pub(super) patience: AckPatience,
    /// How often another client took the session over, since it was last undisputed.
    pub(super) takeovers: u32,
    /// What the brokers take, by their place in the configuration.
    pub(super) manners: BTreeMap<usize, Manners>,
    /// While above zero, messages are sent one at a time; each acknowledgement lowers it.
    pub(super) single_sends_left: usize,
    /// Numbers of given-up messages that are not reported to the judge yet. At most as many as the outbox held.
    pub(super) given_up: Vec<u64>,
    /// Id of the routine summary under way.
    pub(super) summary_under_way: Option<String>,
    /// Counts published states and reports, for their ids.
    pub(super) state_number: u32,
    pub(super) disk_again: Mono,
    pub(super) notices: Notices,
    /// After the broker refused the report on the configuration: the earliest next attempt.
    pub(super) report_again: Mono,
}

impl Keeper {
    pub(super) async fn run(mut self) {
        loop {
            let broker =
                self.parts.mqtt.brokers.get(self.broker_index).or(self.parts.mqtt.brokers.first()).cloned();
            let Some(broker) = broker else {
                warn!("no broker is configured: messages stay in the outbox");
                return;
            };
            let (lost, up) = match self.connect(&broker) {
                Ok(mut connection) => {
                    let lost = self.serve_connection(&broker, &mut connection).await;
                    self.suspect_messages(&connection, &lost);
                    self.learn_from_end(&connection, &lost);
                    self.report_given_up().await;
                    (lost, connection.up)
                }
                Err(why) => (Lost::Broken(why, Fault::Other), None),
            };
            let now = self.parts.clock.now();
            self.notices.disconnected();
            if up.is_some() {
                self.report(Observation::BrokerSeen { connected: false }).await;
            }
            self.retry_disk();
            let is_taken = matches!(lost, Lost::Broken(_, Fault::TakenOver));
            let wait = match lost {
                Lost::Stopped => return,
                Lost::Nudged => {
                    self.failures = 0;
                    debug!("the line came back: the connection to {} is made anew", name(&broker));
                    jitter(NUDGED)
                }
                Lost::Broken(why, fault) => {
                    if up.is_some_and(|up| now.since(up) >= GOOD_CONNECTION) {
                        self.failures = 0;
                    }
                    self.reached_before |= up.is_some();
                    let mut wait = jitter(self.longest_wait());
                    if fault == Fault::TakenOver {
                        wait = wait.max(self.wait_after_takeover().await);
                    }
                    self.log_failure(&broker, up.is_some(), &why, wait);
                    self.select_next_broker(up.is_some());
                    wait
                }
            };
            if !self.wait(wait, is_taken).await {
                return;
            }
        }
    }

    /// The cap of the next wait.
    pub(super) fn longest_wait(&self) -> Span {
        let first = match (self.reached_before, lock(&self.parts.outbox).len()) {
            (false, _) => FIRST_WAIT,
            (true, 0) => LOST_WAIT,
            (true, _) => URGENT_WAIT,
        };
        first.times(1 << self.failures.min(20)).min(self.parts.mqtt.reconnect)
    }

    pub(super) fn select_next_broker(&mut self, was_up: bool) {
        self.broker_index =
            if was_up { 0 } else { (self.broker_index + 1) % self.parts.mqtt.brokers.len().max(1) };
        if self.broker_index == 0 {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// Tells the judge, and so the platform, that two gateways use one id, and returns how long to leave the session to the
    /// other one.
    async fn wait_after_takeover(&mut self) -> Span {
        self.takeovers = self.takeovers.saturating_add(1);
        let trouble = format!(
            "another client takes the session of {} over, {} times so far: a second gateway probably has the same device.id",
            self.parts.device_id, self.takeovers
        );
        self.report(Observation::PartSeen { part: Part::Broker, trouble: Some(trouble) }).await;
        TAKEN_WAIT.times(1 << (self.takeovers - 1).min(20)).min(TAKEN_LONGEST)
    }

    /// Nobody else wants the session any more.
    async fn end_dispute(&mut self, connection: &Connection, now: Mono) {
        if self.takeovers > 0 && connection.up.is_some_and(|up| now.since(up) >= UNDISPUTED) {
            self.takeovers = 0;
            self.report(Observation::PartSeen { part: Part::Broker, trouble: None }).await;
        }
    }

    /// Logs a new failure at `info`, a repeated one at `debug`.
    pub(super) fn log_failure(&mut self, broker: &Broker, was_up: bool, why: &str, wait: Span) {
        let what = if was_up { "lost the broker" } else { "cannot connect to the broker" };
        let text = format!("{what} {}: {why}", name(broker));
        if was_up || self.last_failure.as_ref() != Some(&text) {
            info!("{text}; next attempt in {wait}");
        } else {
            debug!("{text}; next attempt in {wait}");
        }
        self.last_failure = Some(text);
    }

    /// Waits before the next attempt. A critical message shortens it unless the session was `taken`. Returns `false` when the
    /// task must end.
    pub(super) async fn wait(&mut self, wait: Span, taken: bool) -> bool {
        let mut stopped = self.stopped.clone();
        let nudge = Arc::clone(&self.nudge);
        let new = Arc::clone(&self.new);
        let end = self.parts.clock.now() + wait;
        let mut hurried = wait <= NUDGED;
        let mut urgent = taken || wait <= URGENT_WAIT;
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
                // Once per wait: later messages go with this one.
                () = new.notified(), if !urgent && !hurried => {
                    urgent = true;
                    let left = end.since(self.parts.clock.now());
                    over.set(sleep(jitter(URGENT_WAIT).min(left).into()));
                }
            }
        }
    }

    /// Creates a client, which starts to connect.
    pub(super) fn connect(&mut self, broker: &Broker) -> Result<Connection, String> {
        let session = format!("{:016x}", fastrand::u64(..));
        self.check_password_file()?;
        let mut options = self.options(broker)?;
        let manners = self.manners();
        let topic = format!("{}state", self.root);
        let mut will = self.state(&session, false);
        // We do not know when the broker will publish it; the reader knows when it arrived.
        will["time"] = Value::Null;
        // Nor the state of the line at that time: the state at connect must not become a dead gateway's last message.
        will["line"] = "unknown".into();
        for field in ["incident_id", "fault_domain"] {
            will[field] = Value::Null;
        }
        will["id"] = format!("{}/state/{session}/will", self.parts.device_id).into();
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
        if manners.will == Will::Short {
            will = shortest_state(&will);
        }
        if manners.will != Will::Without {
            let will = will.to_string();
            options.set_last_will(LastWill::new(topic, will, QoS::AtLeastOnce, manners.retain, Some(about)));
        }
        let (client, event_loop) = AsyncClient::new(options, REQUESTS);
        let (into, events) = mpsc::channel(EVENTS);
        let now = self.parts.clock.now();
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
            ack_limit: self.patience.limit(),
            largest: LARGEST_OUTGOING,
            packet_ids: IN_FLIGHT.into(),
            to_subscribe: VecDeque::new(),
            subscribing: None,
            retain: manners.retain,
            cursor: None,
            state_due: true,
            reported_due: true,
            state_at: None,
            dropped: Dropped::default(),
            _polling: Polling(tokio::spawn(poll(event_loop, into))),
        })
    }

    /// What is known of the broker in use.
    pub(super) fn manners(&self) -> Manners {
        self.manners.get(&self.broker_index).copied().unwrap_or_default()
    }

    /// The broker refused the connection, or ended it before it accepted it: it may not take what is in CONNECT.
    fn learn_from_refusal(&mut self, broker: &Broker, connection: &Connection, error: &ConnectionError) {
        if connection.up.is_some() {
            return;
        }
        let mut manners = self.manners();
        let is_closed = suspected_cause(error) == Fault::Closed;
        manners.closed = if is_closed { manners.closed.saturating_add(1) } else { 0 };
        match unfit(error) {
            Some(Unfit::Retain) if manners.retain => {
                manners.retain = false;
                warn!(
                    "the broker {} keeps no retained messages: it is asked again without. Who subscribes late will not see \
                     the state before it changes",
                    name(broker)
                );
            }
            Some(Unfit::Size) => {
                manners.will = match manners.will {
                    Will::Complete => Will::Short,
                    Will::Short | Will::Without => Will::Without,
                };
                info!(
                    "the broker {} does not take our CONNECT: the next one has a shorter will",
                    name(broker)
                );
            }
            // Some close without a word. A broker that is only away does so too, so it still gets a will.
            None if manners.closed >= SUSPICIOUS && manners.will == Will::Complete => {
                manners.will = Will::Short
            }
            Some(Unfit::Retain) | None => {}
        }
        self.manners.insert(self.broker_index, manners);
    }

    /// The connection ended while it was to be subscribed: the next SUBSCRIBE has fewer filters.
    fn learn_from_end(&mut self, connection: &Connection, lost: &Lost) {
        let Lost::Broken(_, Fault::Closed | Fault::Message) = lost else { return };
        if connection.up.is_some() && connection.subscribing.is_some() {
            let mut manners = self.manners();
            manners.filters = (manners.filters / 2).max(1);
            self.manners.insert(self.broker_index, manners);
        }
    }

    /// A password that others may change is refused; one that they may read is warned about. That it is missing is told where it
    /// is read.
    fn check_password_file(&mut self) -> Result<(), String> {
        let Some((_, file)) = &self.parts.mqtt.login else { return Ok(()) };
        let Ok(found) = fs::metadata(file) else { return Ok(()) };
        let (mode, shown) = (found.permissions().mode() & 0o777, file.display().to_string());
        if mode & 0o022 != 0 {
            return Err(format!(
                "the password file {shown} can be written by others (mode {mode:o}): chmod 600 it"
            ));
        }
        if mode & 0o004 != 0 {
            self.warn_once(format!(
                "the password file {shown} can be read by everybody (mode {mode:o}): chmod 600 it"
            ));
        }
        Ok(())
    }

    pub(super) fn options(&self, broker: &Broker) -> Result<MqttOptions, String> {
        let mqtt = &self.parts.mqtt;
        let mut options = MqttOptions::new(&self.parts.device_id, &broker.host, broker.port);
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

    /// Sends and receives until the connection ends.
    pub(super) async fn serve_connection(&mut self, broker: &Broker, connection: &mut Connection) -> Lost {
        let mut stopped = self.stopped.clone();
        let nudge = Arc::clone(&self.nudge);
        let new = Arc::clone(&self.new);
        let summary = Arc::clone(&self.summary);
        let mut body_lives = true;
        let mut reported_lives = true;
        loop {
            let mut wake = None;
            if connection.up.is_some() {
                match self.send_due(connection) {
                    Ok(at) => wake = at,
                    Err(why) => return Lost::Broken(why, Fault::Other),
                }
            }
            let now = self.parts.clock.now();
            let wait = wake.map_or(DISK_AGAIN, |at| at.since(now)).min(DISK_AGAIN);
            tokio::select! {
                event = connection.events.recv() => match event {
                    None => return Lost::Broken("the connection's task ended".into(), Fault::Other),
                    Some(Err(error)) => {
                        self.learn_from_refusal(broker, connection, &error);
                        return Lost::Broken(describe_error(&error), suspected_cause(&error));
                    }
                    Some(Ok(event)) => {
                        if let Err(why) = self.handle_event(broker, connection, event).await {
                            return Lost::Broken(why, Fault::Other);
                        }
                    }
                },
                reason = asked_to_end(&mut stopped) => {
                    self.disconnect(connection, &reason).await;
                    return Lost::Stopped;
                }
                () = nudge.notified() => {
                    let now = self.parts.clock.now();
                    let in_doubt = match connection.up {
                        None => now.since(connection.began) > NUDGED,
                        Some(_) => connection.under_way().any(|s| now.since(s.at) > NUDGED),
                    };
                    if in_doubt {
                        return Lost::Nudged;
                    }
                }
                changed = self.parts.state.changed(), if body_lives => {
                    body_lives = changed.is_ok();
                    connection.state_due |= body_lives;
                }
                changed = self.parts.reported.changed(), if reported_lives => {
                    reported_lives = changed.is_ok();
                    connection.reported_due |= reported_lives;
                }
                () = new.notified() => {}
                () = summary.notified() => {}
                () = sleep(wait.into()) => {}
            }
            let now = self.parts.clock.now();
            if connection.ack_deadline().is_some_and(|at| now >= at) {
                let n = connection.under_way().count();
                let why = format!("{n} messages were not acknowledged within {}", connection.ack_limit);
                self.patience.missed();
                return Lost::Broken(why, Fault::Other);
            }
            self.stop_waiting_for_suback(connection, now);
            self.end_dispute(connection, now).await;
            self.retry_disk();
            self.notices.settle(now);
            self.report_notice().await;
            self.report_given_up().await;
        }
    }

    pub(super) fn retry_disk(&mut self) {
        let now = self.parts.clock.now();
        let mut outbox = lock(&self.parts.outbox);
        if outbox.trouble().is_some() && now >= self.disk_again {
            self.disk_again = now + DISK_AGAIN;
            // The outbox logs its recovery itself.
            let _ = outbox.retry();
        }
    }

    /// Reports an observation to the judge's loop. Returns `false` when the loop has ended.
    pub(super) async fn report(&self, observation: Observation) -> bool {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            sent = self.parts.saw.send(observation) => sent.is_ok(),
            // The loop may stop receiving before it asks us to end.
            _ = asked_to_end(&mut stopped) => false,
        }
    }

    /// Publishes `online: false`, then disconnects. The caller limits the time.
    pub(super) async fn disconnect(&mut self, connection: &mut Connection, reason: &str) {
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
            // States are acknowledged in order; ours is the last.
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
                    self.handle_puback(connection, &puback).await
                }
                Some(Ok(_)) => {}
                // The broker closes after our DISCONNECT.
                Some(Err(_)) | None => return,
            }
        }
    }
}

/// The state with nothing but what a reader needs to know who is gone or there.
pub(super) fn shortest_state(state: &Value) -> Value {
    let needed = ["schema", "id", "device_id", "online", "time", "line", "reason"];
    let fields = needed.into_iter().filter_map(|key| Some((key.to_owned(), state.get(key)?.clone())));
    Value::Object(fields.collect())
}

/// Waits for the request to end and returns its reason. Also returns when the other side is gone.
async fn asked_to_end(stopped: &mut watch::Receiver<Option<String>>) -> String {
    match stopped.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_default(),
        Err(_) => "the agent ended".to_owned(),
    }
}

/// A random wait, uniform between zero and `cap`.
fn jitter(cap: Span) -> Span {
    Span(fastrand::u64(0..=cap.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_uniform_up_to_its_cap() {
        let cap = Span::seconds(8);
        let waits: Vec<u64> = (0..400).map(|_| jitter(cap).0).collect();
        assert!(waits.iter().all(|w| *w <= cap.0));
        for eighth in 0..8 {
            assert!(waits.iter().any(|w| w / 1_001 == eighth), "none in eighth {eighth}");
        }
    }
}
