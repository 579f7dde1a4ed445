//! The table of faults: where each is located, how soon, and which remedies run or do not run. Also the limits on remedies
//! under random faults.
//!
//! Trouble inside the customer's own network has no row: it does not reach the judge, which watches the line.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::judge::{self, Referee, config, refereed, tree};
use crate::common::proof;
use linekeeper_contract::message::{Callback, CallbackState, Domain, EventName, Finding, Message, Outcome};
use linekeeper_contract::units::{Mono, Permille, Rate, Span, Wall};
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::Judge;
use linekeeper_judge::action::Action;
use linekeeper_judge::area::SPREAD;
use linekeeper_judge::check::{AreaNotice, Ask, Checked, Reply, Said};
use linekeeper_judge::checks::ACCESS_PER_HOUR;
use linekeeper_judge::config::Config;
use linekeeper_judge::diagnosis::{fits, makes_sense};
use linekeeper_judge::observation::{Link, Memory, Observation, Obstacle, RemedyResult, Started, TargetId};
use linekeeper_judge::record::FUTILE;
use linekeeper_proving::simulate::random::Random;
use linekeeper_proving::simulate::{Fault, Report, Simulation, Trouble, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MIN: Span = Span::minutes(1);
const RUNGS: [&str; 6] =
    ["renew", "other-resolver", "restart-interface", "restart-network", "power-modem", "reboot"];

/// Everything but the reboot, which is off by default, and patience for what takes longest.
fn all_but_reboot() -> Value {
    json!({ "remedies": { "ladder": RUNGS[..5] } })
}

fn sold(mut over: Value) -> Value {
    let table = over.as_object_mut().unwrap();
    table.insert("promise".into(), json!({ "download": { "normal": "90 Mbit/s" } }));
    table.insert("speed".into(), json!({ "servers": ["http://speed.example/"], "per_day": 48 }));
    over
}

fn protocol(name: &str) -> Value {
    let mut over = all_but_reboot();
    over.as_object_mut().unwrap().insert("line".into(), json!({ "protocol": name }));
    over
}

struct Row {
    what: &'static str,
    config: Value,
    world: World,
    /// What is found, and where it is placed in the end.
    found: Option<(Finding, Domain)>,
    /// Names of facts that the incident's callback or events must rest upon, in the notes.
    shown_by: &'static [&'static str],
    rungs: &'static [Rung],
    called: bool,
}

