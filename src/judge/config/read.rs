//! Turns the tree of what was written into a [`Config`], telling every fault at once.
//!
//! Each reader below takes its key out of a section, and where it cannot, notes the fault and goes on with the
//! default: the result is only handed out when nothing was noted. Contradictions are looked for last, and only between
//! values that were read without a fault.

use super::bounds::{self, Bounds};
use super::fault::{Fault, Faults, Places, nearest_word, quoted};
use super::quantity::{self, Quantity};
use super::{
    Broker, Callback, Commands, Config, Desired, Device, Driver, Group, Health, HookOn, Hooks, Language,
    Limits, Line, LinuxDriver, Mqtt, Name, OpenWrtDriver, Outage, Privacy, Probe, Programme, Promise, Quiet,
    Rates, Remedies, Role, Rule, RungLimits, Shared, Speed, Store, Target, Telemetry, TlsVersion, Usage, Web,
    host,
};
use linekeeper_contract::message::CommandName;
use linekeeper_contract::units::{LocalTime, Span};
use linekeeper_contract::vocabulary::{Protocol, Reading, Rung};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

/// The sections of a configuration.
const SECTIONS: &[&str] = &[
    "device",
    "line",
    "promise",
    "probe",
    "speed",
    "name",
    "web",
    "health",
    "usage",
    "outage",
    "remedies",
    "callback",
    "programme",
    "telemetry",
    "privacy",
    "commands",
    "mqtt",
    "hooks",
    "store",
    "status",
    "desired",
];
const DEVICE: &[&str] = &["id", "customer", "area", "installed", "language"];
const LINE: &[&str] = &["device", "interface", "metered", "protocol", "port"];
const PROMISE: &[&str] = &["download", "upload", "latency", "loss", "rule", "threshold", "share"];
const SHARE: &[&str] = &["short", "of"];
const RATES: &[&str] = &["minimum", "normal", "maximum"];
const PROBE: &[&str] = &["targets", "gateway", "interval", "timeout", "grace"];
const TARGET: &[&str] = &["host", "role"];
const SPEED: &[&str] = &["servers", "budget", "seconds", "per_day", "quiet"];
const BUDGET: &[&str] = &["day", "month"];
const QUIET: &[&str] = &["window", "share"];
const NAME: &[&str] = &["resolvers", "resolv_conf", "independent", "exists", "every"];
const WEB: &[&str] = &["url", "status", "body", "every"];
const HEALTH: &[&str] =
    &["every", "readings", "cpu", "memory", "flash", "temperature", "conntrack", "port_errors"];
const USAGE: &[&str] = &["enabled", "lasts", "factor", "least", "weeks", "callback"];
const LIMITS: &[&str] = &["failing", "recovering"];
const OUTAGE: &[&str] = &["patience", "hold_down", "flapping", "veto"];
const REMEDIES: &[&str] = &[
    "driver",
    "ladder",
    "again",
    "settle",
    "per_day",
    "per_incident",
    "learning",
    "limit",
    "dhcp_client",
    "dhcp_pidfile",
    "other_resolver",
    "restart_network",
    "power_modem",
    "reboot",
    "program",
];
const RUNGS: &[&str] =
    &["renew", "other-resolver", "restart-interface", "restart-network", "power-modem", "reboot"];
const CALLBACK: &[&str] = &["after", "quality", "receipt", "warnings"];
const TELEMETRY: &[&str] = &["every", "fields"];
const PRIVACY: &[&str] = &["addresses", "fields"];
const PROGRAMME: &[&str] = &["after"];
const COMMANDS: &[&str] = &["allow", "key"];
const DESIRED: &[&str] = &["accept", "within"];
const MQTT: &[&str] = &[
    "broker",
    "brokers",
    "ca",
    "certificate",
    "key",
    "username",
    "password_file",
    "tls",
    "keep_alive",
    "reconnect",
    "session",
];
const HOOKS: &[&str] = &["program", "on", "limit"];
const STORE: &[&str] = &["directory", "outbox"];
const STATUS: &[&str] = &["socket"];

/// Each section with its keys.
pub const KEYS: &[(&str, &[&str])] = &[
    ("device", DEVICE),
    ("line", LINE),
    ("promise", PROMISE),
    ("probe", PROBE),
    ("speed", SPEED),
    ("name", NAME),
    ("web", WEB),
    ("health", HEALTH),
    ("usage", USAGE),
    ("outage", OUTAGE),
    ("remedies", REMEDIES),
    ("callback", CALLBACK),
    ("programme", PROGRAMME),
    ("telemetry", TELEMETRY),
    ("privacy", PRIVACY),
    ("commands", COMMANDS),
    ("desired", DESIRED),
    ("mqtt", MQTT),
    ("hooks", HOOKS),
    ("store", STORE),
    ("status", STATUS),
];

/// The keys that only the `linux` driver has.
const LINUX_ONLY: &[&str] = &["dhcp_client", "dhcp_pidfile", "restart_network", "reboot"];
/// The keys of the drivers that run commands for what netifd does not do.
const RUN_KEYS: &[&str] = &["other_resolver", "power_modem"];

/// Turns a tree into a configuration.
///
/// `places` says on which line of the text each key stands, so far as that is known.
///
/// # Errors
/// Every fault there is, each with its key, what must be, what is, and where.
pub fn read(tree: &Value, places: &Places) -> Result<Config, Faults> {
    let mut reader = Reader { faults: Vec::new(), places, keys: KEYS };
    let config = reader.config(tree);
    match config {
        Some(config) if reader.faults.is_empty() => Ok(config),
        _ => Err(Faults(reader.faults)),
    }
}

/// One table of the tree.
pub struct Section<'t> {
    /// Its place in the tree, as faults write it.
    pub path: String,
    /// `None`: it was not written.
    pub map: Option<&'t Map<String, Value>>,
}

impl<'t> Section<'t> {
    /// What stands at `key`.
    pub fn get(&self, key: &str) -> Option<&'t Value> {
        self.map?.get(key)
    }

    /// Whether anything stands at `key`.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The place of `key` in the tree, as faults write it.
    pub fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

/// `key` inside `path`, as faults and [`Places`] write it; a key that is no plain word stands in quotes.
pub fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key.len() <= 64
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if plain { key.to_owned() } else { quoted(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// Whether a value may be repeated in a fault.
#[derive(Clone, Copy, PartialEq)]
pub enum Show {
    /// It may be repeated.
    Open,
    /// It may be a secret, or one pasted in the wrong place.
    Secret,
}

/// Takes values out of a tree and notes every fault on the way.
pub struct Reader<'p> {
    /// The faults so far.
    pub faults: Vec<Fault>,
    /// Where in the text each key stands.
    pub places: &'p Places,
    /// Each section with its keys: where a stray key may have been meant to stand.
    pub keys: &'static [(&'static str, &'static [&'static str])],
}

