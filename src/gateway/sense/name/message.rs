//! DNS messages (RFC 1035, 4.1): writes a question and parses an answer. Pure, with bounds on everything it reads.
//!
//! Own code instead of a library: only one question, and the addresses and the code of its answer are needed, 150 lines.
//! Measured on x86-64 (opt-level z, fat LTO, a program that asks one A record, against the same without DNS):
//! hickory-proto 0.26 without its default features 292 KiB, simple-dns 0.11 59 KiB. The size limit
//! of the router binary leaves no room for that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest message that is read, bytes. Over UDP an answer without EDNS has at most 512; a longer one is read all the
/// same. Over TCP a longer message is rejected.
pub const LONGEST: usize = 4_096;

/// The longest name in wire format (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 255;

/// The longest label of a name.
const LONGEST_LABEL: usize = 63;

/// The most records that are read of one answer. `LONGEST` holds about 250 addresses; two aliases before one are already many.
const RECORDS: usize = 64;

/// The most addresses that are kept of one answer.
pub const ADDRESSES: usize = 8;

/// The header's length.
const HEADER: usize = 12;

const CLASS_IN: u16 = 1;

/// Which kind of record is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
}

impl Kind {
    const fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Aaaa => 28,
        }
    }
}

/// A DNS question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name in wire format, in lower case.
    name: Vec<u8>,
    kind: Kind,
}

impl Question {
    /// A question for a name, with or without a trailing dot.
    ///
    /// # Errors
    /// Why the text is not a valid name.
    pub fn new(name: &str, kind: Kind) -> Result<Question, String> {
        let text = name.strip_suffix('.').unwrap_or(name);
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.split('.') {
            match u8::try_from(label.len()) {
                Ok(length @ 1..) if usize::from(length) <= LONGEST_LABEL => wire.push(length),
                _ => return Err(format!("{name:?} is no DNS name: a label has 1 to {LONGEST_LABEL} bytes")),
            }
            wire.extend(label.bytes().map(|b| b.to_ascii_lowercase()));
        }
        wire.push(0);
        if wire.len() > LONGEST_NAME {
            return Err(format!("{name:?} is too long for a DNS name"));
        }
        Ok(Question { name: wire, kind })
    }

    /// The DNS message with this question, recursion desired.
    pub fn message(&self, id: u16) -> Vec<u8> {
        let mut message = Vec::with_capacity(HEADER + self.name.len() + 4);
        for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        message.extend_from_slice(&self.name);
        message.extend_from_slice(&self.kind.number().to_be_bytes());
        message.extend_from_slice(&CLASS_IN.to_be_bytes());
        message
    }
}

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const CODE: u16 = 0x000f;

/// The response code (RFC 1035, 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// NOERROR.
    Fine,
    /// SERVFAIL: the resolver could not find the answer.
    ServerFailure,
    /// NXDOMAIN: there is no such name.
    NoSuchName,
    /// REFUSED: the resolver does not serve us.
    Refused,
    /// Any other.
    Other(u8),
}

impl Code {
    fn of(number: u8) -> Code {
        match number {
            0 => Code::Fine,
            2 => Code::ServerFailure,
            3 => Code::NoSuchName,
            5 => Code::Refused,
            other => Code::Other(other),
        }
    }

    /// The name of the code, as dig prints it.
    pub fn name(self) -> String {
        match self {
            Code::Fine => "NOERROR".into(),
            Code::ServerFailure => "SERVFAIL".into(),
            Code::NoSuchName => "NXDOMAIN".into(),
            Code::Refused => "REFUSED".into(),
            Code::Other(number) => format!("RCODE {number}"),
        }
    }
}

/// An answer to our question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The response code.
    pub code: Code,
    /// The answer is truncated; the rest is available over TCP.
    pub truncated: bool,
    /// The addresses in it, for whatever name (the target of an alias has another name than the question); at most
    /// [`ADDRESSES`].
    pub addresses: Vec<IpAddr>,
}

