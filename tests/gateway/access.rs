//! The checks of the access against real gateways, DHCP servers and a PPPoE concentrator, in private networks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::trial::Test;
use crate::common::world::{Net, cable};
use crate::common::{agent_binary, world};
use linekeeper::sense::access::{Gate, check_dhcp, check_neighbour, check_pppoe};
use linekeeper::sense::throughput::WanDevice;
use linekeeper_contract::units::Span;
use linekeeper_judge::check::{Reply, Said};
use linekeeper_lab::dhcp::server;
use linekeeper_lab::{clock, pppoe as concentrator};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long anything may take on any machine before it counts as never.
const PATIENCE: Duration = Duration::from_secs(60);

/// For an answer that has to come.
const LONG: Span = Span::seconds(30);

/// For one that must not.
const SHORT: Span = Span::millis(2_400);

/// For all questions that a check may ask, with seconds to spare behind the last.
const ALL: Span = Span::seconds(7);

pub fn tests() -> Vec<Test> {
    vec![
        Test::private("neighbour: the gateway answers", &[], the_gateway_answers),
        Test::private("neighbour: the gateway is dead", &["nft"], the_gateway_is_dead),
        Test::private("neighbour: the gateway drops ICMP", &["nft", "ping"], the_gateway_drops_icmp),
        Test::private(
            "neighbour: replies of other machines do not count",
            &[],
            replies_of_other_machines_do_not_count,
        ),
        Test::private("neighbour: IPv6", &[], the_gateway_answers_over_ipv6),
        Test::private("neighbour: while the customer loads the line", &["ping"], on_a_busy_line),
        Test::private("all: layers that cannot be checked", &[], unavailable_layers_are_not_checked),
        Test::private("all: zero time limit", &[], zero_time_limit),
        Test::private("all: delayed until after the limit", &[], delayed_beyond_the_limit),
        Test::private("all: without permission for raw sockets", &[], without_raw_sockets),
        Test::private("dhcp: dnsmasq offers and no lease is taken", &["dnsmasq"], dnsmasq_offers),
        Test::private("dhcp: the client's own lease is offered", &["dnsmasq", "udhcpc"], || {
            the_clients_own_lease("own", "")
        }),
        Test::private("dhcp: a client with an identifier", &["dnsmasq", "udhcpc"], || {
            the_clients_own_lease("given", "-x 0x3d:00beef00")
        }),
        Test::private("dhcp: a client without an identifier", &["dnsmasq", "udhcpc"], || {
            the_clients_own_lease("none", "-C")
        }),
        Test::private("dhcp: the server is dead", &["nft"], the_dhcp_server_is_dead),
        Test::private("dhcp: the server refuses", &[], the_dhcp_server_refuses),
        Test::private("dhcp: two servers", &["dnsmasq"], two_dhcp_servers),
        Test::private("pppoe: the concentrator offers", &[], the_concentrator_offers),
        Test::private("pppoe: the concentrator is silent", &[], the_concentrator_is_silent),
        Test::private("pppoe: the concentrator refuses", &[], the_concentrator_refuses),
    ]
}

/// A customer's gateway, and the operator's end of its line.
struct Line {
    home: Net,
    isp: Net,
}

impl Line {
    /// `wan`, 192.0.2.2, of the operator's `customer`, 192.0.2.1. The tag has to be unique among the trials.
    fn lay(tag: &str) -> Line {
        let line = Line::bare(tag);
        line.home.run("ip address add 192.0.2.2/24 dev wan");
        line
    }

    /// The same without an address on `wan`.
    fn bare(tag: &str) -> Line {
        let line = Line { home: Net::new(&format!("{tag}-home")), isp: Net::new(&format!("{tag}-isp")) };
        // What IPv6 says on its own is noise to most tests.
        line.home.set("ipv6/conf/default/disable_ipv6", "1");
        line.isp.set("ipv6/conf/default/disable_ipv6", "1");
        cable((&line.home, "wan"), (&line.isp, "customer"));
        line.isp.run("ip address add 192.0.2.1/24 dev customer");
        line
    }

