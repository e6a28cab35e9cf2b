//! A client on a bare socket: it sends what it is given and reads what comes.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// An answer that never comes fails its test, instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Client(BufReader<TcpStream>);

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    lines: Vec<String>,
}

impl Head {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// One event of a stream.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) data: Value,
    pub(super) comment: bool,
    pub(super) retry: Option<u64>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    pub(super) async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Closes its side; it still reads.
    pub(super) async fn send_no_more(&mut self) {
        self.0.get_mut().shutdown().await.unwrap();
    }

    /// Sends a request with these lines in its head.
    pub(super) async fn ask(&mut self, method: &str, path: &str, lines: &str) {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: shop\r\n{lines}\r\n")).await;
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut line));
        let read = read.await.expect("the gateway answers").unwrap();
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    pub(super) async fn head(&mut self) -> Head {
        let first = self.line().await.expect("an answer and not the end");
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        let mut lines = Vec::new();
        loop {
            match self.line().await.expect("a whole head") {
                line if line.is_empty() => return Head { status, lines },
                line => lines.push(line),
            }
        }
    }

    /// A whole answer with a length.
    pub(super) async fn answer(&mut self) -> (Head, Value) {
        let head = self.head().await;
        let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        let body =
            if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        (head, body)
    }

    /// What comes next in a stream; `None` at its end.
    pub(super) async fn event(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.line().await?;
            match line.split_once(':') {
                None if line.is_empty() => return Some(event),
                Some(("", _)) => event.comment = true,
                Some(("id", value)) => event.id = value.trim().to_owned(),
                Some(("event", value)) => event.name = value.trim().to_owned(),
                Some(("retry", value)) => event.retry = Some(value.trim().parse().unwrap()),
                Some(("data", value)) => event.data = serde_json::from_str(value).unwrap(),
                other => panic!("no line of a stream: {line} {other:?}"),
            }
        }
    }

    /// Opens a stream: its head, and the time after which to come back.
    pub(super) async fn stream(&mut self, ticket: &str, lines: &str) -> Head {
        self.ask("GET", &format!("/v1/tickets/{ticket}/events"), lines).await;
        let head = self.head().await;
        if head.status == 200 {
            let retry = self.event().await.unwrap().retry.expect("first of all, when to come back");
            assert!((1_000..=3_000).contains(&retry), "{retry}");
        }
        head
    }

    /// Everything up to the end.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest));
        read.await.expect("the connection ends").unwrap();
        rest
    }
}
