//! What the parts of the engine share, and how each calls a function.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use dashmap::DashMap;
use redis::{Cmd, Value};
use tokio::runtime::{self, Handle};
use tokio::sync::Notify;

use super::config::Config;
use super::docs::Fields;
use super::lane::Lane;
use super::link::{Link, Means};
use super::names::{Names, number, number_of};
use super::record::{Known, Unread};
use super::recover::Holds;
use super::remembered::Remembered;
use super::reply::{self, strange};
use super::rounds::Rounds;
use super::server::Trouble;
use crate::clock::{SharedClock, Timestamp};
use crate::ledger::ring::Ring;
use crate::ledger::{Fault, SaleDoc};
use crate::order::Keyring;
use crate::sale::{SaleName, SaleNo};

/// Fields of the drain's settings and their values.
pub(super) type Patch = Vec<(&'static str, String)>;

/// The engine's insides.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) names: Names,
    pub(super) means: Arc<Means>,
    pub(super) keyring: Keyring,
    pub(super) clock: SharedClock,
    /// Reads, changes, grants and the tail.
    pub(super) calls: Arc<Link>,
    /// Claims and settles: they may wait for the level.
    pub(super) drain: Arc<Link>,
    /// A lane for each runtime that takes orders.
    lanes: Mutex<HashMap<runtime::Id, Arc<Lane>>>,
    /// What was learnt of each sale.
    known: DashMap<SaleNo, Arc<Known>>,
    numbers: DashMap<SaleName, SaleNo>,
    pub(super) ring: Ring,
    pub(super) remembered: Arc<Remembered>,
    pub(super) rounds: Rounds,
    pub(super) holds: Holds,
    /// The tails were found anew: an epoch may have begun that this process has no part in. Told by the follower, heard
    /// by the keeper.
    pub(super) tails_found: Notify,
    /// The newest epoch of the deployment that this process saw.
    epoch: AtomicU64,
    /// How many answers the store ever gave, as far as this process knows.
    answers: AtomicU64,
    /// Why the server cannot be used. Written by the keeper, read by anybody.
    trouble: RwLock<Option<Arc<str>>>,
    /// Why it would take no order now, although it can be used. Written and read by the same.
    refusal: RwLock<Option<Arc<str>>>,
    /// What `[drain]` said last: told again to a server that has lost it.
    pub(super) configured: Mutex<Option<Patch>>,
}

impl Core {
    pub(super) fn new(
        config: Config,
        means: Means,
        keyring: Keyring,
        clock: SharedClock,
    ) -> Arc<Self> {
        let trouble = Trouble::Connecting(means.place.clone());
        let (means, handle) = (Arc::new(means), Handle::current());
        let remember = config.remember.0;
        Arc::new(Self {
            names: Names::new(&config.prefix),
            config,
            calls: Link::start(Arc::clone(&means), &handle),
            drain: Link::start(Arc::clone(&means), &handle),
            means,
            keyring,
            clock,
            lanes: Mutex::default(),
            known: DashMap::new(),
            numbers: DashMap::new(),
            ring: Ring::new(1),
            remembered: Arc::new(Remembered::new(remember)),
            rounds: Rounds::default(),
            holds: Holds::default(),
            tails_found: Notify::new(),
            epoch: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            trouble: RwLock::new(Some(trouble.to_string().into())),
            refusal: RwLock::default(),
            configured: Mutex::default(),
        })
    }

    /// Ends all connections.
    pub(super) fn stop(&self) {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.values().for_each(|lane| lane.stop());
        self.calls.stop();
        self.drain.stop();
    }

    /// The server is another one: connections that broke with it are made again before they are needed.
    pub(super) async fn probe(&self) {
        let lanes: Vec<Arc<Lane>> = {
            let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.values().cloned().collect()
        };
        self.drain.probe().await;
        for lane in lanes {
            lane.probe().await;
        }
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        let trouble = trouble.map(Into::into);
        *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// The newest epoch of a sale that this process saw.
    pub(super) fn epoch_of(&self, sale_no: SaleNo) -> u16 {
        let known = self.known.get(&sale_no).map_or(0, |known| known.doc.census.epoch);
        known.max(self.holds.newest(sale_no))
    }

    /// A sale as this process saw it last.
    pub(super) fn seen(&self, sale_no: SaleNo) -> Option<SaleDoc> {
        self.known.get(&sale_no).map(|known| known.doc.clone())
    }

    pub(super) fn saw_epoch(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::Relaxed);
    }

    pub(super) fn set_refusal(&self, refusal: Option<String>) {
        let refusal = refusal.map(Into::into);
        *self.refusal.write().unwrap_or_else(PoisonError::into_inner) = refusal;
    }

