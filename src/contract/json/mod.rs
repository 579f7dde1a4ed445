//! JSON, with one reader and one writer.
//!
//! A router's flash is small, and serde generates separate code for each type and each way of reading or writing it. So
//! everything is read through one tree ([`Value`]) with one deserializer, and everything is written through serde_json's
//! byte writer.
//!
//! Unlike serde_json's own deserializer for trees, this one accepts only objects for structures, ignores unknown entries
//! (`deny_unknown_fields` has no effect), and reports where in the tree an error is.

mod error;
mod tagged;
mod tree;

pub use crate::tagged;
pub use error::Error;
pub use tagged::Tagged;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tree::Tree;

/// Reads a value from JSON text.
///
/// # Errors
/// The text is not UTF-8, not JSON, or not of the expected type; with line and column.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    parse(text).and_then(|tree| from_tree(&tree).map_err(|error: Error| error.with_position(text)))
}

/// Parses JSON text into a tree.
///
/// # Errors
/// The text is not UTF-8 or not JSON; with line and column.
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(text).map_err(|e| {
        let words = e.to_string();
        // serde_json appends the position to the message; here it is stored separately.
        let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words).to_owned();
        Error::new(Some((e.line(), e.column())), words)
    })
}

/// Reads a value from a tree.
///
/// # Errors
/// The tree is not of the expected type; with the path in the tree.
pub fn from_tree<T: DeserializeOwned>(tree: &Value) -> Result<T, Error> {
    T::deserialize(Tree(Some(tree)))
}

/// Writes a value as compact JSON, without a line end.
///
/// # Errors
/// The type refuses to be serialized, or a map has keys that are not strings. No type of this product does so.
pub fn write<T: Serialize + ?Sized>(what: &T) -> Result<String, String> {
    let mut text = Vec::with_capacity(256);
    write_to(&mut text, what)?;
    String::from_utf8(text).map_err(|e| e.to_string())
}

/// Appends the same to `text`.
///
/// # Errors
/// As [`write`].
pub fn write_to<T: Serialize + ?Sized>(text: &mut Vec<u8>, what: &T) -> Result<(), String> {
    what.serialize(&mut serde_json::Serializer::new(text)).map_err(|e| e.to_string())
}

/// Converts a value to the tree that [`write`] would write.
///
/// # Errors
/// As [`write`].
pub fn to_tree<T: Serialize + ?Sized>(what: &T) -> Result<Value, String> {
    let mut text = Vec::with_capacity(256);
    let written = write_to(&mut text, what);
    parse_written(written, &text)
}

