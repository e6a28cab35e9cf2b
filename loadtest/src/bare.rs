//! The yardstick: hyper alone. It drains the body and answers 202 with as many bytes as the gateway
//! sends, and does nothing else. What the gateway costs beyond this is its own.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::output;

/// A ticket, in length: 43 bytes as base64url.
const LOCATION_LIKE: &str =
    "/v1/tickets/bare-hyper-makes-no-tickets-but-they-are-as-long-as-this-0";

/// Serves until the process is ended. Prints its address, so that its parent knows when it is there.
pub async fn serve(listen: SocketAddr, body_bytes: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    output::line(format_args!("listening on {}", listener.local_addr()?));
    let body = Bytes::from(vec![b' '; body_bytes]);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        let service = service_fn(move |request| answer(request, body.clone()));
        // A connection's end is the client's business; the yardstick has nothing to report.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that breaks off ends its connection; either way it has been drained.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(LOCATION, HeaderValue::from_static(LOCATION_LIKE));
    Ok(response)
}
