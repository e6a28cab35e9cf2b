//! `[limits]`: the rates of one gateway, and the buckets that keep them.

use core::net::IpAddr;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::buckets::{Bucket, KeyedBuckets, Limit, Limited, address_key};
use crate::clock::SharedClock;
use crate::order::Buyer;
use crate::sale::Rate;

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Order calls of one buyer.
    pub per_buyer: Rate,
    /// Its burst.
    pub per_buyer_burst: u32,
    /// Order calls of one address; an IPv6 network /64 is one.
    pub per_address: Rate,
    /// Its burst; left out: what the rate gives in two seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_address_burst: Option<u32>,
    /// Order calls of the whole gateway, but for those of holders.
    pub gateway: Rate,
    /// Its burst; left out: what the rate gives in a tenth of a second, and one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_burst: Option<u32>,
    /// Reads of tickets by one address.
    pub polls_per_address: Rate,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            per_buyer: Rate::per_second(5),
            per_buyer_burst: 10,
            per_address: Rate::Unlimited,
            per_address_burst: None,
            gateway: Rate::Unlimited,
            gateway_burst: None,
            polls_per_address: Rate::Unlimited,
        }
    }
}

/// What a rate gives in two seconds: enough for a page that asks a few things at once.
fn two_seconds(rate: Rate) -> u32 {
    match rate {
        Rate::Unlimited => u32::MAX,
        Rate::Per { permits, period_micros } => {
            let permits = (u64::from(permits) * 2_000_000).div_ceil(period_micros);
            u32::try_from(permits).unwrap_or(u32::MAX).max(1)
        }
    }
}

/// The buckets of one gateway.
#[derive(Debug)]
pub struct Limits {
    /// Replaced as a whole by a reload.
    buckets: ArcSwap<Buckets>,
    hashes: RandomState,
    clock: SharedClock,
}

#[derive(Debug, Default)]
struct Buckets {
    per_buyer: Option<Arc<KeyedBuckets>>,
    per_address: Option<Arc<KeyedBuckets>>,
    polls: Option<Arc<KeyedBuckets>>,
    gateway: Option<Arc<Bucket>>,
}

impl Buckets {
    /// By the settings. A limit that is as it was keeps its bucket: a reload gives nobody a new burst.
    fn new(config: &Config, known: &Self, clock: &SharedClock) -> Self {
        let keyed = |known: &Option<Arc<KeyedBuckets>>, policy, rate, burst| {
            let limit = Limit::new(rate, burst)?;
            let same = known.as_ref().filter(|buckets| buckets.limit() == limit).cloned();
            Some(same.unwrap_or_else(|| Arc::new(KeyedBuckets::new(policy, limit, clock))))
        };
        let address_burst = config.per_address_burst.unwrap_or(two_seconds(config.per_address));
        let polls_burst = two_seconds(config.polls_per_address);
        let gateway = match config.gateway_burst {
            Some(burst) => Limit::new(config.gateway, burst),
            None => Limit::of_rate(config.gateway),
        };
        let gateway = gateway.map(|limit| {
            let same = known.gateway.as_ref().filter(|bucket| bucket.limit() == limit).cloned();
            same.unwrap_or_else(|| Arc::new(Bucket::new("gateway", limit, clock)))
        });
        Self {
            per_buyer: keyed(&known.per_buyer, "buyer", config.per_buyer, config.per_buyer_burst),
            per_address: keyed(&known.per_address, "address", config.per_address, address_burst),
            polls: keyed(&known.polls, "polls", config.polls_per_address, polls_burst),
            gateway,
        }
    }
}

impl Limits {
    /// Full buckets by the settings.
    #[must_use]
    pub fn new(config: &Config, clock: &SharedClock) -> Self {
        let buckets = Buckets::new(config, &Buckets::default(), clock);
        Self {
            buckets: ArcSwap::from_pointee(buckets),
            hashes: RandomState::new(),
            clock: Arc::clone(clock),
        }
    }

    /// Goes by other settings from now on. Limits that differ begin with full buckets, the others go on.
    pub fn change(&self, config: &Config) {
        let changed = Buckets::new(config, &self.buckets.load(), &self.clock);
        self.buckets.store(Arc::new(changed));
    }

