//! Callbacks: the requests that the platform call the customer, and their outcome.
//!
//! [`life`] describes the states of one. Policy, in prose:
//!
//! * Other concerns request a callback and report changes of its cause ([`change`]). What a change does to a live, covered
//!   or ended callback is decided here.
//! * A customer's request leads to one call. It joins a live callback for the same reason: an earlier request of theirs, or
//!   the callback of the outage they are suffering from. A follow-up or the callback about a slow line has another reason.
//! * An operator's notice covers only callbacks about the line. A customer who asks to be called is called.
//! * A callback that the broker rejects is published again: the broker may be repaired.

pub mod change;
pub mod life;

pub use life::*;

use super::concern::{Concern, Quiet, until};
use super::context::{Context, Facts};
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::status::{CallbackStatus, Status};
use super::text::short;
use super::words;
use crate::action::Level;
use crate::config::Config;
use crate::observation::{Observation, Receipt, ReceiptState};
use change::{CallWanted, Change};
use linekeeper_contract::message::{
    self, CALLBACK_SCHEMA, CallbackState, Dimension, Domain, Evidence, Issue, Message, Resolution,
    ResolutionState, Severity, Trigger,
};
use linekeeper_contract::units::Mono;

/// The code of an issue that the customer raised.
const ASKED: &str = "customer.asked";

/// The remembered callbacks.
#[derive(Debug, Clone, Default)]
pub struct Callbacks {
    callbacks: Vec<Callback>,
    /// The facts shown to other concerns are out of date.
    changed: bool,
}

impl Concern for Callbacks {
    fn new(_config: &Config) -> Callbacks {
        Callbacks::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::Acknowledged { number } => {
                let wait = cx.config.callback.receipt;
                self.callbacks.iter_mut().for_each(|c| c.acknowledged(cx.now, *number, wait));
            }
            Observation::GivenUp { number } => self.schedule_repeat(cx, *number, out),
            Observation::ReceiptCame(receipt) => self.receipt(cx, receipt, out),
            Observation::CallbackAsked { reason } => self.customer_request(cx, short(reason), out),
            _ => {}
        }
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        match signal {
            Signal::LifeResumed => {
                for c in &mut self.callbacks {
                    // The acknowledgement may have been lost with the last process.
                    if c.last.state == CallbackState::Requested && c.again.is_none() {
                        c.again = Some(cx.now + cx.config.callback.receipt);
                    }
                }
            }
            Signal::CallWanted(wanted) => self.open(cx, (**wanted).clone(), out),
            Signal::CallChanged { callback_id, change } => self.apply_change(cx, callback_id, change, out),
            _ => {}
        }
    }

    fn advance(&mut self, cx: &Context<'_>, _seen: &Observation, out: &mut Outbox) {
        self.publish_overdue(cx, out);
    }

    #[inline]
    fn publish_facts(&mut self, facts: &mut Facts) {
        if std::mem::take(&mut self.changed) {
            self.show_all(facts);
        }
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        let requested = self.callbacks.iter().filter(|c| c.last.state == CallbackState::Requested);
        requested.filter_map(|c| c.again).min()
    }

    fn quiet_until(&self, cx: &Context<'_>, _quiet: Quiet) -> Option<Mono> {
        until(self.deadline(cx))
    }

    fn fill_status(&self, _cx: &Context<'_>, status: &mut Status) {
        let told = self.callbacks.iter().map(|c| CallbackStatus {
            callback_id: c.last.callback_id.clone(),
            state: c.last.state,
            trigger: c.last.trigger.name.clone(),
            description: c.last.issues.first().map_or_else(String::new, |i| i.description.clone()),
            resolved: c.last.resolution.by.clone().zip(c.last.resolution.resolution_time_s),
            satisfaction_score: c.last.satisfaction_score,
            issue_types: c.last.issue_types.clone(),
        });
        status.callbacks = told.collect();
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("callbacks", &self.callbacks);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.callbacks = kept.need("callbacks")?;
        self.changed = true;
        Ok(())
    }
}

impl Callbacks {
    /// The live callback that the customer asked for or joined.
    pub fn asked_callback(&self) -> Option<&str> {
        let asked = |c: &&Callback| c.is_live() && c.last.issues.iter().any(|i| i.code == ASKED);
        self.callbacks.iter().rev().find(asked).map(|c| c.last.callback_id.as_str())
    }

