//! What a gateway remembers of one sale.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use dashmap::DashSet;

use super::meters::Admissions;
use super::queue::{Queue, Standing};
use crate::admission::{Bucket, Limit, Limited};
use crate::clock::{SharedClock, Timestamp};
use crate::ledger::{EpochSpan, Level, SaleDoc, SaleSnapshot};
use crate::order::{Keyring, Place, SaleSeal, State};
use crate::sale::{Intake, Phase, SaleName, SaleNo};

/// Buyers' hashes are hashes already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A sale's terms with the look-ups that requests need; replaced whole when the ledger tells of a change.
#[derive(Debug)]
pub struct Forsale {
    /// The sale as the ledger had it at its last change; its census is of then.
    pub doc: SaleDoc,
    items: HashMap<String, u16>,
    /// Of each item: `generation × 2 + sold_out`. Shared by all versions of the terms.
    latches: Arc<[AtomicU64]>,
    /// `admit_rate`.
    admit: Option<Arc<Bucket>>,
}

/// The bucket of `admit_rate`: `known` while its limit is the same, so that a change of other terms fills nothing.
fn admit(doc: &SaleDoc, known: Option<&Arc<Bucket>>, clock: &SharedClock) -> Option<Arc<Bucket>> {
    let limit = doc.terms.admit_rate.and_then(Limit::of_rate)?;
    let same = known.filter(|bucket| bucket.limit() == limit).cloned();
    Some(same.unwrap_or_else(|| Arc::new(Bucket::new("sale", limit, clock))))
}

impl Forsale {
    fn new(doc: SaleDoc, latches: Arc<[AtomicU64]>, admit: Option<Arc<Bucket>>) -> Self {
        let skus = doc.census.items.iter().map(|item| item.sku.as_str().to_owned());
        let items = skus.zip(0..).collect();
        Self { doc, items, latches, admit }
    }

    /// Takes a permit of the sale's own bucket (`admit_rate`).
    ///
    /// # Errors
    /// When there is none.
    pub fn permit(&self) -> Result<(), Limited> {
        self.admit.as_ref().map_or(Ok(()), |bucket| bucket.take())
    }

    /// The item's place.
    #[must_use]
    pub fn item(&self, sku: &str) -> Option<u16> {
        self.items.get(sku).copied()
    }

    /// Whether the item is latched.
    #[must_use]
    pub fn is_sold_out(&self, item: u16) -> bool {
        self.latches
            .get(usize::from(item))
            .is_some_and(|latch| latch.load(Ordering::Acquire) & 1 == 1)
    }

    /// Whether every item is latched.
    #[must_use]
    pub fn all_sold_out(&self) -> bool {
        self.latches.iter().all(|latch| latch.load(Ordering::Acquire) & 1 == 1)
    }

    /// The intake at wall time `now`.
    #[must_use]
    pub fn intake(&self, now: Timestamp) -> Intake {
        self.doc.terms.intake(self.doc.closed, self.doc.paused, now)
    }

    /// The phase that is shown at wall time `now`.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        self.intake(now).phase(self.all_sold_out())
    }

    /// When the clock closed the sale, if it was the clock: what memory says of that must have been caught up.
    #[must_use]
    pub fn closed_by_clock(&self, now: Timestamp) -> Option<Timestamp> {
        self.doc.terms.closes_at.filter(|closes| !self.doc.closed && *closes <= now)
    }
}

/// One sale.
#[derive(Debug)]
pub struct SaleView {
    sale_no: SaleNo,
    name: SaleName,
    seal: SaleSeal,
    terms: ArcSwap<Forsale>,
    /// Hash of every buyer who ever got a ticket.
    holders: DashSet<u64, BuildHasherDefault<AsIs>>,
    /// Locked by the follower for a batch, and by reads of tickets for a subtraction.
    queue: Mutex<Queue>,
    /// Orders that wait, as of the last batch.
    waiting: AtomicU64,
    /// Orders a second that go to the store, as the bits of a float.
    rate: AtomicU64,
    /// The most orders that may wait.
    backlog: AtomicU64,
    /// Order calls by what became of them; empty when the sale is purged, so that its series go.
    admissions: ArcSwap<Admissions>,
}

fn latch(level: Level) -> u64 {
    level.generation << 1 | u64::from(level.sold_out)
}

impl SaleView {
    pub(super) fn of(
        snapshot: SaleSnapshot,
        keyring: &Keyring,
        clock: &SharedClock,
    ) -> Option<Self> {
        let SaleSnapshot { doc, holders, spans, states, levels } = snapshot;
        let latches = levels.into_iter().map(|level| AtomicU64::new(latch(level))).collect();
        let queue = Queue::of(spans, states);
        let view = Self::new(doc, latches, queue, keyring, clock)?;
        holders.into_iter().for_each(|hash| {
            view.holders.insert(hash);
        });
        Some(view)
    }

