//! Mode `jwt`: signed tokens (RFC 7515, 7519) by the advice of RFC 8725. One algorithm, pinned by the settings;
//! what a token says of itself chooses nothing but which of the keys that we hold. The signature is checked
//! before a claim is looked at.

mod der;
mod jwk;
mod key;
#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use key::{Algorithm, BadKeys, Keys};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::clock::Timestamp;
use crate::order::Buyer;

/// The longest token. Those of identity providers are 1 to 4 KiB; a head is at most 16.
const TOKEN_MAX: usize = 8 << 10;

/// Which tokens name a buyer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// The keys, and the one algorithm that they are for.
    pub keys: Keys,
    /// What `iss` must be, if anything.
    pub issuer: Option<String>,
    /// What `aud` must hold. Without it only tokens without an audience are taken.
    pub audience: Option<String>,
    /// How far the clocks of issuer and gateway may differ.
    pub leeway: Duration,
}

/// Why a token names nobody. Buyers are told none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Not three parts of base64url and JSON, too long, or without an expiry.
    Malformed,
    /// Another algorithm, a type that is no JWT, or extensions.
    Header,
    /// No key of ours is meant.
    Key,
    Signature,
    Expired,
    Early,
    Issuer,
    Audience,
    /// `sub` is missing or cannot be a buyer.
    Subject,
}

/// A token that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Good {
    pub(super) buyer: Buyer,
    /// From then on it is expired.
    pub(super) until: Timestamp,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

/// Also when it is null.
fn is_there<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(from).map(|_| true)
}

#[derive(Deserialize)]
struct Claims {
    /// Seconds since 1970, which may have a fraction (RFC 7519, 2).
    exp: f64,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
    sub: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn holds(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(all) => all.iter().any(|one| one == wanted),
        }
    }
}

impl Tokens {
    /// The buyer of a token at `now` by the wall clock.
    pub(super) fn verify(&self, token: &[u8], now: Timestamp) -> Result<Good, Flaw> {
        if token.len() > TOKEN_MAX {
            return Err(Flaw::Malformed);
        }
        let token = std::str::from_utf8(token).map_err(|_| Flaw::Malformed)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Flaw::Malformed)?;
        if claims.contains('.') {
            return Err(Flaw::Malformed);
        }
        let header: Header =
            serde_json::from_slice(&decoded(header)?).map_err(|_| Flaw::Malformed)?;
        if !self.keys.algorithm().is_named(&header.alg) || header.crit || !is_jwt(&header) {
            return Err(Flaw::Header);
        }
        let key = self.keys.meant(header.kid.as_deref()).ok_or(Flaw::Key)?;
        if !key.signed(signed.as_bytes(), &decoded(signature)?) {
            return Err(Flaw::Signature);
        }
        let claims: Claims =
            serde_json::from_slice(&decoded(claims)?).map_err(|_| Flaw::Malformed)?;
        self.claims(claims, now)
    }

    fn claims(&self, claims: Claims, now: Timestamp) -> Result<Good, Flaw> {
        let (now, leeway) = (seconds(now), self.leeway.as_secs_f64());
        let end = claims.exp + leeway;
        if now >= end {
            return Err(Flaw::Expired);
        }
        if claims.nbf.is_some_and(|begin| now + leeway < begin) {
            return Err(Flaw::Early);
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(Flaw::Issuer);
        }
        let meant = match (&self.audience, &claims.aud) {
            (Some(ours), Some(said)) => said.holds(ours),
            // Whoever is not named by an audience must refuse the token (RFC 7519, 4.1.3).
            (ours, said) => ours.is_none() && said.is_none(),
        };
        if !meant {
            return Err(Flaw::Audience);
        }
        let buyer = claims.sub.and_then(|sub| Buyer::new(sub.as_bytes()).ok());
        Ok(Good { buyer: buyer.ok_or(Flaw::Subject)?, until: timestamp(end) })
    }
}

/// `typ` may be left out, or say that it is a JWT or an access token (RFC 9068).
fn is_jwt(header: &Header) -> bool {
    let Some(typ) = &header.typ else { return true };
    let lower = typ.to_ascii_lowercase();
    matches!(lower.strip_prefix("application/").unwrap_or(&lower), "jwt" | "at+jwt")
}

/// Base64url in its one canonical form.
fn decoded(part: &str) -> Result<Vec<u8>, Flaw> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed)
}

#[expect(clippy::cast_precision_loss, reason = "exact to the microsecond until the year 2255")]
fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1e6
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float saturates when it is cast"
)]
fn timestamp(seconds: f64) -> Timestamp {
    Timestamp((seconds * 1e6) as u64)
}
