//! One connection to the broker: its client, the messages in flight, and the limits that the broker announced.

use crate::act::outbox::{Dropped, Place};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_judge::config::Broker;
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How many messages may be unacknowledged at once.
///
/// 16: with 2 kB each that is 1.3 Mbit/s over a round trip of 200 ms, and after an outage of a week the queue is gone
/// in seconds; more would only repeat more after a broken connection.
pub(super) const WINDOW: usize = 16;

/// rumqttc's own limit, above [`WINDOW`] so that the state and the subscription never wait for messages. It reserves
/// memory for each.
pub(super) const IN_FLIGHT: u16 = 20;

/// Capacity of rumqttc's request channel: everything that may be in flight at once, so that it is never full.
pub(super) const REQUESTS: usize = 32;

/// Events that may wait for the keeper. When it falls behind, reading from the socket stops.
pub(super) const EVENTS: usize = 64;

/// The largest packet that we accept, in bytes. A receipt has at most 8 KiB (`receipt::LARGEST_RECEIPT`). The broker is
/// told this limit and does not send larger packets.
pub(super) const LARGEST_INCOMING: u32 = 32 * 1024;

/// How many unacknowledged messages the broker may send us.
pub(super) const RECEIVE_MAXIMUM: u16 = 10;

/// The largest message that is sent when the broker names no limit of its own. Ours are some kilobytes.
pub(super) const LARGEST_OUTGOING: usize = 1 << 20;

/// For DNS, TCP, TLS and CONNACK together. A slow router's TLS handshake takes about a second; a lost SYN costs 1, 3
/// and 7 s.
pub(super) const CONNECT_LIMIT: Span = Span::seconds(10);

/// How long an acknowledgement may take, counted from the last progress, before we reconnect. [`AckPatience`] extends it for
/// brokers and lines that are slower.
///
/// 4 s: a loaded land line answers within 2 s, a satellite within 1 s. After a failover to another uplink this is what is
/// left of the 5 s promised for critical messages; TCP alone would retransmit for 15 min.
pub const ACK_LIMIT: Span = Span::seconds(4);

/// The longest wait for an acknowledgement: twice the slowest broker that was reported (a minute).
pub(super) const ACK_LONGEST: Span = Span::minutes(2);

/// How many times the measured time an acknowledgement may take.
const ACK_FACTOR: u64 = 4;

/// How long to wait for acknowledgements, and how many messages to send at once. It outlives a connection: a broker that
/// takes 20 s is one that takes 20 s also on the next connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct AckPatience {
    /// The time that acknowledgements take: the longest lately, an eighth less with each quicker one.
    took: Span,
    /// The limit after connections that ended without an acknowledgement: it doubles with each, until one comes.
    failed: Span,
    /// Messages at once: a quarter after such a connection, one more with each acknowledgement. Where only small segments
    /// pass, a few messages get through and many do not.
    pub(super) window: usize,
}

impl AckPatience {
    pub(super) const fn new() -> AckPatience {
        AckPatience { took: Span::ZERO, failed: Span::ZERO, window: WINDOW }
    }

    /// How long an acknowledgement may take now.
    pub(super) fn limit(&self) -> Span {
        self.took.times(ACK_FACTOR).max(self.failed).clamp(ACK_LIMIT, ACK_LONGEST)
    }

    /// An acknowledgement came after this time.
    pub(super) fn acknowledged(&mut self, after: Span) {
        self.took = after.max(Span(self.took.0 - self.took.0 / 8));
        self.failed = Span::ZERO;
        self.window = (self.window + 1).min(WINDOW);
    }

    /// None came within the limit.
    pub(super) fn missed(&mut self) {
        self.failed = self.limit().times(2).min(ACK_LONGEST);
        self.window = (self.window / 4).max(1);
    }
}

/// What one broker takes, as far as its answers have shown it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// It keeps retained messages.
    pub(super) retain: bool,
    /// Topic filters in one SUBSCRIBE. AWS IoT takes eight; one that ends the connection is asked with half as many.
    pub(super) filters: usize,
    /// How much of the will goes into CONNECT. Its limit on packets is not known before CONNACK.
    pub(super) will: Will,
    /// Connections in a row that it closed without an answer to CONNECT.
    pub(super) closed: u32,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners { retain: true, filters: 8, will: Will::Complete, closed: 0 }
    }
}

/// See [`Manners::will`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Will {
    Complete,
    /// That the gateway is gone, and no more.
    Short,
    Without,
}

