//! Throughput against shaped lines, a busy customer, bad servers and a busy processor: real TCP in namespaces.
//!
//! Other work on the machine disturbs measurements, so the best of three runs counts where a figure is asserted.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use crate::common::line::{Customer, IP_LAYER, Kind, Line, Test as Order, mbit};
use crate::common::trial::{Outcome, Test};
use crate::common::{agent_binary, proof};
use linekeeper_contract::units::{Bytes, Rate, Span};
use linekeeper_contract::vocabulary::{Direction, Limit, SpeedFailure};
use linekeeper_judge::speed::SpeedOutcome;
use linekeeper_lab::clock;
use linekeeper_lab::speed_server::Manner;
use linekeeper_lab::world::{ANCHOR, Host, WAN, ip};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Tries for each figure.
const TRIES: usize = 3;

pub fn tests() -> Vec<Test> {
    // The lab's own server can stand in for it.
    const NGINX: &[&str] = &["nginx"];
    vec![
        measured("line_rates_of_shaped_lines", &["tc"], shaped_lines).prefers(NGINX),
        measured("customer_traffic_counts_towards_the_line_rate", &["tc"], busy_lines).prefers(NGINX),
        measured("kept_verdict_costs_little_data", &["tc"], kept_verdict_costs_little_data).prefers(NGINX),
        measured("verdicts_are_right_on_a_busy_line", &["tc"], busy_verdicts).prefers(NGINX),
        measured("test_gives_way_to_traffic_in_its_direction", &["tc"], gives_way).prefers(NGINX),
        measured("without_inet_diag_the_device_counters_are_used", &["tc"], without_diag).prefers(NGINX),
        measured("download_repeats_the_request_until_time_is_up", &["tc"], asked_again),
        measured("limits_of_bytes_and_seconds_hold", &["tc"], limits_hold).prefers(NGINX),
        reported("bad_servers_are_distinguished", &[], bad_servers).early(),
        reported("missing_servers_are_distinguished", &[], nothing_there),
        measured("certificates", &["nginx", "openssl"], certificates),
        measured("ipv6", &["nginx"], ipv6),
        measured("busy_processor_is_not_reported_as_a_slow_line", &["tc", "taskset"], busy_processor),
        measured("speedtest_reports_in_text_json_and_exit_code", &["tc"], command_line),
    ]
}

