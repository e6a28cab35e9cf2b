//! Where the server is: what `[ledger.redis] url` says. The one place that knows the forms of such URLs.
//!
//! No message shows the URL: it may hold a password.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::{Host, ParseError, Url};

/// The port where a URL names none.
const PORT: u16 = 6_379;

/// More databases than any server has.
const DATABASE_MAX: u32 = 65_535;

/// Schemes of other topologies and of other ways to a server.
const NOT_BUILT: [(&str, &str); 3] =
    [("sentinel", "Redis Sentinel"), ("cluster", "Redis Cluster"), ("unix", "a socket file")];

/// One server.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// By TLS: `rediss://`.
    pub tls: bool,
    /// A name, or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database's number.
    pub database: u32,
    /// Who connects; the server's default user where there is none.
    pub user: Option<String>,
    /// Never shown.
    pub password: Option<String>,
}

/// A URL that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAddress(Cow<'static, str>);

fn bad(why: impl Into<Cow<'static, str>>) -> BadAddress {
    BadAddress(why.into())
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port, database, user, password } = self;
        f.debug_struct("Address")
            .field("tls", tls)
            .field("host", host)
            .field("port", port)
            .field("database", database)
            .field("user", user)
            .field("password", &password.as_ref().map(|_| "***"))
            .finish()
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
        let scheme = if self.tls { "rediss" } else { "redis" };
        let user = self.user.as_deref().unwrap_or_default();
        let who = match (&self.password, user) {
            (Some(_), user) => format!("{user}:***@"),
            (None, "") => String::new(),
            (None, user) => format!("{user}@"),
        };
        let database =
            if self.database == 0 { String::new() } else { format!("/{}", self.database) };
        format!("{scheme}://{who}{self}{database}")
    }

    /// Reads a URL: `redis://[user[:password]@]host[:port][/database]`, or `rediss://`.
    ///
    /// # Errors
    /// A sentence that says what to write, and shows nothing of the URL.
    pub fn parse(url: &str) -> Result<Self, BadAddress> {
        if url.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            return Err(bad("must not hold blanks: write %20 for one in a password"));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(bad("is a URL such as \"redis://127.0.0.1:6379\""));
        };
        let tls = tls(scheme)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let servers = authority.rsplit('@').next().unwrap_or_default();
        if servers.contains(',') {
            return Err(bad(
                "names several servers: Redis Sentinel and Redis Cluster are not built yet, name one server",
            ));
        }
        let url = Url::parse(url).map_err(|error| unreadable(error, servers))?;
        if url.fragment().is_some() || url.query().is_some() {
            return Err(bad(
                "ends with what has no meaning here: leave out all from `?` or `#` (in a password write %3F, %23)",
            ));
        }
        Ok(Self {
            tls,
            host: host(&url)?,
            port: url.port().map_or(Ok(PORT), port)?,
            database: database(url.path())?,
            user: decoded(url.username())?,
            password: url.password().map_or(Ok(None), decoded)?,
        })
    }
}

/// Whether the scheme is one by TLS.
fn tls(scheme: &str) -> Result<bool, BadAddress> {
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "redis" => return Ok(false),
        "rediss" if cfg!(feature = "tls") => return Ok(true),
        "rediss" => {
            return Err(bad(
                "begins with rediss://, and this Forebay was built without TLS: build it with the cargo feature `tls`",
            ));
        }
        _ => {}
    }
    let named = NOT_BUILT.iter().find(|(word, _)| scheme.contains(word));
    Err(named.map_or_else(
        || bad("begins with redis:// or, with TLS, with rediss://"),
        |(_, name)| bad(format!("names {name}, which is not built yet: write redis://HOST:PORT")),
    ))
}

fn unreadable(error: ParseError, servers: &str) -> BadAddress {
    match error {
        ParseError::EmptyHost => bad(NO_HOST),
        ParseError::InvalidPort if servers.is_empty() || servers.starts_with(':') => bad(NO_HOST),
        ParseError::InvalidPort => bad("has a port that is none: write one from 1 to 65535"),
        other => bad(format!("cannot be read: {other}; {ESCAPES}")),
    }
}

const NO_HOST: &str =
    "names no host: write redis://HOST:PORT (in a password write %2F for /, %40 for @, %3A for :)";
const ESCAPES: &str = "in a password write %2F for /, %40 for @, %3A for :";

