//! Accepts connections and serves HTTP/1.1 on them. The caller owns the listener, the stop signal, and how many
//! threads share the bounds.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::config::Timeouts;
use super::takeover::Takeover;
use crate::tasks::Stop;

/// After an accept that failed for want of descriptors or memory.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// The largest head of a request.
const HEAD_MAX: usize = 16 << 10;

/// Bounds that all threads of one listener share.
#[derive(Clone, Debug)]
pub struct Bounds {
    connections: Arc<Semaphore>,
    idle: Duration,
    lame_duck: Duration,
    shutdown: Duration,
}

impl Bounds {
    /// At most so many open connections; the next ones wait in the kernel.
    #[must_use]
    pub fn new(connections: usize, timeouts: &Timeouts) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            idle: timeouts.idle.0.max(timeouts.headers.0),
            lame_duck: timeouts.lame_duck.0,
            shutdown: timeouts.shutdown.0,
        }
    }
}

/// Serves until the stop: accepts, answers by what `make` gives for each peer, then finishes what is in flight
/// within the time for it.
pub async fn serve<M, S, F, B>(listener: TcpListener, bounds: Bounds, stop: Stop, make: M)
where
    M: Fn(SocketAddr) -> S,
    S: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    serve_taking(listener, bounds, stop, |peer, _| make(peer)).await;
}

/// The same, and what `make` gives may take connections over.
pub(super) async fn serve_taking<M, S, F, B>(
    listener: TcpListener,
    bounds: Bounds,
    stop: Stop,
    make: M,
) where
    M: Fn(SocketAddr, Takeover<TcpStream>) -> S,
    S: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut connections = JoinSet::new();
    let stopped = async {
        stop.pulled().await;
        tokio::time::sleep(bounds.lame_duck).await;
    };
    tokio::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => break,
            accepted = accept(&listener, &bounds) => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer, permit)) => {
                let takeover = Takeover::new();
                let answer = make(peer, takeover.clone());
                let served = connection(stream, answer, takeover, bounds.clone(), stop.clone());
                connections.spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, or a peer that was gone before it was accepted: never a spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.shutdown, all).await.is_err() {
        tracing::warn!(
            left = connections.len(),
            "connections were cut: they took longer than [public.timeouts] shutdown"
        );
        connections.abort_all();
    }
}

async fn accept(
    listener: &TcpListener,
    bounds: &Bounds,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(&bounds.connections).acquire_owned().await;
    let permit = permit.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}

async fn connection<S, F, B>(
    stream: TcpStream,
    answer: S,
    takeover: Takeover<TcpStream>,
    bounds: Bounds,
    stop: Stop,
) where
    S: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.idle)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(takeover.over(stream)), service_fn(answer));
    let next = {
        let stopping = stop.pulled();
        tokio::pin!(stopping);
        let mut told = false;
        poll_fn(|cx| {
            let mut served = Pin::new(&mut served);
            if !told && stopping.as_mut().poll(cx).is_ready() {
                told = true;
                served.as_mut().graceful_shutdown();
            }
            match served.poll(cx) {
                Poll::Ready(ended) => Poll::Ready(Err(ended)),
                Poll::Pending => {
                    takeover.taken().map_or(Poll::Pending, |next| Poll::Ready(Ok(next)))
                }
            }
        })
        .await
    };
    match next {
        Ok(next) => {
            let socket = served.into_parts().io.into_inner().into_inner();
            next(socket).await;
        }
        Err(Err(error)) => tracing::debug!(%error, "a connection ended"),
        Err(Ok(())) => {}
    }
}
