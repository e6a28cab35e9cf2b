//! A client waits for news on a stream or for a held answer: the tail is read more often then, and only then.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::rig::until;
use super::{Gateway, Stand, taken, until_status};

/// Rounds of one look at the pace.
const ROUNDS: u64 = 20;
/// Between two rounds at least, in microseconds, while nobody waits. A timer counts whole milliseconds.
const UNAWAITED: u64 = 24_000;
/// A pause that only waiting clients make so short.
const AWAITED: u64 = 20_000;

/// Pages of tails that the server has sent so far, and its time in microseconds.
async fn pages(stand: &Stand) -> (u64, u64) {
    let stats = stand.tell(&["INFO", "commandstats"]).await;
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xrange:calls="));
    let calls = calls.and_then(|line| line.split(',').next()).and_then(|calls| calls.parse().ok());
    let time = stand.redis.ask(&["TIME"]).await.unwrap();
    let part = |at: usize| time.list()[at].text().parse::<u64>().unwrap();
    (calls.unwrap_or_default(), part(0) * 1_000_000 + part(1))
}

/// How many microseconds lie between two rounds of the only process, which reads two tails in each.
async fn pause(stand: &Stand) -> u64 {
    let (before, began) = pages(stand).await;
    until("rounds go on", async || {
        let (calls, now) = pages(stand).await;
        let rounds = (calls - before) / 2;
        (rounds >= ROUNDS).then(|| (now - began) / rounds)
    })
    .await
}

/// Asks for something that is held, and leaves it open.
async fn held(gateway: &Gateway, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.public);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn while_a_client_waits_the_tail_is_read_more_often() {
    let stand = Stand::new().await;
    let gateway = stand.plant.clone().role("gateway").start().await;
    until_status(&gateway, 200).await;
    gateway.sale("one", 10).await;
    let ticket = taken(&gateway, "one", "ann").await;
    for path in [format!("/v1/tickets/{ticket}/events"), format!("/v1/tickets/{ticket}?wait=30")] {
        // Whoever has just gone may still be counted, and so may the news of the order.
        until("nobody is waited for", async || (pause(&stand).await >= UNAWAITED).then_some(()))
            .await;
        let waits = held(&gateway, &path).await;
        until("it is looked for news", async || (pause(&stand).await < AWAITED).then_some(()))
            .await;
        drop(waits);
    }
    let mut stream = held(&gateway, &format!("/v1/tickets/{ticket}/events")).await;
    let mut drain = stand.plant.start_drain().await;
    let mut told = Vec::new();
    until("it is placed", async || {
        stream.read_buf(&mut told).await.unwrap();
        String::from_utf8_lossy(&told).contains("\"state\":\"placed\"").then_some(())
    })
    .await;
    drain.stop(super::super::rig::AT_LAST).await.unwrap();
    gateway.stop().await.well();
}
