//! Echo requests (ICMP and ICMPv6): sent on demand, always over the WAN device, each with exactly one result.
//!
//! Whether a reply came in time is not decided here: every reply within [`LIMIT`] is reported with its round-trip time.
//! Requests to one target may overlap; a reply is matched to its request by identifier and sequence number.

use crate::sense::link::LinkFacts;
use linekeeper_judge::config::Target;
use linekeeper_judge::observation::{Observation, Obstacle, Part, ProbeId, TargetId};
use rustix::io::Errno;
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, Pinger, SurgeError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How long to wait for a reply. Without one the echo counts as lost.
///
/// 5 s: lines with bad bufferbloat reply after 2 to 3 s, and a later reply proves nothing about the line that the next
/// one does not.
pub const LIMIT: Duration = Duration::from_secs(5);

/// The most requests in flight; further ones are [`Obstacle::Busy`].
///
/// 128: when nothing replies, one burst per second to all 16 targets and the gateway on top of 2 Hz makes 95 within
/// [`LIMIT`]. Each takes about 1 kB.
pub const OUTSTANDING: usize = 128;

/// The most requests waiting to be sent: one burst to all 16 targets and the gateway, with room for the next.
pub const QUEUE: usize = 32;

/// The payload of an echo request. With headers, a packet has 60 bytes over IPv4 and 80 over IPv6.
///
/// Not empty, because some targets ignore empty echoes; the same for all requests, as in ping.
const PAYLOAD: &[u8; 32] = b"linekeeper watches this line.   ";

/// How long a request may wait for room in the kernel's send buffer before it counts as not sent.
const SEND_LIMIT: Duration = Duration::from_secs(1);

/// How often a name is resolved again without a reason.
const REFRESH: Duration = Duration::from_secs(3_600);

/// The first delay before a name that did not resolve is tried again; doubles up to [`REFRESH`].
///
/// 10 s: a resolver that starts with the line needs a few seconds.
const RETRY: Duration = Duration::from_secs(10);

/// Starts the sender of echo requests. A request is `(probe, target)`; the target is an index into `targets` or
/// [`TargetId::GATEWAY`].
///
/// Each request results in exactly one of [`Observation::EchoAnswered`], [`Observation::EchoLost`] and
/// [`Observation::EchoNotSent`]. Ends when the returned sender or the receiver of `report` is dropped.
///
/// A caller that also reads `report` must use `try_send` (a full queue is [`Obstacle::Busy`]). If it waited for room here
/// while this task waits for room in `report`, both would wait for ever.
pub fn spawn(
    targets: Vec<Target>,
    link: watch::Receiver<LinkFacts>,
    report: mpsc::Sender<Observation>,
) -> mpsc::Sender<(ProbeId, TargetId)> {
    let (asker, asked) = mpsc::channel(QUEUE);
    let addresses: Vec<Option<IpAddr>> = targets.iter().map(|target| target.host.parse().ok()).collect();
    let names: Vec<Name> = targets
        .into_iter()
        .enumerate()
        .filter(|(place, _)| addresses[*place].is_none())
        .map(|(place, target)| Name { place, host: target.host, known: None })
        .collect();
    // Room for each name: the resolver reports them one by one.
    let (found, resolved) = mpsc::channel(names.len().max(1));
    if !names.is_empty() {
        tokio::spawn(resolve(names, link.clone(), found));
    }
    let echo = Echo {
        addresses,
        facts: LinkFacts::default(),
        v4: FamilySocket::default(),
        v6: FamilySocket::default(),
        identifier: PingIdentifier(fastrand::u16(..)),
        sequence: 0,
        in_trouble: false,
        report,
    };
    tokio::spawn(echo.run(asked, link, resolved));
    asker
}

struct Echo {
    addresses: Vec<Option<IpAddr>>,
    facts: LinkFacts,
    v4: FamilySocket,
    v6: FamilySocket,
    /// Random, so that a late reply to an earlier run of this process does not match.
    identifier: PingIdentifier,
    sequence: u16,
    in_trouble: bool,
    report: mpsc::Sender<Observation>,
}

/// The socket of one address family.
#[derive(Default)]
struct FamilySocket {
    /// Never cloned: dropping any clone closes all.
    client: Option<Client>,
    /// The last attempt failed for lack of permission.
    refused: bool,
}

/// One request in flight.
struct Sent {
    probe: ProbeId,
    target: TargetId,
    v6: bool,
}

/// The result of a request.
enum Outcome {
    Answered(Duration),
    Lost,
    NotSent(Failure),
}

/// Why a request was not sent.
struct Failure {
    obstacle: Obstacle,
    words: String,
    /// The socket is unusable and must be opened again.
    broken: bool,
}

