//! Small things that must be done now and then: old sales purged, and their metrics.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::verifier::RunningVerifier;
use crate::admission::Limits;
use crate::clock::micros;
use crate::config::Retention;
use crate::ledger::Change;
use crate::ledger::Changed;
use crate::ledger::SharedLedger;
use crate::metrics::LIMITER_KEYS;
use crate::metrics::Registry;

/// How often the ledger is asked to purge what is past its retention.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// How often keys of rate limits are forgotten that need not be remembered.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Keeps the memory of the rate limits small, away from the threads that take orders.
pub(super) async fn limits(limits: Arc<Limits>) {
    let keys = metrics::gauge!(LIMITER_KEYS);
    keys.set(0.0);
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        #[expect(clippy::cast_precision_loss, reason = "a few million at the most")]
        keys.set(limits.sweep() as f64);
    }
}

/// Lets go of the series of sales that are gone, so that they take no memory when nobody scrapes.
pub(super) async fn metrics(registry: Registry) {
    loop {
        tokio::time::sleep(RETAIN_EVERY).await;
        registry.sweep();
    }
}

/// Proves ledger and store again and again; what is broken is in the log and in the metric by then.
pub(super) async fn verify(verifier: Arc<RunningVerifier>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match verifier.verify().await {
            Ok(report) => tracing::debug!(ok = report.ok, "verified"),
            Err(fault) => tracing::warn!(?fault, "ledger and store could not be verified now"),
        }
    }
}

/// Purges sales that are past their retention. A ledger that cannot is asked again later.
pub(super) async fn retain(ledger: SharedLedger, retention: Arc<ArcSwap<Retention>>) {
    loop {
        tokio::time::sleep(RETAIN_EVERY).await;
        let Retention { tickets, sales } = **retention.load();
        let change =
            Change::Retain { tickets_micros: micros(tickets.0), sales_micros: micros(sales.0) };
        match ledger.change(change).await {
            Ok(Changed::Count(0)) => {}
            Ok(changed) => tracing::info!(?changed, "sales past their retention were dropped"),
            Err(fault) => tracing::warn!(%fault, "sales past their retention stay for now"),
        }
    }
}
