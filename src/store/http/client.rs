//! One request to the shop and its whole answer, within a deadline. Redirects are not followed.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::RETRY_AFTER;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Reply};
use super::config::Config;
use crate::setting::BadSetting;
use crate::store::tls::is_of_tls;

/// Idle connections go before any server closes them, so that no order is sent into a closing one.
const IDLE: Duration = Duration::from_secs(1);
/// The largest answer, head and body each.
const ANSWER_MAX: usize = 64 << 10;

#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
type Connector = HttpConnector;

/// Connections to the shop.
#[derive(Debug)]
pub(super) struct Client {
    pool: Pool<Connector, Sent>,
}

/// The body of a request. It notes when the connection asks for it: before that, nothing of the request was written.
pub(super) struct Sent {
    rest: Option<Bytes>,
    begun: Arc<AtomicBool>,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.begun.store(true, Ordering::Relaxed);
        Poll::Ready(self.rest.take().map(|rest| Ok(Frame::data(rest))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.as_ref().map_or(0, |rest| rest.len() as u64))
    }
}

impl Client {
    /// # Errors
    /// A file that cannot be used.
    pub(super) fn new(config: &Config) -> Result<Self, BadSetting> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        connector.set_keepalive(Some(Duration::from_secs(30)));
        // Several addresses of one name share the time.
        connector.set_connect_timeout(Some(config.timeout.0));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(config.connections as usize)
            .http1_max_buf_size(ANSWER_MAX)
            .build(secured(connector, config)?);
        Ok(Self { pool })
    }

    /// Sends a request and reads its answer. Given up, it closes its connection.
    pub(super) async fn call(&self, request: Request<Bytes>, until: Instant) -> Reply {
        let begun = Arc::new(AtomicBool::new(false));
        let request = request.map(|body| Sent {
            rest: Some(body).filter(|body| !body.is_empty()),
            begun: Arc::clone(&begun),
        });
        let mut head = None;
        let calling = async {
            let answer = self.pool.request(request).await?;
            let retry_after = answer.headers().get(RETRY_AFTER);
            let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
            head = Some((answer.status(), retry_after));
            Ok(Limited::new(answer.into_body(), ANSWER_MAX).collect().await)
        };
        let ended = timeout_at(until, calling).await;
        let late = || "no whole answer in time".to_owned();
        let body = match ended {
            Ok(Ok(Ok(body))) => Ok(body.to_bytes()),
            Ok(Ok(Err(error))) => Err(told(&*error)),
            Ok(Err(error)) => return failed(&error, begun.load(Ordering::Relaxed)),
            Err(_) => Err(late()),
        };
        match head {
            Some((status, retry_after)) => Reply::Answered(Answer { status, retry_after, body }),
            None if begun.load(Ordering::Relaxed) => Reply::Lost { reason: late() },
            None => {
                Reply::Unsent { reason: "no connection in time".to_owned(), misconfigured: false }
            }
        }
    }
}

fn failed(error: &hyper_util::client::legacy::Error, begun: bool) -> Reply {
    let reason = told(error);
    if begun {
        return Reply::Lost { reason };
    }
    Reply::Unsent { misconfigured: is_of_tls(error), reason }
}

/// An error with its causes, in a line.
fn told(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let mut told: Vec<String> = causes.map(ToString::to_string).collect();
    told.dedup();
    told.join(": ")
}

#[cfg(feature = "tls")]
fn secured(connector: HttpConnector, config: &Config) -> Result<Connector, BadSetting> {
    use rustls::ClientConfig;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    match config.authority()? {
        Some(pem) => {
            let certificates = CertificateDer::pem_slice_iter(&pem).flatten();
            roots.add_parsable_certificates(certificates);
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = versions.expect("ring has the versions that are safe");
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls);
    Ok(builder.https_or_http().enable_http1().wrap_connector(connector))
}

#[cfg(not(feature = "tls"))]
fn secured(connector: HttpConnector, _: &Config) -> Result<Connector, BadSetting> {
    Ok(connector)
}
