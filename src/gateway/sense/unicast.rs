//! Counts, while the line is in doubt, the IP packets that prove that it carries data.
//!
//! The counters of a device also count what proves nothing: ARP and other broadcasts of a shared segment go on when
//! everything beyond it is dead, and the operator's first router still answers DHCP and DNS or reports that it cannot forward.
//! Counted here are only IP unicast packets to this gateway or through it, without ICMP (our own echoes are observed by
//! themselves), without link-local senders, and without anything that the default gateway itself sends.
//!
//! It costs time for each packet, so the socket is open only while somebody asks. Packets of flows that the hardware forwards
//! by itself are not seen.

use crate::sense::access::wire;
use socket2::{Domain, SockFilter, Socket, Type};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// `ETH_P_ALL`: before offloading takes packets away.
const ALL: u16 = 0x0003;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
/// `PACKET_HOST` of linux/if_packet.h: addressed to this gateway, also if it forwards the packet.
const TO_US: u32 = 0;

/// Packets that are counted at once, at most. The judge needs a few in a second, not their number.
const AT_ONCE: u32 = 64;
/// The pause after them: bounds the work to 640 packets a second on the busiest line.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts on one device until it is dropped.
#[derive(Debug)]
pub struct Unicast {
    seen: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Unicast {
    /// Starts counting on the device with this index. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// No permission (CAP_NET_RAW), or the device is gone.
    pub fn start(index: u32, gateway: Option<IpAddr>) -> io::Result<Unicast> {
        // Without a link header, so that the filter fits Ethernet and PPP alike. With protocol 0 it receives nothing yet.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), None)?;
        socket.attach_filter(&proving_packets(gateway))?;
        socket.bind(&wire::address(index, ALL)?)?;
        // See `Wire` for the wrapper.
        let socket = UdpSocket::from_std(socket.into())?;
        let seen = Arc::new(AtomicU32::new(0));
        let task = tokio::spawn(count(socket, Arc::clone(&seen)));
        Ok(Unicast { seen, task })
    }

    /// The packets since the last call: all of them up to a few hundred a second, at least that many beyond.
    pub fn take(&self) -> u64 {
        self.seen.swap(0, Ordering::Relaxed).into()
    }
}

impl Drop for Unicast {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn count(socket: UdpSocket, seen: Arc<AtomicU32>) {
    let mut room = [0; 1];
    // An error (the device is gone) ends the count; a new device gets a new socket.
    while socket.recv(&mut room).await.is_ok() {
        let mut more = 1;
        while more < AT_ONCE && socket.try_recv(&mut room).is_ok() {
            more += 1;
        }
        seen.fetch_add(more, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
}

/// One instruction of a filter (classic BPF, linux/filter.h). Offsets count from the network header.
enum Step {
    Load(u16, u32),
    DropIf(u16, u32),
    DropUnless(u16, u32),
}

const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
/// Loads from these places give the kernel's own notes on the packet (`SKF_AD_OFF`).
const PACKET_TYPE: u32 = 0xffff_f004;
const PROTOCOL: u32 = 0xffff_f000;

/// The filter. A packet that is too short for a load is dropped.
fn proving_packets(gateway: Option<IpAddr>) -> Vec<SockFilter> {
    // Not ICMP, not to a multicast group or everybody, not from the default gateway.
    let mut v4 = vec![
        Step::Load(LOAD_BYTE, 9),
        Step::DropIf(EQUAL, 1),
        Step::Load(LOAD_WORD, 16),
        Step::DropIf(AT_LEAST, 0xe000_0000),
    ];
    if let Some(IpAddr::V4(gateway)) = gateway {
        v4.extend([Step::Load(LOAD_WORD, 12), Step::DropIf(EQUAL, gateway.to_bits())]);
    }
    // Not ICMPv6, not to a multicast group, not from fe80::/10, where the default gateway is too.
    let v6 = vec![
        Step::Load(LOAD_BYTE, 6),
        Step::DropIf(EQUAL, 58),
        Step::Load(LOAD_BYTE, 24),
        Step::DropIf(EQUAL, 0xff),
        Step::Load(LOAD_HALF, 8),
        Step::Load(AND, 0xffc0),
        Step::DropIf(EQUAL, 0xfe80),
    ];
    let to_us =
        [Step::Load(LOAD_BYTE, PACKET_TYPE), Step::DropUnless(EQUAL, TO_US), Step::Load(LOAD_HALF, PROTOCOL)];
    // The order: for us? IPv4? else IPv6? v6, pass, v4, pass, drop.
    let end = to_us.len() + 2 + v6.len() + 1 + v4.len() + 1;
    let mut filter = Vec::with_capacity(end + 1);
    let append = |filter: &mut Vec<SockFilter>, steps: Vec<Step>| {
        for step in steps {
            let to_drop = u8::try_from(end - filter.len() - 1).unwrap_or(u8::MAX);
            filter.push(match step {
                Step::Load(code, k) => SockFilter::new(code, 0, 0, k),
                Step::DropIf(code, k) => SockFilter::new(code, to_drop, 0, k),
                Step::DropUnless(code, k) => SockFilter::new(code, 0, to_drop, k),
            });
        }
    };
    append(&mut filter, to_us.into());
    let over_v6 = u8::try_from(1 + v6.len() + 1).unwrap_or(u8::MAX);
    filter.push(SockFilter::new(EQUAL, over_v6, 0, IPV4));
    append(&mut filter, vec![Step::DropUnless(EQUAL, IPV6)]);
    append(&mut filter, v6);
    filter.push(SockFilter::new(RETURN, 0, 0, 1));
    append(&mut filter, v4);
    filter.push(SockFilter::new(RETURN, 0, 0, 1));
    filter.push(SockFilter::new(RETURN, 0, 0, 0));
    filter
}
