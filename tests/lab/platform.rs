//! Commands and configuration from the platform, over a real broker, with the real daemon in namespaces.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::agent_binary;
use crate::common::field::{
    KEPT, Mosquitto, MqttMessage, Outcome, PATIENCE, Plan, Subscriber, Test, build, exec, must,
    print_duration,
};
use libtest_mimic::Failed;
use linekeeper::act::mqtt::command::digits;
use linekeeper_contract::message::signed_configuration;
use linekeeper_lab::clock;
use linekeeper_lab::platform::ROOT;
use linekeeper_lab::world::{Host, PLATFORM, World};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

const NEEDS: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];
const DEVICE: &str = "gw-0001";
/// The shortest allowed trial of a configuration.
const WITHIN: Duration = Duration::from_secs(10);

pub fn tests() -> Vec<Test> {
    vec![
        Test::lab("every_command_behaves_as_specified", NEEDS, commands),
        Test::lab("commands_during_an_outage_and_across_a_reboot", NEEDS, outage_and_reboot),
        Test::lab("desired_configuration_is_applied_in_part", NEEDS, in_part),
        Test::lab("configuration_that_cuts_the_gateway_off_is_rolled_back", NEEDS, cut_off).early(),
        Test::lab("crash_during_the_trial_rolls_the_configuration_back", NEEDS, death),
    ]
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap()
}

fn signed(device: &str, id: &str, command: &str, expires: &str, argument: &str) -> String {
    let text = format!("linekeeper.command.v1\n{device}\n{id}\n{command}\n{expires}\n{argument}");
    digits(pair().sign(text.as_bytes()).as_ref())
}

fn plan(world: &World) -> Plan {
    let marker = Path::new(KEPT).join("rebooted");
    let key = digits(pair().public_key().as_ref());
    let more = format!(
        "[commands]\nallow = [\"check\", \"diagnose\", \"remedy\", \"reboot\", \"programme\"]\nkey = \"{key}\"\n\n\
         [desired]\nwithin = \"{} s\"\n\n[store]\n",
        WITHIN.as_secs()
    );
    Plan::new(world, DEVICE).edit("[store]\n", &more).edit(
        "[remedies]\n",
        &format!("[remedies]\nreboot = [\"touch\", {:?}]\n", marker.display().to_string()),
    )
}

fn publish(world: &World, topic: &str, payload: &str, more: &[&str]) -> Outcome {
    let (host, topic) = (PLATFORM.to_string(), format!("{ROOT}/{DEVICE}/{topic}"));
    let mut words =
        vec!["mosquitto_pub", "-h", &host, "-V", "mqttv5", "-q", "1", "-t", &topic, "-m", payload];
    if payload.is_empty() {
        words.truncate(words.len() - 2);
        words.push("-n");
    }
    words.extend(more);
    exec(world, Host::Platform, &words).map(|_| ())
}

fn is_result(h: &MqttMessage, id: &str, state: &str) -> bool {
    h.kind == "command/result" && h.text("/command_id") == id && h.text("/state") == state
}

fn result(subscriber: &Subscriber, id: &str, state: &str) -> Result<MqttMessage, Failed> {
    subscriber.expect(&format!("{id} {state}"), 0, PATIENCE, |h| is_result(h, id, state))
}

