//! A real `MariaDB` with the tables of a shop, to be measured.

use anyhow::Context;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::mariadb::MariaDb;

/// Connections that it takes: enough for the largest point of the grid.
pub const CONNECTIONS_MAX: u32 = 300;
/// The sale all orders belong to.
pub const SALE_NO: u32 = 1;

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

/// A server with the tables. It is killed when it is dropped.
#[derive(Debug)]
pub struct Measured(MariaDb);

impl Measured {
    /// Starts a server and makes the tables.
    ///
    /// # Errors
    /// When `MariaDB` is not installed, or does not become ready.
    pub async fn start() -> anyhow::Result<Self> {
        let server = MariaDb::start(&[&format!("--max-connections={CONNECTIONS_MAX}")]).await?;
        server.tell(None, "CREATE DATABASE shop").await?;
        for table in TABLES {
            server.tell(Some("shop"), table).await?;
        }
        Ok(Self(server))
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// A connection to the shop's tables.
    ///
    /// # Errors
    /// What the server says.
    pub async fn shop(&self) -> Result<Conn, mysql_async::Error> {
        self.0.connect(Some("shop")).await
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
        let versions = self.0.ask::<String>(None, "SELECT VERSION()").await?;
        versions.into_iter().next().context("the server does not say its version")
    }

    /// Stops it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.0.stop().await
    }
}

/// The name of a stock row.
#[must_use]
pub fn sku(row: u32) -> String {
    format!("sku-{row:04}")
}
