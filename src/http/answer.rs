//! Answers of the public listener.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer whose body is there as a whole.
pub(super) type Answer = Response<Full<Bytes>>;

/// Nothing that a buyer sees may be kept by anybody.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A body without headers.
pub(super) fn with_body(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer
}

/// A JSON document.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = with_body(status, body.into());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, NO_STORE);
    answer
}

/// No body at all.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = with_body(status, Bytes::new());
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer
}
