//! A `MariaDB` of our own: the real server on a free port, in a directory of its own, ended by its handle.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, OptsBuilder};
use tempfile::TempDir;
use tokio::process::Command;

use crate::gateway::{Process, found, on_free_address};

/// A disk that others use may take so long to make the empty database.
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// A server that runs, or can be started again. It is killed when it is dropped.
///
/// Who names no user is `root` and may do everything. Its settings are durable ones: an acknowledged commit is on disk.
#[derive(Debug)]
pub struct MariaDb {
    process: Process,
    listens: SocketAddr,
    directory: TempDir,
    arguments: Vec<String>,
}

impl MariaDb {
    /// Makes an empty database and starts a server on it; `arguments` are further ones of `mariadbd`.
    ///
    /// # Errors
    /// When `MariaDB` is not installed, refuses an argument, or does not become ready.
    pub async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("forebay-mariadb-")?;
        make(directory.path()).await?;
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let (process, listens) = on_free_address(async |listens| {
            Ok((run(directory.path(), listens, &arguments).await?, listens))
        })
        .await?;
        Ok(Self { process, listens, directory, arguments })
    }

    /// Where it listens; the same for its whole life.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listens
    }

    /// `mysql://root@…/database`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@{}/{database}", self.listens)
    }

    /// Where its data lie.
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

    /// A connection of an administrator.
    ///
    /// # Errors
    /// What the server says.
    pub async fn connect(&self, database: Option<&str>) -> Result<Conn, mysql_async::Error> {
        let options = OptsBuilder::default()
            .ip_or_hostname(self.listens.ip().to_string())
            .tcp_port(self.listens.port())
            // A shop's server is another machine.
            .prefer_socket(false)
            .user(Some("root"))
            .db_name(database);
        Conn::new(options).await
    }

    /// Statements of an administrator, on a connection of its own.
    ///
    /// # Errors
    /// What the server says.
    pub async fn tell(&self, database: Option<&str>, statements: &str) -> anyhow::Result<()> {
        let mut connection = self.connect(database).await?;
        connection.query_drop(statements).await.with_context(|| statements.to_owned())?;
        Ok(connection.disconnect().await?)
    }

    /// The rows that a question of an administrator is answered with.
    ///
    /// # Errors
    /// What the server says.
    pub async fn ask<T: FromRow + Send + 'static>(
        &self,
        database: Option<&str>,
        question: &str,
    ) -> anyhow::Result<Vec<T>> {
        let mut connection = self.connect(database).await?;
        let rows = connection.query(question).await.with_context(|| question.to_owned())?;
        connection.disconnect().await?;
        Ok(rows)
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
    /// When it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.process.stop(STOP_WITHIN).await.map(drop)
    }

    /// Starts the ended server again, on the same port and directory, and waits until it answers.
    ///
    /// # Errors
    /// When it runs still, or does not become ready.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(!self.process.is_running()?, "the server runs still");
        self.process = run(self.directory.path(), self.listens, &self.arguments).await?;
        Ok(())
    }

    /// The same with other further arguments, as an administrator changes them.
    ///
    /// # Errors
    /// As [`Self::start_again`].
    pub async fn start_again_with(&mut self, arguments: &[&str]) -> anyhow::Result<()> {
        self.arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        self.start_again().await
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
}

async fn run(at: &Path, listens: SocketAddr, arguments: &[String]) -> anyhow::Result<Process> {
    let mut all = vec![
        "--no-defaults".to_owned(),
        format!("--datadir={}", at.join("data").display()),
        format!("--socket={}", at.join("socket").display()),
        format!("--pid-file={}", at.join("pid").display()),
        format!("--tmpdir={}", at.display()),
        format!("--bind-address={}", listens.ip()),
        format!("--port={}", listens.port()),
        "--innodb-flush-log-at-trx-commit=1".to_owned(),
        "--skip-name-resolve".to_owned(),
    ];
    if rustix::process::geteuid().is_root() {
        all.push("--user=root".to_owned());
    }
    all.extend_from_slice(arguments);
    let process = Process::start(&binary("mariadbd")?, &all, at, &[])?;
    let ready = |text: &str| text.contains("ready for connections").then_some(());
    process.printed(READY_WITHIN, ready).await?;
    Ok(process)
}

async fn make(at: &Path) -> anyhow::Result<()> {
    let mut install = Command::new(binary("mariadb-install-db")?);
    install
        .arg("--no-defaults")
        .arg(format!("--datadir={}", at.join("data").display()))
        // Two that are made at once must not take each other's temporary tables away.
        .arg(format!("--tmpdir={}", at.display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        .kill_on_drop(true);
    if rustix::process::geteuid().is_root() {
        install.arg("--user=root");
    }
    let done = install.output().await.context("mariadb-install-db cannot be started")?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!("mariadb-install-db failed: {said}{}", String::from_utf8_lossy(&done.stdout));
    }
    Ok(())
}

fn binary(name: &str) -> anyhow::Result<std::path::PathBuf> {
    found(name)
        .context("the package is called mariadb-server (Debian, Ubuntu) or mariadb (elsewhere)")
}
