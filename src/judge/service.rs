//! What the layers answered, and what follows: the incident's domain, and the incidents of a line that carries packets
//! and no internet (names, login pages).
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

use super::checks::{SUSPECTED_FOR, Scene, Verdict};
use super::diagnosis::{self, GatewayEcho, Placed};
use super::incident::Incident;
use super::outage::{Cause, LineState, phase};
use super::{GATEWAY_RECENT, Judge};
use crate::action::{Action, Level};
use crate::check::{Ask, Checked, Said};
use linekeeper_contract::message::{EventName, Fact, Finding, Outcome};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;

impl Judge {
    /// What the checks have to know of the rest.
    pub(super) fn check_scene(&self, now: Mono) -> Scene {
        let watch = &self.state.watch;
        let broken = match watch.line {
            LineState::Down => Some(watch.since),
            LineState::Up | LineState::Unknown => {
                watch.suspected().filter(|since| now.since(*since) >= SUSPECTED_FOR)
            }
        };
        let remedy = self.state.ladder.running.as_ref().map(|r| r.settles.is_some());
        Scene {
            line: watch.line,
            broken,
            link: watch.link_fault(),
            gateway: self.gateway_echo(now, broken.unwrap_or(now)),
            gateway_known: watch.link.as_ref().is_some_and(|l| l.gateway.is_some()),
            remedy,
            unserved: self
                .state
                .incident
                .as_ref()
                .is_some_and(|i| i.broken.is_some() && i.finding.is_of_service()),
            protocol: self.config.line.protocol,
            metered: self.config.line.metered,
            every: (self.config.name.every, self.config.web.every),
            phase: phase(&self.config.device.id),
        }
    }

    fn gateway_echo(&self, now: Mono, since: Mono) -> GatewayEcho {
        let watch = &self.state.watch;
        if watch.gateway_answered_since(since.max(now - GATEWAY_RECENT)) {
            GatewayEcho::Answers
        } else if watch.gateway_answers() {
            GatewayEcho::Stopped
        } else {
            GatewayEcho::Never
        }
    }

    /// Where a break lies that began at `since`, and what carries it.
    pub(super) fn place(&self, now: Mono, since: Mono) -> Placed {
        let watch = &self.state.watch;
        let from = if watch.line == LineState::Down { watch.since } else { since };
        let gateway = self.gateway_echo(now, since);
        let seen = self.state.checks.seen(from, watch.link_fault(), gateway, self.config.line.protocol);
        let ill_set = self.state.interface.as_ref().is_some_and(|(_, is)| is.is_ill_set());
        diagnosis::place(&diagnosis::Seen { ill_set, ..seen })
    }

    /// Orders the checks that make sense now.
    pub(super) fn look(&mut self, now: Mono) {
        let watch = &self.state.watch;
        // The ordinary course, without looking at anything else.
        let suspected = watch.suspected().is_some_and(|since| now.since(since) >= SUSPECTED_FOR);
        if watch.line == LineState::Up && !suspected && self.state.checks.is_quiet(now) {
            return;
        }
        let scene = self.check_scene(now);
        let before = self.out.len();
        self.state.checks.advance(now, &scene, &mut self.out);
        // How often the access was asked must not be forgotten by a death of ours.
        self.save |= self.out[before..]
            .iter()
            .any(|a| matches!(a, Action::Check(o) if matches!(o.ask, Ask::Dhcp | Ask::Pppoe)));
    }

    /// Takes in what came back. Whether it was awaited.
    pub(super) fn checked(&mut self, now: Mono, checked: &Checked) -> bool {
        let Some(differs) = self.state.checks.checked(now, checked) else { return false };
        let ask = checked.ask;
        let Some(verdict) = self.state.checks.since(ask, Mono(0)) else { return true };
        if !differs {
            return true;
        }
        let routine = verdict.said == Said::Answered && matches!(ask, Ask::Name | Ask::Web);
        let fact = self.check_fact(ask, verdict);
        let text = format!("checked: {} {}: {}", fact.name, fact.subject, fact.detail);
        if let Some(incident) = self.state.incident.as_mut().filter(|i| i.broken.is_some()) {
            incident.note_fact(fact);
        }
        if !routine {
            self.note(Level::Info, text);
        }
        true
    }

    /// A layer's answer as evidence.
    pub(super) fn check_fact(&self, ask: Ask, verdict: &Verdict) -> Fact {
        let said = verdict.said.name();
        Fact {
            at: self.stamp(verdict.asked),
            name: format!("{}.{said}", ask.name()),
            subject: if verdict.whom.is_empty() { ask.name().into() } else { verdict.whom.clone() },
            detail: verdict.detail.clone(),
        }
    }

