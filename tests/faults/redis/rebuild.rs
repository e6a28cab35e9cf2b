//! A sale's data are destroyed while it runs, or the server loses what only the store still knows: everything comes back
//! that a process remembers or the store has.

use super::super::rig::{Gateway, until};
use super::{Crowded, Stand, is_ready, taken, ticket, until_refused, until_status};

/// `forebay sale rebuild`, as an operator would.
async fn rebuild(stand: &Stand, gateway: &Gateway, sale: &str) -> std::process::Output {
    let admin = format!("http://{}", gateway.admin);
    stand.plant.ask_admin(&["sale", "rebuild", sale, "--admin", &admin]).await
}

async fn rebuilt(stand: &Stand, gateway: &Gateway, sale: &str) {
    let output = rebuild(stand, gateway, sale).await;
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn a_sale_whose_keys_were_all_deleted_is_made_anew_and_loses_nothing() {
    let stand = Stand::new().await.set("drain.rate=200/s");
    let gateway = stand.open(100_000).await;
    // It has a part in it without being told.
    let other = stand.plant.start().await;
    is_ready(&other).await;
    let (crowd, others) = (Crowded::of("one"), Crowded::of("two"));
    crowd.order(&gateway, 0..300).await;
    others.order(&other, 0..300).await;
    let output = rebuild(&stand, &gateway, "one").await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the sale is whole"), "{said}");

    let sending = crowd.ordering(&gateway, 300..2_000);
    crowd.ended(400).await;
    assert_eq!(stand.tell(&["FLUSHALL"]).await, "OK");
    until_refused(&gateway, "not in Redis").await;
    for sale in ["one", "two", "demo"] {
        rebuilt(&stand, &gateway, sale).await;
    }
    sending.await.unwrap();
    for gateway in [&gateway, &other] {
        until_status(gateway, 200).await;
    }
    crowd.takes_again(&other, 2_000).await;
    others.takes_again(&other, 300).await;
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert!(census.placed >= 400 && census.lost == 0 && census.epoch > 1, "{census:?}");
    assert!(others.proves(&other).await.census.unwrap().placed >= 300);
    other.stop().await.well();
    gateway.stop().await.well();
}

#[tokio::test]
async fn what_only_the_store_knows_of_lost_orders_is_believed() {
    let mut stand = Stand::new().await.set("drain.rate=200/s");
    let gateway = stand.open(10).await;
    let drain = stand.plant.start_drain().await;
    // What comes now is lost with the server.
    assert_eq!(stand.tell(&["SAVE"]).await, "OK");
    let mut tickets = Vec::new();
    for buyer in ["ann", "bob", "cid"] {
        tickets.push(taken(&gateway, "one", buyer).await);
    }
    assert_eq!(gateway.settled("one").await.placed, 3);
    // And nobody is left who remembers it.
    drop(gateway);
    stand.redis.kill().await.unwrap();
    stand.redis.start_again().await.unwrap();
    let gateway = stand.plant.clone().role("gateway").start().await;
    until_status(&gateway, 200).await;
    for bought in &tickets {
        until("the store's word is the ticket's", async || {
            (ticket(&gateway, bought).await.1["state"] == "placed").then_some(())
        })
        .await;
    }
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..20).await;
    assert_eq!(crowd.answered(202), 7, "the rest and no more");
    let census = gateway.settled("one").await;
    assert_eq!((census.placed, census.lost, census.epoch), (10, 0, 2), "{census:?}");
    let report = gateway.admin().verify().await.unwrap();
    assert!(report.ok, "{report:?}");
    gateway.stop().await.well();
    drop(drain);
}
