//! What the admin listener asks of the parts that `http` may not import: drain, store and verifier.
//!
//! `app` implements [`Operations`] with the engines of its process. Documents whose shape belongs to another
//! part (the verifier's report, the fault plan) pass through as JSON text.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::ledger::{Changed, Fault, OrderDoc, SaleDoc};
use crate::order::{SaleSeal, TicketText};
use crate::sale::{Rate, SaleName};

/// An operation could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationFault {
    /// The ledger could not answer.
    #[error(transparent)]
    Ledger(#[from] Fault),
    /// The store could not be asked: nothing was changed in the ledger.
    #[error("{0}")]
    Store(String),
    /// This process, or the store that it is configured with, has no such operation.
    #[error("{0}")]
    NotSupported(String),
    /// Settings that were read again cannot be used: those in force stay. What is wrong, and where.
    #[error("{0}")]
    BadSettings(String),
    /// Settings that were read again differ where only a restart takes them over: nothing was changed. Their names.
    #[error("a restart is needed for {0}")]
    RestartNeeded(String),
    /// The drain is paused, and the operation keeps to its pace.
    #[error("{0}")]
    Paused(String),
    /// The document that was given does not have the form that the operation asks for.
    #[error("{0}")]
    Malformed(String),
}

/// The answer to an operation.
pub type Operation<'a, T> = BoxFuture<'a, Result<T, OperationFault>>;

/// Figures of the drain of this process, from memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DrainLive {
    /// Attempts started at the store over the last seconds, a second; finite.
    pub attempts_per_second: f64,
    /// Orders that wait for an attempt, over all sales.
    pub waiting: u64,
    /// Attempts that have no answer yet.
    pub in_flight: u64,
    /// Workers that the drain has; 0 where no drain runs.
    pub workers: u64,
    /// What an adaptive drain asks for at most, now; `None` when it is not adaptive.
    pub adaptive: Option<AdaptiveLive>,
}

/// What an adaptive drain asks for at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AdaptiveLive {
    /// Attempts a second.
    pub rate: Rate,
    /// Calls of the store in flight.
    pub concurrency: u32,
}

/// A dead order that an operator wants refused.
#[derive(Clone, Debug)]
pub struct DeadOrder {
    /// The sale.
    pub sale: SaleName,
    /// Its ticket: the order's identity at the store.
    pub ticket: TicketText,
    /// The order as the ledger has it; dead when it was read.
    pub order: OrderDoc,
    /// Refuse it also where the store cannot void; `verify` names such orders.
    pub force: bool,
}

/// What became of a dead order that was to be refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadRefused {
    /// Voided or refused at the store, then refused in the ledger: stock and limit came back.
    Refused,
    /// The store has the order: the ledger was told so, nothing came back (L5).
    Placed,
    /// The order is not dead any more; nothing was changed.
    NotDead,
    /// The store cannot void and `force` was not given; nothing was changed.
    NeedsForce,
}

/// Where the store may have lost orders that were placed.
#[derive(Clone, Debug)]
pub struct Lost {
    /// The sale.
    pub sale: SaleDoc,
    /// What makes its tickets.
    pub seal: SaleSeal,
    /// The first order to look at: `next` of the answer before, 0 at first.
    pub from: u64,
}

/// What came of looking for lost orders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Redriven {
    /// Placed orders that the store was asked for.
    pub looked: u64,
    /// Those that it had not, and has now, without their payloads.
    pub placed: Vec<TicketText>,
    /// Those that it still has not.
    pub left: Vec<LeftOut>,
    /// `from` of the next call; `None` when all was looked at.
    pub next: Option<u64>,
    /// Why it broke off before that: what was done until then is done.
    pub stopped: Option<String>,
}

/// An order that could not be placed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its ticket.
    pub ticket: TicketText,
    /// Why.
    pub reason: String,
}

/// Operations that need more than the ledger.
pub trait Operations: Send + Sync + fmt::Debug {
    /// The figures of this process's drain; must answer from memory.
    fn drain_live(&self) -> DrainLive;

    /// The verifier's report: `{"ok","pending","checked","findings","as_of"}`.
    fn verify(&self) -> Operation<'_, Box<RawValue>>;

    /// Reads the settings again and takes them over, all or nothing:
    /// `{"changed":[{"key","old","new"}],"warnings":[…]}`.
    fn reload(&self) -> Operation<'_, Box<RawValue>>;

    /// The store's fault plan.
    fn faults(&self) -> Operation<'_, Box<RawValue>>;

    /// Changes the fault plan by a JSON object with some of its fields; answers the plan in force.
    fn patch_faults(&self, patch: Box<RawValue>) -> Operation<'_, Box<RawValue>>;

    /// Makes a halted sale anew, with the units that the store says it had.
    fn rebuild(&self, sale: SaleName) -> Operation<'_, Changed>;

    /// Places again what the ledger knows to be placed and the store has not. Idempotent.
    fn redrive(&self, lost: Lost) -> Operation<'_, Redriven>;

    /// Voids a dead order at the store, then refuses it in the ledger. Idempotent.
    fn refuse_dead(&self, order: DeadOrder) -> Operation<'_, DeadRefused>;
}

/// Operations that are handed around.
pub type SharedOperations = Arc<dyn Operations>;
