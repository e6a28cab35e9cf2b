//! Who the buyer is. Mode `header`: the shop's proxy says so, and only proxies that are trusted are believed.

mod address;
mod network;

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::HeaderName;
pub use network::{BadNetwork, Network};
use serde::{Deserialize, Serialize};

use crate::order::Buyer;

/// `[identity]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How a buyer is known.
    pub mode: Mode,
    /// The header that names him.
    #[serde(with = "header_name")]
    pub header: HeaderName,
}

/// How a buyer is known. `jwt` and `forward` are not built yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A trusted proxy sets a header.
    #[default]
    Header,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Header, header: HeaderName::from_static("x-buyer-id") }
    }
}

mod header_name {
    use hyper::header::HeaderName;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(name: &HeaderName, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HeaderName, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| serde::de::Error::custom("not a header's name"))
    }
}

/// Reads identities. What comes of a peer that is not trusted counts as absent.
#[derive(Clone, Debug)]
pub struct Identity {
    header: HeaderName,
    trusted: Vec<Network>,
}

impl Identity {
    /// Believes `trusted_proxies` about the header of `config`.
    #[must_use]
    pub fn new(config: &Config, trusted_proxies: &[Network]) -> Self {
        Self { header: config.header.clone(), trusted: trusted_proxies.to_vec() }
    }

    /// Whether the peer's word about its clients counts; asked once a connection.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.holds(peer))
    }

    /// The address of the client: the peer's, or behind trusted proxies the right-most entry of `Forwarded` or
    /// `X-Forwarded-For` that is not theirs. Where the two differ or cannot be read it is the peer's, so a limit
    /// by address must hold for proxies too. IPv4 is always in its own form.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        address::client(peer, headers, &self.trusted)
    }

    /// The buyer of a request. `None` when there is none, when he breaks the rules of a name, or when two
    /// headers name one.
    #[must_use]
    pub fn buyer(&self, headers: &HeaderMap, trusted: bool) -> Option<Buyer> {
        if !trusted {
            return None;
        }
        let mut named = headers.get_all(&self.header).iter();
        let first = named.next()?;
        if named.next().is_some() {
            return None;
        }
        Buyer::new(first.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity::new(&Config::default(), &["127.0.0.0/8".parse().unwrap()])
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn only_one_header_of_a_trusted_peer_counts() {
        let who = |pairs, trusted| identity().buyer(&headers(pairs), trusted);
        assert_eq!(who(&[("x-buyer-id", "a")], true).unwrap().as_str(), "a");
        assert_eq!(who(&[("x-buyer-id", "a")], false), None);
        assert_eq!(who(&[("x-buyer-id", "a"), ("x-buyer-id", "a")], true), None);
        assert_eq!(who(&[("x_buyer_id", "a")], true), None);
        assert_eq!(who(&[("x-buyer-id", "")], true), None);
        assert_eq!(who(&[], true), None);
    }

    #[test]
    fn peers_are_trusted_by_network() {
        assert!(identity().trusts("127.9.9.9".parse().unwrap()));
        assert!(
            identity().trusts("::ffff:127.0.0.1".parse().unwrap()),
            "an IPv4 peer of an IPv6 socket"
        );
        assert!(!identity().trusts("10.0.0.1".parse().unwrap()));
        assert!(!identity().trusts("::1".parse().unwrap()));
    }
}
