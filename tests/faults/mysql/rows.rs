//! Somebody changes rows by hand, or brings back an old copy: `verify` names it.

use std::path::Path;

use forebay_loadtest::gateway::Process;
use serde_json::{Value, json};

use super::super::crowded::Crowded;
use super::super::rig::{AT_LAST, Gateway, until};
use super::super::wire::order;
use super::{Stand, placed};

/// The laws that `verify` finds broken, with what was found, running or not.
async fn findings(stand: &Stand, gateway: &Gateway) -> Vec<(String, String)> {
    let admin = format!("http://{}", gateway.admin);
    let output = stand.plant.ask_admin(&["verify", "--json", "--admin", &admin]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (text(&finding["law"]), text(&finding["found"])))
        .collect();
    assert_eq!(output.status.code(), Some(if findings.is_empty() { 0 } else { 5 }), "{report}");
    findings
}

#[tokio::test]
async fn every_row_that_was_changed_by_hand_is_named() {
    let stand = Stand::new().await;
    let gateway = stand.open(1_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..100).await;
    placed(&gateway, 100).await;
    assert_eq!(findings(&stand, &gateway).await, []);
    let some = "ORDER BY ticket_id LIMIT 1";
    for (spoil, mend) in [
        (
            format!("UPDATE forebay_orders SET quantity = 2 {some}"),
            format!("UPDATE forebay_orders SET quantity = 1 {some}"),
        ),
        (
            format!("UPDATE forebay_orders SET buyer = CONCAT('x', buyer) {some}"),
            format!("UPDATE forebay_orders SET buyer = SUBSTR(buyer, 2) {some}"),
        ),
        (
            format!("UPDATE forebay_orders SET sku = 'other' {some}"),
            format!("UPDATE forebay_orders SET sku = 'phone' {some}"),
        ),
        (
            format!("UPDATE forebay_orders SET order_no = CONCAT('x', order_no) {some}"),
            format!("UPDATE forebay_orders SET order_no = SUBSTR(order_no, 2) {some}"),
        ),
        (
            format!("UPDATE forebay_orders SET state = 'refused' {some}"),
            format!("UPDATE forebay_orders SET state = 'placed' {some}"),
        ),
        (
            format!("CREATE TABLE kept AS SELECT * FROM forebay_orders {some}"),
            "DROP TABLE kept".to_owned(),
        ),
        (
            format!("DELETE FROM forebay_orders {some}"),
            "INSERT INTO forebay_orders SELECT * FROM kept".to_owned(),
        ),
        (
            format!(
                "INSERT INTO forebay_orders SELECT ticket_id, line + 1, sale, sale_no, order_no, sku, buyer, quantity, state, reason, payload, epoch, sequence, attempt, accepted_at, attempted_at, created_at FROM forebay_orders {some}"
            ),
            "DELETE FROM forebay_orders WHERE line = 2".to_owned(),
        ),
        (
            "UPDATE forebay_stock SET available = available + 1".to_owned(),
            "UPDATE forebay_stock SET available = available - 1".to_owned(),
        ),
        (
            "UPDATE forebay_stock SET initial = initial - 1".to_owned(),
            "UPDATE forebay_stock SET initial = initial + 1".to_owned(),
        ),
    ] {
        if spoil.starts_with("CREATE") {
            stand.tell(&spoil).await;
            continue;
        }
        stand.tell(&spoil).await;
        assert_ne!(findings(&stand, &gateway).await, [], "{spoil}");
        stand.tell(&mend).await;
        assert_eq!(findings(&stand, &gateway).await, [], "{mend}");
    }
    gateway.stop().await.well();
    let offline = stand.plant.run(&["verify", "--offline"]).await;
    assert_eq!(offline.status.code(), Some(0), "{offline:?}");
    stand.tell("UPDATE forebay_stock SET available = available + 1").await;
    let offline = stand.plant.run(&["verify", "--offline"]).await;
    assert_eq!(offline.status.code(), Some(5), "{offline:?}");
}

