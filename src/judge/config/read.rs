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

/// The type that declares a section's keys: that of the field, where no other is named.
macro_rules! declares {
    ($type:ty) => {
        $type
    };
    ($type:ty, $section:ty) => {
        $section
    };
}

/// The field's value: its section, where it is not said how it comes of one.
macro_rules! value {
    ($reader:expr, $root:expr) => {
        section($reader, $root)
    };
    ($reader:expr, $root:expr, $read:expr) => {
        $read
    };
}

/// Declares the sections: the field of [`Config`], and where they differ from it, the type that declares the section's keys
/// and how the field is read.
macro_rules! sections {
    (
        |$reader:ident, $root:ident|
        $($(#[$doc:meta])* $field:ident: $type:ty $(, of $section:ty = $read:expr)?;)*
        => $finally:block
    ) => {
        /// The complete, checked configuration.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $($(#[$doc])* pub $field: $type,)*
        }

        /// Each section with its keys.
        pub const KEYS: &[(&str, &[&str])] = &[$((
            <declares!($type $(, $section)?)>::SECTION,
            <declares!($type $(, $section)?)>::KEYS,
        )),*];

        /// Whether the platform may set the keys, in the order of [`KEYS`].
        pub(super) const RIGHTS: &[&[Right]] = &[$(<declares!($type $(, $section)?)>::RIGHTS),*];

        /// The table of options.
        pub fn options() -> Vec<Heading> {
            vec![$(<declares!($type $(, $section)?)>::heading()),*]
        }

        /// The notes of the table, in the same order. A gateway does not need them.
        pub fn notes() -> Vec<HeadingNote> {
            vec![$(<declares!($type $(, $section)?)>::heading_note()),*]
        }

        #[allow(unused_mut, reason = "only some are changed at the end")]
        fn config($reader: &mut Reader<'_>, $root: &Section<'_>) -> Config {
            $(let mut $field: $type = value!($reader, $root $(, $read)?);)*
            $finally
            Config { $($field),* }
        }
    };
}

// In the order in which people want to read them. A new section is an entry here.
sections! {
    |reader, root|
    /// The gateway's identity.
    device: Device;
    /// Which line is watched.
    line: Line;
    /// How it is watched.
    probe: Probe;
    /// What the contract promises.
    promise: Promise;
    /// How its speed is tested.
    speed: Speed;
    /// Which DNS servers are queried, and for what.
    name: Name;
    /// Which web page is fetched to detect a login page.
    web: Web;
    /// When the gateway itself is in trouble.
    health: Health;
    /// When the traffic is unusual.
    usage: Usage;
    /// When silence counts as an outage, and which breaks form one incident.
    outage: Outage;
    /// What may be done about it.
    remedies: Remedies, of remedies::Written =
        section::<remedies::Written>(reader, root).remedies(reader, root, line.interface.as_ref());
    /// When the operator is asked to call the customer.
    callback: Callback;
    /// The follow-up calls of a new installation.
    programme: Programme;
    /// The periodic summaries.
    telemetry: Telemetry;
    /// What may leave the gateway.
    privacy: Privacy;
    /// Which commands the platform may give.
    commands: Commands;
    /// What the platform may configure.
    desired: Desired;
    /// How to reach the platform. `None`: nothing is reported (a gateway that only repairs).
    mqtt: Option<Mqtt>, of mqtt::Written = section_if_written(reader, root).map(mqtt::Written::mqtt);
    /// Which program runs when something changes. `None`: none.
    hooks: Option<Hooks>, of Hooks = section_if_written(reader, root);
    /// What is kept on flash.
    store: Store;
    /// The status socket.
    socket: PathBuf, of Status = section::<Status>(reader, root).socket;
    => {
        speed.affordable(reader, root, &promise);
        if name.known.is_empty() {
            name.known = known_name(&speed, mqtt.as_ref(), &probe);
        }
    }
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

/// The first DNS name that the configuration contains anyway.
fn known_name(speed: &Speed, mqtt: Option<&Mqtt>, probe: &Probe) -> String {
    let servers = speed.servers.iter().filter_map(|url| host::of_url(url));
    let brokers = mqtt.iter().flat_map(|mqtt| &mqtt.brokers).map(|broker| broker.host.as_str());
    let targets = probe.targets.iter().map(|target| target.host.as_str());
    let mut all = servers.chain(brokers).chain(targets);
    all.find(|host| host::name(host).is_ok()).unwrap_or(KNOWN_DEFAULT).to_owned()
}
