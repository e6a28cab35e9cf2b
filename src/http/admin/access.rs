//! Who may use the admin listener, and for what.

use std::net::SocketAddr;

use hyper::header::{AUTHORIZATION, HeaderMap};

use super::origin::Hosts;
use super::route::Resource;
use super::token::Tokens;

/// The listener could be reached from elsewhere and asks for no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "[admin] listen = \"{0}\" can be reached from other machines: name a `token_file`, or listen on a \
     loopback address such as 127.0.0.1:9180"
)]
pub struct Exposed(pub SocketAddr);

/// The rules of one listener.
///
/// Invariant: without tokens the listener is on a loopback address.
#[derive(Clone, Debug)]
pub struct Access {
    pub(super) hosts: Hosts,
    tokens: Option<Tokens>,
    metrics_open: bool,
}

/// No token, one that is nobody's, or two headers, of which nobody can say which one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Denied;

impl Access {
    /// Rules for a listener on `listen`. `named` are `[admin] hosts`; with `metrics_open`, `/metrics` needs no
    /// token.
    ///
    /// # Errors
    /// When the listener is off loopback and there is no token.
    pub fn new(
        listen: SocketAddr,
        named: &[String],
        tokens: Option<Tokens>,
        metrics_open: bool,
    ) -> Result<Self, Exposed> {
        if tokens.is_none() && !listen.ip().to_canonical().is_loopback() {
            return Err(Exposed(listen));
        }
        Ok(Self { hosts: Hosts::new(named, listen), tokens, metrics_open })
    }

    /// Whether the same people have the same tokens under both.
    #[must_use]
    pub fn same_tokens(&self, other: &Self) -> bool {
        self.tokens == other.tokens
    }

    /// Who asks; `local` where no tokens are asked for. An unknown path needs a token like the others.
    pub(super) fn who(
        &self,
        resource: Option<Resource<'_>>,
        headers: &HeaderMap,
    ) -> Result<&str, Denied> {
        let Some(tokens) = &self.tokens else { return Ok("local") };
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let only = given.next().filter(|_| given.next().is_none());
        if let Some(who) = only.and_then(|value| tokens.who(bearer(value.as_bytes())?)) {
            return Ok(who);
        }
        let open = resource.is_some_and(|resource| {
            resource.is_probe() || (self.metrics_open && resource == Resource::Metrics)
        });
        if open { Ok("nobody") } else { Err(Denied) }
    }
}

/// The token of `Bearer TOKEN`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}
