use super::*;
use crate::clock::Timestamp;
use crate::sale::SaleNo;

fn keyring() -> Keyring {
    let ring = Keyring::default();
    ring.add(TicketKey { id: 3, secret: [7; KEY_BYTES] }).unwrap();
    ring
}

fn ticket(ring: &Keyring) -> TicketText {
    let seal = ring.seal(3, SaleNo(0xdead_beef), Timestamp(1_000_000)).unwrap();
    let place = Place { epoch: 2, sequence: 77 };
    seal.mint(place, Timestamp(5_000_123), seal.buyer_hash("alice"))
}

#[test]
fn a_ticket_says_what_it_was_made_of() {
    let ring = keyring();
    let text = ticket(&ring);
    assert_eq!(text.as_str().len(), TICKET_CHARS);
    let read = ring.open(text.as_str()).unwrap();
    let seal = ring.seal(3, SaleNo(0xdead_beef), Timestamp(1_000_000)).unwrap();
    assert_eq!(read.place, Place { epoch: 2, sequence: 77 });
    assert_eq!(read.accepted_ms, 4_000);
    assert_eq!(read.buyer_tag, seal.buyer_hash("alice"));
    assert_eq!(ticket(&keyring()), text, "the same on every process");
}

#[test]
fn tickets_of_one_sale_begin_alike_and_no_others_do() {
    let ring = keyring();
    let text = ticket(&ring).to_string();
    assert!(text.starts_with(&tickets_of(3, SaleNo(0xdead_beef))), "{text}");
    for (key_id, sale_no) in [(4, 0xdead_beef), (3, 0xdead_beee), (2, 0xdead_bef0)] {
        assert!(!text.starts_with(&tickets_of(key_id, SaleNo(sale_no))), "{sale_no:x}");
    }
}

#[test]
fn every_flipped_bit_cut_and_extension_is_refused() {
    let ring = keyring();
    let text = ticket(&ring).to_string();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert_eq!(ring.open(&changed), None, "bit {bit} of character {at}");
            }
        }
        assert_eq!(ring.open(&text[..at]), None, "cut at {at}");
    }
    for extra in ["A", "=", "==", "\0", " "] {
        assert_eq!(ring.open(&format!("{text}{extra}")), None);
    }
}

#[test]
fn another_key_opens_nothing() {
    let other = Keyring::default();
    other.add(TicketKey { id: 3, secret: [8; KEY_BYTES] }).unwrap();
    assert_eq!(other.open(ticket(&keyring()).as_str()), None);
    assert_eq!(other.add(TicketKey { id: 3, secret: [9; KEY_BYTES] }), Err(BadKey::Twice(3)));
}

#[test]
fn nothing_follows_a_terminal_state() {
    for from in State::ALL {
        for to in State::ALL {
            if from.is_terminal() {
                assert!(!may_follow(from, to), "{from:?} to {to:?}");
            }
        }
        assert_eq!(State::from_code(from.code()), Some(from));
    }
}

#[test]
fn a_buyer_is_checked() {
    assert!(Buyer::new(b"").is_err());
    assert!(Buyer::new(&[b'a'; 129]).is_err());
    assert!(Buyer::new(b"a\nb").is_err());
    assert!(Buyer::new(&[0xff]).is_err());
    assert_eq!(Buyer::new("名前 {a}:*".as_bytes()).unwrap().as_str(), "名前 {a}:*");
}
