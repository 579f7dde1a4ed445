//! The promise with the real agent, which runs its own speed tests over shaped lines and reports to the platform.
//!
//! Hours of waiting are skipped: the lab's `Request::Hasten` advances the agent's clock while nothing is in progress. Tests,
//! servers, packets, messages and kills are real.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::agent_binary;
use crate::common::field::{Mosquitto, MqttMessage, Outcome, PATIENCE, Plan, Subscriber, Test, build, must};
use crate::common::line::{Customer, Kind, mbit};
use libtest_mimic::Failed;
use linekeeper::run::socket::{Request, ask};
use linekeeper_contract::vocabulary::Direction;
use linekeeper_lab::platform::{Platform, Receipts};
use linekeeper_lab::world::{ANCHOR, Host, PLATFORM, Process, WAN, WORLD, World, ip};
use linekeeper_lab::{agent, clock};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const NEEDS: &[&str] = &["tc", "mosquitto", "mosquitto_sub", "mosquitto_pub"];

// Alone, because parallel tests would compete for the processor.
pub fn tests() -> Vec<Test> {
    vec![
        Test::lab("slow_line_leads_to_one_callback_and_recovery_withdraws_it", NEEDS, short_and_back).alone(),
        Test::lab("two_servers_confirm_each_other", NEEDS, two_servers).alone(),
        Test::lab("kill_during_a_speed_test_charges_its_possible_cost", NEEDS, killed).alone(),
        Test::lab("speed_test_gives_way_to_the_customer", NEEDS, gives_way).alone(),
        Test::lab("port_below_the_promise_is_reported_at_once", NEEDS, port).alone(),
    ]
}

/// Rounds until the sequential rule has found, and until it has found the way back, on a line that is short in each test
/// and then good in each; and how many more a busy machine may spoil.
const FINDS: usize = 4;
const RETURNS: usize = 6;
const SPOILT: usize = 3;

struct Scene {
    agent: Option<Process>,
    subscriber: Subscriber,
    _platform: Platform,
    _broker: Mosquitto,
    _servers: Vec<Process>,
    plan: Plan,
    world: Arc<World>,
}

/// A plan with a promise.
fn sold(world: &World, device: &str, promise: &str, speed: &str) -> Plan {
    let mut plan = Plan::new(world, device);
    // A known hour for each test, and the recovery in the same quarter of the day.
    plan.prefix = vec!["env".into(), format!("LINEKEEPER_LAB_WALL={}", agent::EVENING)];
    plan
        // The clock advances in steps of seconds; one echo in each is enough.
        .edit("[probe]\n", "[probe]\ninterval = \"2 s\"\n")
        .edit("[outage]\n", &format!("[promise]\n{promise}\n\n[speed]\n{speed}\n\n[outage]\n"))
}

fn serve(world: &World, host: Host) -> Result<Process, Failed> {
    let mut command = Command::new(agent_binary());
    command.args(["lab", "speed-server", "--listen", "0.0.0.0:80"]).stdin(Stdio::null());
    let server = world.spawn_in(host, &mut command)?;
    let listens = || world.run_in(host, || std::net::TcpStream::connect("127.0.0.1:80").is_ok());
    must(clock::wait_until(PATIENCE, || listens().unwrap_or(false)), || "no speed server".into())?;
    Ok(server)
}

fn scene(hosts: &[Host], plan: impl FnOnce(&World) -> Plan) -> Result<Scene, Failed> {
    let world = build()?;
    let broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let platform = Platform::start(Some(Host::Platform), (PLATFORM, 1883).into(), Receipts::Received)?;
    let servers = hosts.iter().map(|host| serve(&world, *host)).collect::<Result<_, _>>()?;
    let plan = plan(&world);
    let agent = Some(plan.start(&world)?);
    subscriber.expect("the line's state", 0, PATIENCE, |h| h.kind == "state" && h.text("/line") == "up")?;
    let world = Arc::new(world);
    Ok(Scene { agent, subscriber, _platform: platform, _broker: broker, _servers: servers, plan, world })
}

impl Scene {
    /// How many tests have begun by the agent's own log.
    fn begun(&self) -> usize {
        self.plan.log().lines().filter(|l| l.contains("speed test ") && l.contains(" at server ")).count()
    }

    /// Advances the clock to the next test.
    fn next_test(&self) -> Outcome {
        let before = self.begun();
        ask(&self.plan.socket(), &Request::Hasten)?;
        must(clock::wait_until(PATIENCE * 2, || self.begun() > before), || "no test was begun".into())
    }

