//! What the ledger reads from the disk: a segment, records that pass their checksums, a snapshot.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| forebay::ledger::embedded::fuzz::journal(input));
