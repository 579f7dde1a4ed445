//! The WAN device as the kernel shows it: carrier, addresses, default route.
//!
//! The kernel's announcements say *that* something changed; *what* holds now is then read from its tables. To follow
//! the announcements alone would be cheaper and wrong: IPv4 routes that go with a device or an address are not
//! announced, and a replaced route is announced only as a new one.

use crate::sense::interface::Named;
use crate::sense::netlink::{
    Events, Kernel, Question, RTM_DELADDR, RTM_DELLINK, RTM_DELROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE,
    Reading, attributes, next_message, u32_at,
};
use crate::sense::port;
use linekeeper_judge::observation::{Link, Observation, Part};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// How long further announcements are awaited before the tables are read.
///
/// 50 ms: an interface that comes up announces a dozen things within a few milliseconds. A loss does not wait.
const BURST: Duration = Duration::from_millis(50);

/// How often the tables are read although nothing was announced.
///
/// 60 s: in case an announcement was missed in a way that nobody thought of; 1 ms of work.
const AGAIN: Duration = Duration::from_secs(60);

/// The first and the longest wait before another try when the kernel refuses to be asked.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How often tables that change while they are read are read once more before they are taken as they are.
const TORN: u32 = 3;

/// How many devices an error message names: enough to recognise one's own, one line of a log.
const NAMED: usize = 16;

/// What the other sensors have to know of the WAN device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkFacts {
    /// Its name; empty while none is known.
    pub name: String,
    /// The kernel's number for it, another one each time it is made anew; 0 while there is none.
    pub index: u32,
    /// Its state.
    pub link: Link,
    /// The Ethernet device below it, name and number, where one is configured and there.
    pub port: Option<(String, u32)>,
}

/// Begins to watch `device`, or, when it is `None`, the one with the default route.
///
/// Tells [`Observation::LinkSeen`] at the start and on each change, and [`Observation::PartSeen`] when it cannot. The
/// receiver shows the state as of the last change; before the first reading it has index 0.
///
/// Which device "has the default route": the one of the lowest metric in the main table, IPv4 before IPv6. Once found
/// it is kept while its route is away, unless another one with the same or a lower metric takes its place: a line that
/// fails over to a dearer one has not healed.
pub fn spawn(device: Option<String>, report: mpsc::Sender<Observation>) -> watch::Receiver<LinkFacts> {
    spawn_over(None, device, report)
}

/// The same where somebody (OpenWrt's netifd) names the devices while we watch: unless one is configured, the named one is
/// watched, which is known before it ever had a default route.
pub fn spawn_named(
    port: Option<String>,
    device: Option<String>,
    named: watch::Receiver<Named>,
    report: mpsc::Sender<Observation>,
) -> watch::Receiver<LinkFacts> {
    begin(port, device, Some(named), report)
}

/// The same of a session (PPPoE) that runs over the Ethernet device `port`: what is switched off or without a carrier there is
/// so for the session, and while the session's device is away the line is one without an address, not one without a device.
pub fn spawn_over(
    port: Option<String>,
    device: Option<String>,
    report: mpsc::Sender<Observation>,
) -> watch::Receiver<LinkFacts> {
    begin(port, device, None, report)
}

fn begin(
    port: Option<String>,
    device: Option<String>,
    named: Option<watch::Receiver<Named>>,
    report: mpsc::Sender<Observation>,
) -> watch::Receiver<LinkFacts> {
    let (facts, watcher) = watch::channel(LinkFacts::default());
    let choice = Choice { port, ..Choice::of(device) };
    tokio::spawn(Watch { choice, named, report, facts, told: None, trouble: Trouble::None }.run());
    watcher
}

/// Nobody listens any more.
struct Unheard;

/// Why a watch ended.
enum End {
    Unheard,
    Refused(io::Error),
}

impl From<Unheard> for End {
    fn from(_: Unheard) -> End {
        End::Unheard
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Refused(error)
    }
}

/// What keeps us from watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The kernel does not answer.
    Kernel,
    /// The configured device was never there.
    Unknown,
    /// There never was a default route.
    NoRoute,
}

