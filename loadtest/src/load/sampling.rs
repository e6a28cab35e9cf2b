//! What the ledger says while the load runs: how many orders wait and how many were placed, several times a second.

use std::time::Duration;

use tokio::time::sleep;

use super::engine::Engine;
use crate::admin::Admin;
use crate::clock;
use crate::drive::look;

const EVERY: Duration = Duration::from_millis(250);

/// The counters of all sales of a run at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// From the beginning.
    pub(super) at_us: u64,
    /// Orders that are queued or being placed.
    pub(super) waiting: u64,
    /// Orders whose fate the store has decided.
    pub(super) settled: u64,
}

/// Looks until it is dropped.
pub(super) async fn look_on(engine: &Engine, admin: Option<&Admin>) {
    let Some(admin) = admin else { return std::future::pending().await };
    loop {
        let mut sample = Sample { at_us: 0, waiting: 0, settled: 0 };
        let mut whole = true;
        for sale in &engine.plan.sales {
            match admin.census(&sale.name).await {
                Ok(census) => {
                    sample.waiting += census.unsettled();
                    sample.settled += census.placed + census.paid + census.refused + census.expired;
                }
                // A gateway that is away leaves a gap.
                Err(_) => whole = false,
            }
        }
        {
            let mut seen = look(&engine.seen);
            sample.at_us = seen.since(clock::now());
            if whole {
                seen.samples.push(sample);
            }
        }
        sleep(EVERY).await;
    }
}