fn host(url: &Url) -> Result<String, BadAddress> {
    let host = match url.host() {
        None => String::new(),
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
    };
    if host.is_empty() {
        return Err(bad(NO_HOST));
    }
    if host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
        return Err(bad(format!(
            "names {host}, where a server listens and none is reached: name the server, such as 127.0.0.1"
        )));
    }
    Ok(host)
}

fn port(port: u16) -> Result<u16, BadAddress> {
    if port == 0 {
        Err(bad("has a port that is none: write one from 1 to 65535"))
    } else {
        Ok(port)
    }
}

fn database(path: &str) -> Result<u32, BadAddress> {
    let number = path.strip_prefix('/').unwrap_or(path);
    if number.is_empty() {
        return Ok(0);
    }
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let database = number.parse().ok().filter(|database| digits && *database <= DATABASE_MAX);
    database.ok_or_else(|| {
        bad("ends with what is no database: write its number, such as /0, or nothing")
    })
}

fn decoded(text: &str) -> Result<Option<String>, BadAddress> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| bad("has a user or a password that is not UTF-8"))?;
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_the_server_is() {
        let plain = Address {
            tls: false,
            host: "127.0.0.1".to_owned(),
            port: PORT,
            database: 0,
            user: None,
            password: None,
        };
        for url in ["redis://127.0.0.1", "redis://127.0.0.1:6379/", "REDIS://127.0.0.1:6379/0"] {
            assert_eq!(Address::parse(url), Ok(plain.clone()), "{url}");
        }
        let whole = Address::parse("redis://shop:p%40s%2Fs@queue.shop.example:7000/3").unwrap();
        assert_eq!(
            (whole.user.as_deref(), whole.password.as_deref()),
            (Some("shop"), Some("p@s/s"))
        );
        assert_eq!((whole.to_string().as_str(), whole.database), ("queue.shop.example:7000", 3));
        assert!(!format!("{whole:?}").contains("p@s/s"));
        assert_eq!(whole.url(), "redis://shop:***@queue.shop.example:7000/3");
        assert_eq!(Address::parse("redis://shop@a").unwrap().url(), "redis://shop@a:6379");
        assert_eq!(plain.url(), "redis://127.0.0.1:6379");
        let six = Address::parse("redis://:secret@[::1]:7000").unwrap();
        assert_eq!((six.host.as_str(), six.to_string().as_str()), ("::1", "[::1]:7000"));
        assert_eq!((six.user, six.password.as_deref()), (None, Some("secret")));
        let tls = Address::parse("rediss://queue");
        if cfg!(feature = "tls") {
            assert!(tls.unwrap().tls);
        } else {
            assert!(tls.unwrap_err().to_string().contains("cargo feature `tls`"));
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_no_password_is() {
        for (url, word) in [
            ("127.0.0.1:6379", "is a URL such as"),
            ("", "is a URL such as"),
            ("http://:hunter2@a", "redis:// or, with TLS"),
            ("valkey://a", "redis:// or, with TLS"),
            ("redis+sentinel://:hunter2@a:26379/main", "Redis Sentinel, which is not built yet"),
            ("redis-cluster://a", "Redis Cluster, which is not built yet"),
            ("unix:///run/redis.sock", "a socket file, which is not built yet"),
            ("redis://:hunter2@a:1,b:2", "several servers"),
            ("redis://", "no host"),
            ("redis:///0", "no host"),
            ("redis://:6379", "no host"),
            ("redis://:hunter2@:6379", "no host"),
            ("redis://:hunter2/3@a:6379", "no host"),
            ("redis://a:0", "a port that is none"),
            ("redis://a:65536", "a port that is none"),
            ("redis://a:port", "a port that is none"),
            ("redis://a/b", "no database"),
            ("redis://a/-1", "no database"),
            ("redis://a/+1", "no database"),
            ("redis://a/65536", "no database"),
            ("redis://a/1/2", "no database"),
            ("redis://0.0.0.0:6379", "0.0.0.0"),
            ("redis://[::]:6379", "::"),
            ("redis://[::1", "cannot be read"),
            ("redis://:hunter2@a#insecure", "no meaning here"),
            ("redis://:hunter2@a?protocol=resp3", "no meaning here"),
            ("redis://a b", "blanks"),
            (" redis://a", "blanks"),
            ("redis://a\n", "blanks"),
            ("redis://:%ffhunter2@a", "not UTF-8"),
        ] {
            let said = Address::parse(url).unwrap_err().to_string();
            assert!(said.contains(word) && !said.contains("hunter2"), "{url}: {said}");
        }
    }
}
