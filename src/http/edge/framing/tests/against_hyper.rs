//! Random streams of requests, good and slightly broken: hyper never finds a request where the framing finds none.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::{Fault, Framing};

/// What hyper found: heads, bodies that came whole, and whether it ended without an error.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    heads: u32,
    ends: u32,
    clean: bool,
}

async fn hyper(bytes: &[u8]) -> Found {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let found = Arc::new(Mutex::new(Found::default()));
    let told = Arc::clone(&found);
    let service = service_fn(move |request: Request<Incoming>| {
        let told = Arc::clone(&told);
        async move {
            told.lock().unwrap().heads += 1;
            let whole = request.into_body().collect().await.is_ok();
            told.lock().unwrap().ends += u32::from(whole);
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let served =
        http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
    let asked = async {
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answers = Vec::new();
        let _ = client.read_to_end(&mut answers).await;
    };
    let (ended, ()) = tokio::join!(served, asked);
    let mut found = std::mem::take(&mut *found.lock().unwrap());
    // After a body that broke off hyper reads no more, nor after a request of HTTP/1.0.
    let last = bytes.windows(8).any(|version| version == b"HTTP/1.0");
    found.clean = ended.is_ok() && found.heads == found.ends && !last;
    found
}

fn request() -> impl Strategy<Value = String> {
    let fields = prop::sample::select(vec![
        "",
        "A: b\r\n",
        "Content-Length: 0\r\n",
        "Content-Length: 0\r\nContent-Length: 0\r\n",
        "content-LENGTH:\t0\r\n",
        "Content-Length: 00\r\n",
        "Transfer-Encodings: chunked\r\nContent-Lengths: 9\r\n",
    ]);
    let plain = fields.prop_map(|fields| format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
    let length = "[a-z\r\n: ]{0,40}"
        .prop_map(|body| format!("POST / HTTP/1.1\nContent-Length: {}\n\n{body}", body.len()));
    let chunk = ("[a-z\r\n ]{1,20}", prop::sample::select(vec!["", ";a=b", " ", "\t;"]));
    let ends = prop::sample::select(vec![
        "0\r\n\r\n",
        "0;a\r\n\r\n",
        "00\r\nA: b\r\n\r\n",
        "0\r\n\n\r\n\r\n",
    ]);
    let chunked = (prop::collection::vec(chunk, 0..4), ends).prop_map(|(chunks, end)| {
        let body: String = chunks
            .iter()
            .map(|(data, ext)| format!("{:x}{ext}\r\n{data}\r\n", data.len()))
            .collect();
        format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}{end}")
    });
    let blank = prop::sample::select(vec!["", "\r\n", "\n", "\r\n\r\n"]);
    (blank, prop_oneof![plain, length, chunked])
        .prop_map(|(blank, request)| blank.to_owned() + &request)
}

/// A few requests, of which perhaps one byte is another one, is missing, or comes twice.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let broken =
        (any::<prop::sample::Index>(), 0..4_u8, prop::sample::select(b"\r\n 0a:;#".to_vec()));
    (prop::collection::vec(request(), 1..5), broken).prop_map(|(requests, (at, how, byte))| {
        let mut bytes = requests.concat().into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, byte),
            _ => {}
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_find_the_same_requests(bytes in stream()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(hyper(&bytes));
        let mut framing = Framing::new();
        framing.push(&bytes);
        match framing.fault {
            // Behind a head that is refused nothing is served.
            Some(_) => prop_assert!(found.heads + 1 >= framing.heads || !found.clean),
            None => {
                prop_assert!(found.heads <= framing.heads, "{found:?} {framing:?}");
                prop_assert!(found.ends <= framing.ends, "{found:?} {framing:?}");
                if found.clean {
                    prop_assert_eq!((found.heads, found.ends), (framing.heads, framing.ends));
                }
            }
        }
        prop_assert_ne!(framing.fault, Some(Fault::Lost));
    }
}
