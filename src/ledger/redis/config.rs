//! `[ledger.redis]`, and what is wrong in it.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Address, client};
use crate::setting::{BadSetting, outside};
use crate::units::{Size, Span};

/// The most characters of the prefix.
const PREFIX_MAX: usize = 64;
/// A call that is given up before the least is in doubt on a healthy network too; a buyer does not wait longer than the
/// most for one.
const TIMEOUT: RangeInclusive<Span> =
    Span(Duration::from_millis(10))..=Span(Duration::from_secs(30));
/// A sale is not held longer for what a failover may have lost.
const HOLD_MAX: Duration = Duration::from_secs(300);

/// What an accepted order survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// What the server's own persistence gives; with `appendfsync everysec` a power cut may cost the last two
    /// seconds.
    #[default]
    Memory,
    /// The loss of the primary: an order is acknowledged when `replicas` replicas have it.
    Replicated,
    /// A power cut: the server has the order on disk before it answers (`appendfsync always`, or `WAITAOF`).
    Disk,
}

impl Durability {
    /// The level as a 202 names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Replicated => "replicated",
            Self::Disk => "disk",
        }
    }
}

/// Settings of the Redis ledger.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `redis://[user[:password]@]host[:port][/database]`, or `rediss://` with TLS. A password in it is never shown.
    pub url: String,
    /// A file whose first line is the password, read again at each connect.
    pub password_file: Option<PathBuf>,
    /// A file with the certificates (PEM) that sign the server's; the system's when it is absent.
    pub ca_file: Option<PathBuf>,
    /// What every key begins with.
    pub prefix: String,
    /// What an accepted order survives.
    pub durability: Durability,
    /// Replicas that must have an order, at level `replicated`.
    pub replicas: u8,
    /// The longest that one call may take; beyond it the call is in doubt.
    pub timeout: Span,
    /// Memory for accepted orders that could be admitted again after a failover.
    pub remember: Size,
    /// How long a sale is held for them in a new epoch.
    pub recover_hold: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            password_file: None,
            ca_file: None,
            prefix: "forebay".to_owned(),
            durability: Durability::Memory,
            replicas: 1,
            timeout: Span(Duration::from_millis(500)),
            remember: Size(64 << 20),
            recover_hold: Span(Duration::from_secs(2)),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &Address::parse(&self.url))
            .field("password_file", &self.password_file)
            .field("ca_file", &self.ca_file)
            .field("prefix", &self.prefix)
            .field("durability", &self.durability)
            .field("replicas", &self.replicas)
            .field("timeout", &self.timeout)
            .field("remember", &self.remember)
            .field("recover_hold", &self.recover_hold)
            .finish()
    }
}

const URL: &str = "ledger.redis.url";
pub(super) const PASSWORD_FILE: &str = "ledger.redis.password_file";
pub(super) const CA_FILE: &str = "ledger.redis.ca_file";

impl Config {
    /// All that is wrong in `[ledger.redis]`; empty when nothing is. No file is read.
    #[must_use]
    pub fn check(&self) -> Vec<BadSetting> {
        let mut found = self.bad_address();
        let fits = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '{' | '}');
        if !(1..=PREFIX_MAX).contains(&self.prefix.len()) || !self.prefix.chars().all(fits) {
            found.push(BadSetting::new(
                &["ledger.redis.prefix"],
                "ledger.redis.prefix must be 1 to 64 visible ASCII characters without braces and blanks",
            ));
        }
        let replicated = self.durability == Durability::Replicated;
        if self.replicas == 0 {
            found.push(BadSetting::new(
                &["ledger.redis.replicas"],
                "ledger.redis.replicas must be at least 1: for none set ledger.redis.durability to \"memory\"",
            ));
        } else if self.replicas > 1 && !replicated {
            found.push(BadSetting::new(
                &["ledger.redis.replicas", "ledger.redis.durability"],
                format!(
                    "ledger.redis.replicas has no effect with durability = \"{}\": set it to \"replicated\"",
                    self.durability.name()
                ),
            ));
        }
        found.extend(outside("ledger.redis.timeout", &self.timeout, &TIMEOUT));
        if self.recover_hold.0 > HOLD_MAX {
            found.push(BadSetting::new(
                &["ledger.redis.recover_hold"],
                format!("ledger.redis.recover_hold must be at most {}", Span(HOLD_MAX)),
            ));
        }
        found
    }

    fn bad_address(&self) -> Vec<BadSetting> {
        let address = match Address::parse(&self.url) {
            Ok(address) => address,
            Err(error) => return vec![BadSetting::new(&[URL], format!("`{URL}` {error}"))],
        };
        let mut found = Vec::new();
        if address.password.is_some() && self.password_file.is_some() {
            let text = "the password stands in ledger.redis.url and in ledger.redis.password_file: leave one out";
            found.push(BadSetting::new(&[PASSWORD_FILE, URL], text));
        }
        if address.user.is_some() && address.password.is_none() && self.password_file.is_none() {
            let text = "ledger.redis.url names a user without a password: name a ledger.redis.password_file";
            found.push(BadSetting::new(&[URL], text));
        }
        if self.ca_file.is_some() && !address.tls {
            let text = "ledger.redis.ca_file has no effect without TLS: let ledger.redis.url begin with rediss://";
            found.push(BadSetting::new(&[CA_FILE, URL], text));
        }
        found
    }

    /// All that is wrong with the files that `[ledger.redis]` names; nothing where [`Self::check`] finds something.
    #[must_use]
    pub fn check_files(&self) -> Vec<BadSetting> {
        let Ok(address) = Address::parse(&self.url) else { return Vec::new() };
        let password = client::password(self, &address).err();
        password.into_iter().chain(client::authority(self).err()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of what is wrong in these settings.
    fn wrong(text: &str) -> Vec<Vec<&'static str>> {
        let config: Config = toml::from_str(text).unwrap();
        config.check().into_iter().map(|found| found.keys).collect()
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_keys() {
        assert_eq!(wrong(""), [[""; 0]; 0]);
        assert_eq!(
            wrong("prefix = \"shop:eu\"\nreplicas = 2\ndurability = \"replicated\""),
            [[""; 0]; 0]
        );
        for prefix in ["", "a{b", "a}b", "a b", "a\tb", "ä", &"x".repeat(65)] {
            let config = Config { prefix: prefix.to_owned(), ..Config::default() };
            assert_eq!(config.check()[0].keys, ["ledger.redis.prefix"], "{prefix:?}");
        }
        for (text, keys) in [
            ("url = \"redis://\"", &["ledger.redis.url"][..]),
            ("url = \"redis://shop@a\"", &["ledger.redis.url"]),
            ("url = \"redis://:p@a\"\npassword_file = \"f\"", &["ledger.redis.password_file", URL]),
            ("ca_file = \"f\"", &["ledger.redis.ca_file", URL]),
            ("replicas = 0", &["ledger.redis.replicas"]),
            ("replicas = 0\ndurability = \"replicated\"", &["ledger.redis.replicas"]),
            ("replicas = 2", &["ledger.redis.replicas", "ledger.redis.durability"]),
            ("timeout = \"9ms\"", &["ledger.redis.timeout"]),
            ("timeout = \"31s\"", &["ledger.redis.timeout"]),
            ("recover_hold = \"6m\"", &["ledger.redis.recover_hold"]),
        ] {
            assert_eq!(wrong(text), [keys], "{text}");
        }
        let shown =
            format!("{:?}", Config { url: "redis://:hunter2@a".to_owned(), ..Config::default() });
        assert!(!shown.contains("hunter2") && shown.contains("\"a\""), "{shown}");
    }
}
