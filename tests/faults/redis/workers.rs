//! What goes wrong inside of a drain: a call of the store that never ends, a wall clock that is off, a death in the
//! middle of a batch.

use std::path::Path;

use forebay_loadtest::gateway::Process;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::super::clock::{HOUR, set, with_clock};
use super::super::rig::{Plant, until};
use super::drains::{at_work, carried, ended, gateway, stand};
use super::{Crowded, Gateway, Stand, is_ready, taken};

/// Outcomes of an order's attempts so far, with their reasons.
async fn attempts(gateway: &Gateway, ticket: &str) -> Vec<(String, String)> {
    let shown = gateway.ask(hyper::Method::GET, &format!("/tickets/{ticket}"), None).await;
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    let all = shown["timeline"].as_array().unwrap().iter();
    let attempts = all.filter(|happened| happened["event"] == "attempt");
    attempts.map(|attempt| (text(&attempt["outcome"]), text(&attempt["reason"]))).collect()
}

#[tokio::test]
async fn a_call_of_the_store_that_never_ends_is_given_up_before_its_lease_is() {
    const ORDERS: u64 = 40;
    // One attempt is all an order has: a call without an answer may spend none.
    let stand = Stand::new().await.set("retry.attempts=1").set("drain.workers=4");
    let gateway = stand.open(100).await;
    // The store knows the stock from here on.
    taken(&gateway, "two", "first").await;
    gateway.settled("two").await;
    gateway.faults(json!({"latency_ms": 3_600_000})).await;
    let ticket = taken(&gateway, "two", "ann").await;
    // Nobody waits for the hung call: the order is tried again, and its lease was handed back, not lost.
    let seen = until("the order is tried again", async || {
        let seen = attempts(&gateway, &ticket).await;
        (seen.len() >= 3).then_some(seen)
    })
    .await;
    for (outcome, reason) in &seen[..seen.len() - 1] {
        assert_eq!(outcome, "later", "{seen:?}");
        assert!(reason.contains("no answer"), "{seen:?}");
    }
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..ORDERS).await;
    until("the operator is told", async || {
        (gateway.check("store").await.0 == "degraded").then_some(())
    })
    .await;
    assert_eq!(gateway.ready().await.0, 200, "orders are taken all the same");
    let drain = gateway.ask(hyper::Method::GET, "/drain", None).await;
    assert!(drain["in_flight"].as_u64().unwrap() <= 4 * 6, "{drain}");
    gateway.faults(json!({"latency_ms": 0})).await;
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!((census.placed, census.dead), (ORDERS, 0), "{census:?}");
    assert_eq!(gateway.settled("two").await.placed, 2);
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_drain_whose_wall_clock_is_off_keeps_pace_and_leases() {
    const ORDERS: u64 = 600;
    let stand = stand().await;
    let gateway = gateway(&stand).await;
    let elsewhen = with_clock(stand.plant.clone());
    set(&elsewhen, -HOUR);
    let drain = elsewhen.start_drain().await;
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    // From an hour ago into the present, and into the future, with orders under lease.
    for (placed, ahead) in [(100, 0), (200, HOUR), (300, -HOUR)] {
        at_work(&gateway, placed).await;
        set(&elsewhen, ahead);
    }
    sending.await.unwrap();
    carried(&gateway, &crowd, ORDERS).await;
    let store = Connection::open(gateway.store.join("store.sqlite")).unwrap();
    let of_row = "SELECT max(attempt) FROM forebay_orders";
    let most: u32 = store.query_row(of_row, [], |row| row.get(0)).unwrap();
    assert_eq!(most, 1, "no lease ended before its time");
    let gone = "SELECT min(attempted_at) - min(accepted_at), max(attempted_at) - min(accepted_at) FROM forebay_orders";
    let span: (i64, i64) = store.query_row(gone, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(span.0 >= -1_000_000 && span.1 < 600_000_000, "the ledger's time, not his: {span:?}");
    ended(drain).await;
    gateway.stop().await.well();
}

/// A drain that dies on entering its N-th write to the store's log. It stays our own child.
fn dying(plant: &Plant, n: u64) -> Process {
    let log = plant.store().join("store.sqlite-wal").display().to_string();
    let kill = format!("inject=pwrite64:signal=KILL:when={n}");
    let behind = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", &log];
    plant.spawn_drain(&[&behind[..], &["-e", "trace=pwrite64", "-e", &kill]].concat())
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Whether the log of the store ends within a transaction: its last page is not the last of a commit, or is cut off.
fn is_half_written(store: &Path) -> bool {
    let log = std::fs::read(store.join("store.sqlite-wal")).unwrap_or_default();
    let (mut at, mut half) = (32, false);
    while log.len() >= at + 24 && log[at + 8..at + 16] == log[16..24] {
        half = number(&log, at + 4) == 0;
        at += 24 + number(&log, 8) as usize;
        if log.len() < at {
            return true;
        }
    }
    half
}

#[tokio::test]
async fn a_batch_of_which_half_was_written_is_placed_again_whole() {
    const ORDERS: u64 = 800;
    let stand = Stand::new().await;
    let stand = stand.set("drain.rate=unlimited").set("drain.workers=2").set("drain.batch=20");
    let gateway = gateway(&stand).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..ORDERS).await;
    assert_eq!(crowd.answered(202), ORDERS);
    let (mut deaths, mut half) = (0, 0);
    for n in (9..).step_by(8) {
        let mut drain = dying(&stand.plant, n);
        let killed = until("it dies, or has nothing left to do", async || {
            if !drain.is_running().unwrap() {
                return Some(true);
            }
            let census = gateway.admin().census("one").await.ok()?;
            (census.unsettled() == 0).then_some(false)
        })
        .await;
        if !killed {
            ended(drain).await;
            break;
        }
        deaths += 1;
        half += u32::from(is_half_written(&stand.plant.store()));
    }
    assert!(deaths >= 10 && half >= 5, "{deaths} deaths, {half} in the middle of a batch");
    let other = stand.plant.start_drain().await;
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!((census.placed, census.dead), (ORDERS, 0), "{census:?}");
    ended(other).await;
    gateway.stop().await.well();
    is_ready(&stand.plant.start().await).await;
}
