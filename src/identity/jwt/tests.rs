//! Tokens of every algorithm, signed here with real keys, and some that another implementation signed.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
};
use ring::{hmac, signature};
use serde_json::{Value, json};

use super::*;

const ALL: [Algorithm; 4] =
    [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_800_000_000;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/identity/", $name))
    };
}

const RSA_PUBLIC: &[u8] = fixture!("rsa-public.pem");
const RSA_PKCS1: &[u8] = fixture!("rsa-public-pkcs1.pem");
const RSA_1024: &[u8] = fixture!("rsa1024-public.pem");
const RSA_PRIVATE: &[u8] = fixture!("rsa-private.pem");
const ED25519: &[u8] = fixture!("ed25519-public.pem");
const P256: &[u8] = fixture!("p256-public.pem");
const P384: &[u8] = fixture!("p384-public.pem");
const CERTIFICATE: &[u8] = fixture!("certificate.pem");
const SET: &[u8] = fixture!("keys.json");
const TOKENS: &[u8] = fixture!("tokens.txt");

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn name(algorithm: Algorithm) -> String {
    serde_json::to_value(algorithm).unwrap().as_str().unwrap().to_owned()
}

/// An issuer with a key of its own.
enum Issuer {
    Secret(Vec<u8>),
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Issuer {
    fn new(algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        match algorithm {
            Algorithm::Hs256 => Self::Secret(SECRET.to_vec()),
            Algorithm::EdDsa => {
                let key = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Self::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
            }
            Algorithm::Es256 => {
                let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
                let key = key.unwrap();
                let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
                Self::P256(EcdsaKeyPair::from_pkcs8(signing, key.as_ref(), &random).unwrap())
            }
            Algorithm::Rs256 => {
                let (_, key) = spki::der::pem::decode_vec(RSA_PRIVATE).unwrap();
                Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(&key).unwrap()))
            }
        }
    }

    /// Its public half, or its secret, as a JWK.
    fn jwk(&self) -> Value {
        match self {
            Self::Secret(secret) => json!({"kty": "oct", "k": encoded(secret)}),
            Self::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(key.public_key())})
            }
            Self::P256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y)})
            }
            Self::Rsa(key) => {
                let public = signature::RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "n": encoded(public.n), "e": encoded(public.e)})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Secret(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::P256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn token(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        let signature = encoded(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn tokens(&self, algorithm: Algorithm) -> Tokens {
        tokens(self.jwk().to_string().as_bytes(), algorithm)
    }
}

fn tokens(file: &[u8], algorithm: Algorithm) -> Tokens {
    Tokens {
        keys: Keys::parse(file, algorithm).unwrap(),
        issuer: Some("https://shop.example".to_owned()),
        audience: Some("forebay".to_owned()),
        leeway: Duration::from_secs(60),
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn claims() -> Value {
    json!({"iss": "https://shop.example", "aud": "forebay", "sub": "buyer-1", "exp": NOW + 300})
}

/// The claims with some others instead; null takes one away.
fn with(changed: Value) -> String {
    let mut claims = claims();
    for (name, value) in changed.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims.to_string()
}

fn header(algorithm: Algorithm) -> String {
    json!({"alg": name(algorithm), "typ": "JWT"}).to_string()
}

#[test]
fn a_good_token_names_the_buyer_until_it_expires() {
    for algorithm in ALL {
        let issuer = Issuer::new(algorithm);
        let tokens = issuer.tokens(algorithm);
        let token = issuer.token(&header(algorithm), &claims().to_string());
        let good = tokens.verify(token.as_bytes(), at(NOW)).unwrap();
        assert_eq!(good.buyer.as_str(), "buyer-1", "{algorithm:?}");
        assert_eq!(good.until, at(NOW + 360));
        let last = Timestamp(good.until.0 - 1);
        assert_eq!(tokens.verify(token.as_bytes(), last).unwrap().until, good.until);
        assert_eq!(tokens.verify(token.as_bytes(), good.until), Err(Flaw::Expired));
    }
}

#[test]
fn tokens_of_another_implementation_are_taken_with_each_form_of_key() {
    let files: &[(Algorithm, &[&[u8]])] = &[
        (Algorithm::Hs256, &[SECRET, b"0123456789abcdef0123456789abcdef\r\n"]),
        (Algorithm::EdDsa, &[ED25519, SET]),
        (Algorithm::Es256, &[P256, SET]),
        (Algorithm::Rs256, &[RSA_PUBLIC, RSA_PKCS1, SET]),
    ];
    let text = std::str::from_utf8(TOKENS).unwrap();
    for ((algorithm, files), line) in files.iter().zip(text.lines()) {
        let (alg, token) = line.split_once(' ').unwrap();
        assert!(algorithm.is_named(alg));
        for file in *files {
            let good = tokens(file, *algorithm).verify(token.as_bytes(), at(NOW)).unwrap();
            assert_eq!(good.buyer.as_str(), "buyer-é-1", "{alg}");
        }
    }
}

#[test]
fn what_may_vary_may() {
    let issuer = Issuer::new(Algorithm::Hs256);
    let tokens = issuer.tokens(Algorithm::Hs256);
    for header in [
        json!({"alg": "HS256"}),
        json!({"alg": "HS256", "typ": "jwt"}),
        json!({"alg": "HS256", "typ": "at+JWT", "x": [1]}),
        json!({"alg": "HS256", "typ": "application/at+jwt", "kid": "any"}),
    ] {
        let token = issuer.token(&header.to_string(), &claims().to_string());
        assert!(tokens.verify(token.as_bytes(), at(NOW)).is_ok(), "{header}");
    }
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for changed in [
        json!({"aud": ["x", "forebay"]}),
        json!({"exp": 1_800_000_000.5}),
        json!({"exp": NOW - 59}),
        json!({"exp": 1e300}),
        json!({"nbf": NOW + 60}),
        json!({"sub": "é".repeat(64)}),
        json!({"roles": vec!["a"; 800], "deep": serde_json::from_str::<Value>(&deep).unwrap()}),
    ] {
        let token = issuer.token(&header(Algorithm::Hs256), &with(changed.clone()));
        assert!(tokens.verify(token.as_bytes(), at(NOW)).is_ok(), "{changed}");
    }
    let ed = Issuer::new(Algorithm::EdDsa);
    let token = ed.token("{\"alg\":\"Ed25519\"}", &claims().to_string());
    assert!(ed.tokens(Algorithm::EdDsa).verify(token.as_bytes(), at(NOW)).is_ok());
    let open = Tokens { issuer: None, audience: None, ..tokens };
    let token = issuer.token(&header(Algorithm::Hs256), &with(json!({"aud": null, "iss": null})));
    assert!(open.verify(token.as_bytes(), at(NOW)).is_ok());
    let token = issuer.token(&header(Algorithm::Hs256), &claims().to_string());
    assert_eq!(open.verify(token.as_bytes(), at(NOW)), Err(Flaw::Audience));
}

#[test]
fn claims_that_do_not_hold_are_refused() {
    for (changed, flaw) in [
        (json!({"exp": NOW - 60}), Flaw::Expired),
        (json!({"exp": -1}), Flaw::Expired),
        (json!({"exp": null}), Flaw::Malformed),
        (json!({"exp": "1900000000"}), Flaw::Malformed),
        (json!({"exp": [NOW + 300]}), Flaw::Malformed),
        (json!({"exp": true}), Flaw::Malformed),
        (json!({"nbf": NOW + 61}), Flaw::Early),
        (json!({"nbf": "0"}), Flaw::Malformed),
        (json!({"iss": null}), Flaw::Issuer),
        (json!({"iss": "https://shop.example/"}), Flaw::Issuer),
        (json!({"iss": ["https://shop.example"]}), Flaw::Malformed),
        (json!({"aud": null}), Flaw::Audience),
        (json!({"aud": "Forebay"}), Flaw::Audience),
        (json!({"aud": []}), Flaw::Audience),
        (json!({"aud": [["forebay"]]}), Flaw::Malformed),
        (json!({"aud": {"forebay": true}}), Flaw::Malformed),
        (json!({"sub": null}), Flaw::Subject),
        (json!({"sub": ""}), Flaw::Subject),
        (json!({"sub": "a\nb"}), Flaw::Subject),
        (json!({"sub": "a".repeat(129)}), Flaw::Subject),
        (json!({"sub": 7}), Flaw::Malformed),
    ] {
        let issuer = Issuer::new(Algorithm::Hs256);
        let token = issuer.token(&header(Algorithm::Hs256), &with(changed.clone()));
        let found = issuer.tokens(Algorithm::Hs256).verify(token.as_bytes(), at(NOW));
        assert_eq!(found, Err(flaw), "{changed}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let issuer = Issuer::new(Algorithm::Hs256);
    let tokens = issuer.tokens(Algorithm::Hs256);
    let head = header(Algorithm::Hs256);
    let good = issuer.token(&head, &claims().to_string());
    let doubled = "{\"exp\":1900000000,\"aud\":\"forebay\",\"iss\":\"https://shop.example\",\"sub\":\"a\",\"sub\":\"b\"}";
    for token in [
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        good.replace('.', ""),
        format!("{good}.{}", encoded("x")),
        format!("{good}="),
        format!(" {good}"),
        good.replacen('.', "=.", 1),
        good.replace('_', "/").replace('-', "+") + "+",
        issuer.token("[]", &claims().to_string()),
        issuer.token("{\"typ\":\"JWT\"}", &claims().to_string()),
        issuer.token("{\"alg\":\"HS256\",\"alg\":\"HS256\"}", &claims().to_string()),
        issuer.token(&head, "7"),
        issuer.token(&head, doubled),
        issuer.token(&head, &with(json!({"exp": 1})).replace("\"exp\":1,", "\"exp\":1e400,")),
        issuer.token(&head, &"[".repeat(5_000)),
        issuer.token(&head, &with(json!({"x": "y".repeat(8 << 10)}))),
        "é".repeat(100),
    ] {
        let found = tokens.verify(token.as_bytes(), at(NOW));
        assert_eq!(found, Err(Flaw::Malformed), "{}", &token[..token.len().min(200)]);
    }
    assert_eq!(tokens.verify(b"\xff.\xff.\xff", at(NOW)), Err(Flaw::Malformed));
}

#[test]
fn headers_choose_nothing() {
    let issuer = Issuer::new(Algorithm::Hs256);
    let tokens = issuer.tokens(Algorithm::Hs256);
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": "hs256"}),
        json!({"alg": "HS384"}),
        json!({"alg": "RS256"}),
        json!({"alg": ""}),
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"alg": "HS256", "crit": []}),
        json!({"alg": "HS256", "crit": null}),
        json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        json!({"alg": "HS256", "typ": "dpop+jwt"}),
        json!({"alg": "HS256", "typ": "JOSE"}),
        json!({"alg": "HS256", "typ": ""}),
    ] {
        let token = issuer.token(&header.to_string(), &claims().to_string());
        assert_eq!(tokens.verify(token.as_bytes(), at(NOW)), Err(Flaw::Header), "{header}");
        let unsigned = &token[..=token.rfind('.').unwrap()];
        assert!(tokens.verify(unsigned.as_bytes(), at(NOW)).is_err(), "{header}");
    }
    // A key of the attacker's own in the header changes nothing.
    let other = Issuer::Secret(b"another secret of 32 bytes and more".to_vec());
    let own = json!({"alg": "HS256", "jwk": other.jwk(), "jku": "http://evil.example/keys.json"});
    let token = other.token(&own.to_string(), &claims().to_string());
    assert_eq!(tokens.verify(token.as_bytes(), at(NOW)), Err(Flaw::Signature));
}

/// Whoever knows a public key signs with its bytes as if they were a secret.
#[test]
fn a_public_key_is_no_secret() {
    for (algorithm, file) in
        [(Algorithm::EdDsa, ED25519), (Algorithm::Es256, P256), (Algorithm::Rs256, RSA_PUBLIC)]
    {
        let (_, der) = spki::der::pem::decode_vec(file).unwrap();
        for secret in [file.to_vec(), file.trim_ascii_end().to_vec(), der] {
            let forger = Issuer::Secret(secret);
            for alg in ["HS256".to_owned(), name(algorithm)] {
                let head = json!({"alg": alg}).to_string();
                let token = forger.token(&head, &claims().to_string());
                let found = tokens(file, algorithm).verify(token.as_bytes(), at(NOW));
                assert!(matches!(found, Err(Flaw::Header | Flaw::Signature)), "{found:?}");
            }
        }
        assert!(Keys::parse(file, Algorithm::Hs256).is_err(), "nor may it be set as one");
    }
}

#[test]
fn every_algorithm_refuses_every_other_signature() {
    for signer in ALL {
        let issuer = Issuer::new(signer);
        for verifier in ALL.into_iter().filter(|verifier| *verifier != signer) {
            let tokens = Issuer::new(verifier).tokens(verifier);
            for head in [header(signer), header(verifier)] {
                let token = issuer.token(&head, &claims().to_string());
                assert!(
                    tokens.verify(token.as_bytes(), at(NOW)).is_err(),
                    "{signer:?} {verifier:?}"
                );
            }
        }
    }
}

#[test]
fn signatures_have_one_form() {
    let random = SystemRandom::new();
    let signed = format!("{}.{}", encoded(header(Algorithm::Es256)), encoded(claims().to_string()));
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let fixed = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let issuer = Issuer::P256(EcdsaKeyPair::from_pkcs8(fixed, pkcs8.as_ref(), &random).unwrap());
    let asn1 = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let asn1 = EcdsaKeyPair::from_pkcs8(asn1, pkcs8.as_ref(), &random).unwrap();
    let asn1 = asn1.sign(&random, signed.as_bytes()).unwrap();
    for signature in [asn1.as_ref(), &[0; 64][..], &[0; 0]] {
        let token = format!("{signed}.{}", encoded(signature));
        let found = issuer.tokens(Algorithm::Es256).verify(token.as_bytes(), at(NOW));
        assert_eq!(found, Err(Flaw::Signature));
    }
    let issuer = Issuer::new(Algorithm::Rs256);
    let Issuer::Rsa(key) = &issuer else { unreachable!() };
    let signed = format!("{}.{}", encoded(header(Algorithm::Rs256)), encoded(claims().to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA512, &random, signed.as_bytes(), &mut signature).unwrap();
    let token = format!("{signed}.{}", encoded(signature));
    let found = issuer.tokens(Algorithm::Rs256).verify(token.as_bytes(), at(NOW));
    assert_eq!(found, Err(Flaw::Signature));
}

/// K-1: every bit turned, every cut, and something behind it.
#[test]
fn nothing_of_a_token_can_be_changed() {
    for algorithm in ALL {
        let issuer = Issuer::new(algorithm);
        let tokens = issuer.tokens(algorithm);
        let token = issuer.token(&header(algorithm), &claims().to_string()).into_bytes();
        assert!(tokens.verify(&token, at(NOW)).is_ok());
        for at_bit in 0..token.len() * 8 {
            let mut turned = token.clone();
            turned[at_bit / 8] ^= 1 << (at_bit % 8);
            assert!(tokens.verify(&turned, at(NOW)).is_err(), "{algorithm:?} bit {at_bit}");
        }
        for length in 0..token.len() {
            assert!(tokens.verify(&token[..length], at(NOW)).is_err(), "{algorithm:?} {length}");
        }
        for more in [&b"A"[..], b"AAAA", b".", b"=", b"\0"] {
            assert!(tokens.verify(&[&token, more].concat(), at(NOW)).is_err());
        }
    }
}

#[test]
fn a_set_is_chosen_from_by_kid() {
    let (one, two) = (Issuer::new(Algorithm::EdDsa), Issuer::new(Algorithm::EdDsa));
    let named = |issuer: &Issuer, kid: &str| {
        let mut jwk = issuer.jwk();
        jwk["kid"] = kid.into();
        jwk
    };
    let other = Issuer::new(Algorithm::Rs256).jwk();
    let set = json!({"keys": [named(&one, "1"), other, named(&two, "2")]}).to_string();
    let tokens = tokens(set.as_bytes(), Algorithm::EdDsa);
    let found = |issuer: &Issuer, header: Value| {
        let token = issuer.token(&header.to_string(), &claims().to_string());
        tokens.verify(token.as_bytes(), at(NOW)).map(|good| good.buyer.to_string())
    };
    assert!(found(&one, json!({"alg": "EdDSA", "kid": "1"})).is_ok());
    assert!(found(&two, json!({"alg": "EdDSA", "kid": "2"})).is_ok());
    assert_eq!(found(&one, json!({"alg": "EdDSA", "kid": "2"})), Err(Flaw::Signature));
    assert_eq!(found(&one, json!({"alg": "EdDSA", "kid": "3"})), Err(Flaw::Key));
    assert_eq!(found(&one, json!({"alg": "EdDSA"})), Err(Flaw::Key));
}

#[test]
fn a_key_file_that_cannot_be_used_says_what_to_do() {
    let mut off_curve = Issuer::new(Algorithm::Es256).jwk();
    off_curve["y"] = encoded([1; 32]).into();
    let off_curve = off_curve.to_string();
    let jwk = |algorithm| Issuer::new(algorithm).jwk();
    let and = |mut jwk: Value, member: &str, value: Value| {
        jwk[member] = value;
        jwk.to_string()
    };
    let private = and(jwk(Algorithm::EdDsa), "d", "AA".into());
    let encryption = and(jwk(Algorithm::Rs256), "use", "enc".into());
    let signs = and(jwk(Algorithm::Rs256), "key_ops", json!(["sign"]));
    let short = json!({"kty": "oct", "k": encoded("short")}).to_string();
    let twice = json!({"keys": [jwk(Algorithm::EdDsa), jwk(Algorithm::EdDsa)]}).to_string();
    let two_blocks = [ED25519, ED25519].concat();
    let table: &[(&[u8], Algorithm, &str)] = &[
        (b"", Algorithm::Hs256, "at least 32"),
        (b"0123456789abcdef0123456789abcde\n", Algorithm::Hs256, "at least 32"),
        (&[b'a'; 64], Algorithm::Hs256, "at least 32"),
        (short.as_bytes(), Algorithm::Hs256, "at least 32"),
        (RSA_PUBLIC, Algorithm::Hs256, "this is a PEM"),
        (b"", Algorithm::EdDsa, "no public key"),
        (SECRET, Algorithm::Rs256, "no public key"),
        (RSA_PUBLIC, Algorithm::EdDsa, "another algorithm"),
        (ED25519, Algorithm::Es256, "another algorithm"),
        (P384, Algorithm::Es256, "another algorithm"),
        (RSA_1024, Algorithm::Rs256, "2048"),
        (RSA_PRIVATE, Algorithm::Rs256, "private key"),
        (CERTIFICATE, Algorithm::Rs256, "certificate"),
        (&RSA_PUBLIC[..200], Algorithm::Rs256, "cannot be read"),
        (&two_blocks, Algorithm::EdDsa, "one public key"),
        (off_curve.as_bytes(), Algorithm::Es256, "not a point"),
        (private.as_bytes(), Algorithm::EdDsa, "private key"),
        (encryption.as_bytes(), Algorithm::Rs256, "another algorithm"),
        (signs.as_bytes(), Algorithm::Rs256, "another algorithm"),
        (twice.as_bytes(), Algorithm::EdDsa, "`kid`"),
        (SET, Algorithm::Hs256, "no key of the set"),
        (b"{\"keys\":[]}", Algorithm::EdDsa, "no key of the set"),
        (b"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", Algorithm::Rs256, "missing"),
        (b"{", Algorithm::Rs256, "neither a JWK"),
    ];
    for (file, algorithm, word) in table {
        let error = Keys::parse(file, *algorithm).unwrap_err().to_string();
        assert!(error.contains(word), "{algorithm:?}: {error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large");
    std::fs::File::create(&large).unwrap().set_len(1 << 20).unwrap();
    assert!(matches!(Keys::read(&large, Algorithm::Hs256), Err(BadKeys::TooLarge)));
    assert!(matches!(Keys::read(directory.path(), Algorithm::Hs256), Err(BadKeys::Unreadable(_))));
    let shown = format!("{:?}", Keys::parse(SECRET, Algorithm::Hs256).unwrap());
    assert!(!shown.contains("0123"), "{shown}");
}

#[test]
fn a_binary_secret_is_every_byte_of_its_file() {
    let secret: Vec<u8> = (0..36).map(|byte| byte * 7).chain([b'\n']).collect();
    let issuer = Issuer::Secret(secret.clone());
    let token = issuer.token(&header(Algorithm::Hs256), &claims().to_string());
    assert!(tokens(&secret, Algorithm::Hs256).verify(token.as_bytes(), at(NOW)).is_ok());
}
