//! Follows the ledger's tail and keeps what a gateway remembers: sales, holders, latches, the queue's cursor,
//! the drain's settings. Written by one task, read by every request; a read never waits for the ledger.

mod meters;
mod queue;
mod sale;
mod seats;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
pub use meters::{Admission, Admissions};
pub use queue::Standing;
pub use sale::{Forsale, SaleView};
use seats::Seats;
pub use seats::{Bell, Seat, Seated};

use crate::clock::{SharedClock, Timestamp};
use crate::ledger::{
    Bound, DrainDoc, Fault, SharedLedger, Snapshot, Tail, TailEntry, TailEvent, TailId,
};
use crate::order::{Keyring, Place};
use crate::sale::{SaleName, SaleNo};
use crate::tasks::{Check, CheckStatus, Stop};

/// Between two reads of the tail while there is news: few wake-ups at a hundred thousand orders a second, and
/// an outcome is still known within a blink.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest without a read: bounds how late memory may refuse with `closed`.
const IDLE: Duration = Duration::from_millis(200);
/// Entries of one read.
const ENTRIES: usize = 1_024;

/// How much may wait, as `[queue]` says it.
#[derive(Clone, Copy, Debug)]
pub struct QueueBound {
    /// The longest wait at the drain's rate.
    pub max_wait: Duration,
    /// The most orders of one sale.
    pub capacity: u64,
    /// The memory that waiting orders may take, in bytes.
    pub memory: u64,
}

/// What a waiting order takes at most, its payload apart (DESIGN section 9).
const ORDER_BYTES: u64 = 200;

#[derive(Debug, Default)]
struct Sales {
    by_name: HashMap<SaleName, Arc<SaleView>>,
    by_no: HashMap<SaleNo, Arc<SaleView>>,
}

/// What a gateway remembers.
#[derive(Debug)]
pub struct Watch {
    ledger: SharedLedger,
    keyring: Keyring,
    clock: SharedClock,
    /// Replaced as a whole by a reload.
    bound: ArcSwap<QueueBound>,
    /// Written by the following task alone.
    sales: ArcSwap<Sales>,
    /// Empty until the ledger was read.
    drain: ArcSwapOption<DrainDoc>,
    /// Why the ledger was not read yet; empty once it was.
    unread: ArcSwapOption<Fault>,
    /// Wall time at which the last read began that reached the end of the tail.
    caught_up: AtomicU64,
    lost: AtomicBool,
    /// Who waits for news of an order.
    seats: Arc<Seats>,
}

impl Watch {
    /// A memory of nothing, and who fills it. A gateway may serve before that: it tells that it knows nothing yet
    /// ([`Self::unread`]).
    #[must_use]
    pub fn new(
        ledger: SharedLedger,
        keyring: Keyring,
        clock: SharedClock,
        bound: QueueBound,
    ) -> (Arc<Self>, Follower) {
        let unread = Fault::unavailable("the ledger was not read yet");
        let watch = Arc::new(Self {
            seats: Seats::new(Arc::clone(&ledger)),
            ledger,
            keyring,
            clock,
            bound: ArcSwap::from_pointee(bound),
            sales: ArcSwap::default(),
            drain: ArcSwapOption::empty(),
            unread: ArcSwapOption::from_pointee(unread),
            caught_up: AtomicU64::new(0),
            lost: AtomicBool::new(false),
        });
        (Arc::clone(&watch), Follower { watch, after: TailId::default() })
    }

    /// Why the ledger was not read yet. Until it was, a sale that is not known here may well be there, and so may
    /// be a ticket's key.
    #[must_use]
    pub fn unread(&self) -> Option<Arc<Fault>> {
        self.unread.load_full()
    }

    /// The sale of that name.
    #[must_use]
    pub fn sale(&self, name: &str) -> Option<Arc<SaleView>> {
        self.sales.load().by_name.get(name).cloned()
    }

    /// The sale with that number.
    #[must_use]
    pub fn sale_by_no(&self, sale_no: SaleNo) -> Option<Arc<SaleView>> {
        self.sales.load().by_no.get(&sale_no).cloned()
    }

