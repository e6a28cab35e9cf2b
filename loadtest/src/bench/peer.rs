//! A running peer: what it is, where it answers, which processes do the work, and what stands in its queue.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::process::Command;

use super::lane::{CHECK, SALES, SKU};
use super::proxy::{self, Proxy};
use super::shop::{self, Shop};
use super::{Lane, Name};
use crate::drive::{Arrivals, Drive};
use crate::form::{Crowd, OrderForm};
use crate::lap::{Runner, Servers};
use crate::on_redis::OnRedis;
use crate::plant::Plant;
use crate::target::Target;
use crate::wire::lean::LeanWire;
use crate::wire::{Answer, Wire};
use crate::yardstick::Yardstick;

/// The rate at which the simulated store is fed meanwhile: the queue only grows.
const DRAIN_RATE: &str = "1/s";
/// How long an answer may take before the peer counts as broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// What peers are started from.
#[derive(Debug)]
pub(crate) struct Rig {
    forebay: PathBuf,
    fastify: Option<PathBuf>,
    /// Processes of each server that can have several.
    workers: usize,
    /// How long Forebay's answer is: bare hyper and the floor answer with as much.
    body_bytes: usize,
}

impl Rig {
    /// Asks one order of a gateway to see how long its answer is.
    pub(crate) async fn new(
        forebay: &Path,
        fastify: Option<&Path>,
        workers: usize,
    ) -> anyhow::Result<Self> {
        let mut plant = Plant::start(forebay, DRAIN_RATE).await?;
        plant.admin.create_sale("sample", SKU, 1, Some(1)).await?;
        plant.phase("sample", "open").await?;
        let form = OrderForm::new("sample", SKU, Crowd::new("sample", 1));
        let mut wire = LeanWire::connect(&plant.public, &form).await?;
        ensure!(wire.exchange(0).await.is_ok(), "an order gets no answer");
        let Answer { status, body, .. } = wire.answer();
        ensure!(status == 202, "an order is answered {status}");
        let body_bytes = body.len();
        plant.process.kill().await?;
        let fastify = fastify.map(std::path::absolute).transpose()?;
        Ok(Self { forebay: forebay.to_owned(), fastify, workers, body_bytes })
    }

    /// Starts a peer with the sales of the bench; `aof`: with Redis writing its log, one fsync a second.
    pub(crate) async fn start(&self, name: Name, aof: bool) -> anyhow::Result<Peer> {
        let part = match name {
            Name::Bare => Part::Own(Yardstick::bare(self.body_bytes).await?),
            Name::Floor => Part::Own(self.floor().await?),
            Name::Forebay => Part::Forebay(Box::new(self.gateway().await?)),
            Name::ForebayRedis => {
                let both = OnRedis::start(&self.forebay, DRAIN_RATE, aof).await?;
                open(&both.plant).await?;
                Part::ForebayRedis(Box::new(both), [shop::redis_version().await?])
            }
            Name::NginxLimitReq => {
                Part::Proxy(Proxy::start(proxy::Kind::Nginx, self.workers).await?)
            }
            Name::Haproxy => Part::Proxy(Proxy::start(proxy::Kind::Haproxy, self.workers).await?),
            Name::NginxLua => Part::Shop(Box::new(Shop::start(aof, self.workers).await?)),
            Name::FastifyIoredis | Name::FastifyBullmq => {
                let kind = match name {
                    Name::FastifyBullmq => shop::Kind::Bullmq,
                    _ => shop::Kind::Ioredis,
                };
                let directory = self.fastify.as_deref().context("the Node peers lie nowhere")?;
                Part::Shop(Box::new(Shop::start_node(kind, aof, self.workers, directory).await?))
            }
        };
        let servers = match &part {
            Part::Own(yardstick) => Servers::of(yardstick.process.pid(), None)?,
            Part::Forebay(plant) => Servers::of(plant.process.pid(), None)?,
            Part::ForebayRedis(both, _) => both.servers()?,
            Part::Proxy(proxy) => Servers::of(proxy.process.pid(), None)?,
            Part::Shop(shop) => Servers::of(shop.gateway.pid(), Some(shop.redis.pid()))?,
        };
        Ok(Peer { name, aof, part, servers })
    }

    async fn floor(&self) -> anyhow::Result<Yardstick> {
        let bytes = self.body_bytes.to_string();
        let sales = SALES.map(|(sale, stock)| format!("{sale}={stock}"));
        let mut arguments = vec!["floor", "--body-bytes", &bytes];
        for sale in &sales {
            arguments.extend(["--sale", sale]);
        }
        Yardstick::start(&arguments).await
    }

    /// Default settings, but for a queue that nothing overflows and a drain that stands nearly still.
    async fn gateway(&self) -> anyhow::Result<Plant> {
        let plant = Plant::start(&self.forebay, DRAIN_RATE).await?;
        open(&plant).await?;
        Ok(plant)
    }
}

/// Makes the sales of the bench.
async fn open(plant: &Plant) -> anyhow::Result<()> {
    for (sale, stock) in SALES {
        plant.admin.create_sale(sale, SKU, stock, Some(1)).await?;
        plant.phase(sale, "open").await?;
    }
    Ok(())
}

