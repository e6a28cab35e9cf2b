//! One turn of a peer: empty tables, new processes, connections that stand, all orders in the queue; then the clock runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::list::Sale;
use super::peer::{Peer, Servers};
use super::stock::StockRow;
use super::{Name, job};
use crate::bench::job::Finding;
use crate::bench::quiet::Others;
use crate::carrier::TIMED;
use crate::clock;
use crate::cpu::{cpu_time, tree};
use crate::on_mysql::OnMySql;

/// One in so many orders is carried before the clock runs, so that connections stand and code is warm.
const WARM_UP: u64 = 10;

/// Where all peers run.
pub(crate) struct Rig {
    pub(super) store: OnMySql,
    pub(super) forebay: PathBuf,
    /// Where the programs lie that are not this one's.
    pub(super) peers: Option<PathBuf>,
    pub(super) connections: usize,
    pub(super) workers: usize,
}

/// What a turn brought and cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) elapsed: Duration,
    /// CPU time of whoever inserts, of the queue's Redis, and of `MariaDB`.
    pub(super) workers: Duration,
    pub(super) redis: Duration,
    pub(super) database: Duration,
    /// Cores that processes which are not ours used meanwhile.
    pub(super) others: f64,
}

/// All turns of a peer, a round each.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: Name,
    pub(super) orders: u64,
    pub(super) turns: Vec<Turn>,
}

impl Row {
    pub(super) fn new(name: Name, orders: u64) -> Self {
        Self { name, orders, turns: Vec::new() }
    }
}

impl Rig {
    /// Starts the database.
    pub(crate) async fn start(
        forebay: &Path,
        peers: Option<&Path>,
        connections: usize,
        workers: usize,
    ) -> anyhow::Result<Self> {
        let store = OnMySql::start(forebay, &TIMED).await?;
        let peers = peers.map(std::path::absolute).transpose()?;
        Ok(Self { store, forebay: forebay.to_owned(), peers, connections, workers })
    }

    /// Lets a peer carry so many orders, and says what that cost and what was found in the tables after it.
    pub(crate) async fn turn(
        &self,
        name: Name,
        orders: u64,
    ) -> anyhow::Result<(Turn, Vec<Finding>)> {
        self.store.anew(&self.forebay).await?;
        let mut peer = Peer::start(name, self).await?;
        self.carried(&mut peer, &Sale::new(1, "warm", orders / WARM_UP)).await?;
        let sale = Sale::new(2, "life", orders);
        let turn = self.carried(&mut peer, &sale).await?;
        peer.end().await?;
        Ok((turn, job::check(&self.store, &sale).await?))
    }

    async fn carried(&self, peer: &mut Peer, sale: &Sale) -> anyhow::Result<Turn> {
        let mut stock = StockRow::of(&self.store, sale).await?;
        peer.fill(sale, &mut stock).await?;
        let servers = peer.servers();
        let others = Others::since_now(tree(std::process::id())?)?;
        let (from, before) = (clock::now(), self.used(&servers)?);
        peer.carry().await?;
        peer.carried(&mut stock).await?;
        let (after, elapsed) = (self.used(&servers)?, clock::now() - from);
        let others = others.cores()?;
        stock.close().await?;
        let [workers, redis, database] =
            [0, 1, 2].map(|part: usize| after[part].saturating_sub(before[part]));
        Ok(Turn { elapsed, workers, redis, database, others })
    }

    /// CPU time of workers, Redis and database so far.
    fn used(&self, servers: &Servers) -> anyhow::Result<[Duration; 3]> {
        let database = cpu_time(&[self.store.server.pid()])?;
        Ok([cpu_time(&servers.workers)?, cpu_time(&servers.redis)?, database])
    }

    /// What the database says it is.
    pub(super) async fn database(&self) -> anyhow::Result<String> {
        let versions: Vec<String> = self.store.server.ask(None, "SELECT VERSION()").await?;
        versions.into_iter().next().context("the database does not say its version")
    }

    /// Ends the database.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.store.server.kill().await
    }
}
