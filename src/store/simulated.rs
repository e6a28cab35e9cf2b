//! The simulated store: SQLite tables, and in front of them the behaviour of a MySQL server.

pub mod codes;
mod error;
mod faults;
pub mod offline;
mod rows;
pub mod server;
mod tables;
#[cfg(test)]
mod tests;
mod turn;
mod worker;

use std::hash::Hasher;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codes::Code;
pub use error::OpenError;
use faults::Dice;
pub use faults::{BadFaults, FaultPlan};
use futures_util::future::BoxFuture;
use rows::Attempt;
use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};
use server::{Capacity, Constants, Server};
use tokio::sync::oneshot;
use turn::Asked;
use worker::{Call, Job, Worker};

use super::{
    Found, Later, OrderPage, PlaceOrder, Placement, StockRow, Store, StoreError, StoreRows,
};
use crate::clock::{SharedClock, Timestamp};
use crate::order::TicketText;
use crate::sale::{SaleNo, StockChange};

/// `[store.simulated]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where `store.sqlite` lies.
    pub directory: PathBuf,
    /// Calls that the server takes at once; more are refused with 1040. Shared by all processes.
    pub connections: u32,
    /// How fast the server is.
    pub server: Constants,
}

impl Default for Config {
    fn default() -> Self {
        // What MariaDB takes when it is not told.
        Self { directory: "./data/store".into(), connections: 151, server: Constants::default() }
    }
}

/// The simulated store. Several may be open on one directory, in several processes too.
#[derive(Debug)]
pub struct Simulated {
    connections: u32,
    worker: Worker,
    clock: SharedClock,
    front: Arc<Mutex<Front>>,
}

/// What decides about a call.
#[derive(Debug)]
struct Front {
    server: Server,
    dice: Dice,
}

/// A connection, given back when it is dropped.
struct Connected(Arc<Mutex<Front>>);

impl Drop for Connected {
    fn drop(&mut self) {
        locked(&self.0).server.disconnect();
    }
}

fn locked(front: &Mutex<Front>) -> MutexGuard<'_, Front> {
    front.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that the server took, and what will become of it.
struct Taken {
    connected: Connected,
    begins: Duration,
    ends: Duration,
    failed: Option<Code>,
    lost: bool,
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
        let worker = Worker::start(connection, Arc::clone(&clock)).map_err(OpenError::io(&file))?;
        let server = Server::new(config.server, config.connections);
        let front = Arc::new(Mutex::new(Front { server, dice: Dice::default() }));
        Ok(Self { connections: config.connections, worker, clock, front })
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

    /// Takes a call, or refuses it as a server would.
    fn take(&self, transaction: &server::Transaction) -> Result<Taken, Code> {
        let seen = self.worker.seen();
        let plan = &seen.faults;
        if plan.outage {
            return Err(Code::Refused);
        }
        let capacity = Capacity { shared_by: seen.processes, gone: plan.brown_out };
        let mut front = locked(&self.front);
        front.server.connect(capacity)?;
        // In the lock: the server's time never goes back.
        let now = self.clock.monotonic();
        let fate = front.server.transact(now, transaction, capacity);
        let error = front.dice.falls(plan.seed, plan.error_rate).then(|| plan.error()).flatten();
        let lost = front.dice.falls(plan.seed ^ 1, plan.lost_reply_rate);
        drop(front);
        let late = Duration::from_millis(plan.latency_ms);
        Ok(Taken {
            connected: Connected(Arc::clone(&self.front)),
            begins: now + late,
            ends: fate.ends + late,
            failed: error.or(fate.failed),
            lost,
        })
    }

    /// Carries a call out: it takes its time and its effect even if its caller gives up. `tell` is the answer
    /// when it is not carried out.
    fn call<T: Clone + Send + Sync + 'static>(
        &self,
        transaction: &server::Transaction,
        tell: impl Fn(Later) -> T + Send + 'static,
        lost: T,
        work: impl Fn(&Transaction<'_>, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, T> {
        let taken = match self.take(transaction) {
            Ok(taken) => taken,
            Err(code) => return Box::pin(std::future::ready(tell(code.later()))),
        };
        let instead = taken.failed.map(|code| match code {
            Code::Lost => lost.clone(),
            code => tell(code.later()),
        });
        let work = move |transaction: &Transaction<'_>, now| match &instead {
            Some(instead) => Ok(instead.clone()),
            None => work(transaction, now),
        };
        let failed = move |error: &rusqlite::Error| tell(rows::later(error));
        let (turn, answer) = Asked::boxed(taken.connected, work, failed, taken.lost);
        let rows = transaction.rows;
        self.worker.hand(Job::Call(Call { begins: taken.begins, ends: taken.ends, rows, turn }));
        Box::pin(async move { answer.await.unwrap_or(lost) })
    }
}

