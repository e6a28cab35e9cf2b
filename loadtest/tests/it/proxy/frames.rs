//! Faults to single requests and replies.

use forebay_loadtest::proxy::{After, Calls, Fault};
use forebay_loadtest::resp::Value;

use super::{Line, assert_reset, numbers, soon};

const LIBRARY: &str = "#!lua name=shop\n\
    redis.register_function('reserve_one', function(keys) return redis.call('INCR', keys[1]) end)\n\
    redis.register_function('settle', function(keys) return redis.call('INCRBY', keys[1], 100) end)";

#[tokio::test]
async fn a_dropped_reply_is_of_a_request_that_was_carried_out_and_silence_follows() {
    let mut line = Line::start().await;
    let lost = line.proxy.inject(Fault::drop_reply(After::Silence).times(1));
    line.client.send(&["INCR", "n"]).await.unwrap();
    soon(lost.hit()).await;
    assert_eq!(line.number("n").await, Some(1));
    line.client.send(&["INCR", "n"]).await.unwrap();
    soon(line.proxy.until(|counts| counts.dropped == 2)).await;
    assert_eq!(line.number("n").await, Some(2));
    assert_eq!((lost.hits(), line.proxy.counts().open), (1, 1), "it stays open");
    assert_eq!(line.connect().await.ask(&["INCR", "n"]).await.unwrap(), Value::Number(3));
}

#[tokio::test]
async fn replies_are_dropped_for_as_many_connections_as_are_asked_for() {
    let mut line = Line::start().await;
    let lost = line.proxy.inject(Fault::drop_reply(After::Silence).times(3));
    for time in 1..=3 {
        let mut client = line.connect().await;
        client.send(&["INCR", "n"]).await.unwrap();
        soon(lost.hit_times(time)).await;
    }
    assert_eq!(line.client.ask(&["INCR", "n"]).await.unwrap(), Value::Number(4));
}

#[tokio::test]
async fn a_reset_comes_where_the_reply_was_lost() {
    let mut line = Line::start().await;
    let fault = Fault::drop_reply(After::Reset).of(Calls::command("incrby")).times(1);
    let lost = line.proxy.inject(fault);
    let commands: [&[&str]; 4] =
        [&["INCR", "n"], &["INCR", "n"], &["INCRBY", "n", "10"], &["INCR", "n"]];
    for command in commands {
        line.client.send(command).await.unwrap();
    }
    assert_eq!(numbers(&mut line.client, 2).await, [1, 2]);
    assert_reset(&mut line.client).await;
    assert_eq!((lost.hits(), line.proxy.counts().resets), (1, 1));
    assert!(line.number("n").await >= Some(12), "it was carried out");
}

#[tokio::test]
async fn of_a_pipeline_exactly_the_next_replies_are_dropped() {
    let mut line = Line::start().await;
    let lost = line.proxy.inject(Fault::drop_reply(After::GoOn).times(3));
    for _ in 0..10 {
        line.client.send(&["INCR", "n"]).await.unwrap();
    }
    assert_eq!(numbers(&mut line.client, 7).await, [4, 5, 6, 7, 8, 9, 10]);
    assert_eq!((lost.hits(), line.proxy.counts().dropped), (3, 3));
}

