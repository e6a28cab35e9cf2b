//! The rows of the store, read where they lie. The store is a witness of its own: it is asked without the gateway.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use mysql_async::prelude::Queryable;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

/// How long a transaction of the gateway's is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// One line of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRow {
    /// Whose order.
    pub ticket: String,
    /// From 1.
    pub line: i64,
    /// The item; none in void and refused rows.
    pub sku: Option<String>,
    /// The buyer.
    pub buyer: Option<String>,
    /// Units.
    pub quantity: Option<i64>,
    /// `placed`, `refused`, `void`, `paid` or `expired`.
    pub state: String,
}

impl StoreRow {
    /// Whether the row takes units out of the stock.
    pub fn sells(&self) -> bool {
        matches!(self.state.as_str(), "placed" | "paid")
    }
}

/// The store's own last gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStock {
    /// The item.
    pub sku: String,
    /// Units the store was told of.
    pub initial: i64,
    /// Units it has left.
    pub available: i64,
}

/// What the store holds of one sale.
#[derive(Debug, Clone, Default)]
pub struct StoreBook {
    /// Order lines.
    pub rows: Vec<StoreRow>,
    /// Stock by item.
    pub stock: Vec<StoreStock>,
}

/// Where a store lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAt {
    /// The directory of a simulated store.
    Directory(PathBuf),
    /// The database of a MySQL store: `mysql://user[:password]@host[:port]/database`.
    MySql(String),
}

impl FromStr for StoreAt {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let url = text.starts_with("mysql://");
        Ok(if url { Self::MySql(text.to_owned()) } else { Self::Directory(text.into()) })
    }
}

impl StoreAt {
    /// What it holds of a sale.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&self, sale: &str) -> anyhow::Result<StoreBook> {
        match self {
            Self::Directory(directory) => read_store(directory, sale),
            // The URL may hold a password.
            Self::MySql(url) => {
                read_mysql(url, sale).await.context("the store's database cannot be read")
            }
        }
    }

    /// Runs a statement, as somebody does who is no gateway; answers how many rows it changed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn change(&self, statement: &str) -> anyhow::Result<u64> {
        match self {
            Self::Directory(directory) => {
                let store = Connection::open(directory.join("store.sqlite"))?;
                store.busy_timeout(PATIENCE)?;
                Ok(store.execute(statement, [])? as u64)
            }
            Self::MySql(url) => {
                let mut connection = mysql_async::Conn::from_url(url).await?;
                connection.query_drop(statement).await?;
                let changed = connection.affected_rows();
                connection.disconnect().await?;
                Ok(changed)
            }
        }
    }
}

async fn read_mysql(url: &str, sale: &str) -> anyhow::Result<StoreBook> {
    let mut connection = mysql_async::Conn::from_url(url).await?;
    let orders =
        "SELECT ticket_id, line, sku, buyer, quantity, state FROM forebay_orders WHERE sale = ?";
    let rows = connection
        .exec_map(orders, (sale,), |(ticket, line, sku, buyer, quantity, state)| StoreRow {
            ticket,
            line,
            sku,
            buyer,
            quantity,
            state,
        })
        .await?;
    let stock = "SELECT sku, initial, available FROM forebay_stock WHERE sale = ?";
    let stock = connection
        .exec_map(stock, (sale,), |(sku, initial, available)| StoreStock {
            sku,
            initial,
            available,
        })
        .await?;
    connection.disconnect().await?;
    Ok(StoreBook { rows, stock })
}

/// Reads a sale out of `store.sqlite` in the store's directory.
pub fn read_store(directory: &Path, sale: &str) -> anyhow::Result<StoreBook> {
    let path = directory.join("store.sqlite");
    let read = || -> rusqlite::Result<StoreBook> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let store = Connection::open_with_flags(&path, flags)?;
        store.busy_timeout(PATIENCE)?;
        // CAST: names may be kept as text or as bytes, and are compared bytewise either way.
        let mut orders = store.prepare(
            "SELECT ticket_id, line, sku, buyer, quantity, state FROM forebay_orders
             WHERE CAST(sale AS TEXT) = ?1",
        )?;
        let rows = orders.query_map([sale], order_row)?.collect::<Result<_, _>>()?;
        let mut stock = store.prepare(
            "SELECT sku, initial, available FROM forebay_stock WHERE CAST(sale AS TEXT) = ?1",
        )?;
        let stock = stock
            .query_map([sale], |row| {
                let sku = text(row, 0)?.unwrap_or_default();
                Ok(StoreStock { sku, initial: row.get(1)?, available: row.get(2)? })
            })?
            .collect::<Result<_, _>>()?;
        Ok(StoreBook { rows, stock })
    };
    read().with_context(|| format!("the store at {} cannot be read", path.display()))
}

fn order_row(row: &Row<'_>) -> rusqlite::Result<StoreRow> {
    Ok(StoreRow {
        ticket: text(row, 0)?.unwrap_or_default(),
        line: row.get(1)?,
        sku: text(row, 2)?,
        buyer: text(row, 3)?,
        quantity: row.get(4)?,
        state: text(row, 5)?.unwrap_or_default(),
    })
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    })
}
