//! Delta compression: encodes a text as references into another text that the reader already has, plus the new bytes.
//!
//! A snapshot differs from the one before it in a few numbers. As a delta it takes one page of flash instead of three,
//! and during an incident, when snapshots follow each other quickly, a tenth.
//!
//! ```text
//! packed   = size of the text, then pieces until nothing is left
//! piece    = number of bytes, these bytes, length of a repetition (0: none, the end), how far back it begins
//! numbers  = seven bits a byte, the lowest first, the highest bit set where more follow
//! ```
//!
//! "Back" is counted in the known text with the new one behind it.

/// The shortest repetition that is pointed at: the pointer takes three bytes or four.
const SHORTEST: usize = 5;
/// Places that are remembered, by what stands there: 32 KiB while it packs.
const PLACES: usize = 1 << 13;

/// Packs `text` for a reader who has `known`.
pub fn pack(known: &[u8], text: &[u8]) -> Vec<u8> {
    let all = [known, text].concat();
    let mut packed = Vec::new();
    number(&mut packed, text.len());
    // The last place, plus one, at which each four bytes stood.
    let mut places = vec![0_u32; PLACES];
    for at in 0..known.len().saturating_sub(3) {
        places[slot(&all[at..at + 4])] = u32::try_from(at + 1).unwrap_or(0);
    }
    let (mut at, mut told) = (known.len(), known.len());
    // Where the two texts ran side by side last: behind a number that changed they do so again.
    let mut beside = text.len().max(known.len());
    while at + SHORTEST <= all.len() {
        let place = &mut places[slot(&all[at..at + 4])];
        let before = (*place as usize).checked_sub(1);
        *place = u32::try_from(at + 1).unwrap_or(0);
        let length =
            |from: usize| all[from..].iter().zip(&all[at..]).take_while(|(then, now)| then == now).count();
        let candidates = before.into_iter().chain(at.checked_sub(beside));
        let best =
            candidates.map(|from| (length(from), from)).max().filter(|(length, _)| *length >= SHORTEST);
        let Some((length, from)) = best else {
            at += 1;
            continue;
        };
        beside = at - from;
        piece(&mut packed, &all[told..at], length, beside);
        at += length;
        told = at;
    }
    piece(&mut packed, &all[told..], 0, 0);
    packed
}

fn piece(packed: &mut Vec<u8>, bytes: &[u8], length: usize, back: usize) {
    number(packed, bytes.len());
    packed.extend_from_slice(bytes);
    number(packed, length);
    if length > 0 {
        number(packed, back);
    }
}

/// Knuth's multiplicative hash of four bytes.
fn slot(four: &[u8]) -> usize {
    let word = four.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
    (word.wrapping_mul(2_654_435_761) >> 16) as usize % PLACES
}

fn number(packed: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        packed.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    packed.push(n as u8);
}

const CUT: &str = "it ends in the middle";

/// Unpacks what was packed for a reader who has `known` and becomes at most `most` bytes.
///
/// # Errors
/// In words, when it was not packed so. Nothing in `packed` makes it take more memory or time than `most` allows.
pub fn unpack(known: &[u8], packed: &[u8], most: usize) -> Result<Vec<u8>, &'static str> {
    let mut rest = packed;
    let size = known.len() + read(&mut rest, most)?;
    let mut all = known.to_vec();
    loop {
        let bytes = read(&mut rest, size - all.len())?;
        all.extend_from_slice(rest.get(..bytes).ok_or(CUT)?);
        rest = &rest[bytes..];
        let length = read(&mut rest, size - all.len())?;
        if length == 0 {
            let whole = all.len() == size && rest.is_empty();
            return if whole { Ok(all.split_off(known.len())) } else { Err(CUT) };
        }
        let back = read(&mut rest, all.len())?;
        if back == 0 {
            return Err("it points nowhere");
        }
        let from = all.len() - back;
        // It may reach into itself: byte by byte.
        for at in from..from + length {
            all.push(all[at]);
        }
    }
}

/// One number, at most `most`.
fn read(rest: &mut &[u8], most: usize) -> Result<usize, &'static str> {
    let mut n = 0_usize;
    for shift in (0..28).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(CUT)?;
        *rest = after;
        n |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return if n <= most { Ok(n) } else { Err("it promises more than there can be") };
        }
    }
    Err("it has a number that is too large")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: usize = 1 << 20;

    fn rows(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
        let row = |n: u32| serde_json::json!({ "host": format!("198.51.100.{}", n % 7), "answered": n, "bad": null });
        linekeeper_contract::json::write(&numbers.map(row).collect::<Vec<_>>()).unwrap().into_bytes()
    }

    #[test]
    fn what_changed_little_becomes_small() {
        let (known, text) =
            (rows((0..60).map(|n| n * 7_919)), rows((0..60).map(|n| n * 7_919 + u32::from(n == 31))));
        let packed = pack(&known, &text);
        assert!(packed.len() < 32, "{} of {}", packed.len(), text.len());
        assert_eq!(unpack(&known, &packed, MOST).unwrap(), text);
        assert_ne!(
            unpack(&known[1..], &packed, MOST).ok(),
            Some(text.clone()),
            "by another text it is not that"
        );
        // Nothing is known: its own names repeat themselves.
        let alone = pack(b"", &text);
        assert!(alone.len() * 3 < text.len(), "{} of {}", alone.len(), text.len());
        assert_eq!(unpack(b"", &alone, MOST).unwrap(), text);
    }

    #[test]
    fn what_repeats_itself_reaches_into_itself() {
        for text in [&b""[..], b"a", b"abcd", &[7; 100_000], b"abababababababababab"] {
            assert_eq!(unpack(b"xyz", &pack(b"xyz", text), text.len()).unwrap(), text);
        }
        assert!(pack(b"", &[7; 100_000]).len() < 20);
        assert!(unpack(b"", &pack(b"", &[7; 100]), 99).is_err(), "more than is wanted");
    }

    #[test]
    fn a_cut_anywhere_is_an_error() {
        let packed = pack(b"known", &b"what was said was said, and what was known is said".repeat(20));
        for at in 0..packed.len() {
            assert!(unpack(b"known", &packed[..at], MOST).is_err(), "cut at {at}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_packed_comes_back(known in "([a-f]{0,9}|\\PC){0,200}", text in "([a-f]{0,9}|\\PC){0,200}") {
            let packed = pack(known.as_bytes(), text.as_bytes());
            prop_assert_eq!(unpack(known.as_bytes(), &packed, MOST).unwrap(), text.as_bytes());
        }

        #[test]
        fn rubbish_is_an_error_and_no_more_than_is_allowed(rubbish in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(text) = unpack(b"something known", &rubbish, 500) {
                prop_assert!(text.len() <= 500);
            }
        }
    }
}
