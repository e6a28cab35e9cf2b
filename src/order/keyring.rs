//! The keys that sign tickets, and what is derived from them for each sale.
//!
//! Invariant: the key of a sale is fixed when the sale is made, so a ticket is the same string for its whole
//! life on every process that has the keyring.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use siphasher::sip::SipHasher24;

use super::ticket::{BYTES, SIGNED};
use super::{ItemLines, Place, Ticket, TicketText};
use crate::clock::Timestamp;
use crate::sale::SaleNo;

/// Bytes of a ticket key.
pub const KEY_BYTES: usize = 32;

/// One secret key and its id. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey {
    /// Stands in each ticket that the key signs.
    pub id: u8,
    /// The secret.
    pub secret: [u8; KEY_BYTES],
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key cannot be taken into a keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Another key has this id.
    #[error("ticket key {0} is there already with another secret: give each key file its own id")]
    Twice(u8),
}

/// All ticket keys that this deployment knows; shared by every part that makes or reads tickets.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: Arc<ArcSwap<Keys>>,
}

/// Each key with its prepared MAC, by id.
type Keys = BTreeMap<u8, (TicketKey, Hmac<Sha256>)>;

impl Keyring {
    /// Adds a key; the same key again changes nothing.
    ///
    /// # Errors
    /// When the id is taken by another secret.
    pub fn add(&self, key: TicketKey) -> Result<(), BadKey> {
        if let Some((known, _)) = self.keys.load().get(&key.id) {
            return if *known == key { Ok(()) } else { Err(BadKey::Twice(key.id)) };
        }
        let mac = prepared(&key.secret);
        self.keys.rcu(|keys| {
            let mut keys = Keys::clone(keys);
            keys.insert(key.id, (key.clone(), mac.clone()));
            keys
        });
        Ok(())
    }

    /// Whether the key's id is taken by another secret.
    #[must_use]
    pub fn clashes(&self, key: &TicketKey) -> bool {
        self.keys.load().get(&key.id).is_some_and(|(known, _)| known != key)
    }

    /// The key with this id.
    #[must_use]
    pub fn key(&self, id: u8) -> Option<TicketKey> {
        self.keys.load().get(&id).map(|(key, _)| key.clone())
    }

    /// The newest key's id, which new sales use.
    #[must_use]
    pub fn newest(&self) -> Option<u8> {
        self.keys.load().keys().next_back().copied()
    }

    /// What signs the tickets of one sale; `None` when the key is not here.
    #[must_use]
    pub fn seal(&self, key_id: u8, sale_no: SaleNo, made_at: Timestamp) -> Option<SaleSeal> {
        let keys = self.keys.load();
        let (key, mac) = keys.get(&key_id)?;
        Some(SaleSeal::new(key, mac.clone(), sale_no, made_at))
    }

    /// What a ticket says; `None` for every text that is not a ticket signed with one of these keys, in its
    /// one canonical form. The MAC is compared in constant time before a field is read.
    #[must_use]
    pub fn open(&self, text: &str) -> Option<Ticket> {
        let bytes = TicketText::bytes(text)?;
        let keys = self.keys.load();
        let (_, mac) = keys.get(&bytes[1])?;
        let mut mac = mac.clone();
        mac.update(&bytes[..SIGNED]);
        mac.verify_truncated_left(&bytes[SIGNED..]).ok()?;
        Ticket::decode(&bytes)
    }
}

fn prepared(secret: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length")
}

/// Signs the tickets of one sale and hashes what belongs to it (buyers, keys, bodies).
///
/// The hashes are keyed by the secret: nobody outside can aim for a collision.
#[derive(Clone)]
pub struct SaleSeal {
    key_id: u8,
    sale_no: SaleNo,
    made_at: Timestamp,
    mac: Hmac<Sha256>,
    hash: SipHasher24,
}

impl fmt::Debug for SaleSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaleSeal").field("sale_no", &self.sale_no).finish_non_exhaustive()
    }
}

impl SaleSeal {
    fn new(key: &TicketKey, mac: Hmac<Sha256>, sale_no: SaleNo, made_at: Timestamp) -> Self {
        let mut derive = mac.clone();
        derive.update(b"forebay buyer hash v1");
        derive.update(&sale_no.0.to_be_bytes());
        let derived: [u8; 32] = derive.finalize().into_bytes().into();
        let mut hash_key = [0; 16];
        hash_key.copy_from_slice(&derived[..16]);
        let hash = SipHasher24::new_with_key(&hash_key);
        Self { key_id: key.id, sale_no, made_at, mac, hash }
    }

    /// 64-bit keyed hash of a buyer in this sale: the holders' set and the tag in tickets.
    #[must_use]
    pub fn buyer_hash(&self, buyer: &str) -> u64 {
        self.hashed(b'b', buyer.as_bytes())
    }

    /// 64-bit keyed hash of an idempotency key. A key belongs to (sale, buyer): the ledger looks it up there.
    #[must_use]
    pub fn key_hash(&self, key: &[u8]) -> u64 {
        self.hashed(b'k', key)
    }

    /// 64-bit keyed hash of the parsed lines and the payload's raw bytes.
    #[must_use]
    pub fn fingerprint(&self, lines: &ItemLines, payload: &[u8]) -> u64 {
        let mut hash = self.hash;
        hash.write_u8(b'f');
        for line in lines.as_slice() {
            hash.write_u16(line.item);
            hash.write_u32(line.quantity);
        }
        hash.write_u8(0xff);
        hash.write(payload);
        hash.finish()
    }

    fn hashed(&self, domain: u8, bytes: &[u8]) -> u64 {
        let mut hash = self.hash;
        hash.write_u8(domain);
        hash.write(bytes);
        hash.finish()
    }

    /// The ticket of an accepted order. The same arguments give the same string, always and everywhere.
    #[must_use]
    pub fn mint(&self, place: Place, accepted_at: Timestamp, buyer_hash: u64) -> TicketText {
        let accepted = accepted_at.since(self.made_at);
        let ticket = Ticket {
            key_id: self.key_id,
            sale_no: self.sale_no,
            place,
            accepted_ms: u64::try_from(accepted.as_millis()).unwrap_or(u64::MAX),
            buyer_tag: buyer_hash,
        };
        let signed = ticket.encode();
        let mut mac = self.mac.clone();
        mac.update(&signed);
        let full = mac.finalize().into_bytes();
        let mut bytes = [0; BYTES];
        bytes[..SIGNED].copy_from_slice(&signed);
        bytes[SIGNED..].copy_from_slice(&full[..BYTES - SIGNED]);
        TicketText::of(&bytes)
    }
}
