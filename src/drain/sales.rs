//! What the drain remembers of each sale.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use metrics::{Counter, Histogram, counter, histogram};

use crate::clock::Timestamp;
use crate::ledger::SaleDoc;
use crate::metrics::{ORDER_COMPLETION, ORDERS, QUEUE_WAIT};
use crate::order::{Keyring, SaleSeal};
use crate::sale::{SaleName, SaleNo};

/// Cached handles of one sale.
pub(super) struct Meters {
    pub(super) queue_wait: Histogram,
    pub(super) completion: Histogram,
    pub(super) dead: Counter,
}

/// One sale; shared by its rounds.
pub(super) struct Sale {
    pub(super) sale_no: SaleNo,
    pub(super) name: SaleName,
    /// The ticket key's id, and when the sale was made: what its tickets are made with.
    made: (u8, Timestamp),
    seal: OnceLock<SaleSeal>,
    /// It has a `drain_rate`. Written by the follower, read by the granter.
    pub(super) own_rate: AtomicBool,
    /// An order of it died: a move to `placing` may be an operator's retry. Written and read by the follower.
    pub(super) had_dead: AtomicBool,
    /// The newest stock change that is known to be in the store. Raised by the rounds after the store said so.
    stock_seen: AtomicU64,
    pub(super) meters: Meters,
}

impl fmt::Debug for Sale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sale").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Sale {
    fn new(doc: &SaleDoc) -> Self {
        let sale = doc.name.as_str().to_owned();
        let meters = Meters {
            queue_wait: histogram!(QUEUE_WAIT, "sale" => sale.clone()),
            completion: histogram!(ORDER_COMPLETION, "sale" => sale.clone()),
            dead: counter!(ORDERS, "sale" => sale, "outcome" => "dead"),
        };
        Self {
            sale_no: doc.sale_no,
            name: doc.name.clone(),
            made: (doc.key_id, doc.made_at),
            seal: OnceLock::new(),
            own_rate: AtomicBool::new(false),
            had_dead: AtomicBool::new(false),
            stock_seen: AtomicU64::new(0),
            meters,
        }
    }

    fn amend(&self, doc: &SaleDoc) {
        self.own_rate.store(doc.terms.drain_rate.is_some(), Ordering::Relaxed);
        self.had_dead.fetch_or(doc.census.dead > 0, Ordering::Relaxed);
    }

    /// What signs the sale's tickets; `None` while the key is not in the keyring.
    pub(super) fn seal(&self, keyring: &Keyring) -> Option<&SaleSeal> {
        if let Some(seal) = self.seal.get() {
            return Some(seal);
        }
        let (key_id, made_at) = self.made;
        let seal = keyring.seal(key_id, self.sale_no, made_at)?;
        Some(self.seal.get_or_init(|| seal))
    }

    /// The newest stock change that is known to be in the store; 0 at first.
    pub(super) fn stock_seen(&self) -> u64 {
        self.stock_seen.load(Ordering::Acquire)
    }

    /// The store said that it has the changes up to this number.
    pub(super) fn stock_is_there(&self, number: u64) {
        self.stock_seen.fetch_max(number, Ordering::AcqRel);
    }
}

/// All sales that may have orders. Written by the follower, read by the granter.
#[derive(Debug, Default)]
pub(super) struct Sales {
    by_no: RwLock<HashMap<SaleNo, Arc<Sale>>>,
}

impl Sales {
    pub(super) fn get(&self, sale_no: SaleNo) -> Option<Arc<Sale>> {
        self.by_no.read().unwrap_or_else(PoisonError::into_inner).get(&sale_no).cloned()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Sale>> {
        self.by_no.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A sale as it is now. What was learned of it before stays.
    pub(super) fn put(&self, doc: &SaleDoc) {
        let mut by_no = self.by_no.write().unwrap_or_else(PoisonError::into_inner);
        by_no.entry(doc.sale_no).or_insert_with(|| Arc::new(Sale::new(doc))).amend(doc);
    }

    pub(super) fn forget(&self, sale_no: SaleNo) {
        self.by_no.write().unwrap_or_else(PoisonError::into_inner).remove(&sale_no);
    }
}