fn commands() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let order = |payload: &Value, more: &[&str]| publish(&world, "command", &payload.to_string(), more);
    order(&json!({ "id": "RETAINED", "command": "check" }), &["-r"])?;
    let plan = plan(&world);
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    let refused = result(&subscriber, "RETAINED", "refused")?;
    must(refused.text("/reason") == "retained", || refused.json.to_string())?;
    publish(&world, "command", "", &["-r"])?;

    let at = clock::uptime();
    order(
        &json!({ "schema": "linekeeper.command.v1", "id": "C1", "command": "check", "new_field": 1 }),
        &["-D", "publish", "correlation-data", "ask-7"],
    )?;
    let done = result(&subscriber, "C1", "done")?;
    print_duration("a check, from mosquitto_pub to its answer at mosquitto_sub", done.at.saturating_sub(at));
    must(done.json["result"]["line"] == "up", || done.json.to_string())?;
    must(done.text("/correlation") == digits(b"ask-7"), || done.json.to_string())?;
    // The correlation data in the MQTT properties, which the other subscriber does not print.
    let seen = {
        let host = PLATFORM.to_string();
        let topic = format!("{ROOT}/{DEVICE}/command/result");
        let words = ["-h", &host, "-V", "mqttv5", "-t", &topic, "-C", "1", "-W", "20", "-F", "%D"];
        let sub = std::thread::scope(|scope| {
            let sub = scope.spawn(|| {
                let mut all = vec!["mosquitto_sub"];
                all.extend(words);
                exec(&world, Host::Platform, &all)
            });
            // Repeated until the subscriber is there; a repeated command gets the same answer.
            let mut tries = 0;
            while !sub.is_finished() && tries < 6 {
                tries += 1;
                let _ = order(
                    &json!({ "id": "C1", "command": "check" }),
                    &["-D", "publish", "correlation-data", "ask-8"],
                );
                clock::wait_until(Duration::from_secs(2), || sub.is_finished());
            }
            sub.join()
        });
        sub.map_err(|_| "mosquitto_sub panicked")??
    };
    must(seen.trim() == "ask-8", || format!("the correlation data is {seen:?}"))?;
    let ids: std::collections::BTreeSet<String> = subscriber
        .received(0)
        .iter()
        .filter(|h| h.kind == "command/result" && h.text("/command_id") == "C1")
        .map(|h| h.id().to_owned())
        .collect();
    must(ids.len() == 1, || format!("a repeated command has different results: {ids:?}"))?;

    publish(&world, "command", r#"{"id":"M1","command":"dance"}"#, &[])?;
    publish(&world, "command", r#"{"command":"check""#, &[])?;
    order(&json!({ "id": "L1", "command": "check", "x": "y".repeat(6_000) }), &[])?;
    let soon = "2099-01-01T00:00:00Z";
    order(&json!({ "id": "D1", "device_id": "gw-0002", "command": "check" }), &[])?;
    let past = "2001-01-01T00:00:00Z";
    order(&json!({ "id": "E1", "command": "check", "issued": past, "expires": past }), &[])?;
    let remedy = |id: &str, signature: Value| {
        json!({
            "id": id, "command": "remedy", "arguments": { "rung": "renew" }, "issued": "2098-12-31T23:59:00Z",
            "expires": soon, "signature": signature,
        })
    };
    order(&remedy("S1", Value::Null), &[])?;
    order(&remedy("S2", signed(DEVICE, "S1", "remedy", soon, "renew").into()), &[])?;
    order(&remedy("S3", signed("gw-0002", "S3", "remedy", soon, "renew").into()), &[])?;
    for (id, state, reason) in [
        ("M1", "refused", "malformed"),
        ("L1", "refused", "too_large"),
        ("D1", "refused", "other_device"),
        ("E1", "expired", "expired"),
        ("S1", "refused", "unsigned"),
        ("S2", "refused", "bad_signature"),
        ("S3", "refused", "bad_signature"),
    ] {
        let said = result(&subscriber, id, state)?;
        must(said.text("/reason") == reason, || said.json.to_string())?;
        println!("{id}: {state}, {reason}: {}", said.text("/detail"));
    }
    plan.expect_log("a command of 18 bytes is passed over, for it is not JSON")?;

    // Within a day, whether the clock here is trusted or not.
    let expires = {
        let wall = linekeeper::clock::Clock::start(None).wall();
        let wall = linekeeper_contract::units::Wall(wall.0 + 600_000);
        linekeeper_contract::units::LocalTime { wall, offset_minutes: 0 }.to_string()
    };
    let mut good = remedy("S4", signed(DEVICE, "S4", "remedy", &expires, "renew").into());
    good["issued"] = Value::Null;
    good["expires"] = expires.into();
    order(&good, &[])?;
    for state in ["accepted", "started", "done"] {
        result(&subscriber, "S4", state)?;
    }
    let done = result(&subscriber, "S4", "done")?;
    must(done.text("/outcome") == "ok", || done.json.to_string())?;
    println!("S4: {}", done.text("/detail"));
    let events = subscriber.critical(0);
    must(events.is_empty(), || {
        format!("a commanded remedy on a working line must cause no event: {events:?}")
    })?;
    must(agent.stop(PATIENCE), || "it does not end".into())
}

fn outage_and_reboot() -> Outcome {
    let world = build()?;
    let mut broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = plan(&world);
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    subscriber.expect("birth", 0, PATIENCE, |h| h.kind == "state" && h.json["online"] == true)?;
    world.silence_upstream()?;
    plan.expect_line("down")?;
    // Its connections ended with the broker, but its sessions did not: from now on the broker stores messages for it.
    // (Before, they are lost in the stalled connection.)
    broker.down()?;
    broker.up(&world)?;
    let check = |id: &str| json!({ "id": id, "command": "check" }).to_string();
    publish(&world, "command", &check("HELD"), &["-D", "publish", "message-expiry-interval", "300"])?;
    let past = "2001-01-01T00:00:00Z";
    let stale = json!({ "id": "STALE", "command": "check", "issued": past, "expires": past });
    publish(&world, "command", &stale.to_string(), &[])?;
    world.restore_upstream()?;
    result(&subscriber, "HELD", "done")?;
    result(&subscriber, "STALE", "expired")?;
    plan.expect_incident_end()?;

    let wall = linekeeper::clock::Clock::start(None).wall();
    let wall = linekeeper_contract::units::Wall(wall.0 + 600_000);
    let expires = linekeeper_contract::units::LocalTime { wall, offset_minutes: 0 }.to_string();
    let reboot = json!({
        "id": "B1", "command": "reboot", "expires": expires,
        "signature": signed(DEVICE, "B1", "reboot", &expires, ""),
    });
    publish(&world, "command", &reboot.to_string(), &[])?;
    let marker = Path::new(KEPT).join("rebooted");
    must(clock::wait_until(PATIENCE, || marker.exists()), || "the gateway was not rebooted".into())?;
    let started = result(&subscriber, "B1", "started")?;
    // The reboot: the process ends, and the next one has another boot id.
    agent.kill();
    fs::remove_file(&marker)?;
    let other = Path::new(KEPT).join("boot_id");
    fs::write(&other, "11111111-2222-3333-4444-555555555555\n")?;
    let bind = ["mount", "--bind", other.to_str().unwrap(), "/proc/sys/kernel/random/boot_id"];
    let status = std::process::Command::new(bind[0]).args(&bind[1..]).status()?;
    must(status.success(), || "the boot id cannot be changed here".into())?;
    let mut agent = plan.start(&world)?;
    let done = result(&subscriber, "B1", "done")?;
    must(done.text("/outcome") == "ok", || done.json.to_string())?;
    must(done.text("/started_boot_id") == started.text("/time/boot_id"), || done.json.to_string())?;
    must(done.text("/time/boot_id") == "11111111-2222-3333-4444-555555555555", || done.json.to_string())?;
    let place = subscriber.place();
    publish(&world, "command", &reboot.to_string(), &[])?;
    let again = subscriber.expect("the same answer", place, PATIENCE, |h| is_result(h, "B1", "done"))?;
    must(again.id() == done.id(), || "a different result".into())?;
    must(!marker.exists(), || "one command rebooted the gateway twice".into())?;
    must(agent.stop(PATIENCE), || "it does not end".into())
}

fn desire(world: &World, version: &str, config: Value) -> Outcome {
    let text = signed_configuration(DEVICE, version, &config);
    let signature = digits(pair().sign(text.as_bytes()).as_ref());
    let desired = json!({
        "schema": "linekeeper.config-desired.v1", "version": version, "config": config, "signature": signature,
    });
    publish(world, "config/desired", &desired.to_string(), &["-r"])
}

fn reported(
    subscriber: &Subscriber,
    place: usize,
    version: &str,
    state: &str,
) -> Result<MqttMessage, Failed> {
    let words = format!("the report that {version} is {state}");
    subscriber.expect(&words, place, PATIENCE * 2, |h| {
        h.kind == "config/reported" && h.text("/desired") == version && h.text("/state") == state
    })
}

fn in_part() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = plan(&world);
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    subscriber.expect("the first report", 0, PATIENCE, |h| {
        h.kind == "config/reported" && h.text("/state") == "local"
    })?;
    let at = clock::uptime();
    desire(
        &world,
        "v1",
        json!({
            "outage": { "patience": "1 s" },
            "device": { "id": "gw-9999", "customer": "CUST2002" },
            "probe": { "timeout": "soon" },
            "mqtt": { "ca": "/tmp/ca.pem", "keep_alive": "7 s" },
            "moon": { "phase": "full" },
        }),
    )?;
    let applied = reported(&subscriber, 0, "v1", "applied")?;
    print_duration("desired → kept after a broker connection and an echo", applied.at.saturating_sub(at));
    must(applied.text("/version") == "v1", || applied.json.to_string())?;
    let keys: Vec<&str> =
        applied.json["rejected"].as_array().unwrap().iter().map(|r| r["key"].as_str().unwrap()).collect();
    must(keys == ["device.id", "moon.phase", "mqtt.ca", "probe.timeout"], || format!("{keys:?}"))?;
    for rejected in applied.json["rejected"].as_array().unwrap() {
        println!("rejected {}: {}", rejected["key"], rejected["reason"]);
    }
    plan.expect_line("up")?;
    // In force: the new customer reference is in the next callback, also after a restart.
    for life in ["this", "the next"] {
        let place = subscriber.place();
        let words = ["callback", "--reason", life, "--socket"];
        let out = std::process::Command::new(agent_binary()).args(words).arg(plan.socket()).output()?;
        must(out.status.success(), || String::from_utf8_lossy(&out.stderr).into_owned())?;
        let callback = subscriber.wait(place, PATIENCE, |h| h.kind == "callback");
        if let Some(callback) = callback {
            must(callback.text("/customer_id") == "CUST2002", || callback.json.to_string())?;
        }
        if life == "this" {
            must(agent.stop(PATIENCE), || "it does not end".into())?;
            agent = plan.start(&world)?;
            plan.expect_line("up")?;
        }
    }
    // The retained message arrives again with each connection and changes nothing.
    must(plan.log().matches("goes on trial").count() == 1, || "it was tried again".into())?;
    // A configuration without any valid key.
    let place = subscriber.place();
    desire(&world, "v2", json!({ "store": { "directory": "/tmp" } }))?;
    let refused = reported(&subscriber, place, "v2", "refused")?;
    must(refused.text("/version") == "v1", || format!("v1 stays in force: {}", refused.json))?;
    publish(&world, "config/desired", "this is no JSON", &["-r"])?;
    subscriber.expect("a refusal", place, PATIENCE, |h| {
        h.kind == "config/reported" && h.text("/reason").contains("not an object")
    })?;
    // The platform withdraws its configuration.
    let place = subscriber.place();
    publish(&world, "config/desired", "", &["-r"])?;
    subscriber.expect("the gateway's own", place, PATIENCE * 2, |h| {
        h.kind == "config/reported" && h.text("/state") == "local" && h.json["version"].is_null()
    })?;
    must(agent.stop(PATIENCE), || "it does not end".into())
}

