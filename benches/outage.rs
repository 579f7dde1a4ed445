//! How soon a dead line is seen, declared back, and mended: real packets in namespaces, the real agent, default probing.
//!
//! `benches/figures outage` (about four minutes). Each figure runs from the moment the fault is made
//! to the moment the platform's stand-in, a subscriber of its own behind a broker, has the event: what a platform
//! would measure. `outage.false` counts incidents, remedies and callbacks over a minute of 20 % random loss and twelve
//! breaks of just under 2 s; it needs nft and is left out, with a word, where there is none.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark ends where it cannot measure"
)]

use linekeeper_contract::message::{EventName, Message};
use linekeeper_lab::agent::{self, Agent};
use linekeeper_lab::broker::Broker;
use linekeeper_lab::clock;
use linekeeper_lab::enclosure::measured_elsewhere;
use linekeeper_lab::platform::{Platform, Receipts, Received};
use linekeeper_lab::world::{Host, World};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Runs of each kind. Twelve show the phase of the probes evenly.
const RUNS: u32 = 12;
/// Nothing that is measured takes so long; what does is reported as this.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if let Some(code) = measured_elsewhere() {
        return code;
    }
    let bench = Bench::new();
    let (declared, restored) =
        bench.faults("silence beyond the gateway", World::silence_upstream, World::restore_upstream);
    let (carrier, _) = bench.faults("cable out", World::cut_carrier, World::restore_carrier);
    let wedge = bench.wedges();
    let false_alarms = bench.false_alarms();
    let delays = bench.delays();
    print("outage.declared_s", &declared);
    print("outage.restored_s", &restored);
    print("outage.carrier_s", &carrier);
    print("remedy.wedge_s", &wedge);
    println!("figure delivery.p99_ms {} ms", delays[delays.len() * 99 / 100].as_millis());
    match false_alarms {
        Ok(n) => println!("figure outage.false {n} count"),
        Err(why) => println!("outage.false was not measured: {why}"),
    }
    ExitCode::SUCCESS
}

/// Median and worst.
fn print(name: &str, times: &[Duration]) {
    let mut times = times.to_vec();
    times.sort();
    let median = times[times.len() / 2];
    let worst = times[times.len() - 1];
    println!("figure {name} {:.3} s", median.as_secs_f64());
    println!("figure {name}.worst {:.3} s", worst.as_secs_f64());
}

/// The lab's, which probes as by default, without what would end the measurement: the budgets of a day, and the
/// number of breaks that makes a line flapping.
fn configuration(world: &World) -> String {
    let mut text = agent::configuration(world);
    for (from, to) in [
        ("flapping = 20\n", "flapping = 100\n"),
        ("limit = {", "per_day = { renew = 100, restart-interface = 100 }\nlimit = {"),
    ] {
        assert!(text.contains(from), "the lab's configuration has no {from:?}");
        text = text.replace(from, to);
    }
    text
}

struct Bench {
    platform: Platform,
    _agent: Agent,
    _broker: Broker,
    world: World,
}

impl Bench {
    fn new() -> Bench {
        let program = Path::new(env!("CARGO_BIN_EXE_linekeeper-agent"));
        let world = World::build(program).expect("the world");
        let broker = Broker::start(&world).expect("the broker");
        let platform = Platform::start(Some(Host::Platform), Broker::address(), Receipts::Received)
            .expect("the platform");
        let agent = Agent::start(&world, program, &configuration(&world)).expect("the agent");
        platform.wait_for(0, PATIENCE, is_up).expect("the line is seen up");
        Bench { platform, _agent: agent, _broker: broker, world }
    }

    /// Waits until the line has been up for long enough that the next fault meets quiet probing, at another phase each
    /// time.
    fn settle(&self, run: u32) {
        std::thread::sleep(Duration::from_millis(1_500 + u64::from(run) * 137));
    }