/// The part of [`to_tree`] that does not depend on the type, so that it is compiled once.
#[inline(never)]
fn parse_written(written: Result<(), String>, text: &[u8]) -> Result<Value, String> {
    written?;
    parse(text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Mono;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Part {
        n: u32,
        may_be: Option<bool>,
        #[serde(default)]
        list: Vec<i8>,
        by_number: BTreeMap<u16, Kind>,
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Plain,
        Held(u8),
        Pair(u8, u8),
        Shaped { x: i64 },
    }

    tagged! {
        #[derive(Debug, PartialEq)]
        pub enum Observation = "Observation" by "saw" {
            Ticked,
            EchoLost { probe: u64, target: u16 },
        }
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Entry {
        at: Mono,
        observation: Observation,
    }

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    #[serde(tag = "verdict", content = "reason", rename_all = "snake_case")]
    enum Adjacent {
        Kept,
        Inconclusive(Kind),
        Measured { rate: u64 },
    }

    fn part(text: &str) -> Result<Part, String> {
        read(text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn written_value_reads_back_equal() {
        let by_number =
            [(1, Kind::Plain), (2, Kind::Held(3)), (30, Kind::Pair(4, 5)), (4, Kind::Shaped { x: -6 })];
        let whole = Part { n: 7, may_be: Some(true), list: vec![-1, 2], by_number: by_number.into() };
        let text = write(&whole).unwrap();
        let shaped = r#"{"1":"plain","2":{"held":3},"4":{"shaped":{"x":-6}},"30":{"pair":[4,5]}}"#;
        assert_eq!(text, format!(r#"{{"n":7,"may_be":true,"list":[-1,2],"by_number":{shaped}}}"#));
        assert_eq!(part(&text), Ok(whole));
        assert_eq!(to_tree(&Kind::Held(3)).unwrap(), serde_json::json!({ "held": 3 }));
    }

    #[test]
    fn optional_fields_may_be_absent_and_unknown_ones_are_ignored() {
        let spare = Part { n: 7, may_be: None, list: Vec::new(), by_number: BTreeMap::new() };
        assert_eq!(part(r#"{"later":[{}],"by_number":{},"n":7}"#), Ok(spare));
    }

    #[test]
    fn tag_beside_the_content_selects_the_variant() {
        for (value, text) in [
            (Adjacent::Kept, r#"{"verdict":"kept"}"#),
            (Adjacent::Inconclusive(Kind::Plain), r#"{"verdict":"inconclusive","reason":"plain"}"#),
            (Adjacent::Measured { rate: 7 }, r#"{"verdict":"measured","reason":{"rate":7}}"#),
        ] {
            assert_eq!(write(&value).unwrap(), text);
            assert_eq!(read::<Adjacent>(text.as_bytes()), Ok(value), "{text}");
        }
        for (text, words) in [
            (r#"{"verdict":"inconclusive"}"#, "missing field `reason`"),
            (r#"{"reason":"plain"}"#, "missing field `verdict`"),
            (r#"{"verdict":"measured"}"#, "missing field `reason`"),
            (r#"{"verdict":"odd"}"#, "unknown variant `odd`"),
        ] {
            let error = read::<Adjacent>(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn absent_tree_is_an_error() {
        #[derive(Debug, serde::Deserialize)]
        struct Holder {
            #[allow(dead_code)]
            tree: Value,
        }
        let error = read::<Holder>(b"{}").unwrap_err().to_string();
        assert!(error.starts_with("missing field `tree`"), "{error}");
        assert!(read::<Holder>(br#"{"tree":null}"#).is_ok());
    }

    #[test]
    fn error_reports_the_path_and_the_reason() {
        for (text, words) in [
            (r#"{"n":7}"#, "missing field `by_number`"),
            (r#"{"by_number":{},"list":[]}"#, "missing field `n`"),
            (r#"{"n":-7,"by_number":{}}"#, "n: invalid value: integer `-7`, expected u32"),
            (r#"{"n":null,"by_number":{}}"#, "n: invalid type: unit value, expected u32"),
            (
                r#"{"n":7,"list":[1,2,300],"by_number":{}}"#,
                "list.2: invalid value: integer `300`, expected i8",
            ),
            (r#"{"n":7,"by_number":{"x":"plain"}}"#, "invalid type: string \"x\", expected u16"),
            (r#"{"n":7,"by_number":{"1":"odd"}}"#, "by_number.1: unknown variant `odd`"),
            (r#"{"n":7,"by_number":{"1":{"pair":[1]}}}"#, "by_number.1.pair: invalid length 1"),
            (r#"{"n":7,"by_number":{"1":{"pair":[1,2,3]}}}"#, "by_number.1.pair: invalid length 3"),
            (r#"{"n":7,"by_number":{"1":{"shaped":{}}}}"#, "by_number.1.shaped: missing field `x`"),
            (r#"{"n":7,"by_number":{"1":"held"}}"#, "by_number.1: is missing, expected u8"),
            (r#"[7,null,[],{}]"#, "invalid type: sequence, expected struct Part"),
            ("{\"n\":7,\n \"by_number\"}", "expected `:` at line 2 column 13"),
        ] {
            let error = part(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert_eq!(read::<Part>(b"{\"n\":7,}").unwrap_err().column(), 8);
        for (text, column) in [
            (r#"{"n":7}"#, 1),
            (r#" { "by_number" : {} , "n" : -7 }"#, 29),
            (r#"{"list":[1, 2,300],"n":7,"by_number":{}}"#, 15),
            (r#"{"x":"},\"n\":[","y":{"n":[{}]},"n":"7"}"#, 37),
            (r#"{"n":7,"by_number":{"1":"plain","22":{"shaped":{}}}}"#, 48),
        ] {
            assert_eq!(read::<Part>(text.as_bytes()).unwrap_err().column(), column, "{text}");
        }
        assert!(part("{\n \"n\":\n  []}").unwrap_err().ends_with(" at line 3 column 3"));
        assert!(read::<Part>(b"\"\xff\"").is_err());
    }

    #[test]
    fn tag_selects_the_variant_at_any_position() {
        let lost = r#"{"at":5,"observation":{"probe":1,"target":2,"saw":"echo_lost"}}"#;
        let entry: Entry = read(lost.as_bytes()).unwrap();
        assert_eq!(
            write(&entry).unwrap(),
            r#"{"at":5,"observation":{"saw":"echo_lost","probe":1,"target":2}}"#
        );
        let ticked = Entry { at: Mono(1), observation: Observation::Ticked };
        assert_eq!(read::<Entry>(write(&ticked).unwrap().as_bytes()), Ok(ticked));
        for (text, words) in [
            (r#"{"at":5,"observation":{"saw":"ghost"}}"#, "saw: unknown variant `ghost`"),
            (r#"{"at":5,"observation":{}}"#, "missing field `saw`"),
            (r#"{"at":5,"observation":{"saw":7}}"#, "saw: invalid type: integer `7`, expected a name"),
            (r#"{"at":5,"observation":{"saw":"echo_lost","probe":1}}"#, "missing field `target`"),
            (r#"{"at":5,"observation":"ticked"}"#, "invalid type: string"),
        ] {
            let error = read::<Entry>(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("observation: ") && error.contains(words), "{text}: {error}");
        }
        // serde_json itself reads the same text.
        assert_eq!(serde_json::from_str::<Entry>(lost).unwrap(), entry);
    }
}
