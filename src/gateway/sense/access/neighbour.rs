//! Checks for the gateway by its link-layer address: ARP (RFC 826) for IPv4, neighbour discovery (RFC 4861) for IPv6.
//!
//! A gateway that answers is present, whether or not it answers ICMP echoes or forwards packets.

use crate::sense::access::replies::{
    Flawed, TOO_SHORT, microseconds, not_checked, replies_or_silence, reply,
};
use crate::sense::access::station::{Station, station};
use crate::sense::access::wire::filter::{byte, drop, must_be, pass};
use crate::sense::access::wire::{self, Next, Wire};
use crate::sense::wan::WanDevice;
use linekeeper_contract::units::Span;
use linekeeper_judge::check::{Reply, Said};
use pnet::packet::Packet as _;
use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket, MutableArpPacket};
use pnet::packet::ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv6::{Ipv6Packet, MutableIpv6Packet};
use pnet::packet::util::ipv6_checksum;
use pnet::util::MacAddr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The most questions of one check (RFC 4861, MAX_MULTICAST_SOLICIT), so that a lost frame does not look like a dead gateway.
const QUESTIONS: u32 = 3;

/// The longest time between two questions (RFC 4861, RETRANS_TIMER); shorter if the limit is short.
const AGAIN: Duration = Duration::from_secs(1);

/// Lengths of headers.
const ETHERNET: usize = 14;
const ARP: usize = 28;
const IPV6: usize = 40;
/// A solicitation or an advertisement without options.
const NDP: usize = 24;
/// An option with an Ethernet address.
const OPTION: usize = 8;

/// Message and option types of RFC 4861.
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
/// The required hop limit: a packet that passed a router has a lower one.
const HOP_LIMIT: u8 = 255;

/// Asks on the link of `device` for the link-layer address of `gateway`, up to three times within `limit`.
///
/// Returns one reply: [`Said::Answered`], with the link-layer address as detail and the time since the last question;
/// [`Said::Silent`]; or [`Said::NotChecked`] without a gateway address, an Ethernet link that is up, or the permission to
/// send.
pub async fn check_neighbour(device: &WanDevice, gateway: Option<IpAddr>, limit: Span) -> Vec<Reply> {
    let Some(gateway) = gateway.filter(can_be_asked) else {
        let why = match gateway {
            None => "no gateway address is known".to_owned(),
            Some(gateway) => format!("{gateway} is no gateway's address"),
        };
        return not_checked(&device.name, why);
    };
    match ask(device, gateway, limit).await {
        Ok(replies) => replies,
        Err(why) => not_checked(gateway.to_string(), why),
    }
}

fn can_be_asked(gateway: &IpAddr) -> bool {
    !gateway.is_unspecified()
        && !gateway.is_multicast()
        && !gateway.is_loopback()
        && *gateway != IpAddr::V4(Ipv4Addr::BROADCAST)
}

async fn ask(device: &WanDevice, gateway: IpAddr, limit: Span) -> Result<Vec<Reply>, String> {
    let us = station(device)?;
    let question = Question::new(&us, gateway)?;
    let broken = |error| wire::trouble(&error, &us.name);
    let mut wire = question.wire(us.index).map_err(broken)?;
    let frame = question.frame();
    let limit_given: Duration = limit.into();
    let (mut found, mut flawed) = (Vec::new(), Flawed::default());
    let asked = wire
        .ask(
            limit_given,
            AGAIN.min(limit_given / QUESTIONS),
            &mut |number| (number < QUESTIONS).then(|| frame.clone()),
            &mut |frame, took| match question.answer(frame) {
                Ok(Some(mac)) => {
                    let mut answer = reply(gateway.to_string(), Said::Answered, format!("is at {mac}"));
                    answer.took_us = Some(microseconds(took));
                    found.push(answer);
                    Next::Enough
                }
                Ok(None) => Next::More,
                Err(why) => {
                    flawed.add(why);
                    Next::More
                }
            },
        )
        .await;
    if asked.map_err(broken)? == 0 {
        return Err(TOO_SHORT.into());
    }
    Ok(replies_or_silence(found, gateway.to_string(), limit, flawed))
}

/// A question: which protocol, and the addresses of both ends.
#[derive(Debug, Clone, Copy)]
enum Question {
    Arp { mac: MacAddr, own: Ipv4Addr, gateway: Ipv4Addr },
    Ndp { mac: MacAddr, own: Ipv6Addr, gateway: Ipv6Addr },
}

impl Question {
    fn new(us: &Station, gateway: IpAddr) -> Result<Question, String> {
        let mac = us.mac;
        match gateway {
            IpAddr::V4(gateway) => Ok(Question::Arp { mac, own: us.v4(gateway), gateway }),
            IpAddr::V6(gateway) => {
                let none = || format!("{} has no IPv6 address to ask by", us.name);
                Ok(Question::Ndp { mac, own: us.v6().ok_or_else(none)?, gateway })
            }
        }
    }

