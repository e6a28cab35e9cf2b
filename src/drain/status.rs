//! Figures of this process's drain, from memory, for the admin API, readiness and metrics.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};

use super::limiter::{AdaptiveLimits, Limiter};
use super::outcome::{IN_DOUBT, TIMED_OUT};
use super::sink::Sink;
use crate::clock::SharedClock;
use crate::ledger::{DrainDoc, Fault};
use crate::metrics::{DRAIN_ATTEMPTS, STORE_RETRIES, WORKERS};
use crate::store::LaterCause;
use crate::tasks::{Check, CheckStatus};

/// Whole seconds over which the attempts are averaged.
const WINDOW: u64 = 5;

/// The label of orders whose attempt was never started.
pub(super) const UNSTARTED: &str = "unstarted";

/// Labels of orders that went back.
fn retry_labels() -> [&'static str; 6] {
    use LaterCause::{Misconfigured, StoreAway, ThisOrder};
    let [order, away, misconfigured] = [ThisOrder, StoreAway, Misconfigured].map(LaterCause::name);
    [order, away, misconfigured, IN_DOUBT, TIMED_OUT, UNSTARTED]
}

/// Counted by the rounds.
pub(super) struct Figures {
    clock: SharedClock,
    begin: Duration,
    workers: u32,
    busy: AtomicU64,
    in_flight: AtomicU64,
    /// Attempts of the last seconds: (second, attempts).
    attempts: Mutex<VecDeque<(u64, u64)>>,
    /// Why the drain stands still, for readiness.
    halted: Mutex<Option<String>>,
    /// What of the ledger cannot be trusted now, by its name, and why: nothing of it is drained.
    broken: Mutex<BTreeMap<Box<str>, String>>,
    /// Whether there is any, to be asked at each call.
    is_broken: AtomicBool,
    attempts_total: Counter,
    retries: [(&'static str, Counter); 6],
    busy_gauge: Gauge,
    idle_gauge: Gauge,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl Figures {
    pub(super) fn new(clock: SharedClock, workers: u32) -> Self {
        let idle_gauge = gauge!(WORKERS, "state" => "idle");
        idle_gauge.set(workers);
        let busy_gauge = gauge!(WORKERS, "state" => "busy");
        busy_gauge.set(0);
        Self {
            begin: clock.monotonic(),
            clock,
            workers,
            busy: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            attempts: Mutex::default(),
            halted: Mutex::new(Some("the ledger was not read yet".to_owned())),
            broken: Mutex::default(),
            is_broken: AtomicBool::new(false),
            attempts_total: counter!(DRAIN_ATTEMPTS),
            retries: retry_labels()
                .map(|label| (label, counter!(STORE_RETRIES, "reason" => label))),
            busy_gauge,
            idle_gauge,
        }
    }

    /// A worker is busy until what is answered is dropped.
    pub(super) fn worker(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.busy_gauge.increment(1);
        self.idle_gauge.decrement(1);
        Busy(Arc::clone(self))
    }

    /// So many attempts start now; they are in flight until what is answered is dropped.
    pub(super) fn attempts(&self, count: u64) -> InFlight<'_> {
        let second = self.clock.monotonic().as_secs();
        self.attempts_total.increment(count);
        self.in_flight.fetch_add(count, Ordering::Relaxed);
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        match attempts.back_mut() {
            Some((last, attempts)) if *last == second => *attempts += count,
            _ => attempts.push_back((second, count)),
        }
        while attempts.front().is_some_and(|(at, _)| at + WINDOW < second) {
            attempts.pop_front();
        }
        InFlight { figures: self, count }
    }

    /// Orders went back for this reason.
    pub(super) fn went_back(&self, label: &'static str, count: u64) {
        if let Some((_, counter)) = self.retries.iter().find(|(known, _)| *known == label) {
            counter.increment(count);
        }
    }

    /// The drain's settings in force.
    pub(super) fn settings(&self, doc: &DrainDoc) {
        let why = doc.reason.as_deref().unwrap_or("operator");
        self.halted(doc.paused.then(|| format!("paused: {why}")));
    }

    /// Why nothing is drained; `None` when it is.
    pub(super) fn halted(&self, why: Option<String>) {
        *self.halted.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// A part of the ledger cannot be trusted. True when that is news.
    pub(super) fn broke(&self, part: &str, why: &Fault) -> bool {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_broken.store(true, Ordering::Relaxed);
        broken.insert(part.into(), why.to_string()).is_none()
    }

    /// It can be trusted, again perhaps.
    pub(super) fn mended(&self, part: &str) {
        if self.is_broken.load(Ordering::Relaxed) {
            let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
            if broken.remove(part).is_some() {
                tracing::info!(part, "the ledger can be trusted in this again");
            }
            self.is_broken.store(!broken.is_empty(), Ordering::Relaxed);
        }
    }

    /// Why something stands still; `None` when all is drained.
    fn stands_still(&self) -> Option<String> {
        let halted = self.halted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = broken.iter().map(|(part, why)| format!("{part}: {why}"));
        let all: Vec<String> = halted.into_iter().chain(broken).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// The drain has ended; what made it end stays the reason.
    pub(super) fn ended(&self) {
        let mut halted = self.halted.lock().unwrap_or_else(PoisonError::into_inner);
        halted.get_or_insert_with(|| "the drain has ended".to_owned());
    }

    fn attempts_per_second(&self) -> f64 {
        let now = self.clock.monotonic().as_secs();
        let since = now.saturating_sub(self.begin.as_secs()).clamp(1, WINDOW);
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = |at: u64| at < now && at + since >= now;
        let sum: u64 = attempts.iter().filter(|(at, _)| whole(*at)).map(|(_, count)| count).sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "attempts of five seconds are far below 2^52"
        )]
        let (sum, since) = (sum as f64, since as f64);
        sum / since
    }
}

/// A busy worker.
#[derive(Debug)]
pub(super) struct Busy(Arc<Figures>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        self.0.busy_gauge.decrement(1);
        self.0.idle_gauge.increment(1);
    }
}

/// Attempts without an answer yet.
#[derive(Debug)]
pub(super) struct InFlight<'a> {
    figures: &'a Figures,
    count: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.figures.in_flight.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// What a drain tells of itself; cloned freely, answers from memory, stays good after the drain has ended.
#[derive(Clone, Debug)]
pub struct DrainStatus {
    pub(super) figures: Arc<Figures>,
    pub(super) sink: Arc<Sink>,
    pub(super) limiter: Arc<Limiter>,
}

impl DrainStatus {
    /// Attempts started at the store, a second, over the last whole seconds (five, or as many as there are).
    #[must_use]
    pub fn attempts_per_second(&self) -> f64 {
        self.figures.attempts_per_second()
    }

