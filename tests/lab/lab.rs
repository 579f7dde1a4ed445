//! Tests of the lab itself: the world is built and removed, its faults work, and so do broker and platform.
//!
//! Needs namespaces (see `lab::enclosure`) and iproute2. Where they are refused, every test is counted as ignored and
//! says why; with LINEKEEPER_REQUIRE_ALL=1 that is a failure.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::agent_binary;
use crate::common::trial::{Outcome, Test};
use libtest_mimic::Failed;
use linekeeper_judge::observation::{Receipt, ReceiptState};
use linekeeper_lab::broker::Broker;
use linekeeper_lab::clock;
use linekeeper_lab::platform::{Platform, Receipts};
use linekeeper_lab::world::{
    ANCHOR, BACKUP, Host, ISP, LAN_HOST, LEASE, NAMES, PLATFORM, WAN, WORLD, WORLD2, World, ip,
};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Timeout for steps that take milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait for a reply that must not come: a thousand round trips.
const SILENCE: Duration = Duration::from_millis(500);
/// The targets of the gateway.
const FAR: [Ipv4Addr; 3] = [ANCHOR, WORLD, WORLD2];

pub fn tests() -> Vec<Test> {
    vec![
        Test::lab("world_is_built_and_removed_completely", &[], build_and_remove),
        Test::lab("cut_cable_removes_the_carrier_until_it_is_restored", &[], carrier),
        Test::lab("silent_upstream_leaves_the_access_router_answering", &[], upstream),
        Test::lab("silent_access_router_keeps_the_carrier_but_gives_no_lease", &[], access),
        Test::lab("wedged_interface_has_no_address_until_a_new_dhcp_client_starts", &[], wedge),
        Test::lab("lease_needs_a_running_dhcp_server", &[], dhcp_server),
        Test::lab("dhcp_client_renews_on_sigusr1", &[], renew),
        Test::lab("dhcp_client_releases_on_sigterm", &[], release),
        Test::lab("backup_uplink_reaches_only_the_platform", &[], backup),
        Test::lab("platform_marks_repetitions_and_answers_callbacks", &[], platform),
        Test::lab("embedded_broker_keeps_the_session_of_a_lost_connection", &[], session),
        Test::lab("embedded_broker_delivers_wills_and_retained_messages", &[], wills),
        Test::lab("signal_to_the_demo_ends_all_processes_in_its_namespaces", &[], signals),
        Test::lab("without_namespaces_the_demo_says_so_and_plays_in_virtual_time", &[], refusal),
        Test::lab("platform_works_with_mosquitto", &["mosquitto"], mosquitto),
    ]
}

fn mosquitto() -> Outcome {
    let world = build()?;
    let file = world.directory().join("mosquitto.conf");
    std::fs::write(&file, "listener 1883 0.0.0.0\nallow_anonymous true\n")?;
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _mosquitto = world.spawn_in(Host::Platform, &mut command)?;
    converse(&world)
}

fn build() -> Result<World, Failed> {
    Ok(World::build(Path::new(agent_binary()))?)
}

fn must(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(what.into()) }
}

fn answers(world: &World, target: Ipv4Addr) -> bool {
    world.ping(Host::Gateway, target, PATIENCE).is_some()
}

fn is_silent(world: &World, target: Ipv4Addr) -> bool {
    world.ping(Host::Gateway, target, SILENCE).is_none()
}

/// The command lines of all other processes in the enclosure. Zombies have none.
fn others() -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| *id != std::process::id())
        .filter_map(|id| std::fs::read_to_string(format!("/proc/{id}/cmdline")).ok())
        .filter(|line| !line.is_empty())
        .collect()
}

