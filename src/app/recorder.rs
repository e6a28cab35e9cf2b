//! The recorder of metrics, with the buckets of our own table.

use std::time::Duration;

use metrics::gauge;
use metrics_exporter_prometheus::Matcher;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusHandle;

use super::StartError;
use crate::metrics as table;

/// How often observations are folded into their buckets when nobody reads them.
pub(super) const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the recorder. A process has one; started again in the same process, the first one stays.
///
/// # Errors
/// When our table names buckets that the exporter does not take.
pub(super) fn install() -> Result<PrometheusHandle, StartError> {
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
    gauge!(table::CONFIG_RELOAD_OK).set(1.0);
    Ok(HANDLE.get_or_init(|| handle).clone())
}
