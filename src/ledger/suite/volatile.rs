//! The book behind a mutex, with its journal in memory: the reference engine of the tests. At a restart the
//! journal is replayed, and must give the very book that was running.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::Engine;
use super::mutants::{self, Bug};
use crate::clock::{LedgerClock, ManualClock, Timestamp};
use crate::ledger::book::{Batch, Book, Event, Now, Reader, Writer};
use crate::ledger::{
    Answer, Cancel, Cancelled, Change, Changed, Claim, Claimed, DeadPage, DrainDoc, ExportPage,
    Grant, Ledger, OrderDoc, Reserve, Reserved, SaleDoc, Settle, Settled, SharedLedger, Snapshot,
    Tail, TailEntry, TailId, Timeline,
};
use crate::order::Place;
use crate::sale::{SaleName, SaleNo};

/// The reference engine.
#[derive(Debug)]
pub(crate) struct Volatile {
    clock: Arc<ManualClock>,
    ledger: Arc<BookLedger>,
    bug: Option<Bug>,
}

/// The book behind a mutex.
#[derive(Debug)]
pub(crate) struct BookLedger {
    clock: LedgerClock,
    bug: Option<Bug>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    book: Book,
    journal: Vec<u8>,
    tail: Vec<Arc<TailEntry>>,
}

impl Volatile {
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    /// An engine with a seeded bug.
    pub(super) fn with(bug: Option<Bug>) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000_000)));
        let ledger = Arc::new(BookLedger::open(&clock, (Book::new(), Vec::new()), false, bug));
        Self { clock, ledger, bug }
    }
}

impl Engine for Volatile {
    fn ledger(&self) -> SharedLedger {
        Arc::<BookLedger>::clone(&self.ledger)
    }

    fn restart(&mut self, lossy: bool) -> bool {
        let (book, journal) = {
            let inner = self.ledger.lock();
            (inner.book.clone(), inner.journal.clone())
        };
        let replayed = replay(&journal);
        assert_eq!(
            snapshot(&replayed),
            snapshot(&book),
            "a replay gives the book that was running"
        );
        let bytes = snapshot(&book);
        let read = Book::decode_snapshot(&mut Reader::new(&bytes)).expect("our own snapshot");
        assert_eq!(snapshot(&read), bytes, "a snapshot is read back whole");
        let kept = match self.bug {
            Some(Bug::AnsweredBeforeDurable) => without_last_order(&journal),
            _ => (read, journal),
        };
        self.ledger = Arc::new(BookLedger::open(&self.clock, kept, lossy, self.bug));
        lossy
    }

    fn clock(&self) -> Arc<ManualClock> {
        Arc::clone(&self.clock)
    }
}

fn snapshot(book: &Book) -> Vec<u8> {
    let mut out = Writer::default();
    book.encode_snapshot(&mut out);
    out.into_inner()
}

fn replay(journal: &[u8]) -> Book {
    let (mut book, mut reader) = (Book::new(), Reader::new(journal));
    while !reader.is_empty() {
        let (event, payload_at) = Event::decode(&mut reader).expect("our own journal");
        book.apply(&event, payload_at as u64);
    }
    book
}

/// The journal up to where its last order began.
fn without_last_order(journal: &[u8]) -> (Book, Vec<u8>) {
    let (mut reader, mut last) = (Reader::new(journal), journal.len());
    while !reader.is_empty() {
        let begin = reader.position();
        let (event, _) = Event::decode(&mut reader).expect("our own journal");
        if matches!(event, Event::Admitted { .. }) {
            last = begin;
        }
    }
    (replay(&journal[..last]), journal[..last].to_vec())
}

impl BookLedger {
    fn open(
        clock: &Arc<ManualClock>,
        (book, journal): (Book, Vec<u8>),
        lossy: bool,
        bug: Option<Bug>,
    ) -> Self {
        let clock = LedgerClock::open(Arc::<ManualClock>::clone(clock), book.last_at());
        let inner = Mutex::new(Inner { book, journal, tail: Vec::new() });
        let ledger = Self { clock, bug, inner };
        ledger.run(|book, now, batch| book.open(lossy, now, batch));
        ledger
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        Now { ledger: self.clock.now(), wall: self.clock.wall() }
    }

