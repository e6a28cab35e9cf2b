//! The proof: the ledger against itself, ticket by ticket, and the ledger against the store, both ways.
//!
//! It is exact while the sale runs, without stopping it. What makes that possible:
//!
//! - The counters of all sales are one atomic read as of one instant. Each ticket is read later, and whether it
//!   was accepted and ended by that instant follows from its place and from `settled_at`, since terminal states
//!   are never left.
//! - The ledger is read, then the store, then the ledger again for what did not fit. A row that fits neither
//!   look is no race.
//! - What is still at the store is `pending` and no finding.
//!
//! Besides, where anything moved, a finding counts only when a second look after a lease shows it again.

mod asked;
mod findings;
mod ledger;
mod look;
mod offline;
mod pace;
mod recount;
mod rows;
mod stock;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use findings::{FINDINGS_MAX, Finding};
use futures_util::future::BoxFuture;
use look::Look;
pub use offline::OfflineAccounts;
use serde::Serialize;

use crate::clock::{SharedClock, Timestamp};
use crate::ledger::{DrainDoc, ExportPage, Fault, OrderDoc, SaleDoc, SharedLedger};
use crate::order::{Keyring, Place};
use crate::sale::SaleNo;
use crate::store::{Comparable, SharedStore, StoreError, StoreRows};

/// Every law that a finding can name, as the metric's closed label set.
pub const LAWS: [&str; 7] = ["L1", "L3", "L4", "L5", "L6", "L7", "S1"];

/// An answer of the accounts.
pub type Read<'a, T> = BoxFuture<'a, Result<T, Fault>>;

/// What is read of a ledger, running or not.
pub trait Accounts: Send + Sync + fmt::Debug {
    /// All sales with their census: one atomic read.
    fn sales(&self) -> Read<'_, Vec<SaleDoc>>;

    /// The drain's settings, with the paces that were in force.
    fn drain(&self) -> Read<'_, DrainDoc>;

    /// Orders in admission order, each true when read.
    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Read<'_, ExportPage>;

    /// These orders, in one atomic read.
    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Read<'_, Vec<Option<OrderDoc>>>;

    /// What only whoever holds the whole book can find. Nothing for a ledger that runs.
    fn audit(&self) -> Vec<Finding> {
        Vec::new()
    }
}

impl Accounts for SharedLedger {
    fn sales(&self) -> Read<'_, Vec<SaleDoc>> {
        (**self).sales()
    }

    fn drain(&self) -> Read<'_, DrainDoc> {
        (**self).drain()
    }

    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Read<'_, ExportPage> {
        (**self).export(sale, from, max)
    }

    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Read<'_, Vec<Option<OrderDoc>>> {
        (**self).tickets(sale, places)
    }
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Orders of the ledger.
    pub tickets: u64,
    /// Rows of the store's orders; where it lists none, orders that it was asked for.
    pub rows: u64,
}

/// What a verification found (DESIGN section 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// No law is broken.
    pub ok: bool,
    /// Orders that are at the store: their fate is not known yet.
    pub pending: u64,
    /// How much was looked at.
    pub checked: Checked,
    /// What of the store was compared with the ledger.
    pub compared: Comparable,
    /// Rows of sales that the ledger does not hold, or not any more.
    pub foreign: u64,
    /// Orders that an operator had refused by force, at most [`FINDINGS_MAX`]: the shop may have them all the same.
    pub forced: Vec<String>,
    /// What is broken, at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Findings that were left out above that.
    pub findings_omitted: u64,
    /// Bytes of a torn tail that the next start cuts off; nobody was answered for them. Only offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torn_bytes: Option<u64>,
    /// Ledger time of the counters.
    pub as_of: Timestamp,
}

/// It could not be verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The ledger could not answer.
    #[error(transparent)]
    Ledger(#[from] Fault),
    /// The store could not answer.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// A sale's tickets are signed by a key that is not here.
    #[error("ticket key {0} of the sale `{1}` is missing: name its file in [tickets] key_files")]
    Key(u8, String),
}

/// What is compared.
#[derive(Clone, Debug)]
pub struct Verifier<A> {
    accounts: A,
    store: SharedStoreRows,
    keyring: Keyring,
    clock: SharedClock,
    second_look: Duration,
}

/// A store's rows that are handed around.
pub type SharedStoreRows = std::sync::Arc<dyn StoreRows>;

impl<A: Accounts> Verifier<A> {
    /// A verifier that looks again after `second_look`, the lease, before it believes what moved.
    pub fn new(
        accounts: A,
        store: SharedStoreRows,
        keyring: Keyring,
        clock: SharedClock,
        second_look: Duration,
    ) -> Self {
        Self { accounts, store, keyring, clock, second_look }
    }

    /// Verifies everything.
    ///
    /// # Errors
    /// When the ledger or the store cannot be read; then nothing is known.
    pub async fn verify(&self) -> Result<Report, VerifyError> {
        let first = self.look().await?;
        if first.findings.is_empty() || first.quiet {
            return Ok(self.report(first));
        }
        tokio::time::sleep(self.second_look).await;
        let mut second = self.look().await?;
        second.findings.keep_those_of(&first.findings);
        Ok(self.report(second))
    }

    async fn look(&self) -> Result<Look, VerifyError> {
        look::look(&self.accounts, &*self.store, &self.keyring).await
    }

    fn report(&self, look: Look) -> Report {
        let (findings, findings_omitted) = look.findings.into_parts();
        Report {
            ok: findings.is_empty(),
            pending: look.pending,
            checked: look.checked,
            compared: look.compared,
            foreign: look.foreign,
            forced: look.forced.iter().take(FINDINGS_MAX).map(ToString::to_string).collect(),
            findings,
            findings_omitted,
            torn_bytes: None,
            as_of: look.as_of.unwrap_or_else(|| self.clock.wall()),
        }
    }
}

/// The rows of a store that takes orders.
#[must_use]
pub fn rows_of(store: SharedStore) -> SharedStoreRows {
    store
}
