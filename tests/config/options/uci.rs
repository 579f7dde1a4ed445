//! OpenWrt's file with every option, and how its options become the daemon's JSON.

use super::table::{COMMAND, Row, Section, all, daemon, explained, wrapped};
use linekeeper_judge::config::options::{Form, Pattern, Uci};
use serde_json::Value;

const OPTIONS: &str = "\
# How UCI's options become the daemon's JSON. Read by uci.sh.
#
# `option NAME 'value'` in `config SECTION` becomes SECTION.NAME, a text, and `list NAME` a list of texts. Only what is
# not so stands here:
#
#   bool SECTION OPTION…           yes or no, in any of UCI's ways of writing it
#   int SECTION OPTION…            a whole number
#   list SECTION OPTION…           a list also where it was written as an option, with spaces between
#   words SECTION OPTION…          a command: a list, of which no single word may be left out
#   none SECTION OPTION…           a list that may be empty, which UCI cannot write: 'none' alone is the empty one
#   strict SECTION OPTION…         such a list that says what at most may leave or be done here: where nothing in it is
#                                  understood it is the empty one, for the default would allow more than was meant
#   whole SECTION OPTION…          without it the rest would allow more than was meant: where it is bad, all of SECTION is
#                                  left out
#   instead SECTION OPTION VALUE   where it is bad it is this value, for the default might allow more than was meant
#   table SECTION TABLE…           TABLE_KEY is SECTION.TABLE.KEY
#   dashed SECTION TABLE…          the same, with `-` for `_` in KEY
#   row SECTION OPTION LIST KEY KEY=VALUE…
#                                  each value is one object {KEY: value, KEY: VALUE} in the list SECTION.LIST
#   record TYPE SECTION LIST       each `config TYPE` is one object in the list SECTION.LIST
#
# What is so for a table's key is written with the table's name, as UCI has it: `int remedies per_day_renew`.
#
";

pub fn options() -> String {
    let mut text = OPTIONS.to_owned();
    text += &wrapped("# ", &format!("Generated from the table of options: {COMMAND}"));
    text += "\n";
    for section in daemon() {
        let rows = section.options();
        let mut line = |kind: &str, is: &dyn Fn(&Row<'_>) -> bool| {
            let names: Vec<String> = rows.iter().filter(|row| is(row)).map(Row::uci).collect();
            if !names.is_empty() {
                text += &format!("{kind} {} {}\n", section.name(), names.join(" "));
            }
        };
        line("bool", &|row| matches!(row.entry.form, Form::Flag));
        line("int", &|row| matches!(row.entry.form, Form::Count { .. }));
        // A time has a space in it.
        line("list", &|row| match row.entry.form {
            Form::Words { .. } => true,
            Form::List { pattern, .. } => pattern != Pattern::Time,
            _ => false,
        });
        line("words", &|row| matches!(row.entry.form, Form::Command));
        line("none", &|row| row.has(Uci::None));
        line("strict", &|row| row.has(Uci::Strict));
        line("whole", &|row| row.has(Uci::Whole));
        for row in &rows {
            if let Some(value) = row.instead() {
                text += &format!("instead {} {} {value}\n", section.name(), row.uci());
            }
        }
        for dashed in [false, true] {
            let is = |form: &Form| match form {
                Form::Table(keys) => keys.iter().any(|key| key.key.contains('-')) == dashed,
                _ => false,
            };
            let tables: Vec<&str> =
                section.entries().filter(|(entry, _)| is(&entry.form)).map(|(entry, _)| entry.key).collect();
            if !tables.is_empty() {
                let kind = if dashed { "dashed" } else { "table" };
                text += &format!("{kind} {} {}\n", section.name(), tables.join(" "));
            }
        }
        for (entry, _) in section.entries() {
            if let Form::Targets(roles) = &entry.form {
                for role in roles {
                    text += &format!("row {} {role} {} host role={role}\n", section.name(), entry.key);
                }
                text += &format!("record target {} {}\n", section.name(), entry.key);
            }
        }
    }
    text
}

const FILE: &str = "\
# linekeeper: every option, its default and its meaning.
#
# `#option` and `#list` at once show an option with its default, `# option` an example. Quantities carry their unit:
# '500 ms', '5 s', '2 min', '1 h', '1 d'; '64 kbit/s', '100 Mbit/s', '1 Gbit/s'; '256 kB', '1 MB', '20 GB' (powers
# of 1000); '0.5 %'; '95 °C'. An option that is not understood is left out with a line in the log, and its default holds.
#
# `uci commit` and LuCI drop these comments. They are kept in /usr/share/linekeeper/explained.
";

pub fn file() -> String {
    let mut text = FILE.to_owned();
    for section in all() {
        let kind = if section.name() == "main" { "linekeeper" } else { section.name() };
        text += "\n";
        text += &wrapped("# ", section.heading.about);
        text += &format!("config {kind} '{}'\n", section.name());
        text += &body(&section);
    }
    text
}

fn body(section: &Section) -> String {
    let mut text = String::new();
    let mut rows = section.options().into_iter();
    for (entry, note) in section.entries() {
        let own = if let Form::Table(keys) = &entry.form { keys.len() } else { 1 };
        let own: Vec<Row<'_>> = rows.by_ref().take(own).collect();
        if own.iter().any(Row::is_absent) {
            continue;
        }
        let mut words = explained(entry, note, false);
        if note.uci.contains(&Uci::None) {
            words += " 'none' alone is the empty list.";
        }
        text += &wrapped("\t# ", &words);
        for row in own {
            text += &lines(&row);
        }
    }
    text
}

/// The lines that show an option.
fn lines(row: &Row<'_>) -> String {
    let name = row.uci();
    let example = row.example();
    let openwrt = row.note.openwrt.map(Value::from);
    let default = openwrt.or(row.default());
    // What is of no use without another key is an example here, where that other key is none.
    let (mark, value) = match (example, default) {
        (Some(example), _) if row.section == "main" && row.note.shown => ("", example),
        (Some(example), _) => ("# ", example),
        (None, Some(default)) if row.with().is_some() => ("# ", default),
        (None, Some(default)) => ("#", default),
        (None, None) => panic!("{} shows nothing", row.path()),
    };
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        other => other.to_string(),
    };
    let line = |kind: &str, name: &str, value: &str| format!("\t{mark}{kind} {name} '{value}'\n");
    match (&row.entry.form, &value) {
        (Form::Targets(_), Value::Array(targets)) => targets
            .iter()
            .map(|target| line("list", &word(&target["role"]), &word(&target["host"])))
            .collect(),
        (_, Value::Array(items)) if items.is_empty() => line("list", &name, "none"),
        (_, Value::Array(items)) => items.iter().map(|item| line("list", &name, &word(item))).collect(),
        (_, value) => line("option", &name, &word(value)),
    }
}
