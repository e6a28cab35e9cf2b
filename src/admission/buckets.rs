//! Token buckets of one gateway: for each buyer, each address, each sale, and all together.
//!
//! Invariant: over any window a bucket gives at most `burst + rate × window` permits, and a refusal takes
//! nothing, so that whoever is refused does not keep others out. Time comes in by the clock that is given.

use core::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::SharedClock;
use crate::sale::Rate;

/// Keys of one keyed limit above which it forgets all and begins anew: 2 million take some 70 MB. It is reached
/// only by rates so slow that a key is not forgotten in time.
const KEYS_MAX: usize = 2_000_000;

/// A rate with its burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    permits: u32,
    period_micros: u64,
    burst: NonZeroU32,
}

impl Limit {
    /// `None` when the rate is unlimited. A burst of 0 counts as 1.
    #[must_use]
    pub fn new(rate: Rate, burst: u32) -> Option<Self> {
        let Rate::Per { permits, period_micros } = rate else { return None };
        Some(Self {
            permits,
            period_micros,
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
        })
    }

    /// With the burst of a tenth of a second, and one: what a thread may be late by.
    #[must_use]
    pub fn of_rate(rate: Rate) -> Option<Self> {
        let Rate::Per { permits, period_micros } = rate else { return None };
        let tenth = (u64::from(permits) * 100_000).div_ceil(period_micros);
        Self::new(rate, 1 + u32::try_from(tenth).unwrap_or(u32::MAX - 1))
    }

    /// Permits that can be taken at one instant.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst.get()
    }

    /// Whole seconds in which an empty bucket fills, rounded up.
    #[must_use]
    pub fn window_seconds(&self) -> u64 {
        let micros = u64::from(self.burst.get()).saturating_mul(self.period_micros);
        micros.div_ceil(u64::from(self.permits)).div_ceil(1_000_000).max(1)
    }

    fn quota(&self) -> Quota {
        // Rounded up: the bound is never exceeded.
        let nanos = self.period_micros.saturating_mul(1_000).div_ceil(u64::from(self.permits));
        Quota::with_period(Duration::from_nanos(nanos.max(1)))
            .expect("a period of at least a nanosecond is no zero")
            .allow_burst(self.burst)
    }
}

/// No permit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The limit's name, as `RateLimit-Policy` says it.
    pub policy: &'static str,
    /// The limit.
    pub limit: Limit,
    /// How long until there is a permit, if nobody else takes it.
    pub wait: Duration,
}

/// The shared clock as the buckets read it.
#[derive(Clone, Debug)]
struct Monotonic(SharedClock);

impl GovernorClock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    policy: &'static str,
    limit: Limit,
    clock: Monotonic,
    limiter: RateLimiter<NotKeyed, InMemoryState, Monotonic, NoOpMiddleware<Duration>>,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(policy: &'static str, limit: Limit, clock: &SharedClock) -> Self {
        let clock = Monotonic(Arc::clone(clock));
        let limiter = RateLimiter::direct_with_clock(limit.quota(), clock.clone());
        Self { policy, limit, clock, limiter }
    }

    /// The limit that it keeps.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Takes a permit.
    ///
    /// # Errors
    /// When there is none; nothing was taken.
    pub fn take(&self) -> Result<(), Limited> {
        let Self { policy, limit, .. } = self;
        self.limiter.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            Limited { policy, limit: *limit, wait }
        })
    }
}

type Keys = RateLimiter<u64, DashMapStateStore<u64>, Monotonic, NoOpMiddleware<Duration>>;

/// A bucket for each key.
#[derive(Debug)]
pub struct KeyedBuckets {
    policy: &'static str,
    limit: Limit,
    clock: Monotonic,
    keys: ArcSwap<Keys>,
}

impl KeyedBuckets {
    /// Full buckets.
    #[must_use]
    pub fn new(policy: &'static str, limit: Limit, clock: &SharedClock) -> Self {
        let clock = Monotonic(Arc::clone(clock));
        let keys = ArcSwap::from_pointee(Self::fresh(limit, &clock));
        Self { policy, limit, clock, keys }
    }

