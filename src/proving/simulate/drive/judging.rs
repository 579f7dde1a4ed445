//! Passes observations to the judge and carries out its actions.

use super::state::{AFTERGLOW, Event, Simulation};
use crate::simulate::layers::check_layer;
use crate::simulate::platform::Waiting;
use crate::simulate::report::{Break, Request};
use crate::simulate::spectator::Spectator;
use linekeeper_contract::message::{CallbackState, Critical, EventName, Message};
use linekeeper_contract::units::Span;
use linekeeper_judge::action::{Action, Level};
use linekeeper_judge::observation::Observation;
use linekeeper_judge::outage::LineState;

impl Simulation {
    pub(super) fn observe(&mut self, saw: &Observation, spectator: &mut impl Spectator) {
        if self.now < self.frozen_until {
            self.held_back.push(saw.clone());
            return;
        }
        let at = self.moment();
        let Some(judge) = &mut self.judge else { return };
        spectator.on_observation(at, saw);
        let mut actions = std::mem::take(&mut self.actions);
        judge.step_into(at.agent, saw, &mut actions);
        self.report.observations += 1;
        let wake = judge.next_deadline();
        let line = judge.line_state();
        if matches!(actions.first(), Some(Action::Save)) {
            let messages: Vec<Critical> = actions.iter().filter_map(Action::published).cloned().collect();
            spectator.on_save(at, judge, &messages);
        }
        if wake <= at.agent {
            self.report.stalls += 1;
        }
        let late = if self.world.late.0 > 0 { self.random.below(self.world.late.0 as u32 + 1) } else { 0 };
        self.wake_at = self.now + wake.since(at.agent).0.max(1) + u64::from(late);
        if line != self.line_state {
            self.note_line_state(line);
        }
        for action in actions.drain(..) {
            spectator.on_action(at, &action);
            self.perform(action);
        }
        self.actions = actions;
    }

    pub(super) fn note_line_state(&mut self, line: LineState) {
        self.line_state = line;
        let now = Span(self.now);
        let last = self.report.breaks.last_mut();
        match line {
            LineState::Down => {
                let fits = |b: &&mut Break| b.returned.is_none_or(|r| r.0 + AFTERGLOW >= now.0);
                match last.filter(fits) {
                    Some(b) => b.declared = b.declared.or(Some(now)),
                    None => self.report.false_breaks.push(now),
                }
            }
            LineState::Up => {
                if let Some(b) = last.filter(|b| b.declared.is_some()) {
                    b.restored = b.restored.or(Some(now));
                }
            }
            LineState::Unknown => {}
        }
    }

    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Probe { probe, target } => self.send_echo(probe, target),
            Action::Repair(repair) => self.start_remedy(&repair),
            Action::MakeSafe { .. } => self.schedule_after(1, Event::MakeSafe),
            Action::Report(told) => {
                self.report.summaries += 1;
                self.report.summed += told.echo.map_or(0, |echo| u64::from(echo.answered));
            }
            Action::Check(order) => {
                let (took, checked) = check_layer(&self.line, &self.world, &order);
                self.schedule_after(took, Event::Checked(self.life, Box::new(checked)));
            }
            Action::MeasureSpeed(order) => self.start_speed_test(&order),
            Action::AbortSpeed { test } => self.abort_speed_test(test),
            Action::Publish(message) => {
                self.report.published += 1;
                match &message.message {
                    Message::Callback(c) => {
                        if c.state == CallbackState::Requested
                            && !self.report.requests.contains_key(&c.callback_id)
                        {
                            let (name, right) =
                                (c.trigger.name.clone(), self.is_true(&c.trigger.name, AFTERGLOW));
                            let at = Span(self.now);
                            let request = Request { at, name, right, arrived: None, late: false };
                            self.report.requests.insert(c.callback_id.clone(), request);
                        }
                        self.report.callbacks.insert(c.callback_id.clone(), c.state);
                    }
                    Message::Event(e) => {
                        if let (EventName::RemedyEnded, Some(remedy)) = (e.event, &e.remedy)
                            && let Some(outcome) = remedy.outcome
                        {
                            *self.report.outcomes.entry((remedy.name, outcome)).or_default() += 1;
                        }
                    }
                    Message::CommandResult(_) => {}
                }
                // The outbox recognizes messages that it already has by their number.
                if message.number > self.wire.watermark {
                    self.wire.watermark = message.number;
                    let published = Span(self.now);
                    self.wire.outbox.push_back(Waiting { message: *message, published });
                    self.send_outbox();
                }
            }
            Action::Save => {
                self.report.saves += 1;
                // The snapshot is serialized only when a process starts from it: most of the thousands in a bad year are never read.
                self.saved_judge.clone_from(&self.judge);
                self.saved_at = self.agent_time().0;
                self.rungs_taken = self.judge.as_ref().and_then(|judge| judge.rungs_taken(self.agent_time()));
                if let Some(judge) = self.judge.as_ref().filter(|judge| *judge.usual() != self.usual_traffic)
                {
                    self.usual_traffic.clone_from(judge.usual());
                }
                if self.keeps_deliveries {
                    self.write_snapshot();
                }
            }
            Action::Note { level, .. } => {
                self.report.notes[match level {
                    Level::Debug => 0,
                    Level::Info => 1,
                    Level::Warn => 2,
                }] += 1;
            }
        }
    }
}
