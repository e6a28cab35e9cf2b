//! Sections that the design names and this version does not have: refused by name, never ignored.

/// What lies below them is not built either.
const SECTIONS: [&str; 3] = ["shop", "intercept", "consumer"];

/// Why a key is refused; `None` when this version may have it.
pub(super) fn key(path: &str) -> Option<String> {
    let below = |section: &&&str| path == **section || path.starts_with(&format!("{section}."));
    let _ = SECTIONS.iter().find(below)?;
    Some(format!("`{path}` is not built yet: leave it out"))
}
