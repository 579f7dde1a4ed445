//! The table of options, flat: one row for each option as UCI and a form have it.

use linekeeper_judge::config::options::{Entry, Form, Heading, HeadingNote, Note, Pattern, Right, Uci};
use linekeeper_judge::config::{read, service};
use serde_json::Value;

pub const COMMAND: &str = "LINEKEEPER_WRITE=1 cargo test --test config options";

/// A section.
pub struct Section {
    pub heading: Heading,
    pub note: HeadingNote,
}

/// A key of a section, or one of a table in it.
pub struct Row<'a> {
    pub section: &'a str,
    /// The table around it.
    pub table: Option<(&'a Entry, &'a Note)>,
    pub entry: &'a Entry,
    pub note: &'a Note,
}

/// The service's own section, and those of the daemon.
pub fn all() -> Vec<Section> {
    let mut sections = vec![Section { heading: service::options(), note: service::notes() }];
    sections.extend(daemon());
    sections
}

/// Those of the daemon.
pub fn daemon() -> Vec<Section> {
    read::options().into_iter().zip(read::notes()).map(|(heading, note)| Section { heading, note }).collect()
}

impl Section {
    pub fn name(&self) -> &'static str {
        self.heading.section
    }

    /// Its keys with their notes; tables as one.
    pub fn entries(&self) -> impl Iterator<Item = (&Entry, &Note)> {
        assert_eq!(self.heading.entries.len(), self.note.notes.len());
        self.heading.entries.iter().zip(&self.note.notes)
    }

    /// Its options; those of tables one by one.
    pub fn options(&self) -> Vec<Row<'_>> {
        let section = self.name();
        let mut rows = Vec::new();
        for (entry, note) in self.entries() {
            match &entry.form {
                Form::Table(keys) => {
                    assert_eq!(keys.len(), note.notes.len());
                    let row =
                        |(key, about)| Row { section, table: Some((entry, note)), entry: key, note: about };
                    rows.extend(keys.iter().zip(&note.notes).map(row));
                }
                _ => rows.push(Row { section, table: None, entry, note }),
            }
        }
        rows
    }
}

impl<'a> Row<'a> {
    /// `section.table.key`
    pub fn path(&self) -> String {
        let table = self.table.map_or(String::new(), |(table, _)| format!("{}.", table.key));
        format!("{}.{table}{}", self.section, self.entry.key)
    }

    /// As UCI calls it.
    pub fn uci(&self) -> String {
        let table = self.table.map_or(String::new(), |(table, _)| format!("{}_", table.key));
        format!("{table}{}", self.entry.key.replace('-', "_"))
    }

    /// Whether UCI has it under another key.
    pub fn is_absent(&self) -> bool {
        self.has(Uci::Absent)
    }

    pub fn has(&self, what: Uci) -> bool {
        self.note.uci.contains(&what)
    }

    /// What it is where it is invalid, if not its default.
    pub fn instead(&self) -> Option<&'static str> {
        let of_table = self.table.map_or(&[][..], |(_, note)| note.uci);
        self.note.uci.iter().chain(of_table).find_map(|how| match how {
            Uci::Instead(value) => Some(*value),
            _ => None,
        })
    }

    pub fn right(&self) -> Right {
        self.table.map_or(self.entry.right, |(table, _)| table.right)
    }

    /// What it is of use with.
    pub fn with(&self) -> Option<(&'static str, &'static [&'static str])> {
        self.note.with.or(self.table.and_then(|(_, note)| note.with))
    }

    pub fn default(&self) -> Option<Value> {
        self.entry.default.clone()
    }

    pub fn example(&self) -> Option<Value> {
        let of_table =
            || self.table.and_then(|(_, note)| note.example.as_ref()?.get(self.entry.key).cloned());
        self.note.example.clone().or_else(of_table)
    }

    /// In both languages; `%s` stands for the title of the other.
    pub fn titles(&self) -> (Title<'a>, Title<'a>) {
        let none = ("", "");
        let (table, table_zh) = self.table.map_or(none, |(table, note)| (table.title, note.title));
        (Title::new(table, self.entry.title), Title::new(table_zh, self.note.title))
    }

    pub fn help(&self) -> [&'a str; 2] {
        [self.entry.help, self.note.help]
    }

    /// Its words, for a form to choose from; a target's roles.
    pub fn words(&self) -> &'a [&'static str] {
        match &self.entry.form {
            Form::Choice(words) | Form::Words { words, .. } | Form::Targets(words) => words,
            _ => &[],
        }
    }

    pub fn labels(&self) -> &'a [[&'static str; 2]] {
        &self.note.labels
    }
}

