//! Accepts connections and serves HTTP/1.1 on them. The caller owns the listener, the stop signal, and how many
//! threads share the bounds.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::config::Timeouts;
use super::takeover::{Next, Takeover};
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
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
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
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
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
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => break,
            accepted = accept(&listener, &bounds) => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer, permit)) => {
                failing = false;
                let takeover = Takeover::new();
                let answer = make(peer, takeover.clone());
                let served = connection(stream, answer, takeover, bounds.clone(), stop.clone());
                connections.spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, or a peer that was gone before it was accepted: never a spin, and told once.
                if !failing {
                    tracing::warn!(%error, "a connection could not be accepted: it is tried again");
                }
                failing = true;
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

/// How a connection left the HTTP engine.
enum Left {
    Ended(hyper::Result<()>),
    Taken(Next<TcpStream>),
    Idle,
}

async fn connection<S, F, B>(
    stream: TcpStream,
    answer: S,
    takeover: Takeover<TcpStream>,
    bounds: Bounds,
    stop: Stop,
) where
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (idle, answer) = (Arc::new(Idle::default()), Arc::new(answer));
    let busy = Arc::clone(&idle);
    // The answer's future is made where it stays: it is too large to be moved for nothing.
    let answer = move |request: Request<Incoming>| {
        let (idle, answer) = (Arc::clone(&busy), Arc::clone(&answer));
        async move {
            idle.turn();
            let answered = answer(request).await;
            idle.turn();
            answered
        }
    };
    let mut served = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        // Answers are small: copied together they are sent by one plain call.
        .writev(false)
        .serve_connection(TokioIo::new(takeover.over(stream)), service_fn(answer));
    let left = {
        let (stopping, idling) = (stop.pulled(), idle.longer_than(bounds.idle));
        tokio::pin!(stopping, idling);
        let mut told = false;
        poll_fn(|cx| {
            let mut served = Pin::new(&mut served);
            if !told && stopping.as_mut().poll(cx).is_ready() {
                told = true;
                served.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(ended) = served.poll(cx) {
                return Poll::Ready(Left::Ended(ended));
            }
            if let Some(next) = takeover.taken() {
                return Poll::Ready(Left::Taken(next));
            }
            idling.as_mut().poll(cx).map(|()| Left::Idle)
        })
        .await
    };
    match left {
        Left::Taken(next) => {
            let socket = served.into_parts().io.into_inner().into_inner();
            next(socket).await;
        }
        Left::Ended(Err(error)) => tracing::debug!(%error, "a connection ended"),
        Left::Ended(Ok(())) => {}
        Left::Idle => tracing::debug!("a connection was idle"),
    }
}

/// Whether a connection waits for a whole head. hyper's own timer is set and taken back with each request, which
/// costs a lock and often a wake-up of the runtime; here a request costs two counts, and a timer looks at them.
#[derive(Debug, Default)]
struct Idle {
    /// Requests begun and ended: odd while one is answered.
    turns: AtomicU64,
}

/// How often in its time an idle connection is looked at; it ends at most one look late.
const LOOKS: u32 = 4;

impl Idle {
    fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    async fn longer_than(&self, bound: Duration) {
        let (mut seen, mut quiet) = (self.turns(), 0);
        while quiet < LOOKS {
            tokio::time::sleep(bound / LOOKS).await;
            let now = self.turns();
            let idle = now == seen && now.is_multiple_of(2);
            quiet = if idle { quiet + 1 } else { 0 };
            seen = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::http::body;
    use crate::tasks;

    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\n";

    /// Sends the parts, so long after one another, to a service that takes its time; answers what came back
    /// until the connection ended, and how long that took.
    async fn exchanged(parts: &[&[u8]], apart: Duration, takes: Duration) -> (String, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_handle, stop) = tasks::stop();
        let bounds = Bounds::new(1, &Timeouts::default());
        let service = move |_: SocketAddr| {
            move |request: Request<Incoming>| async move {
                let read = body::read(request.into_body(), 100, Duration::from_secs(10)).await;
                tokio::time::sleep(takes).await;
                Ok(Response::new(Full::new(Bytes::from(format!("{read:?}")))))
            }
        };
        let serving = tokio::spawn(serve(listener, bounds, stop, service));
        let began = tokio::time::sleep(Duration::ZERO).deadline();
        let mut client = TcpStream::connect(address).await.unwrap();
        for part in parts {
            client.write_all(part).await.unwrap();
            tokio::time::sleep(apart).await;
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        serving.abort();
        (answer, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_asks_nothing_is_ended() {
        let idle = Timeouts::default().idle.0;
        let (answer, took) = exchanged(&[], Duration::ZERO, Duration::ZERO).await;
        assert!(answer.is_empty() && took >= idle && took < idle * 2, "{answer} {took:?}");
        let (answer, took) = exchanged(&[b"POST"], Duration::ZERO, Duration::ZERO).await;
        assert!(answer.is_empty() && took >= idle && took < idle * 2, "{answer} {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_counts_from_the_last_answer_and_an_answer_may_take_longer() {
        let idle = Timeouts::default().idle.0;
        let whole = [REQUEST, b"{}"].concat();
        let (answer, took) = exchanged(&[&whole], Duration::ZERO, idle * 3).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(took >= idle * 4 && took < idle * 5, "{took:?}");
        let (answer, took) = exchanged(&[&whole, &whole], idle / 2, Duration::ZERO).await;
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
        assert!(took >= idle * 3 / 2 && took < idle * 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_its_time_whether_it_comes_late_or_never() {
        let (answer, _) =
            exchanged(&[REQUEST, b"{}"], Duration::from_secs(5), Duration::ZERO).await;
        assert!(answer.ends_with("Ok(b\"{}\")"), "{answer}");
        let (answer, _) = exchanged(&[REQUEST], Duration::ZERO, Duration::ZERO).await;
        assert!(answer.ends_with("Err(Slow)"), "{answer}");
    }
}
