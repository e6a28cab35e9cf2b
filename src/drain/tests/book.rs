//! The book behind a mutex as the ledger of these tests: its time is the timers' time, its commits can be made
//! slow, and it can be made to fail.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::clock::{Clock, LedgerClock, SharedClock, Timestamp};
use crate::ledger::book::{Batch, Book, Now};
use crate::ledger::{
    Answer, Cancel, Cancelled, Change, Changed, Claim, Claimed, DeadPage, DrainDoc, ExportPage,
    Fault, Grant, Ledger, OrderDoc, Reserve, Reserved, SaleDoc, Settle, Settled, Snapshot, Tail,
    TailEntry, TailId, Timeline,
};
use crate::order::Place;
use crate::sale::{SaleName, SaleNo};

/// The runtime's timers as a clock, so that time that is paused stands still here too.
#[derive(Debug)]
pub(super) struct TimerClock {
    start: tokio::time::Instant,
}

impl TimerClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { start: tokio::time::Instant::now() })
    }
}

impl Clock for TimerClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> Timestamp {
        Timestamp(1_700_000_000_000_000).plus(self.monotonic())
    }
}

#[derive(Debug)]
struct Inner {
    book: Book,
    tail: Vec<Arc<TailEntry>>,
    grants: Vec<(Timestamp, u32)>,
    calls: u64,
}

/// The ledger under a drain.
#[derive(Debug)]
pub(super) struct BookLedger {
    clock: LedgerClock,
    inner: Mutex<Inner>,
    news: watch::Sender<u64>,
    /// Microseconds that a commit takes, as an fsync would.
    pub(super) commit_micros: AtomicU64,
    /// Grants are answered after a commit too.
    pub(super) grants_wait: AtomicBool,
    /// Nothing can be asked: nothing happens.
    pub(super) down: AtomicBool,
    /// Every call happens, and its answer is lost.
    pub(super) doubtful: AtomicBool,
    /// The next settle breaks off its caller.
    pub(super) settle_panics: AtomicBool,
}

impl BookLedger {
    pub(super) fn new(clock: SharedClock) -> Arc<Self> {
        let clock = LedgerClock::open(clock, Timestamp(0));
        let inner = Inner { book: Book::new(), tail: Vec::new(), grants: Vec::new(), calls: 0 };
        let ledger = Self {
            clock,
            inner: Mutex::new(inner),
            news: watch::Sender::new(0),
            commit_micros: AtomicU64::new(0),
            grants_wait: AtomicBool::new(false),
            down: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
            settle_panics: AtomicBool::new(false),
        };
        ledger.run(|book, now, batch| book.open(true, now, batch));
        Arc::new(ledger)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        Now { ledger: self.clock.now(), wall: self.clock.wall() }
    }

    /// Calls since the ledger was made.
    pub(super) fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Every grant that was above 0.
    pub(super) fn grants(&self) -> Vec<(Timestamp, u32)> {
        self.lock().grants.clone()
    }

    pub(super) fn run<T>(&self, command: impl FnOnce(&mut Book, Now, &mut Batch) -> T) -> T {
        let mut inner = self.lock();
        let mut batch = Batch::at(0);
        let answer = command(&mut inner.book, self.now(), &mut batch);
        let (_, events) = batch.into_parts();
        if !events.is_empty() {
            let id = TailId { epoch: inner.book.epoch(), n: inner.tail.len() as u64 + 1 };
            inner.tail.push(Arc::new(TailEntry { id, events }));
            self.news.send_replace(id.n);
        }
        answer
    }

