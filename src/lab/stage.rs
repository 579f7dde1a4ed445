//! Output of the story: three speakers on a timeline for people, or one JSON object per event for machines.

use crate::clock;
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// The longest output line, in characters.
const COLUMNS: usize = 100;

/// The column where the text starts, after time and speaker.
const MARGIN: usize = 20;

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// One object per line.
    Json,
    /// Lines for people.
    Text {
        /// With colours.
        colour: bool,
    },
}

impl Voice {
    /// Text, in colour where standard output is a terminal and `NO_COLOR` is not set.
    pub fn for_people() -> Voice {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Voice::Text { colour: std::io::stdout().is_terminal() && !refused }
    }
}

/// The speaker of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// Faults and their ends.
    World,
    /// Observations and actions of the agent.
    Gateway,
    /// What the platform received and answered.
    Platform,
}

impl Speaker {
    const fn as_str(self) -> &'static str {
        match self {
            Speaker::World => "world",
            Speaker::Gateway => "gateway",
            Speaker::Platform => "platform",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Speaker::World => "31",
            Speaker::Gateway => "36",
            Speaker::Platform => "33",
        }
    }
}

/// Prints the story on standard output. Write errors are ignored: when the reader is gone, the enclosure ends anyway.
#[derive(Debug)]
pub struct Stage {
    voice: Voice,
    began: Duration,
    /// Virtual time, if the story is simulated.
    virtual_time: Option<Duration>,
    act: u32,
}

impl Stage {
    /// Starts the output. Time counts from now.
    pub fn new(voice: Voice) -> Stage {
        Stage { voice, began: clock::uptime(), virtual_time: None, act: 0 }
    }

    /// Sets the virtual time since the start.
    pub fn set_virtual_time(&mut self, at: Duration) {
        self.virtual_time = Some(at);
    }

    fn seconds(&self) -> f64 {
        self.virtual_time.unwrap_or_else(|| clock::since(self.began)).as_secs_f64()
    }

    /// Prints the title of a new act.
    pub fn act(&mut self, title: &str) {
        self.act += 1;
        match self.voice {
            Voice::Json => self.object(json!({ "what": "act", "title": title })),
            Voice::Text { .. } => {
                let line = format!("── {}. {title} ", self.act);
                let rule = "─".repeat(COLUMNS.saturating_sub(line.chars().count() + 20));
                self.line(&format!("\n{}", self.painted("1", &format!("{line}{rule}"))));
            }
        }
    }

    /// Prints a line by `who`. `data` appears in JSON output only.
    pub fn say(&self, who: Speaker, words: &str, data: &Value) {
        match self.voice {
            Voice::Json => {
                let mut object = json!({ "what": "said", "voice": who.as_str(), "words": words });
                if !data.is_null() {
                    object["data"] = data.clone();
                }
                self.object(object);
            }
            Voice::Text { .. } => {
                let name = self.painted(who.colour(), &format!("{:<8}", who.as_str()));
                let mut lines = wrapped(words, COLUMNS - MARGIN).into_iter();
                let first = lines.next().unwrap_or_default();
                self.line(&format!("{:>6.1} s  {name}  {first}", self.seconds()));
                for line in lines {
                    self.line(&format!("{:MARGIN$}{line}", ""));
                }
            }
        }
    }

    /// Prints the output of a program verbatim; `data` is the same for machines.
    pub fn quote(&self, command: &str, text: &str, data: &Value) {
        match self.voice {
            Voice::Json => self.object(json!({ "what": "printed", "command": command, "data": data })),
            Voice::Text { .. } => {
                self.line(&format!("\n{:4}{}", "", self.painted("1", &format!("$ {command}"))));
                for line in text.lines() {
                    self.line(format!("{:4}{line}", "").trim_end());
                }
                self.line("");
            }
        }
    }

    /// Prints the table at the end. The last column is wrapped to the remaining width.
    pub fn table(&self, header: [&str; 6], rows: &[Row]) {
        match self.voice {
            Voice::Json => {
                for row in rows {
                    let names = ["act", "broke", "seen_after", "tried", "outcome", "platform_received"];
                    let mut object = json!({ "what": "result", "as_told": row.as_expected });
                    for (name, cell) in names.iter().zip(&row.cells) {
                        object[*name] = json!(cell);
                    }
                    self.object(object);
                }
            }
            Voice::Text { .. } => {
                const WIDTHS: [usize; 6] = [14, 18, 7, 19, 13, 22];
                self.line("");
                self.cells(&header.map(str::to_owned), &WIDTHS, Some("1"));
                for row in rows {
                    self.cells(&row.cells, &WIDTHS, if row.as_expected { None } else { Some("31") });
                }
            }
        }
    }

    /// Prints the result of the story.
    pub fn end(&self, words: &str, as_expected: bool) {
        match self.voice {
            Voice::Json => self.object(json!({ "what": "end", "as_told": as_expected, "words": words })),
            Voice::Text { .. } => {
                let painted = self.painted(if as_expected { "32" } else { "31" }, words);
                self.line(&format!("\n{painted}"));
            }
        }
    }

    fn cells(&self, cells: &[String; 6], widths: &[usize; 6], colour: Option<&str>) {
        let columns: Vec<Vec<String>> =
            cells.iter().zip(widths).map(|(cell, width)| wrapped(cell, *width)).collect();
        let height = columns.iter().map(Vec::len).max().unwrap_or(0);
        for n in 0..height {
            let line: Vec<String> = columns
                .iter()
                .zip(widths)
                .map(|(column, width)| format!("{:<width$}", column.get(n).map_or("", String::as_str)))
                .collect();
            let line = line.join(" ");
            let line = line.trim_end();
            self.line(&colour.map_or_else(|| line.to_owned(), |c| self.painted(c, line)));
        }
    }

    fn painted(&self, colour: &str, words: &str) -> String {
        match self.voice {
            Voice::Text { colour: true } => format!("\x1b[{colour}m{words}\x1b[0m"),
            _ => words.to_owned(),
        }
    }

    fn object(&self, mut object: Value) {
        let seconds = (self.seconds() * 1_000.0).round() / 1_000.0;
        object["at_s"] = json!(seconds);
        object["act_number"] = json!(self.act);
        self.line(&object.to_string());
    }

    fn line(&self, line: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// The result of one act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Act, what broke, seen after, tried, outcome, what the platform received.
    pub cells: [String; 6],
    /// Whether the act went as expected.
    pub as_expected: bool,
}

/// Breaks at spaces into lines of at most `width` characters; a longer word is cut.
fn wrapped(words: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let Some(line) = lines.last_mut() else { return lines };
            let used = line.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + word.len() <= width {
                line.extend(std::iter::repeat_n(' ', gap).chain(word));
                break;
            }
            if used == 0 {
                line.extend(word.drain(..width));
            }
            lines.push(String::new());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_keeps_the_width_and_every_word() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}
