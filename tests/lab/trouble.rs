//! Trouble with the environment. Each is reported (what, where, what to try), the agent keeps watching, and what can recover
//! does so when the trouble ends.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::field::{
    Mosquitto, Outcome, PATIENCE, Plan, Subscriber, Test, build, exec, must, read, state_becomes, sysctl,
};
use crate::common::{agent_binary, field};
use libtest_mimic::Failed;
use linekeeper_lab::clock;
use linekeeper_lab::world::{Host, World, ip};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    const MQTT: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];
    const NFT: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub", "nft"];
    const PASSWORD: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub", "mosquitto_passwd"];
    vec![
        Test::lab("without_permission_to_send_echoes", &["setpriv"], no_rights),
        Test::lab("with_a_wan_device_that_does_not_exist", &[], unknown_device),
        Test::lab("with_nothing_listening_at_the_broker_address", MQTT, no_broker),
        Test::lab("with_a_broker_behind_a_firewall", NFT, unreachable_broker),
        Test::lab("with_a_broker_that_rejects_the_login", PASSWORD, unknown_to_the_broker),
        Test::lab("with_a_broker_that_forbids_callbacks", MQTT, forbidden),
        Test::lab("with_a_store_that_is_read_only", MQTT, read_only_store),
        Test::lab("with_a_store_that_is_full", MQTT, full_store),
        Test::lab("with_a_corrupt_snapshot_and_outbox", MQTT, rubbish),
        Test::lab("with_a_status_socket_that_cannot_be_created", MQTT, no_socket),
        Test::lab("with_another_linekeeper_running", &[], another),
        Test::lab("with_a_full_disk_for_the_trace", &[], full_record),
        Test::lab("callback_requested_on_the_command_line", MQTT, asks),
    ]
}

const DEVICE: &str = "gw-0001";

/// Waits until the log contains all these texts.
fn says(plan: &Plan, words: &[&str]) -> Outcome {
    for word in words {
        plan.expect_log(word)?;
    }
    Ok(())
}

/// Waits until the status reports this trouble.
fn is_troubled(plan: &Plan, part: &str, word: &str) -> Outcome {
    let mut last = String::new();
    let told = clock::wait_until(PATIENCE, || {
        last = plan.status().map(|s| s["status"]["troubles"].to_string()).unwrap_or_default();
        last.contains(&format!("\"{part}\"")) && last.contains(word)
    });
    must(told, || format!("the status does not report {word:?} for {part}, but {last}"))
}

fn is_well(plan: &Plan) -> Outcome {
    let mut last = String::new();
    let told = clock::wait_until(PATIENCE * 3, || {
        last = plan.status().map(|s| s["status"]["troubles"].to_string()).unwrap_or_default();
        last == "{}"
    });
    must(told, || format!("the trouble does not end: {last}"))
}

/// Checks that the agent still watches: it reports a break of the line.
fn watches(world: &World, plan: &Plan) -> Outcome {
    plan.expect_line("up")?;
    world.silence_upstream()?;
    plan.expect_line("down")?;
    world.restore_upstream()?;
    plan.expect_line("up")
}

fn no_rights() -> Outcome {
    let world = build()?;
    let mut plan = Plan::new(&world, DEVICE);
    plan.prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"].map(str::to_owned).into();
    let _agent = plan.start(&world)?;
    says(&plan, &["may not send echoes", "CAP_NET_RAW", "net.ipv4.ping_group_range"])?;
    is_troubled(&plan, "echo", "may not send echoes")?;
    // Without probes the state is unknown, not down, and nothing is done.
    std::thread::sleep(Duration::from_secs(5));
    let status = plan.status()?;
    must(status["status"]["line"] == "unknown", || {
        format!("blind, and the line is {}", status["status"]["line"])
    })?;
    must(plan.effective_actions().is_empty(), || {
        format!("blind, and it did {:?}", plan.effective_actions())
    })?;
    // What needs no permission still works.
    world.cut_carrier()?;
    plan.expect_line("down")?;
    world.restore_carrier()?;
    let said = plan.log().matches("may not send echoes").count();
    must(said == 1, || format!("said {said} times"))?;
    sysctl(&world, Host::Gateway, "net/ipv4/ping_group_range", "0 0")?;
    is_well(&plan)?;
    watches(&world, &plan)
}

