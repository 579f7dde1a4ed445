//! Reads a configuration from text: picks the format (JSON or TOML) and parses it into a tree of values.

#[cfg(feature = "toml")]
pub mod toml;

use linekeeper_judge::config::{Config, Faults, Places, bounds, fault, read};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;

/// The format of a configuration text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Written by OpenWrt's init script from UCI.
    Json,
    /// Written by people.
    Toml,
}

impl Format {
    /// Chosen by the file extension; without a known extension, by the text: no TOML begins with a brace.
    pub fn detect(path: &Path, text: &str) -> Format {
        match path.extension().and_then(|e| e.to_str()) {
            Some("json") => Format::Json,
            Some("toml") => Format::Toml,
            _ if text.trim_start().starts_with('{') => Format::Json,
            _ => Format::Toml,
        }
    }
}

/// Reads a configuration from its text.
///
/// # Errors
/// All faults at once. A syntax fault carries line and column.
pub fn load_text(text: &str, format: Format) -> Result<Config, Faults> {
    load_tree(text, format).map(|(_, config)| config)
}

/// The same as [`load_text`], and the parsed tree as written. A trace stores the tree so that it replays under the same
/// configuration.
///
/// # Errors
/// As [`load_text`].
pub fn load_tree(text: &str, format: Format) -> Result<(Value, Config), Faults> {
    let (tree, places) = parse(text, format)?;
    let config = read::read(&tree, &places)?;
    Ok((tree, config))
}

/// Parses a text into a tree and returns the line of each key. The format is chosen as in [`Format::detect`].
///
/// # Errors
/// The text is too large, or neither JSON nor TOML: with line and column.
pub fn parse_tree(path: &Path, text: &str) -> Result<(Value, Places), Faults> {
    parse(text, Format::detect(path, text))
}

fn parse(text: &str, format: Format) -> Result<(Value, Places), Faults> {
    if text.len() > bounds::LARGEST_TEXT {
        let words = format!("is {} bytes, at most {} are read", text.len(), bounds::LARGEST_TEXT);
        return Err(Faults::text(format!("the text {words}"), None, None));
    }
    match format {
        Format::Json => Ok((parse_json(text)?, Places::none())),
        #[cfg(feature = "toml")]
        Format::Toml => self::toml::parse(text),
        #[cfg(not(feature = "toml"))]
        Format::Toml => Err(Faults::text(
            "the text is TOML, and this build reads JSON only (it was built without the feature `toml`)"
                .to_owned(),
            None,
            None,
        )),
    }
}

/// Parses JSON. Unlike serde_json's own parser, it rejects a key that is given twice.
fn parse_json(text: &str) -> Result<Value, Faults> {
    serde_json::from_slice::<UniqueKeys>(text.as_bytes()).map(|tree| tree.0).map_err(|error| {
        let (line, column) = (u32::try_from(error.line()).ok(), u32::try_from(error.column()).ok());
        // serde_json appends line and column itself. Its message quotes no part of the text except a repeated key.
        let words = error.to_string();
        let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
        Faults::text(format!("the text is not JSON: {words}"), line, column)
    })
}

/// A tree without repeated keys.
struct UniqueKeys(Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UniqueKeys, D::Error> {
        deserializer.deserialize_any(UniqueKeysVisitor)
    }
}

struct UniqueKeysVisitor;

impl<'de> Visitor<'de> for UniqueKeysVisitor {
    type Value = UniqueKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(Value::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(value.into()))
    }
    fn visit_str<E>(self, value: &str) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys(value.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UniqueKeys, A::Error> {
        let mut list = Vec::new();
        while let Some(UniqueKeys(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(UniqueKeys(Value::Array(list)))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<UniqueKeys, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                let key = fault::quoted(&key);
                return Err(de::Error::custom(format!("the key {key} is given twice")));
            }
            let UniqueKeys(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(UniqueKeys(Value::Object(map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_follows_extension_then_text() {
        let of = |path: &str, text| Format::detect(Path::new(path), text);
        assert_eq!(of("/etc/linekeeper.json", "[device]"), Format::Json);
        assert_eq!(of("/etc/linekeeper.toml", "{"), Format::Toml);
        assert_eq!(of("/tmp/x", " \n{\"device\":1}"), Format::Json);
        assert_eq!(of("/tmp/x", "[device]"), Format::Toml);
    }

    #[test]
    #[cfg(not(feature = "toml"))]
    fn toml_is_refused_by_name_in_a_build_without_it() {
        let words = load_text("[device]", Format::Toml).unwrap_err().to_string();
        assert!(words.contains("is TOML, and this build reads JSON only"), "{words}");
    }

    #[test]
    fn invalid_json_is_reported_with_line_and_column() {
        let told = |text: &str| load_text(text, Format::Json).unwrap_err().to_string();
        assert_eq!(
            told("{\n  \"device\": oops }"),
            "configuration rejected:\n  - the text is not JSON: expected value (line 2, column 13)"
        );
        assert_eq!(
            told("{\"device\": {},\n \"device\": {}}"),
            "configuration rejected:\n  - the text is not JSON: the key \"device\" is given twice (line 2, column 9)"
        );
        assert!(told(&"[".repeat(10_000)).contains("recursion limit exceeded"));
        assert!(told(&" ".repeat(600_000)).contains("at most 524288 are read"));
    }
}
