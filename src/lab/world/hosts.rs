//! The hosts, their addresses and the cables between them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The gateway's WAN device.
pub const WAN: &str = "wan0";
/// The gateway's backup uplink: it reaches only the platform.
pub const BACKUP: &str = "backup0";
/// The access router, the gateway's default gateway. Serves DHCP.
pub const ISP: Ipv4Addr = Ipv4Addr::new(198, 18, 100, 1);
/// The address that its DHCP server leases to the gateway.
pub const LEASE: Ipv4Addr = Ipv4Addr::new(198, 18, 100, 10);
/// A host of the operator, beyond the access router.
pub const ANCHOR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// An independent host.
pub const WORLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
/// Another independent host.
pub const WORLD2: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
/// The callback platform and its broker.
pub const PLATFORM: Ipv4Addr = Ipv4Addr::new(198, 18, 250, 10);
/// The customer's computer.
pub const LAN_HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 10);

/// A host: one network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// The customer's gateway.
    Gateway,
    /// A computer behind it.
    Lan,
    /// The access node: a bridge between gateway and access router.
    Access,
    /// The access router.
    Isp,
    /// The operator's core router.
    Core,
    /// A host of the operator.
    Anchor,
    /// An independent host.
    World,
    /// Another one.
    World2,
    /// Broker and platform.
    Platform,
}

impl Host {
    /// All of them.
    pub const ALL: [Host; 9] = [
        Host::Gateway,
        Host::Lan,
        Host::Access,
        Host::Isp,
        Host::Core,
        Host::Anchor,
        Host::World,
        Host::World2,
        Host::Platform,
    ];

    /// The name of its network namespace.
    pub const fn name(self) -> &'static str {
        match self {
            Host::Gateway => "gw",
            Host::Lan => "lan",
            Host::Access => "access",
            Host::Isp => "isp",
            Host::Core => "core",
            Host::Anchor => "anchor",
            Host::World => "world",
            Host::World2 => "world2",
            Host::Platform => "platform",
        }
    }

    pub(super) fn forwards(self) -> bool {
        matches!(self, Host::Gateway | Host::Isp | Host::Core)
    }

    /// The commands for `ip -batch` inside its namespace, once all cables exist.
    pub(super) fn setup(self) -> String {
        let mut lines = String::from("link set lo up\n");
        let mut interface = |name: &str, address: &str| {
            let _ = writeln!(lines, "link set {name} up");
            if !address.is_empty() {
                let _ = writeln!(lines, "addr add {address} dev {name}");
            }
        };
        let end = |address: &str, via: &str| {
            format!("link set eth0 up\naddr add {address}/24 dev eth0\nroute add default via {via}\n")
        };
        match self {
            Host::Gateway => {
                interface("lan0", "198.18.1.1/24");
                interface(WAN, "");
            }
            Host::Access => {
                lines += "link add br0 type bridge\nlink set br0 up\n";
                for port in ["subscriber", "uplink"] {
                    let _ = writeln!(lines, "link set {port} master br0\nlink set {port} up");
                }
            }
            Host::Isp => {
                interface("acc0", "198.18.100.1/24");
                interface("core0", "198.18.200.1/30");
                // Without NAT the customer's network needs a way back.
                let _ = writeln!(
                    lines,
                    "route add 198.18.1.0/24 via {LEASE}\nroute add default via 198.18.200.2"
                );
            }
            Host::Core => {
                interface("isp0", "198.18.200.2/30");
                interface("anchor0", "198.51.100.254/24");
                interface("world0", "203.0.113.254/24");
                interface("world20", "192.0.2.254/24");
                interface("platform0", "198.18.250.1/24");
                lines +=
                    "route add 198.18.100.0/24 via 198.18.200.1\nroute add 198.18.1.0/24 via 198.18.200.1\n";
            }
            Host::Lan => lines += &end(&LAN_HOST.to_string(), "198.18.1.1"),
            Host::Anchor => lines += &end(&ANCHOR.to_string(), "198.51.100.254"),
            Host::World => lines += &end(&WORLD.to_string(), "203.0.113.254"),
            Host::World2 => lines += &end(&WORLD2.to_string(), "192.0.2.254"),
            Host::Platform => {
                lines += &end(&PLATFORM.to_string(), "198.18.250.1");
                lines += "link set lte0 up\naddr add 198.18.9.1/30 dev lte0\n";
            }
        }
        lines
    }
}

/// The cables: each connects a device of one host to a device of another.
pub(super) const CABLES: [(Host, &str, Host, &str); 9] = [
    (Host::Lan, "eth0", Host::Gateway, "lan0"),
    (Host::Gateway, WAN, Host::Access, "subscriber"),
    (Host::Access, "uplink", Host::Isp, "acc0"),
    (Host::Isp, "core0", Host::Core, "isp0"),
    (Host::Core, "anchor0", Host::Anchor, "eth0"),
    (Host::Core, "world0", Host::World, "eth0"),
    (Host::Core, "world20", Host::World2, "eth0"),
    (Host::Core, "platform0", Host::Platform, "eth0"),
    (Host::Gateway, BACKUP, Host::Platform, "lte0"),
];
