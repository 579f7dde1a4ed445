//! `linekeeper diagnose`: every layer is asked now, without the daemon, and the answers say where the fault lies.
//!
//! Asking and weighing are apart: [`ask`] fills [`Facts`], [`verdict`] is a pure function of them. Where the fault lies it leaves
//! to the judge's own tables ([`linekeeper_judge::diagnosis`]); the words for people and what to do are its own.

use crate::netifd::{self, Netifd};
use crate::run::socket::{self, Request};
use crate::sense::access::Gates;
use crate::sense::check::carry_out;
use crate::sense::device::{self, Reader, Roots};
use crate::sense::interface::{self, Named};
use crate::sense::link::LinkFacts;
use crate::sense::throughput::Device;
use crate::sense::{echo, link};
use linekeeper_contract::message::Domain;
use linekeeper_contract::units::{Millicelsius, Mono, Permille, Span};
use linekeeper_contract::vocabulary::Protocol;
use linekeeper_judge::check::{Ask, CheckId, CheckOrder, Checked, DeviceSeen, Reply, Said};
use linekeeper_judge::checks::sum_up;
use linekeeper_judge::config::{Config, Role};
use linekeeper_judge::device::beyond;
use linekeeper_judge::diagnosis::{GatewayEcho, Placed, Seen, place, reach};
use linekeeper_judge::observation::{Interface, Link, Observation, Obstacle, ProbeId, TargetId};
use linekeeper_judge::outage::Cause;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How long the kernel may take to show the WAN device. It takes milliseconds; without a device nothing comes.
const DEVICE_LIMIT: Duration = Duration::from_secs(1);

/// How long each check may take: a DHCP server that is asked for the first time looks for a free address for up to 3 s.
const CHECK_LIMIT: Span = Span::seconds(4);

/// Echoes to each target, and the time between them: on a line that loses a fifth, five are silent once in 3000 times.
const ECHOES: u64 = 5;
const BETWEEN: Duration = Duration::from_millis(300);

/// How long the last ones are waited for: longer than a badly bloated line takes.
const ECHO_LIMIT: Duration = Duration::from_millis(2_500);

/// Between the two readings that show the processor's use.
const READINGS: Duration = Duration::from_secs(1);

/// What became of the echoes to one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Echo {
    /// The shortest round trip, microseconds.
    Answered(u32),
    Silent,
    NotSent(Obstacle),
}

/// All that was seen.
#[derive(Debug, Clone)]
struct Facts {
    protocol: Protocol,
    /// The WAN device's name; empty while none is known.
    device: String,
    link: Link,
    /// `None`: there is no gateway to ask, or it is not to be asked.
    gateway: Option<Echo>,
    /// Host, role, and what it did.
    targets: Vec<(String, Role, Echo)>,
    checks: Vec<Checked>,
    /// OpenWrt's name of the interface and how netifd sees it, where it was to be asked; in words why it could not.
    interface: Option<Result<(String, Interface), String>>,
    seen: DeviceSeen,
    hands_off: Option<String>,
}

impl Facts {
    fn replies(&self, ask: Ask) -> &[Reply] {
        self.checks.iter().find(|checked| checked.ask == ask).map_or(&[], |checked| &checked.replies)
    }

    fn said(&self, ask: Ask, said: Said) -> Option<&Reply> {
        self.replies(ask).iter().find(|reply| reply.said == said)
    }

    /// A layer's replies taken together, as the judge does.
    fn summed(&self, ask: Ask) -> Option<Said> {
        self.checks.iter().find(|checked| checked.ask == ask).map(|checked| sum_up(checked, Mono(0)).said)
    }

    /// Where a break lies, by the judge's table.
    fn place(&self) -> Placed {
        place(&Seen {
            link: Cause::of(&self.link),
            protocol: self.protocol,
            gateway: match self.gateway {
                Some(Echo::Answered(_)) => GatewayEcho::Answers,
                // Whether it ever did is not known here.
                _ => GatewayEcho::Never,
            },
            neighbour: self.summed(Ask::Neighbour),
            dhcp: self.summed(Ask::Dhcp),
            pppoe: self.summed(Ask::Pppoe),
            ill_set: matches!(&self.interface, Some(Ok((_, is))) if is.is_ill_set()),
        })
    }
}

/// Where the fault lies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    /// `None`: there is none.
    domain: Option<Domain>,
    /// What shows it.
    carried_by: String,
    /// What to do about it.
    advice: String,
}

