//! Which repair, when, and how often.
//!
//! Policy, in prose:
//!
//! * A rung is taken only while the line is down for at least `outage.patience` (or names are dead, confirmed), only if it
//!   makes sense in the fault domain and on this kind of line, and only one at a time.
//! * A carrier that is away is left alone for [`CARRIER_PATIENCE`](steps::CARRIER_PATIENCE): somebody plugs a cable in again, or a modem starts.
//!   A link that is whole again is left alone for [`LINK_SETTLE`](steps::LINK_SETTLE): the line is about to come back.
//! * While the carrier is away neither the modem's power is cut nor the gateway rebooted before it has been away for
//!   `power-modem`'s settle time: a modem that starts, or trains anew after it lost synchronism, takes half a minute to
//!   three and is then back by itself, and either rung would let it begin once more. It is given as long as it would be
//!   given after its power was cut, and [`LINK_SETTLE`](steps::LINK_SETTLE) once the carrier is back; all in all no longer than both from the
//!   break on. What else the ladder has is tried meanwhile; the incident is not handed over before.
//! * The order is the configured one, as the line's own record has it ([`record`]): what healed before comes first,
//!   what never did is left out.
//! * After it the line has the rung's settle time to come back. If it does, the rung healed it; else the next rung
//!   follows. A rung that could not be carried out costs no settle time. The proof is the same echoes, or the same
//!   questions, that showed the fault.
//! * Each rung is taken once in a pass. When none is left the incident is handed over; another pass comes after
//!   `remedies.again`, doubled with each pass, up to [`AGAIN_MOST`](steps::AGAIN_MOST).
//! * A rung that a death of ours interrupted is put right by the next life and has its settle time too, as often as we
//!   die; it counts as used but not as tried.
//! * A line that broke again after a rung healed it may be healed by it again at once, within the budgets.
//! * Each rung has a budget in any 24 hours, whatever the incidents, and one in each incident, however long it lasts.
//! * **A memory that was lost costs no more than what is not known** ([`Ladder::forgot`](steps::Ladder::forgot)). How often each rung was taken
//!   stands in a record of its own beside the snapshot too ([`crate::observation::Started::taken`]), written before the
//!   remedy. By it each use counts as made at the loss, which is later than it was: what is left of the budgets can be
//!   used at once, and no 24 hours ever see more than the budget. Only the reboot is barred for a day. A snapshot that is
//!   older than the outbox counts as lost too.
//! * Where that record is gone as well, all budgets count as spent: for 24 hours no rung is taken. An agent that loses all
//!   every hour, or a gateway whose flash is full, would otherwise restart the customer's line for ever.
//! * Without any memory, and without a sign that there ever was one, only the reboot is barred, and only if the gateway
//!   booted less than [`FRESH_BOOT`](steps::FRESH_BOOT) ago: that is how a reboot by us would look on a gateway whose store does not outlive
//!   it. No reboot either while the store is in trouble.
//! * A reboot is taken once in an incident at most, and not at all on a line where the last one that was carried out did
//!   not help.
//! * While somebody works on the gateway (an upgrade runs, an administrator is logged in) no rung is taken that would
//!   disturb them; when nothing else is left the incident is handed over all the same, because a forgotten login must not
//!   keep a customer waiting. When they are done the ladder goes on.
//!
//! All of it is in the snapshot: neither a crash nor our own reboot forgets what was tried.

pub mod record;
pub mod steps;
pub mod timing;

use super::checks::layers::PLACE_MOST;
use super::concern::{Concern, Quiet, until};
use super::context::{Context, Facts, Remedy};
use super::outage::line::LineState;
use super::outbox::Outbox;
use super::signal::{RemedyEnd, Signal};
use super::snapshot::{Kept, Parts};
use super::status::{RungStatus, Status};
use super::text::short;
use crate::action::{Action, Level, Repair};
use crate::config::Config;
use crate::observation::{Memory, Observation, RemedyResult, Started};
use linekeeper_contract::message::{Domain, Outcome};
use linekeeper_contract::units::Mono;
use linekeeper_contract::vocabulary::Rung;
use steps::{Circumstances, FRESH_BOOT, Ladder, Next, WORD_LATE};
use timing::{modem_starts, ripe};

/// The remedies.
#[derive(Debug, Clone, Default)]
pub struct Remedies {
    ladder: Ladder,
}

