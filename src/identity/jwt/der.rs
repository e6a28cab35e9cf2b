//! Public keys in PEM: `PUBLIC KEY` (RFC 5280) and, for RSA, `RSA PUBLIC KEY` (RFC 8017).

use spki::der::asn1::UintRef;
use spki::der::{Decode as _, Reader as _, SliceReader, pem};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::key::{Algorithm, BadKeys, Key};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

const BROKEN: BadKeys = BadKeys::Unfit("the PEM cannot be read: write one public key in one block");

/// The one public key of a PEM file.
pub(super) fn public_key(file: &[u8], algorithm: Algorithm) -> Result<Key, BadKeys> {
    if algorithm == Algorithm::Hs256 {
        // Whoever knows a public key could sign with it as if it were the secret.
        return Err(BadKeys::Unfit("HS256 needs a secret, and this is a PEM file"));
    }
    let (label, bytes) = pem::decode_vec(file).map_err(|_| BROKEN)?;
    match label {
        "PUBLIC KEY" => by_algorithm(&bytes, algorithm),
        "RSA PUBLIC KEY" if algorithm == Algorithm::Rs256 => rsa(&bytes),
        "CERTIFICATE" => Err(BadKeys::Unfit(
            "this is a certificate: take its key, `openssl x509 -pubkey -noout -in CERTIFICATE`",
        )),
        label if label.ends_with("PRIVATE KEY") => Err(BadKeys::Unfit(
            "this is a private key, which only the issuer may have: `openssl pkey -pubout` makes the public one",
        )),
        _ => Err(BROKEN),
    }
}

fn by_algorithm(bytes: &[u8], algorithm: Algorithm) -> Result<Key, BadKeys> {
    let info = SubjectPublicKeyInfoRef::from_der(bytes).map_err(|_| BROKEN)?;
    let key = info.subject_public_key.as_bytes().ok_or(BROKEN)?;
    let curve = || info.algorithm.parameters_oid().ok();
    match (info.algorithm.oid, algorithm) {
        (ED25519, Algorithm::EdDsa) => Key::ed25519(key),
        (EC, Algorithm::Es256) if curve() == Some(P256) => Key::p256(key),
        (RSA, Algorithm::Rs256) => rsa(key),
        _ => Err(BadKeys::Unfit("the key is for another algorithm than identity.algorithm")),
    }
}

/// `SEQUENCE { modulus INTEGER, exponent INTEGER }`.
fn rsa(bytes: &[u8]) -> Result<Key, BadKeys> {
    let read = || {
        let mut reader = SliceReader::new(bytes)?;
        let pair = reader.sequence(|inside| {
            Ok::<_, spki::der::Error>((UintRef::decode(inside)?, UintRef::decode(inside)?))
        })?;
        reader.finish()?;
        Ok::<_, spki::der::Error>(pair)
    };
    let (n, e) = read().map_err(|_| BROKEN)?;
    Key::rsa(n.as_bytes(), e.as_bytes())
}
