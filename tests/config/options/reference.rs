//! The reference: every key with what it holds, its default and why, and whether the platform may set it.

use super::table::{COMMAND, Row, bounds, daemon};
use super::toml::literal;
use linekeeper_judge::config::options::{Form, Pattern, Right};

const HEAD: &str = "\
# Configuration

[smallest.toml](smallest.toml) is the least that works, [linekeeper.toml](linekeeper.toml) shows every key. JSON with the same
keys is read as well ([smallest.json](smallest.json)); on OpenWrt the init script makes it from `/etc/config/linekeeper`
([openwrt/README.md](../openwrt/README.md)). `linekeeper check FILE` reports every fault at once.

Quantities carry their unit in the text: `\"500 ms\"`, `\"5 s\"`, `\"2 min\"`, `\"1 h\"`, `\"1 d\"`; `\"64 kbit/s\"`, `\"100 Mbit/s\"`,
`\"1 Gbit/s\"`; `\"256 kB\"`, `\"1 MB\"`, `\"20 GB\"` (powers of 1000); `\"0.5 %\"`; `\"95 °C\"`.

The platform may set each key over MQTT (`config/desired`) but those marked *local*, which only the gateway's own configuration
holds. Those marked *signed* are taken only from a configuration that is signed with `commands.key`.
";

pub fn document() -> String {
    let mut text = HEAD.to_owned();
    text += &format!(
        "\nThis page is generated from the table of options in `src`, where each key is declared once, in its section's file: `{COMMAND}`\n"
    );
    for section in daemon() {
        text += &format!("\n## {}\n\n{}\n\n", section.name(), section.heading.about);
        text += "| key | UCI | holds | default | meaning |\n|---|---|---|---|---|\n";
        let mut said = "";
        for row in section.options() {
            let default =
                row.default().map_or("–".to_owned(), |default| format!("`{}`", literal(&default)));
            let local = match row.right() {
                Right::Local(_) => " *local*",
                Right::Signed(_) => " *signed*",
                Right::Remote => "",
            };
            // A table's meaning stands with the first of its keys.
            let of_table = row.table.map_or("", |(table, _)| table.help);
            let of_table = if of_table == said { "" } else { of_table };
            if !of_table.is_empty() {
                said = of_table;
            }
            let with =
                row.with().filter(|(_, values)| !values.is_empty()).map_or(String::new(), |(key, values)| {
                    let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
                    format!(" With `{key}` {}.", values.join(" or "))
                });
            let meaning = [of_table, row.entry.help].join(" ").trim().replace('|', "\\|") + &with;
            let key = row.path();
            let key = key.split_once('.').unwrap().1;
            text += &format!(
                "| `{key}`{local} | {} | {} | {default} | {meaning} |\n",
                uci(&row),
                holds(&row.entry.form)
            );
        }
        let mut reasons = String::new();
        let mut note = |key: &str, lines: &[&str]| {
            let words = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
            if let Some(at) = words.find("Default").or(words.find("Bounds")) {
                reasons += &format!("- `{key}`: {}\n", words[at..].trim());
            }
        };
        for (entry, of) in section.entries() {
            note(entry.key, &of.argument);
            if let Form::Table(keys) = &entry.form {
                for (key, of) in keys.iter().zip(&of.notes) {
                    note(&format!("{}.{}", entry.key, key.key), &of.argument);
                }
            }
        }
        if !reasons.is_empty() {
            text += &format!("\nWhy these values:\n\n{reasons}");
        }
    }
    text
}

fn uci(row: &Row<'_>) -> String {
    match &row.entry.form {
        _ if row.is_absent() => "–".to_owned(),
        Form::Targets(roles) => {
            roles.iter().map(|role| format!("`list {role}`")).collect::<Vec<_>>().join(", ")
        }
        Form::Words { .. } | Form::List { .. } | Form::Command => format!("`list {}`", row.uci()),
        _ => format!("`{}`", row.uci()),
    }
}

fn holds(form: &Form) -> String {
    match form {
        Form::Flag => "true or false".to_owned(),
        Form::Count { .. } | Form::Quantity { .. } => bounds(form).unwrap_or_default(),
        Form::Text(pattern) => what(*pattern).to_owned(),
        Form::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Form::Words { words, least } => {
            let words = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            format!("list, {least} or more of {words}")
        }
        Form::List { pattern, least, most } => format!("list, {least} to {most}: {}", what(*pattern)),
        Form::Command => "a command, one word each".to_owned(),
        Form::Targets(_) => "list of tables of `host` and `role`".to_owned(),
        Form::Table(_) => "a table".to_owned(),
    }
}

fn what(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::Plain => "text",
        Pattern::Time => "a time",
        Pattern::Rate => "a rate",
        Pattern::Size => "an amount of data",
        Pattern::Temperature => "a temperature",
        Pattern::Share => "a share",
        Pattern::Id => "`A-Z a-z 0-9 . _ -`",
        Pattern::Area => "`A-Z a-z 0-9 . _ -` with single `/`",
        Pattern::Date => "a date with its offset",
        Pattern::Digits => "64 hexadecimal digits",
        Pattern::Path => "an absolute path",
        Pattern::Broker => "`mqtts://HOST:PORT` or `mqtt://HOST:PORT`",
        Pattern::Server => "`http://HOST/` or `https://HOST/`",
        Pattern::Page => "`http://HOST/PATH`",
        Pattern::Address => "an IPv4 or IPv6 address",
        Pattern::HostName => "a DNS name",
    }
}
