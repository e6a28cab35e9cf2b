//! Nonsense at both listeners: each piece is refused by name, nothing of it is carried out, and nothing breaks.

use std::net::SocketAddr;

use serde_json::json;

use super::rig::Plant;
use super::wire::{Answer, Then, order, request, send};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const BUYER: (&str, &str) = ("X-Buyer-Id", "somebody");
const ORDERS: &str = "POST /v1/sales/one/orders";

impl Answer {
    /// A refusal as RFC 9457 has it, with this status and code.
    fn refuses(&self, what: &str, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{what}: {self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{what}");
        let document = self.json();
        assert_eq!(document["status"], status, "{what}: {self:?}");
        assert_eq!(document["type"], format!("/problems/{}", code.replace('_', "-")), "{what}");
        for field in ["title", "detail"] {
            let text = document[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{what}: no {field}: {self:?}");
        }
    }
}

/// What is sent (line, headers, body), and how it is refused.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

async fn refuses_all(address: SocketAddr, cases: &[Case<'_>]) {
    for (line, headers, body, status, code) in cases {
        let answer = request(address, line, headers, body).await;
        let what = format!("{line} {headers:?} {}", String::from_utf8_lossy(body));
        let what: String = what.chars().take(200).collect();
        answer.refuses(&what, *status, code);
        let named = |name| answer.header(name).is_some();
        assert_eq!(named("allow"), *status == 405, "{what}: {answer:?}");
        assert_eq!(named("www-authenticate"), *status == 401, "{what}: {answer:?}");
    }
}

/// Bytes that are not a request, or not a whole one: an error or an end, soon, and nothing else.
async fn survives(address: SocketAddr) {
    let head = "POST /v1/sales/one/orders HTTP/1.1\r\nHost: a\r\nX-Buyer-Id: cut\r\n\
                Content-Type: application/json\r\n";
    let body = r#"{"lines":[{"sku":"phone","quantity":1}]}"#;
    let cut = format!("{head}Content-Length: 100\r\n\r\n{body}");
    let chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n28\r\n{body}\r\n");
    let bad_chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n");
    let bad_length = format!("{head}Content-Length: -1\r\n\r\n{body}");
    let long = format!("GET /v1/sales HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    let cases: [&[u8]; 14] = [
        b"",
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        &[0; 4_096],
        &[0xff; 4_096],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v1/sales HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /v1/sales HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        head.as_bytes(),
        cut.as_bytes(),
        chunks.as_bytes(),
        bad_chunk.as_bytes(),
        bad_length.as_bytes(),
    ];
    for bytes in cases.into_iter().chain([long.as_bytes(), many.as_bytes()]) {
        let answer = send(address, bytes, Then::End).await;
        let refused = answer.status == 0 || (400..500).contains(&answer.status);
        assert!(refused, "{}: {answer:?}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn nonsense_from_buyers_is_refused_by_name_and_takes_nothing() {
    let gateway = Plant::new().set("limits.per_buyer=off").start().await;
    gateway.sale("one", 100).await;
    let good = order(gateway.public, "one", "good", "key").await;
    assert_eq!(good.status, 202, "{good:?}");
    let large = format!(
        r#"{{"lines":[{{"sku":"phone","quantity":1}}],"payload":"{}"}}"#,
        "x".repeat(9_000)
    );
    let payload = format!(
        r#"{{"lines":[{{"sku":"phone","quantity":1}}],"payload":"{}"}}"#,
        "x".repeat(5_000)
    );
    let deep = format!(r#"{{"lines":{}1"#, "[".repeat(4_000));
    let uri = format!("GET /v1/sales/{}", "x".repeat(3_000));
    let key = "k".repeat(300);
    let both = &[JSON, BUYER];
    let cases: [Case<'_>; 32] = [
        ("GET /nonsense", &[], b"", 404, "not_found"),
        ("GET /admin/v1/sales", &[], b"", 404, "not_found"),
        ("GET /v1/sales/none", &[], b"", 404, "unknown_sale"),
        ("GET /v1/sales/../../etc/passwd", &[], b"", 404, "not_found"),
        ("GET /v1/tickets/nonsense", &[], b"", 404, "unknown_ticket"),
        ("GET /v1/tickets/%00%ff", &[], b"", 404, "unknown_ticket"),
        (&uri, &[], b"", 414, "uri_too_long"),
        ("PUT /v1/sales", &[], b"", 405, "method_not_allowed"),
        ("DELETE /v1/sales/one", &[], b"", 405, "method_not_allowed"),
        ("GET /v1/sales/one/orders", &[], b"", 405, "method_not_allowed"),
        ("POST /v1/tickets/nonsense", both, b"{}", 405, "method_not_allowed"),
        ("BREW /v1/sales", &[], b"", 501, "not_implemented"),
        ("POST /v1/sales/none/orders", both, b"{}", 404, "unknown_sale"),
        (ORDERS, &[JSON], br#"{"lines":[]}"#, 401, "unknown_buyer"),
        (ORDERS, &[JSON, ("X-Buyer-Id", "")], b"{}", 400, "malformed"),
        (ORDERS, &[BUYER], br#"{"lines":[]}"#, 415, "unsupported_media_type"),
        (ORDERS, &[BUYER, ("Content-Type", "text/plain")], b"{}", 415, "unsupported_media_type"),
        (ORDERS, &[JSON, BUYER, ("Expect", "200-ok")], b"{}", 417, "expectation_failed"),
        (ORDERS, &[JSON, BUYER, ("Idempotency-Key", &key)], b"{}", 400, "malformed"),
        (ORDERS, both, large.as_bytes(), 413, "too_large"),
        (ORDERS, both, payload.as_bytes(), 413, "too_large"),
        (ORDERS, both, b"", 400, "malformed"),
        (ORDERS, both, b"\xff\x00nonsense", 400, "malformed"),
        (ORDERS, both, br#"{"lines":[{"sku":"phone","quantity":1}]"#, 400, "malformed"),
        (ORDERS, both, br#"{"lines":[{"sku":"phone","quantity":1}]} {}"#, 400, "malformed"),
        (
            ORDERS,
            both,
            br#"{"lines":[{"sku":"phone","quantity":1}],"buyer":"me"}"#,
            400,
            "malformed",
        ),
        (ORDERS, both, br#"{"lines":[{"sku":"phone","quantity":"1"}]}"#, 400, "malformed"),
        (ORDERS, both, br#"{"lines":[{"sku":"phone","quantity":-1}]}"#, 400, "malformed"),
        (ORDERS, both, deep.as_bytes(), 400, "malformed"),
        (ORDERS, both, br#"{"lines":[]}"#, 422, "bad_quantity"),
        (ORDERS, both, br#"{"lines":[{"sku":"phone","quantity":0}]}"#, 422, "bad_quantity"),
        (ORDERS, both, br#"{"lines":[{"sku":"ghost","quantity":1}]}"#, 422, "unknown_sku"),
    ];
    refuses_all(gateway.public, &cases).await;
    survives(gateway.public).await;
    let census = gateway.settled("one").await;
    assert_eq!((census.accepted, census.items[0].available), (1, 99), "nothing else was taken");
    let good = order(gateway.public, "one", "good", "key").await;
    assert_eq!((good.status, good.header("idempotent-replayed")), (202, Some("true")));
    gateway.is_whole().await;
    gateway.stop().await.well();
}

#[tokio::test]
async fn nonsense_from_operators_is_refused_by_name_and_changes_nothing() {
    let gateway = Plant::new().start().await;
    gateway.sale("one", 100).await;
    let sales = gateway.ask(hyper::Method::GET, "/sales", None).await;
    let large = format!(r#"{{"items":[],"x":"{}"}}"#, "x".repeat(4 << 20));
    let put = "PUT /admin/v1/sales/two";
    let stock = "POST /admin/v1/sales/one/stock";
    let json = &[JSON];
    let cases: [Case<'_>; 25] = [
        ("GET /nonsense", &[], b"", 404, "not_found"),
        ("GET /admin/v1/nonsense", &[], b"", 404, "not_found"),
        ("GET /v1/sales/one", &[], b"", 404, "not_found"),
        ("GET /admin/v1/sales/none", &[], b"", 404, "unknown_sale"),
        ("GET /admin/v1/tickets/nonsense", &[], b"", 404, "unknown_ticket"),
        ("DELETE /admin/v1/sales/one", &[], b"", 405, "method_not_allowed"),
        ("POST /metrics", json, b"{}", 405, "method_not_allowed"),
        ("GET /admin/v1/sales/one/close", &[], b"", 405, "method_not_allowed"),
        ("BREW /admin/v1/sales", &[], b"", 501, "not_implemented"),
        (put, &[], b"{}", 415, "unsupported_media_type"),
        (put, json, large.as_bytes(), 413, "too_large"),
        (put, json, b"", 400, "malformed"),
        (put, json, b"\xff\x00nonsense", 400, "malformed"),
        (put, json, br#"{"items":[{"sku":"phone","stock":1}]"#, 400, "malformed"),
        (put, json, br#"{"items":[{"sku":"phone","stock":1}],"price":1}"#, 400, "malformed"),
        (put, json, br#"{"items":[{"sku":"phone","stock":-1}]}"#, 400, "malformed"),
        (put, json, br#"{"items":[]}"#, 422, "bad_terms"),
        ("POST /admin/v1/sales/none/close", json, b"{}", 404, "unknown_sale"),
        ("POST /admin/v1/sales/one/purge", json, b"{}", 409, "not_settled"),
        (stock, json, br#"{"sku":"phone","delta":0,"operation":"a"}"#, 422, "bad_delta"),
        (stock, json, br#"{"sku":"phone","delta":-101,"operation":"b"}"#, 409, "below_available"),
        (stock, json, br#"{"sku":"ghost","delta":1,"operation":"c"}"#, 422, "unknown_sku"),
        ("PATCH /admin/v1/drain", json, br#"{"rate":"fast"}"#, 400, "malformed"),
        ("PATCH /admin/v1/store/faults", json, br#"{"weather":"bad"}"#, 400, "malformed"),
        ("POST /admin/v1/sales/one/dead/nonsense/retry", json, b"{}", 404, "unknown_ticket"),
    ];
    refuses_all(gateway.admin, &cases).await;
    let foreign = "POST /admin/v1/sales/one/close HTTP/1.1\r\nHost: evil.example\r\n\
                   Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let answer = send(gateway.admin, foreign.as_bytes(), Then::Wait).await;
    answer.refuses("a foreign host", 403, "foreign_host");
    survives(gateway.admin).await;
    let now = gateway.ask(hyper::Method::GET, "/sales", None).await;
    assert_eq!(sales, now, "nothing was changed");
    let faults = gateway.ask(hyper::Method::GET, "/store/faults", None).await;
    assert_eq!(faults["outage"], json!(false));
    gateway.is_whole().await;
    gateway.stop().await.well();
}