fn unknown_device() -> Outcome {
    let world = build()?;
    let plan = Plan::new(&world, DEVICE).edit("device = \"wan0\"", "device = \"wan9\"");
    let _agent = plan.start(&world)?;
    says(&plan, &["\"wan9\" does not exist", "wan0", "set line.device"])?;
    is_troubled(&plan, "link", "wan9")?;
    let status = plan.status()?;
    must(status["device_id"] == DEVICE, || status.to_string())?;
    // The device appears later, like that of a USB modem.
    ip(Host::Gateway, &["link", "set", "wan0", "down"])?;
    ip(Host::Gateway, &["link", "set", "wan0", "name", "wan9"])?;
    ip(Host::Gateway, &["link", "set", "wan9", "up"])?;
    ip(Host::Gateway, &["addr", "replace", "198.18.100.10/24", "dev", "wan9"])?;
    ip(Host::Gateway, &["route", "replace", "default", "via", "198.18.100.1", "dev", "wan9"])?;
    is_well(&plan)?;
    watches(&world, &plan)
}

fn no_broker() -> Outcome {
    let world = build()?;
    let plan = Plan::new(&world, DEVICE);
    let _agent = plan.start(&world)?;
    says(
        &plan,
        &["cannot connect to the broker mqtt://198.18.250.10:1883", "nobody listens there", "port right?"],
    )?;
    watches(&world, &plan)?;
    let waiting = plan.status()?["waiting"].as_u64();
    must(waiting >= Some(2), || format!("{waiting:?} messages wait"))?;
    let mut said = plan.log().matches("nobody listens there").count();
    std::thread::sleep(Duration::from_secs(3));
    said = plan.log().matches("nobody listens there").count() - said;
    must(said == 0, || format!("it repeats itself: {said} more lines in 3 s"))?;
    // The subscriber must be connected from the broker's start on, or it would miss the stored messages.
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    says(&plan, &["connected to the broker"])?;
    state_becomes(&world, DEVICE, "up", |v| v["online"] == true && v["line"] == "up")?;
    let sent = clock::wait_until(PATIENCE, || plan.status().is_ok_and(|s| s["waiting"] == 0));
    must(sent, || "messages still wait".into())?;
    drop(subscriber);
    Ok(())
}

fn unreachable_broker() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let nft = |rule: &str| exec(&world, Host::Platform, &["nft", rule]).map(|_| ());
    nft("add table ip wall")?;
    nft("add chain ip wall input { type filter hook input priority 0; }")?;
    nft("add rule ip wall input ip saddr 198.18.9.2 drop")?;
    let plan = Plan::new(&world, DEVICE);
    let _agent = plan.start(&world)?;
    watches(&world, &plan)?;
    says(
        &plan,
        &["cannot connect to the broker mqtt://198.18.250.10:1883", "no answer within 10 s", "firewall"],
    )?;
    must(subscriber.critical(0).is_empty(), || "the wall has holes".into())?;
    nft("delete table ip wall")?;
    for name in ["incident_opened", "incident_closed"] {
        let came = subscriber.expect(name, 0, PATIENCE, |h| h.is_event(name))?;
        must(came.json["late"] == true, || format!("{name} came late and is not marked: {}", came.json))?;
    }
    Ok(())
}

