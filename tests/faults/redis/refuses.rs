//! The server is there and takes no writes, or is not what it must be any more: said to buyer and operator, and healed.

use super::super::ledger::nobody;
use super::super::rig::until;
use super::super::wire::order;
use super::{Crowded, Gateway, Stand, is_ready, is_unready, refused, taken, until_refused};

/// While it lasts orders are refused for a reason, and the operator reads the same; nothing is taken. `over` ends it.
async fn refuses(stand: &Stand, gateway: &Gateway, word: &str, over: &[&[&str]]) {
    is_unready(gateway, word).await;
    let answer = order(gateway.public, "two", "somebody", "key").await;
    refused(&answer, "ledger_unavailable", word);
    for words in over {
        stand.tell(words).await;
    }
    is_ready(gateway).await;
    taken(gateway, "two", &format!("after {word}")).await;
}

#[tokio::test]
async fn writes_that_are_refused_are_told_and_taken_up_again() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..20).await;

    stand.config("min-replicas-to-write", "1").await;
    let over: &[&[&str]] = &[&["CONFIG", "SET", "min-replicas-to-write", "0"]];
    refuses(&stand, &gateway, "too few replicas", over).await;

    // A dump that cannot be written: a directory has its name.
    std::fs::create_dir(stand.redis.directory().join("dump.rdb")).unwrap();
    stand.config("save", "3600 1").await;
    stand.tell(&["BGSAVE"]).await;
    refuses(&stand, &gateway, "cannot write its data to disk", &[&["CONFIG", "SET", "save", ""]])
        .await;

    let (_bound, away) = nobody();
    let (host, port) = (away.ip().to_string(), away.port().to_string());
    stand.tell(&["REPLICAOF", &host, &port]).await;
    refuses(&stand, &gateway, "url must name the primary", &[&["REPLICAOF", "NO", "ONE"]]).await;

    crowd.order(&gateway, 20..40).await;
    assert_eq!(crowd.proves(&gateway).await.census.unwrap().placed, 40);
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_server_that_would_throw_orders_away_is_not_used_any_longer() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..20).await;
    stand.config("maxmemory-policy", "allkeys-lru").await;
    let over: &[&[&str]] = &[&["CONFIG", "SET", "maxmemory-policy", "noeviction"]];
    refuses(&stand, &gateway, "maxmemory-policy allkeys-lru", over).await;
    crowd.order(&gateway, 20..40).await;
    assert_eq!(crowd.proves(&gateway).await.census.unwrap().placed, 40);
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_waited_for() {
    let stand = Stand::new().await.set("public.order_deadline=1s");
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..20).await;
    let mut operator = stand.redis.client().await.unwrap();
    let filling = "x".repeat(3_000);
    for number in 0..400 {
        operator.ask(&["SET", &format!("filling:{number}"), &filling]).await.unwrap();
    }
    stand.config("key-load-delay", "10000").await;
    stand.config("loading-process-events-interval-bytes", "1024").await;
    operator.send(&["DEBUG", "RELOAD"]).await.unwrap();
    // Somebody else each time: nobody may ask so often.
    let mut early = 0;
    until("orders are refused", async || {
        early += 1;
        let answer = order(gateway.public, "two", &format!("early-{early}"), "key").await;
        let reason = answer.json()["reason"].as_str().unwrap_or_default().to_owned();
        reason.contains("loading its data").then_some(())
    })
    .await;
    operator.receive().await.unwrap();
    is_ready(&gateway).await;
    taken(&gateway, "two", "ann").await;
    crowd.order(&gateway, 20..40).await;
    assert_eq!(crowd.proves(&gateway).await.census.unwrap().placed, 40);
    gateway.stop().await.well();
}

#[tokio::test]
async fn without_a_connection_left_orders_are_refused_until_there_is_one() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..20).await;
    let mut operator = stand.redis.client().await.unwrap();
    operator.ask(&["CONFIG", "SET", "maxclients", "1"]).await.unwrap();
    stand.proxy.reset();
    is_unready(&gateway, "cannot be reached").await;
    until_refused(&gateway, "cannot be reached").await;
    operator.ask(&["CONFIG", "SET", "maxclients", "1000"]).await.unwrap();
    is_ready(&gateway).await;
    taken(&gateway, "two", "ann").await;
    crowd.order(&gateway, 20..40).await;
    assert_eq!(crowd.proves(&gateway).await.census.unwrap().placed, 40);
    gateway.stop().await.well();
}
