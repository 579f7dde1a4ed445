//! The kernel's devices, addresses and default routes, read over rtnetlink.

use crate::sense::netlink::{Kernel, Question, Reading, attributes, u32_at};
use linekeeper_judge::observation::Link;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How often tables that change during the reading are read again before they are used as they are.
const READ_ATTEMPTS: u32 = 3;

/// The most devices that an error message lists: enough to recognise the right one, and one line of a log.
const MAX_LISTED_DEVICES: usize = 16;

/// `IFF_UP` and `IFF_LOWER_UP` of linux/if.h: set up by the administrator, and has a carrier.
pub(super) const UP: u32 = 0x1;
pub(super) const LOWER_UP: u32 = 0x1_0000;

/// Lengths of the headers before the attributes: `ifinfomsg`, `ifaddrmsg`, `rtmsg`.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// `IFLA_IFNAME`.
const IFNAME: u16 = 3;

pub(super) fn name_in(link: &[u8]) -> Option<&[u8]> {
    let (_, name) = attributes(link, LINK_HEADER).find(|(kind, _)| *kind == IFNAME)?;
    Some(name.strip_suffix(b"\0").unwrap_or(name))
}

/// The order of default routes: IPv4 before IPv6 (their metrics are unrelated), then by metric.
pub(super) type Rank = (bool, u32);

/// The relevant parts of the kernel's tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub devices: BTreeMap<u32, Device>,
    pub addresses: BTreeMap<u32, BTreeSet<IpAddr>>,
    /// Default routes of the main table.
    pub routes: Vec<Route>,
}

/// Types of devices (linux/if_arp.h) that are tunnels: IPIP, IPv6 in IPv6, SIT, GRE over either, and those without a link layer
/// (WireGuard, TUN, CLAT). PPP is none of them: PPPoE sessions and modems are lines.
const TUNNELS: [u16; 6] = [768, 769, 776, 778, 823, 65_534];

#[derive(Debug)]
pub(super) struct Device {
    pub name: String,
    pub flags: u32,
    /// It carries its packets over another device.
    pub is_tunnel: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub index: u32,
    pub gateway: Option<IpAddr>,
    pub metric: u32,
    pub v6: bool,
}

impl Route {
    pub(super) fn rank(&self) -> Rank {
        (self.v6, self.metric)
    }
}

impl Tables {
    pub(super) fn read(kernel: &mut Kernel) -> io::Result<Tables> {
        let mut tables = Tables::default();
        for _ in 0..READ_ATTEMPTS {
            tables = Tables::default();
            let links = kernel.ask_all(Question::Links, |_, body| tables.add_link(body))?;
            let addresses = kernel.ask_all(Question::Addresses, |_, body| {
                tables.add_address(body);
            })?;
            let routes = kernel.ask_all(Question::Routes, |_, body| {
                tables.add_route(body);
            })?;
            if [links, addresses, routes].iter().all(|reading| *reading == Reading::Whole) {
                break;
            }
        }
        Ok(tables)
    }

    pub(super) fn add_link(&mut self, body: &[u8]) {
        if let (Some(index), Some(flags), Some(name)) = (u32_at(body, 4), u32_at(body, 8), name_in(body)) {
            let name = String::from_utf8_lossy(name).into_owned();
            let kind = body.get(2..4).map_or(0, |kind| u16::from_ne_bytes([kind[0], kind[1]]));
            self.devices.insert(index, Device { name, flags, is_tunnel: TUNNELS.contains(&kind) });
        }
    }

    pub(super) fn add_address(&mut self, body: &[u8]) {
        // IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS. On a point-to-point device IFA_ADDRESS is the peer's.
        const ADDRESS: u16 = 1;
        const LOCAL: u16 = 2;
        const FLAGS: u16 = 8;
        // Duplicate detection is running, or has failed. An optimistic address may be used while it is tentative.
        const DADFAILED: u32 = 0x08;
        const OPTIMISTIC: u32 = 0x04;
        const TENTATIVE: u32 = 0x40;
        // RT_SCOPE_UNIVERSE
        const GLOBAL: u8 = 0;

        let (Some(index), Some(&flags), Some(&GLOBAL)) = (u32_at(body, 4), body.get(2), body.get(3)) else {
            return;
        };
        let (mut address, mut local, mut flags) = (None, None, u32::from(flags));
        for (kind, value) in attributes(body, ADDRESS_HEADER) {
            match kind {
                ADDRESS => address = parse_address(value),
                LOCAL => local = parse_address(value),
                FLAGS => flags = u32_at(value, 0).unwrap_or(flags),
                _ => {}
            }
        }
        let usable = flags & DADFAILED == 0 && (flags & TENTATIVE == 0 || flags & OPTIMISTIC != 0);
        if let Some(address) = local.or(address).filter(|_| usable) {
            self.addresses.entry(index).or_default().insert(address);
        }
    }

