//! A store in memory that keeps S1 and S4, whose behaviour can be changed while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::clock::SharedClock;
use crate::order::TicketText;
use crate::sale::{SaleNo, StockChange};
use crate::store::{
    Found, Later, LaterCause, OrderPage, PlaceOrder, Placement, StockRow, Store, StoreError,
    StoreRows,
};

/// How the store behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Takes every order.
    Up,
    /// Says this of every order, and that it should not be asked again so soon.
    Says(LaterCause, Option<Duration>),
    /// Refuses every order.
    Refuses,
    /// Takes every order, but the answer is lost.
    LosesReplies,
    /// Answers after so long, although nobody waits any more.
    TakesLong(Duration),
    /// Its code panics.
    Panics,
}

/// One attempt as the store saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) at: Duration,
    pub(super) ticket: TicketText,
    pub(super) sale_no: SaleNo,
}

#[derive(Debug)]
struct Inner {
    mode: Mode,
    latency: Duration,
    stock_fails: bool,
    stock_takes: Duration,
    /// The newest stock change of each sale.
    stock: BTreeMap<SaleNo, u64>,
    /// What is remembered of each ticket, and how often it took effect.
    rows: BTreeMap<TicketText, (Placement, u32)>,
    seen: Vec<Seen>,
    without_stock: u32,
}

/// The store under a drain.
#[derive(Debug)]
pub(super) struct Shop {
    clock: SharedClock,
    inner: Arc<Mutex<Inner>>,
    calls_max: usize,
}

fn locked(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn write(&mut self, ticket: TicketText, placement: Placement) -> Placement {
        let row = self.rows.entry(ticket).or_insert_with(|| (placement, 0));
        row.1 = 1;
        row.0.clone()
    }

    fn take(&mut self, ticket: TicketText) -> Placement {
        self.write(ticket, Placement::Placed { order_no: format!("no-{ticket}") })
    }
}

impl Shop {
    pub(super) fn new(clock: SharedClock) -> Arc<Self> {
        let inner = Inner {
            mode: Mode::Up,
            latency: Duration::from_millis(10),
            stock_fails: false,
            stock_takes: Duration::ZERO,
            stock: BTreeMap::new(),
            rows: BTreeMap::new(),
            seen: Vec::new(),
            without_stock: 0,
        };
        Arc::new(Self { clock, inner: Arc::new(Mutex::new(inner)), calls_max: 64 })
    }

    pub(super) fn behave(&self, mode: Mode) {
        locked(&self.inner).mode = mode;
    }

    pub(super) fn latency(&self, latency: Duration) {
        locked(&self.inner).latency = latency;
    }

    pub(super) fn stock_fails(&self, fails: bool) {
        locked(&self.inner).stock_fails = fails;
    }

    pub(super) fn stock_takes(&self, time: Duration) {
        locked(&self.inner).stock_takes = time;
    }

    /// Every attempt, in order.
    pub(super) fn seen(&self) -> Vec<Seen> {
        locked(&self.inner).seen.clone()
    }

    /// Tickets that the store has placed.
    pub(super) fn placed(&self) -> usize {
        let inner = locked(&self.inner);
        inner.rows.values().filter(|(row, _)| matches!(row, Placement::Placed { .. })).count()
    }

    /// The newest stock change of a sale that the store has.
    pub(super) fn stock_of(&self, sale_no: SaleNo) -> u64 {
        locked(&self.inner).stock.get(&sale_no).copied().unwrap_or(0)
    }

    /// Attempts at orders whose sale had no stock at the store yet.
    pub(super) fn without_stock(&self) -> u32 {
        locked(&self.inner).without_stock
    }
}

impl StoreRows for Shop {
    fn order_rows(&self, _: Option<String>) -> BoxFuture<'_, Result<OrderPage, StoreError>> {
        panic!("the drain reads no rows");
    }

    fn stock_rows(&self) -> BoxFuture<'_, Result<Vec<StockRow>, StoreError>> {
        panic!("the drain reads no rows");
    }
}

impl Store for Shop {
    fn place(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Placement>> {
        let now = self.clock.monotonic();
        let (mode, latency) = {
            let mut inner = locked(&self.inner);
            for order in &orders {
                inner.seen.push(Seen { at: now, ticket: order.ticket, sale_no: order.sale_no });
                inner.without_stock += u32::from(!inner.stock.contains_key(&order.sale_no));
            }
            (inner.mode.clone(), inner.latency)
        };
        assert!(mode != Mode::Panics, "as the test asked for");
        let inner = Arc::clone(&self.inner);
        // The server goes on with what it was sent, whether its client waits or not.
        let served = tokio::spawn(async move {
            let latency = if let Mode::TakesLong(long) = mode { long } else { latency };
            tokio::time::sleep(latency).await;
            let mut inner = locked(&inner);
            let answer = |order: PlaceOrder| match &mode {
                Mode::Up | Mode::TakesLong(_) | Mode::Panics => inner.take(order.ticket),
                Mode::Refuses => {
                    inner.write(order.ticket, Placement::Refused { reason: "no".to_owned() })
                }
                Mode::LosesReplies => {
                    inner.take(order.ticket);
                    Placement::InDoubt { reason: "the connection broke".to_owned() }
                }
                Mode::Says(cause, after) => {
                    let reason = "as the test asked for".to_owned();
                    Placement::Later(Later { cause: *cause, reason, after: *after })
                }
            };
            orders.into_iter().map(answer).collect()
        });
        Box::pin(async move { served.await.expect("the server does not break") })
    }

    fn find(&self, tickets: Vec<TicketText>) -> BoxFuture<'_, Vec<Found>> {
        let inner = locked(&self.inner);
        let away = matches!(inner.mode, Mode::Says(..) | Mode::Panics);
        let found = |ticket: &TicketText| match inner.rows.get(ticket) {
            _ if away => Found::Unknown { reason: "away".to_owned() },
            Some((Placement::Placed { order_no }, _)) => {
                Found::Placed { order_no: order_no.clone() }
            }
            Some((Placement::Refused { reason }, _)) => Found::Refused { reason: reason.clone() },
            Some(_) => Found::Voided,
            None => Found::NotThere,
        };
        let found = tickets.iter().map(found).collect();
        Box::pin(std::future::ready(found))
    }

    fn void(&self, _: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Found>> {
        panic!("the drain voids nothing");
    }

    fn stock(&self, changes: Vec<StockChange>) -> BoxFuture<'_, Result<(), StoreError>> {
        let time = locked(&self.inner).stock_takes;
        Box::pin(async move {
            if !time.is_zero() {
                tokio::time::sleep(time).await;
            }
            let mut inner = locked(&self.inner);
            if inner.stock_fails {
                let reason = "deadlock".to_owned();
                return Err(StoreError { cause: LaterCause::ThisOrder, reason });
            }
            for change in changes {
                let newest = inner.stock.entry(change.sale_no).or_default();
                *newest = (*newest).max(change.number);
            }
            Ok(())
        })
    }

    fn concurrency_max(&self) -> usize {
        self.calls_max
    }
}