fn unknown_to_the_broker() -> Outcome {
    let world = build()?;
    let passwords = Path::new(field::KEPT).join("passwords");
    fs::create_dir_all(field::KEPT)?;
    let set = |user: &str, password: &str, flags: &[&str]| -> Outcome {
        let out =
            Command::new("mosquitto_passwd").args(flags).arg(&passwords).args([user, password]).output()?;
        must(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())
    };
    set("subscriber", "e", &["-c", "-b"])?;
    set(DEVICE, "right", &["-b"])?;
    let lines = format!("allow_anonymous false\npassword_file {}\n", passwords.display());
    let _broker = Mosquitto::with(&world, &lines)?;
    let subscriber = Subscriber::with(&world, &["-u", "subscriber", "-P", "e"])?;
    let mut plan = Plan::new(&world, DEVICE);
    {
        let _agent = plan.start(&world)?;
        says(&plan, &["it refused us (NotAuthorized)", "certificate or login here"])?;
        watches(&world, &plan)?;
    }
    let password = Path::new(field::KEPT).join("password");
    let login = format!("[mqtt]\nusername = \"{DEVICE}\"\npassword_file = \"{}\"\n", password.display());
    plan = plan.edit("[mqtt]\n", &login);
    let _agent = plan.start(&world)?;
    says(&plan, &["password cannot be read", "check the path and who may read it"])?;
    fs::write(&password, "wrong\n")?;
    let refused = plan.log().matches("it refused us").count();
    must(clock::wait_until(PATIENCE, || plan.log().matches("it refused us").count() > refused), || {
        "a wrong password is not reported".into()
    })?;
    // The password is read again for each attempt.
    fs::write(&password, "right\n")?;
    let opened = subscriber.expect("what waited", 0, PATIENCE, |h| h.is_event("incident_opened"))?;
    must(opened.device == DEVICE, || opened.device.clone())
}

fn forbidden() -> Outcome {
    let world = build()?;
    let acl = Path::new(field::KEPT).join("acl");
    fs::create_dir_all(field::KEPT)?;
    let closed = format!(
        "topic read linekeeper/v1/#\ntopic write linekeeper/v1/nobody/hello\ntopic write linekeeper/v1/{DEVICE}/state\n\
         topic write linekeeper/v1/{DEVICE}/event\n"
    );
    fs::write(&acl, &closed)?;
    let mut broker = Mosquitto::with(&world, &format!("allow_anonymous true\nacl_file {}\n", acl.display()))?;
    let subscriber = Subscriber::start(&world)?;
    let plan = Plan::new(&world, DEVICE).edit("after = \"8 s\"", "after = \"0 s\"");
    let _agent = plan.start(&world)?;
    plan.expect_line("up")?;
    world.silence_upstream()?;
    says(&plan, &["the broker refused message", "NotAuthorized", "trying it again in 10 s", "others go on"])?;
    world.restore_upstream()?;
    // Events are still delivered.
    subscriber.expect("incident_closed", 0, PATIENCE, |h| h.is_event("incident_closed"))?;
    must(!subscriber.received(0).iter().any(|h| h.kind == "callback"), || {
        "the broker forbids nothing".into()
    })?;
    fs::write(&acl, closed + &format!("topic write linekeeper/v1/{DEVICE}/callback\n"))?;
    broker.down()?;
    broker.up(&world)?;
    let requested = subscriber.expect("the callback", 0, PATIENCE * 2, |h| h.is_callback("requested"))?;
    let withdrawn = subscriber.expect("its withdrawal", 0, PATIENCE * 2, |h| h.is_callback("withdrawn"))?;
    must(requested.text("/callback_id") == withdrawn.text("/callback_id"), || "two callbacks".into())
}

/// Mounts a separate file system at `path`.
fn mount(path: &Path, options: &str) -> Outcome {
    fs::create_dir_all(path)?;
    linekeeper_lab::run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "field"]).arg(path))?;
    Ok(())
}

fn remount(path: &Path, options: &str) -> Outcome {
    linekeeper_lab::run(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(path))?;
    Ok(())
}

fn read_only_store() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = Plan::new(&world, DEVICE);
    mount(&plan.store(), "size=1m,ro")?;
    let store = plan.store().display().to_string();
    let _agent = plan.start(&world)?;
    says(&plan, &[&format!("{store}/state.json"), &format!("{store}/outbox.log")])?;
    says(&plan, &["Read-only file system", "the file system is read-only", "name another store.directory"])?;
    is_troubled(&plan, "store", "read-only")?;
    watches(&world, &plan)?;
    for name in ["incident_opened", "incident_closed"] {
        subscriber.expect(name, 0, PATIENCE, |h| h.is_event(name))?;
    }
    is_troubled(&plan, "outbox", "memory only")?;
    remount(&plan.store(), "rw")?;
    // The following events are stored again.
    watches(&world, &plan)?;
    is_well(&plan)?;
    says(&plan, &["store works again", "outbox works again"])?;
    must(read(&plan.store().join("state.json")).starts_with("linekeeper.state.v1"), || "no snapshot".into())
}

