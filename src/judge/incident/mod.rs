//! The line's incident: one finding's life, from its first evidence to its end. Short breaks do not make new ones.
//!
//! An incident opens when the line goes down and closes when it returns; if it breaks again within
//! `outage.hold_down` the same incident opens again. With `outage.flapping` breaks in it it becomes `flapping`, and
//! then it closes only after the line held for the hold-down. What an incident of the service is, and how the two give way to
//! each other, stands in [`super::service`].
//!
//! Where a break lies may turn out to be elsewhere than was thought: another fault domain must show for
//! [`open::REVISE_AFTER`], but what a check has placed is said at once: it is an answer, and no passing impression.

pub mod open;

pub use open::*;

use super::callback::change::Change;
use super::concern::{Concern, Quiet, until};
use super::context::{Context, Facts};
use super::diagnosis::Placed;
use super::ladder::steps::LINK_SETTLE;
use super::outage::line::{Cause, LineState};
use super::outbox::{News, Outbox};
use super::signal::{RemedyEnd, Signal};
use super::snapshot::{Kept, Parts};
use super::status::Status;
use super::words;
use crate::action::Level;
use crate::check::Ask;
use crate::config::Config;
use crate::observation::Observation;
use linekeeper_contract::message::{self, Domain, EventName, Fact, Finding, Issue, Outcome, Remedy};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use std::collections::VecDeque;
use std::sync::Arc;

/// Ended incidents kept for `status`.
const RECENT: usize = 8;

/// The incident in course or in its hold-down, and those that ended.
#[derive(Debug, Clone, Default)]
pub struct Incidents {
    open: Option<Arc<Incident>>,
    recent: VecDeque<message::Incident>,
}

impl Concern for Incidents {
    fn new(_config: &Config) -> Incidents {
        Incidents::default()
    }

    fn on_signal(&mut self, cx: &Context<'_>, signal: &Signal, out: &mut Outbox) {
        match signal {
            Signal::LineBroke { since, cause, facts } => self.broke(cx, *since, *cause, facts, out),
            Signal::LineReturned { at } | Signal::LineUpAfterRemedy { at } => self.returned(cx, *at, out),
            Signal::BreakEnded { at, healed_by } => self.break_ended(cx, *at, *healed_by, out),
            Signal::ServiceBroke { finding, placed, since, facts } => {
                self.unserved(cx, *finding, *placed, *since, facts, out);
            }
            Signal::ServiceRevised { finding, placed } => self.turned_out(cx, *finding, *placed, out),
            Signal::ServiceReturned => self.served(cx, out),
            Signal::ServiceEnded { healed_by } => self.service_ended(cx, *healed_by, out),
            Signal::Evidence(fact) => {
                if let Some(incident) = self.broken() {
                    incident.note_fact(fact.clone());
                }
            }
            Signal::RemedyBegins { rung, why } => self.remedy_begins(cx, *rung, why, out),
            Signal::RemedyEnded(end) => self.remedy_ended(cx, end, out),
            Signal::LadderExhausted(text) => self.exhausted(text, out),
            Signal::HandsFree | Signal::AreaCleared => {
                if let Some(incident) = self.open() {
                    incident.exhausted = false;
                }
            }
            Signal::InterfaceChanged { fact, taken_down } => {
                self.interface_changed(cx, fact.as_ref(), *taken_down, out);
            }
            Signal::AreaNoticed { notice } => {
                // A callback about the line that was asked for before the operator knew.
                let callback = self.open.as_ref().and_then(|i| i.callback.clone());
                if let Some(callback_id) = callback {
                    let change = Box::new(Change::Covered { notice: notice.clone() });
                    out.signal(Signal::CallChanged { callback_id, change });
                }
            }
            Signal::IncidentCalled { callback_id } => {
                if let Some(incident) = self.open() {
                    incident.callback = Some(callback_id.clone());
                }
            }
            Signal::EndedAside(ended) => self.remember((**ended).clone()),
            _ => {}
        }
    }

    #[inline]
    fn advance(&mut self, cx: &Context<'_>, _seen: &Observation, out: &mut Outbox) {
        if self.open.is_some() {
            self.go_on(cx, out);
        }
    }

    fn publish_facts(&mut self, facts: &mut Facts) {
        match (&facts.incident, &self.open) {
            (None, None) => {}
            (Some(shown), Some(open)) if Arc::ptr_eq(shown, open) => {}
            _ => facts.incident.clone_from(&self.open),
        }
    }

