//! `[store.http]`, and what is wrong in it.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::{Address, TICKET};
use super::sign::Secret;
use crate::setting::{self, BadSetting, outside};
use crate::units::Span;

/// The most is more than any shop takes at once.
const CONNECTIONS: RangeInclusive<u32> = 1..=10_000;
/// A healthy shop may take the least; nobody waits longer than the most for one order.
const TIMEOUT: RangeInclusive<Span> =
    Span(Duration::from_millis(50))..=Span(Duration::from_secs(60));

/// Settings of the HTTP store.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where orders are posted. A user and password in it are sent, and never shown.
    pub url: String,
    /// Where the shop says what it has of a `{ticket}`.
    pub lookup_url: Option<String>,
    /// Where the shop is told that it shall never take a `{ticket}`.
    pub void_url: Option<String>,
    /// A file whose first line is the secret that signs requests.
    pub secret_file: Option<PathBuf>,
    /// A file with the certificates (PEM) that sign the shop's; those of the system when it is absent.
    pub ca_file: Option<PathBuf>,
    /// The most requests of this process that are under way at once, each on a connection of its own.
    pub connections: u32,
    /// From the beginning of a call to the end of its answer.
    pub timeout: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8090/internal/orders".to_owned(),
            lookup_url: None,
            void_url: None,
            secret_file: None,
            ca_file: None,
            connections: 64,
            timeout: Span(Duration::from_secs(4)),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let optional = |url: &Option<String>| url.as_deref().map(Address::parse);
        f.debug_struct("Config")
            .field("url", &Address::parse(&self.url))
            .field("lookup_url", &optional(&self.lookup_url))
            .field("void_url", &optional(&self.void_url))
            .field("secret_file", &self.secret_file)
            .field("ca_file", &self.ca_file)
            .field("connections", &self.connections)
            .field("timeout", &self.timeout)
            .finish()
    }
}

const URL: &str = "store.http.url";
const LOOKUP_URL: &str = "store.http.lookup_url";
const VOID_URL: &str = "store.http.void_url";
const SECRET_FILE: &str = "store.http.secret_file";
const CA_FILE: &str = "store.http.ca_file";

impl Config {
    /// All that is wrong in `[store.http]`; empty when nothing is. No file is read.
    #[must_use]
    pub fn check(&self) -> Vec<BadSetting> {
        let addresses = [
            self.address().map(Some),
            of_ticket(LOOKUP_URL, self.lookup_url.as_deref()),
            of_ticket(VOID_URL, self.void_url.as_deref()),
        ];
        let by_tls = addresses.iter().flatten().flatten().any(Address::is_https);
        let all_read = addresses.iter().all(Result::is_ok);
        let mut found: Vec<BadSetting> = addresses.into_iter().filter_map(Result::err).collect();
        found.extend(outside("store.http.connections", &self.connections, &CONNECTIONS));
        found.extend(outside("store.http.timeout", &self.timeout, &TIMEOUT));
        if self.ca_file.is_some() && all_read && !by_tls {
            let text = "store.http.ca_file has no effect without TLS: let store.http.url begin with https://";
            found.push(BadSetting::new(&[CA_FILE, URL], text));
        }
        found
    }

    /// All that is wrong with the files that `[store.http]` names.
    #[must_use]
    pub fn check_files(&self) -> Vec<BadSetting> {
        self.secret().err().into_iter().chain(self.authority().err()).collect()
    }

    /// Where orders go.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn address(&self) -> Result<Address, BadSetting> {
        let address = Address::parse(&self.url).map_err(|error| bad(URL, &error.to_string()))?;
        if address.has_ticket() {
            return Err(bad(URL, "takes all orders: leave {ticket} out of it"));
        }
        Ok(address)
    }

    /// Where it is asked for a ticket, if that is said.
    pub(super) fn lookup(&self) -> Result<Option<Address>, BadSetting> {
        of_ticket(LOOKUP_URL, self.lookup_url.as_deref())
    }

    /// Where a ticket is voided, if that is said.
    pub(super) fn void(&self) -> Result<Option<Address>, BadSetting> {
        of_ticket(VOID_URL, self.void_url.as_deref())
    }

    /// The secret of the file, if one is named.
    pub(super) fn secret(&self) -> Result<Option<Secret>, BadSetting> {
        let Some(file) = &self.secret_file else { return Ok(None) };
        let line = setting::password(SECRET_FILE, file)?;
        let secret = Secret::read(&line);
        let bad = || bad(SECRET_FILE, "holds `whsec_` with what is not Base64 behind it");
        secret.ok_or_else(bad).map(Some)
    }

    /// The certificates of the file, if one is named.
    pub(super) fn authority(&self) -> Result<Option<Vec<u8>>, BadSetting> {
        self.ca_file.as_ref().map(|file| setting::certificates(CA_FILE, file)).transpose()
    }
}

fn bad(key: &'static str, what: &str) -> BadSetting {
    BadSetting::new(&[key], format!("`{key}` {what}"))
}

fn of_ticket(key: &'static str, url: Option<&str>) -> Result<Option<Address>, BadSetting> {
    let Some(url) = url else { return Ok(None) };
    let address = Address::parse(url).map_err(|error| bad(key, &error.to_string()))?;
    if !address.has_ticket() {
        return Err(bad(key, &format!("is of one ticket: write {TICKET} where it belongs")));
    }
    Ok(Some(address))
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
        let good = "url = \"https://u:p@shop/o\"\nlookup_url = \"http://shop/o/{ticket}\"\n\
                    void_url = \"http://shop/o?void={ticket}\"\nca_file = \"ca\"\nsecret_file = \"s\"";
        assert_eq!(wrong(good), [[""; 0]; 0]);
        for (text, keys) in [
            ("url = \"mysql://db\"", vec![URL]),
            ("url = \"http://shop/{ticket}\"", vec![URL]),
            ("lookup_url = \"http://shop/o\"", vec![LOOKUP_URL]),
            ("lookup_url = \"ftp://shop/{ticket}\"", vec![LOOKUP_URL]),
            ("void_url = \"http://shop/o\"", vec![VOID_URL]),
            ("connections = 0", vec!["store.http.connections"]),
            ("connections = 10001", vec!["store.http.connections"]),
            ("timeout = \"1ms\"", vec!["store.http.timeout"]),
            ("timeout = \"2m\"", vec!["store.http.timeout"]),
            ("ca_file = \"ca\"", vec![CA_FILE, URL]),
        ] {
            assert_eq!(wrong(text), [keys], "{text}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let url = "http://shop:hunter2@db/shop?key=hunter2".to_owned();
        let (lookup_url, void_url) = (Some(url.clone()), Some(format!("{url}{{ticket}}")));
        let config = Config { url, lookup_url, void_url, ..Config::default() };
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
}
