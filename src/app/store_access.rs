//! The store as a role has it: open as long as the process runs, or only for one operation of an operator.

use std::ops::Deref;
use std::sync::Arc;

use super::StartError;
use crate::clock::SharedClock;
use crate::config::Store;
use crate::config::StoreKind;
use crate::store::Metered;
use crate::store::SharedStore;
use crate::store::simulated::Simulated;

/// A store that is open.
#[derive(Clone, Debug)]
pub(super) struct OpenStore {
    pub(super) simulated: Arc<Simulated>,
    /// The same behind the seam.
    pub(super) store: SharedStore,
}

impl OpenStore {
    /// Opens it. Blocks.
    ///
    /// # Errors
    /// A sentence that tells what is in the way and where.
    fn open(settings: &Store, clock: &SharedClock) -> Result<Self, StartError> {
        let StoreKind::Simulated = settings.kind;
        let simulated = Simulated::open(settings.simulated.clone(), Arc::clone(clock))?;
        let simulated = Arc::new(simulated);
        let inner: SharedStore = Arc::clone(&simulated) as SharedStore;
        Ok(Self { simulated, store: Metered::over(inner, Arc::clone(clock)) })
    }
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