/// A test of reports and not of accuracy, which may run beside others.
fn reported(name: &str, needs: &[&'static str], test: fn() -> Outcome) -> Test {
    Test::lab(name, needs, move || patiently(test))
}

/// A test that measures rates, which runs alone.
fn measured(name: &str, needs: &[&'static str], test: fn() -> Outcome) -> Test {
    Test::lab(name, needs, move || patiently(test)).alone()
}

/// A busy machine can only spoil a measurement: the best of some runs counts.
fn patiently(test: fn() -> Outcome) -> Outcome {
    for _ in 1..TRIES {
        match test() {
            Ok(()) => return Ok(()),
            Err(why) => eprintln!("again: {}", why.message().unwrap_or_default()),
        }
    }
    test()
}

/// Runs the test until one run passes; otherwise returns the error of the last run.
fn one_of_three(what: &str, mut run: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        match run() {
            Ok(()) => return Ok(()),
            Err(why) => {
                eprintln!("{what}: again: {why}");
                last = why;
            }
        }
    }
    Err(format!("{what}: {last}"))
}

fn within(what: &str, got: f64, wanted: f64, share: f64) -> Result<(), String> {
    let off = (got - wanted) / wanted;
    if off.abs() <= share {
        Ok(())
    } else {
        Err(format!("{what} is {got:.0}, {wanted:.0} wanted: {:+.1} %", off * 100.0))
    }
}

fn percent(got: f64, wanted: f64) -> f64 {
    (got - wanted) / wanted * 100.0
}

fn shaped_lines() -> Outcome {
    let mut line = Line::new();
    line.serve();
    for (down, up) in proof(&[(100, 20)][..], &[(10, 2), (50, 10), (100, 20), (500, 100)]).iter().copied() {
        line.world.shape(mbit(down), mbit(up))?;
        for (direction, rate) in [(Direction::Download, mbit(down)), (Direction::Upload, mbit(up))] {
            one_of_three(&format!("{down}/{up} {direction:?}"), || {
                let run = line.test(Order::of(direction));
                let f = run.figures()?;
                let wanted = rate.0 as f64 * IP_LAYER;
                println!(
                    "{down}/{up} {direction:?} by {}: line {} ({:+.2} %), mean {} ({:+.2} %), own {}, payload {}, spread {}, {:?}, \
                     limit {:?}, {} connections, rtt {:?} → {:?} µs, cost {}",
                    line.server_name,
                    f.line,
                    percent(f.line.0 as f64, wanted),
                    f.line_mean,
                    percent(f.line_mean.0 as f64, wanted),
                    f.own,
                    f.own_payload,
                    f.spread,
                    f.confidence,
                    f.limit,
                    f.connections,
                    f.idle_rtt_us,
                    f.loaded_rtt_us,
                    run.ended.cost,
                );
                if f.limit == Limit::GatewayCpu && down >= 500 {
                    // This machine was too busy to fill such a line, and the test reports it: the result would be inconclusive.
                    return Ok(());
                }
                within("the line rate", f.line.0 as f64, wanted, 0.04)?;
                if !matches!(f.limit, Limit::Line | Limit::GatewayCpu) {
                    return Err(format!("limit {:?}", f.limit));
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn busy_lines() -> Outcome {
    let mut line = Line::new();
    line.serve();
    line.world.shape(mbit(50), mbit(10))?;
    // In upload the customer's packets may still be lost after our counters, so the bound is wider.
    let down = [5, 20, 40].map(|n| (Direction::Download, n, 50));
    let up = [2, 5].map(|n| (Direction::Upload, n, 10));
    let all = down.into_iter().chain(up).flat_map(|line| [(line, Kind::Udp), (line, Kind::Tcp)]);
    // Of the ten: 20 of 50 downward, 5 of 10 upward, by TCP.
    for (n, ((direction, customer, rate), kind)) in all.enumerate() {
        if proof([3, 9].contains(&n), true) {
            one_of_three(&format!("{direction:?} beside {customer} Mbit/s of {kind:?}"), || {
                let traffic = Customer::start(&line.world, kind, direction, mbit(customer));
                std::thread::sleep(Duration::from_millis(500));
                let mut test = Order::of(direction);
                test.seconds = Span::seconds(8);
                let run = line.test_beside(test, Some(&traffic));
                let (told, truth) = run.customer();
                let f = run.figures()?;
                let wanted = rate as f64 * 1e6 * IP_LAYER;
                println!(
                    "{direction:?} beside {customer} Mbit/s of {kind:?}: line {} ({:+.2} %), mean {}, own {}, customer {} (mean {:.2}, arrived \
                     {:.2} Mbit/s: {:+.1} %), spread {}, limit {:?}",
                    f.line,
                    percent(f.line.0 as f64, wanted),
                    f.line_mean,
                    f.own,
                    f.customer,
                    told / 1e6,
                    truth / 1e6,
                    percent(told, truth),
                    f.spread,
                    f.limit,
                );
                within("the line rate", f.line.0 as f64, wanted, 0.05)?;
                within("the customer's share", told, truth, 0.15)
            })?;
        }
    }
    Ok(())
}

/// With customer traffic on it, a line as promised reaches the required rate, a slower one does not, and in both cases the
/// line is reported as the limit.
fn busy_verdicts() -> Outcome {
    let mut line = Line::new();
    line.serve();
    for (rate, kept) in [(50, true), (30, false)] {
        line.world.shape(mbit(rate), mbit(10))?;
        for customer in proof(&[20][..], &[5, 20, 40]).iter().copied() {
            for kind in [Kind::Udp, Kind::Tcp] {
                one_of_three(&format!("{rate} Mbit/s beside {customer} of {kind:?}"), || {
                    let _traffic = Customer::start(&line.world, kind, Direction::Download, mbit(customer));
                    std::thread::sleep(Duration::from_millis(500));
                    let mut test = Order::of(Direction::Download);
                    // 80 % of 50.
                    test.enough = Some(mbit(40));
                    let run = line.test(test);
                    let f = run.figures()?;
                    println!(
                        "{rate} of 50 Mbit/s beside {customer} of {kind:?}: line {}, limit {:?}, cost {}",
                        f.line, f.limit, run.ended.cost
                    );
                    match (f.line >= mbit(40), f.stopped_early, f.limit) {
                        (true, true, _) if kept => Ok(()),
                        (false, false, Limit::Line) if !kept => Ok(()),
                        other => Err(format!("{other:?}, line {}", f.line)),
                    }
                })?;
            }
        }
    }
    Ok(())
}

fn gives_way() -> Outcome {
    let mut line = Line::new();
    line.serve();
    line.world.shape(mbit(50), mbit(10))?;
    for (direction, most, customer) in [(Direction::Download, mbit(5), 12), (Direction::Upload, mbit(1), 3)] {
        // Without traffic, or with less than it gives way to, the test takes its full time.
        for little in proof(&[Some(Rate(most.0 / 3))][..], &[None, Some(Rate(most.0 / 3))]).iter().copied() {
            let traffic = little.map(|rate| Customer::start(&line.world, Kind::Udp, direction, rate));
            let mut test = Order::of(direction);
            test.gives_way = Some(most);
            test.seconds = Span::seconds(4);
            let run = line.test_beside(test, traffic.as_ref());
            run.figures().map_err(|why| format!("{direction:?} beside {little:?}: {why}"))?;
        }
        let one = if direction == Direction::Download { &[Kind::Tcp] } else { &[Kind::Udp] };
        for kind in proof(&one[..], &[Kind::Udp, Kind::Tcp]).iter().copied() {
            // TCP traffic that starts on a full line gets a small share at first, so it is noticed later.
            let mut test = Order::of(direction);
            test.gives_way = Some(most);
            test.seconds = Span::seconds(20);
            let traffic = Customer::start(&line.world, kind, direction, mbit(customer));
            let run = line.test_beside(test, Some(&traffic));
            println!("{direction:?} beside {customer} Mbit/s of {kind:?}: {:?}", run.ended);
            match &run.ended.outcome {
                SpeedOutcome::Failed { reason: SpeedFailure::CustomerBusy, .. }
                    if run.ended.took <= Span::seconds(19) => {}
                other => return Err(format!("{kind:?}: {other:?} after {}", run.ended.took).into()),
            }
        }
    }
    Ok(())
}

/// Where the kernel has no `inet_diag` (OpenWrt without `kmod-inet-diag`), the test counts its own bytes.
fn without_diag() -> Outcome {
    let mut line = Line::new();
    line.serve();
    line.world.shape(mbit(50), mbit(10))?;
    one_of_three("without inet_diag", || {
        let mut command = Command::new(agent_binary());
        command.env("LINEKEEPER_LAB_NO_DIAG", "1");
        command.args(["speedtest", "--json", "--server", &format!("http://{ANCHOR}/")]);
        let out = line.world.exec_in(Host::Gateway, &mut command).map_err(|e| e.to_string())?;
        let said: Value = serde_json::from_slice(&out.stdout).map_err(|e| e.to_string())?;
        for (n, rate) in [(0, 50), (1, 10)] {
            let found = &said["tests"][n]["outcome"];
            println!("without inet_diag: {found}; cost {}", said["tests"][n]["cost"]);
            let number = |key: &str| found[key].as_f64().unwrap_or(0.0);
            let wanted = rate as f64 * 1e6 * IP_LAYER;
            within("the line rate", number("line"), wanted, if n == 0 { 0.05 } else { 0.1 })?;
            within("our own part", number("own"), wanted, 0.15)?;
            // Without the socket's data the limit is unknown; a standing queue is visible without it.
            if !matches!(found["limit"].as_str(), Some("line" | "unknown" | "gateway_cpu")) {
                return Err(format!("limit {}", found["limit"]));
            }
            if found["confidence"] == "high" {
                return Err("of high confidence although much is not known".into());
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// More than one object is transferred: each connection repeats its request.
fn asked_again() -> Outcome {
    let mut line = Line::new();
    line.misbehave(Manner::Good);
    // Unshaped, until the bytes are used up.
    let run = line.test(Order::of(Direction::Download));
    let f = run.figures()?;
    println!("{} over {} connections of objects of 100 MB, line {}", run.ended.cost, f.connections, f.line);
    // This is more than one object per connection.
    let objects = u64::from(f.connections) * 100_000_000;
    if run.ended.cost.0 < objects {
        return Err(format!("only {} passed", run.ended.cost).into());
    }
    Ok(())
}

fn kept_verdict_costs_little_data() -> Outcome {
    let mut line = Line::new();
    line.serve();
    line.world.shape(mbit(50), mbit(10))?;
    one_of_three("kept", || {
        let mut test = Order::of(Direction::Download);
        test.enough = Some(mbit(45));
        let run = line.test(test);
        let f = run.figures()?;
        println!("kept at 45 of 50 Mbit/s: {} in {}, line {}", run.ended.cost, run.ended.took, f.line);
        if !f.stopped_early {
            return Err(format!("it did not stop early: line {}", f.line));
        }
        if run.ended.cost > Bytes(15_000_000) {
            return Err(format!("it cost {}", run.ended.cost));
        }
        Ok(())
    })?;
    // Not conclusive early: the test takes its full time.
    let mut test = Order::of(Direction::Download);
    test.enough = Some(mbit(60));
    let run = line.test(test);
    if run.figures()?.stopped_early || run.ended.took < Span::millis(5_500) {
        return Err(format!("60 of 50 Mbit/s was enough after {}", run.ended.took).into());
    }
    Ok(())
}

fn limits_hold() -> Outcome {
    let mut line = Line::new();
    line.serve();
    line.world.shape(mbit(50), mbit(50))?;
    for direction in [Direction::Download, Direction::Upload] {
        let mut test = Order::of(direction);
        test.bytes = Bytes(5_000_000);
        let run = line.test(test);
        let f = run.figures()?;
        println!("{direction:?} of 5 MB at most: {} in {}, line {}", run.ended.cost, run.ended.took, f.line);
        if run.ended.cost > Bytes(5_000_000) || run.ended.cost < Bytes(3_000_000) {
            return Err(format!("{direction:?} cost {}", run.ended.cost).into());
        }
        let mut test = Order::of(direction);
        test.seconds = Span::seconds(2);
        let run = line.test(test);
        println!("{direction:?} of 2 s at most: {}", run.ended.took);
        if run.ended.took > Span::millis(2_300) {
            return Err(format!("{direction:?} of 2 s took {}", run.ended.took).into());
        }
        let mut test = Order::of(direction);
        test.stop_after = Some(Span::seconds(1));
        let run = line.test(test);
        match run.ended.outcome {
            SpeedOutcome::Failed { reason: SpeedFailure::Aborted, .. }
                if run.ended.took < Span::seconds(3) => {}
            other => return Err(format!("aborted: {other:?} after {}", run.ended.took).into()),
        }
    }
    Ok(())
}

fn bad_servers() -> Outcome {
    use SpeedFailure::{ServerAnswer, ServerBusy, ServerUnreachable};
    let mut line = Line::new();
    for (manner, down, up) in [
        (Manner::Dead, Some(ServerUnreachable), Some(ServerUnreachable)),
        (Manner::Stall, Some(ServerUnreachable), Some(ServerUnreachable)),
        (Manner::Truncate, Some(ServerUnreachable), Some(ServerUnreachable)),
        (Manner::Heads, Some(ServerAnswer), Some(ServerAnswer)),
        (Manner::Circle, Some(ServerAnswer), Some(ServerAnswer)),
        (Manner::Page, Some(ServerAnswer), Some(ServerAnswer)),
        (Manner::Absent, Some(ServerAnswer), Some(ServerAnswer)),
        (Manner::Foreign, Some(ServerAnswer), Some(ServerAnswer)),
        (Manner::Busy, Some(ServerBusy), Some(ServerBusy)),
        (Manner::Forever, None, None),
        (Manner::Redirect, None, None),
        (Manner::Slow, None, None),
    ] {
        line.misbehave(manner);
        // After what is not to be measured unshaped, or would cost too much.
        line.world.shape(mbit(50), mbit(50))?;
        for (direction, wanted) in [(Direction::Download, down), (Direction::Upload, up)] {
            let mut test = Order::of(direction);
            test.bytes = Bytes(20_000_000);
            let run = line.test(test);
            let said = match &run.ended.outcome {
                SpeedOutcome::Measured(f) => format!("line {}, limit {:?}", f.line, f.limit),
                SpeedOutcome::Failed { reason, detail, retry_after } => {
                    format!("{reason:?} {detail} {retry_after:?}")
                }
            };
            println!(
                "{} {direction:?}: {said}; cost {}, took {}",
                manner.as_str(),
                run.ended.cost,
                run.ended.took
            );
            if run.ended.cost > Bytes(20_000_000) || run.ended.took > Span::millis(6_500) {
                return Err(
                    format!("{}: cost {}, took {}", manner.as_str(), run.ended.cost, run.ended.took).into()
                );
            }
            let right = match (&run.ended.outcome, wanted) {
                (SpeedOutcome::Measured(f), None) if manner == Manner::Slow => {
                    !matches!(f.limit, Limit::Line | Limit::Customer)
                }
                (SpeedOutcome::Measured(f), None) => f.line > mbit(45),
                (SpeedOutcome::Failed { reason, retry_after, .. }, Some(wanted)) => {
                    *reason == wanted
                        && (manner == Manner::Busy) == (*retry_after == Some(Span::seconds(120)))
                }
                _ => false,
            };
            if !right {
                return Err(format!("{} {direction:?}: {said}", manner.as_str()).into());
            }
        }
    }
    Ok(())
}

fn nothing_there() -> Outcome {
    let mut line = Line::new();
    let reason = |url: &str, line: &Line| {
        let mut test = Order::of(Direction::Download);
        test.url = Some(url.to_owned());
        let run = line.test(test);
        match run.ended.outcome {
            SpeedOutcome::Failed { reason, detail, .. } => {
                println!("{url}: {reason:?}: {detail}; took {}", run.ended.took);
                Some(reason)
            }
            SpeedOutcome::Measured(_) => None,
        }
    };
    // No server on the port, no host at the address, no such name.
    for url in
        [format!("http://{ANCHOR}/"), "http://203.0.113.99/".into(), "http://no.such.name.invalid/".into()]
    {
        if reason(&url, &line) != Some(SpeedFailure::ServerUnreachable) {
            return Err(format!("{url}: not reported").into());
        }
    }
    line.misbehave(Manner::Good);
    // It is reachable over a device other than the WAN device.
    ip(Host::Gateway, &["route", "replace", &format!("{ANCHOR}/32"), "via", "198.18.9.1"])?;
    ip(Host::Gateway, &["link", "set", WAN, "down"])?;
    let over = reason(&format!("http://{ANCHOR}/"), &line);
    if !matches!(over, Some(SpeedFailure::ServerUnreachable | SpeedFailure::Local)) {
        return Err(format!("with the WAN device down: {over:?}").into());
    }
    Ok(())
}

fn certificates() -> Outcome {
    let line = Line::new();
    let room = line.world.directory().join("tls");
    std::fs::create_dir_all(&room)?;
    let (key, certificate) = (room.join("key.pem"), room.join("cert.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ])
        .args(["-subj", "/CN=speed", "-addext", &format!("subjectAltName=IP:{ANCHOR}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let lines = format!("ssl_certificate {}; ssl_certificate_key {};", certificate.display(), key.display());
    let _server = line.nginx(&lines, 443);
    let there = || {
        let connect = || std::net::TcpStream::connect((ANCHOR, 443)).is_ok();
        line.world.run_in(Host::Anchor, connect).unwrap_or(false)
    };
    assert!(clock::wait_until(Duration::from_secs(20), there));
    line.world.shape(mbit(50), mbit(10))?;
    for (direction, rate) in [(Direction::Download, 50), (Direction::Upload, 10)] {
        let with = |ca: Option<std::path::PathBuf>| {
            let mut test = Order::of(direction);
            test.url = Some(format!("https://{ANCHOR}/"));
            test.ca = ca;
            test.seconds = Span::seconds(4);
            line.test(test)
        };
        one_of_three("https", || {
            let run = with(Some(certificate.clone()));
            let f = run.figures()?;
            println!("{direction:?} by https: line {}, limit {:?}", f.line, f.limit);
            within("the line rate", f.line.0 as f64, rate as f64 * 1e6 * IP_LAYER, 0.05)
        })?;
        // The system does not trust this authority, and the certificate of another authority does not match.
        match with(None).ended.outcome {
            SpeedOutcome::Failed { reason: SpeedFailure::ServerCertificate, detail, .. } => {
                println!("{detail}")
            }
            SpeedOutcome::Failed { reason: SpeedFailure::Local, detail, .. }
                if detail.contains("install") => {}
            other => return Err(format!("an unknown authority: {other:?}").into()),
        }
    }
    Ok(())
}

fn ipv6() -> Outcome {
    let line = Line::new();
    let here = "2001:db8:6::2";
    for (host, device, address, gateway) in [
        (Host::Gateway, WAN, "2001:db8:5::2/64", Some(("2001:db8:6::/64", "2001:db8:5::1"))),
        (Host::Isp, "acc0", "2001:db8:5::1/64", None),
        (Host::Isp, "core0", "2001:db8:7::1/64", Some(("2001:db8:6::/64", "2001:db8:7::2"))),
        (Host::Core, "isp0", "2001:db8:7::2/64", Some(("2001:db8:5::/64", "2001:db8:7::1"))),
        (Host::Core, "anchor0", "2001:db8:6::1/64", None),
        (Host::Anchor, "eth0", "2001:db8:6::2/64", Some(("2001:db8:5::/64", "2001:db8:6::1"))),
    ] {
        ip(host, &["-6", "address", "add", address, "dev", device, "nodad"])?;
        if let Some((to, via)) = gateway {
            ip(host, &["-6", "route", "add", to, "via", via])?;
        }
        if matches!(host, Host::Isp | Host::Core) {
            line.world
                .run_in(host, || std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1"))?
                .map_err(|e| e.to_string())?;
        }
    }
    let _server = line.nginx("", 80);
    line.wait_for_server();
    line.world.shape(mbit(50), mbit(10))?;
    for (direction, rate) in [(Direction::Download, 50), (Direction::Upload, 10)] {
        one_of_three("IPv6", || {
            let mut test = Order::of(direction);
            test.url = Some(format!("http://[{here}]/"));
            let run = line.test(test);
            let f = run.figures()?;
            println!("{direction:?} by IPv6: line {}, limit {:?}", f.line, f.limit);
            within("the line rate", f.line.0 as f64, rate as f64 * 1e6 * IP_LAYER, 0.04)
        })?;
    }
    Ok(())
}

fn busy_processor() -> Outcome {
    let mut line = Line::new();
    line.serve();
    line.world.shape(mbit(500), mbit(100))?;
    one_of_three("a busy processor", || {
        // Both on the first core.
        let mut hogs: Vec<std::process::Child> = (0..3)
            .map(|_| {
                let mut hog = Command::new("taskset");
                hog.args(["1", "sh", "-c", "while :; do :; done"])
                    .stdin(Stdio::null())
                    .spawn()
                    .expect("a hog")
            })
            .collect();
        let mut test = Command::new("taskset");
        test.args([
            "1",
            agent_binary(),
            "speedtest",
            "--server",
            &format!("http://{ANCHOR}/"),
            "--json",
            "--download-only",
        ]);
        let out = line.world.exec_in(Host::Gateway, &mut test);
        for hog in &mut hogs {
            let _ = hog.kill();
            let _ = hog.wait();
        }
        let out = out.map_err(|e| e.to_string())?;
        let said: Value = serde_json::from_slice(&out.stdout).map_err(|e| e.to_string())?;
        let limit = said.pointer("/tests/0/outcome/limit").and_then(Value::as_str).unwrap_or_default();
        println!("busy processor: {}", said["tests"][0]["outcome"]);
        if limit == "gateway_cpu" { Ok(()) } else { Err(format!("the limit is {limit:?}: {said}")) }
    })?;
    Ok(())
}

fn command_line() -> Outcome {
    let mut line = Line::new();
    line.misbehave(Manner::Good);
    line.world.shape(mbit(20), mbit(20))?;
    let config = line.world.directory().join("promise.toml");
    let world = line.world.clone();
    let run = |words: &[&str]| -> Result<(Option<i32>, String, String), String> {
        let mut command = Command::new(agent_binary());
        command.arg("speedtest").args(words);
        let out = world.exec_in(Host::Gateway, &mut command).map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((out.status.code(), text(&out.stdout), text(&out.stderr)))
    };
    let server = format!("http://{ANCHOR}/");
    for (promised, code, words) in
        [("20 Mbit/s", 0, "as promised"), ("100 Mbit/s", 1, "below what was promised")]
    {
        std::fs::write(
            &config,
            format!(
                "[device]\nid = \"gw-1\"\n[probe]\ntargets = [{{ host = \"198.51.100.1\", role = \"anchor\" }}]\n[promise]\ndownload = {{ normal = \"{promised}\" }}\n"
            ),
        )?;
        let config = config.display().to_string();
        one_of_three("speedtest", || {
            let (got, out, err) = run(&["--server", &server, "--config", &config, "--download-only"])?;
            println!("{out}{err}");
            if got == Some(code) && out.contains(words) && err.is_empty() {
                Ok(())
            } else {
                Err(format!("{promised}: exit {got:?}, {out}{err}"))
            }
        })?;
    }
    line.silence();
    let (code, out, _) = run(&["--server", &server, "--json", "--upload-only"])?;
    let said: Value = serde_json::from_str(&out).map_err(|e| e.to_string())?;
    if code != Some(69) || said["tests"][0]["outcome"]["reason"] != "server_unreachable" {
        return Err(format!("no server: exit {code:?}, {out}").into());
    }
    for wrong in [&["--server", "speed"][..], &["--server", &server, "--fast"], &[]] {
        let (code, out, err) = run(wrong)?;
        if !matches!(code, Some(64 | 69)) || !out.is_empty() || err.is_empty() {
            return Err(format!("{wrong:?}: exit {code:?}, {out}{err}").into());
        }
    }
    Ok(())
}
