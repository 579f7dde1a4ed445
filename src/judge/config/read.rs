//! Turns the tree of written values into a [`Config`] and reports every fault at once.
//!
//! Each section is read by the code that [`options!`](super::options) generates from its table. If a value is missing or
//! invalid, the fault is noted and reading continues with the default; a result is returned only if there was no fault.
//! Contradictions between sections are checked here, those within a section in its own file.

use super::bounds::KNOWN_DEFAULT;
use super::callback::{Callback, Programme};
use super::commands::{Commands, Desired};
use super::device::Device;
use super::fault::{Fault, Faults, Places};
use super::health::Health;
use super::hooks::Hooks;
use super::line::Line;
use super::mqtt::Mqtt;
use super::name::Name;
use super::options::{Declared, Headed, Heading, HeadingNote, Right, section, section_if_written};
use super::outage::Outage;
use super::probe::Probe;
use super::promise::Promise;
use super::reader::{Reader, Section};
use super::remedies::{Driver, Remedies};
use super::speed::Speed;
use super::store::{Status, Store};
use super::telemetry::{Privacy, Telemetry};
use super::usage::Usage;
use super::web::Web;
use super::{host, mqtt, remedies};
use serde_json::Value;
use std::path::PathBuf;

/// The complete, checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The gateway's identity.
    pub device: Device,
    /// Which line is watched.
    pub line: Line,
    /// What the contract promises.
    pub promise: Promise,
    /// How it is watched.
    pub probe: Probe,
    /// How its speed is tested.
    pub speed: Speed,
    /// Which DNS servers are queried, and for what.
    pub name: Name,
    /// Which web page is fetched to detect a login page.
    pub web: Web,
    /// When the gateway itself is in trouble.
    pub health: Health,
    /// When the traffic is unusual.
    pub usage: Usage,
    /// When silence counts as an outage, and which breaks form one incident.
    pub outage: Outage,
    /// What may be done about it.
    pub remedies: Remedies,
    /// When the operator is asked to call the customer.
    pub callback: Callback,
    /// The follow-up calls of a new installation.
    pub programme: Programme,
    /// The periodic summaries.
    pub telemetry: Telemetry,
    /// What may leave the gateway.
    pub privacy: Privacy,
    /// Which commands the platform may give.
    pub commands: Commands,
    /// What the platform may configure.
    pub desired: Desired,
    /// How to reach the platform. `None`: nothing is reported (a gateway that only repairs).
    pub mqtt: Option<Mqtt>,
    /// Which program runs when something changes. `None`: none.
    pub hooks: Option<Hooks>,
    /// What is kept on flash.
    pub store: Store,
    /// The status socket.
    pub socket: PathBuf,
}

impl Config {
    /// The offset from UTC in which times are shown, minutes: that of `device.installed`, else 0.
    pub fn offset_minutes(&self) -> i16 {
        self.device.installed.map_or(0, |t| t.offset_minutes)
    }

    /// Whether OpenWrt's netifd is queried for the state of the interface: it is if netifd carries out the remedies, or if
    /// the interface is configured by name.
    pub fn asks_netifd(&self) -> bool {
        self.line.interface.is_some() || matches!(self.remedies.driver, Driver::OpenWrt(_))
    }
}

/// The sections, in the order in which people want to read them.
macro_rules! sections {
    ($($section:ty),* $(,)?) => {
        /// Each section with its keys.
        pub const KEYS: &[(&str, &[&str])] = &[$((<$section>::SECTION, <$section>::KEYS)),*];

        /// Whether the platform may set the keys, in the order of [`KEYS`].
        pub(super) const RIGHTS: &[&[Right]] = &[$(<$section>::RIGHTS),*];

        /// The table of options.
        pub fn options() -> Vec<Heading> {
            vec![$(<$section>::heading()),*]
        }

        /// The notes of the table, in the same order. A gateway does not need them.
        pub fn notes() -> Vec<HeadingNote> {
            vec![$(<$section>::heading_note()),*]
        }
    };
}

sections![
    Device,
    Line,
    Probe,
    Promise,
    Speed,
    Name,
    Web,
    Health,
    Usage,
    Outage,
    remedies::Written,
    Callback,
    Programme,
    Telemetry,
    Privacy,
    Commands,
    Desired,
    mqtt::Written,
    Hooks,
    Store,
    Status,
];

/// Turns a tree into a configuration.
///
/// `places` says on which line of the text each key stands, so far as that is known.
///
/// # Errors
/// Every fault, each with its key, what must be, what is, and where.
pub fn read(tree: &Value, places: &Places) -> Result<Config, Faults> {
    let sections = KEYS.iter().map(|(section, _)| *section).collect::<Vec<_>>();
    let Value::Object(map) = tree else {
        let words = format!("must be a table with the sections {}", sections.join(", "));
        return Err(Faults(vec![Fault { path: String::new(), words, line: None, column: None }]));
    };
    let mut reader = Reader { faults: Vec::new(), places, keys: KEYS };
    let root = Section { path: String::new(), map: Some(map) };
    let config = config(&mut reader, &root);
    reader.unknown(&root, &sections);
    if reader.faults.is_empty() { Ok(config) } else { Err(Faults(reader.faults)) }
}

fn config(reader: &mut Reader<'_>, root: &Section<'_>) -> Config {
    let device = section(reader, root);
    let line: Line = section(reader, root);
    let promise = section(reader, root);
    let probe = section(reader, root);
    let speed: Speed = section(reader, root);
    speed.affordable(reader, root, &promise);
    let mut name: Name = section(reader, root);
    let web = section(reader, root);
    let health = section(reader, root);
    let usage = section(reader, root);
    let outage = section(reader, root);
    let remedies = section::<remedies::Written>(reader, root).remedies(reader, root, line.interface.as_ref());
    let callback = section(reader, root);
    let programme = section(reader, root);
    let telemetry = section(reader, root);
    let privacy = section(reader, root);
    let commands = section(reader, root);
    let desired = section(reader, root);
    let mqtt = section_if_written(reader, root).map(mqtt::Written::mqtt);
    if name.known.is_empty() {
        name.known = known_name(&speed, mqtt.as_ref(), &probe);
    }
    let hooks = section_if_written(reader, root);
    let store = section(reader, root);
    let Status { socket } = section(reader, root);
    Config {
        device,
        line,
        promise,
        probe,
        speed,
        name,
        web,
        health,
        usage,
        outage,
        remedies,
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
    }
}

/// The first DNS name that the configuration contains anyway.
fn known_name(speed: &Speed, mqtt: Option<&Mqtt>, probe: &Probe) -> String {
    let servers = speed.servers.iter().filter_map(|url| host::of_url(url));
    let brokers = mqtt.iter().flat_map(|mqtt| &mqtt.brokers).map(|broker| broker.host.as_str());
    let targets = probe.targets.iter().map(|target| target.host.as_str());
    let mut all = servers.chain(brokers).chain(targets);
    all.find(|host| host::name(host).is_ok()).unwrap_or(KNOWN_DEFAULT).to_owned()
}