struct Watch {
    choice: Choice,
    /// Who names the devices, if anybody does.
    named: Option<watch::Receiver<Named>>,
    report: mpsc::Sender<Observation>,
    facts: watch::Sender<LinkFacts>,
    told: Option<Link>,
    trouble: Trouble,
}

impl Watch {
    async fn run(mut self) {
        let mut wait = RETRY.0;
        loop {
            let error = match self.watch(&mut wait).await {
                Ok(()) | Err(End::Unheard) => return,
                Err(End::Refused(error)) => error,
            };
            let words = format!("cannot ask the kernel about the network: {error}; trying again");
            if self.tell_trouble(Trouble::Kernel, words).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = RETRY.1.min(wait * 2),
                () = self.report.closed() => return,
            }
        }
    }

    async fn watch(&mut self, wait: &mut Duration) -> Result<(), End> {
        // Listening begins before the first reading, so that nothing falls between.
        let mut events = Events::listen()?;
        let mut kernel = Kernel::connect()?;
        let mut naming = self.named.clone();
        if let Some(naming) = &mut naming {
            naming.mark_changed();
        }
        let mut again = tokio::time::interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // The first tick is immediate.
            let mut news = tokio::select! {
                _ = again.tick() => News::Loss,
                news = self.news(&mut events) => news?,
                named = renamed(&mut naming) => {
                    self.choice.names(named);
                    News::Loss
                }
                () = self.report.closed() => return Ok(()),
            };
            while news != News::Nothing {
                if news == News::Change {
                    news = self.collect(&mut events).await?;
                }
                let tables = Tables::read(&mut kernel)?;
                *wait = RETRY.0;
                self.tell(&tables).await?;
                // Routes and addresses go after the carrier: what was read at once may not be all.
                news = if news == News::Loss { News::Change } else { News::Nothing };
            }
        }
    }

    /// Lets a burst of changes pass; ends early with a loss.
    async fn collect(&self, events: &mut Events) -> io::Result<News> {
        let end = tokio::time::sleep(BURST);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(News::Settled),
                news = self.news(events) => {
                    if news? == News::Loss {
                        return Ok(News::Loss);
                    }
                }
            }
        }
    }

    async fn news(&self, events: &mut Events) -> io::Result<News> {
        let mut news = News::Nothing;
        let facts = self.facts.borrow().clone();
        let ports = facts.port.as_ref().map_or(0, |(_, index)| *index);
        let watched = [facts.index, ports];
        let names =
            [self.choice.name(), self.choice.port().map(String::as_str)].map(|name| name.map(str::as_bytes));
        match events.next(|kind, body| news = news.max(judge(kind, body, watched, names))).await {
            Ok(()) => Ok(news),
            // The kernel dropped announcements, and it may have been the one that matters.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(News::Loss),
            Err(error) => Err(error),
        }
    }

    async fn tell(&mut self, tables: &Tables) -> Result<(), Unheard> {
        let mut facts = self.choice.facts(tables);
        if facts.link.carrier {
            // rtnetlink does not tell it. A port negotiates again only with a new carrier, which is announced.
            let negotiated = match &facts.port {
                Some((name, index)) => port::negotiated(name, *index),
                None => port::negotiated(&facts.name, facts.index),
            };
            facts.link.speed = negotiated.map(|(rate, _)| rate);
            facts.link.half_duplex = negotiated.is_some_and(|(_, half)| half);
        }
        let link = facts.link.clone();
        self.facts.send_if_modified(|old| {
            let changed = *old != facts;
            *old = facts;
            changed
        });
        if self.told.as_ref() != Some(&link) {
            self.told = Some(link.clone());
            self.report.send(Observation::LinkSeen(link)).await.map_err(|_| Unheard)?;
        }
        let (trouble, words) = self.choice.trouble(tables);
        self.tell_trouble(trouble, words).await
    }

    async fn tell_trouble(&mut self, trouble: Trouble, words: String) -> Result<(), Unheard> {
        if self.trouble == trouble {
            return Ok(());
        }
        self.trouble = trouble;
        let trouble = (trouble != Trouble::None).then_some(words);
        self.report.send(Observation::PartSeen { part: Part::Link, trouble }).await.map_err(|_| Unheard)
    }
}

