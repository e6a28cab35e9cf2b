//! What a shop would build instead: a server that runs one script in Redis for each order.

use std::path::Path;

use anyhow::Context;
use tempfile::TempDir;

use super::lane::SALES;
use super::peer::first_line;
use super::proxy::{LISTENS_WITHIN, directory, nginx, write};
use crate::gateway::{Process, found, free_address};
use crate::redis::{Options, Redis};
use crate::target::Target;

const NGINX: &str = include_str!("../../bench/peers/nginx-lua/nginx.conf");
const ORDER: &str = include_str!("../../bench/peers/nginx-lua/order.lua");
const TAKE: &str = include_str!("../../bench/peers/take.lua");
/// Where Debian puts nginx's modules.
const MODULES: &str = "/usr/lib/nginx/modules";
/// The field of a sale's book that holds the units left.
const STOCK: &str = "\nstock";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    NginxLua,
    Ioredis,
    Bullmq,
}

/// A Redis as the peers get it: loopback TCP as to a host of its own, and the stock of the sales.
async fn redis(aof: bool) -> anyhow::Result<Redis> {
    let redis = Redis::start(&Options::timed(aof)).await?;
    for (sale, stock) in SALES {
        redis.ask(&["HSET", &format!("{{{sale}}}:book"), STOCK, &stock.to_string()]).await?;
    }
    Ok(redis)
}

/// Which Redis it is.
pub(super) async fn redis_version() -> anyhow::Result<String> {
    let said = first_line(found("redis-server")?, &["--version"]).await?;
    Ok(said.split(" sha=").next().unwrap_or_default().to_owned())
}

/// A running shop: the server that buyers ask, and its Redis.
#[derive(Debug)]
pub(super) struct Shop {
    kind: Kind,
    pub(super) gateway: Process,
    pub(super) redis: Redis,
    pub(super) public: Target,
    pub(super) versions: Vec<String>,
    _directory: TempDir,
}

impl Shop {
    /// nginx with Lua.
    pub(super) async fn start(aof: bool, workers: usize) -> anyhow::Result<Self> {
        let redis = redis(aof).await?;
        let (directory, listens) = (directory()?, free_address()?);
        let values = [
            ("@REDIS@", redis.address().port().to_string()),
            ("@MODULES@", MODULES.to_owned()),
            ("@WORKERS@", workers.to_string()),
        ];
        write(&directory, "nginx.conf", NGINX, listens, &values)?;
        std::fs::write(directory.path().join("order.lua"), ORDER)?;
        std::fs::write(directory.path().join("take.lua"), TAKE)?;
        let gateway = nginx(&directory)?;
        let version = first_line(found("nginx")?, &["-v"]).await?;
        Self {
            kind: Kind::NginxLua,
            gateway,
            redis,
            public: listens.into(),
            versions: vec![version],
            _directory: directory,
        }
        .ready()
        .await
    }

    /// Node with Fastify, from the directory in which its packages are installed.
    pub(super) async fn start_node(
        kind: Kind,
        aof: bool,
        workers: usize,
        from: &Path,
    ) -> anyhow::Result<Self> {
        let redis = redis(aof).await?;
        let (directory, listens) = (directory()?, free_address()?);
        let queue = if kind == Kind::Bullmq { "bullmq" } else { "stream" };
        let environment = [
            ("NODE_ENV", "production".to_owned()),
            ("HOST", listens.ip().to_string()),
            ("PORT", listens.port().to_string()),
            ("REDIS_PORT", redis.address().port().to_string()),
            ("QUEUE", queue.to_owned()),
            ("WORKERS", workers.to_string()),
        ];
        let node = found("node")?;
        let server = from.join("server.js");
        let gateway = Process::start(&node, &[&server], directory.path(), &environment)?;
        let version = format!("Node {}", first_line(&node, &["--version"]).await?);
        let versions = vec![version, packages(from)?];
        Self { kind, gateway, redis, public: listens.into(), versions, _directory: directory }
            .ready()
            .await
    }

    async fn ready(mut self) -> anyhow::Result<Self> {
        self.gateway.listens(self.public.address, LISTENS_WITHIN).await?;
        self.versions.push(redis_version().await?);
        Ok(self)
    }

    /// Orders of a sale that wait.
    pub(super) async fn queued(&self, sale: &str) -> anyhow::Result<u64> {
        let counted = match self.kind {
            Kind::NginxLua | Kind::Ioredis => {
                self.redis.ask(&["XLEN", &format!("{{{sale}}}:queue")]).await?
            }
            Kind::Bullmq => self.redis.ask(&["LLEN", &format!("bull:{sale}:wait")]).await?,
        };
        let length = counted.number().and_then(|length| u64::try_from(length).ok());
        length.with_context(|| format!("the queue's length reads {counted}"))
    }
}

/// Names and versions of what Node peers depend on.
pub(super) fn packages(from: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(from.join("package.json"))?;
    let package: serde_json::Value = serde_json::from_str(&text)?;
    let named = package.get("dependencies").and_then(|found| found.as_object());
    let named = named.context("package.json names no dependencies")?;
    let each = named
        .iter()
        .map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or_default()));
    Ok(each.collect::<Vec<_>>().join(", "))
}
