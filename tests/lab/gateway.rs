//! The daemon as procd runs it: reload, watchdog, and OpenWrt, where netifd owns the interface.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::field::{
    Mosquitto, Outcome, PATIENCE, Plan, Subscriber, Test, build, must, print_duration, wan_is_up,
};
use crate::common::{agent_binary, field, repository_path};
use libtest_mimic::Failed;
use linekeeper::run::socket::{Request, ask};
use linekeeper_lab::clock;
use linekeeper_lab::world::{Host, WAN, World};
use rustix::process::Signal;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MQTT: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];
const DEVICE: &str = "gw-0001";

pub fn tests() -> Vec<Test> {
    vec![
        Test::lab("reload_applies_the_new_configuration_and_keeps_the_incident", MQTT, reload),
        Test::lab("unsent_telemetry_survives_a_reload", MQTT, summary),
        Test::lab("reload_of_an_invalid_configuration_lists_every_error_and_keeps_the_old_one", &[], refused),
        Test::lab("watchdog_ends_a_hanging_loop_and_the_incident_continues_after_the_restart", MQTT, wedged),
        Test::lab("outage_on_openwrt_from_start_to_end", MQTT, openwrt).early(),
        Test::lab("interface_taken_down_by_hand_stays_down", MQTT, by_hand),
    ]
}

/// Writes a new configuration and sends SIGHUP, as the init script's reload does.
fn reloads(plan: &mut Plan, agent: u32, from: &str, to: &str) -> Outcome {
    plan.configuration = field::edit(&plan.configuration, from, to);
    fs::write(plan.directory.join("linekeeper.toml"), &plan.configuration)?;
    field::signal(agent, Signal::HUP);
    Ok(())
}

fn opened(subscriber: &Subscriber, place: usize) -> usize {
    subscriber.received(place).iter().filter(|h| h.is_event("incident_opened")).count()
}

fn reload() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let mut plan = Plan::new(&world, DEVICE);
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    // A counted remedy, which must still be counted afterwards.
    world.wedge()?;
    let healed = subscriber.expect("the repair", 0, PATIENCE, |h| {
        h.is_event("incident_closed") && h.text("/why").contains("restart-interface")
    })?;
    world.silence_upstream()?;
    let again = subscriber.expect("the outage", 0, PATIENCE, |h| {
        h.is_event("incident_updated") || (h.is_event("incident_opened") && h.id() > healed.id())
    })?;
    let requested = subscriber.expect("the callback", 0, PATIENCE, |h| h.is_callback("requested"))?;
    let before = plan.status()?;
    let place = subscriber.place();

    // Another target, another area, and a key that only takes effect at a start.
    let changes = [
        ("area = \"north-3/olt-7\"", "area = \"south-1\""),
        ("hold_down = \"10 s\"", "hold_down = \"12 s\""),
        ("[store]\ndirectory = \"", "[store]\ndirectory = \"/run/elsewhere"),
    ];
    for (from, to) in changes {
        plan.configuration = field::edit(&plan.configuration, from, to);
    }
    let at = clock::uptime();
    reloads(&mut plan, agent.id(), "language = \"en\"", "language = \"zh-CN\"")?;
    plan.expect_log("store.directory is taken at a start only")?;
    plan.expect_log("beginning anew with another configuration")?;
    subscriber.expect("its birth", place, PATIENCE, |h| h.kind == "state" && h.json["online"] == true)?;
    print_duration("SIGHUP → connected with the other configuration", clock::since(at));
    let after = plan.status()?;
    must(plan.store().join("state.json").exists() && !Path::new("/run/elsewhere").exists(), || {
        "it keeps its memory elsewhere".into()
    })?;
    for kept in ["/status/incident/id", "/status/budgets", "/status/callbacks/0/callback_id"] {
        must(before.pointer(kept) == after.pointer(kept) && after.pointer(kept).is_some(), || {
            format!("{kept} was {:?}, is {:?}", before.pointer(kept), after.pointer(kept))
        })?;
    }
    must(after["running_ms"].as_u64() < before["running_ms"].as_u64(), || {
        "the judge was not restarted".into()
    })?;
    world.restore_upstream()?;
    let closed = subscriber.expect("the end", place, PATIENCE, |h| h.is_event("incident_closed"))?;
    must(closed.text("/incident/id") == again.text("/incident/id"), || {
        "a different incident was closed".into()
    })?;
    let withdrawn = subscriber.expect("the withdrawal", place, PATIENCE, |h| h.is_callback("withdrawn"))?;
    must(withdrawn.text("/callback_id") == requested.text("/callback_id"), || "a different callback".into())?;
    // The flight recorder contains the break, which happened before the reload.
    let recorded = &closed.json["recorder"];
    must(recorded["line"].as_str().is_some_and(|line| line.contains("ud")), || {
        format!("it recorded {recorded}")
    })?;
    must(withdrawn.text("/area") == "north-3/olt-7", || {
        "the withdrawal must have the area of the request".into()
    })?;
    must(opened(&subscriber, place) == 0, || "the reload opened an incident".into())?;

    // Reloading the same file changes nothing, even twice at once.
    let anew = || plan.log().matches("beginning anew").count();
    let began = anew();
    field::signal(agent.id(), Signal::HUP);
    plan.expect_log("is the one in force")?;
    must(anew() == began, || "the judge was restarted without a change".into())?;
    // It is still the same process, and it stops cleanly.
    must(agent.child().try_wait()?.is_none(), || "the process has ended".into())?;
    must(agent.stop(PATIENCE), || "it does not end".into())
}

