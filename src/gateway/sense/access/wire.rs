//! Sends and receives complete Ethernet frames on one device, bypassing addresses, routes and packet filters (packet(7)).
//!
//! `pnet::datalink` is not used: it blocks a thread, receives every frame of every device until it is bound, makes the
//! device promiscuous, and copies all of the customer's traffic to us while it listens. Here the socket receives nothing
//! until it is bound to device and protocol, and a filter in the kernel drops frames that cannot be an answer.

use crate::clock;
use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, SockRef, Socket, Type};
use std::io;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Room for a frame, bytes: Ethernet has at most 1518, and nothing longer is an answer to us.
const ROOM: usize = 2048;

/// The most frames that are read after the time limit: a busy link must not hold the check.
const LATE_MOST: u32 = 64;

/// One device's frames of one protocol.
#[derive(Debug)]
pub struct Wire {
    /// A packet socket in the wrapper of a UDP one: tokio uses only send(2) and recv(2) on it, which work on any datagram
    /// socket, and creating tokio's `AsyncFd` would be unsafe.
    socket: UdpSocket,
    room: Box<[u8; ROOM]>,
}

impl Wire {
    /// Opens a socket on the device with this index for frames of this EtherType that pass `filter`; an empty filter passes
    /// all. Must be called inside a tokio runtime.
    pub fn open(index: u32, protocol: u16, filter: &[SockFilter]) -> io::Result<Wire> {
        // With protocol 0 it receives nothing yet.
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        if !filter.is_empty() {
            socket.attach_filter(filter)?;
        }
        socket.bind(&address(index, protocol)?)?;
        Ok(Wire { socket: UdpSocket::from_std(socket.into())?, room: Box::new([0; ROOM]) })
    }

    /// Sends a frame, Ethernet header included. Never waits: through tokio it would wait for the first readiness event and
    /// send late. If the device's queue is full, the frame counts as lost on the link.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        match SockRef::from(&self.socket).send(frame) {
            Ok(sent) if sent == frame.len() => Ok(()),
            Ok(_) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits for the next frame. Cancel safe: dropping the future while it waits loses nothing.
    pub async fn receive(&mut self) -> io::Result<&[u8]> {
        let length = self.socket.recv(&mut self.room[..]).await?;
        Ok(self.room.get(..length).unwrap_or_default())
    }

    /// Sends questions and passes each received frame, with the time since the last question, to `take`. Returns the number
    /// of questions sent: 0 if there was no time for one.
    ///
    /// `question` makes the n-th question, counted from 0. It is called again after each `again`, until it returns `None`.
    /// Frames that arrived within the limit are read even if this task ran late: our own delay must not look like silence.
    pub async fn ask(
        &mut self,
        limit: Duration,
        again: Duration,
        question: &mut (dyn FnMut(u32) -> Option<Vec<u8>> + Send),
        take: &mut (dyn FnMut(&[u8], Duration) -> Next + Send),
    ) -> io::Result<u32> {
        let begun = clock::since_boot();
        let mut end = begun.saturating_add(limit);
        let mut asked = begun;
        let (mut number, mut due) = (0, Some(begun));
        let mut late = 0;
        loop {
            let now = clock::since_boot();
            let over = now >= end;
            if !over && due.is_some_and(|due| due <= now) {
                due = match question(number) {
                    Some(frame) => {
                        self.send(&frame)?;
                        asked = now;
                        number += 1;
                        Some(now.saturating_add(again))
                    }
                    None => None,
                };
            }
            let wait = due.unwrap_or(end).min(end).saturating_sub(now);
            let frame = match timeout(wait, self.receive()).await {
                Ok(frame) => frame?,
                Err(_) if over => return Ok(number),
                Err(_) => continue,
            };
            match take(frame, clock::since_boot().saturating_sub(asked)) {
                Next::Enough => return Ok(number),
                _ if over && late >= LATE_MOST => return Ok(number),
                _ if over => late += 1,
                Next::More => {}
                Next::Within(time) => {
                    due = None;
                    end = end.min(clock::since_boot().saturating_add(time));
                }
            }
        }
    }
}

/// What to do after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Wait for more frames and send further questions.
    More,
    /// Wait for more frames for at most this time; send no further questions.
    Within(Duration),
    /// Stop.
    Enough,
}

/// The address of all frames of one protocol on one device (`sockaddr_ll`).
pub fn address(index: u32, protocol: u16) -> io::Result<SockAddr> {
    let index = i32::try_from(index).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    #[expect(unsafe_code, reason = "neither std nor socket2 nor rustix know addresses of AF_PACKET")]
    // SAFETY: `sockaddr_ll` is a C struct of integers, one of this system's `sockaddr_*` types and not longer than
    // `sockaddr_storage`, so the zeroed storage may be seen as one. The address is made of the same storage, of the family
    // that is written into it, and of that type's own length (20), which fits any `socklen_t`.
    let address = unsafe {
        let mut storage = SockAddrStorage::zeroed();
        let place: &mut libc::sockaddr_ll = storage.view_as();
        place.sll_family = libc::AF_PACKET as libc::sa_family_t;
        place.sll_protocol = protocol.to_be();
        place.sll_ifindex = index;
        SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    };
    Ok(address)
}

/// Describes an error on `device` and what to try.
pub fn trouble(error: &io::Error, device: &str) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => format!(
            "no permission to send frames on {device}: run as root, or give CAP_NET_RAW (setcap cap_net_raw+ep)"
        ),
        Some(libc::ENETDOWN) => format!("{device} is down"),
        Some(libc::ENODEV | libc::ENXIO) => format!("{device} is gone"),
        Some(libc::EAFNOSUPPORT) => "this kernel has no packet sockets (CONFIG_PACKET)".into(),
        _ => format!("frames on {device}: {error}"),
    }
}

/// The instructions of a filter (classic BPF, linux/filter.h) that are used; offsets count from the frame's first byte.
pub mod filter {
    use socket2::SockFilter;

    const fn plain(code: u16, k: u32) -> SockFilter {
        SockFilter::new(code, 0, 0, k)
    }
    /// Loads the byte at `at`.
    pub const fn byte(at: u32) -> SockFilter {
        plain(0x30, at)
    }
    /// Loads the two bytes at `at`.
    pub const fn half(at: u32) -> SockFilter {
        plain(0x28, at)
    }
    /// X becomes the length of the IPv4 header that begins at `at`.
    pub const fn header_length(at: u32) -> SockFilter {
        plain(0xb1, at)
    }
    /// Loads the two bytes at X + `at`.
    pub const fn half_behind(at: u32) -> SockFilter {
        plain(0x48, at)
    }
    /// Loads the four bytes at X + `at`.
    pub const fn word_behind(at: u32) -> SockFilter {
        plain(0x40, at)
    }
    /// Continues if the loaded value is `value`, else skips `over` instructions.
    pub const fn must_be(value: u32, over: u8) -> SockFilter {
        SockFilter::new(0x15, 0, over, value)
    }
    /// Continues if the loaded value has none of these bits, else skips `over` instructions.
    pub const fn must_lack(bits: u32, over: u8) -> SockFilter {
        SockFilter::new(0x45, over, 0, bits)
    }
    /// Accepts the complete frame.
    pub const fn pass() -> SockFilter {
        plain(0x06, u32::MAX)
    }
    /// Drops the frame.
    pub const fn drop() -> SockFilter {
        plain(0x06, 0)
    }
}
