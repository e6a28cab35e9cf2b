//! The wire for correctness: a hyper client connection.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Answer, Broken, Wire};
use crate::form::{Crowd, OrderForm};
use crate::target::Target;

/// A hyper client connection and the last answer it brought.
#[derive(Debug)]
pub struct FullWire {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    path: String,
    body: Bytes,
    crowd: Crowd,
    status: u16,
    replayed: bool,
    retry_after: Option<u32>,
    answer: Bytes,
}

impl Wire for FullWire {
    async fn connect(target: &Target, form: &OrderForm) -> std::io::Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        // Ends with the connection; what went wrong is seen by the exchange that it hits.
        tokio::spawn(connection);
        Ok(Self {
            sender,
            host: target.host.clone(),
            path: form.path(),
            body: form.body().into(),
            crowd: form.crowd.clone(),
            status: 0,
            replayed: false,
            retry_after: None,
            answer: Bytes::new(),
        })
    }

    async fn exchange(&mut self, ask: u64) -> Result<(), Broken> {
        let mut request = Request::post(&self.path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .header("x-buyer-id", self.crowd.buyer(ask));
        if let Some(key) = self.crowd.key(ask) {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(self.body.clone())).map_err(|_| Broken::Reset)?;
        self.sender.ready().await.map_err(|_| Broken::Reset)?;
        let response =
            self.sender.send_request(request).await.map_err(|error| {
                if error.is_parse() { Broken::Truncated } else { Broken::Reset }
            })?;
        self.status = response.status().as_u16();
        self.replayed =
            response.headers().get("idempotent-replayed").is_some_and(|value| value == "true");
        self.retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        self.answer =
            response.into_body().collect().await.map_err(|_| Broken::Truncated)?.to_bytes();
        Ok(())
    }

    fn answer(&self) -> Answer<'_> {
        let Self { status, replayed, retry_after, .. } = *self;
        Answer { status, body: &self.answer, replayed, retry_after }
    }

    fn reusable(&self) -> bool {
        !self.sender.is_closed()
    }
}
