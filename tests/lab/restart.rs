//! The agent stops and starts again, by SIGTERM or by a kill in the middle of a repair. No interface stays down.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::field::{
    Mosquitto, Outcome, PATIENCE, Plan, Subscriber, Test, build, must, print_duration, wan_is_up,
};
use crate::common::{agent_binary, field, proof};
use linekeeper_lab::clock;
use linekeeper_lab::world::World;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const NEEDS: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];

pub fn tests() -> Vec<Test> {
    vec![
        Test::lab("after_a_kill_during_an_interface_restart_the_next_process_brings_it_up", NEEDS, killed)
            .early(),
        Test::lab("sigterm_during_a_repair_leaves_the_interface_up", NEEDS, asked),
        Test::lab("incident_survives_a_restart_of_the_process", NEEDS, outlives),
        Test::lab("hanging_hook_delays_nothing", NEEDS, hooked),
        Test::lab(
            "crash_restart_reboot_and_power_cut_are_distinguished",
            &["mosquitto", "mosquitto_sub", "mosquitto_pub", "mount"],
            told_apart,
        ),
    ]
}

const DEVICE: &str = "gw-0001";

/// A plan with a slow `ip`, as on a small router, so that the agent can be killed between `down` and `up`.
fn plan(world: &World) -> Result<Plan, libtest_mimic::Failed> {
    let mut plan = Plan::new(world, DEVICE)
        .with_short_patience()
        .edit("limit = {", "per_day = { renew = 100, restart-interface = 100 }\nlimit = {");
    let programs = std::path::Path::new(field::KEPT).join("slow");
    fs::create_dir_all(&programs)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let real = std::env::split_paths(&path).map(|d| d.join("ip")).find(|p| p.exists()).ok_or("no ip")?;
    let wrapper = programs.join("ip");
    fs::write(&wrapper, format!("#!/bin/sh\nsleep 0.15\nexec {} \"$@\"\n", real.display()))?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    plan.programs = Some(programs);
    Ok(plan)
}

fn killed() -> Outcome {
    const BEGUN: &str = "restart-interface makes sense in fault domain";
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = plan(&world)?;
    let mut found_down = 0;
    let mut interrupted = 0;
    let points: &[u64] = proof(&[0, 170, 310], &[0, 100, 170, 240, 310, 380, 450, 600]);
    let mut agent = plan.start(&world)?;
    for (n, after) in points.iter().copied().enumerate() {
        plan.expect_incident_end()?;
        let place = subscriber.place();
        let begun = plan.log().matches(BEGUN).count();
        world.wedge()?;
        must(clock::wait_until(PATIENCE, || plan.log().matches(BEGUN).count() > begun), || {
            format!("point {n}: the interface is not restarted")
        })?;
        std::thread::sleep(Duration::from_millis(after));
        agent.kill();
        // A child process such as `ip` may run on for a moment.
        std::thread::sleep(Duration::from_millis(200));
        let up = wan_is_up();
        let lease = world.has_lease();
        found_down += u32::from(!up);
        let at = clock::uptime();
        agent = plan.start(&world)?;
        if n % 3 == 2 {
            // Kill it once more before it can repair anything.
            std::thread::sleep(Duration::from_millis(60));
            agent.kill();
            agent = plan.start(&world)?;
        }
        let right = clock::wait_until(PATIENCE, || wan_is_up() && world.has_lease());
        must(right, || {
            format!("killed {after} ms into the repair, the interface stays down or without a lease")
        })?;
        println!(
            "killed {after} ms into the repair: interface {}, {}; right again after {:?}",
            if up { "up" } else { "down" },
            if lease { "leased" } else { "no lease" },
            clock::since(at)
        );
        subscriber.expect("incident_closed", place, PATIENCE, |h| h.is_event("incident_closed"))?;
        interrupted += subscriber
            .received(place)
            .iter()
            .filter(|h| h.is_event("remedy_ended") && h.text("/remedy/outcome") == "interrupted")
            .count();
    }
    println!(
        "{} kills: {found_down} left the interface down, {interrupted} repairs reported as interrupted",
        points.len()
    );
    must(found_down >= 1, || "no death fell between down and up".into())?;
    must(interrupted >= proof(2, 5), || format!("only {interrupted} repairs were reported as interrupted"))
}