fn build_and_remove() -> Outcome {
    let began = clock::uptime();
    let world = build()?;
    let took = clock::since(began);
    // The figure is for idle machines; a test that depends on speed would fail on loaded ones.
    println!("the world was built in {took:?}");
    must(took < PATIENCE, "building took far too long")?;
    must(world.wan_addresses()? == [LEASE], "the gateway's address is not the leased one")?;
    must(
        ip(Host::Gateway, &["route", "show", "default"])?.contains(&format!("via {ISP}")),
        "no default route",
    )?;
    for target in FAR.into_iter().chain([ISP, PLATFORM, LAN_HOST]) {
        must(answers(&world, target), &format!("{target} does not answer the gateway"))?;
    }
    must(
        world.ping(Host::Lan, WORLD, PATIENCE).is_some(),
        "the customer's computer does not reach the world",
    )?;
    drop(world);
    must(std::fs::read_dir(NAMES)?.next().is_none(), "namespaces are left")?;
    must(others().is_empty(), &format!("processes are left: {:?}", others()))
}

fn carrier() -> Outcome {
    let world = build()?;
    must(world.has_carrier(), "no carrier to begin with")?;
    world.cut_carrier()?;
    must(clock::wait_until(PATIENCE, || !world.has_carrier()), "the carrier stays")?;
    must(is_silent(&world, ISP), "the access router answers without a cable")?;
    world.restore_carrier()?;
    must(clock::wait_until(PATIENCE, || world.has_carrier()), "the carrier does not return")?;
    must(clock::wait_until(PATIENCE, || !is_silent(&world, WORLD)), "the line does not return")
}

fn upstream() -> Outcome {
    let world = build()?;
    world.silence_upstream()?;
    must(answers(&world, ISP), "the access router does not answer")?;
    for target in FAR {
        must(is_silent(&world, target), &format!("{target} answers"))?;
    }
    must(answers(&world, PLATFORM), "the platform is not reached over the backup")?;
    must(world.has_carrier() && world.has_lease(), "carrier or lease are gone")?;
    world.restore_upstream()?;
    must(FAR.iter().all(|target| answers(&world, *target)), "not all answer again")
}

fn access() -> Outcome {
    let world = build()?;
    world.silence_access()?;
    must(is_silent(&world, ISP) && is_silent(&world, WORLD), "a host answers")?;
    must(world.has_carrier(), "the carrier is gone")?;
    world.wedge()?;
    world.start_dhcp_client()?;
    must(!clock::wait_until(SILENCE * 3, || world.has_lease()), "a lease came through the silence")?;
    world.restore_access()?;
    must(clock::wait_until(PATIENCE, || world.has_lease()), "the client that kept trying got no lease")?;
    must(answers(&world, WORLD), "the world does not answer again")
}

fn wedge() -> Outcome {
    let world = build()?;
    let client = std::fs::read_to_string(world.dhcp_pidfile())?;
    world.wedge()?;
    must(world.wan_addresses()?.is_empty(), "there is still an address")?;
    must(ip(Host::Gateway, &["route", "show", "default"])?.is_empty(), "there is still a default route")?;
    must(!Path::new("/proc").join(client.trim()).join("exe").exists(), "the client still runs")?;
    must(world.has_carrier(), "the carrier is gone")?;
    must(!clock::wait_until(SILENCE, || world.has_lease()), "the interface recovered by itself")?;
    must(answers(&world, PLATFORM), "the platform is not reached over the backup")?;
    world.start_dhcp_client()?;
    must(clock::wait_until(PATIENCE, || world.has_lease()), "a new client got no lease")?;
    must(answers(&world, WORLD), "the world does not answer again")
}

fn dhcp_server() -> Outcome {
    let world = build()?;
    world.stop_dhcp();
    world.wedge()?;
    world.start_dhcp_client()?;
    must(!clock::wait_until(SILENCE * 3, || world.has_lease()), "there is a lease without a DHCP server")?;
    world.start_dhcp()?;
    must(clock::wait_until(PATIENCE, || world.has_lease()), "no lease from the new server")?;
    must(world.wan_addresses()? == [LEASE], "another address than before")
}

fn signal(world: &World, name: &str) -> Result<String, Failed> {
    let client = std::fs::read_to_string(world.dhcp_pidfile())?.trim().to_owned();
    let status = Command::new("kill").args(["-s", name, &client]).status()?;
    must(status.success(), "the client is not there")?;
    Ok(client)
}

