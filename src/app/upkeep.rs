//! Small things that must be done now and then: metrics folded, old sales purged.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use super::recorder;
use crate::clock::micros;
use crate::config::Retention;
use crate::ledger::Change;
use crate::ledger::Changed;
use crate::ledger::SharedLedger;

/// How often the ledger is asked to purge what is past its retention.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// Folds the observations of histograms, so that they take no memory when nobody scrapes.
pub(super) async fn metrics(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(recorder::UPKEEP).await;
        handle.run_upkeep();
    }
}

/// Purges sales that are past their retention. A ledger that cannot is asked again later.
pub(super) async fn retain(ledger: SharedLedger, retention: Retention) {
    let change = Change::Retain {
        tickets_micros: micros(retention.tickets.0),
        sales_micros: micros(retention.sales.0),
    };
    loop {
        tokio::time::sleep(RETAIN_EVERY).await;
        match ledger.change(change.clone()).await {
            Ok(Changed::Count(0)) => {}
            Ok(changed) => tracing::info!(?changed, "sales past their retention were dropped"),
            Err(fault) => tracing::warn!(%fault, "sales past their retention stay for now"),
        }
    }
}