fn asked() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = plan(&world)?;
    for after in [0, 200, 400] {
        let mut agent = plan.start(&world)?;
        plan.expect_incident_end()?;
        let place = subscriber.place();
        world.wedge()?;
        subscriber.expect("the repair", place, PATIENCE, |h| {
            h.is_event("remedy_begun") && h.text("/remedy/name") == "restart-interface"
        })?;
        std::thread::sleep(Duration::from_millis(after));
        let at = clock::uptime();
        field::signal(agent.id(), Signal::TERM);
        let status = agent.child().wait()?;
        let took = clock::since(at);
        print_duration(&format!("SIGTERM {after} ms into a repair → ended"), took);
        must(status.code() == Some(0), || format!("it ended with {status}"))?;
        must(took < Duration::from_secs(5), || format!("it took {took:?}; procd kills after 5 s"))?;
        must(clock::wait_until(PATIENCE, wan_is_up), || "the interface is left down".into())?;
        must(clock::wait_until(PATIENCE, || world.has_lease()), || {
            "the interface is left without a lease".into()
        })?;
        subscriber.expect("the goodbye", place, PATIENCE, |h| {
            h.kind == "state" && h.text("/reason") == "stopped"
        })?;
    }
    Ok(())
}

/// An open incident continues after the restart, and a break during the downtime of the agent is found.
fn outlives() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = Plan::new(&world, DEVICE);
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    world.silence_upstream()?;
    let opened = subscriber.expect("incident_opened", 0, PATIENCE, |h| h.is_event("incident_opened"))?;
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    agent = plan.start(&world)?;
    plan.expect_line("down")?;
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    // The line recovers while the agent is down.
    world.restore_upstream()?;
    agent = plan.start(&world)?;
    let closed = subscriber.expect("incident_closed", 0, PATIENCE, |h| h.is_event("incident_closed"))?;
    must(closed.text("/incident/id") == opened.text("/incident/id"), || {
        "another incident was closed".into()
    })?;
    let count = subscriber.critical(0).iter().filter(|h| h.is_event("incident_opened")).count();
    must(count == 1, || format!("{count} incidents were opened by one fault"))?;
    // The line breaks while the agent is down; the next run finds it.
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    let place = subscriber.place();
    world.silence_upstream()?;
    let _agent = plan.start(&world)?;
    subscriber.expect("the outage that began unseen", place, PATIENCE, |h| {
        h.is_event("incident_opened") || h.is_event("incident_updated")
    })?;
    Ok(())
}

/// Simulates a reboot: another boot id, and no files in memory.
fn boots(plan: &Plan, boot: &str) -> Outcome {
    let id = std::path::Path::new(field::KEPT).join(format!("boot-id-{boot}"));
    fs::write(&id, format!("{boot}\n"))?;
    // This affects only the enclosure's own mount namespace.
    let mount = std::process::Command::new("mount")
        .arg("--bind")
        .arg(&id)
        .arg("/proc/sys/kernel/random/boot_id")
        .output()?;
    must(mount.status.success(), || String::from_utf8_lossy(&mount.stderr).into_owned())?;
    let _ = fs::remove_file(plan.socket().with_extension("alive"));
    Ok(())
}

