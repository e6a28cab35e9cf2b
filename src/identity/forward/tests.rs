//! Questions to a shop that counts them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::*;
use crate::clock::{ManualClock, SystemClock};

const SOON: Duration = Duration::from_secs(30);

/// A shop that knows whoever brings `Cookie: buyer=NAME`, and counts.
#[derive(Debug, Default)]
struct Shop {
    asked: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    /// While it is closed no question is answered.
    closed: std::sync::atomic::AtomicBool,
    opened: Notify,
}

impl Shop {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let opened = self.opened.notified();
        if self.closed.load(Ordering::SeqCst) {
            opened.await;
        } else {
            tokio::task::yield_now().await;
        }
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        said(&request)
    }

    fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// By the cookie: `buyer=NAME` is 200 with the name; `status=CODE` is that; `double=NAME` names two.
fn said(request: &Request<Incoming>) -> Response<String> {
    let allowed = ["host", "accept", "user-agent", "authorization", "cookie"];
    let foreign = request.headers().keys().find(|name| !allowed.contains(&name.as_str()));
    let mut answer = Response::new("x".repeat(2_000));
    if foreign.is_some() {
        *answer.status_mut() = hyper::StatusCode::IM_A_TEAPOT;
        return answer;
    }
    let headers = request.headers();
    let joined = headers.get_all(COOKIE).iter().chain(headers.get(AUTHORIZATION));
    let text = joined
        .map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
        .collect::<Vec<_>>()
        .join("; ");
    let (kind, value) = text.split_once('=').unwrap_or(("status", "401"));
    match kind {
        "status" => *answer.status_mut() = value.parse().unwrap(),
        "anonymous" => {}
        _ => {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            answer.headers_mut().append("x-buyer-id", value.clone());
            if kind == "double" {
                answer.headers_mut().append("x-buyer-id", value);
            }
        }
    }
    answer
}

/// Serves a shop for as long as the set lives.
async fn serve(shop: &Arc<Shop>) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shop = Arc::clone(shop);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let shop = Arc::clone(&shop);
            let answer = move |request| {
                let shop = Arc::clone(&shop);
                async move { Ok::<_, std::convert::Infallible>(shop.answer(request).await) }
            };
            connections.spawn(async move {
                let io = TokioIo::new(stream);
                let _ = http1::Builder::new().serve_connection(io, service_fn(answer)).await;
            });
        }
    });
    (address, serving)
}

fn question(address: SocketAddr) -> Question {
    Question {
        url: format!("http://{address}/whoami?for=forebay").parse().unwrap(),
        header: HeaderName::from_static("x-buyer-id"),
        cache: Duration::from_secs(60),
        rate: Rate::Unlimited,
        max_in_flight: 16,
        timeout: SOON,
    }
}

fn forward(question: Question) -> (Forward, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (Forward::new(question, Arc::clone(&clock) as SharedClock, Handle::current()), clock)
}

fn cookie(value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    headers
}

async fn answered(who: Who) -> Result<String, Refusal> {
    let answer = match who {
        Who::Known(buyer) => Ok(buyer),
        Who::Refused(refusal) => Err(refusal),
        Who::Asking(answer) => tokio::time::timeout(SOON, answer).await.expect("an answer"),
    };
    answer.map(|buyer| buyer.as_str().to_owned())
}

#[tokio::test]
async fn an_answer_is_asked_for_once_and_remembered_for_its_time() {
    let shop = Arc::new(Shop::default());
    let (address, _serving) = serve(&shop).await;
    let (forward, clock) = forward(question(address));
    assert_eq!(forward.remembered(&cookie("buyer=a")), None);
    assert_eq!(shop.asked(), 0, "a read of a ticket asks nobody");
    for _ in 0..3 {
        assert_eq!(answered(forward.who(&cookie("buyer=a"))).await.unwrap(), "a");
        assert_eq!(answered(forward.who(&cookie("status=403"))).await, Err(Refusal::UNKNOWN));
    }
    assert_eq!(forward.remembered(&cookie("buyer=a")).unwrap().as_str(), "a");
    assert_eq!(forward.remembered(&cookie("status=403")), None);
    assert_eq!(shop.asked(), 2);
    clock.advance(NOBODY);
    assert_eq!(answered(forward.who(&cookie("status=403"))).await, Err(Refusal::UNKNOWN));
    assert_eq!(answered(forward.who(&cookie("buyer=a"))).await.unwrap(), "a");
    assert_eq!(shop.asked(), 3, "nobody is asked for again soon");
    clock.advance(Duration::from_secs(58));
    assert_eq!(forward.remembered(&cookie("buyer=a")), None, "and a buyer in the end");
    assert_eq!(answered(forward.who(&cookie("buyer=a"))).await.unwrap(), "a");
    assert_eq!(shop.asked(), 4);
}

