//! The ticket: 43 bytes as 58 characters of base64url, in one canonical form.
//!
//! Layout, big endian: version 1 · key id 1 · sale number 4 · epoch 2 · sequence 6 · accepted_at 5
//! (milliseconds since the sale was made) · buyer tag 8 · MAC 16 (HMAC-SHA256, cut).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Place;
use crate::sale::SaleNo;

/// Characters of a ticket.
pub const TICKET_CHARS: usize = 58;

pub(super) const VERSION: u8 = 1;
pub(super) const SIGNED: usize = 27;
pub(super) const BYTES: usize = 43;

/// What a ticket says, once its MAC was found good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The key that signed it.
    pub key_id: u8,
    /// The sale.
    pub sale_no: SaleNo,
    /// The order's place in the sale.
    pub place: Place,
    /// Milliseconds from the making of the sale to the acceptance of the order.
    pub accepted_ms: u64,
    /// Hash of the buyer ([`super::SaleSeal::buyer_hash`]).
    pub buyer_tag: u64,
}

impl Ticket {
    pub(super) fn encode(&self) -> [u8; SIGNED] {
        let mut out = [0; SIGNED];
        let sequence = self.place.sequence.to_be_bytes();
        let accepted = self.accepted_ms.min((1 << 40) - 1).to_be_bytes();
        out[0] = VERSION;
        out[1] = self.key_id;
        out[2..6].copy_from_slice(&self.sale_no.0.to_be_bytes());
        out[6..8].copy_from_slice(&self.place.epoch.to_be_bytes());
        out[8..14].copy_from_slice(&sequence[2..]);
        out[14..19].copy_from_slice(&accepted[3..]);
        out[19..27].copy_from_slice(&self.buyer_tag.to_be_bytes());
        out
    }

    /// The fields of bytes whose MAC was found good; `None` for another version.
    pub(super) fn decode(bytes: &[u8; BYTES]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().fold(0, |n, b| n << 8 | u64::from(*b))
        };
        (bytes[0] == VERSION).then(|| Self {
            key_id: bytes[1],
            sale_no: SaleNo(u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]])),
            place: Place {
                epoch: u16::from_be_bytes([bytes[6], bytes[7]]),
                sequence: number(8..14),
            },
            accepted_ms: number(14..19),
            buyer_tag: number(19..27),
        })
    }
}

/// A ticket as clients see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketText([u8; TICKET_CHARS]);

impl TicketText {
    pub(super) fn of(bytes: &[u8; BYTES]) -> Self {
        let mut text = [0; TICKET_CHARS];
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        debug_assert_eq!(written, Ok(TICKET_CHARS));
        Self(text)
    }

    /// The bytes of a text in canonical form; `None` for every other text.
    pub(super) fn bytes(text: &str) -> Option<[u8; BYTES]> {
        if text.len() != TICKET_CHARS {
            return None;
        }
        let mut bytes = [0; BYTES];
        let read = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (read == BYTES).then_some(bytes)
    }

    /// A text of a ticket's length and alphabet, as a store gives it back. Proves nothing.
    #[must_use]
    pub fn unverified(text: &str) -> Option<Self> {
        Self::bytes(text).map(|bytes| Self::of(&bytes))
    }

    /// The ticket as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What the tickets of one sale begin with, and no others: version, key id and sale number are 6 bytes, 8 characters.
#[must_use]
pub fn tickets_of(key_id: u8, sale_no: SaleNo) -> String {
    let mut bytes = [VERSION, key_id, 0, 0, 0, 0];
    bytes[2..].copy_from_slice(&sale_no.0.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

impl fmt::Display for TicketText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TicketText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for TicketText {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}
