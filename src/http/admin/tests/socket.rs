//! The listener over a real socket, on port 0.

use std::convert::Infallible;
use std::net::SocketAddr;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::rig::Rig;

/// Serves one connection and ends.
async fn serve(rig: &Rig) -> (SocketAddr, JoinHandle<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = rig.admin.clone();
    let served = tokio::spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        let service = service_fn(move |request| {
            let admin = admin.clone();
            async move { Ok::<_, Infallible>(admin.handle(request, peer).await) }
        });
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.is_ok()
    });
    (address, served)
}

async fn ask(stream: &mut TcpStream, head: &str, body: &str) {
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_whole_export() {
    let rig = Rig::new();
    rig.sale(5_000).await;
    let tickets = rig.ordered(4_000).await;
    let (address, served) = serve(&rig).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    ask(&mut stream, "GET /admin/v1/sales/sale/tickets?format=ndjson", "").await;
    let (mut text, mut piece) = (Vec::new(), [0; 1_000]);
    loop {
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        text.extend_from_slice(&piece[..read]);
        tokio::task::yield_now().await;
    }
    assert!(served.await.unwrap());
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("0\r\n\r\n"));
    for ticket in [&tickets[0], &tickets[1_999], &tickets[3_999]] {
        assert_eq!(text.matches(ticket.as_str()).count(), 1);
    }
    assert_eq!(text.matches("\"buyer\":").count(), 4_000);
}

#[tokio::test]
async fn put_get_and_head_over_a_socket() {
    let rig = Rig::new();
    let exchange = async |head: &str, body: &str| {
        let (address, served) = serve(&rig).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        ask(&mut stream, head, body).await;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(served.await.unwrap());
        text
    };
    let terms = r#"{"items":[{"sku":"phone","stock":5}]}"#;
    let put = exchange("PUT /admin/v1/sales/sale", terms).await;
    assert!(put.starts_with("HTTP/1.1 201 Created\r\n"), "{put}");
    let got = exchange("GET /admin/v1/sales/sale", "").await;
    let body = |text: &str| text.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&put), body(&got));
    let head = exchange("HEAD /admin/v1/sales/sale", "").await;
    assert_eq!(body(&head), "");
    assert!(head.contains(&format!("content-length: {}\r\n", body(&got).len())), "{head}");
}