    /// A sale that the tail tells of for the first time.
    pub(super) fn made(doc: &SaleDoc, keyring: &Keyring, clock: &SharedClock) -> Option<Self> {
        let latches = doc.census.items.iter().map(|item| AtomicU64::new(first_latch(item)));
        // An order may be accepted here before the tail tells of it: its position counts from the first place.
        let spans = vec![EpochSpan { epoch: doc.census.epoch, first_index: 0 }];
        Self::new(doc.clone(), latches.collect(), Queue::of(spans, Vec::new()), keyring, clock)
    }

    fn new(
        doc: SaleDoc,
        latches: Arc<[AtomicU64]>,
        queue: Queue,
        keyring: &Keyring,
        clock: &SharedClock,
    ) -> Option<Self> {
        let Some(seal) = keyring.seal(doc.key_id, doc.sale_no, doc.made_at) else {
            tracing::error!(sale = %doc.name, key = doc.key_id, "the sale's ticket key is not here: it cannot be served");
            return None;
        };
        let admit = admit(&doc, None, clock);
        let admissions = if doc.purged { Admissions::default() } else { Admissions::of(&doc.name) };
        Some(Self {
            sale_no: doc.sale_no,
            name: doc.name.clone(),
            seal,
            waiting: AtomicU64::new(queue.waiting()),
            rate: AtomicU64::new(0),
            backlog: AtomicU64::new(1),
            admissions: ArcSwap::from_pointee(admissions),
            terms: ArcSwap::from_pointee(Forsale::new(doc, latches, admit)),
            holders: DashSet::default(),
            queue: Mutex::new(queue),
        })
    }

    /// The sale's number.
    #[must_use]
    pub fn sale_no(&self) -> SaleNo {
        self.sale_no
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &SaleName {
        &self.name
    }

    /// Signs its tickets.
    #[must_use]
    pub fn seal(&self) -> &SaleSeal {
        &self.seal
    }

    /// Its terms and latches.
    #[must_use]
    pub fn terms(&self) -> Guard<Arc<Forsale>> {
        self.terms.load()
    }

    /// Whether the buyer with this hash ever got a ticket, as far as the tail was read.
    #[must_use]
    pub fn is_holder(&self, buyer_hash: u64) -> bool {
        self.holders.contains(&buyer_hash)
    }

    /// Where an order stands.
    #[must_use]
    pub fn standing(&self, place: Place) -> Standing {
        self.queue().standing(place)
    }

    /// Orders that are queued or placing.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Orders a second that go to the store: the sale's share of the drain's rate.
    #[must_use]
    pub fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    /// The most orders that may wait.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Counts order calls.
    #[must_use]
    pub fn admissions(&self) -> Guard<Arc<Admissions>> {
        self.admissions.load()
    }

    pub(super) fn set_pace(&self, rate: f64, backlog: u64) {
        self.rate.store(rate.to_bits(), Ordering::Relaxed);
        self.backlog.store(backlog, Ordering::Relaxed);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn admitted(&self, first: Place, buyers: &[u64]) {
        // Holders before anything that could refuse them.
        for hash in buyers {
            self.holders.insert(*hash);
        }
        let mut queue = self.queue();
        queue.admitted(first, buyers.len());
        self.waiting.store(queue.waiting(), Ordering::Relaxed);
    }

    pub(super) fn moved(&self, orders: &[(Place, State)]) {
        let mut queue = self.queue();
        orders.iter().for_each(|(place, state)| queue.moved(*place, *state));
        self.waiting.store(queue.waiting(), Ordering::Relaxed);
    }

    /// A later generation wins, whatever order they come in.
    pub(super) fn level(&self, level: Level) {
        if let Some(slot) = self.terms.load().latches.get(usize::from(level.item)) {
            slot.fetch_max(latch(level), Ordering::AcqRel);
        }
    }

    pub(super) fn amended(&self, doc: &SaleDoc, clock: &SharedClock) {
        let known = self.terms.load();
        let mut latches = Arc::clone(&known.latches);
        if doc.census.items.len() > latches.len() {
            // Only the follower writes latches, and it is here: none is missed by the copy.
            let old = latches.iter().map(|latch| AtomicU64::new(latch.load(Ordering::Acquire)));
            let new = doc.census.items.iter().skip(latches.len());
            let new = new.map(|item| AtomicU64::new(first_latch(item)));
            latches = old.chain(new).collect();
        }
        let admit = admit(doc, known.admit.as_ref(), clock);
        self.terms.store(Arc::new(Forsale::new(doc.clone(), latches, admit)));
        if doc.purged {
            self.admissions.store(Arc::default());
            self.holders.clear();
            *self.queue() = Queue::default();
            self.waiting.store(0, Ordering::Relaxed);
        }
    }
}

/// The latch of an item that is new: its first generation is 1.
fn first_latch(item: &crate::ledger::ItemCensus) -> u64 {
    1 << 1 | u64::from(item.available == 0)
}
