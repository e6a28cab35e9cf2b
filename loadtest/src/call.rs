//! One HTTP call, for all that is not an order: admin calls, probes, tickets. A connection each: these
//! are rare, and a call must not be lost to a connection that a restart has cut.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::target::Target;

/// An export of a million tickets fits into this.
const CALL_MAX: Duration = Duration::from_secs(120);

/// Status and body of one call.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON if the status is 2xx, else an error that names both.
    pub fn json(&self) -> anyhow::Result<Value> {
        if !(200..300).contains(&self.status) {
            bail!("status {}: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        serde_json::from_slice(&self.body).context("the answer is not JSON")
    }
}

/// Sends one request; `body` makes it a JSON request.
pub async fn call(
    target: &Target,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> anyhow::Result<Reply> {
    let exchange = async {
        let stream = TcpStream::connect(target.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(&method).uri(path).header(HOST, &target.host);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let response = sender.send_request(request.body(Full::new(Bytes::from(bytes)))?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        anyhow::Ok(Reply { status, body })
    };
    tokio::time::timeout(CALL_MAX, exchange)
        .await
        .unwrap_or_else(|_| Err(anyhow!("no answer within {} s", CALL_MAX.as_secs())))
        .with_context(|| format!("{method} http://{}{path}", target.host))
}