fn rows() -> Vec<Row> {
    use Rung::{OtherResolver, PowerModem, Renew, RestartInterface, RestartNetwork};
    let at = MIN.times(20);
    let long = MIN.times(40);
    let lasting = |trouble| {
        let mut world = World::quiet().with_trouble(at, long, trouble);
        world.failover = true;
        world
    };
    let row = |what, world, found, shown_by, rungs, called| Row {
        what,
        config: all_but_reboot(),
        world,
        found,
        shown_by,
        rungs,
        called,
    };
    let all: &[Rung] = &[Renew, RestartInterface, RestartNetwork, PowerModem];
    let without_lease: &[Rung] = &[RestartInterface, RestartNetwork, PowerModem];
    let outage = |domain| Some((Finding::Outage, domain));
    let calm = |what, trouble| row(what, lasting(trouble), None, &[], &[], false);
    vec![
        row(
            "cable out",
            lasting(Trouble::Carrier),
            outage(Domain::Link),
            &["no carrier"],
            without_lease,
            true,
        ),
        Row {
            config: sold(all_but_reboot()),
            ..row(
                "port at 10 Mbit/s under a higher promise",
                lasting(Trouble::Port(Rate(10_000_000))),
                Some((Finding::ShortRate, Domain::Link)),
                &["the port negotiated 10 Mbit/s"],
                &[],
                true,
            )
        },
        row(
            "address lost, the client wedged",
            World::quiet().until_healed(at, Trouble::Address, &[RestartInterface]),
            outage(Domain::Access),
            &["no address", "checked: dhcp.answered"],
            &[Renew, RestartInterface],
            false,
        ),
        row(
            "DHCP server dead",
            lasting(Trouble::DhcpSilent),
            outage(Domain::Access),
            &["dhcp.silent"],
            all,
            true,
        ),
        row(
            "DHCP server refuses",
            lasting(Trouble::DhcpRefuses),
            outage(Domain::Access),
            &["dhcp.refused"],
            all,
            true,
        ),
        Row {
            config: protocol("pppoe"),
            ..row(
                "PPPoE concentrator silent",
                lasting(Trouble::PppoeSilent),
                outage(Domain::Access),
                &["pppoe.silent"],
                without_lease,
                true,
            )
        },
        Row {
            config: protocol("pppoe"),
            ..row(
                "PPPoE concentrator refuses",
                lasting(Trouble::PppoeRefuses),
                outage(Domain::Access),
                &["pppoe.refused"],
                without_lease,
                true,
            )
        },
        row(
            "gateway dead",
            lasting(Trouble::Access),
            outage(Domain::Gateway),
            &["neighbour.silent"],
            all,
            true,
        ),
        calm("gateway answers its address and filters echoes", Trouble::GatewayFilters),
        row(
            "the same gateway, and everything beyond it dead",
            lasting(Trouble::Upstream).with_trouble(Span::ZERO, Span::days(1), Trouble::GatewayFilters),
            outage(Domain::Upstream),
            &["neighbour.answered", "dhcp.answered"],
            &[],
            true,
        ),
        row(
            "access fine, everything beyond it dead",
            lasting(Trouble::Upstream),
            outage(Domain::Upstream),
            &[],
            &[],
            true,
        ),
        row(
            "names dead, another resolver helps",
            World::quiet().until_healed(at, Trouble::NamesDead, &[OtherResolver]),
            Some((Finding::NoNames, Domain::Name)),
            &["name.silent", "no configured resolver answers"],
            &[OtherResolver],
            false,
        ),
        row(
            "names hijacked",
            lasting(Trouble::NamesForged),
            Some((Finding::NoNames, Domain::Name)),
            &["a resolver answers for a name that does not exist"],
            &[OtherResolver],
            true,
        ),
        row(
            "login page in between",
            lasting(Trouble::Portal),
            Some((Finding::Portal, Domain::Portal)),
            &["web.forged"],
            &[],
            true,
        ),
        row(
            "login page that answers for every name",
            lasting(Trouble::Portal).with_trouble(at, long, Trouble::NamesForged),
            Some((Finding::Portal, Domain::Portal)),
            &["web.forged"],
            // The web is asked with the names: no other resolver is tried against a page.
            &[],
            true,
        ),
        calm("one independent target dead", Trouble::DeadTarget(2)),
        Row { config: sold(all_but_reboot()), ..calm("test server dead", Trouble::ServerDead) },
        calm("broker alone dead", Trouble::BrokerAway),
        row(
            "default route lost",
            lasting(Trouble::Route),
            outage(Domain::Access),
            &["no default route"],
            all,
            true,
        ),
        Row {
            config: protocol("static"),
            ..row(
                "a fixed address is gone",
                lasting(Trouble::Address),
                outage(Domain::Device),
                &["no address"],
                &[RestartInterface, RestartNetwork],
                true,
            )
        },
        calm("another device carries the line (a second path)", Trouble::Unseen),
        calm("a fifth lost", Trouble::Loss(Permille(200))),
        calm("the customer's own load", Trouble::Load),
        calm(
            "breaks of two seconds",
            Trouble::Breaks { length: Span::seconds(2), every: Span::millis(60_017) },
        ),
    ]
}

/// The line's incidents as told: event, when, finding, domain.
fn told(referee: &Referee) -> Vec<(EventName, Span, Finding, Domain)> {
    let of = |(at, action): &(linekeeper_proving::simulate::Moment, Action)| match action {
        Action::Publish(c) => match &c.message {
            Message::Event(e) => Some((e.event, at.world, e.incident.finding, e.incident.fault_domain)),
            Message::Callback(_) | Message::CommandResult(_) => None,
        },
        _ => None,
    };
    referee.keeper.acted.iter().filter_map(of).collect()
}

fn callbacks(referee: &Referee) -> Vec<(Span, Callback)> {
    let of = |(at, action): &(linekeeper_proving::simulate::Moment, Action)| match action {
        Action::Publish(c) => match &c.message {
            Message::Callback(c) => Some((at.world, (**c).clone())),
            Message::Event(_) | Message::CommandResult(_) => None,
        },
        _ => None,
    };
    referee.keeper.acted.iter().filter_map(of).collect()
}

#[test]
fn each_fault_is_located_in_time_and_gets_its_domains_remedies() {
    let rows = rows();
    assert!(rows.len() >= 16);
    for row in rows {
        let what = row.what;
        let (report, referee) = refereed(&config(row.config), &row.world, 7, MIN.times(75));
        let told = told(&referee);
        let Some((finding, domain)) = row.found else {
            assert_eq!(
                (told.len(), report.remedies.len(), report.callbacks.len()),
                (0, 0, 0),
                "{what}: {told:?}"
            );
            continue;
        };
        let opened: Vec<_> = told.iter().filter(|t| t.0 == EventName::IncidentOpened).collect();
        assert_eq!(opened.len(), 1, "{what}: {told:?}");
        let last = told.last().unwrap();
        assert_eq!((last.2, last.3), (finding, domain), "{what}: {told:?}");
        let placed = told.iter().rev().take_while(|t| (t.2, t.3) == (finding, domain)).last().unwrap();
        let took = placed.1.0 - opened[0].1.0;
        assert!(took <= 10_000, "{what}: placed {took} ms after it was declared");
        let taken: BTreeSet<Rung> = report.remedies.iter().map(|(_, r)| *r).collect();
        assert_eq!(taken, row.rungs.iter().copied().collect(), "{what}: {:?}", report.remedies);
        let notes: Vec<&str> = referee.keeper.notes().map(|(_, text)| text).collect();
        for shown in row.shown_by {
            assert!(notes.iter().any(|n| n.contains(shown)), "{what}: {shown} is not said: {notes:#?}");
        }
        assert_eq!(!report.callbacks.is_empty(), row.called, "{what}: {:?}", report.callbacks);
        assert!(report.callbacks.len() <= 1, "{what}");
    }
}

