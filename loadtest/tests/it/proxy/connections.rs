//! Faults to whole connections.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use forebay_loadtest::proxy::{Calls, Direction, Fault, Proxy};
use forebay_loadtest::redis::{Options, Redis};
use forebay_loadtest::resp::{Client, request};

use super::{HANGS_AFTER, Line, assert_reset, soon};

#[tokio::test]
async fn all_that_stand_are_reset_and_new_ones_are_not() {
    let mut line = Line::start().await;
    let mut other = line.connect().await;
    other.ask(&["PING"]).await.unwrap();
    assert_eq!(line.proxy.reset(), 2);
    assert_reset(&mut line.client).await;
    assert_reset(&mut other).await;
    assert_eq!(soon(line.proxy.until(|counts| counts.open == 0)).await.resets, 2);
    line.connect().await.ask(&["PING"]).await.unwrap();
}

#[tokio::test]
async fn a_reset_cuts_a_reply_after_so_many_bytes() {
    let mut line = Line::start().await;
    line.beside.ask(&["SET", "n", &"x".repeat(100)]).await.unwrap();
    line.proxy.inject(Fault::reset_after(Direction::Replies, 10).times(1));
    let mut client = TcpStream::connect(line.proxy.address()).unwrap();
    client.set_read_timeout(Some(HANGS_AFTER)).unwrap();
    client.write_all(&request(&["GET", "n"])).unwrap();
    let mut received = Vec::new();
    let error = client.read_to_end(&mut received).unwrap_err();
    assert_eq!(
        (error.kind(), received.as_slice()),
        (ErrorKind::ConnectionReset, b"$100\r\nxxxx".as_slice())
    );
    // It was for one connection.
    assert_eq!(line.connect().await.ask(&["GET", "n"]).await.unwrap().text().len(), 100);
}

#[tokio::test]
async fn a_reset_cuts_a_request_before_or_in_its_middle() {
    let mut line = Line::start().await;
    for bytes in [0, 1, 20] {
        let chosen = Calls::command("INCR");
        let cut = line.proxy.inject(Fault::reset_after(Direction::Requests, bytes).of(chosen));
        let mut client = line.connect().await;
        client.ask(&["PING"]).await.unwrap();
        client.send(&["INCR", "n"]).await.unwrap();
        assert_reset(&mut client).await;
        assert_eq!((line.number("n").await, cut.lift()), (None, 1), "after {bytes} bytes");
    }
}

#[tokio::test]
async fn connections_are_refused_so_often() {
    let mut line = Line::start().await;
    let refused = line.proxy.inject(Fault::refuse().times(2));
    for _ in 0..2 {
        assert_refused(&line).await;
    }
    soon(refused.hit_times(2)).await;
    line.connect().await.ask(&["PING"]).await.unwrap();
    line.client.ask(&["PING"]).await.unwrap();
    assert_eq!(line.proxy.counts().refused, 2);
}

#[tokio::test]
async fn a_black_hole_takes_everything_and_answers_nothing() {
    let line = Line::start().await;
    let hole = line.proxy.inject(Fault::blackhole());
    let mut lost = line.connect().await;
    lost.send(&["PING"]).await.unwrap();
    soon(hole.hit()).await;
    hole.lift();
    line.connect().await.ask(&["PING"]).await.unwrap();
    assert_eq!(line.proxy.counts().requests, 2, "one before and one after");
    line.proxy.reset();
    assert_reset(&mut lost).await;
}

#[tokio::test]
async fn new_connections_go_where_they_are_sent() {
    let mut line = Line::start().await;
    line.client.ask(&["SET", "name", "first"]).await.unwrap();
    let second = Redis::start(&Options::default()).await.unwrap();
    second.ask(&["SET", "name", "second"]).await.unwrap();
    line.proxy.set_upstream(second.address());
    assert_eq!(line.connect().await.ask(&["GET", "name"]).await.unwrap().text(), "second");
    assert_eq!(line.client.ask(&["GET", "name"]).await.unwrap().text(), "first");
}

#[tokio::test]
async fn a_server_that_goes_takes_its_connections_with_it_and_comes_back() {
    let mut line = Line::start().await;
    line.redis.kill().await.unwrap();
    assert!(soon(line.client.receive()).await.is_err());
    assert_refused(&line).await;
    assert_eq!(line.proxy.counts().unreachable, 1);
    line.redis.start_again().await.unwrap();
    line.connect().await.ask(&["PING"]).await.unwrap();
}

#[tokio::test]
async fn both_ends_hear_of_a_close() {
    let mut line = Line::start().await;
    drop(line.client);
    soon(line.proxy.until(|counts| counts.open == 0)).await;
    let mut client = Client::connect(line.proxy.address()).await.unwrap();
    // The last words of a server come before its close.
    assert_eq!(client.ask(&["QUIT"]).await.unwrap().text(), "OK");
    let closed = soon(client.receive()).await.unwrap_err().to_string();
    assert!(closed.contains("closed"), "{closed}");
    let mut client = Client::connect(line.proxy.address()).await.unwrap();
    client.ask(&["PING"]).await.unwrap();
    line.proxy = Proxy::start(line.redis.address()).unwrap();
    assert!(soon(client.receive()).await.is_err(), "it ends with its proxy");
}

/// The reset may already have come when the connection is made.
async fn assert_refused(line: &Line) {
    if let Ok(mut client) = Client::connect(line.proxy.address()).await {
        assert!(soon(client.call(&["PING"])).await.is_err());
    }
}
