//! Checks of the access: is there a gateway, a DHCP server or a PPPoE concentrator at the other end of the WAN cable?
//!
//! Each check asks once, directly on the link ([`wire`]): routes, addresses and the firewall of this gateway do not affect
//! it. The result is a list of [`Reply`](linekeeper_judge::check::Reply)s: answered (by whom and how fast), refused,
//! silent, or not checked (and why). Nothing is taken: neither an offered lease nor an offered session is requested.
//!
//! - [`neighbour()`]: the gateway's link-layer address, by ARP or neighbour discovery.
//! - [`dhcp()`]: an offer of an IPv4 address. DHCPv6 is not checked: [`neighbour()`] and the echoes detect a line on which
//!   only IPv6 fails.
//! - [`pppoe()`]: an offer of a session.
//!
//! The last two cost a server work, so a [`Gate`] limits them.
//!
//! The checks need an Ethernet device. For a PPPoE line that is the device below the session (`eth1`, not `pppoe-wan`).
//! The caller has to name it: without a session, nothing in the kernel connects the two.

pub mod dhcp;
mod gate;
pub mod neighbour;
pub mod pppoe;
mod replies;
mod station;
mod udhcpc;
pub mod wire;

pub use dhcp::check_dhcp;
pub use gate::{BURST, Gate, Gates, HOURLY, REFILL, SPACING};
pub use neighbour::check_neighbour;
pub use pppoe::check_pppoe;

/// Runs the parsers of the DHCP client's command line and of the device's description on `bytes` and discards the
/// results: for tests with hostile input.
pub(super) fn parse_and_discard(bytes: &[u8]) {
    udhcpc::parse_and_discard(bytes);
    station::parse_and_discard(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use linekeeper_contract::units::Span;

    /// A check can be spawned only if its future is `Send`.
    #[test]
    fn checks_can_go_to_another_thread() {
        fn send<T: Send>(_: &T) {}
        let device = crate::sense::wan::WanDevice { name: "wan".into(), index: 2, interface: None };
        let gate = Gate::default();
        send(&check_neighbour(&device, None, Span::ZERO));
        send(&check_dhcp(&device, Span::ZERO, &gate));
        send(&check_pppoe(&device, Span::ZERO, &gate));
    }
}