    pub(super) fn add_route(&mut self, body: &[u8]) {
        // RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_MULTIPATH, RTA_TABLE, RTA_VIA
        const OIF: u16 = 4;
        const GATEWAY: u16 = 5;
        const PRIORITY: u16 = 6;
        const MULTIPATH: u16 = 9;
        const TABLE: u16 = 15;
        const VIA: u16 = 18;
        const MAIN: u32 = 254;
        const UNICAST: u8 = 1;
        const INET6: u8 = libc::AF_INET6 as u8;
        // RTM_F_CLONED, and RTNH_F_DEAD on a route or a next hop.
        const CLONED: u32 = 0x200;
        const DEAD: u32 = 0x1;

        let (Some(&[family, length, _, _, table, _, _, kind]), Some(flags)) =
            (body.first_chunk(), u32_at(body, 8))
        else {
            return;
        };
        // A source-specific default route (OpenWrt has those for IPv6) counts too: any source length is allowed.
        if length != 0 || kind != UNICAST || flags & (CLONED | DEAD) != 0 {
            return;
        }
        let (mut table, mut metric) = (u32::from(table), 0);
        let mut hop = Hop::default();
        let mut hops = Vec::new();
        for (kind, value) in attributes(body, ROUTE_HEADER) {
            match kind {
                OIF => hop.index = u32_at(value, 0),
                GATEWAY => hop.gateway = parse_address(value),
                VIA => hop.gateway = value.get(2..).and_then(parse_address),
                PRIORITY => metric = u32_at(value, 0).unwrap_or(0),
                TABLE => table = u32_at(value, 0).unwrap_or(table),
                MULTIPATH => {
                    // Each next hop is an rtnexthop (length, flags, hops, index) with its own attributes.
                    let mut rest = value;
                    while let Some(&[a, b, flags, _]) = rest.first_chunk() {
                        let length = usize::from(u16::from_ne_bytes([a, b]));
                        let Some(one) = rest.get(..length).filter(|one| one.len() >= 8) else { break };
                        let mut hop = Hop { index: u32_at(one, 4), gateway: None };
                        for (kind, value) in attributes(one, 8) {
                            match kind {
                                GATEWAY => hop.gateway = parse_address(value),
                                VIA => hop.gateway = value.get(2..).and_then(parse_address),
                                _ => {}
                            }
                        }
                        if u32::from(flags) & DEAD == 0 {
                            hops.push(hop);
                        }
                        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                    }
                }
                _ => {}
            }
        }
        hops.push(hop);
        if table == MAIN {
            let v6 = family == INET6;
            self.routes.extend(hops.into_iter().filter_map(|Hop { index, gateway }| {
                Some(Route { index: index?, gateway: gateway.filter(|g| !g.is_unspecified()), metric, v6 })
            }));
        }
    }

    pub(super) fn link(&self, index: u32, device: &Device) -> Link {
        let mut through: Vec<&Route> = self.routes.iter().filter(|route| route.index == index).collect();
        through.sort_by_key(|route| route.rank());
        Link {
            present: true,
            admin_up: device.flags & UP != 0,
            carrier: device.flags & LOWER_UP != 0,
            addresses: self.addresses.get(&index).into_iter().flatten().copied().collect(),
            // If IPv4 is point-to-point and IPv6 has a next hop, that one is the gateway of both.
            gateway: through.iter().find_map(|route| route.gateway),
            default_route: !through.is_empty(),
            speed: None,
            half_duplex: false,
        }
    }

    pub(super) fn names(&self) -> String {
        let mut names: Vec<&str> =
            self.devices.values().map(|d| d.name.as_str()).filter(|n| *n != "lo").collect();
        if names.is_empty() {
            return "none".into();
        }
        if names.len() > MAX_LISTED_DEVICES {
            names.truncate(MAX_LISTED_DEVICES);
            names.push("…");
        }
        names.join(", ")
    }
}

#[derive(Debug, Default)]
struct Hop {
    index: Option<u32>,
    gateway: Option<IpAddr>,
}

/// An address; its length tells the family.
fn parse_address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(|four| Ipv4Addr::from(four).into())
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(|sixteen| Ipv6Addr::from(sixteen).into()))
        .ok()
}
