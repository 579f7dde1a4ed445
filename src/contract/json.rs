//! JSON, with one way in and one way out.
//!
//! A router's flash is small, and every way of reading or writing a type is code of its own for each of its parts. So all that
//! is read goes through a tree ([`Value`]) and one reader of it, and all that is written through serde_json's writer of
//! bytes; each is made once for each type. Unlike serde_json's own reader of a tree, ours takes objects for structures and
//! nothing else, passes over entries that it does not know (`deny_unknown_fields` has no effect), and says where in the tree
//! it found a fault.

use serde::Serialize;
use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde_json::Value;
use std::fmt;

/// Why something cannot be read. (In a box: every part of every type hands it on.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    /// Line and column in the text, from 1, as far as there is one.
    place: Option<(usize, usize)>,
    /// Keys and numbers on the way there in the tree, the innermost first.
    path: Vec<String>,
    words: String,
}

impl Fault {
    #[cold]
    fn new(place: Option<(usize, usize)>, words: String) -> Fault {
        Fault(Box::new(Inner { place, path: Vec::new(), words }))
    }

    /// The same, seen from one step further up.
    #[cold]
    #[inline(never)]
    fn under(mut self, key: &str) -> Fault {
        self.0.path.push(key.to_owned());
        self
    }

    /// The same with its place in `text`, of which the tree was made.
    #[cold]
    fn placed(mut self, text: &[u8]) -> Fault {
        let mut at = space(text, 0);
        for step in self.0.path.iter().rev() {
            match entered(text, at, step) {
                Some(inside) => at = inside,
                None => break,
            }
        }
        let before = text.get(..at).unwrap_or(text);
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
        self.0.place = Some((line, column));
        self
    }

    /// The column, from 1, in a line of text; where a whole object or list is meant, that of its beginning.
    pub fn column(&self) -> usize {
        self.0.place.map_or(1, |(_, column)| column)
    }

    /// Without line and column, for who says them otherwise: what is wrong, and where in the tree, as
    /// `time.wall` or `samples.3`.
    pub fn bare(&self) -> String {
        let mut words = String::new();
        for step in self.0.path.iter().rev() {
            words.push_str(step);
            words.push('.');
        }
        if words.pop().is_some() {
            words.push_str(": ");
        }
        words + &self.0.words
    }
}

/// The first byte from `at` on that is no white space.
fn space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// Where the value ends that begins at `at`. The text is known to be JSON.
fn end(text: &[u8], at: usize) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (n, byte) in text.iter().enumerate().skip(at) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if quoted && depth == 0 => return n + 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return n + 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' | b':' if depth == 0 => return n,
            _ => {}
        }
    }
    text.len()
}

/// Where in the object or list that begins at `at` the value of this key or number begins.
fn entered(text: &[u8], at: usize, step: &str) -> Option<usize> {
    let list = *text.get(at)? == b'[';
    let key = format!("\"{step}\"");
    let mut at = space(text, at + 1);
    let mut number = 0usize;
    loop {
        let mut found = list && number.to_string() == step;
        if !list {
            let after = end(text, at);
            found = text.get(at..after)? == key.as_bytes();
            at = space(text, space(text, after) + 1);
        }
        if found {
            return Some(at);
        }
        at = space(text, end(text, at));
        if *text.get(at)? != b',' {
            return None;
        }
        at = space(text, at + 1);
        number += 1;
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bare())?;
        match self.0.place {
            Some((line, column)) => write!(f, " at line {line} column {column}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    #[cold]
    #[inline(never)]
    fn custom<T: fmt::Display>(words: T) -> Fault {
        Fault::new(None, words.to_string())
    }
}

/// Reads a text.
///
/// # Errors
/// It is not UTF-8, no JSON, or not what is expected.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Fault> {
    parse(text).and_then(|tree| from_tree(&tree).map_err(|fault: Fault| fault.placed(text)))
}

/// The tree of a text.
///
/// # Errors
/// It is not UTF-8 or no JSON: with its place.
pub fn parse(text: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(text).map_err(|e| {
        let words = e.to_string();
        // serde_json appends the place; it is kept apart.
        let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words).to_owned();
        Fault::new(Some((e.line(), e.column())), words)
    })
}