    fn neighbour(&self, gateway: &str, limit: Span) -> Reply {
        let gateway: IpAddr = gateway.parse().unwrap();
        only(
            self.home
                .block_on(move || async move { check_neighbour(&device("wan"), Some(gateway), limit).await }),
        )
    }

    fn dhcp(&self, limit: Span) -> Vec<Reply> {
        self.home.block_on(move || async move { check_dhcp(&device("wan"), limit, &Gate::default()).await })
    }

    fn pppoe(&self, limit: Span) -> Vec<Reply> {
        self.home.block_on(move || async move { check_pppoe(&device("wan"), limit, &Gate::default()).await })
    }

    /// The operator's end counts what comes in that fits these words of nft.
    fn count(&self, what: &str) {
        self.isp.run("nft add table netdev watch");
        self.isp
            .run("nft add chain netdev watch seen { type filter hook ingress device customer priority 0 ; }");
        self.isp.run(&format!("nft add rule netdev watch seen {what} counter"));
    }

    fn counted(&self) -> u64 {
        let listed = self.isp.run("nft list table netdev watch");
        let mut words = listed.split_whitespace().skip_while(|word| *word != "packets");
        words.nth(1).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no count in {listed}"))
    }
}

fn only(mut replies: Vec<Reply>) -> Reply {
    assert_eq!(replies.len(), 1, "{replies:?}");
    replies.remove(0)
}

/// Of the network namespace that this thread is in.
fn device(name: &str) -> WanDevice {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
    WanDevice { name: name.into(), index: netdevice::name_to_index(&any, name).unwrap(), interface: None }
}

fn mac(net: &Net, device: &str) -> String {
    let shown = net.run(&format!("ip -o link show dev {device}"));
    shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap().to_owned()
}

/// A process with its output in a file; ended when dropped.
struct Process {
    child: Child,
    output: PathBuf,
    _directory: TempDir,
}

impl Process {
    fn start(net: &Net, command: &str) -> Process {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("output");
        let file = File::create(&output).unwrap();
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let spawn = move || {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
            command.spawn().unwrap()
        };
        let child = net.thread(spawn).join().unwrap();
        Process { child, output, _directory: directory }
    }

