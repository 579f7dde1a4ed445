//! Kills the agent at any moment between a fault and the broker's acknowledgement, while the broker is away. After both are
//! back, no message is lost or duplicated.
//!
//! Many agents run in one gateway, each a device with its own store. They see the same fault and are killed (SIGKILL) at
//! different moments. The test reads what each had on flash before it starts the agent again.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::field::{
    Mosquitto, MqttMessage, Outcome, PATIENCE, Plan, Subscriber, Test, brief, build, must, print_duration,
    read,
};
use crate::common::{field, proof};
use libtest_mimic::Failed;
use linekeeper_lab::clock;
use linekeeper_lab::platform::{Platform, Receipts};
use linekeeper_lab::world::{Host, PLATFORM, Process, World};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const NEEDS: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];

pub fn tests() -> Vec<Test> {
    vec![Test::lab("kills_at_any_moment_lose_and_duplicate_nothing", NEEDS, kills).alone()]
}

/// Agents in one round.
const AGENTS: u32 = 8;
/// How often each kind of round is run.
fn rounds() -> u32 {
    proof(1, 3)
}
/// Minimum of kills in the rounds of each kind: some come too late.
const DEATHS: u32 = 17;
/// The seed for the moments of the kills, so that every run has the same.
const SEED: u64 = 20_261_120;
/// A fault is declared about 2 s after it (a whole window of the counters is waited for); this spans it and what follows.
const SPAN_MS: u64 = 3_200;

/// What the broker does from before the fault until after the kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Broker {
    /// It does not run.
    Down,
    /// It is suspended: connections stay open, and published messages remain in its socket buffers.
    Frozen,
    /// It works: some kills happen around the acknowledgement.
    Up,
}

/// How far the callback had come at the kill, according to the files on flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Neither incident nor callback: the fault was not declared yet.
    BeforeSnapshot,
    /// The callback is in the snapshot but not in the outbox.
    BetweenSnapshotAndOutbox,
    /// In the outbox, never sent: there was no broker.
    Waiting,
    /// Sent (or about to be), not acknowledged.
    Unacknowledged,
    /// The broker had it before the agent was killed.
    Acknowledged,
}

/// The content of the flash.
struct Death {
    at: Duration,
    phase: Phase,
    /// The callback's id, if it had one.
    callback: Option<String>,
    incident: Option<String>,
    /// The ids of all messages in the snapshot and the outbox.
    messages: BTreeSet<String>,
}

fn plan(world: &World, device: &str) -> Plan {
    let mut plan = Plan::new(world, device)
        .edit("[probe]\n", "[probe]\ninterval = \"100 ms\"\ntimeout = \"200 ms\"\n")
        .with_short_patience()
        // Each agent counts the others' replies from the access router as customer traffic.
        .edit("[outage]\n", "[outage]\nveto = \"10 Mbit/s\"\n")
        .edit("after = \"8 s\"", "after = \"0 s\"");
    plan.record = None;
    plan
}

