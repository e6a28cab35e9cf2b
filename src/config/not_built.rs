//! Keys and values that the design names and this version does not have: refused by name, never ignored.

use toml::de::DeValue;

/// Sections and keys; what lies below them is not built either.
const KEYS: [&str; 4] = ["shop", "intercept", "consumer", "drain.floor"];

/// Keys that may only have their default until what they set is built: any other value would be ignored.
const ONLY: [(&str, &str); 1] = [("drain.adaptive", "false")];

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
    (text != *built)
        .then(|| format!("`{path}` is not built yet: only {built} is, {text} would have no effect"))
}
