//! Keys and values that the design names and this version does not have: refused by name, never ignored.

use toml::de::DeValue;

/// Sections and keys; what lies below them is not built either.
const KEYS: [&str; 5] = ["shop", "intercept", "consumer", "store.http", "drain.floor"];

/// Keys that may only have their default until what they set is built: any other value would be ignored.
const ONLY: [(&str, &[&str]); 2] =
    [("drain.adaptive", &["false"]), ("store.kind", &["simulated", "mysql"])];

/// Other values that the design names for a key; what it does not name is a mistake and left to the key's type.
const NAMED: [(&str, &[&str]); 1] = [("store.kind", &["http"])];

/// Why a key is refused; `None` when this version may have it.
pub(super) fn key(path: &str) -> Option<String> {
    let below = |key: &&&str| path == **key || path.starts_with(&format!("{key}."));
    let _ = KEYS.iter().find(below)?;
    Some(format!("`{path}` is not built yet: leave it out"))
}

/// Why a value of a key is refused; `None` when its type decides.
pub(super) fn value(path: &str, value: &DeValue<'_>) -> Option<String> {
    let (_, built) = ONLY.iter().find(|(key, _)| *key == path)?;
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        _ => return None,
    };
    let named = NAMED.iter().find(|(key, _)| *key == path);
    if built.contains(&text.as_str()) || named.is_some_and(|(_, n)| !n.contains(&text.as_str())) {
        return None;
    }
    let only = built.join(" or ");
    Some(format!("`{path}` is not built yet: only {only} is, {text} would have no effect"))
}
