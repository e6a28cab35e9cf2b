//! The server dies and comes back: with its log of writes, with the end of it cut off, or with nothing.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use forebay_loadtest::redis::{Aof, Options};

use super::super::rig::until;
use super::{Crowded, Stand, is_ready, is_unready, taken, ticket, until_refused, until_status};

/// Killed under load and started again; answers how often a new epoch had begun.
async fn killed(stand: &mut Stand, crowd: &Crowded, rounds: u64) -> u64 {
    let gateway = stand.open(100_000).await;
    for round in 0..rounds {
        let from = 2_000 * round;
        let sending = crowd.ordering(&gateway, from..from + 2_000);
        crowd.ended(from + 200).await;
        stand.redis.kill().await.unwrap();
        is_unready(&gateway, &stand.proxy.address().to_string()).await;
        until_refused(&gateway, "Redis").await;
        stand.redis.start_again().await.unwrap();
        is_ready(&gateway).await;
        sending.await.unwrap();
        taken(&gateway, "two", &format!("buyer-{round}")).await;
    }
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert!(census.placed > 100 * rounds, "{census:?}");
    gateway.stop().await.well();
    census.epoch
}

#[tokio::test]
async fn kill_nine_of_a_server_that_keeps_a_log_loses_nothing() {
    for aof in [Aof::EverySecond, Aof::Always] {
        let mut stand = Stand::of(&Options::default().aof(aof)).await;
        let crowd = Crowded::of("one");
        assert_eq!(killed(&mut stand, &crowd, 2).await, 3, "each start begins an epoch");
    }
}

/// The last piece of the log of writes.
fn log(directory: &Path) -> PathBuf {
    let files = std::fs::read_dir(directory.join("appendonlydir")).unwrap().flatten();
    let mut pieces: Vec<PathBuf> = files.map(|file| file.path()).collect();
    pieces.retain(|piece| piece.extension().is_some_and(|end| end == "aof"));
    pieces.sort();
    pieces.into_iter().find(|piece| piece.to_string_lossy().contains("incr")).unwrap()
}

#[tokio::test]
async fn a_log_whose_end_is_torn_costs_the_last_write_and_nothing_is_sold_twice() {
    let mut stand = Stand::of(&Options::default().aof(Aof::EverySecond)).await;
    let gateway = stand.open(3).await;
    let bought = taken(&gateway, "one", "ann").await;
    gateway.settled("one").await;
    gateway.admin().pause_drain(true).await.unwrap();
    taken(&gateway, "one", "bob").await;
    stand.redis.kill().await.unwrap();
    let file = OpenOptions::new().write(true).open(log(stand.redis.directory())).unwrap();
    file.set_len(file.metadata().unwrap().len() - 7).unwrap();
    is_unready(&gateway, &stand.proxy.address().to_string()).await;
    stand.redis.start_again().await.unwrap();
    until_status(&gateway, 200).await;
    let census = gateway.admin().census("one").await.unwrap();
    assert_eq!((census.epoch, census.placed), (2, 1), "{census:?}");
    assert_eq!(ticket(&gateway, &bought).await.1["state"], "placed");
    gateway.admin().pause_drain(false).await.unwrap();
    // The key of the torn order is good for an order again, be it the first ticket or another one.
    for buyer in ["bob", "cid"] {
        taken(&gateway, "one", buyer).await;
    }
    let census = gateway.settled("one").await;
    assert_eq!(census.items[0].sold, 3, "{census:?}");
    assert!(gateway.admin().verify().await.unwrap().ok);
    let store = forebay_loadtest::store::read_store(&gateway.store, "one").unwrap();
    assert_eq!(store.rows.iter().filter(|row| row.sells()).count(), 3, "{:?}", store.rows);
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_server_that_kept_nothing_halts_whoever_knows_better() {
    let mut stand = Stand::new().await.set("drain.rate=70/s");
    let gateway = stand.open(5).await;
    for buyer in ["ann", "bob", "cid"] {
        taken(&gateway, "one", buyer).await;
    }
    assert_eq!(gateway.settled("one").await.placed, 3);
    stand.redis.kill().await.unwrap();
    is_unready(&gateway, &stand.proxy.address().to_string()).await;
    stand.redis.start_again().await.unwrap();
    until("the operator is told of a sale", async || {
        let (status, reason) = gateway.check("ledger").await;
        (status == "unready" && reason.contains("is not in Redis any more")).then_some(())
    })
    .await;
    until_refused(&gateway, "not in Redis").await;
    let store = forebay_loadtest::store::read_store(&gateway.store, "one").unwrap();
    assert_eq!(store.rows.iter().filter(|row| row.sells()).count(), 3, "{:?}", store.rows);
    gateway.stop().await.well();
    // What is left is for the operator to say, to a process that begins anew.
    let other = stand.plant.start().await;
    is_ready(&other).await;
    let drain = other.ask(hyper::Method::GET, "/drain", None).await;
    assert_eq!(drain["rate"], "70/s", "the rate of the file holds, not the default");
    other.sale("rest", 2).await;
    let crowd = Crowded::of("rest");
    crowd.order(&other, 0..5).await;
    assert_eq!(crowd.proves(&other).await.census.unwrap().placed, 2);
    assert!(other.admin().verify().await.unwrap().ok, "rows of a lost sale are foreign");
    other.stop().await.well();
}