fn told_apart() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = Plan::new(&world, DEVICE);
    let alive = plan.socket().with_extension("alive");
    let how = |wanted: &str| -> Outcome {
        plan.expect_line("up")?;
        let status = plan.status()?;
        let said = status.pointer("/status/beginning/how").and_then(|v| v.as_str()).unwrap_or_default();
        must(said == wanted, || format!("it says {said:?}, it was {wanted:?}: {status}"))?;
        let began = |state: &serde_json::Value| state["online"] == true && state["began"] == wanted;
        field::state_becomes(&world, DEVICE, wanted, began)?;
        let books = &status["status"]["availability"]["total"];
        must(books["line_ms"] == 0, || format!("no break of the line, and it is charged: {books}"))
    };
    boots(&plan, "first")?;
    let mut agent = plan.start(&world)?;
    how("not_known")?;
    must(alive.exists(), || "no heartbeat is written".into())?;
    agent.kill();
    must(alive.exists(), || "the heartbeat does not outlive its process".into())?;
    agent = plan.start(&world)?;
    how("crashed")?;
    plan.expect_log("the process died unasked")?;
    let most = plan.status()?.pointer("/status/beginning/away_most_ms").and_then(|v| v.as_u64());
    must(most.is_some_and(|ms| ms < 60_000), || format!("away for {most:?} ms at most, by the heartbeat"))?;
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    must(!alive.exists(), || "an orderly end leaves its heartbeat".into())?;
    agent = plan.start(&world)?;
    how("restarted")?;
    agent.kill();
    boots(&plan, "second")?;
    let place = subscriber.place();
    agent = plan.start(&world)?;
    how("power_cut")?;
    plan.expect_log("the gateway lost its power without warning")?;
    must(subscriber.critical(place).is_empty(), || "a power cut is no incident of the line".into())?;
    must(agent.stop(PATIENCE), || "it does not end".into())?;
    boots(&plan, "third")?;
    agent = plan.start(&world)?;
    how("rebooted")?;
    let shown = std::process::Command::new(agent_binary())
        .args(["status", "--socket"])
        .arg(plan.socket())
        .output()?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    println!("{shown}");
    must(shown.contains("available") && shown.contains("not watched"), || "the status has no books".into())?;
    must(shown.contains("before: the gateway was rebooted in order, not by us"), || {
        "the status does not say how it began".into()
    })?;
    drop(agent);
    Ok(())
}

/// A hook hangs; neither messages nor decisions wait for it.
fn hooked() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let room = std::path::Path::new(field::KEPT).join("hook");
    fs::create_dir_all(&room)?;
    let program = room.join("hook");
    let told = room.join("told");
    let line = "$ACTION $LINEKEEPER_EVENT $LINEKEEPER_DOMAIN $DEVICE";
    fs::write(&program, format!("#!/bin/sh\necho \"{line}\" >> {}\nsleep 1000\n", told.display()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let hooks = format!("[hooks]\nprogram = {program:?}\non = [\"incident\"]\nlimit = \"2 s\"\n\n[store]\n");
    let plan = Plan::new(&world, DEVICE).edit("[store]\n", &hooks);
    let mut agent = plan.start(&world)?;
    plan.expect_line("up")?;
    world.silence_upstream()?;
    subscriber.expect("incident_opened", 0, PATIENCE, |h| h.is_event("incident_opened"))?;
    must(
        clock::wait_until(PATIENCE, || field::read(&told).starts_with("opened incident upstream wan0\n")),
        || format!("the hook received {:?}", field::read(&told)),
    )?;
    // While it hangs, the line comes back and this is reported.
    let at = clock::uptime();
    world.restore_upstream()?;
    let closed = subscriber.expect("incident_closed", 0, PATIENCE, |h| h.is_event("incident_closed"))?;
    print_duration("restored → closed, with a hook that hangs", clock::since(at));
    let recorder = &closed.json["recorder"];
    // It was down for less than a second: how a second is shown is how it ended.
    must(recorder["line"].as_str().is_some_and(|line| line.contains('u')), || {
        format!("no recording goes with the incident: {recorder}")
    })?;
    must(clock::wait_until(PATIENCE, || field::read(&told).contains("closed incident")), || {
        "the killed hook is not run again".into()
    })?;
    plan.expect_log("did not end within 2 s and was killed")?;
    must(agent.stop(PATIENCE), || "it does not end".into())
}