/// Asks all, and gives what is to be printed and whether the line is without a fault.
///
/// # Errors
/// In words, when nothing can be asked at all.
pub fn diagnose(config: &Config, as_json: bool) -> Result<(String, bool), String> {
    let daemon = socket::ask(&config.socket, &Request::Status).ok();
    if std::io::stderr().is_terminal() && !as_json {
        eprintln!("asking every layer, some seconds …");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: the kernel gives no event queue: {e}"))?;
    let facts = runtime.block_on(ask(config));
    // A name lookup that still hangs is not waited for.
    runtime.shutdown_background();
    let verdict = verdict(&facts);
    let rows = rows(&facts, config);
    let well = matches!(verdict.domain, None | Some(Domain::Server));
    let text = if as_json {
        format!("{}\n", written(config, &facts, &rows, &verdict, daemon.as_ref()))
    } else {
        shown(config, &facts, &rows, &verdict, daemon.as_ref())
    };
    Ok((text, well))
}

/// How netifd sees the interface, and which device and port it names.
async fn netifd(config: &Config) -> Option<(Result<(String, Interface), String>, Named)> {
    if !config.asks_netifd() {
        return None;
    }
    let device = config.line.device.as_deref().unwrap_or_default();
    let seen = async {
        let netifd = Netifd::default();
        let name = netifd.find(config.line.interface.as_deref(), device).await?;
        let status = netifd.status(&name).await?;
        Ok((name, status))
    };
    Some(match seen.await {
        Ok((name, status)) => {
            let named = interface::devices(&name, &status, &Named::default());
            (Ok((name, netifd::read(&status))), named)
        }
        Err(why) => (Err(why), Named::default()),
    })
}

async fn ask(config: &Config) -> Facts {
    let (report, mut told) = mpsc::channel(64);
    let (interface, named) = netifd(config).await.unzip();
    let named = named.unwrap_or_default();
    let (port, device) = (config.line.port.clone(), config.line.device.clone());
    let mut watched = link::spawn_over(port.or(named.port), device.or(named.device), report.clone());
    // What the link tells comes by the watch as well.
    tokio::spawn(async move { while told.recv().await.is_some() {} });
    let waited = tokio::time::timeout(DEVICE_LIMIT, watched.wait_for(|facts| facts.index != 0)).await;
    drop(waited);
    let facts = watched.borrow().clone();
    let wan = Device { name: facts.name.clone(), index: facts.index };
    let gates = Arc::new(Gates::default());
    let mut checks = JoinSet::new();
    let asks = Ask::ALL.into_iter().filter(|ask| ask.is_of(config.line.protocol));
    for (number, ask) in asks.enumerate() {
        let order = CheckOrder { check: CheckId(number as u64), ask, limit: CHECK_LIMIT };
        let (wan, facts, config, gates) = (wan.clone(), facts.clone(), config.clone(), Arc::clone(&gates));
        checks.spawn(async move { carry_out(&order, &wan, &facts, &config, &gates).await });
    }
    let checking = async {
        let mut ended = Vec::new();
        while let Some(checked) = checks.join_next().await {
            ended.extend(checked.ok());
        }
        ended.sort_by_key(|checked| checked.check);
        ended
    };
    let reading = async {
        let mut reader = Reader::new(Roots::default(), config.store.directory.clone());
        reader.read();
        tokio::time::sleep(READINGS).await;
        (reader.read(), device::hands_off().await)
    };
    let (checks, echoes, (seen, hands_off)) = tokio::join!(checking, echoes(config, watched), reading);
    let echo = |target| echoes.get(&target).copied().unwrap_or(Echo::Silent);
    let LinkFacts { name, link, .. } = facts;
    let gateway = (config.probe.gateway && link.gateway.is_some()).then(|| echo(TargetId::GATEWAY));
    let targets = (0..).zip(&config.probe.targets);
    Facts {
        protocol: config.line.protocol,
        device: name,
        gateway,
        link,
        targets: targets.map(|(n, t)| (t.host.clone(), t.role, echo(TargetId(n)))).collect(),
        checks,
        interface,
        seen,
        hands_off,
    }
}

/// Sends echoes to all targets; ends when each answered, or after its time.
async fn echoes(config: &Config, watched: watch::Receiver<LinkFacts>) -> BTreeMap<TargetId, Echo> {
    let (report, mut told) = mpsc::channel(64);
    let probes = echo::spawn(config.probe.targets.clone(), watched, report);
    let all: Vec<TargetId> =
        (0..).zip(&config.probe.targets).map(|(n, _)| TargetId(n)).chain([TargetId::GATEWAY]).collect();
    let mut became: BTreeMap<TargetId, Echo> = BTreeMap::new();
    let sending = async {
        let mut number = 0;
        for _ in 0..ECHOES {
            for target in &all {
                number += 1;
                // A full queue is one echo less.
                let _ = probes.try_send((ProbeId(number), *target));
            }
            tokio::time::sleep(BETWEEN).await;
        }
        tokio::time::sleep(ECHO_LIMIT).await;
    };
    let hearing = async {
        while let Some(observation) = told.recv().await {
            let (target, echo) = match observation {
                Observation::EchoAnswered { target, rtt_us, .. } => (target, Echo::Answered(rtt_us)),
                Observation::EchoLost { target, .. } => (target, Echo::Silent),
                Observation::EchoNotSent { target, obstacle, .. } => (target, Echo::NotSent(obstacle)),
                _ => continue,
            };
            let before = became.entry(target).or_insert(echo);
            *before = match (*before, echo) {
                (Echo::Answered(a), Echo::Answered(b)) => Echo::Answered(a.min(b)),
                (Echo::Answered(a), _) | (_, Echo::Answered(a)) => Echo::Answered(a),
                (Echo::Silent, _) | (_, Echo::Silent) => Echo::Silent,
                (_, Echo::NotSent(why)) => Echo::NotSent(why),
            };
            let answered = |target| matches!(became.get(target), Some(Echo::Answered(_)));
            if all.iter().all(answered) {
                break;
            }
        }
    };
    tokio::select! {
        () = sending => {}
        () = hearing => {}
    }
    became
}

/// By elimination, from the device outward. What was not checked carries nothing.
fn verdict(facts: &Facts) -> Verdict {
    let link = &facts.link;
    let device = if facts.device.is_empty() { "the WAN device" } else { facts.device.as_str() };
    let fault = |domain, carried_by: String, advice: &str| Verdict {
        domain: Some(domain),
        carried_by,
        advice: advice.to_owned(),
    };
    let domain = facts.place().domain;
    let whole = link.present && link.admin_up && !link.addresses.is_empty() && link.default_route;
    if let (Some(Ok((name, is))), false) = (&facts.interface, whole) {
        let words = format!("{name} {}", is.words());
        match is {
            Interface::TakenDown => {
                return fault(Domain::Link, words, &format!("take it up: `ifup {name}`, or LuCI's button"));
            }
            Interface::NoProtocol => return fault(domain, words, "install that package"),
            Interface::Refused(_) => {
                return fault(domain, words, "correct the interface's settings in /etc/config/network");
            }
            Interface::Up
            | Interface::Pending
            | Interface::Waiting
            | Interface::NoDevice
            | Interface::Gone => {}
        }
    }
    if !link.present {
        let words = if facts.device.is_empty() {
            "no device has a default route, and none is configured".to_owned()
        } else {
            format!("there is no device {device}")
        };
        return fault(domain, words, "look at `ip link`, and set line.device to the line's");
    }
    if !link.admin_up {
        let words = format!("{device} is switched off on this gateway");
        return fault(domain, words, "take the interface up (`ifup`, `ip link set … up`)");
    }
    if !link.carrier {
        let words = format!("{device} has no carrier");
        return fault(domain, words, "look at the cable, and at the modem and its power");
    }
    if let Some(verdict) = access(facts, device) {
        return verdict;
    }
    // Who answers with a page of his own stands in between, whatever else he lets through.
    if let Some(forged) = facts.said(Ask::Web, Said::Forged) {
        let words = format!("a login page or a filter answers for {}: {}", forged.whom, forged.detail);
        return fault(
            Domain::Portal,
            words,
            "open a web page and log in, or ask the operator about the filter",
        );
    }
    let answered: Vec<&str> = facts
        .targets
        .iter()
        .filter(|(_, _, echo)| matches!(echo, Echo::Answered(_)))
        .map(|(host, _, _)| host.as_str())
        .collect();
    let web = facts.said(Ask::Web, Said::Answered).is_some();
    if answered.is_empty() && !web {
        return beyond_the_gateway(facts, device);
    }
    if let Some(verdict) = names(facts) {
        return verdict;
    }
    let silent = |said| facts.said(Ask::Web, said);
    if let Some(reply) = silent(Said::Silent).or_else(|| silent(Said::Refused)) {
        let words =
            format!("the line carries, only {} does not answer as it should: {}", reply.whom, reply.detail);
        return fault(Domain::Server, words, "nothing at the line; ask who runs that server");
    }
    let carried_by = match (answered.len(), facts.targets.len()) {
        (0, _) => "the web answers (the targets do not: they may filter echoes)".to_owned(),
        (n, all) if n == all => "all targets answer".to_owned(),
        (n, all) => format!("{n} of {all} targets answer: the others alone are silent"),
    };
    Verdict { domain: None, carried_by, advice: "nothing".to_owned() }
}

/// An address and a way out.
fn access(facts: &Facts, device: &str) -> Option<Verdict> {
    let link = &facts.link;
    let missing = match (link.addresses.is_empty(), link.default_route) {
        (true, _) => "address",
        (false, false) => "default route",
        (false, true) => return None,
    };
    let mut carried_by = format!("{device} has a carrier and no {missing}");
    let offered = facts.said(Ask::Dhcp, Said::Answered).or_else(|| facts.said(Ask::Pppoe, Said::Answered));
    let advice = if let Some(reply) = offered {
        let _ = write!(carried_by, ", although {} offers one ({})", reply.whom, reply.detail);
        "take the interface down and up (`ifup`): the access network would answer"
    } else if let Some(reply) =
        facts.said(Ask::Dhcp, Said::Refused).or_else(|| facts.said(Ask::Pppoe, Said::Refused))
    {
        let _ = write!(carried_by, "; {} refuses: {}", reply.whom, reply.detail);
        "call the operator: the access network refuses this line"
    } else if facts.said(Ask::Dhcp, Said::Silent).or_else(|| facts.said(Ask::Pppoe, Said::Silent)).is_some() {
        carried_by.push_str(", and nobody in the access network answers");
        "restart the modem; if that does not help, call the operator: its access network is silent"
    } else if facts.protocol == Protocol::Static {
        "look at the address and the route that this gateway is configured with"
    } else {
        "take the interface down and up (`ifup`); if that does not help, call the operator"
    };
    Some(Verdict { domain: Some(facts.place().domain), carried_by, advice: advice.to_owned() })
}

/// Nothing beyond the gateway answers.
fn beyond_the_gateway(facts: &Facts, device: &str) -> Verdict {
    let call = "call the operator: nothing on this side can mend it";
    let all = match facts.targets.iter().map(|(_, _, echo)| echo).collect::<Vec<_>>().as_slice() {
        echoes if echoes.iter().all(|echo| matches!(echo, Echo::NotSent(Obstacle::NotAllowed))) => {
            return Verdict {
                domain: Some(Domain::Unknown),
                carried_by: "echoes may not be sent from here, and nothing else tells of the line".into(),
                advice: "run it as root, or with CAP_NET_RAW".into(),
            };
        }
        _ => "nothing beyond it does",
    };
    let restart = "restart the modem; if that does not help, call the operator";
    let placed = facts.place();
    let there = facts.said(Ask::Neighbour, Said::Answered);
    let (carried_by, advice) = match (placed.domain, there) {
        (Domain::Upstream, None) => (format!("the operator's first router answers, {all}"), call),
        (Domain::Upstream, Some(reply)) if !matches!(facts.gateway, Some(Echo::Answered(_))) => {
            (format!("the operator's first router is there ({}), {all}", reply.detail), call)
        }
        (Domain::Upstream, Some(_)) => (format!("the operator's first router answers, {all}"), call),
        (Domain::Gateway, _) => {
            ("no machine answers at the operator's first router's address".to_owned(), restart)
        }
        (Domain::Unknown, None) if facts.protocol != Protocol::Pppoe => (
            format!(
                "nothing answers over {device}, and whether the operator's first router is there is not known"
            ),
            restart,
        ),
        (_, _) => (format!("nothing answers over {device}; {}", placed.words()), restart),
    };
    let domain = placed.domain;
    Verdict { domain: Some(domain), carried_by, advice: advice.to_owned() }
}

/// Names that do not resolve, or to what is not true.
fn names(facts: &Facts) -> Option<Verdict> {
    let replies = facts.replies(Ask::Name);
    let own = || replies.iter().filter(|reply| !reply.independent);
    let other = replies.iter().any(|reply| reply.independent && reply.said == Said::Answered);
    // The judge's table. The web has been looked at.
    let (_, placed) = reach(facts.summed(Ask::Name), None)?;
    let fault = |carried_by: String, advice: &str| {
        Some(Verdict { domain: Some(placed.domain), carried_by, advice: advice.to_owned() })
    };
    if let Some(reply) = own().find(|reply| reply.said == Said::Forged) {
        let words = format!("the line carries, but {} makes answers up: {}", reply.whom, reply.detail);
        return fault(words, "use resolvers that you trust, and ask the operator who answers in their place");
    }
    let bad = own()
        .filter(|reply| !reply.whom.ends_with("(TCP)"))
        .filter(|reply| matches!(reply.said, Said::Silent | Said::Refused));
    let each: Vec<String> = bad.map(|reply| format!("{}: {}", reply.whom, reply.detail)).collect();
    let words = format!("the line carries, but no resolver of its own works ({})", each.join("; "));
    if other {
        fault(words, "use another resolver meanwhile: the independent one answers; and tell the operator")
    } else {
        fault(words, "try another resolver, and tell the operator")
    }
}

/// Layer, what was asked, what came back, verdict.
type Row = [String; 4];

fn rows(facts: &Facts, config: &Config) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut row = |layer: &str, asked: String, came: String, verdict: &str| {
        rows.push([layer.to_owned(), asked, came, verdict.to_owned()]);
    };
    let bad = beyond(&facts.seen, &config.health);
    let mut came = how(&facts.seen);
    if let Some(why) = &facts.hands_off {
        let _ = write!(came, "; {why}");
    }
    row("device", "this gateway".into(), came, if bad.is_empty() { "ok" } else { "warning" });
    let link = &facts.link;
    let name = if facts.device.is_empty() { "WAN device".to_owned() } else { facts.device.clone() };
    let ok = |good: bool| if good { "ok" } else { "missing" };
    let state = match link {
        Link { present: false, .. } => "not there".to_owned(),
        Link { admin_up: false, .. } => "switched off".to_owned(),
        Link { carrier: false, .. } => "no carrier".to_owned(),
        Link { speed: Some(speed), half_duplex: true, .. } => format!("carrier, {speed}, half duplex"),
        Link { speed: Some(speed), .. } => format!("carrier, {speed}"),
        _ => "carrier".to_owned(),
    };
    match &facts.interface {
        Some(Ok((name, is))) => {
            let verdict = if *is == Interface::Up { "ok" } else { "missing" };
            row("interface", format!("netifd: {name}"), is.words(), verdict);
        }
        Some(Err(why)) => row("interface", "netifd".into(), why.clone(), "not checked"),
        None => {}
    }
    let verdict = match link.present && link.admin_up && link.carrier {
        true if link.half_duplex => "warning",
        whole => ok(whole),
    };
    row("link", name, state, verdict);
    if link.present {
        let addresses: Vec<String> = link.addresses.iter().map(ToString::to_string).collect();
        let words = if addresses.is_empty() { "none".to_owned() } else { addresses.join(", ") };
        row("address", "the kernel".into(), words, ok(!link.addresses.is_empty()));
        let words = match (link.default_route, link.gateway) {
            (true, Some(gateway)) => format!("default by {gateway}"),
            (true, None) => "default, point to point".to_owned(),
            (false, _) => "none".to_owned(),
        };
        row("route", "the kernel".into(), words, ok(link.default_route));
    }
    let mut checked = |ask: Ask, asked: &dyn Fn(&Reply) -> String| {
        for reply in facts.replies(ask) {
            let mut came = reply.detail.clone();
            if let Some(us) = reply.took_us {
                let _ = write!(came, " ({})", millis(us));
            }
            row(ask.name(), asked(reply), came, said(reply.said));
        }
    };
    checked(Ask::Neighbour, &|reply| reply.whom.clone());
    checked(Ask::Dhcp, &|reply| reply.whom.clone());
    checked(Ask::Pppoe, &|reply| reply.whom.clone());
    let mut echoed = |host: String, role: &str, echo: Echo| {
        let (came, verdict) = match echo {
            Echo::Answered(us) => (millis(us), "ok"),
            Echo::Silent => ("no answer".to_owned(), "silent"),
            Echo::NotSent(obstacle) => (not_sent(obstacle).to_owned(), "not checked"),
        };
        rows.push([role.to_owned(), format!("echo to {host}"), came, verdict.to_owned()]);
    };
    if let (Some(echo), Some(address)) = (facts.gateway, link.gateway) {
        echoed(address.to_string(), "gateway", echo);
    }
    for (host, role, echo) in &facts.targets {
        echoed(host.clone(), role.name(), *echo);
    }
    for ask in [Ask::Name, Ask::Web] {
        for reply in facts.replies(ask) {
            let mut came = reply.detail.clone();
            if let Some(us) = reply.took_us {
                let _ = write!(came, " ({})", millis(us));
            }
            let by = if reply.independent { " (independent)" } else { "" };
            rows.push([
                ask.name().to_owned(),
                format!("{}{by}", reply.whom),
                came,
                said(reply.said).to_owned(),
            ]);
        }
    }
    rows
}

