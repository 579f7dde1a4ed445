//! The options for LuCI's form, and their translation.

use super::table::{COMMAND, Row, Section, Title, all};
use linekeeper_judge::config::options::{Form, Pattern, Uci};
use serde_json::Value;
use std::collections::BTreeMap;

/// A plain text for LuCI: words without the quotes that TOML wants around them.
fn plain(text: &str) -> String {
    text.replace('"', "")
}

/// As JavaScript writes it.
fn quoted(text: &str) -> String {
    if text.contains('\'') { format!("\"{text}\"") } else { format!("'{text}'") }
}

fn translated(text: &str) -> String {
    format!("_({})", quoted(&plain(text)))
}

/// What is the same in both languages needs no translation.
fn labelled([english, chinese]: [&str; 2]) -> String {
    if english == chinese { quoted(english) } else { translated(english) }
}

fn title(Title(text, inner): Title<'_>) -> String {
    match inner {
        None => translated(text),
        Some(inner) => format!("{}.format({})", translated(text), translated(inner)),
    }
}

pub fn form() -> String {
    let mut text = format!(
        "'use strict';\n'require baseclass';\n\n/* Every option, as the form shows it. Generated from the table of options: {COMMAND} */\n\n\
         return baseclass.extend({{\n\tsections: [\n"
    );
    for section in all() {
        let kind = if section.name() == "main" { "linekeeper" } else { section.name() };
        text += &format!(
            "\t\t{{ name: '{}', type: '{kind}', title: {}, words: {}, options: [\n",
            section.name(),
            translated(section.heading.title),
            translated(section.heading.about),
        );
        for row in section.options().into_iter().filter(|row| !row.is_absent()) {
            match &row.entry.form {
                Form::Targets(roles) => {
                    for (role, label) in roles.iter().zip(row.labels()) {
                        text += &format!(
                            "\t\t\t{{ name: '{role}', kind: 'list', title: {}, words: '', form: 'host' }},\n",
                            labelled(*label)
                        );
                    }
                }
                _ => text += &format!("\t\t\t{{ {} }},\n", option(&row).join(", ")),
            }
        }
        text += "\t\t] },\n";
    }
    text + "\t]\n});\n"
}

fn option(row: &Row<'_>) -> Vec<String> {
    let (kind, least, most, pattern) = match &row.entry.form {
        Form::Flag => ("flag", None, None, None),
        Form::Count { least, most } => ("number", Some(least.to_string()), Some(most.to_string()), None),
        Form::Quantity { pattern, least, most } => {
            ("text", Some(least.clone()), Some(most.clone()), Some(*pattern))
        }
        Form::Text(pattern) => ("text", None, None, Some(*pattern)),
        Form::Choice(_) => ("choice", None, None, None),
        Form::Words { .. } => ("list", None, None, None),
        Form::List { pattern, .. } => ("list", None, None, Some(*pattern)),
        Form::Command => ("command", None, None, None),
        Form::Targets(_) | Form::Table(_) => panic!("{} is no option", row.path()),
    };
    let mut fields = vec![
        format!("name: '{}'", row.uci()),
        format!("kind: '{kind}'"),
        format!("title: {}", title(row.titles().0)),
    ];
    let help = row.help()[0];
    fields.push(format!("words: {}", if help.is_empty() { "''".into() } else { translated(help) }));
    fields.extend(
        pattern.filter(|p| *p != Pattern::Plain).map(|pattern| format!("form: '{}'", pattern.name())),
    );
    let least = least.filter(|least| !least.starts_with("0 "));
    fields.extend(least.map(|least| format!("least: {}", quoted(&least))));
    fields.extend(most.map(|most| format!("most: {}", quoted(&most))));
    let shown = |value: &Value| match value {
        Value::Bool(flag) => quoted(&u8::from(*flag).to_string()),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            format!(
                "[ {} ]",
                items.iter().map(|item| quoted(item.as_str().unwrap())).collect::<Vec<_>>().join(", ")
            )
        }
        other => quoted(&other.to_string()),
    };
    let usual = row.note.openwrt.map(Value::from).or(row.default());
    fields.extend(usual.map(|usual| format!("usual: {}", shown(&usual).replace("[  ]", "[]"))));
    if !row.words().is_empty() {
        let pairs = row.words().iter().zip(row.labels());
        let pairs: Vec<String> =
            pairs.map(|(word, label)| format!("[ {}, {} ]", quoted(word), labelled(*label))).collect();
        fields.push(format!("choices: [ {} ]", pairs.join(", ")));
    }
    if row.has(Uci::None) {
        fields.push("none: true".into());
    }
    if let Some((key, values)) = row.with().filter(|(_, values)| !values.is_empty()) {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        fields.push(format!("needs: [ '{key}', {} ]", values.join(", ")));
    }
    fields
}

/// English and Chinese of all that the form says.
fn texts() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let mut add = |place: &str, english: &str, chinese: &str| {
        if english.is_empty() {
            return;
        }
        assert!(!chinese.is_empty(), "{place} has no Chinese for {english:?}");
        if let Some(other) = texts.insert(plain(english), chinese.to_owned()) {
            assert_eq!(other, chinese, "{place}: {english:?} has two translations");
        }
    };
    for section in all() {
        let Section { heading, note } = &section;
        add(section.name(), heading.title, note.title);
        add(section.name(), heading.about, note.about);
        for row in section.options().into_iter().filter(|row| !row.is_absent()) {
            let place = row.path();
            for [english, chinese] in row.labels().iter().filter(|[english, chinese]| english != chinese) {
                add(&place, english, chinese);
            }
            if matches!(row.entry.form, Form::Targets(_)) {
                continue;
            }
            let (english, chinese) = row.titles();
            add(&place, english.0, chinese.0);
            add(&place, english.1.unwrap_or_default(), chinese.1.unwrap_or_default());
            let [english, chinese] = row.help();
            add(&place, english, chinese);
        }
    }
    texts
}

pub fn translation() -> String {
    let mut text = format!(
        "# Generated from the table of options: {COMMAND}\nmsgid \"\"\nmsgstr \"\"\n\
         \"Content-Type: text/plain; charset=UTF-8\\n\"\n\"Language: zh_Hans\\n\"\n\"Content-Transfer-Encoding: 8bit\\n\"\n"
    );
    for (english, chinese) in texts() {
        text += &entry(&english, &chinese);
    }
    text
}

pub fn template() -> String {
    let mut text = format!(
        "# Generated from the table of options: {COMMAND}\nmsgid \"\"\nmsgstr \"Content-Type: text/plain; charset=UTF-8\"\n"
    );
    for english in texts().into_keys() {
        text += &entry(&english, "");
    }
    text
}

fn entry(english: &str, chinese: &str) -> String {
    let place = "#: htdocs/luci-static/resources/linekeeper/options.js";
    format!("\n{place}\nmsgid {}\nmsgstr {}\n", Value::from(english), Value::from(chinese))
}
