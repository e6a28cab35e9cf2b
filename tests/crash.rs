//! The embedded ledger and death: a process killed at each of its system calls and at random moments, a power
//! cut at each moment, a disk that is full or broken. Whatever was acknowledged is there afterwards.
//!
//! The process that dies is this binary, started again (`crash/child.rs`). `strace` injects the faults: where it
//! is missing or may not trace, these tests fail and say so. FOREBAY_TEST_SCALE=20 takes every step of what is
//! a product of two loops; at 1 a twentieth of it.

#[path = "crash/after.rs"]
mod after;
#[path = "crash/child.rs"]
mod child;
#[path = "crash/faults.rs"]
mod faults;
#[path = "crash/kills.rs"]
mod kills;
#[path = "crash/load.rs"]
mod load;
#[path = "crash/model.rs"]
mod model;
#[path = "crash/power.rs"]
mod power;
#[path = "crash/random.rs"]
mod random;
#[path = "crash/script.rs"]
mod script;
#[path = "crash/strace.rs"]
mod strace;
#[path = "crash/trace.rs"]
mod trace;

/// How much longer the long loops run: `FOREBAY_TEST_SCALE`, 1 by default.
fn scale() -> usize {
    std::env::var("FOREBAY_TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}
