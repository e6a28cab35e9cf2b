//! Orders and buyers as they lie in memory: a waiting order is 64 bytes, its buyer 32 and the name, its key and
//! buyer look-ups some 5 to 10 bytes each. What only claimed orders need is beside them ([`Tries`]).

use hashbrown::HashTable;

use crate::clock::Timestamp;
use crate::ledger::{AttemptNote, LeaseId};
use crate::order::{ItemLine, ItemLines, State};

/// `item` of an order with several lines; `quantity` is then an index into the sale's multi-line orders.
const MULTI: u16 = u16::MAX;

/// One order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) accepted_at: Timestamp,
    /// Zero before the first claim.
    pub(super) attempted_at: Timestamp,
    /// Zero while it is not settled.
    pub(super) settled_at: Timestamp,
    pub(super) key: u64,
    pub(super) fingerprint: u64,
    /// Where its payload lies in the journal.
    pub(super) payload_at: u64,
    pub(super) buyer: u32,
    quantity: u32,
    item: u16,
    pub(super) payload_len: u16,
    pub(super) version: u16,
    pub(super) attempts: u8,
    pub(super) state: State,
}

/// What an order asks for, in the form in which it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    item: u16,
    quantity: u32,
}

/// Lines of orders with several.
#[derive(Clone, Debug, Default)]
pub(super) struct MultiLines(pub(super) Vec<Box<[ItemLine]>>);

impl MultiLines {
    pub(super) fn keep(&mut self, lines: &ItemLines) -> Asked {
        match lines {
            ItemLines::One(line) => Asked { item: line.item, quantity: line.quantity },
            ItemLines::Many(lines) => {
                let quantity = u32::try_from(self.0.len()).expect("indexes of orders fit 32 bits");
                self.0.push(lines.clone());
                Asked { item: MULTI, quantity }
            }
        }
    }

    pub(super) fn of(&self, order: &Order) -> ItemLines {
        if order.item == MULTI {
            let lines = self.0.get(order.quantity as usize).cloned();
            return ItemLines::Many(lines.unwrap_or_default());
        }
        ItemLines::One(ItemLine { item: order.item, quantity: order.quantity })
    }
}

impl Order {
    pub(super) fn new(at: Timestamp, key: u64, fingerprint: u64, buyer: u32, asked: Asked) -> Self {
        Self {
            accepted_at: at,
            attempted_at: Timestamp(0),
            settled_at: Timestamp(0),
            key,
            fingerprint,
            payload_at: 0,
            buyer,
            quantity: asked.quantity,
            item: asked.item,
            payload_len: 0,
            version: 1,
            attempts: 0,
            state: State::Queued,
        }
    }

    /// For snapshots: what [`MultiLines::keep`] gave.
    pub(super) fn asked(&self) -> (u16, u32) {
        (self.item, self.quantity)
    }

    pub(super) fn restore_asked(item: u16, quantity: u32) -> Asked {
        Asked { item, quantity }
    }
}

/// What is known of an order from its first claim until it is terminal, dead orders included.
#[derive(Clone, Debug, Default)]
pub(super) struct Tries {
    /// The lease that it is under.
    pub(super) lease: Option<(LeaseId, Timestamp)>,
    /// When it is due again; `None` under a lease and when dead.
    pub(super) due: Option<Timestamp>,
    /// Claims so far.
    pub(super) claims: u32,
    /// Claims that ended without an answer while the store answered other orders.
    pub(super) unanswered: u8,
    /// How many answers the store had given when the order was claimed last.
    pub(super) answers_at_claim: u64,
    /// Its attempts, the last ones.
    pub(super) notes: Vec<AttemptNote>,
}

/// A buyer with a ticket in this sale.
#[derive(Clone, Copy, Debug)]
pub(super) struct BuyerEntry {
    pub(super) hash: u64,
    /// Units of his orders that are live: neither refused, cancelled, expired nor lost.
    pub(super) units: u64,
    name_at: u32,
    /// Index of his newest order.
    pub(super) newest: u32,
    name_len: u8,
}

/// A buyer's name, about; room for more is found when it is needed.
const NAME_LEN: usize = 16;

/// All buyers of a sale: one arena of names and a table by hash.
#[derive(Clone, Debug, Default)]
pub(super) struct Buyers {
    names: Vec<u8>,
    pub(super) entries: Vec<BuyerEntry>,
    table: HashTable<u32>,
}

impl Buyers {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            names: Vec::with_capacity(count * NAME_LEN),
            entries: Vec::with_capacity(count),
            table: HashTable::with_capacity(count),
        }
    }

    pub(super) fn name(&self, buyer: u32) -> &str {
        let Some(entry) = self.entries.get(buyer as usize) else { return "" };
        let from = entry.name_at as usize;
        let bytes = self.names.get(from..from + usize::from(entry.name_len));
        std::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    }

    pub(super) fn find(&self, hash: u64, name: &str) -> Option<u32> {
        self.table.find(hash, |buyer| self.name(*buyer) == name).copied()
    }

    pub(super) fn find_or_add(&mut self, hash: u64, name: &str) -> u32 {
        if let Some(buyer) = self.find(hash, name) {
            return buyer;
        }
        let buyer =
            u32::try_from(self.entries.len()).expect("there are no more buyers than orders");
        let name_at =
            u32::try_from(self.names.len()).expect("the sale admits no buyer beyond this");
        let name_len = u8::try_from(name.len()).expect("a buyer is at most 128 bytes");
        self.names.extend_from_slice(name.as_bytes());
        self.entries.push(BuyerEntry { hash, units: 0, name_at, newest: 0, name_len });
        let entries = &self.entries;
        self.table.insert_unique(hash, buyer, |other| entries[*other as usize].hash);
        buyer
    }

    /// Whether a name of this length can still be kept.
    pub(super) fn has_room(&self, name_len: usize) -> bool {
        u32::try_from(self.names.len() + name_len).is_ok()
    }

    pub(super) fn bytes(&self) -> usize {
        self.names.len()
            + self.entries.len() * size_of::<BuyerEntry>()
            + self.table.allocation_size()
    }
}

/// Orders by (buyer, key).
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    table: HashTable<u32>,
}

/// One hash for a key that belongs to a buyer; both parts are keyed hashes or small numbers already.
fn key_hash(buyer: u32, key: u64) -> u64 {
    (key ^ u64::from(buyer).wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

impl Keys {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { table: HashTable::with_capacity(count) }
    }

    pub(super) fn find(&self, orders: &[Order], buyer: u32, key: u64) -> Option<u32> {
        let same = |index: &u32| {
            orders
                .get(*index as usize)
                .is_some_and(|order| order.buyer == buyer && order.key == key)
        };
        self.table.find(key_hash(buyer, key), same).copied()
    }

    /// Adds the order at `index`, which is in `orders` already.
    pub(super) fn add(&mut self, orders: &[Order], index: u32) {
        let hash = |index: &u32| {
            orders.get(*index as usize).map_or(0, |order| key_hash(order.buyer, order.key))
        };
        self.table.insert_unique(hash(&index), index, hash);
    }

    pub(super) fn bytes(&self) -> usize {
        self.table.allocation_size()
    }
}
