//! DHCP messages (RFC 2131, RFC 2132): writes the DISCOVER and parses the server's answer.

use crate::sense::access::replies::printable;
use crate::sense::access::station::Station;
use crate::sense::access::udhcpc::Identity;
use pnet::packet::Packet as _;
use pnet::packet::ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv4::{self, Ipv4Packet, MutableIpv4Packet};
use pnet::packet::udp::{self, MutableUdpPacket, UdpPacket};
use pnet::util::MacAddr;
use std::net::Ipv4Addr;

const SERVER: u16 = 67;
pub(super) const CLIENT: u16 = 68;

/// Lengths of headers, and of the fixed part of a DHCP message before its options.
pub(super) const ETHERNET: usize = 14;
const IPV4: usize = 20;
pub(super) const UDP: usize = 8;
const FIXED: usize = 236;

/// The shortest message that old relays forward (RFC 1542).
const SHORTEST: usize = 300;

const COOKIE: [u8; 4] = [99, 130, 83, 99];
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
/// The flag that asks for a broadcast answer, which arrives without an address configured in our kernel.
const BROADCAST: u16 = 0x8000;

/// Options of RFC 2132.
pub(super) const PAD: u8 = 0;
pub(super) const ROUTER: u8 = 3;
pub(super) const LEASE_TIME: u8 = 51;
pub(super) const OVERLOAD: u8 = 52;
pub(super) const MESSAGE_TYPE: u8 = 53;
pub(super) const SERVER_IDENTIFIER: u8 = 54;
const PARAMETERS: u8 = 55;
pub(super) const MESSAGE: u8 = 56;
const SIZE_MOST: u8 = 57;
pub(super) const END: u8 = 255;

/// The requested parameters, as in udhcpc: mask, router, name servers, host and domain name, broadcast address, time
/// servers.
const WISHES: [u8; 7] = [1, ROUTER, 6, 12, 15, 28, 42];

/// Message types.
const DISCOVER: u8 = 1;
pub(super) const OFFER: u8 = 2;
pub(super) const NAK: u8 = 6;

/// The lease time that means infinite.
pub(super) const FOR_EVER: u32 = u32::MAX;

/// The frame with the DISCOVER.
pub(super) fn discover(us: &Station, client: &Identity, xid: u32, seconds: u16) -> Vec<u8> {
    let mut message = vec![REQUEST, 1, 6, 0];
    message.extend(xid.to_be_bytes());
    message.extend(seconds.to_be_bytes());
    message.extend(BROADCAST.to_be_bytes());
    // No addresses of the client, the offer, the server or a relay.
    message.extend([0; 16]);
    message.extend(us.mac.octets());
    message.resize(FIXED, 0);
    message.extend(COOKIE);
    message.extend([MESSAGE_TYPE, 1, DISCOVER]);
    for (code, value) in &client.options {
        let Ok(length) = u8::try_from(value.len()) else { continue };
        message.extend([*code, length]);
        message.extend(value);
    }
    message.extend([SIZE_MOST, 2]);
    message.extend(576u16.to_be_bytes());
    message.extend([PARAMETERS, WISHES.len() as u8]);
    message.extend(WISHES);
    message.push(END);
    if message.len() < SHORTEST {
        message.resize(SHORTEST, PAD);
    }
    enclose(us.mac, &message)
}

/// Wraps a message from a client without an address in a broadcast frame.
pub(super) fn enclose(from: MacAddr, message: &[u8]) -> Vec<u8> {
    let udp_length = UDP + message.len();
    let mut frame = vec![0; ETHERNET + IPV4 + UDP];
    frame.extend(message);
    let lengths = (u16::try_from(IPV4 + udp_length), u16::try_from(udp_length));
    let (Ok(ip_length), Ok(udp_length)) = lengths else { return frame };
    if let Some(mut ethernet) = MutableEthernetPacket::new(&mut frame) {
        ethernet.set_source(from);
        ethernet.set_destination(MacAddr::broadcast());
        ethernet.set_ethertype(EtherTypes::Ipv4);
    }
    if let Some(mut ip) = frame.get_mut(ETHERNET..).and_then(MutableIpv4Packet::new) {
        ip.set_version(4);
        ip.set_header_length(5);
        ip.set_total_length(ip_length);
        ip.set_ttl(64);
        ip.set_next_level_protocol(IpNextHeaderProtocols::Udp);
        ip.set_source(Ipv4Addr::UNSPECIFIED);
        ip.set_destination(Ipv4Addr::BROADCAST);
        let sum = ipv4::checksum(&ip.to_immutable());
        ip.set_checksum(sum);
    }
    if let Some(mut udp) = frame.get_mut(ETHERNET + IPV4..).and_then(MutableUdpPacket::new) {
        udp.set_source(CLIENT);
        udp.set_destination(SERVER);
        udp.set_length(udp_length);
        let sum = udp::ipv4_checksum(&udp.to_immutable(), &Ipv4Addr::UNSPECIFIED, &Ipv4Addr::BROADCAST);
        udp.set_checksum(sum);
    }
    frame
}

