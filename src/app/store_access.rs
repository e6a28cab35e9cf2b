//! The store as a role has it: open as long as the process runs, or only for one operation of an operator.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::StartError;
use crate::clock::SharedClock;
use crate::config::Store;
use crate::config::StoreKind;
use crate::store::LaterCause;
use crate::store::Metered;
use crate::store::SharedStore;
use crate::store::StoreError;
use crate::store::http::Http;
use crate::store::mysql;
use crate::store::mysql::MySql;
use crate::store::simulated::Simulated;

/// A store that is open.
#[derive(Clone, Debug)]
pub(super) struct OpenStore {
    /// The simulated store, if it is one: its faults are planned by an operator.
    pub(super) simulated: Option<Arc<Simulated>>,
    /// The store behind the seam.
    pub(super) store: SharedStore,
}

/// How long the start waits for a store that is elsewhere: it may be away, and is asked again by the first order.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

impl OpenStore {
    /// Opens it; inside a runtime. Blocks.
    ///
    /// # Errors
    /// A sentence that tells what is in the way and where.
    fn open(settings: &Store, clock: &SharedClock) -> Result<Self, StartError> {
        let (simulated, inner) = match settings.kind {
            StoreKind::Simulated => {
                let simulated = Simulated::open(settings.simulated.clone(), Arc::clone(clock))?;
                let simulated = Arc::new(simulated);
                (Some(Arc::clone(&simulated)), simulated as SharedStore)
            }
            StoreKind::Mysql => (None, mysql(&settings.mysql)? as SharedStore),
            StoreKind::Http => {
                let http = Http::new(settings.http.clone(), Arc::clone(clock));
                let http = http.map_err(|bad| StartError::config(format!("store: {bad}")))?;
                (None, Arc::new(http) as SharedStore)
            }
        };
        Ok(Self { simulated, store: Metered::over(inner, Arc::clone(clock)) })
    }
}

/// A server that is there must have its tables as they must be; one that is away may come later.
fn mysql(config: &mysql::Config) -> Result<Arc<MySql>, StartError> {
    let store = Arc::new(MySql::new(config.clone()));
    let looking = async { tokio::time::timeout(LOOK_WITHIN, store.look()).await };
    match Handle::current().block_on(looking) {
        Ok(Err(StoreError { cause: LaterCause::Misconfigured, reason })) => {
            return Err(StartError::dependency(format!("store: {reason}")));
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(reason = %error, "the store is away: orders wait for it"),
        Err(_) => tracing::warn!("the store does not answer: orders wait for it"),
    }
    Ok(store)
}

/// How this process has the store.
#[derive(Clone, Debug)]
pub(super) enum StoreAccess {
    /// Where a drain runs.
    Held(OpenStore),
    /// Where none runs: a store counts who has it open, and shares its limits among them.
    AtNeed {
        /// `[store]`.
        settings: Box<Store>,
        /// Its clock.
        clock: SharedClock,
    },
}

impl StoreAccess {
    /// Opens the store and keeps it. Blocks.
    ///
    /// # Errors
    /// A sentence that tells what is in the way and where.
    pub(super) fn held(settings: &Store, clock: &SharedClock) -> Result<Self, StartError> {
        OpenStore::open(settings, clock).map(Self::Held)
    }

    /// Opens nothing yet.
    pub(super) fn at_need(settings: &Store, clock: &SharedClock) -> Self {
        Self::AtNeed { settings: Box::new(settings.clone()), clock: Arc::clone(clock) }
    }

    /// The store for one operation.
    ///
    /// # Errors
    /// A sentence that tells what is in the way and where.
    pub(super) async fn lend(&self) -> Result<Lent, StartError> {
        let (settings, clock) = match self {
            Self::Held(open) => return Ok(Lent { open: open.clone(), closes: None }),
            Self::AtNeed { settings, clock } => (settings.clone(), Arc::clone(clock)),
        };
        let opening = tokio::task::spawn_blocking(move || OpenStore::open(&settings, &clock));
        let open =
            opening.await.map_err(|error| StartError::runtime(format!("store: {error}")))??;
        Ok(Lent { closes: Some(open.clone()), open })
    }
}

/// A store for one operation; what was opened for it is closed again.
#[derive(Debug)]
pub(super) struct Lent {
    open: OpenStore,
    closes: Option<OpenStore>,
}

impl Deref for Lent {
    type Target = OpenStore;

    fn deref(&self) -> &OpenStore {
        &self.open
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(last) = self.closes.take() {
            // The last one to let go waits for the store's thread, which is no work for this one.
            tokio::task::spawn_blocking(move || drop(last));
        }
    }
}