    /// The limit that each of them keeps.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    fn fresh(limit: Limit, clock: &Monotonic) -> Keys {
        RateLimiter::new(limit.quota(), DashMapStateStore::default(), clock.clone())
    }

    /// Takes a permit from a key's bucket.
    ///
    /// # Errors
    /// When there is none; nothing was taken.
    pub fn take(&self, key: u64) -> Result<(), Limited> {
        let Self { policy, limit, .. } = self;
        self.keys.load().check_key(&key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            Limited { policy, limit: *limit, wait }
        })
    }

    /// Forgets keys whose bucket is full again, gives their memory back, and answers how many are left.
    pub fn sweep(&self) -> usize {
        let keys = self.keys.load();
        keys.retain_recent();
        keys.shrink_to_fit();
        let left = keys.len();
        if left <= KEYS_MAX {
            return left;
        }
        self.keys.store(Arc::new(Self::fresh(self.limit, &self.clock)));
        0
    }
}

/// An address as a limit counts it: IPv6 by its /64, since whoever has one address of it has all of them.
pub(super) fn address_key(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // No network begins with these bits: the two kinds never share a key.
        IpAddr::V4(v4) => 0xffff_ffff_0000_0000 | u64::from(u32::from(v4)),
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn clock() -> (Arc<ManualClock>, SharedClock) {
        let clock = Arc::new(ManualClock::default());
        (Arc::clone(&clock), clock)
    }

    #[test]
    fn grants_are_at_most_burst_and_rate_and_overload_starves_nobody() {
        // Also a rate whose period is no whole number of nanoseconds.
        for (permits, burst) in [(300, 7), (1_000, 1), (7, 40)] {
            let (manual, shared) = clock();
            let limit = Limit::new(Rate::per_second(permits), burst).unwrap();
            let (bucket, keyed) =
                (Bucket::new("sale", limit, &shared), KeyedBuckets::new("buyer", limit, &shared));
            let (mut granted, mut of_key) = (0u32, 0u32);
            // Ten seconds, offered a hundred times the rate.
            let step = Duration::from_secs(10) / (permits * 1_000);
            for _ in 0..permits * 1_000 {
                granted += u32::from(bucket.take().is_ok());
                of_key += u32::from(keyed.take(9).is_ok());
                manual.advance(step);
            }
            assert_eq!(granted, of_key);
            assert!(granted <= burst + permits * 10, "{granted} of {permits}/s");
            assert!(f64::from(granted) >= 0.95 * f64::from(permits) * 10.0, "{granted}");
        }
    }

    #[test]
    fn a_refusal_tells_the_true_wait() {
        let (manual, shared) = clock();
        let limit = Limit::new(Rate::per_second(4), 2).unwrap();
        let keyed = KeyedBuckets::new("buyer", limit, &shared);
        assert_eq!((keyed.take(1), keyed.take(1)), (Ok(()), Ok(())));
        let Err(limited) = keyed.take(1) else { panic!("the burst was 2") };
        assert_eq!((limited.policy, limited.wait), ("buyer", Duration::from_millis(250)));
        assert_eq!(limited.limit.window_seconds(), 1);
        assert_eq!(keyed.take(2), Ok(()), "another key");
        manual.advance(limited.wait);
        assert_eq!(keyed.take(1), Ok(()));
    }

    #[test]
    fn memory_is_flat_after_many_keys() {
        let (manual, shared) = clock();
        let limit = Limit::new(Rate::per_second(5), 10).unwrap();
        let keyed = KeyedBuckets::new("buyer", limit, &shared);
        let mut most = 0;
        for key in 0..200_000 {
            assert_eq!(keyed.take(key), Ok(()));
            if key % 10_000 == 0 {
                manual.advance(Duration::from_secs(1));
                most = most.max(keyed.sweep());
            }
        }
        assert!(most <= 20_000, "{most}");
        manual.advance(Duration::from_secs(2));
        assert_eq!(keyed.sweep(), 0);
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
    }

    #[test]
    fn an_unlimited_rate_is_no_limit() {
        assert_eq!(Limit::new(Rate::Unlimited, 5), None);
        assert_eq!(Limit::of_rate(Rate::Unlimited), None);
        assert_eq!(Limit::of_rate(Rate::per_second(50)).unwrap().burst(), 6);
    }
}
