//! Chooses the WAN device from the kernel's tables and describes its state.
//!
//! A configured device comes first, then the one that netifd names, then the one with the best default route.

use super::tables::{LOWER_UP, Rank, Route, Tables, UP};
use crate::sense::interface::Named;
use crate::sense::wan::WanDevice;
use linekeeper_judge::observation::Link;

/// The state of the WAN device that other sensors need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkFacts {
    /// Its name; empty while none is known.
    pub name: String,
    /// Its interface index, a new one each time the device is recreated; 0 while there is none.
    pub index: u32,
    /// Its state.
    pub link: Link,
    /// OpenWrt's name of the interface, if netifd named it.
    pub interface: Option<String>,
    /// Name and index of the Ethernet device below it, if one is known and exists.
    pub port: Option<(String, u32)>,
}

impl LinkFacts {
    /// The device, as the sensors address it.
    pub fn device(&self) -> WanDevice {
        WanDevice { name: self.name.clone(), index: self.index, interface: self.interface.clone() }
    }
}

/// What prevents watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// The kernel does not answer.
    Kernel,
    /// The configured device has never existed.
    Unknown,
    /// There has never been a default route.
    NoRoute,
}

/// Which device is the WAN.
pub(super) struct Choice {
    configured: Option<String>,
    /// netifd is asked for the interface, and tells of its own trouble.
    pub(super) asks_netifd: bool,
    /// The devices that netifd names.
    named: Named,
    /// The configured device below a session.
    port: Option<String>,
    /// If no device is configured or named: the one that has or had the default route, and that route's rank.
    followed: Option<(String, Rank)>,
    /// Whether it has existed since the start of this process.
    seen: bool,
}

impl Choice {
    pub(super) fn new(port: Option<String>, configured: Option<String>) -> Choice {
        Choice { configured, asks_netifd: false, named: Named::default(), port, followed: None, seen: false }
    }

    pub(super) fn set_named(&mut self, named: Named) {
        self.seen &= self.named.device == named.device;
        self.named = named;
    }

    pub(super) fn name(&self) -> Option<&str> {
        let given = self.configured.as_ref().or(self.named.device.as_ref());
        given.or(self.followed.as_ref().map(|(name, _)| name)).map(String::as_str)
    }

    pub(super) fn port(&self) -> Option<&String> {
        self.port.as_ref().or(self.named.port.as_ref())
    }

    pub(super) fn facts(&mut self, tables: &Tables) -> LinkFacts {
        if self.configured.is_none() && self.named.device.is_none() {
            self.follow_default_route(tables);
        }
        let Some(name) = self.name() else { return LinkFacts::default() };
        let found = tables.devices.iter().find(|(_, device)| device.name == name);
        let name = name.to_owned();
        self.seen |= found.is_some();
        let mut facts = match found {
            Some((&index, device)) => {
                LinkFacts { name, index, link: tables.link(index, device), ..LinkFacts::default() }
            }
            None => LinkFacts { name, ..LinkFacts::default() },
        };
        facts.interface.clone_from(&self.named.interface);
        let below = |port: &String| tables.devices.iter().find(|(_, device)| device.name == *port);
        if let Some((&index, port)) = self.port().and_then(below) {
            let (up, carrier) = (port.flags & UP != 0, port.flags & LOWER_UP != 0);
            facts.link = match facts.link {
                link if link.present => {
                    Link { admin_up: link.admin_up && up, carrier: link.carrier && carrier, ..link }
                }
                _ => Link { present: true, admin_up: up, carrier, ..Link::default() },
            };
            facts.port = Some((port.name.clone(), index));
        }
        facts
    }

    fn follow_default_route(&mut self, tables: &Tables) {
        // A tunnel is never the line: the device below it is, which has a default route of its own.
        let is_line =
            |route: &&Route| tables.devices.get(&route.index).is_some_and(|device| !device.is_tunnel);
        // The first of equal routes: the kernel uses that one too.
        let best = tables.routes.iter().filter(is_line).min_by_key(|route| route.rank());
        let Some(best) = best else { return };
        let Some(device) = tables.devices.get(&best.index) else { return };
        let other = match &self.followed {
            None => true,
            Some((name, rank)) if *name == device.name => *rank != best.rank(),
            Some((name, rank)) => {
                let still = tables
                    .routes
                    .iter()
                    .any(|route| tables.devices.get(&route.index).is_some_and(|d| d.name == *name));
                best.rank() < *rank || (!still && best.rank() == *rank)
            }
        };
        if other {
            self.followed = Some((device.name.clone(), best.rank()));
        }
    }

