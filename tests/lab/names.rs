//! The checks of resolvers and web pages against every kind of server, over a real line, and `linekeeper diagnose` with real
//! faults.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::field::{Outcome, PATIENCE, Test, build, exec, must};
use crate::common::{agent_binary, repository_text};
use libtest_mimic::Failed;
use linekeeper::sense::throughput::WanDevice;
use linekeeper::sense::{name, web};
use linekeeper_contract::units::Span;
use linekeeper_judge::check::{Reply, Said};
use linekeeper_judge::config::{Name, Web};
use linekeeper_lab::world::{ANCHOR, Host, ISP, LEASE, PLATFORM, Process, WAN, WORLD, WORLD2, World, ip};
use linekeeper_lab::{agent, clock, dns_server, web_server};
use serde_json::Value;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    vec![
        Test::lab("resolver_check_recognizes_every_behaviour", &[], resolvers),
        Test::lab("resolvers_are_queried_in_parallel_and_reported_in_order", &[], several),
        Test::lab("resolvers_are_queried_over_the_wan_device_only", &[], over_the_line),
        Test::lab("resolvers_over_ipv6", &[], by_ipv6),
        Test::lab("web_check_recognizes_every_behaviour", &[], pages),
        Test::lab("diagnose_locates_the_fault", &[], diagnosed).early(),
        Test::lab("diagnose_shows_the_running_daemon", &[], beside_the_daemon),
    ]
}

/// The document that shows the output of `diagnose`.
const DOCUMENT: &str = "config/command-line.md";

/// Time limit of a check, for a busy machine: one sixth of it is the timeout of a single answer.
const LIMIT: Span = Span::seconds(6);

/// Starts a server of the lab and waits until its port accepts connections.
fn part(world: &World, host: Host, words: &[&str], place: SocketAddr) -> Result<Process, Failed> {
    let mut command = Command::new(agent_binary());
    command.arg("lab").args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let process = world.spawn_in(host, &mut command)?;
    let listens = || TcpStream::connect(place).is_ok();
    let ready = world.run_in(host, || clock::wait_until(PATIENCE, listens))?;
    must(ready, || format!("{words:?} does not come to listen"))?;
    Ok(process)
}

fn resolver(world: &World, host: Host, at: IpAddr, manner: dns_server::Manner) -> Result<Process, Failed> {
    let place = SocketAddr::new(at, 53);
    let (listen, address) = (place.to_string(), WORLD.to_string());
    let words = ["dns-server", "--listen", &listen, "--manner", manner.as_str(), "--address", &address];
    part(world, host, &words, place)
}

fn web_server(world: &World, host: Host, at: IpAddr, manner: web_server::Manner) -> Result<Process, Failed> {
    let place = SocketAddr::new(at, 80);
    part(world, host, &["web-server", "--listen", &place.to_string(), "--manner", manner.as_str()], place)
}

/// The WAN device in the namespace of this thread.
fn wan() -> WanDevice {
    let out = Command::new("ip").args(["-o", "link", "show", "dev", WAN]).output().expect("ip");
    let text = String::from_utf8_lossy(&out.stdout);
    let index = text.split(':').next().and_then(|n| n.trim().parse().ok()).expect("an index");
    WanDevice { name: WAN.into(), index, interface: None }
}

fn asked(resolvers: &[IpAddr], independent: Option<IpAddr>) -> Name {
    Name {
        resolvers: resolvers.into(),
        resolv_conf: None,
        independent,
        known: "www.isp.example".into(),
        every: Span::minutes(5),
    }
}

/// Queries the resolvers from the gateway.
fn names(world: &World, config: &Name, limit: Span) -> Result<Vec<Reply>, Failed> {
    let replies = world.run_in(Host::Gateway, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { name::check_resolvers(&wan(), config, limit).await })
    })?;
    for r in &replies {
        println!("{} {:?} {:?} us: {}", r.whom, r.said, r.took_us, r.detail);
    }
    Ok(replies)
}

