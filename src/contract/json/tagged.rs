//! Enums whose variant is named by an entry beside its content.

use super::fault::Fault;
use super::tree::{Variant, wrong};
use serde::de::{self, Deserializer, Visitor};
use serde_json::Value;

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