    /// This project's own program.
    fn lab(net: &Net, words: &str) -> Process {
        Process::start(net, &format!("{} lab {words}", agent_binary()))
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    fn says(&self, words: &str) {
        let came = clock::wait_until(PATIENCE, || self.said().contains(words));
        assert!(came, "never said {words:?} but {:?}", self.said());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// ---- neighbour

fn the_gateway_answers() {
    let line = Line::lay("answers");
    let reply = line.neighbour("192.0.2.1", LONG);
    assert_eq!((reply.whom.as_str(), reply.said, reply.independent), ("192.0.2.1", Said::Answered, false));
    assert_eq!(reply.detail, format!("is at {}", mac(&line.isp, "customer")));
    assert!(reply.took_us.is_some_and(|us| us > 0), "{reply:?}");
    // Without an address of ours too: then nobody has to know us.
    line.home.run("ip address flush dev wan");
    assert_eq!(line.neighbour("192.0.2.1", LONG).said, Said::Answered);
}

fn the_gateway_is_dead() {
    let line = Line::lay("dead");
    line.count("arp operation request arp daddr ip 192.0.2.1");
    // The link stays, nobody answers on it.
    line.isp.run("ip address flush dev customer");
    let reply = line.neighbour("192.0.2.1", ALL);
    assert_eq!((reply.said, reply.took_us), (Said::Silent, None), "{reply:?}");
    assert_eq!(reply.detail, "no answer within 7 s");
    assert_eq!(line.counted(), 3, "questions: one that is lost is no dead gateway");
}

fn the_gateway_drops_icmp() {
    let line = Line::lay("noicmp");
    for rule in [
        "add table inet deaf",
        "add chain inet deaf in { type filter hook input priority 0 ; }",
        "add rule inet deaf in meta l4proto icmp drop",
    ] {
        line.isp.run(&format!("nft {rule}"));
    }
    let ping = line.home.thread(|| world::run("ping -c 1 -W 1 192.0.2.1")).join().unwrap();
    assert!(ping.is_err(), "the filter does not filter");
    assert_eq!(line.neighbour("192.0.2.1", LONG).said, Said::Answered);
}

fn replies_of_other_machines_do_not_count() {
    let line = Line::lay("another");
    // Asked for an address that nobody has, while answers of somebody else come in.
    line.isp.run("ip address add 192.0.2.9/24 dev customer");
    let others = line.home.thread(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let (device, nine) = (device("wan"), "192.0.2.9".parse().ok());
            let mut answered = 0;
            for _ in 0..5 {
                answered +=
                    usize::from(only(check_neighbour(&device, nine, LONG).await).said == Said::Answered);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            answered
        })
    });
    assert_eq!(line.neighbour("192.0.2.77", SHORT).said, Said::Silent);
    assert_eq!(others.join().unwrap(), 5);
}

fn the_gateway_answers_over_ipv6() {
    let line = Line::bare("six");
    line.home.set("ipv6/conf/wan/disable_ipv6", "0");
    line.isp.set("ipv6/conf/customer/disable_ipv6", "0");
    line.isp.run("ip address add fe80::1/64 dev customer nodad");
    line.isp.run("ip address add 2001:db8::1/64 dev customer nodad");
    let tentative = || line.home.run("ip -6 address show dev wan").contains("tentative");
    assert!(clock::wait_until(PATIENCE, || !tentative()), "our own address is never ready");
    for gateway in ["fe80::1", "2001:db8::1"] {
        let reply = line.neighbour(gateway, LONG);
        assert_eq!((reply.whom.as_str(), reply.said), (gateway, Said::Answered), "{reply:?}");
        assert_eq!(reply.detail, format!("is at {}", mac(&line.isp, "customer")));
    }
    assert_eq!(line.neighbour("fe80::dead", SHORT).said, Said::Silent);
    line.home.set("ipv6/conf/wan/disable_ipv6", "1");
    let reply = line.neighbour("fe80::1", LONG);
    assert_eq!((reply.said, &*reply.detail), (Said::NotChecked, "wan has no IPv6 address to ask by"));
}

fn on_a_busy_line() {
    let line = Line::lay("busy");
    let _flood = Process::start(&line.isp, "ping -q -f -s 1400 192.0.2.2");
    let _server = Process::lab(&line.isp, "dhcp-server --device customer");
    for _ in 0..5 {
        assert_eq!(line.neighbour("192.0.2.1", LONG).said, Said::Answered);
    }
    let served = clock::wait_until(PATIENCE, || only(line.dhcp(SHORT)).said == Said::Answered);
    assert!(served, "no offer is heard in the noise");
}

// ---- what cannot be asked

/// The three checks, of this gateway; `wan` may also be a device that is not there any more.
fn all_three(line: &Line, gateway: Option<&'static str>, device_of: fn() -> WanDevice) -> [Reply; 3] {
    line.home.block_on(move || async move {
        let (device, gate) = (device_of(), Gate::default());
        let gateway = gateway.map(|text| text.parse().unwrap());
        [
            only(check_neighbour(&device, gateway, LONG).await),
            only(check_dhcp(&device, LONG, &gate).await),
            only(check_pppoe(&device, LONG, &Gate::default()).await),
        ]
    })
}

fn unavailable_layers_are_not_checked() {
    let line = Line::lay("cannot");
    for (gateway, why) in [
        (None, "no gateway address is known"),
        (Some("0.0.0.0"), "0.0.0.0 is no gateway's address"),
        (Some("fe80::1"), "wan has no IPv6 address to ask by"),
    ] {
        let asked = line.home.block_on(move || async move {
            check_neighbour(&device("wan"), gateway.map(|text| text.parse().unwrap()), LONG).await
        });
        let reply = only(asked);
        assert_eq!((reply.said, &*reply.detail), (Said::NotChecked, why));
    }
    let all = |device_of: fn() -> WanDevice, why: &str| {
        for reply in all_three(&line, Some("192.0.2.1"), device_of) {
            assert_eq!(
                (reply.said, &*reply.detail, reply.took_us),
                (Said::NotChecked, why, None),
                "{reply:?}"
            );
        }
    };
    all(|| WanDevice { name: String::new(), index: 0, interface: None }, "there is no WAN device");
    all(|| device("lo"), "lo is the loopback");
    line.home.run("ip tuntap add dev tun0 mode tun");
    line.home.run("ip link set tun0 up");
    all(|| device("tun0"), "tun0 is point-to-point: nobody there has a link-layer address");
    all(|| WanDevice { name: "old".into(), index: 999, interface: None }, "old is gone");
    line.isp.run("ip link set customer down");
    all(|| device("wan"), "wan has no carrier");
    line.home.run("ip link set wan down");
    all(|| device("wan"), "wan is down");
}

fn zero_time_limit() {
    let line = Line::lay("hurry");
    let replies = line.home.block_on(|| async {
        let (device, gateway) = (device("wan"), "192.0.2.1".parse().ok());
        [
            check_neighbour(&device, gateway, Span::ZERO).await,
            check_dhcp(&device, Span::ZERO, &Gate::default()).await,
            check_pppoe(&device, Span::ZERO, &Gate::default()).await,
        ]
        .map(only)
    });
    for reply in replies {
        assert_eq!((reply.said, &*reply.detail), (Said::NotChecked, "there was no time to ask"));
    }
}

/// The gateway is so busy that we get no time until long after the limit: our own delay is nobody's silence.
fn delayed_beyond_the_limit() {
    let line = Line::bare("heldup");
    let server = Process::lab(&line.isp, "pppoe-server --device customer --manner good");
    server.says("serving");
    let replies = line.home.block_on(move || async move {
        // Takes the only thread as soon as both questions are out, until both answers have come and the limit is over.
        tokio::spawn(async move {
            clock::wait_until(PATIENCE, || server.said().matches("PADI").count() == 2);
            std::thread::sleep(Duration::from_millis(1_200));
        });
        let (device, limit) = (device("wan"), Span::seconds(1));
        // Each hears the other's answer too; the second finds it before its own.
        let gates = [Gate::default(), Gate::default()];
        let (one, other) =
            tokio::join!(check_pppoe(&device, limit, &gates[0]), check_pppoe(&device, limit, &gates[1]));
        [only(one), only(other)]
    });
    for reply in replies {
        assert_eq!(reply.said, Said::Answered, "{reply:?}");
    }
}

fn without_raw_sockets() {
    let line = Line::lay("right");
    let replies = all_three(&line, Some("192.0.2.1"), || {
        // Of this thread only.
        let mut ours = capabilities(None).unwrap();
        ours.effective.remove(CapabilitySet::NET_RAW);
        ours.permitted.remove(CapabilitySet::NET_RAW);
        ours.inheritable.remove(CapabilitySet::NET_RAW);
        set_capabilities(None, ours).unwrap();
        device("wan")
    });
    for reply in replies {
        assert_eq!(reply.said, Said::NotChecked);
        assert!(reply.detail.contains("wan") && reply.detail.contains("CAP_NET_RAW"), "{reply:?}");
    }
}

// ---- dhcp

/// Debian's dnsmasq as the operator's DHCP server.
struct Dnsmasq {
    process: Process,
    leases: PathBuf,
    _directory: TempDir,
}

impl Dnsmasq {
    /// Serves `device` from `first` on, with `router`'s address for a router.
    fn start(net: &Net, device: &str, first: &str, router: &str) -> Dnsmasq {
        let directory = tempfile::tempdir().unwrap();
        let leases = directory.path().join("leases");
        let (file, pid) = (leases.display(), directory.path().join("pid"));
        let network = first.rsplit_once('.').unwrap().0;
        let process = Process::start(
            net,
            &format!(
                "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root --no-ping --log-dhcp \
                 --log-facility=- --interface={device} --bind-interfaces --dhcp-authoritative \
                 --dhcp-range={first},{network}.250,10m --dhcp-option=option:router,{router} \
                 --dhcp-leasefile={file} --pid-file={}",
                pid.display()
            ),
        );
        process.says("DHCP, IP range");
        Dnsmasq { process, leases, _directory: directory }
    }

