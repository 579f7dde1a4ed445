//! The agent ends and begins again: asked to, or killed in the middle of a repair. No interface is left down.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod field;

use field::{Ear, Mosquitto, Outcome, PATIENCE, Plan, Test, build, must, tell, wan_is_up};
use linekeeper::lab::clock;
use linekeeper::lab::world::World;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::ExitCode;
use std::time::Duration;

const NEEDS: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];

fn main() -> ExitCode {
    field::run(&[
        Test {
            name: "killed_while_it_restarts_the_interface_the_next_life_puts_it_right",
            needs: NEEDS,
            run: killed,
        },
        Test {
            name: "asked_to_end_in_the_middle_of_a_repair_it_leaves_the_interface_up",
            needs: NEEDS,
            run: asked,
        },
        Test { name: "an_incident_outlives_the_process", needs: NEEDS, run: outlives },
    ])
}

const DEVICE: &str = "gw-0001";

/// With an `ip` that takes its time as a small router's does, so that a death between `down` and `up` can be aimed at.
fn plan(world: &World) -> Result<Plan, libtest_mimic::Failed> {
    let mut plan = Plan::new(world, DEVICE)
        .impatient()
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
    let ear = Ear::start(&world)?;
    let plan = plan(&world)?;
    let mut found_down = 0;
    let mut interrupted = 0;
    let points = [0, 100, 170, 240, 310, 380, 450, 600];
    let mut agent = plan.start(&world)?;
    for (n, after) in points.into_iter().enumerate() {
        plan.incident_is_over()?;
        let place = ear.place();
        let begun = plan.log().matches(BEGUN).count();
        world.wedge()?;
        must(clock::wait_until(PATIENCE, || plan.log().matches(BEGUN).count() > begun), || {
            format!("point {n}: the interface is not restarted")
        })?;
        std::thread::sleep(Duration::from_millis(after));
        agent.kill();
        // What it had started itself runs on for a moment: `ip` is a process of its own.
        std::thread::sleep(Duration::from_millis(200));
        let up = wan_is_up();
        let lease = world.has_lease();
        found_down += u32::from(!up);
        let at = clock::uptime();
        agent = plan.start(&world)?;
        if n % 3 == 2 {
            // And once more, before it could put anything right.
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
        ear.expect("incident_closed", place, PATIENCE, |h| h.is_event("incident_closed"))?;
        interrupted += ear
            .heard(place)
            .iter()
            .filter(|h| h.is_event("remedy_ended") && h.text("/remedy/outcome") == "interrupted")
            .count();
    }
    println!(
        "{} deaths: {found_down} left the interface down, {interrupted} repairs told as interrupted",
        points.len()
    );
    must(found_down >= 1, || "no death fell between down and up".into())?;
    must(interrupted >= 5, || format!("only {interrupted} repairs were told as interrupted"))
}

fn asked() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let ear = Ear::start(&world)?;
    let plan = plan(&world)?;
    for after in [0, 200, 400] {
        let mut agent = plan.start(&world)?;
        plan.incident_is_over()?;
        let place = ear.place();
        world.wedge()?;
        ear.expect("the repair", place, PATIENCE, |h| {
            h.is_event("remedy_begun") && h.text("/remedy/name") == "restart-interface"
        })?;
        std::thread::sleep(Duration::from_millis(after));
        let at = clock::uptime();
        field::signal(agent.id(), Signal::TERM);
        let status = agent.child().wait()?;
        let took = clock::since(at);
        tell(&format!("SIGTERM {after} ms into a repair → ended"), took);
        must(status.code() == Some(0), || format!("it ended with {status}"))?;
        must(took < Duration::from_secs(5), || format!("it took {took:?}; procd kills after 5 s"))?;
        must(clock::wait_until(PATIENCE, wan_is_up), || "the interface is left down".into())?;
        must(clock::wait_until(PATIENCE, || world.has_lease()), || {
            "the interface is left without a lease".into()
        })?;
        ear.expect("the goodbye", place, PATIENCE, |h| h.kind == "state" && h.text("/reason") == "stopped")?;
    }
    Ok(())
}

/// An incident that was open before is the same one after; what broke while nobody watched is found too.
fn outlives() -> Outcome {
    let world = build()?;
    let _broker = Mosquitto::start(&world)?;
    let ear = Ear::start(&world)?;
    let plan = Plan::new(&world, DEVICE);
    let mut agent = plan.start(&world)?;
    plan.line_becomes("up")?;
    world.silence_upstream()?;
    let opened = ear.expect("incident_opened", 0, PATIENCE, |h| h.is_event("incident_opened"))?;
    must(agent.end(PATIENCE), || "it does not end".into())?;
    agent = plan.start(&world)?;
    plan.line_becomes("down")?;
    must(agent.end(PATIENCE), || "it does not end".into())?;
    // Healed while nobody looked.
    world.restore_upstream()?;
    agent = plan.start(&world)?;
    let closed = ear.expect("incident_closed", 0, PATIENCE, |h| h.is_event("incident_closed"))?;
    must(closed.text("/incident/id") == opened.text("/incident/id"), || {
        "another incident was closed".into()
    })?;
    let count = ear.critical(0).iter().filter(|h| h.is_event("incident_opened")).count();
    must(count == 1, || format!("{count} incidents were opened by one fault"))?;
    // Broken while nobody looked: a new life finds it.
    must(agent.end(PATIENCE), || "it does not end".into())?;
    let place = ear.place();
    world.silence_upstream()?;
    let _agent = plan.start(&world)?;
    ear.expect("the outage that began unseen", place, PATIENCE, |h| {
        h.is_event("incident_opened") || h.is_event("incident_updated")
    })?;
    Ok(())
}
