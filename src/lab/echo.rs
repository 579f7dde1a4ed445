//! Sends one ICMP echo request, without a library or `ping`: the lab needs only Rust, iproute2 and util-linux.

use crate::clock;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// Sends one echo request from the network namespace of this thread and waits for the reply; `None` if none arrived.
///
/// # Errors
/// The request could not be sent: no route, or no permission for a raw socket.
pub fn ping(to: Ipv4Addr, patience: Duration) -> io::Result<Option<Duration>> {
    let mut socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    let began = clock::uptime();
    // Tells our reply from those to others in this namespace: raw sockets see all.
    let token = (began.as_nanos() as u64).to_be_bytes();
    let mut request = vec![8, 0, 0, 0, 0x6c, 0x6b, 0, 1];
    request.extend_from_slice(&token);
    let sum = checksum(&request).to_be_bytes();
    request[2..4].copy_from_slice(&sum);
    socket.send_to(&request, &SockAddr::from(SocketAddrV4::new(to, 0)))?;
    loop {
        let left = patience.saturating_sub(clock::since(began));
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        let mut buffer = [0; 128];
        let length = match socket.read(&mut buffer) {
            Ok(length) => length,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let packet = &buffer[..length];
        let header = packet.first().map_or(0, |b| usize::from(b & 0x0f) * 4);
        let reply = packet.get(header..).unwrap_or_default();
        if reply.first() == Some(&0) && reply.get(8..16) == Some(&token) {
            return Ok(Some(clock::since(began)));
        }
    }
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|p| u32::from(p[0]) << 8 | u32::from(*p.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
