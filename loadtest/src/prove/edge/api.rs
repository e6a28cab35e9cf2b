//! Rows B-59 to B-92 that one request shows.

use super::row::{BODY, Row, get, head, order};

const BAD: &str = "400 malformed open";
const QUANTITY: &str = "422 bad_quantity open";
const MEDIA: &str = "415 unsupported_media_type open";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = documents();
    rows.extend(quantities());
    rows.extend(buyers());
    rows.extend(fields());
    rows
}

fn body(id: &'static str, body: impl Into<Vec<u8>>, wanted: &'static str) -> Row {
    let body = body.into();
    let what: String = String::from_utf8_lossy(&body).chars().take(60).collect();
    let mut bytes = head("api", &format!("Content-Length: {}\r\n", body.len())).into_bytes();
    bytes.extend_from_slice(&body);
    Row::new(id, format!("body {what}"), bytes, wanted)
}

fn documents() -> Vec<Row> {
    let mut rows = Vec::new();
    for text in [
        "",
        "{}",
        "null",
        "[]",
        "\"x\"",
        "1",
        "{\"lines\":null}",
        "{\"lines\":{}}",
        "[[{\"sku\":\"phone\",\"quantity\":1}]]",
    ] {
        rows.push(body("B-59", text, BAD));
    }
    rows.push(body("B-59", "{\"lines\":[]}", QUANTITY));
    for text in [
        &BODY[..BODY.len() - 1],
        &format!("{BODY}x"),
        &format!("{BODY}{BODY}"),
        &format!("\u{feff}{BODY}"),
        &format!("/* a */{BODY}"),
        &BODY.replace('"', "'"),
        &BODY.replace('1', "NaN"),
        &BODY.replace('1', "Infinity"),
        &BODY.replace('1', "01"),
        &BODY.replace("}]", "},]"),
    ] {
        rows.push(body("B-60", text, BAD));
    }
    let mut wrong = BODY.replace("phone", "ph\u{1}one").into_bytes();
    rows.push(body("B-60", wrong.clone(), BAD));
    wrong.iter_mut().for_each(|byte| *byte = if *byte == 1 { 0xff } else { *byte });
    rows.push(body("B-60", wrong, BAD));
    rows.push(body("B-61", r#"{"lines":[{"sku":"phone","quantity":1,"quantity":99}]}"#, BAD));
    rows.push(body("B-61", r#"{"lines":[{"sku":"phone","quantity":1}],"lines":[]}"#, BAD));
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    rows.push(body("B-62", nested(200), BAD));
    rows.push(body("B-62", "[".repeat(8_192), BAD));
    rows.push(body(
        "B-62",
        format!("{},\"payload\":{}}}", &BODY[..BODY.len() - 1], nested(200)),
        BAD,
    ));
    rows.push(body(
        "B-62",
        format!("{},\"payload\":{}}}", &BODY[..BODY.len() - 1], nested(100)),
        "202 open",
    ));
    for field in ["price", "state", "user_id", "buyer", "ticket"] {
        rows.push(body("B-64", BODY.replacen('{', &format!("{{\"{field}\":1,"), 1), BAD));
        rows.push(body("B-64", BODY.replace("\"sku\"", &format!("\"{field}\":1,\"sku\"")), BAD));
    }
    rows
}

fn quantities() -> Vec<Row> {
    let of = |quantity: &str| BODY.replace('1', quantity);
    let mut rows = Vec::new();
    for bad in ["-1", "1.5", "1e0", "\"1\"", "18446744073709551616", "1e400", "null", "true"] {
        rows.push(body("B-63", of(bad), BAD));
    }
    for range in ["0", "4294967296", "9223372036854775808", "1000001"] {
        rows.push(body("B-63", of(range), QUANTITY));
    }
    let line = "{\"sku\":\"phone\",\"quantity\":1}";
    rows.push(body("B-63", format!("{{\"lines\":[{line},{line}]}}"), QUANTITY));
    rows.push(body("B-63", format!("{{\"lines\":[{}]}}", [line; 9].join(",")), QUANTITY));
    rows.push(body("B-65", BODY.replace("phone", "none"), "422 unknown_sku open"));
    rows
}

fn buyers() -> Vec<Row> {
    let mut rows = Vec::new();
    for good in [
        "*",
        "{}",
        "{edge}",
        "a:b:c",
        "../../x",
        "x' OR '1'='1",
        "redis.call('FLUSHALL')",
        "\u{1f9e8}",
        "\u{202e}abc",
        "%00",
        "caf\u{e9}",
        "cafe\u{301}",
        "Ann",
        "ann",
        "\\ud800",
    ] {
        rows.push(Row::new(
            "B-66",
            format!("buyer {}", good.escape_default()),
            order(good, "", BODY),
            "202 open",
        ));
    }
    let longest = "b".repeat(128);
    rows.push(Row::new("B-66", "buyer of 128 bytes", order(&longest, "", BODY), "202 open"));
    for (what, bad) in
        [("empty", ""), ("of 129 bytes", &"b".repeat(129)), ("of 10 KB", &"b".repeat(10_000))]
    {
        rows.push(Row::new("B-66", format!("buyer {what}"), order(bad, "", BODY), BAD));
    }
    let latin = order("latin-?", "", BODY).into_bytes();
    let latin: Vec<u8> =
        latin.into_iter().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
    rows.push(Row::new("B-66", "buyer that is not UTF-8", latin, BAD));
    let text = order("", "", BODY).replace("application/json", "text/plain");
    rows.push(Row::new("B-66", "empty buyer, and no JSON", text, BAD));
    let cut = "400 malformed close";
    rows.push(Row::new("B-66", "buyer with NUL", order("a\0b", "", BODY), cut));
    rows.push(Row::new("B-66", "buyer with a line break", order("a\r\n b", "", BODY), cut));
    rows.push(Row::new(
        "B-82",
        "X_Buyer_Id",
        order("b", "", BODY).replace("X-Buyer-Id", "X_Buyer_Id"),
        "401 unknown_buyer open",
    ));
    rows.push(Row::new(
        "B-82",
        "X-Buyer-Id twice",
        order("b", "X-Buyer-Id: c\r\n", BODY),
        "401 unknown_buyer open",
    ));
    rows
}

fn fields() -> Vec<Row> {
    let typed = |media: &str| order("b", "", BODY).replace("application/json", media);
    let mut rows = Vec::new();
    for media in [
        "text/plain",
        "application/xml",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
        "",
        "application/jsonp",
    ] {
        rows.push(Row::new("B-68", format!("Content-Type: {media}"), typed(media), MEDIA));
    }
    let none = order("b", "", BODY).replace("Content-Type: application/json\r\n", "");
    rows.push(Row::new("B-68", "no Content-Type", none, MEDIA));
    rows.push(Row::new(
        "B-68",
        "charset=utf-8",
        typed("application/json; charset=UTF-8"),
        "202 open",
    ));
    for coding in ["gzip", "br", "deflate, gzip"] {
        let field = format!("Content-Encoding: {coding}\r\n");
        rows.push(Row::new("B-69", field.trim_end(), order("b", &field, BODY), MEDIA));
    }
    rows.push(Row::new(
        "B-70",
        "Accept: image/png",
        order("b70", "Accept: image/png\r\n", BODY),
        "202 open",
    ));
    rows.push(Row::new("B-71", "no Idempotency-Key", order("b71", "", BODY), "202 open"));
    rows.push(Row::new(
        "B-91",
        "Accept-Encoding: gzip",
        order("b91", "Accept-Encoding: gzip, br\r\n", BODY),
        "202 open",
    ));
    let long = "k".repeat(256);
    for key in ["", "\"\"", long.as_str(), "k\u{e4}", "\"k", "k\"", "k;a=b", "k k", "\"a\";b"] {
        let field = format!("Idempotency-Key: {key}\r\n");
        let what = format!("Idempotency-Key: {}", key.escape_default());
        rows.push(Row::new("B-72", what, order("b", &field, BODY), BAD));
    }
    let twice = "Idempotency-Key: a\r\nIdempotency-Key: a\r\n";
    rows.push(Row::new("B-72", "Idempotency-Key twice", order("b", twice, BODY), BAD));
    rows.push(Row::new(
        "B-90",
        "an order with a query",
        order("b", "", BODY).replace("/orders", "/orders?a=b"),
        BAD,
    ));
    for ticket in [
        "x",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "eyJhbGciOiJub25lIn0.e30.",
        "%00",
    ] {
        rows.push(Row::new(
            "B-75",
            format!("ticket {ticket}"),
            get(&format!("/v1/tickets/{ticket}"), ""),
            "404 unknown_ticket open",
        ));
    }
    rows
}
