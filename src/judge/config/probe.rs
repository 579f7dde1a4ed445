//! `[probe]`: how the line is watched.

use super::bounds::{Bounds, within};
use super::fault::quoted;
use super::host;
use super::kinds::{Flag, quantity};
use super::options::{ASKED, Form, Kind, Right, options};
use super::reader::{Reader, Section, Show};
use linekeeper_contract::units::Span;
use serde_json::Value;
use std::collections::BTreeSet;

/// A host to ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// An address or a name.
    pub host: String,
    /// Where it is.
    pub role: Role,
}

/// Where a target is, from near to far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// In the operator's own network.
    Anchor,
    /// Beyond it, and independent of it.
    World,
}

impl Role {
    /// As configuration and facts write it.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Anchor => "anchor",
            Role::World => "world",
        }
    }
}

options! {
    /// How the line is watched.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Probe = section "probe", "Targets" / "探测目标",
        "How the line is watched: echoes (ping) to several hosts in rotation. A fault can only be located with at least one host \
         in the operator's network and one beyond it." /
        "如何监测线路：轮流向若干主机发送探测（ping）。运营商网内与网外至少各有一个目标，才能定位故障。" {
        /// The hosts to ping, besides the line's default gateway. 1 to 16: they are pinged in rotation, and at the default
        /// interval a round of 16 takes 8 s.
        targets: Vec<Target> = Targets(within(1, 16)), ASKED,
            "" / "",
            "The hosts to ping, 1 to 16 in all. An anchor is in the operator's network, a world host beyond it and independent of it." /
            "探测对象，1 到 16 个。",
            labels ["In the operator's network" / "运营商网内", "Beyond it" / "网外"],
            shows [{ "host": "198.51.100.1", "role": "anchor" }, { "host": "203.0.113.53", "role": "world" }];
        /// Whether the default gateway is pinged too.
        ///
        /// Default true: it costs one more echo a round and tells the operator's first router from what is beyond.
        gateway: bool = Flag(true), ASKED,
            "Ping the default gateway too" / "同时探测默认网关",
            "Whether the line's default gateway is pinged too." / "是否也探测线路的默认网关。";
        /// Time between two echoes while the line works, to all far targets in rotation.
        ///
        /// Default 500 ms: the rate of pfSense's dpinger. At 2 Hz of 60-byte IP packets the line carries about 10 MB a
        /// day each way; a target of three is asked every 1.5 s. Bounds: ten a second is half of cake-autorate's rate and
        /// already 50 MB a day; once a minute still tells an outage within minutes.
        interval: Span = quantity(within(Span::millis(100), Span::minutes(1)), Span::millis(500)), Right::Remote,
            "Ping interval" / "探测间隔",
            "Time between two echoes while the line works, to all targets in rotation. 500 ms cost about 10 MB a day each way." /
            "线路正常时两次探测的间隔，各目标轮流探测。500 ms 每天每个方向约耗 10 MB。";
        /// When an echo counts as unanswered while no round-trip time is known yet; later the ceiling of the adaptive timeout.
        ///
        /// Default 1 s: RFC 2681 leaves it to the measurer; longer than any land line's loaded round trip but a
        /// badly bloated one, and the counters' veto covers those. Bounds: geostationary satellites answer in 0.6 s; nothing
        /// useful answers after 10 s.
        timeout: Span = quantity(within(Span::millis(100), Span::seconds(10)), Span::seconds(1)), Right::Remote,
            "Ping timeout" / "探测超时",
            "When an echo counts as unanswered while no round-trip time is known yet." /
            "尚不知道往返时延时，探测多久无应答视为超时。";
        /// How long after a boot nothing is done about a line that was not up yet.
        ///
        /// Default 2 min: a DSL modem trains in about one, an ONT registers in about half of one. Bounds: none, where the modem
        /// is known to be up; an hour is longer than any modem's own update.
        grace: Span = quantity(within(Span::ZERO, Span::hours(1)), Span::minutes(2)), Right::Remote,
            "Grace after boot" / "启动宽限",
            "How long after a boot nothing is done about a line that was not up yet: modems need time to start." /
            "启动后对从未连通的线路只等待的时长：光猫需要时间。";
    }
}

/// A list of tables of `host` and `role`.
struct Targets(Bounds<usize>);

const TARGET: &[&str] = &["host", "role"];
const ROLES: [Role; 2] = [Role::Anchor, Role::World];

impl Kind for Targets {
    type Value = Vec<Target>;

    fn absent(&self) -> Vec<Target> {
        Vec::new()
    }

    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Vec<Target> {
        if !section.has(key) {
            reader.missing(
                &section.path(key),
                "list at least one target, as in [{ host = \"198.51.100.1\", role = \"anchor\" }]",
            );
        }
        let mut targets: Vec<Target> = Vec::new();
        let mut seen = BTreeSet::new();
        let items = reader.list(section, key, self.0, "targets", Show::Open).unwrap_or_default();
        for (path, item) in items {
            let Value::Object(map) = item else {
                reader.must(&path, "a table of host and role", item, Show::Open);
                continue;
            };
            let target = Section { path, map: Some(map) };
            let host = reader.text(&target, "host", Show::Open, |text| Ok(host::check(text, false)?));
            let role = reader.choice(&target, "role", &ROLES.map(|role| (role.name(), role)));
            for key in TARGET.iter().filter(|key| !target.has(key)) {
                let why = match *key {
                    "host" => "an IPv4 or IPv6 address or a DNS name",
                    _ => "anchor (in the operator's network) or world (beyond it)",
                };
                reader.missing(&target.path(key), why);
            }
            reader.unknown(&target, TARGET);
            if let Some(host) = host
                && !seen.insert(host::canonical(host))
            {
                reader.fault(&target.path("host"), format!("is listed twice, is {}", quoted(host)));
            }
            if let (Some(host), Some(role)) = (host, role) {
                targets.push(Target { host: host.to_owned(), role });
            }
        }
        targets
    }

    fn form(&self) -> Form {
        Form::Targets(ROLES.map(Role::name).to_vec())
    }
}
