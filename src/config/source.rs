//! A settings file as text, and where in it something stands.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use crate::ledger::redis;
use crate::store::http;
use crate::store::mysql;

/// The largest settings file that is read; a larger one is some other file.
const BYTES_MAX: u64 = 1 << 20;

/// Keys whose values may be secrets: a source line that sets one is shown without its value.
const SECRET_KEYS: [&str; 7] =
    ["url", "lookup_url", "void_url", "password", "secret", "token", "key"];

/// A settings file that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    name: String,
    text: String,
}

/// A place in a settings file, with what is needed to show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line as it stands there, secrets masked.
    pub text: String,
    /// How many characters the caret covers, at least 1.
    pub width: usize,
}

impl Source {
    /// Reads a file: UTF-8, with or without a byte order mark.
    ///
    /// # Errors
    /// A sentence that names the file and the cause.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let file = std::fs::File::open(path).map_err(|error| format!("{name}: {error}"))?;
        let about = file.metadata().map_err(|error| format!("{name}: {error}"))?;
        if about.is_dir() {
            return Err(format!("{name}: is a directory: name the file in it"));
        }
        let mut bytes = Vec::new();
        // One byte more than allowed, so that a device or a pipe cannot fill the memory either.
        file.take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("{name}: {error}"))?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(format!("{name}: is larger than 1 MiB: this is not a settings file"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            format!("{name}: is not UTF-8 (byte {at}): save it as UTF-8")
        })?;
        Ok(Self::of(name, &text))
    }

    /// A text under a name.
    pub(super) fn of(name: String, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        Self { name, text }
    }

    /// What was read, without its byte order mark.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span as it was written.
    pub(super) fn slice(&self, span: Range<usize>) -> &str {
        self.text.get(span).unwrap_or_default()
    }

    /// Where a span begins.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let start = (0..=span.start.min(self.text.len()))
            .rev()
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or(0);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = self.text.get(line_start..).unwrap_or_default();
        let raw = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let text = masked(raw);
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        let length = self.slice(start..span.end).lines().next().unwrap_or_default();
        let room = text.chars().count().saturating_sub(column);
        Place {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: column + 1,
            width: length.chars().count().clamp(1, room.max(1)),
            text,
        }
    }
}

/// A line up to the first value that may be a secret; in an inline table that need not be the first value.
fn masked(line: &str) -> String {
    let after_secret = |(at, _): &(usize, &str)| {
        let key = line.get(..*at).unwrap_or_default().trim_end();
        is_secret(key.rsplit(['{', ',', ' ', '\t']).next().unwrap_or_default())
    };
    match line.match_indices('=').find(after_secret) {
        Some((at, _)) => format!("{}= ***", line.get(..at).unwrap_or_default()),
        None => line.to_owned(),
    }
}

/// Whether the value of a key must never be shown.
pub(super) fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    SECRET_KEYS.contains(&last.trim_matches(['"', '\'']))
}

/// A value, as TOML, as far as it may be shown.
pub(super) fn shown(key: &str, value: String) -> String {
    if !is_secret(key) {
        return value;
    }
    let text = value.trim_matches(['"', '\'']);
    let url = match key {
        "ledger.redis.url" => redis::Address::parse(text).ok().map(|address| address.url()),
        "store.http.url" | "store.http.lookup_url" | "store.http.void_url" => {
            http::Address::parse(text).ok().map(|address| address.to_string())
        }
        "store.mysql.url" => mysql::Address::parse(text).ok().map(|address| address.url()),
        _ => None,
    };
    url.map_or_else(|| "\"***\"".to_owned(), |url| format!("\"{url}\""))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gap = " ".repeat(number.len());
        // Tabs before the caret are kept, so that it stands below what it points at.
        let lead: String = self
            .text
            .chars()
            .take(self.column - 1)
            .map(|letter| if letter == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(f, "{gap}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{gap} |")?;
        writeln!(f, "{number} | {}", self.text)?;
        write!(f, "{gap} | {lead}{}", "^".repeat(self.width))
    }
}
