//! Conditions that must cause no incident, remedy or callback: loss, short breaks, one dead target, a gateway that filters
//! echoes, the customer's own load. With real packets and default probing.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::field::{
    Mosquitto, Outcome, PATIENCE, Plan, Subscriber, Test, brief, build, exec, must, sysctl,
};
use crate::common::{field, proof};
use libtest_mimic::Failed;
use linekeeper_lab::clock;
use linekeeper_lab::world::{Host, LAN_HOST, Process, WORLD, World};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    const MQTT: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];
    const NFT: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub", "nft"];
    const TC: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub", "tc"];
    vec![
        Test::lab("twenty_percent_loss_is_no_outage", NFT, loss),
        Test::lab("breaks_shorter_than_the_patience_are_only_counted", MQTT, breaks),
        Test::lab("full_download_is_no_outage", TC, download),
        Test::lab("full_upload_is_no_outage", TC, upload),
        Test::lab("one_dead_target_of_four_is_no_outage", NFT, dead_target),
        Test::lab("gateway_that_filters_echoes_is_no_fault", MQTT, filtered),
    ]
}

/// How long each condition lasts: several times the detection time of an outage.
fn condition_duration() -> Duration {
    Duration::from_secs(proof(20, 60))
}

struct Scene {
    _agent: Process,
    subscriber: Subscriber,
    _broker: Mosquitto,
    plan: Plan,
    world: World,
}

fn scene(plan: impl FnOnce(Plan) -> Plan) -> Result<Scene, Failed> {
    let world = build()?;
    let broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let plan = plan(Plan::new(&world, "gw-0001"));
    let agent = plan.start(&world)?;
    subscriber.expect("the line's state", 0, PATIENCE, |h| h.kind == "state" && h.text("/line") == "up")?;
    // Some rotations of the targets, so that round-trip times are known and the timeouts short.
    clock::wait_until(PATIENCE, || plan.count_in_trace("echo_answered") >= 8);
    Ok(Scene { _agent: agent, subscriber, _broker: broker, plan, world })
}

impl Scene {
    /// Checks that nothing was reported or done, and prints what was counted.
    fn expect_no_alarm(&self) -> Outcome {
        // A suspicion at the end of the condition is decided within the patience and one round.
        std::thread::sleep(Duration::from_secs(4));
        self.plan.expect_line("up")?;
        let critical = self.subscriber.critical(0);
        must(critical.is_empty(), || {
            format!("the platform received {:?}", critical.iter().map(brief).collect::<Vec<_>>())
        })?;
        let deeds = self.plan.effective_actions();
        must(deeds.is_empty(), || format!("the agent did {deeds:?}"))?;
        let down =
            self.subscriber.received(0).into_iter().find(|h| h.kind == "state" && h.text("/line") == "down");
        must(down.is_none(), || "the line was reported as down".into())?;
        println!(
            "{} echoes answered, {} lost, {} breaks counted, {} vetoes, slowest {} ms",
            self.plan.count_in_trace("echo_answered"),
            self.plan.count_in_trace("echo_lost"),
            self.plan.status()?["status"]["disconnects"],
            self.plan.log().matches("carries traffic, no outage").count(),
            self.slowest() / 1_000,
        );
        Ok(())
    }

    /// The longest round-trip time in the trace, microseconds.
    fn slowest(&self) -> u64 {
        let text = field::read(&self.plan.record.clone().unwrap().join("trace.jsonl"));
        let times = text.split("\"rtt_us\":").skip(1);
        times.filter_map(|t| t.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()).max().unwrap_or(0)
    }
}

fn nft(world: &World, host: Host, rules: &[&str]) -> Outcome {
    for rule in rules {
        exec(world, host, &["nft", rule])?;
    }
    Ok(())
}

fn loss() -> Outcome {
    let s = scene(|plan| plan)?;
    nft(
        &s.world,
        Host::Isp,
        &[
            "add table ip lossy",
            "add chain ip lossy forward { type filter hook forward priority 0; }",
            "add chain ip lossy input { type filter hook input priority 0; }",
            "add rule ip lossy forward numgen random mod 100 < 20 drop",
            "add rule ip lossy input ip protocol icmp numgen random mod 100 < 20 drop",
        ],
    )?;
    std::thread::sleep(condition_duration());
    nft(&s.world, Host::Isp, &["delete table ip lossy"])?;
    // 20 % are lost in each direction, so about a third of two echoes per second. With less than half of that the test
    // would prove nothing.
    let least = condition_duration().as_secs() as usize / 4;
    let lost = clock::wait_until(PATIENCE, || s.plan.count_in_trace("echo_lost") >= least);
    must(lost, || format!("only {} echoes were lost", s.plan.count_in_trace("echo_lost")))?;
    s.expect_no_alarm()
}