#[tokio::test]
async fn what_is_broken_ends_a_watch_and_is_counted_by_a_gateway_that_looks_by_itself() {
    let stand = Stand::new().await.set("verify.every=1s");
    let gateway = stand.open(1_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..20).await;
    placed(&gateway, 20).await;
    let admin = format!("http://{}", gateway.admin);
    let words = ["verify", "--watch", "--every", "1s", "--admin", &admin];
    let forebay = Path::new(env!("CARGO_BIN_EXE_forebay"));
    let mut watching = Process::start(forebay, &words, stand.plant.path(), &[]).unwrap();
    let looked = |text: &str| (text.matches("ok: every law holds").count() > 1).then_some(());
    watching.printed(AT_LAST, looked).await.unwrap();
    stand.tell("UPDATE forebay_stock SET available = available + 1").await;
    let broken = |text: &str| (text.contains("BROKEN: ") && text.contains("phone")).then_some(());
    watching.printed(AT_LAST, broken).await.unwrap();
    until("it has ended", async || (!watching.is_running().unwrap()).then_some(())).await;
    until("it is counted", async || {
        (gateway.metric("forebay_invariant_violations_total", "").await > 0.0).then_some(())
    })
    .await;
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_row_that_was_there_before_its_order_is_the_answer_and_is_named() {
    let stand = Stand::new().await;
    let gateway = stand.open(1_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..1).await;
    placed(&gateway, 1).await;
    gateway.admin().pause_drain(true).await.unwrap();
    let answer = order(gateway.public, "one", "ann", "key").await;
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    let columns = "ticket_id, line, sale, sale_no, order_no, sku, buyer, quantity, state, epoch, sequence, attempt, \
                   accepted_at, attempted_at";
    let foreign = format!(
        "INSERT INTO forebay_orders ({columns}) SELECT '{ticket}', 1, sale, sale_no, 'X1', sku, 'bob', 7, state, \
         epoch, 2, 1, NOW(6), NOW(6) FROM forebay_orders LIMIT 1"
    );
    stand.tell(&foreign).await;
    gateway.admin().pause_drain(false).await.unwrap();
    placed(&gateway, 2).await;
    let found = findings(&stand, &gateway).await;
    assert!(
        found.iter().any(|(_, found)| found.contains("bob") || found.contains('7')),
        "{found:?}"
    );
    let rows: Vec<(String, u32)> =
        stand.ask("SELECT order_no, quantity FROM forebay_orders WHERE sequence = 2").await;
    assert_eq!(rows, [("X1".to_owned(), 7)], "nothing was written beside it");
    gateway.stop().await.well();
}

/// `forebay sale redrive`: its exit code and its document.
async fn redriven(stand: &Stand, gateway: &Gateway) -> (Option<i32>, Value) {
    let admin = format!("http://{}", gateway.admin);
    let words = ["sale", "redrive", "one", "--json", "--admin", &admin];
    let output = stand.plant.ask_admin(&words).await;
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[tokio::test]
async fn what_a_server_lost_that_was_put_back_to_an_old_copy_is_found_and_placed_again() {
    let stand = Stand::new().await.set("drain.rate=100/s");
    let gateway = stand.open(1_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..50).await;
    placed(&gateway, 50).await;
    let sound = redriven(&stand, &gateway).await;
    assert_eq!(sound, (Some(0), json!({"looked": 50, "placed": [], "left": []})));
    // As a replica that was promoted without the last transactions: rows and decrements are gone together.
    let last = "ORDER BY sequence DESC LIMIT 5";
    let lost: Vec<(String, String)> =
        stand.ask(&format!("SELECT ticket_id, order_no FROM forebay_orders {last}")).await;
    stand.tell(&format!("DELETE FROM forebay_orders {last}")).await;
    stand.tell("UPDATE forebay_stock SET available = available + 5").await;
    let found = findings(&stand, &gateway).await;
    assert!(found.len() >= 5, "each of the five is named: {found:?}");

    gateway.admin().pause_drain(true).await.unwrap();
    assert_eq!(redriven(&stand, &gateway).await.0, Some(1), "it keeps to the pace of the drain");
    gateway.admin().pause_drain(false).await.unwrap();
    // The stock was put back too far: an order that cannot be placed must not be refused for good.
    stand.tell("UPDATE forebay_stock SET available = 3").await;
    let (exit, told) = redriven(&stand, &gateway).await;
    let counts = ["placed", "left"].map(|list| told[list].as_array().unwrap().len());
    assert_eq!((exit, counts), (Some(1), [3, 2]), "{told}");
    assert_eq!(told["left"][0]["reason"], "the store has 0 units of phone left");
    stand.tell("UPDATE forebay_stock SET available = 952").await;
    let (exit, told) = redriven(&stand, &gateway).await;
    assert_eq!((exit, told["placed"].as_array().unwrap().len()), (Some(0), 2), "{told}");

    assert_eq!(findings(&stand, &gateway).await, []);
    let again: Vec<(String, String)> =
        stand.ask(&format!("SELECT ticket_id, order_no FROM forebay_orders {last}")).await;
    assert_eq!(again, lost, "buyers were told these numbers");
    crowd.proves(&gateway).await;
    gateway.stop().await.well();
}