enum Part {
    Own(Yardstick),
    Forebay(Box<Plant>),
    /// With the version of its Redis.
    ForebayRedis(Box<OnRedis>, [String; 1]),
    Proxy(Proxy),
    Shop(Box<Shop>),
}

/// A running peer.
pub(crate) struct Peer {
    pub(super) name: Name,
    aof: bool,
    part: Part,
    servers: Servers,
}

impl Peer {
    /// What it is called in the table.
    pub(crate) fn label(&self) -> String {
        let label = match self.name {
            Name::Bare => "bare hyper",
            Name::Floor => "epoll floor, in memory",
            Name::Forebay => "Forebay, embedded, on disk",
            Name::ForebayRedis => "Forebay, Redis",
            Name::NginxLimitReq => "nginx limit_req",
            Name::Haproxy => "HAProxy stick table",
            Name::NginxLua => "nginx + Lua + Redis",
            Name::FastifyIoredis => "Fastify + ioredis",
            Name::FastifyBullmq => "Fastify + BullMQ",
        };
        if self.aof { format!("{label}, AOF") } else { label.to_owned() }
    }

    /// Whether it decides anything, or answers the same to everybody.
    pub(super) fn decides(&self) -> bool {
        self.name != Name::Bare
    }

    /// The versions of what it is made of.
    pub(super) fn versions(&self) -> &[String] {
        match &self.part {
            Part::Own(_) | Part::Forebay(_) => &[],
            Part::ForebayRedis(_, versions) => versions,
            Part::Proxy(proxy) => &proxy.versions,
            Part::Shop(shop) => &shop.versions,
        }
    }

    /// What is timed at it.
    pub(crate) fn lanes(&self) -> &'static [Lane] {
        match self.name {
            Name::Bare => &[Lane::Accepted],
            // Refusals write nothing, so a log changes nothing about them.
            _ if self.aof => &[Lane::Accepted],
            Name::Forebay | Name::ForebayRedis => {
                &[Lane::Accepted, Lane::SoldOut, Lane::RateLimited]
            }
            Name::NginxLimitReq | Name::Haproxy => &[Lane::RateLimited],
            _ => &[Lane::Accepted, Lane::SoldOut],
        }
    }

    /// The side of a race for one lane.
    pub(crate) fn runner(&self, lane: Lane, connections: usize, crowd: &str) -> Runner {
        let form = lane.form(crowd);
        Runner::new(self.drive(&form, connections), self.servers.clone(), lane.expected())
    }

    /// A drive at this peer, as fast as answers come.
    pub(super) fn drive(&self, form: &OrderForm, connections: usize) -> Drive {
        let target: &Target = match &self.part {
            Part::Own(yardstick) => &yardstick.public,
            Part::Forebay(plant) => &plant.public,
            Part::ForebayRedis(both, _) => &both.plant.public,
            Part::Proxy(proxy) => &proxy.public,
            Part::Shop(shop) => &shop.public,
        };
        Drive {
            target: target.clone(),
            form: form.clone(),
            connections,
            arrivals: Arrivals::WhenFree,
            patience: PATIENCE,
            late_after: Duration::from_millis(10),
        }
    }

    /// Ends its processes and waits until they are gone.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        match self.part {
            Part::Own(mut yardstick) => yardstick.process.kill().await,
            Part::Forebay(mut plant) => plant.process.kill().await,
            Part::ForebayRedis(mut both, _) => both.kill().await,
            Part::Proxy(mut proxy) => proxy.process.kill().await,
            Part::Shop(mut shop) => {
                shop.gateway.kill().await?;
                shop.redis.kill().await
            }
        }
    }

    /// How many orders of the sale `check` wait in its queue; `None` when it has no queue.
    pub(super) async fn queued(&self) -> anyhow::Result<Option<u64>> {
        Ok(match &self.part {
            Part::Own(_) | Part::Proxy(_) => None,
            Part::Forebay(plant) => Some(plant.admin.census(CHECK).await?.accepted),
            Part::ForebayRedis(both, _) => Some(both.plant.admin.census(CHECK).await?.accepted),
            Part::Shop(shop) => Some(shop.queued(CHECK).await?),
        })
    }

    /// Waits until it knows that the sale `check` is sold out, where that takes a moment.
    pub(super) async fn knows_sold_out(&self) -> anyhow::Result<()> {
        match &self.part {
            Part::Forebay(plant) => plant.phase(CHECK, "sold_out").await,
            Part::ForebayRedis(both, _) => both.plant.phase(CHECK, "sold_out").await,
            _ => Ok(()),
        }
    }
}

/// The first line that a program prints, on whichever stream.
pub(super) async fn first_line(
    program: impl AsRef<OsStr>,
    arguments: &[&str],
) -> anyhow::Result<String> {
    let program = program.as_ref();
    let ran = Command::new(program).args(arguments).output().await;
    let ran = ran.with_context(|| format!("{} cannot be started", program.display()))?;
    let text = [ran.stdout, ran.stderr].concat();
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned())
}
