//! Where the buyers of one thread wait: their tasks sleep, and one task calls them when their order has moved or
//! their time is up. What a settled order became is asked of the ledger for all of a batch at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::gateway::Gateway;
use super::wheel::{TICK, Wheel};
use crate::clock::SharedClock;
use crate::order::Place;
use crate::sale::SaleNo;
use crate::watch::{Bell, Seat};

/// One thread's room.
#[derive(Debug)]
pub(super) struct Room {
    bell: Arc<Bell>,
    clock: SharedClock,
    /// Used by one thread, so it is never contended.
    wheel: Mutex<Wheel>,
    first: Notify,
    closing: AtomicBool,
}

impl Room {
    pub(super) fn new(clock: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            bell: Arc::default(),
            clock,
            wheel: Mutex::new(Wheel::new()),
            first: Notify::new(),
            closing: AtomicBool::new(false),
        })
    }

    fn wheel(&self) -> MutexGuard<'_, Wheel> {
        self.wheel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rung for the seats of this room.
    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Whether everybody must leave.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Calls the seat after this time.
    pub(super) fn call_after(&self, seat: &Arc<Seat>, after: Duration) {
        let now = self.clock.monotonic();
        let mut wheel = self.wheel();
        if wheel.is_empty() {
            self.first.notify_one();
        }
        wheel.put(Arc::clone(seat), now, after);
    }

    /// Calls whoever's time is up.
    pub(super) fn turn(&self) {
        let due = self.wheel().turn(self.clock.monotonic());
        due.iter().for_each(|seat| seat.call());
    }

    /// Has everybody leave, and whoever comes.
    fn close(&self, gateway: &Gateway) {
        self.closing.store(true, Ordering::Release);
        gateway.parts.watch.call_all(&self.bell);
    }

    /// Calls the waiting for as long as its runtime lives; at the stop all of them at once.
    pub(super) async fn run(self: Arc<Self>, gateway: Arc<Gateway>) {
        let stop = gateway.parts.stop.clone();
        let stopped = stop.pulled();
        tokio::pin!(stopped);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let idle = self.wheel().is_empty();
            tokio::select! {
                rung = self.bell.rung() => {
                    tokio::spawn(told(Arc::clone(&gateway), rung));
                }
                () = self.first.notified(), if idle => {}
                _ = ticks.tick(), if !idle => self.turn(),
                () = &mut stopped, if !self.is_closing() => self.close(&gateway),
            }
        }
    }
}

/// Learns what became of settled orders, then calls those who wait for news of their order.
async fn told(gateway: Arc<Gateway>, seats: Vec<Arc<Seat>>) {
    let mut settled: BTreeMap<SaleNo, Vec<Place>> = BTreeMap::new();
    for (sale_no, place) in seats.iter().map(|seat| seat.order()) {
        if gateway.must_ask(sale_no, place) {
            settled.entry(sale_no).or_default().push(place);
        }
    }
    for (sale_no, mut places) in settled {
        places.sort_unstable();
        places.dedup();
        if let Err(fault) = gateway.learn(sale_no, places).await {
            // Whoever waits asks for himself, and is told if he cannot be answered.
            tracing::debug!(%fault, "outcomes could not be read");
        }
    }
    seats.iter().for_each(|seat| seat.call());
}
