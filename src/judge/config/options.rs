//! The table of options: each configuration key is declared once, and everything else is derived from the declaration.
//!
//! [`options!`] declares one table of keys, beside the types its values fill. An entry says the key's name and type, its kind
//! (bounds and default), whether the platform may set it, and its title and meaning in both languages; its documentation
//! gives the argument for the default and the bounds. From an entry come the field of the struct, the reader, the list of
//! known keys, the right, and a row of the table ([`Entry`] and [`Note`]). From the rows come the sample files, UCI's
//! `options`, LuCI's form with its translation, and the reference document: `tests/options` writes them.
//!
//! What a gateway does not need (Chinese, arguments, examples) is in [`Note`] and is built by a separate function. A program
//! that does not call that function does not contain these texts.

pub use super::pattern::Pattern;
use super::reader::{Reader, Section};
use serde_json::Value;

/// Whether the platform may set a key over MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// The platform may set it.
    Remote,
    /// The platform may set it in a configuration that is signed with `commands.key`, because it leads to what only a signed
    /// command may do; the text says to what.
    Signed(&'static str),
    /// Only the gateway's own configuration may set it; the text says why.
    Local(&'static str),
}

/// Of keys that name the line or a host.
pub(crate) const ASKED: Right =
    Right::Signed("whoever chooses what is watched and who is asked decides when the line counts as dead");

/// A section of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Heading {
    /// The name in the file.
    pub section: &'static str,
    /// A word or two: the form's tab.
    pub title: &'static str,
    /// What its keys decide, in one or more sentences.
    pub about: &'static str,
    /// Its keys, in the order in which people want to read them.
    pub entries: Vec<Entry>,
}

/// A key, as far as a gateway may need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The name in the file.
    pub key: &'static str,
    /// What it may hold.
    pub form: Form,
    /// The default, as it would be written. `None`: the help text says what absence means.
    pub default: Option<Value>,
    /// Whether the platform may set it.
    pub right: Right,
    /// A few words: the form's label. `%s` stands for the title of the table around it or of the key in it.
    pub title: &'static str,
    /// The help text, in one or more sentences, without bounds and default.
    pub help: &'static str,
}

