//! Who may speak to the admin API from a browser: only its own pages.
//!
//! A foreign `Host` is how a hostile page reaches a loopback listener (DNS rebinding); a foreign `Origin` and
//! `Sec-Fetch-Site: cross-site` are how a browser says that such a page asks. The `Host` is checked on every
//! request, for reading is enough to do harm.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{Uri, Version};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is wrong with where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// No `Host`, two of them, or one that is not a host.
    Malformed,
    /// A `Host` that is not this listener's.
    Host,
    /// An `Origin` that is not the host's own, or `Sec-Fetch-Site: cross-site`.
    Page,
}

/// The hosts under which the listener is known.
#[derive(Clone, Debug)]
pub struct Hosts {
    named: Vec<String>,
    listener: IpAddr,
}

impl Hosts {
    /// `[admin] hosts` (names, with a port or without), and what is always known: `localhost`, loopback
    /// addresses, and the listener's own address. A listener on all addresses is known by every address: a
    /// hostile page can only bring a name.
    #[must_use]
    pub fn new(named: &[String], listener: SocketAddr) -> Self {
        let named = named.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { named, listener: listener.ip().to_canonical() }
    }

    fn know(&self, authority: &str) -> Result<(), Foreign> {
        let host = host_of(authority).ok_or(Foreign::Malformed)?;
        if self.named.iter().any(|name| name == authority || name == host) || host == "localhost" {
            return Ok(());
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let address: IpAddr = bare.parse().map_err(|_| Foreign::Host)?;
        let address = address.to_canonical();
        let own = address.is_loopback() || address == self.listener;
        if own || self.listener.is_unspecified() { Ok(()) } else { Err(Foreign::Host) }
    }

    /// Lets a request pass, or says what is foreign about it.
    pub(super) fn check(
        &self,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(), Foreign> {
        let host = single(headers, &HOST)?;
        // HTTP/1.0 knows no Host, and no browser speaks it: a probe of a load balancer.
        if host.is_none() && version != Version::HTTP_10 {
            return Err(Foreign::Malformed);
        }
        let target = uri.authority().map(|authority| authority.as_str().to_ascii_lowercase());
        for authority in host.iter().chain(&target) {
            self.know(authority)?;
        }
        if single(headers, &SEC_FETCH_SITE)?.as_deref() == Some("cross-site") {
            return Err(Foreign::Page);
        }
        let Some(origin) = single(headers, &ORIGIN)? else { return Ok(()) };
        let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let page = page.ok_or(Foreign::Page)?;
        let own = host.as_deref() == Some(page) || self.named.iter().any(|name| name == page);
        if own { Ok(()) } else { Err(Foreign::Page) }
    }
}

/// The host of `host` or `host:port`, an IPv6 address with its brackets.
fn host_of(authority: &str) -> Option<&str> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let port_fits = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    (!host.is_empty() && port_fits).then_some(host)
}

fn single(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Foreign> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Foreign::Malformed);
    }
    let text = first.to_str().map_err(|_| Foreign::Malformed)?;
    Ok(Some(text.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(hosts: &Hosts, headers: &[(&'static str, &str)]) -> Result<(), Foreign> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        hosts.check(&Uri::from_static("/"), Version::HTTP_11, &map)
    }

    #[test]
    fn a_listener_is_known_by_its_own_names_only() {
        let named = ["Admin.Example".to_owned(), "ops.example:8443".to_owned()];
        let hosts = Hosts::new(&named, "10.1.2.3:9180".parse().unwrap());
        for host in [
            "localhost",
            "LOCALHOST:9180",
            "127.0.0.1:9180",
            "127.8.8.8",
            "[::1]:9180",
            "[::ffff:127.0.0.1]",
            "10.1.2.3:9180",
            "admin.example:1",
            "ops.example:8443",
        ] {
            assert_eq!(judged(&hosts, &[("host", host)]), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "10.1.2.4", "localhost.evil.example", "ops.example:1", "127.0.0.1.nip"]
        {
            assert_eq!(judged(&hosts, &[("host", host)]), Err(Foreign::Host), "{host}");
        }
        for host in ["", "localhost:x", "localhost:99999", "[::1", "[::1]x", ":80"] {
            assert_eq!(judged(&hosts, &[("host", host)]), Err(Foreign::Malformed), "{host}");
        }
        assert_eq!(judged(&hosts, &[]), Err(Foreign::Malformed));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(judged(&hosts, &twice), Err(Foreign::Malformed));
        let everywhere = Hosts::new(&[], "0.0.0.0:9180".parse().unwrap());
        assert_eq!(judged(&everywhere, &[("host", "192.0.2.7:9180")]), Ok(()));
        assert_eq!(judged(&everywhere, &[("host", "evil.example")]), Err(Foreign::Host));
    }

    #[test]
    fn a_target_with_its_own_authority_must_be_known_too() {
        let hosts = Hosts::new(&[], "127.0.0.1:9180".parse().unwrap());
        let headers = HeaderMap::from_iter([(HOST, "localhost".parse().unwrap())]);
        let evil = Uri::from_static("http://evil.example/admin/v1/sales");
        assert_eq!(hosts.check(&evil, Version::HTTP_11, &headers), Err(Foreign::Host));
        let probe = Uri::from_static("/livez");
        assert_eq!(hosts.check(&probe, Version::HTTP_10, &HeaderMap::new()), Ok(()));
    }

    #[test]
    fn only_the_hosts_own_pages_may_ask() {
        let hosts = Hosts::new(&["admin.example".to_owned()], "127.0.0.1:9180".parse().unwrap());
        let host = ("host", "localhost:9180");
        for own in ["http://localhost:9180", "https://localhost:9180", "https://admin.example"] {
            assert_eq!(judged(&hosts, &[host, ("origin", own)]), Ok(()), "{own}");
        }
        for foreign in ["null", "http://localhost:3000", "http://evil.example", "file://x", ""] {
            let judged = judged(&hosts, &[host, ("origin", foreign)]);
            assert_eq!(judged, Err(Foreign::Page), "{foreign}");
        }
        let site = |site| judged(&hosts, &[host, ("sec-fetch-site", site)]);
        assert_eq!(site("cross-site"), Err(Foreign::Page));
        assert_eq!(site("Cross-Site"), Err(Foreign::Page));
        assert_eq!((site("same-origin"), site("none")), (Ok(()), Ok(())));
    }
}
