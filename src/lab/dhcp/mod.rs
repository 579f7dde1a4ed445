//! DHCP (RFC 2131) for the lab: a server for one access network, a client that behaves as busybox's `udhcpc` does.

pub mod client;
pub mod server;
mod wire;
