//! The header `Forwarded` (RFC 7239): `for=192.0.2.7;proto=https, for="[2001:db8::1]:4711"`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Hop, Malformed};

/// Calls `each` for every element from the left. An element that does not say `for` is hidden. Quoted strings may
/// hold commas, so nothing can be told from a line in which one thing is malformed: what was called before the
/// error does not count.
pub(super) fn hops(line: &[u8], each: &mut dyn FnMut(Hop)) -> Result<(), Malformed> {
    let mut rest = Rest(line);
    loop {
        if let Some(hop) = rest.element()? {
            each(hop);
        }
        rest.blanks();
        match rest.next() {
            None => return Ok(()),
            Some(b',') => {}
            Some(_) => return Err(Malformed),
        }
    }
}

/// What of a line is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    /// Pairs between semicolons; `None` when there is none, which lists allow.
    fn element(&mut self) -> Result<Option<Hop>, Malformed> {
        let mut hop = None;
        let mut pairs = false;
        loop {
            self.blanks();
            if !matches!(self.0.first(), None | Some(b',' | b';')) {
                let (name, value) = self.pair()?;
                pairs = true;
                if name.eq_ignore_ascii_case(b"for") && hop.replace(node(value)?).is_some() {
                    return Err(Malformed);
                }
                self.blanks();
            }
            match self.0.first() {
                Some(b';') => self.next(),
                _ => return Ok(hop.or(pairs.then_some(Hop::Hidden))),
            };
        }
    }

    fn pair(&mut self) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        let name = self.token()?;
        if self.next() != Some(b'=') {
            return Err(Malformed);
        }
        let value = if self.0.first() == Some(&b'"') { self.quoted()? } else { self.token()? };
        Ok((name, value))
    }

    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.0.iter().take_while(|byte| is_token(**byte)).count();
        let (token, rest) = self.0.split_at(length);
        self.0 = rest;
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    /// What stands between quotes, escapes as they are written: no node needs one.
    fn quoted(&mut self) -> Result<&'a [u8], Malformed> {
        self.next();
        let whole = self.0;
        loop {
            match self.next().ok_or(Malformed)? {
                b'"' => return Ok(&whole[..whole.len() - self.0.len() - 1]),
                b'\\' if self.next().is_none() => return Err(Malformed),
                _ => {}
            }
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `192.0.2.7`, `[2001:db8::1]`, `unknown` or `_name`, each with or without a port.
fn node(text: &[u8]) -> Result<Hop, Malformed> {
    let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
    if let Some(inside) = text.strip_prefix('[') {
        let (address, port) = inside.split_once(']').ok_or(Malformed)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Malformed)?;
        let port =
            if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(Malformed)?) };
        return with_port(Hop::Address(IpAddr::V6(address).to_canonical()), port);
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let hop = match name {
        _ if name.eq_ignore_ascii_case("unknown") || is_obscured(name) => Hop::Hidden,
        _ => Hop::Address(name.parse::<Ipv4Addr>().map_err(|_| Malformed)?.into()),
    };
    with_port(hop, port)
}

fn with_port(hop: Hop, port: Option<&str>) -> Result<Hop, Malformed> {
    let fits = |port: &str| {
        is_obscured(port)
            || port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    if port.is_none_or(fits) { Ok(hop) } else { Err(Malformed) }
}

/// A name that a proxy made up so as not to tell the true one.
fn is_obscured(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(fits))
}
