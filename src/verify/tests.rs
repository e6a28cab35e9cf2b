//! An honest ledger and store, every sabotage of either, and a sale that is verified while it runs.

mod running;
mod sabotage;
mod shop;

use shop::Shop;

use super::Report;

fn clean(report: &Report) {
    assert_eq!(report.findings, [], "{report:#?}");
    assert!(report.ok && report.findings_omitted == 0);
}

#[tokio::test]
async fn an_honest_sale_has_no_findings_running_or_not() {
    let shop = Shop::with_every_state().await;
    let report = shop.verify().await;
    clean(&report);
    assert_eq!((report.checked.tickets, report.checked.rows), (60, 45));
    assert_eq!((report.pending, report.foreign, report.torn_bytes), (5, 0, None));

    let offline = shop.close().await.verify_offline().await;
    clean(&offline);
    assert_eq!((offline.checked, offline.pending), (report.checked, report.pending));
}

#[tokio::test]
async fn a_limit_that_was_lowered_later_is_not_broken_by_what_was_bought_before() {
    let shop = Shop::open(Some(2)).await;
    shop.order(1, 2).await;
    shop.limit(Some(1)).await;
    clean(&shop.verify().await);
}

#[tokio::test]
async fn rows_of_other_deployments_are_foreign_and_a_purged_sale_is_one() {
    let shop = Shop::with_every_state().await;
    shop.sql("UPDATE forebay_orders SET sale_no = sale_no + 1, ticket_id = 'x' || ticket_id").await;
    let report = shop.verify().await;
    assert_eq!(report.foreign, 45);
    assert!(!report.ok, "the ledger's own orders are missing");

    let shop = Shop::open(None).await;
    shop.order(1, 1).await;
    shop.drain(1).await;
    shop.purge().await;
    let report = shop.verify().await;
    clean(&report);
    assert_eq!((report.checked.tickets, report.foreign), (0, 1));
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_an_error_and_no_report() {
    let shop = Shop::open(None).await;
    shop.outage().await;
    let error = shop.try_verify().await.unwrap_err().to_string();
    assert!(error.contains("the store cannot be read"), "{error}");
}
