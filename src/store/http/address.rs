//! A URL of `[store.http]`. No message shows it whole: it may hold a password or a token.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// What stands for the ticket in a URL.
pub(super) const TICKET: &str = "{ticket}";

/// An endpoint of the shop, perhaps one for each ticket.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// As it was written, `{ticket}` included.
    template: String,
    authorization: Option<HeaderValue>,
    shown: String,
    is_https: bool,
}

/// A URL that cannot be used, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAddress(&'static str);

const FORM: &str = "is a URL such as \"http://shop.internal:8000/internal/orders\"";

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for Address {
    /// Without user, password and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Address {
    /// Reads `http[s]://[user[:password]@]host[:port]/path`.
    ///
    /// # Errors
    /// A sentence that says what to write, and shows nothing of the URL.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let url = Url::parse(&text.replace(TICKET, "ticket")).map_err(|_| BadAddress(FORM))?;
        let is_https = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(BadAddress("begins with http:// or https://")),
        };
        if !cfg!(feature = "tls") && is_https {
            return Err(BadAddress(
                "is https, and this Forebay was built without TLS: build it with the cargo feature `tls`",
            ));
        }
        if url.fragment().is_some() {
            return Err(BadAddress("ends with `#…`, which is never sent: leave it out"));
        }
        if !matches!(url.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_))) {
            return Err(BadAddress(FORM));
        }
        let before_path = &text[..path_of(text)];
        if before_path.contains(TICKET) {
            return Err(BadAddress("may have {ticket} only behind its host"));
        }
        let authorization = authorization(&url)?;
        let shown = shown(&url, text);
        let address = Self { template: text.to_owned(), authorization, shown, is_https };
        address.uri("ticket").map(|_| address).ok_or(BadAddress(FORM))
    }

    /// Where to ask for a ticket; the same for all when there is no `{ticket}` in it.
    pub(super) fn uri(&self, ticket: &str) -> Option<Uri> {
        let mut url = Url::parse(&self.template.replace(TICKET, ticket)).ok()?;
        // What is not there cannot be taken away, and that is fine.
        let _ = (url.set_username(""), url.set_password(None));
        url.as_str().parse().ok()
    }

    /// The name and password of the URL, as HTTP sends them.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// There is a place for the ticket in it.
    pub(super) fn has_ticket(&self) -> bool {
        self.template.contains(TICKET)
    }

    /// It is asked by TLS.
    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }
}

/// Where the path begins in a URL that can be read.
fn path_of(text: &str) -> usize {
    let host = text.find("://").map_or(0, |at| at + 3);
    text[host..].find('/').map_or(text.len(), |at| host + at)
}

fn authorization(url: &Url) -> Result<Option<HeaderValue>, BadAddress> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let bad = BadAddress("holds what is not UTF-8 when it is decoded");
    let decoded = |text| percent_decode_str(text).decode_utf8().map_err(|_| bad);
    let (user, password) = (decoded(url.username())?, decoded(url.password().unwrap_or_default())?);
    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::from_str(&basic).map_err(|_| bad)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn shown(url: &Url, text: &str) -> String {
    let secret = if url.username().is_empty() && url.password().is_none() { "" } else { "***@" };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = text[path_of(text)..].split('?').next().unwrap_or_default();
    let query = if url.query().is_some() { "?***" } else { "" };
    format!("{}://{secret}{host}{port}{path}{query}", url.scheme())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticket_takes_its_place_and_secrets_are_not_shown() {
        let address = Address::parse("http://shop:hunter%32@db.example:81/o/{ticket}?key=hunter2");
        let address = address.unwrap();
        assert_eq!(address.to_string(), "http://***@db.example:81/o/{ticket}?***");
        assert!(!format!("{address:?}").contains("hunter"));
        let uri = address.uri("a-b_9").unwrap();
        assert_eq!(uri.to_string(), "http://db.example:81/o/a-b_9?key=hunter2");
        let basic = address.authorization().unwrap();
        assert_eq!(basic.to_str().unwrap(), "Basic c2hvcDpodW50ZXIy");
        assert!(basic.is_sensitive() && address.has_ticket() && !address.is_https());
        let plain = Address::parse("http://[::1]").unwrap();
        assert_eq!((plain.to_string().as_str(), plain.authorization()), ("http://[::1]", None));
    }

    #[test]
    fn a_bad_url_is_told_without_being_shown() {
        for (url, word) in [
            ("", "such as"),
            ("shop/orders", "such as"),
            ("ftp://hunter2@shop/orders", "begins with http"),
            ("http://", "such as"),
            ("http://shop:99999/hunter2", "such as"),
            ("http://shop/orders#hunter2", "never sent"),
            ("http://{ticket}.shop/hunter2", "only behind its host"),
            ("http://{ticket}:hunter2@shop/", "only behind its host"),
            ("http://a:%ff@shop/hunter2", "not UTF-8"),
        ] {
            let told = Address::parse(url).unwrap_err().to_string();
            assert!(told.contains(word) && !told.contains("hunter2"), "{url}: {told}");
        }
    }
}
