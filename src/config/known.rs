//! Which keys there are: read off the settings' own types, so that no list can differ from them.

use std::cell::Cell;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde::de::value::StrDeserializer;
use serde::forward_to_deserialize_any;

/// The dotted paths of every key that `T` reads, sections resolved, in the order of the fields.
pub(super) fn keys_of<T: DeserializeOwned>() -> Vec<String> {
    let mut keys = Vec::new();
    collect::<T>(&mut Vec::new(), &mut keys);
    keys
}

fn collect<T: DeserializeOwned>(path: &mut Vec<&'static str>, keys: &mut Vec<String>) {
    match fields_at::<T>(path) {
        Some(fields) => {
            for field in fields {
                path.push(field);
                collect::<T>(path, keys);
                path.pop();
            }
        }
        None => keys.push(path.join(".")),
    }
}

/// The fields of the struct at a path below `T`; `None` when a plain value is read there.
fn fields_at<T: DeserializeOwned>(path: &[&'static str]) -> Option<&'static [&'static str]> {
    let found = Cell::new(None);
    // The walk always ends in `Seen`: what it wanted to know is in `found`.
    let _ = T::deserialize(Walk { path, found: &found });
    found.get()
}

/// Ends every walk.
#[derive(Debug)]
struct Seen;

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the walk ends here")
    }
}

impl std::error::Error for Seen {}

impl serde::de::Error for Seen {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self
    }
}

/// Follows a path of fields through a type's `Deserialize` and notes the fields that it asks for at the end.
struct Walk<'a> {
    path: &'a [&'static str],
    found: &'a Cell<Option<&'static [&'static str]>>,
}

impl<'de> Deserializer<'de> for Walk<'_> {
    type Error = Seen;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Seen> {
        Err(Seen)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Seen> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Seen> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Seen> {
        if let Some((key, path)) = self.path.split_first() {
            return visitor.visit_map(One { key: Some(key), walk: Self { path, ..self } });
        }
        self.found.set(Some(fields));
        Err(Seen)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A map with the one key that the walk follows.
struct One<'a> {
    key: Option<&'static str>,
    walk: Walk<'a>,
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = Seen;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Seen> {
        self.key.take().map(|key| seed.deserialize(StrDeserializer::new(key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Seen> {
        seed.deserialize(Walk { path: self.walk.path, found: self.walk.found })
    }
}

/// What somebody may have meant by an unknown key: a key of the same section that is spelt alike, else the
/// same key in another section.
pub(super) fn meant_by(unknown: &str, keys: &[String]) -> Option<String> {
    let (section, name) = split(unknown);
    let names = keys.iter().flat_map(|key| prefixes(key)).filter(|key| split(key).0 == section);
    let near = names
        .map(|key| (strsim::damerau_levenshtein(split(key).1, name), key))
        .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| format!("did you mean `{}`?", split(key).1));
    near.or_else(|| {
        let elsewhere = keys.iter().find(|key| split(key).1 == name)?;
        Some(format!("it belongs in [{}]", split(elsewhere).0))
    })
}

/// A key and the sections that it lies in: `a`, `a.b`, `a.b.c`.
fn prefixes(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('.').map(|(at, _)| &key[..at]).chain(std::iter::once(key))
}

/// Section and name of a dotted key.
pub(super) fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}
