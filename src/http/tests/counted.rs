//! A ledger that counts what it is asked, and can forget its tail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::ledger::{
    Answer, Cancel, Cancelled, Change, Changed, Claim, Claimed, DeadPage, DrainDoc, ExportPage,
    Grant, Ledger, OrderDoc, Reserve, Reserved, SaleDoc, Settle, Settled, SharedLedger, Snapshot,
    Tail, TailId, Timeline,
};
use crate::order::Place;
use crate::sale::{SaleName, SaleNo};

/// More than a test sends batches.
const GATE: usize = 1_000;

/// Passes every call on to the book. Reads of the tail are the follower's and not counted.
#[derive(Debug)]
pub(super) struct Counted {
    book: SharedLedger,
    asked: AtomicUsize,
    gap: AtomicBool,
    broken: AtomicBool,
    /// A client waits for news.
    awaited: AtomicBool,
    /// Reserve calls get past it one permit each; it is open unless a test shut it.
    gate: Semaphore,
    /// Orders before the gate.
    reserving: watch::Sender<usize>,
}

impl Counted {
    pub(super) fn over(book: SharedLedger) -> Arc<Self> {
        Arc::new(Self {
            book,
            asked: AtomicUsize::new(0),
            gap: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            gate: Semaphore::new(GATE),
            reserving: watch::Sender::new(0),
        })
    }

    /// Cancels panic from now on.
    pub(super) fn break_cancels(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    /// Waits until so many orders are held.
    pub(super) async fn held(&self, orders: usize) {
        let held = |held: &usize| *held == orders;
        self.reserving.subscribe().wait_for(held).await.expect("it is told by this very ledger");
    }

    /// No order call of a lane comes back, until the answer is dropped.
    pub(super) fn hold_orders(&self) -> SemaphorePermit<'_> {
        let all = u32::try_from(self.gate.available_permits()).expect("it was made with so many");
        self.gate.try_acquire_many(all).expect("nobody has any")
    }

    /// Calls so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Whether it was told that a client waits for news.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst)
    }

    /// The next read of the tail finds that it is gone.
    pub(super) fn forget_the_tail(&self) {
        self.gap.store(true, Ordering::SeqCst);
    }

    fn book(&self) -> &SharedLedger {
        self.asked.fetch_add(1, Ordering::SeqCst);
        &self.book
    }
}

impl Ledger for Counted {
    fn reserve(&self, orders: Vec<Reserve>) -> Answer<'_, Vec<Reserved>> {
        let book = Arc::clone(self.book());
        self.reserving.send_modify(|held| *held += orders.len());
        Box::pin(async move {
            let _through = self.gate.acquire().await;
            self.reserving.send_modify(|held| *held -= orders.len());
            book.reserve(orders).await
        })
    }

    fn cancel(&self, orders: Vec<Cancel>) -> Answer<'_, Vec<Cancelled>> {
        assert!(!self.broken.load(Ordering::SeqCst), "a bug");
        self.book().cancel(orders)
    }

    fn grant(&self, sale: SaleNo, want: u32) -> Answer<'_, Grant> {
        self.book().grant(sale, want)
    }

    fn claim(&self, claim: Claim) -> Answer<'_, Claimed> {
        self.book().claim(claim)
    }

    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Settled>> {
        self.book().settle(settles)
    }

    fn change(&self, change: Change) -> Answer<'_, Changed> {
        self.book().change(change)
    }

    fn census(&self, sale: SaleName) -> Answer<'_, Option<SaleDoc>> {
        self.book().census(sale)
    }

    fn sales(&self) -> Answer<'_, Vec<SaleDoc>> {
        self.book().sales()
    }

    fn drain(&self) -> Answer<'_, DrainDoc> {
        self.book().drain()
    }

    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Answer<'_, Vec<Option<OrderDoc>>> {
        self.book().tickets(sale, places)
    }

    fn timeline(&self, sale: SaleNo, place: Place) -> Answer<'_, Option<Timeline>> {
        self.book().timeline(sale, place)
    }

    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, ExportPage> {
        self.book().export(sale, from, max)
    }

    fn dead(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, DeadPage> {
        self.book().dead(sale, from, max)
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        self.book().snapshot()
    }

    fn tail(&self, after: TailId, max: usize) -> Answer<'_, Tail> {
        if self.gap.swap(false, Ordering::SeqCst) {
            return Box::pin(async { Ok(Tail::Gap) });
        }
        self.book.tail(after, max)
    }

    fn news(&self, after: TailId) -> BoxFuture<'_, ()> {
        self.book.news(after)
    }

    fn awaited(&self, clients: bool) {
        self.awaited.store(clients, Ordering::SeqCst);
    }

    fn durability(&self) -> &'static str {
        self.book.durability()
    }

    fn trouble(&self) -> Option<Arc<str>> {
        self.book.trouble()
    }
}
