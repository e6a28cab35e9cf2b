//! The recorder of metrics, and what is read from the kernel when somebody reads them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use metrics::counter;
use metrics::gauge;

use super::StartError;
use super::vitals::Vitals;
use crate::clock::Timestamp;
use crate::http::admin::Exposition;
use crate::metrics as table;
use crate::metrics::Registry;

/// A reload was taken over at that time, or refused.
pub(super) fn reloaded(taken_over: Option<Timestamp>) {
    gauge!(table::CONFIG_RELOAD_OK).set(f64::from(u8::from(taken_over.is_some())));
    if let Some(at) = taken_over {
        gauge!(table::CONFIG_RELOAD_TIME).set(at.since(Timestamp(0)).as_secs_f64());
    }
}

/// Installs the recorder. A process has one; started again in the same process, the first one stays.
///
/// # Errors
/// When somebody else has installed one.
pub(super) fn install(read_at: Timestamp) -> Result<Registry, StartError> {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    if let Some(registry) = REGISTRY.get() {
        return Ok(registry.clone());
    }
    let registry = Registry::default();
    metrics::set_global_recorder(registry.clone())
        .map_err(|error| StartError::runtime(format!("metrics: {error}")))?;
    gauge!(table::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    counter!(table::REDIS_RECONNECTS).increment(0);
    reloaded(Some(read_at));
    Ok(REGISTRY.get_or_init(|| registry).clone())
}

/// What `/metrics` answers, with the figures of the process and of the ledger's disk, if it has one, as they are then.
pub(super) fn exposition(registry: Registry, ledger: Option<PathBuf>) -> Exposition {
    let vitals = Vitals::new(ledger);
    Arc::new(move || {
        vitals.tell();
        registry.render()
    })
}
