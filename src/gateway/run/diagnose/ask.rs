//! Every layer that can be checked right now is checked, all at the same time.

use super::facts::{Echo, Facts};
use crate::netifd::{self, Netifd};
use crate::sense::access::Gates;
use crate::sense::check::run_check;
use crate::sense::device::{self, Reader, Roots};
use crate::sense::interface::{self, Named};
use crate::sense::link::LinkFacts;
use crate::sense::{echo, link};
use linekeeper_contract::units::Span;
use linekeeper_judge::check::{Ask, CheckId, CheckOrder};
use linekeeper_judge::config::Config;
use linekeeper_judge::observation::{Interface, Observation, ProbeId, TargetId};
use std::collections::BTreeMap;
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
            (Ok((name, netifd::interface_state(&status))), named)
        }
        Err(why) => (Err(why), Named::default()),
    })
}

pub(super) async fn ask(config: &Config) -> Facts {
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
    let wan = facts.device();
    let gates = Arc::new(Gates::default());
    let mut checks = JoinSet::new();
    let asks = Ask::ALL.into_iter().filter(|ask| ask.is_of(config.line.protocol));
    for (number, ask) in asks.enumerate() {
        let order = CheckOrder { check: CheckId(number as u64), ask, limit: CHECK_LIMIT };
        let (wan, facts, config, gates) = (wan.clone(), facts.clone(), config.clone(), Arc::clone(&gates));
        checks.spawn(async move { run_check(&order, &wan, &facts, &config, &gates).await });
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
        (reader.read(), device::hands_off_reason().await)
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
