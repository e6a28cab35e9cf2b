//! A client's address: its peer, or, behind trusted proxies, what those proxies say.
//!
//! Each proxy adds the address that it took the request from at the right. So the list is read from the right,
//! over trusted proxies, up to the first address that is not one of them; what stands left of it was written by
//! the client. Where that cannot be told, the answer is the peer's own address and never one that a client can
//! choose.

mod forwarded;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};

use super::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// One entry of a list: where a proxy took the request from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hop {
    Address(IpAddr),
    /// The proxy does not know it, does not tell it, or what it says cannot be read.
    Hidden,
}

/// A field that is not of its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

/// The address that a request came from, an IPv4 address always in its own form. `headers` are read only when
/// the peer is one of the `trusted`.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let peer = peer.to_canonical();
    let trusts = |address: IpAddr| trusted.iter().any(|network| network.holds(address));
    if !trusts(peer) {
        return peer;
    }
    let plain = farthest(headers, &X_FORWARDED_FOR, plain, trusts);
    let forwarded = farthest(headers, &FORWARDED, forwarded::hops, trusts);
    match (plain, forwarded) {
        (Some(Hop::Address(address)), None) | (None, Some(Hop::Address(address))) => address,
        // A proxy that keeps one of the two passes the other on as the client wrote it, and nothing says which.
        (Some(Hop::Address(one)), Some(Hop::Address(other))) if one == other => one,
        _ => peer,
    }
}

/// The right-most entry that is not trusted, or the left-most one when all are; `None` without any.
///
/// Read from the left without keeping the list: each entry on the right either ends the walk at itself or, when
/// it is trusted, hands it on to what stands left of it.
fn farthest(
    headers: &HeaderMap,
    name: &HeaderName,
    hops: impl Fn(&[u8], &mut dyn FnMut(Hop)) -> Result<(), Malformed>,
    trusts: impl Fn(IpAddr) -> bool,
) -> Option<Hop> {
    let mut reached = None;
    for line in headers.get_all(name) {
        let read = hops(line.as_bytes(), &mut |hop| match hop {
            Hop::Address(address) if reached.is_some() && trusts(address) => {}
            hop => reached = Some(hop),
        });
        if read == Err(Malformed) {
            reached = Some(Hop::Hidden);
        }
    }
    reached
}

/// The entries of one `X-Forwarded-For`: addresses, some with a port, between commas. One that cannot be read
/// is hidden; the others are what they are, because a comma always parts entries here.
fn plain(line: &[u8], each: &mut dyn FnMut(Hop)) -> Result<(), Malformed> {
    for entry in line.split(|byte| *byte == b',') {
        let entry = entry.trim_ascii();
        if !entry.is_empty() {
            let address = std::str::from_utf8(entry).ok().and_then(address);
            each(address.map_or(Hop::Hidden, Hop::Address));
        }
    }
    Ok(())
}

/// An address as proxies write it: alone, with a port, an IPv6 one also in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.parse().ok();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse().ok().map(|socket: SocketAddr| socket.ip());
    bare.or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}
