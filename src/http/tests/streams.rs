use std::time::Duration;

use super::rig::Rig;
use crate::http::room::Room;
use crate::http::stream::TicketStream;
use crate::ledger::Fate;

/// Five seconds, and the tick that a call may be late.
const TURN: Duration = Duration::from_millis(5_100);

#[tokio::test]
async fn a_stream_tells_each_state_and_ends_with_the_last() {
    let mut rig = Rig::new().await;
    let ticket = rig.order("ann").await;
    let mut stream = rig.client().await;
    let head = stream.stream(&ticket, "").await;
    assert_eq!(head.status, 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("connection", "close"),
    ] {
        assert_eq!(head.header(name), Some(value));
    }
    assert!(head.header("date").is_some_and(|date| date.ends_with(" GMT")), "{head:?}");
    let first = stream.event().await.unwrap();
    assert_eq!((first.name.as_str(), first.id.as_str()), ("ticket", "1"));
    assert_eq!((&first.data["state"], &first.data["position"]), (&"queued".into(), &1.into()));

    let leased = rig.claim(1).await;
    let second = stream.event().await.unwrap();
    assert_eq!((second.id.as_str(), &second.data["state"]), ("2", &"placing".into()));
    rig.settle(&leased, &Fate::Placed { order_no: "o-7".to_owned() }).await;
    let last = stream.event().await.unwrap();
    assert_eq!((&last.data["state"], &last.data["order_no"]), (&"placed".into(), &"o-7".into()));
    assert_eq!(last.data, rig.document(&ticket).await, "the same document as GET");
    assert_eq!(stream.event().await, None);
    rig.open(0).await;
}

#[tokio::test]
async fn whoever_comes_after_the_end_is_told_it_once() {
    let mut rig = Rig::new().await;
    let ticket = rig.order("ann").await;
    rig.place(1).await;
    let mut late = rig.client().await;
    // As somebody who saw the order wait, and was away when it ended.
    late.stream(&ticket, "Last-Event-ID: 2\r\n").await;
    let told = late.event().await.unwrap();
    assert_eq!(told.data["state"], "placed");
    let mut again = rig.client().await;
    let head = again.stream(&ticket, &format!("Last-Event-ID: {}\r\n", told.id)).await;
    assert_eq!((head.status, head.header("cache-control")), (204, Some("no-store")));
    // A 204 ends no connection.
    again.ask("HEAD", &format!("/v1/tickets/{ticket}/events"), "").await;
    let head = again.head().await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    rig.open(0).await;
}

#[tokio::test]
async fn positions_are_told_every_five_seconds_at_most_and_a_comment_every_fifteen() {
    let mut rig = Rig::new().await;
    for buyer in 0..9 {
        rig.order(&format!("b{buyer}")).await;
    }
    let ticket = rig.order("ann").await;
    rig.follow().await;
    let mut stream = rig.client().await;
    stream.stream(&ticket, "").await;
    let first = stream.event().await.unwrap().data;
    assert_eq!((&first["position"], &first["eta_ms"]), (&10.into(), &1_000.into()));
    // Three orders leave, which takes 300 ms: not yet told.
    rig.place(3).await;
    rig.clock.advance(TURN);
    let second = stream.event().await.unwrap();
    assert_eq!((&second.data["position"], second.id.as_str()), (&7.into(), "1"));
    // A turn without a change is silent; the third has a comment.
    let mut poll = rig.client().await;
    poll.ask("GET", &format!("/v1/tickets/{ticket}?wait=5"), "").await;
    rig.waiting(2).await;
    rig.clock.advance(TURN);
    // Called after the stream was.
    assert_eq!(poll.answer().await.1["position"], 7);
    rig.clock.advance(TURN);
    let third = stream.event().await.unwrap();
    assert!(third.comment && third.data.is_null(), "{third:?}");
    // A drain that stands has no estimate.
    rig.pause().await;
    rig.clock.advance(TURN);
    let fourth = stream.event().await.unwrap().data;
    assert_eq!((&fourth["position"], &fourth["eta_ms"]), (&7.into(), &None::<u64>.into()));
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let rig = Rig::with(|config| config.limits.streams = 1).await;
    let ticket = rig.order("ann").await;
    let mut first = rig.client().await;
    assert_eq!(first.stream(&ticket, "").await.status, 200);
    rig.open(1).await;
    let mut second = rig.client().await;
    second.ask("GET", &format!("/v1/tickets/{ticket}/events"), "").await;
    let (head, problem) = second.answer().await;
    assert_eq!((head.status, &problem["code"]), (503, &"too_many_streams".into()));
    assert!(head.header("retry-after").unwrap().parse::<u64>().unwrap() >= 5);
    // A client that went away makes room.
    drop(first);
    rig.open(0).await;
    assert_eq!(second.stream(&ticket, "").await.status, 200);
}

#[tokio::test]
async fn a_stream_lives_on_when_memory_is_read_anew() {
    let mut rig = Rig::new().await;
    let ticket = rig.order("ann").await;
    let mut stream = rig.client().await;
    stream.stream(&ticket, "").await;
    assert_eq!(stream.event().await.unwrap().data["state"], "queued");
    // The order moves, and the tail that would have told of it is gone.
    rig.ledger.forget_the_tail();
    let leased = rig.claim(1).await;
    assert_eq!(stream.event().await.unwrap().data["state"], "placing");
    rig.settle(&leased, &Fate::Placed { order_no: "o-1".to_owned() }).await;
    assert_eq!(stream.event().await.unwrap().data["state"], "placed");
}

/// The client takes nothing any more, and its socket is full.
#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    let rig = Rig::new().await;
    let ticket = rig.order("ann").await;
    let (gateway, room) = (rig.gateway.clone(), Room::new(rig.clock.clone()));
    let opened = gateway.parts.keyring.open(&ticket).unwrap();
    let stream = TicketStream {
        seated: gateway.parts.watch.sit(opened.sale_no, opened.place, room.bell()),
        ticket: opened,
        text: ticket.as_str().into(),
        _entered: gateway.streams.enter().unwrap(),
        room: room.clone(),
        gateway,
    };
    let (_client, socket) = tokio::io::duplex(64);
    let running = tokio::spawn(stream.run(socket));
    // Its socket is full from the first write on.
    for _ in 0..99 {
        tokio::task::yield_now().await;
        rig.clock.advance(Duration::from_millis(100));
        room.turn();
    }
    assert!(!running.is_finished(), "it is waited for as long as the settings say");
    rig.clock.advance(Duration::from_millis(300));
    room.turn();
    let ended = tokio::time::timeout(Duration::from_secs(20), running).await;
    ended.expect("then it is dropped").unwrap();
    rig.open(0).await;
}
