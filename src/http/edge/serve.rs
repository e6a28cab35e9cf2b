//! Serves HTTP/1.1 on the connections of a listener. The caller owns the listener, the stop signal, and how many
//! threads share the bounds.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::accept::{Accepted, Door};
use super::crowd::Crowd;
use super::keeper::Keeper;
use super::last_words;
use super::pulse::{Arrival, End, Pulse};
use super::refusals::Refusals;
use super::takeover::Next;
use super::wire::Wire;
use crate::clock::SharedClock;
use crate::http::config::Timeouts;
use crate::http::problem::Problem;
use crate::identity::Network;
use crate::tasks::Stop;

/// The largest head of a request, and the most of a body that is buffered.
const HEAD_MAX: usize = 16 << 10;

/// Bounds that all threads of one listener share.
#[derive(Clone, Debug)]
pub struct Bounds {
    connections: Arc<Semaphore>,
    crowd: Option<Arc<Crowd>>,
    refusals: Refusals,
    /// Written by a reload, read by each thread's keeper.
    timeouts: Arc<ArcSwap<Timeouts>>,
}

impl Bounds {
    /// At most so many open connections; the next ones wait in the kernel. `listener` names it in the metrics;
    /// `clock` dates the answers for which no service is asked.
    #[must_use]
    pub fn new(
        listener: &'static str,
        connections: usize,
        timeouts: &Timeouts,
        clock: SharedClock,
    ) -> Self {
        let connections = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        let refusals = Refusals::of(listener, clock);
        let timeouts = Arc::new(ArcSwap::from_pointee(timeouts.clone()));
        Self { connections, crowd: None, refusals, timeouts }
    }

    /// Other times for all connections, and other networks whose connections are not counted by address.
    pub(in crate::http) fn change(&self, timeouts: &Timeouts, exempt: &[Network]) {
        self.timeouts.store(Arc::new(timeouts.clone()));
        if let Some(crowd) = &self.crowd {
            crowd.set_exempt(exempt);
        }
    }

    /// At most so many connections of one address (of one /64 in IPv6), the networks of `exempt` left out.
    #[must_use]
    pub fn each_address(self, max: usize, exempt: &[Network]) -> Self {
        Self { crowd: Some(Crowd::new(max, exempt.to_vec())), ..self }
    }
}

/// Serves until the stop: accepts, answers by what `make` gives for each peer, then finishes what is in flight
/// within the time for it. A connection that a request takes keeps its place among the others until it ends.
pub async fn serve<M, S, F, B>(listener: TcpListener, bounds: Bounds, stop: Stop, make: M)
where
    M: Fn(SocketAddr) -> S,
    S: Fn(Request<Incoming>, Arrival) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut connections = JoinSet::new();
    let keeper = Keeper::new(Arc::clone(&bounds.timeouts));
    let mut keeping = JoinSet::new();
    keeping.spawn(Arc::clone(&keeper).run());
    let stopped = async {
        stop.pulled().await;
        keeper.stopping();
    };
    tokio::pin!(stopped);
    let mut door = Door::new(listener, bounds.connections, bounds.crowd, bounds.refusals.clone());
    loop {
        let Accepted { stream, peer, held } = tokio::select! {
            biased;
            () = &mut stopped => break,
            accepted = door.next() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let served = connection(stream, make(peer), Kept(keeper.keep()), bounds.refusals.clone());
        // Each in memory of its own: what goes on with a socket for minutes keeps none of what went before it.
        let served = Box::pin(served);
        connections.spawn(async move {
            match served.await {
                After::Nothing => {}
                After::Close(stream, words) => Box::pin(last_words::close(stream, words)).await,
                After::GoOn(stream, next) => next(stream).await,
            }
            drop(held);
        });
    }
    drop(door);
    keeper.clear();
    // The rest of the time is for those who wait for the listeners.
    finished(connections, bounds.timeouts.load().shutdown.0 * 4 / 5).await;
}

async fn finished(mut connections: JoinSet<()>, within: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(within, all).await.is_err() {
        tracing::warn!(
            left = connections.len(),
            "connections were cut: they took longer than [public.timeouts] shutdown"
        );
        connections.abort_all();
    }
}

/// How a connection left the HTTP engine.
enum Left {
    Ended(hyper::Result<()>),
    Taken(Next),
    Cut(End),
}

/// What is left to be done with its socket.
enum After {
    Nothing,
    /// To say why it ends, if that was not said already, and to close it.
    Close(TcpStream, Option<Vec<u8>>),
    GoOn(TcpStream, Next),
}

