//! The simulated store: SQLite tables, and in front of them the behaviour of a MySQL server.

mod error;
mod faults;
pub mod offline;
mod rows;
mod tables;
#[cfg(test)]
mod tests;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use error::OpenError;
use faults::Dice;
pub use faults::{BadFaults, FaultPlan};
use futures_util::future::BoxFuture;
use rows::Attempt;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use worker::{Job, Worker};

use super::{
    Found, Later, LaterCause, OrderPage, PlaceOrder, Placement, StockRow, Store, StoreError,
    StoreRows,
};
use crate::clock::SharedClock;
use crate::order::TicketText;
use crate::sale::StockChange;
use crate::units::Span;

/// `[store.simulated]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where `store.sqlite` lies.
    pub directory: PathBuf,
    /// Calls that the server takes at once; more are refused with 1040. Shared by all processes.
    pub connections: u32,
    /// Time of one call.
    pub latency: Span,
    /// Time of each row on top, in microseconds.
    pub row_micros: u64,
    /// Calls at once beyond which each further one makes all of them slower.
    pub knee: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            directory: "./data/store".into(),
            connections: 32,
            latency: Span(Duration::from_millis(2)),
            row_micros: 20,
            knee: 8,
        }
    }
}

/// The simulated store. Several may be open on one directory, in several processes too.
#[derive(Debug)]
pub struct Simulated {
    config: Config,
    worker: Worker,
    calls: Arc<AtomicU64>,
    dice: Dice,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug)]
struct Weather {
    takes: Duration,
    frozen: bool,
    error: Option<u16>,
    lost: bool,
}

/// Counts a call as in flight until it is dropped.
struct InFlight(Arc<AtomicU64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Simulated {
    /// Opens the store; makes directory and tables where they are missing.
    ///
    /// # Errors
    /// When the directory or its file cannot be used.
    pub fn open(config: Config, clock: SharedClock) -> Result<Self, OpenError> {
        private_directory(&config.directory).map_err(OpenError::io(&config.directory))?;
        let file = config.directory.join("store.sqlite");
        let mut connection = Connection::open(&file).map_err(OpenError::sqlite(&file))?;
        tables::prepare(&mut connection, &file)?;
        private_file(&file).map_err(OpenError::io(&file))?;
        let worker = Worker::start(connection, clock).map_err(OpenError::io(&file))?;
        Ok(Self { config, worker, calls: Arc::default(), dice: Dice::default() })
    }

    /// The fault plan in force.
    #[must_use]
    pub fn faults(&self) -> FaultPlan {
        FaultPlan::clone(&self.worker.seen().faults)
    }

    /// Changes fields of the fault plan; in force everywhere within a second.
    ///
    /// # Errors
    /// [`BadFaults`] names the field that is wrong.
    pub async fn patch_faults(&self, patch: &serde_json::Value) -> Result<FaultPlan, BadFaults> {
        let plan = self.faults().patched(patch)?;
        let (reply, answer) = oneshot::channel();
        self.worker.hand(Job::Faults(plan.clone(), reply));
        let told = answer.await.map_err(|_| BadFaults("the store has ended".to_owned()))?;
        told.map_err(|error| BadFaults(error.reason))?;
        Ok(plan)
    }

    /// Admits a call, or refuses it as a server would.
    fn admit(&self, rows: usize) -> Result<(InFlight, Weather), Later> {
        let seen = self.worker.seen();
        let (plan, share) = (&seen.faults, seen.processes);
        let before = self.calls.fetch_add(1, Ordering::Relaxed);
        let in_flight = InFlight(Arc::clone(&self.calls));
        if plan.outage {
            return Err(away("2003 connection refused"));
        }
        if before >= (u64::from(self.config.connections) / share).max(1) {
            return Err(away("1040 too many connections"));
        }
        let knee = (u64::from(self.config.knee) / share).max(1);
        // Beyond the knee each call more makes all slower: throughput falls and does not just stay.
        let crowd = ((before + 1).max(knee) * 100 / knee).pow(2) / 100;
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let own = self.config.latency.0 + Duration::from_micros(self.config.row_micros) * rows;
        let takes = own * u32::try_from(crowd).unwrap_or(u32::MAX) / 100;
        let error = self.dice.falls(plan.seed, plan.error_rate).then_some(plan.error_code);
        let weather = Weather {
            takes: takes + Duration::from_millis(plan.latency_ms),
            frozen: plan.freeze,
            error,
            lost: self.dice.falls(plan.seed ^ 1, plan.lost_reply_rate),
        };
        Ok((in_flight, weather))
    }

    /// Carries a call out in the background: it takes its time and its effect even if its caller gives up.
    /// `None` when the reply was lost.
    fn call<T: Send + 'static, J: FnOnce(oneshot::Sender<T>) -> Job>(
        &self,
        (in_flight, weather): (InFlight, Weather),
        job: J,
    ) -> impl Future<Output = Option<T>> + use<T, J> {
        let (reply, answer) = oneshot::channel();
        let (way, job) = (self.worker.way(), job(reply));
        let thaw = weather.frozen.then(|| self.worker.thaw());
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            if let Some(thaw) = thaw {
                thaw.await;
            }
            if !weather.takes.is_zero() {
                tokio::time::sleep(weather.takes).await;
            }
            // The store's thread outlives its callers; a send after its end is a store that went away.
            let _ = way.send(job);
            let done = answer.await;
            drop(in_flight);
            if let (Ok(done), false) = (done, weather.lost) {
                let _ = tell.send(done);
            }
        });
        async move { told.await.ok() }
    }
}

