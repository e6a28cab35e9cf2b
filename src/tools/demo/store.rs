//! Where the demo's orders end: simulated stores in directories of its own, or three tables in a database of the user's,
//! made for it and taken away after it.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::ensure;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use rusqlite::Connection;
use rusqlite::OpenFlags;
use tokio::task::spawn_blocking;

use crate::store::mysql;
use crate::store::mysql::Address;
use crate::store::mysql::Config;

/// The variables by which a child of the demo learns of the database: an argument would show its password.
pub(super) const KIND: &str = "FOREBAY_STORE__KIND";
/// Its URL.
pub const DATABASE_VARIABLE: &str = "FOREBAY_STORE__MYSQL__URL";

const ORDERS: &str = "SELECT count(*) FROM forebay_orders WHERE line = 1 AND state = 'placed'";

/// Three tables in a database, which the demo has made.
#[derive(Clone, Debug)]
pub struct Tables {
    config: Config,
    /// As the server says it.
    pub version: String,
}

impl Tables {
    /// Whether a URL names a database.
    ///
    /// # Errors
    /// A sentence that says what to write.
    pub fn named(url: &str) -> Result<(), mysql::BadAddress> {
        Address::parse(url).map(drop)
    }

    /// Makes them.
    ///
    /// # Errors
    /// When the server cannot be reached, or one of them is there: the demo takes nothing away that it has not made.
    pub async fn make(url: &str) -> anyhow::Result<Self> {
        let address = Address::parse(url).context("--mysql")?;
        let config = Config { url: url.to_owned(), ..Config::default() };
        let mut conn = Conn::from_url(url).await.with_context(|| format!("MySQL at {address}"))?;
        let there = "SELECT table_name FROM information_schema.tables
                     WHERE table_schema = DATABASE() AND table_name LIKE 'forebay\\_%'";
        let there: Vec<String> = conn.query(there).await?;
        ensure!(
            there.is_empty(),
            "the demo makes tables and takes them away again, and `{}` has {} already: name an empty database",
            address.database,
            there.join(", ")
        );
        let version = conn.query_first("SELECT VERSION()").await?.context("no version")?;
        conn.disconnect().await?;
        mysql::migrate(&config).await?;
        Ok(Self { config, version })
    }

    /// Empties them: each way begins with nothing.
    pub(super) async fn empty(&self) -> anyhow::Result<()> {
        self.tell("TRUNCATE TABLE").await
    }

    /// Takes them away.
    ///
    /// # Errors
    /// What the server says.
    pub async fn take_away(&self) -> anyhow::Result<()> {
        self.tell("DROP TABLE IF EXISTS").await
    }

    async fn tell(&self, what: &str) -> anyhow::Result<()> {
        let mut conn = Conn::from_url(&self.config.url).await?;
        for (table, _) in mysql::TABLES {
            conn.query_drop(format!("{what} {table}")).await?;
        }
        Ok(conn.disconnect().await?)
    }
}

/// Where one way's orders end.
#[derive(Clone, Debug)]
pub(super) enum StoreAt {
    /// The directory of a simulated store.
    Directory(PathBuf),
    /// A database.
    Tables(Tables),
}

impl StoreAt {
    /// What a child must be told of it.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Directory(_) => Vec::new(),
            Self::Tables(Tables { config, .. }) => {
                vec![(KIND, "mysql".to_owned()), (DATABASE_VARIABLE, config.url.clone())]
            }
        }
    }
}

/// The store's orders, counted by somebody who is neither the shop nor the gateway.
pub(super) enum StoreView {
    File(Connection),
    Server(Box<Conn>),
}

impl StoreView {
    pub(super) async fn open(at: &StoreAt) -> anyhow::Result<Self> {
        match at {
            StoreAt::Directory(directory) => Self::file(directory),
            StoreAt::Tables(tables) => {
                Ok(Self::Server(Box::new(Conn::from_url(&tables.config.url).await?)))
            }
        }
    }

    fn file(directory: &Path) -> anyhow::Result<Self> {
        let file = directory.join("store.sqlite");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags)
            .with_context(|| format!("{}", file.display()))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Self::File(connection))
    }

    /// Counted on another thread, or by the server: the buyers' times must not wait for it.
    pub(super) async fn orders(self) -> anyhow::Result<(Self, u64)> {
        match self {
            Self::File(connection) => {
                let counted = spawn_blocking(move || {
                    let orders: i64 = connection.query_row(ORDERS, [], |row| row.get(0))?;
                    anyhow::Ok((Self::File(connection), orders.unsigned_abs()))
                });
                counted.await?
            }
            Self::Server(mut conn) => {
                let orders = conn.query_first(ORDERS).await?.context("a count")?;
                Ok((Self::Server(conn), orders))
            }
        }
    }
}
