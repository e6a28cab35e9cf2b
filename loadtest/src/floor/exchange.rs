//! A request as far as the floor needs it, and its answer.

use std::io::Write;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::book::Decision;

const HEADERS_MAX: usize = 32;

/// One order call. What is missing or cannot be read is `None`.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) sale: &'a str,
    pub(super) buyer: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    /// Units of its one line.
    pub(super) units: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    lines: [Line<'a>; 1],
    #[serde(rename = "payload")]
    _payload: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    sku: &'a str,
    quantity: u64,
}

/// The first request and its length, `None` when more of it is to come.
pub(super) fn parse(seen: &[u8]) -> anyhow::Result<Option<(Request<'_>, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(body_from) = head.parse(seen)? else { return Ok(None) };
    let (mut length, mut buyer, mut key) = (0, None, None);
    for header in head.headers.iter() {
        let text = || std::str::from_utf8(header.value).ok();
        if header.name.eq_ignore_ascii_case("content-length") {
            length = text().unwrap_or_default().parse()?;
        } else if header.name.eq_ignore_ascii_case("x-buyer-id") {
            buyer = text();
        } else if header.name.eq_ignore_ascii_case("idempotency-key") {
            key = text();
        }
    }
    let end = body_from.saturating_add(length);
    let Some(body) = seen.get(body_from..end) else { return Ok(None) };
    let path = head.path.unwrap_or_default();
    let sale = path
        .strip_prefix("/v1/sales/")
        .and_then(|rest| rest.strip_suffix("/orders"))
        .unwrap_or_default();
    let units = serde_json::from_slice::<Body<'_>>(body)
        .ok()
        .map(|Body { lines: [line], .. }| line)
        .filter(|line| !line.sku.is_empty() && line.quantity > 0)
        .map(|line| line.quantity);
    Ok(Some((Request { sale, buyer, key, units }, end)))
}

/// Appends an answer: a ticket as long as the gateway's, in a body of as many bytes.
pub(super) fn answer(decision: &Decision, body_bytes: usize, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = match decision {
        Decision::Taken { sequence, replayed } => {
            let body = format!(r#"{{"ticket":"floor-{sequence:0>52}","state":"queued"}}"#);
            let length = body_bytes.max(body.len());
            let known = if *replayed { "idempotent-replayed: true\r\n" } else { "" };
            write!(
                out,
                "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
                 location: /v1/tickets/floor-{sequence:0>52}\r\n{known}content-length: {length}\r\n\r\n{body:<length$}"
            )
        }
        Decision::Refused { status, code } => {
            let body = format!(r#"{{"code":"{code}"}}"#);
            write!(
                out,
                "HTTP/1.1 {status} Refused\r\ncontent-type: application/problem+json\r\n\
                 cache-control: no-store\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_when_it_is_whole() {
        let body = r#"{"lines":[{"sku":"phone","quantity":2}],"payload":{"a":[1]}}"#;
        let whole = format!(
            "POST /v1/sales/s/orders HTTP/1.1\r\nX-Buyer-Id: b\r\nIdempotency-Key: k\r\n\
             Content-Length: {}\r\n\r\n{body}GET",
            body.len()
        );
        let whole = whole.as_bytes();
        let (request, length) = parse(whole).unwrap().unwrap();
        assert_eq!(length, whole.len() - 3);
        assert_eq!((request.sale, request.buyer, request.key), ("s", Some("b"), Some("k")));
        assert_eq!(request.units, Some(2));
        assert!(parse(&whole[..length - 1]).unwrap().is_none());
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }

    #[test]
    fn an_answer_has_the_length_that_was_asked_for() {
        let mut out = Vec::new();
        answer(&Decision::Taken { sequence: 7, replayed: true }, 200, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), 200);
        assert!(head.contains("content-length: 200") && head.contains("idempotent-replayed: true"));
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
