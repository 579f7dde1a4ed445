//! Checks for a DHCP server: sends a DHCPDISCOVER (RFC 2131) and reports the OFFERs without requesting one.
//!
//! The DISCOVER is broadcast as an Ethernet frame without a source address. It carries the device's Ethernet address and
//! the client's own identifier ([`udhcpc`](super::udhcpc)), so that a server offers the client's lease and reserves no
//! second one. Its own transaction id keeps the client on port 68 from reacting. No REQUEST follows, so by RFC 2131
//! nothing is leased. The parser is our own because pnet has only unchecked fields for DHCP.

mod message;

pub use message::{Answer, Heard, Offer, parse_frame, parse_message};

use crate::clock;
use crate::sense::access::gate::Gate;
use crate::sense::access::replies::{
    Flawed, TOO_SHORT, microseconds, not_checked, replies_or_silence, reply,
};
use crate::sense::access::station::station;
use crate::sense::access::udhcpc::identity;
use crate::sense::access::wire::filter::{
    byte, drop, half, half_behind, header_length, must_be, must_lack, pass, word_behind,
};
use crate::sense::access::wire::{self, Next, Wire};
use crate::sense::wan::WanDevice;
use linekeeper_contract::units::Span;
use linekeeper_judge::check::{Reply, Said};
use message::{CLIENT, ETHERNET, FOR_EVER, UDP, discover};
use pnet::packet::ethernet::EtherTypes;
use pnet::packet::ip::IpNextHeaderProtocols;
use std::time::Duration;

/// How long to wait for further servers after the first answer.
///
/// 2 s: a second server on the line (somebody's router plugged in the wrong way round) first probes whether the address is
/// free; busybox and dnsmasq take up to that long.
const FURTHER: Duration = Duration::from_secs(2);

/// The shortest time after which the question is repeated; otherwise half the limit.
const AGAIN: Duration = Duration::from_secs(1);

/// The name in the reply when nobody answered.
const ANYBODY: &str = "any DHCP server";

/// Asks on the link of `device` which servers offer a lease, and takes none.
///
/// Returns one reply per server: [`Said::Answered`], with the offered address, lease time and router as detail and the time
/// since the last question, or [`Said::Refused`] for a NAK. If nobody answers within `limit` (asked twice if `gate` allows),
/// one reply with [`Said::Silent`]. [`Said::NotChecked`] if `gate` refuses, or without an Ethernet link that is up, or
/// without the permission to send.
pub async fn check_dhcp(device: &WanDevice, limit: Span, gate: &Gate) -> Vec<Reply> {
    ask(device, limit, gate).await.unwrap_or_else(|why| not_checked(ANYBODY, why))
}

async fn ask(device: &WanDevice, limit: Span, gate: &Gate) -> Result<Vec<Reply>, String> {
    let us = station(device)?;
    let broken = |error| wire::trouble(&error, &us.name);
    let xid = fastrand::u32(..);
    let mut wire = open(us.index, xid).map_err(broken)?;
    gate.begin()?;
    let client = identity(&us.name, us.mac);
    let begun = clock::since_boot();
    let given: Duration = limit.into();
    let (mut found, mut flawed) = (Vec::<Reply>::new(), Flawed::default());
    let asked = wire
        .ask(
            given,
            AGAIN.max(given / 2),
            &mut |number| {
                let may = number == 0 || number == 1 && gate.take_one_more();
                let seconds = clock::since_boot().saturating_sub(begun).as_secs();
                may.then(|| discover(&us, &client, xid, u16::try_from(seconds).unwrap_or(u16::MAX)))
            },
            &mut |frame, took| {
                let heard = match parse_frame(frame) {
                    Ok(heard) if heard.xid == xid && heard.client == us.mac => heard,
                    Ok(_) => return Next::More,
                    Err(why) => {
                        flawed.add(why);
                        return Next::More;
                    }
                };
                let Some(mut answer) = reply_for(&heard) else { return Next::More };
                answer.took_us = Some(microseconds(took));
                if !found.iter().any(|other| (&other.whom, other.said) == (&answer.whom, answer.said)) {
                    found.push(answer);
                }
                Next::Within(FURTHER)
            },
        )
        .await;
    if asked.map_err(broken)? == 0 {
        return Err(TOO_SHORT.into());
    }
    Ok(replies_or_silence(found, ANYBODY, limit, flawed))
}

