//! All that a concern sees of the world but its own state: time, configuration, and the facts that the others show.

use super::books::lives::Beginning;
use super::callback::life::Live;
use super::checks::layers::{Checks, Scene, Verdict};
use super::clock::Clock;
use super::diagnosis::{self, Placed};
use super::flight::recorder::Flight;
use super::incident::open::Incident;
use super::outage::line::{Line, LineState};
use super::text::phase;
use crate::check::Ask;
use crate::config::Config;
use crate::observation::{Interface, RemedyId};
use crate::speed::TestId;
use linekeeper_contract::message::{self, Fact, IncidentState, Stamp};
use linekeeper_contract::recording::Recording;
use linekeeper_contract::units::{Mono, Wall};
use linekeeper_contract::vocabulary::Rung;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

/// What a concern is asked with: the time, and all that [`Shared`] has.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// When it is.
    pub now: Mono,
    /// What is no concern's alone.
    pub shared: &'a Shared,
}

/// What is no concern's alone.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The configuration.
    pub config: Config,
    /// What is known of boot and civil time.
    pub clock: Clock,
    /// What the concerns show.
    pub facts: Facts,
    /// The last quarter of an hour. Not in the usual snapshot: see there.
    pub flight: Flight,
}

impl Deref for Context<'_> {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        self.shared
    }
}

/// What the concerns show each other; each part is one concern's, who alone writes it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The line, before this step.
    pub was: LineState,
    /// The line.
    pub line: Line,
    /// What the layers answered.
    pub layers: Checks,
    /// In this step a layer answered that was asked.
    pub answered: Option<Ask>,
    /// The incident in course or in its hold-down.
    pub incident: Option<Arc<Incident>>,
    /// The remedy in course.
    pub remedy: Option<Remedy>,
    /// Why nothing may be done to the gateway now.
    pub hands_off: Option<String>,
    /// OpenWrt's name of the WAN's interface, and how netifd sees it.
    pub interface: Option<(String, Interface)>,
    /// When somebody took the interface up that had been taken down by hand.
    pub taken_up: Option<Mono>,
    /// What is written to flash is there after a reboot, as far as is known.
    pub stored: bool,
    /// The operator's notice.
    pub area: Notice,
    /// The callbacks that are remembered.
    pub callbacks: Vec<Live>,
    /// Our own speed tests.
    pub tests: Tests,
    /// The platform's commands.
    pub orders: Orders,
    /// How this life began.
    pub beginning: Option<Beginning>,
    /// The flight recorder's part that was cut out, and of which incident.
    pub cut: Option<Arc<(String, Recording)>>,
    /// What differs from the last life. Of use to who observes that this one began.
    pub life: Life,
    /// When the snapshot was last stored.
    pub saved: Mono,
}

/// A remedy in course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remedy {
    /// Its number.
    pub remedy: RemedyId,
    /// What.
    pub rung: Rung,
    /// It was carried out, and the line has time to settle.
    pub settles: bool,
    /// The process died in the middle of it.
    pub interrupted: bool,
}

/// The operator's notice for this area.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notice {
    /// The one that holds.
    pub covers: Option<String>,
    /// Remedies and callbacks wait, for the notice or after it.
    pub waits: bool,
}

/// Our own speed tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tests {
    /// The round that runs: its test, and the one that is still to come.
    pub running: Option<(TestId, Option<TestId>)>,
    /// When the last one ended.
    pub ended: Option<Mono>,
    /// The port's rate is below what was sold, and that was found.
    pub port_is_short: bool,
}

/// The platform's commands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orders {
    /// None waits or is in course, and none is to be answered.
    pub are_over: bool,
    /// The remedy in course that was ordered on a line that was not broken.
    pub on_whole_line: Option<RemedyId>,
    /// The line broke while it runs.
    pub broke_it: bool,
}

/// What differs from the last life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    /// The kernel booted since.
    pub rebooted: bool,
    /// What an earlier life knew is lost, or older than what it did.
    pub lost: bool,
    /// The hosts that were asked, where they were others.
    pub other_hosts: Option<Vec<String>>,
    /// The test servers were others.
    pub other_servers: bool,
}

impl Facts {
    /// Nothing is known.
    pub fn new() -> Facts {
        Facts {
            was: LineState::Unknown,
            line: Line::UNKNOWN,
            layers: Checks::default(),
            answered: None,
            incident: None,
            remedy: None,
            hands_off: None,
            interface: None,
            taken_up: None,
            stored: true,
            area: Notice::default(),
            callbacks: Vec::new(),
            tests: Tests::default(),
            orders: Orders::default(),
            beginning: None,
            cut: None,
            life: Life::default(),
            saved: Mono(0),
        }
    }

    /// The incident, while it is broken.
    pub fn broken(&self) -> Option<(&Incident, Mono)> {
        let incident = self.incident.as_deref()?;
        Some((incident, incident.broken?))
    }

    /// A remedy is being carried out, and does not settle yet.
    pub fn is_acted_upon(&self) -> bool {
        self.remedy.is_some_and(|remedy| !remedy.settles)
    }

    /// Whether somebody wants the interface down. What somebody did by hand is no fault, and is not undone.
    pub fn is_taken_down(&self) -> bool {
        matches!(self.interface, Some((_, Interface::TakenDown)))
    }