    /// All sales by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<SaleView>> {
        let mut all: Vec<_> = self.sales.load().by_no.values().cloned().collect();
        all.sort_by(|one, other| one.name().cmp(other.name()));
        all
    }

    /// Whether nothing goes to the store now.
    #[must_use]
    pub fn drain_paused(&self) -> bool {
        self.drain.load().as_ref().is_some_and(|drain| drain.paused)
    }

    /// Whether a read of the tail that began at or after `since` has reached its end.
    #[must_use]
    pub fn caught_up(&self, since: Timestamp) -> bool {
        self.caught_up.load(Ordering::Acquire) >= since.0
    }

    /// Takes a seat for news of one order; `bell` is rung when the order moves.
    #[must_use]
    pub fn sit(&self, sale_no: SaleNo, place: Place, bell: &Arc<Bell>) -> Seated {
        self.seats.sit(sale_no, place, bell)
    }

    #[cfg(test)]
    pub(crate) fn seated(&self) -> usize {
        self.seats.len()
    }

    /// Calls everybody who waits by this bell.
    pub fn call_all(&self, bell: &Arc<Bell>) {
        self.seats.call_all(bell);
    }

    /// Bounds what may wait otherwise, from now on.
    pub fn set_bound(&self, bound: QueueBound) {
        self.bound.store(Arc::new(bound));
        self.share_out();
    }

    /// Each sale's share of the drain's rate, and what its backlog may be by that.
    fn share_out(&self) {
        let sales = self.sales.load();
        let Some(drain) = self.drain.load_full() else { return };
        let busy = sales.by_no.values().filter(|sale| sale.waiting() > 0).count();
        for sale in sales.by_no.values() {
            let sharing = busy + usize::from(sale.waiting() == 0);
            let all = drain.rate.as_per_second();
            let share = all / f64::from(u32::try_from(sharing).unwrap_or(u32::MAX));
            let own = sale.terms().doc.terms.drain_rate;
            let rate = own.map_or(share, |own| share.min(own.as_per_second()));
            sale.set_pace(rate, self.backlog_at(rate));
        }
    }

    /// `min(capacity, max_wait × rate)`, and the memory.
    fn backlog_at(&self, rate: f64) -> u64 {
        let bound = self.bound.load();
        let by_wait = rate * bound.max_wait.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float saturates when it is cast, and rates are above zero"
        )]
        let by_wait = (by_wait as u64).max(1);
        by_wait.min(bound.capacity).min(bound.memory / ORDER_BYTES)
    }

    /// What the sale's backlog may be.
    #[must_use]
    pub fn backlog_bound(&self, sale: &SaleView) -> Bound {
        Bound { orders: sale.backlog(), bytes: self.bound.load().memory }
    }

    /// Readiness: what is remembered follows the ledger.
    #[must_use]
    pub fn check(&self) -> Check {
        if let Some(fault) = self.unread() {
            let reason = format!("sales and tickets are not known here yet: {fault}");
            return Check { name: "watch", status: CheckStatus::Unready, reason };
        }
        let lost = self.lost.load(Ordering::Relaxed);
        let (status, reason) = if lost {
            (CheckStatus::Degraded, "the ledger's tail cannot be read".to_owned())
        } else {
            (CheckStatus::Ready, String::new())
        };
        Check { name: "watch", status, reason }
    }

    async fn reload(&self) -> Result<TailId, Fault> {
        let began = self.clock.wall();
        let Snapshot { tail, sales, drain } = self.ledger.snapshot().await?;
        let mut loaded = Sales::default();
        for snapshot in sales {
            let Some(view) = SaleView::of(snapshot, &self.keyring, &self.clock) else { continue };
            loaded.put(Arc::new(view));
        }
        self.sales.store(Arc::new(loaded));
        self.drain.store(Some(Arc::new(drain)));
        self.share_out();
        self.caught_up.store(began.0, Ordering::Release);
        self.unread.store(None);
        self.seats.ring_all();
        Ok(tail)
    }

    fn apply(&self, entry: &TailEntry) {
        for event in &entry.events {
            match event {
                TailEvent::Admitted { sale_no, first, buyers } => {
                    self.with(*sale_no, |sale| sale.admitted(*first, buyers));
                }
                TailEvent::Moved { sale_no, orders } => {
                    self.with(*sale_no, |sale| sale.moved(orders));
                    self.seats.ring(*sale_no, orders);
                }
                TailEvent::Level(level) => self.with(level.sale_no, |sale| sale.level(*level)),
                TailEvent::Sale(doc) => {
                    let known = self.sale_by_no(doc.sale_no);
                    if let Some(known) = known {
                        known.amended(doc, &self.clock);
                    } else if let Some(view) = SaleView::made(doc, &self.keyring, &self.clock) {
                        self.change(|sales| sales.put(Arc::new(view)));
                    }
                }
                TailEvent::Forgotten(sale_no) => self.change(|sales| sales.drop(*sale_no)),
                TailEvent::Drain(doc) => self.drain.store(Some(Arc::clone(doc))),
            }
        }
    }

    fn with(&self, sale_no: SaleNo, then: impl FnOnce(&SaleView)) {
        if let Some(sale) = self.sales.load().by_no.get(&sale_no) {
            then(sale);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Sales)) {
        let now = self.sales.load();
        let mut next = Sales { by_name: now.by_name.clone(), by_no: now.by_no.clone() };
        change(&mut next);
        self.sales.store(Arc::new(next));
    }
}

