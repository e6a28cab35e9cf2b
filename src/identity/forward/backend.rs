//! One question to the shop and what its answer means.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, COOKIE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use std::time::Duration;

use super::{Credential, Failure, Question, Verdict};
use crate::order::Buyer;

/// Idle connections go before any server closes them, so that no question is sent into a closing one.
const IDLE: Duration = Duration::from_secs(1);
/// The largest head of an answer.
const HEAD_MAX: usize = 64 << 10;

/// The shop's endpoint.
#[derive(Debug)]
pub(super) struct Backend {
    client: Client<HttpConnector, Empty<Bytes>>,
    url: Uri,
    header: HeaderName,
}

impl Backend {
    pub(super) fn new(question: &Question) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(question.timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(question.max_in_flight)
            .http1_max_buf_size(HEAD_MAX)
            .build(connector);
        Self { client, url: question.url.clone(), header: question.header.clone() }
    }

    /// Asks, and gives the rest of an answer that has one. The request is written from nothing: no header of the
    /// buyer's but these goes along, least of all one that names a buyer.
    pub(super) async fn ask(&self, credential: &Credential) -> (Verdict, Option<Incoming>) {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let agent = concat!("forebay/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Some(authorization) = &credential.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        for cookie in &credential.cookies {
            headers.append(COOKIE, cookie.clone());
        }
        match self.client.request(request).await {
            Ok(answer) => (self.judged(&answer), Some(answer.into_body())),
            Err(error) => {
                tracing::debug!(%error, "the shop could not be asked who a buyer is");
                (Verdict::Failed(Failure::NoConnection), None)
            }
        }
    }

    fn judged(&self, answer: &Response<Incoming>) -> Verdict {
        match answer.status() {
            StatusCode::OK => {
                let mut named = answer.headers().get_all(&self.header).iter();
                let buyer = named.next().and_then(|name| Buyer::new(name.as_bytes()).ok());
                match buyer {
                    Some(buyer) if named.next().is_none() => Verdict::Buyer(buyer),
                    _ => Verdict::Failed(Failure::NoBuyer),
                }
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Verdict::Nobody,
            other => Verdict::Failed(Failure::Status(other.as_u16())),
        }
    }
}