/// The receiver of the observations is gone.
struct ReceiverGone;

impl Echo {
    async fn run(
        mut self,
        mut asked: mpsc::Receiver<(ProbeId, TargetId)>,
        mut link: watch::Receiver<LinkFacts>,
        mut resolved: mpsc::Receiver<(usize, IpAddr)>,
    ) {
        let mut outstanding = JoinSet::new();
        self.update_facts(link.borrow_and_update().clone());
        loop {
            let heard = tokio::select! {
                // Changes before requests: a request must use the newest state of the line.
                biased;
                Ok(()) = link.changed() => {
                    self.update_facts(link.borrow_and_update().clone());
                    Ok(())
                }
                Some((place, address)) = resolved.recv() => {
                    if let Some(known) = self.addresses.get_mut(place) {
                        *known = Some(address);
                    }
                    Ok(())
                }
                Some(ended) = outstanding.join_next() => match ended {
                    Ok((sent, outcome)) => self.report_outcome(sent, outcome).await,
                    Err(_) => Ok(()),
                },
                request = asked.recv() => match request {
                    Some((probe, target)) => self.send(probe, target, &mut outstanding).await,
                    None => return,
                },
                () = self.report.closed() => return,
            };
            if heard.is_err() {
                return;
            }
        }
    }

    /// Takes the new state of the line. Sockets bound to a device that was recreated are dead without an error: drop them.
    fn update_facts(&mut self, facts: LinkFacts) {
        if facts.index != self.facts.index || facts.name != self.facts.name {
            self.v4.client = None;
            self.v6.client = None;
        }
        self.facts = facts;
    }

    async fn send(
        &mut self,
        probe: ProbeId,
        target: TargetId,
        outstanding: &mut JoinSet<(Sent, Outcome)>,
    ) -> Result<(), ReceiverGone> {
        let address = if target == TargetId::GATEWAY {
            self.facts.link.gateway
        } else {
            self.addresses.get(usize::from(target.0)).copied().flatten()
        };
        let not_sent = |obstacle| Observation::EchoNotSent { probe, target, obstacle };
        if !can_carry(&self.facts) {
            return self.report(not_sent(Obstacle::NoWay)).await;
        }
        let Some(address) = address else { return self.report(not_sent(Obstacle::NoAddress)).await };
        if !has_source_address(&self.facts, address) {
            return self.report(not_sent(Obstacle::NoWay)).await;
        }
        if outstanding.len() >= OUTSTANDING {
            return self.report(not_sent(Obstacle::Busy)).await;
        }
        let sent = Sent { probe, target, v6: address.is_ipv6() };
        // Unique among the requests in flight: it wraps after 65 536 requests.
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = PingSequence(self.sequence);
        let way = if sent.v6 { &mut self.v6 } else { &mut self.v4 };
        let client = match &way.client {
            Some(client) => client,
            None => match open(&self.facts.name, sent.v6) {
                Ok(client) => way.client.insert(client),
                Err(error) => return self.report_outcome(sent, Outcome::NotSent(open_failure(&error))).await,
            },
        };
        let mut pinger = client.pinger(address, self.identifier).await;
        pinger.timeout(LIMIT);
        // A link-local gateway needs its link; some kernels require this for every address on a bound datagram socket.
        pinger.scope_id(self.facts.index);
        outstanding.spawn(async move {
            let outcome = ask(pinger, sequence).await;
            (sent, outcome)
        });
        Ok(())
    }

    async fn report_outcome(&mut self, sent: Sent, outcome: Outcome) -> Result<(), ReceiverGone> {
        let Sent { probe, target, v6 } = sent;
        let way = if v6 { &mut self.v6 } else { &mut self.v4 };
        let mut words = None;
        let observation = match outcome {
            Outcome::Answered(after) => {
                way.refused = false;
                let rtt_us = u32::try_from(after.as_micros()).unwrap_or(u32::MAX);
                Observation::EchoAnswered { probe, target, rtt_us }
            }
            Outcome::Lost => {
                way.refused = false;
                Observation::EchoLost { probe, target }
            }
            Outcome::NotSent(failure) => {
                if failure.broken {
                    way.client = None;
                }
                if failure.obstacle == Obstacle::NotAllowed {
                    way.refused = true;
                    words = Some(failure.words);
                }
                Observation::EchoNotSent { probe, target, obstacle: failure.obstacle }
            }
        };
        self.report(observation).await?;
        // Reported once for both families, and cleared when neither is refused.
        let in_trouble = self.v4.refused || self.v6.refused;
        if in_trouble != self.in_trouble {
            self.in_trouble = in_trouble;
            self.report(Observation::PartSeen { part: Part::Echo, trouble: words }).await?;
        }
        Ok(())
    }