#[tokio::test]
async fn what_the_shop_says_is_what_counts() {
    let shop = Arc::new(Shop::default());
    let (address, _serving) = serve(&shop).await;
    let (forward, _clock) = forward(question(address));
    for (text, expected) in [
        ("buyer=a", Ok("a")),
        ("buyer=é", Ok("é")),
        ("status=401", Err(Refusal::UNKNOWN)),
        ("status=403", Err(Refusal::UNKNOWN)),
        ("status=302", Err(Refusal::Unavailable)),
        ("status=404", Err(Refusal::Unavailable)),
        ("status=500", Err(Refusal::Unavailable)),
        ("status=204", Err(Refusal::Unavailable)),
        ("anonymous=", Err(Refusal::Unavailable)),
        ("buyer=", Err(Refusal::Unavailable)),
        ("buyer=\u{85}", Err(Refusal::Unavailable)),
        ("double=a", Err(Refusal::Unavailable)),
    ] {
        let found = answered(forward.who(&cookie(text))).await;
        assert_eq!(found.as_deref(), expected.as_ref().map(|name| *name), "{text}");
        let degraded = forward.check().status == CheckStatus::Degraded;
        assert_eq!(degraded, expected == Err(Refusal::Unavailable), "{text}");
    }
    let asked = shop.asked();
    assert_eq!(answered(forward.who(&cookie("status=500"))).await, Err(Refusal::Unavailable));
    assert_eq!(shop.asked(), asked + 1, "a failure is not remembered");
    assert_eq!(forward.check().reason, "the shop answered 500 at identity.url");
}

#[tokio::test]
async fn the_request_s_cookies_and_authorization_are_what_is_asked_about() {
    let shop = Arc::new(Shop::default());
    let (address, _serving) = serve(&shop).await;
    let (forward, _clock) = forward(question(address));
    let mut headers = cookie("buyer=a");
    headers.append(COOKIE, HeaderValue::from_static("b"));
    headers.insert(AUTHORIZATION, HeaderValue::from_static("c"));
    // What a client says of itself goes no further.
    headers.insert("x-buyer-id", HeaderValue::from_static("evil"));
    headers.insert("x_buyer_id", HeaderValue::from_static("evil"));
    headers.insert("x-forwarded-for", HeaderValue::from_static("1.2.3.4"));
    assert_eq!(answered(forward.who(&headers)).await.unwrap(), "a; b; c");
    headers.remove(AUTHORIZATION);
    assert_eq!(answered(forward.who(&headers)).await.unwrap(), "a; b");
    let mut alone = HeaderMap::new();
    alone.insert(AUTHORIZATION, HeaderValue::from_static("buyer=d"));
    assert_eq!(answered(forward.who(&alone)).await.unwrap(), "d");
    let asked = shop.asked();
    alone.append(AUTHORIZATION, HeaderValue::from_static("buyer=e"));
    let long = format!("buyer={}", "x".repeat(CREDENTIAL_MAX));
    for headers in [HeaderMap::new(), cookie(""), alone, cookie(&long)] {
        assert_eq!(answered(forward.who(&headers)).await, Err(Refusal::UNKNOWN));
    }
    assert_eq!(shop.asked(), asked, "the shop is not asked about nothing");
}

