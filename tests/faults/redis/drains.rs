//! Processes that share a ledger: gateways take orders, drains carry them, and any of them may die, stand still or join.

use forebay_loadtest::gateway::Process;
use hyper::Method;
use rustix::process::Signal;
use serde_json::json;

use super::super::proof::keeps_pace;
use super::super::rig::{AT_LAST, pass, seconds, until};
use super::super::wire::order;
use super::{Crowded, Gateway, Stand, is_ready, refused_for_now, signal, until_status};

pub(super) const RATE: f64 = 200.0;

/// A gateway without a drain, and a sale.
pub(super) async fn gateway(stand: &Stand) -> Gateway {
    let gateway = stand.plant.clone().role("gateway").start().await;
    until_status(&gateway, 200).await;
    gateway.sale("one", 10_000).await;
    gateway
}

/// A stand at which drains keep this rate, and attempts last so long that there are always some under way.
pub(super) async fn stand() -> Stand {
    Stand::new().await.set("drain.rate=200/s").set("store.simulated.server.exchange_micros=60000")
}

/// Waits until so many orders were placed, and some are under a lease.
pub(super) async fn at_work(gateway: &Gateway, placed: u64) {
    until(&format!("{placed} orders are placed, and others on their way"), async || {
        let census = gateway.admin().census("one").await.ok()?;
        (census.placed >= placed && census.placing > 0).then_some(())
    })
    .await;
}

/// So many orders are placed, no other way than all that ever was seen of them says, and at the drains' rate.
pub(super) async fn carried(gateway: &Gateway, crowd: &Crowded, placed: u64) {
    let evidence = crowd.proves(gateway).await;
    assert_eq!(evidence.census.unwrap().placed, placed);
    keeps_pace(&evidence.tickets.unwrap(), RATE);
}

#[tokio::test]
async fn drains_that_are_killed_lose_and_double_nothing() {
    const ORDERS: u64 = 600;
    let stand = stand().await;
    let gateway = gateway(&stand).await;
    let (mut first, second) = (stand.plant.start_drain().await, stand.plant.start_drain().await);
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    for round in 1..=3 {
        at_work(&gateway, 100 * round).await;
        first.kill().await.unwrap();
        first = stand.plant.start_drain().await;
    }
    sending.await.unwrap();
    carried(&gateway, &crowd, ORDERS).await;
    ended(first).await;
    ended(second).await;
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_drain_that_stands_still_beyond_its_leases_changes_nothing_when_it_goes_on() {
    const ORDERS: u64 = 800;
    let stand = stand().await;
    let gateway = gateway(&stand).await;
    let (first, second) = (stand.plant.start_drain().await, stand.plant.start_drain().await);
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    at_work(&gateway, 100).await;
    signal(&first, Signal::STOP);
    // The lease is two seconds long.
    pass(seconds(3, 10)).await;
    signal(&first, Signal::CONT);
    sending.await.unwrap();
    carried(&gateway, &crowd, ORDERS).await;
    ended(first).await;
    ended(second).await;
    gateway.stop().await.well();
}

#[tokio::test]
async fn without_a_drain_no_more_is_accepted_than_can_be_carried_in_time() {
    let stand = stand().await.set("queue.max_wait=1s");
    let gateway = gateway(&stand).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..400).await;
    let accepted = crowd.answered(202);
    assert_eq!(accepted, 200, "a second at the drain's rate");
    let answer = order(gateway.public, "one", "late", "key").await;
    refused_for_now(&answer, "backlog_full");
    let census = gateway.admin().census("one").await.unwrap();
    assert_eq!((census.accepted, census.placed), (accepted, 0), "{census:?}");
    let drain = stand.plant.start_drain().await;
    carried(&gateway, &crowd, accepted).await;
    ended(drain).await;
    gateway.stop().await.well();
}

#[tokio::test]
async fn an_order_that_cannot_be_placed_is_set_aside_and_stops_no_other() {
    let stand = stand().await.set("retry.attempts=2");
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..5).await;
    gateway.settled("one").await;
    gateway.faults(json!({"error_rate": 1.0, "error_code": 1205})).await;
    crowd.order(&gateway, 5..8).await;
    until("they are set aside", async || {
        (gateway.admin().census("one").await.ok()?.dead == 3).then_some(())
    })
    .await;
    assert!(gateway.metric("forebay_dead_orders", "sale=\"one\"").await > 2.5);
    gateway.faults(json!({"error_rate": 0.0})).await;
    crowd.order(&gateway, 8..20).await;
    until("the others are placed", async || {
        (gateway.admin().census("one").await.ok()?.placed == 17).then_some(())
    })
    .await;
    let retried = gateway.ask(Method::POST, "/sales/one/dead/all/retry", Some(json!({}))).await;
    assert_eq!(retried["changed"], 3, "{retried}");
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!((census.placed, census.dead), (20, 0), "{census:?}");
    gateway.stop().await.well();
}

#[tokio::test]
async fn drains_that_join_and_leave_share_one_pace() {
    const ORDERS: u64 = 800;
    let stand = stand().await;
    let gateway = gateway(&stand).await;
    let first = stand.plant.start_drain().await;
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    at_work(&gateway, 100).await;
    let (second, third) = (stand.plant.start_drain().await, stand.plant.start_drain().await);
    at_work(&gateway, 300).await;
    ended(first).await;
    ended(third).await;
    sending.await.unwrap();
    carried(&gateway, &crowd, ORDERS).await;
    ended(second).await;
    gateway.stop().await.well();
    is_ready(&stand.plant.start().await).await;
}

/// It ends in order when it is asked to.
pub(super) async fn ended(mut drain: Process) {
    let status = drain.stop(AT_LAST).await.unwrap();
    let said = drain.text().await;
    assert!(status.success() && !said.contains("panicked"), "{status}\n{said}");
}
