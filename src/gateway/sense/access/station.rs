//! The WAN device's end of the link: its own addresses, and whether it can carry Ethernet frames at all.

use crate::sense::access::wire;
use crate::sense::netlink::{Kernel, Question, RTM_NEWADDR, RTM_NEWLINK, attributes, u32_at};
use crate::sense::wan::WanDevice;
use pnet::util::MacAddr;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Constants of linux/if_link.h, if_addr.h, if_arp.h and if.h.
const IFINFOMSG: usize = 16;
const IFADDRMSG: usize = 8;
const IFLA_ADDRESS: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_TENTATIVE: u32 = 0x40;
const ETHERNET: u16 = 1;
const PPP: u16 = 512;
const RAW_IP: u16 = 519;
const LOOPBACK: u16 = 772;
const NONE: u16 = 65_534;
const UP: u32 = 0x1;
const LOWER_UP: u32 = 0x1_0000;

/// Our end of an Ethernet link that is up.
#[derive(Debug, Clone)]
pub(super) struct Station {
    pub name: String,
    pub index: u32,
    pub mac: MacAddr,
}

/// Queries the device.
///
/// # Errors
/// Why it cannot carry Ethernet frames.
pub(super) fn station(device: &WanDevice) -> Result<Station, String> {
    let name = &device.name;
    if device.index == 0 || name.is_empty() {
        return Err("there is no WAN device".into());
    }
    let mut seen = None;
    let asked = Kernel::connect().and_then(|mut kernel| {
        kernel.ask_one(Question::Link(device.index), |kind, body| {
            if kind == RTM_NEWLINK {
                seen = read(body);
            }
        })
    });
    asked.map_err(|error| wire::trouble(&error, name))?;
    let Some(Seen { kind, flags, mac }) = seen else {
        return Err(format!("the kernel does not describe {name}"));
    };
    match kind {
        ETHERNET => {}
        PPP | RAW_IP | NONE => {
            return Err(format!("{name} is point-to-point: nobody there has a link-layer address"));
        }
        LOOPBACK => return Err(format!("{name} is the loopback")),
        other => return Err(format!("{name} is no Ethernet device (its hardware type is {other})")),
    }
    let mac = mac.ok_or_else(|| format!("{name} has no Ethernet address"))?;
    if flags & UP == 0 {
        return Err(format!("{name} is down"));
    }
    if flags & LOWER_UP == 0 {
        return Err(format!("{name} has no carrier"));
    }
    Ok(Station { name: name.clone(), index: device.index, mac })
}

struct Seen {
    kind: u16,
    flags: u32,
    mac: Option<MacAddr>,
}

/// Parses a link message and discards the result: for tests with hostile input.
pub(super) fn parse_and_discard(link: &[u8]) {
    read(link);
}

fn read(link: &[u8]) -> Option<Seen> {
    let kind = u16::from_ne_bytes(link.get(2..4)?.try_into().ok()?);
    let flags = u32_at(link, 8)?;
    let mac = attributes(link, IFINFOMSG)
        .find(|(kind, _)| *kind == IFLA_ADDRESS)
        .and_then(|(_, value)| <[u8; 6]>::try_from(value).ok())
        .map(MacAddr::from);
    Some(Seen { kind, flags, mac })
}

impl Station {
    /// The source address for asking about `gateway`: one in the same network, else any. Unspecified if there is none: an
    /// RFC 5227 probe, which the owner of the address has to answer.
    pub(super) fn v4(&self, gateway: Ipv4Addr) -> Ipv4Addr {
        let mut best = (false, Ipv4Addr::UNSPECIFIED);
        self.addresses(|address| {
            let Ok(own) = <[u8; 4]>::try_from(address.bytes).map(Ipv4Addr::from) else { return };
            let shift = 32u32.saturating_sub(address.prefix.into());
            let net = |a: Ipv4Addr| u32::from(a).checked_shr(shift).unwrap_or(0);
            let near = net(own) == net(gateway);
            if near && !best.0 || best.1.is_unspecified() {
                best = (near, own);
            }
        });
        best.1
    }

    /// The source address for asking about an IPv6 gateway: the link-local one, else any that passed duplicate detection.
    pub(super) fn v6(&self) -> Option<Ipv6Addr> {
        let mut best: Option<Ipv6Addr> = None;
        self.addresses(|address| {
            let Ok(own) = <[u8; 16]>::try_from(address.bytes).map(Ipv6Addr::from) else { return };
            let ours = address.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) == 0;
            if ours && best.is_none_or(|best| own.is_unicast_link_local() && !best.is_unicast_link_local()) {
                best = Some(own);
            }
        });
        best
    }

    /// Passes each address of the device to `see`; none if the kernel does not answer.
    fn addresses(&self, mut see: impl FnMut(Address<'_>)) {
        let Ok(mut kernel) = Kernel::connect() else { return };
        let _ = kernel.ask_all(Question::Addresses, |kind, body| {
            if kind != RTM_NEWADDR || u32_at(body, 4) != Some(self.index) {
                return;
            }
            let (prefix, short_flags) =
                (body.get(1).copied().unwrap_or(0), body.get(2).copied().unwrap_or(0));
            let (mut local, mut address, mut flags) = (None, None, u32::from(short_flags));
            for (kind, value) in attributes(body, IFADDRMSG) {
                match kind {
                    IFA_LOCAL => local = Some(value),
                    IFA_ADDRESS => address = Some(value),
                    IFA_FLAGS => flags = u32_at(value, 0).unwrap_or(flags),
                    _ => {}
                }
            }
            if let Some(bytes) = local.or(address) {
                see(Address { bytes, prefix, flags });
            }
        });
    }
}

struct Address<'a> {
    bytes: &'a [u8],
    prefix: u8,
    flags: u32,
}
