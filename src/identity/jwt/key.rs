//! Keys that check signatures, each for one algorithm, and the file that they come from.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use ring::{agreement, hmac, rand, signature};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{der, jwk};

/// The largest key file: a set of many keys takes a few KiB.
const FILE_MAX: u64 = 256 << 10;
/// The shortest secret of HS256 (RFC 7518, 3.2).
const SECRET_MIN: usize = 32;
/// The shortest and longest modulus of RS256 in bytes.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1_024;

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256: whoever checks can also sign.
    #[serde(rename = "HS256")]
    Hs256,
    /// Ed25519.
    #[serde(rename = "EdDSA", alias = "Ed25519")]
    EdDsa,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// Whether a token's `alg` names this one.
    pub(super) fn is_named(self, alg: &str) -> bool {
        match self {
            Self::Hs256 => alg == "HS256",
            // RFC 9864 gives the one curve that is meant its own name.
            Self::EdDsa => alg == "EdDSA" || alg == "Ed25519",
            Self::Es256 => alg == "ES256",
            Self::Rs256 => alg == "RS256",
        }
    }
}

/// A file holds no key that can be used. Says what to do and shows nothing of the file.
#[derive(Debug, thiserror::Error)]
pub enum BadKeys {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// Larger than any set of keys.
    #[error("larger than 256 KiB: this is no key file")]
    TooLarge,
    /// What is in it is not a key of the algorithm.
    #[error("{0}")]
    Unfit(&'static str),
}

/// The keys of a file.
#[derive(Clone, Debug)]
pub struct Keys {
    algorithm: Algorithm,
    /// Of the file's bytes.
    digest: [u8; 32],
    keys: Vec<Named>,
}

#[derive(Clone, Debug)]
pub(super) struct Named {
    /// Its `kid` in a set.
    pub(super) id: Option<String>,
    pub(super) key: Key,
}

/// One key.
#[derive(Clone)]
pub(super) enum Key {
    Secret(hmac::Key),
    Ed25519([u8; 32]),
    /// The point in its uncompressed form.
    P256([u8; 65]),
    Rsa(signature::RsaPublicKeyComponents<Vec<u8>>),
}

impl fmt::Debug for Key {
    /// Never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "HS256",
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
            Self::Rsa(_) => "RS256",
        })
    }
}

impl Key {
    pub(super) fn secret(bytes: &[u8]) -> Result<Self, BadKeys> {
        if bytes.len() < SECRET_MIN || bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(BadKeys::Unfit(
                "HS256 needs a secret of at least 32 random bytes, such as `openssl rand -hex 32` makes",
            ));
        }
        Ok(Self::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, BadKeys> {
        let bytes = bytes.try_into().map_err(|_| BadKeys::Unfit("an Ed25519 key has 32 bytes"))?;
        Ok(Self::Ed25519(bytes))
    }

    pub(super) fn p256(point: &[u8]) -> Result<Self, BadKeys> {
        let bad = BadKeys::Unfit("the key is not a point of P-256 in uncompressed form");
        let Ok(bytes) = point.try_into() else { return Err(bad) };
        // An agreement checks what a signature would only fail on: that the point lies on the curve.
        let there = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, point);
        let here = agreement::EphemeralPrivateKey::generate(
            &agreement::ECDH_P256,
            &rand::SystemRandom::new(),
        );
        let on_curve = here.and_then(|here| agreement::agree_ephemeral(here, &there, |_| ()));
        if on_curve.is_ok() { Ok(Self::P256(bytes)) } else { Err(bad) }
    }

    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, BadKeys> {
        let bare = |number: &[u8]| -> Vec<u8> {
            number.iter().copied().skip_while(|byte| *byte == 0).collect()
        };
        let (n, e) = (bare(n), bare(e));
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        let long = MODULUS.contains(&n.len()) && n.first().is_some_and(|first| *first >= 0x80)
            || n.len() > *MODULUS.start() && n.len() <= *MODULUS.end();
        if !long || !odd(&n) {
            return Err(BadKeys::Unfit("RS256 needs an RSA key of 2048 to 8192 bits"));
        }
        if !odd(&e) || e == [1] || e.len() > 4 {
            return Err(BadKeys::Unfit("the RSA key's exponent must be odd, from 3 to 2^32"));
        }
        Ok(Self::Rsa(signature::RsaPublicKeyComponents { n, e }))
    }

    /// Whether `signature` is this key's over `message`; in constant time for secrets.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let public = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature)
        };
        let checked = match self {
            Self::Secret(key) => hmac::verify(key, message, signature),
            Self::Ed25519(key) => public(&signature::ED25519, key),
            Self::P256(key) => public(&signature::ECDSA_P256_SHA256_FIXED, key),
            Self::Rsa(key) => {
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        checked.is_ok()
    }
}

impl Keys {
    /// The keys of a file: a secret as it is (HS256) or a PEM public key (the others), or for each of them a JWK
    /// or a set of JWKs. Keys of a set that are for something else are passed over.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(file: &Path, algorithm: Algorithm) -> Result<Self, BadKeys> {
        let mut bytes = Vec::new();
        std::fs::File::open(file)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_MAX {
            return Err(BadKeys::TooLarge);
        }
        Self::parse(&bytes, algorithm)
    }

    pub(in crate::identity) fn parse(bytes: &[u8], algorithm: Algorithm) -> Result<Self, BadKeys> {
        let keys = if let Some(keys) = jwk::keys(bytes, algorithm)? {
            keys
        } else if contains(bytes, b"-----BEGIN ") {
            vec![Named { id: None, key: der::public_key(bytes, algorithm)? }]
        } else if algorithm == Algorithm::Hs256 {
            vec![Named { id: None, key: Key::secret(without_line_end(bytes))? }]
        } else {
            return Err(BadKeys::Unfit(
                "this is no public key: write it as PEM (`-----BEGIN PUBLIC KEY-----`) or JWK",
            ));
        };
        Ok(Self { algorithm, digest: Sha256::digest(bytes).into(), keys })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key that a token's `kid` names. A token without one, or a key without one, leaves no choice only when
    /// there is one key.
    pub(super) fn meant(&self, id: Option<&str>) -> Option<&Key> {
        let named = self.keys.iter().find(|named| id.is_some() && named.id.as_deref() == id);
        let only = match self.keys.as_slice() {
            [only] if id.is_none() || only.id.is_none() => Some(only),
            _ => None,
        };
        named.or(only).map(|named| &named.key)
    }
}

impl PartialEq for Keys {
    /// Of the same file's text, for the same algorithm.
    fn eq(&self, other: &Self) -> bool {
        (self.algorithm, self.digest) == (other.algorithm, other.digest)
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A secret that is text may end with its line; one that is not is every byte of the file.
fn without_line_end(bytes: &[u8]) -> &[u8] {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.iter().all(|byte| (0x20..0x7f).contains(byte)) { text } else { bytes }
}
