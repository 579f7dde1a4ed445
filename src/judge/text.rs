//! Two small things that many concerns need of a text.

/// What others say is kept up to this many bytes: a driver's last line, a customer's sentence or two.
const SAID: usize = 400;

/// The beginning of what others say.
pub fn short(text: &str) -> &str {
    beginning(text, SAID)
}

/// The first `most` bytes of a text, cut between two characters.
pub fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

/// A stable number from a name (FNV-1a): spreads a fleet without randomness.
pub fn phase(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
