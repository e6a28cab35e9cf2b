//! The Redis ledger, open: its insides and the tasks that keep it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;

use super::config::Config;
use super::core::Core;
use super::link::Means;
use super::{follow, keeper, library};
use crate::clock::SharedClock;
use crate::order::Keyring;

/// What no connection can be made with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address of the server.
    #[error("[ledger.redis] url: {0}")]
    Address(String),
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
    ) -> Result<Arc<Self>, OpenError> {
        let means = Means {
            client: client(config)?,
            library: &library::SHIPPED,
            durability: config.durability,
            replicas: config.replicas,
            timeout: config.timeout.0,
            #[cfg(test)]
            pretended: None,
        };
        Ok(Self::with(config, means, keyring, Arc::clone(clock)))
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

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// Ends the tasks and the connections.
    pub fn close(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.into_iter().for_each(|task| task.abort());
        self.core.stop();
    }
}

pub(super) fn client(config: &Config) -> Result<redis::Client, OpenError> {
    let bad = |error: redis::RedisError| OpenError::Address(error.to_string());
    let info = redis::IntoConnectionInfo::into_connection_info(config.url.as_str()).map_err(bad)?;
    let info = info.set_tcp_settings(redis::io::tcp::TcpSettings::default().set_nodelay(true));
    redis::Client::open(info).map_err(bad)
}
