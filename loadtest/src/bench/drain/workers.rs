//! What a shop would write instead of a drain: programs that work on a queue in Redis, each order a transaction.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use super::Name;
use super::list::{self, Order};
use crate::bench::peer::first_line;
use crate::bench::shop::packages;
use crate::gateway::{Process, found};
use crate::on_mysql::{DATABASE, OnMySql};
use crate::redis::{Options, Redis};

/// Where the programs lie, below the peers' directory.
pub(in crate::bench) const BULLMQ: &str = "bullmq";
pub(in crate::bench) const APALIS: &str = "apalis";

/// A program that was just installed reads much from the disk.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// What is under way when they are asked to end.
const END_WITHIN: Duration = Duration::from_secs(30);

/// How a peer's program is started: to work, and with the file of orders after it to enqueue.
#[derive(Debug, Clone)]
pub(super) struct Program {
    binary: PathBuf,
    work: Vec<String>,
    enqueue: Vec<String>,
}

impl Program {
    /// Scripts for Node.
    pub(super) fn bullmq(peers: &Path) -> anyhow::Result<Self> {
        let script = |name: &str| vec![peers.join(BULLMQ).join(name).display().to_string()];
        let (work, enqueue) = (script("worker.js"), script("enqueue.js"));
        Ok(Self { binary: found("node")?, work, enqueue })
    }

    /// What Cargo has built.
    pub(super) fn apalis(peers: &Path) -> Self {
        let word = |word: &str| vec![word.to_owned()];
        let binary = peers.join(APALIS).join("target/release/forebay-bench-apalis");
        Self { binary, work: word("work"), enqueue: word("enqueue") }
    }
}

/// What a peer's program is made of, if it is not this one or the gateway.
pub(super) async fn versions(name: Name, peers: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(peers) = peers else { return Ok(None) };
    match name {
        Name::Bullmq => {
            let node = first_line(found("node")?, &["--version"]).await?;
            Ok(Some(format!("Node {node}, {}", packages(&peers.join(BULLMQ))?)))
        }
        Name::ApalisRedis => Ok(Some(crates(&peers.join(APALIS).join("Cargo.toml"))?)),
        _ => Ok(None),
    }
}

/// Names and versions of the crates that are held to one version: those that matter for the figures.
fn crates(manifest: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
    let manifest: toml::Table = toml::from_str(&text)?;
    let named = manifest.get("dependencies").and_then(toml::Value::as_table);
    let exact = |(name, of): (&String, &toml::Value)| {
        let version = of.as_str().or_else(|| of.get("version")?.as_str())?;
        Some(format!("{name} {}", version.strip_prefix('=')?))
    };
    let exact: Vec<String> = named.into_iter().flatten().filter_map(exact).collect();
    Ok(exact.join(", "))
}

/// Workers and their Redis.
pub(super) struct Workers {
    program: Program,
    pub(super) redis: Redis,
    pub(super) processes: Vec<Process>,
    environment: Vec<(&'static str, String)>,
    directory: TempDir,
}

impl Workers {
    pub(super) async fn start(
        program: Program,
        store: &OnMySql,
        connections: usize,
        workers: usize,
    ) -> anyhow::Result<Self> {
        let redis = Redis::start(&Options::timed(false)).await?;
        let directory = TempDir::with_prefix("forebay-bench-")?;
        let environment = vec![
            ("NODE_ENV", "production".to_owned()),
            ("REDIS_PORT", redis.address().port().to_string()),
            ("MYSQL_PORT", store.server.address().port().to_string()),
            ("DATABASE", DATABASE.to_owned()),
            ("CONCURRENCY", connections.to_string()),
        ];
        let mut processes = Vec::new();
        for _ in 0..workers {
            processes.push(Process::start(
                &program.binary,
                &program.work,
                directory.path(),
                &environment,
            )?);
        }
        for process in &processes {
            let ready = |text: &str| text.lines().any(|line| line == "ready").then_some(());
            process.printed(READY_WITHIN, ready).await?;
        }
        Ok(Self { program, redis, processes, environment, directory })
    }

    /// Lets all workers stand still, and enqueues the orders meanwhile.
    pub(super) async fn fill(&self, orders: &[Order]) -> anyhow::Result<()> {
        for process in &self.processes {
            process.pause().await?;
        }
        let file = self.directory.path().join("orders.ndjson");
        list::write(orders, &file)?;
        let enqueued = Command::new(&self.program.binary)
            .args(&self.program.enqueue)
            .arg(&file)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| self.program.binary.display().to_string())?;
        let said = String::from_utf8_lossy(&enqueued.stderr);
        ensure!(enqueued.status.success(), "the orders could not be enqueued: {said}");
        Ok(())
    }

    /// Lets them go on.
    pub(super) fn carry(&self) -> anyhow::Result<()> {
        self.processes.iter().try_for_each(Process::resume)
    }

    /// Lets them finish what they are at, and ends them and their Redis.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            let ended = process.stop(END_WITHIN).await?;
            ensure!(ended.success(), "a worker ended with {ended}:\n{}", process.text().await);
        }
        self.redis.kill().await
    }
}
