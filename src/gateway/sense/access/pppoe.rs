//! Checks for a PPPoE concentrator: sends a PADI (RFC 2516) and reports the PADOs.
//!
//! The PADI carries its own Host-Uniq, so that the PPPoE client of this gateway ignores the answers. No PADR follows, so no
//! session is requested and the concentrator has no state to keep.

use crate::sense::access::gate::Gate;
use crate::sense::access::replies::{
    Flawed, TOO_SHORT, microseconds, not_checked, printable, replies_or_silence, reply,
};
use crate::sense::access::station::station;
use crate::sense::access::wire::{self, Next, Wire};
use crate::sense::wan::WanDevice;
use linekeeper_contract::units::Span;
use linekeeper_judge::check::{Reply, Said};
use pnet::packet::Packet as _;
use pnet::packet::ethernet::{EtherType, EthernetPacket, MutableEthernetPacket};
use pnet::util::MacAddr;
use std::time::Duration;

/// How long to wait for further concentrators after the first answer.
///
/// 1 s: the shortest time after which clients ask again; a concentrator that wants to be chosen answers within it.
const FURTHER: Duration = Duration::from_secs(1);

/// The shortest time after which the question is repeated; otherwise half the limit.
const AGAIN: Duration = Duration::from_secs(1);

/// The name in the reply when nobody answered.
const ANYBODY: &str = "any PPPoE concentrator";

/// The most services that are reported of one concentrator.
const SERVICES_MOST: usize = 4;

/// The EtherType of the discovery stage.
pub const DISCOVERY: u16 = 0x8863;

const ETHERNET: usize = 14;
const HEADER: usize = 6;
/// The shortest frame without its checksum.
const SHORTEST: usize = 60;

/// Version 1, type 1.
const VERSION_TYPE: u8 = 0x11;
const PADI: u8 = 0x09;
const PADO: u8 = 0x07;
const PADS: u8 = 0x65;

/// Tags.
const END_OF_LIST: u16 = 0x0000;
const SERVICE_NAME: u16 = 0x0101;
const AC_NAME: u16 = 0x0102;
const HOST_UNIQ: u16 = 0x0103;
const SERVICE_NAME_ERROR: u16 = 0x0201;
const AC_SYSTEM_ERROR: u16 = 0x0202;
const GENERIC_ERROR: u16 = 0x0203;

/// Asks on the link of `device`, the Ethernet device below the session, who offers a PPPoE session, and takes none.
///
/// Returns one reply per concentrator, under its name or else its link-layer address: [`Said::Answered`], with its address
/// and services as detail and the time since the last question, or [`Said::Refused`] for an error tag. If nobody answers
/// within `limit` (asked twice if `gate` allows), one reply with [`Said::Silent`]. [`Said::NotChecked`] if `gate` refuses,
/// or without an Ethernet link that is up, or without the permission to send.
pub async fn check_pppoe(device: &WanDevice, limit: Span, gate: &Gate) -> Vec<Reply> {
    ask(device, limit, gate).await.unwrap_or_else(|why| not_checked(ANYBODY, why))
}

async fn ask(device: &WanDevice, limit: Span, gate: &Gate) -> Result<Vec<Reply>, String> {
    let us = station(device)?;
    let broken = |error| wire::trouble(&error, &us.name);
    let mut wire = Wire::open(us.index, DISCOVERY, &[]).map_err(broken)?;
    gate.begin()?;
    let unique = fastrand::u64(..).to_be_bytes();
    let given: Duration = limit.into();
    let mut found = Vec::<(MacAddr, Reply)>::new();
    let mut flawed = Flawed::default();
    let asked = wire
        .ask(
            given,
            AGAIN.max(given / 2),
            &mut |number| (number == 0 || number == 1 && gate.take_one_more()).then(|| padi(us.mac, unique)),
            &mut |frame, took| {
                let heard = match parse_frame(frame) {
                    Ok(heard) if heard.unique.as_deref() == Some(&unique) && heard.to == us.mac => heard,
                    Ok(_) => return Next::More,
                    Err(why) => {
                        flawed.add(why);
                        return Next::More;
                    }
                };
                let Some(mut answer) = reply_for(&heard) else { return Next::More };
                answer.took_us = Some(microseconds(took));
                if !found.iter().any(|(mac, other)| (*mac, other.said) == (heard.from, answer.said)) {
                    found.push((heard.from, answer));
                }
                Next::Within(FURTHER)
            },
        )
        .await;
    if asked.map_err(broken)? == 0 {
        return Err(TOO_SHORT.into());
    }
    Ok(replies_or_silence(found.into_iter().map(|(_, answer)| answer).collect(), ANYBODY, limit, flawed))
}