    /// Asked at once; the answer comes after a commit.
    fn commit<'a, T: Send + 'a>(
        &'a self,
        command: impl FnOnce(&mut Book, Now, &mut Batch) -> T + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            let answer = self.ask(|| self.run(command))?;
            self.pause().await;
            if self.doubtful.load(Ordering::Relaxed) {
                return Err(Fault::in_doubt("the answer was lost"));
            }
            Ok(answer)
        })
    }

    /// What a commit takes.
    async fn pause(&self) {
        let micros = self.commit_micros.load(Ordering::Relaxed);
        if micros > 0 {
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
    }

    fn ask<T>(&self, question: impl FnOnce() -> T) -> Result<T, Fault> {
        self.lock().calls += 1;
        if self.down.load(Ordering::Relaxed) {
            return Err(Fault::unavailable("the ledger is down"));
        }
        Ok(question())
    }

    fn read<'a, T: Send + 'a>(
        &'a self,
        read: impl FnOnce(&Book, Now) -> T + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move { self.ask(|| read(&self.lock().book, self.now())) })
    }
}

impl Ledger for BookLedger {
    fn reserve(&self, orders: Vec<Reserve>) -> Answer<'_, Vec<Reserved>> {
        self.commit(move |book, now, batch| {
            orders.into_iter().map(|order| book.reserve(order, now, batch)).collect()
        })
    }

    fn cancel(&self, orders: Vec<Cancel>) -> Answer<'_, Vec<Cancelled>> {
        self.commit(move |book, now, batch| {
            orders.into_iter().map(|order| book.cancel(order, now, batch)).collect()
        })
    }

    fn grant(&self, sale: SaleNo, want: u32) -> Answer<'_, Grant> {
        Box::pin(async move {
            let granted = self.ask(|| {
                let now = self.now();
                let mut inner = self.lock();
                let grant = inner.book.pacer().grant(sale, want, || now.ledger);
                if grant.granted > 0 {
                    inner.grants.push((grant.at, grant.granted));
                }
                grant
            });
            if self.grants_wait.load(Ordering::Relaxed) {
                self.pause().await;
            }
            granted
        })
    }

    fn claim(&self, claim: Claim) -> Answer<'_, Claimed> {
        self.commit(move |book, now, batch| book.claim(claim, now, batch).0)
    }

    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Settled>> {
        assert!(!self.settle_panics.swap(false, Ordering::Relaxed), "as the test asked for");
        self.commit(move |book, now, batch| {
            settles.into_iter().map(|settle| book.settle(settle, now, batch)).collect()
        })
    }

    fn change(&self, change: Change) -> Answer<'_, Changed> {
        self.commit(move |book, now, batch| book.change(change, now, batch))
    }

    fn census(&self, sale: SaleName) -> Answer<'_, Option<SaleDoc>> {
        self.read(move |book, now| book.census(&sale, now))
    }

    fn sales(&self) -> Answer<'_, Vec<SaleDoc>> {
        self.read(Book::sales)
    }

    fn drain(&self) -> Answer<'_, DrainDoc> {
        self.read(|book, _| book.drain_doc())
    }

    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Answer<'_, Vec<Option<OrderDoc>>> {
        self.read(move |book, _| book.tickets(sale, &places))
    }

    fn timeline(&self, sale: SaleNo, place: Place) -> Answer<'_, Option<Timeline>> {
        self.read(move |book, _| book.timeline(sale, place))
    }

    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, ExportPage> {
        self.read(move |book, _| book.export(sale, from, max))
    }

    fn dead(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, DeadPage> {
        self.read(move |book, _| book.dead(sale, from, max))
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        Box::pin(async move {
            self.ask(|| {
                let now = self.now();
                let inner = self.lock();
                let id = TailId { epoch: inner.book.epoch(), n: inner.tail.len() as u64 };
                inner.book.gateway_snapshot(id, now)
            })
        })
    }

    fn tail(&self, after: TailId, max: usize) -> Answer<'_, Tail> {
        Box::pin(async move {
            self.ask(|| {
                let inner = self.lock();
                let from = usize::try_from(after.n).unwrap_or(usize::MAX);
                Tail::Entries(inner.tail.iter().skip(from).take(max).cloned().collect())
            })
        })
    }

    fn news(&self, after: TailId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut news = self.news.subscribe();
            news.wait_for(|newest| *newest > after.n).await.expect("the ledger is there");
        })
    }

    fn durability(&self) -> &'static str {
        "none"
    }

    fn trouble(&self) -> Option<Arc<str>> {
        None
    }
}
