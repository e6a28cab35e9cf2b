//! Side by side: Forebay, what a shop would put in its place, and the floors under them, on the same job.
//!
//! Every peer must do the job right before it is timed. Then all of them take turns, round after round, so that
//! what disturbs a shared machine falls on all alike, and each figure stands beside bare hyper's of the same round.

pub(crate) mod drain;
mod install;
mod job;
mod lane;
mod machine;
mod peer;
mod proxy;
mod quiet;
mod rounds;
mod shop;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};

pub(crate) use self::job::check;
pub(crate) use self::lane::Lane;
pub(crate) use self::peer::{Peer, Rig};

use crate::output;
use crate::prove::Scale;

/// What is measured, how long, and on which binary.
#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// `small` takes seconds and says nothing about speed; `full` is the figure that counts
    #[arg(long, value_enum, default_value_t = Scale::Small)]
    scale: Scale,
    /// Only these peers; bare hyper always runs, since all else is a multiple of it
    #[arg(long, value_enum, num_args = 1..)]
    only: Vec<Name>,
    /// The gateway's binary
    #[arg(long)]
    forebay: PathBuf,
    /// Where the Node peers and their lock file lie; their packages are installed there
    #[arg(long, default_value = "loadtest/bench/peers/fastify")]
    fastify: PathBuf,
    /// Processes (HAProxy: threads) of each peer that can have several. On a few shared cores one is cheapest an order
    #[arg(long, default_value_t = 1, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64))]
    workers: usize,
    /// The result as one JSON document
    #[arg(long)]
    json: bool,
}

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// hyper that answers 202 to everything
    Bare,
    /// An epoll loop by hand that decides in memory
    Floor,
    /// Forebay with the ledger on disk
    Forebay,
    /// Forebay with the ledger in Redis
    ForebayRedis,
    /// Refusals by nginx `limit_req`
    NginxLimitReq,
    /// Refusals by HAProxy with a stick table
    Haproxy,
    /// nginx with Lua and Redis
    NginxLua,
    /// Node with Fastify and ioredis
    FastifyIoredis,
    /// Node with Fastify and BullMQ
    FastifyBullmq,
}

impl Name {
    /// All, in the order of the table.
    const ALL: [Self; 9] = [
        Self::Bare,
        Self::Floor,
        Self::Forebay,
        Self::ForebayRedis,
        Self::NginxLimitReq,
        Self::Haproxy,
        Self::NginxLua,
        Self::FastifyIoredis,
        Self::FastifyBullmq,
    ];

    /// Those that run on what the tests need anyway.
    pub(crate) const AT_HAND: [Self; 6] = [
        Self::Bare,
        Self::Floor,
        Self::Forebay,
        Self::ForebayRedis,
        Self::NginxLimitReq,
        Self::Haproxy,
    ];

    fn on_redis(self) -> bool {
        let ours = self == Self::ForebayRedis;
        ours || matches!(self, Self::NginxLua | Self::FastifyIoredis | Self::FastifyBullmq)
    }
}

/// Installs what is missing, starts the peers, checks them, times them, prints.
pub async fn bench(bench: &Bench) -> anyhow::Result<()> {
    let chosen =
        |name: &Name| *name == Name::Bare || bench.only.is_empty() || bench.only.contains(name);
    let names: Vec<Name> = Name::ALL.into_iter().filter(chosen).collect();
    install::taking(&names, &bench.fastify).await?;
    let forebay = std::path::absolute(&bench.forebay)?;
    let rig = Rig::new(&forebay, Some(&bench.fastify), bench.workers).await?;
    let mut peers = Vec::new();
    for name in names {
        peers.push(rig.start(name, false).await?);
        if name.on_redis() && bench.scale == Scale::Full {
            peers.push(rig.start(name, true).await?);
        }
    }
    for peer in &peers {
        does_its_job(peer).await?;
    }
    let plan = rounds::Plan::of(bench.scale);
    let rows = rounds::run(&peers, &plan).await?;
    let table = table::Table::new(&peers, &plan, &rows, &version(&forebay).await?)?;
    for peer in peers {
        peer.end().await?;
    }
    match bench.json {
        true => output::line(table.json()),
        false => table.print(),
    }
    Ok(())
}

async fn does_its_job(peer: &Peer) -> anyhow::Result<()> {
    let findings = check(peer).await?;
    let broken: Vec<&str> =
        findings.iter().filter(|finding| !finding.holds).map(|found| found.what.as_str()).collect();
    ensure!(!findings.is_empty(), "{}: nothing was checked", peer.label());
    if !broken.is_empty() {
        bail!("{} does not do the job, and is not timed: {}", peer.label(), broken.join("; "));
    }
    output::note(format_args!("{}: does the job ({} checks)", peer.label(), findings.len()));
    Ok(())
}

/// What the gateway says it is.
async fn version(forebay: &Path) -> anyhow::Result<String> {
    peer::first_line(forebay, &["--version"]).await
}
