//! The fault proxy before a real Redis: each fault as the client sees it, and as the server does.

mod connections;
mod frames;
mod way;

use std::io::ErrorKind;
use std::time::Duration;

use forebay_loadtest::proxy::Proxy;
use forebay_loadtest::redis::{Options, Redis};
use forebay_loadtest::resp::{Client, Value};

/// Bounds a test that would hang.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// A server, a way to it over the proxy, and one beside it.
struct Line {
    redis: Redis,
    proxy: Proxy,
    client: Client,
    beside: Client,
}

impl Line {
    async fn start() -> Self {
        let redis = Redis::start(&Options::default()).await.expect("a Redis");
        let proxy = Proxy::start(redis.address()).expect("a proxy");
        let mut client = Client::connect(proxy.address()).await.expect("a connection");
        client.ask(&["PING"]).await.expect("an answer");
        let beside = redis.client().await.expect("a connection");
        Self { redis, proxy, client, beside }
    }

    /// A further connection over the proxy.
    async fn connect(&self) -> Client {
        Client::connect(self.proxy.address()).await.expect("a connection")
    }

    /// What the server knows.
    async fn number(&mut self, key: &str) -> Option<i64> {
        self.beside.ask(&["GET", key]).await.expect("an answer").number()
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS_AFTER, what).await.expect("it hangs")
}

/// The next replies, as numbers.
async fn numbers(client: &mut Client, many: usize) -> Vec<i64> {
    let mut replies = Vec::new();
    for _ in 0..many {
        match soon(client.receive()).await.expect("a reply") {
            Value::Number(number) => replies.push(number),
            other => panic!("{other}"),
        }
    }
    replies
}

/// The next thing on this connection is an RST.
async fn assert_reset(client: &mut Client) {
    let error = soon(client.receive()).await.expect_err("a reset");
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    assert_eq!(kind, Some(ErrorKind::ConnectionReset), "{error}");
}
