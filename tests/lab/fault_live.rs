//! The table of faults with real packets. Each test causes a fault, and the real agent watches, checks and acts. The messages
//! to the platform must say where the fault lies and which remedies were tried.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::field::{
    Mosquitto, MqttMessage, Outcome, PATIENCE, Plan, Subscriber, Test, build, exec, must, read,
};
use crate::common::{agent_binary, field, proof};
use libtest_mimic::Failed;
use linekeeper::run::socket::{Request, ask};
use linekeeper_judge::checks::ACCESS_PER_HOUR;
use linekeeper_lab::platform::{Platform, Receipts};
use linekeeper_lab::world::{ANCHOR, Host, ISP, LAN_HOST, PLATFORM, Process, WAN, WORLD, WORLD2, World, ip};
use linekeeper_lab::{clock, dns_server, web_server};
use rustix::process::Signal;
use std::cell::RefCell;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NEEDS: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub"];
const FILTERS: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub", "nft"];
const DNSMASQ: &[&str] = &["mosquitto", "mosquitto_sub", "mosquitto_pub", "dnsmasq"];

pub fn tests() -> Vec<Test> {
    vec![
        Test::lab("dhcp_server_gets_few_requests_during_an_outage", DNSMASQ, dnsmasq)
            .longer(field::outage_duration())
            .early(),
        Test::lab("cable_out", NEEDS, cable_out),
        Test::lab("port_at_100_below_the_promise", NEEDS, || port("100", "100 Mbit/s")),
        Test::lab("port_at_10_below_the_promise", NEEDS, || port("10", "10 Mbit/s")),
        Test::lab("address_lost", NEEDS, address_lost),
        Test::lab("address_lost_and_dhcp_client_dead", NEEDS, wedged),
        Test::lab("dhcp_server_dead", NEEDS, dhcp_dead),
        Test::lab("dhcp_server_refuses", NEEDS, dhcp_refuses),
        Test::lab("pppoe_concentrator_silent", NEEDS, || pppoe("silent")),
        Test::lab("pppoe_concentrator_refuses", NEEDS, || pppoe("refusing")),
        Test::lab("pppoe_session_lost_while_the_concentrator_answers", NEEDS, || pppoe("good")),
        Test::lab("cable_out_below_a_pppoe_session", NEEDS, pppoe_cable),
        Test::lab("gateway_dead", NEEDS, gateway_dead),
        Test::lab("gateway_filters_echoes", FILTERS, gateway_filters),
        Test::lab("gateway_filters_echoes_and_upstream_dead", FILTERS, filters_and_dead),
        Test::lab("upstream_dead", NEEDS, upstream_dead),
        Test::lab("upstream_dead_on_a_noisy_segment", NEEDS, noisy_segment),
        Test::lab("names_dead", NEEDS, || names(dns_server::Manner::Dead, true)).early(),
        Test::lab("names_refused", NEEDS, || names(dns_server::Manner::Refusing, true)).early(),
        Test::lab("names_hijacked", NEEDS, || names(dns_server::Manner::Hijacking, false)).early(),
        Test::lab("login_page", NEEDS, || login_page(false)).early(),
        Test::lab("login_page_for_every_name", NEEDS, || login_page(true)).early(),
        Test::lab("one_independent_target_dead", NEEDS, target_dead),
        Test::lab("test_server_dead", NEEDS, test_server_dead),
        Test::lab("only_the_broker_dead", NEEDS, broker_dead),
        Test::lab("default_route_lost", NEEDS, route_lost),
        Test::lab("second_uplink_with_a_working_line", NEEDS, second_path),
        Test::lab("second_uplink_with_a_dead_line", NEEDS, second_path_and_dead),
        Test::lab("lan_trouble_is_no_line_fault", NEEDS, lan_alone),
    ]
}

/// Limit from the detection to the right fault domain.
const LOCATED_WITHIN: Duration = Duration::from_secs(10);
/// Limit for the whole ladder and the callback after it.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(90);
/// How long a line without a fault is watched: several times the detection time of an outage.
fn calm() -> Duration {
    Duration::from_secs(proof(12, 20))
}

const DEVICE: &str = "gw-0001";
const LEASES: &str = "/run/linekeeper-field/dnsmasq.leases";

/// All remedies of the driver except the reboot, which is off by default.
const ALL: &[&str] = &["renew", "restart-interface", "restart-network", "power-modem"];
const WITHOUT_LEASE: &[&str] = &["restart-interface", "restart-network", "power-modem"];

struct Scene {
    subscriber: Subscriber,
    broker: RefCell<Mosquitto>,
    _platform: Platform,
    plan: Plan,
    _agent: Process,
    /// Servers in the access network and beyond.
    parts: RefCell<Vec<Process>>,
    world: World,
}

