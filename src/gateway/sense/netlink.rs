//! Queries to the kernel over rtnetlink, and readers for the few parts of its answers that the sensors need.
//!
//! Answers are read attribute by attribute instead of being decoded completely: an attribute that a decoder does not
//! know, from a driver or a newer kernel, must not hide the WAN device.

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use netlink_sys::{AsyncSocket, AsyncSocketExt, Socket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use std::io;

/// Room for one datagram from the kernel, bytes.
///
/// 32 KiB: the most that the kernel puts into one datagram (`netlink_dump` limits it to that).
const ROOM: usize = 32 * 1024;

/// The length of a netlink header.
const HEADER: usize = 16;

/// `MSG_TRUNC`: return the real length of a datagram, even if it did not fit.
const TELL_TRUE_LENGTH: i32 = libc::MSG_TRUNC;

/// Message types of linux/rtnetlink.h.
pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
pub(super) const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;

/// Lengths of `struct ifinfomsg`, `ifaddrmsg` and `rtmsg` in linux/if_link.h, if_addr.h and rtnetlink.h.
const IFINFOMSG: usize = 16;
const IFADDRMSG: usize = 8;
const RTMSG: usize = 12;

/// A query. Each is a header of zeros except for the index, so netlink-packet-route and its 110 KB of encoders are not
/// needed in the router binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// One device, by its index.
    Link(u32),
    /// All devices.
    Links,
    /// All addresses of both families.
    Addresses,
    /// All routes of both families.
    Routes,
}

impl NetlinkSerializable for Question {
    fn message_type(&self) -> u16 {
        match self {
            Question::Link(_) | Question::Links => RTM_GETLINK,
            Question::Addresses => RTM_GETADDR,
            Question::Routes => RTM_GETROUTE,
        }
    }

    fn buffer_len(&self) -> usize {
        match self {
            Question::Link(_) | Question::Links => IFINFOMSG,
            Question::Addresses => IFADDRMSG,
            Question::Routes => RTMSG,
        }
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.fill(0);
        if let Question::Link(index) = self
            && let Some(place) = buffer.get_mut(4..8)
        {
            place.copy_from_slice(&index.to_ne_bytes());
        }
    }
}

/// A socket for queries.
///
/// rtnetlink queues the answer before `send` returns, so a query never waits.
pub(super) struct Kernel {
    socket: Socket,
    room: Vec<u8>,
    sequence: u32,
}

/// Whether the kernel's table stayed unchanged while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Whole,
    /// It changed between two parts of the answer: query again.
    Torn,
}

impl Kernel {
    pub(super) fn connect() -> io::Result<Kernel> {
        let socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Kernel { socket, room: Vec::with_capacity(ROOM), sequence: 0 })
    }

    /// Queries one object and passes the type and the body of the answer to `take`.
    pub(super) fn ask_one(&mut self, question: Question, take: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.ask(question, false, take).map(|_| ())
    }

    /// Queries a whole table and passes the type and the body of each entry to `take`.
    pub(super) fn ask_all(
        &mut self,
        question: Question,
        take: impl FnMut(u16, &[u8]),
    ) -> io::Result<Reading> {
        self.ask(question, true, take)
    }

    fn ask(
        &mut self,
        question: Question,
        dump: bool,
        mut take: impl FnMut(u16, &[u8]),
    ) -> io::Result<Reading> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message =
            NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(question));
        message.header.flags = if dump { NLM_F_REQUEST | NLM_F_DUMP } else { NLM_F_REQUEST };
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;

        let mut reading = Reading::Whole;
        loop {
            self.room.clear();
            let length = self.socket.recv(&mut self.room, TELL_TRUE_LENGTH)?;
            if length > self.room.len() {
                return Err(io::Error::other(format!("the kernel's answer has {length} bytes, too many")));
            }
            let mut rest = &self.room[..];
            while let Some((kind, flags, sequence, body)) = next_message(&mut rest) {
                if sequence != self.sequence {
                    continue;
                }
                if flags & NLM_F_DUMP_INTR != 0 {
                    reading = Reading::Torn;
                }
                match kind {
                    NLMSG_ERROR | NLMSG_DONE => {
                        // Both begin with a negative errno, or 0 for success.
                        let code = u32_at(body, 0).unwrap_or(0) as i32;
                        return if code < 0 { Err(io::Error::from_raw_os_error(-code)) } else { Ok(reading) };
                    }
                    _ => take(kind, body),
                }
                if !dump {
                    return Ok(reading);
                }
            }
        }
    }
}

/// A socket for the kernel's notifications.
pub(super) struct Events {
    socket: TokioSocket,
    room: Vec<u8>,
}

/// Links, addresses and routes of both families (`RTMGRP_*` of linux/rtnetlink.h).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

impl Events {
    pub(super) fn listen() -> io::Result<Events> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
        Ok(Events { socket, room: Vec::with_capacity(ROOM) })
    }

    /// Waits for the next notifications and passes the type and the body of each to `take`.
    ///
    /// Cancel safe: dropping the future while it waits loses nothing.
    ///
    /// # Errors
    /// `ENOBUFS` when the kernel had to drop notifications: the tables have to be read again.
    pub(super) async fn next(&mut self, mut take: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.room.clear();
        let from = self.socket.recv_from(&mut self.room).await?;
        // Any process may send to this socket; only the kernel (port 0) is trusted.
        if from.port_number() == 0 {
            let mut rest = &self.room[..];
            while let Some((kind, _, _, body)) = next_message(&mut rest) {
                take(kind, body);
            }
        }
        Ok(())
    }
}

/// Splits the first message off `rest`: type, flags, sequence number, body.
pub(super) fn next_message<'a>(rest: &mut &'a [u8]) -> Option<(u16, u16, u32, &'a [u8])> {
    let message = NetlinkBuffer::new_checked(*rest).ok()?;
    let length = message.length() as usize;
    let (kind, flags, sequence) = (message.message_type(), message.flags(), message.sequence_number());
    let body = rest.get(HEADER..length)?;
    *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, flags, sequence, body))
}

/// The attributes after a header of `header` bytes, as type and value.
pub(super) fn attributes(body: &[u8], header: usize) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(body.get(header..).unwrap_or_default()).map_while(|attribute| {
        let attribute = attribute.ok()?;
        let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
        Some((kind, attribute.into_inner().get(4..length)?))
    })
}

/// The number in native byte order at offset `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The number in native byte order at offset `at`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
