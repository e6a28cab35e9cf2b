//! What the granter, the follower and the rounds share.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::Parts;
use super::backoff::{Backoff, Jitter};
use super::config::{Config, Retry};
use super::limiter::Limiter;
use super::outcome::Rules;
use super::pace::Pace;
use super::sales::{Sale, Sales};
use super::sink::Sink;
use super::status::{DrainStatus, Figures};
use super::turn::Turn;
use crate::clock::SharedClock;
use crate::ledger::{Fault, FaultKind, SharedLedger};
use crate::order::Keyring;
use crate::store::SharedStore;
use crate::tasks::Stop;

/// Pauses between calls of a ledger that cannot answer.
pub(super) const LEDGER_PAUSE: Backoff =
    Backoff { base: Duration::from_millis(20), cap: Duration::from_secs(1) };

/// How long a sale rests whose data in the ledger cannot be trusted, until it is looked at again.
const BROKEN_PAUSE: Duration = Duration::from_secs(1);

/// The parts that a drain works with, and what its tasks tell each other. Locks are held for a few
/// instructions only, and never two at a time.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ledger: SharedLedger,
    pub(super) store: SharedStore,
    pub(super) clock: SharedClock,
    pub(super) keyring: Keyring,
    pub(super) config: Config,
    retry: Retry,
    pub(super) stop: Stop,
    pub(super) sales: Sales,
    pub(super) sink: Arc<Sink>,
    pub(super) figures: Arc<Figures>,
    pub(super) limiter: Arc<Limiter>,
    /// Calls of the store that may be in flight.
    pub(super) workers: Arc<Semaphore>,
    turn: Mutex<Turn>,
    pace: Mutex<Pace>,
    jitter: Mutex<Jitter>,
    /// Questions for permits without an answer. Written by the rounds, read by the granter.
    pub(super) asking: AtomicUsize,
    /// Told by the rounds and the follower when the granter may have less to wait for.
    pub(super) wake: Notify,
    /// Told by the granter when nothing is due any more.
    pub(super) idle: Notify,
}

impl Shared {
    pub(super) fn new(
        config: Config,
        retry: Retry,
        parts: Parts,
        status: &DrainStatus,
        stop: Stop,
    ) -> Self {
        Self {
            ledger: parts.ledger,
            store: parts.store,
            clock: parts.clock,
            keyring: parts.keyring,
            retry,
            stop,
            sales: Sales::default(),
            sink: Arc::clone(&status.sink),
            figures: Arc::clone(&status.figures),
            limiter: Arc::clone(&status.limiter),
            workers: Arc::new(Semaphore::new(status.workers() as usize)),
            turn: Mutex::default(),
            pace: Mutex::new(Pace::new(config.batch)),
            jitter: Mutex::new(Jitter::seeded(parts.seed)),
            asking: AtomicUsize::new(0),
            wake: Notify::new(),
            idle: Notify::new(),
            config,
        }
    }

    /// Monotonic time now.
    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the turns and wakes the granter when that changes what it waits for.
    pub(super) fn with_turn(&self, change: impl FnOnce(&mut Turn) -> bool) {
        let wake = change(&mut self.turn());
        if wake {
            self.wake.notify_one();
        }
    }

    /// Draws from the random numbers of this drain.
    pub(super) fn draw<T>(&self, draw: impl FnOnce(&mut Jitter) -> T) -> T {
        draw(&mut self.jitter.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How outcomes become fates, now.
    pub(super) fn rules(&self) -> Rules {
        let backoff = backoff(&self.retry);
        Rules {
            attempts: self.retry.attempts,
            backoff,
            not_within: self.sink.not_within(self.now()),
        }
    }

    /// A fault of the ledger, in what belongs to one `part` of it. One that cannot be trusted halts that part until it
    /// can: what belongs to the others goes on.
    pub(super) fn faulted(&self, part: &str, fault: &Fault) {
        if fault.kind != FaultKind::Corrupt {
            tracing::debug!(part, reason = %fault, "the ledger cannot answer now");
        } else if self.figures.broke(part, fault) {
            tracing::error!(part, reason = %fault, "the ledger cannot be trusted in this: nothing of it is drained");
        }
    }

    /// The same for a call of one sale, which rests a while when its data cannot be trusted.
    pub(super) fn sale_faulted(&self, sale: &Sale, fault: &Fault) {
        self.faulted(sale.name.as_str(), fault);
        if fault.kind == FaultKind::Corrupt {
            let until = self.now() + BROKEN_PAUSE;
            self.turn().hold(sale.sale_no, until);
        }
    }
}

/// `[retry]` as a backoff.
pub(super) fn backoff(retry: &Retry) -> Backoff {
    Backoff { base: retry.base.0, cap: retry.cap.0 }
}
