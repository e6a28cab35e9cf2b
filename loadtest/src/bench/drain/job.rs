//! Whether a peer did the job that it was timed for: a row for each order and no other, each with a ticket of its own,
//! and the stock less by exactly as much.

use std::collections::HashSet;

use super::list::Sale;
use crate::bench::job::{Finding, finding};
use crate::on_mysql::{DATABASE, OnMySql};
use crate::store::{StoreBook, StoreStock};

/// Looks at the tables when nobody writes any more.
pub(super) async fn check(store: &OnMySql, sale: &Sale) -> anyhow::Result<Vec<Finding>> {
    let mut findings = rows(&store.store_at().read(&sale.form.sale).await?, sale);
    let name = &sale.form.sale;
    let question = format!(
        "SELECT COUNT(*) FROM forebay_orders WHERE sale = '{name}' AND OCTET_LENGTH(payload) = 100"
    );
    let whole: Vec<u64> = store.server.ask(Some(DATABASE), &question).await?;
    let whole = whole.first().copied().unwrap_or_default();
    findings.push(finding(whole == sale.orders, format!("{whole} rows with their payload")));
    Ok(findings)
}

fn rows(book: &StoreBook, sale: &Sale) -> Vec<Finding> {
    let Sale { form, orders, .. } = sale;
    let one = |row: &&crate::store::StoreRow| {
        row.line == 1
            && row.sells()
            && row.quantity == Some(1)
            && row.sku.as_ref() == Some(&form.sku)
    };
    let good = book.rows.iter().filter(one).count() as u64;
    let tickets: HashSet<&str> = book.rows.iter().map(|row| row.ticket.as_str()).collect();
    let buyers: HashSet<&str> = book.rows.iter().filter_map(|row| row.buyer.as_deref()).collect();
    let missing =
        (0..*orders).filter(|ask| !buyers.contains(form.crowd.buyer(*ask).as_str())).count();
    let exact = [book.rows.len(), tickets.len(), buyers.len()].map(|count| count as u64);
    let what = format!(
        "{orders} orders: {} rows ({good} of one unit), {} tickets, {} buyers, {missing} missing",
        exact[0], exact[1], exact[2]
    );
    let rows = finding(missing == 0 && good == *orders && exact == [*orders; 3], what);
    let units = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
    let left = StoreStock {
        sku: form.sku.clone(),
        initial: units(sale.units()),
        available: units(sale.units() - orders),
    };
    let stock = finding(
        book.stock == [left],
        format!("of {} units {orders} were ordered: {:?}", sale.units(), book.stock),
    );
    vec![rows, stock]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreRow;

    const ORDERS: u64 = 3;

    fn row(ticket: &str, buyer: &str) -> StoreRow {
        StoreRow {
            ticket: ticket.to_owned(),
            line: 1,
            sku: Some("phone".to_owned()),
            buyer: Some(buyer.to_owned()),
            quantity: Some(1),
            state: "placed".to_owned(),
        }
    }

    /// The tables of a peer that does its job, as somebody spoils them.
    fn holds(spoil: impl FnOnce(&mut StoreBook)) -> [bool; 2] {
        let sale = Sale::new(1, "sale", ORDERS);
        let mut book = StoreBook {
            rows: (0..ORDERS)
                .map(|ask| row(&format!("t{ask}"), &sale.form.crowd.buyer(ask)))
                .collect(),
            stock: vec![StoreStock { sku: "phone".to_owned(), initial: 6, available: 3 }],
        };
        spoil(&mut book);
        let found = rows(&book, &sale);
        [found[0].holds, found[1].holds]
    }

    #[test]
    fn who_loses_or_doubles_an_order_or_a_unit_is_seen() {
        assert_eq!(holds(|_| {}), [true, true]);
        assert_eq!(holds(|book| drop(book.rows.pop())), [false, true], "lost");
        let again = row("another", "sale-b0");
        assert_eq!(holds(|book| book.rows.push(again.clone())), [false, true], "doubled");
        assert_eq!(holds(|book| book.rows[1] = again), [false, true], "one lost, one doubled");
        assert_eq!(holds(|book| book.rows[1].quantity = Some(2)), [false, true]);
        assert_eq!(holds(|book| book.rows[1].state = "refused".to_owned()), [false, true]);
        assert_eq!(holds(|book| book.stock[0].available = 2), [true, false]);
        assert_eq!(holds(|book| book.stock.clear()), [true, false]);
    }
}
