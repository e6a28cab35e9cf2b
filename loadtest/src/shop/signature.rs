//! Whether a request was signed by whoever shares the secret (Standard Webhooks). Written again here, so that it is
//! not the gateway's own code that judges the gateway's signatures.

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use sha2::Sha256;

use crate::clock;

/// How far its clock and ours may differ.
const TOLERANCE_SECONDS: i64 = 300;

#[derive(Clone)]
pub(super) struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    /// Of the first line of a file.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let line = text.lines().next().unwrap_or_default();
        ensure!(!line.is_empty(), "the first line is empty: it is the secret");
        Ok(Self(match line.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).context("behind whsec_ is no Base64")?,
            None => line.as_bytes().to_vec(),
        }))
    }

    /// Why a request is not taken for signed; `None` when it is.
    pub(super) fn refusal(&self, headers: &HeaderMap, body: &[u8]) -> Option<&'static str> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(id), Some(timestamp), Some(signatures)) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
        else {
            return Some("it is not signed");
        };
        let now = clock::wall_micros() / 1_000_000;
        let is_fresh = timestamp
            .parse::<i64>()
            .is_ok_and(|then| (now.saturating_sub(then)).abs() <= TOLERANCE_SECONDS);
        if !is_fresh {
            return Some("its time is not now");
        }
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return Some("no secret") };
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        let is_right = |signature: &str| {
            let bytes = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
            bytes.is_some_and(|bytes| mac.clone().verify_slice(&bytes).is_ok())
        };
        (!signatures.split(' ').any(is_right)).then_some("its signature is wrong")
    }
}
