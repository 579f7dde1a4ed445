//! The connection to the broker, and the messages to and from the platform.

use super::state::{Event, Simulation};
use crate::simulate::platform::{Answer, Receipts, Waiting};
use crate::simulate::spectator::Spectator;
use crate::simulate::world::Trouble;
use linekeeper_contract::message::Message;
use linekeeper_contract::units::Span;
use linekeeper_judge::observation::{Observation, Receipt, ReceiptState, TargetId};

impl Simulation {
    pub(super) fn deliver_receipt(&mut self, receipt: Receipt, spectator: &mut impl Spectator) {
        if self.wire.connected && self.has_uplink() && self.judge.is_some() {
            self.observe(&Observation::ReceiptCame(receipt), spectator);
        } else {
            self.wire.kept.push_back(receipt);
        }
    }

    /// Whether messages can reach the broker, over the line or over the backup.
    pub(super) fn has_uplink(&self) -> bool {
        self.has_backup() || self.line.reaches_internet()
    }

    pub(super) fn has_backup(&self) -> bool {
        self.world.failover && !self.has_fault(|t| *t == Trouble::BackupLost)
    }

    pub(super) fn connect_broker(&mut self) {
        let away = self.has_fault(|t| *t == Trouble::BrokerAway);
        if self.judge.is_some() && !self.wire.connected && self.has_uplink() && !away {
            self.wire.session += 1;
            self.schedule_after(self.world.platform.connects.0, Event::Connect(self.wire.session));
        }
    }

    pub(super) fn send_outbox(&mut self) {
        if !self.wire.connected || !self.has_uplink() {
            return;
        }
        let session = self.wire.session;
        while let Some(waiting) = self.wire.outbox.get(self.wire.sent) {
            let number = waiting.message.number;
            self.wire.sent += 1;
            self.schedule_after(self.world.platform.travels.0, Event::Arrive(session, number, self.now));
            self.schedule_after(self.world.platform.acknowledges.0, Event::Acknowledge(session, number));
        }
    }

    pub(super) fn deliver(&mut self, session: u64, number: u64, sent: u64, spectator: &mut impl Spectator) {
        let held = self.has_backup() || self.line.held_since(sent, TargetId(0));
        if session != self.wire.session || !held {
            return;
        }
        let Some(waiting) = self.wire.outbox.iter().find(|w| w.message.number == number) else { return };
        let waiting = Waiting { message: waiting.message.clone(), published: waiting.published };
        let receipts = if self.has_fault(|t| *t == Trouble::ReceiptsRefused) {
            Receipts::Refused
        } else if self.has_fault(|t| *t == Trouble::ReceiptsLost) {
            Receipts::Lost
        } else {
            Receipts::Sent
        };
        let (delivery, answer) = self.wire.arrive(Span(self.now), waiting, receipts);
        spectator.on_delivery(&delivery);
        if let Message::Callback(c) = &delivery.message.message
            && let Some(name) = self.report.requests.get(&c.callback_id).map(|r| r.name.clone())
        {
            let so = self.is_true(&name, 0);
            if let Some(request) = self.report.requests.get_mut(&c.callback_id)
                && request.arrived.is_none()
            {
                (request.arrived, request.late) = (Some(delivery.at), !so);
            }
        }
        if self.keeps_deliveries {
            self.report.delivered.push(delivery);
        }
        let receipt = |id: String, state, reason: Option<&str>| {
            Event::Receipt(Receipt {
                callback_id: id,
                state,
                reason: reason.map(str::to_string),
                satisfaction_score: None,
                issue_types: Vec::new(),
                resolved_by: None,
            })
        };
        let wait = self.world.platform.receipt.0;
        match answer {
            Answer::Nothing => {}
            Answer::Receive(id) => self.schedule_after(wait, receipt(id, ReceiptState::Received, None)),
            Answer::Refuse(id) => {
                self.schedule_after(wait, receipt(id, ReceiptState::Refused, Some("no agent for this area")));
            }
        }
    }
}
