//! Rows B-1 to B-16 and B-31 to B-43 as far as one look is enough: heads.

use super::row::{BODY, Row, SALE, chunked, get, head, one_chunk, order};

const BAD: &str = "400 malformed close";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = hosts();
    rows.extend(versions());
    rows.extend(fields());
    rows.extend(targets());
    rows.extend(methods());
    rows.extend(expectations());
    rows
}

fn hosts() -> Vec<Row> {
    let host = |host: &str| format!("GET /livez HTTP/1.1\r\n{host}\r\n");
    vec![
        Row::new("B-1", "HTTP/1.1 without Host", host(""), BAD),
        Row::new("B-2", "two Host lines", host("Host: a\r\nHost: a\r\n"), BAD),
        Row::new("B-3", "Host: a b/..@", host("Host: a b/..@\r\n"), BAD),
        Row::new("B-3", "Host with user and path", host("Host: u@h/x\r\n"), BAD),
        Row::new("B-3", "Host with a port that is none", host("Host: h:80x\r\n"), BAD),
        Row::new("B-4", "empty Host", host("Host:\r\n"), BAD),
        Row::new("B-5", "HTTP/1.0 without Host", "GET /livez HTTP/1.0\r\n\r\n", "200 close"),
        Row::new(
            "B-5",
            "HTTP/1.0 with two Hosts",
            "GET /livez HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            BAD,
        ),
    ]
}