/// The expected consequences of a fault.
struct Wanted {
    finding: &'static str,
    domain: &'static str,
    /// Texts that the log must contain.
    shown_by: &'static [&'static str],
    /// The remedies that must be taken, in order, and no others.
    rungs: &'static [&'static str],
    called: bool,
}

const fn outage(
    domain: &'static str,
    shown_by: &'static [&'static str],
    rungs: &'static [&'static str],
) -> Wanted {
    Wanted { finding: "outage", domain, shown_by, rungs, called: true }
}

/// The demo's configuration with every rung except the reboot, and with resolvers and a web page.
fn plan(world: &World) -> Plan {
    let plan = Plan::new(world, DEVICE);
    let resolvers = world.directory().join("resolv.conf");
    fs::write(&resolvers, format!("nameserver {ANCHOR}\n")).unwrap();
    let more = format!(
        "\n[name]\nresolv_conf = {resolvers:?}\nindependent = \"{WORLD2}\"\nexists = \"www.isp.example\"\nevery = \"10 s\"\n\
         [web]\nurl = \"http://{WORLD}/204\"\nevery = \"10 s\"\n"
    );
    let use_other = format!("echo nameserver $1 > {}", resolvers.display());
    let mut plan = plan
        .edit(
            "ladder = [\"renew\", \"restart-interface\"]",
            &format!(
                "ladder = [\"renew\", \"other-resolver\", \"restart-interface\", \"restart-network\", \"power-modem\"]\n\
                 other_resolver = [\"sh\", \"-c\", {use_other:?}, \"sh\", \"{{resolver}}\"]\n\
                 restart_network = [\"true\"]\npower_modem = [\"true\"]"
            ),
        )
        .edit(
            "settle = { renew = \"1 s\", restart-interface = \"3 s\" }",
            "settle = { renew = \"2 s\", restart-interface = \"3 s\", restart-network = \"2 s\", power-modem = \"2 s\", \
             other-resolver = \"15 s\" }",
        );
    plan.configuration += &more;
    plan
}

/// A working line with resolvers and a web page, and an agent that has reported it as up.
fn scene(change: impl FnOnce(&World, Plan) -> Plan) -> Result<Scene, Failed> {
    let world = build()?;
    let broker = Mosquitto::start(&world)?;
    let subscriber = Subscriber::start(&world)?;
    let platform = Platform::start(Some(Host::Platform), (PLATFORM, 1883).into(), Receipts::Received)?;
    let parts = vec![
        resolver(&world, Host::Anchor, ANCHOR, dns_server::Manner::Alive)?,
        page(&world, web_server::Manner::Good)?,
        resolver(&world, Host::World2, WORLD2, dns_server::Manner::Alive)?,
    ];
    let plan = change(&world, plan(&world));
    let agent = plan.start(&world)?;
    subscriber.expect("the line's state", 0, PATIENCE, |h| h.kind == "state" && h.text("/line") == "up")?;
    let (broker, parts) = (broker.into(), parts.into());
    Ok(Scene { subscriber, broker, _platform: platform, plan, _agent: agent, parts, world })
}

/// Waits until the agent has checked names and web at least once.
fn settled(s: &Scene) -> Outcome {
    let came = clock::wait_until(PATIENCE * 2, || {
        s.plan.count_in_trace("\"ask\":\"name\"") > 0 && s.plan.count_in_trace("\"ask\":\"web\"") > 0
    });
    must(came, || "names and web are never checked".into())
}

fn part(world: &World, host: Host, words: &[&str], place: SocketAddr) -> Result<Process, Failed> {
    let mut command = Command::new(agent_binary());
    command.arg("lab").args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let process = world.spawn_in(host, &mut command)?;
    let ready = world.run_in(host, || clock::wait_until(PATIENCE, || TcpStream::connect(place).is_ok()))?;
    must(ready, || format!("{words:?} does not listen"))?;
    Ok(process)
}

fn resolver(world: &World, host: Host, at: Ipv4Addr, manner: dns_server::Manner) -> Result<Process, Failed> {
    let place = SocketAddr::from((at, 53));
    let (listen, address) = (place.to_string(), WORLD.to_string());
    part(
        world,
        host,
        &["dns-server", "--listen", &listen, "--manner", manner.as_str(), "--address", &address],
        place,
    )
}

fn page(world: &World, manner: web_server::Manner) -> Result<Process, Failed> {
    let place = SocketAddr::from((WORLD, 80));
    part(
        world,
        Host::World,
        &["web-server", "--listen", &place.to_string(), "--manner", manner.as_str()],
        place,
    )
}

/// Starts a server of the lab on an Ethernet device of the access router.
fn serving(world: &World, words: &[&str]) -> Result<Process, Failed> {
    let mut command = Command::new(agent_binary());
    command.arg("lab").args(words).stdin(Stdio::null()).stdout(Stdio::null());
    Ok(world.spawn_in(Host::Isp, &mut command)?)
}

