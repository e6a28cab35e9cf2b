//! `[drain] adaptive` as the drain's tasks ask it: its lock, its gauges, its log lines. Switched off it holds back
//! nothing.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Gauge, gauge};

use super::adaptive::{Adaptive, Call, Said, Turned};
use super::config::Config;
use super::shared::Shared;
use crate::metrics::{DRAIN_ADAPTIVE_CONCURRENCY, DRAIN_ADAPTIVE_RATE};
use crate::sale::Rate;

/// What an adaptive drain asks for at most, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveLimits {
    /// Attempts a second.
    pub rate: Rate,
    /// Calls of the store in flight.
    pub concurrency: u32,
}

/// Written by the rounds and the follower, read by the granter.
pub(super) struct Limiter {
    adaptive: Option<Mutex<Adaptive>>,
    /// Rounds that have no answer of the store yet.
    slots: AtomicU32,
    rate_gauge: Gauge,
    concurrency_gauge: Gauge,
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("adaptive", &self.adaptive).finish_non_exhaustive()
    }
}

impl Limiter {
    pub(super) fn new(config: &Config, workers: u32, now: Duration) -> Self {
        let adaptive =
            config.adaptive.then(|| Mutex::new(Adaptive::new(workers, config.floor, now)));
        let concurrency_gauge = gauge!(DRAIN_ADAPTIVE_CONCURRENCY);
        concurrency_gauge.set(workers);
        let rate_gauge = gauge!(DRAIN_ADAPTIVE_RATE);
        Self { adaptive, slots: AtomicU32::new(0), rate_gauge, concurrency_gauge }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Adaptive>> {
        self.adaptive.as_ref().map(|one| one.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The rate in force is another.
    pub(super) fn set(&self, rate: Rate, now: Duration) {
        let Some(mut adaptive) = self.lock() else {
            return self.rate_gauge.set(rate.as_per_second());
        };
        adaptive.set(rate, now);
        self.show(&adaptive);
    }

    fn show(&self, adaptive: &Adaptive) {
        self.rate_gauge.set(adaptive.rate());
        self.concurrency_gauge.set(adaptive.concurrency());
    }

    /// When a batch of `worth` permits may be asked for; `None` when it waits for an answer of the store.
    pub(super) fn at(&self, worth: u32, now: Duration) -> Option<Duration> {
        let Some(mut adaptive) = self.lock() else { return Some(now) };
        let free = self.slots.load(Ordering::Relaxed) < adaptive.concurrency();
        free.then(|| adaptive.at(worth, now))
    }

    /// Takes up to `want` permits, one at least: how many may be asked for.
    pub(super) fn take(&self, want: u32, now: Duration) -> u32 {
        self.lock().map_or(want, |mut adaptive| adaptive.take(want, now))
    }

    /// Permits that were taken and not granted.
    pub(super) fn give_back(&self, permits: u32) {
        if let Some(mut adaptive) = self.lock() {
            adaptive.give_back(permits);
        }
    }

    /// A call of the store with so many orders begins.
    pub(super) fn begins(&self, orders: u32, now: Duration) -> Option<Call> {
        self.lock().map(|mut adaptive| adaptive.begins(orders, now))
    }

    /// It has ended.
    pub(super) fn ended(&self, call: Option<Call>, said: Said, now: Duration) {
        let (Some(mut adaptive), Some(call)) = (self.lock(), call) else { return };
        let turned = adaptive.ended(call, said, now);
        self.show(&adaptive);
        let (rate, concurrency) = (adaptive.told_rate(), adaptive.concurrency());
        drop(adaptive);
        match turned {
            Some(Turned::Off) => {
                tracing::warn!(%rate, concurrency, "the store is slower or fails: the drain backs off");
            }
            Some(Turned::Back) => {
                tracing::info!(%rate, concurrency, "the store keeps up again: the drain is back at its pace");
            }
            None => {}
        }
    }

    /// The limits now; `None` when they are not adaptive.
    pub(super) fn limits(&self) -> Option<AdaptiveLimits> {
        let adaptive = self.lock()?;
        Some(AdaptiveLimits { rate: adaptive.told_rate(), concurrency: adaptive.concurrency() })
    }
}

/// A place for a call of the store. Dropped, it wakes the granter, who may have waited for it.
#[derive(Debug)]
pub(super) struct Slot(Arc<Shared>);

impl Slot {
    pub(super) fn begins(shared: &Arc<Shared>) -> Self {
        shared.limiter.slots.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let limiter = &self.0.limiter;
        limiter.slots.fetch_sub(1, Ordering::Relaxed);
        if limiter.adaptive.is_some() {
            self.0.wake.notify_one();
        }
    }
}
