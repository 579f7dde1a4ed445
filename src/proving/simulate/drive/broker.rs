//! The broker and the platform.

use super::state::{Rare, Simulation};
use crate::simulate::platform::{Answer, Receipts, Waiting};
use crate::simulate::spectator::Spectator;
use crate::simulate::world::Trouble;
use linekeeper_contract::message::Message;
use linekeeper_contract::units::Span;
use linekeeper_judge::observation::{Observation, Receipt, ReceiptState, TargetId};

impl Simulation {
    pub(super) fn give_receipt(&mut self, receipt: Receipt, spectator: &mut impl Spectator) {
        if self.wire.connected && self.way_out() && self.judge.is_some() {
            self.tell(&Observation::ReceiptCame(receipt), spectator);
        } else {
            self.wire.kept.push_back(receipt);
        }
    }

    /// Messages can leave the house.
    pub(super) fn way_out(&self) -> bool {
        self.backup() || self.line.far()
    }

    pub(super) fn backup(&self) -> bool {
        self.world.failover && !self.lasts(|t| *t == Trouble::BackupLost)
    }

    pub(super) fn reach_broker(&mut self) {
        let away = self.lasts(|t| *t == Trouble::BrokerAway);
        if self.judge.is_some() && !self.wire.connected && self.way_out() && !away {
            self.wire.session += 1;
            self.after(self.world.platform.connects.0, Rare::Connect(self.wire.session));
        }
    }

    pub(super) fn pump(&mut self) {
        if !self.wire.connected || !self.way_out() {
            return;
        }
        let session = self.wire.session;
        while let Some(waiting) = self.wire.outbox.get(self.wire.sent) {
            let number = waiting.message.number;
            self.wire.sent += 1;
            self.after(self.world.platform.travels.0, Rare::Arrive(session, number, self.now));
            self.after(self.world.platform.acknowledges.0, Rare::Acknowledge(session, number));
        }
    }

    pub(super) fn arrive(&mut self, session: u64, number: u64, sent: u64, spectator: &mut impl Spectator) {
        let held = self.backup() || self.line.held(sent, TargetId(0));
        if session != self.wire.session || !held {
            return;
        }
        let Some(waiting) = self.wire.outbox.iter().find(|w| w.message.number == number) else { return };
        let waiting = Waiting { message: waiting.message.clone(), published: waiting.published };
        let receipts = if self.lasts(|t| *t == Trouble::ReceiptsRefused) {
            Receipts::Refused
        } else if self.lasts(|t| *t == Trouble::ReceiptsLost) {
            Receipts::Lost
        } else {
            Receipts::Sent
        };
        let (delivery, answer) = self.wire.arrive(Span(self.now), waiting, receipts);
        spectator.delivered(&delivery);
        if let Message::Callback(c) = &delivery.message.message
            && let Some(name) = self.report.requests.get(&c.callback_id).map(|r| r.name.clone())
        {
            let so = self.is_so(&name, 0);
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
            Rare::Receipt(Receipt {
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
            Answer::Receive(id) => self.after(wait, receipt(id, ReceiptState::Received, None)),
            Answer::Refuse(id) => {
                self.after(wait, receipt(id, ReceiptState::Refused, Some("no agent for this area")));
            }
        }
    }
}