fn summary() -> Outcome {
    let world = build()?;
    let mut broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let mut plan = Plan::new(&world, DEVICE);
    plan.configuration += "\n[telemetry]\nevery = \"5 min\"\n";
    let agent = plan.start(&world)?;
    plan.expect_line("up")?;
    broker.down()?;
    let place = subscriber.place();
    ask(&plan.socket(), &Request::Hasten)?;
    let running = || plan.status().ok().and_then(|s| s["running_ms"].as_u64()).unwrap_or(0);
    must(clock::wait_until(PATIENCE, || running() > 6 * 60_000), || format!("{} ms ran", running()))?;
    reloads(&mut plan, agent.id(), "language = \"en\"", "language = \"zh-CN\"")?;
    plan.expect_log("beginning anew with another configuration")?;
    broker.up(&world)?;
    subscriber.expect("the summary", place, PATIENCE, |h| {
        h.kind == "telemetry" && h.text("/id").ends_with("/T1")
    })?;
    Ok(())
}

fn refused() -> Outcome {
    let world = build()?;
    let mut plan = Plan::new(&world, DEVICE);
    let agent = plan.start(&world)?;
    plan.expect_line("up")?;
    let good = plan.configuration.clone();
    let running = plan.status()?["running_ms"].as_u64();
    plan.configuration = field::edit(&plan.configuration, "flapping = 20", "flapping = 2000\nnonsense = 1");
    reloads(&mut plan, agent.id(), "keep_alive = \"5 s\"", "keep_alive = \"5 parsecs\"")?;
    for fault in ["outage.flapping", "outage.nonsense", "mqtt.keep_alive"] {
        plan.expect_log(fault)?;
    }
    plan.expect_log("is refused; the old one stays in force")?;
    // A file that is not text, and no file.
    fs::write(plan.directory.join("linekeeper.toml"), b"\xff\xfe")?;
    field::signal(agent.id(), Signal::HUP);
    plan.expect_log("cannot read the configuration")?;
    let refusals = || plan.log().matches("stays in force").count();
    must(clock::wait_until(PATIENCE, || refusals() == 2), || "the second is not refused".into())?;
    fs::remove_file(plan.directory.join("linekeeper.toml"))?;
    field::signal(agent.id(), Signal::HUP);
    must(clock::wait_until(PATIENCE, || refusals() == 3), || "the third is not refused".into())?;
    must(plan.status()?["running_ms"].as_u64() > running, || "the judge was restarted".into())?;
    must(!plan.log().contains("beginning anew"), || "the judge was restarted".into())?;
    // It still watches, and accepts a valid configuration.
    world.silence_upstream()?;
    plan.expect_line("down")?;
    world.restore_upstream()?;
    plan.expect_line("up")?;
    plan.configuration = good;
    reloads(&mut plan, agent.id(), "flapping = 20", "flapping = 19")?;
    plan.expect_log("beginning anew with another configuration")?;
    plan.expect_line("up")
}