    fn wire(&self, index: u32) -> std::io::Result<Wire> {
        match self {
            Question::Arp { .. } => Wire::open(index, EtherTypes::Arp.0, &[]),
            // An advertisement without extension headers before it.
            Question::Ndp { .. } => Wire::open(
                index,
                EtherTypes::Ipv6.0,
                &[
                    byte(20),
                    must_be(IpNextHeaderProtocols::Icmpv6.0.into(), 3),
                    byte(54),
                    must_be(ADVERTISEMENT.into(), 1),
                    pass(),
                    drop(),
                ],
            ),
        }
    }

    fn frame(&self) -> Vec<u8> {
        match *self {
            Question::Arp { mac, own, gateway } => request(mac, own, gateway),
            Question::Ndp { mac, own, gateway } => solicitation(mac, own, gateway),
        }
    }

    /// The gateway's link-layer address, if the frame answers this question.
    fn answer(&self, frame: &[u8]) -> Result<Option<MacAddr>, &'static str> {
        match *self {
            Question::Arp { mac, own, gateway } => {
                let said = parse_arp(frame)?;
                let to_us = said.target_mac == mac && said.target == own;
                Ok((said.reply && to_us && said.sender == gateway && said.sender_mac != mac)
                    .then_some(said.sender_mac))
            }
            Question::Ndp { mac, gateway, .. } => {
                let said = parse_advertisement(frame)?;
                Ok((said.target == gateway && said.mac != mac).then_some(said.mac))
            }
        }
    }
}

/// Writes the Ethernet header of a frame.
fn ethernet(frame: &mut [u8], from: MacAddr, to: MacAddr, kind: pnet::packet::ethernet::EtherType) {
    if let Some(mut ethernet) = MutableEthernetPacket::new(frame) {
        ethernet.set_source(from);
        ethernet.set_destination(to);
        ethernet.set_ethertype(kind);
    }
}

/// The ARP request: who has `gateway`? Tell `own`.
fn request(mac: MacAddr, own: Ipv4Addr, gateway: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET + ARP];
    ethernet(&mut frame, mac, MacAddr::broadcast(), EtherTypes::Arp);
    if let Some(mut arp) = frame.get_mut(ETHERNET..).and_then(MutableArpPacket::new) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(mac);
        arp.set_sender_proto_addr(own);
        arp.set_target_proto_addr(gateway);
    }
    frame
}

/// The neighbour solicitation, to the multicast group of the addresses with the same last 24 bits as `gateway`.
fn solicitation(mac: MacAddr, own: Ipv6Addr, gateway: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = gateway.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(gateway.octets());
    message.extend([SOURCE_LINK_LAYER, 1]);
    message.extend(mac.octets());
    let sum = ipv6_checksum(&message, 1, &[], &own, &group, IpNextHeaderProtocols::Icmpv6).to_be_bytes();
    for (place, byte) in message.iter_mut().skip(2).zip(sum) {
        *place = byte;
    }
    let mut frame = vec![0; ETHERNET + IPV6];
    ethernet(&mut frame, mac, MacAddr::new(0x33, 0x33, 0xff, a, b, c), EtherTypes::Ipv6);
    if let Some(mut ip) = frame.get_mut(ETHERNET..).and_then(MutableIpv6Packet::new) {
        ip.set_version(6);
        ip.set_payload_length((NDP + OPTION) as u16);
        ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
        ip.set_hop_limit(HOP_LIMIT);
        ip.set_source(own);
        ip.set_destination(group);
    }
    frame.extend(message);
    frame
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// Whether it is a reply; otherwise a request.
    pub reply: bool,
    /// The sender's address.
    pub sender: Ipv4Addr,
    /// The sender's link-layer address.
    pub sender_mac: MacAddr,
    /// The target's address.
    pub target: Ipv4Addr,
    /// The target's link-layer address.
    pub target_mac: MacAddr,
}

/// Parses an Ethernet frame with an ARP packet.
///
/// # Errors
/// What is wrong with the input. No input makes it panic.
pub fn parse_arp(frame: &[u8]) -> Result<Arp, &'static str> {
    let ethernet = EthernetPacket::new(frame).ok_or("no whole Ethernet header")?;
    if ethernet.get_ethertype() != EtherTypes::Arp {
        return Err("not ARP");
    }
    let arp = ArpPacket::new(ethernet.payload()).ok_or("ARP that is cut off")?;
    let kind =
        (arp.get_hardware_type(), arp.get_hw_addr_len(), arp.get_protocol_type(), arp.get_proto_addr_len());
    if kind != (ArpHardwareTypes::Ethernet, 6, EtherTypes::Ipv4, 4) {
        return Err("ARP for something else than IPv4 over Ethernet");
    }
    Ok(Arp {
        reply: arp.get_operation() == ArpOperations::Reply,
        sender: arp.get_sender_proto_addr(),
        sender_mac: arp.get_sender_hw_addr(),
        target: arp.get_target_proto_addr(),
        target_mac: arp.get_target_hw_addr(),
    })
}

