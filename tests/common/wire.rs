//! MQTT at the byte level, for tests that act as a broker or as a proxy in front of one.

use std::io::Read;
use std::net::TcpStream;

/// Reads the next complete control packet; `None` at the end of the connection.
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
