//! Carries orders from the queue to the store at the pace of the ledger: grant, claim, place, settle.
//!
//! One granter asks for permits and hands them to at most `workers` rounds; a follower of the tail tells it
//! where orders may be due; what the ledger may have lost is asked of the store. It may not know who ordered over what, nor which engine or store it works with.
//!
//! Invariants: the ledger alone holds the pace (L7) and the leases (L4). Whatever breaks here, a claimed order
//! is settled under its lease or comes back when that ends.

mod adaptive;
mod attempt;
mod backoff;
mod breaker;
mod config;
mod follow;
mod granter;
mod limiter;
mod missing;
mod outcome;
mod pace;
mod permits;
mod round;
mod sales;
mod settle;
mod shared;
mod sink;
mod status;
mod stock;
mod turn;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use backoff::Jitter;
pub use config::{Batch, Burst, Config, RefusalBrake, Retry};
use granter::Granter;
pub use limiter::AdaptiveLimits;
use limiter::Limiter;
use shared::Shared;
use sink::Sink;
pub use status::DrainStatus;
use status::Figures;

use crate::clock::SharedClock;
use crate::ledger::SharedLedger;
use crate::order::Keyring;
use crate::store::SharedStore;
use crate::tasks::Stop;

/// What a drain works with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where the orders wait.
    pub ledger: SharedLedger,
    /// Where they go.
    pub store: SharedStore,
    /// Monotonic time; must run like the timers of the runtime.
    pub clock: SharedClock,
    /// Makes the tickets by which the store knows orders.
    pub keyring: Keyring,
    /// Seed of the jitter; any random number.
    pub seed: u64,
}

/// A drain that was built and does not run yet. It opens nothing and asks nothing before [`Self::run`].
#[derive(Debug)]
pub struct Drain {
    config: Config,
    retry: Retry,
    parts: Parts,
    status: DrainStatus,
}

impl Drain {
    /// A drain with settings that were found good ([`Config::check`], [`Retry::check`]).
    #[must_use]
    pub fn new(config: Config, retry: Retry, parts: Parts) -> Self {
        let jitter = Jitter::seeded(parts.seed.wrapping_add(1));
        let calls = u32::try_from(parts.store.concurrency_max()).unwrap_or(u32::MAX);
        let workers = config.workers.min(calls).max(1);
        let now = parts.clock.monotonic();
        let status = DrainStatus {
            limiter: Arc::new(Limiter::new(&config, workers, now)),
            figures: Arc::new(Figures::new(Arc::clone(&parts.clock), workers)),
            sink: Arc::new(Sink::new(shared::backoff(&retry), jitter)),
        };
        Self { config, retry, parts, status }
    }

    /// Its figures.
    #[must_use]
    pub fn status(&self) -> DrainStatus {
        self.status.clone()
    }

    /// Drains until the stop is pulled, then hands the leases back: what is not started goes back to the queue,
    /// what is at the store is awaited and settled, for at most `grace`.
    pub async fn run(self, stop: Stop, grace: Duration) {
        let Self { config, retry, parts, status } = self;
        let shared = Arc::new(Shared::new(config, retry, parts, &status, stop.clone()));
        let mut granter = Granter::new(Arc::clone(&shared));
        tokio::select! {
            () = stop.pulled() => {}
            () = granter.run() => {}
            () = follow::follow(&shared) => {}
            () = missing::answer(&shared) => {}
        }
        granter.finish(grace).await;
        status.figures.ended();
    }
}
