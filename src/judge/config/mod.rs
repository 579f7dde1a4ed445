//! Configuration: turns what people write into a checked [`Config`], or reports every fault at once.
//!
//! People write TOML; OpenWrt's init script turns UCI into JSON. Both become one tree of values, which [`read`](read::read())
//! turns into a [`Config`]. Quantities carry their unit in the text; bare numbers exist only in that tree.
//!
//! Each key is declared once, in the file of its section, by the macro in [`options`]. Sections are listed in [`mod@read`].

pub mod bounds;
pub mod callback;
mod commands;
pub mod desired;
mod device;
pub mod fault;
mod health;
mod hooks;
mod host;
pub(crate) mod kinds;
mod line;
mod mqtt;
pub mod name;
pub mod options;
pub mod outage;
mod pattern;
mod probe;
mod promise;
pub mod quantity;
pub mod read;
pub mod reader;
mod remedies;
pub mod service;
mod speed;
mod store;
mod telemetry;
pub mod usage;
mod web;

pub use callback::{Callback, Programme};
pub use commands::{Commands, Desired};
pub use device::{Device, Language};
pub use fault::{Fault, Faults, Places};
pub use health::{Health, Limits};
pub use hooks::{HookOn, Hooks};
pub use host::Broker;
pub use kinds::hex;
pub use line::Line;
pub use mqtt::{Mqtt, TlsVersion};
pub use name::Name;
pub use outage::Outage;
pub use probe::{Probe, Role, Target};
pub use promise::{Promise, Rates, Rule, Share};
pub use read::{Config, KEYS, read};
pub use remedies::{Driver, LinuxDriver, OpenWrtDriver, Remedies, RungLimits};
pub use speed::{Budget, Quiet, Speed};
pub use store::{Status, Store};
pub use telemetry::{Group, Privacy, Shared, Telemetry};
pub use usage::Usage;
pub use web::Web;
