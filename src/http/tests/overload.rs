//! More than the ledger takes, and faults of our own.

use std::time::Duration;

use super::rig::Rig;
use crate::http::lane::ON_THE_WAY_MAX;
use crate::units::Span;

#[tokio::test]
async fn beyond_what_is_on_its_way_newcomers_are_refused_and_others_are_served() {
    let rig = Rig::new().await;
    let ticket = rig.order("early").await;
    let held = rig.ledger.hold_orders();
    let mut waiting = Vec::new();
    // One thread, one lane: each of these is on its way and stays there.
    for n in 0..ON_THE_WAY_MAX {
        waiting.push(rig.ordering(&format!("buyer-{n}")).await);
        rig.ledger.held(n + 1).await;
    }
    let (head, document) = rig.ordering("late").await.answer().await;
    assert_eq!((head.status, document["code"].as_str()), (503, Some("overloaded")), "{document}");
    let retry_after: u64 = head.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&retry_after), "{retry_after}");
    let (status, _) = rig.get("/livez").await;
    assert_eq!(status, 200);
    assert_eq!(rig.document(&ticket).await["state"], "queued");
    drop(held);
    for mut client in waiting {
        let (head, document) = client.answer().await;
        assert_eq!(head.status, 202, "{document}");
    }
    rig.order("late").await;
}

#[tokio::test]
async fn a_panic_is_answered_500_and_the_next_request_is_served() {
    let rig = Rig::new().await;
    let ticket = rig.order("one").await;
    rig.ledger.break_cancels();
    let mut client = rig.client().await;
    client.ask("DELETE", &format!("/v1/tickets/{ticket}"), "X-Buyer-Id: one\r\n").await;
    let (head, document) = client.answer().await;
    assert_eq!((head.status, document["code"].as_str()), (500, Some("internal")), "{document}");
    assert_eq!(rig.document(&ticket).await["state"], "queued");
}

#[tokio::test]
async fn who_has_closed_his_side_gets_his_answer_and_the_connection_ends_with_it() {
    let rig = Rig::new().await;
    let mut client = rig.ordering("one").await;
    client.send_no_more().await;
    let (head, document) = client.answer().await;
    assert_eq!(head.status, 202, "{document}");
    // Well before it is idle.
    assert!(client.rest().await.is_empty());
    let ticket = document["ticket"].as_str().unwrap();
    let mut client = rig.client().await;
    client.ask("DELETE", &format!("/v1/tickets/{ticket}"), "X-Buyer-Id: one\r\n").await;
    client.send_no_more().await;
    let (head, document) = client.answer().await;
    assert_eq!(head.status, 200, "{document}");
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn two_orders_in_one_piece_are_both_answered_though_nothing_follows() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    for buyer in ["one", "two"] {
        client.send(&Rig::order_of(buyer)).await;
    }
    client.send_no_more().await;
    for _ in 0..2 {
        let (head, document) = client.answer().await;
        assert_eq!(head.status, 202, "{document}");
    }
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_ledger_that_takes_too_long_is_told_as_doubt_within_the_deadline() {
    let rig = Rig::with(|public| public.order_deadline = Span(Duration::from_millis(200))).await;
    let held = rig.ledger.hold_orders();
    let mut client = rig.ordering("one").await;
    rig.ledger.held(1).await;
    rig.clock.advance(Duration::from_secs(1));
    let (head, document) = client.answer().await;
    assert_eq!((head.status, document["code"].as_str()), (503, Some("in_doubt")), "{document}");
    drop(held);
}
