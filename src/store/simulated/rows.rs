//! What the server does to its tables: place, find, void, stock, and the reads of `verify`. Runs on the
//! store's own thread.
//!
//! **Line 1 decides**: it is inserted first; the other lines and the decrement follow only for orders whose
//! line 1 this transaction inserted. Otherwise the row that is there is the answer (S1, S4).

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

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

/// One transaction; one bad row falls out alone (S3).
pub(super) fn place(
    connection: &mut Connection,
    attempts: &[Attempt],
    now: Timestamp,
) -> Vec<Placement> {
    let placed = in_transaction(connection, |transaction| {
        let mut number = next_order_no(transaction)?;
        let placements: Result<Vec<_>, _> = attempts
            .iter()
            .map(|attempt| place_one(transaction, attempt, now, &mut number))
            .collect();
        transaction
            .prepare_cached("UPDATE forebay_simulation SET order_no = ?1 WHERE id = 1")?
            .execute([number])?;
        placements
    });
    placed.unwrap_or_else(|error| {
        let later = later(&error);
        attempts.iter().map(|_| Placement::Later(later.clone())).collect()
    })
}

fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

/// SQLITE_BUSY stands for 1205; everything else is the server's trouble and not the order's.
fn later(error: &rusqlite::Error) -> Later {
    let busy = matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    );
    let (cause, reason) = if busy {
        (LaterCause::ThisOrder, "1205 lock wait timeout".to_owned())
    } else {
        (LaterCause::StoreAway, error.to_string())
    };
    Later { cause, reason, after: None }
}

pub(super) fn failed(error: &rusqlite::Error) -> StoreError {
    let later = later(error);
    StoreError { cause: later.cause, reason: later.reason }
}

fn next_order_no(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction
        .query_row("SELECT order_no FROM forebay_simulation WHERE id = 1", [], |row| row.get(0))
}

fn place_one(
    transaction: &Transaction<'_>,
    attempt: &Attempt,
    now: Timestamp,
    number: &mut i64,
) -> rusqlite::Result<Placement> {
    let order = &attempt.order;
    if let Some(found) = decided(transaction, order.ticket.as_str())? {
        return Ok(placement(found));
    }
    if attempt.refuse {
        return refuse(transaction, order, "1406 data too long", now);
    }
    let short = order.lines.iter().map(|line| available(transaction, order.sale_no, line));
    let short = short.collect::<rusqlite::Result<Vec<bool>>>()?.contains(&false);
    if short {
        return refuse(transaction, order, "sold_out_at_store", now);
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
        // A row that the tables do not take is the order's own fault: it alone is refused.
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
        {
            refuse(transaction, order, "constraint", now)
        }
        Err(error) => Err(error),
    }
}

fn available(
    transaction: &Transaction<'_>,
    sale_no: SaleNo,
    line: &crate::order::Line,
) -> rusqlite::Result<bool> {
    let sql = "SELECT available >= ?3 FROM forebay_stock WHERE sale_no = ?1 AND sku = ?2";
    let mut statement = transaction.prepare_cached(sql)?;
    let enough = statement
        .query_row(params![sale_no.0, line.sku.as_str(), line.quantity], |row| row.get(0))
        .optional()?;
    Ok(enough.unwrap_or(false))
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
    mark(transaction, order, "refused", Some(reason), now)?;
    Ok(Placement::Refused { reason: reason.to_owned() })
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
    connection: &mut Connection,
    orders: &[PlaceOrder],
    now: Timestamp,
) -> Vec<Found> {
    let voided = in_transaction(connection, |transaction| {
        let one = |order: &PlaceOrder| match decided(transaction, order.ticket.as_str())? {
            Some(found) => Ok(found),
            None => mark(transaction, order, "void", None, now).map(|()| Found::Voided),
        };
        orders.iter().map(one).collect::<rusqlite::Result<Vec<_>>>()
    });
    voided.unwrap_or_else(|error| {
        let reason = error.to_string();
        orders.iter().map(|_| Found::Unknown { reason: reason.clone() }).collect()
    })
}

/// Each change once, by its number.
pub(super) fn stock(
    connection: &mut Connection,
    changes: &[StockChange],
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = in_transaction(connection, |transaction| {
        for change in changes {
            let fresh = transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO forebay_stock_ops VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
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
    });
    done.map_err(|error| failed(&error))
}

/// Whole orders after a ticket, some [`PAGE`] of them.
pub(super) fn order_rows(
    connection: &Connection,
    after: Option<&str>,
) -> Result<OrderPage, StoreError> {
    let read = || -> rusqlite::Result<OrderPage> {
        let mut statement = connection.prepare_cached(
            "SELECT ticket_id, line, sale_no, sku, buyer, quantity, state, order_no FROM forebay_orders
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