fn breaks() -> Outcome {
    let breaks: u64 = proof(4, 12);
    const ATTEMPTS: u32 = 3;
    for attempt in 1..=ATTEMPTS {
        let s = scene(|plan| plan)?;
        let mut longest = Duration::ZERO;
        for n in 0..breaks {
            // Each break starts at another phase of the probes.
            std::thread::sleep(Duration::from_millis(2_500 + n * 1_000 / breaks));
            let at = clock::uptime();
            s.world.silence_upstream()?;
            std::thread::sleep(Duration::from_millis(1_950).saturating_sub(clock::since(at)));
            s.world.restore_upstream()?;
            longest = longest.max(clock::since(at));
        }
        println!("{breaks} breaks, the longest of {longest:?}");
        if longest >= Duration::from_secs(2) && attempt < ATTEMPTS {
            println!("the machine made a break longer than the patience; starting again");
            continue;
        }
        s.expect_no_alarm()?;
        let counted = s.plan.status()?["status"]["disconnects"].as_u64();
        return must(counted == Some(breaks), || format!("{counted:?} breaks were counted of {breaks}"));
    }
    Ok(())
}

fn dead_target() -> Outcome {
    let dead = Ipv4Addr::new(203, 0, 113, 99);
    let world_line = format!("    {{ host = \"{WORLD}\", role = \"world\" }},\n");
    let with_dead = format!("{world_line}    {{ host = \"{dead}\", role = \"world\" }},\n");
    let s = scene(|plan| plan.edit(&world_line, &with_dead))?;
    let is_bad = || {
        let status = s.plan.status().unwrap_or_default();
        let targets = status["status"]["targets"].as_array().cloned().unwrap_or_default();
        targets.iter().any(|t| t["host"] == dead.to_string() && t["bad"] == true)
    };
    must(clock::wait_until(PATIENCE, is_bad), || "the dead target is not known to be bad".into())?;
    std::thread::sleep(condition_duration() / 4);
    s.expect_no_alarm()
}

fn filtered() -> Outcome {
    let s = scene(|plan| plan)?;
    sysctl(&s.world, Host::Isp, "net/ipv4/icmp_echo_ignore_all", "1")?;
    std::thread::sleep(condition_duration() / 2);
    // On a single lost echo the agent then also probes the gateway, which does not answer.
    s.world.silence_upstream()?;
    std::thread::sleep(Duration::from_millis(900));
    s.world.restore_upstream()?;
    std::thread::sleep(Duration::from_secs(10));
    s.expect_no_alarm()
}

/// Limits the line's rate, with a buffer of more than a second.
fn narrow(world: &World, host: Host, device: &str, rate: &str, latency: &str) -> Outcome {
    exec(
        world,
        host,
        &[
            "tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", rate, "burst", "16kb", "latency",
            latency,
        ],
    )?;
    Ok(())
}

fn download() -> Outcome {
    let s = scene(|plan| plan)?;
    narrow(&s.world, Host::Isp, "acc0", "5mbit", "2s")?;
    let load = Load::start(&s.world, Host::World, Host::Lan, (LAN_HOST, 9_000).into(), 1_000)?;
    std::thread::sleep(condition_duration() * 3 / 4);
    load.end();
    not_broken(&s)?;
    must(s.slowest() > 500_000 || s.plan.count_in_trace("echo_lost") > 10, || {
        format!("the line was not filled: slowest echo {} us", s.slowest())
    })?;
    s.expect_no_alarm()
}

fn upload() -> Outcome {
    let s = scene(|plan| plan)?;
    narrow(&s.world, Host::Access, "uplink", "2mbit", "1200ms")?;
    let load = Load::start(&s.world, Host::Lan, Host::World, (WORLD, 9_000).into(), 400)?;
    std::thread::sleep(condition_duration() * 3 / 4);
    load.end();
    not_broken(&s)?;
    must(s.slowest() > 500_000 || s.plan.count_in_trace("echo_lost") > 10, || {
        format!("the line was not filled: slowest echo {} us", s.slowest())
    })?;
    s.expect_no_alarm()
}

/// A late reply is not a break of the line.
fn not_broken(s: &Scene) -> Outcome {
    let counted = s.plan.status()?["status"]["disconnects"].as_u64();
    must(counted == Some(0), || format!("{counted:?} breaks were counted on a line that was only full"))
}

/// The customer's own traffic: a TCP transfer at full rate, and UDP at a fixed rate.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    /// Starts the traffic from one host to the other, with this many UDP packets of 1200 bytes per second.
    fn start(world: &World, from: Host, to: Host, address: SocketAddr, packets: u64) -> Result<Load, Failed> {
        let stop = Arc::new(AtomicBool::new(false));
        let listener = world.run_in(to, || TcpListener::bind(address))??;
        let stream = world.run_in(from, || TcpStream::connect(address))??;
        let (mut taker, _) = listener.accept()?;
        let sink = world.run_in(to, || UdpSocket::bind(address))??;
        let source = world.run_in(from, || UdpSocket::bind(SocketAddr::from(([0, 0, 0, 0], 0))))??;
        let mut threads = Vec::new();
        let mut giver = stream.try_clone()?;
        threads.push(std::thread::spawn(move || while giver.write_all(&[0; 16 * 1024]).is_ok() {}));
        threads.push(std::thread::spawn(move || {
            let mut room = [0; 16 * 1024];
            while taker.read(&mut room).is_ok_and(|n| n > 0) {}
        }));
        let stopped = Arc::clone(&stop);
        threads.push(std::thread::spawn(move || {
            // Only the socket is needed, so that the host does not answer "port unreachable".
            let _sink = sink;
            let began = clock::uptime();
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                let due = clock::since(began).as_micros() as u64 * packets / 1_000_000;
                while sent < due {
                    let _ = source.send_to(&[0; 1_200], address);
                    sent += 1;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }));
        Ok(Load { stop, threads })
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}
