//! Outages with real packets, the real agent and Debian's mosquitto; mosquitto_sub shows what the platform receives.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::field;
use crate::common::field::{
    Mosquitto, Outcome, PATIENCE, Plan, Subscriber, Test, build, must, print_duration, retained_state,
    state_becomes,
};
use linekeeper_lab::clock;
use linekeeper_lab::platform::{Platform, Receipts};
use linekeeper_lab::world::{Host, PLATFORM, World};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

const NEEDS: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];

pub fn tests() -> Vec<Test> {
    vec![
        Test::lab("upstream_outage_and_its_end_are_reported", NEEDS, upstream),
        Test::lab("lost_carrier_is_reported_at_once", NEEDS, carrier),
        Test::lab("wedged_interface_is_repaired_without_a_callback", NEEDS, wedge),
        Test::lab("dead_access_leads_to_one_callback", NEEDS, dead_access),
        Test::lab("callback_without_a_receipt_is_repeated_with_the_same_id", NEEDS, unreceipted),
    ]
}

/// Time limits: the required times, with a margin for a busy machine.
const OPENED_WITHIN: Duration = Duration::from_secs(10);
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
const CARRIER_WITHIN: Duration = Duration::from_secs(3);
const HEALED_WITHIN: Duration = Duration::from_secs(20);

const DEVICE: &str = "gw-0001";

struct Scene {
    agent: linekeeper_lab::world::Process,
    platform: Platform,
    subscriber: Subscriber,
    _broker: Mosquitto,
    plan: Plan,
    world: World,
}

/// A working line and an agent that has reported it as up.
fn scene(plan: impl FnOnce(Plan) -> Plan) -> Result<Scene, libtest_mimic::Failed> {
    let world = build()?;
    let broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let platform = Platform::start(Some(Host::Platform), (PLATFORM, 1883).into(), Receipts::Received)?;
    let plan = plan(Plan::new(&world, DEVICE));
    let agent = plan.start(&world)?;
    subscriber.expect("the line's state", 0, PATIENCE, |h| h.kind == "state" && h.text("/line") == "up")?;
    Ok(Scene { agent, platform, subscriber, _broker: broker, plan, world })
}

fn upstream() -> Outcome {
    let s = scene(|plan| plan)?;
    // Two breaks: the first opens an incident, the second reopens it.
    for (n, name) in ["incident_opened", "incident_updated"].into_iter().enumerate() {
        let place = s.subscriber.place();
        let at = clock::uptime();
        s.world.silence_upstream()?;
        let opened = s.subscriber.expect(name, place, OPENED_WITHIN, |h| h.is_event(name))?;
        print_duration(
            &format!("silence beyond the gateway {} → reported", n + 1),
            opened.at.saturating_sub(at),
        );
        must(opened.text("/incident/fault_domain") == "upstream", || {
            format!("fault domain {}", opened.text("/incident/fault_domain"))
        })?;
        state_becomes(&s.world, DEVICE, "down with its incident", |v| {
            v["line"] == "down"
                && v["incident_id"] == opened.json["incident"]["id"]
                && v["fault_domain"] == "upstream"
        })?;
        let at = clock::uptime();
        s.world.restore_upstream()?;
        let closed = s
            .subscriber
            .expect("incident_closed", place, CLOSED_WITHIN, |h| h.is_event("incident_closed"))?;
        print_duration("its end → reported", closed.at.saturating_sub(at));
        must(closed.text("/incident/id") == opened.text("/incident/id"), || {
            "another incident was closed".into()
        })?;
        state_becomes(&s.world, DEVICE, "up without an incident", |v| {
            v["line"] == "up" && v["incident_id"] == Value::Null && v["fault_domain"] == Value::Null
        })?;
    }
    must(s.plan.effective_actions().iter().all(|d| d["action"]["do"] != "repair"), || {
        "a remedy was taken for a fault beyond the operator's first router".into()
    })?;
    let status = s.plan.status()?;
    must(status["device_id"] == DEVICE && status["status"]["line"] == "up", || format!("status: {status}"))
}

fn carrier() -> Outcome {
    let s = scene(|plan| plan)?;
    let place = s.subscriber.place();
    let at = clock::uptime();
    s.world.cut_carrier()?;
    let opened =
        s.subscriber.expect("incident_opened", place, CARRIER_WITHIN, |h| h.is_event("incident_opened"))?;
    print_duration("carrier lost → reported", opened.at.saturating_sub(at));
    must(opened.text("/incident/fault_domain") == "link", || format!("{}", opened.json["incident"]))?;
    let at = clock::uptime();
    s.world.restore_carrier()?;
    let closed =
        s.subscriber.expect("incident_closed", place, PATIENCE, |h| h.is_event("incident_closed"))?;
    print_duration("cable back → reported", closed.at.saturating_sub(at));
    Ok(())
}

fn wedge() -> Outcome {
    let s = scene(|plan| plan)?;
    let place = s.subscriber.place();
    let at = clock::uptime();
    s.world.wedge()?;
    let closed =
        s.subscriber.expect("incident_closed", place, HEALED_WITHIN, |h| h.is_event("incident_closed"))?;
    print_duration("interface wedged → line back", closed.at.saturating_sub(at));
    must(s.world.has_lease(), || "reported as healed, but the gateway has no lease".into())?;
    let healed = s.subscriber.expect("remedy_ended", place, PATIENCE, |h| {
        h.is_event("remedy_ended") && h.text("/remedy/outcome") == "healed"
    })?;
    must(healed.text("/remedy/name") == "restart-interface", || {
        format!("healed by {}", healed.json["remedy"])
    })?;
    let opened =
        s.subscriber.expect("incident_opened", place, PATIENCE, |h| h.is_event("incident_opened"))?;
    must(opened.text("/incident/fault_domain") == "access", || format!("{}", opened.json["incident"]))?;
    // The incident is over, so no callback can follow.
    must(s.subscriber.critical(place).iter().all(|h| h.kind != "callback"), || {
        "a callback was requested".into()
    })
}

