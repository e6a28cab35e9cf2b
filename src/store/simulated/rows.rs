//! What the server does to its tables: place, find, void, stock, and the reads of `verify`. Runs on the
//! store's own thread.
//!
//! **Line 1 decides**: it is inserted first; the other lines and the decrement follow only for orders whose
//! line 1 this transaction inserted. Otherwise the row that is there is the answer (S1, S4).

use rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::codes::Code;
use super::turn::Turn;
use crate::clock::Timestamp;
use crate::order::TicketText;
use crate::sale::{SaleNo, StockChange};
use crate::store::{
    Found, Later, LaterCause, OrderPage, OrderRow, PlaceOrder, Placement, StockRow, StoreError,
};

/// Tickets of one page of `order_rows`.
const PAGE: usize = 1_000;

/// One order, and whether the shop will refuse it whatever it says.
pub(super) struct Attempt {
    pub(super) order: PlaceOrder,
    pub(super) refuse: bool,
}

/// Carries turns out in one transaction; one that fails leaves nothing behind and harms no other.
pub(super) fn together<'a>(
    connection: &mut Connection,
    turns: impl Iterator<Item = &'a mut (dyn Turn + 'static)>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for turn in turns {
        transaction.prepare_cached("SAVEPOINT turn")?.execute([])?;
        if !turn.work(&transaction, now) {
            transaction.prepare_cached("ROLLBACK TO turn")?.execute([])?;
        }
        transaction.prepare_cached("RELEASE turn")?.execute([])?;
    }
    transaction.commit()
}

/// One bad row falls out alone (S3).
pub(super) fn place(
    transaction: &Transaction<'_>,
    attempts: &[Attempt],
    now: Timestamp,
) -> rusqlite::Result<Vec<Placement>> {
    let mut number = next_order_no(transaction)?;
    let placements: rusqlite::Result<Vec<_>> =
        attempts.iter().map(|attempt| place_one(transaction, attempt, now, &mut number)).collect();
    transaction
        .prepare_cached("UPDATE forebay_simulation SET order_no = ?1 WHERE id = 1")?
        .execute([number])?;
    placements
}

/// What a MySQL server would say; `None`: it is the server's trouble and not the order's.
fn code_of(error: &rusqlite::Error) -> Option<Code> {
    let failure = error.sqlite_error()?;
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Code::LockWaitTimeout),
        ErrorCode::ConstraintViolation if failure.extended_code == SQLITE_CONSTRAINT_PRIMARYKEY => {
            Some(Code::DuplicateEntry)
        }
        _ => None,
    }
}

pub(super) fn later(error: &rusqlite::Error) -> Later {
    let away = || Later { cause: LaterCause::StoreAway, reason: error.to_string(), after: None };
    code_of(error).map_or_else(away, Code::later)
}

pub(super) fn failed(error: &rusqlite::Error) -> StoreError {
    let later = later(error);
    StoreError { cause: later.cause, reason: later.reason }
}

fn next_order_no(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction
        .query_row("SELECT order_no FROM forebay_simulation WHERE id = 1", [], |row| row.get(0))
}

/// Line 1 decides: whoever inserts it decides the order; whoever meets it (1062) reads what was decided.
fn place_one(
    transaction: &Transaction<'_>,
    attempt: &Attempt,
    now: Timestamp,
    number: &mut i64,
) -> rusqlite::Result<Placement> {
    let order = &attempt.order;
    if attempt.refuse {
        return refuse(transaction, order, "1406 data too long", now);
    }
    let order_no = format!("F{:010}", *number + 1);
    transaction.prepare_cached("SAVEPOINT one")?.execute([])?;
    let inserted = insert(transaction, order, &order_no, now);
    if inserted.is_err() {
        transaction.prepare_cached("ROLLBACK TO one")?.execute([])?;
    }
    transaction.prepare_cached("RELEASE one")?.execute([])?;
    match inserted {
        Ok(()) => {
            *number += 1;
            Ok(Placement::Placed { order_no })
        }
        Err(error) if code_of(&error) == Some(Code::DuplicateEntry) => first(transaction, order),
        // The guarded decrement met too few units.
        Err(rusqlite::Error::StatementChangedRows(_)) => {
            refuse(transaction, order, "sold_out_at_store", now)
        }
        // A row that the tables do not take is the order's own fault: it alone is refused.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            refuse(transaction, order, "constraint", now)
        }
        Err(error) => Err(error),
    }
}

