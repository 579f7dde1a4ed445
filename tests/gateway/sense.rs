//! The sensors against real devices and real packets, in private networks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::trial::Test;
use crate::common::world;
use crate::common::world::{Net, cable};
use linekeeper::clock::Clock;
use linekeeper::sense::{counters, echo, link};
use linekeeper_contract::units::Span;
use linekeeper_judge::config::{Role, Target};
use linekeeper_judge::observation::{Counted, Link, Observation, Obstacle, Part, ProbeId, TargetId};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, bind, ipproto, recvfrom, sendto, socket};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long anything may take on any machine before it counts as never.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn tests() -> Vec<Test> {
    vec![
        Test::private("link: the address changes", &[], address_change_is_reported),
        Test::private("link: the carrier goes and comes", &[], carrier_loss_and_return_are_reported),
        Test::private("link: the device is recreated", &[], recreated_device_is_reported),
        Test::private("link: the configured device is unknown", &[], unknown_configured_device_is_reported),
        Test::private("link: kernel notifications are lost", &[], lost_notifications_cause_a_new_read),
        Test::private("link: IPv6 only", &[], ipv6_only),
        Test::private(
            "link: point-to-point without a configured device",
            &[],
            point_to_point_by_default_route,
        ),
        Test::private(
            "echo: near and far targets, by address and by name",
            &[],
            near_and_far_targets_are_answered,
        ),
        Test::private("echo: answered over IPv6 (raw)", &[], || answered_over_ipv6("raw", None)),
        Test::private("echo: answered over IPv6 (datagram)", &[], || answered_over_ipv6("datagram", OURS)),
        Test::private("echo: late, reordered and refused replies (raw)", &[], || {
            late_reordered_and_refused_replies("raw", None)
        }),
        Test::private("echo: late, reordered and refused replies (datagram)", &[], || {
            late_reordered_and_refused_replies("datagram", OURS);
        }),
        Test::private(
            "echo: lost replies and the limit on open probes",
            &[],
            lost_replies_and_open_probe_limit,
        ),
        Test::private("echo: never sent over another path", &[], never_sent_over_another_path),
        Test::private(
            "echo: continues when the device is recreated",
            &[],
            echo_continues_after_a_recreated_device,
        ),
        Test::private("echo: without permission for raw sockets", &[], echo_without_raw_sockets),
        Test::private("counters: match the kernel's", &[], counters_match_the_kernel),
        Test::private(
            "counters: only packets from beyond the first hop prove the line",
            &["ping"],
            only_packets_from_beyond_the_first_hop_prove_the_line,
        ),
        Test::private(
            "counters: a recreated device counts as no traffic",
            &[],
            recreated_device_counts_as_no_traffic,
        ),
    ]
}

/// A customer's gateway, and the operator's end of its line.
struct Line {
    home: Net,
    isp: Net,
}

/// The far target, an address of the operator's that is not on the line.
const FAR: &str = "198.51.100.1";

impl Line {
    /// `wan`, 192.0.2.2, default route by 192.0.2.1. The tag has to be unique among the trials.
    fn lay(tag: &str) -> Arc<Line> {
        let line = Line { home: Net::new(&format!("{tag}-home")), isp: Net::new(&format!("{tag}-isp")) };
        // What IPv6 says on its own is noise to most tests.
        line.home.set("ipv6/conf/default/disable_ipv6", "1");
        line.isp.set("ipv6/conf/default/disable_ipv6", "1");
        line.isp.run(&format!("ip address add {FAR}/32 dev lo"));
        line.connect();
        Arc::new(line)
    }

    /// Runs `work` on the gateway.
    fn at_home<F: Future<Output = ()>>(self: &Arc<Line>, work: impl FnOnce(Arc<Line>) -> F + Send + 'static) {
        let line = self.clone();
        self.home.block_on(move || work(line));
    }