    /// Advances the clock to the next test and waits for its end.
    fn test(&self) -> Outcome {
        let before = self.plan.count_in_trace("speed_ended");
        self.next_test()?;
        must(clock::wait_until(PATIENCE * 2, || self.plan.count_in_trace("speed_ended") > before), || {
            "the test did not end".into()
        })
    }

    /// Runs tests until a message is `wanted`, and returns their number.
    fn until(
        &self,
        what: &str,
        most: usize,
        wanted: impl Fn(&MqttMessage) -> bool,
    ) -> Result<(usize, MqttMessage), Failed> {
        for n in 1..=most {
            self.test()?;
            // The messages after a test arrive within milliseconds.
            if let Some(heard) = self.subscriber.wait(0, Duration::from_millis(500), &wanted) {
                return Ok((n, heard));
            }
        }
        self.subscriber.expect(what, 0, Duration::from_secs(5), wanted).map(|heard| (most, heard))
    }

    fn promise(&self) -> Result<Value, Failed> {
        Ok(self.plan.status()?["status"]["promise"].clone())
    }

    fn speed_callbacks(&self) -> Vec<MqttMessage> {
        let mut all = self.subscriber.critical(0);
        all.retain(|h| h.kind == "callback" && h.text("/trigger/name") == "speed");
        all
    }

    fn events(&self, name: &str) -> usize {
        self.subscriber.critical(0).iter().filter(|h| h.is_event(name)).count()
    }
}

fn facts(callback: &MqttMessage) -> Vec<(String, String, String)> {
    let facts = callback.json["evidence"]["facts"].as_array().cloned().unwrap_or_default();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    facts.iter().map(|f| (text(&f["name"]), text(&f["subject"]), text(&f["detail"]))).collect()
}

fn short_and_back() -> Outcome {
    let server = format!("servers = [\"http://{ANCHOR}/\"]\nseconds = \"4 s\"\nper_day = 48");
    let s = scene(&[Host::Anchor], |w| sold(w, "gw-1", "download = { normal = \"100 Mbit/s\" }", &server))?;
    s.world.shape(mbit(40), mbit(10))?;
    let (tests, requested) = s.until("the callback", FINDS + SPOILT, |h| h.is_callback("requested"))?;
    println!("40 of 100 Mbit/s: a callback after {tests} tests");
    must(tests >= FINDS, || format!("found after only {tests} tests"))?;
    must(requested.text("/trigger/name") == "speed", || requested.json.to_string())?;
    must(requested.text("/issues/0/code") == "speed.download", || requested.json.to_string())?;
    println!("to be read: {}", requested.text("/issues/0/description"));
    let samples = requested.json["evidence"]["samples"].as_array().cloned().unwrap_or_default();
    must(samples.len() >= FINDS, || format!("{} samples", samples.len()))?;
    for sample in &samples {
        let share = sample["share_permille"].as_u64().unwrap_or(0);
        must((370..=410).contains(&share) && sample["short"] == true, || format!("a sample says {sample}"))?;
        must(sample["server"] == format!("http://{ANCHOR}/"), || format!("a sample says {sample}"))?;
    }
    println!("a sample: {}", samples[0]);
    let rule = requested.text("/evidence/rule");
    println!("rule: {rule}");
    must(rule.starts_with("sequential (download)"), || rule.to_owned())?;
    let facts = facts(&requested);
    for (name, words) in [
        ("speed.share", "of the agreed 100 Mbit/s"),
        ("speed.busy_hours", "18 to 24 h"),
        ("speed.server", "gave short"),
    ] {
        let fact = facts.iter().find(|f| f.0 == name);
        println!("fact: {fact:?}");
        must(fact.is_some_and(|f| f.2.contains(words)), || format!("{name}: {facts:?}"))?;
    }
    let hours = facts.iter().find(|f| f.0 == "speed.busy_hours").map(|f| f.2.clone()).unwrap_or_default();
    let n = samples.len();
    must(hours.starts_with(&format!("18 to 24 h: {n} of {n}")), || hours.clone())?;
    must(samples.iter().all(|s| s["at"].is_string()), || format!("a sample without its time: {samples:?}"))?;
    s.subscriber.expect("its receipt", 0, PATIENCE, |h| h.is_callback("received"))?;
    let promise = s.promise()?;
    must(promise["directions"][0]["verdict"]["verdict"] == "broken", || promise.to_string())?;
    must(promise["incident"]["finding"] == "short_rate", || promise.to_string())?;
    // The text output.
    let out = Command::new(agent_binary()).args(["status", "--socket"]).arg(s.plan.socket()).output()?;
    println!("{}", String::from_utf8_lossy(&out.stdout));
    // Still slow: no further callback is requested.
    s.test()?;
    must(s.events("incident_opened") == 1, || "more than one incident".into())?;

    s.world.shape(mbit(120), mbit(10))?;
    let (tests, withdrawn) = s.until("the withdrawal", RETURNS + SPOILT, |h| h.is_callback("withdrawn"))?;
    println!("120 of 100 Mbit/s: withdrawn after {tests} tests");
    must(tests >= RETURNS, || format!("back after only {tests} tests"))?;
    must(withdrawn.text("/resolution/state") == "resolved", || withdrawn.json.to_string())?;
    let callbacks = s.speed_callbacks();
    let states: Vec<&str> = callbacks.iter().map(|c| c.text("/state")).collect();
    println!("the callback's life: {states:?}");
    must(callbacks.iter().all(|c| c.text("/callback_id") == requested.text("/callback_id")), || {
        "more than one callback".into()
    })?;
    must(states.iter().filter(|s| **s == "requested").count() == 1, || format!("{states:?}"))?;
    must((s.events("incident_opened"), s.events("incident_closed")) == (1, 1), || "not one incident".into())?;
    let promise = s.promise()?;
    println!("spent in the last day: {} B", promise["day"][0]);
    must(promise["directions"][0]["verdict"]["verdict"] == "kept", || promise.to_string())
}