    async fn report(&self, observation: Observation) -> Result<(), ReceiverGone> {
        self.report.send(observation).await.map_err(|_| ReceiverGone)
    }
}

/// Whether the device can carry packets at all.
fn can_carry(facts: &LinkFacts) -> bool {
    let link = &facts.link;
    facts.index != 0 && link.present && link.admin_up && link.carrier
}

/// Whether a packet to `address` would carry a source address that a reply can reach.
///
/// The kernel does not report this: for a socket bound to a device without a route, it treats every target as a neighbour
/// and uses another device's address. If the device has an address of its own, a missing route is tolerated: a reply
/// still comes over this line, and the link sensor reports the missing route.
fn has_source_address(facts: &LinkFacts, address: IpAddr) -> bool {
    let link = &facts.link;
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => true,
        _ => {
            let same = |other: &IpAddr| other.is_ipv6() == address.is_ipv6();
            // An unnumbered line has a route and borrows an address on purpose.
            link.addresses.iter().any(same) || link.gateway.as_ref().is_some_and(same)
        }
    }
}

/// Opens a socket for echoes of one family, bound to the device: datagram ICMP, or raw if that fails.
///
/// A datagram socket receives only the replies to its own requests. A raw one receives every ICMP packet on the device,
/// so that anyone who pings the gateway costs us processor time: 3.6 µs each on a fast machine, against none
/// (`cost of a quiet minute` in tests/sense.rs).
fn open(device: &str, v6: bool) -> io::Result<Client> {
    let config = Config::builder()
        .kind(if v6 { ICMP::V6 } else { ICMP::V4 })
        .interface(device)
        .sock_type_hint(libc::SOCK_DGRAM.into())
        .build();
    Client::new(&config)
}

/// Sends one request and waits for its result.
async fn ask(mut pinger: Pinger, sequence: PingSequence) -> Outcome {
    match tokio::time::timeout(LIMIT + SEND_LIMIT, pinger.ping(sequence, PAYLOAD)).await {
        Ok(Ok((packet, after))) if is_reply(&packet) => Outcome::Answered(after),
        // An ICMP error, from the target or a router: not an echo reply.
        Ok(Ok(_)) => Outcome::Lost,
        Ok(Err(SurgeError::Timeout { .. })) => Outcome::Lost,
        Ok(Err(SurgeError::IOError(error))) => Outcome::NotSent(send_failure(&error)),
        Ok(Err(error)) => {
            Outcome::NotSent(Failure { obstacle: Obstacle::Busy, words: error.to_string(), broken: true })
        }
        // The pinger's own limit starts when the packet is sent: it was never sent.
        Err(_) => Outcome::NotSent(Failure {
            obstacle: Obstacle::Busy,
            words: "the device takes no packets".into(),
            broken: false,
        }),
    }
}

/// surge-ping also returns an ICMP error that quotes our request.
fn is_reply(packet: &IcmpPacket) -> bool {
    const REPLY_V4: u8 = 0;
    const REPLY_V6: u8 = 129;
    match packet {
        IcmpPacket::V4(packet) => packet.get_icmp_type().0 == REPLY_V4,
        IcmpPacket::V6(packet) => packet.get_icmpv6_type().0 == REPLY_V6,
    }
}

