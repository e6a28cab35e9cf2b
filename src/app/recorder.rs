//! The recorder of metrics, with the buckets of our own table.

use std::time::Duration;

use metrics::gauge;
use metrics_exporter_prometheus::Matcher;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusHandle;

use super::StartError;
use crate::clock::Timestamp;
use crate::metrics as table;

/// A reload was taken over at that time, or refused.
pub(super) fn reloaded(taken_over: Option<Timestamp>) {
    gauge!(table::CONFIG_RELOAD_OK).set(f64::from(u8::from(taken_over.is_some())));
    if let Some(at) = taken_over {
        gauge!(table::CONFIG_RELOAD_TIME).set(at.since(Timestamp(0)).as_secs_f64());
    }
}

/// How often observations are folded into their buckets when nobody reads them.
pub(super) const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the recorder. A process has one; started again in the same process, the first one stays.
///
/// # Errors
/// When our table names buckets that the exporter does not take.
pub(super) fn install(read_at: Timestamp) -> Result<PrometheusHandle, StartError> {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let bad = |error: &dyn std::fmt::Display| StartError::runtime(format!("metrics: {error}"));
    let mut builder = PrometheusBuilder::new();
    for metric in table::ALL {
        if let table::Kind::Histogram(buckets) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(name, buckets).map_err(|error| bad(&error))?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| bad(&error))?;
    table::describe();
    gauge!(table::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    reloaded(Some(read_at));
    Ok(HANDLE.get_or_init(|| handle).clone())
}
