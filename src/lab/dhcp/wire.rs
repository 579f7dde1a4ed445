//! What client and server have in common: ports, sockets, messages.

use crate::error::Error;
use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode};
use dhcproto::{Decodable as _, Decoder, Encodable as _};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, SocketAddrV4};
use tokio::net::UdpSocket;

/// The server's port.
pub(super) const SERVER: u16 = 67;
/// The client's port.
pub(super) const CLIENT: u16 = 68;
/// The longest message that either takes: an Ethernet frame's worth, more than the 576 bytes RFC 2131 asks for.
pub(super) const LARGEST: usize = 1500;

/// A socket on `device` that may broadcast, bound to `port`.
///
/// Must be called inside a tokio runtime.
pub(super) fn socket(device: &str, port: u16) -> Result<UdpSocket, Error> {
    let open = || -> std::io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.bind_device(Some(device.as_bytes()))?;
        socket.bind(&SockAddr::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))?;
        UdpSocket::from_std(socket.into())
    };
    open().map_err(|e| Error::new(format!("opening UDP port {port} on {device}"), e))
}

/// The broadcast address with a port.
pub(super) fn everyone(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::BROADCAST, port)
}

/// A message of this kind, to be filled further.
pub(super) fn message(opcode: Opcode, kind: MessageType, xid: u32, hardware: &[u8]) -> Message {
    let mut message = Message::default();
    message
        .set_opcode(opcode)
        .set_xid(xid)
        .set_chaddr(hardware)
        // Answers by broadcast: the client's kernel takes no unicast before it has an address.
        .set_flags(Flags::default().set_broadcast());
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    message
}

/// What goes into a datagram.
pub(super) fn encode(message: &Message) -> Result<Vec<u8>, Error> {
    message.to_vec().map_err(|e| Error::new("writing a DHCP message", e))
}

/// What came in one; `None` for anything that is no DHCP message.
pub(super) fn decode(bytes: &[u8]) -> Option<Message> {
    Message::decode(&mut Decoder::new(bytes)).ok()
}