#[tokio::test]
async fn only_calls_of_the_chosen_function_are_hit() {
    let mut line = Line::start().await;
    line.beside.ask(&["FUNCTION", "LOAD", LIBRARY]).await.unwrap();
    let lost = line.proxy.inject(Fault::drop_reply(After::GoOn).of_function("reserve*").times(2));
    // Lines without words are answered by nobody, and large replies lie between.
    let large = "x".repeat(300_000);
    line.beside.ask(&["SET", "large", &large]).await.unwrap();
    for function in ["settle", "reserve_one", "settle", "reserve_one", "reserve_one"] {
        line.client.write(b"\r\n").await.unwrap();
        line.client.send(&["FCALL", function, "1", "n"]).await.unwrap();
        line.client.send(&["GET", "large"]).await.unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..8 {
        match soon(line.client.receive()).await.unwrap() {
            Value::Number(number) => seen.push(number),
            other => assert!(other.text() == large, "a large reply came changed"),
        }
    }
    assert_eq!((seen, lost.hits()), (vec![100, 201, 203], 2));
}

#[tokio::test]
async fn what_nobody_asked_for_is_no_reply() {
    let mut line = Line::start().await;
    line.client.ask(&["HELLO", "3"]).await.unwrap();
    line.client.ask(&["CLIENT", "TRACKING", "ON"]).await.unwrap();
    line.client.ask(&["GET", "n"]).await.unwrap();
    let held = line.proxy.inject(Fault::stall());
    line.client.send(&["INCR", "other"]).await.unwrap();
    soon(held.hit()).await;
    // The push comes before the reply, and the reply after it is still that of its request.
    line.beside.ask(&["SET", "n", "7"]).await.unwrap();
    let lost = line.proxy.inject(Fault::drop_reply(After::GoOn).of(Calls::command("INCR")));
    held.lift();
    soon(lost.hit()).await;
    assert_eq!(soon(line.client.call(&["GET", "n"])).await.unwrap().number(), Some(7));
    let pushed = line.client.pushed().expect("a push");
    assert_eq!(pushed.list()[0].text(), "invalidate");
    assert_eq!(line.proxy.counts().dropped, 1);
}

#[tokio::test]
async fn a_swallowed_request_never_reaches_the_server() {
    let mut line = Line::start().await;
    let lost = line.proxy.inject(Fault::swallow(After::Silence).times(1));
    line.client.send(&["INCR", "n"]).await.unwrap();
    line.client.send(&["INCR", "n"]).await.unwrap();
    soon(line.proxy.until(|counts| counts.swallowed == 2)).await;
    assert_eq!((line.number("n").await, lost.hits()), (None, 1));

    let chosen = Calls::that(|call| call.command() == "INCRBY" && call.word(2) == "10");
    line.proxy.inject(Fault::swallow(After::Reset).of(chosen).times(1));
    let mut client = line.connect().await;
    let commands: [&[&str]; 4] =
        [&["INCR", "n"], &["INCRBY", "n", "20"], &["INCRBY", "n", "10"], &["INCR", "n"]];
    for command in commands {
        client.send(command).await.unwrap();
    }
    let _ = soon(line.proxy.until(|counts| counts.resets == 1)).await;
    line.proxy.inject(Fault::swallow(After::GoOn).of(Calls::command("INCR")).times(2));
    let mut client = line.connect().await;
    for command in commands {
        client.send(command).await.unwrap();
    }
    // The first INCR and the second one are gone; replies pair with what was carried out.
    let first = numbers(&mut client, 2).await;
    assert_eq!(first[1] - first[0], 10);
    assert_eq!(line.number("n").await, Some(first[1]));
}

#[tokio::test]
async fn a_fault_stays_without_its_handle_and_ends_when_it_is_lifted() {
    let mut line = Line::start().await;
    drop(line.proxy.inject(Fault::drop_reply(After::GoOn).of(Calls::command("INCR"))));
    let lost = line.proxy.inject(Fault::drop_reply(After::GoOn).of(Calls::command("GET")));
    for command in [["INCR", "n"], ["GET", "n"], ["ECHO", "1"]] {
        line.client.send(&command).await.unwrap();
    }
    assert_eq!(soon(line.client.receive()).await.unwrap().text(), "1");
    assert_eq!(lost.lift(), 1);
    assert_eq!(soon(line.client.call(&["GET", "n"])).await.unwrap().number(), Some(1));
    line.proxy.clear();
    assert_eq!(soon(line.client.call(&["INCR", "n"])).await.unwrap().number(), Some(2));
}
