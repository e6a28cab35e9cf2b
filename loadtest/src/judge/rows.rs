//! The gateway's export against the rows of the store.

use std::collections::{BTreeMap, HashMap};

use super::{Broke, Judgement};
use crate::admin::{Census, TicketRow};
use crate::store::{StoreBook, StoreRow};

pub(super) fn judge(
    out: &mut Judgement,
    tickets: &[TicketRow],
    store: &StoreBook,
    census: Option<&Census>,
    alone: bool,
) {
    let mut rows: HashMap<&str, Vec<&StoreRow>> = HashMap::new();
    for row in &store.rows {
        rows.entry(&row.ticket).or_default().push(row);
    }
    for ticket in tickets {
        let found = rows.remove(ticket.ticket.as_str()).unwrap_or_default();
        let selling = found.iter().filter(|row| row.sells()).count();
        let name = &ticket.ticket;
        if ticket.stored() && found.is_empty() {
            out.find(
                Broke::Lost,
                format!("ticket {name} is {}, the store has no row", ticket.state),
            );
        } else if selling > ticket.lines.len() {
            let lines = ticket.lines.len();
            out.find(Broke::Doubled, format!("ticket {name}: {selling} rows for {lines} lines"));
        } else if ticket.stored() && found.len() < ticket.lines.len() {
            out.find(Broke::Lost, format!("ticket {name}: lines are missing in the store"));
        } else if ticket.returned() && ticket.state != "expired" && selling > 0 {
            out.find(Broke::Unexpected, format!("ticket {name} is {}, and sold", ticket.state));
        }
        for (line, row) in ticket.lines.iter().zip(found.iter().filter(|row| row.sells())) {
            let same_buyer = row.buyer.as_deref() == Some(ticket.buyer.as_str());
            if ticket.lines.len() == 1
                && (!same_buyer || row.quantity.map(i64::unsigned_abs) != Some(line.quantity))
            {
                out.find(Broke::Unexpected, format!("ticket {name}: the row says {row:?}"));
            }
        }
    }
    // In a shared sale the export may be older than the last rows; alone, nothing may be added.
    for (ticket, _) in rows.into_iter().filter(|_| alone) {
        out.find(Broke::Unexpected, format!("the store has ticket {ticket}, the ledger does not"));
    }
    if let Some(census) = census {
        stock(out, store, census);
    }
}

/// The store may keep `initial` with or without later additions, so its sales are held against what
/// the ledger says there ever was.
fn stock(out: &mut Judgement, store: &StoreBook, census: &Census) {
    let mut sold: BTreeMap<&str, u64> = BTreeMap::new();
    for row in store.rows.iter().filter(|row| row.sells()) {
        *sold.entry(row.sku.as_deref().unwrap_or_default()).or_default() +=
            row.quantity.unwrap_or_default().unsigned_abs();
    }
    for item in &census.items {
        let units = sold.get(item.sku.as_str()).copied().unwrap_or_default();
        if units > item.total() {
            let (sku, all) = (&item.sku, item.total());
            out.find(Broke::Oversold, format!("{sku}: the store sold {units} units of {all}"));
        }
    }
    for item in store.stock.iter().filter(|item| item.available < 0) {
        out.find(Broke::Oversold, format!("{}: {} left in the store", item.sku, item.available));
    }
}
