//! Every key with the value in force and where it comes from.

use serde::Serialize;

use super::MANUAL;
use super::finding::Findings;
use super::known;
use super::read;
use super::read::Origin;
use super::read::Reading;
use super::said::Said;
use super::source;
use super::source::Source;

/// A key with its value in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EffectiveValue {
    /// Dotted.
    pub key: String,
    /// As TOML; `None` when nothing is set and there is no default.
    pub value: Option<String>,
    /// `default`, `file:LINE`, `env NAME` or `flag`.
    pub origin: String,
}

/// All keys in the order of the sections.
pub(super) fn values(reading: &Reading<'_>, source: &Source) -> Vec<EffectiveValue> {
    let manual = Source::of("config/forebay.toml".to_owned(), MANUAL);
    let defaults = read::document(&manual, &mut Findings::default());
    let default = |key: &str| match &defaults.given.get(key)?.origin {
        Origin::File(_, value) => Some(manual.slice(value.clone()).to_owned()),
        Origin::Variable(_) | Origin::Flag(_) => None,
    };
    known::keys_of::<Said>()
        .into_iter()
        .map(|key| {
            let given = reading.given.get(&key);
            let (value, origin) = match given.map(|given| &given.origin) {
                None => (default(&key), "default".to_owned()),
                Some(Origin::File(at, value)) => {
                    let place = source.place(at.clone());
                    let text = source.slice(value.clone()).to_owned();
                    (Some(text), format!("{}:{}", place.file, place.line))
                }
                Some(Origin::Variable(name)) => (written(reading, &key), format!("env {name}")),
                Some(Origin::Flag(flag)) => (written(reading, &key), format!("flag {flag}")),
            };
            let value = value.map(|value| source::shown(&key, value));
            EffectiveValue { key, value, origin }
        })
        .collect()
}

/// An overriding value as TOML.
fn written(reading: &Reading<'_>, key: &str) -> Option<String> {
    use serde::Deserialize;
    let given = reading.given.get(key)?;
    let value = toml::de::ValueDeserializer::from(given.value.clone());
    toml::Value::deserialize(value).ok().map(|value| value.to_string())
}
