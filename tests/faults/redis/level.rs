//! What an accepted order survives is what its 202 says, or there is no 202.

use forebay_loadtest::redis::{Aof, Options, Redis};
use hyper::Method;

use super::super::rig::until;
use super::super::wire::order;
use super::{Crowded, Stand, is_ready, is_unready, refused};

/// Major and minor version of the server.
async fn version(redis: &Redis) -> (u32, u32) {
    let info = redis.ask(&["INFO", "server"]).await.unwrap().text();
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap();
    let mut parts = version.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

#[tokio::test]
async fn on_disk_is_promised_only_where_the_server_can_keep_it() {
    let options = Options::default().aof(Aof::EverySecond);
    let stand = Stand::of(&options).await.set("ledger.redis.durability=disk");
    let waits_for_disk = version(&stand.redis).await >= (7, 2);
    let gateway = stand.plant.start().await;
    if !waits_for_disk {
        is_unready(&gateway, "appendfsync always").await;
        let answer = order(gateway.public, "one", "ann", "key").await;
        refused(&answer, "ledger_unavailable", "appendfsync always");
        stand.config("appendfsync", "always").await;
    }
    is_ready(&gateway).await;
    gateway.sale("one", 100).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..20).await;
    assert_eq!(crowd.proves(&gateway).await.census.unwrap().placed, 20);
    gateway.sale("two", 100).await;
    let answer = order(gateway.public, "two", "ann", "key").await;
    assert_eq!(answer.json()["durability"], "disk", "{answer:?}");
    let said = stand.tell(&["INFO", "commandstats"]).await;
    assert_eq!(said.contains("cmdstat_waitaof"), waits_for_disk, "{said}");
    gateway.stop().await.well();
}

#[tokio::test]
async fn without_its_replica_no_order_is_acknowledged_and_the_first_tickets_come_when_it_is_back() {
    const ORDERS: u64 = 24;
    let stand = Stand::new().await.set("ledger.redis.durability=replicated");
    let stand = stand.set("public.order_deadline=1s");
    let copies = Options { replica_of: Some(stand.redis.address()), ..Options::default() };
    let mut replica = Redis::start(&copies).await.unwrap();
    let linked = async || {
        let info = stand.tell(&["INFO", "replication"]).await;
        info.contains("state=online").then_some(())
    };
    until("the replica follows", linked).await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..ORDERS).await;
    let before = gateway.settled("one").await;
    assert_eq!((before.accepted, before.placed), (ORDERS, ORDERS), "{before:?}");
    let answer = order(gateway.public, "two", "ann", "key").await;
    assert_eq!(answer.json()["durability"], "replicated", "{answer:?}");

    replica.kill().await.unwrap();
    let answer = order(gateway.public, "two", "bob", "key").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "in_doubt"), "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let known = order(gateway.public, "two", "ann", "key").await;
    assert_eq!(known.code(), "in_doubt", "a replay does not say more than is so: {known:?}");
    let acknowledged = crowd.answered(202);
    crowd.order(&gateway, ORDERS..2 * ORDERS).await;
    assert_eq!(crowd.answered(202), acknowledged, "no 202 without the replica");
    let rows = forebay_loadtest::store::read_store(&gateway.store, "one").unwrap().rows;
    assert_eq!(rows.len() as u64, ORDERS, "the store hears of nothing that could be lost");

    replica.start_again().await.unwrap();
    until("the replica follows", linked).await;
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!(census.placed, census.accepted, "{census:?}");
    let bob = super::taken(&gateway, "two", "bob").await;
    gateway.settled("two").await;
    let tickets = gateway.admin().tickets("two").await.unwrap();
    let of_bob: Vec<_> = tickets.iter().filter(|row| row.buyer == "bob").collect();
    assert!(of_bob.len() == 1 && of_bob[0].ticket == bob, "{of_bob:?}");
    let timeline = gateway.ask(Method::GET, &format!("/tickets/{bob}"), None).await;
    assert_eq!(timeline["state"], "placed", "{timeline}");
    gateway.stop().await.well();
}
