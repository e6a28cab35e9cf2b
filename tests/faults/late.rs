//! S4 at the running process: a write that reaches the store after its order was decided changes nothing.
//!
//! A call of the simulated store takes the latency that was in force when it began, and then its effect, whether
//! or not anybody still waits. So an attempt under a long latency is a worker that was paused before its write.

use hyper::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::rig::{Gateway, Plant, until};
use super::wire::order;

/// Longer than everything that must happen before the late write comes.
const LATE_MS: u64 = 5_000;
/// Begun half a second after the late one at the earliest, it ends behind it.
const BEHIND_MS: u64 = 4_900;

/// A store row as (line, state, has a sku, has an order number).
type Row = (u32, String, bool, bool);

fn rows(gateway: &Gateway, ticket: &str) -> Vec<Row> {
    let store = Connection::open(gateway.store.join("store.sqlite")).unwrap();
    let sql = "SELECT line, state, sku IS NOT NULL, order_no IS NOT NULL FROM forebay_orders
               WHERE ticket_id = ?1 ORDER BY line";
    let mut statement = store.prepare(sql).unwrap();
    let of = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    statement.query_map([ticket], of).unwrap().map(Result::unwrap).collect()
}

/// Units that the store has left.
fn left(gateway: &Gateway) -> i64 {
    let store = Connection::open(gateway.store.join("store.sqlite")).unwrap();
    store.query_row("SELECT available FROM forebay_stock", [], |row| row.get(0)).unwrap()
}

async fn start(plant: Plant) -> Gateway {
    let plant = plant.set("drain.attempt_timeout=500ms").set("drain.lease=2s");
    let gateway = plant.start().await;
    gateway.sale("one", 10).await;
    // The store has the stock from here on.
    let ticket = ticket_of(&gateway, "first").await;
    state(&gateway, &ticket, "placed").await;
    gateway
}

/// Orders one phone; answers the ticket.
async fn ticket_of(gateway: &Gateway, buyer: &str) -> String {
    let answer = order(gateway.public, "one", buyer, "key").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

/// Orders while the store takes long, and waits until the attempt is there.
async fn attempted(gateway: &Gateway, buyer: &str, latency: u64) -> String {
    gateway.faults(json!({"latency_ms": latency})).await;
    let ticket = ticket_of(gateway, buyer).await;
    until("the attempt is at the store", async || (gateway.in_flight().await == 1).then_some(()))
        .await;
    gateway.faults(json!({"latency_ms": 0})).await;
    ticket
}

async fn state(gateway: &Gateway, ticket: &str, wanted: &str) {
    until(&format!("{ticket} is {wanted}"), async || {
        let shown: Value = gateway.ask(Method::GET, &format!("/tickets/{ticket}"), None).await;
        (shown["state"] == wanted || shown["ticket"]["state"] == wanted).then_some(())
    })
    .await;
}

/// Waits until the late write must have come: the store's one thread writes in the order in which calls end, and
/// this order's first attempt, which nothing else can place, ends behind it.
async fn late_write_came(gateway: &Gateway) {
    gateway.faults(json!({"latency_ms": BEHIND_MS})).await;
    let ticket = ticket_of(gateway, "behind").await;
    until("the attempt is at the store", async || (gateway.in_flight().await == 1).then_some(()))
        .await;
    gateway.faults(json!({"latency_ms": 0, "outage": true})).await;
    until("the one behind is written", async || (!rows(gateway, &ticket).is_empty()).then_some(()))
        .await;
    gateway.faults(json!({"outage": false})).await;
    state(gateway, &ticket, "placed").await;
}

#[tokio::test]
async fn a_worker_that_writes_after_its_order_was_placed_again_adds_no_row() {
    let gateway = start(Plant::new()).await;
    let ticket = attempted(&gateway, "paused", LATE_MS).await;
    assert!(rows(&gateway, &ticket).is_empty(), "the worker has not written yet");
    state(&gateway, &ticket, "placed").await;
    let placed = vec![(1, "placed".to_owned(), true, true)];
    assert_eq!((rows(&gateway, &ticket), left(&gateway)), (placed.clone(), 8));
    late_write_came(&gateway).await;
    assert_eq!((rows(&gateway, &ticket), left(&gateway)), (placed, 7), "one row, one unit each");
    let census = gateway.settled("one").await;
    assert_eq!((census.placed, census.items[0].sold), (3, 3));
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_worker_that_writes_after_its_order_was_voided_changes_nothing() {
    let gateway = start(Plant::new().set("retry.attempts=1")).await;
    let ticket = attempted(&gateway, "paused", LATE_MS).await;
    // The next attempt is answered about this order, which has only one: it is dead.
    gateway.faults(json!({"error_rate": 1.0, "error_code": 1205})).await;
    state(&gateway, &ticket, "dead").await;
    gateway.faults(json!({"error_rate": 0.0})).await;
    assert!(rows(&gateway, &ticket).is_empty(), "the worker has not written yet");
    let path = format!("/sales/one/dead/{ticket}/refuse");
    let refused = gateway.ask(Method::POST, &path, Some(json!({}))).await;
    assert_eq!((&refused["refused"], &refused["placed"]), (&json!(1), &json!(0)), "{refused}");
    let void = vec![(1, "void".to_owned(), false, false)];
    assert_eq!((rows(&gateway, &ticket), left(&gateway)), (void.clone(), 9));
    let census = gateway.admin().census("one").await.unwrap();
    assert_eq!((census.refused, census.items[0].available), (1, 9), "the unit came back");
    late_write_came(&gateway).await;
    assert_eq!((rows(&gateway, &ticket), left(&gateway)), (void, 8), "S4");
    state(&gateway, &ticket, "refused").await;
    let census = gateway.settled("one").await;
    assert_eq!((census.refused, census.placed, census.dead), (1, 2, 0));
    assert_eq!((census.items[0].available, census.items[0].sold), (8, 2), "it came back once");
    gateway.stop().await.well();
}
