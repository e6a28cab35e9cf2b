//! The server's memory is full: no order is taken, and what was taken is drained.

use super::super::rig::until;
use super::super::wire::order;
use super::{Crowded, Stand, is_ready, is_unready, refused, taken, ticket};

#[tokio::test]
async fn a_full_server_takes_no_order_and_drains_what_it_has() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    gateway.admin().pause_drain(true).await.unwrap();
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..50).await;
    assert_eq!(crowd.answered(202), 50);
    let waiting = taken(&gateway, "two", "waits").await;

    stand.config("maxmemory", "1mb").await;
    let answer = order(gateway.public, "two", "ann", "key").await;
    refused(&answer, "ledger_unavailable", "maxmemory");
    is_unready(&gateway, "maxmemory").await;
    assert_eq!(ticket(&gateway, &waiting).await.1["state"], "queued", "polls go on");
    let before = gateway.admin().census("two").await.unwrap();
    assert_eq!((before.accepted, before.items[0].held), (1, 1), "nothing was taken");
    // Another process can come to help.
    let drain = stand.plant.start_drain().await;
    gateway.admin().pause_drain(false).await.unwrap();
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!(census.placed, 50, "{census:?}");
    assert_eq!(gateway.settled("two").await.placed, 1);
    let told = async || (ticket(&gateway, &waiting).await.1["state"] == "placed").then_some(());
    until("outcomes are told", told).await;

    stand.config("maxmemory", "0").await;
    is_ready(&gateway).await;
    taken(&gateway, "two", "ann").await;
    drop(drain);
    gateway.stop().await.well();
}
