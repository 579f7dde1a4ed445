//! A small real internet in network namespaces: for the demo (`linekeeper lab`), for tests and for benches.
//!
//! ```text
//!   lan ── gw ══ access ── isp ── core ─┬─ anchor    198.51.100.1
//!          ║    (bridge)  (DHCP)        ├─ world     203.0.113.53
//!          ║                            ├─ world2    192.0.2.80
//!          ╚═══════ backup ═════════════┴─ platform  198.18.250.10 (broker)
//! ```
//!
//! [`enclosure`] gives a place where nothing can leak from, [`world`] builds the network and breaks it, [`broker`] and
//! [`platform`] are the far end of the messages, [`story`] plays a minute of faults with the real agent.

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