    /// Orders whose attempt has no answer yet.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.figures.in_flight.load(Ordering::Relaxed)
    }

    /// Workers that the drain has.
    #[must_use]
    pub fn workers(&self) -> u32 {
        self.figures.workers
    }

    /// What it asks for at most, now; `None` unless `[drain] adaptive` is set.
    #[must_use]
    pub fn adaptive(&self) -> Option<AdaptiveLimits> {
        self.limiter.limits()
    }

    /// Workers that carry a batch now.
    #[must_use]
    pub fn workers_busy(&self) -> u64 {
        self.figures.busy.load(Ordering::Relaxed)
    }

    /// Readiness `store`: degraded while the store is away or misconfigured (`store_misconfigured`).
    #[must_use]
    pub fn store_check(&self) -> Check {
        check("store", self.sink.trouble())
    }

    /// Readiness `drain`: degraded while it is paused or stands still, all of it or what cannot be trusted.
    #[must_use]
    pub fn drain_check(&self) -> Check {
        check("drain", self.figures.stands_still())
    }
}

fn check(name: &'static str, trouble: Option<String>) -> Check {
    let status = if trouble.is_some() { CheckStatus::Degraded } else { CheckStatus::Ready };
    Check { name, status, reason: trouble.unwrap_or_default() }
}