fn kills() -> Outcome {
    let world = build()?;
    let mut broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let _platform = Platform::start(Some(Host::Platform), (PLATFORM, 1883).into(), Receipts::Received)?;
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut histogram: BTreeMap<(Broker, Phase), u32> = BTreeMap::new();
    let mut resent = 0;
    let began = clock::uptime();
    for round in 0..rounds() {
        for (kind, away) in [Broker::Down, Broker::Frozen, Broker::Up].into_iter().enumerate() {
            let devices: Vec<String> = (0..AGENTS).map(|n| format!("gw-{round}{kind}{n}")).collect();
            let (deaths, place) = round_of(&world, &mut broker, &subscriber, away, &devices, &mut random)?;
            for (device, death) in devices.iter().zip(&deaths) {
                *histogram.entry((away, death.phase)).or_default() += 1;
                let came: Vec<MqttMessage> =
                    subscriber.critical(place).into_iter().filter(|h| h.device == *device).collect();
                resent += u32::from(twice(&came));
                judge(&came, death).map_err(|why| {
                    let all: String = came.iter().map(|h| format!("\n  {}", brief(h))).collect();
                    format!(
                        "{device}, broker {away:?}, killed {:?} after the fault in phase {:?}: {}; there came:{all}",
                        death.at,
                        death.phase,
                        why.message().unwrap_or_default()
                    )
                })?;
            }
        }
    }
    let points: u32 = histogram.values().sum();
    println!("{points} deaths, by broker and by what lay on flash:");
    for ((away, phase), n) in &histogram {
        println!("  {:<8} {:<26} {n}", format!("{away:?}"), format!("{phase:?}"));
    }
    println!("  {resent} devices sent a message of an earlier life once more, under the same id");
    print_duration("all rounds", clock::since(began));
    must(points >= rounds() * DEATHS, || format!("only {points} deaths"))?;
    for phase in
        [Phase::BeforeSnapshot, Phase::BetweenSnapshotAndOutbox, Phase::Waiting, Phase::Unacknowledged]
    {
        let n: u32 = histogram.iter().filter(|((_, p), _)| *p == phase).map(|(_, n)| n).sum();
        must(n > 0, || format!("no death fell into the phase {phase:?}"))?;
    }
    must(resent > 0, || "no message was sent by one life and sent again by the next".into())
}

/// One fault, one death of each device, and all well again.
fn round_of(
    world: &World,
    broker: &mut Mosquitto,
    subscriber: &Subscriber,
    away: Broker,
    devices: &[String],
    random: &mut fastrand::Rng,
) -> Result<(Vec<Death>, usize), Failed> {
    let place = subscriber.place();
    let plans: Vec<Plan> = devices.iter().map(|device| plan(world, device)).collect();
    let mut lives: Vec<Option<Process>> = Vec::new();
    for plan in &plans {
        lives.push(Some(plan.start(world)?));
    }
    for device in devices {
        subscriber.expect("the line's state", place, PATIENCE, |h| {
            h.device == *device && h.kind == "state" && h.text("/line") == "up"
        })?;
    }
    match away {
        Broker::Down => broker.down()?,
        Broker::Frozen => broker.freeze(),
        Broker::Up => {}
    }
    // One in each slice of the span, so that all of it is covered; where in the slice is drawn.
    let slice = SPAN_MS / devices.len() as u64;
    let mut moments: Vec<(Duration, usize)> = (0..devices.len())
        .map(|n| (Duration::from_millis(n as u64 * slice + random.u64(..slice)), n))
        .collect();
    random.shuffle(&mut moments);
    // Which agent is killed when is random too, because a device's number determines the phase of its probes.
    let mut order: Vec<usize> = (0..devices.len()).collect();
    random.shuffle(&mut order);
    for (moment, n) in moments.iter_mut().zip(&order) {
        moment.1 = *n;
    }
    moments.sort();
    // The first of the later half is killed as soon as its snapshot changes: between snapshot and outbox, or just after.
    let prompt = moments[devices.len() / 2].1;
    let before = snapshot(&plans[prompt]);
    let hunted = lives[prompt].as_ref().unwrap().id();
    let fault = clock::uptime();
    world.silence_upstream()?;
    let mut deaths: BTreeMap<usize, Death> = BTreeMap::new();
    let prompt_at = std::thread::scope(|scope| -> Result<Duration, Failed> {
        let hunter = scope.spawn(|| {
            // No sleep: the moment is some ten microseconds long.
            while snapshot(&plans[prompt]) == before && clock::since(fault) < PATIENCE {}
            field::signal(hunted, Signal::KILL);
            clock::since(fault)
        });
        for (moment, n) in &moments {
            if *n == prompt {
                continue;
            }
            let left = moment.saturating_sub(clock::since(fault));
            std::thread::sleep(left);
            let at = clock::since(fault);
            lives[*n] = None;
            deaths.insert(*n, death(&plans[*n], at, away)?);
        }
        hunter.join().map_err(|_| "the hunter died".into())
    })?;
    lives[prompt] = None;
    println!("broker {away:?}: the first snapshot of the fault lay there after {prompt_at:?}");
    let mut last = death(&plans[prompt], prompt_at, away)?;
    // As if it had died a moment sooner: the snapshot is new, the outbox as it was before the step. It only ever grows at
    // its end, so that this is what a death between the two leaves.
    if last.phase > Phase::BetweenSnapshotAndOutbox && away != Broker::Up {
        cut_outbox(&plans[prompt])?;
        last = death(&plans[prompt], prompt_at, away)?;
    }
    deaths.insert(prompt, last);
    if away == Broker::Frozen {
        broker.thaw();
    }
    for (n, plan) in plans.iter().enumerate() {
        lives[n] = Some(plan.start(world)?);
    }
    if away == Broker::Down {
        // Some decide in their second life while there is still no broker.
        std::thread::sleep(Duration::from_millis(random.u64(..1_000)));
        broker.up(world)?;
    }
    for device in devices {
        subscriber.expect(&format!("the callback of {device}"), place, PATIENCE * 2, |h| {
            h.device == *device && h.is_callback("requested")
        })?;
    }
    world.restore_upstream()?;
    for device in devices {
        subscriber.expect(&format!("the withdrawal of {device}"), place, PATIENCE * 2, |h| {
            h.device == *device && h.is_callback("withdrawn")
        })?;
    }
    // What waits behind it comes before the goodbye.
    for life in lives.iter_mut().flatten() {
        must(life.stop(PATIENCE), || "an agent does not end".into())?;
    }
    for device in devices {
        subscriber.expect("the goodbye", place, PATIENCE, |h| {
            h.device == *device && h.kind == "state" && h.text("/reason") == "stopped"
        })?;
    }
    Ok((devices.iter().enumerate().map(|(n, _)| deaths.remove(&n).expect("all died")).collect(), place))
}