fn resolvers() -> Outcome {
    use Said::{Answered, Forged, Refused, Silent};
    use dns_server::Manner;
    let world = build()?;
    let config = asked(&[ANCHOR.into()], None);
    for (manner, wanted) in [
        (Manner::Alive, &[(Answered, "www.isp.example is 203.0.113.53")][..]),
        (Manner::Babbling, &[(Answered, "www.isp.example is 203.0.113.53")]),
        (Manner::Refusing, &[(Refused, "REFUSED for www.isp.example")]),
        (Manner::Failing, &[(Refused, "SERVFAIL for www.isp.example")]),
        (Manner::Hijacking, &[(Forged, ".invalid, which does not exist")]),
        (Manner::Truncating, &[(Answered, "truncated"), (Answered, "www.isp.example is 203.0.113.53")]),
        (Manner::TcpOnly, &[(Silent, "no answer"), (Answered, "www.isp.example is 203.0.113.53")]),
        (Manner::Dead, &[(Silent, "no answer"), (Silent, "no answer")]),
    ] {
        let server = resolver(&world, Host::Anchor, ANCHOR.into(), manner)?;
        let limit = if manner == Manner::Dead { Span::seconds(2) } else { LIMIT };
        let replies = names(&world, &config, limit)?;
        told(manner.as_str(), &replies, wanted)?;
        let timed =
            replies.iter().all(|r| r.took_us.is_some() == matches!(r.said, Answered | Forged | Refused));
        must(timed, || format!("{}: {replies:?}", manner.as_str()))?;
        must(replies[0].whom == "198.51.100.1", || replies[0].whom.clone())?;
        if let Some(tcp) = replies.get(1) {
            must(tcp.whom == "198.51.100.1 (TCP)", || tcp.whom.clone())?;
        }
        drop(server);
    }
    // No server: the host answers with ICMP port unreachable.
    told("closed", &names(&world, &config, LIMIT)?, &[(Refused, "port 53 is closed")])
}

fn told(what: &str, replies: &[Reply], wanted: &[(Said, &str)]) -> Outcome {
    let right = replies.len() == wanted.len()
        && replies.iter().zip(wanted).all(|(r, (said, words))| r.said == *said && r.detail.contains(words));
    must(right, || format!("{what}: {wanted:?} wanted, {replies:?} came"))
}

fn several() -> Outcome {
    use dns_server::Manner;
    let world = build()?;
    let _one = resolver(&world, Host::Anchor, ANCHOR.into(), Manner::Dead)?;
    let _two = resolver(&world, Host::World, WORLD.into(), Manner::Alive)?;
    let _three = resolver(&world, Host::World2, WORLD2.into(), Manner::Dead)?;
    let config = asked(&[ANCHOR.into(), WORLD.into()], Some(WORLD2.into()));
    let limit = Span::seconds(4);
    let began = clock::uptime();
    let replies = names(&world, &config, limit)?;
    let took = clock::since(began);
    let seen: Vec<_> = replies.iter().map(|r| (r.whom.as_str(), r.said, r.independent)).collect();
    let wanted = [
        ("198.51.100.1", Said::Silent, false),
        ("198.51.100.1 (TCP)", Said::Silent, false),
        ("203.0.113.53", Said::Answered, false),
        ("192.0.2.80", Said::Silent, true),
        ("192.0.2.80 (TCP)", Said::Silent, true),
    ];
    must(seen == wanted, || format!("{seen:?}"))?;
    // Sequential queries would take twice as long.
    must(took < Duration::from(limit) * 19 / 10, || format!("it took {took:?}"))
}

/// The backup has a route to this resolver; the line does not reach it.
fn over_the_line() -> Outcome {
    let world = build()?;
    let _server = resolver(&world, Host::Platform, PLATFORM.into(), dns_server::Manner::Alive)?;
    let config = asked(&[PLATFORM.into()], None);
    told("while the line carries", &names(&world, &config, LIMIT)?, &[(Said::Answered, "")])?;
    world.silence_upstream()?;
    let by_any_way = world.run_in(Host::Gateway, || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        socket
            .send_to(b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01", (PLATFORM, 53))
            .expect("sent");
        socket.recv(&mut [0; 512]).is_ok()
    })?;
    must(by_any_way, || "the backup does not reach the resolver: this would test nothing".into())?;
    let silent = [(Said::Silent, ""), (Said::Silent, "")];
    told("while it does not", &names(&world, &config, Span::seconds(2))?, &silent)
}

fn by_ipv6() -> Outcome {
    let world = build()?;
    for (host, device, address) in
        [(Host::Gateway, WAN, "2001:db8::2/64"), (Host::Isp, "acc0", "2001:db8::1/64")]
    {
        ip(host, &["-6", "addr", "add", address, "dev", device, "nodad"])?;
    }
    let _server = resolver(&world, Host::Isp, "::".parse()?, dns_server::Manner::Truncating)?;
    let near = ip(Host::Isp, &["-6", "-o", "addr", "show", "dev", "acc0", "scope", "link"])?;
    let near = near.split_whitespace().skip_while(|w| *w != "inet6").nth(1).and_then(|a| a.split('/').next());
    let near = near.ok_or("acc0 has no link-local address")?.to_owned();
    // As netifd writes it to resolv.conf.auto after a router advertisement.
    let file = world.directory().join("resolv.conf.auto");
    fs::write(&file, format!("# Interface wan6\nnameserver 2001:db8::1\nnameserver {near}%{WAN}\n"))?;
    let config = Name { resolv_conf: Some(file), ..asked(&[], None) };
    // Duplicate address detection takes the first second.
    let mut replies = Vec::new();
    let right = clock::wait_until(PATIENCE, || {
        replies = names(&world, &config, LIMIT).unwrap_or_default();
        replies.iter().all(|r| r.said == Said::Answered)
    });
    must(right && replies.len() == 4, || format!("{replies:?}"))
}