#[test]
fn dhcp_renewals_are_rate_limited() {
    // A dead lease, and a carrier that comes and goes.
    let mut world = World::quiet().with_trouble(MIN.times(5), Span::hours(5), Trouble::DhcpSilent);
    for i in 0..200 {
        world = world.with_trouble(MIN.times(6) + Span::seconds(i * 40), Span::seconds(9), Trouble::Carrier);
    }
    for i in 0..5 {
        let memory = [Memory::Restored, Memory::Lost][i % 2];
        world = world.with_trouble(MIN.times(30 + 40 * i as u64), Span::seconds(2), Trouble::Killed(memory));
    }
    let (_, referee) = refereed(&config(json!({})), &world, 7, Span::hours(6));
    let asked: Vec<u64> = referee
        .keeper
        .acted
        .iter()
        .filter(|(_, a)| matches!(a, Action::Check(o) if o.ask == Ask::Dhcp))
        .map(|(at, _)| at.world.0)
        .collect();
    assert!(asked.len() >= 8, "{}", asked.len());
    for &from in &asked {
        let within = asked.iter().filter(|at| (from..from + 3_600_000).contains(*at)).count();
        assert!(within <= ACCESS_PER_HOUR, "{within} within an hour of {from}");
    }
}

#[test]
fn outage_takes_over_a_dns_incident_and_dns_is_checked_again_after_it() {
    let mut world = World::quiet()
        .with_trouble(MIN.times(20), MIN.times(60), Trouble::NamesDead)
        .with_trouble(MIN.times(35), MIN.times(3), Trouble::Access);
    world.failover = true;
    let (report, referee) = refereed(&config(all_but_reboot()), &world, 7, Span::hours(2));
    let told = told(&referee);
    let kinds: Vec<_> = told
        .iter()
        .filter(|t| !matches!(t.0, EventName::RemedyBegun | EventName::RemedyEnded))
        .map(|t| (t.0, t.2))
        .collect();
    use EventName::{IncidentClosed, IncidentOpened, IncidentUpdated};
    let wanted = [
        (IncidentOpened, Finding::NoNames),
        (IncidentUpdated, Finding::Outage),
        (IncidentClosed, Finding::Outage),
        (IncidentOpened, Finding::NoNames),
        (IncidentClosed, Finding::NoNames),
    ];
    assert_eq!(kinds, wanted, "{told:#?}");
    assert_eq!(report.callbacks.len(), 2);
    assert!(report.callbacks.values().all(|s| *s == CallbackState::Withdrawn), "{:?}", report.callbacks);
}

// ---- learning ----

fn learns(learning: bool) -> Config {
    config(json!({ "remedies": {
        "ladder": ["renew", "restart-interface", "restart-network"], "learning": learning,
    } }))
}

/// Which rungs each incident took.
fn by_incident(report: &Report, every: Span, n: u64) -> Vec<Vec<Rung>> {
    let of = |i: u64| {
        let within = every.times(i).0..every.times(i + 1).0;
        report.remedies.iter().filter(|(at, _)| within.contains(&at.0)).map(|(_, r)| *r).collect()
    };
    (0..n).map(of).collect()
}

#[test]
fn remedy_that_helped_is_tried_first_next_time() {
    use Rung::{Renew, RestartInterface, RestartNetwork};
    let every = Span::hours(4);
    let world = (0..3).fold(World::quiet(), |world, i| {
        world.until_healed(every.times(i) + MIN.times(5), Trouble::Access, &[RestartNetwork])
    });
    let mut simulation = Simulation::new(&learns(true), &world, 3);
    simulation.run(every.times(3), &mut ());
    let order = by_incident(simulation.report(), every, 3);
    let wanted: [&[Rung]; 3] =
        [&[Renew, RestartInterface, RestartNetwork], &[RestartNetwork], &[RestartNetwork]];
    assert_eq!(order, wanted);
    let status = simulation.judge().unwrap().status(simulation.moment().agent);
    let network = status.rungs.iter().find(|r| r.rung == RestartNetwork).unwrap();
    assert_eq!((network.domain, network.tried, network.healed), (Domain::Gateway, 3, 3));
    assert!((10_000..30_000).contains(&network.heal_ms.unwrap()), "{network:?}");
    // And switched off.
    let (report, _) = refereed(&learns(false), &world, 3, every.times(3));
    assert!(by_incident(&report, every, 3).iter().all(|rungs| rungs[..] == *wanted[0]));
}

