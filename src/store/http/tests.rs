//! The store on the example shop, and on servers that do what no shop may.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tls")]
use forebay_loadtest::certificate::{certificate, expired};
use forebay_loadtest::shop::{Body, Faults, Options, Shop};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Config, Http};
use crate::clock::SystemClock;
use crate::store::suite::{self, order};
use crate::store::{Found, Later, LaterCause, PlaceOrder, Placement, SharedStore, Store as _};
use crate::units::Span;

fn shop() -> Shop {
    Shop::start(&Options::selling(&[("phone", 1_000)])).unwrap()
}

fn config(shop: &Shop) -> Config {
    Config {
        url: shop.url("/internal/orders"),
        lookup_url: Some(shop.url("/internal/orders/{ticket}")),
        void_url: Some(shop.url("/internal/orders/{ticket}/void")),
        ..Config::default()
    }
}

fn store(config: Config) -> Http {
    Http::new(config, Arc::new(SystemClock::new())).unwrap()
}

/// A store with a short deadline.
fn hasty(config: Config) -> Http {
    store(Config { timeout: Span(Duration::from_millis(400)), ..config })
}

async fn place(store: &Http, order: PlaceOrder) -> Placement {
    store.place(vec![order]).await.remove(0)
}

async fn find(store: &Http, order: &PlaceOrder) -> Found {
    store.find(vec![order.ticket]).await.remove(0)
}

fn cause(placement: &Placement) -> LaterCause {
    let Placement::Later(Later { cause, .. }) = placement else { panic!("{placement:?}") };
    *cause
}

fn is_in_doubt(placement: &Placement) -> bool {
    matches!(placement, Placement::InDoubt { .. })
}

#[tokio::test]
async fn it_passes_the_shared_suite_as_far_as_it_lists_rows() {
    let mut shops = Vec::new();
    suite::exercise_without_rows(|phones| {
        let shop = Shop::start(&Options::selling(&[("phone", phones)])).unwrap();
        let store = store(config(&shop));
        shops.push(shop);
        Arc::new(store) as SharedStore
    })
    .await;
    assert!(shops.iter().all(|shop| shop.altered() == 0), "the bytes are the same at each try");
}

#[tokio::test]
async fn every_planned_status_means_what_it_must() {
    let shop = shop();
    let store = store(config(&shop));
    for (sequence, status) in (1..).zip([
        200, 202, 204, 301, 302, 307, 400, 401, 403, 404, 405, 408, 409, 410, 413, 418, 422, 425,
        429, 500, 502, 503, 504,
    ]) {
        shop.plan(Faults { status: Some(status), ..Faults::default() });
        let order = order(sequence, 1);
        let placed = place(&store, order.clone()).await;
        match status {
            200..=299 | 409 => {
                assert!(is_in_doubt(&placed), "{status}: {placed:?}");
                assert_eq!(find(&store, &order).await, Found::NotThere);
            }
            400 | 410 | 413 | 422 => {
                let reason = "planned".to_owned();
                assert_eq!(placed, Placement::Refused { reason }, "{status}");
            }
            408 | 425 | 429 | 500.. => {
                assert_eq!(cause(&placed), LaterCause::StoreAway, "{status}")
            }
            _ => assert_eq!(cause(&placed), LaterCause::Misconfigured, "{status}"),
        }
    }
    assert_eq!(shop.rows().unwrap(), []);
}

#[tokio::test]
async fn a_conflict_is_told_at_the_second_try_where_nobody_can_be_asked() {
    let shop = shop();
    shop.plan(Faults { status: Some(409), ..Faults::default() });
    let blind = store(Config { lookup_url: None, ..config(&shop) });
    let first = order(1, 1);
    assert!(is_in_doubt(&place(&blind, first.clone()).await));
    assert!(matches!(find(&blind, &first).await, Found::Unknown { .. }));
    let second = PlaceOrder { attempt: 2, ..first };
    let conflict = Placement::Conflict { reason: "planned".to_owned() };
    assert_eq!(place(&blind, second.clone()).await, conflict);
    assert!(is_in_doubt(&place(&store(config(&shop)), second).await), "it can be asked");
}