/// What a key may hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// True or false.
    Flag,
    /// A whole number.
    Count {
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// A quantity with its unit.
    Quantity {
        /// Of which kind.
        pattern: Pattern,
        /// The least, with its unit.
        least: String,
        /// The most, with its unit.
        most: String,
    },
    /// A text.
    Text(Pattern),
    /// One of these words.
    Choice(Vec<&'static str>),
    /// Some of these words, each once; `least` is 0 or 1.
    Words {
        /// All there are.
        words: Vec<&'static str>,
        /// How many at least.
        least: usize,
    },
    /// A list of texts.
    List {
        /// Each.
        pattern: Pattern,
        /// How many at least.
        least: usize,
        /// How many at most.
        most: usize,
    },
    /// A command, one word each.
    Command,
    /// A list of tables, each of `host` and `role`; the roles.
    Targets(Vec<&'static str>),
    /// A table of keys. Its right is theirs.
    Table(Vec<Entry>),
}

/// A section, as far as a gateway does not need it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeadingNote {
    /// The title in Chinese.
    pub title: &'static str,
    /// What it decides, in Chinese.
    pub about: &'static str,
    /// One for each entry, in the same order.
    pub notes: Vec<Note>,
}

/// A key, as far as a gateway does not need it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Note {
    /// The documentation, line by line: the arguments for the default and the bounds.
    pub argument: Vec<&'static str>,
    /// The title in Chinese.
    pub title: &'static str,
    /// The meaning in Chinese.
    pub help: &'static str,
    /// What a form calls each of the key's words, in both languages.
    pub labels: Vec<[&'static str; 2]>,
    /// What a sample shows instead of a default.
    pub example: Option<Value>,
    /// The sample has the example in force and not as a comment.
    pub shown: bool,
    /// Used only if that key of the section has one of these values, or any value if the list is empty.
    pub with: Option<(&'static str, &'static [&'static str])>,
    /// How UCI treats it, in addition to its form.
    pub uci: &'static [Uci],
    /// The default on OpenWrt, if it differs.
    pub openwrt: Option<&'static str>,
    /// Those of a table's keys.
    pub notes: Vec<Note>,
}

/// What UCI's translation must know of a key beside its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uci {
    /// `none` alone is the empty list, which UCI cannot write.
    None,
    /// The list limits what may be sent or done: if no entry is valid, it is empty and not the default.
    Strict,
    /// Without it the rest of the section would allow too much: if it is invalid, the whole section is left out.
    Whole,
    /// If it is invalid, this value is used in place of the default, which would allow more.
    Instead(&'static str),
    /// UCI has it under a different key.
    Absent,
}

/// A kind of option: how it is read, and how it is described.
pub(crate) trait Kind {
    /// The type of the value.
    type Value;

    /// The value when the key is absent.
    fn absent(&self) -> Self::Value;

    /// Reads it from `section`. An invalid value is replaced by [`Kind::absent`].
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Self::Value;

    /// What it may hold.
    fn form(&self) -> Form;

    /// [`Kind::absent`], as it would be written.
    fn default(&self) -> Option<Value> {
        None
    }

    /// The notes on a table's keys.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }
}

/// A table of keys that was declared by [`options!`].
pub(crate) trait Declared: Sized {
    /// The names of its keys.
    const KEYS: &'static [&'static str];
    /// Whether the platform may set them, in the same order.
    const RIGHTS: &'static [Right];

    /// The value when the key is absent.
    fn absent() -> Self;
    /// Reads all of them from `section`, in the order of the table.
    fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Self;
    fn entries() -> Vec<Entry>;
    fn notes() -> Vec<Note>;
}

/// A declared table that is a section.
pub(crate) trait Headed: Declared {
    const SECTION: &'static str;

    /// Checks for contradictions between the values, and derives those that depend on others.
    fn check(&mut self, reader: &mut Reader<'_>, section: &Section<'_>);
    fn heading() -> Heading;
    fn heading_note() -> HeadingNote;
}

/// Reads the section of this type and checks for contradictions and unknown keys.
pub(crate) fn section<S: Headed>(reader: &mut Reader<'_>, root: &Section<'_>) -> S {
    let section = reader.section(root, S::SECTION);
    in_section(reader, &section)
}

/// The same; `None` if the section is absent.
pub(crate) fn section_if_written<S: Headed>(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<S> {
    let section = reader.section(root, S::SECTION);
    section.map?;
    Some(in_section(reader, &section))
}

fn in_section<S: Headed>(reader: &mut Reader<'_>, section: &Section<'_>) -> S {
    let mut values = S::read(reader, section);
    values.check(reader, section);
    reader.unknown(section, S::KEYS);
    values
}

/// Declares a table of keys: a struct whose fields are filled from them.
///
/// ```text
/// options! {
///     /// What the section decides.
///     pub struct Outage = section "outage", "Outage" / "宽带中断",
///         "When silence is an outage." / "…", check Outage::contradictions {
///         /// What the value means.
///         ///
///         /// Default 2 s: why. Bounds: why.
///         patience: Span = quantity(PATIENCE, Span::seconds(2)), REMOTE,
///             "Patience" / "容忍时长", "A break shorter than this is counted, not acted on." / "…";
///     }
/// }
/// ```
///
/// A field with another name than its key is written `field as "key"`. Behind the texts may stand, in this order:
/// `labels [...]`, `shows VALUE` or `example VALUE`, `with "key" [values]`, `uci [...]`, `openwrt "value"`; see [`Note`].
/// A struct without `section` is a table inside another.
macro_rules! options {
    (
        $(#[$attribute:meta])*
        $visible:vis struct $name:ident = section $section:literal, $title:literal / $title_zh:literal,
            $about:literal / $about_zh:literal $(, check $check:path)? { $($entries:tt)* }
    ) => {
        options! { $(#[$attribute])* $visible struct $name { $($entries)* } }

        impl crate::config::options::Headed for $name {
            const SECTION: &'static str = $section;

            fn check(
                &mut self,
                _reader: &mut crate::config::reader::Reader<'_>,
                _section: &crate::config::reader::Section<'_>,
            ) {
                $($check(self, _reader, _section);)?
            }

            fn heading() -> crate::config::options::Heading {
                let entries = <$name as crate::config::options::Declared>::entries();
                crate::config::options::Heading { section: $section, title: $title, about: $about, entries }
            }

            fn heading_note() -> crate::config::options::HeadingNote {
                let notes = <$name as crate::config::options::Declared>::notes();
                crate::config::options::HeadingNote { title: $title_zh, about: $about_zh, notes }
            }
        }
    };
    (
        $(#[$attribute:meta])*
        $visible:vis struct $name:ident {
            $(
                $(#[doc = $argument:literal])*
                $field:ident $(as $key:literal)? : $type:ty = $kind:expr, $right:expr,
                    $title:literal / $title_zh:literal, $help:literal / $help_zh:literal
                    $(, labels [$($label:literal / $label_zh:literal),* $(,)?])?
                    $(, shows $shown:tt)?
                    $(, example $example:tt)?
                    $(, with $with:literal $values:tt)?
                    $(, uci $uci:tt)?
                    $(, openwrt $openwrt:literal)?;
            )*
        }
    ) => {
        $(#[$attribute])*
        $visible struct $name {
            $( $(#[doc = $argument])* pub $field: $type, )*
        }

        impl crate::config::options::Declared for $name {
            const KEYS: &'static [&'static str] = &[$(options!(@key $field $($key)?)),*];
            const RIGHTS: &'static [crate::config::options::Right] = &[$($right),*];

            fn absent() -> $name {
                use crate::config::options::Kind as _;
                $name { $($field: ($kind).absent()),* }
            }

            fn read(
                reader: &mut crate::config::reader::Reader<'_>,
                section: &crate::config::reader::Section<'_>,
            ) -> $name {
                use crate::config::options::Kind as _;
                $name { $($field: ($kind).read(reader, section, options!(@key $field $($key)?))),* }
            }

            fn entries() -> Vec<crate::config::options::Entry> {
                use crate::config::options::Kind as _;
                vec![$(crate::config::options::Entry {
                    key: options!(@key $field $($key)?),
                    form: ($kind).form(),
                    default: ($kind).default(),
                    right: $right,
                    title: $title,
                    help: $help,
                }),*]
            }

            fn notes() -> Vec<crate::config::options::Note> {
                use crate::config::options::{Kind as _, Note};
                vec![$(Note {
                    argument: vec![$($argument),*],
                    title: $title_zh,
                    help: $help_zh,
                    notes: ($kind).notes(),
                    $(labels: vec![$([$label, $label_zh]),*],)?
                    $(example: Some(serde_json::json!($shown)), shown: true,)?
                    $(example: Some(serde_json::json!($example)),)?
                    $(with: Some(($with, &$values)),)?
                    $(uci: &$uci,)?
                    $(openwrt: Some($openwrt),)?
                    ..Note::default()
                }),*]
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
}
pub(crate) use options;
