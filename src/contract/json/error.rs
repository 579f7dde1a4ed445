//! Why a text or a tree cannot be read, and where in it the error is.

use serde::de;
use std::fmt;

/// An error of the reader. It is boxed because the generated code of every type passes it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    /// Line and column in the text, from 1; `None` if only a tree was read.
    position: Option<(usize, usize)>,
    /// Keys and indices that lead to the error in the tree, the innermost first.
    path: Vec<String>,
    message: String,
}

impl Error {
    #[cold]
    pub(super) fn new(position: Option<(usize, usize)>, message: String) -> Error {
        Error(Box::new(Inner { position, path: Vec::new(), message }))
    }

    /// Adds the key of the enclosing object or list to the path.
    #[cold]
    #[inline(never)]
    pub(super) fn inside(mut self, key: &str) -> Error {
        self.0.path.push(key.to_owned());
        self
    }

    /// The same for an item of a list.
    #[cold]
    #[inline(never)]
    pub(super) fn inside_item(self, at: usize) -> Error {
        self.inside(&at.to_string())
    }

    /// Adds the position in `text`, from which the tree was parsed.
    #[cold]
    pub(super) fn with_position(mut self, text: &[u8]) -> Error {
        let mut at = skip_white_space(text, 0);
        for step in self.0.path.iter().rev() {
            match find_entry(text, at, step) {
                Some(inside) => at = inside,
                None => break,
            }
        }
        let before = text.get(..at).unwrap_or(text);
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
        self.0.position = Some((line, column));
        self
    }

    /// The column in the line, from 1. For an error of a whole object or list it is the column where that starts.
    pub fn column(&self) -> usize {
        self.0.position.map_or(1, |(_, column)| column)
    }

    /// The message without line and column, for callers that report the position themselves: the path in the tree (such as
    /// `time.wall` or `samples.3`) and what is wrong.
    pub fn without_position(&self) -> String {
        let mut words = String::new();
        for step in self.0.path.iter().rev() {
            words.push_str(step);
            words.push('.');
        }
        if words.pop().is_some() {
            words.push_str(": ");
        }
        words + &self.0.message
    }
}

/// The index of the first byte from `at` on that is not white space.
fn skip_white_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// The index behind the value that starts at `at`. The text must be valid JSON.
fn value_end(text: &[u8], at: usize) -> usize {
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

/// The index at which the value of this key (or index) starts, in the object or list that starts at `at`.
fn find_entry(text: &[u8], at: usize, step: &str) -> Option<usize> {
    let list = *text.get(at)? == b'[';
    let key = format!("\"{step}\"");
    let mut at = skip_white_space(text, at + 1);
    let mut number = 0usize;
    loop {
        let mut found = list && number.to_string() == step;
        if !list {
            let after = value_end(text, at);
            found = text.get(at..after)? == key.as_bytes();
            at = skip_white_space(text, skip_white_space(text, after) + 1);
        }
        if found {
            return Some(at);
        }
        at = skip_white_space(text, value_end(text, at));
        if *text.get(at)? != b',' {
            return None;
        }
        at = skip_white_space(text, at + 1);
        number += 1;
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_position())?;
        match self.0.position {
            Some((line, column)) => write!(f, " at line {line} column {column}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    #[cold]
    #[inline(never)]
    fn custom<T: fmt::Display>(words: T) -> Error {
        Error::new(None, words.to_string())
    }
}
