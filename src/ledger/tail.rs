//! The ledger's own ordered stream of what became of orders, one entry a commit.

use std::sync::Arc;

use super::{DrainDoc, SaleDoc};
use crate::order::{Place, State};
use crate::sale::SaleNo;

/// A place in the tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TailId {
    /// The epoch in which the entry was written.
    pub epoch: u16,
    /// Counts from 1 within a run of the ledger.
    pub n: u64,
}

/// One commit.
#[derive(Clone, Debug)]
pub struct TailEntry {
    /// Its place.
    pub id: TailId,
    /// What it did, in order.
    pub events: Vec<TailEvent>,
}

/// What gateways follow.
#[derive(Clone, Debug)]
pub enum TailEvent {
    /// Orders were accepted, at consecutive places.
    Admitted {
        /// The sale.
        sale_no: SaleNo,
        /// The first one's place.
        first: Place,
        /// The buyers' hashes, one each.
        buyers: Vec<u64>,
    },
    /// Orders went to another state.
    Moved {
        /// The sale.
        sale_no: SaleNo,
        /// Each order and its state now.
        orders: Vec<(Place, State)>,
    },
    /// An item ran out or came back.
    Level(Level),
    /// A sale was made, amended, switched or purged.
    Sale(Arc<SaleDoc>),
    /// A sale was forgotten.
    Forgotten(SaleNo),
    /// The drain's settings changed.
    Drain(Arc<DrainDoc>),
}

/// Whether an item has units left. A later generation always wins over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The sale.
    pub sale_no: SaleNo,
    /// Index of the item.
    pub item: u16,
    /// Goes up at each change of `sold_out`.
    pub generation: u64,
    /// `available = 0`.
    pub sold_out: bool,
}

/// Entries of the tail.
#[derive(Clone, Debug)]
pub enum Tail {
    /// Oldest first.
    Entries(Vec<Arc<TailEntry>>),
    /// Entries after the id asked for are not kept any more: take a snapshot.
    Gap,
}

/// The orders of one epoch of a sale have consecutive indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochSpan {
    /// The epoch.
    pub epoch: u16,
    /// Index of its sequence 1.
    pub first_index: u64,
}

/// Stands for the state's code of an order that has ended, when only the ledger knows how.
pub const ENDED: u8 = u8::MAX;

/// What a gateway remembers of a sale.
#[derive(Clone, Debug)]
pub struct SaleSnapshot {
    /// The sale.
    pub doc: SaleDoc,
    /// Hash of every buyer who ever got a ticket.
    pub holders: Vec<u64>,
    /// Epochs, oldest first; the last is in force.
    pub spans: Vec<EpochSpan>,
    /// [`State::code`] of each order, by index, or [`ENDED`].
    pub states: Vec<u8>,
    /// Each item's level.
    pub levels: Vec<Level>,
}

/// All that a gateway remembers.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// True as of this tail id.
    pub tail: TailId,
    /// Every sale that is not forgotten.
    pub sales: Vec<SaleSnapshot>,
    /// The drain.
    pub drain: DrainDoc,
}
