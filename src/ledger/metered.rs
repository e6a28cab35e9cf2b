//! Meters the seam once, so that no engine carries a line for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use metrics::{Histogram, histogram};

use super::{
    Answer, Cancel, Cancelled, Change, Changed, Claim, Claimed, DeadPage, DrainDoc, ExportPage,
    Fault, FaultKind, Grant, Ledger, Missing, OrderDoc, Reserve, Reserved, SaleDoc, Settle,
    Settled, SharedLedger, Snapshot, Stored, Tail, TailId, Timeline,
};
use crate::clock::SharedClock;
use crate::metrics::{LEDGER_BATCH_SIZE, LEDGER_REQUEST_DURATION};
use crate::order::Place;
use crate::sale::{SaleName, SaleNo};

/// Durations of one operation, by outcome.
#[derive(Debug)]
struct Op {
    ok: Histogram,
    unavailable: Histogram,
    in_doubt: Histogram,
    corrupt: Histogram,
}

impl Op {
    fn new(engine: &'static str, op: &'static str) -> Self {
        let of = |outcome: &'static str| histogram!(LEDGER_REQUEST_DURATION, "engine" => engine, "op" => op, "outcome" => outcome);
        Self {
            ok: of("ok"),
            unavailable: of("unavailable"),
            in_doubt: of("in_doubt"),
            corrupt: of("corrupt"),
        }
    }

    fn record<T>(&self, took: Duration, answer: &Result<T, Fault>) {
        let histogram = match answer {
            Ok(_) => &self.ok,
            Err(fault) => match fault.kind {
                FaultKind::Unavailable => &self.unavailable,
                FaultKind::InDoubt => &self.in_doubt,
                FaultKind::Corrupt => &self.corrupt,
            },
        };
        histogram.record(took);
    }
}

/// A ledger whose calls are timed: one observation a batch. Reads of memory are not.
#[derive(Debug)]
pub struct Metered {
    inner: SharedLedger,
    clock: SharedClock,
    batch_size: Histogram,
    reserve: Op,
    cancel: Op,
    grant: Op,
    claim: Op,
    settle: Op,
    change: Op,
    read: Op,
}

impl Metered {
    /// Times the calls to `inner` under the engine's name.
    #[must_use]
    pub fn over(inner: SharedLedger, engine: &'static str, clock: SharedClock) -> SharedLedger {
        let op = |name| Op::new(engine, name);
        Arc::new(Self {
            inner,
            clock,
            batch_size: histogram!(LEDGER_BATCH_SIZE),
            reserve: op("reserve"),
            cancel: op("cancel"),
            grant: op("grant"),
            claim: op("claim"),
            settle: op("settle"),
            change: op("change"),
            read: op("read"),
        })
    }

    fn timed<'a, T: Send + 'a>(&'a self, op: &'a Op, call: Answer<'a, T>) -> Answer<'a, T> {
        Box::pin(async move {
            let began = self.clock.monotonic();
            let answer = call.await;
            op.record(self.clock.monotonic().saturating_sub(began), &answer);
            answer
        })
    }
}

impl Ledger for Metered {
    fn reserve(&self, orders: Vec<Reserve>) -> Answer<'_, Vec<Reserved>> {
        #[expect(clippy::cast_precision_loss, reason = "a batch is far below 2^52 orders")]
        self.batch_size.record(orders.len() as f64);
        self.timed(&self.reserve, self.inner.reserve(orders))
    }

    fn cancel(&self, orders: Vec<Cancel>) -> Answer<'_, Vec<Cancelled>> {
        self.timed(&self.cancel, self.inner.cancel(orders))
    }

    fn grant(&self, sale: SaleNo, want: u32) -> Answer<'_, Grant> {
        self.timed(&self.grant, self.inner.grant(sale, want))
    }

    fn claim(&self, claim: Claim) -> Answer<'_, Claimed> {
        self.timed(&self.claim, self.inner.claim(claim))
    }

    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Settled>> {
        self.timed(&self.settle, self.inner.settle(settles))
    }

    fn change(&self, change: Change) -> Answer<'_, Changed> {
        self.timed(&self.change, self.inner.change(change))
    }

    fn census(&self, sale: SaleName) -> Answer<'_, Option<SaleDoc>> {
        self.timed(&self.read, self.inner.census(sale))
    }

    fn sales(&self) -> Answer<'_, Vec<SaleDoc>> {
        self.timed(&self.read, self.inner.sales())
    }

    fn drain(&self) -> Answer<'_, DrainDoc> {
        self.timed(&self.read, self.inner.drain())
    }

    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Answer<'_, Vec<Option<OrderDoc>>> {
        self.timed(&self.read, self.inner.tickets(sale, places))
    }

    fn timeline(&self, sale: SaleNo, place: Place) -> Answer<'_, Option<Timeline>> {
        self.timed(&self.read, self.inner.timeline(sale, place))
    }

    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, ExportPage> {
        self.timed(&self.read, self.inner.export(sale, from, max))
    }

    fn dead(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, DeadPage> {
        self.timed(&self.read, self.inner.dead(sale, from, max))
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        self.timed(&self.read, self.inner.snapshot())
    }

    fn tail(&self, after: TailId, max: usize) -> Answer<'_, Tail> {
        self.inner.tail(after, max)
    }

    fn news(&self, after: TailId) -> BoxFuture<'_, ()> {
        self.inner.news(after)
    }

    fn missing(&self) -> BoxFuture<'_, Missing> {
        self.inner.missing()
    }

    fn answer_for(&self, sale: SaleNo, orders: Vec<Stored>, all: bool) -> Answer<'_, u64> {
        self.timed(&self.change, self.inner.answer_for(sale, orders, all))
    }

    fn awaited(&self, clients: bool) {
        self.inner.awaited(clients);
    }

    fn durability(&self) -> &'static str {
        self.inner.durability()
    }

    fn trouble(&self) -> Option<Arc<str>> {
        self.inner.trouble()
    }
}
