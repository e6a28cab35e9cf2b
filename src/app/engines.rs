//! The engines that the settings name, opened.

use std::sync::Arc;

use super::StartError;
use crate::clock::SharedClock;
use crate::config::Engine;
use crate::config::Settings;
use crate::config::StoreKind;
use crate::ledger;
use crate::ledger::SharedLedger;
use crate::ledger::embedded::Embedded;
use crate::order::Keyring;
use crate::store;
use crate::store::SharedStore;
use crate::store::simulated::Simulated;

/// Everything that is open.
#[derive(Debug)]
pub(super) struct Engines {
    pub(super) keyring: Keyring,
    /// To be closed when nobody uses it any more.
    pub(super) embedded: Arc<Embedded>,
    pub(super) ledger: SharedLedger,
    pub(super) simulated: Arc<Simulated>,
    pub(super) store: SharedStore,
}

impl Engines {
    /// Opens ledger and store. Blocks: a ledger with a million orders takes seconds.
    ///
    /// # Errors
    /// A sentence that tells what is in the way and where.
    pub(super) fn open(settings: &Settings, clock: &SharedClock) -> Result<Self, StartError> {
        let keyring = keyring(settings)?;
        let Engine::Embedded = settings.ledger.engine;
        let embedded = Embedded::open(&settings.ledger.embedded, clock, &keyring)
            .map_err(|error| StartError::runtime(format!("ledger: {error}")))?;
        let embedded = Arc::new(embedded);
        let inner: SharedLedger = Arc::clone(&embedded) as SharedLedger;
        let ledger = ledger::Metered::over(inner, "embedded", Arc::clone(clock));
        let (simulated, store) = store(settings, clock)?;
        Ok(Self { keyring, embedded, ledger, simulated, store })
    }
}

/// The keys of the settings; the ledger adds its own when it opens.
///
/// # Errors
/// When two keys have one id.
pub(super) fn keyring(settings: &Settings) -> Result<Keyring, StartError> {
    let keyring = Keyring::default();
    for key in &settings.ticket_keys {
        keyring.add(key.clone()).map_err(|error| StartError::config(error.to_string()))?;
    }
    Ok(keyring)
}

/// Opens the store.
///
/// # Errors
/// As [`Engines::open`].
pub(super) fn store(
    settings: &Settings,
    clock: &SharedClock,
) -> Result<(Arc<Simulated>, SharedStore), StartError> {
    let StoreKind::Simulated = settings.store.kind;
    let simulated = Simulated::open(settings.store.simulated.clone(), Arc::clone(clock))?;
    let simulated = Arc::new(simulated);
    let inner: SharedStore = Arc::clone(&simulated) as SharedStore;
    Ok((simulated, store::Metered::over(inner, Arc::clone(clock))))
}