/// Waits for other names; for ever where nobody gives any.
async fn renamed(naming: &mut Option<watch::Receiver<Named>>) -> Named {
    if let Some(naming) = naming
        && naming.changed().await.is_ok()
    {
        return naming.borrow_and_update().clone();
    }
    std::future::pending().await
}

/// How much an announcement matters to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    /// Not at all.
    Nothing,
    /// It did, and the burst is over: read the tables.
    Settled,
    /// Read the tables when the burst is over.
    Change,
    /// The device may have lost its carrier or be gone: read the tables now.
    Loss,
}

/// `IFF_UP` and `IFF_LOWER_UP` of linux/if.h.
const UP: u32 = 0x1;
const LOWER_UP: u32 = 0x1_0000;

/// The lengths of the headers before the attributes: `ifinfomsg`, `ifaddrmsg`, `rtmsg`.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// `IFLA_IFNAME`.
const IFNAME: u16 = 3;

/// `watched`: the numbers of the device and of its port, 0 while there is none.
fn judge(kind: u16, body: &[u8], watched: [u32; 2], names: [Option<&[u8]>; 2]) -> News {
    let index = u32_at(body, 4);
    let ours = index.is_some_and(|index| index != 0 && watched.contains(&index));
    match kind {
        RTM_DELLINK if ours => News::Loss,
        RTM_NEWLINK if ours => match u32_at(body, 8) {
            Some(flags) if flags & UP != 0 && flags & LOWER_UP != 0 => News::Change,
            _ => News::Loss,
        },
        // The device may be back under another number, or renamed to what is wanted.
        RTM_NEWLINK => match name_in(body) {
            found @ Some(_) if names.contains(&found) => News::Change,
            _ => News::Nothing,
        },
        RTM_NEWADDR | RTM_DELADDR if ours => News::Change,
        // Of the routes only default ones matter, whoever's: destination length 0.
        RTM_NEWROUTE | RTM_DELROUTE if body.get(1) == Some(&0) => News::Change,
        _ => News::Nothing,
    }
}

/// Reads messages as if the kernel had sent them, and throws away what they say: the door for tests with hostile bytes.
pub fn swallow(mut bytes: &[u8]) {
    let mut tables = Tables::default();
    while let Some((kind, _, _, body)) = next_message(&mut bytes) {
        judge(kind, body, [2, 3], [Some(b"eth1"), None]);
        tables.add_link(body);
        tables.add_address(body);
        tables.add_route(body);
    }
    for (index, device) in &tables.devices {
        tables.link(*index, device);
    }
}

fn name_in(link: &[u8]) -> Option<&[u8]> {
    let (_, name) = attributes(link, LINK_HEADER).find(|(kind, _)| *kind == IFNAME)?;
    Some(name.strip_suffix(b"\0").unwrap_or(name))
}

/// Which device is meant.
struct Choice {
    configured: Option<String>,
    /// By netifd.
    named: Named,
    /// What it runs over.
    port: Option<String>,
    /// Where none is configured: the one that has or had the default route, and that route.
    followed: Option<(String, Rank)>,
    /// It existed at some time of this life.
    seen: bool,
}

/// Orders default routes: IPv4 before IPv6 (their metrics have nothing to do with each other), then by metric.
type Rank = (bool, u32);

impl Choice {
    fn of(configured: Option<String>) -> Choice {
        Choice { configured, named: Named::default(), port: None, followed: None, seen: false }
    }

    fn names(&mut self, named: Named) {
        self.seen &= self.named.device == named.device;
        self.named = named;
    }

    fn name(&self) -> Option<&str> {
        let given = self.configured.as_ref().or(self.named.device.as_ref());
        given.or(self.followed.as_ref().map(|(name, _)| name)).map(String::as_str)
    }

    fn port(&self) -> Option<&String> {
        self.port.as_ref().or(self.named.port.as_ref())
    }