/// The records of an outbox: kind and content.
fn outbox(plan: &Plan) -> Vec<(String, String)> {
    let text = read(&plan.store().join("outbox.log"));
    text.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(' ')?;
            let (kind, rest) = rest.split_once(' ')?;
            Some((kind.to_owned(), rest.to_owned()))
        })
        .collect()
}

/// Removes the last step's messages, those that the snapshot carries itself.
fn cut_outbox(plan: &Plan) -> Outcome {
    let path = plan.store().join("outbox.log");
    let text = read(&path);
    let kept = snapshot(plan).ok_or("no snapshot")?;
    let numbers: Vec<u64> = kept["messages"]
        .as_array()
        .map(|all| all.iter().filter_map(|m| m["number"].as_u64()).collect())
        .unwrap_or_default();
    let first = numbers.iter().min().ok_or("the snapshot carries no messages")?;
    // From the first line on that is about one of them.
    let mut cut = String::new();
    for line in text.split_inclusive('\n') {
        let mut words = line.split(' ').skip(1);
        let kind = words.next().unwrap_or_default();
        let number = words.nth(1).and_then(|n| n.parse::<u64>().ok());
        if kind != "mark" && number.is_some_and(|n| n >= *first) {
            break;
        }
        cut.push_str(line);
    }
    Ok(std::fs::write(path, cut)?)
}

/// The snapshot's content, if there is one.
fn snapshot(plan: &Plan) -> Option<Value> {
    serde_json::to_value(linekeeper::act::store::look(&plan.store())?).ok()
}