#[tokio::test]
async fn the_shop_s_pause_is_passed_on() {
    let shop = shop();
    let retry_after = Some("7".to_owned());
    shop.plan(Faults { status: Some(429), retry_after, ..Faults::default() });
    let placed = place(&store(config(&shop)), order(1, 1)).await;
    let Placement::Later(Later { after, .. }) = placed else { panic!("{placed:?}") };
    assert_eq!(after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn orders_that_were_taken_before_the_connection_broke_are_taken_once() {
    const ORDERS: u64 = 200;
    let shop = shop();
    shop.plan(Faults { drop_percent: 10, ..Faults::default() });
    let (asks, blind) = (store(config(&shop)), store(Config { lookup_url: None, ..config(&shop) }));
    let all: Vec<PlaceOrder> = (1..=ORDERS).map(|sequence| order(sequence, 1)).collect();
    let placed = asks.place(all.clone()).await;
    let doubtful: Vec<_> =
        all.iter().zip(&placed).filter(|(_, placed)| is_in_doubt(placed)).map(|(o, _)| o).collect();
    assert_eq!(doubtful.len() as u64, ORDERS / 10, "{placed:?}");
    let found = asks.find(doubtful.iter().map(|order| order.ticket).collect()).await;
    assert!(found.iter().all(|found| matches!(found, Found::Placed { .. })), "{found:?}");
    let mut open: Vec<PlaceOrder> = doubtful.into_iter().cloned().collect();
    while !open.is_empty() {
        let placed = blind.place(open.clone()).await;
        let still = open.into_iter().zip(placed).filter(|(_, placed)| is_in_doubt(placed));
        open = still.map(|(order, _)| order).collect();
    }
    let rows = shop.rows().unwrap();
    assert_eq!(rows.iter().filter(|row| row.state == "placed").count() as u64, ORDERS);
    assert_eq!((rows.len() as u64, shop.altered()), (ORDERS, 0));
    assert_eq!(shop.stock().unwrap()[0].available, 1_000 - ORDERS);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (shop, elsewhere) = (shop(), shop());
    let location = Some(elsewhere.url("/internal/orders"));
    shop.plan(Faults { status: Some(307), location, ..Faults::default() });
    let placed = place(&store(config(&shop)), order(1, 1)).await;
    assert_eq!(cause(&placed), LaterCause::Misconfigured, "{placed:?}");
    assert_eq!((shop.calls(), elsewhere.calls()), (1, 0));
}

#[tokio::test]
async fn answers_that_cannot_be_read_leave_a_doubt_and_never_an_order_too_many() {
    let shop = shop();
    let store = hasty(config(&shop));
    let bodies = [Body::Empty, Body::Garbage, Body::WrongType, Body::Endless, Body::Drip];
    for (sequence, body) in (1..).zip(bodies) {
        shop.plan(Faults { body, ..Faults::default() });
        let order = order(sequence, 1);
        let placed = place(&store, order.clone()).await;
        assert!(is_in_doubt(&placed), "{body:?}: {placed:?}");
        assert!(matches!(find(&store, &order).await, Found::Placed { .. }), "{body:?}");
        shop.plan(Faults::default());
        let again = place(&store, order).await;
        assert!(matches!(again, Placement::Placed { .. }), "{body:?}: {again:?}");
    }
    assert_eq!(shop.rows().unwrap().len(), 5);
}

#[tokio::test]
async fn a_slow_shop_is_never_asked_for_more_at_once_than_the_settings_say() {
    let shop = shop();
    shop.plan(Faults { delay_ms: 60_000, ..Faults::default() });
    let store = hasty(Config { connections: 3, ..config(&shop) });
    let placed = store.place((1..=9).map(|sequence| order(sequence, 1)).collect()).await;
    let doubts = placed.iter().filter(|placed| is_in_doubt(placed)).count();
    assert_eq!(doubts, 3, "{placed:?}");
    let later = placed.iter().filter(|placed| !is_in_doubt(placed));
    assert!(later.map(cause).all(|cause| cause == LaterCause::StoreAway), "they were not sent");
    assert_eq!((shop.calls(), shop.most_at_once()), (3, 3));
}

#[tokio::test]
async fn a_shop_that_is_not_there_takes_nothing() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}/o", free.local_addr().unwrap());
    drop(free);
    for url in [gone, "http://shop.invalid/o".to_owned()] {
        let store = store(Config { url, ..Config::default() });
        let placed = place(&store, order(1, 1)).await;
        assert_eq!(cause(&placed), LaterCause::StoreAway, "{placed:?}");
        assert_eq!(store.look().await.unwrap_err().cause, LaterCause::StoreAway);
    }
}

