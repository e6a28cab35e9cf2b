//! Who is let in: hosts, origins, tokens; and what a request must look like.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tracing_subscriber::fmt::MakeWriter;

use super::rig::{Rig, Told, request};
use crate::http::admin::body::{BODY_MAX, TERMS_MAX};
use crate::http::admin::{Access, Tokens};

async fn with(rig: &Rig, method: &str, path: &str, headers: &[(HeaderName, &str)]) -> Told {
    let mut request = request(method, path, "{}");
    for (name, value) in headers {
        request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    }
    rig.send(request).await
}

#[tokio::test]
async fn other_sites_can_neither_change_nor_read() {
    let rig = Rig::new();
    rig.sale(1).await;
    let fetch = HeaderName::from_static("sec-fetch-site");
    let origin = HeaderName::from_static("origin");
    for (method, path) in [("POST", "/admin/v1/sales/sale/close"), ("GET", "/admin/v1/sales")] {
        for (name, value) in [(&fetch, "cross-site"), (&origin, "http://evil.example")] {
            let told = with(&rig, method, path, &[(name.clone(), value)]).await;
            assert_eq!(told.problem(), (403, "foreign_origin".to_owned()), "{name}: {value}");
        }
        let mut foreign = request(method, path, "{}");
        foreign.headers_mut().insert(HOST, HeaderValue::from_static("evil.example"));
        assert_eq!(rig.send(foreign).await.problem(), (403, "foreign_host".to_owned()));
        let mut nowhere = request(method, path, "{}");
        nowhere.headers_mut().remove(HOST);
        assert_eq!(rig.send(nowhere).await.problem(), (400, "malformed".to_owned()));
    }
    let sale = rig.get("/admin/v1/sales/sale").await.json();
    assert_eq!(sale["phase"], "open", "nobody closed it");
    let own = [(origin, "http://127.0.0.1:9180"), (fetch, "same-origin")];
    let told = with(&rig, "POST", "/admin/v1/sales/sale/close", &own).await;
    assert_eq!(told.status, StatusCode::OK);
}

#[tokio::test]
async fn a_listener_off_loopback_asks_for_a_token() {
    let rig = Rig::with_tokens(true);
    let path = "/admin/v1/sales";
    let long = format!("Bearer {}", "x".repeat(1 << 20));
    for wrong in
        ["Bearer third", "Bearer ", "Bearer", "Basic first", "first", "Bearer ann:first", &long]
    {
        let told = with(&rig, "GET", path, &[(AUTHORIZATION, wrong)]).await;
        assert_eq!(
            told.problem(),
            (401, "unauthorized".to_owned()),
            "{}",
            &wrong[..7.min(wrong.len())]
        );
        assert!(told.header("www-authenticate").starts_with("Bearer"));
    }
    for path in [path, "/admin/v1/sales?token=first", "/", "/version", "/admin/v1/nowhere"] {
        assert_eq!(rig.get(path).await.problem().0, 401, "{path}");
    }
    let told = with(&rig, "POST", "/admin/v1/sales/sale/close", &[]).await;
    assert_eq!(told.problem().0, 401);
    let right = [(AUTHORIZATION, "bearer first")];
    assert_eq!(with(&rig, "GET", path, &right).await.status, StatusCode::OK);
    let both = [(AUTHORIZATION, "Bearer first"), (AUTHORIZATION, "Bearer first")];
    assert_eq!(with(&rig, "GET", path, &both).await.problem(), (401, "unauthorized".to_owned()));
    for open in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(rig.get(open).await.status, StatusCode::OK, "{open}");
    }
    let closed = Rig::with_tokens(false);
    assert_eq!(closed.get("/metrics").await.problem().0, 401);
    assert_eq!(with(&closed, "GET", "/metrics", &right).await.status, StatusCode::OK);
}

#[test]
fn without_tokens_only_loopback_is_listened_on() {
    let tokens = || Some(Tokens::parse("ann:first").unwrap());
    for (listen, exposed) in [
        ("127.0.0.1:9180", false),
        ("127.9.9.9:0", false),
        ("[::1]:9180", false),
        ("[::ffff:127.0.0.1]:9180", false),
        ("0.0.0.0:9180", true),
        ("[::]:9180", true),
        ("10.0.0.1:9180", true),
    ] {
        let listen = listen.parse().unwrap();
        assert_eq!(Access::new(listen, &[], None, true).is_err(), exposed, "{listen}");
        assert!(Access::new(listen, &[], tokens(), true).is_ok());
    }
}

