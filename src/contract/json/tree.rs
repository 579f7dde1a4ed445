//! The deserializer for trees.

use super::error::Error;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde_json::Value;

#[cold]
#[inline(never)]
pub(super) fn type_error(value: Option<&Value>, expected: &dyn Expected) -> Error {
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

/// The deserializer of one value. `None` stands for an absent entry, which an `Option` accepts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'de>(pub(super) Option<&'de Value>);

impl<'de> Tree<'de> {
    fn number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
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
        Err(type_error(self.0, &visitor))
    }

    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Some(Value::String(text)) => visitor.visit_borrowed_str(text),
            other => Err(type_error(other, &visitor)),
        }
    }

    fn list<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Some(Value::Array(list)) = self.0 else { return Err(type_error(self.0, &visitor)) };
        let mut items = Items { rest: list.iter(), at: 0 };
        let read = visitor.visit_seq(&mut items)?;
        match items.rest.len() {
            0 => Ok(read),
            _ => Err(de::Error::invalid_length(list.len(), &"fewer elements in array")),
        }
    }

    fn map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Some(Value::Object(map)) => visitor.visit_map(Entries { rest: map.iter(), value: None }),
            other => Err(type_error(other, &visitor)),
        }
    }

    /// Reads a structure. serde's code for a list of fields in order is half the size of its code for entries in any order,
    /// so the fields are passed as a list.
    fn structure<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some(Value::Object(map)) = self.0 else { return Err(type_error(self.0, &visitor)) };
        let mut fields = Fields { map, names: names.iter(), missing: None };
        let mut read = visitor.visit_seq(&mut fields);
        if let Err(error) = &mut read {
            fields.explain(error);
        }
        read
    }
}

macro_rules! delegate {
    ($kind:ident: $($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> { self.$kind(visitor) })*
    };
}

impl<'de> Deserializer<'de> for Tree<'de> {
    type Error = Error;

    delegate!(number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64);
    delegate!(text: deserialize_char deserialize_str deserialize_string deserialize_identifier);
    delegate!(list: deserialize_seq deserialize_bytes deserialize_byte_buf);
    delegate!(map: deserialize_map);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            // serde asks this way for the content of a variant that has none, named beside its tag (`tag` and `content`): the
            // visitor's value is then `()`. A `Value` is asked for in the same way, and an absent one is an error.
            None if size_of::<V::Value>() == 0 => visitor.visit_unit(),
            None => Err(type_error(None, &visitor)),
            Some(Value::Null) => visitor.visit_unit(),
            Some(Value::Bool(b)) => visitor.visit_bool(*b),
            Some(Value::Number(_)) => self.number(visitor),
            Some(Value::String(_)) => self.text(visitor),
            Some(Value::Array(_)) => self.list(visitor),
            Some(Value::Object(_)) => self.map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Some(Value::Bool(b)) => visitor.visit_bool(*b),
            other => Err(type_error(other, &visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Some(Value::Null) => visitor.visit_unit(),
            other => Err(type_error(other, &visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.structure(names, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Some(Value::String(name)) => visitor.visit_enum(Variant { name, content: None, tag: "" }),
            Some(Value::Object(map)) if map.len() == 1 => match map.iter().next() {
                Some((name, content)) => visitor
                    .visit_enum(Variant { name, content: Some(content), tag: "" })
                    .map_err(|e| e.inside(name)),
                None => Err(type_error(self.0, &visitor)),
            },
            other => Err(type_error(other, &"a name, or an object with one entry")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// The variant of an enum. With a tag, the content is the object that contains the tag.
pub(super) struct Variant<'de> {
    pub(super) name: &'de str,
    pub(super) content: Option<&'de Value>,
    /// Empty if there is none.
    pub(super) tag: &'static str,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Variant<'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Variant<'de>), Error> {
        match seed.deserialize(Key(self.name)) {
            Ok(found) => Ok((found, self)),
            Err(error) if self.tag.is_empty() => Err(error),
            Err(error) => Err(error.inside(self.tag)),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            Some(content) if self.tag.is_empty() => <()>::deserialize(Tree(Some(content))),
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(Tree(self.content))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        Tree(self.content).list(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        Tree(self.content).structure(names, visitor)
    }
}

/// The items of a list.
struct Items<'de> {
    rest: std::slice::Iter<'de, Value>,
    at: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        self.at += 1;
        match seed.deserialize(Tree(Some(value))) {
            Ok(read) => Ok(Some(read)),
            Err(error) => Err(error.inside_item(self.at - 1)),
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
    /// The last field read, if it is absent and required.
    missing: Option<&'static str>,
}

impl<'de> Fields<'de> {
    #[inline(never)]
    fn next(&mut self) -> Option<(&'static str, Option<&'de Value>)> {
        self.missing = None;
        let name = *self.names.next()?;
        Some((name, self.map.get(name)))
    }

    /// Replaces serde's error, which only counts the fields before the missing one.
    #[cold]
    #[inline(never)]
    fn explain(&self, error: &mut Error) {
        if let Some(name) = self.missing {
            *error = de::Error::missing_field(name);
        }
    }
}

impl<'de> SeqAccess<'de> for Fields<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some((name, value)) = self.next() else { return Ok(None) };
        match seed.deserialize(Tree(value)) {
            Ok(read) => Ok(Some(read)),
            // The list ends here for serde, which then uses the default if there is one.
            Err(_) if value.is_none() => {
                self.missing = Some(name);
                Ok(None)
            }
            Err(error) => Err(error.inside(name)),
        }
    }
}

/// The entries of an object with any keys.
struct Entries<'de> {
    rest: serde_json::map::Iter<'de>,
    value: Option<(&'de String, &'de Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.value = self.rest.next();
        match self.value {
            Some((key, _)) => seed.deserialize(Key(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        match self.value.take() {
            Some((key, value)) => seed.deserialize(Tree(Some(value))).map_err(|error| error.inside(key)),
            None => Err(de::Error::custom("a value without a key")),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The key of an object or the name of a variant.
struct Key<'de>(&'de str);

impl<'de> Key<'de> {
    fn number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
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
    type Error = Error;

    delegate!(number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(Variant { name: self.0, content: None, tag: "" })
    }

    serde::forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}
