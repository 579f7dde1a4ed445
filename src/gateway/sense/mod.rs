//! The sensors: each knows the operating system, none knows a threshold.
//!
//! Each is a task that tells [`Observation`](linekeeper_judge::observation::Observation)s over a bounded channel and lives until
//! nobody listens. What it cannot do it says in a [`PartSeen`](linekeeper_judge::observation::Observation::PartSeen), and goes on
//! trying.

pub mod access;
pub mod check;
pub mod counters;
pub mod device;
pub mod echo;
pub mod http;
pub mod interface;
pub mod link;
pub mod name;
mod netlink;
mod port;
pub mod throughput;
mod wan;
pub mod web;

/// Lets all that reads files of /proc, /sys and the resolver have `bytes` as their content, and throws away what they make of
/// it: the door for tests with hostile bytes.
pub fn swallow(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    throughput::cpu::swallow(&text);
    port::megabits(&text);
    name::nameservers(&text);
    access::swallow(bytes);
}