/// The reply for a concentrator's answer; `None` if it is neither an offer nor a refusal.
fn reply_for(heard: &Heard) -> Option<Reply> {
    let whom = match &heard.name {
        Some(name) if !name.is_empty() => name.clone(),
        _ => heard.from.to_string(),
    };
    if let Some((kind, words)) = &heard.error {
        let words = if words.is_empty() { String::new() } else { format!(": {words}") };
        return Some(reply(whom, Said::Refused, format!("{} refuses ({}){words}", heard.from, kind.name())));
    }
    if !heard.offer {
        return None;
    }
    let named: Vec<String> =
        heard.services.iter().filter(|name| !name.is_empty()).map(|name| format!("{name:?}")).collect();
    let detail = match named.as_slice() {
        [] => format!("offers a session, at {}", heard.from),
        [one] => format!("offers a session, at {}, service {one}", heard.from),
        more => format!("offers a session, at {}, services {}", heard.from, more.join(", ")),
    };
    Some(reply(whom, Said::Answered, detail))
}

/// The frame with the PADI: broadcast, for any service.
fn padi(from: MacAddr, unique: [u8; 8]) -> Vec<u8> {
    let mut payload = vec![VERSION_TYPE, PADI, 0, 0, 0, 0];
    tag(&mut payload, SERVICE_NAME, &[]);
    tag(&mut payload, HOST_UNIQ, &unique);
    enclose(from, MacAddr::broadcast(), payload)
}

/// Appends a tag; a value that is too long for a tag is left out.
fn tag(payload: &mut Vec<u8>, kind: u16, value: &[u8]) {
    if let Ok(length) = u16::try_from(value.len()) {
        payload.extend(kind.to_be_bytes());
        payload.extend(length.to_be_bytes());
        payload.extend(value);
    }
}

/// Writes the length into a payload and wraps it in a frame.
fn enclose(from: MacAddr, to: MacAddr, mut payload: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(payload.len().saturating_sub(HEADER)).unwrap_or(0);
    for (place, byte) in payload.iter_mut().skip(4).zip(length.to_be_bytes()) {
        *place = byte;
    }
    let mut frame = vec![0; ETHERNET];
    if let Some(mut ethernet) = MutableEthernetPacket::new(&mut frame) {
        ethernet.set_source(from);
        ethernet.set_destination(to);
        ethernet.set_ethertype(EtherType(DISCOVERY));
    }
    frame.extend(payload);
    if frame.len() < SHORTEST {
        frame.resize(SHORTEST, 0);
    }
    frame
}

/// An answer of a concentrator in the discovery stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its link-layer address.
    pub from: MacAddr,
    /// The link-layer address it is sent to.
    pub to: MacAddr,
    /// Whether it is a PADO; otherwise a PADS.
    pub offer: bool,
    /// The Host-Uniq that it returns.
    pub unique: Option<Vec<u8>>,
    /// Its name.
    pub name: Option<String>,
    /// The first few services it offers; the empty name means any.
    pub services: Vec<String>,
    /// The error tag and its text, if it refuses.
    pub error: Option<(Refusal, String)>,
}

/// The kind of an error tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The service is not available.
    ServiceName,
    /// The concentrator cannot serve now.
    System,
    /// Anything else.
    Generic,
}

impl Refusal {
    /// The tag's name in RFC 2516.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::ServiceName => "Service-Name-Error",
            Refusal::System => "AC-System-Error",
            Refusal::Generic => "Generic-Error",
        }
    }
}

