//! The seam to the ledger: the durable book of stock, buyers' limits and the queue.
//!
//! The laws that every engine keeps; the shared suite and `verify` check them (DESIGN section 2 has them whole):
//!
//! - **L1 Conservation.** For each sale and sku, at one instant: `initial + added − cut = available + held +
//!   sold`, all ≥ 0; and accepted orders = the sum over the states.
//! - **L2 Durable before 202.** Nothing is visible (answer, tail, poll, census, metric) before its commit.
//! - **L3 One atomic step.** Stock, limit, key and enqueue change together or not at all; idempotent by
//!   (sale, buyer, key). Inside it the order is: key, phase, limit, stock, backlog.
//! - **L4 Leases.** A claim is durable before the store hears of the order. A lease that ends unsettled
//!   returns the order; an old lease can neither release nor retry.
//! - **L5 Terminal is terminal.** Stock and limit come back together, at most once, and only by a cancel of a
//!   never claimed order of the epoch in force, or after the store answered Refused or Voided.
//! - **L6 Order.** Claims are in sequence order within a sale, but for orders that came back.
//! - **L7 Pace.** Over any window at most `burst + rate × window` grants, restarts included.
//! - **L8 Known first.** A buyer whose order with this key was accepted gets his first ticket, in every phase.
//!
//! Ordinary refusals are values. A [`Fault`] says one of three things: nothing happened, it may have, or stop.

pub mod book;
pub mod embedded;
mod metered;
mod orders;
mod recovery;
pub mod redis;
mod ring;
mod sales;
#[cfg(test)]
pub(crate) mod suite;
mod tail;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
pub use metered::Metered;
pub use orders::{
    AttemptNote, Bound, Cancel, Cancelled, Claim, Claimed, ClaimedOrder, DeadDoc, DeadPage,
    ExportPage, Fate, Grant, LeaseId, OrderDoc, Page, Receipt, Reserve, Reserved, Settle, Settled,
    Timeline,
};
pub use recovery::{Missing, Stored, StoredEnd, StoredUnits};
pub use sales::{
    Census, Change, Changed, DrainDoc, DrainOrigin, DrainPatch, ItemCensus, PaceEra, SaleDoc, Which,
};
pub use tail::{
    ENDED, EpochSpan, Level, SaleSnapshot, Snapshot, Tail, TailEntry, TailEvent, TailId,
};

use crate::order::Place;
use crate::sale::{SaleName, SaleNo};

/// How to recover from a fault; the only thing that callers branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing happened.
    Unavailable,
    /// It may have happened: ask again with the same keys.
    InDoubt,
    /// What is on disk cannot be trusted: stop.
    Corrupt,
}

/// The ledger could not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Fault {
    /// How to recover.
    pub kind: FaultKind,
    /// What was seen and what the operator can do.
    pub reason: Arc<str>,
}

impl Fault {
    /// Nothing happened.
    #[must_use]
    pub fn unavailable(reason: &str) -> Self {
        Self { kind: FaultKind::Unavailable, reason: reason.into() }
    }

    /// It may have happened.
    #[must_use]
    pub fn in_doubt(reason: &str) -> Self {
        Self { kind: FaultKind::InDoubt, reason: reason.into() }
    }
}

/// An answer of the ledger, or a fault of all of the call.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Fault>>;

/// The durable book of stock, limits and the queue. Batch-first; every write is idempotent, so that a call in
/// doubt is simply made again.
pub trait Ledger: Send + Sync + fmt::Debug {
    /// Takes or refuses each order, in the order given: stock, limit, key and enqueue in one step each (L3).
    fn reserve(&self, orders: Vec<Reserve>) -> Answer<'_, Vec<Reserved>>;

    /// Cancels orders that were accepted in the epoch in force and never claimed (L5 a).
    fn cancel(&self, orders: Vec<Cancel>) -> Answer<'_, Vec<Cancelled>>;

    /// Permits for up to `want` attempts of one sale, now (L7). Holds the deployment's rate and the sale's
    /// `drain_rate`. What is granted and not used within 50 ms of its claim is lost.
    fn grant(&self, sale: SaleNo, want: u32) -> Answer<'_, Grant>;

    /// Takes up to `max` due orders under a lease (L4, L6): those that came back first, then in sequence.
    fn claim(&self, claim: Claim) -> Answer<'_, Claimed>;

    /// Records what became of claimed orders; one answer each.
    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Settled>>;

    /// Terms, stock, pause, drain settings, dead orders. Idempotent.
    fn change(&self, change: Change) -> Answer<'_, Changed>;

    /// One sale with its census: one atomic read of counters.
    fn census(&self, sale: SaleName) -> Answer<'_, Option<SaleDoc>>;

    /// All sales with their census, by name; purged ones too until they are forgotten.
    fn sales(&self) -> Answer<'_, Vec<SaleDoc>>;

    /// The drain's settings in force.
    fn drain(&self) -> Answer<'_, DrainDoc>;

    /// All that the ledger keeps about orders; `None` where there is no such order.
    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Answer<'_, Vec<Option<OrderDoc>>>;

    /// One order with its attempts.
    fn timeline(&self, sale: SaleNo, place: Place) -> Answer<'_, Option<Timeline>>;

    /// Orders in admission order from index `from` (0 at first), at most `max`; each true when read.
    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, ExportPage>;

    /// Dead orders in admission order from index `from`, at most `max`, with what was said last of each.
    fn dead(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, DeadPage>;

    /// All that a gateway remembers, as of one tail id.
    fn snapshot(&self) -> Answer<'_, Snapshot>;

    /// Committed tail entries after `after`, oldest first, at most `max`; empty when there are none.
    fn tail(&self, after: TailId, max: usize) -> Answer<'_, Tail>;

    /// Resolves when there may be a tail entry after `after`.
    fn news(&self, after: TailId) -> BoxFuture<'_, ()>;

    /// Resolves when the ledger may have lost orders of which the store may know: [`Self::answer_for`] them. An engine
    /// that takes nobody's word for orders never asks.
    fn missing(&self) -> BoxFuture<'_, Missing> {
        Box::pin(std::future::pending())
    }

    /// Tells what the store has of orders that may be missing; those that are there stay as they are. With `all` the
    /// store has no more of them, and what nobody else remembers is lost. Answers how many came back by this.
    fn answer_for(&self, _sale: SaleNo, _orders: Vec<Stored>, _all: bool) -> Answer<'_, u64> {
        Box::pin(std::future::ready(Ok(0)))
    }

    /// Tells whether a client waits for news of an order now, on a stream or for a held answer. An engine that has to
    /// look for news looks more often then; one that is told of it at once need not know.
    fn awaited(&self, _clients: bool) {}

    /// The durability that a 202 names.
    fn durability(&self) -> &'static str;

    /// `Some(reason)` while orders cannot be taken.
    fn trouble(&self) -> Option<Arc<str>>;
}

/// A ledger that is handed around.
pub type SharedLedger = Arc<dyn Ledger>;