#[test]
fn futile_remedies_are_skipped_until_they_are_due_for_a_retry() {
    let every = Span::hours(9);
    let n = u64::from(FUTILE) + 12;
    let mut world = (0..n).fold(World::quiet(), |world, i| {
        world.with_trouble(every.times(i) + MIN.times(5), MIN.times(5), Trouble::Access)
    });
    world.failover = true;
    let (report, referee) = refereed(&learns(true), &world, 3, every.times(n));
    let order = by_incident(&report, every, n);
    let tried: Vec<bool> = order.iter().map(|rungs| !rungs.is_empty()).collect();
    let futile = FUTILE as usize;
    assert!(tried[..futile].iter().all(|t| *t), "{tried:?}");
    assert!(tried[futile..futile + 9].iter().all(|t| !*t), "{tried:?}");
    assert!(tried[futile + 9], "tried again once: {tried:?}");
    assert!(!tried[futile + 10], "{tried:?}");
    // Each was handed over, the last ones as soon as anybody may be called.
    assert_eq!(report.callbacks.len() as u64, n);
    let asked: Vec<Span> = callbacks(&referee)
        .into_iter()
        .filter(|(_, c)| c.state == CallbackState::Requested)
        .map(|(at, _)| at)
        .collect();
    let wait = asked[futile].0 - (every.times(FUTILE.into()) + MIN.times(5)).0;
    assert!((59_000..62_000).contains(&wait), "{wait} ms");
}

// ---- hands off ----

#[test]
fn ladder_pauses_while_an_administrator_is_logged_in() {
    let busy = Trouble::HandsOff("an administrator is logged in".into());
    let mut world = World::quiet().with_trouble(MIN.times(4), MIN.times(10), busy).until_healed(
        MIN.times(5),
        Trouble::Access,
        &[Rung::RestartInterface],
    );
    world.failover = true;
    let (report, _) = refereed(&config(json!({})), &world, 3, Span::hours(1));
    let rungs: Vec<Rung> = report.remedies.iter().map(|(_, r)| *r).collect();
    assert_eq!(rungs, [Rung::Renew, Rung::RestartInterface]);
    assert!(report.remedies[1].0 >= MIN.times(14), "{:?}", report.remedies);
    // A forgotten login does not keep the customer waiting.
    assert_eq!(report.callbacks.into_values().collect::<Vec<_>>(), [CallbackState::Withdrawn]);
}

// ---- area notices ----

/// 2026-11-20T00:00:00Z, the start of the quiet world.
const START: u64 = 1_795_132_800;

fn notice(area: &str, expires: u64) -> Trouble {
    Trouble::Notice(AreaNotice { area: area.into(), ..judge::notice(START, expires) })
}

/// A dead access from minute 5 to 60 under a notice from minute 4 to `until`.
fn noticed(trouble: Trouble, until: Span) -> World {
    let mut world = World::quiet()
        .with_trouble(MIN.times(4), Span(until.0 - MIN.times(4).0), trouble)
        .with_trouble(MIN.times(5), MIN.times(55), Trouble::Access);
    world.failover = true;
    world
}

#[test]
fn area_notice_suspends_remedies_and_covers_the_callback() {
    let ours = || notice("north-3", START + 86_400);
    let (report, referee) = refereed(&config(json!({})), &noticed(ours(), MIN.times(30)), 3, Span::hours(2));
    let first = report.remedies[0].0;
    assert!(first > MIN.times(30) && first <= MIN.times(30) + SPREAD + Span::seconds(1), "{first}");
    let calls = callbacks(&referee);
    let states: Vec<_> = calls.iter().map(|(_, c)| (c.state, c.covered_by.as_deref())).collect();
    use CallbackState::{Covered, Received, Requested, Withdrawn};
    let wanted = [(Covered, Some("N-17")), (Requested, None), (Received, None), (Withdrawn, None)];
    assert_eq!(states, wanted);
    assert!(calls.iter().all(|(_, c)| c.callback_id == calls[0].1.callback_id), "one callback");
    assert!((MIN.times(6)..MIN.times(6) + Span::seconds(5)).contains(&calls[0].0));
    assert!(calls[1].0 > first, "the ladder comes before the call");
    // The line is back while it holds.
    let (report, referee) = refereed(&config(json!({})), &noticed(ours(), MIN.times(90)), 3, Span::hours(2));
    assert_eq!(report.remedies, []);
    let states: Vec<_> = callbacks(&referee).into_iter().map(|(_, c)| c.state).collect();
    assert_eq!(states, [Covered, Withdrawn]);
    // It expires by itself.
    let short = notice("north-3/olt-7", START + 30 * 60);
    let (report, _) = refereed(&config(json!({})), &noticed(short, MIN.times(90)), 3, Span::hours(2));
    assert!(report.remedies[0].0 > MIN.times(30) && report.remedies[0].0 < MIN.times(36));
}

