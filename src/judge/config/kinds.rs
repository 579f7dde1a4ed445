//! The kinds of options that more than one section has: how each is read, and how the table of options describes it.

use super::bounds::{self, Bounds};
use super::fault::quoted;
use super::options::{Declared, Entry, Form, Kind, Note, Pattern};
use super::quantity::Quantity;
use super::reader::{Reader, Section, Show, alternatives};
use serde_json::Value;
use std::marker::PhantomData;
use std::path::PathBuf;

/// True or false.
pub(crate) struct Flag(pub bool);

impl Kind for Flag {
    type Value = bool;
    fn absent(&self) -> bool {
        self.0
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> bool {
        reader.flag(section, key, self.0)
    }
    fn form(&self) -> Form {
        Form::Flag
    }
    fn default(&self) -> Option<Value> {
        Some(self.0.into())
    }
}

/// A whole number.
pub(crate) struct Count {
    bounds: Bounds<u32>,
    default: u32,
}

pub(crate) const fn count(bounds: Bounds<u32>, default: u32) -> Count {
    Count { bounds, default }
}

impl Kind for Count {
    type Value = u32;
    fn absent(&self) -> u32 {
        self.default
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> u32 {
        reader.count(section, key, self.bounds, self.default)
    }
    fn form(&self) -> Form {
        Form::Count { least: self.bounds.least, most: self.bounds.most }
    }
    fn default(&self) -> Option<Value> {
        Some(self.default.into())
    }
}

/// A quantity that has a default.
pub(crate) struct Within<Q> {
    bounds: Bounds<Q>,
    default: Q,
    /// The default in the unit that its form should show, where that is not the usual one: `60 s` and not `1 min`.
    written: Option<&'static str>,
}

pub(crate) const fn quantity<Q: Copy>(bounds: Bounds<Q>, default: Q) -> Within<Q> {
    Within { bounds, default, written: None }
}

impl<Q> Within<Q> {
    /// Shows the default as `text`, which says the same.
    pub const fn written(self, text: &'static str) -> Within<Q>
    where
        Q: Copy,
    {
        Within { bounds: self.bounds, default: self.default, written: Some(text) }
    }
}

impl<Q: Quantity> Kind for Within<Q> {
    type Value = Q;
    fn absent(&self) -> Q {
        self.default
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Q {
        reader.quantity(section, key, self.bounds).unwrap_or(self.default)
    }
    fn form(&self) -> Form {
        quantity_form(self.bounds)
    }
    fn default(&self) -> Option<Value> {
        Some(self.written.map_or_else(|| self.default.to_string(), str::to_owned).into())
    }
}

pub(crate) fn quantity_form<Q: Quantity>(bounds: Bounds<Q>) -> Form {
    Form::Quantity { pattern: Q::PATTERN, least: bounds.least.to_string(), most: bounds.most.to_string() }
}

/// A quantity that may be absent.
pub(crate) struct Maybe<Q>(pub Bounds<Q>);

impl<Q: Quantity> Kind for Maybe<Q> {
    type Value = Option<Q>;
    fn absent(&self) -> Option<Q> {
        None
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Option<Q> {
        reader.quantity(section, key, self.0)
    }
    fn form(&self) -> Form {
        quantity_form(self.0)
    }
}

/// Another kind whose value may be taken away by what stands elsewhere.
pub(crate) struct Perhaps<K>(pub K);

impl<K: Kind> Kind for Perhaps<K> {
    type Value = Option<K::Value>;
    fn absent(&self) -> Option<K::Value> {
        Some(self.0.absent())
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Option<K::Value> {
        Some(self.0.read(reader, section, key))
    }
    fn form(&self) -> Form {
        self.0.form()
    }
    fn default(&self) -> Option<Value> {
        self.0.default()
    }
}

/// One of a few words.
pub(crate) struct Choice<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy + Default + PartialEq> Kind for Choice<T> {
    type Value = T;
    fn absent(&self) -> T {
        T::default()
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> T {
        reader.choice(section, key, self.0).unwrap_or_default()
    }
    fn form(&self) -> Form {
        Form::Choice(self.0.iter().map(|(word, _)| *word).collect())
    }
    fn default(&self) -> Option<Value> {
        let usual = self.0.iter().find(|(_, choice)| *choice == T::default());
        usual.map(|(word, _)| (*word).into())
    }
}

/// A list of some of a few words, each once.
pub(crate) struct Words<T: 'static> {
    /// All there are.
    pub all: &'static [T],
    pub name: fn(T) -> &'static str,
    /// How many at least.
    pub least: usize,
    pub default: &'static [T],
    /// What they are, in the plural.
    pub what: &'static str,
    /// What is said of one that is named again; `{}` stands for it.
    pub again: &'static str,
}

impl<T: Copy + PartialEq> Kind for Words<T> {
    type Value = Vec<T>;
    fn absent(&self) -> Vec<T> {
        self.default.to_vec()
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Vec<T> {
        let bounds = Bounds::new(self.least, self.all.len());
        let Some(items) = reader.list(section, key, bounds, self.what, Show::Open) else {
            return self.absent();
        };
        let mut some = Vec::new();
        for (path, item) in items {
            match self.all.iter().copied().find(|one| item.as_str() == Some((self.name)(*one))) {
                None => reader.must(&path, &alternatives(&self.names(self.all)), item, Show::Open),
                Some(one) if some.contains(&one) => {
                    reader.fault(&path, self.again.replace("{}", &quoted((self.name)(one))));
                }
                Some(one) => some.push(one),
            }
        }
        some
    }
    fn form(&self) -> Form {
        Form::Words { words: self.names(self.all), least: self.least }
    }
    fn default(&self) -> Option<Value> {
        Some(self.names(self.default).into())
    }
}

impl<T: Copy> Words<T> {
    fn names(&self, of: &[T]) -> Vec<&'static str> {
        of.iter().map(|one| (self.name)(*one)).collect()
    }
}

/// A text, and what it says. `parse` says what it must be where it is not.
pub(crate) struct Text<T> {
    pattern: Pattern,
    show: Show,
    parse: fn(&str) -> Result<T, String>,
}

pub(crate) const fn text<T>(pattern: Pattern, show: Show, parse: fn(&str) -> Result<T, String>) -> Text<T> {
    Text { pattern, show, parse }
}

/// A path in the file system.
pub(crate) const fn file(show: Show) -> Text<PathBuf> {
    text(Pattern::Path, show, |text| path(text, bounds::LONGEST_PATH))
}

pub(crate) fn path(text: &str, longest: usize) -> Result<PathBuf, String> {
    if !text.starts_with('/') || text.contains('\0') {
        return Err("an absolute path".to_owned());
    }
    if text.len() > longest {
        return Err(format!("a path of at most {longest} bytes"));
    }
    Ok(PathBuf::from(text))
}

impl<T> Text<T> {
    /// What holds where it is absent. A `written` default must parse.
    pub const fn or(self, absent: fn() -> T, written: Option<&'static str>) -> TextOr<T> {
        TextOr { text: self, absent, written, required: None }
    }
}

impl<T: Default> Text<T> {
    /// It must be there; `why` is said where it is not.
    pub const fn required(self, why: &'static str) -> TextOr<T> {
        TextOr { text: self, absent: T::default, written: None, required: Some(why) }
    }
}

impl<T> Kind for Text<T> {
    type Value = Option<T>;
    fn absent(&self) -> Option<T> {
        None
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Option<T> {
        let mut parsed = None;
        reader.text(section, key, self.show, |text| {
            parsed = Some((self.parse)(text)?);
            Ok(())
        });
        parsed
    }
    fn form(&self) -> Form {
        Form::Text(self.pattern)
    }
}

/// A text that something stands in for.
pub(crate) struct TextOr<T> {
    text: Text<T>,
    absent: fn() -> T,
    written: Option<&'static str>,
    required: Option<&'static str>,
}

impl<T> Kind for TextOr<T> {
    type Value = T;
    fn absent(&self) -> T {
        (self.absent)()
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> T {
        if let Some(why) = self.required.filter(|_| !section.has(key)) {
            reader.missing(&section.path(key), why);
        }
        self.text.read(reader, section, key).unwrap_or_else(|| self.absent())
    }
    fn form(&self) -> Form {
        self.text.form()
    }
    fn default(&self) -> Option<Value> {
        self.written.map(Into::into)
    }
}

/// A command, one word each. The words may hold secrets (`curl` to a power socket), so they are not repeated.
pub(crate) struct Command(pub &'static [&'static str]);

impl Kind for Command {
    type Value = Vec<String>;
    fn absent(&self) -> Vec<String> {
        self.0.iter().map(|word| (*word).to_owned()).collect()
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> Vec<String> {
        let what = "words, like [\"/sbin/udhcpc\", \"-i\", \"eth1\"]";
        let Some(words) = reader.list(section, key, Bounds::new(0, bounds::WORDS), what, Show::Secret) else {
            return self.absent();
        };
        let mut command = Vec::new();
        for (place, (path, word)) in words.iter().enumerate() {
            match word.as_str() {
                Some("") if place == 0 => {
                    reader.fault(path, "must be the name or path of a program, is empty")
                }
                Some(text) if text.contains('\0') || text.len() > bounds::LONGEST_WORD => {
                    reader.fault(path, format!("must be at most {} bytes without NUL", bounds::LONGEST_WORD));
                }
                Some(text) => command.push(text.to_owned()),
                None => reader.must(path, "text", word, Show::Secret),
            }
        }
        command
    }
    fn form(&self) -> Form {
        Form::Command
    }
    fn default(&self) -> Option<Value> {
        if self.0.is_empty() { None } else { Some(self.0.to_vec().into()) }
    }
}

/// A table inside a section.
pub(crate) struct Table<T>(PhantomData<T>);

pub(crate) const fn table<T>() -> Table<T> {
    Table(PhantomData)
}

impl<T: Declared> Kind for Table<T> {
    type Value = T;
    fn absent(&self) -> T {
        T::absent()
    }
    fn read(&self, reader: &mut Reader<'_>, section: &Section<'_>, key: &str) -> T {
        let inner = reader.section(section, key);
        let values = T::read(reader, &inner);
        reader.unknown(&inner, T::KEYS);
        values
    }
    fn form(&self) -> Form {
        Form::Table(T::entries())
    }
    fn notes(&self) -> Vec<Note> {
        T::notes()
    }
}

/// The row of a key in a table whose keys are not declared one by one.
pub(crate) fn row(key: &'static str, form: Form, default: Value, title: &'static str) -> Entry {
    let right = super::options::Right::Remote;
    Entry { key, form, default: Some(default), right, title, help: "" }
}

/// So many bytes, written as twice as many hexadecimal digits.
pub fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(pair[0])? * 16 + digit(pair[1])?;
    }
    Some(bytes)
}
