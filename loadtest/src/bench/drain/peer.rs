//! A running peer, whatever it is: filled while nothing is carried, then let go.

use anyhow::Context;

use super::list::{self, Sale};
use super::plain::Plain;
use super::stock::StockRow;
use super::workers::{Program, Workers};
use super::{Name, Rig};
use crate::carrier::Carrier;
use crate::gateway::Process;
use crate::redis::Redis;

/// Orders a transaction of the yardstick that has many.
const BATCH: usize = 100;

/// The processes that share the work of an order, but for the database.
pub(super) struct Servers {
    /// Whoever inserts.
    pub(super) workers: Vec<u32>,
    /// The Redis of their queue; empty without one.
    pub(super) redis: Vec<u32>,
}

pub(super) enum Peer {
    Plain(Plain),
    Forebay(Box<Carrier>),
    Workers(Box<Workers>),
}

impl Peer {
    /// Starts it at the rig's database.
    pub(super) async fn start(name: Name, rig: &Rig) -> anyhow::Result<Self> {
        let plain = |batch| Plain::start(&rig.store, batch, rig.connections);
        let peers = || rig.peers.as_deref().context("the peers' programs lie nowhere");
        let program = match name {
            Name::PlainInserts => return Ok(Self::Plain(plain(1).await?)),
            Name::PlainBatches => return Ok(Self::Plain(plain(BATCH).await?)),
            Name::Forebay | Name::ForebayRedis => {
                let on_redis = name == Name::ForebayRedis;
                let carrier = Carrier::start(&rig.forebay, &rig.store, on_redis).await?;
                return Ok(Self::Forebay(Box::new(carrier)));
            }
            Name::Bullmq => Program::bullmq(peers()?)?,
            Name::ApalisRedis => Program::apalis(peers()?),
        };
        let workers = Workers::start(program, &rig.store, rig.connections, rig.workers).await?;
        Ok(Self::Workers(Box::new(workers)))
    }

    pub(super) fn servers(&self) -> Servers {
        match self {
            Self::Plain(_) => Servers { workers: vec![std::process::id()], redis: Vec::new() },
            Self::Forebay(carrier) => Servers {
                workers: vec![carrier.plant.process.pid()],
                redis: carrier.redis.iter().map(Redis::pid).collect(),
            },
            Self::Workers(workers) => Servers {
                workers: workers.processes.iter().map(Process::pid).collect(),
                redis: vec![workers.redis.pid()],
            },
        }
    }

    /// Lets all orders of the sale wait in its queue.
    pub(super) async fn fill(&mut self, sale: &Sale, stock: &mut StockRow) -> anyhow::Result<()> {
        match self {
            // A gateway writes the row itself.
            Self::Forebay(carrier) => {
                return carrier.fill(&sale.form, sale.units(), sale.orders).await;
            }
            Self::Plain(plain) => plain.fill(list::orders(sale)),
            Self::Workers(workers) => workers.fill(&list::orders(sale)).await?,
        }
        stock.put().await
    }

    /// Lets them be carried.
    pub(super) async fn carry(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Plain(plain) => {
                plain.carry();
                Ok(())
            }
            Self::Forebay(carrier) => carrier.carry().await,
            Self::Workers(workers) => workers.carry(),
        }
    }

    /// Waits until all are in the tables, or no more come.
    pub(super) async fn carried(&mut self, stock: &mut StockRow) -> anyhow::Result<()> {
        match self {
            // It knows by itself, and needs no looks that would be counted as its own.
            Self::Plain(plain) => plain.carried().await,
            Self::Forebay(_) | Self::Workers(_) => stock.taken().await,
        }
    }

    /// Lets it finish what it is at, and ends its processes.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Plain(plain) => plain.end().await,
            Self::Forebay(carrier) => carrier.stop().await,
            Self::Workers(workers) => workers.end().await,
        }
    }
}
