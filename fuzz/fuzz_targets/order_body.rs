//! The body of an order call: whatever it is, it is an order within the bounds or a refusal, and reading it again
//! gives the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| forebay::http::fuzz::order_body(body));