fn taken(heard: &[MqttMessage]) -> Vec<String> {
    let begun = heard.iter().filter(|h| h.is_event("remedy_begun"));
    begun.map(|h| h.text("/remedy/name").to_owned()).collect()
}

impl Scene {
    /// Causes the fault and compares the messages with the expectation. The fault remains.
    fn expect_fault(&self, what: &str, make: impl FnOnce(&Scene) -> Outcome, wanted: &Wanted) -> Outcome {
        let place = self.subscriber.place();
        let at = clock::uptime();
        make(self)?;
        let opened = self
            .subscriber
            .expect("incident_opened", place, HANDED_OVER_WITHIN, |h| h.is_event("incident_opened"))?;
        let right = |h: &MqttMessage| {
            h.kind == "event"
                && h.text("/incident/fault_domain") == wanted.domain
                && h.text("/incident/finding") == wanted.finding
        };
        let placed = self.subscriber.expect("the right domain", place, HANDED_OVER_WITHIN, right)?;
        let took = placed.at.saturating_sub(opened.at);
        // The end: handed over to the operator, or healed.
        let end = if wanted.called {
            self.subscriber
                .expect("the callback", place, HANDED_OVER_WITHIN, |h| h.is_callback("requested"))?
        } else {
            self.subscriber.expect("its end", place, HANDED_OVER_WITHIN, |h| h.is_event("incident_closed"))?
        };
        let heard = self.subscriber.critical(place);
        let rungs = taken(&heard);
        println!(
            "row | {what} | {} {} | found {:.1} s after the fault | located {:.1} s later | rungs {} | {} {:.1} s after the fault",
            wanted.finding,
            wanted.domain,
            opened.at.saturating_sub(at).as_secs_f64(),
            took.as_secs_f64(),
            if rungs.is_empty() { "none".to_owned() } else { rungs.join(", ") },
            if wanted.called { "handed over" } else { "healed" },
            end.at.saturating_sub(at).as_secs_f64(),
        );
        for h in &heard {
            println!("  {}", field::brief(h));
        }
        must(took <= LOCATED_WITHIN, || format!("located {took:?} after the detection"))?;
        // The domain does not change again.
        let last = heard.iter().rev().find(|h| h.kind == "event").expect("an event");
        must(right(last), || format!("the last event is {}", field::brief(last)))?;
        must(rungs == wanted.rungs, || format!("taken: {rungs:?}, wanted {:?}", wanted.rungs))?;
        must(wanted.called || heard.iter().all(|h| h.kind != "callback"), || {
            "a callback was requested".into()
        })?;
        if wanted.called {
            let issue = end.text("/issues/0/code");
            must(issue == format!("{}.{}", wanted.finding, wanted.domain), || {
                format!("the callback says {issue}")
            })?;
        }
        let log = self.plan.log();
        for words in wanted.shown_by {
            must(log.contains(words), || format!("the log does not contain {words:?}"))?;
        }
        Ok(())
    }

    /// Ends the fault and expects the end of the incident and the withdrawal of its callback.
    fn expect_recovery(&self, mend: impl FnOnce(&Scene) -> Outcome) -> Outcome {
        let place = self.subscriber.place();
        mend(self)?;
        self.subscriber.expect("its end", place, HANDED_OVER_WITHIN, |h| h.is_event("incident_closed"))?;
        self.subscriber.expect("the withdrawal", place, PATIENCE, |h| h.is_callback("withdrawn"))?;
        Ok(())
    }

    /// Expects that nothing is found or done and nobody is called.
    fn expect_no_alarm(&self, what: &str, make: impl FnOnce(&Scene) -> Outcome) -> Outcome {
        let place = self.subscriber.place();
        make(self)?;
        // Messages that were in progress may arrive first.
        let found = self.subscriber.wait(place, calm(), |h| matches!(h.kind.as_str(), "event" | "callback"));
        must(found.is_none(), || format!("unexpected message: {}", field::brief(&found.unwrap())))?;
        let deeds = self.plan.effective_actions();
        must(
            deeds.iter().all(|d| !matches!(d["action"]["do"].as_str(), Some("repair" | "publish"))),
            || format!("unexpected actions: {deeds:?}"),
        )?;
        self.plan.expect_line("up")?;
        println!("row | {what} | no fault | | | rungs none | watched for {} s", calm().as_secs());
        Ok(())
    }

    fn asked(&self, ask: &str) -> usize {
        let all = self.plan.effective_actions();
        all.iter()
            .filter(|d| {
                d["action"]["do"] == "check" && d["action"].to_string().contains(&format!("\"{ask}\""))
            })
            .count()
    }
}

// ---- the link