fn full_store() -> Outcome {
    let world = build()?;
    let mut broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = Plan::new(&world, DEVICE);
    mount(&plan.store(), "size=64k")?;
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    broker.down()?;
    let ballast = plan.store().join("ballast");
    // Fill it up.
    let mut full = false;
    let mut text = Vec::new();
    while !full {
        text.extend([b'x'; 4_096]);
        full = fs::write(&ballast, &text).is_err();
    }
    world.silence_upstream()?;
    plan.expect_line("down")?;
    says(&plan, &["No space left on device", "the file system is full", "remove what is not needed there"])?;
    is_troubled(&plan, "store", "full")?;
    world.restore_upstream()?;
    plan.expect_line("up")?;
    // Free space again: with the next message the ones held in memory are stored, and a kill then loses nothing.
    fs::remove_file(&ballast)?;
    world.silence_upstream()?;
    plan.expect_line("down")?;
    world.restore_upstream()?;
    plan.expect_line("up")?;
    is_well(&plan)?;
    agent.kill();
    broker.up(&world)?;
    let _agent = plan.start(&world)?;
    subscriber.expect("the first incident's opening", 0, PATIENCE, |h| h.is_event("incident_opened"))?;
    let came = || subscriber.critical(0).iter().filter(|h| h.is_event("incident_closed")).count();
    must(clock::wait_until(PATIENCE, || came() >= 2), || "a closing was lost".into())
}

fn rubbish() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = Plan::new(&world, DEVICE);
    let mut agent = plan.start(&world)?;
    watches(&world, &plan)?;
    subscriber.expect("incident_closed", 0, PATIENCE, |h| h.is_event("incident_closed"))?;
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    let mut snapshot = fs::read(plan.store().join("state.json"))?;
    let middle = snapshot.len() / 2;
    snapshot[middle] ^= 1;
    fs::write(plan.store().join("state.json"), snapshot)?;
    let mut outbox = fs::read(plan.store().join("outbox.log"))?;
    outbox.extend(b"\x00\xff rubbish");
    fs::write(plan.store().join("outbox.log"), outbox)?;
    let place = subscriber.place();
    let _agent = plan.start(&world)?;
    says(
        &plan,
        &["state.json cannot be used: its checksum does not fit", "set-aside-", "Starting without it"],
    )?;
    says(
        &plan,
        &["outbox.log was damaged", "waiting messages were recovered", "a copy of the damaged file is kept"],
    )?;
    says(&plan, &["the memory could not be read and begins anew"])?;
    watches(&world, &plan)?;
    let opened = subscriber.expect("a new incident", place, PATIENCE, |h| h.is_event("incident_opened"))?;
    let before: Vec<_> = subscriber.critical(0).into_iter().take_while(|h| h.at < opened.at).collect();
    must(before.iter().all(|h| h.id() != opened.id()), || format!("the id {} was used before", opened.id()))?;
    must(before.iter().all(|h| h.text("/incident/id") != opened.text("/incident/id")), || {
        format!("the incident's id {} was used before", opened.text("/incident/id"))
    })
}

fn no_socket() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = Plan::new(&world, DEVICE);
    let closed = PathBuf::from(field::KEPT).join("closed");
    mount(&closed, "size=64k,ro")?;
    let socket = closed.join("s.sock");
    let theirs = plan.socket().display().to_string();
    let plan = plan.edit(&theirs, &socket.display().to_string());
    let mut agent = plan.start(&world)?;
    says(
        &plan,
        &["cannot listen at", &socket.display().to_string(), "set status.socket", "status` will not work"],
    )?;
    subscriber.expect("up", 0, PATIENCE, |h| h.kind == "state" && h.text("/line") == "up")?;
    world.silence_upstream()?;
    subscriber.expect("opened", 0, PATIENCE, |h| h.is_event("incident_opened"))?;
    let out = Command::new(agent_binary()).args(["status", "--socket"]).arg(&socket).output()?;
    must(out.status.code() == Some(69), || format!("status ended with {}", out.status))?;
    must(agent.stop(PATIENCE), || "it does not end".into())
}

