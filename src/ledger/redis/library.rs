//! The function library: its text, and its name, which is a digest of the text. So a running library is never
//! replaced: another version has another name, and both stand side by side while a deployment is rolled over.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// Where the text has its own name.
const NAME: &str = "@LIBRARY@";

/// A library, ready to be loaded.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) name: String,
    pub(super) text: String,
}

impl Library {
    /// The library whose time is read by `time`.
    fn of(time: &str) -> Self {
        let text = [
            include_str!("library/head.lua"),
            time,
            include_str!("library/book.lua"),
            include_str!("library/reserve.lua"),
            include_str!("library/claim.lua"),
            include_str!("library/change.lua"),
            include_str!("library/read.lua"),
            include_str!("library/epoch.lua"),
            include_str!("library/rebuild.lua"),
            include_str!("library/pacer.lua"),
            include_str!("library/registry.lua"),
            include_str!("library/names.lua"),
        ];
        Self::named(&text.concat())
    }

    fn named(text: &str) -> Self {
        let mut name = "forebay_".to_owned();
        for byte in Sha256::digest(text).iter().take(4) {
            let _ = write!(name, "{byte:02x}");
        }
        let text = text.replace(NAME, &name);
        Self { name, text }
    }

    /// This library with `from`, which stands in it once, replaced: a seeded bug, or another version.
    #[cfg(test)]
    pub(super) fn changed(&self, from: &str, to: &str) -> Self {
        assert_eq!(self.text.matches(from).count(), 1, "{from}");
        Self::named(&self.text.replace(&self.name, NAME).replace(from, to))
    }

    /// The function that is registered under this name.
    pub(super) fn function(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }
}

/// The library that is shipped: time is the server's.
pub(super) static SHIPPED: LazyLock<Library> =
    LazyLock::new(|| Library::of(include_str!("library/time.lua")));

/// The library of the tests: the caller gives the time.
#[cfg(test)]
pub(super) static TIMED: LazyLock<Library> =
    LazyLock::new(|| Library::of(include_str!("library/time_of_tests.lua")));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_text_takes_no_time_from_its_caller() {
        assert!(SHIPPED.text.contains("call('TIME')"));
        assert!(!SHIPPED.text.contains("'^(.*)@(%d+)$'"), "that is the text of the tests");
        assert!(TIMED.text.contains("'^(.*)@(%d+)$'") && !TIMED.text.contains("call('TIME')"));
        assert_ne!(SHIPPED.name, TIMED.name);
    }
}