    fn deadline(&self, cx: &Context<'_>) -> Option<Mono> {
        let incident = self.open.as_ref()?;
        // Nothing else is decided about the incident meanwhile.
        if cx.facts.remedy.is_some() {
            return None;
        }
        match incident.broken {
            Some(_) if cx.facts.lasts(incident) => incident.revision.map(|(_, shows)| shows + REVISE_AFTER),
            Some(_) => None,
            None => incident.returned.map(|returned| returned + cx.config.outage.hold_down),
        }
    }

    fn quiet_until(&self, cx: &Context<'_>, quiet: Quiet) -> Option<Mono> {
        let may = match (quiet, &self.open) {
            (_, None) => true,
            (Quiet::Watched, Some(_)) => false,
            (Quiet::Passed { .. }, Some(incident)) => incident.broken.is_none(),
        };
        if may { until(self.deadline(cx)) } else { None }
    }

    fn fill_status(&self, cx: &Context<'_>, status: &mut Status) {
        let incident = self.open.as_deref();
        status.incident = incident.map(|i| cx.public(i));
        status.remedies = incident.map_or_else(Vec::new, |i| i.remedies.clone());
        status.recent = self.recent.iter().cloned().collect();
    }

    fn save(&self, parts: &mut Parts) {
        parts.put("incident", &self.open.as_deref());
        parts.put("recent", &self.recent);
    }

    fn load(&mut self, kept: &Kept<'_>) -> Result<(), String> {
        self.open = kept.get::<Option<Incident>>("incident")?.map(Arc::new);
        self.recent = kept.need("recent")?;
        Ok(())
    }
}

impl Incidents {
    /// Revises it, or lets it go.
    fn go_on(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let of_access = matches!(cx.facts.answered, Some(Ask::Neighbour | Ask::Dhcp | Ask::Pppoe));
        // What the kernel says of the link is not placed by an answer, nor is a link that just became whole: an address,
        // or the line itself, may be on its way.
        let line = &cx.facts.line;
        let settled = line.link_mended.is_none_or(|at| cx.now.since(at) >= LINK_SETTLE);
        self.revise(cx, of_access && settled && line.fault.is_none(), out);
        self.hold(cx, out);
    }

    fn open(&mut self) -> Option<&mut Incident> {
        self.open.as_mut().map(Arc::make_mut)
    }

    /// The incident, while it is broken.
    fn broken(&mut self) -> Option<&mut Incident> {
        self.open.as_mut().filter(|i| i.broken.is_some()).map(Arc::make_mut)
    }

    fn event(&self, cx: &Context<'_>, news: News<'_>, out: &mut Outbox) {
        let Some(incident) = self.open.as_deref() else { return };
        let recorder = match news.name {
            EventName::IncidentClosed => cx.recording(incident),
            _ => None,
        };
        out.announce(cx, cx.public(incident), News { recorder, ..news });
    }

    fn updated(&self, cx: &Context<'_>, at: Mono, why: &str, out: &mut Outbox) {
        self.event(cx, News::new(EventName::IncidentUpdated, at, why), out);
    }

    fn broke(&mut self, cx: &Context<'_>, since: Mono, cause: Cause, shown: &[Fact], out: &mut Outbox) {
        let now = cx.now;
        let placed = cx.place(since);
        let domain = placed.domain;
        let layers = [Ask::Neighbour, Ask::Dhcp, Ask::Pppoe].into_iter();
        let layers = layers.filter_map(|ask| Some(cx.check_fact(ask, cx.facts.layers.since(ask, since)?)));
        let facts: Vec<Fact> = shown.iter().cloned().chain(cx.interface_fact(since)).chain(layers).collect();
        let why = match cause {
            Cause::Silence => format!(
                "nothing answers since {} and nothing comes in; fault domain {} ({})",
                now.since(since),
                domain.as_str(),
                placed.words()
            ),
            _ => format!("{}; fault domain {}", cause.words(), domain.as_str()),
        };
        match self.open.as_mut().map(Arc::make_mut) {
            Some(incident) if incident.broken.is_some() && incident.finding.is_of_service() => {
                incident.finding = Finding::Outage;
                incident.broken = Some(since);
                incident.cause = cause;
                incident.exhausted = false;
                incident.breaks += 1;
                incident.domain = domain;
                facts.into_iter().for_each(|fact| incident.note_fact(fact));
                self.updated(cx, now, &format!("the line broke as well: {why}"), out);
            }
            Some(incident) if incident.broken.is_some() => {
                out.note(Level::Info, format!("still down: {why}"));
            }
            Some(incident) => {
                incident.broken = Some(since);
                incident.cause = cause;
                incident.closed = None;
                incident.exhausted = false;
                incident.breaks += 1;
                incident.revision = None;
                incident.domain = domain;
                let healed_by = incident.healed_by.take();
                facts.into_iter().for_each(|fact| incident.note_fact(fact));
                out.signal(Signal::IncidentReopened { healed_by });
                self.updated(cx, now, &format!("broke again: {why}"), out);
            }
            None => {
                let incident =
                    Incident { cause, breaks: 1, ..new(cx, Finding::Outage, domain, since, facts, out) };
                self.opened(cx, incident, &why, out);
            }
        }
    }

