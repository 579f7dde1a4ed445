//! A recorded trace replays byte for byte, also with the features of a router build. A truncated trace is reported.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::field::{Mosquitto, Outcome, PATIENCE, Plan, Subscriber, Test, build, must};
use crate::common::{agent_binary, proof, repository_path};
use libtest_mimic::Failed;
use linekeeper_lab::platform::{Platform, Receipts};
use linekeeper_lab::world::{Host, PLATFORM};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    const MQTT: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];
    const CARGO: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub", "cargo"];
    let mut tests = vec![
        Test::lab("recorded_outage_replays_byte_for_byte", MQTT, whole),
        Test::lab("trace_cut_off_by_a_crash_replays_to_its_end", MQTT, cut),
    ];
    if proof(false, true) {
        // This builds the program once more.
        tests.push(Test::lab("router_build_replays_the_same_trace", CARGO, router));
    }
    tests
}

fn replay(program: &Path, trace: &Path) -> Result<Output, Failed> {
    Ok(Command::new(program).arg("replay").arg(trace).output()?)
}

/// Records an outage with two remedies and a callback that is received and withdrawn, on a device with a history.
fn record() -> Result<PathBuf, Failed> {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let platform = Platform::start(Some(Host::Platform), (PLATFORM, 1883).into(), Receipts::Received)?;
    let plan = Plan::new(&world, "gw-0001").edit("after = \"8 s\"", "after = \"2 s\"");
    // A first run, so that the trace starts with a non-empty snapshot.
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    world.silence_upstream()?;
    subscriber.expect("the first callback", 0, PATIENCE, |h| h.is_callback("received"))?;
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    world.restore_upstream()?;
    let mut agent = plan.start(&world)?;
    plan.expect_incident_end()?;
    let place = subscriber.place();
    world.silence_access()?;
    subscriber.expect("the callback", place, PATIENCE * 2, |h| h.is_callback("received"))?;
    world.restore_access()?;
    subscriber.expect("its withdrawal", place, PATIENCE * 2, |h| h.is_callback("withdrawn"))?;
    let out = Command::new(agent_binary())
        .args(["callback", "--reason", "it is slow", "--socket"])
        .arg(plan.socket())
        .output()?;
    must(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
    subscriber.expect("the customer's callback", place, PATIENCE, |h| {
        h.is_callback("received") && h.text("/trigger/name") == "customer"
    })?;
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    drop(platform);
    Ok(plan.record.clone().unwrap())
}

/// What the trace must contain to make the comparison meaningful.
fn is_rich(actions: &str) -> Outcome {
    for word in [
        "\"do\":\"probe\"",
        "\"do\":\"repair\"",
        "\"rung\":\"restart-interface\"",
        "\"outcome\":\"no_effect\"",
        "\"state\":\"requested\"",
        "\"state\":\"received\"",
        "\"state\":\"withdrawn\"",
        "it is slow",
        "asked to end",
    ] {
        must(actions.contains(word), || format!("the recorded actions have no {word}"))?;
    }
    Ok(())
}

fn equal(program: &Path, record: &Path) -> Outcome {
    let wanted = fs::read(record.join("actions.jsonl"))?;
    is_rich(&String::from_utf8_lossy(&wanted))?;
    let out = replay(program, &record.join("trace.jsonl"))?;
    must(out.status.code() == Some(0), || {
        format!("{}: {}", out.status, String::from_utf8_lossy(&out.stderr))
    })?;
    if out.stdout != wanted {
        let (ours, theirs) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&wanted));
        let at = ours.lines().zip(theirs.lines()).position(|(a, b)| a != b);
        let line =
            |text: &str| at.and_then(|n| text.lines().nth(n)).unwrap_or("(one ends before)").to_owned();
        return Err(
            format!("line {at:?} differs:\nreplayed {}\nrecorded {}", line(&ours), line(&theirs)).into()
        );
    }
    println!("{} bytes of actions are the same", wanted.len());
    // The trace of the previous run is stored beside it and replays on its own.
    let out = replay(program, &record.join("trace.1.jsonl"))?;
    must(out.status.code() == Some(0) && out.stdout == fs::read(record.join("actions.1.jsonl"))?, || {
        "the older segment does not replay".into()
    })
}

fn whole() -> Outcome {
    equal(Path::new(agent_binary()), &record()?)
}

/// The features of a router build: without TOML and without the lab's additions.
fn router() -> Outcome {
    let root = repository_path("");
    let out = Command::new("cargo")
        .args(["build", "--locked", "--offline", "-p", "linekeeper", "--no-default-features"])
        .args(["--target-dir", "target/router-features"])
        .current_dir(&root)
        .output()?;
    must(out.status.success(), || format!("it does not build: {}", String::from_utf8_lossy(&out.stderr)))?;
    equal(&root.join("target/router-features/debug/linekeeper"), &record()?)
}

fn cut() -> Outcome {
    let world = build()?;
    // A trace needs no broker.
    let plan = Plan::new(&world, "gw-0001");
    let record = plan.record.clone().unwrap();
    let trace = record.join("trace.jsonl");
    for n in 0..5u64 {
        let mut agent = plan.start(&world)?;
        plan.expect_line("up")?;
        world.silence_access()?;
        // While much happens: echoes, an incident, remedies.
        std::thread::sleep(Duration::from_millis(1_800 + 370 * n));
        agent.kill();
        world.restore_access()?;
        let actions = fs::read(record.join("actions.jsonl"))?;
        let out = replay(Path::new(agent_binary()), &trace)?;
        let said = String::from_utf8_lossy(&out.stderr);
        let text = fs::read(&trace)?;
        let wanted = if text.ends_with(b"\n") { Some(0) } else { Some(65) };
        must(out.status.code() == wanted, || format!("{}: {said}", out.status))?;
        // The trace is written before the step and the actions after it: the replay knows at least as much.
        must(out.stdout.starts_with(&actions), || "the replay differs from what was done".into())?;
        let more = out.stdout[actions.len()..].split(|b| *b == b'\n').filter(|l| !l.is_empty()).count();
        println!("death {}: {} bytes of actions, {more} more by the replay", n + 1, actions.len());
    }
    // Truncated in the middle of the last line, as after a power cut or on a full disk.
    let text = fs::read(&trace)?;
    let last = text[..text.len() - 1].iter().rposition(|b| *b == b'\n').ok_or("one line only")? + 1;
    let lines = text.iter().filter(|b| **b == b'\n').count();
    let all = replay(Path::new(agent_binary()), &trace)?.stdout;
    for at in [last + 1, last + (text.len() - last) / 2, text.len() - 2] {
        let torn = record.join("torn.jsonl");
        fs::write(&torn, &text[..at])?;
        let out = replay(Path::new(agent_binary()), &torn)?;
        let said = String::from_utf8_lossy(&out.stderr);
        must(out.status.code() == Some(65), || format!("{}: {said}", out.status))?;
        for word in ["cut off", "torn.jsonl", &format!("line {lines}, column ")] {
            must(said.contains(word), || format!("it does not say {word:?}: {said}"))?;
        }
        must(all.starts_with(&out.stdout) && !out.stdout.is_empty(), || {
            "what came before it is not replayed".into()
        })?;
    }
    Ok(())
}
