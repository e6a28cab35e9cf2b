//! The thread that owns the database. SQLite blocks, so it never runs on the async runtime; a job that was
//! handed over is carried out whether or not its caller still waits (S4).

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::faults::FaultPlan;
use super::rows::{self, Attempt};
use crate::clock::{SharedClock, Timestamp};
use crate::order::TicketText;
use crate::sale::StockChange;
use crate::store::{Found, OrderPage, PlaceOrder, Placement, StockRow, StoreError};

/// How often the fault plan is read again and the heartbeat written.
const TICK: Duration = Duration::from_millis(500);
/// A process whose heartbeat is older than this is gone.
const ALIVE: Duration = Duration::from_secs(3);

pub(super) enum Job {
    Place(Vec<Attempt>, oneshot::Sender<Vec<Placement>>),
    Find(Vec<TicketText>, oneshot::Sender<Vec<Found>>),
    Void(Vec<PlaceOrder>, oneshot::Sender<Vec<Found>>),
    Stock(Vec<StockChange>, oneshot::Sender<Result<(), StoreError>>),
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
    pub(super) processes: u64,
}

/// The thread and the way to it. Ends when it is dropped, after the jobs that were handed over.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Sender<Job>,
    seen: Arc<ArcSwap<Seen>>,
    frozen: tokio::sync::watch::Receiver<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(connection: Connection, clock: SharedClock) -> std::io::Result<Self> {
        let seen = Arc::new(ArcSwap::from_pointee(Seen { faults: Arc::default(), processes: 1 }));
        let (jobs, inbox) = channel();
        let (freeze, frozen) = tokio::sync::watch::channel(false);
        let mut process = [0; 4];
        getrandom::fill(&mut process).map_err(std::io::Error::other)?;
        let mut server = Server {
            connection,
            clock,
            seen: Arc::clone(&seen),
            freeze,
            process: u32::from_le_bytes(process),
            blind: false,
        };
        server.tick();
        let thread = std::thread::Builder::new()
            .name("forebay-store".to_owned())
            .spawn(move || server.run(&inbox))?;
        Ok(Self { jobs, seen, frozen, thread: Some(thread) })
    }

    pub(super) fn seen(&self) -> Arc<Seen> {
        self.seen.load_full()
    }

    /// Hands a job over; a reply that never comes is an error of the receiver.
    pub(super) fn hand(&self, job: Job) {
        // The thread ends only after `End`, which only `drop` sends.
        let _ = self.jobs.send(job);
    }

    /// Resolves when the server is not frozen, or has ended.
    pub(super) fn thaw(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut frozen = self.frozen.clone();
        async move {
            let _ = frozen.wait_for(|frozen| !frozen).await;
        }
    }

    pub(super) fn way(&self) -> Sender<Job> {
        self.jobs.clone()
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

struct Server {
    connection: Connection,
    clock: SharedClock,
    seen: Arc<ArcSwap<Seen>>,
    freeze: tokio::sync::watch::Sender<bool>,
    process: u32,
    /// The last look failed; told once.
    blind: bool,
}

impl Server {
    fn run(&mut self, inbox: &Receiver<Job>) {
        let mut ticked = self.clock.monotonic();
        loop {
            match inbox.recv_timeout(TICK) {
                Ok(Job::End) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(job) => self.carry_out(job),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.clock.monotonic().saturating_sub(ticked) >= TICK {
                ticked = self.clock.monotonic();
                self.tick();
            }
        }
        let sql = "DELETE FROM forebay_simulation_processes WHERE process = ?1";
        if let Err(error) = self.connection.execute(sql, [self.process]) {
            tracing::debug!(%error, "the heartbeat stays until it is old");
        }
    }

    fn carry_out(&mut self, job: Job) {
        let now = self.clock.wall();
        // A caller that went away needs no reply; the work is done all the same.
        match job {
            Job::Place(attempts, reply) => {
                let _ = reply.send(rows::place(&mut self.connection, &attempts, now));
            }
            Job::Find(tickets, reply) => {
                let _ = reply.send(rows::find(&self.connection, &tickets));
            }
            Job::Void(orders, reply) => {
                let _ = reply.send(rows::void(&mut self.connection, &orders, now));
            }
            Job::Stock(changes, reply) => {
                let _ = reply.send(rows::stock(&mut self.connection, &changes, now));
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
                self.freeze.send_replace(seen.faults.freeze);
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
        Ok(Seen { faults: Arc::new(faults), processes: processes.max(1).cast_unsigned() })
    }
}