    fn show_all(&self, facts: &mut Facts) {
        facts.callbacks.clear();
        facts.callbacks.extend(self.callbacks.iter().map(|c| Live {
            callback_id: c.last.callback_id.clone(),
            incident_id: c.last.incident_id.clone(),
            state: c.last.state,
            severity: c.last.severity,
        }));
    }

    fn open(&mut self, cx: &Context<'_>, wanted: CallWanted, out: &mut Outbox) {
        let CallWanted {
            callback_id,
            trigger,
            severity,
            issue,
            evidence,
            opened,
            opened_at,
            incident_id,
            remedies,
        } = wanted;
        let covered_by = cx.facts.area.covers.clone();
        let about_line = trigger.dimension == Dimension::Data
            && cx.facts.incident.as_ref().is_some_and(|i| Some(&i.id) == incident_id.as_ref());
        let covered = about_line && covered_by.is_some();
        let state = if covered { CallbackState::Covered } else { CallbackState::Requested };
        let device = &cx.config.device;
        let last = message::Callback {
            schema: CALLBACK_SCHEMA.into(),
            id: format!("{}/{callback_id}", out.message_id(cx)),
            callback_id: callback_id.clone(),
            device_id: device.id.clone(),
            customer_id: device.customer.clone(),
            area: device.area.clone(),
            state,
            covered_by,
            time: cx.stamp(cx.now),
            severity,
            trigger,
            issues: vec![issue],
            opened,
            incident_id,
            evidence,
            remedies,
            resolution: Resolution { state: ResolutionState::Open, by: None, resolution_time_s: None },
            satisfaction_score: None,
            issue_types: Vec::new(),
        };
        if self.callbacks.len() >= CALLBACKS {
            // Drop an ended one first, then one the platform has, and only then one that awaits its receipt.
            let callbacks = &self.callbacks;
            let oldest = callbacks
                .iter()
                .position(|c| !c.is_live())
                .or_else(|| callbacks.iter().position(|c| c.last.state != CallbackState::Requested))
                .unwrap_or(0);
            let gone = self.callbacks.remove(oldest);
            out.note(Level::Info, format!("callback {} is forgotten: too many", gone.last.callback_id));
        }
        let number = out.publish_numbered(Message::Callback(Box::new(last.clone())));
        let word = if covered { "covered" } else { "requested" };
        // The customer's own words are for the agent and do not belong in the log.
        let what = match last.issues.first() {
            Some(issue) if issue.code != ASKED => issue.description.as_str(),
            _ => "the customer asks to be called",
        };
        out.note(Level::Warn, format!("callback {callback_id} {word}: {what}"));
        self.callbacks.push(Callback {
            last,
            number,
            revision: 1,
            opened_at,
            changed_at: cx.now,
            again: None,
            repeats: 0,
            receipts: Receipts::default(),
        });
        self.changed = true;
    }

    /// Changes a callback and publishes the change.
    fn change(
        &mut self,
        cx: &Context<'_>,
        id: &str,
        out: &mut Outbox,
        change: impl FnOnce(&mut message::Callback),
    ) {
        let prefix = out.message_id(cx);
        let Some(callback) = self.callbacks.iter_mut().find(|c| c.last.callback_id == id) else { return };
        change(&mut callback.last);
        callback.revision += 1;
        callback.changed_at = cx.now;
        callback.again = None;
        callback.repeats = 0;
        callback.last.time = cx.stamp(cx.now);
        // The platform got the recording with the request.
        if callback.last.state != CallbackState::Requested {
            callback.last.evidence.recorder = None;
        }
        callback.last.id = format!("{prefix}/{id}/{}", callback.revision);
        cx.clock.mend(&mut callback.last.opened, cx.offset());
        let state = callback.last.state;
        callback.number = out.publish_numbered(Message::Callback(Box::new(callback.last.clone())));
        self.changed = true;
        out.note(
            Level::Info,
            format!("callback {id} is {state:?}").to_lowercase().replace(&id.to_lowercase(), id),
        );
    }

