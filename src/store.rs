//! The seam to where orders end. The store knows no ledger.
//!
//! - **S1** Placing a ticket again gives the first result; a refusal is remembered too.
//! - **S2** A result in doubt is never taken as refused: the store is asked (`find`), or the same ticket is
//!   placed again.
//! - **S3** One answer for each order of a batch; one bad row harms no other.
//! - **S4** Place and void of one ticket exclude each other at the store.
//!
//! `find` and `void` are not attempts: they need no grant of the pacer.

pub mod http;
mod metered;
pub mod mysql;
pub mod simulated;
#[cfg(test)]
mod suite;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
pub use metered::Metered;

use crate::clock::Timestamp;
use crate::order::{Buyer, Line, Place, TicketText};
use crate::sale::{SaleName, SaleNo, StockChange};

/// One attempt at one order.
#[derive(Clone, Debug)]
pub struct PlaceOrder {
    /// The order's identity at the store.
    pub ticket: TicketText,
    /// The sale's number; with the sku it names the stock row.
    pub sale_no: SaleNo,
    /// The sale's name.
    pub sale: SaleName,
    /// Who ordered.
    pub buyer: Buyer,
    /// Epoch and sequence.
    pub place: Place,
    /// All or nothing.
    pub lines: Vec<Line>,
    /// Raw JSON that only the shop understands; empty when there was none.
    pub payload: bytes::Bytes,
    /// Ledger time of acceptance.
    pub accepted_at: Timestamp,
    /// Ledger time of this attempt's grant.
    pub attempted_at: Timestamp,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The store had confirmed this order before it lost it: whatever is in its way now must not refuse it for good.
    /// Only a store that knows [`Store::number_of`] gets such orders.
    pub confirmed: bool,
}

/// What became of an attempt at one order. None of these is an error of the store's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The store has the order, from this attempt or an earlier one.
    Placed {
        /// The shop's number for the order.
        order_no: String,
    },
    /// The store will never take the order; it remembers that.
    Refused {
        /// Why, as the ticket's `reason`.
        reason: String,
    },
    /// The ticket was voided before; the order never reached the shop and never will.
    Voided,
    /// Nothing happened; try again.
    Later(Later),
    /// It may have happened: ask with `find`, or place the same ticket again.
    InDoubt {
        /// What was seen.
        reason: String,
    },
    /// Nobody can say what became of an earlier attempt, and to ask or to try again tells no more: an operator
    /// must look.
    Conflict {
        /// What the store said.
        reason: String,
    },
}

/// Nothing happened to this order at the store; it may be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// Closed set of causes, for metrics and the ticket's timeline.
    pub cause: LaterCause,
    /// What was seen, for the operator.
    pub reason: String,
    /// The store asked not to be tried sooner; slows the whole sink.
    pub after: Option<Duration>,
}

/// Why the store took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaterCause {
    /// The answer was about this order (deadlock, lock wait): spends one of its attempts.
    ThisOrder,
    /// No connection, too many connections, read-only, time-outs, 5xx, 429: spends no attempt and counts for
    /// the breaker.
    StoreAway,
    /// Rights or schema are wrong (`store_misconfigured`): refuses nothing, spends no attempt.
    Misconfigured,
}

impl LaterCause {
    /// The cause's metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ThisOrder => "order",
            Self::StoreAway => "store_away",
            Self::Misconfigured => "store_misconfigured",
        }
    }
}

/// What the store holds for a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An order.
    Placed {
        /// The shop's number for it.
        order_no: String,
    },
    /// A remembered refusal.
    Refused {
        /// Why.
        reason: String,
    },
    /// A void.
    Voided,
    /// Nothing.
    NotThere,
    /// The store could not be asked.
    Unknown {
        /// What was seen.
        reason: String,
    },
}

/// The store could not do what was asked; nothing is known to have happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct StoreError {
    /// What kind of failure.
    pub cause: LaterCause,
    /// What was seen, and what the operator can do.
    pub reason: String,
}

/// One row of `forebay_orders`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// The ticket, as the store has it.
    pub ticket: String,
    /// From 1.
    pub line: u32,
    /// The sale's number.
    pub sale_no: SaleNo,
    /// `None` for refused and void.
    pub sku: Option<String>,
    /// Who ordered.
    pub buyer: String,
    /// `None` for refused and void.
    pub quantity: Option<u64>,
    /// `placed`, `refused`, `void`.
    pub state: String,
    /// The same on all lines of an order.
    pub order_no: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Ledger time of the attempt that the store took.
    pub attempted_at: Timestamp,
}

/// One row of `forebay_stock`, for `verify`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockRow {
    /// The sale's number.
    pub sale_no: SaleNo,
    /// The item.
    pub sku: String,
    /// Units at creation, adds and cuts included.
    pub initial: u64,
    /// Units left at the store.
    pub available: u64,
    /// Number of the sale's newest [`StockChange`] that the store has.
    pub newest_change: u64,
}

/// Rows of a store, in order of (ticket, line), a page at a time.
#[derive(Clone, Debug, Default)]
pub struct OrderPage {
    /// The rows; all lines of an order are on one page.
    pub rows: Vec<OrderRow>,
    /// Ask again with this ticket as `after`; `None` at the end.
    pub next: Option<String>,
}

/// How much of what a store holds can be compared with the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparable {
    /// Every row, and the stock.
    All,
    /// It can be asked for each order that should be there.
    Placed,
    /// Nothing.
    None,
}

/// What a store holds. Reads only.
pub trait StoreRows: Send + Sync + fmt::Debug {
    /// How much can be compared. Below `All` nothing is listed.
    fn comparable(&self) -> Comparable {
        Comparable::All
    }

    /// What it holds for each ticket, where that is all that can be asked.
    fn look_up(&self, tickets: Vec<TicketText>) -> BoxFuture<'_, Vec<Found>> {
        let reason = "this store lists what it holds".to_owned();
        Box::pin(async move { vec![Found::Unknown { reason }; tickets.len()] })
    }

    /// A page of order rows after a ticket; nothing where orders cannot be listed.
    fn order_rows(&self, after: Option<String>) -> BoxFuture<'_, Result<OrderPage, StoreError>>;

    /// All stock rows; nothing where the stock is the shop's own business.
    fn stock_rows(&self) -> BoxFuture<'_, Result<Vec<StockRow>, StoreError>>;
}

/// Where orders end. Batch-first: one call, one answer for each.
pub trait Store: StoreRows {
    /// Attempts each order; answers in the order asked (S3). The caller bounds the time.
    fn place(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Placement>>;

    /// What the store holds for each ticket.
    fn find(&self, tickets: Vec<TicketText>) -> BoxFuture<'_, Vec<Found>>;

    /// Makes sure that no attempt at these orders will ever succeed (S4). `Found::Voided` when that is so;
    /// `Placed` or `Refused` when the store had decided before.
    fn void(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Found>>;

    /// Whether [`Self::void`] can make sure of that.
    fn can_void(&self) -> bool {
        true
    }

    /// The number that the order of a ticket always gets here. Only where a store can say that, and can be asked what it
    /// has, what it lost can be placed again.
    fn number_of(&self, _ticket: &TicketText) -> Option<String> {
        None
    }

    /// Applies numbered stock changes, each once. Must be done before an order of their claim is placed.
    fn stock(&self, changes: Vec<StockChange>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// How many calls of `place` are worth having in flight at once.
    fn concurrency_max(&self) -> usize;
}

/// A store that is handed around.
pub type SharedStore = Arc<dyn Store>;