#[test]
fn foreign_or_undated_area_notice_is_ignored() {
    let at_once = |world: &World| {
        let (report, _) = refereed(&config(json!({})), world, 3, Span::hours(1));
        let first = report.remedies[0].0;
        assert!(first < MIN.times(6), "{first}");
        assert_eq!(report.callbacks.len(), 1);
    };
    for area in ["north-30", "north-3/olt-70", "south", ""] {
        at_once(&noticed(notice(area, START + 86_400), MIN.times(50)));
    }
    at_once(&noticed(notice("north-3", START - 60), MIN.times(50)));
    let mut undated = noticed(notice("north-3", START + 86_400), MIN.times(50));
    undated.clock = None;
    at_once(&undated);
    // One of last year that expires in the next: forgotten by its operator.
    let old = Trouble::Notice(judge::notice(START - 86_400 * 300, START + 86_400 * 300));
    at_once(&noticed(old, MIN.times(50)));
}

#[test]
fn gateways_of_an_area_resume_at_spread_times() {
    let mut waits: Vec<u64> = (0..24)
        .map(|i| {
            let config = config(json!({ "device": { "id": format!("gw-{i:04}") } }));
            let world = noticed(notice("north-3", START + 86_400), MIN.times(10));
            let (report, _) = refereed(&config, &world, 3, MIN.times(20));
            report.remedies[0].0.0 - MIN.times(10).0
        })
        .collect();
    waits.sort_unstable();
    assert!(
        waits[23] <= SPREAD.0 + 1_000 && waits[0] < SPREAD.0 / 3 && waits[23] > SPREAD.0 / 2,
        "{waits:?}"
    );
    let seconds: BTreeSet<u64> = waits.iter().map(|w| w / 1_000).collect();
    assert!(seconds.len() >= 18, "{waits:?}");
}

// ---- limits on remedies ----

/// A judge fed directly, without the simulator: faster, and with stranger input.
struct Desk {
    config: Config,
    judge: Judge,
    now: Mono,
    random: Random,
    saved: Option<Value>,
    /// How often each rung was taken, as it stands beside the snapshot; and whether that is lost too.
    taken: Option<Vec<(Rung, u32)>>,
    forgets_all: bool,
    watermark: u64,
    boot: u32,
    /// Who answers: far targets, gateway.
    answers: (bool, bool),
    hands_off: bool,
    covered: bool,
    uses: BTreeSet<(Domain, Rung)>,
    remedies: u64,
}

impl Desk {
    fn new(config: &Config, seed: u64) -> Desk {
        Desk {
            config: config.clone(),
            judge: Judge::new(config.clone()),
            now: Mono(3_600_000),
            random: Random::new(seed),
            saved: None,
            taken: None,
            forgets_all: true,
            watermark: 0,
            boot: 1,
            answers: (true, true),
            hands_off: false,
            covered: false,
            uses: BTreeSet::new(),
            remedies: 0,
        }
    }

    fn link(&mut self, whole: bool) -> Observation {
        let gone = if whole { 9 } else { self.random.below(5) };
        Observation::LinkSeen(Link {
            present: gone != 0,
            admin_up: gone > 1,
            carrier: gone > 2,
            addresses: if gone > 3 { vec!["198.51.100.7".parse().unwrap()] } else { Vec::new() },
            gateway: (gone > 4).then(|| "198.51.100.1".parse().unwrap()),
            default_route: gone > 4,
            speed: None,
            half_duplex: false,
        })
    }

    fn start(&mut self, memory: Memory) {
        let restored = match memory {
            Memory::Restored => self.saved.as_ref().and_then(|s| Judge::restore(self.config.clone(), s).ok()),
            Memory::None | Memory::Lost => None,
        };
        let memory = if restored.is_none() && memory == Memory::Restored { Memory::None } else { memory };
        self.judge = restored.unwrap_or_else(|| Judge::new(self.config.clone()));
        self.hands_off = false;
        if memory == Memory::None || memory == Memory::Lost && self.forgets_all {
            self.taken = None;
        }
        let taken = self.taken.clone();
        let started = Started {
            boot_id: format!("boot-{}", self.boot),
            uptime: Span::hours(1),
            memory,
            watermark: self.watermark,
            beat: None,
            taken,
        };
        self.tell(Observation::Started(started));
        let link = self.link(true);
        self.tell(link);
        // 2026-11-20T00:00:00Z
        let wall = Wall(START as i64 * 1_000 + self.now.0 as i64);
        self.tell(Observation::ClockSet { wall, synced: true });
    }