    /// Applies a change that another concern reported.
    fn apply_change(&mut self, cx: &Context<'_>, id: &str, change: &Change, out: &mut Outbox) {
        let Some(callback) = self.callbacks.iter().find(|c| c.last.callback_id == id) else { return };
        let live = callback.is_live();
        match change.clone() {
            Change::Current { issue, flapping, facts, domain, remedies } => {
                let Some(place) = callback.last.issues.iter().position(|i| i.kind == issue.kind) else {
                    return;
                };
                let told = &callback.last.issues[place];
                if !live || told.code == issue.code && (flapping || told.description == issue.description) {
                    return;
                }
                self.change(cx, id, out, |c| {
                    c.issues[place] = issue;
                    c.evidence.fault_domain = domain;
                    c.evidence.facts = facts;
                    c.remedies = remedies;
                });
            }
            Change::Joined { issue, evidence, remedies } => self.change(cx, id, out, |c| {
                c.severity = Severity::Urgent;
                c.issues.push(issue);
                c.evidence = evidence;
                c.remedies = remedies;
            }),
            Change::Anew { covered_by, trigger, issue, evidence, remedies } => {
                self.change(cx, id, out, |c| {
                    c.state = match covered_by {
                        Some(_) => CallbackState::Covered,
                        None => CallbackState::Requested,
                    };
                    c.covered_by = covered_by;
                    c.trigger = trigger;
                    c.issues = vec![issue];
                    c.evidence = evidence;
                    c.remedies = remedies;
                    c.resolution =
                        Resolution { state: ResolutionState::Open, by: None, resolution_time_s: None };
                });
            }
            Change::Shown { issues, evidence } if live => self.change(cx, id, out, |c| {
                c.issues = issues;
                c.evidence = evidence;
            }),
            Change::Covered { notice } if live => self.change(cx, id, out, |c| {
                c.covered_by = Some(notice);
                // One that the platform handles already, or that the customer asked for, stays as it is.
                if c.state == CallbackState::Requested && c.trigger.dimension == Dimension::Data {
                    c.state = CallbackState::Covered;
                }
            }),
            Change::Healed { ended, by, remedies }
                if live || callback.last.state == CallbackState::Covered =>
            {
                let seconds = ended.since(callback.opened_at).whole_seconds();
                self.change(cx, id, out, |c| {
                    // A customer who asked is still called, with the news that the line is back.
                    let asked = c.issues.iter().any(|i| i.code == ASKED);
                    if c.trigger.dimension == Dimension::Data && !asked {
                        c.state = CallbackState::Withdrawn;
                    }
                    c.remedies = remedies;
                    c.resolution = Resolution {
                        state: ResolutionState::Resolved,
                        by: Some(by),
                        resolution_time_s: Some(seconds),
                    };
                });
            }
            Change::Over { seconds, withdraw } if live => self.change(cx, id, out, |c| {
                if withdraw {
                    c.state = CallbackState::Withdrawn;
                }
                c.resolution = Resolution {
                    state: ResolutionState::Resolved,
                    by: Some("itself".into()),
                    resolution_time_s: Some(seconds),
                };
            }),
            Change::Shown { .. } | Change::Covered { .. } | Change::Healed { .. } | Change::Over { .. } => {}
        }
    }

    fn receipt(&mut self, cx: &Context<'_>, receipt: &Receipt, out: &mut Outbox) {
        let id = &receipt.callback_id;
        let Some(callback) = self.callbacks.iter_mut().find(|c| c.last.callback_id == *id) else {
            out.note(Level::Warn, format!("a receipt came for callback {id:?}, which is not known here"));
            return;
        };
        // The survey may come after the call.
        let late = callback.last.state == CallbackState::Closed
            && receipt.state == ReceiptState::Closed
            && adds(&callback.last, receipt);
        let state = match after(callback.last.state, receipt.state) {
            Ok(state) => state,
            Err(_) if late => CallbackState::Closed,
            Err(why) => {
                out.note(Level::Debug, format!("receipt {:?} for callback {id}: {why}", receipt.state));
                return;
            }
        };
        let (may, first_beyond) = callback.receipts.take(cx.now);
        if first_beyond {
            out.note(
                Level::Warn,
                format!("callback {id}: more than {RECEIPTS_PER_HOUR} receipts in an hour changed it; the rest are left out"),
            );
        }
        if !may {
            return;
        }
        let seconds = cx.now.since(callback.opened_at).whole_seconds();
        if receipt.state == ReceiptState::Refused {
            out.note(Level::Warn, format!("the platform refused callback {id}"));
            // An agent's text may name the customer.
            let reason = receipt.reason.as_deref().unwrap_or("no reason given");
            out.note(Level::Debug, format!("why callback {id} was refused: {reason}"));
        }
        self.change(cx, id, out, |c| {
            c.state = state;
            c.satisfaction_score = receipt.satisfaction_score.or(c.satisfaction_score);
            if !receipt.issue_types.is_empty() {
                c.issue_types.clone_from(&receipt.issue_types);
            }
            if state == CallbackState::Closed && c.resolution.state == ResolutionState::Open {
                c.resolution = Resolution {
                    state: ResolutionState::Resolved,
                    by: Some(receipt.resolved_by.clone().unwrap_or_else(|| "platform".into())),
                    resolution_time_s: Some(seconds),
                };
            }
        });
    }

