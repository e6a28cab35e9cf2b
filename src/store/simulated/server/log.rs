//! The log: one flush at a time, shared by all who wait for it (group commit).

use std::collections::VecDeque;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
struct Flush {
    from: Duration,
    to: Duration,
}

/// Flushes that run or are due, in order.
#[derive(Debug, Default)]
pub(super) struct Log {
    flushes: VecDeque<Flush>,
}

impl Log {
    /// When what is committed `at` is on disk: by the first flush that begins then or later. `flush`: one flush;
    /// `rows`: what this commit adds to it.
    pub(super) fn flush(
        &mut self,
        now: Duration,
        at: Duration,
        flush: Duration,
        rows: Duration,
    ) -> Duration {
        while self.flushes.front().is_some_and(|one| one.to <= now) {
            self.flushes.pop_front();
        }
        let next = self.flushes.partition_point(|one| one.from < at);
        let running = next.checked_sub(1).map_or(Duration::ZERO, |before| self.flushes[before].to);
        let from = at.max(running);
        match self.flushes.get_mut(next) {
            // One that is due before another would be over takes this commit along.
            Some(due) if due.from < from + flush => {
                due.to += rows;
                due.to
            }
            _ => {
                let to = from + flush + rows;
                self.flushes.insert(next, Flush { from, to });
                to
            }
        }
    }
}
