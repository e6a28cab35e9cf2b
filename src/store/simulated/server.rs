//! The server in front of the tables, as a model: when a transaction ends and how, decided when it arrives.
//!
//! Pure: time comes in by parameter, there is no randomness and no I/O, so the same arrivals always end the same
//! way. A transaction passes three stations, each a queue in time to come:
//!
//! 1. the **cores**: the work of its statements, on whichever core is free first;
//! 2. the **stock rows**: a row is held from the decrement to the commit, the last part of the work, and the next in
//!    line has it after that;
//! 3. the **log**: one flush at a time; whoever commits while one runs shares the next with all who do.
//!
//! Crowds cost: beyond a number of connections each one more makes the work of all dearer, and beyond a number of
//! waiters each one more makes a row be held longer. So throughput rises, bends at the knee, and falls.

mod constants;
mod locks;
mod log;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use constants::Constants;
use locks::{Locks, Taken};
use log::Log;

use super::codes::Code;

/// The server's state: what its stations are busy with.
#[derive(Debug)]
pub struct Server {
    constants: Constants,
    connections_max: u32,
    connected: u32,
    /// When each core is free.
    cores: Vec<Duration>,
    locks: Locks,
    log: Log,
}

/// What a transaction does, as far as it takes time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Rows that it inserts or reads.
    pub rows: u32,
    /// Stock rows that it decrements, in the order of its statements, each once.
    pub stock: Vec<u64>,
    /// Whether there is something to commit.
    pub writes: bool,
}

/// How much of the server is there for this caller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Processes among which it is divided, at least 1.
    pub shared_by: u32,
    /// The share of it that a brown-out has taken, 0 to below 1.
    pub gone: f64,
}

impl Capacity {
    /// The whole server.
    pub const WHOLE: Self = Self { shared_by: 1, gone: 0.0 };

    fn stretched(self, time: Duration) -> Duration {
        if self == Self::WHOLE {
            return time;
        }
        let factor = f64::from(self.shared_by.max(1)) / (1.0 - self.gone.clamp(0.0, GONE_MAX));
        time.mul_f64(factor)
    }
}

/// A server that is gone altogether is an outage.
const GONE_MAX: f64 = 0.999;

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// When its client has the answer.
    pub ends: Duration,
    /// `None`: it is committed. Else it is rolled back, and this is what the client is told.
    pub failed: Option<Code>,
}

impl Server {
    /// An idle server that takes so many connections at once.
    #[must_use]
    pub fn new(constants: Constants, connections_max: u32) -> Self {
        let cores = constants.cores.max(1) as usize;
        Self {
            connections_max,
            connected: 0,
            cores: vec![Duration::ZERO; cores],
            locks: Locks::default(),
            log: Log::default(),
            constants,
        }
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// [`Code::TooManyConnections`] when all that this caller's capacity gives are taken.
    pub fn connect(&mut self, capacity: Capacity) -> Result<(), Code> {
        if self.connected >= (self.connections_max / capacity.shared_by.max(1)).max(1) {
            return Err(Code::TooManyConnections);
        }
        self.connected += 1;
        Ok(())
    }

    /// Gives a connection back.
    pub fn disconnect(&mut self) {
        self.connected = self.connected.saturating_sub(1);
    }

    /// Decides a transaction that arrives `now` on a connection that was taken before. `now` never goes back.
    pub fn transact(
        &mut self,
        now: Duration,
        transaction: &Transaction,
        capacity: Capacity,
    ) -> Fate {
        // Half of the way lies before the decrement.
        let half_way = self.constants.exchange() / 2;
        let mut at = self.work(now, transaction.rows, capacity) + half_way;
        if !transaction.stock.is_empty() {
            let hold =
                |waiting: u32| capacity.stretched(self.constants.lock(transaction.rows, waiting));
            // What is done while a row is held is a part of the work.
            let wanted = at.saturating_sub(hold(0)).max(now);
            let timeout = self.constants.lock_wait_timeout.0;
            match self.locks.take(now, wanted, &transaction.stock, hold, timeout) {
                Taken::Until(released) => at = released,
                Taken::Not { code, told } => return Fate { ends: told, failed: Some(code) },
            }
        }
        if transaction.writes {
            let constants = &self.constants;
            let flush = capacity.stretched(constants.flush());
            let rows = capacity.stretched(constants.flush_row() * transaction.rows);
            at = self.log.flush(now, at, flush, rows);
        }
        Fate { ends: at + half_way, failed: None }
    }

    /// The work of a transaction's statements on the core that is free first.
    fn work(&mut self, now: Duration, rows: u32, capacity: Capacity) -> Duration {
        let crowd = self.connected.saturating_mul(capacity.shared_by.max(1));
        let takes = capacity.stretched(self.constants.work(rows, crowd));
        let core = self.cores.iter_mut().min().expect("there is at least one core");
        *core = now.max(*core) + takes;
        *core
    }
}
