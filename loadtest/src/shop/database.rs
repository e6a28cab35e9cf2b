//! What the shop has decided, a row a ticket, and what is left of its items. One connection: each call is one
//! transaction, and none can come between.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

const TABLES: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY,
    ticket TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('placed', 'refused', 'void')),
    reason TEXT,
    sale TEXT NOT NULL,
    buyer TEXT NOT NULL,
    units INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS stock (
    sku TEXT PRIMARY KEY,
    available INTEGER NOT NULL CHECK (available >= 0)
);";

/// An order as it is posted. What else is in it is kept with it and not looked at.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Order {
    pub(super) ticket: String,
    sale: String,
    buyer: String,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, Deserialize)]
struct Line {
    sku: String,
    quantity: u32,
}

/// A ticket that was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The ticket.
    pub ticket: String,
    /// `placed`, `refused` or `void`.
    pub state: String,
    /// The shop's number of a placed order.
    pub order_no: String,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Who ordered.
    pub buyer: String,
    /// Units of all lines.
    pub units: u64,
}

/// What is left of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StockLeft {
    /// The item.
    pub sku: String,
    /// Units.
    pub available: u64,
}

#[derive(Debug)]
pub(super) struct Database(Mutex<Connection>);

impl Database {
    /// Opens it; items that are there keep what is left of them.
    pub(super) fn open(directory: &Path, stock: &[(String, u64)]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let connection = Connection::open(directory.join("shop.sqlite"))?;
        connection.execute_batch(TABLES)?;
        for (sku, units) in stock {
            let insert = "INSERT INTO stock VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            connection.execute(insert, params![sku, units.cast_signed()])?;
        }
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides an order, or says how it was decided. The flag: these are not the bytes that came first.
    pub(super) fn place(&self, order: &Order, body: &[u8]) -> anyhow::Result<(Row, bool)> {
        let mut connection = self.connection();
        let mut work = connection.transaction()?;
        if let Some((row, first)) = found(&work, &order.ticket)? {
            return Ok((row, first != body && !first.is_empty()));
        }
        let refusal = take(&mut work, &order.lines)?;
        let state = if refusal.is_some() { "refused" } else { "placed" };
        insert(&work, order, state, refusal, body)?;
        let row = found(&work, &order.ticket)?;
        work.commit()?;
        row.map(|(row, _)| (row, false)).ok_or_else(|| anyhow::anyhow!("the row is gone"))
    }

    /// Makes sure that a ticket that was not placed never will be.
    pub(super) fn void(&self, order: &Order) -> anyhow::Result<Row> {
        let mut connection = self.connection();
        let work = connection.transaction()?;
        if found(&work, &order.ticket)?.is_none() {
            insert(&work, order, "void", Some("voided"), b"")?;
        }
        let row = found(&work, &order.ticket)?;
        work.commit()?;
        row.map(|(row, _)| row).ok_or_else(|| anyhow::anyhow!("the row is gone"))
    }

    /// How a ticket was decided.
    pub(super) fn find(&self, ticket: &str) -> anyhow::Result<Option<Row>> {
        let mut connection = self.connection();
        Ok(found(&connection.transaction()?, ticket)?.map(|(row, _)| row))
    }

    pub(super) fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let connection = self.connection();
        let mut select = connection.prepare(&format!("{SELECT} ORDER BY number"))?;
        let rows = select.query_map([], |row| Ok(read(row)?.0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn stock(&self) -> anyhow::Result<Vec<StockLeft>> {
        let connection = self.connection();
        let mut select = connection.prepare("SELECT sku, available FROM stock ORDER BY sku")?;
        let row = |row: &rusqlite::Row<'_>| {
            Ok(StockLeft { sku: row.get(0)?, available: row.get::<_, i64>(1)?.cast_unsigned() })
        };
        let rows = select.query_map([], row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

const SELECT: &str = "SELECT number, ticket, state, reason, buyer, units, body FROM orders";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Row, Vec<u8>)> {
    let read = Row {
        order_no: format!("S-{:06}", row.get::<_, i64>(0)?),
        ticket: row.get(1)?,
        state: row.get(2)?,
        reason: row.get(3)?,
        buyer: row.get(4)?,
        units: row.get::<_, i64>(5)?.cast_unsigned(),
    };
    Ok((read, row.get(6)?))
}

fn found(work: &Transaction<'_>, ticket: &str) -> rusqlite::Result<Option<(Row, Vec<u8>)>> {
    let mut select = work.prepare_cached(&format!("{SELECT} WHERE ticket = ?1"))?;
    select.query_row([ticket], read).optional()
}

fn insert(
    work: &Transaction<'_>,
    order: &Order,
    state: &str,
    reason: Option<&str>,
    body: &[u8],
) -> rusqlite::Result<()> {
    let units: i64 = order.lines.iter().map(|line| i64::from(line.quantity)).sum();
    let units = if state == "placed" { units } else { 0 };
    let row = params![order.ticket, state, reason, order.sale, order.buyer, units, body];
    let mut insert = work.prepare_cached(
        "INSERT INTO orders (ticket, state, reason, sale, buyer, units, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    insert.execute(row).map(drop)
}

/// Takes all lines or none; why none.
fn take(work: &mut Transaction<'_>, lines: &[Line]) -> rusqlite::Result<Option<&'static str>> {
    let all = work.savepoint()?;
    for line in lines {
        let mut take = all.prepare_cached(
            "UPDATE stock SET available = available - ?2 WHERE sku = ?1 AND available >= ?2",
        )?;
        if take.execute(params![line.sku, line.quantity])? == 0 {
            let there = all.prepare("SELECT 1 FROM stock WHERE sku = ?1")?.exists([&line.sku])?;
            // The savepoint is rolled back when it is dropped.
            return Ok(Some(if there { "sold_out_at_shop" } else { "unknown_sku" }));
        }
    }
    all.commit()?;
    Ok(None)
}
