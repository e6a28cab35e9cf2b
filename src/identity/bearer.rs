//! `Authorization: Bearer TOKEN`, and the memory of tokens that were found good.

use std::sync::{Mutex, PoisonError};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};

use super::jwt::{Flaw, Tokens};
use super::meters::{TokenMeters, TokenOutcome};
use super::remembered::{Remembered, digest};
use super::{Challenge, Refusal};
use crate::clock::SharedClock;
use crate::order::Buyer;

/// Tokens that are remembered, at least.
const REMEMBERED: usize = 65_536;

/// Reads buyers off their tokens.
#[derive(Debug)]
pub(super) struct Bearer {
    tokens: Tokens,
    /// A buyer brings the same token with each poll, and a public key's signature takes longer to check than all
    /// the rest of a poll.
    good: Mutex<Remembered<Buyer>>,
    clock: SharedClock,
    meters: TokenMeters,
}

impl Bearer {
    pub(super) fn new(tokens: Tokens, clock: SharedClock) -> Self {
        let good = Mutex::new(Remembered::new(REMEMBERED));
        Self { tokens, good, clock, meters: TokenMeters::new() }
    }

    pub(super) fn buyer(&self, headers: &HeaderMap) -> Result<Buyer, Refusal> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let Some(first) = given.next() else {
            return Err(Refusal::Unknown(Challenge::Token));
        };
        let named = match (token(first), given.next()) {
            (Some(token), None) => self.verified(first, token),
            _ => Err(Flaw::Malformed),
        };
        named.map_err(|flaw| {
            self.meters.token(TokenOutcome::Refused(flaw));
            Refusal::Unknown(Challenge::BadToken)
        })
    }

    fn verified(&self, header: &HeaderValue, token: &[u8]) -> Result<Buyer, Flaw> {
        let now = self.clock.wall();
        let digest = digest([header]);
        let good = || self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buyer) = good().get(&digest, now.0) {
            self.meters.token(TokenOutcome::Remembered);
            return Ok(buyer.clone());
        }
        let found = self.tokens.verify(token, now)?;
        self.meters.token(TokenOutcome::Accepted);
        good().put(digest, found.buyer.clone(), found.until.0);
        Ok(found.buyer)
    }
}

/// What follows the scheme, which is written in any case.
pub(super) fn token(header: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = header.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii_start())
}
