//! The follower thread: keeps a spare segment ready, folds closed segments into snapshots, deletes what no
//! order needs any more. It works on a book of its own, read from disk; the running one is never stopped.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::queue::Command;
use super::{Lsn, OpenError, Shared, disk, load, segments, snapshot};
use crate::ledger::book::{Book, Writer};

/// How soon a spare that could not be made is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The lowest priority: a snapshot may take its time, an order may not.
const NICE: i32 = 19;

/// Payloads that are moved by one command: at most 1 MiB.
const MOVED_AT_ONCE: usize = 256;

/// What the writer tells the follower.
#[derive(Debug, Default)]
pub(super) struct Follow {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// All before this position lies in closed segments.
    closed_before: Lsn,
    /// The position of the last snapshot.
    covered: Lsn,
    /// Bytes of the last snapshot; 0 when there is none.
    snapshot_bytes: u64,
    /// A snapshot is asked for, whether or not it is worth one by itself.
    asked: bool,
    stopped: bool,
}

impl Follow {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new segment began at `base`.
    pub(super) fn closed_before(&self, base: Lsn) {
        self.state().closed_before = base;
        self.wake.notify_all();
    }

    /// A new segment began at `base`, and a snapshot is to let go of what lies before it.
    pub(super) fn ask(&self, base: Lsn) {
        self.state().asked = true;
        self.closed_before(base);
    }

    /// Whether most of what lies in snapshot and closed segments is of no use, when so many bytes of the book are:
    /// at least a segment's worth of it.
    pub(super) fn is_mostly_waste(&self, live: u64, segment_size: u64) -> bool {
        let state = self.state();
        let lies = state.snapshot_bytes + state.closed_before.0.saturating_sub(state.covered.0);
        lies >= live + live.max(segment_size)
    }

    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.wake.notify_all();
    }

    /// A snapshot of so many bytes stands for all before `lsn`.
    pub(super) fn covered(&self, lsn: Lsn, snapshot_bytes: u64) {
        let mut state = self.state();
        (state.covered, state.snapshot_bytes) = (lsn, snapshot_bytes);
        drop(state);
        self.wake.notify_all();
    }

    /// Waits for a snapshot behind `lsn`, and for the work that belongs to it.
    #[cfg(test)]
    pub(super) fn wait_for_snapshot(&self, lsn: Lsn) {
        let mut state = self.state();
        while state.covered <= lsn {
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for another position than `seen`, or for `patience`. What was asked for is taken with it.
    fn wait(&self, seen: Lsn, patience: Option<Duration>) -> State {
        let mut state = self.state();
        while state.closed_before == seen && !state.stopped {
            let Some(patience) = patience else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let woken = self.wake.wait_timeout(state, patience);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            break;
        }
        let found = *state;
        state.asked = false;
        found
    }
}

/// What the follower thread owns.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) shared: Arc<Shared>,
    pub(super) segment_size: u64,
    /// Bytes of the journal that are worth a snapshot.
    pub(super) snapshot_after: u64,
}

impl Follower {
    /// Runs until it is stopped, behind every thread that answers somebody.
    pub(super) fn run(self) {
        // On Linux the priority is the thread's own. Where it is not to be had, snapshots cost others more.
        let _ = rustix::process::setpriority_process(None, NICE);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.follow.wait(Lsn(u64::MAX), None);
        while !state.stopped {
            let spare = segments::prepare_spare(&shared.directory, self.segment_size);
            if let Err(error) = &spare {
                tracing::warn!(%error, "no spare segment could be made: free some disk space");
            }
            let behind = state.closed_before.0.saturating_sub(state.covered.0);
            let worth = behind >= self.snapshot_after.max(state.snapshot_bytes);
            if (worth || state.asked)
                && let Err(error) = self.fold(state.covered, state.closed_before)
            {
                tracing::error!(%error, "no snapshot could be made; the journal grows");
            }
            let patience = spare.is_err().then_some(RETRY);
            state = shared.follow.wait(state.closed_before, patience);
        }
    }

    /// Makes a snapshot as of `target`, and deletes what lies before it and is not needed.
    fn fold(&self, covered: Lsn, target: Lsn) -> Result<(), OpenError> {
        let directory = &self.shared.directory;
        let mut closed = self.shared.reader.segments();
        closed.retain(|segment| segment.head.base < target);
        let book = load::up_to(directory, &closed, target)?.base.book;
        let mut out = Writer::default();
        book.encode_snapshot(&mut out);
        let files = self.shared.files();
        let written = snapshot::write(directory, target, out.as_slice());
        written.map_err(OpenError::io("write a snapshot in", directory))?;
        let bytes = out.len() as u64;
        let moved_max = (target.0 - covered.0) / 4;
        let floor = self.move_dead_payloads(&book, target, moved_max);
        let deleted = self.delete_before(floor);
        drop(files);
        self.shared.follow.covered(target, bytes);
        deleted?;
        tracing::debug!(bytes, position = target.0, "made a snapshot");
        Ok(())
    }

    /// Asks the writer to write payloads of dead orders again, so that they hold no segment back. What is moved
    /// is bounded by a part of what was written since the last snapshot: moving must not feed itself. Answers
    /// the position before which nothing is needed; what is asked for here counts from the next snapshot on.
    fn move_dead_payloads(&self, book: &Book, covered: Lsn, bytes_max: u64) -> Lsn {
        let live = book.payload_floor().unwrap_or(u64::MAX).min(covered.0);
        let mut dead = book.dead_payloads_below(live);
        dead.sort_unstable_by_key(|(_, _, at)| at.lsn);
        let floor = dead.first().map_or(live, |(_, _, at)| at.lsn);
        let mut moved = 0;
        let mut payloads = Vec::new();
        for (sale_no, index, at) in dead {
            moved += u64::from(at.len);
            if moved > bytes_max {
                break;
            }
            match self.shared.reader.read_at(Lsn(at.lsn), usize::from(at.len)) {
                Ok(payload) => payloads.push((sale_no, index, bytes::Bytes::from(payload))),
                Err(error) => tracing::error!(%error, "a dead order's payload cannot be read"),
            }
        }
        for some in payloads.chunks(MOVED_AT_ONCE) {
            let some = some.to_vec();
            let (command, _) = Command::write(move |book, _, batch| {
                for (sale_no, index, payload) in some {
                    book.move_payload(sale_no, index, payload, batch);
                }
            });
            self.shared.queue.push(command);
        }
        Lsn(floor)
    }

    /// Deletes the segments that end at or before `floor`, the oldest first. One that cannot be deleted stays the
    /// oldest: were a later one deleted before it, the journal would have a gap.
    fn delete_before(&self, floor: Lsn) -> Result<(), OpenError> {
        let segments = self.shared.reader.segments();
        for pair in segments.windows(2) {
            let [old, next] = pair else { break };
            if next.head.base > floor {
                break;
            }
            let path = self.shared.directory.join(old.name());
            disk::delete(&self.shared.directory, &old.name())
                .map_err(OpenError::io("delete", &path))?;
            self.shared.reader.forget_oldest();
        }
        Ok(())
    }
}
