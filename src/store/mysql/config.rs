//! `[store.mysql]`, and what is wrong in it.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::Address;
use crate::setting::{self, BadSetting, outside};
use crate::units::Span;

/// The most is more than any server takes.
const CONNECTIONS: RangeInclusive<u32> = 1..=10_000;
/// A healthy server may take the least to let a connection in; nobody waits longer than the most.
const TIMEOUT: RangeInclusive<Span> =
    Span(Duration::from_millis(50))..=Span(Duration::from_secs(30));

/// What becomes of a server that may lose commits it has acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// It is used, with a warning.
    #[default]
    Warn,
    /// It is refused: nothing is placed there.
    Strict,
}

/// Settings of the MySQL store.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `mysql://user[:password]@host[:port]/database`. A password in it is never shown.
    pub url: String,
    /// A file whose first line is the password, read again at each connect.
    pub password_file: Option<PathBuf>,
    /// Whether connections are encrypted, and the server's certificate checked.
    pub tls: bool,
    /// A file with the certificates (PEM) that sign the server's; the well-known ones when it is absent.
    pub ca_file: Option<PathBuf>,
    /// The most connections that this process opens.
    pub connections: u32,
    /// The longest wait for a connection: a free one, or a new one.
    pub timeout: Span,
    /// What becomes of a server that may lose commits.
    pub durability: Durability,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "mysql://root@127.0.0.1:3306/forebay".to_owned(),
            password_file: None,
            tls: false,
            ca_file: None,
            connections: 16,
            timeout: Span(Duration::from_secs(2)),
            durability: Durability::Warn,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &Address::parse(&self.url))
            .field("password_file", &self.password_file)
            .field("tls", &self.tls)
            .field("ca_file", &self.ca_file)
            .field("connections", &self.connections)
            .field("timeout", &self.timeout)
            .field("durability", &self.durability)
            .finish()
    }
}

const URL: &str = "store.mysql.url";
const PASSWORD_FILE: &str = "store.mysql.password_file";
const TLS: &str = "store.mysql.tls";
const CA_FILE: &str = "store.mysql.ca_file";

impl Config {
    /// All that is wrong in `[store.mysql]`; empty when nothing is. No file is read.
    #[must_use]
    pub fn check(&self) -> Vec<BadSetting> {
        let mut found: Vec<BadSetting> = self.bad_address().into_iter().collect();
        found.extend(outside("store.mysql.connections", &self.connections, &CONNECTIONS));
        found.extend(outside("store.mysql.timeout", &self.timeout, &TIMEOUT));
        if self.tls && !cfg!(feature = "tls") {
            let text = "store.mysql.tls is on, and this Forebay was built without TLS: build it with the cargo \
                        feature `tls`";
            found.push(BadSetting::new(&[TLS], text));
        }
        if self.ca_file.is_some() && !self.tls {
            let text = "store.mysql.ca_file has no effect without TLS: set store.mysql.tls to true";
            found.push(BadSetting::new(&[CA_FILE, TLS], text));
        }
        found
    }

    fn bad_address(&self) -> Option<BadSetting> {
        match Address::parse(&self.url) {
            Err(error) => Some(BadSetting::new(&[URL], format!("`{URL}` {error}"))),
            Ok(address) if address.password.is_some() && self.password_file.is_some() => {
                let text = "the password stands in store.mysql.url and in store.mysql.password_file: leave one out";
                Some(BadSetting::new(&[PASSWORD_FILE, URL], text))
            }
            Ok(_) => None,
        }
    }

    /// All that is wrong with the files that `[store.mysql]` names.
    #[must_use]
    pub fn check_files(&self) -> Vec<BadSetting> {
        self.password().err().into_iter().chain(self.authority().err()).collect()
    }

    /// The password of the file, if one is named.
    pub(super) fn password(&self) -> Result<Option<String>, BadSetting> {
        let file = self.password_file.as_ref();
        file.map(|file| setting::password(PASSWORD_FILE, file)).transpose()
    }

    /// The certificates of the file, if one is named.
    pub(super) fn authority(&self) -> Result<Option<Vec<u8>>, BadSetting> {
        self.ca_file.as_ref().map(|file| setting::certificates(CA_FILE, file)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<Vec<&'static str>> {
        let config: Config = toml::from_str(text).unwrap();
        config.check().into_iter().map(|found| found.keys).collect()
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_keys() {
        assert_eq!(wrong(""), [[""; 0]; 0]);
        let good =
            "url = \"mysql://shop@db/shop\"\ntls = true\nca_file = \"ca\"\npassword_file = \"p\"";
        assert_eq!(wrong(good), [[""; 0]; 0]);
        for (text, keys) in [
            ("url = \"redis://db\"", vec![URL]),
            ("url = \"mysql://a:b@db/shop\"\npassword_file = \"p\"", vec![PASSWORD_FILE, URL]),
            ("connections = 0", vec!["store.mysql.connections"]),
            ("connections = 10001", vec!["store.mysql.connections"]),
            ("timeout = \"1ms\"", vec!["store.mysql.timeout"]),
            ("timeout = \"1m\"", vec!["store.mysql.timeout"]),
            ("ca_file = \"ca\"", vec![CA_FILE, TLS]),
        ] {
            assert_eq!(wrong(text), [keys], "{text}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let url = "mysql://shop:hunter2@db/shop".to_owned();
        let config = Config { url, ..Config::default() };
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
}