fn wedged() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = Plan::new(&world, DEVICE);
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    world.silence_upstream()?;
    let opened_at = subscriber.expect("incident_opened", 0, PATIENCE, |h| h.is_event("incident_opened"))?;
    // A request of the lab makes the loop hang; the watchdog checks ten times a second.
    let mut socket = std::os::unix::net::UnixStream::connect(plan.socket())?;
    socket.write_all(b"{\"request\":\"wedge\"}\n")?;
    let at = clock::uptime();
    let status = agent.child().wait()?;
    print_duration("wedged → ended by its watchdog, which looks every 0.1 s here", clock::since(at));
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    must(answer.is_empty(), || format!("the loop did not hang: {answer}"))?;
    must(status.signal() == Some(6), || format!("it ended with {status}"))?;
    plan.expect_log("the loop has not turned for 1.2 s: ending at once")?;
    // As procd would.
    let place = subscriber.place();
    let _agent = plan.start(&world)?;
    plan.expect_log("the process died unasked")?;
    plan.expect_line("down")?;
    world.restore_upstream()?;
    let closed = subscriber.expect("incident_closed", place, PATIENCE, |h| h.is_event("incident_closed"))?;
    must(closed.text("/incident/id") == opened_at.text("/incident/id"), || "another incident".into())?;
    must(opened(&subscriber, 0) == 1, || "the crash opened another incident".into())
}

/// A plan for the driver `openwrt`, with a stand-in `ubus` whose netifd owns the world's WAN.
fn on_openwrt(world: &World) -> Result<(Plan, PathBuf), Failed> {
    let folder = Path::new(field::KEPT).join("netifd");
    let programs = folder.join("bin");
    fs::create_dir_all(&programs)?;
    let live = repository_path("tests/openwrt/live").display().to_string();
    let script = format!(
        "#!/bin/sh\nexec {live} {} {WAN} {} {} -- \"$@\"\n",
        folder.display(),
        world.dhcp_pidfile().display(),
        world.dhcp_client().join(" ")
    );
    fs::write(programs.join("ubus"), script)?;
    fs::set_permissions(programs.join("ubus"), fs::Permissions::from_mode(0o755))?;
    let mut plan = Plan::new(world, DEVICE);
    let text: String =
        plan.configuration.lines().filter(|l| !l.starts_with("dhcp_")).map(|l| format!("{l}\n")).collect();
    plan.configuration = text;
    // By the name of OpenWrt's interface: netifd reports its device.
    plan = plan
        .edit("driver = \"linux\"", "driver = \"openwrt\"")
        .edit(&format!("device = \"{WAN}\""), "interface = \"wan\"");
    plan.programs = Some(programs);
    Ok((plan, folder))
}

/// Calls `ubus` as an administrator would.
fn ubus(world: &World, plan: &Plan, method: &str) -> Outcome {
    let program = plan.programs.as_ref().unwrap().join("ubus");
    let out = world
        .exec_in(Host::Gateway, Command::new(program).args(["call", "network.interface.wan", method]))?;
    must(out.status.success(), || format!("{method}: {}", out.status))
}

