//! Parses TOML into a tree of values and records the line of each key.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};
use linekeeper_judge::config::reader::join;
use linekeeper_judge::config::{Fault, Faults, Places};
use serde_json::{Map, Number, Value};

/// Parses a TOML text and returns the tree and the lines of its keys. Dates become text.
///
/// # Errors
/// Every syntax fault that the `toml` crate finds in one pass, with line and column, and every number that does not fit
/// 64 bits.
pub fn parse(text: &str) -> Result<(Value, Places), Faults> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut builder = TreeBuilder { lines: &lines, places: Places::none(), faults: Vec::new() };
    for error in &errors {
        let (line, column) = error.span().map(|span| lines.place(text, span.start)).unzip();
        // Some of the crate's messages have several lines.
        let words = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        builder.faults.push(Fault {
            path: String::new(),
            words: format!("the text is not TOML: {words}"),
            line,
            column,
        });
    }
    if !builder.faults.is_empty() {
        builder.faults.sort_by_key(|fault| (fault.line, fault.column));
        return Err(Faults(builder.faults));
    }
    let tree = builder.table("", table.get_ref());
    if builder.faults.is_empty() { Ok((tree, builder.places)) } else { Err(Faults(builder.faults)) }
}

struct TreeBuilder<'a> {
    lines: &'a Lines,
    places: Places,
    faults: Vec<Fault>,
}

impl TreeBuilder<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let path = join(path, key.get_ref());
            self.places.note(path.clone(), self.lines.line(key.span().start));
            map.insert(key.get_ref().to_string(), self.value(&path, value));
        }
        Value::Object(map)
    }

    // Recursion is bounded: the `toml` crate rejects nesting deeper than 80.
    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(date) => Value::String(date.to_string()),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) => number.into(),
                Err(_) => self.reject_number(path, value),
            },
            DeValue::Float(float) => match float.as_str().parse::<f64>().ok().and_then(Number::from_f64) {
                Some(number) => Value::Number(number),
                None => self.reject_number(path, value),
            },
            DeValue::Array(items) => {
                let list = items.iter().enumerate().map(|(i, item)| {
                    let path = format!("{path}[{i}]");
                    self.places.note(path.clone(), self.lines.line(item.span().start));
                    self.value(&path, item)
                });
                Value::Array(list.collect())
            }
            DeValue::Table(table) => self.table(path, table),
        }
    }

    /// Records a fault: JSON has no infinity, no NaN, and no number beyond 64 bits.
    fn reject_number(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Value {
        self.faults.push(Fault {
            path: path.to_owned(),
            words: "must be a number that 64 bits hold".to_owned(),
            line: Some(self.lines.line(value.span().start)),
            column: None,
        });
        Value::Null
    }
}

/// The byte offset of each line.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line of the byte at this offset, counted from 1.
    fn line(&self, byte: usize) -> u32 {
        u32::try_from(self.0.partition_point(|start| *start <= byte)).unwrap_or(u32::MAX)
    }

    /// Line and column (in characters) of the byte at this offset, counted from 1.
    fn place(&self, text: &str, byte: usize) -> (u32, u32) {
        let line = self.line(byte);
        let start = self.0.get(line as usize - 1).copied().unwrap_or(0);
        let before = text.get(start..byte).unwrap_or("").chars().count();
        (line, u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_line() {
        let text = "# first\n[probe]\ninterval = \"1 s\"\ntargets = [\n  { host = \"a\" },\n  { host = \"b\",\n    \
                    role = \"world\" },\n]\n[promise.download]\n\"odd key\" = 1\n";
        let (tree, places) = parse(text).unwrap();
        for (path, line) in [
            ("probe", 2),
            ("probe.interval", 3),
            ("probe.targets", 4),
            ("probe.targets[0]", 5),
            ("probe.targets[1].host", 6),
            ("probe.targets[1].role", 7),
            ("promise.download", 9),
            ("promise.download.\"odd key\"", 10),
        ] {
            assert_eq!(places.line(path), Some(line), "{path}");
        }
        assert_eq!(tree["probe"]["targets"][1]["role"], "world");
    }

    #[test]
    fn dates_become_text() {
        let (tree, _) = parse("a = 2026-11-20T09:00:00+08:00\nb = 2026-11-20 09:00:00.5Z\n").unwrap();
        assert_eq!(tree["a"], "2026-11-20T09:00:00+08:00");
        assert_eq!(tree["b"], "2026-11-20T09:00:00.5Z");
    }

    #[test]
    fn numbers_are_read_or_rejected() {
        let (tree, _) = parse("a = 1_000\nb = 0xff\nc = 2.5\nd = -7\n").unwrap();
        assert_eq!(tree, serde_json::json!({ "a": 1000, "b": 255, "c": 2.5, "d": -7 }));
        let told = parse("a = nan\n[b]\nc = -inf\nd = 99999999999999999999\n").unwrap_err().to_string();
        assert_eq!(
            told,
            "configuration rejected:\n  - a must be a number that 64 bits hold (line 1)\
             \n  - b.c must be a number that 64 bits hold (line 3)\
             \n  - b.d must be a number that 64 bits hold (line 4)"
        );
    }

    #[test]
    fn syntax_fault_column_counts_characters() {
        let faults = parse("a = \"é\" x\n").unwrap_err();
        assert_eq!((faults.0[0].line, faults.0[0].column), (Some(1), Some(9)), "{faults}");
    }
}
