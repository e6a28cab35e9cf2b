//! The thread that owns the database. SQLite blocks, so it never runs on the async runtime; a call that was
//! handed over is carried out whether or not its caller still waits (S4).
//!
//! A call takes effect when its turn comes and is answered when its time is over. What is due together is one
//! transaction of the database, as commits share a flush at a server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::faults::FaultPlan;
use super::rows;
use super::turn::Turn;
use crate::clock::{SharedClock, Timestamp};
use crate::store::{OrderPage, StockRow, StoreError};

/// How often the fault plan is read again and the heartbeat written.
const TICK: Duration = Duration::from_millis(500);
/// A process whose heartbeat is older than this is gone.
const ALIVE: Duration = Duration::from_secs(3);
/// Rows of one transaction of the database, about: what is due later must not wait long for it.
const TOGETHER: u64 = 2_000;

/// A call whose end is decided.
pub(super) struct Call {
    /// From when on it takes effect, by the monotonic clock.
    pub(super) begins: Duration,
    /// When it is answered.
    pub(super) ends: Duration,
    /// Rows that it touches.
    pub(super) rows: u32,
    pub(super) turn: Box<dyn Turn>,
}

pub(super) enum Job {
    Call(Call),
    OrderRows(Option<String>, oneshot::Sender<Result<OrderPage, StoreError>>),
    StockRows(oneshot::Sender<Result<Vec<StockRow>, StoreError>>),
    Faults(FaultPlan, oneshot::Sender<Result<(), StoreError>>),
    End,
}

/// What every caller may know of the server without asking its thread.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) faults: Arc<FaultPlan>,
    /// Processes that share this server, this one included.
    pub(super) processes: u32,
}

