//! The engines that the settings name, opened as far as the role needs them.

use std::sync::Arc;

use super::Role;
use super::StartError;
use super::store_access::StoreAccess;
use crate::clock::SharedClock;
use crate::config::Engine;
use crate::config::Settings;
use crate::ledger;
use crate::ledger::SharedLedger;
use crate::ledger::embedded::Embedded;
use crate::ledger::redis::Redis;
use crate::order::Keyring;

/// The ledger's engine, to be closed when nobody uses it any more.
#[derive(Clone, Debug)]
pub(super) enum LedgerEngine {
    Embedded(Arc<Embedded>),
    Redis(Arc<Redis>),
}

impl LedgerEngine {
    /// Closes it; resolves when all that was promised is kept.
    pub(super) async fn close(self) {
        match self {
            Self::Embedded(embedded) => {
                // Blocks until the last commit is on disk. A panic of it was printed when it happened.
                let _ = tokio::task::spawn_blocking(move || embedded.close()).await;
            }
            Self::Redis(redis) => redis.close().await,
        }
    }

    /// It is this process's own: what it cannot do at the start it will not do later either.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }
}

/// Everything that is open.
#[derive(Debug)]
pub(super) struct Engines {
    pub(super) keyring: Keyring,
    pub(super) engine: LedgerEngine,
    /// The same behind the seam.
    pub(super) ledger: SharedLedger,
    pub(super) store: StoreAccess,
}

impl Engines {
    /// Opens ledger and store; inside a runtime. Blocks: an embedded ledger with a million orders takes seconds.
    ///
    /// # Errors
    /// A sentence that tells what is in the way and where.
    pub(super) fn open(
        settings: &Settings,
        role: Role,
        clock: &SharedClock,
    ) -> Result<Self, StartError> {
        let keyring = keyring(settings)?;
        let (engine, ledger) = ledger(settings, clock, &keyring)?;
        let store = if role.drains() {
            StoreAccess::held(&settings.store, clock)?
        } else {
            StoreAccess::at_need(&settings.store, clock)
        };
        Ok(Self { keyring, engine, ledger, store })
    }
}

/// Opens the ledger; inside a runtime.
///
/// # Errors
/// As [`Engines::open`].
pub(super) fn ledger(
    settings: &Settings,
    clock: &SharedClock,
    keyring: &Keyring,
) -> Result<(LedgerEngine, SharedLedger), StartError> {
    let (engine, inner, name): (_, SharedLedger, _) = match settings.ledger.engine {
        Engine::Embedded => {
            let embedded = Embedded::open(&settings.ledger.embedded, clock, keyring)
                .map_err(|error| StartError::runtime(format!("ledger: {error}")))?;
            let embedded = Arc::new(embedded);
            (LedgerEngine::Embedded(Arc::clone(&embedded)), embedded, "embedded")
        }
        Engine::Redis => {
            let redis = Redis::open(&settings.ledger.redis, clock, keyring)
                .map_err(|error| StartError::config(format!("ledger: {error}")))?;
            (LedgerEngine::Redis(Arc::clone(&redis)), redis, "redis")
        }
    };
    Ok((engine, ledger::Metered::over(inner, name, Arc::clone(clock))))
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
