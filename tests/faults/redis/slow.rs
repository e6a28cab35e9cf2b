//! The server stands still, or the way to it is long: buyers are answered in their time, and late executions are found.

use std::time::Duration;

use forebay_loadtest::proxy::{Direction, Fault};

use super::super::rig::until;
use super::super::wire::order;
use super::{Crowded, Gateway, Stand, is_unready, taken, ticket, turned_away, until_status};

/// Sends the next orders of a crowd and one more to a server that does not answer. Every buyer is answered, the first
/// ones that it is not known, and traffic is sent elsewhere.
async fn unanswered(gateway: &Gateway, crowd: &Crowded, buyer: &str, from: u64) {
    let (doubts, taken) = (crowd.doubts(), crowd.answered(202));
    let one = async {
        until("the order is turned away", async || {
            let answer = order(gateway.public, "two", buyer, "key").await;
            (answer.status != 202).then_some(answer)
        })
        .await
    };
    let (answer, ()) = tokio::join!(one, crowd.order(gateway, from..from + 16));
    turned_away(&answer);
    is_unready(gateway, "Redis").await;
    assert!(crowd.doubts() > doubts || answer.code() == "in_doubt", "{answer:?}");
    assert!(crowd.answered(202) < taken + 16, "they were not all before it");
}

#[tokio::test]
async fn a_server_that_stands_still_is_in_doubt_and_late_executions_are_found_by_their_key() {
    // A buyer asks until the server stands still, however often that is.
    let stand = Stand::new().await.set("public.order_deadline=1s").set("limits.per_buyer=off");
    let gateway = stand.open(10_000).await;
    gateway.admin().pause_drain(true).await.unwrap();
    let waiting = taken(&gateway, "two", "waits").await;
    let crowd = Crowded::of("one");

    stand.redis.pause().await.unwrap();
    unanswered(&gateway, &crowd, "stopped", 0).await;
    assert_eq!(ticket(&gateway, &waiting).await.1["state"], "queued", "polls go on");
    stand.redis.resume().unwrap();
    until_status(&gateway, 200).await;
    taken(&gateway, "two", "stopped").await;

    let mut operator = stand.redis.client().await.unwrap();
    operator.send(&["DEBUG", "SLEEP", "5"]).await.unwrap();
    until("it sleeps", async || {
        let asked = tokio::time::timeout(Duration::from_millis(300), stand.redis.ask(&["PING"]));
        asked.await.is_err().then_some(())
    })
    .await;
    unanswered(&gateway, &crowd, "asleep", 16).await;
    operator.receive().await.unwrap();
    until_status(&gateway, 200).await;
    taken(&gateway, "two", "asleep").await;

    stand.tell(&["CLIENT", "PAUSE", "600000", "WRITE"]).await;
    unanswered(&gateway, &crowd, "held", 32).await;
    assert_eq!(ticket(&gateway, &waiting).await.1["state"], "queued", "polls go on");
    stand.tell(&["CLIENT", "UNPAUSE"]).await;
    until_status(&gateway, 200).await;
    taken(&gateway, "two", "held").await;

    gateway.admin().pause_drain(false).await.unwrap();
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!(census.accepted, census.placed, "{census:?}");
    assert_eq!(gateway.settled("two").await.placed, 4, "each single buyer has one order");
    gateway.stop().await.well();
}

#[tokio::test]
async fn a_long_and_narrow_way_costs_time_and_nothing_else() {
    let stand = Stand::new().await.set("ledger.redis.timeout=5s").set("public.order_deadline=10s");
    let gateway = stand.open(10_000).await;
    stand.proxy.inject(Fault::slow(256 << 10));
    stand.proxy.inject(Fault::delay(Direction::Replies, Duration::from_millis(30)));
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..100).await;
    assert_eq!(crowd.answered(202), 100);
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!(census.placed, 100);
    until_status(&gateway, 200).await;
    gateway.stop().await.well();
}
