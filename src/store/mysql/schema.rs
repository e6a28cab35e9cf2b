//! The tables of DESIGN section 7 in MySQL and MariaDB: their DDL, and whether a server has them as they must be.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::codes;
use super::config::Durability;
use super::rows;
use crate::store::{LaterCause, StoreError};

/// The DDL, one statement a table. Names and ids compare bytewise, whatever the database's default is.
pub const TABLES: [(&str, &str); 3] = [
    (
        "forebay_orders",
        "CREATE TABLE IF NOT EXISTS forebay_orders (
    ticket_id    VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    line         TINYINT UNSIGNED NOT NULL,
    sale         VARCHAR(63)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sale_no      INT UNSIGNED NOT NULL,
    order_no     VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin,
    sku          VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin,
    buyer        VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    quantity     INT UNSIGNED CHECK (quantity > 0),
    state        VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                 CHECK (state IN ('placed', 'refused', 'void', 'paid', 'expired')),
    reason       VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    payload      VARCHAR(4096) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    epoch        INT UNSIGNED NOT NULL,
    sequence     BIGINT UNSIGNED NOT NULL,
    attempt      INT UNSIGNED NOT NULL,
    accepted_at  DATETIME(6) NOT NULL,
    attempted_at DATETIME(6) NOT NULL,
    created_at   DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (ticket_id, line)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4",
    ),
    (
        "forebay_stock",
        "CREATE TABLE IF NOT EXISTS forebay_stock (
    sale_no   INT UNSIGNED NOT NULL,
    sku       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sale      VARCHAR(63) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    initial   BIGINT UNSIGNED NOT NULL,
    available BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (sale_no, sku)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4",
    ),
    (
        "forebay_stock_ops",
        "CREATE TABLE IF NOT EXISTS forebay_stock_ops (
    sale_no    INT UNSIGNED NOT NULL,
    operation  BIGINT UNSIGNED NOT NULL,
    sku        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    delta      BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (sale_no, operation)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4",
    ),
];

/// The key of each table, which is what "once" rests on.
const KEYS: [(&str, &str); 3] = [
    ("forebay_orders", "ticket_id,line"),
    ("forebay_stock", "sale_no,sku"),
    ("forebay_stock_ops", "sale_no,operation"),
];

/// Columns whose text must compare bytewise.
const BYTEWISE: [&str; 4] = ["ticket_id", "sale", "sku", "buyer"];

/// The least `max_allowed_packet`: statements are sent in pieces of half of it.
const PACKET_MIN: u64 = 1 << 20;

/// What to do about tables that are not as they must be.
const MIGRATE: &str =
    "`forebay migrate` prints the tables, `forebay migrate --apply` makes those that are missing";

fn unusable(what: impl AsRef<str>) -> StoreError {
    let reason = format!("{}; {MIGRATE}", what.as_ref());
    StoreError { cause: LaterCause::Misconfigured, reason }
}

/// Makes the tables that are missing, and changes none that is there.
///
/// # Errors
/// What the server says.
pub(super) async fn make(conn: &mut Conn) -> Result<(), StoreError> {
    for (_, ddl) in TABLES {
        conn.query_drop(ddl).await.map_err(|error| codes::failed(&error))?;
    }
    Ok(())
}

/// Looks whether the tables are as they must be; what is doubtful about the server is told.
///
/// # Errors
/// [`LaterCause::Misconfigured`] when no order may be placed there.
pub(super) async fn inspect(
    conn: &mut Conn,
    durability: Durability,
) -> Result<Vec<String>, StoreError> {
    tables(conn).await?;
    columns(conn).await?;
    keys(conn).await?;
    let doubts = durable(conn).await?;
    if durability == Durability::Strict
        && let Some(doubt) = doubts.first()
    {
        let reason = format!("{doubt}, and store.mysql.durability is \"strict\"");
        return Err(StoreError { cause: LaterCause::Misconfigured, reason });
    }
    Ok(doubts)
}

async fn read<T: mysql_async::prelude::FromRow + Send + 'static>(
    conn: &mut Conn,
    question: &str,
) -> Result<Vec<T>, StoreError> {
    let rows: Vec<Row> = conn.query(question).await.map_err(|error| codes::failed(&error))?;
    rows.into_iter().map(rows::typed).collect()
}

