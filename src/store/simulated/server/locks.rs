//! Stock rows, each held by one transaction after the other, in the order of their arrival.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use crate::store::simulated::codes::Code;

/// Transactions between two looks at all rows.
const SWEEP_EVERY: u64 = 1_024;

/// One transaction's time on a row, to come or running.
#[derive(Clone, Copy, Debug)]
struct Hold {
    from: Duration,
    to: Duration,
    transaction: u64,
}

/// What came of asking for rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All were held, and are released then.
    Until(Duration),
    /// Rolled back.
    Not {
        /// Why.
        code: Code,
        /// When the client hears it.
        told: Duration,
    },
}

/// All rows that somebody holds or will hold.
#[derive(Debug, Default)]
pub(super) struct Locks {
    rows: BTreeMap<u64, VecDeque<Hold>>,
    transactions: u64,
}

impl Locks {
    /// Takes `rows` one after the other from `at` on, and holds them all until the last one was held for its
    /// time. `hold`: how long, by how many are in line for the row. A wait beyond `timeout` ends with 1205; two
    /// who hold what the other wants next are a deadlock, and the one that came later is rolled back.
    pub(super) fn take(
        &mut self,
        now: Duration,
        at: Duration,
        rows: &[u64],
        hold: impl Fn(u32) -> Duration,
        timeout: Duration,
    ) -> Taken {
        self.forget(now, rows);
        self.transactions += 1;
        let mut taken: Vec<Duration> = Vec::with_capacity(rows.len());
        let (mut wanted, mut released) = (at, at);
        for (nth, row) in rows.iter().enumerate() {
            if let Some(told) = self.deadlock(*row, &rows[nth + 1..], wanted, hold(0)) {
                return Taken::Not { code: Code::Deadlock, told };
            }
            let line = self.rows.get(row);
            let waiting = line.map_or(0, |line| line.iter().filter(|one| one.to > wanted).count());
            let from = line.and_then(VecDeque::back).map_or(wanted, |last| last.to.max(wanted));
            if from.saturating_sub(wanted) > timeout {
                let told = wanted + timeout;
                self.note(&rows[..nth], &taken, told);
                return Taken::Not { code: Code::LockWaitTimeout, told };
            }
            taken.push(from);
            released = from + hold(u32::try_from(waiting).unwrap_or(u32::MAX));
            wanted = released;
        }
        self.note(rows, &taken, released);
        Taken::Until(released)
    }

    /// Whether somebody who will want `row` after `wanted` holds by then what is wanted `next`: when both wait.
    fn deadlock(
        &self,
        row: u64,
        next: &[u64],
        wanted: Duration,
        step: Duration,
    ) -> Option<Duration> {
        let later = self.rows.get(&row)?.iter().filter(|one| one.from > wanted);
        for rival in later {
            let mut at = wanted;
            for other in next {
                at += step;
                let held = |one: &&Hold| {
                    one.transaction == rival.transaction && one.from <= at && one.to > at
                };
                if self.rows.get(other).is_some_and(|line| line.iter().any(|one| held(&one))) {
                    return Some(at.max(rival.from));
                }
            }
        }
        None
    }

    fn note(&mut self, rows: &[u64], taken: &[Duration], to: Duration) {
        let transaction = self.transactions;
        for (row, from) in rows.iter().zip(taken) {
            let hold = Hold { from: *from, to, transaction };
            self.rows.entry(*row).or_default().push_back(hold);
        }
    }

    /// What is over is nobody's business: of the rows that are wanted, and of all of them now and then.
    fn forget(&mut self, now: Duration, wanted: &[u64]) {
        let over = |line: &mut VecDeque<Hold>| {
            while line.front().is_some_and(|one| one.to <= now) {
                line.pop_front();
            }
        };
        for row in wanted {
            if let Some(line) = self.rows.get_mut(row) {
                over(line);
            }
        }
        if self.transactions.is_multiple_of(SWEEP_EVERY) {
            self.rows.retain(|_, line| {
                over(line);
                !line.is_empty()
            });
        }
    }
}
