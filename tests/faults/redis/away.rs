//! The server is not there at the start, or its connections end: the process lives, says so, and heals.

use forebay_loadtest::proxy::{Fault, Proxy};

use super::super::ledger::nobody;
use super::super::rig::{AT_LAST, until};
use super::super::wire::order;
use super::{
    Crowded, Gateway, Stand, is_ready, is_unready, plant_at, refused, taken, ticket, until_refused,
};

#[tokio::test]
async fn a_server_that_comes_late_is_used_as_soon_as_it_is_there() {
    let (_bound, away) = nobody();
    let stand = Stand::new().await;
    let proxy = Proxy::start(away).unwrap();
    let gateway = plant_at(&format!("redis://{}", proxy.address())).start().await;
    assert_eq!(gateway.read("/livez").await.status, 200);
    is_unready(&gateway, &proxy.address().to_string()).await;
    refused(&order(gateway.public, "one", "ann", "key").await, "ledger_unavailable", "Redis");
    // An ordinary start says nothing of its ledger; this one does.
    said(&gateway, "has to wait for the ledger").await;
    proxy.set_upstream(stand.redis.address());
    is_ready(&gateway).await;
    said(&gateway, "done, the ledger is there").await;
    gateway.sale("one", 100).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..20).await;
    assert_eq!(crowd.proves(&gateway).await.census.unwrap().placed, 20);
    gateway.stop().await.well();
}

/// Waits until the log says this.
async fn said(gateway: &Gateway, words: &str) {
    let said = |text: &str| text.contains(words).then_some(());
    gateway.process.printed(AT_LAST, said).await.unwrap();
}

/// Cut, silent and black: what is under way is in doubt and asked again, what comes meanwhile is refused.
#[tokio::test]
async fn connections_that_break_fall_silent_or_lead_nowhere_lose_and_double_nothing() {
    let stand = Stand::new().await.set("public.order_deadline=1s");
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    let first = taken(&gateway, "two", "ann").await;
    // Its end is read once, and known from then on.
    until("it is placed", async || {
        (ticket(&gateway, &first).await.1["state"] == "placed").then_some(())
    })
    .await;
    for (round, faults) in [
        vec![Fault::refuse()],
        vec![Fault::stall(), Fault::blackhole()],
        vec![Fault::stall(), Fault::refuse()],
    ]
    .into_iter()
    .enumerate()
    {
        let from = 1_000 * round as u64 + 1;
        let sending = crowd.ordering(&gateway, from..from + 1_000);
        crowd.ended(from + 100).await;
        faults.into_iter().for_each(|fault| drop(stand.proxy.inject(fault)));
        if round == 0 {
            stand.proxy.reset();
        }
        is_unready(&gateway, &stand.proxy.address().to_string()).await;
        assert_eq!(gateway.read("/livez").await.status, 200);
        assert_eq!(ticket(&gateway, &first).await.0, 200, "what is known is told");
        until_refused(&gateway, "Redis").await;
        stand.proxy.clear();
        stand.proxy.reset();
        sending.await.unwrap();
        is_ready(&gateway).await;
    }
    assert!(gateway.metric("forebay_redis_reconnects_total", "").await >= 3.0);
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!(census.placed, census.accepted, "{census:?}");
    assert!(census.placed > 200, "{census:?}");
    gateway.stop().await.well();
}
