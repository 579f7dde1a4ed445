//! What the judge's tests share: configurations, a spectator that records everything, and one that checks invariants.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use linekeeper_contract::message::{Critical, EventName, Message};
use linekeeper_contract::units::{Mono, Span};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::{Action, Done, Repair};
use linekeeper_judge::check::AreaNotice;
use linekeeper_judge::config::{Config, Places, read};
use linekeeper_judge::diagnosis::makes_sense;
use linekeeper_judge::observation::{Entry, Link, Observation};
use linekeeper_proving::simulate::{Moment, Report, Spectator, World, run};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// The link of a working line, or with the cable unplugged.
pub fn link(up: bool) -> Observation {
    Observation::LinkSeen(Link {
        half_duplex: false,
        present: true,
        admin_up: true,
        carrier: up,
        addresses: if up { vec!["198.51.100.7".parse().unwrap()] } else { Vec::new() },
        gateway: up.then(|| "198.51.100.1".parse().unwrap()),
        default_route: up,
        speed: None,
    })
}

/// The operator's notice of an outage in the area of [`tree`]'s gateway.
pub fn notice(issued: u64, expires: u64) -> AreaNotice {
    AreaNotice {
        id: "N-17".into(),
        area: "north-3".into(),
        issued,
        expires,
        ended: false,
        text: "cable cut".into(),
    }
}

/// A configuration as a tree: four targets, a driver that carries out remedies, defaults for the rest, overridden by `over`.
pub fn tree(over: Value) -> Value {
    let mut tree = json!({
        "device": { "id": "gw-0001", "customer": "CUST1001", "area": "north-3/olt-7" },
        "line": { "device": "eth1" },
        "probe": { "targets": [
            { "host": "198.51.100.10", "role": "anchor" },
            { "host": "198.51.100.11", "role": "anchor" },
            { "host": "203.0.113.53", "role": "world" },
            { "host": "203.0.113.54", "role": "world" },
        ] },
        "remedies": { "driver": "script", "program": "/usr/lib/linekeeper/remedy" },
    });
    merge(&mut tree, over);
    tree
}

fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// The configuration of [`tree`].
pub fn config(over: Value) -> Config {
    match read(&tree(over), &Places::default()) {
        Ok(config) => config,
        Err(faults) => panic!("{faults}"),
    }
}

/// These seeds, or those in `LINEKEEPER_SEEDS=FROM-TO`.
pub fn seeds(usual: RangeInclusive<u64>) -> RangeInclusive<u64> {
    let Ok(wanted) = std::env::var("LINEKEEPER_SEEDS") else { return usual };
    let ends = wanted.split_once('-').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    let (from, to) = ends.unwrap_or_else(|| panic!("LINEKEEPER_SEEDS is FROM-TO, not {wanted:?}"));
    from..=to
}

/// Records everything.
#[derive(Default)]
pub struct Keeper {
    /// For each start of the process: its snapshot and its observations.
    pub lives: Vec<(Option<Value>, Vec<Entry>)>,
    pub done: Vec<Done>,
    /// The same with the time of the world.
    pub acted: Vec<(Moment, Action)>,
}

impl Spectator for Keeper {
    fn on_start(&mut self, _at: Moment, snapshot: Option<&Value>) {
        self.lives.push((snapshot.cloned(), Vec::new()));
    }
    fn on_observation(&mut self, at: Moment, saw: &Observation) {
        self.lives.last_mut().unwrap().1.push(Entry { at: at.agent, observation: saw.clone() });
    }
    fn on_action(&mut self, at: Moment, action: &Action) {
        self.done.push(Done { at: at.agent, action: action.clone() });
        self.acted.push((at, action.clone()));
    }
}

impl Keeper {
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lives.iter().flat_map(|(_, entries)| entries)
    }
    pub fn notes(&self) -> impl Iterator<Item = (Mono, &str)> {
        self.done.iter().filter_map(|d| match &d.action {
            Action::Note { text, .. } => Some((d.at, text.as_str())),
            _ => None,
        })
    }
}

/// Checks the invariants that hold for every history.
pub struct Referee {
    config: Config,
    pub keeper: Keeper,
    number: u64,
    ids: BTreeMap<String, Message>,
    uses: Vec<(Rung, Mono, u64)>,
    repairing: Option<u64>,
    open: Option<String>,
    callbacks_of: BTreeMap<String, String>,
    rebooted_in: BTreeSet<String>,
    pub made_safe: u32,
}