const fn said(said: Said) -> &'static str {
    match said {
        Said::Answered => "ok",
        Said::Refused => "refused",
        Said::Forged => "forged",
        Said::Silent => "silent",
        Said::NotChecked => "not checked",
    }
}

const fn not_sent(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::NoWay => "not sent: no way there",
        Obstacle::NoAddress => "not sent: its address is not known",
        Obstacle::NotAllowed => "not sent: needs root or CAP_NET_RAW",
        Obstacle::Busy => "not sent: the kernel's buffers are full",
    }
}

fn how(seen: &DeviceSeen) -> String {
    let mut words = Vec::new();
    let mut share = |value: Option<u16>, what: &str| {
        words.extend(value.map(|value| format!("{what} {}", Permille(value))));
    };
    share(seen.cpu, "processor");
    share(seen.memory_free, "memory free");
    share(seen.flash_free, "flash free");
    share(seen.conntrack, "connections");
    words.extend(seen.temperature.map(|value| Millicelsius(value).to_string()));
    words.join(", ")
}

fn millis(us: u32) -> String {
    match us {
        0..1_000 => format!("0.{:02} ms", us / 10),
        _ => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
    }
}

/// What the daemon thinks, in a line.
fn daemon_says(answer: &Value) -> String {
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
    let mut words = format!("the daemon runs: line {}", text("/status/line").unwrap_or("unknown"));
    if let Some(id) = text("/status/incident/id") {
        let domain = text("/status/incident/fault_domain").unwrap_or("unknown");
        let state = text("/status/incident/state").unwrap_or("open");
        let _ = write!(words, ", {id} {state} (fault domain {domain})");
    }
    words
}

