//! The pacer: token buckets in ledger time, exact in integers (L7).
//!
//! Invariant: over any window of ledger time a bucket gives at most `burst + rate × window` permits. It starts
//! empty, so that the windows of two lives of the ledger never add up to more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;

use crate::clock::Timestamp;
use crate::ledger::Grant;
use crate::sale::{Rate, SaleNo};

/// The bucket of the whole ledger, and those of sales with a rate of their own.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    paused: bool,
    all: Bucket,
    /// A sale's own bucket begins, empty, with the first question about it.
    own: HashMap<SaleNo, (Rate, Option<Bucket>)>,
}

impl Buckets {
    fn grant(&mut self, sale_no: SaleNo, want: u32, at: Timestamp) -> Grant {
        let nothing = |retry_in| Grant { granted: 0, at, retry_in };
        if self.paused {
            return nothing(None);
        }
        let mut granted = want.min(self.all.available(at));
        let mut wait = self.all.wait(want);
        if let Some((rate, bucket)) = self.own.get_mut(&sale_no) {
            let bucket = bucket.get_or_insert_with(|| Bucket::new(*rate, None, at));
            if !bucket.is(*rate, None) {
                bucket.set(*rate, None, at);
            }
            granted = granted.min(bucket.available(at));
            wait = wait.max(bucket.wait(want));
            bucket.take(granted);
        }
        self.all.take(granted);
        if granted == 0 {
            nothing(Some(wait.max(Duration::from_micros(1))))
        } else {
            Grant { granted, at, retry_in: None }
        }
    }

    /// A new life: nothing is saved.
    pub(super) fn empty(&mut self, now: Timestamp) {
        self.all = Bucket::new(self.all.rate, Some(self.all.burst), now);
        self.own.values_mut().for_each(|(_, bucket)| *bucket = None);
    }

    /// Another pace, decided at `now`; answers from when it is in force. Others were granted permits since that instant was
    /// read, and those were granted by the pace before.
    pub(super) fn set(&mut self, rate: Rate, burst: Option<u32>, now: Timestamp) -> Timestamp {
        if self.all.is(rate, burst) {
            return now;
        }
        // What was granted in this very microsecond was granted before the change, and the proof takes it so.
        let at = now.max(self.all.at);
        self.all.set(rate, burst, at);
        at
    }

    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// A sale's own rate from now on; `None` when it has none.
    pub(super) fn set_own(&mut self, sale_no: SaleNo, rate: Option<Rate>) {
        match rate {
            Some(rate) => self.own.entry(sale_no).or_insert((rate, None)).0 = rate,
            None => drop(self.own.remove(&sale_no)),
        }
    }
}

/// Where permits are asked for, also while the owner of the book waits for its disk: nothing of a grant has to be
/// durable, and a bucket that is asked too late has lost what it could not hold.
///
/// Written by the book: settings are in force as soon as they are decided, so that the instant which is recorded for
/// them is the one from which they bind. Asked by the engine, from any thread.
#[derive(Debug)]
pub struct Pacer(Arc<Mutex<Buckets>>);

/// A pacer of its own with the same in its buckets, as the copy of a book needs it. For the same pacer: [`Pacer::share`].
impl Clone for Pacer {
    fn clone(&self) -> Self {
        Self(Arc::new(Mutex::new(self.buckets().clone())))
    }
}

impl Pacer {
    pub(super) fn new(rate: Rate, burst: Option<u32>, now: Timestamp) -> Self {
        let all = Bucket::new(rate, burst, now);
        Self(Arc::new(Mutex::new(Buckets { paused: false, all, own: HashMap::new() })))
    }

    /// The same pacer.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    pub(super) fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Permits for attempts of one sale, now (L7). The instant is read when nobody else is granted anything, so that
    /// grants are in the order of their instants.
    #[must_use]
    pub fn grant(&self, sale_no: SaleNo, want: u32, now: impl FnOnce() -> Timestamp) -> Grant {
        let mut buckets = self.buckets();
        let at = now();
        buckets.grant(sale_no, want, at)
    }
}

/// One bucket. A permit is `period_micros` of level; a microsecond adds `permits` of level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    rate: Rate,
    burst: u32,
    level: u128,
    at: Timestamp,
}

impl Bucket {
    /// An empty bucket.
    pub(super) fn new(rate: Rate, burst: Option<u32>, now: Timestamp) -> Self {
        let burst = burst.or(rate.burst_auto()).unwrap_or(u32::MAX).max(1);
        Self { rate, burst, level: 0, at: now }
    }

