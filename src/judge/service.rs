//! The service of a line that carries packets and no internet: names, login pages.
//!
//! Policy, in prose:
//!
//! * Names that are dead or forged, or a page of somebody in between, are an incident like an outage, once they are
//!   confirmed: it opens, is revised when the one turns out to be the other, is worked on by the ladder (names only: by
//!   another resolver), is handed over when nothing is left to try, and ends with the first good answer. No time without a
//!   line is counted in it.
//! * One incident at a time. An outage that begins takes an open one over: the incident goes on as an outage, with what it
//!   has of remedies and callback. If the names are still dead when the line is back, that is a new incident; one that is
//!   only held for its repeat makes room for it.

use super::concern::{Concern, Quiet, until};
use super::context::Context;
use super::diagnosis::{self, Placed};
use super::outage::line::LineState;
use super::outbox::Outbox;
use super::signal::Signal;
use super::snapshot::{Kept, Parts};
use crate::check::{Ask, Said};
use crate::config::Config;
use crate::observation::Observation;
use linekeeper_contract::message::{Fact, Finding};
use linekeeper_contract::units::Mono;

/// Whether the line serves names and the web. It keeps nothing: what was answered stands with the checks.
#[derive(Debug, Clone, Default)]
pub struct Service;

impl Concern for Service {
    fn new(_config: &Config) -> Service {
        Service
    }

    #[inline]
    fn advance(&mut self, cx: &Context<'_>, _seen: &Observation, out: &mut Outbox) {
        if cx.facts.answered.is_some() && cx.facts.line.state == LineState::Up {
            serve(cx, out);
        }
    }

    fn deadline(&self, _cx: &Context<'_>) -> Option<Mono> {
        None
    }

    fn quiet_until(&self, cx: &Context<'_>, _quiet: Quiet) -> Option<Mono> {
        until(self.deadline(cx))
    }

    fn save(&self, _parts: &mut Parts) {}

    fn load(&mut self, _kept: &Kept<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// What is wrong with the names or the web of a line that is up, as far as it was asked since.
pub fn reach(cx: &Context<'_>) -> Option<(Finding, Placed)> {
    let said = |ask| {
        let verdict = cx.facts.layers.confirmed(ask)?;
        (verdict.asked >= cx.facts.line.since).then_some(verdict.said)
    };
    diagnosis::reach(said(Ask::Name), said(Ask::Web))
}

/// Opens, revises and ends the incidents of the service.
fn serve(cx: &Context<'_>, out: &mut Outbox) {
    let facts = &cx.facts;
    let open = facts.broken().map(|(i, _)| (i.finding, i.finding.is_of_service()));
    match (open, reach(cx)) {
        (Some((was, true)), Some((finding, placed))) => {
            if was != finding {
                out.signal(Signal::ServiceRevised { finding, placed });
            }
        }
        (Some((finding, true)), None) => {
            let ask = if finding == Finding::Portal { Ask::Web } else { Ask::Name };
            let good = facts.layers.since(ask, facts.line.since);
            if good.is_some_and(|v| v.said == Said::Answered) {
                out.signal(Signal::ServiceReturned);
            }
        }
        (None, Some((finding, placed))) => {
            let waits = finding == Finding::NoNames && facts.layers.may_be_a_page();
            if facts.remedy.is_none() && !waits {
                unserved(cx, finding, placed, out);
            }
        }
        (Some((_, false)), _) | (None, None) => {}
    }
}

/// It is confirmed that there is no service.
fn unserved(cx: &Context<'_>, finding: Finding, placed: Placed, out: &mut Outbox) {
    let layers = &cx.facts.layers;
    let asks = [Ask::Name, Ask::Web].into_iter();
    let since = asks.clone().filter_map(|ask| layers.wrong_since(ask)).min().unwrap_or(cx.now);
    let facts: Vec<Fact> =
        asks.filter_map(|ask| Some(cx.check_fact(ask, layers.since(ask, since)?))).collect();
    out.signal(Signal::ServiceBroke { finding, placed, since, facts });
}