    fn facts(&mut self, tables: &Tables) -> LinkFacts {
        if self.configured.is_none() && self.named.device.is_none() {
            self.follow(tables);
        }
        let Some(name) = self.name() else { return LinkFacts::default() };
        let found = tables.devices.iter().find(|(_, device)| device.name == name);
        let name = name.to_owned();
        self.seen |= found.is_some();
        let mut facts = match found {
            Some((&index, device)) => LinkFacts { name, index, link: tables.link(index, device), port: None },
            None => LinkFacts { name, ..LinkFacts::default() },
        };
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

    fn follow(&mut self, tables: &Tables) {
        // Of equals the first: the kernel takes it too.
        let Some(best) = tables.routes.iter().min_by_key(|route| route.rank()) else { return };
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

    fn trouble(&self, tables: &Tables) -> (Trouble, String) {
        match (&self.configured, self.named.device.as_ref().or(self.followed.as_ref().map(|(name, _)| name)))
        {
            // Once seen, its absence is the line's state and no fault of the configuration: a PPP device goes and
            // comes with its session.
            (Some(name), _) if !self.seen => {
                let there = tables.names();
                let words = format!(
                    "WAN device {name:?} does not exist; there are: {there}; set line.device to the right one"
                );
                (Trouble::Unknown, words)
            }
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

/// The kernel's tables, as far as they matter.
#[derive(Debug, Default)]
struct Tables {
    devices: BTreeMap<u32, Device>,
    addresses: BTreeMap<u32, BTreeSet<IpAddr>>,
    /// Default routes of the main table.
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Device {
    name: String,
    flags: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Route {
    index: u32,
    gateway: Option<IpAddr>,
    metric: u32,
    v6: bool,
}

impl Route {
    fn rank(&self) -> Rank {
        (self.v6, self.metric)
    }
}

impl Tables {
    fn read(kernel: &mut Kernel) -> io::Result<Tables> {
        let mut tables = Tables::default();
        for _ in 0..TORN {
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

    fn add_link(&mut self, body: &[u8]) {
        if let (Some(index), Some(flags), Some(name)) = (u32_at(body, 4), u32_at(body, 8), name_in(body)) {
            let name = String::from_utf8_lossy(name).into_owned();
            self.devices.insert(index, Device { name, flags });
        }
    }

    fn add_address(&mut self, body: &[u8]) {
        // IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS; on a point-to-point device the first is the other end's.
        const ADDRESS: u16 = 1;
        const LOCAL: u16 = 2;
        const FLAGS: u16 = 8;
        // Not yet proven to be ours alone, or proven not to be. An optimistic one may be used while it is tentative.
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
                ADDRESS => address = ip(value),
                LOCAL => local = ip(value),
                FLAGS => flags = u32_at(value, 0).unwrap_or(flags),
                _ => {}
            }
        }
        let usable = flags & DADFAILED == 0 && (flags & TENTATIVE == 0 || flags & OPTIMISTIC != 0);
        if let Some(address) = local.or(address).filter(|_| usable) {
            self.addresses.entry(index).or_default().insert(address);
        }
    }

    fn add_route(&mut self, body: &[u8]) {
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
        // A default route for some sources only (OpenWrt has those for IPv6) is one too: the source's length is free.
        if length != 0 || kind != UNICAST || flags & (CLONED | DEAD) != 0 {
            return;
        }
        let (mut table, mut metric) = (u32::from(table), 0);
        let mut hop = Hop::default();
        let mut hops = Vec::new();
        for (kind, value) in attributes(body, ROUTE_HEADER) {
            match kind {
                OIF => hop.index = u32_at(value, 0),
                GATEWAY => hop.gateway = ip(value),
                VIA => hop.gateway = value.get(2..).and_then(ip),
                PRIORITY => metric = u32_at(value, 0).unwrap_or(0),
                TABLE => table = u32_at(value, 0).unwrap_or(table),
                MULTIPATH => {
                    // Each is an rtnexthop (length, flags, hops, index) with attributes of its own.
                    let mut rest = value;
                    while let Some(&[a, b, flags, _]) = rest.first_chunk() {
                        let length = usize::from(u16::from_ne_bytes([a, b]));
                        let Some(one) = rest.get(..length).filter(|one| one.len() >= 8) else { break };
                        let mut hop = Hop { index: u32_at(one, 4), gateway: None };
                        for (kind, value) in attributes(one, 8) {
                            match kind {
                                GATEWAY => hop.gateway = ip(value),
                                VIA => hop.gateway = value.get(2..).and_then(ip),
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

    fn link(&self, index: u32, device: &Device) -> Link {
        let mut through: Vec<&Route> = self.routes.iter().filter(|route| route.index == index).collect();
        through.sort_by_key(|route| route.rank());
        Link {
            present: true,
            admin_up: device.flags & UP != 0,
            carrier: device.flags & LOWER_UP != 0,
            addresses: self.addresses.get(&index).into_iter().flatten().copied().collect(),
            // Where IPv4 is point-to-point and IPv6 has a next hop, that one is the gateway of both.
            gateway: through.iter().find_map(|route| route.gateway),
            default_route: !through.is_empty(),
            speed: None,
            half_duplex: false,
        }
    }

    fn names(&self) -> String {
        let mut names: Vec<&str> =
            self.devices.values().map(|d| d.name.as_str()).filter(|n| *n != "lo").collect();
        if names.is_empty() {
            return "none".into();
        }
        if names.len() > NAMED {
            names.truncate(NAMED);
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

/// An address of either family, by its length.
fn ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(|four| Ipv4Addr::from(four).into())
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(|sixteen| Ipv6Addr::from(sixteen).into()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(devices: &[(u32, &str)], routes: &[(u32, u32, bool)]) -> Tables {
        let device = |name: &str| Device { name: name.into(), flags: UP | LOWER_UP };
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
    fn follows_the_best_default_route_and_keeps_to_it_while_it_is_away() {
        let mut choice = Choice::of(None);
        let devices = [(1, "lo"), (2, "wan"), (3, "lte")];
        let mut name = |routes: &[(u32, u32, bool)]| choice.facts(&tables(&devices, routes)).name;
        assert_eq!(name(&[]), "");
        assert_eq!(name(&[(3, 20, false)]), "lte");
        assert_eq!(name(&[(3, 20, false), (2, 10, false)]), "wan");
        // The failover is not the line.
        assert_eq!(name(&[(3, 20, false)]), "wan");
        assert_eq!(name(&[]), "wan");
        // Another device takes exactly its place.
        assert_eq!(name(&[(3, 10, false), (2, 10, false)]), "wan");
        assert_eq!(name(&[(3, 10, false)]), "lte");
    }

    #[test]
    fn a_session_is_as_well_as_the_port_below_it_and_without_it_there_is_no_address() {
        let mut choice = Choice { port: Some("eth1".into()), ..Choice::of(Some("pppoe-wan".into())) };
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
    fn an_ipv6_metric_says_nothing_about_an_ipv4_one() {
        let mut choice = Choice::of(None);
        let devices = [(2, "wan"), (3, "tunnel")];
        assert_eq!(choice.facts(&tables(&devices, &[(3, 1, true), (2, 100, false)])).name, "wan");
    }

    #[test]
    fn the_words_of_an_unknown_device_name_what_there_is() {
        let mut choice = Choice::of(Some("eth9".into()));
        let there = tables(&[(1, "lo"), (2, "eth0"), (3, "eth1")], &[]);
        assert_eq!(choice.facts(&there).index, 0);
        let (trouble, words) = choice.trouble(&there);
        assert_eq!(trouble, Trouble::Unknown);
        assert!(
            words.contains(r#""eth9" does not exist; there are: eth0, eth1; set line.device"#),
            "{words}"
        );
    }

    #[test]
    fn cut_off_messages_are_passed_over() {
        let mut read = Tables::default();
        // A default route (main table, unicast) with an attribute that claims more than there is.
        let mut route = vec![2, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
        route.extend_from_slice(&[200, 0, 4, 0, 1]);
        for length in 0..=route.len() {
            read.add_route(&route[..length]);
            read.add_address(&route[..length]);
            read.add_link(&route[..length]);
            judge(RTM_NEWLINK, &route[..length], [1, 0], [None, None]);
        }
        assert!(read.routes.is_empty() && read.devices.is_empty());
    }
}