fn cable_out() -> Outcome {
    let s = scene(|_, plan| plan)?;
    let cut = |s: &Scene| Ok(s.world.cut_carrier()?);
    s.expect_fault("cable out", cut, &outage("link", &["no carrier"], WITHOUT_LEASE))?;
    must(s.asked("dhcp") + s.asked("neighbour") + s.asked("pppoe") == 0, || "a layer was checked".into())?;
    s.expect_recovery(|s| Ok(s.world.restore_carrier()?))
}

/// The agent reads the negotiated rate from sysfs. A bind mount in its mount namespace shows another rate.
fn port(megabits: &str, words: &str) -> Outcome {
    let s = scene(|world, plan| {
        let file = world.directory().join("speed");
        fs::write(&file, format!("{megabits}\n")).unwrap();
        let sold = "[promise]\ndownload = { normal = \"200 Mbit/s\" }\n\n[outage]\n";
        let mut plan = plan.edit("[outage]\n", sold);
        plan.configuration += &format!("[speed]\nservers = [\"http://{ANCHOR}/\"]\n");
        let mount = format!(
            "mount -t sysfs sysfs /sys && mount --bind {} /sys/devices/virtual/net/{WAN}/speed && exec \"$@\"",
            file.display()
        );
        plan.prefix = ["unshare", "--mount", "sh", "-c", &mount, "sh"].map(str::to_owned).into();
        plan
    })?;
    let opened = s.subscriber.expect("the finding", 0, PATIENCE * 2, |h| h.is_event("incident_opened"))?;
    must(opened.text("/incident/fault_domain") == "link", || opened.json.to_string())?;
    must(opened.text("/incident/finding") == "short_rate", || opened.json.to_string())?;
    let told = format!("negotiated {words}, 200 Mbit/s were promised");
    must(opened.text("/why").contains(&told), || opened.json.to_string())?;
    let requested = s.subscriber.expect("the callback", 0, PATIENCE, |h| h.is_callback("requested"))?;
    must(requested.text("/issues/0/code") == "speed.port", || requested.json.to_string())?;
    must(taken(&s.subscriber.critical(0)).is_empty(), || "a remedy was taken for a slow port".into())?;
    println!(
        "row | port at {words} under a higher promise | short_rate link | | located 0.0 s later | rungs none | handed over"
    );
    Ok(())
}

// ---- the access

fn address_lost() -> Outcome {
    let s = scene(|_, plan| plan)?;
    let wanted =
        Wanted { called: false, ..outage("access", &["no address", "checked: dhcp.answered"], &["renew"]) };
    let lose =
        |_: &Scene| ip(Host::Gateway, &["addr", "flush", "dev", WAN]).map(|_| ()).map_err(Failed::from);
    s.expect_fault("address lost", lose, &wanted)?;
    must(s.world.has_lease(), || "reported as healed, but the gateway has no lease".into())
}

fn wedged() -> Outcome {
    let s = scene(|_, plan| plan)?;
    let rungs = &["renew", "restart-interface"];
    let wanted = Wanted { called: false, ..outage("access", &["no address"], rungs) };
    s.expect_fault("address lost, its client dead", |s| Ok(s.world.wedge()?), &wanted)?;
    must(s.world.has_lease(), || "reported as healed, but the gateway has no lease".into())
}

/// Replaces the DHCP server by one with a lease of a few seconds, which expires during the test.
fn short_lease(s: &Scene) -> Result<Process, Failed> {
    s.world.stop_dhcp();
    let said = s.world.directory().join("dhcp-server.said");
    let mut command = Command::new(agent_binary());
    command.args(["lab", "dhcp-server", "--device", "acc0", "--lease", "6"]);
    command.stdin(Stdio::null()).stdout(fs::File::create(&said)?);
    let server = s.world.spawn_in(Host::Isp, &mut command)?;
    // The client renews its lease and gets a short one.
    field::signal(client(s)?, Signal::USR1);
    must(clock::wait_until(PATIENCE, || read(&said).contains("ACK")), || "no lease".into())?;
    Ok(server)
}

fn client(s: &Scene) -> Result<u32, Failed> {
    Ok(read(&s.world.dhcp_pidfile()).trim().parse().map_err(|_| "no DHCP client")?)
}

fn dhcp_dead() -> Outcome {
    let s = scene(|_, plan| plan)?;
    let server = short_lease(&s)?;
    let kill = move |_: &Scene| {
        drop(server);
        Ok(())
    };
    s.expect_fault("DHCP server dead", kill, &outage("access", &["no address", "dhcp.silent"], ALL))?;
    must(s.asked("pppoe") == 0, || "a PPPoE concentrator was checked".into())?;
    s.expect_recovery(|s| Ok(s.world.start_dhcp()?))
}