fn death(plan: &Plan, at: Duration, away: Broker) -> Result<Death, Failed> {
    let kept = snapshot(plan).ok_or("no snapshot on flash although the agent had begun")?;
    let state = &kept["judge"]["state"];
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let callback = text(&state["callbacks"][0]["last"]["callback_id"]);
    let incident = text(&state["incident"]["id"]);
    let records = outbox(plan);
    let mut messages: BTreeSet<String> = kept["messages"]
        .as_array()
        .map(|all| all.iter().filter_map(|m| text(&m["message"]["id"])).collect())
        .unwrap_or_default();
    let mut put = None;
    let mut done = BTreeSet::new();
    for (kind, rest) in &records {
        let mut words = rest.splitn(4, ' ');
        let number = words.nth(1).unwrap_or_default().to_owned();
        if kind == "put" {
            let content: Value = serde_json::from_str(words.nth(1).unwrap_or_default())?;
            let message = &content["message"];
            messages.extend(text(&message["id"]));
            if message["callback_id"].is_string() && put.is_none() {
                put = Some(number);
            }
        } else if kind == "done" {
            done.insert(number);
        }
    }
    let phase = match (&callback, &put) {
        (None, None) => Phase::BeforeSnapshot,
        (Some(_), None) => Phase::BetweenSnapshotAndOutbox,
        (_, Some(number)) if done.contains(number) => Phase::Acknowledged,
        (_, Some(_)) if away == Broker::Down => Phase::Waiting,
        (_, Some(_)) => Phase::Unacknowledged,
    };
    Ok(Death { at, phase, callback, incident, messages })
}

/// Whether an id came more than once.
fn twice(came: &[MqttMessage]) -> bool {
    let distinct: BTreeSet<&str> = came.iter().map(MqttMessage::id).collect();
    distinct.len() < came.len()
}

/// What the platform got of one device must be one whole story.
fn judge(came: &[MqttMessage], death: &Death) -> Outcome {
    // In effect: each id counts once, where it came first.
    let mut known = BTreeSet::new();
    let once: Vec<&MqttMessage> = came.iter().filter(|h| known.insert(h.id().to_owned())).collect();
    for h in came {
        let first = once.iter().find(|f| f.id() == h.id()).unwrap();
        let same = |a: &Value, b: &Value| {
            // Lateness and corrected labels may differ between two sendings; what it says may not.
            ["event", "state", "incident_id", "callback_id", "evidence", "remedies"]
                .iter()
                .all(|k| a[*k] == b[*k])
        };
        must(same(&h.json, &first.json), || format!("two contents under the id {}", h.id()))?;
    }
    let requests: Vec<_> = once.iter().filter(|h| h.is_callback("requested")).collect();
    must(requests.len() == 1, || format!("{} distinct requests", requests.len()))?;
    let callback = requests[0].text("/callback_id");
    if let Some(kept) = &death.callback {
        must(callback == kept, || format!("the callback had the id {kept} on flash and came as {callback}"))?;
    }
    must(once.iter().filter(|h| h.kind == "callback").all(|h| h.text("/callback_id") == callback), || {
        "another callback came too".into()
    })?;
    for id in &death.messages {
        must(known.contains(id), || format!("{id} was on flash and never came"))?;
    }
    let opened: Vec<_> = once.iter().filter(|h| h.is_event("incident_opened")).collect();
    must(opened.len() == 1, || format!("{} incidents were opened by one fault", opened.len()))?;
    let incident = opened[0].text("/incident/id");
    if let Some(kept) = &death.incident {
        must(incident == kept, || format!("the incident had the id {kept} on flash and came as {incident}"))?;
    }
    must(requests[0].text("/incident_id") == incident, || "the callback is of another incident".into())?;
    let closed =
        once.iter().filter(|h| h.is_event("incident_closed") && h.text("/incident/id") == incident).count();
    must(closed == 1, || format!("the incident was closed {closed} times"))?;
    // Numbers in order, and every one that is missing is a callback's.
    let numbers: Vec<u64> = once
        .iter()
        .filter(|h| h.kind == "event")
        .filter_map(|h| h.id().rsplit_once("/E")?.1.parse().ok())
        .collect();
    must(numbers.is_sorted_by(|a, b| a < b), || format!("not in order: {numbers:?}"))?;
    let last = numbers.last().copied().unwrap_or_default();
    let missing = last - numbers.len() as u64;
    let callbacks = came.iter().filter(|h| h.kind == "callback").count() as u64;
    must(missing <= callbacks, || {
        format!("{missing} numbers are missing, there were {callbacks} callbacks")
    })?;
    must(came.iter().position(|h| h.id() == opened[0].id()) == Some(0), || {
        "the first that came is not the opening".into()
    })
}