/// A table that cannot roll back would keep half an order.
async fn tables(conn: &mut Conn) -> Result<(), StoreError> {
    let found: Vec<(String, Option<String>)> = read(
        conn,
        "SELECT table_name, engine FROM information_schema.tables
         WHERE table_schema = DATABASE() AND table_name LIKE 'forebay\\_%'",
    )
    .await?;
    for (table, _) in TABLES {
        let Some((_, engine)) = found.iter().find(|(name, _)| name == table) else {
            return Err(unusable(format!(
                "there is no table {table} in the database of store.mysql.url, or its user may not use it"
            )));
        };
        let engine = engine.as_deref().unwrap_or("no engine");
        if !engine.eq_ignore_ascii_case("InnoDB") {
            return Err(unusable(format!(
                "table {table} is of engine {engine}, which has no transactions: it must be InnoDB"
            )));
        }
    }
    Ok(())
}

/// A column of a table: its type in words, the length of its text, and its collation.
type Column = (String, String, Option<u64>, Option<String>);

async fn columns(conn: &mut Conn) -> Result<(), StoreError> {
    let found: Vec<Column> = read(
        conn,
        "SELECT table_name, column_name, character_maximum_length, collation_name FROM information_schema.columns
         WHERE table_schema = DATABASE() AND table_name LIKE 'forebay\\_%'",
    )
    .await?;
    for (table, ddl) in TABLES {
        for (name, text) in ddl_columns(ddl) {
            let column = found.iter().find(|column| column.0 == table && column.1 == name);
            let Some((_, _, length, collation)) = column else {
                return Err(unusable(format!("table {table} has no column {name}")));
            };
            if let (Some(wanted), Some(length)) = (text, length)
                && *length < wanted
            {
                return Err(unusable(format!(
                    "{table}.{name} holds {length} characters, and {wanted} are needed"
                )));
            }
            let collation = collation.as_deref().unwrap_or("binary");
            if BYTEWISE.contains(&name) && !(collation.ends_with("_bin") || collation == "binary") {
                return Err(unusable(format!(
                    "{table}.{name} compares by {collation}, so two names may be taken for one: it must compare bytewise"
                )));
            }
        }
    }
    Ok(())
}

/// The columns of a table, and the length of those that are text.
fn ddl_columns(ddl: &'static str) -> impl Iterator<Item = (&'static str, Option<u64>)> {
    ddl.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next().filter(|word| {
            word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
        })?;
        let length = words.next().and_then(|kind| kind.strip_prefix("VARCHAR("));
        Some((name, length.and_then(|text| text.trim_end_matches(')').parse().ok())))
    })
}

async fn keys(conn: &mut Conn) -> Result<(), StoreError> {
    let found: Vec<(String, String)> = read(
        conn,
        "SELECT table_name, GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics
         WHERE table_schema = DATABASE() AND table_name LIKE 'forebay\\_%' AND index_name = 'PRIMARY'
         GROUP BY table_name",
    )
    .await?;
    for (table, wanted) in KEYS {
        let key = found.iter().find(|(name, _)| name == table).map(|(_, key)| key.as_str());
        if key != Some(wanted) {
            let has = key.map_or("none".to_owned(), |key| format!("({key})"));
            return Err(unusable(format!(
                "the primary key of {table} must be ({wanted}) and is {has}: without it an order could be placed twice"
            )));
        }
    }
    Ok(())
}

/// What may lose commits that the server has acknowledged.
async fn durable(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    let packet: Vec<u64> = read(conn, "SELECT @@SESSION.max_allowed_packet").await?;
    if packet.first().is_some_and(|bytes| *bytes < PACKET_MIN) {
        let reason =
            format!("max_allowed_packet is below {PACKET_MIN}: a batch would not fit; raise it");
        return Err(StoreError { cause: LaterCause::Misconfigured, reason });
    }
    let found: Vec<(u64, u64, u64)> = read(
        conn,
        "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.log_bin, @@GLOBAL.sync_binlog",
    )
    .await?;
    let Some((flush, log, sync)) = found.into_iter().next() else { return Ok(Vec::new()) };
    let mut doubts = Vec::new();
    if flush != 1 {
        doubts.push(format!(
            "innodb_flush_log_at_trx_commit is {flush}: a crash may lose orders that the server has acknowledged; set it to 1"
        ));
    }
    if log == 1 && sync != 1 {
        doubts.push(format!(
            "sync_binlog is {sync}: a power cut may lose orders that the server has acknowledged; set it to 1"
        ));
    }
    Ok(doubts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_ddl() {
        let columns: Vec<_> = ddl_columns(TABLES[0].1).collect();
        assert_eq!(columns.len(), 17, "{columns:?}");
        assert_eq!(columns[0], ("ticket_id", Some(64)));
        assert_eq!(columns[16], ("created_at", None));
        assert_eq!(ddl_columns(TABLES[1].1).count(), 5);
        assert_eq!(ddl_columns(TABLES[2].1).count(), 5);
    }
}