fn dhcp_refuses() -> Outcome {
    let s = scene(|_, plan| plan)?;
    let refuse = |s: &Scene| {
        s.world.stop_dhcp();
        let server = serving(&s.world, &["dhcp-server", "--device", "acc0", "--manner", "refusing"])?;
        s.parts.borrow_mut().push(server);
        // The client tries to renew its lease.
        let client = client(s)?;
        let gone = clock::wait_until(PATIENCE, || {
            field::signal(client, Signal::USR1);
            !s.world.has_lease()
        });
        must(gone, || "the client still has its lease".into())
    };
    s.expect_fault("DHCP server answers a NAK", refuse, &outage("access", &["dhcp.refused"], ALL))?;
    s.expect_recovery(|s| {
        s.parts.borrow_mut().pop();
        Ok(s.world.start_dhcp()?)
    })
}

/// The device of a PPPoE session. A veth pair stands in for PPP, which this kernel may lack. It exists while the session
/// does.
const SESSION: &str = "pppoe-wan";

fn begin_session() -> Outcome {
    ip(
        Host::Gateway,
        &["link", "add", SESSION, "type", "veth", "peer", "name", "ses0", "netns", Host::Isp.name()],
    )?;
    ip(Host::Gateway, &["addr", "add", "198.18.101.2", "peer", "198.18.101.1/32", "dev", SESSION])?;
    ip(Host::Isp, &["addr", "add", "198.18.101.1", "peer", "198.18.101.2/32", "dev", "ses0"])?;
    ip(Host::Isp, &["link", "set", "ses0", "up"])?;
    // PPP has no link-layer addresses, so the other end answers for all addresses.
    exec_isp("echo 1 > /proc/sys/net/ipv4/conf/ses0/proxy_arp")?;
    ip(Host::Gateway, &["link", "set", SESSION, "up"])?;
    ip(Host::Gateway, &["route", "replace", "default", "dev", SESSION])?;
    Ok(())
}

fn exec_isp(command: &str) -> Outcome {
    let place = format!("--net=/run/netns/{}", Host::Isp.name());
    let done = Command::new("nsenter").args([&place, "sh", "-c", command]).status()?;
    must(done.success(), || format!("{command}: {done}"))
}

fn end_session() -> Outcome {
    ip(Host::Gateway, &["link", "del", SESSION])?;
    Ok(())
}

/// A PPPoE line: no lease on the Ethernet port, and a concentrator behind it.
fn session() -> Result<Scene, Failed> {
    let s = scene(|world, plan| {
        ip(Host::Core, &["route", "add", "198.18.101.0/24", "via", "198.18.200.1"]).unwrap();
        // There is no DHCP on such a line.
        world.stop_dhcp();
        let client: u32 = read(&world.dhcp_pidfile()).trim().parse().unwrap();
        field::signal(client, Signal::KILL);
        ip(Host::Gateway, &["addr", "flush", "dev", WAN]).unwrap();
        begin_session().unwrap();
        let mut plan = plan.edit(
            &format!("[line]\ndevice = \"{WAN}\""),
            &format!("[line]\ndevice = \"{SESSION}\"\nport = \"{WAN}\"\nprotocol = \"pppoe\""),
        );
        let from = plan.configuration.find("dhcp_client = ").unwrap();
        let to = from + plan.configuration[from..].find('\n').unwrap();
        plan.configuration.replace_range(from..to, "dhcp_client = []");
        plan
    })?;
    let concentrator = serving(&s.world, &["pppoe-server", "--device", "acc0", "--manner", "good"])?;
    s.parts.borrow_mut().push(concentrator);
    Ok(s)
}

fn pppoe(manner: &'static str) -> Outcome {
    let s = session()?;
    let lose = |s: &Scene| {
        s.parts.borrow_mut().pop();
        let concentrator = serving(&s.world, &["pppoe-server", "--device", "acc0", "--manner", manner])?;
        s.parts.borrow_mut().push(concentrator);
        end_session()
    };
    let shown: &[&str] = match manner {
        "silent" => &["pppoe.silent"],
        "refusing" => &["pppoe.refused"],
        _ => &["pppoe.answered"],
    };
    s.expect_fault(
        &format!("PPPoE session gone, its concentrator {manner}"),
        lose,
        &outage("access", shown, WITHOUT_LEASE),
    )?;
    must(s.asked("dhcp") + s.asked("neighbour") == 0, || "DHCP or the neighbour was checked".into())?;
    s.expect_recovery(|_| begin_session())
}

fn pppoe_cable() -> Outcome {
    let s = session()?;
    let cut = |s: &Scene| {
        s.world.cut_carrier()?;
        end_session()
    };
    s.expect_fault("cable out below a PPPoE session", cut, &outage("link", &["no carrier"], WITHOUT_LEASE))?;
    must(s.asked("pppoe") == 0, || "the concentrator was checked without a carrier".into())
}

fn route_lost() -> Outcome {
    let s = scene(|_, plan| plan)?;
    let wanted = Wanted { called: false, ..outage("access", &["no default route"], &["renew"]) };
    let lose = |_: &Scene| ip(Host::Gateway, &["route", "del", "default"]).map(|_| ()).map_err(Failed::from);
    s.expect_fault("default route lost", lose, &wanted)
}