impl Referee {
    pub fn new(config: &Config) -> Referee {
        Referee {
            config: config.clone(),
            keeper: Keeper::default(),
            number: 0,
            ids: BTreeMap::new(),
            uses: Vec::new(),
            repairing: None,
            open: None,
            callbacks_of: BTreeMap::new(),
            rebooted_in: BTreeSet::new(),
            made_safe: 0,
        }
    }

    fn repair(&mut self, at: Moment, repair: &Repair) {
        let Some(incident) = &repair.incident else { panic!("{at:?}: no remedy was commanded here") };
        let (rung, domain) = (repair.rung, incident.fault_domain);
        assert!(makes_sense(domain, rung), "{at:?}: {rung:?} in domain {domain:?}");
        assert!(self.config.remedies.ladder.contains(&rung), "{at:?}: {rung:?} is not on the ladder");
        assert_eq!(self.repairing, None, "{at:?}: a second remedy while one runs");
        self.repairing = Some(repair.remedy.0);
        self.uses.push((rung, at.agent, at.world.0));
        let day = 86_400_000;
        let used = |within: &dyn Fn(&(Rung, Mono, u64)) -> bool| {
            self.uses.iter().filter(|u| u.0 == rung && within(u)).count()
        };
        let allowed = self.config.remedies.limits(rung).per_day as usize;
        let in_day = used(&|u| u.2 + day > at.world.0);
        assert!(in_day <= allowed, "{at:?}: {rung:?} taken {in_day} times within 24 h, {allowed} allowed");
        if rung == Rung::Reboot {
            assert!(self.rebooted_in.insert(incident.id.clone()), "{at:?}: a second reboot for one incident");
        }
    }

    fn publish(&mut self, at: Moment, critical: &Critical) {
        assert!(critical.number > self.number, "{at:?}: number {} after {}", critical.number, self.number);
        self.number = critical.number;
        if let Some(before) = self.ids.insert(critical.message.id().into(), critical.message.clone()) {
            assert_eq!(before, critical.message, "{at:?}: one id, two messages");
        }
        match &critical.message {
            // Incidents that only inform may be open beside that of the line.
            Message::Event(e) if e.incident.about.is_some() => {}
            Message::Event(e) => match e.event {
                EventName::IncidentOpened => {
                    assert_eq!(self.open, None, "{at:?}: opened while another is open");
                    self.open = Some(e.incident.id.clone());
                }
                EventName::IncidentClosed => {
                    assert_eq!(self.open.take().as_ref(), Some(&e.incident.id), "{at:?}: closed, not open");
                }
                EventName::IncidentUpdated => {
                    assert!(self.open.is_none() || self.open.as_ref() == Some(&e.incident.id), "{at:?}");
                    self.open = Some(e.incident.id.clone());
                }
                EventName::RemedyBegun => {}
                EventName::RemedyEnded => self.repairing = None,
            },
            Message::CommandResult(_) => panic!("{at:?}: no command was sent"),
            Message::Callback(c) => {
                if let Some(incident) = &c.incident_id {
                    let id = self.callbacks_of.entry(incident.clone()).or_insert(c.callback_id.clone());
                    assert_eq!(*id, c.callback_id, "{at:?}: a second callback for one incident");
                }
            }
        }
    }
}

impl Spectator for Referee {
    fn on_start(&mut self, at: Moment, snapshot: Option<&Value>) {
        if snapshot.is_none() {
            // Without a snapshot a running remedy and the incident are forgotten.
            (self.repairing, self.open) = (None, None);
        }
        self.keeper.on_start(at, snapshot);
    }
    fn on_observation(&mut self, at: Moment, saw: &Observation) {
        self.keeper.on_observation(at, saw);
    }
    fn on_action(&mut self, at: Moment, action: &Action) {
        match action {
            Action::Repair(repair) => self.repair(at, repair),
            Action::Publish(critical) => self.publish(at, critical),
            Action::MakeSafe { .. } => self.made_safe += 1,
            Action::Probe { .. }
            | Action::Save
            | Action::Note { .. }
            | Action::Check(_)
            | Action::Report(_)
            | Action::MeasureSpeed(_)
            | Action::AbortSpeed { .. } => {}
        }
        self.keeper.on_action(at, action);
    }
}

/// Runs a world with the invariants checked.
pub fn refereed(config: &Config, world: &World, seed: u64, until: Span) -> (Report, Referee) {
    let mut referee = Referee::new(config);
    let report = run(config, world, seed, until, &mut referee);
    assert_eq!(report.stalls, 0, "the judge asked to be woken at once");
    // At most 80 KiB: a full command journal and the flight recorder's data, which survive a reboot.
    assert!(report.largest_snapshot <= 81_920, "a snapshot of {} bytes", report.largest_snapshot);
    (report, referee)
}