/// A server's message to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The transaction it belongs to.
    pub xid: u32,
    /// The client it is addressed to.
    pub client: MacAddr,
    /// The server identifier; without one, the packet's sender; unspecified if that is unknown.
    pub server: Ipv4Addr,
    /// Its content.
    pub answer: Answer,
}

/// The content of a server's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The server offers a lease.
    Offer(Offer),
    /// The server refuses; its reason, empty if it gives none.
    Nak(String),
    /// A message of another type (RFC 2132, option 53).
    Other(u8),
}

/// An offered lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The address.
    pub address: Ipv4Addr,
    /// The lease time, seconds; `u32::MAX` is infinite.
    pub lease: Option<u32>,
    /// The first of the offered routers.
    pub router: Option<Ipv4Addr>,
}

/// Parses an Ethernet frame with a DHCP server's message to a client.
///
/// The UDP checksum is not verified: between virtual devices nobody computes it (the frame never was on a wire), and the
/// transaction id rejects messages for others.
///
/// # Errors
/// What is wrong with the input. No input makes it panic.
pub fn parse_frame(frame: &[u8]) -> Result<Heard, &'static str> {
    let ethernet = EthernetPacket::new(frame).ok_or("no whole Ethernet header")?;
    if ethernet.get_ethertype() != EtherTypes::Ipv4 {
        return Err("not IPv4");
    }
    let ip = Ipv4Packet::new(ethernet.payload()).ok_or("IPv4 that is cut off")?;
    if ip.get_version() != 4 || ip.get_next_level_protocol() != IpNextHeaderProtocols::Udp {
        return Err("not UDP");
    }
    // A fragment: more follow, or it is a later one.
    if ip.get_flags() & 1 != 0 || ip.get_fragment_offset() != 0 {
        return Err("an answer in fragments");
    }
    let (header, total) = (usize::from(ip.get_header_length()) * 4, usize::from(ip.get_total_length()));
    let datagram = ethernet.payload().get(header.max(IPV4)..total).ok_or("IPv4 that is cut off")?;
    let udp = UdpPacket::new(datagram).ok_or("UDP that is cut off")?;
    if udp.get_destination() != CLIENT {
        return Err("not for a DHCP client");
    }
    let message = datagram.get(UDP..usize::from(udp.get_length())).ok_or("UDP that is cut off")?;
    let mut heard = parse_message(message)?;
    if heard.server.is_unspecified() {
        heard.server = ip.get_source();
    }
    Ok(heard)
}

/// Parses a DHCP server's message (RFC 2131), including options that overflow into other fields (option 52).
///
/// # Errors
/// What is wrong with the input. No input makes it panic.
pub fn parse_message(message: &[u8]) -> Result<Heard, &'static str> {
    const SHORT: &str = "a DHCP message that is cut off";
    let (fixed, rest) = message.split_at_checked(FIXED).ok_or(SHORT)?;
    let options = rest.strip_prefix(&COOKIE).ok_or("BOOTP without DHCP's options")?;
    if fixed.first_chunk() != Some(&[REPLY, 1, 6]) {
        return Err("no reply to an Ethernet client");
    }
    let field = |at: usize| fixed.get(at..).and_then(<[u8]>::first_chunk::<4>).copied().ok_or(SHORT);
    let client = fixed.get(28..).and_then(<[u8]>::first_chunk::<6>).copied().ok_or(SHORT)?;
    let mut read = Options::default();
    read.read_all(options)?;
    // First the `file` field, then `sname`.
    let overload = read.overload.take().unwrap_or(0);
    for (bit, place) in [(1, 108..236), (2, 44..108)] {
        if overload & bit != 0 {
            read.read_all(fixed.get(place).ok_or(SHORT)?)?;
        }
    }
    let answer = match read.kind.ok_or("BOOTP without a DHCP message type")? {
        OFFER => {
            let address = Ipv4Addr::from(field(16)?);
            if address.is_unspecified() {
                return Err("an offer of no address");
            }
            Answer::Offer(Offer { address, lease: read.lease.map(u32::from_be_bytes), router: read.router })
        }
        NAK => Answer::Nak(read.why),
        other => Answer::Other(other),
    };
    Ok(Heard {
        xid: u32::from_be_bytes(field(4)?),
        client: client.into(),
        server: read.server.unwrap_or(Ipv4Addr::UNSPECIFIED),
        answer,
    })
}