/// What was decided when the ticket's line 1 was inserted.
fn first(transaction: &Transaction<'_>, order: &PlaceOrder) -> rusqlite::Result<Placement> {
    let found = decided(transaction, order.ticket.as_str())?;
    Ok(placement(found.unwrap_or(Found::NotThere)))
}

fn insert(
    transaction: &Transaction<'_>,
    order: &PlaceOrder,
    order_no: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut row = transaction.prepare_cached(
        "INSERT INTO forebay_orders VALUES (?1,?2,?3,?4,?5,?6,?7,?8,'placed',NULL,?9,?10,?11,?12,?13,?14,?15)",
    )?;
    let mut stock = transaction.prepare_cached(
        "UPDATE forebay_stock SET available = available - ?3
         WHERE sale_no = ?1 AND sku = ?2 AND available >= ?3",
    )?;
    let payload = (!order.payload.is_empty()).then_some(&*order.payload);
    for (number, line) in (1u32..).zip(&order.lines) {
        row.execute(params![
            order.ticket.as_str(),
            number,
            order.sale.as_str(),
            order.sale_no.0,
            order_no,
            line.sku.as_str(),
            order.buyer.as_str(),
            line.quantity,
            payload,
            order.place.epoch,
            order.place.sequence.cast_signed(),
            order.attempt,
            order.accepted_at.0.cast_signed(),
            order.attempted_at.0.cast_signed(),
            now.0.cast_signed(),
        ])?;
        let taken = stock.execute(params![order.sale_no.0, line.sku.as_str(), line.quantity])?;
        if taken != 1 {
            return Err(rusqlite::Error::StatementChangedRows(taken));
        }
    }
    Ok(())
}

fn refuse(
    transaction: &Transaction<'_>,
    order: &PlaceOrder,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<Placement> {
    match mark(transaction, order, "refused", Some(reason), now) {
        Ok(()) => Ok(Placement::Refused { reason: reason.to_owned() }),
        Err(error) if code_of(&error) == Some(Code::DuplicateEntry) => first(transaction, order),
        Err(error) => Err(error),
    }
}

/// One row with line 1 and no sku, quantity, payload and order number.
fn mark(
    transaction: &Transaction<'_>,
    order: &PlaceOrder,
    state: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut row = transaction.prepare_cached(
        "INSERT INTO forebay_orders VALUES (?1,1,?2,?3,NULL,NULL,?4,NULL,?5,?6,NULL,?7,?8,?9,?10,?11,?12)",
    )?;
    row.execute(params![
        order.ticket.as_str(),
        order.sale.as_str(),
        order.sale_no.0,
        order.buyer.as_str(),
        state,
        reason,
        order.place.epoch,
        order.place.sequence.cast_signed(),
        order.attempt,
        order.accepted_at.0.cast_signed(),
        order.attempted_at.0.cast_signed(),
        now.0.cast_signed(),
    ])?;
    Ok(())
}

fn decided(connection: &Connection, ticket: &str) -> rusqlite::Result<Option<Found>> {
    let sql =
        "SELECT state, order_no, reason FROM forebay_orders WHERE ticket_id = ?1 AND line = 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([ticket], |row| {
        let (state, order_no, reason): (String, Option<String>, Option<String>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(match state.as_str() {
            "refused" => Found::Refused { reason: reason.unwrap_or_default() },
            "void" => Found::Voided,
            _ => Found::Placed { order_no: order_no.unwrap_or_default() },
        })
    });
    found.optional()
}

fn placement(found: Found) -> Placement {
    match found {
        Found::Placed { order_no } => Placement::Placed { order_no },
        Found::Refused { reason } => Placement::Refused { reason },
        Found::Voided => Placement::Voided,
        Found::NotThere => Placement::InDoubt { reason: "not there".to_owned() },
        Found::Unknown { reason } => Placement::InDoubt { reason },
    }
}

pub(super) fn find(connection: &Connection, tickets: &[TicketText]) -> Vec<Found> {
    let one = |ticket: &TicketText| match decided(connection, ticket.as_str()) {
        Ok(found) => found.unwrap_or(Found::NotThere),
        Err(error) => Found::Unknown { reason: error.to_string() },
    };
    tickets.iter().map(one).collect()
}

