//! What is sent, in which order, and what is added to each message before it is sent.

use super::command;
use super::connection::{Connection, Sent, What};
use super::keeper::{Keeper, shortest_state};
use super::refusals::REFUSED_LONGEST;
use super::summaries::routine;
use crate::act::outbox::{Dropped, Place, lock};
use linekeeper_contract::json;
use linekeeper_contract::message::{Message, STATE_SCHEMA, Stamp, correct_stamps};
use linekeeper_contract::units::{Mono, Span};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PublishProperties;
use serde_json::{Value, json};
use tracing::debug;

/// Everything of a PUBLISH packet beside topic and payload: headers, packet id, properties. At most this.
const OVERHEAD: usize = 64;

/// The state is published at most once in this time.
const STATE_PACE: Span = Span::seconds(1);

/// A message sent later than this after its fact is marked `late`: the promise is 5 s.
const LATE_AFTER: Span = Span::seconds(5);

/// A summary sent later than this after its end is marked `late`: by then the next one is due, by default.
const SUMMARY_LATE_AFTER: Span = Span::hours(1);

/// How long the broker may keep a summary for a reader that is away: as long as we would.
const SUMMARY_EXPIRES: Span = Span::days(2);

impl Keeper {
    /// Gives the client everything that may be sent now. Returns when to call it again.
    pub(super) fn send_due(&mut self, connection: &mut Connection) -> Result<Option<Mono>, String> {
        let now = self.parts.clock.now();
        let mut wake = None;
        let mut wake_at = |at: Mono| wake = Some(wake.map_or(at, |w: Mono| w.min(at)));
        if connection.is_short_of_ids() {
            return Ok(connection.ack_deadline());
        }
        let dropped = lock(&self.parts.outbox).dropped();
        connection.state_due |= dropped != connection.dropped;
        if connection.state_due {
            // One at a time, so that they keep their order when sent again.
            let busy = connection.under_way().any(|s| s.what == What::State);
            let ready = connection.state_at.map_or(now, |at| at + STATE_PACE);
            if !busy && now >= ready {
                let state = self.state(&connection.session, true);
                if let Some(state) = self.fit_state(connection, state) {
                    self.publish(connection, "state", &state, true, What::State)?;
                }
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
            if let Some(reported) = self.reported(&connection.session)
                && self.fits(connection, "config/reported", &reported)
            {
                self.publish(connection, "config/reported", &reported, true, What::Report)?;
            }
        }
        let window = if self.single_sends_left > 0 { 1 } else { connection.window.min(self.patience.window) };
        while connection.messages().count() < window && !connection.is_short_of_ids() {
            let Some((place, message)) = self.next_message(connection, now) else { break };
            let mut value = match json::to_tree(&message) {
                Ok(value) => value,
                Err(e) => {
                    self.give_up(place, message.id(), &format!("it cannot be written as JSON: {e}"));
                    continue;
                }
            };
            let age = age(&self.parts.clock.stamp(), message.time());
            if age.is_none_or(|age| age > LATE_AFTER) {
                value["late"] = true.into();
            }
            self.prepare_outgoing(message.topic(), &mut value);
            let around = self.around(message.topic());
            let size = value.to_string().len() + around;
            if size > connection.largest && !shorten(&mut value, connection.largest.saturating_sub(around)) {
                let left = value.to_string().len() + around;
                self.wait_for_room(place, left, connection.largest);
                continue;
            }
            if size > connection.largest {
                debug!(
                    "message {} has {size} bytes, the broker takes {}: it goes shortened",
                    message.id(),
                    connection.largest
                );
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
        if lock(&self.parts.outbox).trouble().is_some() {
            wake_at(self.disk_again);
        }
        Ok(wake)
    }

    /// Bytes of a PUBLISH around the payload, at most.
    fn around(&self, topic: &str) -> usize {
        self.root.len() + topic.len() + OVERHEAD
    }

    /// Whether the broker takes a message of this size. Says so once if not.
    fn fits(&mut self, connection: &Connection, topic: &str, payload: &Value) -> bool {
        let size = payload.to_string().len() + self.around(topic);
        let fits = size <= connection.largest;
        if !fits {
            self.warn_once(format!(
                "{}{topic} has {size} bytes and the broker takes {}: it is not sent; raise the broker's limit on packets",
                self.root, connection.largest
            ));
        }
        fits
    }

    /// The state, or what is needed of it where the broker takes no more.
    fn fit_state(&mut self, connection: &Connection, state: Value) -> Option<Value> {
        if state.to_string().len() + self.around("state") <= connection.largest {
            return Some(state);
        }
        let state = shortest_state(&state);
        self.fits(connection, "state", &state).then_some(state)
    }

    /// A message that does not fit however short stays in the outbox: the broker's limit may be raised.
    fn wait_for_room(&mut self, place: Place, size: usize, most: usize) {
        let not_before = self.parts.clock.now() + REFUSED_LONGEST;
        self.trials.entry(place).or_default().not_before = not_before;
        self.warn_once(format!(
            "the broker takes packets of {most} bytes, and the shortest form of a message has {size}: messages wait until the \
             broker's limit is raised; asked again every {REFUSED_LONGEST}"
        ));
    }

    /// Sends one routine summary at a time, and only while no critical message is in flight.
    pub(super) fn send_routine(&mut self, connection: &mut Connection) -> Result<(), String> {
        if connection.under_way().any(|s| s.what != What::State) {
            return Ok(());
        }
        let now = self.parts.clock.stamp();
        let first = routine(&self.parts.routine).waiting.front().and_then(|t| {
            let late = age(&now, &t.time).is_none_or(|age| age > SUMMARY_LATE_AFTER);
            Some((json::to_tree(t).ok()?, late))
        });
        let Some((mut value, late)) = first else { return Ok(()) };
        self.prepare_outgoing("telemetry", &mut value);
        if late {
            value["late"] = true.into();
        }
        if !self.fits(connection, "telemetry", &value) {
            let mut summaries = routine(&self.parts.routine);
            summaries.waiting.pop_front();
            summaries.dropped += 1;
            return Ok(());
        }
        self.summary_under_way = value["id"].as_str().map(str::to_owned);
        self.publish(connection, "telemetry", &value, false, What::Routine)
    }

    /// The next message to send: one whose retry wait is over, else the next in order.
    pub(super) fn next_message(
        &mut self,
        connection: &mut Connection,
        now: Mono,
    ) -> Option<(Place, Message)> {
        let outbox = lock(&self.parts.outbox);
        self.trials.retain(|place, _| outbox.contains(*place));
        let mut waiting = self.trials.iter().filter(|(_, t)| t.not_before > Mono(0) && t.not_before <= now);
        let due = waiting.find(|(place, _)| !connection.has(**place)).map(|(place, _)| *place);
        if let Some(place) = due {
            // Those before the cursor were skipped; later ones are reached in order.
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

    pub(super) fn publish(
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
        connection.given.push_back(Sent { what, at: self.parts.clock.now() });
        if let Some(sent) = &mut connection.subscribing {
            sent.published += 1;
        }
        Ok(())
    }

    /// The retained state: the daemon's body, with the fields that only the connection knows.
    pub(super) fn state(&mut self, session: &str, online: bool) -> Value {
        let mut body = match self.parts.state.borrow().clone() {
            Value::Object(fields) => Value::Object(fields),
            Value::Null => json!({}),
            other => json!({ "line": other }),
        };
        let stamp = self.parts.clock.stamp();
        let Dropped { events, callbacks, refused, damaged } = lock(&self.parts.outbox).dropped();
        let summaries = routine(&self.parts.routine).dropped;
        self.state_number = self.state_number.wrapping_add(1);
        body["schema"] = STATE_SCHEMA.into();
        body["id"] = format!("{}/state/{session}/{}", self.parts.device_id, self.state_number).into();
        body["device_id"] = self.parts.device_id.as_str().into();
        body["online"] = online.into();
        body["boot_id"] = stamp.boot_id.as_str().into();
        body["session_id"] = session.into();
        body["time"] = json::to_tree(&stamp).unwrap_or_default();
        body["dropped"] = json!({
            "events": events, "callbacks": callbacks, "refused": refused, "damaged": damaged, "telemetry": summaries,
            "unheard": self.unheard,
        });
        self.prepare_outgoing("state", &mut body);
        body
    }

    /// The retained report on the configuration: the daemon's body, with id and time.
    pub(super) fn reported(&mut self, session: &str) -> Option<Value> {
        let Value::Object(fields) = self.parts.reported.borrow().clone() else { return None };
        let mut body = Value::Object(fields);
        self.state_number = self.state_number.wrapping_add(1);
        body["id"] = format!("{}/config/{session}/{}", self.parts.device_id, self.state_number).into();
        body["time"] = json::to_tree(&self.parts.clock.stamp()).unwrap_or_default();
        self.prepare_outgoing("config/reported", &mut body);
        Some(body)
    }

    /// Every outgoing message passes here: its dates are corrected where possible, and private data is removed.
    pub(super) fn prepare_outgoing(&self, topic: &str, message: &mut Value) {
        if let Some(boot_at) = self.parts.clock.boot_at() {
            let boot_id = self.parts.clock.stamp().boot_id;
            correct_stamps(message, &boot_id, boot_at, self.parts.offset_minutes);
        }
        self.parts.privacy.redact(topic, message);
    }
}

/// Removes from a message what can be missed most, piece by piece, until it has at most `most` bytes: first the evidence, then
/// what was tried, then the details of the words. Returns whether it fits.
fn shorten(value: &mut Value, most: usize) -> bool {
    /// Letters that are left of a text: enough to say what is wrong.
    const LEFT: usize = 60;
    let pieces = [
        "/evidence/recorder",
        "/recorder",
        "/evidence/samples",
        "/evidence/facts",
        "/result",
        "/remedies",
        "/evidence/rule",
        "/remedy/detail",
        "/why",
        "/issues/1",
        "/issues/0/description",
    ];
    for piece in pieces {
        match value.pointer_mut(piece) {
            Some(Value::Array(entries)) => entries.clear(),
            Some(Value::String(text)) => {
                if let Some((at, _)) = text.char_indices().nth(LEFT) {
                    text.truncate(at);
                    text.push('…');
                }
            }
            // The first issue says what the call is about.
            Some(Value::Object(_)) if piece == "/issues/1" => {
                if let Some(Value::Array(issues)) = value.pointer_mut("/issues") {
                    issues.truncate(1);
                }
            }
            Some(other) => *other = Value::Null,
            None => continue,
        }
        if value.to_string().len() <= most {
            return true;
        }
    }
    keep_essentials(value);
    value.to_string().len() <= most
}

/// What is left of a message for a broker of the smallest packets: who, what and when. It says that it is `shortened`, because
/// the other fields of its schema are missing.
fn keep_essentials(value: &mut Value) {
    const MESSAGE: &[&str] = &[
        "schema",
        "id",
        "device_id",
        "time",
        "late",
        "callback_id",
        "customer_id",
        "state",
        "severity",
        "trigger",
        "issues",
        "event",
        "command_id",
        "command",
        "outcome",
        "correlation",
    ];
    let incident = value.get("incident").cloned();
    if let Value::Object(fields) = value {
        fields.retain(|key, _| MESSAGE.contains(&key.as_str()));
    }
    // Of the incident only what tells one from the other.
    for (key, field) in [("incident_id", "id"), ("finding", "finding"), ("fault_domain", "fault_domain")] {
        if let Some(known) = incident.as_ref().and_then(|incident| incident.get(field)) {
            value[key] = known.clone();
        }
    }
    if let Some(description) = value.pointer_mut("/issues/0/description") {
        *description = "".into();
    }
    value["shortened"] = true.into();
}

/// How long ago `then` was; `None` when that was in another boot.
fn age(now: &Stamp, then: &Stamp) -> Option<Span> {
    (now.boot_id == then.boot_id).then(|| Span(now.uptime_ms.saturating_sub(then.uptime_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_unknown_across_boots() {
        let stamp = |boot: &str, ms| Stamp { wall: None, synced: false, boot_id: boot.into(), uptime_ms: ms };
        assert_eq!(age(&stamp("a", 9_000), &stamp("a", 3_000)), Some(Span::seconds(6)));
        assert_eq!(age(&stamp("a", 3_000), &stamp("a", 9_000)), Some(Span::ZERO));
        assert_eq!(age(&stamp("a", 9_000), &stamp("b", 8_999)), None);
    }
}