/// Parses an answer to `question` with this id. `None` if it is not one, or is damaged before its records: the real answer
/// may still come.
///
/// A damaged record ends the parsing; the records before it count.
pub fn answer(bytes: &[u8], id: u16, question: &Question) -> Option<Answer> {
    let word = |place: usize| Some(u16::from_be_bytes([*bytes.get(place)?, *bytes.get(place + 1)?]));
    let flags = word(2)?;
    if word(0)? != id || flags & RESPONSE == 0 || flags & OPCODE != 0 {
        return None;
    }
    let (questions, records) = (word(4)?, word(6)?);
    let code = Code::of((flags & CODE) as u8);
    let mut at = HEADER;
    match questions {
        1 => {
            let (name, after) = name(bytes, at)?;
            if name != question.name || word(after)? != question.kind.number() || word(after + 2)? != CLASS_IN
            {
                return None;
            }
            at = after + 4;
        }
        // Some servers omit the question in a refusal. The 32 random bits of id and port are proof enough.
        0 if code != Code::Fine && records == 0 => {}
        _ => return None,
    }
    let mut addresses = Vec::new();
    for _ in 0..usize::from(records).min(RECORDS) {
        let Some((address, after)) = record(bytes, at) else { break };
        at = after;
        if let Some(address) = address
            && addresses.len() < ADDRESSES
        {
            addresses.push(address);
        }
    }
    Some(Answer { code, truncated: flags & TRUNCATED != 0, addresses })
}

/// The record at offset `at`: its address, if it holds one, and the offset of the next record.
fn record(bytes: &[u8], at: usize) -> Option<(Option<IpAddr>, usize)> {
    let (_, at) = name(bytes, at)?;
    let fixed: &[u8; 10] = bytes.get(at..at + 10)?.try_into().ok()?;
    let [kind_high, kind_low, class_high, class_low, .., length_high, length_low] = *fixed;
    let kind = u16::from_be_bytes([kind_high, kind_low]);
    let class = u16::from_be_bytes([class_high, class_low]);
    let begin = at + 10;
    let end = begin + usize::from(u16::from_be_bytes([length_high, length_low]));
    let data = bytes.get(begin..end)?;
    let address = if class != CLASS_IN {
        None
    } else if kind == Kind::A.number() {
        <[u8; 4]>::try_from(data).ok().map(|v4| IpAddr::V4(Ipv4Addr::from(v4)))
    } else if kind == Kind::Aaaa.number() {
        <[u8; 16]>::try_from(data).ok().map(|v6| IpAddr::V6(Ipv6Addr::from(v6)))
    } else {
        None
    };
    Some((address, end))
}