fn pages() -> Outcome {
    use Said::{Answered, Forged, NotChecked, Refused, Silent};
    use web_server::Manner;
    let world = build()?;
    let page = |url: &str, body: Option<&str>, limit: Span| {
        let status = if body.is_some() { 200 } else { 204 };
        let config =
            Web { url: Some(url.into()), status, body: body.map(str::to_owned), every: Span::minutes(15) };
        let names = asked(&[ANCHOR.into()], None);
        world.run_in(Host::Gateway, || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { web::check_page(&wan(), &config, &names, limit).await })
        })
    };
    let by_address = format!("http://{WORLD}/204");
    let by_name = "http://check.isp.example/204";
    for (manner, url, body, said, words) in [
        (Manner::Good, by_address.as_str(), None, Answered, "status 204"),
        (Manner::Success, &by_address, Some("success"), Answered, "the right body"),
        (Manner::Success, &by_address, Some("else"), Refused, "another body"),
        (Manner::Portal, &by_address, None, Forged, "it leads to http://login.hotel.example/, another host"),
        (Manner::Page, &by_address, None, Forged, "a page \"Please log in\""),
        (Manner::Missing, &by_address, None, Refused, "status 404 instead of 204"),
        (Manner::Busy, &by_address, None, Refused, "503"),
        (Manner::Hangup, &by_address, None, Refused, "hung up"),
        (Manner::Dead, &by_address, None, Silent, "no answer"),
    ] {
        let _server = web_server(&world, Host::World, WORLD.into(), manner)?;
        let limit = if manner == Manner::Dead { Span::seconds(1) } else { LIMIT };
        let reply = page(url, body, limit)?;
        println!("{}: {reply:?}", manner.as_str());
        must(reply.said == said && reply.detail.contains(words), || {
            format!("{}: {reply:?}", manner.as_str())
        })?;
        must(reply.whom == url, || reply.whom.clone())?;
    }
    let reply = page(&by_address, None, LIMIT)?;
    must(reply.said == Refused, || format!("no server: {reply:?}"))?;
    // By name: without a resolver, with one, and with one that forges answers.
    let server = web_server(&world, Host::World, WORLD.into(), Manner::Good)?;
    let reply = page(by_name, None, LIMIT)?;
    must(reply.said == NotChecked && reply.detail.contains("looking up"), || format!("{reply:?}"))?;
    let _resolver = resolver(&world, Host::Anchor, ANCHOR.into(), dns_server::Manner::Alive)?;
    let reply = page(by_name, None, LIMIT)?;
    must(reply.said == Answered, || format!("{reply:?}"))?;
    drop(server);
    let _server = web_server(&world, Host::World, WORLD.into(), Manner::Moved)?;
    let reply = page(by_name, None, LIMIT)?;
    must(reply.said == Refused && reply.detail.contains("own server"), || format!("{reply:?}"))
}

/// Writes the demo's configuration with a resolver and a page to a file.
fn configured(world: &World) -> Result<String, Failed> {
    let file = world.directory().join("diagnose.toml");
    let more = format!(
        "[name]\nresolvers = [\"{ANCHOR}\"]\nindependent = \"{WORLD2}\"\nexists = \"www.isp.example\"\n\
         [web]\nurl = \"http://check.isp.example/204\"\n"
    );
    fs::write(&file, agent::configuration(world) + &more)?;
    Ok(file.display().to_string())
}

/// Runs `diagnose` in the gateway and returns its exit code, its JSON output and its text output.
fn diagnose(world: &World, file: &str) -> Result<(i32, Value, String), Failed> {
    let run = |more: &[&str]| {
        let mut command = Command::new(agent_binary());
        command.args(["diagnose", "--config", file]).args(more);
        world.exec_in(Host::Gateway, &mut command)
    };
    let (json, text) = (run(&["--json"])?, run(&[])?);
    let said = String::from_utf8_lossy(&text.stdout).into_owned();
    println!("$ linekeeper diagnose\n{said}{}", String::from_utf8_lossy(&text.stderr));
    let code = |out: &std::process::Output| out.status.code().unwrap_or(-1);
    must(code(&json) == code(&text), || "JSON and words have different exit codes".into())?;
    Ok((code(&text), serde_json::from_slice(&json.stdout)?, said))
}

