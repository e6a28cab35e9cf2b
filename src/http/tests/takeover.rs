//! A connection that is taken over while an earlier answer still waits for its reader.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::client::Client;
use crate::clock::SystemClock;
use crate::http::body;
use crate::http::config::Timeouts;
use crate::http::edge::{Arrival, Bounds, serve};
use crate::tasks;

/// More than the kernel keeps for a client that does not read.
const LARGE: usize = 16 << 20;

const TAKEN: &[u8] = b"TAKEN";

type Answered = Result<Response<Full<Bytes>>, Infallible>;

async fn taking(mut socket: TcpStream) {
    socket.write_all(TAKEN).await.unwrap();
}

/// Answers `/take` by taking its connection, and all else by a large body, before it has read what was sent.
fn answering(request: Request<Incoming>, arrival: Arrival) -> BoxFuture<'static, Answered> {
    Box::pin(async move {
        if request.uri().path() == "/take" {
            let next = |socket| -> BoxFuture<'static, ()> { Box::pin(taking(socket)) };
            match arrival.take(Box::new(next)).await {}
        }
        let (head, body) = request.into_parts();
        body::discard(&head, body, &arrival);
        Ok(Response::new(Full::new(Bytes::from(vec![b'x'; LARGE]))))
    })
}

/// What a client reads that sends the second part when the first answer has begun.
async fn read(first: &str, second: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_handle, stop) = tasks::stop();
    let clock = Arc::new(SystemClock::new());
    let bounds = Bounds::new("public", 8, &Timeouts::default(), clock);
    let serving = serve(listener, bounds, stop, |_| answering);
    let reading = async {
        let mut client = Client::connect(address).await;
        client.send(first).await;
        assert_eq!(client.head().await.status, 200);
        client.send(second).await;
        client.rest().await
    };
    tokio::select! {
        () = serving => panic!("nobody stopped it"),
        read = reading => read,
    }
}

#[tokio::test]
async fn what_was_answered_before_is_written_first() {
    let take = "GET /take HTTP/1.1\r\nHost: a\r\n\r\n";
    let plain = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n".to_owned() + take;
    // The engine goes on to the next request when a body has ended, while the answer is still on its way.
    let early = "POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    for (first, second) in [(&*plain, ""), (early, &format!("{{}}{take}"))] {
        let read = read(first, second).await;
        let end = String::from_utf8_lossy(&read[read.len().saturating_sub(40)..]).into_owned();
        assert_eq!(read.len(), LARGE + TAKEN.len(), "{first:?}: {end}");
        assert!(end.ends_with("xxxTAKEN"), "{first:?}: {end}");
    }
}
