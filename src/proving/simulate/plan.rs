//! Reads the description of a world: which faults a line has, how often and for how long. A seed turns it into a [`World`].
//!
//! The description is a tree of values: TOML as in `config/worlds`, or JSON. Each `[[fault]]` is an independent random
//! process with its own random stream, so adding one does not change the others:
//!
//! * `per_year` faults start at random moments, or only in certain `hours` of the day. With `grows` their rate increases
//!   linearly, to that multiple at the end of the simulated time.
//! * With `every`, a fault starts periodically, the first one at `first`: a nightly re-dial, a busy hour.
//! * A fault lasts for `lasts`. If that is a range, all its doublings are equally likely: most faults are short, few are
//!   long.
//! * It ends earlier if a remedy in `healed_by` is carried out. Without `lasts`, only such a remedy ends it.

use super::random::Random;
use super::world::{Fault, Platform, Trouble, World};
use linekeeper_contract::units::{LocalTime, Permille, Rate, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::config::bounds::Bounds;
use linekeeper_judge::config::reader::{Reader, Section, Show, alternatives};
use linekeeper_judge::config::{Config, Faults, Places, read};
use linekeeper_judge::observation::Memory;
use linekeeper_judge::outage::phase;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const WORLD: &[&str] = &["about"];
const LINE: &[&str] = &[
    "download",
    "upload",
    "round_trip",
    "gateway_round_trip",
    "jitter",
    "stray",
    "noise",
    "port",
    "counters",
    "backup",
    "clock",
    "uptime",
];
const PLATFORM: &[&str] = &["connects", "travels", "acknowledges", "receipt", "calls"];
const FAULT: &[&str] = &[
    "what",
    "per_year",
    "every",
    "first",
    "hours",
    "grows",
    "lasts",
    "healed_by",
    "share",
    "mean",
    "length",
    "apart",
    "rate",
    "target",
    "off",
    "reason",
];
const RUNGS: &[&str] = &["renew", "restart-interface", "power-modem", "reboot"];
const SECTIONS: &[&str] = &["world", "line", "platform", "agent", "cannot", "fault"];
const KEYS: &[(&str, &[&str])] = &[("line", LINE), ("platform", PLATFORM), ("fault", FAULT)];

/// A simulated year: 365 days.
pub const YEAR: Span = Span::days(365);
/// Limit of fault processes in one world: far more than a reader of the report can distinguish.
const PROCESSES: Bounds<usize> = Bounds::new(0, 64);
/// Limit of events per year of one process: one every five minutes. A fault that is more frequent is permanent.
const PER_YEAR: Bounds<u32> = Bounds::new(1, 105_120);
/// Limit of the growth from the start to the end of the simulated time.
const GROWS: Bounds<u32> = Bounds::new(1, 1_000);
/// Durations in a description: up to a year.
const LENGTH: Bounds<Span> = Bounds::new(Span::millis(1), YEAR);
/// Durations that may be zero.
const WAIT: Bounds<Span> = Bounds::new(Span::ZERO, YEAR);
/// Round-trip times: up to the sensor's timeout.
const TRIP: Bounds<Span> = Bounds::new(Span::millis(1), Span::seconds(5));
/// Rates of a line.
const RATE: Bounds<Rate> = Bounds::new(Rate(1_000), Rate(100_000_000_000));
/// Shares.
const SHARE: Bounds<Permille> = Bounds::new(Permille(1), Permille(1_000));

/// A described world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its description, one sentence.
    pub about: String,
    /// The agent's configuration.
    pub config: Config,
    base: World,
    processes: Vec<Process>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    trouble: Kind,
    when: When,
    /// The shortest and the longest duration.
    lasts: Option<(Span, Span)>,
    healed_by: Vec<Rung>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Plain(Trouble),
    /// The clock is set wrong by this much, early (`true`) or late, and not trusted.
    Clock(Span, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// This many per year, in these hours (from, to) if given, growing to `grows` times the rate at the end.
    PerYear {
        events: u32,
        hours: Option<(u32, u32)>,
        grows: u32,
    },
    Every {
        every: Span,
        first: Span,
    },
}

impl Plan {
    /// Reads a description.
    ///
    /// `places` has the line number of each key, as far as it is known.
    ///
    /// # Errors
    /// All errors in the description, or those in the agent's configuration that it contains.
    pub fn read(tree: &Value, places: &Places) -> Result<Plan, Faults> {
        let mut reader = Reader { faults: Vec::new(), places, keys: KEYS };
        let root = Section { path: String::new(), map: tree.as_object() };
        if root.map.is_none() {
            return Err(Faults::text("a world is a table of sections".into(), None, None));
        }
        reader.unknown(&root, SECTIONS);
        let about = about(&mut reader, &root);
        let base = base(&mut reader, &root);
        let processes = processes(&mut reader, &root);
        let agent = reader.section(&root, "agent");
        let config = agent_config(agent.map);
        if !reader.faults.is_empty() {
            return Err(Faults(reader.faults));
        }
        let config = config.map_err(|mut faults| {
            for fault in &mut faults.0 {
                fault.path = format!("agent.{}", fault.path);
                fault.line = places.nearest(&fault.path);
            }
            faults
        })?;
        Ok(Plan { about, config, base, processes })
    }

    /// The world for one seed and this duration.
    pub fn world(&self, seed: u64, lasts: Span) -> World {
        let mut world = self.base.clone();
        for (place, process) in self.processes.iter().enumerate() {
            // The random streams of one seed are independent.
            let mut random = Random::new(seed ^ phase(&format!("{} {place}", self.about)));
            process.add_faults(lasts, &world.clock, &mut random, &mut world.faults);
        }
        world.faults.sort_by_key(|f| f.at);
        world
    }
}

impl Process {
    fn add_faults(&self, lasts: Span, clock: &Option<Wall>, random: &mut Random, out: &mut Vec<Fault>) {
        match self.when {
            When::Every { every, first } => {
                let mut at = first;
                while at < lasts {
                    self.add_fault(at, clock, random, out);
                    at += every;
                }
            }
            When::PerYear { events, hours, grows } => {
                // Time is divided into slots so short that more than one event per slot is rare. The moment within a slot is
                // random.
                let slot =
                    (YEAR.0 / (u64::from(events) * u64::from(grows.max(1)) * 4)).clamp(60_000, 3_600_000);
                // The mean over the whole time is the configured one, whatever the hours and the growth.
                let open = hours.map_or(24, |(from, to)| u64::from((to + 24 - from) % 24).max(1));
                let mean = u128::from(slot) * u128::from(events) * 24 * (1 << 32)
                    / u128::from(open)
                    / u128::from(YEAR.0);
                let mut at = 0;
                while at < lasts.0 {
                    let share = 2_000
                        * (1_000 + (u128::from(grows) - 1) * 1_000 * u128::from(at) / u128::from(lasts.0))
                        / (1_000 + u128::from(grows) * 1_000);
                    let chance = mean * share / 1_000;
                    let (drawn, within) = (random.next(), random.below(slot as u32));
                    let hour = (at / 3_600_000 % 24) as u32;
                    let open = hours.is_none_or(|(from, to)| (hour + 24 - from) % 24 < (to + 24 - from) % 24);
                    if open && u128::from(drawn) < chance {
                        self.add_fault(Span(at + u64::from(within)), clock, random, out);
                    }
                    at += slot;
                }
            }
        }
    }

    fn add_fault(&self, at: Span, clock: &Option<Wall>, random: &mut Random, out: &mut Vec<Fault>) {
        let lasts = self.lasts.map(|(least, most)| {
            // A random doubling of the range, and a random length within it.
            let doublings = (most.0.max(1) / least.0.max(1)).max(1).ilog2();
            let low = least.0 << random.below(doublings + 1);
            Span((low + low * u64::from(random.below(1_000)) / 1_000).min(most.0))
        });
        let trouble = match &self.trouble {
            Kind::Plain(trouble) => trouble.clone(),
            Kind::Clock(off, early) => {
                let truth = clock.map_or(0, |c| c.0) + at.0 as i64;
                let off = if *early { -(off.0 as i64) } else { off.0 as i64 };
                Trouble::ClockSet { to: Wall(truth + off), synced: false }
            }
        };
        out.push(Fault { at, lasts, healed_by: self.healed_by.clone(), trouble });
    }
}

/// The default configuration of the agents in described worlds: a device, four targets, a driver that carries out
/// remedies.
fn agent_config(over: Option<&Map<String, Value>>) -> Result<Config, Faults> {
    let mut tree = json!({
        "device": { "id": "gw-0001", "customer": "CUST1001", "area": "north-3/olt-7" },
        "probe": { "targets": [
            { "host": "198.51.100.10", "role": "anchor" },
            { "host": "198.51.100.11", "role": "anchor" },
            { "host": "203.0.113.53", "role": "world" },
            { "host": "203.0.113.54", "role": "world" },
        ] },
        "remedies": { "driver": "script", "program": "/usr/lib/linekeeper/remedy" },
    });
    if let (Some(tree), Some(over)) = (tree.as_object_mut(), over) {
        for (name, section) in over {
            match (tree.get_mut(name).and_then(Value::as_object_mut), section.as_object()) {
                (Some(under), Some(keys)) => under.extend(keys.clone()),
                _ => {
                    tree.insert(name.clone(), section.clone());
                }
            }
        }
    }
    read(&tree, &Places::none())
}

fn about(reader: &mut Reader<'_>, root: &Section<'_>) -> String {
    let section = reader.section(root, "world");
    reader.unknown(&section, WORLD);
    let some = |text: &str| match text.trim() {
        "" => Err("a sentence".to_string()),
        _ => Ok(()),
    };
    reader.text(&section, "about", Show::Open, some).unwrap_or_default().to_string()
}

/// A whole number of milliseconds as microseconds.
fn micro(span: Span) -> u32 {
    u32::try_from(span.0 * 1_000).unwrap_or(u32::MAX)
}

fn base(reader: &mut Reader<'_>, root: &Section<'_>) -> World {
    let mut world = World::quiet();
    let line = reader.section(root, "line");
    reader.unknown(&line, LINE);
    let read = |reader: &mut Reader<'_>, key: &str, of: &mut Rate| {
        *of = reader.quantity(&line, key, RATE).unwrap_or(*of);
    };
    read(reader, "download", &mut world.rates.0);
    read(reader, "upload", &mut world.rates.1);
    read(reader, "stray", &mut world.stray);
    read(reader, "noise", &mut world.noise);
    world.port = reader.quantity(&line, "port", RATE);
    if let Some(trip) = reader.quantity(&line, "round_trip", TRIP) {
        world.rtt_us = vec![micro(trip)];
    }
    if let Some(trip) = reader.quantity(&line, "gateway_round_trip", TRIP) {
        world.gateway_rtt_us = micro(trip);
    }
    if let Some(jitter) = reader.quantity(&line, "jitter", WAIT) {
        world.jitter_us = micro(jitter);
    }
    world.uptime = reader.quantity(&line, "uptime", WAIT).unwrap_or(world.uptime);
    world.counters = reader.flag(&line, "counters", world.counters);
    world.failover = reader.flag(&line, "backup", world.failover);
    let date = |text: &str| {
        let never = text == "never";
        if never {
            Ok(())
        } else {
            LocalTime::parse(text).map(drop).map_err(|why| format!("never, or a date: this is {why}"))
        }
    };
    if let Some(text) = reader.text(&line, "clock", Show::Open, date) {
        world.clock = LocalTime::parse(text).ok().map(|t| t.wall);
    }
    platform(reader, root, &mut world.platform);
    let cannot = reader.section(root, "cannot");
    reader.unknown(&cannot, RUNGS);
    for rung in Rung::ALL {
        if let Some(words) = reader.text(&cannot, rung.as_str(), Show::Open, |_| Ok(())) {
            world.cannot.insert(rung, words.to_string());
        }
    }
    world
}

