//! The Redis ledger, open: its insides and the tasks that keep it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;

use super::address::Address;
use super::client::{BadClient, client};
use super::config::Config;
use super::core::Core;
use super::link::{Means, Opening};
use super::{follow, keeper, library};
use crate::clock::SharedClock;
use crate::ledger::Fault;
use crate::order::Keyring;

/// The ledger cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The settings.
    #[error(transparent)]
    Client(#[from] BadClient),
    /// The server.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The ledger in Redis.
#[derive(Debug)]
pub struct Redis {
    core: Arc<Core>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Redis {
    /// Begins to connect, on the runtime that calls this. A server that is away is connected when it is there.
    ///
    /// # Errors
    /// When no connection could ever be made with these settings.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn open(
        config: &Config,
        clock: &SharedClock,
        keyring: &Keyring,
    ) -> Result<Arc<Self>, BadClient> {
        let means = means(config, false)?;
        Ok(Self::with(config, means, keyring, Arc::clone(clock)))
    }

    /// The same to look only: nothing is written and no epoch begins, and the tail is not followed.
    ///
    /// # Errors
    /// As [`Self::open`], or when the server cannot be read.
    pub async fn look(
        config: &Config,
        clock: &SharedClock,
        keyring: &Keyring,
    ) -> Result<Arc<Self>, LookError> {
        let core =
            Core::new(config.clone(), means(config, true)?, keyring.clone(), Arc::clone(clock));
        keeper::read_keys(&core).await?;
        Ok(Arc::new(Self { core, tasks: Mutex::default() }))
    }

    pub(super) fn with(
        config: &Config,
        means: Means,
        keyring: &Keyring,
        clock: SharedClock,
    ) -> Arc<Self> {
        let core = Core::new(config.clone(), means, keyring.clone(), clock);
        let tasks = vec![
            tokio::spawn(keeper::keep(Arc::clone(&core))),
            tokio::spawn(follow::follow(Arc::clone(&core))),
        ];
        Arc::new(Self { core, tasks: Mutex::new(tasks) })
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Ends the tasks and the connections.
    pub async fn close(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
            // Aborted, or ended by a panic that was printed.
            let _ = task.await;
        }
        self.core.stop();
    }
}

fn means(config: &Config, reading: bool) -> Result<Means, BadClient> {
    // What is wrong with the settings is told now; files that they name may be mended until they are needed.
    client(config)?;
    let (settings, place) = (config.clone(), Address::parse(&config.url)?.to_string());
    Ok(Means {
        open: Opening(Box::new(move || client(&settings))),
        place,
        library: &library::SHIPPED,
        durability: config.durability,
        replicas: config.replicas,
        timeout: config.timeout.0,
        reading,
        #[cfg(test)]
        pretended: None,
    })
}
