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
use crate::http::config::Timeouts;
use crate::http::edge::{Arrival, Bounds, serve};
use crate::tasks;

/// More than the kernel keeps for a client that does not read.
const LARGE: usize = 16 << 20;

async fn taking(mut socket: TcpStream) {
    socket.write_all(b"TAKEN").await.unwrap();
}

#[tokio::test]
async fn what_was_answered_before_is_written_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_handle, stop) = tasks::stop();
    let make = |_| {
        move |request: Request<Incoming>, arrival: Arrival| async move {
            if request.uri().path() == "/take" {
                let next = |socket| -> BoxFuture<'static, ()> { Box::pin(taking(socket)) };
                match arrival.take(Box::new(next)).await {}
            }
            let large = Bytes::from(vec![b'x'; LARGE]);
            Ok::<_, Infallible>(Response::new(Full::new(large)))
        }
    };
    let clock = Arc::new(SystemClock::new());
    let bounds = Bounds::new("public", 8, &Timeouts::default(), clock);
    let serving = serve(listener, bounds, stop, make);
    let reading = async {
        let mut client = Client::connect(address).await;
        client
            .send("GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET /take HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        client.rest().await
    };
    tokio::select! {
        () = serving => panic!("nobody stopped it"),
        read = reading => {
            assert!(read.ends_with(b"xxxTAKEN"), "{:?}", String::from_utf8_lossy(&read[read.len() - 40..]));
            assert!(read.len() > LARGE);
        }
    }
}