impl Concern for Remedies {
    fn new(_config: &Config) -> Remedies {
        Remedies::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::Started(started) => self.started(cx, started, out),
            Observation::RemedyEnded { remedy, result, detail } => {
                let (now, policy, detail) = (cx.now, &cx.config.remedies, short(detail));
                match self.ladder.ended(now, *remedy, *result, detail, policy) {
                    Some(true) => {
                        let text = format!("remedy carried out: {detail}; the line may settle now");
                        out.note(Level::Info, text);
                        out.signal(Signal::RemedyCarriedOut);
                    }
                    Some(false) => {
                        let outcome = match result {
                            RemedyResult::Pretended => Outcome::Pretended,
                            _ => Outcome::Failed,
                        };
                        self.conclude(cx, outcome, out);
                    }
                    None => {}
                }
                line_stands(cx, out);
            }
            _ => {}
        }
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        match signal {
            Signal::IncidentOpened => self.ladder.open(),
            Signal::IncidentReopened { healed_by } => self.ladder.reopen(*healed_by),
            Signal::AreaCleared => self.ladder.afresh(),
            Signal::EndRemedy { outcome } => self.conclude(cx, *outcome, out),
            Signal::NextRung => self.next_rung(cx, out),
            Signal::RemedyOutlived => self.outlived(cx, out),
            Signal::RungOrdered { command_id, rung } => self.ordered(cx, command_id, *rung, out),
            _ => {}
        }
    }

    #[inline]
    fn advance(&mut self, cx: &Context<'_>, _seen: &Observation, out: &mut Outbox) {
        match &self.ladder.running {
            Some(_) => self.end_in_time(cx, out),
            None if cx.facts.incident.is_some() => self.next_rung(cx, out),
            None => {}
        }
    }

    fn publish_facts(&mut self, facts: &mut Facts) {
        facts.remedy = self.ladder.running.as_ref().map(|r| Remedy {
            remedy: r.remedy,
            rung: r.rung,
            settles: r.settles.is_some(),
            interrupted: r.interrupted,
        });
    }

    fn deadline(&self, cx: &Context<'_>) -> Option<Mono> {
        let policy = &cx.config.remedies;
        if self.ladder.running.is_some() {
            return self.ladder.wake(policy);
        }
        let (incident, since) = cx.facts.broken()?;
        if !cx.facts.lasts(incident) {
            return None;
        }
        let mut ripe = ripe(cx, since);
        if cx.facts.layers.awaited {
            ripe = ripe + PLACE_MOST;
        }
        let ripe = self.ladder.waits.map_or(ripe, |at| at.max(ripe));
        let waits = cx.facts.area.waits;
        let first = (!incident.exhausted && !waits).then_some(ripe);
        // The next pass may have become due while the line was up.
        let again = self.ladder.wake(policy).filter(|_| !waits).map(|at| at.max(ripe));
        first.into_iter().chain(again).min()
    }

    fn quiet_until(&self, cx: &Context<'_>, _quiet: Quiet) -> Option<Mono> {
        match self.ladder.running {
            Some(_) => None,
            None => until(self.deadline(cx)),
        }
    }

    fn fill_status(&self, cx: &Context<'_>, status: &mut Status) {
        let policy = &cx.config.remedies;
        let rungs = policy.ladder.iter();
        status.budgets = rungs.map(|&r| (r, self.ladder.used(cx.now, r), policy.limits(r).per_day)).collect();
        let records = self.ladder.records.all().iter();
        let told = records.map(|r| RungStatus {
            rung: r.rung,
            domain: r.domain,
            tried: r.tried,
            healed: r.healed,
            heal_ms: (r.healed > 0).then_some(r.heal_ms),
            left_out: policy.learning && r.futile(cx.now),
        });
        status.rungs = told.collect();
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("ladder", &self.ladder);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.ladder = kept.need("ladder")?;
        Ok(())
    }
}

impl Remedies {
    /// How often each rung was taken in the last 24 hours, where it was. `None`: that is not known.
    pub fn rungs_taken(&self, now: Mono) -> Option<Vec<(Rung, u32)>> {
        self.ladder.rungs_taken(now)
    }