/// A line that is slow with one server only is not broken.
fn two_servers() -> Outcome {
    let servers =
        format!("servers = [\"http://{ANCHOR}/\", \"http://{WORLD}/\"]\nseconds = \"3 s\"\nper_day = 48");
    let s = scene(&[Host::Anchor, Host::World], |w| {
        sold(w, "gw-1", "download = { normal = \"100 Mbit/s\" }", &servers)
    })?;
    s.world.shape(mbit(40), mbit(10))?;
    let (tests, requested) = s.until("the callback", 6 + SPOILT, |h| h.is_callback("requested"))?;
    println!("a callback after {tests} tests");
    let mut asked: Vec<String> =
        facts(&requested).into_iter().filter(|f| f.0 == "speed.server").map(|f| f.1).collect();
    asked.sort();
    must(asked.len() == 2, || format!("low results came from {asked:?}"))
}

/// A kill during a test charges the whole reserved amount, whatever was transferred.
fn killed() -> Outcome {
    // One round may take 3 s at 100 Mbit/s and 15 %: 43 MB. The rest of the budget is too small for a second one.
    let speed = format!(
        "servers = [\"http://{ANCHOR}/\"]\nseconds = \"3 s\"\nper_day = 48\nbudget = {{ day = \"60 MB\", month = \"1 GB\" }}"
    );
    for (n, after) in [0u64, 10_000_000, 5_000_000].into_iter().enumerate() {
        let mut s = scene(&[Host::Anchor], |w| {
            sold(w, &format!("gw-{n}"), "download = { normal = \"100 Mbit/s\" }", &speed)
        })?;
        s.world.shape(mbit(60), mbit(10))?;
        let before = received()?;
        s.next_test()?;
        must(clock::wait_until(PATIENCE, || received().is_ok_and(|now| now - before >= after)), || {
            "no bytes pass".into()
        })?;
        let passed = received()? - before;
        if let Some(agent) = &mut s.agent {
            agent.kill();
        }
        let passed = passed.max(received()? - before);
        let kept = budget(&s.plan);
        s.agent = Some(s.plan.start(&s.world)?);
        s.plan.expect_log("was interrupted: 43.1 MB are taken for spent")?;
        let mut spent = 0;
        must(
            clock::wait_until(PATIENCE, || {
                spent = s.promise().ok().and_then(|p| p["day"][0].as_u64()).unwrap_or(0);
                spent > 0
            }),
            || "no status".into(),
        )?;
        println!("death {n}: {passed} B had passed, {spent} B are spent; on flash: {kept}");
        must(spent >= passed && spent == 43_125_000, || format!("{spent} of {passed} are remembered"))?;
        must(kept["hours"][0][1] == 43_125_000, || format!("on flash: {kept}"))?;
        // Nothing is charged twice.
        ask(&s.plan.socket(), &Request::Hasten)?;
        s.plan.expect_log("no speed test: the budget is spent")?;
        must(s.begun() == 1, || "a second test was begun".into())?;
    }
    Ok(())
}

/// The budget as stored on flash.
fn budget(plan: &Plan) -> Value {
    let judge = linekeeper::act::store::look(&plan.store()).map(|kept| kept.judge).unwrap_or_default();
    judge["state"]["promise"]["budget"].clone()
}

