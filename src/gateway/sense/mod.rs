//! The sensors. Each one knows the operating system; none knows a threshold.
//!
//! Each sensor is a task that sends [`Observation`](linekeeper_judge::observation::Observation)s over a bounded channel
//! until the receiver is gone. When it cannot work, it reports
//! [`PartSeen`](linekeeper_judge::observation::Observation::PartSeen) with the reason and keeps trying.
//!
//! A new sensor is one file here and one line in `run`, where the sensors are started.

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
pub mod unicast;
mod wan;
pub mod web;

/// Runs every parser of /proc, /sys and resolver files on `bytes` and discards the results: for tests with hostile
/// input.
pub fn parse_and_discard(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    throughput::cpu::parse_and_discard(&text);
    port::megabits(&text);
    name::nameservers(&text, Some("wan"));
    access::parse_and_discard(bytes);
}