    /// Passes an observation, and answers at once what the judge asks for.
    fn tell(&mut self, saw: Observation) {
        let mut told = vec![saw];
        while let Some(saw) = told.pop() {
            for action in self.judge.step(self.now, &saw) {
                match action {
                    Action::Probe { probe, target } => {
                        let (far, near) = self.answers;
                        let answers = if target == TargetId::GATEWAY { near } else { far };
                        told.push(match answers {
                            true => Observation::EchoAnswered { probe, target, rtt_us: 9_000 },
                            false if self.random.chance(100) => {
                                Observation::EchoNotSent { probe, target, obstacle: Obstacle::NoWay }
                            }
                            false => Observation::EchoLost { probe, target },
                        });
                    }
                    Action::Check(order) => {
                        let said =
                            [Said::Answered, Said::Refused, Said::Forged, Said::Silent, Said::NotChecked]
                                [self.random.below(5) as usize];
                        if self.random.chance(800) {
                            let reply = |independent, said| Reply {
                                whom: "192.0.2.53".into(),
                                said,
                                took_us: None,
                                independent,
                                detail: String::new(),
                            };
                            let replies = vec![reply(false, said), reply(true, Said::Answered)];
                            let ask = order.ask;
                            let replies = if ask == Ask::Name { replies } else { replies[..1].to_vec() };
                            told.push(Observation::Checked(Checked { check: order.check, ask, replies }));
                        }
                    }
                    Action::Repair(repair) => {
                        let Some(incident) = repair.incident.as_ref() else {
                            panic!("nobody orders anything here")
                        };
                        let (domain, rung) = (incident.fault_domain, repair.rung);
                        assert!(makes_sense(domain, rung), "{rung:?} in {domain:?}");
                        assert!(fits(self.config.line.protocol, rung), "{rung:?}");
                        assert!(self.config.remedies.ladder.contains(&rung), "{rung:?}");
                        assert!(!(self.hands_off && rung.disturbs()), "{rung:?} while somebody works");
                        assert!(!self.covered, "{rung:?} under a notice");
                        self.uses.insert((domain, rung));
                        self.remedies += 1;
                        if rung != Rung::Reboot {
                            let result = [RemedyResult::Done, RemedyResult::Failed, RemedyResult::Overran]
                                [self.random.below(3) as usize];
                            let remedy = repair.remedy;
                            told.insert(
                                0,
                                Observation::RemedyEnded { remedy, result, detail: String::new() },
                            );
                        }
                    }
                    Action::Publish(message) => self.watermark = self.watermark.max(message.number),
                    Action::Save => {
                        self.saved = self.judge.snapshot().ok();
                        self.taken = self.judge.rungs_taken(self.now);
                    }
                    Action::MakeSafe { .. }
                    | Action::Report(_)
                    | Action::MeasureSpeed(_)
                    | Action::AbortSpeed { .. }
                    | Action::Note { .. } => {}
                }
            }
        }
    }

    fn pass(&mut self, most: u64) {
        let until = self.now + Span(most);
        while self.now < until {
            self.now = self.judge.next_deadline().max(self.now + Span(1)).min(until);
            self.tell(Observation::Ticked);
        }
    }

    /// Applies a random event.
    fn apply_random_event(&mut self) {
        match self.random.below(16) {
            0..4 => self.answers = (true, true),
            4 | 5 => self.answers = (false, true),
            6..9 => self.answers = (false, false),
            9 => {
                let whole = self.random.chance(500);
                let link = self.link(whole);
                self.tell(link);
            }
            10 => {
                let link = self.link(true);
                self.tell(link);
            }
            11 => {
                self.hands_off = self.random.chance(500);
                let why = self.hands_off.then(|| "sysupgrade".to_string());
                self.tell(Observation::HandsOffSeen { why });
            }
            12 => {
                self.covered = self.random.chance(300);
                let now = START + self.now.0 / 1_000;
                let notice = self.covered.then(|| judge::notice(now, now + 100_000));
                self.tell(Observation::AreaNoticed { notice });
            }
            13 => {
                self.boot += self.random.below(2);
                let memory = [Memory::Restored, Memory::Restored, Memory::Lost, Memory::None]
                    [self.random.below(4) as usize];
                if memory != Memory::Restored {
                    self.covered = false;
                }
                self.forgets_all = self.random.chance(500);
                self.start(memory);
            }
            14 => self.pass(600_000 / 64),
            _ => self.pass(20_000),
        }
    }
}