fn dead_access() -> Outcome {
    let mut s = scene(|plan| plan)?;
    let place = s.subscriber.place();
    s.world.silence_access()?;
    let requested = s
        .subscriber
        .expect("the callback", place, Duration::from_secs(60), |h| h.is_callback("requested"))?;
    let id = requested.text("/callback_id").to_owned();
    let incident = requested.text("/incident_id").to_owned();
    let facts = requested.json["evidence"]["facts"].as_array().cloned().unwrap_or_default();
    for name in ["link.up", "gateway.silent", "echo.silent"] {
        must(facts.iter().any(|f| f["name"] == name), || format!("no fact {name} among {facts:?}"))?;
    }
    must(facts.iter().filter(|f| f["name"] == "echo.silent").count() >= 3, || {
        "not every silent target is in the evidence".into()
    })?;
    must(requested.json["evidence"]["finding"] == "outage", || format!("{}", requested.json["evidence"]))?;
    let tried: Vec<(&str, &str)> = requested.json["remedies"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|r| (r["name"].as_str().unwrap_or_default(), r["outcome"].as_str().unwrap_or_default()))
        .collect();
    must(tried.contains(&("renew", "no_effect")), || format!("tried: {tried:?}"))?;
    must(tried.contains(&("restart-interface", "no_effect")), || format!("tried: {tried:?}"))?;
    must(requested.json["customer_id"] == "CUST1001" && requested.json["severity"] == "urgent", || {
        requested.json.to_string()
    })?;
    must(requested.text("/issues/0/description").contains("restarted the interface once"), || {
        format!("the sentence for the customer: {}", requested.text("/issues/0/description"))
    })?;
    let received =
        s.subscriber.expect("its receipt's echo", place, PATIENCE, |h| h.is_callback("received"))?;
    must(received.text("/callback_id") == id, || "another callback was received".into())?;
    must(received.at > requested.at, || "received before the request".into())?;
    state_becomes(&s.world, DEVICE, "down", |v| {
        v["line"] == "down" && v["online"] == true && v["incident_id"] == json!(incident)
    })?;
    s.world.restore_access()?;
    let withdrawn = s.subscriber.expect("withdrawn", place, PATIENCE, |h| h.is_callback("withdrawn"))?;
    must(withdrawn.text("/callback_id") == id, || "another callback was withdrawn".into())?;
    must(withdrawn.json["resolution"]["state"] == "resolved", || withdrawn.json["resolution"].to_string())?;
    let callbacks: Vec<_> =
        s.subscriber.received(place).into_iter().filter(|h| h.kind == "callback").collect();
    let requests = callbacks.iter().filter(|h| h.is_callback("requested")).count();
    must(requests == 1 && callbacks.iter().all(|h| h.text("/callback_id") == id), || {
        format!("not exactly one request: {:?}", callbacks.iter().map(field::brief).collect::<Vec<_>>())
    })?;
    must(s.platform.received(0).iter().any(|r| r.kind == "callback"), || {
        "the platform's stand-in received none".into()
    })?;
    state_becomes(&s.world, DEVICE, "up", |v| v["line"] == "up" && v["online"] == true)?;
    let alive = retained_state(&s.world, DEVICE)?;
    let at = clock::uptime();
    s.agent.kill();
    let dead = state_becomes(&s.world, DEVICE, "the will", |v| v["online"] == false)?;
    print_duration("SIGKILL → will", clock::since(at));
    must(dead["session_id"] == alive["session_id"] && dead["reason"] == "connection lost", || {
        format!("the will {dead} does not pair with {alive}")
    })?;
    // Start it again, and stop it with SIGTERM this time.
    s.agent = s.plan.start(&s.world)?;
    state_becomes(&s.world, DEVICE, "online again", |v| {
        v["online"] == true && v["session_id"] != alive["session_id"]
    })?;
    let at = clock::uptime();
    field::signal(s.agent.id(), Signal::TERM);
    let status = s.agent.child().wait()?;
    let took = clock::since(at);
    print_duration("SIGTERM → ended", took);
    must(status.code() == Some(0), || format!("it ended with {status}"))?;
    must(took < Duration::from_secs(5), || format!("it took {took:?} to end; procd kills after 5 s"))?;
    let ended = retained_state(&s.world, DEVICE)?;
    must(ended["online"] == false && ended["reason"] == "stopped", || format!("it left {ended}"))
}

fn unreceipted() -> Outcome {
    let s = scene(|plan| plan.edit("after = \"8 s\"", "after = \"0 s\""))?;
    s.platform.answer_with(Receipts::Silent);
    let place = s.subscriber.place();
    s.world.silence_upstream()?;
    let first = s.subscriber.expect("the callback", place, PATIENCE, |h| h.is_callback("requested"))?;
    let after = s.subscriber.place();
    let again = s.subscriber.expect("the second request", after, PATIENCE, |h| h.is_callback("requested"))?;
    must(again.id() == first.id() && again.json["callback_id"] == first.json["callback_id"], || {
        format!("requested again under another id: {} and {}", first.id(), again.id())
    })?;
    print_duration("no receipt → requested again", again.at.saturating_sub(first.at));
    s.platform.answer_with(Receipts::Received);
    s.subscriber.expect("received", after, PATIENCE, |h| h.is_callback("received"))?;
    Ok(())
}
