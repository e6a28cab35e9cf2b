//! The tail: the last commits, in memory. The writer appends after each commit, gateways follow.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::ledger::{Tail, TailEntry, TailEvent, TailId};

/// Orders that the kept entries may name, together: some 12 MiB at most. Readers that fall further behind take
/// a snapshot.
const WEIGHT_MAX: usize = 1 << 19;

/// The last entries. `n` counts from 1 and has no gaps.
#[derive(Debug)]
pub(super) struct Ring {
    epoch: u16,
    /// The newest entry's number. Written under the lock, read without it.
    newest: AtomicU64,
    kept: Mutex<Kept>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Arc<TailEntry>>,
    weight: usize,
}

fn weight(entry: &TailEntry) -> usize {
    let of = |event: &TailEvent| match event {
        TailEvent::Admitted { buyers, .. } => 1 + buyers.len(),
        TailEvent::Moved { orders, .. } => 1 + orders.len(),
        TailEvent::Sale(_) | TailEvent::Drain(_) => 32,
        TailEvent::Level(_) | TailEvent::Forgotten(_) => 1,
    };
    4 + entry.events.iter().map(of).sum::<usize>()
}

impl Ring {
    pub(super) fn new(epoch: u16) -> Self {
        Self { epoch, newest: AtomicU64::new(0), kept: Mutex::default(), news: Notify::new() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest entry's place.
    pub(super) fn newest(&self) -> TailId {
        TailId { epoch: self.epoch, n: self.newest.load(Ordering::Acquire) }
    }

    /// Adds what one commit did, and wakes whoever waits for it.
    pub(super) fn push(&self, events: Vec<TailEvent>) {
        if events.is_empty() {
            return;
        }
        let mut kept = self.kept();
        let n = self.newest.load(Ordering::Relaxed) + 1;
        let entry = TailEntry { id: TailId { epoch: self.epoch, n }, events };
        kept.weight += weight(&entry);
        kept.entries.push_back(Arc::new(entry));
        while kept.weight > WEIGHT_MAX && kept.entries.len() > 1 {
            let gone = kept.entries.pop_front().map_or(0, |entry| weight(&entry));
            kept.weight -= gone;
        }
        self.newest.store(n, Ordering::Release);
        drop(kept);
        self.news.notify_waiters();
    }

    /// Entries after `after`, oldest first.
    pub(super) fn after(&self, after: TailId, max: usize) -> Tail {
        let newest = self.newest();
        if after == newest {
            return Tail::Entries(Vec::new());
        }
        if after.epoch != self.epoch || after.n > newest.n {
            return Tail::Gap;
        }
        let kept = self.kept();
        let first = kept.entries.front().map_or(newest.n + 1, |entry| entry.id.n);
        let Some(skip) = (after.n + 1).checked_sub(first) else { return Tail::Gap };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Tail::Entries(kept.entries.iter().skip(skip).take(max).cloned().collect())
    }

    /// Resolves when there is an entry after `after`.
    pub(super) async fn news(&self, after: TailId) {
        loop {
            let mut woken = std::pin::pin!(self.news.notified());
            woken.as_mut().enable();
            if self.newest() != after {
                return;
            }
            woken.await;
        }
    }
}
