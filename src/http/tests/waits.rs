use std::time::Duration;

use super::rig::Rig;
use crate::ledger::Fate;

#[tokio::test]
async fn a_held_answer_comes_when_the_state_changes() {
    let mut rig = Rig::new().await;
    let ticket = rig.order("ann").await;
    let (mut by_query, mut by_header) = (rig.client().await, rig.client().await);
    by_query.ask("GET", &format!("/v1/tickets/{ticket}?wait=20"), "").await;
    by_header.ask("GET", &format!("/v1/tickets/{ticket}"), "Prefer: wait=99999\r\n").await;
    rig.waiting(2).await;
    let leased = rig.claim(1).await;
    for (client, applied) in [(&mut by_query, "wait=20"), (&mut by_header, "wait=30")] {
        let (head, document) = client.answer().await;
        assert_eq!((head.status, document["state"].as_str()), (200, Some("placing")));
        assert_eq!(head.header("preference-applied"), Some(applied));
        assert_eq!(head.header("cache-control"), Some("no-store"));
    }
    // The same connection waits for the next state.
    by_query.ask("GET", &format!("/v1/tickets/{ticket}?wait=20"), "").await;
    rig.waiting(1).await;
    rig.settle(&leased, &Fate::Refused { reason: "no such phone".to_owned() }).await;
    let (_, document) = by_query.answer().await;
    assert_eq!(
        (&document["state"], &document["reason"]),
        (&"refused".into(), &"no such phone".into())
    );
    assert_eq!(document, rig.document(&ticket).await);
    rig.waiting(0).await;
}

#[tokio::test]
async fn time_up_is_an_answer_like_any_other() {
    let mut rig = Rig::new().await;
    let first = rig.order("ann").await;
    let second = rig.order("bob").await;
    let mut client = rig.client().await;
    client.ask("GET", &format!("/v1/tickets/{second}?wait=7"), "").await;
    rig.waiting(1).await;
    // What moves is another order.
    rig.place(1).await;
    assert_eq!(rig.document(&first).await["state"], "placed");
    rig.waiting(1).await;
    rig.clock.advance(Duration::from_secs(7));
    let (head, document) = client.answer().await;
    assert_eq!((head.status, head.header("preference-applied")), (200, Some("wait=7")));
    assert_eq!((&document["state"], &document["position"]), (&"queued".into(), &1.into()));
}

#[tokio::test]
async fn what_is_over_is_told_at_once_and_so_is_what_cannot_be_held() {
    let mut rig = Rig::new().await;
    let ticket = rig.order("ann").await;
    rig.place(1).await;
    let (status, document) = rig.get(&format!("/v1/tickets/{ticket}?wait=30")).await;
    assert_eq!((status, &document["state"]), (200, &"placed".into()));
    for (path, status, code) in [
        (format!("/v1/tickets/{ticket}?wait=soon"), 400, "malformed"),
        (format!("/v1/tickets/{ticket}?delay=3"), 400, "malformed"),
        (format!("/v1/tickets/{ticket}/events?a=1"), 400, "malformed"),
        ("/v1/tickets/none?wait=30".to_owned(), 404, "unknown_ticket"),
        ("/v1/tickets/none/events".to_owned(), 404, "unknown_ticket"),
    ] {
        let (seen, problem) = rig.get(&path).await;
        assert_eq!((seen, problem["code"].as_str()), (status, Some(code)), "{path}");
    }
    rig.waiting(0).await;
}

#[tokio::test]
async fn a_cancel_ends_the_wait() {
    let mut rig = Rig::new().await;
    let ticket = rig.order("ann").await;
    let mut client = rig.client().await;
    client.ask("GET", &format!("/v1/tickets/{ticket}?wait=30"), "").await;
    rig.waiting(1).await;
    let mut other = rig.client().await;
    other.ask("DELETE", &format!("/v1/tickets/{ticket}"), "X-Buyer-Id: ann\r\n").await;
    assert_eq!(other.answer().await.0.status, 200);
    rig.follow().await;
    assert_eq!(client.answer().await.1["state"], "cancelled");
}

