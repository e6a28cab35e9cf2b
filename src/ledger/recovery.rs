//! What a ledger that may have lost orders asks of the store, and what it is told.

use crate::clock::Timestamp;
use crate::order::{Buyer, Line, Place};
use crate::sale::SaleNo;

/// Orders of a sale that may be missing: it takes no new ones until the store has said which of them it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The sale.
    pub sale_no: SaleNo,
    /// The key that signed its tickets.
    pub key_id: u8,
    /// From when on their times count.
    pub made_at: Timestamp,
    /// All before this place is there.
    pub first: Place,
}

/// An order that the store has decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it stood in the sale.
    pub place: Place,
    /// Ledger time of its acceptance, as far as its ticket says it: to a millisecond.
    pub accepted_at: Timestamp,
    /// Ledger time of the attempt that the store took.
    pub attempted_at: Timestamp,
    /// Who ordered.
    pub buyer: Buyer,
    /// What was ordered; a store keeps no lines of a refusal.
    pub lines: Vec<Line>,
    /// What became of it.
    pub end: StoredEnd,
}

/// What the store remembers of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredEnd {
    /// It has the order.
    Placed {
        /// The shop's number.
        order_no: String,
    },
    /// It will never take it.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Units of one item as the store has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUnits {
    /// The sale.
    pub sale_no: SaleNo,
    /// The item.
    pub sku: String,
    /// All units that it ever had: those at creation, additions and cuts.
    pub units: u64,
    /// Number of the sale's newest change of stock that the store has had.
    pub newest_change: u64,
}
