//! The tables of DESIGN section 7 in SQLite, and the two of the simulation itself.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::OpenError;

/// The version in `PRAGMA user_version`.
const VERSION: i64 = 1;

/// Times are integer microseconds since 1970. `ticket_id` and names compare bytewise, as SQLite does.
const SCHEMA: &str = "
CREATE TABLE forebay_orders (
    ticket_id TEXT NOT NULL, line INTEGER NOT NULL, sale TEXT NOT NULL, sale_no INTEGER NOT NULL,
    order_no TEXT, sku TEXT, buyer TEXT NOT NULL, quantity INTEGER CHECK (quantity > 0),
    state TEXT NOT NULL CHECK (state IN ('placed', 'refused', 'void', 'paid', 'expired')),
    reason TEXT, payload BLOB CHECK (payload IS NULL OR length(payload) <= 4096),
    epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, attempt INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL, attempted_at INTEGER NOT NULL, created_at INTEGER NOT NULL,
    PRIMARY KEY (ticket_id, line)
) WITHOUT ROWID;
CREATE TABLE forebay_stock (
    sale_no INTEGER NOT NULL, sku TEXT NOT NULL, sale TEXT NOT NULL,
    initial INTEGER NOT NULL CHECK (initial >= 0), available INTEGER NOT NULL CHECK (available >= 0),
    PRIMARY KEY (sale_no, sku)
) WITHOUT ROWID;
CREATE TABLE forebay_stock_ops (
    sale_no INTEGER NOT NULL, operation INTEGER NOT NULL, sku TEXT NOT NULL, delta INTEGER NOT NULL,
    created_at INTEGER NOT NULL, PRIMARY KEY (sale_no, operation)
) WITHOUT ROWID;
CREATE TABLE forebay_simulation (
    id INTEGER PRIMARY KEY CHECK (id = 1), order_no INTEGER NOT NULL, faults TEXT NOT NULL
);
CREATE TABLE forebay_simulation_processes (process INTEGER PRIMARY KEY, seen_at INTEGER NOT NULL);
INSERT INTO forebay_simulation VALUES (1, 0, '{}');
";

/// Columns that another program could have dropped or renamed, by table.
const COLUMNS: [(&str, &str); 3] = [
    (
        "forebay_orders",
        "ticket_id,line,sale,sale_no,order_no,sku,buyer,quantity,state,reason,payload,epoch,sequence,attempt,\
         accepted_at,attempted_at,created_at",
    ),
    ("forebay_stock", "sale_no,sku,sale,initial,available"),
    ("forebay_stock_ops", "sale_no,operation,sku,delta,created_at"),
];

/// Keys without which the store cannot refuse a second row.
const KEYS: [(&str, &str); 3] = [
    ("forebay_orders", "ticket_id,line"),
    ("forebay_stock", "sale_no,sku"),
    ("forebay_stock_ops", "sale_no,operation"),
];

/// Makes the tables, or checks those that are there. `file`: for messages.
pub(super) fn prepare(connection: &mut Connection, file: &Path) -> Result<(), OpenError> {
    let failed = OpenError::sqlite(file);
    connection.busy_timeout(std::time::Duration::from_secs(2)).map_err(&failed)?;
    // A commit survives a power cut, as one of a server with flush_log_at_trx_commit = 1 does.
    let modes =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;";
    connection.execute_batch(modes).map_err(&failed)?;
    let made = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
    let transaction = made.map_err(&failed)?;
    let version: i64 =
        transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&failed)?;
    match version {
        0 => {
            transaction.execute_batch(SCHEMA).map_err(|error| {
                let why =
                    format!("its tables cannot be made ({error}): is it another program's file?");
                OpenError::unusable(file, why)
            })?;
            transaction.pragma_update(None, "user_version", VERSION).map_err(&failed)?;
        }
        VERSION => {}
        newer => return Err(newer_version(newer, file)),
    }
    transaction.commit().map_err(&failed)?;
    check(connection, file)
}

/// Checks tables that are only read.
pub(super) fn inspect(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(OpenError::sqlite(file))?;
    match version {
        VERSION => check(connection, file),
        0 => Err(OpenError::unusable(file, "it has no tables".to_owned())),
        newer => Err(newer_version(newer, file)),
    }
}

fn newer_version(version: i64, file: &Path) -> OpenError {
    let why = format!(
        "it has version {version}, and this Forebay reads up to {VERSION}: use a newer Forebay"
    );
    OpenError::unusable(file, why)
}

fn check(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    let failed = OpenError::sqlite(file);
    let listed = |sql: &str, table: &str| -> Result<String, OpenError> {
        let list = connection.query_row(sql, [table], |row| row.get::<_, Option<String>>(0));
        list.map(Option::unwrap_or_default).map_err(&failed)
    };
    for (table, wanted) in COLUMNS {
        let there = listed("SELECT group_concat(name) FROM pragma_table_info(?1)", table)?;
        let missing: Vec<&str> = wanted
            .split(',')
            .filter(|name| !there.split(',').any(|column| column == *name))
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            let why = format!(
                "table {table} lacks the column {missing}: restore it, or move the file away"
            );
            return Err(OpenError::unusable(file, why));
        }
        // Gross damage shows here, and not only when the first order is placed.
        let one = format!("SELECT 1 FROM {table} LIMIT 1");
        connection.query_row(&one, [], |_| Ok(())).optional().map_err(&failed)?;
    }
    for (table, wanted) in KEYS {
        let sql = "SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk)";
        if listed(sql, table)? != wanted {
            let why = format!(
                "table {table} lacks its PRIMARY KEY ({wanted}), without which an order could be placed twice"
            );
            return Err(OpenError::unusable(file, why));
        }
    }
    let own = "SELECT order_no FROM forebay_simulation WHERE id = 1";
    let number: Option<i64> =
        connection.query_row(own, [], |row| row.get(0)).optional().map_err(&failed)?;
    number.map(drop).ok_or_else(|| {
        let why = "table forebay_simulation lacks its row: restore it, or move the file away";
        OpenError::unusable(file, why.to_owned())
    })
}