fn renew() -> Outcome {
    let world = build()?;
    // A lost route is what a renewal brings back.
    ip(Host::Gateway, &["route", "del", "default"])?;
    must(!world.has_lease(), "the route is still there")?;
    let before = signal(&world, "USR1")?;
    must(clock::wait_until(PATIENCE, || world.has_lease()), "the renewal brought no route")?;
    let after = std::fs::read_to_string(world.dhcp_pidfile())?;
    must(after.trim() == before, "the client is another one")
}

fn release() -> Outcome {
    let world = build()?;
    signal(&world, "TERM")?;
    must(clock::wait_until(PATIENCE, || !world.dhcp_pidfile().exists()), "the pid file stays")?;
    must(world.wan_addresses()?.is_empty(), "the address stays")
}

fn backup() -> Outcome {
    let world = build()?;
    world.silence_access()?;
    must(answers(&world, PLATFORM), "the platform is not reached")?;
    must(is_silent(&world, WORLD), "the world is reached")?;
    must(
        ip(Host::Gateway, &["route", "get", &PLATFORM.to_string()])?.contains(BACKUP),
        "not over the backup",
    )?;
    world.set_backup(false)?;
    must(is_silent(&world, PLATFORM), "the platform is reached although everything is down")?;
    world.restore_access()?;
    must(
        clock::wait_until(PATIENCE, || !is_silent(&world, PLATFORM)),
        "the platform is not reached over the WAN",
    )?;
    must(ip(Host::Gateway, &["route", "get", &PLATFORM.to_string()])?.contains(WAN), "not over the WAN")?;
    world.set_backup(true)?;
    must(
        ip(Host::Gateway, &["route", "get", &PLATFORM.to_string()])?.contains(BACKUP),
        "the backup is not back",
    )
}

/// A callback as the gateway would request it.
fn callback(number: u32) -> Value {
    let stamp = json!({"wall": null, "synced": false, "boot_id": "b", "uptime_ms": 1});
    json!({
        "schema": "linekeeper.callback.v1", "id": format!("gw-7/CB{number}"), "callback_id": format!("CB{number}"),
        "device_id": "gw-7", "customer_id": null, "area": null, "state": "requested", "time": stamp,
        "severity": "urgent", "trigger": {"dimension": "data", "name": "outage"}, "issues": [], "opened": stamp,
        "incident_id": null,
        "evidence": {"finding": "outage", "fault_domain": "upstream", "facts": [], "samples": [], "rule": "r",
            "recorder": null},
        "remedies": [], "resolution": {"state": "open", "by": null, "resolution_time_s": null},
        "satisfaction_score": null,
    })
}

fn platform() -> Outcome {
    let world = build()?;
    let _broker = Broker::start(&world)?;
    converse(&world)
}

/// Exchanges messages between a client and the platform over the running broker.
fn converse(world: &World) -> Outcome {
    let platform = Platform::start(Some(Host::Platform), Broker::address(), Receipts::Received)?;
    let hand = within(world, || Client::start(None, true))?;
    hand.subscribe("linekeeper/v1/gw-7/callback/receipt");
    for _ in 0..2 {
        hand.publish("linekeeper/v1/gw-7/callback", &callback(1), false);
    }
    let first = platform.wait_for(0, PATIENCE, |r| r.kind == "callback").ok_or("no callback came")?;
    must(!first.repeated && first.message().is_some(), "the first one is not new, or not typed")?;
    let second =
        platform.wait_for(first.place + 1, PATIENCE, |r| r.kind == "callback").ok_or("no second came")?;
    must(second.repeated, "the second one counts as new")?;
    let receipt = hand.next().ok_or("no receipt came")?;
    must(
        receipt["state"] == "received" && receipt["callback_id"] == "CB1",
        &format!("wrong receipt {receipt}"),
    )?;
    must(receipt["schema"] == "linekeeper.receipt.v1", "the receipt has no schema")?;
    must(hand.next().is_some(), "the repetition was not answered")?;
    platform.answer_with(Receipts::Silent);
    hand.publish("linekeeper/v1/gw-7/callback", &callback(2), false);
    platform.wait_for(second.place + 1, PATIENCE, |r| r.kind == "callback").ok_or("no third came")?;
    platform.answer_with(Receipts::Refused("closed today".into()));
    hand.publish("linekeeper/v1/gw-7/callback", &callback(3), false);
    // Receipts come in order: the next one being for the third means that there was none for the second.
    let receipt = hand.next().ok_or("no refusal came")?;
    must(
        receipt["state"] == "refused" && receipt["callback_id"] == "CB3",
        &format!("wrong refusal {receipt}"),
    )?;
    must(receipt["reason"] == "closed today", "the refusal gives no reason")
}