    fn opened(&mut self, cx: &Context<'_>, incident: Incident, why: &str, out: &mut Outbox) {
        self.open = Some(Arc::new(incident));
        out.signal(Signal::IncidentOpened);
        self.event(cx, News::new(EventName::IncidentOpened, cx.now, why), out);
    }

    fn returned(&mut self, cx: &Context<'_>, at: Mono, out: &mut Outbox) {
        // While a remedy is being carried out the line may come and go by our own doing.
        if cx.facts.is_acted_upon() {
            return;
        }
        let Some(incident) = &self.open else {
            out.note(Level::Info, "the line is up".into());
            return;
        };
        if incident.finding.is_of_service() || incident.broken.is_none() {
            return;
        }
        let healed_by = end_remedy(cx, out);
        out.signal(Signal::BreakEnded { at, healed_by });
    }

    fn break_ended(&mut self, cx: &Context<'_>, at: Mono, healed_by: Option<Rung>, out: &mut Outbox) {
        let closed = cx.stamp(at);
        let outage = &cx.config.outage;
        let Some(incident) = self.open.as_mut().map(Arc::make_mut) else { return };
        let Some(since) = incident.broken else { return };
        let length = at.since(since);
        incident.down += length;
        incident.broken = None;
        incident.returned = Some(cx.now);
        incident.healed_by = healed_by;
        incident.revision = None;
        incident.long_breaks += u32::from(length >= outage.patience);
        let by = healed_by.map_or("came back by itself".to_string(), |r| format!("healed by {}", r.as_str()));
        if incident.long_breaks >= outage.flapping {
            let first = incident.finding != Finding::Flapping;
            incident.finding = Finding::Flapping;
            let why = format!(
                "{by} after {length}; {} breaks in this incident: the line is flapping",
                incident.breaks
            );
            self.updated(cx, at, &why, out);
            if first {
                out.signal(Signal::HandOver);
            }
            return;
        }
        incident.closed = Some(closed);
        let why = format!("{by} after {length}");
        self.event(cx, News::new(EventName::IncidentClosed, at, &why), out);
        self.withdraw(cx, healed_by, out);
    }

    /// A break that lies elsewhere than was thought, for long enough, is said to. `placed`: a check has shown it.
    fn revise(&mut self, cx: &Context<'_>, placed: bool, out: &mut Outbox) {
        let now = cx.now;
        let Some(incident) = self.open.as_deref() else { return };
        if cx.facts.remedy.is_some() || cx.facts.line.state != LineState::Down {
            // What shows while a remedy runs may be our own doing, and does not count.
            self.show_no_other_domain();
            return;
        }
        let Some(since) = incident.broken else { return };
        let place = cx.place(since);
        let shows = place.domain;
        if shows == incident.domain || shows == Domain::Unknown && !placed {
            self.show_no_other_domain();
            return;
        }
        // An address that our own restart gave up, and that nobody gives again, is the same fault as before.
        let lost = matches!(cx.facts.line.link_fault(), Some(Cause::NoAddress | Cause::NoRoute));
        let ours = incident.remedies.iter().any(|r| r.name.disturbs());
        if lost && ours && incident.cause == Cause::Silence && incident.domain != Domain::Unknown {
            self.show_no_other_domain();
            return;
        }
        let revision = if placed { Some((shows, now - REVISE_AFTER)) } else { incident.revision };
        match revision {
            Some((domain, from)) if domain == shows => {
                if now.since(from) < REVISE_AFTER && !placed {
                    return;
                }
                let Some(incident) = self.open() else { return };
                let was = std::mem::replace(&mut incident.domain, shows);
                incident.revision = None;
                incident.exhausted = false;
                let detail = format!("was {}, is {}: {}", was.as_str(), shows.as_str(), place.words());
                incident.note_fact(revised(cx, shows, &detail));
                self.updated(cx, now, &format!("fault domain revised: {detail}"), out);
                self.keep_current(cx, out);
            }
            Some(_) | None => {
                if let Some(incident) = self.open() {
                    incident.revision = Some((shows, now));
                }
            }
        }
    }

