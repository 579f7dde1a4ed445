//! Described worlds: a seed turns them into faults as described, and skipping quiet time changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use crate::common::judge::seeds;
use crate::common::proof;
use crate::common::trial::{Test, here};
use linekeeper_contract::message::{EventName, Message};
use linekeeper_contract::units::Span;
use linekeeper_contract::vocabulary::Rung;
use linekeeper_judge::action::Action;
use linekeeper_judge::config::Places;
use linekeeper_judge::observation::Observation;
use linekeeper_proving::simulate::plan::{Plan, YEAR};
use linekeeper_proving::simulate::{Moment, Report, Simulation, Spectator};
use serde_json::{Value, json};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    here![
        skipping_quiet_time_changes_nothing,
        every_shipped_world_is_valid,
        faults_occur_as_often_as_described,
        invalid_world_is_refused_with_every_error,
        memory_stays_small_after_a_bad_year,
        no_false_callback_and_no_missed_long_outage
    ]
}

fn plan(tree: &Value) -> Plan {
    Plan::read(tree, &Places::none()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// All kinds of faults whose outcome does not depend on a single echo.
fn eventful() -> Plan {
    plan(&json!({
        "world": { "about": "a line with many faults" },
        "line": { "download": "102 Mbit/s", "upload": "21 Mbit/s", "port": "1 Gbit/s", "backup": true },
        "platform": { "calls": "20 min" },
        "agent": {
            "promise": {
                "download": { "normal": "90 Mbit/s", "maximum": "100 Mbit/s" },
                "upload": { "normal": "18 Mbit/s" },
            },
            "speed": { "servers": ["http://a.example/", "http://b.example/"] },
            "remedies": {
                "driver": "script", "program": "/x", "ladder": ["renew", "restart-interface", "power-modem", "reboot"]
            },
        },
        "fault": [
            { "what": "upstream", "per_year": 300, "lasts": ["4 s", "30 min"] },
            { "what": "access", "per_year": 60, "healed_by": ["power-modem"] },
            { "what": "access", "per_year": 30, "healed_by": ["reboot"], "lasts": "1 h" },
            { "what": "address", "per_year": 60, "healed_by": ["restart-interface"] },
            { "what": "carrier", "per_year": 200, "lasts": ["4 s", "2 min"] },
            { "what": "breaks", "length": "6 s", "apart": "50 s", "per_year": 20, "lasts": "10 min" },
            { "what": "slow", "share": "50 %", "per_year": 15, "lasts": ["6 h", "2 d"] },
            { "what": "port", "rate": "10 Mbit/s", "per_year": 15, "lasts": ["10 min", "1 d"] },
            { "what": "uses", "rate": "25 Mbit/s", "per_year": 1500, "hours": [8, 22], "lasts": ["1 min", "1 h"] },
            { "what": "dead-target", "target": 1, "per_year": 20, "lasts": ["1 h", "2 d"] },
            { "what": "power-cut", "per_year": 30, "lasts": ["10 s", "2 h"] },
            { "what": "killed", "per_year": 30, "lasts": "2 s" },
            { "what": "frozen", "per_year": 30, "lasts": ["20 s", "20 min"] },
            { "what": "broker-away", "per_year": 30, "lasts": ["1 min", "2 h"] },
            { "what": "receipts-lost", "per_year": 10, "lasts": ["1 h", "6 h"] },
            { "what": "asks", "per_year": 20 },
        ],
    }))
}

/// Records when speed tests ran.
#[derive(Default)]
struct Tests {
    begun: Option<u64>,
    ran: Vec<(u64, u64)>,
}

impl Spectator for Tests {
    fn on_observation(&mut self, at: Moment, saw: &Observation) {
        if let Observation::SpeedEnded(_) = saw {
            self.ran.extend(self.begun.take().map(|from| (from, at.world.0)));
        }
    }
    fn on_action(&mut self, at: Moment, action: &Action) {
        if let Action::MeasureSpeed(_) = action {
            self.begun.get_or_insert(at.world.0);
        }
    }
}

impl Tests {
    /// Whether a speed test ran when the line broke that was declared down at this moment, with a margin for its phase.
    fn ran_at(&self, at: u64) -> bool {
        let phase = 1_500;
        self.ran.iter().any(|(from, to)| from.saturating_sub(phase) <= at && at <= to + 5_000 + phase)
    }
}

/// The messages to the platform, without details that depend on milliseconds.
fn summarize(report: &Report) -> Vec<(u64, String)> {
    let word = |m: &Message| match m {
        Message::Event(e) => match (&e.event, &e.remedy) {
            (EventName::RemedyBegun | EventName::RemedyEnded, Some(r)) => {
                format!("{} {:?} {} {:?}", e.incident.id, e.event, r.name.as_str(), r.outcome)
            }
            (name, _) => {
                format!("{} {name:?} {:?} {:?}", e.incident.id, e.incident.finding, e.incident.fault_domain)
            }
        },
        Message::CommandResult(r) => format!("{} {:?}", r.command_id, r.state),
        Message::Callback(c) => {
            format!("{} {:?} {:?}", c.callback_id, c.state, c.issues.last().map(|i| &i.code))
        }
    };
    let new = report.delivered.iter().filter(|d| !d.repeated);
    new.map(|d| (d.published.0, word(&d.message.message))).collect()
}

fn skipping_quiet_time_changes_nothing() {
    let plan = eventful();
    let lasts = Span::days(30);
    let (mut messages, seeds) = (0, seeds(1..=proof(1, 3)));
    let enough = 100 * seeds.clone().count();
    'seeds: for seed in seeds {
        let world = plan.world(seed, lasts);
        let run = |rests: bool| {
            let simulation = Simulation::new(&plan.config, &world, seed);
            let mut simulation = if rests { simulation.skipping_quiet_time() } else { simulation };
            let mut tests = Tests::default();
            simulation.run(lasts, &mut tests);
            (simulation.into_report(), tests)
        };
        let ((full, tests_full), (quick, tests_quick)) = (run(false), run(true));
        assert!(quick.skipped.0 * 10 > lasts.0 * 8, "seed {seed}: only {} were skipped", quick.skipped);
        assert_eq!(full.skipped, Span::ZERO);
        let (told_full, told_quick) = (summarize(&full), summarize(&quick));
        for (at, (one, other)) in told_full.iter().zip(&told_quick).enumerate() {
            // If the line breaks while a speed test starts or ends, the phase of the test decides whether the gateway's echoes
            // are delayed in its queue. They locate the fault, so everything after that may differ.
            if one.1 != other.1 && (tests_full.ran_at(one.0) || tests_quick.ran_at(other.0)) {
                println!(
                    "seed {seed} cannot be compared after message {at}: {one:?} {other:?}, during a test"
                );
                continue 'seeds;
            }
            assert_eq!(one.1, other.1, "seed {seed}, message {at}: full at {one:?}, quick at {other:?}");
            // A second and a half: the phase of the echoes and of the counters.
            assert!(
                one.0.abs_diff(other.0) < 1_500,
                "seed {seed}, message {at}: full {one:?}, quick {other:?}"
            );
        }
        assert_eq!(told_full.len(), told_quick.len(), "seed {seed}");
        messages += told_full.len();
        assert_eq!(full.outcomes, quick.outcomes, "seed {seed}: remedies");
        let rungs = |r: &Report| r.remedies.iter().map(|(_, rung)| *rung).collect::<Vec<Rung>>();
        assert_eq!(rungs(&full), rungs(&quick), "seed {seed}: remedies");
        assert_eq!(full.callbacks, quick.callbacks, "seed {seed}: callbacks");
        assert_eq!(full.tests.0, quick.tests.0, "seed {seed}: speed tests");
        // The last of them may be due on either side of the end.
        assert!(
            full.saves.abs_diff(quick.saves) <= 1,
            "seed {seed}: {} {} snapshots",
            full.saves,
            quick.saves
        );
        // Hourly messages cover the whole hour.
        assert!(full.summaries.abs_diff(quick.summaries) <= 1, "{} {}", full.summaries, quick.summaries);
        assert!(
            full.summed.abs_diff(quick.summed) * 200 < full.summed,
            "seed {seed}: {} {} replies reported",
            full.summed,
            quick.summed
        );
        let found = |r: &Report| r.breaks.iter().map(|b| (b.own, b.declared.is_some())).collect::<Vec<_>>();
        assert_eq!(found(&full), found(&quick), "seed {seed}: outages");
        // What was not sent is counted all the same: as many, to one in five hundred.
        assert!(full.probes.abs_diff(quick.probes) * 500 < full.probes, "{} {}", full.probes, quick.probes);
    }
    assert!(messages > enough, "{messages} messages are no test");
}

/// Every shipped world is read, differs from seed to seed, and equal seeds give equal worlds.
fn every_shipped_world_is_valid() {
    use linekeeper_proving::simulate::runs::SHIPPED;
    let folder = crate::common::repository_path("config/worlds");
    let files = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(files, SHIPPED.len(), "each file in config/worlds is a shipped world");
    for (name, text) in SHIPPED {
        let (tree, places) =
            linekeeper::config_text::toml::parse(text).unwrap_or_else(|f| panic!("{name}: {f}"));
        let plan = Plan::read(&tree, &places).unwrap_or_else(|f| panic!("{name}: {f}"));
        assert!(text.starts_with("# "), "{name} says what it is about");
        assert_eq!(plan.world(1, YEAR), plan.world(1, YEAR), "{name}");
        assert_ne!(plan.world(1, YEAR), plan.world(2, YEAR), "{name}");
    }
}

/// As often as they were asked for, whatever the hours and the growth.
fn faults_occur_as_often_as_described() {
    for over in [json!({}), json!({ "hours": [18, 23] }), json!({ "grows": 20 }), json!({ "hours": [22, 4] })]
    {
        let mut fault = json!({ "what": "upstream", "per_year": 200, "lasts": ["5 s", "1 h"] });
        fault.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
        let plan = plan(&json!({ "fault": [fault] }));
        let (years, year) = (20, Span::days(365));
        let worlds: Vec<_> = (1..=years).map(|seed| plan.world(seed, year)).collect();
        let faults = || worlds.iter().flat_map(|w| &w.faults);
        let n = faults().count() as u64;
        assert!((190 * years..210 * years).contains(&n), "{over}: {} a year", n / years);
        let long = faults().filter(|f| f.lasts.unwrap() > Span::minutes(4)).count() as u64;
        assert!((n * 3 / 10..n * 5 / 10).contains(&long), "{over}: {long} of {n} are long");
        assert!(faults().all(|f| (5_000..=3_600_000).contains(&f.lasts.unwrap().0)), "{over}");
        if let Some(hours) = over.get("hours") {
            let (from, to) = (hours[0].as_u64().unwrap(), hours[1].as_u64().unwrap());
            let inside = |f: &linekeeper_proving::simulate::Fault| {
                (f.at.0 / 3_600_000 + 24 - from) % 24 < (to + 24 - from) % 24
            };
            assert!(faults().all(inside), "{over}");
        }
        if over.get("grows").is_some() {
            let early = faults().filter(|f| f.at.0 < year.0 / 4).count() as u64;
            assert!(early * 7 < n, "{over}: {early} of {n} in the first quarter");
        }
    }
}

/// All errors of a description are reported together, with their keys.
fn invalid_world_is_refused_with_every_error() {
    let tree = json!({
        "world": { "about": "" },
        "line": { "downlod": "5 Mbit/s", "round_trip": "9 s" },
        "agent": {},
        "fault": [
            { "what": "upstraem", "per_year": 2 },
            { "what": "loss", "per_year": 0, "lasts": ["2 h", "1 h"] },
            { "what": "upstream", "per_year": 2, "every": "1 h", "healed_by": ["pray"] },
            { "what": "power-cut", "per_year": 1 },
            7,
        ],
    });
    let errors = Plan::read(&tree, &Places::none()).unwrap_err().to_string();
    for words in [
        "world.about must be a sentence",
        "line.downlod is not a key here; did you mean line.download?",
        "line.round_trip must be 1 ms to 5 s, is \"9 s\"",
        "fault[0].what must be upstream, access",
        "fault[1].share is missing",
        "fault[1].per_year must be a whole number of 1 to 105120",
        "fault[1].lasts must have the shorter length first",
        "fault[2].per_year or every is required, not both",
        "fault[2].healed_by[0] must be renew",
        "fault[3].lasts is required",
        "fault[4] must be a table, written [[fault]], is 7",
    ] {
        assert!(errors.contains(words), "{words:?} is not in:\n{errors}");
    }
    let agent = json!({ "agent": { "outage": { "patience": "1 ms" } } });
    let errors = Plan::read(&agent, &Places::none()).unwrap_err().to_string();
    assert!(errors.contains("agent.outage.patience must be 500 ms"), "{errors}");
}

/// The judge's memory stays small in a year with all kinds of faults. (`judge_scenarios` tests that the process may be
/// killed at any time.)
fn memory_stays_small_after_a_bad_year() {
    let plan = eventful();
    let world = plan.world(6, YEAR);
    let mut simulation = Simulation::new(&plan.config, &world, 6).without_deliveries().skipping_quiet_time();
    let mut sizes = Vec::new();
    for day in (5..=proof(120, 365)).step_by(5) {
        simulation.run(Span::days(day), &mut ());
        let snapshot = simulation.judge().map(|judge| judge.snapshot().unwrap().to_string().len());
        sizes.extend(snapshot);
    }
    // Eight callbacks and eight incidents with their evidence, the statistics of latency and loss, a day's usage.
    let most = sizes.iter().copied().max().unwrap();
    assert!(most <= 98_304, "{most} bytes");
    // Months with a full set of callbacks need more; that memory is freed again.
    let last = sizes.iter().rev().take(4).copied().max().unwrap();
    assert!(last <= 65_536, "{last} bytes at the end: {sizes:?}");
    assert_eq!(simulation.report().stalls, 0);
}

/// Checks the published figures of the shipped worlds on a part of each: no false callback, no missed long outage, and a
/// healthy or merely lossy line is never declared down.
fn no_false_callback_and_no_missed_long_outage() {
    use linekeeper_proving::simulate::runs::{SHIPPED, run_seed};
    for (name, text) in SHIPPED {
        let (tree, places) = linekeeper::config_text::toml::parse(text).unwrap();
        let plan = Plan::read(&tree, &places).unwrap();
        let tally = run_seed(&plan, 3, Span::days(proof(15, 60)), false);
        assert_eq!(tally.calls.wrong, 0, "{name}: callbacks that were not so");
        assert_eq!(tally.false_outages, 0, "{name}: declared down while whole");
        assert_eq!(tally.long.0, tally.long.1, "{name}: outages longer than 10 s, and found");
        assert_eq!(tally.stalls, 0, "{name}");
    }
}
