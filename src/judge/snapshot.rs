//! The snapshot as a tree of which each concern writes, and reads, the parts that are its own.

use linekeeper_contract::json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The parts of a snapshot in the making.
#[derive(Debug, Default)]
pub struct Parts {
    parts: Map<String, Value>,
    fault: Option<String>,
}

impl Parts {
    /// Puts a part in.
    pub fn put<T: Serialize + ?Sized>(&mut self, name: &str, part: &T) {
        self.insert(name, json::to_tree(part));
    }

    /// Apart from [`Parts::put`]: it does not depend on the type, so it is compiled once.
    #[inline(never)]
    fn insert(&mut self, name: &str, written: Result<Value, String>) {
        match written {
            Ok(tree) => {
                self.parts.insert(name.to_owned(), tree);
            }
            Err(e) => self.fault = Some(e),
        }
    }

    /// Puts a part in that is a tree already.
    pub fn put_tree(&mut self, name: &str, part: Value) {
        self.parts.insert(name.to_owned(), part);
    }

    /// All of them.
    ///
    /// # Errors
    /// In words, should a part not be writable as JSON.
    pub fn whole(self) -> Result<Value, String> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(Value::Object(self.parts)),
        }
    }
}

/// The parts of a snapshot that was read.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a>(&'a Map<String, Value>);

impl<'a> Kept<'a> {
    /// Those of a tree; `None`: it has none.
    pub fn of(tree: &'a Value) -> Option<Kept<'a>> {
        tree.as_object().map(Kept)
    }

    /// A part that every snapshot has.
    ///
    /// # Errors
    /// In words, where it is missing or not readable.
    pub fn need<T: DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        json::from_tree(self.tree(name)?).map_err(|e| unreadable(name, e))
    }

    /// A part that has parts itself.
    ///
    /// # Errors
    /// In words, where it is missing or has none.
    pub fn part(&self, name: &str) -> Result<Kept<'a>, String> {
        self.tree(name).and_then(|tree| Kept::of(tree).ok_or_else(|| missing(name)))
    }

    #[inline(never)]
    fn tree(&self, name: &str) -> Result<&'a Value, String> {
        self.0.get(name).ok_or_else(|| missing(name))
    }

    /// A part that snapshots of older versions do not have.
    ///
    /// # Errors
    /// In words, where it is not readable.
    pub fn get<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, String> {
        match self.0.get(name) {
            Some(_) => self.need(name),
            None => Ok(T::default()),
        }
    }
}

fn missing(name: &str) -> String {
    format!("missing field `{name}`")
}

#[inline(never)]
fn unreadable(name: &str, fault: json::Error) -> String {
    format!("{name}: {fault}")
}
