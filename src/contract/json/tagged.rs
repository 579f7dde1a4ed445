//! Enums whose variant is named by an entry beside its content (internally tagged).

use super::error::Error;
use super::tree::{Variant, type_error};
use serde::de::{self, Deserializer, Visitor};
use serde_json::Value;

/// Defines an enum whose variant is named, in snake case, by an entry beside its content. It is written with serde's own
/// `tag` and read with [`Tagged`].
#[macro_export]
macro_rules! tagged {
    ($(#[$meta:meta])* pub enum $name:ident = $remote:literal by $tag:literal { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(serde::Serialize)]
        #[serde(tag = $tag, rename_all = "snake_case")]
        pub enum $name { $($body)* }

        const _: () = {
            // A copy of the enum from which serde generates the reader. It has no values.
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
/// serde's own `tag` would copy everything into a tree of its own and read that with another deserializer.
#[derive(Debug, Clone, Copy)]
pub struct Tagged<'de> {
    /// The key of the entry.
    pub tag: &'static str,
    /// The object.
    pub tree: &'de Value,
}

impl<'de> Deserializer<'de> for Tagged<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Object(map) = self.tree else { return Err(type_error(Some(self.tree), &visitor)) };
        match map.get(self.tag) {
            Some(Value::String(name)) => {
                visitor.visit_enum(Variant { name, content: Some(self.tree), tag: self.tag })
            }
            Some(other) => Err(type_error(Some(other), &"a name").inside(self.tag)),
            None => Err(de::Error::missing_field(self.tag)),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