fn cut_off() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = plan(&world);
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    desire(&world, "good", json!({ "outage": { "patience": "1 s" } }))?;
    reported(&subscriber, 0, "good", "applied")?;
    for (version, config, word) in [
        ("no-broker", json!({ "mqtt": { "broker": "mqtt://192.0.2.99" } }), "the broker was not reached"),
        (
            "no-probe",
            json!({ "probe": { "targets": [{ "host": "198.18.99.99", "role": "anchor" }], "grace": "0 s" } }),
            "no echo came back",
        ),
        ("no-line", json!({ "line": { "device": "nosuch0" } }), "no echo came back"),
    ] {
        let place = subscriber.place();
        let at = clock::uptime();
        desire(&world, version, config)?;
        let returned = reported(&subscriber, place, version, "returned")?;
        let took = returned.at.saturating_sub(at);
        print_duration(&format!("{version}: desired → returned and reported"), took);
        println!("{version}: {}", returned.text("/reason"));
        must(returned.text("/reason").contains(word), || returned.json.to_string())?;
        must(returned.text("/version") == "good", || format!("the last good one: {}", returned.json))?;
        must(took >= WITHIN && took < WITHIN + PATIENCE, || format!("it took {took:?}"))?;
        plan.expect_line("up")?;
        let place = subscriber.place();
        publish(
            &world,
            "command",
            &json!({ "id": format!("after-{version}"), "command": "check" }).to_string(),
            &[],
        )?;
        subscriber.expect("it still obeys", place, PATIENCE, |h| {
            is_result(h, &format!("after-{version}"), "done")
        })?;
    }
    let harm: Vec<Value> =
        plan.effective_actions().into_iter().filter(|d| d["action"]["do"] == "repair").collect();
    must(harm.is_empty(), || format!("remedies were taken during the trial: {harm:?}"))?;
    let calls = subscriber.received(0).iter().filter(|h| h.kind == "callback").count();
    must(calls == 0, || format!("{calls} callbacks about a configuration"))?;
    // A rolled back configuration is not tried again after a reconnect or a restart.
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    let trials = plan.log().matches("goes on trial").count();
    let place = subscriber.place();
    agent = plan.start(&world)?;
    reported(&subscriber, place, "no-line", "returned")?;
    plan.expect_line("up")?;
    must(plan.log().matches("goes on trial").count() == trials, || "it was tried again".into())?;
    must(agent.stop(PATIENCE), || "it does not end".into())
}

fn death() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = plan(&world);
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    desire(&world, "deadly", json!({ "mqtt": { "broker": "mqtt://192.0.2.99" } }))?;
    plan.expect_log("beginning anew with another configuration")?;
    agent.kill();
    let mut agent = plan.start(&world)?;
    let returned = reported(&subscriber, 0, "deadly", "returned")?;
    must(returned.text("/reason").contains("ended while it was on trial"), || returned.json.to_string())?;
    must(returned.json["version"].is_null(), || returned.json.to_string())?;
    must(agent.stop(PATIENCE), || "it does not end".into())
}