    fn run<T>(&self, command: impl FnOnce(&mut Book, Now, &mut Batch) -> T) -> T {
        let mut inner = self.lock();
        let mut batch = Batch::at(inner.journal.len() as u64);
        let answer = command(&mut inner.book, self.now(), &mut batch);
        let (bytes, events) = batch.into_parts();
        inner.journal.extend(bytes);
        if !events.is_empty() {
            let id = TailId { epoch: inner.book.epoch(), n: inner.tail.len() as u64 + 1 };
            inner.tail.push(Arc::new(TailEntry { id, events }));
        }
        answer
    }

    fn answer<'a, T: Send + 'a>(
        &'a self,
        command: impl FnOnce(&mut Book, Now, &mut Batch) -> T + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move { Ok(self.run(command)) })
    }

    fn tail_after(&self, after: TailId, max: usize) -> Vec<Arc<TailEntry>> {
        let inner = self.lock();
        inner.tail.iter().filter(|entry| entry.id.n > after.n).take(max).cloned().collect()
    }
}

impl Ledger for BookLedger {
    fn reserve(&self, orders: Vec<Reserve>) -> Answer<'_, Vec<Reserved>> {
        self.answer(move |book, now, batch| mutants::reserve(self.bug, book, orders, now, batch))
    }

    fn cancel(&self, orders: Vec<Cancel>) -> Answer<'_, Vec<Cancelled>> {
        self.answer(move |book, now, batch| {
            let cancel = |order| mutants::cancel(self.bug, book, order, now, batch);
            orders.into_iter().map(cancel).collect()
        })
    }

    fn grant(&self, sale: SaleNo, want: u32) -> Answer<'_, Grant> {
        self.answer(move |book, now, _| {
            mutants::grant(self.bug, book.pacer().grant(sale, want, || now.ledger), want)
        })
    }

    fn claim(&self, claim: Claim) -> Answer<'_, Claimed> {
        Box::pin(async move {
            let (mut claimed, payloads) =
                self.run(|book, now, batch| book.claim(claim, now, batch));
            let places = claimed.orders.iter().map(|order| order.place).collect();
            let taken = (claim.sale_no, places);
            self.run(|book, now, batch| mutants::claimed(self.bug, book, taken, now, batch));
            let inner = self.lock();
            for (order, at) in claimed.orders.iter_mut().zip(payloads) {
                let from = usize::try_from(at.lsn).expect("the journal is in memory");
                let bytes = inner.journal.get(from..from + usize::from(at.len));
                order.payload = Bytes::copy_from_slice(bytes.expect("the payload is there"));
            }
            Ok(claimed)
        })
    }

    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Settled>> {
        self.answer(move |book, now, batch| {
            let settle = |one| mutants::settle(self.bug, book, one, now, batch);
            settles.into_iter().map(settle).collect()
        })
    }

    fn change(&self, change: Change) -> Answer<'_, Changed> {
        self.answer(move |book, now, batch| book.change(change, now, batch))
    }

    fn census(&self, sale: SaleName) -> Answer<'_, Option<SaleDoc>> {
        self.answer(move |book, now, _| book.census(&sale, now))
    }

    fn sales(&self) -> Answer<'_, Vec<SaleDoc>> {
        self.answer(|book, now, _| book.sales(now))
    }

    fn drain(&self) -> Answer<'_, DrainDoc> {
        self.answer(|book, _, _| book.drain_doc())
    }

    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Answer<'_, Vec<Option<OrderDoc>>> {
        self.answer(move |book, _, _| book.tickets(sale, &places))
    }

    fn timeline(&self, sale: SaleNo, place: Place) -> Answer<'_, Option<Timeline>> {
        self.answer(move |book, _, _| book.timeline(sale, place))
    }

    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, ExportPage> {
        self.answer(move |book, _, _| book.export(sale, from, max))
    }

    fn dead(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, DeadPage> {
        self.answer(move |book, _, _| book.dead(sale, from, max))
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        Box::pin(async move {
            let inner = self.lock();
            let id = TailId { epoch: inner.book.epoch(), n: inner.tail.len() as u64 };
            Ok(inner.book.gateway_snapshot(id, self.now()))
        })
    }

    fn tail(&self, after: TailId, max: usize) -> Answer<'_, Tail> {
        Box::pin(async move { Ok(Tail::Entries(self.tail_after(after, max))) })
    }

    fn news(&self, _after: TailId) -> BoxFuture<'_, ()> {
        Box::pin(tokio::task::yield_now())
    }

    fn durability(&self) -> &'static str {
        "none"
    }

    fn trouble(&self) -> Option<Arc<str>> {
        None
    }
}
