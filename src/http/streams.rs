//! `GET /v1/tickets/{ticket}/events`: who may have a stream, and whose order has nothing more to tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use metrics::{Gauge, gauge};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::answer::{Answer, empty, with_body};
use super::document::View;
use super::edge::Arrival;
use super::gateway::Caller;
use super::problem::Problem;
use super::stream::{LAST_EVENT_ID, TicketStream, event, retry};
use crate::metrics::TICKET_STREAMS;

/// What the kernel may keep for one stream, in bytes; it doubles it for its own needs.
const SEND_BUFFER: usize = 8 << 10;

/// Open streams of all threads.
#[derive(Debug)]
pub(super) struct Streams {
    open: AtomicUsize,
    max: AtomicUsize,
    gauge: Gauge,
}

impl Streams {
    pub(super) fn new(max: usize) -> Arc<Self> {
        let gauge = gauge!(TICKET_STREAMS);
        gauge.set(0.0);
        Arc::new(Self { open: AtomicUsize::new(0), max: AtomicUsize::new(max), gauge })
    }

    /// Those that are open stay; there are no more before they are fewer than this.
    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// One more stream, if there may be one.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Entered> {
        let max = self.max.load(Ordering::Relaxed);
        let more = |open| (open < max).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        self.gauge.increment(1.0);
        Some(Entered(Arc::clone(self)))
    }
}

/// A stream that counts; dropped, it does not any more.
#[derive(Debug)]
pub(super) struct Entered(Arc<Streams>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.decrement(1.0);
    }
}

impl Caller {
    /// Answers at once where there is nothing to wait for, else takes the connection for a stream.
    pub(super) async fn events(
        &self,
        text: &str,
        head: &Parts,
        arrival: &Arrival,
    ) -> Result<Answer, Problem> {
        if head.uri.query().is_some() {
            return Err(Problem::Malformed("a stream has no query"));
        }
        let parts = &self.gateway.parts;
        let (limits, client) = (&self.gateway.parts.limits, || self.client(head));
        limits.poll(client).map_err(|limited| self.limited(limited))?;
        let known = self.known(text, self.buyer_at_hand(head))?;
        self.gateway.meters.poll();
        let (sale_no, place) = known.order();
        let seated = parts.watch.sit(sale_no, place, self.room.bell());
        let view = self.gateway.view(&known).await?;
        if view.state().is_terminal() {
            return Ok(if has_seen(head, &view) {
                empty(StatusCode::NO_CONTENT)
            } else {
                let mut frame = Vec::with_capacity(512);
                retry(&mut frame, self.gateway.random());
                event(&mut frame, &view, &self.gateway.document(&known, &view));
                of_events(frame)
            });
        }
        if head.method == Method::HEAD {
            return Ok(of_events(Vec::new()));
        }
        if self.room.is_closing() {
            return Err(self.gateway.stopping());
        }
        let retry_after = self.gateway.spread(5);
        let entered = self.gateway.streams.enter();
        let entered = entered.ok_or(Problem::TooManyStreams { retry_after })?;
        let stream = TicketStream {
            gateway: Arc::clone(&self.gateway),
            room: Arc::clone(&self.room),
            seated,
            ticket: known.ticket,
            text: known.text.into(),
            _entered: entered,
        };
        let patience = parts.config.load().timeouts.write.0;
        let next = Box::new(move |socket: TcpStream| {
            bound(&socket, patience);
            let running: BoxFuture<'static, ()> = Box::pin(stream.run(socket));
            running
        });
        match arrival.take(next).await {}
    }
}

/// Bounds what the kernel keeps for a client that does not read, and how long it tries to reach one that is gone.
fn bound(socket: &TcpStream, patience: Duration) {
    let socket = SockRef::from(socket);
    let bounded = socket.set_send_buffer_size(SEND_BUFFER);
    #[cfg(target_os = "linux")]
    let bounded = bounded.and_then(|()| socket.set_tcp_user_timeout(Some(patience)));
    if let Err(error) = bounded {
        tracing::debug!(%error, "a stream's socket stays as it is");
    }
}

/// Whether the client knows the end already; then it shall not come back.
fn has_seen(head: &Parts, view: &View) -> bool {
    let seen = head.headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    seen.is_some_and(|seen| seen == view.version().to_string())
}

fn of_events(frame: Vec<u8>) -> Answer {
    let mut answer = with_body(StatusCode::OK, frame.into());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(hyper::header::CACHE_CONTROL, super::answer::NO_STORE);
    answer
}