    /// What is wrong with the names or the web of a line that is up, as far as it was asked since.
    pub(super) fn reach(&self) -> Option<(Finding, Placed)> {
        let said = |ask| {
            let verdict = self.state.checks.confirmed(ask)?;
            (verdict.asked >= self.state.watch.since).then_some(verdict.said)
        };
        diagnosis::reach(said(Ask::Name), said(Ask::Web))
    }

    /// Opens, revises and ends the incidents of the service. Called when a check's answer came.
    pub(super) fn serve(&mut self, now: Mono) {
        if self.state.watch.line != LineState::Up {
            return;
        }
        let found = self.reach();
        let open = self.state.incident.as_ref().filter(|i| i.broken.is_some());
        match (open.map(|i| (i.finding, i.finding.is_of_service())), found) {
            (Some((was, true)), Some((finding, placed))) => {
                if was != finding {
                    self.turned_out(now, finding, placed);
                }
            }
            (Some((finding, true)), None) => {
                let ask = if finding == Finding::Portal { Ask::Web } else { Ask::Name };
                let good = self.state.checks.since(ask, self.state.watch.since);
                if good.is_some_and(|v| v.said == Said::Answered) {
                    self.served(now);
                }
            }
            (None, Some((finding, placed))) => {
                let waits = finding == Finding::NoNames && self.state.checks.may_be_a_page();
                if self.state.ladder.running.is_none() && !waits {
                    self.unserved(now, finding, placed);
                }
            }
            (Some((_, false)), _) | (None, None) => {}
        }
    }

    /// It is confirmed that there is no service.
    fn unserved(&mut self, now: Mono, finding: Finding, placed: Placed) {
        let since = [Ask::Name, Ask::Web]
            .into_iter()
            .filter_map(|ask| self.state.checks.wrong_since(ask))
            .min()
            .unwrap_or(now);
        let facts: Vec<Fact> = [Ask::Name, Ask::Web]
            .into_iter()
            .filter_map(|ask| Some(self.check_fact(ask, self.state.checks.since(ask, since)?)))
            .collect();
        let words = format!("{}; fault domain {}", placed.words(), placed.domain.name());
        if let Some(incident) = &mut self.state.incident {
            if incident.finding.is_of_service() {
                incident.broken = Some(since);
                incident.finding = finding;
                incident.domain = placed.domain;
                incident.closed = None;
                incident.exhausted = false;
                facts.into_iter().for_each(|fact| incident.note_fact(fact));
                let healed_by = incident.healed_by.take();
                self.state.ladder.reopen(healed_by);
                self.event(now, EventName::IncidentUpdated, now, &format!("again: {words}"), None);
                return;
            }
            self.let_go(now);
        }
        let offset = self.offset();
        self.state.incident = Some(Incident {
            id: self.state.dates.incident_id(since, offset),
            finding,
            domain: placed.domain,
            revision: None,
            opened: self.stamp(since),
            opened_at: since,
            broken: Some(since),
            cause: Cause::Silence,
            returned: None,
            closed: None,
            breaks: 0,
            long_breaks: 0,
            down: Span::ZERO,
            facts,
            remedies: Vec::new(),
            healed_by: None,
            callback: None,
            exhausted: false,
        });
        self.state.ladder.open();
        self.event(now, EventName::IncidentOpened, now, &words, None);
    }

    /// Names that seemed dead stand behind a login page, or the other way round.
    fn turned_out(&mut self, now: Mono, finding: Finding, placed: Placed) {
        let Some(incident) = &mut self.state.incident else { return };
        let was = std::mem::replace(&mut incident.domain, placed.domain);
        incident.finding = finding;
        incident.exhausted = false;
        let detail = format!("was {}, is {}: {}", was.name(), placed.domain.name(), placed.words());
        let fact = Fact {
            at: self.stamp(now),
            name: "domain.revised".into(),
            subject: placed.domain.name().into(),
            detail: detail.clone(),
        };
        if let Some(incident) = &mut self.state.incident {
            incident.note_fact(fact);
        }
        let why = format!("fault domain revised: {detail}");
        self.event(now, EventName::IncidentUpdated, now, &why, None);
    }

    /// The service is back.
    fn served(&mut self, now: Mono) {
        let running = self.state.ladder.running.as_ref().map(|r| (r.rung, r.interrupted));
        if let Some((_, interrupted)) = running {
            self.conclude(now, if interrupted { Outcome::Interrupted } else { Outcome::Healed });
        }
        let healed_by: Option<Rung> = running.map(|(rung, _)| rung);
        let closed = self.stamp(now);
        let Some(incident) = &mut self.state.incident else { return };
        let length = incident.broken.take().map_or(Span::ZERO, |since| now.since(since));
        incident.returned = Some(now);
        incident.healed_by = healed_by;
        incident.closed = Some(closed);
        let by = healed_by.map_or("came back by itself".to_string(), |r| format!("healed by {}", r.name()));
        self.event(now, EventName::IncidentClosed, now, &format!("{by} after {length}"), None);
        self.withdraw(now, healed_by);
    }
}