/// Two processes with one store would overwrite each other's messages.
fn another() -> Outcome {
    let world = build()?;
    let plan = Plan::new(&world, DEVICE);
    let _agent = plan.start(&world)?;
    plan.expect_line("up")?;
    let run = |words: &[&str]| -> Result<linekeeper_lab::world::Process, Failed> {
        let mut command = Command::new(agent_binary());
        command.arg("run").arg("--config").arg(plan.directory.join("linekeeper.toml")).args(words);
        let log = fs::File::create(plan.directory.join("second.log"))?;
        command.stderr(log);
        Ok(world.spawn_in(Host::Gateway, &mut command)?)
    };
    let mut second = run(&[])?;
    must(clock::wait_until(PATIENCE, || !second.is_alive()), || {
        "a second process runs beside the first".into()
    })?;
    let status = second.child().wait()?;
    let said = read(&plan.directory.join("second.log"));
    must(status.code() == Some(69), || format!("{status}: {said}"))?;
    must(said.contains("another linekeeper listens at") && said.contains("stop it first"), || said.clone())?;
    // A dry run writes nothing, so it may run beside the first, and leaves its socket alone.
    let mut dry = run(&["--dry-run"])?;
    let up =
        clock::wait_until(PATIENCE, || read(&plan.directory.join("second.log")).contains("the line is up"));
    must(up, || "a dry run does not watch".into())?;
    must(dry.stop(PATIENCE), || "the dry run does not end".into())?;
    let status = plan.status()?;
    must(status["status"]["line"] == "up", || status.to_string())
}

fn full_record() -> Outcome {
    let world = build()?;
    let plan = Plan::new(&world, DEVICE);
    let record = plan.record.clone().unwrap();
    mount(&record, "size=16k")?;
    let mut agent = plan.start(&world)?;
    let record_at = record.display().to_string();
    says(
        &plan,
        &["recording ends: cannot write", &record_at, "No space left", "free space or give --record another"],
    )?;
    is_troubled(&plan, "recorder", "recording ends")?;
    watches(&world, &plan)?;
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    // The trace replays up to the point where the disk was full.
    let out = Command::new(agent_binary()).arg("replay").arg(record.join("trace.jsonl")).output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    must(matches!(out.status.code(), Some(0 | 65)), || format!("{}: {said}", out.status))?;
    must(!out.stdout.is_empty(), || format!("nothing replays: {said}"))
}

fn asks() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = Plan::new(&world, DEVICE);
    let _agent = plan.start(&world)?;
    plan.expect_line("up")?;
    let verb =
        |words: &[&str]| Command::new(agent_binary()).args(words).arg("--socket").arg(plan.socket()).output();
    let out = verb(&["status"])?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    must(out.status.code() == Some(0), || format!("status ended with {}", out.status))?;
    for word in [DEVICE, "line UP", "198.51.100.1", "anchor", "gateway", "broker connected"] {
        must(text.contains(word), || format!("the status has no {word:?}:\n{text}"))?;
    }
    let out = verb(&["callback", "--reason", "很慢, \"very\" slow\nsince noon"])?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    must(out.status.code() == Some(0), || format!("callback ended with {}", out.status))?;
    let came = subscriber.expect("the callback", 0, PATIENCE, |h| h.is_callback("requested"))?;
    must(text.contains(came.text("/callback_id")) && text.contains("under way"), || text.clone())?;
    must(came.text("/trigger/dimension") == "event" && came.text("/severity") == "routine", || {
        came.json.to_string()
    })?;
    must(came.text("/issues/0/description").contains("很慢, \"very\" slow"), || {
        came.json["issues"].to_string()
    })?;
    // Requested twice, called once.
    let out = verb(&["callback", "--json"])?;
    let again: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    must(again["callback_id"] == came.json["callback_id"], || format!("another callback: {again}"))?;
    world.silence_upstream()?;
    plan.expect_line("down")?;
    let out = verb(&["status"])?;
    must(out.status.code() == Some(1), || format!("status of a dead line ended with {}", out.status))?;
    must(String::from_utf8_lossy(&out.stdout).contains("line DOWN"), || "it does not say DOWN".into())
}
