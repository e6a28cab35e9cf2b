//! Answers of the admin listener: JSON documents, streams, and problems with their stable codes.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::http::operations::OperationFault;
use crate::ledger::{Changed, Fault, FaultKind};

/// The body of an answer. A fault in the middle of a stream ends the connection.
pub type Body = UnsyncBoxBody<Bytes, Fault>;

/// An answer.
pub type Reply = Response<Body>;

/// A refusal with its stable code (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    code: &'static str,
    detail: String,
    allow: Option<&'static str>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
}

/// The status and the title of a code; every code of the listener is here.
fn known(code: &str) -> (StatusCode, &'static str) {
    let (status, title) = match code {
        "malformed" => (400, "The request cannot be read"),
        "unauthorized" => (401, "A token is needed"),
        "foreign_host" => (403, "The host is not this listener's"),
        "foreign_origin" => (403, "The request comes from another site"),
        "not_found" => (404, "There is nothing at this path"),
        "unknown_sale" => (404, "There is no such sale"),
        "unknown_ticket" => (404, "There is no such ticket"),
        "unknown_sku" => (422, "The sale has no such item"),
        "method_not_allowed" => (405, "The method is not allowed here"),
        "timeout" => (408, "The request came too slowly"),
        "stock_fixed" => (409, "The stock at creation is fixed"),
        "sku_removed" => (409, "An item cannot be removed"),
        "not_settled" => (409, "Orders of the sale are not settled"),
        "below_available" => (409, "There are not that many units to cut"),
        "restart_needed" => (409, "Some settings take a restart"),
        "not_dead" => (409, "The order is not dead"),
        "drain_paused" => (409, "The drain is paused"),
        "needs_force" => (409, "The store cannot void"),
        "not_halted" => (409, "The sale is whole"),
        "name_taken" => (409, "The name or the number is another sale's"),
        "purged" => (410, "The sale is purged"),
        "too_large" => (413, "The body is too large"),
        "uri_too_long" => (414, "The address is too long"),
        "unsupported_media_type" => (415, "The body must be JSON"),
        "expectation_failed" => (417, "The expectation is not known"),
        "operation_reused" => (422, "The operation id was used for another change"),
        "bad_delta" => (422, "The delta is out of range"),
        "bad_operation" => (422, "The operation id has another form"),
        "bad_terms" => (422, "The terms break a rule"),
        "bad_settings" => (422, "The settings cannot be used"),
        "bad_burst" => (422, "The burst is out of range"),
        "stock_missing" => (422, "An item has no stock"),
        "not_supported" => (422, "Not supported"),
        "headers_too_large" => (431, "The headers are too large"),
        "not_implemented" => (501, "Not implemented"),
        "ledger_unavailable" => (503, "The ledger cannot answer"),
        "in_doubt" => (503, "The change may have been made"),
        "store_unavailable" => (503, "The store cannot answer"),
        "key_missing" => (503, "The ticket key is not here"),
        _ => (500, "Something is wrong inside"),
    };
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), title)
}

impl Problem {
    pub(super) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), allow: None }
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new("malformed", detail)
    }

    pub(super) fn method(allow: &'static str) -> Self {
        let detail = format!("this resource has the methods {allow}");
        Self { allow: Some(allow), ..Self::new("method_not_allowed", detail) }
    }

    /// A refusal of the edge.
    pub(super) fn refused(
        code: &'static str,
        detail: &'static str,
        allow: Option<&'static str>,
    ) -> Self {
        Self { allow, ..Self::new(code, detail) }
    }

    /// An answer of the ledger that does not belong to what was asked.
    pub(super) fn unexpected(answer: &Changed) -> Self {
        tracing::error!(?answer, "the ledger gave an answer to another question");
        Self::new("internal", "the ledger gave an unexpected answer: see the log")
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn status(&self) -> StatusCode {
        known(self.code).0
    }

    pub(super) fn reply(&self) -> Reply {
        let (status, title) = known(self.code);
        let document = Document {
            r#type: format!("/problems/{}", self.code.replace('_', "-")),
            title,
            status: status.as_u16(),
            code: self.code,
            detail: &self.detail,
        };
        let mut reply = typed(status, "application/problem+json", &document);
        let headers = reply.headers_mut();
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"forebay admin\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        come_again(reply)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            FaultKind::Unavailable | FaultKind::Corrupt => {
                Self::new("ledger_unavailable", format!("the ledger did not take it: {fault}"))
            }
            FaultKind::InDoubt => {
                Self::new("in_doubt", format!("make the same request again: {fault}"))
            }
        }
    }
}

impl From<OperationFault> for Problem {
    fn from(fault: OperationFault) -> Self {
        match fault {
            OperationFault::Ledger(fault) => fault.into(),
            OperationFault::Store(detail) => Self::new("store_unavailable", detail),
            OperationFault::Paused(detail) => Self::new("drain_paused", detail),
            OperationFault::NotSupported(detail) => Self::new("not_supported", detail),
            OperationFault::BadSettings(detail) => Self::new("bad_settings", detail),
            OperationFault::RestartNeeded(names) => {
                let detail = format!("nothing was changed: a restart is needed for {names}");
                Self::new("restart_needed", detail)
            }
            OperationFault::Malformed(detail) => Self::malformed(detail),
        }
    }
}

/// Says on a 503 when to ask again.
pub(super) fn come_again(mut reply: Reply) -> Reply {
    if reply.status() == StatusCode::SERVICE_UNAVAILABLE {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply
}

/// A document.
pub(super) fn json<T: Serialize>(status: StatusCode, document: &T) -> Reply {
    typed(status, "application/json", document)
}

fn typed<T: Serialize>(status: StatusCode, media: &'static str, document: &T) -> Reply {
    match serde_json::to_vec(document) {
        Ok(bytes) => whole(status, media, bytes),
        Err(error) => {
            tracing::error!(%error, "a document could not be written");
            whole(StatusCode::INTERNAL_SERVER_ERROR, media, Bytes::from_static(b"{}"))
        }
    }
}

/// A body that is there as a whole.
pub(super) fn whole(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Reply {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    with(status, media, body)
}

/// A body that is made while it is sent.
pub(super) fn streamed(media: &'static str, body: Body) -> Reply {
    with(StatusCode::OK, media, body)
}

/// A resource's methods.
pub(super) fn allowed(allow: &'static str) -> Reply {
    let mut reply = Response::new(none());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    reply
}

/// No body.
pub(super) fn none() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn with(status: StatusCode, media: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    reply
}