    /// An order call of a buyer from an address, which is asked for only where it counts. The buyer's own bucket comes first: one who floods takes
    /// nothing from others at his address.
    ///
    /// # Errors
    /// When one of the two is empty.
    pub fn order(&self, buyer: &Buyer, address: impl FnOnce() -> IpAddr) -> Result<(), Limited> {
        let buckets = self.buckets.load();
        if let Some(buckets) = &buckets.per_buyer {
            buckets.take(self.hashes.hash_one(buyer.as_str()))?;
        }
        take(buckets.per_address.as_deref(), address)
    }

    /// A read of a ticket from an address.
    ///
    /// # Errors
    /// When its bucket is empty.
    pub fn poll(&self, address: impl FnOnce() -> IpAddr) -> Result<(), Limited> {
        take(self.buckets.load().polls.as_deref(), address)
    }

    /// An order call of somebody who has no ticket yet.
    ///
    /// # Errors
    /// When the gateway's bucket is empty.
    pub fn gateway(&self) -> Result<(), Limited> {
        self.buckets.load().gateway.as_ref().map_or(Ok(()), |bucket| bucket.take())
    }

    /// Forgets keys that need not be remembered, and answers how many are left.
    pub fn sweep(&self) -> usize {
        let buckets = self.buckets.load();
        let keyed = [&buckets.per_buyer, &buckets.per_address, &buckets.polls];
        keyed.into_iter().flatten().map(|buckets| buckets.sweep()).sum()
    }
}

fn take(buckets: Option<&KeyedBuckets>, address: impl FnOnce() -> IpAddr) -> Result<(), Limited> {
    buckets.map_or(Ok(()), |buckets| buckets.take(address_key(address())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_buyer_who_floods_takes_nothing_from_his_neighbours() {
        let clock: SharedClock = Arc::new(ManualClock::default());
        let config = Config {
            per_buyer: Rate::per_second(1),
            per_buyer_burst: 2,
            per_address: Rate::per_second(1),
            per_address_burst: Some(5),
            ..Config::default()
        };
        let limits = Limits::new(&config, &clock);
        let (home, away) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let order = |name: &str, address| {
            let buyer = Buyer::new(name.as_bytes()).unwrap();
            limits.order(&buyer, || address).map_err(|limited| limited.policy)
        };
        let flood: Vec<_> = (0..100).map(|_| order("flood", home)).collect();
        assert_eq!(flood.iter().filter(|taken| taken.is_ok()).count(), 2);
        assert_eq!(flood.last(), Some(&Err("buyer")));
        assert_eq!([order("a", home), order("b", home), order("c", home)], [Ok(()); 3]);
        assert_eq!(order("d", home), Err("address"));
        assert_eq!(order("d", away), Ok(()));
        assert_eq!(limits.sweep(), 7, "five buyers and two addresses");
    }

    #[test]
    fn changed_settings_hold_at_once_and_fill_no_bucket_that_stays() {
        let clock: SharedClock = Arc::new(ManualClock::default());
        let config = Config {
            per_buyer: Rate::per_second(1),
            per_buyer_burst: 2,
            gateway: Rate::per_second(1),
            gateway_burst: Some(1),
            ..Config::default()
        };
        let limits = Limits::new(&config, &clock);
        let buyer = Buyer::new(b"a").unwrap();
        let order = || limits.order(&buyer, || "10.0.0.1".parse().unwrap());
        assert_eq!([order(), order(), limits.gateway()], [Ok(()); 3]);
        limits.change(&Config { gateway_burst: Some(2), ..config.clone() });
        assert!(order().is_err(), "the buyer's limit is as it was, and so is his bucket");
        assert_eq!([limits.gateway(), limits.gateway()], [Ok(()); 2], "a new limit is full");
        assert!(limits.gateway().is_err());
        limits.change(&Config { per_buyer: Rate::Unlimited, ..config });
        assert_eq!(order(), Ok(()));
    }

    #[test]
    fn what_is_off_refuses_nobody() {
        let clock: SharedClock = Arc::new(ManualClock::default());
        let limits =
            Limits::new(&Config { per_buyer: Rate::Unlimited, ..Config::default() }, &clock);
        let buyer = Buyer::new(b"a").unwrap();
        let address = "10.0.0.1".parse().unwrap();
        for _ in 0..100 {
            assert_eq!(limits.order(&buyer, || address), Ok(()));
            assert_eq!((limits.poll(|| address), limits.gateway()), (Ok(()), Ok(())));
        }
        assert_eq!(limits.sweep(), 0);
    }
}