/// Bytes that the WAN device has received.
fn received() -> Result<u64, Failed> {
    let said: Value = serde_json::from_str(&ip(Host::Gateway, &["-s", "-j", "link", "show", "dev", WAN])?)?;
    said[0]["stats64"]["rx"]["bytes"].as_u64().ok_or_else(|| "no counters".into())
}

/// Customer traffic starts during a test, in the tested direction and in the other one.
fn gives_way() -> Outcome {
    let speed = format!("servers = [\"http://{ANCHOR}/\"]\nseconds = \"20 s\"\nper_day = 48");
    for (direction, rate, words) in [
        (Direction::Download, 15, "the customer began to use the line: the test gave way"),
        (Direction::Upload, 6, "is ended: the customer uses the line"),
    ] {
        let promise = "download = { normal = \"60 Mbit/s\" }\nupload = { normal = \"10 Mbit/s\" }";
        let s = scene(&[Host::Anchor], |w| sold(w, direction.as_str(), promise, &speed))?;
        // A slow line, so that the test would take its full time.
        s.world.shape(mbit(30), mbit(10))?;
        let before = received()?;
        s.next_test()?;
        // Wait until the test is in progress.
        must(clock::wait_until(PATIENCE, || received().is_ok_and(|now| now - before > 4_000_000)), || {
            "no bytes pass".into()
        })?;
        let at = clock::uptime();
        let customer = Customer::start(&s.world, Kind::Udp, direction, mbit(rate));
        must(clock::wait_until(PATIENCE, || s.plan.count_in_trace("speed_ended") > 0), || {
            "the test did not end".into()
        })?;
        let took = clock::since(at);
        drop(customer);
        println!("{direction:?}: the test ended {:.1} s after the customer began", took.as_secs_f64());
        must(took < Duration::from_secs(8), || format!("it gave way after {took:?}"))?;
        s.plan.expect_log(words)?;
        let promise = s.promise()?;
        let download = &promise["directions"][0];
        must(download["verdict"]["reason"] == "cross_traffic", || download.to_string())?;
        must(download["last"].as_array().is_some_and(Vec::is_empty), || format!("a sample: {download}"))?;
        // The upload of the same round is not started either.
        must(s.begun() == 1, || "the round went on".into())?;
        must(s.speed_callbacks().is_empty(), || "a callback".into())?;
    }
    Ok(())
}

/// A veth reports 10 Gbit/s; a higher rate was sold.
fn port() -> Outcome {
    let speed = format!("servers = [\"http://{ANCHOR}/\"]");
    let mut s = scene(&[], |w| {
        let mut plan = sold(w, "gw-1", "download = { normal = \"20 Gbit/s\" }", &speed)
            .edit("servers = [", "budget = { day = \"100 GB\", month = \"100 GB\" }\nservers = [");
        // sysfs shows the devices of the namespace in which it was mounted, so it is mounted in the gateway.
        let mount = "mount -t sysfs sysfs /sys && exec \"$@\"";
        plan.prefix.extend(["unshare", "--mount", "sh", "-c", mount, "sh"].map(str::to_owned));
        plan
    })?;
    let opened = s.subscriber.expect("the finding", 0, PATIENCE * 2, |h| h.is_event("incident_opened"))?;
    println!("{}", opened.text("/why"));
    must(opened.text("/incident/fault_domain") == "link", || opened.json.to_string())?;
    must(opened.text("/why").contains("negotiated 10 Gbit/s, 20 Gbit/s were promised"), || {
        opened.json.to_string()
    })?;
    let requested = s.subscriber.expect("the callback", 0, PATIENCE, |h| h.is_callback("requested"))?;
    must(requested.text("/issues/0/code") == "speed.port", || requested.json.to_string())?;
    let promise = s.promise()?;
    must(promise["port"] == 10_000_000_000u64, || promise.to_string())?;
    must(promise["directions"][0]["verdict"]["reason"] == "port", || promise.to_string())?;
    // After the cable is pulled and put back the rate is read again, and the finding stays the same.
    let seen = s.plan.count_in_trace("10000000000");
    s.world.cut_carrier()?;
    s.subscriber.expect("the outage", 0, PATIENCE, |h| {
        h.is_event("incident_opened") && h.text("/incident/finding") == "outage"
    })?;
    s.world.restore_carrier()?;
    must(clock::wait_until(PATIENCE, || s.plan.count_in_trace("10000000000") > seen), || {
        "the port was not read again".into()
    })?;
    if let Some(agent) = &mut s.agent {
        must(agent.stop(PATIENCE), || "the agent does not end".into())?;
    }
    let short = s
        .subscriber
        .critical(0)
        .into_iter()
        .filter(|h| h.is_event("incident_opened") && h.text("/incident/finding") == "short_rate");
    must(short.count() == 1, || "not one finding".into())
}
