//! A small DNS resolver over UDP and TCP. It knows every name below `example` and no other, and it can misbehave.
//!
//! It is written without a DNS library, so that it can send invalid messages.

use crate::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

/// How the resolver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Correctly.
    Alive,
    /// Accepts every question and does not answer, over TCP too.
    Dead,
    /// Answers REFUSED.
    Refusing,
    /// Answers SERVFAIL: it has no upstream resolver.
    Failing,
    /// Answers truncated over UDP, completely over TCP.
    Truncating,
    /// Does not answer over UDP, answers over TCP.
    TcpOnly,
    /// Answers its own address for every name, existing or not.
    Hijacking,
    /// Sends an answer to another question with another id before the correct answer.
    Babbling,
}

impl Manner {
    /// All of them.
    pub const ALL: [(&'static str, Manner); 8] = [
        ("alive", Manner::Alive),
        ("dead", Manner::Dead),
        ("refusing", Manner::Refusing),
        ("failing", Manner::Failing),
        ("truncating", Manner::Truncating),
        ("tcp-only", Manner::TcpOnly),
        ("hijacking", Manner::Hijacking),
        ("babbling", Manner::Babbling),
    ];

    /// The manner with this name.
    pub fn from_name(name: &str) -> Option<Manner> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, m)| *m)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, m)| *m == self).map_or("alive", |(n, _)| n)
    }
}

/// Serves until the process ends. Every known name resolves to `address`.
///
/// # Errors
/// The server cannot listen there.
pub fn serve(place: SocketAddr, manner: Manner, address: IpAddr) -> Result<(), Error> {
    let listening = |e| Error::new(format!("listening at {place} as resolver"), e);
    let tcp = TcpListener::bind(place).map_err(listening)?;
    let udp = UdpSocket::bind(place).map_err(listening)?;
    std::thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            std::thread::spawn(move || by_tcp(stream, manner, address));
        }
    });
    let mut room = [0; 1_500];
    loop {
        let (length, from) = udp.recv_from(&mut room).map_err(listening)?;
        let asked = &room[..length];
        let answered = match manner {
            Manner::Dead | Manner::TcpOnly => None,
            Manner::Truncating => answer(asked, manner, address).map(|mut bytes| {
                bytes.truncate(question(asked).map_or(12, |(_, end)| end));
                bytes[2] |= 0x02;
                bytes[6..8].fill(0);
                bytes
            }),
            Manner::Babbling => {
                for (at, mask) in [(0, 0xff), (13, 0x01), (2, 0x80)] {
                    let mut wrong = answer(asked, manner, address).unwrap_or_default();
                    if let Some(byte) = wrong.get_mut(at) {
                        *byte ^= mask;
                    }
                    let _ = udp.send_to(&wrong, from);
                }
                answer(asked, manner, address)
            }
            _ => answer(asked, manner, address),
        };
        if let Some(bytes) = answered {
            let _ = udp.send_to(&bytes, from);
        }
    }
}

fn by_tcp(mut stream: TcpStream, manner: Manner, address: IpAddr) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut asked = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut asked).is_err() {
            return;
        }
        if manner == Manner::Dead {
            continue;
        }
        let bytes = answer(&asked, manner, address).unwrap_or_default();
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        if stream.write_all(&[&length, bytes.as_slice()].concat()).is_err() {
            return;
        }
    }
}

/// The last label of the requested name, and the end of the question.
fn question(asked: &[u8]) -> Option<(String, usize)> {
    let (mut at, mut last) = (12, String::new());
    loop {
        match usize::from(*asked.get(at)?) {
            0 => return Some((last, at + 5)).filter(|(_, end)| *end <= asked.len()),
            length => {
                last = String::from_utf8_lossy(asked.get(at + 1..=at + length)?).to_ascii_lowercase();
                at += 1 + length;
            }
        }
    }
}

fn answer(asked: &[u8], manner: Manner, address: IpAddr) -> Option<Vec<u8>> {
    let (last, end) = question(asked)?;
    let mut bytes = asked[..end].to_vec();
    let (code, known) = match manner {
        Manner::Refusing => (5, false),
        Manner::Failing => (2, false),
        Manner::Hijacking => (0, true),
        _ if last == "example" => (0, true),
        _ => (3, false),
    };
    // A response, recursion desired and available.
    bytes[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    bytes[6..12].fill(0);
    let (kind, data): (u8, Vec<u8>) = match address {
        IpAddr::V4(v4) => (1, v4.octets().into()),
        IpAddr::V6(v6) => (28, v6.octets().into()),
    };
    if known && bytes[end - 3] == kind {
        bytes[7] = 1;
        bytes.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 5, 0, data.len() as u8]);
        bytes.extend_from_slice(&data);
    }
    Some(bytes)
}