impl Reader<'_> {
    // ---- telling faults ----

    /// Notes a fault at `path`.
    pub fn fault(&mut self, path: &str, words: impl Into<String>) {
        let line = self.places.line(path);
        self.faults.push(Fault { path: path.to_owned(), words: words.into(), line, column: None });
    }

    /// Notes that `path` is missing, and why it is needed.
    pub fn missing(&mut self, path: &str, why: &str) {
        let line = self.places.nearest(path);
        self.faults.push(Fault {
            path: path.to_owned(),
            words: format!("is missing: {why}"),
            line,
            column: None,
        });
    }

    /// Notes what the value at `path` must be, and what it is.
    pub fn must(&mut self, path: &str, must: &str, is: &Value, show: Show) {
        self.fault(path, format!("must be {must}{}", said(is, show)));
    }

    // ---- the shape of the tree ----

    /// The table at `key`; none if it was not written. Anything else there is a fault.
    pub fn section<'t>(&mut self, parent: &Section<'t>, key: &str) -> Section<'t> {
        let path = parent.path(key);
        let map = match parent.get(key) {
            None => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => {
                self.must(&path, "a table", other, Show::Secret);
                None
            }
        };
        Section { path, map }
    }

    /// Tells the keys of `section` that are not `known`, in the order of the text.
    pub fn unknown(&mut self, section: &Section<'_>, known: &[&'static str]) {
        let Some(map) = section.map else { return };
        let mut strays: Vec<(Option<u32>, &String)> = map
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
            .map(|key| (self.places.line(&section.path(key)), key))
            .collect();
        strays.sort();
        for (_, key) in strays {
            // The same word in another section is a better guess than a similar word in this one.
            let elsewhere = self.keys.iter().find(|(_, keys)| keys.contains(&key.as_str()));
            let meant = match (elsewhere, nearest_word(key, known)) {
                (Some((other, _)), _) => Some(join(other, key)),
                (None, near) => near.map(|word| section.path(word)),
            };
            let mut words = "is not a key here".to_owned();
            if let Some(meant) = meant {
                words.push_str("; did you mean ");
                words.push_str(&meant);
                words.push('?');
            }
            self.fault(&section.path(key), words);
        }
    }

    /// The elements of a list with their paths; at most the bounds' most of them are looked at.
    pub fn list<'t>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        bounds: Bounds<usize>,
        of: &str,
        show: Show,
    ) -> Option<Vec<(String, &'t Value)>> {
        let path = section.path(key);
        let value = section.get(key)?;
        let Value::Array(items) = value else {
            self.must(&path, &format!("a list of {of}"), value, show);
            return None;
        };
        if items.len() < bounds.least || items.len() > bounds.most {
            let Bounds { least, most } = bounds;
            let count = items.len();
            self.fault(&path, format!("must hold {least} to {most} {of}, holds {count}"));
        }
        Some(
            items
                .iter()
                .take(bounds.most)
                .enumerate()
                .map(|(i, item)| (format!("{path}[{i}]"), item))
                .collect(),
        )
    }

    // ---- values ----

    /// The text at `key`, if there is one and it passes `check`; `check` says what it must be.
    pub fn text<'t>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        show: Show,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Option<&'t str> {
        let value = section.get(key)?;
        let path = section.path(key);
        let Value::String(text) = value else {
            self.must(&path, "text", value, show);
            return None;
        };
        match check(text) {
            Ok(()) => Some(text),
            Err(must) => {
                self.must(&path, &must, value, show);
                None
            }
        }
    }

    /// The word at `key`, one of a few.
    pub fn choice<T: Copy>(&mut self, section: &Section<'_>, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = section.get(key)?;
        let found = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.must(&section.path(key), &alternatives(&names), value, Show::Open);
        }
        found.map(|(_, choice)| *choice)
    }

    /// True or false at `key`.
    pub fn flag(&mut self, section: &Section<'_>, key: &str, default: bool) -> bool {
        match section.get(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.must(&section.path(key), "true or false", other, Show::Open);
                default
            }
        }
    }

    /// The whole number at `key`, inside `bounds`.
    pub fn count(&mut self, section: &Section<'_>, key: &str, bounds: Bounds<u32>, default: u32) -> u32 {
        let Some(value) = section.get(key) else { return default };
        let count = value.as_u64().and_then(|n| u32::try_from(n).ok());
        match count.filter(|n| (bounds.least..=bounds.most).contains(n)) {
            Some(count) => count,
            None => {
                let must = format!("a whole number of {} to {}, without quotes", bounds.least, bounds.most);
                self.must(&section.path(key), &must, value, Show::Open);
                default
            }
        }
    }

    /// The quantity at `key`, with its unit, inside `bounds`.
    pub fn quantity<Q: Quantity>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        bounds: Bounds<Q>,
    ) -> Option<Q> {
        self.quantity_at(&section.path(key), section.get(key)?, bounds)
    }

    /// The quantity that stands at `path`.
    pub fn quantity_at<Q: Quantity>(&mut self, path: &str, value: &Value, bounds: Bounds<Q>) -> Option<Q> {
        let refused = match value {
            Value::String(text) => quantity::parse::<Q>(text),
            Value::Number(_) => Err(quantity::Refusal::NoUnit),
            _ => Err(quantity::Refusal::NotANumber),
        };
        let advice = match refused {
            Ok(quantity) if (bounds.least..=bounds.most).contains(&quantity) => return Some(quantity),
            Ok(_) => String::new(),
            Err(refusal) => refusal.advice::<Q>(),
        };
        let is = said(value, Show::Open);
        self.fault(path, format!("must be {} to {}{is}{advice}", bounds.least, bounds.most));
        None
    }

    /// A path in the file system.
    fn file(&mut self, section: &Section<'_>, key: &str, longest: usize, show: Show) -> Option<PathBuf> {
        let check = |text: &str| {
            if !text.starts_with('/') || text.contains('\0') {
                return Err("an absolute path".to_owned());
            }
            if text.len() > longest {
                return Err(format!("a path of at most {longest} bytes"));
            }
            Ok(())
        };
        self.text(section, key, show, check).map(PathBuf::from)
    }

    /// A command, one word each. The words may hold secrets (`curl` to a power socket), so they are not repeated.
    fn command(&mut self, section: &Section<'_>, key: &str) -> Option<Vec<String>> {
        let what = "words, like [\"/sbin/udhcpc\", \"-i\", \"eth1\"]";
        let words = self.list(section, key, Bounds { least: 0, most: bounds::WORDS }, what, Show::Secret)?;
        let mut command = Vec::new();
        for (place, (path, word)) in words.iter().enumerate() {
            match word.as_str() {
                Some("") if place == 0 => self.fault(path, "must be the program's name or path, is empty"),
                Some(text) if text.contains('\0') || text.len() > bounds::LONGEST_WORD => {
                    self.fault(path, format!("must be at most {} bytes without NUL", bounds::LONGEST_WORD));
                }
                Some(text) => command.push(text.to_owned()),
                None => self.must(path, "text", word, Show::Secret),
            }
        }
        Some(command)
    }

    // ---- the sections ----

    fn config(&mut self, tree: &Value) -> Option<Config> {
        let Value::Object(map) = tree else {
            self.faults.push(Fault {
                path: String::new(),
                words: format!("must be a table with the sections {}", SECTIONS.join(", ")),
                line: None,
                column: None,
            });
            return None;
        };
        let root = Section { path: String::new(), map: Some(map) };
        let device = self.device(&root);
        let line = self.line(&root);
        let promise = self.promise(&root);
        let probe = self.probe(&root);
        let speed = self.speed(&root);
        self.affordable(&root, &promise, &speed);
        let mut name = self.name(&root);
        let web = self.web(&root);
        let health = self.health(&root);
        let usage = self.usage(&root);
        let outage = self.outage(&root);
        let mut remedies = self.remedies(&root);
        match remedies.as_mut().map(|r| &mut r.driver) {
            Some(Driver::OpenWrt(openwrt)) => openwrt.interface.clone_from(&line.interface),
            Some(Driver::None | Driver::Linux(_) | Driver::Script { .. }) | None => {}
        }
        let callback = self.callback(&root);
        let programme = self.programme(&root);
        let telemetry = self.telemetry(&root);
        let privacy = self.privacy(&root);
        let commands = self.commands(&root);
        let desired = self.desired(&root);
        let mqtt = self.mqtt(&root);
        if name.known.is_empty() {
            name.known = known_name(&speed, mqtt.as_ref(), &probe);
        }
        let hooks = self.hooks(&root);
        let store = self.store(&root);
        let socket = self.status(&root);
        self.unknown(&root, SECTIONS);
        Some(Config {
            device: device?,
            line,
            promise,
            probe,
            speed,
            name,
            web,
            health,
            usage,
            outage,
            remedies: remedies?,
            callback,
            programme,
            telemetry,
            privacy,
            commands,
            desired,
            mqtt,
            hooks,
            store,
            socket,
        })
    }

    fn device(&mut self, root: &Section<'_>) -> Option<Device> {
        let section = self.section(root, "device");
        let id = self.text(&section, "id", Show::Open, |text| {
            let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            if text.is_empty() || text.len() > bounds::LONGEST_ID || !text.bytes().all(good) {
                return Err(format!("1 to {} of A-Z a-z 0-9 . _ -", bounds::LONGEST_ID));
            }
            Ok(())
        });
        if !section.has("id") {
            self.missing(&section.path("id"), "name this gateway, as no other of the operator's is named");
        }
        // It goes to the log: whose line it is, is nobody's there.
        let customer = self.text(&section, "customer", Show::Secret, |text| {
            let length = text.chars().count();
            if !(1..=bounds::LONGEST_CUSTOMER).contains(&length) || text.chars().any(char::is_control) {
                return Err(format!(
                    "1 to {} characters, none of them a control character",
                    bounds::LONGEST_CUSTOMER
                ));
            }
            Ok(())
        });
        let area = self.text(&section, "area", Show::Open, |text| {
            let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            let level = |level: &str| !level.is_empty() && level.bytes().all(good);
            if text.len() > bounds::LONGEST_AREA || !text.split('/').all(level) {
                return Err(format!(
                    "at most {} of A-Z a-z 0-9 . _ -, with single / between the levels",
                    bounds::LONGEST_AREA
                ));
            }
            Ok(())
        });
        let installed = self.text(&section, "installed", Show::Open, |text| {
            LocalTime::parse(text).map(|_| ()).map_err(|_| "a date like 2026-11-20T09:00:00+08:00".to_owned())
        });
        let languages = [("en", Language::En), ("zh-CN", Language::ZhCn)];
        let language = self.choice(&section, "language", &languages).unwrap_or(Language::En);
        self.unknown(&section, DEVICE);
        Some(Device {
            id: id?.to_owned(),
            customer: customer.map(str::to_owned),
            area: area.map(str::to_owned),
            installed: installed.and_then(|text| LocalTime::parse(text).ok()),
            language,
        })
    }

    fn line(&mut self, root: &Section<'_>) -> Line {
        let section = self.section(root, "line");
        let valid = |text: &str| {
            // The kernel's own rule: dev_valid_name().
            let bad = |c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace();
            let longest = bounds::LONGEST_DEVICE_NAME;
            if text.is_empty() || text.len() > longest || text == "." || text == ".." || text.contains(bad) {
                return Err(format!("a network device's name: 1 to {longest} bytes without space, / and :"));
            }
            Ok(())
        };
        let device = self.text(&section, "device", Show::Open, valid);
        let port = self.text(&section, "port", Show::Open, valid);
        let interface = self.text(&section, "interface", Show::Open, |text| {
            // UCI's own rule for names, and netifd's length.
            let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            let longest = bounds::LONGEST_INTERFACE_NAME;
            if text.is_empty() || text.len() > longest || !text.bytes().all(good) {
                return Err(format!("an interface's name in OpenWrt: 1 to {longest} of A-Z a-z 0-9 _"));
            }
            Ok(())
        });
        let metered = self.flag(&section, "metered", false);
        let protocols = [("dhcp", Protocol::Dhcp), ("pppoe", Protocol::Pppoe), ("static", Protocol::Static)];
        let protocol = self.choice(&section, "protocol", &protocols).unwrap_or_default();
        let path = section.path("port");
        if port.is_some() && protocol != Protocol::Pppoe {
            self.fault(&path, "is of lines with protocol = \"pppoe\" only: any other's port is its device");
        } else if port.is_some() && device.is_none() {
            self.missing(&section.path("device"), &format!("name the session's device, as {path} is named"));
        } else if port.is_some() && port == device {
            self.fault(&path, "must be another device than the session's");
        }
        self.unknown(&section, LINE);
        let (interface, port) = (interface.map(str::to_owned), port.map(str::to_owned));
        Line { device: device.map(str::to_owned), interface, metered, protocol, port }
    }

    fn promise(&mut self, root: &Section<'_>) -> Promise {
        let section = self.section(root, "promise");
        let promise = Promise {
            download: self.rates(&section, "download"),
            upload: self.rates(&section, "upload"),
            latency: self.quantity(&section, "latency", bounds::PROMISED_LATENCY),
            loss: self.quantity(&section, "loss", bounds::PROMISED_LOSS),
            rule: self.rule(&section),
            threshold: self
                .quantity(&section, "threshold", bounds::THRESHOLD)
                .unwrap_or(bounds::THRESHOLD_DEFAULT),
        };
        self.unknown(&section, PROMISE);
        promise
    }

    fn rule(&mut self, parent: &Section<'_>) -> Rule {
        let section = self.section(parent, "share");
        // Read in any case, so that the faults inside are told whatever the rule is.
        let short = self.count(&section, "short", bounds::SHARE, bounds::SHARE_SHORT_DEFAULT);
        let of = self.count(&section, "of", bounds::SHARE, bounds::SHARE_OF_DEFAULT);
        self.unknown(&section, SHARE);
        let rules =
            [Rule::Sequential, Rule::Bnetza2021, Rule::Ctu2021, Rule::Fcc8080, Rule::Share { short, of }]
                .map(|rule| (rule.name(), rule));
        let rule = self.choice(parent, "rule", &rules).unwrap_or(Rule::Sequential);
        match rule {
            Rule::Share { .. } if short > of => {
                self.fault(
                    &section.path("short"),
                    format!("must not be above {}, is {short} and that is {of}", section.path("of")),
                );
            }
            Rule::Share { .. } => {}
            Rule::Sequential | Rule::Bnetza2021 | Rule::Ctu2021 | Rule::Fcc8080 => {
                if parent.has("share") && parent.get("rule").is_none_or(|rule| rule != "share") {
                    self.fault(&section.path, "belongs to promise.rule = \"share\"");
                }
            }
        }
        rule
    }

    fn rates(&mut self, parent: &Section<'_>, key: &str) -> Rates {
        let section = self.section(parent, key);
        let mut rate = |key: &str| self.quantity(&section, key, bounds::PROMISED_RATE);
        let rates = Rates { minimum: rate("minimum"), normal: rate("normal"), maximum: rate("maximum") };
        let mut ordered = |low: &str, below: Option<_>, high: &str, above: Option<_>| {
            if let (Some(below), Some(above)) = (below, above)
                && below > above
            {
                let high = section.path(high);
                self.fault(
                    &section.path(low),
                    format!("must not be above {high}, is {below} and that is {above}"),
                );
            }
        };
        ordered("minimum", rates.minimum, "normal", rates.normal);
        ordered("normal", rates.normal, "maximum", rates.maximum);
        if rates.normal.is_none() {
            ordered("minimum", rates.minimum, "maximum", rates.maximum);
        }
        self.unknown(&section, RATES);
        rates
    }

    fn probe(&mut self, root: &Section<'_>) -> Probe {
        let section = self.section(root, "probe");
        let probe = Probe {
            targets: self.targets(&section),
            gateway: self.flag(&section, "gateway", bounds::GATEWAY_DEFAULT),
            interval: self
                .quantity(&section, "interval", bounds::INTERVAL)
                .unwrap_or(bounds::INTERVAL_DEFAULT),
            timeout: self.quantity(&section, "timeout", bounds::TIMEOUT).unwrap_or(bounds::TIMEOUT_DEFAULT),
            grace: self.quantity(&section, "grace", bounds::GRACE).unwrap_or(bounds::GRACE_DEFAULT),
        };
        self.unknown(&section, PROBE);
        probe
    }

    fn speed(&mut self, root: &Section<'_>) -> Speed {
        let section = self.section(root, "speed");
        let budget = self.section(&section, "budget");
        let quiet = self.section(&section, "quiet");
        let speed = Speed {
            servers: self.servers(&section),
            day: self.quantity(&budget, "day", bounds::DAY).unwrap_or(bounds::DAY_DEFAULT),
            month: self.quantity(&budget, "month", bounds::MONTH).unwrap_or(bounds::MONTH_DEFAULT),
            seconds: self.quantity(&section, "seconds", bounds::TEST).unwrap_or(bounds::TEST_DEFAULT),
            per_day: self.count(&section, "per_day", bounds::PER_DAY, bounds::PER_DAY_DEFAULT),
            quiet: Quiet {
                window: self
                    .quantity(&quiet, "window", bounds::QUIET_WINDOW)
                    .unwrap_or(bounds::QUIET_WINDOW_DEFAULT),
                share: self
                    .quantity(&quiet, "share", bounds::QUIET_SHARE)
                    .unwrap_or(bounds::QUIET_SHARE_DEFAULT),
            },
        };
        if speed.day > speed.month {
            self.fault(
                &budget.path("day"),
                format!(
                    "must not be above {}, is {} and that is {}",
                    budget.path("month"),
                    speed.day,
                    speed.month
                ),
            );
        }
        self.unknown(&budget, BUDGET);
        self.unknown(&quiet, QUIET);
        self.unknown(&section, SPEED);
        speed
    }

    fn servers(&mut self, section: &Section<'_>) -> Vec<String> {
        let items = self.list(section, "servers", bounds::SERVERS, "URLs", Show::Secret).unwrap_or_default();
        let mut servers: Vec<String> = Vec::new();
        for (path, item) in items {
            match item.as_str().map(|text| (text, host::server(text))) {
                None => self.must(&path, "text like \"http://speed.isp.example/\"", item, Show::Secret),
                Some((_, Err(words))) => self.fault(&path, words),
                Some((text, Ok(()))) if servers.iter().any(|known| known == text) => {
                    self.fault(&path, "is given twice");
                }
                Some((text, Ok(()))) => servers.push(text.to_owned()),
            }
        }
        servers
    }

    /// Tests that the budget never pays for would silently never be made.
    fn affordable(&mut self, root: &Section<'_>, promise: &Promise, speed: &Speed) {
        if speed.servers.is_empty() {
            return;
        }
        let least = [&promise.download, &promise.upload]
            .into_iter()
            .filter_map(|rates| rates.cost_most(bounds::TEST.least))
            .max();
        if let Some(least) = least.filter(|least| *least > speed.day) {
            let path = join(&join(&root.path("speed"), "budget"), "day");
            let seconds = bounds::TEST.least;
            self.fault(
                &path,
                format!("must pay for one test of {seconds} at the promised rate, {least}, is {}", speed.day),
            );
        }
    }

    fn targets(&mut self, section: &Section<'_>) -> Vec<Target> {
        if !section.has("targets") {
            self.missing(
                &section.path("targets"),
                "name whom to ask, as in [{ host = \"198.51.100.1\", role = \"anchor\" }]",
            );
        }
        let mut targets: Vec<Target> = Vec::new();
        let mut seen = BTreeSet::new();
        let items = self.list(section, "targets", bounds::TARGETS, "targets", Show::Open).unwrap_or_default();
        for (path, item) in items {
            let Value::Object(map) = item else {
                self.must(&path, "a table of host and role", item, Show::Open);
                continue;
            };
            let target = Section { path, map: Some(map) };
            let host = self.text(&target, "host", Show::Open, |text| Ok(host::check(text, false)?));
            let roles = [Role::Anchor, Role::World].map(|role| (role.name(), role));
            let role = self.choice(&target, "role", &roles);
            for key in TARGET.iter().filter(|key| !target.has(key)) {
                let why = match *key {
                    "host" => "an IPv4 or IPv6 address or a DNS name",
                    _ => "anchor (in the operator's network) or world (beyond it)",
                };
                self.missing(&target.path(key), why);
            }
            self.unknown(&target, TARGET);
            if let Some(host) = host
                && !seen.insert(same_host(host))
            {
                self.fault(&target.path("host"), format!("is asked already, is {}", quoted(host)));
            }
            if let (Some(host), Some(role)) = (host, role) {
                targets.push(Target { host: host.to_owned(), role });
            }
        }
        targets
    }

    /// Where no name is given that exists, it is empty.
    fn name(&mut self, root: &Section<'_>) -> Name {
        let section = self.section(root, "name");
        let mut resolvers: Vec<IpAddr> = Vec::new();
        let items =
            self.list(&section, "resolvers", bounds::RESOLVERS, "addresses", Show::Open).unwrap_or_default();
        for (path, item) in items {
            match item.as_str().map(host::address) {
                Some(Ok(address)) if resolvers.contains(&address) => self.fault(&path, "is given twice"),
                Some(Ok(address)) => resolvers.push(address),
                Some(Err(must)) => self.must(&path, must, item, Show::Open),
                None => self.must(&path, "text like \"192.0.2.53\"", item, Show::Open),
            }
        }
        let independent =
            self.text(&section, "independent", Show::Open, |text| Ok(host::address(text).map(|_| ())?));
        let independent = independent.and_then(|text| text.parse().ok());
        if independent.is_some_and(|address| resolvers.contains(&address)) {
            let resolvers = section.path("resolvers");
            self.fault(&section.path("independent"), format!("must be another than those of {resolvers}"));
        }
        let exists = self.text(&section, "exists", Show::Open, |text| Ok(host::name(text)?));
        let name = Name {
            resolvers,
            resolv_conf: self.file(&section, "resolv_conf", bounds::LONGEST_PATH, Show::Open),
            independent,
            known: exists.unwrap_or_default().to_owned(),
            every: self
                .quantity(&section, "every", bounds::SERVICE_EVERY)
                .unwrap_or(bounds::NAME_EVERY_DEFAULT),
        };
        self.unknown(&section, NAME);
        name
    }

    fn web(&mut self, root: &Section<'_>) -> Web {
        let section = self.section(root, "web");
        let url = self.text(&section, "url", Show::Secret, |text| match host::server(text) {
            Ok(()) if text.starts_with("http://") => Ok(()),
            Ok(()) => Err("by http://: by https:// a login page could not show itself".to_owned()),
            Err(words) => Err(words.trim_start_matches("must be ").to_owned()),
        });
        let body = self.text(&section, "body", Show::Open, |text| {
            let length = text.trim().len();
            if !(1..=bounds::LONGEST_BODY).contains(&length) {
                return Err(format!("1 to {} bytes beside white space", bounds::LONGEST_BODY));
            }
            Ok(())
        });
        let status = self.count(&section, "status", bounds::WEB_STATUS, bounds::WEB_STATUS_DEFAULT);
        for key in ["status", "body", "every"].into_iter().filter(|key| section.has(key)) {
            if !section.has("url") {
                self.missing(&section.path("url"), &format!("{} needs it", section.path(key)));
            }
        }
        if body.is_some() && (status == 204 || status == 304 || status < 200) {
            self.fault(
                &section.path("body"),
                format!("must be absent where the status is {status}: it has none"),
            );
        }
        let web = Web {
            url: url.map(str::to_owned),
            status: u16::try_from(status).unwrap_or(u16::MAX),
            body: body.map(|text| text.trim().to_owned()),
            every: self
                .quantity(&section, "every", bounds::SERVICE_EVERY)
                .unwrap_or(bounds::WEB_EVERY_DEFAULT),
        };
        self.unknown(&section, WEB);
        web
    }

    fn health(&mut self, root: &Section<'_>) -> Health {
        let section = self.section(root, "health");
        let share = bounds::HEALTH_SHARE;
        let health = Health {
            every: self
                .quantity(&section, "every", bounds::HEALTH_EVERY)
                .unwrap_or(bounds::HEALTH_EVERY_DEFAULT),
            readings: self.count(
                &section,
                "readings",
                bounds::HEALTH_READINGS,
                bounds::HEALTH_READINGS_DEFAULT,
            ),
            cpu: self.limits(&section, "cpu", share, bounds::CPU_DEFAULT, Bad::High),
            memory: self.limits(&section, "memory", share, bounds::MEMORY_DEFAULT, Bad::Low),
            flash: self.limits(&section, "flash", share, bounds::FLASH_DEFAULT, Bad::Low),
            temperature: self.limits(
                &section,
                "temperature",
                bounds::HEALTH_TEMPERATURE,
                bounds::TEMPERATURE_DEFAULT,
                Bad::High,
            ),
            conntrack: self.limits(&section, "conntrack", share, bounds::CONNTRACK_DEFAULT, Bad::High),
            port_errors: self.limits(&section, "port_errors", share, bounds::PORT_ERRORS_DEFAULT, Bad::High),
        };
        self.unknown(&section, HEALTH);
        health
    }

    fn usage(&mut self, root: &Section<'_>) -> Usage {
        let section = self.section(root, "usage");
        let usual = Usage::default();
        let usage = Usage {
            enabled: self.flag(&section, "enabled", usual.enabled),
            lasts: self.quantity(&section, "lasts", bounds::USAGE_LASTS).unwrap_or(usual.lasts),
            factor: self.count(&section, "factor", bounds::USAGE_FACTOR, usual.factor),
            least: self.quantity(&section, "least", bounds::USAGE_LEAST).unwrap_or(usual.least),
            weeks: self.count(&section, "weeks", bounds::USAGE_WEEKS, usual.weeks),
            callback: self.flag(&section, "callback", usual.callback),
        };
        self.unknown(&section, USAGE);
        usage
    }

    fn limits<Q: Quantity>(
        &mut self,
        parent: &Section<'_>,
        key: &str,
        bounds: Bounds<Q>,
        default: Limits<Q>,
        bad: Bad,
    ) -> Limits<Q> {
        let section = self.section(parent, key);
        let limits = Limits {
            failing: self.quantity(&section, "failing", bounds).unwrap_or(default.failing),
            recovering: self.quantity(&section, "recovering", bounds).unwrap_or(default.recovering),
        };
        let (wrong, side) = match bad {
            Bad::High => (limits.recovering >= limits.failing, "below"),
            Bad::Low => (limits.recovering <= limits.failing, "above"),
        };
        if wrong {
            let words = format!(
                "must be {side} {}, is {} and that is {}",
                section.path("failing"),
                limits.recovering,
                limits.failing
            );
            self.fault(&section.path("recovering"), words);
        }
        self.unknown(&section, LIMITS);
        limits
    }

    fn outage(&mut self, root: &Section<'_>) -> Outage {
        let section = self.section(root, "outage");
        let patience =
            self.quantity(&section, "patience", bounds::PATIENCE).unwrap_or(bounds::PATIENCE_DEFAULT);
        let hold_down =
            self.quantity(&section, "hold_down", bounds::HOLD_DOWN).unwrap_or(bounds::HOLD_DOWN_DEFAULT);
        if patience > hold_down {
            self.fault(
                &section.path("patience"),
                format!("must not be above outage.hold_down, is {patience} and that is {hold_down}"),
            );
        }
        let outage = Outage {
            patience,
            hold_down,
            flapping: self.count(&section, "flapping", bounds::FLAPPING, bounds::FLAPPING_DEFAULT),
            veto: self.quantity(&section, "veto", bounds::VETO).unwrap_or(bounds::VETO_DEFAULT),
        };
        self.unknown(&section, OUTAGE);
        outage
    }

    fn remedies(&mut self, root: &Section<'_>) -> Option<Remedies> {
        let section = self.section(root, "remedies");
        let ladder = self.ladder(&section);
        let driver = self.driver(&section, &ladder);
        let again = self.quantity(&section, "again", bounds::AGAIN).unwrap_or(bounds::AGAIN_DEFAULT);
        let limits = self.rungs(&section);
        let learning = self.flag(&section, "learning", true);
        self.unknown(&section, REMEDIES);
        Some(Remedies { driver: driver?, ladder, limits, again, learning })
    }

    fn ladder(&mut self, section: &Section<'_>) -> Vec<Rung> {
        let bounds = Bounds { least: 0, most: Rung::ALL.len() };
        let Some(items) = self.list(section, "ladder", bounds, "rungs", Show::Open) else {
            return bounds::LADDER_DEFAULT.to_vec();
        };
        let mut ladder = Vec::new();
        for (path, item) in items {
            match Rung::ALL.into_iter().find(|rung| item.as_str() == Some(rung.name())) {
                None => self.must(&path, &alternatives(RUNGS), item, Show::Open),
                Some(rung) if ladder.contains(&rung) => {
                    self.fault(&path, format!("is on the ladder already, is {}", quoted(rung.name())));
                }
                Some(rung) => ladder.push(rung),
            }
        }
        ladder
    }

    /// The driver, which must be able to carry out the ladder.
    fn driver(&mut self, section: &Section<'_>, ladder: &[Rung]) -> Option<Driver> {
        #[derive(Clone, Copy, PartialEq)]
        enum Name {
            None,
            Linux,
            OpenWrt,
            Script,
        }
        // Read in any case, so that the faults inside are told whatever the driver is.
        let linux = LinuxDriver {
            dhcp_client: self.command(section, "dhcp_client").unwrap_or_default(),
            dhcp_pidfile: self.file(section, "dhcp_pidfile", bounds::LONGEST_PATH, Show::Open),
            other_resolver: self.command(section, "other_resolver").unwrap_or_default(),
            restart_network: self.command(section, "restart_network").unwrap_or_default(),
            power_modem: self.command(section, "power_modem").unwrap_or_default(),
            reboot: self.command(section, "reboot").unwrap_or_else(|| vec!["reboot".to_owned()]),
        };
        let program = self.file(section, "program", bounds::LONGEST_PATH, Show::Open);
        let names = [
            ("none", Name::None),
            ("linux", Name::Linux),
            ("openwrt", Name::OpenWrt),
            ("script", Name::Script),
        ];
        let name = match self.choice(section, "driver", &names) {
            Some(name) => name,
            None if section.has("driver") => return None,
            None => Name::None,
        };
        for key in LINUX_ONLY.iter().filter(|key| section.has(key) && name != Name::Linux) {
            self.fault(&section.path(key), "belongs to remedies.driver = \"linux\"");
        }
        let runs = matches!(name, Name::Linux | Name::OpenWrt);
        for key in RUN_KEYS.iter().filter(|key| section.has(key) && !runs) {
            self.fault(&section.path(key), "belongs to remedies.driver = \"linux\" or \"openwrt\"");
        }
        if section.has("program") && name != Name::Script {
            self.fault(&section.path("program"), "belongs to remedies.driver = \"script\"");
        }
        match name {
            Name::None => Some(Driver::None),
            Name::Linux => {
                let needs = |rung: &Rung| match rung {
                    Rung::Renew => (!section.has("dhcp_pidfile")).then_some("dhcp_pidfile"),
                    // Without a DHCP client the line has a fixed address, and `ip link` is enough.
                    Rung::RestartInterface => None,
                    Rung::OtherResolver => linux.other_resolver.is_empty().then_some("other_resolver"),
                    Rung::RestartNetwork => linux.restart_network.is_empty().then_some("restart_network"),
                    Rung::PowerModem => linux.power_modem.is_empty().then_some("power_modem"),
                    Rung::Reboot => linux.reboot.is_empty().then_some("reboot"),
                };
                for rung in ladder {
                    if let Some(key) = needs(rung) {
                        let (rung, key) = (rung.name(), section.path(key));
                        self.fault(
                            &section.path("ladder"),
                            format!("has {rung}, for which the linux driver needs {key}"),
                        );
                    }
                }
                Some(Driver::Linux(linux))
            }
            Name::OpenWrt => {
                let LinuxDriver { other_resolver, power_modem, .. } = linux;
                for (rung, key, command) in [
                    (Rung::OtherResolver, "other_resolver", &other_resolver),
                    (Rung::PowerModem, "power_modem", &power_modem),
                ] {
                    if ladder.contains(&rung) && command.is_empty() {
                        let (rung, key) = (rung.name(), section.path(key));
                        self.fault(
                            &section.path("ladder"),
                            format!("has {rung}, for which the openwrt driver needs {key}"),
                        );
                    }
                }
                Some(Driver::OpenWrt(OpenWrtDriver { interface: None, other_resolver, power_modem }))
            }
            Name::Script => {
                if !section.has("program") {
                    self.missing(&section.path("program"), "the script driver needs a program to run");
                }
                Some(Driver::Script { program: program? })
            }
        }
    }

    fn rungs(&mut self, section: &Section<'_>) -> [RungLimits; 6] {
        let mut limits = bounds::RUNGS_DEFAULT;
        let limit = self.section(section, "limit");
        let settle = self.section(section, "settle");
        let per_day = self.section(section, "per_day");
        let per_incident = self.section(section, "per_incident");
        for (rung, of) in Rung::ALL.iter().zip(limits.iter_mut()) {
            let key = rung.name();
            of.limit = self.quantity(&limit, key, bounds::RUNG_LIMIT).unwrap_or(of.limit);
            of.settle = self.quantity(&settle, key, bounds::RUNG_SETTLE).unwrap_or(of.settle);
            of.per_day = self.count(&per_day, key, bounds::RUNG_PER_DAY, of.per_day);
            let often = match rung {
                Rung::Reboot => bounds::REBOOTS_PER_INCIDENT,
                _ => bounds::RUNG_PER_INCIDENT,
            };
            of.per_incident = self.count(&per_incident, key, often, of.per_incident);
        }
        for table in [limit, settle, per_day, per_incident] {
            self.unknown(&table, RUNGS);
        }
        limits
    }

    fn callback(&mut self, root: &Section<'_>) -> Callback {
        let section = self.section(root, "callback");
        let callback = Callback {
            after: self.quantity(&section, "after", bounds::AFTER).unwrap_or(bounds::AFTER_DEFAULT),
            quality: self.quantity(&section, "quality", bounds::QUALITY).unwrap_or(bounds::QUALITY_DEFAULT),
            receipt: self.quantity(&section, "receipt", bounds::RECEIPT).unwrap_or(bounds::RECEIPT_DEFAULT),
            warnings: self.warnings(&section),
        };
        self.unknown(&section, CALLBACK);
        callback
    }

    fn warnings(&mut self, section: &Section<'_>) -> Vec<Reading> {
        let names = Reading::ALL.map(Reading::name);
        let mut warnings = Vec::new();
        let written = self.list(section, "warnings", bounds::WARNINGS, "warnings", Show::Open);
        for (path, value) in written.unwrap_or_default() {
            match Reading::ALL.into_iter().find(|reading| value.as_str() == Some(reading.name())) {
                None => self.must(&path, &alternatives(&names), value, Show::Open),
                Some(reading) if warnings.contains(&reading) => {
                    self.fault(&path, format!("names {:?} a second time", reading.name()));
                }
                Some(reading) => warnings.push(reading),
            }
        }
        warnings
    }

    fn programme(&mut self, root: &Section<'_>) -> Programme {
        let section = self.section(root, "programme");
        let mut after: Vec<Span> = Vec::new();
        let written = self.list(&section, "after", bounds::PROGRAMME, "times", Show::Open);
        let given = written.is_some();
        for (path, value) in written.unwrap_or_default() {
            let Some(span) = self.quantity_at(&path, value, bounds::PROGRAMME_AFTER) else { continue };
            if after.last().is_some_and(|last| *last >= span) {
                self.fault(&path, format!("must be later than the one before it, is {span}"));
            }
            after.push(span);
        }
        self.unknown(&section, PROGRAMME);
        Programme { after: if given { after } else { bounds::PROGRAMME_DEFAULT.to_vec() } }
    }

    fn telemetry(&mut self, root: &Section<'_>) -> Telemetry {
        let section = self.section(root, "telemetry");
        let every = self.quantity(&section, "every", bounds::EVERY).unwrap_or(bounds::EVERY_DEFAULT);
        let all = Group::ALL.map(|group| (group.name(), group));
        let fields = self.groups(&section, "fields", bounds::GROUPS, &all);
        self.unknown(&section, TELEMETRY);
        let every = Some(every).filter(|_| !fields.is_empty());
        Telemetry { every, fields }
    }

    fn privacy(&mut self, root: &Section<'_>) -> Privacy {
        let section = self.section(root, "privacy");
        let addresses = self.choice(&section, "addresses", &[("masked", false), ("full", true)]);
        let all = Shared::ALL.map(|group| (group.name(), group));
        let fields = self.groups(&section, "fields", bounds::SHARED, &all);
        self.unknown(&section, PRIVACY);
        Privacy { full_addresses: addresses.unwrap_or_default(), fields }
    }

    /// Some of `all`, each once; all where nothing is written.
    fn groups<T: Copy>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        bounds: Bounds<usize>,
        all: &[(&'static str, T)],
    ) -> Vec<T> {
        let Some(written) = self.list(section, key, bounds, "groups", Show::Open) else {
            return all.iter().map(|(_, group)| *group).collect();
        };
        let mut named: Vec<&str> = Vec::new();
        let mut groups = Vec::new();
        for (path, value) in written {
            match all.iter().find(|(name, _)| value.as_str() == Some(name)) {
                Some((name, _)) if named.contains(name) => {
                    self.fault(&path, format!("names {name:?} a second time"));
                }
                Some((name, group)) => {
                    named.push(name);
                    groups.push(*group);
                }
                None => {
                    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
                    self.must(&path, &alternatives(&names), value, Show::Open);
                }
            }
        }
        groups
    }

    fn commands(&mut self, root: &Section<'_>) -> Commands {
        let section = self.section(root, "commands");
        let written = self.list(&section, "allow", bounds::COMMANDS, "commands", Show::Open);
        let names = CommandName::ALL.map(CommandName::name);
        let mut allow: Vec<CommandName> = Vec::new();
        let given = written.is_some();
        for (path, value) in written.unwrap_or_default() {
            match CommandName::ALL.into_iter().find(|c| value.as_str() == Some(c.name())) {
                None => self.must(&path, &alternatives(&names), value, Show::Open),
                Some(name) if allow.contains(&name) => {
                    self.fault(&path, format!("is allowed already, is {}", quoted(name.name())));
                }
                Some(name) => allow.push(name),
            }
        }
        let mut key = None;
        self.text(&section, "key", Show::Open, |text| {
            key = hex::<32>(text);
            let must = "an Ed25519 public key, 64 hexadecimal digits";
            key.map(|_| ()).ok_or_else(|| must.to_owned())
        });
        self.unknown(&section, COMMANDS);
        Commands { allow: if given { allow } else { bounds::COMMANDS_DEFAULT.to_vec() }, key }
    }

    fn desired(&mut self, root: &Section<'_>) -> Desired {
        let section = self.section(root, "desired");
        let desired = Desired {
            accept: self.flag(&section, "accept", true),
            within: self.quantity(&section, "within", bounds::WITHIN).unwrap_or(bounds::WITHIN_DEFAULT),
        };
        self.unknown(&section, DESIRED);
        desired
    }

    fn mqtt(&mut self, root: &Section<'_>) -> Option<Mqtt> {
        let section = self.section(root, "mqtt");
        section.map?;
        let brokers = self.brokers(&section);
        let mut file = |key: &str| self.file(&section, key, bounds::LONGEST_PATH, Show::Secret);
        let (ca, certificate, key) = (file("ca"), file("certificate"), file("key"));
        let password_file = file("password_file");
        let username = self.text(&section, "username", Show::Secret, |text| {
            let length = text.len();
            if !(1..=bounds::LONGEST_USERNAME).contains(&length) || text.chars().any(char::is_control) {
                return Err(format!("1 to {} bytes without control characters", bounds::LONGEST_USERNAME));
            }
            Ok(())
        });
        let versions = [("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)];
        let tls = self.choice(&section, "tls", &versions).unwrap_or(TlsVersion::V13);
        let keep_alive = self.quantity(&section, "keep_alive", bounds::KEEP_ALIVE);
        let reconnect = self.quantity(&section, "reconnect", bounds::RECONNECT);
        let session = self.quantity(&section, "session", bounds::SESSION);
        for (key, span) in [("keep_alive", keep_alive), ("session", session)] {
            if let Some(span) = span.filter(|span| !span.0.is_multiple_of(1_000)) {
                self.fault(
                    &section.path(key),
                    format!("must be whole seconds, as MQTT counts it, is {span}"),
                );
            }
        }
        self.together(&section, "certificate", "key");
        self.together(&section, "username", "password_file");
        if let Some(brokers) = &brokers
            && !brokers.iter().any(|broker| broker.tls)
        {
            for key in ["ca", "certificate", "key", "tls"].into_iter().filter(|key| section.has(key)) {
                self.fault(&section.path(key), "belongs to mqtts://, and the broker is reached by mqtt://");
            }
        }
        self.unknown(&section, MQTT);
        Some(Mqtt {
            brokers: brokers?,
            ca,
            client: certificate.zip(key),
            login: username.map(str::to_owned).zip(password_file),
            tls,
            keep_alive: keep_alive.unwrap_or(bounds::KEEP_ALIVE_DEFAULT),
            reconnect: reconnect.unwrap_or(bounds::RECONNECT_DEFAULT),
            session: session.unwrap_or(bounds::SESSION_DEFAULT),
        })
    }

    /// Two keys of which one without the other is of no use.
    fn together(&mut self, section: &Section<'_>, one: &str, other: &str) {
        for (has, lacks) in [(one, other), (other, one)] {
            if section.has(has) && !section.has(lacks) {
                self.missing(&section.path(lacks), &format!("{} needs it", section.path(has)));
            }
        }
    }

    /// The brokers; `None` if there was a fault in them.
    fn brokers(&mut self, section: &Section<'_>) -> Option<Vec<Broker>> {
        let path = section.path("broker");
        let written = match (section.get("broker"), section.has("brokers")) {
            (Some(_), true) => {
                self.fault(&path, "must not be given beside mqtt.brokers; put both into that list");
                return None;
            }
            (Some(one), false) => vec![(path, one)],
            (None, true) => self.list(section, "brokers", bounds::BROKERS, "URLs", Show::Secret)?,
            (None, false) => {
                self.missing(&path, "where the platform is, as in \"mqtts://broker.isp.example:8883\"");
                return None;
            }
        };
        let mut brokers: Vec<Broker> = Vec::new();
        let mut whole = !written.is_empty();
        for (path, value) in written {
            let Value::String(text) = value else {
                self.must(&path, "text like \"mqtts://broker.isp.example:8883\"", value, Show::Secret);
                whole = false;
                continue;
            };
            match host::broker(text) {
                Err(words) => {
                    self.fault(&path, words);
                    whole = false;
                }
                Ok(broker) => {
                    if brokers
                        .iter()
                        .any(|b| same_host(&b.host) == same_host(&broker.host) && b.port == broker.port)
                    {
                        self.fault(&path, "is given twice");
                    }
                    brokers.push(broker);
                }
            }
        }
        whole.then_some(brokers)
    }

    fn hooks(&mut self, root: &Section<'_>) -> Option<Hooks> {
        let section = self.section(root, "hooks");
        section.map?;
        let program = self.file(&section, "program", bounds::LONGEST_PATH, Show::Open);
        if !section.has("program") {
            self.missing(&section.path("program"), "name the program that is to be run");
        }
        let on = self.hooks_on(&section);
        let limit =
            self.quantity(&section, "limit", bounds::HOOK_LIMIT).unwrap_or(bounds::HOOK_LIMIT_DEFAULT);
        self.unknown(&section, HOOKS);
        Some(Hooks { program: program?, on, limit })
    }

    fn hooks_on(&mut self, section: &Section<'_>) -> Vec<HookOn> {
        let bounds = Bounds { least: 1, most: HookOn::ALL.len() };
        let Some(items) = self.list(section, "on", bounds, "changes", Show::Open) else {
            return HookOn::ALL.to_vec();
        };
        let mut on = Vec::new();
        for (path, item) in items {
            match HookOn::ALL.into_iter().find(|what| item.as_str() == Some(what.name())) {
                None => self.must(&path, &alternatives(&HookOn::ALL.map(HookOn::name)), item, Show::Open),
                Some(what) if on.contains(&what) => {
                    self.fault(&path, format!("is given twice, is {}", quoted(what.name())));
                }
                Some(what) => on.push(what),
            }
        }
        on
    }

    fn store(&mut self, root: &Section<'_>) -> Store {
        let section = self.section(root, "store");
        let store = Store {
            directory: self
                .file(&section, "directory", bounds::LONGEST_PATH, Show::Open)
                .unwrap_or_else(|| PathBuf::from(bounds::DIRECTORY_DEFAULT)),
            outbox: self.quantity(&section, "outbox", bounds::OUTBOX).unwrap_or(bounds::OUTBOX_DEFAULT),
        };
        self.unknown(&section, STORE);
        store
    }

    fn status(&mut self, root: &Section<'_>) -> PathBuf {
        let section = self.section(root, "status");
        let socket = self.file(&section, "socket", bounds::LONGEST_SOCKET_PATH, Show::Open);
        self.unknown(&section, STATUS);
        socket.unwrap_or_else(|| PathBuf::from(bounds::SOCKET_DEFAULT))
    }
}

/// On which side of its limit a reading is bad.
#[derive(Clone, Copy, PartialEq)]
enum Bad {
    High,
    Low,
}

/// The first name that the operator has written down anyway.
fn known_name(speed: &Speed, mqtt: Option<&Mqtt>, probe: &Probe) -> String {
    let servers = speed.servers.iter().filter_map(|url| host::of_url(url));
    let brokers = mqtt.iter().flat_map(|mqtt| &mqtt.brokers).map(|broker| broker.host.as_str());
    let targets = probe.targets.iter().map(|target| target.host.as_str());
    let mut all = servers.chain(brokers).chain(targets);
    all.find(|host| host::name(host).is_ok()).unwrap_or(bounds::KNOWN_DEFAULT).to_owned()
}

/// So many bytes, written as twice as many hexadecimal digits.
pub fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(pair[0])? * 16 + digit(pair[1])?;
    }
    Some(bytes)
}

/// `, is …`: what was written, if it may be repeated.
fn said(value: &Value, show: Show) -> String {
    let is = match value {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        Value::String(_) if show == Show::Secret => return String::new(),
        Value::Number(_) | Value::Bool(_) if show == Show::Secret => "no text".to_owned(),
        Value::String(text) => quoted(text),
        other => other.to_string().chars().take(40).collect(),
    };
    format!(", is {is}")
}

/// `a, b or c`
pub fn alternatives(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// Equal for two ways of writing one host.
fn same_host(host: &str) -> String {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.to_ascii_lowercase(),
    }
}