// ---- the gateway and beyond

fn gateway_dead() -> Outcome {
    let s = scene(|_, plan| plan)?;
    let die = |s: &Scene| Ok(s.world.silence_access()?);
    s.expect_fault("gateway dead (no ARP)", die, &outage("gateway", &["neighbour.silent"], ALL))?;
    s.expect_recovery(|s| Ok(s.world.restore_access()?))
}

/// The access router answers ARP but drops echoes to itself.
fn filter(s: &World) -> Outcome {
    let rules = "table ip filter {\n chain in {\n type filter hook input priority 0\n icmp type echo-request drop\n }\n}";
    let command = format!("nft '{rules}'");
    exec(s, Host::Isp, &["sh", "-c", &command])?;
    must(s.ping(Host::Gateway, ISP, Duration::from_secs(1)).is_none(), || "it answers echoes".into())?;
    must(s.ping(Host::Gateway, WORLD, PATIENCE).is_some(), || "the world does not answer".into())
}

fn gateway_filters() -> Outcome {
    {
        let s = scene(|_, plan| plan)?;
        s.expect_no_alarm("gateway answers ARP, begins to filter echoes", |s| filter(&s.world))?;
    }
    let s = scene(|world, plan| {
        filter(world).unwrap();
        plan
    })?;
    s.expect_no_alarm("gateway answers ARP, always filtered echoes", |_| Ok(()))
}

fn filters_and_dead() -> Outcome {
    let s = scene(|world, plan| {
        filter(world).unwrap();
        plan
    })?;
    let wanted = outage("upstream", &["neighbour.answered", "dhcp.answered"], &[]);
    s.expect_fault("the same, and all beyond it dead", |s| Ok(s.world.silence_upstream()?), &wanted)?;
    s.expect_recovery(|s| Ok(s.world.restore_upstream()?))
}

fn upstream_dead() -> Outcome {
    let s = scene(|_, plan| plan)?;
    let wanted = outage("upstream", &["the gateway answers echoes"], &[]);
    s.expect_fault("access fine, all beyond it dead", |s| Ok(s.world.silence_upstream()?), &wanted)?;
    must(s.asked("dhcp") == 0, || "the DHCP server was checked without need".into())?;
    s.expect_recovery(|s| Ok(s.world.restore_upstream()?))
}

