//! Where the server is: what `[store.mysql] url` says. No message shows the URL: it may hold a password.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The port where a URL names none.
const PORT: u16 = 3_306;

/// One database of one server.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// A name, or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database with the tables.
    pub database: String,
    /// Who connects.
    pub user: String,
    /// Never shown.
    pub password: Option<String>,
}

/// A URL that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAddress(&'static str);

const FORM: &str = "is a URL such as \"mysql://shop@127.0.0.1:3306/shop\"";

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

impl fmt::Display for Address {
    /// Host and port, as operators and messages name the server.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Address {
    /// The URL with `***` for its password.
    #[must_use]
    pub fn url(&self) -> String {
        let secret = if self.password.is_some() { ":***" } else { "" };
        format!("mysql://{}{secret}@{self}/{}", self.user, self.database)
    }

    /// Reads a URL: `mysql://user[:password]@host[:port]/database`.
    ///
    /// # Errors
    /// A sentence that says what to write, and shows nothing of the URL.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("mysql") => {}
            Some("mariadb") => return Err(BadAddress("begins with mysql://, for MariaDB too")),
            _ => return Err(BadAddress(FORM)),
        }
        let url = Url::parse(text).map_err(|_| BadAddress(FORM))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BadAddress(
                "ends with what has no meaning here: leave out all from `?` or `#` (in a password write %3F, \
                 %23); TLS is store.mysql.tls",
            ));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => decoded(name)?,
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => {
                return Err(BadAddress(
                    "names no host: such as \"mysql://shop@127.0.0.1:3306/shop\"",
                ));
            }
        };
        let user = decoded(url.username())?;
        if user.is_empty() {
            return Err(BadAddress("names no user: such as \"mysql://shop@127.0.0.1:3306/shop\""));
        }
        let database = decoded(url.path().trim_start_matches('/'))?;
        if database.is_empty() || database.contains('/') {
            return Err(BadAddress(
                "must end with the database's name: such as \"mysql://shop@127.0.0.1:3306/shop\"",
            ));
        }
        let password = url.password().map(decoded).transpose()?;
        Ok(Self { host, port: url.port().unwrap_or(PORT), database, user, password })
    }
}

fn decoded(text: &str) -> Result<String, BadAddress> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| BadAddress("holds what is not UTF-8 when it is decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_user_host_and_database() {
        let address = Address::parse("mysql://shop:p%40ss@db.example:3307/shop").unwrap();
        assert_eq!(
            (address.host.as_str(), address.port, address.database.as_str()),
            ("db.example", 3307, "shop")
        );
        assert_eq!((address.user.as_str(), address.password.as_deref()), ("shop", Some("p@ss")));
        assert_eq!(address.url(), "mysql://shop:***@db.example:3307/shop");
        let address = Address::parse("mysql://shop@[::1]/shop").unwrap();
        assert_eq!((address.to_string().as_str(), address.password), ("[::1]:3306", None));
    }

    #[test]
    fn a_bad_url_is_told_without_being_shown() {
        for (url, word) in [
            ("", "such as"),
            ("db/shop", "such as"),
            ("redis://hunter2@db/shop", "such as"),
            ("mariadb://hunter2@db/shop", "for MariaDB too"),
            ("mysql://hunter2@db", "database's name"),
            ("mysql://hunter2@db/shop/x", "database's name"),
            ("mysql://db/shop", "names no user"),
            ("mysql://hunter2@/shop", "such as"),
            ("mysql://hunter2@db:99999/shop", "such as"),
            ("mysql://hunter2@db/shop?ssl=true", "no meaning here"),
            ("mysql://a:%ff@db/shop", "not UTF-8"),
        ] {
            let told = Address::parse(url).unwrap_err().to_string();
            assert!(told.contains(word) && !told.contains("hunter2"), "{url}: {told}");
        }
    }
}