/// The thread and the way to it. Ends when it is dropped; calls that are not answered by then never are.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Sender<Job>,
    seen: Arc<ArcSwap<Seen>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(connection: Connection, clock: SharedClock) -> std::io::Result<Self> {
        let seen = Arc::new(ArcSwap::from_pointee(Seen { faults: Arc::default(), processes: 1 }));
        let (jobs, inbox) = channel();
        let mut process = [0; 4];
        getrandom::fill(&mut process).map_err(std::io::Error::other)?;
        let mut server = Thread {
            connection,
            clock,
            seen: Arc::clone(&seen),
            process: u32::from_le_bytes(process),
            blind: false,
            calls: 0,
            to_begin: BTreeMap::new(),
            to_end: BTreeMap::new(),
        };
        server.tick();
        let thread = std::thread::Builder::new()
            .name("forebay-store".to_owned())
            .spawn(move || server.run(&inbox))?;
        Ok(Self { jobs, seen, thread: Some(thread) })
    }

    pub(super) fn seen(&self) -> Arc<Seen> {
        self.seen.load_full()
    }

    /// Hands a job over; a reply that never comes is an error of the receiver.
    pub(super) fn hand(&self, job: Job) {
        // The thread ends only after `End`, which only `drop` sends.
        let _ = self.jobs.send(job);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.hand(Job::End);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// A time, and the number of a call: calls of one time keep the order in which they came.
type Turns = BTreeMap<(Duration, u64), Call>;

struct Thread {
    connection: Connection,
    clock: SharedClock,
    seen: Arc<ArcSwap<Seen>>,
    process: u32,
    /// The last look failed; told once.
    blind: bool,
    /// Calls that came so far.
    calls: u64,
    to_begin: Turns,
    to_end: Turns,
}

impl Thread {
    fn run(&mut self, inbox: &Receiver<Job>) {
        let mut ticked = self.clock.monotonic();
        loop {
            let mut next = inbox.recv_timeout(self.patience()).map_err(|none| match none {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            });
            while let Ok(job) = next {
                if matches!(job, Job::End) {
                    return self.leave();
                }
                self.take(job);
                next = inbox.try_recv();
            }
            if let Err(TryRecvError::Disconnected) = next {
                return self.leave();
            }
            if !self.seen.load().faults.freeze {
                self.begin();
                self.end();
            }
            if self.clock.monotonic().saturating_sub(ticked) >= TICK {
                ticked = self.clock.monotonic();
                self.tick();
            }
        }
    }

    /// How long nothing is due.
    fn patience(&self) -> Duration {
        if self.seen.load().faults.freeze {
            return TICK;
        }
        let first = |turns: &Turns| turns.first_key_value().map(|((due, _), _)| *due);
        let due = [first(&self.to_begin), first(&self.to_end)].into_iter().flatten().min();
        due.map_or(TICK, |due| due.saturating_sub(self.clock.monotonic()).min(TICK))
    }

    fn leave(&self) {
        let sql = "DELETE FROM forebay_simulation_processes WHERE process = ?1";
        if let Err(error) = self.connection.execute(sql, [self.process]) {
            tracing::debug!(%error, "the heartbeat stays until it is old");
        }
    }

    fn take(&mut self, job: Job) {
        // A caller that went away needs no reply.
        match job {
            Job::Call(call) => {
                self.calls += 1;
                self.to_begin.insert((call.begins, self.calls), call);
            }
            Job::OrderRows(after, reply) => {
                let _ = reply.send(rows::order_rows(&self.connection, after.as_deref()));
            }
            Job::StockRows(reply) => {
                let _ = reply.send(rows::stock_rows(&self.connection));
            }
            Job::Faults(plan, reply) => {
                let _ = reply.send(self.set_faults(&plan));
            }
            Job::End => {}
        }
    }

    /// Carries out what is due.
    fn begin(&mut self) {
        let (now, wall) = (self.clock.monotonic(), self.clock.wall());
        let (mut due, mut rows) = (Vec::new(), 0);
        while let Some(first) = self.to_begin.first_entry()
            && first.key().0 <= now
            && rows < TOGETHER
        {
            rows += 1 + u64::from(first.get().rows);
            due.push(first.remove_entry());
        }
        if due.is_empty() {
            return;
        }
        let turns = due.iter_mut().map(|(_, call)| &mut *call.turn);
        let failed = rows::together(&mut self.connection, turns, wall).err();
        for ((_, number), mut call) in due {
            if let Some(error) = &failed {
                call.turn.fails(error);
            }
            self.to_end.insert((call.ends, number), call);
        }
    }

    /// Answers those whose time is over.
    fn end(&mut self) {
        let now = self.clock.monotonic();
        while let Some(first) = self.to_end.first_entry()
            && first.key().0 <= now
        {
            first.remove().turn.answer();
        }
    }

    fn set_faults(&mut self, plan: &FaultPlan) -> Result<(), StoreError> {
        let text = serde_json::to_string(plan).unwrap_or_default();
        self.connection
            .execute("UPDATE forebay_simulation SET faults = ?1 WHERE id = 1", [text])
            .map_err(|error| rows::failed(&error))?;
        self.tick();
        Ok(())
    }

    /// Heartbeat, and what other processes changed.
    fn tick(&mut self) {
        match self.look() {
            Ok(seen) => {
                self.blind = false;
                self.seen.store(Arc::new(seen));
            }
            Err(error) if !self.blind => {
                self.blind = true;
                tracing::warn!(%error, "the simulated store could not read its fault plan");
            }
            Err(_) => {}
        }
    }

    fn look(&mut self) -> rusqlite::Result<Seen> {
        let now = self.clock.wall();
        // A heartbeat from the future is one of before the wall clock went back: the living soon write another.
        let old = Timestamp(now.0.saturating_sub(crate::clock::micros(ALIVE)));
        let future = now.plus(ALIVE);
        self.connection.execute(
            "INSERT INTO forebay_simulation_processes VALUES (?1, ?2)
             ON CONFLICT (process) DO UPDATE SET seen_at = ?2",
            params![self.process, now.0.cast_signed()],
        )?;
        let processes: i64 = self.connection.query_row(
            "SELECT count(*) FROM forebay_simulation_processes WHERE seen_at BETWEEN ?1 AND ?2",
            [old.0.cast_signed(), future.0.cast_signed()],
            |row| row.get(0),
        )?;
        let sql = "SELECT faults FROM forebay_simulation WHERE id = 1";
        let text: String = self.connection.query_row(sql, [], |row| row.get(0))?;
        let faults = serde_json::from_str(&text).unwrap_or_default();
        Ok(Seen {
            faults: Arc::new(faults),
            processes: u32::try_from(processes).unwrap_or(1).max(1),
        })
    }
}
