//! The faults of a configuration: what is wrong, and where.

use std::collections::BTreeMap;
use std::fmt;

/// The line of the text on which each key stands: key path (`probe.targets[1].role`) to line, counted from 1.
///
/// JSON has none; its faults name the key path only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places(BTreeMap<String, u32>);

impl Places {
    /// Nothing is known about lines.
    pub fn none() -> Places {
        Places::default()
    }

    /// Notes that `path` stands on `line`. The first line noted for a path stays.
    pub fn note(&mut self, path: String, line: u32) {
        self.0.entry(path).or_insert(line);
    }

    /// The line of `path`.
    pub fn line(&self, path: &str) -> Option<u32> {
        self.0.get(path).copied()
    }

    /// The line of `path`, or of the nearest table around it that has one: where a missing key is to be added.
    pub fn nearest(&self, path: &str) -> Option<u32> {
        let mut path = path;
        loop {
            if let Some(line) = self.line(path) {
                return Some(line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, or empty if the text as a whole cannot be read.
    pub path: String,
    /// What must be, what is, and what to try. Never holds a secret.
    pub words: String,
    /// Where in the text, counted from 1, if that is known.
    pub line: Option<u32>,
    /// Where in the line, in characters counted from 1; only for faults of the text's syntax.
    pub column: Option<u32>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{} ", self.path)?;
        }
        write!(f, "{}", self.words)?;
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, " (line {line}, column {column})"),
            (Some(line), None) => write!(f, " (line {line})"),
            (None, _) => Ok(()),
        }
    }
}

/// All faults; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// How many faults are printed.
    ///
    /// 50: more than a person fixes in one go, and a file of the wrong kind does not flood the log.
    pub const SHOWN: usize = 50;

    /// A text that cannot be read at all.
    pub fn text(words: String, line: Option<u32>, column: Option<u32>) -> Faults {
        Faults(vec![Fault { path: String::new(), words, line, column }])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration rejected:")?;
        for fault in self.0.iter().take(Self::SHOWN) {
            write!(f, "\n  - {fault}")?;
        }
        match self.0.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  - and {more} more"),
        }
    }
}

impl std::error::Error for Faults {}

/// What somebody who wrote `word` may have meant, out of `known`; `None` if nothing is near.
pub(super) fn nearest_word<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    /// Longer than any key: what is longer is no slip of the pen, and the comparison is quadratic.
    const LONGEST: usize = 40;
    if word.chars().count() > LONGEST {
        return None;
    }
    // One slip in three letters is still the same word. A word that begins another is taken for a half of it.
    let near = |known: &&str| {
        let slips = edits(word, known);
        let half =
            (word.len() > 3 && known.starts_with(word)) || (known.len() > 3 && word.starts_with(*known));
        (slips <= word.len().max(known.len()) / 3 || half).then_some(slips)
    };
    known.iter().filter_map(|k| near(k).map(|slips| (slips, *k))).min().map(|(_, k)| k)
}

/// Insertions, deletions, replacements and swaps of neighbours from `a` to `b` (optimal string alignment), in any case
/// and with `-` for `_`.
fn edits(a: &str, b: &str) -> usize {
    let plain = |s: &str| -> Vec<char> {
        s.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let (a, b) = (plain(a), plain(b));
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// `text` in quotes, escaped, and cut to what fits on a line.
pub fn quoted(text: &str) -> String {
    /// Room for any sensible value; a pasted file does not flood the log.
    const SHOWN: usize = 60;
    let cut: String = text.chars().take(SHOWN).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{:?}{more}", cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word_finds_typing_errors_only() {
        let known = ["interval", "timeout", "targets", "password_file", "hold_down"];
        assert_eq!(nearest_word("intervall", &known), Some("interval"));
        assert_eq!(nearest_word("itnerval", &known), Some("interval"));
        assert_eq!(nearest_word("Hold-Down", &known), Some("hold_down"));
        assert_eq!(nearest_word("password", &known), Some("password_file"));
        assert_eq!(nearest_word("colour", &known), None);
        assert_eq!(nearest_word("", &known), None);
        assert_eq!(nearest_word(&"interval".repeat(20_000), &known), None);
    }

    #[test]
    fn nearest_line_of_a_missing_key_is_that_of_its_table() {
        let mut places = Places::none();
        places.note("probe".into(), 3);
        places.note("probe.targets[1]".into(), 7);
        assert_eq!(places.nearest("probe.targets[1].host"), Some(7));
        assert_eq!(places.nearest("probe.targets[0].host"), Some(3));
        assert_eq!(places.nearest("mqtt.broker"), None);
        assert_eq!(places.line("probe.targets"), None);
    }

    #[test]
    fn display_prints_at_most_fifty_faults() {
        let fault = Fault { path: "a".into(), words: "is wrong".into(), line: None, column: None };
        let text = Faults(vec![fault; 1_000]).to_string();
        assert_eq!(text.lines().count(), 1 + Faults::SHOWN + 1);
        assert!(text.ends_with("and 950 more"), "{text}");
    }
}