/// The ledger is asked nothing while an order waits, however often its buyer asks; and once for the ends of all
/// orders of a batch.
#[tokio::test]
async fn waiting_costs_the_ledger_nothing() {
    const BUYERS: u32 = 20;
    let mut rig = Rig::new().await;
    let mut tickets = Vec::new();
    for buyer in 0..BUYERS {
        tickets.push(rig.order(&format!("b{buyer}")).await);
    }
    rig.follow().await;
    let asked = rig.ledger.asked();
    let (mut streams, mut polls) = (Vec::new(), Vec::new());
    for (number, ticket) in (0..).zip(&tickets) {
        for _ in 0..10 {
            assert_eq!(rig.document(ticket).await["position"], number + 1);
        }
        let (mut stream, mut poll) = (rig.client().await, rig.client().await);
        stream.stream(ticket, "").await;
        assert_eq!(stream.event().await.unwrap().data["state"], "queued");
        poll.ask("GET", &format!("/v1/tickets/{ticket}?wait=30"), "").await;
        streams.push(stream);
        polls.push(poll);
    }
    rig.waiting(2 * BUYERS as usize).await;
    assert_eq!(rig.ledger.asked(), asked, "while they wait in the queue");

    let leased = rig.claim(BUYERS).await;
    let asked = rig.ledger.asked();
    for (ticket, stream) in tickets.iter().zip(&mut streams) {
        assert_eq!(stream.event().await.unwrap().data["state"], "placing");
        assert_eq!(rig.document(ticket).await["state"], "placing");
    }
    for poll in &mut polls {
        assert_eq!(poll.answer().await.1["state"], "placing");
    }
    assert_eq!(rig.ledger.asked(), asked, "while they are placed");

    rig.settle(&leased, &Fate::Placed { order_no: "o-1".to_owned() }).await;
    let asked = rig.ledger.asked();
    for (ticket, stream) in tickets.iter().zip(&mut streams) {
        let told = stream.event().await.unwrap().data;
        assert_eq!((&told["state"], &told["order_no"]), (&"placed".into(), &"o-1".into()));
        assert_eq!(told, rig.document(ticket).await);
    }
    assert_eq!(rig.ledger.asked(), asked + 1, "all ends are one question");
}

#[tokio::test]
async fn dead_orders_wait_too() {
    let mut rig = Rig::new().await;
    let ticket = rig.order("ann").await;
    let leased = rig.claim(1).await;
    rig.settle(&leased, &Fate::Dead { reason: "poison".to_owned(), seen: None }).await;
    let asked = rig.ledger.asked();
    let document = rig.document(&ticket).await;
    assert_eq!(
        (&document["state"], &document["reason"]),
        (&"delayed".into(), &None::<&str>.into())
    );
    assert!(document["poll_after_ms"].as_u64().unwrap() >= 10_000);
    assert_eq!(rig.ledger.asked(), asked);
}

#[tokio::test]
async fn at_the_stop_held_answers_come_at_once_and_streams_end() {
    let mut rig = Rig::new().await;
    let ticket = rig.order("ann").await;
    rig.follow().await;
    let (mut poll, mut stream) = (rig.client().await, rig.client().await);
    poll.ask("GET", &format!("/v1/tickets/{ticket}?wait=30"), "").await;
    stream.stream(&ticket, "").await;
    assert_eq!(stream.event().await.unwrap().data["state"], "queued");
    rig.waiting(2).await;
    rig.pull_the_stop();
    let (head, document) = poll.answer().await;
    assert_eq!((head.status, &document["state"]), (200, &"queued".into()));
    assert_eq!(head.header("connection"), Some("close"));
    assert_eq!(stream.event().await, None);
    rig.ended().await;
}