    pub(super) fn refusal(&self) -> Option<Arc<str>> {
        self.refusal.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes every connection again: the server is not what it must be, and each finds that out for itself.
    pub(super) fn renew(&self) {
        self.lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .for_each(|lane| lane.renew());
        self.calls.renew();
        self.drain.renew();
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    pub(super) fn saw_answers(&self, answers: u64) {
        self.answers.fetch_max(answers, Ordering::Relaxed);
    }

    /// The lane of the runtime that runs this.
    pub(super) fn lane(&self) -> Arc<Lane> {
        let handle = Handle::current();
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&handle.id()) {
            return Arc::clone(lane);
        }
        lanes.retain(|_, lane| !lane.is_over());
        let link = Link::start(Arc::clone(&self.means), &handle);
        let lane = Lane::new(link, self.names.clone(), Arc::clone(&self.remembered));
        lanes.insert(handle.id(), Arc::clone(&lane));
        lane
    }

    /// Calls a function of one sale.
    pub(super) async fn call(
        &self,
        function: &str,
        sale_no: SaleNo,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value, Fault> {
        self.call_at(function, &self.names.sale(sale_no), arguments).await
    }

    /// Calls a function of the deployment.
    pub(super) async fn call_all(
        &self,
        function: &str,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value, Fault> {
        self.call_at(function, self.names.settings(), arguments).await
    }

    async fn call_at(
        &self,
        function: &str,
        key: &str,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value, Fault> {
        let live = self.calls.live().await?;
        let mut command = self.calls.function(&live, function, key);
        arguments(&mut command);
        self.calls.send(&live, &command).await
    }

    /// One sale as it is now; `None` when it is not there.
    pub(super) async fn sale(&self, sale_no: SaleNo) -> Result<Option<SaleDoc>, Fault> {
        let answer = reply::list(self.call("census", sale_no, |_| {}).await?)?;
        let mut answer = answer.into_iter();
        let Some(as_of) = answer.next() else { return Ok(None) };
        let as_of = Timestamp(reply::number(&as_of)?);
        let waits_since = reply::number(&reply::next(&mut answer)?)?;
        let doc = Fields::of(reply::list(reply::next(&mut answer)?)?)?.sale(as_of, waits_since)?;
        self.learn(&doc);
        Ok(Some(doc))
    }

    /// The number of a sale; `None` when no sale ever had this name.
    pub(super) async fn number_of(&self, name: &SaleName) -> Result<Option<SaleNo>, Fault> {
        if let Some(sale_no) = self.numbers.get(name) {
            return Ok(Some(*sale_no));
        }
        let answer = self.call_all("find", |command| {
            command.arg(name.as_str());
        });
        let answer = answer.await?;
        Ok(self.keep_number(name, reply::bytes(&answer)?))
    }

    /// Takes a number for a new name; `None` when none of these is free.
    pub(super) async fn register(
        &self,
        name: &SaleName,
        numbers: &[SaleNo],
    ) -> Result<Option<SaleNo>, Fault> {
        let answer = self.call_all("register", |command| {
            command.arg(name.as_str());
            numbers.iter().for_each(|sale_no| {
                command.arg(number(*sale_no));
            });
        });
        let answer = answer.await?;
        Ok(self.keep_number(name, reply::bytes(&answer)?))
    }

    fn keep_number(&self, name: &SaleName, number: &[u8]) -> Option<SaleNo> {
        let sale_no = number_of(number)?;
        self.numbers.insert(name.clone(), sale_no);
        Some(sale_no)
    }

    /// A name and its number are free again.
    pub(super) async fn unregister(&self, name: &str, sale_no: SaleNo) -> Result<(), Fault> {
        self.call_all("unregister", |command| {
            command.arg(name).arg(number(sale_no));
        })
        .await?;
        self.forget(sale_no);
        Ok(())
    }

    /// Keeps what records leave out.
    pub(super) fn learn(&self, doc: &SaleDoc) -> Arc<Known> {
        let seal = self.keyring.seal(doc.key_id, doc.sale_no, doc.made_at);
        let known = Arc::new(Known { doc: doc.clone(), seal });
        self.known.insert(doc.sale_no, Arc::clone(&known));
        known
    }

    /// A sale that this process knows and that is not among those in the server, its name. Sales go only when they
    /// were purged long ago: somebody deleted keys, or the server lost all that it had.
    pub(super) fn vanished(&self, sales: &[(String, SaleNo)]) -> Option<SaleName> {
        let there = |sale_no: SaleNo| sales.iter().any(|(_, other)| *other == sale_no);
        let gone = self.known.iter().find(|known| !known.doc.purged && !there(known.doc.sale_no));
        gone.map(|known| known.doc.name.clone())
    }

    pub(super) fn forget(&self, sale_no: SaleNo) {
        self.numbers.retain(|_, known| *known != sale_no);
        self.known.remove(&sale_no);
    }

    /// What is known of a sale; asks when nothing is, or when it is `stale`.
    pub(super) async fn known(
        &self,
        sale_no: SaleNo,
        stale: bool,
    ) -> Result<Option<Arc<Known>>, Fault> {
        let known = self.known.get(&sale_no).map(|known| Arc::clone(&known));
        // A sale whose key came later is looked at again.
        if let (Some(known), false) = (known.filter(|known| known.seal.is_some()), stale) {
            return Ok(Some(known));
        }
        // The answer was learnt from.
        let there = self.sale(sale_no).await?.is_some();
        Ok(self.known.get(&sale_no).map(|known| Arc::clone(&known)).filter(|_| there))
    }

    /// Reads records of a sale. One that names an item that was added since is read again with what is known then.
    pub(super) async fn reading<T>(
        &self,
        sale_no: SaleNo,
        read: impl Fn(&Known) -> Result<T, Unread>,
    ) -> Result<T, Fault> {
        for stale in [false, true] {
            let known = self.known(sale_no, stale).await?;
            match read(&*known.ok_or_else(|| strange("the sale is gone"))?) {
                Ok(answer) => return Ok(answer),
                Err(Unread::Fault(fault)) => return Err(fault),
                Err(Unread::NewItem) => {}
            }
        }
        Err(strange("an item"))
    }
}
