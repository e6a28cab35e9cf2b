//! The server is stopped, killed, frozen or unreachable, or says nothing about its commits.

use std::time::Duration;

use forebay_loadtest::proxy::{After, Calls, Fault};

use super::super::crowded::Crowded;
use super::super::rig::{Engine, pass, seconds};
use super::{SHORT, Stand, all_placed, placed, told, with_both_ledgers};

const ORDERS: u64 = 1_500;

with_both_ledgers!(
    a_server_that_is_stopped_and_started_costs_nothing_but_time,
    a_server_that_is_killed_again_and_again_places_every_order_once,
    a_server_that_stands_still_is_given_up_in_time_and_what_it_does_late_counts_once,
    replies_to_commits_that_are_lost_place_no_order_twice,
);

async fn a_server_that_is_stopped_and_started_costs_nothing_but_time(engine: Engine) {
    let mut stand = Stand::on(engine).await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    placed(&gateway, 100).await;
    stand.server.stop().await.unwrap();
    told(&gateway, "the store is away").await;
    sending.await.unwrap();
    assert_eq!(crowd.answered(202), ORDERS, "orders are taken all the same");
    pass(seconds(1, 60)).await;
    let census = gateway.admin().census("one").await.unwrap();
    assert_eq!((census.dead, census.refused), (0, 0), "{census:?}");
    stand.server.start_again().await.unwrap();
    all_placed(gateway, &crowd, ORDERS).await;
}

async fn a_server_that_is_killed_again_and_again_places_every_order_once(engine: Engine) {
    let mut stand = Stand::on(engine).await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    for at in [100, 500, 900] {
        placed(&gateway, at).await;
        stand.server.kill().await.unwrap();
        stand.server.start_again().await.unwrap();
    }
    sending.await.unwrap();
    all_placed(gateway, &crowd, ORDERS).await;
}

async fn a_server_that_stands_still_is_given_up_in_time_and_what_it_does_late_counts_once(
    engine: Engine,
) {
    let stand = Stand::on(engine).await.set("drain.attempt_timeout=900ms").set("drain.lease=2s");
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    placed(&gateway, 100).await;
    stand.server.pause().await.unwrap();
    told(&gateway, "the store is away").await;
    sending.await.unwrap();
    assert_eq!(crowd.answered(202), ORDERS, "orders are taken all the same");
    // The lease is two seconds long.
    pass(seconds(3, 30)).await;
    stand.server.resume().unwrap();
    all_placed(gateway, &crowd, ORDERS).await;
}

async fn replies_to_commits_that_are_lost_place_no_order_twice(engine: Engine) {
    let stand = Stand::on(engine).await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    let commits = std::sync::atomic::AtomicU64::new(0);
    // Every tenth commit is carried out, and its answer never comes.
    let tenth = Calls::that(move |call| {
        call.command() == "COMMIT"
            && commits.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 10 == 9
    });
    let lost = stand.proxy.inject(Fault::drop_reply(After::Reset).of(tenth));
    crowd.order(&gateway, 0..ORDERS).await;
    placed(&gateway, ORDERS).await;
    assert!(lost.hits() >= 3, "{} replies were lost", lost.hits());
    stand.proxy.clear();
    all_placed(gateway, &crowd, ORDERS).await;
}

#[tokio::test]
async fn connections_that_break_fall_silent_or_lead_nowhere_are_made_again() {
    let stand = Stand::new().await.set("store.mysql.timeout=500ms");
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    let sending = crowd.ordering(&gateway, 0..ORDERS);
    for (at, fault) in [
        (100, Fault::swallow(After::Reset).of(Calls::command("COMMIT")).times(5)),
        (200, Fault::drop_reply(After::Silence).of(Calls::command("COMMIT")).times(2)),
        (300, Fault::blackhole().times(3)),
        (400, Fault::refuse().times(3)),
    ] {
        placed(&gateway, at).await;
        let done = stand.proxy.inject(fault);
        stand.proxy.reset();
        placed(&gateway, at + 50).await;
        drop(done);
        stand.proxy.clear();
    }
    sending.await.unwrap();
    all_placed(gateway, &crowd, ORDERS).await;
}

#[tokio::test]
async fn a_long_and_narrow_way_only_takes_longer() {
    let stand = Stand::new().await;
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    let by = Duration::from_millis(20);
    stand.proxy.inject(Fault::delay(forebay_loadtest::proxy::Direction::Replies, by));
    crowd.order(&gateway, 0..300).await;
    all_placed(gateway, &crowd, 300).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_at_the_start_is_waited_for() {
    let mut stand = Stand::new().await;
    stand.server.stop().await.unwrap();
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    crowd.order(&gateway, 0..50).await;
    assert_eq!(crowd.answered(202), 50, "orders are taken all the same");
    told(&gateway, "the store is away").await;
    pass(SHORT).await;
    stand.server.start_again().await.unwrap();
    all_placed(gateway, &crowd, 50).await;
}