fn diagnosed() -> Outcome {
    let world = build()?;
    let file = configured(&world)?;
    let says = |what: &str, code: i32, domain: Option<&str>, rows: &[&str], last: &str| {
        let (got, json, text) = diagnose(&world, &file)?;
        must(got == code, || format!("{what}: exit code {got}\n{text}"))?;
        must(json["fault_domain"].as_str() == domain, || format!("{what}: {json}"))?;
        // Compares words, whatever the number of spaces between them.
        let has = |text: &str, row: &str| {
            let words: Vec<&str> = row.split(' ').collect();
            text.lines().any(|line| {
                let line: Vec<&str> = line.split_whitespace().collect();
                line.windows(words.len()).any(|w| w == words)
            })
        };
        for row in rows {
            must(has(&text, row), || format!("{what}: no row {row:?} in\n{text}"))?;
            must(domain.is_none() || has(&repository_text(DOCUMENT), row), || {
                format!("{what}: the document has no row {row:?}")
            })?;
        }
        let line = text.lines().last().unwrap_or_default();
        must(line.contains(last), || format!("{what}: {last:?} is not in the last line: {line}"))?;
        must(repository_text(DOCUMENT).contains(line), || {
            format!("{what}: the document does not show {line:?}")
        })
    };
    let dns = resolver(&world, Host::Anchor, ANCHOR.into(), dns_server::Manner::Alive)?;
    let _independent = resolver(&world, Host::World2, WORLD2.into(), dns_server::Manner::Alive)?;
    let page = web_server(&world, Host::World, WORLD.into(), web_server::Manner::Good)?;
    let (lease, route) = (format!("{LEASE} ok"), format!("default by {ISP} ok"));
    let rows = [
        &lease,
        &route,
        "http://check.isp.example/204 status 204",
        "name 198.51.100.1 www.isp.example is 203.0.113.53",
    ];
    says("healthy", 0, None, &rows, "No fault found: all targets answer. What to do: nothing.")?;

    world.cut_carrier()?;
    let rows = ["link wan0 no carrier missing", "name the WAN device has no carrier not checked"];
    says(
        "cable out",
        1,
        Some("link"),
        &rows,
        "The fault: link (wan0 has no carrier). What to do: look at the cable",
    )?;
    world.restore_carrier()?;
    must(clock::wait_until(PATIENCE, || world.has_lease()), || "no lease after the cable".into())?;

    drop(dns);
    let dns = resolver(&world, Host::Anchor, ANCHOR.into(), dns_server::Manner::Dead)?;
    let rows =
        ["name 198.51.100.1 no answer silent", "192.0.2.80 (independent) www.isp.example is 203.0.113.53"];
    says("names dead", 1, Some("name"), &rows, "What to do: use another resolver meanwhile")?;
    drop(dns);
    let _dns = resolver(&world, Host::Anchor, ANCHOR.into(), dns_server::Manner::Alive)?;

    world.silence_access()?;
    let rows = [
        "address the kernel 198.18.100.10 ok",
        "neighbour 198.18.100.1 no answer within 4 s silent",
        "dhcp any DHCP server no answer within 4 s silent",
        "gateway echo to 198.18.100.1 no answer silent",
    ];
    let last = "no machine answers at the operator's first router's address). What to do: restart the modem";
    says("the operator's first router dead", 1, Some("gateway"), &rows, last)?;
    world.restore_access()?;
    let answers = clock::wait_until(PATIENCE, || world.ping(Host::Gateway, WORLD, PATIENCE).is_some());
    must(answers, || "the line does not come back".into())?;

    drop(page);
    let _page = web_server(&world, Host::World, WORLD.into(), web_server::Manner::Portal)?;
    let rows = ["web http://check.isp.example/204 status 302 instead of 204: it leads to"];
    says(
        "captive portal",
        1,
        Some("portal"),
        &rows,
        "http://login.hotel.example/, another host). What to do: open a web page",
    )
}

fn beside_the_daemon() -> Outcome {
    let world = build()?;
    let file = configured(&world)?;
    let text = fs::read_to_string(&file)?;
    let mut agent = agent::Agent::start(&world, agent_binary().as_ref(), &text)?;
    let up = clock::wait_until(PATIENCE, || {
        let socket = agent.socket().display().to_string();
        exec(&world, Host::Gateway, &[agent_binary(), "status", "--socket", &socket]).is_ok()
    });
    must(up, || format!("the line does not come up:\n{}", agent.log()))?;
    must(agent.count_in_trace("\"saw\":\"device_seen\"") >= 1, || {
        "the gateway was not read at the start".into()
    })?;
    let (_, json, text) = diagnose(&world, &file)?;
    must(text.contains("the daemon runs: line up"), || text.clone())?;
    must(json.pointer("/daemon/line") == Some(&"up".into()), || json.to_string())?;
    must(agent.stop(), || "the agent does not end".into())
}