/// The name at offset `at` in wire format, in lower case and without pointers, and the offset after it.
///
/// A pointer (RFC 1035, 4.1.4) may only lead to before the start of the piece that contains it, so the parsing ends.
fn name(bytes: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::new();
    let (mut at, mut piece, mut after) = (at, at, None);
    loop {
        let length = *bytes.get(at)?;
        match length {
            0 => {
                name.push(0);
                return (name.len() <= LONGEST_NAME).then_some((name, after.unwrap_or(at + 1)));
            }
            1..=0x3f => {
                let label = bytes.get(at..=at + usize::from(length))?;
                name.extend(label.iter().map(u8::to_ascii_lowercase));
                if name.len() >= LONGEST_NAME {
                    return None;
                }
                at += label.len();
            }
            0xc0.. => {
                let to = usize::from(length & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
                after = after.or(Some(at + 2));
                if to >= piece {
                    return None;
                }
                (at, piece) = (to, to);
            }
            // Abandoned label types (RFC 6891, 5).
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked() -> Question {
        Question::new("www.Example.com.", Kind::A).unwrap()
    }

    /// An answer with an alias, pointers and two addresses.
    fn told(id: u16, question: &Question) -> Vec<u8> {
        let mut bytes = question.message(id);
        bytes[2..4].copy_from_slice(&0x8180u16.to_be_bytes());
        bytes[7] = 3;
        // www.example.com is an alias of a.example.com: a label and a pointer to "example.com".
        bytes.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'a', 0xc0, 16]);
        let alias = (bytes.len() - 4) as u8;
        bytes.extend_from_slice(&[0xc0, alias, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
        bytes.extend_from_slice(&[0xc0, alias, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 8]);
        bytes
    }

    #[test]
    fn a_question_on_the_wire() {
        let expected =
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01";
        assert_eq!(asked().message(0x1234), expected);
        for (wrong, why) in
            [("", "label"), ("a..b", "label"), (&"x".repeat(64), "label"), (&"x.".repeat(130), "too long")]
        {
            assert!(Question::new(wrong, Kind::A).unwrap_err().contains(why), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_read() {
        let answered = answer(&told(7, &asked()), 7, &asked()).unwrap();
        let addresses = ["192.0.2.7", "192.0.2.8"].map(|a| a.parse().unwrap()).to_vec();
        assert_eq!(answered, Answer { code: Code::Fine, truncated: false, addresses });
        let mut six = Question::new("a.b", Kind::Aaaa).unwrap().message(1);
        six[2] = 0x80;
        six[7] = 1;
        six.extend_from_slice(&[0, 0, 28, 0, 1, 0, 0, 0, 0, 0, 16]);
        six.extend_from_slice(&"2001:db8::9".parse::<Ipv6Addr>().unwrap().octets());
        let answered = answer(&six, 1, &Question::new("a.b", Kind::Aaaa).unwrap()).unwrap();
        assert_eq!(answered.addresses, ["2001:db8::9".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn only_the_answer_to_our_question_is_one() {
        let good = told(7, &asked());
        assert_eq!(answer(&good, 8, &asked()), None);
        assert_eq!(answer(&good, 7, &Question::new("www.example.org", Kind::A).unwrap()), None);
        assert_eq!(answer(&good, 7, &Question::new("www.example.com", Kind::Aaaa).unwrap()), None);
        // Our own question, sent back.
        assert_eq!(answer(&asked().message(7), 7, &asked()), None);
        let mut spelled = good.clone();
        spelled[13] = b'W';
        assert!(answer(&spelled, 7, &asked()).is_some());
        let mut refused = good[..HEADER].to_vec();
        refused[3] = 0x85;
        refused[5] = 0;
        refused[7] = 0;
        assert_eq!(answer(&refused, 7, &asked()).unwrap().code, Code::Refused);
        refused[3] = 0x80;
        assert_eq!(answer(&refused, 7, &asked()), None);
    }

    #[test]
    fn what_is_cut_off_holds_up_to_there() {
        let good = told(7, &asked());
        let questions = asked().message(7).len();
        for length in 0..good.len() {
            let read = answer(&good[..length], 7, &asked());
            assert_eq!(read.is_some(), length >= questions, "{length}");
        }
        assert_eq!(answer(&good[..good.len() - 1], 7, &asked()).unwrap().addresses.len(), 1);
    }

    #[test]
    fn pointers_come_to_an_end() {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(&[0xc0, 12]);
        assert_eq!(name(&bytes, 12), None);
        bytes.extend_from_slice(&[0xc0, 14, 1, b'a', 0xc0, 12]);
        assert_eq!(name(&bytes, 14), None);
        assert_eq!(name(&bytes, 16), None);
        // A chain of pointers, each to the one before: as long as the message, and no longer.
        let mut chain = vec![0];
        for at in 0..2_000u16 {
            let to = if at == 0 { 0 } else { 1 + (at - 1) * 2 };
            chain.extend_from_slice(&(0xc000 | to).to_be_bytes());
        }
        assert_eq!(name(&chain, chain.len() - 2), Some((vec![0], chain.len())));
        // A name that its pointers make longer than names are.
        let mut long = vec![0];
        for at in 0..20usize {
            let to = if at == 0 { 0 } else { 1 + (at - 1) * 34 } as u16;
            long.push(31);
            long.extend_from_slice(&[b'x'; 31]);
            long.extend_from_slice(&(0xc000 | to).to_be_bytes());
        }
        assert_eq!(name(&long, long.len() - 34), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..700), at in 0..700usize) {
            let _ = name(&bytes, at);
            let _ = record(&bytes, at);
            let _ = answer(&bytes, 7, &asked());
            // As our answer's records.
            let mut told = told(7, &asked());
            told[6..8].copy_from_slice(&[0xff, 0xff]);
            told.extend_from_slice(&bytes);
            let read = answer(&told, 7, &asked());
            prop_assert!(read.is_some_and(|a| a.addresses.len() <= ADDRESSES));
        }

        #[test]
        fn no_mutation_is_too_strange(flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..12)) {
            let mut told = told(7, &asked());
            for (at, byte) in flips {
                let at = usize::from(at) % told.len();
                told[at] = byte;
            }
            let _ = answer(&told, 7, &asked());
        }

        #[test]
        fn any_name_comes_back(labels in proptest::collection::vec("[a-z0-9-]{1,20}", 1..8)) {
            let question = Question::new(&labels.join("."), Kind::A).unwrap();
            let mut told = question.message(3);
            told[2] = 0x80;
            prop_assert!(answer(&told, 3, &question).is_some());
        }
    }
}