/// Reads a tree.
///
/// # Errors
/// It is not what is expected: with its path.
pub fn from_tree<T: DeserializeOwned>(tree: &Value) -> Result<T, Fault> {
    T::deserialize(Tree(Some(tree)))
}

/// Writes in the shortest form, without an end of line.
///
/// # Errors
/// In words, where a type says that it cannot be written, or has keys that are no texts. None of ours does.
pub fn write<T: Serialize + ?Sized>(what: &T) -> Result<String, String> {
    let mut text = Vec::with_capacity(256);
    write_to(&mut text, what)?;
    String::from_utf8(text).map_err(|e| e.to_string())
}

/// The same, behind what `text` holds already.
///
/// # Errors
/// As [`write`].
pub fn write_to<T: Serialize + ?Sized>(text: &mut Vec<u8>, what: &T) -> Result<(), String> {
    what.serialize(&mut serde_json::Serializer::new(text)).map_err(|e| e.to_string())
}

/// The tree of what [`write`] writes.
///
/// # Errors
/// As [`write`].
pub fn to_tree<T: Serialize + ?Sized>(what: &T) -> Result<Value, String> {
    let mut text = Vec::with_capacity(256);
    write_to(&mut text, what)?;
    parse(&text).map_err(|e| e.to_string())
}

#[cold]
#[inline(never)]
fn wrong(value: Option<&Value>, expected: &dyn Expected) -> Fault {
    let found = match value {
        None => return de::Error::custom(format_args!("is missing, expected {expected}")),
        Some(Value::Null) => Unexpected::Unit,
        Some(Value::Bool(b)) => Unexpected::Bool(*b),
        Some(Value::Number(n)) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
            (Some(n), ..) => Unexpected::Unsigned(n),
            (_, Some(n), _) => Unexpected::Signed(n),
            (.., n) => Unexpected::Float(n.unwrap_or_default()),
        },
        Some(Value::String(s)) => Unexpected::Str(s),
        Some(Value::Array(_)) => Unexpected::Seq,
        Some(Value::Object(_)) => Unexpected::Map,
    };
    de::Error::invalid_type(found, expected)
}

/// The one reader: see the module. Nothing in it: an entry that is not there, which an `Option` may be.
#[derive(Debug, Clone, Copy)]
struct Tree<'de>(Option<&'de Value>);

impl<'de> Tree<'de> {
    fn number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Some(Value::Number(n)) = self.0 {
            if let Some(n) = n.as_u64() {
                return visitor.visit_u64(n);
            }
            if let Some(n) = n.as_i64() {
                return visitor.visit_i64(n);
            }
            if let Some(n) = n.as_f64() {
                return visitor.visit_f64(n);
            }
        }
        Err(wrong(self.0, &visitor))
    }

    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Some(Value::String(text)) => visitor.visit_borrowed_str(text),
            other => Err(wrong(other, &visitor)),
        }
    }

    fn list<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Some(Value::Array(list)) = self.0 else { return Err(wrong(self.0, &visitor)) };
        let mut items = Items { rest: list.iter(), at: 0 };
        let read = visitor.visit_seq(&mut items)?;
        match items.rest.len() {
            0 => Ok(read),
            _ => Err(de::Error::invalid_length(list.len(), &"fewer elements in array")),
        }
    }

    fn map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Some(Value::Object(map)) => visitor.visit_map(Entries { rest: map.iter(), value: None }),
            other => Err(wrong(other, &visitor)),
        }
    }

    /// A structure: serde reads one from a list of its fields in their order with half of the code that it takes to read it
    /// from entries in any order, so it is given that list.
    fn structure<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Some(Value::Object(map)) = self.0 else { return Err(wrong(self.0, &visitor)) };
        let mut fields = Fields { map, names: names.iter(), missing: None };
        let mut read = visitor.visit_seq(&mut fields);
        if let Err(fault) = &mut read {
            fields.explain(fault);
        }
        read
    }
}