/// Two far targets, one echo a second and a short patience: a sequence is some hundred steps.
fn desk_config(protocol: &str, ladder: &[&str]) -> Config {
    let mut tree = tree(json!({
        "line": { "protocol": protocol },
        "probe": { "targets": [{ "host": "198.51.100.10", "role": "anchor" }], "interval": "4 s", "grace": "0 s" },
        "outage": { "patience": "500 ms", "hold_down": "10 s" },
        "remedies": { "ladder": ladder },
    }));
    tree["probe"]["timeout"] = json!("200 ms");
    linekeeper_judge::config::read(&tree, &linekeeper_judge::config::Places::default()).unwrap()
}

/// Sequences of each half.
fn half() -> u64 {
    proof(4_000, 50_000)
}

fn sequences(seeds: std::ops::Range<u64>) {
    let configs = [
        desk_config("dhcp", &RUNGS),
        desk_config("pppoe", &["reboot", "power-modem", "restart-network", "restart-interface", "renew"]),
        desk_config("static", &RUNGS),
        desk_config("dhcp", &["other-resolver", "restart-network", "renew"]),
    ];
    let mut uses = BTreeSet::new();
    let mut remedies = 0;
    for seed in seeds.clone() {
        let mut desk = Desk::new(&configs[(seed % 4) as usize], seed);
        desk.start(Memory::None);
        desk.pass(3_000);
        for _ in 0..5 {
            desk.apply_random_event();
            desk.pass(2_500);
        }
        uses.extend(desk.uses.iter().copied());
        remedies += desk.remedies;
    }
    let enough = (seeds.end - seeds.start) / 5;
    assert!(remedies > enough, "{remedies} remedies");
    for rung in Rung::ALL {
        assert!(uses.iter().any(|(_, r)| *r == rung), "{rung:?} was never taken");
    }
    for domain in
        [Domain::Device, Domain::Link, Domain::Access, Domain::Gateway, Domain::Unknown, Domain::Name]
    {
        assert!(uses.iter().any(|(d, _)| *d == domain), "nothing was done about {domain:?}");
    }
}

#[test]
fn remedies_stay_within_their_domains_list_in_50_000_sequences() {
    sequences(0..half());
}

#[test]
fn remedies_stay_within_their_domains_list_in_50_000_more() {
    sequences(half()..2 * half());
}

#[test]
fn stale_or_lost_snapshot_counts_the_budgets_as_spent() {
    let config = desk_config("dhcp", &RUNGS);
    for how in 0..4 {
        let mut desk = Desk::new(&config, 1);
        desk.start(Memory::None);
        desk.pass(5_000);
        let old = desk.saved.clone();
        desk.answers = (false, false);
        desk.pass(60_000);
        let before = desk.remedies;
        assert!(before > 0);
        match how {
            0 => desk.start(Memory::Restored),
            1 => {
                (desk.saved, desk.taken) = (old, None);
                desk.start(Memory::Restored);
            }
            2 => desk.start(Memory::Lost),
            _ => desk.start(Memory::None),
        }
        desk.answers = (true, true);
        desk.pass(60_000);
        desk.answers = (false, false);
        desk.pass(60_000);
        let more = desk.remedies - before;
        assert_eq!(more > 0, how == 0, "how {how}: {more} more");
        // A day later it is forgiven.
        desk.answers = (true, true);
        desk.pass(1_000);
        desk.now = desk.now + Span::days(1);
        desk.pass(5_000);
        desk.answers = (false, false);
        desk.pass(60_000);
        assert!(desk.remedies > before + more, "how {how}");
    }
}

/// A gateway that lost its snapshot still helps its customer: within what is left of the day's budgets, and without a reboot.
#[test]
fn lost_snapshot_keeps_the_budget_that_the_reboot_record_proves() {
    let limit = 3;
    let mut config = desk_config("dhcp", &RUNGS);
    config.remedies.again = Span::minutes(1);
    config.remedies.limits.iter_mut().for_each(|l| (l.per_day, l.per_incident) = (limit, limit));
    let mut desk = Desk::new(&config, 1);
    desk.forgets_all = false;
    desk.start(Memory::None);
    desk.pass(5_000);
    let (mut taken, mut reboots) = (vec![0; Rung::ALL.len()], 0);
    for life in 0..6 {
        desk.answers = (false, false);
        desk.pass(20_000);
        for (rung, times) in desk.judge.rungs_taken(desk.now).unwrap() {
            assert!(times <= limit, "life {life}: {rung:?} {times} times");
            assert!(times >= taken[rung as usize], "life {life}: {rung:?} is forgotten");
            taken[rung as usize] = times;
        }
        if life == 0 {
            reboots = taken[Rung::Reboot as usize];
        }
        assert_eq!(taken[Rung::Reboot as usize], reboots, "life {life}: a reboot after a loss");
        let (before, sum) = (desk.remedies, taken.iter().sum::<u32>());
        assert_eq!(before, u64::from(sum), "life {life}: what was taken is what is known to be");
        if life == 0 {
            assert!(sum > 0);
        }
        desk.boot += 1;
        desk.start(Memory::Lost);
        desk.answers = (true, true);
        desk.pass(5_000);
    }
    let sum: u32 = taken.iter().sum();
    assert!(
        taken[Rung::Renew as usize] == limit && sum > limit,
        "after the losses nothing was done: {taken:?}"
    );
}

