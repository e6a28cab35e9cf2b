//! Keys and values that the design names and this version does not have: refused by name, never ignored.

use toml::de::DeValue;

/// Sections and keys; what lies below them is not built either.
const KEYS: [&str; 5] = ["shop", "intercept", "consumer", "ledger.redis", "store.mysql"];

/// Values of keys that exist.
const VALUES: [(&str, &[&str]); 3] = [
    ("identity.mode", &["jwt", "forward"]),
    ("ledger.engine", &["redis"]),
    ("store.kind", &["mysql", "http"]),
];

/// Why a key is refused; `None` when this version may have it.
pub(super) fn key(path: &str) -> Option<String> {
    let below = |key: &&&str| path == **key || path.starts_with(&format!("{key}."));
    let _ = KEYS.iter().find(below)?;
    Some(format!("`{path}` is not built yet: leave it out"))
}

/// Why a value of a key is refused; `None` when its type decides.
pub(super) fn value(path: &str, value: &DeValue<'_>) -> Option<String> {
    let (_, values) = VALUES.iter().find(|(key, _)| *key == path)?;
    let text = value.as_str().filter(|text| values.contains(text))?;
    Some(format!("`{path} = \"{text}\"` is not built yet"))
}
