//! A Redis of our own: the real server on a free port, in a directory of its own, ended by its handle.

mod options;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

pub use self::options::{Aof, Options};
use crate::gateway::{Process, found, on_free_address};
use crate::resp::{Client, Value};

/// A server that was just installed, or has much to load, takes its time.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A server that runs, or can be started again. It is killed when it is dropped.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    listens: SocketAddr,
    directory: TempDir,
}

impl Redis {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When `redis-server` is not installed, refuses its settings, or does not become ready.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        on_free_address(async |listens| Self::start_at(listens, options).await).await
    }

    async fn start_at(listens: SocketAddr, options: &Options) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("forebay-redis-")?;
        std::fs::write(directory.path().join("redis.conf"), options.settings(listens))?;
        if let Some(users) = options.acl() {
            std::fs::write(directory.path().join(options::ACL_FILE), users)?;
        }
        let process = run(directory.path())?;
        let redis = Self { process, listens, directory };
        redis.ready().await?;
        Ok(redis)
    }

    /// Where it listens; the same for its whole life.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listens
    }

    /// `redis://…`, for the user that everybody is who names none.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.listens)
    }

    /// Where its settings and its log of writes lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server's process id, to read its CPU time by.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it logged.
    pub async fn log(&self) -> String {
        self.process.text().await
    }

    /// A connection by which everything may be done.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn client(&self) -> anyhow::Result<Client> {
        let mut client = Client::connect(self.listens).await?;
        client.ask(&["AUTH", options::OPERATOR, options::PASSWORD]).await?;
        Ok(client)
    }

    /// One command, on a connection of its own; an error reply is an error.
    ///
    /// # Errors
    /// What the server says, or that it does not answer.
    pub async fn ask(&self, command: &[impl AsRef<[u8]>]) -> anyhow::Result<Value> {
        self.client().await?.ask(command).await
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill().await
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it still runs afterwards.
    pub async fn stop(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.process.stop(within).await
    }

    /// Starts the ended server again, on the same port and directory, and waits until it answers.
    ///
    /// # Errors
    /// When it runs still, or does not become ready.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(!self.process.is_running()?, "the server runs still");
        self.process = run(self.directory.path())?;
        self.ready().await
    }

    /// SIGSTOP, and waits until it stands still: it answers nobody, and its connections stay.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.process.pause().await
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process.resume()
    }

    /// Waits until it has loaded what it keeps and answers.
    async fn ready(&self) -> anyhow::Result<()> {
        let accepts = |text: &str| text.contains("Ready to accept connections").then_some(());
        self.process.printed(READY_WITHIN, accepts).await?;
        let pong = self.ask(&["PING"]).await?.text();
        if pong != "PONG" {
            bail!("PING is answered {pong}");
        }
        Ok(())
    }
}

fn run(directory: &Path) -> anyhow::Result<Process> {
    let binary = found("redis-server")
        .context("the package is called redis-server (Debian, Ubuntu) or redis (elsewhere)")?;
    Process::start(&binary, &["redis.conf"], directory, &[])
}