/// A title, and what stands for `%s` in it.
#[derive(Clone, Copy)]
pub struct Title<'a>(pub &'a str, pub Option<&'a str>);

impl<'a> Title<'a> {
    fn new(outer: &'a str, inner: &'a str) -> Title<'a> {
        match (outer.contains("%s"), inner.contains("%s")) {
            (true, _) => Title(outer, Some(inner)),
            (_, true) => Title(inner, Some(outer)),
            _ => Title(inner, None),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty() && self.1.is_none()
    }
}

/// `1 ms to 10 s`, or `at most 1 h`, where there are bounds.
pub fn bounds(form: &Form) -> Option<String> {
    match form {
        Form::Count { least, most } => Some(format!("{least} to {most}")),
        Form::Quantity { least, most, .. } if least.starts_with("0 ") => Some(format!("at most {most}")),
        Form::Quantity { least, most, .. } => Some(format!("{least} to {most}")),
        _ => None,
    }
}

/// What a sample says of a key: its meaning and its bounds. `quoted`: words stand in quotes there.
pub fn explained(entry: &Entry, note: &Note, quoted: bool) -> String {
    let plain = |text: &str| if quoted { text.to_owned() } else { text.replace('"', "") };
    let mut text = String::new();
    if let Some((key, values)) = note.with.filter(|(_, values)| !values.is_empty()) {
        let values: Vec<String> = values.iter().map(|v| plain(&format!("\"{v}\""))).collect();
        let is = if quoted { " =" } else { "" };
        text += &format!("With {key}{is} {}: ", values.join(" or "));
        let help = plain(entry.help);
        let mut letters = help.chars();
        let first = letters.next().unwrap_or_default();
        let lower = letters.clone().next().is_some_and(char::is_lowercase);
        text.extend([if lower { first.to_ascii_lowercase() } else { first }]);
        text += letters.as_str();
    } else {
        text += &plain(entry.help);
    }
    let mut add = |more: String| {
        if !more.is_empty() {
            if !text.is_empty() {
                text.push(' ');
            }
            text += &more;
        }
    };
    match &entry.form {
        Form::Table(keys) => {
            let each: Vec<String> = keys.iter().filter_map(|key| bounds(&key.form)).collect();
            let usual = &each[0];
            let others = keys.iter().zip(&each).filter(|(_, each)| *each != usual);
            let others: String = others.map(|(key, each)| format!(", {} {each}", key.key)).collect();
            let first =
                if others.is_empty() || keys.len() > 2 { "Each".to_owned() } else { upper(keys[0].key) };
            add(format!("{first} {usual}{others}."));
        }
        Form::Words { words, .. } if !words.iter().all(|word| entry.help.contains(word)) => {
            add(format!("Any of {}.", words.join(", ")));
        }
        Form::List { pattern, least, most } if *pattern != Pattern::Time => {
            add(format!("{least} to {most} of them."))
        }
        form => add(bounds(form).map_or(String::new(), |bounds| format!("{}.", upper(&bounds)))),
    }
    text
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// The text as comments: lines of at most 120 characters that begin with `before`.
pub fn wrapped(before: &str, text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split(' ').collect::<Vec<_>>().chunk_by(|number, unit| is_quantity(number, unit)) {
        let word = word.join(" ");
        if !line.is_empty() && before.chars().count() + line.chars().count() + 1 + word.chars().count() > 120
        {
            lines += &format!("{before}{line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += &word;
    }
    lines += &format!("{before}{line}\n");
    lines
}

/// A number and its unit stay on one line.
fn is_quantity(number: &str, unit: &str) -> bool {
    const UNITS: &[&str] =
        &["ms", "s", "min", "h", "d", "kbit/s", "Mbit/s", "Gbit/s", "kB", "MB", "GB", "%", "°C"];
    number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && UNITS.contains(&unit.trim_end_matches(['.', ',']))
}