#[tokio::test]
async fn signatures_are_those_that_the_shop_expects() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, secret: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, secret).unwrap();
        path
    };
    let shared = file("shared", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let options =
        Options { secret_file: Some(shared.clone()), ..Options::selling(&[("phone", 9)]) };
    let shop = Shop::start(&options).unwrap();
    let with = |secret_file| store(Config { secret_file, ..config(&shop) });
    for wrong in [None, Some(file("other", "a plain one"))] {
        let placed = place(&with(wrong), order(1, 1)).await;
        assert_eq!(cause(&placed), LaterCause::Misconfigured, "{placed:?}");
    }
    let right = with(Some(shared));
    let placed = place(&right, order(1, 1)).await;
    assert!(matches!(placed, Placement::Placed { .. }), "{placed:?}");
    assert!(matches!(find(&right, &order(1, 1)).await, Found::Placed { .. }));
    assert_eq!(right.void(vec![order(2, 1)]).await, [Found::Voided]);
}

#[tokio::test]
async fn what_cannot_void_says_so() {
    let shop = shop();
    let store = store(Config { void_url: None, ..config(&shop) });
    let found = store.void(vec![order(1, 1)]).await.remove(0);
    let Found::Unknown { reason } = found else { panic!("{found:?}") };
    assert!(reason.contains("void_url") && reason.contains("--force"), "{reason}");
}

/// A server of one connection, and a store that asks it.
async fn bare() -> (TcpListener, Http) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/o", listener.local_addr().unwrap());
    (listener, hasty(Config { url, ..Config::default() }))
}

/// The next request on a connection, as it came.
async fn request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(b"}") {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "a whole request");
    }
    String::from_utf8(seen).unwrap()
}

#[tokio::test]
async fn a_call_that_was_given_up_closes_its_connection() {
    let (listener, store) = bare().await;
    let calling = tokio::spawn(async move { place(&store, order(1, 1)).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    request(&mut stream).await;
    calling.abort();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "nothing comes any more");
}

#[tokio::test]
async fn tries_are_alike_and_share_a_trace() {
    let (listener, store) = bare().await;
    let mut seen = Vec::new();
    for attempt in [1, 2] {
        let order = PlaceOrder { attempt, payload: bytes::Bytes::new(), ..order(1, 1) };
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let text = request(&mut stream).await;
            let answer = "HTTP/1.0 200 OK\r\n\r\n{\"order_no\":7}";
            stream.write_all(answer.as_bytes()).await.unwrap();
            text
        };
        let (placed, text) = tokio::join!(place(&store, order), answering);
        assert_eq!(placed, Placement::Placed { order_no: "7".to_owned() }, "HTTP/1.0 will do");
        seen.push(text);
    }
    let ticket = order(1, 1).ticket;
    let body = |text: &str| text.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(
        body(&seen[0]),
        format!(
            "{{\"ticket\":\"{ticket}\",\"sale\":\"suite\",\"buyer\":\"buyer-1\",\"sequence\":1,\
             \"accepted_at\":\"1970-01-01T00:00:00.000005Z\",\"lines\":[{{\"sku\":\"phone\",\"quantity\":1}}],\
             \"payload\":null}}"
        )
    );
    assert_eq!(body(&seen[0]), body(&seen[1]));
    let header = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap().to_owned()
    };
    assert!(seen.iter().all(|text| header(text, "idempotency-key") == ticket.as_str()));
    let traces: Vec<String> = seen.iter().map(|text| header(text, "traceparent")).collect();
    let parts: Vec<Vec<&str>> = traces.iter().map(|trace| trace.split('-').collect()).collect();
    assert_eq!(parts[0][1], parts[1][1], "one trace");
    assert_ne!(parts[0][2], parts[1][2], "a span each");
}

