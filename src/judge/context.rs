//! What a concern sees besides its own state: the time, the configuration, and the facts that other concerns publish.

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

/// The input of every call to a concern: the time, and [`Shared`].
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time of the step.
    pub now: Mono,
    /// The state that belongs to no single concern.
    pub shared: &'a Shared,
}

/// The state that belongs to no single concern.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The configuration.
    pub config: Config,
    /// Boot and civil time, as far as known.
    pub clock: Clock,
    /// The facts that the concerns publish.
    pub facts: Facts,
    /// The flight recorder: the last quarter of an hour. The ordinary snapshot does not contain it.
    pub flight: Flight,
}

impl Deref for Context<'_> {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        self.shared
    }
}

/// The facts that concerns publish for each other. Each part belongs to one concern, and only that concern writes it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The state of the line before this step.
    pub was: LineState,
    /// The line.
    pub line: Line,
    /// The results of the layer checks.
    pub layers: Checks,
    /// The layer whose check result arrived in this step.
    pub answered: Option<Ask>,
    /// The incident that is open or in its hold-down.
    pub incident: Option<Arc<Incident>>,
    /// The remedy in progress.
    pub remedy: Option<Remedy>,
    /// Why nothing may be done to the gateway now.
    pub hands_off: Option<String>,
    /// OpenWrt's name of the WAN interface, and its state according to netifd.
    pub interface: Option<(String, Interface)>,
    /// When somebody last took the interface up again after it had been taken down by hand.
    pub taken_up: Option<Mono>,
    /// Whether data written to flash survives a reboot, as far as is known.
    pub stored: bool,
    /// The operator's notice.
    pub area: Notice,
    /// The callbacks that the judge remembers.
    pub callbacks: Vec<Live>,
    /// Our own speed tests.
    pub tests: Tests,
    /// The platform's commands.
    pub orders: Orders,
    /// How this life began.
    pub beginning: Option<Beginning>,
    /// The recording that was cut out of the flight recorder, and the id of its incident.
    pub cut: Option<Arc<(String, Recording)>>,
    /// What differs from the last life. Meant for concerns that handle [`Started`](crate::observation::Started).
    pub life: Life,
    /// When the snapshot was last stored.
    pub saved: Mono,
}

/// A remedy in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remedy {
    /// Its number.
    pub remedy: RemedyId,
    /// Which rung.
    pub rung: Rung,
    /// It was carried out, and the line is given time to settle.
    pub settles: bool,
    /// The process died in the middle of it.
    pub interrupted: bool,
}

/// The operator's notice for this area.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notice {
    /// The id of the notice that covers this area.
    pub covers: Option<String>,
    /// Remedies and callbacks wait, during the notice or for a while after it.
    pub waits: bool,
}

/// Our own speed tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tests {
    /// The round in progress: the running test, and the one that follows.
    pub running: Option<(TestId, Option<TestId>)>,
    /// When the last one ended.
    pub ended: Option<Mono>,
    /// The port's rate was found to be below the sold rate.
    pub port_is_short: bool,
}

/// The platform's commands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orders {
    /// No command waits or is in progress, and none remains to be answered.
    pub are_over: bool,
    /// The remedy in progress that was ordered while the line was up.
    pub on_whole_line: Option<RemedyId>,
    /// The line broke during that remedy.
    pub broke_it: bool,
}

/// What differs from the last life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    /// The kernel has booted since.
    pub rebooted: bool,
    /// The snapshot of the last life is lost, or older than the messages it published.
    pub lost: bool,
    /// The previous target hosts, if they differ.
    pub other_hosts: Option<Vec<String>>,
    /// The test servers differ.
    pub other_servers: bool,
}

impl Facts {
    /// The facts before the first observation.
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

    /// Whether a remedy is being carried out (its settling time does not count).
    pub fn is_acted_upon(&self) -> bool {
        self.remedy.is_some_and(|remedy| !remedy.settles)
    }

    /// Whether somebody took the interface down on purpose. That is not a fault, and the daemon does not undo it.
    pub fn is_taken_down(&self) -> bool {
        matches!(self.interface, Some((_, Interface::TakenDown)))
    }