    /// The kinds of the DHCP messages in its log, in order.
    fn log(&self) -> Vec<String> {
        let said = self.process.said();
        let words = said.split(|c: char| !c.is_ascii_uppercase());
        words.filter(|word| word.starts_with("DHCP") && word.len() > 4).map(str::to_owned).collect()
    }

    fn leases(&self) -> String {
        fs::read_to_string(&self.leases).unwrap_or_default()
    }
}

fn dnsmasq_offers() {
    let line = Line::bare("dnsmasq");
    let server = Dnsmasq::start(&line.isp, "customer", "192.0.2.100", "192.0.2.1");
    let replies = line.home.block_on(|| async {
        let (gate, device) = (Gate::default(), device("wan"));
        let mut replies = vec![only(check_dhcp(&device, LONG, &gate).await)];
        for _ in 0..20 {
            replies.push(only(check_dhcp(&device, LONG, &gate).await));
        }
        replies
    });
    let (first, later) = replies.split_first().unwrap();
    assert_eq!((first.whom.as_str(), first.said), ("192.0.2.1", Said::Answered), "{first:?}");
    let address = first.detail.strip_prefix("offers ").and_then(|rest| rest.split_once(' ')).unwrap();
    assert!(address.0.starts_with("192.0.2.") && address.1 == "for 10 min, router 192.0.2.1", "{first:?}");
    assert!(first.took_us.is_some_and(|us| us > 0));
    for reply in later {
        assert_eq!(reply.said, Said::NotChecked);
        assert!(reply.detail.starts_with("asked ") && reply.detail.contains("24 an hour"), "{reply:?}");
    }
    // The whole of what the server saw: one question, its answer, and nothing taken.
    assert_eq!(server.log(), ["DHCPDISCOVER", "DHCPOFFER"]);
    assert_eq!(server.leases(), "");
}

fn the_clients_own_lease(tag: &str, options: &str) {
    let line = Line::bare(tag);
    let server = Dnsmasq::start(&line.isp, "customer", "192.0.2.100", "192.0.2.1");
    let script = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    fs::write(
        &script,
        "#!/bin/sh\n[ \"$1\" != bound ] || exec ip address add \"$ip/24\" dev \"$interface\"\n",
    )
    .unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // A device name of its own: the trials share one /proc.
    let name = format!("wan-{tag}");
    line.home.run("ip link set wan down");
    line.home.run(&format!("ip link set wan name {name}"));
    line.home.run(&format!("ip link set {name} up"));
    let client =
        Process::start(&line.home, &format!("udhcpc -f -i {name} {options} -s {}", script.display()));
    let leased = |net: &Net| {
        let shown = net.run(&format!("ip -4 -o address show dev {name}"));
        let address = shown.split_whitespace().skip_while(|word| *word != "inet").nth(1)?;
        address.split('/').next()?.parse::<Ipv4Addr>().ok()
    };
    let mut address = None;
    clock::wait_until(PATIENCE, || {
        address = leased(&line.home);
        address.is_some()
    });
    let address = address.unwrap_or_else(|| panic!("no lease: {}", client.said()));
    let before = (server.log(), server.leases());
    assert!(before.1.contains(&address.to_string()), "{before:?}");

    let asked = name.clone();
    let reply = only(
        line.home.block_on(move || async move { check_dhcp(&device(&asked), LONG, &Gate::default()).await }),
    );
    assert_eq!(reply.said, Said::Answered);
    assert_eq!(reply.detail, format!("offers {address} for 10 min, router 192.0.2.1"), "the client's own");
    // The client heard nothing of it, and the server keeps what it kept.
    let mut expected = before.0;
    expected.extend(["DHCPDISCOVER".to_owned(), "DHCPOFFER".to_owned()]);
    assert_eq!(server.log(), expected);
    assert_eq!(server.leases(), before.1);
    assert_eq!(leased(&line.home), Some(address));
}

fn the_dhcp_server_is_dead() {
    let line = Line::bare("nodhcp");
    line.count("ip daddr 255.255.255.255 udp sport 68 udp dport 67");
    let replies = line.home.block_on(|| async {
        let (gate, device) = (Gate::default(), device("wan"));
        [check_dhcp(&device, ALL, &gate).await, check_dhcp(&device, ALL, &gate).await].map(only)
    });
    assert_eq!((replies[0].said, replies[0].took_us), (Said::Silent, None), "{replies:?}");
    assert_eq!(replies[0].detail, "no answer within 7 s");
    assert_eq!(replies[1].said, Said::NotChecked, "{replies:?}");
    assert_eq!(line.counted(), 2, "questions on the line: one, and one more when nobody answered");
}

fn the_dhcp_server_refuses() {
    let line = Line::bare("nak");
    let _server = Process::lab(&line.isp, "dhcp-server --device customer --manner refusing");
    let mut reply = None;
    // It does not say when it listens.
    clock::wait_until(PATIENCE, || {
        let said = only(line.dhcp(SHORT));
        let done = said.said != Said::Silent;
        reply = Some(said);
        done
    });
    let reply = reply.unwrap();
    assert_eq!((reply.whom.as_str(), reply.said), ("198.18.100.1", Said::Refused), "{reply:?}");
    assert_eq!(reply.detail, format!("refuses (DHCPNAK): {}", server::REFUSAL));
}

fn two_dhcp_servers() {
    let line = Line::bare("two");
    // The operator's end becomes a switch to two routers.
    let (first, second) = (Net::new("two-first"), Net::new("two-second"));
    cable((&line.isp, "one"), (&first, "eth"));
    cable((&line.isp, "other"), (&second, "eth"));
    line.isp.run("ip address flush dev customer");
    line.isp.run("ip link add switch type bridge");
    line.isp.run("ip link set switch up");
    for port in ["customer", "one", "other"] {
        line.isp.run(&format!("ip link set {port} master switch"));
    }
    first.run("ip address add 192.0.2.1/24 dev eth");
    second.run("ip address add 198.51.100.1/24 dev eth");
    let servers = [
        Dnsmasq::start(&first, "eth", "192.0.2.100", "192.0.2.1"),
        Dnsmasq::start(&second, "eth", "198.51.100.100", "198.51.100.1"),
    ];
    let mut replies = line.dhcp(LONG);
    replies.sort_by(|a, b| a.whom.cmp(&b.whom));
    let told: Vec<_> = replies.iter().map(|reply| (reply.whom.as_str(), reply.said)).collect();
    assert_eq!(told, [("192.0.2.1", Said::Answered), ("198.51.100.1", Said::Answered)], "{replies:?}");
    for server in servers {
        assert_eq!(server.log(), ["DHCPDISCOVER", "DHCPOFFER"]);
    }
}

// ---- pppoe

/// Starts a concentrator, asks, and gives what was told and all that the concentrator heard.
fn ask_the_concentrator(tag: &str, manner: &str, limit: Span) -> (Reply, Vec<String>) {
    let line = Line::bare(tag);
    let server = Process::lab(&line.isp, &format!("pppoe-server --device customer --manner {manner}"));
    server.says("serving");
    let reply = only(line.pppoe(limit));
    let heard = || server.said().lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert!(clock::wait_until(PATIENCE, || !heard().is_empty()), "it heard nothing");
    (reply, heard())
}

fn the_concentrator_offers() {
    let (reply, heard) = ask_the_concentrator("pado", "good", LONG);
    assert_eq!((reply.whom.as_str(), reply.said), (concentrator::NAME, Said::Answered), "{reply:?}");
    let service = format!("service {:?}", concentrator::SERVICE);
    assert_eq!(reply.detail, format!("offers a session, at 02:50:50:50:00:01, {service}"));
    assert!(reply.took_us.is_some_and(|us| us > 0));
    assert_eq!(heard, ["PADI"], "asked once, and no session requested");
}

fn the_concentrator_is_silent() {
    let (reply, heard) = ask_the_concentrator("mute", "silent", ALL);
    assert_eq!((reply.said, &*reply.detail), (Said::Silent, "no answer within 7 s"));
    assert_eq!(heard, ["PADI", "PADI"], "asked once more, and not again");
}

fn the_concentrator_refuses() {
    let (reply, heard) = ask_the_concentrator("refuse", "refusing", LONG);
    assert_eq!((reply.whom.as_str(), reply.said), (concentrator::NAME, Said::Refused), "{reply:?}");
    let words = concentrator::REFUSAL;
    assert_eq!(reply.detail, format!("02:50:50:50:00:01 refuses (AC-System-Error): {words}"));
    assert_eq!(heard, ["PADI"]);
}
