//! Reads a tree of values and notes every fault.
//!
//! A reading method takes the value of a key from a table of the tree. If that fails, it notes the fault and returns nothing
//! or the default, and reading continues, so that all faults are reported at once.

use super::bounds::Bounds;
use super::fault::{Fault, Places, nearest_word, quoted};
use super::quantity::{self, Quantity};
use serde_json::{Map, Value};

/// One table of the tree.
pub struct Section<'t> {
    /// Its path in the tree, as faults show it.
    pub path: String,
    /// `None`: it was not written.
    pub map: Option<&'t Map<String, Value>>,
}

impl<'t> Section<'t> {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&'t Value> {
        self.map?.get(key)
    }

    /// Whether `key` is present.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The path of `key` in the tree, as faults show it.
    pub fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

/// `key` inside `path`, as faults and [`Places`] write it; a key that is no plain word stands in quotes.
pub fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key.len() <= 64
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if plain { key.to_owned() } else { quoted(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// Whether a value may be repeated in a fault.
#[derive(Clone, Copy, PartialEq)]
pub enum Show {
    /// It may be repeated.
    Open,
    /// It may be a secret, or one pasted in the wrong place.
    Secret,
}

/// Reads values from a tree and collects the faults.
pub struct Reader<'p> {
    /// The faults so far.
    pub faults: Vec<Fault>,
    /// Where in the text each key stands.
    pub places: &'p Places,
    /// Each section with its keys, to suggest where an unknown key may belong.
    pub keys: &'static [(&'static str, &'static [&'static str])],
}

