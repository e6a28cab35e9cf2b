//! What a round holds: a question to the pacer, then its permits, and perhaps the breaker's one probe.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::granter::ASKING_MAX;
use super::shared::Shared;
use crate::clock::Timestamp;

/// What the ledger granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permits {
    pub(super) granted: u32,
    /// The instant of the grant, in ledger time.
    pub(super) at: Timestamp,
    /// When the answer came, in monotonic time.
    pub(super) heard: Duration,
}

impl Permits {
    /// How long ago in ledger time something was at a monotonic instant; short by what the grant's answer took.
    pub(super) fn waited(&self, now: Duration, since: Timestamp) -> Duration {
        self.at.plus(now.saturating_sub(self.heard)).since(since)
    }

    /// The monotonic instant at which it is surely that late in ledger time.
    pub(super) fn instant(&self, at: Timestamp) -> Duration {
        self.heard + at.since(self.at)
    }
}

/// The breaker's one probe. Dropped without a report, it lets another probe go.
#[derive(Debug)]
pub(super) struct Probe {
    shared: Arc<Shared>,
    reported: bool,
}

impl Probe {
    pub(super) fn begins(shared: &Arc<Shared>) -> Self {
        shared.sink.probe_begins();
        Self { shared: Arc::clone(shared), reported: false }
    }

    /// Its outcome goes to the sink now. False when it went before.
    pub(super) fn report(&mut self) -> bool {
        !std::mem::replace(&mut self.reported, true)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !self.reported {
            self.shared.sink.probe_unused();
        }
        self.shared.wake.notify_one();
    }
}

/// A question for permits that has no answer yet; counted, so that there are not too many.
#[derive(Debug)]
pub(super) struct Asking {
    shared: Arc<Shared>,
}

impl Asking {
    pub(super) fn begins(shared: &Arc<Shared>) -> Self {
        shared.asking.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(shared) }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.shared.asking.fetch_sub(1, Ordering::Relaxed) >= ASKING_MAX {
            self.shared.wake.notify_one();
        }
    }
}
