//! Faults to the way: late, slow, not at all, and what passes untouched.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use forebay_loadtest::clock;
use forebay_loadtest::proxy::{Calls, Direction, Fault, Proxy};
use forebay_loadtest::resp::Value;

use super::{Line, numbers, soon};

const LATE: Duration = Duration::from_millis(60);

#[tokio::test]
async fn frames_are_late_in_the_direction_that_was_asked_for() {
    let mut line = Line::start().await;
    for direction in [Direction::Requests, Direction::Replies] {
        let late = line.proxy.inject(Fault::delay(direction, LATE).of(Calls::command("INCR")));
        let began = clock::now();
        line.client.ask(&["INCR", "n"]).await.unwrap();
        assert!(clock::now() - began >= LATE, "{direction:?}");
        assert_eq!(late.lift(), 1);
    }
    // What was late comes in its order, and nothing that follows passes it.
    let late = line.proxy.inject(Fault::delay(Direction::Replies, LATE).times(2));
    for _ in 0..6 {
        line.client.send(&["INCR", "n"]).await.unwrap();
    }
    assert_eq!(numbers(&mut line.client, 6).await, [3, 4, 5, 6, 7, 8]);
    assert_eq!(late.hits(), 2);
}

#[tokio::test]
async fn a_late_request_is_carried_out_late() {
    let mut line = Line::start().await;
    let late = line.proxy.inject(Fault::delay(Direction::Requests, Duration::from_secs(3600)));
    line.client.send(&["INCR", "n"]).await.unwrap();
    soon(late.hit()).await;
    assert_eq!(line.number("n").await, None);
}

#[tokio::test]
async fn nothing_moves_while_it_stands_still_and_everything_afterwards() {
    let mut line = Line::start().await;
    let mut other = line.connect().await;
    other.ask(&["PING"]).await.unwrap();
    let stall = line.proxy.inject(Fault::stall());
    line.client.send(&["INCR", "n"]).await.unwrap();
    other.send(&["INCR", "n"]).await.unwrap();
    let mut new = line.connect().await;
    new.send(&["INCR", "n"]).await.unwrap();
    soon(stall.hit_times(3)).await;
    assert_eq!(line.number("n").await, None);
    assert_eq!((stall.lift(), line.proxy.counts().open), (3, 3), "all stay open");
    let mut replies = Vec::new();
    for client in [&mut line.client, &mut other, &mut new] {
        replies.extend(numbers(client, 1).await);
    }
    replies.sort_unstable();
    assert_eq!(replies, [1, 2, 3]);
}

#[tokio::test]
async fn replies_stand_still_too_and_only_on_so_many_connections() {
    let mut line = Line::start().await;
    let chosen = Calls::that(|call| call.word(1) == "n");
    let stall = line.proxy.inject(Fault::stall().of(chosen).times(1));
    line.client.send(&["INCR", "n"]).await.unwrap();
    soon(stall.hit()).await;
    let mut other = line.connect().await;
    assert_eq!(soon(other.ask(&["INCR", "n"])).await.unwrap(), Value::Number(1));
    // A reply that was under way is held as well.
    stall.lift();
    assert_eq!(numbers(&mut line.client, 1).await, [2]);
}

#[tokio::test]
async fn a_connection_that_stands_still_does_so_for_all_its_calls() {
    let mut line = Line::start().await;
    let mut other = line.connect().await;
    line.client.send(&["BLPOP", "list", "0"]).await.unwrap();
    soon(line.proxy.until(|counts| counts.requests == 2)).await;
    let stall = line.proxy.inject(Fault::stall().of(Calls::command("INCR")));
    line.client.send(&["INCR", "n"]).await.unwrap();
    soon(stall.hit()).await;
    let at_once = Fault::delay(Direction::Replies, Duration::ZERO);
    let came = line.proxy.inject(at_once.of(Calls::command("BLPOP")));
    line.beside.ask(&["RPUSH", "list", "element"]).await.unwrap();
    soon(came.hit()).await;
    // By its answer the proxy has turned to the one that stands still as well.
    other.ask(&["PING"]).await.unwrap();
    let counts = soon(line.proxy.until(|counts| counts.replies >= 2)).await;
    assert_eq!(counts.replies, 2, "those to the two PINGs");
    stall.lift();
    assert_eq!(soon(line.client.receive()).await.unwrap().list().len(), 2);
    assert_eq!(numbers(&mut line.client, 1).await, [1]);
}

#[tokio::test]
async fn a_slow_way_takes_its_time_both_ways() {
    let mut line = Line::start().await;
    let large = "x".repeat(1_000);
    for (command, a_second) in
        [(["SET", "large", &large].as_slice(), 10_000), (&["GET", "large"], 10_000)]
    {
        let slow = line.proxy.inject(Fault::slow(a_second));
        let began = clock::now();
        line.client.ask(command).await.unwrap();
        assert!(clock::now() - began >= Duration::from_millis(95), "{}", command[0]);
        assert_eq!(slow.lift(), 1);
    }
    assert_eq!(line.number("large").await, None);
    assert_eq!(line.beside.ask(&["GET", "large"]).await.unwrap().text(), large);
}

#[tokio::test]
async fn what_is_not_resp_passes_as_it_is() {
    let echo = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(echo.local_addr().unwrap()).unwrap();
    let hello = b"\x16\x03\x01\x02\x00*1\r\n$".repeat(5_000);
    let length = hello.len();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = echo.accept().unwrap();
        let mut received = vec![0; length];
        stream.read_exact(&mut received).unwrap();
        stream.write_all(&received).unwrap();
    });
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.set_read_timeout(Some(super::HANGS_AFTER)).unwrap();
    let late = proxy.inject(Fault::delay(Direction::Replies, LATE).times(1));
    client.write_all(&hello).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert!(received == hello && late.hits() == 1, "{} bytes", received.len());
    server.join().unwrap();
    assert_eq!(proxy.counts().replies, 0);
}
