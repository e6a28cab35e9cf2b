//! Rows B-17 to B-29 and B-44 to B-46: where a request ends.

use super::row::{BODY, Row, chunked, get, head, one_chunk, order};

const BAD: &str = "400 malformed close";
const LARGE: &str = "413 too_large close";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = lengths();
    rows.extend(codings());
    rows.extend(chunks());
    rows.extend(sizes());
    rows.extend(pipelines());
    rows
}

/// An order framed by these lines, with a request behind it that must never be answered.
fn smuggling(fields: &str, body: &str) -> String {
    format!("{}{body}{}", head("smuggler", fields), get("/v1/sales", ""))
}

fn lengths() -> Vec<Row> {
    let (length, coding) =
        (format!("Content-Length: {}\r\n", BODY.len()), "Transfer-Encoding: chunked\r\n");
    let mut rows = vec![
        Row::new(
            "B-17",
            "Content-Length, then Transfer-Encoding",
            smuggling(&format!("{length}{coding}"), &one_chunk(BODY)),
            BAD,
        ),
        Row::new(
            "B-17",
            "Transfer-Encoding, then Content-Length",
            smuggling(&format!("{coding}{length}"), &one_chunk(BODY)),
            BAD,
        ),
        Row::new(
            "B-17",
            "both, the length that of the chunked body",
            smuggling(&format!("{coding}Content-Length: 5\r\n"), "0\r\n\r\n"),
            BAD,
        ),
        Row::new(
            "B-17",
            "both, the lines far apart",
            smuggling(&format!("{length}{}{coding}", "A: b\r\n".repeat(40)), &one_chunk(BODY)),
            BAD,
        ),
        Row::new(
            "B-18",
            "two lengths, the same",
            smuggling(&format!("{length}{length}"), BODY),
            BAD,
        ),
        Row::new(
            "B-18",
            "two lengths, the same, in other letters",
            smuggling(&format!("{length}{}", length.to_uppercase()), BODY),
            BAD,
        ),
        Row::new(
            "B-19",
            "two lengths, different",
            smuggling(&format!("{length}Content-Length: 3\r\n"), BODY),
            BAD,
        ),
        Row::new(
            "B-20",
            "2^64 - 1",
            smuggling("Content-Length: 18446744073709551615\r\n", BODY),
            "413 too_large close|400 malformed close",
        ),
        Row::new(
            "B-25c",
            "blanks around a length",
            head("b25c", &format!("Content-Length:   {} \t\r\n", BODY.len())) + BODY,
            "202 open",
        ),
    ];
    for bad in
        ["3, 3", "+3", "-1", "0x3", "3 3", "", "12345678901234567890123", "0003", "3.0", "\u{663}"]
    {
        let id = if bad == "0003" { "B-25c" } else { "B-19" };
        let what = format!("Content-Length: {bad}");
        rows.push(Row::new(id, &what, smuggling(&format!("{what}\r\n"), BODY), BAD));
    }
    rows
}

