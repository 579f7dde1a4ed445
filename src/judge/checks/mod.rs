//! Which layers are asked, and when. What is asked costs others something: a DHCP server takes frequent questions for an
//! attack, and a million gateways ask the same resolvers.
//!
//! Policy, in prose:
//!
//! * When the line is silent the gateway's address is asked at once ([`Ask::Neighbour`]), for a silence that lasts a
//!   second even before it is an outage, so that its answer is there when the outage is declared. If the gateway answers
//!   echoes nothing need be asked. If its address is answered, DHCP is asked next (on PPPoE lines the concentrator,
//!   which has no address, first).
//! * Without an address or a default route the giver of addresses is asked, and the concentrator when the session's device
//!   is gone. Without a carrier nobody is.
//! * All of it is asked again while the break lasts, each time twice as late as before ([`FIRST`], [`MOST`]). DHCP and
//!   PPPoE are asked [`ACCESS_PER_HOUR`] times in any hour at most, whatever breaks.
//! * The ladder waits for the first answer that may place a break or be its evidence, [`PLACE_MOST`] at most.
//! * What is under way when a remedy begins is not believed: the remedy takes the line down itself. Nothing is asked
//!   while it is carried out.
//! * On a line that is up, names are asked every `name.every` and the web every `web.every`, at a moment that is
//!   hashed from the device; on a metered line [`METERED`] times as seldom; [`AFTER_RETURN`] after each return. What is
//!   wrong is asked again after [`CONFIRM`] and counts when it is wrong [`CONFIRMED`] times in a row. While it lasts it
//!   is asked again, later and later; after a remedy for it at once.
//! * Where names are wrong the web is asked at once, and waited for: a login page answers for every name.
//! * Resolvers that never answered on this line are no fault of it: somebody configured them wrongly, or they are not to
//!   be asked over it. Silence of theirs counts once one has answered, or where an independent one answers.
//! * Who orders a diagnosis has each layer of the line asked at once that can be asked as the line is: not without a carrier,
//!   names and the web on a line that is up, none while a remedy is carried out, none that answered within [`CONFIRM`]. Of DHCP's
//!   and PPPoE's questions half are kept for a break.
//! * A word that does not come within the check's time limit and [`WORD_LATE`] is taken for "not checked".

pub mod layers;

pub use layers::*;

use super::concern::{Concern, NEVER, Quiet, Skipped, until};
use super::context::{Context, Facts};
use super::outage::line::LineState;
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use super::text::phase;
use crate::action::{Action, Level};
use crate::check::{Ask, Checked, Said};
use crate::config::Config;
use crate::observation::Observation;
use linekeeper_contract::units::Mono;

/// The asking of the layers.
#[derive(Debug, Clone, Default)]
pub struct LayerChecks {
    checks: Checks,
    /// In this step a layer answered that was asked.
    answered: Option<Ask>,
    /// What is shown of it is out of date.
    changed: bool,
}

impl Concern for LayerChecks {
    fn new(_config: &Config) -> LayerChecks {
        LayerChecks::default()
    }

    fn observe(&mut self, cx: &Context<'_>, seen: &Observation, out: &mut Outbox) {
        match seen {
            Observation::Started(_) => {
                self.checks.started(cx.now, cx.facts.life.lost, cx.config.name.every);
                self.changed = true;
            }
            Observation::Checked(checked) => self.checked(cx, checked, out),
            _ => {}
        }
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        match signal {
            Signal::LineReturned { .. } => self.checks.returned(cx.now, phase(&cx.config.device.id)),
            Signal::RemedyBegins { .. } => self.checks.disturbed(cx.now),
            Signal::RemedyCarriedOut => self.checks.prove(cx.now),
            Signal::AnswersAwaited(awaited) => self.checks.awaited = *awaited,
            Signal::LayersWanted => self.checks.ask_all(cx.now, &cx.scene(), out.actions()),
            _ => return,
        }
        self.changed = true;
    }

    #[inline]
    fn advance(&mut self, cx: &Context<'_>, _seen: &Observation, out: &mut Outbox) {
        self.answered = None;
        let line = &cx.facts.line;
        // The ordinary course, without looking at anything else.
        let suspected = line.suspected.is_some_and(|since| cx.now.since(since) >= SUSPECTED_FOR);
        if line.state == LineState::Up && !suspected && self.checks.is_quiet(cx.now) {
            return;
        }
        self.look(cx, out);
    }

    fn publish_facts(&mut self, facts: &mut Facts) {
        facts.answered = self.answered;
        if std::mem::take(&mut self.changed) {
            facts.layers.clone_from(&self.checks);
        }
    }

    fn deadline(&self, cx: &Context<'_>) -> Option<Mono> {
        match cx.facts.line.state {
            LineState::Up => Some(self.checks.quiet_until()),
            LineState::Down | LineState::Unknown => self.checks.overdue(),
        }
    }

    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
        match quiet {
            // What is asked meanwhile is answered as it was last.
            Quiet::Passed { .. } if self.checks.rests() => Some(NEVER),
            Quiet::Watched | Quiet::Passed { .. } => until(self.deadline(cx)),
        }
    }

    fn catch_up(&mut self, cx: &Context<'_>, skipped: &Skipped<'_>) {
        let course = self.checks.course();
        self.checks.rested(skipped.from + skipped.by, &cx.config);
        self.changed |= self.checks.course() != course;
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("checks", &self.checks);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.checks = kept.get("checks")?;
        self.changed = true;
        Ok(())
    }
}

impl LayerChecks {
    /// Orders the checks that make sense now.
    fn look(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let (before, course) = (out.actions().len(), self.checks.course());
        self.checks.advance(cx.now, &cx.scene(), out.actions());
        self.changed |= self.checks.course() != course;
        let of_access = |a: &Action| matches!(a, Action::Check(o) if matches!(o.ask, Ask::Dhcp | Ask::Pppoe));
        if out.actions()[before..].iter().any(of_access) {
            // How often the access was asked must not be forgotten by a death of ours.
            out.save();
        }
    }

    /// Takes in what came back, if it was awaited.
    fn checked(&mut self, cx: &Context<'_>, checked: &Checked, out: &mut Outbox) {
        let Some(differs) = self.checks.checked(cx.now, checked) else { return };
        self.changed = true;
        let ask = checked.ask;
        self.answered = Some(ask);
        let Some(verdict) = self.checks.since(ask, Mono(0)).filter(|_| differs) else { return };
        let routine = verdict.said == Said::Answered && matches!(ask, Ask::Name | Ask::Web);
        let fact = cx.check_fact(ask, verdict);
        let text = format!("checked: {} {}: {}", fact.name, fact.subject, fact.detail);
        out.signal(Signal::Evidence(fact));
        if !routine {
            out.note(Level::Info, text);
        }
    }
}
