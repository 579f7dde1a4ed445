//! A small internet: nine network namespaces, and the faults that can be injected.
//!
//! Addresses come from the ranges for documentation (RFC 5737) and for benchmarks (RFC 2544, 198.18.0.0/15). Build it
//! inside an [`enclosure`](crate::enclosure): it needs to be root with a `/run` of its own.

mod faults;
mod hosts;
mod iproute;
mod network;
mod process;

pub use hosts::{ANCHOR, BACKUP, Host, ISP, LAN_HOST, LEASE, PLATFORM, WAN, WORLD, WORLD2};
pub use iproute::{NAMES, enter_namespace, ip};
pub use network::World;
pub use process::Process;
