//! The store's stock against its own rows and against the ledger's items.

use std::collections::HashMap;

use super::findings::{Finding, Findings};
use super::rows::Units;
use crate::ledger::SaleDoc;
use crate::sale::{SaleNo, Sku};
use crate::store::StockRow;

/// What the store took of an item: `initial − available`; `None` when there is more than there ever was.
fn taken(row: &StockRow) -> Option<u64> {
    row.initial.checked_sub(row.available)
}

/// Compares stock rows read before and after all order rows with the units that those take.
///
/// Rows only come and never go, so what is seen of them lies between what the counters said before and what
/// they said after.
pub(super) fn check(
    docs: &[SaleDoc],
    before: &[StockRow],
    after: &[StockRow],
    units: &Units,
    findings: &mut Findings,
) {
    let index = |rows: &[StockRow]| -> HashMap<(SaleNo, String), StockRow> {
        rows.iter().map(|row| ((row.sale_no, row.sku.clone()), row.clone())).collect()
    };
    let (before, after) = (index(before), index(after));
    for doc in docs.iter().filter(|doc| !doc.purged) {
        for item in &doc.census.items {
            let key = (doc.sale_no, item.sku.to_string());
            let seen = units.get(&key).copied().unwrap_or(0);
            let mut find = |expected: String, found: String| {
                let finding = Finding::new("L1", expected, found);
                findings.add(finding.of_sale(&doc.name).of_item(&item.sku));
            };
            let Some(row) = after.get(&key) else {
                if seen > 0 {
                    find("a stock row at the store".to_owned(), format!("rows of {seen} units"));
                }
                continue;
            };
            let low = before.get(&key).map_or(Some(0), taken);
            match (low, taken(row)) {
                (Some(low), Some(high)) if (low..=high).contains(&seen) => {}
                _ => {
                    let left = row.initial.saturating_sub(seen);
                    let expected = format!("{left} available at the store");
                    find(expected, format!("{} available at the store", row.available));
                }
            }
            initial(doc, &item.sku, row, &mut find);
        }
    }
}

/// Once the store has every change, it must have the ledger's units.
fn initial(doc: &SaleDoc, sku: &Sku, row: &StockRow, find: &mut dyn FnMut(String, String)) {
    let item = doc.census.items.iter().find(|item| item.sku == *sku);
    let Some(item) = item.filter(|_| row.newest_change == doc.stock_changes) else { return };
    let units = (item.initial + item.added).saturating_sub(item.cut);
    if units != row.initial {
        find(format!("{units} units at the store"), format!("{} units at the store", row.initial));
    }
}