/// A SUBSCRIBE that is not acknowledged yet.
pub(super) struct Subscribing {
    pub(super) topics: Vec<String>,
    pub(super) at: Mono,
    /// Messages given to the client after it.
    pub(super) published: usize,
}

/// One connection.
pub(super) struct Connection {
    pub(super) client: AsyncClient,
    pub(super) events: mpsc::Receiver<Result<Event, ConnectionError>>,
    pub(super) session: String,
    /// When the attempt began, and when CONNACK came.
    pub(super) began: Mono,
    pub(super) up: Option<Mono>,
    /// Given to the client, in order, and not sent yet: they have no packet id.
    pub(super) given: VecDeque<Sent>,
    pub(super) sent: BTreeMap<u16, Sent>,
    pub(super) progress: Mono,
    pub(super) acknowledged: bool,
    pub(super) window: usize,
    pub(super) ack_limit: Span,
    pub(super) largest: usize,
    /// How many packet ids rumqttc uses in turn. SUBSCRIBE takes them from the same row, without looking which are in use.
    pub(super) packet_ids: usize,
    /// Topics that are still to be subscribed to.
    pub(super) to_subscribe: VecDeque<String>,
    pub(super) subscribing: Option<Subscribing>,
    /// The broker keeps retained messages.
    pub(super) retain: bool,
    pub(super) cursor: Option<Place>,
    pub(super) state_due: bool,
    pub(super) reported_due: bool,
    pub(super) state_at: Option<Mono>,
    pub(super) dropped: Dropped,
    pub(super) _polling: Polling,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) what: What,
    pub(super) at: Mono,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum What {
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
    pub(super) fn place(self) -> Option<Place> {
        match self {
            What::Critical(place) => Some(place),
            What::State | What::Report | What::Routine => None,
        }
    }
}

impl Connection {
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Sent> {
        self.sent.values().chain(&self.given)
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.under_way().any(|s| s.what == What::Critical(place))
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = Place> {
        self.under_way().filter_map(|s| s.what.place())
    }

    /// When the oldest acknowledgement is overdue.
    pub(super) fn ack_deadline(&self) -> Option<Mono> {
        let oldest = self.under_way().map(|s| s.at).min()?;
        Some(oldest.max(self.progress) + self.ack_limit)
    }

    /// Whether a message might get the packet id of the SUBSCRIBE that is not acknowledged yet (MQTT 5, 2.2.1). Between two
    /// calls at most three messages beside the critical ones are sent.
    pub(super) fn is_short_of_ids(&self) -> bool {
        self.subscribing.as_ref().is_some_and(|sent| sent.published + 4 >= self.packet_ids)
    }
}

/// Longer than any connection lasts: a year.
const NO_PINGS: Duration = Duration::from_secs(365 * 86_400);

/// The polling task. It is separate because rumqttc's `poll` must not be cancelled while it connects.
pub(super) struct Polling(pub(super) JoinHandle<()>);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) async fn poll(mut event_loop: EventLoop, into: mpsc::Sender<Result<Event, ConnectionError>>) {
    loop {
        let event = event_loop.poll().await;
        // A Server Keep Alive of 0 asks for no pings (MQTT 5, 3.2.2.3.14). rumqttc would send them without a pause.
        if event_loop.options.keep_alive().is_zero() {
            event_loop.options.set_keep_alive(NO_PINGS);
        }
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

pub(super) fn name(broker: &Broker) -> String {
    let scheme = if broker.tls { "mqtts" } else { "mqtt" };
    format!("{scheme}://{}:{}", broker.host, broker.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_until_an_acknowledgement_comes_and_follows_its_time() {
        let mut patience = AckPatience::new();
        assert_eq!((patience.limit(), patience.window), (ACK_LIMIT, 16));
        let mut waited = Span::ZERO;
        while patience.limit() <= Span::seconds(60) {
            waited += patience.limit();
            patience.missed();
        }
        assert!(waited <= Span::minutes(2), "{waited} until a broker that takes a minute is understood");
        assert_eq!(patience.window, 1);
        patience.missed();
        assert_eq!(patience.limit(), ACK_LONGEST);
        patience.acknowledged(Span::seconds(5));
        assert_eq!((patience.limit(), patience.window), (Span::seconds(20), 2));
        for _ in 0..100 {
            patience.acknowledged(Span::millis(50));
        }
        assert_eq!((patience.limit(), patience.window), (ACK_LIMIT, 16));
    }
}
