//! Orders that the ledger may have lost: the store is asked which of them it has. It may have taken them in the ledger's
//! name, so nobody else may have their units before it has answered.

use std::time::Duration;

use super::backoff::Backoff;
use super::shared::Shared;
use crate::ledger::{Missing, Stored, StoredEnd};
use crate::order::{Buyer, Line, Ticket, tickets_of};
use crate::sale::Sku;
use crate::store::{Comparable, OrderRow};

/// Pauses between questions that were not answered.
const PAUSE: Backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(1) };

/// Answers for the store until the stop is pulled.
pub(super) async fn answer(shared: &Shared) {
    let mut failures = 0;
    while !shared.stop.is_pulled() {
        let missing = shared.ledger.missing().await;
        match answer_for(shared, missing).await {
            Ok(_) if shared.store.comparable() != Comparable::All => {
                failures = 0;
                tracing::warn!(
                    sale_no = missing.sale_no.0,
                    "orders that the ledger may have lost are lost: this store does not list which of them it has"
                );
            }
            Ok(found) => {
                failures = 0;
                tracing::info!(
                    sale_no = missing.sale_no.0,
                    found,
                    "the store was asked for orders that the ledger may have lost"
                );
            }
            Err(reason) => {
                if failures == 0 {
                    tracing::warn!(
                        sale_no = missing.sale_no.0,
                        reason,
                        "a sale takes no new orders until the store says which it has"
                    );
                }
                let pause = shared.draw(|jitter| PAUSE.half(failures, jitter));
                failures += 1;
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Goes through all rows of the sale: their tickets begin alike and lie side by side.
async fn answer_for(shared: &Shared, missing: Missing) -> Result<u64, String> {
    let Missing { sale_no, key_id, .. } = missing;
    let (begins, mut found) = (tickets_of(key_id, sale_no), 0);
    let mut after = Some(begins.clone());
    while let Some(from) = after {
        let page = shared.store.order_rows(Some(from)).await.map_err(|error| error.to_string())?;
        let of_sale = |row: &OrderRow| row.ticket.starts_with(&begins);
        after = page.next.filter(|_| page.rows.last().is_some_and(of_sale));
        let orders = page.rows.chunk_by(|one, other| one.ticket == other.ticket);
        let orders = orders.filter_map(|rows| stored(shared, missing, rows)).collect::<Vec<_>>();
        let told = shared.ledger.answer_for(sale_no, orders, false).await;
        found += told.map_err(|fault| fault.to_string())?;
    }
    let told = shared.ledger.answer_for(sale_no, Vec::new(), true).await;
    told.map_err(|fault| fault.to_string())?;
    Ok(found)
}

/// The order of these rows, if it may be missing. Rows that no order of ours left are for `verify` to name.
fn stored(shared: &Shared, missing: Missing, rows: &[OrderRow]) -> Option<Stored> {
    let first = rows.first()?;
    let Ticket { place, accepted_ms, sale_no, .. } = shared.keyring.open(&first.ticket)?;
    if sale_no != missing.sale_no || place < missing.first {
        return None;
    }
    let end = match (first.state.as_str(), &first.order_no) {
        ("placed" | "paid", Some(order_no)) => StoredEnd::Placed { order_no: order_no.clone() },
        ("refused" | "void", _) => {
            let reason = first.reason.clone().unwrap_or_else(|| "operator".to_owned());
            StoredEnd::Refused { reason }
        }
        _ => return None,
    };
    let line = |row: &OrderRow| {
        let sku: Sku = row.sku.as_deref()?.parse().ok()?;
        Some(Line { sku, quantity: u32::try_from(row.quantity?).ok()? })
    };
    let lines = match end {
        StoredEnd::Placed { .. } => rows.iter().map(line).collect::<Option<Vec<_>>>()?,
        StoredEnd::Refused { .. } => Vec::new(),
    };
    Some(Stored {
        place,
        accepted_at: missing.made_at.plus(Duration::from_millis(accepted_ms)),
        attempted_at: first.attempted_at,
        buyer: Buyer::new(first.buyer.as_bytes()).ok()?,
        lines,
        end,
    })
}