fn wills() -> Outcome {
    let world = build()?;
    let _broker = Broker::start(&world)?;
    let topic = "linekeeper/v1/gw-7/state";
    let hand = within(&world, || Client::start(Some((topic, json!({"online": false}))), true))?;
    hand.publish(topic, &json!({"online": true}), true);
    // The platform connects only now, so it gets the retained message.
    must(hand.settled(), "the broker did not take the state")?;
    let platform = Platform::start(Some(Host::Platform), Broker::address(), Receipts::Received)?;
    let birth = platform.wait_for(0, PATIENCE, |r| r.kind == "state").ok_or("no retained state")?;
    must(birth.retained && birth.json["online"] == true, &format!("not the retained birth: {birth:?}"))?;
    hand.vanish();
    let death = platform.wait_for(birth.place + 1, PATIENCE, |r| r.kind == "state").ok_or("no will came")?;
    must(death.json["online"] == false, &format!("not the will: {death:?}"))?;
    drop(platform);
    let later = Platform::start(Some(Host::Platform), Broker::address(), Receipts::Received)?;
    let kept = later.wait_for(0, PATIENCE, |r| r.kind == "state").ok_or("the will was not retained")?;
    must(kept.retained && kept.json["online"] == false, &format!("not the retained will: {kept:?}"))
}

fn session() -> Outcome {
    let world = build()?;
    let _broker = Broker::start(&world)?;
    let platform = Platform::start(Some(Host::Platform), Broker::address(), Receipts::Received)?;
    let will = ("linekeeper/v1/gw-7/state", json!({"online": false}));
    let hand = within(&world, || Client::start(Some(will), false))?;
    hand.subscribe("linekeeper/v1/gw-7/callback/receipt");
    hand.vanish();
    // The will says that the broker has noticed.
    platform.wait_for(0, PATIENCE, |r| r.kind == "state").ok_or("no will came")?;
    let receipt = Receipt {
        callback_id: "CB1".into(),
        state: ReceiptState::Scheduled,
        reason: None,
        satisfaction_score: None,
        issue_types: Vec::new(),
        resolved_by: None,
    };
    platform.send("gw-7", &receipt)?;
    let hand = within(&world, || Client::start(None, false))?;
    let receipt = hand.next().ok_or("the receipt sent meanwhile was lost")?;
    must(receipt["state"] == "scheduled", &format!("something else came: {receipt}"))
}

/// Enclosures can be nested. This starts one inside and sends a signal to its outer process.
fn signals() -> Outcome {
    for name in ["INT", "TERM"] {
        let mut lab = Command::new(agent_binary())
            .args(["lab", "--agent", "/bin/false"])
            .env_remove("LINEKEEPER_LAB_ENCLOSED")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // Its DHCP server shows that the world has been built.
        let is_built = || others().iter().any(|line| line.contains("dhcp-server"));
        let built = clock::wait_until(PATIENCE, is_built);
        Command::new("kill").args(["-s", name, &lab.id().to_string()]).status()?;
        let ended = clock::wait_until(PATIENCE, || matches!(lab.try_wait(), Ok(Some(_))));
        let _ = lab.kill();
        must(built, "the world was not built")?;
        must(ended, &format!("SIG{name} did not end it"))?;
        let gone = clock::wait_until(PATIENCE, || others().is_empty());
        must(gone, &format!("processes are left after SIG{name}: {:?}", others()))?;
    }
    Ok(())
}

