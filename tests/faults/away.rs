//! The store is away, or answers too late: nothing dies or doubles, and the pace is kept when it is back.

use forebay_loadtest::drive::{look, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::wire::full::FullWire;
use serde_json::{Value, json};

use super::proof::keeps_pace;
use super::rig::{Gateway, Plant, pass, seconds, until};

/// The check of the store in `/readyz`.
async fn store_check(gateway: &Gateway) -> (u16, Value, Value) {
    let (status, document) = gateway.ready().await;
    let checks = document["checks"].as_array().unwrap();
    let store = checks.iter().find(|check| check["name"] == "store").unwrap().clone();
    (status, document["status"].clone(), store)
}

#[tokio::test]
async fn a_store_that_is_away_kills_no_order_and_is_not_flooded_when_it_is_back() {
    const ORDERS: u64 = 1_000;
    // One attempt that counted would be the last.
    let gateway = Plant::new().set("drain.rate=500/s").set("retry.attempts=1").start().await;
    gateway.sale("one", 2 * ORDERS).await;
    let crowd = Crowd::new("away", 1);
    let history = shared(History::default());
    let drive = gateway.drive(&OrderForm::new("one", "phone", crowd.clone()), 16);
    // The store has the stock from here on.
    drive.run::<FullWire, History>(0..1, history.clone()).await;
    gateway.settled("one").await;
    gateway.faults(json!({"outage": true})).await;
    drive.run::<FullWire, History>(1..ORDERS + 1, history.clone()).await;
    let taken = look(&history).tally().with_status(202);
    assert_eq!(taken, ORDERS + 1, "orders are taken all the same");
    until("the breaker opens", async || {
        (gateway.metric("forebay_breaker_state", "state=\"open\"").await > 0.0).then_some(())
    })
    .await;
    let (status, worst, store) = store_check(&gateway).await;
    assert_eq!((status, worst), (200, json!("degraded")), "traffic may come");
    assert_eq!(store["status"], "degraded");
    assert!(store["reason"].as_str().unwrap().contains("2003 connection refused"), "{store}");
    let before = gateway.metric("forebay_drain_attempts_total", "").await;
    let outage = seconds(4, 60);
    pass(outage).await;
    let probes = gateway.metric("forebay_drain_attempts_total", "").await - before;
    assert!(probes > 0.0, "it is tried whether the store is back");
    assert!(probes <= 10.0 * outage.as_secs_f64(), "{probes} probes in {outage:?}");
    let census = gateway.admin().census("one").await.unwrap();
    assert_eq!((census.dead, census.refused, census.placed), (0, 0, 1), "{census:?}");
    assert_eq!(census.unsettled(), ORDERS);

    gateway.faults(json!({"outage": false})).await;
    let evidence = gateway.proves(&crowd, "one", &history).await;
    assert_eq!(evidence.census.unwrap().placed, ORDERS + 1);
    keeps_pace(&evidence.tickets.unwrap(), 500.0);
    let (status, worst, store) = store_check(&gateway).await;
    assert_eq!((status, worst, &store["status"]), (200, json!("ready"), &json!("ready")));
    gateway.stop().await.well();
}

#[tokio::test]
async fn answers_after_the_attempts_time_out_place_every_order_once() {
    const ORDERS: u64 = 40;
    let gateway = Plant::new()
        .set("drain.rate=100/s")
        .set("drain.attempt_timeout=300ms")
        .set("drain.lease=3s")
        .start()
        .await;
    gateway.sale("one", 1_000).await;
    let crowd = Crowd::new("late", 1);
    let history = shared(History::default());
    let drive = gateway.drive(&OrderForm::new("one", "phone", crowd.clone()), 4);
    drive.run::<FullWire, History>(0..1, history.clone()).await;
    gateway.settled("one").await;

    // The answer comes after the time-out, and the question about it has an answer in time.
    gateway.faults(json!({"latency_ms": 600})).await;
    drive.run::<FullWire, History>(1..ORDERS, history.clone()).await;
    let evidence = gateway.proves(&crowd, "one", &history).await;
    assert_eq!(evidence.census.unwrap().placed, ORDERS);
    keeps_pace(&evidence.tickets.unwrap(), 100.0);

    // Neither has: the leases end, and the late writes meet the next attempts.
    gateway.faults(json!({"latency_ms": 4_000})).await;
    drive.run::<FullWire, History>(ORDERS..2 * ORDERS, history.clone()).await;
    until("attempts are given up", async || {
        let retries = gateway.metric("forebay_store_retries_total", "reason=\"timeout\"").await;
        (retries > 0.0).then_some(())
    })
    .await;
    let census = gateway.admin().census("one").await.unwrap();
    assert_eq!((census.dead, census.refused), (0, 0), "{census:?}");
    gateway.faults(json!({"latency_ms": 0})).await;
    let evidence = gateway.proves(&crowd, "one", &history).await;
    assert_eq!(evidence.census.unwrap().placed, 2 * ORDERS);
    keeps_pace(&evidence.tickets.unwrap(), 100.0);
    gateway.stop().await.well();
}
