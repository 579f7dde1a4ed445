//! How the judge's actions are carried out.

use super::daemon::Daemon;
use crate::act::outbox::lock;
use crate::act::remedy::Driver;
use crate::act::store;
use crate::sense::check::run_check;
use crate::sense::throughput::{self, Stop};
use linekeeper_contract::message::{Critical, Message};
use linekeeper_contract::units::{Bytes, Mono, Span};
use linekeeper_contract::vocabulary::SpeedFailure;
use linekeeper_judge::action::{Action, Level, Repair};
use linekeeper_judge::check::{Ask, CheckOrder, Checked, Reply, Said};
use linekeeper_judge::observation::{Observation, Obstacle, Part};
use linekeeper_judge::speed::{SpeedEnded, SpeedOrder, SpeedOutcome};
use serde_json::json;
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

/// Checks carried out at a time: each layer twice. More would ask the same again before the answer came.
const CHECKS: usize = 2 * Ask::ALL.len();

impl Daemon {
    pub(super) fn perform(&mut self, now: Mono, actions: Vec<Action>) {
        let messages: Vec<Critical> = actions.iter().filter_map(Action::published).cloned().collect();
        for action in actions {
            match action {
                Action::Probe { probe, target } => {
                    self.echoes_in_flight += 1;
                    if self.probes.try_send((probe, target)).is_err() {
                        self.own.push_back(Observation::EchoNotSent {
                            probe,
                            target,
                            obstacle: Obstacle::Busy,
                        });
                    }
                }
                Action::Repair(repair) => self.start_remedy(repair),
                Action::MakeSafe { rung } => {
                    let driver = self.driver();
                    tokio::spawn(async move {
                        let said = driver.make_safe(rung).await;
                        info!("after an interrupted {}: {said}", rung.as_str());
                    });
                }
                Action::Check(order) => self.start_check(order),
                Action::MeasureSpeed(order) => self.start_speed_test(order),
                Action::AbortSpeed { test } => {
                    if let Some((running, stop)) = &self.speed
                        && *running == test
                    {
                        // Why, the judge has said already.
                        let _ = stop.send(Stop::Aborted);
                    }
                }
                Action::Publish(critical) => self.publish(&critical),
                Action::Report(summary) => {
                    self.routine.lock().unwrap_or_else(PoisonError::into_inner).push(*summary);
                }
                Action::Save => self.save(now, &messages),
                Action::Note { level, text } => match level {
                    Level::Debug => debug!("{text}"),
                    Level::Info => info!("{text}"),
                    Level::Warn => warn!("{text}"),
                },
            }
        }
    }

    pub(super) fn publish(&mut self, critical: &Critical) {
        if self.dry_run
            && let Message::Callback(c) = &critical.message
        {
            info!("dry run: would ask for callback {} ({:?})", c.callback_id, c.state);
        }
        if let Some(hook) = &mut self.hook {
            let configured = self.judge.config().line.device.as_deref();
            hook.notify(&critical.message, configured.unwrap_or(&self.link.borrow().name));
        }
        let Some(outbox) = &self.outbox else { return };
        let result = lock(outbox).append(std::slice::from_ref(critical));
        self.report_outbox_trouble(result);
    }

    pub(super) fn report_outbox_trouble(&mut self, result: Result<(), String>) {
        let trouble = result.err();
        if trouble != self.outbox_trouble {
            self.outbox_trouble = trouble.clone();
            self.own.push_back(Observation::PartSeen { part: Part::Outbox, trouble });
        }
    }

    pub(super) fn save(&mut self, now: Mono, messages: &[Critical]) {
        let Some(store) = &mut self.store else { return };
        // Before the snapshot: what is on flash may tell of a remedy that was not taken, never the other way round.
        let taken = store.save_taken(self.judge.rungs_taken(now).as_deref());
        let usual = self.judge.usual();
        let usual = store.save_usual((!usual.is_empty()).then(|| json!(usual)));
        let mut unwritten = self.outbox.as_ref().map_or_else(Vec::new, |o| lock(o).unwritten());
        unwritten.extend_from_slice(messages);
        let result = self.judge.snapshot().and_then(|judge| {
            store.save(&store::Snapshot {
                version: store::VERSION,
                boot_id: self.clock.boot_id().to_string(),
                base: self.clock.base(),
                saved_at: now,
                judge,
                messages: unwritten,
            })
        });
        let trouble = result.and(taken).and(usual).err();
        if trouble != self.store_trouble {
            self.store_trouble = trouble.clone();
            // Before anything else: from now on the judge calls nothing by a number that the next life may use.
            self.own.push_front(Observation::PartSeen { part: Part::Store, trouble });
        }
    }

    pub(super) fn driver(&self) -> Driver {
        let name = self.judge.config().line.device.clone();
        let name = name.unwrap_or_else(|| self.link.borrow().name.clone());
        Driver::new(&self.judge.config().remedies, &name)
    }

    pub(super) fn start_remedy(&mut self, repair: Repair) {
        let driver = self.driver();
        let report = self.report.clone();
        let (remedy, rung) = (repair.remedy, repair.rung);
        let task = tokio::spawn(async move {
            let (result, detail) = driver.repair(&repair).await;
            // The loop has ended: nobody is interested any more.
            let _ = report.send(Observation::RemedyEnded { remedy, result, detail }).await;
        });
        self.repair = Some((rung, task));
    }

    /// Asks one layer beside everything else; what came back is an observation.
    pub(super) fn start_check(&mut self, order: CheckOrder) {
        while self.checks.try_join_next().is_some() {}
        if self.checks.len() >= CHECKS {
            let reply = Reply {
                whom: order.ask.name().to_string(),
                said: Said::NotChecked,
                took_us: None,
                independent: false,
                detail: "too many checks at once".into(),
            };
            let checked = Checked { check: order.check, ask: order.ask, replies: vec![reply] };
            self.own.push_back(Observation::Checked(checked));
            return;
        }
        let facts = self.link.borrow().clone();
        let device = facts.device();
        let config = self.judge.config().clone();
        let (report, gates) = (self.report.clone(), Arc::clone(&self.gates));
        self.checks.spawn(async move {
            let checked = run_check(&order, &device, &facts, &config, &gates).await;
            let _ = report.send(Observation::Checked(checked)).await;
        });
    }

    /// Carries a speed test out beside everything else; its end comes back as an observation.
    pub(super) fn start_speed_test(&mut self, order: SpeedOrder) {
        self.leap_until = None;
        let server = self.judge.config().speed.servers.get(usize::from(order.server));
        let url =
            server.map_or(Err("no such server is configured".to_string()), |s| throughput::Url::parse(s));
        let url = match url {
            Ok(url) => url,
            Err(detail) => {
                let outcome = SpeedOutcome::Failed { reason: SpeedFailure::Local, detail, retry_after: None };
                self.own.push_back(Observation::SpeedEnded(SpeedEnded {
                    test: order.test,
                    server: order.server,
                    direction: order.direction,
                    cost: Bytes(0),
                    took: Span::ZERO,
                    outcome,
                }));
                return;
            }
        };
        let facts = self.link.borrow();
        let device = facts.device();
        drop(facts);
        let (stop, stopped) = watch::channel(Stop::No);
        self.speed = Some((order.test, stop));
        let report = self.report.clone();
        tokio::spawn(async move {
            let server = throughput::Server { url, ca: None };
            // Nobody watches its progress here.
            let (progress, _) = mpsc::channel(1);
            let ended = throughput::measure(&order, &server, &device, progress, stopped).await;
            let _ = report.send(Observation::SpeedEnded(ended)).await;
        });
    }
}