fn open_failure(error: &io::Error) -> Failure {
    // For a missing permission, surge-ping passes on only the error kind.
    let refused = error.kind() == io::ErrorKind::PermissionDenied;
    let obstacle = match Errno::from_io_error(error) {
        _ if refused => Obstacle::NotAllowed,
        Some(Errno::NODEV | Errno::NXIO | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => Obstacle::NoWay,
        _ => Obstacle::Busy,
    };
    let words =
        "may not send echoes: the kernel gives us no ICMP socket; run as root, give CAP_NET_RAW (setcap \
                 cap_net_raw+ep), or let our group into net.ipv4.ping_group_range"
            .into();
    Failure { obstacle, words, broken: true }
}

fn send_failure(error: &io::Error) -> Failure {
    let (obstacle, broken) = match Errno::from_io_error(error) {
        // The socket's device is gone.
        Some(Errno::NODEV | Errno::NXIO) => (Obstacle::NoWay, true),
        // ACCESS is a `prohibit` route, INVAL a `blackhole` one.
        Some(
            Errno::NETUNREACH
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::ADDRNOTAVAIL
            | Errno::ACCESS
            | Errno::INVAL,
        ) => (Obstacle::NoWay, false),
        Some(Errno::PERM) => (Obstacle::NotAllowed, false),
        _ => (Obstacle::Busy, false),
    };
    let words = format!(
        "may not send echoes: {error}; a firewall on this gateway drops them, or \
         its connection table is full"
    );
    Failure { obstacle, words, broken }
}

/// A target that is configured by name.
struct Name {
    place: usize,
    host: String,
    known: Option<IpAddr>,
}

/// Resolves the names at the start, hourly, and when the line comes back. A name that does not resolve keeps its last
/// address.
async fn resolve(
    mut names: Vec<Name>,
    mut link: watch::Receiver<LinkFacts>,
    found: mpsc::Sender<(usize, IpAddr)>,
) {
    let mut retry = RETRY;
    loop {
        let mut all = true;
        // One by one: a dead resolver then blocks one thread of the runtime's pool, not many.
        for name in &mut names {
            let addresses = match tokio::net::lookup_host((name.host.as_str(), 0)).await {
                Ok(addresses) => addresses.map(|socket| socket.ip()).collect(),
                Err(_) => Vec::new(),
            };
            let best = best_address(&addresses, name.known, &link.borrow());
            all &= best.is_some();
            if let Some(best) = best
                && name.known != Some(best)
            {
                name.known = Some(best);
                if found.send((name.place, best)).await.is_err() {
                    return;
                }
            }
        }
        let wait = if all { REFRESH } else { retry };
        retry = if all { RETRY } else { REFRESH.min(retry * 2) };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = wait_for_line(&mut link) => retry = RETRY,
            () = found.closed() => return,
        }
    }
}

/// The address of a name to use: one of a family that the line has, preferably the one used before.
fn best_address(addresses: &[IpAddr], known: Option<IpAddr>, facts: &LinkFacts) -> Option<IpAddr> {
    let reachable = |address: &&IpAddr| has_source_address(facts, **address);
    let before = |address: &&IpAddr| Some(**address) == known;
    let mut reachables = addresses.iter().filter(reachable);
    reachables.clone().find(before).or_else(|| reachables.next()).or_else(|| addresses.first()).copied()
}

/// Waits until the line has lost its default route and has one again. Never returns once the link sensor is gone.
async fn wait_for_line(link: &mut watch::Receiver<LinkFacts>) {
    let up = |facts: &LinkFacts| can_carry(facts) && facts.link.default_route;
    if link.wait_for(|facts| !up(facts)).await.is_err() || link.wait_for(up).await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linekeeper_judge::observation::Link;

    fn facts(addresses: &[&str]) -> LinkFacts {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        LinkFacts {
            name: "wan".into(),
            index: 3,
            link: Link { addresses, ..Link::default() },
            port: None,
            interface: None,
        }
    }

    #[test]
    fn name_resolves_to_an_available_family_and_keeps_its_address() {
        let both: Vec<IpAddr> =
            ["2001:db8::1", "192.0.2.1", "192.0.2.2"].iter().map(|a| a.parse().unwrap()).collect();
        assert_eq!(best_address(&both, None, &facts(&["192.0.2.9"])), Some(both[1]));
        assert_eq!(best_address(&both, Some(both[2]), &facts(&["192.0.2.9"])), Some(both[2]));
        assert_eq!(best_address(&both, Some(both[2]), &facts(&["2001:db8::9"])), Some(both[0]));
        assert_eq!(best_address(&both, None, &facts(&[])), Some(both[0]));
        assert_eq!(best_address(&[], Some(both[0]), &facts(&[])), None);
    }

    #[test]
    fn packet_needs_a_source_address_of_its_family() {
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert!(
            has_source_address(&facts(&["192.0.2.9"]), v4) && !has_source_address(&facts(&["192.0.2.9"]), v6)
        );
        assert!(!has_source_address(&facts(&[]), v4));
        assert!(has_source_address(&facts(&[]), "fe80::1".parse().unwrap()));
    }

    #[test]
    fn kernel_errors_map_to_obstacles() {
        let obstacle = |errno: Errno| send_failure(&errno.into()).obstacle;
        assert_eq!(obstacle(Errno::NETUNREACH), Obstacle::NoWay);
        assert_eq!(obstacle(Errno::NETDOWN), Obstacle::NoWay);
        assert_eq!(obstacle(Errno::PERM), Obstacle::NotAllowed);
        assert_eq!(obstacle(Errno::NOBUFS), Obstacle::Busy);
        assert_eq!(open_failure(&Errno::PERM.into()).obstacle, Obstacle::NotAllowed);
        assert_eq!(open_failure(&io::ErrorKind::PermissionDenied.into()).obstacle, Obstacle::NotAllowed);
        assert_eq!(open_failure(&Errno::NODEV.into()).obstacle, Obstacle::NoWay);
    }
}
