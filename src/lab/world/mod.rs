//! The internet in small: nine network namespaces, and the ways in which they break.
//!
//! Addresses come from the ranges for documentation (RFC 5737) and for benchmarks (RFC 2544, 198.18.0.0/15). Build it
//! inside an [`enclosure`](crate::enclosure): it wants to be root of its own `/run`.

mod faults;
mod hosts;
mod iproute;
mod network;
mod process;

pub use hosts::{ANCHOR, BACKUP, Host, ISP, LAN_HOST, LEASE, PLATFORM, WAN, WORLD, WORLD2};
pub use iproute::{NAMES, enter_namespace, ip};
pub use network::World;
pub use process::Process;