#[tokio::test]
async fn many_who_bring_one_credential_ask_one_question() {
    let shop = Arc::new(Shop::default());
    shop.closed.store(true, Ordering::SeqCst);
    let (address, _serving) = serve(&shop).await;
    let (forward, _clock) = forward(question(address));
    let first = forward.who(&cookie("buyer=a"));
    let rest: Vec<Who> = (0..1_000).map(|_| forward.who(&cookie("buyer=a"))).collect();
    // Who asked first goes away; the others still get the answer.
    drop(first);
    let opening = async {
        while shop.asked() == 0 {
            tokio::task::yield_now().await;
        }
        shop.open();
    };
    let (answers, ()) = tokio::join!(join_all(rest.into_iter().map(answered)), opening);
    assert!(answers.into_iter().all(|answer| answer.unwrap() == "a"));
    assert_eq!(shop.asked(), 1);
    assert!(forward.shared.state().asked.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_unknown_credentials_is_bounded_at_the_shop_and_here() {
    const BURST: usize = 20_000;
    let shop = Arc::new(Shop::default());
    let (address, _serving) = serve(&shop).await;
    let (forward, _clock) = forward(question(address));
    let mut asking = Vec::new();
    let mut refused = 0;
    for number in 0..BURST {
        match forward.who(&cookie(&format!("buyer=b{number}"))) {
            Who::Asking(answer) => asking.push((number, answer)),
            Who::Refused(Refusal::Unavailable) => refused += 1,
            other => panic!("{other:?}"),
        }
        assert!(forward.shared.state().asked.len() <= ASKED_MAX);
    }
    let answers = asking.into_iter().map(|(number, answer)| async move {
        let answer = answered(Who::Asking(answer)).await;
        assert_eq!(answer.unwrap(), format!("b{number}"));
    });
    let told = join_all(answers).await.len();
    assert_eq!(told + refused, BURST);
    assert!(told >= ASKED_MAX, "{told}");
    assert_eq!(shop.asked(), told, "one question each");
    let most = shop.most_at_once.load(Ordering::SeqCst);
    assert!(most <= 16, "{most} questions at once");
    assert!(forward.shared.state().asked.is_empty());
}

#[tokio::test]
async fn questions_keep_to_their_rate() {
    let shop = Arc::new(Shop::default());
    let (address, _serving) = serve(&shop).await;
    let timeout = Duration::from_millis(400);
    let (forward, _clock) =
        forward(Question { rate: Rate::per_second(100), timeout, ..question(address) });
    // The clock stands still: what one instant may ask is the burst, and what may wait is rate × timeout.
    let asks: Vec<Who> =
        (0..5_000).map(|number| forward.who(&cookie(&format!("buyer=b{number}")))).collect();
    let asking = asks.iter().filter(|who| matches!(who, Who::Asking(_))).count();
    assert_eq!(asking, 2 + 40);
    join_all(asks.into_iter().map(answered)).await;
    assert!(shop.asked() <= 42, "{}", shop.asked());
}

#[tokio::test]
async fn a_shop_that_does_not_answer_holds_nobody_for_long() {
    let shop = Arc::new(Shop::default());
    shop.closed.store(true, Ordering::SeqCst);
    let (address, _serving) = serve(&shop).await;
    let timeout = Duration::from_millis(100);
    let slow = Question { timeout, max_in_flight: 4, ..question(address) };
    let forward = Forward::new(slow, Arc::new(SystemClock::new()), Handle::current());
    let asks: Vec<Who> =
        (0..50).map(|number| forward.who(&cookie(&format!("buyer=b{number}")))).collect();
    for answer in join_all(asks.into_iter().map(answered)).await {
        assert_eq!(answer, Err(Refusal::Unavailable));
    }
    assert_eq!(forward.check().status, CheckStatus::Degraded);
    shop.open();
    assert_eq!(answered(forward.who(&cookie("buyer=a"))).await.unwrap(), "a");
    assert_eq!(forward.check().status, CheckStatus::Ready);
}

#[tokio::test]
async fn a_shop_that_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (forward, _clock) = forward(question(address));
    assert_eq!(answered(forward.who(&cookie("buyer=a"))).await, Err(Refusal::Unavailable));
    assert_eq!(forward.check().reason, Failure::NoConnection.to_string());
    assert!(forward.shared.state().asked.is_empty());
}

/// Bytes that no shop would send, each on its own connection.
#[tokio::test]
async fn broken_answers_are_unavailable() {
    let long = format!("HTTP/1.1 200 OK\r\nx-buyer-id: a\r\nx: {}\r\n\r\n", "y".repeat(HEAD));
    const HEAD: usize = 128 << 10;
    for bytes in ["", "\r\n", "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nx-buyer-id: a\r\n", &long] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (forward, _clock) = forward(question(address));
        let broken = async {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1_024]).await;
            // It may close in the middle of what it is sent.
            let _ = stream.write_all(bytes.as_bytes()).await;
        };
        let (found, ()) = tokio::join!(answered(forward.who(&cookie("buyer=a"))), broken);
        assert_eq!(found, Err(Refusal::Unavailable), "{}", &bytes[..bytes.len().min(40)]);
    }
}
