//! Time limits of connections, under a clock that stands until everybody waits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::clock::SystemClock;
use crate::http::body;
use crate::http::config::Timeouts;
use crate::http::edge::{Arrival, Bounds, serve};
use crate::tasks::{self, StopHandle};
use crate::units::Span;

const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\n";
/// More than the kernel keeps for a client that does not read.
const LARGE: usize = 16 << 20;
const SECOND: Duration = Duration::from_secs(1);

/// A listener whose service takes its time, and answers with so many bytes more than it has to say.
struct Edge {
    address: SocketAddr,
    serving: JoinHandle<()>,
    stop: StopHandle,
}

impl Edge {
    async fn open(timeouts: Timeouts, takes: Duration, more: usize, places: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (handle, stop) = tasks::stop();
        let bounds = Bounds::new("public", places, &timeouts, Arc::new(SystemClock::new()));
        let service = move |_: SocketAddr| {
            move |request: Request<Incoming>, arrival: Arrival| async move {
                let read = body::read(request.into_body(), 100_000, &arrival).await;
                sleep(takes).await;
                let mut said = format!("{:?}", read.map(|bytes| bytes.len())).into_bytes();
                said.resize(said.len() + more, b' ');
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(said))))
            }
        };
        let serving = tokio::spawn(serve(listener, bounds, stop, service));
        Self { address, serving, stop: handle }
    }

    /// Sends the parts, so long after one another; what came back until the connection ended, and how long that
    /// took.
    async fn exchanged(self, parts: &[&[u8]], apart: Duration) -> (String, Duration) {
        let began = tokio::time::Instant::now();
        let (mut reading, mut writing) =
            TcpStream::connect(self.address).await.unwrap().into_split();
        let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
        let sending = tokio::spawn(async move {
            for part in parts {
                // What is refused already takes no more.
                let _ = writing.write_all(&part).await;
                sleep(apart).await;
            }
            writing
        });
        let mut answer = String::new();
        reading.read_to_string(&mut answer).await.unwrap();
        let took = began.elapsed();
        drop(sending.await.unwrap());
        self.serving.abort();
        (answer, took)
    }
}

async fn by_default(parts: &[&[u8]], apart: Duration, takes: Duration) -> (String, Duration) {
    Edge::open(Timeouts::default(), takes, 0, 1).await.exchanged(parts, apart).await
}

/// Limits are kept by a clock of a quarter of a second.
fn about(took: Duration, limit: Duration) -> bool {
    let tick = Duration::from_millis(250);
    took >= limit.saturating_sub(tick) && took <= limit + tick
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_nothing_is_ended_after_the_time_for_its_first_byte() {
    let (answer, took) = by_default(&[], Duration::ZERO, Duration::ZERO).await;
    assert!(answer.is_empty() && about(took, Timeouts::default().first_byte.0), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_and_is_told_that_it_is_over() {
    let (answer, took) = by_default(&[b"POST"], Duration::ZERO, Duration::ZERO).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("\r\ndate: ") && answer.contains(" GMT\r\n"), "{answer}");
    assert!(about(took, Timeouts::default().headers.0), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn idle_counts_from_the_last_answer_and_an_answer_may_take_longer() {
    let idle = Timeouts::default().idle.0;
    let whole = [REQUEST, b"{}"].concat();
    let (answer, took) = by_default(&[&whole], Duration::ZERO, idle * 3).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(about(took, idle * 4), "{took:?}");
    let (answer, took) = by_default(&[&whole, &whole], idle / 2, Duration::ZERO).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert!(about(took, idle * 3 / 2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_has_its_time_whether_it_comes_late_or_never() {
    let (answer, _) = by_default(&[REQUEST, b"{}"], SECOND * 4, Duration::ZERO).await;
    assert!(answer.ends_with("Ok(2)"), "{answer}");
    let (answer, took) = by_default(&[REQUEST], Duration::ZERO, Duration::ZERO).await;
    assert!(answer.ends_with("Err(Slow)"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(took < Timeouts::default().body.0 + SECOND * 3, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_with_more_time_must_bring_a_kibibyte_a_second() {
    let head =
        b"POST / HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 20480\r\n\r\n";
    let timeouts = || Timeouts { body: Span(SECOND * 60), ..Timeouts::default() };
    let (piece, slow) = ([b'x'; 2_048], [b'x'; 512]);
    let parts: Vec<&[u8]> = std::iter::once(&head[..]).chain([&piece[..]; 10]).collect();
    let edge = Edge::open(timeouts(), Duration::ZERO, 0, 1).await;
    let (answer, took) = edge.exchanged(&parts, SECOND).await;
    assert!(answer.ends_with("Ok(20480)") && took >= SECOND * 9, "{answer} {took:?}");
    let parts: Vec<&[u8]> = std::iter::once(&head[..]).chain([&slow[..]; 40]).collect();
    let edge = Edge::open(timeouts(), Duration::ZERO, 0, 1).await;
    let (answer, took) = edge.exchanged(&parts, SECOND).await;
    // Five seconds, and half a second for each further one.
    assert!(answer.ends_with("Err(Slow)"), "{answer}");
    assert!(took >= SECOND * 9 && took <= SECOND * 13, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_and_its_place_is_free() {
    let edge = Edge::open(Timeouts::default(), Duration::ZERO, LARGE, 1).await;
    let began = tokio::time::Instant::now();
    let mut deaf = TcpStream::connect(edge.address).await.unwrap();
    deaf.write_all(&[REQUEST, b"{}"].concat()).await.unwrap();
    // The only place: whoever comes next is served when it is given back.
    let mut next = TcpStream::connect(edge.address).await.unwrap();
    next.write_all(&[REQUEST, b"{}"].concat()).await.unwrap();
    let mut answer = [0; 12];
    next.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert!(about(began.elapsed(), Timeouts::default().write.0), "{:?}", began.elapsed());
    edge.serving.abort();
}

#[tokio::test(start_paused = true)]
async fn at_the_stop_idle_connections_end_and_what_is_answered_is_answered() {
    let edge = Edge::open(Timeouts::default(), SECOND, 0, 2).await;
    let whole = [REQUEST, b"{}"].concat();
    let mut idle = TcpStream::connect(edge.address).await.unwrap();
    idle.write_all(&whole).await.unwrap();
    let mut answer = vec![0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    let mut busy = TcpStream::connect(edge.address).await.unwrap();
    busy.write_all(&whole).await.unwrap();
    sleep(SECOND / 2).await;
    let began = tokio::time::Instant::now();
    edge.stop.pull();
    answer.clear();
    idle.read_to_end(&mut answer).await.unwrap();
    assert!(began.elapsed() < SECOND / 10, "{:?}", began.elapsed());
    answer.clear();
    busy.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.ends_with("Ok(2)") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    edge.serving.await.unwrap();
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
}
