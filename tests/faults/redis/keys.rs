//! Somebody's hand is in the data: functions flushed, keys deleted or overwritten. The sale that it hits is halted with
//! a reason, and every other one goes on.

use forebay_loadtest::store::read_store;
use serde_json::json;

use super::super::rig::until;
use super::super::wire::order;
use super::{Crowded, Gateway, Stand, refused, taken};

#[tokio::test]
async fn functions_that_are_flushed_are_loaded_again() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    for round in 0..3 {
        let from = 200 * round;
        let sending = crowd.ordering(&gateway, from..from + 200);
        crowd.ended(from + 20).await;
        assert_eq!(stand.tell(&["FUNCTION", "FLUSH"]).await, "OK");
        taken(&gateway, "two", &format!("buyer-{round}")).await;
        sending.await.unwrap();
    }
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!(census.placed, census.accepted, "{census:?}");
    assert!(census.placed > 300, "few orders met it: {census:?}");
    gateway.stop().await.well();
}

/// A sale for each key, with orders that wait for their next attempt, and one that was never claimed.
async fn sales(gateway: &Gateway, keys: &[&str]) -> Vec<String> {
    gateway.faults(json!({"error_rate": 1.0, "error_code": 1205})).await;
    let sales: Vec<String> = keys.iter().map(|key| format!("without-{key}")).collect();
    for sale in &sales {
        gateway.sale(sale, 100).await;
        for buyer in ["ann", "bob", "cid"] {
            taken(gateway, sale, buyer).await;
        }
        until("its orders wait for their next attempt", async || {
            (gateway.admin().census(sale).await.ok()?.placing == 3).then_some(())
        })
        .await;
    }
    // And one in each that nobody claims.
    gateway.ask(hyper::Method::PATCH, "/drain", Some(json!({"paused": true}))).await;
    for sale in &sales {
        taken(gateway, sale, "dan").await;
    }
    sales
}

/// Each sale is halted for a reason that buyer and operator are told; another one is sold to its end.
async fn halts(stand: &Stand, keys: &[&str], damage: impl AsyncFn(String)) {
    let gateway = stand.open(10).await;
    let sales = sales(&gateway, keys).await;
    for (sale, key) in sales.iter().zip(keys) {
        damage(stand.key(sale, key).await).await;
    }
    gateway.faults(json!({"error_rate": 0.0})).await;
    gateway.ask(hyper::Method::PATCH, "/drain", Some(json!({"paused": false}))).await;
    for sale in &sales {
        for buyer in ["dora", "ann"] {
            let answer = order(gateway.public, sale, buyer, "key").await;
            refused(&answer, "ledger_unavailable", "the sale is halted");
        }
        until(&format!("the operator is told of {sale}"), async || {
            let (status, reason) = gateway.check("drain").await;
            (status == "degraded" && reason.contains(&format!("{sale}: the sale is halted")))
                .then_some(())
        })
        .await;
    }
    assert_eq!(gateway.ready().await.0, 200, "traffic for the others may come");
    sells_out(&gateway, "one").await;
    // Nor does it keep another process from its work.
    let other = stand.plant.start().await;
    super::until_status(&other, 200).await;
    other.phase("two", "open").await;
    sells_out(&other, "two").await;
    // Nor one whose file names them.
    let items = "items = [{ sku = \"phone\", stock = 100 }]";
    let named = sales.iter().map(|sale| format!("[[sale]]\nname = \"{sale}\"\n{items}\n"));
    let file = stand.plant.path().join("forebay.toml");
    std::fs::write(&file, named.collect::<String>()).unwrap();
    let third = stand.plant.clone().variable("FOREBAY_CONFIG", file.display().to_string());
    let third = third.start().await;
    super::until_status(&third, 200).await;
    third.stop().await.well();
    for sale in &sales {
        let rows = read_store(&gateway.store, sale).unwrap().rows;
        assert!(rows.len() <= 3, "what was under way at most: {sale}: {rows:?}");
    }
    gateway.is_whole().await;
    other.stop().await.well();
    gateway.stop().await.well();
}

async fn sells_out(gateway: &Gateway, sale: &'static str) {
    let crowd = Crowded::of(sale);
    crowd.order(gateway, 0..20).await;
    assert_eq!(crowd.answered(202), 10);
    assert_eq!(gateway.settled(sale).await.placed, 10);
    let rows = read_store(&gateway.store, sale).unwrap().rows;
    assert_eq!(rows.iter().filter(|row| row.sells()).count(), 10, "{rows:?}");
}

#[tokio::test]
async fn a_key_that_was_deleted_halts_its_sale_and_no_other() {
    let stand = Stand::new().await.set("retry.base=1s");
    halts(&stand, &["m", "b", "q", "due", "a"], async |key| {
        assert_eq!(stand.tell(&["DEL", &key]).await, "1", "{key}");
    })
    .await;
}

#[tokio::test]
async fn a_key_of_another_type_halts_its_sale_and_no_other() {
    let stand = Stand::new().await.set("retry.base=1s");
    halts(&stand, &["m", "b", "q", "due", "a", "ev"], async |key| {
        assert_eq!(stand.tell(&["SET", &key, "not ours"]).await, "OK", "{key}");
    })
    .await;
}
