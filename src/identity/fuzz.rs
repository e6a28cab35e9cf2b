//! Doors for the fuzz targets in `fuzz/`: fields that say who or where somebody is.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, FORWARDED, HeaderName};

use super::jwt::{Algorithm, Keys};
use super::{Network, Tokens, address, bearer};
use crate::clock::Timestamp;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A field that is given so often, if it can be written so.
pub(crate) fn fields(name: &HeaderName, values: &[&[u8]]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, value.to_vec().try_into().ok()?);
    }
    Some(headers)
}

/// Whoever is not trusted says nothing; what a trusted proxy says is an address or the peer's.
pub fn addresses(values: &[&[u8]]) {
    let trusted: [Network; 1] = ["127.0.0.0/8".parse().expect("a network")];
    for name in [FORWARDED, HeaderName::from_static("x-forwarded-for")] {
        let Some(headers) = fields(&name, values) else { return };
        assert_eq!(address::client(PEER, &headers, &[]), PEER);
        let client = address::client(PEER, &headers, &trusted);
        assert_eq!(client, client.to_canonical());
    }
}

/// No token opens that nobody signed.
pub fn token(values: &[&[u8]]) {
    static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
        let keys = Keys::parse(b"0123456789abcdef0123456789abcdef", Algorithm::Hs256);
        let keys = keys.expect("a key that is long enough");
        Tokens { keys, issuer: None, audience: None, leeway: Duration::from_secs(60) }
    });
    let Some(headers) = fields(&AUTHORIZATION, values) else { return };
    for value in headers.get_all(AUTHORIZATION) {
        let Some(token) = bearer::token(value) else { continue };
        assert!(TOKENS.verify(token, Timestamp(1_700_000_000_000_000)).is_err());
    }
}