    fn connect(&self) {
        cable((&self.home, "wan"), (&self.isp, "customer"));
        self.isp.run("ip address add 192.0.2.1/24 dev customer");
        self.home.run("ip address add 192.0.2.2/24 dev wan");
        self.home.run("ip route add default via 192.0.2.1");
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What the sensors told.
struct Told(mpsc::Receiver<Observation>);

fn ear() -> (mpsc::Sender<Observation>, Told) {
    let (report, told) = mpsc::channel(64);
    (report, Told(told))
}

impl Told {
    async fn next(&mut self) -> Observation {
        tokio::time::timeout(PATIENCE, self.0.recv())
            .await
            .expect("nothing was told")
            .expect("the sensor ended")
    }

    /// Reads on until something fits.
    async fn until<T>(&mut self, mut fits: impl FnMut(&Observation) -> Option<T>) -> T {
        let mut passed = Vec::new();
        let search = async {
            loop {
                let told = self.0.recv().await;
                match told.as_ref().map(&mut fits) {
                    Some(Some(found)) => return Some(found),
                    Some(None) => passed.extend(told),
                    None => return None,
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.ok().flatten().unwrap_or_else(|| panic!("never told; but: {passed:#?}"))
    }

    async fn link(&mut self, mut fits: impl FnMut(&Link) -> bool) -> Link {
        self.until(|told| match told {
            Observation::LinkSeen(link) if fits(link) => Some(link.clone()),
            _ => None,
        })
        .await
    }

    async fn trouble(&mut self, of: Part) -> Option<String> {
        self.until(|told| match told {
            Observation::PartSeen { part, trouble } if *part == of => Some(trouble.clone()),
            _ => None,
        })
        .await
    }
}

/// Lets the second reading that follows the first pass, which would show a change even if no announcement were heard.
/// There is nothing to wait for; on a machine so slow that this is too short, a test only sees less.
async fn settled() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

// ---- link

fn address_change_is_reported() {
    let line = Line::lay("address");
    line.at_home(|line| async move {
        let (report, mut told) = ear();
        let _facts = link::spawn(Some("wan".into()), report);
        let before = Link {
            present: true,
            admin_up: true,
            carrier: true,
            addresses: vec![ip("192.0.2.2")],
            gateway: Some(ip("192.0.2.1")),
            default_route: true,
            speed: None,
            half_duplex: false,
        };
        assert_eq!(told.next().await, Observation::LinkSeen(before.clone()), "the state at the start");
        settled().await;
        line.home.run("ip address delete 192.0.2.2/24 dev wan");
        // The kernel does not announce that the route went with it.
        let bare = Link { addresses: vec![], gateway: None, default_route: false, ..before.clone() };
        assert_eq!(told.next().await, Observation::LinkSeen(bare));
        line.home.run("ip address add 192.0.2.77/24 dev wan");
        line.home.run("ip route add default via 192.0.2.1");
        let after = Link { addresses: vec![ip("192.0.2.77")], ..before };
        told.link(|link| *link == after).await;
    });
}

fn carrier_loss_and_return_are_reported() {
    let line = Line::lay("carrier");
    line.at_home(|line| async move {
        let (report, mut told) = ear();
        let facts = link::spawn(Some("wan".into()), report);
        told.link(|link| link.carrier).await;
        settled().await;
        for _ in 0..3 {
            line.isp.run("ip link set customer down");
            // The very next thing told: nothing is waited for before it.
            match told.next().await {
                Observation::LinkSeen(link) => {
                    assert!(link.present && link.admin_up && !link.carrier, "{link:?}")
                }
                other => panic!("{other:?}"),
            }
            assert!(!facts.borrow().link.carrier, "the others know it as soon");
            line.isp.run("ip link set customer up");
            told.link(|link| link.carrier && link.default_route).await;
        }
    });
}

fn recreated_device_is_reported() {
    let line = Line::lay("anew");
    line.at_home(|line| async move {
        let (report, mut told) = ear();
        let facts = link::spawn(Some("wan".into()), report);
        told.link(|link| link.default_route).await;
        let old = facts.borrow().index;
        // Down first, so that its end is announced by nothing else.
        line.home.run("ip link set wan down");
        told.link(|link| link.present && !link.admin_up).await;
        settled().await;
        line.home.run("ip link delete wan");
        told.link(|link| *link == Link::default()).await;
        assert_eq!(facts.borrow().index, 0);
        line.connect();
        // Its absence is the line's state, not a fault of the configuration: nothing is told but links.
        loop {
            match told.next().await {
                Observation::LinkSeen(link) if link.default_route && link.carrier => break,
                Observation::LinkSeen(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(facts.borrow().index != old && facts.borrow().index != 0);
    });
}

fn unknown_configured_device_is_reported() {
    let line = Line::lay("unknown");
    line.at_home(|line| async move {
        let (report, mut told) = ear();
        let _facts = link::spawn(Some("eth9".into()), report);
        assert_eq!(told.next().await, Observation::LinkSeen(Link::default()));
        let words = told.trouble(Part::Link).await.expect("trouble");
        settled().await;
        assert!(words.contains("\"eth9\" does not exist; there are: wan; set line.device"), "{words}");
        cable((&line.home, "eth9"), (&line.isp, "other"));
        told.link(|link| link.present).await;
        assert_eq!(told.trouble(Part::Link).await, None);
    });
}

fn lost_notifications_cause_a_new_read() {
    let line = Line::lay("overrun");
    // Far more than a socket's buffer holds (212 992 bytes, each takes more than 500), of no interest each.
    let batch = tempfile::NamedTempFile::new().unwrap();
    let noise = "address add 203.0.113.7/32 dev lo\naddress delete 203.0.113.7/32 dev lo\n".repeat(1_000);
    std::fs::write(batch.path(), noise + "address add 192.0.2.99/24 dev wan\n").unwrap();
    line.at_home(|line| async move {
        let (report, mut told) = ear();
        let _facts = link::spawn(Some("wan".into()), report);
        told.link(|link| link.default_route).await;
        settled().await;
        // This holds up the runtime, so that nobody reads meanwhile and the last announcement is dropped.
        line.home.run(&format!("ip -batch {}", batch.path().display()));
        told.link(|link| link.addresses.contains(&ip("192.0.2.99"))).await;
    });
}

fn ipv6_only() {
    let line = Line::lay("six");
    line.home.run("ip address flush dev wan");
    line.home.set("ipv6/conf/wan/disable_ipv6", "0");
    line.isp.set("ipv6/conf/customer/disable_ipv6", "0");
    line.isp.run("ip address add fe80::1/64 dev customer nodad");
    line.isp.run("ip address add 2001:db8::66/64 dev customer nodad");
    line.at_home(|line| async move {
        let (report, mut told) = ear();
        let _facts = link::spawn(Some("wan".into()), report);
        // Somebody else's address already: duplicate address detection fails, and it must never count.
        line.home.run("ip address add 2001:db8::66/64 dev wan");
        let failed = async {
            while !line.home.run("ip -6 address show dev wan").contains("dadfailed") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, failed).await.expect("duplicate address detection");
        line.home.run("ip address add 2001:db8::2/64 dev wan nodad");
        line.home.run("ip -6 route add default via fe80::1 dev wan");
        let link = told
            .until(|told| match told {
                Observation::LinkSeen(link) => {
                    assert!(!link.addresses.contains(&ip("2001:db8::66")), "{link:?}");
                    link.default_route.then(|| link.clone())
                }
                _ => None,
            })
            .await;
        // The link-local address is not of global scope.
        assert_eq!(link.addresses, [ip("2001:db8::2")]);
        assert_eq!(link.gateway, Some(ip("fe80::1")));
    });
}

fn point_to_point_by_default_route() {
    let line = Line::lay("ptp");
    line.home.run("ip route delete default");
    line.at_home(|line| async move {
        let (report, mut told) = ear();
        let facts = link::spawn(None, report);
        assert_eq!(told.next().await, Observation::LinkSeen(Link::default()));
        let words = told.trouble(Part::Link).await.expect("trouble");
        settled().await;
        assert!(words.contains("no default route"), "{words}");
        line.home.run("ip route add default dev wan metric 10");
        let link = told.link(|link| link.default_route).await;
        assert_eq!((link.gateway, &*facts.borrow().name), (None, "wan"));
        assert_eq!(told.trouble(Part::Link).await, None);
        // A dearer way takes over: the line is still the one that went.
        cable((&line.home, "lte"), (&line.isp, "mast"));
        line.home.run("ip address add 203.0.113.2/24 dev lte");
        line.home.run("ip route add default via 203.0.113.1 dev lte metric 20");
        line.home.run("ip route delete default dev wan");
        told.link(|link| !link.default_route).await;
        assert_eq!(facts.borrow().name, "wan");
    });
}

// ---- echo

/// Echo and link sensors on `wan`, and the next probe number.
struct Probing {
    asker: mpsc::Sender<(ProbeId, TargetId)>,
    told: Told,
    last: u64,
}

impl Probing {
    /// Begins, and waits until the line is seen to be as `ready` wants it.
    async fn begin(device: &str, targets: &[&str], ready: impl FnMut(&Link) -> bool) -> Probing {
        let (report, mut told) = ear();
        let facts = link::spawn(Some(device.into()), report.clone());
        let targets = targets.iter().map(|host| Target { host: (*host).into(), role: Role::World }).collect();
        let asker = echo::spawn(targets, facts, report);
        told.link(ready).await;
        Probing { asker, told, last: 0 }
    }

    async fn ask(&mut self, target: TargetId) -> ProbeId {
        self.last += 1;
        self.asker.send((ProbeId(self.last), target)).await.unwrap();
        ProbeId(self.last)
    }

    /// What became of the next request that comes to its end.
    async fn end(&mut self) -> (ProbeId, End) {
        self.told.until(end_of).await
    }

    /// Asks, and what became of it.
    async fn ask_and_end(&mut self, target: TargetId) -> End {
        let asked = self.ask(target).await;
        let (probe, end) = self.end().await;
        assert_eq!(probe, asked);
        end
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Answered(u32),
    Lost,
    NotSent(Obstacle),
}

fn end_of(told: &Observation) -> Option<(ProbeId, End)> {
    match *told {
        Observation::EchoAnswered { probe, rtt_us, .. } => Some((probe, End::Answered(rtt_us))),
        Observation::EchoLost { probe, .. } => Some((probe, End::Lost)),
        Observation::EchoNotSent { probe, obstacle, .. } => Some((probe, End::NotSent(obstacle))),
        _ => None,
    }
}

fn near_and_far_targets_are_answered() {
    let line = Line::lay("near");
    // Seen by this world only.
    let hosts = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(hosts.path(), format!("{FAR} far.test\n")).unwrap();
    world::run(&format!("mount --bind {} /etc/hosts", hosts.path().display())).unwrap();
    line.at_home(|line| async move {
        let targets = [FAR, "far.test", "nowhere.test"];
        let mut probing = Probing::begin("wan", &targets, |link| link.default_route).await;
        for target in [TargetId::GATEWAY, TargetId(0)] {
            let end = probing.ask_and_end(target).await;
            assert!(matches!(end, End::Answered(_)), "{target:?}: {end:?}");
        }
        // The name is resolved beside; until then it has no address.
        let resolved = async {
            loop {
                match probing.ask_and_end(TargetId(1)).await {
                    End::Answered(_) => break,
                    End::NotSent(Obstacle::NoAddress) => tokio::time::sleep(Duration::from_millis(10)).await,
                    other => panic!("{other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, resolved).await.expect("far.test resolved");
        assert_eq!(probing.ask_and_end(TargetId(2)).await, End::NotSent(Obstacle::NoAddress));
        assert_eq!(probing.ask_and_end(TargetId(99)).await, End::NotSent(Obstacle::NoAddress));
        line.isp.run("ip link set customer down");
        probing.told.link(|link| !link.carrier).await;
        assert_eq!(probing.ask_and_end(TargetId(0)).await, End::NotSent(Obstacle::NoWay));
        line.isp.run("ip link set customer up");
        probing.told.link(|link| link.carrier).await;
        assert!(matches!(probing.ask_and_end(TargetId(0)).await, End::Answered(_)));
    });
}

fn answered_over_ipv6(kind: &str, groups: Option<&str>) {
    let line = Line::lay(&format!("six-{kind}"));
    groups.into_iter().for_each(|groups| line.home.set("ipv4/ping_group_range", groups));
    line.home.set("ipv6/conf/wan/disable_ipv6", "0");
    line.isp.set("ipv6/conf/customer/disable_ipv6", "0");
    line.isp.set("ipv6/conf/lo/disable_ipv6", "0");
    line.home.run("ip address flush dev wan scope global");
    line.isp.run("ip address add fe80::1/64 dev customer nodad");
    line.isp.run("ip address add 2001:db8::1/64 dev customer nodad");
    line.isp.run("ip address add 2001:db8:ffff::1/128 dev lo nodad");
    line.home.run("ip address add 2001:db8::2/64 dev wan nodad");
    line.home.run("ip -6 route add default via fe80::1 dev wan");
    line.at_home(|line| async move {
        // Our own link-local address is still tentative for a second; the gateway's is not seen before it is not.
        let settled = async {
            while line.home.run("ip -6 address show dev wan").contains("tentative") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("duplicate address detection");
        let mut probing = Probing::begin("wan", &["2001:db8:ffff::1", FAR], |link| link.default_route).await;
        for target in [TargetId(0), TargetId::GATEWAY] {
            let end = probing.ask_and_end(target).await;
            assert!(matches!(end, End::Answered(_)), "{target:?}: {end:?}");
        }
        // The line has no IPv4.
        assert_eq!(probing.ask_and_end(TargetId(1)).await, End::NotSent(Obstacle::NoWay));
    });
}

/// An echo request as it came to the operator's end: the IPv4 packet.
struct Asked(Vec<u8>);

/// A target that the test plays by hand, in place of the kernel.
struct Played {
    socket: rustix::fd::OwnedFd,
}

impl Played {
    fn open() -> Played {
        let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).unwrap();
        bind(&socket, &SocketAddrV4::new(FAR.parse::<Ipv4Addr>().unwrap(), 0)).unwrap();
        Played { socket }
    }

    fn take(&self) -> Asked {
        let mut room = vec![0; 2048];
        loop {
            let (length, _, _) = recvfrom(&self.socket, &mut room[..], RecvFlags::empty()).unwrap();
            if room[20] == 8 {
                return Asked(room[..length].to_vec());
            }
        }
    }

    fn send(&self, asked: &Asked, icmp: Vec<u8>) {
        let source: [u8; 4] = asked.0[12..16].try_into().unwrap();
        self.send_to(source.into(), icmp);
    }

    fn send_to(&self, to: Ipv4Addr, mut icmp: Vec<u8>) {
        let sum = icmp
            .chunks(2)
            .map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)))
            .sum::<u32>();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        sendto(&self.socket, &icmp, SendFlags::empty(), &SocketAddrV4::new(to, 0)).unwrap();
    }

    fn answer(&self, asked: &Asked) {
        let mut icmp = asked.0[20..].to_vec();
        icmp[..4].fill(0);
        self.send(asked, icmp);
    }

    /// "Administratively prohibited", with as much of the request as RFC 792 wants.
    fn refuse(&self, asked: &Asked) {
        let mut icmp = vec![3, 13, 0, 0, 0, 0, 0, 0];
        icmp.extend_from_slice(&asked.0[..28]);
        self.send(asked, icmp);
    }
}

/// `ping_group_range` for the group that the tests run in. A new namespace allows datagram sockets to no group at all,
/// so that raw ones are used.
const OURS: Option<&str> = Some("0 0");

fn late_reordered_and_refused_replies(kind: &str, groups: Option<&str>) {
    const LATE: Duration = Duration::from_millis(1_500);
    let line = Line::lay(&format!("late-{kind}"));
    groups.into_iter().for_each(|groups| line.home.set("ipv4/ping_group_range", groups));
    line.isp.set("ipv4/icmp_echo_ignore_all", "1");
    let (opened, ready) = std::sync::mpsc::channel();
    let (took, mut taken) = mpsc::channel(1);
    let target = line.isp.thread(move || {
        let target = Played::open();
        opened.send(()).unwrap();
        let asked = [(); 3].map(|()| {
            let asked = target.take();
            took.blocking_send(()).unwrap();
            asked
        });
        target.answer(&asked[2]);
        target.answer(&asked[1]);
        std::thread::sleep(LATE);
        target.answer(&asked[0]);
        // Once more: a duplicate is no second answer.
        target.answer(&asked[0]);
        let fourth = target.take();
        target.refuse(&fourth);
        (asked, fourth)
    });
    ready.recv().unwrap();
    line.at_home(|_line| async move {
        let mut probing = Probing::begin("wan", &[FAR], |link| link.default_route).await;
        for _ in 0..3 {
            probing.ask(TargetId(0)).await;
            tokio::time::timeout(PATIENCE, taken.recv()).await.expect("the request arrives").unwrap();
        }
        let mut ends = Vec::new();
        for _ in 0..3 {
            ends.push(probing.end().await);
        }
        let order: Vec<u64> = ends.iter().map(|(probe, _)| probe.0).collect();
        assert_eq!(order, [3, 2, 1], "{ends:?}");
        match ends[2].1 {
            End::Answered(rtt_us) => assert!(u128::from(rtt_us) >= LATE.as_micros(), "{rtt_us}"),
            other => panic!("late and yet an answer: {other:?}"),
        }
        assert!(ends[..2].iter().all(|(_, end)| matches!(end, End::Answered(_))), "{ends:?}");
        // An ICMP error from the target quotes our request, and is no answer to it.
        assert_eq!(probing.ask_and_end(TargetId(0)).await, End::Lost);
    });
    let (asked, fourth) = target.join().unwrap();
    for asked in asked.iter().chain([&fourth]) {
        assert_eq!(asked.0.len(), 60, "the size that the documentation tells");
    }
}

fn lost_replies_and_open_probe_limit() {
    let line = Line::lay("lost");
    line.isp.run("ip route add blackhole 203.0.113.0/24");
    line.at_home(|_line| async move {
        let mut probing = Probing::begin("wan", &["203.0.113.9", FAR], |link| link.default_route).await;
        let clock = Clock::start(None);
        let began = clock.now();
        let many = echo::OUTSTANDING as u64 + 10;
        let asker = probing.asker.clone();
        let asking = tokio::spawn(async move {
            for probe in 1..=many {
                asker.send((ProbeId(probe), TargetId(0))).await.unwrap();
            }
        });
        let mut ends = BTreeMap::new();
        while ends.len() < many as usize {
            let (probe, end) = probing.end().await;
            if end == End::Lost {
                let waited = clock.now().since(began);
                assert!(
                    waited + Span::millis(1) >= Span(echo::LIMIT.as_millis() as u64),
                    "lost after {waited}"
                );
            }
            assert_eq!(ends.insert(probe, end), None, "{probe:?} told twice");
        }
        asking.await.unwrap();
        let kinds: BTreeSet<String> = ends.values().map(|end| format!("{end:?}")).collect();
        assert_eq!(kinds, ["Lost", "NotSent(Busy)"].map(String::from).into());
        probing.last = many;
        assert!(matches!(probing.ask_and_end(TargetId(1)).await, End::Answered(_)), "room again");
    });
}

/// Echo requests that came into a namespace, by the kernel's own count.
fn echoes_into(net: &Net) -> u64 {
    let snmp = net.run("cat /proc/net/snmp");
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Icmp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|name| name == "InEchos").unwrap();
    values.split(' ').nth(place).unwrap().parse().unwrap()
}

fn never_sent_over_another_path() {
    let line = Line::lay("path");
    let mast = Arc::new(Net::new("path-mast"));
    cable((&line.home, "lte"), (&mast, "tower"));
    mast.run(&format!("ip address add {FAR}/32 dev lo"));
    mast.run("ip address add 203.0.113.1/24 dev tower");
    line.home.run("ip address add 203.0.113.2/24 dev lte");
    line.home.run("ip route add default via 203.0.113.1 metric 200");
    // Bound to a device without a route, the kernel takes any target for a neighbour; it must not find it there.
    line.isp.set("ipv4/conf/all/arp_ignore", "1");
    line.at_home(move |line| async move {
        let mut probing = Probing::begin("wan", &[FAR], |link| link.default_route).await;
        assert!(matches!(probing.ask_and_end(TargetId(0)).await, End::Answered(_)));
        line.home.run("ip route delete default via 192.0.2.1");
        probing.told.link(|link| !link.default_route).await;
        assert_eq!(probing.ask_and_end(TargetId(0)).await, End::Lost);
        assert_eq!(probing.ask_and_end(TargetId::GATEWAY).await, End::NotSent(Obstacle::NoAddress));
        line.home.run("ip address flush dev wan");
        probing.told.link(|link| link.addresses.is_empty()).await;
        assert_eq!(probing.ask_and_end(TargetId(0)).await, End::NotSent(Obstacle::NoWay));
        line.home.run("ip link set wan down");
        probing.told.link(|link| !link.admin_up).await;
        assert_eq!(probing.ask_and_end(TargetId(0)).await, End::NotSent(Obstacle::NoWay));
        assert_eq!(echoes_into(&mast), 0, "the dead line looked alive over the other one");
        // And the count would have shown it.
        let mut other = Probing::begin("lte", &[FAR], |link| link.default_route).await;
        assert!(matches!(other.ask_and_end(TargetId(0)).await, End::Answered(_)));
        assert_eq!(echoes_into(&mast), 1);
    });
}

fn echo_continues_after_a_recreated_device() {
    let line = Line::lay("again");
    line.at_home(|line| async move {
        let mut probing = Probing::begin("wan", &[FAR], |link| link.default_route).await;
        assert!(matches!(probing.ask_and_end(TargetId(0)).await, End::Answered(_)));
        // The socket outlives the device's being down, and must not keep us busy with errors meanwhile.
        line.home.run("ip link set wan down");
        probing.told.link(|link| !link.admin_up).await;
        settled().await;
        let (before, _) = spent();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let busy = spent().0 - before;
        assert!(busy < Duration::from_millis(300), "{busy:?} of CPU in a second of nothing");
        line.home.run("ip link delete wan");
        probing.told.link(|link| !link.present).await;
        assert_eq!(probing.ask_and_end(TargetId(0)).await, End::NotSent(Obstacle::NoWay));
        line.connect();
        probing.told.link(|link| link.default_route && link.carrier).await;
        assert!(matches!(probing.ask_and_end(TargetId(0)).await, End::Answered(_)));
    });
}

fn echo_without_raw_sockets() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let line = Line::lay("rights");
    line.at_home(|line| async move {
        // Of this thread only.
        let mut ours = capabilities(None).unwrap();
        ours.effective.remove(CapabilitySet::NET_RAW);
        ours.permitted.remove(CapabilitySet::NET_RAW);
        ours.inheritable.remove(CapabilitySet::NET_RAW);
        set_capabilities(None, ours).unwrap();

        let mut probing = Probing::begin("wan", &[FAR], |link| link.default_route).await;
        let mut told = Vec::new();
        for _ in 0..3 {
            let asked = probing.ask(TargetId(0)).await;
            probing
                .told
                .until(|observation| {
                    told.extend(
                        matches!(observation, Observation::PartSeen { .. }).then(|| observation.clone()),
                    );
                    (end_of(observation)? == (asked, End::NotSent(Obstacle::NotAllowed))).then_some(())
                })
                .await;
        }
        match &told[..] {
            [Observation::PartSeen { part: Part::Echo, trouble: Some(words) }] => {
                assert!(words.contains("CAP_NET_RAW") && words.contains("ping_group_range"), "{words}");
            }
            other => panic!("told once, with words: {other:?}"),
        }
        line.home.set("ipv4/ping_group_range", "0 0");
        assert!(matches!(probing.ask_and_end(TargetId(0)).await, End::Answered(_)), "over a datagram socket");
        assert_eq!(probing.told.trouble(Part::Echo).await, None);
        // Several at a time, as over a raw one.
        let asked = [
            probing.ask(TargetId(0)).await,
            probing.ask(TargetId::GATEWAY).await,
            probing.ask(TargetId(0)).await,
        ];
        let mut ended = Vec::new();
        for _ in asked {
            let (probe, end) = probing.end().await;
            assert!(matches!(end, End::Answered(_)), "{end:?}");
            ended.push(probe);
        }
        ended.sort();
        assert_eq!(ended, asked);
    });
}

// ---- counters

/// Received and sent bytes and packets of `wan`, as `ip` tells them.
fn kernel_totals(net: &Net) -> [u64; 4] {
    let json: serde_json::Value =
        serde_json::from_str(&net.run("ip -json -statistics link show wan")).unwrap();
    let stats = &json[0]["stats64"];
    [("rx", "bytes"), ("tx", "bytes"), ("rx", "packets"), ("tx", "packets")]
        .map(|(way, what)| stats[way][what].as_u64().unwrap())
}

fn counted(told: &Observation) -> Option<Counted> {
    match told {
        Observation::Counted(counted) => Some(*counted),
        _ => None,
    }
}

fn no_doubt() -> tokio::sync::watch::Receiver<bool> {
    tokio::sync::watch::channel(false).1
}

fn counters_match_the_kernel() {
    let line = Line::lay("count");
    line.at_home(|line| async move {
        let mut probing = Probing::begin("wan", &[FAR], |link| link.default_route).await;
        let (link_report, _link_told) = ear();
        let facts = link::spawn(Some("wan".into()), link_report);
        let (report, mut told) = ear();
        let before = kernel_totals(&line.home);
        counters::spawn(facts, no_doubt(), report, Clock::start(None));
        // Two readings have been taken, and the line is quiet: what comes now is ours.
        let first = told.until(counted).await;
        assert!(!first.reset && first.over >= Span::millis(500), "{first:?}");
        const ECHOES: u64 = 20;
        for _ in 0..ECHOES {
            assert!(matches!(probing.ask_and_end(TargetId(0)).await, End::Answered(_)));
        }
        let mut sum = [first.rx_bytes, first.tx_bytes, first.rx_unicast, first.tx_packets];
        let agree = async {
            loop {
                let after = kernel_totals(&line.home);
                let expected: Vec<u64> =
                    after.iter().zip(before).map(|(after, before)| after - before).collect();
                // At least the frames of our echoes: 60 bytes and an Ethernet header each.
                if sum[1] >= ECHOES * 74 && sum[..] == expected[..] {
                    break;
                }
                let more = told.until(counted).await;
                assert!(!more.reset);
                for (sum, more) in
                    sum.iter_mut().zip([more.rx_bytes, more.tx_bytes, more.rx_unicast, more.tx_packets])
                {
                    *sum += more;
                }
            }
        };
        tokio::time::timeout(PATIENCE, agree).await.expect("our sums and the kernel's totals agree");
    });
}

fn recreated_device_counts_as_no_traffic() {
    let line = Line::lay("phantom");
    line.at_home(|line| async move {
        let mut probing = Probing::begin("wan", &[FAR], |link| link.default_route).await;
        for _ in 0..20 {
            assert!(matches!(probing.ask_and_end(TargetId(0)).await, End::Answered(_)));
        }
        let (link_report, mut link_told) = ear();
        let facts = link::spawn(Some("wan".into()), link_report);
        let (report, mut told) = ear();
        counters::spawn(facts, no_doubt(), report, Clock::start(None));
        assert!(!told.until(counted).await.reset);
        line.home.run("ip link delete wan");
        link_told.link(|link| !link.present).await;
        // What the device had counted up to its end may still be told; then nothing until it is back.
        line.connect();
        let reset = told.until(|told| counted(told).filter(|counted| counted.reset)).await;
        assert_eq!(reset, Counted { over: reset.over, reset: true, ..Counted::default() });
        let after = told.until(counted).await;
        assert!(!after.reset && after.rx_bytes < 20 * 74, "{after:?}");
    });
}

/// Sends datagrams at twenty a second until it is dropped.
struct Sending(Arc<std::sync::atomic::AtomicBool>);

impl Sending {
    fn start(net: &Net, from: &str, to: &str) -> Sending {
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (ended, from) = (over.clone(), format!("{from}:0"));
        let to: std::net::SocketAddr = format!("{to}:9").parse().unwrap();
        net.thread(move || {
            let socket = std::net::UdpSocket::bind(from).unwrap();
            socket.set_broadcast(true).unwrap();
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                // Nobody listens at port 9, which is reported back to this socket.
                let _ = socket.send_to(b"x", to);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Sending(over)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// On a shared segment there is always something to receive. Only what comes from beyond the operator's first router shows
/// that the line carries data.
fn only_packets_from_beyond_the_first_hop_prove_the_line() {
    let line = Line::lay("proof");
    line.home.run("ip address add 203.0.113.1/32 dev lo");
    line.isp.run("ip route add 203.0.113.1 via 192.0.2.2");
    line.at_home(|line| async move {
        let (link_report, mut link_told) = ear();
        let facts = link::spawn(Some("wan".into()), link_report);
        link_told.link(|link| link.default_route).await;
        let (doubt, doubted) = tokio::sync::watch::channel(false);
        let (report, mut told) = ear();
        counters::spawn(facts, doubted, report, Clock::start(None));
        assert_eq!(told.until(counted).await.rx_proof, None, "nothing is counted without a doubt");
        doubt.send_replace(true);
        // The second complete reading after a change shows only what came after it.
        let settled = async |told: &mut Told| {
            told.until(|told| counted(told).filter(|c| c.rx_proof.is_some())).await;
            told.until(counted).await;
            let counted = told.until(counted).await;
            (counted.rx_proof.expect("it is counted"), counted.rx_bytes)
        };
        assert_eq!(settled(&mut told).await.0, 0, "a quiet line");
        for (what, from, to) in [
            ("broadcasts of the segment", "192.0.2.1", "192.0.2.255"),
            ("broadcasts of a foreign sender", FAR, "192.0.2.255"),
            ("the first hop itself", "192.0.2.1", "192.0.2.2"),
        ] {
            let _sending = Sending::start(&line.isp, from, to);
            let (proof, bytes) = settled(&mut told).await;
            assert!(proof == 0 && bytes >= 10 * 43, "{what}: {proof} in {bytes} bytes");
        }
        line.isp.run(&format!("ping -q -c 20 -i 0.05 -I {FAR} 192.0.2.2"));
        assert_eq!(told.until(counted).await.rx_proof, Some(0), "echoes");
        for (what, to) in [("to this gateway", "192.0.2.2"), ("through this gateway", "203.0.113.1")] {
            let _sending = Sending::start(&line.isp, FAR, to);
            let (proof, _) = settled(&mut told).await;
            assert!((10..=25).contains(&proof), "{what}: {proof}");
        }
    });
}

/// CPU time and voluntary context switches of the calling thread.
fn spent() -> (Duration, u64) {
    let ran = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let ran = Duration::from_nanos(ran.split(' ').next().unwrap().parse().unwrap());
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let switches = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    (ran, switches.trim().parse().unwrap())
}