fn versions() -> Vec<Row> {
    let line = |line: &str| format!("{line}\r\nHost: h\r\n\r\n");
    let mut rows = vec![
        Row::new("B-6", "HTTP/0.9", "GET /livez\r\n\r\n", BAD),
        Row::new("B-8", "NULs", vec![0; 64], BAD),
        Row::new("B-8", "TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", BAD),
        Row::new("B-8", "random bytes", b"\xf3\x9a\x02\xee\x81\x7f\r\n\x10\x22\r\n\r\n", BAD),
        Row::new("B-9", "empty lines before a request", format!("\r\n\r\n{}", get("/livez", "")), "200 open"),
        Row::new("B-10", "bare LF", "GET /livez HTTP/1.1\nHost: h\n\n", "200 open"),
        Row::new("B-25e", "CR only", "GET /livez HTTP/1.1\rHost: h\r\r", BAD).half_close(),
        Row::new("B-83", "PROXY protocol", format!("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n{}", get("/livez", "")), BAD),
        Row::new("B-83", "PROXY protocol, version 2", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x01\x00\x02", BAD),
    ];
    for version in ["HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.32", "HTTP/3", "HTTP/1."] {
        let id = if version == "HTTP/1.32" { "B-25e" } else { "B-7" };
        rows.push(Row::new(id, version, line(&format!("GET /livez {version}")), BAD));
    }
    for (what, bad) in [
        ("tabs in the request line", "GET\t/livez\tHTTP/1.1"),
        ("two spaces in the request line", "GET  /livez HTTP/1.1"),
        ("a space before the request line", " GET /livez HTTP/1.1"),
    ] {
        rows.push(Row::new("B-25e", what, line(bad), BAD));
    }
    rows.push(Row::new("B-32", "preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD));
    rows
}

fn fields() -> Vec<Row> {
    let with = |field: &[u8]| {
        let mut bytes = b"GET /livez HTTP/1.1\r\nHost: h\r\n".to_vec();
        bytes.extend_from_slice(field);
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    };
    let mut rows = Vec::new();
    for (what, bad) in [
        ("obs-fold", &b"A: b\r\n c"[..]),
        ("a space before a name", b" A: b"),
        ("a space before the colon", b"A : b"),
        ("no colon", b"A"),
        ("an empty name", b": b"),
    ] {
        rows.push(Row::new("B-11", what, with(bad), BAD));
    }
    rows.push(Row::new("B-12", "NUL in a value", with(b"A: b\0c"), BAD));
    rows.push(Row::new("B-12", "a lone CR in a value", with(b"A: b\rc"), BAD));
    rows.push(Row::new("B-13", "0xFF in a value that nobody reads", with(b"A: \xff"), "200 open"));
    rows.push(Row::new("B-13", "0xFF in a name", with(b"A\xff: b"), BAD));
    let lines = |count: usize| get("/livez", &"A: b\r\n".repeat(count - 1));
    let large = "431 headers_too_large close";
    rows.push(Row::new("B-14", "64 header lines", lines(64), "200 open"));
    rows.push(Row::new("B-14", "65 header lines", lines(65), large));
    rows.push(Row::new("B-14", "101 header lines", lines(101), large));
    let long = |bytes: usize| get("/livez", &format!("A: {}\r\n", "x".repeat(bytes)));
    rows.push(Row::new("B-15", "a header of 15 KB", long(15_000), "200 open"));
    rows.push(Row::new("B-15", "a header of 20 KB", long(20_000), large));
    rows.push(Row::new("B-15", "a header of 500 KB", long(500_000), large));
    let cookies = format!("Cookie: {}\r\n", "c".repeat(4_000)).repeat(50);
    rows.push(Row::new("B-92", "50 cookies of 4 KB", get("/livez", &cookies), large));
    rows
}

#[expect(clippy::too_many_lines, reason = "a table: one row a case")]
fn targets() -> Vec<Row> {
    let path = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    let long = "414 uri_too_long close";
    let mut rows = vec![
        Row::new("B-16", "an address of 2 KiB", get(&path(2_048), ""), "404 not_found open"),
        Row::new("B-16", "an address of 2 KiB and a byte", get(&path(2_049), ""), long),
        Row::new("B-16", "an address of 9 KB", get(&path(9_000), ""), long),
        Row::new(
            "B-16",
            "an address of 70 KB",
            get(&path(70_000), ""),
            "414 uri_too_long close|431 headers_too_large close",
        ),
        Row::new("B-40", "absolute form", get("http://other.example/livez", ""), BAD),
        Row::new("B-40", "no path", get("x", ""), BAD),
        Row::new("B-40", "asterisk for GET", get("*", ""), BAD),
        Row::new("B-40", "OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "204 open"),
        Row::new("B-40", "a fragment", get("/livez#a", ""), BAD),
        Row::new(
            "B-75",
            "a ticket of 8 KB",
            get(&format!("/v1/tickets/{}", "A".repeat(8_000)), ""),
            long,
        ),
        Row::new(
            "B-90",
            "2,000 parameters",
            get(&format!("/v1/sales?{}", "a=1&".repeat(2_000)), ""),
            BAD,
        ),
        Row::new("B-90", "a parameter twice", get("/v1/sales?a=1&a=2", ""), "400 malformed open"),
        Row::new("B-90", "%zz", get("/v1/sales?a=%zz", ""), "400 malformed open"),
    ];
    for path in [
        "/%00",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//v1//sales",
        "/v1/sales;x=1",
        "/V1/sales",
        "/v1/sales/",
        "/v1/sales/../sales",
        "/v1/%73ales",
        "/livez/",
        "/v1/sales/%65dge",
        "/v1/sales/edge/x",
        "/v1/tickets/",
        "/problems/",
        "/problems/nonsense",
        "/",
        "/index.html",
    ] {
        let wanted =
            if path == "/v1/sales/%65dge" { "404 unknown_sale open" } else { "404 not_found open" };
        let wanted = if path == "/v1/sales/../sales" { "404 not_found open" } else { wanted };
        rows.push(Row::new("B-41", path, get(path, ""), wanted));
    }
    for path in [
        "/metrics",
        "/admin/v1/sales",
        "/admin/v1/drain",
        "/-/reload",
        "/%61dmin/v1/sales",
        "/version",
        "/openapi.json",
    ] {
        rows.push(Row::new("B-86", path, get(path, ""), "404 not_found open"));
    }
    for (what, byte) in
        [("a control character", 1_u8), ("a space", b' '), ("0xFF", 0xff), ("DEL", 0x7f)]
    {
        let mut bytes = b"GET /a".to_vec();
        bytes.push(byte);
        bytes.extend_from_slice(b"b HTTP/1.1\r\nHost: h\r\n\r\n");
        rows.push(Row::new("B-42", format!("{what} in the address"), bytes, BAD));
    }
    rows
}

#[expect(clippy::too_many_lines, reason = "a table: one row a case")]
fn methods() -> Vec<Row> {
    let line = |method: &str, target: &str| {
        format!("{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    };
    let unknown = "501 not_implemented close";
    let mut rows = vec![
        Row::new("B-37", "CONNECT", line("CONNECT", "h:443"), "405 method_not_allowed close"),
        Row::new(
            "B-37",
            "CONNECT with a path",
            line("CONNECT", "/v1/sales"),
            "405 method_not_allowed close|400 malformed close",
        ),
        Row::new("B-37", "TRACE", line("TRACE", "/"), "405 method_not_allowed close"),
        Row::new(
            "B-37",
            "TRACE of a sale",
            line("TRACE", "/v1/sales/edge"),
            "405 method_not_allowed close",
        ),
        Row::new("B-38", "FOO", line("FOO", "/v1/sales"), unknown),
        Row::new("B-38", "get", line("get", "/v1/sales"), unknown),
        Row::new("B-38", "a method of 100 letters", line(&"A".repeat(100), "/v1/sales"), unknown),
        Row::new("B-39", "G@T", line("G@T", "/v1/sales"), BAD),
        Row::new(
            "B-43",
            "GET with a body",
            "GET /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
            "200 open",
        ),
        Row::new(
            "B-43",
            "GET with a request as its body",
            format!(
                "GET /livez HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}",
                get("/readyz", "").len(),
                get("/readyz", "")
            ),
            "200 open",
        ),
        Row::new(
            "B-43",
            "GET with a body in chunks",
            format!(
                "GET /livez HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                one_chunk("hello")
            ),
            "200 open|200 close",
        ),
        Row::new("B-85", "HEAD", line("HEAD", "/v1/sales"), "200 open"),
    ];
    for (route, wrong) in [
        ("/v1/sales", "POST"),
        ("/v1/sales/edge", "DELETE"),
        ("/v1/sales/edge/orders", "GET"),
        ("/v1/sales/edge/orders", "HEAD"),
        ("/v1/sales/edge/orders", "PUT"),
        ("/v1/tickets/x", "POST"),
        ("/v1/tickets/x/events", "DELETE"),
        ("/livez", "POST"),
        ("/readyz", "PATCH"),
        ("/problems/sold-out", "PUT"),
    ] {
        let wanted = "405 method_not_allowed open";
        let wanted = if wrong == "HEAD" { "405 open" } else { wanted };
        rows.push(Row::new("B-84", format!("{wrong} {route}"), line(wrong, route), wanted));
        let fields = "Origin: http://foreign.example\r\nAccess-Control-Request-Method: POST\r\n";
        let preflight = format!("OPTIONS {route} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        rows.push(Row::new(
            "B-85",
            format!("OPTIONS {route} from a foreign page"),
            preflight,
            "204 open",
        ));
    }
    rows
}

fn expectations() -> Vec<Row> {
    let expects = "Expect: 100-continue\r\n";
    let awaits = |buyer: &str, fields: &str| head(buyer, &format!("{fields}{expects}"));
    let length = format!("Content-Length: {}\r\n", BODY.len());
    let text = awaits("b", &length).replace("application/json", "text/plain");
    let nobody = awaits("b", &length).replace("X-Buyer-Id", "X-Nobody");
    let unknown = awaits("b", &length).replace(SALE, "none");
    let upgrade = |to: &str| {
        let fields = format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {to}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        );
        format!("{}{}", get("/livez", &fields), get("/livez", ""))
    };
    vec![
        Row::new("B-34", "100-continue, then a body", awaits("b34", &length), "100; 202 open")
            .then(BODY),
        Row::new(
            "B-34",
            "100-continue, the body with it",
            format!("{}{BODY}", awaits("b34-2", &length)),
            "100; 202 open|202 open",
        ),
        Row::new(
            "B-34",
            "100-continue, refused by its type",
            text,
            "415 unsupported_media_type close",
        ),
        Row::new(
            "B-34",
            "100-continue, refused by its length",
            awaits("b", "Content-Length: 9000\r\n"),
            "413 too_large close",
        ),
        Row::new("B-34", "100-continue, refused for its buyer", nobody, "401 unknown_buyer close"),
        Row::new("B-34", "100-continue, refused for its sale", unknown, "404 unknown_sale close"),
        Row::new(
            "B-35",
            "Expect: 200-ok",
            order("b", "Expect: 200-ok\r\n", BODY),
            "417 expectation_failed close",
        ),
        Row::new(
            "B-35",
            "Expect twice",
            order("b", "Expect: 100-continue\r\nExpect: x\r\n", BODY),
            "417 expectation_failed close",
        ),
        Row::new("B-36", "Upgrade: h2c, and a second request", upgrade("h2c"), "200; 200 open"),
        Row::new(
            "B-36",
            "Upgrade: websocket, and a second request",
            upgrade("websocket"),
            "200; 200 open",
        ),
        Row::new("B-36", "Upgrade: foo, and a second request", upgrade("foo"), "200; 200 open"),
        Row::new(
            "B-36",
            "Upgrade of an order in chunks",
            chunked("b36", &one_chunk(BODY))
                .replace("Transfer", "Connection: upgrade\r\nUpgrade: h2c\r\nTransfer"),
            "202 open",
        ),
    ]
}
