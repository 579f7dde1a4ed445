//! Why a text or a tree cannot be read, and where in it the fault is.

use serde::de;
use std::fmt;

/// Why something cannot be read. (In a box: every part of every type hands it on.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    /// Line and column in the text, from 1, as far as there is one.
    place: Option<(usize, usize)>,
    /// Keys and numbers on the way there in the tree, the innermost first.
    path: Vec<String>,
    words: String,
}

impl Fault {
    #[cold]
    pub(super) fn new(place: Option<(usize, usize)>, words: String) -> Fault {
        Fault(Box::new(Inner { place, path: Vec::new(), words }))
    }

    /// The same, seen from one step further up.
    #[cold]
    #[inline(never)]
    pub(super) fn under(mut self, key: &str) -> Fault {
        self.0.path.push(key.to_owned());
        self
    }

    /// The same with its place in `text`, of which the tree was made.
    #[cold]
    pub(super) fn placed(mut self, text: &[u8]) -> Fault {
        let mut at = space(text, 0);
        for step in self.0.path.iter().rev() {
            match entered(text, at, step) {
                Some(inside) => at = inside,
                None => break,
            }
        }
        let before = text.get(..at).unwrap_or(text);
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
        self.0.place = Some((line, column));
        self
    }

    /// The column, from 1, in a line of text; where a whole object or list is meant, that of its beginning.
    pub fn column(&self) -> usize {
        self.0.place.map_or(1, |(_, column)| column)
    }

    /// Without line and column, for who says them otherwise: what is wrong, and where in the tree, as
    /// `time.wall` or `samples.3`.
    pub fn bare(&self) -> String {
        let mut words = String::new();
        for step in self.0.path.iter().rev() {
            words.push_str(step);
            words.push('.');
        }
        if words.pop().is_some() {
            words.push_str(": ");
        }
        words + &self.0.words
    }
}

/// The first byte from `at` on that is no white space.
fn space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// Where the value ends that begins at `at`. The text is known to be JSON.
fn end(text: &[u8], at: usize) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (n, byte) in text.iter().enumerate().skip(at) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if quoted && depth == 0 => return n + 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return n + 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' | b':' if depth == 0 => return n,
            _ => {}
        }
    }
    text.len()
}

/// Where in the object or list that begins at `at` the value of this key or number begins.
fn entered(text: &[u8], at: usize, step: &str) -> Option<usize> {
    let list = *text.get(at)? == b'[';
    let key = format!("\"{step}\"");
    let mut at = space(text, at + 1);
    let mut number = 0usize;
    loop {
        let mut found = list && number.to_string() == step;
        if !list {
            let after = end(text, at);
            found = text.get(at..after)? == key.as_bytes();
            at = space(text, space(text, after) + 1);
        }
        if found {
            return Some(at);
        }
        at = space(text, end(text, at));
        if *text.get(at)? != b',' {
            return None;
        }
        at = space(text, at + 1);
        number += 1;
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bare())?;
        match self.0.place {
            Some((line, column)) => write!(f, " at line {line} column {column}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    #[cold]
    #[inline(never)]
    fn custom<T: fmt::Display>(words: T) -> Fault {
        Fault::new(None, words.to_string())
    }
}