    fn started(&mut self, cx: &Context<'_>, started: &Started, out: &mut Outbox) {
        let taken = started.taken.as_deref();
        let lost = cx.facts.life.lost;
        if lost || started.memory == Memory::None && taken.is_some() {
            self.ladder.forgot(cx.now, taken);
            let text = match taken {
                Some(_) => {
                    "what was done to the line is known by its own record: within the budgets, but no reboot for a day"
                }
                None => "what was done to the line before is not known: no remedy for a day",
            };
            out.note(Level::Warn, text.into());
        } else if started.memory == Memory::None && started.uptime < FRESH_BOOT {
            self.ladder.booted_unexplained(cx.now);
        }
        if lost && cx.config.remedies.ladder.contains(&Rung::RestartInterface) {
            // Whether we died between down and up is forgotten too.
            out.push(Action::MakeSafe { rung: Rung::RestartInterface });
        }
        out.signal(Signal::LifeResumed);
        if self.ladder.running.is_some() {
            out.signal(Signal::RemedyOutlived);
        }
    }

    /// The remedy in course was begun by another life.
    fn outlived(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let Some(running) = &mut self.ladder.running else { return };
        let rung = running.rung;
        let settle = cx.config.remedies.limits(rung).settle;
        running.settles = Some(cx.now + settle);
        if rung == Rung::Reboot && cx.facts.life.rebooted {
            running.detail = "the gateway rebooted".into();
            out.note(Level::Info, format!("this boot is our own remedy; the line has {settle} to come back"));
            return;
        }
        // It stays in course until it settled: should we die again, the next life makes it safe again.
        running.interrupted = true;
        running.detail = "cut short by the end of the process, then put right".into();
        out.push(Action::MakeSafe { rung });
        out.note(Level::Warn, format!("{} was interrupted: putting the interface right", rung.as_str()));
        if rung == Rung::Reboot {
            // The gateway did not go down: nothing settles.
            self.conclude(cx, Outcome::Interrupted, out);
        }
    }

    /// Ends the remedy in course when its time is over.
    fn end_in_time(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let Some(running) = &self.ladder.running else { return };
        let limit = cx.config.remedies.limits(running.rung).limit;
        let of_service = cx.facts.incident.as_ref().is_some_and(|i| i.finding.is_of_service());
        let outcome = match running.settles {
            // A resolver cannot be proven on a line that broke meanwhile.
            Some(_) if running.rung == Rung::OtherResolver && !of_service => Outcome::Interrupted,
            Some(at) if cx.now >= at && running.interrupted => Outcome::Interrupted,
            Some(at) if cx.now >= at => Outcome::NoEffect,
            None if cx.now >= running.began + limit + WORD_LATE => Outcome::Failed,
            Some(_) | None => return,
        };
        self.conclude(cx, outcome, out);
        line_stands(cx, out);
        out.signal(Signal::NextRung);
    }

    /// Takes the next rung, where one may be taken now.
    fn next_rung(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let facts = &cx.facts;
        let Some((incident, since)) = facts.broken() else { return };
        let domain = incident.domain;
        let (ripe, lasts) = (ripe(cx, since), facts.lasts(incident));
        let mut await_answers = |awaited: bool| {
            if facts.layers.awaited != awaited {
                out.signal(Signal::AnswersAwaited(awaited));
            }
        };
        if !lasts || cx.now < ripe || facts.area.waits {
            await_answers(false);
            return;
        }
        let left_alone = facts.left_alone();
        if left_alone.is_none() && cx.now < ripe + PLACE_MOST && facts.layers.places_soon(cx.now, &cx.scene())
        {
            await_answers(true);
            return;
        }
        await_answers(false);
        if let Some(why) = left_alone {
            out.signal(Signal::LadderExhausted(why));
            return;
        }
        let circumstances = Circumstances {
            domain,
            protocol: cx.config.line.protocol,
            hands_off: facts.hands_off.is_some(),
            resolver: facts.resolver().is_some(),
            stored: facts.stored,
            starts: modem_starts(cx, since),
        };
        let waited = self.ladder.waits;
        let text = match self.ladder.next(cx.now, &circumstances, &cx.config.remedies) {
            Next::Busy => return,
            Next::Take(rung) => {
                self.take(cx, rung, out);
                return;
            }
            Next::Exhausted(Some(at)) => {
                format!("no remedy is left for now; the next pass in {}", at.since(cx.now))
            }
            Next::Exhausted(None) => {
                format!("fault domain {}: nothing on this side can mend it", domain.as_str())
            }
            Next::HandsOff(rung) => {
                let why = facts.hands_off.as_deref().unwrap_or_default();
                format!("{} would be next, but somebody works on the gateway: {why}", rung.as_str())
            }
            Next::Waits(rung, at) => {
                if waited.is_none() {
                    let text = format!(
                        "the modem may be starting, and would be back by itself: {} in {} if it is not",
                        rung.as_str(),
                        at.since(cx.now)
                    );
                    out.note(Level::Info, text);
                }
                return;
            }
            Next::Futile => format!(
                "fault domain {}: what could be tried never helped on this line and is left out",
                domain.as_str()
            ),
            Next::Forgotten(until) => {
                format!("what was done before is not known: no remedy for another {}", until.since(cx.now))
            }
        };
        if !incident.exhausted {
            out.signal(Signal::LadderExhausted(text));
        }
    }

