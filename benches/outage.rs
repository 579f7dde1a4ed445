//! How soon a dead line is reported, reported as back, and repaired: real packets in namespaces, the real agent, default
//! probing.
//!
//! `benches/figures outage` (about five minutes). Each time runs from the moment the fault is made to the moment the
//! platform's stand-in, a subscriber of its own behind a broker, has the event: what a platform would measure.
//! `outage.false` counts incidents, remedies and callbacks over a minute of 20 % random loss and twelve breaks of just
//! under 2 s.
//!
//! The daemon probes at fixed intervals, so the times depend on where between two probes a fault begins or ends. Each kind
//! of run therefore begins, and ends, at twelve evenly spaced phases of an interval.
//!
//! A run counts only if the line was up before it and up after it. An event that does not come, a wedge that no remedy
//! repaired, or trouble that did not reach the line is no figure: the benchmark says so and fails.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark ends where it cannot measure"
)]

use linekeeper::run::socket::{Request, ask};
use linekeeper_contract::message::{EventName, Message, Outcome, Remedy};
use linekeeper_lab::agent::{self, Agent};
use linekeeper_lab::broker::Broker;
use linekeeper_lab::clock;
use linekeeper_lab::enclosure::measured_elsewhere;
use linekeeper_lab::platform::{Platform, Receipts, Received};
use linekeeper_lab::world::{ANCHOR, Host, WORLD2, World};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Runs of each kind, one at each phase of the probes.
const RUNS: u32 = 12;
/// The interval of the probes, on a line that is up (`probe.interval` by default) and on one that is down.
const INTERVAL: Duration = Duration::from_millis(500);
/// An event that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the line may take to be up again between two runs.
const RECOVERY: Duration = Duration::from_secs(20);
/// How long an echo of our own may take.
const PING: Duration = Duration::from_secs(1);
/// The false-alarm part: seconds of loss, and breaks with their length. `outage.patience` is 2 s by default.
const LOSS: Duration = Duration::from_secs(60);
const BREAKS: u32 = 12;
const BREAK: Duration = Duration::from_millis(1_950);

/// A figure, or why it was not measured.
type Measured<T> = Result<T, String>;