fn last_line(verdict: &Verdict) -> String {
    match verdict.domain {
        None => format!("No fault found: {}. What to do: {}.", verdict.carried_by, verdict.advice),
        Some(Domain::Unknown) => {
            format!(
                "Where the fault lies is not known: {}. What to do: {}.",
                verdict.carried_by, verdict.advice
            )
        }
        Some(domain) => {
            format!("The fault: {} ({}). What to do: {}.", domain.name(), verdict.carried_by, verdict.advice)
        }
    }
}

fn shown(config: &Config, facts: &Facts, rows: &[Row], verdict: &Verdict, daemon: Option<&Value>) -> String {
    let device = if facts.device.is_empty() { "no WAN device" } else { &facts.device };
    let daemon = daemon.map_or("no daemon runs".to_owned(), daemon_says);
    let mut text = format!("{} · {device} · {daemon}\n\n", config.device.id);
    let mut all = vec![["layer", "asked", "came back", "verdict"].map(str::to_owned)];
    all.extend_from_slice(rows);
    super::show::table(&mut text, &all);
    let _ = writeln!(text, "\n{}", last_line(verdict));
    text
}

fn written(config: &Config, facts: &Facts, rows: &[Row], verdict: &Verdict, daemon: Option<&Value>) -> Value {
    let layers: Vec<Value> = rows
        .iter()
        .map(|[layer, asked, came, verdict]| {
            json!({ "layer": layer, "asked": asked, "came_back": came, "verdict": verdict })
        })
        .collect();
    json!({
        "schema": "linekeeper.diagnose.v1",
        "device_id": config.device.id,
        "device": facts.device,
        "layers": layers,
        "checks": facts.checks,
        "gateway": facts.seen,
        "fault_domain": verdict.domain,
        "carried_by": verdict.carried_by,
        "advice": verdict.advice,
        "daemon": daemon.and_then(|answer| answer.pointer("/status")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Facts {
        Facts {
            protocol: Protocol::Dhcp,
            device: "wan".into(),
            link: Link {
                present: true,
                admin_up: true,
                carrier: true,
                addresses: vec!["192.0.2.2".parse().unwrap()],
                gateway: "192.0.2.1".parse().ok(),
                default_route: true,
                speed: None,
                half_duplex: false,
            },
            gateway: Some(Echo::Answered(40)),
            targets: vec![
                ("198.51.100.1".into(), Role::Anchor, Echo::Answered(900)),
                ("203.0.113.53".into(), Role::World, Echo::Answered(9_000)),
            ],
            checks: Vec::new(),
            interface: None,
            seen: DeviceSeen::default(),
            hands_off: None,
        }
    }

    #[test]
    fn half_duplex_is_said_of_a_link_that_is_there() {
        let config = crate::config_text::load_text(
            r#"{"device":{"id":"gw-0001"},"probe":{"targets":[{"host":"198.51.100.1","role":"anchor"}]}}"#,
            crate::config_text::Format::Json,
        )
        .unwrap();
        let row = |facts: &Facts| rows(facts, &config).into_iter().find(|row| row[0] == "link").unwrap();
        let rate = Some(linekeeper_contract::units::Rate(100_000_000));
        let full = row(&link(|l| l.speed = rate));
        assert_eq!((full[2].as_str(), full[3].as_str()), ("carrier, 100 Mbit/s", "ok"));
        let half = row(&link(|l| (l.speed, l.half_duplex) = (rate, true)));
        assert_eq!((half[2].as_str(), half[3].as_str()), ("carrier, 100 Mbit/s, half duplex", "warning"));
        let gone = row(&link(|l| (l.speed, l.half_duplex, l.carrier) = (rate, true, false)));
        assert_eq!((gone[2].as_str(), gone[3].as_str()), ("no carrier", "missing"));
    }

    #[test]
    fn what_netifd_knows_is_said_where_the_line_is_not_whole() {
        let of = |is: Interface, facts: Facts| {
            let facts = Facts { interface: Some(Ok(("wan".into(), is))), ..facts };
            verdict(&facts)
        };
        let bare = || link(|l| (l.addresses, l.default_route) = (Vec::new(), false));
        let down = of(Interface::TakenDown, link(|l| l.admin_up = false));
        assert_eq!(
            (down.domain, down.carried_by.as_str()),
            (Some(Domain::Link), "wan was taken down by somebody")
        );
        assert!(down.advice.contains("ifup wan"), "{}", down.advice);
        assert!(of(Interface::NoProtocol, bare()).carried_by.contains("no handler"));
        assert_eq!(of(Interface::NoProtocol, bare()).domain, Some(Domain::Device));
        assert!(of(Interface::Refused("X".into()), bare()).advice.contains("/etc/config/network"));
        // What netifd says of a line that works, or of one that waits, changes nothing.
        assert_eq!(of(Interface::Up, healthy()), verdict(&healthy()));
        assert_eq!(of(Interface::TakenDown, healthy()), verdict(&healthy()));
        assert_eq!(of(Interface::Pending, bare()), verdict(&bare()));
    }

    fn with(mut facts: Facts, ask: Ask, said: &[(Said, bool)]) -> Facts {
        let replies = said.iter().enumerate().map(|(n, (said, independent))| Reply {
            whom: format!("r{n}"),
            said: *said,
            took_us: None,
            independent: *independent,
            detail: "in words".into(),
        });
        facts.checks.push(Checked { check: CheckId(0), ask, replies: replies.collect() });
        facts
    }

    fn dead_beyond(mut facts: Facts) -> Facts {
        facts.targets.iter_mut().for_each(|target| target.2 = Echo::Silent);
        facts
    }

    fn link(change: impl FnOnce(&mut Link)) -> Facts {
        let mut facts = dead_beyond(healthy());
        change(&mut facts.link);
        facts
    }

    #[test]
    fn faults_are_placed() {
        use Ask::{Dhcp, Name, Neighbour, Pppoe, Web};
        use Domain::{Access, Device, Gateway, Link, Portal, Server, Unknown, Upstream};
        use Said::{Answered, Forged, NotChecked, Refused, Silent};
        let one = |said| [(said, false)];
        let no_address = || link(|l| l.addresses.clear());
        let gone = || {
            let mut facts = dead_beyond(healthy());
            facts.gateway = Some(Echo::Silent);
            facts
        };
        let mut one_silent = healthy();
        one_silent.targets[0].2 = Echo::Silent;
        let mut filters = healthy();
        filters.gateway = Some(Echo::Silent);
        let mut helpless = gone();
        helpless.targets.iter_mut().for_each(|t| t.2 = Echo::NotSent(Obstacle::NotAllowed));
        for (facts, domain, words) in [
            (healthy(), None, "all targets answer"),
            (one_silent, None, "1 of 2 targets answer"),
            (filters, None, "all targets answer"),
            (link(|l| l.present = false), Some(Domain::Device), "no device wan"),
            (link(|l| l.admin_up = false), Some(Link), "switched off"),
            (link(|l| l.carrier = false), Some(Link), "no carrier"),
            (no_address(), Some(Access), "no address"),
            (with(no_address(), Dhcp, &one(Answered)), Some(Access), "although r0 offers one"),
            (
                with(Facts { protocol: Protocol::Pppoe, ..no_address() }, Pppoe, &one(Refused)),
                Some(Access),
                "r0 refuses",
            ),
            (with(no_address(), Dhcp, &one(Silent)), Some(Access), "nobody in the access network"),
            (link(|l| l.default_route = false), Some(Access), "no default route"),
            (dead_beyond(healthy()), Some(Upstream), "answers, nothing beyond"),
            (with(with(gone(), Neighbour, &one(Answered)), Dhcp, &one(Answered)), Some(Upstream), "is there"),
            // A server may ignore who has a lease.
            (
                with(with(gone(), Neighbour, &one(Answered)), Dhcp, &one(Silent)),
                Some(Unknown),
                "DHCP server is silent",
            ),
            (with(with(gone(), Neighbour, &one(Answered)), Dhcp, &one(Refused)), Some(Access), "refuses"),
            (Facts { protocol: Protocol::Static, ..no_address() }, Some(Device), "no address"),
            (
                with(Facts { protocol: Protocol::Pppoe, ..gone() }, Pppoe, &one(Silent)),
                Some(Access),
                "no PPPoE",
            ),
            (with(gone(), Neighbour, &one(Silent)), Some(Gateway), "no machine answers"),
            (with(gone(), Neighbour, &one(NotChecked)), Some(Unknown), "not known"),
            (gone(), Some(Unknown), "not known"),
            (helpless, Some(Unknown), "may not be sent"),
            (with(healthy(), Web, &one(Forged)), Some(Portal), "login page"),
            // Most portals let nothing else through.
            (with(dead_beyond(healthy()), Web, &one(Forged)), Some(Portal), "login page"),
            (with(dead_beyond(healthy()), Web, &one(Answered)), None, "they may filter echoes"),
            (with(healthy(), Web, &one(Silent)), Some(Server), "only r0"),
            (with(healthy(), Web, &one(NotChecked)), None, "all targets"),
            (
                with(healthy(), Name, &[(Silent, false), (Refused, false)]),
                Some(Domain::Name),
                "r0: in words; r1",
            ),
            (
                with(healthy(), Name, &[(Silent, false), (Answered, true)]),
                Some(Domain::Name),
                "no resolver of its own",
            ),
            (with(healthy(), Name, &[(Silent, false), (Answered, false)]), None, "all targets"),
            (with(healthy(), Name, &[(Answered, false), (Silent, true)]), None, "all targets"),
            // As the judge has it: the independent one shows nothing about the line's own.
            (with(healthy(), Name, &[(Answered, false), (Forged, true)]), None, "all targets"),
            (
                with(healthy(), Name, &[(Answered, false), (Forged, false)]),
                Some(Domain::Name),
                "r1 makes answers up",
            ),
            (with(healthy(), Name, &one(NotChecked)), None, "all targets"),
            // Where nothing carries, silent resolvers tell nothing more.
            (with(dead_beyond(healthy()), Name, &one(Silent)), Some(Upstream), "nothing beyond"),
        ] {
            let verdict = verdict(&facts);
            assert_eq!(verdict.domain, domain, "{verdict:?} of {facts:?}");
            assert!(verdict.carried_by.contains(words), "{verdict:?}: {words}");
            assert!(!last_line(&verdict).contains('\n'));
        }
    }
}
