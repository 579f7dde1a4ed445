//! MQTT as bytes, for tests that stand between the gateway and its broker, or in the broker's place.

use std::io::Read;
use std::net::TcpStream;

/// The next control packet, whole; `None` when the connection ended.
pub fn packet(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut byte = [0];
    from.read_exact(&mut byte).ok()?;
    let mut packet = vec![byte[0]];
    let (mut length, mut shift) = (0, 0);
    loop {
        from.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 127) << shift;
        shift += 7;
        if byte[0] < 128 {
            break;
        }
    }
    let mut rest = vec![0; length];
    from.read_exact(&mut rest).ok()?;
    packet.extend(rest);
    Some(packet)
}