fn away(reason: &str) -> Later {
    Later { cause: LaterCause::StoreAway, reason: reason.to_owned(), after: None }
}

/// What an error before anything happened means to an order.
fn placement_of(code: u16) -> Placement {
    let later = |cause, reason: &str| {
        Placement::Later(Later { cause, reason: reason.to_owned(), after: None })
    };
    match code {
        1205 => later(LaterCause::ThisOrder, "1205 lock wait timeout"),
        1213 => later(LaterCause::ThisOrder, "1213 deadlock"),
        1142 => later(LaterCause::Misconfigured, "1142 INSERT command denied"),
        1290 => later(LaterCause::StoreAway, "1290 the server is read-only"),
        2013 => Placement::InDoubt { reason: "2013 lost connection".to_owned() },
        _ => Placement::Later(away("1040 too many connections")),
    }
}

fn lost() -> String {
    "2013 lost connection during query".to_owned()
}

impl StoreRows for Simulated {
    fn order_rows(&self, after: Option<String>) -> BoxFuture<'_, Result<OrderPage, StoreError>> {
        self.read(|reply| Job::OrderRows(after, reply))
    }

    fn stock_rows(&self) -> BoxFuture<'_, Result<Vec<StockRow>, StoreError>> {
        self.read(Job::StockRows)
    }
}

impl Store for Simulated {
    fn place(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Placement>> {
        let count = orders.len();
        let same = move |placement: Placement| vec![placement; count];
        let admitted = match self.admit(count) {
            Ok(admitted) => admitted,
            Err(later) => return Box::pin(async move { same(Placement::Later(later)) }),
        };
        if let Some(code) = admitted.1.error {
            let takes = admitted.1.takes;
            return Box::pin(async move {
                tokio::time::sleep(takes).await;
                drop(admitted);
                same(placement_of(code))
            });
        }
        let plan = Arc::clone(&self.worker.seen().faults);
        let attempt = |order| {
            let refuse = self.dice.falls(plan.seed ^ 2, plan.refuse_rate);
            Attempt { order, refuse }
        };
        let attempts: Vec<Attempt> = orders.into_iter().map(attempt).collect();
        let done = self.call(admitted, move |reply| Job::Place(attempts, reply));
        Box::pin(async move {
            done.await.unwrap_or_else(|| same(Placement::InDoubt { reason: lost() }))
        })
    }

    fn find(&self, tickets: Vec<TicketText>) -> BoxFuture<'_, Vec<Found>> {
        let count = tickets.len();
        let unknown = move |reason: String| vec![Found::Unknown { reason }; count];
        match self.admit(count) {
            Err(later) => Box::pin(async move { unknown(later.reason) }),
            Ok(admitted) => {
                let done = self.call(admitted, move |reply| Job::Find(tickets, reply));
                Box::pin(async move { done.await.unwrap_or_else(|| unknown(lost())) })
            }
        }
    }

    fn void(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Found>> {
        let count = orders.len();
        let unknown = move |reason: String| vec![Found::Unknown { reason }; count];
        match self.admit(count) {
            Err(later) => Box::pin(async move { unknown(later.reason) }),
            Ok(admitted) => {
                let done = self.call(admitted, move |reply| Job::Void(orders, reply));
                Box::pin(async move { done.await.unwrap_or_else(|| unknown(lost())) })
            }
        }
    }

    fn stock(&self, changes: Vec<StockChange>) -> BoxFuture<'_, Result<(), StoreError>> {
        match self.admit(changes.len()) {
            Err(later) => Box::pin(async move { Err(refused(later)) }),
            Ok(admitted) => {
                let done = self.call(admitted, move |reply| Job::Stock(changes, reply));
                Box::pin(async move { done.await.unwrap_or_else(|| Err(refused(away(&lost())))) })
            }
        }
    }

    fn concurrency_max(&self) -> usize {
        self.config.connections as usize
    }
}

impl Simulated {
    /// Reads of `verify` see what an administrator sees: they meet an outage, but no other fault.
    fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        if self.worker.seen().faults.outage {
            return Box::pin(async { Err(refused(away("2003 connection refused"))) });
        }
        let (reply, answer) = oneshot::channel();
        self.worker.hand(job(reply));
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(refused(away(&lost())))) })
    }
}

fn refused(later: Later) -> StoreError {
    StoreError { cause: later.cause, reason: later.reason }
}

fn private_directory(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn private_file(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}
