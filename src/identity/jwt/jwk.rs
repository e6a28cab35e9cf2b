//! Keys in JSON (RFC 7517): one JWK, or a set.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::key::{Algorithm, BadKeys, Key, Named};

/// The most keys of a set.
const KEYS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Set { keys: Vec<Jwk> },
    One(Box<Jwk>),
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    kid: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private half.
    d: Option<IgnoredAny>,
}

/// The keys of a JSON file for one algorithm; `None` when it is no JSON object.
pub(super) fn keys(file: &[u8], algorithm: Algorithm) -> Result<Option<Vec<Named>>, BadKeys> {
    if file.trim_ascii_start().first() != Some(&b'{') {
        return Ok(None);
    }
    let document = serde_json::from_slice(file).map_err(|_| {
        BadKeys::Unfit("this is neither a JWK nor a set of JWKs (`{\"keys\":[…]}`)")
    })?;
    let (all, is_set) = match document {
        Document::Set { keys } => (keys, true),
        Document::One(one) => (vec![*one], false),
    };
    let fitting = all.iter().filter(|jwk| jwk.is_for(algorithm));
    let named = fitting.map(|jwk| jwk.named(algorithm)).collect::<Result<Vec<_>, _>>()?;
    let ids: HashSet<_> = named.iter().map(|named| named.id.as_deref()).collect();
    if named.is_empty() {
        return Err(BadKeys::Unfit(if is_set {
            "no key of the set is for identity.algorithm"
        } else {
            "the key is for another algorithm than identity.algorithm"
        }));
    }
    let unclear = ids.len() < named.len() || named.len() > 1 && ids.contains(&None);
    if named.len() > KEYS_MAX || unclear {
        return Err(BadKeys::Unfit("a set holds at most 64 keys, each with a `kid` of its own"));
    }
    Ok(Some(named))
}

impl Jwk {
    /// Whether it checks signatures of the algorithm.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::Hs256 => ("oct", None),
            Algorithm::EdDsa => ("OKP", Some("Ed25519")),
            Algorithm::Es256 => ("EC", Some("P-256")),
            Algorithm::Rs256 => ("RSA", None),
        };
        (self.kty.as_str(), self.crv.as_deref()) == kind
            && self.alg.as_deref().is_none_or(|alg| algorithm.is_named(alg))
            && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"))
    }

    fn named(&self, algorithm: Algorithm) -> Result<Named, BadKeys> {
        if self.d.is_some() {
            return Err(BadKeys::Unfit(
                "this is a private key, which only the issuer may have: leave `d` and what follows from it out",
            ));
        }
        let key = match algorithm {
            Algorithm::Hs256 => Key::secret(&bytes(self.k.as_deref())?),
            Algorithm::EdDsa => Key::ed25519(&bytes(self.x.as_deref())?),
            Algorithm::Es256 => {
                let coordinates = [bytes(self.x.as_deref())?, bytes(self.y.as_deref())?];
                Key::p256(&[&[4][..], &coordinates[0], &coordinates[1]].concat())
            }
            Algorithm::Rs256 => Key::rsa(&bytes(self.n.as_deref())?, &bytes(self.e.as_deref())?),
        };
        Ok(Named { id: self.kid.clone(), key: key? })
    }
}

fn bytes(member: Option<&str>) -> Result<Vec<u8>, BadKeys> {
    let decoded = member.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    decoded.ok_or(BadKeys::Unfit("a member of the JWK is missing or is not base64url"))
}
