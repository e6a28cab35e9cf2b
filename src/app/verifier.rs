//! The verifier over the engines of this process, and over what lies on disk while none runs.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use tokio::sync::Mutex;

use super::StartError;
use super::engines;
use super::engines::Engines;
use super::store_access::StoreAccess;
use crate::clock::SharedClock;
use crate::clock::SystemClock;
use crate::config::Engine;
use crate::config::Settings;
use crate::config::StoreKind;
use crate::http::operations::OperationFault;
use crate::ledger::SharedLedger;
use crate::ledger::embedded::offline;
use crate::ledger::embedded::offline::Offline;
use crate::ledger::redis::Redis;
use crate::metrics::INVARIANT_VIOLATIONS;
use crate::order::Keyring;
use crate::store::StoreRows;
use crate::store::http::Http;
use crate::store::mysql::MySql;
use crate::store::simulated;
use crate::verify;
use crate::verify::Accounts;
use crate::verify::OfflineAccounts;
use crate::verify::Report;
use crate::verify::Verifier;
use crate::verify::VerifyError;

/// Verifies while the process runs, one verification at a time: each reads everything.
#[derive(Debug)]
pub(super) struct RunningVerifier {
    ledger: SharedLedger,
    store: StoreAccess,
    keyring: Keyring,
    clock: SharedClock,
    second_look: Duration,
    /// Held during a verification.
    turn: Mutex<()>,
    violations: Vec<(&'static str, Counter)>,
}

impl RunningVerifier {
    pub(super) fn new(engines: &Engines, settings: &Settings, clock: &SharedClock) -> Self {
        let counter = |law| (law, metrics::counter!(INVARIANT_VIOLATIONS, "law" => law));
        Self {
            ledger: Arc::clone(&engines.ledger),
            store: engines.store.clone(),
            keyring: engines.keyring.clone(),
            clock: Arc::clone(clock),
            second_look: settings.drain.lease.0,
            turn: Mutex::default(),
            violations: verify::LAWS.map(counter).into(),
        }
    }

    /// # Errors
    /// When the ledger or the store cannot be read.
    pub(super) async fn verify(&self) -> Result<Report, OperationFault> {
        let turn = self.turn.lock().await;
        let lent = self.store.lend().await?;
        let verifier = Verifier::new(
            Arc::clone(&self.ledger),
            verify::rows_of(Arc::clone(&lent.store)),
            self.keyring.clone(),
            Arc::clone(&self.clock),
            self.second_look,
        );
        let report = verifier.verify().await.map_err(fault)?;
        drop((verifier, lent, turn));
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

/// Verifies while no gateway runs. Writes nothing, opens no epoch; an embedded ledger's lock is held meanwhile.
///
/// # Errors
/// When ledger or store cannot be read, or a gateway has them.
pub fn verify_offline(settings: &Settings) -> Result<Report, StartError> {
    let keyring = engines::keyring(settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| StartError::runtime(format!("runtime: {error}")))?;
    match settings.ledger.engine {
        Engine::Embedded => {
            let ledger = directory(settings, &keyring)?;
            let torn_bytes = ledger.torn_bytes;
            let verified = verified(OfflineAccounts(ledger), settings, keyring);
            let mut report = runtime.block_on(verified)?;
            report.torn_bytes = Some(torn_bytes);
            Ok(report)
        }
        Engine::Redis => runtime.block_on(async {
            let ledger = server(settings, &keyring).await?;
            verified(ledger, settings, keyring).await
        }),
    }
}

async fn verified(
    accounts: impl Accounts,
    settings: &Settings,
    keyring: Keyring,
) -> Result<Report, StartError> {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let store: Arc<dyn StoreRows> = match settings.store.kind {
        StoreKind::Simulated => {
            Arc::new(simulated::offline::read(&settings.store.simulated.directory)?)
        }
        StoreKind::Mysql => Arc::new(MySql::new(settings.store.mysql.clone())),
        StoreKind::Http => {
            let http = Http::new(settings.store.http.clone(), Arc::clone(&clock));
            Arc::new(http.map_err(|bad| StartError::config(format!("store: {bad}")))?)
        }
    };
    // What stands still is looked at once.
    let second_look = Duration::ZERO;
    let verifier = Verifier::new(accounts, store, keyring, clock, second_look);
    verifier.verify().await.map_err(|error| match error {
        VerifyError::Store(_) => StartError::dependency(error.to_string()),
        VerifyError::Ledger(_) | VerifyError::Key(..) => StartError::runtime(error.to_string()),
    })
}

/// The ledger in its directory.
fn directory(settings: &Settings, keyring: &Keyring) -> Result<Offline, StartError> {
    let directory = &settings.ledger.embedded.directory;
    if !directory.join("lock").exists() {
        return Err(StartError::runtime(format!(
            "there is no ledger at {}: see [ledger.embedded] directory or --config",
            directory.display()
        )));
    }
    offline::read(directory, keyring)
        .map_err(|error| StartError::runtime(format!("ledger: {error}")))
}

/// The ledger in its server: looked at, and not written to.
///
/// # Errors
/// When it does not answer.
async fn server(settings: &Settings, keyring: &Keyring) -> Result<SharedLedger, StartError> {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let looked = Redis::look(&settings.ledger.redis, &clock, keyring).await;
    let ledger = looked.map_err(|error| StartError::dependency(format!("ledger: {error}")))?;
    Ok(ledger)
}
