//! The token file: who may use the admin API, one `name:token` a line.
//!
//! Invariant: a token is kept and compared only as its SHA-256 digest, all of them each time, so that neither
//! length nor place of a token shows in the time that a comparison takes.

use std::fmt;
use std::hint::black_box;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The longest token, in bytes; anything longer is refused before it is hashed.
const TOKEN_MAX: usize = 512;

/// A token file cannot be used. Never shows a token.
#[derive(Debug, thiserror::Error)]
pub enum BadTokens {
    /// The file cannot be read.
    #[error("{path}: {error}: `[admin] token_file` must name a file that this process can read")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A line does not have the form.
    #[error(
        "line {0}: write `name:token`, a name of 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and a token of \
         1 to 512 visible ASCII characters"
    )]
    Form(usize),
    /// A token stands in the file already.
    #[error("line {0}: this token is in the file already: give each person a token of his own")]
    Twice(usize),
    /// There is no token.
    #[error("there is no token in the file: write at least one line `name:token`")]
    Empty,
}

/// Everybody who may use the admin API. A name may have several tokens, so that they can be changed in turn.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    entries: Vec<(Box<str>, [u8; 32])>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|(name, _)| name)).finish()
    }
}

impl Tokens {
    /// The tokens of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or one of its lines has another form.
    pub fn read(path: &Path) -> Result<Self, BadTokens> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadTokens::Unreadable { path: path.display().to_string(), error })?;
        Self::parse(&text)
    }

    /// The tokens of a file's text. Empty lines and lines that begin with `#` count for nothing.
    ///
    /// # Errors
    /// The first line that has another form, or a file without a token.
    pub fn parse(text: &str) -> Result<Self, BadTokens> {
        let mut entries: Vec<(Box<str>, [u8; 32])> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, token) = line.split_once(':').ok_or(BadTokens::Form(number))?;
            if !is_name(name) || !is_token(token.as_bytes()) {
                return Err(BadTokens::Form(number));
            }
            let digest = digest(token.as_bytes());
            if entries.iter().any(|(_, known)| same(known, &digest)) {
                return Err(BadTokens::Twice(number));
            }
            entries.push((name.into(), digest));
        }
        if entries.is_empty() { Err(BadTokens::Empty) } else { Ok(Self { entries }) }
    }

    /// Whose token this is.
    #[must_use]
    pub fn who(&self, token: &[u8]) -> Option<&str> {
        if !is_token(token) {
            return None;
        }
        let digest = digest(token);
        let mut who = None;
        for (name, known) in &self.entries {
            if same(known, &digest) {
                who = Some(&**name);
            }
        }
        who
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_token(token: &[u8]) -> bool {
    (1..=TOKEN_MAX).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic)
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    black_box(a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_has_one_owner_and_a_name_may_have_two() {
        let tokens =
            Tokens::parse("# people\n\nann:secret-1\nbob:s:2\r\n  ann:secret-3  \n").unwrap();
        assert_eq!(tokens.who(b"secret-1"), Some("ann"));
        assert_eq!(tokens.who(b"s:2"), Some("bob"));
        assert_eq!(tokens.who(b"secret-3"), Some("ann"));
        let long = vec![b'x'; 1 << 20];
        for wrong in [&b"secret-"[..], b"secret-11", b"", b"ann:secret-1", b"s 2", &long] {
            assert_eq!(tokens.who(wrong), None);
        }
        assert!(!format!("{tokens:?}").contains("secret"), "tokens are never shown");
    }

    #[test]
    fn a_file_with_a_bad_line_is_refused_by_its_number() {
        for text in ["ann", "ann:", ":secret", "a b:secret", "ann:sec ret", "ann:sécret"] {
            let text = format!("bob:fine\n{text}\n");
            let error = Tokens::parse(&text).unwrap_err();
            assert!(matches!(error, BadTokens::Form(2)), "{text}: {error}");
        }
        let error = Tokens::parse("ann:one\nbob:one\n").unwrap_err();
        assert!(matches!(error, BadTokens::Twice(2)));
        assert!(!error.to_string().contains("one:"), "the token is not shown");
        assert!(matches!(Tokens::parse("# nobody\n"), Err(BadTokens::Empty)));
        let missing = tempfile::tempdir().unwrap().path().join("tokens");
        assert!(matches!(Tokens::read(&missing), Err(BadTokens::Unreadable { .. })));
    }
}