fn refusal() -> Outcome {
    let script = "echo 0 > /proc/sys/user/max_net_namespaces && exec \"$0\" lab --json";
    let out = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script, agent_binary()])
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    must(out.status.success(), &format!("ended with {}: {said}", out.status))?;
    must(
        said.contains("refuses") && said.contains("unshare") && said.contains("Try"),
        &format!("it said only: {said}"),
    )?;
    // The story is played in virtual time: one JSON object per line, from the first act to the end.
    let told = String::from_utf8_lossy(&out.stdout);
    let objects: Vec<Value> = told.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let acts = objects.iter().filter(|o| o["what"] == "act").count();
    must(acts == 7, &format!("{acts} acts were played"))?;
    let end = objects.last().ok_or("no output")?;
    must(end["what"] == "end" && end["as_told"] == true, &format!("it ended with {end}"))
}

fn within<T: Send>(world: &World, work: impl FnOnce() -> Result<T, Failed> + Send) -> Result<T, Failed> {
    // `Failed` is not `Send` in all versions: its words are.
    world
        .run_in(Host::Gateway, || work().map_err(|e| e.message().unwrap_or("failed").to_owned()))?
        .map_err(Into::into)
}

/// An MQTT client on its own thread, in the network namespace of the thread that starts it.
struct Client {
    client: rumqttc::v5::AsyncClient,
    came: std::sync::mpsc::Receiver<Value>,
    acknowledged: std::sync::mpsc::Receiver<()>,
    vanish: tokio::sync::oneshot::Sender<()>,
}

impl Client {
    fn start(will: Option<(&str, Value)>, clean: bool) -> Result<Client, Failed> {
        use rumqttc::v5::mqttbytes::QoS;
        use rumqttc::v5::mqttbytes::v5::{LastWill, Packet};
        use rumqttc::v5::{AsyncClient, Event, MqttOptions};
        let address = Broker::address();
        let mut options = MqttOptions::new("hand", address.ip().to_string(), address.port());
        options.set_outgoing_inflight_upper_limit(20).set_keep_alive(Duration::from_secs(5));
        options.set_clean_start(clean).set_session_expiry_interval(Some(600));
        if let Some((topic, json)) = will {
            options.set_last_will(LastWill::new(topic, json.to_string(), QoS::AtLeastOnce, true, None));
        }
        let (client, mut events) = AsyncClient::new(options, 16);
        let (tell, came) = std::sync::mpsc::channel();
        let (tell_ack, acknowledged) = std::sync::mpsc::channel();
        let (vanish, mut gone) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                loop {
                    let event = tokio::select! {
                        event = events.poll() => event,
                        _ = &mut gone => return, // the socket closes without a DISCONNECT
                    };
                    match event {
                        Ok(Event::Incoming(Packet::Publish(p))) => {
                            let _ = tell.send(serde_json::from_slice(&p.payload).unwrap_or_default());
                        }
                        Ok(Event::Incoming(Packet::PubAck(_) | Packet::SubAck(_))) => {
                            let _ = tell_ack.send(());
                        }
                        Ok(_) => {}
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    }
                }
            });
        });
        Ok(Client { client, came, acknowledged, vanish })
    }

    fn subscribe(&self, topic: &str) {
        self.client.try_subscribe(topic, rumqttc::v5::mqttbytes::QoS::AtLeastOnce).unwrap();
        assert!(self.settled());
    }

    fn publish(&self, topic: &str, json: &Value, retain: bool) {
        let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
        self.client.try_publish(topic, qos, retain, json.to_string()).unwrap();
    }

    /// Waits until the broker acknowledged something.
    fn settled(&self) -> bool {
        self.acknowledged.recv_timeout(PATIENCE).is_ok()
    }

    fn next(&self) -> Option<Value> {
        self.came.recv_timeout(PATIENCE).ok()
    }

    fn vanish(self) {
        let _ = self.vanish.send(());
    }
}