impl Reader<'_> {
    // ---- noting faults ----

    /// Notes a fault at `path`.
    pub fn fault(&mut self, path: &str, words: impl Into<String>) {
        let line = self.places.line(path);
        self.faults.push(Fault { path: path.to_owned(), words: words.into(), line, column: None });
    }

    /// Notes that `path` is missing, and why it is needed.
    pub fn missing(&mut self, path: &str, why: &str) {
        let line = self.places.nearest(path);
        self.faults.push(Fault {
            path: path.to_owned(),
            words: format!("is missing: {why}"),
            line,
            column: None,
        });
    }

    /// Notes what the value at `path` must be, and what it is.
    pub fn must(&mut self, path: &str, must: &str, is: &Value, show: Show) {
        self.fault(path, format!("must be {must}{}", written_value(is, show)));
    }

    // ---- the shape of the tree ----

    /// The table at `key`; none if it was not written. Anything else there is a fault.
    pub fn section<'t>(&mut self, parent: &Section<'t>, key: &str) -> Section<'t> {
        let path = parent.path(key);
        let map = match parent.get(key) {
            None => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => {
                self.must(&path, "a table", other, Show::Secret);
                None
            }
        };
        Section { path, map }
    }

    /// Notes a fault for each key of `section` that is not `known`, in the order of the text.
    pub fn unknown(&mut self, section: &Section<'_>, known: &[&'static str]) {
        let Some(map) = section.map else { return };
        let mut strays: Vec<(Option<u32>, &String)> = map
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
            .map(|key| (self.places.line(&section.path(key)), key))
            .collect();
        strays.sort();
        for (_, key) in strays {
            // The same word in another section is a better guess than a similar word in this one.
            let elsewhere = self.keys.iter().find(|(_, keys)| keys.contains(&key.as_str()));
            let meant = match (elsewhere, nearest_word(key, known)) {
                (Some((other, _)), _) => Some(join(other, key)),
                (None, near) => near.map(|word| section.path(word)),
            };
            let mut words = "is not a key here".to_owned();
            if let Some(meant) = meant {
                words.push_str("; did you mean ");
                words.push_str(&meant);
                words.push('?');
            }
            self.fault(&section.path(key), words);
        }
    }

    /// The elements of a list with their paths; at most the bounds' most of them are looked at.
    pub fn list<'t>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        bounds: Bounds<usize>,
        of: &str,
        show: Show,
    ) -> Option<Vec<(String, &'t Value)>> {
        let path = section.path(key);
        let value = section.get(key)?;
        let Value::Array(items) = value else {
            self.must(&path, &format!("a list of {of}"), value, show);
            return None;
        };
        if items.len() < bounds.least || items.len() > bounds.most {
            let Bounds { least, most } = bounds;
            let count = items.len();
            self.fault(&path, format!("must hold {least} to {most} {of}, holds {count}"));
        }
        Some(
            items
                .iter()
                .take(bounds.most)
                .enumerate()
                .map(|(i, item)| (format!("{path}[{i}]"), item))
                .collect(),
        )
    }

    // ---- values ----

    /// The text at `key`, if there is one and it passes `check`; `check` says what it must be.
    pub fn text<'t>(
        &mut self,
        section: &Section<'t>,
        key: &str,
        show: Show,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Option<&'t str> {
        let value = section.get(key)?;
        let path = section.path(key);
        let Value::String(text) = value else {
            self.must(&path, "text", value, show);
            return None;
        };
        match check(text) {
            Ok(()) => Some(text),
            Err(must) => {
                self.must(&path, &must, value, show);
                None
            }
        }
    }

    /// The word at `key`, one of a few.
    pub fn choice<T: Copy>(&mut self, section: &Section<'_>, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = section.get(key)?;
        let found = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.must(&section.path(key), &alternatives(&names), value, Show::Open);
        }
        found.map(|(_, choice)| *choice)
    }

    /// True or false at `key`; `default` where it is absent or wrong.
    pub fn flag(&mut self, section: &Section<'_>, key: &str, default: bool) -> bool {
        match section.get(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.must(&section.path(key), "true or false", other, Show::Open);
                default
            }
        }
    }

    /// The whole number at `key`, within `bounds`.
    pub fn count(&mut self, section: &Section<'_>, key: &str, bounds: Bounds<u32>, default: u32) -> u32 {
        let Some(value) = section.get(key) else { return default };
        let count = value.as_u64().and_then(|n| u32::try_from(n).ok());
        match count.filter(|n| (bounds.least..=bounds.most).contains(n)) {
            Some(count) => count,
            None => {
                let must = format!("a whole number of {} to {}, without quotes", bounds.least, bounds.most);
                self.must(&section.path(key), &must, value, Show::Open);
                default
            }
        }
    }

    /// The quantity at `key`, with its unit, within `bounds`.
    pub fn quantity<Q: Quantity>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        bounds: Bounds<Q>,
    ) -> Option<Q> {
        self.quantity_at(&section.path(key), section.get(key)?, bounds)
    }

    /// The quantity that stands at `path`.
    pub fn quantity_at<Q: Quantity>(&mut self, path: &str, value: &Value, bounds: Bounds<Q>) -> Option<Q> {
        let refused = match value {
            Value::String(text) => quantity::parse::<Q>(text),
            Value::Number(_) => Err(quantity::Refusal::NoUnit),
            _ => Err(quantity::Refusal::NotANumber),
        };
        let advice = match refused {
            Ok(quantity) if (bounds.least..=bounds.most).contains(&quantity) => return Some(quantity),
            Ok(_) => String::new(),
            Err(refusal) => refusal.advice::<Q>(),
        };
        let is = written_value(value, Show::Open);
        self.fault(path, format!("must be {} to {}{is}{advice}", bounds.least, bounds.most));
        None
    }
}

/// `, is …`: the written value, if it may be repeated.
fn written_value(value: &Value, show: Show) -> String {
    let is = match value {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        Value::String(_) if show == Show::Secret => return String::new(),
        Value::Number(_) | Value::Bool(_) if show == Show::Secret => "no text".to_owned(),
        Value::String(text) => quoted(text),
        other => other.to_string().chars().take(40).collect(),
    };
    format!(", is {is}")
}

/// `a, b or c`
pub fn alternatives(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
