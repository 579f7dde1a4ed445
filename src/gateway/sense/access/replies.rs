//! The replies that the checks of the access have in common, and their wording.

use linekeeper_judge::check::{REPLIES, Reply, Said};
use std::time::Duration;

/// The longest foreign text that is passed on, characters: a concentrator's name has about 20.
pub(super) const MAX_TEXT_LENGTH: usize = 64;

/// Why a check without any time left is not made.
pub(super) const TOO_SHORT: &str = "there was no time to ask";

/// A foreign text, shortened and without control characters, for logs and messages.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end_matches('\0')
        .chars()
        .take(MAX_TEXT_LENGTH)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A duration as [`Reply::took_us`]; saturates.
pub(super) fn microseconds(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

pub(super) fn reply(whom: impl Into<String>, said: Said, detail: impl Into<String>) -> Reply {
    Reply { whom: whom.into(), said, took_us: None, independent: false, detail: detail.into() }
}

/// The only reply of a check that could not be made.
pub(super) fn not_checked(whom: impl Into<String>, why: impl Into<String>) -> Vec<Reply> {
    vec![reply(whom, Said::NotChecked, why)]
}

/// The replies of those that answered; if there are none, one reply that says so.
pub(super) fn replies_or_silence(
    mut said: Vec<Reply>,
    whom: impl Into<String>,
    limit: linekeeper_contract::units::Span,
    flawed: Flawed,
) -> Vec<Reply> {
    said.truncate(REPLIES);
    if said.is_empty() {
        let mut detail = format!("no answer within {limit}");
        if let Some(why) = flawed.why {
            detail = format!("{detail}, but {} that could not be read: {why}", flawed.count);
        }
        said.push(reply(whom, Said::Silent, detail));
    }
    said
}

/// Frames that looked like answers and could not be parsed: how many, and why the first one failed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Flawed {
    count: u32,
    why: Option<&'static str>,
}

impl Flawed {
    pub(super) fn add(&mut self, why: &'static str) {
        self.count = self.count.saturating_add(1);
        self.why.get_or_insert(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linekeeper_contract::units::Span;

    #[test]
    fn foreign_text_is_short_without_control_characters() {
        assert_eq!(printable(b"bng-7\0\0"), "bng-7");
        assert_eq!(printable(b"a\x1b[31m\nb"), "a\u{fffd}[31m\u{fffd}b");
        assert_eq!(printable(&[0xff; 500]).chars().count(), MAX_TEXT_LENGTH);
    }

    #[test]
    fn replies_are_between_one_and_the_maximum() {
        let many = vec![reply("x", Said::Answered, ""); 20];
        assert_eq!(replies_or_silence(many, "any", Span::seconds(1), Flawed::default()).len(), REPLIES);
        let mut flawed = Flawed::default();
        flawed.add("it is cut off");
        flawed.add("something else");
        let none = replies_or_silence(Vec::new(), "any", Span::seconds(1), flawed);
        assert_eq!((none.len(), none[0].said), (1, Said::Silent));
        assert_eq!(none[0].detail, "no answer within 1 s, but 2 that could not be read: it is cut off");
    }
}
