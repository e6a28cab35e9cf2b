//! A reply is lost after its call was carried out, or a call never arrives: whoever asks again finds one order.

use forebay_loadtest::proxy::{After, Fault};

use super::super::rig::AT_LAST;
use super::{Crowded, Stand};

const ORDERS: u64 = 200;

/// Every function on which an order's fate hangs loses some of its calls or replies.
async fn loses(lost: impl Fn(After) -> Fault) {
    let stand = Stand::new().await.set("drain.rate=400/s");
    let gateway = stand.open(10_000).await;
    let crowd = Crowded::of("one");
    let mut from = 0;
    for function in ["*_reserve", "*_grant", "*_claim", "*_settle"] {
        for after in [After::Reset, After::Silence] {
            let fault = stand.proxy.inject(lost(after).of_function(function).times(3));
            let sending = crowd.ordering(&gateway, from..from + ORDERS);
            let hit = tokio::time::timeout(AT_LAST, fault.hit_times(3)).await;
            hit.unwrap_or_else(|_| panic!("{function} {after:?}: {} hits", fault.hits()));
            sending.await.unwrap();
            from += ORDERS;
        }
    }
    let census = crowd.proves(&gateway).await.census.unwrap();
    assert_eq!(census.accepted, census.placed, "{census:?}");
    assert!(census.placed * 2 > from, "asking again takes most of {from}: {census:?}");
    gateway.stop().await.well();
}

#[tokio::test]
async fn replies_that_are_lost_double_nothing() {
    loses(Fault::drop_reply).await;
}

#[tokio::test]
async fn calls_that_never_arrive_lose_nothing() {
    loses(Fault::swallow).await;
}
