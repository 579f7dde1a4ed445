//! The access: is there a gateway, a DHCP server, a PPPoE concentrator at the other end of the WAN device's cable?
//!
//! Each asks once, on the link itself ([`wire`]): neither routes nor addresses nor a firewall of this gateway have a say in
//! it. What comes back is told as [`Reply`](linekeeper_judge::check::Reply)s: answered by whom and how fast, refused, silent, or not
//! checked and why. Nothing is taken: no lease is requested of who offers one, no session of who offers one.
//!
//! - [`neighbour()`]: the gateway's link-layer address, by ARP or neighbour discovery.
//! - [`dhcp()`]: an offer of an IPv4 address. Of DHCPv6 nothing is asked: a line whose IPv6 alone fails is seen by
//!   [`neighbour()`] and by the echoes.
//! - [`pppoe()`]: an offer of a session.
//!
//! The latter two cost a server work, so a [`Gate`] bounds them.
//!
//! They ask on an Ethernet device. Of a line over PPP that is the one below (`eth1`, not `pppoe-wan`); who asks has to name
//! it, for while there is no session nothing in the kernel connects the two.

pub mod dhcp;
mod gate;
pub mod neighbour;
pub mod pppoe;
mod replies;
mod station;
mod udhcpc;
pub mod wire;

pub use dhcp::dhcp;
pub use gate::{BURST, Gate, Gates, HOURLY, REFILL, SPACING};
pub use neighbour::neighbour;
pub use pppoe::pppoe;

/// Lets what reads the kernel's word on this gateway's own DHCP client and address have `bytes`.
pub(super) fn swallow(bytes: &[u8]) {
    udhcpc::swallow(bytes);
    station::swallow(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use linekeeper_contract::units::Span;

    /// So that a check can be spawned.
    #[test]
    fn checks_can_go_to_another_thread() {
        fn send<T: Send>(_: &T) {}
        let device = crate::sense::wan::Device { name: "wan".into(), index: 2 };
        let gate = Gate::default();
        send(&neighbour(&device, None, Span::ZERO));
        send(&dhcp(&device, Span::ZERO, &gate));
        send(&pppoe(&device, Span::ZERO, &gate));
    }
}
