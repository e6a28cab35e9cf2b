//! The body of a change: JSON, bounded in size here, and in time at the edge.

use std::error::Error;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;

use super::reply::Problem;

/// The largest body of a change, in bytes.
pub(super) const BODY_MAX: usize = 64 << 10;
/// The largest terms of a sale, in bytes: 1,000 items with the longest skus take about 115 KiB.
pub(super) const TERMS_MAX: usize = 256 << 10;

/// The whole body, once the head says that it is JSON.
pub(super) async fn read<B>(headers: &HeaderMap, body: B, max: usize) -> Result<Bytes, Problem>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut media = headers.get_all(CONTENT_TYPE).iter();
    let json = media.next().is_some_and(|value| is_json(value.as_bytes()));
    if !json || media.next().is_some() || headers.contains_key(CONTENT_ENCODING) {
        let detail = "send the change as `Content-Type: application/json`, not encoded";
        return Err(Problem::new("unsupported_media_type", detail));
    }
    let too_large = || Problem::new("too_large", format!("the body may have at most {max} bytes"));
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    match Limited::new(body, max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) if is_slow(&*error) => {
            Err(Problem::new("timeout", "send the whole body within 5 seconds"))
        }
        Err(error) => Err(Problem::malformed(format!("the body broke off: {error}"))),
    }
}

/// Whether the edge ended the body for taking too long.
fn is_slow(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(|io: &io::Error| io.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// `application/json`, with `charset=utf-8` or without.
fn is_json(media: &[u8]) -> bool {
    let mut parts = media.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/json"));
    json && parts.all(|part| {
        [&b"charset=utf-8"[..], b"charset=\"utf-8\""]
            .iter()
            .any(|utf8| part.eq_ignore_ascii_case(utf8))
    })
}

/// What a body says, which must be an object; an empty one says `{}`.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let body = if body.is_empty() { b"{}" } else { body };
    // Structs are read from arrays too, by the places of their fields: nobody means that here.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::malformed("the body must be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| Problem::malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_json() {
        for media in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(is_json(media.as_bytes()), "{media}");
        }
        for media in [
            "",
            "text/plain",
            "application/jsonp",
            "application/json; charset=utf-16",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(media.as_bytes()), "{media}");
        }
    }
}
