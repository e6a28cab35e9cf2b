//! The verifier over the engines of this process, and over what lies on disk while none runs.

use std::sync::Arc;

use metrics::Counter;
use tokio::sync::Mutex;

use super::StartError;
use super::engines;
use super::engines::Engines;
use crate::clock::SharedClock;
use crate::clock::SystemClock;
use crate::config::Engine;
use crate::config::Settings;
use crate::config::StoreKind;
use crate::http::operations::OperationFault;
use crate::ledger::SharedLedger;
use crate::ledger::embedded::offline;
use crate::metrics::INVARIANT_VIOLATIONS;
use crate::store::simulated;
use crate::verify;
use crate::verify::OfflineAccounts;
use crate::verify::Report;
use crate::verify::Verifier;
use crate::verify::VerifyError;

/// Verifies while the process runs, one verification at a time: each reads everything.
#[derive(Debug)]
pub(super) struct RunningVerifier {
    verifier: Mutex<Verifier<SharedLedger>>,
    violations: Vec<(&'static str, Counter)>,
}

impl RunningVerifier {
    pub(super) fn new(engines: &Engines, settings: &Settings, clock: &SharedClock) -> Self {
        let verifier = Verifier::new(
            Arc::clone(&engines.ledger),
            verify::rows_of(Arc::clone(&engines.store)),
            engines.keyring.clone(),
            Arc::clone(clock),
            settings.drain.lease.0,
        );
        let counter = |law| (law, metrics::counter!(INVARIANT_VIOLATIONS, "law" => law));
        Self { verifier: Mutex::new(verifier), violations: verify::LAWS.map(counter).into() }
    }

    /// # Errors
    /// When the ledger or the store cannot be read.
    pub(super) async fn verify(&self) -> Result<Report, OperationFault> {
        let report = self.verifier.lock().await.verify().await.map_err(fault)?;
        for finding in &report.findings {
            tracing::error!(
                law = finding.law,
                sale = finding.sale,
                sku = finding.sku,
                ticket = finding.ticket,
                expected = finding.expected,
                found = finding.found,
                "an invariant is broken"
            );
            let counter = self.violations.iter().find(|(law, _)| *law == finding.law);
            counter.into_iter().for_each(|(_, counter)| counter.increment(1));
        }
        Ok(report)
    }
}

fn fault(error: VerifyError) -> OperationFault {
    match error {
        VerifyError::Ledger(fault) => OperationFault::Ledger(fault),
        VerifyError::Store(_) | VerifyError::Key(..) => OperationFault::Store(error.to_string()),
    }
}

/// Verifies what lies on disk. Takes the ledger's lock, writes nothing, opens no epoch.
///
/// # Errors
/// When ledger or store cannot be read, or a gateway has them.
pub fn verify_offline(settings: &Settings) -> Result<Report, StartError> {
    let (Engine::Embedded, StoreKind::Simulated) = (settings.ledger.engine, settings.store.kind);
    let keyring = engines::keyring(settings)?;
    let directory = &settings.ledger.embedded.directory;
    if !directory.join("lock").exists() {
        return Err(StartError::runtime(format!(
            "there is no ledger at {}: see [ledger.embedded] directory or --config",
            directory.display()
        )));
    }
    let ledger = offline::read(directory, &keyring)
        .map_err(|error| StartError::runtime(format!("ledger: {error}")))?;
    let store = simulated::offline::read(&settings.store.simulated.directory)?;
    let torn_bytes = ledger.torn_bytes;
    let clock: SharedClock = Arc::new(SystemClock::new());
    // What stands still is looked at once.
    let second_look = std::time::Duration::ZERO;
    let verifier =
        Verifier::new(OfflineAccounts(ledger), Arc::new(store), keyring, clock, second_look);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| StartError::runtime(format!("runtime: {error}")))?;
    let report = runtime.block_on(verifier.verify());
    let mut report = report.map_err(|error| StartError::runtime(error.to_string()))?;
    report.torn_bytes = Some(torn_bytes);
    Ok(report)
}