    /// Why nothing is tried although the line is broken: it would be against somebody's will, or in vain.
    pub fn left_alone(&self) -> Option<String> {
        let (name, is) = self.interface.as_ref()?;
        (self.is_taken_down() || is.is_ill_set()).then(|| format!("{name} {}: nothing is tried", is.words()))
    }

    /// Whether the incident's fault lasts now, as far as is known.
    pub fn lasts(&self, incident: &Incident) -> bool {
        let shows = if incident.finding.is_of_service() { LineState::Up } else { LineState::Down };
        incident.broken.is_some() && self.line.state == shows
    }

    /// A callback that is remembered.
    pub fn callback(&self, id: &str) -> Option<&Live> {
        self.callbacks.iter().find(|c| c.callback_id == id)
    }

    /// A resolver that was seen to answer.
    pub fn resolver(&self) -> Option<IpAddr> {
        self.layers.since(Ask::Name, self.line.since)?.resolver
    }
}

impl Context<'_> {
    /// In which local time is counted.
    pub fn offset(&self) -> i16 {
        self.config.offset_minutes()
    }

    /// The label of a moment.
    pub fn stamp(&self, at: Mono) -> Stamp {
        self.clock.stamp(at, self.offset())
    }

    /// The label of a moment of this boot that was labelled before the clock was set.
    pub fn mended(&self, stamp: &Stamp) -> Stamp {
        let mut stamp = stamp.clone();
        self.clock.mend(&mut stamp, self.offset());
        stamp
    }

    /// Civil time, if it is to be trusted.
    pub fn wall(&self) -> Option<Wall> {
        self.clock.trusted(self.now)
    }

    /// Civil time at the line in seconds, as if it were UTC, when it can be trusted.
    pub fn local(&self, at: Mono) -> Option<i64> {
        let offset = i64::from(self.offset()) * 60_000;
        let wall = self.clock.trusted(at)?;
        Some(wall.0.saturating_add(offset).div_euclid(1_000))
    }

    /// Our own test fills the line, or just did.
    pub fn is_loaded(&self) -> bool {
        let tests = &self.facts.tests;
        let felt = |at| self.now.since(at) < super::promise::policy::AFTERGLOW;
        tests.running.is_some() || tests.ended.is_some_and(felt)
    }

    /// What the checks have to know of the rest.
    pub fn scene(&self) -> Scene {
        let line = &self.facts.line;
        let broken = match line.state {
            LineState::Down => Some(line.since),
            LineState::Up | LineState::Unknown => line.suspected.filter(|since| {
                let lasts = self.now.since(*since);
                lasts >= super::checks::layers::SUSPECTED_FOR
            }),
        };
        Scene {
            line: line.state,
            broken,
            link: line.link_fault(),
            gateway: line.gateway_echo(self.now, broken.unwrap_or(self.now)),
            gateway_known: line.link.is_some_and(|l| l.gateway),
            remedy: self.facts.remedy.map(|r| r.settles),
            unserved: self.facts.broken().is_some_and(|(i, _)| i.finding.is_of_service()),
            protocol: self.config.line.protocol,
            metered: self.config.line.metered,
            every: (self.config.name.every, self.config.web.every),
            phase: phase(&self.config.device.id),
        }
    }

    /// Where a break lies that began at `since`, and what carries it.
    pub fn place(&self, since: Mono) -> Placed {
        let line = &self.facts.line;
        let from = if line.state == LineState::Down { line.since } else { since };
        let gateway = line.gateway_echo(self.now, since);
        let seen = self.facts.layers.seen(from, line.link_fault(), gateway, self.config.line.protocol);
        let ill_set = self.facts.interface.as_ref().is_some_and(|(_, is)| is.is_ill_set());
        diagnosis::place(&diagnosis::Seen { ill_set, ..seen })
    }

    /// A layer's answer as evidence.
    pub fn check_fact(&self, ask: Ask, verdict: &Verdict) -> Fact {
        let said = verdict.said.name();
        Fact {
            at: self.stamp(verdict.asked),
            name: format!("{}.{said}", ask.name()),
            subject: if verdict.whom.is_empty() { ask.name().into() } else { verdict.whom.clone() },
            detail: verdict.detail.clone(),
        }
    }

    /// What netifd says of the interface, as evidence.
    pub fn interface_fact(&self, at: Mono) -> Option<Fact> {
        let (name, is) = self.facts.interface.as_ref()?;
        Some(Fact {
            at: self.stamp(at),
            name: format!("interface.{}", is.name()),
            subject: name.clone(),
            detail: format!("netifd: {name} {}", is.words()),
        })
    }

    /// The line's incident as the platform sees it.
    pub fn public(&self, incident: &Incident) -> message::Incident {
        message::Incident {
            id: incident.id.clone(),
            finding: incident.finding,
            about: None,
            fault_domain: incident.domain,
            state: if incident.closed.is_some() { IncidentState::Closed } else { IncidentState::Open },
            opened: self.mended(&incident.opened),
            closed: incident.closed.as_ref().map(|stamp| self.mended(stamp)),
            breaks: incident.breaks,
            down_ms: incident.down(self.now).0,
        }
    }

    /// The flight recorder's part of an incident: cut out, or as far as it goes.
    pub fn recording(&self, incident: &Incident) -> Option<Box<Recording>> {
        let cut = self.facts.cut.as_deref().filter(|(id, _)| *id == incident.id);
        let kept = cut.map(|(_, recording)| recording.clone());
        kept.or_else(|| self.flight.around(incident.opened_at, |at| self.stamp(at))).map(Box::new)
    }
}