fn openwrt() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let (plan, folder) = on_openwrt(&world)?;
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    let watched = plan.status()?;
    must(watched.pointer("/status/interface/1").is_some_and(|is| is == "up"), || watched.to_string())?;

    // A wedged interface: the renewal has no effect, then the interface is restarted.
    world.wedge()?;
    let place = subscriber.place();
    let closed = subscriber.expect("the repair", place, PATIENCE, |h| h.is_event("incident_closed"))?;
    must(closed.text("/why").contains("healed by restart-interface"), || closed.text("/why").into())?;
    let remedies: Vec<String> = subscriber
        .received(0)
        .iter()
        .filter(|h| h.is_event("remedy_ended"))
        .map(|h| format!("{} {}", h.text("/remedy/name"), h.text("/remedy/outcome")))
        .collect();
    must(remedies == ["renew no_effect", "restart-interface healed"], || format!("{remedies:?}"))?;
    must(wan_is_up() && world.has_lease(), || "the WAN stayed down".into())?;
    plan.expect_incident_end()?;

    // A pulled cable: nothing is tried, and the line comes back with the cable.
    let (place, begun) =
        (subscriber.place(), subscriber.received(0).iter().filter(|h| h.is_event("remedy_begun")).count());
    world.cut_carrier()?;
    subscriber.expect("the cable's incident", place, PATIENCE, |h| {
        h.is_event("incident_opened") && h.text("/incident/fault_domain") == "link"
    })?;
    world.restore_carrier()?;
    subscriber.expect("its end", place, PATIENCE, |h| h.is_event("incident_closed"))?;
    let tried = subscriber.received(0).iter().filter(|h| h.is_event("remedy_begun")).count();
    must(tried == begun, || "a remedy was tried for a pulled cable".into())?;
    plan.expect_incident_end()?;

    // Silent loss beyond the gateway: no remedy helps, a callback is requested and then withdrawn.
    let place = subscriber.place();
    world.silence_upstream()?;
    subscriber.expect("the callback", place, PATIENCE, |h| h.is_callback("requested"))?;
    world.restore_upstream()?;
    subscriber.expect("its withdrawal", place, PATIENCE, |h| h.is_callback("withdrawn"))?;
    let log = plan.log();
    must(!log.contains("netifd does not tell"), || "netifd did not answer".into())?;
    // One `ubus listen`, which ends with the daemon.
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    let listeners = || {
        fs::read_dir("/proc").into_iter().flatten().flatten().filter(|process| {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&folder.join("events").display().to_string())
        })
    };
    must(clock::wait_until(PATIENCE, || listeners().count() == 0), || "a `ubus listen` is left".into())
}

fn by_hand() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    world.set_backup(true)?;
    let subscriber = Subscriber::start(&world)?;
    let (plan, folder) = on_openwrt(&world)?;
    let _agent = plan.start(&world)?;
    plan.expect_line("up")?;
    let calls = || field::read(&folder.join("calls"));
    let at = clock::uptime();
    ubus(&world, &plan, "down")?;
    subscriber.expect("what is known of it", 0, PATIENCE, |h| {
        h.is_event("incident_updated") && h.text("/why").contains("somebody took the interface down")
    })?;
    print_duration("taken down by hand → reported", clock::since(at));
    // Wait longer than the ten seconds for a carrier and the eight seconds until a callback.
    std::thread::sleep(Duration::from_secs(16));
    must(!wan_is_up(), || "the interface was taken up although somebody took it down".into())?;
    must(!calls().lines().any(|line| line.ends_with(" up")), || "`up` was sent".into())?;
    for h in subscriber.critical(0) {
        must(h.kind != "callback" && !h.is_event("remedy_begun"), || field::brief(&h))?;
    }
    let shown = Command::new(agent_binary()).args(["status", "--socket"]).arg(plan.socket()).output()?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    must(shown.contains("netifd: wan was taken down by somebody"), || shown.clone())?;
    // Neither a reload of the network nor one of the daemon brings it up again.
    ubus(&world, &plan, "up")?;
    subscriber.expect("incident_closed", 0, PATIENCE, |h| h.is_event("incident_closed"))?;
    plan.expect_line("up")
}