    /// The customer asks to be called.
    fn customer_request(&mut self, cx: &Context<'_>, reason: &str, out: &mut Outbox) {
        let description = words::asked(cx.config.device.language, reason);
        let issue = Issue { kind: "request".into(), code: ASKED.into(), description };
        let broken = cx.facts.broken().map(|(incident, _)| incident);
        let incidents = broken.and_then(|i| i.callback.as_ref());
        let joined = self.callbacks.iter().rev().find(|c| {
            c.is_live() && (c.last.trigger.name == "customer" || Some(&c.last.callback_id) == incidents)
        });
        if let Some(callback) = joined {
            let id = callback.last.callback_id.clone();
            let told = callback.last.issues.iter().any(|i| i.description == issue.description);
            if told && cx.now.since(callback.changed_at) < ASKED_ANEW {
                out.note(Level::Info, format!("the customer asks to be called, again: {id} says so"));
                return;
            }
            out.note(
                Level::Info,
                format!("the customer asks to be called: {id} is under way and says so now"),
            );
            self.change(cx, &id, out, |c| {
                c.issues.retain(|i| i.description != issue.description);
                // Keep the first issue, which it was opened for, and the newest.
                if c.issues.len() >= ISSUES {
                    c.issues.remove(1);
                }
                c.issues.push(issue);
            });
            return;
        }
        let incident = cx.facts.incident.as_deref();
        let evidence = Evidence {
            finding: broken.map(|i| i.finding),
            fault_domain: incident.map_or(Domain::Unknown, |i| i.domain),
            facts: incident.map_or_else(Vec::new, |i| i.facts.clone()),
            samples: Vec::new(),
            rule: "the customer asked".into(),
            recorder: None,
        };
        let wanted = CallWanted {
            callback_id: out.callback_id(cx),
            trigger: Trigger { dimension: Dimension::Event, name: "customer".into() },
            severity: if broken.is_some() { Severity::Urgent } else { Severity::Routine },
            issue,
            evidence,
            opened: cx.stamp(cx.now),
            opened_at: cx.now,
            // An incident has one callback at most; a request after it had one is about the same and stands alone.
            incident_id: broken.filter(|i| i.callback.is_none()).map(|i| i.id.clone()),
            remedies: incident.map_or_else(Vec::new, |i| i.remedies.clone()),
        };
        self.open(cx, wanted, out);
    }

    fn schedule_repeat(&mut self, cx: &Context<'_>, number: u64, out: &mut Outbox) {
        let wait = cx.config.callback.receipt;
        let Some(callback) = self.callbacks.iter_mut().find(|c| c.number == number) else { return };
        callback.acknowledged(cx.now, number, wait);
        if let Some(again) = callback.again {
            let text = format!(
                "the broker would not have callback {}: asking again in {}",
                callback.last.callback_id,
                again.since(cx.now)
            );
            out.note(Level::Warn, text);
        }
    }

    /// Publishes again each callback whose receipt did not come.
    fn publish_overdue(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        for callback in &mut self.callbacks {
            let due = callback.last.state == CallbackState::Requested
                && callback.again.is_some_and(|a| cx.now >= a);
            if !due {
                continue;
            }
            callback.again = None;
            callback.repeats += 1;
            callback.number = out.publish_numbered(Message::Callback(Box::new(callback.last.clone())));
            let text = format!("no receipt for callback {} yet: asking again", callback.last.callback_id);
            out.note(Level::Warn, text);
        }
    }
}