#[test]
fn remedies_never_exceed_their_budgets_under_random_faults() {
    let config = config(json!({
        "remedies": { "ladder": RUNGS, "again": "1 min", "learning": false,
            "per_incident": { "renew": 100, "restart-interface": 100, "restart-network": 100, "power-modem": 100 } },
        "outage": { "hold_down": "30 s" },
    }));
    let (mut taken, mut boots, mut lives) = (0, 0, 0);
    let seeds: u64 = proof(6, 24);
    for seed in 0..seeds {
        let mut random = Random::new(seed);
        let mut world = World::quiet();
        let mut at = 60_000;
        while at < 3 * 86_400_000 {
            let minutes = |n: u32| u64::from(n) * 60_000;
            let length = 20_000 + minutes(random.below(40));
            let trouble = match random.below(9) {
                0 | 1 => Trouble::Access,
                2 => Trouble::Address,
                3 => Trouble::Carrier,
                4 => Trouble::DhcpSilent,
                5 => Trouble::NamesDead,
                6 => Trouble::Route,
                7 => Trouble::ClockSet {
                    to: Wall(i64::from(random.below(2_000_000)) * 1_000_000),
                    synced: true,
                },
                _ => Trouble::PowerCut,
            };
            let healed_by =
                if random.chance(400) { vec![Rung::ALL[random.below(6) as usize]] } else { Vec::new() };
            world = world.with_fault(Fault { at: Span(at), lasts: Some(Span(length)), healed_by, trouble });
            if random.chance(500) {
                let memory = [Memory::Restored, Memory::Lost, Memory::None][random.below(3) as usize];
                let killed = Span(at + u64::from(random.below(120_000)));
                world = world.with_trouble(killed, Span::seconds(3), Trouble::Killed(memory));
            }
            at += length / 2 + minutes(random.below(60));
        }
        // The referee counts each rung in every 24 hours of the world's time, over all lives.
        let mut referee = Referee::new(&config);
        let mut simulation = Simulation::new(&config, &world, seed);
        simulation.run(Span::days(3), &mut referee);
        let report = simulation.into_report();
        taken += report.remedies.len();
        boots += report.boots;
        lives += report.lives;
    }
    // The seeds' results less a fifth: fewer would mean that nothing was tried.
    let least = proof((40, 60, 290), (300, 48, 500));
    assert!(
        taken > least.0 && boots > least.1 && lives > least.2,
        "{taken} remedies, {boots} boots, {lives} lives"
    );
}

#[test]
fn week_long_outage_stays_within_budget_and_never_reboots() {
    let limit = 4;
    let config = config(json!({ "remedies": { "per_incident": { "restart-interface": limit } } }));
    let world = World::quiet().with_trouble(MIN.times(5), Span::days(7), Trouble::Access);
    let (report, _) = refereed(&config, &world, 5, Span::days(8));
    let taken = |rung| report.remedies.iter().filter(|(_, r)| *r == rung).count();
    assert_eq!(taken(Rung::RestartInterface), limit);
    assert_eq!((taken(Rung::Reboot), report.boots), (0, 1));
    assert_eq!(report.outcomes.get(&(Rung::RestartInterface, Outcome::NoEffect)), Some(&(limit as u32)));
}

#[test]
fn snapshot_of_an_older_version_is_read() {
    let config = desk_config("dhcp", &RUNGS);
    let mut desk = Desk::new(&config, 1);
    desk.start(Memory::None);
    desk.pass(5_000);
    let mut old = desk.judge.snapshot().unwrap();
    let state = old["state"].as_object_mut().unwrap();
    for new in ["checks", "area", "hands_off"] {
        assert!(state.remove(new).is_some(), "{new}");
    }
    let ladder = state["ladder"].as_object_mut().unwrap();
    for new in ["of_incident", "missed", "skipped", "spent", "reboot_barred", "records"] {
        assert!(ladder.remove(new).is_some(), "{new}");
    }
    Judge::restore(config, &old).unwrap();
}
