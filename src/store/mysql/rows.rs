//! Everything but placing: what is there of tickets, voids, changes of stock, and the reads of `verify`.

use std::collections::HashMap;
use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Error, Row};
use tokio::time::timeout;

use super::codes::{self, Said, said};
use super::pool::{Pool, Session};
use super::text::{self, Script};
use crate::clock::Timestamp;
use crate::order::TicketText;
use crate::sale::{SaleNo, StockChange};
use crate::store::{Found, LaterCause, OrderPage, OrderRow, PlaceOrder, StockRow, StoreError};

/// Rows of one page of `order_rows`. A page ends with a whole order, and an order has eight lines at most.
const PAGE: usize = 4_000;

/// How long one read of `verify` may take.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// How often a void is tried whose ticket was decided meanwhile.
const TRIES: u32 = 3;

/// Runs statements; answers the rows that each of them changed.
pub(super) async fn run(session: &mut Session, script: &Script) -> Result<Vec<u64>, Error> {
    let mut changed = Vec::new();
    for (piece, count) in &script.pieces {
        let mut result = session.conn().query_iter(piece.as_str()).await?;
        for _ in 0..*count {
            changed.push(result.affected_rows());
            result.collect::<Row>().await?;
        }
    }
    Ok(changed)
}

/// What is there of each ticket.
pub(super) async fn found(
    session: &mut Session,
    tickets: &[TicketText],
) -> Result<Vec<Found>, StoreError> {
    type Decided = (String, Option<String>, Option<String>);
    if tickets.is_empty() {
        return Ok(Vec::new());
    }
    let question = text::decided(tickets.iter());
    let rows: Vec<Row> =
        session.conn().query(question).await.map_err(|error| codes::failed(&error))?;
    let decided = |row: Row| {
        let (ticket, state, order_no, reason) = typed(row)?;
        Ok((ticket, (state, order_no, reason)))
    };
    let rows = rows.into_iter().map(decided).collect::<Result<HashMap<String, Decided>, _>>()?;
    let one = |ticket: &TicketText| {
        let row = rows.get(ticket.as_str());
        row.map_or(Found::NotThere, |(state, order_no, reason)| match state.as_str() {
            "refused" => Found::Refused { reason: reason.clone().unwrap_or_default() },
            "void" => Found::Voided,
            _ => Found::Placed { order_no: order_no.clone().unwrap_or_default() },
        })
    };
    Ok(tickets.iter().map(one).collect())
}

/// The store's answer to `find`.
pub(super) async fn find(pool: &Pool, tickets: &[TicketText]) -> Vec<Found> {
    let asked = pool.ask(|mut session| async move {
        let found = found(&mut session, tickets).await;
        (session, found)
    });
    asked.await.unwrap_or_else(|error| unknown(error, tickets.len()))
}

fn unknown(error: StoreError, tickets: usize) -> Vec<Found> {
    vec![Found::Unknown { reason: error.reason }; tickets]
}

/// Writes a void for each order whose line 1 is not there (S4); answers what is there then.
pub(super) async fn void(pool: &Pool, orders: &[PlaceOrder]) -> Vec<Found> {
    let asked = pool.ask(|mut session| async move {
        let voided = voided(&mut session, orders).await;
        (session, voided)
    });
    asked.await.unwrap_or_else(|error| unknown(error, orders.len()))
}

async fn voided(session: &mut Session, orders: &[PlaceOrder]) -> Result<Vec<Found>, StoreError> {
    let tickets: Vec<TicketText> = orders.iter().map(|order| order.ticket).collect();
    for _ in 0..TRIES {
        let mut there = found(session, &tickets).await?;
        let mut script = Script::default();
        for (order, found) in orders.iter().zip(&mut there) {
            if *found == Found::NotThere {
                script.mark(order, "void", None);
                *found = Found::Voided;
            }
        }
        match run(session, &script).await {
            Ok(_) => return Ok(there),
            // Somebody placed one meanwhile, or wants the same rows: look again.
            Err(error) if matches!(said(&error), Said::Duplicate | Said::Deadlock) => {}
            Err(error) => return Err(codes::failed(&error)),
        }
    }
    let reason = "its orders are being decided by somebody else: ask again".to_owned();
    Err(StoreError { cause: LaterCause::StoreAway, reason })
}

/// Applies each change once, by its number, in one transaction.
pub(super) async fn stock(pool: &Pool, changes: &[StockChange]) -> Result<(), StoreError> {
    let asked = pool.ask(|mut session| async move {
        let applied = apply(&mut session, changes).await;
        (session, applied)
    });
    asked.await
}