fn main() -> ExitCode {
    if let Some(code) = measured_elsewhere() {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("benches/outage: not measured: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Measured<()> {
    let bench = Bench::new();
    // Fail early if nft is missing.
    bench.nft("list tables")?;
    let (declared, restored) =
        bench.faults("silence beyond the gateway", World::silence_upstream, World::restore_upstream)?;
    print("outage.declared_s", &declared);
    print("outage.restored_s", &restored);
    let (carrier, _) = bench.faults("cable out", World::cut_carrier, World::restore_carrier)?;
    print("outage.carrier_s", &carrier);
    print("remedy.wedge_s", &bench.wedges()?);
    let delays = bench.delays();
    if delays.is_empty() {
        return Err("no message had a delay".into());
    }
    println!("figure delivery.p99_ms {} ms", delays[delays.len() * 99 / 100].as_millis());
    println!("figure outage.false {} count", bench.false_alarms()?);
    Ok(())
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

/// The lab's configuration, which probes as by default, without what would end the measurement: the budgets of a day and of
/// an incident, and the number of breaks that makes a line flapping. Runs within the hold-down are one incident.
fn configuration(world: &World) -> String {
    let mut text = agent::configuration(world);
    for (from, to) in [
        ("flapping = 20\n", "flapping = 100\n"),
        (
            "limit = {",
            "per_day = { renew = 100, restart-interface = 100 }\n\
             per_incident = { renew = 100, restart-interface = 100 }\nlimit = {",
        ),
    ] {
        assert!(text.contains(from), "the lab's configuration has no {from:?}");
        text = text.replace(from, to);
    }
    text
}

/// The phase within the probe interval at which a run begins or ends.
fn phase(run: u32) -> Duration {
    INTERVAL * (run % RUNS) / RUNS
}

struct Bench {
    platform: Platform,
    agent: Agent,
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
        Bench { platform, agent, _broker: broker, world }
    }

    /// Waits until the line has been up for long enough that the next fault meets quiet probing, at another phase each
    /// time, and makes sure that it is up.
    fn settle(&self, run: u32) -> Measured<()> {
        std::thread::sleep(Duration::from_millis(1_500) + phase(run));
        self.assert_up("before the fault")
    }

    /// Both the daemon and an echo of our own must say that the line is up.
    fn assert_up(&self, when: &str) -> Measured<()> {
        let line = || ask(&self.agent.socket(), &Request::Status).map(|s| s["status"]["line"].clone());
        if !clock::wait_until(RECOVERY, || line().is_ok_and(|line| line == "up")) {
            return Err(format!("{when} the daemon does not report the line as up: {:?}", line()));
        }
        if !clock::wait_until(RECOVERY, || self.world.ping(Host::Gateway, ANCHOR, PING).is_some()) {
            return Err(format!("{when} the daemon reports the line as up, but no echo comes back"));
        }
        Ok(())
    }

    /// When the first of the wanted events after `place` came.
    fn event(&self, place: usize, wanted: &[EventName]) -> Measured<Duration> {
        let found = self.platform.wait_for(place, PATIENCE, |r| match r.message() {
            Some(Message::Event(e)) => wanted.contains(&e.event) && !r.repeated,
            _ => false,
        });
        let log =
            || format!("none of {wanted:?} within {PATIENCE:?}; the daemon's log:\n{}", self.agent.log());
        found.map(|r| r.at).ok_or_else(log)
    }

    fn faults(
        &self,
        name: &str,
        make: impl Fn(&World) -> Result<(), linekeeper_lab::Error>,
        mend: impl Fn(&World) -> Result<(), linekeeper_lab::Error>,
    ) -> Measured<(Vec<Duration>, Vec<Duration>)> {
        let (mut declared, mut restored) = (Vec::new(), Vec::new());
        for run in 0..RUNS {
            let in_run = |why: String| format!("{name}, run {}: {why}", run + 1);
            let (down, up) = self.fault(run, &make, &mend).map_err(in_run)?;
            eprintln!("{name} {}: declared {down:?}, restored {up:?}", run + 1);
            declared.push(down);
            restored.push(up);
        }
        Ok((declared, restored))
    }

    /// The times from a fault and from its end to their reports.
    fn fault(
        &self,
        run: u32,
        make: impl Fn(&World) -> Result<(), linekeeper_lab::Error>,
        mend: impl Fn(&World) -> Result<(), linekeeper_lab::Error>,
    ) -> Measured<(Duration, Duration)> {
        self.settle(run)?;
        let place = self.platform.place();
        let at = clock::uptime();
        make(&self.world).expect("the fault");
        // The first break opens an incident, those within the hold-down open it again.
        let opened = [EventName::IncidentOpened, EventName::IncidentUpdated];
        let down = self.event(place, &opened)?.saturating_sub(at);
        // The report comes at a fixed phase of the probes: without this the end would be at one too.
        std::thread::sleep(INTERVAL + phase(run));
        let place = self.platform.place();
        let at = clock::uptime();
        mend(&self.world).expect("the fault's end");
        let up = self.event(place, &[EventName::IncidentClosed])?.saturating_sub(at);
        self.assert_up("after the fault")?;
        Ok((down, up))
    }

    fn wedges(&self) -> Measured<Vec<Duration>> {
        let mut times = Vec::new();
        for run in 0..RUNS {
            let in_run = |why: String| format!("wedged interface, run {}: {why}", run + 1);
            self.settle(run).map_err(in_run)?;
            let place = self.platform.place();
            let at = clock::uptime();
            self.world.wedge().expect("the fault");
            let back = self.event(place, &[EventName::IncidentClosed]).map_err(in_run)?.saturating_sub(at);
            let healed =
                |r: &Received| ended(r).is_some_and(|remedy| remedy.outcome == Some(Outcome::Healed));
            let Some(healed) = self.platform.wait_for(place, PATIENCE, healed) else {
                return Err(in_run("the line is back, and no remedy reports that it repaired it".into()));
            };
            let by = ended(&healed).map(|remedy| remedy.name.as_str()).unwrap_or_default();
            if !self.world.has_lease() {
                return Err(in_run(format!("{by} reports a repair, and the interface has no address")));
            }
            self.assert_up("after the repair").map_err(in_run)?;
            eprintln!("wedged interface {}: line back after {back:?}, repaired by {by}", run + 1);
            times.push(back);
        }
        Ok(times)
    }

    /// The delays from the fact of each event and callback to its arrival, sorted. `incident_updated` is excluded: it carries
    /// the time of the new break, long before that can be known. (The end of an outage carries the time of the first reply
    /// and is declared by the second.)
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

    /// Runs `nft` at the access router and returns its output.
    fn nft(&self, rules: &str) -> Measured<String> {
        let mut command = Command::new("nft");
        command.arg(rules);
        // Debian installs it in /usr/sbin.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        let out = self.world.exec_in(Host::Isp, &mut command);
        let out = out.map_err(|e| format!("outage.false needs nft (Debian: nftables): {e}"))?;
        if out.status.success() {
            Ok(String::from_utf8_lossy(&out.stdout).into_owned())
        } else {
            Err(format!("nft {rules}: {}", String::from_utf8_lossy(&out.stderr).trim()))
        }
    }

    /// Trouble that must not make an incident, between two proofs that an incident would have been seen.
    fn false_alarms(&self) -> Measured<usize> {
        self.settle(0)?;
        let place = self.platform.place();
        self.nft("add table ip bench")?;
        self.nft("add chain ip bench lossy { type filter hook forward priority 0; }")?;
        self.nft(
            "add rule ip bench lossy ip daddr != 198.18.250.0/24 numgen random mod 100 < 20 counter drop",
        )?;
        std::thread::sleep(LOSS);
        let rules = self.nft("list table ip bench")?;
        self.nft("delete table ip bench")?;
        let mut words = rules.split_whitespace().skip_while(|word| *word != "packets").skip(1);
        let lost = words.next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
        // Two echoes a second, there and back: a fifth of those in a minute are 40.
        if lost < 20 {
            return Err(format!("20 % loss for {LOSS:?} dropped only {lost} packets"));
        }
        self.assert_up("after the loss")?;
        for n in 0..BREAKS {
            std::thread::sleep(Duration::from_secs(4) + phase(n));
            self.world.silence_upstream().map_err(|e| e.to_string())?;
            let began = clock::uptime();
            let passes = self.world.ping(Host::Lan, WORLD2, BREAK / 4).is_some();
            std::thread::sleep(BREAK.saturating_sub(clock::since(began)));
            self.world.restore_upstream().map_err(|e| e.to_string())?;
            if passes {
                return Err(format!("break {} did not break the line", n + 1));
            }
        }
        self.settle(0)?;
        let received = self.platform.received(place);
        let critical = received.iter().filter(|r| r.message().is_some() && !r.repeated).count();
        eprintln!("{lost} packets lost, {BREAKS} breaks: {critical} messages");
        // Nothing came: only a daemon and a platform that still report a fault make that a result.
        self.fault(0, World::silence_upstream, World::restore_upstream)?;
        Ok(critical)
    }
}

fn is_up(r: &Received) -> bool {
    r.kind == "state" && r.json.get("line").and_then(serde_json::Value::as_str) == Some("up")
}

/// The remedy that ended with this message.
fn ended(r: &Received) -> Option<Remedy> {
    match r.message() {
        Some(Message::Event(e)) if e.event == EventName::RemedyEnded => e.remedy,
        _ => None,
    }
}
