//! The kernel's statistics of a TCP connection (`TCP_INFO`), queried over sock_diag(7).
//!
//! Netlink is used instead of getsockopt(2), which needs `unsafe` and is not wrapped by any crate in our tree. OpenWrt has
//! sock_diag for TCP in the package `kmod-inet-diag`. Without it, a test counts its own bytes and knows less about what
//! limited the rate.

use crate::sense::netlink::{attributes, u32_at, u64_at};
use netlink_sys::{Socket, SocketAddr as Kernel};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Constants of linux/netlink.h, sock_diag.h and inet_diag.h.
const NETLINK_SOCK_DIAG: isize = 4;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const IPPROTO_TCP: u8 = 6;
const INET_DIAG_INFO: u16 = 2;
/// `struct inet_diag_msg`.
const ANSWER: usize = 72;
/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
const QUESTION: usize = 16 + 56;
/// Room for one answer, bytes. An answer takes about 500.
const ROOM: usize = 4096;
/// `TCPI_OPT_TIMESTAMPS`: ten bytes and two bytes of padding in each header.
const TIMESTAMPS: u8 = 1;

/// The statistics of one connection. Values that an older kernel does not report are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TcpNow {
    /// Payload received in order, bytes.
    pub received: u64,
    /// Payload that the peer acknowledged, bytes.
    pub acked: u64,
    /// Segments that the peer has received, in order or not.
    pub delivered: u32,
    /// Payload sent, retransmissions included, bytes.
    pub sent: u64,
    /// Payload retransmitted, bytes.
    pub resent: u64,
    /// Segments, with and without payload.
    pub segments_in: u32,
    pub segments_out: u32,
    pub data_segments_in: u32,
    /// Segments received out of order: an earlier one was lost or overtaken.
    pub out_of_order: u32,
    /// Payload of a full segment, bytes.
    pub mss_in: u32,
    pub mss_out: u32,
    /// IP and TCP headers of one segment, bytes.
    pub headers: u32,
    /// Smoothed round-trip time, microseconds.
    pub rtt_us: u32,
    /// Time with data to send, and the parts of it spent waiting for the peer's window and for room in our buffer;
    /// microseconds.
    pub busy_us: u64,
    pub window_limited_us: u64,
    pub buffer_limited_us: u64,
    /// The peer's window and ours, bytes.
    pub peer_window: u32,
    pub our_window: u32,
}

/// A socket for queries.
pub(super) struct Diag {
    socket: Socket,
    room: Vec<u8>,
    sequence: u32,
}

impl Diag {
    pub(super) fn connect() -> io::Result<Diag> {
        // Lets a test run as on a kernel without sock_diag.
        #[cfg(feature = "lab")]
        if std::env::var_os("LINEKEEPER_LAB_NO_DIAG").is_some() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.set_non_blocking(true)?;
        socket.connect(&Kernel::new(0, 0))?;
        Ok(Diag { socket, room: Vec::with_capacity(ROOM), sequence: 0 })
    }

    /// Queries the connection from `local` to `remote` over the device with this index.
    ///
    /// # Errors
    /// `NotFound` if the connection is gone or the kernel has no sock_diag for TCP.
    pub(super) fn ask(&mut self, local: SocketAddr, remote: SocketAddr, device: u32) -> io::Result<TcpNow> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&question(self.sequence, local, remote, device), 0)?;
        loop {
            self.room.clear();
            // The kernel answers before `send` returns.
            self.socket.recv(&mut self.room, 0)?;
            let kind = u32_at(&self.room, 4).unwrap_or(0) as u16;
            if u32_at(&self.room, 8) != Some(self.sequence) {
                continue;
            }
            let body = self.room.get(16..).unwrap_or_default();
            if kind == NLMSG_ERROR {
                let code = u32_at(body, 0).unwrap_or(0) as i32;
                return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
            }
            let info = attributes(body, ANSWER).find(|(kind, _)| *kind == INET_DIAG_INFO);
            let info = info.ok_or_else(|| io::Error::other("the kernel reports no TCP_INFO"))?;
            return Ok(read(info.1, local.is_ipv6()));
        }
    }
}

fn question(sequence: u32, local: SocketAddr, remote: SocketAddr, device: u32) -> Vec<u8> {
    let mut q = Vec::with_capacity(QUESTION);
    q.extend((QUESTION as u32).to_ne_bytes());
    q.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    q.extend(NLM_F_REQUEST.to_ne_bytes());
    q.extend(sequence.to_ne_bytes());
    q.extend(0u32.to_ne_bytes());
    let family = if local.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    q.extend([family as u8, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0]);
    q.extend(u32::MAX.to_ne_bytes());
    q.extend(local.port().to_be_bytes());
    q.extend(remote.port().to_be_bytes());
    for end in [local.ip(), remote.ip()] {
        match end {
            IpAddr::V4(v4) => {
                q.extend(v4.octets());
                q.extend([0; 12]);
            }
            IpAddr::V6(v6) => q.extend(v6.octets()),
        }
    }
    q.extend(device.to_ne_bytes());
    // INET_DIAG_NOCOOKIE
    q.extend([0xff; 8]);
    q
}

/// Parses `struct tcp_info` of linux/tcp.h, which only ever grows at its end.
fn read(info: &[u8], v6: bool) -> TcpNow {
    let word = |at| u32_at(info, at).unwrap_or(0);
    let long = |at| u64_at(info, at).unwrap_or(0);
    let options = info.get(5).copied().unwrap_or(0);
    TcpNow {
        received: long(128),
        acked: long(120),
        delivered: word(192),
        sent: long(200),
        resent: long(208),
        segments_in: word(140),
        segments_out: word(136),
        data_segments_in: word(152),
        out_of_order: word(224),
        mss_in: word(20),
        mss_out: word(16),
        headers: if v6 { 60 } else { 40 } + if options & TIMESTAMPS != 0 { 12 } else { 0 },
        rtt_us: word(68),
        busy_us: long(168),
        window_limited_us: long(176),
        buffer_limited_us: long(184),
        peer_window: word(228),
        // tcpi_rcv_wnd exists since Linux 6.2. Before, the closest value is the threshold up to which the window may grow.
        our_window: match word(232) {
            0 => word(64),
            window => window,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_kernel_counts_what_passed() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(place) else { continue };
            let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            near.write_all(&[7; 5000]).unwrap();
            far.read_exact(&mut [0; 5000]).unwrap();
            far.write_all(&[7; 300]).unwrap();
            near.read_exact(&mut [0; 300]).unwrap();
            let mut diag = Diag::connect().unwrap();
            match diag.ask(near.local_addr().unwrap(), near.peer_addr().unwrap(), 0) {
                Ok(now) => {
                    assert_eq!((now.sent, now.received), (5000, 300), "{now:?}");
                    assert!(now.headers >= 40 && now.segments_out >= 2 && now.rtt_us > 0, "{now:?}");
                }
                // A kernel without sock_diag for TCP.
                Err(error) if error.kind() == io::ErrorKind::NotFound => eprintln!("not tested: {error}"),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn short_answers_of_old_kernels_read_as_nothing() {
        for length in 0..240 {
            let now = read(&vec![1; length], false);
            assert_eq!(now.peer_window == 0, length < 232, "{length}");
        }
    }
}