async fn apply(session: &mut Session, changes: &[StockChange]) -> Result<(), StoreError> {
    let told = |error: Error| codes::failed(&error);
    let conn = session.conn();
    conn.query_drop("START TRANSACTION").await.map_err(told)?;
    for change in changes {
        let (sale_no, sku) = (change.sale_no.0, &change.sku);
        let operation = format!(
            "INSERT INTO forebay_stock_ops (sale_no, operation, sku, delta) VALUES ({sale_no}, {}, '{sku}', {})",
            change.number, change.delta
        );
        match conn.query_drop(operation).await {
            Ok(()) => {}
            // It was applied before. The transaction goes on: only this statement is undone.
            Err(error) if said(&error) == Said::Duplicate => continue,
            Err(error) => return Err(told(error)),
        }
        let (sale, delta) = (&change.sale, change.delta);
        let statement = if change.creates {
            format!(
                "INSERT INTO forebay_stock (sale_no, sku, sale, initial, available) VALUES ({sale_no}, '{sku}', '{sale}', {delta}, {delta})"
            )
        } else {
            let sign = if delta < 0 { '-' } else { '+' };
            let units = delta.unsigned_abs();
            format!(
                "UPDATE forebay_stock SET initial = initial {sign} {units}, available = available {sign} {units} WHERE sale_no = {sale_no} AND sku = '{sku}' AND sale = '{sale}'"
            )
        };
        conn.query_drop(statement).await.map_err(told)?;
        if conn.affected_rows() != 1 {
            let reason = format!(
                "forebay_stock has no row of sale {sale_no} (`{sale}`) and sku `{sku}`: it was taken away, or the tables \
                 are another ledger's"
            );
            return Err(StoreError { cause: LaterCause::Misconfigured, reason });
        }
    }
    conn.query_drop("COMMIT").await.map_err(told)
}

/// A row as it must be; the tables may hold what others have written.
pub(super) fn typed<T: FromRow>(row: Row) -> Result<T, StoreError> {
    mysql_async::from_row_opt(row).map_err(|_| {
        let reason = "a row of the store has NULL or another type where a value must be".to_owned();
        StoreError { cause: LaterCause::Misconfigured, reason }
    })
}

/// A read that nobody waits for without end.
async fn read<T: FromRow + Send + 'static>(
    pool: &Pool,
    question: &str,
) -> Result<Vec<T>, StoreError> {
    let asked = pool.ask(|mut session| async move {
        let rows = rows(&mut session, question).await;
        (session, rows)
    });
    asked.await
}

async fn rows<T: FromRow>(session: &mut Session, question: &str) -> Result<Vec<T>, StoreError> {
    let Ok(rows) = timeout(READ_WITHIN, session.conn().query::<Row, _>(question)).await else {
        // It was alive, and is only slow: another one would be no faster.
        session.used = false;
        let reason = format!("a read took more than {} s", READ_WITHIN.as_secs());
        return Err(StoreError { cause: LaterCause::StoreAway, reason });
    };
    rows.map_err(|error| codes::failed(&error))?.into_iter().map(typed).collect()
}

/// One row of a page: ticket, line, sale, sku, buyer, quantity, state, order number, reason, time.
type Line = (
    String,
    u32,
    u32,
    Option<String>,
    String,
    Option<u64>,
    String,
    Option<String>,
    Option<String>,
    u64,
);

/// Whole orders after a ticket.
pub(super) async fn order_rows(
    pool: &Pool,
    after: Option<String>,
) -> Result<OrderPage, StoreError> {
    let question = format!(
        "SELECT ticket_id, line, sale_no, sku, buyer, quantity, state, order_no, reason, \
         TIMESTAMPDIFF(MICROSECOND, '1970-01-01', attempted_at) FROM forebay_orders \
         WHERE ticket_id > {} ORDER BY ticket_id, line LIMIT {PAGE}",
        text::literal(after.as_deref().unwrap_or_default())
    );
    let lines: Vec<Line> = read(pool, &question).await?;
    let full = lines.len() >= PAGE;
    let one =
        |(ticket, line, sale_no, sku, buyer, quantity, state, order_no, reason, micros): Line| {
            OrderRow {
                ticket,
                line,
                sale_no: SaleNo(sale_no),
                sku,
                buyer,
                quantity,
                state,
                order_no,
                reason,
                attempted_at: Timestamp(micros),
            }
        };
    let mut rows: Vec<OrderRow> = lines.into_iter().map(one).collect();
    if full && let Some(cut) = rows.last().map(|row| row.ticket.clone()) {
        // Its other lines may be on the next page: all of it comes there.
        rows.retain(|row| row.ticket != cut);
    }
    let next = rows.last().filter(|_| full).map(|row| row.ticket.clone());
    Ok(OrderPage { rows, next })
}

/// All stock rows.
pub(super) async fn stock_rows(pool: &Pool) -> Result<Vec<StockRow>, StoreError> {
    let question = "SELECT sale_no, sku, initial, available, COALESCE((SELECT MAX(operation) FROM forebay_stock_ops \
                    WHERE forebay_stock_ops.sale_no = forebay_stock.sale_no), 0) \
                    FROM forebay_stock ORDER BY sale_no, sku";
    let rows: Vec<(u32, String, u64, u64, u64)> = read(pool, question).await?;
    let one = |(sale_no, sku, initial, available, newest_change)| StockRow {
        sale_no: SaleNo(sale_no),
        sku,
        initial,
        available,
        newest_change,
    };
    Ok(rows.into_iter().map(one).collect())
}
