//! One request as raw bytes, and its whole answer.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::AT_LAST;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 0 when the connection ended without one.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The stable name of a refusal.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| {
            line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        let line = self.head.lines().find(named)?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}

/// What the client does when it has sent its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It waits for the answer.
    Wait,
    /// It says that no more will come, and waits.
    End,
}

/// Sends bytes, and reads until the other side ends.
pub(crate) async fn send(address: SocketAddr, bytes: &[u8], then: Then) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A refusal may come, and the connection end, before all was sent.
        let _ = stream.write_all(bytes).await;
        if then == Then::End {
            let _ = stream.shutdown().await;
        }
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read).await;
        answer(&read)
    };
    tokio::time::timeout(AT_LAST, exchange).await.expect("no answer and no end")
}

fn answer(read: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(read);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A request with a body, or none when it is empty; the connection ends with it.
pub(crate) async fn request(
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut bytes = format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        bytes.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    bytes.push_str("\r\n");
    send(address, &[bytes.as_bytes(), body].concat(), Then::Wait).await
}

/// One phone of a sale for a buyer, under a key.
pub(crate) async fn order(address: SocketAddr, sale: &str, buyer: &str, key: &str) -> Answer {
    let headers =
        [("Content-Type", "application/json"), ("X-Buyer-Id", buyer), ("Idempotency-Key", key)];
    let body = br#"{"lines":[{"sku":"phone","quantity":1}]}"#;
    request(address, &format!("POST /v1/sales/{sale}/orders"), &headers, body).await
}