async fn connection<S, F, B>(stream: TcpStream, answer: S, kept: Kept, refusals: Refusals) -> After
where
    S: Fn(Request<Incoming>, Arrival) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Kept(pulse) = &kept;
    let (told, answer) = (Arc::clone(pulse), Arc::new(answer));
    let service = service_fn(move |request: Request<Incoming>| {
        // What changes something and was sent whole is answered; a poll whose client is gone is not.
        let changes = request.method() == Method::POST || request.method() == Method::DELETE;
        let arrival = told.called(changes);
        let chunked = request.body().size_hint().exact().is_none();
        let (pulse, answer) = (Arc::clone(&told), Arc::clone(&answer));
        // The answer's future is made where it stays: it is too large to be moved for nothing.
        async move {
            let Ok(response) = answer(request, arrival).await;
            Ok::<_, Infallible>(sent(response, pulse, chunked))
        }
    });
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(pulse)));
    let mut served = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        // Answers are small: copied together they are sent by one plain call.
        .writev(false)
        .serve_connection(wire, service);
    let (mut task, mut leaving): (Option<Waker>, _) = (None, false);
    let left = poll_fn(|cx| {
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            task = Some(cx.waker().clone());
            pulse.wake_by(cx.waker().clone());
        }
        let mut served = Pin::new(&mut served);
        if pulse.is_leaving() && !leaving {
            leaving = true;
            served.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = served.poll(cx) {
            return Poll::Ready(Left::Ended(ended));
        }
        if let Some(next) = pulse.takeover.take() {
            return Poll::Ready(Left::Taken(next));
        }
        match pulse.end() {
            // Of a slow body the wire tells hyper, which tells the service.
            None | Some(End::SlowBody) => Poll::Pending,
            Some(end) => Poll::Ready(Left::Cut(end)),
        }
    })
    .await;
    let wire = served.into_parts().io.into_inner();
    match left {
        Left::Taken(next) => After::GoOn(wire.stream, next),
        Left::Cut(End::SlowHead) => {
            refusals.count(&Problem::Timeout);
            After::Close(wire.stream, Some(refusals.answer(&Problem::Timeout)))
        }
        Left::Cut(_) => After::Nothing,
        Left::Ended(ended) => end(wire, &ended, pulse, &refusals),
    }
}

/// What hyper did not say, and whether the client has to be heard before the socket is closed.
fn end(wire: Wire, ended: &hyper::Result<()>, pulse: &Pulse, refusals: &Refusals) -> After {
    let why = match wire.refused {
        // hyper has one error for a head and for a length that are too large.
        Some(431) if wire.is_endless() => Some(Problem::TooLarge),
        refused => own_refusal(refused, ended.as_ref().err()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
        if why.is_none() {
            return After::Nothing;
        }
    }
    if why.is_none() && pulse.is_complete() && !pulse.unserved() {
        return After::Nothing;
    }
    let words = why.map(|problem| {
        refusals.count(&problem);
        refusals.answer(&problem)
    });
    After::Close(wire.stream, words)
}

/// What to say instead of hyper's own refusal of a head that it cannot parse.
fn own_refusal(status: Option<u16>, error: Option<&hyper::Error>) -> Option<Problem> {
    match status {
        Some(414) => Some(Problem::UriTooLong),
        Some(431) => Some(Problem::HeadersTooLarge),
        None if !error.is_some_and(hyper::Error::is_parse) => None,
        _ => Some(Problem::Malformed("this is no HTTP/1.1 request")),
    }
}

/// An answer as it goes out: it says so if the connection ends with it.
fn sent<B: Body>(mut response: Response<B>, pulse: Arc<Pulse>, chunked: bool) -> Response<Sent<B>> {
    // hyper reads one piece of a body that nobody wants: a chunked one may have more of them.
    let refused = response.status().is_client_error() || response.status().is_server_error();
    let cut = !pulse.is_complete() && !pulse.is_draining();
    if cut || (chunked && refused) || pulse.is_stopping() || pulse.is_last() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let stream = response.body().size_hint().exact().is_none();
    if !stream {
        pulse.answered();
    }
    response.map(|body| Sent { body, streaming: stream.then_some(pulse) })
}

/// The body of an answer. While a stream lasts its connection is not idle.
#[derive(Debug)]
struct Sent<B> {
    body: B,
    streaming: Option<Arc<Pulse>>,
}

impl<B: Body + Unpin> Body for Sent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Sent<B> {
    fn drop(&mut self) {
        if let Some(pulse) = &self.streaming {
            pulse.answered();
        }
    }
}

/// A connection that its keeper holds to the limits, until it is dropped.
struct Kept(Arc<Pulse>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.close();
    }
}