    fn event(&self, place: usize, wanted: &[EventName]) -> Option<Duration> {
        let found = self.platform.wait_for(place, PATIENCE, |r| match r.message() {
            Some(Message::Event(e)) => wanted.contains(&e.event) && !r.repeated,
            _ => false,
        });
        found.map(|r| r.at)
    }

    fn faults(
        &self,
        name: &str,
        make: impl Fn(&World) -> Result<(), linekeeper_lab::Error>,
        mend: impl Fn(&World) -> Result<(), linekeeper_lab::Error>,
    ) -> (Vec<Duration>, Vec<Duration>) {
        let (mut declared, mut restored) = (Vec::new(), Vec::new());
        for run in 0..RUNS {
            self.settle(run);
            let place = self.platform.place();
            let at = clock::uptime();
            make(&self.world).expect("the fault");
            // The first break opens an incident, those within the hold-down open it again.
            let seen = self.event(place, &[EventName::IncidentOpened, EventName::IncidentUpdated]);
            declared.push(seen.map_or(PATIENCE, |s| s.saturating_sub(at)));
            let place = self.platform.place();
            let at = clock::uptime();
            mend(&self.world).expect("the fault's end");
            let seen = self.event(place, &[EventName::IncidentClosed]);
            restored.push(seen.map_or(PATIENCE, |s| s.saturating_sub(at)));
            eprintln!(
                "{name} {}: declared {:?}, restored {:?}",
                run + 1,
                declared[run as usize],
                restored[run as usize]
            );
        }
        (declared, restored)
    }

    fn wedges(&self) -> Vec<Duration> {
        let mut times = Vec::new();
        for run in 0..RUNS {
            self.settle(run);
            let place = self.platform.place();
            let at = clock::uptime();
            self.world.wedge().expect("the fault");
            let seen = self.event(place, &[EventName::IncidentClosed]);
            times.push(seen.map_or(PATIENCE, |s| s.saturating_sub(at)));
            eprintln!("wedged interface {}: line back after {:?}", run + 1, times[run as usize]);
        }
        times
    }

    /// From the moment that each event and callback tells of to its arrival, sorted. Not of `incident_updated`, which
    /// tells of the moment at which the line broke again, long before that can be known. (An end is told of by its
    /// first answer and declared by the second.)
    fn delays(&self) -> Vec<Duration> {
        let received = self.platform.received(0);
        let told_at_once = |r: &&Received| match r.message() {
            Some(Message::Event(e)) => e.event != EventName::IncidentUpdated,
            Some(Message::Callback(_)) => true,
            Some(Message::CommandResult(_)) => false,
            None => false,
        };
        let critical = received.iter().filter(|r| !r.repeated).filter(told_at_once);
        let mut delays: Vec<Duration> = critical.filter_map(Received::delay).collect();
        delays.sort();
        delays
    }

    fn false_alarms(&self) -> Result<usize, String> {
        let nft = |rules: &str| {
            let mut command = Command::new("nft");
            command.arg(rules);
            let out = self.world.exec_in(Host::Isp, &mut command).map_err(|e| e.to_string())?;
            if out.status.success() {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&out.stderr).trim().to_string())
            }
        };
        self.settle(0);
        let place = self.platform.place();
        nft("add table ip bench")?;
        nft("add chain ip bench lossy { type filter hook forward priority 0; }")?;
        nft("add rule ip bench lossy ip daddr != 198.18.250.0/24 numgen random mod 100 < 20 drop")?;
        std::thread::sleep(Duration::from_secs(60));
        nft("delete table ip bench")?;
        for _ in 0..12 {
            std::thread::sleep(Duration::from_secs(4));
            self.world.silence_upstream().map_err(|e| e.to_string())?;
            std::thread::sleep(Duration::from_millis(1_950));
            self.world.restore_upstream().map_err(|e| e.to_string())?;
        }
        self.settle(0);
        Ok(self.platform.received(place).iter().filter(|r| r.message().is_some()).count())
    }
}

fn is_up(r: &Received) -> bool {
    r.kind == "state" && r.json.get("line").and_then(serde_json::Value::as_str) == Some("up")
}