    /// Why no remedy is tried although the line is broken: somebody took it down on purpose, or no remedy could help.
    pub fn left_alone(&self) -> Option<String> {
        let (name, is) = self.interface.as_ref()?;
        (self.is_taken_down() || is.is_ill_set()).then(|| format!("{name} {}: nothing is tried", is.words()))
    }

    /// Whether the incident's fault lasts now, as far as is known.
    pub fn lasts(&self, incident: &Incident) -> bool {
        let shows = if incident.finding.is_of_service() { LineState::Up } else { LineState::Down };
        incident.broken.is_some() && self.line.state == shows
    }

    /// The remembered callback with this id.
    pub fn callback(&self, id: &str) -> Option<&Live> {
        self.callbacks.iter().find(|c| c.callback_id == id)
    }

    /// A DNS server that answered since the line came up.
    pub fn resolver(&self) -> Option<IpAddr> {
        self.layers.since(Ask::Name, self.line.since)?.resolver
    }
}

impl Context<'_> {
    /// The offset of local time from UTC in minutes.
    pub fn offset(&self) -> i16 {
        self.config.offset_minutes()
    }

    /// The time stamp of a moment.
    pub fn stamp(&self, at: Mono) -> Stamp {
        self.clock.stamp(at, self.offset())
    }

    /// A time stamp of this boot with civil time added, if the clock was set only after it was made.
    pub fn mended(&self, stamp: &Stamp) -> Stamp {
        let mut stamp = stamp.clone();
        self.clock.mend(&mut stamp, self.offset());
        stamp
    }

    /// Civil time, if it can be trusted.
    pub fn wall(&self) -> Option<Wall> {
        self.clock.trusted(self.now)
    }

    /// Local time in seconds (civil time plus offset, read as if it were UTC), if civil time can be trusted.
    pub fn local(&self, at: Mono) -> Option<i64> {
        let offset = i64::from(self.offset()) * 60_000;
        let wall = self.clock.trusted(at)?;
        Some(wall.0.saturating_add(offset).div_euclid(1_000))
    }

    /// Whether our own speed test fills the line, or just did.
    pub fn is_loaded(&self) -> bool {
        let tests = &self.facts.tests;
        let felt = |at| self.now.since(at) < super::promise::policy::AFTERGLOW;
        tests.running.is_some() || tests.ended.is_some_and(felt)
    }

    /// What the layer checks need to know about the line.
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

    /// The fault domain of a break that began at `since`, and the evidence for it.
    pub fn place(&self, since: Mono) -> Placed {
        let line = &self.facts.line;
        let from = if line.state == LineState::Down { line.since } else { since };
        let gateway = line.gateway_echo(self.now, since);
        let seen = self.facts.layers.seen(from, line.link_fault(), gateway, self.config.line.protocol);
        let ill_set = self.facts.interface.as_ref().is_some_and(|(_, is)| is.is_ill_set());
        diagnosis::place(&diagnosis::Seen { ill_set, ..seen })
    }

    /// The result of a layer check as evidence.
    pub fn check_fact(&self, ask: Ask, verdict: &Verdict) -> Fact {
        let said = verdict.said.name();
        Fact {
            at: self.stamp(verdict.asked),
            name: format!("{}.{said}", ask.name()),
            subject: if verdict.whom.is_empty() { ask.name().into() } else { verdict.whom.clone() },
            detail: verdict.detail.clone(),
        }
    }

    /// The state of the interface according to netifd, as evidence.
    pub fn interface_fact(&self, at: Mono) -> Option<Fact> {
        let (name, is) = self.facts.interface.as_ref()?;
        Some(Fact {
            at: self.stamp(at),
            name: format!("interface.{}", is.name()),
            subject: name.clone(),
            detail: format!("netifd: {name} {}", is.words()),
        })
    }

    /// The line's incident in the form that is sent to the platform.
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

    /// The recording of an incident: the one already cut out, or what the flight recorder has so far.
    pub fn recording(&self, incident: &Incident) -> Option<Box<Recording>> {
        let cut = self.facts.cut.as_deref().filter(|(id, _)| *id == incident.id);
        let kept = cut.map(|(_, recording)| recording.clone());
        kept.or_else(|| self.flight.around(incident.opened_at, |at| self.stamp(at))).map(Box::new)
    }
}
