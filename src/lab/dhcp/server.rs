//! The DHCP server of the access router: a pool of addresses, one lease per hardware address. It remembers its leases as
//! long as the process runs.

use super::wire::{CLIENT, LARGEST, SERVER, decode, encode, everyone, message, socket};
use crate::error::Error;
use crate::world::{ISP, LEASE};
use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::Ipv4Addr;

/// Number of addresses. The lab has one gateway; the others are for tests that give it a new hardware address.
const POOL: u32 = 10;

/// Default lease time, seconds: longer than any act of the demo, so that only a wedged interface loses its lease.
pub const LEASE_SECONDS: u32 = 120;

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Leases an address to every client.
    Good,
    /// Answers every request with a NAK.
    Refusing,
}

impl Manner {
    /// `good`, `refusing`.
    pub fn from_name(name: &str) -> Option<Manner> {
        match name {
            "good" => Some(Manner::Good),
            "refusing" => Some(Manner::Refusing),
            _ => None,
        }
    }
}

/// The text in the NAK of [`Manner::Refusing`].
pub const REFUSAL: &str = "no lease available";

/// Serves `device` until the process ends. Prints `ACK` on standard output for each lease that it grants or renews.
///
/// # Errors
/// The socket cannot be opened.
pub async fn serve(device: &str, lease_seconds: u32, manner: Manner) -> Result<(), Error> {
    let socket = socket(device, SERVER)?;
    let mut leases = Leases::default();
    let mut buffer = [0; LARGEST];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut buffer).await else {
            continue; // the device went down for a moment
        };
        let answer = decode(&buffer[..length]).and_then(|request| match manner {
            Manner::Good => leases.answer(&request, lease_seconds),
            Manner::Refusing => refusal(&request),
        });
        if let Some(answer) = answer {
            // The client repeats its request if this cannot be sent.
            let _ = socket.send_to(&encode(&answer)?, everyone(CLIENT)).await;
            if answer.opts().msg_type() == Some(MessageType::Ack) {
                let mut out = std::io::stdout().lock();
                // Nobody may be reading the output.
                let _ = writeln!(out, "ACK").and_then(|()| out.flush());
            }
        }
    }
}

/// The NAK for any request.
fn refusal(request: &Message) -> Option<Message> {
    request.opts().msg_type()?;
    let mut no = message(Opcode::BootReply, MessageType::Nak, request.xid(), request.chaddr());
    no.opts_mut().insert(DhcpOption::ServerIdentifier(ISP));
    no.opts_mut().insert(DhcpOption::Message(REFUSAL.into()));
    Some(no)
}

/// The leased addresses, by hardware address.
#[derive(Debug, Default)]
struct Leases(BTreeMap<Vec<u8>, Ipv4Addr>);

impl Leases {
    fn answer(&mut self, request: &Message, lease_seconds: u32) -> Option<Message> {
        let hardware = request.chaddr();
        let kind = match request.opts().msg_type()? {
            MessageType::Discover => MessageType::Offer,
            MessageType::Request => MessageType::Ack,
            // A released address stays reserved for its client, as with most access routers.
            _ => return None,
        };
        let address = self.address(hardware);
        let wanted = match request.opts().get(OptionCode::RequestedIpAddress) {
            Some(DhcpOption::RequestedIpAddress(wanted)) => Some(*wanted),
            _ => Some(request.ciaddr()).filter(|address| !address.is_unspecified()),
        };
        let refused = kind == MessageType::Ack && wanted != address;
        let Some(address) = address.filter(|_| !refused) else {
            let mut no = message(Opcode::BootReply, MessageType::Nak, request.xid(), hardware);
            no.opts_mut().insert(DhcpOption::ServerIdentifier(ISP));
            return (kind == MessageType::Ack).then_some(no);
        };
        let mut answer = message(Opcode::BootReply, kind, request.xid(), hardware);
        answer.set_yiaddr(address);
        for option in [
            DhcpOption::ServerIdentifier(ISP),
            DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
            DhcpOption::Router(vec![ISP]),
            DhcpOption::AddressLeaseTime(lease_seconds),
        ] {
            answer.opts_mut().insert(option);
        }
        Some(answer)
    }

    /// The client's address: the one it has, or the next free one; `None` if the pool is empty.
    fn address(&mut self, hardware: &[u8]) -> Option<Ipv4Addr> {
        if let Some(address) = self.0.get(hardware) {
            return Some(*address);
        }
        let next = u32::try_from(self.0.len()).ok().filter(|n| *n < POOL)?;
        let address = Ipv4Addr::from(u32::from(LEASE) + next);
        self.0.insert(hardware.to_vec(), address);
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(hardware: &[u8], wanted: Ipv4Addr) -> Message {
        let mut request = message(Opcode::BootRequest, MessageType::Request, 7, hardware);
        request.opts_mut().insert(DhcpOption::RequestedIpAddress(wanted));
        request
    }

    #[test]
    fn client_gets_the_same_address_again_and_no_other() {
        let mut leases = Leases::default();
        let hardware = [2, 0, 0, 0, 0, 1];
        let discover = message(Opcode::BootRequest, MessageType::Discover, 7, &hardware);
        let offer = leases.answer(&discover, 60).unwrap();
        assert_eq!((offer.yiaddr(), offer.xid()), (LEASE, 7));
        let ack = leases.answer(&request(&hardware, LEASE), 60).unwrap();
        assert!(ack.opts().has_msg_type(MessageType::Ack));
        let nak = leases.answer(&request(&hardware, WRONG), 60).unwrap();
        assert!(nak.opts().has_msg_type(MessageType::Nak));
        assert_ne!(leases.answer(&request(&[2, 0, 0, 0, 0, 2], LEASE), 60).unwrap().yiaddr(), LEASE);
    }

    #[test]
    fn empty_pool_offers_nothing() {
        let mut leases = Leases::default();
        let given = (0..POOL + 1)
            .filter_map(|n| {
                let discover =
                    message(Opcode::BootRequest, MessageType::Discover, 7, &[2, 0, 0, 0, 0, n as u8]);
                leases.answer(&discover, 60)
            })
            .count();
        assert_eq!(given, POOL as usize);
    }

    const WRONG: Ipv4Addr = Ipv4Addr::new(198, 18, 100, 99);
}