#[tokio::test]
async fn a_change_is_json_and_bounded() {
    let rig = Rig::new();
    rig.sale(1).await;
    let pause = "/admin/v1/sales/sale/pause";
    for media in
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
    {
        let mut odd = request("POST", pause, "{}");
        odd.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_str(media).unwrap());
        assert_eq!(rig.send(odd).await.problem().0, 415, "{media}");
    }
    let mut none = request("POST", pause, "{}");
    none.headers_mut().remove(CONTENT_TYPE);
    assert_eq!(rig.send(none).await.problem(), (415, "unsupported_media_type".to_owned()));
    let zipped = [(HeaderName::from_static("content-encoding"), "gzip")];
    assert_eq!(with(&rig, "POST", pause, &zipped).await.problem().0, 415);
    for body in [
        "null",
        "[]",
        "\"x\"",
        "1",
        "{",
        "{}x",
        "\u{feff}{}",
        "{} // why",
        "{'a':1}",
        "{\"force\":true}",
        &"[".repeat(8_192),
    ] {
        let told = rig.change("POST", pause, body).await;
        assert_eq!(told.problem(), (400, "malformed".to_owned()), "{body}");
    }
    assert_eq!(rig.get("/admin/v1/sales/sale").await.json()["phase"], "open");
    let large = format!("{{{}}}", " ".repeat(BODY_MAX));
    assert_eq!(rig.change("POST", pause, &large).await.problem(), (413, "too_large".to_owned()));
    let large = format!("{{{}}}", " ".repeat(TERMS_MAX));
    assert_eq!(rig.change("PUT", "/admin/v1/sales/sale", &large).await.problem().0, 413);
    for body in ["", "{}"] {
        assert_eq!(rig.change("POST", pause, body).await.status, StatusCode::OK);
    }
    for (method, path) in [
        ("GET", "/admin/v1/sales?x=1".to_owned()),
        ("GET", "/admin/v1/sales?%zz".to_owned()),
        ("GET", "/livez?verbose".to_owned()),
        ("POST", format!("{pause}?force=true")),
        ("GET", "/admin/v1/sales/sale/tickets?format=ndjson&format=ndjson".to_owned()),
        ("GET", "/admin/v1/sales/sale/tickets?format=csv".to_owned()),
        ("GET", "/admin/v1/sales/sale/tickets?format=ndjson&limit=5".to_owned()),
        ("GET", "/admin/v1/sales/sale/tickets?limit=0".to_owned()),
        ("GET", "/admin/v1/sales/sale/tickets?limit=1001".to_owned()),
        ("GET", "/admin/v1/sales/sale/tickets?from=-1".to_owned()),
        ("GET", "/admin/v1/sales/sale/dead?from=99999999999".to_owned()),
        ("GET", format!("/admin/v1/sales?{}", "a=1&".repeat(2_000))),
    ] {
        assert_eq!(rig.change(method, &path, "{}").await.problem().0, 400, "{method} {path}");
    }
}

/// Log lines of a test.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_with_who_and_outcome() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(lines.clone()).finish();
    let _here = tracing::subscriber::set_default(subscriber);
    let rig = Rig::with_tokens(true);
    let ask = async |method: Method, path: &str, token: &str, body: &str| {
        let mut request = request(method.as_str(), path, body);
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_str(token).unwrap());
        rig.send(request).await.status.as_u16()
    };
    let terms = r#"{"items":[{"sku":"phone","stock":5}]}"#;
    assert_eq!(ask(Method::PUT, "/admin/v1/sales/sale", "Bearer first", terms).await, 201);
    let purge = "/admin/v1/sales/sale/purge";
    assert_eq!(ask(Method::POST, purge, "Bearer second", "").await, 409);
    assert_eq!(ask(Method::POST, purge, "Bearer third", "").await, 401);
    assert_eq!(ask(Method::GET, "/admin/v1/sales", "Bearer first", "").await, 200);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let audit: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["target"] == "audit")
        .map(|line| line["fields"].clone())
        .collect();
    assert_eq!(audit.len(), 2, "{text}");
    let of = |n: usize, names: [&str; 4]| names.map(|name| audit[n][name].to_string());
    let names = ["who", "what", "sale", "outcome"];
    let put = [r#""ann""#, r#""sale.put""#, r#""sale""#, r#""done""#];
    let refused = [r#""bob""#, r#""sale.purge""#, r#""sale""#, r#""not_settled""#];
    assert_eq!((of(0, names), of(1, names)), (put.map(str::to_owned), refused.map(str::to_owned)));
    assert!(audit[0]["given"].as_str().unwrap().contains("phone"));
    assert!(!text.contains("first") && !text.contains("second"), "no token in the log");
}

#[tokio::test]
async fn a_client_that_goes_away_stops_no_change() {
    let rig = Rig::new();
    rig.sale(1).await;
    let close = request("POST", "/admin/v1/sales/sale/close", "{}");
    tokio::select! {
        biased;
        _ = rig.admin.handle(close, "127.0.0.1:50000".parse().unwrap()) => panic!("not at once"),
        () = std::future::ready(()) => {}
    }
    tokio::task::yield_now().await;
    assert_eq!(rig.get("/admin/v1/sales/sale").await.json()["phase"], "closed");
}
