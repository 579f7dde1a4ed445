//! The sample with every key, as people write it.

use super::table::{COMMAND, daemon, explained, wrapped};
use linekeeper_judge::config::options::{Entry, Form, Note, Pattern};
use serde_json::Value;

const HEAD: &str = r##"# linekeeper: every key, its default and its meaning.
#
# A line that begins with `#` and a word at once (`#interval = …`) shows a key with its default. The other keys hold
# examples. Quantities carry their unit in the text: "500 ms", "5 s", "2 min", "1 h", "1 d"; "64 kbit/s", "100 Mbit/s",
# "1 Gbit/s"; "256 kB", "1 MB", "20 GB" (powers of 1000); "0.5 %"; "95 °C".
#
# `linekeeper check FILE` tells every fault at once.
#
"##;

pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    text += &wrapped("# ", &format!("Generated from the table of options: {COMMAND}"));
    for section in daemon() {
        text += "\n";
        text += &wrapped("# ", section.heading.about);
        text += &format!("[{}]\n", section.name());
        let (long, short): (Vec<_>, Vec<_>) = section
            .entries()
            .partition(|(entry, _)| matches!(&entry.form, Form::Table(keys) if keys.len() > 3));
        for (entry, note) in short {
            text += &wrapped("# ", &explained(entry, note, true));
            text += &format!("{}{} = {}\n", mark(note), entry.key, shown(entry, note));
        }
        for (entry, note) in long {
            text += "\n";
            text += &wrapped("# ", &explained(entry, note, true));
            text += &format!("[{}.{}]\n", section.name(), entry.key);
            let Form::Table(keys) = &entry.form else { continue };
            for (key, note) in keys.iter().zip(&note.notes) {
                text += &format!("#{} = {}\n", key.key, shown(key, note));
            }
        }
    }
    text
}

fn mark(note: &Note) -> &'static str {
    match (&note.example, note.shown) {
        (None, _) => "#",
        (Some(_), true) => "",
        (Some(_), false) => "# ",
    }
}

/// The value of a key in the sample.
fn shown(entry: &Entry, note: &Note) -> String {
    match (&entry.form, &note.example) {
        (Form::Table(keys), example) => {
            let value = |key: &Entry| {
                let given = example.as_ref().and_then(|example| example.get(key.key));
                let value =
                    given.or(key.default.as_ref()).unwrap_or_else(|| panic!("{} in {}", key.key, entry.key));
                format!("{} = {}", key.key, literal(value))
            };
            format!("{{ {} }}", keys.iter().map(value).collect::<Vec<_>>().join(", "))
        }
        (Form::Text(Pattern::Date), Some(Value::String(date))) => date.clone(),
        (_, Some(example)) => literal(example),
        (_, None) => literal(entry.default.as_ref().unwrap_or_else(|| panic!("{} shows nothing", entry.key))),
    }
}

/// As TOML writes it.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{key} = {}", literal(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
