//! Whoever waits for news of an order has a seat. The follower finds the seats of orders that moved and rings the
//! bell of the thread that serves them: one wake-up a batch and thread, however many wait.
//!
//! Sit down first, look at the order then: what moves in between rings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::ledger::SharedLedger;
use crate::order::{Place, State};
use crate::sale::SaleNo;

/// Rung for the seats of one thread.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<Vec<Arc<Seat>>>,
    news: Notify,
}

impl Bell {
    /// The seats that were rung for since the last call; waits for the first.
    pub async fn rung(&self) -> Vec<Arc<Seat>> {
        loop {
            let rung = std::mem::take(&mut *lock(&self.rung));
            if !rung.is_empty() {
                return rung;
            }
            self.news.notified().await;
        }
    }

    fn ring(&self, seat: &Arc<Seat>) {
        let mut rung = lock(&self.rung);
        rung.push(Arc::clone(seat));
        if rung.len() == 1 {
            self.news.notify_one();
        }
    }
}

/// The place of one who waits for news of one order.
#[derive(Debug)]
pub struct Seat {
    sale_no: SaleNo,
    place: Place,
    bell: Arc<Bell>,
    called: AtomicBool,
    waker: AtomicWaker,
}

impl Seat {
    pub(crate) fn new(sale_no: SaleNo, place: Place, bell: &Arc<Bell>) -> Arc<Self> {
        Arc::new(Self {
            sale_no,
            place,
            bell: Arc::clone(bell),
            called: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        })
    }

    /// The sale and the order's place in it.
    #[must_use]
    pub fn order(&self) -> (SaleNo, Place) {
        (self.sale_no, self.place)
    }

    /// Wakes whoever sits here. It is kept for him if he does not wait at the moment.
    pub fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Has the task woken by the next call; what was called before is kept for [`Self::poll_called`].
    pub fn wake_by(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Ready once for each call or more of them.
    pub fn poll_called(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.called.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Seats by their order; the address of a seat tells those of one order apart.
type ByOrder = BTreeMap<(SaleNo, Place, usize), Arc<Seat>>;

/// Everybody who waits. The ledger is told when there is somebody, and when there is nobody any more.
#[derive(Debug)]
pub(super) struct Seats {
    by_order: Mutex<ByOrder>,
    ledger: SharedLedger,
}

impl Seats {
    pub(super) fn new(ledger: SharedLedger) -> Arc<Self> {
        Arc::new(Self { by_order: Mutex::default(), ledger })
    }

    pub(super) fn sit(self: &Arc<Self>, sale_no: SaleNo, place: Place, bell: &Arc<Bell>) -> Seated {
        let seat = Seat::new(sale_no, place, bell);
        let seated = Seated { seats: Arc::clone(self), seat };
        let mut by_order = lock(&self.by_order);
        if by_order.is_empty() {
            // Under the lock, so that the ledger hears it in the order in which it is so.
            self.ledger.awaited(true);
        }
        by_order.insert(seated.key(), Arc::clone(&seated.seat));
        drop(by_order);
        seated
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.by_order).len()
    }

    /// Orders moved.
    pub(super) fn ring(&self, sale_no: SaleNo, orders: &[(Place, State)]) {
        let by_order = lock(&self.by_order);
        if by_order.is_empty() {
            return;
        }
        for (place, _) in orders {
            let of_order = (sale_no, *place, usize::MIN)..=(sale_no, *place, usize::MAX);
            by_order.range(of_order).for_each(|(_, seat)| seat.bell.ring(seat));
        }
    }

    /// All that was known may have changed.
    pub(super) fn ring_all(&self) {
        lock(&self.by_order).values().for_each(|seat| seat.bell.ring(seat));
    }

    /// Calls everybody of one bell.
    pub(super) fn call_all(&self, bell: &Arc<Bell>) {
        let all: Vec<Arc<Seat>> = lock(&self.by_order).values().cloned().collect();
        all.iter().filter(|seat| Arc::ptr_eq(&seat.bell, bell)).for_each(|seat| seat.call());
    }
}

/// A seat that is taken; dropped, it is free.
#[derive(Debug)]
pub struct Seated {
    seats: Arc<Seats>,
    seat: Arc<Seat>,
}

impl Seated {
    /// The seat.
    #[must_use]
    pub fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    fn key(&self) -> (SaleNo, Place, usize) {
        (self.seat.sale_no, self.seat.place, Arc::as_ptr(&self.seat).addr())
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let mut by_order = lock(&self.seats.by_order);
        by_order.remove(&self.key());
        if by_order.is_empty() {
            self.seats.ledger.awaited(false);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::ledger::suite::{Engine as _, Volatile};

    const SALE: SaleNo = SaleNo(1);

    fn place(sequence: u64) -> Place {
        Place { epoch: 1, sequence }
    }

    #[tokio::test]
    async fn only_the_seats_of_orders_that_moved_are_rung_and_only_while_they_are_taken() {
        let seats = Seats::new(Volatile::new().ledger());
        let (bell, other) = (Arc::default(), Arc::default());
        let first = seats.sit(SALE, place(1), &bell);
        let both = [seats.sit(SALE, place(2), &bell), seats.sit(SALE, place(2), &bell)];
        let elsewhere = seats.sit(SALE, place(2), &other);
        drop(seats.sit(SALE, place(2), &bell));
        seats.ring(SaleNo(2), &[(place(2), State::Placing)]);
        seats.ring(SALE, &[(place(2), State::Placing), (place(3), State::Placing)]);
        let rung = bell.rung().await;
        assert_eq!(rung.len(), 2);
        assert!(both.iter().all(|seated| rung.iter().any(|seat| Arc::ptr_eq(seat, seated.seat()))));
        assert_eq!(other.rung().await.len(), 1);
        // Nobody knows what he has missed.
        seats.ring_all();
        assert_eq!(bell.rung().await.len(), 3);
        drop((first, both, elsewhere));
        assert_eq!(seats.len(), 0);
    }

    #[test]
    fn a_call_is_kept_for_who_does_not_wait_yet() {
        let bell = Arc::<Bell>::default();
        let seat = Seat::new(SALE, place(1), &bell);
        let cx = &Context::from_waker(Waker::noop());
        assert_eq!(seat.poll_called(cx), Poll::Pending);
        seat.call();
        seat.call();
        assert_eq!(seat.poll_called(cx), Poll::Ready(()));
        assert_eq!(seat.poll_called(cx), Poll::Pending);
    }
}