    /// Another rate or burst from now on; what is saved stays, as far as the new burst allows.
    pub(super) fn set(&mut self, rate: Rate, burst: Option<u32>, now: Timestamp) {
        let (saved, fresh) = (self.available(now), Self::new(rate, burst, now));
        *self = fresh;
        if let Rate::Per { period_micros, .. } = rate {
            self.level = u128::from(saved.min(self.burst)) * u128::from(period_micros);
        }
    }

    /// Whether the bucket has this rate and burst.
    pub(super) fn is(&self, rate: Rate, burst: Option<u32>) -> bool {
        let other = Self::new(rate, burst, self.at);
        self.rate == other.rate && self.burst == other.burst
    }

    fn fill(&mut self, now: Timestamp) {
        if let Rate::Per { permits, period_micros } = self.rate {
            let elapsed = now.0.saturating_sub(self.at.0);
            let full = u128::from(self.burst) * u128::from(period_micros);
            self.level = (self.level + u128::from(elapsed) * u128::from(permits)).min(full);
        }
        self.at = self.at.max(now);
    }

    /// Permits that could be taken now. An unlimited bucket always has as many as a batch may hold.
    pub(super) fn available(&mut self, now: Timestamp) -> u32 {
        self.fill(now);
        match self.rate {
            Rate::Unlimited => u32::MAX,
            Rate::Per { period_micros, .. } => {
                u32::try_from(self.level / u128::from(period_micros)).unwrap_or(u32::MAX)
            }
        }
    }

    /// Takes permits that [`Self::available`] has just shown.
    pub(super) fn take(&mut self, count: u32) {
        if let Rate::Per { period_micros, .. } = self.rate {
            let cost = u128::from(count) * u128::from(period_micros);
            self.level =
                self.level.checked_sub(cost).expect("only what is available is taken (L7)");
        }
    }

    /// How long until a batch worth waking for is there: what is wanted, but at most half the burst, so that
    /// the other half covers a late wake-up and no permit is lost.
    pub(super) fn wait(&self, want: u32) -> Duration {
        let Rate::Per { permits, period_micros } = self.rate else { return Duration::ZERO };
        let worth = want.clamp(1, self.burst.div_ceil(2));
        let missing = (u128::from(worth) * u128::from(period_micros)).saturating_sub(self.level);
        let micros = missing.div_ceil(u128::from(permits));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The one-pass form of L7: `y_i = i − rate·t_i` never rises by more than the burst.
        #[test]
        fn no_window_gives_more_than_burst_and_rate(
            permits in 1u32..20_000,
            burst in proptest::option::of(1u32..200),
            steps in proptest::collection::vec((0u64..30_000, 0u32..300), 1..200),
        ) {
            let rate = Rate::per_second(permits);
            let mut bucket = Bucket::new(rate, burst, Timestamp(0));
            let bound = i128::from(burst.or(rate.burst_auto()).unwrap());
            let (mut now, mut given, mut lowest) = (0u64, 0i128, 0i128);
            for (step, want) in steps {
                now += step;
                let taken = bucket.available(Timestamp(now)).min(want);
                bucket.take(taken);
                // Scaled by a million: permits × 10^6 − permits-a-second × microseconds.
                let earned = i128::from(permits) * i128::from(now);
                lowest = lowest.min(given * 1_000_000 - earned);
                given += i128::from(taken);
                prop_assert!(given * 1_000_000 - earned - lowest <= bound * 1_000_000);
            }
        }
    }

    #[test]
    fn it_starts_empty_and_saves_no_more_than_the_burst() {
        let mut bucket = Bucket::new(Rate::per_second(100), None, Timestamp(0));
        assert_eq!(bucket.available(Timestamp(0)), 0);
        assert_eq!(bucket.available(Timestamp(10_000)), 1);
        assert_eq!(bucket.available(Timestamp(60_000_000)), 2, "1 + ceil(100/s × 10 ms)");
    }

    #[test]
    fn the_wait_is_exact() {
        let mut bucket = Bucket::new(Rate::per_second(1_000), None, Timestamp(0));
        let wait = bucket.wait(500);
        assert_eq!(wait, Duration::from_millis(6), "half of a burst of 11");
        assert_eq!(bucket.available(Timestamp(5_999)), 5);
        assert_eq!(bucket.available(Timestamp(6_000)), 6);
    }
}
