//! A Redis of our own: it is set as asked, ended as asked, and comes back with what it must have kept.

use std::time::Duration;

use forebay_loadtest::redis::{Aof, Options, Redis};
use forebay_loadtest::resp::{Client, Value};

const STOPS_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn with_a_log_it_keeps_through_a_kill_what_it_loses_without() {
    for (aof, kept) in [(Aof::Off, false), (Aof::EverySecond, true), (Aof::Always, true)] {
        let mut redis = Redis::start(&Options::default().aof(aof)).await.unwrap();
        redis.ask(&["SET", "name", "value"]).await.unwrap();
        let (address, pid) = (redis.address(), redis.pid());
        redis.kill().await.unwrap();
        assert!(Client::connect(address).await.is_err(), "{aof:?}: killed");
        redis.start_again().await.unwrap();
        assert_eq!(redis.address(), address);
        assert_ne!(redis.pid(), pid);
        let wanted = if kept { Value::Text(b"value".into()) } else { Value::Nil };
        assert_eq!(redis.ask(&["GET", "name"]).await.unwrap(), wanted, "{aof:?}");
    }
}

#[tokio::test]
async fn it_stops_when_asked_and_says_so() {
    let mut redis = Redis::start(&Options::default()).await.unwrap();
    assert!(redis.start_again().await.is_err(), "two at once");
    assert_eq!(redis.stop(STOPS_WITHIN).await.unwrap().code(), Some(0));
    assert!(redis.log().await.contains("ready to exit"));
    assert!(redis.ask(&["PING"]).await.is_err());
}

#[tokio::test]
async fn paused_it_stands_still_and_resumed_it_answers() {
    let redis = Redis::start(&Options::default()).await.unwrap();
    let mut client = redis.client().await.unwrap();
    redis.pause().await.unwrap();
    client.send(&["PING"]).await.unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", redis.pid())).unwrap();
    assert!(stat.contains(") T "), "{stat}");
    redis.resume().unwrap();
    assert_eq!(client.receive().await.unwrap(), Value::Text(b"PONG".into()));
}

#[tokio::test]
async fn a_replica_has_what_its_primary_has() {
    let primary = Redis::start(&Options::default()).await.unwrap();
    let options = Options { replica_of: Some(primary.address()), ..Options::default() };
    let replica = Redis::start(&options).await.unwrap();
    let mut client = primary.client().await.unwrap();
    client.ask(&["SET", "name", "value"]).await.unwrap();
    assert_eq!(client.ask(&["WAIT", "1", "60000"]).await.unwrap(), Value::Number(1));
    assert_eq!(replica.ask(&["GET", "name"]).await.unwrap().text(), "value");
    let error = replica.ask(&["SET", "name", "other"]).await.unwrap_err().to_string();
    assert!(error.contains("READONLY"), "{error}");
}

#[tokio::test]
async fn memory_users_and_further_lines_are_as_asked() {
    let options = Options {
        maxmemory: Some(2 << 20),
        users: Some("user default off\nuser reader on >secret ~public* +get\n".to_owned()),
        ..Options::default()
    };
    let redis = Redis::start(&options.line("timeout 77")).await.unwrap();
    let large = vec![b'x'; 2 << 20];
    let full = redis.ask(&[b"SET".as_slice(), b"name", &large]).await.unwrap_err().to_string();
    assert!(full.contains("OOM"), "{}", &full[full.len() - 100..]);
    let timeout = redis.ask(&["CONFIG", "GET", "timeout"]).await.unwrap();
    assert_eq!(timeout.list()[1].number(), Some(77));

    let mut client = Client::connect(redis.address()).await.unwrap();
    let mut refused = async |command: &[&str]| client.ask(command).await.unwrap_err().to_string();
    assert!(refused(&["PING"]).await.contains("NOAUTH"));
    assert!(refused(&["AUTH", "reader", "wrong"]).await.contains("WRONGPASS"));
    client.ask(&["AUTH", "reader", "secret"]).await.unwrap();
    assert_eq!(client.ask(&["GET", "public"]).await.unwrap(), Value::Nil);
    let refused = client.ask(&["GET", "private"]).await.unwrap_err().to_string();
    assert!(refused.contains("NOPERM"), "{refused}");
}

#[tokio::test]
async fn settings_that_it_refuses_are_told_at_once() {
    let started = Redis::start(&Options::default().line("no-such-setting 1")).await;
    let error = started.unwrap_err().to_string();
    assert!(error.contains("ended") && error.contains("no-such-setting"), "{error}");
}