    pub(super) fn trouble(&self, tables: &Tables) -> (Trouble, String) {
        match (&self.configured, self.named.device.as_ref().or(self.followed.as_ref().map(|(name, _)| name)))
        {
            // Once the device has existed, its absence is a state of the line and not a configuration error: a PPP
            // device comes and goes with its session.
            (Some(name), _) if !self.seen => {
                let there = tables.names();
                let words = format!(
                    "WAN device {name:?} does not exist; there are: {there}; set line.device to the right one"
                );
                (Trouble::Unknown, words)
            }
            // netifd knows the interface, or says why not: it comes up while DHCP or PPPoE runs.
            (None, None) if self.asks_netifd => (Trouble::None, String::new()),
            (None, None) => {
                let there = tables.names();
                let words = format!(
                    "no default route yet, so the WAN device is not known; there are: {there}; set line.device"
                );
                (Trouble::NoRoute, words)
            }
            _ => (Trouble::None, String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::Device;
    use super::*;
    use std::collections::BTreeMap;

    fn tables(devices: &[(u32, &str)], routes: &[(u32, u32, bool)]) -> Tables {
        let device = |name: &str| {
            let is_tunnel = matches!(name, "tunnel" | "clat" | "wg0");
            Device { name: name.into(), flags: UP | LOWER_UP, is_tunnel }
        };
        Tables {
            devices: devices.iter().map(|(index, name)| (*index, device(name))).collect(),
            addresses: BTreeMap::new(),
            routes: routes
                .iter()
                .map(|&(index, metric, v6)| Route { index, gateway: None, metric, v6 })
                .collect(),
        }
    }

    #[test]
    fn best_default_route_is_followed_and_kept_while_missing() {
        let mut choice = Choice::new(None, None);
        let devices = [(1, "lo"), (2, "wan"), (3, "lte")];
        let mut name = |routes: &[(u32, u32, bool)]| choice.facts(&tables(&devices, routes)).name;
        assert_eq!(name(&[]), "");
        assert_eq!(name(&[(3, 20, false)]), "lte");
        assert_eq!(name(&[(3, 20, false), (2, 10, false)]), "wan");
        // A failover does not change the watched line.
        assert_eq!(name(&[(3, 20, false)]), "wan");
        assert_eq!(name(&[]), "wan");
        // Another device takes its place with the same metric.
        assert_eq!(name(&[(3, 10, false), (2, 10, false)]), "wan");
        assert_eq!(name(&[(3, 10, false)]), "lte");
    }

    #[test]
    fn session_state_includes_its_port() {
        let mut choice = Choice::new(Some("eth1".into()), Some("pppoe-wan".into()));
        let mut seen = |tables: &Tables| {
            let facts = choice.facts(tables);
            let Link { present, admin_up, carrier, default_route, .. } = facts.link;
            (facts.index, facts.port, [present, admin_up, carrier, default_route])
        };
        let port = || Some(("eth1".to_owned(), 2));
        let whole = tables(&[(2, "eth1"), (7, "pppoe-wan")], &[(7, 0, false)]);
        assert_eq!(seen(&whole), (7, port(), [true; 4]));
        let gone = tables(&[(2, "eth1")], &[]);
        assert_eq!(seen(&gone), (0, port(), [true, true, true, false]), "the session is gone");
        let mut cut = whole;
        cut.devices.get_mut(&2).unwrap().flags = UP;
        assert_eq!(seen(&cut), (7, port(), [true, true, false, true]), "the session does not know yet");
        assert_eq!(seen(&Tables::default()), (0, None, [false; 4]));
    }

    #[test]
    fn ipv4_route_comes_before_ipv6_whatever_the_metric() {
        let mut choice = Choice::new(None, None);
        let devices = [(2, "wan"), (3, "other")];
        assert_eq!(choice.facts(&tables(&devices, &[(3, 1, true), (2, 100, false)])).name, "wan");
    }

    #[test]
    fn tunnel_is_not_followed_whatever_its_route() {
        let devices = [(2, "wan"), (3, "wg0"), (4, "clat")];
        let mut choice = Choice::new(None, None);
        // A VPN alone says nothing of the line below it.
        assert_eq!(choice.facts(&tables(&devices, &[(3, 0, false)])).name, "");
        assert_eq!(choice.facts(&tables(&devices, &[(3, 0, false), (2, 10, false)])).name, "wan");
        assert_eq!(
            choice.facts(&tables(&devices, &[(3, 0, false)])).name,
            "wan",
            "the line below it is dead"
        );
        // IPv6 only, with IPv4 through CLAT.
        let mut choice = Choice::new(None, None);
        assert_eq!(choice.facts(&tables(&devices, &[(4, 2_048, false), (2, 512, true)])).name, "wan");
        // Who wants to watch a tunnel says so.
        let mut choice = Choice::new(None, Some("wg0".into()));
        assert_eq!(choice.facts(&tables(&devices, &[(3, 0, false), (2, 10, false)])).name, "wg0");
    }

    #[test]
    fn nothing_is_advised_while_netifd_brings_the_interface_up() {
        let there = tables(&[(1, "lo"), (2, "eth0"), (3, "eth1")], &[]);
        let mut choice = Choice::new(None, None);
        assert_eq!(choice.facts(&there).index, 0);
        assert_eq!(choice.trouble(&there).0, Trouble::NoRoute);
        choice.asks_netifd = true;
        assert_eq!(choice.trouble(&there), (Trouble::None, String::new()));
    }

    #[test]
    fn unknown_device_error_lists_existing_devices() {
        let mut choice = Choice::new(None, Some("eth9".into()));
        let there = tables(&[(1, "lo"), (2, "eth0"), (3, "eth1")], &[]);
        assert_eq!(choice.facts(&there).index, 0);
        let (trouble, words) = choice.trouble(&there);
        assert_eq!(trouble, Trouble::Unknown);
        assert!(
            words.contains(r#""eth9" does not exist; there are: eth0, eth1; set line.device"#),
            "{words}"
        );
    }
}
