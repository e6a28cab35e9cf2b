//! The tail: the last commits, in memory. One task of the engine appends after each commit, gateways follow.

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
    /// The newest entry's place: epoch in 16 bits, number in 48. Written under the lock, read without it.
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

fn packed(id: TailId) -> u64 {
    u64::from(id.epoch) << 48 | id.n
}

fn unpacked(packed: u64) -> TailId {
    let epoch = u16::try_from(packed >> 48).expect("16 bits are left of 64");
    TailId { epoch, n: packed & ((1 << 48) - 1) }
}

impl Ring {
    pub(super) fn new(epoch: u16) -> Self {
        let newest = AtomicU64::new(packed(TailId { epoch, n: 0 }));
        Self { newest, kept: Mutex::default(), news: Notify::new() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest entry's place.
    pub(super) fn newest(&self) -> TailId {
        unpacked(self.newest.load(Ordering::Acquire))
    }

    /// Something may be missing: whoever follows takes a snapshot. Entries go on under another epoch.
    pub(super) fn break_off(&self) {
        let mut kept = self.kept();
        let TailId { epoch, n } = self.newest();
        *kept = Kept::default();
        let next = TailId { epoch: epoch.wrapping_add(1), n };
        self.newest.store(packed(next), Ordering::Release);
        drop(kept);
        self.news.notify_waiters();
    }

    /// Adds what one commit did, and wakes whoever waits for it.
    pub(super) fn push(&self, events: Vec<TailEvent>) {
        if events.is_empty() {
            return;
        }
        let mut kept = self.kept();
        let newest = self.newest();
        let id = TailId { n: newest.n + 1, ..newest };
        let entry = TailEntry { id, events };
        kept.weight += weight(&entry);
        kept.entries.push_back(Arc::new(entry));
        while kept.weight > WEIGHT_MAX && kept.entries.len() > 1 {
            let gone = kept.entries.pop_front().map_or(0, |entry| weight(&entry));
            kept.weight -= gone;
        }
        self.newest.store(packed(id), Ordering::Release);
        drop(kept);
        self.news.notify_waiters();
    }

    /// Entries after `after`, oldest first.
    pub(super) fn after(&self, after: TailId, max: usize) -> Tail {
        let newest = self.newest();
        if after == newest {
            return Tail::Entries(Vec::new());
        }
        if after.epoch != newest.epoch || after.n > newest.n {
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
