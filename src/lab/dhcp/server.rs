//! The access router's DHCP server: one pool, one lease for each hardware address, kept as long as it lives.

use super::wire::{CLIENT, LARGEST, SERVER, decode, encode, everyone, message, socket};
use crate::error::Error;
use crate::world::{ISP, LEASE};
use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::Ipv4Addr;

/// How many addresses there are to lease.
///
/// The lab has one gateway; the others are for a gateway that a test gives a new hardware address.
const POOL: u32 = 10;

/// How long a lease lasts, in seconds, unless told otherwise: longer than any act of the demo, so that only a
/// wedged interface loses it.
pub const LEASE_SECONDS: u32 = 120;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Gives a lease to who asks.
    Good,
    /// Answers with a NAK, whatever it is asked.
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

/// Its words with a NAK when it behaves so.
pub const REFUSAL: &str = "no lease to be had";

/// Serves `device` for ever. Says `ACK` on standard output for each lease that it gives or renews.
///
/// # Errors
/// When the socket cannot be opened.
pub async fn serve(device: &str, lease_seconds: u32, manner: Manner) -> Result<(), Error> {
    let socket = socket(device, SERVER)?;
    let mut leases = Leases::default();
    let mut buffer = [0; LARGEST];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut buffer).await else {
            continue; // the device went down for a moment
        };
        let answer = decode(&buffer[..length]).and_then(|asked| match manner {
            Manner::Good => leases.answer(&asked, lease_seconds),
            Manner::Refusing => refusal(&asked),
        });
        if let Some(answer) = answer {
            // What cannot be sent now the client asks for again.
            let _ = socket.send_to(&encode(&answer)?, everyone(CLIENT)).await;
            if answer.opts().msg_type() == Some(MessageType::Ack) {
                let mut out = std::io::stdout().lock();
                // Nobody reads: then it is said to nobody.
                let _ = writeln!(out, "ACK").and_then(|()| out.flush());
            }
        }
    }
}

/// The NAK to anything.
fn refusal(asked: &Message) -> Option<Message> {
    asked.opts().msg_type()?;
    let mut no = message(Opcode::BootReply, MessageType::Nak, asked.xid(), asked.chaddr());
    no.opts_mut().insert(DhcpOption::ServerIdentifier(ISP));
    no.opts_mut().insert(DhcpOption::Message(REFUSAL.into()));
    Some(no)
}

/// Who has which address.
#[derive(Debug, Default)]
struct Leases(BTreeMap<Vec<u8>, Ipv4Addr>);

impl Leases {
    fn answer(&mut self, asked: &Message, lease_seconds: u32) -> Option<Message> {
        let hardware = asked.chaddr();
        let kind = match asked.opts().msg_type()? {
            MessageType::Discover => MessageType::Offer,
            MessageType::Request => MessageType::Ack,
            // The address stays the client's: it gets the same again, as from most access routers.
            _ => return None,
        };
        let address = self.address(hardware);
        let wanted = match asked.opts().get(OptionCode::RequestedIpAddress) {
            Some(DhcpOption::RequestedIpAddress(wanted)) => Some(*wanted),
            _ => Some(asked.ciaddr()).filter(|address| !address.is_unspecified()),
        };
        let refused = kind == MessageType::Ack && wanted != address;
        let Some(address) = address.filter(|_| !refused) else {
            let mut no = message(Opcode::BootReply, MessageType::Nak, asked.xid(), hardware);
            no.opts_mut().insert(DhcpOption::ServerIdentifier(ISP));
            return (kind == MessageType::Ack).then_some(no);
        };
        let mut answer = message(Opcode::BootReply, kind, asked.xid(), hardware);
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

    /// The address of this client: the one it has, or the next; `None` when the pool is empty.
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
        let mut asked = message(Opcode::BootRequest, MessageType::Request, 7, hardware);
        asked.opts_mut().insert(DhcpOption::RequestedIpAddress(wanted));
        asked
    }

    #[test]
    fn a_client_gets_the_same_address_again_and_no_other() {
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
    fn an_empty_pool_offers_nothing() {
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