/// The reply for a server's message; `None` if it is neither an offer nor a refusal.
fn reply_for(heard: &Heard) -> Option<Reply> {
    match &heard.answer {
        Answer::Offer(offer) => {
            let mut detail = format!("offers {}", offer.address);
            match offer.lease {
                None => {}
                Some(FOR_EVER) => detail += " without end",
                Some(seconds) => detail = format!("{detail} for {}", Span::seconds(seconds.into())),
            }
            match offer.router {
                Some(router) => detail = format!("{detail}, router {router}"),
                None => detail += ", no router",
            }
            Some(reply(heard.server.to_string(), Said::Answered, detail))
        }
        Answer::Nak(why) if why.is_empty() => {
            Some(reply(heard.server.to_string(), Said::Refused, "refuses (DHCPNAK)"))
        }
        Answer::Nak(why) => {
            Some(reply(heard.server.to_string(), Said::Refused, format!("refuses (DHCPNAK): {why}")))
        }
        Answer::Other(_) => None,
    }
}

/// Opens a socket that receives only messages to a DHCP client with this transaction id: on a busy line nothing else is
/// copied to us.
fn open(index: u32, xid: u32) -> std::io::Result<Wire> {
    let ip = ETHERNET as u32;
    let filter = [
        byte(ip + 9),
        must_be(IpNextHeaderProtocols::Udp.0.into(), 8),
        // Not a later fragment.
        half(ip + 6),
        must_lack(0x1fff, 6),
        header_length(ip),
        half_behind(ip + 2),
        must_be(CLIENT.into(), 3),
        word_behind(ip + UDP as u32 + 4),
        must_be(xid, 1),
        pass(),
        drop(),
    ];
    Wire::open(index, EtherTypes::Ipv4.0, &filter)
}

#[cfg(test)]
mod tests {
    use super::message::tests::{MAC, SERVER_ADDRESS, frame, message};
    use super::message::{
        END, LEASE_TIME, MESSAGE, MESSAGE_TYPE, NAK, OFFER, OVERLOAD, PAD, ROUTER, SERVER_IDENTIFIER,
    };
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    #[test]
    fn offer_is_parsed_and_reported() {
        let mut options = vec![PAD, MESSAGE_TYPE, 1, OFFER, SERVER_IDENTIFIER, 4, 198, 51, 100, 1];
        options
            .extend([LEASE_TIME, 4, 0, 0, 0x1c, 0x20, ROUTER, 8, 192, 0, 2, 1, 192, 0, 2, 3, END, 1, 2, 3]);
        let heard = parse_frame(&frame(&message(&options))).unwrap();
        assert_eq!((heard.xid, heard.client, heard.server), (7, MAC, Ipv4Addr::new(198, 51, 100, 1)));
        let told = reply_for(&heard).unwrap();
        assert_eq!((told.whom.as_str(), told.said), ("198.51.100.1", Said::Answered));
        assert_eq!(told.detail, "offers 192.0.2.10 for 2 h, router 192.0.2.1");
    }

    #[test]
    fn refusal_is_reported_with_its_text() {
        let mut options = vec![MESSAGE_TYPE, 1, NAK, MESSAGE, 9];
        options.extend(b"no\x07 lease");
        let heard = parse_frame(&frame(&message(&options))).unwrap();
        assert_eq!(heard.server, SERVER_ADDRESS, "without an identifier, the packet's sender");
        let told = reply_for(&heard).unwrap();
        assert_eq!((told.said, &*told.detail), (Said::Refused, "refuses (DHCPNAK): no\u{fffd} lease"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn mutated_answers_parse_without_panic(
            options in proptest::collection::vec(any::<u8>(), 0..300),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            length in any::<prop::sample::Index>(),
        ) {
            let mut all = vec![MESSAGE_TYPE, 1, OFFER, OVERLOAD, 1, 3];
            all.extend(options);
            let mut frame = frame(&message(&all));
            for (at, byte) in &changes {
                let at = at.index(frame.len());
                frame[at] = *byte;
            }
            frame.truncate(length.index(frame.len() + 1));
            if let Ok(heard) = parse_frame(&frame) {
                let _ = reply_for(&heard);
            }
        }
    }
}