fn codings() -> Vec<Row> {
    let body = one_chunk(BODY);
    let with = |coding: &str| smuggling(&format!("Transfer-Encoding: {coding}\r\n"), &body);
    let lines = |lines: &str| smuggling(lines, &body);
    let old = with("chunked").replacen("HTTP/1.1", "HTTP/1.0", 1);
    let mut rows = vec![
        Row::new("B-22", "gzip, chunked", with("gzip, chunked"), "501 not_implemented close"),
        Row::new(
            "B-23",
            "chunked and identity",
            lines("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
            BAD,
        ),
        Row::new("B-23", "a space before the colon", lines("Transfer-Encoding : chunked\r\n"), BAD),
        Row::new("B-24", "a coding in HTTP/1.0", old, BAD),
        Row::new(
            "B-25b",
            "chunked twice, in two lines",
            lines("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            BAD,
        ),
        Row::new(
            "B-25b",
            "Connection: Transfer-Encoding",
            lines("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n"),
            BAD,
        ),
        Row::new(
            "B-25b",
            "Connection: Content-Length",
            lines("Connection: close, Content-Length\r\nContent-Length: 3\r\n"),
            BAD,
        ),
        Row::new(
            "B-25c",
            "CHUNKED",
            chunked("b25c-2", &body).replace("chunked", "CHUNKED"),
            "202 open",
        ),
    ];
    for (id, bad) in [
        ("B-21", "chunked, chunked"),
        ("B-23", "identity"),
        ("B-23", "xchunked"),
        ("B-23", "chunked, gzip"),
        ("B-23", "\x0bchunked"),
        ("B-25a", "\u{a0}chunked\u{a0}"),
        ("B-25a", "chunked;q=1"),
        ("B-25a", ""),
        ("B-25b", ",chunked"),
    ] {
        rows.push(Row::new(
            id,
            format!("Transfer-Encoding: {}", bad.escape_default()),
            with(bad),
            BAD,
        ));
    }
    rows
}

#[expect(clippy::too_many_lines, reason = "a table: one row a case")]
fn chunks() -> Vec<Row> {
    let hex = format!("{:x}", BODY.len());
    let end = "0\r\n\r\n";
    let sized = |size: &str| chunked("chunks", &format!("{size}\r\n{BODY}\r\n{end}"));
    let mut rows = vec![
        Row::new(
            "B-25",
            "a chunk without CRLF",
            chunked("chunks", &format!("{hex}\r\n{BODY}{end}")),
            BAD,
        ),
        Row::new("B-25", "LF only", chunked("chunks", &format!("{hex}\n{BODY}\n0\n\n")), BAD),
        Row::new("B-25", "a lone CR in an extension", sized(&format!("{hex};a\rb")), BAD),
        Row::new(
            "B-25",
            "an extension of 20 KB",
            sized(&format!("{hex};{}", "a".repeat(20_000))),
            BAD,
        ),
        Row::new(
            "B-25",
            "a trailer of 20 KB",
            chunked(
                "chunks",
                &format!("{hex}\r\n{BODY}\r\n0\r\nA: {}\r\n\r\n", "a".repeat(20_000)),
            ),
            BAD,
        ),
        Row::new("B-25a", "no size", sized(""), BAD),
        Row::new(
            "B-25c",
            "a blank after the size",
            chunked("b25c-3", &format!("{hex} \r\n{BODY}\r\n{end}")),
            "202 open|400 malformed close",
        ),
        Row::new(
            "B-25c",
            "40 zeros before the size",
            chunked("b25c-4", &format!("{}{hex}\r\n{BODY}\r\n{end}", "0".repeat(40))),
            "202 open|400 malformed close",
        ),
        Row::new(
            "B-25d",
            "a byte after a chunked body",
            format!("{}X", chunked("b25d", &one_chunk(BODY))),
            "202 close",
        )
        .half_close(),
        Row::new(
            "B-25d",
            "a line after a chunked body",
            format!("{}X\r\n\r\n", chunked("b25d-2", &one_chunk(BODY))),
            "202; 400 malformed close",
        ),
        Row::new(
            "B-26",
            "a trailer named Content-Length",
            chunked("b26", &format!("{hex}\r\n{BODY}\r\n0\r\nContent-Length: 9\r\n\r\n")),
            "202 open",
        ),
        Row::new(
            "B-26",
            "a chunk's extension",
            chunked("b26-2", &format!("{hex};a=\"b\"\r\n{BODY}\r\n{end}")),
            "202 open",
        ),
        Row::new(
            "B-28",
            "9,000 chunks of a byte",
            chunked("b28", &format!("{}{end}", "1\r\na\r\n".repeat(9_000))),
            LARGE,
        ),
    ];
    let many_f = "F".repeat(17);
    for (id, bad) in [
        ("B-25", "zz"),
        ("B-25", "0x3"),
        ("B-25", "+3"),
        ("B-25", many_f.as_str()),
        ("B-25a", "-0x0"),
        ("B-25a", "0_2e"),
        ("B-25a", "  3"),
        ("B-25a", "2\r\r;a"),
    ] {
        rows.push(Row::new(
            id,
            format!("a chunk of size {}", bad.escape_default()),
            sized(bad),
            BAD,
        ));
    }
    rows
}

fn sizes() -> Vec<Row> {
    let large = format!("{{\"lines\":[],\"payload\":\"{}\"}}", "x".repeat(9_000));
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    let huge = head("b45", &length(1_000_000_000)).replace("application/json", "text/plain");
    let part = |head: String, bytes: usize| format!("{head}{}", "x".repeat(bytes));
    vec![
        Row::new("B-27", "9,000 bytes by length", order("b27", "", &large), "413 too_large open"),
        Row::new("B-27", "9,000 bytes in one chunk", chunked("b27", &one_chunk(&large)), LARGE),
        Row::new(
            "B-27",
            "64 KiB by length, refused and drained",
            part(head("b27", &length(65_536)), 65_536),
            "413 too_large open",
        ),
        Row::new(
            "B-27",
            "more than 64 KiB by length",
            part(head("b27", &length(65_537)), 20_000),
            LARGE,
        ),
        Row::new("B-29", "a body cut short", part(head("b29", &length(100)), 3), BAD).half_close(),
        Row::new("B-29", "a chunk cut short", chunked("b29", "ff\r\nabc"), BAD).half_close(),
        Row::new("B-29", "a head cut short", "GET /livez HTTP/1.1\r\nHost: h", "close")
            .half_close(),
        Row::new(
            "B-29",
            "a whole order, and no more to come",
            order("b29-2", "", BODY),
            "202 close",
        )
        .half_close(),
        Row::new(
            "B-45",
            "refused while 1 GB is on its way",
            part(huge, 2_000_000),
            "413 too_large close",
        ),
        Row::new(
            "B-45",
            "refused before its body came",
            head("b45", &length(40)).replace("application/json", "text/plain"),
            "415 unsupported_media_type open",
        )
        .then("x".repeat(40)),
    ]
}

fn pipelines() -> Vec<Row> {
    let second = head("b44-2", "Content-Length: 3x\r\n");
    let three = format!("{}{second}{}", order("b44", "", BODY), order("b44-3", "", BODY));
    let twice = head("b44-5", "Content-Length: 3\r\nContent-Length: 3\r\n");
    let hidden = format!("{}{twice}abc{}", order("b44-4", "", BODY), order("b44-6", "", BODY));
    vec![
        Row::new("B-44", "three orders, the second malformed", three, "202; 400 malformed close"),
        Row::new(
            "B-44",
            "three orders, the second with two lengths",
            hidden,
            "202; 400 malformed close",
        ),
        Row::new(
            "B-46",
            "10,000 requests on one connection",
            get("/livez", "").repeat(10_000),
            "10000x200 open",
        ),
    ]
}
