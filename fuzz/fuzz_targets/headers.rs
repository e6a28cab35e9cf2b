//! Header fields that clients write: `Idempotency-Key`, `Prefer`, `Content-Type`, `Forwarded`, `X-Forwarded-For` and
//! `Authorization`; the query with its `wait`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| forebay::http::fuzz::headers(input));