    fn show_no_other_domain(&mut self) {
        if let Some(incident) = self.open.as_mut().filter(|i| i.revision.is_some()) {
            Arc::make_mut(incident).revision = None;
        }
    }

    /// Lets an incident go when the line held for the hold-down.
    fn hold(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let Some(incident) = &self.open else { return };
        let held = incident.broken.is_none()
            && incident.returned.is_some_and(|at| cx.now.since(at) >= cx.config.outage.hold_down);
        if held {
            self.let_go(cx, out);
        }
    }

    /// Ends an incident for good.
    fn let_go(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let Some(incident) = self.open.as_mut() else { return };
        if incident.closed.is_none() {
            let incident = Arc::make_mut(incident);
            incident.closed = Some(cx.stamp(incident.returned.unwrap_or(cx.now)));
            let healed_by = incident.healed_by;
            let why = format!("the line held for {}", cx.config.outage.hold_down);
            self.event(cx, News::new(EventName::IncidentClosed, cx.now, &why), out);
            self.withdraw(cx, healed_by, out);
        }
        if let Some(incident) = self.open.take() {
            self.remember(cx.public(&incident));
        }
        out.save();
    }

    /// Keeps an ended incident for `status`.
    fn remember(&mut self, ended: message::Incident) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(ended);
    }

    fn exhausted(&mut self, text: &str, out: &mut Outbox) {
        let Some(incident) = self.open.as_mut().filter(|i| !i.exhausted) else { return };
        Arc::make_mut(incident).exhausted = true;
        out.note(Level::Info, text.to_owned());
    }

    fn interface_changed(
        &mut self,
        cx: &Context<'_>,
        fact: Option<&Fact>,
        taken_down: bool,
        out: &mut Outbox,
    ) {
        let Some(incident) = self.broken() else { return };
        fact.into_iter().for_each(|fact| incident.note_fact(fact.clone()));
        if cx.facts.left_alone().is_none() {
            incident.exhausted = false;
        }
        if taken_down {
            let why = "somebody took the interface down: nothing is tried and nobody is called until it is taken up";
            self.updated(cx, cx.now, why, out);
        }
    }

    fn remedy_begins(&mut self, cx: &Context<'_>, rung: Rung, why: &str, out: &mut Outbox) {
        let Some(incident) = self.open() else { return };
        let record = Remedy {
            name: rung,
            began: cx.stamp(cx.now),
            took_ms: None,
            outcome: None,
            detail: String::new(),
        };
        incident.note_remedy(record.clone());
        let news = News::new(EventName::RemedyBegun, cx.now, why);
        self.event(cx, News { remedy: Some(record), ..news }, out);
    }

    fn remedy_ended(&mut self, cx: &Context<'_>, end: &RemedyEnd, out: &mut Outbox) {
        let unended = |r: &Remedy| r.name == end.rung && r.outcome.is_none();
        if !self.open.as_ref().is_some_and(|i| i.remedies.iter().any(unended)) {
            return;
        }
        let Some(incident) = self.open() else { return };
        let Some(record) = incident.remedies.iter_mut().rev().find(|r| unended(r)) else { return };
        record.took_ms = Some(end.took.0);
        record.outcome = Some(end.outcome);
        record.detail.clone_from(&end.detail);
        let record = record.clone();
        let what = match end.outcome {
            Outcome::Healed => "the line is back",
            Outcome::NoEffect => "the line stays dead",
            Outcome::Failed => "could not be carried out",
            Outcome::Pretended => "only said, not done",
            Outcome::Interrupted => "was interrupted",
        };
        let (name, took) = (end.rung.as_str(), end.took);
        let why = if record.detail.is_empty() {
            format!("{name}: {what} after {took}")
        } else {
            format!("{name}: {what} after {took} ({})", record.detail)
        };
        let news = News::new(EventName::RemedyEnded, cx.now, &why);
        self.event(cx, News { remedy: Some(record), ..news }, out);
        if end.outcome != Outcome::Healed {
            self.keep_current(cx, out);
        }
    }

    /// It is confirmed that there is no service.
    fn unserved(
        &mut self,
        cx: &Context<'_>,
        finding: Finding,
        placed: Placed,
        since: Mono,
        facts: &[Fact],
        out: &mut Outbox,
    ) {
        let words = format!("{}; fault domain {}", placed.words(), placed.domain.as_str());
        if let Some(incident) = self.open.as_mut() {
            if incident.finding.is_of_service() {
                let incident = Arc::make_mut(incident);
                incident.broken = Some(since);
                incident.finding = finding;
                incident.domain = placed.domain;
                incident.closed = None;
                incident.exhausted = false;
                facts.iter().for_each(|fact| incident.note_fact(fact.clone()));
                let healed_by = incident.healed_by.take();
                out.signal(Signal::IncidentReopened { healed_by });
                self.updated(cx, cx.now, &format!("again: {words}"), out);
                return;
            }
            self.let_go(cx, out);
        }
        let incident = new(cx, finding, placed.domain, since, facts.to_vec(), out);
        self.opened(cx, incident, &words, out);
    }

    /// Names that seemed dead stand behind a login page, or the other way round.
    fn turned_out(&mut self, cx: &Context<'_>, finding: Finding, placed: Placed, out: &mut Outbox) {
        let Some(incident) = self.open() else { return };
        let was = std::mem::replace(&mut incident.domain, placed.domain);
        incident.finding = finding;
        incident.exhausted = false;
        let detail = format!("was {}, is {}: {}", was.as_str(), placed.domain.as_str(), placed.words());
        incident.note_fact(revised(cx, placed.domain, &detail));
        self.updated(cx, cx.now, &format!("fault domain revised: {detail}"), out);
    }

    /// The service is back.
    fn served(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let healed_by = end_remedy(cx, out);
        out.signal(Signal::ServiceEnded { healed_by });
    }

    fn service_ended(&mut self, cx: &Context<'_>, healed_by: Option<Rung>, out: &mut Outbox) {
        let Some(incident) = self.open() else { return };
        let length = incident.broken.take().map_or(Span::ZERO, |since| cx.now.since(since));
        incident.returned = Some(cx.now);
        incident.healed_by = healed_by;
        incident.closed = Some(cx.stamp(cx.now));
        let by = healed_by.map_or("came back by itself".to_string(), |r| format!("healed by {}", r.as_str()));
        let why = format!("{by} after {length}");
        self.event(cx, News::new(EventName::IncidentClosed, cx.now, &why), out);
        self.withdraw(cx, healed_by, out);
    }

    /// Keeps what is read to the customer true: the fault may turn out to lie elsewhere, and more may be tried, after the
    /// callback was asked for.
    fn keep_current(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let Some(incident) = self.open.as_deref().filter(|i| i.broken.is_some()) else { return };
        let Some(callback_id) = incident.callback.clone() else { return };
        let change = Box::new(Change::Current {
            issue: issue(&cx.config, incident),
            flapping: incident.finding == Finding::Flapping,
            facts: incident.facts.clone(),
            domain: incident.domain,
            remedies: incident.remedies.clone(),
        });
        out.signal(Signal::CallChanged { callback_id, change });
    }

    fn withdraw(&self, cx: &Context<'_>, healed_by: Option<Rung>, out: &mut Outbox) {
        let Some(incident) = self.open.as_deref() else { return };
        let Some(callback_id) = incident.callback.clone() else { return };
        let change = Box::new(Change::Healed {
            ended: incident.returned.unwrap_or(cx.now),
            by: healed_by.map_or("itself", Rung::as_str).to_string(),
            remedies: incident.remedies.clone(),
        });
        out.signal(Signal::CallChanged { callback_id, change });
    }
}

