//! `[name]`: which DNS servers are queried, and for what.

use super::bounds::{Bounds, within};
use super::host;
use super::kinds::{file, quantity, text};
use super::options::{ASKED, Form, Kind, Pattern, Right, options};
use super::reader::{Reader, Section, Show};
use linekeeper_contract::units::Span;
use std::net::IpAddr;
use std::path::PathBuf;

/// As many as resolv.conf(5) takes (`MAXNS`).
pub const RESOLVERS: Bounds<usize> = within(1, 3);
/// How often `name` and `web` are asked. What is wrong is asked again after 10 s anyway; a login page that is found after a
/// day is found by the customer.
pub(super) const EVERY: Bounds<Span> = within(Span::seconds(10), Span::days(1));

options! {
    /// Which DNS servers are queried, and for what.
    ///
    /// The judge decides when: rarely while the line is up, and when a fault must be located. `linekeeper diagnose` queries
    /// once. Each time every server gets two small queries.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Name = section "name", "Names" / "域名解析",
        "Which DNS servers are queried: rarely while the line is up, and when a fault must be located." /
        "查询哪些域名服务器：线路正常时很少查询，需要定位故障时才查询。", check Name::contradictions {
        /// The line's resolvers, at most 3. Empty: those that `resolv_conf` names.
        resolvers: Vec<IpAddr> = Addresses(RESOLVERS), ASKED,
            "The line's DNS servers" / "本线路的域名服务器",
            "The line's DNS servers. If absent: those in resolv_conf, or in the first existing file of \
             /tmp/resolv.conf.d/resolv.conf.auto, /run/systemd/resolve/resolv.conf and /etc/resolv.conf." /
            "本线路的域名服务器。留空：resolv_conf 所列的；没有则取 /tmp/resolv.conf.d/resolv.conf.auto、\
             /run/systemd/resolve/resolv.conf 和 /etc/resolv.conf 中第一个存在的。",
            example ["198.51.100.53", "198.51.100.54"];
        /// The file whose `nameserver` lines name the resolvers. `None`: the first that is there of
        /// `bounds::RESOLV_CONF`, the line's own ones before those that a local resolver hides behind.
        resolv_conf: Option<PathBuf> = file(Show::Open),
            Right::Local("only the gateway's own configuration sets which files it reads"),
            "resolv.conf file" / "列出它们的文件",
            "The file whose nameserver lines list the line's DNS servers." / "用 nameserver 行列出本线路域名服务器的文件。",
            example "/tmp/resolv.conf.d/resolv.conf.auto";
        /// A resolver that is not the line's: if it answers and the line's does not, another resolver helps.
        ///
        /// Default: none. It is queried whenever the line's own servers are. With a default address every gateway of every
        /// operator would query a server whose owner never agreed to that, and the operator should decide to whom its fleet
        /// becomes visible.
        independent: Option<IpAddr> = text(Pattern::Address, Show::Open, |text| Ok(host::address(text)?)), ASKED,
            "Independent DNS server" / "独立的域名服务器",
            "A DNS server that does not belong to the line. If it answers and the line's do not, using another server would help. \
             Its owner should agree to the queries. If absent: none is queried." /
            "不属于本线路的域名服务器：如果它有应答而本线路的没有，换用其他域名服务器会有帮助。应事先告知其所有者。留空：不查询。",
            shows "203.0.113.53";
        /// A name that exists.
        ///
        /// Default: the first of the names that stand in the configuration anyway (`speed.servers`, the brokers,
        /// `probe.targets`), which are the operator's to be asked for; where all are addresses, `example.com` (RFC 6761,
        /// 6.5). The question goes to the line's resolver, which knows that one by heart: nobody else is bothered, and a
        /// resolver that only knows what it knows is not found out by it. A name of the operator's own does that too if
        /// its records may be kept for a few seconds only.
        known as "exists": String = text(Pattern::HostName, Show::Open, existing).or(String::new, None), ASKED,
            "A name that exists" / "确实存在的域名",
            "A name that exists. If absent: the first name in speed.servers, mqtt and probe.targets, else example.com." /
            "确实存在的域名。留空：依次取测速服务器、消息代理、探测目标中出现的第一个域名，都没有则为 example.com。",
            shows "resolves.isp.example";
        /// How often they are queried while the line is up.
        ///
        /// Default 5 min: names that are dead for longer bring the customer's own call; of a fleet of a million, three
        /// thousand small questions a second over all resolvers, which an operator with fewer of either may want otherwise.
        every: Span = quantity(EVERY, Span::minutes(5)), Right::Remote,
            "Query interval" / "询问间隔",
            "How often they are queried while the line is up." / "线路正常时多久查询一次。";
    }
}

impl Name {
    fn contradictions(&mut self, reader: &mut Reader<'_>, section: &Section<'_>) {
        if self.independent.is_some_and(|address| self.resolvers.contains(&address)) {
            let resolvers = section.path("resolvers");
            reader.fault(&section.path("independent"), format!("must not be one of {resolvers}"));
        }
    }
}

fn existing(text: &str) -> Result<String, String> {
    host::name(text)?;
    Ok(text.to_owned())
}

/// A list of addresses.
struct Addresses(Bounds<usize>);

impl Kind for Addresses {
    type Value = Vec<IpAddr>;

    fn absent(&self) -> Vec<IpAddr> {
        Vec::new()
    }

    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Vec<IpAddr> {
        let items = reader.list(section, key, self.0, "addresses", Show::Open).unwrap_or_default();
        let mut addresses: Vec<IpAddr> = Vec::new();
        for (path, item) in items {
            match item.as_str().map(host::address) {
                Some(Ok(address)) if addresses.contains(&address) => reader.fault(&path, "is given twice"),
                Some(Ok(address)) => addresses.push(address),
                Some(Err(must)) => reader.must(&path, must, item, Show::Open),
                None => reader.must(&path, "text like \"192.0.2.53\"", item, Show::Open),
            }
        }
        addresses
    }

    fn form(&self) -> Form {
        Form::List { pattern: Pattern::Address, least: self.0.least, most: self.0.most }
    }
}