#[tokio::test]
async fn odd_framing_is_a_doubt_and_never_a_hang() {
    let (listener, store) = bare().await;
    for (answer, is_placed) in [
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"order_no\":7}",
            true,
        ),
        (
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"order_no\":7}",
            true,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"order_no\":7}", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{\"order_no\":7}", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n{\"order_no\":7}", false),
        ("HTTP/9.9 200 OK\r\n\r\n", false),
        ("SSH-2.0-OpenSSH\r\n", false),
        ("", false),
    ] {
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (placed, ()) = tokio::join!(place(&store, order(1, 1)), answering);
        let seen = matches!(&placed, Placement::Placed { .. });
        assert!(seen == is_placed && (seen || is_in_doubt(&placed)), "{answer}: {placed:?}");
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_certificate_of_somebody_else_or_of_another_time_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"]
        .map(|name| certificate(directory.path(), name, "DNS:localhost").unwrap());
    let over = expired(directory.path(), "over", "DNS:localhost").unwrap();
    let (address, server) = secured(&theirs, 4);
    let (late, other) = secured(&over, 1);
    let by_name = |address: std::net::SocketAddr| format!("https://localhost:{}/o", address.port());
    for (ca_file, url, is_there) in [
        (Some(theirs.0.clone()), by_name(address), true),
        (Some(ours.0), by_name(address), false),
        (None, by_name(address), false),
        (Some(theirs.0), format!("https://{address}/o"), false),
        (Some(over.0), by_name(late), false),
    ] {
        let store = store(Config { url: url.clone(), ca_file, ..Config::default() });
        let placed = place(&store, order(1, 1)).await;
        match is_there {
            true => assert!(matches!(placed, Placement::Placed { .. }), "{placed:?}"),
            false => assert_eq!(cause(&placed), LaterCause::Misconfigured, "{url}: {placed:?}"),
        }
        if url == by_name(late) {
            assert!(format!("{placed:?}").contains("expired"), "{placed:?}");
        }
    }
    other.join().unwrap();
    server.join().unwrap();
    let shop = shop();
    let plain = store(Config { url: shop.url("/o").replace("http:", "https:"), ..config(&shop) });
    let placed = place(&plain, order(1, 1)).await;
    assert_eq!(cause(&placed), LaterCause::Misconfigured, "no silent downgrade: {placed:?}");
}

/// So many connections by TLS; each that shakes hands is answered.
#[cfg(feature = "tls")]
fn secured(
    (certificate, key): &(std::path::PathBuf, std::path::PathBuf),
    connections: usize,
) -> (std::net::SocketAddr, std::thread::JoinHandle<()>) {
    use std::io::{Read as _, Write as _};

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        for _ in 0..connections {
            let (mut socket, _) = listener.accept().unwrap();
            let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            // Whoever does not trust us is gone by now.
            if matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"order_no\":7}";
                stream.write_all(answer).unwrap();
            }
        }
    });
    (address, serving)
}
