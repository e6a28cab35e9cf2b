//! What goes over the seam about sales and the drain's settings.

use serde::Serialize;

use super::recovery::StoredUnits;
use crate::clock::Timestamp;
use crate::order::Place;
use crate::sale::{Rate, SaleName, SaleNo, Sku, Terms};

/// Why a sale is not made anew.
pub(super) const NOT_HALTED: &str = "the sale is whole: there is nothing to rebuild";

/// Counters of one item. `initial + added − cut = available + held + sold` (L1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemCensus {
    /// The item.
    pub sku: Sku,
    /// Units at its creation.
    pub initial: u64,
    /// Units added later.
    pub added: u64,
    /// Units cut later.
    pub cut: u64,
    /// Units that can be ordered.
    pub available: u64,
    /// Units of orders that are not terminal.
    pub held: u64,
    /// Units of orders that ended `placed` or `paid`.
    pub sold: u64,
}

/// Counters of one sale, read at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Census {
    /// Each item.
    pub items: Vec<ItemCensus>,
    /// Orders ever accepted; the sum of the states below.
    pub accepted: u64,
    /// Never claimed.
    pub queued: u64,
    /// Claimed, fate unknown.
    pub placing: u64,
    /// At the store.
    pub placed: u64,
    /// Paid.
    pub paid: u64,
    /// Refused by the store.
    pub refused: u64,
    /// Cancelled by their buyers.
    pub cancelled: u64,
    /// Not paid in time.
    pub expired: u64,
    /// Given up by the drain.
    pub dead: u64,
    /// Lost in a failover.
    pub lost: u64,
    /// Age of the oldest order that waits, queued or come back; 0 when none waits.
    pub oldest_waiting_ms: u64,
    /// The epoch in force.
    pub epoch: u16,
    /// Goes up with each change of terms, switches or stock.
    pub revision: u64,
}

/// One sale as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleDoc {
    /// Its number.
    pub sale_no: SaleNo,
    /// Its name.
    pub name: SaleName,
    /// Its terms; every item's `stock` is its initial stock.
    pub terms: Terms,
    /// Ledger time of its creation; tickets count from here.
    pub made_at: Timestamp,
    /// The key that signs its tickets.
    pub key_id: u8,
    /// Intake stopped by an operator.
    pub paused: bool,
    /// Closed by an operator.
    pub closed: bool,
    /// Purged: only name and census are left.
    pub purged: bool,
    /// The loosest `limit_per_buyer` that was ever in force; `None` when once there was none. A buyer may hold
    /// what an earlier limit allowed.
    pub limit_loosest: Option<u64>,
    /// Number of the newest [`crate::sale::StockChange`].
    pub stock_changes: u64,
    /// Ledger time for which all of this is true.
    pub as_of: Timestamp,
    /// Counters.
    pub census: Census,
}

/// Where the drain's rate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainOrigin {
    /// An operator set it; beats every file until it is set to null.
    Operator,
    /// `[drain] rate` of the process that started or reloaded last.
    Config,
}

/// A stretch of ledger time with one pace, for `verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceEra {
    /// From this instant.
    pub from: Timestamp,
    /// The rate.
    pub rate: Rate,
    /// The burst; unlimited rates have none.
    pub burst: Option<u32>,
}

/// The drain's settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainDoc {
    /// The rate in force.
    pub rate: Rate,
    /// The burst in force: the most that is granted at one instant. `None` with an unlimited rate.
    pub burst: Option<u32>,
    /// Nothing is granted.
    pub paused: bool,
    /// Why it is paused: `operator` or `refusal_storm`.
    pub reason: Option<Box<str>>,
    /// What the file says.
    pub configured_rate: Rate,
    /// Who set the rate in force.
    pub origin: DrainOrigin,
    /// The paces since the ledger was made, oldest first; only the last
    /// [`crate::ledger::book::ERAS_MAX`] are kept.
    pub eras: Vec<PaceEra>,
}

/// What an operator changes at the drain; `None` leaves as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainPatch {
    /// `Some(None)` goes back to the file.
    pub rate: Option<Option<Rate>>,
    /// `Some(None)` goes back to the file's burst, or to `auto`.
    pub burst: Option<Option<u32>>,
    /// Pause or resume. Resuming empties the refusal window.
    pub paused: Option<bool>,
}

/// Some of the dead orders of a sale, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All that are dead now.
    All,
    /// These.
    Places(Vec<Place>),
}

/// A change by an operator, by the configuration, or by the clock. Randomness comes in by parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes or amends a sale.
    PutSale {
        /// Its name.
        name: SaleName,
        /// All its terms.
        terms: Terms,
        /// Random numbers to choose from, for a new sale.
        numbers: [SaleNo; 4],
        /// The key for a new sale.
        key_id: u8,
        /// Only make: a sale that is there stays as it is (`[[sale]]` of the configuration).
        only_new: bool,
    },
    /// Stops the intake.
    Pause(SaleName),
    /// Starts it again.
    Resume(SaleName),
    /// Closes for good, but for a later `closes_at`.
    Close(SaleName),
    /// Drops the sale's tickets; only when closed and nothing is queued, placing or dead.
    Purge(SaleName),
    /// Makes a halted sale anew from what processes remember and what the store has.
    Rebuild {
        /// The sale.
        sale: SaleName,
        /// What the store says of the stock of all sales.
        store: Vec<StoredUnits>,
    },
    /// Adds or cuts units, once by operation id.
    Stock {
        /// The sale.
        sale: SaleName,
        /// The item.
        sku: Sku,
        /// Units added, or cut when negative; not 0.
        delta: i64,
        /// The operation's id.
        operation: String,
    },
    /// `[drain]` of this process's configuration.
    DrainConfig {
        /// The rate.
        rate: Rate,
        /// The burst; `None` is `auto`.
        burst: Option<u32>,
    },
    /// An operator's change of the drain.
    Drain(DrainPatch),
    /// Dead orders go back to the queue.
    RetryDead {
        /// The sale.
        sale: SaleName,
        /// Which of them.
        which: Which,
    },
    /// A dead order that was voided at the store, or found refused there, is refused.
    RefuseDead {
        /// The sale.
        sale: SaleName,
        /// The order.
        place: Place,
        /// Why.
        reason: String,
    },
    /// A dead order turned out to be at the store.
    PlaceDead {
        /// The sale.
        sale: SaleName,
        /// The order.
        place: Place,
        /// The shop's number.
        order_no: String,
    },
    /// Purges sales whose tickets are past their retention, and forgets purged ones past theirs.
    Retain {
        /// Microseconds after a sale closed and all was terminal.
        tickets_micros: u64,
        /// Microseconds after that too.
        sales_micros: u64,
    },
}

/// The answer to a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A sale was made.
    Created(Box<SaleDoc>),
    /// The sale as it is now, changed or as it was.
    Sale(Box<SaleDoc>),
    /// The drain as it is now.
    Drain(Box<DrainDoc>),
    /// How many orders or sales were changed.
    Count(u64),
    /// There is no such sale, sku or order.
    NotFound,
    /// The change breaks a rule. `code` is the stable name of the admin API.
    Conflict {
        /// Stable name: `sku_removed`, `stock_fixed`, `stock_missing`, `not_settled`, `operation_reused`,
        /// `below_available`, `bad_delta`, `purged`, `bad_terms`, `not_dead`.
        code: &'static str,
        /// What to do.
        detail: String,
    },
}
