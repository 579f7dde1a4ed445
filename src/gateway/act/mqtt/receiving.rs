//! Handles the broker's packets: acknowledgements, and the platform's messages.

use super::connection::{
    ACK_LONGEST, Connection, LARGEST_OUTGOING, Manners, Subscribing, WINDOW, What, name,
};
use super::ended::is_policy_refusal;
use super::keeper::Keeper;
use super::refusals::REFUSED_LONGEST;
use super::summaries::routine;
use super::{command, receipt};
use crate::act::outbox::lock;
use linekeeper_contract::units::Mono;
use linekeeper_judge::config::Broker;
use linekeeper_judge::observation::Observation;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Filter, PubAck, PubAckReason, Publish, SubscribeReasonCode};
use rumqttc::v5::{Event, Incoming};
use tracing::{debug, info, warn};

impl Keeper {
    pub(super) async fn handle_event(
        &mut self,
        broker: &Broker,
        connection: &mut Connection,
        event: Event,
    ) -> Result<(), String> {
        match event {
            Event::Incoming(Incoming::ConnAck(connack)) => {
                self.handle_connack(broker, connection, &connack).await?
            }
            Event::Incoming(Incoming::PubAck(puback)) => self.handle_puback(connection, &puback).await,
            Event::Incoming(Incoming::Publish(publish)) => self.handle_publish(connection, &publish).await,
            Event::Incoming(Incoming::SubAck(suback)) => {
                let topics = connection.subscribing.take().map(|sent| sent.topics).unwrap_or_default();
                for (topic, code) in topics.iter().zip(&suback.return_codes) {
                    if !matches!(code, SubscribeReasonCode::Success(_)) {
                        warn!(
                            "the broker does not let us subscribe to {topic} ({code:?}): what the platform says there \
                             will not come; check the broker's access list"
                        );
                    }
                }
                self.subscribe_more(connection)?;
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

    pub(super) async fn handle_connack(
        &mut self,
        broker: &Broker,
        connection: &mut Connection,
        connack: &ConnAck,
    ) -> Result<(), String> {
        let now = self.parts.clock.now();
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
                let manners = Manners { retain: false, ..self.manners() };
                self.manners.insert(self.broker_index, manners);
                warn!("the broker keeps no retained messages: who subscribes late will not see the state");
            }
            if let Some(most) = properties.receive_max {
                // One place is the state's.
                connection.window = WINDOW.min(usize::from(most).saturating_sub(1)).max(1);
                connection.packet_ids = connection.packet_ids.min(usize::from(most));
            }
            if let Some(most) = properties.max_packet_size {
                connection.largest = LARGEST_OUTGOING.min(usize::try_from(most).unwrap_or(usize::MAX));
            }
        }
        let waiting = lock(&self.parts.outbox).len();
        info!(
            "connected to the broker {} ({}); {waiting} messages wait",
            name(broker),
            if connack.session_present { "it kept our session" } else { "a new session" }
        );
        self.last_failure = None;
        connection.to_subscribe = self.subscriptions().into();
        self.subscribe_more(connection)?;
        self.report(Observation::BrokerSeen { connected: true }).await;
        Ok(())
    }

    /// Subscribes to the next topics, if any are left: one packet after the other, each when its predecessor was acknowledged.
    fn subscribe_more(&mut self, connection: &mut Connection) -> Result<(), String> {
        let at = self.parts.clock.now();
        let count = self.manners().filters.min(connection.to_subscribe.len());
        let topics: Vec<String> = connection.to_subscribe.drain(..count).collect();
        if topics.is_empty() {
            self.notices.subscribed(at);
            return Ok(());
        }
        let filters = topics.iter().map(|topic| Filter::new(topic, QoS::AtLeastOnce));
        connection
            .client
            .try_subscribe_many(filters)
            .map_err(|_| "the client takes no more requests".to_owned())?;
        connection.subscribing = Some(Subscribing { topics, at, published: 0 });
        Ok(())
    }

    /// A broker that does not acknowledge a SUBSCRIBE must not hold up the messages.
    pub(super) fn stop_waiting_for_suback(&mut self, connection: &mut Connection, now: Mono) {
        if connection.subscribing.as_ref().is_some_and(|sent| now >= sent.at + ACK_LONGEST) {
            connection.subscribing = None;
            self.warn_once(
                "the broker does not acknowledge our subscription: what the platform says may not come"
                    .into(),
            );
        }
    }

    /// The topics to subscribe to on every connection.
    pub(super) fn subscriptions(&self) -> Vec<String> {
        let own = ["callback/receipt", "command", "config/desired"];
        let own = own.into_iter().filter(|t| *t != "config/desired" || self.parts.desired.is_some());
        own.map(|topic| format!("{}{topic}", self.root)).chain(self.notices.topics()).collect()
    }

    pub(super) async fn handle_puback(&mut self, connection: &mut Connection, puback: &PubAck) {
        let Some(sent) = connection.sent.remove(&puback.pkid) else { return };
        let now = self.parts.clock.now();
        self.patience.acknowledged(now.since(sent.at.max(connection.progress)));
        connection.progress = now;
        connection.ack_limit = self.patience.limit();
        if sent.what.place().is_some() {
            connection.acknowledged = true;
            self.fruitless_connections = 0;
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
                self.single_sends_left = self.single_sends_left.saturating_sub(1);
                self.trials.remove(&place);
                // Reported first: after a crash between the two, message and report are repeated.
                let number = lock(&self.parts.outbox).is_current(place).then_some(place.number);
                let told = match number {
                    Some(number) => self.report(Observation::Acknowledged { number }).await,
                    None => true,
                };
                if told {
                    lock(&self.parts.outbox).acknowledge(place);
                }
            }
            (What::Critical(place), false) => {
                self.record_refusal(place, &format!("{:?}", puback.reason), is_policy_refusal(puback.reason))
            }
            (What::State | What::Report, true) => {}
            (What::Routine, taken) => self.finish_summary(taken, puback),
            (What::Report, false) => {
                self.report_again = self.parts.clock.now() + REFUSED_LONGEST;
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

    /// The broker accepted or refused a routine summary. A refused one is dropped; only critical messages are retried.
    pub(super) fn finish_summary(&mut self, taken: bool, puback: &PubAck) {
        let mut summaries = routine(&self.parts.routine);
        // It may have been dropped for newer ones meanwhile; then it is counted already.
        if summaries.waiting.front().is_none_or(|t| Some(&t.id) != self.summary_under_way.as_ref()) {
            return;
        }
        summaries.waiting.pop_front();
        if !taken {
            summaries.dropped += 1;
            warn!("the broker refused {}telemetry ({:?}); check its access list", self.root, puback.reason);
        }
    }

    /// Reports the notice in force, when it changed.
    pub(super) async fn report_notice(&mut self) {
        let now = self.parts.clock.now();
        if let Some(notice) = self.notices.news(now)
            && self.report(Observation::AreaNoticed { notice: notice.clone() }).await
        {
            self.notices.told(now, notice);
        }
    }

    /// A message is acknowledged when the judge's loop has it. The broker sends unacknowledged ones again with the session.
    pub(super) async fn handle_publish(&mut self, connection: &Connection, publish: &Publish) {
        if self.process_publish(publish).await && connection.client.try_ack(publish).is_err() {
            debug!("a receipt could not be acknowledged; the broker will send it again");
        }
    }

    /// Returns whether the message may be acknowledged.
    pub(super) async fn process_publish(&mut self, publish: &Publish) -> bool {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if let Some(area) = self.notices.area_of(&topic).map(str::to_owned) {
            match self.notices.came(&area, &publish.payload) {
                Ok(()) => self.report_notice().await,
                Err(why) => self.warn_once(format!("notice on {topic} refused: {why}")),
            }
            // A notice that could not be reported is reported later: the broker retains it.
            return true;
        }
        match topic.strip_prefix(&self.root) {
            Some("callback/receipt") => {}
            Some("command") => return self.process_command(publish).await,
            Some("config/desired") => {
                // The daemon reads its content.
                if let Some(desired) = &self.parts.desired {
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
            match receipt::parse(&publish.payload) {
                Ok(receipt) => return self.report(Observation::ReceiptCame(receipt)).await,
                Err(why) => format!("receipt on {topic} refused: {why}"),
            }
        };
        self.warn_once(wrong);
        true
    }

    /// Logs a new problem as a warning, a repeated one at `debug`.
    pub(super) fn warn_once(&mut self, wrong: String) {
        if self.last_refusal.as_ref() == Some(&wrong) {
            debug!("{wrong}");
        } else {
            warn!("{wrong}");
            self.last_refusal = Some(wrong);
        }
    }

    /// Commands go to the judge, which keeps their journal. A malformed one is refused, if it has an id to answer to.
    pub(super) async fn process_command(&mut self, publish: &Publish) -> bool {
        let properties = publish.properties.as_ref();
        let envelope = command::Envelope {
            retained: publish.retain,
            correlation: properties.and_then(|p| p.correlation_data.as_deref()),
            expiry_s: properties.and_then(|p| p.message_expiry_interval),
        };
        let key = self.parts.command_key.as_ref();
        match command::parse(&publish.payload, envelope, &self.parts.device_id, key) {
            command::Parsed::Command(came) => self.report(Observation::Commanded(came)).await,
            command::Parsed::Refused(refused) => self.report(Observation::CommandRefused(refused)).await,
            command::Parsed::Unreadable(why) => {
                let size = publish.payload.len();
                self.warn_once(format!("a command of {size} bytes is passed over, for it {why}"));
                true
            }
        }
    }
}