fn platform(reader: &mut Reader<'_>, root: &Section<'_>, platform: &mut Platform) {
    let section = reader.section(root, "platform");
    reader.unknown(&section, PLATFORM);
    let mut wait = |key: &str, of: &mut Span| *of = reader.quantity(&section, key, WAIT).unwrap_or(*of);
    wait("connects", &mut platform.connects);
    wait("travels", &mut platform.travels);
    wait("acknowledges", &mut platform.acknowledges);
    wait("receipt", &mut platform.receipt);
    platform.calls = reader.quantity(&section, "calls", LENGTH);
}

fn processes(reader: &mut Reader<'_>, root: &Section<'_>) -> Vec<Process> {
    let Some(items) = reader.list(root, "fault", PROCESSES, "faults", Show::Open) else { return Vec::new() };
    let mut processes = Vec::new();
    for (path, item) in items {
        let Value::Object(map) = item else {
            reader.must(&path, "a table, written [[fault]]", item, Show::Open);
            continue;
        };
        let section = Section { path, map: Some(map) };
        reader.unknown(&section, FAULT);
        processes.extend(process(reader, &section));
    }
    processes
}

fn process(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Process> {
    let before = reader.faults.len();
    let trouble = kind(reader, section);
    let when = when(reader, section);
    let lasts = lasts(reader, section);
    let healed_by = healed_by(reader, section);
    if let Some(Kind::Plain(Trouble::PowerCut | Trouble::Killed(_) | Trouble::Frozen)) = &trouble
        && (lasts.is_none() || !healed_by.is_empty())
    {
        reader.fault(
            &section.path("lasts"),
            "is required, and healed_by is not allowed: no agent runs that could heal it",
        );
    }
    if reader.faults.len() > before {
        return None;
    }
    Some(Process { trouble: trouble?, when: when?, lasts, healed_by })
}

fn kind(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Kind> {
    type Make = fn(&mut Reader<'_>, &Section<'_>) -> Option<Trouble>;
    fn share(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Permille> {
        require(reader, section, "share");
        reader.quantity(section, "share", SHARE)
    }
    fn span(reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Option<Span> {
        require(reader, section, key);
        reader.quantity(section, key, LENGTH)
    }
    fn rate(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Rate> {
        require(reader, section, "rate");
        reader.quantity(section, "rate", RATE)
    }
    const KINDS: &[(&str, Make)] = &[
        ("upstream", |_, _| Some(Trouble::Upstream)),
        ("access", |_, _| Some(Trouble::Access)),
        ("carrier", |_, _| Some(Trouble::Carrier)),
        ("address", |_, _| Some(Trouble::Address)),
        ("loss", |r, s| share(r, s).map(Trouble::Loss)),
        ("bursts", |r, s| Some(Trouble::Bursts { loss: share(r, s)?, mean: span(r, s, "mean")? })),
        ("delay", |r, s| span(r, s, "length").map(Trouble::Delay)),
        ("access-delay", |r, s| span(r, s, "length").map(Trouble::AccessDelay)),
        ("breaks", |r, s| {
            Some(Trouble::Breaks { length: span(r, s, "length")?, every: span(r, s, "apart")? })
        }),
        ("dead-target", |r, s| {
            require(r, s, "target");
            Some(Trouble::DeadTarget(r.count(s, "target", Bounds::new(0, 15), 0) as u8))
        }),
        ("gateway-filters", |_, _| Some(Trouble::GatewayFilters)),
        ("unseen", |_, _| Some(Trouble::Unseen)),
        ("load", |_, _| Some(Trouble::Load)),
        ("uses", |r, s| rate(r, s).map(Trouble::Uses)),
        ("slow", |r, s| share(r, s).map(Trouble::Slow)),
        ("port", |r, s| rate(r, s).map(Trouble::Port)),
        ("backup-lost", |_, _| Some(Trouble::BackupLost)),
        ("broker-away", |_, _| Some(Trouble::BrokerAway)),
        ("receipts-lost", |_, _| Some(Trouble::ReceiptsLost)),
        ("receipts-refused", |_, _| Some(Trouble::ReceiptsRefused)),
        ("power-cut", |_, _| Some(Trouble::PowerCut)),
        ("killed", |_, _| Some(Trouble::Killed(Memory::Restored))),
        ("frozen", |_, _| Some(Trouble::Frozen)),
        ("asks", |r, s| {
            let reason = r.text(s, "reason", Show::Open, |_| Ok(())).unwrap_or("please call me");
            Some(Trouble::Asks(reason.to_string()))
        }),
    ];
    require(reader, section, "what");
    if let Some(early) = match section.get("what").and_then(Value::as_str) {
        Some("clock-early") => Some(true),
        Some("clock-late") => Some(false),
        _ => None,
    } {
        return span(reader, section, "off").map(|off| Kind::Clock(off, early));
    }
    let make = reader.choice(section, "what", KINDS)?;
    make(reader, section).map(Kind::Plain)
}

fn require(reader: &mut Reader<'_>, section: &Section<'_>, key: &str) {
    if !section.has(key) {
        reader.missing(&section.path(key), "this kind of fault requires it");
    }
}

fn when(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<When> {
    let (per_year, every) = (section.has("per_year"), section.has("every"));
    if per_year == every {
        let words = "or every is required, not both";
        reader.fault(&section.path("per_year"), words);
        return None;
    }
    if per_year {
        let events = reader.count(section, "per_year", PER_YEAR, 1);
        let grows = reader.count(section, "grows", GROWS, 1);
        let hours = hours(reader, section);
        return Some(When::PerYear { events, hours, grows });
    }
    for key in ["hours", "grows"].into_iter().filter(|key| section.has(key)) {
        reader.fault(&section.path(key), "belongs to per_year");
    }
    let every = reader.quantity(section, "every", Bounds::new(Span::seconds(10), YEAR))?;
    let first = reader.quantity(section, "first", WAIT).unwrap_or_default();
    Some(When::Every { every, first })
}

/// Reads hours of the simulated day: `[19, 23]` means 19:00 to 23:00.
fn hours(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<(u32, u32)> {
    let items = reader.list(section, "hours", Bounds::new(2, 2), "hours of the day", Show::Open)?;
    let hour = |at: usize| items.get(at)?.1.as_u64().filter(|h| *h <= 24).map(|h| h as u32);
    match (hour(0), hour(1)) {
        (Some(from), Some(to)) if from % 24 != to % 24 => Some((from % 24, to % 24)),
        _ => {
            reader.fault(&section.path("hours"), "must be two different whole hours of 0 to 24, from and to");
            None
        }
    }
}

fn lasts(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<(Span, Span)> {
    match section.get("lasts")? {
        Value::Array(_) => {
            let items = reader.list(section, "lasts", Bounds::new(2, 2), "lengths", Show::Open)?;
            let mut ends = Vec::new();
            for (path, item) in &items {
                ends.extend(reader.quantity_at(path, item, LENGTH));
            }
            match ends[..] {
                [least, most] if least <= most => Some((least, most)),
                [_, _] => {
                    reader.fault(&section.path("lasts"), "must have the shorter length first");
                    None
                }
                _ => None,
            }
        }
        _ => reader.quantity(section, "lasts", LENGTH).map(|length| (length, length)),
    }
}

fn healed_by(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<Rung> {
    let Some(items) = reader.list(section, "healed_by", Bounds::new(1, 4), "remedies", Show::Open) else {
        return Vec::new();
    };
    let names: BTreeMap<&str, Rung> = Rung::ALL.into_iter().map(|rung| (rung.as_str(), rung)).collect();
    let mut rungs = Vec::new();
    for (path, item) in items {
        match item.as_str().and_then(|name| names.get(name)) {
            Some(rung) => rungs.push(*rung),
            None => reader.must(&path, &alternatives(RUNGS), item, Show::Open),
        }
    }
    rungs
}
