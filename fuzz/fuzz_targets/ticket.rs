//! Tickets: nothing but what was minted opens, and it opens to what was minted. The input changes a minted ticket at
//! some places, or stands in for it whole.
#![no_main]

use std::sync::LazyLock;

use forebay::clock::Timestamp;
use forebay::order::{Keyring, Place, SaleSeal, TicketKey};
use forebay::sale::SaleNo;
use libfuzzer_sys::fuzz_target;

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    let keyring = Keyring::default();
    keyring.add(TicketKey { id: 1, secret: [7; 32] }).expect("the first key of that number");
    keyring
});

fn seal() -> SaleSeal {
    KEYRING.seal(1, SaleNo(9), Timestamp(1_700_000_000_000_000)).expect("its key is there")
}

fuzz_target!(|input: &[u8]| {
    // One ticket only: what was minted for another input would open too, and rightly.
    let place = Place { epoch: 1, sequence: 1 };
    let minted = seal().mint(place, Timestamp(1_700_000_001_000_000), 42);
    let ticket = KEYRING.open(minted.as_str()).expect("what was minted opens");
    assert_eq!(ticket.place, place);
    let mut changed = minted.as_str().as_bytes().to_vec();
    for change in input.chunks_exact(2) {
        let at = usize::from(change[0]) % changed.len();
        changed[at] ^= change[1];
    }
    for text in [changed.as_slice(), input] {
        let Ok(text) = std::str::from_utf8(text) else { continue };
        if text != minted.as_str() {
            assert!(KEYRING.open(text).is_none(), "{text} opens, and was not minted");
        }
    }
});
