//! Background tasks with a name and a death policy, the stop token, and readiness latches.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Tells every part to stop; cloned freely.
#[derive(Clone, Debug)]
pub struct Stop {
    stopping: watch::Receiver<bool>,
}

/// Pulls the stop. Dropping it stops too.
#[derive(Debug)]
pub struct StopHandle {
    stopping: watch::Sender<bool>,
}

/// A stop token and the handle that pulls it.
#[must_use]
pub fn stop() -> (StopHandle, Stop) {
    let (sender, receiver) = watch::channel(false);
    (StopHandle { stopping: sender }, Stop { stopping: receiver })
}

impl StopHandle {
    /// Asks everybody to stop; again changes nothing.
    pub fn pull(&self) {
        self.stopping.send_replace(true);
    }
}

impl Stop {
    /// Whether the stop was asked for.
    #[must_use]
    pub fn is_pulled(&self) -> bool {
        *self.stopping.borrow() || self.stopping.has_changed().is_err()
    }

    /// Resolves when the stop is asked for.
    pub async fn pulled(&self) {
        let mut stopping = self.stopping.clone();
        // An error means that the handle is gone, which is a stop too.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}

/// What the end of a background task means when nobody asked it to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDeath {
    /// The process cannot do its job without it: stop in order, exit 1.
    StopProcess,
    /// It is logged; the rest goes on.
    Log,
}

/// The background tasks of a process. Whoever owns it hears of the first death that matters.
#[derive(Clone, Debug)]
pub struct Tasks {
    stop: Stop,
    fatal: Arc<watch::Sender<Option<&'static str>>>,
    handles: Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>>,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new(stop: Stop) -> Self {
        Self { stop, fatal: Arc::new(watch::Sender::new(None)), handles: Arc::default() }
    }

    /// Runs `task` on the current runtime under a name. A panic is a death like any other.
    pub fn spawn<F>(&self, name: &'static str, on_death: OnDeath, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, fatal) = (self.stop.clone(), Arc::clone(&self.fatal));
        let inner = tokio::spawn(task);
        let outer = tokio::spawn(async move {
            let ended = inner.await;
            if stop.is_pulled() && ended.is_ok() {
                return;
            }
            tracing::error!(task = name, panicked = ended.is_err(), "a background task ended");
            if on_death == OnDeath::StopProcess {
                fatal.send_replace(Some(name));
            }
        });
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).push(outer);
    }

    /// Resolves with the name of a task whose death must end the process.
    pub async fn fatal(&self) -> &'static str {
        let mut fatal = self.fatal.subscribe();
        loop {
            if let Some(name) = *fatal.borrow_and_update() {
                return name;
            }
            if fatal.changed().await.is_err() {
                return "tasks";
            }
        }
    }

    /// Waits until every task has ended; call after the stop was pulled.
    pub async fn ended(&self) {
        let handles = {
            let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *handles)
        };
        for handle in handles {
            // The outer task only watches the inner one and cannot fail.
            let _ = handle.await;
        }
    }
}

/// One named condition of readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Stable name: `ledger`, `store`, `watch`, `drain` …
    pub name: &'static str,
    /// `ready`, `degraded` or `unready`.
    pub status: CheckStatus,
    /// Why it is not ready; empty when it is.
    pub reason: String,
}

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckStatus {
    /// All is well.
    Ready,
    /// Worth an operator's look; traffic may come.
    Degraded,
    /// Send no traffic.
    Unready,
}

impl CheckStatus {
    /// The status as `/readyz` writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Unready => "unready",
        }
    }
}

type Probe = Box<dyn Fn() -> Check + Send + Sync>;

/// All checks of a process, asked when `/readyz` is.
#[derive(Clone, Default)]
pub struct Readiness {
    probes: Arc<Mutex<Vec<Probe>>>,
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").finish_non_exhaustive()
    }
}

impl Readiness {
    /// Adds a check; `probe` must answer from memory.
    pub fn add(&self, probe: impl Fn() -> Check + Send + Sync + 'static) {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(probe));
    }

    /// Every check as it stands, and the worst status.
    #[must_use]
    pub fn checks(&self) -> (CheckStatus, Vec<Check>) {
        let probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let checks: Vec<Check> = probes.iter().map(|probe| probe()).collect();
        let worst = checks.iter().map(|check| check.status).max();
        (worst.unwrap_or(CheckStatus::Ready), checks)
    }
}