/// The options that matter; the first of each counts.
#[derive(Debug, Default)]
struct Options {
    kind: Option<u8>,
    overload: Option<u8>,
    server: Option<Ipv4Addr>,
    router: Option<Ipv4Addr>,
    lease: Option<[u8; 4]>,
    why: String,
}

impl Options {
    fn read_all(&mut self, mut place: &[u8]) -> Result<(), &'static str> {
        while let Some((&code, rest)) = place.split_first() {
            match code {
                PAD => place = rest,
                END => break,
                _ => {
                    let (&length, rest) = rest.split_first().ok_or("an option without a length")?;
                    let (value, rest) =
                        rest.split_at_checked(length.into()).ok_or("an option that is cut off")?;
                    self.record(code, value);
                    place = rest;
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, code: u8, value: &[u8]) {
        let address = || value.first_chunk::<4>().copied().map(Ipv4Addr::from);
        match code {
            MESSAGE_TYPE => self.kind = self.kind.or(value.first().copied()),
            OVERLOAD => self.overload = self.overload.or(value.first().copied()),
            SERVER_IDENTIFIER => self.server = self.server.or_else(address),
            ROUTER => self.router = self.router.or_else(address),
            LEASE_TIME => self.lease = self.lease.or(value.first_chunk().copied()),
            MESSAGE if self.why.is_empty() => self.why = printable(value),
            _ => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::sense::access::dhcp) const MAC: MacAddr = MacAddr(2, 0, 0, 0, 0, 1);
    pub(in crate::sense::access::dhcp) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    pub(in crate::sense::access::dhcp) const SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    pub(in crate::sense::access::dhcp) fn us() -> Station {
        Station { name: "wan".into(), index: 2, mac: MAC }
    }

    /// A server's message to us, with these options.
    pub(in crate::sense::access::dhcp) fn message(options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; FIXED];
        message[..3].copy_from_slice(&[REPLY, 1, 6]);
        message[4..8].copy_from_slice(&7u32.to_be_bytes());
        message[16..20].copy_from_slice(&ADDRESS.octets());
        message[28..34].copy_from_slice(&MAC.octets());
        message.extend(COOKIE);
        message.extend(options);
        message
    }

    pub(in crate::sense::access::dhcp) fn frame(message: &[u8]) -> Vec<u8> {
        let mut frame = enclose(MacAddr(2, 0, 0, 0, 0, 254), message);
        frame[ETHERNET + 12..ETHERNET + 16].copy_from_slice(&SERVER_ADDRESS.octets());
        frame[ETHERNET + IPV4 + 2..ETHERNET + IPV4 + 4].copy_from_slice(&CLIENT.to_be_bytes());
        frame
    }

    #[test]
    fn options_overflow_into_file_and_server_name() {
        let mut overflowing = message(&[MESSAGE_TYPE, 1, OFFER, OVERLOAD, 1, 3, END]);
        overflowing[108..115].copy_from_slice(&[ROUTER, 4, 10, 0, 0, 1, END]);
        overflowing[44..57].copy_from_slice(&[LEASE_TIME, 4, 0, 0, 0, 60, ROUTER, 4, 10, 0, 0, 2, END]);
        let expected = Offer { address: ADDRESS, lease: Some(60), router: Some(Ipv4Addr::new(10, 0, 0, 1)) };
        assert_eq!(parse_message(&overflowing).unwrap().answer, Answer::Offer(expected));
        // An overload option inside the overflow is ignored, so it cannot loop.
        overflowing[108..112].copy_from_slice(&[OVERLOAD, 1, 3, END]);
        assert!(parse_message(&overflowing).is_ok());
    }

    #[test]
    fn invalid_messages_are_rejected_with_a_reason() {
        let good = [MESSAGE_TYPE, 1, OFFER, END];
        for (bytes, why) in [
            (message(&good)[..200].to_vec(), "cut off"),
            (message(&[MESSAGE_TYPE]), "without a length"),
            (message(&[MESSAGE_TYPE, 1, OFFER, ROUTER, 4, 1]), "an option that is cut off"),
            (message(&[ROUTER, 4, 1, 2, 3, 4]), "without a DHCP message type"),
        ] {
            let said = parse_message(&bytes).unwrap_err();
            assert!(said.contains(why), "{said:?} instead of {why:?}");
        }
        let mut of_nothing = message(&good);
        of_nothing[16..20].fill(0);
        assert_eq!(parse_message(&of_nothing), Err("an offer of no address"));
        let mut question = message(&good);
        question[0] = REQUEST;
        assert!(parse_message(&question).is_err());
        let mut fragment = frame(&message(&good));
        fragment[ETHERNET + 6] = 0x20;
        assert_eq!(parse_frame(&fragment), Err("an answer in fragments"));
        let mut other_port = frame(&message(&good));
        other_port[ETHERNET + IPV4 + 3] = 67;
        assert_eq!(parse_frame(&other_port), Err("not for a DHCP client"));
    }

    #[test]
    fn discover_has_right_checksums_and_minimum_length() {
        let client = Identity { options: vec![(61, vec![1, 2, 3])] };
        let frame = discover(&us(), &client, 7, 3);
        assert_eq!(frame.len(), ETHERNET + IPV4 + UDP + SHORTEST);
        assert_eq!(frame[..6], [0xff; 6]);
        let ip = Ipv4Packet::new(&frame[ETHERNET..]).unwrap();
        assert_eq!(ip.get_checksum(), ipv4::checksum(&ip));
        assert_eq!(ip.get_source(), Ipv4Addr::UNSPECIFIED);
        let udp = UdpPacket::new(ip.payload()).unwrap();
        assert_eq!((udp.get_source(), udp.get_destination()), (68, 67));
        assert_eq!(udp.get_checksum(), udp::ipv4_checksum(&udp, &ip.get_source(), &ip.get_destination()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn any_bytes_parse_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            let _ = parse_frame(&bytes);
            let _ = parse_message(&bytes);
            let _ = parse_message(&message(&bytes));
        }
    }
}

/// Compared with an independent DHCP library.
#[cfg(test)]
mod against_dhcproto {
    use super::*;
    use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
    use dhcproto::{Decodable as _, Decoder, Encodable as _};
    use proptest::prelude::*;

    #[test]
    fn library_parses_our_discover() {
        let client = Identity { options: vec![(61, vec![1, 2, 3]), (12, b"gw".to_vec())] };
        let frame = discover(&tests::us(), &client, 0xdead_beef, 3);
        let read = Message::decode(&mut Decoder::new(&frame[ETHERNET + IPV4 + UDP..])).unwrap();
        assert_eq!((read.opcode(), read.xid(), read.secs()), (Opcode::BootRequest, 0xdead_beef, 3));
        assert_eq!(read.flags(), Flags::default().set_broadcast());
        assert_eq!(read.chaddr(), [2, 0, 0, 0, 0, 1]);
        let options = read.opts();
        assert!(options.has_msg_type(MessageType::Discover));
        assert_eq!(
            options.get(OptionCode::ClientIdentifier),
            Some(&DhcpOption::ClientIdentifier(vec![1, 2, 3]))
        );
        assert_eq!(options.get(OptionCode::Hostname), Some(&DhcpOption::Hostname("gw".into())));
        assert_eq!(options.get(OptionCode::MaxMessageSize), Some(&DhcpOption::MaxMessageSize(576)));
        match options.get(OptionCode::ParameterRequestList) {
            Some(DhcpOption::ParameterRequestList(wished)) => {
                assert_eq!(wished.iter().map(|code| u8::from(*code)).collect::<Vec<_>>(), WISHES);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(options.iter().count(), 5);
    }

    proptest! {
        #[test]
        fn we_parse_messages_of_the_library(
            xid: u32, mac: [u8; 6], address in 1u32.., server: u32, lease: u32,
            routers in proptest::collection::vec(any::<u32>(), 0..4),
            why in "[ -~]{0,64}",
            nak: bool,
        ) {
            let kind = if nak { MessageType::Nak } else { MessageType::Offer };
            let mut message = Message::default();
            message.set_opcode(Opcode::BootReply).set_xid(xid).set_chaddr(&mac).set_yiaddr(address);
            let routers: Vec<Ipv4Addr> = routers.into_iter().map(Ipv4Addr::from).collect();
            for option in [
                DhcpOption::MessageType(kind),
                DhcpOption::ServerIdentifier(server.into()),
                DhcpOption::AddressLeaseTime(lease),
                DhcpOption::Message(why.clone()),
            ] {
                message.opts_mut().insert(option);
            }
            if !routers.is_empty() {
                message.opts_mut().insert(DhcpOption::Router(routers.clone()));
            }
            let heard = parse_message(&message.to_vec().unwrap()).unwrap();
            prop_assert_eq!((heard.xid, heard.client.octets(), heard.server), (xid, mac, server.into()));
            let offer = Offer { address: address.into(), lease: Some(lease), router: routers.first().copied() };
            prop_assert_eq!(heard.answer, if nak { Answer::Nak(why) } else { Answer::Offer(offer) });
        }
    }
}
