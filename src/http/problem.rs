//! Refusals of the public listener (RFC 9457): the one place where a cause becomes a status and a code.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};

use super::answer::{Answer, NO_STORE, with_body};
use crate::admission::{Limit, Limited};
use crate::clock::Timestamp;
use crate::identity::Challenge;
use crate::sale::Rate;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Why a request is refused. Each has a stable code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Malformed(&'static str),
    UnknownBuyer(Challenge),
    IdentityUnavailable { retry_after: u64 },
    NotFound,
    MethodNotAllowed(&'static str),
    UnknownMethod,
    NotImplemented(&'static str),
    Timeout,
    TooLarge,
    UriTooLong,
    HeadersTooLarge,
    TooManyConnections { max: usize },
    UnsupportedMediaType,
    ExpectationFailed,
    UnknownSale,
    UnknownTicket,
    Purged,
    UnknownSku,
    BadQuantity,
    KeyReused,
    RateLimited { limited: Limited, retry_after: u64 },
    NotOpen { opens_at: Timestamp, retry_after: u64 },
    Closed,
    Stopping { retry_after: u64 },
    Paused { retry_after: u64 },
    Overloaded { retry_after: u64 },
    SoldOut,
    LimitReached { ticket: Option<String> },
    BacklogFull { retry_after: u64 },
    TooManyStreams { retry_after: u64 },
    LedgerUnavailable { reason: String, retry_after: u64 },
    InDoubt { key: String, retry_after: u64 },
    Internal,
}

impl Problem {
    /// Status, stable name, title, and what to do next.
    #[expect(clippy::too_many_lines, reason = "a table: one row a cause")]
    fn parts(&self) -> (u16, &'static str, &'static str, &'static str) {
        match self {
            Self::Malformed(detail) => (400, "malformed", "The request cannot be read", detail),
            Self::UnknownBuyer(challenge) => (
                401,
                "unknown_buyer",
                "The buyer is not known",
                match challenge {
                    Challenge::Shop => "send the request through the shop, which names the buyer",
                    Challenge::Token => {
                        "log in at the shop and send its token: Authorization: Bearer TOKEN"
                    }
                    Challenge::BadToken => {
                        "the token is not good or not any more: get a new one from the shop"
                    }
                },
            ),
            Self::IdentityUnavailable { .. } => (
                503,
                "identity_unavailable",
                "Buyers cannot be known now",
                "nothing was taken: try again later",
            ),
            Self::NotFound => {
                (404, "not_found", "There is nothing at this path", "see GET /v1/sales")
            }
            Self::MethodNotAllowed(_) => (
                405,
                "method_not_allowed",
                "The method is not allowed here",
                "the header Allow lists the methods",
            ),
            Self::UnknownMethod => {
                (501, "not_implemented", "The method is not known", "use GET, POST or DELETE")
            }
            Self::NotImplemented(detail) => (501, "not_implemented", "Not implemented", detail),
            Self::Timeout => {
                (408, "timeout", "The request came too slowly", "send the request again")
            }
            Self::TooLarge => (
                413,
                "too_large",
                "The body is too large",
                "an order is at most 8 KiB, its payload at most 4 KiB",
            ),
            Self::UriTooLong => {
                (414, "uri_too_long", "The address is too long", "addresses are at most 2 KiB")
            }
            Self::HeadersTooLarge => (
                431,
                "headers_too_large",
                "The headers are too large",
                "at most 64 header lines and 16 KiB in all",
            ),
            Self::TooManyConnections { .. } => (
                429,
                "too_many_connections",
                "This address has too many connections",
                "use the connections that are open, or close some",
            ),
            Self::UnsupportedMediaType => (
                415,
                "unsupported_media_type",
                "The body must be JSON",
                "send Content-Type: application/json, without an encoding",
            ),
            Self::ExpectationFailed => (
                417,
                "expectation_failed",
                "The expectation is not known",
                "expect only 100-continue",
            ),
            Self::UnknownSale => {
                (404, "unknown_sale", "There is no such sale", "see GET /v1/sales")
            }
            Self::UnknownTicket => (
                404,
                "unknown_ticket",
                "There is no such ticket",
                "use the ticket as it was given in the 202",
            ),
            Self::Purged => (
                410,
                "purged",
                "The sale is over and its tickets are gone",
                "ask the shop for the order",
            ),
            Self::UnknownSku => {
                (422, "unknown_sku", "The sale has no such item", "see GET /v1/sales/{sale}")
            }
            Self::BadQuantity => (
                422,
                "bad_quantity",
                "The lines are out of range",
                "1 to 8 lines, each sku once, quantities 1 to 1,000,000",
            ),
            Self::KeyReused => (
                422,
                "key_reused",
                "The key was used for another order",
                "use a new Idempotency-Key for a new order",
            ),
            Self::RateLimited { .. } => (
                429,
                "rate_limited",
                "Too many requests",
                "nothing was taken: wait for Retry-After, then send the request again",
            ),
            Self::NotOpen { .. } => {
                (403, "not_open", "The sale is not open yet", "come back when it opens")
            }
            Self::Closed => (410, "closed", "The sale is closed", "no more orders are taken"),
            Self::Stopping { .. } => (
                503,
                "stopping",
                "This gateway is stopping",
                "nothing was taken: send the request again",
            ),
            Self::Paused { .. } => {
                (503, "paused", "The sale is paused", "nothing was taken: try again later")
            }
            Self::Overloaded { .. } => (
                503,
                "overloaded",
                "More buyers come than are let in",
                "nothing was taken: try again after Retry-After",
            ),
            Self::SoldOut => (
                409,
                "sold_out",
                "Sold out",
                "nothing was taken; units may come back when orders are refused or cancelled",
            ),
            Self::LimitReached { .. } => (
                409,
                "limit_reached",
                "The limit of one buyer is reached",
                "see the ticket that you have",
            ),
            Self::TooManyStreams { .. } => (
                503,
                "too_many_streams",
                "This gateway has no room for another stream",
                "ask for the ticket itself, after its poll_after_ms or with ?wait=30",
            ),
            Self::BacklogFull { .. } => (
                503,
                "backlog_full",
                "Too many orders are waiting",
                "nothing was taken: try again later",
            ),
            Self::LedgerUnavailable { .. } => (
                503,
                "ledger_unavailable",
                "Orders cannot be taken now",
                "nothing was taken: try again with the same Idempotency-Key",
            ),
            Self::InDoubt { .. } => (
                503,
                "in_doubt",
                "The order may have been taken",
                "ask again with the same Idempotency-Key",
            ),
            Self::Internal => (
                500,
                "internal",
                "The gateway has a fault",
                "what was asked may have been done: ask again, an order with the same Idempotency-Key",
            ),
        }
    }

    /// Code, detail and `Allow`, for a listener that writes its own answers.
    pub(super) fn told(&self) -> (&'static str, &'static str, Option<&'static str>) {
        let (_, code, _, detail) = self.parts();
        let allow = match self {
            Self::MethodNotAllowed(allow) => Some(*allow),
            _ => None,
        };
        (code, detail, allow)
    }

    /// The answer.
    pub(super) fn answer(&self) -> Answer {
        let (status, code, title, detail) = self.parts();
        let mut answer = with_body(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            self.body(status, code, title, detail),
        );
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, NO_STORE);
        let retry_after = match self {
            Self::RateLimited { retry_after, .. }
            | Self::NotOpen { retry_after, .. }
            | Self::Overloaded { retry_after }
            | Self::BacklogFull { retry_after }
            | Self::TooManyStreams { retry_after }
            | Self::Stopping { retry_after }
            | Self::Paused { retry_after }
            | Self::LedgerUnavailable { retry_after, .. }
            | Self::InDoubt { retry_after, .. }
            | Self::IdentityUnavailable { retry_after } => Some(*retry_after),
            Self::TooManyConnections { .. } => Some(1),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self {
            Self::RateLimited { limited, .. } => rate_limit(headers, limited),
            Self::MethodNotAllowed(allow) => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            Self::UnknownBuyer(challenge) => {
                headers.insert(WWW_AUTHENTICATE, challenge.header());
            }
            Self::UnknownSale => {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"));
            }
            Self::TooManyConnections { max } => {
                let policy = format!("\"connections\";q={max};qu=\"concurrent-requests\"");
                if let Ok(policy) = HeaderValue::from_str(&policy) {
                    headers.insert(RATE_LIMIT_POLICY, policy);
                }
                headers.insert(RATE_LIMIT, HeaderValue::from_static("\"connections\";r=0"));
            }
            _ => {}
        }
        answer
    }

    /// The answer as it stands on the wire where no service is asked; the connection ends with it.
    pub(super) fn bytes(&self, now: Timestamp) -> Vec<u8> {
        let (status, code, title, detail) = self.parts();
        let (head, body) = (self.answer().into_parts().0, self.body(status, code, title, detail));
        let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
        for (name, value) in &head.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        let (length, date) = (body.len(), now.http_date());
        let ends = format!("connection: close\r\ncontent-length: {length}\r\ndate: {date}\r\n\r\n");
        bytes.extend_from_slice(ends.as_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    fn body(&self, status: u16, code: &str, title: &str, detail: &str) -> Bytes {
        let more = match self {
            Self::NotOpen { opens_at, .. } => ("opens_at", opens_at.to_string().into()),
            Self::LimitReached { ticket } => ("ticket", ticket.clone().into()),
            Self::InDoubt { key, .. } => ("idempotency_key", key.clone().into()),
            Self::LedgerUnavailable { reason, .. } => ("reason", reason.clone().into()),
            // Their details differ from one to the next.
            Self::Malformed(_)
            | Self::NotImplemented(_)
            | Self::UnknownMethod
            | Self::UnknownBuyer(_) => {
                return document(status, code, title, detail).to_string().into();
            }
            _ => return PREPARED.get(code).cloned().unwrap_or_default(),
        };
        let mut document = document(status, code, title, detail);
        document[more.0] = more.1;
        Bytes::from(document.to_string())
    }
}

fn document(status: u16, code: &str, title: &str, detail: &str) -> serde_json::Value {
    serde_json::json!({
        "type": format!("/problems/{}", code.replace('_', "-")),
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
    })
}

/// Bodies that are the same for everybody, by code: what most buyers of a sale get is made once.
static PREPARED: LazyLock<HashMap<&'static str, Bytes>> = LazyLock::new(|| {
    let made = samples().into_iter().map(|problem| {
        let (status, code, title, detail) = problem.parts();
        (code, Bytes::from(document(status, code, title, detail).to_string()))
    });
    made.collect()
});

/// draft-ietf-httpapi-ratelimit-headers-11: the limit, and that nothing is left of it for so many seconds.
fn rate_limit(headers: &mut HeaderMap, limited: &Limited) {
    let Limited { policy, limit, wait } = limited;
    let (quota, window) = (limit.burst(), limit.window_seconds());
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let fields = [
        (RATE_LIMIT_POLICY, format!("\"{policy}\";q={quota};w={window}")),
        (RATE_LIMIT, format!("\"{policy}\";r=0;t={seconds}")),
    ];
    for (name, text) in fields {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}

/// One of each.
fn samples() -> Vec<Problem> {
    let limit = Limit::new(Rate::per_second(1), 1).expect("a rate that is set is a limit");
    let limited = Limited { policy: "", limit, wait: Duration::ZERO };
    vec![
        Problem::Malformed("see the detail of the answer"),
        Problem::UnknownBuyer(Challenge::Shop),
        Problem::IdentityUnavailable { retry_after: 0 },
        Problem::NotFound,
        Problem::MethodNotAllowed(""),
        Problem::NotImplemented("see the detail of the answer"),
        Problem::Timeout,
        Problem::TooLarge,
        Problem::UriTooLong,
        Problem::HeadersTooLarge,
        Problem::TooManyConnections { max: 0 },
        Problem::UnsupportedMediaType,
        Problem::ExpectationFailed,
        Problem::UnknownSale,
        Problem::UnknownTicket,
        Problem::Purged,
        Problem::UnknownSku,
        Problem::BadQuantity,
        Problem::KeyReused,
        Problem::RateLimited { limited, retry_after: 0 },
        Problem::NotOpen { opens_at: Timestamp(0), retry_after: 0 },
        Problem::Closed,
        Problem::Stopping { retry_after: 0 },
        Problem::Paused { retry_after: 0 },
        Problem::Overloaded { retry_after: 0 },
        Problem::SoldOut,
        Problem::LimitReached { ticket: None },
        Problem::BacklogFull { retry_after: 0 },
        Problem::TooManyStreams { retry_after: 0 },
        Problem::LedgerUnavailable { reason: String::new(), retry_after: 0 },
        Problem::InDoubt { key: String::new(), retry_after: 0 },
        Problem::Internal,
    ]
}

/// All codes of the public listener with their titles, for `/problems/*`.
pub(super) fn page(name: &str) -> Option<(u16, &'static str, &'static str)> {
    let samples = samples();
    let mut parts = samples.iter().map(Problem::parts);
    let named = parts.find(|parts| parts.1.replace('_', "-") == name);
    named.map(|(status, _, title, detail)| (status, title, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_body_that_says_what_it_is() {
        for problem in samples() {
            let (status, code, title, detail) = problem.parts();
            let body = problem.body(status, code, title, detail);
            let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let expected = document(status, code, title, detail);
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(said.get(name), Some(value), "{code}");
            }
        }
    }

    #[test]
    fn a_rate_limit_says_how_much_of_what_is_left() {
        let limit = Limit::new(Rate::per_second(5), 10).unwrap();
        let limited = Limited { policy: "buyer", limit, wait: Duration::from_millis(200) };
        let answer = Problem::RateLimited { limited, retry_after: 1 }.answer();
        let header = |name: &str| answer.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(header("ratelimit-policy"), "\"buyer\";q=10;w=2");
        assert_eq!(header("ratelimit"), "\"buyer\";r=0;t=1");
        assert_eq!(header("retry-after"), "1");
    }

    #[test]
    fn only_what_passes_by_itself_says_when_to_come_back() {
        let retry = |problem: Problem| problem.answer().headers().get(RETRY_AFTER).cloned();
        assert!(retry(Problem::SoldOut).is_none());
        assert!(retry(Problem::LimitReached { ticket: None }).is_none());
        assert_eq!(retry(Problem::BacklogFull { retry_after: 7 }).unwrap(), "7");
        let key = String::new();
        assert_eq!(retry(Problem::InDoubt { key, retry_after: 3 }).unwrap(), "3");
    }

    #[test]
    fn what_no_service_answers_reads_like_any_other_answer() {
        let text =
            String::from_utf8(Problem::TooManyConnections { max: 7 }.bytes(Timestamp(0))).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{head}");
        for field in [
            "content-type: application/problem+json",
            "cache-control: no-store",
            "retry-after: 1",
            "ratelimit-policy: \"connections\";q=7;qu=\"concurrent-requests\"",
            "connection: close",
            "date: Thu, 01 Jan 1970 00:00:00 GMT",
            &format!("content-length: {}", body.len()),
        ] {
            assert!(head.lines().any(|line| line == field), "{field} in {head}");
        }
        let document: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(document["code"], "too_many_connections");
    }

    #[test]
    fn every_problem_has_a_page() {
        assert_eq!(page("sold-out").unwrap().0, 409);
        assert_eq!(page("unknown-ticket").unwrap().0, 404);
        assert!(page("nonsense").is_none());
    }
}