impl Sales {
    fn put(&mut self, view: Arc<SaleView>) {
        self.by_name.insert(view.name().clone(), Arc::clone(&view));
        self.by_no.insert(view.sale_no(), view);
    }

    fn drop(&mut self, sale_no: SaleNo) {
        if let Some(view) = self.by_no.remove(&sale_no) {
            self.by_name.remove(view.name());
        }
    }
}

/// The one task that writes what the gateway remembers.
#[derive(Debug)]
pub struct Follower {
    watch: Arc<Watch>,
    after: TailId,
}

impl Follower {
    /// Reads what there is, before it is followed.
    ///
    /// # Errors
    /// When the ledger cannot answer; the watch then tells why it knows nothing.
    pub async fn load(&mut self) -> Result<(), Fault> {
        match self.watch.reload().await {
            Ok(after) => {
                self.after = after;
                Ok(())
            }
            Err(fault) => {
                self.watch.unread.store(Some(Arc::new(fault.clone())));
                Err(fault)
            }
        }
    }

    /// Follows the tail until the stop, from where it was loaded.
    pub async fn run(mut self, stop: Stop) {
        loop {
            let pause = self.step().await;
            tokio::select! {
                () = stop.pulled() => return,
                () = self.rest(pause) => {}
            }
        }
    }

    /// Applies what there is; answers how long to rest, `None` until there is news.
    pub(crate) async fn step(&mut self) -> Option<Duration> {
        let began = self.watch.clock.wall();
        let read = self.watch.ledger.tail(self.after, ENTRIES).await;
        let pause = match read {
            Ok(Tail::Entries(entries)) => {
                for entry in &entries {
                    self.watch.apply(entry);
                    self.after = entry.id;
                }
                if !entries.is_empty() {
                    self.watch.share_out();
                }
                if entries.len() < ENTRIES {
                    self.watch.caught_up.store(began.0, Ordering::Release);
                }
                (!entries.is_empty()).then_some(PAUSE)
            }
            Ok(Tail::Gap) => match self.watch.reload().await {
                Ok(after) => {
                    self.after = after;
                    Some(PAUSE)
                }
                Err(_) => Some(IDLE),
            },
            Err(fault) => {
                if !self.watch.lost.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%fault, "the ledger's tail cannot be read");
                }
                return Some(IDLE);
            }
        };
        self.watch.lost.store(false, Ordering::Relaxed);
        pause
    }

    async fn rest(&self, pause: Option<Duration>) {
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => {
                let news = self.watch.ledger.news(self.after);
                // Time may close a sale without news: the end of the tail is looked at now and then.
                let _ = tokio::time::timeout(IDLE, news).await;
            }
        }
    }
}