/// A neighbour advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertisement {
    /// The address whose link-layer address it announces.
    pub target: Ipv6Addr,
    /// The announced link-layer address; without the option, the sender of the frame.
    pub mac: MacAddr,
}

/// Parses an Ethernet frame with a neighbour advertisement, validated as in RFC 4861, 7.1.2.
///
/// # Errors
/// What is wrong with the input. No input makes it panic.
pub fn parse_advertisement(frame: &[u8]) -> Result<Advertisement, &'static str> {
    const SHORT: &str = "a neighbour advertisement that is cut off";
    let ethernet = EthernetPacket::new(frame).ok_or("no whole Ethernet header")?;
    if ethernet.get_ethertype() != EtherTypes::Ipv6 {
        return Err("not IPv6");
    }
    let ip = Ipv6Packet::new(ethernet.payload()).ok_or("IPv6 that is cut off")?;
    if ip.get_version() != 6 || ip.get_next_header() != IpNextHeaderProtocols::Icmpv6 {
        return Err("not ICMPv6");
    }
    let length = usize::from(ip.get_payload_length());
    let message = ethernet.payload().get(IPV6..).and_then(|rest| rest.get(..length)).ok_or(SHORT)?;
    let (fixed, mut options) = message.split_at_checked(NDP).ok_or(SHORT)?;
    if fixed.first_chunk() != Some(&[ADVERTISEMENT, 0]) {
        return Err("not a neighbour advertisement");
    }
    if ip.get_hop_limit() != HOP_LIMIT {
        return Err("a neighbour advertisement from beyond the link");
    }
    let sum = ipv6_checksum(
        message,
        1,
        &[],
        &ip.get_source(),
        &ip.get_destination(),
        IpNextHeaderProtocols::Icmpv6,
    );
    if fixed.get(2..4) != Some(&sum.to_be_bytes()) {
        return Err("a neighbour advertisement with a wrong checksum");
    }
    let target = fixed.last_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes)).ok_or(SHORT)?;
    let mut mac = ethernet.get_source();
    // Parsed by hand: a length that overflows makes pnet's iterator panic or wrap around.
    while let Some(&[kind, eights]) = options.first_chunk() {
        let length = usize::from(eights) * 8;
        if length == 0 {
            return Err("a neighbour advertisement with an option of no length");
        }
        let option = options.get(..length).ok_or(SHORT)?;
        if let (TARGET_LINK_LAYER, Some(address)) = (kind, option.get(2..).and_then(<[u8]>::first_chunk::<6>))
        {
            mac = MacAddr::from(*address);
        }
        options = options.get(length..).unwrap_or_default();
    }
    Ok(Advertisement { target, mac })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const US: MacAddr = MacAddr(2, 0, 0, 0, 0, 1);
    const GATEWAY: MacAddr = MacAddr(2, 0, 0, 0, 0, 254);
    const OWN4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    const GATEWAY4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn arp() -> Question {
        Question::Arp { mac: US, own: OWN4, gateway: GATEWAY4 }
    }

    /// The gateway's reply.
    fn arp_reply() -> Vec<u8> {
        let mut frame = request(GATEWAY, GATEWAY4, OWN4);
        frame[..6].copy_from_slice(&US.octets());
        frame[ETHERNET + 7] = 2;
        frame[ETHERNET + 18..ETHERNET + 24].copy_from_slice(&US.octets());
        frame
    }

    fn addresses6() -> (Ipv6Addr, Ipv6Addr) {
        ("fe80::2".parse().unwrap(), "2001:db8::1:2345".parse().unwrap())
    }

    fn ndp() -> Question {
        let (own, gateway) = addresses6();
        Question::Ndp { mac: US, own, gateway }
    }

    /// An advertisement from `GATEWAY` with `named` as its target link-layer address option.
    fn advertisement(named: Option<MacAddr>) -> Vec<u8> {
        let option = named.map(|named| [&[TARGET_LINK_LAYER, 1], &named.octets()[..]].concat());
        advertisement_with(&option.unwrap_or_default())
    }

    /// An advertisement from `GATEWAY` with these options.
    fn advertisement_with(options: &[u8]) -> Vec<u8> {
        let (own, gateway) = addresses6();
        let mut message = vec![ADVERTISEMENT, 0, 0, 0, 0x60, 0, 0, 0];
        message.extend(gateway.octets());
        message.extend(options);
        let sum = ipv6_checksum(&message, 1, &[], &gateway, &own, IpNextHeaderProtocols::Icmpv6);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = vec![0; ETHERNET + IPV6];
        ethernet(&mut frame, GATEWAY, US, EtherTypes::Ipv6);
        let mut ip = MutableIpv6Packet::new(&mut frame[ETHERNET..]).unwrap();
        ip.set_version(6);
        ip.set_payload_length(message.len() as u16);
        ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
        ip.set_hop_limit(HOP_LIMIT);
        ip.set_source(gateway);
        ip.set_destination(own);
        frame.extend(message);
        frame
    }

    #[test]
    fn only_the_gateways_reply_to_us_counts() {
        assert_eq!(arp().answer(&arp_reply()), Ok(Some(GATEWAY)));
        let mut question_of_theirs = arp_reply();
        question_of_theirs[ETHERNET + 7] = 1;
        assert_eq!(arp().answer(&question_of_theirs), Ok(None));
        let mut to_another = arp_reply();
        to_another[ETHERNET + 18 + 5] = 77;
        assert_eq!(arp().answer(&to_another), Ok(None));
        let mut of_another = arp_reply();
        of_another[ETHERNET + 14 + 3] = 77;
        assert_eq!(arp().answer(&of_another), Ok(None));
    }

    #[test]
    fn advertisement_gives_its_address_or_its_sender() {
        let named = MacAddr(2, 0, 0, 0, 0, 99);
        assert_eq!(ndp().answer(&advertisement(Some(named))), Ok(Some(named)));
        assert_eq!(ndp().answer(&advertisement(None)), Ok(Some(GATEWAY)));
        let mut from_beyond = advertisement(None);
        from_beyond[ETHERNET + 7] = 254;
        assert!(ndp().answer(&from_beyond).unwrap_err().contains("beyond the link"));
        let mut damaged = advertisement(None);
        *damaged.last_mut().unwrap() ^= 1;
        assert!(ndp().answer(&damaged).unwrap_err().contains("checksum"));
    }

    #[test]
    fn options_with_invalid_length_are_rejected() {
        assert!(
            ndp().answer(&advertisement_with(&[TARGET_LINK_LAYER, 0])).unwrap_err().contains("no length")
        );
        assert!(
            ndp().answer(&advertisement_with(&[TARGET_LINK_LAYER, 255, 1])).unwrap_err().contains("cut off")
        );
        // 32 * 8 does not fit a byte: pnet's own iterator fails here.
        let mut long = vec![200, 32];
        long.resize(256, 0);
        long.extend([&[TARGET_LINK_LAYER, 1], &US.octets()[..5], &[9]].concat());
        assert_eq!(ndp().answer(&advertisement_with(&long)), Ok(Some(MacAddr(2, 0, 0, 0, 0, 9))));
    }

    #[test]
    fn solicitation_has_the_right_group_and_checksum() {
        let (own, gateway) = addresses6();
        let frame = solicitation(US, own, gateway);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 1, 0x23, 0x45]);
        let ip = Ipv6Packet::new(&frame[ETHERNET..]).unwrap();
        assert_eq!(ip.get_destination(), "ff02::1:ff01:2345".parse::<Ipv6Addr>().unwrap());
        // The sum over a message that includes its correct checksum is zero.
        let all = ipv6_checksum(
            ip.payload(),
            usize::MAX,
            &[],
            &own,
            &ip.get_destination(),
            IpNextHeaderProtocols::Icmpv6,
        );
        assert_eq!(all, 0);
    }

    #[test]
    fn invalid_gateway_addresses_are_not_asked() {
        for address in ["0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "ff02::1", "127.0.0.1"] {
            assert!(!can_be_asked(&address.parse().unwrap()), "{address}");
        }
        assert!(can_be_asked(&"fe80::1".parse().unwrap()) && can_be_asked(&GATEWAY4.into()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn any_bytes_parse_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_arp(&bytes);
            let _ = parse_advertisement(&bytes);
        }

        #[test]
        fn mutated_answers_parse_without_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            length in any::<prop::sample::Index>(),
            option in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            // With a right checksum, so that its options are read.
            let optional = advertisement_with(&option);
            let _ = ndp().answer(&optional);
            for mut frame in [arp_reply(), advertisement(None), optional] {
                for (at, byte) in &changes {
                    let at = at.index(frame.len());
                    frame[at] = *byte;
                }
                frame.truncate(length.index(frame.len() + 1));
                let _ = arp().answer(&frame);
                let _ = ndp().answer(&frame);
            }
        }
    }
}