    /// Takes a rung in the incident.
    fn take(&mut self, cx: &Context<'_>, rung: Rung, out: &mut Outbox) {
        let incident = cx.facts.incident.as_deref();
        let domain = incident.map_or(Domain::Unknown, |i| i.domain);
        let remedy = self.ladder.take(cx.now, rung, domain);
        let limits = cx.config.remedies.limits(rung);
        let why = format!(
            "{} makes sense in fault domain {}; {} of {} today",
            rung.as_str(),
            domain.as_str(),
            self.ladder.used(cx.now, rung),
            limits.per_day
        );
        out.signal(Signal::RemedyBegins { rung, why });
        let Some(incident) = incident else { return };
        let resolver = cx.facts.resolver().filter(|_| rung == Rung::OtherResolver);
        let incident = Some(Box::new(cx.public(incident)));
        out.push(Action::Repair(Repair { remedy, rung, incident, limit: limits.limit, resolver }));
    }

    /// Takes a rung because the platform wants it.
    fn ordered(&mut self, cx: &Context<'_>, command_id: &str, rung: Rung, out: &mut Outbox) {
        let command_id = command_id.to_owned();
        let broken = cx.facts.broken().is_some();
        if let Some(why) = self.ladder.refuses(cx.now, rung, &cx.config.remedies, broken) {
            out.signal(Signal::RungRefused { command_id, why });
            return;
        }
        let taken = |remedy| Signal::RungTaken { command_id, remedy, rung, on_whole_line: !broken };
        if broken {
            // The message goes before the deed: a reboot may leave no time for it.
            out.signal(taken(self.ladder.next_remedy()));
            self.take(cx, rung, out);
        } else {
            let remedy = self.ladder.take(cx.now, rung, Domain::Unknown);
            out.signal(taken(remedy));
            let resolver = cx.facts.resolver().filter(|_| rung == Rung::OtherResolver);
            let limit = cx.config.remedies.limits(rung).limit;
            out.push(Action::Repair(Repair { remedy, rung, incident: None, limit, resolver }));
        }
    }

    /// The effect of the running remedy is known.
    fn conclude(&mut self, cx: &Context<'_>, outcome: Outcome, out: &mut Outbox) {
        let helped = match outcome {
            Outcome::Healed => Some(true),
            Outcome::NoEffect => Some(false),
            Outcome::Failed | Outcome::Pretended | Outcome::Interrupted => None,
        };
        // Whether it helped a line that was whole says nothing about the rung.
        let running = self.ladder.running.as_ref().map(|r| r.remedy);
        let whole = running.is_some() && running == cx.facts.orders.on_whole_line;
        let Some(running) = self.ladder.finish(cx.now, helped.filter(|_| !whole)) else { return };
        if outcome == Outcome::Interrupted {
            self.ladder.forgive(running.rung);
        }
        let end = RemedyEnd {
            remedy: running.remedy,
            rung: running.rung,
            outcome,
            took: cx.now.since(running.began),
            detail: running.detail,
        };
        out.signal(Signal::RemedyEnding(end.clone()));
        out.signal(Signal::RemedyEnded(end));
    }
}

/// A remedy is over: if the line is up, so is the break.
fn line_stands(cx: &Context<'_>, out: &mut Outbox) {
    if cx.facts.line.state == LineState::Up {
        out.signal(Signal::LineUpAfterRemedy { at: cx.facts.line.since });
    }
}