/// The stock row of a sku, as the server's model knows it.
fn row(sale: SaleNo, sku: &str) -> u64 {
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write_u32(sale.0);
    hasher.write(sku.as_bytes());
    hasher.finish()
}

/// What placing these orders makes a server do. Its rows are locked in the order of their keys, as a careful
/// client's statements do: no two batches can wait for each other.
fn placing(orders: &[PlaceOrder]) -> server::Transaction {
    let of = |order: &PlaceOrder| {
        let sale = order.sale_no;
        order.lines.iter().map(move |line| row(sale, line.sku.as_str())).collect::<Vec<_>>()
    };
    let mut stock: Vec<u64> = orders.iter().flat_map(of).collect();
    let rows = count(stock.len());
    stock.sort_unstable();
    stock.dedup();
    server::Transaction { rows, stock, writes: true }
}

/// Changes of stock are made in the order of their numbers, whatever rows they lock.
fn changing(changes: &[StockChange]) -> server::Transaction {
    let mut stock = Vec::new();
    for change in changes {
        let row = row(change.sale_no, change.sku.as_str());
        if !stock.contains(&row) {
            stock.push(row);
        }
    }
    server::Transaction { rows: count(changes.len()), stock, writes: true }
}

fn count(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
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
        let transaction = placing(&orders);
        let (plan, count) = (Arc::clone(&self.worker.seen().faults), orders.len());
        let mut front = locked(&self.front);
        let attempt = |order| {
            let refuse = front.dice.falls(plan.seed ^ 2, plan.refuse_rate);
            Attempt { order, refuse }
        };
        let attempts: Vec<Attempt> = orders.into_iter().map(attempt).collect();
        drop(front);
        let tell = move |later| vec![Placement::Later(later); count];
        let lost = vec![Placement::InDoubt { reason: Code::Lost.text().to_owned() }; count];
        let work = move |tables: &Transaction<'_>, now| rows::place(tables, &attempts, now);
        self.call(&transaction, tell, lost, work)
    }

    fn find(&self, tickets: Vec<TicketText>) -> BoxFuture<'_, Vec<Found>> {
        let rows = count(tickets.len());
        let transaction = server::Transaction { rows, ..server::Transaction::default() };
        let (tell, lost) = unknown(tickets.len());
        self.call(&transaction, tell, lost, move |tables, _| Ok(rows::find(tables, &tickets)))
    }

    fn void(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Found>> {
        let rows = count(orders.len());
        let transaction = server::Transaction { rows, stock: Vec::new(), writes: true };
        let (tell, lost) = unknown(orders.len());
        self.call(&transaction, tell, lost, move |tables, now| rows::void(tables, &orders, now))
    }

    fn stock(&self, changes: Vec<StockChange>) -> BoxFuture<'_, Result<(), StoreError>> {
        let transaction = changing(&changes);
        let tell = |later: Later| Err(refused(later));
        let lost = Err(refused(Code::Lost.later()));
        let work = move |tables: &Transaction<'_>, now| rows::stock(tables, &changes, now).map(Ok);
        self.call(&transaction, tell, lost, work)
    }

    fn concurrency_max(&self) -> usize {
        self.connections as usize
    }
}

/// Answers of a call that says nothing about tickets.
fn unknown(tickets: usize) -> (impl Fn(Later) -> Vec<Found> + Send + 'static, Vec<Found>) {
    let answer = move |later: Later| vec![Found::Unknown { reason: later.reason }; tickets];
    (answer, answer(Code::Lost.later()))
}

impl Simulated {
    /// Reads of `verify` see what an administrator sees: they meet an outage, but no other fault.
    fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        if self.worker.seen().faults.outage {
            return Box::pin(async { Err(refused(Code::Refused.later())) });
        }
        let (reply, answer) = oneshot::channel();
        self.worker.hand(job(reply));
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(refused(Code::Lost.later()))) })
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