/// Parses an Ethernet frame with a PADO, or a PADS (which some concentrators use to refuse).
///
/// # Errors
/// What is wrong with the input. No input makes it panic.
pub fn parse_frame(frame: &[u8]) -> Result<Heard, &'static str> {
    let ethernet = EthernetPacket::new(frame).ok_or("no whole Ethernet header")?;
    if ethernet.get_ethertype() != EtherType(DISCOVERY) {
        return Err("not of PPPoE's discovery");
    }
    let Some(&[version, code, _, _, high, low]) = ethernet.payload().first_chunk::<HEADER>() else {
        return Err("a PPPoE header that is cut off");
    };
    if version != VERSION_TYPE {
        return Err("another version of PPPoE");
    }
    if !matches!(code, PADO | PADS) {
        return Err("neither a PADO nor a PADS");
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    let tags = ethernet.payload().get(HEADER..).and_then(|rest| rest.get(..length));
    let mut tags = tags.ok_or("a PPPoE frame that is cut off")?;
    let mut heard = Heard {
        from: ethernet.get_source(),
        to: ethernet.get_destination(),
        offer: code == PADO,
        unique: None,
        name: None,
        services: Vec::new(),
        error: None,
    };
    while !tags.is_empty() {
        let (&[a, b, high, low], rest) = tags.split_first_chunk().ok_or("a PPPoE tag that is cut off")?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(length).ok_or("a PPPoE tag that is cut off")?;
        let mut refused = |what| {
            heard.error.get_or_insert_with(|| (what, printable(value)));
        };
        match u16::from_be_bytes([a, b]) {
            END_OF_LIST => break,
            HOST_UNIQ => heard.unique = heard.unique.or_else(|| Some(value.to_vec())),
            AC_NAME => heard.name = heard.name.or_else(|| Some(printable(value))),
            SERVICE_NAME if heard.services.len() < SERVICES_MOST => heard.services.push(printable(value)),
            SERVICE_NAME_ERROR => refused(Refusal::ServiceName),
            AC_SYSTEM_ERROR => refused(Refusal::System),
            GENERIC_ERROR => refused(Refusal::Generic),
            _ => {}
        }
        tags = rest;
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const US: MacAddr = MacAddr(2, 0, 0, 0, 0, 1);
    const THEM: MacAddr = MacAddr(2, 0, 0, 0, 0, 254);

    fn answer(code: u8, tags: &[(u16, &[u8])]) -> Vec<u8> {
        let mut payload = vec![VERSION_TYPE, code, 0, 0, 0, 0];
        for (kind, value) in tags {
            tag(&mut payload, *kind, value);
        }
        enclose(THEM, US, payload)
    }

    #[test]
    fn offer_is_parsed_and_reported() {
        let tags: &[(u16, &[u8])] = &[
            (SERVICE_NAME, b""),
            (AC_NAME, b"bng-7"),
            (HOST_UNIQ, b"12345678"),
            (SERVICE_NAME, b"internet"),
        ];
        let heard = parse_frame(&answer(PADO, tags)).unwrap();
        assert_eq!((heard.from, heard.to, heard.unique.as_deref()), (THEM, US, Some(&b"12345678"[..])));
        let said = reply_for(&heard).unwrap();
        assert_eq!((said.whom.as_str(), said.said), ("bng-7", Said::Answered));
        assert_eq!(said.detail, "offers a session, at 02:00:00:00:00:fe, service \"internet\"");
        let unnamed = reply_for(&parse_frame(&answer(PADO, &[])).unwrap()).unwrap();
        assert_eq!(
            (&*unnamed.whom, &*unnamed.detail),
            ("02:00:00:00:00:fe", "offers a session, at 02:00:00:00:00:fe")
        );
    }

    #[test]
    fn each_error_tag_is_a_refusal_with_its_text() {
        for (tag, name) in [
            (SERVICE_NAME_ERROR, "Service-Name-Error"),
            (AC_SYSTEM_ERROR, "AC-System-Error"),
            (GENERIC_ERROR, "Generic-Error"),
        ] {
            for code in [PADO, PADS] {
                let heard = parse_frame(&answer(code, &[(AC_NAME, b"bng-7"), (tag, b"no\n room")])).unwrap();
                let said = reply_for(&heard).unwrap();
                assert_eq!(said.said, Said::Refused);
                assert_eq!(said.detail, format!("02:00:00:00:00:fe refuses ({name}): no\u{fffd} room"));
            }
        }
        assert_eq!(
            reply_for(&parse_frame(&answer(PADS, &[])).unwrap()),
            None,
            "a session that nobody asked for"
        );
    }

    #[test]
    fn invalid_frames_are_rejected_with_a_reason() {
        let good = answer(PADO, &[(AC_NAME, &[b'x'; 80])]);
        assert!(parse_frame(&good[..30]).unwrap_err().contains("frame that is cut off"));
        assert!(parse_frame(&good[..18]).unwrap_err().contains("header that is cut off"));
        let mut long_tag = good.clone();
        long_tag[ETHERNET + HEADER + 3] = 81;
        assert!(parse_frame(&long_tag).unwrap_err().contains("tag that is cut off"));
        assert!(parse_frame(&padi(US, [0; 8])).unwrap_err().contains("neither"));
        let mut other = good;
        other[ETHERNET] = 0x12;
        assert!(parse_frame(&other).unwrap_err().contains("another version"));
    }

    #[test]
    fn padi_asks_for_any_service_with_our_host_uniq() {
        let frame = padi(US, *b"12345678");
        let tags = [1, 1, 0, 0, 1, 3, 0, 8, b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'8'];
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[12..20], [0x88, 0x63, 0x11, 0x09, 0, 0, 0, 16]);
        assert_eq!(frame[20..36], tags);
        assert_eq!(frame.len(), SHORTEST);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn any_bytes_parse_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_frame(&bytes);
        }

        #[test]
        fn mutated_answers_parse_without_panic(
            tags in proptest::collection::vec(
                (prop_oneof![0x101u16..0x105, 0x201u16..0x204, any::<u16>()],
                 proptest::collection::vec(any::<u8>(), 0..90)), 0..9),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            length in any::<prop::sample::Index>(),
        ) {
            let tags: Vec<(u16, &[u8])> = tags.iter().map(|(kind, value)| (*kind, &value[..])).collect();
            let mut frame = answer(PADO, &tags);
            prop_assert!(parse_frame(&frame).is_ok());
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
