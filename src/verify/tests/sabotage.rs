//! Each sabotage is named by its law, and by its ticket or item, running and offline.

use super::shop::{Shop, name};
use crate::ledger::book::sabotage::Sabotage;
use crate::ledger::embedded::sabotage;
use crate::order::State;
use crate::verify::{Finding, Report};

/// What a report must name.
struct Named<'a> {
    law: &'a str,
    ticket: Option<&'a str>,
    sku: Option<&'a str>,
}

fn names(report: &Report, named: &Named<'_>) -> bool {
    let is = |finding: &Finding| {
        finding.law == named.law
            && finding.sale.as_deref().is_none_or(|sale| sale == "demo")
            && named.ticket.is_none_or(|ticket| finding.ticket.as_deref() == Some(ticket))
            && named.sku.is_none_or(|sku| finding.sku.as_deref() == Some(sku))
    };
    !report.ok && report.findings.iter().any(is)
}

async fn both(shop: Shop, what: &str, named: Named<'_>) {
    let running = shop.verify().await;
    assert!(names(&running, &named), "{what}, running: {running:#?}");
    let offline = shop.close().await.verify_offline().await;
    assert!(names(&offline, &named), "{what}, offline: {offline:#?}");
}

#[tokio::test]
async fn a_sabotaged_store_is_named() {
    // What is done to the order with this sequence, and the law that it breaks.
    let table = [
        ("a row deleted", 4, "DELETE FROM forebay_orders WHERE ticket_id = ?", "S1"),
        (
            "one of two lines deleted",
            3,
            "DELETE FROM forebay_orders WHERE ticket_id = ? AND line = 2",
            "S1",
        ),
        (
            "a quantity changed",
            5,
            "UPDATE forebay_orders SET quantity = 2 WHERE ticket_id = ?",
            "S1",
        ),
        ("another item", 5, "UPDATE forebay_orders SET sku = 'case' WHERE ticket_id = ?", "S1"),
        ("another buyer", 5, "UPDATE forebay_orders SET buyer = 'eve' WHERE ticket_id = ?", "S1"),
        (
            "another number",
            5,
            "UPDATE forebay_orders SET order_no = 'F1' WHERE ticket_id = ?",
            "S1",
        ),
        (
            "refused after all",
            5,
            "UPDATE forebay_orders SET state = 'refused' WHERE ticket_id = ?",
            "S1",
        ),
        (
            "a doubled row, as an extra line",
            6,
            "INSERT INTO forebay_orders SELECT ticket_id, 3, sale, sale_no, order_no, sku, buyer, quantity, \
             state, reason, payload, epoch, sequence, attempt, accepted_at, attempted_at, created_at \
             FROM forebay_orders WHERE ticket_id = ? AND line = 1",
            "S1",
        ),
        (
            "placed though refused",
            31,
            "UPDATE forebay_orders SET state = 'placed' WHERE ticket_id = ?",
            "L5",
        ),
        ("a refusal forgotten", 32, "DELETE FROM forebay_orders WHERE ticket_id = ?", "L5"),
    ];
    for (what, sequence, sql, law) in table {
        let shop = Shop::with_every_state().await;
        let ticket = shop.ticket(sequence).await;
        shop.sql(&sql.replace('?', &format!("'{ticket}'"))).await;
        both(shop, what, Named { law, ticket: Some(ticket.as_str()), sku: None }).await;
    }
}

#[tokio::test]
async fn a_row_that_no_claim_explains_is_named() {
    let row = "INSERT INTO forebay_orders SELECT '?', 1, sale, sale_no, 'F9', 'phone', 'buyer-1', 1, 'placed', \
               NULL, NULL, 1, 1, 1, 0, 0, 0 FROM forebay_orders LIMIT 1";
    // Never claimed, cancelled, at the store with other lines, and never accepted.
    for (what, sequence, law) in
        [("queued", 55, "L4"), ("cancelled", 46, "L5"), ("placing", 41, "S1")]
    {
        let shop = Shop::with_every_state().await;
        let ticket = shop.ticket(sequence).await;
        shop.sql(&row.replace('?', ticket.as_str())).await;
        both(shop, what, Named { law, ticket: Some(ticket.as_str()), sku: None }).await;
    }
    let shop = Shop::with_every_state().await;
    shop.sql(&row.replace('?', "invented")).await;
    both(shop, "invented", Named { law: "L4", ticket: Some("invented"), sku: None }).await;
}

#[tokio::test]
async fn a_changed_stock_counter_of_the_store_is_named() {
    for sql in [
        "UPDATE forebay_stock SET available = available + 1 WHERE sku = 'phone'",
        "UPDATE forebay_stock SET available = available - 1, initial = initial - 1 WHERE sku = 'phone'",
        "DELETE FROM forebay_stock WHERE sku = 'phone'",
    ] {
        let shop = Shop::with_every_state().await;
        shop.sql(sql).await;
        both(shop, sql, Named { law: "L1", ticket: None, sku: Some("phone") }).await;
    }
}

#[tokio::test]
async fn a_sabotaged_ledger_is_named() {
    let phone = Some("phone");
    // Orders count from index 0, sequences from 1.
    let table = [
        (Sabotage::Available, "L1", None, phone),
        (Sabotage::SoldToHeld, "L1", None, phone),
        (Sabotage::State(54, State::Placed), "S1", Some(55), None),
        (Sabotage::State(54, State::Placed), "L1", None, phone),
        (Sabotage::State(3, State::Cancelled), "L5", Some(4), None),
        (Sabotage::State(3, State::Refused), "L5", Some(4), None),
        (Sabotage::State(30, State::Placed), "S1", Some(31), None),
        (Sabotage::State(45, State::Refused), "L5", Some(46), None),
        (Sabotage::Buyer(2, 5), "L3", Some(6), None),
        (Sabotage::Attempts(20), "L7", None, None),
    ];
    for (done, law, sequence, sku) in table {
        let shop = Shop::with_every_state().await;
        let ticket = match sequence {
            Some(sequence) => Some(shop.ticket(sequence).await.to_string()),
            None => None,
        };
        let closed = shop.close().await;
        sabotage::change(&closed.ledger(), |book| book.sabotage(&name(), done));
        let named = Named { law, ticket: ticket.as_deref(), sku };
        let offline = closed.verify_offline().await;
        assert!(names(&offline, &named), "{done:?} breaks {law}, offline: {offline:#?}");
        both(closed.open(), &format!("{done:?} breaks {law}"), named).await;
    }
}
