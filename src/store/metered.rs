//! Meters the seam once, so that no store carries a line for it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use metrics::{Histogram, histogram};

use super::{
    Comparable, Found, OrderPage, PlaceOrder, Placement, SharedStore, StockRow, Store, StoreError,
    StoreRows,
};
use crate::clock::SharedClock;
use crate::metrics::STORE_REQUEST_DURATION;
use crate::order::TicketText;
use crate::sale::StockChange;

/// Durations of one operation: answered, or not.
#[derive(Debug)]
struct Op {
    ok: Histogram,
    failed: Histogram,
}

impl Op {
    fn new(op: &'static str) -> Self {
        let of = |outcome: &'static str| histogram!(STORE_REQUEST_DURATION, "op" => op, "outcome" => outcome);
        Self { ok: of("ok"), failed: of("failed") }
    }
}

/// A store whose calls are timed, one observation a call. A call that its caller gave up counts as failed.
#[derive(Debug)]
pub struct Metered {
    inner: SharedStore,
    clock: SharedClock,
    place: Op,
    find: Op,
    void: Op,
    stock: Op,
}

impl Metered {
    /// Times the calls to `inner`.
    #[must_use]
    pub fn over(inner: SharedStore, clock: SharedClock) -> SharedStore {
        let [place, find, void, stock] = ["place", "find", "void", "stock"].map(Op::new);
        Arc::new(Self { inner, clock, place, find, void, stock })
    }

    fn timed<'a, T: Send + 'a>(
        &'a self,
        op: &'a Op,
        call: BoxFuture<'a, T>,
        is_ok: impl FnOnce(&T) -> bool + Send + 'a,
    ) -> BoxFuture<'a, T> {
        let mut stopwatch =
            Stopwatch { clock: &self.clock, began: self.clock.monotonic(), tell: &op.failed };
        Box::pin(async move {
            let answer = call.await;
            if is_ok(&answer) {
                stopwatch.tell = &op.ok;
            }
            drop(stopwatch);
            answer
        })
    }
}

/// Tells its time when it is dropped, so that a call that was given up is counted too.
struct Stopwatch<'a> {
    clock: &'a SharedClock,
    began: std::time::Duration,
    tell: &'a Histogram,
}

impl Drop for Stopwatch<'_> {
    fn drop(&mut self) {
        self.tell.record(self.clock.monotonic().saturating_sub(self.began));
    }
}

fn answered(placement: &Placement) -> bool {
    matches!(placement, Placement::Placed { .. } | Placement::Refused { .. } | Placement::Voided)
}

impl StoreRows for Metered {
    fn comparable(&self) -> Comparable {
        self.inner.comparable()
    }

    fn look_up(&self, tickets: Vec<TicketText>) -> BoxFuture<'_, Vec<Found>> {
        self.inner.look_up(tickets)
    }

    fn order_rows(&self, after: Option<String>) -> BoxFuture<'_, Result<OrderPage, StoreError>> {
        self.inner.order_rows(after)
    }

    fn stock_rows(&self) -> BoxFuture<'_, Result<Vec<StockRow>, StoreError>> {
        self.inner.stock_rows()
    }
}

impl Store for Metered {
    fn place(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Placement>> {
        self.timed(&self.place, self.inner.place(orders), |all| all.iter().any(answered))
    }

    fn find(&self, tickets: Vec<TicketText>) -> BoxFuture<'_, Vec<Found>> {
        let known = |found: &Found| !matches!(found, Found::Unknown { .. });
        self.timed(&self.find, self.inner.find(tickets), move |all| all.iter().all(known))
    }

    fn void(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Found>> {
        let known = |found: &Found| !matches!(found, Found::Unknown { .. });
        self.timed(&self.void, self.inner.void(orders), move |all| all.iter().all(known))
    }

    fn stock(&self, changes: Vec<StockChange>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.timed(&self.stock, self.inner.stock(changes), Result::is_ok)
    }

    fn can_void(&self) -> bool {
        self.inner.can_void()
    }

    fn number_of(&self, ticket: &TicketText) -> Option<String> {
        self.inner.number_of(ticket)
    }

    fn concurrency_max(&self) -> usize {
        self.inner.concurrency_max()
    }
}