macro_rules! by {
    ($kind:ident: $($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> { self.$kind(visitor) })*
    };
}

impl<'de> Deserializer<'de> for Tree<'de> {
    type Error = Fault;

    by!(number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64);
    by!(text: deserialize_char deserialize_str deserialize_string deserialize_identifier);
    by!(list: deserialize_seq deserialize_bytes deserialize_byte_buf);
    by!(map: deserialize_map);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            None => Err(wrong(None, &visitor)),
            Some(Value::Null) => visitor.visit_unit(),
            Some(Value::Bool(b)) => visitor.visit_bool(*b),
            Some(Value::Number(_)) => self.number(visitor),
            Some(Value::String(_)) => self.text(visitor),
            Some(Value::Array(_)) => self.list(visitor),
            Some(Value::Object(_)) => self.map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Some(Value::Bool(b)) => visitor.visit_bool(*b),
            other => Err(wrong(other, &visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Some(Value::Null) => visitor.visit_unit(),
            other => Err(wrong(other, &visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.structure(names, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Some(Value::String(name)) => visitor.visit_enum(Variant { name, content: None, tag: "" }),
            Some(Value::Object(map)) if map.len() == 1 => match map.iter().next() {
                Some((name, content)) => visitor
                    .visit_enum(Variant { name, content: Some(content), tag: "" })
                    .map_err(|e| e.under(name)),
                None => Err(wrong(self.0, &visitor)),
            },
            other => Err(wrong(other, &"a name, or an object with one entry")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}

/// Makes an enum whose variant is named, in snake case, by an entry beside its content: it is written by serde's own `tag`,
/// and read by [`Tagged`].
#[macro_export]
macro_rules! tagged {
    ($(#[$meta:meta])* pub enum $name:ident = $remote:literal by $tag:literal { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(serde::Serialize)]
        #[serde(tag = $tag, rename_all = "snake_case")]
        pub enum $name { $($body)* }

        const _: () = {
            // The same once more, for serde to make a reader of: of it there are no values.
            #[allow(dead_code)]
            #[derive(serde::Deserialize)]
            #[serde(remote = $remote, rename_all = "snake_case")]
            enum Mirror { $($body)* }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                    let tree = <serde_json::Value as serde::Deserialize>::deserialize(from)?;
                    Mirror::deserialize($crate::json::Tagged { tag: $tag, tree: &tree })
                        .map_err(<D::Error as serde::de::Error>::custom)
                }
            }
        };
    };
}
pub use tagged;

/// Reads an enum whose variant is named by an entry beside its content: `{"saw":"echo_lost","probe":7}`.
///
/// serde's own `tag` copies into a tree of its own and reads that by another reader.
#[derive(Debug, Clone, Copy)]
pub struct Tagged<'de> {
    /// The entry's key.
    pub tag: &'static str,
    /// The object.
    pub tree: &'de Value,
}

impl<'de> Deserializer<'de> for Tagged<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Value::Object(map) = self.tree else { return Err(wrong(Some(self.tree), &visitor)) };
        match map.get(self.tag) {
            Some(Value::String(name)) => {
                visitor.visit_enum(Variant { name, content: Some(self.tree), tag: self.tag })
            }
            Some(other) => Err(wrong(Some(other), &"a name").under(self.tag)),
            None => Err(de::Error::missing_field(self.tag)),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The variant of an enum; with a tag, its content stands in the object that holds the tag.
struct Variant<'de> {
    name: &'de str,
    content: Option<&'de Value>,
    /// Empty for none.
    tag: &'static str,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Variant<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Variant<'de>), Fault> {
        match seed.deserialize(Key(self.name)) {
            Ok(found) => Ok((found, self)),
            Err(fault) if self.tag.is_empty() => Err(fault),
            Err(fault) => Err(fault.under(self.tag)),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            Some(content) if self.tag.is_empty() => <()>::deserialize(Tree(Some(content))),
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(Tree(self.content))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        Tree(self.content).list(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        Tree(self.content).structure(names, visitor)
    }
}

/// The items of a list.
struct Items<'de> {
    rest: std::slice::Iter<'de, Value>,
    at: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        self.at += 1;
        match seed.deserialize(Tree(Some(value))) {
            Ok(read) => Ok(Some(read)),
            Err(fault) => Err(fault.under(&(self.at - 1).to_string())),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The fields of a structure, in its order.
struct Fields<'de> {
    map: &'de serde_json::Map<String, Value>,
    names: std::slice::Iter<'static, &'static str>,
    /// The last one, if it is not there and may not be.
    missing: Option<&'static str>,
}

impl<'de> Fields<'de> {
    #[inline(never)]
    fn next(&mut self) -> Option<(&'static str, Option<&'de Value>)> {
        self.missing = None;
        let name = *self.names.next()?;
        Some((name, self.map.get(name)))
    }

    /// serde has counted the fields before one that is missing.
    #[cold]
    #[inline(never)]
    fn explain(&self, fault: &mut Fault) {
        if let Some(name) = self.missing {
            *fault = de::Error::missing_field(name);
        }
    }
}

impl<'de> SeqAccess<'de> for Fields<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some((name, value)) = self.next() else { return Ok(None) };
        match seed.deserialize(Tree(value)) {
            Ok(read) => Ok(Some(read)),
            // To serde the list ends here, and it takes the default where there is one.
            Err(_) if value.is_none() => {
                self.missing = Some(name);
                Ok(None)
            }
            Err(fault) => Err(fault.under(name)),
        }
    }
}

/// The entries of an object with any keys.
struct Entries<'de> {
    rest: serde_json::map::Iter<'de>,
    value: Option<(&'de String, &'de Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.value = self.rest.next();
        match self.value {
            Some((key, _)) => seed.deserialize(Key(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        match self.value.take() {
            Some((key, value)) => seed.deserialize(Tree(Some(value))).map_err(|fault| fault.under(key)),
            None => Err(de::Error::custom("a value without a key")),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// A key of an object, or the name of a variant.
struct Key<'de>(&'de str);

impl<'de> Key<'de> {
    fn number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Ok(n) = self.0.parse::<u64>() {
            return visitor.visit_u64(n);
        }
        match self.0.parse::<i64>() {
            Ok(n) => visitor.visit_i64(n),
            Err(_) => Err(de::Error::invalid_type(Unexpected::Str(self.0), &visitor)),
        }
    }
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Fault;

    by!(number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(Variant { name: self.0, content: None, tag: "" })
    }

    serde::forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Mono;
    use linekeeper_judge::observation::{Entry, Observation};
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

    fn part(text: &str) -> Result<Part, String> {
        read(text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_written_is_read_again() {
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
    fn an_object_may_lack_what_may_be_absent_and_have_what_is_not_known_in_any_order() {
        let spare = Part { n: 7, may_be: None, list: Vec::new(), by_number: BTreeMap::new() };
        assert_eq!(part(r#"{"later":[{}],"by_number":{},"n":7}"#), Ok(spare));
    }

    #[test]
    fn a_fault_says_where_and_what() {
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
            let told = part(text).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
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
    fn a_tag_names_the_variant_and_stands_anywhere() {
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
            let told = read::<Entry>(text.as_bytes()).unwrap_err().to_string();
            assert!(told.starts_with("observation: ") && told.contains(words), "{text}: {told}");
        }
        // Other readers read it too.
        assert_eq!(serde_json::from_str::<Entry>(lost).unwrap(), entry);
    }
}
