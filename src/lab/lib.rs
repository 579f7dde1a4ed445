//! A small internet in network namespaces, with real packets: for the demo (`cargo demo`), the tests and the benchmarks.
//!
//! ```text
//!   lan ── gw ══ access ── isp ── core ─┬─ anchor    198.51.100.1
//!          ║    (bridge)  (DHCP)        ├─ world     203.0.113.53
//!          ║                            ├─ world2    192.0.2.80
//!          ╚═══════ backup ═════════════┴─ platform  198.18.250.10 (broker)
//! ```
//!
//! [`enclosure`] isolates everything from the host, [`world`] builds the network and injects faults, [`broker`] and
//! [`platform`] receive the messages, and [`story`] plays a minute of faults with the real agent.

pub mod agent;
pub mod broker;
pub mod clock;
mod command;
pub mod dhcp;
pub mod dns_server;
pub mod echo;
pub mod enclosure;
mod error;
pub mod platform;
pub mod pppoe;
pub mod speed_server;
pub mod stage;
pub mod story;
pub mod verb;
pub mod web_server;
pub mod world;

pub use command::run;
pub use enclosure::{Entered, enter};
pub use error::Error;