pub(super) fn void(
    transaction: &Transaction<'_>,
    orders: &[PlaceOrder],
    now: Timestamp,
) -> rusqlite::Result<Vec<Found>> {
    let one = |order: &PlaceOrder| match mark(transaction, order, "void", None, now) {
        Ok(()) => Ok(Found::Voided),
        Err(error) if code_of(&error) == Some(Code::DuplicateEntry) => {
            decided(transaction, order.ticket.as_str())
                .map(|found| found.unwrap_or(Found::NotThere))
        }
        Err(error) => Err(error),
    };
    orders.iter().map(one).collect()
}

/// Each change once, by its number.
pub(super) fn stock(
    transaction: &Transaction<'_>,
    changes: &[StockChange],
    now: Timestamp,
) -> rusqlite::Result<()> {
    for change in changes {
        let fresh = transaction
            .prepare_cached("INSERT OR IGNORE INTO forebay_stock_ops VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                change.sale_no.0,
                change.number.cast_signed(),
                change.sku.as_str(),
                change.delta,
                now.0.cast_signed(),
            ])?;
        if fresh == 0 {
            continue;
        }
        let keys =
            params![change.sale_no.0, change.sku.as_str(), change.delta, change.sale.as_str()];
        let sql = if change.creates {
            "INSERT INTO forebay_stock (sale_no, sku, initial, available, sale) VALUES (?1, ?2, ?3, ?3, ?4)"
        } else {
            "UPDATE forebay_stock SET initial = initial + ?3, available = available + ?3
             WHERE sale_no = ?1 AND sku = ?2 AND sale = ?4"
        };
        transaction.prepare_cached(sql)?.execute(keys)?;
    }
    Ok(())
}

/// Whole orders after a ticket, some [`PAGE`] of them.
pub(super) fn order_rows(
    connection: &Connection,
    after: Option<&str>,
) -> Result<OrderPage, StoreError> {
    let read = || -> rusqlite::Result<OrderPage> {
        let mut statement = connection.prepare_cached(
            "SELECT ticket_id, line, sale_no, sku, buyer, quantity, state, order_no, reason,
                 attempted_at FROM forebay_orders
             WHERE ticket_id > ?1 AND ticket_id <= coalesce(
                 (SELECT ticket_id FROM forebay_orders WHERE ticket_id > ?1 AND line = 1
                  ORDER BY ticket_id LIMIT 1 OFFSET ?2), x'ff') ORDER BY ticket_id, line",
        )?;
        let rows =
            statement.query_map(params![after.unwrap_or(""), PAGE.cast_signed() - 1], |row| {
                Ok(OrderRow {
                    ticket: row.get(0)?,
                    line: row.get(1)?,
                    sale_no: SaleNo(row.get(2)?),
                    sku: row.get(3)?,
                    buyer: row.get(4)?,
                    quantity: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
                    state: row.get(6)?,
                    order_no: row.get(7)?,
                    reason: row.get(8)?,
                    attempted_at: Timestamp(row.get::<_, i64>(9)?.unsigned_abs()),
                })
            })?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let next = rows.last().filter(|_| rows.len() >= PAGE).map(|row| row.ticket.clone());
        Ok(OrderPage { rows, next })
    };
    read().map_err(|error| failed(&error))
}

pub(super) fn stock_rows(connection: &Connection) -> Result<Vec<StockRow>, StoreError> {
    let read = || -> rusqlite::Result<Vec<StockRow>> {
        let sql =
            "SELECT sale_no, sku, initial, available, coalesce((SELECT max(operation) FROM forebay_stock_ops
             WHERE forebay_stock_ops.sale_no = forebay_stock.sale_no), 0)
             FROM forebay_stock ORDER BY sale_no, sku";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(StockRow {
                sale_no: SaleNo(row.get(0)?),
                sku: row.get(1)?,
                initial: row.get::<_, i64>(2)?.unsigned_abs(),
                available: row.get::<_, i64>(3)?.unsigned_abs(),
                newest_change: row.get::<_, i64>(4)?.unsigned_abs(),
            })
        })?;
        rows.collect()
    };
    read().map_err(|error| failed(&error))
}