/// What is wrong, to be read aloud, as it stands now.
pub fn issue(config: &Config, incident: &Incident) -> Issue {
    let (finding, domain) = (incident.finding, incident.domain);
    let language = config.device.language;
    Issue {
        kind: if finding.is_of_service() { "service" } else { "disconnect" }.into(),
        code: format!("{}.{}", finding.as_str(), domain.as_str()),
        description: words::description(language, finding, domain, incident.breaks, &incident.remedies),
    }
}

/// An incident that begins.
fn new(
    cx: &Context<'_>,
    finding: Finding,
    domain: Domain,
    since: Mono,
    facts: Vec<Fact>,
    out: &mut Outbox,
) -> Incident {
    Incident {
        id: out.incident_id(cx, since),
        finding,
        domain,
        revision: None,
        opened: cx.stamp(since),
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
    }
}

fn revised(cx: &Context<'_>, domain: Domain, detail: &str) -> Fact {
    Fact {
        at: cx.stamp(cx.now),
        name: "domain.revised".into(),
        subject: domain.as_str().into(),
        detail: detail.into(),
    }
}

/// What the remedy in course brings about has come: ends it. Which it is.
fn end_remedy(cx: &Context<'_>, out: &mut Outbox) -> Option<Rung> {
    let remedy = cx.facts.remedy?;
    let outcome = if remedy.interrupted { Outcome::Interrupted } else { Outcome::Healed };
    out.signal(Signal::EndRemedy { outcome });
    Some(remedy.rung)
}
