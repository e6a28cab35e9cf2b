//! A real `MariaDB` of our own: an empty data directory, a free port on the loopback, durable settings.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tempfile::TempDir;
use tokio::process::Command;

use crate::gateway::{Process, found, free_address};

/// Connections that it takes: enough for the largest point of the grid.
pub const CONNECTIONS_MAX: u32 = 300;
/// The sale all orders belong to.
pub const SALE_NO: u32 = 1;

/// A disk that others use may take so long to make the empty database.
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// The tables of a shop's store. Names and ids compare bytewise.
const TABLES: [&str; 2] = [
    "CREATE TABLE forebay_orders (
        ticket_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        line TINYINT UNSIGNED NOT NULL,
        sale VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        sale_no INT UNSIGNED NOT NULL,
        order_no VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
        sku VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
        buyer VARCHAR(128) COLLATE utf8mb4_bin NOT NULL,
        quantity INT UNSIGNED CHECK (quantity > 0),
        state ENUM('placed', 'refused', 'void', 'paid', 'expired') NOT NULL,
        reason VARCHAR(255),
        payload VARBINARY(4096),
        epoch INT UNSIGNED NOT NULL,
        sequence BIGINT UNSIGNED NOT NULL,
        attempt INT UNSIGNED NOT NULL,
        accepted_at DATETIME(6) NOT NULL,
        attempted_at DATETIME(6) NOT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        PRIMARY KEY (ticket_id, line)
    ) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4",
    "CREATE TABLE forebay_stock (
        sale_no INT UNSIGNED NOT NULL,
        sku VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        sale VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        initial BIGINT UNSIGNED NOT NULL,
        available BIGINT UNSIGNED NOT NULL,
        PRIMARY KEY (sale_no, sku)
    ) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4",
];

/// A running server. It is killed when it is dropped.
#[derive(Debug)]
pub struct MariaDb {
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl MariaDb {
    /// Makes an empty database and starts a server on it.
    ///
    /// # Errors
    /// When `MariaDB` is not installed, or does not become ready.
    pub async fn start() -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("forebay-mariadb-")?;
        let at = directory.path();
        make(at).await?;
        let address = free_address()?;
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", at.join("data").display()),
            format!("--socket={}", at.join("socket").display()),
            format!("--pid-file={}", at.join("pid").display()),
            format!("--bind-address={}", address.ip()),
            format!("--port={}", address.port()),
            format!("--max-connections={CONNECTIONS_MAX}"),
            "--innodb-flush-log-at-trx-commit=1".to_owned(),
            "--skip-name-resolve".to_owned(),
        ];
        if rustix::process::geteuid().is_root() {
            arguments.push("--user=root".to_owned());
        }
        let process = Process::start(&found("mariadbd")?, &arguments, at, &[])?;
        let ready = |text: &str| text.contains("ready for connections").then_some(());
        process.printed(READY_WITHIN, ready).await?;
        let server = Self { process, address, _directory: directory };
        let mut connection = server.connect().await?;
        connection.query_drop("CREATE DATABASE shop").await?;
        connection.query_drop("USE shop").await?;
        for table in TABLES {
            connection.query_drop(table).await?;
        }
        connection.disconnect().await?;
        Ok(server)
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// A connection, without a database chosen.
    async fn connect(&self) -> Result<Conn, mysql_async::Error> {
        Conn::new(self.options(None)).await
    }

    /// A connection to the shop's tables.
    ///
    /// # Errors
    /// What the server says.
    pub async fn shop(&self) -> Result<Conn, mysql_async::Error> {
        Conn::new(self.options(Some("shop"))).await
    }

    fn options(&self, database: Option<&str>) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname(self.address.ip().to_string())
            .tcp_port(self.address.port())
            // A shop's server is another machine.
            .prefer_socket(false)
            .user(Some("root"))
            .db_name(database)
    }

    /// No order, and so many stock rows with plenty of units.
    ///
    /// # Errors
    /// What the server says.
    pub async fn empty(&self, stock_rows: u32) -> anyhow::Result<()> {
        let mut connection = self.shop().await?;
        connection.query_drop("TRUNCATE TABLE forebay_orders").await?;
        connection.query_drop("TRUNCATE TABLE forebay_stock").await?;
        let rows: Vec<String> = (0..stock_rows)
            .map(|row| format!("({SALE_NO},'{}','sale',1000000000,1000000000)", sku(row)))
            .collect();
        connection
            .query_drop(format!("INSERT INTO forebay_stock VALUES {}", rows.join(",")))
            .await?;
        connection.disconnect().await?;
        Ok(())
    }

    /// Its version, as it says it.
    ///
    /// # Errors
    /// What the server says.
    pub async fn version(&self) -> anyhow::Result<String> {
        let mut connection = self.connect().await?;
        let version = connection.query_first("SELECT VERSION()").await?;
        connection.disconnect().await?;
        version.context("the server does not say its version")
    }

    /// Stops it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.process.stop(STOP_WITHIN).await.map(drop)
    }
}

/// The name of a stock row.
#[must_use]
pub fn sku(row: u32) -> String {
    format!("sku-{row:04}")
}

async fn make(at: &Path) -> anyhow::Result<()> {
    let mut install = Command::new(found("mariadb-install-db")?);
    install
        .arg("--no-defaults")
        .arg(format!("--datadir={}", at.join("data").display()))
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