/// The operator's router asks by ARP for sixty neighbours that do not exist, as on a cable segment: more than twenty
/// broadcasts a second, which go on while everything beyond the router is dead.
fn noisy_segment() -> Outcome {
    let s = scene(|_, plan| plan)?;
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    s.world.run_in(Host::Isp, move || {
        std::thread::spawn(move || {
            let socket = UdpSocket::bind((ISP, 0)).expect("a socket");
            while !ended.load(Ordering::Relaxed) {
                let [a, b, c, _] = ISP.octets();
                for host in 100..160 {
                    let _ = socket.send_to(b"x", (Ipv4Addr::new(a, b, c, host), 9));
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
    })?;
    let received = || -> Result<u64, Failed> {
        let out = s.world.exec_in(Host::Gateway, Command::new("cat").arg("/proc/net/dev"))?;
        let text = String::from_utf8_lossy(&out.stdout);
        let counters = text.lines().find_map(|line| line.trim().strip_prefix(WAN)?.strip_prefix(':'));
        Ok(counters.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0))
    };
    let (at, before) = (clock::uptime(), received()?);
    clock::wait_until(PATIENCE, || received().is_ok_and(|now| now >= before + 200));
    let rate = (received()? - before) as f64 / clock::since(at).as_secs_f64();
    must(rate >= 21.0, || format!("only {rate:.0} packets a second"))?;
    println!("{rate:.0} broadcasts a second");
    let wanted = outage("upstream", &["the gateway answers echoes"], &[]);
    s.expect_fault("all beyond the access dead, noise", |s| Ok(s.world.silence_upstream()?), &wanted)?;
    let place = s.subscriber.place();
    std::thread::sleep(calm());
    let heard = s.subscriber.critical(place);
    let ended = heard.iter().any(|h| h.is_event("incident_closed") || h.is_callback("withdrawn"));
    must(!ended, || format!("by noise: {:?}", heard.iter().map(field::brief).collect::<Vec<_>>()))?;
    s.plan.expect_line("down")?;
    s.expect_recovery(|s| Ok(s.world.restore_upstream()?))?;
    over.store(true, Ordering::Relaxed);
    Ok(())
}

// ---- the service

fn names(manner: dns_server::Manner, healed: bool) -> Outcome {
    let s = scene(|_, plan| match healed {
        true => plan,
        // No remedy helps: the forging resolvers stay in use.
        false => plan.edit("echo nameserver $1 > ", "echo $1 > /dev/null; : "),
    })?;
    settled(&s)?;
    let break_names = |s: &Scene| {
        s.parts.borrow_mut().remove(0);
        let liar = resolver(&s.world, Host::Anchor, ANCHOR, manner)?;
        s.parts.borrow_mut().push(liar);
        Ok(())
    };
    let shown: &[&str] = match manner {
        dns_server::Manner::Hijacking => &["a resolver answers for a name that does not exist"],
        _ => &["no configured resolver answers"],
    };
    let wanted = Wanted {
        finding: "no_names",
        domain: "name",
        shown_by: shown,
        rungs: &["other-resolver"],
        called: !healed,
    };
    s.expect_fault(&format!("names {}, IP fine", manner.as_str()), break_names, &wanted)?;
    if healed {
        let file = read(&s.world.directory().join("resolv.conf"));
        return must(file == format!("nameserver {WORLD2}\n"), || format!("resolvers now: {file}"));
    }
    s.expect_recovery(|s| {
        s.parts.borrow_mut().pop();
        let honest = resolver(&s.world, Host::Anchor, ANCHOR, dns_server::Manner::Alive)?;
        s.parts.borrow_mut().push(honest);
        Ok(())
    })
}

/// `names`: the portal also answers every DNS query, as most do. No other resolver is tried then.
fn login_page(names: bool) -> Outcome {
    let s = scene(|_, plan| plan)?;
    settled(&s)?;
    let wanted =
        Wanted { finding: "portal", domain: "portal", shown_by: &["web.forged"], rungs: &[], called: true };
    let stand_between = |s: &Scene| {
        s.parts.borrow_mut().remove(1);
        let portal = page(&s.world, web_server::Manner::Portal)?;
        s.parts.borrow_mut().push(portal);
        if names {
            s.parts.borrow_mut().remove(0);
            let liar = resolver(&s.world, Host::Anchor, ANCHOR, dns_server::Manner::Hijacking)?;
            s.parts.borrow_mut().push(liar);
        }
        Ok(())
    };
    let what = if names { "captive portal that answers for every name" } else { "captive portal" };
    s.expect_fault(what, stand_between, &wanted)?;
    s.expect_recovery(|s| {
        if names {
            s.parts.borrow_mut().pop();
            let honest = resolver(&s.world, Host::Anchor, ANCHOR, dns_server::Manner::Alive)?;
            s.parts.borrow_mut().insert(0, honest);
        }
        s.parts.borrow_mut().pop();
        let good = page(&s.world, web_server::Manner::Good)?;
        s.parts.borrow_mut().push(good);
        Ok(())
    })
}

// ---- no faults of the line

fn target_dead() -> Outcome {
    let s = scene(|_, plan| plan)?;
    // The web page is on the same host: a dead web server alone is no fault either.
    s.expect_no_alarm("one independent target dead", |s| {
        ip(Host::World, &["link", "set", "eth0", "down"])?;
        must(s.world.ping(Host::Gateway, WORLD, Duration::from_secs(1)).is_none(), || "it answers".into())
    })?;
    must(s.plan.count_in_trace("echo_lost") >= 3, || "the lost echoes were not seen".into())
}

fn test_server_dead() -> Outcome {
    let s = scene(|_, mut plan| {
        // The clock is advanced, and one echo per step must be enough.
        plan.prefix = ["env", "LINEKEEPER_LAB_CLOCK_SET=1"].map(str::to_owned).into();
        let mut plan = plan
            .edit("[probe]\n", "[probe]\ninterval = \"2 s\"\n")
            .edit("[outage]\n", "[promise]\ndownload = { normal = \"100 Mbit/s\" }\n\n[outage]\n");
        plan.configuration +=
            &format!("[speed]\nservers = [\"http://{ANCHOR}/\"]\nseconds = \"3 s\"\nper_day = 48\n");
        plan
    })?;
    s.expect_no_alarm("test server dead", |s| {
        for n in 1..=3 {
            ask(&s.plan.socket(), &Request::Hasten)?;
            let ended = clock::wait_until(PATIENCE * 2, || s.plan.count_in_trace("speed_ended") >= n);
            must(ended, || format!("speed test {n} did not end"))?;
        }
        Ok(())
    })
}

fn broker_dead() -> Outcome {
    let s = scene(|_, plan| plan)?;
    s.broker.borrow_mut().down()?;
    s.expect_no_alarm("broker alone dead", |s| {
        let noticed = clock::wait_until(PATIENCE, || s.plan.count_in_trace("\"connected\":false") > 0);
        must(noticed, || "the loss of the broker was not noticed".into())
    })?;
    s.broker.borrow_mut().up(&s.world)?;
    let back = clock::wait_until(PATIENCE, || s.plan.count_in_trace("\"connected\":true") > 1);
    must(back, || "it does not reconnect to the broker".into())?;
    must(s.subscriber.critical(0).is_empty(), || "an event or callback was sent afterwards".into())
}

/// Lets the backup carry traffic to all destinations.
fn by_the_backup(world: &World, metric: &str) -> Outcome {
    field::sysctl(world, Host::Platform, "net/ipv4/ip_forward", "1")?;
    ip(Host::Core, &["route", "add", "198.18.9.0/30", "via", "198.18.250.10"])?;
    ip(Host::Gateway, &["route", "add", "default", "via", "198.18.9.1", "metric", metric])?;
    Ok(())
}

fn second_path() -> Outcome {
    let s = scene(|_, plan| plan)?;
    s.expect_no_alarm("a second uplink (dearer), the line good", |s| by_the_backup(&s.world, "2000"))
}

fn second_path_and_dead() -> Outcome {
    let s = scene(|_, plan| plan)?;
    let wanted = outage("upstream", &["the gateway answers echoes"], &[]);
    let die = |s: &Scene| {
        by_the_backup(&s.world, "2000")?;
        s.world.silence_upstream()?;
        // Packets that may take any uplink still arrive, as after a failover.
        ip(Host::Gateway, &["route", "add", &format!("{WORLD}/32"), "via", "198.18.9.1"])?;
        must(s.world.ping(Host::Gateway, WORLD, PATIENCE).is_some(), || "the second path is dead too".into())
    };
    s.expect_fault("wrong path: a second uplink carries, the line is dead", die, &wanted)?;
    s.expect_recovery(|s| Ok(s.world.restore_upstream()?))
}

fn lan_alone() -> Outcome {
    let s = scene(|_, plan| plan)?;
    s.expect_no_alarm("trouble of the LAN alone", |s| {
        ip(Host::Gateway, &["link", "set", "lan0", "down"])?;
        must(s.world.ping(Host::Gateway, LAN_HOST, Duration::from_secs(1)).is_none(), || "it answers".into())
    })
}

// ---- what a DHCP server sees

/// Counts the requests to Debian's dnsmasq during an outage. Only the agent sends any, because the DHCP client is dead.
/// `LINEKEEPER_OUTAGE_SECONDS=3600` watches a whole hour.
fn dnsmasq() -> Outcome {
    let s = scene(|_, plan| plan.edit("\"restart-interface\", \"restart-network\"", "\"restart-network\""))?;
    let log = PathBuf::from(field::KEPT).join("dnsmasq.log");
    let serve = |s: &Scene| {
        s.world.stop_dhcp();
        let mut command = Command::new("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--user=root",
            "--no-ping",
        ]);
        command.args(["--log-dhcp", "--interface=acc0", "--bind-interfaces", "--dhcp-authoritative"]);
        command.args(["--dhcp-range=198.18.100.100,198.18.100.200,10m", "--pid-file="]);
        command.arg(format!("--dhcp-leasefile={LEASES}")).arg(format!("--log-facility={}", log.display()));
        let server = s.world.spawn_in(Host::Isp, &mut command)?;
        s.parts.borrow_mut().push(server);
        let ready = clock::wait_until(PATIENCE, || read(&log).contains("DHCP, IP range"));
        must(ready, || "dnsmasq does not serve".into())
    };
    serve(&s)?;
    // The client is killed and its address removed: only a new client would end this outage.
    let wanted = outage("access", &["dhcp.answered"], &["renew", "restart-network", "power-modem"]);
    s.expect_fault("address lost, dnsmasq serves, nobody asks", |s| Ok(s.world.wedge()?), &wanted)?;
    // The outage continues: all requests of the burst are sent within 75 seconds.
    clock::wait_until(field::outage_duration(), || read(&log).matches("DHCPDISCOVER").count() > 24);
    let said = read(&log);
    let count = |word: &str| said.matches(&format!("{word}(acc0)")).count();
    let (asked, offered) = (count("DHCPDISCOVER"), count("DHCPOFFER"));
    println!(
        "dnsmasq in {:?} of outage: {asked} DISCOVERs, {offered} OFFERs, {} REQUESTs",
        field::outage_duration(),
        count("DHCPREQUEST")
    );
    // No hour has more requests than the judge allows. The log has a resolution of a second.
    let at: Vec<u32> = said
        .lines()
        .filter(|line| line.contains("DHCPDISCOVER(acc0)"))
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(|time| time.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u32>().unwrap()))
        .collect();
    let crowded =
        at.windows(ACCESS_PER_HOUR + 1).any(|w| (w[ACCESS_PER_HOUR] + 86_400 - w[0]) % 86_400 < 3_599);
    must(asked > 0 && at.len() == asked && !crowded, || format!("{asked} DISCOVERs:\n{said}"))?;
    must(count("DHCPREQUEST") + count("DHCPACK") == 0, || format!("a lease was taken:\n{said}"))?;
    must(read(LEASES.as_ref()).is_empty(), || format!("leases: {}", read(LEASES.as_ref())))
}
